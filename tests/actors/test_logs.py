"""The log: a record is a line, whatever others have put into it."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from actors.lines import Lines
from actors.logs import LineFormatter, LineHandler, configure_logging, take_process

FORGED = "2026-01-01 00:00:00,000 INFO    emp.actors: all is well"
EVIL = f"hello\n{FORGED}\r\x1b]0;owned\x07\x9b2J\u202e\u2028\x85end"
SHOWN = "hello\\n" + FORGED + "\\r\\x1b]0;owned\\x07\\x9b2J\\u202e\\u2028\\x85end"


def record(message: str, *args: Any, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("emp.test", logging.INFO, __file__, 1, message, args, info)


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001
        return caught


def caused() -> BaseException:
    try:
        try:
            raise KeyError(EVIL)
        except KeyError as error:
            raise ValueError(EVIL) from error
    except ValueError as error:
        return error


def noted() -> BaseException:
    error = ValueError("x")
    error.add_note(EVIL)
    return raised(error)


ERRORS = [
    raised(ValueError(EVIL)),
    raised(OSError(5, EVIL, EVIL)),
    raised(SyntaxError(EVIL, ("file", 1, 1, EVIL))),
    raised(ExceptionGroup(EVIL, [ValueError(EVIL), raised(TypeError(EVIL))])),
    caused(),
    noted(),
]


@pytest.mark.parametrize(("message", "args"), [(EVIL, ()), ("said %s", (EVIL,))])
def test_a_message_is_one_line(message: str, args: tuple[Any, ...]) -> None:
    line = LineFormatter().format(record(message, *args))
    assert len(line.splitlines()) == 1
    assert line.endswith(SHOWN)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_traceback_has_only_lines_of_its_own(error: BaseException) -> None:
    text = LineFormatter().format(record("failed", error=error))
    assert "Traceback (most recent call last):" in text
    assert "hello" in text
    lines = text.splitlines()
    assert lines == text.split("\n")
    assert not [line for line in lines if line.strip(" |").startswith(FORGED[:10])]
    assert not [line for line in lines if not line.isprintable()]


def test_what_another_handler_left_is_not_taken() -> None:
    it = record("failed", error=ERRORS[0])
    it.exc_text = f"x\n{FORGED}"
    assert FORGED not in LineFormatter().format(it).splitlines()


@pytest.fixture
def written() -> Iterator[tuple[LineHandler, int]]:
    reading, writing = os.pipe()
    target = Lines(writing)
    yield LineHandler(target), reading
    target.flush(10)
    os.close(reading)
    os.close(writing)


def test_arguments_that_do_not_fit(written: tuple[LineHandler, int]) -> None:
    handler, reading = written
    handler.emit(record("%d", EVIL))
    line = os.read(reading, 65_536).decode()
    assert line.count("\n") == 1
    assert "test_logs.py:1: cannot log: TypeError" in line


def test_what_python_says_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    take_process()
    logging.captureWarnings(False)

    def fail() -> None:
        raise ValueError(EVIL)

    thread = threading.Thread(target=fail, name="mine")
    thread.start()
    thread.join()
    assert "thread mine failed" in caplog.text
    assert isinstance(caplog.records[0].exc_info[1], ValueError)  # type: ignore[index]


def test_a_stream_of_somebody_elses_is_respected(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")
    logging.getLogger("emp.test").info(EVIL)
    assert capsys.readouterr().err.endswith(f"{SHOWN}\n")
