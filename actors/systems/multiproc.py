"""The multiproc system: a process for each actor, on Thespian's TCP transport.

    this process ── admin ── supervisor ─┬─ connection
                                         ├─ router
                                         └─ component …

Everything listens on loopback and talks sealed (`actors.systems.transport`), every process dies
with its parent (`actors.systems.process`), and `stop` counts the processes afterwards.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from thespian.actors import Actor, ActorAddress, ActorSystemException
from thespian.system.messages.admin import SystemShutdown, SystemShutdownCompleted
from thespian.system.messages.multiproc import EndpointConnected
from thespian.system.systemBase import ExternalOpsToActors
from thespian.system.transport import ReceiveEnvelope

from actors.systems.admin import run_admin
from actors.systems.key import load_or_create_key
from actors.systems.process import execute, log_to
from actors.systems.transport import LOOPBACK, SealedInit, SealedTransport
from emp.errors import ConfigError, EmpError
from emp.net import names
from emp.net.names import family

logger = logging.getLogger("emp.actors")

LONGEST_START: Final = 15.0
"""Seconds for the admin to come up. It takes a quarter of one; a loaded machine needs more."""

LISTEN_SLICE: Final = 0.1
"""Seconds between two looks at whether the admin still lives while it starts."""

PORT_ATTEMPTS: Final = 3
"""How often a free port is chosen again when it is taken before the admin has it."""

POLL: Final = 0.02
"""Seconds between two looks at which processes are left."""

REAP_SECONDS: Final = 5.0
"""For the kernel to remove processes that were killed. It needs some milliseconds."""

LOG_NAME: Final = "thespian.log"

T = TypeVar("T")


class MultiprocSystem:
    """The multiproc system as its starter sees it (`actors.systems.System`). See `start_multiproc`.

    Thespian's interface for the outside blocks. It runs on one thread of its own, which starts when
    the admin is running, so the caller's loop stays responsive; questions are asked one after the
    other. Each has an address of its own: a late answer is not taken for that of the next question.
    """

    name = "multiproc"

    def __init__(
        self,
        transport: SealedTransport,
        admin_address: ActorAddress,
        admin: subprocess.Popen[bytes],
        port: int,
    ) -> None:
        self.port = port
        self._transport = transport
        self._admin_address = admin_address
        self._admin = admin
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="emp-system")

    async def create(self, actor_class: type[Actor], name: str | None = None) -> ActorAddress:
        """See `System.create`. The class is found again by module and name, on `sys.path` as it was
        when the system started."""

        def create(outside: ExternalOpsToActors) -> ActorAddress:
            address: ActorAddress = outside.newPrimaryActor(actor_class, None, name)
            return address

        try:
            return await asyncio.wrap_future(self._submit(create))
        except (ActorSystemException, ImportError) as error:
            class_name = f"{actor_class.__module__}.{actor_class.__qualname__}"
            raise EmpError(f"cannot start an actor of class {class_name}: {error}") from error

    def tell(self, address: ActorAddress, message: object) -> None:
        """See `System.tell`. Returns at once; that it cannot be sent is logged."""
        self._submit(lambda outside: outside.tell(address, message)).add_done_callback(_log_failure)

    async def ask(self, address: ActorAddress, message: object, timeout: float) -> object:
        """See `System.ask`. For an actor that is gone, `TimeoutError` comes at once."""
        deadline = time.monotonic() + timeout

        def ask(outside: ExternalOpsToActors) -> object:
            return outside.ask(address, message, _seconds(deadline - time.monotonic()))

        answer = await asyncio.wrap_future(self._submit(ask))
        if answer is None:
            raise TimeoutError(f"no answer to {type(message).__name__} within {timeout} s")
        return answer

    def _submit(self, work: Callable[[ExternalOpsToActors], T]) -> Future[T]:
        def run() -> T:
            with closing(self._transport.external_transport_clone()) as transport:
                return work(ExternalOpsToActors(self._admin_address, transport))

        return self._thread.submit(run)

    def pids(self) -> dict[int, str]:
        """Every process of the system that is alive, by its title. All of them are in the session
        that the admin leads, also those whose parent has died."""
        return _session(self._admin.pid)

    async def ended(self) -> None:
        """Return when the admin has ended, and with it the system, for whatever reason."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        descriptor = os.pidfd_open(self._admin.pid)
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    def kill(self) -> None:
        """See `System.kill`."""
        for pid in self.pids():
            _kill(pid)

    async def stop(self, grace: float) -> list[str]:
        """See `System.stop`. Afterwards no process of the system is left, and so no socket: the
        kernel closes a process's descriptors before it removes the process."""
        deadline = time.monotonic() + grace
        request = self._submit(lambda outside: _request_shutdown(outside, grace))
        request.add_done_callback(_log_failure)
        while self.pids() and time.monotonic() < deadline:  # noqa: ASYNC110 /proc has no events
            await asyncio.sleep(POLL)
        forced = self.pids()
        for pid in forced:
            _kill(pid)
        deadline = time.monotonic() + REAP_SECONDS
        while self.pids():
            if time.monotonic() > deadline:
                raise EmpError(f"processes survived SIGKILL: {self.pids()}")
            await asyncio.sleep(POLL)
        self._admin.wait()
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._transport.close()
        return [f"{title} (process {pid})" for pid, title in forced.items()]


def start_multiproc(*, directory: Path, port: int | None, key_file: Path) -> MultiprocSystem:
    """Start the system: its admin, ready to create actors. Blocks for about a quarter of a second.

    directory: where Thespian's own log goes; must exist. port: where the admin listens on
    loopback, None for a free one. key_file: the cluster key, made when it does not exist.

    Must be called from the main thread: the system ends with the thread that started it.
    Raises `ConfigError` (port in use, unusable key, not Linux) or `EmpError` (the admin does not
    come up).
    """
    if sys.platform != "linux":
        raise ConfigError(
            "the multiproc system needs Linux, which ends processes with their parent",
            remedy='Use the system "embedded"',
        )
    if threading.current_thread() is not threading.main_thread():
        raise EmpError("the multiproc system must be started from the main thread")
    if names.own_loopback() is None:
        raise ConfigError(
            "the multiproc system needs a loopback address, and this machine has neither "
            f"{' nor '.join(names.LOOPBACK)}",
            remedy='`ip link set lo up`, or use the system "embedded"',
        )
    key = load_or_create_key(key_file)
    log_file = directory / LOG_NAME
    log_to(str(log_file))
    if port is not None:
        return _start(key, port, log_file)
    for _ in range(PORT_ATTEMPTS - 1):
        try:
            return _start(key, _free_port(), log_file)
        except ConfigError:
            continue
    return _start(key, _free_port(), log_file)


def _free_port() -> int:
    with closing(_probe(0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _require_free(port: int) -> None:
    with closing(_probe(port)) as probe:
        try:
            # Binding succeeds beside a listener on all interfaces, listening does not.
            probe.listen(1)
        except OSError as error:
            raise _unavailable(port, error) from error


def _probe(port: int) -> socket.socket:
    probe = socket.socket(family(LOOPBACK))
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((LOOPBACK, port))
    except OSError as error:
        probe.close()
        raise _unavailable(port, error) from error
    return probe


def _unavailable(port: int, error: OSError) -> ConfigError:
    return ConfigError(
        f"port {port} on {LOOPBACK} is not available for the actor system: "
        f"{os.strerror(error.errno or 0)}",
        remedy="Stop the process that has it (another running system?) or choose another",
    )


def _start(key: bytes, port: int, log_file: Path) -> MultiprocSystem:
    _require_free(port)
    capabilities: dict[str, object] = {
        "Admin Port": port,
        "Python Version": tuple(sys.version_info),
        "Thespian Watch Supported": True,
    }
    transport = SealedTransport(SealedInit(key), capabilities, None, None)
    address = transport.getAdminAddr(capabilities)
    arguments = (
        transport.myAddress,
        transport.prepEndpoint(address, capabilities),
        address,
        capabilities,
    )
    admin = execute(run_admin, arguments, str(log_file), new_session=True)
    try:
        _await_admin(transport, admin)
    except BaseException:
        admin.kill()
        admin.wait()
        transport.close()
        _require_free(port)  # taken in the meantime: that is the reason then
        raise
    return MultiprocSystem(transport, address, admin, port)


def _await_admin(transport: SealedTransport, admin: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + LONGEST_START
    while admin.poll() is None and time.monotonic() < deadline:
        received = transport.run(None, _seconds(LISTEN_SLICE))
        if isinstance(received, ReceiveEnvelope) and isinstance(
            received.message, EndpointConnected
        ):
            return
    raise EmpError(
        "the admin process of the actor system did not come up"
        + (f": exit status {admin.returncode}" if admin.returncode is not None else "")
    )


def _request_shutdown(outside: ExternalOpsToActors, grace: float) -> None:
    # Thespian's own shutdown() gives up after ten seconds, whatever the caller's patience is.
    sent = outside._tx_to_admin(SystemShutdown())
    deadline = time.monotonic() + grace
    while not sent.failed and (remaining := deadline - time.monotonic()) > 0:
        received = outside._run_transport(_seconds(remaining))
        if isinstance(getattr(received, "message", None), SystemShutdownCompleted):
            return


def _session(leader: int) -> dict[int, str]:
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                status = Path("/proc", entry, "stat").read_text()
                # pid (name) state parent group session …; the name may hold anything.
                state, _, _, session = status[status.rindex(")") + 2 :].split()[:4]
                if int(session) == leader and state not in "ZX":
                    title = Path("/proc", entry, "cmdline").read_bytes()
                    found[int(entry)] = title.rstrip(b"\0").replace(b"\0", b" ").decode()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
    return found


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):  # it has ended meanwhile
        os.kill(pid, signal.SIGKILL)


def _log_failure(done: Future[Any]) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        logger.warning("a message to the actor system was not sent: %s", error)


def _seconds(value: float) -> timedelta:
    return timedelta(seconds=max(0.0, value))
