"""The engines that are fuzzed: each role in many configurations, made afresh in a microsecond.

Nothing is shared between two of them, so that what one has seen changes nothing for the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from emp import ns
from emp.jid import JID
from emp.sasl.issued import IssuedTokens
from emp.stanza import Message
from emp.stream import (
    ClientConfig,
    ClientStream,
    ComponentConfig,
    ComponentStream,
    Limits,
    ServerConfig,
    ServerStream,
)
from emp.stream.engine import Stream
from emp.stream.framing import TCP, WEBSOCKET, Framing
from emp.stream.management import Management
from emp.stream.parser import StreamParser
from emp.tokens import ClientTokens, Token, TokenStore
from tools.fuzzing.chance import Chance
from tools.fuzzing.twins import TwinParser

DOMAIN: Final = "localhost"
BINDINGS: Final = {"tls-exporter": b"e" * 32, "tls-server-end-point": b"p" * 32}
ACCOUNTS: Final = {"juliet": "r0m30myr0m30", "romeo": "tab\u00ado"}
SECRETS: Final = {"c.localhost": "sesame"}
CLIENT_ID: Final = "d4565fa7-4d72-4749-b3d3-740edbf87770"
TOKEN: Final = "a-token-from-the-last-login"
MECHANISM: Final = "HT-SHA-256-EXPR"
SESSION: Final = "an earlier session"
NOW: Final = 1_800_000_000.0
NARROW: Final = Limits(
    stanza_bytes=900, header_bytes=300, attributes=6, namespaces=4, early_bytes=2500
)
"""Bounds that ordinary dialogues nearly reach, so that mutations do."""


@dataclass(frozen=True, slots=True)
class Subject:
    """make: a new engine, ready for the peer's bytes. bindings: what its TLS gives."""

    role: str
    make: Callable[[], Stream | StreamParser]
    bindings: Mapping[str, bytes]
    framing: Framing = TCP


def _client(
    *,
    start: bool = True,
    secure: bool = False,
    bindings: Mapping[str, bytes],
    tokens: Callable[[], ClientTokens] | None = None,
    management: Callable[[], Management] = Management,
    **changes: Any,
) -> Stream:
    settings = {"domain": DOMAIN, "username": "juliet", "password": ACCOUNTS["juliet"]} | changes
    config = ClientConfig(
        **settings,
        tokens=tokens() if tokens else None,
        management=management(),
    )
    stream = ClientStream(config)
    if secure:
        stream.tls_established(bindings)
    if start:
        stream.start()
    return stream


def _component(**changes: Any) -> Stream:
    stream = ComponentStream(ComponentConfig("c.localhost", "sesame", **changes))
    stream.start()
    return stream


def _server(
    *,
    secure: bool = False,
    bindings: Mapping[str, bytes],
    identities: tuple[str, ...] = (),
    keeps: bool = True,
    gives_tokens: bool = False,
    **changes: Any,
) -> Stream:
    config = ServerConfig(
        domain=DOMAIN,
        password_of=ACCOUNTS.get,
        secret_of=SECRETS.get,
        keeper=_Keeper() if keeps else None,
        tokens=_issued() if gives_tokens else None,
        prompt=True,
        **changes,
    )
    stream = ServerStream(config)
    if secure:
        stream.tls_established(bindings, identities)
    return stream


class _Keeper:
    """The sessions of one server, among them one that is waiting."""

    def __init__(self) -> None:
        self._sessions = {SESSION: session()}

    def keep(self, management: Management) -> tuple[str, int] | None:
        id = f"it's <{len(self._sessions)}> & \N{SNOWMAN}"
        self._sessions[id] = management
        return id, 300

    def resume(self, account: JID, id: str) -> Management | int | None:
        found = self._sessions.get(id)
        if found is None or found.jid is None or found.jid.bare != account:
            return 7 if id.startswith("old") else None
        found.interrupt()
        return found


def session() -> Management:
    """The books of an earlier session, in which one stanza of each side was not acknowledged."""
    books = Management()
    books.jid = JID("juliet", DOMAIN, "balcony")
    books.enable(SESSION, 300, None)
    books.record([Message("romeo@localhost", str(number)) for number in range(3)])
    books.received = 3
    books.handled = 2
    books.acknowledge(2)
    books.interrupt()
    return books


def _issued() -> IssuedTokens:
    issued = IssuedTokens(clock=_now)
    token = issued.issue("juliet@localhost", CLIENT_ID, MECHANISM)
    token.secret = TOKEN
    return issued


def _now() -> float:
    return NOW


def _no_token() -> ClientTokens:
    return ClientTokens(TokenStore(clock=_now), CLIENT_ID, None)


def _one_token() -> ClientTokens:
    return ClientTokens(TokenStore(clock=_now), CLIENT_ID, Token(MECHANISM, TOKEN, NOW + 1000))


def _subject(role: str, build: Callable[..., Stream], **settings: Any) -> Subject:
    bindings = settings.setdefault("bindings", {})
    if build is _component:
        del settings["bindings"]

    def make() -> Stream:
        Chance(role).use()
        return build(**settings)

    return Subject(role, make, bindings, settings.get("framing", TCP))


def _parser(limits: Limits, parser: type[StreamParser] = StreamParser) -> Subject:
    return Subject("parser", lambda: parser(limits), {})


_CLASSIC: Final[dict[str, Any]] = {"sasl2": False}
_PLAIN: Final[dict[str, Any]] = {"secure": True, "mechanisms": ("PLAIN",)}
_WEB: Final[dict[str, Any]] = {"framing": WEBSOCKET, "secure": True}

SUBJECTS: Final[Mapping[str, Subject]] = {
    "client": _subject("client", _client, **_CLASSIC),
    "client-clear": _subject("client", _client, require_tls=False, **_CLASSIC),
    "client-plus": _subject("client", _client, secure=True, bindings=BINDINGS, **_CLASSIC),
    "client-plain": _subject("client", _client, resource="balcony", **_PLAIN, **_CLASSIC),
    "client-external": _subject(
        "client",
        _client,
        secure=True,
        mechanisms=("EXTERNAL",),
        certificate=True,
        authzid="juliet@localhost",
    ),
    "client-anonymous": _subject(
        "client", _client, secure=True, mechanisms=("ANONYMOUS",), username="", password=None
    ),
    "client-sasl2": _subject(
        "client",
        _client,
        secure=True,
        bindings=BINDINGS,
        carbons=True,
        client_state="inactive",
        tokens=_no_token,
    ),
    "client-fast": _subject("client", _client, secure=True, bindings=BINDINGS, tokens=_one_token),
    "client-resuming": _subject("client", _client, management=session, **_PLAIN, **_CLASSIC),
    "client-resuming-sasl2": _subject("client", _client, management=session, **_PLAIN),
    "client-websocket": _subject("client-websocket", _client, **_WEB),
    "client-websocket-classic": _subject("client-websocket", _client, **_WEB, **_CLASSIC),
    "client-narrow": _subject("client", _client, limits=NARROW, **_PLAIN, **_CLASSIC),
    "client-not-started": _subject("client", _client, start=False),
    "component": _subject("component", _component),
    "component-narrow": _subject("component", _component, limits=NARROW),
    "server": _subject("server", _server),
    "server-clear": _subject("server", _server, require_tls=False, offer_tls=False, keeps=False),
    "server-direct": _subject(
        "server",
        _server,
        secure=True,
        bindings=BINDINGS,
        identities=("juliet@localhost",),
        gives_tokens=True,
        inline=(ns.CARBONS, ns.CSI),
        mechanisms=(
            *("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "EXTERNAL"),
            "ANONYMOUS",
        ),
    ),
    "server-websocket": _subject("server-websocket", _server, **_WEB),
    "server-narrow": _subject("server", _server, limits=NARROW, **_PLAIN),
    "server-component": _subject(
        "server-component", _server, accepts=frozenset({ns.COMPONENT}), require_tls=False
    ),
    "server-component-narrow": _subject(
        "server-component", _server, require_tls=False, limits=NARROW
    ),
    "parser": _parser(Limits()),
    "parser-narrow": _parser(NARROW),
    "parser-twins": _parser(Limits(), TwinParser),
    "parser-twins-narrow": _parser(NARROW, TwinParser),
}

ROLES: Final = tuple(dict.fromkeys(subject.role for subject in SUBJECTS.values()))
