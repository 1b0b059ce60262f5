"""Labels for files: the right ones, in order, with bad files named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from striate import inference, progress, runs
from striate.errors import DataError, RunError, UsageError, WeightsError
from striate.inference.predict import find


class Said:
    """A display that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def task(self, what: str, unit: str, total: int | None) -> Said:
        return self

    def advance(self, count: int = 1) -> None: ...

    def close(self) -> None: ...

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_labels_and_probabilities(trained: runs.Run, folder: Path) -> None:
    found = inference.predict(trained, [folder / "blue", folder / "amber" / "03.png"], top=2)
    assert [each.id for each in found] == ["blue"] * 20 + ["amber"]
    assert found[-1].file == str(folder / "amber" / "03.png")
    assert found[-1].label == "Amber"
    assert [guess.id for guess in found[-1].top][0] == "amber" and len(found[-1].top) == 2
    assert found[-1].probability == found[-1].top[0].probability > 0.5


def test_many_files_keep_their_order(trained: runs.Run, folder: Path) -> None:
    paths = sorted(folder.rglob("*.png")) * 1
    found = inference.predict(trained, paths)
    assert [each.file for each in found] == [str(path) for path in paths]
    assert [each.id for each in found] == [path.parent.name for path in paths]


def test_an_image_of_another_size_and_mode_goes_through_the_contract(
    trained: runs.Run, tmp_path: Path
) -> None:
    Image.new("P", (64, 33), 0).save(tmp_path / "palette.png")
    Image.new("RGBA", (5, 90), (0, 0, 255, 255)).save(tmp_path / "blue.webp")
    found = inference.predict(trained, [tmp_path])
    assert {Path(each.file).name: each.id for each in found}["blue.webp"] == "blue"


def test_a_bad_file_is_left_out_and_named(trained: runs.Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("no image at all")
    files = [tmp_path / "bad.jpg", folder / "cyan" / "00.png"]
    said = Said()
    with progress.use(said):
        found = inference.predict(trained, files)
    assert [each.id for each in found] == ["cyan"]
    assert "bad.jpg" in said.lines[0]
    with pytest.raises(DataError, match=r"bad\.jpg"):
        inference.predict(trained, files, strict=True)
    with pytest.raises(DataError, match="None of the files"):
        inference.predict(trained, files[:1])


def test_files_folders_and_globs(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".hidden").mkdir()
    for name in ("b.PNG", "a.jpeg", ".hidden/c.png"):
        (tmp_path / name).touch()
    assert find([tmp_path]) == (tmp_path / "a.jpeg", tmp_path / "b.PNG")
    assert find([f"{folder}/*/00.png"]) == tuple(
        folder / c / "00.png" for c in sorted(path.name for path in folder.iterdir())
    )
    assert len(find([f"{folder}/**/*.png", folder])) == 60, "once each"
    assert find([tmp_path / "notes.txt"]) == (tmp_path / "notes.txt",), "named on its own"


@pytest.mark.parametrize("missing", ["nowhere.png", "nowhere/*.png"])
def test_what_matches_nothing_is_named(missing: str) -> None:
    with pytest.raises(DataError, match="There is no file.*nowhere"):
        find([missing])


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image file in the folder"):
        find([tmp_path])


def test_a_run_without_weights_says_what_to_do(trained: runs.Run, folder: Path) -> None:
    trained.weights.unlink()
    with pytest.raises(RunError, match="no weights yet.*striate train --resume"):
        inference.predict(trained, [folder])


def test_damaged_weights_are_named(trained: runs.Run, folder: Path) -> None:
    whole = trained.weights.read_bytes()
    trained.weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        inference.predict(trained, [folder])


def test_another_networks_weights_are_named(make_run: Callable[..., runs.Run]) -> None:
    from safetensors.torch import load_file, save_file

    from striate import zoo
    from striate.layers import build

    run = make_run()
    tensors = load_file(run.weights)
    first = next(iter(tensors))
    save_file({"strange": tensors[first]}, run.weights)
    with pytest.raises(WeightsError, match=f"lacks .*{first}.* and has strange"):
        inference.load(run)
    other = zoo.network("softmax", classes=5, input=(3, 16, 16))
    save_file(build(other).state_dict(), run.weights)
    with pytest.raises(WeightsError, match="for 5 outputs, not 3"):
        inference.load(run)


def test_weights_of_another_run_of_the_same_network_are_named(
    make_run: Callable[..., runs.Run],
) -> None:
    from safetensors.torch import load_file, save_file

    run = make_run()
    save_file(load_file(run.weights), run.weights, {"run": "0123456789abcdef" * 4})
    with pytest.raises(WeightsError, match="another run of the same .*received 0123456789abcdef"):
        inference.load(run)


def test_an_absent_device_is_refused(trained: runs.Run, folder: Path) -> None:
    with pytest.raises(UsageError, match="device='cuda:9'"):
        inference.predict(trained, [folder], device="cuda:9")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(DataError, match=r"pipe\.jpg is no regular file"):
        find([tmp_path / "pipe.jpg"])
