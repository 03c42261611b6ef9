"""Keyword conditions: each row is told by the table and by the route's XPath."""

import re
from typing import Any

import pytest

from emp.errors import RouteError
from emp.jid import JID
from emp.routing import Routes, compile_routes
from emp.routing.xpath import Expression
from emp.stanza import Stanza
from emp.xml import parse
from tests.emp.routing.components import Tweets


def verdict(kind: str, wanted: dict[str, Any], stanza: str) -> bool:
    routes = Routes()
    getattr(routes, kind)(**wanted).to(Tweets.index)
    table = compile_routes(routes)
    element = parse(stanza.replace(" ", ' xmlns="jabber:client" ', 1))
    found = table.match(Stanza.from_element(element)) is not None
    assert Expression(table.routes[0].xpath, {}).holds(element) is found, table.routes[0].xpath
    assert table.routes[0].exact
    return found


FROM = "<message from='{}'/>".format


@pytest.mark.parametrize(
    ("wanted", "sender", "expected"),
    [
        # a bare address: any resource of it
        ("bar@localhost", "bar@localhost", True),
        ("bar@localhost", "bar@localhost/x", True),
        ("bar@localhost", "bar@localhost/x/y@z", True),
        ("bar@localhost", "BAR@LocalHost/x", True),
        ("BAR@localhost", "bar@localhost", True),
        (JID.parse("bar@localhost"), "bar@localhost/x", True),
        ("bar@localhost", "foo@localhost", False),
        ("bar@localhost", "localhost", False),
        ("bar@localhost", "bar@localhost.example.org", False),
        ("bar@localhost", "xbar@localhost", False),
        ("bar@localhost", "x/bar@localhost", False),
        ("bar@localhost", "", False),
        ("bar@localhost", "bar@@localhost", False),
        # a full address: exactly
        ("bar@localhost/x", "bar@localhost/x", True),
        ("bar@localhost/x", "BAR@localhost/x", True),
        ("bar@localhost/x", "bar@localhost/X", False),
        ("bar@localhost/x", "bar@localhost", False),
        ("bar@localhost/x", "bar@localhost/", False),
        # a domain: itself, not its users
        ("localhost", "localhost", True),
        ("localhost", "LOCALHOST", True),
        ("localhost", "localhost/x", True),
        ("localhost", "bar@localhost", False),
        ("localhost/x", "localhost/x", True),
        ("localhost/x", "localhost", False),
        # @domain: its users, not itself
        ("@localhost", "bar@localhost", True),
        ("@localhost", "BAR@LOCALHOST/x", True),
        ("@localhost", "localhost", False),
        ("@localhost", "localhost/bar@localhost", False),
        ("@localhost", "bar@sub.localhost", False),
        ("@localhost", "bar@@localhost", False),
        # a pattern: found in the text as it is
        (re.compile("^bar@"), "bar@localhost", True),
        (re.compile("^bar@"), "BAR@localhost", False),
        (re.compile("^bar@", re.I), "BAR@localhost", True),
        (re.compile("host$"), "bar@localhost/x", False),
        (re.compile(""), "", True),
        (re.compile('it\'s "x"'), "it&apos;s &quot;x&quot;", True),
        # quotes cannot break out of the XPath
        ("localhost/' or '1'='1", "bar@localhost", False),
        ('localhost/\' or "1"="1', "localhost/&apos; or &quot;1&quot;=&quot;1", True),
    ],
)
def test_addresses(wanted: Any, sender: str, expected: bool) -> None:
    assert verdict("message", {"from_": wanted}, FROM(sender)) is expected
    assert verdict("message", {"to": wanted}, FROM(sender).replace("from", "to")) is expected


@pytest.mark.parametrize("wanted", ["a@b", "a@b/c", "b", "@b", re.compile("")])
def test_an_absent_address_never_matches(wanted: Any) -> None:
    assert not verdict("message", {"from_": wanted}, "<message />")
    assert not verdict("message", {"to": wanted}, "<message />")


@pytest.mark.parametrize(
    ("method", "wanted", "stanza", "expected"),
    [
        ("message", "normal", "<message />", True),
        ("message", "normal", "<message type=''/>", True),
        ("message", "normal", "<message type='normal'/>", True),
        ("message", "chat", "<message />", False),
        ("message", "chat", "<message type='chat'/>", True),
        ("message", "chat", "<message type='Chat'/>", False),
        ("message", "chat", "<presence type='chat'/>", False),
        ("presence", "available", "<presence />", True),
        ("presence", "available", "<presence type='available'/>", True),
        ("presence", "available", "<presence type='unavailable'/>", False),
        ("presence", "subscribe", "<presence type='subscribe'/>", True),
        ("iq", "get", "<iq type='get'/>", True),
        ("iq", "get", "<iq />", False),
        ("route", "normal", "<message />", True),
        ("route", "normal", "<presence />", False),
        ("route", "available", "<presence />", True),
        ("route", "available", "<message />", False),
        ("route", "error", "<iq type='error'/>", True),
        ("route", "error", "<presence type='error'/>", True),
        ("message", re.compile("^(chat|normal)$"), "<message />", True),
        ("message", re.compile("^(chat|normal)$"), "<message type='chat'/>", True),
        ("message", re.compile("^(chat|normal)$"), "<message type='headline'/>", False),
        ("message", re.compile("^chat$"), "<message />", False),
        ("route", re.compile("a"), "<presence />", True),
        ("route", re.compile("a"), "<message />", True),
        ("route", re.compile("a"), "<iq />", False),
        ("route", re.compile("^$"), "<iq />", True),
    ],
)
def test_types(method: str, wanted: Any, stanza: str, expected: bool) -> None:
    assert verdict(method, {"type": wanted}, stanza) is expected


@pytest.mark.parametrize(
    ("wanted", "stanza", "expected"),
    [
        ({"id_": "x1"}, "<message id='x1'/>", True),
        ({"id_": "x1"}, "<message id='x11'/>", False),
        ({"id_": "x1"}, "<message />", False),
        ({"id_": ""}, "<message />", False),
        ({"id_": re.compile("^x")}, "<message id='x11'/>", True),
        ({"id_": re.compile("")}, "<message />", False),
        ({"body": "hi"}, "<message ><body>hi</body></message>", True),
        ({"body": "hi"}, "<message ><body>hi!</body></message>", False),
        ({"body": "hi"}, "<message />", False),
        ({"body": ""}, "<message ><body/></message>", True),
        ({"body": ""}, "<message />", False),
        ({"body": "b"}, "<message ><body>a</body><body>b</body></message>", True),
        ({"body": "ab"}, "<message ><body>a<i>b</i></body></message>", True),
        ({"body": "hi"}, "<message ><body xmlns='urn:x'>hi</body></message>", False),
        ({"body": "it's"}, "<message ><body>it's</body></message>", True),
        ({"body": """it's "x\""""}, """<message ><body>it's "x"</body></message>""", True),
        ({"body": re.compile("^!")}, "<message ><body>!x</body></message>", True),
        ({"body": re.compile("^!")}, "<message ><body>x!</body></message>", False),
        ({"body": re.compile("")}, "<message />", False),
        ({"body": re.compile("a.b", re.S)}, "<message ><body>a\nb</body></message>", True),
        ({"body": re.compile("a.b")}, "<message ><body>a\nb</body></message>", False),
        ({"body": re.compile("(x|xx)+y")}, f"<message ><body>{'x' * 9999}y</body></message>", True),
        ({"subject": "s"}, "<message ><subject>s</subject></message>", True),
        ({"thread": "t"}, "<message ><thread>t</thread></message>", True),
        ({"body": "hi", "type": "chat"}, "<message ><body>hi</body></message>", False),
        ({"body": "hi", "from_": "a@b"}, "<message from='a@b/c'><body>hi</body></message>", True),
    ],
)
def test_ids_and_texts(wanted: dict[str, Any], stanza: str, expected: bool) -> None:
    assert verdict("message", wanted, stanza) is expected
    assert verdict("route", wanted, stanza) is expected


@pytest.mark.parametrize(
    ("method", "wanted", "message"),
    [
        ("message", {"from_": "a@b@c/"}, "from_='a@b@c/' is not an address: "),
        ("message", {"from_": ""}, "Write user@domain, user@domain/resource, domain, or @domain"),
        ("message", {"from_": "@localhost/x"}, "more than a domain"),
        ("message", {"to": "@"}, "to='@' is not an address"),
        ("message", {"type": "chatt"}, "no message of type 'chatt'. Did you mean 'chat'?"),
        ("presence", {"type": "away!"}, "no presence of type 'away!'. There are: available, "),
        ("route", {"type": "xyzzy"}, "no stanza of type 'xyzzy'"),
        ("message", {"id_": 7}, "id_= takes a text or a re.compile(…) of one, not 7"),
        ("message", {"id_": JID.parse("a@b")}, "id_= takes a text"),
        ("message", {"body": re.compile(b"x")}, "body= takes a text or a re.compile(…) of one"),
        ("message", {"body": "a\x00b"}, "body= holds characters that XML does not have"),
        ("message", {"body": re.compile("\x07")}, "body= holds characters that XML does not have"),
        ("message", {"body": re.compile("a(?=b)")}, "a look ahead or behind"),
        ("presence", {"body": "x"}, "body= is no condition on this kind of stanza"),
        ("iq_get", {"type": "set"}, "type= is no condition on this kind of stanza"),
    ],
)
def test_mistakes(method: str, wanted: dict[str, Any], message: str) -> None:
    routes = Routes()
    getattr(routes, method)(**wanted).to(Tweets.index)
    with pytest.raises(RouteError) as caught:
        compile_routes(routes)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{__file__}:")
    assert "\n" not in str(caught.value)


def test_text_conditions_are_for_messages() -> None:
    routes = Routes()
    routes.route("/presence", body="x").to(Tweets.index)
    with pytest.raises(RouteError, match="body= is for messages, not for presence"):
        compile_routes(routes)
