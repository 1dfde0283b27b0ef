"""Trainings on real images against the prediction, the objective and its coordinates, and mistakes they must show."""

from __future__ import annotations

import dataclasses
import json
import math
import re

import numpy as np
import pytest
import torch
from deq_samples import TINY, write_fashion
from typer.testing import CliRunner

import ufm
from ufm.architectures import PenalisedDEQ, UnconstrainedFeatures
from ufm.cli import app
from ufm.data import digit_counts
from ufm.deq import DatasetNotFoundError, ExplicitNetwork, LinearDEQNetwork, TrainingConfig, digits, predict, train
from ufm.trainings.errors import TrainingError
from ufm.trainings.optimisation import Coordinates, descend
from ufm.trainings.prediction import minority_gain, minority_threshold, model_of
from ufm.trainings.sweep import judge
from ufm.trainings.training import fit, objective

#: Small trainings: K = 6, n_A = 30, and an explicit threshold at n_B = 6 of N = 108.
LAMBDA = math.sqrt(6) / 108


def small(architecture: str = "deq", minority_count: int = 4, **fields) -> TrainingConfig:
    settings = {"majority_count": 30, "num_majority": 3, "num_minority": 3, "lambda_W": LAMBDA, "lambda_H": LAMBDA}
    return TrainingConfig(
        **{**settings, "architecture": architecture, "minority_count": minority_count, "device": "cpu", **fields}
    )


def tight(rho: float, **fields) -> TrainingConfig:
    """K = 10, N = 60, and weight decay at which codes of lower rank are local minima where the gain is 10."""
    decay = 4.1 / 60
    settings = {"majority_count": 10, "minority_count": 2, "lambda_W": decay, "lambda_H": decay, "dim": 9}
    return TrainingConfig(**settings, rho=rho, solver="anderson", device="cpu", **fields)


def status(result, prediction=None) -> str:
    prediction = prediction or result.prediction
    return judge(
        minority_count=result.config.minority_count,
        threshold=prediction.threshold,
        predicted_scale=prediction.scale,
        predicted_phase=prediction.phase,
        predicted_objective=prediction.objective,
        scale=result.scale,
        phase=result.measures.phase,
        objective=result.fit.objective,
        converged=result.fit.converged,
    )


@pytest.fixture(scope="module")
def trained_deq():
    return train(small())


# Data ---------------------------------------------------------------------------------------------------------------


class TestDigits:
    def test_counts_and_labels(self):
        data = digits([20, 10, 3], seed=1)
        assert np.bincount(data.labels).tolist() == [20, 10, 3]
        assert data.inputs.shape == (33, 64)
        assert data.num_samples == 33
        assert data.num_classes == 3
        assert len(set(data.indices.tolist())) == 33

    def test_whitened(self):
        x = digits([170] * 10).inputs
        np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-12)
        assert (x**2).sum(axis=1).mean() == pytest.approx(64)
        variances = np.linalg.eigvalsh(x.T @ x / len(x))
        assert variances[-1] / np.median(variances) < 1.5

    def test_a_larger_draw_contains_the_smaller_and_seeds_differ(self):
        few, more = digits([30, 5], seed=3), digits([30, 9], seed=3)
        assert set(few.indices) < set(more.indices)
        assert set(digits([30, 5], seed=4).indices) != set(few.indices)
        np.testing.assert_array_equal(digits([30, 5], seed=3).inputs, few.inputs)

    @pytest.mark.parametrize(
        ("counts", "error", "message"),
        [
            ([10, 0], ValueError, r"counts\[1\] must be an integer between 1 and 182, got 0"),
            ([10, 183], ValueError, r"counts\[1\] .*digits has 182 images of 1"),
            ([10, 2.5], ValueError, r"counts\[1\] must be an integer"),
            ([10], ValueError, "counts must hold 2 to 10 classes, got 1"),
            ([1] * 11, ValueError, "counts must hold 2 to 10 classes, got 11"),
            ("many", TypeError, "counts must be a sequence"),
            (12, TypeError, "counts must be a sequence"),
        ],
    )
    def test_bad_counts(self, counts, error, message):
        with pytest.raises(error, match=message):
            digits(counts)

    def test_bad_seed(self):
        with pytest.raises(ValueError, match="seed must be an integer >= 0"):
            digits([3, 3], seed=-1)


# Objective and optimiser --------------------------------------------------------------------------------------------


def networks():
    from ufm.deq import DEQ

    sizes = {"dim": 5, "width": 12, "seed": 2}
    yield ExplicitNetwork(64, 3, **sizes)
    yield LinearDEQNetwork(64, 3, rho=0.5, start="zero", deq=DEQ(tol=1e-13, on_failure="raise"), **sizes)


class TestObjective:
    @pytest.mark.parametrize("network", list(networks()), ids=["explicit", "deq"])
    def test_is_the_modelled_one(self, network):
        """Against a direct evaluation in NumPy, sample by sample, A = 0.3 R with R orthogonal."""
        data = digits([6, 4, 2])
        if isinstance(network, LinearDEQNetwork):
            with torch.no_grad():
                network.equilibrium.weight.copy_(torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64))[0] / 3)
        inputs, labels = torch.from_numpy(data.inputs), torch.from_numpy(data.labels)
        found = objective(network(inputs), labels, network.classifier.weight, 0.3, 0.02)
        h = network.encoder(inputs).detach().numpy()
        w = network.classifier.weight.detach().numpy()
        a = network.equilibrium().detach().numpy() if isinstance(network, LinearDEQNetwork) else np.zeros((5, 5))
        total = 0.0
        for h_i, y in zip(h, data.labels, strict=True):
            logits = w @ np.linalg.solve(np.eye(5) - a, h_i)
            total += (np.log(np.exp(logits).sum()) - logits[y]) / len(h)
            total += 0.02 / 2 * h_i @ h_i
        assert found.item() == pytest.approx(total + 0.3 / 2 * (w**2).sum(), rel=1e-12)

    @pytest.mark.parametrize("network", list(networks()), ids=["explicit", "deq"])
    def test_coordinates(self, network):
        data = digits([6, 4, 2])
        inputs, labels = torch.from_numpy(data.inputs), torch.from_numpy(data.labels)
        if isinstance(network, LinearDEQNetwork):
            with torch.no_grad():
                network.equilibrium.weight.copy_(0.2 * torch.randn(5, 5, dtype=torch.float64))
        coordinates = Coordinates(network, inputs)
        x = coordinates.read()
        before = [p.detach().clone() for p in network.parameters()]
        coordinates.assign(x)
        for p, q in zip(before, network.parameters(), strict=True):
            torch.testing.assert_close(p, q.detach(), rtol=1e-9, atol=1e-11)

        def value(vector):
            coordinates.assign(vector)
            return objective(network(inputs), labels, network.classifier.weight, 0.3, 0.02)

        gradient = coordinates.gradient(value(x))
        direction = torch.from_numpy(np.random.default_rng(0).standard_normal(len(x)))
        step = 1e-6
        difference = (value(x + step * direction) - value(x - step * direction)).item() / (2 * step)
        # the difference itself is rounded to about 1e-16 / step
        assert (gradient @ direction).item() == pytest.approx(difference, rel=1e-6, abs=1e-9)
        # and exactly, for the weights are linear in the coordinates
        slopes = torch.autograd.grad(value(x), list(network.parameters()), allow_unused=True)
        coordinates.assign(x + direction)
        moved = [p.detach() - q for p, q in zip(network.parameters(), before, strict=True)]
        exact = sum((g * m).sum().item() for g, m in zip(slopes, moved, strict=True) if g is not None)
        rounding = 1e-12 * float(gradient.norm() * direction.norm())
        assert (gradient @ direction).item() == pytest.approx(exact, rel=1e-10, abs=rounding)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
    def test_lbfgs_in_torch_ends_where_scipys_does(self, dtype):
        data = digits([6, 4, 2])
        inputs, labels = torch.from_numpy(data.inputs).to(dtype), torch.from_numpy(data.labels)
        ends = {}
        for optimiser in ("scipy", "torch"):
            network = ExplicitNetwork(inputs[0].numel(), 3, dim=4, width=16, dtype=dtype)
            seen = []
            ends[optimiser] = descend(
                network,
                inputs,
                lambda network=network: objective(network(inputs), labels, network.classifier.weight, 0.05, 0.02),
                max_iterations=300,
                gradient_tol=1e-6 if dtype is torch.float64 else 1e-4,
                progress=lambda what, done, _, seen=seen: seen.append((what, done)),
                optimiser=optimiser,
            )
            value = objective(network(inputs), labels, network.classifier.weight, 0.05, 0.02).item()
            assert value == pytest.approx(ends[optimiser].objective, rel=1e-6)  # the weights are left at the end
            assert ends[optimiser].converged, ends[optimiser]
            assert seen
            assert ends[optimiser].iterations == seen[-1][1]
        assert ends["torch"].objective == pytest.approx(ends["scipy"].objective, rel=1e-5)

    def test_lbfgs_in_torch_ends_with_its_iterations(self):
        inputs = torch.eye(4, dtype=torch.float64)
        network = ExplicitNetwork(4, 2, dim=2, width=8)
        found = descend(
            network, inputs, lambda: (network(inputs).logits - 1).square().sum(), max_iterations=3, optimiser="torch"
        )
        assert (found.converged, found.iterations, found.message) == (False, 3, "the iterations are used up")
        with pytest.raises(ValueError, match="optimiser must be one of 'auto', 'scipy', 'torch', got 'adam'"):
            descend(network, inputs, lambda: inputs.sum(), optimiser="adam")

    def test_same_seed_same_encoder(self):
        explicit, deq = networks()
        for p, q in zip(explicit.encoder.parameters(), deq.encoder.parameters(), strict=True):
            assert torch.equal(p, q)


# Prediction against measurement -------------------------------------------------------------------------------------


class TestPrediction:
    def test_numbers_of_the_default_setting(self):
        # Dual closed form of the two-group problem, evaluated apart from the solvers.
        known = {("explicit", 22): 0.2394, ("explicit", 26): 0.5595, ("explicit", 40): 1.0780}
        known |= {("deq", 6): 1.0512, ("deq", 10): 1.6871, ("deq", 16): 2.1033, ("explicit", 14): 0, ("deq", 3): 0}
        for (architecture, n_b), scale in known.items():
            prediction = predict(TrainingConfig(architecture=architecture, minority_count=n_b))
            assert prediction.scale == pytest.approx(scale, abs=6e-5)

    def test_thresholds(self):
        explicit = TrainingConfig(architecture="explicit")
        assert minority_threshold(model_of(explicit), explicit) == pytest.approx(20, rel=1e-12)
        deq = TrainingConfig(architecture="deq")
        n = minority_threshold(model_of(deq), deq)
        # n = ((1-rho) lambda)^2 (500 + 5 n)^2
        assert n == pytest.approx((0.5 * deq.lambda_W) ** 2 * (500 + 5 * n) ** 2, rel=1e-12)
        assert n == pytest.approx(3.7366, abs=1e-4)

    def test_models(self):
        assert model_of(small("explicit", lambda_W=0.1)) == UnconstrainedFeatures(0.1, LAMBDA)
        assert model_of(small("deq", rho=0.3)) == PenalisedDEQ(LAMBDA, LAMBDA, 0.3)

    @pytest.mark.parametrize("amplification", [0.2, 0.4])
    def test_local_threshold_of_a_collapsed_state(self, amplification):
        """Second difference of the objective along the critical perturbation changes sign at the local threshold."""
        config = TrainingConfig(architecture="explicit", minority_count=8)
        k, d, lam = 10, 14, config.lambda_W
        factors = ufm.solve(model_of(config), ufm.ClassPrior(config.counts), "ce", dim=d).factors
        unused = np.linalg.svd(factors.classifier)[2][5:]  # the optimum has rank K_A
        a = amplification * unused.T @ unused
        gain = minority_gain(a, factors.classifier, factors.features)
        assert gain == pytest.approx(1 / (1 - amplification), rel=1e-9)
        scaled = UnconstrainedFeatures(lam / gain, lam / gain)
        local = minority_threshold(scaled, config)

        def curvature(n_b: float) -> float:
            prior = ufm.ClassPrior([100.0] * 5 + [n_b] * 5)
            model = UnconstrainedFeatures(lam, lam)
            optimum = ufm.solve(model, prior, "ce", dim=d).factors
            basis = np.linalg.svd(optimum.classifier)[2][5:]
            resolvent = np.linalg.inv(np.eye(d) - amplification * basis.T @ basis)
            w_b = np.zeros(k)
            w_b[5:] = [1, -1, 0, 0, 0]

            def value(t: float) -> float:
                w = optimum.classifier + t * n_b**0.25 * np.outer(w_b, basis[0])
                h = optimum.features + t * n_b**-0.25 * np.outer(basis[0], w_b)
                logits = w @ resolvent @ h
                risk = ufm.problem.Problem.of(model, prior).risk(logits)
                return risk + lam / 2 * (w**2).sum() + lam / 2 * float(prior.counts @ (h**2).sum(axis=0))

            step = 1e-2
            return (value(step) + value(-step) - 2 * value(0)) / step**2

        assert curvature(0.97 * local) > 0 > curvature(1.03 * local)

    def test_gain_without_unused_directions(self):
        assert minority_gain(np.zeros((2, 2)), np.eye(2), np.eye(2)) == 0.0


class TestTrained:
    def test_deq_is_at_the_predicted_optimum(self, trained_deq):
        r = trained_deq
        geometry = r.prediction.solution.geometry
        assert r.fit.converged
        assert r.prediction.phase == r.measures.phase == "none"
        assert r.scale == pytest.approx(r.prediction.scale, rel=1e-3)
        assert r.fit.objective == pytest.approx(r.prediction.objective, rel=1e-8)
        assert r.measures.minority_cosine == pytest.approx(geometry.minority_cosine, abs=1e-3)
        assert r.measures.etf_error == pytest.approx(geometry.etf_error, abs=1e-3)
        assert r.measures.self_duality_error == pytest.approx(geometry.self_duality_error, abs=1e-3)
        assert r.measures.nc1 < 1e-6
        assert r.rank == geometry.rank == 5
        assert r.spectral_norm == pytest.approx(0.5, abs=1e-6)
        assert r.spectral_norm <= 0.5 * (1 + 1e-13)
        assert 0 < r.residual <= r.config.tol
        assert status(r) == "agrees"

    def test_fixed_point_by_iteration_is_the_solution(self, trained_deq):
        network = trained_deq.network
        data = digits(trained_deq.config.counts)
        with torch.no_grad():
            output = network(torch.from_numpy(data.inputs))
            exact = torch.linalg.solve(torch.eye(16, dtype=torch.float64) - network.equilibrium(), output.injected.T).T
        assert output.info is not None
        assert int(output.info.steps.min()) > 3
        torch.testing.assert_close(output.features, exact, rtol=1e-9, atol=1e-10)

    def test_explicit_on_both_sides_of_its_threshold(self):
        above, below = train(small("explicit", 9)), train(small("explicit", 4))
        assert above.prediction.threshold == pytest.approx(6)
        assert above.scale == pytest.approx(above.prediction.scale, rel=1e-3)
        assert above.prediction.scale > 0.2
        assert below.prediction.phase == below.measures.phase == "partial"
        assert below.measures.minority_cosine == pytest.approx(1, abs=1e-6)
        assert (status(above), status(below)) == ("agrees", "agrees")
        assert above.spectral_norm is above.residual is above.steps is above.local_threshold is None

    def test_deq_started_at_zero_is_trapped_below_its_local_threshold(self, trained_deq):
        r = train(small(start="zero"))
        assert r.fit.converged
        assert r.measures.phase == "partial"
        assert r.local_threshold is not None
        assert r.config.minority_count < r.local_threshold <= 6 * (1 + 1e-9)
        assert r.fit.objective > r.prediction.objective * 1.001
        assert r.rank == 3 < r.prediction.solution.geometry.rank
        assert r.spectral_norm == pytest.approx(0.5, abs=1e-3)  # the majority's directions of A did grow
        assert status(r) == "trapped"
        assert r.prediction.objective == trained_deq.prediction.objective

    def test_same_seed_same_result(self, trained_deq):
        again = train(small())
        np.testing.assert_array_equal(again.features, trained_deq.features)
        assert again.fit.objective == trained_deq.fit.objective
        other = train(small(seed=1))
        assert not np.array_equal(other.features, trained_deq.features)
        assert other.scale == pytest.approx(
            trained_deq.scale, rel=1e-4
        )  # what the theory predicts does not depend on it

    def test_threads_are_left_as_they_were(self, trained_deq):
        before = torch.get_num_threads()
        train(small("explicit", 4, max_iterations=1))
        assert torch.get_num_threads() == before

    def test_anderson_gives_the_same(self, trained_deq):
        r = train(small(solver="anderson"))
        assert r.scale == pytest.approx(trained_deq.scale, rel=1e-5)
        assert r.steps < trained_deq.steps

    def test_json_and_file(self, trained_deq, tmp_path):
        text = json.dumps(trained_deq.to_dict(), allow_nan=False)
        config = TrainingConfig.from_dict(json.loads(text)["config"])
        assert config == trained_deq.config
        path = tmp_path / "network.npz"
        trained_deq.save(path)
        assert [p.name for p in tmp_path.iterdir()] == ["network.npz"]
        with np.load(path, allow_pickle=False) as saved:
            m = ufm.measure(saved["features"], saved["labels"], classifier=saved["classifier"])
            assert m.group_scales == trained_deq.measures.group_scales
            weights = {
                k.removeprefix("weights/"): torch.from_numpy(saved[k]) for k in saved if k.startswith("weights/")
            }
        network = LinearDEQNetwork(64, 6, dim=16, width=config.hidden_units, rho=0.5, deq=trained_deq.network.deq)
        network.load_state_dict(weights)
        with torch.no_grad():
            features = network(torch.from_numpy(digits(config.counts).inputs)).features
        np.testing.assert_allclose(features.numpy(), trained_deq.features, atol=1e-12)

    def test_predicted_beside_measured(self, trained_deq):
        """Errors of the objective's prediction, against the definitions."""
        r, found = trained_deq, trained_deq.to_dict()["from_objective"]
        assert trained_deq.to_dict()["is_modelled"] is True
        theory = ufm.solve(model_of(r.config), ufm.ClassPrior(r.config.counts), "ce").factors
        means = np.stack([r.features[r.labels == k].mean(axis=0) for k in range(6)], axis=1)
        w = r.network.classifier.weight.detach().numpy()
        centre = np.eye(6) - 1 / 6
        measured = {"features": centre @ means.T @ means @ centre, "classifier": w @ w.T}
        z = theory.equilibrium_features @ centre
        predicted = {"features": z.T @ z, "classifier": theory.classifier @ theory.classifier.T}
        for name in predicted:
            np.testing.assert_allclose(r.gram[name], measured[name], atol=1e-10)
            np.testing.assert_allclose(r.prediction.gram[name], predicted[name], atol=1e-6)
            error = np.linalg.norm(measured[name] - predicted[name]) / np.linalg.norm(predicted[name])
            assert found[f"gram_{name}"] == pytest.approx(error, rel=1e-2)
            assert 0 < error < 1e-3
        geometry = r.prediction.solution.geometry
        for name in ("minority_cosine", "minority_feature_cosine", "etf_error", "self_duality_error"):
            p, m = getattr(geometry, name), getattr(r.measures, name)
            assert found[name] == pytest.approx(
                {"predicted": p, "measured": m, "error": m - p, "relative_error": m / p - 1}, abs=1e-9
            )
        assert found["scale"]["error"] == found["scale"]["relative_error"]
        assert found["scale"]["error"] == pytest.approx(r.scale / r.prediction.scale - 1, abs=1e-9)
        assert found["objective"]["relative_error"] == r.fit.objective / r.prediction.objective - 1
        assert (found["phase"], found["measured_phase"]) == (r.prediction.phase, r.measures.phase)
        assert found["threshold"] == r.prediction.threshold
        budgets = r.from_budgets()
        assert set(found) - {"objective"} <= set(budgets)
        assert budgets["threshold_error"] == budgets["threshold"] / r.prediction.threshold - 1
        assert budgets["lambda_W_error"] == budgets["lambda_W"] / LAMBDA - 1
        assert abs(budgets["lambda_H_error"]) < 1e-3

    def test_a_wrong_prediction_shows_in_its_errors(self, trained_deq):
        model = PenalisedDEQ(1.05 * LAMBDA, LAMBDA, 0.5)
        solution = ufm.solve(model, ufm.ClassPrior(trained_deq.config.counts), "ce")
        wrong = dataclasses.replace(
            trained_deq, prediction=dataclasses.replace(trained_deq.prediction, solution=solution)
        )
        found = wrong.from_objective()
        assert min(found["gram_features"], found["gram_classifier"], -found["objective"]["error"]) > 5e-3
        assert abs(found["scale"]["relative_error"]) > 5e-3

    def test_a_network_that_is_zero_is_reported(self):
        """Nothing to predict from budgets of 0, and no relative error of what is predicted to be 0."""
        r = train(small("explicit", lambda_W=0.5, lambda_H=0.5))
        assert r.prediction.phase == "total"
        zero = dataclasses.replace(r, budgets=dataclasses.replace(r.budgets, classifier=0.0))
        found = json.loads(json.dumps(zero.to_dict(), allow_nan=False))
        assert found["from_budgets"] == {"error": "budgets.classifier must be > 0 and finite, got 0.0"}
        assert found["from_objective"]["gram_features"] is None
        assert found["from_objective"]["scale"]["relative_error"] is None

    @pytest.mark.parametrize(("rho", "seed"), [(0.9, 0), (0.9, 1), (0.95, 0)])
    @pytest.mark.sample(1)
    def test_a_bound_near_1_is_reached_at_full_rank(self, rho, seed):
        """In the free parameter of A itself the optimiser ended at rank 5, 5% above the optimum."""
        r = train(tight(rho, seed=seed))
        assert r.fit.converged
        assert r.rank == r.prediction.solution.geometry.rank == 9
        assert abs(r.fit.objective / r.prediction.objective - 1) < 1e-7
        assert r.scale == pytest.approx(r.prediction.scale, rel=1e-4)
        assert r.status == r.to_dict()["status"] == "agrees"

    def test_the_default_number_of_steps_grows_with_the_bound(self):
        assert TrainingConfig().max_steps == TrainingConfig(rho=0.98).max_steps == 2000
        assert TrainingConfig(rho=0.0).max_steps == TrainingConfig(tol=2.0).max_steps == 2000
        for rho in (0.99, 0.995):
            steps = TrainingConfig(rho=rho).max_steps
            assert rho**steps < 1e-11 * (1 - rho)
            assert steps < 2 * math.log(1e-11) / math.log(rho)
        assert TrainingConfig(rho=0.999999).max_steps == 100_000
        assert TrainingConfig(rho=0.99, max_steps=7).max_steps == 7
        assert TrainingConfig.from_dict(TrainingConfig(rho=0.99).to_dict()) == TrainingConfig(rho=0.99)

    @pytest.mark.parametrize("architecture", ["explicit", "deq"])
    @pytest.mark.parametrize("n_b", [4, 30])
    @pytest.mark.parametrize("decay", [0.3, 3.0])
    def test_a_network_that_is_rightly_zero_agrees(self, architecture, n_b, decay):
        """Rank and phase of rounding errors are those of nothing."""
        r = train(small(architecture, n_b, lambda_W=decay, lambda_H=decay))
        assert r.prediction.phase == r.measures.phase == r.from_objective()["measured_phase"] == "total"
        assert (r.rank, r.prediction.solution.geometry.rank) == (0, 0)
        assert r.status == "agrees"
        if architecture == "deq":  # no direction is used, each has the gain 1/(1 - rho)
            assert r.local_threshold == r.prediction.threshold == 30

    def test_balanced_classes(self):
        r = train(small("explicit", 30))
        assert r.status == "agrees"
        assert r.prediction.solution.geometry.etf_error == pytest.approx(0, abs=1e-6)
        assert r.measures.etf_error < 1e-4

    def test_distance_from_the_threshold(self):
        prediction = predict(small("explicit", 9))
        assert prediction.distance == pytest.approx(0.5)
        collapsed = predict(small("explicit", 30, lambda_W=0.5, lambda_H=0.02))
        assert collapsed.threshold == 30
        assert collapsed.distance == pytest.approx(1 - 30 / (0.01 * 180**2))

    def test_progress(self):
        seen: list[float] = []
        train(small("explicit", max_iterations=5), progress=lambda text, done, total: seen.append(done))
        assert seen == [1, 2, 3, 4, 5]

    def test_unfinished_training_says_so(self):
        r = train(small("explicit", 9, max_iterations=3))
        assert not r.fit.converged
        assert status(r) == "disagrees"


class TestMistakesShow:
    """A wrong prediction, or a training on another objective, must not come out as agreement."""

    def predicted_by(self, trained, model):
        config = trained.config
        solution = ufm.solve(model, ufm.ClassPrior(config.counts), "ce")
        return dataclasses.replace(trained.prediction, solution=solution, threshold=minority_threshold(model, config))

    @pytest.mark.parametrize(
        "model",
        [
            PenalisedDEQ(LAMBDA, LAMBDA, 0.48),  # rho slightly off
            PenalisedDEQ(1.05 * LAMBDA, LAMBDA, 0.5),  # lambda_W 5% off
            UnconstrainedFeatures(LAMBDA, LAMBDA),  # the fixed point forgotten
            PenalisedDEQ(LAMBDA, LAMBDA, 0.5**0.5),  # 1 - rho where (1 - rho)^2 belongs, and the like
            PenalisedDEQ(LAMBDA / 84, LAMBDA, 0.5),  # features averaged over samples
        ],
        ids=["rho", "lambda", "explicit", "root", "mean"],
    )
    def test_wrong_prediction(self, trained_deq, model):
        assert status(trained_deq, self.predicted_by(trained_deq, model)) in ("disagrees", "trapped", "near-threshold")
        assert status(trained_deq, self.predicted_by(trained_deq, model_of(trained_deq.config))) == "agrees"

    def test_rho_for_one_minus_rho(self):
        r = train(small(rho=0.3, minority_count=9))
        assert status(r) == "agrees"
        assert status(r, self.predicted_by(r, PenalisedDEQ(LAMBDA, LAMBDA, 0.7))) in ("disagrees", "trapped")

    def test_wrong_objective(self):
        config = small("explicit", 9)
        data = digits(config.counts)
        network = ExplicitNetwork(64, 6, dim=16, width=config.hidden_units)
        inputs, labels = torch.from_numpy(data.inputs), torch.from_numpy(data.labels)
        fit(network, inputs, labels, lambda_W=LAMBDA, lambda_H=1.1 * LAMBDA)
        with torch.no_grad():
            features = network(inputs).features
        m = ufm.measure(features, labels, classifier=network.classifier.weight)
        assert m.group_scales is not None
        assert m.group_scales[-1] is not None
        assert abs(m.group_scales[-1] / predict(config).scale - 1) > 0.02


# Bad input ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"rho": 1.0}, ValueError, r"rho must lie in \[0, 1\), got 1.0"),
        ({"rho": -0.5}, ValueError, r"rho must lie in \[0, 1\)"),
        ({"minority_count": 0}, ValueError, "minority_count must be an integer between 1 and 100, got 0"),
        ({"minority_count": -3}, ValueError, "minority_count must be an integer"),
        ({"minority_count": 101}, ValueError, "minority_count .* at most majority_count"),
        ({"minority_count": 2.5}, ValueError, "minority_count must be an integer"),
        ({"minority_count": "ten"}, TypeError, "minority_count must be a real number"),
        ({"majority_count": 500}, ValueError, "majority_count must be an integer between 1 and 177, got 500"),
        ({"majority_count": 177, "minority_count": 175}, ValueError, "minority_count must be .* between 1 and 174"),
        ({"num_majority": 9}, ValueError, "num_majority must be an integer between 1 and 8"),
        ({"num_minority": 1}, ValueError, "num_minority must be an integer between 2 and 5"),
        ({"num_minority": 6}, ValueError, "num_minority must be an integer between 2 and 5"),
        ({"architecture": "resnet"}, ValueError, "architecture must be one of 'explicit', 'deq', got 'resnet'"),
        ({"start": "random"}, ValueError, "start must be one of 'identity', 'zero', got 'random'"),
        ({"solver": "newton"}, ValueError, "solver must be one of"),
        ({"tol": 0.0}, ValueError, "tol must be > 0"),
        ({"max_steps": 0}, ValueError, "max_steps must be an integer >= 1"),
        ({"lambda_W": 0.0}, ValueError, "lambda_W must be > 0"),
        ({"lambda_H": float("inf")}, ValueError, "lambda_H must be finite"),
        ({"dim": 8}, ValueError, "dim must be an integer >= 9"),
        ({"width": 0}, ValueError, "width must be an integer >= 1"),
        ({"seed": -1}, ValueError, "seed must be an integer >= 0"),
        ({"max_iterations": 0}, ValueError, "max_iterations must be an integer >= 1"),
        ({"gradient_tol": -1.0}, ValueError, "gradient_tol must be > 0"),
        ({"device": "tpu"}, ValueError, "device must be one of 'auto', 'cpu', 'cuda'"),
    ],
)
def test_bad_config(fields, error, message):
    with pytest.raises(error, match=message):
        TrainingConfig(**fields)


def test_bad_arguments():
    with pytest.raises(TypeError, match=r"config must be a ufm\.deq\.TrainingConfig"):
        train({"minority_count": 3})
    for initial in ([1], {"weight": 1}, 3):
        with pytest.raises(TypeError, match=r"initial.* must .*, got"):
            train(small(), initial=initial)
    with pytest.raises(ValueError, match=r"initial\['weight'\] must be finite"):
        train(small(), initial={"weight": torch.tensor([math.nan])})
    with pytest.raises(TypeError, match="whitened_by must be a real number, got 'a'"):
        train(small(), whitened_by="a")
    with pytest.raises(ValueError, match="whitened_by must be an integer between 1 and 30, got 31; at most majority"):
        train(small(), whitened_by=31)
    with pytest.raises(ValueError, match="whitened_by must be an integer between 1 and 30, got 0"):
        train(small(), whitened_by=0)
    with pytest.raises(TypeError, match=r"config must be a ufm\.deq\.TrainingConfig, got 3"):
        predict(3)
    with pytest.raises(TypeError, match="minority_count must be a real number"):
        predict(small(), "5")
    with pytest.raises(ValueError, match="minority_count must be > 0"):
        predict(small(), 0)
    with pytest.raises(ValueError, match="minority_count must be at most majority_count = 30, got 31"):
        predict(small(), 31)
    with pytest.raises(ValueError, match="a training has no field 'momentum'"):
        TrainingConfig.from_dict({"momentum": 0.9})
    with pytest.raises(ValueError, match="num_classes must be an integer >= 2"):
        ExplicitNetwork(64, 1, dim=3, width=4)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="device must be 'auto' or 'cpu' on this machine"):
            train(small(device="cuda"))


@pytest.mark.filterwarnings("ignore::ufm.data.DatasetWarning")
def test_root_is_the_folder_of_the_files(tmp_path, monkeypatch):
    monkeypatch.delenv("UFM_DATA", raising=False)
    config = dataclasses.replace(TINY, dataset="fashion-mnist", architecture="explicit", max_iterations=2)
    with pytest.raises(DatasetNotFoundError, match=str(tmp_path / "nowhere")):
        train(config, root=tmp_path / "nowhere")
    write_fashion(tmp_path)
    assert train(config, root=tmp_path).network.encoder.hidden.in_features == 784
    with pytest.raises(ValueError, match="has 8 images of 0"):  # of this folder's files, not of those installed
        train(dataclasses.replace(config, majority_count=9), root=tmp_path)


def test_unsolved_fixed_point_is_an_error():
    from ufm.deq import ConvergenceError

    with pytest.raises(ConvergenceError, match="did not converge"):
        train(small(max_steps=3))
    wanted = r"rho = 0\.99, solver = 'fixed_point', .* max_steps = 500: take a smaller rho, solver 'anderson' or more"
    with pytest.raises(TrainingError, match=wanted):
        train(small(rho=0.99, max_steps=500))


class TestCommandLine:
    SMALL = ("--majority-count", "6", "--majority", "2", "--minority", "2", "--minority-count", "3", "--device", "cpu")

    def test_an_unsolved_fixed_point_is_a_message(self, monkeypatch):
        monkeypatch.setattr("ufm.trainings.config.DEFAULT_STEPS", 9)
        monkeypatch.setattr("ufm.trainings.config.MOST_STEPS", 9)
        done = CliRunner().invoke(app, ["deq", "train", "--rho", "0.99", *self.SMALL])
        assert done.exit_code == 1
        assert isinstance(done.exception, SystemExit)
        assert done.stderr.lstrip().startswith("ufm: forward solve")
        assert "rho = 0.99, solver = 'fixed_point'" in done.stderr
        assert "Traceback" not in done.output

    def test_what_is_trained_is_judged(self):
        arguments = ["deq", "train", *self.SMALL, "--architecture", "explicit", "--lambda-W", "1", "--lambda-H", "1"]
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
        assert re.search(r"status +agrees", done.stdout)
        assert json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)["status"] == "agrees"

    def test_names_of_data_sets_are_those_that_are_registered(self):
        text = " ".join(CliRunner().invoke(app, ["deq", "train", "--help"], env={"COLUMNS": "400"}).stdout.split())
        assert "digits, fashion-mnist, mnist1d; with --run also cifar10, cifar100." in text


def test_available_digits():
    assert digit_counts() == (178, 182, 177, 183, 181, 182, 181, 179, 174, 180)
