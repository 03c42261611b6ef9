"""What is wrong with a component's class is said before it runs, with its place."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from actors.checks import check_component
from emp.errors import ConfigError

HEAD = """\
from datetime import timedelta
from actors import Component, after, around, before, blocking, every, rescue
import actors
from emp.errors import ItemNotFound

"""

# The body of a class or a class with its decorators; the line of it that is wrong; what is said.
MISTAKES = [
    ("pool = 0", 1, "pool = 0. it is a whole number from 1"),
    ("pool: int = True", 1, "pool = True"),
    ("mailbox = 1.5", 1, "mailbox = 1.5"),
    ("threads = -1", 1, "threads = -1"),
    ("blocking = 1", 1, "blocking = 1. it is True or False"),
    ("deadline = 0", 1, "deadline = 0. it is a number of seconds above 0"),
    ("deadline = float('inf')", 1, "deadline = inf"),
    ("deadline = timedelta(1)", 1, "deadline = datetime.timedelta"),
    ('when_full = "shredd"', 1, "when_full = 'shredd'. did you mean \"shed\"?"),
    ('key = "sende"', 1, 'did you mean "sender"?'),
    ("key = 3", 1, 'it is "session" or "sender", or a function of the stanza'),
    ("def key(self, stanza): return ''", 1, "write @staticmethod above def key(stanza)"),
    ('@before(only="actoin")\ndef f(self): ...', 1, "no action 'actoin'. did you mean 'action'?"),
    ("@after(except_=['x'])\ndef f(self): ...", 1, "no action 'x'"),
    ("@before(only=[])\ndef f(self): ...", 1, "give at least one"),
    ("@around\ndef f(self): ...", 1, "it has no yield"),
    ("@before\ndef f(self): yield", 1, "use @around"),
    ("@before\n@property\ndef f(self): ...", 1, "@before stands on a property"),
    ("@before\nasync def f(self): ...\n@blocking\ndef b(self): ...", 1, "b runs in a thread"),
    ("@rescue()\ndef f(self): ...", 1, "names no exception"),
    ("@rescue(KeyboardInterrupt)\ndef f(self): ...", 1, "is no Exception"),
    ("@rescue(KeyError, with_=ItemNotFound)\ndef f(self): ...", 1, "which is the answer itself"),
    ("@rescue(KeyError)\ndef f(self): ...\n@rescue(KeyError)\ndef g(self): ...", 3, "in line 7"),
    ("@rescue(KeyError)\nasync def f(self): ...\n@blocking\ndef b(self): ...", 1, "in a thread"),
    ("@every(0)\ndef f(self): ...", 1, "@every(0). give seconds above 0"),
    ("@every(timedelta(0))\ndef f(self): ...", 1, "give seconds above 0"),
    ("@every(1, first=-1)\ndef f(self): ...", 1, "first=-1"),
    ("@every\ndef f(self): ...", 1, "write @every(30)"),
    ("@rescue\ndef f(self): ...", 1, "write @rescue(LookupError)"),
    ("@actors.deadline\ndef f(self): ...", 1, "write @deadline(5)"),
    ("@every(1)\ndef f(self, x): ...", 1, "must take no arguments but self"),
    ("@every(1)\ndef f(self): yield", 1, "has a yield"),
    ("@actors.deadline(-1)\ndef f(self): ...", 1, "@deadline(-1)"),
    ("@blocking\nasync def f(self): ...", 1, "cannot run in a thread"),
    ("def send(self): ...", 1, "Wrong.send hides what every component has. choose another name"),
    ("reply = None", 1, "hides what every component has"),
    ("def startup(self, x): ...", 1, "must take no arguments but self"),
    ("def startup(self): yield", 1, "Wrong.startup has a yield"),
    ("shutdown = None", 1, "Wrong.shutdown = None. it is a method"),
    ("def on_connected(self): ...", 1, "must take one argument besides self"),
    ("def __init__(self, db): ...", 1, "missing a required argument: 'db'. EMP makes the objects"),
    ("def on_conected(self, event): ...", 1, "is no hook, and no route leads to it. did you mean"),
    ("pool = 10 ** 6", 1, "it is a whole number from 1 to 1000"),
    ("deadline = 10 ** 400", 1, "it is a number of seconds above 0"),
    ("@every(10 ** 400)\ndef f(self): ...", 1, "give seconds above 0"),
    ("@before('action')\ndef f(self): ...", 1, "@before('action'). write only='action'"),
    ("@before(only=5)\ndef f(self): ...", 1, "only= and except_= name actions, not 5"),
]
ON_CLASSES = [
    ("@rescue(KeyError)", "does not say what is answered"),
    ("@rescue(KeyError, with_=ValueError)", "is no StanzaError"),
    ("@rescue(KeyError, with_='nobody')", "has no method 'nobody'"),
]


def load(tmp_path: Path, source: str) -> Any:
    file = tmp_path / "wrong_component.py"
    file.write_text(source)
    spec = importlib.util.spec_from_file_location("wrong_component", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["wrong_component"] = module  # inspect looks for the source there
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("code", "line", "said"), MISTAKES, ids=[each[0] for each in MISTAKES])
def test_a_mistake_in_a_class(tmp_path: Path, code: str, line: int, said: str) -> None:
    body = "".join(f"    {each}\n" for each in code.splitlines())
    source = f"{HEAD}class Wrong(Component):\n{body}    def action(self): ...\n"
    with pytest.raises(ConfigError) as error:
        check_component(load(tmp_path, source).Wrong)
    assert said in str(error.value)
    first = HEAD.count("\n") + 1
    assert str(error.value).startswith(f"{tmp_path / 'wrong_component.py'}:{first + line}: ")


@pytest.mark.parametrize(("code", "said"), ON_CLASSES)
def test_a_mistake_above_a_class(tmp_path: Path, code: str, said: str) -> None:
    source = f"{HEAD}{code}\nclass Wrong(Component):\n    def action(self): ...\n"
    with pytest.raises(ConfigError, match=r"wrong_component\.py:6: ") as error:
        check_component(load(tmp_path, source).Wrong)
    assert said in str(error.value)


ROUTED = """
from emp.routing import Routes, compile_routes
class Wrong(Component):
    @before
    def f(self, number: int): ...
    @property
    def shown(self): ...
    def action(self): ...
    fine = staticmethod(lambda: None)
routes = Routes()
routes.message(body="x").to(Wrong, NAME)
table = compile_routes(routes)
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("action", "'number'"),  # nothing fills it on that route
        ("send", "what every component has"),
        ("fine", "an action is a method"),
    ],
)
def test_what_a_route_leads_to(tmp_path: Path, name: str, said: str) -> None:
    module = load(tmp_path, f"{HEAD}{ROUTED}".replace("NAME", repr(name)))
    with pytest.raises(ConfigError, match=r"wrong_component\.py:") as error:
        check_component(module.Wrong, module.table.routes)
    assert said in str(error.value)


RIGHT = """
class Base(Component):
    pool = 4
    key = "sender"
    when_full = "shed"
    deadline = None
    @before(only="other")
    def first(self): ...
    @rescue(KeyError)
    def missing(self, error: KeyError): ...
    def other(self): ...

@rescue(KeyError, with_=ItemNotFound)
class Right(Base):
    @staticmethod
    def key(stanza): return stanza.id
    @around(except_=[Base.other])
    def timed(self): yield
    @blocking
    def works(self): ...
    @every(timedelta(seconds=1), first=0)
    async def tick(self): ...
"""


def test_a_right_class(tmp_path: Path) -> None:
    module = load(tmp_path, f"{HEAD}{RIGHT}")
    check_component(module.Base)
    check_component(module.Right)
