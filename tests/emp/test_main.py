"""`emp` where it cannot run: a line that says why, and no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from emp import __main__ as program

CLONE = Path(program.__file__).parents[1]


def test_without_what_it_needs_it_says_so() -> None:
    command = [sys.executable, "-S", "-m", "emp", "check", "apps/hack"]  # -S: no site-packages
    done = subprocess.run(command, cwd=CLONE, capture_output=True, text=True, env={}, check=False)
    assert done.returncode == 1
    assert "has no module 'click'" in done.stderr
    assert "activate the virtual environment" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_old_python_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 13, "final", 0))
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or later, and .* is 3\.10$"):
        program.main()
