"""The checker finds what it is there to find, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.soaking.history import Account, Event, Journal, Note, check, events


def note(number: int, topic: str = "in", sender: str = "alice", receiver: str = "app") -> Note:
    return Note(topic, sender, receiver, number)


def history(sent: str, seen: str, failed: str = "", by: str = "app") -> list[Event]:
    """Digits are message numbers."""
    return [
        *(Event("sent", "alice", note(int(number))) for number in sent),
        *(Event("failed", "alice", note(int(number))) for number in failed),
        *(Event("seen", by, note(int(number))) for number in seen),
    ]


def found(*arguments: str, **named: str) -> Account:
    return check(history(*arguments, **named))["in"]


def test_all_is_well() -> None:
    account = found("01234", "01234")
    assert (account.sent, account.seen, account.faults, account.examples) == (5, 5, 0, [])


@pytest.mark.parametrize(
    ("sent", "seen", "failed", "lost", "reported", "duplicated", "reordered", "misdelivered"),
    [
        ("01234", "0134", "", 1, 0, 0, 0, 0),
        ("01234", "012", "", 2, 0, 0, 0, 0),
        ("01234", "", "", 5, 0, 0, 0, 0),
        ("01234", "0134", "2", 0, 1, 0, 0, 0),  # reported
        ("01234", "01234", "2", 0, 0, 0, 0, 0),  # reported, and delivered all the same
        ("01234", "0112344", "", 0, 0, 2, 0, 0),
        ("01234", "0111234", "", 0, 0, 2, 0, 0),
        ("01234", "01324", "", 0, 0, 0, 1, 0),
        ("01234", "40123", "", 0, 0, 0, 4, 0),
        ("01234", "012342", "", 0, 0, 1, 0, 0),  # a late duplicate is one fault
        ("0124", "01234", "", 0, 0, 0, 0, 1),  # never sent
        ("01234", "0133", "", 2, 0, 1, 0, 0),
    ],
)
def test_what_is_found(
    sent: str,
    seen: str,
    failed: str,
    lost: int,
    reported: int,
    duplicated: int,
    reordered: int,
    misdelivered: int,
) -> None:
    account = found(sent, seen, failed)
    assert account.figures() == {
        "sent": len(sent),
        "seen": len(set(seen)),
        "reported": reported,
        "lost": lost,
        "duplicated": duplicated,
        "reordered": reordered,
        "misdelivered": misdelivered,
    }
    assert bool(account.examples) == bool(account.faults)


def test_seen_by_somebody_else() -> None:
    account = found("01", "01", by="bob")
    assert (account.seen, account.lost, account.misdelivered) == (0, 2, 2)
    assert account.examples == ["in alice→app: 2 lost: 0, 1", "in alice→app: 2 misdelivered: 0, 1"]


def test_flows_are_accounts_of_their_own() -> None:
    """The same numbers of two senders, one in order and one not; topics don't mix."""
    mixed = [
        *(Event("sent", who, note(n, sender=who)) for n in range(3) for who in ("alice", "bob")),
        *(Event("seen", "app", note(n, sender="bob")) for n in range(3)),
        *(Event("seen", "app", note(n)) for n in (0, 2, 1)),
        Event("sent", "app", note(0, "out", "app", "alice")),
        Event("seen", "alice", note(0, "out", "app", "alice")),
    ]
    accounts = check(mixed)
    assert accounts["in"].figures() | {"sent": 6, "seen": 6, "reordered": 1} == (
        accounts["in"].figures()
    )
    assert accounts["in"].examples == ["in alice→app: 1 reordered: 1"]
    assert (accounts["out"].sent, accounts["out"].faults) == (1, 0)


def test_a_body_carries_its_account() -> None:
    for number in (0, 1, 2, 255, 256, 257, 10_000):
        assert Note.parse(note(number).text()) == note(number)
    assert note(7).answer() == Note("answer", "app", "alice", 7)
    assert len({len(note(number).text()) for number in range(1000, 2000)}) > 200


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "in alice app 7",  # cut off
        note(7).text()[:-1],
        note(7).text() + "x",
        note(7).text().replace("7", "8"),
        note(7).text().replace("in", "of"),
        note(7).text().replace("7", "٧"),
    ],
)
def test_a_damaged_body_is_nobodys(body: str) -> None:
    assert Note.parse(body) is None


def test_a_journal_keeps_events_and_remarks_apart(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.note("sent", "alice", note(1))
    journal.remark("disconnected", "sent off by in a b 1")
    journal.note("seen", "app", note(1))
    text = (tmp_path / "journal").read_text()  # before close(): nothing waits in a buffer
    journal.close()
    assert list(events(text.splitlines())) == [
        Event("sent", "alice", note(1)),
        Event("seen", "app", note(1)),
    ]
