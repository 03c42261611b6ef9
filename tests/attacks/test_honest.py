"""The hostile server behaves: what the attacks break works when nobody attacks."""

from emp.net import open_stream
from emp.stanza import Message
from tests.attacks.hostile import Dialogue
from tests.attacks.support import Attacks, component
from tests.attacks.words import PASSWORD
from tests.emp.net.support import Sink


async def test_a_client_gets_its_session(attacks: Attacks) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.session()
        dialogue.send(b"<message from='juliet@im.test/balcony'><body>hi</body></message>")

    async with attacks.session(script) as (server, sink, stream):
        assert str(stream.jid) == "romeo@im.test/orchard"
        message = await sink.stanza()
        assert isinstance(message, Message)
        assert message.body == "hi"
        assert server.said.clear.endswith(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        assert server.said.credentials  # what later tests find missing is there
        assert PASSWORD.encode() not in server.said.said
        assert server.said.stream_error is None


async def test_a_component_gets_its_session(attacks: Attacks) -> None:
    async with attacks.server(Dialogue.component) as server:
        stream = await open_stream(component(server), Sink())
        assert str(stream.jid) == "bot.im.test"
        assert server.said.credentials
        stream.abort()


async def test_direct_tls(attacks: Attacks) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.header()

    async with attacks.server(script, direct=True) as server:
        error = await attacks.refused(server, tls="direct")
        assert error.step == "authenticate"  # no mechanisms, but TLS
        assert server.said.clear == b""
