"""Complete runs, one function each, and the choice among them by what the images are like.

Example:
    >>> from striate import recipes
    >>> facts = recipes.DataFacts(name="mnist", path="mnist", count=60000, classes=10,
    ...                           channels="grey", size=(28, 28), uniform=True)
    >>> recipes.choose(facts)
    'small_images'
"""

from striate.recipes.adversarial import fast_adversarial, pgd_adversarial
from striate.recipes.automatic import check, choose, make
from striate.recipes.cifar10 import resnet20_cifar10, resnet56_cifar10
from striate.recipes.facts import DataFacts, facts_of
from striate.recipes.lenet5 import lenet5_1998
from striate.recipes.photographs import photographs
from striate.recipes.registry import Wish, get, names, register
from striate.recipes.small import small_images, tiny_images

__all__ = [
    "DataFacts",
    "Wish",
    "check",
    "choose",
    "facts_of",
    "fast_adversarial",
    "get",
    "lenet5_1998",
    "make",
    "names",
    "pgd_adversarial",
    "photographs",
    "register",
    "resnet20_cifar10",
    "resnet56_cifar10",
    "small_images",
    "tiny_images",
]
