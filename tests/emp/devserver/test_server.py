"""The server with its sockets: who may talk to it, and what slow or wrong peers get."""

import asyncio
import hashlib
import ssl
from pathlib import Path

import pytest
import slixmpp

from emp import ns
from emp.devserver import DevServer, session
from emp.errors import ConfigError, ConnectionFailed, EmpError
from emp.net import open_stream
from emp.stanza import Iq, Message, Presence
from emp.xml import E
from tests.emp.net.support import PATIENCE, Sink, client, component, dev_server, opened, turns

BOT = "bot@hack.im.test"


class Raw:
    """A socket that says what the test wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> "Raw":
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**24))

    def header(self, to: str, namespace: str = "jabber:client", version: str = "1.0") -> None:
        self.writer.write(
            f"<stream:stream to='{to}' version='{version}' xmlns='{namespace}'"
            " xmlns:stream='http://etherx.jabber.org/streams'>".encode()
        )

    async def until(self, what: bytes) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readuntil(what)

    async def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def close(self) -> None:
        self.writer.transport.abort()
        await turns()


# -- start ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])
def test_nothing_but_loopback(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="does not listen"):
        DevServer(host=host, directory=tmp_path)


def test_names_must_be_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        DevServer("not a domain", directory=tmp_path)
    with pytest.raises(ConfigError):
        DevServer(accounts={"a@b": "x"}, directory=tmp_path)
    with pytest.raises(ConfigError):
        DevServer(components={"@": "x"}, directory=tmp_path)


async def test_port_in_use(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        other = DevServer("im.test", directory=tmp_path, port=0, component_port=server.port)
        with pytest.raises(EmpError) as caught:
            await other.start()
    assert str(caught.value) == f"cannot listen on 127.0.0.1:{server.port}: another program has it"


async def test_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmpError, match="no certificate"):
        await DevServer(directory=tmp_path / "file").start()


async def test_stopped_and_started_on_the_same_ports(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as first:
        await open_stream(client(first), Sink())
    again = {"port": first.port, "component_port": first.component_port}
    async with dev_server(tmp_path, **again) as server, opened(client(server), Sink()) as stream:
        assert stream.jid.local == "romeo"
    assert not server.sessions


# -- who may talk ---------------------------------------------------------------------------------


async def test_credentials_in_clear_are_refused(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        raw = await Raw.connect(server.port)
        raw.header("im.test")
        features = await raw.until(b"</stream:features>")
        assert b"starttls" in features
        assert b"mechanism" not in features
        raw.writer.write(
            b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AA</auth>"
        )
        assert b"<stream:error>" in await raw.rest()
        await raw.close()


async def test_ports_are_not_mixed_up(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        raw = await Raw.connect(server.port)
        raw.header("hack.im.test", "jabber:component:accept")
        assert b"invalid-namespace" in await raw.rest()
        await raw.close()
        raw = await Raw.connect(server.component_port)
        raw.header("im.test")
        assert b"invalid-namespace" in await raw.rest()
        await raw.close()


async def test_silence_ends_in_a_stream_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "HANDSHAKE_SECONDS", 0.05)
    async with dev_server(tmp_path) as server:
        raw = await Raw.connect(server.port)
        assert b"connection-timeout" in await raw.rest()
        await raw.close()


async def test_garbage_ends_in_a_stream_error(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        raw = await Raw.connect(server.port)
        raw.writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert b"<stream:error>" in await raw.rest()
        await raw.close()


async def test_same_resource_twice(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        settings = client(server, resource="garden")
        async with opened(settings, Sink()) as first, opened(settings, Sink()) as second:
            assert first.jid.resource == "garden"
            assert second.jid.resource != "garden"


@pytest.mark.parametrize(
    ("stanza", "condition"),
    [
        (Message("romeo@im.test", "x", from_="im.test"), "invalid-from"),
        (Message("romeo@im.test", "x", from_="juliet@im.test/x"), "invalid-from"),
        (Message("romeo@im.test", "x", from_="sub.hack.im.test"), "invalid-from"),
        (Message("romeo@im.test", "x"), "invalid-from"),
        (Message(None, "x", from_=BOT), "improper-addressing"),
    ],
)
async def test_component_must_say_who_it_is(
    tmp_path: Path, stanza: Message, condition: str
) -> None:
    async with dev_server(tmp_path) as server:
        sink = Sink()
        stream = await open_stream(component(server.component_port), sink)
        stream.send([stanza])
        error = await sink.end()
        assert isinstance(error, ConnectionFailed)
        assert condition in error.reason
        async with opened(component(server.component_port), Sink()) as again:
            assert str(again.jid) == "hack.im.test"  # its place is free


# -- conversations --------------------------------------------------------------------------------


async def test_two_clients_subscribe_and_chat(tmp_path: Path) -> None:
    of_romeo, of_juliet = Sink(), Sink()
    async with dev_server(tmp_path) as server, opened(client(server), of_romeo) as romeo:
        async with opened(client(server, "juliet"), of_juliet) as juliet:
            # RFC 6121 §4.2.2: everybody sees the own presence too
            assert (await of_romeo.stanza("presence")).from_ == romeo.jid
            assert (await of_juliet.stanza("presence")).from_ == juliet.jid
            romeo.send([Presence("juliet@im.test", type="subscribe")])
            request = await of_juliet.stanza("presence")
            assert (request.type, request.from_) == ("subscribe", romeo.jid.bare)
            juliet.send([Presence("romeo@im.test", type="subscribed")])
            assert (await of_romeo.stanza("presence")).type == "subscribed"
            seen = await of_romeo.stanza("presence")
            assert (seen.type, seen.from_) == ("available", juliet.jid)
            romeo.send([Message("juliet@im.test", "hi", type="chat")])
            got = await of_juliet.stanza("message")
            assert isinstance(got, Message)
            juliet.send([got.reply("ho")])
            answer = await of_romeo.stanza("message")
            assert isinstance(answer, Message)
            assert answer.body == "ho"
        gone = await of_romeo.stanza("presence")
        assert (gone.type, gone.from_) == ("unavailable", juliet.jid)


async def test_tap_shows_both_directions(tmp_path: Path) -> None:
    seen: list[tuple[str, str, bytes]] = []
    async with dev_server(tmp_path, tap=lambda *what: seen.append(what)) as server:
        sink = Sink()
        async with opened(client(server, resource="r"), sink) as romeo:
            romeo.send([Iq("get", E.ping(xmlns=ns.PING), to="im.test", id="p1")])
            assert (await sink.stanza("iq")).type == "result"
    shown = [(way, jid) for way, jid, wire in seen if b"p1" in wire]
    assert shown == [("in", "romeo@im.test/r"), ("out", "romeo@im.test/r")]


class Slix(slixmpp.ClientXMPP):
    """A client that many people use."""

    def __init__(self, server: DevServer, user: str) -> None:
        super().__init__(f"{user}@{server.domain}/slix", "secret")
        self.online: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.messages: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.ca_certs = str(server.ca_file)
        self.add_event_handler("session_start", self._start)
        self.add_event_handler("message", self._message)

    async def _start(self, event: object) -> None:
        self.send_presence()
        await self.get_roster()
        self.online.set_result(None)

    def _message(self, message: slixmpp.Message) -> None:
        self.messages.put_nowait((str(message["from"]), str(message["body"])))


async def test_slixmpp_clients_chat(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        romeo, juliet = Slix(server, "romeo"), Slix(server, "juliet")
        for user in (romeo, juliet):
            user.connect("127.0.0.1", server.port)
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(romeo.online, juliet.online)
            romeo.send_message("juliet@im.test", "hi", mtype="chat")
            assert await juliet.messages.get() == ("romeo@im.test/slix", "hi")
            juliet.send_message("romeo@im.test/slix", "ho", mtype="chat")
            assert await romeo.messages.get() == ("juliet@im.test/slix", "ho")
            for user in (romeo, juliet):
                await user.disconnect()


# -- slow readers ---------------------------------------------------------------------------------


async def _raw_component(server: DevServer) -> Raw:
    """A component that reads nothing unless the test says so."""

    raw = await Raw.connect(server.component_port)
    raw.header("hack.im.test", "jabber:component:accept")
    header = await raw.until(b"component:accept'")
    header += await raw.until(b">")
    identity = header.partition(b" id='")[2].partition(b"'")[0]
    digest = hashlib.sha1(identity + b"component secret").hexdigest()
    raw.writer.write(f"<handshake>{digest}</handshake>".encode())
    await raw.until(b"<handshake/>")
    raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
    return raw


BIG = "x" * 60_000


async def test_senders_wait_for_a_slow_reader(tmp_path: Path) -> None:
    async with dev_server(tmp_path) as server:
        raw = await _raw_component(server)
        sink = Sink()
        async with opened(client(server), sink) as romeo:
            sent = 0
            while not romeo.write_blocked:
                romeo.send([Message(BOT, BIG, id=str(sent))])
                sent += 1
                await turns(1)
            assert await sink.flow() == "paused"
            (held,) = (s for s in server.sessions if s._waits_for)
            assert held._name == str(romeo.jid)
            raw.writer.transport.resume_reading()  # type: ignore[attr-defined]
            for number in range(sent):
                assert f'id="{number}"'.encode() in await raw.until(b"</message>")
            assert await sink.flow() == "resumed"
        await raw.close()


async def test_a_reader_that_stalls_is_thrown_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "STALL_SECONDS", 0.05)
    monkeypatch.setattr(session, "LINGER_SECONDS", 0.05)
    async with dev_server(tmp_path) as server:
        raw = await _raw_component(server)
        sink = Sink()
        async with opened(client(server), sink) as romeo:
            while server.hub.components["hack.im.test"] is not None:
                if not romeo.write_blocked:
                    romeo.send([Message(BOT, BIG)])
                await turns(1)
            romeo.send([Message(BOT, "too late")])
            assert (await sink.stanza("message")).type == "error"  # undeliverable from now on
        await raw.close()


async def test_the_outgoing_buffer_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "BUFFER_MAX", session.BUFFER_HIGH)
    monkeypatch.setattr(session, "LINGER_SECONDS", 0.05)
    async with dev_server(tmp_path) as server:
        raw = await _raw_component(server)
        sink = Sink()
        async with opened(client(server), sink) as romeo:
            while server.hub.components["hack.im.test"] is not None:
                romeo.send([Message(BOT, BIG)])
                await turns(1)
            romeo.send([Message(BOT, "too late")])
            assert (await sink.stanza("message")).type == "error"
        await raw.close()


def test_certificate_is_for_tls_1_2_and_up(tmp_path: Path) -> None:
    server = DevServer(directory=tmp_path)

    async def start_and_stop() -> None:
        await server.start()
        await server.stop()

    asyncio.run(start_and_stop())
    assert server.tls.minimum_version is ssl.TLSVersion.TLSv1_2
    assert server.ca_file == tmp_path / "ca.pem"
    assert server.ca_file.exists()
