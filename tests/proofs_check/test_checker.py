"""The checker, condition by condition: each has a certificate that only it stops; hostile files end quickly."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from flint import arb, arb_mat, ctx, fmpq
from tampering import edited

import ufm
from proofs_check import checker
from ufm.certificates import certify_square_code

Json = dict[str, Any]


@pytest.fixture(scope="module")
def certificates() -> dict[str, Json]:
    """One valid certificate of every kind, as parsed JSON."""
    step = ufm.ClassPrior.step
    made = {
        "value": ufm.certify(ufm.solve(ufm.LayerPeeled(1, 5), step(3, 7, 10))),
        "value-deq": ufm.certify(ufm.solve(ufm.LinearDEQ(1, 1, 0.5), step(3, 7, 10))),
        "value-penalised": ufm.certify(ufm.solve(ufm.PenalisedDEQ(5e-3, 5e-3, 0.5), step(3, 7, 10))),
        "value-mse": ufm.certify(ufm.solve(ufm.LayerPeeled(0.1, 0.5), step(3, 7, 10), "mse")),
        "value-zero": ufm.certify(ufm.solve(ufm.LayerPeeled(1, 5), step(3, 7, 10), "mse")),
        "threshold": ufm.certify_threshold(ufm.LayerPeeled(1, 5), 3, 7),
        "threshold-mse": ufm.certify_threshold(ufm.LayerPeeled(0.1, 0.5), 3, 7, loss="mse"),
        "threshold-infinite": ufm.certify_threshold(ufm.LayerPeeled(1, 5), 3, 7, loss="mse"),
        "threshold-penalised": ufm.certify_threshold(ufm.PenalisedDEQ(5e-3, 5e-3, 0.5), 3, 7, num_samples=600),
        "threshold-majority": ufm.certify_threshold(ufm.PenalisedDEQ(5e-3, 5e-3, 0.5), 3, 7, majority_count=100),
        "none": ufm.certify_phase(ufm.LayerPeeled(1, 5), step(3, 7, 10)),
        "partial": ufm.certify_phase(ufm.LayerPeeled(1, 5), step(3, 7, 1000)),
        "total": ufm.certify_phase(ufm.LayerPeeled(1, 1), step(5, 5, 10)),
        "partial-penalised": ufm.certify_phase(ufm.UnconstrainedFeatures(2e-2, 2e-2), step(5, 5, 10)),
        "total-penalised": ufm.certify_phase(ufm.UnconstrainedFeatures(8e-3, 8e-3), step(5, 5, 80)),
        "counterexample": certify_square_code(),
        "counterexample-deep": ufm.certify_counterexample(
            {"name": "deep_linear", "budgets": [4, 2, 4]},
            4,
            [[[1, 0], [0, 1], [-1, 0], [0, -1]], [[1, 0], [0, 1]], [[1, 0, -1, 0], [0, 1, 0, -1]]],
        ),
    }
    return {name: json.loads(certificate.to_json()) for name, certificate in made.items()}


def shifted(value: str, factor: str) -> str:
    return str(Fraction(value) * Fraction(factor))


def test_valid_certificates_are_accepted_with_the_claim_in_words(certificates):
    words = {
        "value": "the optimal value is in [",
        "threshold": "from which on the minority is collapsed is in [",
        "threshold-infinite": "no ratio n_A/n_B collapses the minority",
        "partial": "the phase of minority collapse is partial",
        "counterexample": "beats every simplex ETF by",
    }
    for name, certificate in certificates.items():
        outcome = checker.check(certificate)
        assert outcome, (name, outcome.reason)
        assert outcome.reason
        assert outcome.lemmas
        assert set(outcome.lemmas) <= set(checker.LEMMAS)
        assert words.get(name, "classes") in outcome.statement or name.startswith("threshold")
        assert checker.check(json.dumps(certificate).encode()) == outcome


# Every condition of the mathematics: (certificate, what is changed, what the checker must say) ------------------------

CONDITIONS = [
    ("value", {"claim__statement__upper": "1/4"}, "upper bound not proved"),
    ("value", {"claim__statement__lower": "1/2", "claim__statement__upper": "1"}, "lower bound not proved"),
    ("value", {"claim__architecture__E_W": "999/1000"}, "not feasible"),
    ("value", {"claim__architecture__E_W": "1001/1000"}, "lower bound not proved"),
    ("value", {"claim__architecture__E_H": "4999999999999/1000000000000"}, "not feasible"),
    ("value", {"claim__prior__0__count": "11"}, "dual_norm"),
    ("value", {"claim__prior__0__count": "9"}, "dual_norm"),
    ("value", {"claim__prior__0__classes": 4}, "not feasible"),
    ("value", {"claim__loss": "mse"}, "dual_norm"),
    ("value", {"witness__dual_norm": "1/1000"}, "dual_norm is not an upper bound"),
    ("value", {"witness__dual_norm": "1"}, "lower bound not proved"),
    ("value", {"witness__dual_norm": "-1"}, "dual_norm must be > 0"),
    ("value", {"witness__point__within__0": "100"}, "not feasible"),
    ("value-deq", {"claim__architecture__rho": "49/100"}, "not feasible"),
    ("value-deq", {"claim__architecture__rho": "51/100"}, "lower bound not proved"),
    ("value-deq", {"claim__architecture__rho": "1"}, "rho must lie in"),
    ("value-penalised", {"claim__architecture__lambda_W": "3/500"}, "upper bound not proved"),
    ("value-penalised", {"claim__architecture__lambda_W": "1/250"}, "lower bound not proved"),
    ("value-mse", {"claim__statement__upper": "1/100"}, "upper bound not proved"),
    ("value-mse", {"claim__architecture__E_W": "1/5"}, "lower bound not proved"),
    ("value-zero", {"claim__architecture__E_W": "1/5000"}, "witness must have exactly the keys"),
    ("value-zero", {"claim__statement__lower": "1/1000000", "claim__statement__upper": "1"}, "lower bound not proved"),
    ("value-zero", {"claim__statement__upper": "-1/1000000"}, "upper bound not proved"),
    (
        "threshold",
        {"claim__statement__lower": "246", "claim__statement__upper": "247"},
        "not inside the claimed interval",
    ),
    (
        "threshold",
        {"claim__statement__lower": "244", "claim__statement__upper": "245"},
        "not inside the claimed interval",
    ),
    ("threshold", {"claim__statement__lower": "1/2"}, "1 <= lower <= upper"),
    ("threshold", {"claim__statement__lower": "246", "claim__statement__upper": "245"}, "1 <= lower <= upper"),
    ("threshold", {"claim__architecture__E_H": "5000001/1000000"}, "does not enclose the radius"),
    ("threshold", {"claim__prior__majority_classes": 4}, "does not enclose the radius"),
    ("threshold", {"claim__prior__minority_classes": 1}, "at least 2 minority classes"),
    ("threshold", {"claim__prior__fixed": {"num_samples": "600"}}, "held fixed exactly when"),
    ("threshold", {"claim__statement": {"infinite": True}, "witness": {}}, "an infinite threshold needs"),
    ("threshold", {"witness__bracket": ["1/100000", "1/2"]}, "leaves (0, arcsin"),
    ("threshold", {"witness__bracket": ["1/1000", "1/5"]}, "too wide"),
    ("threshold", {"witness__bracket": ["1/5", "1/1000"]}, "low < high"),
    ("threshold", {"witness__bracket": ["-1/5", "1/5"]}, "low < high"),
    ("threshold", {"claim__statement__lower": "200"}, "below: no sign change"),
    ("threshold", {"claim__statement__upper": "300"}, "above: no sign change"),
    ("threshold-mse", {"claim__statement__lower": "7", "claim__statement__upper": "8"}, "not in the interval"),
    ("threshold-mse", {"claim__statement__lower": "1", "claim__statement__upper": "11/10"}, "not in the interval"),
    ("threshold-mse", {"claim__loss": "ce"}, "witness must have exactly the keys"),
    ("threshold-infinite", {"claim__architecture__E_W": "1/1000"}, "an infinite threshold needs"),
    ("threshold-infinite", {"claim__loss": "ce"}, "an infinite threshold needs"),
    ("threshold-infinite", {"claim__statement__infinite": False}, "an infinite threshold needs"),
    ("threshold-penalised", {"claim__statement__lower": "87", "claim__statement__upper": "88"}, "lower end"),
    ("threshold-penalised", {"claim__statement__lower": "85", "claim__statement__upper": "86"}, "upper end"),
    ("threshold-penalised", {"claim__prior__fixed": {"num_samples": "601"}}, "lower end"),
    ("threshold-penalised", {"claim__prior__fixed": {"minority_count": "600"}}, "lower end"),
    ("threshold-penalised", {"claim__prior__fixed": None}, "held fixed exactly when"),
    ("threshold-penalised", {"claim__prior__fixed": {"ratio": "600"}}, "fixed must be null or one of"),
    ("threshold-majority", {"claim__statement__lower": "1", "claim__statement__upper": "3/2"}, "upper end"),
    ("none", {"claim__statement__phase": "partial"}, "no proof that mu > pi_B"),
    ("none", {"claim__statement__phase": "total", "witness": {}}, "no proof that the point"),
    ("none", {"claim__prior__0__count": "1000"}, "angle: no sign change"),
    ("none", {"claim__statement__phase": "some"}, "phase must be"),
    ("none", {"witness__angle": ["1/1000", "99/100"]}, "leaves the branch"),
    ("partial", {"claim__statement__phase": "none"}, "no proof that mu < pi_B"),
    ("partial", {"claim__prior__0__count": "10"}, "angle: no sign change"),
    ("partial", {"claim__prior__0__count": "1", "claim__prior__1__count": "1000"}, "must be the majority"),
    ("partial", {"claim__prior__1__classes": 1}, "at least 2 minority classes"),
    ("total", {"claim__prior__0__count": "3/2"}, "no proof that the point"),
    ("total", {"claim__statement__phase": "partial"}, "witness must have exactly the keys"),
    ("total", {"claim__prior__0__classes": 1}, "one majority class"),
    ("partial-penalised", {"claim__statement__phase": "total"}, "is below mu"),
    ("partial-penalised", {"claim__statement__phase": "none"}, "the minority is collapsed"),
    ("partial-penalised", {"witness__scale": ["1/1000", "1/500"]}, "scale: no sign change"),
    ("partial-penalised", {"claim__architecture__lambda_W": "1/100000"}, "witness must have exactly the keys"),
    ("total-penalised", {"claim__statement__phase": "partial"}, "is above mu"),
    ("total-penalised", {"claim__prior__1__count": "30"}, "witness must have exactly the keys"),
    ("counterexample", {"claim__statement__margin": "21/1000"}, "does not beat"),
    ("counterexample", {"claim__statement__margin": "0"}, "margin must be > 0"),
    ("counterexample", {"claim__statement__refutes": "etf-feasible"}, "refute 'etf-optimal'"),
    ("counterexample", {"claim__loss": "mse"}, "refute 'etf-optimal'"),
    ("counterexample", {"claim__architecture__E_A": "49/100"}, "exceeds its Frobenius budget"),
    ("counterexample", {"claim__architecture__E_W": "99/100"}, "exceeds its Frobenius budget"),
    ("counterexample", {"claim__architecture__E_H": "99/100"}, "exceeds its Frobenius budget"),
    ("counterexample", {"claim__architecture__rho": "49/100"}, "no proof that |A|_2 <= rho"),
    ("counterexample", {"witness__A__0__0": "51/100"}, "exceeds its Frobenius budget"),
    ("counterexample", {"witness__A": [["1/10", "0"], ["0", "1/10"]]}, "does not beat"),
    ("counterexample", {"witness__A__0__0": f"{2**128 + 1}/{2**130}"}, "at most 128 bits"),
    ("counterexample", {"claim__prior__0__classes": 17}, "limited to 16 classes"),
    ("counterexample", {"claim__prior": [{"classes": 2, "count": "1"}] * 2}, "refute 'etf-optimal'"),
    ("counterexample", {"claim__architecture__name": "layer_peeled"}, "no counterexamples are known"),
    ("counterexample-deep", {"claim__architecture__budgets__1": "199/100"}, "factor 2 exceeds"),
    ("counterexample-deep", {"claim__architecture__budgets": ["4", "4"], "witness__factors__1": ...}, "does not beat"),
    ("counterexample-deep", {"claim__architecture__budgets": ["4", "2"]}, "list of 2 matrices"),
]


@pytest.mark.parametrize(("name", "changes", "reason"), CONDITIONS)
def test_every_condition_stops_what_only_it_can_stop(certificates, name, changes, reason):
    outcome = checker.check(edited(certificates[name], **changes))
    assert not outcome.accepted
    assert reason in outcome.reason
    assert outcome.lemmas == ()


@pytest.mark.parametrize("name", ["value", "value-deq", "value-penalised", "value-mse", "threshold", "threshold-mse"])
def test_ends_are_compared_outwards_to_the_last_digit(certificates, name):
    """An interval a hair inside the proved one is rejected, a hair outside accepted."""
    statement = certificates[name]["claim"]["statement"]
    wider = {
        "claim__statement__lower": shifted(statement["lower"], "999999999999/1000000000000"),
        "claim__statement__upper": shifted(statement["upper"], "1000000000001/1000000000000"),
    }
    if name != "threshold":  # its witness belongs to the ends
        assert checker.check(edited(certificates[name], **wider))
    for end, factor in (("lower", 1 + Fraction(1, 10**12)), ("upper", 1 - Fraction(1, 10**12))):
        path = f"claim__statement__{end}"
        assert not checker.check(edited(certificates[name], **{path: shifted(statement[end], str(factor))}))


def test_rounding_an_end_inwards_is_rejected(certificates):
    certificate = certificates["value"]
    low, high = (Fraction(certificate["claim"]["statement"][end]) for end in ("lower", "upper"))
    middle = (low + high) / 2
    for end in ("lower", "upper"):
        assert not checker.check(edited(certificate, **{f"claim__statement__{end}": str(middle)}))


# Soundness of the pieces ----------------------------------------------------------------------------------------------


def test_every_lemma_names_the_files_that_prove_it():
    folder = Path(checker.__file__).with_name("theorems")
    assert set(checker.PROVED_IN) == set(checker.LEMMAS)
    for names in checker.PROVED_IN.values():
        assert all((folder / f"{name}.py").is_file() for name in names)


def test_the_norm_bound_accepts_above_and_rejects_below_the_true_norm(certificates):
    certificate = certificates["value"]
    claim = checker.read_claim(certificate)
    ones = [fmpq(1)] * 2
    with ctx.workprec(checker.PRECISION):
        point = checker.evaluate(claim, certificate["witness"]["point"])
        size = [arb(k).sqrt() for k in claim.sizes]
        x = [[size[a] * point.block[a][b] * size[b] for b in range(2)] for a in range(2)]
        # 2 x 2 largest singular value
        trace = sum(entry**2 for row in x for entry in row)
        det = x[0][0] * x[1][1] - x[0][1] * x[1][0]
        block = ((trace + ((trace**2 - 4 * det**2).max(arb(0))).sqrt()) / 2).sqrt()
        norm = max(block, *(abs(s) for s in point.standard), key=lambda ball: float(ball.mid()))
        for factor, verdict in ((1 + 2.0**-40, True), (1 - 2.0**-40, False)):
            assert checker.spectral_norm_at_most(claim, point, norm * arb(factor), ones) is verdict


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([[2, 1], [1, 2]], True),
        ([[4, 2, 0], [2, 5, 3], [0, 3, 4]], True),
        ([[1, 2], [2, 4]], False),  # singular: no proof
        ([[1, 2], [2, 3]], False),
        ([[0, 1], [1, 5]], False),
        ([[2, 0, 1], [0, 1, 1], [1, 1, 1]], False),
    ],
)
def test_positive_definiteness(rows, verdict):
    assert checker.positive_definite(arb_mat(rows)) is verdict


def test_definiteness_of_large_matrices_is_decided_next_to_the_edge():
    n = 33  # 4/3 I + ones/n has the least eigenvalue 4/3; its own direction is at 7/3
    matrix = [[fmpq(4, 3) * (i == j) + fmpq(1, n) for j in range(n)] for i in range(n)]

    def less(bound):
        return arb_mat([[arb(matrix[i][j] - bound * (i == j)) for j in range(n)] for i in range(n)])

    with ctx.workprec(checker.PRECISION):
        assert checker.positive_definite(less(fmpq(4, 3) - fmpq(1, 2**60)))
        assert not checker.positive_definite(less(fmpq(4, 3) + fmpq(1, 2**60)))
        assert not checker.positive_definite(less(fmpq(4, 3)))


@pytest.mark.parametrize(
    ("a", "rho", "reason"),
    [
        ([["1/2", "0"], ["0", "1/2"]], "1/2", ""),  # |A|_2 = rho
        ([["3/10", "2/5"], ["-2/5", "3/10"]], "51/100", "does not beat"),  # a rotation by 1/2: no row sum shows it
        ([["3/10", "2/5"], ["-2/5", "3/10"]], "49/100", "|A|_2 <= rho"),
        ([["0", "7/10"], ["0", "0"]], "69/100", "|A|_2 <= rho"),  # spectral radius 0, norm 7/10
    ],
)
def test_the_spectral_bound_of_an_equilibrium_layer(certificates, a, rho, reason):
    changes = {"witness__A": a, "claim__architecture__rho": rho, "claim__statement__margin": "1/100"}
    outcome = checker.check(edited(certificates["counterexample"], **changes))
    assert outcome.accepted is (reason == "")
    assert reason in outcome.reason


def test_the_working_precision_is_the_checkers_own(certificates):
    with ctx.workprec(24):
        assert checker.check(certificates["threshold"])
        assert ctx.prec == 24
    assert not checker.check(certificates["value"] | {"precision": 10})


# Files and text -------------------------------------------------------------------------------------------------------

TEXTS = [
    ("", "not JSON"),
    ("null", "certificate must have exactly the keys"),
    ("[]", "certificate must have exactly the keys"),
    ("[" * 100_000, ""),
    ('{"a":' * 50_000, ""),
    ('{"format": "ufm-certificate/1", "format": "ufm-certificate/1"}', "duplicate key"),
    ('{"format": NaN}', "NaN is not allowed"),
    ('{"format": Infinity}', "Infinity is not allowed"),
    ('{"format": 1.5}', "1.5 is not allowed"),
    ('{"format": 1e999999999}', "is not allowed"),
    ('{"format": ' + "9" * 100_000 + "}", "at most 9 digits"),
    ('"' + "\\" * 100_001, "not JSON"),
    ("\ufeff{}", "not JSON"),
    (b"\xff\xfe{}", "unreadable"),
    (" " * (checker.MAX_BYTES + 1), "larger than"),
]


@pytest.mark.parametrize(("text", "reason"), TEXTS, ids=range(len(TEXTS)))
def test_hostile_text_ends_quickly_with_a_reason(text, reason):
    start = time.perf_counter()
    outcome = checker.check(text)
    assert time.perf_counter() - start < 5
    assert not outcome.accepted
    assert reason in outcome.reason
    assert 0 < len(outcome.reason) <= 600


NUMBERS = [
    "",
    "0.5",
    "1e5",
    "+1",
    " 1",
    "1 ",
    "1/",
    "/2",
    "1//2",
    "1/-2",
    "--1",
    "0x10",
    "1_000",
    "١",
    "1/0",
    "9" * 401,
    "2/4",
    "3/1",
    "0/7",
    "-0",
    "007",
    "1/02",
]


@pytest.mark.parametrize("number", [*NUMBERS, 5, 0.25, None, True, ["1"], {"p": "1"}], ids=repr)
def test_what_is_not_an_exact_rational_is_rejected(certificates, number):
    """Nor is one that another string spells: the number of a certificate can be written in one way."""
    for path in ("claim__architecture__E_W", "claim__statement__lower", "witness__dual_norm", "claim__prior__0__count"):
        assert not checker.check(edited(certificates["value"], **{path: number}))


def test_another_spelling_of_the_same_number_is_refused(certificates):
    for path in ("claim__architecture__E_W", "claim__statement__lower", "witness__dual_norm"):
        *parents, last = path.split("__")
        node: Any = certificates["value"]
        for part in parents:
            node = node[part]
        p, _, q = node[last].partition("/")
        for spelled in (f"{2 * int(p)}/{2 * int(q or 1)}", f"0{p}/{q or 1}", f"{p}/0{q or 1}"):
            outcome = checker.check(edited(certificates["value"], **{path: spelled}))
            assert "lowest terms" in outcome.reason


@pytest.mark.parametrize("classes", [0, -3, 10**6 + 1, 1.0, "3", None, True, [3]], ids=repr)
def test_class_counts_are_small_positive_integers(certificates, classes):
    outcome = checker.check(edited(certificates["value"], claim__prior__0__classes=classes))
    assert not outcome.accepted


def test_unknown_and_missing_keys_are_rejected_everywhere(certificates):
    def objects(node: Any) -> list[Json]:
        found = [node] if isinstance(node, dict) else []
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
        return [*found, *(inner for child in children for inner in objects(child))]

    for certificate in certificates.values():
        for index in range(len(objects(certificate))):
            extra = copy.deepcopy(certificate)
            objects(extra)[index]["extra"] = "1"
            assert not checker.check(extra)
            for key in objects(certificate)[index]:
                missing = copy.deepcopy(certificate)
                del objects(missing)[index][key]
                outcome = checker.check(missing)
                assert not outcome.accepted


def test_shapes_of_the_witness_are_checked(certificates):
    for path, value in [
        ("witness__point__within", ["1"]),
        ("witness__point__left", [["1"]]),
        ("witness__point__left", [["1"], ["1", "2"]]),
        ("witness__point__left", [[], []]),
        ("witness__point__right", [["1", "2"]] * 129),
        ("witness__point__left", [["1"] * 129] * 2),
    ]:
        assert "must be a list of" in checker.check(edited(certificates["value"], **{path: value})).reason
    assert not checker.check(edited(certificates["value"], claim__prior=[{"classes": 1, "count": "1"}] * 129))
    assert not checker.check(edited(certificates["value"], claim__prior=[]))


def test_the_largest_numbers_allowed_end_quickly(certificates):
    """128 groups of a million classes and 400-digit numbers: a verdict in bounded time."""
    number = "9" * 400 + "/" + "7" * 400
    g = checker.MAX_GROUPS
    certificate = edited(
        certificates["value"],
        claim__prior=[{"classes": 10**6, "count": number}] * g,
        witness__point={
            "within": [number] * g,
            "left": [[number] * 12] * g,
            "right": [[number] * g] * 12,
        },
        witness__dual_norm=number,
    )
    start = time.perf_counter()
    assert not checker.check(certificate)
    assert time.perf_counter() - start < 60


@pytest.mark.parametrize("kind", ["equilibrium", "deep"])
def test_the_largest_counterexamples_end_quickly(certificates, kind):
    number = str(Fraction(2**100 + 1, 2**128 - 1))
    k, budget = checker.MAX_FACTOR_SIZE, "9" * 400
    full = [[number] * k] * k
    name = "counterexample" if kind == "equilibrium" else "counterexample-deep"
    changes: Json = {"claim__prior__0__classes": k}
    if kind == "equilibrium":
        changes |= {f"claim__architecture__{key}": budget for key in ("E_W", "E_H", "E_A")}
        changes |= {f"witness__{key}": full for key in ("W", "A", "H")}
    else:
        changes |= {"claim__architecture__budgets": [budget] * 8, "witness__factors": [full] * 8}
    start = time.perf_counter()
    assert "does not beat" in checker.check(edited(certificates[name], **changes)).reason
    assert time.perf_counter() - start < 20


def test_files_that_are_no_certificates(tmp_path):
    assert "not a regular file" in checker.check_file(tmp_path / "missing.json").reason
    assert "not a regular file" in checker.check_file(tmp_path).reason
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in checker.check_file(tmp_path / "pipe").reason
    (tmp_path / "big.json").write_bytes(b" " * (checker.MAX_BYTES + 10))
    assert "larger than" in checker.check_file(tmp_path / "big.json").reason
    assert not checker.check_file("nul\0byte")


def test_the_module_as_a_command(certificates, tmp_path):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(certificates["threshold"]))
    bad.write_text(json.dumps(edited(certificates["threshold"], claim__statement__lower="246")))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "proofs_check.checker", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    first = run(str(good))
    assert first.returncode == 0
    assert "accepted" in first.stdout
    assert "rests on" in first.stdout
    both = run(str(good), str(bad))
    assert both.returncode == 1
    assert "REJECTED" in both.stdout
    assert run().returncode == 2


def test_what_is_nested_too_deeply_is_rejected():
    outcome = checker.check("[" * 100_000)
    assert not outcome.accepted
    assert "nested" in outcome.reason
