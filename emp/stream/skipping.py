"""A stanza that is not taken: followed to its end, and what its start tag says about it."""

import re
from collections.abc import Mapping
from typing import Any, Final

from emp import ns
from emp.errors import LocalProtocolError, RemoteProtocolError
from emp.stanza import Stanza
from emp.stream.events import StanzaSkipped
from emp.stream.scanner import Scanner
from emp.view import CLASSES, built
from emp.wire import NOTHING, Contents

_TAG_NAME: Final = re.compile(rb"<(?:([^\s:/>]*):)?(message|presence|iq)(?=[\s/>])")
_WORD: Final = re.compile(rb"<[^\s/>]*")
_ATTRIBUTE: Final = re.compile(rb"\s++([^\s=<>/'\"]+)\s*=\s*(?:\"([^<\"]*)\"|'([^<']*)')")
_END: Final = re.compile(rb"\s*/?>\Z")
_REFERENCE: Final = re.compile("&(?:#x([0-9A-Fa-f]+)|#([0-9]+)|(amp|lt|gt|quot|apos));")
_NAMED: Final = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_LINE: Final = re.compile("[\t\r\n]")

_ENVELOPE: Final = {b"type", b"id", b"from", b"to"}

NO_STANZA: Final = "what is no stanza breaks a limit"

_FROM_ROOM: Final = f'<x xmlns="{ns.MUC_USER}"/>'
_ROOM_CONTENTS: Final[Contents] = f"{{{ns.MUC_USER}}}x", None, None


class Skipper:
    """Skips one stanza, whose first bytes were fed to libxml2 already.

    violation: which limit it has broken. namespaces: of the stream's header. `fault` is the reason
    to end the stream all the same: it is not well-formed, or no stanza.
    """

    __slots__ = ("_namespaces", "_scanner", "_violation", "fault")

    def __init__(
        self, violation: RemoteProtocolError, namespaces: Mapping[str | None, str]
    ) -> None:
        self.fault: RemoteProtocolError | None = None
        self._violation = violation
        self._namespaces = namespaces
        self._scanner = Scanner()

    def skip(self, data: bytes) -> int:
        """How much of `data` belongs to it, if it ends there; 0 while it goes on."""
        scanner = self._scanner
        known = bool(scanner.tag)
        end = scanner.scan(data)
        self.fault = scanner.fault
        # Before what is wrong behind the tag, which may not have come yet.
        if scanner.tag and not known and self.stanza is None:
            broken = self._violation
            text = f"{NO_STANZA}: {broken.text}"
            self.fault = RemoteProtocolError(broken.condition, text, limit=broken.limit)
        return end

    def skipped(self) -> StanzaSkipped:
        """What it was; only when it has ended without fault."""
        stanza, tag = self.stanza, self._scanner.tag
        assert stanza is not None
        attributes, whole = _attributes_of(tag)
        known = whole or attributes.keys() >= _ENVELOPE
        return StanzaSkipped(stanza, self._violation.limit or "", self._scanner.size, known)

    @property
    def stanza(self) -> Stanza | None:
        """What its start tag says, when that is complete; None where it is no stanza."""
        return stanza_of(self._scanner.tag, self._namespaces, in_room=self._scanner.in_room)


def stanza_of(
    tag: bytes, namespaces: Mapping[str | None, str], *, in_room: bool = False
) -> Stanza | None:
    """The stanza that begins with this start tag, or the first part of it, without what it holds;
    None if it is none.

    in_room: it is to hold what says that it came out of a room: who answers has to know.
    """
    name = _TAG_NAME.match(tag)
    if name is None:
        return None
    attributes, _ = _attributes_of(tag)
    prefix = name[1]
    declared = attributes.get(b"xmlns" if prefix is None else b"xmlns:" + prefix)
    if declared is None:
        declared = namespaces.get(None if prefix is None else prefix.decode())
    if declared == ns.COMPONENT and ns.COMPONENT in namespaces.values():
        declared = ns.CLIENT
    cls: Any = CLASSES.get(f"{{{declared}}}{name[2].decode()}")
    if cls is None:
        return None
    # Not into an iq, which is answered whatever it holds.
    marked = in_room and cls.kind != "iq"
    try:
        stanza: Stanza = built(
            cls,
            attributes.get(b"type") or cls._default_type,
            attributes.get(b"id"),
            attributes.get(b"from"),
            attributes.get(b"to"),
            _FROM_ROOM if marked else "",
            _ROOM_CONTENTS if marked else NOTHING,
            None,
        )
    except LocalProtocolError:  # a character that is none
        return None
    return stanza


def _attributes_of(tag: bytes) -> tuple[dict[bytes, str], bool]:
    """Those of a start tag, or of the first part of it, and whether these are all.

    One by one from its name on: the last value may be cut, and what is inside of it is no attribute
    whatever it looks like.
    """
    attributes: dict[bytes, str] = {}
    at = _WORD.match(tag).end()  # type: ignore[union-attr]  # matches all
    while attribute := _ATTRIBUTE.match(tag, at):
        value = attribute[2] if attribute[2] is not None else attribute[3]
        attributes.setdefault(attribute[1], _unescaped(value.decode()))
        at = attribute.end()
    return attributes, _END.match(tag, at) is not None


def _unescaped(value: str) -> str:
    return _REFERENCE.sub(_character, _LINE.sub(" ", value)) if value else value


def _character(reference: re.Match[str]) -> str:
    if reference[3]:
        return _NAMED[reference[3]]
    number = int(reference[1], 16) if reference[1] else int(reference[2])
    return chr(number) if number < 0x110000 else "\ufffd"
