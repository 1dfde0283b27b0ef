"""Decompositions of matrices on which LAPACK's divide and conquer may end without a result."""

from __future__ import annotations

import numpy as np
import pytest

from ufm import _linalg


def _fails(*_, **__):
    raise np.linalg.LinAlgError("did not converge")


@pytest.mark.parametrize("shape", [(5, 5), (2, 3, 4, 4)])
def test_symmetric_matrices_without_divide_and_conquer(monkeypatch, shape):
    m = np.random.default_rng(0).standard_normal(shape)
    m = m + np.swapaxes(m, -1, -2)
    expected = np.linalg.eigh(m)
    for name in ("eigh", "eigvalsh"):
        monkeypatch.setattr(np.linalg, name, _fails)
    values, vectors = _linalg.eigh(m)
    assert values == pytest.approx(expected[0], abs=1e-13)
    assert _linalg.eigvalsh(m) == pytest.approx(values)
    assert np.allclose(vectors * values[..., None, :], m @ vectors, atol=1e-13)


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 4, 3)])
def test_singular_values_without_divide_and_conquer(monkeypatch, shape, full):
    m = np.random.default_rng(1).standard_normal(shape)
    expected = np.linalg.svd(m, full_matrices=full)
    monkeypatch.setattr(np.linalg, "svd", _fails)
    u, s, vt = _linalg.svd(m, full_matrices=full)
    assert [part.shape for part in (u, s, vt)] == [part.shape for part in expected]
    assert s == pytest.approx(expected[1])
    assert _linalg.svdvals(m) == pytest.approx(s)
    r = s.shape[-1]
    assert np.allclose((u[..., :r] * s[..., None, :]) @ vt[..., :r, :], m, atol=1e-13)


@pytest.mark.parametrize("name", ["eigh", "eigvalsh", "svd", "svdvals"])
def test_what_is_not_finite_is_refused(monkeypatch, name):
    for routine in ("eigh", "eigvalsh", "svd"):
        monkeypatch.setattr(np.linalg, routine, _fails)
    with pytest.raises(np.linalg.LinAlgError, match="not finite"):
        getattr(_linalg, name)(np.full((2, 2), np.nan))
