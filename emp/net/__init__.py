"""The network: from a domain to a stream of stanzas, on asyncio.

    resolve      SRV and addresses: where to connect (lookup: the questions to DNS)
    race         the addresses of one machine, IPv6 and IPv4, against each other
    trust        what a server has to prove (identity: names in certificates; dane: TLSA records)
    tls          our end of TLS, and what its faults mean (openssl, binding: channel binding)
    connect      open_stream(): the candidates, one after the other
    negotiation  from a socket to a stream that is ready: the steps, and their deadlines
    shell        what both ends of a connection do alike: from clear text to TLS
    transport    XMPPStream: the engine on a socket (sink: who takes what comes; pulse: is the other
                 side still there)
    websocket    the same through WebSocket (endpoint: its address; hostmeta: where a domain has it)
    failures     what went wrong, and whether trying again helps

Here and in emp.devserver are the only sockets of `emp`. Works on any asyncio event loop.
"""

from emp.net.connect import open_stream
from emp.net.failures import ESTABLISHED, STEPS
from emp.net.sink import StreamSink
from emp.net.transport import CLOSE_SECONDS, XMPPStream

__all__ = ["CLOSE_SECONDS", "ESTABLISHED", "STEPS", "StreamSink", "XMPPStream", "open_stream"]
