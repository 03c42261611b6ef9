"""`emp check` as a user calls it: all mistakes, warnings, exit codes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from actors.commands.emp import emp
from actors.commands.output import run_command
from emp.devserver.certificate import CertificateFiles, ensure_certificate

APP = """\
from actors import Component
from emp.routing import Routes

class Hackity(Component):
    def hack(self) -> str:
        return "Hackity Hack!"

routes = Routes()
routes.message("[body]").to(Hackity.hack)
"""
CLIENT = """\
[connections.hack]
kind = "client"
node = "foo"
host = "localhost"
password = "foo"
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    file = tmp_path / f"checked_{abs(hash(tmp_path))}.py"  # modules are imported once
    file.write_text(APP)
    return file


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    return ensure_certificate(tmp_path_factory.mktemp("pems"), "localhost")


def check(
    app: Path,
    config: str | bytes,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> tuple[int, str, list[str]]:
    """Exit code, standard output, and the lines of the standard error."""
    (app.parent / "emp.toml").write_text(config)
    monkeypatch.setattr(sys, "argv", ["emp", "check", str(app)])
    code = run_command(emp, "emp")
    told = capsys.readouterr()
    assert "Traceback" not in told.err
    return code, told.out, told.err.splitlines()


def test_all_right(
    app: Path,
    pems: CertificateFiles,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = f'ca_file = "{pems.ca}"\ncertificate = "{pems.certificate}"\nkey = "{pems.key}"\n'
    code, out, err = check(app, CLIENT + files, monkeypatch, capsys)
    assert (code, err) == (0, [])
    assert out.endswith("all right\n")


def test_a_warning_is_no_mistake(
    app: Path,
    pems: CertificateFiles,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    key = app.parent / "key.pem"
    key.write_bytes(pems.key.read_bytes())
    key.chmod(0o644)
    files = f'certificate = "{pems.certificate}"\nkey = "key.pem"\n'
    code, out, [warning] = check(app, CLIENT + files, monkeypatch, capsys)
    assert code == 0
    assert out.endswith("all right\n")
    assert warning.startswith(f"warning: {app.parent / 'emp.toml'}:7: key ")
    assert f"chmod 600 {key}" in warning


def test_all_mistakes_with_their_lines(
    app: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = CLIENT + 'resorce = "a"\nstatus = "a\\u0001"\nserver = "xmpp://x"\n[sistem]\n'
    code, out, err = check(app, config, monkeypatch, capsys)
    assert (code, out) == (2, "")
    file = app.parent / "emp.toml"
    assert [line.removeprefix("error: ").strip().partition(": ")[0] for line in err] == [
        f"{file}:{line}" for line in (6, 7, 8, 9)
    ]


def test_files_that_hold_nothing(
    app: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (app.parent / "empty.pem").touch()
    second = CLIENT.replace("hack", "other").replace("foo", "bar")
    config = f'{CLIENT}ca_file = "empty.pem"\n{second}certificate = "empty.pem"\n'
    code, _, err = check(app, config, monkeypatch, capsys)
    assert code == 2
    assert [line.partition("emp.toml:")[2].partition(" ")[0] for line in err] == ["6:", "12:"]


@pytest.mark.parametrize("other", ["", 'resource = "x"\n'])
def test_one_address_twice(
    app: Path,
    other: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = CLIENT + other + CLIENT.replace("hack", "again") + other
    code, _, [line] = check(app, config, monkeypatch, capsys)
    assert code == 2
    number = CLIENT.count("\n") + other.count("\n") + 1
    assert f"emp.toml:{number}: hack and again are the same connection: foo@localhost" in line
    assert "give each a resource" in line


def test_no_file_and_a_folder(
    app: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["emp", "check", str(app)])
    assert run_command(emp, "emp") == 2
    assert "there is no configuration file" in capsys.readouterr().err
    (app.parent / "emp.toml").mkdir()
    assert run_command(emp, "emp") == 2
    assert "it is a folder" in capsys.readouterr().err
