"""The route that would catch a stanza, ready to be pasted into a routes file.

It goes into logs, and what the stanza says was written by strangers: of their texts it holds only
the name and the namespace of a payload, of bounded length, as Python literals.
"""

from __future__ import annotations

import re
from typing import Final

from emp import ns
from emp.routing.builder import namespace_problem
from emp.routing.conditions import TYPES
from emp.routing.tokens import is_ncname
from emp.stanza import Message, Stanza

# Characters. XEPs have names of 30 and namespaces of 60; what is longer would only fill the log.
MAX_NAME: Final = 64
MAX_NAMESPACE: Final = 200

_PLAIN_PREFIX: Final = re.compile(r"[a-z][a-z0-9]{0,15}")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9._-]*")  # what everybody can read in a log


def suggest(stanza: Stanza) -> str:
    """The route for this stanza and its like, and where its payload needs one a second line with
    the declaration of a namespace. It compiles, and it matches the stanza."""
    if stanza.kind == "iq":
        method, xpath, namespaces = _request(stanza)
    elif isinstance(stanza, Message) and stanza.body is not None:
        method, xpath, namespaces = "message", "[body]", {}
    elif stanza.kind == "message":
        path, namespaces = _payload(stanza)
        method, xpath = "message", path and f"[{path}]"
    else:
        method, xpath, namespaces = "presence", None, {}
    arguments = [] if xpath is None else [repr(xpath)]
    if method not in ("iq_get", "iq_set") and stanza.type in TYPES[stanza.kind]:
        arguments.append(f"type={stanza.type!r}")
    route = f"routes.{method}({', '.join(arguments)}).to(YourComponent.action)"
    return f"{route}\n# namespaces={namespaces!r}" if namespaces else route


def _request(stanza: Stanza) -> tuple[str, str | None, dict[str, str]]:
    if stanza.type in ("get", "set"):
        return f"iq_{stanza.type}", *_payload(stanza)
    return "iq", None, {}


def _payload(stanza: Stanza) -> tuple[str | None, dict[str, str]]:
    """The payload as a path, and the namespaces of that; no path where it has no simple one."""
    namespace, _, name = (stanza.payload_name or "").rpartition("}")
    namespace = namespace[1:]
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME or len(namespace) > MAX_NAMESPACE:
        return None, {}
    if namespace == ns.CLIENT:
        return name, {}
    prefix = _prefix(namespace)
    if not is_ncname(name) or namespace_problem(prefix, namespace):
        return None, {}
    return f"{prefix}:{name}", {prefix: namespace}


def _prefix(namespace: str) -> str:
    """A prefix that reminds of the namespace: the last word in it, of urn:xmpp:mam:2 `mam`."""
    for word in reversed(re.split(r"[:/#?]", namespace)):
        usable = _PLAIN_PREFIX.fullmatch(word) and not word.startswith("xml")
        if usable and namespace_problem(word, namespace) is None:
            return word
    return "x"
