"""One training of a sweep: predicted beside measured, and its status."""

from __future__ import annotations

from dataclasses import dataclass

from ufm.trainings.judgement import MARGIN
from ufm.trainings.sweep_config import BRANCHES

__all__ = ["SweepPoint"]


@dataclass(frozen=True)
class SweepPoint:
    """One training of a sweep.

    Attributes:
        branch: ``"explicit"``, ``"identity"`` or ``"zero"``.
        minority_count, ratio, seed: n_B, n_A/n_B, and the seed of the subsample and of the initial weights.
        threshold: predicted n_B*; the minority is collapsed iff ``n_B <= n_B*``.
        status: ``"agrees"``; ``"near-threshold"``: closer than 15% to n_B*, not judged; ``"trapped"``: converged to a
            stationary point that is not the global optimum, its objective lies above the predicted one;
            ``"disagrees"``: none of the others, and where ``converged`` is False no word on the theory, but that the
            training had not ended; ``"nonlinear"``: a DEQ with gamma > 0, which the theory does not model: all that is
            predicted is of the linear one, and the errors are the measured departure from it, not judged;
            ``"failed"``: the training raised ``error``, and the measured fields are None.
        predicted_scale, scale, scale_error: s_B, and the relative error, None where the prediction is 0.
        predicted_phase, phase: ``"none"``, ``"partial"`` or ``"total"``.
        predicted_objective, objective, objective_error: of L, and ``objective/predicted - 1``.
        predicted_minority_cosine, minority_cosine: mean pairwise cosine of the minority's classifiers.
        predicted_etf_error, etf_error: NC2 of the class means.
        predicted_self_duality_error, self_duality_error: NC3.
        nc1, trace_quotient: NC1, predicted to be 0. In a collapsed state ``nc1`` divides round-off by round-off along
            the directions that have collapsed; ``trace_quotient`` does not.
        predicted_rank, rank: of the class logits, the measured one to 1e-3 of the largest singular value. None in
            sweeps kept before it was recorded.
        spectral_norm, residual, steps: of a DEQ: ``|A|_2``, largest relative residual and steps of the fixed point.
        local_threshold: see :class:`ufm.deq.TrainingResult`; below it a trapped *collapsed* state is stable along the
            unused directions. Larger n_B are trapped in another way: in low-rank codes, where a minority class shares
            the amplified direction of another class (``rank`` below ``predicted_rank``, phase ``"none"``).
        gradient, iterations, converged, seconds: of the optimisation.
        error: what went wrong, or None.
    """

    branch: str
    minority_count: int
    ratio: float
    seed: int
    threshold: float
    status: str
    predicted_scale: float
    predicted_phase: str
    predicted_objective: float
    predicted_minority_cosine: float | None
    predicted_etf_error: float
    predicted_self_duality_error: float
    predicted_rank: int | None = None
    scale: float | None = None
    scale_error: float | None = None
    phase: str | None = None
    objective: float | None = None
    objective_error: float | None = None
    minority_cosine: float | None = None
    etf_error: float | None = None
    self_duality_error: float | None = None
    nc1: float | None = None
    trace_quotient: float | None = None
    rank: int | None = None
    spectral_norm: float | None = None
    residual: float | None = None
    steps: int | None = None
    local_threshold: float | None = None
    gradient: float | None = None
    iterations: int | None = None
    converged: bool | None = None
    seconds: float | None = None
    error: str | None = None

    @property
    def architecture(self) -> str:
        """``"explicit"`` or ``"deq"``."""
        return BRANCHES[self.branch][0]

    @property
    def start(self) -> str | None:
        """Where A started; None for an explicit network."""
        return self.branch if self.architecture == "deq" else None

    @property
    def is_judged(self) -> bool:
        """Whether the theory is for it and it is at least 15% away from the threshold.

        Where every n_B up to n_A is collapsed ``threshold`` is n_A for want of one, and the status says what is near.
        """
        has_threshold = self.threshold < (1 - 1e-9) * self.ratio * self.minority_count
        if self.status in ("nonlinear", "near-threshold"):
            return False
        return not has_threshold or abs(self.minority_count / self.threshold - 1) >= MARGIN
