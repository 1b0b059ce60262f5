"""What the page answers is what the rooms below it say."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from striate import design, explain, inference, runs
from striate.inference import PixelNet
from striate.web import Page

RUN = "/api/runs/digits-001"


def ask(client: httpx.Client, path: str, **query: Any) -> Any:
    answer = client.get(f"{RUN}/{path}" if path else RUN, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def pixels(uri: str) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_runs_are_found_below_the_folder(client: httpx.Client) -> None:
    found = {each["name"]: each for each in client.get("/api/runs").json()}
    assert set(found) == {"digits-001", "below~digits-002"}
    assert found["digits-001"]["state"] == "finished"
    assert found["digits-001"]["test"]["accuracy"] > 0.9
    assert len(found["digits-001"]["curve"]) == 3


def test_a_run_brings_its_figures_and_settings(client: httpx.Client, folder: Path) -> None:
    told = ask(client, "")
    results = runs.open(folder / "runs" / "digits-001").results()
    assert results is not None
    assert told["results"] == results["test"]
    assert told["settings"]["epochs"] == 3
    assert len(told["labels"]) == 10


def test_the_whole_history_comes_as_events(client: httpx.Client) -> None:
    with client.stream("GET", f"{RUN}/events") as stream:
        text = "".join(stream.iter_text())
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    lines = [line for event in events for line in event.get("lines", [])]
    assert text.endswith("event: end\ndata: {}\n\n")
    assert sum(line["kind"] == "validation" for line in lines) == 3
    assert not {"probe"} & {line["kind"] for line in lines}
    assert events[0]["state"] == "finished"


def test_the_doctor_is_asked(client: httpx.Client) -> None:
    assert isinstance(ask(client, "findings"), list)


def test_the_network_is_that_of_the_sheet(page: Page, client: httpx.Client) -> None:
    network = page.shelf.run("digits-001").network()
    told, sheet = ask(client, "network"), design.sheet(network).document()
    assert told["totals"]["parameters"] == sheet["totals"]["parameters"]
    assert [row["macs"] for row in told["layers"]] == [row["macs"] for row in sheet["layers"]]
    assert told["drawing"].startswith("<svg")


def test_fields_are_the_exact_crops(page: Page, client: httpx.Client) -> None:
    network = page.shelf.run("digits-001").network()
    layer = next(name for name, shape in reversed(network.shapes().items()) if len(shape) == 3)
    told = ask(client, "fields", layer=layer)
    for row, top in enumerate(told["rows"]):
        for column, left in enumerate(told["columns"]):
            box = design.crop(network, layer, (row, column))
            assert [list(span) for span in box] == [top, left]


def test_activations_are_those_of_explain(page: Page, client: httpx.Client) -> None:
    opened = page.shelf.open("digits-001")
    layer = next(row["name"] for row in ask(client, "network")["layers"] if row["filters"])
    told = ask(client, "activations", layer=layer, image="test:3")
    image = opened.sample("test", 3)
    found = explain.activations(opened.net("quick"), opened.contract, image, layer)
    assert told["shape"] == list(found.values.shape)
    assert told["peaks"] == pytest.approx(found.values.max((1, 2)).tolist())
    atlas = told["atlas"]
    high, wide = atlas["tile"]
    sheet = Image.open(io.BytesIO(base64.b64decode(atlas["png"].partition(",")[2])))
    levels = np.asarray(sheet)  # places in the palette
    for channel in (0, len(found.values) - 1):
        row, column = divmod(channel, atlas["columns"])
        tile = levels[row * high : (row + 1) * high, column * wide : (column + 1) * wide]
        share = found.values[channel] / (2 * atlas["high"]) + 0.5
        wanted = np.clip(share if atlas["signed"] else 2 * share - 1, 0, 1) * 255
        assert np.abs(tile - wanted).max() <= 1


def test_filters_are_those_of_explain(page: Page, client: httpx.Client) -> None:
    net = page.shelf.open("digits-001").net("quick")
    found = explain.filters(net)
    told = ask(client, "filters", layer=found.layer)
    shown = pixels(told["atlas"]["png"])
    high, wide = told["atlas"]["tile"]
    first = (255 * found.pictures[0][..., 0]).round()
    assert np.array_equal(shown[:high, :wide], first.astype(np.uint8))
    assert told["shape"] == list(found.weights.shape)


def test_a_unit_has_patches_and_a_wish(page: Page, client: httpx.Client) -> None:
    layer = next(row["name"] for row in ask(client, "network")["layers"] if row["filters"])
    told = ask(client, "patches", layer=layer, channel=2)
    values = [each["value"] for each in told["patches"]]
    assert values == sorted(values, reverse=True)
    assert all(each["drift"] < 1e-4 for each in told["patches"])
    wish = ask(client, "wish", layer=layer, channel=2)
    assert wish["answer"] > wish["start"]


def test_a_class_has_whole_images_for_patches(page: Page, client: httpx.Client) -> None:
    output = page.shelf.run("digits-001").network().outputs[0].source
    told = ask(client, "patches", layer=output, channel=7)
    assert len(told["patches"]) == 9
    assert all(each["box"] == [[0, 8], [0, 8]] for each in told["patches"])
    assert pixels(told["patches"][0]["pixels"]).shape[:2] == (8, 8)


def test_a_class_may_be_wished_for(page: Page, client: httpx.Client) -> None:
    output = page.shelf.run("digits-001").network().outputs[0].source
    assert ask(client, "wish", layer=output, channel=7)["probability"] > 0.5


def test_the_answer_is_that_of_the_network(page: Page, client: httpx.Client) -> None:
    opened = page.shelf.open("digits-001")
    seen = PixelNet(opened.net("quick"), opened.contract)
    likely = seen(opened.sample("test", 5)[None]).softmax(1)[0]
    top = ask(client, "answer", image="test:5")["top"]
    assert [each["class"] for each in top] == likely.argsort(descending=True)[:5].tolist()
    assert top[0]["probability"] == pytest.approx(float(likely.max()), abs=1e-6)


def test_a_dropped_picture_is_predicted_as_by_the_command(
    client: httpx.Client, folder: Path, tmp_path: Path
) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)
    file = tmp_path / "own.png"
    Image.fromarray(picture).save(file)
    dropped = client.post("/api/pictures", content=file.read_bytes()).json()["image"]
    top = ask(client, "answer", image=dropped)["top"]
    found = inference.predict(folder / "runs" / "digits-001", [file])[0]
    assert [each["id"] for each in top] == [each.id for each in found.top]
    assert top[0]["probability"] == pytest.approx(found.probability, abs=1e-4)


@pytest.mark.parametrize("method", ["saliency", "grad_cam", "occlusion"])
def test_maps_come_with_their_validity(client: httpx.Client, method: str) -> None:
    query = {"image": "test:1", "method": method, "class": 3}
    told = ask(client, "map", **query)
    assert pixels(told["overlay"]).shape == (8, 8, 3)
    tested = ask(client, "validity", **query)
    assert tested["believable"] == (not tested["reasons"])
    assert ("covered" in told) == (method == "occlusion")


def test_an_attack_of_nothing_changes_nothing_and_a_large_one_fools(client: httpx.Client) -> None:
    clean = ask(client, "answer", image="test:0")["top"]
    assert ask(client, "attack", image="test:0", kind="fgsm", eps=0)["top"] == clean
    fooled = ask(client, "attack", image="test:0", kind="pgd", eps=0.4)
    assert fooled["top"][0]["class"] != clean[0]["class"]
    assert fooled["largest"] <= 0.4 + 1e-6


def test_a_picture_of_the_data_is_found_by_its_id(client: httpx.Client) -> None:
    name = ask(client, "samples", count=3)["ids"][2]
    by_id = client.get(f"{RUN}/sample", params={"id": name})
    by_index = client.get(f"{RUN}/sample", params={"index": 2})
    assert by_id.content == by_index.content
    assert by_id.headers["content-type"] == "image/png"


def test_networks_are_closed_by_last_use(page: Page) -> None:
    first = page.shelf.open("digits-001")
    page.shelf.open("below~digits-002")
    assert page.shelf.open("digits-001") is first
    from striate.web import shelf

    before, shelf._MOST_NETS = shelf._MOST_NETS, 1
    try:
        page.shelf.open("below~digits-002")
        page.shelf._open.pop("below~digits-002")
        page.shelf.open("below~digits-002")
        assert list(page.shelf._open) == ["below~digits-002"]
    finally:
        shelf._MOST_NETS = before


# -- design ----------------------------------------------------------------------------------------


def test_notation_becomes_sheet_and_drawing(client: httpx.Client) -> None:
    told = client.post("/api/design", json={"text": "INPUT 32x32x3 conv3-8 pool FC-10"}).json()
    assert told["network"]["totals"]["parameters"] == 3 * 9 * 8 + 8 + 8 * 256 * 10 + 10
    assert "<svg" in told["network"]["drawing"]


def test_a_mistake_in_notation_points_at_the_character(client: httpx.Client) -> None:
    text = "INPUT 32x32x3\nconv3-8 pol FC-10"
    error = client.post("/api/design", json={"text": text}).json()["error"]
    assert (error["line"], error["column"]) == (2, 9)
    assert "^" not in error["message"]


def test_typing_a_path_reads_no_file(client: httpx.Client, folder: Path) -> None:
    for text in (str(folder / "secret.json"), "../secret.txt", "file:///etc/passwd", "/etc/passwd"):
        answer = client.post("/api/design", json={"text": text})
        assert answer.status_code == 200
        assert "error" in answer.json()
        assert "nobody" not in answer.text
        assert "root:" not in answer.text
