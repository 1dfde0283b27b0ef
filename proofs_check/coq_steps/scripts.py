"""Proof scripts for the statements. Nothing here is trusted: Coq checks what these texts claim.

The exact kernel's normal forms serve as hints: in which exponentials, logarithms and roots an expression is a rational
function, how its difference factors, and what the coefficients of a factor are once a range is measured from its ends.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import sympy as sp
from sympy.polys.rings import PolyElement

from proofs_check.coq_steps.statements import Condition, Statement
from proofs_check.coq_steps.terms import NotExported, term
from proofs_check.theorems.facts import Language, Range, Refused, factors

__all__ = ["proof"]

_COMPOSITE = (sp.exp, sp.log, sp.Abs, sp.sin, sp.cos, sp.Max, sp.Min)


def proof(statement: Statement) -> str:
    """A script that may prove the statement."""
    return {"relation": _relation, "start": _start, "monotone": _monotone, "limit": _limit}[statement.fact.kind](
        statement
    )


class _Hints:
    """Normal forms on the domain of a statement, as texts."""

    def __init__(self, statement: Statement, more: dict[sp.Symbol, Range] | None = None) -> None:
        ranges = {**dict(statement.fact.domain), **(more or {})}
        for x in statement.variables:
            ranges.setdefault(x, ranges.get(statement.fact.variable, Range(None)))
        self.plain = {x: sp.Dummy(x.name, real=True) for x in ranges}
        self.names = dict(statement.names)
        self.names.update({d: statement.names[x] for x, d in self.plain.items() if x in statement.names})
        self.language = Language({d: ranges[x] for x, d in self.plain.items()})
        self.renamed: dict[sp.Dummy, sp.Expr] = {}
        self.powers: dict[sp.Dummy, sp.Expr] = {}
        self.said: set[str] = set()
        self.count = 0

    def fresh(self, letter: str) -> str:
        self.count += 1
        return f"{letter}{self.count}_"

    def read(self, e: sp.Expr) -> sp.Expr:
        return self.language.read(e.xreplace(self.plain))

    def join(self, exprs: Iterable[sp.Expr]) -> None:
        """Write exponentials in a basis and roots of one thing as powers of one root."""
        language = self.language
        reach = language._reach(sp.Tuple(*map(self.read, exprs)))
        self.renamed = language._basis_of_exponentials([g for g in reach if language.made[g].kind == "exp"])
        roots = language._joined_roots([g for g in reach if language.made[g].kind == "root"], self.renamed)
        self.powers = roots.powers

    def show(self, t: sp.Expr) -> str:
        """A rational expression in generators as a Coq term."""
        for g in sorted(t.free_symbols, key=list(self.language.made).index):
            self._name(g)
        # with the statement's own symbols, so that sums are written in the order of the statement
        own = {d: x for x, d in self.plain.items()}
        made = self.language.made
        back = {g: own[made[g].argument] for g in t.free_symbols if g in made and made[g].kind == "symbol"}
        return term(t.xreplace(back), self.names)

    def _name(self, g: sp.Dummy) -> None:
        made = self.language.made[g]
        if g in self.names:
            return
        if made.kind == "symbol":
            self.names[g] = self.names[made.argument]
            return
        inner = self._argument(g)
        text = {"exp": f"exp ({inner})", "log": f"ln ({inner})", "sin": f"sin ({inner})", "cos": f"cos ({inner})"}
        text |= {"pi": "PI", "root": f"sqrt ({inner})" if made.order == 2 else f"Rpower ({inner}) (/ {made.order})"}
        self.names[g] = f"({text[made.kind]})"

    def _argument(self, g: sp.Dummy) -> str:
        """What a generator is applied to, denominators in factors."""
        made = self.language.made[g]
        if made.kind == "pi":
            return ""
        form = self.language.form(made.argument)
        if form.den.is_ground:
            return self.show(made.argument)
        over, under = _product(form.num), _product(form.den)
        return f"({self.show(over)}) / ({self.show(under)})"

    def normal(self, node: sp.Expr) -> str:
        return self.show(self.read(node).xreplace(self.renamed).xreplace(self.powers))

    # pieces of scripts ----------------------------------------------------------------------------------------------

    def ranges(self) -> Iterator[str]:
        """What is known of the generators: signs, sides of 1, powers of roots."""
        for g, made in list(self.language.made.items()):
            if made.kind == "symbol":
                continue
            self._name(g)
            name = self.names[g]
            inner = self._argument(g)
            if made.kind == "exp" and made.range.low == 1:
                lemma, sign = ("exp_ge_1", "<=") if made.range.closed else ("exp_gt_1", "<")
                yield f"try assert ({self.fresh('G')} : 1 {sign} {name}) by (apply {lemma}; solve [pos | below])."
            elif made.kind == "exp" and made.range.high == 1:
                yield f"try assert ({self.fresh('G')} : {name} < 1) by (apply exp_lt_1; solve [below_zero])."
            elif made.kind == "log" and made.range.low == 0:
                yield f"try assert ({self.fresh('G')} : 0 < {name}) by (apply ln_gt_0; below)."
            elif made.kind == "log" and made.range.high == 0:
                yield f"try assert ({self.fresh('G')} : {name} < 0) by (apply ln_lt_0; [pos | below])."
            elif made.kind == "root" and made.order == 2:
                yield f"try assert ({self.fresh('S')} : {name} ^ 2 = {inner}) by (apply sqrt_pow2; pos)."
                if made.range.low is not None and made.range.low > 0:
                    low = term(made.range.low, {})
                    yield f"try assert ({self.fresh('G')} : {low} <= {name}) by " + (
                        f"(pose proof (sqrt_pos ({inner})); apply Rnot_lt_le; intro; nra)."
                    )
            elif made.kind == "root":
                law = f"destruct (Rpower_nat ({inner}) {made.order}) as [X | X]; [pos | | discriminate X]"
                yield f"try assert ({self.fresh('S')} : {name} ^ {made.order} = {inner}) by " + (
                    f"({law}; rewrite <- X at 2; simpl INR; f_equal; f_equal; lra)."
                )
        for g, made in list(self.language.made.items()):
            if made.kind == "cos":
                self._name(g)
                sine = self.names[made.partner]  # type: ignore[index]
                inner = self._argument(g)
                yield f"try assert ({self.fresh('S')} : {self.names[g]} ^ 2 = 1 - {sine} ^ 2) by (" + (
                    f"pose proof (sin2_cos2 ({inner})) as X; unfold Rsqr in X; lra)."
                )

    def rewrites(self, exprs: Iterable[sp.Expr], statement: Statement) -> tuple[list[str], list[str]]:
        """Assertions that exponentials, logarithms and roots are what they are in generators; names, outer first."""
        nodes: dict[sp.Expr, None] = {}
        for e in exprs:
            for node in _postorder(e):
                nodes.setdefault(node, None)
        lines, names = [], []
        for node in nodes:
            old = statement.term(node)
            try:
                new = self.normal(node)
            except (Refused, NotExported):
                continue
            if f"({old})" == new or old == new:
                continue
            name = self.fresh("A")
            lines.append(f"try assert ({name} : {old} = {new}) by ({self._atom(node, statement)}).")
            names.append(name)
        return lines, names[::-1]

    def _atom(self, node: sp.Expr, statement: Statement) -> str:
        again = "atom_field"
        if isinstance(node, sp.log):
            t = self.read(node.args[0]).xreplace(self.renamed).xreplace(self.powers)
            form = self.language.form(t)
            over, under = self.show(_signed(form.num, self)), self.show(_signed(form.den, self))
            product = f"({over}) / ({under})"
            # a quotient by 1 has no logarithm to expand
            product = over if under == "1" else product
            inner = statement.term(node.args[0])
            return (
                f"first [ solve [ {again} ] | solve [ f_equal; {again} ] "
                f"| replace ({inner}) with ({product}) by {again}; expand_ln; {again} "
                f"| expand_ln; {again} ]"
            )
        if isinstance(node, sp.sin | sp.cos):
            return f"rewrite ?cos_minus, ?cos_plus, ?sin_minus, ?sin_plus; {again}"
        if isinstance(node, sp.Abs):
            return "first [ rewrite Rabs_pos_eq by (first [lra | nra]); ring | rewrite Rabs_left1 by nra; ring ]"
        return f"first [ solve [ same_ln ] | solve [ {again} ] | apply ln_inv; [ pos | pos | expand_ln; {again} ] ]"

    def signs(self, t: sp.Expr) -> Iterator[str]:
        """Assertions on the signs of the factors of numerator and denominator."""
        form = self.language.form(t)
        for part in (form.num, form.den):
            for base, _ in factors(part)[1]:
                yield from self.sign_of_factor(base)

    def sign_of_factor(self, base: PolyElement) -> Iterator[str]:
        judged = self.language._sign_of_polynomial(base)
        if judged is None or judged[0] == 0:
            return
        if len(base) == 1:  # a symbol, whose range is a hypothesis
            return
        e = _expr(base)
        text = self.show(e if judged[0] > 0 else sp.expand(-e))
        sign = "<" if judged[1] else "<="
        if text in self.said:
            return
        self.said.add(text)
        better = self._from_ends(base * judged[0])
        way = f"replace ({text}) with ({better}) by field; pos" if better else "pos"
        yield f"try assert ({self.fresh('F')} : 0 {sign} {text}) by (first [ solve [ {way} ] | lra | nra ])."

    def _from_ends(self, base: PolyElement) -> str | None:
        """The polynomial in the distances from the ends of few ranges, all coefficients positive; None if not so."""
        degrees = {g: max((m[i] for m in base.monoms()), default=0) for i, g in enumerate(base.ring.symbols)}
        bounded = [g for g, degree in degrees.items() if degree and self._has_ends(g)]
        for size in range(len(bounded) + 1):
            for chosen in itertools.combinations(bounded, size):
                names = dict(self.names)
                expr = _expr(base)
                for g in chosen:
                    expr = self._measured(expr, g, degrees[g], names)
                terms = sp.Add.make_args(sp.expand(expr))
                if not any(sp.Mul.make_args(a)[0].is_negative for a in terms):
                    return self._summed(terms, names)
        return None

    def _has_ends(self, g: sp.Dummy) -> bool:
        made = self.language.made.get(g)
        if made is None or made.value is not None or (made.range.low, made.range.high) == (0, None):
            return False
        return made.range.low is not None or made.range.high is not None

    def _measured(self, expr: sp.Expr, g: sp.Dummy, degree: int, names: dict[sp.Symbol, str]) -> sp.Expr:
        """The expression in the distances of ``g`` from the ends of its range, homogeneous if it has two."""
        r = self.language.made[g].range
        below, beyond = sp.Dummy("below", positive=True), sp.Dummy("beyond", positive=True)
        if r.low is not None:
            names[below] = f"({self.show(g - r.low)})"
        if r.high is not None:
            names[beyond] = f"({self.show(r.high - g)})"
        if r.high is None:
            return sp.expand(expr.xreplace({g: r.low + below}))
        if r.low is None:
            return sp.expand(expr.xreplace({g: r.high - beyond}))
        inside, whole = (r.low * beyond + r.high * below) / (r.high - r.low), (below + beyond) / (r.high - r.low)
        parts = sp.Poly(sp.expand(expr), g).all_coeffs()[::-1]
        return sp.expand(sum(c * inside**k * whole ** (degree - k) for k, c in enumerate(parts)))

    def _summed(self, terms: Sequence[sp.Expr], names: dict[sp.Symbol, str]) -> str:
        for g in set().union(*(a.free_symbols for a in terms)):
            if g in self.language.made:
                self._name(g)
                names.setdefault(g, self.names[g])
        return " + ".join(term(a, names) for a in sorted(terms, key=lambda a: len(a.free_symbols)))


def _expr(poly: PolyElement) -> sp.Expr:
    return sp.sympify(poly.as_expr())


def _product(poly: PolyElement) -> sp.Expr:
    constant, found = factors(poly)
    return sp.Mul(constant, *(_expr(base) ** power for base, power in found), evaluate=False) if found else constant


def _postorder(e: sp.Expr) -> Iterator[sp.Expr]:
    """Exponentials, logarithms, roots and the like in an expression, inner ones first."""
    for a in e.args:
        yield from _postorder(a)
    if isinstance(e, _COMPOSITE):
        yield e
    elif isinstance(e, sp.Pow) and (e.base is sp.E or not e.exp.is_Integer):
        yield sp.Pow(e.base, -e.exp) if isinstance(e.exp, sp.Rational) and e.exp < 0 and e.base is not sp.E else e


def _head(statement: Statement) -> list[str]:
    names = [statement.names[x] for x in statement.variables] + [name for name, _ in statement.hypotheses]
    return [f"intros {' '.join(names)}."] if names else []


def _prepare(statement: Statement, exprs: list[sp.Expr], hints: _Hints) -> tuple[list[str], str]:
    """Assertions for the generators; the tactic that writes a goal in them."""
    try:
        for e in exprs:
            hints.read(e)
        hints.join(exprs)
    except (Refused, NotExported, ValueError):
        return [], "idtac"
    lines, names = hints.rewrites(exprs, statement)
    signs = [line for e in exprs for line in hints.signs(hints.read(e))]
    rewriting = "; ".join(f"try rewrite {name}" for name in names) or "idtac"
    plain = [
        f"try assert ({hints.fresh('P')} : {statement.condition(c)}) by (defined ltac:(idtac))."
        for c in statement.defined
        if not any(True for _ in _postorder(c[0]))
    ]
    ranges = list(hints.ranges())
    return [*plain, *ranges, *dict.fromkeys(signs), *ranges, *lines], rewriting


def _defined(
    statement: Statement, conditions: Iterable[Condition], rewriting: str, hints: _Hints | None = None
) -> tuple[list[str], list[str]]:
    lines, names = [], []
    for i, c in enumerate(conditions):
        way = f"defined ltac:({rewriting})"
        other = None if hints is None else _by_quotient(statement, c, rewriting, hints)
        way = f"first [ {way} | {other} ]" if other else way
        if not c[0].free_symbols and hints is not None:
            way = f"first [ constant | apply Rgt_not_eq; constant | apply Rlt_not_eq; constant | {way} ]"
        lines.append(f"assert (D{i}_ : {statement.condition(c)}) by ({way}).")
        names.append(f"D{i}_")
    return lines, names


def _is_sum(text: str) -> bool:
    """Whether a term is a sum outside all brackets."""
    depth, outside = 0, ""
    for c in text:
        depth += (c == "(") - (c == ")")
        outside += c if depth == 0 else ""
    return " + " in outside or " - " in outside


def _by_quotient(statement: Statement, c: Condition, rewriting: str, hints: _Hints) -> str | None:
    """A way to the sign of a part that holds a quotient: it is the quotient of its normal form."""
    powers = [a for a in sp.preorder_traversal(c[0]) if isinstance(a, sp.Pow) and isinstance(a.exp, sp.Rational)]
    if not any(a.exp < 0 or not a.exp.is_Integer for a in powers):
        return None
    try:
        t = hints.read(c[0])
        form = hints.language.form(t)
        positive = hints.language.sign_of(t) == (1, True)
    except Refused:
        return None
    shown = f"({hints.show(_signed(form.num, hints))}) / ({hints.show(_signed(form.den, hints))})"
    text = f"{shown}" if positive else f"- ({shown})"
    sign = "" if positive else "apply Ropp_neq_0_compat; "
    end = f"{sign}apply Rgt_not_eq; solve [ pos ]" if c[1] == "<>" else "solve [ pos ]"
    return f"(replace ({statement.term(c[0])}) with ({text}) by (equal ltac:({rewriting})); {end})"


def _parts(statement: Statement) -> list[str]:
    return statement.conclusion.split(" /\\\n  ")


def _relation(statement: Statement) -> str:
    fact = statement.fact
    renamed = dict(fact.where)
    lhs, rhs = fact.lhs.xreplace(renamed), fact.rhs.xreplace(renamed)
    keys = [key for key, _ in fact.where]
    lines = _head(statement)
    constant = not (lhs - rhs).free_symbols if not keys else False
    hints = _Hints(statement)
    bases = [e for e, _ in statement.defined]
    found, rewriting = _prepare(statement, [*bases, *keys, lhs, rhs], hints)
    if constant and fact.relation != "==":
        found, rewriting = [], "idtac"
    defined, names = _defined(statement, statement.defined, rewriting, hints)
    lines += [*found, *defined]
    *members, conclusion = _parts(statement)
    for i, text in enumerate(members):
        lines.append(f"assert (M{i}_ : {text}) by (member).")
        names.append(f"M{i}_")
    tactic = _final(statement, lhs, fact.relation, rhs, hints, rewriting, conclusion)
    lines.append(f"assert (Main_ : {conclusion}).")
    lines.append(f"{{ {tactic} }}")
    return _close(lines, [*names, "Main_"])


def _close(lines: list[str], names: list[str]) -> str:
    whole = names[-1]
    for name in reversed(names[:-1]):
        whole = f"(conj {name} {whole})"
    return "\n".join([*lines, f"exact {whole}."])


def _final(
    statement: Statement, lhs: sp.Expr, relation: str, rhs: sp.Expr, hints: _Hints, rewriting: str, goal: str
) -> str:
    if relation == "==":
        return f"equal ltac:({rewriting})."
    simple = (
        "solve [ constant ] | unfold Rpower; solve [ constant ]"
        if not (lhs - rhs).free_symbols
        else "solve [ pos | lra ]"
    )
    try:
        t = hints.read(lhs) - hints.read(rhs)
        form = hints.language.form(t)
    except (Refused, NotExported):
        return f"first [ {simple} | solve [ nra ] ]."
    over = _signed(form.num, hints)
    under = _signed(form.den, hints)
    top = hints.show(over)
    shown = f"({top}) / ({hints.show(under)})" if _is_sum(top) else f"{top} / ({hints.show(under)})"
    strict = "<" if not relation.endswith("=") else "<="
    left, right = statement.term(lhs), statement.term(rhs)
    opposite = relation[0] == "<"
    difference = f"({right}) - ({left})" if opposite else f"({left}) - ({right})"
    more = " ".join(dict.fromkeys(s for s in hints.signs(t)))
    return (
        f"first [ {simple} | idtac ].\n"
        + (f"all: {more}\n".replace(". try", ".\nall: try") if more else "")
        + f"all: assert (W_ : {difference} = {shown}) by (equal ltac:({rewriting})).\n"
        f"all: assert (P_ : 0 {strict} {shown}) by (first [ solve [ pos ] | solve [ nra ] ]).\n"
        f"all: try lra."
    )


def _signed(poly: PolyElement, hints: _Hints) -> sp.Expr:
    """The product of the factors, each with the sign that makes it positive; a false sign is for Coq to refuse."""
    constant, found = factors(poly)
    parts: list[sp.Expr] = [abs(constant)]
    for base, power in found:
        judged = hints.language._sign_of_polynomial(base)
        turn = -1 if judged is not None and judged[0] < 0 else 1
        parts.append(sp.Pow(sp.expand(turn * _expr(base)), power))
    return sp.Mul(*parts, evaluate=False) if len(parts) > 1 else parts[0]


def _start(statement: Statement) -> str:
    fact = statement.fact
    lines = _head(statement)
    hints = _Hints(statement)
    bases = [e for e, _ in statement.defined]
    found, rewriting = _prepare(statement, [*bases, fact.function, fact.derivative], hints)
    defined, names = _defined(statement, statement.defined, rewriting)
    start, slope = _parts(statement)
    lines += [*found, *defined, f"assert (Start_ : {start}) by (at_start)."]
    lines += [f"assert (Slope_ : {slope}).", "{ derive. }"]
    return _close(lines, [*names, "Start_", "Slope_"])


def _monotone(statement: Statement) -> str:
    fact = statement.fact
    x = fact.variable
    y = statement.variables[-1]
    lines = _head(statement)
    increasing = fact.relation == "increasing"
    slope = sp.diff(fact.lhs, x)
    t = sp.Dummy("t_", real=True)
    names = {**statement.names, t: "t_"}
    inner = Statement(fact, {**statement.names, x: "t_"}, statement.variables, (), (), "")
    ranges = dict(fact.domain)
    hints = _Hints(statement, {x: ranges[x].interior if ranges[x].closed and ranges[x].low == 0 else ranges[x]})
    hints.names[hints.plain[x]] = hints.names[x] = "t_"
    function = term(fact.lhs, {**names, x: "t_"})
    lemma = "increasing_by_derivative" if increasing else "decreasing_by_derivative"
    found, rewriting = _prepare(inner, [e for e, _ in statement.defined if not e.has(y)] + [slope], hints)
    _, known = _defined(statement, statement.defined, "idtac")
    outside = [
        f"assert (D{i}_ : {statement.condition(c)}) by (defined ltac:(idtac))." for i, c in enumerate(statement.defined)
    ]
    within = [f"assert (J{i}_ : {line}) by lra." for i, line in enumerate(_bounds_of(ranges[x], "t_"))]
    conditions = [(e, r) for e, r in statement.defined if not e.has(y)]
    there = [
        f"assert (B{i}_ : {inner.condition(c)}) by (defined ltac:({rewriting}))." for i, c in enumerate(conditions)
    ]
    goal = _final(inner, slope, ">" if increasing else "<", sp.Integer(0), hints, rewriting, "")
    first, second = statement.names[x], statement.names[y]
    lines += [
        *outside,
        "assert (Main_ : " + _parts(statement)[-1] + ").",
        f"{{ apply ({lemma} (fun t_ => {function}) (fun t_ => {term(slope, {**names, x: 't_'})}) {first} {second} L).",
        "- intros t_ T_. " + " ".join([*within, *found, *there]) + " derive.",
        "- intros t_ T_. " + " ".join([*within, *found, *there]) + "\n" + goal + " }",
    ]
    return _close(lines, [*known, "Main_"])


def _bounds_of(r: Range, name: str) -> list[str]:
    from proofs_check.coq_steps.statements import bounds

    return list(bounds(r, name))


def _close_by(statement: Statement) -> str:
    """Definedness up to 1/2 beyond the point, square roots of at most 1 being at most 1."""
    x = statement.fact.variable
    roots = [p for p in statement.fact.lhs.atoms(sp.Pow) if p.base.has(x) and abs(p.exp) in (sp.S.Half, 3 * sp.S.Half)]
    steps = []
    for base in dict.fromkeys(p.base for p in roots):
        inner = statement.term(base)
        steps.append(f"assert (0 < {inner}) by nra; assert (0 < sqrt ({inner})) by (apply sqrt_lt_R0; nra)")
        bound = "apply Rle_trans with (sqrt 1); [ apply sqrt_le_1_alt; nra | rewrite sqrt_1; lra ]"
        steps.append(f"assert (sqrt ({inner}) <= 1) by ({bound})")
    known = "".join(step + "; " for step in steps)
    each = "try solve [ conditions ]; try lra; try (apply Rgt_not_eq; nra); try nra"
    return f"exists (1 / 2); split; [ lra | intros {statement.names[x]} X_; {known}repeat split; {each} ]"


def _limit(statement: Statement) -> str:
    fact = statement.fact
    lines = _head(statement)
    lines_defined, names = _defined(statement, statement.defined, "idtac")
    lines += lines_defined
    near, conclusion = _parts(statement) if len(_parts(statement)) == 2 else (None, _parts(statement)[-1])
    if near is not None:
        lines += [f"assert (Near_ : {near}).", f"{{ first [ solve [ nearby ] | {_close_by(statement)} ]. }}"]
        names.append("Near_")
    lines.append(f"assert (Main_ : {conclusion}).")
    if fact.rhs in (sp.oo, -sp.oo):
        x = fact.variable
        power = sp.simplify(-sp.diff(sp.log(fact.lhs), x) * x)
        c = sp.simplify(fact.lhs * x**power)
        scale, order = term(c, statement.names), term(power, statement.names)
        lines += [
            f"{{ apply (filterlim_ext_loc (fun x => ({scale}) * exp (- (({order}) * ln x)))).",
            "- exists (mkposreal 1 Rlt_0_1); intros x _ X. rewrite exp_Ropp.",
            f"  change (exp (({order}) * ln x)) with (Rpower x ({order})).",
            f"  first [ field; sides | rewrite <- (Rpower_sqrt x X); replace (/ 2) with ({order}) by lra;",
            "    field; sides ].",
            "- apply limit_of_pole; lra. }",
        ]
    else:
        zero = "rewrite ?Rmult_0_l, ?Rmult_0_r, ?Rmult_0_l, ?Rmult_0_l, ?Ropp_0, ?Rplus_0_l, ?Rplus_0_r, ?Rminus_0_r"
        even = f"unfold Rdiv; rewrite ?pow_i by (repeat constructor); {zero}; {zero}; {zero}"
        lines += [
            "{ apply limit_of_continuous.",
            f"- auto_derive; at_point; try solve [ {even}; rewrite ?sqrt_1; conditions ].",
            f"- first [ solve [ at_value ] | {even}; rewrite ?sqrt_1, ?ln_1; solve [ field; sides | ring ] ]. }}",
        ]
    return _close(lines, [*names, "Main_"])
