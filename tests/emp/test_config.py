"""The configuration file: what is accepted, and what each mistake is told."""

from pathlib import Path

import pytest

from emp import app
from emp.config import Config, load
from emp.errors import ConfigError

CLIENT = """
[connections.hack]
kind = "client"
node = "foo"
host = "localhost"
password = "secret word"
"""

COMPONENT = """
[connections.main]
host = "hack.localhost"
secret = "s3cret"
"""


def read(tmp_path: Path, text: str, **environ: str) -> Config:
    file = tmp_path / "emp.toml"
    file.write_text(text)
    return load(file, environ)


def test_a_client(tmp_path: Path) -> None:
    (settings,) = read(tmp_path, CLIENT).connections
    assert (settings.name, settings.kind, settings.address) == ("hack", "client", "foo@localhost")
    assert settings.password == "secret word"
    assert settings.tls == "required"


def test_a_component_is_the_default_kind(tmp_path: Path) -> None:
    (settings,) = read(tmp_path, COMPONENT).connections
    assert (settings.kind, settings.address, settings.secret) == (
        "component",
        "hack.localhost",
        "s3cret",
    )


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    assert "secret word" not in repr(read(tmp_path, CLIENT))
    assert "s3cret" not in repr(read(tmp_path, COMPONENT))


def test_secrets_from_a_file_and_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("from the file\n")
    text = CLIENT.replace('password = "secret word"', 'password_file = "word"')
    assert read(tmp_path, text).connections[0].password == "from the file"
    text = CLIENT.replace('password = "secret word"', 'password_env = "WORD"')
    assert read(tmp_path, text, WORD="from outside").connections[0].password == "from outside"


def test_everything_else(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    config = read(
        tmp_path,
        '[app]\nname = "x"\nmodule = "y.py"\n[system]\nbase = "multiproc"\nport = 2000\n'
        '[log]\nlevel = "debug"\n'
        + CLIENT
        + 'server = "127.0.0.1"\nport = 15222\nca_file = "ca.pem"\nauthentication = "SCRAM-SHA-1"\n'
        "connect_timeout = 2\nkeepalive = 0\n",
    )
    (settings,) = config.connections
    assert (config.app_name, config.app_module) == ("x", "y.py")
    assert (config.system, config.system_port, config.log_level) == ("multiproc", 2000, "debug")
    assert settings.mechanisms == ("SCRAM-SHA-1",)
    assert settings.ca_file == (tmp_path / "ca.pem").resolve()
    assert (settings.connect_timeout, settings.keepalive) == (2.0, 0.0)


MISTAKES = {
    "unknown key": (CLIENT + 'pasword_file = "x"\n', 7, "did you mean 'password_file'?"),
    "unknown section": ("[sistem]\n", 1, "did you mean 'system'?"),
    "unknown key far away": ("[log]\nzzz = 1\n", 2, "known are level"),
    "wrong value": ('[system]\nbase = "multiprok"\n', 2, "did you mean 'multiproc'?"),
    "wrong type": ('[system]\nport = "many"\n', 2, "must be a port from 1 to 65535"),
    "a bool is no number": (CLIENT + "port = true\n", 7, "must be a port"),
    "not TOML": ("[log\n", 1, "not valid TOML"),
    "no host": ("[connections.a]\nsecret = 'x'\n", 1, "host is missing"),
    "no password": (
        CLIENT.replace('password = "secret word"', ""),
        2,
        "password_file or password_env",
    ),
    "no secret": ("[connections.a]\nhost = 'x.test'\n", 1, "secret is missing"),
    "node of a component": (COMPONENT + "node = 'x'\n", 5, 'write kind = "client"'),
    "secret of a client": (CLIENT + "secret = 'x'\n", 7, 'write kind = "component"'),
    "two passwords": (CLIENT + "password_env = 'X'\n", 7, "only one of them"),
    "two ways to connect": (
        CLIENT + "websocket = 'wss://x.test/'\nserver = 'x.test'\n",
        8,
        "websocket and server: only one of them",
    ),
    "no address of a WebSocket": (CLIENT + "websocket = 'x.test'\n", 7, "begins with wss://"),
    "unset variable": (
        CLIENT.replace('password = "secret word"', 'password_env = "NOPE"'),
        6,
        "the environment has no NOPE",
    ),
    "missing file": (
        CLIENT.replace('password = "secret word"', 'password_file = "nope"'),
        6,
        "cannot be read",
    ),
    "missing authority": (CLIENT + 'ca_file = "nope.pem"\n', 7, "does not exist"),
    "host with user": (CLIENT.replace('"localhost"', '"a@b"'), 5, "without user name"),
    "server with port": (CLIENT + 'server = "127.0.0.1:5222"\n', 7, "write port = 5222"),
    "bad mechanism": (CLIENT + 'authentication = "SCRAM"\n', 7, "authentication"),
    "section that is none": ("log = 3\n", 1, "write [log]"),
    "connection that is none": ("[connections]\nhost = 'x'\n", 2, "write [connections.NAME]"),
}


CLIENT_LINES = len(CLIENT.splitlines())
MANY = "x" * 1_100
VALUES = {
    # key = value of a client → what is said
    'resource = "a\\u200db"': "must be the resource of a JID",
    f"resource = '{MANY}'": "1 to 1023 bytes",
    'resource = "a\\u0000b"': "must be the resource of a JID",
    "resource = ''": "not empty",
    'status = "a\\u0001b"': "XML has no character U+0001",
    f"status = '{'<' * 1_100}'": "4096 at most",
    "status = 7": 'write "7"',
    "show = 'awya'": "did you mean 'away'?",
    "show = ['away']": "must be",
    "priority = 128": "from -128 to 127",
    "priority = 1.5": "from -128 to 127",
    "priority = '5'": "from -128 to 127",
    "caps = 'two words'": "the URI of your software",
    'caps = "a\\u0007"': "control characters",
    f"caps = 'urn:{MANY}'": "1024 at most",
    "caps = 'https://example.org#x'": "the URI of your software",
    "server = 'xmpp://example.org'": 'not a URL: write "example.org"',
    "server = 'xmpp://example.org:5222/x'": 'not a URL: write "example.org"',
    "server = 'example.org:5222'": "write port = 5222",
    "server = 'example.org:xmpp'": "has a colon",
    "server = '[::1]'": "write '::1'",
    "server = '[::1]:5222'": "write port = 5222",
    "server = '::g'": "is no IP address",
    "server = '1.2.3'": "is no IP address",
    "server = '256.1.1.1'": "is no IP address",
    "server = 'two words'": "is no name or address",
    "server = 'a@b'": "is no name or address",
    "server = 'example.org/x'": "is no name or address",
    "server = 'a..b'": "is no name or address",
    "server = '-a.b'": "is no name or address",
    f"server = '{'a' * 64}.org'": "is no name or address",
    'server = "a\\nb"': "control characters",
    "server = '${SERVER}'": "variables such as ${SERVER} are not replaced. write the value itself",
    "server = '$SERVER'": "are not replaced",
    "port = 0": "must be a port",
    "port = 65536": "must be a port",
    "port = '5222'": "must be a port",
    "roster = 'true'": "true or false, without quotes",
    "roster = 1": "must be true or false",
    "keepalive = nan": "must be a number of seconds",
    "connect_timeout = 0": "from 0.1 to 600",
    "stanza_bytes = 9_999": "from 10000",
    "websocket = 'https://example.org'": "begins with wss://",
    "websocket = 'wss://'": "begins with wss://",
    "websocket = 'wss://example.org:99999/'": "begins with wss://",
    "websocket = 'wss://a b/'": "begins with wss://",
    "websocket = 'wss://me:word@example.org/'": "without user name",
    "certificate_sha256 = 'ab'": "64 hexadecimal digits",
    "authentication = []": "must be a SASL mechanism",
    "authentication = ['SCRAM-SHA-256', 'PLIAN']": "did you mean 'PLAIN'?",
    "token_file = '.'": "is a folder",
    "ca_file = '.'": "is no file",
    "ca_file = 7": 'write "7"',
    "level = 'debug'": "it belongs into [log]",
}


@pytest.mark.parametrize("line", VALUES)
def test_values_that_cannot_work(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, CLIENT + line + "\n")
    assert VALUES[line] in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'emp.toml'}:{CLIENT_LINES + 1}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"secret word"', '""', "not empty"),
        ('"secret word"', "12345", "must be a text in quotes"),
        ('"secret word"', '"a\\u0000b"', "cannot be sent"),
        ('"secret word"', '"\\u00ad"', "no character that counts"),
        ('"secret word"', '"${WORD}"', 'write password_env = "WORD"'),
        ('"secret word"', '"$WORD"', 'write password_env = "WORD"'),
        ('"foo"', '"foo@localhost"', "user name alone"),
        ('"foo"', f'"{MANY}"', "1 to 1023 bytes"),
        ('"localhost"', '"xmpp://localhost"', 'not a URL: write "localhost"'),
        ('"localhost"', '"localhost:5222"', "write port = 5222"),
        ('"localhost"', '"local host"', "XMPP domain"),
        ('kind = "client"', 'kind = "clinet"', "did you mean 'client'?"),
        ('kind = "client"', "", 'node and password without kind. write kind = "client"'),
    ],
)
def test_the_account(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, CLIENT.replace(old, new))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret word" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "server = '127.0.0.1'",
        "server = '::1'",
        "server = 'fe80::1%eth0'",
        "server = 'xmpp_server'",
        "server = 'xmpp.example.org.'",
        "server = 'müller.example'",
        "websocket = 'wss://example.org:5281/ws?x=1'",
        "websocket = 'ws://[::1]:5280/ws'",
        "resource = 'bot ä'",
        "status = '''two\nlines'''",
        "priority = -128",
        "caps = 'https://example.org/bot'",
        "keepalive = 0",
        "password_file = 'word'",
    ],
)
def test_values_that_work(tmp_path: Path, line: str) -> None:
    (tmp_path / "word").write_text("\ufeffwörd ${X}\r\n", encoding="utf-8")
    text = CLIENT.replace('password = "secret word"\n', "") if "password" in line else CLIENT
    (settings,) = read(tmp_path, text + line + "\n").connections
    assert settings.password in ("secret word", "wörd ${X}")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(
            tmp_path,
            'nmae = "x"\n\n[sistem]\nbase = 1\n\n[log]\nlevle = "info"\nlevel = "loud"\n\n'
            '[connections.hack]\nkind = "client"\nnode = "foo"\npasword = "${X}"\n'
            'secret = "x"\nport = 0\nserver = """\n[log]\n"""\n\n[connections."two words"]\n\n'
            '[[connections.list]]\nhost = "x"\n',
        )
    expected = {
        1: "stands in no section. write [app] above it, and name",
        3: "did you mean 'system'?",
        7: "did you mean 'level'?",
        8: 'must be "debug", "info", "warning" or "error"',
        10: "is missing for kind = 'client'",
        13: "did you mean 'password'?",
        14: "secret has no meaning",
        15: "must be a port",
        16: "control characters or line ends",
        20: "is no name for a connection",
        22: "write [connections.list]",
    }
    told = str(caught.value).splitlines()
    lines = [int(each.removeprefix(f"{tmp_path / 'emp.toml'}:").partition(":")[0]) for each in told]
    assert lines == sorted([*expected, 10])  # host and password
    for number, line in zip(lines, told, strict=True):
        assert expected[number] in line


@pytest.mark.parametrize("written", ['"12345\\u0000"', "12345", "['12345']", "word12345"])
def test_no_secret_is_shown_in_a_mistake(tmp_path: Path, written: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, CLIENT.replace('"secret word"', written) + "x = 1\n")
    assert "12345" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[log]\n# \xe4\n", ":2: cannot be read: byte 0xe4 is not UTF-8. save it as UTF-8"),
        ("[log]\n".encode("utf-16"), ":1: cannot be read: byte 0xff is not UTF-8"),
        (
            b"[log]\nlevel = info\n",
            '(at line 2, column 12). a text stands in quotes: level = "info"',
        ),
        (b"[log]\nlevel = debug # all\n", 'a text stands in quotes: level = "debug"'),
        (b"[log]\n\n[log]\n", ":3: not valid TOML"),
        (b"[log]\nlevel = 'info'\nlevel = 'info'\n", ":3: not valid TOML"),
        (b"[log]\nlevel = '''info\n\n", ":2: not valid TOML"),
        (b"x = " + b"[" * 10_000, "not valid TOML"),
    ],
)
def test_files_that_are_no_toml(tmp_path: Path, data: bytes, words: str) -> None:
    file = tmp_path / "emp.toml"
    file.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_and_line_ends_of_windows(tmp_path: Path) -> None:
    file = tmp_path / "emp.toml"
    file.write_bytes(b"\xef\xbb\xbf" + (CLIENT + "x = 1\n").replace("\n", "\r\n").encode())
    with pytest.raises(ConfigError, match=f":{CLIENT_LINES + 1}: unknown key 'x'") as caught:
        load(file)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it is a folder"):
        load(tmp_path)


def test_an_empty_password_file(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("\n")
    text = CLIENT.replace('password = "secret word"', 'password_file = "word"')
    with pytest.raises(ConfigError, match=r":6: password_file: .* is empty"):
        read(tmp_path, text)


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(tmp_path: Path, name: str) -> None:
    text, line, hint = MISTAKES[name]
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert hint in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'emp.toml'}:{line}: ")
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such configuration file"):
        load(tmp_path / "nope.toml")


LONG = "a" * 300


@pytest.mark.parametrize("name", ["loop", "loop/x", LONG, f"{LONG}/x", "~nobody-at-all/x"])
@pytest.mark.parametrize("key", ["ca_file", "certificate", "key", "password_file"])
def test_files_that_cannot_be(tmp_path: Path, key: str, name: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    file = tmp_path / "emp.toml"
    client = CLIENT.replace("password", "#") if key == "password_file" else CLIENT
    file.write_text(f'{client}{key} = "{name}"\n')
    with pytest.raises(ConfigError, match=key):
        load(file)


@pytest.mark.parametrize("name", ["loop", "loop/x", LONG, f"{LONG}/x"])
def test_applications_that_cannot_be(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ConfigError, match="there is no application"):
        app.load(tmp_path / name)


@pytest.mark.parametrize("name", ["../x.py", "/etc/hostname", "loop", LONG, ".", "..", "emp.toml"])
def test_modules_that_cannot_be(tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "x.py").touch()
    (home / "loop").symlink_to("loop")
    (home / "emp.toml").write_text(f'{COMPONENT}[app]\nmodule = "{name}"\n')
    with pytest.raises(ConfigError, match=r"outside|does not exist|as Python"):
        app.load(home)


def test_a_token_file_is_where_it_is_written(tmp_path: Path) -> None:
    """Where a link leads is not looked at: that is the file's own business (emp.tokens)."""
    (tmp_path / "there").mkdir()
    (tmp_path / "here").symlink_to("there")
    (tmp_path / "there" / "link").symlink_to("precious")
    (tmp_path / "loop").symlink_to("loop")
    file = tmp_path / "emp.toml"
    for name, where in (("here/link", "there/link"), ("loop", "loop"), (LONG, LONG)):
        file.write_text(f'{CLIENT}token_file = "{name}"\n')
        assert load(file).connections[0].token_file == tmp_path.resolve() / where
