"""How Prosody and ejabberd are configured and started: one recipe each."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from emp.devserver.certificate import CertificateFiles

TEMPLATES = Path(__file__).parent / "templates"
LIBRARIES = Path("/usr/lib")


class ServerError(Exception):
    """A private server cannot be started, or did not come up; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a recipe has to know about the server to be: places, ports, accounts.

    `accounts` are user names with their passwords, `components` domains with their secrets.
    `directory` holds everything that the server writes.
    """

    directory: Path
    host: str
    domain: str
    client_port: int
    component_port: int
    accounts: Mapping[str, str]
    components: Mapping[str, str]
    certificates: CertificateFiles


@dataclass(frozen=True, slots=True)
class Recipe:
    """One kind of server.

    `configure` writes the files that the server reads; `command` gives its command line (it stays
    in the foreground) and raises ServerError when it is not installed. `logs` and `markers` are
    file names in the plan's directory: what to show when something fails, and what exists once
    the accounts do.
    """

    name: str
    configure: Callable[[Plan], None]
    command: Callable[[Plan], list[str]]
    logs: tuple[str, ...]
    markers: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def _missing(package: str) -> ServerError:
    return ServerError(
        f"{package} is not installed. On Debian or Ubuntu: apt-get install {package} "
        "(tools/test does it by itself; tools/test --fast leaves these tests out)"
    )


def _fill_in(template: str, plan: Plan, components: str) -> str:
    return Template((TEMPLATES / template).read_text()).substitute(
        directory=plan.directory,
        host=plan.host,
        domain=plan.domain,
        client_port=plan.client_port,
        component_port=plan.component_port,
        certificate=plan.certificates.certificate,
        key=plan.certificates.key,
        components=components,
    )


# Prosody


def _configure_prosody(plan: Plan) -> None:
    components = "\n".join(
        f'Component "{domain}"\n\tcomponent_secret = "{secret}"'
        for domain, secret in plan.components.items()
    )
    text = _fill_in("prosody.cfg.lua", plan, components)
    (plan.directory / "prosody.cfg.lua").write_text(text)
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


def _configure_ejabberd(plan: Plan) -> None:
    components = json.dumps({d: {"password": s} for d, s in plan.components.items()})
    text = _fill_in("ejabberd.yml", plan, components)
    (plan.directory / "ejabberd.yml").write_text(text)
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
)
