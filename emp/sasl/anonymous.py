"""ANONYMOUS (RFC 4505, XEP-0175): nobody in particular; the server makes a name up."""

import secrets
from typing import Final

from emp.errors import AuthenticationError
from emp.sasl.mechanism import Attempt, Authority, Challenge, Channel, Mechanism, Success

# RFC 4505 §2: a trace may have 255 characters, each up to four bytes of UTF-8.
TRACE_BYTES: Final = 1020
# XEP-0175 §3: names that nobody guesses, so that nobody waits for them.
NAME_BYTES: Final = 12


class AnonymousClient:
    """Sends no trace: a server has no use for what anyone could have written."""

    __slots__ = ()

    def __init__(self, attempt: Attempt) -> None:
        """Needs nothing of the attempt."""

    def initial(self) -> bytes:
        return b""

    def respond(self, challenge: bytes) -> bytes:
        raise AuthenticationError("malformed-request", "ANONYMOUS has no challenges")

    def finish(self, additional: bytes | None) -> None:
        if additional:
            raise AuthenticationError("malformed-request", "ANONYMOUS has no additional data")


class AnonymousServer:
    """Lets anyone in, under a name that is new."""

    __slots__ = ()

    def __init__(self, authority: Authority, channel: Channel) -> None:
        """Needs nothing: whether strangers may come in is decided by offering this."""

    def receive(self, response: bytes | None) -> Challenge | Success:
        if response is None:
            return Challenge(b"")
        try:
            response.decode()
        except UnicodeDecodeError as error:
            raise AuthenticationError("malformed-request") from error
        if len(response) > TRACE_BYTES:
            raise AuthenticationError("malformed-request")
        return Success(secrets.token_hex(NAME_BYTES))


ANONYMOUS = Mechanism("ANONYMOUS", needs_tls=False, client=AnonymousClient, server=AnonymousServer)
