"""Machines without IPv4, without names, without any network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.application import ROOT, UP_SECONDS, environment
from tests.e2e.ipv6_only import APP

ALONE = ("unshare", "--map-root-user", "--net", "--mount")


def _allowed() -> bool:
    if not (shutil.which("unshare") and shutil.which("ip")):
        return False
    return subprocess.run([*ALONE, "true"], check=False, capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not _allowed(), reason="needs namespaces of its own, and ip")


def alone(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ALONE, sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=environment(tmp_path / "runtime"),
        capture_output=True,
        text=True,
        check=False,
        timeout=3 * UP_SECONDS,
    )


@pytest.mark.parametrize("system", ["embedded", "multiproc"])
def test_ipv6_only(tmp_path: Path, system: str) -> None:
    done = alone(tmp_path, "tests.e2e.ipv6_only", str(tmp_path), system)
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_loopback(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(APP)
    (tmp_path / "emp.toml").write_text('[connections.main]\nhost = "c.localhost"\nsecret = "s"\n')
    done = alone(tmp_path, "emp", "start", str(tmp_path / "echo.py"), "--system", "multiproc")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "neither 127.0.0.1 nor ::1" in line
    assert "ip link set lo up" in line
