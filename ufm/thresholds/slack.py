r"""How far an optimum is from collapse, or from leaving it, where the gauge is no function of singular values.

Two groups of classes that a loss treats alike have an optimum, and a gradient there, that permuting them leaves as it
is: minus the gradient, columns divided by omega, is X with the number ``g_a`` on the standard representation of group
a and a 2 x 2 block P on the groups' indicators. At the multiplier mu the minority's standard representation is idle,
``s_B = 0``, where no atom that tells its classes apart attains the polar:

*Nonnegative features.* ``|X v|^2`` at given sums of v over the groups is linear in ``|v_a|^2``, so that it is largest
where v is, within a group, one class or all of them alike. With ``r = 1/sqrt(K_a)`` for one class and 1 for all,
lengths x of the two parts have ``|X v|^2 = x^T Q x``,

    Q_ab = r_a r_b <P_a, P_b>  +  [a = b, one class] g_a^2 (K_a - 1)/K_a,

of which the largest value over x >= 0 is that of its eigenvector, or of its larger diagonal where Q_AB < 0. While
the minority is collapsed, its part of a v with one of its classes may be stretched by some s > 1 before mu^2 is passed.

*Bounded norms.* With the diagonals alpha, beta of the dual, the minority's standard representation has the block
``[[alpha_B, -g_B], [-g_B, beta_B]]``, which is definite while it is collapsed.

Complementarity makes one function of the two sides: ``s_B`` relative to the logits, less the slack. Source: theory
section 8.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._linalg import eigvalsh
from ufm.architectures import FeatureCone, LayerPeeled, NormBounded, UnconstrainedFeatures
from ufm.solution import Solution

__all__ = ["has_slack", "signed_slack"]

Array = NDArray[np.float64]

#: What rounding leaves of ``1 - Q_AA`` where one class of the majority, by itself, attains the polar.
ROUNDING = 1e-14


def has_slack(architecture: Any) -> bool:
    """Whether :func:`signed_slack` knows the gauge: nonnegative features and bounded norms.

    >>> import ufm
    >>> has_slack(ufm.NormBounded(1.0, 1.0)), has_slack(ufm.LayerPeeled(1.0, 1.0))
    (True, False)
    """
    cone = type(architecture) in (LayerPeeled, UnconstrainedFeatures) and isinstance(architecture, FeatureCone)
    return type(architecture) is NormBounded or (cone and not architecture.is_spectral)


def signed_slack(solution: Solution, groups: tuple[range, range]) -> float:
    """``s_B`` relative to the logits, less what the atoms that would make it positive lack of the multiplier.

    Positive where the minority is out of collapse, else at most 0.

    Args:
        solution: an optimum of a problem whose gauge :func:`has_slack`.
        groups: classes of majority and minority.

    >>> import ufm
    >>> relu = ufm.LayerPeeled(0.5, 0.5, features="nonnegative")  # the minority vanishes from R = 1.543268 on
    >>> groups = range(2), range(2, 4)
    >>> [signed_slack(ufm.solve(relu, ufm.ClassPrior.step(2, 2, r)), groups) > 0 for r in (1.54, 1.55)]
    [True, False]
    """
    problem = solution.problem
    frame = _frame(groups)
    logits = _alike(solution.logits, groups)
    pull = -_alike(problem.gradient(logits), groups) / problem.weights
    size = float(np.abs(logits).max())
    spread = _standard(logits, groups[1]) / size if size > 0 else 0.0
    if isinstance(problem.architecture, NormBounded):
        return spread - _diagonal_slack(pull, logits / problem.bound, groups[1])
    numbers = [_standard(pull, group) for group in groups]
    return spread - _cone_slack(numbers, frame.T @ pull @ frame, [len(group) for group in groups])


def _frame(groups: tuple[range, range]) -> Array:
    """The orthonormal indicators of the groups, (K, 2)."""
    frame = np.zeros((sum(map(len, groups)), 2))
    for i, group in enumerate(groups):
        frame[list(group), i] = 1 / math.sqrt(len(group))
    return frame


def _standard(matrix: Array, group: range) -> float:
    """The number of an invariant matrix on zero-sum vectors of a group, 0 for a single class."""
    first = group[0]
    return float(matrix[first, first] - matrix[first + 1, first]) if len(group) > 1 else 0.0


def _alike(matrix: Array, groups: tuple[range, range]) -> Array:
    """The mean over permutations of the classes within both groups."""
    out = np.empty_like(matrix)
    for rows, columns in itertools.product(groups, groups):
        block = matrix[np.ix_(list(rows), list(columns))]
        n = len(rows)
        if rows != columns or n == 1:
            out[np.ix_(list(rows), list(columns))] = block.mean()
            continue
        own = float(np.trace(block))
        other = (float(block.sum()) - own) / (n * (n - 1))
        out[np.ix_(list(rows), list(columns))] = other + (own / n - other) * np.eye(n)
    return out


def _diagonal_slack(pull: Array, unit: Array, group: range) -> float:
    """``1 - g_B / sqrt(alpha_B beta_B)``, the diagonals from stationarity: ``alpha_k = (X Y^T)_kk``, Y = Z/(w h)."""
    first = group[0]
    alpha, beta = float(pull[first] @ unit[first]), float(pull[:, first] @ unit[:, first])
    return 1 - _standard(pull, group) / math.sqrt(alpha * beta) if alpha > 0 and beta > 0 else 0.0


def _cone_slack(numbers: list[float], block: Array, sizes: list[int]) -> float:
    """``1 - 1/s`` for the largest s by which the minority's part of v may be stretched: ``|X S v| <= mu |v|``."""
    forms = {
        kinds: _form(numbers, block, sizes, kinds) for kinds in itertools.product((True, False), repeat=2)
    }  # whether a group has one class in v
    mu2 = max(float(eigvalsh(q)[1] if q[0, 1] > 0 else q.diagonal().max()) for q in forms.values())
    if mu2 == 0:
        return 0.0
    shares = []
    for (_, alone), form in forms.items():
        if alone:
            q = form / mu2
            room = max(1 - q[0, 0], ROUNDING)
            # (1 - Q_AA)(1 - s^2 Q_BB) >= s^2 Q_AB^2 where Q_AB > 0
            shares.append(q[1, 1] + max(q[0, 1], 0.0) ** 2 / room)
    return 1 - math.sqrt(max(shares))


def _form(numbers: list[float], block: Array, sizes: list[int], kinds: tuple[bool, ...]) -> Array:
    """Q, for one class (True) or all alike (False) of each group."""
    r = np.array([1 / math.sqrt(k) if one else 1.0 for one, k in zip(kinds, sizes, strict=True)])
    own = [g * g * (k - 1) / k if one else 0.0 for g, one, k in zip(numbers, kinds, sizes, strict=True)]
    return np.outer(r, r) * (block.T @ block) + np.diag(own)
