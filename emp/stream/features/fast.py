"""FAST (XEP-0484): a token instead of the password, for the next login. Part of SASL2.

A token is for one client (its user agent's id) and for one of the HT mechanisms (emp.sasl.ht); a
client keeps it in emp.tokens, a server in emp.sasl.issued.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from emp import ns
from emp.errors import AuthenticationError, JIDError
from emp.jid import JID
from emp.sasl import MECHANISMS, Attempt
from emp.sasl.ht import BINDINGS, HashedTokenClient, HashedTokenServer
from emp.sasl.issued import Issued
from emp.tokens import Token
from emp.xep.timestamps import format_datetime, parse_datetime
from emp.xml import Element, escape

if TYPE_CHECKING:
    from emp.stream.client import ClientStream
    from emp.stream.config import ClientConfig, ServerConfig

# Characters: servers make them of some 32 random bytes. One that is longer is not kept.
LONGEST_TOKEN: Final = 4096

FAST: Final = f"{{{ns.FAST}}}fast"
_MECHANISM: Final = f"{{{ns.FAST}}}mechanism"
_REQUEST: Final = f"{{{ns.FAST}}}request-token"
_TOKEN: Final = f"{{{ns.FAST}}}token"
_TRUE: Final = ("1", "true")


def strongest(offered: Collection[str], bindings: Mapping[str, bytes]) -> str | None:
    """The best mechanism that the other side has and our end of the channel can bind to."""
    return next((name for name in usable(bindings) if name in offered), None)


def usable(bindings: Mapping[str, bytes]) -> list[str]:
    """The mechanisms for which the channel has what they bind to, strongest first."""
    return [name for name, kind in BINDINGS.items() if kind is None or kind in bindings]


def _binding(mechanism: str, bindings: Mapping[str, bytes]) -> bytes:
    kind = BINDINGS[mechanism]
    return b"" if kind is None else bindings[kind]


# -- client --------------------------------------------------------------------------------------


def offered(inline: Element) -> list[str]:
    """The mechanisms of a server's <fast/>, none where it is not offered."""
    return [(each.text or "").strip() for each in inline.iterfind(f"{FAST}/{_MECHANISM}")]


def _stand_for_a_password(config: ClientConfig) -> bool:
    """Whether tokens are of use. With a certificate they are not: EXTERNAL takes one round trip as
    well, and is stronger."""
    return config.tokens is not None and config.password is not None and not config.certificate


def usable_token(stream: ClientStream, inline: Element | None) -> Token | None:
    """The token that we have, if this server takes it and this channel is as good as it must be."""
    config = stream.config
    if config.tokens is None or inline is None or not _stand_for_a_password(config):
        return None
    token = config.tokens.get()
    possible = set(offered(inline)).intersection(usable(stream.bindings))
    if token is None or token.mechanism not in possible:
        return None
    return None if BINDINGS[token.mechanism] is None and _must_bind(config) else token


def _must_bind(config: ClientConfig) -> bool:
    """Whether a login without channel binding is less than the user wants, or than we had."""
    allowed = config.mechanisms
    if allowed and all(MECHANISMS[name].binds for name in allowed if name in MECHANISMS):
        return True
    best = None if config.memory is None else config.memory.best
    return best is not None and MECHANISMS[best[0]].binds


def worth_asking(
    stream: ClientStream, inline: Element, token: Token | None, attempt: Attempt | None
) -> str | None:
    """The mechanism for which to ask for a new token, None for none.

    token: the one that we log in with; attempt: what we log in with if there is none. Never asks
    for one that binds to the channel less than this login does: it would be the weak spot.
    """
    best = strongest(offered(inline), stream.bindings)
    if best is None or not _stand_for_a_password(stream.config):
        return None
    if token is not None:
        # One that is stronger than what we have is worth it.
        better = list(BINDINGS).index(best) < list(BINDINGS).index(token.mechanism)
        return best if better else None
    assert attempt is not None
    if attempt.mechanism.name == "ANONYMOUS":
        return None
    return None if attempt.mechanism.binds and BINDINGS[best] is None else best


def begin(username: str, token: Token, bindings: Mapping[str, bytes]) -> HashedTokenClient:
    """The exchange that proves the token."""
    return HashedTokenClient(username, token.secret, _binding(token.mechanism, bindings))


def ask(token: Token | None, mechanism: str | None) -> str:
    """What goes with the login: that `token` is used, and that we want one for `mechanism`."""
    used = "" if token is None else f"<fast xmlns='{ns.FAST}' count='{token.count}'/>"
    # A better mechanism than that of the token we have is worth a new token.
    if mechanism is None or (token is not None and token.mechanism == mechanism):
        return used
    return f"{used}<request-token xmlns='{ns.FAST}' mechanism='{mechanism}'/>"


def counted(token: Token) -> Token:
    """The token as it is used now: no number is shown to the server twice."""
    return replace(token, count=token.count + 1)


def given(success: Element, mechanism: str) -> Token | None:
    """The token that comes with a success; None where there is none that can be understood."""
    element = success.find(_TOKEN)
    if element is None:
        return None
    secret, expiry = element.get("token", ""), element.get("expiry", "")
    if not 0 < len(secret) <= LONGEST_TOKEN:
        return None
    try:
        return Token(mechanism, secret, parse_datetime(expiry).timestamp())
    except (ValueError, OverflowError):
        return None


# -- server --------------------------------------------------------------------------------------


def offer(config: ServerConfig, bindings: Mapping[str, bytes]) -> str:
    """The element for <inline/>, "" where no tokens are given out."""
    if config.tokens is None:
        return ""
    names = "".join(f"<mechanism>{name}</mechanism>" for name in usable(bindings))
    return f"<fast xmlns='{ns.FAST}'>{names}</fast>"


def serve(
    config: ServerConfig,
    request: Element,
    client: str | None,
    bindings: Mapping[str, bytes],
) -> HashedTokenServer:
    """The exchange for <authenticate/> with one of our mechanisms. AuthenticationError."""
    mechanism, tokens = request.get("mechanism", ""), config.tokens
    if tokens is None or mechanism not in usable(bindings):
        raise AuthenticationError("invalid-mechanism")
    if client is None or request.find(FAST) is None:
        raise AuthenticationError("malformed-request", "no id of the client, or no <fast/>")

    def tokens_of(username: str) -> list[str]:
        try:
            account = JID(username, config.domain)
        except JIDError:
            return []
        return tokens.candidates(str(account), client, mechanism)

    return HashedTokenServer(tokens_of, _binding(mechanism, bindings))


def use(config: ServerConfig, account: JID, request: Element, client: str, secret: str) -> Issued:
    """The token was proved: judge its age and its count. AuthenticationError."""
    element = request.find(FAST)
    assert element is not None
    assert config.tokens is not None
    text = element.get("count")
    if text is not None and not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise AuthenticationError("malformed-request", "not a count")
    count = None if text is None else int(text)
    token = config.tokens.use(str(account), client, secret, count)
    if element.get("invalidate") in _TRUE:
        config.tokens.revoke(str(account), client)
    return token


def grant(
    config: ServerConfig,
    account: JID,
    request: Element,
    client: str | None,
    used: Issued | None,
    bindings: Mapping[str, bytes],
) -> str:
    """The token for <success/>, where one was asked for or the present one gets old; else ""."""
    tokens = config.tokens
    if tokens is None or client is None:
        return ""
    asked, mechanism = request.find(_REQUEST), None
    if asked is not None:
        mechanism = asked.get("mechanism")
    elif used is not None and tokens.due(used):
        element = request.find(FAST)
        if element is not None and element.get("invalidate") not in _TRUE:
            mechanism = used.mechanism
    if mechanism not in usable(bindings):
        return ""
    token = tokens.issue(str(account), client, mechanism)
    expiry = format_datetime(datetime.fromtimestamp(int(token.expires), UTC))
    return f"<token xmlns='{ns.FAST}' expiry='{expiry}' token='{escape(token.secret)}'/>"
