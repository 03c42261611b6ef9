"""Jinja2, set up for XML: how values look in a view, and what a template must not hold.

Imported by emp.views when there is something to render.
"""

from __future__ import annotations

import difflib
import re
import traceback
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from jinja2 import (
    Environment,
    FileSystemLoader,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
    Undefined,
    UndefinedError,
    nodes,
    pass_eval_context,
)
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from lxml import etree
from markupsafe import Markup

from emp import ns
from emp.errors import EmpError, LocalProtocolError, ViewError
from emp.escaping import escape
from emp.lexical import text_of
from emp.stanza import Stanza
from emp.view import tree_of
from emp.xml import Renderable, as_element, inheriting, serialize

SUFFIX: Final = ".xml"
_CLIENT_PREFIX: Final = f"{{{ns.CLIENT}}}"

# -- values ---------------------------------------------------------------------------------------


def _text(value: object) -> str:
    """The value as emp.lexical writes it, None as nothing. LocalProtocolError for XML and for what
    only Python can show, UndefinedError."""
    if value is None:
        return ""
    if isinstance(value, Undefined):
        return str(value)  # raises
    if isinstance(value, (etree._Element, Renderable, Stanza)):
        raise LocalProtocolError(f"{type(value).__name__} is XML: write {{{{ … | xml }}}}")
    return text_of(value)


# pass_eval_context only because Jinja2 would fold constants otherwise, and {{ true }} be "True".
@pass_eval_context
def shown(_: object, value: object) -> Markup:
    """What stands in the output for {{ value }}."""
    if type(value) is str:
        return Markup(escape(value))  # noqa: S704 - escaped
    if isinstance(value, Markup):  # from a macro, or from the filters below
        return value
    return Markup(escape(_text(value)))  # noqa: S704 - escaped


def escaped(value: object) -> Markup:
    """The filters escape and e."""
    return value if isinstance(value, Markup) else Markup(escape(_text(value)))  # noqa: S704


def escaped_again(value: object) -> Markup:
    """The filter forceescape, which escapes what is escaped already as well."""
    return Markup(escape(_text(value)))  # noqa: S704


def embedded(value: object) -> Markup:
    """The filter xml: an element, a stanza, an object with to_xml() or an iterable of them.

    None is nothing. An element without namespace inherits that of where it is put, as in E.
    """
    if value is None:
        return Markup()
    if isinstance(value, Stanza):
        return _markup(tree_of(value))
    if isinstance(value, (etree._Element, Renderable)):
        return _markup(as_element(value))
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise LocalProtocolError(
            f"xml takes elements and objects with to_xml(), not {type(value).__name__}:"
            " without the filter it is escaped"
        )
    return Markup().join(embedded(item) for item in value)


def _markup(element: etree._Element) -> Markup:
    inherits = element.tag[:1] != "{"
    text = serialize(inheriting(element, ns.CLIENT))
    if not inherits and element.tag.startswith(_CLIENT_PREFIX):
        # serialize() leaves the declaration out, but another namespace may be the default here.
        end = len("<") + len(element.tag) - len(_CLIENT_PREFIX)
        text = f'{text[:end]} xmlns="{ns.CLIENT}"{text[end:]}'
    # A line break in the output is then always one of a template: see Views.render.
    return Markup(text.replace("\n", "&#10;"))  # noqa: S704 - serialised


# -- templates ------------------------------------------------------------------------------------

_DECLARATION: Final = re.compile(r"\s*<\?xml\s[^>]*\?>")
_MARKUP: Final = re.compile(r"<!--|<!\[CDATA\[|<[!?]")
_REMEDIES: Final = {
    "<!--": "XMPP has no comments: write {# … #}",
    "<![CDATA[": "CDATA would show values with their escapes: write the text without it",
}
_NO_MARKUP: Final = "XMPP has no declarations and no processing instructions: leave it out"


class Restricted(Extension):
    """Refuses the markup that XMPP does not have (RFC 6120 §11.1), when a template is compiled.

    An XML declaration at the top, as editors like it, is left out.
    """

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        for number, token in enumerate(stream):
            if token.type == "data":
                text = token.value
                if number == 0 and (declaration := _DECLARATION.match(text)):
                    text = "\n" * declaration[0].count("\n") + text[declaration.end() :]
                if found := _MARKUP.search(text):
                    raise TemplateSyntaxError(
                        _REMEDIES.get(found[0], _NO_MARKUP),
                        token.lineno + text.count("\n", 0, found.start()),
                        stream.name,
                        stream.filename,
                    )
                token = Token(token.lineno, "data", text)
            yield token


class Marked(Extension):
    """Writes before each line of a template's text where that is: \\0FILE\\0LINE\\0. No output has
    a NUL otherwise."""

    priority = 200  # after Restricted

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        for token in stream:
            if token.type == "data":
                text = "\n".join(
                    f"\0{stream.filename}\0{number}\0{line}"
                    for number, line in enumerate(token.value.split("\n"), token.lineno)
                )
                token = Token(token.lineno, "data", text)
            yield token


_MARK: Final = re.compile("\0([^\0]*)\0([0-9]+)\0")


class Templates:
    """The templates of one directory, compiled when they are first used, then kept."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._environment = Environment(
            loader=FileSystemLoader(directory),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=shown,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            cache_size=-1,  # there are as many as there are files
            extensions=[Restricted],
        )
        self._environment.filters.update(
            e=escaped, escape=escaped, forceescape=escaped_again, xml=embedded
        )
        self._marked = self._environment.overlay(extensions=[Marked])

    def get(self, name: str) -> Template:
        """The template in the file `name` + ".xml". ViewError."""
        try:
            return self._environment.get_template(name + SUFFIX)
        except TemplateNotFound:
            raise self._missing(name) from None
        except (TemplateError, UnicodeError, OSError) as error:
            raise self.fault(error, {}, self.directory / (name + SUFFIX)) from None

    def check(self, name: str) -> None:
        """Compiles the template, and looks whether those that it includes, imports or extends are
        there. ViewError."""
        file = self.get(name).filename
        source = Path(str(file)).read_text("utf-8")
        others = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)
        for node in self._environment.parse(source, name, file).find_all(others):
            wanted = getattr(getattr(node, "template", None), "value", None)
            if isinstance(wanted, str) and not getattr(node, "ignore_missing", False):
                try:
                    self._environment.get_template(wanted)
                except TemplateNotFound:
                    raise self._missing(wanted, file, node.lineno) from None
                except (TemplateError, UnicodeError, OSError) as error:
                    raise self.fault(error, {}, self.directory / wanted) from None

    def names(self) -> list[str]:
        """What get() takes."""
        return sorted(
            file.relative_to(self.directory).with_suffix("").as_posix()
            for file in self.directory.rglob(f"*{SUFFIX}")
        )

    def _missing(self, name: str, file: str | None = None, line: int | None = None) -> ViewError:
        bare = name.removesuffix(SUFFIX)
        known = self.names()
        near = [bare] if bare in known else difflib.get_close_matches(bare, known, 1)
        suffix = SUFFIX if file else ""
        remedy = f"did you mean {near[0] + suffix!r}?" if near else None
        where = f"there is no view {name!r} in {self.directory}"
        return ViewError(where, file=file, line=line, remedy=remedy)

    def fault(
        self, error: Exception, values: Mapping[str, object], file: Path | None = None
    ) -> ViewError:
        """What went wrong in a template, at the line of the template that was at work."""
        if isinstance(error, TemplateSyntaxError):
            return ViewError(error.message or "", file=error.filename or file, line=error.lineno)
        if isinstance(error, UnicodeError):
            return ViewError("the file is not UTF-8", file=file)
        if isinstance(error, OSError) and file is not None:
            return ViewError(f"cannot be read: {error.strerror or error}", file=file)
        line = None
        for frame, number in traceback.walk_tb(error.__traceback__):
            if Path(frame.f_code.co_filename).is_relative_to(self.directory):
                file, line = Path(frame.f_code.co_filename), number
        if isinstance(error, TemplateNotFound):
            return self._missing(str(error.name), str(file), line)
        if isinstance(error, UndefinedError):
            given = ", ".join(values) or "nothing"
            return ViewError(
                str(error), file=file, line=line, remedy=f"The view was given: {given}"
            )
        # Our own errors say what is wrong by themselves.
        text = str(error) if isinstance(error, EmpError) else f"{type(error).__name__}: {error}"
        return ViewError(text, file=file, line=line)

    def places(self, name: str, values: dict[str, Any], output: str) -> Places | None:
        """Where the lines of the output came from, found by rendering again; None if that gives
        something else now."""
        try:
            marked = self._marked.get_template(name + SUFFIX).render(values)
        except Exception:  # noqa: BLE001 - for instance an iterator that is empty by now
            return None
        return Places(marked) if _MARK.sub("", marked) == output else None


class Places:
    """The way back from an output's position to the template's."""

    def __init__(self, marked: str) -> None:
        pieces = _MARK.split(marked)  # text, file, line, text, file, line, text …
        texts = pieces[0::3]
        self._starts = list(accumulate(map(len, texts[:-1])))
        self._places = list(zip(pieces[1::3], map(int, pieces[2::3]), strict=True))
        self._lines = "".join(texts).split("\n")

    def of(self, line: int, column: int) -> tuple[str, int] | None:
        """File and line of the template for line and column (in bytes) of the output, from 1."""
        if not self._places or not 0 < line <= len(self._lines):
            return None
        before = self._lines[line - 1].encode()[: max(column - 1, 0)].decode(errors="ignore")
        offset = sum(len(text) + 1 for text in self._lines[: line - 1]) + len(before)
        return self._places[max(bisect_right(self._starts, offset) - 1, 0)]
