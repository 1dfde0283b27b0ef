"""Well-posed equilibrium maps by construction.

``|A|_2 <= rho < 1`` (:class:`SpectralBound`) gives ``z = A z + h`` one solution, found by iteration; ``I - A`` strongly
monotone (:class:`Monotone`) gives ``z = sigma(A z + h)`` one solution however large A is, found by splitting.
"""

from __future__ import annotations

from typing import Any

from ufm._extras import optional
from ufm._validation import fraction, integer, one_of, positive

with optional("deq"):
    import torch
    from torch import Tensor, nn

__all__ = [
    "PARAMETRISATIONS",
    "STARTS",
    "Monotone",
    "SpectralBound",
    "cayley_contraction",
    "check_dtype",
    "normalised_contraction",
    "spectral_norm",
]

#: Where A starts: ``"identity"`` (M = I, A = rho I) or ``"zero"`` (M = 0, A = 0).
STARTS = ("identity", "zero")


#: What singular values and orthonormal factors are computed in.
_DTYPES = (torch.float32, torch.float64)


def check_dtype(dtype: Any) -> torch.dtype:
    """Return ``dtype`` if it is float32 or float64, in which singular values can be computed.

    Raises:
        ValueError: it is something else.

    Examples:
        >>> import torch
        >>> check_dtype(torch.float16)
        Traceback (most recent call last):
            ...
        ValueError: dtype must be torch.float32 or torch.float64, got torch.float16
    """
    if dtype not in _DTYPES:
        raise ValueError(f"dtype must be torch.float32 or torch.float64, got {dtype!r}")
    return dtype


def _check_matrix(matrix: Any) -> None:
    if not isinstance(matrix, Tensor):
        raise TypeError(f"matrix must be a tensor, got {matrix!r}")
    if matrix.dtype not in _DTYPES or matrix.ndim != 2 or not matrix.numel():
        raise ValueError(
            "matrix must be of shape (m, n), m, n >= 1, in torch.float32 or torch.float64, "
            f"got shape {tuple(matrix.shape)} in {matrix.dtype}"
        )


def spectral_norm(matrix: Tensor) -> Tensor:
    """Return ``|M|_2``, the largest singular value, exactly (by SVD) and differentiable, a scalar.

    Where the largest singular value is simple the derivative is ``u v^T``; where several share it the subgradient is
    the mean of theirs, finite at M = I and at M = 0 too.

    Args:
        matrix: shape (m, n).

    Raises:
        TypeError, ValueError: ``matrix`` is no matrix of float32 or float64.

    Examples:
        >>> import torch
        >>> f"{float(spectral_norm(torch.tensor([[0.0, 2.0], [1.0, 0.0]]))):.4f}"
        '2.0000'

    Source: Watson 1992, Characterization of the subdifferential of some matrix norms.
    """
    _check_matrix(matrix)
    return torch.linalg.svdvals(matrix).amax()


def normalised_contraction(matrix: Tensor) -> Tensor:
    """Return ``M / max(1, (1 + margin) |M|_2)``, the usual spectral normalisation: its norm is at most 1.

    The margin, 4 sqrt(max(m, n)) times the eps of the dtype, pays for the rounding of the norm, of the quotient, and of
    a product with a number: they were seen to add up to 5 eps for m, n <= 200.

    It has a kink wherever the largest singular value is shared by several directions. The optimum of a linear DEQ lies
    on such a kink (A = rho Q Q^T has rank(Z) equal singular values), where the gradient does not vanish: a smooth
    optimiser stalls there and first-order ones chatter. :func:`cayley_contraction` has no such kink.

    Args:
        matrix: M, shape (m, n).

    Raises:
        TypeError, ValueError: ``matrix`` is no matrix of float32 or float64.

    Examples:
        >>> import torch
        >>> small = torch.diag(torch.tensor([0.5, 0.25]))
        >>> torch.equal(normalised_contraction(small), small)
        True
        >>> torch.linalg.svdvals(normalised_contraction(8 * small)).round(decimals=4).tolist()
        [1.0, 0.5]

    Source: Miyato, Kataoka, Koyama, Yoshida 2018, there with power iteration for the norm.
    """
    norm = spectral_norm(matrix)
    margin = 4 * max(matrix.shape) ** 0.5 * torch.finfo(matrix.dtype).eps
    return matrix / ((1 + margin) * norm).clamp_min(1.0)


def cayley_contraction(matrix: Tensor) -> Tensor:
    """Return ``2 M (I + M^T M)^{-1}``: smooth in M, of norm at most 1, with every contraction as a value.

    It is the off-diagonal block of the orthogonal Cayley transform of the skew matrix ``[[0, -M^T], [M, 0]]``: a
    singular value s of M becomes ``2s/(1+s^2)``, which is 0 at 0 and reaches 1 at s = 1 with slope zero, so M = 0 gives
    0 and M = I gives I. Evaluated with the orthonormal factor of ``[I; M] = [Q_1; Q_2] R`` as ``2 Q_2 Q_1^T``, whose
    norm is at most 1 up to rounding (seen: 6 eps of the dtype more, m, n <= 200), however large or singular M is.

    Args:
        matrix: M, shape (m, n).

    Raises:
        TypeError, ValueError: ``matrix`` is no matrix of float32 or float64.

    Examples:
        >>> import torch
        >>> matrix = torch.diag(torch.tensor([0.5, 1.0, 7.0], dtype=torch.float64))
        >>> value = cayley_contraction(matrix)  # s becomes 2s/(1 + s^2)
        >>> [round(s, 6) for s in torch.diagonal(value).tolist()]
        [0.8, 1.0, 0.28]

    Source: Cayley 1846 for the transform; its block as a contraction derived here.
    """
    _check_matrix(matrix)
    n = matrix.shape[1]
    identity = torch.eye(n, dtype=matrix.dtype, device=matrix.device)
    q, _ = torch.linalg.qr(torch.cat([identity, matrix]))
    return 2 * q[n:] @ q[:n].T


#: Most features of a layer whose d x d matrix is written out.
MOST_DIMENSIONS = 20_000

_CONTRACTIONS = {"cayley": cayley_contraction, "normalised": normalised_contraction}

#: Names of the maps from M to a contraction.
PARAMETRISATIONS = tuple(_CONTRACTIONS)


class SpectralBound(nn.Module):
    """``A = rho * contraction(M)``, so ``|A|_2 <= rho`` whatever the free parameter M is.

    In rounded arithmetic ``"normalised"`` keeps the bound, ``"cayley"`` up to a relative excess of a few eps of the
    dtype (seen: 6 eps, 7e-7 in float32 and 1.4e-15 in float64): A is a contraction all the same unless rho is as near
    to 1.

    Args:
        dim: d >= 1; A is d x d.
        rho: bound in [0, 1). One below the dtype's normal numbers counts as 0: entries would be rounded to above it.
        start: ``"identity"`` or ``"zero"``, the initial M; then A = rho I or A = 0 in either parametrisation.
        parametrisation: ``"cayley"`` (smooth) or ``"normalised"`` (``M / max(1, |M|_2)``).
        dtype: float64 or float32.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    Examples:
        >>> import torch
        >>> bounded = SpectralBound(3, rho=0.9)
        >>> torch.allclose(bounded(), 0.9 * torch.eye(3, dtype=torch.float64))
        True
        >>> with torch.no_grad():
        ...     _ = bounded.weight.fill_(100.0)  # whatever M is
        >>> float(spectral_norm(bounded().detach())) <= 0.9 + 1e-12
        True
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
        dim, dtype = integer("dim", dim, minimum=1, maximum=MOST_DIMENSIONS), check_dtype(dtype)
        self.rho = fraction("rho", rho)
        self.parametrisation = one_of("parametrisation", parametrisation, PARAMETRISATIONS)
        one_of("start", start, STARTS)
        weight = torch.eye(dim, dtype=dtype) if start == "identity" else torch.zeros(dim, dim, dtype=dtype)
        self.weight = nn.Parameter(weight)

    def forward(self) -> Tensor:
        """Return the bounded matrix A, shape (d, d)."""
        # Below float32 there are no singular values: after ``half()`` the bound holds up to the rounding of entries.
        wide = self.weight.to(torch.promote_types(self.weight.dtype, torch.float32))
        rho = self.rho if self.rho >= torch.finfo(wide.dtype).tiny else 0.0
        return (rho * _CONTRACTIONS[self.parametrisation](wide)).to(self.weight.dtype)


class Monotone(nn.Module):
    """``A = (1 - m) I - B^T B + C - C^T``, so ``I - A`` is strongly monotone with constant m, whatever B and C are.

    That is ``z^T (I - A) z >= m |z|^2``; every A with that property is reached, for ``(1 - m) I - (A + A^T)/2`` is then
    positive semidefinite and has a root B. With ``z = sigma(A z + p)``, sigma an activation that is a proximal operator
    (ReLU, tanh, identity, ...), there is one solution for every p, and ``|z(p) - z(p')| <= |p - p'| / m``.

    So it is in exact arithmetic. Rounding takes up to about ``eps (|B|_2^2 + |C - C^T|_2 + 1)`` off the constant (seen:
    0.35 times that, d <= 64), more than there is of it where m is smaller: in float32, eps = 1.2e-7, a singular B with
    ``|B|_2^2 = 1.5e6`` turned m = 1e-3 into -0.03. Keep m well above it, or use float64.

    Args:
        dim: d >= 1; A is d x d.
        m: strong monotonicity > 0. At m >= 1 the norm of A may still be anything.
        seed: of B and C, uniform on [-d^{-1/2}, d^{-1/2}].
        dtype: float64 or float32.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it.

    Examples:
        >>> import torch
        >>> a = Monotone(3, m=0.5)().detach()
        >>> symmetric = torch.eye(3, dtype=torch.float64) - (a + a.T) / 2
        >>> float(torch.linalg.eigvalsh(symmetric)[0]) >= 0.5 - 1e-12
        True

    Source: Winston and Kolter 2020, Theorem 1 and Proposition 1; Pabbaraju, Winston, Kolter 2021, Theorem 1.
    """

    def __init__(self, dim: Any, m: Any = 1.0, *, seed: Any = 0, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        dim, dtype = integer("dim", dim, minimum=1, maximum=MOST_DIMENSIONS), check_dtype(dtype)
        self.m = positive("m", m)
        generator = torch.Generator().manual_seed(integer("seed", seed, minimum=0))
        self.symmetric, self.skew = (
            nn.Parameter((2 * torch.rand(dim, dim, generator=generator, dtype=dtype) - 1) * dim**-0.5) for _ in range(2)
        )

    def forward(self) -> Tensor:
        """Return the matrix A, shape (d, d)."""
        b, c = self.symmetric, self.skew
        identity = torch.eye(len(b), dtype=b.dtype, device=b.device)
        return (1 - self.m) * identity - b.T @ b + c - c.T
