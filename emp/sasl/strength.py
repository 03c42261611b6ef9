"""Which mechanism is stronger, and which channel binding: one table of each, strongest first."""

from typing import Final

STRENGTH: Final = (
    "EXTERNAL",
    "SCRAM-SHA-512-PLUS",
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-512",
    "SCRAM-SHA-256",
    "SCRAM-SHA-1",
    "PLAIN",
    "ANONYMOUS",
)
"""A certificate's key never leaves us; -PLUS shows a man in the middle even when he has a good
certificate; the rest of SCRAM keeps the password from the server; PLAIN shows it."""

BINDING_TYPES: Final = ("tls-exporter", "tls-unique", "tls-server-end-point")
"""RFC 9266, RFC 5929 §3, RFC 5929 §4. The last does not notice who has stolen the server's key."""

PLUS: Final = "-PLUS"


def rank(mechanism: str, flag: str) -> tuple[int, int]:
    """The place of a login in the tables, 0 is the strongest. flag: that of emp.sasl.Binding."""
    kind = flag.removeprefix("p=")
    return (
        STRENGTH.index(mechanism) if mechanism in STRENGTH else len(STRENGTH),
        BINDING_TYPES.index(kind) if kind in BINDING_TYPES else len(BINDING_TYPES),
    )
