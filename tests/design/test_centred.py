from __future__ import annotations

import pytest

from striate import zoo
from striate.design.centred import MEAN_IMAGE, WHITENING, centred, tensors
from striate.errors import DesignError


def test_a_centring_comes_first_once_and_goes_again() -> None:
    plain = zoo.network("lenet", classes=10, input=(1, 28, 28))
    whitened = centred(plain, "zca")
    assert whitened.layers[0].inputs == plain.layers[0].inputs
    assert whitened.layer("conv1").inputs == ("whitening.image",)
    assert whitened.shapes()["whitening.image"] == (1, 28, 28)
    assert whitened.parameter_count() == plain.parameter_count() + 784**2
    assert [each.name for each in whitened.parameters() if not each.trainable] == [WHITENING]
    assert centred(whitened, "zca") == whitened
    assert centred(whitened, "none") == plain == centred(plain, "none")
    assert tensors(whitened) == (MEAN_IMAGE, WHITENING)
    assert tensors(centred(whitened, "mean_image")) == (MEAN_IMAGE, None)
    assert tensors(plain) == (None, None)


def test_a_matrix_that_is_too_large_is_refused_with_the_size_that_goes() -> None:
    plain = zoo.network("resnet18", classes=10, input=(3, 64, 64))
    assert centred(plain, "mean_image").layers[0].name == "mean_image"
    with pytest.raises(DesignError, match=r"received 12,288.*--size 36 or less"):
        centred(plain, "zca")
