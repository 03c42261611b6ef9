"""Stream features (RFC 6120 §4.3): one record in one file for each, with both halves.

A record holds no state: that belongs to the stream, which is handed to every function. `necessary`
and `prohibited` bits give the order of the negotiation; the client takes the first feature of
`FEATURES` that is offered, possible and wanted.
"""

from typing import Final

from emp.stream.features.announced import CLIENT_STATE, ROSTER_VERSIONS
from emp.stream.features.bind import BIND
from emp.stream.features.channel_binding import CHANNEL_BINDING
from emp.stream.features.feature import Feature
from emp.stream.features.limits import LIMITS
from emp.stream.features.sasl import SASL
from emp.stream.features.sasl2 import SASL2
from emp.stream.features.session import SESSION
from emp.stream.features.sm import ENABLING, RESUMPTION
from emp.stream.features.starttls import STARTTLS

FEATURES: Final = (
    STARTTLS,
    CHANNEL_BINDING,
    SASL2,
    SASL,
    RESUMPTION,
    BIND,
    SESSION,
    ENABLING,
    ROSTER_VERSIONS,
    CLIENT_STATE,
    LIMITS,
)

__all__ = ["FEATURES", "Feature"]
