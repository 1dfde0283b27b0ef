"""The door of every array: what passes it, and what is refused by name."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ufm._validation import array, as_array
from ufm.geometry import cosine_matrix, etf_error, general_orthogonal_frame, name_structure


@pytest.mark.parametrize("value", [[[1, 2]], ((1.0, 2.0),), np.ones((1, 2), np.float16), np.ma.ones((1, 2))])
def test_what_passes(value):
    found = array("x", value, ndim=2)
    assert found.dtype == np.float64
    assert found.shape == (1, 2)
    assert type(found) is np.ndarray


def test_tensors():
    torch = pytest.importorskip("torch")
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int32):
        x = torch.arange(4).to(dtype)
        assert array("x", x).tolist() == [0, 1, 2, 3]
    assert array("x", torch.ones(2, requires_grad=True)).tolist() == [1, 1]
    with pytest.raises(TypeError, match="x must be real numbers, got dtype bool"):
        array("x", torch.tensor([True]))
    with pytest.raises(TypeError, match="x must be an array of numbers, got Tensor"):
        array("x", torch.eye(2).to_sparse())


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (np.ma.array([1, 2], mask=[0, 1]), TypeError, "x must have no masked entries, got 1"),
        ([np.ma.array([1, 2], mask=[0, 1]), [3, 4]], TypeError, "x must have no masked entries, got 1"),
        ([1.0, np.ma.masked], TypeError, "x must have no masked entries, got 1"),
        ([1, 2j], TypeError, "x must be real numbers, got dtype complex128"),
        ([True, False], TypeError, "x must be real numbers, got dtype bool"),
        (["1"], TypeError, "x must be real numbers, got dtype <U1"),
        ([None], TypeError, "x must be real numbers, got dtype object"),
        (None, TypeError, "x must be real numbers, got NoneType"),
        ({1: 2}, TypeError, "x must be real numbers, got dict"),
        (np.array(["2020"], dtype="datetime64"), TypeError, "x must be real numbers, got dtype datetime64"),
        ([[1], [1, 2]], ValueError, "x must be an array of numbers, got list"),
        ([1.0, math.nan], ValueError, "x must be finite, got nan at index 1"),
        ([[1.0], [-math.inf]], ValueError, r"x must be finite, got -inf at index \(1, 0\)"),
        (math.inf, ValueError, "x must be finite, got inf$"),
        ([], ValueError, r"x must have any shape and not be empty, got shape \(0,\)"),
    ],
)
def test_what_is_refused(value, error, message):
    with pytest.raises(error, match=message):
        array("x", value)


def test_shape_type_and_size():
    with pytest.raises(ValueError, match=r"x must have shape \(n, d\) and not be empty, got shape \(2,\)"):
        array("x", [1, 2], ndim=2, shape="(n, d)")
    with pytest.raises(TypeError, match="x must be integers, got dtype float64"):
        array("x", [1.0], integers=True)
    with pytest.raises(ValueError, match=r"x must be finite and at most 10 in size, got -11\.0 to 3\.0"):
        array("x", [-11, 3], largest=10)
    assert array("x", [], empty=True, dtype=None).shape == (0,)
    assert as_array("x", ["a"]).tolist() == ["a"]


HIDDEN = np.ma.array(np.eye(3), mask=[[True, False, False]] * 3)


@pytest.mark.parametrize(
    "call",
    [
        lambda: etf_error(HIDDEN),
        lambda: cosine_matrix(HIDDEN),
        lambda: name_structure(HIDDEN),
        lambda: general_orthogonal_frame(HIDDEN[0]),
    ],
)
def test_no_door_lets_masked_entries_through(call):
    with pytest.raises(TypeError, match="must have no masked entries"):
        call()
