"""The literature that the claims are about, and the topics that they are found by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["PAPERS", "TOPICS", "Paper"]


@dataclass(frozen=True)
class Paper:
    """A paper as claims cite it.

    Attributes:
        authors: last names.
        year: of publication.
        about: what its theorems are about, in a few words.
        arxiv: its number there, empty where it is not needed to find it.
    """

    authors: str
    year: int
    about: str
    arxiv: str = ""

    def __str__(self) -> str:
        return f"{self.authors} {self.year}: {self.about}" + (f" (arXiv {self.arxiv})" if self.arxiv else "")


#: Papers by key.
PAPERS: Mapping[str, Paper] = {
    "alcala2026": Paper("Alcala et al.", 2026, "softmax codes, from d + 2 to 2 d classes", "2603.20587"),
    "andriopoulos2024": Paper("Andriopoulos et al.", 2024, "neural regression collapse", "2409.04180"),
    "behnia2023": Paper("Behnia et al.", 2023, "vector-scaling losses and imbalance"),
    "contrastive2026": Paper("Imbalanced contrastive learning", 2026, "contrastive losses, class priors", "2605.11291"),
    "dang2023": Paper("Dang et al.", 2023, "deep linear networks, MSE and CE"),
    "dang2024": Paper("Dang et al.", 2024, "ReLU features under imbalance"),
    "extended2024": Paper("Extended unconstrained features", 2024, "MSE with a free bias", "2411.17278"),
    "fang2021": Paper("Fang, He, Long, Su", 2021, "layer-peeled model, minority collapse"),
    "garrod2025": Paper("Garrod, Keating", 2025, "low-rank bias of depth", "2410.23169"),
    "graf2021": Paper("Graf et al.", 2021, "cross-entropy and supervised contrastive loss on spheres"),
    "guo2024": Paper("Guo et al.", 2024, "label smoothing", "2402.03979"),
    "hong2023": Paper("Hong, Ling", 2023, "imbalance, cross-entropy, nuclear norm"),
    "ji2022": Paper("Ji et al.", 2022, "unconstrained layer-peeled model"),
    "jiang2024": Paper("Jiang et al.", 2024, "more classes than dimensions, softmax codes"),
    "kini2021": Paper("Kini et al.", 2021, "vector-scaling loss"),
    "kini2024": Paper("Kini et al.", 2024, "supervised contrastive loss with nonnegative features"),
    "li2025": Paper("Li, Xiao, Shen", 2025, "binary cross-entropy", "2505.05813"),
    "li2024": Paper("Li et al.", 2024, "multi-label neural collapse"),
    "liu2023": Paper("Liu et al.", 2023, "hyperspherical uniformity"),
    "lu2022": Paper("Lu, Steinerberger", 2022, "cross-entropy on the sphere"),
    "ma2025": Paper("Ma, Obuchi, Tanaka", 2025, "ordinal neural collapse", "2506.05801"),
    "mtl2026": Paper("Neural collapse in multi-task learning", 2026, "several heads on shared features"),
    "multitask2025": Paper("Multi-task regression collapse", 2025, "joint against separate heads", "2505.09308"),
    "pan2023": Paper("Pan, Cao", 2023, "near-optimal risk with normalisation"),
    "papyan2020": Paper("Papyan, Han, Donoho", 2020, "neural collapse, NC1 to NC4"),
    "role2026": Paper("The role of class encoding", 2026, "MSE with a penalised bias", "2606.00344"),
    "rupa2026": Paper("Paul Rupa", 2026, "feature norms at collapse", "2604.00230"),
    "shen2024": Paper("Shen, Gu", 2024, "landscape at d = K", "2407.10702"),
    "sukenik2024": Paper("Súkeník, Mondelli, Lampert", 2024, "deep unconstrained features, rank bias"),
    "sukenik2025": Paper("Súkeník et al.", 2025, "residual networks and transformers", "2505.15239"),
    "sun2024": Paper("Sun, Shi", 2024, "neural collapse in deep equilibrium models", "2410.23391"),
    "tan2026": Paper("Tan, Gai, Zhang", 2026, "cyclic codes in modular addition", "2606.08985"),
    "thrampoulidis2022": Paper("Thrampoulidis et al.", 2022, "SELI geometry"),
    "tirer2022": Paper("Tirer, Bruna", 2022, "MSE, extended unconstrained features"),
    "wu2024": Paper("Wu, Papyan", 2024, "linguistic collapse"),
    "yang2022": Paper("Yang et al.", 2022, "classifiers fixed to an ETF"),
    "yaras2022": Paper("Yaras et al.", 2022, "normalised features on spheres"),
    "zhang2010": Paper("Zhang", 2010, "the MCP penalty"),
    "zhou2022": Paper("Zhou et al. (ICML)", 2022, "MSE landscape"),
    "zhou2022losses": Paper("Zhou et al. (NeurIPS)", 2022, "are all losses created equal"),
    "zhu2021": Paper("Zhu et al.", 2021, "cross-entropy landscape"),
}

#: Topics by key, in the words of a heading.
TOPICS: Mapping[str, str] = {
    "balance": "Balanced classes",
    "reduction": "From the network to a convex problem",
    "minority-collapse": "Minority collapse",
    "imbalance": "Geometry under imbalance",
    "landscape": "Landscape",
    "depth": "Depth",
    "deq": "Equilibrium layers, gains and residual depth",
    "bias": "Biases",
    "losses": "Losses and labels",
    "nonnegative": "Nonnegative (ReLU) features",
    "norms": "Bounded norms, codes and spheres",
    "regression": "Regression",
    "measures": "Measures",
    "networks": "Trained networks",
    "soundness": "The verifier itself",
}
