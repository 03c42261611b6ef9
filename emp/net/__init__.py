"""The network: from a domain to a stream of stanzas, on asyncio.

    resolve    SRV and addresses: where to connect
    tls        who may answer there
    connect    open_stream(): the steps, in order
    transport  XMPPStream: the engine on a socket
    failures   what went wrong, and whether trying again helps

Here and in emp.devserver are the only sockets of `emp`. Works on any asyncio event loop.
"""

from emp.net.connect import open_stream
from emp.net.failures import ESTABLISHED, STEPS
from emp.net.transport import CLOSE_SECONDS, StreamSink, XMPPStream

__all__ = ["CLOSE_SECONDS", "ESTABLISHED", "STEPS", "StreamSink", "XMPPStream", "open_stream"]
