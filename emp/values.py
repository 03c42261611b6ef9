"""What a value of the configuration may be: a rule for each sort.

A rule takes the value as TOML has it and gives what the program works with, or raises ValueError,
whose text goes on after the name of the key: "must be …", and what to write instead.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from emp.errors import FORBIDDEN_CHARACTERS, JIDError
from emp.escaping import escape
from emp.jid import JID
from emp.sasl import MECHANISMS
from emp.sasl.prep import saslprep

Rule = Callable[[Any], Any]
"""Takes a TOML value, gives what the program works with, or raises ValueError saying what is
wanted."""


def filled(value: Any) -> str:
    """A text that is not empty."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, (bool, int, float)):
        raise ValueError(f'must be a text: write "{str(value).lower()}"')
    raise ValueError("must be a text that is not empty")


def line(value: Any) -> str:
    """A text for names and addresses, which have one line that can be seen."""
    text = filled(value)
    if not text.isprintable():
        raise ValueError("must not have control characters or line ends")
    return text


def sendable(limit: int) -> Rule:
    """A text of so many bytes at most that XML can hold."""

    def rule(value: Any) -> str:
        text = filled(value)
        if found := FORBIDDEN_CHARACTERS.search(text):
            raise ValueError(f"cannot be sent: XML has no character U+{ord(found[0]):04X}")
        if (size := len(escape(text).encode())) > limit:
            raise ValueError(f"has {size} bytes as XML: {limit} at most")
        return text

    return rule


def domain(value: Any) -> str:
    text = line(value)
    _plain_host(text, "an XMPP domain")
    try:
        jid = JID.parse(text)
    except JIDError as error:
        raise ValueError(f"must be an XMPP domain: {error}") from None
    if jid.local or jid.resource:
        raise ValueError("must be an XMPP domain without user name and resource")
    return jid.domain


def node(value: Any) -> str:
    text = filled(value)
    if "@" in text:
        raise ValueError("must be the user name alone: what is behind the @ is the host")
    try:
        return JID(text, "localhost").local or ""
    except JIDError as error:
        raise ValueError(f"must be the user name of a JID: {error}") from None


def resource(value: Any) -> str:
    try:
        return JID(None, "localhost", filled(value)).resource or ""
    except JIDError as error:
        raise ValueError(f"must be the resource of a JID: {error}") from None


def secret(value: Any) -> str:
    """A text that no message repeats."""
    if not isinstance(value, str) or not value:
        raise ValueError("must be a text in quotes that is not empty")
    return value


def password(value: Any) -> str:
    text = secret(value)
    try:
        prepared = saslprep(text)
    except ValueError as error:
        raise ValueError(f"cannot be sent: it has {error}") from None
    if not prepared:
        raise ValueError("has no character that counts in a password")
    return text


def _plain_host(text: str, what: str) -> None:
    """Refuses what addresses have around a host. Raises ValueError with what to write."""
    if "://" in text:
        host = re.split("[/?#:]", text.partition("://")[2])[0]
        raise ValueError(f"must be {what}, not a URL" + (f': write "{host}"' if host else ""))
    host, colon, port = text.rpartition(":")
    if (colon and ":" not in host.strip("[]")) or host[-1:] == "]":
        if port.isdigit():
            raise ValueError(f"must be {what} without a port: write port = {port} beside it")
        raise ValueError(f"must be {what}: {text!r:.80} has a colon")


def server(value: Any) -> str:
    text = line(value)
    _plain_host(text, "a host")
    if text[0] == "[":
        raise ValueError(f"must be an IPv6 address without brackets: write {text.strip('[]')!r}")
    try:
        ipaddress.ip_address(text)
        return text
    except ValueError:
        pass
    if ":" in text or re.fullmatch(r"[0-9.]*\.?[0-9]+\.?", text):
        raise ValueError(f"must be a host: {text!r:.80} is no IP address")
    if text.isascii():  # names within a private network may have an underscore
        labels = text.removesuffix(".").split(".")
        if len(text) <= HOST_CHARACTERS and all(map(_LABEL, labels)):
            return text
        raise ValueError(f"must be a host: {text!r:.80} is no name or address of a machine")
    return domain(text)


HOST_CHARACTERS = 253
"""Of a domain name as text (RFC 1035 §2.3.4)."""

_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)").fullmatch

STATUS_BYTES = 4_096
"""Of a status as XML: a server need not take stanzas above 10,000 bytes (RFC 6120 §13.12)."""

CAPS_BYTES = 1_024
"""Of the software's URI, which everybody who sees our presence gets with it."""


def number(low: float, high: float, unit: str) -> Rule:
    def rule(value: Any) -> float:
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not low <= value <= high
        ):
            raise ValueError(f"must be a number of {unit} from {low:g} to {high:g}")
        return float(value)

    return rule


def whole(low: int, high: int, what: str) -> Rule:
    def rule(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be {what} from {low} to {high}")
        return value

    return rule


def one_of(*words: str) -> Rule:
    def rule(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            hint = nearest(str(value), words)
            raise ValueError(
                f"must be {_or(words)}" + (f" (did you mean {hint!r}?)" if hint else "")
            )
        return str(value)

    return rule


def mechanisms(value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise ValueError('must be a SASL mechanism or a list of them, such as ["SCRAM-SHA-256"]')
    for name in names:
        one_of(*MECHANISMS)(name)
    return tuple(names)


def yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        quoted = ", without quotes" if value in ("true", "false") else ""
        raise ValueError(f"must be true or false{quoted}")
    return value


def mechanism(value: Any) -> str:
    return str(one_of(*MECHANISMS)(value))


def fingerprints(value: Any) -> frozenset[str]:
    """SHA-256 in hex, with or without colons, one or a list: as `openssl x509 -fingerprint`."""
    given = [value] if isinstance(value, str) else value
    wanted = "must be the SHA-256 of a certificate, 64 hexadecimal digits, or a list of them"
    if not isinstance(given, list) or not given or not all(isinstance(v, str) for v in given):
        raise ValueError(wanted)
    pins = frozenset(each.replace(":", "").replace(" ", "").lower() for each in given)
    if not all(re.fullmatch("[0-9a-f]{64}", pin) for pin in pins):
        raise ValueError(wanted)
    return pins


def websocket(value: Any) -> str:
    if value == "discover":
        return "discover"
    wanted = 'must be an address that begins with wss://, or "discover"'
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        raise ValueError(wanted)
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("ws", "wss") and parts.hostname and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        good = False
    if not good:
        raise ValueError(wanted)
    if parts.fragment or "@" in parts.netloc:
        raise ValueError(f"{wanted}, without user name and fragment")
    return value


def uri(value: Any) -> str:
    text = str(sendable(CAPS_BYTES)(line(value)))
    if " " in text or "#" in text:
        raise ValueError('must be the URI of your software, such as "https://example.org/bot"')
    return text


def nearest(word: str, words: Mapping[str, object] | tuple[str, ...]) -> str | None:
    return next(iter(difflib.get_close_matches(word, list(words), 1, 0.6)), None)


def _or(words: tuple[str, ...]) -> str:
    quoted = [f'"{word}"' for word in words]
    return " or ".join(filter(None, (", ".join(quoted[:-1]), quoted[-1])))
