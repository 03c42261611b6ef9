"""The routes' file of a running application, read anew."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emp import app as application
from emp.errors import ConfigError
from emp.reload import Reading
from emp.stanza import Message

CONFIG = '[connections.main]\nhost = "a.localhost"\nsecret = "s"\n'
TWEETS = "class Tweets:\n    def show(self): ...\n    def list(self): ...\n"
HEAD = (
    "from emp.routing import Routes\nfrom app.components.tweets import Tweets\nroutes = Routes()\n"
)


@pytest.fixture(autouse=True)
def modules_as_before() -> Iterator[None]:
    before, path = dict(sys.modules), sys.path[:]
    yield
    for name in set(sys.modules) - set(before):
        del sys.modules[name]
    sys.path[:] = path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    (tmp_path / "app" / "components").mkdir(parents=True)
    (tmp_path / "config" / "emp.toml").write_text(CONFIG)
    (tmp_path / "app" / "components" / "tweets.py").write_text(TWEETS)
    routes(tmp_path, "routes.message().to(Tweets.show)\n")
    application.load(tmp_path)
    return tmp_path


def routes(folder: Path, text: str, head: str = HEAD) -> None:
    (folder / "config" / "router.py").write_text(head + text)


def actions(app: application.App) -> list[str]:
    return [route.action for route in app.table.routes]


def test_the_file_as_it_is_now(folder: Path) -> None:
    running = application.load(folder)
    routes(folder, "routes.message().to(Tweets.list)\n")
    reading = Reading(folder)
    assert actions(reading.app) == ["list"]
    assert reading.app.components == running.components  # the very classes
    assert actions(application.load(folder)) == ["show"]
    reading.adopt()
    assert actions(application.load(folder)) == ["list"]
    reading.drop()
    assert actions(application.load(folder)) == ["show"]


def test_a_file_of_the_same_second_and_size(folder: Path) -> None:
    """Python would take what it has compiled for the same."""
    for name in ("list", "show", "list"):
        routes(folder, f"routes.message().to(Tweets.{name})\n")
        assert actions(Reading(folder).app) == [name]


def test_classes_that_run_stay_as_they_are(folder: Path) -> None:
    (folder / "app" / "components" / "tweets.py").write_text(TWEETS.replace("show", "other"))
    routes(folder, "routes.message().to(Tweets.show)\nroutes.presence().to(Tweets.other)\n")
    with pytest.raises(ConfigError, match="other") as caught:
        Reading(folder)
    assert caught.value.line == 5


def test_a_file_that_is_new_may_be_mended(folder: Path) -> None:
    file = folder / "app" / "components" / "late.py"
    head = HEAD + "from app.components.late import Late\n"
    file.write_text("class Late:\n    def act(self): ...\n1 / 0\n")
    routes(folder, "routes.message().to(Late.act)\n", head)
    with pytest.raises(ConfigError, match="ZeroDivisionError") as caught:
        Reading(folder)
    assert caught.value.file == str(file)
    file.write_text("class Late:\n    def act(self): ...\n    old = True\n")
    dropped = Reading(folder)
    dropped.adopt()
    dropped.drop()
    assert "app.components.late" not in sys.modules
    file.write_text("class Late:\n    def act(self): ...\n    new = True\n")
    reading = Reading(folder)
    [late] = reading.app.components
    assert hasattr(late, "new")
    reading.adopt()
    reference = application.reference(late)
    assert application.resolve(reference, folder) is late


def test_one_file(tmp_path: Path) -> None:
    file = tmp_path / "onefile.py"
    base = (
        "from emp.routing import Routes\nclass One:\n    def act(self): ...\n"
        "    class Inner:\n        def act(self): ...\nroutes = Routes()\n"
    )
    (tmp_path / "emp.toml").write_text(CONFIG)
    file.write_text(base + "routes.message().to(One.act)\n")
    [one] = application.load(file).components
    more = "class Two(One):\n    def act(self): ...\n"
    both = (
        "routes.message(type='chat').to(Two.act)\nroutes.message().to(One.act)\n"
        "routes.presence().to(One.Inner.act)\n"
    )
    file.write_text(base + more + both)
    reading = Reading(file)
    two, same, inner = reading.app.components
    assert same is one
    assert inner is one.Inner
    found = reading.app.table.match(Message("a@b", "x", type="chat"))
    assert found is not None
    assert found.route.component is two
    reading.adopt()
    assert sys.modules["onefile"].Two is two
    again = Reading(file)
    assert again.app.components == (two, one, inner)  # it runs by now
    again.drop()
    assert sys.modules["onefile"].Two is two
    reading.drop()
    assert not hasattr(sys.modules["onefile"], "Two")


def test_what_a_class_that_runs_has_not(tmp_path: Path) -> None:
    file = tmp_path / "nofile.py"
    (tmp_path / "emp.toml").write_text(CONFIG)
    base = "from emp.routing import Routes\nclass One:\n    def act(self): ...\n"
    file.write_text(base + "routes = Routes()\nroutes.message().to(One.act)\n")
    application.load(file)
    file.write_text(
        base + "    def new(self): ...\nroutes = Routes()\n"
        "routes.message('[body]').to(One.new)\nroutes.presence().to(One.act, 7)\n"
    )
    with pytest.raises(ConfigError) as caught:
        Reading(file)
    text = str(caught.value)
    assert f"{file}:6: One.new is new" in text
    assert f"{file}:7" in text
    assert actions(application.load(file)) == ["act"]
