"""Loops over the rows of a fixed-point solve as machine code: what a step does beside evaluating f, in one pass a row.

The same as the tensor operations of :mod:`ufm.deq.iteration` and :mod:`ufm.deq.solvers`, in another order of summation.
A row and its memory stay in the processor's cache while a kernel is at it; sums may be reordered, NaN and infinities
are respected.
"""
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

from __future__ import annotations

from collections.abc import Callable
from math import inf, sqrt
from typing import Any

import numpy as np

from ufm._extras import optional

with optional("fast"):
    from numba import njit

__all__ = ["anderson", "broyden", "plain"]

_MATH = {"contract", "reassoc", "nsz"}

#: A difference is made orthogonal a second time where the first has left less than this part of it.
AGAIN = 0.1


def _compiled(function: Callable[..., Any]) -> Any:
    """The function as machine code, kept between processes."""
    return njit(nogil=True, cache=True, error_model="numpy", fastmath=_MATH)(function)


def _part(function: Callable[..., Any]) -> Any:
    """A part of the functions that call it, which is compiled with each and not by itself."""
    return njit(inline="always", error_model="numpy", fastmath=_MATH)(function)


@_compiled
def _length(x, floor):
    """Euclidean norm of x; squares below floor^2, or too large, are taken of x over its largest entry."""
    total = x[0] * 0
    for k in range(len(x)):
        total += x[k] * x[k]
    length = sqrt(float(total))
    if floor < length < inf:
        return length
    largest = x[0] * 0
    for k in range(len(x)):
        if not abs(x[k]) <= largest:  # NaN comes through
            largest = abs(x[k])
    if not 0 < largest < inf:
        return float(largest)
    total = x[0] * 0
    for k in range(len(x)):
        part = x[k] / largest
        total += part * part
    return sqrt(float(total)) * float(largest)


@_compiled
def _products(rows, slots, count, x, out):
    """Inner products of x with ``rows[slots]`` into out; four at a time, for x is read once then."""
    zero = x[0] * 0
    j = 0
    while j + 4 <= count:
        a, b, c, d = rows[slots[j]], rows[slots[j + 1]], rows[slots[j + 2]], rows[slots[j + 3]]
        s, t, u, v = zero, zero, zero, zero
        for k in range(len(x)):
            s += a[k] * x[k]
            t += b[k] * x[k]
            u += c[k] * x[k]
            v += d[k] * x[k]
        out[j], out[j + 1], out[j + 2], out[j + 3] = s, t, u, v
        j += 4
    while j < count:
        a, s = rows[slots[j]], zero
        for k in range(len(x)):
            s += a[k] * x[k]
        out[j] = s
        j += 1


@_compiled
def _subtract(x, rows, slots, count, by):
    """``x - sum_j by_j rows[slots[j]]`` into x."""
    j = 0
    while j + 4 <= count:
        a, b, c, d = rows[slots[j]], rows[slots[j + 1]], rows[slots[j + 2]], rows[slots[j + 3]]
        s, t, u, v = by[j], by[j + 1], by[j + 2], by[j + 3]
        for k in range(len(x)):
            x[k] -= s * a[k] + t * b[k] + u * c[k] + v * d[k]
        j += 4
    while j < count:
        a, s = rows[slots[j]], by[j]
        for k in range(len(x)):
            x[k] -= s * a[k]
        j += 1


@_compiled
def _divide(x, by, floor):
    """``x/by`` into x."""
    number = x.dtype.type  # of the same type: products with others are slower
    if abs(by) > floor:
        s = number(1 / by)
        for k in range(len(x)):
            x[k] *= s
    else:
        s = number(by)
        for k in range(len(x)):
            x[k] /= s


@_compiled
def _product(x, y):
    total = x[0] * 0
    for k in range(len(x)):
        total += x[k] * y[k]
    return total


@_compiled
def _copy(source, target):
    for k in range(len(source)):
        target[k] = source[k]


@_compiled
def _difference(x, y, out):
    for k in range(len(x)):
        out[k] = x[k] - y[k]


@_compiled
def _others(used, slot):
    """The slots in use but for the one that is written next, and how many they are."""
    slots, count = np.empty(used + 1, np.int64), 0
    for j in range(used):
        if j != slot:
            slots[count] = j
            count += 1
    return slots, count


#: Rows of the numbers by unit that a kernel shares with the state: floating point, integers, flags.
NORM, SIZE, FRESH, RESIDUAL, LARGEST, BEST_SCORE, LEAST = range(7)
IDLE, STALE, LIMIT = range(3)
HELD, MET, IS_LAST = range(3)

#: Of the numbers that a kernel is told: tolerances, sizes and factors, see :mod:`ufm.deq.iteration`.
TOL, SLACK, QUANTUM, FLOOR, RUNAWAY, RECORD, GROWTH, ROUNDING, DEPENDENT = range(9)

#: What a kernel found of a step: something for tensor operations; nothing; another number of units met the tolerance.
RARE, USUAL, MORE = range(3)


@_part
def _judge(
    z, image, numbers, floats, longs, flags, best, last_z, last_image, absolute, plain, guarded, calm, first, ends
):
    """Residuals of the rows and what follows; RARE, and nothing but norm, size and fresh changed, where more happens.

    More is: a row that is not finite, that has run away, that met the tolerance and no longer does, whose acceleration
    is lost. ``best`` holds z and f(z) of the best iterates of the rows without ``IS_LAST``, of the others ``last_z``
    and ``last_image`` are. Without ``calm`` norm and size are all that is found; at the ``first`` evaluation the
    largest size is filled. Into ``ends`` go the largest residual, the least size, how many rows have met the
    tolerance, and whether all are better than before.
    """
    tol, slack, quantum, floor = numbers[TOL], numbers[SLACK], numbers[QUANTUM], numbers[FLOOR]
    runaway, record, growth = numbers[RUNAWAY], numbers[RECORD], numbers[GROWTH]
    norm, size, fresh, residuals, largest = floats[NORM], floats[SIZE], floats[FRESH], floats[RESIDUAL], floats[LARGEST]
    best_score, least, idle, stale, limit = floats[BEST_SCORE], floats[LEAST], longs[IDLE], longs[STALE], longs[LIMIT]
    held, met, is_last = flags[HELD], flags[MET], flags[IS_LAST]
    rows = len(z)
    for i in range(rows):
        total, whole = z[i, 0] * 0, z[i, 0] * 0
        for k in range(z.shape[1]):
            difference = image[i, k] - z[i, k]
            total += difference * difference
            whole += image[i, k] * image[i, k]
        norm[i], size[i] = sqrt(total), sqrt(whole)
        if not floor < size[i] < inf:
            size[i] = _length(image[i], floor)
        if not floor < norm[i] < inf:
            norm[i] = _length(image[i] - z[i], floor)
        if first:
            largest[i] = max(_length(z[i], floor), size[i])
    if not calm:
        return RARE
    for i in range(rows):
        if not (norm[i] < inf and size[i] < inf):
            return RARE
        if absolute:
            fresh[i] = norm[i]
        else:
            fresh[i] = 0 if norm[i] <= quantum else norm[i] / size[i]
        residual = residuals[i] if held[i] else fresh[i]
        if held[i]:
            if not fresh[i] <= tol + slack * (size[i] if absolute else 1.0):
                return RARE
        elif residual <= tol:
            telling = norm[i] > size[i] / runaway and (plain or largest[i] == 0)
            if size[i] > runaway * (max(norm[i], largest[i]) if telling else largest[i]):
                return RARE
        if guarded and not residual <= tol:
            better = residual < record * least[i]
            bound = residual if better else least[i]
            if not residual <= growth * bound or (0 if better else stale[i] + 1) >= limit[i]:
                return RARE
    most_residual, least_size, number, before, all_better = 0.0, inf, 0, 0, True
    for i in range(rows):
        if not held[i]:
            residuals[i] = fresh[i]
            if norm[i] > size[i] / runaway and (plain or largest[i] == 0):
                largest[i] = max(norm[i], largest[i])
        else:
            idle[i] += 1
            before += 1
        residual = residuals[i]
        met[i] = residual <= tol
        number += met[i]
        if residual < best_score[i] or met[i]:
            best_score[i], is_last[i] = residual, True
        else:
            all_better = False
            if is_last[i]:
                _copy(last_z[i], best[0, i])
                _copy(last_image[i], best[1, i])
                is_last[i] = False
        if guarded:
            if residual < record * least[i]:
                least[i], stale[i] = residual, 0
            else:
                stale[i] += 1
        most_residual, least_size = max(most_residual, residual), min(least_size, size[i])
    ends[0], ends[1], ends[2], ends[3] = most_residual, least_size, number, all_better
    if number == before:
        return USUAL
    for i in range(rows):
        held[i] = met[i]
    return MORE


@_compiled
def plain(
    z,
    image,
    out,
    numbers,
    floats,
    longs,
    flags,
    best,
    last_z,
    last_image,
    absolute,
    is_plain,
    guarded,
    calm,
    first,
    ends,
):
    """:func:`_judge`, and the next plain step: f(z) into out, rows that are held stay at z."""
    found = _judge(
        z,
        image,
        numbers,
        floats,
        longs,
        flags,
        best,
        last_z,
        last_image,
        absolute,
        is_plain,
        guarded,
        calm,
        first,
        ends,
    )
    if found != RARE:
        for i in range(len(z)):
            _copy(z[i] if flags[HELD, i] else image[i], out[i])
    return found


@_part
def _mix(z, image, out, numbers, floats, flags, former, window, coefficients, used, slot):
    """Take the step to z into the memory, and write what Anderson mixing proposes; rows that are held stay at z.

    ``former``: f(z) and f(z) - z of the step before, replaced by those of this one. ``window`` (units, 2, memory, m)
    holds residuals and images, see :class:`ufm.deq.solvers._Anderson`.
    """
    rounding, dependent, floor = numbers[ROUNDING], numbers[DEPENDENT], numbers[FLOOR]
    norm, size, held = floats[NORM], floats[SIZE], flags[HELD]
    memory, width = window.shape[2], z.shape[1]
    now, first, second = np.empty(memory, z.dtype), np.empty(memory, z.dtype), np.empty(memory, z.dtype)
    slots, count = _others(used, slot)
    q, p = np.empty(width, z.dtype), np.empty(width, z.dtype)
    for i in range(len(z)):
        v, y, r, o = image[i], former[0, i], former[1, i], out[i]
        residuals, images = window[i, 0], window[i, 1]
        if held[i]:
            for k in range(width):
                y[k] = v[k]
                r[k] = v[k] - z[i, k]
                o[k] = z[i, k]
            continue
        for k in range(width):
            now_k = v[k] - z[i, k]
            q[k] = now_k - r[k]
            r[k] = now_k
        length = _length(q, floor)
        _products(residuals, slots, count, r, now)
        for j in range(count):
            first[j] = now[j] - coefficients[i, slots[j]]
        _subtract(q, residuals, slots, count, first)
        kept = _length(q, floor)
        # Differences of the former products are as exact as these are large.
        if count and not kept >= AGAIN * max(length, norm[i]):
            _products(residuals, slots, count, q, second)
            _subtract(q, residuals, slots, count, second)
            kept = _length(q, floor)
            for j in range(count):
                first[j] += second[j]
        along = r[0] * 0
        if kept > dependent * length and length > rounding * size[i]:
            _divide(q, kept, floor)
            _copy(q, residuals[slot])
            along = _product(residuals[slot], r)
            for k in range(width):
                p[k] = v[k] - y[k]
                o[k] = v[k]
                y[k] = v[k]
            _subtract(p, images, slots, count, first)
            _subtract(o, images, slots, count, now)
            _divide(p, kept, floor)
            for k in range(width):
                o[k] -= along * p[k]
            _copy(p, images[slot])
        else:
            for k in range(width):
                o[k] = v[k]
                y[k] = v[k]
                residuals[slot, k] = 0
                images[slot, k] = 0
            _subtract(o, images, slots, count, now)
        for j in range(count):
            coefficients[i, slots[j]] = now[j]
        coefficients[i, slot] = along


@_part
def _update(z, image, out, numbers, floats, flags, last_z, former, us, vs, gamma, used, slot):
    """The same as :func:`_mix` for Broyden's method: see :class:`ufm.deq.solvers._Broyden`."""
    rounding, dependent, floor = numbers[ROUNDING], numbers[DEPENDENT], numbers[FLOOR]
    size, held, width = floats[SIZE], flags[HELD], z.shape[1]
    of_us, of_vs = np.empty(used + 1, z.dtype), np.empty(used + 1, z.dtype)
    slots, count = _others(used, slot)
    step, change = np.empty(width, z.dtype), np.empty(width, z.dtype)
    for i in range(len(z)):
        y, r, o = former[0, i], former[1, i], out[i]
        if held[i]:
            for k in range(width):
                y[k] = image[i, k]
                r[k] = y[k] - z[i, k]
                o[k] = z[i, k]
            continue
        u, v, g = us[i, slot], vs[i, slot], gamma[i, 0]
        for k in range(width):
            now = image[i, k] - z[i, k]
            change[k] = now - r[k]
            r[k] = now
            y[k] = image[i, k]
            step[k] = z[i, k] - last_z[i, k]
            v[k] = g * step[k]
        # v = -gamma step + sum_j <u_j, step> v_j, its sign apart
        _products(us[i], slots, count, step, of_us)
        _subtract(v, vs[i], slots, count, of_us)
        _divide(v, -_length(v, floor), floor)
        along = _product(v, change)
        changed = _length(change, floor)
        _products(vs[i], slots, count, change, of_vs)
        for k in range(width):
            u[k] = step[k] + g * change[k]
            o[k] = z[i, k] + g * r[k]
        _products(vs[i], slots, count, r, of_us)
        _subtract(u, us[i], slots, count, of_vs)
        _subtract(o, us[i], slots, count, of_us)
        if abs(along) > dependent * changed and changed > rounding * size[i]:
            _divide(u, along, floor)
            last = _product(v, r)
            for k in range(width):
                o[k] -= last * u[k]
        else:
            for k in range(width):
                u[k] = 0
                v[k] = 0


@_compiled
def anderson(
    z,
    image,
    out,
    numbers,
    floats,
    longs,
    flags,
    best,
    last_z,
    former,
    absolute,
    is_plain,
    judged,
    ends,
    window,
    coefficients,
    used,
    slot,
):
    """:func:`_judge`, unless it is judged, and :func:`_mix`, where nothing happens and not all is done."""
    found = USUAL
    if not judged:
        found = _judge(
            z,
            image,
            numbers,
            floats,
            longs,
            flags,
            best,
            last_z,
            former[0],
            absolute,
            is_plain,
            True,
            True,
            False,
            ends,
        )
        if found == RARE or ends[2] == len(z):
            return found
    _mix(z, image, out, numbers, floats, flags, former, window, coefficients, used, slot)
    return found


@_compiled
def broyden(
    z,
    image,
    out,
    numbers,
    floats,
    longs,
    flags,
    best,
    last_z,
    former,
    absolute,
    is_plain,
    judged,
    ends,
    us,
    vs,
    gamma,
    used,
    slot,
):
    """The same with :func:`_update`."""
    found = USUAL
    if not judged:
        found = _judge(
            z,
            image,
            numbers,
            floats,
            longs,
            flags,
            best,
            last_z,
            former[0],
            absolute,
            is_plain,
            True,
            True,
            False,
            ends,
        )
        if found == RARE or ends[2] == len(z):
            return found
    _update(z, image, out, numbers, floats, flags, last_z, former, us, vs, gamma, used, slot)
    return found
