"""Losses that state themselves: an expression of logits z and target t, shown to be convex, with tangents in balls.

An expression is the word ``"z"`` or ``"t"`` (vectors with an entry a class), a rational (a scalar) or a list whose
first entry is the name of an operation. Scalars count for every entry of a vector beside them.

    sum, max, logsumexp, norm   of the entries of one argument, or entry by entry of several; norm is (sum x^2)^{1/2}
    *, /                        of two arguments; one of them, the last of a quotient, is free of z
    power                       [power, x, "p"] with rational p >= 1; x >= 0 everywhere unless p is even
    exp, abs, softplus          softplus x = log(1 + e^x)
    huber                       [huber, x, "d"]: x^2/2 up to |x| = d > 0, and d |x| - d^2/2 beyond
    log                         of a positive number free of z
    at, list                    [at, x, i] is the entry i of x; a list is the vector of its scalars

Every operation is finite and continuous on all of its domain. An expression is convex where it is put together by the
rules of disciplined convex programming (Grant, Boyd and Ye 2006): h(x_1, ...) is convex if h is, and each x_i is
affine, or convex where h does not fall in it, or concave where h does not rise. Then balls that hold the derivatives,
or at a kink everything between those of both sides, hold a subgradient g at z_0: l(z) >= l(z_0) + <g, z - z_0>.

A tangent of the risk at logits Z_0 is a matrix G and a number a with f(Z) >= a + <G, Z> for all Z; so is a weighted
mean of tangents. Where a bias is free the rows of the mean must sum to 0: the witness gives as many logits, apart by
biases, as these equations and the sum of the weights determine, and the weights, found in balls, must be positive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flint import arb, arb_mat, fmpq

from proofs_check.kinds.reading import Reject, fields, integer, matrix, rational, vector, whole_power

MAX_DEPTH, MAX_NODES, MAX_WORK = 40, 20_000, 8_000_000
MAX_POWER = 64
MAX_BITS = 4000  # of an exact number; a longer one goes on as a ball
MAX_SIZE = 64

CONSTANT, AFFINE, CONVEX, CONCAVE = "constant", "affine", "convex", "concave"
WORDS = {"*": 2, "/": 2, "power": 2, "exp": 1, "abs": 1, "softplus": 1, "huber": 2, "log": 1, "at": 2}
SEVERAL = ("sum", "max", "logsumexp", "norm")


@dataclass(frozen=True)
class Cell:
    """A scalar expression at a point.

    Attributes:
        value: what it is there; a rational as long as it is exact.
        slopes: balls of a subgradient's entries (of minus one's where it is concave) that may differ from 0.
        level: constant, affine, convex or concave in z.
        low, high: whether it is >= 0, or <= 0, for every z.
        drift: r with e(z + x c) = e(z) + r x for every z and x, c the direction asked about; None if not known.
    """

    value: Any
    slopes: dict[int, arb]
    level: str
    low: bool
    high: bool
    drift: fmpq | None


def constant(value: Any) -> Cell:
    """A number free of z; an exact one that has grown long goes on as a ball."""
    if isinstance(value, fmpq) and max(value.p.bit_length(), value.q.bit_length()) > MAX_BITS:
        value = arb(value)
    return Cell(value, {}, CONSTANT, bool(value >= 0), bool(value <= 0), fmpq(0))


def known(cell: Cell) -> bool:
    """Whether it is an exact number free of z."""
    return cell.level == CONSTANT and isinstance(cell.value, fmpq)


def read(data: Any, k: int, m: int) -> Any:
    """The expression, its words and its size looked at; what stands where is seen when it is evaluated."""
    left = [MAX_NODES]

    def look(node: Any, depth: int) -> None:
        left[0] -= 1
        if depth > MAX_DEPTH or left[0] < 0:
            raise Reject(f"expression must have at most {MAX_NODES} parts, {MAX_DEPTH} deep")
        if isinstance(node, str):
            if node not in ("z", "t"):
                rational(node, "a number of the expression")
            return
        words = (*WORDS, *SEVERAL, "list")
        if not isinstance(node, list) or len(node) < 2 or not isinstance(node[0], str) or node[0] not in words:
            raise Reject(f"expression: {str(node)[:60]!r} is no list of a known operation and its arguments")
        if len(node) - 1 != WORDS.get(node[0], len(node) - 1):
            raise Reject(f"expression: {node[0]!r} takes {WORDS[node[0]]} arguments")
        for part in node[1:-1] if node[0] == "at" else node[1:]:
            look(part, depth + 1)

    look(data, 0)
    if work(data, k)[1] * m > MAX_WORK:
        raise Reject("expression: too large for so many classes and columns")
    return data


def work(node: Any, k: int) -> tuple[int, int]:
    """Width of an expression, and how many cells evaluating it takes."""
    if isinstance(node, str):
        width = k if node in ("z", "t") else 1
        return width, width
    given = [work(part, k) for part in node[1:] if not isinstance(part, int)]
    total = sum(cells for _, cells in given)
    if node[0] == "list":
        return len(given), total
    width = 1 if node[0] == "at" or (node[0] in SEVERAL and len(given) == 1) else max(w for w, _ in given)
    return width, total + width


def spell(node: Any) -> str:
    """The expression as people write it."""
    if isinstance(node, str):
        return node
    parts = [str(x) if isinstance(x, int) else spell(x) for x in node[1:]]
    return f"{node[0]}({', '.join(parts)})"


# Evaluation -----------------------------------------------------------------------------------------------------------


def evaluate(node: Any, z: list[Any], t: list[fmpq], direction: list[fmpq]) -> list[Cell]:
    """Cells of an expression at logits z: one of a scalar, one an entry of a vector."""
    if node == "z":
        return [
            Cell(x, {i: arb(1)}, AFFINE, False, False, c) for i, (x, c) in enumerate(zip(z, direction, strict=True))
        ]
    if node == "t":
        return [constant(x) for x in t]
    if isinstance(node, str):
        return [constant(rational(node, "number"))]
    word = node[0]
    if word == "at":
        found = evaluate(node[1], z, t, direction)
        return [found[integer(node[2], "entry", 0, len(found) - 1)]]
    given = [evaluate(part, z, t, direction) for part in node[1:]]
    if word == "list" or (word in SEVERAL and len(given) == 1):
        if word == "list" and any(len(part) != 1 for part in given):
            raise Reject("expression: a list has scalars")
        cells = [cell for part in given for cell in part]
        return cells if word == "list" else [several(word, cells)]
    width = max(map(len, given))
    if any(len(part) not in (1, width) for part in given):
        raise Reject("expression: vectors of different lengths")
    rows = [[part[i % len(part)] for part in given] for i in range(width)]
    return [several(word, row) if word in SEVERAL else one(word, row) for row in rows]


def add(cells: list[Cell]) -> Cell:
    """The sum."""
    levels = {cell.level for cell in cells}
    if {CONVEX, CONCAVE} <= levels:
        raise Reject("expression: a sum of a convex and a concave part is neither")
    value: Any = fmpq(0)
    slopes: dict[int, arb] = {}
    for cell in cells:
        value = value + cell.value
        for i, slope in cell.slopes.items():
            slopes[i] = slopes.get(i, arb(0)) + slope
    if levels == {CONSTANT}:
        return constant(value)
    level = next((x for x in (CONVEX, CONCAVE, AFFINE) if x in levels), AFFINE)
    drifts = [cell.drift for cell in cells if cell.drift is not None]
    drift = sum(drifts, fmpq(0)) if len(drifts) == len(cells) else None
    return Cell(value, slopes, level, all(c.low for c in cells), all(c.high for c in cells), drift)


def scaled(cell: Cell, by: Cell) -> Cell:
    """The product with a number free of z."""
    if by.level != CONSTANT:
        raise Reject("expression: one part of a product is free of z")
    if cell.level == CONSTANT or (by.low and by.high):
        return constant(cell.value * by.value if cell.level == CONSTANT else fmpq(0))
    level = cell.level
    if level != AFFINE:
        if not (by.low or by.high):
            raise Reject("expression: a convex or concave part has a factor of unknown sign")
        level = level if by.low else CONCAVE if level == CONVEX else CONVEX
    low, high = (cell.low, cell.high) if by.low else (cell.high, cell.low) if by.high else (False, False)
    drift = cell.drift if not cell.drift else cell.drift * by.value if isinstance(by.value, fmpq) else None
    return Cell(cell.value * by.value, {i: x * arb(by.value) for i, x in cell.slopes.items()}, level, low, high, drift)


def composed(
    word: str, cells: list[Cell], value: arb, partials: list[arb], rises: list[bool], falls: list[bool], low: bool
) -> Cell:
    """A convex function of the cells, by the rule of composition; ``rises``: where it does not fall in an argument."""
    for cell, up, down in zip(cells, rises, falls, strict=True):
        if not (cell.level in (CONSTANT, AFFINE) or (cell.level == CONVEX and up) or (cell.level == CONCAVE and down)):
            raise Reject(f"expression: {word} of a {cell.level} part is not shown to be convex")
    if all(cell.level == CONSTANT for cell in cells):
        return constant(value)
    slopes: dict[int, arb] = {}
    for cell, partial in zip(cells, partials, strict=True):
        for i, slope in cell.slopes.items():
            slopes[i] = slopes.get(i, arb(0)) + partial * slope
    still = all(cell.drift == 0 for cell in cells)
    return Cell(value, slopes, CONVEX, low, False, fmpq(0) if still else None)


def several(word: str, cells: list[Cell]) -> Cell:
    """A sum, maximum, log-sum-exp or Euclidean norm of cells."""
    if word == "sum":
        return add(cells)
    every, n = [True] * len(cells), len(cells)
    x = [arb(cell.value) for cell in cells]
    if word == "norm":
        value = sum((y * y for y in x), arb(0)).sqrt()
        partials = [y / value if value > 0 else arb(0, 1) for y in x]
        return composed(word, cells, value, partials, [c.low for c in cells], [c.high for c in cells], True)
    top = x[0]
    for y in x[1:]:
        top = top.max(y)
    low, drifts = any(cell.low for cell in cells), {cell.drift for cell in cells}
    if word == "max":
        if all(map(known, cells)):
            return constant(max(cell.value for cell in cells))
        led = [y for y in range(n) if not any(x[y] < x[other] for other in range(n))]
        partials = [(arb(1) if led == [i] else arb(0).union(arb(1))) if i in led else arb(0) for i in range(n)]
        found = composed(word, cells, top, partials, every, [False] * n, low)
    else:
        top = arb(top.mid())
        value = top + sum(((y - top).exp() for y in x), arb(0)).log()
        found = composed(word, cells, value, [(y - value).exp() for y in x], every, [False] * n, low)
    if found.level != CONSTANT and len(drifts) == 1:  # all arguments move alike, and it with them
        found = Cell(found.value, found.slopes, found.level, found.low, found.high, drifts.pop())
    return found


def one(word: str, cells: list[Cell]) -> Cell:
    """An operation on one entry."""
    cell, x = cells[0], arb(cells[0].value)
    if word == "*":
        return scaled(*cells) if cells[1].level == CONSTANT else scaled(cells[1], cells[0])
    if word == "/":
        below = cells[1]
        if below.level != CONSTANT or not (below.value > 0 or below.value < 0):
            raise Reject("expression: a denominator is free of z and not 0")
        return scaled(cell, constant(1 / below.value))
    if word == "log":
        if cell.level != CONSTANT or not x > 0:
            raise Reject("expression: log of what is no positive number free of z")
        return constant(x.log())
    if word == "exp":
        return composed(word, [cell], x.exp(), [x.exp()], [True], [False], True)
    if word == "softplus":
        value = x.max(arb(0)) + (-abs(x)).exp().log1p()
        return composed(word, [cell], value, [1 / (1 + (-x).exp())], [True], [False], True)
    if word == "power":
        return power(cell, x, cells[1])
    if word == "abs" and known(cell):
        return constant(abs(cell.value))
    slope = arb(1) if x > 0 else arb(-1) if x < 0 else arb(0, 1)
    value = abs(x)
    if word == "huber":
        width = cells[1]
        if not known(width) or not width.value > 0:
            raise Reject("expression: the width of huber is a rational > 0")
        slope = x.min(arb(width.value)).max(-arb(width.value))
        value = slope * (x - slope / 2)
    return composed(word, [cell], value, [slope], [cell.low], [cell.high], True)


def power(cell: Cell, x: arb, exponent: Cell) -> Cell:
    """x^p, convex for an even p, and for x >= 0."""
    p = exponent.value
    if not known(exponent) or not 1 <= p <= MAX_POWER:
        raise Reject(f"expression: the exponent of a power is a rational between 1 and {MAX_POWER}")
    whole = p.q == 1
    if whole and known(cell):
        return constant(cell.value ** int(p.p))
    if whole and int(p.p) % 2 == 0:
        n = int(p.p)
        return composed("power", [cell], whole_power(x, n), [n * whole_power(x, n - 1)], [cell.low], [cell.high], True)
    if not cell.low:
        raise Reject("expression: a power that is not even, of what is not shown to be >= 0")
    x = x.max(arb(0))
    return composed("power", [cell], raised(x, p), [arb(p) * raised(x, p - 1)], [True], [False], True)


def raised(x: arb, p: fmpq) -> arb:
    """x^p for x >= 0 and p >= 0, from the ends of the ball."""
    low, high = arb(x.lower()), arb(x.upper())
    if p == 0:
        return arb(1)
    below, above = (end ** arb(p) if end > 0 else arb(0) for end in (low, high))
    return below.union(above)


# Risks and tangents ---------------------------------------------------------------------------------------------------


def column(expression: Any, z: list[Any], t: list[fmpq], direction: list[fmpq]) -> Cell:
    """The loss of a column, shown to be convex."""
    found = evaluate(expression, z, t, direction)
    if len(found) != 1:
        raise Reject("expression: a loss is a scalar")
    if found[0].level == CONCAVE:
        raise Reject("expression: the loss is concave")
    return found[0]


def risk(claim: Any, logits: list[list[Any]]) -> arb:
    """f at logits (K x m), the bias added to them already."""
    return tangent(claim, logits, [fmpq(0)] * len(logits))[0].value_at


def nonnegative(claim: Any) -> bool:
    """Whether the rules show every column's loss to be >= 0."""
    zero = [fmpq(0)] * len(claim.targets)
    return all(column(claim.formula, zero, claim.column(j), zero).low for j in range(len(claim.counts)))


@dataclass(frozen=True)
class Tangent:
    """f >= offset + <matrix, Z>, with f itself at the point, and whether f >= 0 everywhere.

    ``rows`` has the sums of the matrix's rows times N, in which slopes that cancel do so exactly: n_j is short, pi_j is
    not.
    """

    offset: arb
    matrix: arb_mat
    value_at: arb
    low: bool
    rows: list[arb]


def tangent(claim: Any, logits: list[list[Any]], direction: list[fmpq]) -> tuple[Tangent, bool]:
    """The tangent of f at logits (K x m), and whether f is constant along ``direction``."""
    k, m = len(logits), len(logits[0])
    g, value, offset, low, still = arb_mat(k, m), arb(0), arb(0), True, True
    rows = [arb(0)] * k
    for j, pi in enumerate(claim.pi):
        z = [row[j] for row in logits]
        cell = column(claim.formula, z, claim.column(j), direction)
        value += arb(pi) * cell.value
        offset += arb(pi) * (cell.value - sum((x * arb(z[i]) for i, x in cell.slopes.items()), arb(0)))
        low, still = low and cell.low, still and cell.drift == 0
        for i, x in cell.slopes.items():
            g[i, j] = arb(pi) * x
            rows[i] += arb(claim.counts[j]) * x
    return Tangent(offset, g, value, low, rows), still


def dual(claim: Any, data: Any) -> tuple[list[list[arb]], arb]:
    """G and a number a with f(Z) >= a + <G, Z>, from a witness; with a free bias the rows of G sum to 0.

    The witness: ``logits``, one matrix or two; ``biases``, added to the first; the ``share`` of the second, or where it
    is missing of f >= 0, which all of it leaves of the others nothing; ``direction``, along which f does not change.
    """
    k, m = len(claim.targets), len(claim.counts)
    logits_data, biases_data, share_data, direction_data = fields(
        data, "dual", "logits", "biases", "share", "direction"
    )
    if not isinstance(logits_data, list) or not 1 <= len(logits_data) <= 2 or not isinstance(biases_data, list):
        raise Reject("dual: logits must be a list of one or two matrices, and biases one of vectors")
    if not 1 <= len(biases_data) <= k + 1 or work(claim.formula, k)[1] * m * len(biases_data) > MAX_WORK:
        raise Reject("dual: too many biases, or too large an expression for them")
    first, *other = (matrix(x, "logits", k, m, MAX_SIZE) for x in logits_data)
    biases = [vector(x, "biases", k) for x in biases_data]
    direction = [fmpq(0)] * k if direction_data is None else vector(direction_data, "direction", k)
    share = rational(share_data, "share")
    if not 0 <= share <= 1:
        raise Reject("share must lie in [0, 1]")
    points = [[[x + b for x in row] for row, b in zip(first, bias, strict=True)] for bias in biases]
    found = [tangent(claim, point, direction) for point in [*points, *other]]
    if any(direction) and not all(still for _, still in found):
        raise Reject("direction: the loss is not shown to be constant along it")
    tangents = [part for part, _ in found]
    rest = tangents[len(points) :] or [Tangent(arb(0), arb_mat(k, m), arb(0), True, [arb(0)] * k)]
    if share and not other and not tangents[0].low:
        raise Reject("share: the loss is not shown to be >= 0, and there is no second matrix of logits")
    if share == 1 and not other:
        return rest[0].matrix.tolist(), rest[0].offset
    shares = weights(claim, tangents[: len(points)], rest[0], share, direction)
    every = [*zip(shares, tangents[: len(points)], strict=True), (arb(share), rest[0])]
    g, offset = arb_mat(k, m), arb(0)
    for weight, part in every:
        g, offset = g + part.matrix * weight, offset + weight * part.offset
    return g.tolist(), offset


def weights(claim: Any, tangents: list[Tangent], rest: Tangent, share: fmpq, direction: list[fmpq]) -> list[arb]:
    """Positive weights of the tangents, with ``share`` of the rest summing to 1; balanced where a bias is free."""
    if claim.bias is None or claim.bias != 0:
        if len(tangents) != 1:
            raise Reject("dual: several biases are of use where the bias is free")
        return [arb(1 - share)]
    k = len(direction)
    # rows of a tangent, weighted by the direction, sum to 0: one equation follows from the others
    spare = next((i for i, c in enumerate(direction) if c != 0), None)
    *given, last = (part.rows for part in (*tangents, rest))
    rows = [i for i in range(k) if i != spare and not all(sums[i] == 0 for sums in (*given, last))]
    if len(tangents) != len(rows) + 1:
        raise Reject(f"dual: a free bias takes {len(rows) + 1} biases here")
    left = arb_mat([*([sums[i] for sums in given] for i in rows), [arb(1)] * len(given)])
    right = arb_mat([*([-arb(share) * last[i]] for i in rows), [arb(1 - share)]])
    try:
        found = [row[0] for row in left.solve(right).tolist()]
    except ZeroDivisionError:
        raise Reject("dual: the rows of G must sum to 0, and the biases do not determine weights for that") from None
    if not all(x > 0 for x in found):
        raise Reject("dual: with a free bias the rows of G must sum to 0, and no positive weights make them")
    return found
