"""What keeps a soak from being run at all, as one line for the person who runs it."""


class SoakError(Exception):
    """Something that is needed is missing or failed; the message says what."""
