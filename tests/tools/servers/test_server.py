"""Starting and ending a server process, with stand-ins: no package is needed for these."""

import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from emp.devserver.certificate import ensure_certificate
from tools.servers import recipes, server
from tools.servers.recipes import Plan, Ports, Recipe, ServerError
from tools.servers.server import free_ports, running

ROOT = Path(__file__).parents[3]
END_MILLISECONDS = 20_000

STAND_IN = """
import os, socket, sys
pid = os.fork()                     # a child, as servers have: it must not survive either
open(sys.argv[1], "a").write(f"{os.getpid()}\\n")
if pid:
    print("listening", flush=True)
listeners = [socket.create_server(("127.0.0.1", int(port))) for port in sys.argv[2:] if pid]
while True:
    for listener in listeners:
        connection, _ = listener.accept()
        asked = connection.recv(4096).decode()
        connection.sendall(f"<stream:stream from={asked.split('to=')[1]}".encode())
        connection.close()
    if not listeners:
        import signal; signal.pause()
"""


def stand_in(script: str = STAND_IN) -> Recipe:
    """A recipe whose server is a few lines of Python; it notes its processes in a file."""

    def command(plan: Plan) -> list[str]:
        pids = str(plan.directory / "pids")
        ports = [str(plan.ports.clients), str(plan.ports.components)]
        return ["/usr/bin/env", "python3", "-c", script, pids, *ports]

    return Recipe("stand-in", configure=lambda plan: None, command=command, logs=("output",))


def has_ended(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    try:
        return bool(poll.poll(END_MILLISECONDS))
    finally:
        os.close(pidfd)


def test_ports_are_different_and_free() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert all(port in server.PORTS for port in ports)


def test_a_stop_ends_every_process_and_removes_the_directory() -> None:
    with running(stand_in()) as running_server:
        directory = running_server.ca_file.parents[1]
        pids = [int(line) for line in (directory / "pids").read_text().split()]
        ends = [os.pidfd_open(pid) for pid in pids]
        assert running_server.pid in pids
        assert "listening" in running_server.log()
    assert len(ends) == 2
    assert all(has_ended(end) for end in ends)
    assert not directory.exists()


def test_an_early_end_is_told_with_the_log() -> None:
    recipe = stand_in("raise SystemExit('no such luck')")
    told = r"stand-in ended instead.*\n.*\nno such luck"
    with pytest.raises(ServerError, match=told), running(recipe):
        pass


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "START_SECONDS", 0.0)
    with (
        pytest.raises(ServerError, match="not ready within 0 s"),
        running(stand_in("import signal; signal.pause()")),
    ):
        pass


def test_another_server_on_the_port_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = free_ports(15)
    tries = [ports[0:5], ports[5:10], ports[10:15]]
    monkeypatch.setattr(server, "free_ports", lambda _count: tries.pop(0))
    script = "import sys; " + "sys.exit('bind: Address already in use')"
    with pytest.raises(ServerError, match="already in use"), running(stand_in(script)):
        pass
    assert tries == []  # it has tried again with other ports, and given up in the end


@pytest.mark.parametrize("recipe", [recipes.PROSODY, recipes.EJABBERD], ids=lambda r: r.name)
def test_a_missing_package_is_named(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(recipes, "LIBRARIES", tmp_path)
    with pytest.raises(ServerError, match=f"apt-get install {recipe.name}"), running(recipe):
        pass


def test_unknown_accounts_are_refused() -> None:
    with running(stand_in()) as running_server:
        assert running_server.account("alice") == "pw-alice"
        with pytest.raises(ServerError, match="no account 'mallory', only alice, bob"):
            running_server.account("mallory")


def test_only_the_mechanisms_that_are_wanted_stay() -> None:
    disabled = recipes.Options(mechanisms=("SCRAM-SHA-256", "PLAIN")).disabled()
    assert {"SCRAM-SHA-1", "SCRAM-SHA-256-PLUS", "EXTERNAL", "DIGEST-MD5"} <= set(disabled)
    assert not {"SCRAM-SHA-256", "PLAIN"} & set(disabled)


@pytest.mark.server
def test_prosody_keeps_no_sha_512() -> None:
    options = recipes.Options(passwords="sha-512")
    with (
        pytest.raises(ServerError, match="SHA-512"),
        running(recipes.PROSODY, options=options),
    ):
        pass


STOCK = {
    "prosody": ('c2s = { rate = "10kb/s" }',),
    "ejabberd": (
        "normal:\n    rate: 3000\n    burst_size: 20000",
        "max_user_offline_messages: 100\n  c2s_shaper: normal",
        "max_stanza_size: 262144",
        "mod_stream_mgmt:\n    resend_on_timeout: if_offline",
    ),
}
"""What Debian's configuration files say. What they leave to the server, ours leave too."""
WIDENED = ("smacks_max_queue_size", "max_ack_queue", "unbraked", "100mb/s")


@pytest.mark.parametrize("load", [False, True], ids=["stock", "load"])
@pytest.mark.parametrize("recipe", [recipes.PROSODY, recipes.EJABBERD], ids=lambda r: r.name)
def test_limits_are_those_of_the_package_unless_load_is_wanted(
    recipe: Recipe, load: bool, tmp_path: Path
) -> None:
    files = ensure_certificate(tmp_path, "xmpp.test")
    recipe.configure(
        Plan(
            directory=tmp_path,
            host="127.0.0.1",
            domain="xmpp.test",
            anonymous_domain="anon.xmpp.test",
            ports=Ports(1, 2, 3, 4, 5),
            accounts={},
            components={},
            certificates=files,
            client_authority=files.ca,
            options=recipes.Options(load=load),
        )
    )
    [file] = (
        path for path in tmp_path.iterdir() if path.name in ("prosody.cfg.lua", "ejabberd.yml")
    )
    settings = [
        line for line in file.read_text().splitlines() if line.strip()[:1] not in ("#", "-")
    ]
    text = "\n".join(settings)
    assert all(words in text for words in STOCK[recipe.name]) is not load
    assert any(word in text for word in WIDENED) is load


STOP_SECONDS = 30.0
"""For a server to stop: it takes two at most."""


def by_hand(kind: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tools.servers", kind],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read_until(process: "subprocess.Popen[str]", sign: str) -> str:
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if sign in line:
            return text
    raise AssertionError(f"no {sign!r} in: {text}")


@pytest.mark.server
@pytest.mark.parametrize("kind", ["prosody", "ejabberd"])
def test_by_hand_it_tells_how_to_connect_and_ends_with_ctrl_c(kind: str) -> None:
    with by_hand(kind) as process:
        shown = read_until(process, "Ctrl-C")
        end = os.pidfd_open(int(shown.split("(process ")[1].split(")")[0]))
        directory = Path(shown.split("authority")[1].split()[0]).parents[1]
        assert directory.is_dir()
        try:
            process.send_signal(signal.SIGINT)
            assert "stopped" in read_until(process, "stopped")
            assert process.wait(STOP_SECONDS) == 0
        finally:
            process.kill()  # of no consequence when it has ended
    assert has_ended(end)
    assert not directory.exists()


@pytest.mark.server
@pytest.mark.parametrize("kind", ["prosody", "ejabberd"])
def test_a_killed_parent_takes_the_server_along(kind: str) -> None:
    with by_hand(kind) as process:
        shown = read_until(process, "Ctrl-C")
        end = os.pidfd_open(int(shown.split("(process ")[1].split(")")[0]))
        directory = Path(shown.split("authority")[1].split()[0]).parents[1]
        process.kill()
    assert has_ended(end)
    shutil.rmtree(directory)
