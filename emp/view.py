"""What messages, presences and IQs share: a thin view on an element or on its wire text.

A stanza has two representations, each made from the other when it is asked for, and then kept:

- the *tree*: an lxml element in jabber:client, whatever the stream it came by;
- the *wire text*: its serialisation without xmlns on the top element, so that the same text fits
  into client streams and component streams, whose default namespaces differ. As str, because most
  stanzas are made by formatting text, or cut out of one, and leave in batches that are encoded
  once.

Its *envelope* (type, id, from, to) stands in slots of its own, read from the tree once, because
router and connections look at it several times for each stanza and an lxml attribute costs ten
times as much as a slot. So do its *contents*: payload name, thread and body, which is all that most
stanzas are ever asked for. Who makes a stanza from text says what they are, and they go with it to
other processes, so that no tree is made for them.

All of that holds while the framework alone looks into the tree. Who asks for .tree may keep it and
change it at any time, so from then on the stanza is *open*: the tree is the truth, nothing that was
read from it is remembered, and whatever is asked is looked up there. The class says which of the
two a stanza is (_Open), so that those that nobody opens pay nothing for it.

The classes to use are in emp.stanza.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from typing import Any, ClassVar, Final, Literal, TypeVar, cast

from lxml import etree

from emp import ns
from emp.errors import LocalProtocolError, StanzaError
from emp.jid import JID
from emp.names import twin
from emp.wire import (
    BODY,
    LANG,
    THREAD,
    Contents,
    compose,
    parse_any,
    parse_neutral,
    render,
    text_of,
)
from emp.xml import Element, escape, serialize

Kind = Literal["message", "presence", "iq"]
Address = JID | str | None

_CLIENT_PREFIX: Final = f"{{{ns.CLIENT}}}"
_CLIENT_PREFIX_LENGTH: Final = len(_CLIENT_PREFIX)
_ERROR: Final = f"{_CLIENT_PREFIX}error"
# Any, because the stubs of lxml do not know that the prefix may be None.
_NSMAP: Final[Any] = {None: ns.CLIENT}

# Tag → class, for from_element. emp.stanza fills it.
CLASSES: Final[dict[Any, type[Stanza]]] = {}

# Name of the slot or property → attribute on the wire
_ATTRIBUTES: Final = {"type": "type", "id": "id", "from_text": "from", "to_text": "to"}


def _live(attribute: str) -> Any:
    """A property that is an attribute of the tree."""
    return property(
        lambda self: self._tree.get(attribute),
        lambda self, value: _set_attribute(self._tree, attribute, value),
    )


class Slots:
    """The slots of every stanza, and nothing that makes storing into them slow.

    Stanza guards assignments with a __setattr__, so that envelope, tree and bytes cannot get out of
    step; but that makes each store a call. So a new stanza is filled in while it is a Slots, where
    a store costs 10 ns, and becomes what it is by one assignment to __class__, 50 ns. Reading a
    plain slot costs a quarter of what a property would.
    """

    __slots__ = ("_contents", "_id", "_text", "_tree", "from_text", "to_text", "type")

    _tree: Element | None  # None: not parsed yet
    _text: str | None  # None: not serialised yet, or changed since
    _contents: Contents | None  # None: not looked at yet, or changed since
    _id: str | object | None  # UNREAD until asked for: that of most messages never is
    type: str
    from_text: str | None
    to_text: str | None


class Types(dict[str, str]):
    """How types on the wire read. other: those that are not in it; None: as they are."""

    def __init__(self, types: Mapping[str, str], other: str | None = None) -> None:
        super().__init__(types)
        self._other = other

    def __missing__(self, type: str) -> str:
        return type if self._other is None else self._other


UNREAD: Final = object()
_new = object.__new__
_force = object.__setattr__
_S = TypeVar("_S", bound="Stanza")


class Stanza(Slots):
    """A message, presence or iq. Made by from_element, parse, or a subclass.

    type: as on the wire; where absent "normal" (message), "available" (presence), "" (iq); for a
    message with a type that nobody knows "normal" too (RFC 6121 §5.2.2).
    id, from_text, to_text: as on the wire, None where absent; what peers wrote is not validated.
    All four may be assigned. kind: "message", "presence" or "iq".
    """

    __slots__ = ()

    kind: ClassVar[Kind]
    _default_type: ClassVar[str] = ""
    _types: ClassVar[Types]  # as on the wire, "" where absent → as it reads
    _open: ClassVar[type]  # what it becomes when somebody asks for its tree

    def __init_subclass__(cls) -> None:
        if not issubclass(cls, _Open):
            names = {
                "__slots__": (),
                "__class__": property(lambda self: cls),
                "__doc__": cls.__doc__,
            }
            cls._open = type(cls.__name__, (_Open, cls), names)

    # -- making -----------------------------------------------------------------------------------

    def __new__(cls, *args: object, **kwargs: object) -> Any:
        raise TypeError("make a Message, a Presence or an Iq")

    @staticmethod
    def from_element(element: Element) -> Stanza:
        """The stanza that the element is; the element is its tree from then on.

        LocalProtocolError if it is not a message, presence or iq in jabber:client.
        """
        stanza = of_element(element)
        _ = stanza.tree  # the caller has it too
        return stanza

    @staticmethod
    def parse(wire: bytes) -> Stanza:
        """The stanza that stands in the bytes, with or without xmlns="jabber:client".

        RemoteProtocolError as emp.xml.parse, LocalProtocolError if they are not a stanza.
        """
        wire = wire.strip()
        element, fits = parse_any(wire)
        stanza = of_element(element)
        if fits:
            _force(stanza, "_text", wire.decode())
        return stanza

    # -- the two representations ------------------------------------------------------------------

    @property
    def tree(self) -> Element:
        """The element, to look into and to change: what you do to it is done to the stanza, and is
        sent. lxml's rules hold: an element has one place, so to append what stands in another
        stanza takes it out of that one (copy.copy() it first)."""
        tree = self._changeable()
        _force(self, "_id", UNREAD)
        _force(self, "__class__", self._open)
        return tree

    @property
    def xml(self) -> Element:
        """The same as tree, under the name that it had before."""
        return self.tree

    def to_xml(self) -> Element:
        """A copy of the element, which is what stands in another stanza: E.forwarded(stanza, …)."""
        return twin(tree_of(self))

    def to_bytes(self) -> bytes:
        """The wire bytes: UTF-8, one element, without xmlns="jabber:client".

        LocalProtocolError if the tree holds what XMPP does not have.
        """
        return (self._text or self._written()).encode()

    def _written(self) -> str:
        """The wire text of a stanza that has none yet."""
        text = serialize(cast(Element, self._tree))
        _force(self, "_text", text)
        return text

    def _changeable(self) -> Element:
        """The tree, about to be changed."""
        tree = tree_of(self)
        _force(self, "_text", None)
        _force(self, "_contents", None)
        return tree

    # -- envelope ---------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        attribute = _ATTRIBUTES.get(name)
        if attribute is not None:
            if name == "type":
                value = value or self._default_type
                absent = value == self._default_type
                _set_attribute(self._changeable(), attribute, None if absent else value)
                value = self._types[value]
            else:
                _set_attribute(self._changeable(), attribute, value)
        _force(self, name, value)

    @property
    def id(self) -> str | None:
        """As on the wire, None where absent. Assignable."""
        if self._id is UNREAD:
            _force(self, "_id", tree_of(self).get("id"))
        return cast(str | None, self._id)

    @id.setter
    def id(self, value: str | None) -> None:
        _force(self, "_id", value)  # __setattr__ has put it into the tree

    @property
    def from_(self) -> JID | None:
        """The sender, see `JID.received`. JIDError if it is none. Assign JID, str or None."""
        return None if self.from_text is None else JID.received(self.from_text)

    @from_.setter
    def from_(self, value: Address) -> None:
        self.from_text = address_text(value)

    @property
    def to(self) -> JID | None:
        """The receiver, see `JID.received`. JIDError if it is none. Assign JID, str or None."""
        return None if self.to_text is None else JID.received(self.to_text)

    @to.setter
    def to(self, value: Address) -> None:
        self.to_text = address_text(value)

    @property
    def lang(self) -> str | None:
        """xml:lang of the stanza itself. Assignable."""
        return tree_of(self).get(LANG)

    @lang.setter
    def lang(self, value: str | None) -> None:
        _set_attribute(self._changeable(), LANG, value)

    @property
    def is_request(self) -> bool:
        """True for an iq of type get or set: it must be answered."""
        return False

    # -- contents ---------------------------------------------------------------------------------

    def mentions(self, *namespaces: str) -> bool:
        """Whether one of the namespaces may occur in it. One-sided: True may be wrong. For those
        who would look for it in the tree, and need none where there is nothing to be found."""
        text = self._text
        if self._tree is not None or text is None or "&#" in text:  # which may be part of any name
            return True
        return any(each in text for each in namespaces)

    @property
    def payload(self) -> Element | None:
        """The first child of an iq; of others, the first child that is not in jabber:client. A part
        of the tree, to be changed like it."""
        _ = self.tree
        return payload_of(self)

    @property
    def payload_name(self) -> str | None:
        """The Clark name of the payload; None also where a request has several children, which RFC
        6120 §8.2.3 does not know. Looked up once; needs no tree after unpickling."""
        return (self._contents or self._look())[0]

    @staticmethod
    def _is_payload(tag: Any) -> bool:
        return isinstance(tag, str) and tag[:_CLIENT_PREFIX_LENGTH] != _CLIENT_PREFIX

    def _look(self) -> Contents:
        """All contents in one pass over the children: router, action and reply need them."""
        contents = _contents_of(self)
        _force(self, "_contents", contents)
        return contents

    def _child_text(self, name: str) -> str | None:
        """Text of the child in jabber:client; that without xml:lang first (RFC 6121 §5.2.3)."""
        return text_of(tree_of(self), _CLIENT_PREFIX + name)

    def _set_child_text(self, name: str, value: str | None) -> None:
        """One child with the text in place of all of that name; None: no such child."""
        tree = self._changeable()
        old = tree.findall(_CLIENT_PREFIX + name)
        if value is not None:
            new = etree.Element(_CLIENT_PREFIX + name, nsmap=_NSMAP)
            try:
                new.text = value
            except (ValueError, TypeError) as error:
                raise LocalProtocolError(str(error)) from error
            if old:
                old[0].addprevious(new)
            else:
                tree.append(new)
        for child in old:
            tree.remove(child)

    # -- answers ----------------------------------------------------------------------------------

    def error(self, error: StanzaError) -> Stanza:
        """The error stanza that answers this one: same kind and id, addresses swapped, the
        original payload not echoed (RFC 6120 §8.3).

        LocalProtocolError where no answer is allowed: to an error, to the result of an iq.
        """
        if self.type == "error" or (self.kind == "iq" and self.type == "result"):
            raise LocalProtocolError(f"{self.kind} of type {self.type!r}: no error may answer it")
        inner, contents = render((error,), self._is_payload)
        return built(
            self.__class__, "error", self.id, self.to_text, self.from_text, inner, contents, None
        )

    @property
    def failure(self) -> StanzaError | None:
        """The error that a stanza of type "error" carries; None for all others."""
        if self.type != "error":
            return None
        found = tree_of(self).find(_ERROR)
        # §8.3.1 demands the element; a peer that forgot it reports an error all the same.
        return StanzaError.from_xml(etree.Element(_ERROR) if found is None else found)

    def __repr__(self) -> str:
        # No contents: what people write to each other does not belong into logs.
        return (
            f"<{self.kind} type={self.type!r} id={self.id!r}"
            f" from={self.from_text!r} to={self.to_text!r}>"
        )

    def __copy__(self) -> Any:
        text = self._text or self._written()
        id, sender, receiver = self.id, self.from_text, self.to_text
        return _restore(self.__class__, text, self._contents, self.type, id, sender, receiver)

    def __reduce__(self) -> tuple[Any, ...]:
        text = self._text or self._written()
        contents = self._contents or self._look()  # cheap here, a parse there
        return _restore, (
            self.__class__, text, contents, self.type, self.id, self.from_text, self.to_text
        )  # fmt: skip


class _Open:
    """Mixed into the class of a stanza that is open: what is asked is read from the tree.

    __class__ still says Message, Presence or Iq, and pickles, copies and columns go by that.
    """

    __slots__ = ()

    kind: Kind
    _default_type: str
    _types: Types
    _tree: Element
    _is_payload: Callable[[Any], bool]

    __setattr__ = object.__setattr__  # the properties do it

    @property
    def type(self) -> str:
        return self._types[self._tree.get("type") or ""]

    @type.setter
    def type(self, value: str) -> None:
        _set_attribute(self._tree, "type", None if value == self._default_type else value or None)

    id = _live("id")
    from_text = _live("from")
    to_text = _live("to")

    @property
    def tree(self) -> Element:
        return self._tree

    def _changeable(self) -> Element:
        return self._tree

    def _written(self) -> str:
        tree = self._tree
        if tree.tag != f"{_CLIENT_PREFIX}{self.kind}":
            raise LocalProtocolError(
                f"the tree of a {self.kind} has become {tree.tag!r:.80}: make a new stanza instead"
            )
        return serialize(tree)

    def _look(self) -> Contents:
        return _contents_of(cast(Stanza, self))


def tree_of(stanza: Stanza) -> Element:
    """The tree, for us who look and change nothing: the stanza stays as it is. Applications take
    .tree, which opens it."""
    tree = stanza._tree
    if tree is None:
        tree = parse_neutral(cast(str, stanza._text).encode())
        _force(stanza, "_tree", tree)
    return tree


def payload_of(stanza: Stanza) -> Element | None:
    """The payload, as tree_of()."""
    for child in tree_of(stanza):
        if stanza._is_payload(child.tag):
            return child
    return None


def _contents_of(stanza: Stanza) -> Contents:
    tree, is_payload = tree_of(stanza), stanza._is_payload
    name = thread = body = None
    for child in tree:
        tag = child.tag
        if tag == BODY and body is None:
            body = text_of(tree, BODY)
        elif tag == THREAD and thread is None:
            thread = child.text or ""
        if name is None and is_payload(tag):
            name = tag
    if stanza.is_request and len(tree) > 1:
        name = None
    return name, thread, body


def wire_texts(stanzas: Iterable[Stanza]) -> list[str]:
    """The wire text of each: to_bytes() for many, without a call for those that have it already.

    LocalProtocolError as to_bytes().
    """
    return [each._text or each._written() for each in stanzas]


def address_text(value: Address) -> str | None:
    """The text of an address, normalised where that can be. JIDError if it is none.

    A text may be what str() made of a received address: who keeps those in a database must be able
    to write to all of them.
    """
    if isinstance(value, str):
        value = JID.received(value)
    return None if value is None else str(value)


def with_from(stanza: _S, sender: str) -> _S:
    """A copy, with that `from`, of a stanza that has none."""
    twin = copy(stanza)  # has its text
    start = len(stanza.kind) + 1
    text = cast(str, twin._text)
    _force(twin, "_text", f'{text[:start]} from="{escape(sender)}"{text[start:]}')
    _force(twin, "from_text", sender)
    return twin


def without_from(stanza: _S) -> _S:
    """A copy without `from`."""
    twin = copy(stanza)
    text = cast(str, twin._text)
    attribute = f' from="{escape(twin.from_text or "")}"'
    before, found, after = text.partition(attribute)
    # In front of it, in the start tag, texts are in double quotes, as this is: so it is no text.
    if found and not any(mark in before for mark in "'>"):
        _force(twin, "_text", before + after)
        _force(twin, "from_text", None)
    else:
        twin.from_text = None
    return twin


def _set_attribute(tree: Element, name: str, value: str | None) -> None:
    if value is None:
        if name in tree.attrib:
            del tree.attrib[name]
        return
    try:
        tree.set(name, value)
    except (ValueError, TypeError) as error:
        raise LocalProtocolError(str(error)) from error


def of_element(element: Element) -> Stanza:
    """As Stanza.from_element, for who keeps the element to himself no longer."""
    cls = CLASSES.get(element.tag)
    if cls is None:
        raise LocalProtocolError(f"not a stanza: {element.tag!r:.200}")
    get = element.get
    self = _new(Slots)
    self._tree = element
    self._text = self._contents = None
    self._id = UNREAD
    self.type = cls._types[get("type") or ""]
    self.from_text = get("from")
    self.to_text = get("to")
    self.__class__ = cls
    return self  # type: ignore[return-value]  # it is one by now; cast() is a call


def built(
    cls: type[_S],
    type: str,
    id: str | None,
    from_text: str | None,
    to_text: str | None,
    inner: str,
    contents: Contents,
    lang: str | None,
) -> _S:
    """A stanza made as text; inner is XML already, contents is what _look() would find in it."""
    shown = None if type == cls._default_type else type
    text = compose(cls.kind, shown, id, from_text, to_text, lang, inner)
    return _restore(cls, text, contents, cls._types[type], id, from_text, to_text)


def _restore(
    cls: type[_S],
    text: str,
    contents: Contents | None,
    type: str,
    id: str | None,
    from_text: str | None,
    to_text: str | None,
) -> _S:
    self = _new(Slots)
    self._tree = None
    self._text = text
    self._contents = contents
    self._id = id
    self.type = type
    self.from_text = from_text
    self.to_text = to_text
    self.__class__ = cls
    return self  # type: ignore[return-value]
