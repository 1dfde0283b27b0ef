"""Well-posed equilibrium maps by construction.

``|A|_2 <= rho < 1`` (:class:`SpectralBound`) gives ``z = A z + h`` one solution, found by iteration; ``I - A`` strongly
monotone (:class:`Monotone`) gives ``z = sigma(A z + h)`` one solution however large A is, found by splitting.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ufm._validation import fraction, integer, one_of, positive

__all__ = [
    "PARAMETRISATIONS",
    "STARTS",
    "Monotone",
    "SpectralBound",
    "cayley_contraction",
    "normalised_contraction",
    "spectral_norm",
]

#: Where A starts: ``"identity"`` (M = I, A = rho I) or ``"zero"`` (M = 0, A = 0).
STARTS = ("identity", "zero")


def spectral_norm(matrix: Tensor) -> Tensor:
    """``|M|_2``, the largest singular value, exactly (by SVD) and differentiable.

    Where the largest singular value is simple the derivative is ``u v^T``; where several share it the subgradient is
    the mean of theirs, finite at M = I and at M = 0 too.

    Args:
        matrix: shape (m, n).

    Source: Watson 1992, Characterization of the subdifferential of some matrix norms.

    Source: Watson 1992, Characterization of the subdifferential of some matrix norms.
    """
    return torch.linalg.svdvals(matrix).amax()


def normalised_contraction(matrix: Tensor) -> Tensor:
    """``M / max(1, |M|_2)``: the usual spectral normalisation. Its norm is at most 1.

    It has a kink wherever the largest singular value is shared by several directions. The optimum of a linear DEQ lies
    on such a kink (A = rho Q Q^T has rank(Z) equal singular values), where the gradient does not vanish: a smooth
    optimiser stalls there and first-order ones chatter. :func:`cayley_contraction` has no such kink.

    Args:
        matrix: M, shape (m, n).

    Source: Miyato, Kataoka, Koyama, Yoshida 2018, there with power iteration for the norm.

    Source: Miyato, Kataoka, Koyama, Yoshida 2018, there with power iteration for the norm.
    """
    return matrix / spectral_norm(matrix).clamp_min(1.0)


def cayley_contraction(matrix: Tensor) -> Tensor:
    """``2 M (I + M^T M)^{-1}``: smooth in M, of norm at most 1, with every contraction as a value.

    It is the off-diagonal block of the orthogonal Cayley transform of the skew matrix ``[[0, -M^T], [M, 0]]``: a
    singular value s of M becomes ``2s/(1+s^2)``, which is 0 at 0 and reaches 1 at s = 1 with slope zero, so M = 0 gives
    0 and M = I gives I. Evaluated with the orthonormal factor of ``[I; M] = [Q_1; Q_2] R`` as ``2 Q_2 Q_1^T``, whose
    norm is at most 1 in rounded arithmetic too, however large or singular M is.

    Args:
        matrix: M, shape (m, n).

    Source: Cayley 1846 for the transform; its block as a contraction derived here.

    Source: Cayley 1846 for the transform; its block as a contraction derived here.
    """
    n = matrix.shape[1]
    identity = torch.eye(n, dtype=matrix.dtype, device=matrix.device)
    q, _ = torch.linalg.qr(torch.cat([identity, matrix]))
    return 2 * q[n:] @ q[:n].T


_CONTRACTIONS = {"cayley": cayley_contraction, "normalised": normalised_contraction}

#: Names of the maps from M to a contraction.
PARAMETRISATIONS = tuple(_CONTRACTIONS)


class SpectralBound(nn.Module):
    """``A = rho * contraction(M)``, so ``|A|_2 <= rho`` whatever the free parameter M is.

    Args:
        dim: d >= 1; A is d x d.
        rho: bound in [0, 1).
        start: ``"identity"`` or ``"zero"``, the initial M; then A = rho I or A = 0 in either parametrisation.
        parametrisation: ``"cayley"`` (smooth) or ``"normalised"`` (``M / max(1, |M|_2)``).

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.
    """

    def __init__(
        self,
        dim: Any,
        rho: Any,
        start: str = "identity",
        *,
        parametrisation: str = "cayley",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        dim = integer("dim", dim, minimum=1)
        self.rho = fraction("rho", rho)
        self.parametrisation = one_of("parametrisation", parametrisation, PARAMETRISATIONS)
        one_of("start", start, STARTS)
        weight = torch.eye(dim, dtype=dtype) if start == "identity" else torch.zeros(dim, dim, dtype=dtype)
        self.weight = nn.Parameter(weight)

    def forward(self) -> Tensor:
        """The bounded matrix A, shape (d, d)."""
        return self.rho * _CONTRACTIONS[self.parametrisation](self.weight)


class Monotone(nn.Module):
    """``A = (1 - m) I - B^T B + C - C^T``, so ``I - A`` is strongly monotone with constant m, whatever B and C are.

    That is ``z^T (I - A) z >= m |z|^2``; every A with that property is reached, for ``(1 - m) I - (A + A^T)/2`` is then
    positive semidefinite and has a root B. With ``z = sigma(A z + p)``, sigma an activation that is a proximal operator
    (ReLU, tanh, identity, ...), there is one solution for every p, and ``|z(p) - z(p')| <= |p - p'| / m``.

    Args:
        dim: d >= 1; A is d x d.
        m: strong monotonicity > 0. At m >= 1 the norm of A may still be anything.
        seed: of B and C, uniform on [-d^{-1/2}, d^{-1/2}].

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    Source: Winston and Kolter 2020, Theorem 1 and Proposition 1; Pabbaraju, Winston, Kolter 2021, Theorem 1.
    """

    def __init__(self, dim: Any, m: Any = 1.0, *, seed: Any = 0, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        dim = integer("dim", dim, minimum=1)
        self.m = positive("m", m)
        generator = torch.Generator().manual_seed(integer("seed", seed, minimum=0))
        self.symmetric, self.skew = (
            nn.Parameter((2 * torch.rand(dim, dim, generator=generator, dtype=dtype) - 1) * dim**-0.5) for _ in range(2)
        )

    def forward(self) -> Tensor:
        """The matrix A, shape (d, d)."""
        b, c = self.symmetric, self.skew
        identity = torch.eye(len(b), dtype=b.dtype, device=b.device)
        return (1 - self.m) * identity - b.T @ b + c - c.T
