"""Questions of a peer that does not read our answers."""

from emp.stream.acks import Acks
from emp.stream.management import Management


def test_one_answer_for_all_questions_while_our_bytes_do_not_leave() -> None:
    sent: list[str] = []
    management = Management()
    management.enable(None, None, None)
    acks = Acks(management, sent.append)
    acks.asked()
    acks.hush(True)
    for _ in range(1000):
        acks.asked()
    management.received = management.handled = 7
    assert [text.count("h='0'") for text in sent] == [1]
    acks.hush(False)
    assert [text.count("h='7'") for text in sent] == [0, 1]
    acks.hush(False)
    assert len(sent) == 2


def test_nothing_is_said_where_nothing_was_asked() -> None:
    sent: list[str] = []
    acks = Acks(Management(), sent.append)
    acks.hush(True)
    acks.hush(False)
    assert sent == []
