"""Stanzas that are odd, and that servers may pass on: made by chance from what XMPP has."""

from __future__ import annotations

import random
from collections.abc import Callable
from xml.sax.saxutils import escape, quoteattr

TYPES = {
    "message": ("chat", "normal", "groupchat", "headline", "error", "bogus", "CHAT", ""),
    "presence": (
        *("", "unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed"),
        *("probe", "error", "bogus", "available"),
    ),
    "iq": ("get", "set", "result", "error", "GET", "bogus", ""),
}
NAMESPACES = (
    *("", "u", "urn:example:bot", "jabber:client", "jabber:server", "jabber:component:accept"),
    *("http://etherx.jabber.org/streams", "urn:ietf:params:xml:ns:xmpp-streams"),
    *("urn:ietf:params:xml:ns:xmpp-stanzas", "urn:ietf:params:xml:ns:xmpp-sasl", "urn:xmpp:sm:3"),
    *("urn:xmpp:carbons:2", "urn:xmpp:forward:0", "urn:xmpp:mam:2", "jabber:iq:roster"),
    *("urn:xmpp:ping", "http://jabber.org/protocol/muc#user", "http://jabber.org/protocol/caps"),
    *("http://www.w3.org/1999/xhtml", "%", "{u}", "a b", "u:r:n#", "//", "ü", "x" * 1200),
)
NAMES = (
    *("x", "body", "subject", "thread", "error", "message", "iq", "presence", "stream", "query"),
    *(
        "forwarded",
        "received",
        "sent",
        "result",
        "delay",
        "html",
        "_",
        "é",
        "a-b.c",
        "Ω",
        "n" * 900,
    ),
)
PREFIXES = ("p", "q", "xs", "stream", "ns1", "é", "_", "db")
ATTRIBUTES = ("a", "b", "type", "from", "to", "id", "lang", "stamp", "node", "é", "a-b", "k" * 700)
XML_ATTRIBUTES = ("lang", "space", "id", "base", "foo")
CONDITIONS = ("bad-request", "gone", "item-not-found", "undefined-condition", "policy-violation")
CHARACTERS = (
    *"aZ09 '\"<>&;=/\\[]{}%$",
    *"\t\n\x7f\x85\xa0\xad\u200b\u200d\u2028\u202e\u3164\ud7ff\ue000\ufdd0\ufeff\ufffd",
    *"\U0001f431\U0001fffe\U0002070e\U000e0041\U000fffff\U0010fffd\U0010ffff",
)
REFERENCES = ("&#9;", "&#10;", "&#13;", "&#x41;", "&#x1F431;", "&#0000000065;", "&amp;", "&apos;")

Chance = random.Random


def text(chance: Chance, most: int = 30) -> str:
    return "".join(chance.choices(CHARACTERS, k=chance.randint(0, most)))


def content(chance: Chance) -> str:
    """Text as XML may write it."""
    way = chance.randrange(5)
    if way == 0:
        return f"<![CDATA[{text(chance).replace(']', '')}]]>"
    if way == 1:
        return "".join(chance.choices(REFERENCES, k=chance.randint(1, 8)))
    if way == 2:
        return chance.choice("'>\"") * chance.randint(1, 400)
    return escape(text(chance))


def attributes(chance: Chance, prefixes: tuple[str, ...]) -> str:
    many = chance.random() < 0.04
    names = [f"m{number}" for number in range(chance.randint(80, 140))] if many else []
    names += chance.sample(ATTRIBUTES, chance.choice((0, 0, 1, 2, 4)))
    names += [f"{prefix}:{chance.choice(ATTRIBUTES)}" for prefix in prefixes]
    if chance.random() < 0.1:
        names.append(f"xml:{chance.choice(XML_ATTRIBUTES)}")
    values = [chance.choice(("", "x", "1", text(chance), "v" * 2000)) for _ in names]
    short = [value if not many else "" for value in values]
    return "".join(f" {name}={quoteattr(value)}" for name, value in zip(names, short, strict=True))


def element(chance: Chance, depth: int = 0) -> str:
    name, namespace = chance.choice(NAMES), chance.choice(NAMESPACES)
    declared = ""
    prefixes: tuple[str, ...] = ()
    if depth == 0 or chance.random() < 0.4:
        declared = f" xmlns={quoteattr(namespace)}"
    if namespace and chance.random() < 0.3:
        prefix = chance.choice(PREFIXES)
        declared += f" xmlns:{prefix}={quoteattr(namespace)}"
        prefixes = (prefix,)
        if chance.random() < 0.5:
            name = f"{prefix}:{name}"
    inner = "".join(
        element(chance, depth + 1) if chance.random() < 0.5 else content(chance)
        for _ in range(chance.choice((0, 1, 1, 2, 3)) if depth < 4 else 0)
    )
    return f"<{name}{declared}{attributes(chance, prefixes)}>{inner}</{name}>"


def deep(chance: Chance) -> str:
    depth = chance.choice((20, 60, 100, 150, 260))
    return "<x xmlns='u'>" + "<y>" * depth + content(chance) + "</y>" * depth + "</x>"


def wide(chance: Chance) -> str:
    return f"<x xmlns='u'>{'<y/>' * chance.randint(50, 700)}</x>"


def error(chance: Chance) -> str:
    condition = chance.choice((*CONDITIONS, "bogus"))
    kind = chance.choice(("cancel", "auth", "wait", "modify", "continue", "bogus"))
    texts = "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>x</text>" * chance.randint(0, 2)
    inner = f"<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>" * chance.randint(0, 2)
    return f"<error type='{kind}'>{texts}{inner}</error>"


def body(chance: Chance) -> str:
    language = f" xml:lang={quoteattr(chance.choice(('en', 'x', '', 'de-DE')))}"
    return f"<body{language * chance.randint(0, 1)}>{content(chance)}</body>"


def ordinary(chance: Chance) -> str:
    return chance.choice(
        (
            f"<show>{chance.choice(('away', 'x', ''))}</show>",
            f"<priority>{chance.choice(('1', '-128', '+7', ' 7 '))}</priority>",
            f"<status>{content(chance)}</status>",
            f"<subject>{content(chance)}</subject>",
            f"<thread parent='p'>{content(chance)}</thread>",
            "<question xmlns='urn:example:bot'/>",
            "<query xmlns='jabber:iq:version'/>",
            "<ping xmlns='urn:xmpp:ping'/>",
        )
    )


CHILDREN: tuple[Callable[[Chance], str], ...] = (
    *(body, body, ordinary, ordinary, element, element, element, error, deep, wide),
)


def oddity(chance: Chance, to: str) -> str:
    """One stanza for `to`. Its body is never a question that the bot answers by name."""
    kind = chance.choice(("message", "message", "presence", "iq", "iq"))
    given = [f"to={quoteattr(to)}"]
    if (type := chance.choice(TYPES[kind])) or chance.random() < 0.2:
        given.append(f"type={quoteattr(type)}")
    if chance.random() < 0.8:
        given.append(f"id={quoteattr(chance.choice(('1', '', 'i' * 1023, text(chance))))}")
    if chance.random() < 0.1:
        given.append(f"xml:{chance.choice(XML_ATTRIBUTES)}='en'")
    if chance.random() < 0.1:
        given.append(f"xmlns:p='u' p:{chance.choice(ATTRIBUTES)}='1'")
    chance.shuffle(given)
    count = chance.choice((0, 1, 1, 1, 2, 3))
    inner = "".join(chance.choice(CHILDREN)(chance) for _ in range(count))
    return f"<{kind} {' '.join(given)}>{inner}</{kind}>"
