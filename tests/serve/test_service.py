"""What a request is answered, whatever is in it."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from tests.serve.conftest import CLASSES, picture

from striate import inference
from striate.errors import RunError, UsageError
from striate.inference import open_model
from striate.serve import Limits, bodies, door
from striate.serve.answers import Answerer
from striate.serve.app import Service
from striate.serve.batcher import Batcher
from striate.serve.journal import Journal
from striate.serve.refusal import Refusal

Client = httpx.AsyncClient


def serving(
    bundle: Path, talk: Callable[[Client, Service], Awaitable[None]], **options: Any
) -> list[dict[str, Any]]:
    """Let a client talk to a service in this process; return the log."""
    log = io.StringIO()
    limits = options.pop("limits", Limits(batch=4))
    answerer = options.pop("answerer", None)
    if answerer is None:
        answerer = Answerer(open_model(bundle), torch.device("cpu"), {1: {}, limits.batch: {}})
    service = Service(answerer, limits, journal=Journal(stream=log), cores=2, **options)

    async def whole() -> None:
        await service.start()
        try:
            transport = httpx.ASGITransport(service)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                await talk(client, service)
        finally:
            service.stop()

    asyncio.run(whole())
    entries = [json.loads(line) for line in log.getvalue().splitlines()]
    assert not [each for each in entries if each["event"] == "bug"]
    return entries


def test_every_form_of_a_request_is_answered_as_predict_answers(
    bundle: Path, tmp_path: Path
) -> None:
    contents = [picture(0), picture(1, "jpeg"), picture(2, "webp", (31, 90))]
    paths = [tmp_path / f"{place}.{kind}" for place, kind in enumerate(("png", "jpg", "webp"))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    expected = inference.predict(bundle, paths, top=2, device="cpu")
    texts = [base64.b64encode(each).decode() for each in contents]

    async def talk(client: Client, service: Service) -> None:
        form = [("image", (path.name, path.read_bytes())) for path in paths]
        answers = [
            (await client.post("/predict?top=2", files=form)).json(),
            (await client.post("/predict", files=form, data={"top": "2"})).json(),
            (await client.post("/predict", json={"images": texts, "top": 2})).json(),
            (
                await client.post(
                    "/predict?top=2",
                    json={
                        "images": [
                            {"name": path.name, "data": f"data:image/png;base64,{text}"}
                            for path, text in zip(paths, texts, strict=True)
                        ]
                    },
                )
            ).json(),
        ]
        for content in contents:
            answers.append((await client.post("/predict?top=2", content=content)).json())
        answers[4]["predictions"] += [answers[place]["predictions"][0] for place in (5, 6)]
        assert [each["file"] for each in answers[0]["predictions"]] == [p.name for p in paths]
        for answer in answers[:5]:
            assert answer["contract"] == open_model(bundle).contract().digest
            for found, wanted in zip(answer["predictions"], expected, strict=True):
                assert (found["id"], found["label"]) == (wanted.id, wanted.label)
                assert found["probability"] == pytest.approx(wanted.probability, abs=1e-6)
                assert [each["id"] for each in found["top"]] == [each.id for each in wanted.top]

    entries = serving(bundle, talk)
    assert [each["status"] for each in entries] == [200] * 7
    assert {each["images"] for each in entries} == {1, 3}
    assert not any(text[:40] in json.dumps(entries) for text in texts)


MISTAKES = [
    (b"", "image/png", 400, "received an empty one. Send a file's bytes"),
    (b"no image", "image/png", 422, "of no known format. Send a file's bytes, as the body (curl"),
    (b"image=x", "application/x-www-form-urlencoded", 422, "curl -F image=@photo.jpg"),
    (picture()[:200], "image/png", 422, "cut short or damaged"),
    (b"{", "application/json", 400, "no JSON document"),
    (b"[" * 100_000, "application/json", 400, "no JSON document"),
    (b"[]", "application/json", 400, "BASE64"),
    (b'{"imge": "aa"}', "application/json", 400, "Did you mean image"),
    (b'{"image": "aa", "images": []}', "application/json", 400, "one of image and images"),
    (b'{"images": []}', "application/json", 400, "at least one image"),
    (b'{"images": 3}', "application/json", 400, "as a list"),
    (b'{"image": "%%%"}', "application/json", 400, "in base64"),
    (b'{"image": 1}', "application/json", 400, "as text in base64"),
    (b'{"image": "aGFsbG8=", "top": -1}', "application/json", 400, "top from 1 to"),
    (b'{"image": "aGFsbG8="}', "application/json", 422, "image 1 is not an image"),
    (b"x", "multipart/form-data", 400, "a boundary"),
    (b"x", "multipart/form-data; boundary=b", 400, "no multipart form"),
    (b"--b\r\n\r\nx", "multipart/form-data; boundary=b", 400, "cut short"),
    (b"--b--\r\n", "multipart/form-data; boundary=b", 400, "at least one image"),
]


def test_a_mistake_is_a_sentence(bundle: Path) -> None:
    async def talk(client: Client, service: Service) -> None:
        for content, kind, status, said in MISTAKES:
            answer = await client.post("/predict", content=content, headers={"content-type": kind})
            assert answer.status_code == status, answer.text
            assert said in answer.json()["error"]["message"]

    serving(bundle, talk)


def test_what_is_computed_to_warm_up_is_not_counted(bundle: Path) -> None:
    async def talk(client: Client, service: Service) -> None:
        before = (await client.get("/metrics")).text
        assert "striate_batch_images_count 0\n" in before
        assert "striate_engine_seconds_total 0\n" in before
        for seed in range(3):
            answer = await client.post("/predict", content=picture(seed))
            assert answer.status_code == 200
        page = (await client.get("/metrics")).text
        for line in ("images_total 3", "batch_images_sum 3", "batch_images_count 3"):
            assert f"striate_{line}\n" in page

    serving(bundle, talk)


def test_limits_of_bytes_pixels_images_and_time(bundle: Path) -> None:
    limits = Limits(batch=4, body_bytes=20_000, pixels=50 * 40, images=2, seconds=0.3)

    async def slow() -> Any:
        yield b"x"
        await asyncio.sleep(2)

    async def talk(client: Client, service: Service) -> None:
        text = base64.b64encode(picture()).decode()
        for answer, status, said in (
            (await client.post("/predict", content=b"x" * 20_001), 413, "20,000 bytes"),
            (await client.post("/predict", content=picture(size=(51, 40))), 413, "of 51x40"),
            (await client.post("/predict", content=picture(size=(1, 900))), 413, "scaled to"),
            (await client.post("/predict", json={"images": [text[:8]] * 3}), 413, "received 3"),
            (await client.post("/predict", content=slow()), 408, "0.3 seconds"),
        ):
            assert answer.status_code == status, answer.text
            assert said in answer.json()["error"]["message"]
        assert (await client.post("/predict", content=picture())).status_code == 200

    serving(bundle, talk, limits=limits)


def test_who_has_no_key_learns_nothing(bundle: Path) -> None:
    async def talk(client: Client, service: Service) -> None:
        for headers, status in (
            ({}, 401),
            ({"x-api-key": "a wrong key"}, 401),
            ({"authorization": "Basic correct horse"}, 401),
            ({"authorization": "Bearer correct horse"}, 200),
            ({"x-api-key": "correct horse"}, 200),
        ):
            answer = await client.post("/predict", content=picture(), headers=headers)
            assert answer.status_code == status
            assert (await client.get("/metrics", headers=headers)).status_code == status
        for path in ("/health", "/ready", "/docs", "/openapi.json"):
            assert (await client.get(path)).status_code == 200

    entries = serving(bundle, talk, key="correct horse")
    assert "correct horse" not in json.dumps(entries)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "example.org"])
def test_other_machines_need_a_key(host: str) -> None:
    with pytest.raises(UsageError, match="--api-key"):
        door.check(host, None)
    door.check(host, "long enough")
    for local in ("127.0.0.1", "localhost", "::1"):
        door.check(local, None)


class Held:
    """A network that computes when it is let."""

    def __init__(self, inner: Answerer) -> None:
        self._inner, self.sizes = inner, []
        self.gate = threading.Event()
        self.gate.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __call__(self, images: Any) -> Any:
        assert self.gate.wait(20)
        self.sizes.append(len(images))
        return self._inner(images)


@contextmanager
def held(bundle: Path) -> Iterator[Held]:
    yield Held(Answerer(open_model(bundle), torch.device("cpu"), {1: {}, 4: {}}))


def test_what_waits_is_computed_together_and_what_would_wait_too_long_is_sent_away(
    bundle: Path,
) -> None:
    with held(bundle) as net:

        async def talk(client: Client, service: Service) -> None:
            net.sizes.clear()
            net.gate.clear()
            assert service.batcher is not None
            service.batcher.pace = 1.0  # a slow network, as far as anybody knows
            asked = [
                asyncio.create_task(client.post("/predict", content=picture(each)))
                for each in range(20)
            ]
            while service.room.images > 8 or sum(each.done() for each in asked) < 12:
                await asyncio.sleep(0.01)
            assert (await client.get("/health")).status_code == 200
            net.gate.set()
            answers = [await each for each in asked]
            codes = [each.status_code for each in answers]
            assert sorted(set(codes)) == [200, 503] and codes.count(200) == 8
            late = next(each for each in answers if each.status_code == 503)
            assert int(late.headers["retry-after"]) >= 1 and "busy" in late.text
            assert sum(net.sizes) == 8 and max(net.sizes) == 4
            assert (await client.post("/predict", content=picture())).status_code == 200
            assert service.room.images == 0 and service.room.held_bytes == 0
            page = (await client.get("/metrics")).text
            assert 'striate_requests_total{code="503"} 12' in page
            assert "striate_pending_images 0" in page

        serving(bundle, talk, answerer=net, engines=1)


def test_nobody_waits_longer_than_said(bundle: Path) -> None:
    with held(bundle) as net:

        async def talk(client: Client, service: Service) -> None:
            net.gate.clear()
            answer = await client.post("/predict", content=picture())
            assert answer.status_code == 503 and "in time" in answer.text
            net.gate.set()

        serving(bundle, talk, answerer=net, limits=Limits(batch=4, seconds=0.2))


def test_damaged_weights_are_said_before_anybody_asks(bundle: Path) -> None:
    answerer = Answerer(open_model(bundle), torch.device("cpu"), {1: {}})
    wrong = Held(answerer)
    wrong._inner = lambda images: (_ for _ in ()).throw(RunError("not finite"))  # type: ignore
    wrong.prepare, wrong.blank = answerer.prepare, answerer.blank
    wrong.contract, wrong.device = answerer.contract, answerer.device
    wrong.name, wrong.digest = answerer.name, answerer.digest
    with pytest.raises(RunError, match="not finite"):
        serving(bundle, None, answerer=wrong)  # type: ignore[arg-type]


def test_an_image_alone_does_not_wait_for_others() -> None:
    async def whole() -> None:
        batcher = Batcher(
            lambda images: np.zeros((len(images), 2)),
            batch=8,
            engines=1,
            cores=1,
            companions=30.0,
        )
        await asyncio.wait_for(batcher.submit(np.zeros(1, np.float32)), 5)
        batcher.close()

    asyncio.run(whole())


def test_an_image_waits_for_those_that_are_coming() -> None:
    sizes: list[int] = []

    async def whole() -> None:
        batcher = Batcher(
            lambda images: sizes.append(len(images)) or np.zeros((len(images), 2)),
            batch=8,
            engines=2,
            cores=1,
            companions=30.0,
        )
        batcher.coming = 2
        first = batcher.submit(np.zeros(1, np.float32))
        await asyncio.sleep(0.05)
        second = batcher.submit(np.zeros(1, np.float32))
        batcher.arrived()
        batcher.arrived()
        await asyncio.wait_for(asyncio.gather(first, second), 5)
        batcher.close()

    asyncio.run(whole())
    assert sizes == [2]


def test_the_document_describes_what_is_answered(bundle: Path) -> None:
    async def talk(client: Client, service: Service) -> None:
        document = (await client.get("/openapi.json")).json()
        assert document["openapi"].startswith("3.1")
        for path, methods in document["paths"].items():
            for method in methods:
                answer = await client.request(method, path, content=picture())
                assert str(answer.status_code) in methods[method]["responses"]
        answer = (await client.post("/predict", content=picture())).json()
        schema = document["components"]["schemas"]
        assert set(answer) == set(schema["Answer"]["required"])
        assert set(answer["predictions"][0]) == set(schema["Prediction"]["required"])
        assert len(answer["predictions"][0]["top"]) == len(CLASSES)
        docs = await client.get("/docs")
        assert "http://" not in docs.text.replace("http://HOST", "") and "https://" not in docs.text
        assert "default-src 'none'" in docs.headers["content-security-policy"]
        for path, status in (("/nothing", 404), ("/../etc/passwd", 404)):
            answer = await client.get(path)
            assert answer.status_code == status and "/docs" in answer.json()["error"]["message"]

    serving(bundle, talk)


def test_a_body_that_says_it_is_too_long_is_not_waited_for() -> None:
    async def silence() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    with pytest.raises(Refusal, match="at most 1,000 bytes") as refused:
        asyncio.run(bodies.read(silence, 1000, 30.0, declared=10**14))
    assert refused.value.status == 413
