"""|A|_2 <= rho by construction, for random and adversarial M, and the derivatives of the parametrisations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ufm.deq import Monotone, SpectralBound
from ufm.deq.wellposed import PARAMETRISATIONS, cayley_contraction, normalised_contraction, spectral_norm

PROPERTY = settings(max_examples=examples(60), deadline=None, derandomize=True, database=None)
CONTRACTIONS = {"cayley": cayley_contraction, "normalised": normalised_contraction}


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def orthogonal(seed: int, dim: int) -> torch.Tensor:
    return torch.linalg.qr(draw(seed, dim, dim))[0]


def largest_singular_value(a: torch.Tensor) -> float:
    """Far below the rounding of the dtype: float32 in double, float64 by the power method in 40 digits."""
    if a.dtype == torch.float32:
        return float(torch.linalg.svdvals(a.double())[0])
    import mpmath

    with mpmath.workdps(40):
        m = mpmath.matrix(a.tolist())
        v = mpmath.matrix(torch.linalg.svd(a)[2][0].tolist())
        for _ in range(2):
            v = m.T * (m * v)
            v /= mpmath.norm(v)
        return float(mpmath.norm(m * v))


ADVERSARIAL = {
    "zero": torch.zeros(4, 4),
    "identity": torch.eye(4),
    "huge": 1e120 * torch.ones(4, 4, dtype=torch.float64),
    "tiny": 1e-200 * torch.ones(4, 4),
    "rank one, large": 1e9 * torch.outer(torch.arange(1.0, 5.0), torch.ones(4)),
    "nilpotent": torch.diag(torch.full((3,), 1e6), 1),
    "spread": torch.diag(torch.tensor([1e-12, 1.0, 1e6, 1e12])),
    "just above one": (1 + 1e-15) * torch.eye(4),
    "non-normal": torch.tensor([[0.5, 1e8, 0, 0], [0, 0.5, 0, 0], [0, 0, 1, 1], [0, 0, -1, 1]]),
}


@pytest.mark.parametrize("parametrisation", PARAMETRISATIONS)
class TestBound:
    @PROPERTY
    @given(seed=st.integers(0, 10**6), dim=st.integers(1, 20), exponent=st.floats(-12, 12), rho=st.floats(0, 0.999))
    def test_random(self, parametrisation, seed, dim, exponent, rho):
        bound = SpectralBound(dim, rho, parametrisation=parametrisation)
        with torch.no_grad():
            bound.weight.copy_(10**exponent * draw(seed, dim, dim))
            a = bound()
        assert torch.isfinite(a).all()
        assert float(torch.linalg.svdvals(a)[0]) <= rho * (1 + 1e-13)

    def test_a_subnormal_bound_is_kept(self, parametrisation):
        """Entries of the order of rho would be rounded up to it, all of them, and the norm to d times rho."""
        bound = SpectralBound(5, 5e-324, parametrisation=parametrisation)
        with torch.no_grad():
            bound.weight.copy_(draw(0, 5, 5))
            assert float(bound().norm()) <= 5e-324

    @pytest.mark.parametrize("name", ADVERSARIAL)
    def test_adversarial(self, parametrisation, name):
        bound = SpectralBound(4, 0.9, parametrisation=parametrisation)
        with torch.no_grad():
            bound.weight.copy_(ADVERSARIAL[name])
            a = bound()
        assert torch.isfinite(a).all()
        assert float(torch.linalg.svdvals(a)[0]) <= 0.9 * (1 + 1e-13)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_in_rounded_arithmetic(self, parametrisation, dtype):
        """Normalised: at most rho, without a tolerance; Cayley: up to a few eps."""
        worst = 0.0
        for seed in range(60):
            dim, rho = 1 + seed % 20, (0.3, 0.9, 0.999)[seed % 3]
            bound = SpectralBound(dim, rho, parametrisation=parametrisation, dtype=dtype)
            scale = 10.0 ** (seed % 7)
            weight = {0: draw(seed, dim, dim), 1: torch.outer(draw(seed, dim), draw(seed + 1, dim))}.get(seed % 4)
            with torch.no_grad():
                bound.weight.copy_(orthogonal(seed, dim) if weight is None else scale * weight)
                worst = max(worst, largest_singular_value(bound()) / rho - 1)
        eps = torch.finfo(dtype).eps
        assert worst <= (0 if parametrisation == "normalised" else 8 * eps)
        assert worst > -50 * eps

    def test_starts(self, parametrisation):
        identity = SpectralBound(5, 0.4, "identity", parametrisation=parametrisation)()
        # a normalised map stays below its bound by up to 50 last bits, as above
        torch.testing.assert_close(identity, 0.4 * torch.eye(5, dtype=torch.float64), rtol=0, atol=1e-14)
        zero = SpectralBound(5, 0.4, "zero", parametrisation=parametrisation)()
        assert (zero == 0).all()

    def test_gradients_are_finite_at_the_starts(self, parametrisation):
        for start in ("identity", "zero"):
            bound = SpectralBound(5, 0.4, start, parametrisation=parametrisation)
            (bound() * draw(0, 5, 5)).sum().backward()
            assert bound.weight.grad is not None
            assert torch.isfinite(bound.weight.grad).all()
            if start == "zero":
                assert float(bound.weight.grad.norm()) > 0

    def test_gradcheck(self, parametrisation):
        for scale in (0.3, 1.0, 3.0):
            assert torch.autograd.gradcheck(CONTRACTIONS[parametrisation], (scale * draw(1, 4, 4)).requires_grad_())

    def test_every_contraction_is_reached(self, parametrisation):
        u, v = orthogonal(2, 6), orthogonal(3, 6)
        values = torch.tensor([1.0, 1.0, 0.9, 0.5, 1e-6, 0.0], dtype=torch.float64)
        # Cayley: s with 2s/(1+s^2) = value.
        weight = values / (1 + (1 - values**2).sqrt()) if parametrisation == "cayley" else values
        wanted = (u * values) @ v.T
        torch.testing.assert_close(CONTRACTIONS[parametrisation]((u * weight) @ v.T), wanted, rtol=0, atol=1e-14)


@PROPERTY
@given(seed=st.integers(0, 10**6), m=st.integers(1, 8), n=st.integers(1, 8))
def test_cayley_is_the_rational_function_and_the_block_of_an_orthogonal_matrix(seed, m, n):
    matrix = draw(seed, m, n)
    eye = torch.eye(n, dtype=torch.float64)
    found = cayley_contraction(matrix)
    torch.testing.assert_close(found, 2 * matrix @ torch.linalg.inv(eye + matrix.T @ matrix), rtol=1e-10, atol=1e-12)
    skew = torch.zeros(n + m, n + m, dtype=torch.float64)
    skew[n:, :n], skew[:n, n:] = matrix, -matrix.T
    whole = torch.eye(n + m, dtype=torch.float64)
    cayley = torch.linalg.solve(whole - skew, whole + skew)
    torch.testing.assert_close(found, cayley[n:, :n], rtol=1e-10, atol=1e-12)


def test_spectral_norm_against_the_definition():
    matrix = draw(4, 5, 3)
    assert float(spectral_norm(matrix)) == pytest.approx(float(torch.linalg.eigvalsh(matrix.T @ matrix)[-1]) ** 0.5)
    assert torch.autograd.gradcheck(spectral_norm, draw(5, 4, 3).requires_grad_())


def test_spectral_norm_subgradient_at_a_tie_is_the_mean():
    matrix = torch.eye(4, dtype=torch.float64).requires_grad_()
    spectral_norm(matrix).backward()
    torch.testing.assert_close(matrix.grad, torch.eye(4, dtype=torch.float64) / 4)


def test_normalisation_has_a_kink_where_the_optimum_lies_and_the_cayley_map_has_none():
    # min <G, A> over |A|_2 <= 1 with G = -diag(3, 2, 1, 0) is attained at A = diag(1, 1, 1, *).
    cost = -torch.diag(torch.tensor([3.0, 2.0, 1.0, 0.0], dtype=torch.float64))
    optimum = torch.diag(torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float64))
    norms = {}
    for name, contraction in CONTRACTIONS.items():
        weight = optimum.clone().requires_grad_()
        (cost * contraction(weight)).sum().backward()
        assert weight.grad is not None
        norms[name] = float(weight.grad.norm())
    assert norms["cayley"] < 1e-14
    assert norms["normalised"] > 1


def test_a_wrong_parametrisation_is_caught():
    # Dividing by the Frobenius norm, or by nothing, would pass neither the bound nor the range.
    u, v = orthogonal(6, 4), orthogonal(7, 4)
    wanted = u @ v.T
    assert float(torch.linalg.svdvals(wanted / wanted.norm())[0]) < 0.6
    with pytest.raises(AssertionError):
        torch.testing.assert_close(wanted / wanted.norm().clamp_min(1), normalised_contraction(wanted))
    assert float(torch.linalg.svdvals(3 * wanted)[0]) > 1
    assert float(torch.linalg.svdvals(cayley_contraction(3 * wanted))[0]) == pytest.approx(0.6)


def test_monotone_constant_up_to_the_rounding_that_is_documented():
    """A large singular B: float32 loses the constant, by no more than the docstring says; float64 keeps it."""
    m, losses = 1e-3, {}
    for dtype in (torch.float32, torch.float64):
        monotone = Monotone(20, m, dtype=dtype)
        with torch.no_grad():
            monotone.symmetric.copy_(1000 * draw(0, 20, 10) @ draw(1, 10, 20) / 20)
            monotone.skew.mul_(1000)
            a = monotone().double()
            b, c = (p.detach().double() for p in (monotone.symmetric, monotone.skew))
        least = float(torch.linalg.eigvalsh(torch.eye(20, dtype=torch.float64) - (a + a.T) / 2)[0])
        losses[dtype] = m - least
        size = float(spectral_norm(b) ** 2 + spectral_norm(c - c.T) + 1)
        assert losses[dtype] <= torch.finfo(dtype).eps * size
    assert losses[torch.float32] > m, "here the loss is the whole constant"
    assert losses[torch.float64] < 1e-3 * m


@pytest.mark.parametrize("function", [spectral_norm, cayley_contraction, normalised_contraction])
@pytest.mark.parametrize(
    ("matrix", "error", "message"),
    [
        ([[1.0]], TypeError, r"matrix must be a tensor, got \[\[1.0\]\]"),
        (torch.ones(2, 2, dtype=torch.long), ValueError, "in torch.float32 or torch.float64, got .* in torch.int64"),
        (torch.ones(2, 2, dtype=torch.half), ValueError, "in torch.float32 or torch.float64, got .* in torch.float16"),
        (torch.ones(2), ValueError, r"matrix must be of shape \(m, n\).*got shape \(2,\)"),
        (torch.ones(2, 0), ValueError, r"m, n >= 1, .*got shape \(2, 0\)"),
    ],
)
def test_bad_matrix(function, matrix, error, message):
    with pytest.raises(error, match=message):
        function(matrix)


@pytest.mark.parametrize("dtype", [torch.float16, torch.int64, "float32", None])
def test_bad_dtype(dtype):
    for build in (lambda: SpectralBound(3, 0.5, dtype=dtype), lambda: Monotone(3, dtype=dtype)):
        with pytest.raises(ValueError, match=r"dtype must be torch.float32 or torch.float64, got"):
            build()


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((0, 0.5), {}, ValueError, "dim must be an integer between 1 and 20000, got 0"),
        ((2.5, 0.5), {}, ValueError, "dim must be an integer"),
        ((3, 1.0), {}, ValueError, r"rho must lie in \[0, 1\), got 1.0"),
        ((3, -0.1), {}, ValueError, r"rho must lie in \[0, 1\)"),
        ((3, float("nan")), {}, ValueError, "rho must be finite"),
        ((3, "half"), {}, TypeError, "rho must be a real number"),
        ((3, 0.5, "random"), {}, ValueError, "start must be one of 'identity', 'zero', got 'random'"),
        ((3, 0.5), {"parametrisation": "power"}, ValueError, "parametrisation must be one of"),
    ],
)
def test_bad_input(arguments, options, error, message):
    with pytest.raises(error, match=message):
        SpectralBound(*arguments, **options)
