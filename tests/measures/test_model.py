"""Networks measured through hooks against their features by hand; references; histories."""

import json

import numpy as np
import pytest
import torch

import ufm
from ufm.geometry import simplex_etf
from ufm.measures import History, etf_error_floor, measure, measure_model, reference_values


class Net(torch.nn.Module):
    """A convolution, dropout and a linear head, used out of the order in which they are declared."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(12, 3)
        self.conv = torch.nn.Conv2d(1, 3, 3)
        self.drop = torch.nn.Dropout(0.5)

    def features(self, x):
        return self.drop(torch.relu(self.conv(x))).flatten(1)

    def forward(self, x):
        return self.head(self.features(x))


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return Net()


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(7, 1, 4, 4, generator=generator), torch.tensor([0, 1, 2, 0, 1, 2, 0])) for _ in range(3)]


def by_hand(net, data, **options):
    net.eval()
    with torch.no_grad():
        x = torch.cat([net.features(x) for x, _ in data])
    y = torch.cat([y for _, y in data])
    return measure(x, y, classifier=net.head.weight.detach(), bias=net.head.bias.detach(), **options)


def test_the_last_linear_layer_is_measured(net, data):
    net.train()
    found = measure_model(net, data, centre="samples")
    assert net.training
    expected = by_hand(net, data, centre="samples").to_dict()
    for name, value in found.to_dict().items():
        assert value == (expected[name] if name == "groups" else pytest.approx(expected[name])), name
    assert not any(m._forward_hooks for m in net.modules())


def test_layers_and_one_pass(net, data):
    found = measure_model(net, data, layers=["conv", "drop"])
    assert {name: m.dim for name, m in found.items()} == {"conv": 12, "drop": 12}
    assert found["drop"].nc1 == pytest.approx(measure_model(net, data).nc1)
    assert measure_model(net, iter(data)).nc4 is None
    assert measure_model(net, data, nc4=False).nc4 is None
    assert sum(measure_model(net, data).counts) == 21


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net, data: measure_model(lambda x: x, data), "model"),
        (lambda net, data: measure_model(torch.nn.ReLU(), data), "num_classes"),
        (lambda net, data: measure_model(net, data, layers=["body"]), "layers"),
        (lambda net, data: measure_model(net, data, layers="conv"), "layers"),
        (lambda net, data: measure_model(net, [torch.ones(2)]), "loader"),
        (lambda net, data: measure_model(net, data, centre="mean"), "centre"),
    ],
)
def test_refusals(net, data, call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(net, data)
    assert not any(m._forward_hooks for m in net.modules())


def test_sample_weighted_means_differ_under_imbalance():
    means = simplex_etf(3)
    x, y = means.T[[0, 0, 0, 0, 1, 2]], [0, 0, 0, 0, 1, 2]
    assert measure(x, y).etf_error < 1e-12
    shifted = measure(x, y, centre="samples")
    m = means - (means @ [4, 1, 1] / 6)[:, None]
    assert shifted.coherence == pytest.approx(np.abs(_cosines(m)).max())
    assert shifted.etf_error == pytest.approx(measure(x, y).etf_error, abs=1e-9)  # it centres anew by itself


def _cosines(m):
    unit = m / np.linalg.norm(m, axis=0)
    return (unit.T @ unit)[np.triu_indices(m.shape[1], 1)]


class TestReference:
    def test_beside_the_optimum(self):
        optimum = ufm.solve(ufm.LayerPeeled(1.0, 5.0), ufm.ClassPrior.step(2, 2, 3.0))
        x = np.repeat(optimum.features.T, [3, 3, 1, 1], axis=0)
        found = measure(x, np.repeat(range(4), [3, 3, 1, 1]), classifier=optimum.classifier)
        table = reference_values(found, optimum)
        for name, row in table.items():
            if row["measured"] is not None:
                assert row["measured"] == pytest.approx(row["optimum"], abs=1e-7), name
        assert table["etf_error"]["etf"] < 1e-12 < 1e-2 < table["etf_error"]["optimum"]
        assert table["minority_cosine"]["etf"] == pytest.approx(-1 / 3)

    def test_of_a_deq_the_equilibrium_is_read(self):
        optimum = ufm.solve(ufm.LinearDEQ(1.0, 5.0, rho=0.5), ufm.ClassPrior.step(2, 2, 3.0))
        states = np.linalg.solve(np.eye(len(optimum.equilibrium)) - optimum.equilibrium, optimum.features)
        found = measure(states.T, range(4), classifier=optimum.classifier, num_minority=2)
        assert reference_values(found, optimum)["self_duality_error"]["optimum"] == pytest.approx(
            found.self_duality_error
        )

    @pytest.mark.parametrize(
        "architecture", [ufm.Residual(5e-3, 5e-3, lambda_A=1.0, depth=3), ufm.Gain(1.0, 2.0, 0.3, "residual", depth=3)]
    )
    def test_what_a_classifier_reads_lies_behind_the_maps(self, architecture):
        optimum = ufm.solve(architecture, ufm.ClassPrior([6, 6, 3, 3]), "mse")
        read = optimum.factors.equilibrium_features
        assert np.abs(read - optimum.features).max() > 1e-3
        found = measure(read.T, range(4), classifier=optimum.classifier, num_minority=2)
        for name, row in reference_values(found, optimum).items():
            if row["measured"] is not None:
                assert row["optimum"] == pytest.approx(row["measured"], abs=1e-9), name

    def test_the_bias_of_the_optimum_counts(self):
        optimum = ufm.solve(ufm.LayerPeeled(0.5, 0.5), ufm.ClassPrior([9, 3, 1]), bias="free")
        found = measure(optimum.features.T, range(3), classifier=optimum.classifier, bias=optimum.bias)
        row = reference_values(found, optimum)["smallest_margin"]
        assert row["optimum"] == pytest.approx(row["measured"], abs=1e-9)
        assert row["optimum"] != pytest.approx(
            measure(optimum.features.T, range(3), classifier=optimum.classifier).smallest_margin, abs=1e-3
        )

    def test_floor(self):
        found = measure(np.random.default_rng(0).standard_normal((10, 2)), list(range(5)) * 2)
        row = reference_values(found)["etf_error"]
        assert row["floor"] == etf_error_floor(5, 2) <= row["measured"]

    def test_refusals(self):
        found = measure([[1.0], [-1.0]], [0, 1])
        with pytest.raises(TypeError, match="measures"):
            reference_values(1)
        with pytest.raises(TypeError, match="optimum"):
            reference_values(found, 1)
        with pytest.raises(ValueError, match="optimum"):
            reference_values(found, ufm.solve(ufm.LayerPeeled(1, 1), ufm.ClassPrior.balanced(3)))


class TestHistory:
    def history(self):
        history = History()
        for epoch, spread in ((1, 1.0), (3, 0.5)):
            history.record(epoch, measure([[1 + spread], [1 - spread], [-1.0], [-1.0]], [0, 0, 1, 1]))
        return history

    def test_kept_and_read_again(self, tmp_path):
        history = self.history()
        assert History.load(history.save(tmp_path / "history.json")) == history
        assert history.series("nc1") == pytest.approx([0.25, 0.0625])

    def test_drawn(self):
        axes = self.history().plot("nc1", "nc4").axes[0]
        assert [line.get_label() for line in axes.lines] == ["nc1"]
        assert axes.get_yscale() == "log"

    def test_refusals(self, tmp_path):
        history = self.history()
        with pytest.raises(ValueError, match="later than 3"):
            history.record(3, measure([[1.0], [-1.0]], [0, 1]))
        with pytest.raises(TypeError, match="measures"):
            history.record(4, {})
        with pytest.raises(ValueError, match="name must be one of"):
            history.series("nc5")
        with pytest.raises(ValueError, match="at least one epoch"):
            History().plot()
        for text in ("", "[]", json.dumps({"format": "ufm-history", "epochs": [1], "rows": []})):
            file = tmp_path / "bad.json"
            file.write_text(text)
            with pytest.raises(ValueError, match="path"):
                History.load(file)
