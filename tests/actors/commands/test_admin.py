"""emp-admin: what it makes of answers, honest or not."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from actors import control, rundir
from actors.commands import admin

ROW: dict[str, Any] = {
    "name": "main",
    "kind": "connection",
    "parent": "supervisor",
    "address": "",
    "pid": 7,
    "state": "connected",
    "since": 0.0,
    "restarts": 0,
    "detail": "",
}
HELLO = b"{}\n"

Answer = Callable[[str], bytes | None]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], None]]:
    """Makes an application that is none: `answer(command)` is what it says, None: nothing."""
    monkeypatch.setattr(control, "BUSY_TIMEOUT", 0.5)
    monkeypatch.setattr(control.request, "__defaults__", (0.5,))
    run = rundir.create("fake", "/fake", "embedded")
    listener = socket.socket(socket.AF_UNIX)
    control._short(run.socket, listener.bind)
    listener.listen()
    over = threading.Event()

    def serve(answer: Answer) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):  # whoever asked has heard enough
            for line in connection.makefile("rb"):
                said = answer(json.loads(line)["command"])
                if said is None:
                    over.wait()
                    return
                connection.sendall(said)
                if not said.endswith(b"\n"):
                    return

    def start(answer: Answer) -> None:
        threading.Thread(target=serve, args=[answer], daemon=True).start()

    yield start
    over.set()
    listener.close()
    rundir.remove(run)


def emp_admin(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["emp-admin", *arguments])
    return admin.run()


NONSENSE: dict[str, bytes | None] = {
    "nothing": None,
    "garbage": b"\x00\xff\x80\x04K\x01.\n",
    "half of JSON": b'{"actors": [',
    "half of JSON in a line": b'{"actors": [\n',
    "deep": b"[" * 200_000 + b"\n",
    "a list": b"[]\n",
    "a number": b"7\n",
    "NaN": b"NaN\n",
    "without what was asked for": b"{}\n",
    "something else": b'{"actors": 7}\n',
    "a list of something else": b'{"actors": [7]}\n',
    "an actor without a name": b'{"actors": [{}]}\n',
    "an actor with another name": json.dumps({"actors": [{**ROW, "name": []}]}).encode() + b"\n",
    "an error that is none": b'{"error": []}\n',
    "an endless answer": b"x" * 101 * control.REQUEST_BYTES + b"\n",
    "HTTP": b"HTTP/1.1 200 OK\r\n\r\n",
}


@pytest.mark.parametrize("name", NONSENSE)
@pytest.mark.parametrize("at_once", [True, False])
def test_nonsense_is_one_clear_line(
    answering: Callable[[Answer], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    at_once: bool,
) -> None:
    answering(lambda said: NONSENSE[name] if at_once or said != "hello" else HELLO)
    assert emp_admin(monkeypatch, "ps") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert "fake-" in err


def answers(**content: Any) -> Answer:
    return lambda said: HELLO if said == "hello" else json.dumps(content).encode() + b"\n"


@pytest.mark.parametrize(
    ("state", "kind", "code"),
    [
        ("connected", "connection", 0),
        ("running", "component", 0),
        ("running", "router", 0),
        ("waiting", "connection", 1),
        ("connecting", "connection", 1),
        ("failed", "connection", 1),
        ("stopped", "connection", 1),
        ("silent", "component", 1),
        ("restarting", "router", 1),
        ("failed", "component", 1),
    ],
)
@pytest.mark.parametrize("json_", [True, False])
def test_check(
    answering: Callable[[Answer], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    state: str,
    kind: str,
    code: int,
    json_: bool,
) -> None:
    row = {**ROW, "state": state, "kind": kind, "detail": "so\nit is"}
    answering(answers(actors=[{**ROW, "name": "other"}, row]))
    options = ["--json"] if json_ else []
    assert emp_admin(monkeypatch, "ps", "--check", *options) == code
    out, err = capsys.readouterr()
    assert err == ("" if code == 0 else f"not well: main is {state}: so\\nit is\n")
    if json_:
        assert [each["name"] for each in json.loads(out)] == ["other", "main"]
    else:
        assert out.count("\n") == 3


def test_without_check_the_code_is_that_of_the_question(
    answering: Callable[[Answer], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(answers(actors=[{**ROW, "state": "failed"}]))
    assert emp_admin(monkeypatch, "ps") == 0


def test_nothing_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert emp_admin(monkeypatch, "ps", "--check") == 1
    assert capsys.readouterr().err.startswith("error: no application runs")


EVIL = "\x1b]0;owned\x07\n\x7f\u202e"


@pytest.mark.parametrize("command", [["ps"], ["tree"], ["ps", "--json"], ["tree", "--json"]])
def test_what_is_shown_steers_no_terminal(
    answering: Callable[[Answer], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
) -> None:
    answering(answers(actors=[{**ROW, "parent": None, "detail": EVIL, "state": EVIL}]))
    assert emp_admin(monkeypatch, *command) == 0
    assert all(line.isprintable() for line in capsys.readouterr().out.split("\n"))


def test_facts_steer_no_terminal(
    answering: Callable[[Answer], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    facts = {EVIL: EVIL, "since": EVIL, "uptime": EVIL, "list": [EVIL], "none": None}
    answering(answers(facts=facts))
    assert emp_admin(monkeypatch, "inspect", "main") == 0
    assert all(line.isprintable() for line in capsys.readouterr().out.split("\n"))


def test_a_socket_without_a_listener(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = rundir.create("fake", "/fake", "embedded")
    assert emp_admin(monkeypatch, "ps") == 1
    assert capsys.readouterr().err.count("\n") == 1
    rundir.remove(run)
