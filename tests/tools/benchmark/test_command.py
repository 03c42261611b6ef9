"""The command as a person uses it: its options, and that nothing of it stays behind."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tools.benchmark.__main__ import COMMANDS, main, parser

ROOT = Path(__file__).parents[3]
END_MILLISECONDS = 20_000

# The command with one more peer: a component with a child that has left its session and, by the
# death of its parent, its family. The child tells its process id through a named pipe.
WITH_A_PEER = r"""
import sys
from tools.benchmark.__main__ import main
from tools.benchmark.peers import PEERS, Peer
script, pipe = sys.argv[1:3]
PEERS["orphaning"] = Peer(
    "orphaning",
    prepare=lambda cache: None,
    command=lambda cache, directory, port: [sys.executable, "-c", script, str(port), pipe],
    version=lambda cache: "of this test",
)
sys.exit(main(sys.argv[3:]))
"""
ORPHANING = r"""
import os, re, signal, socket, sys
port, pipe = int(sys.argv[1]), sys.argv[2]
if not os.fork():
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with open(pipe, "w") as teller:
        teller.write(str(os.getpid()))
    while True:
        signal.pause()
os.wait()
s = socket.create_connection(("127.0.0.1", port))
s.sendall(b"<stream:stream><handshake/>".replace(b"/>", b">0</handshake>"))
rest = b""
while data := s.recv(65536):
    *messages, rest = (rest + data).split(b"</message>")
    for message in messages:
        sender, body = re.search(rb"<message .* from='(.*?)' .*<body>(.*)</body>", message).groups()
        s.sendall(b"<message to='%b'><body>echo %b</body></message>" % (sender, body))
"""


def start(pipe: Path, *arguments: str) -> "subprocess.Popen[str]":
    os.mkfifo(pipe)
    return subprocess.Popen(
        [sys.executable, "-c", WITH_A_PEER, ORPHANING, str(pipe), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def has_ended(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    try:
        return bool(poll.poll(END_MILLISECONDS))
    finally:
        os.close(pidfd)


@pytest.mark.server  # it needs the C compiler
def test_a_run_prints_json_and_leaves_no_process(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    options = ("--runs", "1", "--warm-up", "0", "--round-trips", "10", "--stanzas", "50", "--json")
    with start(pipe, "echo", "--peers", "orphaning", *options) as bench:
        orphan = os.pidfd_open(int(pipe.read_text()))
        output, progress = bench.communicate()
    assert has_ended(orphan)
    assert bench.returncode == 0, progress
    report = json.loads(output)
    assert report["load"]["stanzas"] == 50
    assert report["peers"][0]["peer"] == "orphaning"
    assert report["peers"][0]["rate"] > 0
    assert "run 1/1  orphaning" in progress


@pytest.mark.server  # it needs the C compiler
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupt_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    pipe = tmp_path / "pipe"
    with start(pipe, "echo", "--peers", "orphaning", "--seconds", "100") as bench:
        orphan = os.pidfd_open(int(pipe.read_text()))
        bench.send_signal(number)
        output, progress = bench.communicate()
    assert has_ended(orphan)
    assert bench.returncode == 130
    assert output == ""
    assert progress.splitlines()[-1] == "bench: interrupted"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "required: BENCHMARK"),
        (["ehco"], "invalid choice"),
        (["echo", "--peers", "emp,loudmouth"], "no peer 'loudmouth': there are emp,"),
        (["echo", "--peers", "emp,emp"], "name each peer once"),
        (["echo", "--runs", "0"], "must be from 1 to 1000"),
        (["echo", "--runs", "many"], "invalid number value: 'many'"),
        (["echo", "--stanzas", "5", "--seconds", "5"], "not allowed with argument"),
        (["routes", "--sorts", "to"], "no sort 'to': there are from, mixed, regex"),
        (["routes", "--routes", "1,0"], "must be from 1 to 100000"),
        (["routes", "--routes", "1,x"], "invalid number value: '1,x'"),
        (["routes", "--routes", "5,5"], "name each once"),
        (["blocking", "--systems", "many"], "no system 'many': there are embedded,"),
    ],
)
def test_wrong_options_are_told(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "example"),
    [
        (["echo"], "tools/bench echo --peers emp,xmpp.js --runs 5"),
        (["routes"], "tools/bench routes --sorts from --routes 1,1000 --peers emp,twisted"),
        (["blocking"], "tools/bench blocking --systems embedded --round-trips 20000"),
        ([], "tools/bench blocking --json > blocking.json"),
    ],
)
def test_help_has_examples(
    arguments: list[str], example: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    assert ended.value.code == 0
    assert example in capsys.readouterr().out


def test_the_examples_are_accepted() -> None:
    """Those of the help, as far as their options go."""
    examples = [
        line.split("  ")[1] for each in COMMANDS.values() for line in each.examples.splitlines()
    ]
    assert len(examples) > 8
    for example in examples:
        words = example.removeprefix("tools/bench ").partition(" >")[0].split()
        assert parser().parse_args(words).kind == words[0]
