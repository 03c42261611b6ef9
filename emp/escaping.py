"""Text that shall stand in XML: what has to be escaped, and what XML does not have at all."""

from typing import Final

from emp.errors import FORBIDDEN_CHARACTERS, LocalProtocolError

_TEXT_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_ESCAPES: Final = _TEXT_ESCAPES | {'"': "&quot;", "'": "&apos;", "\t": "&#9;", "\n": "&#10;"}
_TEXT_TABLE: Final = str.maketrans(_TEXT_ESCAPES)
_TABLE: Final = str.maketrans(_ESCAPES)


# Changes ASCII that must be escaped in content or between double quotes, or that XML does not have.
_UNPLAIN: Final = bytes(range(0x20)) + b'<>&"'
_CHANGED: Final = bytes(each ^ 1 if each in _UNPLAIN else each for each in range(0x100))


def is_plain(text: str) -> bool:
    """True if the text may stand as it is in element content and in a double-quoted attribute.

    Quick and one-sided: line breaks and most odd characters just take the long way of escape().
    """
    if text.isascii():
        # One pass in C: bytes.translate() changes nothing and gives back the same object. (Were it
        # to delete, it would have to make a table of what to delete each time.)
        data = text.encode()
        return data.translate(_CHANGED) is data
    # No character that is printable for Python is one that XML does not have.
    return text.isprintable() and not ("<" in text or "&" in text or ">" in text or '"' in text)


def _refuse_forbidden(text: str) -> None:
    if found := FORBIDDEN_CHARACTERS.search(text):
        code = ord(found[0])
        raise LocalProtocolError(
            f"U+{code:04X} at offset {found.start()}: XML does not have that character"
        )


def escape(text: str) -> str:
    """The text, fit for element content and for an attribute in either kind of quotes.

    LocalProtocolError if it holds a character that XML 1.0 does not have (NUL, surrogates, …).
    """
    if is_plain(text) and "'" not in text:
        return text
    _refuse_forbidden(text)
    return text.translate(_TABLE)


def escape_text(text: str) -> str:
    """As escape(), but fit for element content only: quotes, tabs and line feeds stay readable."""
    if is_plain(text):
        return text
    _refuse_forbidden(text)
    return text.translate(_TEXT_TABLE)
