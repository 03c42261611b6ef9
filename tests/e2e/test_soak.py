"""The short form of tools/soak: messages through a connection that is cut and stalled."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHORT = ["--messages", "300", "--cuts", "4", "--stalls", "1", "--seed", "7", "--json"]

RUNS = [
    pytest.param("prosody", "embedded", marks=pytest.mark.server),
    pytest.param("prosody", "multiproc", marks=pytest.mark.server),
    pytest.param("ejabberd", "embedded", marks=pytest.mark.server),
    pytest.param("embedded", "embedded"),
    pytest.param("embedded", "multiproc"),
]


async def soak(*arguments: str) -> dict[str, Any]:
    """The result of a run that went well; else its report is the failure."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tools.soaking", *SHORT, *arguments),
        stdout=PIPE,
        stderr=PIPE,
        cwd=ROOT,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, f"{output.decode()}\n{errors.decode()}"
    result: dict[str, Any] = json.loads(output)
    return result


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("server", "system"), RUNS)
async def test_nothing_is_lost_doubled_or_disordered(server: str, system: str) -> None:
    result = await soak("--server", server, "--system", system)
    for topic in ("in", "answer", "out", "ack"):
        figures = result[topic]
        assert figures.pop("sent") == figures.pop("seen") == 300
        assert set(figures.values()) == {0}
    assert result["faults"]["fin"] + result["faults"]["rst"] == 4
    assert result["faults"]["stall"] == 1
    assert result["life"]["resumed"] > 0
    assert result["ok"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "server",
    [
        pytest.param("prosody", marks=pytest.mark.server),
        pytest.param("ejabberd", marks=pytest.mark.server),
        "embedded",
    ],
)
async def test_a_component_loses_nothing_silently(server: str) -> None:
    result = await soak("--server", server, "--kind", "component", "--window", "40")
    for topic in ("answer", "out"):
        figures = result[topic]
        assert figures["seen"] + figures["reported"] == figures["sent"]
        assert figures["duplicated"] == figures["reordered"] == figures["misdelivered"] == 0
    assert result["life"]["connected"] > 1
    assert result["ok"]
