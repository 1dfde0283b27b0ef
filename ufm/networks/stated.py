"""The network of any problem that can be stated: its factors, budgets, maps and bias on top of an encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from ufm._validation import integer, one_of
from ufm.architectures import Constrained, NormBounded, Penalised, Spectral
from ufm.deq.wellposed import STARTS, SpectralBound, check_dtype
from ufm.networks.encoders import Encoder
from ufm.networks.output import Output
from ufm.problem import Problem

__all__ = ["StatedNetwork", "torch_transfer"]

#: Standard deviation of the classifier's entries at the start where two factors are trained: below their optimal size.
CLASSIFIER_SCALE = 0.03
#: Maps that nothing bounds start at this multiple of the identity, or at none of it: their product stays moderate.
MAP_SCALE = 0.1
#: Where |A| has a price, A = rho I is a stationary point of its parametrisation: it starts at this part of it at most.
FOLD = 0.9
#: Slopes of a leaky ReLU that lead to the ReLU.
LEAKS = (0.5, 0.1, 0.0)


class StatedNetwork(nn.Module):
    """``logits = W T W_2 ... W_{M-1} h(x) + b``: an encoder h, and what the problem's architecture states.

    Its constraints hold whatever the weights are: a budget ``|W|_F^2 <= c`` by ``sqrt(c) W/|(W, s)|`` with a slack s
    of its own, zero where the budget binds; ``|A|_2 <= rho`` by :class:`ufm.deq.SpectralBound`; ``|A|_F^2 <= E_A`` by
    scaling down what is longer, in a training after a multiplier has met it (:attr:`multiplier`): where both bounds of
    A bind, no smooth parametrisation of one is smooth for the other; bounded rows and samples by a slack coordinate
    each; nonnegative features by a ReLU.
    Weight decay is part of the objective, :meth:`decay`. Inputs are all N samples, for budgets on features are averages
    over them.

    Args:
        problem: architecture of this package, labels, loss and bias.
        columns: column of the labels of every sample, shape (N,).
        num_inputs: p >= 1.
        dim: feature dimension d >= 1.
        width: hidden units of the encoder >= 1.
        start: of the maps, ``"identity"`` (A = rho I, or what E_A leaves of it, less where |A| has a price; a tenth of
            I where nothing bounds them) or ``"zero"``.
        seed: of the random start.
        dtype: float64 or float32.

    Attributes:
        multiplier: None, or (nu, mu) of the augmented Lagrangian ``(max(0, nu + mu c)^2 - nu^2)/(2 mu)`` of
            ``c = |A|_F^2 - E_A``, which :meth:`decay` then adds, while A may be longer.
        is_attained: whether some weights reach the problem's optimum, here True; else it is a bound of what they cost.

    Raises:
        TypeError, ValueError: an argument is not what it should be, or an architecture of one's own, which states no
            factors; the message names it.

    >>> import ufm
    >>> problem = Problem.of(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([2, 2]))
    >>> network = StatedNetwork(problem, torch.tensor([0, 0, 1, 1]), 4, dim=2, width=8)
    >>> output = network(torch.eye(4, dtype=torch.float64))
    >>> bool(output.injected.square().sum() / 2 <= 2), float(network.decay(output))  # sum_k (1/n_k) sum |h|^2 <= K E_H
    (True, 0.0)
    """

    is_attained = True

    def __init__(
        self,
        problem: Problem,
        columns: Tensor,
        num_inputs: Any,
        *,
        dim: Any,
        width: Any,
        start: str = "identity",
        seed: Any = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        check_dtype(dtype)
        if not problem.is_known:
            raise ValueError(f"architecture {problem.architecture!r} states no factors: no network follows from it")
        p, d = integer("num_inputs", num_inputs, minimum=1), integer("dim", dim, minimum=1)
        width = integer("width", width, minimum=1)
        one_of("start", start, STARTS)
        generator = self._generator = torch.Generator().manual_seed(integer("seed", seed, minimum=0))
        self.problem = problem
        k = problem.prior.num_classes
        architecture = cast(Spectral, problem.architecture)
        self._rows = isinstance(architecture, NormBounded)
        self.encoder = Encoder(p, width, d + self._rows, generator, dtype)
        self.classifier = nn.Linear(d, k, bias=False, dtype=dtype)
        self._nonnegative = getattr(architecture, "features", "real") == "nonnegative"
        self.leak = 0.0
        depth = 2 if self._rows else architecture.num_factors
        scale = CLASSIFIER_SCALE if depth == 2 else 1 / math.sqrt(d)
        with torch.no_grad():
            self.classifier.weight.copy_(scale * torch.randn(k, d, generator=generator, dtype=dtype))
        # where there are three factors and more, 0 is a local minimum: the others start where nothing shrinks
        self.layers = nn.ParameterList([nn.Parameter(torch.eye(d, dtype=dtype)) for _ in range(depth - 2)])
        self._budgets = architecture.factor_budgets(k) if isinstance(architecture, Constrained) else ()
        slack = k if self._rows else len(self._budgets)
        self.slack = nn.Parameter(torch.ones(slack, dtype=dtype)) if slack else None
        self.bias = None if problem.bias is None else nn.Parameter(torch.zeros(k, dtype=dtype))
        self.register_buffer("_shares", (1 / torch.bincount(columns).to(dtype))[columns], persistent=False)
        self._build_maps(d, start, dtype)

    def _build_maps(self, d: int, start: str, dtype: torch.dtype) -> None:
        architecture = self.problem.architecture
        self.bounded: SpectralBound | None = None
        self.maps = nn.ParameterList()
        spectral = cast(Spectral, architecture)
        self.map_budget: float | None = getattr(architecture, "E_A", None)
        if self.map_budget is not None and cast(Spectral, architecture).spectral_bound == 0:
            self.map_budget = None  # A = 0 either way
        self.multiplier: tuple[float, float] | None = None
        self.blocks = None if self._rows or not spectral.map_repeats else spectral.blocks
        if self.blocks is None:
            return
        if math.isfinite(spectral.spectral_bound):
            self.bounded = SpectralBound(d, spectral.spectral_bound, start, dtype=dtype)
            if self.map_budget is not None or (isinstance(architecture, Penalised) and architecture.map_decay):
                room = 1.0 if self.map_budget is None else math.sqrt(self.map_budget / d) / spectral.spectral_bound
                part = min(FOLD, room)
                with torch.no_grad():  # 2 s/(1 + s^2) = part
                    self.bounded.weight.mul_(part / (1 + math.sqrt(1 - part**2)))
        else:
            scale = MAP_SCALE / spectral.num_maps if start == "identity" else 0.0
            self.maps.extend(scale * torch.eye(d, dtype=dtype) for _ in range(spectral.num_maps))

    @property
    def leaks(self) -> tuple[float, ...]:
        """Slopes of the ReLU below 0 in the order in which to train with them, the true one, 0, last.

        A sample all of whose features a ReLU has put out has no gradient any more; none is put out for good before the
        slope there is 0.
        """
        return LEAKS if self._nonnegative else (0.0,)

    @property
    def equilibrium(self) -> SpectralBound | None:
        """What holds the A of an equilibrium layer; None for other maps, or without any."""
        return self.bounded if self.blocks == "deq" else None

    def between(self) -> list[Tensor]:
        """The maps ``A_1, ..., A_L`` between features and classifier, within their bounds."""
        if self.bounded is None:
            return list(self.maps)
        a = self.bounded()
        if self.map_budget is not None and self.multiplier is None:
            a = a * torch.clamp(math.sqrt(self.map_budget) / a.norm().clamp_min(1e-300), max=1.0)
        return [a] * cast(Spectral, self.problem.architecture).map_repeats

    def excess(self) -> Tensor:
        """``|A|_F^2 - E_A`` of A before it is scaled down, a scalar."""
        assert self.bounded is not None
        assert self.map_budget is not None
        return self.bounded().square().sum() - self.map_budget

    def shake(self, scale: float) -> None:
        """Move classifier, layers and maps by random steps of ``scale`` times the root mean square of each."""
        bounded = () if self.bounded is None else tuple(self.bounded.parameters())
        with torch.no_grad():
            for weights in (self.classifier.weight, *self.layers, *self.maps, *bounded):
                step = torch.randn(weights.shape, generator=self._generator, dtype=weights.dtype).to(weights.device)
                weights.add_(scale * weights.square().mean().sqrt() * step)

    def factors(self) -> list[Tensor]:
        """``W`` and the layers below it but the features, within their budgets."""
        raw = [self.classifier.weight, *self.layers]
        if self._rows:
            bound = cast(NormBounded, self.problem.architecture).w
            slack = cast(nn.Parameter, self.slack)
            return [bound * raw[0] / (raw[0].square().sum(dim=1) + slack.square()).sqrt()[:, None]]
        if not self._budgets:
            return raw
        return [self._within(i, x, x.square().sum()) for i, x in enumerate(raw)]

    def _within(self, i: int, x: Tensor, square: Tensor) -> Tensor:
        """``sqrt(c) x / sqrt(|x|^2 + s^2)`` with budget and slack i."""
        slack = cast(nn.Parameter, self.slack)[i]
        return math.sqrt(self._budgets[i]) * x / (square + slack.square()).sqrt()

    def features(self, inputs: Tensor) -> Tensor:
        """What the encoder injects, shape (N, d), within its bounds."""
        h = self.encoder(inputs)
        architecture = self.problem.architecture
        if self._rows:
            h = cast(NormBounded, architecture).h * h / h.square().sum(dim=1, keepdim=True).clamp_min(1e-300).sqrt()
            return h[:, :-1]
        if self._nonnegative:
            h = nn.functional.leaky_relu(h, self.leak)
        if not self._budgets:
            return h
        return self._within(len(self._budgets) - 1, h, (h.square().sum(dim=1) * cast(Tensor, self._shares)).sum())

    def forward(self, inputs: Tensor) -> Output:
        """Forward pass on all N samples, (N, ...) of p entries each."""
        h = self.features(inputs)
        w, *layers = self.factors()
        seen = h
        if self.blocks is not None:
            seen = seen @ torch_transfer(self.blocks, self.between(), h.shape[1]).T
        for layer in reversed(layers):
            seen = seen @ layer.T
        logits = seen @ w.T
        return Output(logits if self.bias is None else logits + self.bias, seen, h)

    def decay(self, output: Output) -> Tensor:
        """The weight decay of the architecture's definition and of the bias, a scalar."""
        total = output.logits.new_zeros(())
        architecture = self.problem.architecture
        if isinstance(architecture, Penalised):
            squares = [x.square().sum() for x in (*self.factors(), output.injected)]
            total = total + sum(c * x for c, x in zip(architecture.factor_decays, squares, strict=True)) / 2
            maps = self.between() if architecture.map_decay else []
            total = total + architecture.map_decay / 2 * sum((a.square().sum() for a in maps), total.new_zeros(()))
        if self.bias is not None:
            total = total + cast(float, self.problem.bias) / 2 * self.bias.square().sum()
        if self.multiplier is not None:
            nu, mu = self.multiplier
            total = total + ((nu + mu * self.excess()).clamp_min(0).square() - nu**2) / (2 * mu)
        return total


def torch_transfer(kind: str, maps: Sequence[Tensor], dim: int) -> Tensor:
    """T (d, d) of maps as :func:`ufm.architectures.blocks.transfer` has it, differentiable.

    >>> a = torch.diag(torch.tensor([0.5, 0.0], dtype=torch.float64))
    >>> [round(float(torch_transfer(kind, [a], 2)[0, 0]), 6) for kind in ("deq", "residual", "unrolled", "ode")]
    [2.0, 1.5, 1.5, 1.648721]
    """
    identity = torch.eye(dim, dtype=maps[0].dtype, device=maps[0].device)
    if kind == "deq":
        return torch.linalg.inv(identity - maps[0])
    if kind == "ode":
        return torch.linalg.matrix_exp(maps[0])
    state = identity
    for a in maps:
        state = (state if kind == "residual" else identity) + a @ state
    return state
