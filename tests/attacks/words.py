"""What servers say: the parts that scripts are put together from."""

from __future__ import annotations

import base64

DOMAIN = "im.test"
PASSWORD = "correct horse battery staple"
SECRET = "secret of the component"
JID = b"romeo@im.test/orchard"

CLIENT_HEADER = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:client'"
    b" xmlns:stream='http://etherx.jabber.org/streams' from='im.test' id='s1' version='1.0'>"
)
COMPONENT_HEADER = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept'"
    b" xmlns:stream='http://etherx.jabber.org/streams' from='bot.im.test' id='s1'>"
)
STARTTLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
PROCEED = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
BIND = b"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"


def mechanisms(*names: str) -> bytes:
    """An offer of SASL mechanisms."""
    inner = "".join(f"<mechanism>{name}</mechanism>" for name in names)
    return f"<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{inner}</mechanisms>".encode()


SCRAM = mechanisms("SCRAM-SHA-256")


def features(*offers: bytes) -> bytes:
    return b"<stream:features>" + b"".join(offers) + b"</stream:features>"


def authentication(*names: str, inline: bytes = b"") -> bytes:
    """An offer of SASL2 (XEP-0388)."""
    inner = b"".join(b"<mechanism>%s</mechanism>" % name.encode() for name in names)
    inner += b"<inline>%s</inline>" % inline
    return b"<authentication xmlns='urn:xmpp:sasl:2'>%s</authentication>" % inner


def sasl(name: str, text: bytes = b"") -> bytes:
    """A SASL element around base64 of `text`."""
    inner = base64.b64encode(text).decode()
    return f"<{name} xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{inner}</{name}>".encode()


def success2(text: bytes | None, jid: bytes = b"romeo@im.test", more: bytes = b"") -> bytes:
    """<success/> of SASL2."""
    data = (
        b"" if text is None else b"<additional-data>%s</additional-data>" % (base64.b64encode(text))
    )
    identifier = b"<authorization-identifier>%s</authorization-identifier>" % jid
    return b"<success xmlns='urn:xmpp:sasl:2'>%s%s%s</success>" % (data, identifier, more)
