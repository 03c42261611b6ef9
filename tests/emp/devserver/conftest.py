"""Tests with sockets run on both event loops."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

from tests.emp.devserver.world import World


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def world() -> World:
    return World()
