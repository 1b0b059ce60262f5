"""Every command that pages and docstrings show, found by a parser, and what each is run with.

A command is a line of a fenced block, or a span in backticks, that begins with `striate` and one of
its commands or with `python` and a script of ours; in a docstring, a line or span alike. One that
names a command and nothing else (`striate train`) is a name, and is asked for its help.

Three tables say how it is run: PLACE binds the words that stand for something, CHEAPER adds what
takes the minutes off, INSTEAD replaces a whole command, each with its reason. A command in which a
word is left over, and whose file or name is not there, fails its test.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from striate.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]

PLACE = {  # what stands for something -> what is there; see `prepared` in test_documented.py
    "$RUN": "runs/photos",
    "RUN": "runs/photos",
    "RUNS": "runs",
    "WEIGHTS": "runs/photos",
    "DATA": "digits",
    "FOLDER": "photos",
    "NET": "convnet",
    "FILES": "new/1.jpg",
    "FILE": "plan.json",
    "IMAGE": "photo.jpg",
    "IMAGES": "photo.jpg",
    "OUT": "out.pack",
    "SHELL": "bash",
    "WORDS": "train",
    "A..B": "1..2",
    "100..120": "1..2",  # the run is that short
    "runs/mine": "runs/photos",
    "runs/digits-convnet-001": "runs/digits",
    "searches/DATA-NET-001/best.json": "best.json",
}

_EPOCH = "--epochs 1 --plan default --no-check --workers 0"
CHEAPER = {  # command -> what is added where nothing of it is said, and why
    "train": (_EPOCH, "an epoch, no plan measured, no preflight: minutes"),
    "search": ("--trials 2 --epochs 1 --seeds 0", "2 settings instead of 24"),
    "check": ("--only-data", "a preflight takes 10 s; `striate check DATA --net NET` has one"),
    "explain": ("--part maps --method saliency", "all parts take a minute; tests/explain has them"),
    "attack": ("--count 4 --steps 2 --eps 0.1", "4 images instead of 200"),
    "transfer": ("--no-compare --how linear --epochs 1", "one way of five"),
    "serve": ("--port 0 --quiet", "a port that is free"),
    "view": ("--port 0", "a port that is free"),
}
NEEDED = {  # whose presence says that a command was made cheap already, or must not be
    "train": ("--resume",),
    "check": ("--net", "--run", "--rate-range"),
    "explain": ("--part", "--layer"),
    "attack": ("--image", "--count"),
    "transfer": ("--how",),
}

_STEP = "striate design 'conv3-8 FC-10' --input 3x16x16 --train"
_TINY = "striate plan 'conv3-8 FC-10' --input 3x16x16 --rounds 3"
INSTEAD = {  # as written -> what is run, and why
    # measured on the machine: minutes for a network of their size
    "striate plan resnet18 --batch 8": (f"{_TINY} --batch 8", "a plan of ResNet-18 takes minutes"),
    "striate plan resnet18 --batch 8 --again": (f"{_TINY} --again", "as above"),
    "striate plan vgg11 --input 32 --train": (f"{_TINY} --train", "as above"),
    "striate plan vgg16 --workspace 64MB --error 1e-6": (
        f"{_TINY} --workspace 64MB --error 1e-6", "as above"),
    "striate plan NET": (_TINY, "as above"),
    'striate plan "conv3-16 conv3-16 maxpool FC-10" --input 3x32x32': (_TINY, "as above"),
    "striate design resnet50 --train --batch 64 --memory 16GB": (
        f"{_STEP} --batch 8 --memory 16GB", "steps of ResNet-50 are measured"),
    "striate evaluate RUN photos/ --crops ten --scales 224,256,384": (
        "striate evaluate RUN photos/ --crops ten --scales 32,40", "the run is on 32 pixels"),
    # weights of others, which are downloaded
    "striate transfer photos/ --from resnet18_torchvision": (
        "striate transfer photos/ --from RUN", "weights to download"),
    "striate transfer photos/ --from model.onnx --how linear --layer layer3.relu --method svm": (
        "striate transfer photos/ --from RUN --how linear --layer avgpool --method svm",
        "weights that the page only imagines"),
    "striate transfer photos/ --from $RUN --how last --blocks 2": (
        "striate transfer photos/ --from RUN --how last --blocks 2 --epochs 1", "an epoch"),
    "striate explain resnet20.th photo.png --data cifar10": (
        "striate explain RUN photo.png --data photos --part neighbours", "weights to download"),
    "striate weights [WEIGHTS]": ("striate weights", "weights to download"),
    "striate weights NAME": ("striate weights", "as above"),
    # a run that can answer it, or sooner
    "striate serve RUN": ("striate serve runs/digits", "convolutions of ResNet-20 are measured"),
    "striate serve $RUN": ("striate serve runs/digits", "convolutions of ResNet-20 are measured"),
    "striate explain RUN IMAGE --layer layer2.0.conv1": (
        "striate explain RUN IMAGE --layer layer2.0.conv1 --part filters --part activations",
        "inversion and dream take a minute"),
    "striate explain RUN --part classes": (
        "striate explain runs/digits --part classes", "ten pictures, of 64 pixels each"),
    "striate predict RUN FILES --monte-carlo 20": (
        "striate predict runs/dropped FILES --monte-carlo 20", "asked of a network with dropout"),
    "striate predict --monte-carlo 20": (
        "striate predict runs/dropped FILES --monte-carlo 20", "asked of a network with dropout"),
    "striate attack RUN --image me.png --class dog --eps 8/255": (
        "striate attack RUN --image me.png --class dog --eps 8/255 --count 4 --steps 2",
        "4 images instead of 200"),
    "striate attack RUN --eps 0.25,0.3 --step 0.01 --count 10000": (
        "striate attack RUN --eps 0.25,0.3 --step 0.01 --count 4 --steps 2", "4 images"),
    "striate check DATA --net NET --rate-range": (
        "striate check digits --net 'conv3-8 maxpool FC-10' --rate-range", "a small network"),
    "striate check DATA --net NET": (
        "striate check digits --net 'conv3-8 maxpool FC-10'", "a small network"),
    "striate check [DATA] [--net NET]": (
        "striate check digits --net 'conv3-8 maxpool FC-10'", "a small network"),
    "striate train cifar10 --recipe resnet56_cifar10": (
        "striate train cifar10 --recipe resnet20_cifar10", "the deeper one of two"),
    "striate train --heal": ("striate train digits --heal", "its data"),
    "striate train --resume $RUN": ("striate train --resume runs/photos", "no option beside it"),
    # a span that names an option, without what it needs
    "striate design --train": (f"{_STEP} --batch 8 --memory 16GB", "names an option"),
    "striate design --json": ("striate design lenet --json", "names an option"),
    "striate train --recipe": ("striate train digits --recipe best.json", "names an option"),
    "striate train --plan": ("striate train digits --plan default", "names an option"),
    "striate plan --out": (f"{_TINY} --out plan.json", "names an option"),
    "striate pack --verify FILE": ("striate pack --verify photos.pack", "a packed file"),
    "striate pack --size 256": ("striate pack photos out.pack --size 256", "names an option"),
}  # fmt: skip
CODES = {  # that are not 0
    "striate design lenet --input 1x8x8": 2,  # the page shows its error
}


class Command(NamedTuple):
    """A command as it is written, and where."""

    text: str
    place: str


def documented() -> dict[str, Command]:
    """Return all commands once each, with the first place where they stand."""
    found: dict[str, Command] = {}
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for page in (*pages, ROOT / "examples" / "README.md"):
        for text, line in _of_page(page.read_text()):
            found.setdefault(text, Command(text, f"{page.relative_to(ROOT)}:{line}"))
    for folder in ("src", "benchmarks", "examples"):
        for script in sorted((ROOT / folder).rglob("*.py")):
            for text, line in _of_module(script.read_text()):
                found.setdefault(text, Command(text, f"{script.relative_to(ROOT)}:{line}"))
    return found


def _of_page(page: str) -> Iterator[tuple[str, int]]:
    """Yield the commands of a page, with their lines."""
    language: str | None = None
    prose = []
    for number, line in enumerate(page.splitlines(), 1):
        if line.lstrip().startswith("```"):
            language = line.strip("` ") if language is None else None
            prose.append("")
        elif language is None:
            prose.append(line)
        else:
            prose.append("")
            if language != "python" and (command := _of_line(line)):
                yield command, number
    yield from _spans("\n".join(prose))


def _of_module(source: str) -> Iterator[tuple[str, int]]:
    """Yield the commands of a module's docstrings."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and (text := ast.get_docstring(node)):
            place = getattr(node, "lineno", 1)
            lines = (_of_line(line) for line in text.splitlines())
            yield from ((command, place) for command in lines if command)
            yield from ((command, place) for command, _ in _spans(text))


def _of_line(line: str) -> str:
    """Return the command of a line without prompt, comment and redirection; "" where none is."""
    line = re.sub(r"^\s*(\$ |- run: )?", "", line)
    line = re.sub(r'^eval "\$\((.*?)\)"', r"\1", line)
    line = re.split(r"\s+#\s|\s{2,}", line)[0]
    line = re.sub(r"\s*(&|> \S+)$", "", line).strip()
    return line if _is_command(line) else ""


def _spans(text: str) -> Iterator[tuple[str, int]]:
    for found in re.finditer(r"(?<!`)`([^`]+)`", text):
        span = " ".join(found[1].split())
        if _is_command(span):
            yield span, text.count("\n", 0, found.start()) + 1


def _is_command(text: str) -> bool:
    first, _, rest = text.partition(" ")
    word = rest.partition(" ")[0]
    script = re.fullmatch(r"(benchmarks|examples)/[\w/]+\.py", word)
    return (first == "striate" and word in COMMANDS) or (first == "python" and script is not None)


def bound(text: str) -> list[str]:
    """Return the words that a command is run with, without `striate`."""
    text = INSTEAD[text][0] if text in INSTEAD else text
    text = re.sub(r"\[((?:[A-Z]|--)[^\[\]]*)\]", r"\1", text).replace("...", "")
    _, command, *words = shlex.split(text)
    if not words:
        return [command] if command in ("models", "env", "weights") else [command, "--help"]
    words = [word.split("|")[0] for word in words]
    if {"RUN", "$RUN"} & {*words}:  # which knows the classes of the photographs
        words = ["more_photos" if word == "DATA" else word for word in words]
    words = [PLACE.get(word, word) for word in words]
    more, _ = CHEAPER.get(command, ("", ""))
    said = {word for word in words if word.startswith("--")}
    if not said & {*NEEDED.get(command, ())}:
        added = re.findall(r"(--\S+)((?: (?!--)\S+)?)", more)
        for option, value in added:
            if option not in said:
                words += [option, *value.split()]
    return [command, *words]
