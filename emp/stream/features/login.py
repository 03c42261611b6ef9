"""What both profiles of SASL need (RFC 6120 §6, XEP-0388): only their XML differs."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from emp import ns
from emp.errors import AuthenticationError, JIDError
from emp.jid import JID
from emp.sasl import Attempt, Channel, Success, Work, choose
from emp.stream.features.channel_binding import announced
from emp.stream.limits import violation
from emp.stream.state import Done
from emp.xml import Element

if TYPE_CHECKING:
    from emp.stream.client import ClientStream
    from emp.stream.server import ServerStream

# RFC 6120 §6.4.5 recommends to allow 2 to 5 attempts before the stream is closed.
ATTEMPTS: Final = 3


def decode(text: str) -> bytes:
    """Base64. AuthenticationError if it is none."""
    try:
        # lxml's strings may hold any character; base64 refuses all but its own.
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise AuthenticationError("incorrect-encoding", "bad base64") from error


# -- client --------------------------------------------------------------------------------------


def attempt(stream: ClientStream, offered: Iterable[Element], *, strict: bool) -> Attempt:
    """The best login that the server's <mechanism/> elements allow. AuthenticationError.

    strict: of a profile in which -PLUS goes with a list of types (XEP-0440 §3).
    """
    names = tuple((each.text or "").strip() for each in offered)
    secure = Done.SECURE in stream.done
    channel = Channel(secure, stream.bindings, names, announced(stream), strict)
    config = stream.config
    return choose(config.mechanisms, config.credentials, channel, config.memory)


def respond(
    stream: ClientStream,
    answer: Callable[[], bytes | Work],
    send: Callable[[bytes], None],
    abort: Callable[[], None],
) -> None:
    """Sends what `answer` gives, now or when the work is done. Aborts where it does not trust."""
    try:
        response = answer()
    except AuthenticationError:
        abort()
        raise
    if isinstance(response, Work):
        work = response
        stream.compute(work.run, lambda: respond(stream, work.resume, send, abort))
    else:
        send(response)


def refusal(element: Element, text: str) -> AuthenticationError:
    """What <failure/> says. text: name of the element with words for people."""
    conditions = [child.tag for child in element.iterchildren(f"{{{ns.SASL}}}*")]
    names = [tag.rpartition("}")[2] for tag in conditions if not tag.endswith("}text")]
    words = (element.findtext(text) or "").strip()
    return AuthenticationError(names[0] if names else "not-authorized", words)


# -- server --------------------------------------------------------------------------------------


def account(stream: ServerStream, outcome: Success) -> JID:
    """The bare JID of who has logged in. AuthenticationError for a name that cannot be in one."""
    try:
        return JID(outcome.username, stream.config.domain)
    except JIDError as error:  # a name that SASLprep allows and RFC 7622 does not
        raise AuthenticationError("not-authorized") from error


def count_failure(stream: ServerStream) -> None:
    """An attempt failed. RemoteProtocolError for one too many."""
    stream.failures += 1
    if stream.failures >= ATTEMPTS:
        raise violation("attempts", "too many failed attempts to log in")
