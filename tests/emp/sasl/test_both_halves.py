"""Every mechanism against itself, whatever the names, passwords and channels."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from emp.errors import AuthenticationError
from emp.sasl import (
    BINDING_TYPES,
    MECHANISMS,
    STRENGTH,
    Authority,
    Challenge,
    Channel,
    Credentials,
    Memory,
    StoredKeys,
    Success,
    choose,
    saslprep,
    servable,
)
from tests.emp.sasl.support import converse, respond

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1)
BINDINGS = st.dictionaries(st.sampled_from(BINDING_TYPES), st.binary(min_size=1, max_size=64))


def prepared(text: str) -> str:
    try:
        found = saslprep(text)
    except ValueError:
        found = ""
    assume(found)
    return found


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(STRENGTH),
    username=NAMES,
    password=NAMES,
    bindings=BINDINGS,
    same=st.booleans(),
    lists=st.booleans(),
)
def test_all_mechanisms(
    name: str, username: str, password: str, bindings: dict[str, bytes], same: bool, lists: bool
) -> None:
    user, known = prepared(username), prepared(password)
    authority = Authority(
        "localhost", {user: known if same else known + "x"}.get, ("juliet@localhost",), StoredKeys()
    )
    bare = Channel(True, bindings)
    offered = tuple(servable((name,), authority, bare))
    assume(offered)
    if MECHANISMS[name].binds and not lists:
        assume("tls-unique" in bindings)
    announced = tuple(bindings) if lists and MECHANISMS[name].binds else None
    channel = Channel(True, bindings, offered, announced)
    credentials = Credentials(username, password, None, certificate=True)
    memory = Memory()
    for _ in range(2):  # the second one with what the first one left
        attempt = choose((name,), credentials, channel, memory)
        here, there = attempt.begin(), MECHANISMS[name].server(authority, channel)
        if same or name in ("EXTERNAL", "ANONYMOUS"):
            success = converse(here, there)
            attempt.succeeded()
            assert name == "ANONYMOUS" or success.username == (
                "juliet" if name == "EXTERNAL" else user
            )
        else:
            with pytest.raises(AuthenticationError, match="not-authorized"):
                converse(here, there)
    assert (memory.best is not None) == (same or name in ("EXTERNAL", "ANONYMOUS"))


MESSAGES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"n,,n=user,r=x",
            b"y,,n=user,r=x",
            b"p=tls-exporter,,n=user,r=x",
            b"r=x,s=QQ==,i=4096",
            b"c=biws,r=x,p=QQ==",
            b"v=QQ==",
            b"\0user\0pencil",
        ]
    ),
)


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(STRENGTH), messages=st.lists(MESSAGES, max_size=4))
def test_servers_raise_nothing_else(name: str, messages: list[bytes]) -> None:
    channel = Channel(True, {"tls-exporter": b"x"}, STRENGTH, ("tls-exporter",))
    exchange = MECHANISMS[name].server(Authority("localhost", {"user": "pencil"}.get), channel)
    for message in messages:
        try:
            outcome = exchange.receive(message)
        except AuthenticationError:
            return
        if isinstance(outcome, Success):
            return
        assert isinstance(outcome, Challenge)


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(STRENGTH), messages=st.lists(MESSAGES, max_size=4), last=MESSAGES)
def test_clients_raise_nothing_else_and_believe_nothing(
    name: str, messages: list[bytes], last: bytes
) -> None:
    credentials = Credentials("user", "pencil", None, certificate=True)
    channel = Channel(True, {"tls-exporter": b"x"}, (name,), ("tls-exporter",))
    if not MECHANISMS[name].binds:
        channel = Channel(True, {}, (name,))
    exchange = choose((name,), credentials, channel).begin()
    exchange.initial()
    try:
        for message in messages:
            respond(exchange, message)
        exchange.finish(last)
    except AuthenticationError:
        return
    assert not name.startswith("SCRAM")
    assert not messages
    assert not last
