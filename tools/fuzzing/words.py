"""What mutations put in: names, values, numbers at bounds, XML's special places, whole elements."""

from __future__ import annotations

import base64
from typing import Final

from emp import ns

NAMESPACES: Final = [
    b"http://www.w3.org/2000/xmlns/",
    *sorted(
        value.encode()
        for name, value in vars(ns).items()
        if name.isupper() and isinstance(value, str)
    ),
]

_NAMES: Final = """
stream:stream stream:features stream:error stream:x message presence iq error body text thread
subject starttls proceed failure mechanisms mechanism auth challenge response success abort
authentication authenticate continue inline initial-response additional-data
authorization-identifier user-agent software tasks task bind bound jid resource tag feature session
optional required sm enable enabled resume resumed failed a r fast token request-token handshake
open close csi active inactive ver sasl-channel-binding channel-binding limits max-bytes
idle-seconds see-other-host conflict not-authorized item-not-found unexpected-request query ping
x:y :a a: xml:foo xml stream
"""
_ATTRIBUTES: Final = """
xmlns xmlns:a xmlns:stream xmlns:xml xmlns:xmlns xml:lang xml:space xml:id xml:foo from to id type
version
mechanism h previd max resume location var count invalidate expiry token see-other-uri by code
send-count a:b
"""
NAMES: Final = _NAMES.encode().split()
ATTRIBUTES: Final = _ATTRIBUTES.encode().split()

NUMBERS: Final = [
    str(number).encode()
    for number in (
        *(0, 1, 2, 3, 4, 5, 7, 8, 31, 32, 33, 99, 100, 101, 127, 128, 255, 256, 4095, 4096, 4097),
        *(65535, 65536, 99_999, 100_000, 1_000_000, 10_000_000),
        *(2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**63, 2**64, 10**20, -1, -(2**31)),
    )
] + [b"00", b"+1", b"1.0", b"0x1", b"1e3", b" 1", b"1 ", b"\xd9\xa1", b"\xc2\xb2", b"", b"true"]


def _base64(*texts: bytes) -> list[bytes]:
    return [base64.b64encode(text) for text in texts]


VALUES: Final = [
    *(b"", b" ", b"=", b"true", b"false", b"1", b"0", b"get", b"set", b"result", b"error", b"chat"),
    *(b"groupchat", b"headline", b"unavailable", b"subscribe", b"localhost", b"c.localhost"),
    *(
        b"juliet@localhost",
        b"juliet@localhost/balcony",
        b"romeo@localhost",
        b"@",
        b"a@",
        b"/",
        b"a/",
    ),
    *(b"xn--a", b"\xe2\x98\x83", b"\xc3\x9f.localhost", b"a" * 1024, b"1.0", b"1.9", b"2.0", b"en"),
    *(b"an earlier session", b"old session", b"SCRAM-SHA-256", b"SCRAM-SHA-1-PLUS", b"PLAIN"),
    *(b"EXTERNAL", b"ANONYMOUS", b"HT-SHA-256-EXPR", b"HT-SHA-256-NONE", b"tls-exporter"),
    *(b"tls-unique", b"tls-server-end-point", b"2027-01-29T08:00:00Z", b"9999-99-99T99:99:99Z"),
    *(
        b"0001-01-01T00:00:00+14:00",
        b"10000-01-01T00:00:00Z",
        b"&amp;",
        b"&lt;",
        b"&#x41;",
        b"&#9;",
    ),
    *(b"&#x10FFFF;", b"&quot;&gt;", b"[::1]:5222", b"host:99999", b"a b", b"x" * 500),
    *(
        b"\xd7\x90",
        b"\xd7\x90a",
        b"\xc2\xaa",
        b"\xc2\xad",
        b"romeo",
        b"tab\xc2\xado",
        b"r0m30myr0m30",
    ),
    *_base64(b"\0juliet\0r0m30myr0m30", b"\0romeo\0tabo", b"\0\xc2\xaa\0tabo", b"\0\xd7\x90a\0b"),
    *_base64(b"n,,n=juliet,r=abc", b"r=abc,s=QQ==,i=4096", b"v=QQ=="),
    *_base64(b"e=other-error", b"\xff", b"\0" * 40, b"r=,s=,i=0", b"m=x,r=a", b"y,,n==2C=3D=,r=a"),
    *_base64(b"p=tls-unique,,n=juliet,r=a", b"juliet@localhost", b"juliet\0" + b"x" * 32),
]

WRONG_VALUES: Final = [
    *(
        b"&#0;",
        b"&#xD800;",
        b"&#x110000;",
        b"&foo;",
        b"&",
        b"]]>",
        b"&amp",
        b"&#xFFFE;",
        b"<",
        b"\0",
    ),
    *(b"\xff", b"\xed\xa0\x80", b"\x01", b"'", b'"', b"&#x0;", b"&#" + b"9" * 30 + b";"),
]

FIELDS: Final = [
    *(b"", b"r=", b"r=abc", b"s=", b"s=QQ==", b"s=!", b"i=0", b"i=1", b"i=4096", b"i=999999999"),
    *(b"i=-1", b"i=4096.0", b"m=x", b"x=y", b"v=", b"v=QQ==", b"e=invalid-proof", b"p=", b"p=QQ=="),
    *(
        b"c=biws",
        b"c=",
        b"n=",
        b"n=juliet",
        b"n==2C",
        b"n==",
        b"h=QQ==",
        b"d=x",
        b"n",
        b"y",
        b"\xff",
    ),
    *(
        b"p=tls-exporter",
        b"p=tls-unique",
        b"a=juliet@localhost",
        b"i=\xd9\xa1",
        b"i=" + b"9" * 5000,
    ),
]

BYTES: Final = [
    *(b"<", b">", b"/", b"'", b'"', b"=", b"&", b";", b"!", b"?", b"[", b"]", b":", b"-", b"#"),
    *(b"\0", b"\t", b"\n", b"\r", b" ", b"\x01", b"\x0b", b"\x7f", b"\x80", b"\xa9", b"\xbf"),
    *(
        b"\xc0",
        b"\xc3",
        b"\xe2\x98",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\xef\xbf\xbe",
        b"\xf4\x90",
    ),
    *(b"\xf7\x80\x80\x80", b"\xf0\x9f\x98\x80", b"\xfe\xff", b"\xff", b"\xc2\x85", b"\xe2\x80\xa8"),
    *(b"<!", b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<?", b"?>", b"<?xml version='1.0'?>", b"</"),
    *(
        b"/>",
        b"<a>",
        b"</a>",
        b"<a/>",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
        b"&amp;",
        b"&#x41;",
        b"&b;",
    ),
    *(b"xmlns='", b" xmlns:a='b'", b"a:", b"<a:b/>", b"x" * 700, b"<a>" * 60, b" " * 300),
]

# As much of something as limits of ours or libxml2's allow, and more.
MANY_ATTRIBUTES: Final = [
    *(b"".join([b" a%d=''" % each for each in range(count)]) for count in (6, 7, 8, 100, 101, 300)),
    *(b"".join([b" xmlns:n%d='urn:%d'" % (each, each) for each in range(n)]) for n in (3, 50, 120)),
]
MUCH_CONTENT: Final = [
    *(b"<a/>" * count for count in (401, 2049, 6000)),
    *(b"<a>" * depth + b"</a>" * depth for depth in (250, 256, 300)),
    *(b"x" * size for size in (300, 900, 9000, 66_000)),
    *(b"<x xmlns='a b'/>" * count for count in (49, 51, 130)),
    *(b"<x xmlns='relative'/>" * count for count in (99, 501)),
    *(b"".join([b"<n%d m%d=''/>" % (each, each) for each in range(n)]) for n in (100, 2000)),
    b"<" + b"a" * 50_100 + b"/>",
    b"&#" + b"0" * 40 + b"65;",
    b"<message/>" * 101,
    b"\xc3\xa9&#x41;<![CDATA[<]]>" * 500,
]

_SM: Final = "xmlns='urn:xmpp:sm:3'"
_SASL: Final = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
_ERRORS: Final = "xmlns='urn:ietf:params:xml:ns:xmpp-streams'"
_STANZAS: Final = "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'"

# Those that the shortcut takes (emp.stream.shortcut), while nothing is changed in them.
PLAIN_STANZAS: Final = [
    text.encode()
    for text in (
        "<message type='chat' id='1' from='a@b/c' to='d@e'><body>hi</body></message>",
        '<message to="d@e" from="a@b/c" xml:lang="en"><thread>t</thread><body>a &amp; b</body>'
        "<active xmlns='http://jabber.org/protocol/chatstates'/></message>",
        "<message><stanza-id xmlns='urn:xmpp:sid:0' by='d@e' id='\N{SNOWMAN}'/><body/></message>",
        "<presence from='a@b/c'><show>away</show><c xmlns='http://jabber.org/protocol/caps' "
        "hash='sha-1' node='http://a.b/' ver='v='/></presence>",
        "<iq type='get' id='1' from='a@b/c' to='d@e'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<iq type='result' id='1' from='a@b/c'/>",
    )
]

STANZAS: Final = [
    *PLAIN_STANZAS,
] + [
    text.encode()
    for text in (
        "<presence/>",
        "<message to='a'><body>hi</body></message>",
        "<message from='x@y/z' type='error'><error type='cancel'><gone "
        f"{_STANZAS}>xmpp:a@b</gone></error></message>",
        "<a:message xmlns:a='jabber:client'><a:body>hi</a:body></a:message>",
        "<message><x xmlns='a b'/><y xmlns='\N{SNOWMAN}'/></message>",
        f"<message from='a@b/c'><x xmlns='u'><foo xmlns='{ns.XML}'/></x></message>",
        f"<iq type='get' id='7'><x xmlns='u' xmlns:a='{ns.XML}' a:foo='1'/></iq>",
        "<message><x xmlns=''><xml:foo xml:id='1'><y/></xml:foo></x></message>",
        "<message xml:lang='de'><body>a</body><body xml:lang='en'>b</body></message>",
        "<message><body><![CDATA[<x>&]]]></body></message>",
        "<message><html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='"
        "http://www.w3.org/1999/xhtml'><p>a<em xml:lang='de'>b</em>c</p></body></html></message>",
        "<presence type='subscribe' from='romeo@localhost'><priority>-1</priority></presence>",
        "<message><a:x xmlns:a='u' xmlns:b='u' a:b='1' b:c='2'/>t&#x41;&lt;<b/>t</message>",
        f"<iq type='error' id='q1'><error type='wait'><conflict {_STANZAS}/></error></iq>",
        "<iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>",
        "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        "<iq type='result' id='q1'><query xmlns='jabber:iq:version'><name>x</name></query></iq>",
    )
]

COMPONENT_STANZAS: Final = [
    b"<message xmlns='jabber:component:accept'><body>a</body><x xmlns='b'><y/></x></message>",
    b"<c:iq xmlns:c='jabber:component:accept' type='get' id='1'><c:a/></c:iq>",
    b"<presence xmlns='jabber:component:accept' xmlns:a='jabber:client'><a:b/></presence>",
]

ELEMENTS: Final = [
    *STANZAS,
    *COMPONENT_STANZAS,
] + [
    text.encode()
    for text in (
        "</stream:stream>",
        f"<stream:error><conflict {_ERRORS}/></stream:error>",
        f"<stream:error><see-other-host {_ERRORS}>[::1]:99</see-other-host></stream:error>",
        f"<stream:error><text {_ERRORS}>a</text><x/><y xmlns='z'/></stream:error>",
        "<stream:error/>",
        "<stream:features/>",
        f"<stream:features><sm {_SM}/></stream:features>",
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        f"<failure {_SASL}><not-authorized/><text>no</text></failure>",
        f"<success {_SASL}/>",
        f"<challenge {_SASL}>cj1hLHM9UVE9PSxpPTQwOTY=</challenge>",
        f"<response {_SASL}/>",
        f"<abort {_SASL}/>",
        f"<auth {_SASL} mechanism='PLAIN'>AGp1bGlldAByMG0zMG15cjBtMzA=</auth>",
        f"<auth {_SASL} mechanism='ANONYMOUS'/>",
        f"<auth {_SASL} mechanism='EXTERNAL'>=</auth>",
        f"<failure xmlns='urn:xmpp:sasl:2'><not-authorized {_SASL}/><text>no</text></failure>",
        "<continue xmlns='urn:xmpp:sasl:2'><tasks><task>x</task></tasks></continue>",
        "<abort xmlns='urn:xmpp:sasl:2'/>",
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>"
        "AGp1bGlldAByMG0zMG15cjBtMzA=</initial-response><bind xmlns='urn:xmpp:bind:0'><tag>t</tag>"
        f"<enable {_SM} resume='1'/></bind><resume {_SM} h='3' previd='an earlier session'/>"
        "</authenticate>",
        *(f"<{name} {_SM}/>" for name in ("r", "a", "sm", "enable", "resume", "failed", "x")),
        f"<a {_SM} h='1'/>",
        f"<a {_SM} h='4294967295'/>",
        f"<enable {_SM} resume='true' max='4'/>",
        f"<enabled {_SM} id='i' resume='1' max='9' location='[::1]:9'/>",
        f"<resume {_SM} h='2' previd='an earlier session'/>",
        f"<resumed {_SM} h='3' previd='an earlier session'/>",
        f"<failed {_SM} h='2'><item-not-found {_STANZAS}/></failed>",
        "<active xmlns='urn:xmpp:csi:0'/>",
        "<handshake/>",
        "<handshake>0f</handshake>",
        "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>",
        "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>",
        "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing' see-other-uri='wss://a/b'/>",
        "<stream:stream to='localhost' version='1.0' xmlns='jabber:client'"
        " xmlns:stream='http://etherx.jabber.org/streams'>",
        "<stream:features><limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>90000</max-bytes>"
        "<idle-seconds>60</idle-seconds></limits></stream:features>",
    )
]
