"""What solutions and certificates show of themselves in a notebook."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

import ufm


def cells(shown):
    """Rows of a table by their names; the HTML must be well formed."""
    return {row[0].text: row[1].text for row in ElementTree.fromstring(shown).iter("tr")}


def test_a_solution_shows_its_value_and_how_far_to_trust_it():
    solution = ufm.solve(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior.balanced(3))
    rows = cells(solution._repr_html_())
    assert float(rows["value"]) == pytest.approx(solution.value, rel=1e-11)
    assert rows["architecture"] == "LayerPeeled(E_W=1.0, E_H=1.0)"
    assert rows["optimum"] == "global optimum: the gap is closed"
    assert rows["phase"] == "none"
    assert "bias" not in rows


def test_an_open_gap_and_a_bias_are_shown():
    with pytest.warns(RuntimeWarning, match="upper bound, not a proven optimum"):
        solution = ufm.solve(
            ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior([3, 2, 1]), method="nuclear", max_iter=1, tol=1e-14, bias=0.5
        )
    rows = cells(solution._repr_html_())
    assert rows["bias"] == "weight decay 0.5"
    assert rows["optimum"] == "best found: no proof"
    assert "upper bound, not a proven optimum" in rows["warning"]


def test_a_certificate_shows_its_claim():
    certificate = ufm.certify(ufm.solve(ufm.LayerPeeled(1.0, 1.0), ufm.ClassPrior.balanced(3)))
    rows = cells(certificate._repr_html_())
    assert rows["kind"] == "value"
    assert rows["interval"] == f"[{certificate.lower!r}, {certificate.upper!r}]"
    assert "layer_peeled" in rows["architecture"]
