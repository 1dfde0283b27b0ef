"""The paper's grid and what is read off it, on made-up results with known answers."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from ufm.deq import Comparison, ExperimentConfig, paper_points
from ufm.trainings.paper import ARMS, CLASS_NUMBERS, RATIOS, experiment_point

BASE = ExperimentConfig(dataset="digits", width=16, majority_count=100, epochs=2, test_count=5, pool=2, device="cpu")


def result(point, *, final=None, first=None):
    """A result with given numbers; ``final`` and ``first`` change (block, key) of the default ones."""
    values = {
        "train_accuracy": {"overall": 1.0},
        "test_accuracy": {"overall": 0.8, "majority": 0.9, "minority": 0.5},
        "measures": {
            "trace_quotient": 0.1,
            "etf_error": 0.5,
            "self_duality_error": 0.3,
            "minority_cosine": 0.2,
            "minority_feature_cosine": 0.2,
        },
    }

    def changed(changes):
        blocks = {block: dict(numbers) for block, numbers in values.items()}
        for (block, key), value in (changes or {}).items():
            blocks[block][key] = value
        return blocks

    counts = ExperimentConfig.from_dict(point).counts
    return {
        "config": point,
        "counts": list(counts),
        "stopped": "epochs",
        "first": changed(first),
        "final": changed(final),
    }


def results(change):
    return [result(p, **change(p)) for p in paper_points(BASE)]


def minority(accuracy, cosine):
    return {("test_accuracy", "minority"): accuracy, ("measures", "minority_cosine"): cosine}


class TestGrid:
    def test_points(self):
        points = paper_points(BASE)
        assert len(points) == 2 * 3 * (1 + len(CLASS_NUMBERS) * len(RATIOS)) == 60
        assert len({json.dumps(p) for p in points}) == 60
        for p in points:
            ExperimentConfig.from_dict(p)
        explicit, deq = points[:2]
        assert explicit["model"] == "explicit"
        assert deq["model"] == "deq"
        assert {k: v for k, v in explicit.items() if k not in ARMS["DEQ"]} == {
            k: v for k, v in deq.items() if k not in ARMS["DEQ"]
        }
        assert (explicit["num_majority"], explicit["num_minority"], explicit["ratio"]) == (5, 5, 1.0)
        assert {(p["num_majority"], p["num_minority"]) for p in points} == set(CLASS_NUMBERS)

    def test_a_point_is_trained_and_compared(self):
        points = paper_points(
            dataclasses.replace(BASE, majority_count=20), ratios=(4,), class_numbers=((2, 2),), seeds=(0,)
        )
        found = [experiment_point(**p) for p in points]
        assert found == [experiment_point(**p) for p in points]
        comparison = Comparison(found)
        assert comparison.cells == [(2, 2, 1.0), (2, 2, 4.0)]
        assert [o.verdict for o in comparison.observations()].count("not tried") == 0
        assert "| 2, 2 | 4 | 20, 5 | DEQ |" in comparison.markdown()


class TestComparison:
    def test_table(self):
        comparison = Comparison(
            results(
                lambda p: {
                    "final": {("test_accuracy", "overall"): 0.7 + 0.01 * p["seed"] + 0.1 * (p["model"] == "deq")}
                }
            )
        )
        assert comparison.cells[0] == (5, 5, 1.0)
        assert len(comparison.cells) == 10
        row = next(r for r in comparison.rows() if (r["K_A"], r["R"], r["network"]) == (3, 100, "DEQ"))
        assert (row["n_A"], row["n_B"]) == (100, 1)
        assert row["test acc."] == {"mean": pytest.approx(0.81), "std": pytest.approx(0.01), "n": 3}
        mean, error = comparison.difference((3, 7, 10.0), "test acc.")
        assert mean == pytest.approx(0.1)
        assert error == pytest.approx(0, abs=1e-12)
        lines = comparison.markdown().splitlines()
        assert len(lines) == 2 + 20
        assert len({line.count("|") for line in lines}) == 1
        assert "0.810 ± 0.010" in comparison.markdown()

    def observed(self, change):
        return [(o.id, o.verdict, o.holds, o.of) for o in Comparison(results(change)).observations()]

    def test_all_that_the_paper_says(self):
        def change(p):
            deq, far = p["model"] == "deq", p["ratio"] / 100
            final = minority(0.5 - 0.3 * far + 0.1 * deq, 0.2 + 0.5 * far)
            final |= {("measures", "etf_error"): 0.5 - 0.1 * deq, ("measures", "self_duality_error"): 0.3 - 0.1 * deq}
            final[("test_accuracy", "overall")] = 0.8 + 0.01 * deq
            first = {("measures", key): 2.0 for key in ("trace_quotient", "etf_error", "self_duality_error")}
            return {"final": final, "first": first}

        found = self.observed(change)
        assert [o[:2] for o in found] == [(i, "reproduced") for i in ("P1", "P2", "P2", "P3", "P3", "P4", "P4")]
        assert [o[3] for o in found] == [3, 3, 3, 9, 9, 9, 9]

    def test_none_of_it(self):
        found = self.observed(lambda p: {})
        assert {verdict for _, verdict, _, _ in found} == {"not reproduced"}

    def test_noise_is_no_observation(self):
        """A mean difference within its standard error counts for nobody."""
        noise = {0: 0.3, 1: -0.1, 2: -0.15}

        def change(p):
            return {"final": {("measures", "etf_error"): 0.5 - noise[p["seed"]] * (p["model"] == "deq")}}

        third = Comparison(results(change)).observations()[3]
        assert (third.holds, third.verdict) == (0, "not reproduced")
        assert "0 settings for, 0 against, 9 within the error" in third.evidence

    def test_in_part_and_against(self):
        def change(p):
            sign = 1 if p["num_majority"] == 3 else -1
            return {"final": {("measures", "self_duality_error"): 0.3 - 0.1 * sign * (p["model"] == "deq")}}

        fourth = Comparison(results(change)).observations()[4]
        assert (fourth.holds, fourth.of, fourth.verdict) == (3, 9, "reproduced in part")
        assert "3 settings for, 6 against" in fourth.evidence

    def test_unfitted_balanced_training_is_no_collapse(self):
        first = {("measures", key): 2.0 for key in ("trace_quotient", "etf_error", "self_duality_error")}
        found = self.observed(lambda p: {"first": first, "final": {("train_accuracy", "overall"): 0.9}})
        assert found[0] == ("P1", "not reproduced", 0, 3)

    def test_one_seed_shows_no_difference(self):
        change = {"final": {("test_accuracy", "overall"): 0.9}}
        points = paper_points(BASE, seeds=(0,))
        found = Comparison(result(p, **(change if p["model"] == "deq" else {})) for p in points)
        assert found.difference((3, 7, 10.0), "test acc.") == (pytest.approx(0.1), math.inf)
        assert found.observations()[-1].verdict == "not reproduced"

    def test_foreign_results(self):
        stranger = paper_points(BASE)[0] | {"model": "resnet18"}
        with pytest.raises(ValueError, match="results must be of the networks"):
            Comparison([result(stranger)])
        with pytest.raises(ValueError, match="arms must be two networks"):
            Comparison([], {"explicit": ARMS["explicit"]})
