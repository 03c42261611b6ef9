"""The authorization identity: in XMPP a bare JID (RFC 6120 §6.3.8)."""


def may_act_for(authzid: str, username: str, domain: str) -> bool:
    """Whether the user may act for that identity: for nobody but itself. domain "": any."""
    if authzid == username:
        return True
    local, at, rest = authzid.partition("@")
    return bool(at) and local == username and (not domain or rest == domain)
