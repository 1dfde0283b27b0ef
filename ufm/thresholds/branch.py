r"""The collapsed branch in a handful of numbers: a threshold as one root of stationarity and criterion together.

While the minority is collapsed and classes of a group are alike, logits are

    Z = s_A E_A + sum_{ab} M_ab U_ab,   E_A = I_A - 1_A 1_A^T / K_A,   U_ab = 1_a 1_b^T / sqrt(K_a K_b),

and the gauge is ``omega_A (K_A - 1) |s_A| + |M diag(omega)|_*``. Both parts are smooth where s_A > 0 and the rank r of
the 2 x 2 block stays what it is: the branch goes on smoothly through the threshold. In the coordinates s_A and
``Y = M diag(omega)`` (its four entries for r = 2; ``sigma u(alpha) v(beta)^T`` for r = 1), with the multiplier mu, the
threshold R* is a root of

    stationarity,   gauge = tau  (budgets),   -<G, E_B> / (K_B - 1) = mu omega_B,   G = grad f(Z),

the last of which is ``pi_B kappa_B = mu omega_B``. Newton's method finds it to rounding, and the same Jacobian gives
the derivative of R* by anything that the equations depend on (implicit differentiation). Source: theory section 7.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._linalg import svd, svdvals
from ufm.losses import Loss
from ufm.risk import Risk
from ufm.two_groups.thresholds import slope

__all__ = ["Branch", "Root"]

Array = NDArray[np.float64]

MAX_STEPS = 30
#: A logarithm of R, or of the multiplier, beyond which a step has led nowhere.
LARGEST_LOG = 700.0
#: Residuals, relative to mu and tau, of a root.
SOLVED = 1e-9
#: Relative step of differences, to the error of which Newton's steps and derivatives are exact.
STEP = 6e-6
#: s_A and singular values of Y below this fraction of the largest are 0 on the branch.
NOTHING = 1e-7
#: How far a parameter of a loss may be left to one side.
ROOM = 1.0
#: Excess of the dual norm over mu, relative, that rounding may leave.
DUAL_ROOM = 1e-8


@dataclass(frozen=True)
class Setting:
    """What the equations depend on beside R: the gauge's scale, the count that is held fixed, the bias's decay."""

    scale: float
    held: float = 1.0
    decay: float | None = None


@dataclass(frozen=True)
class Root:
    """A threshold on the collapsed branch.

    Attributes:
        ratio: R*.
        error: bound of its relative rounding error, estimated.
        unknowns: of the equations, log R* last.
        jacobian: of the equations there.
    """

    ratio: float
    error: float
    unknowns: Array
    jacobian: Array


class Branch:
    """The equations of the collapsed branch of a two-group problem.

    Args:
        loss: a convex loss that treats the classes of either group alike.
        sizes: (K_A, K_B).
        is_constrained: budgets, where the multiplier is unknown, or weight decay.
        counts: ``(R, held) -> (n_A, n_B)``.
        logits: (K, K) at a collapsed optimum nearby, which settles s_A > 0 and the rank of the block, and is the start.
        weights: omega (K,) there.
        mu: the multiplier there.
        ratio: R there.

    >>> import ufm
    >>> loss, counts = ufm.CrossEntropy(), lambda ratio, held: (ratio, 1.0)
    >>> s = ufm.solve(ufm.LayerPeeled(0.6, 0.6), ufm.ClassPrior([2, 2, 1, 1]), loss)
    >>> start = {"logits": s.logits, "weights": np.ones(4), "mu": s.multiplier, "ratio": 2.0}
    >>> branch = Branch(loss, (2, 2), is_constrained=True, counts=counts, **start)
    >>> root = branch.root(Setting(2.4))  # radius 4 sqrt(.6 .6)
    >>> round(root.ratio, 9), bool(np.abs(branch.equations(root.unknowns, Setting(2.4))).max() < 1e-12)
    (1.799360718, True)
    >>> round(branch.slope(root, Setting(2.4 + 1e-5), Setting(2.4 - 1e-5)) / 2e-5, 6)  # dR*/dtau
    0.601911
    """

    def __init__(
        self,
        loss: Loss,
        sizes: tuple[int, int],
        *,
        is_constrained: bool,
        counts: Any,
        logits: Array,
        weights: Array,
        mu: float,
        ratio: float,
    ) -> None:
        self._loss, self._counts, self._constrained = loss, counts, is_constrained
        self._k_a, self._k_b = sizes
        k = sum(sizes)
        self._targets = np.eye(k)
        # the orthonormal indicators of the groups, (K, 2)
        self._group = np.zeros((k, 2))
        self._group[: sizes[0], 0] = 1 / math.sqrt(sizes[0])
        self._group[sizes[0] :, 1] = 1 / math.sqrt(sizes[1])
        y = self._group.T @ logits @ self._group * weights[[0, -1]]
        s_a = self._standard(logits, 0)
        u, sigma, vt = svd(y)
        largest = max(float(sigma[0]), abs(s_a) * float(weights[0]), 1e-300)
        self._has_s = sizes[0] > 1 and s_a > NOTHING * largest
        self._rank = int((sigma > NOTHING * largest).sum())
        self._sign = 1.0 if np.linalg.det(y) >= 0 else -1.0
        block = {
            0: [],
            1: [float(sigma[0]), math.atan2(u[1, 0], u[0, 0]), math.atan2(vt[0, 1], vt[0, 0])],
            2: y.ravel().tolist(),
        }[self._rank]
        start = ([s_a] if self._has_s else []) + block + ([math.log(mu)] if is_constrained else []) + [math.log(ratio)]
        self._start = np.array(start)
        # what a change of an unknown is measured by: logits by the largest of them, angles and logarithms by 1
        logits_first = int(self._has_s) + (1 if self._rank == 1 else len(block))
        self._sizes = np.ones(len(start))
        self._sizes[:logits_first] = largest

    def _standard(self, matrix: Array, group: int) -> float:
        """``<matrix, E_a> / (K_a - 1)``, 0 for a group of one class."""
        members = slice(0, self._k_a) if group == 0 else slice(self._k_a, None)
        block = matrix[members, members]
        size = len(block)
        return float(np.trace(block) - block.sum() / size) / (size - 1) if size > 1 else 0.0

    # -- the equations ------------------------------------------------------------------------------------------------

    def equations(self, x: Array, setting: Setting) -> Array:
        """Residuals of stationarity, gauge and criterion, relative to mu and tau, at unknowns ``x``."""
        s_a, y, polar, frame, log_mu, ratio = self._unpacked(x)
        n_a, n_b = self._counts(ratio, setting.held)
        total = self._k_a * n_a + self._k_b * n_b
        omega = np.ones(2) if self._constrained else np.sqrt([n_a, n_b])
        mu = math.exp(log_mu) if self._constrained else setting.scale
        pi = np.repeat([n_a / total, n_b / total], [self._k_a, self._k_b])
        risk = Risk(self._loss, self._targets, pi, setting.decay)
        gradient = risk.gradient(self._logits(s_a, y / omega))
        block = self._group.T @ gradient @ self._group / omega
        out = []
        if self._has_s:
            out.append(self._standard(gradient, 0) / (mu * omega[0]) + 1)
        if self._rank == 2:
            out.extend((block / mu + polar).ravel())
        elif self._rank == 1:
            turned = frame[0].T @ block @ frame[1] / mu
            out.extend([turned[0, 0] + 1, turned[1, 0], turned[0, 1]])
        if self._constrained:
            gauge = omega[0] * (self._k_a - 1) * s_a + float(svdvals(y).sum())
            out.append(gauge / setting.scale - 1)
        out.append(self._standard(gradient, 1) / (mu * omega[1]) + 1)
        return np.array(out)

    def _unpacked(self, x: Array) -> tuple[float, Array, Array, tuple[Array, Array], float, float]:
        """``s_A, Y, its polar factor (r = 2), its frames (r = 1), log mu, R``."""
        position = int(self._has_s)
        s_a = float(x[0]) if self._has_s else 0.0
        y, polar, frame = np.zeros((2, 2)), np.zeros((2, 2)), (np.eye(2), np.eye(2))
        if self._rank == 2:
            y = x[position : position + 4].reshape(2, 2)
            # of a 2 x 2 matrix U V^T = (Y + sign cof Y) / (sigma_1 + sigma_2)
            cofactor = np.array([[y[1, 1], -y[1, 0]], [-y[0, 1], y[0, 0]]])
            polar = (y + self._sign * cofactor) / svdvals(y).sum()
        elif self._rank == 1:
            sigma, alpha, beta = x[position : position + 3]
            frame = _rotation(alpha), _rotation(beta)
            y = sigma * np.outer(frame[0][:, 0], frame[1][:, 0])
        log_mu = float(x[-2]) if self._constrained else 0.0
        return s_a, y, polar, frame, log_mu, math.exp(x[-1])

    def _logits(self, s_a: float, m: Array) -> Array:
        z = self._group @ m @ self._group.T
        a = slice(0, self._k_a)
        z[a, a] += s_a * (np.eye(self._k_a) - 1 / self._k_a)
        return z

    # -- the root -----------------------------------------------------------------------------------------------------

    def root(self, setting: Setting) -> Root | None:
        """The threshold by Newton's method from the start; None where it does not converge to an optimum."""
        x = self._start.copy()
        last = math.inf
        with np.errstate(all="ignore"):
            for _ in range(MAX_STEPS):
                residual = self.equations(x, setting)
                jacobian = self._differences(x, setting)
                if not (np.isfinite(residual).all() and np.isfinite(jacobian).all()):
                    return None
                step = np.linalg.lstsq(jacobian, -residual, rcond=1e-14)[0]
                # a step in log R of more than 1 leaves what the start knows
                step *= min(1.0, 1.0 / max(abs(step[-1]), 1e-300))
                x = x + step
                logs = x[-2:] if self._constrained else x[-1:]
                if not (np.isfinite(x).all() and np.abs(logs).max() < LARGEST_LOG):
                    return None
                size = float(np.abs(step / self._sizes).max())
                if size < 1e-13 or (size < 1e-9 and size >= 0.5 * last):
                    break
                last = size
            else:
                return None
            # steps that a singular Jacobian holds back are short, and end at no root
            if not (np.abs(self.equations(x, setting)).max() < SOLVED and self._is_optimal(x, setting)):
                return None
            inverse = np.linalg.pinv(jacobian, rcond=1e-14)
        error = 1e-15 + 2 * abs(float(step[-1])) + 30 * float(np.finfo(float).eps * np.abs(inverse[-1]).sum())
        return Root(math.exp(x[-1]), error, x, jacobian)

    def slope(self, root: Root, ahead: Setting, behind: Setting) -> float:
        """``R*' = dR*/dp`` times the distance of the two settings, which differ in p around that of the root."""
        change = self.equations(root.unknowns, ahead) - self.equations(root.unknowns, behind)
        return root.ratio * float(np.linalg.lstsq(root.jacobian, -change, rcond=1e-14)[0][-1])

    def slope_by_loss(self, root: Root, setting: Setting, loss: Callable[[float], Loss], at: float) -> float:
        """``dR*/dp`` for a parameter p of the loss, which is ``loss(p)``, at its value ``at``.

        >>> import ufm
        >>> t = ufm.collapse_threshold(ufm.LayerPeeled(0.6, 0.6), 2, 2, loss=ufm.CrossEntropy(smoothing=0.1))
        >>> root, setting = t.question.root, t.question.family.setting
        >>> round(t.question.branch.slope_by_loss(root, setting, ufm.CrossEntropy, 0.1), 6)  # by the smoothing
        1.965867
        """

        def equations(value: float) -> Array:
            other = copy.copy(self)
            other._loss = loss(value)
            return other.equations(root.unknowns, setting)

        try:
            change = slope(equations, at, room=abs(at) or 1.0)
        except ValueError:  # at an end of what the parameter may be
            change = slope(lambda x: equations(at + x), 0.0, room=ROOM)
        return root.ratio * float(np.linalg.lstsq(root.jacobian, -change, rcond=1e-14)[0][-1])

    def _differences(self, x: Array, setting: Setting) -> Array:
        columns = []
        for i in range(len(x)):
            h = STEP * float(self._sizes[i])
            up, down = x.copy(), x.copy()
            up[i] += h
            down[i] -= h
            columns.append((self.equations(up, setting) - self.equations(down, setting)) / (2 * h))
        return np.array(columns).T

    def _is_optimal(self, x: Array, setting: Setting) -> bool:
        """Whether x is the optimum at its R: signs as the start had them, and the dual norm at most mu."""
        s_a, y, *_, log_mu, ratio = self._unpacked(x)
        sigma = svdvals(y)
        first = float(x[int(self._has_s)]) if self._rank == 1 else 1.0
        if (self._has_s and s_a <= 0) or (self._rank and sigma[self._rank - 1] <= 0) or first <= 0:
            return False
        n_a, n_b = self._counts(ratio, setting.held)
        total = self._k_a * n_a + self._k_b * n_b
        omega = np.ones(2) if self._constrained else np.sqrt([n_a, n_b])
        mu = math.exp(log_mu) if self._constrained else setting.scale
        each = [self._k_a, self._k_b]
        risk = Risk(self._loss, self._targets, np.repeat([n_a / total, n_b / total], each), setting.decay)
        gradient = risk.gradient(self._logits(s_a, y / omega)) / np.repeat(omega, each)
        return bool(np.linalg.norm(gradient, 2) <= mu * (1 + DUAL_ROOM))


def _rotation(angle: float) -> Array:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
