"""Every algorithm against the definition, over a space of shapes; torch's checks of operators."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ops.problems import LAYOUTS, answers, problems, supporting, tensors, terms
from torch import Tensor, nn

from striate.errors import UsageError
from striate.ops import ALGORITHMS, Problem, conv2d

OURS = [name for name in ALGORITHMS if name != "direct"]
WIDE = ("reference", "toeplitz", "im2col", "fft", "fft_tiled")  # in double precision too


def check(task: Problem, seed: int, layout: str) -> None:
    given_ = tensors(task, seed, layout)
    expected = answers(task, given_, "reference", torch.float64)
    for name in supporting(task):
        found = answers(task, given_, name, torch.float32)
        cases = zip("y dx dw db".split(), found, expected, terms(task), strict=True)
        for what, ours, true, count in cases:
            assert ours.shape == true.shape and ours.dtype == torch.float32
            if true.numel():
                error = (ours - true).pow(2).mean().sqrt() / count**0.5
                assert error < 4 * ALGORITHMS[name].relative_error(task), (name, what, float(error))


@settings(max_examples=120, deadline=None)
@given(problems(general=True), st.integers(0, 99), st.sampled_from(sorted(LAYOUTS)))
def test_any_problem_has_the_definitions_answer(task: Problem, seed: int, layout: str) -> None:
    check(task, seed, layout)


@settings(max_examples=60, deadline=None)
@given(problems(general=True), st.integers(0, 99), st.sampled_from(sorted(LAYOUTS)))
def test_filters_of_single_channels_have_the_definitions_answer(
    task: Problem, seed: int, layout: str
) -> None:
    channels = 7 * task.channels + task.features
    check(task.replace(channels=channels, features=channels, groups=channels), seed, layout)


@settings(max_examples=60, deadline=None)
@given(problems(general=False), st.integers(0, 99), st.sampled_from(sorted(LAYOUTS)))
def test_fast_algorithms_have_the_definitions_answer(task: Problem, seed: int, layout: str) -> None:
    check(task, seed, layout)


def test_the_definition_is_torchs() -> None:
    """The oracle of all others: no loop of it is checked by itself."""
    task = Problem(
        batch=2,
        channels=6,
        features=4,
        size=(9, 8),
        kernel=(3, 2),
        stride=(2, 1),
        padding=((2, 1), (0, 1)),
        dilation=(1, 2),
        groups=2,
    )
    given_ = tensors(task, 0)
    for ours, theirs in zip(
        answers(task, given_, "reference", torch.float64),
        answers(task, given_, "direct", torch.float64),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def pair(name: str, image: tuple[int, ...], weight: tuple[int, ...]) -> tuple[Tensor, Tensor, int]:
    """Return image, filters and groups: filters of single channels where the algorithm has such."""
    groups = image[1] if name == "depthwise" else 1
    if groups > 1:
        weight = (groups, 1, *weight[2:])
    return torch.randn(image), torch.randn(weight), groups


def small(dtype: torch.dtype, name: str = "") -> tuple[Tensor, Tensor, Tensor, int]:
    torch.manual_seed(0)
    x, weight, groups = pair(name, (2, 2, 5, 6), (3, 2, 3, 3))
    drawn = (x, weight, torch.randn(len(weight)))
    x, weight, bias = (each.to(dtype).requires_grad_() for each in drawn)
    return x, weight, bias, groups


@pytest.mark.parametrize("name", WIDE)
def test_derivatives_of_both_orders(name: str) -> None:
    x, weight, bias, _ = small(torch.float64)

    def function(*inputs: Tensor) -> Tensor:
        return conv2d(*inputs, padding=((1, 0), (1, 2)), algorithm=name)

    assert torch.autograd.gradcheck(function, (x, weight, bias), fast_mode=True)
    assert torch.autograd.gradgradcheck(function, (x, weight, bias), fast_mode=True)


@pytest.mark.parametrize("name", [name for name in OURS if name not in WIDE])
def test_second_derivatives_are_torchs(name: str) -> None:
    """Single precision: compared with torch's in double precision."""
    found = []
    for algorithm, dtype in ((name, torch.float32), ("direct", torch.float64)):
        x, weight, bias, groups = small(dtype, name)
        y = conv2d(x, weight, bias, padding=1, groups=groups, algorithm=algorithm)
        first = torch.autograd.grad(y.pow(3).sum(), [x, weight], create_graph=True)
        second = torch.autograd.grad(first[0].pow(2).sum() + first[1].pow(2).sum(), [x, weight])
        found.append([*first, *second])
    for ours, theirs in zip(*found, strict=True):
        assert (ours - theirs).norm() < 1e-4 * theirs.norm()


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("name", OURS)
def test_torchs_own_checks_of_an_operator(name: str, layout: str) -> None:
    x, weight, bias, groups = small(torch.float32, name)
    x = LAYOUTS[layout](x.detach()).requires_grad_()
    tail = ([1, 1], [1, 0, 2, 1], [1, 1], groups)
    operators = torch.ops.striate
    y = getattr(operators, f"conv2d_{name}")(x, weight, bias, *tail)
    cases = {
        f"conv2d_{name}": (x, weight, bias, *tail),
        f"conv2d_{name}_by_input": (y.detach(), weight, [5, 6], *tail),
        f"conv2d_{name}_by_weight": (x, y.detach(), [3, 3], *tail),
    }
    for operator, arguments in cases.items():
        torch.library.opcheck(getattr(operators, operator).default, arguments)


class Two(nn.Module):
    """Two convolutions by one algorithm."""

    def __init__(self, algorithm: str) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3)
        self.algorithm = algorithm

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.first, self.second):
            x = conv2d(x, layer.weight, layer.bias, padding=1, algorithm=self.algorithm).relu()
        return x


@pytest.mark.parametrize("name", ["winograd_4x4", "fft_tiled", "im2col", "direct"])
def test_compiled_and_exported(name: str) -> None:
    net, x = Two(name), torch.randn(2, 3, 12, 12)
    expected = net(x)
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    y = compiled(x)
    torch.testing.assert_close(y, expected)
    y.sum().backward()
    assert net.first.weight.grad is not None and net.first.weight.grad.abs().sum() > 0
    free = {0: torch.export.Dim("batch"), 2: torch.export.Dim("height", min=3)}
    exported = torch.export.export(net, (x,), dynamic_shapes=(free,), strict=True).module()
    other = torch.randn(3, 3, 20, 12)
    torch.testing.assert_close(exported(other), net(other))


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_what_is_not_finite_stays_in_its_image(name: str, bad: float) -> None:
    torch.manual_seed(1)
    x, weight, groups = pair(name, (3, 8, 9, 9), (4, 8, 3, 3))
    clean = conv2d(x, weight, padding=1, groups=groups, algorithm=name)
    x[1, 3, 4, 4] = bad
    y = conv2d(x, weight, padding=1, groups=groups, algorithm=name)
    assert torch.equal(y[[0, 2]], clean[[0, 2]])
    assert not torch.isfinite(y[1]).all()


@pytest.mark.parametrize("name", OURS)
def test_a_result_does_not_depend_on_the_rest_of_the_batch(name: str) -> None:
    torch.manual_seed(2)
    x, weight, groups = pair(name, (5, 16, 9, 9), (8, 16, 3, 3))
    together = conv2d(x, weight, padding=1, groups=groups, algorithm=name)
    alone = conv2d(x[2:3], weight, padding=1, groups=groups, algorithm=name)
    if name in ("im2col", "fft", "fft_tiled", "outer"):  # torch may sum in another order
        torch.testing.assert_close(together[2:3], alone)
    else:
        assert torch.equal(together[2:3], alone)


@pytest.mark.parametrize("kernel", [(3, 3), (5, 5), (1, 7)])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_errors_stay_below_the_bound(name: str, kernel: tuple[int, int]) -> None:
    """At 512 channels, rectified inputs, filters scaled as they are initialised."""
    torch.manual_seed(3)
    channels = 16 if name == "toeplitz" else 512
    x = torch.randn(1, channels, 10, 10).relu()
    weight = torch.randn(32, channels, *kernel)
    weight *= (2 / weight[0].numel()) ** 0.5
    task = Problem(batch=1, channels=channels, features=32, size=(10, 10), kernel=kernel)
    algorithm = ALGORITHMS[name]
    if not algorithm.supports(task):
        pytest.skip("not for this filter")
    y = algorithm.forward(x, weight, task)
    true = conv2d(x.double(), weight.double())
    error, bound = float((y - true).norm() / true.norm()), algorithm.relative_error(task)
    assert error < bound
    if name.startswith("winograd"):
        assert error > bound / 30  # the bound says something


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_table_says_what_memory_it_takes(name: str) -> None:
    task = Problem(
        batch=2, channels=16, features=32, size=(14, 14), kernel=(3, 3), padding=((1, 1), (1, 1))
    )
    algorithm = ALGORITHMS[name]
    if name == "depthwise":
        task = task.replace(groups=16, features=16)
    assert algorithm.supports(task) and algorithm.name == name
    assert algorithm.workspace_bytes(task) >= 0
    assert algorithm.deterministic


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")  # torch's own forward mode uses it
@pytest.mark.parametrize("algorithm", ["packed", "fft"])
def test_derivatives_that_torch_has_for_its_own_operators_only_are_refused(algorithm: str) -> None:
    """torch would refuse the first two in words of its own, and let the others be zero."""
    x, weight = torch.randn(2, 8, 6, 6), torch.randn(4, 8, 3, 3)

    def run(image: Tensor, by: str = algorithm) -> Tensor:
        return conv2d(image, weight, algorithm=by)

    def dual(run: Callable[[Tensor], Tensor]) -> Tensor:
        with torch.autograd.forward_ad.dual_level():
            return run(torch.autograd.forward_ad.make_dual(x, x))

    for derive in (
        lambda f: torch.func.grad(lambda image: f(image).sum())(x),
        lambda f: torch.func.vjp(f, x),
        lambda f: torch.func.jvp(f, (x,), (x,)),
        dual,
    ):
        with pytest.raises(UsageError, match="algorithm='direct' works under them"):
            derive(run)
        derive(lambda image: run(image, "direct"))
    each = torch.vmap(lambda image: run(image[None])[0])(x)
    torch.testing.assert_close(each, run(x, "direct"), rtol=1e-4, atol=1e-4)
