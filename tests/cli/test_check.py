"""`striate check`: its document, its text, its exit code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

FIELDS = {"check", "measured", "expected", "band", "verdict", "meaning", "fix"}


def test_healthy_data_and_network(run: Callable[..., Any]) -> None:
    ended = run("check", "digits", "--json")
    document = json.loads(ended.out)
    assert ended.code == 0 and document["verdict"] in ("pass", "warn")
    assert document["data"]["classes"] == 10
    assert all(each.keys() == FIELDS for each in document["preflight"])
    assert "overfits few" in ended.err


def test_a_fault_fails_and_says_what_to_do(run: Callable[..., Any]) -> None:
    ended = run("check", "--set", "preprocessing.mean=[-100]", "--set", "preprocessing.std=[1]")
    assert ended.code == 1
    assert "fail: image statistics: expected channel means near 0" in ended.out
    assert "To do: normalise with the mean and deviation of these images" in ended.out


def test_the_network_is_on_the_page_too_and_its_numbers_have_units(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    ended = run("check", "digits", "--net", "softmax", "--out", tmp_path / "found")
    (line,) = [each for each in ended.out.splitlines() if "regularised loss" in each]
    assert re.search(r"\d nats of penalty +above 0 ", line)
    html = (tmp_path / "found" / "index.html").read_text("utf-8")
    assert "with softmax</h2>" in html and "nats of penalty</td><td>above 0</td>" in html


def test_an_empty_class_is_reported_and_no_network_is_tried(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    for number, name in enumerate("aabb"):
        (tmp_path / name).mkdir(exist_ok=True)
        Image.new("L", (9, 9), 60 * number).save(tmp_path / name / f"{number}.png")
    (tmp_path / "empty").mkdir()
    ended = run("check", tmp_path)
    assert ended.code == 1 and "pass  hidden or empty" in ended.out
    assert "received none that can be used of empty: add some" in ended.out
    assert "The network was not looked at" in ended.out
    refused = run("train", tmp_path)
    assert refused.code == 2 and "received none that can be used of empty" in refused.err


def test_wrong_usage_is_a_sentence(run: Callable[..., Any]) -> None:
    ended = run("check", "digits", "--net", "resnet21x")
    assert ended.code == 2 and "Did you mean" in ended.err


def test_a_run_is_checked_by_its_own_recipe(run: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    made = ("digits", "--net", "softmax", "--epochs", 1, "--no-check", "--out", folder)
    assert run("train", *made).code == 0
    ended = run("check", "--run", folder, "--json", "--folds", 2)
    document = json.loads(ended.out)
    assert {"run", "folds", "preflight"} <= document.keys()
    assert "with softmax" in ended.err and "2 times softmax" in ended.err
    assert document["folds"]["images"] == 1797  # those of all parts
    refused = run("check", "--run", folder, "--net", "lenet")
    assert refused.code == 2 and "leave out --recipe, --net and --size" in refused.err


def test_a_learning_rate_is_suggested_on_request(run: Callable[..., Any], tmp_path: Path) -> None:
    asked = ("check", "digits", "--net", "conv3-8 relu maxpool FC-10", "--rate-range")
    ended = run(*asked, "--json", "--out", tmp_path)
    found = json.loads(ended.out)["rate_range"]
    assert ended.code == 0
    assert found["learns_from"] < found["suggested"] < found["blows_up"]
    assert f"learning rate: start from {found['suggested']:.2g}; the loss falls" in ended.err
    drawn = (tmp_path / "rate_range.svg").read_text()
    assert "it learns from here" in drawn and "it blows up" in drawn
    refused = run(*asked, "--only-data")
    assert refused.code == 2 and "leave out --only-data" in refused.err


def test_where_no_rate_helps_the_checks_are_said_all_the_same(run: Callable[..., Any]) -> None:
    asked = ("check", "digits", "--net", "softmax", "--rate-range", "--json")
    ended = run(*asked, "--set", "preprocessing.mean=[0]", "--set", "preprocessing.std=[1e12]")
    document = json.loads(ended.out)
    assert ended.code == 1 and document["rate_range"] is None and document["preflight"]
    assert "No learning rate to suggest. The loss never fell" in ended.err
