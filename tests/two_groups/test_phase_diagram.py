"""Phase diagrams: every point is a solution, every boundary an exact threshold, every file whole."""

from __future__ import annotations

import itertools
import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from effort import examples
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from typer.testing import CliRunner

import ufm
from ufm.cli import app
from ufm.two_groups import phase_diagram as phase
from ufm.two_groups.batch import PHASES
from ufm.two_groups.thresholds import total_collapse_threshold

SETTINGS = settings(max_examples=examples(60), deadline=None, derandomize=True)
FANG = {"K_A": 5, "K_B": 5, "E_W": 1.0}


def fang(n=41):
    return ufm.phase_diagram(**FANG, R=np.geomspace(1, 1e3, n), E_H=np.linspace(0.1, 5, n + 1))


@pytest.fixture(scope="module")
def diagram():
    return fang()


class TestDiagram:
    def test_points_are_solutions(self, diagram):
        rng = np.random.default_rng(0)
        for i, j in zip(rng.integers(0, 41, 12), rng.integers(0, 42, 12), strict=True):
            point = diagram.isel(R=i, E_H=j)
            prior = ufm.ClassPrior.step(5, 5, float(point.R))
            s = ufm.solve(ufm.LayerPeeled(1.0, float(point.E_H)), prior)
            assert float(point.value) == pytest.approx(s.value, rel=1e-10)
            assert PHASES[int(point.phase)] == s.phase
            assert float(point.s_B) == pytest.approx(s.info["reduced"].s[-1], rel=1e-9)

    def test_labels(self, diagram):
        assert diagram.phase.dims == ("R", "E_H")
        assert diagram.phase.attrs["flag_meanings"] == "none partial total"
        assert {name: float(diagram[name]) for name in ("K_A", "K_B", "E_W", "rho")} == {
            "K_A": 5,
            "K_B": 5,
            "E_W": 1,
            "rho": 0,
        }
        assert diagram.attrs["loss"] == "ce"
        assert set(diagram.data_vars) == set(phase.QUANTITIES)

    @pytest.mark.parametrize(
        "parameters",
        [
            {"K": [6, 8], "K_B": 2, "R": 3.0, "E_W": 1.0, "E_H": 1.0, "rho": [0.0, 0.5]},
            {"K": 9, "K_A": [2, 5, 8], "R": [1.0, 4.0, 100.0], "lambda": [1e-3, 1e-2], "n_B": 2.0, "rho": 0.2},
            {"K_A": 3, "K_B": [1, 2], "R": 3.0, "lambda_W": [1e-3, 1e-2], "lambda_H": 0.1},
            {"K_A": 3, "K_B": 2, "R": 3.0, "E_W": 1.0, "E_H": 0.5},
        ],
    )
    @pytest.mark.parametrize("loss", ["ce", "mse"])
    def test_any_axes(self, parameters, loss):
        found = ufm.phase_diagram(loss, **parameters)
        axes = [name for name, value in parameters.items() if isinstance(value, list)]
        assert list(found.phase.dims) == axes
        for index in np.ndindex(found.phase.shape):
            point = found.isel(dict(zip(axes, index, strict=True)))
            at = {name: float(point[name]) for name in point.coords}
            k_a = round(at["K_A"] if "K_A" in at else at["K"] - at["K_B"])
            k_b = round(at["K_B"] if "K_B" in at else at["K"] - at["K_A"])
            prior = ufm.ClassPrior.step(k_a, k_b, at["R"], at.get("n_B", 1.0))
            if "E_W" in at:
                architecture = ufm.LinearDEQ(at["E_W"], at["E_H"], at["rho"])
            else:
                decay = at.get("lambda")
                architecture = ufm.PenalisedDEQ(decay or at["lambda_W"], decay or at["lambda_H"], at["rho"])
            expected = ufm.solve(architecture, prior, loss)
            assert float(point.value) == pytest.approx(expected.value, rel=1e-10)
            assert PHASES[int(point.phase)] == expected.phase

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"R": None}, ValueError, "R must be given"),
            ({"R": [1.0, 1.0]}, ValueError, "R must not repeat values"),
            ({"R": np.ones((2, 2))}, ValueError, r"R must be a number or a one-dimensional array, got shape \(2, 2\)"),
            ({"R": []}, ValueError, r"R must be a number or a one-dimensional array, got shape \(0,\)"),
            ({"R": [2.0, 0.5]}, ValueError, r"R\[1\] must be finite and >= 1, got 0.5"),
            ({"R": "3"}, TypeError, "R must be a number or an array of numbers, got '3'"),
            ({"K_A": 2.5}, ValueError, "K_A must be an integer >= 1, got 2.5"),
            ({"K": 5}, ValueError, "two of K_A, K_B and K must be given, got K_A, K_B, K"),
            ({"K_A": None}, ValueError, "two of K_A, K_B and K must be given, got K_B"),
            ({"K": [7, 4], "K_A": None}, ValueError, "K_A = K - K_B must be >= 1 everywhere on the grid"),
            ({"tau": 1.0}, TypeError, "parameters must be among R, K_A, .* got 'tau'"),
            ({"rho": 1.0}, ValueError, r"rho must be in \[0, 1\), got 1.0"),
            ({"E_H": None}, ValueError, "either E_W and E_H or lambda_W and lambda_H"),
            ({"n_B": 3.0}, ValueError, "n_B plays no role with budgets"),
            ({"lambda": 1.0, "lambda_W": 1.0}, ValueError, "lambda stands for both"),
            ({"loss": "hinge"}, ValueError, "loss must be one of"),
        ],
    )
    def test_bad_parameters_are_named(self, change, error, message):
        good = {"R": 2.0, "K_A": 5, "K_B": 5, "E_W": 1.0, "E_H": 1.0}
        with pytest.raises(error, match=message):
            ufm.phase_diagram(**{name: value for name, value in (good | change).items() if value is not None})


def sides(curve, parameters, axes, loss):
    """Phases a billionth before and behind every point of a boundary, across it along one axis or the other."""
    found = []
    for point in curve:
        for axis in axes:
            at = {**parameters, **dict(zip(axes, point, strict=True))}
            pair = []
            for shift in (-1e-9, 1e-9):
                moved = {**at, axis: at[axis] * (1 + shift)}
                if moved["R"] < 1:
                    break
                pair.append(int(ufm.phase_diagram(loss, **moved).phase))
            found.append(pair)
    return found


class TestBoundaries:
    def test_collapse_is_the_threshold(self, diagram):
        curves = ufm.phase_boundaries(diagram)
        assert len(curves["collapse"]) == len(curves["total"]) == 1
        for kind, exact in (
            ("collapse", lambda e: ufm.collapse_threshold(ufm.LayerPeeled(1.0, e), 5, 5).ratio),
            ("total", lambda e: total_collapse_threshold(ufm.LayerPeeled(1.0, e), 5, 5)),
        ):
            curve = curves[kind][0]
            assert len(curve) > 150
            for ratio, energy in curve:
                # on a vertical stretch R is ill-determined by E_H, so the threshold is held against a shifted E_H, too
                around = sorted(exact(energy * (1 + shift)) for shift in (-1e-12, 1e-12))
                assert around[0] * (1 - 1e-11) <= ratio <= around[1] * (1 + 1e-11)

    def test_they_end_at_the_frame(self, diagram):
        total = ufm.phase_boundaries(diagram)["total"][0]
        assert total[:, 0].max() == pytest.approx(1e3)  # the vertical part, where no R at all is enough
        assert total[:, 0].min() < 1.3

    @pytest.mark.parametrize(
        ("loss", "parameters"),
        [
            ("ce", {**FANG, "R": 50.0, "rho": np.linspace(0, 0.9, 20), "E_H": np.linspace(0.05, 5, 20)}),
            ("mse", {**FANG, "R": np.geomspace(1, 100, 20), "E_H": np.linspace(0.01, 0.3, 20)}),
            ("ce", {"K_A": 3, "K_B": 7, "n_B": 10, "R": np.geomspace(1, 1e3, 9), "lambda": np.geomspace(1e-4, 1, 9)}),
            ("mse", {"K_A": 1, "K_B": 2, "R": np.geomspace(1, 1e3, 9), "lambda": np.geomspace(1e-4, 1, 9)}),
            ("ce", {"K_A": 1, "K_B": 4, "R": np.geomspace(1, 1e3, 9), "lambda": np.geomspace(1e-3, 1, 9)}),
            ("ce", {"K_A": 4, "K_B": 1, "R": np.geomspace(1, 1e3, 9), "lambda": np.geomspace(1e-3, 1, 9)}),
        ],
    )
    @pytest.mark.sample(3)
    def test_the_phase_changes_across_them(self, loss, parameters):
        found = ufm.phase_diagram(loss, **parameters)
        axes = found.phase.dims
        fixed = {name: value for name, value in parameters.items() if name not in axes}
        curves = ufm.phase_boundaries(found)
        assert sum(map(len, curves.values())) > 0
        for kind, several in curves.items():
            for curve in several:
                pairs = sides(curve[5:-5:20], fixed, axes, loss)
                assert pairs
                for pair in pairs:
                    beyond = {code >= (1 if kind == "collapse" else 2) for code in pair}
                    assert len(pair) < 2 or beyond == {True, False}, (kind, pair)

    @SETTINGS
    @given(
        st.sampled_from(["ce", "mse"]),
        st.integers(1, 9),
        st.integers(1, 9),
        st.floats(0, 4),
        st.floats(-3, 1),
        st.floats(0, 0.8),
        st.booleans(),
    )
    def test_margins_agree_with_the_solver(self, loss, k_a, k_b, log_ratio, log_size, rho, budgets):
        names = ("E_W", "E_H") if budgets else ("lambda_W", "lambda_H")
        values = {"K_A": k_a, "K_B": k_b, "R": 10**log_ratio, "rho": rho} | dict.fromkeys(names, 10**log_size)
        code = int(ufm.phase_diagram(loss, **values).phase)
        for kind, least in (("collapse", 1), ("total", 2)):
            if kind == "collapse" and loss == "mse":
                continue
            margin = float(phase._margin(kind, loss, {"n_B": 1.0} | values))
            assume(abs(margin) > 1e-12 and log_ratio > 1e-9)
            if kind == "collapse" and k_b == 1:
                continue  # without a second minority class there is a total phase, but no partial one
            assert (margin >= 0) == (code >= least)

    @pytest.mark.parametrize(
        "parameters",
        [
            {"K": 20, "E_W": 1.0, "E_H": 1.0, "K_A": np.arange(1, 20), "R": np.geomspace(1, 1e4, 50)},
            {"R": 50.0, "E_W": 1.0, "E_H": 1.0, "K_A": np.arange(1, 15), "K_B": np.arange(1, 25)},
            {"R": np.geomspace(1, 1e4, 50), "E_W": 1.0, "E_H": 1.0, "K_B": np.arange(1, 20), "K": 20},
        ],
    )
    def test_staircases_enclose_the_cells(self, parameters):
        """Crossing an odd number of steps from one cell to the next changes the side, an even number does not."""
        found = ufm.phase_diagram(**parameters)
        x, y = (found[name].values.astype(float) for name in found.phase.dims)
        for kind, curves in ufm.phase_boundaries(found).items():
            beyond = found.phase.values >= (1 if kind == "collapse" else 2)
            crossings = np.zeros((len(x) - 1, len(y)), dtype=int)
            for curve in curves:
                for (x0, y0), (x1, y1) in itertools.pairwise(curve):
                    assert x0 == x1 or y0 == y1
                    if x0 == x1:
                        rows = (y > min(y0, y1)) & (y <= max(y0, y1))
                        crossings[np.searchsorted(x, x0) - 1, rows] += 1
            assert ((crossings % 2 == 1) == (beyond[1:] != beyond[:-1])).all()

    def test_a_shifted_threshold_is_noticed(self, monkeypatch, diagram):
        right = phase._log_threshold
        monkeypatch.setattr(phase, "_log_threshold", lambda *a: right(*a) + 1e-9)
        with pytest.raises(AssertionError):
            self.test_collapse_is_the_threshold(diagram)

    @pytest.mark.parametrize("choose", [{"R": 3}, {"R": 3, "E_H": 3}])
    def test_two_axes_are_needed(self, diagram, choose):
        with pytest.raises(ValueError, match="dataset must have two axes longer than 1"):
            ufm.phase_boundaries(diagram.isel(choose))


class TestFiles:
    @pytest.mark.parametrize("suffix", [".nc", ".zarr"])
    def test_round_trip(self, diagram, tmp_path, suffix):
        path = ufm.save_phase_diagram(diagram, tmp_path / "deep" / f"diagram{suffix}")
        for _ in range(2):
            with xr.open_dataset(path) if suffix == ".nc" else xr.open_zarr(path) as found:
                xr.testing.assert_identical(found.load(), diagram)
            ufm.save_phase_diagram(diagram, path)
        assert [p.name for p in path.parent.iterdir()] == [path.name]

    @pytest.mark.parametrize("suffix", [".nc", ".zarr"])
    def test_an_interrupted_write_leaves_the_old_file(self, diagram, tmp_path, monkeypatch, suffix):
        path = ufm.save_phase_diagram(diagram, tmp_path / f"diagram{suffix}")
        writer = "to_netcdf" if suffix == ".nc" else "to_zarr"

        def interrupted(self, target, **options):
            target.write_bytes(b"half") if suffix == ".nc" else target.mkdir()
            raise KeyboardInterrupt

        monkeypatch.setattr(xr.Dataset, writer, interrupted)
        with pytest.raises(KeyboardInterrupt):
            ufm.save_phase_diagram(diagram.isel(R=0), path)
        with xr.open_dataset(path) if suffix == ".nc" else xr.open_zarr(path) as found:
            xr.testing.assert_identical(found.load(), diagram)
        assert [p.name for p in tmp_path.iterdir()] == [path.name]

    def test_other_suffixes(self, diagram, tmp_path):
        with pytest.raises(ValueError, match=r"path must end in \.nc .* got .*x\.csv"):
            ufm.save_phase_diagram(diagram, tmp_path / "x.csv")

    def test_without_zarr(self, diagram, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "zarr", None)
        with pytest.raises(ImportError, match=r"needs zarr: pip install 'ufm\[zarr\]'"):
            ufm.save_phase_diagram(diagram, tmp_path / "x.zarr")
        assert not list(tmp_path.iterdir())


class TestPicture:
    def pixels(self, figure):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        image = np.asarray(canvas.buffer_rgba())[..., :3] / 255

        def at(x, y):
            column, row = figure.axes[0].transData.transform((x, y))
            return image[round(image.shape[0] - 1 - row), round(column)]

        return at

    @pytest.mark.parametrize("transposed", [False, True])
    def test_colours_are_phases(self, diagram, transposed):
        drawn = diagram.transpose("E_H", "R") if transposed else diagram
        at = self.pixels(ufm.plot_phase_diagram(drawn))
        for ratio, energy, name in ((1.5, 4.0, "none"), (50.0, 4.5, "partial"), (30.0, 1.0, "total")):
            code = int(diagram.phase.sel(R=ratio, E_H=energy, method="nearest"))
            assert PHASES[code] == name
            x, y = (ratio, energy) if transposed else (energy, ratio)
            assert at(x, y) == pytest.approx(to_rgb(phase._COLOURS[code]), abs=0.01)

    def test_boundaries_are_drawn(self, diagram):
        figure = ufm.plot_phase_diagram(diagram)
        lines = [line.get_xydata() for line in figure.axes[0].lines]
        for curves in ufm.phase_boundaries(diagram).values():
            for curve in curves:
                assert any(np.array_equal(line, curve[:, ::-1]) for line in lines)
        labels = [text.get_text() for text in figure.legends[0].get_texts()]
        assert labels == ["none", "partial", "total", "collapse, exact", "total collapse, exact"]
        assert "K_A = 5" in figure.axes[0].get_title()
        assert figure.axes[0].get_yscale() == "log"

    def test_other_quantities(self, diagram):
        figure = ufm.plot_phase_diagram(diagram, quantity="s_B")
        assert figure.axes[1].get_ylabel() == phase.QUANTITIES["s_B"]
        with pytest.raises(ValueError, match=r"quantity must be one of 'phase', .* got 'loss'"):
            ufm.plot_phase_diagram(diagram, quantity="loss")

    def test_class_numbers(self):
        found = ufm.phase_diagram(K=8, K_A=np.arange(7, 0, -1), R=np.geomspace(1, 50, 30), E_W=1.0, E_H=0.5)
        at = self.pixels(ufm.plot_phase_diagram(found))
        for k_a in range(1, 8):
            code = int(found.phase.sel(K_A=k_a).isel(R=-2))
            assert at(float(found.R[-2]), k_a + 0.2) == pytest.approx(to_rgb(phase._COLOURS[code]), abs=0.01)

    def test_one_axis_is_not_enough(self, diagram):
        with pytest.raises(ValueError, match="two axes"):
            ufm.plot_phase_diagram(diagram.isel(R=0))


class TestCommand:
    def run(self, *arguments):
        return CliRunner().invoke(app, ["phase", *map(str, arguments)])

    GRID = ("--K-A", 5, "--K-B", 5, "--R", "1:1e3:41:log", "--E-W", 1, "--E-H", "0.1:5:42")

    def test_files_and_counts(self, tmp_path, diagram):
        result = self.run(*self.GRID, "--save", tmp_path / "x.nc", "--plot", tmp_path / "sub" / "x.png", "--json")
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert "points" not in found
        assert found["axes"] == {"R": 41, "E_H": 42}
        assert list(found["phases"].values()) == [int((diagram.phase == code).sum()) for code in range(3)]
        with xr.open_dataset(tmp_path / "x.nc") as saved:
            xr.testing.assert_allclose(saved, diagram, rtol=1e-9)
        assert (tmp_path / "sub" / "x.png").read_bytes().startswith(b"\x89PNG")
        assert "1722" in self.run(*self.GRID).stdout

    def test_points_of_a_small_grid(self):
        result = self.run("--K", "8:10:3", "--K-A", 5, "--R", "3,300", "--lambda", 0.01, "--n-B", 2, "--json")
        found = json.loads(result.stdout)
        assert [(p["K"], p["R"]) for p in found["points"]] == [(k, r) for r in (3, 300) for k in (8, 9, 10)]
        prior = ufm.ClassPrior.step(5, 3, 300.0, 2.0)
        expected = ufm.solve(ufm.UnconstrainedFeatures(0.01, 0.01), prior)
        assert found["points"][3]["value"] == pytest.approx(expected.value, rel=1e-10)
        assert found["points"][3]["phase"] == expected.phase

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--R", "1:2"], "--R/--ratios/--ratio must be FROM:TO:COUNT"),
            (["--R", "1:2:3:sqrt"], "must be FROM:TO:COUNT"),
            (["--R", "1:2:1"], "COUNT from 2 to 100000000"),
            (["--R", "1:2:1000000000"], "COUNT from 2 to 100000000"),
            (["--R", "1:2:100000", "--rho", "0:.5:100000"], "the grid must have at most 100000000 points, got 1"),
            (["--R", "1:x:3"], "two numbers"),
            (["--R", "0:2:3:log"], "with log, numbers > 0"),
            (["--R", "a"], "must be numbers separated by commas"),
            (["--R", "0.5"], "R must be finite and >= 1"),
            (["--R", "2", "--plot", "x.jpg"], "--plot must end in"),
            (["--R", "2", "--plot", "x.png"], "two axes"),
            (["--R", "2", "--save", "x.csv"], "--save must end in .nc"),
        ],
    )
    def test_wrong_values(self, arguments, message, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        result = self.run("--K-A", 5, "--K-B", 5, "--E-W", 1, "--E-H", 1, *arguments)
        assert result.exit_code == 2
        assert message in result.stderr
        assert not list(tmp_path.iterdir())


def test_the_example_of_the_guide(tmp_path, monkeypatch):
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "phase_diagrams.md").read_text(encoding="utf-8")
    (code,) = (block for block in re.findall(r"```py\n(.*?)```", guide, re.DOTALL) if "phase_diagram" in block)
    assert code.count(", 1000)") == 2
    monkeypatch.chdir(tmp_path)
    exec(compile(code.replace(", 1000)", ", 30)"), "phase_diagrams.md", "exec"), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["diagram.nc", "diagram.png"]


def test_axes_logarithmic_or_not():
    assert phase._is_logarithmic(np.geomspace(1, 100, 7))
    assert not phase._is_logarithmic(np.linspace(1, 100, 7))
    assert not phase._is_logarithmic(np.linspace(0, 100, 7))
    edges = phase._cell_edges(np.geomspace(1, 100, 3))
    assert edges == pytest.approx([10**-0.5, 10**0.5, 10**1.5, 10**2.5])
    assert math.isclose(phase._refine(np.array([1.0, 10.0, 100.0]), 5)[1], 10**0.5)
