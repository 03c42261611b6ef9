"""How Prosody and ejabberd are configured and started: one recipe each."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Literal

from emp.devserver.certificate import CertificateFiles

TEMPLATES = Path(__file__).parent / "templates"
LIBRARIES = Path("/usr/lib")


class ServerError(Exception):
    """A private server cannot be started, or did not come up; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a server differs from the usual one.

    tls: the only version of TLS that clients may use; None: 1.2 and 1.3.
    mechanisms: the only SASL mechanisms on offer; None: all that the server has.
    passwords: how they are kept. In clear, every SCRAM is on offer; hashed, only the one with that
    hash (Prosody knows no sha-512).
    archive: keep all messages (XEP-0313), and give them stanza-ids. ejabberd's takes a tenth of a
    second for each under load.
    load: limits widened far beyond what the packages ship with, for what measures or floods; stock
    servers are the rule, because services live on them, and because wide limits hide faults.
    mended: with our repair of a fault that Prosody (0.12, and 13.0 too) has in resumption, see
    templates/mod_resumption.lua.
    """

    tls: Literal["1.2", "1.3"] | None = None
    mechanisms: tuple[str, ...] | None = None
    passwords: Literal["plain", "sha-1", "sha-256", "sha-512"] = "plain"
    archive: bool = True
    load: bool = False
    mended: bool = False

    def disabled(self) -> list[str]:
        """The mechanisms that the server is told not to offer."""
        if self.mechanisms is None:
            return list(_OUTDATED)
        return [name for name in (*_OUTDATED, *_MECHANISMS) if name not in self.mechanisms]


_OUTDATED = ("DIGEST-MD5", "X-OAUTH2")
_SCRAM = tuple(f"SCRAM-SHA-{hash}{plus}" for hash in (1, 256, 512) for plus in ("", "-PLUS"))
_MECHANISMS = ("ANONYMOUS", "EXTERNAL", "PLAIN", *_SCRAM)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a server listens. clients: STARTTLS; direct: TLS from the first byte (XEP-0368); http:
    HTTPS, for WebSocket and host-meta; component_tls: TLS, for components (ejabberd's only)."""

    clients: int
    components: int
    direct: int
    http: int
    component_tls: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a recipe has to know about the server to be: places, ports, accounts.

    `accounts` are user names with their passwords, `components` domains with their secrets.
    `client_authority` is the PEM file of who signs users' certificates. `directory` holds
    everything that the server writes.
    """

    directory: Path
    host: str
    domain: str
    anonymous_domain: str
    ports: Ports
    accounts: Mapping[str, str]
    components: Mapping[str, str]
    certificates: CertificateFiles
    client_authority: Path
    options: Options = Options()

    @property
    def conference(self) -> str:
        """The domain of its chat rooms (XEP-0045)."""
        return f"conference.{self.domain}"

    @property
    def websocket(self) -> str:
        """Where WebSocket is served: the address says localhost, which the certificate covers."""
        return f"wss://localhost:{self.ports.http}/ws"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One kind of server.

    `configure` writes the files that the server reads; `command` gives its command line (it stays
    in the foreground) and raises ServerError when it is not installed. `logs` and `markers` are
    file names in the plan's directory: what to show when something fails, and what exists once
    the accounts do. `component_tls`: it has a port for components with TLS.
    """

    name: str
    configure: Callable[[Plan], None]
    command: Callable[[Plan], list[str]]
    logs: tuple[str, ...]
    markers: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    component_tls: bool = False


def _missing(package: str) -> ServerError:
    return ServerError(
        f"{package} is not installed. On Debian or Ubuntu: apt-get install {package} "
        "(tools/test does it by itself; tools/test --fast leaves these tests out)"
    )


def _fill_in(template: str, plan: Plan, **more: str) -> str:
    return Template((TEMPLATES / template).read_text()).substitute(
        more,
        directory=plan.directory,
        host=plan.host,
        domain=plan.domain,
        anonymous=plan.anonymous_domain,
        conference=plan.conference,
        client_port=plan.ports.clients,
        direct_port=plan.ports.direct,
        http_port=plan.ports.http,
        component_port=plan.ports.components,
        component_tls_port=plan.ports.component_tls,
        certificate=plan.certificates.certificate,
        key=plan.certificates.key,
        client_authority=plan.client_authority,
        websocket=plan.websocket,
    )


# Prosody

_PROSODY_TLS = {None: "tlsv1_2+", "1.2": "tlsv1_2", "1.3": "tlsv1_3"}
_PROSODY_LIMITS = {
    False: """limits = { c2s = { rate = "10kb/s" } }""",
    True: """\
limits = { c2s = { rate = "100mb/s" } }
smacks_max_queue_size = 10000""",
}
_HOST_META = """\
<?xml version='1.0'?><XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>
<Link rel='urn:xmpp:alt-connections:websocket' href='{0}'/></XRD>
"""


def _configure_prosody(plan: Plan) -> None:
    options = plan.options
    if options.passwords == "sha-512":
        raise ServerError("Prosody keeps no passwords as SHA-512")
    components = "\n".join(
        f'Component "{domain}"\n\tcomponent_secret = "{secret}"'
        for domain, secret in plan.components.items()
    )
    text = _fill_in(
        "prosody.cfg.lua",
        plan,
        components=components,
        also='VirtualHost "localhost"' if plan.domain != "localhost" else "",
        authentication="internal_plain" if options.passwords == "plain" else "internal_hashed",
        password_hash=options.passwords.upper() if options.passwords != "plain" else "SHA-1",
        protocol=_PROSODY_TLS[options.tls],
        disabled=", ".join(f'"{name}"' for name in options.disabled()),
        limits=_PROSODY_LIMITS[options.load],
        room_modules='"muc_mam"' if options.archive else "",
        also_modules=" ".join(
            f'"{name}";'
            for name, wanted in (("mam", options.archive), ("resumption", options.mended))
            if wanted
        ),
    )
    (plan.directory / "prosody.cfg.lua").write_text(text)
    plugins = plan.directory / "plugins"  # the tree may be in a home that nobody may read
    plugins.mkdir(exist_ok=True)
    shutil.copy(TEMPLATES / "mod_resumption.lua", plugins)
    # Prosody 0.12 makes no host-meta (XEP-0156): its administrators serve a file.
    files = plan.directory / "www" / ".well-known"
    files.mkdir(parents=True, exist_ok=True)
    (files / "host-meta").write_text(_HOST_META.format(plan.websocket))
    # prosodyctl insists on the system's user; the account store is one small Lua file per user.
    host = plan.domain.replace(".", "%2e")
    store = plan.directory / "data" / host / "accounts"
    store.mkdir(parents=True, exist_ok=True)
    for user, password in plan.accounts.items():
        (store / f"{user}.dat").write_text(f'return {{ ["password"] = "{password}" }};\n')


def _prosody_command(plan: Plan) -> list[str]:
    program = shutil.which("prosody")
    if program is None:
        raise _missing("prosody")
    return [program, "-F", "--config", str(plan.directory / "prosody.cfg.lua")]


PROSODY = Recipe(
    name="prosody",
    configure=_configure_prosody,
    command=_prosody_command,
    logs=("log", "output"),
)


# ejabberd: run by `erl` itself. ejabberdctl insists on the system's user and on Erlang's
# distribution with its epmd daemon, which would outlive the test.

_REGISTERED = "registered"
_EJABBERD_LIMITS = {
    False: """\
shaper:
  normal:
    rate: 3000
    burst_size: 20000
shaper_rules:
  max_user_sessions: 10
  max_user_offline_messages: 100
  c2s_shaper: normal""",
    True: """\
shaper: {unbraked: 100000000}
shaper_rules:
  max_user_sessions: 100
  max_user_offline_messages: 10000
  c2s_shaper: unbraked""",
}
_EJABBERD_STREAM_MANAGEMENT = {
    False: "resend_on_timeout: if_offline",
    True: "{resend_on_timeout: if_offline, max_ack_queue: 10000}",
}
_EJABBERD_TLS = {None: [], "1.2": ["no_tlsv1_3"], "1.3": ["no_tlsv1_2"]}


def _configure_ejabberd(plan: Plan) -> None:
    options = plan.options
    hashed = options.passwords != "plain"
    text = _fill_in(
        "ejabberd.yml",
        plan,
        components=json.dumps({d: {"password": s} for d, s in plan.components.items()}),
        password_format="scram" if hashed else "plain",
        scram_hash={"sha-256": "sha256", "sha-512": "sha512"}.get(options.passwords, "sha"),
        protocol_options=json.dumps(
            ["no_sslv3", "no_tlsv1", "no_tlsv1_1", *_EJABBERD_TLS[options.tls]]
        ),
        disabled=json.dumps(options.disabled()),
        archive="always" if options.archive else "never",
        room_archive=json.dumps(options.archive),
        limits=_EJABBERD_LIMITS[options.load],
        stream_management=_EJABBERD_STREAM_MANAGEMENT[options.load],
    )
    (plan.directory / "ejabberd.yml").write_text(text)
    # Listeners that name a certificate, as those for components must, want one file for all of it.
    chain = plan.certificates.certificate.read_text() + plan.certificates.key.read_text()
    (plan.directory / "chain.pem").write_text(chain)
    (plan.directory / _REGISTERED).unlink(missing_ok=True)


def _ejabberd_code() -> Path:
    found = sorted(path.parent for path in LIBRARIES.glob("**/ejabberd-*/ebin/ejabberd.beam"))
    if not found:
        raise _missing("ejabberd")
    return found[-1]


def _ejabberd_command(plan: Plan) -> list[str]:
    code = _ejabberd_code()
    erl = shutil.which("erl")
    if erl is None:
        raise _missing("ejabberd")
    directory = plan.directory
    return [
        *(erl, "-noinput", "-boot", "start_sasl", "-sasl", "sasl_error_logger", "false"),
        *("+sbwt", "none"),  # no busy waiting: the cores are shared with the tests
        *("-pa", str(code)),
        *("-mnesia", "dir", _erlang_string(directory / "mnesia")),
        *("-ejabberd", "config", _erlang_string(directory / "ejabberd.yml")),
        *("-ejabberd", "log_path", _erlang_string(directory / "log")),
        *("-s", "ejabberd", "-eval", _registration(plan)),
    ]


def _registration(plan: Plan) -> str:
    """An Erlang expression that creates the accounts, if need be, and then leaves a marker."""
    domain = _erlang_binary(plan.domain)
    steps = [
        f"ejabberd_auth:try_register({_erlang_binary(user)}, {domain}, {_erlang_binary(password)})"
        for user, password in plan.accounts.items()
    ]
    steps.append(f"ok = file:write_file({_erlang_string(plan.directory / _REGISTERED)}, [])")
    return ", ".join(steps) + "."


def _erlang_string(text: object) -> str:
    return json.dumps(os.fspath(text) if isinstance(text, Path) else str(text))


def _erlang_binary(text: str) -> str:
    return f"<<{_erlang_string(text)}>>"


EJABBERD = Recipe(
    name="ejabberd",
    configure=_configure_ejabberd,
    command=_ejabberd_command,
    logs=("log", "output"),
    markers=(_REGISTERED,),
    component_tls=True,
)
