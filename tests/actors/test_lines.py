"""Lines for whoever reads them: slowly, never, or no more."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.lines import LONGEST_LINE, MOST_WAITING, Lines

LINE = "x" * 1000
ENOUGH = 10.0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def read(descriptor: int, until: str) -> list[str]:
    data = b""
    while until.encode() not in data:
        data += os.read(descriptor, 65_536)
    return data.decode().splitlines()


def test_in_order_and_the_thread_ends(pipe: tuple[int, int]) -> None:
    lines = Lines(pipe[1])
    for number in range(100):
        lines.put(f"line {number}")
    lines.flush(ENOUGH)
    assert read(pipe[0], "line 99\n") == [f"line {number}" for number in range(100)]
    assert "emp-lines" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize("blocking", [True, False])
def test_who_does_not_read_holds_up_nobody_and_is_told(
    pipe: tuple[int, int], blocking: bool
) -> None:
    os.set_blocking(pipe[1], blocking)
    lines = Lines(pipe[1])
    total = 2 * MOST_WAITING // len(LINE)
    for number in range(total):
        lines.put(f"{number} {LINE}")
    lines.flush(0)
    received = read(pipe[0], "lines were lost: they were written faster than they were read\n")
    lost = int(received[-1].split()[0])
    assert lost > 0
    assert [line.split()[0] for line in received[:-1]] == [str(n) for n in range(total - lost)]
    lines.put("again")
    assert read(pipe[0], "again\n") == ["again"]


def test_a_full_disk_costs_lines_only() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    lines = Lines(descriptor)
    for _ in range(10):
        lines.put(LINE)
    lines.flush(ENOUGH)
    os.close(descriptor)
    assert "emp-lines" not in [thread.name for thread in threading.enumerate()]


def test_nobody_reads_any_more() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    lines = Lines(writing)
    lines.put(LINE)
    lines.flush(ENOUGH)
    os.close(writing)
    lines.put("and a closed descriptor")
    lines.flush(ENOUGH)


def test_after_a_fork_the_child_writes_its_own(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        lines = Lines(file.fileno())
        lines._waiting.append(b"of the parent\n")  # as if its thread had not come to it
        lines.forked()
        lines.put("of the child")
        lines.flush(ENOUGH)
    assert (tmp_path / "out").read_text() == "of the child\n"


def test_a_line_has_an_end(pipe: tuple[int, int]) -> None:
    lines = Lines(pipe[1])
    lines.put("x" * (LONGEST_LINE + 7) + "\udcff")
    (line,) = read(pipe[0], "\n")
    assert line.endswith("x … (8 characters more)")
