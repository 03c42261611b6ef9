"""The embedded system: all actors in one process, on one asyncio loop.

A subclass of Thespian's simpleSystemBase. Mailboxes are one deque, drained by `loop.call_soon`;
timers are the loop's. Nothing to install or start: development, tests and small services use this.

Actors of the user's own find Thespian's contract as in the multiproc system. Upstream's simple
system differs in what happens when an actor raises (it tries three times, later, behind other
messages), so that is decided here (`EmbeddedBase._call`).
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import deque
from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, TypeVar

from thespian.actors import (
    Actor,
    ActorAddress,
    ActorExitRequest,
    ActorSystem,
    ActorSystemMessage,
    ChildActorExited,
    InvalidActorAddress,
    PoisonMessage,
    WakeupMessage,
)
from thespian.system.simpleSystemBase import ActorRef, ActorSystemBase, PendingSend

from emp.errors import EmpError

logger = logging.getLogger("emp.actors")

Argument = TypeVar("Argument")

TURN = 256
"""Messages per turn of the loop. Then sockets and timers have their turn, however full the
mailbox."""


class _Mailbox(deque[Any]):
    """All pending messages, those of Thespian's own as PendingSend, ours as (receiver, message,
    sender). Upstream appends to it in places of its own, so waking is done here."""

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self._wake = wake

    def append(self, pending: PendingSend) -> None:
        super().append(pending)
        self._wake()


class EmbeddedBase(ActorSystemBase):
    """The system base; made inside a running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._awake = False  # somebody drains the mailbox, or will
        self._quiet: asyncio.Future[None] | None = None
        host = SimpleNamespace(
            systemAddress=ActorAddress("/ActorSys"),
            capabilities={},
            _systemBase=self,
            _handleDeadLetters=self._handleDeadLetters,  # what actors ask of it
            updateCapability=self.updateCapability,
        )
        super().__init__(host, logDefs=False)
        self._pendingSends = _Mailbox(self._wake)
        for ref in self.actorRegistry.values():  # upstream's keep for ever what nobody fetches
            ref.instance.receiveMessage = _ignore

    async def idle(self) -> None:
        """Wait until no message is pending."""
        if self._pendingSends:
            self._quiet = self._loop.create_future()
            await self._quiet

    def _wake(self) -> None:
        if not self._awake:
            self._awake = True
            self._loop.call_soon(self._drain)

    def post(self, sender: ActorAddress, receiver: ActorAddress, message: object) -> None:
        """What `Actor.send` comes to, without the five calls that it takes there. Hot path."""
        deque.append(self._pendingSends, (receiver, message, sender))
        if not self._awake:
            self._awake = True
            self._loop.call_soon(self._drain)

    def turn(self, work: Callable[[Argument], None], argument: Argument) -> None:
        """Run `work(argument)`, a callback of the loop that is no handler of an actor, and deliver
        what was sent in it.

        Hot path: a stanza that comes alone spares a turn of the loop, with its system call.
        """
        if self._awake:  # a turn is coming, and what is pending goes first
            work(argument)
            return
        self._awake = True
        try:
            work(argument)
        finally:
            self._drain()

    def _drain(self) -> None:
        try:
            self._deliver()
        finally:  # whatever went wrong with one message, the others are delivered
            if self._pendingSends:
                self._loop.call_soon(self._drain)
            else:
                self._awake = False
                if self._quiet is not None and not self._quiet.done():
                    self._quiet.set_result(None)

    def _deliver(self) -> None:
        # Hot path: one turn of this for each message between actors. Messages of ours to a living
        # actor go straight to its receiveMessage; everything else (exits, poison, status, dead
        # letters) takes Thespian's own way.
        mailbox, registry = self._pendingSends, self.actorRegistry
        for _ in range(TURN):
            if not mailbox:
                return
            pending = mailbox.popleft()
            if type(pending) is not tuple:
                self._runSingleSend(pending)
                continue
            receiver, message, sender = pending
            target = registry.get(receiver._aaddr)  # what the properties of both return: these
            instance = target._inst if target is not None else None  # are three calls less
            if instance is not None and not isinstance(message, ActorSystemMessage):
                try:
                    instance.receiveMessage(message, sender)
                except BaseException as error:  # noqa: BLE001 - one of the user's own
                    self._failed(target, message, sender, error)
            else:
                self._runSingleSend(PendingSend(sender, message, receiver))

    # ── when an actor raises ────────────────────────────────────────────────────────────────────

    def _callActorWithMessage(
        self, target: ActorRef, pending: PendingSend, message: object, sender: ActorAddress
    ) -> None:
        """What upstream's way comes to: it decides who is called, and what becomes of an exit."""
        try:
            target.instance.receiveMessage(message, sender)
        except BaseException as error:  # noqa: BLE001 - whatever an actor of the user's own raises
            self._failed(target, message, sender, error)
        if isinstance(message, ChildActorExited):
            target.removeChild(message.childAddress)

    def _failed(
        self, target: ActorRef, message: object, sender: ActorAddress, error: BaseException
    ) -> None:
        """Thespian's contract: once more, with a copy; then the sender gets it as a PoisonMessage.
        SystemExit and the like end the actor, as they end its process in the multiproc system."""
        kind, who = type(message).__name__, f"{type(target.instance).__name__} {target.address}"
        if isinstance(error, Exception) and not isinstance(message, ActorExitRequest):
            logger.warning("%s failed on %s; it gets it once more", who, kind, exc_info=error)
            try:
                target.instance.receiveMessage(deepcopy(message), sender)
                return
            except Exception as again:
                logger.error("%s failed on %s again", who, kind, exc_info=again)
                if not isinstance(message, PoisonMessage):
                    poison = PoisonMessage(message, traceback.format_exc())
                    self.actor_send(target.address, sender, poison)
                return
            except BaseException as last:  # noqa: BLE001
                error = last
        logger.error("%s failed on %s, and ends", who, kind, exc_info=error)
        if target.instance is not None and not isinstance(message, ActorExitRequest):
            self._killActor(target, PendingSend(sender, ActorExitRequest(), target.address))

    def _newRefAndActor(self, *args: Any, **kwargs: Any) -> ActorRef:
        try:
            return super()._newRefAndActor(*args, **kwargs)
        except Exception:
            raise
        except BaseException as error:  # a constructor that would end a process of its own
            system, parent, address, actor_class = args[:4]
            if kwargs.get("isTopLevel"):
                raise EmpError(repr(error)) from error
            logger.error("%s() failed, and its actor ends", actor_class, exc_info=error)
            return ActorRef(system, parent, address, None)

    # ── sending ─────────────────────────────────────────────────────────────────────────────────

    def actor_send(self, fromActor: ActorAddress, toActor: ActorAddress, msg: object) -> None:
        if not isinstance(toActor, ActorAddress):
            raise InvalidActorAddress(toActor, "not an address to send to")
        self.post(fromActor, toActor, msg)

    def wakeupAfter(
        self,
        fromActor: ActorAddress,
        timePeriod: timedelta,
        payload: object,
    ) -> None:
        def due() -> None:
            target = self.actorRegistry.get(fromActor.actorAddressString)
            if target is None or target.instance is None:  # its timers went with it
                return
            self.actor_send(fromActor, fromActor, WakeupMessage(timePeriod, payload))

        self._loop.call_later(timePeriod.total_seconds(), due)

    def requester(self, receive: Callable[[object], None]) -> ActorAddress:
        """An address outside the system; `receive(message)` gets what is sent there."""
        self._private_count += 1
        address = ActorAddress(f"System:Requester:{self._private_count}")
        ref = self._newRefAndActor(self.system, self.system.systemAddress, address, _Requester)
        ref.instance.receive = receive
        self.actorRegistry[address.actorAddressString] = ref
        return address

    def lives(self, address: Any) -> bool:
        ref = self.actorRegistry.get(address._aaddr)
        return ref is not None and ref._inst is not None

    def forget(self, address: ActorAddress) -> None:
        self.actorRegistry.pop(address.actorAddressString, None)


def _ignore(message: object, sender: ActorAddress) -> None:
    """What is sent back to the outside, where nobody waits."""


class _Requester(Actor):
    receive: Callable[[object], None]

    def receiveMessage(self, message: object, sender: ActorAddress) -> None:
        self.receive(message)


class EmbeddedSystem:
    """The embedded system as the outside sees it (`actors.systems.System`). Made inside a loop."""

    name = "embedded"

    def __init__(self) -> None:
        self._base = EmbeddedBase()
        self._system = ActorSystem(self._base, transientUnique=True)
        self._created: list[ActorAddress] = []

    async def create(self, actor_class: type[Actor], name: str | None = None) -> ActorAddress:
        try:
            address: ActorAddress = self._system.createActor(actor_class, globalName=name)
        except Exception as error:
            class_name = f"{actor_class.__module__}.{actor_class.__qualname__}"
            raise EmpError(f"cannot start an actor of class {class_name}: {error}") from error
        self._created.append(address)
        return address

    def tell(self, address: ActorAddress, message: object) -> None:
        self._base.actor_send(self._base.system.systemAddress, address, message)

    async def ask(self, address: ActorAddress, message: object, timeout: float) -> object:
        """Send `message` and wait for the first answer; `TimeoutError` after `timeout` seconds, and
        at once for an actor that is gone."""
        if not self._base.lives(address):
            raise TimeoutError(f"no answer to {type(message).__name__}: {address} is gone")
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()

        def receive(reply: object) -> None:
            if not answer.done():
                answer.set_result(reply)

        requester = self._base.requester(receive)
        try:
            self._base.actor_send(requester, address, message)
            await asyncio.wait([answer], timeout=timeout)
            if not answer.done():
                raise TimeoutError(f"no answer to {type(message).__name__} within {timeout} s")
            # It counts also when it came late, because an action held up the loop.
            return answer.result()
        finally:
            self._base.forget(requester)

    async def stop(self, grace: float) -> list[str]:
        """Exit what was created; its children follow. Nothing can be left over in one process."""
        for address in self._created:
            self.tell(address, ActorExitRequest())
        left = []
        try:
            async with asyncio.timeout(grace):
                await self._base.idle()
        except TimeoutError:
            left.append("actors that were busy")
        self._system.shutdown()
        return left

    def kill(self) -> None:
        """Nothing to do: the actors die with this process."""
