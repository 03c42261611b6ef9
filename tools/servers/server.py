"""A server process of our own: private directory and ports, no privileges, no remains."""

import contextlib
import dataclasses
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from emp.devserver.certificate import ensure_certificate
from tools.servers.identities import Authority, Identity
from tools.servers.recipes import Options, Plan, Ports, Recipe, ServerError

HOST = "127.0.0.1"
DOMAIN = "xmpp.test"
COMPONENT_SECRET = "s3cret"  # the servers listen on loopback and live for one test run
COMPONENTS = ("emp", "emp2")
"""Subdomains of the domain."""
USERS = ("alice", "bob", "carol", "foo", "bar")
USUAL = Options()

START_SECONDS = 60.0
"""ejabberd takes 3 s on an idle core; test machines have two busy ones."""
STOP_SECONDS = 10.0
"""How long an orderly stop may take before the process is killed."""
POLL_SECONDS = 0.05
CONNECT_SECONDS = 2.0
"""A server on loopback that takes longer to answer a stream header is not ready yet."""
PORTS = range(20_000, 32_000)
"""Below the range from which Linux takes ports for outgoing connections (32768 and up), so that
a port stays free between two starts of the same server."""
PORT_ATTEMPTS = 3
"""Another program may take a port between our look and the server's bind."""
LOG_TAIL = 30
"""Lines of each log that an error shows."""


class Server:
    """A running XMPP server for tests. Made by `running`; see tools.servers.

    host, client_port, component_port: where it listens (STARTTLS is required of clients).
    direct_port, component_tls_port: the same with TLS from the first byte; the latter is None
    where the server has none. websocket: the address of RFC 7395.
    domain, ca_file: what to log in to, and the PEM file its certificate is verified with.
    anonymous_domain: where ANONYMOUS is on offer. conference: the domain of chat rooms.
    components, component_secret: domains that an XEP-0114 component may take, and their secret.
    """

    def __init__(self, recipe: Recipe, plan: Plan, authority: Authority) -> None:
        self._recipe = recipe
        self._plan = plan
        self._authority = authority
        self._process: subprocess.Popen[bytes] | None = None
        self.name = recipe.name
        self.host = plan.host
        self.domain = plan.domain
        self.client_port = plan.ports.clients
        self.direct_port = plan.ports.direct
        self.component_port = plan.ports.components
        self.component_tls_port = plan.ports.component_tls if recipe.component_tls else None
        self.websocket = plan.websocket
        self.conference = plan.conference
        self.anonymous_domain = plan.anonymous_domain
        self.ca_file = plan.certificates.ca
        self.components = tuple(plan.components)
        self.component_secret = COMPONENT_SECRET
        self.users = tuple(plan.accounts)

    def __repr__(self) -> str:
        return f"<{self.name} for {self.domain} on {self.host}:{self.client_port}>"

    @property
    def pid(self) -> int:
        """The server's process id. Raises ServerError when it is not running."""
        if self._process is None or self._process.poll() is not None:
            raise ServerError(f"{self.name} is not running")
        return self._process.pid

    def account(self, name: str) -> str:
        """The password of the user `name`@`domain`. Raises ServerError for an unknown one."""
        try:
            return self._plan.accounts[name]
        except KeyError:
            known = ", ".join(self.users)
            raise ServerError(f"{self.name} has no account {name!r}, only {known}") from None

    def identity(self, name: str) -> Identity:
        """A certificate for the user `name`@`domain` to log in with, by EXTERNAL."""
        return self._authority.sign(f"{name}@{self.domain}")

    def log(self) -> str:
        """What the server has logged so far, and what it wrote to its standard output."""
        return "\n".join(self._logs().values())

    def start(self) -> None:
        """Starts the server and waits until it answers on both ports and has its accounts.

        Raises ServerError, with the end of the log, when it does not come up.
        """
        command = self._recipe.command(self._plan)
        self._recipe.configure(self._plan)
        self._plan_directory_for_the_server()
        with (self._plan.directory / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [*_unprivileged(), *command],
                cwd=self._plan.directory,
                env=_environment(self._plan.directory),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_ready(time.monotonic() + START_SECONDS)
        except BaseException:  # also Ctrl-C: whatever ends the wait, the process goes with it
            self.kill()
            raise

    def stop(self) -> None:
        """Asks the server to stop, which ends its streams in order; kills it if it does not."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Ends the server's whole process group at once, as a power failure would."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def restart(self) -> None:
        """Stops in order and starts again: same ports, same certificate, same accounts."""
        self.stop()
        self.start()

    def wait(self) -> int:
        """Blocks until the server ends by itself; returns its exit code."""
        if self._process is None:
            raise ServerError(f"{self.name} is not running")
        return self._process.wait()

    def _plan_directory_for_the_server(self) -> None:
        if os.geteuid() != 0:
            return
        user = _nobody()
        directory = self._plan.directory
        for path in (directory, *directory.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid)

    def _wait_until_ready(self, deadline: float) -> None:
        while not self._is_ready():
            if self._process is None or self._process.poll() is not None:
                raise self._failure("ended instead of starting")
            if time.monotonic() > deadline:
                raise self._failure(f"was not ready within {START_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)

    def _is_ready(self) -> bool:
        plan = self._plan
        return (
            all((plan.directory / marker).exists() for marker in self._recipe.markers)
            and _answers(plan.host, plan.ports.clients, "jabber:client", plan.domain)
            and _answers(
                plan.host, plan.ports.components, "jabber:component:accept", self.components[0]
            )
        )

    def _failure(self, what: str) -> ServerError:
        tails = [
            f"--- the end of its {name}:\n" + "\n".join(text.splitlines()[-LOG_TAIL:])
            for name, text in self._logs().items()
        ]
        return ServerError("\n".join([f"{self.name} {what}", *tails]))

    def _logs(self) -> dict[str, str]:
        paths = [self._plan.directory / name for name in self._recipe.logs]
        return {path.name: path.read_text(errors="replace") for path in paths if path.exists()}


@contextlib.contextmanager
def running(recipe: Recipe, domain: str = DOMAIN, options: Options = USUAL) -> Iterator[Server]:
    """A new server of this kind for `domain`; at the end it is stopped, and its directory removed.

    Raises ServerError when it is not installed or does not come up. Start it from a thread that
    lives as long as the server: the kernel ends it when that thread ends.
    """
    directory = Path(tempfile.mkdtemp(prefix=f"emp-{recipe.name}-"))
    try:
        server = _start_on_free_ports(recipe, directory, domain, options)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _start_on_free_ports(recipe: Recipe, directory: Path, domain: str, options: Options) -> Server:
    anonymous = f"anon.{domain}"
    certificates = ensure_certificate(directory / "certificates", domain, anonymous)
    authority = Authority(directory / "users")
    for attempt in range(1, PORT_ATTEMPTS + 1):
        server = Server(
            recipe,
            Plan(
                directory=directory,
                host=HOST,
                domain=domain,
                anonymous_domain=anonymous,
                ports=Ports(*free_ports(len(dataclasses.fields(Ports)))),
                accounts={user: f"pw-{user}" for user in USERS},
                components={f"{name}.{domain}": COMPONENT_SECRET for name in COMPONENTS},
                certificates=certificates,
                client_authority=authority.file,
                options=options,
            ),
            authority,
        )
        try:
            server.start()
        except ServerError as error:
            if attempt == PORT_ATTEMPTS or not _is_port_conflict(str(error)):
                raise
        else:
            return server
    raise AssertionError("the last attempt returns or raises")


def free_ports(count: int) -> list[int]:
    """So many different TCP ports of loopback that nobody listens on at this moment."""
    with contextlib.ExitStack() as sockets:
        ports: list[int] = []
        for port in random.sample(PORTS, len(PORTS)):
            if len(ports) == count:
                return ports
            candidate = sockets.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                candidate.bind((HOST, port))
                ports.append(port)
    raise ServerError(f"fewer than {count} ports between {PORTS.start} and {PORTS.stop} are free")


def _is_port_conflict(text: str) -> bool:
    text = text.lower()
    return any(sign in text for sign in ("eaddrinuse", "already in use", "being used"))


def _unprivileged() -> list[str]:
    """What to put before a command: it ends with its parent, and root's rights are dropped.

    setpriv rather than a hook between fork and exec: the death signal has to be set after the
    change of user, which clears it, and such hooks are unsafe in a process that has threads.
    """
    program = shutil.which("setpriv")
    if program is None:
        raise ServerError(
            "setpriv is not installed. On Debian or Ubuntu: apt-get install util-linux"
        )
    drop = []
    if os.geteuid() == 0:
        user = _nobody()
        drop = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return [program, "--pdeathsig", "KILL", *drop, "--"]


def _nobody() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


def _environment(directory: Path) -> dict[str, str]:
    """A small environment: the user's own settings of Lua or Erlang are not the tests'."""
    kept = {
        name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TZ") if name in os.environ
    }
    return {"HOME": str(directory), "ERL_CRASH_DUMP": str(directory / "crash"), **kept}


def _answers(host: str, port: int, namespace: str, to: str) -> bool:
    """Whether an XMPP server for this domain answers a stream header there."""
    header = (
        "<?xml version='1.0'?><stream:stream version='1.0' "
        f"xmlns='{namespace}' xmlns:stream='http://etherx.jabber.org/streams' to='{to}'>"
    )
    answer = b""
    try:
        with socket.create_connection((host, port), CONNECT_SECONDS) as connection:
            connection.sendall(header.encode())
            while b"<stream:stream" not in answer or not answer.rstrip().endswith(b">"):
                piece = connection.recv(4096)
                if not piece:
                    return False
                answer += piece
    except OSError:
        return False
    # Both servers name the domain in the header: another program's port would not.
    return to.encode() in answer
