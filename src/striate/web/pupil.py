"""The process of a training that the page started: `python -m striate.web.pupil`, told on stdin.

It trains as `striate train` does, and now and then leaves its weights of the moment in the run's
figures, so that the page can show filters and activations while they form. An interrupt saves and
ends it; being told `resume` it goes on.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from striate import data, recipes, train
from striate.errors import StriateError
from striate.files import atomic_write
from striate.layers import Net
from striate.records import from_json
from striate.web.folder import LIVE
from striate.web.school import Task

_EVERY = 0.7  # seconds between two snapshots
_MOST_PARAMETERS = 5_000_000  # larger nets show themselves after each epoch only
_MISTAKE = 2


class Snapshots:
    """An observer that leaves the weights of the moment where the page finds them.

    Args:
        run: the run folder.
    """

    def __init__(self, run: Path) -> None:
        self.place = run / "figures" / LIVE
        self._last = 0.0

    def see(self, line: Mapping[str, Any], net: Net) -> None:
        """Look at a line of the history, and write the weights down if it is time to."""
        if line["kind"] != "step" or time.monotonic() - self._last < _EVERY:
            return
        held = {name: value.detach().contiguous() for name, value in net.state_dict().items()}
        if sum(value.numel() for value in held.values()) <= _MOST_PARAMETERS:
            atomic_write(self.place, lambda path: save_file(held, path))
        self._last = time.monotonic()


def study(task: Task) -> None:
    """Train, and at the end leave nothing but the run."""
    run = Path(task.run)
    watching = (Snapshots(run),)
    if task.resume:
        result = train.resume(run, observers=watching)
    else:
        dataset = data.open(task.data)
        recipe = recipes.make(
            "auto", dataset, network=task.network, settings=(*task.settings, "workers=1")
        )
        result = train.train(recipe, out=run, dataset=dataset, observers=watching)
    if result.state != "interrupted":
        with suppress(OSError):
            (run / "figures" / LIVE).unlink()


def main() -> None:
    """Do the task on stdin; a user's mistake is one sentence on stderr."""
    for number in (signal.SIGINT, getattr(signal, "SIGBREAK", signal.SIGINT)):
        signal.signal(number, signal.default_int_handler)  # ignored below a shell's `view &`
    try:
        study(from_json(Task, sys.stdin.buffer.read(), "the task"))
    except StriateError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(_MISTAKE)


if __name__ == "__main__":
    main()
