"""The explorer's state: its address, its ranges, and the problem that it states."""

from __future__ import annotations

import pytest

import ufm
from ufm.explorer import RANGES, State
from ufm.explorer.state import ARCHITECTURES, LOSSES


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_address_says_the_state(architecture, loss):
    state = State(architecture=architecture, loss=loss, K_A=3, R=12.192447080, lambda_W=7.4535599e-3, rho=0.25)
    assert State.of_query(state.query()) == state
    assert State.of_query(f"?{state.query()}") == state


def test_the_start_has_no_query():
    assert State().query() == ""
    assert State.of_query("") == State()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("R=abc", "R must be a number, got 'abc'"),
        ("R=nan", "R must be finite"),
        ("R=0.5", "R must be between 1 and 10000, got 0.5"),
        ("K_A=2.5", "K_A must be a number, got '2.5'"),
        ("K_A=0", "K_A must be an integer between 1 and 20, got 0"),
        ("rho=1", "rho must be between 0 and 0.99"),
        ("loss=bce", "loss must be one of"),
        ("architecture=resnet", "architecture must be one of"),
        ("speed=3", "parameter must be one of"),
        ("R=", "R must be a number, got ''"),
    ],
)
def test_an_address_that_says_nothing_sensible_is_an_error(query, message):
    with pytest.raises(ValueError, match=message):
        State.of_query(query)


def test_the_problem_is_that_of_the_sliders():
    state = State(architecture="penalised-deq", K_A=2, K_B=3, R=4.0, n_B=7.0, rho=0.25, lambda_W=0.01, lambda_H=0.02)
    assert state.network == ufm.PenalisedDEQ(lambda_W=0.01, lambda_H=0.02, rho=0.25)
    assert state.prior.counts.tolist() == [28, 28, 7, 7, 7]
    assert state.roles == ("K_A", "K_B", "R", "lambda_W", "lambda_H", "n_B", "rho")


def test_every_range_holds_its_start():
    for name, allowed in RANGES.items():
        assert allowed.low <= getattr(State(), name) <= allowed.high
