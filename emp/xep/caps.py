"""Entity capabilities (XEP-0115): what we can do, as a hash in our presence."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import Final

from emp import ns
from emp.stanza import Stanza
from emp.view import payload_of
from emp.xep import disco
from emp.xml import Element, build

_CAPS: Final = f"{{{ns.CAPS}}}c"


def ver(info: disco.Info) -> str:
    """The verification string (§5.1). SHA-1 is what everybody implements; it protects a cache."""
    identities = [
        f"{each.category}/{each.type}/{each.lang}/{each.name}".encode() for each in info.identities
    ]
    features = [name.encode() for name in info.features]
    text = b"".join(each + b"<" for each in (*sorted(identities), *sorted(features)))
    return base64.b64encode(hashlib.sha1(text, usedforsecurity=False).digest()).decode()


class Capabilities:
    """Ours: what goes into presence, and the answer to who asks what it means.

    node: a URI that names the software; info: what it is and can do, without data forms.
    """

    def __init__(self, node: str, info: disco.Info) -> None:
        self._name = node
        self._ver = ver(info)
        self._node = f"{node}#{self._ver}"
        self._info = replace(info, node=self._node)

    def to_xml(self) -> Element:
        """The child of presence (§6.1)."""
        return build(_CAPS, hash="sha-1", node=self._name, ver=self._ver)

    def answer(self, request: Stanza) -> disco.Info | None:
        """The payload of the answer, if the request is the question for our hash (§6.2)."""
        query = payload_of(request)
        if query is None or query.tag != disco.INFO or query.get("node") != self._node:
            return None
        return self._info
