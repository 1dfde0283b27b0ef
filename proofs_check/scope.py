"""What a statement speaks of, as data: losses, models, numbers of classes and groups, dimension, family and conditions.

Theorems and claims both carry a :class:`Scope`; :func:`beyond` compares them, so that a claim is never wider than the
theorem that it cites. Nothing here imports the package ``ufm``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

__all__ = [
    "BUDGETS",
    "CONVEX",
    "DIMENSIONS",
    "LOSSES",
    "MODELS",
    "OTHER_LOSSES",
    "WEIGHT_DECAY",
    "Model",
    "Scope",
    "beyond",
    "hypotheses",
]


@dataclass(frozen=True)
class Model:
    """An architecture with what bounds or penalises it.

    Attributes:
        text: how a hypothesis names it.
        parameters: those that it has, and no others: a theorem about it says nothing once another one is present.
        is_convex: whether the problem in the logits is convex.
    """

    text: str
    parameters: tuple[str, ...]
    is_convex: bool


#: Convex losses by key, with the words for them: a theorem about any convex loss lists them all.
LOSSES: Mapping[str, str] = {
    "ce": "cross-entropy",
    "mse": "MSE",
    "smoothed-ce": "cross-entropy with label smoothing",
    "weighted-ce": "cross-entropy with weights, scales and shifts",
    "bce": "binary cross-entropy",
    "regression": "MSE with real targets",
    "convex": "any other convex loss",
}

#: Losses of which nothing convex is assumed, and what is no loss of logits.
OTHER_LOSSES: Mapping[str, str] = {
    "focal": "focal loss",
    "squared-hinge": "squared hinge loss with margin 1",
    "contrastive": "a convex function of the distances of unit vectors",
    "ordinal": "cumulative logistic loss of one logit",
    "none": "no loss",
}

#: What stands for every convex loss, and the words for it.
ANY_CONVEX = frozenset({"ce", "mse", "convex"})
CONVEX_TEXT = "any convex loss"

#: Models by key.
MODELS: Mapping[str, Model] = {
    "layer-peeled": Model("budgets E_W, E_H > 0", ("E_W", "E_H"), True),
    "spectral-deq": Model("DEQ with budgets E_W, E_H > 0 and |A|₂ ≤ ρ, 0 < ρ < 1", ("E_W", "E_H", "rho"), True),
    "frobenius-deq": Model(
        "DEQ with budgets E_W, E_H > 0, |A|_F² ≤ E_A and |A|₂ ≤ ρ < 1", ("E_W", "E_H", "rho", "E_A"), False
    ),
    "deep-linear": Model("M ≥ 3 linear factors with Frobenius budgets", ("budgets",), False),
    "weight-decay": Model("weight decay λ_W, λ_H > 0", ("lambda_W", "lambda_H"), True),
    "spectral-deq-decay": Model(
        "DEQ with weight decay λ_W, λ_H > 0 and |A|₂ ≤ ρ, 0 < ρ < 1", ("lambda_W", "lambda_H", "rho"), True
    ),
    "penalised-deq": Model(
        "DEQ with weight decay λ_W, λ_H, λ_A > 0 and |A|₂ ≤ ρ, 0 < ρ < 1",
        ("lambda_W", "lambda_H", "lambda_A", "rho"),
        False,
    ),
    "uncapped-deq": Model(
        "DEQ with weight decay λ_W, λ_H, λ_A > 0 and no bound on |A|₂", ("lambda_W", "lambda_H", "lambda_A"), False
    ),
    "deep-decay": Model("M ≥ 3 linear factors with weight decay", ("lambdas",), False),
    "relu-decay": Model("M factors with ReLU between them, weight decay", ("lambdas",), False),
    "bias-decay": Model(
        "weight decay λ_W, λ_H > 0 and a bias with weight decay λ_b ≥ 0", ("lambda_W", "lambda_H", "lambda_b"), True
    ),
    "nonnegative-decay": Model("features H ≥ 0 and weight decay λ_W, λ_H > 0", ("lambda_W", "lambda_H"), True),
    "nonnegative-budgets": Model("features H ≥ 0 and budgets E_W, E_H > 0", ("E_W", "E_H"), True),
    "encoder-kernel": Model(
        "features V Φᵀ linear in given activations Φ, weight decay λ_W, λ_V > 0", ("lambda_W", "lambda_V"), True
    ),
    "norm-bounded": Model("|w_k| ≤ a and |h_k| ≤ b for every class, a, b > 0", ("w", "h"), True),
    "fixed-etf": Model("a classifier fixed to a simplex ETF, |h_k| ≤ b for every class", ("h",), True),
    "fixed-etf-decay": Model(
        "a classifier fixed to a simplex ETF and weight decay λ_H > 0 of the features", ("lambda_H",), True
    ),
    "orthogonal": Model("|W|₂ ≤ s and |H|_F ≤ t, s, t > 0", ("s", "t"), True),
    "gain": Model("Z = W g(A) H, budgets E_W, E_H > 0 and |A|₂ ≤ ρ", ("E_W", "E_H", "rho"), True),
    "gain-decay": Model("Z = W g(A) H, weight decay λ_W, λ_H > 0 and |A|₂ ≤ ρ", ("lambda_W", "lambda_H", "rho"), True),
    "residual-decay": Model(
        "residual depth Z = W (I + A_L) ⋯ (I + A_1) H with weight decay λ_W, λ_H, λ_A > 0",
        ("lambda_W", "lambda_H", "lambda_A"),
        False,
    ),
    "margins": Model("margins z_kk − z_jk ≥ 1 for all j ≠ k", (), True),
    "scaled-margins": Model("margins scaled by δ_k > 0 that are at least 1", (), True),
    "vectors": Model("unit vectors, one or more of each class", (), True),
    "logits": Model("the logits alone", (), True),
}

BUDGETS = ("layer-peeled", "spectral-deq")
WEIGHT_DECAY = ("weight-decay", "spectral-deq-decay")
#: Models whose problem in the logits is convex.
CONVEX = (*BUDGETS, *WEIGHT_DECAY)

#: Least feature dimensions, from no condition to the strongest; each implies those before it (a rank is at most K - 1).
DIMENSIONS: Mapping[str, str] = {
    "any": "",
    "rank": "d ≥ rank Z",
    "rank + 1": "d > rank Z",
    "K - 1": "d ≥ K − 1",
    "K": "d ≥ K",
}

Bounds = tuple[int, int | None]


@dataclass(frozen=True)
class Scope:
    """Settings that a statement is about: all combinations of the entries.

    Attributes:
        losses: keys of :data:`LOSSES` or :data:`OTHER_LOSSES`.
        models: keys of :data:`MODELS`.
        classes: least and greatest number K of classes, None for no end.
        groups: least and greatest number of groups of classes with equal counts; (1, 1) is balance.
        majority, minority: least K_A and K_B of two groups; ``minority`` is also the size of the one group
            spoken of among more.
        dimension: key of :data:`DIMENSIONS`: the least dimension of the features.
        symmetric: whether only logits count that treat the classes of a group alike.
        conditions: what else is assumed, in words; a claim that cites a theorem must list the theorem's word for word.

    Raises:
        ValueError: an unknown key, no loss or no model.
    """

    losses: tuple[str, ...] = ("ce",)
    models: tuple[str, ...] = ("layer-peeled",)
    classes: Bounds = (2, None)
    groups: Bounds = (1, None)
    majority: int = 1
    minority: int = 1
    dimension: str = "any"
    symmetric: bool = False
    conditions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, values, known in (
            ("losses", self.losses, {**LOSSES, **OTHER_LOSSES}),
            ("models", self.models, MODELS),
            ("dimension", (self.dimension,), DIMENSIONS),
        ):
            if not values or isinstance(getattr(self, name), list) or any(v not in known for v in values):
                raise ValueError(f"{name} must name some of {', '.join(known)}, got {getattr(self, name)!r}")

    @property
    def is_convex(self) -> bool:
        """Whether every model of it is convex in the logits."""
        return all(MODELS[m].is_convex for m in self.models)

    @property
    def hypotheses(self) -> tuple[str, ...]:
        """The scope in words, one hypothesis each."""
        # a theorem about any convex loss is none about focal loss: that is said, also where the gauge alone matters
        losses = (CONVEX_TEXT if set(self.losses) >= ANY_CONVEX else " or ".join(map(self._loss, self.losses)),)
        everywhere = set(self.models) == set(MODELS)
        models = () if everywhere else (" or ".join(MODELS[x].text for x in self.models if x != "logits"),)
        family = ("logits that treat the classes of a group alike",) if self.symmetric else ()
        lines = (*losses, *models, self._counts(), DIMENSIONS[self.dimension], *family, *self.conditions)
        return tuple(line for line in lines if line and line != OTHER_LOSSES["none"])

    def _loss(self, key: str) -> str:
        """A loss in words; that squared error has no bias is said where no model has one."""
        biased = any("lambda_b" in MODELS[m].parameters for m in self.models)
        return _text(key) + (" without bias" if key in ("mse", "regression") and not biased else "")

    def _counts(self) -> str:
        least, most = self.classes
        number = f"K = {least}" if least == most else f"{least} ≤ K ≤ {most}" if most else f"K ≥ {least}"
        if set(self.losses) == {"regression"}:
            return f"{number} targets"
        if self.groups == (1, 1):
            return f"{number} classes with equal counts"
        if self.groups == (2, 2):
            return f"two groups of classes with equal counts, K_A ≥ {self.majority}, K_B ≥ {self.minority}"
        return f"{number} classes" + (f", K_b ≥ {self.minority} of them in the group" if self.minority > 1 else "")

    def atoms(self) -> Iterator[Scope]:
        """One scope for each pair of a loss and a model."""
        for loss in self.losses:
            for model in self.models:
                yield replace(self, losses=(loss,), models=(model,))


def _text(loss: str) -> str:
    return LOSSES.get(loss) or OTHER_LOSSES[loss]


def beyond(claim: Scope, cases: Sequence[Scope]) -> str | None:
    """Where ``claim`` leaves what a theorem covers, in words; None where it stays inside.

    Each pair of a loss and a model of the claim must lie in one of the theorem's ``cases``.
    """
    if not cases:
        return "the theorem covers nothing"
    for atom in claim.atoms():
        reasons = [_outside(atom, case) for case in cases]
        if all(reasons):
            nearest = min(reasons, key=lambda lines: len(lines))
            return f"{_text(atom.losses[0])}, {MODELS[atom.models[0]].text}: {'; '.join(nearest)}"
    return None


def _outside(atom: Scope, case: Scope) -> list[str]:
    loss, model = atom.losses[0], atom.models[0]
    reasons = []
    if loss not in case.losses:
        reasons.append(f"{_text(loss)}, the theorem: {', '.join(map(_text, case.losses))}")
    if model not in case.models:
        covered = "; ".join(MODELS[x].text for x in case.models)
        reasons.append(f"{MODELS[model].text}, the theorem: {covered}")
    for name, words in (("classes", "K"), ("groups", "number of groups")):
        if not _inside(getattr(atom, name), getattr(case, name)):
            reasons.append(f"{words} from {_span(getattr(atom, name))}, the theorem: {_span(getattr(case, name))}")
    for name, words in (("majority", "K_A"), ("minority", "K_B")):
        if getattr(atom, name) < getattr(case, name):
            reasons.append(f"{words} ≥ {getattr(atom, name)}, the theorem: ≥ {getattr(case, name)}")
    order = list(DIMENSIONS)
    if order.index(atom.dimension) < order.index(case.dimension):
        reasons.append(f"{DIMENSIONS[atom.dimension] or 'any d'}, the theorem: {DIMENSIONS[case.dimension]}")
    if case.symmetric and not atom.symmetric:
        reasons.append("all logits, the theorem: those that treat the classes of a group alike")
    missing = [c for c in case.conditions if c not in atom.conditions]
    return [*reasons, *(f"without the theorem's hypothesis {c!r}" for c in missing)]


def _inside(inner: Bounds, outer: Bounds) -> bool:
    high = outer[1] is None or (inner[1] is not None and inner[1] <= outer[1])
    return inner[0] >= outer[0] and high


def _span(bounds: Bounds) -> str:
    return f"{bounds[0]} to {'any' if bounds[1] is None else bounds[1]}"


def hypotheses(cases: Sequence[Scope]) -> tuple[str, ...]:
    """The hypotheses of a theorem in words: those of its one case, or each case in a line of its own."""
    if len(cases) == 1:
        return cases[0].hypotheses
    return tuple("; ".join(case.hypotheses) for case in cases)
