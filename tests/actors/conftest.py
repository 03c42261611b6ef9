"""Fixtures for tests on the real actor systems."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMP_RUNTIME_DIR", str(tmp_path / "run"))


@pytest.fixture
def log() -> Iterator[list[str]]:
    """What the actors log from `info` on. (Booting takes pytest's own handlers away.)"""
    lines: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger, keeper = logging.getLogger("emp.actors"), Keeper()
    level = logger.level
    logger.addHandler(keeper)
    logger.setLevel(logging.INFO)
    yield lines
    logger.removeHandler(keeper)
    logger.setLevel(level)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Booting configures logging for a whole process; tests share theirs."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
