"""Secrets repeat within, and only within."""

import hashlib
import secrets

from emp.stanza import make_id
from tools.fuzzing.chance import Chance, predictable, present


def test_secrets_repeat() -> None:
    def some() -> list[object]:
        Chance("a").use()
        return [make_id(), secrets.token_hex(4), secrets.token_bytes(), make_id()]

    first = some()
    assert some() == first
    assert len(set(map(str, first))) == len(first)
    Chance("b").use()
    assert make_id() != first[0]


def test_two_ends_do_not_disturb_each_other() -> None:
    one, other = Chance("a"), Chance("b")
    one.use()
    first = make_id()
    other.use()
    make_id()
    one.use()
    second = make_id()
    Chance("a").use()
    assert [make_id(), make_id()] == [first, second]
    assert present() is not one


def test_passwords_are_stretched_by_one_round() -> None:
    once = hashlib.pbkdf2_hmac("sha1", b"a", b"b", 1)
    assert hashlib.pbkdf2_hmac("sha1", b"a", b"b", 999_999_999) == once


def test_afterwards_all_is_as_it_was() -> None:
    inside = secrets.token_bytes, hashlib.pbkdf2_hmac
    with predictable():
        pass
    assert secrets.token_bytes not in inside
    assert hashlib.pbkdf2_hmac not in inside
    assert hashlib.pbkdf2_hmac("sha1", b"a", b"b", 2) != hashlib.pbkdf2_hmac("sha1", b"a", b"b", 1)
