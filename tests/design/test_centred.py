from __future__ import annotations

import pytest
import torch

from striate import zoo
from striate.design import Identity, Sketch
from striate.design.centred import MEAN_IMAGE, WHITENING, centred, tensors
from striate.errors import DesignError
from striate.layers import build


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


def test_the_mean_is_taken_off_and_the_rest_multiplied() -> None:
    """By the built network: the matrix times what is left of the image, as an image again."""
    net = Sketch("t", (1, 2, 2))
    net.put(Identity(name="same", inputs=("x",)))
    built = build(centred(net.finish(), "zca"), seed=0).eval()
    image, mean = torch.rand(1, 1, 2, 2), torch.rand(1, 2, 2)
    matrix = torch.rand(4, 4)
    assert torch.equal(built(image), torch.zeros(1, 1, 2, 2))  # both start as zeros
    built.load_state_dict({MEAN_IMAGE: mean, WHITENING: matrix})
    torch.testing.assert_close(
        built(image), ((image - mean).view(1, 4) @ matrix.T).view(1, 1, 2, 2)
    )


def test_an_image_of_just_so_many_values_is_whitened() -> None:
    largest = zoo.network("resnet20", classes=10, input=(1, 64, 64))
    assert centred(largest, "zca").layer("whitening.matrix").note == ""
    with pytest.raises(DesignError, match=r"up to 4,096 values, whose matrix has 17 million, rec"):
        centred(zoo.network("resnet20", classes=10, input=(1, 64, 65)), "zca")


def test_a_matrix_that_is_too_large_is_refused_with_the_size_that_goes() -> None:
    plain = zoo.network("resnet18", classes=10, input=(3, 64, 64))
    assert centred(plain, "mean_image").layers[0].name == "mean_image"
    with pytest.raises(DesignError, match=r"received 12,288.*--size 36 or less"):
        centred(plain, "zca")
