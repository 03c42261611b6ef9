"""What is said of a stanza that was skipped (emp.stream.skipping)."""

from __future__ import annotations

from typing import Final

from emp.config import ConnectionSettings
from emp.errors import NotAcceptable, PolicyViolation, StanzaError
from emp.stream.events import StanzaSkipped
from emp.stream.limits import ATTRIBUTES, DEPTH, NAME_BYTES

_TEXTS: Final = {
    "attributes": f"an element has more than {ATTRIBUTES} attributes",
    "depth": f"elements are nested more than {DEPTH} deep, with that of the stream",
    "name_bytes": f"a name has more than {NAME_BYTES} bytes",
    "reserved_namespace": "the namespace of xml or xmlns is used for something else",
}
"""Limits without a setting."""


def refusal_of(skipped: StanzaSkipped, settings: ConnectionSettings) -> StanzaError:
    """The error for its sender, whose text names the limit and its key in the configuration."""
    limit = skipped.limit
    value = getattr(settings, limit, None)
    if value is not None:
        text = f"more than {limit} = {value} allows"
    else:
        text = f"{_TEXTS.get(limit, 'more than may be')} (limit {limit})"
    return NotAcceptable(text) if limit == "reserved_namespace" else PolicyViolation(text)
