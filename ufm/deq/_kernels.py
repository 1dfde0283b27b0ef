"""Loops over the rows of a fixed-point solve as machine code: what a step does beside evaluating f, in one pass a row.

The same as the tensor operations of :mod:`ufm.deq.iteration` and :mod:`ufm.deq.solvers`, in another order of summation.
A row and its memory stay in the processor's cache while a kernel is at it. What goes over a row is in
:mod:`ufm.deq._vectors`, in an order that nothing changes; nothing here may be reordered either.
"""
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import inf, sqrt
from typing import Any

import numpy as np

from ufm._extras import optional
from ufm.deq import _vectors
from ufm.deq.iteration import FIRST_MEMORY

with optional("fast"):
    from numba import carray, cfunc, njit, typeof, types

__all__ = ["BUILT_IN", "address", "anderson", "bind", "broyden", "commit", "entry", "of_a_team", "plain"]

#: Digest of what is built into the machine code from other files, which Numba does not look at: see
#: ``tests/test_machine_code.py``.
BUILT_IN = "18e2f13568dd8811"

#: A difference is made orthogonal a second time where the first has left less than this part of it.
AGAIN = 0.1


def _compiled(function: Callable[..., Any]) -> Any:
    """The function as machine code, kept between processes."""
    return njit(nogil=True, cache=True, error_model="numpy")(function)


def _part(function: Callable[..., Any]) -> Any:
    """A part of the functions that call it, which is compiled with each and not by itself."""
    return njit(inline="always", error_model="numpy")(function)


def _rare(function: Callable[..., Any]) -> Any:
    """The same, as a function of its own: it is called where squares leave the numbers."""
    return njit(error_model="numpy")(function)


@_rare
def _length(x):
    """Euclidean norm of a row whose squares are too small or too large: of x over its largest entry."""
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


@_part
def _row(like, address, width):
    """A row as an array."""
    return carray(_vectors.pointer(address), (width,), like.dtype)


@_part
def _root(like, total, address, width, floor):
    """The Euclidean norm of a row, given the sum of its squares."""
    length = sqrt(total)
    if not floor < length < inf:
        length = _length(_row(like, address, width))
    return length


#: Rows of the numbers by unit that a kernel shares with the state: floating point, integers, flags.
NORM, SIZE, FRESH, RESIDUAL, LARGEST, BEST_SCORE, LEAST, MARK = range(8)
STEPS, IDLE, STALE, LIMIT = range(4)
HELD, MET, IS_LAST = range(3)

#: Of the numbers that a kernel is told: tolerances, sizes and factors, see :mod:`ufm.deq.iteration`.
TOL, SLACK, QUANTUM, FLOOR, RUNAWAY, RECORD, GROWTH, ROUNDING, DEPENDENT, SMALL, ABSOLUTE = range(11)

#: What is where: sizes, and addresses of what is shared with the state; then the numbers of the memory, whose last ones
#: are how many slots it may have, how many are enough where all goes well, or in a block, and how many of these it has;
#: and which rows took the step that was proposed. Then what a team of threads is told: how many parts there are of the
#: rows, which is the next that nobody has taken, and a kernel's arguments; and what the kernel found of each part.
ROWS, WIDTH, NUMBERS, FLOATS, LONGS, FLAGS, BEST, ENDS, SCRATCH = range(FIRST_MEMORY)
SECOND_MEMORY, THIRD_MEMORY, COUNTS, MEMORY, ENOUGH, SLOTS, PROPOSED = range(FIRST_MEMORY + 1, FIRST_MEMORY + 8)
PARTS, NEXT_PART, ARGUMENTS = range(PROPOSED + 1, PROPOSED + 4)
FOUND = ARGUMENTS + 9

#: What a kernel found of a step: something for tensor operations; nothing but the best state as a whole so far; another
#: number of units met the tolerance; none such, or rows on their way to 0; or nothing in the part of the rows that was
#: given.
RARE, USUAL, MORE, OTHER, PART = range(5)

#: Of the numbers that a kernel fills: the largest residual, the least size, how many rows have met the tolerance,
#: the least MOST so far, the ends of LARGEST, and at which row of each part something rare was met.
MOST, LEAST_SIZE, NUMBER, LEAST_MOST, MOST_LARGEST, LEAST_LARGEST, ROW = range(7)


#: Columns of the slots that rows use.
USED, SLOT = range(2)

#: A residual falls quickly where it is below this part of the one before: then some slots may be enough.
QUICK = 0.5

#: Bytes of a memory from which on the next row's is fetched ahead, and from which on that is done slot by slot, as this
#: one's are gone through: a processor waits for no more than some lines from afar.
AHEAD, FAR = 2**17, 2**22

#: Bytes that a processor fetches at once.
LINE = 64


@_part
def _shared(where, like):
    """Numbers, numbers by unit (floating point, integers, flags) and what is filled."""
    rows = where[ROWS]
    return (
        carray(_vectors.pointer(where[NUMBERS]), (ABSOLUTE + 1,), np.float64),
        carray(_vectors.pointer(where[FLOATS]), (MARK + 1, rows), like.dtype),
        carray(_vectors.pointer(where[LONGS]), (LIMIT + 1, rows), np.int64),
        carray(_vectors.pointer(where[FLAGS]), (3, rows), np.bool_),
        carray(_vectors.pointer(where[ENDS]), (ROW + where[PARTS],), np.float64),
    )


@_compiled
def address(array):
    """Where the numbers of an array are."""
    return array.ctypes.data


@_compiled
def bind(
    where, numbers, ends, floats, longs, flags, kept, taken, tol, quantum, floor, runaway, record, growth, absolute,
    least_most, limit, is_last,
):  # fmt: skip
    """Write where everything is that is shared with the state, what it tells, and the numbers of a new solve."""
    where[ROWS], where[WIDTH] = kept.shape[1:]
    where[NUMBERS], where[FLOATS], where[LONGS] = numbers.ctypes.data, floats.ctypes.data, longs.ctypes.data
    where[FLAGS], where[BEST], where[ENDS] = flags.ctypes.data, kept.ctypes.data, ends.ctypes.data
    where[PROPOSED] = taken.ctypes.data
    numbers[TOL], numbers[QUANTUM], numbers[FLOOR], numbers[RUNAWAY] = tol, quantum, floor, runaway
    numbers[RECORD], numbers[GROWTH], numbers[ABSOLUTE], ends[LEAST_MOST] = record, growth, absolute, least_most
    floats[:] = inf
    floats[LARGEST] = 0
    longs[LIMIT] = limit
    flags[IS_LAST] = is_last


@_part
def _rows(where, part, parts):
    """The first row of a part, and that after its last."""
    return where[ROWS] * part // parts, where[ROWS] * (part + 1) // parts


@_part
def _ahead(address, size):
    """Fetch so many bytes."""
    for line in range(address, address + size, LINE):
        _vectors.fetch(line)


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
def _keep(i, like, where, floats, flags, last_z, last_image):
    """Copy the iterate before this one, if it is the row's best and this one is worse."""
    if flags[IS_LAST, i] and not (floats[FRESH, i] < floats[BEST_SCORE, i] or flags[MET, i]):
        width, row = where[WIDTH], like.itemsize * where[WIDTH]
        _vectors.copy(like, last_z, where[BEST] + i * row, width)
        _vectors.copy(like, last_image, where[BEST] + (where[ROWS] + i) * row, width)
        flags[IS_LAST, i] = False


@_part
def _commit(numbers, floats, longs, flags, plain, guarded, ends):
    """Take in the residuals of all rows, of which none is rare: USUAL, MORE or OTHER."""
    most_residual, least_size, number, before = 0.0, inf, 0, 0
    for i in range(floats.shape[1]):
        floats[RESIDUAL, i] = floats[FRESH, i]
        if not flags[HELD, i]:
            floats[LARGEST, i] = _raised(i, numbers, floats, plain)
            longs[STEPS, i] += 1
        else:
            # Rounding may be above the tolerance where sums have another order; rows that depend on each other differ.
            floats[RESIDUAL, i] = min(floats[RESIDUAL, i], numbers[TOL])
            longs[IDLE, i] += 1
            before += 1
        residual = floats[RESIDUAL, i]
        number += flags[MET, i]
        if residual < floats[BEST_SCORE, i] or flags[MET, i]:
            floats[BEST_SCORE, i], flags[IS_LAST, i] = residual, True
        if guarded:
            if residual < numbers[RECORD] * floats[LEAST, i]:
                floats[LEAST, i], longs[STALE, i] = residual, 0
            else:
                longs[STALE, i] += 1
        most_residual, least_size = max(most_residual, residual), min(least_size, floats[SIZE, i])
    ends[MOST], ends[LEAST_SIZE], ends[NUMBER] = most_residual, least_size, number
    best = most_residual <= ends[LEAST_MOST]
    if best:
        ends[LEAST_MOST] = most_residual
    if number == before:
        return USUAL if best and not least_size < numbers[SMALL] else OTHER
    for i in range(floats.shape[1]):
        flags[HELD, i] = flags[MET, i]
    return MORE


@_compiled
def plain(like, where, z_at, image_at, out_at, last_z_at, last_image_at, is_plain, guarded, calm, first, part, parts):
    """Residuals of the rows and what follows, and the next plain step: f(z) into out, rows that are held stay at z.

    RARE where more happens, see :func:`_is_usual`; then nothing but norm, size and fresh has changed, and rows that are
    worse than their best are no longer its last. ``best`` holds z and f(z) of the best iterates of the rows without
    ``IS_LAST``, of the others ``last_z`` and ``last_image`` are. Without ``calm`` norm and size are all that is found;
    at the ``first`` evaluation the largest size is filled. ``like``: an array of the dtype; ``where``: what is where;
    then addresses of rows, of which one of so many parts is looked at: PART where these are not all.
    """
    numbers, floats, longs, flags, ends = _shared(where, like)
    width, row, floor = where[WIDTH], like.itemsize * where[WIDTH], numbers[FLOOR]
    begin, end = _rows(where, part, parts)
    for i in range(begin, end):
        z, image = z_at + i * row, image_at + i * row
        total, whole = _vectors.look(like, z, image, 0, width)
        norm, size = sqrt(total), _root(like, whole, image, width, floor)
        if not floor < norm < inf:
            norm = _length(_row(like, image, width) - _row(like, z, width))
        floats[NORM, i], floats[SIZE, i] = norm, size
        if first:
            square = _vectors.square(like, z, z, width)
            floats[LARGEST, i] = max(_root(like, square, z, width, floor), size)
        if not (calm and _is_usual(i, numbers, floats, longs, flags, is_plain, guarded)):
            return RARE
        _keep(i, like, where, floats, flags, last_z_at + i * row, last_image_at + i * row)
        if out_at:
            _vectors.copy(like, z if flags[HELD, i] or flags[MET, i] else image, out_at + i * row, width)
    if first:
        ends[MOST_LARGEST], ends[LEAST_LARGEST] = floats[LARGEST].max(), floats[LARGEST].min()
    if parts > 1:
        return PART
    found = _commit(numbers, floats, longs, flags, is_plain, guarded, ends)
    if first:
        floats[MARK] = floats[LEAST]
    return found


@_compiled
def commit(like, where, is_plain, guarded):
    """Take in the residuals of all rows, once each part of them was found to be usual: what is found of the step."""
    numbers, floats, longs, flags, ends = _shared(where, like)
    return _commit(numbers, floats, longs, flags, is_plain, guarded, ends)


#: What :func:`_judge` says of a row instead of the length of its change.
STOP, NEXT = -1.0, -2.0


@_part
def _scratch(where, like, part):
    """Addresses of three numbers a slot and of five rows, for a part of the rows."""
    slots, row = like.itemsize * where[SLOTS], like.itemsize * where[WIDTH]
    first = where[SCRATCH] + part * (3 * slots + 5 * row)
    rest = first + 3 * slots
    return first, first + slots, first + 2 * slots, rest, rest + row, rest + 2 * row, rest + 3 * row, rest + 4 * row


@_part
def _counts(where):
    """Slots of the memory that rows use, and which is next: (rows, 2)."""
    return carray(_vectors.pointer(where[COUNTS]), (where[ROWS], 2), np.int64)


@_part
def _take_slot(counts, i, slots, few):
    """Count a slot that was filled, and see which is next: a new one, but of ``few`` that are enough the oldest."""
    counts[i, USED] = max(counts[i, USED], counts[i, SLOT] + 1)
    if counts[i, USED] < min(slots, few):
        counts[i, SLOT] = counts[i, USED]
    else:
        counts[i, SLOT] = (counts[i, SLOT] + 1) % counts[i, USED]


@_part
def _waits(i, flags, started):
    """Whether a row has taken a step that has been judged."""
    return started >= 0 and i < started and not flags[MET, i] and not flags[HELD, i]


@_part
def _judge(
    i, like, where, numbers, floats, longs, flags, is_plain, started, sums, z, image, last_z, last_image, residual,
    change, out,
):  # fmt: skip
    """The length of a row's change, if it is to take the step; else STOP, or NEXT where it stays.

    ``sums``: squared lengths of its residual, of f(z) and of the change; then addresses.
    """
    width, floor = where[WIDTH], numbers[FLOOR]
    norm, size = _root(like, sums[0], residual, width, floor), _root(like, sums[1], image, width, floor)
    # Of a step that tensor operations have judged no kernel may have looked at this row.
    floats[NORM, i], floats[SIZE, i] = norm, size
    if started < 0:
        if not _is_usual(i, numbers, floats, longs, flags, is_plain, True):
            return STOP
        _keep(i, like, where, floats, flags, last_z, last_image)
    if flags[HELD, i] or (started < 0 and flags[MET, i]):
        _vectors.copy(like, z, out, width)
        return NEXT
    return _root(like, sums[2], change, width, floor)


@_part
def _clear(like, address, width):
    """Write zeros."""
    row = _row(like, address, width)
    for k in range(width):
        row[k] = 0


@_compiled
def anderson(
    like, where, z_at, image_at, out_at, last_z_at, last_image_at, next_image_at, is_plain, started, part, parts,
):  # fmt: skip
    """Judge an accelerated step row by row as :func:`plain` does, take it into the memory and write the next iterate.

    The memory is ``window`` (units, 2, memory, m), residuals and images, and ``coefficients`` (units, memory), see
    :class:`ufm.deq.solvers._Anderson`. Images are copied to ``next_image``, unless that is 0, for ``image`` may be
    f's own. Where row ``ends[ROW]`` is RARE, the rows before it have taken the step. With ``started`` >= 0 the step has
    been judged, and is taken by the rows from there on, and by those before that had met the tolerance and are not
    held.
    """
    numbers, floats, longs, flags, ends = _shared(where, like)
    rows, width, slots, item = where[ROWS], where[WIDTH], where[SLOTS], like.itemsize
    row, floor = item * width, numbers[FLOOR]
    half = row * slots
    now_at, first_at, second_at, residual, change, moved, _, _ = _scratch(where, like, part)
    now, first, second = _row(like, now_at, slots), _row(like, first_at, slots), _row(like, second_at, slots)
    ahead, counts = 2 * half * rows > AHEAD, _counts(where)
    begin, end = _rows(where, part, parts)
    for i in range(begin, end):
        residuals = where[FIRST_MEMORY] + 2 * half * i
        images = residuals + half
        if ahead and i + 1 < end and not flags[HELD, i + 1]:
            some = row * max(counts[i + 1, USED], counts[i + 1, SLOT] + 1)
            _ahead(residuals + 2 * half, some)
            _ahead(images + 2 * half, some)
        if _waits(i, flags, started):
            continue
        z, image, out = z_at + i * row, image_at + i * row, out_at + i * row
        last_z, last_image = last_z_at + i * row, last_image_at + i * row
        sums = _vectors.look_at_images(like, z, image, last_z, last_image, residual, change, moved, width)
        if next_image_at:
            _vectors.copy(like, image, next_image_at + i * row, width)
        length = _judge(
            i, like, where, numbers, floats, longs, flags, is_plain, started, sums, z, image, last_z, last_image,
            residual, change, out,
        )  # fmt: skip
        if length == STOP:
            ends[ROW + part] = i
            return RARE
        if length == NEXT:
            continue
        coefficients = _row(like, where[SECOND_MEMORY] + item * slots * i, slots)
        used, slot = counts[i, USED], counts[i, SLOT]
        norm, size = float(floats[NORM, i]), float(floats[SIZE, i])
        if slot < used:
            _clear(like, residuals + row * slot, width)
            _clear(like, images + row * slot, width)
            coefficients[slot] = 0
        # Inner products with the former residual are known: those with the change are differences.
        _vectors.products(like, residual, residuals, row, used, now_at, width)
        for j in range(used):
            first[j] = now[j] - coefficients[j]
            coefficients[j] = now[j]
        square, along = _vectors.orthogonalise(like, change, residual, residuals, row, used, first_at, width)
        kept = _root(like, square, change, width, floor)
        # Differences are as exact as what they are of is large.
        if used and not kept >= AGAIN * max(length, norm):
            _vectors.products(like, change, residuals, row, used, second_at, width)
            square, along = _vectors.orthogonalise(like, change, residual, residuals, row, used, second_at, width)
            kept = _root(like, square, change, width, floor)
            for j in range(used):
                first[j] += second[j]
        scale = 1 / kept
        usable = kept > numbers[DEPENDENT] * length and length > numbers[ROUNDING] * size and scale < inf
        # The last rows are gone through with all that is written, those before by themselves.
        before, base = max(used - _vectors.ROWS, 0) if usable else used, image
        if before or not usable:
            _vectors.copy(like, image, out, width)
            _vectors.subtract(like, moved, out, images, row, before, first_at, now_at, width)
            base = out
        if not usable:
            # An empty slot: directions that say nothing new any more make room all the same.
            _clear(like, residuals + row * slot, width)
            _clear(like, images + row * slot, width)
            coefficients[slot] = 0
            _take_slot(counts, i, where[MEMORY], where[MEMORY])
            continue
        scale_change = scale
        if floor < kept < inf and floor < norm and abs(along) < inf:
            along *= scale
        else:  # squares left the numbers
            _vectors.quotient(like, change, kept, width)
            along, scale_change = _vectors.square(like, change, residual, width), 1.0
        _vectors.mix(
            like, moved, base, change, images + row * before, row, used - before, first_at + item * before,
            now_at + item * before, scale, along, scale_change, images + row * slot, out, residuals + row * slot, width,
        )  # fmt: skip
        coefficients[slot] = along
        if started < 0:
            quick = floats[FRESH, i] < QUICK * floats[RESIDUAL, i]
        else:
            total, whole = _vectors.look(like, last_z, last_image, 0, width)
            former, now_is = (sqrt(total), norm) if numbers[ABSOLUTE] > 0 else (sqrt(total) * size, norm * sqrt(whole))
            quick = now_is < QUICK * former
        _take_slot(counts, i, where[MEMORY], where[ENOUGH] if quick else where[MEMORY])
    if started >= 0:
        return USUAL
    return PART if parts > 1 else _commit(numbers, floats, longs, flags, is_plain, True, ends)


#: Columns of the memory of :func:`broyden`, a row for each block of slots: addresses of directions, of images where any
#: are rows, and of ratios.
DIRECTIONS, IMAGES, RATIOS = range(3)


@_part
def _slot(memory, column, i, slot, some, size):
    """Address of what a row has in a slot, so many bytes; a block has ``some`` slots of each row."""
    return memory[slot // some, column] + (i * some + slot % some) * size


@_part
def _ratio(memory, i, slot, some):
    """The ratio of a row's slot, as an array of it alone."""
    return carray(_vectors.pointer(_slot(memory, RATIOS, i, slot, some, 8)), (1,), np.float64)


@_part
def _apply(like, memory, i, first, number, some, capacity, x, width, ahead):
    """``prod_j (I + w_j e_j^T) x`` into x, of so many terms from slot ``first`` on.

    Returns ``<e, x>`` with the direction after the last of them. ``ahead``: whether the next row's are fetched.
    """
    slot, block, place, row = first, first // some, first % some, like.itemsize * width
    along = _vectors.square(like, memory[block, DIRECTIONS] + (i * some + place) * row, x, width)
    for _ in range(number):
        at = i * some + place
        ratio = carray(_vectors.pointer(memory[block, RATIOS] + 8 * at), (1,), np.float64)[0]
        image = memory[block, IMAGES] + at * row
        slot, place = slot + 1, place + 1
        if slot == capacity:
            slot, block, place = 0, 0, 0
        elif place == some:
            block, place = block + 1, 0
        direction = memory[block, DIRECTIONS] + (i * some + place) * row
        if ahead:
            _ahead(direction + some * row, row)
        if ratio < 0:
            _vectors.advance(like, x, image, -ratio * along, width)
            along = _vectors.square(like, direction, x, width)
        else:
            along = _vectors.advance(like, x, direction, ratio * along, width)
    return along


@_part
def _quotient(like, x, by, out, width):
    """``x/by`` into out; 0 where by is 0 or no number."""
    if abs(by) > 0:
        _vectors.copy(like, x, out, width)
        _vectors.quotient(like, out, by, width)
    else:
        _clear(like, out, width)


@_compiled
def broyden(
    like, where, z_at, image_at, out_at, last_z_at, last_image_at, next_image_at, is_plain, started, part, parts,
):  # fmt: skip
    """The same for Broyden's method, whose memory is in blocks of slots, see :class:`ufm.deq.solvers._Broyden`.

    The inverse Jacobian is ``-gamma prod_j (I + w_j e_j^T)``, e_j the direction of step j. Where that step was
    ``s_j = -H_j g_j``, as proposed, ``w_j = e_{j+1} |s_{j+1}|/|s_j|`` with the step after it (Kelley 2003, section
    4.3): beside the directions that ratio is all that is kept. Else w_j has a row of its own, of length 1, and its
    ratio is negative; so where the oldest term gives way, for the step was proposed with it.
    """
    numbers, floats, longs, flags, ends = _shared(where, like)
    rows, width, item = where[ROWS], where[WIDTH], like.itemsize
    some, capacity, row, floor = where[ENOUGH], where[MEMORY], item * width, numbers[FLOOR]
    memory = carray(_vectors.pointer(where[FIRST_MEMORY]), (where[SLOTS], 3), np.int64)
    lengths = carray(_vectors.pointer(where[SECOND_MEMORY]), (rows,), np.float64)
    proposed = carray(_vectors.pointer(where[PROPOSED]), (rows,), np.bool_)
    scaled, all_gamma, counts = where[THIRD_MEMORY] != 0, _row(like, where[THIRD_MEMORY], rows), _counts(where)
    _, _, _, residual, change, step, _, _ = _scratch(where, like, part)
    size = row * some * where[SLOTS] * rows
    begin, end = _rows(where, part, parts)
    for i in range(begin, end):
        is_next = i + 1 < end and not flags[HELD, i + 1]
        if AHEAD < size <= FAR and is_next:
            for block in range(where[SLOTS]):
                here = min(max(counts[i + 1, USED], counts[i + 1, SLOT]) - some * block, some)
                _ahead(_slot(memory, DIRECTIONS, i + 1, block * some, some, row), here * row)
        if _waits(i, flags, started):
            continue
        z, image, out = z_at + i * row, image_at + i * row, out_at + i * row
        last_z, last_image = last_z_at + i * row, last_image_at + i * row
        used, former = counts[i, USED], floats[NORM, i]
        lean = 0 < used < capacity and proposed[i] and started < 0
        if lean:
            square, whole = _vectors.look(like, z, image, residual, width)
            sums = square, whole, 1.0
        else:
            sums = _vectors.look_at_points(like, z, image, last_z, last_image, residual, change, step, width)
        if next_image_at:
            _vectors.copy(like, image, next_image_at + i * row, width)
        length = _judge(
            i, like, where, numbers, floats, longs, flags, is_plain, started, sums, z, image, last_z, last_image,
            residual, change, out,
        )  # fmt: skip
        if length == STOP:
            ends[ROW + part] = i
            return RARE
        if length == NEXT:
            continue
        slot, gamma = counts[i, SLOT], float(all_gamma[i]) if scaled else 1.0
        least = numbers[ROUNDING] * float(floats[SIZE, i])
        # The residual changes by what its length does at least: rows of the step before are seldom looked at.
        telling = lean and abs(floats[NORM, i] - former) > least
        if lean and not telling:
            _, _, square = _vectors.look_at_points(like, z, image, last_z, last_image, residual, change, step, width)
            length = _root(like, square, change, width, floor)
        telling = telling or length > least
        follows = proposed[i] and used < capacity
        if used == capacity:
            used -= 1
        newest = (slot if slot else capacity) - 1 if used else slot
        now, ratio = _slot(memory, DIRECTIONS, i, newest, some, row), _ratio(memory, i, newest, some)
        if follows and used:
            taken = lengths[i]
        else:
            taken = _root(like, _vectors.square(like, step, step, width), step, width, floor)
            if used > 1:
                before = (newest if newest else capacity) - 1
                earlier = _ratio(memory, i, before, some)
                if earlier[0] > 0:  # what was proposed is the term's, though not the step's
                    _vectors.copy(like, now, _slot(memory, IMAGES, i, before, some, row), width)
                    earlier[0] = -earlier[0]
            _quotient(like, step, taken, now, width)
            if not used:
                used, slot = 1, slot + 1
        first = slot - used if slot >= used else slot - used + capacity
        fetched = size > FAR and is_next
        if fetched:
            _ahead(_slot(memory, DIRECTIONS, i + 1, first, some, row), row)
        along = _apply(like, memory, i, first, used - 1, some, capacity, residual, width, fetched)
        ratio[0], by = 0.0, gamma
        if follows:
            # In units of |s|: H y = s - (-H g)
            denominator, square, total = _vectors.secant(like, now, residual, gamma / taken, width)
            usable = telling and abs(denominator) > numbers[DEPENDENT] * sqrt(square) and abs(1 / denominator) < inf
            if usable:
                by = gamma / denominator
        else:
            _apply(like, memory, i, first, used - 1, some, capacity, change, width, False)
            _quotient(like, change, -taken / gamma, step, width)  # H y
            denominator = _vectors.square(like, now, step, width)
            square = _vectors.square(like, step, step, width)
            usable = telling and abs(denominator) > numbers[DEPENDENT] * sqrt(square) and abs(1 / denominator) < inf
            if usable:
                _vectors.times(like, step, -1.0, now, change, width)  # s - H y
                left = _root(like, _vectors.square(like, change, change, width), change, width, floor)
                image_of = _slot(memory, IMAGES, i, newest, some, row)
                _quotient(like, change, left if denominator > 0 else -left, image_of, width)
                ratio[0] = -left / abs(denominator)
                _vectors.advance(like, residual, image_of, -ratio[0] * along, width)
            total = _vectors.square(like, residual, residual, width)
        length = _root(like, total, residual, width, floor)
        lengths[i], unit = abs(by) * length, (1.0 if by > 0 else -1.0) / length
        if follows and usable:
            ratio[0] = lengths[i] / taken
        if not abs(like.dtype.type(unit)) < inf:
            unit, lengths[i], ratio[0] = 0.0, 0.0, min(ratio[0], 0.0)
        following = _slot(memory, DIRECTIONS, i, slot, some, row)
        _vectors.step(like, residual, z, by, unit, out, following, width)
        counts[i, USED], counts[i, SLOT] = used + 1, slot + 1 if slot + 1 < capacity else 0
    if started >= 0:
        return USUAL
    return PART if parts > 1 else _commit(numbers, floats, longs, flags, is_plain, True, ends)


@cache
def entry(name: str, itemsize: int) -> Any:
    """The machine code of a kernel of steps, for floating-point numbers of a size.

    The kernel itself looks at the types of its arguments at every call, which takes longer than to pass them.
    """
    like, where, flag, place = np.empty(1, f"f{itemsize}"), np.empty(1, np.int64), True, 0
    rest = [place] * 5 + [flag] * 4 + [place] * 2 if name == "plain" else [place] * 6 + [flag] + [place] * 3
    return globals()[name].compile(tuple(typeof(value) for value in (like, where, *rest)))


@_part
def _told(data):
    """What is where, of an address; and the arguments of a kernel of accelerated steps."""
    where = carray(data, (FOUND + carray(data, (FOUND,), np.int64)[PARTS],), np.int64)
    first = where[ARGUMENTS], where[ARGUMENTS + 1], where[ARGUMENTS + 2], where[ARGUMENTS + 3], where[ARGUMENTS + 4]
    return where, (*first, where[ARGUMENTS + 5], where[ARGUMENTS + 6] != 0, where[ARGUMENTS + 7])


@cache
def of_a_team(name: str, itemsize: int) -> Any:
    """What each thread of a team runs for a kernel: a C function of where everything is, which takes parts of the rows
    while there are any.

    Kernels stand in each by name: a function that closes over one is compiled again in every process, for Numba's key
    of what it keeps holds what is closed over, and a kernel is another object each time.
    """
    dtype = np.dtype(f"f{itemsize}")

    def run_plain(data):
        like, (where, told) = carray(data, (1,), dtype), _told(data)
        flags = told[5] != 0, told[6], told[7] != 0, where[ARGUMENTS + 8] != 0
        part = _vectors.take(data, NEXT_PART)
        while part < where[PARTS]:
            where[FOUND + part] = plain(like, where, *told[:5], *flags, part, where[PARTS])
            part = _vectors.take(data, NEXT_PART)

    def run_anderson(data):
        like, (where, told) = carray(data, (1,), dtype), _told(data)
        part = _vectors.take(data, NEXT_PART)
        while part < where[PARTS]:
            where[FOUND + part] = anderson(like, where, *told, part, where[PARTS])
            part = _vectors.take(data, NEXT_PART)

    def run_broyden(data):
        like, (where, told) = carray(data, (1,), dtype), _told(data)
        part = _vectors.take(data, NEXT_PART)
        while part < where[PARTS]:
            where[FOUND + part] = broyden(like, where, *told, part, where[PARTS])
            part = _vectors.take(data, NEXT_PART)

    run = {"plain": run_plain, "anderson": run_anderson, "broyden": run_broyden}[name]
    return cfunc(types.void(types.voidptr), cache=True)(run)
