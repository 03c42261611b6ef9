"""The private servers are real ones: another library logs in, verifies and talks through them."""

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from slixmpp.componentxmpp import ComponentXMPP

from emp.devserver.certificate import ensure_certificate
from tests.e2e.person import STEP_SECONDS, LogInFailed, Person, person
from tools.servers import Server


def user(
    server: Server, name: str, *, ca_file: Path | None = None, password: str | None = None
) -> AbstractAsyncContextManager[Person]:
    return person(
        f"{name}@{server.domain}/test",
        password or server.account(name),
        host=server.host,
        port=server.client_port,
        ca_file=ca_file or server.ca_file,
    )


async def test_alice_logs_in_over_verified_tls_and_writes_to_bob(real_server: Server) -> None:
    async with user(real_server, "alice") as alice, user(real_server, "bob") as bob:
        assert alice.tls is not None
        assert alice.tls.getpeercert()["subjectAltName"][0] == ("DNS", real_server.domain)
        alice.say(bob.jid, "Wherefore?")
        heard = await bob.hear()
    assert (heard.sender, heard.body) == (f"alice@{real_server.domain}/test", "Wherefore?")


async def test_the_certificate_is_good_for_its_own_authority_only(
    real_server: Server, tmp_path: Path
) -> None:
    other = ensure_certificate(tmp_path, real_server.domain).ca
    with pytest.raises(LogInFailed, match="CERTIFICATE_VERIFY_FAILED"):
        async with user(real_server, "alice", ca_file=other):
            pass


async def test_a_wrong_password_is_refused(real_server: Server) -> None:
    with pytest.raises(LogInFailed):
        async with user(real_server, "alice", password="not hers"):
            pass


async def test_every_account_exists(real_server: Server) -> None:
    for name in real_server.users:
        async with user(real_server, name) as someone:
            assert someone.jid == f"{name}@{real_server.domain}/test"


async def test_a_component_gets_and_answers_what_its_domain_is_sent(real_server: Server) -> None:
    domain = real_server.components[0]
    component = ComponentXMPP(
        domain,
        real_server.component_secret,
        real_server.host,
        real_server.component_port,
    )
    accepted = asyncio.Event()
    component.add_event_handler("session_start", lambda _: accepted.set())
    component.add_event_handler("message", lambda message: message.reply("Yes?").send())
    component.connect()
    try:
        async with asyncio.timeout(STEP_SECONDS), user(real_server, "alice") as alice:
            await accepted.wait()
            alice.say(f"desk@{domain}", "Anyone?")
            heard = await alice.hear()
    finally:
        component.cancel_connection_attempt()
        await component.disconnect()
    assert (heard.sender, heard.body) == (f"desk@{domain}", "Yes?")


async def test_a_restart_keeps_ports_and_accounts(real_server: Server) -> None:
    ports, pid = (real_server.client_port, real_server.component_port), real_server.pid
    real_server.restart()
    assert (real_server.client_port, real_server.component_port) == ports
    assert real_server.pid != pid
    async with user(real_server, "carol") as carol:
        assert carol.jid == f"carol@{real_server.domain}/test"


def test_the_log_is_the_servers_own(real_server: Server) -> None:
    assert real_server.domain in real_server.log()


def test_it_runs_without_privileges(real_server: Server) -> None:
    assert Path(f"/proc/{real_server.pid}").stat().st_uid != 0
