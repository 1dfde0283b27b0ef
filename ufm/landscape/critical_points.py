r"""The landscape in the factors: what kind of critical point a given (W, H) or (W, A, H) is.

:func:`classify` states first- and second-order conditions of the problem in the factors, constraints included, up to
the rotations ``(W, A, H) -> (W Q^T, Q A Q^T, Q H)`` that leave it invariant.

*Explicit network (benign).* At a critical point that is no global minimum, ``|G D^{-1/2}|_2 > lam``; with d >= K there
is a unit q with ``W q = 0 = H^T q``, and moving along ``W + t u q^T, H + t q v^T D^{-1/2}`` (u, v the top singular
vectors of ``-G D^{-1/2}``) has curvature ``2 (lam - |G D^{-1/2}|_2) < 0`` (for lambda_W = lambda_H): a strict saddle.
d >= K is enough: under CE ``1^T W = 0`` makes W singular, and under MSE a W of full rank K = d forces
``|G D^{-1/2}|_2 = lam``. Source: Zhu et al. 2021, restated here.

*Equilibrium layer (not benign).* The same move through ``A + a q q^T`` has curvature
``2 (lam - |G D^{-1/2}|_2/(1-a))``: where A is small along q, a gradient between ``(1-rho) lam`` and ``lam`` is not
enough to grow. Let Z of rank r be a local minimum of the explicit network with r features and strength
``(1-rho) lam``. With ``A = rho`` on the features used and ``|A| <= a`` beside them,

    |G D^{-1/2}|_2 < (1 - a) lam   makes (W, A, H) a local minimum for every d, and
    |G D^{-1/2}|_2 > (1 - rho) lam   says that it is not a global one where d > r.

Proof. By Gelfand-Naimark the objective is at least ``f(Z) + lam sum_i sigma_i(Y) sigma_{d+1-i}(I - A)``, next to the
point at least ``f(Z) + lam [(1-rho) sum_{i<=r} sigma_i(Y) + kappa sum_{i>r} sigma_i(Y)]`` with kappa next to 1 - a.
Split Y into its best rank-r part and the rest: convexity bounds the risk's change by ``|grad f|_2`` times the nuclear
norm of the rest, less than what the rest costs, and the rank-r part is no better than Z. Source: derived here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._linalg import eigh, eigvalsh, svd, svdvals
from ufm._validation import positive
from ufm.architectures import Constrained, Factors, Penalised, PenalisedDEQ, UnconstrainedFeatures
from ufm.problem import Problem

__all__ = ["CriticalPoint", "classify"]

Array = NDArray[np.float64]

#: Constraints within this relative distance count as active, multipliers and curvatures below it as zero.
ACTIVE, ZERO = 1e-7, 1e-7

KINDS = (
    "not critical",
    "global minimum",
    "local minimum",
    "degenerate",
    "strict saddle",
    "undecided",
)


@dataclass(frozen=True)
class CriticalPoint:
    """First- and second-order conditions at a point in the factors, in floating point.

    Attributes:
        value: objective (weight decay) or risk (budgets).
        gradient_norm: residual of the Karush-Kuhn-Tucker conditions, relative to the gradient of the risk.
        index: negative eigenvalues of the Lagrangian's Hessian on the critical subspace.
        nullity: its zero eigenvalues.
        expected_nullity: dimension of the orbit under rotations of the features, of which the Hessian must vanish.
        kind: one of ``KINDS``: ``"strict saddle"`` (a feasible direction of negative curvature), ``"local minimum"``
            (index 0 and degenerate along the orbit alone, or the theorem on trapped points in the module's docstring),
            ``"global minimum"`` (a local one whose duality gap is closed), ``"degenerate"`` (index 0 and further flat
            directions, about which second order says nothing), ``"undecided"`` (negative curvature only where a
            constraint with vanishing multiplier may forbid it), ``"not critical"``.
        reason: what decided the kind.
        dual_norm: ``|G diag(1/omega)|_2``.
        eigenvalues: of the Hessian on the critical subspace, ascending.
        multipliers: by constraint; for the spectral bound the eigenvalues of its matrix multiplier.
    """

    value: float
    gradient_norm: float
    index: int
    nullity: int
    expected_nullity: int
    kind: str
    reason: str
    dual_norm: float
    eigenvalues: Array
    multipliers: dict[str, Any]


def classify(problem: Problem, factors: Factors, *, tol: float = 1e-8) -> CriticalPoint:
    """What kind of critical point of ``problem`` the ``factors`` are.

    With constraints active, second-order conditions are those of the Lagrangian on the subspace on which the active
    constraints with positive multipliers stay tight; for ``|A|_2 <= rho``, written ``rho^2 I - A^T A >= 0``, the
    curvature of the semidefinite cone is part of them (Shapiro 1997).

    Args:
        problem: what is minimised, with two factors or an equilibrium layer; a bias is the best one beside the logits.
        factors: W (K, d), H (d, K) and, for a DEQ, A (d, d).
        tol: relative residual > 0 up to which the point counts as critical.

    Raises:
        TypeError, ValueError: factors that do not fit the problem or violate its constraints.

    >>> import ufm
    >>> problem = Problem.of(ufm.UnconstrainedFeatures(0.05, 0.05), ufm.ClassPrior.balanced(3))
    >>> classify(problem, Factors(np.zeros((3, 2)), np.zeros((2, 3)))).kind
    'strict saddle'
    >>> optimum = ufm.solve(problem.architecture, problem.prior)
    >>> classify(problem, Factors(optimum.classifier, optimum.features)).kind
    'global minimum'
    """
    tol = positive("tol", tol)
    return _Analysis(problem, factors).conclude(tol)


class _Analysis:
    """Gradient, multipliers, critical subspace and Hessian at one point, all in the vector (W, H, A)."""

    def __init__(self, problem: Problem, factors: Factors) -> None:
        if not isinstance(problem, Problem):
            raise TypeError(f"problem must be a ufm.problem.Problem, got {problem!r}")
        if not isinstance(factors, Factors):
            raise TypeError(f"factors must be ufm.architectures.Factors, got {type(factors).__name__}")
        architecture = problem.spectral
        if architecture.num_factors != 2 or architecture.blocks not in (None, "deq"):
            raise ValueError(f"problem must have two factors or an equilibrium layer, got {architecture!r}")
        self.problem, self.architecture = problem, architecture
        k = problem.prior.num_classes
        w, h = (np.asarray(m, dtype=float) for m in (factors.classifier, factors.features))
        if w.ndim != 2 or w.shape[0] != k or h.shape != w.shape[::-1]:
            raise ValueError(f"factors must have shapes ({k}, d) and (d, {k}), got {w.shape} and {h.shape}")
        self.d = d = w.shape[1]
        self.is_deq = architecture.is_equilibrium
        if self.is_deq != (factors.equilibrium is not None):
            raise ValueError(
                f"factors must {'' if self.is_deq else 'not '}have an equilibrium map for {architecture!r}"
            )
        a = np.zeros((d, d)) if factors.equilibrium is None else np.asarray(factors.equilibrium, dtype=float)
        if a.shape != (d, d):
            raise ValueError(f"factors must have an equilibrium map of shape {(d, d)}, got {a.shape}")
        self.k, self.w, self.h, self.a = k, w, h, a
        self.rho = float(getattr(architecture, "rho", 0.0))
        u, s, vt = svd(a)
        if self.is_deq and s[0] > self.rho * (1 + ACTIVE) + 1e-12:
            raise ValueError(f"factors must satisfy |A|_2 <= {self.rho}, got {s[0]:.6g}")
        top = s >= self.rho * (1 - ACTIVE) if self.is_deq and self.rho > 0 else np.zeros(d, dtype=bool)
        self.u_1, self.v_1, self.v_2, self.s_2 = u[:, top], vt[top].T, vt[~top].T, s[~top]
        self.x = np.linalg.inv(np.eye(d) - a)
        self.seen, self.read = self.x @ h, w @ self.x
        self.logits = self.read @ h
        self.g = problem.gradient(self.logits)
        self._risk = problem.risk_of.model(self.logits)
        self.counts = problem.prior.counts if isinstance(architecture, Penalised) else np.ones(k)
        self._lagrangian()

    # first order ----------------------------------------------------------------------------------------------------

    def _budget(self, name: str, matrix: Array, gradient: Array, limit: float | None) -> float:
        """Multiplier m >= 0 of ``|matrix|_F^2 <= limit`` in ``gradient + m matrix = 0``; 0 where it is not active."""
        square = float((matrix**2).sum())
        if limit is None or square < limit * (1 - ACTIVE):
            return 0.0
        if square > limit * (1 + ACTIVE):
            raise ValueError(f"factors must satisfy |{name}|_F^2 <= {limit:.6g}, got {square:.6g}")
        return max(0.0, -float((gradient * matrix).sum()) / max(square, 1e-300))

    def _lagrangian(self) -> None:
        architecture, w, h, a = self.architecture, self.w, self.h, self.a
        g_w, g_h = self.g @ self.seen.T, self.read.T @ self.g
        g_a = self.read.T @ self.g @ self.seen.T if self.is_deq else np.zeros_like(a)
        self.scale = max(
            1e-300, math.sqrt(float((g_w**2).sum() + (g_h**2).sum())), float(np.linalg.norm(self.g)) * 1e-3
        )
        self.m_w = self.m_h = self.m_a = 0.0
        self.tight: list[tuple[str, float]] = []
        budget_a = getattr(architecture, "E_A", None)
        if isinstance(architecture, Penalised):
            self.m_w, self.m_h = architecture.lambda_W, architecture.lambda_H
            self.m_a = float(getattr(architecture, "lambda_A", None) or 0.0)
        elif isinstance(architecture, Constrained):
            c_w, c_h = architecture.factor_budgets(self.k)
            self.m_w, self.m_h = self._budget("W", w, g_w, c_w), self._budget("H", h, g_h, c_h)
        if budget_a is not None:
            rest = a - self.rho * self.u_1 @ self.v_1.T
            square = float((a**2).sum())
            if square > budget_a * (1 + ACTIVE) + 1e-12:
                raise ValueError(f"factors must satisfy |A|_F^2 <= {budget_a:.6g}, got {square:.6g}")
            if square > budget_a * (1 - ACTIVE) and (rest**2).sum() > 1e-12:
                self.m_a = max(0.0, -float((g_a * rest).sum()) / float((rest**2).sum()))
        matrix = -self.u_1.T @ (g_a + self.m_a * a) @ self.v_1
        self.spectral = (matrix + matrix.T) / 2
        values, vectors = eigh(self.spectral) if len(matrix) else (np.zeros(0), np.zeros((0, 0)))
        self.spectral_values = values
        self.spectral_vectors = vectors
        kept = (vectors * np.maximum(values, 0.0)) @ vectors.T if len(matrix) else matrix
        residual = [
            g_w + self.m_w * w,
            g_h + self.m_h * h * self.counts,
            g_a + self.m_a * a + self.u_1 @ kept @ self.v_1.T if self.is_deq else np.zeros_like(a),
        ]
        self.residual = math.sqrt(sum(float((r**2).sum()) for r in residual)) / self.scale
        self.kept = kept

    def _constraints(self) -> tuple[list[Array], bool]:
        """Gradients of the constraints with positive multipliers, and whether every active one has one."""
        zero = [np.zeros_like(self.w), np.zeros_like(self.h), np.zeros_like(self.a)]
        rows, strict = [], True
        if isinstance(self.architecture, Constrained):
            for i, (matrix, m) in enumerate(((self.w, self.m_w), (self.h, self.m_h))):
                if m > ZERO * self.scale:
                    rows.append(np.concatenate([(matrix if j == i else z).ravel() for j, z in enumerate(zero)]))
                else:
                    strict = strict and float((matrix**2).sum()) < self.architecture.factor_budgets(self.k)[i] * (
                        1 - ACTIVE
                    )
            budget_a = getattr(self.architecture, "E_A", None)
            if budget_a is not None and float((self.a**2).sum()) > budget_a * (1 - ACTIVE):
                if self.m_a > ZERO * self.scale:
                    rows.append(np.concatenate([zero[0].ravel(), zero[1].ravel(), self.a.ravel()]))
                else:
                    strict = False
        positive_part = self.spectral_vectors[:, self.spectral_values > ZERO * self.scale]
        strict = strict and positive_part.shape[1] == len(self.spectral_values)
        u, v = self.u_1 @ positive_part, self.v_1 @ positive_part
        for i in range(positive_part.shape[1]):
            for j in range(i + 1):
                block = np.outer(u[:, i], v[:, j]) + np.outer(u[:, j], v[:, i])
                rows.append(np.concatenate([zero[0].ravel(), zero[1].ravel(), block.ravel()]))
        return rows, strict

    # second order ---------------------------------------------------------------------------------------------------

    def _unpack(self, v: Array) -> tuple[Array, Array, Array]:
        kd = self.k * self.d
        return (
            v[:kd].reshape(self.k, self.d),
            v[kd : 2 * kd].reshape(self.d, self.k),
            v[2 * kd :].reshape(self.d, self.d),
        )

    def _product(self, v: Array) -> Array:
        """The Lagrangian's Hessian, curvature of the spectral bound included, times v."""
        dw, dh, da = self._unpack(v)
        d_seen = self.x @ (da @ self.seen + dh)
        d_read = (dw + self.read @ da) @ self.x
        dz = dw @ self.seen + self.read @ da @ self.seen + self.read @ dh
        dg = self._risk.hessian(dz)  # a bias stays the best one on the way
        h_w = dg @ self.seen.T + self.g @ d_seen.T + self.m_w * dw
        h_h = self.read.T @ dg + d_read.T @ self.g + self.m_h * dh * self.counts
        if not self.is_deq:
            return np.concatenate([h_w.ravel(), h_h.ravel(), np.zeros(self.a.size)])
        h_a = self.read.T @ dg @ self.seen.T + d_read.T @ self.g @ self.seen.T + self.read.T @ self.g @ d_seen.T
        h_a = h_a + self.m_a * da
        if len(self.kept):
            multiplier = self.v_1 @ (self.kept / self.rho) @ self.v_1.T
            inverse = (self.v_2 / (self.rho**2 - self.s_2**2)) @ self.v_2.T
            moved = da.T @ self.a + self.a.T @ da
            h_a = h_a + da @ multiplier + self.a @ (inverse @ moved @ multiplier + multiplier @ moved @ inverse)
        return np.concatenate([h_w.ravel(), h_h.ravel(), h_a.ravel()])

    def _orbit(self) -> Array:
        """Tangent vectors of the orbit under rotations of the features, as columns."""
        columns = []
        for i in range(self.d):
            for j in range(i):
                skew = np.zeros((self.d, self.d))
                skew[i, j], skew[j, i] = 1.0, -1.0
                moved = (-self.w @ skew, skew @ self.h, skew @ self.a - self.a @ skew)
                columns.append(np.concatenate([m.ravel() for m in moved]))
        return np.array(columns).T if columns else np.zeros((self._size, 0))

    @property
    def _size(self) -> int:
        return 2 * self.k * self.d + self.d**2

    def value(self) -> float:
        """The objective at the factors."""
        risk = self.problem.risk(self.logits)
        if not isinstance(self.architecture, Penalised):
            return risk
        decay = self.m_w * (self.w**2).sum() + self.m_h * ((self.h**2).sum(axis=0) @ self.counts)
        return risk + 0.5 * float(decay + self.m_a * (self.a**2).sum())

    def conclude(self, tol: float) -> CriticalPoint:
        """The classification."""
        from scipy.linalg import null_space

        size = self._size if self.is_deq else 2 * self.k * self.d
        rows, strict = self._constraints()
        basis = np.eye(size) if not rows else null_space(np.array(rows)[:, :size])
        padded = np.vstack([basis, np.zeros((self._size - size, basis.shape[1]))])
        hessian = basis.T @ np.array([self._product(v)[:size] for v in padded.T]).T
        eigenvalues = eigvalsh((hessian + hessian.T) / 2)
        cut = ZERO * max(float(np.abs(eigenvalues).max(initial=0.0)), 1e-300)
        index, nullity = int((eigenvalues < -cut).sum()), int((np.abs(eigenvalues) <= cut).sum())
        orbit = svdvals(self._orbit()[:size])
        expected = int((orbit > 1e-7 * max(float(orbit.max(initial=0.0)), 1e-300)).sum()) if orbit.size else 0
        dual_norm = self.problem.dual_norm(self.g)
        kind, reason = self._kind(tol, index, nullity, expected, strict)
        multipliers = {"W": self.m_w, "H": self.m_h, "A": self.m_a, "spectral": self.spectral_values.tolist()}
        return CriticalPoint(
            self.value(), self.residual, index, nullity, expected, kind, reason, dual_norm, eigenvalues, multipliers
        )

    def _kind(self, tol: float, index: int, nullity: int, expected: int, strict: bool) -> tuple[str, str]:
        if not self.residual <= tol:
            return "not critical", f"relative residual {self.residual:.1e}"
        if self.problem.is_convex and self._gap() <= 1e-9:
            return "global minimum", "the duality gap of the convex problem is closed"
        if index:
            if strict:
                return "strict saddle", f"{index} directions of negative curvature"
            return "undecided", "negative curvature, where a constraint with vanishing multiplier is active"
        if nullity <= expected:
            return "local minimum", "positive definite but for the orbit under rotations"
        trapped = self._trapped()
        return (
            ("local minimum", trapped) if trapped else ("degenerate", f"{nullity - expected} further flat directions")
        )

    def _gap(self) -> float:
        value = self.value()
        return (value - self.problem.lower_bound(self.logits)) / max(abs(value), 1e-12)

    def _trapped(self) -> str:
        """The reason by which the theorem on trapped points makes this one a local minimum; empty where it does not."""
        architecture = self.architecture
        if not isinstance(architecture, PenalisedDEQ) or architecture.lambda_A is not None:
            return ""
        q, s, _ = svd(self.h, full_matrices=True)
        rank = int((s > ZERO * max(float(s[0]), 1e-300)).sum()) if s[0] > 1e-9 else 0
        used, rest = q[:, :rank], q[:, rank:]
        off = self.a - self.rho * used @ used.T
        if float(np.abs(off @ used).max(initial=0.0)) > 1e-6 or float(np.abs(used.T @ off).max(initial=0.0)) > 1e-6:
            return ""
        beside = float(np.linalg.norm(rest.T @ self.a @ rest, 2)) if rank < self.d else 0.0
        lam = math.sqrt(architecture.lambda_W * architecture.lambda_H)
        if not self.problem.dual_norm(self.g) < lam * (1 - beside) * (1 - ZERO):
            return ""
        if rank:
            shrunk = 1 - self.rho
            explicit = UnconstrainedFeatures(architecture.lambda_W, architecture.lambda_H * shrunk**2)
            small = Problem(explicit, self.problem.prior, self.problem.loss, self.problem.bias)
            # f(W (I-A)^{-1} H) with A = rho on the features used: the injection over 1 - rho is the explicit H
            inner = classify(small, Factors(self.w @ used, used.T @ self.h / shrunk))
            if inner.kind not in ("local minimum", "global minimum") or inner.nullity > inner.expected_nullity:
                return ""
        return f"trapped: |G diag(1/omega)|_2 < (1 - a) lam with a = {beside:.3g} beside the {rank} features used"
