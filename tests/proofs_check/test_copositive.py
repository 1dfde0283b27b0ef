"""Copositive matrices in balls: against the enumeration of supports, a mutant for each step, certificates."""

from __future__ import annotations

import json

import numpy as np
import pytest
from effort import count
from flint import arb, arb_mat, ctx
from tampering import check_rejected, edited

import ufm
from proofs_check import checker
from proofs_check.kinds import copositive
from proofs_check.kinds.reading import Reject
from ufm.gauges.copositive import cone_maximum, split

HORN = np.array([[1.0 if (i - j) % 5 in (0, 2, 3) else -1.0 for j in range(5)] for i in range(5)])


def holds(matrix: np.ndarray) -> bool:
    with ctx.workprec(256):
        return copositive.strictly_copositive(arb_mat([[arb(float(x)) for x in row] for row in matrix]))


@pytest.mark.parametrize("seed", range(count(12, 300)))
def test_it_agrees_with_the_enumeration_of_supports(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 8))
    x = rng.normal(size=(int(rng.integers(1, n + 2)), n)) + rng.choice([0.0, 0.5])
    m = x.T @ x if rng.random() < 0.7 else (x[:1].T + x[:1]) / 2
    m = (m + m.T) / 2
    most, scale = cone_maximum(m).bound, np.abs(m).max()
    assert holds((most + 1e-7 * scale) * np.eye(n) - m)
    assert not holds((most - 1e-7 * scale) * np.eye(n) - m)


def test_horns_matrix_is_copositive_and_no_split_shows_it():
    assert holds(HORN + 1e-9 * np.eye(5))
    assert not holds(HORN - 1e-9 * np.eye(5))
    assert not holds(HORN)  # not strictly
    assert split(-HORN)[0] > 0.1


def test_what_is_singular_or_large_is_not_shown():
    assert not holds(np.zeros((1, 1)))
    assert not holds(np.array([[1.0, -1.0], [-1.0, 1.0]]))
    assert holds(np.array([[1.0, 5.0], [5.0, 1.0]]))
    with pytest.raises(Reject, match="at most 12"):
        holds(np.eye(13))


#: What is not copositive, and the mistake that takes it for it.
MISTAKES = {
    "submatrices are not looked at": (-np.eye(2), "positive_definite", lambda a: bool(a.det() > 0)),
    "cofactors do not matter": (
        np.array([[1.0, -2.0], [-2.0, 1.0]]),
        "has_positive_determinant_or_no_cofactors",
        lambda part: bool(part.det() != 0),
    ),
    "determinants do not matter": (
        np.array([[1.0, -2.0], [-2.0, 1.0]]),
        "has_positive_determinant_or_no_cofactors",
        lambda part: any(part[i, i] > 0 for i in range(part.nrows())),
    ),
    "sizes do not matter": (np.eye(13), "MAX_COPOSITIVE", 13),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_with_a_mistake_it_accepts_what_is_not_copositive(monkeypatch, mistake):
    matrix, name, mutant = MISTAKES[mistake]
    try:
        assert not holds(matrix)
    except Reject:
        assert mistake == "sizes do not matter"
    monkeypatch.setattr(copositive, name, mutant)
    assert holds(matrix)


@pytest.fixture(scope="module")
def certificate():
    """Six columns of real targets: the best split of the optimum's form is 4 % above what nonnegative vectors reach."""
    targets = [[-0.845, -0.032, -0.259, 1.182, 2.505, -1.83], [0.916, -2.858, 0.014, -1.109, 1.992, 0.166]]
    labels = ufm.Labels(targets, [18, 16, 29, 8, 13, 20])
    relu = ufm.UnconstrainedFeatures(5e-4, 5e-4, features="nonnegative")
    return json.loads(ufm.certify(ufm.solve(relu, labels, "mse", bias=1.25e-3)).to_json())


def test_a_certificate_without_a_split(certificate):
    low, high = (float(checker.rational(certificate["claim"]["statement"][end], end)) for end in ("lower", "upper"))
    assert certificate["witness"]["copositive"] is None
    assert checker.check(certificate)
    assert 0 < low <= high <= low * (1 + 1e-10)


def test_its_conditions_stop_it(certificate):
    zero = [["0"] * 6] * 6
    check_rejected(certificate, {"witness__copositive": zero}, "over nonnegative unit vectors")
    larger = str(checker.rational(certificate["witness"]["dual"][0][0], "x") * 2)
    check_rejected(certificate, {"witness__dual__0__0": larger}, "not shown to be an upper bound of |G v|")
    assert checker.check(edited(certificate))
