"""The risk of a problem: a loss over labelled columns, with a bias of its own where the problem has one.

Without a bias ``f(Z) = sum_j pi_j l(z_j; t_j)``. With one the problem is joint in Z and b, the gauge sees Z alone, and
b is taken out: ``F(Z) = min_b f(Z + b 1^T) + (lambda_b/2) |b|^2`` is convex where f is, its gradient is that of f at
the best b, and its second derivative is a Schur complement. A free bias has lambda_b = 0. Source: theory section 7.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ufm._linalg import eigh
from ufm.losses import ClosedForm, Loss, is_ours

__all__ = ["Risk"]

Array = NDArray[np.float64]

#: Values of the bias tried at one point: those of losses with kinks, as of scales of 1e60, take no Newton steps.
_MOST_TRIED = 120
#: And how many where it was not found this many times in a row.
_FEW_TRIED, _HOPELESS = 90, 8
_EPSILON = 2.0**-53
#: Most entries of the columns repeated for every unit vector: beyond, calls cost nothing beside the work.
_MOST_TILED = 2**16
#: Most by which a step changes a bias, over 1 and its size: where the risk is all but flat Newton's goes anywhere.
_LONGEST = 100.0
#: Of the bias's Hessian: eigenvalues below this fraction of the largest are directions in which it does not matter.
_SINGULAR = 1e-13


@dataclass(frozen=True)
class Risk:
    """``f``, or ``F`` with the bias taken out.

    Attributes:
        loss: what a column of logits is judged by.
        targets: T, shape (K, m).
        pi: weights of the columns, shape (m,).
        decay: lambda_b >= 0 of the bias; None without a bias.

    >>> from ufm.losses import get_loss
    >>> risk = Risk(get_loss("mse"), np.eye(2), np.array([0.75, 0.25]), decay=0.0)
    >>> risk.best_bias(np.zeros((2, 2))), risk.value(np.zeros((2, 2)))
    (array([0.75, 0.25]), 0.1875)
    """

    loss: Loss
    targets: Array
    pi: Array
    decay: float | None = None
    #: The last logits, as bytes, and their best bias: value, gradient and curvature ask for the same one.
    _found: dict[bytes, Array] = field(default_factory=dict, repr=False, compare=False)
    #: Whether the loss gives of repeated columns what it gives of each; how many times in a row no best bias was found.
    _known: dict[str, int] = field(default_factory=dict, repr=False, compare=False)

    def value(self, logits: Array) -> float:
        """The risk at logits (K, m)."""
        if self.decay is None:
            return _or_infinite(self.loss.value(logits, self.pi, self.targets))
        return self.beside(logits, self.best_bias(logits))

    def gradient(self, logits: Array) -> Array:
        """Its gradient, shape (K, m)."""
        if self.decay is not None:
            logits = logits + self.best_bias(logits)[:, None]
        return self._gradient(logits)

    def beside(self, logits: Array, bias: Array) -> float:
        """Value at logits (K, m) and any bias (K,); infinite where float64 does not hold it.

        >>> from ufm.losses import get_loss
        >>> Risk(get_loss("mse"), np.eye(2), np.array([0.75, 0.25]), decay=0.0).beside(np.zeros((2, 2)), np.zeros(2))
        0.5
        """
        risk = _or_infinite(self.loss.value(logits + bias[:, None], self.pi, self.targets))
        with np.errstate(over="ignore"):  # a step far too long, which is then halved
            return risk + (self.decay or 0.0) / 2 * float(bias @ bias)

    def joint(self, logits: Array, bias: Array) -> tuple[float, Array, Array]:
        """Value at logits (K, m) and any bias (K,), which is a variable then, with the gradients in both.

        >>> from ufm.losses import get_loss
        >>> risk = Risk(get_loss("mse"), np.eye(2), np.array([0.75, 0.25]), decay=0.0)
        >>> risk.joint(np.zeros((2, 2)), np.zeros(2))[0], risk.joint(np.zeros((2, 2)), np.zeros(2))[2]
        (0.5, array([-0.75, -0.25]))
        """
        g, g_bias = self.slopes(logits, bias)
        return self.beside(logits, bias), g, g_bias

    def slopes(self, logits: Array, bias: Array) -> tuple[Array, Array]:
        """The gradients in logits (K, m) and any bias (K,), which is a variable then.

        >>> from ufm.losses import get_loss
        >>> risk = Risk(get_loss("mse"), np.eye(2), np.array([0.75, 0.25]), decay=0.0)
        >>> risk.slopes(np.zeros((2, 2)), np.zeros(2))[1]
        array([-0.75, -0.25])
        """
        g = self._gradient(logits + bias[:, None])
        return g, g.sum(axis=1) + (self.decay or 0.0) * bias

    def _gradient(self, shifted: Array) -> Array:
        found = self.loss.gradient(shifted, self.pi, self.targets)
        if not np.isfinite(found).all():
            raise ValueError(
                f"loss {self.loss.name} must have finite gradients, got one that is not at logits of size "
                f"{np.abs(shifted).max():.3g}"
            )
        return found

    def model(self, logits: Array) -> LocalModel:
        """Gradient and second derivative at ``logits``."""
        return LocalModel(self, logits, None if self.decay is None else self.best_bias(logits))

    def best_bias(self, logits: Array) -> Array:
        """The b (K,) that minimises ``f(Z + b 1^T) + (lambda_b/2) |b|^2``, by Newton's method; zeros without a bias.

        Of several the shortest, where the loss is constant along a direction and the bias is free.
        """
        if self.decay is None:
            return np.zeros(len(logits))
        if self.loss.closed_form is ClosedForm.MEAN_SQUARED_ERROR:
            return np.asarray((self.targets - logits) @ self.pi / (self.pi.sum() + self.decay), dtype=float)
        key = logits.tobytes()
        if key not in self._found:
            # 0, what takes away all that the columns share (a bias that costs next to nothing lets it grow without
            # bound), and what was best beside the last logits
            shared = logits @ self.pi / max(float(self.pi.sum()), 1e-300)
            starts = [np.zeros(len(logits)), -shared, *self._found.values()]
            self._found.clear()
            missed = self._known.get("missed", 0)
            hopeless = missed >= _HOPELESS
            if all(math.isinf(self.beside(logits, start)) for start in starts):
                return starts[0]  # of logits at which float64 does not hold the risk
            found = self._newton_bias(logits, starts, _FEW_TRIED if hopeless else _MOST_TRIED)
            best = self._is_best(logits, found)
            if not best and not hopeless:
                again = self._newton_bias(logits, starts[:1], _MOST_TRIED)
                found = min((found, again), key=lambda b: self.beside(logits, b))
                if not self._is_best(logits, found):
                    smooth = self._descended_bias(logits, found)
                    if self._is_best(logits, smooth):
                        found = self._newton_bias(logits, [found, smooth], _MOST_TRIED)
            self._known["missed"] = 0 if best else missed + 1
            self._found[key] = found
        return self._found[key].copy()

    def _is_best(self, logits: Array, b: Array) -> bool:
        """Whether the gradient in the bias is small beside what it is made of."""
        columns = self._gradient(logits + b[:, None])
        left = columns.sum(axis=1) + (self.decay or 0.0) * b
        return float(np.abs(left).max()) <= 1e-6 * float(np.abs(columns).sum())

    def _descended_bias(self, logits: Array, b: Array) -> Array:
        """Where a quasi-Newton descent ends from b: curvatures that jump may hold Newton's method up."""
        from scipy.optimize import minimize

        def objective(x: Array) -> tuple[float, Array]:
            value, _, slope = self.joint(logits, x)
            return value, slope

        found = minimize(objective, b, jac=True, method="L-BFGS-B", options={"ftol": 1e-16, "gtol": 1e-12})
        return np.asarray(found.x, dtype=float)

    def _newton_bias(self, logits: Array, starts: list[Array], most: int) -> Array:
        decay = self.decay or 0.0
        value, b = min(((self.beside(logits, start), start) for start in starts), key=lambda pair: pair[0])
        idle = tried = 0
        best, least, lowest = b, np.inf, value
        while tried < most:
            shifted = logits + b[:, None]
            columns = self._gradient(shifted)
            gradient = columns.sum(axis=1) + decay * b
            rounding = _EPSILON * float(np.abs(columns).sum() + decay * np.abs(b).sum())
            size = float(np.linalg.norm(gradient))
            # far out, where columns saturate, the value falls long before the gradient's norm does
            # and where kinks are zigzagged along, both fall by next to nothing
            progress = size < 0.9 * least or value < lowest - 1e-9 * abs(lowest)
            if progress or size < least:
                best, least = b, size
            lowest, idle = min(value, lowest), 0 if progress else idle + 1
            if size <= rounding or idle >= 3:
                break
            inverse = _PseudoInverse(self.bias_hessian(shifted))
            step, left = inverse.times(-gradient), inverse.left_by(-gradient)
            if float(np.abs(left).max()) > max(rounding, 1e-3 * size):
                # where columns saturate there is a slope without a curvature: as far as the bias is large
                step = step + left * (0.5 * max(1.0, float(np.abs(b).max())) / float(np.abs(left).max()))
            if float(step @ gradient) >= 0:
                step = -gradient
            length = min(1.0, _LONGEST * (1 + float(np.abs(b).max())) / max(float(np.abs(step).max()), 1e-300))
            slope = float(step @ gradient)
            for _ in range(40):
                tried += 1
                trial = self.beside(logits, b + length * step)
                if trial <= value + 1e-14 * abs(value):
                    break
                length *= _shorter(-slope * length, trial - value)
            else:  # rounding leaves nothing to gain
                break
            b, value = b + length * step, trial
        c = self.loss.constant_direction(len(logits))
        if c is not None:  # a part along which the loss is constant only costs; of free ones the shortest
            best = best - c * (c @ best) / (c @ c)
        return best

    def bias_hessian(self, shifted: Array) -> Array:
        """``sum_j pi_j H_j + lambda_b I``, shape (K, K)."""
        out = self.loss.curvature_sums(shifted, self.targets, self.pi)
        if out is None:
            out = np.stack([columns @ self.pi for columns in self.curved_units(shifted)], axis=1)
        return (out + out.T) / 2 + (self.decay or 0.0) * np.eye(len(shifted))

    def curved_units(self, shifted: Array) -> Iterator[Array]:
        """``H_j e_i`` of all columns j, (K, m), for one unit vector e_i after the other."""
        if self._is_tiled(shifted):
            yield from self._tiled(shifted)
            return
        for i in range(len(shifted)):
            yield self._curved_unit(shifted, i)

    def _curved_unit(self, shifted: Array, i: int) -> Array:
        direction = np.zeros_like(shifted)
        direction[i] = 1.0
        return self.loss.curvatures(shifted, self.targets, direction)

    def _is_tiled(self, shifted: Array) -> bool:
        """Whether the columns may be repeated, once for every unit vector, in one call: few, that stand alone."""
        k, m = shifted.shape
        if k * k * m > _MOST_TILED or self.loss.on_columns(slice(0, 1), m) is not self.loss:
            return False
        if is_ours(self.loss):
            return True
        if "tiled" not in self._known:  # a loss of one's own may know of its columns what it does not say
            try:
                same = np.array_equal(next(iter(self._tiled(shifted))), self._curved_unit(shifted, 0))
            except (ValueError, IndexError, TypeError):
                same = False
            self._known["tiled"] = same
        return bool(self._known["tiled"])

    def _tiled(self, shifted: Array) -> Iterator[Array]:
        k, m = shifted.shape
        found = self.loss.curvatures(np.tile(shifted, k), np.tile(self.targets, k), np.repeat(np.eye(k), m, axis=1))
        return (found[:, i * m : (i + 1) * m] for i in range(k))


def _shorter(promised: float, risen: float) -> float:
    """The factor, from a tenth to a half, to the minimum of the parabola of a step that promised a fall and rose."""
    return min(0.5, max(0.1, promised / (2 * (promised + risen)))) if math.isfinite(risen) else 0.5


def _or_infinite(value: float) -> float:
    """``value``; infinity where it is not a number, so that a descent turns back from there."""
    return math.inf if math.isnan(value) else value


class LocalModel:
    """Gradient and second derivative of a risk at logits, with their best bias if there is one."""

    def __init__(self, risk: Risk, logits: Array, bias: Array | None) -> None:
        shifted = logits if bias is None else logits + bias[:, None]
        self._risk, self._z, self._b = risk, shifted, bias
        self.gradient = risk.loss.gradient(shifted, risk.pi, risk.targets)
        self._bias: _PseudoInverse | None = None if risk.decay is None else _PseudoInverse(risk.bias_hessian(shifted))

    def hessian(self, d: Array) -> Array:
        """``F''[D]``: with a bias ``H[D + e 1^T]`` at the e that keeps the bias best, ``B e = -sum_j (H[D])_j``."""
        out = self._curved(d)
        if self._bias is not None:
            e = -self._bias.times(out.sum(axis=1))
            out = out + self._curved(np.repeat(e[:, None], d.shape[1], axis=1))
        return out

    def diagonals(self) -> Array:
        """About the diagonal of the second derivative, (K, m), of the loss alone: for preconditioning."""
        return self._risk.loss.curvature_diagonals(self._z, self._risk.targets) * self._risk.pi

    def forms(self, vectors: Array) -> Array:
        """About ``u_a^T H_j u_a`` for columns u_a of ``vectors`` (K, q), shape (q, m), of the loss alone."""
        return self._risk.loss.curvature_forms(self._z, self._risk.targets, vectors) * self._risk.pi

    def blocks(self) -> Array:
        """Second derivatives of the columns alone, shape (m, K, K)."""
        found = np.stack([columns * self._risk.pi for columns in self._risk.curved_units(self._z)]).transpose(2, 1, 0)
        return np.asarray((found + found.transpose(0, 2, 1)) / 2)

    def newton_step(self) -> Array:
        """The D, shortest in every column but for the bias, with ``F''[D] = -F'``.

        Newton's step in logits and bias at once is ``d_j = -H_j^+ g_j - e``, and then the bias's own equation,
        ``sum_j H_j (d_j + e) + lambda_b e = -sum_j g_j - lambda_b b``, says ``e = -b``; of a free bias any e will do.
        """
        values, vectors = eigh(self.blocks())
        kept = values > _SINGULAR * values[:, -1:]
        along = np.einsum("jki,kj->ji", vectors, -self.gradient)
        along = np.where(kept, along / np.where(kept, values, 1.0), 0.0)
        step = np.einsum("jki,ji->kj", vectors, along)
        return np.asarray(step + self._b[:, None] if self._b is not None and self._risk.decay else step)

    def matrix(self) -> Array:
        """``F''`` as a matrix (K m, K m) of logits row by row: for few of them."""
        k, m = self._z.shape
        blocks = self.blocks()
        out = np.zeros((k, m, k, m))
        out[:, np.arange(m), :, np.arange(m)] = blocks
        if self._bias is not None:
            columns = blocks.transpose(1, 0, 2).reshape(k * m, k)
            out -= (columns @ self._bias.times(columns.T)).reshape(out.shape)
        return out.reshape(k * m, k * m)

    def _curved(self, d: Array) -> Array:
        return self._risk.loss.curvatures(self._z, self._risk.targets, d) * self._risk.pi


class _PseudoInverse:
    """Shortest solutions of symmetric positive-semidefinite systems of one matrix."""

    def __init__(self, matrix: Array) -> None:
        values, vectors = eigh(matrix)
        kept = values > _SINGULAR * max(float(values[-1]), 1e-300)
        self._values, self._kept, self._rest = values[kept], vectors[:, kept], vectors[:, ~kept]

    def times(self, right: Array) -> Array:
        """The shortest solutions for a right side (n,), or for every column of some (n, q)."""
        along = (self._kept.T @ right).T / self._values
        return np.asarray(self._kept @ along.T, dtype=float)

    def left_by(self, right: Array) -> Array:
        """The part of ``right`` that no solution reaches."""
        return np.asarray(self._rest @ (self._rest.T @ right), dtype=float)
