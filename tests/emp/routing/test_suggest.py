"""The suggested route compiles, matches the stanza, and holds nothing that could do harm."""

import ast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from lxml import etree

from emp import ns
from emp.errors import RemoteProtocolError
from emp.routing import Routes, compile_routes
from emp.routing.suggest import MAX_NAME, MAX_NAMESPACE, suggest
from emp.stanza import Iq, Message, Presence, Stanza
from emp.xml import escape, parse
from tests.emp.strategies import texts

VERSION = f"{{{ns.VERSION}}}query"


@pytest.mark.parametrize(
    ("stanza", "expected"),
    [
        (
            Iq("get", etree.Element("{urn:xmpp:ping}ping")),
            "routes.iq_get('ping:ping').to(YourComponent.action)\n"
            "# namespaces={'ping': 'urn:xmpp:ping'}",
        ),
        (
            Iq("set", etree.Element(VERSION)),
            "routes.iq_set('version:query').to(YourComponent.action)\n"
            "# namespaces={'version': 'jabber:iq:version'}",
        ),
        (
            Iq("get", etree.Element("{http://jabber.org/protocol/disco#info}query")),
            "routes.iq_get('info:query').to(YourComponent.action)\n"
            "# namespaces={'info': 'http://jabber.org/protocol/disco#info'}",
        ),
        (
            Iq("set", etree.Element("{urn:xmpp:mam:2}query")),
            "routes.iq_set('mam:query').to(YourComponent.action)\n"
            "# namespaces={'mam': 'urn:xmpp:mam:2'}",
        ),
        (Iq("result"), "routes.iq(type='result').to(YourComponent.action)"),
        (Message(body="hi"), "routes.message('[body]', type='normal').to(YourComponent.action)"),
        (
            Message("a@b", "hi", etree.Element("{urn:x}receipt"), type="chat"),
            "routes.message('[body]', type='chat').to(YourComponent.action)",
        ),
        (
            Message("a@b", None, etree.Element("{urn:x}receipt"), type="chat"),
            "routes.message('[x:receipt]', type='chat').to(YourComponent.action)\n"
            "# namespaces={'x': 'urn:x'}",
        ),
        (Message(type="headline"), "routes.message(type='headline').to(YourComponent.action)"),
        (Presence(), "routes.presence(type='available').to(YourComponent.action)"),
        (
            Presence("a@b", type="subscribe"),
            "routes.presence(type='subscribe').to(YourComponent.action)",
        ),
    ],
)
def test_suggestions(stanza: Stanza, expected: str) -> None:
    assert suggest(stanza) == expected


@pytest.mark.parametrize(
    "text",
    [
        "<message type='odd'/>",
        "<presence type='\u202e'/>",
        "<iq type='get'/>",
        "<iq type='odd'><x xmlns='urn:x'/></iq>",
        "<iq type='get'><x xmlns='\u202eevil'/></iq>",
        f"<iq type='get'><{'x' * (MAX_NAME + 1)} xmlns='urn:x'/></iq>",
        f"<iq type='get'><x xmlns='urn:{'x' * MAX_NAMESPACE}'/></iq>",
        "<iq type='get'><ä xmlns='urn:x'/></iq>",
        "<iq type='get'><query/></iq>",
        "<iq type='get'><query xmlns=''/></iq>",
        "<iq type='get'><re:query xmlns:re='urn:re'/></iq>",
        "<iq type='get'><x xmlns='urn:emp:jid'/></iq>",
        "<iq type='get'><x xmlns='http://exslt.org/regular-expressions'/></iq>",
        "<iq type='get'><x xmlns='urn:_client'/></iq>",
        "<iq type='get'><x xmlns='urn:xmlns'/></iq>",
        "<iq type='get'><x xmlns=\"'})+(\"/></iq>",
        "<iq type='get'><a xmlns='urn:a'/><b xmlns='urn:b'/></iq>",
    ],
)
def test_strange_stanzas(text: str) -> None:
    _check(Stanza.from_element(parse(text.replace(" ", f" xmlns='{ns.CLIENT}' ", 1))))


@st.composite
def stanzas(draw: st.DrawFn) -> str:
    kind = draw(st.sampled_from(["message", "presence", "iq"]))
    known = st.sampled_from([None, "get", "set", "chat", "result", "error", "subscribe"])
    type_ = draw(known | texts)
    attribute = "" if type_ is None else f' type="{escape(type_)}"'
    children = draw(st.lists(st.sampled_from(["<body>hi</body>", ""]) | payloads(), max_size=2))
    return f"<{kind} xmlns='{ns.CLIENT}'{attribute}>{''.join(children)}</{kind}>"


@st.composite
def payloads(draw: st.DrawFn) -> str:
    names = ["query", "x", "a-b.c_d", "_", "ping", "div", "self", "ä", "y" * 70]
    known = ["urn:x", "urn:re", "urn:xmpp:mam:2", "urn:emp:jid", ns.XML, ns.CLIENT, "urn:'&y"]
    name = draw(st.sampled_from(names))
    namespace = draw(st.sampled_from(known) | texts)
    return f'<{name} xmlns="{escape(namespace)}"/>'


@given(stanzas())
def test_every_suggestion_compiles_and_matches(text: str) -> None:
    try:
        tree = parse(text)
    except RemoteProtocolError:
        assume(False)
    _check(Stanza.from_element(tree))


def _check(stanza: Stanza) -> None:
    """The text is what it should be, and as a routes file it routes the stanza."""
    suggested = suggest(stanza)
    assert all(line.isprintable() for line in suggested.split("\n"))
    assert len(suggested) < 2 * (MAX_NAME + MAX_NAMESPACE)
    route, *comment = suggested.split("\n")
    declared = [line.removeprefix("# namespaces=") for line in comment]
    assert len(declared) <= 1
    routes = Routes(ast.literal_eval(declared[0]) if declared else {})

    class YourComponent:
        def action(self) -> None: ...

    call = ast.parse(route, mode="eval").body
    assert isinstance(call, ast.Call)
    assert isinstance(call.func, ast.Attribute)
    inner = call.func.value
    assert isinstance(inner, ast.Call)
    assert isinstance(inner.func, ast.Attribute)
    positional = [ast.literal_eval(each) for each in inner.args]
    named = {str(each.arg): ast.literal_eval(each.value) for each in inner.keywords}
    getattr(routes, inner.func.attr)(*positional, **named).to(YourComponent, "action")
    found = compile_routes(routes).match(stanza)
    assert found is not None, suggested
    assert ast.unparse(call.func) == f"{ast.unparse(inner)}.to"
    assert ast.unparse(call.args[0]) == "YourComponent.action"
