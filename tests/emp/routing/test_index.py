"""The index finds what a linear search by lxml alone finds: on random routes and stanzas."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emp.routing import RouteTable, index
from emp.routing.explain import explain
from emp.stanza import Stanza
from tests.emp.routing.reference import (
    EXAMPLES,
    LONG,
    Linear,
    Written,
    expressions,
    stanza_of,
    stanzas,
    table_of,
    written,
)


@LONG
@EXAMPLES
@given(
    st.lists(written, min_size=1, max_size=6),
    st.lists(stanzas(), min_size=1, max_size=4),
    st.sampled_from([None, "x", "tweets"]),
    st.booleans(),
    st.sampled_from([None, "main"]),
    st.booleans(),
    st.sampled_from([0, index.WALK]),
)
def test_the_index_finds_what_lxml_finds(
    routes: list[Written],
    texts: list[str],
    resource: str | None,
    component: bool,
    connection: str | None,
    built: bool,
    walk: int,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # Else tables as small as these are not worth a walk through the tree.
        patch.setattr(index, "WALK", walk)
        table = table_of(routes)
    linear = Linear(table)
    for text in texts:
        incoming = stanza_of(text, built)
        found = all_of(table, incoming, resource, component, connection)
        assert found == linear.match(stanza_of(text, built), resource, component, connection), text


@LONG
@EXAMPLES
@given(
    st.lists(expressions(2), min_size=1, max_size=3),
    st.lists(stanzas(), min_size=3, max_size=8),
    st.booleans(),
)
def test_the_index_finds_each_condition(xpaths: list[str], texts: list[str], built: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "WALK", 0)
        table = table_of([Written("route", f"[true() and ({each})]", {}) for each in xpaths])
    linear = Linear(table)
    for text in texts:
        assert all_of(table, stanza_of(text, built)) == linear.match(stanza_of(text, built)), text


# Where what the index looks up is more than what the condition asks for.
@pytest.mark.parametrize(
    ("xpath", "children", "expected"),
    [
        ("body[*/body]", "<body>hi</body>", False),
        ("body[*/body]", "<body><i><body/></i></body>", True),
        ("*/body", "<body/>", False),
        ("*/tweet/@id='1'", "<tweet id='1'/>", False),
        (".//message", "", False),
        ("body/text()='hi'", "<body>hi<i/>ho</body>", True),
        ("body/text()='ho'", "<body>hi<i/>ho</body>", True),
        ("body='hiho'", "<body>hi<i/>ho</body>", True),
        ("body='hi'", "<body>hi<i/>ho</body>", False),
        ("body/text()='hiho'", "<body>hi<i/>ho</body>", False),
        ("body/text()=''", "<body/>", False),
        ("body=''", "<body/>", True),
        ("re:test(body/text(), '^ho')", "<body><i/>ho</body>", True),
        ("starts-with(body, 'hi')", "<body>ho</body><body>hi</body>", False),
        ("body[starts-with(., 'hi')]", "<body>ho</body><body>hi</body>", True),
        ("body[@id='1' and @n='2']", "<body id='1'/><body n='2'/>", False),
        ("body[@id='1'][subject]", "<body id='1'/><body><subject/></body>", False),
        ("jid:domain(@from)='localhost'", "", False),  # a@@localhost
        ("jid:bare(@to)='bar@localhost'", "", True),  # BAR@localhost/x
        ("jid:bare(@to)='BAR@localhost'", "", False),
        ("jid:domain(@to)='localhost'", "", True),
        ("contains(body, 'aXb')", "<body>axb</body>", False),
        ("re:test(body, 'AXB', 'i')", "<body>axb</body>", True),
        ("re:test(body, '^.*$')", "", True),
        ("@type='normal'", "", False),
    ],
)
def test_what_is_looked_up_is_not_always_what_is_asked_for(
    xpath: str, children: str, expected: bool
) -> None:
    text = (
        "<message xmlns='jabber:client' from='a@@localhost' to='BAR@localhost/x'>"
        f"{children}</message>"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "WALK", 0)
        table = table_of([Written("message", f"[{xpath}]", {})])
    for built in (False, True):
        assert Linear(table).match(stanza_of(text, built)) == [1][: int(expected)]
        assert all_of(table, stanza_of(text, built)) == [1][: int(expected)]


def all_of(
    table: RouteTable,
    stanza: Stanza,
    resource: str | None = None,
    component: bool = False,
    connection: str | None = None,
) -> list[int]:
    """The numbers of all routes that match, one behind the other, as by skip()."""
    found: list[int] = []
    while match := table.match(stanza, resource, component, connection, found[-1] if found else 0):
        found.append(match.route.number)
    return found


_BODY, _TWEET = "<body>x</body>", "<tweet xmlns='urn:example:tweeter' id='1'/>"


@pytest.mark.parametrize("type_", ["get", "set", "result", "error", "odd", ""])
@pytest.mark.parametrize(
    "children", [[], [_TWEET], [_BODY, _TWEET], [_TWEET, _BODY], [_TWEET] * 2, [_BODY] * 2]
)
def test_an_iq_with_any_number_of_children(type_: str, children: list[str]) -> None:
    text = f"<iq xmlns='jabber:client' type='{type_}'>{''.join(children)}</iq>"
    routes = [
        Written("message", None, {}),
        *(
            Written(method, xpath, {})
            for method in ("iq_get", "iq_set", "iq")
            for xpath in ("tw:tweet[@id]", "tw:tweet", "[body]", "[tw:tweet or body]", "x:x")
        ),
        Written("route", None, {"body": "x"}),
    ]
    for walk in (0, index.WALK):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(index, "WALK", walk)
            table = table_of(routes)
        expected = Linear(table).match(stanza_of(text, False))
        for built in (False, True):
            incoming = stanza_of(text, built)
            assert all_of(table, incoming) == expected
            told = explain(table, incoming).match
            assert [told.route.number for told in [told] if told] == expected[:1]
