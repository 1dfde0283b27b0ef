"""Networks with a monotone equilibrium layer, trained beside the optimum of the problem that they are."""

from __future__ import annotations

import functools
from typing import Any, Literal

from ufm._validation import one_of, positive
from ufm.architectures import UnconstrainedFeatures
from ufm.deq.monotone import ACTIVATIONS
from ufm.labels import ClassPrior, Labels
from ufm.losses import Loss
from ufm.networks.monotone import MonotoneNetwork
from ufm.trainings.stated import StatedTraining, train_problem

__all__ = ["train_monotone"]


def train_monotone(
    lambda_W: float,
    lambda_H: float,
    prior: ClassPrior | Labels,
    loss: str | Loss = "ce",
    *,
    m: float = 1.0,
    activation: str = "relu",
    bias: str | float | None = None,
    **training: Any,
) -> StatedTraining:
    """Train an encoder, a monotone equilibrium layer and a classifier, and set the optimum of all such beside it.

        L = (1/N) sum_i loss(W z_i + b; t_i) + (lambda_W/2)|W|_F^2 + (lambda_H/2) sum_i |h_i|^2,
        z_i = sigma(A z_i + h_i),  I - A strongly monotone with constant m.

    The prediction is that of unconstrained features with weight decay lambda_W and ``m^2 lambda_H``, nonnegative ones
    behind a ReLU; why stands at :class:`ufm.networks.MonotoneNetwork`. For m <= 1 and no activation that is the linear
    equilibrium layer of ``|A|_2 <= 1 - m``. Behind tanh it is a lower bound, which is not attained.

    Args:
        lambda_W, lambda_H: weight decay > 0 of the classifier and of the injected features.
        prior, loss, bias: as of :func:`ufm.solve`.
        m: strong monotonicity > 0.
        activation: ``"identity"``, ``"relu"`` or ``"tanh"``.
        **training: as of :func:`train_problem`: data, sizes, seeds, when to end.

    Raises:
        TypeError, ValueError: an argument is not what it should be.

    >>> found = train_monotone(0.05, 0.2, ClassPrior([6, 6, 3, 3]), "mse", m=0.5, activation="identity")
    >>> found.status, f"{found.fit.objective:.6f}", f"{found.solution.value:.6f}"
    ('agrees', '0.328154', '0.328154')
    """
    one_of("activation", activation, ACTIVATIONS)
    m = positive("m", m)
    features: Literal["real", "nonnegative"] = "nonnegative" if activation == "relu" else "real"
    model = UnconstrainedFeatures(positive("lambda_W", lambda_W), m * m * positive("lambda_H", lambda_H), features)
    network = functools.partial(MonotoneNetwork, m=m, activation=activation)
    return train_problem(model, prior, loss, bias=bias, network=network, **training)
