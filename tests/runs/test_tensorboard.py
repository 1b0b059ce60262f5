"""Event files, read by TensorBoard's own readers, which compare every checksum."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tests.runs.made import make

from striate import runs
from striate.design import Network
from striate.runs.scalars import Scalar
from striate.runs.tensorboard import _records


def read(path: Path) -> EventAccumulator:
    found = EventAccumulator(str(path.parent), size_guidance={"scalars": 0})
    found.Reload()
    return found


def train(run: runs.Run, first: int, last: int, time: float = 1e9) -> None:
    for step in range(first, last + 1):
        line = {"step": step, "epoch": 1, "time": time + step / 8}
        run.append({"kind": "step", "loss": 1 / step, "rate": 0.1, **line})


def test_tensorboard_reads_tags_steps_times_and_values(run: runs.Run, tmp_path: Path) -> None:
    train(run, 1, 300)
    seen = {"step": 300, "epoch": 1, "time": 1e9 + 40}
    run.append({"kind": "validation", "loss": math.nan, "accuracy": 0.75, "best": True, **seen})
    weights = {"blöck.0.conv.weight": {"update": 1e-3}}
    run.append({"kind": "probe", "probe": "layers", "weights": weights, **seen})
    path = runs.write_tensorboard(run, tmp_path / "board")
    assert path.parent == tmp_path / "board" / "run"
    found = read(path)
    assert set(found.Tags()["scalars"]) == {each.tag for each in run.scalars()}
    losses = found.Scalars("step/loss")
    assert [each.step for each in losses] == list(range(1, 301))
    assert [each.wall_time for each in losses] == [1e9 + step / 8 for step in range(1, 301)]
    assert losses[-1].value == pytest.approx(1 / 300, rel=1e-7)
    assert math.isnan(found.Scalars("validation/loss")[0].value)
    accuracy = found.Scalars("validation/accuracy")[0]
    assert (accuracy.wall_time, accuracy.step, accuracy.value) == (1e9 + 40, 300, 0.75)
    assert found.Scalars("layers/weights/blöck.0.conv.weight/update")[0].step == 300
    assert found.file_version == 2.0 and found.FirstEventTimestamp() == 1e9 + 1 / 8


def test_a_run_that_goes_on_is_added_to(run: runs.Run, tmp_path: Path) -> None:
    """A TensorBoard that has the file open goes on reading it where it was."""
    train(run, 1, 5)
    path = runs.write_tensorboard(run, tmp_path)
    before, open_file = path.read_bytes(), EventFileLoader(str(path))
    assert len(list(open_file.Load())) == 1 + 5
    train(run, 6, 9)
    assert runs.write_tensorboard(run, tmp_path) == path
    assert path.read_bytes().startswith(before)
    assert [event.step for event in open_file.Load()] == [6, 7, 8, 9]
    assert runs.write_tensorboard(run, tmp_path).read_bytes() == path.read_bytes()


def test_what_a_resume_has_superseded_goes(run: runs.Run, tmp_path: Path) -> None:
    train(run, 1, 5)
    path = runs.write_tensorboard(run, tmp_path / "board")
    run.append({"kind": "event", "event": "resumed", "step": 3})
    train(run, 4, 6, time=2e9)
    found = read(runs.write_tensorboard(run, tmp_path / "board")).Scalars("step/loss")
    assert [each.step for each in found] == [1, 2, 3, 4, 5, 6]
    assert [each.wall_time > 2e9 for each in found] == [False] * 3 + [True] * 3
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_run_that_has_not_begun_is_a_file_without_scalars(
    network: Network, tmp_path: Path
) -> None:
    found = read(runs.write_tensorboard(make(tmp_path / "new", network), tmp_path / "board"))
    assert found.Tags()["scalars"] == [] and found.file_version == 2.0


FLOAT32 = st.floats(width=32, allow_nan=False)
ROWS = st.builds(
    Scalar,
    tag=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    step=st.integers(0, 2**63 - 1),
    epoch=st.just(1),
    time=st.floats(0, 1e12),
    value=FLOAT32 | st.just(1e300) | st.just(-1e300),
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(ROWS, max_size=20))
def test_any_numbers_come_back(rows: list[Scalar], tmp_path: Path) -> None:
    path = tmp_path / "events.out.tfevents.any"
    path.write_bytes(b"".join(_records(rows)))
    found = [
        (value.tag, event.step, event.wall_time, value.tensor.float_val[0])
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
    ]
    clipped = [
        math.copysign(math.inf, row.value) if abs(row.value) > 1e39 else row.value for row in rows
    ]
    assert found == [
        (row.tag, row.step, row.time, value) for row, value in zip(rows, clipped, strict=True)
    ]


def test_a_spoilt_byte_is_noticed_by_the_checksum(run: runs.Run, tmp_path: Path) -> None:
    """What the tests above rest on: the reader does compare."""
    train(run, 1, 3)
    path = runs.write_tensorboard(run, tmp_path)
    data = bytearray(path.read_bytes())
    data[-8] ^= 1
    path.write_bytes(data)
    assert len(list(EventFileLoader(str(path)).Load())) == 1 + 2
    assert struct.unpack("<Q", data[:8])[0] < len(data)
