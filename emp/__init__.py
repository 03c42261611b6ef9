"""The XMPP protocol and the vocabulary of the EMP framework. Knows no actors and no threads."""

__version__ = "0.1.0"
