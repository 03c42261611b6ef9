"""TLS in memory: two ends, and four buffers for the network between them."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from emp.net import identity

Cut = Callable[[bytes], Iterable[bytes]]


class Wire:
    """A client and a server; `carry` moves what each has to say, cut into pieces."""

    def __init__(
        self,
        client: ssl.SSLContext,
        server: ssl.SSLContext,
        cut: Cut = lambda data: [data],
        name: str = "im.test",
    ) -> None:
        up, down = (ssl.MemoryBIO(), ssl.MemoryBIO()), (ssl.MemoryBIO(), ssl.MemoryBIO())
        self.client = client.wrap_bio(down[1], up[0], server_hostname=name)
        self.server = server.wrap_bio(up[1], down[0], server_side=True)
        self._ways = (up, down)
        self.arrived = down[1]  # at the client
        self._cut = cut

    def shake_hands(self) -> None:
        """ssl.SSLError of the end that refuses."""
        self.finish(self.client.do_handshake, self.server.do_handshake)

    def say_goodbye(self) -> None:
        self.finish(self.client.unwrap, self.server.unwrap)

    def finish(self, *calls: Callable[[], object]) -> None:
        """Calls each until it needs no more bytes."""
        waiting = list(calls)
        while waiting:
            for call in list(waiting):
                try:
                    call()
                except ssl.SSLWantReadError:
                    continue
                finally:
                    self._carried = self.carry()
                waiting.remove(call)
            assert not waiting or self._carried, "both ends wait"

    def carry(self, each: Callable[[], object] = lambda: None) -> bool:
        """Moves everything; `each` is called after every piece. Whether there was anything."""
        moved = False
        for source, sink in self._ways:
            data = source.read()
            moved = moved or bool(data)
            for piece in self._cut(data):
                sink.write(piece)
                each()
        return moved


def der(file: Path) -> bytes:
    """The first certificate of a PEM file."""
    return x509.load_pem_x509_certificate(file.read_bytes()).public_bytes(
        serialization.Encoding.DER
    )


def everything(tls: ssl.SSLObject, size: int = 65_536) -> bytes:
    """What can be read now."""
    found = b""
    try:
        while piece := tls.read(size):
            found += piece
    except ssl.SSLWantReadError:
        pass
    return found


def issue(
    directory: Path,
    name: str,
    *,
    accounts: tuple[str, ...] = (),
    days: int = 1,
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | None = None,
    digest: hashes.HashAlgorithm | None = hashes.SHA256(),  # noqa: B008 - without state
) -> Path:
    """A certificate that signs itself, and its key, in one PEM file; good as its own authority.

    accounts: bare JIDs, as xmppAddr. days: from now to its end.
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    end = now + dt.timedelta(days=days)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    for account in accounts:
        text = account.encode()
        names.append(x509.OtherName(identity.XMPP_ADDR, bytes([0x0C, len(text)]) + text))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, end) - dt.timedelta(days=1))
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, digest)
    )
    file = directory / f"{name}-{certificate.serial_number:x}.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + secret)
    return file
