"""Filters and rescues: who runs around an action, in which order, and who answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actors.handling import Halt, Handling, _filtered
from actors.messages import ActionCall
from emp.errors import BadRequest, InternalServerError, ItemNotFound, NotAllowed
from emp.stanza import Iq, Message, Stanza
from emp.xml import E
from tests.actors.world import User, world

FILTERED = """
import asyncio
from actors import Component, after, around, before, rescue
from emp.errors import ItemNotFound, NotAllowed
from emp.routing import Routes
from emp.xml import E

class Lost(LookupError): pass
class Gone(Lost): pass

class Base(Component):
    def __init__(self):
        self.log = []

    @before
    def first(self, body):
        self.log.append(f"first {body}")
        if body == "stop":
            self.halt("halted")
        if body == "halt in an except":
            try:
                self.halt("halted all the same")
            except Exception:
                pass

    @around
    def timed(self):
        self.log.append("in")
        try:
            yield
        except ZeroDivisionError:
            self.halt("saved")
        except KeyError:
            pass
        finally:
            self.log.append("out")

    @rescue(LookupError)
    def inherited(self, error: LookupError):
        return f"base: {error}"

class Filtered(Base):
    @before(only="later", except_=["index"])
    async def second(self, sender):
        await asyncio.sleep(0)
        self.log.append(f"second {sender.local}")

    @after(except_="index")
    def last(self, result: str, body: str):
        self.log.append(f"after {body}: {result}")

    @rescue(Lost)
    async def lost(self, error, sender):
        await asyncio.sleep(0)
        return f"lost by {sender.local}: {error}"

    def now(self, body):
        self.log.append("now")
        if body == "zero":
            1 / 0
        if body == "swallowed":
            raise KeyError("x")
        if body == "missing":
            raise IndexError("nothing there")
        if body == "gone":
            raise Gone("for ever")
        return "done"

    async def later(self, body):
        await asyncio.sleep(0)
        return self.now(body)

    def index(self):
        return " | ".join(self.log)

    def stream(self):
        self.log.append("streaming")
        yield "one"
        yield "two"

    async def slowly(self):
        yield "one"
        await asyncio.sleep(0)
        yield "two"

routes = Routes()
routes.message(body="log").to(Filtered.index)
routes.message(type="headline").to(Filtered.later)
routes.message(body="stream").to(Filtered.stream)
routes.message(body="slowly").to(Filtered.slowly)
routes.message("[body]").to(Filtered.now)
"""


def text(stanza: Stanza) -> str | None:
    assert isinstance(stanza, Message)
    return stanza.body


async def say(user: User, body: str, type: str = "chat") -> str | None:
    return text(await user.ask(Message("foo@localhost/main", body, type=type)))


async def log(user: User) -> list[str]:
    return (await say(user, "log") or "").split(" | ")[:-2]


async def test_the_order_of_filters(tmp_path: Path) -> None:
    async with world(tmp_path, FILTERED) as here, here.user() as bar:
        assert await say(bar, "hi") == "done"
        assert await log(bar) == ["first hi", "in", "now", "after hi: done", "out"]


async def test_filters_that_wait_and_actions_that_wait(tmp_path: Path) -> None:
    async with world(tmp_path, FILTERED) as here, here.user() as bar:
        assert await say(bar, "hi", "headline") == "done"
        expected = ["first hi", "in", "second bar", "now", "after hi: done", "out"]
        assert await log(bar) == expected


@pytest.mark.parametrize(
    ("body", "answer", "logged"),
    [
        ("stop", "halted", ["first stop"]),
        ("halt in an except", "halted all the same", ["first halt in an except"]),
        ("zero", "saved", ["first zero", "in", "now", "out"]),
        ("missing", "base: nothing there", ["first missing", "in", "now", "out"]),
        ("gone", "lost by bar: for ever", ["first gone", "in", "now", "out"]),
    ],
)
@pytest.mark.parametrize("type", ["chat", "headline"])
async def test_what_ends_the_handling(
    tmp_path: Path, body: str, answer: str, logged: list[str], type: str
) -> None:
    async with world(tmp_path, FILTERED) as here, here.user() as bar:
        assert await say(bar, body, type) == answer
        found = [line for line in await log(bar) if not line.startswith("second")]
        assert found == logged
        component = here.actor("Filtered")
        assert (component.busy, component.works, component.answered) == ({}, {}, set())
        assert here.actor("main").ledger.held == {}


@pytest.mark.parametrize("type", ["chat", "headline"])
async def test_an_exception_that_is_swallowed_is_answered_with_nothing(
    tmp_path: Path, type: str
) -> None:
    async with world(tmp_path, FILTERED) as here, here.user() as bar:
        bar.say(Message(here.service, "swallowed", type=type))
        assert "out" in await log(bar)


@pytest.mark.parametrize("body", ["stream", "slowly"])
async def test_filters_surround_all_that_a_generator_yields(tmp_path: Path, body: str) -> None:
    async with world(tmp_path, FILTERED) as here, here.user() as bar:
        assert await say(bar, body) == "one"
        assert text(await bar.hear()) == "two"
        lines = [line for line in await log(bar) if line != "streaming"]
        assert lines == [f"first {body}", "in", f"after {body}: None", "out"]


RESCUING = """
from actors import Component, rescue
from emp.errors import Forbidden, ItemNotFound, NotAllowed, StanzaError
from emp.routing import Routes

@rescue(LookupError, with_=ItemNotFound)
@rescue(ValueError, with_="wrong_value")
class Rescuing(Component):
    def lookup(self): raise KeyError("secret")
    def value(self): raise ValueError("a value")
    def unicode(self): return "\\ud800".encode()
    def forbidden(self): raise Forbidden("no")
    def broken(self): raise OSError("disk")
    def wrong_value(self, error, lang):
        if isinstance(error, UnicodeError):
            raise RuntimeError("the rescue fails too")
        self.fail(NotAllowed, str(error))

    @rescue(Forbidden)
    def polite(self, error: Forbidden):
        raise NotAllowed(f"sorry: {error.text}") from error

    def number(self, number: int): return None

routes = Routes(namespaces={"e": "urn:example"})
for name in ("lookup", "value", "unicode", "forbidden", "broken"):
    routes.iq_get(f"e:{name}").to(Rescuing, name)
routes.iq_get("e:number", number="e:number/@n").to(Rescuing.number)
"""


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("lookup", ItemNotFound, ""),  # what an exception says is for the log
        ("value", NotAllowed, "a value"),
        ("forbidden", NotAllowed, "sorry: no"),
        ("unicode", InternalServerError, "incident"),
        ("broken", InternalServerError, "incident"),
        ("number", BadRequest, "number"),
    ],
)
async def test_rescues(tmp_path: Path, name: str, error: type, said: str) -> None:
    async with world(tmp_path, RESCUING) as here, here.user() as bar:
        request = Iq("get", E(name, xmlns="urn:example", n="x"), to=here.service)
        failure = (await bar.ask(request)).failure
        assert type(failure) is error
        assert said in failure.text
        assert "secret" not in failure.text


def test_an_action_without_filters_is_called_as_it_is() -> None:
    from actors import Component, before

    class Two(Component):
        @before(only="filtered")
        def check(self) -> None: ...

        def plain(self) -> None: ...

        def filtered(self) -> None: ...

    def action(component: Any, stanza: Stanza, captured: Any) -> Any: ...

    assert _filtered(Two, ActionCall(1, "plain"), action) is action
    assert _filtered(Two, ActionCall(2, "filtered"), action) is not action


def test_an_overridden_filter_stays_one_and_none_removes_it() -> None:
    from actors import Component, before

    class Parent(Component):
        @before
        def check(self) -> None:
            raise AssertionError("not this one")

        def action(self) -> str:
            return "done"

    class Stricter(Parent):
        def check(self) -> None:
            self.halt("stricter")

    class Open(Parent):
        check = None  # type: ignore[assignment]

    stanza = Message("a@b", "hi")
    call = ActionCall(1, "action")
    with pytest.raises(Halt) as halted:
        Handling(Stricter, call).call(Stricter(), stanza, {})
    assert halted.value.result == "stricter"
    assert Handling(Open, call).call(Open(), stanza, {}) == "done"
