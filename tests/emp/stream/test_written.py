"""Whatever the parser accepts, the writer writes so that the parser accepts it, and it means the
same."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from emp import ns
from emp.stanza import Stanza
from emp.stream import Limits
from emp.stream.events import StanzaSkipped
from emp.stream.parser import StreamParser
from emp.xml import parse, serialize
from tests.emp.strategies import canonical
from tests.emp.stream.law import CLIENT_HEADER, COMPONENT_HEADER

NAMES = st.sampled_from(["a", "body", "p:b", "q:c", "xml:foo", "stream:x", "é", "_1"])
VALUES = st.sampled_from(
    ["", "x", "&#000000000000000009;", "&lt;&apos;&#xA;", ">", "a b", "\U0001f600", "&#x10FFFF;"]
)
NAMESPACES = st.sampled_from(
    ["", "u", "urn:a", "a b", "}{", "jabber:client", "jabber:component:accept", ns.STREAM]
)
ATTRIBUTES = st.lists(
    st.one_of(
        st.tuples(st.just("xmlns"), NAMESPACES),
        st.tuples(st.sampled_from(["xmlns:p", "xmlns:q"]), NAMESPACES.filter(bool)),
        st.tuples(
            st.sampled_from(["a", "p:a", "q:b", "xml:lang", "xml:id", "xml:foo", "xml:space"]),
            VALUES,
        ),
    ),
    max_size=4,
    unique_by=lambda pair: pair[0],
).map(lambda pairs: "".join(f" {name}='{value}'" for name, value in pairs))
TEXTS = st.one_of(VALUES, st.sampled_from(["<![CDATA[<&]]]>", "<![CDATA[]]>", "\t\r\n"]))
ELEMENTS = st.recursive(
    st.builds(lambda name, more: f"<{name}{more}/>", NAMES, ATTRIBUTES),
    lambda inner: st.builds(
        lambda name, more, inside: f"<{name}{more}>{''.join(inside)}</{name}>",
        NAMES,
        ATTRIBUTES,
        st.lists(st.one_of(inner, TEXTS), max_size=4),
    ),
    max_leaves=8,
)


def taken(data: bytes, header: bytes = CLIENT_HEADER) -> Stanza | None:
    """The stanza that is made of it, if it is one."""
    parser = StreamParser(Limits())
    found = parser.receive(header + data)
    if parser.fault is not None or len(found) != 1:
        return None
    (one,) = found
    assert not isinstance(one, StanzaSkipped)
    return one if isinstance(one, Stanza) else Stanza.from_element(one)


@settings(max_examples=400, deadline=None)
@given(
    start=ATTRIBUTES.filter(lambda each: " xmlns=" not in each),
    inside=st.lists(ELEMENTS, max_size=3),
    header=st.sampled_from([CLIENT_HEADER, COMPONENT_HEADER]),
)
@example(start="", inside=["<x xmlns=''><xml:foo/></x>"], header=CLIENT_HEADER)
@example(start="", inside=["<xml:foo><a><xml:b xml:id='1 2'/></a></xml:foo>"], header=CLIENT_HEADER)
@example(
    start=" xmlns:p='u' xmlns:q='u'",
    inside=["<p:b p:a='1'><q:c xmlns:p='jabber:client' p:a='2'/></p:b>"],
    header=COMPONENT_HEADER,
)
def test_what_is_taken_is_written_so_that_it_is_taken(
    start: str, inside: list[str], header: bytes
) -> None:
    # Declared around it, so that most of what is made is well-formed.
    wrapped = f"<w xmlns:p='urn:p' xmlns:q='v'>{''.join(inside)}</w>"
    one = taken(f"<message{start}>{wrapped}</message>".encode(), header)
    if one is None:
        return
    wire = serialize(one.xml)
    again = taken(wire.encode())
    assert again is not None, wire
    assert canonical(again.xml) == canonical(one.xml), wire
    # As a component would get it, and as other processes do.
    other = taken(wire.encode(), COMPONENT_HEADER)
    assert other is not None
    assert canonical(other.xml) == canonical(one.xml), wire
    assert canonical(Stanza.parse(wire.encode()).xml) == canonical(one.xml), wire
    for child in one.xml:
        text = serialize(child)
        assert canonical(parse(f"<x xmlns='{ns.CLIENT}'>{text}</x>")[0]) == canonical(child), text
