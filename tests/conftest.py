"""Fixtures for the whole suite: private Prosody and ejabberd, started once per run when needed.

They have the limits that their packages ship with, as the servers of the world do. Only what floods
on purpose takes `load_server`, and says why.

A test that uses one of them is marked "server" by itself; `tools/test --fast` leaves it out. Where
a server is not installed, the test fails and says what to install: a skipped test would look like
a passed one.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tools.servers import Server

# Its default of 200 ms for an example fails on a busy machine.
settings.register_profile("emp", deadline=None)
settings.load_profile("emp")

# Under nohup, or in the background, these would be ignored, and by what tests start as well.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

SERVER_FIXTURES = {"prosody", "ejabberd", "real_server", "local_server", "load_server"}


@pytest.hookimpl(tryfirst=True)  # before -m "not server" looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SERVER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.server)


@pytest.fixture(scope="session")
def prosody() -> Iterator[Server]:
    """A private Prosody, the same for the whole run. A test that stops it starts it again."""
    from tools import servers  # here, so that a fault in it breaks these tests only

    with servers.prosody() as server:
        yield server


@pytest.fixture(scope="session")
def ejabberd() -> Iterator[Server]:
    """A private ejabberd, the same for the whole run. A test that stops it starts it again."""
    from tools import servers

    with servers.ejabberd() as server:
        yield server


@pytest.fixture(scope="session", params=["prosody", "ejabberd"])
def real_server(request: pytest.FixtureRequest) -> Server:
    """The test runs twice: once with each real server."""
    server: Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="session", params=["prosody", "ejabberd"])
def local_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The same for the domain localhost, at which the example applications live."""
    from tools import servers

    with getattr(servers, request.param)("localhost") as server:
        yield server


@pytest.fixture(scope="session", params=["prosody", "ejabberd"])
def load_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The same with limits widened for load: with stock ones, a flood takes as long as they say."""
    from tools import servers

    with getattr(servers, request.param)(load=True) as server:
        yield server
