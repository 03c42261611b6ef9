"""Which class and which action `.to(…)` means."""

from types import FunctionType
from typing import Any

import pytest

from emp.errors import RouteError
from emp.routing.actions import resolve
from tests.emp.routing import components
from tests.emp.routing.components import Base, Other, Special, Tweets


@pytest.mark.parametrize(
    ("action", "name", "expected"),
    [
        (Tweets.show, None, (Tweets, "show")),
        (Tweets.version, None, (Tweets, "version")),
        (Tweets.destroy, None, (Tweets, "destroy")),  # decorated
        (Tweets.about, None, (Tweets, "about")),  # a classmethod
        (Tweets.Admin.reset, None, (Tweets.Admin, "reset")),  # a nested class
        (Other.ping, None, (Other, "ping")),  # overridden
        (Tweets, "show", (Tweets, "show")),
        (Special, "ping", (Special, "ping")),  # inherited
        (Base, "ping", (Base, "ping")),
    ],
)
def test_what_is_meant(action: Any, name: str | None, expected: tuple[type, str]) -> None:
    assert resolve(action, name, {}) == expected


def test_a_class_in_a_function() -> None:
    class Local:
        def hack(self) -> None: ...

    assert resolve(Local.hack, None, locals()) == (Local, "hack")
    with pytest.raises(RouteError, match=r'Write .to\(Local, "hack"\)'):
        resolve(Local.hack, None, {})


@pytest.mark.parametrize(
    ("visible", "expected"),
    [({"Special": Special}, Special), ({"Base": Base, "Other": Other}, Base)],
)
def test_the_routes_file_sees_by_which_class_an_action_is_inherited(
    visible: dict[str, object], expected: type
) -> None:
    assert resolve(Special.ping, None, visible) == (expected, "ping")


@pytest.mark.parametrize("visible", [{}, {"Base": Base, "Special": Special}])
def test_doubt_about_inheritance_is_explained(visible: dict[str, object]) -> None:
    with pytest.raises(RouteError) as caught:
        resolve(Special.ping, None, visible)
    assert str(caught.value) == (
        "Base.ping is inherited, and a reference does not say by which class. "
        'Write .to(Base, "ping") or .to(Special, "ping")'
    )


def _from_another_module() -> Any:
    """A wrapper without __wrapped__, in a module that is not the component's."""
    function = FunctionType(Tweets.show.__code__, {"Tweets": 1}, "show")
    function.__qualname__ = "Tweets.show"
    function.__module__ = components.__name__
    return function


@pytest.mark.parametrize(
    ("action", "name", "message"),
    [
        ("Tweets.show", None, "is a text; a route takes the action itself. Write .to(Tweets.show)"),
        (Tweets, None, ".to(Tweets) does not say which action. Write .to(Tweets.action)"),
        (resolve, None, "resolve is a function by itself, not an action of a component"),
        (lambda: None, None, "is a function by itself"),
        (Tweets().index, None, "belongs to one object; the framework makes its own. Write .to("),
        (Tweets.count, None, "is not an action. Write .to(Class.action)"),
        (None, None, "None is not an action"),
        (Tweets._secret, None, "_secret is private"),
        (Tweets, "_secret", "_secret is private"),
        (Tweets, "shwo", "Tweets has no action 'shwo'. Did you mean 'show'?"),
        (Tweets, "xyzzy", "Tweets has no action 'xyzzy'"),
        (Tweets.show, "show", "two arguments takes a class and the name of its action"),
        (Tweets, Tweets.show, "two arguments takes a class and the name of its action"),
        (_from_another_module(), None, 'cannot tell the class of Tweets.show. Write .to(Tweets, "'),
    ],
)
def test_mistakes(action: Any, name: Any, message: str) -> None:
    with pytest.raises(RouteError) as caught:
        resolve(action, name, {})
    assert message in str(caught.value)
