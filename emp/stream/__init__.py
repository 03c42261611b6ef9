"""The sans-I/O XMPP stream engine: bytes in → events, commands → bytes out.

Three roles with one interface (emp.stream.engine.Stream): ClientStream, ComponentStream and
ServerStream; what they report is in emp.stream.events.
"""

from emp.stream.client import ClientStream
from emp.stream.component import ComponentStream
from emp.stream.config import ClientConfig, ComponentConfig, ServerConfig
from emp.stream.limits import Limits
from emp.stream.server import ServerStream

__all__ = [
    "ClientConfig",
    "ClientStream",
    "ComponentConfig",
    "ComponentStream",
    "Limits",
    "ServerConfig",
    "ServerStream",
]
