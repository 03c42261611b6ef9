"""The processes of the multiproc system: how they start, and that they end.

Every one dies when its parent dies: the kernel kills it (PR_SET_PDEATHSIG), so nothing is left
behind whatever happens to the process that started the system, to the admin or to an actor. All
belong to one session, that of the admin: a terminal's Ctrl-C reaches none of them, and the session
shows which processes exist, orphans included.

A process starts in one of two ways:

- by fork, in some milliseconds and with most pages shared, from a process that holds no connection,
  key session or thread that a copy could harm: from the admin, and from actors whose class says
  `forks_children = True` (the supervisor) as long as they have one thread;
- by a new interpreter, in a tenth of a second, everywhere else. An XMPP server does not notice the
  end of a connection as long as a forked copy of its socket lives.

multiprocessing's own processes are not used: spawn runs the main script again and keeps a helper
process, and fork leaves descriptors and signal handlers of the parent in place.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import json
import logging
import multiprocessing.process
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, Final

from thespian.system import multiprocCommon, utilis

# Imported before Thespian replaces Python's logging in an actor's process: see the first.
import actors.systems.loop  # noqa: F401
from actors import cores
from actors.lines import STDERR, flush, leave, lines
from actors.logs import format_error, take_process
from actors.watchdog import at_work

PR_SET_PDEATHSIG: Final = 1

BOOTSTRAP: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.buffer.readline());"
    " from actors.systems.process import main; main()"
)
"""What a new interpreter runs. All else comes through a pipe: other users see the command line."""

STANDARD_STREAMS: Final = (0, 1, 2)
LONGEST_LOG: Final = 1024 * 1024
"""Bytes of Thespian's own log before it starts anew; the one before is kept."""

LONGEST_FLUSH: Final = 0.1
"""Seconds to wait for who reads standard error before a fork: a new interpreter costs as much."""

_actor_class: str | None = None
"""Dotted name of the class of the actor that this process is, None in the admin."""


class Process:
    """What Thespian uses of `multiprocessing.Process`."""

    daemon = False

    def __init__(
        self, target: Callable[..., None], args: tuple[Any, ...] = (), name: str = ""
    ) -> None:
        self._target = target
        self._args = args
        self.name = name
        self.pid = 0
        self._popen: subprocess.Popen[bytes] | None = None
        self._ended = False

    def start(self) -> None:
        log_file = utilis._thesplog_file
        if _may_fork():
            self.pid = _fork(self._target, self._args, log_file)
        else:
            self._popen = execute(self._target, self._args, log_file)
            self.pid = self._popen.pid
        # Thespian takes every child out of this set, so that no child is waited for at exit.
        multiprocessing.process._children.add(self)  # type: ignore[attr-defined]

    def is_alive(self) -> bool:
        if not self._ended:
            if self._popen is not None:
                self._ended = self._popen.poll() is not None
            else:
                self._ended = os.waitpid(self.pid, os.WNOHANG) != (0, 0)
        return not self._ended

    def join(self, timeout: float | None = None) -> None:
        """Thespian joins a child only when it is dead, and `is_alive` has done it then."""


class Processes:
    """Thespian's "concurrency context": what it takes its processes from."""

    Process = Process


def _may_fork() -> bool:
    flush(LONGEST_FLUSH)  # which ends the thread that writes, unless nobody reads
    if threading.active_count() > 1:
        return False
    return _actor_class is None or bool(
        getattr(utilis.actualActorClass(_actor_class), "forks_children", False)
    )


def _fork(target: Callable[..., None], args: tuple[Any, ...], log_file: str | None) -> int:
    parent = os.getpid()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    pid = os.fork()
    if pid:
        return pid
    # The parent's objects stay, its sockets among them; the garbage collector must not close their
    # descriptors later, when the numbers are those of our own.
    gc.freeze()
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in STANDARD_STREAMS:
            with suppress(OSError):  # the one that listed the directory is closed already
                os.close(int(name))
    _run(target, args, parent, log_file)
    return 0


def execute(
    target: Callable[..., None],
    args: tuple[Any, ...],
    log_file: str | None,
    new_session: bool = False,
) -> subprocess.Popen[bytes]:
    """Run `target(*args)` in a new interpreter, which dies with the calling thread."""
    child = subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", "-c", BOOTSTRAP],
        stdin=subprocess.PIPE,
        start_new_session=new_session,
    )
    assert child.stdin is not None
    with child.stdin as pipe:
        pipe.write(json.dumps(sys.path).encode() + b"\n")
        pipe.write(pickle.dumps((target, args, os.getpid(), log_file)))
    return child


def main() -> None:
    """The other end of `execute`."""
    target, args, parent, log_file = pickle.load(sys.stdin.buffer)  # noqa: S301
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    _run(target, args, parent, log_file)


def _run(
    target: Callable[..., None], args: tuple[Any, ...], parent: int, log_file: str | None
) -> None:
    """Become a process of the system; never returns."""
    global _actor_class
    status = 1
    try:
        _die_with(parent)
        _reset_signals()
        cores.refuse()
        take_process()
        # Its supervisor, or an operator, asks a process that hangs where it stands. The stack comes
        # from C, whatever holds up the interpreter; what is at work, where Python still runs.
        faulthandler.unregister(signal.SIGUSR1)  # what a fork copied is not in force any more
        signal.signal(signal.SIGUSR1, _tell)
        faulthandler.register(signal.SIGUSR1, file=sys.stderr, chain=True)
        log_to(log_file)
        _actor_class = args[0] if target is multiprocCommon.startChild else None
        target(*args)
        status = 0
    except BaseException as error:  # noqa: BLE001 the process ends here: nobody else could report it
        report = format_error(error)
        utilis.thesplog("process ends: %s", report, level=logging.ERROR)
        lines(STDERR).put(report)
    finally:
        leave(status)  # atexit and multiprocessing hold things of the parent


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, more exactly: the thread of it that
    started this one, which is why only main threads start processes."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os._exit(1)  # the parent was faster


def _reset_signals() -> None:
    """Forget the parent's handlers. What a terminal sends is for the process in the foreground."""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _tell(number: int, frame: FrameType | None) -> None:
    text = "process %d is at work on %s; its stack is on standard error"
    logging.getLogger("emp.actors").warning(text, os.getpid(), at_work(frame) or "no action")


def _set_signal_handler(number: int, handler: Any) -> None:
    # Thespian catches all signals. A SIGSEGV that is caught in Python happens again, for ever.
    if number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, handler)


multiprocCommon.set_signal_handler = _set_signal_handler


def log_to(log_file: str | None) -> None:
    """Write Thespian's own log to `log_file`; by default it is /tmp/thespian.log, of all users."""
    utilis._thesplog_file = log_file
    utilis._thesplog_old_file = f"{log_file}.old"
    utilis.thesplog_control(logging.WARNING, False, LONGEST_LOG if log_file else 0)
