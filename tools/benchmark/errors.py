"""What can go wrong in a benchmark, as one line for the person who runs it."""


class BenchError(Exception):
    """A peer failed or something that is needed is missing; the message says what to do."""
