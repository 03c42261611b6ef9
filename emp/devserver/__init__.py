"""An XMPP server for development and tests: the engine's server role and a routing table.

It does: accounts and components given at start; TLS with a certificate made on the spot, without
which no client gets in; SASL, resource binding and resumption (XEP-0198) as the engine has them;
rosters with versions, subscriptions and presence in memory (RFC 6121), enough for clients to chat;
messages by full JID, by bare JID and priority, with copies for other clients (XEP-0280) and ids
(XEP-0359), kept for who is away (XEP-0160); XEP-0114 components on a second port; disco, ping and
version of the server; errors for what cannot be delivered; back-pressure: who sends faster than the
receiver reads, waits.

It does not: listen beyond loopback, talk to other servers, store anything (no messages and rosters
after a restart), let anyone register, or bring chat rooms, pubsub or archives. A server for users
is Prosody or ejabberd.

    server      DevServer: ports, settings, start and stop
    session     one connection: engine, transport, back-pressure
    web         the port for WebSocket, and host-meta beside it
    hub         who is here, and which way a stanza goes
    messages    who gets a message, copies, ids, messages for who is away
    presence    presence and subscriptions
    roster      rosters and their versions
    resumption  sessions that wait for their clients to come back
    answers     what the server itself answers to IQs
    certificate the certificate and its authority
"""

from emp.devserver.server import DevServer, Tap

__all__ = ["DevServer", "Tap"]
