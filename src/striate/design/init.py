"""How a parameter starts, as records; `layers` draws the numbers."""

from __future__ import annotations

from typing import ClassVar, Literal

from striate.records import Family


class Init(Family, frozen=True, kw_only=True):
    """How a parameter starts."""

    family: ClassVar[str] = "initialisation"


class Constant(Init, frozen=True, kw_only=True):
    """Every element is `value`."""

    value: float = 0.0


class Normal(Init, frozen=True, kw_only=True):
    """N(0, std^2), the fixed Gaussian of AlexNet and VGG."""

    std: float = 0.01


class Uniform(Init, frozen=True, kw_only=True):
    """U(-bound, bound)."""

    bound: float = 0.05


class FanInUniform(Init, frozen=True, kw_only=True):
    """U(-b, b) with b = gain / sqrt(fan in of the layer's weight); torch's own default.

    Source: LeCun et al., "Efficient BackProp", 1998, section 4.6, in torch's form.
    """

    gain: float = 1.0


class InverseFanIn(Init, frozen=True, kw_only=True):
    """U(-b, b) with b = gain / (fan in of the layer's weight), as LeNet-5 started.

    Source: LeCun et al., Proc. IEEE 1998, appendix A.
    """

    gain: float = 2.4


class He(Init, frozen=True, kw_only=True):
    """N(0, 2 / fan): keeps the variance through layers of ReLU.

    Args:
        fan: `in` keeps it forward, `out` backward.

    Source: He et al., "Delving Deep into Rectifiers", ICCV 2015.
    """

    fan: Literal["in", "out"] = "in"


class Xavier(Init, frozen=True, kw_only=True):
    """N or U with variance 2 / (fan in + fan out).

    Source: Glorot and Bengio, AISTATS 2010.
    """

    uniform: bool = True


class Codes(Init, frozen=True, kw_only=True):
    """A word of -1 and 1 in each row.

    Args:
        words: one string a row, `#` for 1 and anything else for -1. Rows beyond them are drawn,
            either sign as likely.

    Source: LeCun et al., Proc. IEEE 1998, section II.B and figure 3.
    """

    words: tuple[str, ...] = ()


class Fading(Init, frozen=True, kw_only=True):
    """Weaker away from the centre of a window: proportional to ratio^distance.

    Args:
        ratio: of two pixels' weights, the one farther away by 1.
        total: of all weights.
    """

    ratio: float = 0.8
    total: float = 1.0


class UnitBall(Init, frozen=True, kw_only=True):
    """U(0, 1), each row divided by its sum: Caffe's positive_unitball."""


class Bilinear(Init, frozen=True, kw_only=True):
    """The filter that enlarges by linear interpolation, in each channel: Caffe's bilinear.

    weight[.., i, j] = (1 - |i / f - c|) (1 - |j / f - c|), f = ceil(size / 2),
    c = (2f - 1 - f mod 2) / 2f.
    """
