"""Strict copositivity: ``v^T A v > 0`` for every v >= 0 but 0, of small symmetric matrices in balls.

Keller's criterion: it holds iff every principal submatrix for which all cofactors of the last row are positive has a
positive determinant (Hadeler 1983). That it suffices: let A_S be a smallest principal submatrix that is not strictly
copositive. The form's least value mu <= 0 over the simplex is met at v > 0 alone, for with a zero entry it would be
one of a smaller submatrix. So A_S v = mu 1, and A_S is positive semidefinite on the vectors of sum 0.

- mu = 0: A_S is positive semidefinite with the null vector v > 0 and no other, along which v could be moved until an
  entry vanishes. Its determinant is 0, and its cofactors are those of c v v^T, c > 0.
- mu < 0: A_S is not singular, for the same reason, and has one negative eigenvalue: its determinant is negative.
  Let A_S w = -e, e the last unit vector; then mu 1^T w = v^T A_S w = -v_last < 0, so 1^T w > 0. If an entry of w were
  <= 0, the segment from v to w would hold some x = a v + b w, a, b >= 0, that is >= 0 with a zero entry, and
  x^T A_S x = a mu 1^T x - b x_last <= 0: no smallest submatrix. So w > 0, and the cofactors -det w are positive.

In both cases the cofactors are positive and the determinant is not.
"""

from __future__ import annotations

from flint import arb, arb_mat

from proofs_check.kinds.reading import Reject, positive_definite

MAX_COPOSITIVE = 12  # 4,095 submatrices


def strictly_copositive(a: arb_mat) -> bool:
    """Whether every symmetric matrix in a ball matrix is shown to be strictly copositive."""
    n, rows = a.nrows(), a.tolist()
    if n > MAX_COPOSITIVE:
        raise Reject(f"copositive: null is for at most {MAX_COPOSITIVE} columns")
    seen: set[tuple[int, ...]] = set()
    left = [tuple(range(n))]
    while left:
        chosen = left.pop()
        if chosen in seen or not chosen:
            continue
        seen.add(chosen)
        part = arb_mat([[rows[i][j] for j in chosen] for i in chosen])
        if positive_definite(part):  # and so are all submatrices of it
            continue
        if not has_positive_determinant_or_no_cofactors(part):
            return False
        left += [chosen[:i] + chosen[i + 1 :] for i in range(len(chosen))]
    return True


def has_positive_determinant_or_no_cofactors(part: arb_mat) -> bool:
    """Whether the determinant is positive, or a cofactor of the last row is not."""
    determinant, n = part.det(), part.nrows()
    if determinant > 0:
        return True
    try:
        inverse = part.solve(arb_mat(n, 1, [0] * (n - 1) + [1]))
    except ZeroDivisionError:
        return False
    cofactors = [determinant * row[0] for row in inverse.tolist()]
    return any(x <= arb(0) for x in cofactors)
