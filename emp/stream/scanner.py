"""Where elements end, told from the bytes alone: for what libxml2 is not to read.

A stanza that breaks a limit is *skipped*: a Scanner follows its structure up to its end tag, and
keeps nothing of it but the beginning of its start tag. Whatever comes, memory stays below some
100 KB, and time is linear in the bytes.

The byte guard has seen them before: they are UTF-8, whole characters, with no markup but tags,
references that are written right, and CDATA. What else makes a document that is not well-formed is
found here: characters and references to characters that XML does not have, "]]>" in a text, "<" in
a tag, end tags that do not match, tags that are none. Not found, for that takes memory or time that
nothing bounds: names that are not open any more beyond NAMES levels, or differ behind NAME_BYTES
bytes only; attributes that come twice; prefixes that nobody has declared; and anything but quotes
and names in tags of more than TAG_BYTES bytes.
"""

import re
from typing import Final

from emp import ns
from emp.errors import RemoteProtocolError

NAMES: Final = 1024
"""Levels whose names are remembered: four times as many as libxml2 takes."""

NAME_BYTES: Final = 64
"""Bytes of a name that are compared: no protocol has a longer one."""

TAG_BYTES: Final = 4096
"""Bytes of a tag that is looked at whole; less would make tags with long addresses odd."""

START_BYTES: Final = 16_384
"""Bytes of a start tag that are kept: two full addresses (RFC 7622: 3,071 bytes), each escaped as
it may be, and an id."""

# What XML 1.0 §2.2 does not have: most of it is found by a translation, ten times as fast.
_CONTROLS: Final = bytes(set(range(0x20)) - set(b"\t\n\r"))
_FORBIDDEN: Final = re.compile(b"[" + re.escape(_CONTROLS) + b"]|\xef\xbf[\xbe\xbf]")
_NONCHARACTERS: Final = b"\xef\xbf"

_NAME: Final = rb"[A-Za-z_:\x80-\xff][A-Za-z0-9_:.\x80-\xff-]*+"
_TAG: Final = re.compile(
    rb"<(?:/(%b)\s*+>|(%b)(?:\s++%b\s*+=\s*+(?:\"[^<\"]*+\"|'[^<']*+'))*\s*+(/?)>)"
    % (_NAME, _NAME, _NAME)
)
# A text and the tag behind it; where something else begins, or the data ends, nothing but its "<".
_RUN: Final = re.compile(
    rb"(([^<]*+)<(?:/(%b)\s*+>|(%b)(?:\s++%b\s*+=\s*+(?:\"[^<\"]*+\"|'[^<']*+'))*\s*+(/?)>|))"
    % (_NAME, _NAME, _NAME)
)
_WORD: Final = re.compile(rb"[^\s/>=\"'<]*+")
_IN_TAG: Final = re.compile(rb"[<>\"']")
_STARTS_NAME: Final = re.compile(rb"[A-Za-z_:\x80-\xff]")
_REFERENCE: Final = re.compile(rb"&#(?:x([0-9A-Fa-f]+)|([0-9]+));")
_CDATA_OPEN: Final = b"<![CDATA["
_CDATA_CLOSE: Final = b"]]>"
_ROOM: Final = ns.MUC_USER.encode()

_TEXT, _IN_CDATA, _IN_LONG_TAG = range(3)

# Bytes in which runs of tags are looked for at once: what is behind a CDATA section is in vain.
_LEAST: Final = 256
_MOST: Final = 16_384


class Scanner:
    """Follows elements at the top level, one after the other.

    fault: why there is nothing more to follow. size: bytes of the element that is open, or ended
    last; of what has a fault it goes on to grow. tag: its start tag, when that is complete, at most
    START_BYTES of it. in_room: whether it mentions what comes out of a MUC room.
    """

    __slots__ = (
        "_before",
        "_checked",
        "_depth",
        "_forbidden",
        "_held",
        "_is_end",
        "_last",
        "_name",
        "_named",
        "_names",
        "_quote",
        "_references",
        "_start",
        "_state",
        "_text",
        "fault",
        "in_room",
        "size",
        "tag",
    )

    def __init__(self) -> None:
        self.fault: RemoteProtocolError | None = None
        self.size = 0
        self.tag = b""
        self.in_room = False
        self._before = b""  # the end of what came before, for in_room
        self._checked: bytes | None = None  # data in which …
        self._forbidden = -1  # is the place of what XML does not have,
        self._references = False  # may be references to characters
        self._depth = 0
        self._names: list[bytes] = []
        self._state = _TEXT
        self._held = b""  # a tag, or the end of a CDATA section, that is not complete
        self._text = b""  # the last two bytes of a text that may go on
        self._start = b""  # of the top-level element, while it is not complete
        self._begin_tag()

    def _begin_tag(self) -> None:
        """Forgets the last long tag."""
        self._name = b""
        self._named = self._is_end = False
        self._quote = b""
        self._last = b""  # byte outside of quotes

    @property
    def open(self) -> bool:
        """Whether an element is."""
        return self._depth > 0 or self._state == _IN_LONG_TAG or bool(self._held)

    def scan(self, data: bytes, at: int = 0) -> int:
        """Behind which byte of `data` the first element ends, looking from `at`; 0 if none does, or
        there is a fault before."""
        if self.fault is not None:
            self.size += len(data) - at
            return 0
        if data is not self._checked:
            self._checked = data
            self._forbidden = _first_forbidden(data, at)
            self._references = b"&#" in data
        forbidden = self._forbidden
        behind = 0  # bytes from there on
        if forbidden >= 0:
            behind = len(data) - forbidden
            data = data[:forbidden]
        held = self._held
        if held:
            data = held + data[at:]
            self._held = b""
            shift, at = len(held) - at, 0
        else:
            shift = 0
        place = self._scan(data, at, len(held))
        if not self.in_room:
            seen = self._before + data[at : place or len(data)]
            self.in_room = _ROOM in seen
            self._before = seen[-len(_ROOM) :]
        if place:
            return place - shift
        if forbidden >= 0:
            self.size += behind
            if self.fault is None:
                self.fault = _not_well_formed("a character that XML does not have")
        return 0

    # -- inside ------------------------------------------------------------------------------

    def _scan(self, data: bytes, at: int, held: int) -> int:
        """held: bytes at the beginning that are counted already."""
        begin = at + held - self.size if self.open or held else at
        end = len(data)
        references = self._references
        suspicious = references or _CDATA_CLOSE in data
        window = _LEAST
        while at < end and self.fault is None:
            if self._depth and self._state == _TEXT and not self._text:
                last = data.rfind(b"<", at, at + window)
                if last > at:
                    at = self._run(data, at, last, suspicious)
                    if not self._depth and self.fault is None:
                        self.size = at - begin
                        return at
                    if self.fault is not None:
                        break
                    window = min(4 * window, _MOST) if at >= last else _LEAST
            if self._state == _IN_CDATA:
                close = data.find(_CDATA_CLOSE, at)
                if close < 0:
                    # Its beginning may be there.
                    self._held = data[max(at, end - 2) :]
                    break
                at = close + 3
                self._state = _TEXT
                continue
            if self._state == _IN_LONG_TAG:
                behind = self._long_tag(data, at)
                if not behind:
                    break
                if self._tag_over(self._name, self._is_end, self._last == b"/"):
                    self.size = behind - begin
                    return behind
                at = behind
                continue
            opening = data.find(b"<", at)
            stop = end if opening < 0 else opening
            if stop > at:
                self._check_text(data[at:stop], references)
                if opening < 0:
                    break
            self._text = b""
            at = opening
            if self._depth == 0:
                begin, self.tag, self._start = at, b"", b""
                self.in_room, self._before = False, b""
            tag = _TAG.match(data, at)
            if tag is not None:
                behind = tag.end()
                if references and _is_wrong(tag[0]):
                    self.fault = _not_well_formed("a reference to what is no character")
                    break
                if self._depth == 0:
                    self.tag = tag[0][:START_BYTES]
                if self._tag_over(tag[1] or tag[2], tag[1] is not None, tag[3] == b"/"):
                    self.size = behind - begin
                    return behind
                at = behind
            elif data.startswith(_CDATA_OPEN, at):
                if self._depth == 0:
                    self.fault = _between()
                    break
                self._state = _IN_CDATA
                at += len(_CDATA_OPEN)
            else:
                self._begin_tag()
                behind = self._long_tag(data, at)
                if self.fault is not None:
                    break
                if (behind or end) - at <= TAG_BYTES:
                    if behind:
                        self.fault = _not_well_formed("a tag that is none")
                    else:  # what follows will tell
                        self._held, self._start = data[at:], b""
                    break
                self._state = _IN_LONG_TAG
                if behind:
                    if self._tag_over(self._name, self._is_end, self._last == b"/"):
                        self.size = behind - begin
                        return behind
                    at = behind
                else:
                    break
        self.size = end - begin if self.open or self.fault is not None else 0
        return 0

    def _run(self, data: bytes, at: int, last: int, suspicious: bool) -> int:
        """Texts and tags up to what begins at `last`, or else where something else begins, or the
        element at the top ends."""
        depth, names = self._depth, self._names
        for whole, text, closing, opening, empty in _RUN.findall(data, at, last + 1):
            if suspicious and (_CDATA_CLOSE in text or _is_wrong(whole)):
                self.fault = _not_well_formed("]]> in a text, or what is no character")
                break
            if opening:
                if not empty:
                    depth += 1
                    if depth <= NAMES:
                        names.append(opening[:NAME_BYTES])
            elif closing:
                if depth <= NAMES and names.pop() != closing[:NAME_BYTES]:
                    self.fault = _not_well_formed("an end tag that does not match")
                    break
                depth -= 1
                if not depth:
                    at += len(whole)
                    break
            else:
                at += len(text)
                break
            at += len(whole)
        self._depth = depth
        return at

    def _tag_over(self, name: bytes, is_end: bool, is_empty: bool) -> bool:
        """Whether the element at the top ends with this tag."""
        self._state = _TEXT
        if self._start:
            self.tag, self._start = self._start, b""
        name = name[:NAME_BYTES]
        if not is_end:
            if not is_empty:
                self._depth += 1
                if self._depth <= NAMES:
                    self._names.append(name)
            return self._depth == 0
        if self._depth == 0 or (self._depth <= NAMES and self._names.pop() != name):
            self.fault = _not_well_formed("an end tag that does not match")
            return False
        self._depth -= 1
        return self._depth == 0

    def _check_text(self, text: bytes, references: bool) -> None:
        if self._depth == 0:
            if text.strip(b" \t\r\n"):
                self.fault = _between()
            return
        if self._text:
            text = self._text + text
        if _CDATA_CLOSE in text:
            self.fault = _not_well_formed("]]> in a text")
        elif references and _is_wrong(text):
            self.fault = _not_well_formed("a reference to what is no character")
        self._text = text[-2:]

    def _long_tag(self, data: bytes, at: int) -> int:
        """Goes on in a tag that has begun; returns where it ends, 0 if it does not."""
        begin = at
        end = len(data)
        behind = 0
        if not self._named:
            if not self._name:
                at += 1  # its <
                if data.startswith(b"/", at):
                    self._is_end = True
                    at += 1
            word = _WORD.match(data, at)
            assert word is not None  # it may be empty
            self._name = (self._name + word[0])[:NAME_BYTES]
            at = word.end()
            if at < end:
                self._named = True
                if not _STARTS_NAME.match(self._name):
                    self.fault = _not_well_formed("a tag without a name")
                    return 0
        while at < end:
            if self._quote:
                close = data.find(self._quote, at)
                if data.find(b"<", at, end if close < 0 else close) >= 0:
                    self.fault = _not_well_formed("< in a tag")
                    return 0
                if close < 0:
                    break
                self._quote, self._last = b"", b"'"
                at = close + 1
                continue
            special = _IN_TAG.search(data, at)
            stop = end if special is None else special.start()
            if stop > at:
                self._last = data[stop - 1 : stop]
                if self._is_end and data[at:stop].strip(b" \t\r\n"):
                    self.fault = _not_well_formed("more than a name in an end tag")
                    return 0
            if special is None:
                break
            at = special.end()
            if special[0] == b">":
                behind = at
                break
            if special[0] == b"<" or self._is_end:
                self.fault = _not_well_formed("< in a tag")
                return 0
            self._quote = special[0]
        if self._references and _is_wrong(data[begin : behind or end]):
            self.fault = _not_well_formed("a reference to what is no character")
            return 0
        if self._depth == 0 and len(self._start) < START_BYTES:
            room = START_BYTES - len(self._start)
            self._start += data[begin : min(behind or end, begin + room)]
        return behind


def _first_forbidden(data: bytes, at: int) -> int:
    """Where the first character stands that XML does not have; -1 without one."""
    if len(data.translate(None, _CONTROLS)) == len(data) and _NONCHARACTERS not in data:
        return -1
    found = _FORBIDDEN.search(data, at)
    return -1 if found is None else found.start()


def _is_wrong(text: bytes) -> bool:
    """Whether it refers to a character that XML does not have."""
    for reference in _REFERENCE.finditer(text):
        number = int(reference[1], 16) if reference[1] else int(reference[2])
        if not (
            0x20 <= number <= 0xD7FF
            or 0xE000 <= number <= 0xFFFD
            or 0x10000 <= number <= 0x10FFFF
            or number in (0x9, 0xA, 0xD)
        ):
            return True
    return False


def _not_well_formed(text: str) -> RemoteProtocolError:
    return RemoteProtocolError("not-well-formed", text)


def _between() -> RemoteProtocolError:
    return RemoteProtocolError("bad-format", "text between stanzas")
