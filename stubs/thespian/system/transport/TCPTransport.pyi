from typing import Any

MAX_INCOMING_SOCKET_PERIOD: Any
ReceiveBuffer: Any
serializer: Any
TCPv4ActorAddress: Any
TCPIncomingPersistent: Any
LISTEN_DEPTH: int

class TCPEndpoint:
    args: tuple[Any, ...]
    def __init__(self, *args: Any) -> None: ...

class ExternalTransportCopy: ...

class TCPTransport:
    socket: Any
    myAddress: Any
    def __init__(self, initType: object, *args: Any) -> None: ...
    def prepEndpoint(self, assignedLocalAddr: Any, capabilities: Any) -> TCPEndpoint: ...
    @staticmethod
    def getAdminAddr(capabilities: Any) -> Any: ...
    def _handleReadableIncoming(self, inc: Any, has_exclusive_flag: bool = False) -> Any: ...
    def __getattr__(self, name: str) -> Any: ...
