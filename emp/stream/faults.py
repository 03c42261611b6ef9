"""Stream errors (RFC 6120 §4.9): what the peer's say, how ours are written, and the usual one."""

from typing import Final

from emp import ns
from emp.errors import RemoteProtocolError, StreamError
from emp.stream.body import STANZA_KINDS
from emp.xml import Element, escape

ERROR: Final = f"{{{ns.STREAM}}}error"
_CONDITIONS: Final = f"{{{ns.STREAMS_ERROR}}}*"
_STANZA_NAMES: Final = frozenset(f"{{{ns.CLIENT}}}{kind}" for kind in STANZA_KINDS)


def parse(element: Element) -> StreamError:
    """What <stream:error/> says (RFC 6120 §4.9.2)."""
    condition = text = ""
    other_host: str | None = None
    for child in element.iterchildren(_CONDITIONS):
        name = child.tag.rpartition("}")[2]
        if name == "text":
            text = text or child.text or ""
        elif not condition:
            condition = name
            if name == "see-other-host":
                other_host = (child.text or "").strip() or None
    return StreamError(condition or "undefined-condition", text, other_host)


def written(condition: str, text: str, detail: str) -> str:
    """<stream:error/>. text: for people, "" for none; detail: XML that makes it more precise."""
    note = f"<text xmlns='{ns.STREAMS_ERROR}' xml:lang='en'>{escape(text)}</text>" if text else ""
    return f"<stream:error><{condition} xmlns='{ns.STREAMS_ERROR}'/>{note}{detail}</stream:error>"


def unexpected(element: Element) -> RemoteProtocolError:
    """The fault of an element that may not stand at the top level now (RFC 6120 §4.9.3)."""
    if element.tag in _STANZA_NAMES:
        return RemoteProtocolError("not-authorized", "a stanza before the stream was negotiated")
    return RemoteProtocolError("unsupported-stanza-type", element.tag)
