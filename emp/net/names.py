"""Names of hosts: what DNS and TLS want to hear, and what never needs DNS."""

from __future__ import annotations

import ipaddress
import re
import socket

import idna

LOOPBACK = ("127.0.0.1", "::1")
"""What localhost means, in the order of trying (RFC 6761 §6.3: without asking DNS)."""


def own_loopback() -> str | None:
    """The address for listening on this machine only: the first of LOOPBACK that it has; None where
    it has none, because the interface is down."""
    for address in LOOPBACK:
        try:
            with socket.create_server((address, 0), family=family(address)) as listener:
                # Connecting, because binding succeeds on an interface that is down.
                socket.create_connection(listener.getsockname()[:2], 1.0).close()
        except OSError:
            continue
        return address
    return None


def family(address: str) -> socket.AddressFamily:
    """Of an IP address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def a_label(domain: str) -> str:
    """The ASCII form of a domain for DNS, TLS and SNI (RFC 5890, RFC 6125 §6.4.2).

    IP literals come back as plain addresses, without the brackets of `[::1]`. Raises ValueError
    for what cannot be a domain name.
    """
    literal = ip_literal(domain)
    if literal is not None:
        return literal
    if domain.isascii():
        return domain.lower().rstrip(".")
    try:
        return idna.encode(domain.rstrip("."), uts46=True).decode("ascii")
    except idna.IDNAError as error:  # a UnicodeError, so a ValueError: say which name it was
        raise ValueError(f"{domain!r} is not a domain name: {error}") from None


def ip_literal(host: str) -> str | None:
    """The address that `host` writes out, as in `192.0.2.1`, `::1` or `[::1]`; None for a name."""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return None


def host_and_port(text: str) -> tuple[str, int | None]:
    """What `host`, `host:port`, `[v6]:port` or a bare IPv6 address says; None: no port given.

    As in <see-other-host/> and the `location` of XEP-0198. Raises ValueError for anything else.
    """
    text = text.strip()
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]") or ip_literal(text):
        host, port = text, ""
    elif not port:
        raise ValueError(f"{text!r:.200} has a colon without a port")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        raise ValueError(f"{text!r:.200} has no proper port")
    name = a_label(host)
    if not (ip_literal(host) or _is_name(name)):
        raise ValueError(f"{text!r:.200} is no host")
    return name, int(port) if port else None


def _is_name(name: str) -> bool:
    """Whether these are the letters, and the lengths, of a name in DNS (RFC 1123 §2.1)."""
    return len(name) <= 253 and all(_LABEL.fullmatch(label) for label in name.split("."))


_LABEL = re.compile("[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")


def is_localhost(host: str) -> bool:
    """Whether the name is `localhost` or below it (RFC 6761 §6.3)."""
    name = host.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost")


def is_loopback(address: str) -> bool:
    """Whether a host name or IP address can only mean this machine."""
    literal = ip_literal(address)
    return ipaddress.ip_address(literal).is_loopback if literal else is_localhost(address)
