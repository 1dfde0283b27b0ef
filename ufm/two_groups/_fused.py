"""The two-group problem under cross-entropy in blocks of points, compiled: :mod:`_arrays` without its temporaries.

The formulas are those of :mod:`ufm.two_groups._arrays`. A block of points lies in rows of one array that fits into a
processor's nearest caches. Every loop over it is free of branches, so that the compiler puts 4 or 8 points into each
instruction, and short, so that the processor has several turns of it under way at once: one loop takes exponentials,
one logarithms, and what has to be divided is inverted as one product. Points that total collapse does not settle go on
to Newton's method, packed; what has converged leaves the pack. From its second step on the method interpolates the
inverse function through both last points (Hermite), which costs no evaluation more. A point that takes the formulas for
small radii, or whose gap stays open, is *left*, for the arrays to solve. Without Numba the same functions run
interpreted, which is for tests. Numbers in parentheses as in :mod:`ufm.two_groups`.
"""

from __future__ import annotations

import numpy as np

from ufm.two_groups._arrays import NONE, PARTIAL, SMALL, TOTAL
from ufm.two_groups._vector import COMPILED, compiled, exp, expm1, lanes, log, log1p

__all__ = ["BLOCK", "BUILT_IN", "COMPILED", "budgets", "weight_decay"]

#: Digest of what is built into the machine code from other files, which Numba does not look at: see
#: ``tests/test_machine_code.py``.
BUILT_IN = "bcf083fa6043c830"

#: Points of a block.
BLOCK = 384
_ROWS = 44
#: Numbers between rows: 49 lines of cache and not 48, so that rows do not meet in the same places of it.
_STRIDE = BLOCK + 8
#: Points of an instruction, to a multiple of which packs are filled up.
_WIDTH = 8
_MAX_STEPS = 16
#: A step of Newton's method after which the next error is rounding; with Hermite's, the product of the last two.
_QUADRATIC = 1e-8
_QUARTIC = 1e-9
#: Both are relative to x, down to here: rounding ends what is relative.
_SHORTEST = 1e-5
#: How far beyond the kink a step goes that would cross it.
_NUDGE = 1e-12
#: Relative excess of the gauge over the radius that is more than rounding, and that no solution's logits have.
_OUTSIDE, _FAR_OUTSIDE = 1e-13, 1e-8
#: Largest relative gap of a point that is not left.
_GAP = 1e-12
#: Largest logits, least risk, largest R, least beta and most classes that the loops take: products of all that is
#: inverted together stay within float64.
_MOST, _LEAST, _LARGEST_RATIO, _LEAST_BETA, _MOST_CLASSES = 600.0, 1e-250, 1e130, 1e-60, 1e6
#: Multiplies what is from 1e-250 to 1 before it is squared, so that squares stay within float64.
_BIG = 2.0**450

# Rows: arguments, what is known of a point, the pack, and what a step computes of it
_ARGS = [np.uint64(i * _STRIDE) for i in range(_ROWS)]
K_A, K_B, RATIO, SCALE, S_A, S_B, D_A, D_B, PHASE, LEFT, SETTLED, AT, SIDE, VALUE, LOWER, NORM = _ARGS[:16]
PK_A, PK_B, PLOG, PSCALE, X, LOW, HIGH, X0, F0, G0, WAS, DONE = _ARGS[16:28]
E, OVER, A, B, LOG_A, LOG_B, A_X, B_L, NOW, P, P_X, Q, Q_X, T, T_X, INVERSE = _ARGS[28:44]
_ONE, _FILL = np.uint64(1), np.uint64(_WIDTH - 1)
# Places of the index behind those of the pack's points: which of these have come to their end, and which have not
_ENDED, _STAYING = np.uint64(BLOCK), np.uint64(2 * BLOCK)


@compiled
def _exps(w, row, n):  # type: ignore[no-untyped-def]
    for i in range(n):
        w[row + i] = exp(w[row + i])


@compiled
def _expm1s(w, row, n):  # type: ignore[no-untyped-def]
    for i in range(n):
        w[row + i] = expm1(w[row + i])


@compiled
def _logs(w, row, n):  # type: ignore[no-untyped-def]
    for i in range(n):
        w[row + i] = log(w[row + i])


@compiled
def _log1ps(w, row, n):  # type: ignore[no-untyped-def]
    for i in range(n):
        w[row + i] = log1p(w[row + i])


@compiled
def _totals(w, n):  # type: ignore[no-untyped-def]
    """Test total collapse with budgets (6), ``R beta_A = beta_B`` and ``1/beta_A = 1 + w``."""
    for i in range(n):
        k_a, radius = w[K_A + i], w[SCALE + i]
        share = radius / (max(k_a - 1, 1.0) * k_a)
        s = share * k_a
        w[S_A + i], w[S_B + i], w[D_A + i], w[D_B + i], w[AT + i] = s, 0.0, -share, 0.0, 0.0
        w[P + i], w[Q + i] = -s, -share
    _expm1s(w, P, n)
    _expm1s(w, Q, n)
    for i in range(n):
        k_a, k_b, ratio, radius = w[K_A + i], w[K_B + i], w[RATIO + i], w[SCALE + i]
        s, grown, near = w[S_A + i], w[P + i], w[Q + i]
        k = k_a + k_b
        fall, rest = 1 + grown, k + k_a * near
        over = -grown * (1 + near) / (fall * rest)
        # (1 - beta_B^{-2} - c) (R rest)^2
        margin = (ratio - 1 - over) * (ratio + 1 + over) * (rest * rest) + ratio * ratio * k_b * near * (k + rest)
        total = (k_a >= 2) & (ratio > 1) & (margin >= 0)
        hard = (s > _MOST) | (ratio > _LARGEST_RATIO) | (k > _MOST_CLASSES)
        small = (radius < SMALL * (k_a * (k_a - 1) + k_b * (k_b - 1) + 1)) & (not total)
        w[PHASE + i] = NONE if k_b < 2 else TOTAL
        w[LEFT + i] = 1.0 if hard | small else 0.0
        w[SETTLED + i] = 1.0 if total | hard | small else 0.0


@compiled
def _pack(w, index, n, which):  # type: ignore[no-untyped-def]
    """Write the positions of what is not settled to ``index``; return how many."""
    m = np.uint64(0)
    for i in range(n):
        index[m] = i
        m += np.uint64(w[SETTLED + i] == which)
    return m


@compiled
def _fill(w, index, m):  # type: ignore[no-untyped-def]
    """Copy the arguments of points, and where they are, to the pack; return its length."""
    for j in range(m):
        i = index[j]
        w[PK_A + j], w[PK_B + j], w[PLOG + j], w[PSCALE + j] = w[K_A + i], w[K_B + i], w[RATIO + i], w[SCALE + i]
        w[X + j] = w[AT + i]
    return _pad(w, m)


@compiled
def _pad(w, m):  # type: ignore[no-untyped-def]
    """Fill the pack up with its last point; return its length."""
    full = (m + _FILL) & ~_FILL
    for j in range(m, full):
        _move(w, j, m - _ONE)
    return full


@lanes
def _move(w, to, at):  # type: ignore[no-untyped-def]
    """Copy a point of the pack to another place in it."""
    w[PK_A + to], w[PK_B + to], w[PLOG + to], w[PSCALE + to] = w[PK_A + at], w[PK_B + at], w[PLOG + at], w[PSCALE + at]
    w[X + to], w[LOW + to], w[HIGH + to], w[X0 + to] = w[X + at], w[LOW + at], w[HIGH + at], w[X0 + at]
    w[F0 + to], w[G0 + to], w[WAS + to], w[DONE + to] = w[F0 + at], w[G0 + at], w[WAS + at], w[DONE + at]


@compiled
def _begin(w, m):  # type: ignore[no-untyped-def]
    """The first step from balance, x = 0, where u = radius/(K-1) and all of (4) is rational."""
    for j in range(m):
        k_a, k_b, radius = w[PK_A + j], w[PK_B + j], w[PSCALE + j]
        parts = max(k_a * (k_a - 1), 1.0)
        below = radius / ((k_a + k_b - 1) * parts)
        w[P + j], w[Q + j] = -below * parts, -below * (k_a + k_b - 1)
    _exps(w, P, m)
    _exps(w, Q, m)
    for j in range(m):
        k_a, k_b, radius, fall, alpha = w[PK_A + j], w[PK_B + j], w[PSCALE + j], w[P + j], w[Q + j]
        k = k_a + k_b
        # E at which v = 0 on the collapsed branch, and one over the slope of log R
        half = 0.5 * alpha * k_a
        y = half + np.sqrt(half * half + k_b * (k_b + alpha * k_a))
        bottom, square = radius + (k - 1) * (k - 1 + fall), k * k_a
        over = 1 / (bottom * square)
        e2 = (y * y - k * k_b) * (bottom * over)
        exists = (k_a >= 2) & (e2 > 1e-280)
        w[G0 + j] = -(1 + (k - 1) * fall) * ((k - 1) * square * over)
        w[LOW + j], w[NOW + j] = e2 if exists else 1.0, exists
    _logs(w, PLOG, m)
    _logs(w, LOW, m)
    for j in range(m):
        target, inverse, low, exists = w[PLOG + j], w[G0 + j], 0.5 * w[LOW + j], w[NOW + j] > 0
        low = low if exists else -np.inf
        x = inverse * target
        w[X + j], w[LOW + j], w[HIGH + j] = x if x > low else 0.5 * low, low, 0.0
        w[X0 + j], w[F0 + j], w[WAS + j], w[DONE + j] = 0.0, -target, 0.0, 1.0 if target == 0 else 0.0


@lanes
def _sides(k_a, k_b, e):  # type: ignore[no-untyped-def]
    """E^2, y, and A and B as fractions, to be inverted together with y (4)."""
    e2 = e * e
    y2 = (k_a + k_b) * (k_b + k_a * e2)
    y = np.sqrt(y2)
    top_a, bottom_a = k_b + (k_a + k_b) * e2, y + k_b
    top_b, bottom_b = k_a + k_b + k_a * e2, y + k_a * e
    return e2, y, top_a, bottom_a, top_b, bottom_b


@compiled
def _frames(w, m):  # type: ignore[no-untyped-def]
    """The frame (4) of a pack's x: E, 1/y, A, B, their logarithms d_A and d_B, and derivatives in x."""
    for j in range(m):
        w[E + j] = exp(w[X + j])
    for j in range(m):
        k_a, k_b, e = w[PK_A + j], w[PK_B + j], w[E + j]
        e2, y, top_a, bottom_a, top_b, bottom_b = _sides(k_a, k_b, e)
        both_a, both_b = top_a * bottom_a, top_b * bottom_b
        both = both_a * both_b
        inverse = 1 / (both * y)
        over, under, inverse_y = both_b * (y * inverse), both_a * (y * inverse), both * inverse
        k, a2 = k_a + k_b, k_a * e2
        y_x = k * a2 * inverse_y
        a, b = top_a * top_a * over, top_b * top_b * under
        w[OVER + j], w[A + j], w[B + j], w[LOG_A + j], w[LOG_B + j] = inverse_y, a, b, a, b
        w[A_X + j] = (2 * k * e2 * bottom_a - y_x * top_a) * over
        w[B_L + j] = (2 * a2 * bottom_b - (y_x + k_a * e) * top_b) * under
    _logs(w, LOG_A, m)
    _logs(w, LOG_B, m)


@compiled
def _scales(w, m):  # type: ignore[no-untyped-def]
    """u (5), s_A and s_B or, where B is collapsed, d_B, of a pack's points; derivatives; and s_B beyond the kink."""
    for j in range(m):
        k_a, k_b, radius = w[PK_A + j], w[PK_B + j], w[PSCALE + j]
        e, inverse_y, a_x, b_x = w[E + j], w[OVER + j], w[A_X + j], w[B_L + j] - 1
        d_a, d_b = w[LOG_A + j], w[LOG_B + j] - w[X + j]
        a2 = k_a * (e * e)
        c_a, c_b = k_a * (k_a - 1), k_b * (k_b - 1)
        # (5): u = top/bottom, from gauge = radius, without s_B and with it
        top, top_x = radius + c_a * d_a, c_a * a_x
        bottom, bottom_x = (k_b + a2) * inverse_y + (k_a - 1), a2 * inverse_y
        full, below = top + c_b * d_b, bottom + (k_b - 1) * e
        collapsed = full * e < k_b * d_b * below
        top, top_x = top if collapsed else full, top_x + (0.0 if collapsed else c_b * b_x)
        bottom, bottom_x = bottom if collapsed else below, bottom_x + (0.0 if collapsed else (k_b - 1) * e)
        over = 1 / (bottom * k_b)
        inverse_k, part = bottom * over, k_b * over
        u = top * part
        u_x = (top_x - u * bottom_x) * part
        v, v_x = u * e, (u + u_x) * e
        s_b, s_b_x = v - k_b * d_b, v_x - k_b * b_x
        w[P + j], w[P_X + j] = u - k_a * d_a, u_x - k_a * a_x
        w[Q + j], w[Q_X + j] = v * inverse_k if collapsed else s_b, v_x * inverse_k if collapsed else s_b_x
        w[T + j], w[T_X + j], w[NOW + j] = s_b, s_b_x if collapsed else 1.0, 1.0 if collapsed else 0.0


@compiled
def _ratios(w, m):  # type: ignore[no-untyped-def]
    """``log R(x) - log R`` (5) of a pack's points, one over its slope, the side of the kink, and the way to there."""
    for j in range(m):
        w[LOG_A + j] = exp(-w[P + j])
    for j in range(m):
        w[LOG_B + j] = exp(-w[Q + j])
    for j in range(m):
        k_a, k_b, x, target = w[PK_A + j], w[PK_B + j], w[X + j], w[PLOG + j]
        inverse_y, s_a, z, fall_a, fall_b = w[OVER + j], w[P + j], w[Q + j], w[LOG_A + j], w[LOG_B + j]
        e, collapsed = w[E + j], w[NOW + j] > 0
        y_l = (k_a + k_b) * k_a * (e * e) * (inverse_y * inverse_y)
        # (4): -log beta_a = s_a + log(q + (1-q) e^{-s_a}), q = A/y; (5), collapsed: x + d + log((K_B + K_A e^{-d})/y)
        q_a, q_b = w[A + j] * inverse_y, (k_b if collapsed else w[B + j]) * inverse_y
        g_a, g_b = q_a + (1 - q_a) * fall_a, q_b + (k_a * inverse_y if collapsed else 1 - q_b) * fall_b
        grow_a = q_a * ((w[A_X + j] - y_l) * (1 - fall_a) + w[P_X + j])
        grow_b = q_b * ((0.0 if collapsed else (w[B_L + j] - y_l) * (1 - fall_b)) + w[Q_X + j])
        # the slope is grow_a/g_a - grow_b/g_b, less 1 - y_l where B is collapsed
        both = g_a * g_b
        slope = grow_a * g_b - grow_b * g_a - (both * (1 - y_l) if collapsed else 0.0)
        turn = w[T_X + j]
        inner = 1 / (both * slope * turn)
        w[INVERSE + j] = both * both * (turn * inner)
        w[T + j] = -w[T + j] * (both * slope * inner) if collapsed & (k_b >= 2) else np.inf
        w[Q + j], w[P + j] = g_a * g_a * (slope * turn * inner), s_a - z - (x if collapsed else 0.0) - target
    _logs(w, Q, m)


@compiled
def _advance(w, m):  # type: ignore[no-untyped-def]
    """Step along the inverse function through a point and the one before; return how many have come to their end."""
    ended = 0
    for j in range(m):
        x, excess, inverse, side, to_kink = w[X + j], w[P + j] + w[Q + j], w[INVERSE + j], w[NOW + j], w[T + j]
        x0, f0, g0 = w[X0 + j], w[F0 + j], w[G0 + j]
        same = (side == w[WAS + j]) & (abs(f0) > abs(excess)) & (abs(excess) > 1e-12)
        bend = _bend(x, excess, inverse, x0, f0, g0, same)
        newton = -excess * inverse
        same = same & (abs(bend) < 0.5 * abs(newton))
        step = newton + (bend if same else 0.0)
        clamped = step > to_kink
        step = 1.05 * to_kink + _NUDGE if clamped else step
        low, high = w[LOW + j], w[HIGH + j]
        low, high = x if excess > 0 else low, high if excess > 0 else x
        new = x + step
        inside = ((low < new) & (new < high)) | (abs(step) <= _QUADRATIC)
        middle = 0.5 * (low + high) if low > -np.inf else 2 * high - 1
        new = new if inside else middle
        now = 1.0 if inside & (not clamped) & _is_close(x, new, abs(step), x0, same) else 0.0
        done = w[DONE + j]
        w[X + j] = x if done > 0 else new
        w[DONE + j] = max(done, now)
        w[WAS + j] = w[WAS + j] if done > 0 else side
        w[X0 + j], w[F0 + j], w[G0 + j], w[LOW + j], w[HIGH + j] = x, excess, inverse, low, high
        ended += 1 if done + now > 0 else 0
    return ended


@lanes
def _bend(x, value, inverse, x0, f0, g0, same):  # type: ignore[no-untyped-def]
    """What Hermite's polynomial through two points of the inverse function adds to Newton's step."""
    rise = 1 / (f0 - value if same else 1.0)
    chord = (x0 - x) * rise
    second = (chord - inverse) * rise
    third = ((g0 - chord) * rise - second) * rise
    return value * value * (second - third * f0)


@lanes
def _is_close(x, new, size, x0, same):  # type: ignore[no-untyped-def]
    """Whether a step's error is rounding."""
    unit = max(min(abs(x), 1.0), _SHORTEST)
    return (size <= _QUADRATIC * unit) | (same & (size * abs(new - x0) <= _QUARTIC * unit * unit))


@compiled
def _step(w, m):  # type: ignore[no-untyped-def]
    """One step of solving ``log R(x) = log R`` (5); return how many have come to their end."""
    _frames(w, m)
    _scales(w, m)
    _ratios(w, m)
    return _advance(w, m)


@compiled
def _shrink(w, index, m):  # type: ignore[no-untyped-def]
    """Write where points that have come to their end are to their places, and fill their gaps from the pack's end."""
    ended, staying = np.uint64(0), np.uint64(0)
    for j in range(m):  # without a branch: a processor cannot foresee which points end
        index[_ENDED + ended], index[_STAYING + staying] = j, j
        done = np.uint64(w[DONE + j] > 0)
        ended += done
        staying += _ONE - done
    gaps = np.uint64(0)
    for q in range(ended):
        j = index[_ENDED + q]
        i = index[j]
        w[AT + i], w[SIDE + i] = w[X + j], w[WAS + j]
        gaps += np.uint64(j < staying)
    for q in range(gaps):
        to, at = index[_ENDED + q], index[_STAYING + staying - gaps + q]
        index[to] = index[at]
        _move(w, to, at)
    return staying


@compiled
def _leave(w, index, m):  # type: ignore[no-untyped-def]
    """Mark the points of a pack as left."""
    for j in range(m):
        w[LEFT + index[j]] = 1.0


@compiled
def _logits(w, m):  # type: ignore[no-untyped-def]
    """s, d and the phase at x, into the pack's first rows after its arguments."""
    _frames(w, m)
    _scales(w, m)
    for j in range(m):
        k_a, k_b, s_a, z, collapsed = w[PK_A + j], w[PK_B + j], w[P + j], w[Q + j], w[NOW + j] > 0
        d_a, d_b = w[LOG_A + j], w[LOG_B + j] - w[X + j]
        w[LOW + j] = 0.0 if k_a < 2 else s_a
        w[HIGH + j] = 0.0 if collapsed | (k_b < 2) else z
        w[X0 + j] = s_a + k_a * d_a if k_a < 2 else d_a
        w[F0 + j] = z if collapsed else z + d_b if k_b < 2 else d_b
        w[G0 + j] = PARTIAL if collapsed & (k_b >= 2) else NONE
        w[WAS + j] = w[NOW + j]


@compiled
def _unpack(w, index, m):  # type: ignore[no-untyped-def]
    """The pack's logits to their points; one that has come to another side of the kink is left."""
    for j in range(m):
        i = index[j]
        w[LEFT + i] = 1.0 if w[SIDE + i] != w[WAS + j] else w[LEFT + i]
        w[S_A + i], w[S_B + i] = w[LOW + j], w[HIGH + j]
        w[D_A + i], w[D_B + i], w[PHASE + i] = w[X0 + j], w[F0 + j], w[G0 + j]


@compiled
def _columns(w, n):  # type: ignore[no-untyped-def]
    """Of a column of either group: probabilities of a wrong class of both (A, LOG_A; B, LOG_B), and loss (P; Q)."""
    for i in range(n):
        w[A + i] = exp(-w[S_A + i])
    for i in range(n):
        w[B + i] = exp(-w[S_B + i])
    for i in range(n):
        w[LOG_A + i] = exp(-w[S_A + i] - w[D_A + i])
    for i in range(n):
        w[LOG_B + i] = exp(-w[S_B + i] - w[D_B + i])
    for i in range(n):
        a, b, r_a, r_b = w[K_A + i], w[K_B + i], w[LOG_A + i], w[LOG_B + i]
        q_a, q_b = w[A + i] if a >= 2 else 0.0, w[B + i] if b >= 2 else 0.0
        miss_a, miss_b = (a - 1) * q_a + b * r_a, (b - 1) * q_b + a * r_b
        all_a, all_b = 1 + miss_a, 1 + miss_b
        over = 1 / (all_a * all_b)
        share_a, share_b = all_b * over, all_a * over
        w[A + i], w[B + i], w[LOG_A + i], w[LOG_B + i] = q_a * share_a, q_b * share_b, r_a * share_a, r_b * share_b
        # log(1 + x) is log(u) + (x - (u - 1))/u with u = 1 + x rounded
        w[P + i], w[Q + i] = all_a, all_b
        w[P_X + i], w[Q_X + i] = (miss_a - (all_a - 1)) * share_a, (miss_b - (all_b - 1)) * share_b
    _logs(w, P, n)
    _logs(w, Q, n)


@lanes
def _sums(w, i, pi_a, pi_b):  # type: ignore[no-untyped-def]
    """Risk and ``-<gradient, Z>`` of probabilities pi."""
    a, b, s_a, s_b = w[K_A + i], w[K_B + i], w[S_A + i], w[S_B + i]
    spread_a = (a - 1) * w[A + i] * s_a + b * w[LOG_A + i] * (s_a + w[D_A + i])
    spread_b = (b - 1) * w[B + i] * s_b + a * w[LOG_B + i] * (s_b + w[D_B + i])
    risk = a * pi_a * (w[P + i] + w[P_X + i]) + b * pi_b * (w[Q + i] + w[Q_X + i])
    return risk, a * pi_a * spread_a + b * pi_b * spread_b


@lanes
def _norm(w, i, price_a, price_b):  # type: ignore[no-untyped-def]
    """Dual norm (2) of the gradient: of its standard representations and of its trivial block."""
    a, b, r_a, r_b = w[K_A + i], w[K_B + i], w[LOG_A + i], w[LOG_B + i]
    dual_a = 0.0 if a < 2 else price_a * (a * w[A + i] + b * r_a)
    dual_b = 0.0 if b < 2 else price_b * (b * w[B + i] + a * r_b)
    cross_a, cross_b = _BIG * price_a * r_a, _BIG * price_b * r_b
    trivial = np.sqrt((a + b) * (b * cross_a * cross_a + a * cross_b * cross_b)) * (1 / _BIG)
    return max(trivial, max(dual_a, dual_b))


@compiled
def _bounds(w, n):  # type: ignore[no-untyped-def]
    """Value, bound and multiplier (9) of logits from scratch, on the sphere of the gauge."""
    for i in range(n):
        a, b, ratio, radius = w[K_A + i], w[K_B + i], w[RATIO + i], w[SCALE + i]
        s_a, s_b, d_a, d_b = w[S_A + i], w[S_B + i], w[D_A + i], w[D_B + i]
        k, mass = a + b, a * ratio + b
        over = 1 / (k * mass * radius)
        u, v = s_a + a * d_a, s_b + b * d_b
        gauge = (a - 1) * s_a + (b - 1) * s_b + np.sqrt((b * u * u + a * v * v) * (mass * radius * over))
        # rounding puts logits so little outside that 1 - w is as good as 1/(1 + w)
        outside = (gauge - radius) * (k * mass * over)
        scale = 1 - outside if outside > _OUTSIDE else 1.0
        w[S_A + i], w[S_B + i], w[D_A + i], w[D_B + i] = s_a * scale, s_b * scale, d_a * scale, d_b * scale
        w[OVER + i] = k * radius * over
        w[LEFT + i] = w[LEFT + i] if outside < _FAR_OUTSIDE else 1.0
    _columns(w, n)
    for i in range(n):
        pi_b = w[OVER + i]
        pi_a = w[RATIO + i] * pi_b
        risk, spread = _sums(w, i, pi_a, pi_b)
        norm = _norm(w, i, pi_a, pi_b)
        gap = max(w[SCALE + i] * norm - spread, 0.0)
        w[VALUE + i], w[LOWER + i], w[NORM + i] = risk, risk - gap, norm
        w[LEFT + i] = w[LEFT + i] if (gap <= _GAP * risk) & (risk > _LEAST) else 1.0


@compiled
def _solve(w, index, n):  # type: ignore[no-untyped-def]
    """Logits and phases of a block's points that total collapse does not settle; exponentials taken."""
    size = _pack(w, index, n, 0.0)
    if size == 0:
        return 0
    m = _fill(w, index, size)
    _begin(w, m)
    rest, steps, ended = size, np.uint64(0), 0
    for _ in range(_MAX_STEPS):
        steps += rest - min(np.uint64(ended), rest)
        ended = _step(w, m)
        if 4 * ended >= rest:
            rest, ended = _shrink(w, index, rest), 0
            if rest == 0:
                break
            m = _pad(w, rest)
    _leave(w, index, _shrink(w, index, rest))
    size = _pack(w, index, n, 0.0)
    m = _fill(w, index, size)
    _logits(w, m)
    _unpack(w, index, size)
    return 6 * int(steps) + 7 * int(size)


@compiled
def _decay_totals(w, n):  # type: ignore[no-untyped-def]
    """Test vanishing logits and, at the largest scale that (6) allows, total collapse with weight decay."""
    for i in range(n):
        k_a, k_b, ratio, beta_b = w[K_A + i], w[K_B + i], w[RATIO + i], w[SCALE + i]
        k = k_a + k_b
        over = 1 / (k * beta_b)
        price_b, share_b = k * over, k_b * (beta_b * over)
        square_b = price_b * price_b
        # (6) at the largest 1 - e^{-s_A/K_A}
        room = 1 - k_a * (beta_b * over) * square_b
        good = room if room > 0 else 1.0
        most = (1 - square_b) / (good + np.sqrt(good * share_b))
        w[P + i], w[T + i], w[E + i], w[OVER + i] = -min(max(most, 0.0), 1 - 1e-15), room, price_b, np.sqrt(ratio)
        w[Q + i] = w[P + i]
    _log1ps(w, P, n)
    for i in range(n):
        w[P + i] = w[K_A + i] * w[P + i]
        w[A + i] = w[P + i]
    _expm1s(w, P, n)
    for i in range(n):
        k_a, k_b, ratio, beta_b, price_b = w[K_A + i], w[K_B + i], w[RATIO + i], w[SCALE + i], w[E + i]
        weight, grown, near, room = w[OVER + i], w[P + i], 1 + w[Q + i], w[T + i]
        k, square_b, price_a = k_a + k_b, price_b * price_b, weight * price_b
        # mu at which all logits vanish: the standard representation of A, or for K_A = 1 the trivial block
        nothing = price_a <= 1 if k_a >= 2 else (k_b * ratio + k_a) * square_b <= k
        fall = 1 + grown
        over = -grown * near / (fall * (k_a * near + k_b))
        fits = (k_a >= 2) & ((k_b < 2) | (beta_b >= 1)) & (room > 0) & (square_b <= 1)
        total = fits & ((over >= price_a - 1) | (w[A + i] < -_MOST))
        hard = (price_a * _LEAST_BETA > 1) | (beta_b > 1 / _LEAST_BETA) | (ratio > _LARGEST_RATIO) | (k > _MOST_CLASSES)
        alone = (k_b < 2) & (not (nothing & ((k_a >= 2) | (ratio == 1))))
        w[S_A + i], w[S_B + i], w[D_A + i], w[D_B + i] = 0.0, 0.0, 0.0, 0.0
        w[PHASE + i] = NONE if alone else TOTAL
        w[LEFT + i] = 1.0 if hard else 0.0
        w[AT + i] = 0.0
        w[SETTLED + i] = 2.0 if nothing | hard else 1.0 if total else 0.0


@compiled
def _scale_step(w, m):  # type: ignore[no-untyped-def]
    """One step towards s_A of the best logits without trivial block (6); its level is convex and falls in s."""
    for j in range(m):
        w[P + j], w[Q + j] = -w[X + j], -w[X + j] * w[G0 + j]
    _expm1s(w, P, m)
    _exps(w, Q, m)
    for j in range(m):
        k_a, k_b, grown, near = w[PK_A + j], w[PK_B + j], w[P + j], w[Q + j]
        fall = 1 + grown
        # both over near: the level K_A fall + K_B fall/near, and what it is with the right class
        level = fall * (k_a * near + k_b)
        above = level - grown * near
        inverse = 1 / (level * above)
        slope = 1 - w[G0 + j] * (k_b * fall * above * inverse) - (1 - w[G0 + j]) * (level * level * inverse)
        w[P + j], w[T + j] = -grown * near * above * inverse, slope
    _log1ps(w, P, m)
    ended = 0
    for j in range(m):
        s = w[X + j]
        step = (w[F0 + j] - w[P + j]) / w[T + j]
        done = max(w[DONE + j], 1.0 if abs(step) <= _QUADRATIC * s else 0.0)
        w[X + j] = s if w[DONE + j] > 0 else s + step if s + step > 0 else 0.5 * s
        w[DONE + j] = done
        ended += 1 if done > 0 else 0
    return ended


@compiled
def _collapsed_scales(w, index, n):  # type: ignore[no-untyped-def]
    """s_A of a block's totally collapsed points with weight decay; exponentials taken."""
    size = _pack(w, index, n, 1.0)
    if size == 0:
        return 0
    m = _fill(w, index, size)
    for j in range(m):
        over = 1 / (w[PSCALE + j] * w[PK_A + j])
        w[F0 + j], w[G0 + j], w[DONE + j] = np.sqrt(w[PLOG + j]) * (w[PK_A + j] * over), w[PSCALE + j] * over, 0.0
    _logs(w, F0, m)
    for j in range(m):
        w[X + j] = w[F0 + j]
    steps = 0
    for _ in range(_MAX_STEPS):
        steps += 1
        if _scale_step(w, m) == m:
            break
    for j in range(size):
        i = index[j]
        w[S_A + i], w[D_A + i] = w[X + j], -w[X + j] / w[K_A + i]
    return int(size) * (1 + 3 * steps)


@compiled
def _balances(w, m):  # type: ignore[no-untyped-def]
    """The frame (4) of a pack's x, and the odds p/q - 1 of either group or, where B is collapsed, q/r - 1 of B."""
    for j in range(m):
        w[E + j] = exp(0.5 * w[X + j])
    for j in range(m):
        k_a, k_b, weight, price_b, root = w[PK_A + j], w[PK_B + j], w[PLOG + j], w[PSCALE + j], w[E + j]
        e = root * root
        e2, y, top_a, bottom_a, top_b, bottom_b = _sides(k_a, k_b, e)
        both_a, both_b = top_a * bottom_a, top_b * bottom_b
        both, rest = both_a * both_b, y * e * k_b
        inverse = 1 / (both * rest * y)
        over, under = both_b * (rest * y * inverse), both_a * (rest * y * inverse)
        inverse_y = both * rest * inverse
        y_x = (k_a + k_b) * k_a * e2 * inverse_y
        w[A_X + j] = (2 * (k_a + k_b) * e2 * bottom_a - y_x * top_a) * over
        w[B_L + j] = (2 * k_a * e2 * bottom_b - (y_x + k_a * e) * top_b) * under
        w[LOG_A + j], w[LOG_B + j], w[OVER + j] = top_a * top_a * over, top_b * top_b * under, y_x * inverse_y
        # (4): p/q - 1 = (1 - beta) y/(beta A), with the price 1/beta; collapsed: q/r = (y/(beta_B E) - K_A)/K_B
        collapsed = price_b <= 1
        odds_a = (weight * price_b - 1) * (y * bottom_a * bottom_a * over)
        odds_b = (price_b - 1) * (y * bottom_b * bottom_b * under)
        pull = y * price_b * (both * (y * y) * k_b * inverse)
        spread = (pull - k_a) * (both * (y * y) * e * inverse)
        on_a, on_b = odds_a > -1, (spread > 0 if collapsed else odds_b > -1)
        w[P + j], w[Q + j] = odds_a if on_a else 0.0, (spread - 1 if collapsed else odds_b) if on_b else 0.0
        w[A + j], w[B + j], w[T + j] = w[P + j], w[Q + j], pull
        w[NOW + j] = (0.0 if on_b else 1.0) if on_a else -1.0
    _logs(w, LOG_A, m)
    _logs(w, LOG_B, m)
    _log1ps(w, P, m)
    _log1ps(w, Q, m)


@compiled
def _imbalances(w, m):  # type: ignore[no-untyped-def]
    """``omega_A u e^x - omega_B v`` over omega_B (4) of a pack's points, and its slope."""
    for j in range(m):
        k_a, k_b, weight, root, odds_a, odds_b = w[PK_A + j], w[PK_B + j], w[PLOG + j], w[E + j], w[A + j], w[B + j]
        a_x, b_l, y_l, off, collapsed = w[A_X + j], w[B_L + j], w[OVER + j], w[NOW + j], w[PSCALE + j] <= 1
        above_a, above_b = 1 + odds_a, 1 + odds_b
        over = 1 / (above_a * above_b)
        u = w[P + j] + k_a * w[LOG_A + j]
        u_x = odds_a * (above_b * over) * (y_l - a_x) + k_a * a_x
        v = k_b * w[Q + j] if collapsed else w[Q + j] + k_b * (w[LOG_B + j] - w[X + j])
        part = above_a * over
        grows = odds_b * part * (y_l - b_l) + k_b * (b_l - 1)
        v_x = w[T + j] * part * (y_l - 1) if collapsed else grows
        scale = weight * root * root
        value = u * scale - v if off == 0 else np.inf * off
        w[Q + j], w[T + j] = value, (u + u_x) * scale - v_x


@compiled
def _decay_step(w, m):  # type: ignore[no-untyped-def]
    """One step of solving ``omega_A u e^x = omega_B v`` (4); return how many have come to their end."""
    _balances(w, m)
    _imbalances(w, m)
    ended = 0
    for j in range(m):
        x, value, slope, root = w[X + j], w[Q + j], w[T + j], w[E + j]
        # divided by e^{x/2}, in which the equation treats the groups alike
        even = (w[NOW + j] == 0) & (slope > 0.5 * value)
        slope = slope - 0.5 * value if even else slope
        over = 1 / (slope * root)
        newton = -value * root * over
        value, inverse = value * slope * over, root * root * over
        x0, f0, g0 = w[X0 + j], w[F0 + j], w[G0 + j]
        same = even & (w[WAS + j] > 0) & (abs(f0) > abs(value))
        bend = _bend(x, value, inverse, x0, f0, g0, same)
        same = same & (abs(bend) < 0.5 * abs(newton))
        step = newton + (bend if same else 0.0)
        low, high = w[LOW + j], w[HIGH + j]
        low, high = low if value > 0 else x, x if value > 0 else high
        new = x + step
        inside = ((low < new) & (new < high)) | (abs(step) <= _QUADRATIC)
        outward = x + 1 + abs(x) if low > -np.inf else x - 1 - abs(x)
        middle = 0.5 * (low + high) if (low > -np.inf) & (high < np.inf) else outward
        new = new if inside else middle
        done = w[DONE + j]
        w[X + j] = x if done > 0 else new
        w[DONE + j] = max(done, 1.0 if inside & _is_close(x, new, abs(step), x0, same) else 0.0)
        w[X0 + j], w[F0 + j], w[G0 + j], w[LOW + j], w[HIGH + j] = x, value, inverse, low, high
        w[WAS + j] = 1.0 if even else 0.0
        ended += 1 if w[DONE + j] > 0 else 0
    return ended


@compiled
def _decay_begin(w, m):  # type: ignore[no-untyped-def]
    """Newton's method begins at x = 0; the pack holds omega_A/omega_B and 1/beta_B for R and beta_B."""
    for j in range(m):
        w[PLOG + j], w[PSCALE + j] = np.sqrt(w[PLOG + j]), 1 / w[PSCALE + j]
        w[LOW + j], w[HIGH + j], w[X0 + j] = -np.inf, np.inf, 0.0
        w[F0 + j], w[G0 + j], w[WAS + j], w[DONE + j] = 0.0, 0.0, 0.0, 0.0


@compiled
def _decay_logits(w, m):  # type: ignore[no-untyped-def]
    """:func:`_logits` with weight decay; the mark says whether they exist."""
    _balances(w, m)
    for j in range(m):
        k_a, k_b, s_a, inner, collapsed = w[PK_A + j], w[PK_B + j], w[P + j], w[Q + j], w[PSCALE + j] <= 1
        d_a, d_b = w[LOG_A + j], w[LOG_B + j] - w[X + j]
        w[LOW + j] = 0.0 if k_a < 2 else s_a
        w[HIGH + j] = 0.0 if collapsed | (k_b < 2) else inner
        w[X0 + j] = s_a + k_a * d_a if k_a < 2 else d_a
        w[F0 + j] = inner if collapsed else inner + d_b if k_b < 2 else d_b
        w[G0 + j] = PARTIAL if collapsed & (k_b >= 2) else NONE
        w[WAS + j] = 1.0 if w[NOW + j] == 0 else 0.0


@compiled
def _decay_solve(w, index, n):  # type: ignore[no-untyped-def]
    """:func:`_solve` with weight decay."""
    # written out once more: one loop with a flag would have either family compile the steps of both, seconds more
    size = _pack(w, index, n, 0.0)
    if size == 0:
        return 0
    m = _fill(w, index, size)
    _decay_begin(w, m)
    rest, steps, ended = size, np.uint64(0), 0
    for _ in range(_MAX_STEPS):
        steps += rest - min(np.uint64(ended), rest)
        ended = _decay_step(w, m)
        if 4 * ended >= rest:
            rest, ended = _shrink(w, index, rest), 0
            if rest == 0:
                break
            m = _pad(w, rest)
    _leave(w, index, _shrink(w, index, rest))
    size = _pack(w, index, n, 0.0)
    m = _fill(w, index, size)
    _decay_begin(w, m)
    _decay_logits(w, m)
    for j in range(size):
        w[SIDE + index[j]] = 1.0
    _unpack(w, index, size)
    return 5 * int(steps + size)


@compiled
def _decay_bounds(w, n):  # type: ignore[no-untyped-def]
    """:func:`_bounds` with weight decay, where the multiplier is given."""
    _columns(w, n)
    for i in range(n):
        a, b, ratio, beta = w[K_A + i], w[K_B + i], w[RATIO + i], w[SCALE + i]
        s_a, s_b, d_a, d_b = w[S_A + i], w[S_B + i], w[D_A + i], w[D_B + i]
        k, mass = a + b, a * ratio + b
        over = 1 / (mass * beta * k)
        price_b, pi_b = mass * k * over, beta * k * over
        root = np.sqrt(ratio)
        u, v = root * (s_a + a * d_a), s_b + b * d_b
        gauge = root * (a - 1) * s_a + (b - 1) * s_b + np.sqrt((b * u * u + a * v * v) * (mass * beta * over))
        risk, spread = _sums(w, i, ratio * pi_b, pi_b)
        norm = _norm(w, i, root * price_b, price_b)
        found = risk + beta * pi_b * gauge
        bound = min((risk + spread) / max(norm, 1.0), found)
        w[VALUE + i], w[LOWER + i] = found, bound
        w[LEFT + i] = w[LEFT + i] if (found - bound <= _GAP * found) & (found > _LEAST) else 1.0


@compiled
def _load(w, row, values, start, n, full):  # type: ignore[no-untyped-def]
    """An argument, one number or an array, to its row, filled up with the last point's."""
    if len(values) == 1:
        for i in range(full):
            w[row + i] = values[0]
        return
    for i in range(n):
        w[row + i] = values[start + i]
    for i in range(n, full):
        w[row + i] = values[start + n - _ONE]


@compiled
def _load_classes(w, k_a, k_b, ratio, start, n, full):  # type: ignore[no-untyped-def]
    """K_A, K_B and R to their rows."""
    _load(w, K_A, k_a, start, n, full)
    _load(w, K_B, k_b, start, n, full)
    _load(w, RATIO, ratio, start, n, full)


@compiled
def _store(w, row, values, start, n):  # type: ignore[no-untyped-def]
    """A row to its place in a result."""
    for i in range(n):
        values[start + i] = w[row + i]


@compiled
def _store_all(w, out, start, n):  # type: ignore[no-untyped-def]
    """The block's results to their places."""
    value, lower, norm, s_a, s_b, d_a, d_b, phase, left = out
    _store(w, VALUE, value, start, n)
    _store(w, LOWER, lower, start, n)
    _store(w, NORM, norm, start, n)
    _store(w, S_A, s_a, start, n)
    _store(w, S_B, s_b, start, n)
    _store(w, D_A, d_a, start, n)
    _store(w, D_B, d_b, start, n)
    _store(w, PHASE, phase, start, n)
    _store(w, LEFT, left, start, n)


@compiled
def _workspace():  # type: ignore[no-untyped-def]
    """Rows that begin with a line of cache, as vectors of 64 bytes do."""
    w = np.zeros(_ROWS * _STRIDE + 8)
    return w[-w.ctypes.data // 8 % 8 :]


@compiled
def _radii(w, n):  # type: ignore[no-untyped-def]
    """The radius ``K sqrt(E_W) sqrt(E_H) / shrink`` of a block's points."""
    for i in range(n):
        w[SCALE + i] = (w[K_A + i] + w[K_B + i]) * np.sqrt(w[P + i]) * np.sqrt(w[Q + i]) / w[T + i]


@compiled
def _strengths(w, n):  # type: ignore[no-untyped-def]
    """The strength ``shrink sqrt(lambda_W) sqrt(lambda_H)`` and beta_B of a block's points; n_B is in INVERSE."""
    for i in range(n):
        strength = w[T + i] * np.sqrt(w[P + i]) * np.sqrt(w[Q + i])
        mass = w[K_A + i] * w[RATIO + i] + w[K_B + i]
        w[SCALE + i], w[NORM + i] = strength * np.sqrt(w[INVERSE + i]) * mass, strength


@compiled
def budgets(arguments, out):  # type: ignore[no-untyped-def]
    """Solve points with budgets into arrays; the last of them marks those that remain to be solved.

    Args:
        arguments: K_A, K_B, R, E_W, E_H and by what they are shrunk, an array of as many points as the results have or
            of one number each.
        out: arrays for value, lower bound, multiplier, s_A, s_B, d_A, d_B, phase and the mark.

    Returns how many exponentials and logarithms the points took: 2 to test total collapse and 6 for the bounds; those
    that go on 4 to begin, 6 a step and 3 for their logits.
    """
    k_a, k_b, ratio, e_w, e_h, shrink = arguments
    w, index = _workspace(), np.zeros(3 * BLOCK, np.uint64)
    size, at, taken = np.uint64(len(out[0])), np.uint64(0), 0
    while at < size:
        n = min(np.uint64(BLOCK), size - at)
        full = (n + _FILL) & ~_FILL
        _load_classes(w, k_a, k_b, ratio, at, n, full)
        _load(w, P, e_w, at, n, full)
        _load(w, Q, e_h, at, n, full)
        _load(w, T, shrink, at, n, full)
        _radii(w, full)
        _totals(w, full)
        taken += 8 * int(n) + _solve(w, index, n)
        _bounds(w, full)
        _store_all(w, out, at, n)
        at += n
    return taken


@compiled
def weight_decay(arguments, out):  # type: ignore[no-untyped-def]
    """:func:`budgets` with lambda_W, lambda_H, by what they are shrunk, and n_B; the multiplier is the strength.

    Exponentials and logarithms: 2 and 6 as there, 5 a step and for logits, and 3 a step to the scale of total collapse.
    """
    k_a, k_b, ratio, lambda_w, lambda_h, shrink, count = arguments
    w, index = _workspace(), np.zeros(3 * BLOCK, np.uint64)
    size, at, taken = np.uint64(len(out[0])), np.uint64(0), 0
    while at < size:
        n = min(np.uint64(BLOCK), size - at)
        full = (n + _FILL) & ~_FILL
        _load_classes(w, k_a, k_b, ratio, at, n, full)
        _load(w, P, lambda_w, at, n, full)
        _load(w, Q, lambda_h, at, n, full)
        _load(w, T, shrink, at, n, full)
        _load(w, INVERSE, count, at, n, full)
        _strengths(w, full)
        _decay_totals(w, full)
        taken += 8 * int(n) + _collapsed_scales(w, index, n) + _decay_solve(w, index, n)
        _decay_bounds(w, full)
        _store_all(w, out, at, n)
        at += n
    return taken
