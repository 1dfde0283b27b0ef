"""The two-group problem under cross-entropy in blocks of points, compiled: :mod:`_arrays` without its temporaries.

The formulas are those of :mod:`ufm.two_groups._arrays`. A block of points lies in rows of one array that fits into a
processor's nearest cache, and every loop over it is free of branches, so that the compiler puts 4 or 8 points into each
instruction. Points that total collapse does not settle go on to Newton's method, packed; what has converged leaves the
pack. From its second step on the method interpolates the inverse function through both last points (Hermite), which
costs no evaluation more. A point that takes the formulas for small radii, or whose gap stays open, is *left*, for the
arrays to solve. Without Numba the same functions run interpreted, which is for tests. Numbers in parentheses as in
:mod:`ufm.two_groups`.
"""

from __future__ import annotations

import numpy as np

from ufm.two_groups._arrays import NONE, PARTIAL, SMALL, TOTAL
from ufm.two_groups._vector import COMPILED, compiled, exp, expm1, lanes, log, log1p

__all__ = ["BLOCK", "COMPILED", "budgets", "weight_decay"]

#: Points of a block.
BLOCK = 256
_ROWS = 32
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
#: Relative excess of the gauge over the radius that is more than rounding.
_OUTSIDE = 1e-13
#: Largest relative gap of a point that is not left.
_GAP = 1e-12
#: Largest logits, least risk and largest R that the loops take: everything stays far from the ends of float64.
_MOST, _LEAST, _LARGEST_RATIO, _LEAST_BETA = 600.0, 1e-250, 1e250, 1e-120

# Rows: arguments, what is known of a point, and the pack
_ARGS = [np.uint64(i * BLOCK) for i in range(_ROWS)]
K_A, K_B, RATIO, SCALE, S_A, S_B, D_A, D_B, PHASE, LEFT, SETTLED, AT, SIDE, VALUE, LOWER, NORM = _ARGS[:16]
PK_A, PK_B, PLOG, PSCALE, X, LOW, HIGH, X0, F0, G0, WAS, DONE = _ARGS[16:28]
_ONE, _FILL = np.uint64(1), np.uint64(_WIDTH - 1)


@lanes
def _length(x, y):  # type: ignore[no-untyped-def]
    """``sqrt(x^2 + y^2)`` for x, y >= 0, not both 0, of any size."""
    high = max(x, y)
    share = min(x, y) / high
    return high * np.sqrt(1 + share * share)


@compiled
def _totals(w, n):  # type: ignore[no-untyped-def]
    """Test total collapse with budgets (6), ``R beta_A = beta_B`` and ``1/beta_A = 1 + w``."""
    for i in range(n):
        k_a, k_b, ratio, radius = w[K_A + i], w[K_B + i], w[RATIO + i], w[SCALE + i]
        k = k_a + k_b
        s = radius / max(k_a - 1, 1.0)
        grown, near = expm1(-s), expm1(-s / k_a)
        fall = 1 + grown
        over = -grown / (k_a * fall + k_b * fall / (1 + near))
        h = -k_a / k * near
        margin = (ratio - 1 - over) / ratio * (1 + (1 + over) / ratio) + k_b / k * near * (2 - h) / ((1 - h) * (1 - h))
        total = (k_a >= 2) & (ratio > 1) & (margin >= 0)
        hard = (s > _MOST) | (ratio > _LARGEST_RATIO)
        small = (radius < SMALL * (k_a * (k_a - 1) + k_b * (k_b - 1) + 1)) & (not total)
        w[S_A + i], w[S_B + i], w[AT + i] = s, 0.0, 0.0
        w[D_A + i], w[D_B + i] = -s / k_a, 0.0
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
        k = k_a + k_b
        target = log(w[PLOG + j])
        u = radius / (k - 1)
        fall = exp(-u)
        inverse = -(1 + (k - 1) * fall) / (k - 1 + u + fall)
        # x at which v = 0 on the collapsed branch
        alpha = exp(-radius / max(k_a * (k_a - 1), 1.0))
        half = 0.5 * alpha * k_a
        y = half + np.sqrt(half * half + k_b * (k_b + alpha * k_a))
        e2 = (y * y - k * k_b) / (k * k_a)
        exists = (k_a >= 2) & (e2 > 1e-280)
        low = 0.5 * log(e2 if exists else 1.0)
        low = low if exists else -np.inf
        x = inverse * target
        inside = x > low
        x = x if inside else 0.5 * low
        w[PLOG + j], w[X + j], w[LOW + j], w[HIGH + j] = target, x, low, 0.0
        w[X0 + j], w[F0 + j], w[G0 + j], w[WAS + j] = 0.0, -target, inverse, 0.0
        w[DONE + j] = 1.0 if target == 0 else 0.0


@lanes
def _frame(k_a, k_b, x, e):  # type: ignore[no-untyped-def]
    """y, A and B, the logarithms d_A and d_B, and derivatives in x (4)."""
    k = k_a + k_b
    e2 = e * e
    a2 = k_a * e2
    y = np.sqrt(k * (k_b + a2))
    top_a, bottom_a = k_b + k * e2, y + k_b
    top_b, bottom_b = k + a2, y + k_a * e
    over = 1 / (top_a * bottom_a)
    under = 1 / (top_b * bottom_b)
    a, b = top_a * top_a * over, top_b * top_b * under
    y_x = k * a2 / y
    a_x = 2 * k * e2 * (bottom_a * over) - y_x * (top_a * over)
    b_l = 2 * a2 * (bottom_b * under) - (y_x + k_a * e) * (top_b * under)
    return y, y_x, a, b, log(a), log(b) - x, a_x, b_l


@compiled
def _step(w, m):  # type: ignore[no-untyped-def]
    """One step of solving ``log R(x) = log R`` (5); return how many have come to their end."""
    ended = 0
    for j in range(m):
        k_a, k_b, target, radius, x = w[PK_A + j], w[PK_B + j], w[PLOG + j], w[PSCALE + j], w[X + j]
        k = k_a + k_b
        e = exp(x)
        y, y_x, a, b, d_a, d_b, a_x, b_l = _frame(k_a, k_b, x, e)
        inverse_y = 1 / y
        y_l = y_x * inverse_y
        c_a, c_b = k_a * (k_a - 1), k_b * (k_b - 1)
        # (5): u = top/bottom, from gauge = radius, without s_B and with it
        top, top_x = radius + c_a * d_a, c_a * a_x
        bottom, bottom_x = y / k + (k_a - 1), y_x / k
        below = 1 / (bottom + (k_b - 1) * e)
        u = (top + c_b * d_b) * below
        u_x = (top_x + c_b * (b_l - 1) - u * (bottom_x + (k_b - 1) * e)) * below
        s_b, s_b_x = u * e - k_b * d_b, (u + u_x) * e - k_b * (b_l - 1)
        to_kink = np.inf if k_b < 2 else -s_b / s_b_x
        collapsed = s_b < 0
        flat = top / bottom
        flat_x = (top_x - flat * bottom_x) / bottom
        u, u_x = flat if collapsed else u, flat_x if collapsed else u_x
        s_a, s_a_x = u - k_a * d_a, u_x - k_a * a_x
        # (4): -log beta_a = s_a + log(q + (1-q) e^{-s_a}), q = A/y; (5), collapsed: x + d + log((K_B + K_A e^{-d})/y)
        z = u * e / k_b if collapsed else s_b
        fall_a, fall_b = exp(-s_a), exp(-z)
        q_a, q_b = a * inverse_y, (k_b if collapsed else b) * inverse_y
        rest_b = k_a * inverse_y if collapsed else 1 - q_b
        g_a, g_b = q_a + (1 - q_a) * fall_a, q_b + rest_b * fall_b
        over = 1 / (g_a * g_b)
        value = s_a - z + log(g_a * g_a * over) - (x if collapsed else 0.0)
        slope_a = q_a * ((a_x - y_l) * (1 - fall_a) + s_a_x) * (g_b * over)
        z_x = (u + u_x) * e / k_b if collapsed else (b_l - y_l) * (1 - fall_b) + s_b_x
        slope_b = q_b * z_x * (g_a * over) + (1 - y_l if collapsed else 0.0)
        excess = value - target
        inverse = 1 / (slope_a - slope_b)
        side = 1.0 if collapsed else 0.0
        # the inverse function through both points, and through this one alone
        x0, f0, g0 = w[X0 + j], w[F0 + j], w[G0 + j]
        same = (side == w[WAS + j]) & (abs(f0) > abs(excess)) & (abs(excess) > 1e-12)
        rise = 1 / (f0 - excess if same else 1.0)
        chord = (x0 - x) * rise
        second = (chord - inverse) * rise
        third = ((g0 - chord) * rise - second) * rise
        bend = excess * excess * (second - third * f0)
        newton = -excess * inverse
        same = same & (abs(bend) < 0.5 * abs(newton))
        step = newton + (bend if same else 0.0)
        clamped = collapsed & (step > to_kink)
        step = 1.05 * to_kink + _NUDGE if clamped else step
        low, high = w[LOW + j], w[HIGH + j]
        low, high = x if excess > 0 else low, high if excess > 0 else x
        new = x + step
        inside = ((low < new) & (new < high)) | (abs(step) <= _QUADRATIC)
        middle = 0.5 * (low + high) if low > -np.inf else 2 * high - 1
        new = new if inside else middle
        good = inside & (not clamped)
        size = abs(step)
        unit = max(min(abs(x), 1.0), _SHORTEST)
        close = (size <= _QUADRATIC * unit) | (same & (size * abs(new - x0) <= _QUARTIC * unit * unit))
        done = w[DONE + j]
        now = 1.0 if good & close else 0.0
        w[X + j] = x if done > 0 else new
        w[DONE + j] = max(done, now)
        w[WAS + j] = w[WAS + j] if done > 0 else side
        w[X0 + j], w[F0 + j], w[G0 + j], w[LOW + j], w[HIGH + j] = x, excess, inverse, low, high
        ended += 1 if done + now > 0 else 0
    return ended


@compiled
def _shrink(w, index, m):  # type: ignore[no-untyped-def]
    """Write where points that have come to their end are to their places, and close the gaps in the pack."""
    kept = np.uint64(0)
    for j in range(m):
        i = index[j]
        w[AT + i], w[SIDE + i] = w[X + j], w[WAS + j]
        _move(w, kept, j)
        index[kept] = i
        kept += np.uint64(w[DONE + j] == 0)
    return kept


@compiled
def _leave(w, index, m):  # type: ignore[no-untyped-def]
    """Mark the points of a pack as left."""
    for j in range(m):
        w[LEFT + index[j]] = 1.0


@compiled
def _logits(w, m):  # type: ignore[no-untyped-def]
    """s, d and the phase at x, into the pack's first rows after its arguments."""
    for j in range(m):
        k_a, k_b, radius, x = w[PK_A + j], w[PK_B + j], w[PSCALE + j], w[X + j]
        k = k_a + k_b
        e = exp(x)
        y, _, _, _, d_a, d_b, _, _ = _frame(k_a, k_b, x, e)
        c_a, c_b = k_a * (k_a - 1), k_b * (k_b - 1)
        top, bottom = radius + c_a * d_a, y / k + (k_a - 1)
        u = (top + c_b * d_b) / (bottom + (k_b - 1) * e)
        s_b = u * e - k_b * d_b
        collapsed = s_b < 0
        u = top / bottom if collapsed else u
        single = (k_b < 2) & (not collapsed)
        w[LOW + j] = 0.0 if k_a < 2 else u - k_a * d_a
        w[HIGH + j] = 0.0 if collapsed | (k_b < 2) else s_b
        w[X0 + j] = u if k_a < 2 else d_a
        w[F0 + j] = u * e if single else u * e / k_b if collapsed else d_b
        w[G0 + j] = PARTIAL if collapsed & (k_b >= 2) else NONE
        w[WAS + j] = 1.0 if collapsed else 0.0


@compiled
def _unpack(w, index, m):  # type: ignore[no-untyped-def]
    """The pack's logits to their points; one that has come to another side of the kink is left."""
    for j in range(m):
        i = index[j]
        w[LEFT + i] = 1.0 if w[SIDE + i] != w[WAS + j] else w[LEFT + i]
        w[S_A + i], w[S_B + i] = w[LOW + j], w[HIGH + j]
        w[D_A + i], w[D_B + i], w[PHASE + i] = w[X0 + j], w[F0 + j], w[G0 + j]


@lanes
def _column(own, other, s, d):  # type: ignore[no-untyped-def]
    """Probabilities q and r of a wrong class of either group, loss and ``-<softmax - 1, z>`` of one column."""
    q, r = exp(-s), exp(-s - d)
    q = q if own >= 2 else 0.0
    miss = (own - 1) * q + other * r
    share = 1 / (1 + miss)
    q, r = q * share, r * share
    return q, r, log1p(miss), (own - 1) * q * s + other * r * (s + d)


@compiled
def _bounds(w, n):  # type: ignore[no-untyped-def]
    """Value, bound and multiplier (9) of logits from scratch, on the sphere of the gauge."""
    for i in range(n):
        a, b, ratio, radius = w[K_A + i], w[K_B + i], w[RATIO + i], w[SCALE + i]
        s_a, s_b, d_a, d_b = w[S_A + i], w[S_B + i], w[D_A + i], w[D_B + i]
        k = a + b
        root_a, root_b = np.sqrt(a / k), np.sqrt(b / k)
        u, v = root_b * abs(s_a + a * d_a), root_a * abs(s_b + b * d_b)
        gauge = (a - 1) * s_a + (b - 1) * s_b + np.sqrt(u * u + v * v)
        scale = radius / gauge if gauge > radius * (1 + _OUTSIDE) else 1.0
        s_a, s_b, d_a, d_b = s_a * scale, s_b * scale, d_a * scale, d_b * scale
        pi_a = 1 / (a + b / ratio)
        pi_b = pi_a / ratio
        q_a, r_a, loss_a, spread_a = _column(a, b, s_a, d_a)
        q_b, r_b, loss_b, spread_b = _column(b, a, s_b, d_b)
        total = a * pi_a * loss_a + b * pi_b * loss_b
        spread = a * pi_a * spread_a + b * pi_b * spread_b
        dual_a = 0.0 if a < 2 else pi_a * (a * q_a + b * r_a)
        dual_b = 0.0 if b < 2 else pi_b * (b * q_b + a * r_b)
        trivial = k * _length(pi_a * root_b * r_a, pi_b * root_a * r_b)
        largest = max(trivial, max(dual_a, dual_b))
        gap = max(radius * largest - spread, 0.0)
        good = (gap <= _GAP * total) & (total > _LEAST)
        w[S_A + i], w[S_B + i], w[D_A + i], w[D_B + i] = s_a, s_b, d_a, d_b
        w[VALUE + i], w[LOWER + i], w[NORM + i] = total, total - gap, largest
        w[LEFT + i] = w[LEFT + i] if good else 1.0


@compiled
def _solve(w, index, n):  # type: ignore[no-untyped-def]
    """Logits and phases of a block's points that total collapse does not settle; exponentials taken."""
    size = _pack(w, index, n, 0.0)
    if size == 0:
        return 0
    m = _fill(w, index, size)
    _begin(w, m)
    rest, steps = size, np.uint64(0)
    for _ in range(_MAX_STEPS):
        ended = _step(w, m)
        steps += rest
        if 4 * ended >= rest:
            rest = _shrink(w, index, rest)
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
        beta_a = beta_b / np.sqrt(ratio)
        square_a, square_b = 1 / (beta_a * beta_a), 1 / (beta_b * beta_b)
        # mu at which all logits vanish: the standard representation of A, or for K_A = 1 the trivial block
        nothing = beta_a >= 1 if k_a >= 2 else k_b * square_a + k_a * square_b <= k
        # (6) at the largest 1 - e^{-s_A/K_A}, and 1/beta_A - 1 there
        room = 1 - k_a / k * square_b
        share = k_b / k / (room if room > 0 else 1.0)
        most = (1 - square_b) / ((room if room > 0 else 1.0) * (1 + np.sqrt(share)))
        most = min(max(most, 0.0), 1 - 1e-15)
        s = -k_a * log1p(-most)
        grown = expm1(-s)
        fall = 1 + grown
        over = -grown / (k_a * fall + k_b * fall / (1 - most))
        fits = (k_a >= 2) & ((k_b < 2) | (beta_b >= 1)) & (room > 0) & (square_b <= 1)
        total = fits & ((over >= 1 / beta_a - 1) | (s > _MOST))
        hard = (beta_a < _LEAST_BETA) | (beta_b < _LEAST_BETA) | (beta_b > 1 / _LEAST_BETA) | (ratio > 1 / _LEAST_BETA)
        alone = (k_b < 2) & (not (nothing & ((k_a >= 2) | (ratio == 1))))
        w[S_A + i], w[S_B + i], w[D_A + i], w[D_B + i] = 0.0, 0.0, 0.0, 0.0
        w[PHASE + i] = NONE if alone else TOTAL
        w[LEFT + i] = 1.0 if hard else 0.0
        w[AT + i] = 0.0
        w[SETTLED + i] = 2.0 if nothing | hard else 1.0 if total else 0.0


@compiled
def _scale_step(w, m):  # type: ignore[no-untyped-def]
    """One step towards s_A of the best logits without trivial block (6); its level is convex and falls in s."""
    ended = 0
    for j in range(m):
        k_a, k_b, s = w[PK_A + j], w[PK_B + j], w[X + j]
        grown, near = expm1(-s), exp(-s / k_a)
        fall = 1 + grown
        far = k_b * fall / near
        level = k_a * fall + far
        inverse = 1 / level
        slope = 1 - far * inverse / k_a - (1 - 1 / k_a) * level / (level + 1 - fall)
        step = (w[F0 + j] - log1p(-grown * inverse)) / slope
        new = s + step if s + step > 0 else 0.5 * s
        done = w[DONE + j]
        w[X + j] = s if done > 0 else new
        w[DONE + j] = max(done, 1.0 if abs(step) <= _QUADRATIC * s else 0.0)
        ended += 1 if w[DONE + j] > 0 else 0
    return ended


@compiled
def _scales(w, index, n):  # type: ignore[no-untyped-def]
    """s_A of a block's totally collapsed points with weight decay; exponentials taken."""
    size = _pack(w, index, n, 1.0)
    if size == 0:
        return 0
    m = _fill(w, index, size)
    for j in range(m):
        w[F0 + j] = log(np.sqrt(w[PLOG + j]) / w[PSCALE + j])
        w[X + j], w[DONE + j] = w[F0 + j], 0.0
    steps = 0
    for _ in range(_MAX_STEPS):
        steps += 1
        if _scale_step(w, m) == m:
            break
    for j in range(size):
        i = index[j]
        w[S_A + i], w[D_A + i] = w[X + j], -w[X + j] / w[K_A + i]
    return int(size) * (1 + 3 * steps)


@lanes
def _balance(k_a, k_b, ratio, beta_b, x):  # type: ignore[no-untyped-def]
    """``omega_A u e^x - omega_B v`` over omega_B and its slope (4), logits, and whether they exist for either group."""
    weight = np.sqrt(ratio)
    beta_a = beta_b / weight
    collapsed = beta_b >= 1
    e = exp(x)
    y, y_x, a, b, d_a, d_b, a_x, b_l = _frame(k_a, k_b, x, e)
    y_l = y_x / y
    odds_a = (1 - beta_a) / beta_a * (y / a)
    odds_b = (1 - beta_b) / beta_b * (y / b)
    # v = K_B log(q/r), q/r = (y/(beta_B E) - K_A)/K_B, where B is collapsed
    pull = y / (beta_b * e)
    spread = (pull - k_a) / k_b
    on_a, on_b = odds_a > -1, (spread > 0 if collapsed else odds_b > -1)
    s_a = log1p(odds_a if on_a else 0.0)
    inner = (spread - 1 if collapsed else odds_b) if on_b else 0.0
    s_b = log1p(inner)
    u = s_a + k_a * d_a
    u_x = (odds_a / (1 + odds_a) * (y_l - a_x) if on_a else 0.0) + k_a * a_x
    part = 1 / (1 + inner)
    v = k_b * s_b if collapsed else s_b + k_b * d_b
    grows = inner * part * (y_l - b_l) + k_b * (b_l - 1)
    v_x = pull * part * (y_l - 1) if collapsed else grows
    d_b = s_b if collapsed else d_b
    s_b = 0.0 if collapsed else s_b
    value = weight * u * e - v
    value = value if on_b else np.inf
    value = value if on_a else -np.inf
    return value, weight * (u + u_x) * e - v_x, e, s_a, s_b, u, v, d_a, d_b, on_a & on_b


@compiled
def _decay_step(w, m):  # type: ignore[no-untyped-def]
    """One step of solving ``omega_A u e^x = omega_B v`` (4); return how many have come to their end."""
    ended = 0
    for j in range(m):
        x = w[X + j]
        value, slope, e, _, _, _, _, _, _, on = _balance(w[PK_A + j], w[PK_B + j], w[PLOG + j], w[PSCALE + j], x)
        # divided by e^{x/2}, in which the equation treats the groups alike
        even = on & (slope > 0.5 * value)
        slope = slope - 0.5 * value if even else slope
        inverse = 1 / slope
        newton = -value * inverse
        root = 1 / np.sqrt(e)
        value, inverse = value * root, inverse / root
        x0, f0, g0 = w[X0 + j], w[F0 + j], w[G0 + j]
        same = even & (w[WAS + j] > 0) & (abs(f0) > abs(value))
        rise = 1 / (f0 - value if same else 1.0)
        chord = (x0 - x) * rise
        second = (chord - inverse) * rise
        third = ((g0 - chord) * rise - second) * rise
        bend = value * value * (second - third * f0)
        same = same & (abs(bend) < 0.5 * abs(newton))
        step = newton + (bend if same else 0.0)
        low, high = w[LOW + j], w[HIGH + j]
        low, high = low if value > 0 else x, x if value > 0 else high
        new = x + step
        inside = ((low < new) & (new < high)) | (abs(step) <= _QUADRATIC)
        outward = x + 1 + abs(x) if low > -np.inf else x - 1 - abs(x)
        middle = 0.5 * (low + high) if (low > -np.inf) & (high < np.inf) else outward
        new = new if inside else middle
        size = abs(step)
        unit = max(min(abs(x), 1.0), _SHORTEST)
        close = (size <= _QUADRATIC * unit) | (same & (size * abs(new - x0) <= _QUARTIC * unit * unit))
        done = w[DONE + j]
        w[X + j] = x if done > 0 else new
        w[DONE + j] = max(done, 1.0 if inside & close else 0.0)
        w[X0 + j], w[F0 + j], w[G0 + j], w[LOW + j], w[HIGH + j] = x, value, inverse, low, high
        w[WAS + j] = 1.0 if even else 0.0
        ended += 1 if w[DONE + j] > 0 else 0
    return ended


@compiled
def _decay_begin(w, m):  # type: ignore[no-untyped-def]
    """Newton's method begins at x = 0."""
    for j in range(m):
        w[X + j], w[LOW + j], w[HIGH + j], w[X0 + j] = 0.0, -np.inf, np.inf, 0.0
        w[F0 + j], w[G0 + j], w[WAS + j], w[DONE + j] = 0.0, 0.0, 0.0, 0.0


@compiled
def _decay_logits(w, m):  # type: ignore[no-untyped-def]
    """:func:`_logits` with weight decay; the mark says whether they exist."""
    for j in range(m):
        k_a, k_b, beta_b = w[PK_A + j], w[PK_B + j], w[PSCALE + j]
        _, _, _, s_a, s_b, u, v, d_a, d_b, on = _balance(k_a, k_b, w[PLOG + j], beta_b, w[X + j])
        collapsed = beta_b >= 1
        w[LOW + j] = 0.0 if k_a < 2 else s_a
        w[HIGH + j] = 0.0 if k_b < 2 else s_b
        w[X0 + j] = u if k_a < 2 else d_a
        w[F0 + j] = v if (k_b < 2) & (not collapsed) else d_b
        w[G0 + j] = PARTIAL if collapsed & (k_b >= 2) else NONE
        w[WAS + j] = 1.0 if on else 0.0


@compiled
def _decay_solve(w, index, n):  # type: ignore[no-untyped-def]
    """:func:`_solve` with weight decay."""
    size = _pack(w, index, n, 0.0)
    if size == 0:
        return 0
    m = _fill(w, index, size)
    _decay_begin(w, m)
    rest, steps = size, np.uint64(0)
    for _ in range(_MAX_STEPS):
        ended = _decay_step(w, m)
        steps += rest
        if 4 * ended >= rest:
            rest = _shrink(w, index, rest)
            if rest == 0:
                break
            m = _pad(w, rest)
    _leave(w, index, _shrink(w, index, rest))
    size = _pack(w, index, n, 0.0)
    m = _fill(w, index, size)
    _decay_logits(w, m)
    for j in range(size):
        w[SIDE + index[j]] = 1.0
    _unpack(w, index, size)
    return 5 * int(steps + size)


@compiled
def _decay_bounds(w, n):  # type: ignore[no-untyped-def]
    """:func:`_bounds` with weight decay; the norm is the gradient's over the strength."""
    for i in range(n):
        a, b, ratio, beta = w[K_A + i], w[K_B + i], w[RATIO + i], w[SCALE + i]
        s_a, s_b, d_a, d_b = w[S_A + i], w[S_B + i], w[D_A + i], w[D_B + i]
        k = a + b
        root_a, root_b, root = np.sqrt(a / k), np.sqrt(b / k), np.sqrt(ratio)
        u, v = root * root_b * abs(s_a + a * d_a), root_a * abs(s_b + b * d_b)
        gauge = root * (a - 1) * s_a + (b - 1) * s_b + np.sqrt(u * u + v * v)
        pi_a = 1 / (a + b / ratio)
        pi_b = pi_a / ratio
        q_a, r_a, loss_a, spread_a = _column(a, b, s_a, d_a)
        q_b, r_b, loss_b, spread_b = _column(b, a, s_b, d_b)
        total = a * pi_a * loss_a + b * pi_b * loss_b
        spread = a * pi_a * spread_a + b * pi_b * spread_b
        price_b = 1 / beta
        price_a = root * price_b
        dual_a = 0.0 if a < 2 else price_a * (a * q_a + b * r_a)
        dual_b = 0.0 if b < 2 else price_b * (b * q_b + a * r_b)
        trivial = k * _length(price_a * root_b * r_a, price_b * root_a * r_b)
        largest = max(trivial, max(dual_a, dual_b))
        found = total + beta * pi_b * gauge
        bound = min((total + spread) / max(largest, 1.0), found)
        good = (found - bound <= _GAP * found) & (found > _LEAST)
        w[VALUE + i], w[LOWER + i], w[NORM + i] = found, bound, largest
        w[LEFT + i] = w[LEFT + i] if good else 1.0


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
def budgets(k_a, k_b, ratio, radius, value, lower, norm, s_a, s_b, d_a, d_b, phase, left):  # type: ignore[no-untyped-def]
    """Solve points with budgets into the arrays from ``value`` on; ``left`` marks those that remain to be solved.

    An argument is an array of as many points as the results have, or of one number. Returns how many exponentials and
    logarithms were taken for the points: 2 to test total collapse and 6 for the bounds; those that go on 4 to begin,
    6 a step and 3 for their logits.
    """
    w, index = np.zeros(_ROWS * BLOCK), np.zeros(BLOCK, np.uint64)
    size, at, taken = np.uint64(len(value)), np.uint64(0), 0
    while at < size:
        n = min(np.uint64(BLOCK), size - at)
        full = (n + _FILL) & ~_FILL
        _load(w, K_A, k_a, at, n, full)
        _load(w, K_B, k_b, at, n, full)
        _load(w, RATIO, ratio, at, n, full)
        _load(w, SCALE, radius, at, n, full)
        _totals(w, full)
        taken += 8 * int(n) + _solve(w, index, n)
        _bounds(w, full)
        _store_all(w, (value, lower, norm, s_a, s_b, d_a, d_b, phase, left), at, n)
        at += n
    return taken


@compiled
def weight_decay(k_a, k_b, ratio, beta_b, value, lower, norm, s_a, s_b, d_a, d_b, phase, left):  # type: ignore[no-untyped-def]
    """:func:`budgets` with weight decay; ``norm`` is the gradient's over the strength.

    Exponentials and logarithms: 2 and 6 as there, 5 a step and for logits, and 3 a step to the scale of total collapse.
    """
    w, index = np.zeros(_ROWS * BLOCK), np.zeros(BLOCK, np.uint64)
    size, at, taken = np.uint64(len(value)), np.uint64(0), 0
    while at < size:
        n = min(np.uint64(BLOCK), size - at)
        full = (n + _FILL) & ~_FILL
        _load(w, K_A, k_a, at, n, full)
        _load(w, K_B, k_b, at, n, full)
        _load(w, RATIO, ratio, at, n, full)
        _load(w, SCALE, beta_b, at, n, full)
        _decay_totals(w, full)
        taken += 8 * int(n) + _scales(w, index, n) + _decay_solve(w, index, n)
        _decay_bounds(w, full)
        _store_all(w, (value, lower, norm, s_a, s_b, d_a, d_b, phase, left), at, n)
        at += n
    return taken
