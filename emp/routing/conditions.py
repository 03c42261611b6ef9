"""Keyword conditions of a route: `from_="bar@localhost"`, `type="chat"`, `body=re.compile("^!")`.

Each is two things that mean the same: a check in Python on the stanza's envelope, which costs a
tenth of what XPath would, and an XPath predicate, for people and for the tests that hold one
against the other.

    from_, to    "bar@localhost"        that address with any resource or none
                 "bar@localhost/x"      exactly that full address
                 "localhost"            the domain itself, with any resource or none; not its users
                 "@localhost"           every user of the domain, not the domain itself
    type         "chat"                 if absent, "normal" (message), "available" (presence);
                                        an unknown one of a message is "normal"
                 "*"                    any; no condition
    id_          "x1"                   exactly
    body, subject, thread               exactly the text of such a child (of any, if there are many)
    all          re.compile("…")        found somewhere in the text; an absent text never matches

Addresses are compared after normalisation (RFC 7622): "BAR@localhost" is the same user. A domain
does not stand for its users, unlike in XEP-0191 §5: there a wider match blocks more, here it
would give a stranger the routes of an administrator.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from emp import ns
from emp.errors import FORBIDDEN_CHARACTERS, JIDError, RouteError
from emp.jid import JID
from emp.routing import regex
from emp.routing.functions import bare, full, is_normal
from emp.routing.glance import glance
from emp.routing.keys import Fact, Key, Source, Term, string_value
from emp.routing.literals import demanded
from emp.routing.syntax import quote
from emp.stanza import MESSAGE_TYPES, Stanza
from emp.view import tree_of
from emp.wire import BODY
from emp.xml import clark

Check: TypeAlias = Callable[[Stanza], bool]
Wanted: TypeAlias = str | JID | re.Pattern[str]

# RFC 6120 §8.2.3, RFC 6121 §5.2.2 and §4.7.1, with what an absent type means.
TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "message": MESSAGE_TYPES,
    "presence": (
        "available", "unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed",
        "probe", "error",
    ),
    "iq": ("get", "set", "result", "error"),
}  # fmt: skip
DEFAULT_TYPE: Final[Mapping[str, str]] = {"message": "normal", "presence": "available", "iq": ""}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on a stanza.

    xpath: the same as a predicate, without brackets; check: the same in Python; key: what the
    index can look it up by, None if it cannot; others: other keys that would do; payload: what
    meets it has a payload for certain.
    """

    xpath: str
    check: Check
    key: Key | None = None
    others: tuple[Key, ...] = ()
    payload: bool = False


def condition(field: str, wanted: object, kind: str | None) -> Condition:
    """The condition for one keyword. kind: that of the route's stanzas, None for all.

    Raises RouteError for a value that can never be met.
    """
    if isinstance(wanted, JID) and field in ("from_", "to"):
        wanted = str(wanted)
    if isinstance(wanted, re.Pattern) and isinstance(wanted.pattern, str):
        _refuse_forbidden(field, wanted.pattern)
        return _PATTERNS[field](field, wanted, kind)
    if not isinstance(wanted, str):
        raise RouteError(
            f"{field}= takes a text or a re.compile(…) of one, not {wanted!r:.80}",
        )
    _refuse_forbidden(field, wanted)
    return _TEXTS[field](field, wanted, kind)


_SLOTS: Final = {"type": "type", "id": "id", "from": "from_text", "to": "to_text"}


def _refuse_forbidden(field: str, text: str) -> None:
    if FORBIDDEN_CHARACTERS.search(text):
        raise RouteError(f"{field}= holds characters that XML does not have: {text!r:.80}")


# -- type -----------------------------------------------------------------------------------------

# What `type=` says of a route for all types. Without it, a route for messages is for these only:
# who answers what it finds in a room (its own words are among it), a headline or an error, talks
# without end, so that has to be asked for.
ANY_TYPE: Final = "*"
ORDINARY: Final = ("normal", "chat")
_MESSAGE: Final = "self::message"


def _types_of_message(matches: Callable[[str], bool]) -> str:
    """The predicate for messages whose type, as it reads, matches: what is none of the others is
    normal."""
    others = [each for each in MESSAGE_TYPES if each != "normal"]
    wanted = matches("normal")
    named = " or ".join(f"@type={quote(each)}" for each in others if matches(each) is not wanted)
    if wanted:
        return f"not({named})" if named else "true()"
    return named or "false()"


def ordinary(kind: str | None) -> Condition:
    """The condition of a route that says nothing of types: its messages are normal or chat. kind:
    "message", or None for a route for all stanzas."""
    xpath = _types_of_message(ORDINARY.__contains__)
    if kind is None:
        xpath = f"not({_MESSAGE}) or {xpath}"
        return Condition(xpath, lambda each: each.kind != "message" or each.type in ORDINARY)
    key = Key(tuple(Term(_TYPE, each) for each in ORDINARY), exact=True)
    return Condition(xpath, lambda each: each.type in ORDINARY, key)


def _types_xpath(kind: str | None, xpath: str, matches: Callable[[str], bool]) -> str:
    """The predicate for all kinds that the route is for. xpath: for a type that is there."""
    if kind == "message":
        return _types_of_message(matches)
    for each, default in DEFAULT_TYPE.items():
        if kind in (None, each) and each != "message" and matches(default):
            absent = "string(@type)=''"
            xpath += f" or {absent}" if kind else f" or (self::{each} and {absent})"
    if kind is not None:
        return xpath
    return f"({_MESSAGE} and ({_types_of_message(matches)})) or (not({_MESSAGE}) and ({xpath}))"


def _type(field: str, wanted: str, kind: str | None) -> Condition:
    known = TYPES[kind] if kind else sorted({name for names in TYPES.values() for name in names})
    if wanted not in known:
        near = difflib.get_close_matches(wanted, known, 1)
        raise RouteError(
            f"there is no {kind or 'stanza'} of type {wanted!r}",
            remedy=f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known)}",
        )
    xpath = f"@type={quote(wanted)}"
    if kind is not None or wanted in DEFAULT_TYPE.values():
        xpath = _types_xpath(kind, xpath, wanted.__eq__)
    elif wanted not in MESSAGE_TYPES:
        xpath = f"not({_MESSAGE}) and {xpath}"  # a message of that type is a normal one
    return Condition(xpath, equals("type", wanted), _key(_TYPE, wanted, exact=True))


def _type_pattern(field: str, wanted: re.Pattern[str], kind: str | None) -> Condition:
    matches = regex.compiled(wanted).found
    xpath = _types_xpath(kind, f"@type[.!=''][{_re_test(wanted)}]", matches)
    return Condition(xpath, lambda stanza: matches(stanza.type))


# -- other attributes -----------------------------------------------------------------------------


def _address(field: str, wanted: str, kind: str | None) -> Condition:
    attribute = "from" if field == "from_" else "to"
    try:
        jid = JID.parse(wanted.removeprefix("@"))
        if wanted.startswith("@") and str(jid) != jid.domain:
            raise JIDError("after the @ stands more than a domain")
    except JIDError as error:
        raise RouteError(
            f"{field}={wanted!r} is not an address: {error}",
            remedy="Write user@domain, user@domain/resource, domain, or @domain for all its users",
        ) from None
    slot = _SLOTS[attribute]
    if wanted.startswith("@"):
        xpath = f"jid:local(@{attribute}) and jid:domain(@{attribute})={quote(jid.domain)}"
        key = _key(Source(Fact.DOMAIN, (), attribute), jid.domain)
        return Condition(xpath, _user_of(slot, jid.domain), key)
    name = str(jid.bare)
    source = Source(Fact.BARE, (), attribute)
    if jid.is_bare:
        xpath = f"jid:bare(@{attribute})={quote(name)}"
        return Condition(xpath, _has_bare(slot, name), _key(source, name, exact=True))
    xpath = f"jid:full(@{attribute})={quote(str(jid))}"
    return Condition(xpath, _has_full(slot, str(jid)), _key(source, name))


def _has_bare(slot: str, wanted: str) -> Check:
    def check(stanza: Stanza) -> bool:
        text: str | None = getattr(stanza, slot)
        if text is None:
            return False
        name = text.partition("/")[0]
        return name == wanted or (not is_normal(name) and bare(name) == wanted)

    return check


def _has_full(slot: str, wanted: str) -> Check:
    def check(stanza: Stanza) -> bool:
        text: str | None = getattr(stanza, slot)
        return text is not None and (text == wanted or full(text) == wanted)

    return check


def _user_of(slot: str, domain: str) -> Check:
    def check(stanza: Stanza) -> bool:
        text: str | None = getattr(stanza, slot)
        if text is None:
            return False
        _, at, after = bare(text).partition("@")
        return bool(at) and after == domain

    return check


def equals(slot: str, wanted: str) -> Check:
    """A check that a slot of the stanza has the value."""
    return lambda stanza: getattr(stanza, slot) == wanted


def _id(field: str, wanted: str, kind: str | None) -> Condition:
    key = _key(Source(Fact.ATTRIBUTE, (), "id"), wanted, exact=True)
    return Condition(f"@id={quote(wanted)}", equals("id", wanted), key)


def _attribute_pattern(field: str, wanted: re.Pattern[str], kind: str | None) -> Condition:
    attribute = field.removesuffix("_")
    slot, pattern = _SLOTS[attribute], regex.compiled(wanted)
    return Condition(
        f"@{attribute}[{_re_test(wanted)}]",
        lambda stanza: regex.found(pattern, getattr(stanza, slot)),
        pattern_key(pattern, (), attribute),
    )


def _re_test(pattern: re.Pattern[str]) -> str:
    text, flags = regex.portable(pattern)
    return f"re:test(., {quote(text)}" + (f", {quote(flags)})" if flags else ")")


# -- children with text ---------------------------------------------------------------------------


def _child(field: str, wanted: str, kind: str | None) -> Condition:
    key = _key(Source(Fact.TEXT, (_tag(field),)), wanted)
    return _of_child(field, f".={quote(wanted)}", kind, lambda text: text == wanted, key)


def _child_pattern(field: str, wanted: re.Pattern[str], kind: str | None) -> Condition:
    pattern = regex.compiled(wanted)
    key = pattern_key(pattern, (_tag(field),)) or _key(Source(Fact.CHILD, (_tag(field),)), "")
    return _of_child(field, _re_test(wanted), kind, pattern.found, key)


def _of_child(
    field: str, xpath: str, kind: str | None, matches: Callable[[str], bool], key: Key
) -> Condition:
    if kind not in ("message", None):
        raise RouteError(f"{field}= is for messages, not for {kind}")
    return Condition(f"{field}[{xpath}]", _any_child(_tag(field), matches), key)


def _any_child(tag: str, matches: Callable[[str], bool]) -> Check:
    is_body = tag == BODY

    def check(stanza: Stanza) -> bool:
        seen = glance(stanza)
        if seen is not False:
            return is_body and seen is not None and matches(seen)
        # Hot path: iterchildren(tag) takes 1.6 times as long, and any() would add a generator.
        for child in tree_of(stanza):  # noqa: SIM110
            if child.tag == tag and matches(string_value(child)):
                return True
        return False

    return check


def _tag(field: str) -> str:
    return clark(ns.CLIENT, field)


# -- keys -----------------------------------------------------------------------------------------

_TYPE: Final = Source(Fact.TYPE)


def _key(source: Source, value: str, exact: bool = False) -> Key:
    return Key((Term(source, value),), exact)


def pattern_key(pattern: regex.Pattern, path: tuple[str, ...], name: str = "") -> Key | None:
    """By what the index finds texts in which the pattern is found, None if by nothing."""
    demand = demanded(pattern)
    if demand is None:
        return None
    source = Source(Fact.START if demand.at_start else Fact.PART, path, name, demand.folded)
    return Key(tuple(Term(source, text) for text in demand.texts))


# The order is that of the predicates in Route.xpath, so that equal routes have equal XPath.
_TEXTS: Final[Mapping[str, Callable[[str, str, str | None], Condition]]] = {
    "type": _type,
    "from_": _address,
    "to": _address,
    "id_": _id,
    "body": _child,
    "subject": _child,
    "thread": _child,
}
_PATTERNS: Final[Mapping[str, Callable[[str, re.Pattern[str], str | None], Condition]]] = {
    "type": _type_pattern,
    "from_": _attribute_pattern,
    "to": _attribute_pattern,
    "id_": _attribute_pattern,
    "body": _child_pattern,
    "subject": _child_pattern,
    "thread": _child_pattern,
}
FIELDS: Final = tuple(_TEXTS)
