"""Logging, in one process or in many: every process writes its own lines to standard error.

A record is one line, whatever others have put into it (`emp.printable`); only a traceback has lines
of its own. Writing never waits (`actors.lines`).

An application may install handlers when its module is imported. They stay: on its own loggers, and
on the root logger, where they get our records too (everything of ours is below the logger `emp`).
If one of them writes to standard error or output, ours is left out, or each line would be there
twice; theirs is made not to wait. Every process that imports the application (the one that
`emp start` runs in, the router's, the workers') has handlers of its own.

In the processes that Thespian starts, it replaces the root logger and the logger manager by its own
forwarder, which sends each record as a message in the same queue as the stanzas. So the manager
that Python made is kept here when this module is imported, and put back before anything is logged.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, TypeAlias, TypeGuard

from actors.lines import STDERR, STDOUT, Lines, lines
from emp.printable import printable

_ROOT = logging.getLogger()
_MANAGER = logging.Logger.manager

OURS = "emp"
"""The name of our handler."""

NEEDED = ("emp", "asyncio")
"""Loggers that an application must not lose by accident: `asyncio` says which task has died."""

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"

_Error: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]


class LineFormatter(logging.Formatter):
    """A record in one line, below it the traceback. `extra={"multiline": True}` is for messages of
    ours that show a stack."""

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def format(self, record: logging.LogRecord) -> str:
        # Not upstream's: that leaves a traceback at the record, escaped or not, for the next one.
        record.message = record.getMessage()
        record.asctime = self.formatTime(record)
        escape = _lines_of if getattr(record, "multiline", False) else printable
        parts = [escape(self.formatMessage(record))]
        if record.exc_info and record.exc_info[1] is not None:
            parts.append(self.formatException(record.exc_info))
        if record.stack_info:
            parts.append(_lines_of(record.stack_info))
        return "\n".join(parts)

    def formatException(self, ei: Any) -> str:
        return format_error(ei[1])


def format_error(error: BaseException) -> str:
    """The traceback of an exception, in which the texts of exceptions are one line each."""
    found = traceback.TracebackException.from_exception(error)
    _escape(found)
    return _lines_of("".join(found.format()).rstrip("\n"))


def _escape(error: traceback.TracebackException) -> None:
    # What `format` writes as it stands, and others may have written. It has no public way to it.
    waiting = [error]
    while waiting:
        found = waiting.pop()
        for name in ("_str", "msg", "text", "filename"):
            value = getattr(found, name, None)
            if isinstance(value, str):
                setattr(found, name, printable(value.rstrip("\n")))
        if notes := getattr(found, "__notes__", None):
            found.__notes__ = [printable(str(note)) for note in notes]
        inner = getattr(found, "exceptions", None) or ()
        waiting += [each for each in (found.__cause__, found.__context__, *inner) if each]


def _lines_of(text: str) -> str:
    return "\n".join(printable(line) for line in text.split("\n"))


class LineHandler(logging.Handler):
    """Writes to standard error, and is never in the way."""

    def __init__(self, target: Lines) -> None:
        super().__init__()
        self.setFormatter(LineFormatter())
        self._target = target
        target.notice = self._lost

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._target.put(self.format(record))
        except Exception:  # noqa: BLE001 arguments that do not fit: upstream prints them as they are
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exception()
        self._target.put(self._line(f"{record.pathname}:{record.lineno}: cannot log: {error!r}"))

    def _lost(self, number: int) -> str:
        return self._line(f"{number} lines were lost: they came faster than they were read")

    def _line(self, text: str) -> str:
        values = {"name": "emp.log", "levelname": "WARNING", "levelno": logging.WARNING}
        return self.format(logging.makeLogRecord({**values, "msg": text}))


def configure_logging(level: str) -> None:
    """Log to standard error from `level` ("debug", "info", "warning" or "error") on. Idempotent."""
    logging.root = _ROOT  # type: ignore[assignment]
    logging.Logger.root = _ROOT  # type: ignore[assignment]
    logging.Logger.manager = _MANAGER
    _remove_ours()
    theirs = [each for each in _ROOT.handlers if _on_terminal(each)]
    for each in theirs:
        _never_wait(each)
    if not theirs:
        handler = _handler()
        handler.name = OURS
        handler.setLevel(level.upper())
        handler.addFilter(_not_reported)
        _ROOT.addHandler(handler)
    # An application that wants more of its own for its handlers has set it.
    _ROOT.setLevel(min(_ROOT.level, logging.getLevelNamesMapping()[level.upper()]))
    for name, known in _MANAGER.loggerDict.items():
        if isinstance(known, logging.Logger) and name.partition(".")[0] in NEEDED:
            known.disabled = False  # logging.config does that to all that it is not told about
    # Thespian logs every actor that it starts and every message of a dead one at info and warning.
    logging.getLogger("Thespian").setLevel(logging.ERROR)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


@contextmanager
def importing(level: str) -> Iterator[None]:
    """While the application is imported: `logging.basicConfig` does nothing where there is a
    handler, so ours is away meanwhile."""
    _remove_ours()
    try:
        yield
    finally:
        configure_logging(level)


def _remove_ours() -> None:
    for handler in _ROOT.handlers[:]:
        if handler.name == OURS:
            _ROOT.removeHandler(handler)


def _on_terminal(handler: logging.Handler) -> TypeGuard[logging.StreamHandler[Any]]:
    if not isinstance(handler, logging.StreamHandler):
        return False
    standard = (sys.stderr, sys.stdout, sys.__stderr__, sys.__stdout__)
    return isinstance(handler.stream, _Stream) or handler.stream in standard


def _never_wait(handler: logging.StreamHandler[Any]) -> None:
    """The application's handler writes as it formats, but does not wait for who reads."""
    if handler.stream is not None and handler.stream in (sys.__stderr__, sys.__stdout__):
        handler.setStream(_Stream(STDERR if handler.stream is sys.__stderr__ else STDOUT))


class _Stream:
    """What a StreamHandler wants of its stream."""

    def __init__(self, descriptor: int) -> None:
        self._lines = lines(descriptor)

    def write(self, text: str) -> None:
        self._lines.put(text.removesuffix("\n"))

    def flush(self) -> None:
        pass  # actors.lines does it at the end


def _not_reported(record: logging.LogRecord) -> bool:
    """People who watch have read it on standard output already (`actors.boot.show`)."""
    return not getattr(record, "reported", False)


def _handler() -> logging.Handler:
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        return LineHandler(lines(STDERR))
    handler = logging.StreamHandler(sys.stderr)  # somebody wants it elsewhere
    handler.setFormatter(LineFormatter())
    return handler


def take_process() -> None:
    """This process is ours: what Python itself has to say goes the way of the log."""
    logging.captureWarnings(True)
    threading.excepthook = _thread_failed
    sys.unraisablehook = _unraisable


def _thread_failed(failed: Any) -> None:
    if not issubclass(failed.exc_type, SystemExit):
        name = failed.thread.name if failed.thread else "?"
        _log.error("thread %s failed", name, exc_info=failed.exc_value)


def _unraisable(failed: Any) -> None:
    what = failed.err_msg or "exception ignored in"
    _log.error("%s: %r", what, failed.object, exc_info=failed.exc_value)


_log: Final = logging.getLogger("emp.python")
