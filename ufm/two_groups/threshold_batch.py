"""Collapse thresholds on arrays: closed forms, or one root a point of the threshold curve (7), by Newton's method."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._validation import as_array, one_of
from ufm.two_groups.batch import check_values

__all__ = ["penalised_threshold_batch", "threshold_batch"]

Array = NDArray[np.float64]

#: Points worked on together: what stays in a processor's cache.
CHUNK = 1 << 14
MAX_STEPS = 60


def threshold_batch(
    num_majority: Any, num_minority: Any, *, E_W: Any, E_H: Any, rho: Any = 0.0, loss: str = "ce"
) -> Array:
    """R* of the layer-peeled model and the spectral linear DEQ at every point of broadcast arrays.

    What :func:`ufm.collapse_threshold` finds one at a time, to about 1e-11 relative.

    Args:
        num_majority: K_A >= 1.
        num_minority: K_B >= 2.
        E_W, E_H: budgets > 0.
        rho: spectral bound in [0, 1).
        loss: ``"ce"`` or ``"mse"``.

    Returns:
        R* in the broadcast shape; infinity where it is beyond the range of float64, or there is none.

    Raises:
        TypeError, ValueError: an argument that is not numeric, out of its range, or that does not broadcast.

    >>> threshold_batch([3, 5, 7], [7, 5, 3], E_W=1.0, E_H=5.0).round(6).tolist()
    [245.496931, 12.192447, 4.000467]
    """
    one_of("loss", loss, ("ce", "mse"))
    given = {"num_majority": num_majority, "num_minority": num_minority, "E_W": E_W, "E_H": E_H, "rho": rho}
    k_a, k_b, e_w, e_h, bound = _broadcast(given)
    flat = [x.reshape(-1) for x in (k_a, k_b, e_w, e_h, bound)]
    out = np.empty(k_a.size)
    for start in range(0, len(out), CHUNK):
        a, b, w, h, r = (x[start : start + CHUNK] for x in flat)
        with np.errstate(all="ignore"):
            tau = (a + b) * np.sqrt(w) * np.sqrt(h) / (1 - r)
            found = _ratios(a, b, tau) if loss == "ce" else np.where(tau < a, a / (a - tau), np.inf)
            out[start : start + CHUNK] = found
    return out.reshape(k_a.shape)


def penalised_threshold_batch(
    num_majority: Any,
    num_minority: Any,
    *,
    lambda_W: Any,
    lambda_H: Any,
    rho: Any = 0.0,
    kappa: Any = 1.0,
    num_samples: Any = None,
    majority_count: Any = None,
    minority_count: Any = None,
) -> Array:
    """R* under weight decay at every point of broadcast arrays: the R at which ``n_B kappa^2 = N^2 lam^2``.

    Here ``lam^2 = (1 - rho)^2 lambda_W lambda_H``. What :func:`ufm.collapse_threshold` finds one at a time where kappa
    hangs on no logits. It is 1 for cross-entropy, binary cross-entropy and mean squared error with a bias of any kind,
    and with shifts of the logits; ``1 - a`` with label smoothing a, times the weight of a minority class and the scale
    of its logits.

    Args:
        num_majority: K_A >= 1.
        num_minority: K_B >= 2.
        lambda_W, lambda_H: weight decay > 0.
        rho: spectral bound of an equilibrium layer in [0, 1).
        kappa: of the loss, > 0.
        num_samples, majority_count, minority_count: which of N, n_A and n_B is held fixed while R varies, exactly one.

    Returns:
        R* in the broadcast shape: 1 where the minority is collapsed at every R, infinity beyond the range of float64.

    Raises:
        TypeError, ValueError: an argument that is not numeric, out of its range, or that does not broadcast; not
            exactly one count.

    Source: theory section 7.

    >>> penalised_threshold_batch(5, 5, lambda_W=5e-3, lambda_H=5e-3, kappa=[1.0, 0.9, 0.8], minority_count=4).tolist()
    [19.0, 17.0, 15.0]
    """
    counts = {"num_samples": num_samples, "majority_count": majority_count, "minority_count": minority_count}
    held = [name for name, value in counts.items() if value is not None]
    if len(held) != 1:
        raise ValueError(
            f"exactly one of num_samples, majority_count and minority_count must be given, got {held or 'none'}"
        )
    given = {
        "num_majority": num_majority,
        "num_minority": num_minority,
        "lambda_W": lambda_W,
        "lambda_H": lambda_H,
        "rho": rho,
        "kappa": kappa,
        held[0]: counts[held[0]],
    }
    k_a, k_b, l_w, l_h, bound, slope, n = _broadcast(given)
    with np.errstate(all="ignore"):
        lam = np.sqrt(l_w) * np.sqrt(l_h) * (1 - bound) / slope
        if held[0] == "num_samples":
            n_b = np.minimum((n * lam) ** 2, n / (k_a + k_b))
            ratio = (n / n_b - k_b) / k_a
        elif held[0] == "minority_count":
            ratio = (1 / (lam * np.sqrt(n)) - k_b) / k_a
        else:
            # sqrt(n_B) is the smaller root of lam K_B x^2 - x + lam K_A n_A
            discriminant = 1 - 4 * (lam * lam) * k_b * k_a * n
            root = 2 * lam * k_a * np.sqrt(n) / (1 + np.sqrt(np.maximum(discriminant, 0.0)))
            ratio = np.where(discriminant < 0, 1.0, 1 / root**2)
    return np.asarray(np.maximum(1.0, ratio), dtype=np.float64)


def _broadcast(given: dict[str, Any]) -> tuple[Array, ...]:
    """The arguments as arrays of one shape, their values looked at."""
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
        return tuple(np.broadcast_arrays(*arrays.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {value.shape}" for name, value in arrays.items() if value.shape)
        raise ValueError(f"arguments must broadcast to one shape, got {shapes}") from None


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
