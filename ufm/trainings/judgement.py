"""Whether a trained point is where the theory says: its status, and the tolerances."""

from __future__ import annotations

from ufm._validation import positive
from ufm.trainings.comparison import RESOLUTION

__all__ = ["EXCESS", "MARGIN", "STATIONARY", "STATUSES", "TOLERANCE", "judge"]

STATUSES = ("agrees", "near-threshold", "trapped", "disagrees", "nonlinear", "failed")

#: Relative error of s_B up to which a point agrees, and the distance |n_B/n_B* - 1| from which on it must.
TOLERANCE = 0.01
MARGIN = 0.15

#: A stationary point whose objective is above the predicted optimum by more than this fraction is no global optimum,
#: and nothing may be below that optimum by more than it.
EXCESS = 1e-6
#: Largest entry of a gradient at a point that is called stationary, whatever tolerance a training was given: descents
#: pass by saddles, at 0 above all, with a small one.
STATIONARY = 1e-5


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
    distance: float | None = None,
) -> str:
    """Status of a trained point, see :class:`ufm.deq.SweepPoint`.

    It agrees when the phase is the predicted one, in the phase without collapse s_B is within 1%, and the objective is
    the predicted optimum's to the square of that: at a minimum an error of 1% costs so little. Logits below
    :data:`ufm.trainings.comparison.RESOLUTION` count as collapsed on both sides. An objective below the predicted
    optimum disagrees wherever it is found. Where the theory does not model the network (``is_modelled`` False) there is
    nothing to agree with.

    Args:
        minority_count, threshold: n_B and the predicted n_B*.
        predicted_scale, scale: s_B.
        predicted_phase, phase: as of :class:`ufm.Geometry`.
        predicted_objective, objective: L at the optimum and at the end of the training.
        converged: whether the training ended at a stationary point, with a gradient of at most :data:`STATIONARY`.
        is_modelled: see :class:`ufm.deq.TrainingConfig`.
        distance: how far n_B is from the threshold, :attr:`ufm.trainings.Prediction.distance`; default
            ``|n_B/n_B* - 1|``.

    >>> point = {"minority_count": 10, "threshold": 4, "predicted_scale": 1.0, "predicted_phase": "none"}
    >>> found = {"predicted_objective": 2.0, "scale": 1.001, "phase": "none", "converged": True}
    >>> judge(**point, **found, objective=2.0), judge(**point, **found, objective=2.1)
    ('agrees', 'trapped')
    """
    distance = abs(minority_count / positive("threshold", threshold) - 1) if distance is None else distance
    if not is_modelled:
        return "nonlinear"
    excess = objective / predicted_objective - 1
    if excess < -EXCESS:
        return "disagrees"
    near = phase != "none" or abs(scale - predicted_scale) <= TOLERANCE * predicted_scale
    unseen = "none" in (phase, predicted_phase) and max(abs(scale), predicted_scale) <= RESOLUTION
    agrees = (phase == predicted_phase and near) or unseen
    if converged and excess > (TOLERANCE**2 if agrees else EXCESS):
        return "trapped"
    if distance < MARGIN:
        return "near-threshold"
    return "agrees" if agrees and excess <= TOLERANCE**2 else "disagrees"
