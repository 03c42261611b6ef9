"""SASL2 (XEP-0388): the login, and with it what comes next: resumption, a resource, a token.

Only under TLS. There is no restart: the success is followed by the features of the stream as it is
then, or, when a session was resumed, by that session's stanzas.

Bytes behind <success/> in the same read are legal here, unlike in SASL 1. What makes them dangerous
elsewhere is that they were received under less protection than what they are taken for afterwards:
in clear before <proceed/>, outside a security layer before SASL's <success/>. SASL2 begins under
TLS and the success changes nothing about the channel (EMP has no SASL security layers), so they
come from whoever wrote the success itself, through the same parser; the server has proved who it is
in that very element, before the next one is looked at.
"""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from emp import ns
from emp.errors import AuthenticationError, JIDError, RemoteProtocolError
from emp.jid import JID
from emp.sasl import MECHANISMS, Attempt, Challenge, ClientExchange, ServerExchange, Success
from emp.sasl.ht import BINDINGS, HashedTokenServer
from emp.sasl.issued import Issued
from emp.stanza import Stanza
from emp.stream.events import Authenticated, Ready
from emp.stream.features import bind2, fast, login, sm
from emp.stream.features.channel_binding import authority, channel_of_server
from emp.stream.features.feature import Feature
from emp.stream.state import Done
from emp.tokens import Token
from emp.xml import Element, escape

if TYPE_CHECKING:
    from emp.stream.client import ClientStream
    from emp.stream.server import ServerStream

SOFTWARE: Final = "EMP"

_MECHANISM: Final = f"{{{ns.SASL2}}}mechanism"
_INLINE: Final = f"{{{ns.SASL2}}}inline"
_INITIAL: Final = f"{{{ns.SASL2}}}initial-response"
_DATA: Final = f"{{{ns.SASL2}}}additional-data"
_IDENTIFIER: Final = f"{{{ns.SASL2}}}authorization-identifier"
_USER_AGENT: Final = f"{{{ns.SASL2}}}user-agent"
_TEXT: Final = f"{{{ns.SASL2}}}text"
_TASK: Final = f"{{{ns.SASL2}}}tasks/{{{ns.SASL2}}}task"
_SM: Final = f"{{{ns.SM}}}sm"
_RESUME: Final = f"{{{ns.SM}}}resume"
_RESUMED: Final = f"{{{ns.SM}}}resumed"
_ENABLE: Final = f"{{{ns.SM}}}enable"
_ENABLED: Final = f"{{{ns.SM}}}enabled"
_FAILED: Final = f"{{{ns.SM}}}failed"


def _element(name: str, data: bytes | None, inner: str = "", attributes: str = "") -> str:
    """One element; `data` in Base64, where None is none: there is no `=` here (XEP-0388 §2.2)."""
    text = "" if data is None else base64.b64encode(data).decode()
    return f"<{name} xmlns='{ns.SASL2}'{attributes}>{text}{inner}</{name}>"


def _data(element: Element | None) -> bytes | None:
    return None if element is None else login.decode((element.text or "").strip())


# -- client --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Login:
    """One <authenticate/>, and what was asked for with it.

    attempt: None where a token is proved. new_token: the mechanism of the one that was asked for.
    """

    offer: Element
    mechanism: str
    exchange: ClientExchange
    attempt: Attempt | None
    new_token: str | None = None
    resume: bool = False
    bind: bool = False
    enable: bool = False


def _wanted(stream: ClientStream, offer: Element) -> bool:
    return stream.config.sasl2


def _begin(stream: ClientStream, offer: Element) -> None:
    _authenticate(stream, offer, fast.usable_token(stream, offer.find(_INLINE)))


def _authenticate(stream: ClientStream, offer: Element, token: Token | None) -> None:
    config = stream.config
    if token is None:
        attempt = login.attempt(stream, offer.iterchildren(_MECHANISM), strict=True)
        now = Login(offer, attempt.mechanism.name, attempt.begin(), attempt)
    else:
        assert config.tokens is not None
        token = fast.counted(token)
        config.tokens.put(token)
        exchange = fast.begin(config.username, token, stream.bindings)
        now = Login(offer, token.mechanism, exchange, None)
    stream.login = now
    initial = base64.b64encode(now.exchange.initial()).decode()
    inner = (
        f"<initial-response>{initial}</initial-response>"
        f"{_user_agent(stream)}{_requests(stream, now, token)}"
    )
    stream.queue(_element("authenticate", None, inner, f" mechanism='{now.mechanism}'"))


def _user_agent(stream: ClientStream) -> str:
    tokens = stream.config.tokens
    id = "" if tokens is None else f" id='{tokens.id}'"
    return f"<user-agent{id}><software>{SOFTWARE}</software></user-agent>"


def _requests(stream: ClientStream, now: Login, token: Token | None) -> str:
    """What we want besides, as far as the server has it."""
    inline, config = now.offer.find(_INLINE), stream.config
    if inline is None:
        return ""
    parts = []
    resumable = config.acknowledgements and stream.management.id is not None
    if inline.find(_SM) is not None and resumable:
        now.resume = True
        parts.append(sm.resume_request(stream.management))
    features = bind2.offered(inline)
    if features is not None and config.resource is None:
        now.bind = True
        now.enable = config.acknowledgements and ns.SM in features
        enable = sm.enable_request() if now.enable else ""
        parts.append(bind2.ask(features, enable, carbons=config.carbons, state=config.client_state))
    now.new_token = fast.worth_asking(stream, inline, token, now.attempt)
    parts.append(fast.ask(token, now.new_token))
    return "".join(parts)


def _challenged(stream: ClientStream, element: Element) -> None:
    now = _now(stream)
    login.respond(
        stream,
        lambda: now.exchange.respond(_data(element) or b""),
        lambda response: stream.queue(_element("response", response)),
        lambda: stream.queue(_element("abort", None)),
    )


def _now(stream: ClientStream) -> Login:
    assert stream.login is not None
    return stream.login


def _refused(stream: ClientStream, element: Element) -> None:
    now = _now(stream)
    if now.attempt is not None:
        raise login.refusal(element, _TEXT)
    # XEP-0484 §4.1: the token is no good any more. The stream is as it was (XEP-0388 §2.6.2).
    assert stream.config.tokens is not None
    stream.config.tokens.put(None)
    _authenticate(stream, now.offer, None)


def _continued(stream: ClientStream, element: Element) -> None:
    tasks = [(each.text or "").strip() for each in element.iterfind(_TASK)]
    stream.queue(_element("abort", None))
    raise AuthenticationError(
        "not-authorized",
        f"the password is not enough: the server wants {tasks!r:.200}, which EMP cannot do",
        remedy="an account for a program must get by without a second factor",
    )


def _succeeded(stream: ClientStream, element: Element) -> None:
    now = _now(stream)
    _finish(stream, now, element)
    jid = _identity(stream, now, element)
    bound = _result(element, bind2.BOUND, now.bind)
    resumed = _result(element, _RESUMED, now.resume)
    failed = _result(element, _FAILED, now.resume)
    if resumed is not None and (bound is not None or failed is not None):
        raise RemoteProtocolError("bad-format", "a session resumed, and another one begun")
    stream.login = None
    stream.done |= Done.AUTHENTICATED
    stream.emit(Authenticated(jid.local or "", now.mechanism))
    _keep_token(stream, now, element)
    if resumed is not None:
        if jid.resource is not None and jid != stream.management.jid:
            stream.management.abandon()  # or we would try for ever
            raise RemoteProtocolError("undefined-condition", "another session was resumed")
        sm.resumed(stream, resumed)
        return  # no features follow (XEP-0198 §8.2)
    if failed is not None:
        sm.not_resumed(stream, failed)
    if bound is not None:
        bind2.bound(stream, jid)
        enabled = _result(bound, _ENABLED, now.enable)
        if enabled is not None:
            sm.enabled(stream, enabled)
    stream.expect_features()


def _finish(stream: ClientStream, now: Login, element: Element) -> None:
    """The server has to prove itself, as far as the mechanism can make it."""
    try:
        now.exchange.finish(_data(element.find(_DATA)))
    except AuthenticationError:
        if now.attempt is None and stream.config.tokens is not None:
            stream.config.tokens.put(None)  # next time the password, and a proof of that
        raise
    if now.attempt is not None:
        now.attempt.succeeded()


def _identity(stream: ClientStream, now: Login, element: Element) -> JID:
    """Who we are. RemoteProtocolError if that is not who we said."""
    config = stream.config
    try:
        jid = JID.received((element.findtext(_IDENTIFIER) or "").strip())
        name = jid.local if now.mechanism == "ANONYMOUS" else config.username
        own = JID.parse(config.authzid).bare if config.authzid else JID(name, config.domain)
    except JIDError as error:
        raise RemoteProtocolError("bad-format", "no valid authorization identifier") from error
    if jid.bare != own:
        raise RemoteProtocolError("undefined-condition", f"the server takes us for {jid}")
    return jid


def _result(parent: Element, name: str, asked: bool) -> Element | None:
    """The answer to what we asked for. RemoteProtocolError if we did not, or for two of them."""
    found = parent.findall(name)
    if len(found) > int(asked):
        raise RemoteProtocolError("bad-format", f"{name} that nobody asked for")
    return found[0] if found else None


def _keep_token(stream: ClientStream, now: Login, element: Element) -> None:
    """Servers give one when it was asked for, and replace one that gets old (XEP-0484 §3.5)."""
    tokens = stream.config.tokens
    if tokens is None:
        return
    replaced = now.mechanism if now.attempt is None else None
    mechanism = now.new_token or replaced
    token = fast.given(element, mechanism) if mechanism else None
    if token is not None:
        tokens.put(token)


# -- server --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Visit:
    """One <authenticate/> at the server. client: the id of the user agent, None without a UUID."""

    request: Element
    mechanism: str
    client: str | None
    exchange: ServerExchange


def _offer(stream: ServerStream) -> str:
    config = stream.config
    names = channel_of_server(stream).offered
    if not config.sasl2 or not names:
        return ""
    mechanisms = "".join([f"<mechanism>{escape(name)}</mechanism>" for name in names])
    resume = f"<sm xmlns='{ns.SM}'/>" if config.keeper is not None else ""
    features = ((ns.SM,) if resume else ()) + config.inline
    inline = resume + bind2.offer(features) + fast.offer(config, stream.bindings)
    return (
        f"<authentication xmlns='{ns.SASL2}'>{mechanisms}<inline>{inline}</inline></authentication>"
    )


def _asked(stream: ServerStream, element: Element) -> None:
    """<authenticate/>."""
    if not stream.config.sasl2 or stream.login is not None:
        raise RemoteProtocolError("policy-violation", "a login at the wrong time")
    name, client = element.get("mechanism", ""), _client_id(element)
    try:
        exchange = _exchange(stream, element, name, client)
        stream.login = Visit(element, name, client, exchange)
        _step(stream, stream.login, _data(element.find(_INITIAL)))
    except AuthenticationError as error:
        _fail(stream, error.condition)


def _exchange(
    stream: ServerStream, element: Element, name: str, client: str | None
) -> ServerExchange:
    if name in BINDINGS:
        return fast.serve(stream.config, element, client, stream.bindings)
    channel = channel_of_server(stream)
    if name not in channel.offered:
        raise AuthenticationError("invalid-mechanism")
    return MECHANISMS[name].server(authority(stream), channel)


def _client_id(element: Element) -> str | None:
    agent = element.find(_USER_AGENT)
    try:
        return None if agent is None else str(uuid.UUID(agent.get("id", "")))
    except ValueError:
        return None


def _responded(stream: ServerStream, element: Element) -> None:
    if stream.login is None:
        raise RemoteProtocolError("policy-violation", "a response to nothing")
    try:
        _step(stream, stream.login, _data(element))
    except AuthenticationError as error:
        _fail(stream, error.condition)


def _aborted(stream: ServerStream, element: Element) -> None:
    _fail(stream, "aborted")


def _fail(stream: ServerStream, condition: str) -> None:
    stream.login = None
    stream.queue(_element("failure", None, f"<{condition} xmlns='{ns.SASL}'/>"))
    login.count_failure(stream)


def _step(stream: ServerStream, visit: Visit, data: bytes | None) -> None:
    outcome = visit.exchange.receive(data)
    if isinstance(outcome, Challenge):
        stream.queue(_element("challenge", outcome.data))
    else:
        _welcome(stream, visit, outcome)


def _welcome(stream: ServerStream, visit: Visit, outcome: Success) -> None:
    """The client is who it says: do what it asked for, in the order of XEP-0386 §3.2."""
    account = login.account(stream, outcome)
    if stream.claimed not in (None, account) and visit.mechanism != "ANONYMOUS":
        raise AuthenticationError("invalid-authzid", "not who the stream header says")
    used = _use_token(stream, visit, account)  # the last thing that can fail
    stream.login, stream.account = None, account
    stream.done |= Done.AUTHENTICATED
    stream.emit(Authenticated(outcome.username, visit.mechanism))
    parts = []
    if outcome.additional is not None:
        proof = base64.b64encode(outcome.additional).decode()
        parts.append(f"<additional-data>{proof}</additional-data>")
    resumption, resend = _resume(stream, visit)
    jid, bound = (None, "") if resend is not None else _bind(stream, visit)
    identifier = stream.management.jid if resend is not None else jid or account
    parts.append(f"<authorization-identifier>{escape(str(identifier))}</authorization-identifier>")
    token = fast.grant(stream.config, account, visit.request, visit.client, used, stream.bindings)
    stream.queue(_element("success", None, "".join(parts) + resumption + bound + token))
    if resend is not None:
        stream.take_up(resend)  # without features: XEP-0198 §8.2
        return
    stream.send_features()
    if jid is not None:
        stream.management.jid = jid
        stream.become_ready()
        stream.emit(Ready(jid))


def _use_token(stream: ServerStream, visit: Visit, account: JID) -> Issued | None:
    """The token that was proved, None for other mechanisms. AuthenticationError."""
    exchange = visit.exchange
    if not isinstance(exchange, HashedTokenServer):
        return None
    assert visit.client is not None
    assert exchange.token is not None
    return fast.use(stream.config, account, visit.request, visit.client, exchange.token)


def _resume(stream: ServerStream, visit: Visit) -> tuple[str, list[Stanza] | None]:
    """The answer to an inline <resume/>, and what is to be sent once more if it succeeded."""
    asked = visit.request.find(_RESUME)
    if asked is None or stream.config.keeper is None:
        return "", None
    return sm.resume(stream, asked)


def _bind(stream: ServerStream, visit: Visit) -> tuple[JID | None, str]:
    """The answer to an inline <bind/>, and whom it bound."""
    asked = visit.request.find(bind2.BIND)
    if asked is not None:
        stream.client = visit.client
        names = tuple(f"{{{name}}}" for name in stream.config.inline)
        stream.wishes = frozenset(each.tag for each in asked if each.tag.startswith(names))
    jid = None if asked is None else bind2.bind(stream, asked)
    if asked is None or jid is None:
        return None, ""
    enable = asked.find(_ENABLE)
    enabled = ""
    if enable is not None and stream.config.keeper is not None:
        enabled = sm.enable(stream, enable)
    return jid, f"<bound xmlns='{ns.BIND2}'>{enabled}</bound>"


SASL2: Final = Feature(
    name=f"{{{ns.SASL2}}}authentication",
    necessary=Done.SECURE,
    prohibited=Done.AUTHENTICATED,
    offer=_offer,
    wanted=_wanted,
    begin=_begin,
    client={
        f"{{{ns.SASL2}}}challenge": _challenged,
        f"{{{ns.SASL2}}}success": _succeeded,
        f"{{{ns.SASL2}}}failure": _refused,
        f"{{{ns.SASL2}}}continue": _continued,
    },
    server={
        f"{{{ns.SASL2}}}authenticate": _asked,
        f"{{{ns.SASL2}}}response": _responded,
        f"{{{ns.SASL2}}}abort": _aborted,
    },
)
