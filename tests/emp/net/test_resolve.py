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
from emp.net.resolve import (
    MAX_CANDIDATES,
    MAX_TARGETS,
    Candidate,
    SrvRecord,
    SrvUnknown,
    look_up_addresses,
    look_up_srv,
    resolve,
    srv_order,
)


def client(**more: Any) -> ConnectionSettings:
    return ConnectionSettings(name="c", kind="client", node="juliet", **{"host": "im.test", **more})


def component(**more: Any) -> ConnectionSettings:
    return ConnectionSettings(name="c", kind="component", **{"host": "hack.im.test", **more})


class World:
    """DNS as the test says it is; remembers what was asked."""

    def __init__(
        self,
        srv: Sequence[SrvRecord] | SrvUnknown | None = None,
        addresses: dict[str, list[str] | BaseException] | None = None,
    ) -> None:
        self.srv_answer = SrvUnknown("no SRV records", definite=True) if srv is None else srv
        self.addresses_answer = addresses or {}
        self.asked: list[str] = []

    async def srv(self, name: str) -> Sequence[SrvRecord]:
        self.asked.append(name)
        if isinstance(self.srv_answer, SrvUnknown):
            raise self.srv_answer
        return self.srv_answer

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answer = self.addresses_answer.get(host)
        if answer is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def resolve(self, settings: ConnectionSettings) -> list[Candidate]:
        return await resolve(settings, rng=random.Random(7), srv=self.srv, addresses=self.addresses)

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
    assert world.asked[0] == "_xmpp-client._tcp.im.test."


async def test_srv_question_is_in_a_labels() -> None:
    world = World(None, {"xn--bcher-kva.test": ["192.0.2.1"]})
    await world.resolve(client(host="bücher.test"))
    assert world.asked == ["_xmpp-client._tcp.xn--bcher-kva.test.", "xn--bcher-kva.test"]


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
    assert len(world.asked) == 1 + MAX_TARGETS


@pytest.mark.parametrize("definite", [True, False])
async def test_without_srv_the_domain_itself(definite: bool) -> None:
    world = World(SrvUnknown("why", definite=definite), {"im.test": ["192.0.2.9"]})
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
    world = World(SrvUnknown("this machine has no DNS configuration", definite=False))
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


async def _ask_with(monkeypatch: pytest.MonkeyPatch, fault: Exception) -> SrvUnknown:
    async def fail(*args: object, **kwargs: object) -> None:
        raise fault

    monkeypatch.setattr(dns.asyncresolver.Resolver, "resolve", fail)
    with pytest.raises(SrvUnknown) as caught:
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
    with pytest.raises(SrvUnknown, match="no DNS configuration"):
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
