"""SASL mechanisms (RFC 4422): challenge bytes in, response bytes out; no XML, no I/O.

strength    which mechanism and which channel binding is stronger
mechanism   what a mechanism is, and what it is given
choice      the table of mechanisms; which one a client takes and a server offers
memory      what outlives a login
scram …     the mechanisms
"""

from emp.sasl.choice import (
    BY_NAME_ONLY,
    DISCREET,
    MECHANISMS,
    SERVED,
    choose,
    policy,
    servable,
)
from emp.sasl.mechanism import (
    Attempt,
    Authority,
    Binding,
    Challenge,
    Channel,
    ClientExchange,
    Credentials,
    Mechanism,
    ServerExchange,
    Success,
    Work,
)
from emp.sasl.memory import Memory, StoredKeys
from emp.sasl.prep import saslprep
from emp.sasl.strength import BINDING_TYPES, STRENGTH

__all__ = [
    "BINDING_TYPES",
    "BY_NAME_ONLY",
    "DISCREET",
    "MECHANISMS",
    "SERVED",
    "STRENGTH",
    "Attempt",
    "Authority",
    "Binding",
    "Challenge",
    "Channel",
    "ClientExchange",
    "Credentials",
    "Mechanism",
    "Memory",
    "ServerExchange",
    "StoredKeys",
    "Success",
    "Work",
    "choose",
    "policy",
    "saslprep",
    "servable",
]
