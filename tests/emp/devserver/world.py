"""A hub without sockets, who is connected to it, and what everybody received."""

from typing import Any

from emp import ns
from emp.devserver.hub import Hub, Resource
from emp.jid import JID
from emp.stanza import Iq, Presence, Stanza
from emp.xml import E

COMPONENT = "hack.im.test"


class World:
    """A hub, and what everybody received."""

    def __init__(self) -> None:
        self.hub = Hub("im.test", {"romeo": "r", "juliet": "j"}, [COMPONENT, "offline.im.test"])
        self.inbox: dict[str, list[Stanza]] = {}
        self.resources: dict[str, Resource] = {}
        self.hub.components[COMPONENT] = self._receiver(COMPONENT)

    def _receiver(self, name: str) -> Any:
        box = self.inbox.setdefault(name, [])
        # As a session does: the stanza becomes bytes when it is delivered, not later.
        return lambda stanza: box.append(Stanza.parse(stanza.to_bytes()))

    def connect(self, jid: str, priority: int | None = 0) -> Resource:
        bare, _, name = jid.partition("/")
        resource = self.hub.bind(JID.parse(bare), name, self._receiver(jid))
        self.resources[jid] = resource
        if priority is not None:
            self.hub.from_client(resource, Presence(priority=priority))
            self.take(jid)
        return resource

    def send(self, jid: str, stanza: Stanza) -> None:
        if jid == COMPONENT:
            self.hub.from_component(stanza)
        else:
            self.hub.from_client(self.resources[jid], stanza)

    def take(self, jid: str) -> list[Stanza]:
        """What came since the last time."""
        taken, self.inbox[jid][:] = list(self.inbox[jid]), []
        return taken

    def one(self, jid: str) -> Stanza:
        (stanza,) = self.take(jid)
        return stanza

    def subscribe(self, watcher: str, contact: str) -> None:
        """`watcher` sees the presence of `contact` from now on."""
        self.send(watcher, Presence(contact.partition("/")[0], type="subscribe"))
        self.send(contact, Presence(watcher.partition("/")[0], type="subscribed"))
        self.take(watcher), self.take(contact)

    def roster(self, jid: str) -> dict[str, str]:
        self.send(jid, Iq("get", E.query(xmlns=ns.ROSTER)))
        query = self.one(jid).payload
        assert query is not None
        return {
            str(i.get("jid")): f"{i.get('subscription')} {i.get('ask', '')}".strip() for i in query
        }


def shown(stanzas: list[Stanza]) -> list[tuple[str, str | None]]:
    return [(stanza.type, stanza.from_text) for stanza in stanzas]


def condition(stanza: Stanza) -> str:
    assert stanza.failure is not None
    return stanza.failure.condition


ROMEO, JULIET = "romeo@im.test/garden", "juliet@im.test/balcony"
