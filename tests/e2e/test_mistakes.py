"""What a user does wrong: one clear line each, an exit code that is not 0, nothing left behind."""

from __future__ import annotations

import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from emp.devserver import DevServer
from emp.devserver.certificate import ensure_certificate
from tests.e2e.application import application, command, started

APP = """
from actors import Component
from emp.routing import Routes

class Hackity(Component):
    def hack(self):
        return "Hackity Hack!"

routes = Routes()
routes.message("[body]").to(Hackity.hack)
"""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[DevServer]:
    server = DevServer(
        "localhost",
        directory=tmp_path / "server",
        accounts={"foo": "foo"},
        components={"hack.localhost": "secret"},
    )
    await server.start()
    yield server
    await server.stop()


def files(directory: Path, local: DevServer, app: str = APP, **changes: str | int) -> str:
    keys: dict[str, str | int] = {
        "kind": "client",
        "node": "foo",
        "host": "localhost",
        "password": "foo",
        "server": "127.0.0.1",
        "port": local.port,
        "ca_file": str(local.ca_file),
        **changes,
    }
    lines = [f"{key} = {value!r}" for key, value in keys.items()]
    (directory / "emp.toml").write_text("[connections.hack]\n" + "\n".join(lines) + "\n")
    (directory / "mistaken.py").write_text(app)
    return str(directory / "mistaken.py")


async def mistake(path: str, code: int, *words: str, system: str = "embedded") -> None:
    """`emp start` ends by itself with `code` and exactly one error line, which has `words`."""
    async with started(path, "--system", system) as application:
        assert await application.ended() == code, application.text
        errors = [line for line in application.output if line.startswith("error: ")]
        assert len(errors) == 1, application.text
        assert [word for word in words if word not in errors[0]] == [], errors[0]
        assert "Traceback" not in application.text
        assert list(application.runtime.iterdir()) == []


@pytest.mark.parametrize("system", ["embedded", "multiproc"])
async def test_wrong_password(server: DevServer, tmp_path: Path, system: str) -> None:
    path = files(tmp_path, server, password="wrong")
    await mistake(path, 1, "authenticate", "not-authorized", "password", system=system)


async def test_wrong_secret(server: DevServer, tmp_path: Path) -> None:
    files(tmp_path, server)
    (tmp_path / "emp.toml").write_text(
        '[connections.hack]\nhost = "hack.localhost"\nsecret = "wrong"\nserver = "127.0.0.1"\n'
        f"port = {server.component_port}\n"
    )
    await mistake(str(tmp_path / "mistaken.py"), 1, "authenticate", "secret")


async def test_wrong_port(server: DevServer, tmp_path: Path) -> None:
    path = files(tmp_path, server)
    (tmp_path / "emp.toml").write_text(
        '[connections.hack]\nhost = "hack.localhost"\nsecret = "secret"\nserver = "127.0.0.1"\n'
        f"port = {server.port}\n"
    )
    await mistake(path, 1, "a port for clients (c2s)", "invalid-namespace", "5347")
    path = files(tmp_path, server, port=server.component_port)
    await mistake(path, 1, "for something else", "invalid-namespace", "5222")


async def test_unresolvable_host(server: DevServer, tmp_path: Path) -> None:
    path = files(tmp_path, server, server="nowhere.invalid")
    await mistake(path, 1, "resolve", "nowhere.invalid")


async def test_untrusted_certificate(server: DevServer, tmp_path: Path) -> None:
    other = ensure_certificate(tmp_path / "other", "localhost").ca
    await mistake(
        files(tmp_path, server, ca_file=str(other)), 1, "secure", "certificate", "ca_file"
    )


async def test_port_in_use(server: DevServer, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        path = files(tmp_path, server)
        config = tmp_path / "emp.toml"
        config.write_text(config.read_text() + f"[system]\nport = {port}\n")
        await mistake(path, 2, str(port), system="multiproc")
        code, output = await command(
            *("emp", "server", "--port", str(port), "--directory", str(tmp_path / "ca")),
            runtime=tmp_path,
        )
        assert (code, output.count("\n")) == (1, 1)
        assert str(port) in output


@pytest.mark.parametrize(
    ("app", "words"),
    [
        (APP.replace("[body]", "[body"), ("mistaken.py:10", "XPath")),
        (APP.replace("Hackity.hack)", "Hackity.hak)"), ("mistaken.py:10", "did you mean 'hack'?")),
        (APP.replace('"[body]"', '"[x:body]"'), ("mistaken.py:10", "x")),
        (APP.replace("def hack(self)", "def hack(self, boddy)"), ("mistaken.py:10", "'boddy'")),
        (APP.replace("class Hackity", "class Hackity("), ("mistaken.py:5", "syntax error")),
        (APP.replace("routes = ", "ways = "), ("mistaken.py:10", "routes")),
        (
            APP.replace('body]"', 'body]", from="a@b"'),
            ("mistaken.py:10", "syntax error", "write from_="),
        ),
        (
            APP.replace('body]"', 'body]", form="localhost"'),
            ("mistaken.py:10", "nobody takes", "did you mean from_="),
        ),
        ("", ("mistaken.py", "has no `routes`")),
        ("import sys\nsys.exit()", ("mistaken.py:2", "SystemExit")),
    ],
    ids=[
        "bad XPath",
        "unknown action",
        "prefix",
        "parameter",
        "syntax",
        "name",
        "keyword",
        "condition",
        "no routes",
        "exit",
    ],
)
async def test_in_the_application(
    server: DevServer, tmp_path: Path, app: str, words: tuple[str, ...]
) -> None:
    await mistake(files(tmp_path, server, app), 2, *words)


WRONG_ROUTES = """
from actors import Component
from emp.routing import Routes

class Tweets(Component):
    def show(self, id: int):
        return None
    def speak(self, body: str):
        return body

async def is_late(stanza):
    return True

pack = Routes()
pack.message("[x:body]").to(Tweets.speak)  # prefix

routes = Routes({"tw": "urn:example:tweeter"})
routes.message("[@type=").to(Tweets.speak)  # syntax
routes.message("[body]", type="chatt").to(Tweets.speak)  # type
routes.message("[body]", if_=is_late).to(Tweets.speak)  # guard
routes.presence()  # nowhere
routes.iq_get("tw:tweet").to("Tweets.speak")  # text
with routes.connection("hak"):
    routes.message("[thread]").to(Tweets.speak)  # connection
routes.message("[subject]", from_="a@@b").to(Tweets.speak)  # address
routes.message(type="groupchat").to(Tweets.speak)  # original
routes.message(type="groupchat").to(Tweets.speak)  # duplicate
routes.message("[body]", type="groupchat").to(Tweets.speak)  # shadowed
routes.message("[@type='chat'][@type='error']").to(Tweets.speak)  # never
routes.presence(type="probe").to(Tweets.show)  # argument
routes.message(type="headline", defaults={"size": 1}).to(Tweets.speak)  # default
routes.include(pack, "[subject]")  # include
"""

# Comment on the line that is wrong → what is said of it, and the remedy.
TOLD = {
    "prefix": ("the prefix 'x' is not declared (included at ", "Declare it in Routes(namespaces="),
    "syntax": ("bad XPath", "has no counterpart"),
    "type": ("there is no message of type 'chatt'", "Did you mean 'chat'?"),
    "guard": ("the guard is_late is async", "Make it a plain def"),
    "nowhere": ("this route leads nowhere", "Add .to(Class.action)"),
    "text": (".to('Tweets.speak') is a text", "Write .to(Tweets.speak) without quotes"),
    "connection": ("emp.toml has no [connections.hak]", "Did you mean 'hack'?"),
    "address": ("from_='a@@b' is not an address", "Write user@domain"),
    "duplicate": ("this route is the same as that at ", "Delete one"),
    "shadowed": ("this route can never match: that at ", "Write this one before it"),
    "never": ("this can never match", "the type cannot be both 'chat' and 'error'"),
    "argument": ("Tweets.show has a parameter 'id' that nothing fills", "Capture it in the route"),
    "default": ("the route has a default for 'size'", "It takes body"),
}


def line_of(comment: str) -> int:
    lines = WRONG_ROUTES.splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.endswith(f"  # {comment}"))


@pytest.mark.parametrize("arguments", [("check",), ("start",), ("routes",), ("start", "multiproc")])
async def test_all_mistakes_of_a_routes_file_are_told_at_once(
    server: DevServer, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    path = files(tmp_path, server, WRONG_ROUTES)
    name, *system = arguments
    options = ("--system", *system) if system else ()
    (tmp_path / "run").mkdir()
    code, output = await command("emp", name, path, *options, runtime=tmp_path / "run")
    assert code == 2
    assert "Traceback" not in output
    told = [line for line in output.splitlines() if f"{path}:" in line]
    found = {}
    for line in told:
        place, _, said = line.removeprefix("error: ").strip().partition(": ")
        found[place] = said
    assert len(found) == len(told), "one line for each"
    assert set(found) == {f"{path}:{line_of(comment)}" for comment in TOLD}
    for comment, words in TOLD.items():
        said = found[f"{path}:{line_of(comment)}"]
        assert [word for word in words if word not in said] == [], said
    assert f"(included at {path}:{line_of('include')})" in found[f"{path}:{line_of('prefix')}"]
    assert f"{path}:{line_of('original')}" in found[f"{path}:{line_of('duplicate')}"]
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("name", ["random", "lxml", "actors"])
async def test_a_module_that_would_hide_another(
    server: DevServer, tmp_path: Path, name: str
) -> None:
    files(tmp_path, server)
    path = (tmp_path / "mistaken.py").rename(tmp_path / f"{name}.py")
    await mistake(str(path), 2, f"{name!r}", "rename it")


async def test_a_name_that_is_no_file_name(server: DevServer, tmp_path: Path) -> None:
    path = files(tmp_path, server)
    config = tmp_path / "emp.toml"
    config.write_text(config.read_text() + f'[app]\nname = "../{"x" * 300}"\n')
    async with application(path) as running:
        assert "../xxx" in await running.admin("list")
        assert await running.stop() == 0
        assert list(running.runtime.iterdir()) == []


async def test_an_import_that_never_ends_can_be_stopped(server: DevServer, tmp_path: Path) -> None:
    path = files(tmp_path, server, "print('importing', flush=True)\nwhile True: pass\n")
    async with started(path) as running:
        await running.says("importing")
        running.process.send_signal(signal.SIGINT)
        await running.says("once more stops at once")
        assert await running.stop(signal.SIGTERM) == 128 + signal.SIGTERM


STUBBORN = """
    def startup(self):
        self.task = asyncio.get_running_loop().create_task(self.stubborn())

    async def stubborn(self):
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass

routes"""


async def test_what_refuses_to_end_does_not_keep_the_process(
    server: DevServer, tmp_path: Path
) -> None:
    app = "import asyncio\n" + APP.replace("\nroutes", STUBBORN, 1)
    async with application(files(tmp_path, server, app)) as running:
        assert await running.stop() == 1
        assert "tasks or threads of the application do not end" in running.text


async def test_a_component_that_cannot_be_spawned_concerns_the_operator_only(
    server: DevServer, tmp_path: Path
) -> None:
    async with application(files(tmp_path, server)) as running:
        assert "has no class 'Hackit'" in await running.admin("spawn", "mistaken:Hackit", expect=1)
        assert "Hackity-2 runs" in await running.admin("spawn", "mistaken:Hackity")
        await running.says("Hackity-2")  # what happened before has been seen by now
        assert await running.stop() == 0


async def test_unknown_key(server: DevServer, tmp_path: Path) -> None:
    path = files(tmp_path, server, pasword="x")
    await mistake(path, 2, "emp.toml:9", "unknown key 'pasword'", "did you mean 'password'?")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["start", "nowhere"], "there is no application at"),
        (["start", "apps/hack", "--config", "nowhere.toml"], "nowhere.toml"),
        (["start"], "Missing argument 'PATH'"),
        (["strat"], "No such command 'strat'"),
        (["server", "--account", "foo"], "USER:PASSWORD"),
    ],
)
async def test_on_the_command_line(arguments: list[str], words: str, tmp_path: Path) -> None:
    code, output = await command("emp", *arguments, runtime=tmp_path)
    assert code == 2
    assert words in output
    assert "Traceback" not in output


async def test_check_finds_nothing_wrong_with_hack(tmp_path: Path) -> None:
    config = "apps/hack/component.toml"
    code, output = await command("emp", "check", "apps/hack", "--config", config, runtime=tmp_path)
    assert code == 0
    assert "Hackity.hack" in output
    assert output.endswith("all right\n")
