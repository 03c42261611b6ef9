"""The command line: what is refused, and with which exit code."""

from __future__ import annotations

import pytest

from tools.soaking.__main__ import main


@pytest.mark.parametrize(
    "arguments",
    [
        ["--messages", "0"],
        ["--cuts", "-1"],
        ["--users", "5"],
        ["--seed", "many"],
        ["--server", "openfire"],
        ["--system", "many"],
        ["--restart", "--server", "embedded"],  # it is in the process that would kill it
    ],
)
def test_a_wrong_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    assert exited.value.code == 2
    assert arguments[0] in capsys.readouterr().err
