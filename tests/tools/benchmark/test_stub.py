"""The stub, compiled and run against components that do it right, and that don't.

Left out by tools/test --fast like all that needs a package: the C compiler.
"""

import dataclasses
import re
import socket
import sys
from pathlib import Path

import pytest

from tools.benchmark import stub
from tools.benchmark.errors import BenchError
from tools.benchmark.measuring import measure
from tools.benchmark.peers import Peer
from tools.benchmark.stub import Load, Stub, compile_stub

pytestmark = pytest.mark.server

HEADER = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' "
    b"xmlns:stream='http://etherx.jabber.org/streams' to='echo.localhost'>"
)

COMPONENT = r"""
import re, signal, socket, sys
port, manner = int(sys.argv[1]), sys.argv[2]
s = socket.create_connection(("127.0.0.1", port))
s.sendall(b"<stream:stream to='echo.localhost'><handshake>00</handshake>")
print("component speaking", flush=True)
rest, number = b"", 0
while data := s.recv(65536):
    *messages, rest = (rest + data).split(b"</message>")
    for message in messages:
        number += 1
        sender, body = re.search(rb"<message .* from='(.*?)' .*<body>(.*)</body>", message).groups()
        if manner == "exits" and number == 20:
            sys.exit(7)
        if manner == "closes" and number == 20:
            s.sendall(b"<stream:error><conflict/></stream:error></stream:stream>")
            s.close()
            signal.pause()
        if manner == "loses" and number == 20:
            continue
        if b"sleep@" in message:
            answer = b"slept" if manner == "sleeps" else b"refused"
            s.sendall(b"<message to='%b'><body>%b</body></message>" % (sender, answer))
            continue
        if manner == "alters":
            body = body[:-1] + b"!"
        if manner == "mixes senders up":
            sender = b"user999@bench.localhost/desk"
        if manner == "talks nonsense":
            body = b"what is that supposed to mean?"
        for _ in range(2 if manner == "repeats" else 1):
            s.sendall(b"<message to='%b'><body>echo %b</body></message>" % (sender, body))
"""

SMALL = Load(warm_up=10, round_trips=20, in_flight=1, stanzas=500)
IMPATIENT = dataclasses.replace(SMALL, stall=3)  # long enough for a component to start


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_stub(tmp_path_factory.mktemp("stub"))


def component(manner: str) -> Peer:
    return Peer(
        name=manner,
        prepare=lambda cache: None,
        command=lambda cache, directory, port: [
            *(sys.executable, "-c", COMPONENT, str(port), manner)
        ],
        version=lambda cache: "",
    )


def test_it_is_compiled_once(tmp_path: Path) -> None:
    first = compile_stub(tmp_path)
    made = first.stat().st_mtime_ns
    assert compile_stub(tmp_path) == first
    assert first.stat().st_mtime_ns == made
    assert list(tmp_path.iterdir()) == [first]


def test_without_a_compiler_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchError, match="apt-get install gcc"):
        compile_stub(tmp_path / "cache")


def test_a_source_that_does_not_compile_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "stub.c"
    source.write_text("int main(void) { return nothing; }")
    monkeypatch.setattr(stub, "SOURCE", source)
    with pytest.raises(BenchError, match=r"cc refuses stub\.c:\n(?s:.*)nothing"):
        compile_stub(tmp_path / "cache")


@pytest.mark.parametrize("piece", [1, 1000], ids=["byte by byte", "whole"])
def test_handshake_and_messages(program: Path, piece: int) -> None:
    with (
        Stub(program, Load(warm_up=0, round_trips=0, stanzas=3)) as running,
        socket.create_connection(("127.0.0.1", running.port), 10) as connection,
    ):
        for text in (HEADER, b"<handshake>" + b"0" * 40 + b"</handshake>"):
            for start in range(0, len(text), piece):
                connection.sendall(text[start : start + piece])
        received = b""
        while received.count(b"</message>") < 3:
            received += connection.recv(4096)
    header, _, messages = received.partition(b"<handshake/>")
    assert b"xmlns='jabber:component:accept'" in header
    assert b" id='" in header
    assert len(messages) == 900
    texts = [messages[start : start + 300].decode() for start in (0, 300, 600)]
    assert all(re.fullmatch("<message .*</body></message>", text) for text in texts)
    for pattern in ("id='(.*?)'", "from='(.*?)'", "<body>(.*)</body>"):
        assert len({re.search(pattern, text)[1] for text in texts}) == 3  # type: ignore[index]


def test_a_component_that_echoes_is_measured(program: Path) -> None:
    measurement = measure(component("echoes"), program, SMALL)
    assert measurement.outcome.stanzas == 500
    assert measurement.outcome.rate > 0
    assert len(measurement.outcome.round_trips_ns) == 20
    assert all(measurement.outcome.round_trips_ns)
    assert measurement.peak_bytes > 1_000_000


def test_a_flood_of_given_length_ends(program: Path) -> None:
    load = Load(warm_up=0, round_trips=0, seconds=0.05)
    assert measure(component("echoes"), program, load).outcome.stanzas > 0


def test_the_processor_time_of_the_flood_is_told(program: Path) -> None:
    measurement = measure(component("echoes"), program, dataclasses.replace(SMALL, stanzas=20_000))
    assert 0 < measurement.cpu_seconds < 60
    assert measurement.cpu_us == pytest.approx(measurement.cpu_seconds * 50)


def test_a_window_bounds_what_is_on_its_way_in_the_flood(program: Path) -> None:
    load = Load(warm_up=0, round_trips=0, stanzas=1000, window=8)
    with (
        Stub(program, load) as running,
        socket.create_connection(("127.0.0.1", running.port), 10) as connection,
    ):
        connection.sendall(HEADER + b"<handshake>0</handshake>")
        received = b""
        while received.count(b"</message>") < 8:
            received += connection.recv(65536)
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(65536)
    assert received.count(b"<message ") == 8


def test_a_warm_up_ends_with_its_time(program: Path) -> None:
    load = Load(warm_up=10**7, warm_up_seconds=0.05, round_trips=0, stanzas=20)
    assert measure(component("echoes"), program, load).outcome.stanzas == 20


def test_one_user_and_an_address(program: Path) -> None:
    load = Load(warm_up=0, round_trips=0, stanzas=3, users=1, to="other")
    with (
        Stub(program, load) as running,
        socket.create_connection(("127.0.0.1", running.port), 10) as connection,
    ):
        connection.sendall(HEADER + b"<handshake>0</handshake>")
        received = b""
        while received.count(b"</message>") < 3:
            received += connection.recv(4096)
    _, _, messages = received.partition(b"<handshake/>")
    assert len(messages) == 900
    assert messages.count(b" from='user000@bench.localhost/desk' to='other@echo.localhost'") == 3


def test_sleepers_are_under_way_besides(program: Path) -> None:
    load = Load(warm_up=10, round_trips=200, stanzas=10, sleepers=3)
    outcome = measure(component("sleeps"), program, load).outcome
    assert len(outcome.round_trips_ns) == 200
    assert outcome.slept >= 3
    assert outcome.latency_seconds > 0


def test_several_may_be_in_flight(program: Path) -> None:
    load = Load(warm_up=0, round_trips=100, in_flight=16, stanzas=1)
    assert len(measure(component("echoes"), program, load).outcome.round_trips_ns) == 100


@pytest.mark.parametrize(
    ("manner", "complaint"),
    [
        ("exits", r"ended by itself with code 7|the component closed the connection"),
        ("closes", r"the component closed the connection; .*<conflict/>"),
        ("loses", r"no answer for 3 s: 19 of 20 answered"),
        ("repeats", r"wrong answers, the first: answered twice: <message"),
        ("alters", r"wrong answers, the first: changed on the way: <message"),
        ("mixes senders up", r"wrong answers, the first: changed on the way: <message"),
        ("talks nonsense", r"wrong answers, the first: no number in: <message"),
    ],
)
def test_a_component_that_fails_is_found_out(program: Path, manner: str, complaint: str) -> None:
    with pytest.raises(BenchError, match=f"{manner}: .*(?:{complaint})") as caught:
        measure(component(manner), program, IMPATIENT)
    assert "\n    component speaking" in str(caught.value)


def test_a_sleeper_that_is_refused_is_found_out(program: Path) -> None:
    load = dataclasses.replace(IMPATIENT, sleepers=1)
    with pytest.raises(BenchError, match=r"no answer of a sleeper: .*refused"):
        measure(component("refuses"), program, load)


def test_a_component_that_never_comes_is_given_up(program: Path) -> None:
    absent = Peer(
        name="absent",
        prepare=lambda cache: None,
        command=lambda cache, directory, port: ["sleep", "60"],
        version=lambda cache: "",
    )
    with pytest.raises(BenchError, match="absent: no component has connected for 3 s"):
        measure(absent, program, IMPATIENT)
