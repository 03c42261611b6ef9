"""Where actors run. The same actor code lives in both systems; configuration chooses.

- `embedded`: one process, on its asyncio loop (`actors.systems.embedded`).
- `multiproc`: a process for each actor (`actors.systems.multiproc`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from thespian.actors import Actor, ActorAddress

from emp.config import SystemName


class System(Protocol):
    """A running actor system, as seen from outside of it: from the process that started it."""

    name: str

    async def create(self, actor_class: type[Actor], name: str | None = None) -> ActorAddress:
        """Start an actor of `actor_class`, which its module and name must identify. With `name`, an
        actor that has this name already is returned instead. Raises `EmpError`."""

    def tell(self, address: ActorAddress, message: object) -> None:
        """Send `message`; what is sent back goes nowhere."""

    async def ask(self, address: ActorAddress, message: object, timeout: float) -> object:
        """Send `message`, return the first answer; `TimeoutError` when none comes in `timeout`
        seconds."""

    async def stop(self, grace: float) -> list[str]:
        """End all actors in order, what is left after `grace` seconds by force; returns what had to
        be forced. The system is of no use afterwards."""

    def kill(self) -> None:
        """End every process of the system at once, without a word to anybody."""


async def start_system(name: SystemName, directory: Path, port: int | None) -> System:
    """Start a system in the running loop; `directory` is for its log and key.

    Raises ConfigError, for instance when `port` is taken, and EmpError.
    """
    # Imported here, because each of them takes what it needs of Thespian into the process.
    if name == "multiproc":
        from actors.systems.multiproc import start_multiproc

        return start_multiproc(directory=directory, port=port, key_file=directory / "key")
    from actors.systems.embedded import EmbeddedSystem

    return EmbeddedSystem()
