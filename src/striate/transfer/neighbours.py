"""Images that a network takes for alike: nearest neighbours by its features.

Features are those of the layer that the classifier reads, kept on disk as `features` keeps them;
alike is the cosine of the angle between two. The comparison is with every image, one product of
matrices, unless there are so many that an index (HNSW, by usearch) is worth its making; that is
approximate, is kept too, and what it finds is measured anew, so that similarities are exact.

Source: Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural
networks", NIPS 2012, figure 4; Malkov and Yashunin, "Efficient and robust approximate nearest
neighbor search using hierarchical navigable small world graphs", 2016.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from striate import data, draw, inference, progress
from striate.contract import Class, Contract
from striate.data import Dataset, FileSamples, Samples
from striate.data.decode import Decoding, decode_as, read_bytes
from striate.data.samples import content_hash
from striate.design import Network
from striate.errors import DataError, MissingExtra, UnknownName, UsageError
from striate.files import atomic_write, cache_folder
from striate.inference import Model
from striate.ops import choose_device
from striate.records import Record, digest, nearest, to_json
from striate.transfer.features import Floats, features
from striate.transfer.tuning import penultimate
from striate.wording import spelled

Index = Literal["auto", "exact", "usearch"]

MANY = 500_000  # images, from which on `auto` makes an index
_WIDER = 4  # so many times the neighbours wanted are taken from an index, and measured anew
_BLOCK = 1 << 16  # images compared at a time


class Neighbour(Record, frozen=True, kw_only=True):
    """An image among the data.

    Args:
        file: its path, or the sample's name.
        id, label: its class there.
        similarity: the cosine between its features and the query's, -1 to 1.
    """

    file: str
    id: str
    label: str
    similarity: float


class Answer(Record, frozen=True, kw_only=True):
    """What one image is like.

    Args:
        file: the image.
        neighbours: the most alike first.
        itself: what among the data is this very file, and left out.
        picture: where they are drawn.
    """

    file: str
    neighbours: tuple[Neighbour, ...]
    itself: tuple[str, ...]
    picture: str


class Similar(Record, frozen=True, kw_only=True):
    """The document of `similar`.

    Args:
        network: its name.
        layer: whose features.
        among: the data.
        images: how many there are.
        index: exact, or usearch.
        answers: one an image asked for.
    """

    network: str
    layer: str
    among: str
    images: int
    index: str
    answers: tuple[Answer, ...]


class Gallery(NamedTuple):
    """All images of some data, whichever part they are in."""

    parts: tuple[Samples, ...]
    classes: tuple[Class, ...]

    @classmethod
    def of(cls, dataset: Dataset) -> Gallery:
        """Take all parts of a data set."""
        return cls(tuple(each for each in dataset.parts.values() if len(each)), dataset.classes)

    def find(self, place: int) -> tuple[Samples, int]:
        """Return which part an image is in, and where."""
        for samples in self.parts:
            if place < len(samples):
                return samples, place
            place -= len(samples)
        raise IndexError(place)

    def hashes(self) -> Iterator[str]:
        """Yield the hash of each image's content."""
        for samples in self.parts:
            for at in range(len(samples)):
                yield samples.content_hash(at)

    def name(self, place: int) -> str:
        """Return an image's path, or what it is called."""
        samples, at = self.find(place)
        return spelled(samples.paths[at]) if isinstance(samples, FileSamples) else samples.ids[at]

    def neighbour(self, place: int, similarity: float) -> Neighbour:
        """Return an image as a neighbour."""
        samples, at = self.find(place)
        one = self.classes[int(samples.labels[at])]
        return Neighbour(
            file=self.name(place), id=one.id, label=one.label, similarity=round(similarity, 6)
        )


def similar(
    model: Model | Path | str,
    images: Iterable[Path | str],
    among: str | Dataset,
    *,
    count: int = 12,
    layer: str | None = None,
    index: Index = "auto",
    out: Path | str = "similar",
    device: str = "auto",
) -> Similar:
    """Find what a network takes for alike, and draw it.

    Args:
        model: a run folder, weights or a bundle.
        images: files, folders and globs.
        among: the data to look in: all its parts; also a folder of images without classes.
        count: neighbours of each image.
        layer: whose features; those that the classifier reads unless given.
        index: exact, usearch, or auto: exact until there are very many images.
        out: folder for a picture an image, and similar.json.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        UnknownName: no such layer.
        DataError: an image, or the data, cannot be read.
        MissingExtra: usearch is not installed.
    """
    opened, chosen = inference.open_model(model), choose_device(device)
    network, contract = opened.network(), opened.contract()
    layer = _layer(network, layer)
    if index not in ("auto", "exact", "usearch"):
        raise UsageError(f"Expected index as auto, exact or usearch, received {index!r}.")
    queries = inference.find(images)
    dataset = data.open(among, unsorted=True) if isinstance(among, str) else among
    gallery = Gallery.of(dataset)

    def seen(samples: Samples, keep: bool = True) -> Floats:
        found = features(opened, samples, (layer,), device=chosen, keep=keep)[layer]
        return found.reshape(len(samples), -1)

    known = unit(np.concatenate([seen(each) for each in gallery.parts]))
    own = _own(queries, contract)
    asked = unit(seen(own, keep=False))
    kind = ("usearch" if len(known) >= MANY else "exact") if index == "auto" else index
    search = exact if kind == "exact" else approximate
    hashes = Counter(gallery.hashes())
    copies = max(hashes[own.content_hash(at)] for at in range(len(own)))  # each is left out
    places, likeness = search(asked, known, min(count + copies, len(known)))
    folder, answers = Path(out), []
    for number, path in enumerate(queries):
        ranked = zip(places[number].tolist(), likeness[number].tolist(), strict=True)
        found, itself = _sort(own.content_hash(number), ranked, gallery, count)
        picture = folder / f"{number + 1:03d}_{path.stem}.png"
        _draw(path, own.stored(number), found, gallery, contract, picture)
        answers.append(
            Answer(
                file=spelled(path),
                neighbours=tuple(each for _, each in found),
                itself=itself,
                picture=str(picture),
            )
        )
    document = Similar(
        network=network.name,
        layer=layer,
        among=dataset.spec,
        images=len(known),
        index=kind,
        answers=tuple(answers),
    )
    atomic_write(folder / "similar.json", to_json(document, indent=2) + b"\n")
    return document


def _layer(network: Network, layer: str | None) -> str:
    names = tuple(each.name for each in network.layers)
    if layer is not None and layer not in names:
        raise UnknownName(f"layer of {network.name}", layer, nearest(layer, names))
    return layer or penultimate(network)


def _sort(
    own: str, ranked: Iterable[tuple[int, float]], gallery: Gallery, count: int
) -> tuple[list[tuple[int, Neighbour]], tuple[str, ...]]:
    """Return the neighbours with their places, and what is the image itself."""
    found: list[tuple[int, Neighbour]] = []
    itself: list[str] = []
    for place, likeness in ranked:
        samples, at = gallery.find(place)
        if samples.content_hash(at) == own:
            itself.append(gallery.name(place))
        elif len(found) < count:
            found.append((place, gallery.neighbour(place, likeness)))
    return found, tuple(itself)


def unit(vectors: Floats) -> Floats:
    """Return vectors of length 1: (n, features); one of zeros stays so."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), np.float32)


def exact(asked: Floats, known: Floats, count: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return the most similar of all, most alike first; of equals, the earlier.

    Args:
        asked: (queries, features), of length 1.
        known: (images, features), of length 1.
        count: how many for each query.

    Returns:
        Places and cosines, (queries, count) each.
    """
    places = np.empty((len(asked), 0), np.int64)
    values = np.empty((len(asked), 0), np.float32)
    for first in range(0, len(known), _BLOCK):
        block = asked @ known[first : first + _BLOCK].T
        here = np.broadcast_to(np.arange(first, first + block.shape[1]), block.shape)
        values = np.concatenate([values, block], axis=1)
        places = np.concatenate([places, here], axis=1)
        best = np.argsort(-values, axis=1, kind="stable")[:, :count]
        values = np.take_along_axis(values, best, 1)
        places = np.take_along_axis(places, best, 1)
    return places, values


def approximate(asked: Floats, known: Floats, count: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return nearly what `exact` does, by an index that is made once.

    Raises:
        MissingExtra: usearch is not installed.
    """
    try:
        from usearch.index import Index as Graph
    except ImportError as error:
        raise MissingExtra("An index for similar images", "usearch", "similar") from error
    key = digest([list(known.shape), content_hash(known.tobytes())])
    path = cache_folder() / "features" / f"{key[:32]}.usearch"
    graph: Any = Graph(ndim=known.shape[1], metric="cos", dtype="f32", expansion_search=256)
    if path.is_file():
        graph.load(str(path))
    if len(graph) != len(known):
        progress.say(f"Indexing {len(known):,} images.")
        graph.reset()
        graph.add(np.arange(len(known)), known)
        atomic_write(path, lambda partial: graph.save(str(partial)))
    wide = min(_WIDER * count, len(known))
    near = np.asarray(graph.search(asked, wide).keys, np.int64).reshape(len(asked), wide)
    places, values = [], []
    for query, candidates in zip(asked, near, strict=True):
        order, likeness = exact(query[None], known[np.sort(candidates)], count)
        places.append(np.sort(candidates)[order[0]])
        values.append(likeness[0])
    return np.stack(places), np.stack(values)


def _own(paths: Sequence[Path], contract: Contract) -> FileSamples:
    """Return the images asked for, as samples without labels."""
    contents = [read_bytes(path) for path in paths]
    pixels = [
        decode_as(content, Decoding.of(contract), path)
        for path, content in zip(paths, contents, strict=True)
    ]
    return FileSamples(
        paths,
        np.zeros(len(paths)),
        [str(path) for path in paths],
        [each.shape[:2] for each in pixels],
        [each.shape[2] == 1 for each in pixels],
        [content_hash(content) for content in contents],
        pixels,
    )


def _draw(
    path: Path,
    query: npt.NDArray[np.uint8],
    found: Sequence[tuple[int, Neighbour]],
    gallery: Gallery,
    contract: Contract,
    picture: Path,
) -> None:
    if not found:
        raise DataError(f"Nothing but {path} itself is among the data.")
    tiles, captions = [query], [f"{path.name}\nthe image asked for"]
    for place, each in found:
        samples, at = gallery.find(place)
        tiles.append(samples.stored(at, Decoding.of(contract)))
        captions.append(f"{each.label}\n{each.similarity:.3f}")
    draw.grid(tiles, captions, title=f"Most similar to {path.name}").save(picture)
