"""Whether a trained point is where the theory says: its status, and the tolerances."""

from __future__ import annotations

from ufm._validation import positive

__all__ = ["EXCESS", "MARGIN", "STATUSES", "TOLERANCE", "judge"]

STATUSES = ("agrees", "near-threshold", "trapped", "disagrees", "nonlinear", "failed")

#: Relative error of s_B up to which a point agrees, and the distance |n_B/n_B* - 1| from which on it must.
TOLERANCE = 0.01
MARGIN = 0.15

#: A stationary point whose objective is above the predicted optimum by more than this fraction is no global optimum.
EXCESS = 1e-6


def judge(
    *,
    minority_count: float,
    threshold: float,
    predicted_scale: float,
    predicted_phase: str,
    predicted_objective: float,
    scale: float,
    phase: str,
    objective: float,
    converged: bool,
    is_modelled: bool = True,
) -> str:
    """Status of a trained point, see :class:`SweepPoint`.

    It agrees when the phase is the predicted one and, in the phase without collapse, s_B is within 1%. Where the theory
    does not model the network (``is_modelled`` False) there is nothing to agree with.
    """
    positive("threshold", threshold)
    if not is_modelled:
        return "nonlinear"
    if phase == predicted_phase and (phase != "none" or abs(scale - predicted_scale) <= TOLERANCE * predicted_scale):
        agrees = True
    else:
        agrees = False
    if not agrees and converged and objective > predicted_objective * (1 + EXCESS):
        return "trapped"
    if abs(minority_count / threshold - 1) < MARGIN:
        return "near-threshold"
    return "agrees" if agrees else "disagrees"
