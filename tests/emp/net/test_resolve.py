import asyncio
import random
import socket
from collections import Counter
from collections.abc import Sequence
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.resolver
import pytest

from emp.config import ConnectionSettings
from emp.errors import ConnectionFailed
from emp.net.dane import TlsaRecord
from emp.net.lookup import DnsUnknown, SrvRecord, look_up_addresses, look_up_srv
from emp.net.resolve import (
    MAX_CANDIDATES,
    MAX_TARGETS,
    Candidate,
    resolve,
    resolve_host,
    srv_order,
)


def client(**more: Any) -> ConnectionSettings:
    return ConnectionSettings(name="c", kind="client", node="juliet", **{"host": "im.test", **more})


def component(**more: Any) -> ConnectionSettings:
    return ConnectionSettings(name="c", kind="component", **{"host": "hack.im.test", **more})


class World:
    """DNS as the test says it is; remembers what was asked.

    `srv` answers for `_xmpp-client`, `direct` for `_xmpps-client`: records, or why there are none.
    """

    def __init__(
        self,
        srv: Sequence[SrvRecord] | DnsUnknown | None = None,
        addresses: dict[str, list[str] | BaseException] | None = None,
        direct: Sequence[SrvRecord] | DnsUnknown | None = None,
        tlsa: dict[str, list[TlsaRecord] | DnsUnknown] | None = None,
    ) -> None:
        nothing = DnsUnknown("no SRV records", definite=True)
        self.srv_answers = {
            "_xmpp-client": nothing if srv is None else srv,
            "_xmpps-client": nothing if direct is None else direct,
        }
        self.addresses_answer = addresses or {}
        self.tlsa_answers = tlsa or {}
        self.asked: list[str] = []

    async def srv(self, name: str) -> Sequence[SrvRecord]:
        self.asked.append(name)
        answer = self.srv_answers[name.partition(".")[0]]
        if isinstance(answer, DnsUnknown):
            raise answer
        return answer

    async def tlsa(self, name: str) -> Sequence[TlsaRecord]:
        self.asked.append(name)
        answer = self.tlsa_answers.get(name, [])
        if isinstance(answer, DnsUnknown):
            raise answer
        return answer

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answer = self.addresses_answer.get(host)
        if answer is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def resolve(self, settings: ConnectionSettings) -> list[Candidate]:
        return await resolve(
            settings,
            rng=random.Random(7),
            srv=self.srv,
            addresses=self.addresses,
            tlsa=self.tlsa,
        )

    async def failure(self, settings: ConnectionSettings) -> ConnectionFailed:
        with pytest.raises(ConnectionFailed) as caught:
            await self.resolve(settings)
        assert caught.value.step == "resolve"
        assert caught.value.remedy
        return caught.value


async def test_srv_targets_in_order_of_priority() -> None:
    world = World(
        [SrvRecord(20, 0, 5222, "backup.test"), SrvRecord(10, 0, 5223, "main.test")],
        {"main.test": ["192.0.2.1", "2001:db8::1"], "backup.test": ["192.0.2.2"]},
    )
    assert await world.resolve(client()) == [
        Candidate("main.test", "192.0.2.1", 5223),
        Candidate("main.test", "2001:db8::1", 5223),
        Candidate("backup.test", "192.0.2.2", 5222),
    ]
    assert world.asked[:2] == ["_xmpp-client._tcp.im.test.", "_xmpps-client._tcp.im.test."]


async def test_srv_question_is_in_a_labels() -> None:
    world = World(None, {"xn--bcher-kva.test": ["192.0.2.1"]})
    await world.resolve(client(host="bücher.test"))
    domain = "xn--bcher-kva.test"
    assert world.asked == [f"_xmpp-client._tcp.{domain}.", f"_xmpps-client._tcp.{domain}.", domain]


async def test_a_target_without_address_is_left_out() -> None:
    world = World(
        [SrvRecord(1, 0, 5222, "gone.test"), SrvRecord(2, 0, 5222, "here.test")],
        {"here.test": ["192.0.2.2"]},
    )
    assert await world.resolve(client()) == [Candidate("here.test", "192.0.2.2", 5222)]


async def test_targets_and_candidates_are_bounded() -> None:
    many = [f"192.0.2.{n}" for n in range(MAX_CANDIDATES)]
    world = World(
        [SrvRecord(n, 0, 5222, f"h{n}.test") for n in range(MAX_TARGETS + 5)],
        {f"h{n}.test": many for n in range(MAX_TARGETS + 5)},
    )
    assert len(await world.resolve(client())) == MAX_CANDIDATES
    assert len(world.asked) == 2 + MAX_TARGETS


# -- direct TLS (XEP-0368) ------------------------------------------------------------------------

HERE = {"im.test": ["192.0.2.9"], "a.test": ["192.0.2.1"], "b.test": ["192.0.2.2"]}


async def test_both_services_in_one_order() -> None:
    world = World(
        [SrvRecord(10, 0, 5222, "a.test"), SrvRecord(30, 0, 5222, "b.test")],
        HERE,
        [SrvRecord(20, 0, 443, "a.test"), SrvRecord(5, 0, 5223, "b.test")],
    )
    assert await world.resolve(client()) == [
        Candidate("b.test", "192.0.2.2", 5223, direct=True),
        Candidate("a.test", "192.0.2.1", 5222),
        Candidate("a.test", "192.0.2.1", 443, direct=True),
        Candidate("b.test", "192.0.2.2", 5222),
    ]


async def test_weights_count_across_the_services() -> None:
    """One draw among all records of a priority, whichever service they are of."""
    rng = random.Random(1)
    first: Counter[bool] = Counter()
    world = World([SrvRecord(0, 30, 5222, "a.test")], HERE, [SrvRecord(0, 70, 5223, "a.test")])
    for _ in range(500):
        found = await resolve(client(), rng=rng, srv=world.srv, addresses=world.addresses)
        first[found[0].direct] += 1
    assert 310 < first[True] < 390


async def test_same_host_and_port_in_both_services_are_two_candidates() -> None:
    record = SrvRecord(0, 0, 443, "a.test")
    found = await World([record], HERE, [record]).resolve(client())
    assert {each.direct for each in found} == {False, True}


@pytest.mark.parametrize(
    ("srv", "direct", "expected"),
    [
        # "." means: not offered. The other service counts then, but never the domain itself.
        (".", "a", [True]),
        ("a", ".", [False]),
        (".", ".", None),
        (".", "", None),
        ("", ".", None),
        ("", "a", [True]),
        ("a", "", [False]),
    ],
)
async def test_services_that_are_not_offered(
    srv: str, direct: str, expected: list[bool] | None
) -> None:
    answers: dict[str, list[SrvRecord] | None] = {
        ".": [SrvRecord(0, 0, 0, ".")],
        "a": [SrvRecord(0, 0, 5222, "a.test")],
        "": None,
    }
    world = World(answers[srv], HERE, answers[direct])
    if expected is None:
        failure = await world.failure(client())
        assert failure.permanent
        assert "no XMPP" in failure.reason
        assert "im.test" not in world.asked
    else:
        assert [each.direct for each in await world.resolve(client())] == expected


async def test_not_offered_is_not_certain_while_the_other_service_is_unknown() -> None:
    silence = DnsUnknown("DNS does not answer", definite=False)
    failure = await World(silence, HERE, [SrvRecord(0, 0, 0, ".")]).failure(client())
    assert not failure.permanent


async def test_one_service_that_dns_does_not_answer_for() -> None:
    silence = DnsUnknown("DNS does not answer", definite=False)
    world = World(silence, HERE, [SrvRecord(0, 0, 5223, "a.test")])
    assert [each.direct for each in await world.resolve(client())] == [True]


async def test_direct_tls_only() -> None:
    world = World([SrvRecord(0, 0, 5222, "a.test")], HERE, [SrvRecord(0, 0, 443, "b.test")])
    found = await world.resolve(client(tls="direct"))
    assert found == [Candidate("b.test", "192.0.2.2", 443, direct=True)]
    assert "_xmpp-client._tcp.im.test." not in world.asked


async def test_direct_tls_at_an_explicit_server() -> None:
    found = await World(None, HERE).resolve(client(tls="direct", server="a.test"))
    assert found == [Candidate("a.test", "192.0.2.1", 5223, direct=True)]
    found = await World(None, HERE).resolve(client(tls="direct", port=443))
    assert found == [Candidate("im.test", "192.0.2.9", 443, direct=True)]
    found = await World(None, HERE).resolve(component(server="a.test", tls="direct"))
    assert found == [Candidate("a.test", "192.0.2.1", 5347, direct=True)]


async def test_direct_tls_without_srv() -> None:
    found = await World(None, HERE).resolve(client(tls="direct"))
    assert found == [Candidate("im.test", "192.0.2.9", 5223, direct=True)]


async def test_direct_tls_that_is_not_offered_says_so() -> None:
    failure = await World(None, HERE, [SrvRecord(0, 0, 0, ".")]).failure(client(tls="direct"))
    assert failure.permanent
    assert "direct TLS" in failure.reason


async def test_clear_text_never_asks_for_direct_tls() -> None:
    world = World(None, HERE)
    assert await world.resolve(client(tls="none")) == [Candidate("im.test", "192.0.2.9", 5222)]
    assert "_xmpps-client._tcp.im.test." not in world.asked


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2"], "6464"),
        (["192.0.2.1", "192.0.2.2", "2001:db8::1"], "464"),
        (["192.0.2.1", "192.0.2.2"], "44"),
        (["2001:db8::1", "192.0.2.1", "192.0.2.2", "192.0.2.3"], "6444"),
    ],
)
async def test_families_take_turns(addresses: list[str], expected: str) -> None:
    found = await World(None, {"im.test": [*addresses]}).resolve(client())
    assert "".join("6" if ":" in each.address else "4" for each in found) == expected
    assert sorted(each.address for each in found) == sorted(addresses)


# -- DANE -----------------------------------------------------------------------------------------

SECURE = SrvRecord(0, 0, 5222, "a.test", secure=True)
TLSA = TlsaRecord(3, 1, 1, b"x" * 32)


async def test_tlsa_of_a_target_that_dnssec_leads_to() -> None:
    world = World([SECURE], HERE, tlsa={"_5222._tcp.a.test.": [TLSA]})
    assert [each.tlsa for each in await world.resolve(client(dane=True))] == [(TLSA,)]


async def test_tlsa_is_asked_for_only_when_wanted() -> None:
    world = World([SECURE], HERE, tlsa={"_5222._tcp.a.test.": [TLSA]})
    assert [each.tlsa for each in await world.resolve(client())] == [()]
    assert "_5222._tcp.a.test." not in world.asked


async def test_tlsa_counts_for_nothing_where_the_way_there_is_not_secure() -> None:
    insecure = SrvRecord(0, 0, 5222, "a.test")
    world = World([insecure], HERE, tlsa={"_5222._tcp.a.test.": [TLSA]})
    assert [each.tlsa for each in await world.resolve(client(dane=True))] == [()]
    assert "_5222._tcp.a.test." not in world.asked


@pytest.mark.parametrize("settings", [{}, {"server": "im.test"}, {"port": 5222}])
async def test_tlsa_of_names_that_nobody_had_to_tell_us(settings: dict[str, Any]) -> None:
    world = World(None, HERE, tlsa={"_5222._tcp.im.test.": [TLSA]})
    assert [each.tlsa for each in await world.resolve(client(dane=True, **settings))] == [(TLSA,)]


async def test_a_target_whose_tlsa_nobody_can_tell_is_not_used() -> None:
    """Else whoever suppresses the answer would do away with DANE."""
    broken = DnsUnknown("DNS failed: SERVFAIL", definite=False)
    other = SrvRecord(9, 0, 5222, "b.test", secure=True)
    world = World([SECURE, other], HERE, tlsa={"_5222._tcp.a.test.": broken})
    assert [each.host for each in await world.resolve(client(dane=True))] == ["b.test"]
    world = World([SECURE], HERE, tlsa={"_5222._tcp.a.test.": broken})
    failure = await world.failure(client(dane=True))
    assert not failure.permanent
    assert "TLSA" in failure.reason


async def test_tlsa_is_not_asked_for_addresses_and_localhost() -> None:
    world = World(None, {"localhost": ["127.0.0.1"], "192.0.2.1": ["192.0.2.1"]})
    await world.resolve(client(dane=True, server="192.0.2.1"))
    await world.resolve(client(dane=True, host="localhost"))
    assert not any(name.startswith("_5222") for name in world.asked)


# -- a machine that the server named --------------------------------------------------------------


async def test_another_host() -> None:
    world = World(None, HERE, tlsa={"_5222._tcp.a.test.": [TLSA]})
    found = await resolve_host(
        client(dane=True), "A.test", None, direct=False, addresses=world.addresses, tlsa=world.tlsa
    )
    assert found == [Candidate("a.test", "192.0.2.1", 5222)]


# -- without SRV ----------------------------------------------------------------------------------


@pytest.mark.parametrize("definite", [True, False])
async def test_without_srv_the_domain_itself(definite: bool) -> None:
    world = World(DnsUnknown("why", definite=definite), {"im.test": ["192.0.2.9"]})
    assert await world.resolve(client()) == [Candidate("im.test", "192.0.2.9", 5222)]


async def test_service_not_available() -> None:
    failure = await World([SrvRecord(0, 0, 0, ".")]).failure(client())
    assert failure.permanent
    assert "no XMPP" in failure.reason


async def test_no_such_names_is_permanent() -> None:
    failure = await World().failure(client())
    assert failure.permanent
    assert failure.reason == "im.test: no such host"
    assert failure.remedy is not None
    assert "check host = 'im.test'" in failure.remedy


async def test_no_such_server_names_the_setting() -> None:
    failure = await World().failure(client(server="xmpp.im.test"))
    assert failure.permanent
    assert failure.remedy == "check server = 'xmpp.im.test'"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "temporary"),
        (TimeoutError(), "DNS does not answer"),
    ],
)
async def test_dns_out_of_order_is_transient(fault: OSError, words: str) -> None:
    failure = await World(None, {"im.test": fault}).failure(client())
    assert not failure.permanent
    assert words in failure.reason


async def test_no_network_says_so() -> None:
    world = World(DnsUnknown("this machine has no DNS configuration", definite=False))
    failure = await world.failure(client())
    assert not failure.permanent
    assert "no DNS configuration" in failure.reason


async def test_a_bug_in_the_look_up_is_not_hidden() -> None:
    world = World(None, {"im.test": ZeroDivisionError()})
    with pytest.raises(ZeroDivisionError):
        await world.resolve(client())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (client(server="10.0.0.1"), ("10.0.0.1", 5222)),
        (client(server="x.test", port=1234), ("x.test", 1234)),
        (client(port=1234), ("im.test", 1234)),
        (client(host="localhost"), ("localhost", 5222)),
        (client(host="192.0.2.7"), ("192.0.2.7", 5222)),
        (client(host="[::1]"), ("::1", 5222)),
        (component(), ("hack.im.test", 5347)),
        (component(server="localhost", port=99), ("localhost", 99)),
        (client(tls="none", server="x.test"), ("x.test", 5222)),
    ],
)
async def test_explicit_server_literal_and_localhost_need_no_srv(
    settings: ConnectionSettings, expected: tuple[str, int]
) -> None:
    world = World(None, {expected[0]: ["192.0.2.1"]})
    assert await world.resolve(settings) == [Candidate(expected[0], "192.0.2.1", expected[1])]
    assert world.asked == [expected[0]]


async def test_what_is_no_domain_is_permanent() -> None:
    failure = await World().failure(client(host="\u2603..test"))
    assert failure.permanent
    assert "not a domain name" in failure.reason


async def test_localhost_and_literals_are_answered_without_asking(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("asked the system")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", refuse)
    assert await look_up_addresses("localhost", 1) == ["127.0.0.1", "::1"]
    assert await look_up_addresses("hack.localhost", 1) == ["127.0.0.1", "::1"]
    assert await look_up_addresses("[::1]", 1) == ["::1"]


async def test_addresses_come_from_the_system_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(host: str, port: int, *, type: int) -> list[Any]:
        assert (host, port, type) == ("im.test", 5222, socket.SOCK_STREAM)
        entry = (socket.AF_INET, type, 6, "", ("192.0.2.1", port))
        return [entry, entry, (socket.AF_INET6, type, 6, "", ("2001:db8::1", port, 0, 0))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", answer)
    assert await look_up_addresses("im.test", 5222) == ["192.0.2.1", "2001:db8::1"]


# -- the SRV question itself ----------------------------------------------------------------------


async def _ask_with(monkeypatch: pytest.MonkeyPatch, fault: Exception) -> DnsUnknown:
    async def fail(*args: object, **kwargs: object) -> None:
        raise fault

    monkeypatch.setattr(dns.asyncresolver.Resolver, "resolve", fail)
    with pytest.raises(DnsUnknown) as caught:
        await look_up_srv("_xmpp-client._tcp.im.test.")
    return caught.value


@pytest.mark.parametrize(
    "fault", [dns.resolver.NXDOMAIN(), dns.resolver.NoAnswer.__new__(dns.resolver.NoAnswer)]
)
async def test_no_records_is_definite(monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    assert (await _ask_with(monkeypatch, fault)).definite


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (dns.exception.Timeout(), "does not answer"),
        (dns.resolver.NoResolverConfiguration(), "no DNS configuration"),
        (dns.exception.DNSException("broken"), "DNS failed: broken"),
        (OSError(101, "Network is unreachable"), "unreachable"),
    ],
)
async def test_dns_trouble_is_not_definite(
    monkeypatch: pytest.MonkeyPatch, fault: Exception, words: str
) -> None:
    unknown = await _ask_with(monkeypatch, fault)
    assert not unknown.definite
    assert words in str(unknown)


async def test_a_machine_without_resolv_conf(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: object, *args: object, **kwargs: object) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.asyncresolver.Resolver, "read_resolv_conf", missing)
    with pytest.raises(DnsUnknown, match="no DNS configuration"):
        await look_up_srv("_xmpp-client._tcp.im.test.")


# -- RFC 2782 -------------------------------------------------------------------------------------


def test_weights_decide_how_often_a_record_is_first() -> None:
    records = [SrvRecord(0, 60, 1, "a"), SrvRecord(0, 30, 1, "b"), SrvRecord(0, 10, 1, "c")]
    rng = random.Random(1)
    first = Counter(srv_order(records, rng)[0].target for _ in range(2000))
    assert 1100 < first["a"] < 1300
    assert 500 < first["b"] < 700
    assert 130 < first["c"] < 270


def test_weight_zero_is_seldom_first_but_not_never() -> None:
    records = [SrvRecord(0, 9, 1, "a"), SrvRecord(0, 0, 1, "z")]
    rng = random.Random(1)
    first = Counter(srv_order(records, rng)[0].target for _ in range(2000))
    assert 100 < first["z"] < 300


def test_every_record_once_and_priorities_never_mix() -> None:
    records = [SrvRecord(n % 3, n, 5222, f"h{n}") for n in range(30)]
    for seed in range(50):
        ordered = srv_order(records, random.Random(seed))
        assert sorted(ordered, key=lambda r: r.weight) == records
        assert [r.priority for r in ordered] == sorted(r.priority for r in records)


def test_all_weights_zero() -> None:
    records = [SrvRecord(0, 0, 1, name) for name in "abc"]
    assert set(srv_order(records, random.Random(3))) == set(records)


def test_the_same_seed_gives_the_same_order() -> None:
    records = [SrvRecord(0, n, 1, str(n)) for n in range(20)]
    assert srv_order(records, random.Random(5)) == srv_order(records, random.Random(5))
