"""The configuration file: what it may say, and what it means.

`config/emp.toml` (or `emp.toml` beside a one-file app) is TOML. Every key is in `SCHEMA`; a key
that is not there, or a value that cannot work, is a mistake with file and line, and with what to
write instead. All mistakes of a file are one `ConfigError`. Nothing here opens a socket or a log.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from emp import values
from emp.errors import ConfigError
from emp.stream.limits import ANSWER_BYTES, STANZA_BYTES
from emp.tomllines import lines_of
from emp.values import Rule

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
    resource: what to bind; a wish, unless it is needed, as where routes name it: then no other will
    do. websocket: its address (wss://…), or "discover" for XEP-0156; None for TCP.
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
    resource_needed: bool = False
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
    answer_bytes: int = ANSWER_BYTES

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
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict, repr=False, compare=False)

    def error(self, message: str, *path: str, remedy: str | None = None) -> ConfigError:
        """A mistake in the table or key of that path, as ("connections", NAME, KEY)."""
        return ConfigError(message, file=self.file, line=_line(self.lines, path), remedy=remedy)


# ── the schema ──────────────────────────────────────────────────────────────────────────────────

SCHEMA: dict[str, dict[str, Rule]] = {
    "app": {"name": values.line, "module": values.line},
    "system": {
        "base": values.one_of("embedded", "multiproc"),
        "port": values.whole(1, 65535, "a port"),
        "hang_limit": values.number(0, 86400, "seconds"),
    },
    "log": {"level": values.one_of("debug", "info", "warning", "error")},
    "connections": {
        "kind": values.one_of("component", "client"),
        "node": values.node,
        "host": values.domain,
        "password": values.password,
        "password_file": values.line,
        "password_env": values.line,
        "secret": values.secret,
        "secret_file": values.line,
        "secret_env": values.line,
        "authentication": values.mechanisms,
        "server": values.server,
        "port": values.whole(1, 65535, "a port"),
        "resource": values.resource,
        "minimum_authentication": values.mechanism,
        "tls": values.one_of("required", "direct", "none"),
        "tls_name": values.domain,
        "ca_file": values.line,
        "certificate_sha256": values.fingerprints,
        "certificate": values.line,
        "key": values.line,
        "dane": values.yes_or_no,
        "websocket": values.websocket,
        "stream_management": values.yes_or_no,
        "token_file": values.line,
        "presence": values.yes_or_no,
        "show": values.one_of("away", "chat", "dnd", "xa"),
        "status": values.sendable(values.STATUS_BYTES),
        "priority": values.whole(-128, 127, "a number"),
        "caps": values.uri,
        "subscriptions": values.one_of("ask", "accept", "accept-and-reciprocate", "deny"),
        "roster": values.yes_or_no,
        "carbons": values.yes_or_no,
        "client_state": values.one_of("active", "inactive"),
        "connect_timeout": values.number(0.1, 600, "seconds"),
        "keepalive": values.number(0, 86400, "seconds"),
        "ping_timeout": values.number(0.1, 600, "seconds"),
        # RFC 6120 §13.12 wants at least 10,000. More than this does not pass through libxml2, nor
        # between processes.
        "stanza_bytes": values.whole(10_000, ANSWER_BYTES, "a number of bytes"),
        "answer_bytes": values.whole(10_000, ANSWER_BYTES, "a number of bytes"),
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
    of `environ`. Raises one `ConfigError` for all mistakes, a line each, in the order of the file.
    """
    text = _read(file)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(file, text, error) from None
    except RecursionError:
        raise ConfigError("not valid TOML: nested too deep", file=file) from None
    reader = _Reader(file, lines_of(text), environ)
    config = reader.config(data)
    if reader.mistakes:
        raise all_in_one(reader.mistakes)
    return config


def all_in_one(mistakes: Sequence[ConfigError]) -> ConfigError:
    """One error for several, a line each, sorted by their lines."""
    if len(mistakes) == 1:
        return mistakes[0]
    ordered = sorted(mistakes, key=lambda error: (error.file or "", error.line or 0))
    return ConfigError("\n".join(dict.fromkeys(map(str, ordered))))


def _read(file: Path) -> str:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise ConfigError("no such configuration file", file=file) from None
    except IsADirectoryError:
        raise ConfigError(
            "cannot be read: it is a folder", file=file, remedy="name the file in it"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", file=file) from None
    try:
        # Editors on Windows begin a file with a byte order mark, which is not for us.
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"cannot be read: byte 0x{data[error.start]:02x} is not UTF-8"
        raise ConfigError(message, file=file, line=line, remedy="save it as UTF-8") from None


def _not_toml(file: Path, text: str, error: tomllib.TOMLDecodeError) -> ConfigError:
    place = re.search(r"at line (\d+)", str(error))
    lines = text.split("\n")
    number = int(place[1]) if place else max(1, len(text.rstrip().split("\n")))
    bare = re.match(r"\s*([\w-]+)\s*=\s*([^\s\"'\[{#][^\"'#]*?)\s*(#.*)?$", lines[number - 1])
    remedy = None
    if bare and not re.match(r"(true|false|[-+0-9.]+)$", bare[2]):
        shown = "…" if bare[1] in SECRETS else bare[2]
        remedy = f'a text stands in quotes: {bare[1]} = "{shown}"'
    elif "declare" in str(error) or "overwrite" in str(error).lower():
        remedy = "a table or key is written once"
    return ConfigError(f"not valid TOML: {error}", file=file, line=number, remedy=remedy)


class _Reader:
    """One pass over one file, which notes everything that is wrong with it."""

    def __init__(
        self, file: Path, lines: Mapping[tuple[str, ...], int], environ: Mapping[str, str]
    ) -> None:
        self.file, self.lines, self.environ = file, lines, environ
        self.mistakes: list[ConfigError] = []

    def config(self, data: dict[str, Any]) -> Config:
        """What the file says; of use only where there are no mistakes."""
        for name, value in data.items():
            if isinstance(value, dict) and name in SCHEMA:
                continue
            if name in SCHEMA:
                shape = "[connections.NAME]" if name == "connections" else f"[{name}]"
                self.say(f"{name!r} must be a section: write {shape}", name)
            elif isinstance(value, dict):
                self.unknown("section", name, SCHEMA)
            else:
                self.stray(name)
        app, system, log = (self.section(data, name) for name in ("app", "system", "log"))
        return Config(
            connections=tuple(self.connections(data.get("connections", {}))),
            app_name=app.get("name"),
            app_module=app.get("module"),
            system=system.get("base", "embedded"),
            system_port=system.get("port"),
            hang_limit=system.get("hang_limit"),
            log_level=log.get("level", "info"),
            file=self.file,
            lines=self.lines,
        )

    def section(self, data: dict[str, Any], name: str) -> dict[str, Any]:
        table = data.get(name, {})
        return self.table(table, SCHEMA[name], name) if isinstance(table, dict) else {}

    def table(self, table: dict[str, Any], rules: Mapping[str, Rule], *path: str) -> dict[str, Any]:
        """The values that are right."""
        checked = {}
        for key, value in table.items():
            if key not in rules:
                self.unknown("key", key, rules, *path)
                continue
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str) and (variable := _VARIABLE(text)):
                    self.variable(key, variable[1] or variable[2], *path)
                    break
            else:
                try:
                    checked[key] = rules[key](value)
                except ValueError as error:
                    self.say(f"{key} {error}", *path, key)
        return checked

    def connections(self, tables: Any) -> Iterator[ConnectionSettings]:
        if not isinstance(tables, dict):
            return
        for name, table in tables.items():
            path = ("connections", name)
            if not isinstance(table, dict):
                hint = f"write [connections.{name if isinstance(table, list) else 'NAME'}]"
                hint += "" if isinstance(table, list) else f" above {name!r}"
                self.say(f"connections holds one table per connection: {hint}", *path)
            elif not name.isprintable() or not name or " " in name:
                self.say(f"{name!r:.80} is no name for a connection", *path, remedy="use letters")
            elif settings := self.connection(name, table):
                yield settings

    def connection(self, name: str, table: dict[str, Any]) -> ConnectionSettings | None:
        path, before = ("connections", name), len(self.mistakes)
        keys = self.table(table, SCHEMA["connections"], *path)
        for word, rule in (("password", values.password), ("secret", values.secret)):
            self.secret(word, rule, keys, path)
        kind = self.kind(table, keys, path)
        if kind is not None:
            for key in ("host", *_needed(kind, keys.get("authentication"))):
                if not any(each in table for each in (key, *_sources(key))):
                    others = f" ({key}_file or {key}_env do as well)" if key in SECRETS else ""
                    self.say(f"{key} is missing for kind = {kind!r}{others}", *path)
            for key in _MISPLACED[kind]:
                for written in (key, *_sources(key)):
                    if written in table:
                        other = _OTHER_KIND[kind]
                        self.say(
                            f"{written} has no meaning for kind = {kind!r}",
                            *path,
                            written,
                            remedy=f"remove it, or write {other}",
                        )
        for key, advice in _FILES.items():
            if key in keys:
                keys[key] = self.beside(keys[key])
                if not os.path.isfile(keys[key]):
                    there = "is no file" if os.path.exists(keys[key]) else "does not exist"
                    self.say(f"{key} {str(keys[key])!r} {there}", *path, key, remedy=advice)
        if "token_file" in keys:
            # Not where a link leads: emp.tokens looks at the file itself.
            tokens = self.file.parent / os.path.expanduser(keys["token_file"])
            keys["token_file"] = Path(os.path.realpath(tokens.parent)) / tokens.name
            if os.path.isdir(keys["token_file"]):
                self.say(
                    f"token_file {str(keys['token_file'])!r} is a folder",
                    *path,
                    "token_file",
                    remedy="name a file in it, which need not exist",
                )
        for one, other in _EXCLUSIVE:
            if one in table and other in table:
                self.say(f"{one} and {other}: only one of them, please", *path, other)
        if "key" in table and "certificate" not in table:
            self.say("key needs a certificate beside it", *path, "key")
        if len(self.mistakes) > before:
            return None
        fields = {_FIELDS.get(key, key): value for key, value in keys.items()}
        return ConnectionSettings(name=name, **fields)

    def kind(
        self, table: dict[str, Any], keys: dict[str, Any], path: tuple[str, ...]
    ) -> ConnectionKind | None:
        """The kind, or None where there is no telling what is meant."""
        if "kind" in table:
            return keys.get("kind")
        accounts = [key for key in ("node", "password", *_sources("password")) if key in table]
        if accounts and not any(key in table for key in ("secret", *_sources("secret"))):
            message = f"{' and '.join(accounts)} without kind"
            remedy = 'write kind = "client" for the account of a user; a component has a secret'
            self.say(message, *path, accounts[0], remedy=remedy)
            return None
        return "component"

    def secret(self, word: str, rule: Rule, keys: dict[str, Any], path: tuple[str, ...]) -> None:
        """Turn WORD_file and WORD_env into WORD."""
        given = [key for key in (word, *_sources(word)) if key in keys]
        source, variable = keys.pop(f"{word}_file", None), keys.pop(f"{word}_env", None)
        if len(given) > 1:
            self.say(f"{' and '.join(given)}: only one of them, please", *path, given[1])
        elif source is not None or variable is not None:
            try:
                keys[word] = rule(
                    self.environment(variable) if source is None else self.first_line(source)
                )
            except ValueError as error:
                self.say(f"{given[0]}: {error}", *path, given[0])

    def environment(self, variable: str) -> str:
        if not self.environ.get(variable):
            raise ValueError(f"the environment has no {variable}")
        return self.environ[variable]

    def first_line(self, name: str) -> str:
        file = self.beside(name)
        try:
            text = file.read_text(encoding="utf-8-sig").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = "it is not UTF-8" if isinstance(error, UnicodeError) else error.strerror
            raise ValueError(f"{str(file)!r} cannot be read: {reason}") from None
        if not text:
            raise ValueError(f"{str(file)!r} is empty")
        return text

    def beside(self, name: str) -> Path:
        # Not Path's own functions: they raise for ~nobody and for links that lead in a circle.
        return Path(os.path.realpath(self.file.parent / os.path.expanduser(name)))

    # -- mistakes ---------------------------------------------------------------------------------

    def say(self, message: str, *path: str, remedy: str | None = None) -> None:
        line = _line(self.lines, path)
        self.mistakes.append(ConfigError(message, file=self.file, line=line, remedy=remedy))

    def unknown(self, what: str, name: str, words: Mapping[str, object], *path: str) -> None:
        where = f" in [{'.'.join(path)}]" if path else ""
        elsewhere = [each for each, keys in SCHEMA.items() if path and name in keys]
        if hint := values.nearest(name, words):
            remedy = f"did you mean {hint!r}?"
        elif elsewhere:
            shown = "connections.NAME" if elsewhere[0] == "connections" else elsewhere[0]
            remedy = f"it belongs into [{shown}]"
        else:
            remedy = f"known are {', '.join(sorted(words))}"
        self.say(f"unknown {what} {name!r:.80}{where}", *path, name, remedy=remedy)

    def stray(self, name: str) -> None:
        """A key before the first section."""
        for section, keys in SCHEMA.items():
            if hint := name if name in keys else values.nearest(name, keys):
                shown = "connections.NAME" if section == "connections" else section
                self.say(
                    f"{name!r:.80} stands in no section",
                    name,
                    remedy=f"write [{shown}] above it" + ("" if hint == name else f", and {hint}"),
                )
                return
        self.unknown("key", name, SCHEMA)

    def variable(self, key: str, variable: str, *path: str) -> None:
        """${VAR} would be taken as it stands, which nobody wants."""
        word = key.partition("_")[0]
        if key in SECRETS:
            remedy = (
                f'write {word}_env = "{variable}" for what the environment has; a {word} that'
                f" really reads so can stand in a {word}_file"
            )
        elif key.removesuffix("_env") in SECRETS:
            remedy = f'write {key} = "{variable}"'
        else:
            remedy = "write the value itself, or start with another file: --config FILE"
        self.say(
            f"{key}: variables such as ${{{variable}}} are not replaced", *path, key, remedy=remedy
        )


def _line(lines: Mapping[tuple[str, ...], int], path: tuple[str, ...]) -> int | None:
    """The line where the path begins, or what it is in."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


def _sources(word: str) -> tuple[str, ...]:
    """The keys that say where a secret comes from."""
    return (f"{word}_file", f"{word}_env") if word in SECRETS else ()


_VARIABLE = re.compile(r"\$\{([^{}]{1,80})\}|\A\$([A-Z_][A-Z0-9_]*)\Z").search
"""${NAME} anywhere, or $NAME as the whole value: what people write who hope for the environment."""

_OTHER_KIND = {
    "client": 'kind = "component" for an XEP-0114 component',
    "component": 'kind = "client" for a client account',
}
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
