"""What an encoder charges: exact where the theory's own optimum is the network, and the convex problem of a kernel."""

from __future__ import annotations

import math

import cvxpy as cp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.deq import EncoderPrice, ExplicitNetwork, predict_from_activations
from ufm.trainings.encoder_price import ClassKernel, class_logits
from ufm.trainings.optimisation import descend

LABELS = np.repeat(np.arange(4), [6, 6, 3, 3])


def scatter(logits: np.ndarray, classes: slice) -> float:
    """How far these classes' logits differ."""
    block = logits[classes, classes]
    return float(np.linalg.norm(block - block.mean(axis=0)))


class TestPrice:
    def test_the_unconstrained_features_model_charges_its_weight_decay(self):
        counts, lambda_w, lambda_h = (6, 6, 3, 3), 0.05, 0.03
        s = ufm.solve(ufm.UnconstrainedFeatures(lambda_w, lambda_h), ufm.ClassPrior(counts))
        found = EncoderPrice.of(s.classifier, s.features.T[LABELS], LABELS, lambda_w)
        assert found.price == pytest.approx(lambda_h, rel=1e-5)
        assert found.class_prices == pytest.approx([lambda_h] * 4, rel=1e-5)
        assert max(found.identity, found.departure, found.means_identity) < 1e-4
        assert found.within < 1e-20

    def test_the_identity_is_stationarity_of_the_classifier_alone(self):
        rng = np.random.default_rng(0)
        h = rng.standard_normal((18, 5))
        w = torch.zeros(4, 5, dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.LBFGS([w], max_iter=200, tolerance_grad=1e-12, tolerance_change=0)

        def closure():
            optimiser.zero_grad()
            risk = torch.nn.functional.cross_entropy(torch.from_numpy(h) @ w.T, torch.from_numpy(LABELS))
            loss = risk + 0.05 * w.square().sum()
            loss.backward()
            return loss

        optimiser.step(closure)
        found = EncoderPrice.of(w.detach().numpy(), h, LABELS, 0.1)
        assert found.identity < 1e-9
        assert found.departure > 0.3  # random features are not what the model would have
        assert found.means_identity > 0.1  # and class means are not stationary
        assert EncoderPrice.of(w.detach().numpy(), h, LABELS, 0.11).identity > 0.05

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"classifier": np.ones(3)}, r"classifier must have shape \(K, d\)"),
            ({"features": np.ones((18, 4))}, "features must have 5 columns"),
            ({"features": np.zeros((18, 5))}, "features must not all be 0"),
            (
                {"labels": np.zeros(18, dtype=int)},
                r"labels must hold every class 0..3 at least once, got none of \[1, 2",
            ),
            ({"labels": LABELS[:-1]}, r"labels must have shape \(18,\)"),
            ({"lambda_W": 0}, "lambda_W must be > 0"),
            ({"features": np.full((18, 5), 1e-200)}, "features must have a largest entry"),
            ({"classifier": np.full((4, 5), 1e200)}, "classifier must have a largest entry"),
        ],
    )
    def test_refuses(self, changes, message):
        arguments = {"classifier": np.ones((4, 5)), "features": np.ones((18, 5)), "labels": LABELS, "lambda_W": 0.1}
        with pytest.raises(ValueError, match=message):
            EncoderPrice.of(**(arguments | changes))

    @pytest.mark.parametrize("size", [1.0, 1e3])
    def test_where_nothing_is_charged_no_price_is_told(self, size):
        """0 over 0 read as a stationary classifier, and as the unconstrained features model."""
        features = np.ones((3, 3)) if size == 1 else size * np.eye(3)
        with pytest.raises(ValueError, match="nothing is charged"):
            EncoderPrice.of(size * np.eye(3), features, [0, 1, 2], 0.1)

    def test_one_sample_a_class_and_a_class_without_features(self):
        found = EncoderPrice.of(np.eye(3), np.diag([1.0, 1.0, 0.0]), [0, 1, 2], 0.1)
        assert found.class_prices[2] == 0
        assert found.within == 0


class TestKernel:
    def test_a_sample_each_is_the_unconstrained_features_model(self):
        # Theta = I charges every feature for itself
        found = predict_from_activations(np.eye(18), LABELS, 0.05, 0.02, tol=1e-10)
        s = ufm.solve(ufm.UnconstrainedFeatures(0.05, 0.02), ufm.ClassPrior([6, 6, 3, 3]))
        assert found.value == pytest.approx(s.value, rel=1e-9)
        assert found.class_logits(LABELS) == pytest.approx(s.logits - s.logits.mean(axis=0), abs=1e-4)
        w = found.classifier
        assert np.linalg.norm(w) ** 2 * 0.05 == pytest.approx(np.linalg.norm(found.features) ** 2 * 0.02, rel=1e-9)
        assert w @ w.T == pytest.approx(s.classifier @ s.classifier.T, abs=1e-4)

    def test_the_optimum_is_that_of_a_conic_solver(self):
        rng = np.random.default_rng(1)
        phi = np.abs(rng.standard_normal((18, 7)))
        found = predict_from_activations(phi, LABELS, 0.1, tol=1e-8)
        m, y = cp.Variable((4, 7)), np.eye(4)[LABELS]
        z = phi @ m.T
        risk = cp.sum(cp.log_sum_exp(z, axis=1) - cp.sum(cp.multiply(y, z), axis=1)) / 18
        peer = cp.Problem(cp.Minimize(risk + 0.1 * cp.normNuc(m))).solve(solver="CLARABEL")
        assert found.value == pytest.approx(peer, rel=1e-6)
        assert found.lower <= found.value <= found.lower * (1 + 1e-8)

    @pytest.mark.parametrize("iterations", [1, 3, 10, 30])
    def test_the_bound_holds_far_from_the_optimum(self, iterations):
        phi = np.abs(np.random.default_rng(1).standard_normal((18, 7)))
        optimum = predict_from_activations(phi, LABELS, 0.1, tol=1e-8)
        early = predict_from_activations(phi, LABELS, 0.1, tol=1e-8, max_iterations=iterations)
        assert early.iterations == iterations
        assert early.lower < optimum.lower < optimum.value < early.value

    def test_a_trained_network_is_at_the_optimum_of_its_own_activations(self):
        rng = np.random.default_rng(2)
        centres = rng.standard_normal((4, 6))
        inputs = torch.from_numpy(centres[LABELS] + 0.3 * rng.standard_normal((18, 6)))
        network, labels = ExplicitNetwork(6, 4, dim=8, width=24), torch.from_numpy(LABELS)
        with torch.no_grad():
            network.encoder.output.weight.mul_(30)
            network.classifier.weight.mul_(10)

        def value():
            risk = torch.nn.functional.cross_entropy(network(inputs).logits, labels)
            return risk + 0.005 * sum(p.square().sum() for p in network.parameters())

        descend(network, inputs, value, max_iterations=1500, gradient_tol=1e-8)
        with torch.no_grad():
            phi = np.hstack([network.encoder.activations(inputs).numpy(), np.ones((18, 1))])
            z = class_logits(network(inputs).logits.numpy().T, LABELS)
        found = predict_from_activations(phi, LABELS, 0.01)
        assert found.class_logits(LABELS) == pytest.approx(z, abs=5e-3 * np.abs(z).max())
        assert np.linalg.norm(predict_from_activations(phi, LABELS, 0.02).class_logits(LABELS) - z) > 0.1

    @given(st.floats(0.02, 0.06), st.floats(0.0, 0.3), st.floats(0.2, 2.0), st.floats(0.0, 3.0), st.integers(2, 3))
    @settings(max_examples=5, deadline=None)
    def test_collapsed_up_to_the_threshold_of_three_numbers(self, decay, between, sample, common, minorities):
        kernel = ClassKernel(common, between, sample)
        star = kernel.threshold(20, 2, minorities, decay)
        around = ((math.floor(star * 0.9), True), (math.ceil(star * 1.1) + 1, False)) if star < 100 else ((40, True),)
        for count, collapsed in around:
            if count >= 1:
                labels = np.repeat(np.arange(2 + minorities), [20] * 2 + [count] * minorities)
                found = predict_from_activations(kernel.activations(labels), labels, decay, tol=1e-8)
                assert (scatter(found.class_logits(labels), slice(2, None)) < 1e-3) == collapsed

    def test_three_numbers_of_a_kernel_of_three_numbers(self):
        kernel = ClassKernel(0.5, 0.25, 2.0)
        found = ClassKernel.of(kernel.activations(LABELS), LABELS)
        assert [found.common, found.between, found.sample] == pytest.approx([0.5, 0.25, 2.0])
        phi = kernel.activations(LABELS)
        same = LABELS[:, None] == LABELS
        assert phi @ phi.T == pytest.approx(0.5 + 0.25 * same + 2.0 * np.eye(18))

    def test_samples_and_classes_are_the_ends(self):
        # by samples n_B* = (N decay)^2, by classes n_B* = N decay, N = 2 (20 + n_B)
        by_samples, by_classes = (
            ClassKernel(0, 0, 1).threshold(20, 2, 2, 0.05),
            ClassKernel(0, 1, 0).threshold(20, 2, 2, 0.05),
        )
        assert by_samples == pytest.approx((2 * (20 + by_samples) * 0.05) ** 2)
        assert by_classes == pytest.approx(2 * (20 + by_classes) * 0.05)
        assert ClassKernel(0, 1, 0).threshold(20, 2, 2, 0.5) == math.inf

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: ClassKernel(0, 0, 0), "between must be > 0 where sample is 0"),
            (lambda: ClassKernel(-1, 1, 1), "common must be >= 0, got -1"),
            (lambda: ClassKernel(0, 1, 1).threshold(20, 2, 1, 0.1), "num_minority must be an integer >= 2"),
            (lambda: predict_from_activations(np.eye(3), [0, 0, 0], 0.1), "labels must hold every class 0..1"),
            (lambda: predict_from_activations(np.eye(3), [0, 1], 0.1), r"labels must have shape \(3,\)"),
            (lambda: predict_from_activations([[np.nan]], [0], 0.1), "activations must be finite"),
            (lambda: predict_from_activations(np.eye(2), [0, 1], 0.1, -1), "lambda_V must be > 0"),
            (lambda: predict_from_activations(np.eye(2), [0, 1], 0.1, tol=0.1), "tol must be a relative gap"),
        ],
    )
    def test_refuses(self, call, message):
        with pytest.raises(ValueError, match=message):
            call()

    def test_so_much_decay_that_nothing_is_learnt(self):
        found = predict_from_activations(np.eye(4), [0, 0, 1, 1], 5.0)
        assert found.value == pytest.approx(math.log(2))
        assert abs(found.logits).max() < 1e-4
