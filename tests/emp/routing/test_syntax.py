"""The grammar of XPath 1.0: how tokens group, and what is told about what is no expression."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from emp.errors import RouteError
from emp.routing.parser import MAX_DEPTH, parse
from emp.routing.syntax import Node, is_number
from emp.routing.tokens import tokenize
from tests.emp.routing.reference import expressions

NAMESPACES = {
    "tw": "urn:example:tweeter", "x": "jabber:x:data", "other": "urn:example:tweeter",
    "re": "http://exslt.org/regular-expressions", "jid": "urn:emp:jid", "xml": "urn:xml",
}  # fmt: skip


def tree(text: str) -> Node:
    return parse(text, tokenize(text), NAMESPACES)


@pytest.mark.parametrize(
    ("text", "grouped"),
    [
        # §3.4 and §3.5: from the loosest to the tightest, and from left to right
        ("a or b and c", "a or (b and c)"),
        ("a and b or c", "(a and b) or c"),
        ("a or b or c", "(a or b) or c"),
        ("a and b = c", "a and (b=c)"),
        ("a = b = c", "(a=b)=c"),
        ("a != b < c", "a!=(b < c)"),
        ("a < b + 1", "a < (b + 1)"),
        ("1 - 2 - 3", "(1 - 2) - 3"),
        ("1 + 2 * 3", "1 + (2 * 3)"),
        ("8 div 4 mod 3", "(8 div 4) mod 3"),
        ("- a | b", "-(a | b)"),
        ("-1 + 2", "-1 + 2"),
        ("2 - -1", "2 - -1"),
        ("---a", "-a"),
        ("--a", "--a"),
        ("(a or b) and c", "(a or b) and c"),
        ("a | b | c", "(a | b) | c"),
        # paths and what abbreviates them
        ("child::a/attribute::b", "a/@b"),
        ("self::node()/parent::node()", "./.."),
        (".//a", "./descendant-or-self::node()/a"),
        ("/a//b", "/a/descendant-or-self::node()/b"),
        ("a[1][@b]/c", "a[1][@b]/c"),
        ("@*", "@*"),
        ("tw:*[tw:a]", "tw:*[tw:a]"),
        ("(a)[1]/b", "(a)[1]/b"),
        ("(a | b)//c", "(a | b)/descendant-or-self::node()/c"),
        ("re:match(a, 'x')[2]", "(re:match(a, 'x'))[2]"),
        ("string()", "string()"),
        ("concat( 'a' , \"b\" )", "concat('a', 'b')"),
        ("processing-instruction('x')", "processing-instruction('x')"),
        ("preceding-sibling::text()", "preceding-sibling::text()"),
        ("self::node()[a]", "self::node()[a]"),
        ('"it\'s"', '"it\'s"'),
        ("/", "/"),
        ("$v = 1", "$v=1"),
    ],
)
def test_grouping(text: str, grouped: str) -> None:
    assert str(tree(text)) == grouped


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a", " child::a ", True),
        ("tw:a", "other:a", True),
        ("tw:f(a)", "other:f(a)", True),
        ("'x'", '"x"', True),
        ("(a)", "a", True),
        ("a", "tw:a", False),
        ("@a", "a", False),
        ("@a", "@tw:a", False),
        ("a[b]", "a[c]", False),
        ("a/b", "a//b", False),
        ("1", "'1'", False),
    ],
)
def test_equal_trees(one: str, other: str, same: bool) -> None:
    assert (tree(one) == tree(other)) is same
    if same:
        assert hash(tree(one)) == hash(tree(other))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@type=", "bad XPath '@type=': something is missing at its end after '='"),
        ("", "something is missing at its end"),
        ("a/", "something is missing at its end after '/'"),
        ("//", "something is missing at its end after '//'"),
        ("a or", "something is missing at its end after 'or'"),
        ("not(a", "something is missing at its end after 'a'"),
        ("concat('a',,'b')", ", at character 12 makes no sense there"),
        ("a[]", "] at character 3 makes no sense there"),
        ("()", ") at character 2 makes no sense there"),
        (".[1]", "[ at character 2 makes no sense there"),
        ("a = = b", "= at character 5 makes no sense there"),
        ("1 2", "2 at character 3 makes no sense there"),
        ("'a' 'b'", "'b' at character 5 makes no sense there"),
        ("a ) b", "an operator (and, or, =, …) is missing before 'b' at character 5"),
        ("@", "something is missing at its end after '@'"),
        ("@@a", "@ at character 2 makes no sense there"),
        ("foo::a", "there is no axis foo. There are: ancestor, "),
        ("text(1)", "1 at character 6 makes no sense there, and not the ')' that has to stand"),
        ("(" * 200 + "a" + ")" * 200, f"nested more than {MAX_DEPTH} deep"),
        ("[a]", "[ at character 1 makes no sense there"),
    ],
)
def test_what_is_no_expression(text: str, message: str) -> None:
    with pytest.raises(RouteError) as caught:
        tree(text)
    assert message in str(caught.value)


@given(expressions(2))
def test_the_text_of_a_tree_is_that_tree(text: str) -> None:
    found = tree(text)
    assert tree(str(found)) == found


_PARTS = [
    "/", "//", "body", "x:x", "@id", "*", "[", "]", "(", ")", "1", "'s'", "=", "and", "|", "-",
    ".", "..", "self::", "count(", "string(", ",", "text()", "div", "not(", "last()", "ancestor::",
]  # fmt: skip


@given(st.lists(st.sampled_from(_PARTS), max_size=9))
def test_what_libxml2_refuses_is_refused(parts: list[str]) -> None:
    text = " ".join(parts)
    try:
        tree(text)
    except RouteError:
        return  # libxml2 forgives more than the specification
    etree.XPath(text)


@given(expressions(2))
def test_what_the_reference_writes_is_xpath(text: str) -> None:
    tree(text)
    etree.XPath(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", True), ("-a", True), ("count(a)", True), ("1 + a", True), ("a * 2", True),
        ("last()", True), ("string-length(a)", True), ("a", False), ("a = 1", False),
        ("a | b", False), ("'1'", False), ("not(a)", False), ("tw:count(a)", False),
        ("(a)[1]", False), ("1 and 2", False),
    ],
)  # fmt: skip
def test_numbers(text: str, expected: bool) -> None:
    assert is_number(tree(text)) is expected
