"""The actor that runs a component: how it begins and ends, and what it is told.

What it does in between is in `actors.running` (actions) and `actors.sending` (connections).
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextvars import Context, copy_context
from pathlib import Path
from typing import Any, Final

from actors import declarations, timers
from actors.base import logger
from actors.component import Component, Connection
from actors.declarations import is_async
from actors.keys import key_of
from actors.lanes import Lane
from actors.messages import (
    ActorFailed,
    ConnectionNews,
    Done,
    Ping,
    Pong,
    Ref,
    ReportUnsent,
    ShutDownComponent,
    StartComponent,
)
from actors.running import REPORTS_PER_MAILBOX, Runner
from actors.sending import Present, present
from actors.threads import Threads
from emp import app as application
from emp.app import App
from emp.config import ConnectionSettings
from emp.errors import ConfigError, EmpError
from emp.events import Connected, Disconnected, Resumed, SendFailed
from emp.jid import JID
from emp.views import Views

STARTUP: Final = 30.0
"""Seconds for the hook `startup`: a database that takes longer is not there."""

SHUTDOWN: Final = 5.0
"""Seconds for the hook `shutdown`: an operator waits for the end."""

ARRIVAL: Final = 1.0
"""Seconds for what it has sent to reach the connections."""

HOOKS: Final[dict[type[object], str]] = {
    Connected: "on_connected",
    Resumed: "on_resumed",
    Disconnected: "on_disconnected",
}
"""The method of `Component` for each kind of news."""


class ComponentActor(Runner):
    """Hosts one component object."""

    kind = "component"

    def __init__(self) -> None:
        super().__init__()
        self.app: App
        self.views: Views
        self.jids: dict[int, JID] = {}  # incarnation of a connection → as what it is connected
        self.timers: list[timers.Timer] = []
        self.ready = False
        self._last_words = True  # of a hook that fails are still to be logged
        self._echoes: dict[int, asyncio.Future[None]] = {}

    # ── starting ────────────────────────────────────────────────────────────────────────────────

    def on_StartComponent(self, message: StartComponent, sender: Any) -> None:
        self.become(message.app_name, message.spec.name, message.log_level)
        # The loop hands on the context of whoever woke it, an action of another component perhaps;
        # what begins here, timers too, is about no stanza.
        present.set(None)
        self.spec = message.spec
        try:
            config = Path(message.app.config) if message.app.config else None
            with self.importing(message.log_level):
                self.app = app = application.load(Path(message.app.path), config)
            found = application.resolve(message.spec.reference, app.directory)
            self.views = Views(app.views)
            self.component = self._make(found)
            extra = [(route.xpath, found, route.action) for route in self.spec.routes]
            application.with_routes(app, extra)  # raises what is wrong with them
            if not (message.routed or extra):
                raise ConfigError(
                    f"no route leads to {self.spec.reference}",
                    remedy="give it one with --route and --action",
                )
        except Exception as error:  # noqa: BLE001 - the supervisor waits for one of two answers
            self._start_failed(sender, str(error) if isinstance(error, EmpError) else repr(error))
            return
        if type(self.component).startup is Component.startup:
            self._begin_work(sender)
        else:
            self.spawn(self._start_up(sender))

    def _make(self, found: type) -> Component:
        if not issubclass(found, Component):
            raise EmpError(
                f"{found.__qualname__} is not a Component: derive it from actors.Component"
            )
        try:
            component = found()
        except BaseException as error:  # noqa: BLE001 - the user's constructor may raise anything
            raise EmpError(f"{found.__qualname__}() failed: {error!r}") from None
        component._host = self
        component._background.owner = self.name
        component._background.context = self._context
        self.key = key_of(found)
        self.threads = Threads(component.threads, self.name)
        self.reported = max(1, component.mailbox // REPORTS_PER_MAILBOX)
        if component.when_full == "shed":  # a busy key must leave room for others
            self.share = max(1, component.mailbox // 2)
        return component

    def _context(self) -> Context:
        """Of a task that is spawned: it is about no stanza, but about the connection of one."""
        context, here = copy_context(), self.here
        about: Present | None = (here[0], 0, None, 0, {}) if here is not None else None
        context.run(present.set, about)
        return context

    async def _start_up(self, supervisor: Any) -> None:
        name = f"{type(self.component).__qualname__}.startup()"
        try:
            async with asyncio.timeout(STARTUP):
                await self._perform("startup")
        except TimeoutError:
            self._start_failed(supervisor, f"{name} is not over after {STARTUP:g} s")
        except BaseException as error:
            if self.exiting:
                raise
            logger.error("%s failed", name, exc_info=error)
            self._start_failed(supervisor, f"{name} failed: {error!r}")
        else:
            self._begin_work(supervisor)

    def _start_failed(self, supervisor: Any, reason: str) -> None:
        self.send(supervisor, ActorFailed(self.name, self.incarnation, reason))

    def _begin_work(self, supervisor: Any) -> None:
        self.ready = True
        methods = declarations.timers(type(self.component))
        self.timers = timers.start(methods, self._start_hook, self.driver.loop)
        self.started(supervisor)

    # ── what the component may want to know ─────────────────────────────────────────────────────

    def connection(self) -> Connection:
        """See `Component.connection`."""
        item = self.here
        ref = item[0] if item is not None else self._current_lane().connection
        found = self._settings(ref)
        jid = self.jids.get(ref.incarnation)
        return Connection(ref.name, found.kind, JID.parse(found.host).domain, jid)

    def domain_of(self, connection: Ref) -> str | None:
        settings = self._settings(connection)
        return JID.parse(settings.host).domain if settings.kind == "component" else None

    def _settings(self, connection: Ref) -> ConnectionSettings:
        settings = {each.name: each for each in self.app.config.connections}
        # An account with several resources has several connections, NAME/RESOURCE each.
        return settings.get(connection.name) or settings[connection.name.partition("/")[0]]

    def on_ConnectionNews(self, message: ConnectionNews, sender: Any) -> None:
        event, incarnation = message.event, message.connection.incarnation
        if isinstance(event, Disconnected):
            self.jids.pop(incarnation, None)
        else:
            self.jids[incarnation] = event.jid
        if self.ready:  # else it is told how everything is when it is
            self._notify(self._lane(message.connection), HOOKS[type(event)], event)

    def on_ReportUnsent(self, message: ReportUnsent, sender: Any) -> None:
        if message.incarnation != self.incarnation:
            return
        self._report(self._lane(message.connection), message.failures)

    def _report_orphans(self) -> None:
        orphans, self.orphans = self.orphans, []
        for lane, failures in orphans:
            self.jids.pop(lane.connection.incarnation, None)
            self._report(lane, failures)

    def _report(self, lane: Lane, failures: Iterable[SendFailed]) -> None:
        for failure in failures:
            self._notify(lane, "on_send_failed", failure)

    def _notify(self, lane: Lane, hook: str, event: object) -> None:
        present.set(lane.present)
        self._start_hook(hook, event)
        present.set(None)

    # ── hooks and timers ────────────────────────────────────────────────────────────────────────

    def _start_hook(self, name: str, *arguments: object) -> asyncio.Task[None] | None:
        """Run a hook or a timer. Returns what goes on, if it does."""
        method = getattr(self.component, name)
        if getattr(method, "__func__", None) is getattr(Component, name, self):
            return None  # nobody has overridden it
        if self._in_threads(method):
            return self.spawn(self._finish_hook(name, self._called_in_thread, method, arguments))
        try:
            result = method(*arguments)
        except BaseException as error:  # noqa: BLE001 - whatever the user's code raises
            self._hook_failed(name, error)
            return None
        if not hasattr(result, "__await__"):
            return None
        return self.spawn(self._finish_hook(name, _awaited, result))

    async def _perform(self, name: str, *arguments: object) -> None:
        """Run a hook to its end, wherever hooks of this class run. Raises what it raises."""
        method = getattr(self.component, name)
        if self._in_threads(method):
            await self._called_in_thread(method, arguments)
        elif hasattr(result := method(*arguments), "__await__"):
            await result

    def _in_threads(self, method: Callable[..., Any]) -> bool:
        return self.component.blocking and not is_async(method)

    async def _called_in_thread(
        self, method: Callable[..., Any], arguments: tuple[object, ...]
    ) -> None:
        loop, context = self.driver.loop, copy_context()
        goods = pickle.dumps(arguments)  # see _start_thread
        over: asyncio.Future[None] = loop.create_future()

        def end(error: BaseException | None) -> None:
            if over.done():
                return
            if error is None:
                over.set_result(None)
            else:
                over.set_exception(error)

        def job() -> None:
            fault = None
            try:
                context.run(method, *pickle.loads(goods))  # noqa: S301 - our own
            except BaseException as error:  # noqa: BLE001 - whatever the user's code raises
                # A future cannot hold this one.
                fault = RuntimeError(repr(error)) if isinstance(error, StopIteration) else error
            try:
                loop.call_soon_threadsafe(end, fault)
            except RuntimeError:
                logger.warning("%s: a hook ended after the end", self.name)

        self.threads.run(job)
        await over

    async def _finish_hook(
        self, hook: str, run: Callable[..., Coroutine[Any, Any, None]], *arguments: Any
    ) -> None:
        try:
            await run(*arguments)
        except BaseException as error:
            if self.exiting:
                raise
            self._hook_failed(hook, error)

    def _hook_failed(self, hook: str, error: BaseException) -> None:
        self.failed += 1
        if not self.ended:
            logger.error("%s: %s failed", self.name, hook, exc_info=error)
        elif self._last_words:  # thousands, where it sends again what was not sent
            self._last_words = False
            logger.error("%s: %s failed at the end (said once)", self.name, hook, exc_info=error)

    # ── end ─────────────────────────────────────────────────────────────────────────────────────

    def on_ShutDownComponent(self, message: ShutDownComponent, sender: Any) -> None:
        if not self.stopping:
            self.stopping = True
            self.spawn(self._shut_down(message.grace, sender))

    async def _shut_down(self, grace: float, supervisor: Any) -> None:
        """What is at work may end, then the hook runs, and what it sends goes out. `grace` is for
        the first of these. After that the component only hears of stanzas that were not sent."""
        for timer in self.timers:
            timer.stop()
        if not await self.idle(grace):
            logger.warning("%s: stopping with %d actions at work", self.name, len(self.works))
        try:
            async with asyncio.timeout(SHUTDOWN):
                await self.component._background.end()  # before what they work with is closed
                if type(self.component).shutdown is not Component.shutdown:
                    await self._perform("shutdown")
        except BaseException as error:
            if self.exiting:
                raise
            self._hook_failed("shutdown", error)
        self._flush()
        try:
            async with asyncio.timeout(ARRIVAL):
                await asyncio.gather(*[self._arrived(lane) for lane in self.lanes.values()])
        except TimeoutError:
            logger.warning("%s: stopping with stanzas that were not sent", self.name)
        self._end_work()
        self.send(supervisor, Done(self.name))

    async def _arrived(self, lane: Lane) -> None:
        """Until the connection has all that goes there: a ping goes the same way behind it."""
        await self.room(lane, 1)
        if lane.gone:
            return
        connection = lane.connection
        echo = self._echoes[connection.incarnation] = self.driver.loop.create_future()
        self.send(connection.address, Ping())
        await echo

    def on_Pong(self, message: Pong, sender: Any) -> None:
        echo = self._echoes.pop(message.incarnation, None)
        if echo is not None and not echo.done():
            echo.set_result(None)

    def _end_work(self) -> None:
        """Whatever goes on ends here: its stanzas are refused by others, and not ours any more."""
        self.ended, self.ready = True, False
        for timer in self.timers:
            timer.stop()
        for work in self.works.values():
            self._disarm(work)
            if work.task is not None:
                work.task.cancel()

    def exit(self) -> None:
        self._end_work()
        self._report_orphans()
        if hasattr(self, "component"):
            self.component._background.cancel()
        for task in self.tasks:
            task.cancel()
        if hasattr(self, "threads"):
            self.threads.close()

    def facts(self) -> dict[str, Any]:
        return {
            "class": self.spec.reference,
            "handled": self.handled,
            "failed": self.failed,
            "skipped": self.skipped,
            "overdue": self.overdue,
            "running": len(self.tasks) + sum(work.job is not None for work in self.works.values()),
            "spawned": self.component._background.facts(),
            "spawned_failed": self.component._background.failed,
            "requests_asked": len(self.asks),
            "waiting_to_be_sent": sum(len(lane.outflow.waiting) for lane in self.lanes.values()),
        }


async def _awaited(result: Awaitable[None]) -> None:
    await result
