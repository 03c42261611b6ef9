"""Messages, presences and IQs (RFC 6120 §8, RFC 6121).

What they share, and how they are represented, is in emp.view.
"""

from __future__ import annotations

from typing import Any, Final

from emp import ns
from emp.errors import LocalProtocolError
from emp.view import CLASSES, Address, Slots, Stanza, Types, address_text, built
from emp.wire import make_id, render, texts
from emp.xml import Payload, is_plain

__all__ = ["Iq", "Message", "Presence", "Stanza", "make_id"]

PRIORITIES: Final = range(-128, 128)  # RFC 6121 §4.7.2.3
MESSAGE_TYPES: Final = ("normal", "chat", "groupchat", "headline", "error")  # RFC 6121 §5.2.2
_IQ_TYPES: Final = frozenset({"get", "set", "result", "error"})  # RFC 6120 §8.2.3

_new = object.__new__


class Message(Stanza):
    """A message (RFC 6121 §5)."""

    __slots__ = ()

    kind = "message"
    _default_type = "normal"
    _types = Types({each: each for each in MESSAGE_TYPES}, "normal")

    def __new__(
        cls,
        to: Address = None,
        body: str | None = None,
        *payloads: Payload,
        type: str = "normal",
        id: str | None = None,
        from_: Address = None,
        subject: str | None = None,
        thread: str | None = None,
        lang: str | None = None,
    ) -> Message:
        """payloads: elements or objects with to_xml(); they are copied.

        LocalProtocolError for texts that XML cannot hold, JIDError for bad addresses.
        """
        inner, contents = render(payloads, cls._is_payload, thread, body)
        inner = texts(subject=subject, body=body, thread=thread) + inner
        return built(cls, type, id, address_text(from_), address_text(to), inner, contents, lang)

    @property
    def body(self) -> str | None:
        """The text, "" where the element is empty, None where there is none. Assignable.

        Of several bodies that without xml:lang, or else the first.
        """
        return (self._contents or self._look())[2]

    @body.setter
    def body(self, value: str | None) -> None:
        self._set_child_text("body", value)

    @property
    def subject(self) -> str | None:
        """The subject, as body."""
        return self._child_text("subject")

    @subject.setter
    def subject(self, value: str | None) -> None:
        self._set_child_text("subject", value)

    @property
    def thread(self) -> str | None:
        """The id of the conversation, as body."""
        return (self._contents or self._look())[1]

    @thread.setter
    def thread(self, value: str | None) -> None:
        self._set_child_text("thread", value)

    def reply(self, body: str | None = None, *payloads: Payload) -> Message:
        """A message to the sender, in our name, of the same type and thread.

        In a chat room ("groupchat") it goes to the room, not to the occupant (XEP-0045 §7.4).
        LocalProtocolError to a message of type "error": that would be a loop.
        """
        return self._reply(self.to_text, body, payloads)

    def _reply(
        self, sender: str | None, body: str | None, payloads: tuple[Payload, ...]
    ) -> Message:
        """`sender` is what the reply says whom it is from."""
        type = self.type
        if type == "error":
            raise LocalProtocolError("a message of type 'error': no reply may answer it")
        receiver = self.from_text
        if type == "groupchat" and receiver is not None:
            receiver = receiver.partition("/")[0]
        thread = (self._contents or self._look())[1]
        # The hot path: one check for all the texts together, no tree (DESIGN §7).
        if (
            thread is None
            and body is not None
            and receiver is not None
            and not payloads
            and is_plain(f"{type}{sender}{receiver}{body}")
        ):
            reply = _new(Slots)
            reply._tree = None
            if sender is not None:
                head = f' type="{type}" from="{sender}"'
            else:
                head = "" if type == "normal" else f' type="{type}"'
            reply._text = f'<message{head} to="{receiver}"><body>{body}</body></message>'
            reply._contents = None, None, body
            reply._id = None
            reply.type = type
            reply.from_text = sender
            reply.to_text = receiver
            reply.__class__ = Message
            return reply  # type: ignore[return-value]
        inner, contents = render(payloads, self._is_payload, thread, body)
        inner = texts(body=body, thread=thread) + inner
        return built(Message, type, None, sender, receiver, inner, contents, None)


class Presence(Stanza):
    """A presence (RFC 6121 §4)."""

    __slots__ = ()

    kind = "presence"
    _default_type = "available"
    _types = Types({"": "available"})  # others are no presence that RFC 6121 knows: as they stand

    def __new__(
        cls,
        to: Address = None,
        *payloads: Payload,
        type: str = "available",
        show: str | None = None,
        status: str | None = None,
        priority: int | None = None,
        id: str | None = None,
        from_: Address = None,
    ) -> Presence:
        """LocalProtocolError for texts that XML cannot hold or a priority not in PRIORITIES."""
        inner, contents = render(payloads, cls._is_payload)
        inner = texts(show=show, status=status, priority=_priority_text(priority)) + inner
        return built(cls, type, id, address_text(from_), address_text(to), inner, contents, None)

    @property
    def show(self) -> str | None:
        """away, chat, dnd or xa; None where absent. Assignable."""
        return self._child_text("show")

    @show.setter
    def show(self, value: str | None) -> None:
        self._set_child_text("show", value)

    @property
    def status(self) -> str | None:
        """Text for people; None where absent. Assignable."""
        return self._child_text("status")

    @status.setter
    def status(self, value: str | None) -> None:
        self._set_child_text("status", value)

    @property
    def priority(self) -> int:
        """One of PRIORITIES, 0 where absent or nonsense. Assignable."""
        text = (self._child_text("priority") or "").strip()
        # More digits than a priority has: int() of a long text takes long.
        if not text.isascii() or len(text) > len("-128"):
            return 0
        try:
            value = int(text)
        except ValueError:
            return 0
        return value if value in PRIORITIES else 0

    @priority.setter
    def priority(self, value: int | None) -> None:
        self._set_child_text("priority", _priority_text(value))


def _priority_text(value: int | None) -> str | None:
    if value is not None and value not in PRIORITIES:
        raise LocalProtocolError(f"a priority is from -128 to 127, not {value}")
    return None if value is None else str(value)


class Iq(Stanza):
    """A request or its answer (RFC 6120 §8.2.3)."""

    __slots__ = ()

    kind = "iq"
    _types = Types({})

    def __new__(
        cls,
        type: str,
        payload: Payload | None = None,
        *,
        to: Address = None,
        id: str | None = None,
        from_: Address = None,
    ) -> Iq:
        """id: made up where None. LocalProtocolError for a type but result without payload."""
        if type not in _IQ_TYPES:
            raise LocalProtocolError(f"not a type of iq: {type!r:.80}")
        if payload is None and type != "result":
            raise LocalProtocolError(f"an iq of type {type!r} needs a payload")
        inner, contents = render(() if payload is None else (payload,), cls._is_payload)
        if id is None:
            id = make_id()
        return built(cls, type, id, address_text(from_), address_text(to), inner, contents, None)

    @property
    def is_request(self) -> bool:
        """True for get and set: it must be answered."""
        return self.type in ("get", "set")

    @staticmethod
    def _is_payload(tag: Any) -> bool:
        return isinstance(tag, str)

    def result(self, *payloads: Payload) -> Iq:
        """The answer to a get or set. LocalProtocolError to anything else.

        RFC 6120 §8.2.3 knows one payload at most; several are sent as they are.
        """
        return self._result(self.to_text, payloads)

    def _result(self, sender: str | None, payloads: tuple[Payload, ...]) -> Iq:
        """`sender` is what the result says whom it is from."""
        if not self.is_request:
            raise LocalProtocolError(f"iq of type {self.type!r}: no result may answer it")
        inner, contents = render(payloads, self._is_payload)
        return built(Iq, "result", self.id, sender, self.from_text, inner, contents, None)


CLASSES.update({f"{{{ns.CLIENT}}}{cls.kind}": cls for cls in (Message, Presence, Iq)})
