"""Where the sliders stand: a two-group problem, read from and written to the address of the page."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from ufm._validation import integer, one_of, real
from ufm.architectures import LayerPeeled, LinearDEQ, PenalisedDEQ, UnconstrainedFeatures, command_word
from ufm.two_groups.phase_diagram import SYMBOLS

if TYPE_CHECKING:
    from ufm.architectures import Architecture
    from ufm.labels import ClassPrior

__all__ = ["ARCHITECTURES", "LOSSES", "RANGES", "Range", "State"]

#: Architectures whose two-group optimum is a closed form, by their name on the command line.
ARCHITECTURES = {command_word(cls): cls for cls in (LayerPeeled, LinearDEQ, UnconstrainedFeatures, PenalisedDEQ)}
#: Losses with closed forms, and how they are called.
LOSSES = {"ce": "cross-entropy", "mse": "squared error"}


class Range(NamedTuple):
    """The least and the largest value of a slider, whether it goes by ratios, and what it is."""

    low: float
    high: float
    by_ratios: bool
    text: str


#: What every slider ranges over.
RANGES = {
    "K_A": Range(1, 20, False, "majority classes"),
    "K_B": Range(1, 20, False, "minority classes"),
    "R": Range(1.0, 1e4, True, "imbalance n_A/n_B"),
    "E_W": Range(1e-2, 1e2, True, "classifier budget"),
    "E_H": Range(1e-2, 1e2, True, "feature budget"),
    "lambda_W": Range(1e-4, 1e-1, True, "classifier weight decay"),
    "lambda_H": Range(1e-4, 1e-1, True, "feature weight decay"),
    "n_B": Range(1, 1000, True, "samples of a minority class"),
    "rho": Range(0.0, 0.99, False, "spectral bound"),
}


@dataclass(frozen=True)
class State:
    """A two-group problem with closed forms: what the sliders say.

    Attributes:
        architecture: ``"layer-peeled"``, ``"linear-deq"``, ``"unconstrained-features"`` or ``"penalised-deq"``.
        loss: ``"ce"`` or ``"mse"``.
        K_A, K_B: majority and minority classes.
        R: imbalance n_A/n_B.
        E_W, E_H: budgets, which the first two architectures have.
        lambda_W, lambda_H: weight decay, which the others have.
        n_B: samples of a minority class, which matters to weight decay alone.
        rho: spectral bound of the DEQs.

    Raises:
        TypeError, ValueError: a value that is no number, or outside of :data:`RANGES`.

    >>> State(architecture="linear-deq", rho=0.9).prior.num_classes
    10
    """

    architecture: str = "layer-peeled"
    loss: str = "ce"
    K_A: int = 5
    K_B: int = 5
    R: float = 10.0
    E_W: float = 1.0
    E_H: float = 5.0
    lambda_W: float = 5e-3
    lambda_H: float = 5e-3
    n_B: float = 10.0
    rho: float = 0.5

    def __post_init__(self) -> None:
        one_of("architecture", self.architecture, ARCHITECTURES)
        one_of("loss", self.loss, LOSSES)
        for name, allowed in RANGES.items():
            value = getattr(self, name)
            if name in ("K_A", "K_B"):
                checked: float = integer(name, value, minimum=int(allowed.low), maximum=int(allowed.high))
            else:
                checked = real(name, value)
                if not allowed.low <= checked <= allowed.high:
                    raise ValueError(f"{name} must be between {allowed.low:g} and {allowed.high:g}, got {value!r}")
            object.__setattr__(self, name, checked)

    @property
    def has_budgets(self) -> bool:
        """Whether the architecture bounds its weights, and R alone matters of the counts."""
        return self.architecture in ("layer-peeled", "linear-deq")

    @property
    def is_deq(self) -> bool:
        """Whether rho plays a role."""
        return self.architecture.endswith("deq")

    @property
    def strengths(self) -> tuple[str, str]:
        """Names of what bounds classifier and features."""
        return ("E_W", "E_H") if self.has_budgets else ("lambda_W", "lambda_H")

    @property
    def roles(self) -> tuple[str, ...]:
        """Names of the sliders that play a role.

        >>> State().roles
        ('K_A', 'K_B', 'R', 'E_W', 'E_H')
        """
        counts = () if self.has_budgets else ("n_B",)
        return ("K_A", "K_B", "R", *self.strengths, *counts, *(("rho",) if self.is_deq else ()))

    @property
    def network(self) -> Architecture:
        """The architecture with its parameters."""
        values = {name: getattr(self, name) for name in (*self.strengths, *(("rho",) if self.is_deq else ()))}
        return ARCHITECTURES[self.architecture](**values)

    @property
    def prior(self) -> ClassPrior:
        """The class counts: n_B of a minority class, 1 where budgets leave the scale free."""
        from ufm.labels import ClassPrior

        n_b = 1.0 if self.has_budgets else self.n_B
        return ClassPrior([self.R * n_b] * self.K_A + [n_b] * self.K_B)

    def at(self, **values: Any) -> State:
        """The state with other values.

        >>> State().at(R=20.0).R
        20.0
        """
        return replace(self, **values)

    def batch(self, **over: Any) -> dict[str, Any]:
        """Arguments of :func:`ufm.solve_batch`; ``over`` replaces values by arrays.

        >>> State().batch(R=[1.0, 2.0])["ratio"]
        [1.0, 2.0]
        """
        names = {symbol: name for name, symbol in SYMBOLS.items()}
        values = {name: getattr(self, name) for name in self.roles} | over
        return {"loss": self.loss} | {names.get(name, name): value for name, value in values.items()}

    def query(self) -> str:
        """What follows the question mark in the page's address: what differs from where the sliders start.

        >>> State(R=20.0, loss="mse").query()
        'loss=mse&R=20'
        """
        start = State()
        differing = {f.name: getattr(self, f.name) for f in fields(self)}
        return urlencode({k: _text(v) for k, v in differing.items() if v != getattr(start, k)})

    @classmethod
    def of_query(cls, text: str) -> State:
        """The state that an address says.

        Raises:
            ValueError: a name that is none, a value that is no number or out of its range.

        >>> State.of_query("?loss=mse&R=20") == State(R=20.0, loss="mse")
        True
        """
        known = [f.name for f in fields(cls)]
        values: dict[str, Any] = {}
        for name, value in parse_qsl(text.removeprefix("?"), keep_blank_values=True):
            one_of("parameter", name, known)
            values[name] = value if name in ("architecture", "loss") else _number(name, value)
        return cls(**values)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.10g}"


def _number(name: str, text: str) -> float | int:
    try:
        return int(text) if name in ("K_A", "K_B") else float(text)
    except ValueError:
        raise ValueError(f"{name} must be a number, got {text!r}") from None
