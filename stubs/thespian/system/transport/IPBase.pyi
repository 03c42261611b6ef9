from typing import Any

class TCPv4ActorAddress:
    sockname: tuple[str, int]
    def __init__(
        self, initialIPAddr: Any = None, initialIPPort: Any = 0, external: Any = False
    ) -> None: ...
