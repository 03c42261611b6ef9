"""Client state indication (XEP-0352): two elements that are no stanzas, so they are text here."""

from __future__ import annotations

from typing import Final, Literal

from emp import ns

ClientState = Literal["active", "inactive"]

FEATURE: Final = f"{{{ns.CSI}}}csi"
ACTIVE: Final = f"{{{ns.CSI}}}active"
INACTIVE: Final = f"{{{ns.CSI}}}inactive"


def nonza(state: ClientState) -> str:
    """What tells the server. It answers nothing; every stream begins as active (§5)."""
    return f"<{state} xmlns='{ns.CSI}'/>"
