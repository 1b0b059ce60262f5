"""`striate augment`: what is drawn, and what is said where nothing can be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_the_sheet_names_what_mixes_images(
    run: Callable[..., Any], tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "sheet.svg"
    made = ("--set", f"objective={kind}", "--set", "augmentation=[]", "--images", 2, "--out", out)
    ended = run("augment", "digits", *made, "--json")
    assert ended.code == 0 and json.loads(ended.out)["objective"]["kind"] == kind
    assert f"What is changed: {kind.title()}<" in out.read_text()


def test_a_run_shows_its_own_images_as_its_recipe_changed_them(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    how = ("--epochs", 1, "--set", 'augmentation=[{"kind":"affine","rotate_degrees":180}]')
    assert run("train", "digits", "--out", tmp_path / "own", *how).code == 0
    of_run = run("augment", tmp_path / "own", "--out", tmp_path / "a.svg", "--json")
    of_recipe = run(
        *("augment", "digits", "--recipe", tmp_path / "own" / "recipe.json"),
        *("--out", tmp_path / "b.svg"),
    )
    assert of_run.code == of_recipe.code == 0
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert json.loads(of_run.out)["augmentation"][0]["rotate_degrees"] == 180
    twice = run("augment", tmp_path / "own", "--recipe", "tiny_images")
    assert twice.code == 2 and "fixes the recipe: leave out --recipe" in twice.err
    for command in ("train", "check"):
        ended = run(command, tmp_path / "own")
        assert ended.code == 2 and "Traceback" not in ended.err
        assert f"received the run {tmp_path / 'own'}, whose own data is digits" in ended.err


def test_a_picture_of_another_kind_is_refused(run: Callable[..., Any], tmp_path: Path) -> None:
    ended = run("augment", "digits", "--out", tmp_path / "sheet.bmp")
    assert ended.code == 2 and "Traceback" not in ended.err
    assert "Expected a picture's path that ends in .png or .svg" in ended.err
