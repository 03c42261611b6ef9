"""PLAIN, and which mechanism is taken."""

import pytest

from emp.errors import AuthenticationError
from emp.sasl import (
    BINDING_TYPES,
    DISCREET,
    MECHANISMS,
    SERVED,
    STRENGTH,
    Attempt,
    Authority,
    Binding,
    Challenge,
    Channel,
    Credentials,
    Memory,
    Success,
    choose,
    policy,
    servable,
)
from tests.emp.sasl.support import BINDINGS, client, server

ACCOUNTS = {"juliet": "R0m30"}


def test_client_message() -> None:
    assert client("PLAIN", "juliet", "R0m30").initial() == b"\0juliet\0R0m30"


@pytest.mark.parametrize(
    ("username", "password"), [("", "x"), ("x", ""), ("a\0b", "x"), ("x", "a\0b"), ("\u0007", "x")]
)
def test_client_refuses_what_plain_cannot_say(username: str, password: str) -> None:
    with pytest.raises(AuthenticationError):
        client("PLAIN", username, password)


def test_client_knows_no_challenges() -> None:
    exchange = client("PLAIN", "juliet", "R0m30")
    with pytest.raises(AuthenticationError):
        exchange.respond(b"x")
    with pytest.raises(AuthenticationError):
        exchange.finish(b"x")
    exchange.finish(None)
    assert "R0m30" not in repr(exchange)


@pytest.mark.parametrize("authzid", [b"", b"juliet", b"juliet@localhost"])
def test_server_accepts(authzid: bytes) -> None:
    exchange = server("PLAIN", ACCOUNTS.get)
    assert exchange.receive(None) == Challenge(b"")
    assert exchange.receive(authzid + b"\0juliet\0R0m30") == Success("juliet")


@pytest.mark.parametrize(
    ("message", "condition"),
    [
        (b"\0juliet\0r0m30", "not-authorized"),
        (b"\0romeo\0R0m30", "not-authorized"),
        (b"romeo\0juliet\0R0m30", "invalid-authzid"),
        (b"romeo@localhost\0juliet\0R0m30", "invalid-authzid"),
        (b"juliet@elsewhere\0juliet\0R0m30", "invalid-authzid"),
        (b"juliet\0R0m30", "malformed-request"),
        (b"\0juliet\0R0m30\0", "malformed-request"),
        (b"\0\0", "malformed-request"),
        (b"\0juliet\0", "malformed-request"),
        (b"\0juliet\0\xff", "malformed-request"),
        (b"", "malformed-request"),
    ],
)
def test_server_refuses(message: bytes, condition: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        server("PLAIN", ACCOUNTS.get).receive(message)
    assert caught.value.condition == condition


# -- what a user allows ---------------------------------------------------------------------------


def test_the_table_has_every_mechanism_and_binding_is_stronger() -> None:
    assert tuple(MECHANISMS) == STRENGTH
    places = {each: STRENGTH.index(each) for each in STRENGTH}
    plus = [places[name] for name in STRENGTH if name.endswith("-PLUS")]
    assert max(plus) < min(places["SCRAM-SHA-512"], places["PLAIN"])
    assert [name for name in STRENGTH if MECHANISMS[name].binds] == [
        name for name in STRENGTH if name.endswith("-PLUS")
    ]


@pytest.mark.parametrize(
    ("mechanisms", "floor", "expected"),
    [
        (None, None, DISCREET),
        (None, "SCRAM-SHA-256", STRENGTH[1:6]),
        (None, "SCRAM-SHA-1-PLUS", STRENGTH[1:4]),
        (None, "PLAIN", STRENGTH[1:8]),
        (None, "ANONYMOUS", (*STRENGTH[1:7], "ANONYMOUS")),
        (None, "EXTERNAL", ("EXTERNAL",)),
        (("PLAIN", "SCRAM-SHA-1"), None, ("SCRAM-SHA-1", "PLAIN")),
        (("EXTERNAL",), None, ("EXTERNAL",)),
    ],
)
def test_policy(
    mechanisms: tuple[str, ...] | None, floor: str | None, expected: tuple[str, ...]
) -> None:
    assert policy(mechanisms, floor) == expected


def test_what_shows_something_must_be_named() -> None:
    assert not {"PLAIN", "ANONYMOUS", "EXTERNAL"}.intersection(DISCREET)
    assert "ANONYMOUS" not in SERVED


# -- what is taken --------------------------------------------------------------------------------

PASSWORD = Credentials("juliet", "R0m30")
SCRAMS = tuple(name for name in STRENGTH if name.startswith("SCRAM"))
PLAIN_SCRAMS = tuple(name for name in SCRAMS if not name.endswith("-PLUS"))
ON_12 = {kind: BINDINGS[kind] for kind in ("tls-unique", "tls-server-end-point")}
ON_13 = {kind: BINDINGS[kind] for kind in ("tls-exporter", "tls-server-end-point")}


def chosen(
    offered: list[str],
    allowed: tuple[str, ...] | None = STRENGTH,
    *,
    secure: bool = True,
    credentials: Credentials = PASSWORD,
) -> str:
    return choose(allowed, credentials, Channel(secure, {}, tuple(offered))).mechanism.name


def refusal(
    allowed: tuple[str, ...] | None, channel: Channel, memory: Memory | None = None
) -> AuthenticationError:
    with pytest.raises(AuthenticationError) as caught:
        choose(allowed, PASSWORD, channel, memory)
    return caught.value


def test_strongest_first_whatever_the_server_prefers() -> None:
    offered = ["ANONYMOUS", "PLAIN", "SCRAM-SHA-1", "X-OAUTH", "SCRAM-SHA-256"]
    assert chosen(offered) == "SCRAM-SHA-256"
    assert chosen(offered[:3]) == "SCRAM-SHA-1"
    assert chosen(offered[:2]) == "PLAIN"
    assert chosen(offered[:1]) == "ANONYMOUS"
    assert chosen(offered, ("PLAIN", "SCRAM-SHA-1")) == "SCRAM-SHA-1"


@pytest.mark.parametrize(
    ("offered", "allowed"),
    [
        (["SCRAM-SHA-1"], ("NO-SUCH",)),
        (["PLAIN"], None),
        (["ANONYMOUS"], None),
        (["PLAIN", "SCRAM-SHA-1"], policy(None, "SCRAM-SHA-256")),
        (["DIGEST-MD5"], STRENGTH),
        (["scram-sha-1"], STRENGTH),
        ([], STRENGTH),
    ],
)
def test_nothing_acceptable(offered: list[str], allowed: tuple[str, ...] | None) -> None:
    error = refusal(allowed, Channel(True, {}, tuple(offered)))
    assert error.condition == "invalid-mechanism"
    assert repr(offered) in error.text


def test_plain_and_external_never_without_tls() -> None:
    everyone = Credentials("juliet", "R0m30", certificate=True)
    for name in ("PLAIN", "EXTERNAL", *SCRAMS[:3]):
        with pytest.raises(AuthenticationError):
            chosen([name], (name,), secure=False, credentials=everyone)
    assert chosen(list(STRENGTH), secure=False) == "SCRAM-SHA-512"


@pytest.mark.parametrize(
    ("offered", "credentials", "secure", "lack"),
    [
        ("PLAIN", PASSWORD, False, "PLAIN needs TLS"),
        ("EXTERNAL", PASSWORD, True, "EXTERNAL needs a certificate"),
        ("SCRAM-SHA-1-PLUS", PASSWORD, True, "SCRAM-SHA-1-PLUS needs a channel binding"),
        ("SCRAM-SHA-1", Credentials("juliet"), True, "SCRAM-SHA-1 needs a password"),
    ],
)
def test_what_is_missing_is_said(
    offered: str, credentials: Credentials, secure: bool, lack: str
) -> None:
    with pytest.raises(AuthenticationError, match=lack) as caught:
        chosen([offered], secure=secure, credentials=credentials)
    assert caught.value.condition == "invalid-mechanism"


def test_who_has_what() -> None:
    offered = ["EXTERNAL", "SCRAM-SHA-1", "ANONYMOUS"]
    assert chosen(offered, credentials=Credentials("juliet", "x", certificate=True)) == "EXTERNAL"
    assert chosen(offered, credentials=Credentials("juliet", "x")) == "SCRAM-SHA-1"
    assert chosen(offered, credentials=Credentials()) == "ANONYMOUS"


def flag(channel: Channel, allowed: tuple[str, ...] | None = None) -> tuple[str, str]:
    attempt = choose(allowed, PASSWORD, channel)
    assert attempt.doubt is None
    assert attempt.channel == channel
    return attempt.mechanism.name, attempt.binding.flag


@pytest.mark.parametrize(
    ("bindings", "announced", "expected"),
    [
        # A list: the best that both have.
        (ON_13, BINDING_TYPES, ("SCRAM-SHA-512-PLUS", "p=tls-exporter")),
        (ON_12, BINDING_TYPES, ("SCRAM-SHA-512-PLUS", "p=tls-unique")),
        (ON_13, ("tls-server-end-point",), ("SCRAM-SHA-512-PLUS", "p=tls-server-end-point")),
        (ON_12, BINDING_TYPES[::-1], ("SCRAM-SHA-512-PLUS", "p=tls-unique")),
        # No list: the type that old servers do, which TLS 1.3 has not.
        (ON_12, None, ("SCRAM-SHA-512-PLUS", "p=tls-unique")),
        (ON_13, None, ("SCRAM-SHA-512", "n")),
        # We have none.
        ({}, BINDING_TYPES, ("SCRAM-SHA-512", "n")),
        ({}, None, ("SCRAM-SHA-512", "n")),
    ],
)
def test_channel_binding(
    bindings: dict[str, bytes], announced: tuple[str, ...] | None, expected: tuple[str, str]
) -> None:
    channel = Channel(True, bindings, SCRAMS, announced)
    assert flag(channel) == expected
    data = choose(None, PASSWORD, channel).binding.data
    assert data == bindings.get(expected[1].removeprefix("p="), b"")


def test_y_says_that_we_would_and_they_do_not() -> None:
    assert flag(Channel(True, ON_13, PLAIN_SCRAMS)) == ("SCRAM-SHA-512", "y")
    assert flag(Channel(True, {}, PLAIN_SCRAMS)) == ("SCRAM-SHA-512", "n")
    assert flag(Channel(True, ON_13, PLAIN_SCRAMS), PLAIN_SCRAMS) == ("SCRAM-SHA-512", "n")


def test_n_where_the_server_binds_another_mechanism() -> None:
    offered = ("SCRAM-SHA-1-PLUS", "SCRAM-SHA-256")
    allowed = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")
    channel = Channel(True, ON_13, offered, BINDING_TYPES)
    assert flag(channel, allowed) == ("SCRAM-SHA-256", "n")


def test_an_announcement_that_nothing_can_use_is_a_fault() -> None:
    error = refusal(None, Channel(True, ON_13, PLAIN_SCRAMS, BINDING_TYPES))
    assert error.condition == "mechanism-too-weak"
    assert error.remedy
    # Who cannot bind does not care.
    assert flag(Channel(True, {}, PLAIN_SCRAMS, BINDING_TYPES))[1] == "n"


def test_sasl2_must_announce() -> None:
    error = refusal(None, Channel(True, ON_13, SCRAMS, None, strict=True))
    assert error.condition == "mechanism-too-weak"


def test_only_unknown_types_must_be_proved_to_be_the_servers_own() -> None:
    attempt = choose(None, PASSWORD, Channel(True, ON_13, SCRAMS, ("tls-quantum",)))
    assert (attempt.mechanism.name, attempt.binding.flag) == ("SCRAM-SHA-512", "n")
    assert attempt.doubt is not None


# -- what was before ------------------------------------------------------------------------------


def login(name: str, kind: str | None = None) -> Memory:
    """The memory of a connection that logged in so."""
    memory = Memory()
    binding = Binding(f"p={kind}", b"x") if kind else Binding()
    Attempt(MECHANISMS[name], PASSWORD, binding=binding, memory=memory).succeeded()
    return memory


@pytest.mark.parametrize(
    ("memory", "channel"),
    [
        (login("SCRAM-SHA-256"), Channel(True, {}, ("SCRAM-SHA-1",))),
        (login("SCRAM-SHA-1-PLUS", "tls-unique"), Channel(True, ON_12, ("SCRAM-SHA-512",))),
        (
            login("SCRAM-SHA-256-PLUS", "tls-exporter"),
            Channel(True, ON_13, ("SCRAM-SHA-256-PLUS",), ("tls-server-end-point",)),
        ),
    ],
)
def test_weaker_than_before_needs_proof(memory: Memory, channel: Channel) -> None:
    doubt = choose(None, PASSWORD, channel, memory).doubt
    assert doubt is not None
    assert doubt.condition == "mechanism-too-weak"
    assert memory.best
    assert memory.best[0] in doubt.text
    assert doubt.remedy


@pytest.mark.parametrize("offered", ["PLAIN", "ANONYMOUS"])
def test_what_can_prove_nothing_is_refused(offered: str) -> None:
    error = refusal(STRENGTH, Channel(True, {}, (offered,)), login("SCRAM-SHA-1"))
    assert error.condition == "mechanism-too-weak"
    assert offered in error.text


@pytest.mark.parametrize(
    "memory",
    [
        Memory(),
        login("SCRAM-SHA-1"),
        login("SCRAM-SHA-256"),
        login("PLAIN"),
        login("SCRAM-SHA-1-PLUS", "tls-exporter"),
    ],
)
def test_as_good_or_better_is_welcome(memory: Memory) -> None:
    channel = Channel(True, ON_13, ("SCRAM-SHA-256-PLUS",), BINDING_TYPES)
    assert choose(None, PASSWORD, channel, memory).doubt is None


def test_the_best_login_counts() -> None:
    memory = login("SCRAM-SHA-256")
    Attempt(MECHANISMS["SCRAM-SHA-1"], PASSWORD, memory=memory).succeeded()
    assert memory.best == ("SCRAM-SHA-256", "n")
    Attempt(MECHANISMS["SCRAM-SHA-512"], PASSWORD, memory=memory).succeeded()
    assert memory.best == ("SCRAM-SHA-512", "n")


# -- what a server offers -------------------------------------------------------------------------


def test_what_a_server_offers() -> None:
    stranger, known = Authority("localhost"), Authority("localhost", identities=("j@localhost",))
    assert servable(None, stranger, Channel()) == list(PLAIN_SCRAMS)
    assert servable(None, stranger, Channel(True)) == [*PLAIN_SCRAMS, "PLAIN"]
    assert servable(None, stranger, Channel(True, ON_13)) == [*SCRAMS, "PLAIN"]
    assert servable(None, known, Channel(True, ON_13))[0] == "EXTERNAL"
    assert "EXTERNAL" not in servable(None, known, Channel())
    assert servable(("ANONYMOUS",), stranger, Channel()) == ["ANONYMOUS"]
