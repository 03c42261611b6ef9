"""From an application to its actors."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.messages import AppRef, StartPlan
from actors.plan import make_plan, unique
from emp import app as application
from emp.errors import ConfigError

CLASSES = """
from actors import Component
from emp.routing import Routes

class One(Component):
    def act(self): return None

class Many(Component):
    pool = 3
    def act(self): return None

routes = Routes()
"""

COMPONENT = '[connections.main]\nhost = "a.localhost"\nsecret = "s"\n'
CLIENTS = "".join(
    f'[connections.{name}]\nkind = "client"\nnode = "{name}"\nhost = "localhost"\npassword = "x"\n'
    for name in ("foo", "bar")
)


@pytest.fixture
def number(request: pytest.FixtureRequest) -> str:
    """Modules are imported once in each process: every test has one of its own."""
    return f"plan{abs(hash(request.node.name))}"


def plan(tmp_path: Path, name: str, routes: str, config: str = COMPONENT) -> StartPlan:
    file = tmp_path / f"{name}.py"
    file.write_text(CLASSES + routes)
    (tmp_path / "emp.toml").write_text(config)
    return make_plan(application.load(file), AppRef(str(file)))


def names(specs: object) -> list[str]:
    return [spec.name for spec in specs]  # type: ignore[attr-defined]


def test_a_pool_has_as_many_workers_as_it_says(tmp_path: Path, number: str) -> None:
    made = plan(
        tmp_path,
        number,
        "routes.message('[body]').to(Many.act)\nroutes.presence().to(One.act)\n",
    )
    assert names(made.components) == ["Many", "Many-2", "Many-3", "One"]
    assert {spec.reference for spec in made.components} == {f"{number}:Many", f"{number}:One"}


def test_a_class_is_checked(tmp_path: Path, number: str) -> None:
    with pytest.raises(ConfigError, match="pool") as caught:
        plan(tmp_path, number, "Many.pool = 0\nroutes.message().to(Many.act)\n")
    assert caught.value.file is not None
    assert caught.value.file.endswith(f"{number}.py")


def test_what_is_no_component(tmp_path: Path, number: str) -> None:
    source = "class Plain:\n    def act(self): return None\nroutes.message().to(Plain.act)\n"
    with pytest.raises(ConfigError, match="Plain is not a Component"):
        plan(tmp_path, number, source)


def test_a_client_has_a_connection_for_each_resource(tmp_path: Path, number: str) -> None:
    routes = (
        "with routes.resource('x'):\n    routes.message().to(One.act)\n"
        "with routes.resource('y'):\n    routes.message().to(One.act)\n"
    )
    made = plan(tmp_path, number, routes, CLIENTS)
    assert names(made.connections) == ["foo/x", "foo/y", "bar/x", "bar/y"]


def test_a_resource_of_one_connection_is_for_that_one_only(tmp_path: Path, number: str) -> None:
    routes = (
        "with routes.connection('foo'), routes.resource('x'):\n"
        "    routes.message().to(One.act)\n"
        "with routes.connection('foo'), routes.resource('y'):\n"
        "    routes.message().to(One.act)\n"
    )
    made = plan(tmp_path, number, routes, CLIENTS)
    assert names(made.connections) == ["foo/x", "foo/y", "bar"]
    assert made.connections[-1].resource is None


def test_there_must_be_a_connection(tmp_path: Path, number: str) -> None:
    with pytest.raises(ConfigError, match="no connection is configured"):
        plan(tmp_path, number, "routes.message().to(One.act)\n", "")


def test_names() -> None:
    assert unique(["A", "B", "A", "A"]) == ["A", "B", "A-2", "A-3"]
    assert unique(["A", "A"], {"A", "A-3"}) == ["A-2", "A-4"]
