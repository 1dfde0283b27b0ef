"""The parametrisation: objective and gradient in one vector free of constraints, see :mod:`ufm.solvers.search`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ufm._linalg import eigh, svd
from ufm.architectures import Constrained, Penalised
from ufm.labels import ClassPrior
from ufm.losses import ClosedForm
from ufm.problem import Problem

__all__ = ["STATIONARY", "Landscape", "cross_entropy"]

Array = NDArray[np.float64]

#: Value that stands for what overflows.
_PLATEAU = 1e308
#: Lengths of x that are tried along a ray, and how many.
_LENGTHS, _TRIALS = (1e-2, 1e3), 40
#: Numbers in an array of rows: larger ones leave the processor's nearest memory, and are new to it every time.
_NUMBERS = 14_000

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
    >>> bool(landscape.curvature(x)[0][0] > -1e-6), landscape.together
    (True, 128)
    >>> bool(np.array_equal(landscape.pruned(x), x)), landscape.rows(np.array([x, x]))[0].round(6).tolist()
    (True, [-0.99701, -0.99701])
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
        self._known = problem.is_known
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

    @property
    def together(self) -> int:
        """How many rows are best evaluated at once."""
        return max(8, min(128, _NUMBERS // self.size))

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
        if (values >= math.log(_PLATEAU)).any():  # up to where the risk overflows
            lengths = lengths[: max(2, int(np.argmax(values >= math.log(_PLATEAU))))]
            values = values[: len(lengths)]
        low = [i for i in range(1, len(values) - 1) if values[i] <= min(values[i - 1], values[i + 1])]
        first = min(_TRIALS // 4, len(values) - 2)  # around 0 there is no rise, and no way out
        best = min(low, key=lambda i: values[i]) if low else first + int(np.diff(values)[first:].argmin())
        return float(lengths[best])

    def split(self, x: Array) -> tuple[Array, Array, Array]:
        """P (K, r), Q (r, m) and t (r,), or an empty t; a slack and a bias may follow."""
        i, j, k = self._ends[:3]
        return x[:i].reshape(self._k, self.rank), x[i:j].reshape(self.rank, self._m), x[j:k]

    def logits(self, x: Array) -> Array:
        """Z (K, m), feasible; centred where the loss does not change."""
        return self.problem.centred(self._evaluate(x[None])[0][0] / self._omega)

    def _slopes(self, p: Array) -> Array:
        """``d Omega / d p_i`` for each row of p (B, r)."""
        if self._known:
            return self._architecture.slopes(p)
        return np.array([self._architecture.slopes(row) for row in p])

    def _evaluate(self, x: Array) -> tuple[Array, Array, Callable[[Array], Array]]:
        """Y (B, K, m), the penalties (B,), and what turns df/dY into the objective's gradient, at the rows of x."""
        i, j, k = self._ends[:3]
        p_, q, t = x[:, :i].reshape(-1, self._k, self.rank), x[:, i:j].reshape(-1, self.rank, self._m), x[:, j:k]
        m = self._depth
        squares = np.einsum("bij,bij->bj", p_, p_) + np.einsum("bij,bij->bi", q, q)
        left = p_ * (t ** (m - 2))[:, None, :] if m > 2 else p_
        product = left @ q
        if m > 2:
            gauge = (squares.sum(axis=1) + (m - 2) * np.einsum("bi,bi->b", t, t)) / m
            slopes = np.full_like(squares, 2 / m)
        else:
            slopes = self._slopes(squares / 2)
            gauge = np.einsum("bi,bi->b", slopes, squares) / 2
        penalty = np.zeros(len(x))
        if self.problem.is_constrained:
            total = gauge + 0.5 * x[:, self._ends[2]] ** 2
            with np.errstate(divide="ignore"):
                scale = np.where(total > 0, (self._tau ** (2 / m) / total) ** (m / 2), 0.0)
            y = scale[:, None, None] * product
        else:
            y, price = product, self._architecture.spectral_gauge
            penalty = self._price * m / 2 * gauge if m > 2 else np.array([price(row) for row in squares / 2])

        def gradient(g: Array) -> Array:
            if self.problem.is_constrained:
                inner = np.einsum("bij,bij->b", g, product)
                pull = -inner * scale * m / 2 / total
                g = scale[:, None, None] * g
            else:
                pull = np.full(len(x), self._price * m / 2 if m > 2 else 1.0)
            drag = pull[:, None] * slopes
            found = np.empty((len(x), self._ends[3]))
            across = g @ q.transpose(0, 2, 1)
            by_p = across * (t ** (m - 2))[:, None, :] if m > 2 else across
            found[:, :i] = (by_p + drag[:, None, :] * p_).reshape(len(x), -1)
            found[:, i:j] = (left.transpose(0, 2, 1) @ g + drag[:, :, None] * q).reshape(len(x), -1)
            if m > 2:
                along = np.einsum("bij,bij->bj", p_, across)
                found[:, j:k] = (m - 2) * (t ** (m - 3) * along + 2 / m * pull[:, None] * t)
            if self._slack:
                found[:, k] = pull * x[:, k]
            return found

        return y, penalty, gradient

    def __call__(self, x: Array) -> tuple[float, Array]:
        """``log(objective - shift)`` and its gradient; the shift is 0 for cross-entropy and mean squared error."""
        values, gradients = self.rows(x[None])
        return float(values[0]), gradients[0]

    def rows(self, x: Array) -> tuple[Array, Array]:
        """Values (B,) and gradients (B, n) at the rows of x (B, n), as of each alone."""
        self.evaluations += len(x)
        y, penalty, gradient = self._evaluate(x)
        risk, g, g_bias = self._risk(y / self._omega, x[:, self._ends[3] :])
        # what overflows is a plateau above all else, from which line searches turn back; starts are no longer than that
        values = np.clip(penalty + risk - self._shift, 1e-300, _PLATEAU)
        return np.log(values), np.concatenate([gradient(g / self._omega), g_bias], axis=1) / values[:, None]

    @property
    def plateau(self) -> float:
        """What ``log(objective - shift)`` is where the objective overflows; its gradient is given as 0 there."""
        return math.log(_PLATEAU)

    @property
    def takes_many(self) -> bool:
        """Whether the risks at many points are found at once, and not one by one."""
        return self._ce or self.problem.loss.closed_form is not None

    def _risk(self, z: Array, bias: Array) -> tuple[Array, Array, Array]:
        """The risks at logits (B, K, m) with gradients in logits and bias, of which the latter is a variable here."""
        if self._ce:
            values, g = cross_entropy(z + bias[:, :, None] if bias.shape[1] else z, self._pi)
        elif self.problem.loss.closed_form is not None:
            values, g = self._columns(z + bias[:, :, None] if bias.shape[1] else z)
        else:
            return self._one_by_one(z, bias)
        if not bias.shape[1]:
            return values, g, bias
        decay = self.problem.bias or 0.0
        return values + decay / 2 * np.einsum("bi,bi->b", bias, bias), g, g.sum(axis=2) + decay * bias

    def _columns(self, z: Array) -> tuple[Array, Array]:
        """Risks and gradients of a loss that judges every column alike, by all columns at once."""
        b, k, m = z.shape
        loss, columns = self.problem.loss, z.transpose(1, 0, 2).reshape(k, b * m)
        targets = np.tile(self.problem.targets, (1, b))
        values = loss.values(columns, targets).reshape(b, m) @ self._pi
        return values, loss.gradients(columns, targets).reshape(k, b, m).transpose(1, 0, 2) * self._pi

    def _one_by_one(self, z: Array, bias: Array) -> tuple[Array, Array, Array]:
        risk = self.problem.risk_of
        values, g, g_bias = np.empty(len(z)), np.zeros_like(z), np.zeros_like(bias)
        for i, (y, b) in enumerate(zip(z, bias, strict=True)):
            values[i] = risk.beside(y, b) if len(b) else risk.value(y)
            if not math.isfinite(values[i]):
                continue
            if len(b):
                g[i], g_bias[i] = risk.slopes(y, b)
            else:
                g[i] = risk.gradient(y)
        return values, g, g_bias

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
        y = self._evaluate(x[None])[0][0]
        u, s, vt = svd(y)
        rank = int((s > 1e-9 * s[0]).sum())
        needed = float((s[:rank] ** (2 / m)).sum())
        idle = self._tau ** (2 / m) - needed
        g = self.problem.gradient(y / self._omega) / self._omega
        left, size, right = svd(-g)
        if rank >= self.rank or idle < 1e-6 * needed or size[0] < 1e-8:
            return None
        root, e = s[:rank] ** (1 / m), math.sqrt(idle / 2)
        p, q, t = np.zeros((self._k, self.rank)), np.zeros((self.rank, self._m)), np.zeros(self.rank)
        p[:, :rank], q[:rank], t[:rank] = u[:, :rank] * root, root[:, None] * vt[:rank], root
        p[:, rank], q[rank], t[rank] = e * left[:, 0], e * right[0], e
        return np.concatenate([p.ravel(), q.ravel(), t, [math.sqrt(idle)], x[self._ends[3] :]])

    def hessian(self, x: Array) -> Array:
        """Second derivatives by central differences of the gradient, (n, n)."""
        n, idle = len(x), self._idle(x)
        step = 6e-6 * max(float(np.linalg.norm(x)) / math.sqrt(n), 1e-8)
        h = np.zeros((n, n))
        # of the terms that are empty one tells of all: nothing of them but the diagonal
        parts = np.split(np.arange(n), self._ends[:3])
        alike = [part[idle[part]] for part in parts]
        moved = np.concatenate([np.flatnonzero(~idle), *(part[:1] for part in alike)])
        for block in np.array_split(moved, max(1, math.ceil(len(moved) / self.together))):
            moves = np.zeros((len(block), n))
            moves[np.arange(len(block)), block] = step
            h[block] = (self.rows(x + moves)[1] - self.rows(x - moves)[1]) / (2 * step)
        for part in alike:
            h[part, part] = h[part[:1], part[:1]]
        return (h + h.T) / 2

    def _idle(self, x: Array) -> NDArray[np.bool_]:
        """Coordinates of empty terms where M > 2: what they change is a product of M >= 3 of them."""
        idle = np.zeros(len(x), dtype=bool)
        if self._depth > 2:
            p, q, t = self.split(x)
            empty = ~(p.any(axis=0) | q.any(axis=1) | t.astype(bool))
            whole = np.broadcast_to(empty, p.shape).ravel(), np.broadcast_to(empty[:, None], q.shape).ravel(), empty
            idle[: self._ends[2]] = np.concatenate(whole)
        return idle

    def curvature(self, x: Array) -> tuple[Array, Array]:
        """Eigenvalues (n,), ascending, and eigenvectors (n, n) of the Hessian."""
        h, idle = self.hessian(x), self._idle(x)
        moving = np.flatnonzero(~idle)
        values, vectors = eigh(h[np.ix_(moving, moving)])
        if not idle.any():
            return values, vectors
        every = np.concatenate([values, h.diagonal()[idle]])
        order = every.argsort(kind="stable")
        whole = np.zeros_like(h)
        whole[np.ix_(moving, np.arange(len(moving)))] = vectors
        whole[np.flatnonzero(idle), len(moving) + np.arange(idle.sum())] = 1.0
        return every[order], whole[:, order]


def _padded_svd(y: Array, rank: int) -> tuple[Array, Array, Array]:
    """The decomposition of ``y``, with terms of zero size up to ``rank``."""
    u, s, vt = svd(y, full_matrices=False)
    missing = max(0, rank - len(s))
    return np.pad(u, ((0, 0), (0, missing))), np.pad(s, (0, missing)), np.pad(vt, ((0, missing), (0, 0)))


def cross_entropy(z: Array, pi: Array) -> tuple[Array, Array]:
    """Risks and gradients of one-hot labels with one exponential, as accurate as those of the loss.

    Args:
        z: logits (..., K, K).
        pi: weights of the columns, shape (K,).

    >>> value, gradient = cross_entropy(np.zeros((2, 2)), np.array([0.5, 0.5]))
    >>> round(float(value), 6), gradient.tolist()
    (0.693147, [[-0.25, 0.25], [0.25, -0.25]])
    """
    margins = z - np.einsum("...ii->...i", z)[..., None, :]
    top = margins.max(axis=-2)  # at least 0, the margin of the class itself
    e = np.exp(margins - top[..., None, :])
    diagonal = np.einsum("...ii->...i", e)  # a view, writable
    own = diagonal.copy()
    diagonal[...] = 0.0
    rest = e.sum(axis=-2)
    total = own + rest
    loss = np.where(top > 0, top + np.log(total), np.log1p(rest))
    e /= total[..., None, :]
    diagonal[...] = -rest / total
    return loss @ pi, e * pi
