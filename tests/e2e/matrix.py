"""What works with which server: the table that the tests are made from, and the documentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from emp.config import ConnectionSettings

Name = Literal["prosody", "ejabberd", "embedded"]
SERVERS: dict[Name, str] = {
    "prosody": "Prosody 0.12",
    "ejabberd": "ejabberd 23.01",
    "embedded": "embedded",
}
"""Prosody and ejabberd are those of Debian 12."""

USER = "alice"
PEER = "bob"


@dataclass(frozen=True, slots=True)
class Venue:
    """A server that is running, and how to reach it. None: it has no such port."""

    name: Name
    domain: str
    client_port: int
    component_port: int
    component: str
    secret: str
    ca_file: Path
    certificate: Path
    key: Path
    anonymous_domain: str | None = None
    direct_port: int | None = None
    component_tls_port: int | None = None
    websocket: str | None = None

    def client(self, node: str | None = USER, **changes: Any) -> ConnectionSettings:
        usual: dict[str, Any] = {
            "host": self.domain,
            "node": node,
            "server": "127.0.0.1",
            "password": f"pw-{node}",
            "port": self.client_port,
            "ca_file": self.ca_file,
        }
        return ConnectionSettings(name=self.name, kind="client", **usual | changes)

    def as_component(self, **changes: Any) -> ConnectionSettings:
        usual: dict[str, Any] = {
            "host": self.component,
            "secret": self.secret,
            "port": self.component_port,
        }
        return ConnectionSettings(name=self.name, server="127.0.0.1", **usual | changes)


Make = Callable[[Venue], ConnectionSettings]


@dataclass(frozen=True, slots=True)
class Row:
    """One feature. `servers` have it, and are tested with it; `tls`: the only version they may use.

    settings: of the connection that is opened. told: what a step of connecting has to report.
    embedded: how EMP's own server is started for this row, when not as usual. way: what is done
    beyond a message to oneself: "resume": the stream is cut, and goes on; "bind2": the resource is
    the server's; "token": the second login is done with a token.
    """

    feature: str
    servers: tuple[Name, ...]
    settings: Make
    told: dict[str, str] = field(default_factory=dict)
    tls: Literal["1.2", "1.3"] | None = None
    embedded: Mapping[str, Any] = field(default_factory=dict)
    way: Literal["message", "resume", "bind2", "token"] = "message"


def _starttls(version: Literal["1.2", "1.3"], *servers: Name) -> Row:
    return Row(
        f"STARTTLS, TLS {version}",
        servers,
        lambda venue: venue.client(),
        {"secure": f"TLS {version}"},
        tls="1.2" if version == "1.2" else None,
    )


def _direct(version: Literal["1.2", "1.3"], *servers: Name) -> Row:
    return Row(
        f"direct TLS (XEP-0368), TLS {version}",
        servers,
        lambda venue: venue.client(tls="direct", port=venue.direct_port),
        {"secure": f"TLS {version}"},
        tls="1.2" if version == "1.2" else None,
    )


def _mechanism(name: str, *servers: Name, **changes: Any) -> Row:
    return Row(
        name,
        servers,
        lambda venue: venue.client(mechanisms=(name,), **changes),
        {"authenticate": name},
    )


def _bound(name: str, binding: str, version: Literal["1.2", "1.3"], *servers: Name) -> Row:
    return Row(
        f"{name}, {binding}, TLS {version}",
        servers,
        lambda venue: venue.client(mechanisms=(name,)),
        {"secure": f"TLS {version}", "authenticate": name},
        tls="1.2" if version == "1.2" else None,
    )


ROWS = (
    _starttls("1.2", "prosody", "ejabberd"),
    _starttls("1.3", "prosody", "ejabberd", "embedded"),
    _direct("1.2", "prosody", "ejabberd"),
    _direct("1.3", "prosody", "ejabberd", "embedded"),
    _mechanism("PLAIN", "prosody", "ejabberd", "embedded"),
    _mechanism("SCRAM-SHA-1", "prosody", "ejabberd", "embedded"),
    _mechanism("SCRAM-SHA-256", "prosody", "ejabberd", "embedded"),
    _mechanism("SCRAM-SHA-512", "ejabberd", "embedded"),
    _bound("SCRAM-SHA-1-PLUS", "tls-unique", "1.2", "prosody", "ejabberd"),
    _bound("SCRAM-SHA-256-PLUS", "tls-unique", "1.2", "prosody", "ejabberd"),
    _bound("SCRAM-SHA-512-PLUS", "tls-unique", "1.2", "ejabberd"),
    _bound("SCRAM-SHA-256-PLUS", "tls-exporter", "1.3", "embedded"),
    _bound("SCRAM-SHA-512-PLUS", "tls-exporter", "1.3", "embedded"),
    Row(
        "EXTERNAL",
        ("ejabberd", "embedded"),
        lambda venue: venue.client(
            password=None,
            mechanisms=("EXTERNAL",),
            certificate=venue.certificate,
            key=venue.key,
        ),
        {"authenticate": "EXTERNAL"},
    ),
    Row(
        "ANONYMOUS",
        ("prosody", "ejabberd", "embedded"),
        lambda venue: venue.client(
            node=None, password=None, host=venue.anonymous_domain, mechanisms=("ANONYMOUS",)
        ),
        {"authenticate": "ANONYMOUS"},
        embedded={"mechanisms": ("ANONYMOUS",)},
    ),
    Row(
        "component (XEP-0114)",
        ("prosody", "ejabberd", "embedded"),
        lambda venue: venue.as_component(),
    ),
    Row(
        "component, TLS from the first byte",
        ("ejabberd", "embedded"),
        lambda venue: venue.as_component(
            tls="direct",
            port=venue.component_tls_port,
            tls_name=venue.domain,
            ca_file=venue.ca_file,
        ),
        {"secure": "TLS 1.3"},
        embedded={"component_tls": True},
    ),
    Row(
        "stream management, resumption (XEP-0198)",
        ("prosody", "ejabberd", "embedded"),
        lambda venue: venue.client(),
        way="resume",
    ),
    Row(
        "WebSocket (RFC 7395)",
        ("prosody", "ejabberd", "embedded"),
        lambda venue: venue.client(websocket=venue.websocket, server=None, port=1),  # not by TCP
        {"upgrade": "WebSocket"},
    ),
    Row(
        "WebSocket, resumption",
        ("prosody", "ejabberd", "embedded"),
        lambda venue: venue.client(websocket=venue.websocket, server=None, port=1),
        way="resume",
    ),
    Row(
        "WebSocket, SCRAM-SHA-256-PLUS, TLS 1.2",
        ("prosody",),
        lambda venue: venue.client(
            websocket=venue.websocket, server=None, port=1, mechanisms=("SCRAM-SHA-256-PLUS",)
        ),
        {"secure": "TLS 1.2", "authenticate": "SCRAM-SHA-256-PLUS"},
        tls="1.2",
    ),
    Row(
        "SASL2 (XEP-0388) with Bind 2 (XEP-0386)",
        ("embedded",),
        lambda venue: venue.client(),
        embedded={"sasl2": True},
        way="bind2",
    ),
    Row(
        "SASL2 with resumption",
        ("embedded",),
        lambda venue: venue.client(),
        embedded={"sasl2": True},
        way="resume",
    ),
    Row(
        "FAST (XEP-0484)",
        ("embedded",),
        lambda venue: venue.client(),
        embedded={"sasl2": True},
        way="token",
    ),
)


def table() -> str:
    """The rows as Markdown: yes, where a test proves it; –, where the server has not got it."""
    lines = ["| | " + " | ".join(SERVERS.values()) + " |", "|---" * (len(SERVERS) + 1) + "|"]
    for row in ROWS:
        cells = ["yes" if name in row.servers else "–" for name in SERVERS]
        lines.append(f"| {row.feature} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
