"""Actors of a user's own that raise: in handlers, in constructors, at their end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from thespian.actors import (
    Actor,
    ActorAddress,
    ActorExitRequest,
    ChildActorExited,
    DeadEnvelope,
    PoisonMessage,
    WakeupMessage,
)


class Faulty(Actor):
    """Raises as it is told; says how often it was."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def receiveMessage(self, msg: Any, sender: ActorAddress) -> None:
        match msg:
            case "seen":
                self.send(sender, [*self.seen])
            case ["raise", *_]:
                self.seen.append(len(msg))
                msg.append("changed")
                raise RuntimeError("a fault")
            case ["raise once", *_]:
                self.seen.append(len(msg))
                if len(self.seen) == 1:
                    raise RuntimeError("a fault that passes")
                self.send(sender, "handled")
            case "exit":
                raise SystemExit(3)
            case ActorExitRequest():
                raise RuntimeError("a fault at the end")


class Unborn(Actor):
    def __init__(self) -> None:
        super().__init__()
        raise RuntimeError("a fault at birth")


class Leaving(Actor):
    def __init__(self) -> None:
        super().__init__()
        raise SystemExit(3)


class Watcher(Actor):
    """Has a child, and tells whoever asked what it hears of it. Its own exceptions are no matter of
    the child's."""

    CLASSES = (Faulty, Unborn, Leaving)

    def __init__(self) -> None:
        super().__init__()
        self.asker: ActorAddress | None = None
        self.child: ActorAddress | None = None
        self.exits = 0

    def receiveMessage(self, msg: Any, sender: ActorAddress) -> None:
        match msg:
            case ("create", number):
                self.asker = sender
                self.child = self.createActor(self.CLASSES[number])
                if not number:
                    self.send(sender, "created")
            case ("child" | "lost", message):
                self.asker = sender
                self.send(self.child, message)
            case "remind":
                self.asker = sender
                self.wakeupAfter(timedelta(0), payload="later")
            case "letters":
                self.asker = sender
                self.handleDeadLetters()
                self.send(sender, "handles them")
            case "nowhere":
                self.send(None, "message")  # type: ignore[arg-type]
            case PoisonMessage():
                self.tell(("poison", msg.poisonMessage, "a fault" in (msg.details or "")))
            case ChildActorExited():
                if msg.childAddress == self.child:  # it may be told twice
                    self.tell("exited")
            case WakeupMessage():
                self.tell(("woken", msg.payload))
            case DeadEnvelope():
                self.tell(("dead letter", msg.deadMessage))
            case list() | str():
                self.tell(("heard", msg))

    def tell(self, what: object) -> None:
        if self.asker is not None:
            asker, self.asker = self.asker, None
            self.send(asker, what)
