"""The configuration file: what it may say, and what it means.

`config/emp.toml` (or `emp.toml` beside a one-file app) is TOML. Every key is in `SCHEMA`; a key
that is not there, or a value of the wrong kind, is a `ConfigError` with file and line, and with the
nearest right key. Nothing here opens a socket or a log.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from emp.errors import ConfigError, JIDError
from emp.jid import JID
from emp.sasl import MECHANISMS
from emp.stream.limits import STANZA_BYTES

SystemName = Literal["embedded", "multiproc"]
ConnectionKind = Literal["component", "client"]
TlsMode = Literal["required", "direct", "none"]
SubscriptionPolicy = Literal["ask", "accept", "accept-and-reciprocate", "deny"]

CONNECT_TIMEOUT = 30.0
"""Seconds for each step of connecting: a server that is slower than that is not working."""

KEEPALIVE = 60.0
"""Seconds of silence after which we ask whether the other side is there: below the idle limits of
common NAT boxes."""

PING_TIMEOUT = 20.0
"""Seconds for the answer to that question; afterwards the connection counts as lost."""


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """One connection of the configuration file, `[connections.NAME]`.

    `host` is the XMPP domain: the account's for a client, the component's own for XEP-0114.
    `server` and `port` say where to connect when that is not what DNS says. Times are in seconds.

    tls: "required" (a client: STARTTLS, or direct TLS where SRV or the port says so; a component:
    direct TLS, but clear text on loopback), "direct" (TLS from the first byte), "none" (clear).
    tls_name: what a component's server must prove to be, where that is not `server`.
    pins: SHA-256 of certificates (hex, lower case) of which the server must show one; names and
    authorities do not count then. certificate, key: PEM files of our own certificate. dane: use
    TLSA records that the resolver has validated (RFC 7712).
    mechanisms, floor: the SASL mechanisms that may be used, or the weakest that may.
    websocket: its address (wss://…), or "discover" for XEP-0156; None for TCP.
    management: use XEP-0198. token_file: where FAST tokens (XEP-0484) are kept; None: in memory.
    presence: whether to become available, with show, status, priority and caps (the URI of the
    software, XEP-0115). subscriptions: what is done with requests to see our presence.
    roster, carbons: whether to ask for them. client_state: XEP-0352.
    """

    name: str
    host: str
    kind: ConnectionKind = "component"
    node: str | None = None
    password: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    server: str | None = None
    port: int | None = None
    resource: str | None = None
    tls: TlsMode = "required"
    tls_name: str | None = None
    ca_file: Path | None = None
    pins: frozenset[str] = frozenset()
    certificate: Path | None = None
    key: Path | None = None
    dane: bool = False
    mechanisms: tuple[str, ...] | None = None
    floor: str | None = None
    websocket: str | None = None
    management: bool = True
    token_file: Path | None = None
    presence: bool = True
    show: str | None = None
    status: str | None = None
    priority: int | None = None
    caps: str | None = None
    subscriptions: SubscriptionPolicy = "ask"
    roster: bool = False
    carbons: bool = False
    client_state: Literal["active", "inactive"] | None = None
    connect_timeout: float = CONNECT_TIMEOUT
    keepalive: float = KEEPALIVE
    ping_timeout: float = PING_TIMEOUT
    stanza_bytes: int = STANZA_BYTES

    @property
    def address(self) -> str:
        """The bare JID that this connection speaks for."""
        return f"{self.node}@{self.host}" if self.node else self.host


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration file, checked. `file` is None for a configuration made in code.

    hang_limit: seconds without a sign of life after which what hangs is ended: an actor's process
    in the multiproc system, the one process of the embedded system. 0: never; None: as the system
    does it unless it is told (`actors.family`, `actors.watchdog`).
    """

    connections: tuple[ConnectionSettings, ...] = ()
    app_name: str | None = None
    app_module: str | None = None
    system: SystemName = "embedded"
    system_port: int | None = None
    hang_limit: float | None = None
    log_level: str = "info"
    file: Path | None = None


# ── the schema ──────────────────────────────────────────────────────────────────────────────────

Rule = Callable[[Any], Any]
"""Takes a TOML value, gives what the program works with, or raises ValueError saying what is
wanted."""


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a text that is not empty")
    return value


def _domain(value: Any) -> str:
    try:
        jid = JID.parse(_text(value))
    except JIDError as error:
        raise ValueError(f"must be an XMPP domain: {error}") from None
    if jid.local or jid.resource:
        raise ValueError("must be an XMPP domain without user name and resource")
    return jid.domain


def _node(value: Any) -> str:
    try:
        return JID(_text(value), "localhost").local or ""
    except JIDError as error:
        raise ValueError(f"must be the user name of a JID: {error}") from None


def _server(value: Any) -> str:
    host, colon, port = _text(value).rpartition(":")
    if colon and port.isdigit() and ":" not in host:
        raise ValueError(f"must be a host without a port: write port = {port} beside it")
    return str(value)


def _number(low: float, high: float, unit: str) -> Rule:
    def rule(value: Any) -> float:
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not low <= value <= high
        ):
            raise ValueError(f"must be a number of {unit} from {low:g} to {high:g}")
        return float(value)

    return rule


def _whole(low: int, high: int, what: str) -> Rule:
    def rule(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be {what} from {low} to {high}")
        return value

    return rule


def _one_of(*words: str) -> Rule:
    def rule(value: Any) -> str:
        if value not in words:
            hint = _nearest(str(value), words)
            raise ValueError(
                f"must be {_or(words)}" + (f" (did you mean {hint!r}?)" if hint else "")
            )
        return str(value)

    return rule


def _mechanisms(value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise ValueError('must be a SASL mechanism or a list of them, such as ["SCRAM-SHA-256"]')
    for name in names:
        _one_of(*MECHANISMS)(name)
    return tuple(names)


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _mechanism(value: Any) -> str:
    return str(_one_of(*MECHANISMS)(value))


def _fingerprints(value: Any) -> frozenset[str]:
    """SHA-256 in hex, with or without colons, one or a list: as `openssl x509 -fingerprint`."""
    given = [value] if isinstance(value, str) else value
    wanted = "must be the SHA-256 of a certificate, 64 hexadecimal digits, or a list of them"
    if not isinstance(given, list) or not given or not all(isinstance(v, str) for v in given):
        raise ValueError(wanted)
    pins = frozenset(each.replace(":", "").replace(" ", "").lower() for each in given)
    if not all(re.fullmatch("[0-9a-f]{64}", pin) for pin in pins):
        raise ValueError(wanted)
    return pins


def _websocket(value: Any) -> str:
    if value == "discover" or (isinstance(value, str) and re.match("wss?://[^/?#]", value)):
        return str(value)
    raise ValueError('must be an address that begins with wss://, or "discover"')


SCHEMA: dict[str, dict[str, Rule]] = {
    "app": {"name": _text, "module": _text},
    "system": {
        "base": _one_of("embedded", "multiproc"),
        "port": _whole(1, 65535, "a port"),
        "hang_limit": _number(0, 86400, "seconds"),
    },
    "log": {"level": _one_of("debug", "info", "warning", "error")},
    "connections": {
        "kind": _one_of("component", "client"),
        "node": _node,
        "host": _domain,
        "password": _text,
        "password_file": _text,
        "password_env": _text,
        "secret": _text,
        "secret_file": _text,
        "secret_env": _text,
        "authentication": _mechanisms,
        "server": _server,
        "port": _whole(1, 65535, "a port"),
        "resource": _text,
        "minimum_authentication": _mechanism,
        "tls": _one_of("required", "direct", "none"),
        "tls_name": _domain,
        "ca_file": _text,
        "certificate_sha256": _fingerprints,
        "certificate": _text,
        "key": _text,
        "dane": _yes_or_no,
        "websocket": _websocket,
        "stream_management": _yes_or_no,
        "token_file": _text,
        "presence": _yes_or_no,
        "show": _one_of("away", "chat", "dnd", "xa"),
        "status": _text,
        "priority": _whole(-128, 127, "a number"),
        "caps": _text,
        "subscriptions": _one_of("ask", "accept", "accept-and-reciprocate", "deny"),
        "roster": _yes_or_no,
        "carbons": _yes_or_no,
        "client_state": _one_of("active", "inactive"),
        "connect_timeout": _number(0.1, 600, "seconds"),
        "keepalive": _number(0, 86400, "seconds"),
        "ping_timeout": _number(0.1, 600, "seconds"),
        # RFC 6120 §13.12 wants at least 10,000; more than 4 MiB doesn't pass between processes.
        "stanza_bytes": _whole(10_000, 4_194_304, "a number of bytes"),
    },
}
"""Section → key → rule. `connections` holds one table per connection, each with these keys."""

_NEEDED = {"client": ("node", "password"), "component": ("secret",)}
_CLIENTS_ONLY = (
    *("node", "password", "resource", "authentication", "minimum_authentication", "dane"),
    *("websocket", "stream_management", "token_file", "presence", "show", "status", "priority"),
    *("caps", "subscriptions", "roster", "carbons", "client_state"),
)
_MISPLACED = {"client": ("secret", "tls_name"), "component": _CLIENTS_ONLY}


# ── reading ─────────────────────────────────────────────────────────────────────────────────────


def load(file: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Read and check a configuration file.

    `password_file` and `ca_file` are relative to the file's folder; `password_env` names a variable
    of `environ`. Raises `ConfigError` with file and line.
    """
    try:
        text = file.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError("no such configuration file", file=str(file)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=str(file)) from None
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        raise ConfigError(
            f"not valid TOML: {error}", file=str(file), line=int(line[1]) if line else None
        ) from None
    return _Reader(file, text, environ).config(data)


class _Reader:
    """One pass over one file: knows the text, so that every complaint can name its line."""

    def __init__(self, file: Path, text: str, environ: Mapping[str, str]) -> None:
        self.file, self.lines, self.environ = file, text.splitlines(), environ

    def config(self, data: dict[str, Any]) -> Config:
        for name, value in data.items():
            self.known(name, SCHEMA, "section", ())
            if not isinstance(value, dict):
                raise self.error(f"{name!r} must be a section: write [{name}]", (name,))
        app = self.section(data, "app")
        system = self.section(data, "system")
        connections = data.get("connections", {})
        return Config(
            connections=tuple(self.connection(name, table) for name, table in connections.items()),
            app_name=app.get("name"),
            app_module=app.get("module"),
            system=system.get("base", "embedded"),
            system_port=system.get("port"),
            hang_limit=system.get("hang_limit"),
            log_level=self.section(data, "log").get("level", "info"),
            file=self.file,
        )

    def section(self, data: dict[str, Any], name: str) -> dict[str, Any]:
        return self.table(data.get(name, {}), SCHEMA[name], (name,))

    def table(
        self, table: dict[str, Any], rules: Mapping[str, Rule], path: tuple[str, ...]
    ) -> dict[str, Any]:
        checked = {}
        for key, value in table.items():
            self.known(key, rules, "key", path)
            try:
                checked[key] = rules[key](value)
            except ValueError as error:
                raise self.error(f"{key} {error}", (*path, key)) from None
        return checked

    def connection(self, name: str, table: Any) -> ConnectionSettings:
        path = ("connections", name)
        if not isinstance(table, dict):
            hint = f"write [connections.NAME] above {name!r}"
            raise self.error(f"connections holds one table per connection: {hint}", path)
        keys = self.table(table, SCHEMA["connections"], path)
        kind: ConnectionKind = keys.get("kind", "component")
        for word in ("password", "secret"):
            self.secret(word, keys, path)
        for key in ("host", *_needed(kind, keys.get("authentication"))):
            if key not in keys:
                alternatives = f" ({key}_file or {key}_env do as well)" if key in SECRETS else ""
                raise self.error(f"{key} is missing for kind = {kind!r}{alternatives}", path)
        for key in _MISPLACED[kind]:
            if key in keys:
                raise self.error(
                    f"{key} has no meaning for kind = {kind!r}",
                    (*path, key),
                    'write kind = "client" for a client account'
                    if kind == "component"
                    else 'write kind = "component" for an XEP-0114 component',
                )
        for key, advice in _FILES.items():
            if key in keys:
                keys[key] = self.beside(keys[key])
                if not keys[key].is_file():
                    raise self.error(f"{key} {keys[key]} does not exist", (*path, key), advice)
        if "token_file" in keys:
            keys["token_file"] = self.beside(keys["token_file"])
        for one, other in _EXCLUSIVE:
            if one in keys and other in keys:
                raise self.error(f"{one} and {other}: only one of them, please", (*path, other))
        if "key" in keys and "certificate" not in keys:
            raise self.error("key needs a certificate beside it", (*path, "key"))
        fields = {_FIELDS.get(key, key): value for key, value in keys.items()}
        return ConnectionSettings(name=name, **fields)

    def secret(self, word: str, keys: dict[str, Any], path: tuple[str, ...]) -> None:
        """Turn WORD_file and WORD_env into WORD."""
        given = [key for key in (word, f"{word}_file", f"{word}_env") if key in keys]
        if len(given) > 1:
            raise self.error(f"{' and '.join(given)}: only one of them, please", (*path, given[1]))
        if f"{word}_file" in keys:
            source = self.beside(keys.pop(f"{word}_file"))
            try:
                keys[word] = source.read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                raise self.error(
                    f"{word}_file cannot be read: {error}", (*path, given[0])
                ) from None
        elif f"{word}_env" in keys:
            variable = keys.pop(f"{word}_env")
            if not self.environ.get(variable):
                raise self.error(
                    f"{word}_env: the environment has no {variable}", (*path, given[0])
                )
            keys[word] = self.environ[variable]

    def beside(self, name: str) -> Path:
        return (self.file.parent / Path(name).expanduser()).resolve()

    def known(
        self, name: str, words: Mapping[str, object], what: str, path: tuple[str, ...]
    ) -> None:
        if name in words:
            return
        hint = _nearest(name, words)
        where = f" in [{'.'.join(path)}]" if path else ""
        raise self.error(
            f"unknown {what} {name!r}{where}",
            (*path, name),
            f"did you mean {hint!r}?" if hint else f"known are {', '.join(sorted(words))}",
        )

    def error(self, message: str, path: tuple[str, ...], remedy: str | None = None) -> ConfigError:
        return ConfigError(message, file=str(self.file), line=self.line(path), remedy=remedy)

    def line(self, path: tuple[str, ...]) -> int | None:
        """The line where `path` begins: its [table] header, or its key below that header."""
        header: tuple[str, ...] = ()
        found = None
        for number, line in enumerate(self.lines, 1):
            if table := re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]", line):
                header = tuple(part.strip(" \"'") for part in table[1].split("."))
                if header == path[: len(header)]:
                    found = number
                if header == path:
                    return number
            elif key := re.match(r"\s*([\w.\"'-]+)\s*=", line):
                keys = tuple(part.strip("\"'") for part in key[1].split("."))
                if (*header, *keys) == path:
                    return number
        return found


SECRETS = ("password", "secret")
_FILES = {
    "ca_file": "name the file of the authority to trust; for the development server, "
    "start `emp server` once",
    "certificate": "name the PEM file of your own certificate",
    "key": "name the PEM file of the certificate's private key",
}
_EXCLUSIVE = (
    ("authentication", "minimum_authentication"),
    ("certificate_sha256", "ca_file"),
    ("certificate_sha256", "dane"),
    *(("websocket", key) for key in ("server", "port", "dane")),
)
_FIELDS = {
    "authentication": "mechanisms",
    "minimum_authentication": "floor",
    "certificate_sha256": "pins",
    "stream_management": "management",
}
"""Keys of the file whose fields of ConnectionSettings have other names."""


def _needed(kind: ConnectionKind, mechanisms: tuple[str, ...] | None) -> tuple[str, ...]:
    """What must be there: who shows a certificate, or no name at all, has no password."""
    if kind == "client" and mechanisms is not None and "EXTERNAL" in mechanisms:
        return ("node", "certificate")
    if kind == "client" and mechanisms == ("ANONYMOUS",):
        return ()
    return _NEEDED[kind]


def _nearest(word: str, words: Mapping[str, object] | tuple[str, ...]) -> str | None:
    return next(iter(difflib.get_close_matches(word, list(words), 1, 0.6)), None)


def _or(words: tuple[str, ...]) -> str:
    quoted = [f'"{word}"' for word in words]
    return " or ".join(filter(None, (", ".join(quoted[:-1]), quoted[-1])))
