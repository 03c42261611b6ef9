"""An XMPP server for development and tests: the engine's server role and a routing table.

It does: accounts and components given at start; STARTTLS with a certificate made on the spot,
without which no client gets in; SASL and resource binding as the engine has them; rosters,
subscriptions and presence in memory (RFC 6121), enough for clients to chat; messages by full JID,
by bare JID and priority; XEP-0114 components on a second port, in clear text; disco, ping and
version of the server; errors for what cannot be delivered; back-pressure: who sends faster than the
receiver reads, waits.

It does not: listen beyond loopback, talk to other servers, store anything (no offline messages, no
rosters after a restart), let anyone register, or bring chat rooms, pubsub, archives or stream
resumption. A server for users is Prosody or ejabberd.

    server      DevServer: ports, settings, start and stop
    session     one connection: engine, transport, back-pressure
    hub         who is here, and which way a stanza goes
    presence    presence, subscriptions, rosters
    answers     what the server itself answers to IQs
    certificate the certificate and its authority
"""

from emp.devserver.server import DevServer, Tap

__all__ = ["DevServer", "Tap"]
