"""A notebook's cell holds one output, rewritten in place; seen through a real kernel."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel


class Cell:
    """What a cell shows when it has run: its outputs by identity, and how often they changed."""

    def __init__(self, client: BlockingKernelClient, code: str) -> None:
        self.outputs: dict[str, str] = {}
        self.seen: list[str] = []
        self.streams, self.errors = "", ""
        asked = client.execute(code)
        while True:
            message = client.get_iopub_msg(timeout=300)
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != asked:
                continue
            if kind in ("display_data", "update_display_data"):
                text = content["data"]["text/plain"]
                self.outputs[content["transient"]["display_id"]] = text
                self.seen.append(text)
            elif kind == "stream":
                self.streams += content["text"]
            elif kind == "error":
                self.errors += "\n".join(content["traceback"])
            elif kind == "status" and content["execution_state"] == "idle":
                break
        assert not self.errors, self.errors


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlockingKernelClient]:
    folder = tmp_path_factory.mktemp("kernel")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
            patch.setenv(name, str(folder))
        manager, client = start_new_kernel(
            startup_timeout=300, kernel_name="python3", cwd=str(folder)
        )
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_long_work_is_one_output_that_stays_short(kernel: Any) -> None:
    cell = Cell(
        kernel,
        """
        import time
        from striate import progress
        for epoch in range(100):
            for _ in progress.track(range(30), f"epoch {epoch + 1} of 100", "images"):
                time.sleep(0.02 if epoch == 99 else 0)
            progress.say(f"epoch {epoch + 1}/100")
        """,
    )
    (shown,) = cell.outputs.values()
    assert shown.splitlines() == ["(80 lines before)", *(f"epoch {n}/100" for n in range(81, 101))]
    assert cell.streams == ""
    bars = [text.splitlines()[-1] for text in cell.seen if "left" in text]
    assert "epoch 100 of 100  \N{FULL BLOCK}" in bars[-1]
    assert "images/s" in bars[-1] and "%" in bars[-1]
    assert max(text.count("\n") for text in cell.seen) <= 21


def test_a_task_of_unknown_length_says_how_far_it_is(kernel: Any) -> None:
    cell = Cell(
        kernel,
        """
        for _ in progress.track(iter(range(30)), "reading", "files"):
            time.sleep(0.02)
        """,
    )
    assert cell.seen[0].startswith("reading  ") and " files/s" in cell.seen[0]
    assert list(cell.outputs.values()) == [""]


def test_each_cell_has_an_output_of_its_own(kernel: Any) -> None:
    first = Cell(kernel, "from striate import progress\nprogress.say('one')\nprogress.say('two')")
    second = Cell(kernel, "progress.announce('Compiling')")
    assert list(first.outputs.values()) == ["one\ntwo"]
    assert list(second.outputs.values()) == ["Compiling"] and second.streams == ""
    assert not first.outputs.keys() & second.outputs.keys()


def test_a_display_that_was_installed_is_heard_instead(kernel: Any) -> None:
    cell = Cell(
        kernel,
        """
        from striate import progress
        with progress.use(progress.Silent()):
            progress.say("nothing")
            progress.announce("of this")
        """,
    )
    assert cell.outputs == {} and cell.streams == ""


@pytest.mark.slow
def test_a_training_is_one_output_with_a_line_an_epoch(kernel: Any, tmp_path: Path) -> None:
    cell = Cell(
        kernel,
        f"""
        from striate import data, recipes, train
        digits = data.open("digits")
        recipe = recipes.make("auto", digits, settings=["epochs=5"])
        result = train.train(recipe, dataset=digits, plan="default", out={str(tmp_path / "run")!r})
        """,
    )
    (shown,) = cell.outputs.values()
    lines = shown.splitlines()
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert [line.split()[1] for line in epochs] == [f"{n}/5" for n in range(1, 6)]
    assert len(lines) <= 10 and cell.streams == ""


def test_outside_a_notebook_ipython_is_never_imported() -> None:
    code = (
        "import sys; from striate import progress\n"
        "progress.say('x'); list(progress.track([1], 'a', 'b'))\n"
        "assert 'IPython' not in sys.modules"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == shown.stderr == ""
