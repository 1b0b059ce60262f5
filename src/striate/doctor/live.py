"""The doctor at the bedside: findings said while a run trains, each once.

It reads lines as they are written and changes nothing, so a run that is watched is, bit for bit,
the run that is not. Rules are asked at every validation, at steps 20, 40, 80 and so on, and at each
twentieth of the training or oftener; what may pass (`PASSING`) is said when it has been found for a
twelfth of it, or is found at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from striate import progress, runs
from striate.doctor.diagnose import PASSING, SURE, diagnose_story
from striate.doctor.story import BEFORE, Finding, Teller, of_check, write, written
from striate.doctor.subject import Check
from striate.runs import Run

_FIRST = 20  # steps


class Live:
    """An observer that says what it finds, and writes it into the run's findings.jsonl.

    Args:
        path: of the run folder, which training makes before its first step.
        told: called with each finding, once; also with what was written before a resume, which is
            not said and not written again.
        failed: checks before the training that failed, to be written down with what is found.

    Attributes:
        findings: so far.
    """

    def __init__(
        self,
        path: Path | str,
        told: Callable[[Finding], object] = lambda finding: None,
        failed: Sequence[Check] = (),
    ) -> None:
        self.path, self.told, self.failed = Path(path), told, failed
        self.findings: list[Finding] = []
        self._teller: Teller | None = None
        self._lines: list[Mapping[str, Any]] = []
        self._next = _FIRST
        self._written: set[str] = set()
        self._since: dict[str, int] = {}

    def see(self, line: Mapping[str, Any], net: nn.Module) -> None:
        """Keep a line, and ask the rules now and then."""
        if self._teller is None:
            self._begin(runs.open(self.path), line)
        self._lines.append(line)
        kind = line.get("kind")
        early = kind == "step" and line["step"] >= self._next
        if early or kind == "validation" or line.get("event") == "not finite":
            self._ask(kind == "validation")

    def _begin(self, run: Run, first: Mapping[str, Any]) -> None:
        """Read what a run was made of, and what was written before it was resumed."""
        known = {str(each["finding"]) for each in written(run)}
        for check in self.failed:
            if check.check not in known:
                write(self.path, of_check(check), BEFORE)
        self._written = known | {check.check for check in self.failed}
        self._teller = Teller.of(run)
        here = first.items()  # it may have reached the file already
        self._lines = [each for each in run.history() if not here <= each.items()]

    def _ask(self, validated: bool) -> None:
        if self._teller is None:
            return
        known = {each.finding for each in self.findings}
        story = self._teller.tell(self._lines, None)
        step = int(self._lines[-1].get("step", 0))
        planned = story.planned
        while self._next <= step:
            self._next += min(self._next, max(_FIRST, planned // 20))
        found = [each for each in diagnose_story(story, live=True) if each.confidence >= SURE]
        self._since = {each.finding: self._since.get(each.finding, step) for each in found}
        for each in found:
            ended = validated and step >= planned  # else another validation is to come
            while_ = max(planned // 12, story.steps_per_epoch)
            lasts = ended or step >= self._since[each.finding] + while_
            if each.finding in known or not (lasts or each.finding not in PASSING):
                continue
            self.findings.append(each)
            if each.finding not in self._written:
                write(self.path, each, step)
                progress.say(f"Doctor: {each.finding.replace('_', ' ')}: {each.meaning}.")
                sets = " ".join(f"--set {one}" for one in each.settings)
                tries = f" ({sets})" if sets and not story.own_loop else ""
                progress.say(f"  To do: {each.remedy}{tries}.")
            self.told(each)


def passed(run: Run, found: Sequence[Finding]) -> tuple[str, ...]:
    """Return a sentence on each finding that was said while a run was trained, and is none now."""
    now = {each.finding for each in found}
    return tuple(
        f"Said at step {line['step']} and not found any more: "
        f"{line['finding'].replace('_', ' ')}: {line['meaning']}."
        for line in written(run)
        if line["step"] > BEFORE and line["finding"] not in now
    )
