import pytest
import torch

from striate.errors import UsageError
from striate.ops import choose_device, machine
from striate.ops.machine import _quota


def test_the_machine_is_torchs():
    found = machine()
    assert found.threads == torch.get_num_threads()
    assert found.vector_bits in (128, 256, 512)


def test_devices_by_name():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for absent in ("gpu", "cuda:99", "tpu"):
        with pytest.raises(UsageError, match=f"auto, cpu.*device='{absent}'"):
            choose_device(absent)


@pytest.mark.parametrize(
    ("text", "cpus"), [("max 100000", None), ("200000 100000", 2), ("150000 100000", 2), ("", None)]
)
def test_a_containers_quota(tmp_path, text, cpus):
    (tmp_path / "cpu.max").write_text(text)
    assert _quota(tmp_path / "cpu.max") == cpus
    assert _quota(tmp_path / "absent") is None
