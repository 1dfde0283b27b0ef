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
from ufm.deq.iteration import FIRST_MEMORY

with optional("fast"):
    from llvmlite import ir
    from numba import carray, njit, types
    from numba.core import cgutils
    from numba.extending import intrinsic

__all__ = ["anderson", "broyden", "commit", "plain"]

_MATH = {"contract", "reassoc", "nsz"}

#: A difference is made orthogonal a second time where the first has left less than this part of it.
AGAIN = 0.1


def _compiled(function: Callable[..., Any]) -> Any:
    """The function as machine code, kept between processes."""
    return njit(nogil=True, cache=True, error_model="numpy", fastmath=_MATH)(function)


def _part(function: Callable[..., Any]) -> Any:
    """A part of the functions that call it, which is compiled with each and not by itself."""
    return njit(inline="always", error_model="numpy", fastmath=_MATH)(function)


def _inlined(function: Callable[..., Any]) -> Any:
    """The same, type by type: what it costs to hand rows over is more than most rows take."""
    return njit(forceinline=True, error_model="numpy", fastmath=_MATH)(function)


@intrinsic  # type: ignore[untyped-decorator]
def _pointer(context, address):
    """An address as a pointer: an array that is made from it has no owner that every row of it would be counted for."""

    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def _fetch(context, address):
    """Have the processor fetch a line of memory into its second cache, for reading."""

    def generate(context, builder, signature, arguments):
        pointer, number = builder.inttoptr(arguments[0], cgutils.voidptr_t), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(fetch, [pointer, *(ir.Constant(number, value) for value in (0, 2, 1))])
        return context.get_dummy_value()

    return types.void(types.intp), generate


@njit(error_model="numpy")
def _minus(x, y):
    """``x - y``, a difference that is rounded by itself: in a longer sum it may not be reordered."""
    return x - y


@_inlined
def _length(x, floor):
    """Euclidean norm of x; squares below floor^2, or too large, are taken of x over its largest entry."""
    total = x.dtype.type(0)
    for k in range(len(x)):
        total += x[k] * x[k]
    length = sqrt(float(total))
    if floor < length < inf:
        return length
    largest = x.dtype.type(0)
    for k in range(len(x)):
        if not abs(x[k]) <= largest:  # NaN comes through
            largest = abs(x[k])
    if not 0 < largest < inf:
        return float(largest)
    total = x.dtype.type(0)
    for k in range(len(x)):
        part = x[k] / largest
        total += part * part
    return sqrt(float(total)) * float(largest)


@_inlined
def _products(rows, count, x, out):
    """Inner products of x with the first rows into out; several at a time, for x is read once then."""
    zero = x.dtype.type(0)
    j = 0
    while j + 8 <= count:
        a, b, c, d = rows[j], rows[j + 1], rows[j + 2], rows[j + 3]
        e, f, g, h = rows[j + 4], rows[j + 5], rows[j + 6], rows[j + 7]
        s, t, u, v = zero, zero, zero, zero
        S, T, U, V = zero, zero, zero, zero
        for k in range(len(x)):
            y = x[k]
            s += a[k] * y
            t += b[k] * y
            u += c[k] * y
            v += d[k] * y
            S += e[k] * y
            T += f[k] * y
            U += g[k] * y
            V += h[k] * y
        out[j], out[j + 1], out[j + 2], out[j + 3] = s, t, u, v
        out[j + 4], out[j + 5], out[j + 6], out[j + 7] = S, T, U, V
        j += 8
    if j + 4 <= count:
        a, b, c, d = rows[j], rows[j + 1], rows[j + 2], rows[j + 3]
        s, t, u, v = zero, zero, zero, zero
        for k in range(len(x)):
            s += a[k] * x[k]
            t += b[k] * x[k]
            u += c[k] * x[k]
            v += d[k] * x[k]
        out[j], out[j + 1], out[j + 2], out[j + 3] = s, t, u, v
        j += 4
    if j + 2 <= count:
        a, b, s, t = rows[j], rows[j + 1], zero, zero
        for k in range(len(x)):
            s += a[k] * x[k]
            t += b[k] * x[k]
        out[j], out[j + 1] = s, t
        j += 2
    if j < count:
        a, s = rows[j], zero
        for k in range(len(x)):
            s += a[k] * x[k]
        out[j] = s


@_inlined
def _subtract(x, rows, count, by):
    """``x - sum_j by_j rows_j`` into x, of the first rows."""
    j = 0
    while j + 8 <= count:
        a, b, c, d = rows[j], rows[j + 1], rows[j + 2], rows[j + 3]
        e, f, g, h = rows[j + 4], rows[j + 5], rows[j + 6], rows[j + 7]
        s, t, u, v = by[j], by[j + 1], by[j + 2], by[j + 3]
        S, T, U, V = by[j + 4], by[j + 5], by[j + 6], by[j + 7]
        for k in range(len(x)):
            first = s * a[k] + t * b[k] + u * c[k] + v * d[k]
            x[k] -= first + S * e[k] + T * f[k] + U * g[k] + V * h[k]
        j += 8
    if j + 4 <= count:
        a, b, c, d = rows[j], rows[j + 1], rows[j + 2], rows[j + 3]
        s, t, u, v = by[j], by[j + 1], by[j + 2], by[j + 3]
        for k in range(len(x)):
            x[k] -= s * a[k] + t * b[k] + u * c[k] + v * d[k]
        j += 4
    if j + 2 <= count:
        a, b, s, t = rows[j], rows[j + 1], by[j], by[j + 1]
        for k in range(len(x)):
            x[k] -= s * a[k] + t * b[k]
        j += 2
    if j < count:
        a, s = rows[j], by[j]
        for k in range(len(x)):
            x[k] -= s * a[k]


@_inlined
def _subtract_both(x, y, rows, count, by, of):
    """``x - sum_j by_j rows_j`` into x and ``y - sum_j of_j rows_j`` into y, of the first rows, each read once."""
    j = 0
    while j + 4 <= count:
        a, b, c, d = rows[j], rows[j + 1], rows[j + 2], rows[j + 3]
        s, t, u, v = by[j], by[j + 1], by[j + 2], by[j + 3]
        S, T, U, V = of[j], of[j + 1], of[j + 2], of[j + 3]
        for k in range(len(x)):
            x[k] -= s * a[k] + t * b[k] + u * c[k] + v * d[k]
            y[k] -= S * a[k] + T * b[k] + U * c[k] + V * d[k]
        j += 4
    if j + 2 <= count:
        a, b, s, t, S, T = rows[j], rows[j + 1], by[j], by[j + 1], of[j], of[j + 1]
        for k in range(len(x)):
            x[k] -= s * a[k] + t * b[k]
            y[k] -= S * a[k] + T * b[k]
        j += 2
    if j < count:
        a, s, S = rows[j], by[j], of[j]
        for k in range(len(x)):
            x[k] -= s * a[k]
            y[k] -= S * a[k]


@_inlined
def _subtract_and_products(x, rows, count, by, y, w, of_y, of_w):
    """``x - sum_j by_j rows_j`` into x, inner products of the first rows with y and w into ``of_y`` and ``of_w``."""
    zero = x.dtype.type(0)
    j = 0
    while j + 4 <= count:
        a, b, c, d = rows[j], rows[j + 1], rows[j + 2], rows[j + 3]
        s, t, u, v = by[j], by[j + 1], by[j + 2], by[j + 3]
        S, T, U, V = zero, zero, zero, zero
        e, f, g, h = zero, zero, zero, zero
        for k in range(len(x)):
            x[k] -= s * a[k] + t * b[k] + u * c[k] + v * d[k]
            S += a[k] * y[k]
            T += b[k] * y[k]
            U += c[k] * y[k]
            V += d[k] * y[k]
            e += a[k] * w[k]
            f += b[k] * w[k]
            g += c[k] * w[k]
            h += d[k] * w[k]
        of_y[j], of_y[j + 1], of_y[j + 2], of_y[j + 3] = S, T, U, V
        of_w[j], of_w[j + 1], of_w[j + 2], of_w[j + 3] = e, f, g, h
        j += 4
    while j < count:
        a, s, S, e = rows[j], by[j], zero, zero
        for k in range(len(x)):
            x[k] -= s * a[k]
            S += a[k] * y[k]
            e += a[k] * w[k]
        of_y[j], of_w[j] = S, e
        j += 1


@_inlined
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


@_inlined
def _copy(source, target):
    for k in range(len(source)):
        target[k] = source[k]


#: Rows of the numbers by unit that a kernel shares with the state: floating point, integers, flags.
NORM, SIZE, FRESH, RESIDUAL, LARGEST, BEST_SCORE, LEAST = range(7)
IDLE, STALE, LIMIT = range(3)
HELD, MET, IS_LAST = range(3)

#: Of the numbers that a kernel is told: tolerances, sizes and factors, see :mod:`ufm.deq.iteration`.
TOL, SLACK, QUANTUM, FLOOR, RUNAWAY, RECORD, GROWTH, ROUNDING, DEPENDENT, ABSOLUTE = range(10)

#: What is where: sizes, and addresses of what is shared with the state; then the numbers of the memory, whose last one
#: is how many slots it has.
ROWS, WIDTH, NUMBERS, FLOATS, LONGS, FLAGS, BEST, ENDS = range(FIRST_MEMORY)
SECOND_MEMORY, THIRD_MEMORY, SLOTS = range(FIRST_MEMORY + 1, FIRST_MEMORY + 4)

#: What a kernel found of a step: something for tensor operations; nothing; another number of units met the tolerance;
#: or nothing in the part of the rows that it was given.
RARE, USUAL, MORE, PART = range(4)

#: Of the numbers that a kernel fills: the largest residual, the least size, how many rows have met the tolerance,
#: whether all are better than before, at which row something rare was met, the ends of LARGEST, and at which row
#: another part of the rows met something.
MOST, LEAST_SIZE, NUMBER, ALL_BETTER, ROW, MOST_LARGEST, LEAST_LARGEST, OTHER_ROW = range(8)


#: Bytes of a memory from which on the next row's is fetched ahead.
AHEAD = 2**17

#: Bytes that a processor fetches at once.
LINE = 64


@_part
def _shared(where, like):
    """Numbers, numbers by unit (floating point, integers, flags), best iterates and what is filled."""
    rows, width = where[ROWS], where[WIDTH]
    return (
        carray(_pointer(where[NUMBERS]), (10,), np.float64),
        carray(_pointer(where[FLOATS]), (7, rows), like.dtype),
        carray(_pointer(where[LONGS]), (3, rows), np.int64),
        carray(_pointer(where[FLAGS]), (3, rows), np.bool_),
        carray(_pointer(where[BEST]), (2, rows, width), like.dtype),
        carray(_pointer(where[ENDS]), (8,), np.float64),
    )


@_part
def _rows(address, where, like):
    """Rows of a state."""
    return carray(_pointer(address), (where[ROWS], where[WIDTH]), like.dtype)


@_part
def _ahead(address, size):
    """Fetch so many bytes."""
    for line in range(address, address + size, LINE):
        _fetch(line)


@_part
def _is_usual(i, numbers, floats, longs, flags, plain, guarded):
    """Whether nothing more happens to a row than that it goes on or meets the tolerance; its fresh residual.

    More is: it is not finite, has run away, met the tolerance and no longer does, or its acceleration is lost.
    """
    tol, size, norm = numbers[TOL], floats[SIZE, i], floats[NORM, i]
    absolute, least = numbers[ABSOLUTE] > 0, floats[LEAST, i]
    if not (norm < inf and size < inf):
        return False
    fresh = norm if absolute else floats.dtype.type(0) if norm <= numbers[QUANTUM] else norm / size
    floats[FRESH, i] = fresh
    residual = min(fresh, tol) if flags[HELD, i] else fresh
    if flags[HELD, i]:
        if not fresh <= tol + numbers[SLACK] * (size if absolute else 1.0):
            return False
    elif residual <= tol and size > numbers[RUNAWAY] * _raised(i, numbers, floats, plain):
        return False
    if guarded and not residual <= tol:
        better = residual < numbers[RECORD] * least
        bound = residual if better else least
        if not residual <= numbers[GROWTH] * bound or (0 if better else longs[STALE, i] + 1) >= longs[LIMIT, i]:
            return False
    flags[MET, i] = residual <= tol
    return True


@_part
def _raised(i, numbers, floats, plain):
    """What residuals of a row are relative to once it has run away."""
    norm, largest = floats[NORM, i], floats[LARGEST, i]
    telling = norm > floats[SIZE, i] / numbers[RUNAWAY] and (plain or largest == 0)
    return max(norm, largest) if telling else largest


@_part
def _keep(i, floats, flags, best, last_z, last_image):
    """Copy the iterate before this one, if it is the row's best and this one is worse."""
    if flags[IS_LAST, i] and not (floats[FRESH, i] < floats[BEST_SCORE, i] or flags[MET, i]):
        _copy(last_z[i], best[0, i])
        _copy(last_image[i], best[1, i])
        flags[IS_LAST, i] = False


@_part
def _commit(numbers, floats, longs, flags, plain, guarded, ends):
    """Take in the residuals of all rows, of which none is rare."""
    most_residual, least_size, number, before, all_better = 0.0, inf, 0, 0, True
    for i in range(floats.shape[1]):
        floats[RESIDUAL, i] = floats[FRESH, i]
        if not flags[HELD, i]:
            floats[LARGEST, i] = _raised(i, numbers, floats, plain)
        else:
            # Rounding may be above the tolerance where sums have another order; rows that depend on each other differ.
            floats[RESIDUAL, i] = min(floats[RESIDUAL, i], numbers[TOL])
            longs[IDLE, i] += 1
            before += 1
        residual = floats[RESIDUAL, i]
        number += flags[MET, i]
        if residual < floats[BEST_SCORE, i] or flags[MET, i]:
            floats[BEST_SCORE, i], flags[IS_LAST, i] = residual, True
        else:
            all_better = False
        if guarded:
            if residual < numbers[RECORD] * floats[LEAST, i]:
                floats[LEAST, i], longs[STALE, i] = residual, 0
            else:
                longs[STALE, i] += 1
        most_residual, least_size = max(most_residual, residual), min(least_size, floats[SIZE, i])
    ends[MOST], ends[LEAST_SIZE], ends[NUMBER], ends[ALL_BETTER] = most_residual, least_size, number, all_better
    if number == before:
        return USUAL
    for i in range(floats.shape[1]):
        flags[HELD, i] = flags[MET, i]
    return MORE


@_compiled
def plain(like, where, z_at, image_at, out_at, last_z_at, last_image_at, is_plain, guarded, calm, first, begin, end):
    """Residuals of the rows and what follows, and the next plain step: f(z) into out, rows that are held stay at z.

    RARE where more happens, see :func:`_is_usual`; then nothing but norm, size and fresh has changed, and rows that are
    worse than their best are no longer its last. ``best`` holds z and f(z) of the best iterates of the rows without
    ``IS_LAST``, of the others ``last_z`` and ``last_image`` are. Without ``calm`` norm and size are all that is found;
    at the ``first`` evaluation the largest size is filled. ``like``: an array of the dtype; ``where``: what is where;
    then addresses of rows, of which those from ``begin`` to ``end`` are looked at: PART where these are not all.
    """
    numbers, floats, longs, flags, best, ends = _shared(where, like)
    z, image, out = _rows(z_at, where, like), _rows(image_at, where, like), _rows(out_at, where, like)
    last_z, last_image = _rows(last_z_at, where, like), _rows(last_image_at, where, like)
    norm, size, floor, zero = floats[NORM], floats[SIZE], numbers[FLOOR], like.dtype.type(0)
    for i in range(begin, end):
        total, whole = zero, zero
        for k in range(z.shape[1]):
            difference = image[i, k] - z[i, k]
            total += difference * difference
            whole += image[i, k] * image[i, k]
        norm[i], size[i] = sqrt(float(total)), sqrt(float(whole))
        if not floor < size[i] < inf:
            size[i] = _length(image[i], floor)
        if not floor < norm[i] < inf:
            norm[i] = _length(image[i] - z[i], floor)
        if first:
            floats[LARGEST, i] = max(_length(z[i], floor), size[i])
        if not (calm and _is_usual(i, numbers, floats, longs, flags, is_plain, guarded)):
            return RARE
        _keep(i, floats, flags, best, last_z, last_image)
        if out_at:
            _copy(z[i] if flags[HELD, i] or flags[MET, i] else image[i], out[i])
    if first:
        ends[MOST_LARGEST], ends[LEAST_LARGEST] = floats[LARGEST].max(), floats[LARGEST].min()
    if end - begin < len(z):
        return PART
    return _commit(numbers, floats, longs, flags, is_plain, guarded, ends)


@_compiled
def commit(like, where, is_plain, guarded):
    """Take in the residuals of all rows, once each part of them was found to be usual: what is found of the step."""
    numbers, floats, longs, flags, _, ends = _shared(where, like)
    return _commit(numbers, floats, longs, flags, is_plain, guarded, ends)


@_part
def _differ(z, image, last_z, last_image, i, residual, change):
    """``f(z) - z`` of a row and its change, and their lengths and that of f(z), as long as the squares are numbers."""
    zero = z.dtype.type(0)
    total, whole, moved = zero, zero, zero
    for k in range(z.shape[1]):
        now = _minus(image[i, k], z[i, k])
        difference = now - _minus(last_image[i, k], last_z[i, k])
        residual[k], change[k] = now, difference
        total += now * now
        whole += image[i, k] * image[i, k]
        moved += difference * difference
    return sqrt(float(total)), sqrt(float(whole)), sqrt(float(moved))


@_part
def _mix(
    image, last_image, next_image, residual, change, out, residuals, images, coefficients, used, slot, told, scratch
):
    """Take a row's step into its memory, and write what Anderson mixing proposes.

    ``residuals`` and ``images`` (memory, m), see :class:`ufm.deq.solvers._Anderson`. ``told``: length of the change,
    norm, size; how much is rounding, dependent, and the least number without care.
    """
    length, norm, size, rounding, dependent, floor = told
    now, first, second, moved = scratch[0], scratch[1], scratch[2], scratch[3]
    if slot < used:
        for k in range(len(out)):
            residuals[slot, k] = 0
            images[slot, k] = 0
        coefficients[slot] = 0
    _products(residuals, used, residual, now)
    for j in range(used):
        first[j] = now[j] - coefficients[j]
    _subtract(change, residuals, used, first)
    kept = _length(change, floor)
    # Differences of the former products are as exact as these are large.
    if used and not kept >= AGAIN * max(length, norm):
        _products(residuals, used, change, second)
        _subtract(change, residuals, used, second)
        kept = _length(change, floor)
        for j in range(used):
            first[j] += second[j]
    for j in range(used):
        coefficients[j] = now[j]
    along = residual.dtype.type(0)
    if kept > dependent * length and length > rounding * size:
        for k in range(len(out)):
            moved[k] = image[k] - last_image[k]
            out[k] = image[k]
            next_image[k] = image[k]
        _subtract_both(moved, out, images, used, first, now)
        if not kept > floor:
            _divide(change, kept, floor)
            _divide(moved, kept, floor)
            kept = 1.0
        by = residual.dtype.type(1 / kept)
        for k in range(len(out)):
            part = by * change[k]
            residuals[slot, k] = part
            along += part * residual[k]
        for k in range(len(out)):
            part = by * moved[k]
            images[slot, k] = part
            out[k] -= along * part
    else:
        for k in range(len(out)):
            out[k] = image[k]
            next_image[k] = image[k]
            residuals[slot, k] = 0
            images[slot, k] = 0
        _subtract(out, images, used, now)
    coefficients[slot] = along


@_part
def _update(z, last_z, image, next_image, residual, change, out, us, vs, gamma, used, slot, told, scratch):
    """The same as :func:`_mix` for Broyden's method: see :class:`ufm.deq.solvers._Broyden`."""
    length, _, size, rounding, dependent, floor = told
    of_us, of_vs, products, step, u, v = scratch
    if slot < used:
        for k in range(len(out)):
            us[slot, k] = 0
            vs[slot, k] = 0
    for k in range(len(out)):
        step[k] = z[k] - last_z[k]
        v[k] = gamma * step[k]
        next_image[k] = image[k]
    # v = -gamma step + sum_j <u_j, step> v_j, its sign apart
    _products(us, used, step, of_us)
    _subtract_and_products(v, vs, used, of_us, residual, change, products, of_vs)
    _divide(v, -_length(v, floor), floor)
    along, last = residual.dtype.type(0), residual.dtype.type(0)
    for k in range(len(out)):
        along += v[k] * change[k]
        last += v[k] * residual[k]
        u[k] = step[k] + gamma * change[k]
        out[k] = z[k] + gamma * residual[k]
    _subtract_both(u, out, us, used, of_vs, products)
    if abs(along) > dependent * length and length > rounding * size:
        _divide(u, along, floor)
        for k in range(len(out)):
            us[slot, k] = u[k]
            vs[slot, k] = v[k]
            out[k] -= last * u[k]
    else:
        for k in range(len(out)):
            us[slot, k] = 0
            vs[slot, k] = 0


@_part
def _scratch(memory, width, like):
    """Room for the numbers of a row."""
    number = like.dtype
    return (
        np.empty(memory, number), np.empty(memory, number), np.empty(memory, number),
        np.empty(width, number), np.empty(width, number), np.empty(width, number),
    )  # fmt: skip


@_compiled
def anderson(
    like,
    where,
    z_at,
    image_at,
    out_at,
    last_z_at,
    last_image_at,
    next_image_at,
    is_plain,
    started,
    used,
    slot,
    begin,
    end,
):
    """Judge an accelerated step row by row as :func:`plain` does, take it into the memory and write the next iterate.

    ``window`` (units, 2, memory, m) and ``coefficients`` (units, memory): of Anderson mixing. Images go to
    ``next_image``, for ``image`` may be f's own. Where row ``ends[ROW]`` is RARE, the rows before it have taken the
    step. With ``started`` >= 0 the step has been judged, and is taken by the rows from there on, and by those before
    that had met the tolerance and are not held.
    """
    numbers, floats, longs, flags, best, ends = _shared(where, like)
    z, image, out = _rows(z_at, where, like), _rows(image_at, where, like), _rows(out_at, where, like)
    last_z, last_image = _rows(last_z_at, where, like), _rows(last_image_at, where, like)
    next_image = _rows(next_image_at, where, like)
    rows, width, memory = where[ROWS], where[WIDTH], where[SLOTS]
    window = carray(_pointer(where[FIRST_MEMORY]), (rows, 2, memory, width), like.dtype)
    coefficients = carray(_pointer(where[SECOND_MEMORY]), (rows, memory), like.dtype)
    residual, change = np.empty(width, like.dtype), np.empty(width, like.dtype)
    scratch = _scratch(memory, width, like)
    row, half = like.itemsize * width, like.itemsize * width * memory
    ahead, some = 2 * half * rows > AHEAD, row * max(used, slot + 1)
    for i in range(begin, end):
        if ahead and i + 1 < end and not flags[HELD, i + 1]:
            _ahead(where[FIRST_MEMORY] + 2 * half * (i + 1), some)
            _ahead(where[FIRST_MEMORY] + 2 * half * (i + 1) + half, some)
        length = _judge(
            z, image, numbers, floats, longs, flags, best, last_z, last_image, next_image, is_plain, started,
            i, residual, change, out,
        )  # fmt: skip
        if length == STOP:
            ends[ROW if begin == 0 else OTHER_ROW] = i
            return RARE
        if length != NEXT:
            told = (length, floats[NORM, i], floats[SIZE, i], numbers[ROUNDING], numbers[DEPENDENT], numbers[FLOOR])
            _mix(
                image[i], last_image[i], next_image[i], residual, change, out[i], window[i, 0], window[i, 1],
                coefficients[i], used, slot, told, scratch,
            )  # fmt: skip
    if started >= 0:
        return USUAL
    return PART if end - begin < rows else _commit(numbers, floats, longs, flags, is_plain, True, ends)


#: What :func:`_judge` says of a row instead of a length.
STOP, NEXT = -1.0, -2.0


@_part
def _judge(
    z,
    image,
    numbers,
    floats,
    longs,
    flags,
    best,
    last_z,
    last_image,
    next_image,
    is_plain,
    started,
    i,
    residual,
    change,
    out,
):
    """The length of a row's change, if it is to take the step; else STOP, or NEXT where it stays or has taken it."""
    if started >= 0 and i < started and not flags[MET, i] and not flags[HELD, i]:
        return NEXT
    norm, size, moved = _differ(z, image, last_z, last_image, i, residual, change)
    floor = numbers[FLOOR]
    if not floor < size < inf:
        size = _length(image[i], floor)
    if not floor < norm < inf:
        norm = _length(residual, floor)
    if not floor < moved < inf:
        moved = _length(change, floor)
    if started < 0:
        floats[NORM, i], floats[SIZE, i] = norm, size
        if not _is_usual(i, numbers, floats, longs, flags, is_plain, True):
            return STOP
        _keep(i, floats, flags, best, last_z, last_image)
    if flags[HELD, i] or (started < 0 and flags[MET, i]):
        _copy(z[i], out[i])
        _copy(image[i], next_image[i])
        return NEXT
    return moved


@_compiled
def broyden(
    like,
    where,
    z_at,
    image_at,
    out_at,
    last_z_at,
    last_image_at,
    next_image_at,
    is_plain,
    started,
    used,
    slot,
    begin,
    end,
):
    """The same for Broyden's method, whose memory is ``us``, ``vs`` (units, room, m) and ``gamma`` (units, 1)."""
    numbers, floats, longs, flags, best, ends = _shared(where, like)
    z, image, out = _rows(z_at, where, like), _rows(image_at, where, like), _rows(out_at, where, like)
    last_z, last_image = _rows(last_z_at, where, like), _rows(last_image_at, where, like)
    next_image = _rows(next_image_at, where, like)
    rows, width, memory = where[ROWS], where[WIDTH], where[SLOTS]
    us = carray(_pointer(where[FIRST_MEMORY]), (rows, memory, width), like.dtype)
    vs = carray(_pointer(where[SECOND_MEMORY]), (rows, memory, width), like.dtype)
    gamma = carray(_pointer(where[THIRD_MEMORY]), (rows, 1), like.dtype)
    residual, change = np.empty(width, like.dtype), np.empty(width, like.dtype)
    scratch = _scratch(used, width, like)
    row = like.itemsize * width
    ahead, some = 2 * row * memory * rows > AHEAD, row * max(used, slot + 1)
    for i in range(begin, end):
        if ahead and i + 1 < end and not flags[HELD, i + 1]:
            _ahead(where[FIRST_MEMORY] + row * memory * (i + 1), some)
            _ahead(where[SECOND_MEMORY] + row * memory * (i + 1), some)
        length = _judge(
            z, image, numbers, floats, longs, flags, best, last_z, last_image, next_image, is_plain, started,
            i, residual, change, out,
        )  # fmt: skip
        if length == STOP:
            ends[ROW if begin == 0 else OTHER_ROW] = i
            return RARE
        if length != NEXT:
            told = (length, floats[NORM, i], floats[SIZE, i], numbers[ROUNDING], numbers[DEPENDENT], numbers[FLOOR])
            _update(
                z[i], last_z[i], image[i], next_image[i], residual, change, out[i], us[i], vs[i], gamma[i, 0], used,
                slot, told, scratch,
            )  # fmt: skip
    if started >= 0:
        return USUAL
    return PART if end - begin < rows else _commit(numbers, floats, longs, flags, is_plain, True, ends)
