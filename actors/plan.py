"""From an application to the actors that it needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from actors.component import Component
from actors.messages import AppRef, ComponentSpec, ConnectionSpec, StartPlan
from emp.app import App, reference
from emp.config import ConnectionSettings
from emp.errors import ConfigError, RouteError
from emp.tokens import TokenStore


def make_plan(app: App, where: AppRef) -> StartPlan:
    """One component actor per class in the routes, one connection actor per full JID or domain.

    Raises ConfigError when there is nothing to connect, two connections would be the same, a route
    leads to what is no component, or a file of tokens is not safe.
    """
    for route in app.table.routes:
        if not issubclass(route.component, Component):
            raise RouteError(
                f"{route.component.__qualname__} is not a Component",
                file=route.file,
                line=route.line,
                remedy="derive it from actors.Component",
            )
    if not app.config.connections:
        raise ConfigError(
            "no connection is configured",
            file=app.config.file,
            remedy='add one, for instance [connections.main] with host = "…" and secret = "…"',
        )
    resources = tuple(
        dict.fromkeys(route.resource for route in app.table.routes if route.resource is not None)
    )
    connections = tuple(
        spec for settings in app.config.connections for spec in _specs(settings, resources)
    )
    seen: dict[tuple[str, str | None], str] = {}
    for spec in connections:
        key = (spec.settings.address, spec.settings.resource)
        if key in seen:
            raise ConfigError(
                f"{seen[key]} and {spec.name} are the same connection: {spec.settings.address}",
                file=app.config.file,
            )
        seen[key] = spec.name
    for spec in connections:
        TokenStore(spec.settings.token_file)  # raises where others may read it
    names = _unique(component.__name__ for component in app.components)
    components = tuple(
        ComponentSpec(name, reference(component))
        for name, component in zip(names, app.components, strict=True)
    )
    return StartPlan(where, app.name, components, connections, app.config.log_level)


def _specs(settings: ConnectionSettings, resources: tuple[str, ...]) -> Iterator[ConnectionSpec]:
    if settings.kind == "component":
        yield ConnectionSpec(settings.name, settings)
    elif len(resources) <= 1:
        resource = settings.resource or (resources[0] if resources else None)
        scope = resources[0] if resources else settings.resource
        yield ConnectionSpec(settings.name, replace(settings, resource=resource), scope)
    else:
        for resource in resources:
            name = f"{settings.name}/{resource}"
            yield ConnectionSpec(name, replace(settings, resource=resource), resource)


def _unique(names: Iterable[str]) -> list[str]:
    """The names, numbered where one comes twice."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return unique
