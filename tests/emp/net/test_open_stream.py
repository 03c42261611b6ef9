"""Opening a stream, step by step, against the development server and against servers that fail."""

import asyncio
import datetime as dt
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

import emp.devserver.server
import emp.net.connect
from emp.devserver.certificate import CertificateFiles, ensure_certificate
from emp.net import STEPS, open_stream
from emp.net.resolve import Candidate
from emp.sasl import DISCREET
from emp.stanza import Message, Presence
from tests.emp.net.support import (
    CLIENT_HEADER,
    COMPONENT_HEADER,
    Sink,
    accept_component,
    client,
    component,
    dev_server,
    failure,
    opened,
    scripted,
)


async def test_client_takes_all_steps(tmp_path: Path) -> None:
    steps: list[tuple[str, str]] = []
    async with dev_server(tmp_path) as server:
        stream = await open_stream(
            client(server, resource="garden"),
            Sink(),
            progress=lambda step, detail: steps.append((step, detail)),
        )
        assert str(stream.jid) == "romeo@im.test/garden"
        await stream.close()
    assert [step for step, _ in steps] == [step for step in STEPS if step != "upgrade"]
    details = dict(steps)
    assert details["secure"] == "TLS 1.3"
    assert details["authenticate"] == "SCRAM-SHA-512-PLUS"
    assert details["bind"] == "romeo@im.test/garden"
    assert str(server.port) in details["connect"]


async def test_component_has_no_secure_and_no_presence(tmp_path: Path) -> None:
    steps: list[str] = []
    async with dev_server(tmp_path) as server:
        stream = await open_stream(
            component(server.component_port),
            Sink(),
            progress=lambda step, detail: steps.append(step),
        )
        assert str(stream.jid) == "hack.im.test"
        await stream.close()
    assert steps == ["resolve", "connect", "authenticate", "bind"]


async def test_client_and_component_talk(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        user, bot = Sink(), Sink()
        async with (
            opened(client(server), user) as romeo,
            opened(component(server.component_port), bot) as hack,
        ):
            romeo.send([Message("bot@hack.im.test", "hi", type="chat")])
            asked = await bot.stanza("message")
            assert isinstance(asked, Message)
            assert asked.from_ == romeo.jid
            hack.send([asked.reply("ho")])
            answer = await user.stanza("message")
            assert isinstance(answer, Message)
            assert (answer.body, answer.from_text) == ("ho", "bot@hack.im.test")


@pytest.mark.parametrize("mechanism", [*DISCREET, "PLAIN"])
async def test_mechanisms(tmp_path: Path, mechanism: str) -> None:
    steps: dict[str, str] = {}
    async with dev_server(tmp_path) as server:
        settings = client(server, mechanisms=(mechanism,))
        stream = await open_stream(settings, Sink(), progress=steps.__setitem__)
        await stream.close()
    assert steps["authenticate"] == mechanism


async def test_resource_of_the_servers_choice(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server, opened(client(server), Sink()) as stream:
        assert stream.jid.resource


async def test_domain_of_another_script(tmp_path: Path) -> None:
    async with (
        dev_server(tmp_path, domain="bücher.test") as server,
        opened(client(server), Sink()) as stream,
    ):
        assert stream.jid.domain == "bücher.test"


# -- the first presence --------------------------------------------------------------------------


async def test_first_presence_as_the_settings_have_it(tmp_path: Path) -> None:
    watcher = Sink()
    async with dev_server(tmp_path) as server, opened(client(server, "romeo"), watcher):
        settings = client(server, "romeo", show="away", status="at the beach", priority=-3)
        stream = await open_stream(settings, Sink())
        while (presence := await watcher.stanza("presence")).from_ != stream.jid:
            continue
        assert isinstance(presence, Presence)
        assert (presence.show, presence.status, presence.priority) == ("away", "at the beach", -3)
        await stream.close()


@pytest.mark.parametrize("how", ["argument", "setting"])
async def test_without_a_first_presence(how: str, tmp_path: Path) -> None:
    steps: list[str] = []
    seen: list[bytes] = []

    def tap(direction: str, jid: str, stanza: bytes) -> None:
        if direction == "in":
            seen.append(stanza)

    async with dev_server(tmp_path, tap=tap) as server:
        stream = await open_stream(
            client(server, presence=how != "setting"),
            Sink(),
            progress=lambda step, detail: steps.append(step),
            available=how != "argument",
        )
        await stream.close()
    assert "presence" not in steps
    assert [each for each in seen if b"<presence" in each and b"unavailable" not in each] == []


# -- what the server refuses ----------------------------------------------------------------------


@pytest.mark.parametrize("change", [{"password": "wrong"}, {"node": "stranger"}])
async def test_wrong_credentials(tmp_path: Path, change: dict[str, Any]) -> None:
    async with dev_server(tmp_path) as server:
        error = await failure(client(server, **change))
    assert (error.step, error.permanent) == ("authenticate", True)
    assert "not-authorized" in error.reason
    assert error.remedy is not None
    assert "password" in error.remedy
    assert "wrong" not in str(error)


async def test_wrong_secret(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        error = await failure(component(server.component_port, secret="wrong"))
    assert (error.step, error.permanent) == ("authenticate", True)
    assert error.remedy is not None
    assert "secret" in error.remedy
    assert "hack.im.test" in error.remedy


async def test_no_mechanism_in_common(tmp_path: Path) -> None:
    script = _tls_then_only_unknown_mechanisms(tmp_path)
    async with dev_server(tmp_path) as server, scripted(script) as port:
        error = await failure(client(server, port=port))
    assert (error.step, error.permanent) == ("authenticate", True)
    assert error.remedy is not None
    assert "authentication =" in error.remedy


def _tls_then_only_unknown_mechanisms(directory: Path) -> Any:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        files = ensure_certificate(directory, "im.test")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        await reader.readuntil(b"<stream:stream")
        await reader.readuntil(b">")
        writer.write(CLIENT_HEADER + STARTTLS)
        await reader.readuntil(b"/>")
        writer.write(PROCEED)
        await writer.start_tls(context)
        await reader.readuntil(b"<stream:stream")
        await reader.readuntil(b">")
        writer.write(
            CLIENT_HEADER
            + b"<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>"
            b"<mechanism>X-UNKNOWN</mechanism></mechanisms></stream:features>"
        )
        await reader.read()

    return script


STARTTLS = (
    b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
    b"</stream:features>"
)
PROCEED = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"


async def test_unknown_domain(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        error = await failure(client(server, host="other.test"))
        assert error.permanent
        assert "host-unknown" in error.reason
        assert error.remedy is not None
        assert "other.test" in error.remedy
        error = await failure(component(server.component_port, host="other.test"))
        assert error.permanent


async def test_second_component_of_a_domain(tmp_path: Path) -> None:
    first = Sink()
    async with (
        dev_server(tmp_path) as server,
        opened(component(server.component_port), first),
    ):
        error = await failure(component(server.component_port))
        assert error.permanent
        assert "conflict" in error.reason
        assert first.ends == []


# -- certificates ---------------------------------------------------------------------------------


async def test_unknown_authority(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        error = await failure(client(server, ca_file=None))
    assert (error.step, error.permanent) == ("secure", True)
    assert "does not know" in error.reason
    assert error.remedy is not None
    assert "ca_file" in error.remedy


async def test_wrong_authority(tmp_path: Path) -> None:
    other = ensure_certificate(tmp_path / "other", "im.test")
    async with dev_server(tmp_path) as server:
        error = await failure(client(server, ca_file=other.ca))
    assert (error.step, error.permanent) == ("secure", True)
    assert error.remedy is not None
    assert str(other.ca) in error.remedy


async def test_expired_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def long_ago(directory: Path, domain: str) -> CertificateFiles:
        past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1000)
        return ensure_certificate(directory, domain, now=past)

    monkeypatch.setattr(emp.devserver.server, "ensure_certificate", long_ago)
    async with dev_server(tmp_path) as server:
        error = await failure(client(server))
    assert (error.step, error.permanent) == ("secure", True)
    assert "expired" in error.reason


async def test_missing_ca_file_needs_no_network(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        error = await failure(client(server, ca_file=tmp_path / "nothing.pem", port=1))
    assert (error.step, error.permanent) == ("secure", True)


# -- servers that are not there, silent, or odd ---------------------------------------------------


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


async def test_refused() -> None:
    port = closed_port()
    error = await failure(component(port))
    assert (error.step, error.permanent) == ("connect", False)
    assert error.reason == f"127.0.0.1:{port}: connection refused"
    assert error.remedy is not None


async def test_all_addresses_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = closed_port()
    async with dev_server(tmp_path) as server:
        places = [
            Candidate("bad.test", "127.0.0.1", port),
            Candidate("good.test", "127.0.0.1", server.component_port),
        ]

        async def resolve(settings: object) -> list[Candidate]:
            return places

        monkeypatch.setattr(emp.net.connect, "resolve", resolve)
        async with opened(component(1), Sink()) as stream:
            assert stream.peer == f"good.test (127.0.0.1:{server.component_port})"
        places.pop()
        places.append(Candidate("127.0.0.1", "127.0.0.1", port))
        error = await failure(component(1))
    assert error.reason == (
        f"bad.test (127.0.0.1:{port}): connection refused; 127.0.0.1:{port}: connection refused"
    )


async def test_dns_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(settings: object) -> list[Candidate]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    monkeypatch.setattr(emp.net.connect, "resolve", resolve)
    error = await failure(component(1, connect_timeout=0.05))
    assert (error.step, error.permanent) == ("resolve", False)


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _silent_after_proceed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"<stream:stream")
    await reader.readuntil(b">")
    writer.write(CLIENT_HEADER + STARTTLS)
    await reader.readuntil(b"<starttls")
    await reader.readuntil(b">")
    writer.write(PROCEED)
    await reader.read()


@pytest.mark.parametrize("script", [_silent, _silent_after_proceed])
async def test_client_of_a_silent_server(tmp_path: Path, script: Any) -> None:
    async with dev_server(tmp_path) as server, scripted(script) as port:
        error = await failure(client(server, port=port, connect_timeout=0.1))
    assert (error.step, error.permanent) == ("secure", False)
    assert str(port) in error.reason


async def test_component_of_a_silent_server() -> None:
    async with scripted(_silent) as port:
        error = await failure(component(port, connect_timeout=0.05))
    assert (error.step, error.permanent) == ("authenticate", False)
    assert "did not answer in 0.05 s" in error.reason


def _says(*chunks: bytes, then_close: bool) -> Any:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"<stream:stream")
        await reader.readuntil(b">")
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
        if not then_close:
            await reader.read()

    return script


@pytest.mark.parametrize("said", [(), (CLIENT_HEADER,), (CLIENT_HEADER, STARTTLS[:30])])
async def test_eof_in_the_middle(tmp_path: Path, said: tuple[bytes, ...]) -> None:
    async with dev_server(tmp_path) as server, scripted(_says(*said, then_close=True)) as port:
        error = await failure(client(server, port=port))
    assert (error.step, error.permanent) == ("secure", False)
    assert "clos" in error.reason


async def test_eof_instead_of_tls(tmp_path: Path) -> None:
    async with (
        dev_server(tmp_path) as server,
        scripted(_says(CLIENT_HEADER + STARTTLS, PROCEED, then_close=True)) as port,
    ):
        error = await failure(client(server, port=port))
    assert (error.step, error.permanent) == ("secure", False)


async def test_garbage_instead_of_tls(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"<stream:stream")
        await reader.readuntil(b">")
        writer.write(CLIENT_HEADER + STARTTLS)
        await reader.readuntil(b"<starttls")
        await reader.readuntil(b">")
        writer.write(PROCEED)
        await reader.read(1)  # of the client's hello
        writer.write(b"<stream:features/>" * 10)
        await reader.read()

    async with dev_server(tmp_path) as server, scripted(script) as port:
        error = await failure(client(server, port=port))
    assert error.step == "secure"
    assert "no TLS" in error.reason


async def test_clear_text_behind_proceed_is_a_fault(tmp_path: Path) -> None:
    """Security note T7: bytes that arrive in the same read as <proceed/>."""
    says = _says(CLIENT_HEADER + STARTTLS, PROCEED + b"<stream:features/>", then_close=False)
    async with dev_server(tmp_path) as server, scripted(says) as port:
        error = await failure(client(server, port=port))
    assert error.step == "secure"


async def test_without_starttls_nothing_secret_is_sent(tmp_path: Path) -> None:
    """Security note T6: a stripped <starttls/> must not lead to credentials in the clear."""
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"<stream:stream")
        await reader.readuntil(b">")
        writer.write(
            CLIENT_HEADER
            + b"<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>"
            b"<mechanism>PLAIN</mechanism><mechanism>SCRAM-SHA-1</mechanism></mechanisms>"
            b"</stream:features>"
        )
        heard.set_result(await reader.read())

    async with dev_server(tmp_path) as server, scripted(script) as port:
        error = await failure(client(server, port=port))
        assert await heard == b"</stream:stream>"
    assert (error.step, error.permanent) == ("secure", True)


@pytest.mark.parametrize(
    ("condition", "permanent"),
    [
        ("host-unknown", True),
        ("conflict", True),
        ("not-authorized", True),
        ("system-shutdown", False),
        ("resource-constraint", False),
        ("undefined-condition", False),
    ],
)
async def test_stream_errors(condition: str, permanent: bool) -> None:
    error_bytes = (
        f"<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
        "</stream:error></stream:stream>"
    ).encode()
    async with scripted(_says(COMPONENT_HEADER + error_bytes, then_close=True)) as port:
        error = await failure(component(port))
    assert (error.step, error.permanent) == ("authenticate", permanent)
    assert condition in error.reason


async def test_words_of_the_peer_stay_on_one_line() -> None:
    says = _says(
        COMPONENT_HEADER
        + b"<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
        b"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>go\n away \xc2\x9b31m"
        + b"!" * 1000
        + b"</text></stream:error></stream:stream>",
        then_close=True,
    )
    async with scripted(says) as port:
        error = await failure(component(port))
    assert "undefined-condition: go away ?31m!!!" in error.reason
    assert len(error.reason) < 400


async def test_what_is_not_xmpp(tmp_path: Path) -> None:
    says = _says(b"HTTP/1.1 400 Bad Request\r\n\r\n", then_close=False)
    async with scripted(says) as port:
        error = await failure(component(port))
    assert error.permanent
    assert "web server" in error.reason


async def test_the_end_in_the_same_read_as_ready() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accept_component(reader, writer, b"</stream:stream>")
        await reader.read()

    async with scripted(script) as port:
        error = await failure(component(port))
    assert not error.permanent


async def test_stanzas_right_behind_ready_reach_the_sink() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        message = b"<message from='a@b.test' to='hack.im.test'><body>%d</body></message>"
        await accept_component(reader, writer, message % 1 + message % 2)
        await reader.readuntil(b"</stream:stream>")
        writer.write(b"</stream:stream>")

    sink = Sink()
    async with scripted(script) as port, opened(component(port), sink):
        first, second = await sink.stanza(), await sink.stanza()
        assert isinstance(first, Message)
        assert isinstance(second, Message)
        assert (first.body, second.body) == ("1", "2")


# -- giving up ------------------------------------------------------------------------------------


async def test_cancelled_half_way_leaves_nothing_open() -> None:
    reached, gone = asyncio.Event(), asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"<stream:stream")
        await reader.readuntil(b">")
        reached.set()
        await reader.read()
        gone.set()

    async with scripted(script) as port:
        task = asyncio.create_task(open_stream(component(port), Sink()))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await gone.wait()
    assert gone.is_set()


async def test_cancelled_during_the_tls_handshake(tmp_path: Path) -> None:
    reached, gone = asyncio.Event(), asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"<stream:stream")
        await reader.readuntil(b">")
        writer.write(CLIENT_HEADER + STARTTLS)
        await reader.readuntil(b"<starttls")
        await reader.readuntil(b">")
        writer.write(PROCEED)
        await reader.read(1)
        reached.set()
        while await reader.read(65536):
            pass
        gone.set()

    async with dev_server(tmp_path) as server, scripted(script) as port:
        task = asyncio.create_task(open_stream(client(server, port=port), Sink()))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await gone.wait()
    assert gone.is_set()


def test_a_loop_that_is_driven_step_by_step(tmp_path: Path) -> None:
    """As inside an actor: nobody runs the loop for long."""
    loop = asyncio.SelectorEventLoop()

    async def talk() -> str:
        async with dev_server(tmp_path) as server:
            sink = Sink()
            async with opened(client(server), sink) as stream:
                stream.send([Message(stream.jid, "to myself")])
                got = await sink.stanza("message")
                assert isinstance(got, Message)
                return got.body or ""

    task = loop.create_task(talk())
    try:
        while not task.done():
            loop.call_soon(loop.stop)
            loop.run_forever()
        assert task.result() == "to myself"
    finally:
        loop.close()
