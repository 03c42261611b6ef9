"""What the analysis recognises, each shape both ways, and that it says the same as lxml."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emp.routing.analysis import Known, analyse
from emp.routing.index import Filing, choose
from emp.routing.nodes import nodes
from emp.routing.syntax import Node
from emp.routing.trails import NotUnderstood
from emp.routing.xpath import Expression, Reading
from emp.xml import parse
from tests.emp.routing.reference import (
    EXAMPLES,
    LONG,
    NAMESPACES,
    expressions,
    paths,
    stanza_of,
    stanzas,
)

MESSAGE = (
    "<message xmlns='jabber:client' type='chat' id='m1' from='bar@localhost/x' "
    "to='room@chat.example.org' n='7'>"
    "<body>!ban me now</body><body xml:lang='de'>zwei</body>"
    "<tweet xmlns='urn:example:tweeter' id='5' user='bob'>one <b>two</b> three"
    "<user name='bob'>Bob</user></tweet></message>"
)
LONE = "<message xmlns='jabber:client' id='m1'><body>!ban me now</body></message>"


def tree(xpath: str) -> Node:
    return Reading(xpath, NAMESPACES).tree


def key_of(xpath: str, known: Known) -> str:
    """By what the index would find a route that stands alone."""
    found = analyse(tree(xpath), known)
    (filing,) = choose([[finding.condition for finding in found.findings]])
    return "" if filing is None else str(Filing(*filing).key)


# XPath, whether it is understood, the key, whether it holds for MESSAGE, and for LONE
_SHAPES = [
    # the envelope
    ("@id='m1'", True, "@id", True, True),
    ("'m1'=@id", True, "@id", True, True),
    ("@id='m'", True, "@id", False, False),
    ("@id!='x'", True, "", True, True),
    ("@id", True, "", True, True),
    ("@type='chat'", True, "", True, False),
    ("@type='normal'", True, "", False, False),  # absent is not normal in plain XPath
    ("not(@type)", True, "", False, True),
    ("@from='bar@localhost/x'", True, "@from", True, False),
    ("@n='7'", True, "@n", True, False),
    ("@n=7", False, "", True, False),
    ("jid:bare(@from)='bar@localhost'", True, "from", True, False),
    ("jid:domain(@to)='chat.example.org'", True, "domain of to", True, False),
    ("jid:full(@from)='bar@localhost/x'", True, "from", True, False),
    ("jid:local(@from)='bar'", True, "", True, False),
    ("starts-with(@from, 'bar@')", True, "@from, its start", True, False),
    ("contains(@to, '@chat.')", True, "@to, its part", True, False),
    ("re:test(@id, '^m')", True, "@id, its start", True, True),
    # children
    ("body", True, "body", True, True),
    ("subject", True, "subject", False, False),
    ("*", True, "", True, True),
    ("tw:*", True, "", True, False),
    ("tw:tweet", True, "tweet", True, False),
    ("tw:tweet/@id='5'", True, "tweet/@id", True, False),
    ("tw:tweet[@id='5']", True, "tweet/@id", True, False),
    ("tw:tweet[@id='6']", True, "tweet/@id", False, False),
    ("tw:tweet[@id='5'][@user]", True, "tweet/@id", True, False),
    ("tw:tweet[@id='5' and @none]", True, "tweet/@id", False, False),
    ("tw:tweet[@id='5' or @id='6']", True, "tweet", True, False),
    ("tw:tweet[tw:user]", True, "tweet/user", True, False),
    ("tw:tweet[tw:user='Bob']", True, "tweet/user text", True, False),
    ("tw:tweet/tw:user/@name='bob'", True, "tweet/user/@name", True, False),
    ("tw:tweet[tw:user[@name='bob'][.='Bob']]/@id", True, "tweet/user/@name", True, False),
    ("tw:tweet[not(tw:user)]", True, "tweet", False, False),
    ("body[not(@xml:lang)]", True, "body", True, True),
    ("body[@xml:lang='de']", True, "body/@{http://www.w3.org/XML/1998/namespace}lang", True, False),
    # texts: of any node
    ("body='zwei'", True, "body text", True, False),
    ("body[.='zwei']", True, "body text", True, False),
    ("body!='zwei'", True, "body", True, True),
    ("body/text()='zwei'", True, "body text", True, False),
    ("tw:tweet/text()=' three'", True, "tweet text", True, False),
    ("tw:tweet/text()='one '", True, "tweet text", True, False),
    ("tw:tweet='one two threeBob'", True, "tweet text", True, False),
    # texts: of the first node
    ("string(body)='zwei'", True, "body text", False, False),
    ("starts-with(body, '!ban')", True, "body text, its start", True, True),
    ("starts-with(body, 'zwei')", True, "body text, its start", False, False),
    ("body[starts-with(., 'zwei')]", True, "body text, its start", True, False),
    ("contains(body, 'me')", True, "body text, its part", True, True),
    ("re:test(body, '^!ban\\b')", True, "body text, its start", True, True),
    ("re:test(body, '^!BAN\\b', 'i')", True, "body text, its start", True, True),
    ("re:test(body, '\\bnow\\b')", True, "body text, its part", True, True),
    ("re:test(body, '^zwei')", True, "body text, its start", False, False),
    ("re:test(subject, '^$')", True, "", True, True),  # absent is empty
    ("re:test(body, '.')", True, "body", True, True),
    ("normalize-space(body)='!ban me now'", True, "", True, True),
    ("starts-with(subject, '')", True, "", True, True),
    # anywhere
    (".//tw:user", True, "//user", True, False),
    ("//tw:user[@name='bob']", True, "//user/@name", True, False),
    ("tw:tweet//tw:user='Bob'", True, "//user text", True, False),
    ("//message", True, "//message", True, True),
    # together
    ("@id='m1' or @n='7'", True, "@id or @n", True, True),
    ("@id='m1' or body", True, "@id or body", True, True),
    ("@id='m1' or not(body)", True, "", True, True),
    ("body | tw:tweet", True, "body or tweet", True, True),
    ("body and tw:tweet", True, "body", True, False),
    ("not(body)", True, "", False, False),
    ("not(not(body))", True, "", True, True),
    ("boolean(body)", True, "body", True, True),
    ("true()", True, "", True, True),
    ("'x'", True, "", True, True),
    ("''", True, "", False, False),
    ("self::message", True, "", True, True),
    # what lxml has to decide, with what is necessary
    ("tw:tweet[count(*)=2]", False, "tweet", True, False),
    ("tw:tweet[@id='5'][1]", False, "tweet/@id", True, False),
    ("tw:tweet[@id > 4]", False, "tweet", True, False),
    ("tw:tweet/@id > 4", False, "tweet", True, False),
    ("tw:tweet/../body", False, "tweet", True, False),
    ("(body)[2]", False, "body", True, False),
    ("body[last()]", False, "body", True, True),
    ("body[2]", False, "body", True, False),
    ("count(body)", False, "", True, True),
    ("count(body)=2 and @id='m1'", False, "@id", True, False),
    ("count(body)=2 or @id='m1'", False, "", True, True),
    ("string(false())", False, "", True, True),
    ("string(.//body/text())='zwei'", False, "", False, False),
    ("starts-with(body/text(), '!ban')", True, "body text, its start", True, True),
    ("string(.//tw:user/..)", False, "", True, False),
    ("(body | tw:tweet)[3]", False, "", True, False),
    ("body = subject", False, "body", False, False),
    ("body = true()", False, "", True, True),
]  # fmt: skip


@pytest.mark.parametrize(("xpath", "exact", "key", "holds", "lone"), _SHAPES)
def test_shapes(xpath: str, exact: bool, key: str, holds: bool, lone: bool) -> None:
    known = Known("message")
    found = analyse(tree(xpath), known)
    assert found.exact is exact
    assert key_of(xpath, known) == key
    for text, expected in ((MESSAGE, holds), (LONE, lone)):
        assert Expression(xpath, NAMESPACES).holds(parse(text)) is expected
        for built in (False, True):
            stanza = stanza_of(text, built)
            checks = [bool(each.condition.check(stanza)) for each in found.findings]
            if exact:
                assert all(checks) is expected
            elif expected:
                assert all(checks)


@pytest.mark.parametrize(
    ("xpath", "exact", "key"),
    [
        ("tw:tweet", True, "payload"),
        ("tw:tweet[@id='5']", True, "payload"),  # among others with it, "tweet/@id"
        ("tw:tweet[@id]", True, "payload"),
        ("tw:tweet/tw:user", True, "tweet/user"),
        ("tw:tweet | tw:tweets", True, "payload"),
        ("tw:tweet[count(*)=2]", False, "payload"),
    ],
)
def test_requests(xpath: str, exact: bool, key: str) -> None:
    known = Known("iq", frozenset({"get", "set"}))
    assert analyse(tree(xpath), known).exact is exact
    assert key_of(xpath, known) == key


def test_a_request_is_not_parsed_for_its_payload() -> None:
    (finding,) = analyse(tree("tw:tweet | tw:tweets"), Known("iq", frozenset({"get"}))).findings
    for name, expected in (("tweet", True), ("tweets", True), ("other", False)):
        stanza = stanza_of(
            f"<iq xmlns='jabber:client' type='get' id='1'>"
            f"<{name} xmlns='urn:example:tweeter'/></iq>",
            True,
        )
        assert finding.condition.check(stanza) is expected
        assert stanza._tree is None


@LONG
@EXAMPLES
@given(expressions(2), st.lists(stanzas(), min_size=1, max_size=4), st.booleans())
def test_what_is_understood_means_what_lxml_makes_of_it(
    xpath: str, texts: list[str], built: bool
) -> None:
    xpath = f"true() and ({xpath})"  # a leading self::message would be the kind of the route
    expression = Expression(xpath, NAMESPACES)
    found = analyse(tree(xpath), Known(None))
    for text in texts:
        stanza = stanza_of(text, built)
        verdict = all(each.condition.check(stanza) for each in found.findings)
        holds = expression.holds(parse(text))
        assert verdict or not holds, text
        if found.exact:
            assert verdict is holds, text
        for each in found.findings:
            xpath_of_it = Expression(each.condition.xpath, NAMESPACES)
            assert bool(each.condition.check(stanza)) is xpath_of_it.holds(parse(text)), text


@LONG
@EXAMPLES
@given(paths(1), stanzas())
def test_captures_in_python_are_what_lxml_finds(xpath: str, text: str) -> None:
    try:
        find = nodes(tree(xpath))
    except NotUnderstood:
        return
    element = parse(text)
    assert find(element) == Expression(xpath, NAMESPACES).evaluate(element), text


@pytest.mark.parametrize(
    ("xpath", "understood"),
    [
        ("@id", True),
        ("tw:tweet/@id", True),
        ("body/text()", True),
        ("tw:tweet[@id='5']/tw:user", True),
        ("//tw:user/@name", True),
        (".", True),
        ("tw:*", True),
        (".//tw:user/text()", False),  # not in the order of the document
        (".//text()", False),
        (".//tw:user/tw:x", False),  # not in the order of the document
        ("@*", False),
        ("body[1]", False),
        ("string(body)", False),
        ("body | tw:tweet", False),
        ("..", False),
        ("node()", False),
    ],
)
def test_what_is_captured_without_lxml(xpath: str, understood: bool) -> None:
    if understood:
        found = nodes(tree(xpath))(parse(MESSAGE))
        assert found
        element = parse(MESSAGE)
        assert nodes(tree(xpath))(element) == Expression(xpath, NAMESPACES).evaluate(element)
    else:
        with pytest.raises(NotUnderstood):
            nodes(tree(xpath))
