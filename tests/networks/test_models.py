"""Networks and cells: what they compute, against closed forms and each other; bounds that hold; mistakes caught."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from ufm.deq import DEQ, MODELS, ExplicitNetwork, LinearDEQNetwork, build_model, load_dataset
from ufm.deq.cells import (
    Activation,
    ContractiveConvCell,
    DenseCell,
    FreeCell,
    ResidualConvCell,
    conv_norm_bound,
)
from ufm.networks.models import (
    DEQNetwork,
    ResNet18,
    UnrolledNetwork,
    UntiedNetwork,
    check_options,
    matched_width,
    parameter_counts,
)
from ufm.networks.output import pool
from ufm.networks.resnet import BasicBlock, ResNet18Encoder

SHAPES = {"image": (1, 9, 8), "colour": (3, 8, 8), "signal": (1, 13)}
WIDTH = {"resnet18": 4}
EXACT = {"tol": 1e-12, "max_steps": 400, "on_failure": "raise"}
DEQS = ("linear-deq", "deq", "conv-deq")


def small(name: str, shape=(1, 8, 8), k: int = 3, **options) -> nn.Module:
    return build_model(name, shape, k, **{"width": WIDTH.get(name, 8), **options})


def draw(seed: int, *shape: int, dtype=torch.float64) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).to(dtype)


def randomised(module: nn.Module, seed: int, scale: float = 1.0) -> nn.Module:
    with torch.no_grad():
        for i, p in enumerate(module.parameters()):
            p.copy_(scale * draw(seed + i, *p.shape, dtype=p.dtype))
    return module


def type_of(model: nn.Module) -> torch.dtype:
    return model.classifier.weight.dtype


# Every model --------------------------------------------------------------------------------------------------------

VARIANTS = [(name, {}) for name in MODELS] + [
    (f"conv-{form}", {"cell": "contractive", "activation": "tanh"}) for form in ("deq", "unrolled", "untied")
]
VARIANTS.append(("conv-deq", {"cell": "contractive", "blocks": 2}))


@pytest.mark.parametrize(("name", "options"), VARIANTS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
class TestEveryModel:
    @pytest.mark.sample(21)
    def test_output_and_gradients(self, name, options, shape):
        model = small(name, shape, depth=3, **options) if "depth" in has(name) else small(name, shape, **options)
        dtype = torch.float32 if name.startswith("conv") or name == "resnet18" else torch.float64
        assert {p.dtype for p in model.parameters()} == {dtype}
        output = model(draw(0, 6, *shape, dtype=dtype))
        assert output.logits.shape == (6, 3)
        assert output.features.ndim == 2
        torch.testing.assert_close(output.logits, output.features @ model.classifier.weight.T)
        assert (output.info is not None) == (name in DEQS)
        assert output.injected.shape[0] == 6
        assert (output.equilibrium is not None) == (name in DEQS)
        if output.equilibrium is not None:
            f, z = output.equilibrium
            assert z.shape == output.injected.shape
            torch.testing.assert_close(f(z), z, rtol=1e-3, atol=1e-4)
        nn.functional.cross_entropy(output.logits, torch.arange(6) % 3).backward()
        # at the start A is on its bound, and phi may be flat: every weight has a gradient, though it can be 0
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        assert model.classifier.weight.grad.any()
        assert next(iter(model.encoder.parameters())).grad.any()

    @pytest.mark.sample(14)
    def test_seeds(self, name, options, shape):
        a, b, c = (small(name, shape, seed=s, **options) for s in (5, 5, 6))
        x = draw(1, 4, *shape, dtype=type_of(a))
        assert [n for n, _ in a.named_parameters()] == [n for n, _ in b.named_parameters()]
        assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
        assert torch.equal(a(x).logits, b(x).logits)
        assert not torch.equal(a.classifier.weight, c.classifier.weight)
        assert not torch.equal(a(x).logits, c(x).logits)

    def test_state_is_the_whole_model(self, name, options, shape):
        model, other = (small(name, shape, seed=s, **options) for s in (5, 6))
        other.load_state_dict(model.state_dict())
        x = draw(1, 4, *shape, dtype=type_of(model))
        assert torch.equal(model(x).logits, other(x).logits)


def has(name: str) -> set[str]:
    from ufm.networks.models import _OPTIONS

    return set(_OPTIONS[name])


def test_forms_share_encoder_and_classifier():
    for family in (("explicit", "linear-deq", "deq", "unrolled", "untied", "feedforward"), ("conv-deq", "conv-untied")):
        first, *others = (small(name, seed=3) for name in family)
        for other in others:
            for part in ("encoder", "classifier"):
                state = getattr(first, part).state_dict()
                assert all(torch.equal(v, state[k]) for k, v in getattr(other, part).state_dict().items())
    # free layers draw from another stream than the encoder: their numbers are not its numbers over again
    free = small("feedforward", dim=8, seed=3, depth=2).cells
    same = FreeCell(8, "tanh", 1.0, torch.Generator().manual_seed(3))
    assert not torch.allclose(free[0].weight, same.weight)
    assert not torch.allclose(free[0].weight, free[1].weight)


def test_dtype():
    for name in MODELS:
        for dtype in (torch.float32, torch.float64):
            model = small(name, dtype=dtype)
            assert {p.dtype for p in model.parameters()} == {dtype}
            assert model(draw(0, 4, 1, 8, 8, dtype=dtype)).logits.dtype == dtype


# Fixed points -------------------------------------------------------------------------------------------------------


class TestLinear:
    @pytest.mark.parametrize("solver", ["fixed_point", "anderson", "broyden"])
    @pytest.mark.parametrize("activation", ["tanh", "relu"])
    def test_without_nonlinearity_is_the_linear_network_bit_for_bit(self, solver, activation):
        options = {"dim": 5, "rho": 0.7, "solver": solver, **EXACT}
        linear, cell = small("linear-deq", **options), small("deq", gamma=0, activation=activation, **options)
        randomised(linear, 4, 0.3)
        for p, q in zip(
            [*cell.encoder.parameters(), cell.classifier.weight, cell.cell.equilibrium.weight],
            [*linear.encoder.parameters(), linear.classifier.weight, linear.equilibrium.weight],
            strict=True,
        ):
            p.data.copy_(q.data)
        x = draw(0, 7, 1, 8, 8)
        outputs = [m(x) for m in (linear, cell)]
        for field in ("logits", "features", "injected"):
            assert torch.equal(*(getattr(o, field) for o in outputs))
        for o in outputs:
            o.logits.square().sum().backward()
        assert torch.equal(linear.equilibrium.weight.grad, cell.cell.equilibrium.weight.grad)
        assert torch.equal(linear.encoder.hidden.weight.grad, cell.encoder.hidden.weight.grad)

    def test_mutant_a_little_nonlinearity_shows(self):
        a, b = (small("deq", gamma=g, dim=5, **EXACT) for g in (0, 1e-3))
        for m in (a, b):
            randomised(m, 4, 0.3)
        x = draw(0, 7, 1, 8, 8)
        assert 1e-6 < (a(x).features - b(x).features).norm() / a(x).features.norm() < 1e-2

    def test_flat_and_shaped_inputs_are_the_same(self):
        model, x = ExplicitNetwork(64, 3, dim=4, width=9), draw(0, 5, 1, 8, 8)
        assert torch.equal(model(x).logits, model(x.flatten(1)).logits)

    def test_unrolled_is_the_partial_sum(self):
        model = randomised(small("unrolled", gamma=0, dim=4, depth=5), 0, 0.4)
        h = model.encoder(draw(1, 6, 1, 8, 8))
        a = model.cell.equilibrium()
        expected = sum(h @ torch.linalg.matrix_power(a.T, i) for i in range(6))
        torch.testing.assert_close(model(draw(1, 6, 1, 8, 8)).features, expected, rtol=1e-12, atol=1e-12)

    def test_feedforward_is_the_deep_linear_network(self):
        model = randomised(small("feedforward", gamma=0, dim=4, depth=3), 0, 0.5)
        x = draw(1, 6, 1, 8, 8)
        product = model.classifier.weight
        for cell in reversed(model.cells):
            product = product @ cell.weight
        torch.testing.assert_close(model(x).logits, model.encoder(x) @ product.T, rtol=1e-12, atol=1e-12)

    def test_free_layers_start_orthogonal(self):
        cell = FreeCell(6, "tanh", 1.0, torch.Generator().manual_seed(0))
        torch.testing.assert_close(cell.weight @ cell.weight.T, torch.eye(6, dtype=torch.float64))


CONTRACTIONS = [
    ("deq", {"activation": "tanh"}),
    ("deq", {"activation": "relu", "gamma": 0.5, "rho": 0.9}),
    ("conv-deq", {"cell": "contractive"}),
    ("conv-deq", {"cell": "contractive", "activation": "tanh", "gamma": 0.5}),
]


class TestFixedPoint:
    @pytest.mark.parametrize("solver", ["fixed_point", "anderson"])
    @pytest.mark.parametrize(("name", "options"), [*CONTRACTIONS, ("conv-deq", {})])
    def test_is_solved_and_unique(self, name, options, solver):
        model = small(name, dtype=torch.float64, solver=solver, **EXACT, **options)
        if options:  # the residual cell keeps its start: nothing makes it contract elsewhere
            randomised(model, 1, 0.5)
        x = draw(2, 5, 1, 8, 8)
        with torch.no_grad():
            output = model(x)
            f = model.cell(output.injected)
            # another start, plain iteration: the same equilibrium
            z = draw(3, *output.injected.shape)
            for _ in range(300):
                z = f(z)
        torch.testing.assert_close(f(z), z, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(pool(z), output.features, rtol=1e-8, atol=1e-8)
        assert output.info.all_converged

    @pytest.mark.parametrize(("name", "options"), CONTRACTIONS)
    def test_unrolled_comes_nearer_at_the_rate_of_the_contraction(self, name, options):
        model = randomised(small(name, dtype=torch.float64, **EXACT, **options), 1, 0.5)
        rho = model.cell.equilibrium.rho if name == "deq" else model.cell.rho
        with torch.no_grad():
            h = model.encoder(draw(2, 5, 1, 8, 8))
            f = model.cell(h)
            z, _ = model.deq(f, h)
            start = (h - z).flatten(1).norm(dim=1)
            step = h
            for depth in range(1, 9):
                step = f(step)
                assert ((step - z).flatten(1).norm(dim=1) <= rho**depth * start * (1 + 1e-9) + 1e-10).all()


class TestExplicitCounterparts:
    @pytest.mark.parametrize(("family", "options"), [("", {}), ("conv-", {}), ("conv-", {"cell": "contractive"})])
    def test_untied_with_equal_cells_is_unrolled(self, family, options):
        tied = small(f"{family}unrolled", depth=3, dtype=torch.float64, **options)
        randomised(tied, 2, 0.4)
        untied = UntiedNetwork(tied.encoder, [tied.cell] * 3, tied.classifier)
        x = draw(0, 4, 1, 8, 8)
        assert torch.equal(tied(x).logits, untied(x).logits)
        other = small(f"{family}untied", depth=3, dtype=torch.float64, **options)
        assert len({id(p) for p in other.cells.parameters()}) == 3 * len(list(tied.cell.parameters()))

    def test_many_steps_are_the_equilibrium(self):
        options = {"dim": 5, "rho": 0.6, "seed": 2}
        unrolled, deq = small("unrolled", depth=60, **options), small("deq", **EXACT, **options)
        for m in (unrolled, deq):
            randomised(m, 2, 0.4)
        x = draw(0, 4, 1, 8, 8)
        torch.testing.assert_close(unrolled(x).logits, deq(x).logits, rtol=1e-10, atol=1e-10)
        # and so are the gradients: implicit against recorded
        for m in (unrolled, deq):
            m(x).logits.square().sum().backward()
        for p, q in zip(unrolled.parameters(), deq.parameters(), strict=True):
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-8, atol=1e-8)


# Gradients ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("deq", {"dim": 3, "width": 3}),
        ("deq", {"dim": 3, "width": 3, "activation": "relu", "gamma": 0.6}),
        ("unrolled", {"dim": 3, "width": 3, "depth": 2}),
        ("feedforward", {"dim": 3, "width": 3, "depth": 2}),
        ("conv-deq", {"width": 2}),
        ("conv-deq", {"width": 2, "cell": "contractive", "activation": "tanh"}),
        ("conv-untied", {"width": 2, "cell": "contractive", "depth": 2}),
    ],
)
@pytest.mark.sample(3)
def test_gradcheck(name, options):
    model = build_model(
        name, (1, 4), 2, dtype=torch.float64, **options, **({**EXACT, "tol": 1e-13} if name.endswith("deq") else {})
    )
    if options.get("cell") == "contractive" or name == "deq":
        randomised(model, 3, 0.6)
    names, values = zip(*model.named_parameters(), strict=True)
    x = draw(8, 3, 1, 4)

    def logits(*parameters: Tensor) -> Tensor:
        return functional_call(model, dict(zip(names, parameters, strict=True)), (x,)).logits

    assert torch.autograd.gradcheck(logits, [v.detach().clone().requires_grad_() for v in values], atol=1e-6)


# Cells --------------------------------------------------------------------------------------------------------------


class TestActivation:
    @given(
        name=st.sampled_from(["tanh", "relu"]),
        gamma=st.floats(0, 1),
        u=st.lists(st.floats(-30, 30), min_size=2, max_size=2, unique=True),
    )
    def test_slopes(self, name, gamma, u):
        a, b = torch.tensor(sorted(u), dtype=torch.float64)
        phi = Activation(name, gamma)
        slope = float(phi(b) - phi(a))
        width = float(b - a)
        assert (1 - gamma) * width - 1e-12 <= slope <= width + 1e-12

    @pytest.mark.parametrize(("name", "function"), [("tanh", torch.tanh), ("relu", torch.relu)])
    def test_ends(self, name, function):
        u = draw(0, 50)
        torch.testing.assert_close(Activation(name, 1)(u), function(u))
        assert torch.equal(Activation(name, 0)(u), u)
        torch.testing.assert_close(Activation(name, 0.25)(u), 0.75 * u + 0.25 * function(u))


def operator(kernel: Tensor, size: tuple[int, ...], mode: str = "constant") -> Tensor:
    """Matrix of the convolution with zero ("constant") or circular padding on inputs of a size."""
    c = kernel.shape[1]
    basis = torch.eye(c * math.prod(size), dtype=kernel.dtype).view(-1, c, *size)
    pad = [n // 2 for n in kernel.shape[2:] for _ in range(2)]
    convolve = nn.functional.conv1d if len(size) == 1 else nn.functional.conv2d
    return convolve(nn.functional.pad(basis, pad, mode=mode), kernel).flatten(1).T


SIZES = st.one_of(st.tuples(st.integers(1, 7)), st.tuples(st.integers(1, 4), st.integers(1, 4)))


class TestConvNormBound:
    @settings(max_examples=examples(30))
    @given(seed=st.integers(0, 10**6), size=SIZES, c=st.tuples(st.integers(1, 3), st.integers(1, 3)))
    def test_bounds_zero_padding_and_is_tight_on_its_torus(self, seed, size, c):
        kernel = draw(seed, *c, *(3,) * len(size))
        bound = float(conv_norm_bound(kernel, size))
        assert float(torch.linalg.matrix_norm(operator(kernel, size), 2)) <= bound * (1 + 1e-12)
        torus = tuple(n + 2 for n in size)
        exact = float(torch.linalg.matrix_norm(operator(kernel, torus, "circular"), 2))
        assert exact * (1 - 1e-12) <= bound <= exact * min(c) ** (1 / 64) * (1 + 1e-12)

    def test_mutant_torus_of_the_inputs_size(self):
        """Without the margin that keeps the padding's ends apart there is no bound."""
        kernel = torch.tensor([[[1.0, 0.0, -1.0]]], dtype=torch.float64)
        assert float(torch.linalg.matrix_norm(operator(kernel, (2,), "circular"), 2)) < 0.1
        assert float(torch.linalg.matrix_norm(operator(kernel, (2,)), 2)) == pytest.approx(1)
        assert float(conv_norm_bound(kernel, (2,))) >= 1

    @pytest.mark.parametrize("scale", [0.0, 1e-30, 1e30])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_any_scale_and_gradient_at_ties(self, scale, dtype):
        kernel = torch.zeros(4, 4, 3, 3, dtype=dtype)
        nn.init.dirac_(kernel)
        kernel = (scale * kernel).requires_grad_()
        bound = conv_norm_bound(kernel, (5, 5))
        assert scale <= float(bound.detach()) * (1 + 1e-5)
        assert float(bound.detach()) <= scale * 4 ** (1 / 64) * (1 + 1e-5) + 1e-35
        bound.backward()
        assert kernel.grad.isfinite().all()


class TestContraction:
    """``|f(z) - f(z')| <= rho |z - z'|`` whatever the weights are: what makes the equilibrium exist and be unique."""

    def excess(self, cell: nn.Module, rho: float, h: Tensor, seed: int) -> float:
        """Largest ``|f(z) - f(z')| - rho |z - z'|`` over pairs along which f expands more and more."""
        worst = -math.inf
        with torch.no_grad():
            f = cell(h)
            z, step = draw(seed, *h.shape), draw(seed + 1, *h.shape)
            for _ in range(10):
                image = f(z + step) - f(z)
                lengths = [x.flatten(1).norm(dim=1) for x in (image, step)]
                worst = max(worst, float((lengths[0] - rho * lengths[1]).max()))
                step = image / lengths[0].clamp_min(1e-9).view(-1, *(1,) * (h.ndim - 1))
        return worst

    @settings(max_examples=examples(25))
    @given(
        seed=st.integers(0, 10**6),
        rho=st.floats(0, 0.99),
        scale=st.floats(-3, 3),
        gamma=st.floats(0, 1),
        activation=st.sampled_from(["tanh", "relu"]),
    )
    def test_dense(self, seed, rho, scale, gamma, activation):
        cell = randomised(DenseCell(4, rho, "identity", activation, gamma), seed, 10**scale)
        assert self.excess(cell, rho, draw(seed + 9, 3, 4), seed + 10) <= 1e-12

    @settings(max_examples=examples(25))
    @given(
        seed=st.integers(0, 10**6),
        rho=st.floats(0, 0.99),
        scale=st.floats(-3, 3),
        gamma=st.floats(0, 1),
        activation=st.sampled_from(["tanh", "relu"]),
        size=SIZES,
    )
    def test_convolutional(self, seed, rho, scale, gamma, activation, size):
        cell = ContractiveConvCell(3, size, rho, "identity", activation, gamma, torch.float64)
        randomised(cell, seed, 10**scale)
        assert self.excess(cell, rho, draw(seed + 9, 2, 3, *size), seed + 10) <= 1e-12

    def test_mutant_without_the_bound(self):
        cell = ContractiveConvCell(3, (4, 4), 0.8, "identity", "relu", 0.0, torch.float64)
        randomised(cell, 0)
        cell.kernel = lambda: cell.rho * cell.weight
        assert self.excess(cell, cell.rho, draw(9, 2, 3, 4, 4), 10) > 1

    @pytest.mark.parametrize(("start", "value"), [("identity", 0.8), ("zero", 0.0)])
    @pytest.mark.parametrize("size", [(5,), (3, 4)])
    def test_starts(self, start, value, size):
        cell = ContractiveConvCell(3, size, 0.8, start, "relu", 0.0, torch.float64)
        z = draw(0, 2, 3, *size)
        torch.testing.assert_close(cell(torch.zeros_like(z))(z), value * z, rtol=0.02, atol=1e-12)

    def test_larger_inputs_are_not_covered(self):
        cell = ContractiveConvCell(3, (4, 4), 0.8, "identity", "relu", 1.0)
        cell(torch.zeros(1, 3, 2, 4))
        with pytest.raises(ValueError, match=r"spatial size of at most \(4, 4\), got \(5, 4\)"):
            cell(torch.zeros(1, 3, 5, 4))


def test_residual_cell_is_the_published_block():
    cell = randomised(ResidualConvCell(4, 2, torch.Generator(), torch.float64), 0)
    h, z = draw(7, 2, 4, 5, 5), draw(8, 2, 4, 5, 5)

    def normalised(x: Tensor, norm: nn.GroupNorm) -> Tensor:  # four groups of one channel
        mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), correction=0, keepdim=True)
        return (x - mean) / (variance + 1e-5).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]

    def convolved(x: Tensor, weight: Tensor) -> Tensor:
        return (operator(weight, (5, 5)) @ x.flatten(1).T).T.view(x.shape)

    inner = normalised(convolved(z, cell.conv1.weight).relu(), cell.norm1)
    expected = normalised((z + normalised(h + convolved(inner, cell.conv2.weight), cell.norm2)).relu(), cell.norm3)
    torch.testing.assert_close(cell(h)(z), expected)


class TestBlocks:
    def test_are_those_of_resnet_and_start_like_them(self):
        plain, deeper = (small("conv-deq", blocks=blocks, width=16, seed=2) for blocks in (0, 2))
        layers = list(deeper.encoder.layers)
        assert [type(layer) for layer in layers[-2:]] == [BasicBlock] * 2
        for p, q in zip(plain.encoder.parameters(), deeper.encoder.parameters(), strict=False):
            assert torch.equal(p, q)
        for block in layers[-2:]:
            for conv in (block.conv1, block.conv2):
                assert float(conv.weight.detach().std()) == pytest.approx(math.sqrt(2 / (16 * 9)), rel=0.06)
        x = draw(0, 4, 1, 8, 8, dtype=torch.float32)
        expected = plain.encoder(x)
        for block in layers[-2:]:
            expected = block(expected)
        torch.testing.assert_close(deeper.encoder(x), expected)

    def test_parameters(self):
        counts = [parameter_counts(small("conv-deq", blocks=blocks))["encoder"] for blocks in (0, 1, 2)]
        block = 2 * 9 * 8 * 8 + 4 * 8  # two convolutions and two batch norms of 8 channels
        assert [b - a for a, b in itertools.pairwise(counts)] == [block, block]


def test_pooled_features_span_all_dimensions():
    """Mean of the positive part: the plain mean behind a group norm would lose one dimension a group."""
    z = nn.functional.group_norm(draw(0, 60, 16, 6, 6), 8)
    centred = lambda x: torch.linalg.matrix_rank(x - x.mean(0), rtol=1e-9)  # noqa: E731
    assert centred(pool(z)) == 16
    assert centred(z.flatten(2).mean(2)) == 8


# Budgets ------------------------------------------------------------------------------------------------------------


class TestParameterCounts:
    def test_resnet18_is_the_published_size(self):
        # 11,173,962 for CIFAR-10 with the bias of the classifier, which ours goes without
        counts = parameter_counts(build_model("resnet18", (3, 32, 32), 10))
        assert counts["total"] == 11_173_962 - 10
        assert counts["classifier"] == 512 * 10

    def test_resnet18_halves_the_resolution_three_times(self):
        model = small("resnet18", (3, 32, 32))
        sizes = []
        for layer in model.encoder.layers:
            layer.register_forward_hook(lambda _, __, y: sizes.append(tuple(y.shape[1:])))
        output = model(draw(0, 2, 3, 32, 32, dtype=torch.float32))
        expected = [(4, 32, 32)] * 5 + [(8, 16, 16)] * 2 + [(16, 8, 8)] * 2 + [(32, 4, 4)] * 2
        assert sizes == expected
        assert output.features.shape == (2, 32)

    def test_dense(self):
        p, w, d, k = 64, 8, 5, 3
        encoder = p * w + w + w * d + d
        base = {"encoder": encoder, "classifier": d * k, "total": encoder + d * k}
        for name, part, cells in (
            ("explicit", None, 0),
            ("linear-deq", "equilibrium", 1),
            ("deq", "cell", 1),
            ("unrolled", "cell", 1),
            ("untied", "cells", 4),
            ("feedforward", "cells", 4),
        ):
            options = {"depth": 4} if "depth" in has(name) else {}
            found = parameter_counts(small(name, dim=d, **options))
            extra = {part: cells * d * d} if part else {}
            assert found == base | extra | {"total": base["total"] + cells * d * d}

    def test_tied_forms_have_the_equilibriums_parameters_untied_ones_l_times_the_cells(self):
        deq, tied, untied = (parameter_counts(small(f"conv-{form}")) for form in ("deq", "unrolled", "untied"))
        assert deq == tied
        assert untied["cells"] == 10 * deq["cell"]

    @pytest.mark.parametrize(("name", "options"), [("resnet18", {}), ("conv-untied", {"depth": 3}), ("explicit", {})])
    def test_matched_width(self, name, options):
        budget = parameter_counts(small("conv-deq", width=24))["total"]
        width = matched_width(name, (1, 8, 8), 3, budget, **options)
        at, above = (
            parameter_counts(build_model(name, (1, 8, 8), 3, width=w, **options))["total"] for w in (width, width + 1)
        )
        assert at <= budget < above

    def test_budget_too_small(self):
        with pytest.raises(ValueError, match="num_parameters must allow 'resnet18' of width 1, got 10"):
            matched_width("resnet18", (1, 8, 8), 3, 10)


# Training and mistakes ----------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::ufm.deq.ConvergenceWarning")  # as in the paper, solvers are cut off
@pytest.mark.parametrize(
    ("name", "steps", "options"),
    [
        ("deq", 25, {}),
        ("conv-deq", 25, {}),
        ("conv-deq", 50, {"cell": "contractive"}),
        ("conv-unrolled", 25, {"depth": 4}),
        ("resnet18", 25, {"width": 2}),
    ],
)
@pytest.mark.sample(2)
def test_learns(name, steps, options):
    data = load_dataset("digits", counts=[20] * 3, dtype=np.float32).standardised()
    model = small(name, data.shape, dtype=torch.float32, tol=1e-3, max_steps=20, **options)
    x, y = torch.from_numpy(data.inputs), torch.from_numpy(data.labels)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x).logits, y).backward()
        optimiser.step()
    assert (model(x).logits.argmax(1) == y).double().mean() > 0.9


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "mlp"}, ValueError, "name must be one of 'explicit'"),
        ({"dataset_shape": 64}, TypeError, "dataset_shape must be a sequence"),
        ({"dataset_shape": ()}, ValueError, "dataset_shape must be not empty"),
        ({"dataset_shape": (1, 0)}, ValueError, r"dataset_shape\[1\] must be an integer >= 1, got 0"),
        ({"name": "conv-deq", "dataset_shape": (64,)}, ValueError, r"\(channels, length\) or .*, got \(64,\)"),
        ({"name": "resnet18", "dataset_shape": (64,)}, ValueError, r"\(channels, length\) or"),
        ({"num_classes": 1}, ValueError, "num_classes must be an integer >= 2"),
        ({"seed": -1}, ValueError, "seed must be an integer >= 0"),
        ({"dtype": torch.float16}, ValueError, "dtype must be torch.float32 or torch.float64"),
        ({"width": 0}, ValueError, "width must be an integer >= 1"),
        ({"dim": 0}, ValueError, "dim must be an integer >= 1"),
        ({"name": "unrolled", "depth": 0}, ValueError, "depth must be an integer >= 1"),
        ({"rho": 1.0}, ValueError, r"rho must lie in \[0, 1\)"),
        ({"gamma": 1.5}, ValueError, r"gamma must lie in \[0, 1\], got 1.5"),
        ({"activation": "gelu"}, ValueError, "activation must be one of 'tanh', 'relu'"),
        ({"start": "random"}, ValueError, "start must be one of"),
        ({"tol": 0}, ValueError, "tol must be > 0"),
        ({"name": "explicit", "tol": 0}, ValueError, "tol must be > 0"),
        (
            {"name": "explicit", "rho": 0.5},
            ValueError,
            "rho must not be given for 'explicit': its options are width, dim",
        ),
        ({"name": "linear-deq", "gamma": 0.5}, ValueError, "gamma must not be given for 'linear-deq'"),
        ({"name": "deq", "depth": 3}, ValueError, "depth must not be given for 'deq'"),
        ({"name": "resnet18", "dim": 3}, ValueError, "dim must not be given for 'resnet18'"),
        ({"name": "conv-deq", "cell": "monotone"}, ValueError, "cell must be one of 'residual', 'contractive'"),
        ({"name": "conv-deq", "rho": 0.5}, ValueError, "rho must not be given with cell = 'residual'"),
        ({"name": "conv-deq", "blocks": -1}, ValueError, "blocks must be an integer >= 0, got -1"),
        ({"deq": DEQ(), "tol": 1e-3}, ValueError, "tol must not be given together with deq, got 0.001"),
        ({"deq": 3}, TypeError, "deq must be a ufm.deq.DEQ or None, got 3"),
        ({"name": "resnet18", "deq": "anderson"}, TypeError, "deq must be a ufm.deq.DEQ or None, got 'anderson'"),
        ({"name": "deq", "depth": 3}, ValueError, "depth must not be given .* on_failure; got 3"),
        ({"name": "conv-deq", "gamma": 0.5}, ValueError, "gamma must not be given with cell = 'residual'.*got 0.5"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        build_model(**{"name": "deq", "dataset_shape": (1, 8, 8), "num_classes": 3, **arguments})


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("deq", {"foo": 1}, ValueError, "foo must not be given for 'deq': its options are width, dim, rho, .*; got 1"),
        ("mlp", {}, ValueError, "name must be one of"),
        ("deq", {"rho": 1}, ValueError, r"rho must lie in \[0, 1\), got 1"),
        ("unrolled", {"start": "random"}, ValueError, "start must be one of"),
        ("feedforward", {"gamma": 2}, ValueError, r"gamma must lie in \[0, 1\], got 2"),
        ("untied", {"activation": "gelu"}, ValueError, "activation must be one of"),
        ("explicit", {"dim": 0}, ValueError, "dim must be an integer >= 1"),
        ("conv-untied", {"depth": 0}, ValueError, "depth must be an integer >= 1"),
        ("conv-deq", {"blocks": -1}, ValueError, "blocks must be an integer >= 0"),
        ("resnet18", {"width": 0}, ValueError, "width must be an integer >= 1"),
        ("resnet18", {"solver": "newton"}, ValueError, "solver must be one of"),
        ("conv-deq", {"cell": "contractive", "rho": "half"}, TypeError, "rho must be a real number"),
    ],
)
def test_options_are_checked_without_data(name, options, error, message):
    with pytest.raises(error, match=message):
        check_options(name, options)


def test_options_that_pass_the_check_build():
    for name, options in VARIANTS:
        check_options(name, options)
    options = {"cell": "contractive", "rho": 0.5, "blocks": 1, "max_steps": 3, "width": 4}
    check_options("conv-deq", options)
    assert build_model("conv-deq", (1, 8, 8), 3, **options).deq.max_steps == 3
    assert options == {"cell": "contractive", "rho": 0.5, "blocks": 1, "max_steps": 3, "width": 4}


LINEAR = nn.Linear(4, 3)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: DEQNetwork(1, LINEAR, LINEAR, DEQ()), TypeError, "encoder must be a torch.nn.Module, got 1"),
        (lambda: DEQNetwork(LINEAR, 2, LINEAR, DEQ()), TypeError, "cell must be a torch.nn.Module, got 2"),
        (
            lambda: DEQNetwork(LINEAR, LINEAR, nn.ReLU(), DEQ()),
            TypeError,
            "classifier must be a torch.nn.Linear, got Re",
        ),
        (lambda: DEQNetwork(LINEAR, LINEAR, LINEAR, 4), TypeError, "deq must be a ufm.deq.DEQ, got 4"),
        (lambda: LinearDEQNetwork(4, 3, dim=2, width=5, rho=0.5, deq=None), TypeError, "a ufm.deq.DEQ, got None"),
        (lambda: UnrolledNetwork(LINEAR, LINEAR, LINEAR, 0), ValueError, "depth must be an integer >= 1"),
        (lambda: UnrolledNetwork(LINEAR, None, LINEAR, 2), TypeError, "cell must be a torch.nn.Module, got None"),
        (lambda: UntiedNetwork(LINEAR, 3, LINEAR), TypeError, "cells must be a sequence of modules, got 3"),
        (lambda: UntiedNetwork(LINEAR, [LINEAR, 3], LINEAR), TypeError, r"cells\[1\] must be a torch.nn.Module, got 3"),
        (lambda: ResNet18(None, LINEAR), TypeError, "encoder must be a torch.nn.Module, got None"),
        (lambda: ExplicitNetwork(4, 3, dim=2, width=5, dtype=torch.half), ValueError, "dtype must be torch.float32 or"),
        (lambda: ResNet18Encoder(1, 3, 4, None), ValueError, "ndim must be an integer between 1 and 2, got 3"),
        (lambda: ResNet18Encoder(1, 2, 0, None), ValueError, "width must be an integer >= 1, got 0"),
        (lambda: ResidualConvCell(4, 0, None), ValueError, "ndim must be an integer between 1 and 2, got 0"),
        (lambda: ContractiveConvCell(4, (3, 3, 3), 0.5, "zero", "relu", 1), ValueError, r"2 entries.*got \(3, 3, 3\)"),
        (
            lambda: ContractiveConvCell(4, (3, 0), 0.5, "zero", "relu", 1),
            ValueError,
            r"size\[1\] must be an integer >= 1",
        ),
        (lambda: ContractiveConvCell(0, (3,), 0.5, "zero", "relu", 1), ValueError, "channels must be an integer >= 1"),
        (lambda: FreeCell(0, "tanh", 1, None), ValueError, "dim must be an integer >= 1"),
        (
            lambda: conv_norm_bound(torch.ones(2, 2, 3), (4,), 0),
            ValueError,
            "iterations must be an integer >= 1, got 0",
        ),
        (lambda: conv_norm_bound(torch.ones(2, 2, 3), (4, 4)), ValueError, r"kernel must have shape .*got \(2, 2, 3\)"),
        (lambda: conv_norm_bound(torch.ones(2, 2, 3, 3, 3), (4, 4, 4)), ValueError, "size must have 1 or 2 entries"),
        (lambda: conv_norm_bound(torch.ones(2, 2, 3), 4), TypeError, "size must be a sequence of integers, got 4"),
        (lambda: conv_norm_bound([1.0], (4,)), TypeError, "kernel must be a tensor"),
        (lambda: conv_norm_bound(torch.ones(2, 2, 3).long(), (4,)), ValueError, "kernel must be in .*got torch.int64"),
    ],
)
def test_bad_parts(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_example_of_the_guide(capsys):
    guide = (Path(__file__).resolve().parents[2] / "docs" / "guides" / "networks.md").read_text(encoding="utf-8")
    (code,) = (block for block in re.findall(r"```py\n(.*?)```", guide, re.DOTALL) if "build_model" in block)
    exec(compile(code, "networks.md", "exec"), {})
    assert "torch.Size([550, 10])" in capsys.readouterr().out


def test_solver_is_the_one_asked_for():
    deq = DEQ("broyden", tol=1e-4)
    assert small("deq", deq=deq).deq is deq
    model = small("linear-deq", solver="fixed_point", tol=1e-3, max_steps=20, on_failure="raise")
    assert isinstance(model, LinearDEQNetwork)
    assert (model.deq.solver, model.deq.tol, model.deq.max_steps, model.deq.on_failure) == (
        "fixed_point",
        1e-3,
        20,
        "raise",
    )
