"""No assertion passes on numbers that are none, and no tolerance is taken that cannot fail."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
from effort import count

import ufm
from ufm.architectures import Architecture
from ufm.geometry import simplex_etf
from ufm.losses import CrossEntropy
from ufm.testing import (
    EquilibriumMap,
    LabelledFeatures,
    architectures,
    assert_collapsed,
    assert_etf,
    assert_feasible,
    assert_fixed_point,
    assert_optimal,
    assert_same_optimum,
    assert_self_dual,
    assert_well_posed,
    etfs,
    far_from_collapse,
    log_uniform,
    near_collapse,
    priors,
    problems,
    step_priors,
)

ETF = simplex_etf(3)
PRIOR = ufm.ClassPrior([3, 2, 1])
SOLUTIONS = {
    "constrained": ufm.solve(ufm.LinearDEQ(1.0, 2.0, 0.3), PRIOR),
    "penalised": ufm.solve(ufm.PenalisedDEQ(0.01, 0.02, 0.3), PRIOR),
}

#: Every assertion, right but for the tolerance.
ASSERTIONS = {
    "etf": lambda **tol: assert_etf(ETF, **tol),
    "self_dual": lambda **tol: assert_self_dual(ETF.T, ETF, **tol),
    "collapsed": lambda **tol: assert_collapsed(ETF.T, [0, 1, 2], **tol),
    "feasible": lambda **tol: assert_feasible(SOLUTIONS["constrained"], **tol),
    "well_posed": lambda **tol: assert_well_posed(np.eye(2) / 2, 0.5, **tol),
    "fixed_point": lambda **tol: assert_fixed_point(lambda z: z, ETF, **tol),
    "optimal": lambda **tol: assert_optimal(SOLUTIONS["constrained"], **tol),
    "same_optimum": lambda **tol: assert_same_optimum(*[SOLUTIONS["constrained"]] * 2, **tol),
}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1e-8, 0.0, "1e-8", None, True])
@pytest.mark.parametrize("name", ASSERTIONS)
def test_every_tolerance_is_positive_and_finite(name, bad):
    argument = "rtol" if name in ("optimal", "same_optimum") else "tol"
    ASSERTIONS[name](**{argument: 1e-6})
    with pytest.raises((TypeError, ValueError), match=f"^{argument} must be"):
        ASSERTIONS[name](**{argument: bad})


@pytest.mark.parametrize("kind", SOLUTIONS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["classifier", "features", "equilibrium"])
def test_factors_that_are_no_numbers(kind, name, bad):
    s = SOLUTIONS[kind]
    wrong = getattr(s.factors, name).copy()
    wrong[0, 0] = bad
    other = dataclasses.replace(s, _factors=dataclasses.replace(s.factors, **{name: wrong}))
    for check in (assert_feasible, assert_optimal):
        with pytest.raises(AssertionError, match=r"the entries of [WHA] are not finite: 1 of \d entries"):
            check(other)


def test_layers_that_are_no_numbers():
    s = ufm.solve(ufm.DeepLinear((1.0, 1.0, 5.0)), PRIOR, starts=2, seed=0)
    assert_feasible(s)
    layers = (s.factors.layers[0], s.factors.layers[1] * math.nan)
    with pytest.raises(AssertionError, match="the entries of W_3 are not finite: 9 of 9"):
        assert_feasible(dataclasses.replace(s, _factors=dataclasses.replace(s.factors, layers=layers)))


@pytest.mark.parametrize("kind", SOLUTIONS)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize(("field", "message"), [("value", "value"), ("lower", "lower"), ("upper", "upper")])
def test_values_that_are_no_numbers(kind, bad, field, message):
    s = SOLUTIONS[kind]
    other = dataclasses.replace(s, **{field: bad})
    with pytest.raises(AssertionError, match=f"the {message}.* is not finite"):
        assert_optimal(other)
    for pair, name in (((s, other), "reference"), ((other, s), "solution")):
        with pytest.raises(AssertionError, match=f"the {name}'s {message} is not finite"):
            assert_same_optimum(*pair)
    if field == "value":
        with pytest.raises(AssertionError, match="the value is not finite"):
            assert_feasible(other)


def test_a_singular_equilibrium_is_named():
    s = SOLUTIONS["constrained"]
    factors = dataclasses.replace(s.factors, equilibrium=np.eye(3))
    with pytest.raises(AssertionError, match=r"I - A is singular(.|\n)*\|A\|_2 = 1 exceeds rho"):
        assert_feasible(dataclasses.replace(s, _factors=factors))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_arrays_that_are_no_numbers(bad):
    x = ETF.copy()
    x[0, 0] = bad
    for check in (
        lambda: assert_etf(x),
        lambda: assert_self_dual(x.T, ETF),
        lambda: assert_self_dual(ETF.T, x),
        lambda: assert_collapsed(x, [0, 1, 2]),
        lambda: assert_well_posed(x, 0.5),
        lambda: assert_fixed_point(lambda z: z, x),
        lambda: assert_fixed_point(lambda z: x, ETF),
    ):
        with pytest.raises(AssertionError, match="is not finite: 1 entries"):
            check()


MASKED = np.ma.array(ETF, mask=np.eye(3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: EquilibriumMap(MASKED, ETF, "relu", 0.5), TypeError, "matrix must have no masked entries"),
        (lambda: assert_etf(MASKED), TypeError, "matrix must have no masked entries"),
        (lambda: assert_etf(ETF.astype(complex)), TypeError, "matrix must be a matrix of real numbers"),
        (lambda: assert_etf([["a"]]), TypeError, "matrix must be a matrix of real numbers"),
        (lambda: assert_etf([[1.0]]), ValueError, "matrix must have at least 2 columns"),
        (lambda: assert_self_dual(MASKED, ETF), TypeError, "classifier must have no masked entries"),
        (lambda: assert_collapsed(MASKED, [0, 1, 2]), TypeError, "features must have no masked entries"),
        (
            lambda: assert_collapsed(ETF, np.ma.array([0, 1, 2], mask=[0, 0, 1])),
            TypeError,
            "labels must have no masked",
        ),
        (lambda: assert_collapsed(ETF, [0.0, 1.0, math.nan]), ValueError, "labels must be finite, got nan"),
        (lambda: assert_well_posed(MASKED, 0.5), TypeError, "matrix must have no masked entries"),
        (lambda: assert_well_posed(ETF, math.nan), ValueError, "rho must be finite"),
        (lambda: assert_well_posed(ETF, "0.5"), TypeError, "rho must be a real number"),
        (lambda: assert_fixed_point(None, ETF), TypeError, "f must be callable"),
        (lambda: assert_fixed_point(lambda z: MASKED, ETF), TypeError, r"f\(z\) must have no masked entries"),
        (lambda: assert_feasible(ETF), TypeError, "solution must be a ufm.Solution"),
        (lambda: assert_optimal(None), TypeError, "solution must be a ufm.Solution"),
        (lambda: assert_same_optimum(SOLUTIONS["penalised"], 1.0), TypeError, "reference must be a ufm.Solution"),
        (lambda: architectures(max_rho=1.0), ValueError, r"max_rho must lie in \[0, 1\)"),
        (lambda: architectures(min_size=0.0), ValueError, "min_size must be > 0"),
        (lambda: architectures(min_size=2.0, max_size=1.0), ValueError, "min_size must be at most max_size"),
        (lambda: log_uniform(2.0, 1.0), ValueError, "low and high must satisfy"),
        (lambda: architectures(families=["LayerPealed"]), ValueError, "families must be among LayerPeeled"),
        (lambda: problems(losses=["hinge"]), ValueError, "losses must be one of 'ce'"),
        (lambda: problems(losses="ce"), ValueError, "losses must be a sequence of names"),
        (lambda: problems(max_classes=1), ValueError, "max_classes must be an integer >= 2"),
        (lambda: priors(min_classes=5, max_classes=4), ValueError, "max_classes must be an integer >= 5"),
        (lambda: priors(max_ratio=0.5), ValueError, "max_ratio must be >= 1"),
        (lambda: step_priors(min_minority=3, max_minority=2), ValueError, "max_minority must be an integer >= 3"),
        (lambda: etfs(max_extra=-1), ValueError, "max_extra must be an integer >= 0"),
        (lambda: near_collapse(max_noise=-1.0), ValueError, "max_noise must be > 0"),
        (lambda: far_from_collapse(max_samples=1), ValueError, "max_samples must be an integer >= 2"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_zero_matrices_are_described():
    with pytest.raises(AssertionError, match=r"not dual(.|\n)*class \d is farthest, with 0\.577; .* cosine 0"):
        assert_self_dual(np.zeros((3, 3)), ETF)


class Mine(Architecture):
    """An architecture of one's own: the Frobenius norm of the logits is at most 2."""

    def gauge(self, y):
        return float(np.linalg.norm(y))

    def polar(self, gradient):
        return float(np.linalg.norm(gradient))

    def atom(self, gradient):
        return gradient / np.linalg.norm(gradient)

    def bound(self, num_classes):
        return 2.0


def test_an_architecture_of_ones_own_is_held_to_its_gauge():
    s = ufm.solve(Mine(), PRIOR, CrossEntropy())
    assert_feasible(s)
    assert_optimal(s, rtol=1e-6)
    with pytest.raises(AssertionError, match=r"the gauge 2\.1999\d* exceeds the bound 2"):
        assert_feasible(dataclasses.replace(s, _logits=1.1 * s.logits))


def test_what_was_drawn_can_be_pasted():
    names = {"np": np, "EquilibriumMap": EquilibriumMap, "LabelledFeatures": LabelledFeatures}
    f = EquilibriumMap(np.eye(2) / 3, np.array([[0.1, 1 / 7]]), "tanh", 0.5)
    again = eval(repr(f), names)
    assert (again.matrix == f.matrix).all()
    assert (again.injection == f.injection).all()
    assert (again.activation, again.rho) == (f.activation, f.rho)
    data = LabelledFeatures(np.array([[0.1], [1e-300]]), np.array([0, 1]), np.array([[1 / 3, 0.0]]), 0.1)
    again = eval(repr(data), names)
    assert (again.features == data.features).all()
    assert again.labels.dtype == data.labels.dtype


#: Without what hypothesis then explains: comments on the lines, for hundreds of examples more.
FAILING = f"""
from hypothesis import Phase, given, settings
from ufm.testing import *

# the deadline is hypothesis' own
@settings(max_examples=30, database=None, derandomize=True, phases=[Phase.generate{count("", ", Phase.shrink")}])
@given(problems(), near_collapse(), equilibrium_maps(), architectures(), priors(min_classes=4), etfs(), open_problems())
def test(problem, data, f, architecture, prior, frame, open_problem):
    assert problem.prior.num_classes < 2

try:
    test()
except AssertionError as error:
    print(*error.__notes__, sep="\\n")
"""


PASTED = """
import numpy as np
from ufm import *
from ufm.losses import *
from ufm.problem import Problem
from ufm.testing import *
"""


def test_a_failing_example_can_be_pasted():
    done = subprocess.run([sys.executable, "-c", FAILING], capture_output=True, text=True, check=True)
    example = "\n".join(line.split("  # ")[0] for line in done.stdout.splitlines() if not line.lstrip().startswith("#"))
    call = example[example.index("(") : example.index("\n)") + 2]  # on CI a line about reproducing it follows
    code = f"{PASTED}\ndef test(**given): print(sorted(given))\ntest{call}"
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr + call
    assert again.stdout.strip() == "['architecture', 'data', 'f', 'frame', 'open_problem', 'prior', 'problem']"


FIRST = """
import time
from ufm.testing import *
import ufm
from hypothesis import given, settings
seconds = []

@settings(max_examples=1, deadline=None, database=None, derandomize=True)
@given(problems(), near_collapse())
def test(problem, data):
    import sys
    before = set(sys.modules)
    assert_optimal(ufm.solve(problem.architecture, problem.prior, problem.loss))
    ufm.measure(data.features, data.labels, classifier=data.classifier)
    relu = ufm.UnconstrainedFeatures(0.1, 0.1, features="nonnegative")
    smoothed = ufm.CrossEntropy(smoothing=0.1)
    for architecture, loss, bias in (
        (ufm.UnconstrainedFeatures(0.1, 0.1), smoothed, 1.0),
        (relu, "bce", "free"),
        (ufm.NormBounded(1.0, 1.0), "mse", None),
    ):
        assert_optimal(ufm.solve(architecture, ufm.ClassPrior([5, 1]), loss, bias=bias), rtol=1e-6)
    print(sorted(set(sys.modules) - before))

test()
"""


def test_the_first_example_imports_nothing():
    """Imports at first use would break the deadline of an example, and the example would pass when repeated."""
    done = subprocess.run([sys.executable, "-c", FIRST], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
