"""Attacks with see-other-host: send the victim in circles, or to an impostor."""

from __future__ import annotations

import pytest

from tests.attacks.hostile import Dialogue
from tests.attacks.support import Attacks
from tests.attacks.words import (
    CLIENT_HEADER,
    SCRAM,
    mechanisms,
)


def see_other_host(host: str) -> bytes:
    return (
        b"<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>%s"
        b"</see-other-host></stream:error></stream:stream>" % host.encode()
    )


async def test_a_loop_of_see_other_host(attacks: Attacks) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.expect(rb"<stream:stream[^>]*>")
        dialogue.send(CLIENT_HEADER + see_other_host(f"127.0.0.1:{server.port}"))

    server = attacks.server(script)
    async with server:
        error = await attacks.refused(server)
        assert not error.permanent
        assert 2 <= len(server.dialogues) <= 4  # it was followed, and not for ever
        assert all(not dialogue.credentials for dialogue in server.dialogues)


@pytest.mark.parametrize("names", [("evil.test",), ("127.0.0.1", "localhost")])
async def test_the_other_host_must_be_us(attacks: Attacks, names: tuple[str, ...]) -> None:
    """The redirection comes in clear, from anybody: the certificate must be for our domain still,
    not for where we were sent."""
    async with attacks.server(
        Dialogue.session, context=attacks.authority.context(*names)
    ) as elsewhere:

        async def script(dialogue: Dialogue) -> None:
            await dialogue.expect(rb"<stream:stream[^>]*>")
            dialogue.send(CLIENT_HEADER + see_other_host(f"127.0.0.1:{elsewhere.port}"))

        async with attacks.server(script) as server:
            error = await attacks.refused(server)
            assert error.step == "secure"
            await elsewhere.over()
            assert elsewhere.said.secret == b""
            assert elsewhere.said.credentials == []


async def test_the_other_host_must_do_tls(attacks: Attacks) -> None:
    async def strip(dialogue: Dialogue) -> None:
        await dialogue.header(mechanisms("PLAIN"), SCRAM)

    async with attacks.server(strip) as elsewhere:

        async def script(dialogue: Dialogue) -> None:
            await dialogue.secure()
            await dialogue.expect(rb"<stream:stream[^>]*>")
            dialogue.send(CLIENT_HEADER + see_other_host(f"127.0.0.1:{elsewhere.port}"))

        async with attacks.server(script) as server:
            error = await attacks.refused(server)
            assert (error.step, error.permanent) == ("secure", True)
            await elsewhere.over()
            assert elsewhere.said.credentials == []


@pytest.mark.parametrize("host", ["", "@@", "a b", "[::1", "host:port", "x" * 5000, "\u202e.test"])
async def test_an_other_host_that_is_none(attacks: Attacks, host: str) -> None:
    async def script(dialogue: Dialogue) -> None:
        await dialogue.expect(rb"<stream:stream[^>]*>")
        dialogue.send(CLIENT_HEADER + see_other_host(host))

    async with attacks.server(script) as server:
        error = await attacks.refused(server)
        assert "\n" not in str(error)
        assert len(str(error)) < 1000
        assert all(not dialogue.credentials for dialogue in server.dialogues)
