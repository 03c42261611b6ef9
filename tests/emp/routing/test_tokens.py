"""XPath 1.0 §3.7: every rule that decides what a word or a star is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emp.errors import RouteError
from emp.routing.tokens import Kind, is_ncname, tokenize

_LETTER = {
    Kind.NAME_TEST: "name",
    Kind.NODE_TYPE: "type",
    Kind.FUNCTION: "func",
    Kind.AXIS: "axis",
    Kind.OPERATOR: "op",
    Kind.LITERAL: "lit",
    Kind.NUMBER: "num",
    Kind.VARIABLE: "var",
    Kind.MARK: "mark",
}


def shape(text: str) -> str:
    return " ".join(f"{_LETTER[token.kind]}:{token.text}" for token in tokenize(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # An operand is due at the beginning, after an operator, and after @ :: ( [ ,
        ("div div div", "name:div op:div name:div"),
        ("and and and", "name:and op:and name:and"),
        ("or or or", "name:or op:or name:or"),
        ("mod mod mod", "name:mod op:mod name:mod"),
        ("* * *", "name:* op:* name:*"),
        ("@*", "mark:@ name:*"),
        ("@div", "mark:@ name:div"),
        ("child::*", "axis:child mark::: name:*"),
        ("child::and", "axis:child mark::: name:and"),
        ("(*)", "mark:( name:* mark:)"),
        ("(or)", "mark:( name:or mark:)"),
        ("x[*]", "name:x mark:[ name:* mark:]"),
        ("x[mod]", "name:x mark:[ name:mod mark:]"),
        ("f(*,*)", "func:f mark:( name:* mark:, name:* mark:)"),
        ("/*", "op:/ name:*"),
        ("//*", "op:// name:*"),
        ("x|*", "name:x op:| name:*"),
        ("x = *", "name:x op:= name:*"),
        ("- *", "op:- name:*"),
        # … and after anything else an operator
        ("1*2", "num:1 op:* num:2"),
        ("'a'and'b'", "lit:'a' op:and lit:'b'"),
        (".*.", "mark:. op:* mark:."),
        ("..div ..", "mark:.. op:div mark:.."),
        ("x[1]*y", "name:x mark:[ num:1 mark:] op:* name:y"),
        ("(x)*(y)", "mark:( name:x mark:) op:* mark:( name:y mark:)"),
        ("$a*$b", "var:$a op:* var:$b"),
        ("@**@*", "mark:@ name:* op:* mark:@ name:*"),
        # A name before ( is a function or a node type, before :: an axis; spaces do not matter
        ("count(x)", "func:count mark:( name:x mark:)"),
        ("count (x)", "func:count mark:( name:x mark:)"),
        ("re:test(x)", "func:re:test mark:( name:x mark:)"),
        ("div(x)", "func:div mark:( name:x mark:)"),
        ("x div (y)", "name:x op:div mark:( name:y mark:)"),
        ("text()", "type:text mark:( mark:)"),
        ("node ( )", "type:node mark:( mark:)"),
        ("comment()", "type:comment mark:( mark:)"),
        ("processing-instruction('x')", "type:processing-instruction mark:( lit:'x' mark:)"),
        ("self :: x", "axis:self mark::: name:x"),
        ("div::x", "axis:div mark::: name:x"),
        ("x div self::y", "name:x op:div axis:self mark::: name:y"),
        ("text", "name:text"),
        ("self", "name:self"),
        # Names: the longest one, with a prefix or a star behind it
        ("a-b", "name:a-b"),
        ("a -b", "name:a op:- name:b"),
        ("a.b", "name:a.b"),
        ("a1-2", "name:a1-2"),
        ("p:x", "name:p:x"),
        ("p:*", "name:p:*"),
        ("p:div", "name:p:div"),
        ("p:**p:*", "name:p:* op:* name:p:*"),
        ("été:naïve", "name:été:naïve"),
        ("_x", "name:_x"),
        # Numbers and dots
        ("1", "num:1"),
        ("1.", "num:1."),
        (".5", "num:.5"),
        ("1.5", "num:1.5"),
        (".", "mark:."),
        ("..", "mark:.."),
        ("../.", "mark:.. op:/ mark:."),
        ("x[.5]", "name:x mark:[ num:.5 mark:]"),
        # Operators: the longest one
        ("a<=b", "name:a op:<= name:b"),
        ("a>=b", "name:a op:>= name:b"),
        ("a!=b", "name:a op:!= name:b"),
        ("a< b", "name:a op:< name:b"),
        ("a//b", "name:a op:// name:b"),
        ("a/ /b", "name:a op:/ op:/ name:b"),
        ("--1", "op:- op:- num:1"),
        # Strings hold everything but their quote
        ("'/[@\"'", "lit:'/[@\"'"),
        ('"it\'s"', 'lit:"it\'s"'),
        ("''", "lit:''"),
        ("$p:v", "var:$p:v"),
        ("", ""),
        (" \t\r\n", ""),
    ],
)
def test_tokens(text: str, expected: str) -> None:
    assert shape(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b", "an operator (and, or, =, …) is missing before 'b' at character 3"),
        ("1e5", "missing before 'e5' at character 2"),
        ("x[1]y", "missing before 'y' at character 5"),
        ("'a", "at character 1 a string begins that has no end"),
        ('x="', "at character 3 a string begins that has no end"),
        ("a :b", "at character 3 ':' makes no sense"),
        ("a: b", "at character 2 ':' makes no sense"),
        ("x & y", "at character 3 '&' makes no sense"),
        ("$ a", "at character 1 '$' makes no sense"),
        ("!x", "at character 1 '!' makes no sense"),
        ("x # y", "at character 3 '#' makes no sense"),
    ],
)
def test_what_is_no_xpath(text: str, message: str) -> None:
    with pytest.raises(RouteError) as caught:
        tokenize(text)
    assert message in str(caught.value)
    assert repr(text) in str(caught.value)


def test_parts_of_names_and_values_of_literals() -> None:
    name, _, variable, _, literal = tokenize("p:x = $q:v = 'text'")
    assert (name.prefix, name.local) == ("p", "x")
    assert (variable.prefix, variable.local) == ("q", "v")
    assert literal.value == "text"
    assert [token.start for token in tokenize(" a  =b")] == [1, 4, 5]


@pytest.mark.parametrize(("text", "verdict"), [("tw", True), ("a:b", False), ("1a", False)])
def test_ncname(text: str, verdict: bool) -> None:
    assert is_ncname(text) is verdict


@given(st.text("ab:@*/[]().,'\"$-+=<>!|1 divor", max_size=30))
def test_tokens_are_the_text_without_its_spaces(text: str) -> None:
    try:
        tokens = tokenize(text)
    except RouteError:
        return
    rest = list(text)
    for token in tokens:
        assert text[token.start : token.start + len(token.text)] == token.text
        rest[token.start : token.start + len(token.text)] = " " * len(token.text)
    assert "".join(rest).strip() == ""
