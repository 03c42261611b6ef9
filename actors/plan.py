"""From an application to the actors that it needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from actors.checks import check_component
from actors.component import Component
from actors.messages import AppRef, ComponentSpec, ConnectionSpec, StartPlan
from emp.app import App, reference
from emp.config import ConnectionSettings
from emp.errors import ConfigError, RouteError
from emp.routing.rules import Route
from emp.tokens import TokenStore
from emp.views import Views


def make_plan(app: App, where: AppRef) -> StartPlan:
    """Component actors for each class in the routes, as many as its `pool`, and one connection
    actor per full JID or domain.

    Raises ConfigError when there is nothing to connect, two connections would be the same, a route
    leads to what is no component, a class is declared wrongly, a view does not compile, or a file
    of tokens is not safe.
    """
    connections = _connections(app)
    _check_components(app.table.routes)
    Views(app.views).check()
    for spec in connections:
        TokenStore(spec.settings.token_file)  # raises where others may read it
    workers = [
        component
        for component in app.components
        if issubclass(component, Component)
        for _ in range(component.pool)
    ]
    names = unique(worker.__name__ for worker in workers)
    components = tuple(
        ComponentSpec(name, reference(worker)) for name, worker in zip(names, workers, strict=True)
    )
    config = app.config
    return StartPlan(where, app.name, components, connections, config.log_level, config.hang_limit)


def _check_components(routes: Iterable[Route]) -> None:
    by_class: dict[type, list[Route]] = {}
    for route in routes:
        if not issubclass(route.component, Component):
            raise RouteError(
                f"{route.component.__qualname__} is not a Component",
                file=route.file,
                line=route.line,
                remedy="derive it from actors.Component",
            )
        by_class.setdefault(route.component, []).append(route)
    for component, its_routes in by_class.items():
        check_component(component, its_routes)


def _connections(app: App) -> tuple[ConnectionSpec, ...]:
    if not app.config.connections:
        raise ConfigError(
            "no connection is configured",
            file=app.config.file,
            remedy='add one, for instance [connections.main] with host = "…" and secret = "…"',
        )
    connections = tuple(
        spec
        for settings in app.config.connections
        for spec in _specs(settings, _resources(app.table.routes, settings.name))
    )
    seen: dict[tuple[str, str | None], str] = {}
    for spec in connections:
        key = (spec.settings.address, spec.settings.resource)
        if key in seen:
            address = spec.settings.address
            if spec.settings.resource:
                address += f"/{spec.settings.resource}"
            raise app.config.error(
                f"{seen[key]} and {spec.name} are the same connection: {address}",
                "connections",
                spec.settings.name,
                remedy="remove one of them"
                if spec.settings.kind == "component"
                else "give each a resource of its own, or remove one",
            )
        seen[key] = spec.name
    return connections


def _resources(routes: Iterable[Route], connection: str) -> tuple[str, ...]:
    """The resources that routes name for this connection."""
    return tuple(
        dict.fromkeys(
            route.resource
            for route in routes
            if route.resource is not None and route.connection in (None, connection)
        )
    )


def _specs(settings: ConnectionSettings, resources: tuple[str, ...]) -> Iterator[ConnectionSpec]:
    if settings.kind == "component":
        yield ConnectionSpec(settings.name, settings)
    elif len(resources) <= 1:
        resource = settings.resource or (resources[0] if resources else None)
        scope = resources[0] if resources else settings.resource
        needed = resource in resources
        yield ConnectionSpec(
            settings.name, replace(settings, resource=resource, resource_needed=needed), scope
        )
    else:
        for resource in resources:
            name = f"{settings.name}/{resource}"
            yield ConnectionSpec(
                name, replace(settings, resource=resource, resource_needed=True), resource
            )


def unique(names: Iterable[str], taken: Collection[str] = ()) -> list[str]:
    """The names, numbered where one comes twice or is taken."""
    given: list[str] = []
    for name in names:
        chosen, number = name, 1
        while chosen in taken or chosen in given:
            number += 1
            chosen = f"{name}-{number}"
        given.append(chosen)
    return given
