"""Within these tests there are no secrets."""

from collections.abc import Iterator

import pytest

from tools.fuzzing.chance import predictable


@pytest.fixture(autouse=True)
def _predictable() -> Iterator[None]:
    with predictable():
        yield
