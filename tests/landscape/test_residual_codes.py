"""Direct sums of simplices under residual depth: against the objective of their logits, and where the ETF is left."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import block_diag
from scipy.optimize import minimize

from ufm.architectures import Residual
from ufm.labels import ClassPrior
from ufm.landscape.residual_codes import SimplexSum, cheapest_sum, residual_switch, simplex_sum
from ufm.problem import Problem


def logits(found: SimplexSum) -> np.ndarray:
    return block_diag(*(s * (np.eye(m) - 1 / m) for m, s in zip(found.blocks, found.sizes, strict=True)))


@pytest.mark.parametrize("depth", [1, 4, math.inf])
@pytest.mark.parametrize("blocks", [(5,), (3, 2)])
def test_value_is_the_objective_and_least_over_the_sizes(depth: float, blocks: tuple[int, ...]) -> None:
    network, n = Residual(0.02, 0.03, 0.01, depth), 4
    found = simplex_sum(network, 5, blocks, n)
    problem = Problem.of(network, ClassPrior([n] * 5))
    assert problem.objective(logits(found)) == pytest.approx(found.value, rel=1e-9)

    def value(sizes: np.ndarray) -> float:
        return problem.objective(logits(SimplexSum(found.blocks, tuple(np.abs(sizes)), 0.0)))

    least = minimize(value, np.array(found.sizes) * 1.1, method="Nelder-Mead", options={"fatol": 1e-12, "xatol": 1e-7})
    assert least.fun == pytest.approx(found.value, rel=1e-8)


def test_nothing_is_worth_its_price_at_strong_decay() -> None:
    found = cheapest_sum(Residual(0.3, 0.3, 1.0, 2), 4)
    assert set(found.sizes) == {0.0}
    assert found.value == pytest.approx(math.log(4))


def test_the_etf_is_left_at_the_switch() -> None:
    switch = residual_switch(6, 0.05, 8)
    values = []
    for c in (0.999 * switch.strength, 1.001 * switch.strength):
        network = Residual(0.05, 0.05, 8 * c, 8)
        values.append(cheapest_sum(network, 6, etf=False).value - simplex_sum(network, 6, (6,)).value)
    assert values[0] < 0 < values[1]
    assert switch.is_stable
    assert residual_switch(4, 0.05, 1).code is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: simplex_sum(x, 5, (3, 3)), "blocks must be parts of num_classes=5"),
        (lambda x: simplex_sum(x, 5, (4, 1)), "blocks must be"),
        (lambda x: cheapest_sum(x, 3, etf=False), "num_classes must be"),
        (lambda x: residual_switch(4, 0.25, 2), r"decay must be below 1/num_classes = 0.25"),
    ],
)
def test_bad_arguments_are_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(Residual(0.1, 0.1, 0.1, 2))
