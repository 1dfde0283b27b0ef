"""Loops over numbers that lie side by side, in blocks of 64 bytes, as machine code.

Every loop says itself what goes together: block k of all arrays in one piece, and what is left number by number; a sum
is of one number for each place in a block, which are added pairwise at the end. So a result is the same wherever the
arrays lie, to the last bit. Loops that a compiler may reorder are not: whether it takes several numbers at once it has
the program decide by how far apart the arrays are, and a sum then hangs on where memory was found for them.

The addresses that the functions take are of numbers of the dtype of ``like``; nothing that is written may be read by
the same call elsewhere. ``rows`` are ``stride`` bytes apart.
"""
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

from ufm._extras import optional

with optional("fast"):
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

__all__ = [
    "advance",
    "copy",
    "fetch",
    "look",
    "look_at_images",
    "look_at_points",
    "mix",
    "orthogonalise",
    "pointer",
    "products",
    "quotient",
    "secant",
    "square",
    "step",
    "subtract",
    "take",
    "times",
]

#: Bytes of a block.
BLOCK = 64

#: Rows that are gone through at once.
ROWS = 8

#: Blocks that a sum alone is of at once: the next product need not wait for the last.
WAYS = 4


class _Code:
    """What the loops are written with: where code goes, the dtype, and the numbers of the call.

    Args:
        builder, signature, values: of an intrinsic whose first argument is an array of the dtype.
    """

    def __init__(self, context: Any, builder: Any, signature: Any, values: Any) -> None:
        self.builder = builder
        self.number = context.get_data_type(signature.args[0].dtype)
        self.size = context.get_abi_sizeof(self.number)
        self.lanes = BLOCK // self.size
        self.block = ir.VectorType(self.number, self.lanes)
        self.word = context.get_value_type(types.intp)
        self.values = [self._as_number(v) if v.type in (ir.FloatType(), ir.DoubleType()) else v for v in values[1:]]

    def _as_number(self, value: Any) -> Any:
        if value.type == self.number:
            return value
        cast = self.builder.fptrunc if self.number == ir.FloatType() else self.builder.fpext
        return cast(value, self.number)

    def constant(self, value: int) -> Any:
        """A whole number."""
        return ir.Constant(self.word, value)

    def each(self, count: Any, body: Callable[[Any, Any], None]) -> None:
        """``body(offset in bytes, type)`` for every block of ``count`` numbers, then for every number that is left."""
        whole = self.builder.udiv(count, self.constant(self.lanes))
        with cgutils.for_range(self.builder, whole, intp=self.word) as loop:
            body(self.builder.mul(loop.index, self.constant(BLOCK)), self.block)
        self._rest(count, whole, body)

    def each_of_several(self, count: Any, body: Callable[[Any, Any, int], None]) -> None:
        """The same, WAYS blocks at a time: the body is told which of them, of the blocks that are left the first."""
        whole = self.builder.udiv(count, self.constant(self.lanes))
        groups = self.builder.udiv(whole, self.constant(WAYS))
        with cgutils.for_range(self.builder, groups, intp=self.word) as loop:
            first = self.builder.mul(loop.index, self.constant(WAYS * BLOCK))
            for way in range(WAYS):
                body(self.builder.add(first, self.constant(way * BLOCK)), self.block, way)
        done = self.builder.mul(groups, self.constant(WAYS))
        with cgutils.for_range(self.builder, whole, start=done, intp=self.word) as loop:
            body(self.builder.mul(loop.index, self.constant(BLOCK)), self.block, 0)
        self._rest(count, whole, lambda k, kind: body(k, kind, 0))

    def _rest(self, count: Any, whole: Any, body: Callable[[Any, Any], None]) -> None:
        """The body for every number after so many blocks."""
        first = self.builder.mul(whole, self.constant(self.lanes))
        with cgutils.for_range(self.builder, count, start=first, intp=self.word) as loop:
            body(self.builder.mul(loop.index, self.constant(self.size)), self.number)

    def at(self, address: Any, offset: Any, kind: Any) -> Any:
        """A pointer to what is at an address and an offset."""
        return self.builder.inttoptr(self.builder.add(address, offset), kind.as_pointer())

    def load(self, address: Any, offset: Any, kind: Any) -> Any:
        """A block or a number."""
        return self.builder.load(self.at(address, offset, kind), align=self.size)

    def store(self, value: Any, address: Any, offset: Any) -> None:
        """Write a block or a number."""
        self.builder.store(value, self.at(address, offset, value.type), align=self.size)

    def all_of(self, value: Any, kind: Any) -> Any:
        """A number, or a block of it."""
        if kind == self.number:
            return value
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
        places = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), places)

    def fma(self, x: Any, y: Any, z: Any) -> Any:
        """``x y + z``, rounded once where the processor can."""
        kind, bits = x.type, 8 * self.size
        name = f"llvm.fmuladd.f{bits}" if kind == self.number else f"llvm.fmuladd.v{self.lanes}f{bits}"
        function = cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(kind, [kind] * 3), name)
        return self.builder.call(function, [x, y, z])

    def less(self, x: Any, y: Any, z: Any) -> Any:
        """``z - x y``."""
        return self.fma(self.builder.fneg(x), y, z)

    def unrolled(self, count: Any, body: Callable[[int], None], least: int = 0) -> None:
        """``body(j)`` of the number j from ``least`` to ROWS that ``count`` is: code for each."""
        end = self.builder.append_basic_block("rows.end")
        choice = self.builder.switch(count, end)
        for j in range(least, ROWS + 1):
            block = self.builder.append_basic_block(f"rows.{j}")
            choice.add_case(self.constant(j), block)
            self.builder.position_at_end(block)
            body(j)
            self.builder.branch(end)
        self.builder.position_at_end(end)

    @contextlib.contextmanager
    def chunks(self, rows: Any, stride: Any, count: Any, *arrays: Any):
        """Rows at most ROWS at a time: the address of the first, how many, and the arrays' addresses of theirs."""
        number = self.builder.udiv(self.builder.add(count, self.constant(ROWS - 1)), self.constant(ROWS))
        with cgutils.for_range(self.builder, number, intp=self.word) as loop:
            done = self.builder.mul(loop.index, self.constant(ROWS))
            left = self.builder.sub(count, done)
            some = self.builder.select(
                self.builder.icmp_unsigned("<", left, self.constant(ROWS)), left, self.constant(ROWS)
            )
            here = self.builder.add(rows, self.builder.mul(done, stride))
            offset = self.builder.mul(done, self.constant(self.size))
            yield here, some, [self.builder.add(array, offset) for array in arrays]

    def spread(self, address: Any, j: int) -> dict[Any, Any]:
        """Number j of an array, for blocks and for numbers."""
        value = self.load(address, self.constant(j * self.size), self.number)
        return {kind: self.all_of(value, kind) for kind in (self.block, self.number)}

    def both_kinds(self, value: Any) -> dict[Any, Any]:
        """A number for blocks and for numbers."""
        return {kind: self.all_of(value, kind) for kind in (self.block, self.number)}

    def row(self, rows: Any, stride: Any, j: int) -> Any:
        """The address of row j."""
        return self.builder.add(rows, self.builder.mul(stride, self.constant(j)))

    def pack(self, context: Any, signature: Any, sums: list[_Sum]) -> Any:
        """Sums as the tuple of floats that a function returns, or as the only one."""
        values = [sum_.value() for sum_ in sums]
        if self.number == ir.FloatType():
            values = [self.builder.fpext(value, ir.DoubleType()) for value in values]
        if len(values) == 1:
            return values[0]
        return context.make_tuple(self.builder, signature.return_type, values)


class _Sum:
    """A sum of products: a number for each place in a block, of each of several ways, and one of what is left."""

    def __init__(self, code: _Code, ways: int = 1) -> None:
        self.code = code
        self.blocks = [cgutils.alloca_once(code.builder, code.block) for _ in range(ways)]
        self.rest = cgutils.alloca_once(code.builder, code.number)
        self.clear()

    def clear(self) -> None:
        """Start at 0."""
        zero = ir.Constant(self.code.number, 0.0)
        for part in self.blocks:
            self.code.builder.store(self.code.all_of(zero, self.code.block), part)
        self.code.builder.store(zero, self.rest)

    def add(self, x: Any, y: Any, way: int = 0) -> None:
        """Take in a product."""
        part = self.rest if x.type == self.code.number else self.blocks[way]
        self.code.builder.store(self.code.fma(x, y, self.code.builder.load(part)), part)

    def value(self) -> Any:
        """Blocks are added pairwise, then halves of the block until one number is left, and then the rest."""
        code, builder = self.code, self.code.builder
        blocks, lanes = [builder.load(part) for part in self.blocks], code.lanes
        while len(blocks) > 1:
            blocks = [builder.fadd(one, other) for one, other in zip(blocks[::2], blocks[1::2], strict=True)]
        (total,) = blocks
        while lanes > 1:
            lanes //= 2
            halves = []
            for begin in (0, lanes):
                places = ir.Constant(ir.VectorType(ir.IntType(32), lanes), list(range(begin, begin + lanes)))
                halves.append(builder.shuffle_vector(total, ir.Constant(total.type, ir.Undefined), places))
            total = builder.fadd(*halves)
        total = builder.extract_element(total, ir.Constant(ir.IntType(32), 0))
        return builder.fadd(total, builder.load(self.rest))


def _sums(number: int) -> Any:
    """The type of so many sums."""
    return types.float64 if number == 1 else types.UniTuple(types.float64, number)


@intrinsic  # type: ignore[untyped-decorator]
def pointer(context, address):
    """An address as a pointer: an array that is made from it has no owner that every row of it would be counted for."""

    def generate(context, builder, signature, values):
        return builder.inttoptr(values[0], cgutils.voidptr_t)

    return types.voidptr(types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def fetch(context, address):
    """Have the processor fetch a line of memory into its second cache, for reading."""

    def generate(context, builder, signature, values):
        place, number = builder.inttoptr(values[0], cgutils.voidptr_t), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [place, *(ir.Constant(number, value) for value in (0, 2, 1))])
        return context.get_dummy_value()

    return types.void(types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def take(context, data, place):
    """Count the whole number in a place up by one, and return what it was: each to one of several threads alone."""

    def generate(context, builder, signature, values):
        word = context.get_value_type(types.intp)
        address = builder.gep(builder.bitcast(values[0], word.as_pointer()), [values[1]])
        return builder.atomic_rmw("add", address, ir.Constant(word, 1), "acq_rel")

    return types.intp(types.voidptr, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def copy(context, like, source, target, width):
    """Copy a row."""

    def generate(context, builder, signature, values):
        code = _Code(context, builder, signature, values)
        source, target, width = code.values
        code.each(width, lambda k, kind: code.store(code.load(source, k, kind), target, k))
        return context.get_dummy_value()

    return types.void(like, types.intp, types.intp, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def square(context, like, x, y, width):
    """``<x, y>``."""

    def generate(context, builder, signature, values):
        code = _Code(context, builder, signature, values)
        x, y, width = code.values
        total = _Sum(code, WAYS)
        code.each_of_several(width, lambda k, kind, way: total.add(code.load(x, k, kind), code.load(y, k, kind), way))
        return code.pack(context, signature, [total])

    return _sums(1)(like, types.intp, types.intp, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def quotient(context, like, x, by, width):
    """``x/by`` into x."""

    def generate(context, builder, signature, values):
        code = _Code(context, builder, signature, values)
        x, by, width = code.values
        by = code.both_kinds(by)
        code.each(width, lambda k, kind: code.store(builder.fdiv(code.load(x, k, kind), by[kind]), x, k))
        return context.get_dummy_value()

    return types.void(like, types.intp, types.float64, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def look(context, like, z, image, residual, width):
    """``|f(z) - z|^2`` and ``|f(z)|^2``; the residual goes where its address says, unless that is 0."""

    def generate(context, builder, signature, values):
        code = _Code(context, builder, signature, values)
        z, image, residual, width = code.values
        norm, size = _Sum(code), _Sum(code)

        def body(k, kind, kept):
            now = code.load(image, k, kind)
            difference = builder.fsub(now, code.load(z, k, kind))
            norm.add(difference, difference)
            size.add(now, now)
            if kept:
                code.store(difference, residual, k)

        with builder.if_else(builder.icmp_unsigned("!=", residual, code.constant(0))) as branches:
            for branch, kept in zip(branches, (True, False), strict=True):
                with branch:
                    code.each(width, functools.partial(body, kept=kept))
        return code.pack(context, signature, [norm, size])

    return _sums(2)(like, types.intp, types.intp, types.intp, types.intp), generate


def _look_at_both(name: str, of_images: bool) -> Any:
    """See :func:`look_at_images` and :func:`look_at_points`."""

    def typed(context, like, z, image, last_z, last_image, residual, change, moved, width):
        def generate(context, builder, signature, values):
            code = _Code(context, builder, signature, values)
            z, image, last_z, last_image, residual, change, moved, width = code.values
            norm, size, length = _Sum(code), _Sum(code), _Sum(code)

            def body(k, kind):
                points = code.load(z, k, kind), code.load(last_z, k, kind)
                images = code.load(image, k, kind), code.load(last_image, k, kind)
                now = builder.fsub(images[0], points[0])
                difference = builder.fsub(now, builder.fsub(images[1], points[1]))
                norm.add(now, now)
                size.add(images[0], images[0])
                length.add(difference, difference)
                code.store(now, residual, k)
                code.store(difference, change, k)
                code.store(builder.fsub(*(images if of_images else points)), moved, k)

            code.each(width, body)
            return code.pack(context, signature, [norm, size, length])

        return _sums(3)(like, *(types.intp,) * 8), generate

    typed.__name__ = typed.__qualname__ = name
    return intrinsic(typed)


#: ``f(z) - z`` of a row into residual and its change into change, that of f(z) into moved;
#: squared lengths of the residual, of f(z) and of the change.
look_at_images = _look_at_both("look_at_images", True)

#: The same with the change of z in moved.
look_at_points = _look_at_both("look_at_points", False)


@intrinsic  # type: ignore[untyped-decorator]
def products(context, like, x, rows, stride, count, out, width):
    """Inner products of x with so many rows into out."""

    def generate(context, builder, signature, values):
        code = _Code(context, builder, signature, values)
        x, rows, stride, count, out, width = code.values
        sums = [_Sum(code) for _ in range(ROWS)]
        with code.chunks(rows, stride, count, out) as (first, some, (here,)):

            def several(number):
                places = [code.row(first, stride, j) for j in range(number)]
                for total in sums[:number]:
                    total.clear()

                def body(k, kind):
                    y = code.load(x, k, kind)
                    for place, total in zip(places, sums, strict=False):
                        total.add(code.load(place, k, kind), y)

                code.each(width, body)
                for j in range(number):
                    code.store(sums[j].value(), here, code.constant(j * code.size))

            code.unrolled(some, several, 1)
        return context.get_dummy_value()

    return types.void(like, *(types.intp,) * 6), generate


@intrinsic  # type: ignore[untyped-decorator]
def orthogonalise(context, like, x, y, rows, stride, count, by, width):
    """``x - sum_j by_j rows_j`` into x; its squared length and inner product with y."""

    def generate(context, builder, signature, values):
        code = _Code(context, builder, signature, values)
        x, y, rows, stride, count, by, width = code.values
        length, along = _Sum(code), _Sum(code)

        def several(first, here, number):
            length.clear()
            along.clear()
            places = [code.row(first, stride, j) for j in range(number)]
            factors = [code.spread(here, j) for j in range(number)]

            def body(k, kind):
                total = code.load(x, k, kind)
                for place, factor in zip(places, factors, strict=True):
                    total = code.less(factor[kind], code.load(place, k, kind), total)
                if number:
                    code.store(total, x, k)
                length.add(total, total)
                along.add(total, code.load(y, k, kind))

            code.each(width, body)

        with builder.if_then(builder.icmp_unsigned("==", count, code.constant(0))):
            several(rows, by, 0)
        with code.chunks(rows, stride, count, by) as (first, some, (here,)):
            code.unrolled(some, lambda number: several(first, here, number), 1)
        return code.pack(context, signature, [length, along])

    return _sums(2)(like, *(types.intp,) * 7), generate


@intrinsic  # type: ignore[untyped-decorator]
def subtract(context, like, x, y, rows, stride, count, by, of, width):
    """``x - sum_j by_j rows_j`` into x and ``y - sum_j of_j rows_j`` into y."""

    def generate(context, builder, signature, values):
        code = _Code(context, builder, signature, values)
        x, y, rows, stride, count, by, of, width = code.values
        with code.chunks(rows, stride, count, by, of) as (first, some, (of_x, of_y)):

            def several(number):
                places = [code.row(first, stride, j) for j in range(number)]
                factors = [(code.spread(of_x, j), code.spread(of_y, j)) for j in range(number)]

                def body(k, kind):
                    one, other = code.load(x, k, kind), code.load(y, k, kind)
                    for place, factor in zip(places, factors, strict=True):
                        value = code.load(place, k, kind)
                        one = code.less(factor[0][kind], value, one)
                        other = code.less(factor[1][kind], value, other)
                    code.store(one, x, k)
                    code.store(other, y, k)

                code.each(width, body)

            code.unrolled(some, several, 1)
        return context.get_dummy_value()

    return types.void(like, *(types.intp,) * 8), generate


@intrinsic  # type: ignore[untyped-decorator]
def mix(context, like, x, y, w, rows, stride, count, by, of, scale, along, scale_w, x_out, y_out, w_out, width):
    """Of at most ROWS rows: ``p = scale (x - sum_j by_j rows_j)`` into ``x_out``,
    ``y - sum_j of_j rows_j - along p`` into ``y_out`` and ``scale_w w`` into ``w_out``.
    """

    def generate(context, builder, signature, values):
        code = _Code(context, builder, signature, values)
        x, y, w, rows, stride, count, by, of, scale, along, scale_w, x_out, y_out, w_out, width = code.values
        scale, along, scale_w = (code.both_kinds(value) for value in (scale, along, scale_w))

        def several(number):
            places = [code.row(rows, stride, j) for j in range(number)]
            factors = [(code.spread(by, j), code.spread(of, j)) for j in range(number)]

            def body(k, kind):
                one, other = code.load(x, k, kind), code.load(y, k, kind)
                for place, factor in zip(places, factors, strict=True):
                    value = code.load(place, k, kind)
                    one = code.less(factor[0][kind], value, one)
                    other = code.less(factor[1][kind], value, other)
                one = builder.fmul(scale[kind], one)
                code.store(builder.fmul(scale_w[kind], code.load(w, k, kind)), w_out, k)
                code.store(one, x_out, k)
                code.store(code.less(along[kind], one, other), y_out, k)

            code.each(width, body)

        code.unrolled(count, several)
        return context.get_dummy_value()

    whole, real = types.intp, types.float64
    return types.void(like, *(whole,) * 8, *(real,) * 3, *(whole,) * 4), generate


@intrinsic  # type: ignore[untyped-decorator]
def advance(context, like, x, row, by, width):
    """``x + by row`` into x; its inner product with the row."""

    def generate(context, builder, signature, values):
        code = _Code(context, builder, signature, values)
        x, row, by, width = code.values
        by, total = code.both_kinds(by), _Sum(code, WAYS)

        def body(k, kind, way):
            value = code.load(row, k, kind)
            now = code.fma(by[kind], value, code.load(x, k, kind))
            code.store(now, x, k)
            total.add(now, value, way)

        code.each_of_several(width, body)
        return code.pack(context, signature, [total])

    return _sums(1)(like, types.intp, types.intp, types.float64, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def secant(context, like, x, y, by, width):
    """``<x, x - by y>``, ``|x - by y|^2`` and ``|y|^2``."""

    def generate(context, builder, signature, values):
        code = _Code(context, builder, signature, values)
        x, y, by, width = code.values
        by, sums = code.both_kinds(by), [_Sum(code, WAYS) for _ in range(3)]

        def body(k, kind, way):
            one, other = code.load(x, k, kind), code.load(y, k, kind)
            left = code.less(by[kind], other, one)
            for total, pair in zip(sums, ((one, left), (left, left), (other, other)), strict=True):
                total.add(*pair, way)

        code.each_of_several(width, body)
        return code.pack(context, signature, sums)

    return _sums(3)(like, types.intp, types.intp, types.float64, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def step(context, like, x, z, by, unit, out, x_out, width):
    """``z + by x`` into out and ``unit x`` into ``x_out``."""

    def generate(context, builder, signature, values):
        code = _Code(context, builder, signature, values)
        x, z, by, unit, out, x_out, width = code.values
        by, unit = code.both_kinds(by), code.both_kinds(unit)

        def body(k, kind):
            value = code.load(x, k, kind)
            code.store(code.fma(by[kind], value, code.load(z, k, kind)), out, k)
            code.store(builder.fmul(unit[kind], value), x_out, k)

        code.each(width, body)
        return context.get_dummy_value()

    whole, real = types.intp, types.float64
    return types.void(like, whole, whole, real, real, whole, whole, whole), generate


@intrinsic  # type: ignore[untyped-decorator]
def times(context, like, x, by, y, out, width):
    """``by x + y`` into out."""

    def generate(context, builder, signature, values):
        code = _Code(context, builder, signature, values)
        x, by, y, out, width = code.values
        by = code.both_kinds(by)
        code.each(
            width, lambda k, kind: code.store(code.fma(by[kind], code.load(x, k, kind), code.load(y, k, kind)), out, k)
        )
        return context.get_dummy_value()

    return types.void(like, types.intp, types.float64, types.intp, types.intp, types.intp), generate
