"""The shortcut for the plainest stanzas: read by one regular expression, without libxml2.

Most of what flows through a stream is of a small subset of XML, and lxml takes three times as long
for it. A stanza is *plain* if it is

    <message|presence|iq ATTRIBUTES/>    or    <message|presence|iq ATTRIBUTES>CHILDREN</…>

- ATTRIBUTES: of type, id, from, to and xml:lang each at most once, all in the same kind of quotes,
  each with one space before it and with a value. Values hold neither quotes nor < > &, nor what
  is normalised there (line breaks, tabs).
- CHILDREN: elements without text between them: <name/> or <name>text</name>, with four attributes
  at most. Names are ASCII, without prefix, and not long. A child may declare a namespace, which
  is a URI that libxml2 has nothing to say about, and neither jabber:client nor that of components.
  An iq has one child at most, which has nothing but its namespace: who gets an iq with more in it
  looks into it, and that takes a tree.
- text: without < and references other than the five predefined ones.

What XML forbids (control characters, U+FFFE, "]]>" in texts) and what it would change on its way
(carriage returns) is not plain either. So a plain stanza is well-formed by itself, in whatever
place of a document elements may stand; within all limits of a stream but that of its size; and
its text, as it came, is its wire form (emp.view). Where jabber:client is the default namespace it
means what `_contents` says. All the rest is *odd*: not our business, and for lxml to judge.

That a stretch of bytes looks plain proves nothing about where it stands: it may be inside of an
odd stanza, or of an attribute's value. The caller takes stanzas from here only where nothing is
open (emp.stream.parser), and has seen to it that the bytes are UTF-8 without markup other than
tags, references and CDATA (emp.stream.guard).

tests/emp/stream/test_shortcut.py compares with lxml, and so does tools/fuzz.
"""

import re
from typing import Any, Final

from emp.stanza import Iq, Message, Presence, Stanza
from emp.view import Slots
from emp.wire import NOTHING, Contents

ATTRIBUTES: Final = 5
"""No element of a plain stanza has more; a stream that allows fewer takes no shortcut."""

# Every alternative begins with another character, and what is repeated within one is possessive. So
# there is nothing to be tried twice but the end of something: linear, whatever comes. Groups are
# not possessive, for before Python 3.11.5 those lose their place (python/cpython#106052).
# A class that names what it allows is faster than its opposite, by a dispatch for each character;
# one character that is not allowed is faster than both.
_QUOTE: Final = "['\"]"
_VALUE: Final = r"[ !#-%(-;=?-~\x80-\U0010ffff]++"
_LANGUAGE: Final = "[A-Za-z0-9-]++"
_NAME: Final = r"(?!xml)[A-Za-z_][A-Za-z0-9_.-]{0,63}+"
_URI: Final = (
    r"(?!jabber:c|http://www\.w3\.org/(?:XML|2000)/)"
    r"[a-z]{1,20}+:[A-Za-z0-9/._:-]{1,200}+(?:#[A-Za-z0-9/._:-]{0,100}+)?"
)


def _once(number: int, name: str, value: str) -> str:
    """An attribute of the stanza, unless group `number`, which holds its value, is set already."""
    return f"{name}=(?({number})(?!)|(?P=quote)({value})(?P=quote))"


def _quoted(value: str) -> str:
    return f"(?:'{value}'|\"{value}\")"


def _attributes() -> str:
    """Those of a child, four at most: no name twice, and no namespace that is none of ours."""
    one = rf"(?:xmlns(?=={_quoted(_URI)})|{_NAME})"
    names = ("a", "b", "c")
    nested = f"(?: (?!(?P=a)=)(?!(?P=b)=)(?!(?P=c)=){one}={_quoted(_VALUE)})?"
    for number in (2, 1, 0):
        others = "".join(f"(?!(?P={other})=)" for other in names[:number])
        nested = f"(?: {others}(?P<{names[number]}>{one})={_quoted(_VALUE)}{nested})?"
    return nested


_CHILD: Final = f"<(?P<name>{_NAME}){_attributes()}(?:/>|>[^<]*+</(?P=name)>)"
_IQ_CHILD: Final = f"<{_NAME} xmlns={_quoted(_URI)}/>"
# The lookahead is for the kind of quotes: that of the first attribute.
_PLAIN: Final = (
    r"<(?P<kind>message|presence|(?P<iq>iq))(?=(?: [a-z:]++=(?P<quote>['\"]))?)"
    rf"(?: (?:{_once(5, 'type', _VALUE)}|{_once(6, 'id', _VALUE)}|{_once(7, 'from', _VALUE)}"
    rf"|{_once(8, 'to', _VALUE)}|{_once(9, 'xml:lang', _LANGUAGE)}))*"
    r"(?:/>|>(?:(?(iq)(?!)|<body>)(?P<body>[^<]++)</body>)?"
    rf"(?P<children>(?(iq)(?:{_IQ_CHILD})?|(?:{_CHILD})*))</(?P=kind)>)"
)
# From where nothing plain begins to the next place where a stanza might.
_ODD: Final = "(?:<|[^<])[^<]*+(?:<(?!message|presence|iq)[^<]*+)*"
_pattern: Final = re.compile(f"(?P<whole>{_PLAIN}|{_ODD})")
_find: Final = _pattern.findall
_NO_GROUPS: Final = ("",) * (_pattern.groups - 1)

_look: Final = re.compile(
    f"<({_NAME})((?: [^ =]++={_quoted('[^<]*?')})*)(?:/>|>([^<]*+)</[^>]*+>)"
).findall
_namespace: Final = re.compile(f" xmlns={_QUOTE}([^'\"]*+)").search

# Bytes that are in no plain stanza, wherever they stand: each becomes another one.
_FORBIDDEN: Final = bytes(range(0x20)).translate(None, b"\t\n")
_CHANGED: Final = bytes(each ^ 1 if each in _FORBIDDEN else each for each in range(0x100))
# The same as text, with what takes more than one character.
_is_odd: Final = re.compile(f"[{re.escape(_FORBIDDEN.decode())}\ufffe\uffff]|&#|\\]\\]>").search

_CLASSES: Final = {each.kind: each for each in (Message, Presence, Iq)}
_new: Final = object.__new__

Run = list[Stanza] | bytes
"""Plain stanzas that follow each other, or what is odd."""


def sort(piece: bytes) -> list[Run]:
    """All of the piece, which is UTF-8, in its order; plain stanzas and what is odd in turns."""
    text = piece.decode()
    found = _find(text)
    if not _is_clean(piece, text):
        found = [each if _is_odd(each[0]) is None else (each[0], *_NO_GROUPS) for each in found]
    references = "&" in text
    runs: list[Run] = []
    stanzas: list[Stanza] = []
    odd: list[str] = []
    # The hot path: one pass, in which nothing is called for a stanza with nothing but a body. A new
    # stanza is filled in as in emp.view, which says why.
    for (
        whole, kind, _, _, type, id, sender, receiver, _, body, children, _, _, _, _
    ) in found:  # fmt: skip
        if not kind:
            if stanzas:
                runs.append(stanzas)
                stanzas = []
            odd.append(whole)
            continue
        if odd:
            runs.append("".join(odd).encode())
            odd = []
        self: Any = _new(Slots)
        if children:
            self._contents = _contents(body or None, children)
        elif not body:
            self._contents = NOTHING
        elif references:
            self._contents = None, None, _unescaped(body)
        else:
            self._contents = None, None, body
        self._tree = None
        self._text = whole
        self._id = id or None
        self.from_text = sender or None
        self.to_text = receiver or None
        cls = _CLASSES[kind]
        self.type = cls._types[type]
        self.__class__ = cls
        stanzas.append(self)
    if stanzas:
        runs.append(stanzas)
    if odd:
        runs.append("".join(odd).encode())
    return runs


def _is_clean(piece: bytes, text: str) -> bool:
    """Whether nothing in it is odd wherever it stands. Each look is some tens of microseconds for
    64 KiB, most of them a few only."""
    return (
        piece.translate(_CHANGED) is piece  # nothing was changed: the same object
        and not (b"]" in piece and b"]]>" in piece)
        and not (b"&" in piece and b"&#" in piece)
        and (text.isascii() or not ("\ufffe" in text or "\uffff" in text))
    )


def _contents(body: str | None, children: str) -> Contents:
    """As Stanza._look() finds them in a tree. body: of the first child, if it is one."""
    payload = thread = None
    if body is not None:
        body = _unescaped(body)
    for name, attributes, text in _look(children):
        namespace = _namespace(attributes) if attributes else None
        if namespace is not None:
            payload = payload or f"{{{namespace[1]}}}{name}"
        elif name == "thread" and thread is None:
            thread = _unescaped(text)
        elif name == "body" and body is None:
            body = _unescaped(text)
    return payload, thread, body


def _unescaped(text: str) -> str:
    """What a text with the predefined references says."""
    if "&" not in text:
        return text
    for reference, character in _REFERENCES:
        text = text.replace(reference, character)
    return text


# The last one makes new references, to which the others have nothing to say any more.
_REFERENCES: Final = (
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&quot;", '"'),
    ("&apos;", "'"),
    ("&amp;", "&"),
)
