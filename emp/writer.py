"""Elements written by their names alone, for trees that libxml2 does not write as XMPP needs them.

emp.xml.serialize says when.
"""

from typing import Any, Final

from lxml import etree

from emp import ns
from emp.errors import LocalProtocolError
from emp.escaping import escape, escape_text

PREFIXES: Final = 100
"""Prefixes that one element may declare, with all that it holds. Of more only those are written
that attributes need: looking at each of thousands at each of thousands of elements would take
seconds, and no protocol has more than a handful."""


class Writer:
    """Writes one element.

    All elements are written without prefix, but for those in the namespace of XML. Prefixes are
    declared as in the tree, because values such as xsi:type="xs:string" refer to them, and
    for attributes; never for jabber:client, as then elements would be in it in a component's stream
    too.
    """

    def __init__(self, top: etree._Element) -> None:
        self._top = top
        self._parts: list[str] = []
        self._scope = {"xml": ns.XML}  # prefix → namespace, of what is written so far
        self._prefixes = {ns.XML: "xml"}  # namespace → the prefix that was declared for it last
        self._undo: list[tuple[str, str | None]] = []  # what prefixes meant before
        declared = etree.iterwalk(top, events=("start-ns",))
        self._keeps = len(top.nsmap) + sum(1 for _, (prefix, _) in declared if prefix) <= PREFIXES

    def text(self) -> str:
        """The element, without what follows it. LocalProtocolError as serialize()."""
        # Work list instead of recursion: a tree that was built here may be of any depth.
        pending: list[tuple[etree._Element, str] | str | int] = [(self._top, ns.CLIENT)]
        while pending:
            item = pending.pop()
            if isinstance(item, str):
                self._parts.append(item)
            elif isinstance(item, int):
                self._leave(item)
            else:
                element, default = item
                pending.append(len(self._undo))
                within, name = self._start(element, default)
                if element.text is None and not len(element):
                    self._parts.append("/>")
                    continue
                self._parts.append(f">{escape_text(element.text or '')}")
                pending.append(f"</{name}>")
                for child in reversed(element):
                    if child.tail:
                        pending.append(escape_text(child.tail))
                    pending.append((child, within))
        return "".join(self._parts)

    def _start(self, element: etree._Element, default: str) -> tuple[str, str]:
        """Writes the start tag, but for its end; returns the default namespace within, and the
        name."""
        if not isinstance(element.tag, str):
            raise LocalProtocolError("XMPP has no comment, processing instruction or entity")
        namespace, _, name = element.tag.rpartition("}")
        namespace = namespace[1:]
        if namespace == ns.XML:  # no declaration may name it
            namespace, name = default, f"xml:{name}"
        self._parts.append(f"<{name}")
        if namespace != default:
            self._parts.append(f' xmlns="{escape(namespace)}"')
        if self._keeps:
            for prefix, uri in element.nsmap.items():
                if prefix and uri != ns.CLIENT and self._scope.get(prefix) != uri:
                    self._declare(prefix, uri)
        attributes: Any = element.items()  # str to str, whatever the stubs say
        for key, value in attributes:
            uri, _, local = key.rpartition("}")
            if uri:
                local = f"{self._prefix(uri[1:])}:{local}"
            self._parts.append(f' {local}="{escape(value)}"')
        return namespace, name

    def _prefix(self, uri: str) -> str:
        prefix = self._prefixes.get(uri)
        if prefix is None or self._scope.get(prefix) != uri:
            prefix = f"ns{len(self._scope)}"
            while prefix in self._scope:
                prefix += "_"
            self._declare(prefix, uri)
        return prefix

    def _declare(self, prefix: str, uri: str) -> None:
        self._parts.append(f' xmlns:{prefix}="{escape(uri)}"')
        self._undo.append((prefix, self._scope.get(prefix)))
        self._scope[prefix] = uri
        self._prefixes[uri] = prefix

    def _leave(self, mark: int) -> None:
        """Forgets what was declared since."""
        while len(self._undo) > mark:
            prefix, before = self._undo.pop()
            if before is None:
                del self._scope[prefix]
            else:
                self._scope[prefix] = before
