"""XMPP addresses (RFC 7622) and the escaping of their local parts (XEP-0106)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache, total_ordering
from typing import TYPE_CHECKING, Any, Final, NoReturn

import idna
from precis_i18n import get_profile

from emp.errors import JIDError

# RFC 7622 §3.1: each part has 1 to 1023 octets in UTF-8.
PART_BYTES: Final = 1023

# Texts that JID.parse and JID.received remember, each. Peers choose the addresses, so that is
# bounded: at worst (three parts of PART_BYTES, and the text again) 4096 entries hold some 30 MB,
# usually 1 MB.
CACHE_SIZE: Final = 4096

# A part with more characters than this is too long, with ample room for what normalisation
# shortens. It bounds the work that a hostile text can cause.
PART_CHARACTERS: Final = 4 * PART_BYTES

# RFC 8264 §7: enforcement is repeated until the text is stable, at most this many times.
ENFORCEMENTS: Final = 4

_LOCAL_FORBIDDEN: Final = frozenset("\"&'/:<>@")  # RFC 7622 §3.3.1
# ASCII that UsernameCaseMapped leaves as it is: printable, no space, no capitals, not forbidden.
_SIMPLE_LOCAL: Final = re.compile(r"[!#-%(-.0-9;=?\[-~]+").fullmatch
# Host names in lower case whose labels are plain LDH: no "--" in third place (A-labels).
_SIMPLE_LABEL: Final = r"(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_SIMPLE_DOMAIN: Final = re.compile(rf"(?:{_SIMPLE_LABEL}\.)*{_SIMPLE_LABEL}").fullmatch
_DOMAIN_CHARACTERS: Final = 253  # of a domain name as text, RFC 1035 §2.3.4

# What stops an address whoever vouches for it. It breaks lines or turns text around, in logs and on
# terminals, or is not XML; no version of stringprep or PRECIS has ever allowed it.
_HARMFUL: Final = re.compile(
    "[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
).search
# Versions differ beyond ASCII only, except for what RFC 3920 and DNS allow in a domain.
_NEVER_IN_LOCAL: Final = re.compile("[ \"&'/:<>@]").search
_NEVER_IN_DOMAIN: Final = re.compile("[ \"&'/<>@]").search

_username: Final = get_profile("UsernameCaseMapped")
_opaque: Final = get_profile("OpaqueString")


@total_ordering
class JID:
    """localpart@domainpart/resourcepart, normalised as RFC 7622 says.

    local and resource are None where absent. Immutable, hashable; sorts by domain, then local,
    then resource, so that what belongs together stands together.
    JIDError if a part is not allowed. Made by `received`, it may have parts that RFC 7622 does not
    allow, as they came: such an address is equal to what is written in the same way only.
    """

    __slots__ = ("_bare", "_text", "domain", "local", "resource")

    local: str | None
    domain: str
    resource: str | None
    _text: str
    _bare: JID | None

    def __new__(cls, local: str | None, domain: str, resource: str | None = None) -> JID:
        return _make(
            None if local is None else _local(local),
            _domain(domain),
            None if resource is None else _resource(resource),
        )

    if TYPE_CHECKING:  # lru_cache forgets the type of the argument

        @staticmethod
        def parse(text: str) -> JID:
            """The JID that the text is. JIDError if it is none. Repeated texts are cheap."""

        @staticmethod
        def received(text: str) -> JID:
            """The address that a server has vouched for: as parse(), but a part that we hold for
            invalid is taken as it stands, because tables of Unicode differ, and whom a server
            knows by that name is its business.

            JIDError for what no server lets pass, or could hurt: a part that is empty or longer
            than PART_BYTES, control characters, and ASCII that no address has there.
            """

    @property
    def bare(self) -> JID:
        """This address without the resource."""
        if self.resource is None:
            return self
        if self._bare is None:
            object.__setattr__(self, "_bare", _make(self.local, self.domain, None))
        assert self._bare is not None
        return self._bare

    @property
    def is_bare(self) -> bool:
        """True without a resource."""
        return self.resource is None

    def replace(self, **parts: str | None) -> JID:
        """A copy with other parts: jid.replace(resource="bot"). JIDError as ever."""
        current = {"local": self.local, "domain": self.domain, "resource": self.resource}
        for name, value in parts.items():
            if name not in current:
                raise TypeError(f"a JID has no part {name!r}")
            if value is not None or name == "domain":
                value = _STRICT[name](value)  # type: ignore[arg-type]
            current[name] = value
        return _make(**current)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"JID({self._text!r})"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, JID):
            return self is other or self._text == other._text
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    def __lt__(self, other: object) -> bool:
        if isinstance(other, JID):
            return _sort_key(self) < _sort_key(other)
        return NotImplemented

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a JID cannot be changed: use replace()")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a JID cannot be changed: use replace()")

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self._text,)


def _unpickle(text: str) -> JID:
    return JID.received(text)


def _sort_key(jid: JID) -> tuple[str, str, str]:
    return jid.domain, jid.local or "", jid.resource or ""


def _make(local: str | None, domain: str, resource: str | None) -> JID:
    text = domain if local is None else f"{local}@{domain}"
    if resource is not None:
        text = f"{text}/{resource}"
    jid = object.__new__(JID)
    put = object.__setattr__
    put(jid, "local", local)
    put(jid, "domain", domain)
    put(jid, "resource", resource)
    put(jid, "_text", text)
    put(jid, "_bare", None)
    return jid


def _split(text: str) -> tuple[str | None, str, str | None]:
    if not isinstance(text, str):
        raise JIDError(f"not a text: {text!r:.80}")
    # RFC 7622 §3.2: first "/" ends the domain, then the first "@" ends the local part.
    rest, slash, resource = text.partition("/")
    local, at, domain = rest.partition("@")
    return local if at else None, domain if at else rest, resource if slash else None


def _parse(text: str) -> JID:
    local, domain, resource = _split(text)
    return _make(
        None if local is None else _local(local),
        _domain(domain),
        None if resource is None else _resource(resource),
    )


def _received(text: str) -> JID:
    local, domain, resource = _split(text)
    return _make(
        None if local is None else _tolerated("local", local, _NEVER_IN_LOCAL),
        _tolerated("domain", domain, _NEVER_IN_DOMAIN),
        None if resource is None else _tolerated("resource", resource, None),
    )


def _tolerated(part: str, value: str, never: Callable[[str], re.Match[str] | None] | None) -> str:
    """The part normalised, or else as it stands."""
    try:
        return _STRICT[part](value)
    except JIDError:
        # In this order, for what has a million characters.
        if (
            not 0 < len(value) <= PART_BYTES
            or _HARMFUL(value)
            or (never is not None and never(value))
            or len(value.encode()) > PART_BYTES
        ):
            raise
        return value


# The cached functions themselves: a method around them would cost more than the look-up.
JID.parse = staticmethod(lru_cache(maxsize=CACHE_SIZE)(_parse))  # type: ignore[method-assign]
JID.received = staticmethod(lru_cache(maxsize=CACHE_SIZE)(_received))  # type: ignore[method-assign]


def _checked(part: str, value: str) -> str:
    """The normalised value, if its length is allowed."""
    if not 0 < len(value.encode()) <= PART_BYTES:
        raise JIDError(f"the {part} of a JID has 1 to {PART_BYTES} bytes: {value!r:.80}")
    return value


def _bounded(part: str, value: str) -> None:
    """Before work is spent on it."""
    if len(value) > PART_CHARACTERS:
        raise JIDError(f"the {part} of a JID has at most {PART_BYTES} bytes: {value!r:.80}")


def _enforce(profile: Any, part: str, value: str) -> str:
    _bounded(part, value)
    try:
        for _ in range(ENFORCEMENTS):
            before, value = value, profile.enforce(value)
            if value == before:
                return _checked(part, value)
    except UnicodeError as error:
        raise JIDError(f"not allowed in the {part} of a JID: {value!r:.80}") from error
    raise JIDError(f"the {part} of a JID has no stable form: {value!r:.80}")


def _local(value: str) -> str:
    # ASCII needs no PRECIS: lower-casing is all that UsernameCaseMapped does to it.
    if len(value) <= PART_BYTES:
        if _SIMPLE_LOCAL(value):
            return value
        if value.isascii() and _SIMPLE_LOCAL(value.lower()):
            return value.lower()
    return _slow_local(value)


def _slow_local(value: str) -> str:
    if not value:
        raise JIDError("empty local part before the @")
    local = _enforce(_username, "local part", value)
    if found := _LOCAL_FORBIDDEN.intersection(local):
        raise JIDError(f"{min(found)!r} is not allowed in the local part of a JID: {value!r:.80}")
    return local


def _resource(value: str) -> str:
    # OpaqueString leaves printable ASCII as it is, spaces and capitals included.
    if value.isascii() and value.isprintable() and 0 < len(value) <= PART_BYTES:
        return value
    return _slow_resource(value)


def _slow_resource(value: str) -> str:
    if not value:
        raise JIDError("empty resource after the /")
    return _enforce(_opaque, "resource", value)


def _domain(value: str) -> str:
    if len(value) <= _DOMAIN_CHARACTERS and _SIMPLE_DOMAIN(value):
        return value
    return _slow_domain(value)


def _slow_domain(value: str) -> str:
    if not value:
        raise JIDError("a JID without a domain")
    _bounded("domain", value)
    if value[0] == "[" and value[-1] == "]":
        return _ipv6(value)
    try:
        # The A-labels are only a waypoint: encode() validates, decode() gives U-labels.
        decoded = idna.decode(idna.encode(value, uts46=True))
    except UnicodeError as error:
        raise JIDError(f"not a domain: {value!r:.80}: {str(error)!r:.80}") from error
    # The trailing dot may have been one of the other full stops of IDNA (RFC 3490 §3.1).
    return _checked("domain", decoded.removesuffix("."))


def _ipv6(host: str) -> str:
    try:
        return f"[{ipaddress.IPv6Address(host[1:-1])}]"
    except ValueError as error:
        raise JIDError(f"not an IPv6 address: {host!r:.80}") from error


_STRICT: Final[dict[str, Callable[[str], str]]] = {
    "local": _local,
    "domain": _domain,
    "resource": _resource,
}

# -- XEP-0106 -------------------------------------------------------------------------------------

_ESCAPED: Final = {
    " ": r"\20", '"': r"\22", "&": r"\26", "'": r"\27", "/": r"\2f",
    ":": r"\3a", "<": r"\3c", ">": r"\3e", "@": r"\40", "\\": r"\5c",
}  # fmt: skip
_UNESCAPED: Final = {code: character for character, code in _ESCAPED.items()}
# A backslash is escaped only where it would be read as the start of an escape (§4.2).
_TO_ESCAPE: Final = re.compile(r""" |["&'/:<>@]|\\(?=20|22|26|27|2f|3a|3c|3e|40|5c)""")
_TO_UNESCAPE: Final = re.compile(r"\\(?:20|22|26|27|2f|3a|3c|3e|40|5c)")


def escape_node(text: str) -> str:
    """Any text as a local part: the characters that are forbidden there become \\20, \\40, ….

    JIDError if it begins or ends with a space (XEP-0106 §4.1).
    """
    if text != text.strip(" "):
        raise JIDError(f"a local part cannot begin or end with a space: {text!r:.80}")
    return _TO_ESCAPE.sub(lambda found: _ESCAPED[found[0]], text)


def unescape_node(local: str) -> str:
    """What escape_node() was given."""
    return _TO_UNESCAPE.sub(lambda found: _UNESCAPED[found[0]], local)
