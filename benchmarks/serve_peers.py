"""The peers of `serve.py`: the same network behind LitServe, and behind FastAPI, in eager PyTorch.

Each is written as its documentation has it, with batches; run by that script, as a process.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

try:
    from litserve import LitAPI
except ImportError:  # the row is then missing
    LitAPI = object

BATCH, DEADLINE = 8, 0.004


class Plain:
    """The network in eager mode, with the bundle's own preparation."""

    def __init__(self, bundle: str) -> None:
        from striate import inference

        model = inference.open_model(bundle)
        self.contract, self.net = model.contract(), inference.load(model)

    def prepare(self, content: bytes) -> Any:
        """Return an image as the network takes it."""
        import torch

        from striate import data

        return torch.from_numpy(data.prepare(data.decode(content, self.contract), self.contract))

    def classify(self, images: list[Any]) -> list[dict[str, Any]]:
        """Return the likeliest classes of each."""
        import torch

        with torch.inference_mode():
            likely = torch.softmax(self.net(torch.stack(images)), 1)
        best, places = likely.topk(5)
        classes = self.contract.classes
        return [
            {"top": [{"id": classes[p].id, "probability": q} for q, p in zip(*row, strict=True)]}
            for row in zip(best.tolist(), places.tolist(), strict=True)
        ]


class Api(LitAPI):
    """What LitServe calls; decoding is in its web process, the network in a worker."""

    bundle = ""

    def setup(self, device: str) -> None:
        """Load."""
        import torch

        torch.set_num_threads(cores())
        self.plain = Plain(self.bundle)

    def decode_request(self, request):  # LitServe reads an annotation as a form's description
        """Decode the image in the form."""
        return self.plain.prepare(request["image"].file.read())

    def batch(self, inputs: list[Any]) -> list[Any]:
        """Leave stacking to the network's side."""
        return inputs

    def predict(self, inputs: list[Any]) -> list[dict[str, Any]]:
        """Compute a batch."""
        return self.plain.classify(inputs)

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the answers one by one."""
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """Answer in JSON."""
        return output


def litserve(bundle: str, port: int) -> None:
    """Serve with LitServe."""
    from litserve import LitServer

    api = Api(max_batch_size=BATCH, batch_timeout=DEADLINE)
    api.bundle = bundle
    server = LitServer(api, accelerator="cpu", workers_per_device=1, timeout=60)
    server.run(host="127.0.0.1", port=port, log_level="warning", generate_client_file=False)


def fastapi_eager(bundle: str, port: int) -> None:
    """Serve with FastAPI and a queue that makes batches."""
    import contextlib
    from concurrent.futures import ThreadPoolExecutor

    import fastapi
    import torch
    import uvicorn

    torch.set_num_threads(cores())
    plain = Plain(bundle)
    waiting: asyncio.Queue[Any] = asyncio.Queue()
    decoders, engine = ThreadPoolExecutor(cores()), ThreadPoolExecutor(1)

    async def work() -> None:
        loop = asyncio.get_running_loop()
        while True:
            jobs = [await waiting.get()]
            until = time.monotonic() + DEADLINE
            while len(jobs) < BATCH:
                try:
                    jobs.append(await asyncio.wait_for(waiting.get(), until - time.monotonic()))
                except TimeoutError:
                    break
            images = [image for image, _ in jobs]
            answers = await loop.run_in_executor(engine, plain.classify, images)
            for (_, future), answer in zip(jobs, answers, strict=True):
                future.set_result(answer)

    @contextlib.asynccontextmanager
    async def life(app: Any) -> Any:
        task = asyncio.create_task(work())
        yield
        task.cancel()

    app = fastapi.FastAPI(lifespan=life)

    async def predict(image: Any) -> Any:
        loop = asyncio.get_running_loop()
        pixels = await loop.run_in_executor(decoders, plain.prepare, await image.read())
        future = loop.create_future()
        waiting.put_nowait((pixels, future))
        return await future

    predict.__annotations__["image"] = fastapi.UploadFile
    app.post("/predict")(predict)
    app.get("/health")(lambda: {})
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


def cores() -> int:
    """Return how many cores there are."""
    from striate.ops import usable_cores

    return usable_cores()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", choices=("litserve", "fastapi_eager"))
    parser.add_argument("--bundle")
    parser.add_argument("--port", type=int)
    given = parser.parse_args()
    serve = {"litserve": litserve, "fastapi_eager": fastapi_eager}[given.server]
    serve(given.bundle, given.port)


if __name__ == "__main__":
    main()
