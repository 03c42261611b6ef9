"""The routes of an application that runs, read anew.

Only the routes' file is executed again: its classes are those that run already, whatever the file
says of them now. A class that is new there, or that it imports from a file that is new, is taken as
it is.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from emp import app as application
from emp.app import App
from emp.routing import Routes


class _Source(SourceFileLoader):
    """Always reads the source: what Python keeps compiled of it may be a second older."""

    def path_stats(self, path: object) -> NoReturn:
        raise OSError


class Reading:
    """What the file says now, beside what is in use. `app` is the application as it would be.

    Raises ConfigError (RouteError for routes) like `emp.app.load`; then nothing has changed.
    """

    def __init__(self, path: Path, config_file: Path | None = None) -> None:
        self._before = set(sys.modules)
        self._directory = application.find(path, config_file).directory
        self._added: list[str] = []
        self._running: ModuleType
        try:
            self.app: App = application.load(path, config_file, read=self._read)
        except BaseException:
            self._forget()
            raise

    def _read(self, file: Path, directory: Path) -> ModuleType:
        """The module that runs, as the file is now; it is not put in the place of that one."""
        self._running = application.import_file(file, directory)
        self._routes: Routes = self._running.routes
        self._names = frozenset(vars(self._running))
        name = self._running.__name__
        loader = _Source(name, str(file))
        module = ModuleType(name)
        module.__file__ = str(file)
        application.execute(partial(loader.exec_module, module), directory)
        if isinstance(routes := getattr(module, "routes", None), Routes):
            self._lead_to_what_runs(routes)
        return module

    def _lead_to_what_runs(self, routes: Routes) -> None:
        for declaration in routes.declarations:
            if declaration.target is None:
                continue
            component, action = declaration.target
            running: object = self._running
            if component.__module__ == self._running.__name__:
                for part in component.__qualname__.split("."):
                    running = getattr(running, part, None)
                if not isinstance(running, type):
                    continue  # it is new
                declaration.target = running, action
            if not callable(getattr(declaration.target[0], action, None)):
                routes.mistakes.append(
                    declaration.place.error(
                        f"{component.__qualname__}.{action} is new: the class that runs has it not",
                        "restart the application",
                    )
                )
                declaration.target = None

    def adopt(self) -> None:
        """Let this process find it when it loads the application the next time."""
        names = vars(self._running)
        names["routes"] = self.app.routes
        for component in self.app.components:
            if component.__module__ == self._running.__name__:
                name = component.__qualname__
                if names.setdefault(name, component) is component and name not in self._names:
                    self._added.append(name)

    def drop(self) -> None:
        """Undo `adopt`. What was imported for it is forgotten too, so that it may be mended."""
        names = vars(self._running)
        names["routes"] = self._routes
        for name in self._added:
            del names[name]
        self._added.clear()
        self._forget()

    def _forget(self) -> None:
        for name in set(sys.modules) - self._before:
            file = getattr(sys.modules[name], "__file__", None)
            if file is not None and Path(file).is_relative_to(self._directory):
                del sys.modules[name]
