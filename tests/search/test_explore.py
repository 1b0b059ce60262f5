"""A search as a whole, on objectives that cost nothing: extension, kills, several processes."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from striate import progress
from striate.errors import RunError, TrainingError
from striate.randomness import stream
from striate.search import Budget, Explored, Ledger, Outcome, Space, Stop, Watch, explore, read
from striate.search.report import SearchResult, summed_up
from striate.search.space import Value

SPACE = Space(parameters=(read("rate=1e-6..1e-3"), read("decay=1e-6..1e-2")))
fork = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def planted(best: float, pause: float = 0.0, noise: float = 0.003) -> object:
    """Return an objective whose optimum is at a rate of 10**best, and hardly minds the decay."""

    def objective(values: Mapping[str, Value], epochs: int, seed: int, watch: Watch) -> Outcome:
        time.sleep(pause)
        rate, decay = math.log10(float(values["rate"])), math.log10(float(values["decay"]))
        chance = stream(seed, epochs, str(sorted(values.items()))).normal("noise", 0, noise)
        return Outcome(
            score=1 - 0.1 * (rate - best) ** 2 - 0.005 * (decay + 4) ** 2 + float(chance)
        )

    return objective


def ledger(place: Path, name: str = "study.journal") -> Ledger:
    return Ledger(str(place / name), "study", {"asks": "planted"})


def search(place: Path, best: float = -4.5, **budget: object) -> tuple[Explored, SearchResult]:
    settings: dict[str, object] = {"trials": 16, "epochs": 9, **budget}
    found = explore(planted(best), SPACE, Budget(**settings), ledger(place))  # type: ignore[arg-type]
    return found, summed_up(str(place), SPACE, found.space, found.entries, found.ended)


def runs(found: Explored) -> list[tuple[object, ...]]:
    """Return what runs were made and what they gave, without times."""
    return sorted(
        (e.slot.stage, e.slot.epochs, e.slot.seed, str(sorted(e.values.items())), e.score)
        for e in found.entries
        if e.state != "void"
    )


# -- coarse to fine --------------------------------------------------------------------------------


def test_a_planted_optimum_far_outside_of_the_range_is_found_by_extension(tmp_path: Path) -> None:
    found, result = search(tmp_path, best=-0.5, trials=24)  # two and a half decades beyond
    assert result.best is not None
    assert abs(math.log10(result.best.settings["rate"]) + 0.5) < 0.7
    moved = [each for each in result.extensions if each.key == "rate"]
    assert moved and all(each.side == "high" for each in moved)
    assert moved[-1].after[1] > 0.1
    assert not [each for each in result.edges if each.key == "rate"]
    below, _ = search(tmp_path / "below", best=-7.5, trials=24)
    assert below.ended is not None
    assert abs(math.log10(float(below.ended.full[0].values["rate"])) + 7.5) < 0.8


def test_a_range_told_to_end_is_flagged_instead(tmp_path: Path) -> None:
    for number, budget in enumerate(({"extend": False}, {})):
        space = SPACE if number == 0 else SPACE.with_(read("rate=1e-6..1e-3:fixed"))
        chosen = Budget(trials=24, epochs=9, **budget)  # type: ignore[arg-type]
        found = explore(planted(-0.5), space, chosen, ledger(tmp_path / str(number)))  # type: ignore[arg-type]
        result = summed_up("", space, found.space, found.entries, found.ended)
        assert not [each for each in result.extensions if each.key == "rate"]
        flagged = {each.key: each for each in result.edges}
        assert flagged["rate"].side == "high"
        assert "a better one may lie beyond" in flagged["rate"].text


def test_extension_stops_at_what_makes_no_sense(tmp_path: Path) -> None:
    def allowed(key: str, value: Value) -> bool:
        return key != "rate" or float(value) <= 2e-3

    chosen = Budget(trials=16, epochs=9)
    found = explore(planted(-0.5), SPACE, chosen, ledger(tmp_path), allowed=allowed)  # type: ignore[arg-type]
    assert all(float(each.values["rate"]) <= 2e-3 for each in found.entries)
    for limit, flagged in ((lambda key, value: True, True), (allowed, False)):
        result = summed_up("", SPACE, found.space, found.entries, found.ended, allowed=limit)
        assert ("rate" in {each.key for each in result.edges}) is flagged


def test_longer_runs_are_for_the_best_and_leaders_get_fresh_seeds(tmp_path: Path) -> None:
    found, result = search(tmp_path)
    by = {epochs: [e for e in found.entries if e.slot.epochs == epochs] for epochs in (1, 3, 9)}
    assert len(by[1]) > len([e for e in by[9] if e.slot.seed == 0]) >= 2
    drawn = [e for e in found.entries if e.slot.stage in ("coarse", "extended", "fine", "finer")]
    assert len(drawn) == 16
    assert all(len(each.scores) == 3 for each in result.leaders)
    assert {e.slot.seed for e in found.entries if e.slot.stage == "seeds"} == {1, 2, 3}
    assert result.best is not None and result.best.interval is not None
    low, high = result.best.interval
    assert low < result.best.mean < high


def test_extension_leaves_a_share_of_the_trials_for_fine_draws(tmp_path: Path) -> None:
    said: list[str] = []
    with progress.use(_Listening(said)):
        found, _ = search(tmp_path, best=1.5, trials=8)
    stages = [e.slot.stage for e in found.entries]
    assert stages.count("coarse") == 4 and stages.count("extended") > 4
    assert stages.count("fine") == stages.count("finer") == 1
    short = [e for e in found.entries if e.slot.epochs == 1]
    over = f"and 2 fine ones: {len(short) + 2 - 8} settings more than the 8 trials"
    assert any(over in each for each in said)


def test_leaders_that_differ_by_noise_alone_are_not_told_apart(tmp_path: Path) -> None:
    def flat(values: Mapping[str, Value], epochs: int, seed: int, watch: Watch) -> Outcome:
        return Outcome(score=float(stream(seed, str(values), epochs).normal("s", 0.5, 0.01)))

    chosen = Budget(trials=24, epochs=9, leaders=7)
    found = explore(flat, SPACE, chosen, ledger(tmp_path))
    result = summed_up("", SPACE, found.space, found.entries, found.ended)
    assert result.group >= len(result.leaders) - 1 >= 3  # each one leaves once in twenty times
    assert result.verdict.startswith(f"no significant difference between these {result.group}")
    assert result.noise == pytest.approx(0.01, rel=0.6)


def test_a_grid_is_all_combinations(tmp_path: Path) -> None:
    found, _ = search(tmp_path, grid=3, extend=False)
    short = [e for e in found.entries if e.slot.epochs == 1]
    assert len(short) == 9
    assert len({e.values["rate"] for e in short}) == 3


def test_tpe_searches_too_and_over_an_extended_range(tmp_path: Path) -> None:
    found, result = search(tmp_path, best=-1.5, sampler="tpe", trials=30)
    assert result.best is not None
    assert abs(math.log10(result.best.settings["rate"]) + 1.5) < 0.7


@pytest.mark.parametrize("trials", [1, 2, 3])
def test_hardly_any_trials(tmp_path: Path, trials: int) -> None:
    found, result = search(tmp_path, trials=trials)
    assert result.best is not None
    assert len([e for e in found.entries if e.slot.epochs == 1]) == trials
    assert result.importance == ()
    if trials == 1:
        assert "one leader only" in result.verdict


def test_seconds_are_a_budget_too(tmp_path: Path) -> None:
    chosen = Budget(trials=None, seconds=1.0, epochs=9)
    found = explore(planted(-4.5, pause=0.02), SPACE, chosen, ledger(tmp_path))  # type: ignore[arg-type]
    result = summed_up("", SPACE, found.space, found.entries, found.ended)
    assert 0.5 < result.seconds < 2.5
    assert {e.slot.stage for e in found.entries} >= {"coarse", "fine", "full", "seeds"}
    again = explore(planted(-4.5), SPACE, chosen, ledger(tmp_path))  # type: ignore[arg-type]
    assert len(again.entries) == len(found.entries)


# -- what goes wrong -------------------------------------------------------------------------------


def test_failed_runs_are_kept_with_their_reason_and_the_search_goes_on(tmp_path: Path) -> None:
    def fragile(values: Mapping[str, Value], epochs: int, seed: int, watch: Watch) -> Outcome:
        if float(values["rate"]) < 1e-5:
            raise RuntimeError("out of memory,\nor so")
        return planted(-4.0)(values, epochs, seed, watch)  # type: ignore[operator,no-any-return]

    found = explore(fragile, SPACE, Budget(trials=16, epochs=9), ledger(tmp_path))
    failed = [each for each in found.entries if each.state == "failed"]
    assert failed and all(each.outcome is not None for each in failed)
    assert {e.outcome.reason for e in failed if e.outcome} == {"RuntimeError: out of memory, or so"}
    kept = ledger(tmp_path).entries()
    assert [each for each in kept if each.state == "failed"] == failed


def test_where_all_runs_fail_one_sentence_says_so(tmp_path: Path) -> None:
    def broken(values: Mapping[str, Value], epochs: int, seed: int, watch: Watch) -> Outcome:
        raise ValueError("no such thing")

    with pytest.raises(TrainingError, match="All 5 runs failed; the first with: ValueError: no"):
        explore(broken, SPACE, Budget(epochs=9), ledger(tmp_path))
    assert [each.state for each in ledger(tmp_path).entries()] == ["failed"] * 5
    with pytest.raises(TrainingError, match="The only run failed"):
        explore(broken, SPACE, Budget(epochs=9, trials=1), ledger(tmp_path / "one"))


def test_where_all_runs_blow_up_lower_rates_are_advised(tmp_path: Path) -> None:
    def explosive(values: Mapping[str, Value], epochs: int, seed: int, watch: Watch) -> Outcome:
        watch.step(2.3)
        watch.step(math.inf)
        raise AssertionError("stopped before")

    with pytest.raises(TrainingError, match=r"None of 6 runs gave a finite score.*lower rates"):
        explore(explosive, SPACE, Budget(epochs=9, trials=12), ledger(tmp_path))


def test_three_times_the_first_cost_stops_a_run() -> None:
    watch = Watch()
    for cost in (2.0, 9.0, 2.0, 2.0, 2.0):  # one spike is none
        watch.step(cost)
    with pytest.raises(Stop, match="over 3 times the first, 2"):
        for cost in (7.0, 8.0, 9.0):
            watch.step(cost)


def test_who_falls_behind_is_stopped_and_who_is_alone_is_not() -> None:
    rivals = [[0.5 + 0.01 * k, 0.6 + 0.01 * k, 0.7] for k in range(8)]
    with pytest.raises(Stop, match="behind: 0.4 after 1 of 3 epochs"):
        Watch(rivals).epoch(0.4, 3)
    Watch(rivals).epoch(0.53, 3)
    Watch(rivals[:3]).epoch(0.0, 3)


# -- kills, and several processes ------------------------------------------------------------------


def test_a_finished_search_is_left_as_it_is(tmp_path: Path) -> None:
    first, _ = search(tmp_path)
    again, _ = search(tmp_path)
    assert again.entries == first.entries
    assert again.ended is not None and first.ended is not None
    assert [e.number for e in again.ended.full] == [e.number for e in first.ended.full]


def test_another_question_in_the_same_place_is_refused(tmp_path: Path) -> None:
    ledger(tmp_path)
    with pytest.raises(RunError, match="asks something else: its asks differs"):
        Ledger(str(tmp_path / "study.journal"), "study", {"asks": "other"})


SHARED = Budget(trials=8, epochs=9)


def _work(place: Path, name: str, pause: float) -> None:
    explore(planted(-4.5, pause=pause), SPACE, SHARED, ledger(place, name))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Explored:
    """What one process finds that nobody kills."""
    place = tmp_path_factory.mktemp("alone")
    return explore(planted(-4.5), SPACE, SHARED, ledger(place))  # type: ignore[arg-type]


@fork
@pytest.mark.parametrize("name", ["study.db", "study.journal"])
def test_kill_nine_loses_no_finished_run(tmp_path: Path, name: str, undisturbed: Explored) -> None:
    searching = multiprocessing.get_context("fork").Process(
        target=_work, args=(tmp_path, name, 0.05)
    )
    searching.start()
    book = ledger(tmp_path, name)
    while len([e for e in book.entries() if e.outcome is not None]) < 4:
        time.sleep(0.02)
    while not [e for e in book.entries() if e.state == "running"]:
        time.sleep(0.002)
    os.kill(searching.pid or 0, signal.SIGKILL)
    searching.join()
    before = book.entries()
    finished = [each for each in before if each.outcome is not None]
    said: list[str] = []
    with progress.use(_Listening(said)):
        found = explore(planted(-4.5), SPACE, SHARED, ledger(tmp_path, name))  # type: ignore[arg-type]
    after = {each.number: each for each in found.entries}
    assert all(after[each.number] == each for each in finished)
    cut = [each for each in before if each.state == "running"]
    for each in cut:
        assert after[each.number].state == "void"
        assert "ended without finishing it" in after[each.number].note
    assert len([line for line in said if "it is made again" in line]) == len(cut)
    assert runs(found) == runs(undisturbed)


@fork
@pytest.mark.parametrize("name", ["study.db", "study.journal"])
def test_two_processes_repeat_no_run_and_find_what_one_finds(
    tmp_path: Path, name: str, undisturbed: Explored
) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_work, args=(tmp_path, name, 0.05)) for _ in range(2)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
        assert each.exitcode == 0
    entries = ledger(tmp_path, name).entries()
    made = [each for each in entries if each.outcome is not None]
    assert len({each.run for each in made}) == len(made), "a run was made twice"
    assert len({each.owner for each in made}) == 2
    assert runs(Explored(None, entries, SPACE)) == runs(undisturbed)


class _Listening:
    def __init__(self, said: list[str]) -> None:
        self.say = said.append

    def task(self, what: str, unit: str, total: int | None) -> progress.Task:
        return self  # type: ignore[return-value]
