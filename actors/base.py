"""The base of every actor of EMP: one guard, one dispatch table, the asyncio driver.

Thespian runs a handler that raised a second time, and knows nothing of asyncio. This class is where
all that ends: nothing escapes `receiveMessage`, and all of it happens inside of a loop.

A handler is a method `on_X`, where `X` is the class name of a message of `actors.messages` or of
Thespian. A handler for a message that does not exist is an error at import.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import thespian.actors as thespian
from setproctitle import setproctitle
from thespian.actors import Actor, ActorAddress

from actors import messages
from actors.collecting import settle
from actors.driver import Driver, Post, driver_for
from actors.logs import configure_logging, importing

logger = logging.getLogger("emp.actors")

INCARNATION_BITS = 63
"""Enough that two lives of one address never draw the same number, and still a small pickle."""


class BaseActor(Actor):
    """An actor of EMP. Subclasses have `on_X` methods of the form `(message, sender) -> None`."""

    handlers: ClassVar[dict[str, Any]] = {}
    kind: ClassVar[str] = "actor"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        names = [name for name in dir(cls) if name.startswith("on_")]
        for name in names:
            message = name.removeprefix("on_")
            if not (hasattr(messages, message) or hasattr(thespian, message)):
                raise TypeError(f"{cls.__name__}.{name}: there is no message {message}")
        cls.handlers = {name.removeprefix("on_"): getattr(cls, name) for name in names}

    def __init__(self) -> None:
        super().__init__()
        self.incarnation = secrets.randbits(INCARNATION_BITS)
        self.name = type(self).__name__
        self.started_at = time.time()
        self.embedded = True
        self.exiting = False
        self._driver: Driver | None = None
        self._post: Post | None = None
        self._address: ActorAddress
        self._ref: messages.Ref | None = None

    @property
    def driver(self) -> Driver:
        """How asyncio runs here; made with the first message, when it is known where we live."""
        if self._driver is None:
            self._driver = driver_for(self)
            self.embedded = self._driver.embedded
            self._post, self._address = self._driver.post, self.myAddress
        return self._driver

    @property
    def ref(self) -> messages.Ref:
        """Who this is; the same object until `become` gives another name."""
        if self._ref is None:
            self._ref = messages.Ref(self.name, self.myAddress, self.incarnation)
        return self._ref

    def send(self, targetAddr: ActorAddress, msg: Any) -> None:
        # Hot path: every stanza takes three of these.
        if self._post is not None:
            self._post(self._address, targetAddr, msg)
        else:
            super().send(targetAddr, msg)

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:
        driver = self._driver or self.driver
        if driver.embedded:
            self._handle(message, sender)
        else:
            driver.run(lambda: self._handle(message, sender))

    def _handle(self, message: Any, sender: ActorAddress) -> None:
        name = type(message).__name__
        handler = self.handlers.get(name)
        # The one guard: an exception here is a bug of ours, and Thespian would run the handler
        # again.
        try:
            if handler is not None:
                handler(self, message, sender)
            else:
                logger.debug("%s: unexpected message %s from %s", self.name, name, sender)
        except BaseException:  # not even SystemExit may stop a whole system
            logger.exception("%s: %s failed; the actor goes on", self.name, name)

    def become(self, app_name: str, name: str, log_level: str) -> None:
        """Take a name: in messages, in the process list, in the log."""
        self.name = name
        self._ref = None
        if not self.embedded:
            role = name if name == self.kind else f"{self.kind} {name}"
            setproctitle(f"emp: {app_name} {role}")
            configure_logging(log_level)

    def importing(self, log_level: str) -> AbstractContextManager[None]:
        """While the application is imported; in one process, the boot has done it."""
        return nullcontext() if self.embedded else importing(log_level)

    def started(self, supervisor: ActorAddress) -> None:
        if not self.embedded:
            settle()
        self.send(supervisor, messages.ActorStarted(self.ref, os.getpid()))

    def on_ActorExitRequest(self, message: Any, sender: ActorAddress) -> None:
        if not self.exiting:
            self.exiting = True
            self.exit()
            self.driver.close()

    def exit(self) -> None:
        """Called once, before the actor is gone. Subclasses release what they hold."""

    def on_Ping(self, message: messages.Ping, sender: ActorAddress) -> None:
        self.send(sender, messages.Pong(self.name, self.incarnation))

    def on_InspectActor(self, message: messages.InspectActor, sender: ActorAddress) -> None:
        facts = {
            "kind": self.kind,
            "pid": os.getpid(),
            "incarnation": f"{self.incarnation:016x}",
            "uptime": round(time.time() - self.started_at, 3),
            **self.facts(),
        }
        self.send(sender, messages.ActorInspected(self.name, message.token, facts))

    def facts(self) -> dict[str, Any]:
        """What `emp-admin inspect` shows of this actor: plain values, no secrets."""
        return {}
