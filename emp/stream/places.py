"""Where in the bytes of a stream something begins or ends."""

import re
from collections.abc import Iterator
from typing import Final

from lxml import etree

# One feed: a stanza that is not larger needs no book-keeping.
PIECE_BYTES: Final = 65_536

# libxml2 reports a text when it sees the next `<`, and a tag when it sees its `>`.
STEP: Final = re.compile(rb"[^<>]*+[<>]|[^<>]++\Z")
_INSIDE_CHARACTER: Final = range(0x80, 0xC0)


def whole_characters(data: bytes, end: int) -> int:
    """The last place up to `end` that is not inside of a character."""
    while 0 < end < len(data) and data[end] in _INSIDE_CHARACTER:
        end -= 1
    return end


def pieces_of(data: bytes, size: int) -> Iterator[bytes]:
    """UTF-8 cut between characters, into pieces of `size` bytes or hardly less."""
    start = 0
    while start < len(data):
        end = whole_characters(data, start + size)
        yield data[start:end]
        start = end


def end_of(element: etree._Element) -> bytes:
    """How elements like this one end, most likely."""
    if element.text is None and not len(element):
        return b"/>"
    return f"</{element.tag.rpartition('}')[2]}>".encode()
