"""The rule by which an algorithm replaces torch's own, and the race that feeds it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from striate.engine.choice import DEFAULT, Candidate, LayerPlan, Limits, choose
from striate.engine.race import Times, race


def candidate(ms: float, lead: float = 1.0, error: float = 1e-7, memory: int = 0) -> Candidate:
    return Candidate(
        ms=ms, lead=lead, workspace_bytes=memory, relative_rms=error, deterministic=True
    )


TWO = {DEFAULT: candidate(10.0), "fast": candidate(5.0, 1.9, 1e-6, 1000)}


def test_the_faster_one_is_chosen() -> None:
    assert choose(TWO, 0.02, Limits()) == ("fast", "2.00 times as fast")


def test_five_per_cent_in_three_rounds_of_four_is_what_it_takes() -> None:
    assert choose({**TWO, "fast": candidate(5.0, 1.04)}, 0.02, Limits())[0] == DEFAULT
    assert choose({**TWO, "fast": candidate(9.0, 1.06)}, 0.02, Limits())[0] == "fast"


def test_what_only_seems_faster_is_said_to() -> None:
    chosen, remark = choose({**TWO, "fast": candidate(9.0, 0.9)}, 0.0, Limits())
    assert chosen == DEFAULT
    assert remark == "the default stays: fast is not 5% faster in three rounds of four"


def test_a_doubtful_candidate_does_not_hide_a_sure_one() -> None:
    three = {**TWO, "exact": candidate(4.9, 0.9, 5e-7)}
    assert choose(three, 0.0, Limits())[0] == "fast"


def test_the_default_wins_and_it_is_said() -> None:
    chosen, remark = choose({**TWO, "fast": candidate(12.0, 0.8)}, 0.0, Limits())
    assert (chosen, remark) == (DEFAULT, "the default wins: fast took 12.00 ms")


def test_noise_keeps_the_default() -> None:
    chosen, remark = choose(TWO, 0.11, Limits())
    assert chosen == DEFAULT
    assert remark == "too noisy: the default differed from itself by 11%"


@pytest.mark.parametrize("limits", [Limits(workspace=999), Limits(error=9e-7)])
def test_limits_are_kept(limits: Limits) -> None:
    assert choose(TWO, 0.0, limits)[0] == DEFAULT
    assert choose(TWO, 0.0, Limits(workspace=1000, error=1e-6))[0] == "fast"


def test_of_two_about_as_fast_the_more_exact_one() -> None:
    three = {**TWO, "exact": candidate(5.1, 1.8, 5e-7)}
    assert choose(three, 0.0, Limits())[0] == "exact"
    assert choose({**three, "exact": candidate(5.3, 1.8, 5e-7)}, 0.0, Limits())[0] == "fast"


def test_a_choice_can_be_made_again() -> None:
    layer = LayerPlan(name="conv", chosen="fast", remark="", noise=0.0, candidates=TWO)
    assert layer.within(Limits(workspace=0)).chosen == DEFAULT
    assert layer.within(Limits(workspace=0)).within(Limits()).chosen == "fast"


def test_calls_are_taken_in_turn_and_stragglers_dropped() -> None:
    taken: list[str] = []
    now = [0.0]

    def call(name: str, seconds: float) -> None:
        taken.append(name)
        now[0] += seconds

    runs = {
        "first": lambda: call("first", 3.0),
        "again": lambda: call("again", 3.0),
        "quick": lambda: call("quick", 1.0),
        "slow": lambda: call("slow", 9.0),
    }
    times = race(runs, 5, clock=lambda: now[0], seconds=100.0)  # calls of seconds: one a turn
    every = ["first", "again", "quick", "slow"]
    assert taken == every * 3 + every[:3] * 3
    assert [times[name].median for name in runs] == [3.0, 3.0, 1.0, 9.0]
    assert times["quick"].lead(times["first"]) == 3.0


def test_after_its_time_a_race_ends() -> None:
    now = [0.0]

    def call() -> None:
        now[0] += 3.0

    times = race({"first": call, "again": call}, 9, clock=lambda: now[0], seconds=8.0)
    assert len(times["first"].seconds) == 3


def test_a_lead_is_one_in_three_rounds_of_four() -> None:
    rounds: Iterator[float] = iter([2.0, 2.0, 2.0, 1.0, 1.0])
    own = Times([1.0] * 5)
    assert own.lead(Times(list(rounds))) == 1.0  # faster in three of five only


def test_a_turn_is_the_quickest_of_a_few_short_calls() -> None:
    now, taken = [0.0], iter([0.0, *[5e-4, 1e-4, 9e-4, 2e-4, 3e-4, 4e-4] * 9])

    def call() -> None:
        now[0] += next(taken)

    def other() -> None:
        now[0] += 1.0

    times = race({"first": call, "again": other}, 2, clock=lambda: now[0])
    assert times["first"].seconds == pytest.approx([1e-4, 2e-4])
    assert times["again"].seconds == pytest.approx([1.0, 1.0])
