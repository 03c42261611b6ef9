"""What any user may send through a server with stock limits, and we will not take, costs one
stanza; and the same out of offline storage, at every login."""

from __future__ import annotations

from pathlib import Path

import pytest

from emp.stream.limits import ATTRIBUTES, DEPTH, NAME_BYTES
from tests.e2e.application import application
from tests.e2e.person import Person
from tests.e2e.test_hack import address, bar, configuration
from tools.servers import Server

ECHO = """
from actors import Component
from emp.routing import Routes

class Echo(Component):
    def echo(self, body):
        return f"you said {body}"

routes = Routes()
routes.message("[starts-with(body, 'hello')]").to(Echo.echo)
"""

PATIENCE = 180.0
"""Seconds for an answer: ejabberd's stock shaper lets three kilobytes a second pass."""

MANY = " ".join(f"a{number}=''" for number in range(ATTRIBUTES + 20))
SMALL = {
    "xml:foo": "<x xmlns='u:r:n'><xml:foo/></x>",
    "an attribute xml:foo": "<x xmlns='u' xml:foo='1'/>",
    "xml:id": "<x xmlns='u' xml:id='1 2'><y xml:id='a'/><y xml:id='a'/></x>",
    "many attributes": f"<x xmlns='u' {MANY}/>",
    "deep": "<x xmlns='u'>" + "<a>" * (DEPTH + 44) + "</a>" * (DEPTH + 44) + "</x>",
}
LARGE = {
    "a long name": f"<{'a' * (NAME_BYTES + 10_000)} xmlns='u'/>",
    "apostrophes": f"<y xmlns='u'>{chr(39) * 60_000}</y>",
}


def send(user: Person, to: str, inside: str, body: str = "odd") -> None:
    text = f"<message to='{to}' type='chat'><body>{body}</body>{inside}</message>"
    user.client.send_raw(text)


async def answers(user: Person, body: str) -> None:
    """Errors for what was skipped may come before."""
    while (heard := await user.hear(PATIENCE)).body != f"you said {body}":
        assert heard.type == "error", heard


def prepared(server: Server, kind: str, directory: Path) -> tuple[str, ...]:
    config = Path(configuration(server, kind, directory))
    resource = 'resource = "hack"\n' if kind == "client" else ""
    # What would otherwise take minutes at a stock server's rate; the default is ten times that.
    config.write_text(config.read_text() + f"{resource}stanza_bytes = 300000\n")
    file = directory / f"skipping_{kind}.py"
    file.write_text(ECHO)
    return str(file), "--config", str(config)


def one_session(text: str) -> None:
    """The stream did not end meanwhile."""
    assert "retry" not in text
    assert "stream error" not in text
    assert text.count(" is up ") == 1


@pytest.mark.parametrize("kind", ["client", "component"])
async def test_it_costs_one_stanza(local_server: Server, kind: str, tmp_path: Path) -> None:
    to = address(local_server, kind)
    async with (
        application(*prepared(local_server, kind, tmp_path)) as echo,
        bar(local_server) as user,
    ):
        for number, inside in enumerate((SMALL | LARGE).values()):
            send(user, to, inside)
            user.say(to, f"hello {number}")
            await answers(user, f"hello {number}")
        one_session(echo.text)
        assert "skipped a message of" in echo.text


async def test_offline_storage_does_not_repeat_it(local_server: Server, tmp_path: Path) -> None:
    arguments = prepared(local_server, "client", tmp_path)
    async with bar(local_server) as user:
        for inside in SMALL.values():
            send(user, "foo@localhost", inside)
        user.say("foo@localhost", "hello from before")
        for number in range(2):
            async with application(*arguments) as echo:
                if not number:
                    await answers(user, "hello from before")
                user.say(address(local_server, "client"), f"hello {number}")
                await answers(user, f"hello {number}")
                one_session(echo.text)
