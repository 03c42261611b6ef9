"""Views: elements and stanzas from templates, `app/views/*.xml`, written in Jinja2.

    views = Views(Path("myapp/app/views"))
    views.render("tweets/show", tweet=tweet)     from tweets/show.xml

Every value is escaped, for text and for attributes in either kind of quotes; elements come in
through the filter `xml` only. What a template has given is parsed before anybody sees it, so that
a mistake in it is an error with the template's line, never a broken stream.
"""

from __future__ import annotations

import os
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from lxml import etree

from emp import ns
from emp.errors import RemoteProtocolError, StanzaError, ViewError
from emp.stanza import Stanza
from emp.view import CLASSES, of_element
from emp.xml import Element, parse

if TYPE_CHECKING:
    from emp.templates import Places, Templates

Rendered: TypeAlias = Element | Stanza | list[Element | Stanza]

# Several elements need one around them; unprefixed names without xmlns mean jabber:client.
_START: Final = f'<view xmlns="{ns.CLIENT}">'
_END: Final = "</view>"

# A line break in the output is one of a template: those of values are written &#10;.
_LAYOUT: Final = re.compile(r">[ \t]*\n[ \t\n]*<")
_LINE: Final = re.compile(r"\bline (\d+)\b")
EXCERPT: Final = 60
"""Characters of an output's line that an error shows."""


class Views:
    """The views of one directory, which need not exist. Any thread may use them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @cached_property
    def _templates(self) -> Templates:
        # Jinja2 takes its time to import, which applications without views need not spend.
        from emp.templates import Templates

        return Templates(self.directory)

    def check(self) -> None:
        """Compile all templates, so that what is wrong with one is known before it is needed.

        Raises ViewError (a ConfigError) with file and line. Without templates it costs nothing.
        """
        try:
            os.scandir(self.directory).close()  # rglob() passes over what it may not read
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            message = f"cannot be read: {error.strerror or error}"
            raise ViewError(message, file=str(self.directory)) from None
        if next(self.directory.rglob("*.xml"), None) is not None:
            for name in self._templates.names():
                self._templates.check(name)

    def render(self, name: str, /, **values: Any) -> Rendered:
        """The element that the template `name` gives with these values, or the list of them if
        there are several or none. A message, presence or iq in jabber:client is a Stanza.

        name: the path of its file below the directory, without ".xml". Raises ViewError for what
        is wrong with the view or a value in it; a StanzaError from a value stays what it is.
        """
        template = self._templates.get(name)
        try:
            output = template.render(values)
        except (StanzaError, ViewError):
            raise
        except Exception as error:  # whatever the values' own code may raise
            raise self._templates.fault(error, values) from error
        try:
            found = _contents(output)
        except RemoteProtocolError as error:
            raise self._malformed(name, values, output, error) from None
        return found[0] if len(found) == 1 else found

    def _malformed(
        self, name: str, values: dict[str, Any], output: str, error: RemoteProtocolError
    ) -> ViewError:
        """The parser's complaint about the output, told of the template."""
        cause = error.__cause__
        line, column, message = 1, 1, error.text
        if isinstance(cause, etree.XMLSyntaxError):
            line, column = cause.position  # just behind what it complains of
            column = max(column - 1, 1)
            message = cause.msg.partition(f", line {line}, column")[0]
        column -= len(_START) if line == 1 else 0
        text = (output.split("\n")[line - 1 : line] or [""])[0].strip()
        places = self._templates.places(name, values, output)
        place = places.of(line, column) if places else None
        file, number = place or (str(self._templates.get(name).filename), None)
        return ViewError(
            f"not well-formed: {_told_of(message, places)}",
            file=file,
            line=number,
            remedy=f"It gave: {text if len(text) <= EXCERPT else text[:EXCERPT] + '…'}",
        )


def _parsed(output: str) -> Element:
    # Line breaks of templates are \n. The parser would make one of \r, which Markup may hold.
    return parse(f"{_START}{output}{_END}".replace("\r", "&#13;"))


def _contents(output: str) -> list[Element | Stanza]:
    if "\n" in output:
        try:
            top = _parsed(_LAYOUT.sub("><", output))
        except RemoteProtocolError:
            top = _parsed(output)  # fails as well, and its complaint has the right line
    else:
        top = _parsed(output)
    found: list[Element | Stanza] = []
    stray = top.text or ""
    for child in list(top):
        stray += child.tail or ""
        child.tail = None
        top.remove(child)
        found.append(of_element(child) if child.tag in CLASSES else child)
    if stray.strip():
        raise RemoteProtocolError("not-well-formed", f"text outside of an element: {stray!r:.80}")
    return found


def _told_of(message: str, places: Places | None) -> str:
    """The message with lines of the template: "mismatch: text line 2 and tweet" has one."""

    def told(found: re.Match[str]) -> str:
        place = places.of(int(found[1]), 1) if places else None
        return f"line {place[1]}" if place else "here"

    return _LINE.sub(told, message)
