"""The configuration file: what is accepted, and what each mistake is told."""

from pathlib import Path

import pytest

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
