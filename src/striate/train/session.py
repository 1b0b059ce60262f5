"""The public verbs `train` and `resume`: a run folder opened, the loop, and the test figure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from striate import inference, progress, runs, wording
from striate.data import Dataset
from striate.design import BatchNorm
from striate.design.forecast import forecast
from striate.errors import CheckpointError, NotFiniteError, RunError, StriateError
from striate.ops import Meter, environment
from striate.records import decode
from striate.runs import Run
from striate.train import checkpoint
from striate.train.interrupt import Interrupt, interruptible
from striate.train.loop import fit
from striate.train.optimiser import check_trainable
from striate.train.plan import Choice, Plan, follow, make_plan, obeying
from striate.train.prepare import Prepared, lit, prepare, prepare_again
from striate.train.processes import Processes, processes
from striate.train.recipe import Recipe
from striate.train.result import TrainResult, figures, notes, recorded
from striate.train.training import Observer, Training


def train(
    recipe: Recipe,
    *,
    out: Path | str | None = None,
    dataset: Dataset | None = None,
    observers: Sequence[Observer] = (),
    overwrite: bool = False,
    plan: Choice = "measure",
    interrupt: Interrupt | None = None,
    prepared: Prepared | None = None,
    parent: str | None = None,
) -> TrainResult:
    """Train as the recipe says and leave a run folder.

    Under torchrun every process calls this alike: they share each batch, and the first one writes.

    Args:
        recipe: fixes the run completely.
        out: path of the run folder; None takes the next free `runs/DATA-NETWORK-001`.
        dataset: the recipe's data, where it is open already.
        observers: watch every step and validation, and change nothing.
        overwrite: take the place of a run already there.
        plan: how convolutions are computed, as `striate train --plan` has it: see
            `plan.make_plan`.
        interrupt: lets the caller end it, as ctrl-C does.
        prepared: the recipe's data, where it is open and split already.
        parent: the run that this one takes the place of.

    Raises:
        DataError, ContractError, DesignError: data and network cannot be trained together, or
            the network has nothing to train.
        RunError: there is a run at `out` already, or the disk is full.
        NotFiniteError: a loss or gradient became NaN or infinite; the last checkpoint stays.
    """
    check_trainable(recipe.network)
    with processes(recipe.device) as together:
        if out is not None:  # before anybody waits for the data
            together.decide(lambda: runs.check_free(out, overwrite))
        if prepared is None:
            prepared = together.first_then_all(lambda: prepare(recipe, dataset))
        recipe = lit(recipe, prepared)

        def create() -> tuple[Path, Plan]:
            path = Path(out) if out is not None else _next(recipe, prepared)
            made = make_plan(recipe, together, plan, len(prepared.split.train))
            runs.create(
                path,
                network=recipe.network,
                contract=prepared.contract,
                recipe=recipe,
                data=prepared.split.document(),
                env=environment(),
                plan=made,
                parent=parent,
                overwrite=overwrite,
            )
            return path, made

        path, chosen = together.decide(create)
        run = runs.open(path)
        session = _Session(run, recipe, chosen, together, observers, interrupt)
        for note in prepared.split.notes:
            session.say(f"Note: {note}")
        with session.in_use(), obeying(chosen):
            return session.carry_on(prepared)


def _next(recipe: Recipe, prepared: Prepared) -> Path:
    """Return where a run goes that is told no place."""
    return runs.new_path("runs", f"{prepared.dataset.name}-{recipe.network.name}")


def resume(
    path: Path | str,
    *,
    workers: int | None = None,
    dataset: Dataset | None = None,
    observers: Sequence[Observer] = (),
    interrupt: Interrupt | None = None,
) -> TrainResult:
    """Go on with a run that was interrupted, killed or failed, from its newest checkpoint.

    The result is, bit for bit, that of the run undisturbed, on the same machine and with the same
    number of processes; another number gives the same batches and agrees to rounding. A finished
    run is left as it is, and its result returned; only weights that were lost or altered since are
    brought back from its newest checkpoint.

    Args:
        path: the run folder.
        workers: threads that prepare batches, if other than the recipe's; changes nothing else.
        dataset: the run's data, where it is open already.
        observers: as for `train`.
        interrupt: as for `train`.

    Raises:
        RunError: no run folder, one in use, or its data has changed.
        CheckpointError: the newest checkpoint is cut short, altered, or of another run; says
            what to do.
    """
    run = runs.open_trained(path)
    recipe, plan = decode(Recipe, run.recipe_document()), decode(Plan, run.plan())
    if workers is not None:
        recipe = recipe.replace(workers=workers)
    with processes(plan.device if recipe.device == "auto" else recipe.device) as together:
        if together.decide(lambda: run.state) == "finished":
            together.decide(lambda: _bring_back(run))
            return together.decide(lambda: recorded(run))
        session = _Session(run, recipe, plan, together, observers, interrupt)
        with session.in_use(), obeying(plan):
            prepared = together.first_then_all(lambda: prepare_again(recipe, run, dataset))
            return session.carry_on(prepared, resumed=True)


def _bring_back(run: Run) -> None:
    """Bring a finished run's weights back from its newest checkpoint, where they are not as then.

    Raises:
        RunError: they are gone, and there is no checkpoint.
        CheckpointError: the checkpoint's copy is damaged as well.
    """
    found = run.checkpoints()
    if found and checkpoint.best_weights(run, found[-1][1]) != run.weights:
        with run.lock():
            checkpoint.restore_weights(run, found[-1][1])
    elif not found and not run.weights.exists():
        raise RunError(
            f"{run.weights} is missing, and there is no checkpoint to bring it back from: train "
            "again into another folder."
        )


class _Session(NamedTuple):
    """A run folder being written by the processes that train it together."""

    run: Run
    recipe: Recipe
    plan: Plan
    together: Processes
    observers: Sequence[Observer]
    interrupt: Interrupt | None = None

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Hold the run's lock in the first process, and leave an honest state in any case."""
        with contextlib.ExitStack() as stack:
            self.together.decide(lambda: stack.enter_context(self.run.lock()))
            try:
                yield
            except BaseException as error:
                ended = isinstance(error, KeyboardInterrupt | SystemExit)
                if self.together.first and self.run.info.state == "running":  # else nothing began
                    with contextlib.suppress(StriateError):
                        self.run.set_state("interrupted" if ended else "failed")
                raise

    def carry_on(self, prepared: Prepared, *, resumed: bool = False) -> TrainResult:
        """Train from the start or the newest checkpoint to the end, and evaluate."""
        meter = Meter(self.together.device)
        meter.start()
        before = meter.held()
        with interruptible(self.interrupt) as interrupt:
            training = Training(
                self.recipe,
                prepared,
                self.together,
                run=self.run,
                interrupt=interrupt,
                observers=self.observers,
            )
            follow(training.net, self.plan)
            if resumed:
                self._go_back(training)
            else:
                self._note_data(training, prepared.dataset)
                self._note_micro_batches(training)
            try:
                self._set_state("running")
                ending = fit(training)
                self._note_memory(training, meter.peak() - before)
                if ending == "interrupted":
                    return self._pause(training)
                return self._finish(training, prepared)
            except NotFiniteError as error:
                raise self._with_remedy(error) from error
            except RunError as error:
                again = f"striate train --resume {wording.quoted(self.run.path)}"
                raise RunError(f"{error} When that is mended, go on with: {again}") from error

    def _note_data(self, training: Training, dataset: Dataset) -> None:
        """Write down what was said when the data was opened."""
        notes = dataset.notes
        if dataset.skipped:
            left_out = wording.count(len(dataset.skipped), "file")
            notes = (*notes, f"{left_out} could not be read, {dataset.skipped[0].path} first.")
        for text in notes:
            training.note_event("note", text=text)

    def _note_micro_batches(self, training: Training) -> None:
        """Say what accumulation means for batch normalisation, where there are both."""
        recipe = self.recipe
        if recipe.accumulate > 1 and any(isinstance(at, BatchNorm) for at in recipe.network.layers):
            text = (
                f"Batch normalisation takes its statistics over micro-batches of "
                f"{recipe.batch // recipe.accumulate} images (batch={recipe.batch}, "
                f"accumulate={recipe.accumulate}), not over the whole batch."
            )
            training.note_event("note", text=text)
            self.say(f"Note: {text}")

    def _note_memory(self, training: Training, measured: int) -> None:
        """Put the memory that training took beside its forecast; loaders are in what it took."""
        recipe = self.recipe
        network = recipe.network
        largest = max(recipe.size_at(epoch) for epoch in range(recipe.epochs))
        paper = forecast(
            network.with_input((network.input_shape[0], *largest)),
            batch=-(-recipe.batch // (recipe.accumulate * self.together.world)),
            optimiser=recipe.optimiser.name,
            precision=recipe.precision,
            average=recipe.ema is not None,
            layout=recipe.layout,
        )
        training.note_event("memory", forecast=paper.peak, measured=measured)

    def _go_back(self, training: Training) -> None:
        """Put training, best weights and history back to the newest checkpoint, or the start."""
        found = self.together.decide(self.run.checkpoints)
        path = found[-1][1] if found else None
        if path is not None:
            try:
                training.restore(self.run, path)
                self.together.decide(lambda: checkpoint.restore_weights(self.run, path))
            except CheckpointError as error:
                raise CheckpointError(f"{error} {self._way_out(found)}") from error
        else:
            self.together.decide(lambda: checkpoint.restore_weights(self.run, None))
        differences = self.plan.differences(make_plan(self.recipe, self.together))
        training.note_event("resumed", differences=differences)
        self.say(f"Resumed after step {training.done}.")
        if differences:
            self.say(
                f"The last bits may differ from the undisturbed run: {'; '.join(differences)}."
            )

    def _way_out(self, found: Sequence[tuple[int, Path]]) -> str:
        """Say what to do about a newest checkpoint that cannot be used."""
        for step, path in found[-2::-1]:
            with contextlib.suppress(CheckpointError):
                checkpoint.load(self.run, path)
                checkpoint.best_weights(self.run, path)
                newer = "that folder" if step == found[-2][0] else "the folders after it"
                return f"Remove {newer} to go on from step {step}."
        every = "that folder" if len(found) == 1 else "all of checkpoints/, none of which is sound,"
        return f"Remove {every} to go on from the start."

    def _finish(self, training: Training, prepared: Prepared) -> TrainResult:
        """Evaluate the weights that were kept, once, on the test part."""
        seconds = training.elapsed
        if len(prepared.split.test):
            device = str(self.together.device)
            evaluation = inference.evaluate(self.run, prepared.dataset, part="test", device=device)
            self.together.decide(lambda: self.run.write_results(evaluation))
        training.note_event("finished", seconds=seconds)
        self._set_state("finished")
        return self.together.decide(lambda: recorded(self.run))

    def _pause(self, training: Training) -> TrainResult:
        """Leave the run so that it can be gone on with."""
        self._set_state("interrupted")
        self.say(f"Saved after step {training.done}.")
        return TrainResult(
            run=str(self.run.path),
            network=self.recipe.network.name,
            epochs=training.epochs_begun,
            seconds=training.elapsed,
            validation=figures(training.validations, self.recipe.choose_by),
            state="interrupted",
            notes=notes(self.run),
        )

    def _with_remedy(self, error: NotFiniteError) -> NotFiniteError:
        found = self.run.checkpoints()
        kept = (
            f"The checkpoint of step {found[-1][0]} is kept in {self.run.path}."
            if found
            else "There is no checkpoint before it."
        )
        return NotFiniteError(
            f"{error} Training stopped there. {kept} A smaller learning rate, a longer "
            "warm-up or clipping usually help.",
            error.step,
        )

    def _set_state(self, state: Literal["running", "finished", "interrupted"]) -> None:
        def write() -> None:
            self.run.sync()
            self.run.set_state(state)

        self.together.decide(write)

    def say(self, text: str) -> None:
        """Say a line of text, in the first process."""
        if self.together.first:
            progress.say(text)
