"""A plan is what its seed says."""

import pytest

from tools.faults import Fault, Plan


def test_the_same_seed_is_the_same_plan() -> None:
    kinds = {"cuts": 50, "stalls": 10, "splits": 5, "delays": 5, "flips": 3}
    one, two, other = Plan(1, **kinds), Plan(1, **kinds), Plan(2, **kinds)
    assert list(one) == list(two)
    assert list(one) != list(other)
    assert len(one) == 73
    assert "seed=1" in repr(one)


def test_a_plan_holds_what_was_asked_for() -> None:
    plan = Plan(7, cuts=20, stalls=4, gap=(10, 99), stall_seconds=(0.5, 0.6))
    kinds = [fault.kind for fault in plan]
    assert kinds.count("stall") == 4
    assert kinds.count("fin") + kinds.count("rst") == 20
    assert {"fin", "rst"} <= set(kinds)
    assert all(10 <= fault.after <= 99 for fault in plan)
    assert all(0.5 <= fault.seconds <= 0.6 for fault in plan if fault.kind == "stall")
    assert {fault.direction for fault in plan} == {"up", "down"}


@pytest.mark.parametrize("wrong", [{"after": -1}, {"seconds": -1.0}, {"size": 0}, {"count": -1}])
def test_what_is_no_fault(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="not a fault"):
        Fault("stall", "up", **({"after": 1} | wrong))  # type: ignore[arg-type]
