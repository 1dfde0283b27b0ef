"""What the literature says and what turned out: statements that are false, need a hypothesis, or hold more widely.

A statement of a paper is what we read in it, some of them from an abstract or from released code alone, as the sources of
the claims say; a verdict is on the statement as it stands here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["CORRECTIONS", "Correction", "correction_of"]


@dataclass(frozen=True)
class Correction:
    """A statement of the literature beside what is true.

    Attributes:
        name: what it is about, in a few words.
        claimed: the statement, and who makes it.
        true: what is true instead.
        claims: ids of the claims that establish this, the one that says it first.
    """

    name: str
    claimed: str
    true: str
    claims: tuple[str, ...]

    def to_dict(self) -> dict[str, str]:
        """Return what is claimed and what is true, as reports and ``ufm claims --json`` have it.

        >>> Correction("a root", "it is 2", "it is 3", ("roots",)).to_dict()
        {'claimed': 'it is 2', 'true': 'it is 3'}
        """
        return {"claimed": self.claimed, "true": self.true}


def correction_of(claim: str, among: Sequence[Correction] | None = None) -> Correction | None:
    """Return the correction that the claim with this id establishes, alone or beside others; None where there is none.

    >>> correction_of("mse-bias-switch").name
    'Squared error with a bias'
    >>> correction_of("lpm-balanced-etf") is None
    True
    """
    known = CORRECTIONS if among is None else among
    return next((found for found in known if claim in found.claims), None)


#: In the order of the page that lists them.
CORRECTIONS: tuple[Correction, ...] = (
    Correction(
        "Depth under cross-entropy",
        "The global optima of deep linear networks under cross-entropy show neural collapse in their linear layers "
        "(Dang et al. 2023, abstract).",
        "With M ≥ 3 factors and K ≥ 6 classes, or M ≥ 4 and K ≥ 4, no simplex ETF is optimal at any weight decay: pairs "
        "of classes, with one triangle for odd K, have a smaller loss and cost less. At K = 4 and M = 3 it depends on the "
        "scale.",
        ("deep-ce-no-etf", "deep-codes-beat-etf", "deep-square-scale"),
    ),
    Correction(
        "The largest root under squared error",
        "A class keeps the largest root x of b/n_k = m x^{m − 1}/(x^m + 1)² whenever there is one (released code for Dang "
        "et al. 2023, as we read it).",
        "A root with x^m/(x^m + 1) < (m − 1)/m costs more than giving the class up. At m = 2 and b = 384/625 n_k the "
        "largest root costs 688/625 times as much as 0.",
        ("deep-mse-larger-root", "deep-mse-threshold"),
    ),
    Correction(
        "Binary cross-entropy with a bias",
        "Under binary cross-entropy with weight decay, on the bias as well, the optimum is a simplex ETF (Li, Xiao, Shen "
        "2025, for all λ_b > 0).",
        "It is one if and only if λ_b |β| ≤ √(n λ_W λ_H), β the bias of the ETF: always for a free bias, not where it "
        "costs much. Without a bias and for K = 3 it is one only for K √(n λ_W λ_H) ≥ 3 (2 − √2)/4.",
        ("bce-etf-condition", "bce-free-bias", "bce-no-bias-etf"),
    ),
    Correction(
        "Focal loss, one minimiser",
        "For focal loss the objective along the simplex ETF has one minimiser at every weight decay (the condition of Zhou "
        "et al. 2022, all losses, which focal loss is said to satisfy).",
        "It has one at every weight decay if and only if γ (K − 1 − γ) log(K) ≤ (1 + 2 γ) (K − 1). For γ = 2 and K ≥ 18 "
        "there is a weight decay with two minimisers, zero and another, and the ETF is left by a jump.",
        ("focal-first-order", "focal-zero-trap"),
    ),
    Correction(
        "Regression collapse",
        "For 0 < c < λ_max(Σ) the optimal W has columns of the square root of Σ^{1/2} − √c I (Andriopoulos et al. 2024, "
        "Theorem 4.1, as printed).",
        "Σ^{1/2} − √c I has negative eigenvalues for c > λ_min(Σ), and no W has W Wᵀ proportional to it. W Wᵀ is "
        "√(N λ_H/λ_W) times its positive part, for every c.",
        ("regression-gram", "regression-shrinkage"),
    ),
    Correction(
        "Cyclic codes",
        "Classes around a circle beat the simplex ETF from a weight decay of order 1/K on (Tan, Gai, Zhang 2026, abstract).",
        "There is no such weight decay where the scale is free. With two factors the ETF is optimal at every weight decay "
        "at which anything but zero is; with M ≥ 6 factors and K ≥ 4 the circle beats every ETF at every weight decay, "
        "and pairs of classes do already with M ≥ 3 and K ≥ 6.",
        ("cyclic-code-beats-etf", "deep-codes-beat-etf", "balanced-decay-etf"),
    ),
    Correction(
        "One network for several targets",
        "Trained on all targets a network has a strictly smaller error than networks for one target each at the same "
        "regularisation (Multi-task regression collapse, arXiv 2505.09308, abstract).",
        "It is never larger, and equal for c ≤ λ_min(Σ), for c ≥ λ_max(Σ) and for uncorrelated targets, c = N λ_W λ_H; the "
        "gain is Σ_j min(a_j, b_j) with a and b the diagonals of the positive parts of Σ − c I and c I − Σ.",
        ("multi-task-gain", "multi-task-two-targets"),
    ),
    Correction(
        "The ETF error in few dimensions",
        "The distance of the Gram matrix of class means from that of an ETF measures how far NC2 has come, in language models "
        "as well (Wu, Papyan 2024).",
        "In d < K − 1 dimensions it cannot fall below √(2 − 2 √(d/(K − 1))), and it never exceeds √2: at K = 29233 and "
        "d = 64 to 1024 all of its range is between 1.38 to 1.28 and 1.41, so that much of what it shows is d.",
        ("etf-error-floor", "etf-error-ceiling"),
    ),
    Correction(
        "Ordinal regression",
        "|w| is of the order (λ_H/λ_W)^{1/4} as weight decay vanishes (Ma, Obuchi, Tanaka 2025, summary).",
        "With a logistic link and half-lines for the first and the last class |w|/(λ_H/λ_W)^{1/4} is unbounded as "
        "λ_W λ_H → 0: the logits of the last class grow with log(1/(λ_W λ_H)).",
        ("ordinal-norm-unbounded",),
    ),
    Correction(
        "Several heads",
        "With λ_W λ_H below one bound for all tasks every head is a simplex ETF (Neural collapse in multi-task learning 2026, "
        "Theorem 3.1, from a note on it).",
        "Each head has a bound of its own: head t with weight c_t and K_t classes is 0 if and only if "
        "λ_W λ_H ≥ c_t/(N K_t).",
        ("multi-task-heads",),
    ),
    Correction(
        "Cross-entropy with any weight decay",
        "Every global minimiser under cross-entropy is a simplex ETF, for all λ_W, λ_H > 0, and with d > K features every "
        "other critical point is a strict saddle (Zhu et al. 2021, Theorems 3.1 and 3.2).",
        "Where K √(n λ_W λ_H) ≥ 1 the only minimiser is zero, which is no ETF. d ≥ K − 1 features suffice for the landscape.",
        ("balanced-decay-etf", "landscape-sharp-width"),
    ),
    Correction(
        "Squared error with a bias",
        "Squared error with a bias has the simplex ETF for its optimum.",
        "It has for equal counts if and only if λ_b ≤ c/(1 − c), c = K √(n λ_W λ_H) < 1. Beyond, the cosine between classes "
        "is −c/(λ_b K (1 − c) − c), and it reaches that of orthogonal features for no λ_b.",
        ("mse-bias-switch", "mse-bias-logits"),
    ),
    Correction(
        "Oversampling under weight decay",
        "Weights that make all classes weigh alike bring the simplex ETF back (Fang, He, Long, Su 2021, for budgets; carried "
        "over to weight decay).",
        "Under budgets they do, at every imbalance. Under weight decay features go on to be charged by the sample, and the "
        "optimal logits are those of a simplex ETF for equal counts alone.",
        ("equal-weights-no-etf-under-decay", "equal-weights-etf-under-budgets"),
    ),
    Correction(
        "Landscape on spheres",
        "With normalised features and classifiers and d ≥ K − 1 the landscape is benign (as Yaras et al. 2022, who ask for "
        "more dimensions, are quoted).",
        "At K = 3, d = 2 and a b = 20 there is a strict local minimum, up to rotation, of value 0.437 beside the ETF's "
        "2 · 10^{−13}: d ≥ K − 1 is not enough.",
        ("sphere-spurious-minimum",),
    ),
    Correction(
        "SELI at any imbalance",
        "The margin problem is solved by simplex-encoded labels irrespective of imbalance (Thrampoulidis et al. 2022, proved "
        "for two groups).",
        "It holds, and more widely: for any counts, for those logits alone, with multipliers in closed form. Away from the limit "
        "λ → 0 the optimum has this shape for equal counts or K = 2 alone.",
        ("seli-any-counts", "seli-off-the-path"),
    ),
    Correction(
        "Deep equilibrium models",
        "An equilibrium layer shows neural collapse for balanced classes (P1), and for unbalanced ones it is closer to the ETF "
        "and to self-duality than an explicit network (P3; Sun, Shi 2024, made precise here).",
        "P1 needs a bound on |A|₂; with |A|_F bounded alone a square code beats the ETF. P3 fails in both halves: in total "
        "collapse both are equally far from the ETF, and the equilibrium layer can be less self-dual.",
        (
            "deq-frobenius-counterexample",
            "deq-etf-error-tie",
            "deq-self-duality-counterexample",
            "etf-suboptimal-frobenius",
            "deq-balanced-etf",
        ),
    ),
    Correction(
        "Label smoothing and NC2",
        "Label smoothing intensifies NC2 at the same weight decay (as Guo et al. 2024 are quoted).",
        "For equal counts the optimum depends on K √(n λ_W λ_H) + δ alone and is the same simplex ETF, at another scale: "
        "smoothing acts as more weight decay does. What differs is dynamics and conditioning.",
        ("label-smoothing-equals-decay", "smoothing-conditioning"),
    ),
)
