"""TLS by pyOpenSSL in the shape of Python's `ssl`: for its exporter (RFC 5705), which `ssl` lacks.

Strategy. asyncio and uvloop do TLS with `context.wrap_bio(incoming, outgoing)`, two buffers, and
what that returns. `ExportingContext` is an `ssl.SSLContext` that is set up like any other; it notes
what it was given, and its wrap_bio() sets up the same in pyOpenSSL. `ExportingObject` moves bytes
between the two buffers and pyOpenSSL's own, and speaks of faults in the words of `ssl`.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from emp.net import names

try:
    from OpenSSL import SSL
except ImportError:
    AVAILABLE = False
else:
    AVAILABLE = True
"""Whether pyOpenSSL is installed: the extra "channel-binding"."""

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, StrOrBytesPath, WriteableBuffer

CHUNK: Final = 262_144
"""Bytes moved at once: asyncio's own buffer has as many."""

HEADER: Final = 5
"""Bytes before each TLS record; the last two are its length (RFC 8446 §5.1)."""

_OPTIONS: Final = ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
"""Those of `ssl` that are carried over; their bits are OpenSSL's own."""

_Setting = Callable[["SSL.Context"], object]


def new_context(protocol: int) -> ssl.SSLContext:
    """A context of `ssl`, one with an exporter where pyOpenSSL is installed.

    protocol: ssl.PROTOCOL_TLS_CLIENT or ssl.PROTOCOL_TLS_SERVER.
    """
    return ExportingContext(protocol) if AVAILABLE else ssl.SSLContext(protocol)


class ExportingContext(ssl.SSLContext):
    """Every setting is checked by `ssl` first, so that mistakes look the same."""

    def __init__(self, protocol: int) -> None:
        self._settings: list[_Setting] = []
        self._built: tuple[object, SSL.Context] | None = None

    def _note(self, setting: _Setting) -> None:
        self._settings.append(setting)
        self._built = None

    def set_ciphers(self, cipherlist: str, /) -> None:
        super().set_ciphers(cipherlist)
        self._note(lambda context: context.set_cipher_list(cipherlist.encode()))

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        wanted = [each.encode() for each in alpn_protocols]
        super().set_alpn_protocols([each.decode() for each in wanted])
        if self.protocol is ssl.PROTOCOL_TLS_SERVER:
            self._note(lambda context: context.set_alpn_select_callback(partial(_select, wanted)))
        else:
            self._note(lambda context: context.set_alpn_protos(wanted))

    def load_verify_locations(
        self,
        cafile: StrOrBytesPath | None = None,
        capath: StrOrBytesPath | None = None,
        cadata: str | ReadableBuffer | None = None,
    ) -> None:
        if cadata is not None:
            raise NotImplementedError("authorities come from files here")
        super().load_verify_locations(cafile, capath)
        self._note(lambda context: context.load_verify_locations(cafile, capath))

    def load_default_certs(self, purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH) -> None:
        super().load_default_certs(purpose)
        paths = ssl.get_default_verify_paths()  # those of Python's OpenSSL, not of pyOpenSSL's
        if paths.cafile or paths.capath:
            self._note(lambda context: context.load_verify_locations(paths.cafile, paths.capath))

    def load_cert_chain(
        self,
        certfile: StrOrBytesPath,
        keyfile: StrOrBytesPath | None = None,
        password: Callable[[], str | bytes | bytearray] | str | bytes | bytearray | None = None,
    ) -> None:
        super().load_cert_chain(certfile, keyfile, password)
        key = _private_key(keyfile or certfile)

        def use(context: SSL.Context) -> None:
            context.use_certificate_chain_file(cast(Any, certfile))
            context.use_privatekey(key)

        self._note(use)

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        if self.check_hostname:
            raise ValueError("names are compared elsewhere: set check_hostname = False")
        name = server_hostname.decode() if isinstance(server_hostname, bytes) else server_hostname
        connection = ExportingObject(self, self._context(), incoming, outgoing, server_side, name)
        return cast(ssl.SSLObject, connection)

    def _context(self) -> SSL.Context:
        """pyOpenSSL's, set up as we are; made once."""
        versions = (int(self.minimum_version), int(self.maximum_version))
        verify = (self.verify_mode, int(self.verify_flags), int(self.options & _OPTIONS))
        if self._built is None or self._built[0] != (versions, verify):
            self._built = ((versions, verify), self._build())
        return self._built[1]

    def _build(self) -> SSL.Context:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(max(int(self.minimum_version), 0))
        context.set_max_proto_version(max(int(self.maximum_version), 0))
        # No resumption: tls-unique would be another one (RFC 5929 §3.1).
        context.set_options(int(self.options & _OPTIONS) | SSL.OP_NO_TICKET)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        store = context.get_cert_store()
        if store is not None:
            store.set_flags(int(self.verify_flags))
        mode = SSL.VERIFY_NONE
        if self.verify_mode is not ssl.CERT_NONE:
            mode = SSL.VERIFY_PEER
        if self.verify_mode is ssl.CERT_REQUIRED:
            mode |= SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        context.set_verify(mode, _note_refusal)
        for setting in self._settings:
            setting(context)
        return context


def _private_key(file: StrOrBytesPath) -> Any:
    """`ssl` has read it already, so it is there and not encrypted."""
    with open(file, "rb") as pem:
        return load_pem_private_key(pem.read(), None)


def _select(ours: list[bytes], _: SSL.Connection, theirs: list[bytes]) -> bytes | Any:
    return next((each for each in ours if each in theirs), SSL.NO_OVERLAPPING_PROTOCOLS)


def _note_refusal(
    connection: SSL.Connection, certificate: object, code: int, depth: int, good: int
) -> bool:
    if not good:
        connection.set_app_data(code)
    return bool(good)


def _want_read() -> ssl.SSLWantReadError:
    return ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "more bytes of the peer are needed")


class ExportingObject:
    """What asyncio and uvloop use of an `ssl.SSLObject`, and the exporter."""

    def __init__(
        self,
        context: ssl.SSLContext,
        settings: SSL.Context,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool,
        server_hostname: str | None,
    ) -> None:
        self.context = context
        self.server_side = server_side
        self.server_hostname = server_hostname
        self._incoming = incoming
        self._outgoing = outgoing
        self._head = b""  # of the record that is being moved
        self._rest = 0  # bytes of it that are missing
        self._connection = SSL.Connection(settings, None)
        if server_side:
            self._connection.set_accept_state()
            return
        self._connection.set_connect_state()
        if server_hostname and names.ip_literal(server_hostname) is None:
            self._connection.set_tlsext_host_name(server_hostname.encode())

    # -- bytes ------------------------------------------------------------------------------------

    def do_handshake(self) -> None:
        self._run(self._connection.do_handshake)
        self._flush()

    def read(self, len: int = 1024, buffer: WriteableBuffer | None = None) -> Any:
        """Bytes, or with a buffer their number; nothing at the end of the peer's stream."""
        if not self._connection.pending():
            self._feed()
        try:
            if buffer is None:
                return self._run(self._connection.recv, len)
            return self._run(self._connection.recv_into, buffer, len)
        except SSL.ZeroReturnError:
            return b"" if buffer is None else 0

    def write(self, data: ReadableBuffer) -> int:
        """All of it: there is room for everything in a buffer in memory."""
        view = memoryview(data).cast("B")
        if view.nbytes:
            self._run(self._connection.sendall, view)
            self._flush()
        return view.nbytes

    def unwrap(self) -> None:
        """Says that nothing follows, and waits for the peer to say so."""
        for _ in range(2):  # the first call speaks, the second one listens
            try:
                done = self._run(self._connection.shutdown)
            except SSL.ZeroReturnError:
                done = True
            self._flush()
            if done:
                return
        raise _want_read()

    def pending(self) -> int:
        """Bytes that are decrypted already."""
        return self._connection.pending()

    def _run(self, call: Callable[..., Any], *arguments: object) -> Any:
        """What `call` gives, with as many records as it takes. What it leaves for the network
        stays where it is, for _flush(), unless it fails."""
        try:
            while True:
                try:
                    return call(*arguments)
                except SSL.WantReadError:
                    if not self._feed():
                        self._flush()
                        raise _want_read() from None
        except SSL.ZeroReturnError:
            raise
        except SSL.SysCallError:
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the peer broke off") from None
        except SSL.Error as error:
            self._flush()  # the alert for the peer
            raise self._translated(error) from None

    def _feed(self) -> bool:
        """Moves the next record, or what is there of it; whether anything was there.

        Not more: what is left in `incoming` is what uvloop goes by when it decides to read on.
        """
        fed = False
        while data := self._incoming.read(self._rest or HEADER - len(self._head)):
            fed = True
            self._connection.bio_write(data)
            if self._rest:
                self._rest -= len(data)
            else:
                self._head += data
                if len(self._head) < HEADER:
                    continue
                self._rest, self._head = int.from_bytes(self._head[3:], "big"), b""
            if not self._rest:
                break
        return fed

    def _flush(self) -> None:
        """Moves what the network has to take."""
        try:
            while self._outgoing.write(self._connection.bio_read(CHUNK)) == CHUNK:
                pass
        except SSL.WantReadError:
            return

    def _translated(self, error: SSL.Error) -> ssl.SSLError:
        """The same fault as `ssl` puts it: with a `reason` in capitals."""
        queue = error.args[0] if error.args else []
        texts = [str(entry[2]) for entry in queue if len(entry) > 2] or ["unknown"]
        refused = self._connection.get_app_data()
        if refused and "certificate verify failed" in texts:
            found = ssl.SSLCertVerificationError(ssl.SSL_ERROR_SSL, "certificate verify failed")
            found.verify_code, found.verify_message = refused, ""
            found.reason, found.library = "CERTIFICATE_VERIFY_FAILED", "SSL"
            return found
        # "record layer failure" comes on top of what the failure is.
        text = next((each for each in reversed(texts) if "record layer" not in each), texts[-1])
        fault = ssl.SSLError(ssl.SSL_ERROR_SSL, text)
        # Alerts lost the names of old versions in OpenSSL 3.2.
        text = text.replace("ssl/tls alert", "sslv3 alert")
        fault.reason, fault.library = text.upper().replace(" ", "_").replace("/", "_"), "SSL"
        return fault

    # -- what is known of the connection ----------------------------------------------------------

    def export_keying_material(self, label: bytes, size: int) -> bytes:
        """Secret bytes that both ends know (RFC 5705), without a context."""
        return self._connection.export_keying_material(label, size)

    def get_channel_binding(self, cb_type: str = "tls-unique") -> bytes | None:
        """The first Finished message: the client's, for nothing is resumed here."""
        if cb_type != "tls-unique":
            raise ValueError(f"{cb_type} channel binding type not implemented")
        connection = self._connection
        return connection.get_peer_finished() if self.server_side else connection.get_finished()

    def getpeercert(self, binary_form: bool = False) -> Any:
        """The peer's certificate in DER, None without one. Names are read elsewhere: {}."""
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None or not binary_form:
            return None if certificate is None else {}
        return certificate.public_bytes(Encoding.DER)

    def version(self) -> str | None:
        return self._connection.get_protocol_version_name()

    def cipher(self) -> tuple[str, str, int] | None:
        connection = self._connection
        name, version = connection.get_cipher_name(), connection.get_cipher_version()
        return (name, version or "", connection.get_cipher_bits() or 0) if name else None

    def compression(self) -> None:
        """Never."""

    def selected_alpn_protocol(self) -> str | None:
        return self._connection.get_alpn_proto_negotiated().decode() or None

    def __repr__(self) -> str:
        return f"<ExportingObject {self.version()} for {self.server_hostname!r}>"
