"""What a route's XPath means, told by lxml on real stanzas."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from emp.errors import RouteError
from emp.routing.functions import PREDECLARED
from emp.routing.tokens import tokenize
from emp.routing.xpath import Expression, qualify, quote, relativise
from emp.xml import parse

NAMESPACES = {"tw": "urn:example:tweeter", "x": "jabber:x:data"}

MESSAGE = (
    b'<message xmlns="jabber:client" type="chat" from="BAR@localhost/x" id="m1" xml:lang="en">'
    b"<body>!roll 3</body><body xml:lang='de'>zwei</body>"
    b'<x xmlns="jabber:x:data" type="form"><field var="a"><value>1</value></field>'
    b'<field var="b"><value>2</value><value>3</value></field></x>'
    b"</message>"
)


def value(xpath: str, stanza: bytes = MESSAGE) -> Any:
    found = Expression(xpath, NAMESPACES).evaluate(parse(stanza))
    if isinstance(found, list):
        return [node if isinstance(node, str) else node.tag.rpartition("}")[2] for node in found]
    return found


@pytest.mark.parametrize(
    ("xpath", "expected"),
    [
        # the stanza is the document
        ("/message", ["message"]),
        ("/message/body[1]", ["body"]),
        ("/message[@type='chat']/@id", ["m1"]),
        ("/child::message", ["message"]),
        ("/descendant::body", ["body", "body"]),
        ("/descendant-or-self::message", ["message"]),
        ("/*", ["message"]),
        ("/*[1]", ["message"]),
        ("/message[2]", []),
        ("/presence", []),
        ("/body", []),
        ("/node()", ["message"]),
        ("//body", ["body", "body"]),
        ("//body[2]", ["body"]),
        ("//x:value[1]", ["value", "value"]),
        ("//x:value[last()]/text()", ["1", "3"]),
        ("//message[1]/body[1]", ["body"]),
        ("//@var", ["a", "b"]),
        ("//x:field/@var", ["a", "b"]),
        ("//child::x:field[2]/@var", ["b"]),
        ("//descendant::x:field[1]/@var", ["a"]),
        ("//self::x:x/@type", ["form"]),
        ("//x:value/..", ["field", "field"]),
        ("//text()", ["!roll 3", "zwei", "1", "2", "3"]),
        ("/message/@id | //x:field/@var", ["m1", "a", "b"]),
        ("count(//x:value)", 3.0),
        ("count(/message/body) + count(//x:field)", 4.0),
        ("/message/@type = 'chat' and //x:x", True),
        ("not(/presence)", True),
        ("(/message/body)[2]", ["body"]),
        ("string(/message/body)", "!roll 3"),
        # paths from the stanza
        ("body", ["body", "body"]),
        ("@id", ["m1"]),
        (".", ["message"]),
        ("self::message", ["message"]),
        ("..", []),
        (".//x:value[.='3']", ["value"]),
        ("x:x/x:field[@var='b']/x:value/text()", ["2", "3"]),
        ("@xml:lang", ["en"]),
        ("body[@xml:lang='de']/text()", ["zwei"]),
        ("body[lang('en')]/text()", ["!roll 3"]),
        # what is not an element has no namespace, and words are not always names
        ("*", ["body", "body", "x"]),
        ("x", []),
        ("attribute::id", ["m1"]),
        ("x:*", ["x"]),
        ("namespace-uri(x:x)", "jabber:x:data"),
        ("count(body) div count(x:x)", 2.0),
        ("count(body)*2", 4.0),
        ("div", []),
        ("div or body", True),
        ("text()", []),
        # functions of ours
        ("re:test(body, '^!')", True),
        ("re:test(body, '^!ROLL')", False),
        ("re:test(body, '^!ROLL', 'i')", True),
        ("re:test(presence, '^$')", True),
        ("/message[re:test(body, '^!')]", ["message"]),
        ("body[re:test(., 'zwei')]/@xml:lang", ["de"]),
        ("re:test(body[2] | body[1], '^!')", True),
        ("re:match(body, '^!(\\w+) (\\d+)')", ["!roll 3", "roll", "3"]),
        ("re:match(body, '^!(\\w+) (\\d+)')[2]", ["roll"]),
        ("re:match(body, '\\w', 'g')[last()]", ["3"]),
        ("re:match(body, 'nothing')", []),
        ("""re:test("it's", concat('t', "'", 's'))""", True),
        ("jid:bare(@from)", "bar@localhost"),
        ("jid:full(@from)", "bar@localhost/x"),
        ("jid:local(@from)", "bar"),
        ("jid:domain(@from)", "localhost"),
        ("jid:resource(@from)", "x"),
        ("jid:bare(@to)", ""),
        ("jid:bare('a@b@@c')", ""),
        ("jid:local('localhost/x')", ""),
        ("jid:bare('localhost/')", "localhost"),
        ("jid:full('localhost/')", ""),
    ],
)
def test_values(xpath: str, expected: Any) -> None:
    assert value(xpath) == expected


@pytest.mark.parametrize(
    ("xpath", "expected"),
    [
        ("/message[re:test(body, '^!')]", "self::message[re:test(body, '^!')]"),
        ("  //body", "descendant-or-self::body"),
        ("//body[1]/x", "(self::body[1] | descendant-or-self::node()/body[1])/x"),
        ("//@id", "descendant-or-self::node()/@id"),
        ("a/b//c", "a/b//c"),
        ("/a | /b", "self::a | self::b"),
        ("count(/a)=count(//b)", "count(self::a)=count(descendant-or-self::b)"),
        ("a[.//b]", "a[.//b]"),
        ("a[b/c]", "a[b/c]"),
        ("'/a' = //b", "'/a' = descendant-or-self::b"),
    ],
)
def test_absolute_paths_become_relative(xpath: str, expected: str) -> None:
    assert relativise(xpath.strip(), tokenize(xpath.strip())) == expected


@pytest.mark.parametrize(
    ("xpath", "expected"),
    [
        ("message", "_client:message"),
        ("body/@type", "_client:body/@type"),
        ("body/attribute::type", "_client:body/attribute::type"),
        ("namespace::tw", "namespace::tw"),
        ("tw:tweet[user]", "tw:tweet[_client:user]"),
        ("div div div", "_client:div div _client:div"),
        ("count(body) * 2", "count(_client:body) * 2"),
        ("child::text", "child::_client:text"),
        ("text()", "text()"),
        ("*", "*"),
        ("body='body'", "_client:body='body'"),
        ("re:test(body | x, 'y')", "re:test(string(_client:body | _client:x),'y')"),
        ("jid:bare(jid:full(from))", "jid:bare(string(jid:full(string(_client:from))))"),
    ],
)
def test_names_without_prefix_are_in_jabber_client(xpath: str, expected: str) -> None:
    made = qualify(xpath, tokenize(xpath), {**NAMESPACES, **PREDECLARED})
    assert made.replace(" ", "") == expected.replace(" ", "")


@pytest.mark.parametrize(
    ("xpath", "message"),
    [
        ("", "an empty XPath"),
        ("@type=", "bad XPath '@type=': something is missing at its end after '='"),
        ("body[", "bad XPath"),
        ("body]", "bad XPath"),
        ("count(", "( at character 6 has no counterpart"),
        ("concat(a, (b)", "( at character 7 has no counterpart"),
        ("concat('a',,'b')", "bad XPath"),
        ("body[1]] | x", "bad XPath"),
        ("foo\x00", "characters that XML does not have"),
        ("//", "bad XPath"),
        ("/", "a route knows only the stanza. Write . or self::node()"),
        ("/ | body", "a route knows only the stanza"),
        ("/@id", "after / comes the stanza, not @id. Write @id"),
        ("/..", "after / comes the stanza"),
        ("/self::message", "after / comes the stanza"),
        ("body[/message]", "a path in [brackets] may not begin with /. Write .//x"),
        ("/message[//body]", "a path in [brackets] may not begin with //"),
        ("/message[count(//body) > 1]", "a path in [brackets] may not begin with //"),
        ("tv:tweet", "the prefix 'tv' is not declared. Did you mean 'tw'? Else declare it in "),
        ("zzz:tweet", "'zzz' is not declared. Declare it in Routes(namespaces={'zzz': '…'})"),
        ("zzz:f()", "'zzz' is not declared"),
        ("@zzz:a", "'zzz' is not declared"),
        ("_client:body", "the prefix '_client' is not declared"),
        ("true() or nope()", "there is no function nope()"),
        ("cuont(body)", "there is no function cuont(). Did you mean count()?"),
        ("re:tset(body, 'x')", "Did you mean re:test()?"),
        ("test(body, 'x')", "Did you mean re:test()?"),
        ("matches(body, 'x')", "there is no function matches(). Write re:test("),
        ("document('file:///etc/passwd')", "there is no function document()"),
        ("id('m1')", "there is no function id(). Write *[@id='…']"),
        ("tw:f()", "there is no function tw:f()"),
        ("true() or $who", "there are no variables like $who in routes. Write the value in"),
        ("body or count()", "count() takes 1 argument, not 0"),
        ("last(1)", "last() takes no arguments, not 1"),
        ("concat('a')", "concat() takes 2 arguments or more, not 1"),
        ("re:test(body)", "re:test() takes 2 to 3 arguments, not 1"),
        ("substring(body, f(1,2))", "there is no function f()"),
        ("count('x')", "invalid type"),
        ("body and sum(1)", "invalid type"),
        ("re:test(body, '[')", "bad regular expression '[': unterminated character set"),
        ("re:test(body, 'a(?=b)')", "a look ahead or behind"),
        ("count(*) > count(*[re:test(., 'a++')])", "possessive"),
        ("concat('x', re:match(body, 'a*', 'g'))", "may match nothing"),
        ("re:match(body, '(a*)*')", "repeats what may match nothing"),
        ("re:test(body, 'a', 'q')", "unknown regular expression flag 'q'"),
        ("re:test(body, @pattern)", "the pattern of re:test() must be a 'text in quotes'"),
        ("re:test(body, concat('a', body))", "must be a 'text in quotes'"),
        ("re:test(body, string('a'))", "must be a 'text in quotes'"),
    ],
)
def test_mistakes_are_found_before_a_stanza_comes(xpath: str, message: str) -> None:
    with pytest.raises(RouteError) as caught:
        Expression(xpath, NAMESPACES)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("xpath", "verdict"),
    [
        ("body", True),
        ("status", False),
        ("count(body)", True),
        ("count(status)", False),
        ("..", True),  # the document
        ("../..", False),
        ("number('x')", False),  # NaN
        ("string(body)", True),
        ("string(status)", False),
        ("'false'", True),
        ("false()", False),
    ],
)
def test_truth(xpath: str, verdict: bool) -> None:
    assert Expression(xpath, NAMESPACES).holds(parse(MESSAGE)) is verdict


def test_a_long_text_matches_in_linear_time() -> None:
    long = parse(f'<message xmlns="jabber:client"><body>!{"x" * 200_000}</body></message>')
    assert Expression("re:test(body, '^!')", {}).holds(long)
    assert Expression("re:match(body, '^!')", {}).holds(long)
    assert Expression("count(body[re:test(., '^!(x|xx)+$')]) > 0", {}).holds(long)
    assert not Expression("re:test(body, '^(!|x|xx)+y')", {}).holds(long)
    assert not Expression("re:match(body, '(x+x+)+y')", {}).holds(long)


@pytest.mark.parametrize(
    "xpath",
    ["..", "preceding::*", "following::node()", "ancestor::*", "preceding-sibling::*", "//secret"],
)
def test_a_route_sees_nothing_around_the_stanza(xpath: str) -> None:
    stream = parse(
        '<stream xmlns="jabber:client"><message><secret/></message>'
        "<message><body>hi</body></message> tail<message/></stream>"
    )
    assert Expression(xpath, {}).evaluate(stream[1]) == []
    assert Expression("/message/body", {}).holds(stream[1])
    detached = stream[1]
    stream.clear()
    assert Expression(xpath, {}).evaluate(detached) == []
    assert len(Expression("body/../../*", {}).evaluate(detached)) == 1  # the document's child


def test_upward_steps_inside_of_the_stanza_work() -> None:
    assert value("x:x/x:field/x:value[.='3']/../@var") == ["b"]
    assert value("//x:value[ancestor::x:field[@var='a']]/text()") == ["1"]
    assert value("body/following-sibling::x:x/@type") == ["form"]


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40))
def test_quoted_text_is_that_text(text: str) -> None:
    text = re.sub("[\ufffe\uffff]", "", text) + "'\"" * (len(text) % 2)
    assert Expression(f"string({quote(text)})", {}).evaluate(parse(MESSAGE)) == text


def test_quotes_do_not_break_out() -> None:
    attack = """x' or '1'='1" or "1"="1"""
    assert not Expression(f"@id={quote(attack)}", {}).holds(parse(MESSAGE))


@given(
    st.lists(
        st.sampled_from(
            [
                "/", "//", "body", "x:x", "@id", "*", "[", "]", "(", ")", "1", "'s'", "=", "and",
                "|", "-", ".", "..", "self::", "count(", "re:test(", ",", "text()", "div", "$v",
                "child::", "zz:y", "not(", " ", "last()", "ancestor::",
            ]
        ),
        max_size=12,
    )
)  # fmt: skip
def test_any_text_compiles_or_is_a_route_error(parts: list[str]) -> None:
    text = "".join(parts)
    try:
        expression = Expression(text, NAMESPACES)
    except RouteError:
        return
    try:
        verdict = expression.holds(parse(MESSAGE))
    except etree.XPathError:  # such as the type of an argument behind an `and`
        return
    assert isinstance(verdict, bool)
    # What was made relative can stand in brackets, as in Route.xpath.
    inside = f"boolean({expression.relative})"
    assert Expression(f"/message[{inside}]", NAMESPACES).holds(parse(MESSAGE)) is verdict


_trees = st.recursive(
    st.builds(lambda name: f"<{name} id='{name}'/>", st.sampled_from("ab")),
    lambda inner: st.builds(
        lambda name, children: f"<{name} id='{name}'>{''.join(children)}</{name}>",
        st.sampled_from("ab"),
        st.lists(inner, max_size=3),
    ),
    max_leaves=12,
)
_axes = st.sampled_from(["", "child::", "descendant::", "descendant-or-self::"])
_predicates = st.sampled_from(["", "[1]", "[2]", "[last()]", "[b]", "[@id='a'][1]", "[1][b]"])
_steps = st.builds(
    lambda axis, name, predicate: axis + name + predicate,
    _axes,
    st.sampled_from(["a", "b", "*"]),
    _predicates,
)
_absolute = st.builds(
    lambda slash, first, rest: slash + "/".join([first, *rest]),
    st.sampled_from(["/", "//"]),
    _steps,
    st.lists(st.one_of(_steps, st.just("..")), max_size=2),
)


@given(_trees, _absolute, st.one_of(st.none(), _absolute))
def test_relative_paths_find_the_same_nodes(tree: str, one: str, other: str | None) -> None:
    xpath = f"{one} | {other}" if other else one
    root = parse(tree.replace(" ", " xmlns='jabber:client' ", 1))
    plain = etree.XPath(
        qualify(xpath, tokenize(xpath), PREDECLARED), namespaces={"_client": "jabber:client"}
    )(root)
    found = Expression(xpath, {}).evaluate(root)
    assert isinstance(plain, list)
    assert [_path(node) for node in found] == [_path(node) for node in plain]


def _path(element: Any) -> Any:
    return element.getroottree().getpath(element)
