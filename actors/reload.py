"""A reload of the routes, as the supervisor goes through it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from thespian.actors import ActorAddress

from actors.messages import ComponentSpec, ConnectionSpec, Refused, RoutesRead, RoutesReloaded
from actors.plan import unique


@dataclass(slots=True)
class Reload:
    """Who asked; the components that start for it, and how many of them have not yet; what to
    announce when it is done."""

    asker: ActorAddress
    starting: tuple[ComponentSpec, ...] = ()
    left: int = 0
    announce: RoutesReloaded | None = None

    def begin(
        self, read: RoutesRead, running: Iterable[ComponentSpec], taken: Collection[str]
    ) -> None:
        """The routes were read: work out who has to start. `taken` are names of actors."""
        running = list(running)
        known = {spec.reference for spec in running}
        routed = {spec.reference for spec in read.components}
        new = [spec for spec in read.components if spec.reference not in known]
        names = unique((spec.name for spec in new), taken)
        self.starting = tuple(replace(spec, name=n) for spec, n in zip(new, names, strict=True))
        self.left = len(new)
        idle = [s.name for s in running if s.reference not in routed and not s.routes]
        self.announce = RoutesReloaded(read.routes, tuple(names), tuple(idle))


def differing(
    running: Sequence[ConnectionSpec], wanted: Sequence[ConnectionSpec]
) -> Refused | None:
    """Why routes that want these connections cannot be used while others are running."""
    before, after = ({spec.name: spec for spec in specs} for specs in (running, wanted))
    changes = [
        *(f"{name} is new" for name in after if name not in before),
        *(f"{name} is gone" for name in before if name not in after),
        *(f"{name} has changed" for name in after if after[name] != before.get(name, after[name])),
    ]
    if not changes:
        return None
    return Refused(
        f"the connections would be others: {', '.join(changes)}",
        "restart the application: a reload changes only where stanzas go",
    )
