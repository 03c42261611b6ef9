"""XEP-0004 data forms, with the examples of the XEP."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emp.errors import BadRequest, LocalProtocolError
from emp.jid import JID
from emp.stanza import Iq, Message, Presence, Stanza
from emp.xep.forms import PARTS, Field, Form, Option, form_of, submission
from emp.xml import E, parse, serialize
from tests.emp.strategies import elements, texts

# XEP-0004 §5.1, example 2
BOT = """<x xmlns='jabber:x:data' type='form'>
  <title>Bot Configuration</title>
  <instructions>Fill out this form to configure your new bot!</instructions>
  <field type='hidden' var='FORM_TYPE'><value>jabber:bot</value></field>
  <field type='fixed'><value>Section 1: Bot Info</value></field>
  <field type='text-single' label='The name of your bot' var='botname'/>
  <field type='text-multi' label='Helpful description of your bot' var='description'/>
  <field type='boolean' label='Public bot?' var='public'><required/></field>
  <field type='text-private' label='Password for special access' var='password'/>
  <field type='fixed'><value>Section 2: Features</value></field>
  <field type='list-multi' label='What features will the bot support?' var='features'>
    <option label='Contests'><value>contests</value></option>
    <option label='News'><value>news</value></option>
    <option label='Search'><value>search</value></option>
    <value>news</value>
    <value>search</value>
  </field>
  <field type='list-single' label='Maximum number of subscribers' var='maxsubs'>
    <value>20</value>
    <option label='10'><value>10</value></option>
    <option label='20'><value>20</value></option>
    <option label='None'><value>none</value></option>
  </field>
  <field type='jid-multi' label='People to invite' var='invitelist'>
    <desc>Tell all your friends about your new bot!</desc>
  </field>
</x>"""

# Example 3
SUBMITTED = """<x xmlns='jabber:x:data' type='submit'>
  <field type='hidden' var='FORM_TYPE'><value>jabber:bot</value></field>
  <field type='text-single' var='botname'><value>The Jabber Google Bot</value></field>
  <field type='text-multi' var='description'>
    <value>This bot enables you to send requests to</value>
    <value>Google and receive the search results right</value>
  </field>
  <field type='boolean' var='public'><value>0</value></field>
  <field type='text-private' var='password'><value>v3r0na</value></field>
  <field type='list-multi' var='features'><value>news</value><value>search</value></field>
  <field type='list-single' var='maxsubs'><value>20</value></field>
  <field type='jid-multi' var='invitelist'>
    <value>juliet@capulet.com</value>
    <value>benvolio@montague.net</value>
  </field>
</x>"""

# Example 8
FOUND = """<x xmlns='jabber:x:data' type='result'>
  <title>Joogle Search: verona</title>
  <reported><field var='name'/><field var='url'/></reported>
  <item>
    <field var='name'><value>Comune di Verona - Benvenuti nel sito ufficiale</value></field>
    <field var='url'><value>http://www.comune.verona.it/</value></field>
  </item>
  <item>
    <field var='name'><value>benvenuto!</value></field>
    <field var='url'><value>http://www.hellasverona.it/</value></field>
  </item>
</x>"""


def form(xml: str) -> Form:
    return Form.from_xml(parse(xml))


def test_a_form() -> None:
    bot = form(BOT)
    assert (bot.type, bot.title, bot.form_type) == ("form", "Bot Configuration", "jabber:bot")
    assert bot.instructions == ("Fill out this form to configure your new bot!",)
    assert bot.field("public") == Field("public", "boolean", "Public bot?", required=True)
    features = bot.field("features")
    assert features is not None
    assert features.options[0] == Option("contests", "Contests")
    assert features.values == ("news", "search")
    assert features.value == "news"
    invited = bot.field("invitelist")
    assert invited is not None
    assert invited.desc == "Tell all your friends about your new bot!"
    assert invited.value is None
    assert bot.field("nothing") is None
    assert bot.values == {
        "FORM_TYPE": "jabber:bot", "features": ["news", "search"], "maxsubs": "20",
    }  # fmt: skip


def test_a_submission() -> None:
    submitted = form(SUBMITTED)
    assert submitted.form_type == "jabber:bot"
    assert submitted.values["public"] == "0"
    assert submitted.values["invitelist"] == ["juliet@capulet.com", "benvolio@montague.net"]


def test_filling_in_the_form_of_the_xep() -> None:
    submitted = form(BOT).submit(
        {
            "botname": "The Jabber Google Bot",
            "description": "This bot enables you to send requests to\n"
            "Google and receive the search results right",
            "public": "0",
            "password": "v3r0na",
            "invitelist": [JID.parse("juliet@capulet.com"), "benvolio@montague.net"],
        }
    )
    assert submitted == form(SUBMITTED)
    assert form(serialize(submitted.to_xml())) == submitted


def test_filling_in_more_and_less() -> None:
    submitted = form(BOT).submit({"public": True, "maxsubs": None, "features": [], "extra": 7})
    assert submitted.values == {"FORM_TYPE": "jabber:bot", "public": "true", "extra": "7"}
    assert submitted.cancel() == form(BOT).cancel() == Form("cancel")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "requires a value for 'public'"),
        ({"public": None}, "requires a value for 'public'"),
        ({"public": True, "maxsubs": "30"}, "'maxsubs' has no option '30'"),
        ({"public": True, "features": ["news", "x"]}, "'features' has no option 'x'"),
        ({"public": object()}, "has no text in XML"),
    ],
)
def test_filling_in_wrongly(values: dict[str, Any], message: str) -> None:
    with pytest.raises(LocalProtocolError, match=message):
        form(BOT).submit(values)


def test_results() -> None:
    found = form(FOUND)
    assert [field.var for field in found.reported] == ["name", "url"]
    assert found.rows[1] == {"name": "benvenuto!", "url": "http://www.hellasverona.it/"}
    assert len(found.rows) == 2
    assert found.values == {}


@pytest.mark.parametrize("xml", [BOT, SUBMITTED, FOUND])
def test_what_is_read_is_built_again(xml: str) -> None:
    assert form(serialize(form(xml).to_xml())) == form(xml)


def test_a_submission_without_the_form() -> None:
    made = submission({"a": True, "b": ["x", JID.parse("a@b")], "c": 3}, "urn:x")
    assert made.form_type == "urn:x"
    assert made.values == {"FORM_TYPE": "urn:x", "a": "true", "b": ["x", "a@b"], "c": "3"}
    assert submission({}) == Form("submit")


@pytest.mark.parametrize(
    ("type", "field", "form_type"),
    [
        ("form", "type='hidden'", "urn:x"),
        ("submit", "", "urn:x"),  # XEP-0068 §4.4
        ("form", "", None),
        ("submit", "type='text-single'", None),  # XEP-0068 §4.3
    ],
)
def test_form_type(type: str, field: str, form_type: str | None) -> None:
    inner = f"<field var='FORM_TYPE' {field}><value>urn:x</value></field>"
    assert form(f"<x xmlns='jabber:x:data' type='{type}'>{inner}</x>").form_type == form_type
    assert form(f"<x xmlns='jabber:x:data' type='{type}'/>").form_type is None


def test_addresses_that_come_twice_count_once() -> None:
    values = "".join(f"<value>{text}</value>" for text in ("A@b", "a@b", "a@B", "c@d", "@", "@"))
    inner = f"<field var='who' type='jid-multi'>{values}</field>"
    found = form(f"<x xmlns='jabber:x:data' type='submit'>{inner}</x>")
    assert found.values == {"who": ["A@b", "c@d", "@"]}


def test_an_unknown_type_of_field() -> None:
    found = form("<x xmlns='jabber:x:data' type='form'><field var='a' type='odd'/></x>")
    assert found.fields == (Field("a", "text-single"),)


def field(count: int) -> str:
    return "".join(f"<field var='{number}'/>" for number in range(count))


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("<x xmlns='jabber:x:data'/>", "not a form"),
        ("<x xmlns='jabber:x:data' type='odd'/>", "not a form"),
        ("<x xmlns='urn:x' type='form'/>", "not a form"),
        (
            "<x xmlns='jabber:x:data' type='form'><field var='a'/><field var='a'/></x>",
            "a form with two fields 'a'",
        ),
        (f"<x xmlns='jabber:x:data' type='form'>{field(PARTS + 1)}</x>", "a form of more than"),
        (
            "<x xmlns='jabber:x:data' type='form'><field var='a' type='list-single'>"
            f"{'<option/>' * (PARTS + 1)}</field></x>",
            "a form of more than",
        ),
    ],
)
def test_no_forms(xml: str, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        form(xml)


def test_the_longest_form() -> None:
    found = form(f"<x xmlns='jabber:x:data' type='form'>{field(PARTS)}</x>")
    assert len(found.fields) == PARTS


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Field(None, "text-single"), "without var"),
        (Field("a", "text-single", values=("1", "2")), "type 'text-single' has one value"),
    ],
)
def test_fields_that_may_not_be(wrong: Field, message: str) -> None:
    with pytest.raises(LocalProtocolError, match=message):
        Form("form", (wrong,)).to_xml()


X = submission({"a": "1"})


@pytest.mark.parametrize(
    ("stanza", "found"),
    [
        (Message("a@b", "hi", E.other(xmlns="urn:x"), X), X),
        (Message("a@b", "hi"), None),
        (Message("a@b", "hi", E.other(X, xmlns="urn:x")), None),
        (Presence("a@b", X), X),
        (Iq("set", E.query(X, xmlns="urn:x")), X),
        (Iq("set", X), X),
        (Iq("set", E.query(E.deep(X), xmlns="urn:x")), None),
        (Iq("result"), None),
    ],
)
def test_the_form_of_a_stanza(stanza: Stanza, found: Form | None) -> None:
    assert form_of(stanza) == found


kinds = st.sampled_from(["text-single", "list-multi", "jid-multi", "hidden", "boolean", "odd", ""])
trees = elements(
    elements(
        elements(tags=(st.sampled_from(["value", "option"]), st.just("jabber:x:data"))),
        (st.sampled_from(["field", "item"]), st.just("jabber:x:data")),
    ),
    (st.just("x"), st.just("jabber:x:data")),
)


@given(trees, st.sampled_from(["form", "submit", "result", "cancel"]), kinds)
def test_any_tree_is_a_form_or_a_bad_request(tree: Any, type: str, kind: str) -> None:
    tree.set("type", type)
    for number, each in enumerate(tree.iter("{*}field")):
        each.set("var", str(number % 5))
        each.set("type", kind)
    try:
        found = Form.from_xml(tree)
    except BadRequest:
        return
    try:
        again = Form.from_xml(parse(serialize(found.to_xml())))
    except LocalProtocolError:
        return  # what others may write is more than what we may
    assert again == found


@given(st.dictionaries(texts, texts | st.lists(texts, min_size=2), max_size=5))
def test_submissions_arrive(values: dict[str, Any]) -> None:
    assert form(serialize(submission(values).to_xml())).values == values
