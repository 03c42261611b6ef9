"""The whole conversation of the actors, in the order in which it happens.

Commands are imperative, events are past tense, and class names are unique, because Thespian
dispatches on `__name__`. Everything here is frozen, and pickles when actors live in processes of
their own.

Three ideas recur:

- **Incarnation.** Every actor draws a random number when it starts. An address may come back to
  life as somebody else (a port is reused, an actor restarted); a message for an incarnation that is
  gone is refused by whoever finds it.
- **Batch and credit.** Stanzas travel in numbered batches. A sender has at most a few batches on
  the way to one receiver (`actors.flow`), and `BatchTaken` gives the credit back.
- **Handled.** A stanza that came in has a sequence number at its connection, and stays on the
  connection's books until somebody says that it was answered, taken by an action that returned, or
  reported.
"""

from __future__ import annotations

import copyreg
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, dataclass_transform

from lxml import etree
from thespian.actors import ActorAddress

from emp.config import ConnectionSettings
from emp.errors import StanzaError
from emp.events import ConnectionEvent, SendFailed
from emp.stanza import Iq, Stanza
from emp.xep.roster import Item
from emp.xml import parse, serialize

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def frequent(cls: type[T]) -> type[T]:
    """A message like the others, frozen for type checkers only: it takes Python four times as long
    to make a frozen object, and of these there are three for each stanza that comes alone."""
    return dataclass(slots=True)(cls)


# Captures may be elements, which lxml doesn't pickle: they travel as their text.
copyreg.pickle(etree._Element, lambda element: (parse, (serialize(element),)))


@dataclass(frozen=True, slots=True)
class Ref:
    """An actor: what people call it, where it is, and which life of it is meant."""

    name: str
    address: ActorAddress
    incarnation: int


@dataclass(frozen=True, slots=True)
class AppRef:
    """The application as every process can load it for itself: a path, and its configuration
    file."""

    path: str
    config: str | None = None


# ── starting: the outside → supervisor → its children ───────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """A route given at run time: an XPath, and the action of `component` that it leads to."""

    xpath: str
    action: str


@dataclass(frozen=True, slots=True)
class ComponentSpec:
    """A component actor to be: `reference` is `module:Class`, `name` what people call it."""

    name: str
    reference: str
    routes: tuple[RouteSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class ConnectionSpec:
    """A connection actor to be: one per full JID of a client, one per domain of a component."""

    name: str
    settings: ConnectionSettings
    resource: str | None = None


@dataclass(frozen=True, slots=True)
class StartPlan:
    """Start everything: the router, then the components, then the connections. `hang_limit`: see
    `emp.config.Config`."""

    app: AppRef
    app_name: str
    components: tuple[ComponentSpec, ...]
    connections: tuple[ConnectionSpec, ...]
    log_level: str = "info"
    hang_limit: float | None = None


@dataclass(frozen=True, slots=True)
class StartRouter:
    """`components` are those of the plan, `spawned` those that came with routes of their own;
    `workers` is who works already when a router starts anew: it must know all of them before the
    first stanza comes."""

    app: AppRef
    app_name: str
    log_level: str
    components: tuple[ComponentSpec, ...]
    spawned: tuple[ComponentSpec, ...] = ()
    workers: tuple[tuple[Ref, ComponentSpec], ...] = ()


@dataclass(frozen=True, slots=True)
class StartComponent:
    """`routed` when routes of the application lead to its class, or did."""

    app: AppRef
    app_name: str
    log_level: str
    spec: ComponentSpec
    routed: bool


@dataclass(frozen=True, slots=True)
class StartConnection:
    app_name: str
    log_level: str
    spec: ConnectionSpec
    router: Ref


@dataclass(frozen=True, slots=True)
class ActorStarted:
    """A child is ready for work, in the process `pid`."""

    ref: Ref
    pid: int


@dataclass(frozen=True, slots=True)
class ActorFailed:
    """A child cannot do its work and will not try again; `message` is for people."""

    name: str
    incarnation: int
    message: str


@dataclass(frozen=True, slots=True)
class IntroduceComponent:
    """Supervisor → router: stanzas for `reference` may go to `ref` from now on."""

    ref: Ref
    spec: ComponentSpec


@dataclass(frozen=True, slots=True)
class IntroduceRouter:
    """Supervisor → connections: the router lives here now; give it all that is not handled."""

    router: Ref


@dataclass(frozen=True, slots=True)
class ActorLost:
    """Supervisor → everybody: this incarnation is gone. Nobody needs to wait for it."""

    name: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class DismissComponent:
    """Supervisor → router: this component is gone for good, and its routes go with it.

    `last` when nobody else runs its class: then its stanzas are refused.
    """

    spec: ComponentSpec
    last: bool


# ── stanzas: connection → router → component → connection ───────────────────────────────────────


@frequent
class RouteStanzas:
    """Connection → router. `items` are (sequence number at the connection, stanza); `name` is the
    connection's in the configuration."""

    connection: Ref
    batch: int
    name: str
    resource: str | None
    is_component: bool
    items: tuple[tuple[int, Stanza], ...]


@dataclass(frozen=True, slots=True)
class ActionCall:
    """What the number of a call means: an action, and where its arguments come from.

    captures: the names that the route captures; defaults: what the route gives where nothing else
    does; payload: the route's stanzas have a payload for certain, so arguments may be its fields;
    source: FILE:LINE of the route.
    """

    number: int
    action: str
    captures: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    payload: bool = False
    source: str = ""


@frequent
class RunActions:
    """Router → component. `items` are (connection, sequence number, stanza, call, captures).

    A call is the number of an `ActionCall`; `calls` says what each means, the first time that it is
    used. It means the same for as long as the router lives, whatever becomes of the routes.
    `passed`: other actions have passed all of these on by skip().
    """

    router: Ref
    batch: int
    items: tuple[tuple[Ref, int, Stanza, int, Mapping[str, Any]], ...]
    calls: tuple[ActionCall, ...] = ()
    passed: bool = False


@dataclass(frozen=True, slots=True)
class SkipStanzas:
    """Component → connection, behind what it has sent there: the action of `call` said skip(), the
    next route that matches shall have the stanza. `items` are (sequence number, call); `router` is
    the incarnation that knows these calls. The connection says `StanzasHandled` when they are
    handled: what the component has of the same key must not be handled before."""

    sender: Ref
    incarnation: int
    router: int
    items: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class PassStanzas:
    """Connection → router: `SkipStanzas`, with the stanzas; `items` are (sequence number, stanza,
    call). `incarnation` is the router's, `sender` the component's."""

    connection: Ref
    sender: int
    incarnation: int
    items: tuple[tuple[int, Stanza, int], ...]


@dataclass(frozen=True, slots=True)
class StanzasHandled:
    """Connection → component: the answer to `SkipStanzas`. `incarnation` is the component's,
    `connection` the connection's."""

    connection: int
    incarnation: int
    numbers: tuple[int, ...]


@frequent
class SendStanzas:
    """Component → connection, not through the router: what to write, and what is handled."""

    sender: Ref
    incarnation: int
    batch: int
    stanzas: tuple[Stanza, ...]
    handled: tuple[int, ...]


@frequent
class BatchTaken:
    """Receiver → sender of batches: everything up to `batch` was taken, send more.

    `taker` is the receiver's incarnation, `incarnation` that of the sender. `done` are batches of
    which every stanza is handled; `over` is how many stanzas more have left a component's mailbox,
    because their actions are over.
    """

    taker: int
    incarnation: int
    batch: int
    done: tuple[int, ...] = ()
    over: int = 0


@dataclass(frozen=True, slots=True)
class RefuseStanzas:
    """Router → connection: nobody handles these. IQ requests get `error` as their answer.

    `bounce` is set where a message also gets the error: somebody would have handled it.
    """

    incarnation: int
    handled: tuple[int, ...]
    error: StanzaError
    bounce: bool = False


@dataclass(frozen=True, slots=True)
class AskHolders:
    """Connection → router: who has what of mine in hand?"""

    connection: Ref


@dataclass(frozen=True, slots=True)
class HoldersGiven:
    """The answer, for people."""

    incarnation: int
    holders: str


# ── IQs that we ask: component → connection → component ─────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class AskIq:
    """Ask `iq`; whoever answers, or nobody within `timeout` seconds, `IqAnswered` goes to
    `asker`."""

    asker: Ref
    incarnation: int
    token: int
    iq: Iq
    timeout: float


@dataclass(frozen=True, slots=True)
class IqAnswered:
    """The answer to `AskIq`: a result or error stanza, or None with the reason why there is
    none."""

    incarnation: int
    token: int
    answer: Iq | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AskRoster:
    """Component → connection: the contacts, please, as soon as they are known; nobody waits longer
    than `timeout` seconds."""

    asker: Ref
    incarnation: int
    token: int
    timeout: float


@dataclass(frozen=True, slots=True)
class RosterGiven:
    """The answer to `AskRoster`; None with the reason why there is none."""

    incarnation: int
    token: int
    items: tuple[Item, ...] | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ReportUnsent:
    """Connection → component: these stanzas of yours did not reach the server, or may not have."""

    connection: Ref
    incarnation: int
    failures: tuple[SendFailed, ...]


# ── what the supervisor hears, and tells ────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ConnectionProgressed:
    """A connection took a step of `emp.net.STEPS`; `seconds` is how long the step took."""

    name: str
    incarnation: int
    step: str
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    """`state` is one of connecting, connected, paused (connected, and nothing has been read for a
    while), waiting, failed, stopped. `detail` says why. `event` is for the components, where it
    means something to them."""

    name: str
    incarnation: int
    state: str
    detail: str
    retry_in: float | None = None
    remedy: str | None = None
    event: ConnectionEvent | None = None


@dataclass(frozen=True, slots=True)
class ConnectionNews:
    """Supervisor → components: what happened to a connection, or how it is when they start."""

    connection: Ref
    event: ConnectionEvent


@dataclass(frozen=True, slots=True)
class GetEvents:
    """Ask the supervisor for what happened after event number `after`."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: to the actor `name`, at `time` (seconds since the epoch)."""

    number: int
    time: float
    kind: str
    name: str
    detail: str = ""
    seconds: float | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Events:
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Ping:
    """Supervisor → child: are you there?"""


@dataclass(frozen=True, slots=True)
class Pong:
    """A child's answer to `Ping`."""

    name: str
    incarnation: int


# ── steering: emp-admin → supervisor → everybody ────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ListActors:
    """Ask the supervisor for a row per actor."""


@dataclass(frozen=True, slots=True)
class ActorRow:
    name: str
    kind: str
    parent: str | None
    address: str
    pid: int
    state: str
    since: float
    restarts: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ActorList:
    rows: tuple[ActorRow, ...]


@dataclass(frozen=True, slots=True)
class InspectActor:
    """Ask the supervisor, and the supervisor the actor, what it is doing."""

    name: str
    token: int = 0


@dataclass(frozen=True, slots=True)
class ActorInspected:
    name: str
    token: int
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpawnComponent:
    """Start one more component actor; answered by `Done` or `Refused` when it runs or has
    failed."""

    spec: ComponentSpec


@dataclass(frozen=True, slots=True)
class StopActor:
    """Stop one actor, and do not restart it."""

    name: str


@dataclass(frozen=True, slots=True)
class ReconnectConnection:
    """Ask the supervisor, and the supervisor the connection: connect now. What waits or has given
    up tries at once; what is connected connects anew. Answered by `Done` or `Refused`."""

    name: str


@dataclass(frozen=True, slots=True)
class ReloadRoutes:
    """Ask the supervisor, and the supervisor the router: read the application's routes anew, and
    use them from now on if they are right. The operator gets `RoutesReloaded` or `Refused`; in the
    latter case nothing has changed."""


@dataclass(frozen=True, slots=True)
class RoutesRead:
    """Router → supervisor: they are right, and this is what they need."""

    routes: int
    components: tuple[ComponentSpec, ...]
    connections: tuple[ConnectionSpec, ...]


@dataclass(frozen=True, slots=True)
class RoutesReloaded:
    """The routes in use are those of the file. `started` are actors that are new, `idle` those that
    no route leads to any more: they keep running."""

    routes: int
    started: tuple[str, ...]
    idle: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UseRoutes:
    """Supervisor → router: everybody is there, so use what was read, and say `announce`. None: do
    not, and forget it."""

    announce: RoutesReloaded | None


@dataclass(frozen=True, slots=True)
class StopSystem:
    """Stop in order; answered by `Done` when every connection has said good-bye."""

    grace: float


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Supervisor → connection: take nothing in, wait for what is not handled, close the stream.
    With `hold`, it says `ConnectionDrained` in between, and waits that many seconds at most for
    `ReleaseConnection`: components have something to say when they end."""

    grace: float
    hold: float = 0.0


@dataclass(frozen=True, slots=True)
class ConnectionDrained:
    """Connection → supervisor: nothing comes in any more, and what came is handled."""

    name: str


@dataclass(frozen=True, slots=True)
class ShutDownComponent:
    """Supervisor → component: end in order. Answered by `Done` when everything that it has sent is
    with the connections; actions at work have `grace` seconds to end before."""

    grace: float


@dataclass(frozen=True, slots=True)
class ReleaseConnection:
    """Supervisor → connection: the components have ended; close the stream."""


@dataclass(frozen=True, slots=True)
class Done:
    """`killed` is who had to be, while the system stopped."""

    detail: str = ""
    killed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    reason: str
    remedy: str | None = None
