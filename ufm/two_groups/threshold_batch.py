"""Collapse thresholds on arrays: every point one root of the threshold curve (7), by Newton's method on all at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._validation import as_array
from ufm.two_groups.batch import check_values

__all__ = ["threshold_batch"]

Array = NDArray[np.float64]

#: Points worked on together: what stays in a processor's cache.
CHUNK = 1 << 14
MAX_STEPS = 60


def threshold_batch(num_majority: Any, num_minority: Any, *, E_W: Any, E_H: Any, rho: Any = 0.0) -> Array:
    """R* of the layer-peeled model and the spectral linear DEQ under cross-entropy, at every point of broadcast arrays.

    What :func:`ufm.collapse_threshold` finds one at a time, to about 1e-11 relative.

    Args:
        num_majority: K_A >= 1.
        num_minority: K_B >= 2.
        E_W, E_H: budgets > 0.
        rho: spectral bound in [0, 1).

    Returns:
        R* in the broadcast shape; infinity where it is beyond the range of float64.

    Raises:
        TypeError, ValueError: an argument that is not numeric, out of its range, or that does not broadcast.

    >>> threshold_batch([3, 5, 7], [7, 5, 3], E_W=1.0, E_H=5.0).round(6).tolist()
    [245.496931, 12.192447, 4.000467]
    """
    given = {"num_majority": num_majority, "num_minority": num_minority, "E_W": E_W, "E_H": E_H, "rho": rho}
    arrays = {}
    for name, value in given.items():
        found = as_array(name, value)
        if found.dtype.kind not in "iuf":
            raise TypeError(f"{name} must be real numbers, got {found.dtype}")
        arrays[name] = found.astype(np.float64)
        check_values(name, arrays[name])
    if arrays["num_minority"].size and arrays["num_minority"].min() < 2:
        raise ValueError("num_minority must be at least 2 everywhere: a single minority class cannot collapse")
    try:
        k_a, k_b, e_w, e_h, bound = np.broadcast_arrays(*arrays.values())
    except ValueError:
        shapes = ", ".join(f"{name} {value.shape}" for name, value in arrays.items() if value.shape)
        raise ValueError(f"arguments must broadcast to one shape, got {shapes}") from None
    flat = [x.reshape(-1) for x in (k_a, k_b, e_w, e_h, bound)]
    out = np.empty(k_a.size)
    for start in range(0, len(out), CHUNK):
        a, b, w, h, r = (x[start : start + CHUNK] for x in flat)
        with np.errstate(all="ignore"):
            out[start : start + CHUNK] = _ratios(a, b, (a + b) * np.sqrt(w) * np.sqrt(h) / (1 - r))
    return out.reshape(k_a.shape)


def _ratios(k_a: Array, k_b: Array, tau: Array) -> Array:
    """R* at radii tau: Newton's method in ``w = log(top - angle)``, in which log tau is almost linear at either end."""
    top, target = 0.5 * np.log(k_a / k_b), np.log(tau)
    low, high = np.full(len(tau), -80.0), np.full(len(tau), np.log(600.0))
    w = np.zeros(len(tau))
    ratio = np.empty(len(tau))
    rest = np.arange(len(tau))
    for _ in range(MAX_STEPS):
        depth = np.exp(w)
        at, slope, _ = _curve(top - depth, k_a, k_b)
        excess = np.where(at > 0, np.log(np.maximum(at, 1e-300)) - target, -np.inf)
        low, high = np.where(excess < 0, w, low), np.where(excess > 0, w, high)
        new = w - excess * at / (-slope * depth)
        new = np.where((new > low) & (new < high), new, 0.5 * (low + high))
        done = (np.abs(new - w) <= 1e-9) | (high - low <= 1e-14)
        if done.any():
            # a step of 1e-9 leaves an error of its square
            ratio[rest[done]] = _curve(top[done] - np.exp(new[done]), k_a[done], k_b[done])[2]
            keep = ~done
            rest, top, target, low, high, new = (x[keep] for x in (rest, top, target, low, high, new))
            k_a, k_b = k_a[keep], k_b[keep]
        w = new
        if not len(rest):
            break
    else:
        ratio[rest] = _curve(top - np.exp(w), k_a, k_b)[2]
    return np.maximum(1.0, np.exp(ratio))


def _curve(angle: Array, k_a: Array, k_b: Array) -> tuple[Array, Array, Array]:
    """``tau``, ``d tau / d angle`` and ``log R*`` at angles: (7), as in :mod:`ufm.two_groups.thresholds`."""
    k = k_a + k_b
    e = np.exp(angle)
    cos = 1 / np.sqrt(1 + e * e)
    sin = e * cos
    a, b = np.sqrt(k_b / k), np.sqrt(k_a / k)
    q = (k_a / k + k_b / k * sin * sin) / (1 + a * cos) / k_a
    rest = (k_b / k + k_a / k * cos * cos) / (1 + b * sin)
    v = k_b * np.log(rest * np.sqrt(k * k_a) / (k_b * sin))
    d = np.log(q * np.sqrt(k * k_b) / cos)
    scale = np.sqrt(k_a / k_b) / e
    s = scale * v - k_a * d
    tau = (k_a - 1) * s + b * v / sin
    dq = a * cos * sin * sin / k_a
    dv = -k_b * cos * cos * (b * sin / rest + 1)
    ds = scale * (dv - v) - k_a * (dq / q + sin * sin)
    dtau = (k_a - 1) * ds + b * (dv - v * cos * cos) / sin
    near = np.minimum(s, 1.0)
    far = np.maximum(s, 1.0)
    log_ratio = np.where(s < 1, np.log1p(q * np.expm1(near)), far + np.log(q + (1 - q) * np.exp(-far)))
    return tau, dtau, log_ratio
