"""The numbers of a history: one a row, those that count, NaN where it was NaN."""

from __future__ import annotations

import math

from striate import runs


def test_each_kind_gives_its_numbers_under_its_name(run: runs.Run) -> None:
    place = {"step": 3, "epoch": 1, "time": 7.25}
    run.append({"kind": "step", "loss": 0.5, "rate": 0.1, "gradient_norm": 2.0, **place})
    run.append({"kind": "validation", "loss": 0.4, "accuracy": 0.75, "best": True, **place})
    layers = {"weights": {"conv1.weight": {"size": 2.0, "update": 0.002}}, "waiting": 0.0}
    run.append({"kind": "probe", "probe": "layers", **layers, **place})
    run.append({"kind": "probe", "probe": "order", "digest": 99, "classes": 9, **place})
    run.append({"kind": "pace", "waiting": 0.5, "text": "Training waited.", **place})
    run.append({"kind": "event", "event": "memory", "measured": 5, **place})
    found = run.scalars()
    assert {each.tag: each.value for each in found} == {
        "step/loss": 0.5,
        "step/rate": 0.1,
        "step/gradient_norm": 2.0,
        "validation/loss": 0.4,
        "validation/accuracy": 0.75,
        "validation/best": 1.0,
        "layers/weights/conv1.weight/size": 2.0,
        "layers/weights/conv1.weight/update": 0.002,
        "layers/waiting": 0.0,
        "order/classes": 9.0,
        "pace/waiting": 0.5,
    }
    assert {each[1:4] for each in found} == {(3, 1, 7.25)} and len(found) == 11


def test_what_was_not_finite_is_nan(run: runs.Run) -> None:
    run.append({"kind": "step", "step": 1, "epoch": 1, "loss": 1.0, "gradient_norm": math.inf})
    run.append({"kind": "step", "step": 2, "epoch": 1, "loss": math.nan})
    values = [(each.tag, each.step, each.value) for each in run.scalars()]
    assert values[1] == ("step/loss", 1, 1.0)
    assert [each[:2] for each in values] == [
        ("step/gradient_norm", 1),
        ("step/loss", 1),
        ("step/loss", 2),
    ]
    assert math.isnan(values[0][2]) and math.isnan(values[2][2])


def test_what_a_resume_repeats_is_there_once(run: runs.Run) -> None:
    for step, loss in ((1, 3.0), (2, 2.0), (3, 9.0)):
        run.append({"kind": "step", "step": step, "epoch": 1, "loss": loss})
    run.append({"kind": "event", "event": "resumed", "step": 2})
    run.append({"kind": "step", "step": 3, "epoch": 1, "loss": 1.0})
    assert [(each.step, each.value) for each in run.scalars()] == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_lines_without_a_place_are_skipped(run: runs.Run) -> None:
    run.sync()
    with (run.path / "history.jsonl").open("a") as file:
        file.write('{"kind": "pace", "waiting": 1}\n{"kind": "pace", "step": "1", "waiting": 1}\n')
    run.append({"kind": "of later", "step": 1, "epoch": 1, "figure": 5})
    assert [(each.tag, each.value) for each in run.scalars()] == [("of later/figure", 5.0)]
