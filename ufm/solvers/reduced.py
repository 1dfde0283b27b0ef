"""``method="reduced"``: symmetry reduction, exact for priors with groups of equal counts (theory section 3).

One group: closed form. Two groups under cross-entropy: one or two scalar equations. More groups: Newton's method on
the factored reduction. MSE without bias: closed form for any prior.
"""

from __future__ import annotations

import math
import warnings
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm.geometry import ZERO_LOGITS, collapse
from ufm.labels import ClassPrior
from ufm.losses import ClosedForm
from ufm.phases import Phase
from ufm.problem import Problem
from ufm.reduction import ReducedLogits, ReducedRisk
from ufm.solution import Solution
from ufm.solvers._grouped_newton import Classes, minimise_grouped
from ufm.solvers._many_groups import ManyGroups
from ufm.solvers.conclude import UNDERFLOW, checked, is_closed
from ufm.solvers.methods import Support
from ufm.two_groups.scalar import TwoGroups

__all__ = ["solve_reduced", "supports", "too_many_counts"]

Array = NDArray[np.float64]

#: Distance of two columns, over the size of all logits, up to which the classes of different groups have merged.
MERGED = 1e-8
#: Relative duality gap up to which a point counts as the global optimum.
GAP_TOLERANCE = 1e-9
#: Relative gap above which up to so many groups are solved in their factors instead, which holds in any corner.
SETTLED, FEW_GROUPS = 1e-11, 12


#: Different counts up to which cross-entropy is solved: a thousand take 6 CPU seconds, four thousand some six minutes.
MOST_GROUPS = 4000


def supports(problem: Problem) -> Support:
    """Exact for plain cross-entropy and mean squared error under a nuclear norm, whatever the prior.

    >>> import ufm
    >>> supports(Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([1, 1]))).answer
    'exact'
    """
    if problem.loss.closed_form is None:
        return Support.refused(f"loss {problem.loss.name} has no symmetry reduction here, only 'ce' and 'mse' have")
    if not isinstance(problem.prior, ClassPrior):
        return Support.refused("prior has labels that are not one-hot, for which no symmetry reduction is derived here")
    if problem.bias is not None:
        return Support.refused("bias has no symmetry reduction here")
    if not problem.has_nuclear_norm:
        return Support.refused(
            f"architecture {problem.architecture!r} has no nuclear-norm gauge, the problem is not convex in it"
        )
    if why := too_many_counts(problem):
        return Support.refused(why)
    return Support("exact")


def too_many_counts(problem: Problem) -> str:
    """Why a prior has more different counts than cross-entropy is solved for, in words; else empty.

    >>> import ufm
    >>> too_many_counts(Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([3, 1])))
    ''
    """
    if not isinstance(problem.prior, ClassPrior) or problem.loss.closed_form is not ClosedForm.CROSS_ENTROPY:
        return ""
    groups = len(problem.prior.groups)
    if groups <= MOST_GROUPS:
        return ""
    return (
        f"prior has {groups} different counts, more than the {MOST_GROUPS} that are solved in minutes, for the time "
        "grows with the cube of their number: round them, so that classes share counts"
    )


def solve_reduced(problem: Problem, *, dim: int | None = None) -> Solution:
    """Solve ``problem`` in the coordinates of its symmetry reduction, to about 1e-12 relative in the value.

    Args:
        problem: what to solve.
        dim: feature dimension of the factors, default K.

    Returns:
        The optimum; ``lower`` is the weak-duality bound at the reduced gradient.

    >>> import ufm
    >>> solution = solve_reduced(Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior.step(3, 7, 50.0)))
    >>> solution.is_global, solution.collapsed, str(solution.phase)
    (True, (False, True), 'partial')
    """
    if problem.loss.closed_form is ClosedForm.MEAN_SQUARED_ERROR:
        return _mean_squared_error(problem, dim)
    groups = problem.class_prior.groups
    if len(groups) == 2:
        return _two_groups(problem, dim)
    weights = problem.weights[[group.classes[0] for group in groups]]
    if len(groups) == 1:
        logits, mu, collapsed, steps = _one_group(problem, float(weights[0]))
        phase = Phase.TOTAL if collapsed[0] else Phase.NONE
    else:
        logits, mu, collapsed, steps = _many_groups(problem, weights)
        phase = _phase(problem, logits, collapsed)
    value, lower = _bounds(problem, weights, logits)
    return _solution(problem, dim, value, lower, logits, mu, collapsed, steps, phase)


def _bounds(problem: Problem, weights: Array, logits: ReducedLogits) -> tuple[float, float]:
    """The objective at the logits, and the weak-duality bound at their gradient."""
    risk = ReducedRisk(problem.class_prior)
    norm = risk.dual_norm(risk.gradient(logits), weights)
    value = risk.value(logits)
    if problem.is_constrained:
        return value, risk.entropy(logits) - problem.radius * norm
    lower = risk.entropy(logits, min(1.0, problem.strength / norm) if norm > 0 else 1.0)
    return value + problem.strength * logits.gauge(problem.class_prior, weights), lower


def _solution(
    problem: Problem,
    dim: int | None,
    value: float,
    lower: float,
    logits: ReducedLogits,
    mu: float,
    collapsed: tuple[bool, ...],
    steps: int,
    phase: Phase,
) -> Solution:
    info: dict[str, Any] = {"reduced": logits}
    # a bound above the value by more than rounding would mean logits outside of the ball
    closed = is_closed(problem, value, lower, GAP_TOLERANCE) and is_closed(problem, lower, value, GAP_TOLERANCE)
    if not closed:
        why = ", where the risk underflows" if abs(value) < UNDERFLOW else ""
        info["warning"] = (
            f"method 'reduced' ended with a value of {value:.6g} and a lower bound of {lower:.6g}, which do not meet "
            f"to {GAP_TOLERANCE:g} in float64{why}: the value is an upper bound, not a proven optimum"
        )
        warnings.warn(info["warning"], RuntimeWarning, stacklevel=4)
    found = Solution(
        problem,
        "reduced",
        value,
        min(lower, value),
        value,
        mu,
        True if closed else None,
        steps,
        partial(logits.expand, problem.class_prior),  # unlike a lambda it crosses process pools
        info,
        dim,
        collapsed=collapsed,
        phase=phase,
    )
    return checked(found, logits)


def _phase(problem: Problem, logits: ReducedLogits, collapsed: tuple[bool, ...]) -> Phase:
    """The phase of all classes: exact within groups; those of different counts have merged where columns coincide.

    Columns of one class, or of a group with s = 0, have in ``M[:, b] / sqrt(K_b)`` their lengths and distances.
    """
    sizes = np.array([group.size for group in problem.class_prior.groups])
    # a column stands for a class of its own, two for a group that has collapsed, none for one that has not
    many = np.where(sizes == 1, 1, 2 * np.array(collapsed))
    columns = np.repeat(logits.trivial / np.sqrt(sizes), many, axis=1)
    ends = np.cumsum(many)
    units = [tuple(range(end - n, end)) for end, n in zip(ends.tolist(), many.tolist(), strict=True) if n]
    size = math.sqrt(float((sizes - 1) @ logits.s**2 + np.vdot(logits.trivial, logits.trivial)))
    # between |Z|_F / sqrt(K) and |Z|_F lies the largest singular value, which sets the scale
    tolerance = max(MERGED * size, ZERO_LOGITS)
    # with their negatives below them columns are centred, as those of the logits are
    centred = np.vstack([columns, -columns]) / math.sqrt(2)
    return collapse(centred, units, tolerance, [len(unit) > 1 for unit in units])[1]


def _one_group(problem: Problem, weight: float) -> tuple[ReducedLogits, float, tuple[bool, ...], int]:
    """Balanced classes: ``Z = s (I - 11^T/K)``, the simplex ETF."""
    k = problem.class_prior.num_classes
    if problem.is_constrained:
        s = problem.radius / (k - 1)
        q = math.exp(-s) / (1 + (k - 1) * math.exp(-s))
        # d f/d radius = -mu
        mu = q
    else:
        mu = problem.strength
        beta = mu * weight * k  # pi = 1/K
        # e^s = 1 + K (1 - beta)/beta; the logarithm of the quotient where it is large, or overflows
        if beta >= 1:
            s = 0.0
        else:
            s = math.log1p((1 - beta) * k / beta) if beta > 0.5 else math.log(k - (k - 1) * beta) - math.log(beta)
    trivial = np.zeros((1, 1))
    return ReducedLogits(np.array([s]), trivial), mu, (s == 0,), 0


def _many_groups(problem: Problem, weights: Array) -> tuple[ReducedLogits, float, tuple[bool, ...], int]:
    """Newton's method on the manifold of the optimum's rank; few groups that it does not settle, in their factors."""
    classes = Classes.of(problem.class_prior, weights)
    if problem.is_constrained:
        found = minimise_grouped(classes, radius=problem.radius)
    else:
        found = minimise_grouped(classes, strength=problem.strength)
    value, lower = _bounds(problem, weights, found.logits)
    if len(weights) <= FEW_GROUPS and not abs(value - lower) <= SETTLED * value:
        many = ManyGroups(problem.class_prior, weights)
        other = many.constrained(problem.radius) if problem.is_constrained else many.penalised(problem.strength)
        return other.logits, other.multiplier, other.collapsed, found.steps + other.steps
    # a group is collapsed exactly where pi_a <= mu omega_a, compared in logarithms: mu may underflow
    collapsed = (classes.size > 1) & (np.log(classes.pi) - np.log(weights) <= found.log_multiplier)
    mu = math.exp(found.log_multiplier) if problem.is_constrained else problem.strength
    return found.logits, mu, tuple(map(bool, collapsed)), found.steps


def _two_groups(problem: Problem, dim: int | None) -> Solution:
    a, b = problem.class_prior.groups
    n = problem.class_prior.num_samples
    if problem.is_constrained:  # omega = 1
        core = TwoGroups(a.size, b.size, a.count / n, b.count / n, 1.0, 1.0)
        found = core.constrained(problem.radius)
        value, lower = core.bounds(found, radius=problem.radius)
    else:
        omega_a, omega_b = (float(problem.weights[group.classes[0]]) for group in (a, b))
        core = TwoGroups(a.size, b.size, a.count / n, b.count / n, omega_a, omega_b)
        found = core.penalised(problem.strength)
        value, lower = core.bounds(found, strength=problem.strength)
    k, k_a, k_b = core.k, a.size, b.size
    u = 0.0 if found.total else found.s_a + k_a * found.d_a
    v = 0.0 if found.total else found.s_b + k_b * found.d_b
    # M = s [a=b] + sqrt(K_a K_b) t_ab with t_BA = -u/K and t_AB = -v/K, columns orthogonal to sqrt(K_a/K)
    root = math.sqrt(k_a * k_b)
    trivial = np.array([[k_b * u / k, -root * v / k], [-root * u / k, k_a * v / k]])
    logits = ReducedLogits(np.array([found.s_a, found.s_b]), trivial)
    nothing = found.total and found.s_a == 0 and k_a > 1
    mu = math.exp(found.log_multiplier)
    empty = found.total and found.s_a == 0  # Z = 0, where all classes coincide
    phase = (Phase.TOTAL if found.total else Phase.PARTIAL) if empty or found.collapsed else Phase.NONE
    return _solution(problem, dim, value, lower, logits, mu, (nothing, found.collapsed), found.steps, phase)


def _mean_squared_error(problem: Problem, dim: int | None) -> Solution:
    """``z_k = max(0, 1 - mu omega_k/pi_k)`` on the diagonal: flipping the sign of a class leaves the problem unchanged.

    With budgets ``sum_k z_k = radius`` fixes mu (water-filling), and mu = 0 once radius >= K. Theory section 3.
    """
    pi, omega = problem.class_prior.probabilities, problem.weights
    k = problem.class_prior.num_classes
    if not problem.is_constrained:
        mu = problem.strength
    elif problem.radius >= k:
        mu = 0.0
    else:
        # sum_k max(0, 1 - mu/pi_k) >= the same sum over the j most frequent classes, with equality for the right j
        order = np.argsort(-pi, kind="stable")
        price = 1 / pi[order]
        j = int(((np.arange(1, k + 1) - problem.radius) / np.cumsum(price)).argmax()) + 1
        total = math.fsum(price[:j])
        mu = (j - problem.radius) / total
        # 1 - mu/pi_k, with the sum of differences of prices in the place of a difference of sums: z may be tiny
        z = np.zeros(k)
        excess = (price[:j] - price[:j, None]).sum(axis=1) + problem.radius * price[:j]
        z[order[:j]] = np.maximum(0.0, excess / total)
    if not problem.is_constrained or mu == 0:
        z = np.maximum(0.0, 1 - mu * omega / pi)
    # sums over K classes are made exactly, here and in mu: both bounds would otherwise miss the optimum by K roundings
    miss = 1 - z
    value = 0.5 * math.fsum(pi * miss**2)
    norm = float((pi * miss / omega).max())
    scale = 1.0 if norm <= mu or norm == 0 else mu / norm
    lower = math.fsum(pi * (scale * miss - 0.5 * (scale * miss) ** 2))
    if problem.is_constrained:
        lower = math.fsum(pi * (miss - 0.5 * miss**2)) - problem.radius * norm
    else:
        value += mu * math.fsum(omega * z)
    groups = problem.class_prior.groups
    s = np.array([z[group.classes[0]] for group in groups])
    logits = ReducedLogits(s, np.diag(s))
    collapsed = tuple(bool(group.size > 1 and s[a] == 0) for a, group in enumerate(groups))
    return _solution(problem, dim, value, lower, logits, mu, collapsed, 0, _phase(problem, logits, collapsed))
