"""Views: what values become, what templates may hold, and what is said when something is wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from errno import EACCES
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from lxml import etree

from actors.messages import AppRef
from actors.plan import make_plan
from emp import app, ns
from emp.answer import answers
from emp.errors import ConfigError, ItemNotFound, ViewError
from emp.jid import JID
from emp.stanza import Iq, Message, Presence
from emp.views import Views
from emp.xml import E, Element, serialize
from tests.emp.strategies import canonical, forbidden_texts, texts, trees

URN = "urn:example:tweeter"


@dataclass
class Tweet:
    id: int
    text: str

    def to_xml(self) -> Element:
        return E.tweet(self.text, xmlns=URN, id=self.id)

    @property
    def author(self) -> str:
        raise ItemNotFound("no such author")

    @property
    def age(self) -> int:
        return 1 // 0


class Mood(Enum):
    GOOD = "good"


def views(directory: Path, **templates: str) -> Views:
    """Views with these templates; __ in a name is a folder."""
    for name, text in templates.items():
        file = directory / f"{name.replace('__', '/')}.xml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return Views(directory)


def shown(directory: Path, template: str, **values: Any) -> str:
    """What is sent of the one element that the template gives."""
    rendered = views(directory, view=template).render("view", **values)
    assert isinstance(rendered, etree._Element)
    return serialize(rendered)


# -- what a view gives ----------------------------------------------------------------------------


def test_an_element(tmp_path: Path) -> None:
    template = f"""\
        <?xml version="1.0" encoding="UTF-8"?>
        {{# The tweet, for readers. #}}
        <tweet xmlns="{URN}" id="{{{{ tweet.id }}}}">
          {{% if tweet.text %}}
          <text>{{{{ tweet.text }}}}</text>
          {{% endif %}}
        </tweet>
        """
    wire = shown(tmp_path, template, tweet=Tweet(7, "<first> & 'best'"))
    assert (
        wire == f"""<tweet xmlns="{URN}" id="7"><text>&lt;first&gt; &amp; 'best'</text></tweet>"""
    )


def test_a_view_in_a_folder(tmp_path: Path) -> None:
    shelf = views(tmp_path, tweets__show=f"<tweet xmlns='{URN}'/>")
    (iq,) = answers(Iq("get", E.q(xmlns=URN), id="1", from_="a@b"), shelf.render("tweets/show"))
    assert iq.payload_name == f"{{{URN}}}tweet"


def test_several_elements_or_none(tmp_path: Path) -> None:
    shelf = views(tmp_path, all="{% for n in range(count) %}\n<n>{{ n }}</n>\n{% endfor %}")
    several = shelf.render("all", count=2)
    assert isinstance(several, list)
    assert [serialize(each) for each in several if isinstance(each, etree._Element)] == [
        "<n>0</n>",
        "<n>1</n>",
    ]
    assert shelf.render("all", count=0) == []


@pytest.mark.parametrize(
    ("template", "kind"),
    [
        ("<message to='{{ to }}'><body>hi</body></message>", Message),
        (f"<presence xmlns='{ns.CLIENT}' to='{{{{ to }}}}'/>", Presence),
        ("<iq type='set' id='1' to='{{ to }}'><q xmlns='urn:q'/></iq>", Iq),
    ],
)
def test_a_stanza(tmp_path: Path, template: str, kind: type) -> None:
    stanza = views(tmp_path, view=template).render("view", to=JID.parse("foo@localhost/x"))
    assert isinstance(stanza, kind)
    assert isinstance(stanza, Message | Presence | Iq)
    assert stanza.to_text == "foo@localhost/x"


def test_names_without_namespace_mean_jabber_client(tmp_path: Path) -> None:
    rendered = views(tmp_path, view="<body><b xmlns='urn:b'/></body>").render("view")
    assert isinstance(rendered, etree._Element)
    assert [element.tag for element in rendered.iter()] == [f"{{{ns.CLIENT}}}body", "{urn:b}b"]


def test_white_space_between_values_and_tags_stays(tmp_path: Path) -> None:
    assert shown(tmp_path, "<a><b>x</b> <i>{{ v }}</i>\n text\n</a>", v=" ") == (
        "<a><b>x</b> <i> </i>\n text\n</a>"
    )


def test_macros_inheritance_and_includes_escape_as_well(tmp_path: Path) -> None:
    shelf = views(
        tmp_path,
        base="<a xmlns='urn:a' id='{{ v }}'>{% block inner %}{% endblock %}</a>",
        macros="{% macro b(v) %}<b v='{{ v }}'>{{ v }}{{ caller() }}</b>{% endmacro %}",
        part="<c>{{ v }}</c>",
        view="""\
{% extends "base.xml" %}
{% from "macros.xml" import b %}
{% block inner %}
{% call b(v) %}<d>{{ v }}</d>{% endcall %}
{% include "part.xml" %}
{% endblock %}
""",
    )
    shelf.check()
    rendered = shelf.render("view", v="<'\">")
    assert isinstance(rendered, etree._Element)
    assert [(element.tag, element.text or "") for element in rendered.iter()] == [
        ("{urn:a}a", ""),
        ("{urn:a}b", "<'\">"),
        ("{urn:a}d", "<'\">"),
        ("{urn:a}c", "<'\">"),
    ]
    assert (rendered.get("id"), rendered[0].get("v")) == ("<'\">", "<'\">")


# -- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        (7, "7"),
        (True, "true"),
        (False, "false"),
        (None, ""),
        (1.5, "1.5"),
        (JID.parse("foo@localhost/x"), "foo@localhost/x"),
        (datetime(1969, 7, 21, 2, 56, 15, tzinfo=UTC), "1969-07-21T02:56:15Z"),
        (Mood.GOOD, "good"),
        (b"\x00\xff", "AP8="),
    ],
)
def test_forms_of_values(tmp_path: Path, value: object, text: str) -> None:
    assert shown(tmp_path, "<a>[{{ v }}]</a>", v=value) == f"<a>[{text}]</a>"
    assert shown(tmp_path, "<a>[{{ v | e }}]</a>", v=value) == f"<a>[{text}]</a>"


@pytest.mark.parametrize(
    ("expression", "text"), [("true", "true"), ("none", ""), ("1.50", "1.5"), ("'<'", "&lt;")]
)
def test_forms_of_constants(tmp_path: Path, expression: str, text: str) -> None:
    assert shown(tmp_path, f"<a>[{{{{ {expression} }}}}]</a>") == f"<a>[{text}]</a>"


TEMPLATES = {
    "plain": "<a one='{{ v }}' two=\"{{ v }}\">{{ v }}</a>",
    "filter": "<a one='{{ v | e }}' two=\"{{ v | string }}\">{{ v | escape }}</a>",
    "macro": (
        "{% macro m(x) %}{{ x }}{% endmacro %}<a one='{{ m(v) }}' two=\"{{ m(v) }}\">{{ m(v) }}</a>"
    ),
    "set": "{% set w %}{{ v }}{% endset %}<a one='{{ w }}' two=\"{{ w }}\">{{ w }}</a>",
    "layout": "<a\n one='{{ v }}'\n two=\"{{ v }}\"\n>{{ v }}</a>\n",
}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Views:
    return views(tmp_path_factory.mktemp("views"), xml="<a>{{ v | xml }}</a>", **TEMPLATES)


@pytest.mark.parametrize("name", TEMPLATES)
@given(text=texts)
def test_any_text_arrives_as_it_is(shelf: Views, name: str, text: str) -> None:
    rendered = shelf.render(name, v=text)
    assert isinstance(rendered, etree._Element)
    assert (rendered.get("one"), rendered.get("two"), rendered.text or "") == (text, text, text)
    assert len(rendered) == 0
    assert len(rendered.attrib) == 2


@pytest.mark.parametrize("name", TEMPLATES)
@given(text=forbidden_texts)
def test_what_xml_does_not_have_is_refused(shelf: Views, name: str, text: str) -> None:
    with pytest.raises(ViewError, match=r"xml:\d: U\+[0-9A-F]{4} at offset \d+: XML does not have"):
        shelf.render(name, v=text)


@given(tree=trees)
def test_any_element_arrives_as_it_is(shelf: Views, tree: Element) -> None:
    expected = canonical(tree)
    rendered = shelf.render("xml", v=tree)
    assert isinstance(rendered, etree._Element)
    if tree.tag[:1] == "{":
        assert canonical(rendered[0]) == expected
    else:  # it inherits
        assert rendered[0].tag == f"{{{ns.CLIENT}}}{tree.tag}"
    assert not rendered[0].tail


@pytest.mark.parametrize(
    ("value", "inner"),
    [
        (Tweet(7, "a\n<b>"), f'<tweet xmlns="{URN}" id="7">a\n&lt;b&gt;</tweet>'),
        ([E.b("1"), E.b(xmlns="urn:b")], '<b>1</b><b xmlns="urn:b"/>'),
        (E.body("x", xmlns=ns.CLIENT), f'<body xmlns="{ns.CLIENT}">x</body>'),
        (
            Message("a@b", "x"),
            f'<message xmlns="{ns.CLIENT}" to="a@b"><body>x</body></message>',
        ),
        (None, ""),
    ],
)
def test_what_the_filter_xml_takes(tmp_path: Path, value: Any, inner: str) -> None:
    wire = shown(tmp_path, "<a xmlns='urn:a'>{{ v | xml }}</a>", v=value)
    assert wire in (f'<a xmlns="urn:a">{inner}</a>', '<a xmlns="urn:a"/>' if not inner else "")


# -- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("<a>\n{{ v.nope }}</a>", "view.xml:2: 'emp.jid.JID object' has no attribute 'nope'"),
        ("<a>\n\n{{ w }}</a>", "view.xml:3: 'w' is undefined. The view was given: tweet, v"),
        ("<a>{{ w | xml }}</a>", "view.xml:1: 'w' is undefined"),
        ("<a>\n{{ tweet.age }}</a>", "view.xml:2: ZeroDivisionError: integer division"),
        ("<a>\n{{ tweet }}</a>", "view.xml:2: Tweet is XML: write {{ … | xml }}"),
        ("<a>\n{{ [v] }}</a>", "view.xml:2: list has no text in XML"),
        ("<a>\n{{ 'x' | xml }}</a>", "view.xml:2: xml takes elements and objects with to_xml()"),
        ("<a>\n{% include 'nix.xml' %}</a>", "view.xml:2: there is no view 'nix.xml' in "),
        ("<a>\n<b>\n</a>", "mismatch: b line 2 and a. It gave: </a>"),
        ("<a>\n<b>\n</a>", "view.xml:3: not well-formed: Opening and ending tag"),
        ("<a>\n<x:b/>\n</a>", "view.xml:2: not well-formed: Namespace prefix x on b is not"),
        ("<a>\n\n<b c='{{ tweet | xml }}'/>\n</a>", "view.xml:3: not well-formed: Unescaped '<'"),
        ("<a>\n</a>\n<b", "view.xml:3: not well-formed"),
        ("text {{ v }}", "text outside of an element: 'text foo@localhost'"),
        ("<a/>text", "text outside of an element: 'text'"),
        ("</view><view>", "not well-formed"),
        ("{{ 'a' | safe }}<", "not well-formed"),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, template: str, complaint: str) -> None:
    shelf = views(tmp_path, view=template)
    with pytest.raises(ViewError, match=re.escape(complaint)):
        shelf.render("view", tweet=Tweet(7, "first"), v=JID.parse("foo@localhost"))


def test_the_line_is_found_behind_loops_and_in_other_files(tmp_path: Path) -> None:
    shelf = views(
        tmp_path,
        view="<a>\n{% for n in range(9) %}\n<b/>\n{% endfor %}\n{% include 'part.xml' %}\n</a>",
        part="\n\n<c>\n</d>\n",
        loop="<a>\n{% for n in numbers %}\n<b>{{ n }}</b>\n{% endfor %}\n</c>",
    )
    with pytest.raises(ViewError, match=r"part\.xml:4: .*c line 3 and d\. It gave: </d>"):
        shelf.render("view")
    with pytest.raises(ViewError, match=r"loop\.xml:5: "):
        shelf.render("loop", numbers=[1, 2, 3])
    with pytest.raises(ViewError, match=r"loop\.xml: not well-formed: .*It gave: </c>"):
        shelf.render("loop", numbers=iter([1, 2, 3]))  # nothing is left to find the line with


def test_an_answer_raised_by_a_value_stays_one(tmp_path: Path) -> None:
    with pytest.raises(ItemNotFound, match="no such author"):
        views(tmp_path, view="<a>{{ tweet.author }}</a>").render("view", tweet=Tweet(1, ""))


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("tweet/show", "did you mean 'tweets/show'"),
        ("tweets/show.xml", "did you mean 'tweets/show'"),
        ("../secret", "there is no view '../secret'"),
        ("tweets/../../secret", "there is no view"),
        ("/../secret", "there is no view"),
        ("tweets\0", "there is no view"),
        ("", "there is no view"),
    ],
)
def test_there_are_no_others(tmp_path: Path, name: str, complaint: str) -> None:
    (tmp_path / "secret.xml").write_text("<secret/>")
    (tmp_path / "views").mkdir()
    with pytest.raises(ViewError, match=re.escape(complaint)):
        views(tmp_path / "views", tweets__show="<a/>").render(name)


# -- at boot --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("<a>\n{{ v }\n</a>", "view.xml:2: unexpected '}'"),
        ("<a>\n{% for n in v %}\n</a>", "view.xml:3: Unexpected end of template"),
        ("<a>\n\n{{ v | nope }}</a>", "view.xml:3: No filter named 'nope'"),
        ("<a>\n<!-- {{ v }} --></a>", "view.xml:2: XMPP has no comments: write {# … #}"),
        ("{# 1 #}\n<a>\n<![CDATA[{{ v }}]]></a>", "view.xml:3: CDATA would show values"),
        ("<!DOCTYPE a>\n<a/>", "view.xml:1: XMPP has no declarations"),
        ("<a>\n<?php {{ v }} ?></a>", "view.xml:2: XMPP has no declarations"),
        ("<a>\n{% include 'prat.xml' %}</a>", "view.xml:2: there is no view 'prat.xml' in "),
        ("<a>\n{% include 'prat.xml' %}</a>", ". did you mean 'part.xml'?"),
        ("{% extends 'broken/base.xml' %}", "base.xml:2: Encountered unknown tag 'nope'"),
    ],
)
def test_check_finds_mistakes(tmp_path: Path, template: str, complaint: str) -> None:
    shelf = views(tmp_path, part="<c/>", broken__base="\n{% nope %}", view=template)
    if "base" not in template:
        (tmp_path / "broken" / "base.xml").unlink()
    with pytest.raises(ConfigError, match=re.escape(complaint)) as caught:
        shelf.check()
    assert caught.value.file
    assert caught.value.line


def test_check_finds_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    shelf = views(tmp_path, good="<a/>")
    (tmp_path / "latin.xml").write_bytes(b"<a>\xe9</a>")
    with pytest.raises(ConfigError, match=r"latin\.xml: the file is not UTF-8"):
        shelf.check()


@pytest.mark.parametrize("closed", ["jinja2.loaders.open", "os.scandir"])
def test_check_says_what_it_may_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    def refuse(file: Any, *_: Any, **__: Any) -> None:
        raise PermissionError(EACCES, "Permission denied", file)

    shelf = views(tmp_path, secret="<a/>")
    monkeypatch.setattr(closed, refuse, raising=False)
    with pytest.raises(ConfigError, match=r": cannot be read: Permission denied$") as caught:
        shelf.check()
    assert str(caught.value.file).startswith(str(tmp_path))


def test_an_include_that_may_be_missing(tmp_path: Path) -> None:
    shelf = views(tmp_path, view="<a>{% include 'nix.xml' ignore missing %}</a>")
    shelf.check()
    assert shelf.render("view") is not None


@pytest.mark.parametrize(
    ("files", "path", "folder"),
    [
        (("hack.py", "emp.toml"), "hack.py", "views"),
        (("hack/hack.py", "hack/emp.toml"), "hack", "hack/views"),
        (("app/config/router.py", "app/config/emp.toml"), "app", "app/app/views"),
    ],
)
def test_where_an_application_has_its_views(
    tmp_path: Path, files: tuple[str, ...], path: str, folder: str
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert app.find(tmp_path / path).views == tmp_path / folder


def test_an_application_with_a_bad_view_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "emp.toml").write_text('[connections.main]\nhost = "x.localhost"\nsecret = "s"\n')
    (tmp_path / "with_a_bad_view.py").write_text(
        "from actors import Component\nfrom emp.routing import Routes\n"
        "class Hack(Component):\n    def hack(self, body): return body\n"
        "routes = Routes()\nroutes.message().to(Hack.hack)\n"
    )
    views(tmp_path, views__hack="<a>\n{% nope %}</a>")
    loaded = app.load(tmp_path / "with_a_bad_view.py")
    with pytest.raises(ConfigError, match=r"views/hack\.xml:2: "):
        make_plan(loaded, AppRef(str(tmp_path)))


def test_jinja_is_not_imported_for_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from emp.views import Views; "
        f"Views(Path({str(tmp_path)!r})).check(); Views(Path('/nonexistent')).check(); "
        "sys.exit('jinja2' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
