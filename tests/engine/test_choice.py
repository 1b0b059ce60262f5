"""The rule by which an algorithm replaces torch's own, and the race that feeds it."""

from __future__ import annotations

import random

import pytest

from striate.engine.choice import DEFAULT, NOTHING, Candidate, LayerPlan, Limits, choose
from striate.engine.race import Times, race
from striate.engine.table import folded


def candidate(ms: float, lead: float = 1.0, error: float = 1e-7, memory: int = 0) -> Candidate:
    return Candidate(
        ms=ms, lead=lead, workspace_bytes=memory, relative_rms=error, deterministic=True
    )


TWO = {DEFAULT: candidate(10.0), "fast": candidate(5.0, 1.9, 1e-6, 1000)}


def test_the_faster_one_is_chosen() -> None:
    assert choose(TWO, 0.02, Limits()) == ("fast", "2.00 times as fast")


def test_five_per_cent_for_sure_is_what_it_takes() -> None:
    assert choose({**TWO, "fast": candidate(5.0, 1.04)}, 0.02, Limits())[0] == DEFAULT
    assert choose({**TWO, "fast": candidate(9.0, 1.06)}, 0.02, Limits())[0] == "fast"


def test_what_only_seems_faster_is_said_to() -> None:
    chosen, remark = choose({**TWO, "fast": candidate(9.0, 0.9)}, 0.0, Limits())
    assert chosen == DEFAULT
    assert remark == "the default stays: fast is not surely 5% faster"


def test_a_doubtful_candidate_does_not_hide_a_sure_one() -> None:
    three = {**TWO, "exact": candidate(4.9, 0.9, 5e-7)}
    assert choose(three, 0.0, Limits())[0] == "fast"


def test_the_default_wins_and_it_is_said() -> None:
    chosen, remark = choose({**TWO, "fast": candidate(12.0, 0.8)}, 0.0, Limits())
    assert (chosen, remark) == (DEFAULT, "the default wins: fast took 12.00 ms")


def test_what_replaces_the_default_leads_by_more_than_it_does_over_itself() -> None:
    assert choose(TWO, 0.89, Limits())[0] == "fast"
    chosen, remark = choose(TWO, 0.91, Limits())
    assert chosen == DEFAULT
    assert remark == "too noisy: the default seems 91% faster than itself"


@pytest.mark.parametrize("limits", [Limits(workspace=999), Limits(error=9e-7)])
def test_limits_are_kept(limits: Limits) -> None:
    assert choose(TWO, 0.0, limits)[0] == DEFAULT
    assert choose(TWO, 0.0, Limits(workspace=1000, error=1e-6))[0] == "fast"


def test_errors_beyond_five_millionths_are_asked_for() -> None:
    rough = {**TWO, "fast": candidate(5.0, 1.9, 6e-6)}
    assert choose(rough, 0.0, Limits())[0] == DEFAULT
    assert choose(rough, 0.0, Limits(error=1e-5))[0] == choose(rough, 0.0, Limits(error=None))[0]
    assert choose(rough, 0.0, Limits(error=None))[0] == "fast"


def test_what_torch_itself_works_in_is_not_too_much() -> None:
    heavy = {DEFAULT: candidate(10.0, memory=5000), "fast": candidate(5.0, 1.9, memory=5000)}
    assert choose(heavy, 0.0, Limits(workspace=0))[0] == "fast"


def test_a_default_beyond_the_limits_gives_way() -> None:
    exact = {**TWO, "exact": candidate(30.0, 0.3, 2e-8), "too": candidate(40.0, 0.2, 1e-8)}
    chosen, remark = choose(exact, 0.0, Limits(error=5e-8))
    assert (chosen, remark) == ("exact", "torch's own has an error of 1.0e-07")
    assert choose(exact, 0.0, Limits(error=0.0)) == (DEFAULT, NOTHING)


def test_of_two_about_as_fast_the_more_exact_one() -> None:
    three = {**TWO, "exact": candidate(5.1, 1.8, 5e-7)}
    assert choose(three, 0.0, Limits())[0] == "exact"
    assert choose({**three, "exact": candidate(5.3, 1.8, 5e-7)}, 0.0, Limits())[0] == "fast"


def test_a_choice_can_be_made_again() -> None:
    layer = LayerPlan(name="conv", chosen="fast", remark="", noise=0.0, candidates=TWO)
    assert layer.within(Limits(workspace=0)).chosen == DEFAULT
    assert layer.within(Limits(workspace=0)).within(Limits()).chosen == "fast"


def layers(kinds: str) -> list[LayerPlan]:
    """Return a layer for each letter; those of one letter took the same time."""
    return [
        LayerPlan(
            name=f"{place}",
            chosen=DEFAULT,
            remark="",
            noise=0.0,
            candidates={DEFAULT: candidate(float(ord(kind)))},
            fused=(f"{place}.after",) if kind == "f" else (),
        )
        for place, kind in enumerate(kinds)
    ]


@pytest.mark.parametrize(
    ("kinds", "rows"),
    [
        ("", []),
        ("abc", [("0", 1), ("1", 1), ("2", 1)]),
        ("aab", [("0", 2), ("2", 1)]),
        ("cafafafb", [("0", 1), ("1", 3), ("2", 3), ("7", 1)]),
        ("aaaa", [("0", 4)]),
        ("aba", [("0", 1), ("1", 1), ("2", 1)]),
        ("aabaabf", [("0", 2), ("1", 2), ("2", 2), ("6", 1)]),
    ],
)
def test_blocks_alike_stand_once(kinds: str, rows: list[tuple[str, int]]) -> None:
    found = folded(layers(kinds))
    assert [(layer.name, times) for layer, times in found] == rows


def test_calls_are_taken_in_turn_and_stragglers_dropped() -> None:
    taken: list[str] = []
    now = [0.0]

    def call(name: str, seconds: float) -> None:
        taken.append(name)
        now[0] += seconds

    runs = {
        "first": lambda: call("first", 9.0),
        "quick": lambda: call("quick", 1.0),
        "slow": lambda: call("slow", 9.0),
    }
    times = race(runs, 5, lambda: now[0], 100.0, kept=("first",))  # calls of seconds: one a turn
    every = ["first", "quick", "slow"]
    assert taken == every * 3 + every[:2] * 3
    assert [times[name].median for name in runs] == [9.0, 1.0, 9.0]
    assert times["quick"].lead(times["first"]) == 9.0


def test_what_is_done_between_calls_is_not_timed() -> None:
    now, order = [0.0], []

    def call() -> None:
        order.append("call")
        now[0] += 3.0

    def other() -> None:
        order.append("between")
        now[0] += 50.0

    times = race({"one": call}, 4, lambda: now[0], 1e9, between=other)
    assert times["one"].seconds == [3.0] * 4
    assert order == ["call"] + ["between", "call"] * 4


def test_after_its_time_a_race_ends() -> None:
    now = [0.0]

    def call() -> None:
        now[0] += 3.0

    times = race({"first": call, "again": call}, 9, clock=lambda: now[0], seconds=8.0)
    assert len(times["first"].seconds) == 3


@pytest.mark.parametrize(("rounds", "rank"), [(3, 0), (4, 0), (5, 0), (9, 1), (18, 5), (36, 12)])
def test_a_lead_is_a_bound_of_the_median(rounds: int, rank: int) -> None:
    """The ranks are those of the sign test's tables: confidence 95% on one side."""
    theirs = [1.0 + 0.01 * index for index in range(rounds)]
    assert Times([1.0] * rounds).lead(Times(theirs[::-1])) == theirs[rank]


def test_a_lead_is_rarely_wrong() -> None:
    """Of equals in noise at most one in twenty leads at all."""
    noise = random.Random(0)

    def drawn() -> Times:
        return Times([noise.lognormvariate(0, 0.5) for _ in range(18)])

    wrong = sum(drawn().lead(drawn()) > 1 for _ in range(2000))
    assert 0.03 < wrong / 2000 < 0.065  # 4.8% by the binomial distribution


def test_a_turn_is_the_quickest_of_a_few_short_calls() -> None:
    now, taken = [0.0], iter([0.0, *[5e-4, 1e-4, 9e-4, 2e-4, 3e-4, 4e-4] * 9])

    def call() -> None:
        now[0] += next(taken)

    def other() -> None:
        now[0] += 1.0

    times = race({"first": call, "again": other}, 2, clock=lambda: now[0])
    assert times["first"].seconds == pytest.approx([1e-4, 2e-4])
    assert times["again"].seconds == pytest.approx([1.0, 1.0])
