"""Errors in one line, tables, completion."""

import click
import pytest

from actors.commands.output import complain, completion_script, run_command, table
from emp.errors import ConfigError, EmpError


def test_a_table() -> None:
    assert table([["a", "long cell"], ["bbbb", ""]], ["X", "Y"]) == (
        "X     Y\na     long cell\nbbbb"
    )


def test_complaints(capsys: pytest.CaptureFixture[str]) -> None:
    assert complain(EmpError("it did not work")) == 1
    assert complain(ConfigError("wrong", file="a.toml", line=3, remedy="right it")) == 2
    assert complain(EmpError("one\ntwo")) == 1
    assert capsys.readouterr().err.splitlines() == [
        "error: it did not work",
        "error: a.toml:3: wrong. right it",
        "error: one",
        "       two",
    ]


@pytest.mark.parametrize(
    ("raises", "code"),
    [
        (click.UsageError("no"), 2),
        (click.Abort(), 130),
        (EmpError("no"), 1),
        (ConfigError("no"), 2),
    ],
)
def test_exit_codes(
    raises: Exception,
    code: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @click.command()
    def command() -> None:
        raise raises

    monkeypatch.setattr("sys.argv", ["command"])
    assert run_command(command, "command") == code
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    script = completion_script(click.Command("emp-admin"), "emp-admin", shell)
    assert "_EMP_ADMIN_COMPLETE" in script
