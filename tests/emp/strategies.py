"""Hypothesis strategies for XML: texts and trees, friendly and hostile."""

from __future__ import annotations

from hypothesis import strategies as st
from lxml import etree

from emp import ns

# All that XML 1.0 §2.2 allows, with a liking for what is markup.
characters = st.sampled_from("<>&'\"]\t\n\r /=") | st.characters(
    exclude_categories=["Cs"], exclude_characters=[*map(chr, range(0x20)), "\ufffe", "\uffff"]
)
texts = st.text(characters, max_size=12) | st.sampled_from(
    ["'/><iq>", "]]>", "<!--", "<?x?>", '" xmlns="jabber:client"', "&amp;", "</message>", "\r\n"]
)
forbidden = st.sampled_from(["\0", "\x01", "\x1f", "\ud800", "\udfff", "\ufffe", "\uffff"])
forbidden_texts = st.tuples(texts, forbidden, texts).map("".join)

namespaces = st.sampled_from(
    [ns.CLIENT, ns.CLIENT, ns.VERSION, "urn:x", "urn:'&y", ns.COMPONENT, None]
)
names = st.sampled_from(["message", "body", "thread", "query", "a", "x-y"])
attribute_names = st.sampled_from(
    ["to", "id", f"{{{ns.XML}}}lang", "{urn:x}a", "{urn:y}a", f"{{{ns.CLIENT}}}z"]
)
prefixes = st.dictionaries(
    st.sampled_from([None, "c", "ns0", "x"]),
    st.sampled_from([ns.CLIENT, "urn:x", ns.VERSION]),
    max_size=2,
)


def _element(
    name: str,
    namespace: str | None,
    nsmap: dict[str | None, str],
    attributes: dict[str, str],
    text: str | None,
    children: list[tuple[etree._Element, str | None]],
) -> etree._Element:
    if namespace is None:
        # lxml cannot say xmlns="": such an element stands below no default namespace of its own.
        nsmap = {prefix: uri for prefix, uri in nsmap.items() if prefix}
    tag = f"{{{namespace}}}{name}" if namespace else name
    element = etree.Element(tag, nsmap=nsmap)  # type: ignore[arg-type]
    for key, value in attributes.items():
        element.set(key, value)
    element.text = text
    for child, tail in children:
        child.tail = tail
        element.append(child)
    return element


def elements(
    children: st.SearchStrategy[etree._Element] | None = None,
    tags: tuple[st.SearchStrategy[str], st.SearchStrategy[str | None]] = (names, namespaces),
) -> st.SearchStrategy[etree._Element]:
    below: st.SearchStrategy[list[tuple[etree._Element, str | None]]]
    if children is None:
        below = st.builds(list)
    else:
        below = st.lists(st.tuples(children, st.none() | texts), max_size=3)
    return st.builds(
        _element,
        tags[0],
        tags[1],
        prefixes,
        st.dictionaries(attribute_names, texts, max_size=3),
        st.none() | texts,
        below,
    )


trees: st.SearchStrategy[etree._Element] = st.recursive(
    elements(), lambda below: elements(below), max_leaves=8
)
stanza_trees = elements(trees, (st.sampled_from(["message", "presence", "iq"]), st.just(ns.CLIENT)))

Canonical = tuple[object, ...]


def canonical(element: etree._Element) -> Canonical:
    """What two trees must share to be equal: names, attributes, texts; not prefixes or tail."""
    return (
        element.tag,
        sorted(element.items()),
        element.text or "",
        [(canonical(child), child.tail or "") for child in element],
    )
