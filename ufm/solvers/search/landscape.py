"""The parametrisation: objective and gradient in one vector free of constraints, see :mod:`ufm.solvers.search`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ufm.architectures import Constrained, Penalised
from ufm.labels import ClassPrior
from ufm.losses import ClosedForm
from ufm.problem import Problem

__all__ = ["STATIONARY", "Landscape", "cross_entropy"]

Array = NDArray[np.float64]

#: Lengths of x that are tried along a ray, and how many.
_LENGTHS, _TRIALS = (1e-2, 1e3), 40

#: Size of ``|x| |grad log F(x)|``, in units of what log F can vary in a small ball, up to which a point is stationary.
STATIONARY = 1e-9


class Landscape:
    """The objective and its gradient in ``x = (P, Q, t, slack, bias)``, see :mod:`ufm.solvers.search`.

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1, 1]))
    >>> landscape = Landscape(problem, rank=2)
    >>> x = landscape.at(np.eye(3) - 1 / 3)  # the ETF, scaled to all of tau
    >>> landscape.size, round(math.exp(landscape(x)[0]), 6), bool(np.linalg.norm(landscape(x)[1]) < 1e-9)
    (13, 0.368981, True)
    >>> landscape.logits(x).round(6)[0].tolist(), [part.shape for part in landscape.split(x)]
    ([1.0, -0.5, -0.5], [(3, 2), (2, 3), (0,)])
    >>> bool(np.linalg.eigvalsh(landscape.hessian(x))[0] > -1e-6), landscape.filled(x)
    (True, None)
    >>> bool(np.array_equal(landscape.pruned(x), x))
    True
    """

    def __init__(self, problem: Problem, rank: int) -> None:
        self.evaluations = 0
        self.problem = problem
        self.rank = rank
        k = self._k = problem.prior.num_classes
        m = self._m = problem.prior.num_columns
        self._pi, self._omega = problem.prior.probabilities, problem.weights
        one_hot = isinstance(problem.prior, ClassPrior)
        self._ce = problem.loss.closed_form is ClosedForm.CROSS_ENTROPY and one_hot
        architecture = self._architecture = problem.spectral
        self._depth = architecture.num_factors
        self._tau = cast(Constrained, architecture).bound(k) if problem.is_constrained else 0.0
        self._price = architecture.multiplier if isinstance(architecture, Penalised) else 0.0
        self._slack = problem.is_constrained
        zero = np.zeros((k, m))
        # what is descended is log(value - shift), the shift below every value where that may be 0
        self._shift = problem.loss.infimum - (0.0 if self._is_positive else 1e-15 * self._excess(zero))
        # the most that it can vary to first order within a small ball, the unit of stationarity there
        start = max(problem.risk(zero) - self._shift, 1e-300)  # 0 where nothing is asked
        self.origin = math.log(start)
        reach = self._tau * problem.dual_norm(problem.gradient(zero)) / start
        self.unit = min(1.0, reach) if problem.is_constrained else 1.0
        self._best_bias = problem.best_bias(zero)
        num_biases = 0 if self._best_bias is None else k
        self._sizes = (k * rank, rank * m, rank if self._depth > 2 else 0, int(self._slack), num_biases)
        self._ends = np.cumsum(self._sizes)

    @property
    def _is_positive(self) -> bool:
        """Whether values stay far enough above the infimum for their logarithm to be descended."""
        return self.problem.loss.closed_form is not None

    def _excess(self, logits: Array) -> float:
        return max(self.problem.risk(logits) - self.problem.loss.infimum, 1e-300)

    @property
    def size(self) -> int:
        """Number of variables."""
        return sum(self._sizes)

    def at(self, y: Array) -> Array:
        """A point whose logits are those of the best rank-r approximation of ``y`` (K, m), scaled; 0 is left alone."""
        u, s, vt = _padded_svd(y, self.rank)
        u, s, vt = u[:, : self.rank], s[: self.rank], vt[: self.rank]
        if not s.any():
            return self._with_bias(np.zeros(int(self._ends[3])))
        power = 1 / self._depth
        x = [(u * s**power).ravel(), (s[:, None] ** power * vt).ravel(), s**power if self._depth > 2 else np.empty(0)]
        return self._scaled(np.concatenate([*x, np.zeros(int(self._slack))]))

    def _with_bias(self, x: Array) -> Array:
        """``x`` and the bias that is best beside its logits, where the problem has one."""
        if self._best_bias is None:
            return x
        x = np.concatenate([x[: self._ends[3]], self._best_bias])
        return np.concatenate([x[: self._ends[3]], cast(Array, self.problem.best_bias(self.logits(x)))])

    def _scaled(self, x: Array) -> Array:
        """``x`` of length 1 under budgets, where no length matters; else of that at which the objective is least.

        A price that is not convex may be least at 0: the lowest of the other minima along the ray is taken then, and
        where there is none the length from which the objective rises least.
        """
        x = x / np.linalg.norm(x)
        return self._with_bias(x if self.problem.is_constrained else self._length(x) * x)

    def _length(self, x: Array) -> float:
        from scipy.optimize import minimize_scalar

        bias = np.empty(0) if self._best_bias is None else self._best_bias

        def value(length: float) -> float:
            return self(np.concatenate([length * x, bias]))[0]

        if self.problem.has_nuclear_norm:
            found = minimize_scalar(lambda t: value(math.exp(t)), bounds=(-5.0, 8.0), method="bounded")
            return math.exp(found.x)
        lengths = np.geomspace(*_LENGTHS, _TRIALS).tolist()
        values = np.array([value(length) for length in lengths])
        low = [i for i in range(1, _TRIALS - 1) if values[i] <= min(values[i - 1], values[i + 1])]
        first = _TRIALS // 4  # around 0 there is no rise, and no way out
        best = min(low, key=lambda i: values[i]) if low else first + int(np.diff(values)[first:].argmin())
        return float(lengths[best])

    def split(self, x: Array) -> tuple[Array, Array, Array]:
        """P (K, r), Q (r, m) and t (r,), or an empty t; a slack and a bias may follow."""
        i, j, k = self._ends[:3]
        return x[:i].reshape(self._k, self.rank), x[i:j].reshape(self.rank, self._m), x[j:k]

    def logits(self, x: Array) -> Array:
        """Z (K, m), feasible; centred where the loss does not change."""
        return self.problem.centred(self._evaluate(x)[0] / self._omega)

    def _evaluate(self, x: Array) -> tuple[Array, float, Callable[[Array], Array]]:
        """Y, the penalty, and what turns df/dY into the gradient of objective and penalty."""
        p_, q, t = self.split(x)
        m = self._depth
        squares = np.einsum("ij,ij->j", p_, p_) + np.einsum("ij,ij->i", q, q)
        middle = t ** (m - 2) if m > 2 else np.ones(self.rank)
        left = p_ * middle
        product = left @ q
        if m > 2:
            gauge = float(squares.sum() + (m - 2) * (t @ t)) / m
            slopes = np.full(self.rank, 2 / m)
        else:
            p = squares / 2
            slopes = self._architecture.slopes(p)
            gauge = float(slopes @ p) if self.problem.is_constrained else 0.0
        if not self.problem.is_constrained:
            penalty = self._price * m / 2 * gauge if m > 2 else self._architecture.spectral_gauge(squares / 2)
            scale = 1.0
        else:
            penalty = 0.0
            total = gauge + 0.5 * x[self._ends[2]] ** 2
            scale = (self._tau ** (2 / m) / total) ** (m / 2) if total > 0 else 0.0

        def gradient(g: Array) -> Array:
            if self.problem.is_constrained:
                inner = float(np.vdot(g, product))
                pull = -inner * scale * m / 2 / total
            else:
                pull = self._price * m / 2 if m > 2 else 1.0
            g = scale * g
            parts = [
                (g @ (middle[:, None] * q).T + pull * slopes * p_).ravel(),
                (left.T @ g + (pull * slopes)[:, None] * q).ravel(),
            ]
            if m > 2:
                across = np.einsum("ij,ij->j", p_, g @ q.T)
                parts.append((m - 2) * t ** (m - 3) * across + pull * 2 * (m - 2) / m * t)
            if self._slack:
                parts.append(pull * x[self._ends[2] : self._ends[3]])
            return np.concatenate(parts)

        return scale * product, penalty, gradient

    def __call__(self, x: Array) -> tuple[float, Array]:
        """``log(objective - shift)`` and its gradient; the shift is 0 for cross-entropy and mean squared error."""
        self.evaluations += 1
        y, value, gradient = self._evaluate(x)
        risk, g, g_bias = self._risk(y / self._omega, x[self._ends[3] :])
        value = max(value + risk - self._shift, 1e-300)
        return math.log(value), np.concatenate([gradient(g / self._omega), g_bias]) / value

    def _risk(self, z: Array, bias: Array) -> tuple[float, Array, Array]:
        """The risk with its gradients in logits and bias, of which the latter is a variable like others here."""
        risk = self.problem.risk_of
        if not len(bias):
            return *(cross_entropy(z, self._pi) if self._ce else (risk.value(z), risk.gradient(z))), bias
        if not self._ce:
            return risk.joint(z, bias)
        value, g = cross_entropy(z + bias[:, None], self._pi)
        decay = self.problem.bias or 0.0
        return value + decay / 2 * float(bias @ bias), g, g.sum(axis=1) + decay * bias

    def pruned(self, x: Array) -> Array:
        """``x`` without the terms that a descent has all but emptied: a is not smooth where several vanish together."""
        p, q, t = (part.copy() for part in self.split(x))
        sizes = np.einsum("ij,ij->j", p, p) + np.einsum("ij,ij->i", q, q)
        empty = sizes < 1e-12 * sizes.max()
        p[:, empty] = q[empty] = 0.0
        if len(t):
            t[empty] = 0.0
        new = np.concatenate([p.ravel(), q.ravel(), t, x[self._ends[2] :]])
        return new if self(new)[0] <= self(x)[0] + 1e-13 else x

    def filled(self, x: Array) -> Array | None:
        """With M > 2 budgets, what lies below a stationary point that does not need all of tau and has terms to spare.

        An empty term changes the logits by a product of M small factors, which no Hessian shows. With what is left of
        tau paying for a term of size e along the leading singular pair of -G the risk falls by ``e^M |G|_2``. None
        where this does not apply.
        """
        m = self._depth
        if m == 2 or not self.problem.is_constrained:
            return None
        y, _, _ = self._evaluate(x)
        u, s, vt = np.linalg.svd(y)
        rank = int((s > 1e-9 * s[0]).sum())
        needed = float((s[:rank] ** (2 / m)).sum())
        idle = self._tau ** (2 / m) - needed
        g = self.problem.gradient(y / self._omega) / self._omega
        left, size, right = np.linalg.svd(-g)
        if rank >= self.rank or idle < 1e-6 * needed or size[0] < 1e-8:
            return None
        root, e = s[:rank] ** (1 / m), math.sqrt(idle / 2)
        p, q, t = np.zeros((self._k, self.rank)), np.zeros((self.rank, self._m)), np.zeros(self.rank)
        p[:, :rank], q[:rank], t[:rank] = u[:, :rank] * root, root[:, None] * vt[:rank], root
        p[:, rank], q[rank], t[rank] = e * left[:, 0], e * right[0], e
        return np.concatenate([p.ravel(), q.ravel(), t, [math.sqrt(idle)], x[self._ends[3] :]])

    def hessian(self, x: Array) -> Array:
        """Second derivatives by central differences of the gradient, (n, n)."""
        n = len(x)
        step = 6e-6 * max(float(np.linalg.norm(x)) / math.sqrt(n), 1e-8)
        h = np.empty((n, n))
        for i in range(n):
            ahead, behind = x.copy(), x.copy()
            ahead[i] += step
            behind[i] -= step
            h[i] = (self(ahead)[1] - self(behind)[1]) / (2 * step)
        return (h + h.T) / 2


def _padded_svd(y: Array, rank: int) -> tuple[Array, Array, Array]:
    """The decomposition of ``y``, with terms of zero size up to ``rank``."""
    u, s, vt = np.linalg.svd(y, full_matrices=False)
    missing = max(0, rank - len(s))
    return np.pad(u, ((0, 0), (0, missing))), np.pad(s, (0, missing)), np.pad(vt, ((0, missing), (0, 0)))


def cross_entropy(z: Array, pi: Array) -> tuple[float, Array]:
    """Risk and gradient of one-hot labels with one exponential, as accurate as those of the loss.

    >>> value, gradient = cross_entropy(np.zeros((2, 2)), np.array([0.5, 0.5]))
    >>> round(value, 6), gradient.tolist()
    (0.693147, [[-0.25, 0.25], [0.25, -0.25]])
    """
    margins = z - z.diagonal()
    top = margins.max(axis=0)  # at least 0, the margin of the class itself
    e = np.exp(margins - top)
    diagonal = e.ravel("K")[:: len(pi) + 1]  # a view: e is new, and square
    own = diagonal.copy()
    diagonal[:] = 0.0
    rest = e.sum(axis=0)
    total = own + rest
    loss = np.where(top > 0, top + np.log(total), np.log1p(rest))
    e /= total
    diagonal[:] = -rest / total
    return float(pi @ loss), e * pi
