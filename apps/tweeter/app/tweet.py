"""What a tweet is, on the wire and here."""

from datetime import datetime

from emp.jid import JID
from emp.payload import Payload, child, payload

NAMESPACE = "urn:example:tweeter"
LONGEST = 140


@payload(f"{{{NAMESPACE}}}tweet", kw_only=True)
class Tweet(Payload):
    """One tweet. Its author sends the text only; the rest is ours."""

    id: int | None = None
    author: JID | None = None
    posted: datetime | None = None
    text: str = child()
