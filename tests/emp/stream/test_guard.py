"""The byte guard: exact whatever the chunks are."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emp.stream.guard import ByteGuard


def passed(pieces: list[bytes]) -> tuple[bytes, str | None]:
    guard = ByteGuard()
    out = b""
    for piece in pieces:
        out += guard.pass_(piece)
        if guard.fault:
            return out, guard.fault.condition
    return out, None


GOOD = [
    b"",
    b"<a>text ! ? </a>",
    b"<a b='!?'>",
    b"<![CDATA[x]]>",
    b"<![CDATA[<!-- <?pi?> <!DOCTYPE ]] ]>  ]]><a/>",
    b"<![CDATA[]]]]><![CDATA[>]]>",
    "<a>é € 😀</a>".encode(),
    b"<a>&lt;!</a>",
    b"<a b='&amp;&lt;&gt;&quot;&apos;&#65;&#x1F600;'>",
    b"<![CDATA[ & &foo; ]]>&amp;",
]
BAD = [
    (b"<a/><!DOCTYPE x>", b"<a/>", "restricted-xml"),
    (b"<a/><!-- x -->", b"<a/>", "restricted-xml"),
    (b"<a/><?pi?>", b"<a/>", "restricted-xml"),
    (b"<?xml version='1.0'?>", b"", "restricted-xml"),
    (b"<![CDATA[]]><!ENTITY", b"<![CDATA[]]>", "restricted-xml"),
    (b"<![cdata[", b"", "restricted-xml"),
    (b"<![CDATA[ ]]><![INCLUDE[", b"<![CDATA[ ]]>", "restricted-xml"),
    (b"<a>\xff", b"<a>", "unsupported-encoding"),
    (b"<a>\xf7\x80\x80\x80</a>", b"<a>", "unsupported-encoding"),
    (b"<a>\xc0\xaf</a>", b"<a>", "unsupported-encoding"),
    (b"<a>\xed\xa0\x80</a>", b"<a>", "unsupported-encoding"),
    (b"<a>\xe2\x28\xa1</a>", b"<a>", "unsupported-encoding"),
    (b"<a/><!\xff", b"<a/>", "restricted-xml"),
    ("<a/><!é".encode(), b"<a/>", "restricted-xml"),
    (b"<a/>\xff<!--", b"<a/>", "unsupported-encoding"),
    (b"<![CDATA[\xff", b"<![CDATA[", "unsupported-encoding"),
    (b"<a>&foo;", b"<a>", "restricted-xml"),
    (b"<a>&ampere;", b"<a>", "restricted-xml"),
    ("<a>&é;".encode(), b"<a>", "restricted-xml"),
    (b"<a>& b", b"<a>", "not-well-formed"),
    (b"<a>&#x;", b"<a>", "not-well-formed"),
    (b"<a>&#xg;", b"<a>", "not-well-formed"),
    (b"<a>&#12345678901;", b"<a>", "not-well-formed"),
    (b"<a>&amp;&\xff", b"<a>&amp;", "restricted-xml"),
]


@pytest.mark.parametrize("data", GOOD)
def test_lets_pass_unchanged(data: bytes) -> None:
    assert passed([data]) == (data, None)
    assert passed([data[i : i + 1] for i in range(len(data))]) == (data, None)
    for cut in range(len(data)):
        assert passed([data[:cut], data[cut:]]) == (data, None)


@pytest.mark.parametrize(("data", "before", "condition"), BAD)
def test_stops_at_the_fault(data: bytes, before: bytes, condition: str) -> None:
    assert passed([data]) == (before, condition)
    assert passed([data[i : i + 1] for i in range(len(data))]) == (before, condition)
    for cut in range(len(data)):
        assert passed([data[:cut], data[cut:], b" trailing"]) == (before, condition)


@pytest.mark.parametrize(
    "half", [b"<", b"<!", b"<![CDAT", b"\xe2\x82", b"<![CDATA[ ]]", b"&am", b"&#x1"]
)
def test_holds_back_what_it_cannot_judge(half: bytes) -> None:
    guard = ByteGuard()
    out = guard.pass_(b"x" + half)
    assert guard.holds
    assert (b"x" + half).startswith(out)
    assert len(out) < len(half) + 1


_PARTS = st.sampled_from(
    [
        *(b"<", b"!", b"?", b"[", b"]", b">", b"<![CDATA[", b"]]>", b"CDATA", b"a", b"\xc3"),
        *(b"\xa9", b"-", b"&", b"#", b"x", b"1", b";", b"amp", b"lt;"),
    ]
)


@given(st.lists(_PARTS, max_size=12).map(b"".join), st.data())
def test_any_split_gives_the_same(data: bytes, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=6)))
    edges = [0, *cuts, len(data)]
    pieces = [data[a:b] for a, b in pairwise(edges)]
    assert passed(pieces) == passed([data])
