"""Everything that EMP raises on purpose.

    EmpError
    ├ ConfigError              what the user configured is wrong; says file, line and remedy
    │ ├ RouteError             … in the routes file
    │ └ ViewError              … in a view
    ├ JIDError                 not a valid address (also a ValueError)
    ├ LocalProtocolError       our caller is wrong: this may not be sent
    │ └ StanzasTooLarge        … because the peer has said so
    ├ RemoteProtocolError      the peer is wrong: it broke the protocol
    ├ StreamError              the peer says that the stream is broken: <stream:error/>
    ├ AuthenticationError      SASL failed, there or here
    ├ ConnectionFailed         no stream came about: at which step and why
    └ StanzaError              an error reply, one subclass for each condition of RFC 6120 §8.3.3

All of them survive pickling, because they cross processes.
"""

from __future__ import annotations

import re
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, cast

from lxml import etree

from emp import ns
from emp.names import DocumentParser, Lent, twin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emp.jid import JID
    from emp.stanza import Stanza

# What XML 1.0 §2.2 does not allow anywhere in a document.
FORBIDDEN_CHARACTERS: Final = re.compile(
    "[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]"
)

ErrorType = Literal["auth", "cancel", "continue", "modify", "wait"]


class EmpError(Exception):
    """The root of the tree: catches all that EMP raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with .args, which fails for keyword-only arguments.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(cls: type[EmpError], args: tuple[Any, ...], state: dict[str, Any]) -> EmpError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigError(EmpError):
    """A user's mistake in a configuration or routes file.

    message: what is wrong; file: path, line: number from 1, both where known;
    remedy: what to do about it. str() is "FILE:LINE: message. remedy", one line.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | PathLike[str] | None = None,
        line: int | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file = None if file is None else fspath(file)
        self.line = line
        self.remedy = remedy

    def __str__(self) -> str:
        text = self.message
        if self.remedy:
            text = f"{text.removesuffix('.')}. {self.remedy}"
        if self.file is None:
            return text
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {text}"


class RouteError(ConfigError):
    """A route that cannot work: bad XPath, unknown action, duplicate."""


class ViewError(ConfigError):
    """A view that is not there, cannot be compiled, or has not given XML."""


class JIDError(EmpError, ValueError):
    """A text that is not a valid JID (RFC 7622)."""


class LocalProtocolError(EmpError):
    """Our caller asked for something that the protocol forbids."""


class _Condition(EmpError):
    """An error with a defined condition and an optional text for people."""

    def __init__(self, condition: str, text: str = "") -> None:
        super().__init__(condition, text)
        self.condition = condition
        self.text = text

    def __str__(self) -> str:
        return f"{self.condition}: {self.text}" if self.text else self.condition


class StanzasTooLarge(LocalProtocolError):
    """The peer has said that it takes no stanza of that size (XEP-0478); nothing was sent.

    stanzas: those of the batch that are too large; the others may be sent. size: of the largest,
    in bytes; limit: of the peer.
    """

    def __init__(self, stanzas: Sequence[Stanza], size: int, limit: int) -> None:
        super().__init__(
            f"a stanza of {size} bytes: the server takes {limit} at most. Send less at a time, or"
            " upload it and send a link (XEP-0363)"
        )
        self.stanzas = tuple(stanzas)
        self.size = size
        self.limit = limit


class RemoteProtocolError(_Condition):
    """The peer broke the protocol.

    condition: name from RFC 6120 §4.9.3 without namespace, as in "not-well-formed".
    limit: which of our limits it broke, if any: a field of emp.stream.Limits, "depth",
    "name_bytes", "reserved_namespace", or the constant elsewhere that says how much we take.
    """

    def __init__(self, condition: str, text: str = "", *, limit: str | None = None) -> None:
        super().__init__(condition, text)
        self.limit = limit


class StreamError(_Condition):
    """The peer sent <stream:error/> (RFC 6120 §4.9).

    other_host: where to go instead, with the condition "see-other-host".
    """

    def __init__(self, condition: str, text: str = "", other_host: str | None = None) -> None:
        super().__init__(condition, text)
        self.other_host = other_host


class AuthenticationError(_Condition):
    """SASL failed: the peer's <failure/> (RFC 6120 §6.5), or our refusal to go on.

    remedy: what the user may do, where it is not the credentials that are wrong.
    """

    def __init__(self, condition: str, text: str = "", *, remedy: str | None = None) -> None:
        super().__init__(condition, text)
        self.remedy = remedy


class ConnectionFailed(EmpError):
    """No stream came about.

    step: one of emp.net.STEPS; reason: for people, one line; permanent: trying again will not
    help; remedy: what the user may do, where we know it; other_host: where the server wants us to
    go instead (RFC 6120 §4.9.3.19).
    """

    def __init__(
        self,
        step: str,
        reason: str,
        *,
        permanent: bool = False,
        remedy: str | None = None,
        other_host: str | None = None,
    ) -> None:
        super().__init__(step, reason)
        self.other_host = other_host
        self.step = step
        self.reason = reason
        self.permanent = permanent
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.step}: {self.reason}"
        return f"{text.removesuffix('.')}. {self.remedy}" if self.remedy else text


# -- stanza errors --------------------------------------------------------------------------------

ERROR_TYPES: Final[frozenset[str]] = frozenset({"auth", "cancel", "continue", "modify", "wait"})

# Any, because the stubs of lxml do not know that the prefix may be None.
_CLIENT_MAP: Final[Any] = {None: ns.CLIENT}
_STANZAS_MAP: Final[Any] = {None: ns.STANZAS}

_ERROR: Final = f"{{{ns.CLIENT}}}error"
_TEXT: Final = f"{{{ns.STANZAS}}}text"
_CONDITION_PREFIX: Final = f"{{{ns.STANZAS}}}"


class StanzaError(EmpError):
    """An error about one stanza (RFC 6120 §8.3): raise it in an action, it becomes the reply.

    text: for people; type: what the sender may do about it, default_type where None;
    application: an element in a namespace of its own that says more; by: who reports it.
    address: the URI that <gone/> and <redirect/> hold (§8.3.3.5, §8.3.3.14).
    request: what we had asked, where the error came back from whom we asked; None for our own.
    """

    request: Stanza | None = None
    condition: ClassVar[str] = "undefined-condition"
    default_type: ClassVar[ErrorType] = "cancel"

    def __init__(
        self,
        text: str = "",
        *,
        type: ErrorType | None = None,
        application: etree._Element | None = None,
        by: JID | None = None,
        address: str | None = None,
    ) -> None:
        super().__init__(text)
        if type is not None and type not in ERROR_TYPES:
            raise ValueError(f"not a stanza error type: {type!r}")
        self.text = text
        self.type: ErrorType = type or self.default_type
        self.application = application
        self.by = by
        self.address = address

    def __str__(self) -> str:
        return f"{self.condition}: {self.text}" if self.text else self.condition

    def __reduce__(self) -> tuple[Any, ...]:
        # An lxml element cannot be pickled: the error travels as its own XML.
        return _unpickle_stanza_error, (type(self), etree.tostring(self.to_xml()))

    def to_xml(self) -> etree._Element:
        """The <error/> element in jabber:client, to be appended to the reply."""
        with Lent():  # the application element brings its names along
            return self._to_xml()

    def _to_xml(self) -> etree._Element:
        error = etree.Element(_ERROR, nsmap=_CLIENT_MAP)
        error.set("type", self.type)
        if self.by is not None:
            error.set("by", str(self.by))
        condition = _sub(error, _CONDITION_PREFIX + self.condition)
        if self.address is not None:
            condition.text = _printable(self.address)
        if self.text:
            _sub(error, _TEXT).text = _printable(self.text)
        if self.application is not None:
            error.append(twin(self.application))
        return error

    @staticmethod
    def from_xml(error: etree._Element) -> StanzaError:
        """The exception for an <error/> element, whatever the peer put into it.

        A condition that the RFC does not define becomes UndefinedCondition, an unknown type the
        condition's default. The legacy `code` attribute is ignored. Never raises on any content.
        """
        cls: type[StanzaError] = UndefinedCondition
        text = ""
        address = application = None
        for child in error.iterchildren("*"):
            if child.tag == _TEXT:
                text = text or child.text or ""
            elif not child.tag.startswith(_CONDITION_PREFIX):
                if application is None:
                    application = twin(child)
            elif cls is UndefinedCondition:
                cls = CONDITIONS.get(child.tag.removeprefix(_CONDITION_PREFIX), cls)
                address = child.text or None
        kind = error.get("type")
        return cls(
            text,
            type=cast(ErrorType, kind) if kind in ERROR_TYPES else None,
            application=application,
            by=_jid_or_none(error.get("by")),
            address=address,
        )


def _sub(parent: etree._Element, tag: str) -> etree._Element:
    return etree.SubElement(parent, tag, nsmap=_STANZAS_MAP)


def _printable(text: str) -> str:
    """Text that fits into XML: an error must not be lost because its text is odd."""
    return FORBIDDEN_CHARACTERS.sub("\ufffd", text)


def _jid_or_none(text: str | None) -> JID | None:
    from emp.jid import JID  # here, because emp.jid needs JIDError from this module

    try:
        return None if text is None else JID.received(text)
    except JIDError:
        return None


def _unpickle_stanza_error(cls: type[StanzaError], xml: bytes) -> StanzaError:
    found = StanzaError.from_xml(_trusted(xml))
    if type(found) is cls:
        return found
    # A subclass by the application, with the condition of its parent.
    error = cls.__new__(cls, found.text)
    error.args = found.args
    error.__dict__.update(found.__dict__)
    return error


# Bytes from our own pickles: still no reason to look anything up.
_trusted: Final = DocumentParser(resolve_entities=False, no_network=True)


class BadRequest(StanzaError):
    """RFC 6120 §8.3.3.1: malformed or not understood."""

    condition = "bad-request"
    default_type = "modify"


class Conflict(StanzaError):
    """RFC 6120 §8.3.3.2: something with that name or address exists."""

    condition = "conflict"
    default_type = "cancel"


class FeatureNotImplemented(StanzaError):
    """RFC 6120 §8.3.3.3: understood, not supported."""

    condition = "feature-not-implemented"
    default_type = "cancel"


class Forbidden(StanzaError):
    """RFC 6120 §8.3.3.4: the sender lacks the permission."""

    condition = "forbidden"
    default_type = "auth"


class Gone(StanzaError):
    """RFC 6120 §8.3.3.5: no longer at this address; .address is the new one, if any."""

    condition = "gone"
    default_type = "cancel"


class InternalServerError(StanzaError):
    """RFC 6120 §8.3.3.6: our own fault."""

    condition = "internal-server-error"
    default_type = "cancel"


class ItemNotFound(StanzaError):
    """RFC 6120 §8.3.3.7: no such address or item."""

    condition = "item-not-found"
    default_type = "cancel"


class JidMalformed(StanzaError):
    """RFC 6120 §8.3.3.8: an address in it breaks RFC 7622."""

    condition = "jid-malformed"
    default_type = "modify"


class NotAcceptable(StanzaError):
    """RFC 6120 §8.3.3.9: understood, and against the rules of the receiver."""

    condition = "not-acceptable"
    default_type = "modify"


class NotAllowed(StanzaError):
    """RFC 6120 §8.3.3.10: nobody may do that."""

    condition = "not-allowed"
    default_type = "cancel"


class NotAuthorized(StanzaError):
    """RFC 6120 §8.3.3.11: credentials first."""

    condition = "not-authorized"
    default_type = "auth"


class PolicyViolation(StanzaError):
    """RFC 6120 §8.3.3.12: against local policy, as size or rate."""

    condition = "policy-violation"
    default_type = "modify"


class RecipientUnavailable(StanzaError):
    """RFC 6120 §8.3.3.13: not there at the moment."""

    condition = "recipient-unavailable"
    default_type = "wait"


class Redirect(StanzaError):
    """RFC 6120 §8.3.3.14: ask .address for now."""

    condition = "redirect"
    default_type = "modify"


class RegistrationRequired(StanzaError):
    """RFC 6120 §8.3.3.15: register first."""

    condition = "registration-required"
    default_type = "auth"


class RemoteServerNotFound(StanzaError):
    """RFC 6120 §8.3.3.16: the other domain does not resolve or has no XMPP service."""

    condition = "remote-server-not-found"
    default_type = "cancel"


class RemoteServerTimeout(StanzaError):
    """RFC 6120 §8.3.3.17: the other domain does not answer in time."""

    condition = "remote-server-timeout"
    default_type = "wait"


class ResourceConstraint(StanzaError):
    """RFC 6120 §8.3.3.18: too busy or out of something."""

    condition = "resource-constraint"
    default_type = "wait"


class ServiceUnavailable(StanzaError):
    """RFC 6120 §8.3.3.19: nobody here serves that; says nothing about who exists."""

    condition = "service-unavailable"
    default_type = "cancel"


class SubscriptionRequired(StanzaError):
    """RFC 6120 §8.3.3.20: presence subscription first."""

    condition = "subscription-required"
    default_type = "auth"


class UndefinedCondition(StanzaError):
    """RFC 6120 §8.3.3.21: none of the others; the application element says which."""

    condition = "undefined-condition"
    default_type = "cancel"


class UnexpectedRequest(StanzaError):
    """RFC 6120 §8.3.3.22: understood, not now."""

    condition = "unexpected-request"
    default_type = "wait"


# Condition → class, for from_xml. Built here, so that applications' subclasses stay out.
CONDITIONS: Final[dict[str, type[StanzaError]]] = {
    cls.condition: cls for cls in StanzaError.__subclasses__()
}
