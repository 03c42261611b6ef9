"""Names of hosts: what DNS and TLS want to hear, and what never needs DNS."""

from __future__ import annotations

import ipaddress

import idna

LOOPBACK = ("127.0.0.1", "::1")
"""What localhost means, in the order of trying (RFC 6761 §6.3: without asking DNS)."""


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


def is_localhost(host: str) -> bool:
    """Whether the name is `localhost` or below it (RFC 6761 §6.3)."""
    name = host.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost")


def is_loopback(address: str) -> bool:
    """Whether a host name or IP address can only mean this machine."""
    literal = ip_literal(address)
    return ipaddress.ip_address(literal).is_loopback if literal else is_localhost(address)
