"""EXTERNAL (RFC 4422 appendix A): TLS has shown already who the client is (XEP-0178)."""

from emp.errors import AuthenticationError, JIDError
from emp.jid import JID
from emp.sasl.mechanism import Attempt, Authority, Challenge, Channel, Mechanism, Success


class ExternalClient:
    """Names whom to act for, or leaves it to the server to read that off the certificate."""

    __slots__ = ("_authzid",)

    def __init__(self, attempt: Attempt) -> None:
        self._authzid = attempt.credentials.authzid or ""

    def initial(self) -> bytes:
        return self._authzid.encode()

    def respond(self, challenge: bytes) -> bytes:
        raise AuthenticationError("malformed-request", "EXTERNAL has no challenges")

    def finish(self, additional: bytes | None) -> None:
        if additional:
            raise AuthenticationError("malformed-request", "EXTERNAL has no additional data")


class ExternalServer:
    """Takes one of the names in the client's certificate; without a wish, the only one."""

    __slots__ = ("_domain", "_names")

    def __init__(self, authority: Authority, channel: Channel) -> None:
        self._names = authority.identities
        self._domain = authority.domain

    def receive(self, response: bytes | None) -> Challenge | Success:
        if response is None:
            return Challenge(b"")
        if not self._names:
            raise AuthenticationError("not-authorized", "no certificate with a name")
        ours = [jid for jid in map(_bare, self._names) if jid and jid.domain == self._domain]
        if response:
            try:
                wanted = _bare(response.decode())
            except UnicodeDecodeError as error:
                raise AuthenticationError("malformed-request") from error
            ours = [jid for jid in ours if jid == wanted]
        if len(ours) != 1 or ours[0].local is None:
            raise AuthenticationError("invalid-authzid")
        return Success(ours[0].local)


def _bare(text: str) -> JID | None:
    """The account that a text names, None if it names none."""
    try:
        jid = JID.parse(text)
    except JIDError:
        return None
    return jid if jid.local and not jid.resource else None


EXTERNAL = Mechanism("EXTERNAL", needs_tls=True, client=ExternalClient, server=ExternalServer)
