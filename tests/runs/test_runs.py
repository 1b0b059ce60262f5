"""Run folders: made whole, opened in any state, never overwritten unasked, honest after a crash."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from tests.runs.made import CONTRACT, make

from striate import runs
from striate.design import Network
from striate.errors import ContractError, RecordError, RunError, StriateError

# -- made and opened


def test_what_is_written_is_what_is_read(run: runs.Run, network: Network) -> None:
    again = runs.open(run.path)
    assert again.network() == network
    assert again.contract() == CONTRACT
    assert again.recipe_document() == {"name": "quick", "rate": 0.1, "epochs": 3}
    assert again.data_document() == {"train": ["a", "b"]}
    assert again.plan() == {"version": 1, "threads": 1}
    assert again.document("env.json") == {"torch": "2"}
    assert again.info == run.info and again.info.name == "run" and again.info.parent is None
    assert again.weights == run.path / "model.safetensors" and not again.weights.exists()
    assert again.figures.is_dir() and again.results() is None and again.history() == []


def test_state_and_results_are_written(run: runs.Run) -> None:
    run.set_state("interrupted")
    run.write_results({"test": {"accuracy": 0.99}})
    again = runs.open(run.path)
    assert again.info.state == again.state == "interrupted"
    assert again.results() == {"test": {"accuracy": 0.99}}


def test_checkpoints_are_listed_in_order(run: runs.Run) -> None:
    for name in ("100", "9", ".20.0123abcd.partial", "notes"):
        (run.path / "checkpoints" / name).mkdir()
    assert run.checkpoints() == [
        (9, run.path / "checkpoints" / "9"),
        (100, run.path / "checkpoints" / "100"),
    ]


def test_paths_are_numbered_on(tmp_path: Path) -> None:
    assert runs.new_path(tmp_path / "runs", "a.b") == tmp_path / "runs" / "a.b-001"
    for name in ("a.b-001", "a.b-007", "axb-009", "a.b-010x"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert runs.new_path(tmp_path / "runs", "a.b") == tmp_path / "runs" / "a.b-008"


# -- never overwritten unasked


def test_a_run_is_not_overwritten_unless_told(run: runs.Run, network: Network) -> None:
    with pytest.raises(RunError, match=r"run is already a run; choose another --out, or replace"):
        make(run.path, network)
    run.write_results({"old": 1})
    assert make(run.path, network, overwrite=True).results() is None


def test_a_folder_that_is_no_run_is_never_overwritten(tmp_path: Path, network: Network) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").touch()
    for overwrite in (False, True):
        with pytest.raises(RunError, match="thesis is already there and is no run folder"):
            make(tmp_path / "thesis", network, overwrite=overwrite)
    (tmp_path / "empty").mkdir()
    assert make(tmp_path / "empty", network).info.name == "empty"


def test_a_run_in_use_is_not_overwritten(run: runs.Run, network: Network) -> None:
    with run.lock(), pytest.raises(RunError, match=f"is in use by process {os.getpid()}"):
        make(run.path, network, overwrite=True)
    assert runs.open(run.path).history() == []


def test_a_run_replaced_after_it_was_opened_is_not_written_to(
    run: runs.Run, network: Network
) -> None:
    make(run.path, network, overwrite=True, recipe={"name": "another"})
    with pytest.raises(RunError, match="has been replaced by another run meanwhile"), run.lock():
        pass


def test_the_lock_brings_the_state_that_is_there(run: runs.Run) -> None:
    again = runs.open(run.path)
    run.set_state("finished")
    with again.lock():
        assert again.state == "finished"


def test_two_makers_of_one_path_do_not_mix(tmp_path: Path, network: Network) -> None:
    outcomes: list[object] = []

    def maker(number: int) -> None:
        try:
            outcomes.append(make(tmp_path / "run", network, recipe={"number": number}))
        except RunError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=maker, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(outcome, runs.Run) for outcome in outcomes) == 1
    assert len(outcomes) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    runs.open(tmp_path / "run")


def test_a_run_that_cannot_be_written_leaves_nothing(tmp_path: Path, network: Network) -> None:
    with pytest.raises(RecordError, match="finite"):
        make(tmp_path / "run", network, plan={"ms": float("nan")})
    assert list(tmp_path.iterdir()) == []


# -- refused


def test_what_is_no_run_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"^There is no run folder \S+/none\.$"):
        runs.open(tmp_path / "none")
    with pytest.raises(RunError, match=r"is not a run folder: it has no run\.json\.$"):
        runs.open(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="is not a run folder"):
        runs.open(tmp_path / "file")


def test_a_run_of_a_later_version_gives_both_numbers(run: runs.Run) -> None:
    later = {"version": 7, "shape": "unknown here"}
    (run.path / "run.json").write_text(json.dumps(later))
    with pytest.raises(RunError, match="is a run of format 7; this striate reads up to 1"):
        runs.open(run.path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', "\udcff"])
def test_a_damaged_run_json_is_one_sentence(run: runs.Run, text: str) -> None:
    (run.path / "run.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(StriateError, match=r"run\.json: "):
        runs.open(run.path)


@pytest.mark.parametrize("name", ["network.json", "contract.json", "recipe.json"])
def test_a_changed_document_is_noticed_at_opening(run: runs.Run, name: str) -> None:
    document = run.document(name)
    (run.path / name).write_text(json.dumps(document))  # written otherwise, the same content
    runs.open(run.path)
    (run.path / name).write_text(json.dumps(document | {"extra": 1}))
    with pytest.raises(RunError, match=f"{name} is not the one this run was made with"):
        runs.open(run.path)
    (run.path / name).write_text("{")
    with pytest.raises(RunError, match=f"{name} is damaged"):
        runs.open(run.path)
    (run.path / name).unlink()
    with pytest.raises(RunError, match=f"{name} cannot be read: No such file or directory"):
        runs.open(run.path)


def test_a_contract_of_a_later_version_is_refused(tmp_path: Path, network: Network) -> None:
    document = make(tmp_path / "a", network).document("contract.json") | {"version": 9}
    run = make(tmp_path / "b", network, contract=document)
    with pytest.raises(ContractError, match="has format 9; this striate reads up to 1"):
        run.contract()


# -- history


def test_history_is_kept_by_kind_and_with_its_time(run: runs.Run) -> None:
    run.append({"kind": "step", "step": 1, "loss": 0.1 + 0.2})
    checked = {"kind": "validation", "step": 1, "epoch": 1, "accuracy": 0.1, "time": 7.0}
    run.append({**checked, "loss": float("inf")})
    run.sync()
    first, second = runs.open(run.path).history()
    assert first["loss"] == 0.1 + 0.2 and first["time"] > 1e9
    assert second == {**checked, "loss": None}
    assert run.history("validation") == [second]


def test_what_is_appended_is_seen_without_a_sync(run: runs.Run) -> None:
    run.append({"kind": "step", "step": 1})
    run.append({"kind": "step", "step": 2})
    assert [line["step"] for line in run.history()] == [1, 2]


def test_a_resume_supersedes_what_it_repeats(run: runs.Run) -> None:
    def steps(first: int, last: int) -> None:
        for step in range(first, last + 1):
            run.append({"kind": "step", "step": step, "attempt": len(run.history("event"))})

    steps(1, 8)
    run.append({"kind": "event", "event": "resumed", "step": 5})
    steps(6, 9)
    run.append({"kind": "event", "event": "resumed", "step": 7})
    steps(8, 10)
    found = run.history("step")
    assert [line["step"] for line in found] == list(range(1, 11))
    assert [line["attempt"] for line in found] == [0] * 5 + [1] * 2 + [2] * 3
    assert [line["step"] for line in run.history("event")] == [5, 7]


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_cut_last_line_is_ignored_and_not_joined(run: runs.Run, cut: int) -> None:
    with run.lock():
        run.append({"kind": "step", "step": 1, "time": 1.0})
        run.append({"kind": "step", "step": 2, "time": 2.0})
    path = run.path / "history.jsonl"
    os.truncate(path, path.stat().st_size - cut)
    again = runs.open(run.path)
    kept = [1, 2] if cut == 1 else [1]  # only its newline was lost: the line is whole
    assert [line["step"] for line in again.history()] == kept
    with again.lock():
        again.append({"kind": "step", "step": 9})
    assert [line["step"] for line in again.history()] == [*kept, 9]


def test_lines_that_are_none_of_ours_are_skipped(run: runs.Run) -> None:
    run.append({"kind": "step", "step": 1, "time": 1.0})
    run.sync()
    odd = [
        *('"step"', "[1]", '{"kind": "step"}', '{"kind": "step", "step": "1"}', "\0\0", "{"),
        '{"kind": "step", "step": 2, "loss": "low"}',
        '{"kind": "validation", "step": 1, "epoch": 1}',
        '{"kind": "event"}',
    ]
    with (run.path / "history.jsonl").open("a") as file:
        file.write("\n".join([*odd, '{"kind": "of later", "step": 2}', ""]))
    found = runs.open(run.path).history()
    assert [(line["kind"], line["step"]) for line in found] == [("step", 1), ("of later", 2)]


def test_numbers_that_json_has_not_are_read_as_nothing(run: runs.Run) -> None:
    with (run.path / "history.jsonl").open("a") as file:
        for value in ("NaN", "Infinity", "-Infinity", "NaN, NaN"):  # the last is no JSON at all
            file.write(f'{{"kind": "step", "step": 1, "loss": {value}}}\n')
    found = runs.open(run.path).history()
    assert [line["loss"] for line in found] == [None] * 3


# -- lock


TRAINER = """
    import sys, time
    from pathlib import Path
    from striate import runs

    run = runs.open(sys.argv[1])
    with run.lock():
        run.append({"kind": "step", "step": 1})
        run.sync()
        run.append({"kind": "step", "step": 2})
        Path(sys.argv[1], "checkpoints", ".5.0badcafe.partial").mkdir()
        print("training", flush=True)
        time.sleep(60)
"""


def test_a_killed_training_is_shown_as_crashed_and_its_litter_is_swept(run: runs.Run) -> None:
    code = textwrap.dedent(TRAINER)
    with subprocess.Popen(
        [sys.executable, "-c", code, run.path], stdout=subprocess.PIPE, text=True
    ) as trainer:
        assert trainer.stdout is not None and trainer.stdout.readline() == "training\n"
        assert runs.open(run.path).state == "running"
        with pytest.raises(RunError, match=f"in use by process {trainer.pid}"), run.lock():
            pass
        trainer.send_signal(signal.SIGKILL)
    assert runs.open(run.path).state == "crashed"
    assert run.info.state == "running"
    assert [line["step"] for line in run.history()][:1] == [1]
    with run.lock():
        assert run.state == "running"
    assert list((run.path / "checkpoints").iterdir()) == []


def test_a_full_disk_stops_the_history_in_one_sentence(run: runs.Run) -> None:
    code = """
    import resource, sys
    from striate import runs
    from striate.errors import RunError

    run = runs.open(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    try:
        with run.lock():
            for step in range(10_000):
                run.append({"kind": "step", "step": step})
    except RunError as error:
        print(error)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), run.path], capture_output=True, text=True
    )
    assert "history.jsonl stopped after 50,000 bytes; make room and repeat.\n" in result.stdout
    assert result.returncode == 0, result.stderr
    steps = [line["step"] for line in runs.open(run.path).history()]
    assert steps == list(range(len(steps))) and len(steps) > 500
