"""``ufm.collapse_threshold``: closed forms where they exist, the universal criterion for every other convex problem."""

from __future__ import annotations

from typing import Any

import numpy as np

from ufm._validation import integer
from ufm.architectures import NormBounded, known_architecture
from ufm.losses import Loss, get_loss, unchanging
from ufm.problem import check_bias
from ufm.thresholds.bounded_norms import BoundedQuestion
from ufm.thresholds.general import Family, general_threshold
from ufm.thresholds.slack import has_slack
from ufm.two_groups.counts import count_rule
from ufm.two_groups.thresholds import Threshold
from ufm.two_groups.thresholds import collapse_threshold as closed_form_threshold

__all__ = ["MOST_CLASSES", "collapse_threshold"]

#: Most classes of a problem that is solved on K x K logits on the way to a threshold.
MOST_CLASSES = 200


def collapse_threshold(
    architecture: Any,
    num_majority: int,
    num_minority: int,
    *,
    loss: str | Loss = "ce",
    bias: str | float | None = None,
    num_samples: float | None = None,
    majority_count: float | None = None,
    minority_count: float | None = None,
) -> Threshold:
    r"""Imbalance ratio R* at which the minority of a two-group prior collapses (s_B = 0 for R >= R*).

    Group B has collapsed iff ``pi_B kappa_B <= mu omega_B`` (theory section 7), ``kappa_B = dl/dz_other - dl/dz_own``
    at the collapsed optimum. Plain cross-entropy and mean squared error without a bias have R* in closed form
    (:func:`ufm.two_groups.collapse_threshold`). Every other convex loss, and every bias, is solved on the way: R* is
    the root of ``pi_B kappa_B - mu`` (budgets) or of ``n_B = N^2 lam^2 / kappa_B^2`` (weight decay), kappa_B taken from
    the loss's own gradients, and the phases on both sides are looked at before it is returned. With nonnegative
    features or bounded norms the slack of the atoms that tell the minority's classes apart takes the place of the
    margin (:mod:`ufm.thresholds.slack`), and R* is bisected on certified solutions to a relative 1e-9.

    For architectures with budgets R alone matters. For weight decay the number of samples sets the scale, and *exactly
    one* of three quantities must be held fixed while R varies: ``num_samples`` (N), ``majority_count`` (n_A) or
    ``minority_count`` (n_B).

    Arrays of any parameter: :func:`ufm.threshold_array`; any number of groups: :func:`ufm.collapse_thresholds`.

    Args:
        architecture: one with a nuclear-norm gauge, nonnegative features (beyond the closed forms up to 12 classes),
            or bounded norms.
        num_majority: K_A >= 1; the majority's classes come first where the loss tells classes apart.
        num_minority: K_B >= 2; a single minority class has nothing to collapse with.
        loss: ``"ce"``, ``"mse"``, ``"bce"``, or a convex loss that treats the classes of either group alike.
        bias: None, ``"free"`` or lambda_b > 0.
        num_samples, majority_count, minority_count: what is held fixed, weight decay only.

    Returns:
        The threshold with a floating-point bracket; ``.derivative`` has its slopes by every parameter.

    Raises:
        TypeError: no architecture, or a number that is none.
        ValueError: an architecture of one's own, a gauge or a loss that is not convex, a loss that tells the minority's
            classes apart, K_B = 1, a fixed quantity missing or given where it plays no role, R* beyond float64 or
            beyond what is looked at, or a minority that leaves collapse again.

    Source: Fang et al. 2021 (their Fig. 3 has K = 10, E_W = 1, E_H = 5); theory sections 3 and 7.

    >>> import ufm
    >>> round(collapse_threshold(ufm.LayerPeeled(E_W=1.0, E_H=5.0), num_majority=5, num_minority=5).ratio, 6)
    12.192447
    >>> collapse_threshold(ufm.UnconstrainedFeatures(5e-3, 5e-3), 5, 5, minority_count=4).ratio
    19.0
    >>> round(collapse_threshold(ufm.NormBounded(1.0, 1.0), 3, 2).ratio, 6)  # two numbers solved for
    15.170561
    >>> smooth = ufm.CrossEntropy(smoothing=0.1)  # kappa = .9
    >>> round(collapse_threshold(ufm.UnconstrainedFeatures(5e-3, 5e-3), 5, 5, loss=smooth, minority_count=4).ratio, 9)
    17.0
    """
    decay, found = check_bias(bias), get_loss(loss)
    counts = {"num_samples": num_samples, "majority_count": majority_count, "minority_count": minority_count}
    if type(architecture) is NormBounded and found == get_loss("ce") and decay is None:
        return _bounded(architecture, num_majority, num_minority, counts)
    if found.closed_form is not None and decay is None and type(architecture) is not NormBounded:
        return closed_form_threshold(architecture, num_majority, num_minority, loss=found, **counts)
    if not has_slack(architecture):
        known_architecture(architecture, where="for a collapse threshold")
    k_a = integer("num_majority", num_majority, minimum=1)
    k_b = integer("num_minority", num_minority, minimum=2, reason="a single minority class cannot collapse")
    if k_a + k_b > MOST_CLASSES:
        raise ValueError(
            f"num_majority + num_minority must be at most {MOST_CLASSES} for a loss or bias without a closed form, "
            f"got {k_a + k_b}"
        )
    _without_counts(architecture, counts)
    rule = None if type(architecture) is NormBounded else count_rule(architecture, **counts)
    if rule is None and not architecture.is_constrained:
        raise ValueError(f"architecture must have budgets or weight decay, got {architecture!r}")
    family = Family(architecture, k_a, k_b, found, bias, rule)
    with unchanging(found, np.eye(k_a + k_b)):
        return general_threshold(family)


def _bounded(architecture: NormBounded, num_majority: int, num_minority: int, counts: dict[str, Any]) -> Threshold:
    """With bounded norms, where R alone matters."""
    _without_counts(architecture, counts)
    return BoundedQuestion(architecture, num_majority, num_minority).threshold()


def _without_counts(architecture: Any, counts: dict[str, Any]) -> None:
    """Raise ValueError for a count that is given where norms are bounded."""
    given = [name for name, value in counts.items() if value is not None]
    if given and type(architecture) is NormBounded:
        raise ValueError(f"{given[0]} plays no role for {architecture!r}: its threshold depends on R alone")
