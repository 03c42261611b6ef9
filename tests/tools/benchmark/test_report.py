"""Percentiles, medians, ratios and the table."""

import pytest

from tools.benchmark.report import (
    WINDOW,
    Measurement,
    machine,
    percentile,
    render,
    round_trip,
    summarise,
    table,
    windows_of,
)
from tools.benchmark.stub import Outcome


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([7], 0, 7),
        ([7], 50, 7),
        ([7], 100, 7),
        ([4, 1, 3, 2], 25, 1),
        ([4, 1, 3, 2], 50, 2),
        ([4, 1, 3, 2], 51, 3),
        ([4, 1, 3, 2], 100, 4),
        (list(range(1, 1001)), 99, 990),
        (list(range(1, 101)), 99, 99),
    ],
)
def test_percentile_is_the_nearest_rank(
    values: list[float], percent: float, expected: float
) -> None:
    assert percentile(values, percent) == expected


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1], -1), ([1], 101)])
def test_percentile_of_nothing_is_an_error(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, percent)


def run(
    rate: int,
    *,
    trips: tuple[int, ...] = (),
    peak: int = 0,
    cpu: float = 0.1,
    own_cpu: float = 0.0,
    instructions: int | None = None,
) -> Measurement:
    outcome = Outcome(stanzas=rate * 2, seconds=2.0, stub_cpu=cpu, round_trips_ns=trips)
    return Measurement(outcome, peak, own_cpu, instructions)


VERSIONS = {"emp": "emp-xmpp 1", "xmpp.js": "xmpp 0", "slixmpp": "slixmpp 1", "x": "x 1"}


def test_figures_are_medians_and_ratios_of_medians() -> None:
    runs = {
        "emp": [
            run(100, trips=(1000, 3000), peak=5, own_cpu=0.2, instructions=2000),
            run(900, trips=(5000, 9000), peak=7, own_cpu=0.9),
            run(300, trips=(2000, 4000), peak=6, own_cpu=0.3, instructions=12_000),
        ],
        "xmpp.js": [run(150), run(10), run(1000)],
    }
    emp, xmppjs = summarise(runs, VERSIONS)
    assert (emp.rate, emp.slowest, emp.fastest) == (300, 100, 900)
    assert (emp.p50_us, emp.p99_us) == (2.0, 4.0)
    assert emp.peak_bytes == 7
    assert emp.cpu_us == pytest.approx(500)
    assert emp.instructions == 15
    assert emp.ratios == {"xmpp.js": 2.0}
    assert (xmppjs.rate, xmppjs.p50_us, xmppjs.ratios) == (150, None, {"xmpp.js": 1.0})
    assert xmppjs.instructions is None


@pytest.mark.parametrize(
    ("trips", "sizes"),
    [(0, []), (1, [1]), (999, [999]), (1000, [500, 500]), (1700, [500, 500, 700])],
)
def test_round_trips_are_cut_into_windows(trips: int, sizes: list[int]) -> None:
    parts = windows_of(range(trips))
    assert [len(part) for part in parts] == sizes
    assert [each for part in parts for each in part] == list(range(trips))


def test_a_disturbed_window_does_not_make_the_latency() -> None:
    quiet, disturbed = (1000,) * WINDOW, (9_000_000,) * WINDOW
    assert round_trip([run(1, trips=quiet * 2 + disturbed)], 99) == 1.0


def test_the_table_is_aligned() -> None:
    assert table([["peer", "n"], ["a", "1,000"], ["longer", "2"]]) == (
        "| peer   |     n |\n|--------|------:|\n| a      | 1,000 |\n| longer |     2 |"
    )


def test_the_report_names_peers_ratios_and_versions() -> None:
    runs = {
        "emp": [run(160_000, trips=(90_000,), peak=50_000_000, own_cpu=2)],
        "slixmpp": [run(16_000)],
    }
    text = render(summarise(runs, VERSIONS))
    head, _, emp, slixmpp, _, *notes = text.splitlines()
    assert [cell.strip() for cell in head.split("|")[1:-1]] == [
        *("peer", "stanzas/s", "range", "× slixmpp", "p50 µs", "p99 µs", "CPU µs", "peak MB")
    ]
    assert [cell.strip() for cell in emp.split("|")[1:-1]] == [
        *("emp", "160,000", "160,000–160,000", "10.00", "90", "90", "6.2", "50")
    ]
    assert [cell.strip() for cell in slixmpp.split("|")[4:-1]] == ["1.00", "–", "–", "0.0", "0"]
    assert notes == ["emp: emp-xmpp 1", "slixmpp: slixmpp 1"]


def test_instructions_have_a_column_where_they_can_be_counted() -> None:
    text = render(summarise({"emp": [run(10, instructions=1_234_560)], "x": [run(10)]}, VERSIONS))
    head, _, emp, other, *_ = text.splitlines()
    assert head.split("|")[-3].strip() == "instructions"
    assert emp.split("|")[-3].strip() == "61,728"
    assert other.split("|")[-3].strip() == "–"


def test_a_stub_at_its_limit_is_told() -> None:
    text = render(summarise({"emp": [run(10, cpu=0.2), run(10, cpu=0.97)]}, VERSIONS))
    assert "emp: the stub took 97% of a core, so it may be the limit" in text


def test_the_machine_is_described() -> None:
    described = machine()
    assert set(described) == {"cpu", "cores", "memory", "kernel", "python", "load before"}
    assert all(described.values())
