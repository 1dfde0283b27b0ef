"""The trained network: real images, a real fixed point, and the theory's number beside every measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ufm.claims._figures import gram_figure, order_parameter_figure
from ufm.claims._model import Claim, Context, Evidence, Figure, Status
from ufm.claims._tools import evidence
from ufm.geometry import centred
from ufm.trainings.judgement import MARGIN

if TYPE_CHECKING:
    from ufm.deq import Sweep, SweepPoint, TrainingResult

__all__ = ["CLAIMS", "digits_sweep", "gram_claim", "prediction_claim", "trapped_claim"]

GROUP = "The trained network"

#: n_B of the network whose Gram matrices are compared.
GRAM_AT = 16
HYPOTHESES = (
    "scikit-learn digits, K_A = K_B = 5, n_A = 100, subsampled by seed",
    "ReLU encoder with free features; objective = the modelled one (weight decay, averaged over samples)",
    "fixed point z* = A z* + h found by iteration, |A|₂ ≤ ρ = ½ by construction (DEQ)",
)
FIELDS = (
    "branch",
    "minority_count",
    "status",
    "predicted_scale",
    "scale",
    "scale_error",
    "predicted_phase",
    "phase",
    "predicted_minority_cosine",
    "minority_cosine",
    "predicted_etf_error",
    "etf_error",
    "predicted_self_duality_error",
    "self_duality_error",
    "nc1",
    "trace_quotient",
    "predicted_objective",
    "objective",
    "spectral_norm",
    "residual",
    "local_threshold",
    "seed",
)


def digits_sweep(ctx: Context) -> Sweep:
    """The sweep of n_B across the thresholds, trained once a run; its points are kept if the run is interrupted."""

    def compute() -> Sweep:
        from ufm.deq import Sweep, SweepConfig, run_sweep

        config = SweepConfig.full() if ctx.full else SweepConfig.quick(seed=ctx.seed)
        if not ctx.full:
            config = SweepConfig(config.explicit, config.identity, config.zero, (ctx.seed,), config.training)
        path = None if ctx.out is None else ctx.out / f"digits-sweep-{ctx.effort}-seed{ctx.seed}.jsonl"
        # An interrupted sweep goes on from its points; a complete one belongs to an earlier run and is no evidence of this.
        if path is not None and path.exists() and not Sweep.load(path).is_partial:
            path.unlink()
        return run_sweep(
            config,
            path=path,
            progress=lambda description, done, total: ctx.progress(f"training on digits: {description}", done, total),
            on_point=lambda point: ctx.record("digits sweep", _row(point)),
        )

    return ctx.once("digits-sweep", compute)


def _row(point: SweepPoint) -> dict[str, Any]:
    return {name: getattr(point, name) for name in FIELDS}


def _figure(sweep: Sweep) -> Figure:
    data = sweep.order_parameter()
    return order_parameter_figure(
        "Order parameter s_B against n_B: theory and trained networks",
        "Lines: theory without free parameter. Marks: networks trained on digits. Started at A = ρI the DEQ follows its global "
        "optimum; started at A = 0 the same problem ends in local minima, collapsed ones at small n_B.",
        data["series"],
        {entry["label"]: entry["x"] for entry in data["thresholds"]},
    )


def prediction_claim(branch: str, tolerance: float = 0.01, scale: float = 1.0) -> Claim:
    """Trained networks of ``branch`` are at the predicted optimum; ``scale`` multiplies the prediction of s_B (false variants)."""

    def check(ctx: Context) -> Evidence:
        sweep = digits_sweep(ctx)
        points = [p for p in sweep.branch(branch) if p.is_judged]
        wrong: list[str] = []
        errors: list[float] = []
        phases = 0
        for p in points:
            if p.scale is None or p.phase != p.predicted_phase:
                wrong.append(f"n_B={p.minority_count}: {p.error or f'phase {p.phase}, predicted {p.predicted_phase}'}")
                continue
            phases += 1
            if p.predicted_phase == "none":
                error = abs(p.scale / (scale * p.predicted_scale) - 1)
                errors.append(error)
                if error > tolerance:
                    wrong.append(f"n_B={p.minority_count}: s_B off by {error:.2%}")
        shown = list(
            {p.minority_count: p for p in points if p.scale is not None and p.predicted_phase == "none"}.values()
        )
        numbers = ", ".join(
            f"n_B={p.minority_count}: {p.scale:.4f} ({scale * p.predicted_scale:.4f})" for p in shown[:4]
        )
        enough = bool(errors) and phases > len(errors)
        summary = (
            f"s_B measured (predicted) {numbers}; largest relative error {max(errors, default=float('inf')):.1e}, "
        )
        summary += f"phase right at {phases} of {len(points)} points at least {MARGIN:.0%} from the threshold"
        if wrong:
            summary += f"; {wrong[0]}"
        return evidence(
            summary,
            numeric=Status.supported if enough and not wrong else Status.inconclusive,
            universal=False,
            established_by=(f"{len(points)} trainings on real images",),
            details={
                "points": [_row(p) for p in sweep.branch(branch)],
                "largest relative error of s_B": max(errors, default=None),
                "wrong": wrong,
            },
            figures=[_figure(sweep)] if branch == "identity" else [],
        )

    deq = branch == "identity"
    return Claim(
        id="network-deq-predicted" if deq else "network-explicit-predicted",
        title=f"Trained {'DEQ' if deq else 'explicit network'}: s_B and phase as predicted",
        statement=f"{'A linear DEQ started at A = ρI' if deq else 'An explicit network'} trained on digits with the modelled objective "
        f"has, at every n_B that was trained at least {MARGIN:.0%} from the predicted threshold, the predicted phase, and s_B within "
        f"{tolerance:.0%} of the prediction, which has no free parameter.",
        source="Sun & Shi 2024 (claims P2, P4), quantitatively; prediction derived here",
        hypotheses=HYPOTHESES if deq else HYPOTHESES[:2],
        check=check,
        group=GROUP,
        papers=("sun2024",),
        topic="networks",
        standing="sharpened",
    )


def trapped_claim() -> Claim:
    """Started at A = 0 the DEQ ends in bad stationary points, collapsed ones at small n_B."""

    def check(ctx: Context) -> Evidence:
        sweep = digits_sweep(ctx)
        points = [p for p in sweep.branch("zero") if p.is_judged and p.predicted_phase == "none"]
        # the local threshold is that of the A reached; far enough below it that its own error does not matter
        below = [
            p for p in points if p.local_threshold is not None and p.minority_count < (1 - MARGIN) * p.local_threshold
        ]
        trapped = [p for p in below if p.status == "trapped"]
        collapsed = sorted({p.minority_count for p in trapped if p.phase != "none"})
        excess = [p.objective_error for p in trapped if p.objective_error is not None]
        agreed = bool(collapsed) and len(trapped) == len(below)
        return evidence(
            f"trapped at {len(trapped)} of {len(below)} points between the thresholds, objective above the optimum by "
            f"{min(excess, default=0):.2%} to {max(excess, default=0):.2%}; collapsed at n_B = {', '.join(map(str, collapsed))}, "
            f"where the optimum has s_B > 0",
            numeric=Status.supported if agreed else Status.inconclusive,
            universal=False,
            established_by=(f"{len(points)} trainings on real images",),
            details={"points": [_row(p) for p in sweep.branch("zero")]},
        )

    return Claim(
        id="network-deq-trapped",
        title="Trained DEQ started at A = 0: trapped above the optimum, collapsed at small n_B",
        statement="Started at A = 0 the same DEQ converges to a stationary point strictly above the global optimum at every tried n_B between "
        "the global threshold (1−ρ)²N²λ_Wλ_H and the local one, N²λ_Wλ_H/c² with c the gain of (I−A)⁻¹ on the unused directions, and that "
        "point is collapsed at the smaller n_B: convex in the logits, the problem has bad local minima in (W, A, H).",
        source="Sun & Shi 2024 for the model; prediction and local threshold derived here",
        hypotheses=HYPOTHESES,
        check=check,
        group=GROUP,
        papers=("sun2024",),
        topic="networks",
    )


def gram_claim(tolerance: float = 0.02) -> Claim:
    """Gram matrices of the trained DEQ against the predicted ones."""

    def check(ctx: Context) -> Evidence:
        from ufm.deq import TrainingConfig, train

        config = TrainingConfig(architecture="deq", start="identity", minority_count=GRAM_AT, seed=ctx.seed)

        def compute() -> TrainingResult:
            return train(
                config,
                progress=lambda text, done, total: ctx.progress("training a DEQ for its Gram matrices", done, total),
            )

        result = ctx.once("digits-deq-gram", compute)
        predicted = result.prediction.solution.factors
        means = np.stack(
            [result.features[result.labels == k].mean(axis=0) for k in range(predicted.features.shape[1])], axis=1
        )
        classifier = result.network.classifier.weight.detach().cpu().numpy()
        pairs = {
            "features": (centred(predicted.equilibrium_features), centred(means)),
            "classifier": (predicted.classifier.T, classifier.T),
        }
        errors, figures = {}, []
        for name, (theory, network) in pairs.items():
            p, m = theory.T @ theory, network.T @ network
            errors[name] = float(np.linalg.norm(p - m) / np.linalg.norm(p))
            if name == "features":
                figures.append(
                    gram_figure(
                        f"Gram matrix of the centred class means of a trained DEQ (n_B = {GRAM_AT}), predicted beside measured",
                        p,
                        m,
                        [config.num_majority, config.num_minority],
                    )
                )
        return evidence(
            "relative error of the Gram matrix in the Frobenius norm, scale included: "
            + ", ".join(f"{name} {error:.1e}" for name, error in errors.items()),
            numeric=Status.supported if max(errors.values()) <= tolerance else Status.inconclusive,
            universal=False,
            established_by=("a training on real images",),
            details={"relative errors": errors, "n_B": config.minority_count, "seed": config.seed},
            figures=figures,
        )

    return Claim(
        id="network-gram-predicted",
        title="Trained DEQ: whole Gram matrices as predicted",
        statement=f"The Gram matrices of class means and classifier of a linear DEQ trained on digits (n_B = {GRAM_AT}, started at A = ρI) "
        f"equal the predicted ones within {tolerance:.0%} in the Frobenius norm, scale included.",
        source="Sun & Shi 2024 for the model; prediction and local threshold derived here",
        hypotheses=HYPOTHESES,
        check=check,
        group=GROUP,
        papers=("sun2024",),
        topic="networks",
    )


CLAIMS = (prediction_claim("explicit"), prediction_claim("identity"), trapped_claim(), gram_claim())
