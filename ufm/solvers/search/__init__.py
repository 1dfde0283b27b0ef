r"""``method="search"``: local minima of a problem that need not be convex, from many starts, with a lower bound.

The K x m logits are written ``Y = Z diag(omega) = P diag(t)^{M-2} Q`` with r columns of P and rows of Q, and the
gauge's inner minimiser is put in: a the spectrum of the maps between features and classifier, g their gain. With
``p_i = (|P_i|^2 + |Q_i|^2)/2``:

* Frobenius budget (and spectral bound): ``Z = tau P Q / Omega(p)``, ``Omega(p) = sum_i (1 - a_i) p_i`` with a from
  water-filling, so that ``d Omega / d p_i = 1 - a_i``;
* weight decay: ``f(Z) + sum_i price(p_i)``, ``price'(p_i) = lam / g(a_i)``, ``lam (1 - a_i)`` of a DEQ;
* M factors with budgets: ``Z = (tau^{2/M} / S)^{M/2} P diag(t)^{M-2} Q``,
  ``S = sum_i (|P_i|^2 + |Q_i|^2 + (M-2) t_i^2) / M``; with weight decay ``f(Z) + lam (M/2) S``.

Every such point is a feasible set of factors (W, A, H) or (W_1, ..., W_M), A or the middle factors diagonal, and the
singular value decomposition of the optimal logits is one: the parametrisation loses nothing (theory section 2). It is
smooth but for jumps of the second derivative where an entry of a meets the cap, free of constraints, and under budgets
scale-invariant, a slack coordinate y adding ``y^2/2`` to Omega or S where a point need not use all of tau. A bias is a
variable beside it.

The starts descend together by L-BFGS, an evaluation of all of them a few operations on arrays, and one that has come
close to a minimum already listed is not followed further. Distinct end points are polished by Newton's method with a
pseudo-inverse on the orbits of rotations, and a stationary point whose Hessian has a negative eigenvalue is left along
it, downhill, until none has. What is found is a list of local minima *of this parametrisation*, the least an upper
bound of the optimal value; a convex relaxation bounds it from below, and only where the two meet is a minimum called
global.
"""

from __future__ import annotations

from ufm.solvers.search.catalogue import Catalogue
from ufm.solvers.search.landscape import STATIONARY, Landscape, cross_entropy
from ufm.solvers.search.relaxations import RELAXATIONS, relaxed_lower_bound
from ufm.solvers.search.run import solve_search, supports
from ufm.solvers.search.starting_points import codes, starting_points

__all__ = [
    "RELAXATIONS",
    "STATIONARY",
    "Catalogue",
    "Landscape",
    "codes",
    "cross_entropy",
    "relaxed_lower_bound",
    "solve_search",
    "starting_points",
    "supports",
]
