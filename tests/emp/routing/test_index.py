"""The index finds what a linear search by lxml alone finds: on random routes and stanzas."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emp.routing import index
from tests.emp.routing.reference import (
    EXAMPLES,
    LONG,
    Linear,
    Written,
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
        after = 0
        found: list[int] = []
        while match := table.match(incoming, resource, component, connection, after):
            after = match.route.number
            found.append(after)
        assert found == linear.match(stanza_of(text, built), resource, component, connection), text
