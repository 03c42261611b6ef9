"""An application on disk: where its files are, and how they are loaded.

    hack.py                       one file with `routes` and components; emp.toml beside it
    hack/  emp.toml hack.py       the same in a folder of its own
    myapp/ config/emp.toml        the full layout: routes in config/router.py,
           config/router.py       components in app/components/, views in app/views/
           app/components/*.py    (in the layouts above: in views/)
           app/views/*.xml

Every process loads the application for itself, so nothing in it needs to pickle. What is wrong in
it is a `ConfigError` with the file and line of the user's code, never a traceback.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

from emp import config as configuration
from emp.binding import bind, check_defaults
from emp.config import Config
from emp.errors import ConfigError, RouteError
from emp.results import check_result
from emp.routing import Route, Routes, RouteTable, compile_routes

TAKEN = {
    "emp",
    "actors",
    "lxml",
    "thespian",
    "click",
    "dns",
    "jinja2",
} | sys.stdlib_module_names - {"test"}
"""Top-level names that an application must not have: they would hide the framework, what it stands
on, or the standard library."""

Read: TypeAlias = Callable[[Path, Path], ModuleType]
"""(file, folder of the application) → its module."""


@dataclass(frozen=True, slots=True)
class App:
    """A loaded application. `components` are its classes in the order of their first route;
    `views` is the folder of its views, which need not exist."""

    name: str
    directory: Path
    config: Config
    routes: Routes
    table: RouteTable
    components: tuple[type, ...]
    views: Path


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of an application are, before anything is read."""

    name: str
    directory: Path
    config_file: Path
    module_file: Path | None
    views: Path


def real(path: Path) -> Path:
    """Where it is, links followed as far as they lead anywhere. Path's own functions raise for
    links that lead in a circle, names that are too long and folders that are closed."""
    return Path(os.path.realpath(path))


def find(path: Path, config_file: Path | None = None) -> Layout:
    """Find the parts of the application at `path` (a .py file or a folder).

    `config_file` replaces the configuration file that would be found. Raises ConfigError.
    """
    path = real(path)
    if path.suffix == ".py" and os.path.isfile(path):
        home = path.parent
        return Layout(path.stem, home, config_file or home / "emp.toml", path, home / "views")
    if not os.path.isdir(path):
        raise ConfigError(
            f"there is no application at {path}", remedy="give a folder or a .py file"
        )
    if any(os.path.isfile(path / "config" / name) for name in ("emp.toml", "router.py")):
        chosen = config_file or path / "config" / "emp.toml"
        module_file = path / "config" / "router.py"
        return Layout(path.name, path, chosen, module_file, path / "app" / "views")
    return Layout(path.name, path, config_file or path / "emp.toml", None, path / "views")


def load(path: Path, config_file: Path | None = None, read: Read | None = None) -> App:
    """Load the configuration, the components and the routes of the application at `path`.

    `read` makes a module of the routes' file; by default it is imported, once in each process.
    Raises ConfigError (RouteError for routes), with the place in the user's files.
    """
    layout = find(path, config_file)
    if not os.path.lexists(layout.config_file):
        raise ConfigError(
            f"there is no configuration file {layout.config_file}",
            remedy="write it, or name another with --config FILE",
        )
    config = configuration.load(layout.config_file)
    written = layout.module_file or layout.directory / (config.app_module or f"{layout.name}.py")
    module_file = Path(os.path.normpath(written))
    if not module_file.is_relative_to(layout.directory):  # it has no name as a module there
        raise config.error(
            f"the application's file {module_file} is outside of its folder", "app", "module"
        )
    if not os.path.isfile(module_file):
        raise ConfigError(
            f"the application's file {module_file} does not exist",
            file=layout.config_file,
            remedy="write it, with routes = Routes() in it"
            if layout.module_file
            else 'name it: [app] module = "FILE.py"',
        )
    name = config.app_name or layout.name
    routes = _routes((read or import_file)(module_file, layout.directory), module_file)
    table = _compiled(routes, config)
    components = tuple(dict.fromkeys(route.component for route in table.routes))
    return App(name, layout.directory, config, routes, table, components, layout.views)


def with_routes(app: App, extra: Iterable[tuple[str, type, str]]) -> RouteTable:
    """The application's table with more routes after its own: (XPath, class, action) each.

    Raises RouteError. The application's own routes stay as they are.
    """
    routes = Routes(app.routes.namespaces)
    routes.declarations.extend(app.routes.declarations)
    for xpath, component, action in extra:
        routes.route(xpath).to(component, action)
    return _compiled(routes, app.config)


def _compiled(routes: Routes, config: Config) -> RouteTable:
    bound: set[object] = set()

    def check(route: Route) -> None:
        _check_connection(route, config)
        action = getattr(route.component, route.action)
        # Thousands of routes may lead to one action, and to bind it takes longer than the rest.
        alike = (action, tuple(route.captures), route.payload)
        if not route.defaults and alike in bound:
            return
        check_defaults(action, route.defaults, route.source)
        check_result(action, route.source)
        bind(
            action,
            route.captures,
            route.source,
            defaults=route.defaults,
            payload=route.payload,
        )
        if not route.defaults:
            bound.add(alike)

    return compile_routes(routes, check)


def _check_connection(route: Route, config: Config) -> None:
    names = [settings.name for settings in config.connections]
    if route.connection is None or route.connection in names:
        return
    near = difflib.get_close_matches(route.connection, names, 1)
    raise RouteError(
        f"{config.file} has no [connections.{route.connection}]",
        remedy=f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(names) or 'none'}",
    )


def reference(component: type) -> str:
    """How another process finds the class: "module:Class"."""
    return f"{component.__module__}:{component.__qualname__}"


def resolve(text: str, directory: Path) -> type:
    """The class that `text` ("module:Class") names, looked up in the application first.

    Raises ConfigError when there is none.
    """
    module_name, _, class_name = text.partition(":")
    if not module_name or not class_name:
        raise ConfigError(f"{text!r} names no class", remedy="write module:Class")
    _search(directory)
    try:
        module = sys.modules.get(module_name) or importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(f"{text}: {error}") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's module may raise anything
        raise _fault(error, directory) from None
    found: object = module
    for part in class_name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type):
        classes = [name for name, value in vars(module).items() if isinstance(value, type)]
        near = difflib.get_close_matches(class_name, classes, 1)
        hint = f"did you mean {module_name}:{near[0]}?" if near else None
        raise ConfigError(f"{module_name} has no class {class_name!r}", remedy=hint)
    return found


def _search(directory: Path) -> None:
    for file in (*directory.glob("*.py"), *directory.glob("*/__init__.py")):
        name = file.parent.name if file.name == "__init__.py" else file.stem
        if name in TAKEN and file != directory / "__init__.py":
            raise ConfigError(
                f"{directory} has a module {name!r}, which would hide the one that everybody knows",
                remedy="rename it",
            )
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))


def import_file(file: Path, directory: Path) -> ModuleType:
    """Import `file` under its name below `directory`, once in each process."""
    _search(directory)
    name = ".".join(file.relative_to(directory).with_suffix("").parts)
    loaded = sys.modules.get(name)
    if loaded is not None and Path(getattr(loaded, "__file__", None) or "").resolve() == file:
        return loaded
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigError("cannot be loaded as Python", file=file)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        execute(partial(spec.loader.exec_module, module), directory)
    except ConfigError:
        del sys.modules[name]
        raise
    return module


def execute(code: Callable[[], object], directory: Path) -> None:
    """Run code of the application in `directory`. Raises ConfigError with the place of a fault."""
    try:
        code()
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's module may raise anything
        raise _fault(error, directory) from None


def _fault(error: BaseException, directory: Path) -> ConfigError:
    """What the user's code did wrong, at the innermost line of it that is the user's own."""
    if isinstance(error, SyntaxError) and error.filename:
        keyword = re.search(r"\b(from|if)\s*=[^=]", error.text or "")
        return ConfigError(
            f"syntax error: {error.msg}",
            file=error.filename,
            line=error.lineno,
            remedy=f"{keyword[1]} is a word of Python's: write {keyword[1]}_=" if keyword else None,
        )
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(directory)]
    place = (own or frames)[-1]
    remedy = None
    if isinstance(error, (AttributeError, NameError)) and error.name:
        known = dir(getattr(error, "obj", None))
        near = difflib.get_close_matches(error.name, known, 1)
        remedy = f"did you mean {near[0]!r}?" if near else None
    return ConfigError(
        f"{type(error).__name__}: {error}", file=place.filename, line=place.lineno, remedy=remedy
    )


def _routes(module: ModuleType, file: Path) -> Routes:
    routes = getattr(module, "routes", None)
    if not isinstance(routes, Routes):
        raise ConfigError(
            "has no `routes`", file=file, remedy="write routes = Routes() and add routes to it"
        )
    return routes
