"""The recipe: a value that fixes a training run completely.

A function in `striate.recipes` may make it, but nothing in a run calls that function again: the
recipe is written to recipe.json with everything resolved, and resume and replay read it from there.
What is measured on the data (mean, std, the split itself) is not in it but in the run's contract
and data.json; how the arithmetic is done on this machine is in plan.json.
"""

from __future__ import annotations

from typing import Literal

from striate.contract import Class, Contract, Resize
from striate.data import Augmentation, Sampling
from striate.design import Network
from striate.design.centred import Centring
from striate.design.layer import Answer
from striate.records import Record, expect
from striate.train.average import Ema
from striate.train.objective import CrossEntropy, Objective
from striate.train.optimiser import SGD, Optimiser
from striate.train.schedule import Cosine, Schedule
from striate.train.validation import EarlyStop, Figure


class DataChoice(Record, frozen=True, kw_only=True):
    """Which data, and how it is split where its source does not say.

    Args:
        path: a named set or a path, as `data.open` takes it.
        split_seed: seed of the split, apart from the run's, so that seeds can be compared.
        validation: share of the training images held out for choosing, stratified.
        validation_most: no more than this many.
        test: share of all images held out for the test, where the source has no test part.
        strict: a bad file is an error, not a warning.
    """

    path: str
    split_seed: int = 0
    validation: float = 0.1
    validation_most: int = 5000
    test: float = 0.2
    strict: bool = False

    def __post_init__(self) -> None:
        expect(0 <= self.validation < 1, "0 <= validation < 1", validation=self.validation)
        expect(0 <= self.test < 1, "0 <= test < 1", test=self.test)
        most = self.validation_most
        expect(most >= 1, "validation_most of at least 1", validation_most=most)
        expect(self.split_seed >= 0, "a split_seed of at least 0", split_seed=self.split_seed)


class Preprocessing(Record, frozen=True, kw_only=True):
    """What the contract is made from; its fields are the contract's, explained there.

    Args:
        mean: per channel, in units of 0..1; None measures it on the training part.
        std: the same.
        scale, order: as the contract has them; for weights that were trained otherwise.
        whitening: `mean_image` takes the training images' mean off each pixel, `zca` makes what is
            left uncorrelated; both as the first layers of the network (`design.centred`).
        epsilon: of `zca`, beside a pixel's variance of 1: less of it brings out finer detail, and
            more noise.
    """

    channels: Literal["rgb", "bgr", "grey"]
    size: tuple[int, int]
    resize: Resize = Resize()
    crop: Literal["centre", "none"] = "none"
    exif: bool = True
    background: tuple[int, int, int] = (255, 255, 255)
    sixteen_bit: Literal["high_byte", "scale"] = "high_byte"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    scale: float = 1 / 255
    order: Literal["scale_first", "mean_first"] = "scale_first"
    whitening: Centring = "none"
    epsilon: float = 0.1

    def __post_init__(self) -> None:
        expect(min(self.size) >= 1, "a size of at least 1x1 pixels", size=self.size)
        expect(self.epsilon > 0, "an epsilon above 0", epsilon=self.epsilon)

    @property
    def channel_count(self) -> int:
        """1 for grey, 3 for colour."""
        return 1 if self.channels == "grey" else 3

    def contract(
        self,
        classes: tuple[Class, ...],
        mean: tuple[float, ...],
        std: tuple[float, ...],
        output: Answer = "logits",
    ) -> Contract:
        """Return the contract with classes and measured figures filled in."""
        return Contract(
            classes=classes,
            output=output,
            channels=self.channels,
            size=self.size,
            resize=self.resize,
            crop=self.crop,
            exif=self.exif,
            background=self.background,
            sixteen_bit=self.sixteen_bit,
            mean=self.mean if self.mean is not None else mean,
            std=self.std if self.std is not None else std,
            scale=self.scale,
            order=self.order,
        )


class Start(Record, frozen=True, kw_only=True):
    """Where a training begins, if not at random values.

    Args:
        path: a run folder, or weights as `weights.open` takes them.
        identity: sha256 of the file with the weights, so that no other takes its place.
        anew: layers that are drawn at random all the same: those of the classifier.
    """

    path: str
    identity: str
    anew: tuple[str, ...] = ()


class SizeUntil(Record, frozen=True, kw_only=True):
    """Train on images of another size for a part of the epochs.

    Small images first cost less; and a network tested on somewhat larger images than it was trained
    on sees objects at the size it knows, since random crops enlarge them.

    Args:
        until: share of all epochs after which the next size begins, 0 to 1.
        size: (height, width) in pixels.

    Source: Touvron et al., "Fixing the train-test resolution discrepancy", NeurIPS 2019; Howard,
    "Training ImageNet in 3 hours" (fast.ai), 2018.
    """

    until: float = 1.0
    size: tuple[int, int]

    def __post_init__(self) -> None:
        expect(0 < self.until <= 1, "0 < until <= 1", until=self.until)
        expect(min(self.size) >= 1, "a size of at least 1x1 pixels", size=self.size)


class Recipe(Record, frozen=True, kw_only=True):
    """Everything that fixes a run; decoded from JSON, it trains the same network again.

    Args:
        name: what runs made by it are called.
        reason: why these choices, in one line.
        network: on paper, with its class count and input.
        start: weights to begin with; the seed's random ones unless given.
        data: which images.
        preprocessing: what an image goes through.
        augmentation: random changes to training images, in order.
        sizes: of training images, in order of time; the contract's where nothing is said.
        sampling: which training images an epoch shows, and in which order.
        objective: what is minimised.
        optimiser: with its learning rate and weight decay.
        decay_on_norms_and_biases: let weight decay act on them too.
        schedule: how the rate falls.
        warmup_epochs: the rate climbs from 0 for so long; may be fractional, and is cut off at the
            end of a training that was shortened.
        epochs: how often every image is seen.
        batch: images a step, over all processes and micro-batches.
        accumulate: micro-batches that a step is made of. Batch normalisation takes its statistics
            over a micro-batch (of all processes), so with it accumulate=4 at batch=128 trains like
            a batch of 32 in that respect; without it, accumulation changes nothing but rounding.
        clip: longest gradient let through (L2 norm over all parameters); a longer one is scaled.
        ema: keep a moving average of the weights, and validate and keep that.
        precision: what convolutions and products are computed in; weights stay float32.
        layout: memory order of images and weights.
        compile: use torch.compile.
        early_stop: end before `epochs` when validation no longer gains.
        choose_by: the validation figure by which model.safetensors is chosen.
        seed: of initialisation, order, augmentation and dropout.
        workers: threads that prepare batches; changes nothing but speed.
        checkpoint_minutes: save at least so often within an epoch; every epoch's end saves too.
        checkpoint_steps: save after every so many steps as well.
        device: auto, cpu, cuda or cuda:N.
    """

    name: str
    reason: str = ""
    network: Network
    start: Start | None = None
    data: DataChoice
    preprocessing: Preprocessing
    augmentation: tuple[Augmentation, ...] = ()
    sizes: tuple[SizeUntil, ...] = ()
    sampling: Sampling = Sampling()
    objective: Objective = CrossEntropy()
    optimiser: Optimiser = SGD()
    decay_on_norms_and_biases: bool = False
    schedule: Schedule = Cosine()
    warmup_epochs: float = 0.0
    epochs: int = 10
    batch: int = 128
    accumulate: int = 1
    clip: float | None = None
    ema: Ema | None = None
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    layout: Literal["channels_last", "contiguous"] = "contiguous"
    compile: bool = False
    early_stop: EarlyStop | None = None
    choose_by: Figure = "accuracy"
    seed: int = 0
    workers: int = 2
    checkpoint_minutes: float = 5.0
    checkpoint_steps: int | None = None
    device: str = "auto"

    def size_at(self, epoch: int) -> tuple[int, int]:
        """Return the (height, width) of training images in an epoch, counted from 0."""
        for each in self.sizes:
            if epoch < each.until * self.epochs:
                return each.size
        return self.preprocessing.size

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "accumulate"):
            value = getattr(self, name)
            expect(value >= 1, f"{name} of at least 1", **{name: value})
        for name in ("warmup_epochs", "workers", "seed"):
            value = getattr(self, name)
            expect(value >= 0, f"{name} of at least 0", **{name: value})
        divided = self.batch % self.accumulate == 0
        expect(divided, f"a batch that accumulate={self.accumulate} divides", batch=self.batch)
        expect(self.clip is None or self.clip > 0, "a clip above 0", clip=self.clip)
        minutes, steps = self.checkpoint_minutes, self.checkpoint_steps
        expect(minutes > 0, "checkpoint_minutes above 0", checkpoint_minutes=minutes)
        every = steps is None or steps >= 1
        expect(every, "checkpoint_steps of at least 1", checkpoint_steps=steps)
