"""The byte guard: what RFC 6120 §11 forbids never reaches libxml2.

lxml's pull parser silently accepts document types, comments and processing instructions, and its
decoder trips over some malformed UTF-8. All of that can be told from the bytes alone: after the
stream header a raw `<` never stands in text or in an attribute value, so `<!` may only begin a
CDATA section, `<?` may not occur at all, and `&` begins a reference to a character or to one of
the five predefined entities (for a bare `&` libxml2 would wait in silence). Inside an open CDATA
section all three are text.

NUL may not occur either: libxml2 would stop reading there. Leading zeros of references, of which
XML allows any number, do not go further.

What cannot be judged yet (half of `<![CDATA[`, half of a character) is held back until the next
call: the parser sees whole characters and whole openings only, and the rules hold whatever the
chunks are.
"""

import re
from typing import Final

from emp.errors import RemoteProtocolError

_CDATA_OPEN: Final = b"<![CDATA["
_CDATA_CLOSE: Final = b"]]>"
_SPECIAL: Final = re.compile(rb"<[!?]|&")
# The two halves of that, which begin with one character each: re looks for that as memchr does.
_OPENING: Final = re.compile(rb"<[!?]")
_NUL: Final = 0
_UNUSUAL_REFERENCE: Final = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos);)")
# No character needs more digits, without leading zeros, of which there may be any number.
_REFERENCE: Final = re.compile(
    rb"&(?:amp|lt|gt|quot|apos"
    rb"|#(0*+)(?:[1-9][0-9]{0,9}+)?(?<=[0-9])"
    rb"|#x(0*+)(?:[1-9A-Fa-f][0-9A-Fa-f]{0,9}+)?(?<=[0-9A-Fa-f]));"
)
_ZEROS: Final = re.compile(rb"(&#x?)0+(?=[0-9A-Fa-f])")
_AMPERSAND: Final = ord("&")
_NAME_START: Final = re.compile(rb"&(?:[A-Za-z_:\x80-\xff]|\Z)")
# A suffix that could still become what is allowed.
_HALF_OPEN: Final = re.compile(
    rb"(?:<(?:!(?:\[(?:C(?:D(?:A(?:T(?:A)?)?)?)?)?)?)?"
    rb"|&(?:a(?:m(?:p)?)?|l(?:t)?|g(?:t)?|q(?:u(?:o(?:t)?)?)?|ap(?:o(?:s)?)?"
    rb"|#(?:0*+(?:[1-9][0-9]{0,9}+)?|x0*+(?:[1-9A-Fa-f][0-9A-Fa-f]{0,9}+)?))?)\Z"
)
_HALF_CLOSE: Final = re.compile(rb"\]\]?\Z")


class ByteGuard:
    """Passes on the bytes that may be parsed, and says when none may follow any more."""

    __slots__ = ("_cdata", "_held", "fault")

    def __init__(self) -> None:
        self._held = b""
        self._cdata = False  # inside a CDATA section
        self.fault: RemoteProtocolError | None = None

    @property
    def holds(self) -> bool:
        """Whether something waits for its other half."""
        return bool(self._held)

    def pass_(self, data: bytes) -> bytes:
        """The bytes that may be parsed now; with `fault` set, those before the fault."""
        if self._held:
            data = self._held + data
            self._held = b""
        nul = data.find(_NUL)
        if nul >= 0:
            data = data[:nul]
        # Each of these tests is a few microseconds for 64 KiB, or some twenty if there is something
        # to look at; a decoder costs fifty, and one search for all of it three hundred.
        if not data.isascii():
            data = self._utf8(data)
        if (
            self._cdata
            or data[-1:] == b"<"
            or ((b"!" in data or b"?" in data) and _OPENING.search(data))
            or (b"&" in data and _UNUSUAL_REFERENCE.search(data))
        ):
            data = self._markup(data)
        if nul >= 0:  # where libxml2 stops reading, and says nothing in CDATA
            self.fault = self.fault or RemoteProtocolError("not-well-formed", "NUL")
        return data

    def _utf8(self, data: bytes) -> bytes:
        try:
            data.decode()
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data":
                self._held = data[error.start :]
            else:
                self.fault = RemoteProtocolError("unsupported-encoding", "not UTF-8")
            return data[: error.start]
        return data

    def _markup(self, data: bytes) -> bytes:
        zeros: list[tuple[int, int]] = []
        data = self._judged(data, zeros)
        if not zeros:
            return data
        ends = [0, *(end for _, end in zeros)]
        starts = [*(start for start, _ in zeros), len(data)]
        return b"".join([data[a:b] for a, b in zip(ends, starts, strict=True)])

    def _judged(self, data: bytes, zeros: list[tuple[int, int]]) -> bytes:
        """zeros: gets the places of leading zeros in references."""
        at = 0
        if not self._cdata:  # what is usual needs no look
            firsts = _OPENING.search(data), _UNUSUAL_REFERENCE.search(data)
            at = min([first.start() for first in firsts if first], default=len(data))
        while True:
            if self._cdata:
                at = data.find(_CDATA_CLOSE, at)
                if at < 0:
                    return self._hold(data, _HALF_CLOSE)
                self._cdata = False
                at += len(_CDATA_CLOSE)
            special = _SPECIAL.search(data, at)
            if special is None:
                return self._hold(data, _HALF_OPEN)
            at = special.start()
            if data.startswith(_CDATA_OPEN, at):
                self._cdata = True
                at += len(_CDATA_OPEN)
            elif reference := _REFERENCE.match(data, at):
                at = reference.end()
                start, end = reference.span(reference.lastindex or 0)
                if reference.lastindex and start < end:
                    zeros.append((start, end if end < at - 1 else end - 1))  # one digit stays
            elif not self._held and not self.fault and _HALF_OPEN.match(data, at):
                return self._hold(data, _HALF_OPEN)
            else:
                self._held = b""
                self.fault = _fault(data, at)
                return data[:at]

    def _hold(self, data: bytes, half: re.Pattern[bytes]) -> bytes:
        # With half a character after it, the suffix cannot become an opening.
        if self._held or self.fault or not (match := half.search(data)):
            return data
        self._held = _ZEROS.sub(rb"\1", match[0])
        return data[: match.start()]


def _fault(data: bytes, at: int) -> RemoteProtocolError:
    if data[at] != _AMPERSAND:
        return RemoteProtocolError(
            "restricted-xml", "no comment, document type or processing instruction"
        )
    if _NAME_START.match(data, at):
        return RemoteProtocolError("restricted-xml", "no entities but the predefined ones")
    return RemoteProtocolError("not-well-formed", "a bare &")
