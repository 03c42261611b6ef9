"""PLAIN (RFC 4616): the password itself. Only under TLS."""

import hmac
import secrets

from emp.errors import AuthenticationError
from emp.sasl.authzid import may_act_for
from emp.sasl.mechanism import Attempt, Authority, Challenge, Channel, Mechanism, Success
from emp.sasl.prep import saslprep


class PlainClient:
    """Sends authcid and password; there is nothing that the server could prove."""

    __slots__ = ("_message",)

    def __init__(self, attempt: Attempt) -> None:
        username = attempt.credentials.username
        password = attempt.credentials.password or ""
        try:
            prepared = saslprep(username), saslprep(password)
        except ValueError as error:
            raise AuthenticationError("malformed-request", str(error)) from error
        if "\0" in f"{username}{password}" or not all(prepared):
            raise AuthenticationError("malformed-request", "empty user name or password")
        self._message = "\0".join(("", *prepared)).encode()

    def initial(self) -> bytes:
        return self._message

    def respond(self, challenge: bytes) -> bytes:
        raise AuthenticationError("malformed-request", "PLAIN has no challenges")

    def finish(self, additional: bytes | None) -> None:
        if additional:
            raise AuthenticationError("malformed-request", "PLAIN has no additional data")


class PlainServer:
    """Compares in constant time; unknown users take as long as known ones."""

    __slots__ = ("_domain", "_password_of")

    def __init__(self, authority: Authority, channel: Channel) -> None:
        self._password_of = authority.password_of
        self._domain = authority.domain

    def receive(self, response: bytes | None) -> Challenge | Success:
        if response is None:
            return Challenge(b"")
        try:
            authzid, username, password = response.decode().split("\0")
            username, password = saslprep(username), saslprep(password)
        except ValueError as error:
            raise AuthenticationError("malformed-request") from error
        if not username or not password:
            raise AuthenticationError("malformed-request")
        if authzid and not may_act_for(authzid, username, self._domain):
            raise AuthenticationError("invalid-authzid")
        known = self._password_of(username)
        expected = secrets.token_hex() if known is None else _stored(known)
        if not hmac.compare_digest(expected.encode(), password.encode()) or known is None:
            raise AuthenticationError("not-authorized")
        return Success(username)


def _stored(password: str) -> str:
    try:
        return saslprep(password)
    except ValueError:
        return secrets.token_hex()  # a password that nobody can send


PLAIN = Mechanism("PLAIN", needs_tls=True, client=PlainClient, server=PlainServer)
