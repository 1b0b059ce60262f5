"""Monte Carlo prediction from files, and checkpoints of a run that answer beside it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate import data, inference, train
from striate.data.samples import ArraySamples
from striate.design import Sketch
from striate.errors import UsageError, WeightsError
from striate.train import Recipe


def recipe(drop: bool = True) -> Recipe:
    pen = Sketch("doubting", (1, 8, 8))
    pen.flatten()
    pen.linear("fc1", 32)
    pen.relu("relu1")
    if drop:
        pen.dropout("drop", 0.5)
    pen.linear("classifier", 10)
    return Recipe(
        name="doubting",
        network=pen.finish(),
        data=train.DataChoice(path="digits", test=0.3, validation=0.2),
        preprocessing=train.Preprocessing(channels="grey", size=(8, 8)),
        optimiser=train.SGD(rate=0.05),
        epochs=3,
        workers=0,
        device="cpu",
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("doubts") / "run"
    train.train(recipe(), out=path, plan="default")
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("files")
    whole = data.open("digits").parts["all"]
    assert isinstance(whole, ArraySamples)
    for number in range(40):
        Image.fromarray(whole.images[number][..., 0]).save(folder / f"{number:02}.png")
    return sorted(folder.iterdir())


def test_draws_say_how_sure_an_answer_is(run: Path, files: list[Path]) -> None:
    first, again = (inference.predict(run, files, monte_carlo=8, seed=1) for _ in range(2))
    other = inference.predict(run, files, monte_carlo=8, seed=2)
    assert first == again != other
    for each in first:
        assert each.doubts is not None and each.doubts.draws == 8
        assert 0 <= each.doubts.disagreement <= each.doubts.entropy <= np.log(10)
        assert each.doubts.deviation >= 0
    plain = inference.predict(run, files)
    assert all(each.doubts is None for each in plain)
    agreed = np.mean([a.id == b.id for a, b in zip(first, plain, strict=True)])
    assert agreed > 0.8


def test_a_net_without_dropout_is_refused(tmp_path: Path, files: list[Path]) -> None:
    train.train(recipe(drop=False), out=tmp_path / "run", plan="default")
    with pytest.raises(UsageError, match="Expected a network with dropout"):
        inference.predict(tmp_path / "run", files, monte_carlo=4)


def test_the_command(run: Path, files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    from striate.cli.main import main

    with pytest.raises(SystemExit) as ended:
        main(["predict", str(run), str(files[0]), "--monte-carlo", "4", "--json"])
    (found,) = json.loads(capsys.readouterr().out)
    assert not ended.value.code and found["doubts"]["draws"] == 4
    with pytest.raises(SystemExit):
        main(["predict", str(run), str(files[0]), "--monte-carlo", "4"])
    assert "deviation" in capsys.readouterr().out


def test_checkpoints_of_a_run_answer_beside_it(run: Path) -> None:
    saved = sorted((run / "checkpoints").iterdir())
    assert len(saved) == 2
    alone = inference.evaluate(inference.open_model(saved[-1]), data.open("digits")).test
    assert 0 < alone.accuracy <= 1
    found = inference.evaluate_ensemble([run, *saved])
    assert [Path(each.run).parent.name for each in found.members[1:]] == [s.name for s in saved]
    last = inference.load(inference.open_model(saved[-1])).state_dict()
    earlier = inference.load(inference.open_model(saved[0])).state_dict()
    assert any(not value.equal(earlier[name]) for name, value in last.items())


def test_a_cut_checkpoint_is_one_sentence(run: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(run, tmp_path / "run")
    file = sorted((tmp_path / "run" / "checkpoints").iterdir())[-1] / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(WeightsError, match="no whole safetensors file"):
        inference.open_model(file.parent)
