"""How a network is fooled: attacks in pixel space, and guards against believing them too soon.

Every attack is a function of (net, contract, images, labels) on pixels of 0 to 1, with the
contract's normalisation inside. `robustness` is the table of accuracy against eps, with the guards
that say when it cannot be trusted.
"""

from striate.attack.account import Assault, Common, Nearest
from striate.attack.assault import Means, assault
from striate.attack.attacked import Attacked
from striate.attack.carlini_wagner import carlini_wagner
from striate.attack.deepfool import deepfool
from striate.attack.gradient_sign import fgsm, iterated_fgsm
from striate.attack.guards import Guard, inspect
from striate.attack.noise import noise
from striate.attack.pgd import pgd
from striate.attack.pictures import fooled, panda
from striate.attack.robustness import Robustness, Row, robustness
from striate.attack.universal import Universal, universal

__all__ = [
    "Assault",
    "Attacked",
    "Common",
    "Guard",
    "Means",
    "Nearest",
    "Robustness",
    "Row",
    "Universal",
    "assault",
    "carlini_wagner",
    "deepfool",
    "fgsm",
    "fooled",
    "inspect",
    "iterated_fgsm",
    "noise",
    "panda",
    "pgd",
    "robustness",
    "universal",
]
