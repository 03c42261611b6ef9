"""A server that follows the script of an attack, and remembers every byte that it was sent.

It is made of sockets, regular expressions and the standard library's cryptography only: nothing of
EMP, so that a fault of EMP cannot hide itself. Its honest steps are here too; a script takes them
up to where the attack begins.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Self, cast

from tests.attacks.words import (
    BIND,
    CLIENT_HEADER,
    COMPONENT_HEADER,
    JID,
    PASSWORD,
    PROCEED,
    SCRAM,
    SECRET,
    STARTTLS,
    features,
    sasl,
    success2,
)

PATIENCE = 20.0
"""Seconds after which a test fails instead of hanging; nothing that works comes near."""

_HEADER = rb"<stream:stream[^>]*>"
_CREDENTIAL = re.compile(rb"<(?:auth|authenticate|response|handshake)[ >]")
_STREAM_ERROR = re.compile(rb"<stream:error><([a-z-]+) ")
_AUTH = re.compile(rb"<auth [^>]*mechanism=['\"]([A-Z0-9-]+)['\"][^>]*>([^<]*)</auth>")
_AUTHENTICATE = re.compile(
    rb"<authenticate [^>]*mechanism=['\"]([A-Z0-9-]+)['\"][^>]*>\s*"
    rb"<initial-response>([^<]*)</initial-response>.*?</authenticate>"
)
_RESPONSE = rb"<response [^>]*>([^<]*)</response>"
_HASHES = {b"SCRAM-SHA-1": "sha1", b"SCRAM-SHA-256": "sha256", b"SCRAM-SHA-512": "sha512"}


def honest_challenge(nonce: str) -> str:
    """The first message of an honest server; its salt is "salt"."""
    return f"r={nonce}EXTRA,s=c2FsdA==,i=4096"


class VictimLeft(Exception):
    """The other side closed the connection."""


class Dialogue(asyncio.Protocol):
    """One connection. `clear` and `secret`: what the victim sent before TLS and under it."""

    def __init__(self, server: HostileServer) -> None:
        self.context = server.context
        self.clear = bytearray()
        self.secret = bytearray()
        self.left = False
        self.refused: ssl.SSLError | None = None  # the victim did not like our certificate
        self.transport: asyncio.Transport
        self.task: asyncio.Task[None] | None = None
        self._server = server
        self.lost = asyncio.get_running_loop().create_future()
        self._now = self.clear
        self._at = 0  # what comes before it was expected already
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    # -- what tests ask afterwards ----------------------------------------------------------------

    @property
    def said(self) -> bytes:
        """Everything that the victim sent."""
        return bytes(self.clear + self.secret)

    @property
    def since(self) -> bytes:
        """What the victim sent after what the script expected last."""
        return bytes(self._now[self._at :])

    @property
    def credentials(self) -> list[bytes]:
        """Whatever looks like a proof of who the victim is."""
        found = _CREDENTIAL.findall(self.said)
        return found + [word for word in (PASSWORD.encode(), SECRET.encode()) if word in self.said]

    @property
    def stream_error(self) -> str | None:
        """The condition of the stream error that the victim sent."""
        found = _STREAM_ERROR.search(self.said)
        return found[1].decode() if found else None

    # -- what scripts do --------------------------------------------------------------------------

    async def expect(self, pattern: bytes | re.Pattern[bytes]) -> re.Match[bytes]:
        """Wait until the victim has sent something like this; VictimLeft if it never will."""
        while True:
            found = re.compile(pattern).search(self._now, self._at)
            if found:
                self._at = found.end()
                return found
            if self.left:
                raise VictimLeft
            self._news.clear()
            await self._news.wait()

    def send(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    async def flood(self, data: bytes, times: int, each: Callable[[], None] = lambda: None) -> None:
        """Send `data` again and again, as fast as it is taken; VictimLeft when it no longer is.

        `each` is called every time.
        """
        for _ in range(times):
            each()
            if self.left or self.transport.is_closing():
                raise VictimLeft
            self.transport.write(data)
            await self._writable.wait()
            await asyncio.sleep(0)

    async def dribble(self, byte: bytes, seconds: float = 0.02) -> None:
        """Send `byte` for ever, slowly, until the victim leaves."""
        while not self.left and not self.transport.is_closing():
            self.transport.write(byte)
            with contextlib.suppress(TimeoutError):
                self._news.clear()
                await asyncio.wait_for(self._news.wait(), seconds)

    async def leaves(self) -> None:
        """Wait until the victim closes the connection."""
        while not self.left:
            self._news.clear()
            await self._news.wait()

    def stop_reading(self) -> None:
        """Take nothing more, and let the kernel hold little of it."""
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.transport.pause_reading()

    async def good_bye(self) -> None:
        """Wait until the victim has left, or said that it will; then hang up."""
        while not self.left and b"</stream:stream>" not in self._now:
            self._news.clear()
            await self._news.wait()
        self.hang_up()

    def hang_up(self) -> None:
        """Close the connection, without a word."""
        self.transport.close()

    # -- the honest steps -------------------------------------------------------------------------

    async def header(self, *offers: bytes) -> None:
        """The victim's header; then ours, and features."""
        await self.expect(_HEADER)
        self.send(CLIENT_HEADER + features(*offers))

    async def start_tls(self, context: ssl.SSLContext | None = None) -> None:
        """The TLS handshake; VictimLeft if the victim does not want to go on."""
        self._now, self._at = self.secret, 0
        loop = asyncio.get_running_loop()
        context = context or self.context
        assert context is not None
        try:
            secured = await loop.start_tls(self.transport, self, context, server_side=True)
        except (OSError, ssl.SSLError) as error:
            self.refused = error if isinstance(error, ssl.SSLError) else None
            self.transport.abort()
            raise VictimLeft from None
        if secured is None:
            raise VictimLeft
        self.transport = secured

    async def secure(self) -> None:
        """STARTTLS, offered and done."""
        await self.header(STARTTLS)
        await self.expect(rb"<starttls [^>]*/>")
        self.send(PROCEED)
        await self.start_tls()

    async def log_in(
        self,
        *,
        challenge: Callable[[str], str] = honest_challenge,
        success: Callable[[bytes], bytes] = lambda verifier: sasl("success", verifier),
    ) -> None:
        """SCRAM, seen from a server that knows the password.

        challenge: the victim's nonce → our first message. success: v=… → what is sent at the end.
        """
        auth = await self.expect(_AUTH)
        verifier = await self._scram(auth, challenge, lambda text: sasl("challenge", text))
        self.send(success(verifier))

    async def log_in2(
        self,
        *,
        challenge: Callable[[str], str] = honest_challenge,
        success: Callable[[bytes], bytes] = success2,
    ) -> bytes:
        """The same with SASL2; returns the request."""
        request = await self.expect(_AUTHENTICATE)
        verifier = await self._scram(
            request,
            challenge,
            lambda text: (
                b"<challenge xmlns='urn:xmpp:sasl:2'>%s</challenge>" % base64.b64encode(text)
            ),
        )
        self.send(success(verifier))
        return request[0]

    async def _scram(
        self,
        auth: re.Match[bytes],
        challenge: Callable[[str], str],
        wrapped: Callable[[bytes], bytes],
    ) -> bytes:
        """All but our last message, which is returned."""
        first = base64.b64decode(auth[2]).decode()
        bare = first.partition(",")[2].partition(",")[2]
        nonce = bare.rpartition(",r=")[2].partition(",")[0]
        answer = challenge(nonce)
        self.send(wrapped(answer.encode()))
        response = await self.expect(_RESPONSE)
        final = base64.b64decode(response[1]).decode().rpartition(",p=")[0]
        message = f"{bare},{answer},{final}".encode()
        digest = _HASHES[auth[1].removesuffix(b"-PLUS")]
        salted = hashlib.pbkdf2_hmac(digest, PASSWORD.encode(), b"salt", 4096)
        signature = hmac.digest(hmac.digest(salted, b"Server Key", digest), message, digest)
        return b"v=" + base64.b64encode(signature)

    async def authenticated(self) -> None:
        """All up to a successful log-in."""
        await self.secure()
        await self.header(SCRAM)
        await self.log_in()

    async def bind(self, jid: bytes = JID) -> None:
        request = await self.expect(rb"<iq [^>]*id=['\"]([^'\"]*)['\"][^>]*><bind .*?</iq>")
        self.send(
            b"<iq type='result' id='%s'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
            b"<jid>%s</jid></bind></iq>" % (request[1], jid)
        )

    async def session(self, *more: bytes) -> None:
        """All up to the victim's initial presence. `more`: offered beside binding."""
        await self.authenticated()
        await self.header(BIND, *more)
        await self.bind()
        await self.expect(rb"<presence")

    async def component(self) -> None:
        """All of XEP-0114, for any secret."""
        await self.expect(_HEADER)
        self.send(COMPONENT_HEADER)
        await self.expect(rb"</handshake>")
        self.send(b"<handshake/>")

    # -- asyncio ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.task is None:  # else it is made anew, under TLS
            self._server.greet(self)

    def data_received(self, data: bytes) -> None:
        self._now += data
        self._news.set()

    def eof_received(self) -> None:
        self._leave()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._writable.set()
        if not self.lost.done():
            self.lost.set_result(None)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _leave(self) -> None:
        self.left = True
        self._news.set()


Script = Callable[[Dialogue], Awaitable[None]]


class HostileServer:
    """Plays `script` with everybody who connects to `port`; `dialogues` are what was said.

    After its script a dialogue goes on listening until the victim leaves, or says good-bye.
    `direct`: TLS from the first byte on.
    """

    def __init__(
        self, script: Script, context: ssl.SSLContext | None = None, *, direct: bool = False
    ) -> None:
        self.script, self.context, self.direct = script, context, direct
        self.dialogues: list[Dialogue] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._more = asyncio.Event()

    @property
    def said(self) -> Dialogue:
        """The one dialogue there was."""
        (dialogue,) = self.dialogues
        return dialogue

    async def visitor(self, number: int) -> Dialogue:
        """The dialogue with visitor `number`, from 0, once there is one."""
        async with asyncio.timeout(PATIENCE):
            while len(self.dialogues) <= number:
                self._more.clear()
                await self._more.wait()
        return self.dialogues[number]

    async def over(self) -> None:
        """Wait until all visitors have left."""
        async with asyncio.timeout(PATIENCE):
            for dialogue in self.dialogues:
                await dialogue.leaves()
                assert dialogue.task is not None
                await dialogue.task

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Dialogue(self), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        faults = []
        for dialogue in self.dialogues:
            assert dialogue.task is not None
            done = dialogue.task.done()
            dialogue.task.cancel()
            with contextlib.suppress(AttributeError):  # TLS of Python 3.11.2, when it is closed
                dialogue.transport.abort()
            (fault,) = await asyncio.gather(dialogue.task, return_exceptions=True)
            await asyncio.wait([dialogue.lost], timeout=0.5)
            if done and isinstance(fault, Exception):
                faults.append(fault)
        if faults:
            raise faults[0]

    def greet(self, dialogue: Dialogue) -> None:
        """Somebody has connected. For Dialogue."""
        if self.direct:
            dialogue.transport.pause_reading()
        dialogue.task = asyncio.create_task(self._play(dialogue))
        self.dialogues.append(dialogue)
        self._more.set()

    async def _play(self, dialogue: Dialogue) -> None:
        try:
            if self.direct:
                await dialogue.start_tls()
            await self.script(dialogue)
            await dialogue.good_bye()
        except VictimLeft:
            pass
        await dialogue.leaves()
