from pathlib import Path

import pytest

from tests.attacks.support import Attacks


@pytest.fixture
def attacks(tmp_path: Path) -> Attacks:
    return Attacks(tmp_path)


@pytest.fixture(autouse=True)
def runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMP_RUNTIME_DIR", str(tmp_path / "run"))
