"""Published weights: networks that others trained, with their own preparation and class names.

`open` takes a name or a file, in whatever form its framework wrote it, and gives a network on
paper, its tensors, and the contract without which neither means anything. Nothing is unpickled.
"""

from striate.weights.fit import fit
from striate.weights.opening import open
from striate.weights.published import Published, entry, find, names
from striate.weights.weights import Weights

__all__ = ["Published", "Weights", "entry", "find", "fit", "names", "open"]
