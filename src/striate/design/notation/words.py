"""The words and sizes of the notation, as regular expressions, each with an example."""

from __future__ import annotations

import re

FLAGS = re.IGNORECASE | re.ASCII

# Kind of layer -> how it is spelled. The first that fits is taken, so longer spellings come first.
_SPELLINGS = {
    "global_avg": r"global[ -]?(?:average|avg|ave|mean)[ -]?pool(?:ing)?|gap",
    "global_max": r"global[ -]?max[ -]?pool(?:ing)?|gmp",
    "max_pool": r"max[ -]?pool(?:ing)?|pool(?:ing)?",
    "avg_pool": r"(?:average|avg|ave|mean)[ -]?pool(?:ing)?",
    "conv": r"conv(?:olution(?:al)?)?(?: layer)?",
    "fc": r"fc|fully[ -]connected(?: layer)?|dense|linear",
    "softmax": r"soft-?max",
    "leaky_relu": r"leaky[ -]?relu|lrelu",
    "relu6": r"relu6",
    "relu": r"relu",
    "tanh": r"tanh",
    "sigmoid": r"sigmoid",
    "gelu": r"gelu",
    "silu": r"silu|swish",
    "hardswish": r"h(?:ard)?[ -]?swish",
    "shared_prelu": r"(?:channel[ -])?shared[ -]p-?relu",
    "prelu": r"(?:channel[ -]?wise[ -])?p-?relu",
    "batch_norm": r"batch[ -]?norm(?:ali[sz]ation)?|bn",
    "lrn": r"lrn|(?:local )?(?:response )?norm(?:ali[sz]ation)?(?: layer)?",
    "plain_dropout": r"plain[ -]drop-?out",
    "gaussian_dropout": r"(?:multiplicative[ -])?gaussian[ -]drop-?out"
    r"|multiplicative[ -](?:gaussian[ -])?noise",
    "gaussian_noise": r"(?:additive[ -])?gaussian[ -]noise|additive[ -]noise",
    "dropout": r"drop-?out",
    "flatten": r"flatten",
    "pad": r"zero-?pad(?:ding)?",
    "input": r"input",
    "no_relu": r"no-relu",
}
# A label of these words with a number is the layer's name: `MAX POOL1` is pool1.
NAMES = {
    "conv": "conv",
    "fc": "fc",
    "max_pool": "pool",
    "avg_pool": "pool",
    "global_avg": "pool",
    "global_max": "pool",
    "lrn": "norm",
    "batch_norm": "bn",
    "dropout": "drop",
    "plain_dropout": "drop",
    "gaussian_dropout": "drop",
    "gaussian_noise": "noise",
    "leaky_relu": "relu",
    "relu6": "relu",
    "shared_prelu": "prelu",
}
WORD = re.compile(
    "(?:" + "|".join(f"(?P<{kind}>{spelled})" for kind, spelled in _SPELLINGS.items()) + ")"
    "(?![a-z_])",
    FLAGS,
)
KNOWN = (
    "conv3-64", "maxpool", "avgpool", "gap", "FC-4096", "relu", "tanh", "sigmoid", "LRN", "BN",
    "dropout", "flatten", "soft-max", "input", "zeropad", "gaussian dropout", "gaussian noise",
    "hardswish",
)  # fmt: skip
# What is written where a network branches or joins, which a chain cannot.
BRANCH = re.compile(
    r"\+|residual|res-?block|res\d|bottleneck|inception|fire|mb-?conv|dense-?block|squeeze|excit"
    r"|se(?![a-z])|add(?![a-z])|sum(?![a-z])|concat|merge|skip|shortcut|branch|parallel|split"
    r"|elt-?wise|element-?wise|multiply",
    FLAGS,
)
CHAINS_ONLY = (
    " Notation writes chains; branches: a prototxt, design.Sketch, or your module through "
    "striate.describe (docs/notation.md)."
)

_X = r"\s*[x\u00d7]\s*"
_POOL_OR_CONV = r"(?:max|average|avg|ave|mean|global|pool|conv)"
_END = r"(?![\w.]|" + _X + r"\d)"


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, FLAGS)


# -- between layers --------------------------------------------------------------------------------

SPACE = _compile(r"(?:\s+|#[^\n]*|memory\s*:[^\n]*|\(\s*not counting biases\s*\))+")
SEPARATOR = _compile(r"(?:-->|->|\u2192|\u2013|[-,;|])")
REPEAT = _compile(r"\s*(?:\^?\*|\^?\u00d7|x(?=\s*\w))\s*")
REPEAT_ITEM = _compile(r"(?:\*|\u00d7)")
COUNT = _compile(r"\d+(?!\w)")
VOLUME = _compile(rf"\[\s*(\d+)(?:{_X}(\d+))?(?:{_X}(\d+))?\s*\]")  # [55x55x96]
DIMS = _compile(rf"(\d+)(?:{_X}(\d+))?(?:{_X}(\d+))?{_END}")  # 55x55x96
GIVES = _compile(r"\s*(?:=>|:)\s*(?=\[\s*\d)|[ \t]+(?=\[[\d\sx\u00d7]*\][ \t]*(?:memory\b|\n|$))")
LABEL = _compile(r"([a-z][\w]*(?:\.\w+)*)\s*:(?!\d|\s*\[\s*\d)")  # conv1: or features.0:
INDEX = _compile(r" ?(\d+)(?:\.\.(\d+))?\s*:(?!\s*\[\s*\d)\s*")  # the 2..12 of `CONV2..12:`
UNEVEN = _compile(r"\d+:\d")  # the 1:0 of `zeropad1:0`
INDEX_OF_PROSE = _compile(
    rf"(\d+)(?=\s+(?:\d+\s+\d+{_X}\d+|\d+{_X}\d+\s+(?:filter|window)|\d+\s+neuron))"
)  # the 1 of `CONV1 96 11x11 filters`
INDEX_PLAIN = _compile(r"(\d+)(?!\w)")  # the 1 of `NORM1`
REMARK = _compile(r"\s+\(\s*\*?[a-z][a-z ,%]*\*?\s*\)")  # (class scores)
REMARK_LAYER = _compile(r"\b(?:conv|relu|pool|fc|dense|norm|lrn|bn|gap|drop|soft)")
SIZE_FIRST = _compile(rf"(\d+)(?:{_X}(\d+))?\s+(?={_POOL_OR_CONV})")  # 3x3 max pool
WIDTH_FIRST = _compile(r"(\d+)-d\s+(?=fc|fully|dense|linear)")  # 1000-d fc

# -- sizes written on the word: conv3-64/2p1 -------------------------------------------------------

WINDOW = _compile(r"(\d+)(?:[x\u00d7](\d+))?")
WINDOW_APART = _compile(r" (\d+)(?=\s*:\s*\[)")  # the 2 of `POOL 2: [112x112x64]`
_FEATURES = rf"-(\d+)(?![\d.]|-d\b|\s*[x\u00d7]\s*\d+\s+{_POOL_OR_CONV})"
_PAD = r"\d+(?::\d+)?(?:[x\u00d7]\d+(?::\d+)?)?"
PADDING = _compile(rf"same|valid|full|{_PAD}")
COMPACT = {
    "features": _compile(_FEATURES),
    "stride": _compile(r"/(\d+)(?:[x\u00d7](\d+))?"),
    "padding": _compile(rf"p(same|valid|full|{_PAD})"),
    "dilation": _compile(r"d(\d+)(?:[x\u00d7](\d+))?"),
    "groups": _compile(r"g(\d+)"),
    "bias": _compile(r"b(0|xy)"),
    "ceil": _compile(r"c(?=e?(?![a-z]))"),
    "exclude": _compile(r"e(?=c?(?![a-z]))"),
    "to": _compile(r"=(\d+)(?:[x\u00d7](\d+))?"),
}

# -- sizes written in words: 96 11x11 filters at stride 4, pad 0 -----------------------------------

_BEFORE = r"[\s,:]*(?:applied\s+|used\s+)?(?:at\s+|with\s+|and\s+)?"
PROSE = {
    "features kernel": _compile(rf"[\s:,]*(\d+)\s+(\d+){_X}(\d+){_END}(?!\s+{_POOL_OR_CONV})"),
    "kernel features": _compile(rf"[\s:,]*(\d+){_X}(\d+)(?:{_X}|\s*,\s*|\s+)(\d+){_END}(?!-d)"),
    "kernel": _compile(rf"[\s:,]*(\d+){_X}(\d+){_END}(?!\s+{_POOL_OR_CONV})"),
    "features": _compile(
        r"[\s:,]*(\d+)\s*(?:filters?|feature maps?|features?|maps?|channels?|kernels?)(?!\w)"
    ),
    "stride": _compile(rf"{_BEFORE}strides?\s*[=:]?\s*(\d+)(?:{_X}(\d+))?"),
    "more features": _compile(rf"\s*,\s*(\d+){_END}(?!-d|\s+\d)"),
    "slash": _compile(r"[\s,]*/\s*(\d+)(?:[x\u00d7](\d+))?"),
    "padding": _compile(rf"{_BEFORE}(?:zero[ -]?)?pad(?:ding)?\s*[=:]?\s*(same|valid|full|{_PAD})"),
    "dilation": _compile(rf"{_BEFORE}dilation\s*[=:]?\s*(\d+)(?:{_X}(\d+))?"),
    "groups": _compile(rf"{_BEFORE}groups?\s*[=:]?\s*(\d+)"),
}
FILLER = _compile(r"\s*(?:filters?|windows?|kernels?)(?!\w)")
WIDTH = _compile(
    r"[\s:,]*(\d+)\s*(?:neurons?|units?|outputs?|features?)(?!\w)|-?(\d+)(?:(?=b0)|(?![\w.]))"
    rf"|\s+(\d+)(?![\w.-]|{_X}\d|\s+\d|\s+{_POOL_OR_CONV})"
)
DESCRIPTION = _compile(r"[\s:]*normali[sz]ation layer")
NO_BIAS = _compile(r"b0(?!\w)")
NUMBERS = _compile(r"\s*\(\s*([-+.\de]+(?:\s*,\s*[-+.\de]+)*)\s*(%?)\s*\)")
NUMBER = _compile(r"(?:[ -])?(\d*\.?\d+)(%?)(?![\w.])")
IMAGE = _compile(rf"\s*\(\s*(\d+){_X}(\d+)\s*(rgb|gr[ea]y)?(?:scale)?\s*(?:images?)?\s*\)")
