"""Views in a running application: the example of the guide, and what a mistake is answered with."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from emp.errors import InternalServerError, ItemNotFound
from emp.stanza import Iq, Message
from emp.xml import E
from tests.actors.world import world

GUIDE = (Path(__file__).parents[2] / "docs" / "views.md").read_text()
URN = "urn:example:tweeter"
TOLD = """\
<message to="{{ to }}" type="chat">
  <body>you said {{ body }}</body>
</message>
"""


def write_views(directory: Path, **views: str) -> None:
    for name, text in views.items():
        file = directory / "views" / f"{name.replace('__', '/')}.xml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def of_the_guide() -> tuple[str, str]:
    """Its application and its view."""
    source = re.search(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    view = re.search(r"^    (\{# app/views.*?</tweet>)$", GUIDE, re.DOTALL | re.MULTILINE)
    assert source
    assert view
    return source[1], view[1]


async def test_the_example_of_the_guide(tmp_path: Path) -> None:
    source, view = of_the_guide()
    write_views(tmp_path, tweets__show=view, told=TOLD)
    async with world(tmp_path, source) as here, here.user() as user:
        found = await user.ask(Iq("get", E.tweet(xmlns=URN, id=1), to=here.service))
        assert found.payload is not None
        assert found.payload.findtext(f"{{{URN}}}text") == "first!"
        assert [child.text for child in found.payload] == ["first!", "new"]
        missing = await user.ask(Iq("get", E.tweet(xmlns=URN, id=2), to=here.service))
        assert isinstance(missing.failure, ItemNotFound)
        told = await user.ask(Message(here.service, "</body><x/> & 'so'"))
        assert isinstance(told, Message)
        assert told.body == "you said </body><x/> & 'so'"
        assert told.tree.find("{*}x") is None


class Errors(logging.Handler):
    """The errors that are logged with records, as text."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.texts.append(str(record.exc_info[1]))


@pytest.fixture
def errors() -> Iterator[list[str]]:
    handler = Errors()
    logging.getLogger("emp").addHandler(handler)
    yield handler.texts
    logging.getLogger("emp").removeHandler(handler)


async def test_a_mistake_is_answered_and_logged_with_its_line(
    tmp_path: Path, errors: list[str]
) -> None:
    source, _ = of_the_guide()
    write_views(tmp_path, tweets__show=f"<tweet xmlns='{URN}'>\n{{{{ twet.id }}}}</tweet>")
    async with world(tmp_path, source) as here, here.user() as user:
        answer = await user.ask(Iq("get", E.tweet(xmlns=URN, id=1), to=here.service))
    assert isinstance(answer.failure, InternalServerError)
    (error,) = errors
    assert error.endswith("show.xml:2: 'twet' is undefined. The view was given: tweet")
