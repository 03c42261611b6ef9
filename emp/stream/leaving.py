"""Stanzas that are complete leave the tree of their stream."""

from copy import copy
from typing import Any, Final

from lxml import etree

from emp import ns

# Stanzas that share a parent once they are out of the stream, and so live as long as any of them.
HOLDER_SIZE: Final = 16
_HOLDER_NAMESPACES: Final[Any] = {None: ns.CLIENT}  # the stubs know no default namespace
# Descendants of an element from which on it is copied and not moved: there both cost the same.
LARGE: Final = 400
# One piece of ordinary stanzas has fewer elements; with more, each stanza is looked at.
CROWD: Final = 2048
CROWD_BYTES: Final = 4 * CROWD  # <a/>

COMPONENT_ANY: Final = f"{{{ns.COMPONENT}}}*"
_COMPONENT_PREFIX: Final = f"{{{ns.COMPONENT}}}"

is_crowd: Final = etree.XPath(f"boolean(descendant::*[{CROWD + 1}])")
_is_large: Final = etree.XPath(f"boolean(descendant::*[{LARGE + 1}])")


def take_out(elements: list[etree._Element]) -> None:
    """Moves elements out of the stream's root, so that they do not pile up there.

    Into a parent that declares the default namespace, as the root does: an element without parent
    gets a prefix instead, serialises as <ns0:message xmlns:ns0=…>, and takes the long way out.
    """
    for start in range(0, len(elements), HOLDER_SIZE):
        holder = etree.Element("stanzas", nsmap=_HOLDER_NAMESPACES)
        holder.extend(elements[start : start + HOLDER_SIZE])


def copy_large(elements: list[etree._Element]) -> int:
    """Replaces those with many descendants by copies. Returns how many there are."""
    count = 0
    for number, element in enumerate(elements):
        if _is_large(element):
            elements[number] = copy(element)
            count += 1
    return count


def rename(elements: list[etree._Element]) -> None:
    """Into jabber:client what declares jabber:component:accept itself."""
    for element in elements:
        if element.tag.startswith(_COMPONENT_PREFIX):
            for each in element.iter(COMPONENT_ANY):
                each.tag = f"{{{ns.CLIENT}}}" + each.tag.removeprefix(_COMPONENT_PREFIX)
