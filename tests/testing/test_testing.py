"""The strategies draw what they promise; the assertions pass what is right and name what is wrong."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from effort import examples
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

import ufm
from ufm.deq import DEQ, SpectralBound
from ufm.geometry import simplex_etf
from ufm.problem import Problem
from ufm.testing import (
    ARCHITECTURES,
    EquilibriumMap,
    architectures,
    assert_collapsed,
    assert_etf,
    assert_feasible,
    assert_fixed_point,
    assert_optimal,
    assert_same_optimum,
    assert_self_dual,
    assert_well_posed,
    equilibrium_maps,
    etfs,
    far_from_collapse,
    log_uniform,
    near_collapse,
    priors,
    problems,
    step_priors,
)

SETTINGS = settings(max_examples=examples(60), deadline=None, derandomize=True)
FIND = settings(
    max_examples=2000,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # any example does: none has to be the smallest
)


def exists(strategy, condition):
    """Whether the strategy draws an example with the property."""
    return find(strategy, condition, settings=FIND)


class TestStrategies:
    @SETTINGS
    @given(log_uniform(1e-3, 1e5))
    def test_log_uniform(self, x):
        assert 1e-3 <= x <= 1e5

    def test_log_uniform_reaches_every_order(self):
        for low in (1e-3, 1.0, 1e4):
            exists(log_uniform(1e-3, 1e5), lambda x, low=low: low < x < 10 * low)
        assert exists(log_uniform(1e-3, 1e5), lambda x: True) == 1

    @pytest.mark.parametrize(
        ("bounds", "message"),
        [
            ((0.0, 1.0), "low and high must satisfy"),
            ((2.0, 1.0), "low and high must satisfy"),
            ((1.0, math.inf), "high must be finite, got inf"),
            ((math.nan, 1.0), "low must be finite, got nan"),
        ],
    )
    def test_log_uniform_bounds(self, bounds, message):
        with pytest.raises(ValueError, match=message):
            log_uniform(*bounds)

    @SETTINGS
    @given(priors(min_classes=3, max_classes=5, max_groups=2, max_ratio=10.0))
    def test_priors(self, prior):
        assert 3 <= prior.num_classes <= 5
        assert len(prior.groups) <= 2
        assert prior.ratio <= 10 * (1 + 1e-12)

    def test_priors_are_diverse(self):
        exists(priors(), lambda p: p.is_balanced)
        exists(priors(), lambda p: len(p.groups) == 3)
        exists(priors(), lambda p: p.counts[0] < p.counts[-1])
        exists(priors(min_classes=4, max_classes=4, max_groups=4), lambda p: len(p.groups) == 4)

    @SETTINGS
    @given(step_priors(max_majority=3, max_minority=4, min_minority=2, max_ratio=50.0))
    def test_step_priors(self, prior):
        assert len(prior.groups) <= 2
        assert 3 <= prior.num_classes <= 7
        assert 1 <= prior.ratio <= 50

    def test_step_priors_have_corners(self):
        exists(step_priors(), lambda p: p.is_balanced)
        exists(step_priors(), lambda p: not p.is_balanced and p.ratio < 1 + 1e-4)
        exists(step_priors(), lambda p: len(p.groups) == 2 and p.groups[1].size == 1)

    @pytest.mark.parametrize("family", ARCHITECTURES)
    def test_architectures_of_every_family(self, family):
        found = exists(architectures(families=[family]), lambda a: True)
        assert type(found).__name__ == family
        assert exists(architectures(), lambda a: type(a).__name__ == family)

    @pytest.mark.parametrize("families", [[], ["Transformer"]])
    def test_unknown_families(self, families):
        with pytest.raises(ValueError, match="families must be among LayerPeeled"):
            exists(architectures(families=families), lambda a: True)

    @SETTINGS
    @given(problems(max_classes=4))
    def test_problems_are_well_scaled(self, problem):
        s = ufm.solve(problem.architecture, problem.prior, problem.loss)
        assert_optimal(s)
        assert s.value > 1e-12

    def test_problems_cover_phases_and_losses(self):
        def phase(p):
            return ufm.solve(p.architecture, p.prior, p.loss).geometry.phase

        for name in ("none", "partial", "total"):
            exists(problems(losses=["ce"]), lambda p, name=name: phase(p) == name)
        exists(problems(), lambda p: p.loss.name == "mse")

    @SETTINGS
    @given(etfs())
    def test_etfs(self, frame):
        assert_etf(frame)
        assert np.linalg.norm(frame.sum(axis=1)) <= 1e-10 * np.linalg.norm(frame)

    def test_etfs_are_rotated(self):
        exists(etfs(), lambda m: m.shape[0] == m.shape[1] == 4 and np.abs(m - m.T).max() > 1e-3 * np.abs(m).max())
        exists(etfs(), lambda m: m.shape[0] == m.shape[1] - 1)

    @SETTINGS
    @given(near_collapse())
    def test_near_collapse(self, data):
        m = ufm.measure(data.features, data.labels, classifier=data.classifier)
        assert set(data.labels) == set(range(data.means.shape[1]))
        assert m.nc1 <= 100 * data.noise**2 + 1e-20
        assert m.nc4 == 1
        assert m.etf_error <= 20 * data.noise + 1e-7
        assert_collapsed(data.features, data.labels, tol=20 * data.noise + 1e-9)

    @SETTINGS
    @given(far_from_collapse())
    def test_far_from_collapse(self, data):
        with pytest.raises(AssertionError, match="features have not collapsed"):
            assert_collapsed(data.features, data.labels, tol=1e-2)

    @SETTINGS
    @given(equilibrium_maps())
    def test_equilibrium_maps(self, f):
        assert_well_posed(f.matrix, f.rho)
        assert_fixed_point(f, f.equilibrium, tol=1e-12)

    @SETTINGS
    @given(equilibrium_maps(max_rho=1 - 1e-9))
    def test_equilibrium_maps_near_the_bound(self, f):
        """Where iterating would take 10^10 steps."""
        assert_fixed_point(f, f.equilibrium, tol=1e-12)

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            (
                {"activations": ("ReLU",)},
                ValueError,
                r"activations\[0\] must be one of 'identity', 'relu', 'tanh', got 'ReLU'",
            ),
            ({"activations": ("tanh", "gelu")}, ValueError, r"activations\[1\] must be one of .*, got 'gelu'"),
            ({"activations": ("TANH",)}, ValueError, r"activations\[0\] must be one of"),
            ({"activations": (None,)}, TypeError, r"activations\[0\] must be one of .*, got None"),
            ({"activations": "relu"}, TypeError, "activations must be a sequence of names, got 'relu'"),
            ({"activations": ()}, ValueError, "activations must hold at least one of 'identity', 'relu', 'tanh'"),
            ({"max_rho": 1.5}, ValueError, r"max_rho must lie in \[0, 1\), got 1.5"),
            ({"max_rho": 1.0}, ValueError, r"max_rho must lie in \[0, 1\), got 1.0"),
            ({"max_rho": -0.1}, ValueError, "max_rho must lie in"),
            ({"max_rho": math.nan}, ValueError, "max_rho must be finite"),
            ({"max_dim": 0}, ValueError, "max_dim must be an integer >= 1"),
            ({"max_samples": 0.5}, ValueError, "max_samples must be an integer >= 1"),
        ],
    )
    def test_bad_equilibrium_maps(self, arguments, error, message):
        with pytest.raises(error, match=message):
            equilibrium_maps(**arguments)

    @pytest.mark.parametrize(
        ("changes", "error", "message"),
        [
            ({"activation": "ReLU"}, ValueError, "activation must be one of 'identity', 'relu', 'tanh', got 'ReLU'"),
            ({"rho": 1.0}, ValueError, r"rho must lie in \[0, 1\)"),
            ({"rho": 0.4}, ValueError, r"matrix must have \|A\|_2 <= rho = 0.4, got 0.5"),
            ({"matrix": np.array([[math.nan]])}, ValueError, "matrix must be finite"),
            ({"injection": np.zeros((2, 3))}, ValueError, r"must fit together, got \(1, 1\) and \(2, 3\)"),
            ({"matrix": np.zeros((1, 2))}, ValueError, "must fit together"),
        ],
    )
    def test_bad_equilibrium_map(self, changes, error, message):
        good = {"matrix": np.array([[0.5]]), "injection": np.array([[1.0]]), "activation": "relu", "rho": 0.5}
        assert EquilibriumMap(**good).equilibrium == pytest.approx(2)
        with pytest.raises(error, match=message):
            EquilibriumMap(**{**good, **changes})

    def test_equilibrium_maps_are_diverse(self):
        exists(equilibrium_maps(), lambda f: not f.matrix.any())
        exists(equilibrium_maps(), lambda f: f.rho > 0.5 and np.abs(f.matrix - f.matrix.T).max() > 0.1)
        exists(equilibrium_maps(), lambda f: f.activation == "relu" and len(f.injection) > 1)
        exists(equilibrium_maps(), lambda f: f.rho > 0.5 and abs(np.linalg.eigvals(f.matrix)).max() < 1e-3)


class TestOnThePackage:
    """Other parts of the package, tested with what is offered here."""

    @settings(max_examples=examples(40), deadline=None, derandomize=True)
    @given(equilibrium_maps(max_rho=0.8), st.sampled_from(["anderson", "broyden", "fixed_point"]))
    def test_the_deq_layer_finds_the_equilibrium(self, f, solver):
        a, h = torch.from_numpy(f.matrix), torch.from_numpy(f.injection)
        act = {"identity": lambda y: y, "relu": torch.relu, "tanh": torch.tanh}[f.activation]
        with torch.no_grad():
            z, _ = DEQ(solver, tol=1e-10, max_steps=500)(lambda z: act(z @ a.T + h), torch.zeros_like(h))
        assert_fixed_point(f, z.numpy(), tol=1e-9)
        assert z.numpy() == pytest.approx(f.equilibrium, abs=1e-7 * (1 + np.abs(f.equilibrium).max()))

    @SETTINGS
    @given(st.integers(1, 5), st.floats(0, 0.99), st.integers(0, 1000), st.sampled_from(["cayley", "normalised"]))
    def test_bounded_matrices_are_well_posed(self, dim, rho, seed, parametrisation):
        bound = SpectralBound(dim, rho, parametrisation=parametrisation)
        with torch.no_grad():
            bound.weight.copy_(torch.randn(dim, dim, generator=torch.Generator().manual_seed(seed)) * 10)
            assert_well_posed(bound().numpy(), rho)

    @settings(max_examples=examples(25), deadline=None, derandomize=True)
    @given(problems(max_classes=5))
    def test_two_methods_agree(self, problem):
        arguments = problem.architecture, problem.prior, problem.loss
        reduced, nuclear = (ufm.solve(*arguments, method=method) for method in ("reduced", "nuclear"))
        assert_optimal(nuclear)
        assert_same_optimum(nuclear, reduced)


def solution(ratio=3.0, e_h=2.0, **changes):
    s = ufm.solve(ufm.LinearDEQ(1.0, e_h, 0.3), ufm.ClassPrior.step(2, 2, ratio))
    return dataclasses.replace(s, **changes)


class TestAssertions:
    """Each with something right, and with something wrong that it must describe."""

    def test_etf(self):
        m = simplex_etf(4, seed=0)
        assert_etf(7 * m)
        m[:, 2] *= 1.01
        with pytest.raises(AssertionError, match=r"column 2 has length 1\.01, 0\.0075 off the mean"):
            assert_etf(m)
        with pytest.raises(AssertionError, match=r"columns 0 and 1 have cosine 0, not -1/\(K-1\) = -0\.333333"):
            assert_etf(np.eye(4))
        with pytest.raises(AssertionError, match="column 1 is zero"):
            assert_etf(np.array([[1.0, 0.0], [0.0, 0.0]]))
        with pytest.raises(AssertionError, match="matrix is not finite: 1 entries"):
            assert_etf(np.array([[1.0, np.nan], [0.0, 1.0]]))
        with pytest.raises(ValueError, match="matrix must be a matrix"):
            assert_etf(np.ones(3))

    def test_self_dual(self):
        m = simplex_etf(3, seed=1)
        assert_self_dual(5 * m.T, m)
        w = m.T.copy()
        w[1] = -w[1]
        with pytest.raises(AssertionError, match=r"class 1 is farthest, with 1\.15; .* cosine -1"):
            assert_self_dual(w, m)

    def test_collapsed(self):
        x, y = np.repeat(np.eye(3), 4, axis=0), np.repeat([5, 6, 9], 4)
        assert_collapsed(x, y)
        x[7, 2] += 0.1
        with pytest.raises(AssertionError, match=r"sample 7 \(class 6\) is 0\.09.* from its class mean"):
            assert_collapsed(x, y)
        assert_collapsed(x, y, tol=0.2)
        assert_collapsed(np.ones((4, 2)), [0, 0, 1, 1])
        with pytest.raises(ValueError, match=r"labels must have shape \(12,\)"):
            assert_collapsed(x, y[:5])

    def test_optimal(self):
        assert_optimal(solution())

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda s: {"value": s.value * 1.001, "upper": s.value * 1.001}, "the logits' objective is"),
            (lambda s: {"_logits": 0.9 * s.logits}, "the logits' objective is"),
            (lambda s: {"_logits": 1.1 * s.logits}, "the gauge .* exceeds the radius"),
            (lambda s: {"_logits": s.logits * np.nan}, "the logits are not finite"),
            (lambda s: {"is_global": None}, "is_global is None"),
            (lambda s: {"lower": 2 * s.value}, "is outside"),
            (lambda s: {"upper": 0.5 * s.value}, "is outside"),
        ],
    )
    def test_not_optimal(self, change, message):
        s = solution()
        with pytest.raises(AssertionError, match=message) as caught:
            assert_optimal(dataclasses.replace(s, **change(s)))
        assert "LinearDEQ(E_W=1.0, E_H=2.0, rho=0.3)" in str(caught.value)

    def test_feasible_but_not_optimal(self):
        # the optimum for other counts: feasible here, with an honest value, but with a gap
        s, other = solution(), solution(ratio=8.0)
        value = s.problem.risk(other.logits)
        wrong = dataclasses.replace(s, value=value, upper=value, _logits=other.logits)
        assert_feasible(wrong)
        with pytest.raises(AssertionError, match="the duality gap at the logits is"):
            assert_optimal(wrong)

    @pytest.mark.parametrize(
        ("name", "factor", "message"),
        [
            (
                "classifier",
                1.001,
                r"product is .* from the logits(.|\n)*\|W\|\^2 = .* exceeds its budget 4",
            ),
            ("features", 1.001, r"\|H\|\^2 = .* exceeds its budget 8"),
            ("equilibrium", 1.01, r"\|A\|_2 = 0\.303 exceeds rho = 0\.3"),
        ],
    )
    def test_infeasible(self, name, factor, message):
        s = solution()
        factors = dataclasses.replace(s.factors, **{name: factor * getattr(s.factors, name)})
        with pytest.raises(AssertionError, match=message):
            assert_feasible(dataclasses.replace(s, _factors=factors))

    def test_infeasible_in_kind(self):
        s = solution()
        lacking = dataclasses.replace(s.factors, equilibrium=None)
        with pytest.raises(AssertionError, match="a DEQ lacks its matrix A"):
            assert_feasible(dataclasses.replace(s, _factors=lacking))
        explicit = ufm.solve(ufm.LayerPeeled(1.0, 2.0), ufm.ClassPrior.balanced(3))
        extra = dataclasses.replace(explicit.factors, equilibrium=np.zeros((3, 3)))
        with pytest.raises(AssertionError, match="an explicit network has an equilibrium matrix"):
            assert_feasible(dataclasses.replace(explicit, _factors=extra))

    def test_weight_decay_of_the_wrong_split(self):
        s = ufm.solve(ufm.UnconstrainedFeatures(0.01, 0.02), ufm.ClassPrior([3, 2, 2]))
        assert_feasible(s)
        f = s.factors
        unbalanced = dataclasses.replace(f, classifier=1.1 * f.classifier, features=f.features / 1.1)
        with pytest.raises(AssertionError, match=r"the factors cost .* but the value says"):
            assert_feasible(dataclasses.replace(s, _factors=unbalanced))

    def test_same_optimum(self):
        s = solution()
        assert_same_optimum(s, s)
        other = dataclasses.replace(s, method="mine", value=s.value * (1 + 1e-6), upper=s.value * (1 + 1e-6))
        with pytest.raises(AssertionError, match=r"mine gives .*, reduced .*: \+1e-06"):
            assert_same_optimum(other, s)
        with pytest.raises(AssertionError, match=r"mine's value .* is outside reduced's"):
            assert_same_optimum(other, s)
        with pytest.raises(ValueError, match="solutions must be of one problem"):
            assert_same_optimum(s, solution(ratio=4.0))

    def test_well_posed(self):
        assert_well_posed(0.5 * np.eye(3), 0.5)
        with pytest.raises(AssertionError, match=r"\|A\|_2 = 0\.5 exceeds rho = 0\.4"):
            assert_well_posed(0.5 * np.eye(3), 0.4)
        with pytest.raises(AssertionError, match="spectral radius is 0: iterating still converges"):
            assert_well_posed([[0.0, 2.0], [0.0, 0.0]], 0.9)
        with pytest.raises(AssertionError, match=r"rho = 1\.5 is not in \[0, 1\)(.|\n)*iterating diverges"):
            assert_well_posed(1.2 * np.eye(2), 1.5)
        with pytest.raises(ValueError, match="matrix must be square"):
            assert_well_posed(np.ones((2, 3)), 0.5)

    def test_fixed_point(self):
        z = np.array([[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]])
        assert_fixed_point(lambda y: y, z)
        with pytest.raises(AssertionError, match=r"sample 1 has a relative residual of 0\.0099 (.|\n)*1 of 3 samples"):
            assert_fixed_point(lambda y: y + np.array([[0.0, 0.0], [0.03, 0.04], [0.0, 0.0]]), z)
        with pytest.raises(ValueError, match="f must keep the shape of z"):
            assert_fixed_point(lambda y: y[:2], z)


def test_not_imported_by_the_package():
    code = "import ufm, sys; assert not {'hypothesis', 'ufm.testing'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_message_where_hypothesis_is_missing():
    code = "import sys; sys.modules['hypothesis'] = None; import ufm.testing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "MissingExtraError: this needs hypothesis: pip install 'ufm[testing]'" in done.stderr


def test_mutant_solver_is_caught():
    """A solver for a slightly larger ball passes its own checks, not these."""

    def wrong(problem):
        a = problem.architecture
        s = ufm.solve(ufm.LayerPeeled(a.E_W, a.E_H * 1.0001), problem.prior, problem.loss)
        return dataclasses.replace(s, problem=problem, _logits=s.logits)

    right = Problem.of(ufm.LayerPeeled(1.0, 2.0), ufm.ClassPrior([3, 1, 1]))
    with pytest.raises(AssertionError, match="exceeds the radius"):
        assert_optimal(wrong(right))
