"""Assertions about equilibrium maps: well-posed, and at a fixed point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ufm._validation import positive, real
from ufm.testing._failing import exceeds, fail
from ufm.testing._failing import matrix as _matrix

__all__ = ["assert_fixed_point", "assert_well_posed"]


def assert_well_posed(matrix: ArrayLike, rho: float, *, tol: float = 1e-12) -> None:
    """Assert ``|A|_2 <= rho < 1``: ``z = A z + h`` has one solution for every h, and iterating finds it.

    Args:
        matrix: A, shape (d, d).
        rho: the bound, in [0, 1).
        tol: what |A|_2 may exceed it by, > 0.

    Raises:
        AssertionError: A exceeds the bound or is not finite, or rho is not in [0, 1).
        TypeError, ValueError: no square matrix, a rho that is no finite number, or a tolerance that is not positive.

    >>> assert_well_posed([[0.5, 0.0], [0.0, -0.5]], 0.5)
    """
    tol, rho = positive("tol", tol), real("rho", rho)
    a = _matrix("matrix", matrix)
    if a.shape[0] != a.shape[1]:
        raise ValueError(f"matrix must be square, got shape {a.shape}")
    norm = float(np.linalg.norm(a, 2))
    wrong = [f"|A|_2 = {norm:.12g} exceeds rho = {rho:.12g}"] if exceeds(norm, rho + tol) else []
    if not 0 <= rho < 1:
        wrong.append(f"rho = {rho!r} is not in [0, 1)")
    if wrong and norm >= 1:
        radius = float(np.abs(np.linalg.eigvals(a)).max())
        wrong.append(
            f"the spectral radius is {radius:.6g}: iterating {'still converges' if radius < 1 else 'diverges'}"
        )
    fail("not well posed", wrong)


def assert_fixed_point(f: Callable[[Any], Any], z: ArrayLike, *, tol: float = 1e-8) -> None:
    """Assert ``f(z) = z`` row by row: ``|f(z_i) - z_i| <= tol max(|f(z_i)|, |z_i|)``, rows of (n, d) being samples.

    Args:
        f: the map.
        z: shape (n, d).
        tol: bound > 0 of the relative residuals.

    Raises:
        AssertionError: a row moves farther, or is not finite; the message says which, and how many do.
        TypeError, ValueError: z or f(z) is no matrix, f changes the shape, or a tolerance that is not positive.

    >>> assert_fixed_point(lambda z: z / 2 + 1, [[2.0, 2.0]])
    """
    tol = positive("tol", tol)
    if not callable(f):
        raise TypeError(f"f must be callable, got {f!r}")
    point = _matrix("z", z)
    image = _matrix("f(z)", f(point.copy()))
    if image.shape != point.shape:
        raise ValueError(f"f must keep the shape of z, {point.shape}, but returned {image.shape}")
    residuals = np.linalg.norm(image - point, axis=1)
    sizes = np.maximum(np.linalg.norm(image, axis=1), np.linalg.norm(point, axis=1))
    relative = np.divide(residuals, sizes, out=np.zeros_like(residuals), where=sizes > 0)
    worst = int(relative.argmax())
    if exceeds(relative[worst], tol):
        fail(
            "not a fixed point",
            [
                f"sample {worst} has a relative residual of {relative[worst]:.3g} (tol {tol:g})",
                f"{int((relative > tol).sum())} of {len(point)} samples are beyond the tolerance",
            ],
        )
