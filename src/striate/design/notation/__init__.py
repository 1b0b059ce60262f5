r"""Paper notation: networks as papers and lectures write them, in one line or as a listing.

Chains only: what branches is a prototxt, a `design.Sketch`, or a module that is described. Three
ways of writing are read, mixed at will; case does not matter:

- VGG's:        `conv3-64 conv3-64 maxpool conv3-128 ... FC-4096 FC-1000 soft-max`
- the pattern:  `[(CONV-RELU)*2-POOL]*3-(FC-RELU)*1,SOFTMAX`, with or without sizes
- a listing:    `CONV1: 96 11x11 filters at stride 4, pad 0` / `MAX POOL1: 3x3 filters at stride 2`

Grammar (`[ ]` optional, `{ }` any number of times, `|` or; spaces never matter between layers):

    network   = { separator } part { [ separator ] part }
    part      = item | group
    group     = "(" network ")" [ repeat ]  |  "[" network "]" [ repeat ]
    repeat    = ( "*" | "×" | "x" | "^*" ) NUMBER                   0 leaves the group out
    separator = "-" | "," | ";" | "|" | "->" | "→" | new line
    item      = [ volume ] [ label ":" ] layer [ ( "=>" | ":" ) volume ] [ "(" remark ")" ] [ "?" ]
    label     = the layer's name (`fc6`, `features.0`), or its word and number (`FC6`, `MAX POOL1`),
                or a range that stands for as many layers (`CONV2..12`)
    volume    = "[" height x width x channels "]" | "[" features "]"     checked, not believed
    layer     = "input" sizes | "no-relu"
              | "conv" [ WINDOW ] { "-"FEATURES | "/"STRIDE | "p"PAD | "d"DILATION | "g"GROUPS
                                  | "b0" no bias | "bxy" a bias for each position }
              | ( "maxpool" | "pool" | "avgpool" ) [ WINDOW ] { "/"STRIDE | "p"PAD
                                  | "c" ceil | "e" padding not counted | "="SIZE adaptive }
              | "gap" | "gmp"                                       global average, global max
              | "FC" [ "-" ] [ FEATURES ] [ "b0" ]                  also dense, linear
              | "relu" | "relu6" | "leakyrelu(SLOPE)" | "tanh[(OUTER, INNER)]" | "sigmoid" | "gelu"
              | "silu" | "hardswish" | "prelu" | "shared prelu"   a slope for each channel, for all
              | "soft-max" | "BN" | "LRN[(SIZE, ALPHA, BETA, K)]"
              | "dropout[(P)]" | "plain dropout[(P)]" | "gaussian dropout[(P)]"
              | "gaussian noise(DEVIATION)"
              | "flatten" | "zeropad"PAD
    WINDOW, STRIDE, DILATION, SIZE = NUMBER [ "x" NUMBER ]          one number is square
    PAD       = "same" | "valid" | "full" | ends [ "x" ends ]       ends = NUMBER [ ":" NUMBER ]

Sizes may also stand in words: `96 11x11 filters at stride 4, pad 0`, `3x3x64, stride 1 pad 1` (64
filters), `7x7 conv, 64, /2`, `3x3 max pool, stride 2`, `4096 neurons`, `1000-d fc`, `(40%)`. LaTeX
(`\times`, `\rightarrow`, `$`) and `# comments` are skipped.

What is left out is said in a note on the first layer concerned, and so in the sheet:

- input 224x224x3 (height x width x channels, as papers print it);
- 3x3 filters, 32 of them, twice as many after each pooling, at most 512;
- stride 1; at stride 1 the padding that keeps the size, at other strides none;
- pooling 2x2 with a stride as large as the window, and `pool` is max pooling;
- FC: 128 units; as many as there are classes for the last one. A last FC that has an activation is
  a hidden one, and one for the classes follows it;
- a ReLU after each convolution and FC but the last, if no activation is written at all
  (`no-relu` says that there is none); after the batch norm where one follows;
- `POOL?` is taken wherever the image is large enough for it;
- a final soft-max is the loss's and predict's, no layer: networks give logits. Where neither FC,
  conv nor average pooling comes before it, it brings its fully connected layer.

An image is flattened before its first FC, and at the end where one pixel is left. Numbers on a word
are sizes (`FC6` has 6 units, `CONV3` is 3x3), unless text about the layer follows (`FC6: 4096
neurons`, `CONV1 96 11x11 filters`) or the word has no size (`NORM1`): then they belong to its name.
"""

from __future__ import annotations

from striate.design.network import Network
from striate.design.notation import build
from striate.design.notation.parse import items_of
from striate.design.notation.write import to_notation
from striate.design.pointing import Text

__all__ = ["parse", "to_notation"]


def parse(
    text: str,
    *,
    classes: int | None = None,
    input: tuple[int, ...] | None = None,
    name: str = "notation",
    source: str = "notation",
) -> Network:
    """Read a network from paper notation.

    Args:
        text: the notation.
        classes: of a last layer whose number is not written; 10 unless given.
        input: (channels, height, width) or (features,); the text's own, or 3x224x224, unless given.
            The volumes in the text are checked only where they are of the same input.
        name: of the network.
        source: what to call the text in errors.

    Raises:
        NotationError: no notation, a layer that does not fit, a volume that is not so; points at
            the character and says what was expected.

    Example:
        >>> parse("INPUT 32x32x3 conv3-64 conv3-64 maxpool FC-10 soft-max").parameter_count()
        202570
    """
    where = Text(text, source)
    return build.Builder(where, input, classes).network(items_of(where), name)
