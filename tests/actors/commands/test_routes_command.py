"""`emp routes` as a user calls it."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest

from actors.commands.emp import emp
from actors.commands.output import run_command
from actors.commands.routes import read_stanzas
from emp.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]

TWEETS = """\
from actors import Component
from emp.routing import Routes

class Tweets(Component):
    def show(self, id: int):
        return None
    def speak(self, body: str):
        return body

def is_loud(stanza):
    return stanza.body.isupper()

routes = Routes({"tw": "urn:example:tweeter"})
routes.iq_get("tw:tweet", id="tw:tweet/@id").to(Tweets.show)
with routes.connection("second"):
    routes.message("[body]", type="chat", if_=is_loud).to(Tweets.speak)
with routes.resource("x"):
    routes.message("[string-length(body) > 2]", type="*").to(Tweets.speak)
routes.fallback("/message[body]").to(Tweets.speak)
"""
CONFIG = """\
[connections.first]
kind = "client"
node = "foo"
host = "localhost"
password = "foo"
[connections.second]
host = "tweets.localhost"
secret = "s"
"""


@pytest.fixture
def tweets(tmp_path: Path) -> Path:
    # Each test imports a module of its own.
    file = tmp_path / f"tweets_{abs(hash(tmp_path))}.py"
    file.write_text(TWEETS)
    (tmp_path / "emp.toml").write_text(CONFIG)
    return file


@pytest.fixture(autouse=True)
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "modules", dict(sys.modules))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["emp", "routes", *map(str, arguments)])
    return run_command(emp, "emp")


# -- the list -------------------------------------------------------------------------------------


def test_the_list(
    tweets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tweets) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["NO.", "ACTION", "WHERE", "FOUND", "BY", "ONLY", "XPATH"]
    assert re.match(
        rf"1    Tweets.show +{tweets.name}:14  .*  /iq\[@type='get'\]/tw:tweet$", rows[0]
    )
    assert re.match(
        rf"2    Tweets.speak +{tweets.name}:16 .*  connection second, if is_loud ", rows[1]
    )
    assert re.search(
        r"  always checked +resource x  +/message\[string-length\(body\) > 2\]$", rows[2]
    )
    assert re.search(r"  fallback  +/message\[not\(.*\)\]\[body\]$", rows[3])
    assert rows[4:6] == ["", "4 routes, 1 of them asked for every stanza of their kind"]
    counted = [row.split(maxsplit=1) for row in rows[6:]]
    assert sum(int(count) for count, _ in counted) == 4
    assert ["1", "always checked"] in counted
    assert ["1", "by payload"] in counted


def test_the_list_for_programs(
    tweets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tweets, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"routes", "census", "always"}
    assert sum(told["census"].values()) == 4
    assert told["always"] == sum(row["indexed"] == "always checked" for row in told["routes"])
    first, second, third, fourth = told["routes"]
    assert (first["number"], first["action"], first["line"]) == (1, "Tweets.show", 14)
    assert first["captures"] == {"id": "tw:tweet/@id"}
    assert (second["connection"], second["guard"]) == ("second", "is_loud")
    assert (third["resource"], third["fallback"], fourth["fallback"]) == ("x", False, True)


# -- one stanza -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "options", "code", "said"),
    [
        (
            "<iq type='get' id='1'><tweet xmlns='urn:example:tweeter' id='7'/></iq>",
            [],
            0,
            ["by connection first (client foo@localhost)", "route 1 wins: Tweets.show(id=7)"],
        ),
        (
            "<?xml version='1.0'?>\n<iq xmlns='jabber:client' type='get' id='1'>"
            "<tweet xmlns='urn:example:tweeter' id='x'/></iq>\n",
            [],
            0,
            ["route 1 wins, but Tweets.show is not called", "answered bad-request: argument 'id'"],
        ),
        (
            "<message type='chat'><body>HI</body></message>",
            ["--connection", "second"],
            0,
            [
                "by connection second (component tweets.localhost)",
                "✓ guard is_loud",
                "route 2 wins: Tweets.speak(body='HI')",
            ],
        ),
        (
            "<message type='chat'><body>HI</body></message>",
            [],
            0,
            ["✗ connection 'second'", "✗ XPath", "route 4 wins: Tweets.speak(body='HI')"],
        ),
        (
            "<message type='chat'><body>hi there</body></message>",
            ["--connection", "second"],
            0,
            ["✗ guard is_loud", "✓ resource 'x'", "route 3 wins"],
        ),
        (
            "<presence/><message><body>hi</body></message>",
            [],
            1,
            [
                "no route matches: nothing is answered",
                "  routes.presence(type='available').to(YourComponent.action)",
                "route 4 wins",
            ],
        ),
    ],
)
def test_why(
    content: str,
    options: list[str],
    code: int,
    said: list[str],
    tweets: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tweets.parent / "stanza.xml"
    file.write_text(content)
    assert run(monkeypatch, tweets, "--match", file, *options) == code
    out = capsys.readouterr().out
    assert [each for each in said if each not in out] == [], out


def test_from_standard_input_for_programs(
    tweets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = b"<presence/>\n<message><body>\xc3\xa4</body></message>"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert run(monkeypatch, tweets, "--match", "-", "--json") == 1
    first, second = json.loads(capsys.readouterr().out)
    assert (first["route"], second["route"]) == (None, 4)
    assert first["connection"] == "first"
    assert second["arguments"] == {"body": "'ä'"}


def test_of_several_connections_of_an_account_the_addressed_one(
    tweets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tweets.write_text(
        TWEETS + "with routes.resource('y'):\n    routes.message().to(Tweets.speak)\n"
    )
    file = tweets.parent / "stanza.xml"
    for to, by in [("foo@localhost/y", "first/y"), ("foo@localhost/x", "first/x")]:
        file.write_text(f"<message to='{to}'><body>hi</body></message>")
        assert run(monkeypatch, tweets, "--match", file) == 0
        assert f"by connection {by} (client foo@localhost)" in capsys.readouterr().out
    file.write_text("<message><body>hello</body></message>")
    assert run(monkeypatch, tweets, "--match", file, "--connection", "first/y") == 0
    out = capsys.readouterr().out
    assert "✗ resource 'x'  (it came to 'y')" in out


# -- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no stanza. Write <message>"),
        (b"<?xml version='1.0'?>\n", "has no stanza"),
        (b"hello", "has no stanza"),
        (b"hello <message/>", "has text outside of a stanza"),
        (b"<message/> and more", "has text outside of a stanza"),
        (b"<message>", "is no XML: "),
        (b"</stanzas><stanzas>", "is no XML: "),
        (b"<message>\xff</message>", "is no XML: not UTF-8"),
        (b"<!-- x --><message/>", "is no XML: XMPP has no DTD, comment"),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]><message>&a;</message>", "is no XML: XMPP has no DTD"),
        (b"<message/><query/>", "not a stanza: '{jabber:client}query'. Stanzas are message, "),
        (b"<message xmlns='urn:x'/>", "not a stanza: '{urn:x}message'"),
    ],
)
def test_files_that_hold_no_stanzas(content: bytes, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_stanzas(content, "x.xml")
    assert str(caught.value).startswith(f"x.xml: {message}")


def test_stanzas_of_a_file_stand_alone() -> None:
    content = (
        b"\xef\xbb\xbf <?xml version='1.0'?> <message><body/></message>\n<iq xmlns:x='urn:x'/> "
    )
    message, iq = read_stanzas(content, "x.xml")
    assert (message.kind, iq.kind) == ("message", "iq")
    assert message.tree.getparent() is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--connection", "first"],
            "--connection says by which connection a stanza came: it needs",
        ),
        (["--match", "nowhere.xml"], "nowhere.xml: cannot be read: No such file or directory"),
        (["--match", "/"], "/: cannot be read: Is a directory"),
        (
            ["--match", "STANZA", "--connection", "frist"],
            "there is no connection 'frist'. There are",
        ),
        (["--match"], "Option '--match' requires an argument"),
        (["--config", "nowhere.toml"], "there is no configuration file"),
    ],
)
def test_wrong_questions(
    options: list[str],
    message: str,
    tweets: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tweets.parent / "stanza.xml"
    file.write_text("<presence/>")
    options = [str(file) if option == "STANZA" else option for option in options]
    assert run(monkeypatch, tweets, *options) == 2
    assert message in capsys.readouterr().err


def test_wrong_routes_are_told_as_at_the_start(
    tweets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tweets.write_text(TWEETS.replace('"[body]"', '"[body"').replace('"second"', '"secnd"'))
    assert run(monkeypatch, tweets) == 2
    assert f"{tweets}:16: bad XPath" in capsys.readouterr().err


def test_connections_that_are_not_configured(
    tweets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tweets.write_text(TWEETS.replace('"second"', '"elsewhere"'))
    assert run(monkeypatch, tweets) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"error: {tweets}:16: {tweets.parent / 'emp.toml'} has no [connections.")
    assert said.endswith("[connections.elsewhere]. There are: first, second")


def test_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--help") == 0
    out = capsys.readouterr().out
    assert "Examples:\n    emp routes apps/hack\n" in out
    assert "--match FILE" in out


def test_the_guide_shows_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = (ROOT / "docs" / "routing.md").read_text()
    example = re.search(r"^```python\n(# tweeter\.py\n.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    shown = re.search(
        r'^    \$ echo "(.*)" \|\n +emp routes tweeter.py --match -\n(.*?)\n\n', guide, re.M | re.S
    )
    assert example is not None
    assert shown is not None
    monkeypatch.chdir(tmp_path)
    (tmp_path / "emp.toml").write_text('[connections.main]\nhost = "x.localhost"\nsecret = "s"\n')
    (tmp_path / "tweeter.py").write_text(example[1])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(shown[1].encode())))
    assert run(monkeypatch, "tweeter.py", "--match", "-") == 0
    out = capsys.readouterr().out.replace(f"{tmp_path}/", "")
    assert "".join(f"    {line}\n" for line in out.splitlines()) == f"{shown[2]}\n"
