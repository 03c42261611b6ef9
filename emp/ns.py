"""XML namespaces: one constant for each, named after the protocol that defines it."""

from typing import Final

# RFC 6120 and RFC 6121
CLIENT: Final = "jabber:client"
SERVER: Final = "jabber:server"
STREAM: Final = "http://etherx.jabber.org/streams"
STREAMS_ERROR: Final = "urn:ietf:params:xml:ns:xmpp-streams"
STANZAS: Final = "urn:ietf:params:xml:ns:xmpp-stanzas"
TLS: Final = "urn:ietf:params:xml:ns:xmpp-tls"
SASL: Final = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND: Final = "urn:ietf:params:xml:ns:xmpp-bind"
SESSION: Final = "urn:ietf:params:xml:ns:xmpp-session"
FRAMING: Final = "urn:ietf:params:xml:ns:xmpp-framing"  # RFC 7395
ROSTER: Final = "jabber:iq:roster"
ROSTER_VER: Final = "urn:xmpp:features:rosterver"
PRE_APPROVAL: Final = "urn:xmpp:features:pre-approval"

# XML itself
XML: Final = "http://www.w3.org/XML/1998/namespace"
XMLNS: Final = "http://www.w3.org/2000/xmlns/"
EXSLT_REGEXP: Final = "http://exslt.org/regular-expressions"
XHTML: Final = "http://www.w3.org/1999/xhtml"

# XEPs, by number
DATA_FORMS: Final = "jabber:x:data"  # XEP-0004
LAST_ACTIVITY: Final = "jabber:iq:last"  # XEP-0012
PRIVACY: Final = "jabber:iq:privacy"  # XEP-0016
DISCO_INFO: Final = "http://jabber.org/protocol/disco#info"  # XEP-0030
DISCO_ITEMS: Final = "http://jabber.org/protocol/disco#items"  # XEP-0030
ADDRESS: Final = "http://jabber.org/protocol/address"  # XEP-0033
MUC: Final = "http://jabber.org/protocol/muc"  # XEP-0045
MUC_USER: Final = "http://jabber.org/protocol/muc#user"  # XEP-0045
MUC_ADMIN: Final = "http://jabber.org/protocol/muc#admin"  # XEP-0045
MUC_OWNER: Final = "http://jabber.org/protocol/muc#owner"  # XEP-0045
COMMANDS: Final = "http://jabber.org/protocol/commands"  # XEP-0050
VCARD: Final = "vcard-temp"  # XEP-0054
RSM: Final = "http://jabber.org/protocol/rsm"  # XEP-0059
PUBSUB: Final = "http://jabber.org/protocol/pubsub"  # XEP-0060
PUBSUB_ERRORS: Final = "http://jabber.org/protocol/pubsub#errors"  # XEP-0060
PUBSUB_EVENT: Final = "http://jabber.org/protocol/pubsub#event"  # XEP-0060
PUBSUB_OWNER: Final = "http://jabber.org/protocol/pubsub#owner"  # XEP-0060
OOB: Final = "jabber:x:oob"  # XEP-0066
REGISTER: Final = "jabber:iq:register"  # XEP-0077
REGISTER_FEATURE: Final = "http://jabber.org/features/iq-register"  # XEP-0077
AUTH: Final = "jabber:iq:auth"  # XEP-0078
CHAT_STATES: Final = "http://jabber.org/protocol/chatstates"  # XEP-0085
VERSION: Final = "jabber:iq:version"  # XEP-0092
COMPONENT: Final = "jabber:component:accept"  # XEP-0114
CAPS: Final = "http://jabber.org/protocol/caps"  # XEP-0115
RECEIPTS: Final = "urn:xmpp:receipts"  # XEP-0184
SM: Final = "urn:xmpp:sm:3"  # XEP-0198
PING: Final = "urn:xmpp:ping"  # XEP-0199
TIME: Final = "urn:xmpp:time"  # XEP-0202
DELAY: Final = "urn:xmpp:delay"  # XEP-0203
CARBONS: Final = "urn:xmpp:carbons:2"  # XEP-0280
FORWARD: Final = "urn:xmpp:forward:0"  # XEP-0297
CORRECT: Final = "urn:xmpp:message-correct:0"  # XEP-0308
MAM: Final = "urn:xmpp:mam:2"  # XEP-0313
HINTS: Final = "urn:xmpp:hints"  # XEP-0334
CSI: Final = "urn:xmpp:csi:0"  # XEP-0352
STANZA_ID: Final = "urn:xmpp:sid:0"  # XEP-0359
HTTP_UPLOAD: Final = "urn:xmpp:http:upload:0"  # XEP-0363
BIND2: Final = "urn:xmpp:bind:0"  # XEP-0386
SASL2: Final = "urn:xmpp:sasl:2"  # XEP-0388
CHANNEL_BINDING: Final = "urn:xmpp:sasl-cb:0"  # XEP-0440
STREAM_LIMITS: Final = "urn:xmpp:stream-limits:0"  # XEP-0478
FAST: Final = "urn:xmpp:fast:0"  # XEP-0484
