from typing import Any

class IPActorAddress:
    sockname: tuple[str, int]
    def __init__(
        self, af: Any, socktype: Any, proto: Any, baseaddr: Any, port: Any, external: Any = ...
    ) -> None: ...

class TCPv4ActorAddress(IPActorAddress):
    def __init__(
        self, initialIPAddr: Any = ..., initialIPPort: Any = ..., external: Any = ...
    ) -> None: ...

thisSystem: Any
