r"""P3: is the DEQ closer to the ETF and to self-duality than the explicit network, at equal budgets under imbalance?

Both errors of a two-group optimum are enclosed in ball arithmetic (``ufm.certificates.certify_geometry``), and compared
as squares; the factors of the reduced solver must give the same numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ufm._words import scientific
from ufm.architectures import LayerPeeled, LinearDEQ
from ufm.certificates import Certificate, certify_geometry
from ufm.claims._model import Claim, Context, Enclosure, Evidence, Scope, Status, combine, judge_equal, judge_order
from ufm.claims._tools import evidence, keep
from ufm.labels import ClassPrior
from ufm.solvers import solve

__all__ = ["CLAIMS", "GRID", "Point", "grid_points", "ordering_claim"]

GROUP = "DEQ against explicit network under imbalance"

#: The paper's class numbers and ratios, with three feature budgets and two spectral bounds.
MAJORITIES, CLASSES = (3, 5, 7), 10
RATIOS, FEATURE_BUDGETS, RHOS = (10, 50, 100), (1, 5, 9), (0.3, 0.5)
GRID = tuple(
    (k_a, CLASSES - k_a, float(ratio), float(e_h), rho)
    for k_a in MAJORITIES
    for ratio in RATIOS
    for e_h in FEATURE_BUDGETS
    for rho in RHOS
)


def _grid() -> str:
    """The grid in words."""
    pairs = ", ".join(f"({k_a},{CLASSES - k_a})" for k_a in MAJORITIES)
    ratios, budgets, rhos = (", ".join(f"{x:g}" for x in values) for values in (RATIOS, FEATURE_BUDGETS, RHOS))
    return f"grid: E_W = 1, (K_A, K_B) in {{{pairs}}}, R in {{{ratios}}}, E_H in {{{budgets}}}, ρ in {{{rhos}}}"


#: What the claims on the grid are about.
ON_GRID = Scope(
    models=("layer-peeled", "spectral-deq"),
    classes=(CLASSES, CLASSES),
    groups=(2, 2),
    majority=min(MAJORITIES),
    minority=CLASSES - max(MAJORITIES),
    dimension="K - 1",
    conditions=(_grid(),),
)

#: How many points of the grid have both networks in total collapse, and how many the explicit one alone; one of each.
TIES, LEFT = 11, 11
TIED_AT, LEFT_AT = (7, 3, 10.0, 1.0, 0.5), (5, 5, 10.0, 1.0, 0.5)

#: How near squared errors are to what is claimed of them.
NEAR = 1e-12

ENCLOSED = "enclosures of both optima in ball arithmetic, confirmed by the solver's factors"


def _worded(setting: tuple[int, int, float, float, float]) -> str:
    k_a, k_b, ratio, e_h, rho = setting
    return f"(K_A, K_B) = ({k_a}, {k_b}), R = {ratio:g}, E_H = {e_h:g}, ρ = {rho}"


@dataclass(frozen=True)
class Point:
    """Explicit network and DEQ at one grid point.

    Attributes:
        setting: (K_A, K_B, R, E_H, rho).
        phases: of the explicit network and the DEQ.
        etf, duality: enclosures of their squared ETF errors and squared self-duality errors.
        confirmed: whether the factors of the reduced solver give the same phases and errors.
        certificates: of both optima.
    """

    setting: tuple[int, int, float, float, float]
    phases: tuple[str, str]
    etf: tuple[Enclosure, Enclosure]
    duality: tuple[Enclosure, Enclosure]
    confirmed: bool
    certificates: tuple[Certificate, Certificate]

    def error(self, measure: str) -> tuple[Enclosure, Enclosure]:
        """(explicit, DEQ) for ``"etf"`` or ``"duality"``."""
        return self.etf if measure == "etf" else self.duality

    def label(self) -> str:
        """The setting in words."""
        return _worded(self.setting)

    def keep(self, ctx: Context) -> None:
        """Save both certificates; points that differ in ρ alone share the explicit network's."""
        k_a, _, ratio, e_h, rho = self.setting
        name = f"geometry-KA{k_a}-R{ratio:g}-EH{e_h:g}"
        for part, certificate in zip((name, f"{name}-rho{rho:g}"), self.certificates, strict=True):
            keep(ctx, part, certificate)


def _measure(
    architecture: LayerPeeled | LinearDEQ, prior: ClassPrior
) -> tuple[str, Enclosure, Enclosure, bool, Certificate]:
    """Phase and rigorous squared errors, whether the solver's factors confirm them, and the certificate."""
    found = certify_geometry(architecture, prior)
    etf, duality = (Enclosure.of_certificate(found, f"{name}_error_squared") for name in ("etf", "self_duality"))
    phase = str(found.claim["statement"]["phase"])
    geometry = solve(architecture, prior).geometry
    # rounding of 1e-15 in a square is 3e-8 in its root, where the error itself is 0
    same = all(
        abs(math.sqrt(max(0.0, ball.upper)) - value) <= 1e-7
        for ball, value in ((etf, geometry.etf_error), (duality, geometry.self_duality_error))
    )
    return phase, etf, duality, same and geometry.phase == phase, found


def grid_points(ctx: Context) -> tuple[Point, ...]:
    """All grid points, computed once a run."""

    def compute() -> tuple[Point, ...]:
        explicit = {}
        points = []
        for i, setting in enumerate(GRID):
            ctx.progress("geometry on the grid", i, len(GRID))
            k_a, k_b, ratio, e_h, rho = setting
            prior = ClassPrior.step(k_a, k_b, ratio)
            key = setting[:4]
            if key not in explicit:
                explicit[key] = _measure(LayerPeeled(1.0, e_h), prior)
            a, b = explicit[key], _measure(LinearDEQ(1.0, e_h, rho), prior)
            points.append(Point(setting, (a[0], b[0]), (a[1], b[1]), (a[2], b[2]), a[3] and b[3], (a[4], b[4])))
        return tuple(points)

    return ctx.once("imbalanced-geometry-grid", compute)


def ordering_claim(
    measure: str,
    *,
    id: str,
    title: str,
    statement: str,
    excluded: frozenset[tuple[str, str]],
    region: str | None,
    reverse: bool = False,
) -> Claim:
    """``error(DEQ) < error(explicit)`` at every grid point whose phases (explicit, DEQ) are not ``excluded``."""

    def check(ctx: Context) -> Evidence:
        points = [p for p in grid_points(ctx) if p.phases not in excluded]
        statuses = []
        failing = []
        shrink = []
        for p in points:
            p.keep(ctx)
            explicit, deq = p.error(measure)
            status = judge_order(explicit, deq, strict=True) if reverse else judge_order(deq, explicit, strict=True)
            status = status if p.confirmed else Status.inconclusive
            statuses.append(status)
            if not status.as_claimed:
                failing.append(p.label())
            shrink.append(math.sqrt(max(0.0, deq.upper) / explicit.upper) if explicit.upper > 0 else math.inf)
        name = "ETF error" if measure == "etf" else "self-duality error"
        summary = f"{name} smaller at {len(points) - len(failing)} of {len(points)} grid points of the region"
        if failing:
            summary += f"; not at {failing[0]}"
        else:
            summary += f", by factors {min(shrink):.2f} to {max(shrink):.2f}"
        return evidence(
            summary,
            numeric=combine(statuses),
            established_by=(ENCLOSED,),
            universal=False,
            details={"points": len(points), "outside the region": len(GRID) - len(points), "failing": failing},
        )

    return Claim(
        id=id,
        title=title,
        statement=statement,
        source="Sun & Shi 2024 (claim P3), made precise at finite τ; formulas derived here",
        scope=ON_GRID,
        hypotheses=("equal budgets",),
        check=check,
        group=GROUP,
        papers=("sun2024",),
        topic="imbalance",
        standing="confirmed",
        region=region,
    )


TOTAL = frozenset({("total", "total")})
EXPLICIT_TOTAL = frozenset(("total", other) for other in ("none", "partial", "total"))


def tie_claim(factor: float = 1.0) -> Claim:
    """In total collapse of both, the squared ETF error is a closed number; a multiple of it is a false variant."""

    def check(ctx: Context) -> Evidence:
        points = [p for p in grid_points(ctx) if p.phases == ("total", "total")]
        named = len(points) == TIES and TIED_AT in [p.setting for p in points]
        statuses = [Status.certified if named else Status.inconclusive]
        off = 0.0
        for p in points:
            p.keep(ctx)
            k_a, k_b = p.setting[:2]
            closed = 2 - 2 * math.sqrt((k_a - 1) / (k_a + k_b - 1))
            claimed = factor * closed
            statuses += [judge_equal(claimed, e, tolerance=NEAR) if p.confirmed else Status.inconclusive for e in p.etf]
            off = max(off, *(max(abs(e.lower - closed), abs(e.upper - closed)) for e in p.etf))
        return evidence(
            f"{len(points)} of {len(GRID)} grid points: both squared errors are 2 − 2√((K_A−1)/(K−1)) within {off:.0e}",
            numeric=combine(statuses),
            established_by=(ENCLOSED,),
            universal=False,
            details={"settings": [p.label() for p in points], "largest difference": off},
        )

    return Claim(
        id="deq-etf-error-tie",
        title="Counterexample to P3: in total collapse the DEQ is no closer to the ETF",
        statement=f"At the {TIES} grid points where explicit network and DEQ are both in total collapse, e.g. {_worded(TIED_AT)}, "
        "their squared ETF errors are both 2 − 2√((K_A−1)/(K−1)), the square of the distance of a K_A-class ETF, to "
        f"{scientific(NEAR)}.",
        source="Counterexample found here",
        scope=ON_GRID,
        check=check,
        group=GROUP,
        papers=("sun2024",),
        topic="imbalance",
        standing="refuted",
    )


def _duality_counterexample() -> Claim:
    """In total collapse the explicit network is exactly self-dual, the DEQ that has left that phase is not."""

    def check(ctx: Context) -> Evidence:
        points = [p for p in grid_points(ctx) if p.phases[0] == "total" and p.phases[1] != "total"]
        named = len(points) == LEFT and LEFT_AT in [p.setting for p in points]
        statuses = [Status.certified if named else Status.inconclusive]
        for p in points:
            p.keep(ctx)
            larger = judge_order(p.duality[0], p.duality[1], strict=True)
            zero = judge_equal(0.0, p.duality[0], tolerance=NEAR)
            statuses.append(combine([larger, zero]) if p.confirmed else Status.inconclusive)
        confirmed = sum(p.confirmed for p in points)
        worst = math.sqrt(max((p.duality[1].lower for p in points if p.confirmed), default=0.0))
        return evidence(
            f"at {confirmed} of {len(points)} such grid points, confirmed by the solver, the DEQ's self-duality error (up to {worst:.3f}) "
            "exceeds the explicit network's 0",
            numeric=combine(statuses),
            established_by=(ENCLOSED,),
            universal=False,
            details={
                "settings": [p.label() for p in points],
                "not confirmed": [p.label() for p in points if not p.confirmed],
            },
        )

    return Claim(
        id="deq-self-duality-counterexample",
        title="Counterexample to P3: the DEQ can be less self-dual",
        statement=f"At the {LEFT} grid points where the explicit network is in total collapse and the DEQ is not, the explicit network's squared "
        f"self-duality error is 0 to {scientific(NEAR)} and the DEQ's is larger, e.g. at {_worded(LEFT_AT)}.",
        source="Counterexample found here",
        scope=ON_GRID,
        check=check,
        group=GROUP,
        papers=("sun2024",),
        topic="imbalance",
        standing="refuted",
    )


def _false_orders(measure: str) -> dict[str, Claim]:
    """The order on the whole grid, and the opposite one."""
    return {
        f"P3, {measure}: {'explicit network smaller' if reverse else 'on the whole grid'}": ordering_claim(
            measure,
            id="false-variant",
            title="false variant",
            statement="A false variant.",
            excluded=frozenset(),
            region=None,
            reverse=reverse,
        )
        for reverse in (False, True)
    }


CLAIMS = (
    replace(
        ordering_claim(
            "etf",
            id="deq-etf-error-smaller",
            title="P3, first half, on a grid: the DEQ is closer to the simplex ETF",
            statement="On the grid, the ETF error of the spectral DEQ's features is strictly below the explicit network's wherever the two "
            "are not both in total collapse.",
            excluded=TOTAL,
            region="not both in total collapse",
        ),
        variants=_false_orders("etf"),
    ),
    replace(tie_claim(), off_by=lambda x: tie_claim(1 + x), resolution=1e-9),
    replace(
        ordering_claim(
            "duality",
            id="deq-self-duality-smaller",
            title="P3, second half, on a grid: the DEQ is closer to self-duality",
            statement="On the grid, the self-duality error of the spectral DEQ is strictly below the explicit network's wherever the "
            "explicit network is not in total collapse.",
            excluded=EXPLICIT_TOTAL,
            region="explicit network not in total collapse",
        ),
        variants=_false_orders("duality"),
    ),
    _duality_counterexample(),
)
