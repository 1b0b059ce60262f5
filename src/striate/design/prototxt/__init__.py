"""Caffe's prototxt: read as a Network, and written from one. No protobuf, no Caffe.

Both syntaxes are read, `layer { type: "Convolution" }` and the older
`layers { type: CONVOLUTION }`:

- inputs: `input` with `input_dim` or `input_shape`, Input, MemoryData and DummyData layers, and
  the crop of Data and ImageData layers; where the file does not say a shape, `input=` does, and so
  a lone layer can be read. Labels are dropped with what reads only them;
- one phase, TRAIN unless asked otherwise: `include`, `exclude` and `phase` are obeyed;
- Convolution, Deconvolution, InnerProduct (which flattens by itself), Pooling with Caffe's ceil
  rule, ReLU, Sigmoid, TanH, Softmax, Dropout, LRN across channels, BatchNorm with or without Scale,
  Concat, Eltwise SUM, Flatten, Split; in-place layers, where top and bottom have one name;
- lr_mult and decay_mult (blobs_lr and weight_decay) as rates and decays, all 0 as frozen;
  parameters shared by name; fillers as initialisation;
- losses are outputs: the heaviest, and of equals the last, is the main one, others are for training
  only with their loss_weight. Accuracy and the like are left out, and so is a final Softmax, since
  networks give logits; the note of the last layer says what was. An output of one pixel is
  flattened to the vector of scores that a loss takes;
- counted but not built: PReLU, ELU, Power, Exp, Log, AbsVal, BNLL, MVN, Threshold, Bias, Scale
  alone without bias, LRN within channels, Eltwise PROD and MAX.

Written are chains and graphs of the same kinds, as one deploy file; with several outputs, as one
for training, a loss for each.

Layer names become module paths: `inception_3a/1x1` is `inception_3a.conv_1x1`.

Source of defaults and rules: caffe.proto and the layer catalogue of BVLC Caffe 1.0.
"""

from __future__ import annotations

from typing import Literal

from striate.design.network import Network
from striate.design.pointing import Text
from striate.design.prototxt.message import read_message
from striate.design.prototxt.read import Reading
from striate.design.prototxt.write import to_prototxt
from striate.errors import DesignError

_MOST_TEXT = 8_000_000  # characters


def parse(
    text: str,
    *,
    input: tuple[int, ...] | None = None,
    phase: Literal["TRAIN", "TEST"] = "TRAIN",
    name: str = "caffe",
    source: str = "prototxt",
) -> Network:
    """Read a network from the text of a prototxt.

    Args:
        text: of the file.
        input: (channels, height, width) of the first input; the file's unless given.
        phase: which of the layers with a phase are taken.
        name: of the network, where the file has none.
        source: what to call the text in errors, usually its path.

    Raises:
        NotationError: no text form, a field that does not exist, a layer that cannot be read, an
            input of unknown shape, a layer that does not fit; points at line and column.

    Example:
        >>> conv = 'layer { type: "Convolution" bottom: "data" top: "c" ' + (
        ...     'convolution_param { num_output: 96 kernel_size: 11 stride: 4 } }')
        >>> parse(conv, input=(3, 227, 227)).parameter_count()
        34944
    """
    return parse_named(text, input=input, phase=phase, name=name, source=source)[0]


def parse_named(
    text: str,
    *,
    input: tuple[int, ...] | None = None,
    phase: Literal["TRAIN", "TEST"] = "TRAIN",
    name: str = "caffe",
    source: str = "prototxt",
) -> tuple[Network, dict[str, str]]:
    """Read a network as `parse` does, and say what each of the file's layers is called in it.

    A Scale that became part of the BatchNorm before it is called as that one.
    """
    where = Text(text, source)
    if len(text) > _MOST_TEXT:
        raise where.error(_MOST_TEXT, f"expected at most {_MOST_TEXT:,} characters.")
    message = read_message(where)

    def takes(image: tuple[int, ...]) -> bool:
        try:
            Reading(message, image, name, None).network(phase)
        except DesignError:
            return False
        return True

    reading = Reading(message, input, name, takes)
    network = reading.network(phase)
    known = {layer.name for layer in network.layers}
    return network, {theirs: ours for theirs, ours in reading.named.items() if ours in known}


__all__ = ["parse", "parse_named", "to_prototxt"]
