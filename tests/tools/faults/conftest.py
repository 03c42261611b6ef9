"""Tests with sockets run on both event loops."""

from tests.emp.net.conftest import pytest_asyncio_loop_factories

__all__ = ["pytest_asyncio_loop_factories"]
