"""Export to Coq: the statements are true numbers (mpmath), coqc proves them, and it refuses false ones."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from effort import count

import ufm
from proofs_check import checker, coq
from ufm.certificates import certify_residual_code, certify_square_code

Json = dict[str, Any]

needs_coq = pytest.mark.usefixtures("with_coq")


#: Residual depth 8 with cheap blocks, and two pairs of opposite classes.
PAIRS = (
    ufm.Residual(3 / 16, 3 / 16, 7 / 2, 8),
    1.314 * np.kron(np.eye(2), [[1.0, -1.0], [-1.0, 1.0]]),
)


def made(name: str) -> ufm.Certificate:
    step, lpm = ufm.ClassPrior.step, ufm.LayerPeeled(1, 5)
    weak, strong = ufm.PenalisedDEQ(5e-3, 5e-3, 0.5), ufm.UnconstrainedFeatures(2e-2, 2e-2)
    square = [[1, 0], [0, 1], [-1, 0], [0, -1]]
    across = [list(column) for column in zip(*square, strict=True)]
    builders = {
        "square-code": certify_square_code,
        "rotated-square-code": lambda: ufm.certify_counterexample(
            {"name": "linear_deq", "E_W": 1, "E_H": 1, "rho": "9/10", "E_A": "5002/10000"},
            4,
            {"W": square, "A": [["1/2", "1/100"], ["1/100", "1/2"]], "H": across},
        ),
        "deep": lambda: ufm.certify_counterexample(
            {"name": "deep_linear", "budgets": [4, 2, 4]}, 4, [square, [[1, 0], [0, 1]], across]
        ),
        "residual": lambda: certify_residual_code(*PAIRS),
        "balanced": lambda: ufm.certify(ufm.solve(lpm, ufm.ClassPrior.balanced(10))),
        "balanced-penalised": lambda: ufm.certify(ufm.solve(strong, ufm.ClassPrior.balanced(4, 30))),
        "value": lambda: ufm.certify(ufm.solve(lpm, step(3, 7, 10))),
        "value-single": lambda: ufm.certify(ufm.solve(ufm.LinearDEQ(1, 1, 0.5), step(1, 2, 10))),
        "value-penalised": lambda: ufm.certify(ufm.solve(weak, step(3, 7, 10))),
        "value-mse": lambda: ufm.certify(ufm.solve(ufm.LayerPeeled(0.1, 0.5), step(3, 7, 10), "mse")),
        "value-mse-penalised": lambda: ufm.certify(ufm.solve(weak, step(3, 7, 10), "mse")),
        "value-zero": lambda: ufm.certify(ufm.solve(lpm, step(3, 7, 10), "mse")),
        "threshold": lambda: ufm.certify_threshold(lpm, 3, 7),
        "threshold-single": lambda: ufm.certify_threshold(ufm.LayerPeeled(0.3, 0.3), 1, 4),
        "threshold-mse": lambda: ufm.certify_threshold(ufm.LayerPeeled(0.1, 0.5), 3, 7, loss="mse"),
        "threshold-infinite": lambda: ufm.certify_threshold(lpm, 3, 7, loss="mse"),
        "threshold-samples": lambda: ufm.certify_threshold(weak, 3, 7, num_samples=600),
        "threshold-majority": lambda: ufm.certify_threshold(weak, 3, 7, majority_count=100),
        "none": lambda: ufm.certify_phase(lpm, step(3, 7, 10)),
        "partial": lambda: ufm.certify_phase(lpm, step(3, 7, 1000)),
        "total": lambda: ufm.certify_phase(ufm.LayerPeeled(1, 1), step(5, 5, 10)),
        "partial-penalised": lambda: ufm.certify_phase(strong, step(5, 5, 10)),
        "total-penalised": lambda: ufm.certify_phase(ufm.UnconstrainedFeatures(8e-3, 8e-3), step(5, 5, 80)),
        "total-mse": lambda: ufm.certify_phase(strong, step(5, 5, 10), "mse"),
    }
    return builders[name]()


ALL = [
    "square-code",
    "rotated-square-code",
    "deep",
    "balanced",
    "balanced-penalised",
    "value",
    "value-single",
    "value-penalised",
    "value-mse",
    "value-mse-penalised",
    "value-zero",
    "threshold",
    "threshold-single",
    "threshold-mse",
    "threshold-infinite",
    "threshold-samples",
    "threshold-majority",
    "none",
    "partial",
    "total",
    "partial-penalised",
    "total-penalised",
    "total-mse",
]

# (certificate, path, false value)
FALSE = [
    ("square-code", "claim statement margin", "21/1000"),
    ("square-code", "claim architecture E_A", "49/100"),
    ("square-code", "witness W 0 0", "11/10"),
    ("balanced", "claim statement upper", "11/20"),
    ("balanced", "witness dual_norm", "1/1000"),
    ("value", "claim statement upper", "1/4"),
    ("value", "claim statement lower", "3/10"),
    ("value", "claim architecture E_H", "49/10"),
    ("value", "claim prior 0 count", "11"),
    ("value-penalised", "claim architecture lambda_W", "6/1000"),
    ("value-mse", "claim statement lower", "1/2"),
    ("value-zero", "claim architecture E_W", "1/5000"),
    ("threshold", "claim statement upper", "245"),
    ("threshold", "claim architecture E_H", "5001/1000"),
    ("threshold-mse", "claim statement lower", "7"),
    ("threshold-samples", "claim prior fixed num_samples", "601"),
    ("none", "claim statement phase", "partial"),
    ("partial", "claim statement phase", "none"),
    ("total", "claim prior 0 count", "3/2"),
    ("partial-penalised", "claim statement phase", "total"),
    ("total-penalised", "claim statement phase", "partial"),
    ("total-mse", "claim statement phase", "none"),
    ("residual", "claim statement margin", "1/1000"),
    ("residual", "claim architecture lambda_A", "15/4"),
]


def falsified(name: str, path: str, value: Any) -> Json:
    data = json.loads(made(name).to_json())
    *parents, last = [int(part) if part.isdigit() else part for part in path.split()]
    node: Any = data
    for part in parents:
        node = node[part]
    node[last] = value
    return data


def statements(source: str) -> list[str]:
    return re.findall(r"^Theorem fact_\d+ :\n  (.*)\.$", source, re.MULTILINE)


#: Points on either half of a bracket at which a statement is evaluated.
HALF = 16


def holds(statement: str) -> bool:
    """Evaluate a Coq statement in mpmath; a bracket of t is sampled, a statement for all vectors too."""
    names = {"exp": mp.exp, "ln": mp.log, "sqrt": mp.sqrt, "Rabs": abs}
    if not statement.startswith("forall "):
        return _evaluate(statement, names)
    quantified = re.fullmatch(r"forall t : R, (\S+|\(.*?\)) <= t <= (\S+|\(.*?\)) -> (.*)", statement)
    if quantified:
        low, high = (_number(quantified[i]) for i in (1, 2))
        points = [low + (high - low) * i / (2 * HALF) for i in range(2 * HALF + 1)]
        return all(_evaluate(quantified[3], names | {"t": t}) for t in points)
    beyond = re.fullmatch(r"forall t : R, (\S+|\(.*?\)) <= t -> (.*)", statement)
    if beyond:
        return all(_evaluate(beyond[2], names | {"t": _number(beyond[1]) * i}) for i in (1, 2, 10))
    variables, body = re.fullmatch(r"forall ((?:x\d+ )+): R, (.*)", statement).groups()
    vectors = [[1] * 9, [1, -1] * 5, [3, 1, 4, 1, 5, 9, 2, 6, 5], [0, 1] + [0] * 8, [1] + [0] * 9]
    vectors = [[mp.mpf(x) for x in v] for v in vectors]
    return all(_evaluate(body, names | dict(zip(variables.split(), v, strict=False))) for v in vectors)


def _number(text: str) -> mp.mpf:
    return eval(re.sub(r"\d+", r"mpf('\g<0>')", text), {"mpf": mp.mpf})


def _evaluate(statement: str, names: dict[str, Any]) -> bool:
    left, relation, right = re.fullmatch(r"(.*) (<=|>=|<|>|=) (.*)", statement).groups()

    def value(text: str) -> mp.mpf:
        text = re.sub(r"(?<![\w.'])\d+", r"mpf('\g<0>')", text)
        text = re.sub(r"\b(exp|ln|sqrt|Rabs) (mpf\('\d+'\)|x\d+)", r"\1(\2)", text)
        return eval(text.replace("^", "**").replace("exp (", "exp(").replace("ln (", "ln("), {"mpf": mp.mpf} | names)

    x, y = value(left), value(right)
    close = mp.mpf(10) ** -60 * (1 + abs(x) + abs(y))  # rationals that are exactly equal
    return {"<": x < y, ">": x > y, "<=": x <= y + close, ">=": x >= y - close, "=": abs(x - y) <= close}[relation]


@pytest.mark.parametrize("name", ALL)
def test_exported_statements_are_true_numbers(name):
    source = coq.export(made(name).to_json())
    found = statements(source)
    assert len(found) == source.count("Theorem ") >= 1
    with mp.workdps(120):
        for statement in found:
            assert holds(statement), statement


@pytest.mark.parametrize(("name", "path", "value"), FALSE)
def test_a_false_claim_exports_a_false_statement_or_nothing(name, path, value):
    try:
        found = statements(coq.export(falsified(name, path, value)))
    except (checker.Reject, coq.NotExportable):
        return
    with mp.workdps(120):
        assert not all(holds(statement) for statement in found)


#: Certificates that coqc proves, together: to start it takes longer than most of their statements.
PROVED = count(
    ("rotated-square-code", "balanced", "total-penalised"),
    ("square-code", "rotated-square-code", "residual", "balanced", "value", "threshold", "total-penalised"),
)


@pytest.fixture(scope="module")
def proved() -> tuple[int | None, str]:
    """Status and output of coqc on the exports of :data:`PROVED`, each in a module, with the axioms of some proofs."""
    sources = {name: coq.export(made(name).to_json()) for name in PROVED}
    loads = dict.fromkeys(line for source in sources.values() for line in source.splitlines() if "Require" in line)
    bodies = ["".join(f"{x}\n" for x in s.splitlines() if x not in loads) for s in sources.values()]
    modules = ["\n".join(loads) + "\n", *(f"Module M{i}.\n{body}End M{i}.\n" for i, body in enumerate(bodies))]
    # the budget, |A|_2 <= rho and the comparison of risks: every tactic that an export uses. To look through all that
    # the last stands on takes longer than all proofs.
    rotated, last = PROVED.index("rotated-square-code"), sources["rotated-square-code"].count("Theorem ")
    axioms = [f"Print Assumptions M{rotated}.fact_{i}.\n" for i in count((2, 5), (2, 5, last))]
    return coq._coqc("".join(modules + axioms), 300)


@needs_coq
def test_both_kernels_agree(proved):
    assert all(checker.check(made(name).to_json()).accepted for name in PROVED)
    assert proved[0] == 0, proved[1]
    assert coq.kernels(made("balanced").to_json()) == {"ball arithmetic": True, "coq": True}


@needs_coq
@pytest.mark.parametrize(("name", "path", "value"), [FALSE[0], FALSE[3], FALSE[19]])
@pytest.mark.sample(1)
def test_coqc_refuses_what_is_false(name, path, value):
    data = falsified(name, path, value)
    assert not checker.check(data).accepted
    outcome = coq.check_with_coq(data)
    assert outcome.accepted is False
    assert "does not accept" in outcome.reason


@needs_coq
def test_the_proofs_rest_on_coqs_real_numbers_and_integers_alone(proved):
    status, output = proved
    assert status == 0
    axioms = set(re.findall(r"^([A-Za-z_0-9.]+)\s*:", output, re.MULTILINE)) - {"Axioms"}
    allowed = {"ClassicalDedekindReals", "FunctionalExtensionality", "Classical_Prop", "PrimInt63", "Uint63"}
    assert axioms
    assert {axiom.split(".")[0] for axiom in axioms} <= allowed


@needs_coq
def test_a_proof_that_takes_too_long_is_no_verdict():
    outcome = coq.check_with_coq(made("value").to_json(), timeout=0.05)
    assert outcome.accepted is None
    assert "longer than" in outcome.reason


def test_without_coqc_there_is_no_verdict_and_a_message(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = coq.check_with_coq(made("square-code").to_json())
    assert outcome.accepted is None
    assert "not installed" in outcome.reason
    assert not coq.coqc_available()
    assert coq.kernels(made("square-code").to_json()) == {"ball arithmetic": True, "coq": None}


def test_what_is_not_exported_says_so():
    three = ufm.certify(ufm.solve(ufm.LayerPeeled(1, 5), ufm.ClassPrior([9, 9, 5, 5, 1, 1])))
    assert coq.check_with_coq(three.to_json()).accepted is None
    with pytest.raises(coq.NotExportable, match="more than 2 groups"):
        coq.export(three.to_json())
    assert coq.check_with_coq("{}").accepted is False


@pytest.mark.parametrize("text", ["1). Admitted. (", "*) Axiom a : False. (*", '"', "1/2. Abort."])
def test_a_certificate_cannot_write_coq(text):
    data = json.loads(made("square-code").to_json())
    for path in (("claim", "statement", "margin"), ("claim", "architecture", "E_A"), ("claim", "architecture", "name")):
        wrong = copy.deepcopy(data)
        wrong[path[0]][path[1]][path[2]] = text
        with pytest.raises(checker.Reject):
            coq.export(wrong)


def test_the_module_as_a_command(tmp_path, capsys):
    path = made("total").save(tmp_path / "total.json")
    assert coq.main(["--export", str(path)]) == 0
    assert statements(capsys.readouterr().out)
    assert coq.main([]) == 2
    assert coq.main([str(path)]) == 0
    shown = capsys.readouterr().out
    assert "ball arithmetic: accepted" in shown
    assert ("coq: accepted" if coq.coqc_available() else "coq: no verdict") in shown
