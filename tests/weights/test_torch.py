"""Plain PyTorch checkpoints: recognised by their tensors, loaded strictly, never unpickled."""

from __future__ import annotations

import pickle
import zipfile
from argparse import Namespace
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from striate import weights, zoo
from striate.design import Network
from striate.errors import UnknownName, WeightsError
from striate.layers import build
from striate.weights.checkpoint import renamed
from striate.weights.identify import identify

TORCHVISION = sorted({each for name in weights.names() if (each := weights.entry(name)).url
                      and "torchvision" in each.source}, key=lambda each: each.name)  # fmt: skip


def state(network: Network) -> dict[str, Tensor]:
    """Return tensors of the network's shapes, without memory."""
    return build(network, seed=None).state_dict()


@pytest.fixture(autouse=True)
def drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recognising a file draws every network of the zoo."""
    monkeypatch.setattr(zoo, "network", _network)


_network = cache(zoo.network)


@pytest.mark.parametrize("each", TORCHVISION, ids=lambda each: each.name)
def test_torchvisions_networks_are_known_by_their_tensors(each: weights.Published) -> None:
    """From the file's name and from the tensors alone; a state dict of that list loads strictly."""
    network = zoo.network(each.network)
    tensors = state(network)
    found, _ = identify(tensors, each.file, each.file)
    assert found == network
    assert identify(tensors, each.file, "weights.pth")[0] == network
    contract = each.meaning()
    assert contract.size == network.input_shape[1:]
    assert len(contract.classes) == network.classes
    assert weights.fit(network, {key: torch.zeros(v.shape) for key, v in tensors.items()
                                 if v.numel() < 1000} | {key: v for key, v in tensors.items()
                                 if v.numel() >= 1000}).network == network  # fmt: skip


SAVED: dict[str, Callable[[dict[str, Tensor]], object]] = {
    "plain.pth": lambda held: held,
    "state_dict.pth": lambda held: {"state_dict": held, "epoch": 3},
    "module.pth": lambda held: {f"module.{key}": value for key, value in held.items()},
    # PyTorch's ImageNet example: legacy form, an accuracy that is a tensor, an optimiser's state.
    "model_best.pth.tar": lambda held: {
        "epoch": 90, "best_acc1": torch.tensor(70.0), "optimizer": {"state": {}},
        "state_dict": {f"module.{key}": value for key, value in held.items()},
    },
    # torchvision's references keep their options, others what NumPy computed.
    "options.pth": lambda held: {"model": held, "args": Namespace(lr=0.1), "best": np.float64(7)},
    "lightning.ckpt": lambda held: {"state_dict": {f"model.{k}": v for k, v in held.items()}},
    "no_suffix": lambda held: held,
}  # fmt: skip


@pytest.mark.parametrize("name", [*SAVED, "safe.safetensors"])
def test_every_wrapping(tmp_path: Path, name: str) -> None:
    net = build(zoo.network("resnet20"), seed=1).eval()
    held = {key: value.clone() for key, value in net.state_dict().items()}
    path = tmp_path / name
    if path.suffix == ".safetensors":
        save_file(held, path)
    else:
        zipped = path.suffix != ".tar"
        torch.save(SAVED[name](held), path, _use_new_zipfile_serialization=zipped)
    opened = weights.open(path)
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(opened.load()(x), net(x))
    assert opened.paper.name == "resnet20"
    assert [one.id for one in opened.contract().classes][:2] == ["airplane", "automobile"]
    assert "plain20" in opened.notes[0]


def test_a_checkpoint_without_counters_and_in_half_precision(tmp_path: Path) -> None:
    held = build(zoo.network("resnet20"), seed=1).state_dict()
    old = {k: v.half() for k, v in held.items() if not k.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.th")
    loaded = weights.open(tmp_path / "old.th").load().state_dict()
    assert loaded["conv1.weight"].dtype == torch.float32
    assert torch.equal(loaded["conv1.weight"], held["conv1.weight"].half().float())


def test_every_tensor_that_differs_is_named(tmp_path: Path) -> None:
    held = dict(build(zoo.network("resnet20"), seed=1).state_dict())
    held["extra.weight"] = held.pop("layer1.0.conv1.weight")
    held["layer2.0.bn1.bias"] = torch.zeros(3)
    torch.save(held, tmp_path / "wrong.pth")
    with pytest.raises(WeightsError, match=r"Nearest is resnet20.*--net") as caught:
        weights.open(tmp_path / "wrong.pth")
    assert "no network that is registered" in str(caught.value)
    opened = weights.open(tmp_path / "wrong.pth", network="resnet20")
    with pytest.raises(WeightsError) as caught:
        opened.load()
    said = str(caught.value)
    assert "Missing: layer1.0.conv1.weight." in said
    assert "Unexpected: extra.weight." in said
    assert "Misshapen: layer2.0.bn1.bias (expected (32,), received (3,))." in said


def test_what_lies_beside_a_wrapped_module_is_named(tmp_path: Path) -> None:
    held = {f"model.{k}": v for k, v in build(zoo.network("resnet20"), seed=1).state_dict().items()}
    torch.save({"state_dict": {**held, "loss.weight": torch.ones(10)}}, tmp_path / "l.ckpt")
    with pytest.raises(WeightsError, match=r"resnet20\. Unexpected: loss\.weight\.$"):
        weights.open(tmp_path / "l.ckpt", network="resnet20").load()


@pytest.mark.parametrize("name", ["googlenet_bn", "inception_v3"])
def test_heads_for_training_may_be_gone(name: str) -> None:
    whole = zoo.network(name)
    kept = whole.needed(train=False)
    tensors = {key: v for key, v in state(whole).items() if key.rpartition(".")[0] in kept}
    assert len(tensors) < len(state(whole))
    found, _ = identify(tensors, "a file", "a file")
    assert found.name == name
    assert len(found.outputs) == 1
    assert state(found).keys() == tensors.keys()


def test_programs_are_told_apart(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "s.pt", "w") as file:
        for member in ("s/data.pkl", "s/constants.pkl", "s/code/__torch__.py"):
            file.writestr(member, b"")
    with pytest.raises(WeightsError, match="is a TorchScript program, not tensors"):
        weights.open(tmp_path / "s.pt")


def test_other_classes_need_a_contract(tmp_path: Path) -> None:
    net = build(zoo.network("resnet20", classes=7), seed=1)
    path = tmp_path / "seven.pth"
    torch.save(net.state_dict(), path)
    with pytest.raises(WeightsError, match=r"seven\.pth\.contract\.json"):
        weights.open(path)
    contract = weights.entry("resnet20_cifar10").meaning()
    from striate.records import to_json

    path.with_name("seven.pth.contract.json").write_bytes(
        to_json(contract.replace(classes=contract.classes[:7]))
    )
    assert len(weights.open(path).contract().classes) == 7


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run",)


def test_nothing_is_unpickled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": {"w": torch.zeros(1)}, "harm": Harmful()}, tmp_path / "harm.pth")
    with pytest.raises(WeightsError, match="holds more than tensors"):
        weights.open(tmp_path / "harm.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(WeightsError, match=r"raw\.pth"):
        weights.open(tmp_path / "raw.pth")
    assert "run" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02", b"text"])
def test_damaged_files_are_one_sentence(tmp_path: Path, content: bytes) -> None:
    for suffix in (".pth", ".safetensors", ".h5", ".json.gz", ".tar"):
        path = tmp_path / f"bad{suffix}"
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="bad"):
            weights.open(path)


def test_older_spellings() -> None:
    old = {
        "features.denseblock1.denselayer2.norm.1.weight": torch.zeros(1),
        "features.denseblock1.denselayer2.conv.2.weight": torch.zeros(1),
        "features.module.0.bias": torch.zeros(1),
    }
    assert list(renamed(old)) == [
        "features.denseblock1.denselayer2.norm1.weight",
        "features.denseblock1.denselayer2.conv2.weight",
        "features.0.bias",
    ]


def test_names_are_known_and_near_ones_offered() -> None:
    with pytest.raises(UnknownName, match="resnet18_torchvision"):
        weights.open("resnet18_torchvison")
    for name in weights.names():
        known = weights.entry(name)
        assert known.meaning().classes
        assert known.licence
        assert known.source


def test_a_wrong_file_under_a_published_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "resnet20-12fca82f.th").write_bytes(b"something else")
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path))
    with pytest.raises(WeightsError, match="expected the sha256 12fca82f"):
        weights.open("resnet20_cifar10")
