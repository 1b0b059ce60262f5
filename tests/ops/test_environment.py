"""Each mismatch is found where it is and nowhere else."""

import pytest

from striate.ops import Environment, environment
from striate.ops import environment as describe
from striate.ops.environment import (
    data_folder,
    gpu_out_of_reach,
    gpu_too_new,
    numba_cache,
    threads_unlike_cores,
    too_old,
    torchvision_for_another_torch,
    unwritable,
)
from striate.records import from_json, to_json


def _one(found):
    (mismatch,) = found
    return mismatch


def test_the_environment_is_a_document():
    found = environment()
    assert found.packages["torch"] and found.machine.cores >= 1
    assert found.verdict in ("pass", "warn", "fail")
    assert from_json(Environment, to_json(found)) == found


def test_a_folder_that_cannot_be_written_reaches_the_verdict(tmp_path):
    (tmp_path / "file").touch()
    found = describe(tmp_path / "file" / "runs")
    assert found.verdict != "pass"
    assert "the runs folder" in [each.what for each in found.mismatches]


@pytest.mark.parametrize("version", ["2.11.0", "2.13.0+cpu", "2.11", "3.0.0a0+git1"])
def test_new_enough(version):
    assert not list(too_old({"torch": "2.11"}, {"torch": version}.get))


@pytest.mark.parametrize("version", ["2.10.1", "1.13.1+cu117", None])
def test_too_old(version):
    mismatch = _one(too_old({"torch": "2.11"}, {"torch": version}.get))
    assert mismatch.severity == "fail"
    assert mismatch.fix == 'pip install "torch>=2.11"'


def test_torchvision_for_another_torch():
    pins = {"torch": "2.12.0"}
    same = {"torch": "2.12.0+cpu", "torchvision": "0.27.0"}.get
    other = {"torch": "2.13.0", "torchvision": "0.27.0"}.get
    assert not list(torchvision_for_another_torch(pins, same))
    assert not list(torchvision_for_another_torch({}, other))
    mismatch = _one(torchvision_for_another_torch(pins, other))
    assert "torchvision 0.27.0 for torch 2.12.0, torch 2.13.0" in mismatch.found


def test_threads_and_cores():
    assert not list(threads_unlike_cores(4, 4, {"OMP_NUM_THREADS": "4"}))
    assert not list(threads_unlike_cores(4, 8, {}))  # one a core, not a hyper-thread
    fewer = _one(threads_unlike_cores(1, 8, {"OMP_NUM_THREADS": "1"}))
    assert fewer.fix == "unset OMP_NUM_THREADS" and "1 of 8" in fewer.meaning
    more = _one(threads_unlike_cores(16, 2, {}))
    assert more.fix == "export OMP_NUM_THREADS=2" and "slower" in more.meaning


def test_a_card_out_of_reach():
    assert not list(gpu_out_of_reach(False, False, None))
    assert not list(gpu_out_of_reach(True, True, "13.0"))
    assert "with CUDA" in _one(gpu_out_of_reach(True, False, None)).fix
    assert "driver" in _one(gpu_out_of_reach(True, False, "13.0")).fix


@pytest.mark.parametrize(
    ("card", "kernels", "fits"),
    [
        (None, (), True),
        ("sm_90", ("sm_80", "sm_90"), True),
        ("sm_90", ("sm_80", "sm_90a"), True),
        ("sm_86", ("sm_80",), True),
        ("sm_80", ("sm_86",), False),
        ("sm_120", ("sm_80", "sm_90"), False),
        ("sm_120", ("sm_90", "compute_90"), True),
    ],
)
def test_kernels_for_the_card(card, kernels, fits):
    assert (not list(gpu_too_new(card, kernels))) == fits


def test_numba_needs_a_place(tmp_path):
    (tmp_path / "file").touch()
    assert not list(numba_cache(tmp_path, {}))
    mismatch = _one(numba_cache(tmp_path, {"NUMBA_CACHE_DIR": str(tmp_path / "file" / "x")}))
    assert "NUMBA_CACHE_DIR" in mismatch.fix


def test_folders(tmp_path):
    (tmp_path / "file").touch()
    assert not list(unwritable(tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()
    assert list(unwritable(tmp_path / "file"))
    assert not list(data_folder({}))
    assert not list(data_folder({"STRIATE_DATA": str(tmp_path)}))
    assert "nowhere" in _one(data_folder({"STRIATE_DATA": str(tmp_path / "nowhere")})).found
