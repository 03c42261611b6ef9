"""Service discovery, what an entity is and can do (XEP-0030 §3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from emp import ns
from emp.stanza import Iq
from emp.view import Address
from emp.xml import Element, build

INFO: Final = f"{{{ns.DISCO_INFO}}}query"
_IDENTITY: Final = f"{{{ns.DISCO_INFO}}}identity"
_FEATURE: Final = f"{{{ns.DISCO_INFO}}}feature"
_LANG: Final = f"{{{ns.XML}}}lang"


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """What an entity is, in the words of the registry of XEP-0030; `name` is for people."""

    category: str
    type: str
    lang: str = ""
    name: str = ""

    def to_xml(self) -> Element:
        """The element."""
        return build(
            _IDENTITY,
            {_LANG: self.lang or None},
            category=self.category,
            type=self.type,
            name=self.name or None,
        )


@dataclass(frozen=True, slots=True)
class Info:
    """The answer to disco#info: identities, and the names of features. `node`: which part of it."""

    identities: tuple[Identity, ...] = ()
    features: frozenset[str] = frozenset()
    node: str | None = None

    def to_xml(self) -> Element:
        """The <query/>."""
        features = (build(_FEATURE, var=name) for name in sorted(self.features))
        return build(INFO, self.identities, features, node=self.node)


def ask(to: Address = None, node: str | None = None) -> Iq:
    """The question what `to` is and can do."""
    return Iq("get", build(INFO, node=node), to=to)


def read(query: Element) -> Info:
    """What a <query/> of disco#info says; incomplete identities and features are left out."""
    identities = tuple(
        Identity(
            child.get("category", ""),
            child.get("type", ""),
            child.get(_LANG, ""),
            child.get("name", ""),
        )
        for child in query.iterchildren(_IDENTITY)
        if child.get("category") and child.get("type")
    )
    features = frozenset(
        child.get("var", "") for child in query.iterchildren(_FEATURE) if child.get("var")
    )
    return Info(identities, features, query.get("node"))
