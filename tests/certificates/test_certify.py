"""Certificates hold what they say: enclosures against 50 digits, thresholds and phases, widths, and bad input."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import warnings
from fractions import Fraction

import certificate_oracle as oracle
import jsonschema
import mpmath as mp
import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from proofs_check import checker
from ufm.certificates import CertificationError, certify_square_code
from ufm.cli.schemas import file_schema

SCHEMA = file_schema("certificate")
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

ARCHITECTURES = [
    ufm.LayerPeeled(1, 5),
    ufm.LinearDEQ(0.3, 0.7, 0.4),
    ufm.DeepLinear((3.0, 4.0)),
    ufm.UnconstrainedFeatures(5e-3, 5e-3),
    ufm.PenalisedDEQ(2e-2, 2e-2, 0.3),
]
PRIORS = [
    ufm.ClassPrior.step(3, 7, 10.0),
    ufm.ClassPrior.step(5, 5, 1e4),
    ufm.ClassPrior.step(1, 2, 30.0),
    ufm.ClassPrior.step(4, 1, 3.0),
    ufm.ClassPrior.balanced(10, 7),
    ufm.ClassPrior([100] * 5 + [20] * 5),
]

slow_settings = settings(max_examples=examples(25), derandomize=True, deadline=None)


def accepted(certificate: ufm.Certificate) -> ufm.Certificate:
    assert certificate.check().accepted
    VALIDATOR.validate(json.loads(certificate.to_json()))
    return certificate


@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: type(a).__name__)
def test_values_of_one_and_two_groups_are_enclosed_tightly(architecture, loss):
    for prior in PRIORS:
        certificate = accepted(ufm.certify(ufm.solve(architecture, prior, loss)))
        with mp.workdps(oracle.DIGITS):
            value = oracle.optimal_value(certificate.claim)
            low, high = (oracle.big(end) for end in certificate.bounds)
            assert low <= value <= high, (prior, mp.nstr(value, 30))
        assert certificate.relative_width <= 1e-12


@slow_settings
@given(
    k_a=st.integers(1, 6),
    k_b=st.integers(1, 6),
    ratio=st.floats(1.01, 1e4),
    size=st.floats(0.05, 8.0),
    rho=st.floats(0, 0.8),
    penalised=st.booleans(),
)
def test_values_of_random_two_group_problems(k_a, k_b, ratio, size, rho, penalised):
    architecture = ufm.PenalisedDEQ(1e-2 * size, 1e-2, rho) if penalised else ufm.LinearDEQ(size, 1.0, rho)
    certificate = ufm.certify(ufm.solve(architecture, ufm.ClassPrior.step(k_a, k_b, ratio)))
    assert oracle.holds(certificate.claim)
    assert certificate.relative_width <= 1e-9


@pytest.mark.parametrize("size", [1e-6, 30.0, 100.0])
def test_values_far_from_one_keep_their_relative_width(size):
    certificate = ufm.certify(ufm.solve(ufm.LayerPeeled(size, size), ufm.ClassPrior.step(3, 7, 20)))
    assert certificate.relative_width <= 1e-9
    assert oracle.holds(certificate.claim)


def test_mse_just_short_of_a_perfect_fit_is_enclosed_tightly():
    problem = ufm.DeepLinear((9.9999999, 10.0)), ufm.ClassPrior.step(3, 7, 20)
    certificate = ufm.certify(ufm.solve(*problem, "mse"))
    assert certificate.relative_width <= 1e-9
    assert oracle.holds(certificate.claim)


def test_mse_with_room_for_the_identity_is_exactly_zero():
    certificate = accepted(ufm.certify(ufm.solve(ufm.LayerPeeled(1, 1), ufm.ClassPrior.step(3, 7, 20), "mse")))
    assert certificate.bounds == (0, 0)
    assert certificate.relative_width == 0


def test_a_thousand_classes_in_two_groups():
    certificate = accepted(ufm.certify(ufm.solve(ufm.LinearDEQ(1, 2, 0.5), ufm.ClassPrior.step(400, 600, 50))))
    assert certificate.relative_width <= 1e-9


@pytest.mark.parametrize("loss", ["ce", "mse"])
@pytest.mark.parametrize("architecture", [ARCHITECTURES[0], ARCHITECTURES[3]], ids=lambda a: type(a).__name__)
def test_general_priors_agree_with_another_solver(architecture, loss):
    prior = ufm.ClassPrior(np.random.default_rng(3).uniform(1, 60, 6))
    certificate = accepted(ufm.certify(ufm.solve(architecture, prior, loss, method="nuclear")))
    other = ufm.solve(architecture, prior, loss, method="reduced")
    assert certificate.relative_width <= 1e-6
    assert certificate.lower <= other.value * (1 + 1e-9) + 1e-15
    assert certificate.upper >= other.value * (1 - 1e-9)


@pytest.mark.slow
def test_a_hundred_different_classes():
    prior = ufm.ClassPrior(np.random.default_rng(0).uniform(1, 100, 100))
    solution = ufm.solve(ufm.LayerPeeled(1, 5), prior)
    certificate = accepted(ufm.certify(solution))
    assert certificate.relative_width <= 1e-6
    assert certificate.lower <= solution.value <= certificate.upper * (1 + 1e-12)


def test_a_bad_point_widens_the_enclosure_and_never_moves_it():
    prior = ufm.ClassPrior.step(3, 7, 10.0)
    good = ufm.solve(ufm.LayerPeeled(1, 5), prior)
    noise = np.random.default_rng(1).normal(size=(10, 10))
    widths = []
    for size in (1e-8, 1e-4, 1e-1, 3.0):
        worse = ufm.Solution(
            good.problem,
            "nuclear",
            good.value,
            good.lower,
            good.upper,
            good.multiplier,
            None,
            0,
            good.logits + size * noise,
        )
        certificate = ufm.certify(worse)
        assert oracle.holds(certificate.claim)
        widths.append(certificate.relative_width)
    assert widths == sorted(widths)
    assert widths[0] < 1e-6 < 1e-3 < widths[-1]


# Thresholds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("k_a", "ratio"), [(3, "245.496930598261985"), (5, "12.192447080325935"), (7, "4.000466710142019")]
)
def test_fangs_thresholds(k_a, ratio):
    certificate = accepted(ufm.certify_threshold(ufm.LayerPeeled(1, 5), k_a, 10 - k_a))
    low, high = certificate.bounds
    assert abs(low - Fraction(ratio)) < Fraction(1, 10**13)
    assert certificate.relative_width <= 1e-20
    assert low < high
    assert oracle.holds(certificate.claim)


@slow_settings
@given(
    k_a=st.integers(1, 40), k_b=st.integers(2, 40), size=st.floats(1e-3, 4.0), rho=st.floats(0, 0.7), mse=st.booleans()
)
def test_thresholds_of_random_budgets(k_a, k_b, size, rho, mse):
    certificate = ufm.certify_threshold(ufm.LinearDEQ(size, 1.0, rho), k_a, k_b, loss="mse" if mse else "ce")
    assert oracle.holds(certificate.claim)
    if "lower" in certificate.claim["statement"]:
        assert certificate.relative_width <= 1e-20


@slow_settings
@given(
    k_a=st.integers(1, 9),
    k_b=st.integers(2, 9),
    decay=st.floats(1e-3, 3e-2),
    held=st.sampled_from(["num_samples", "majority_count", "minority_count"]),
    count=st.floats(1, 1000),
)
def test_thresholds_of_random_weight_decay(k_a, k_b, decay, held, count):
    architecture = ufm.PenalisedDEQ(decay, decay, 0.25)
    certificate = ufm.certify_threshold(architecture, k_a, k_b, **{held: count})
    assert oracle.holds(certificate.claim)
    expected = ufm.collapse_threshold(architecture, k_a, k_b, **{held: count})
    assert certificate.lower * (1 - 1e-9) <= expected.ratio <= certificate.upper * (1 + 1e-9)


def test_an_infinite_threshold_is_stated_as_such():
    certificate = accepted(ufm.certify_threshold(ufm.LayerPeeled(1, 1), 3, 7, loss="mse"))
    assert certificate.claim["statement"] == {"infinite": True}
    with pytest.raises(ValueError, match="not an interval"):
        certificate.bounds


# Phases -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "architecture",
    [
        ufm.LayerPeeled(1, 1),
        ufm.LayerPeeled(0.2, 0.2),
        ufm.LinearDEQ(1, 2, 0.3),
        ufm.UnconstrainedFeatures(2e-2, 2e-2),
        ufm.UnconstrainedFeatures(2e-3, 2e-3),
    ],
    ids=repr,
)
def test_phases_agree_with_the_solver_everywhere(architecture):
    seen = set()
    for sizes in ((1, 2), (3, 7), (5, 5)):
        for ratio in (1.5, 10, 300, 1e6):
            for loss in ("ce", "mse"):
                prior = ufm.ClassPrior.step(*sizes, ratio)
                certificate = accepted(ufm.certify_phase(architecture, prior, loss))
                phase = certificate.claim["statement"]["phase"]
                assert phase == ufm.solve(architecture, prior, loss).geometry.phase
                seen.add(phase)
    assert len(seen) >= 2


def test_the_phase_changes_within_a_hair_of_the_threshold():
    architecture = ufm.LayerPeeled(1, 5)
    low, high = ufm.certify_threshold(architecture, 5, 5).bounds
    for ratio, phase in ((float(low) * (1 - 1e-14), "none"), (float(high) * (1 + 1e-14), "partial")):
        certificate = accepted(ufm.certify_phase(architecture, ufm.ClassPrior.step(5, 5, ratio)))
        assert certificate.claim["statement"]["phase"] == phase


def test_total_collapse_starts_where_its_closed_form_says():
    architecture = ufm.LayerPeeled(0.5, 0.5)
    ratio = ufm.two_groups.thresholds.total_collapse_threshold(architecture, 5, 5)
    for factor, phase in ((1 - 1e-9, "partial"), (1 + 1e-9, "total")):
        certificate = ufm.certify_phase(architecture, ufm.ClassPrior.step(5, 5, ratio * factor))
        assert certificate.claim["statement"]["phase"] == phase


# Counterexamples -----------------------------------------------------------------------------------------------------


def test_the_square_code_beats_the_simplex_etf():
    certificate = accepted(certify_square_code())
    margin = Fraction(certificate.claim["statement"]["margin"])
    with mp.workdps(40):
        exact = mp.log(1 + 3 * mp.exp(-4 / (3 - mp.sqrt(mp.mpf(3) / 2)))) - mp.log(1 + 2 * mp.exp(-2) + mp.exp(-4))
        assert oracle.big(margin) <= exact
        assert oracle.big(margin) * (1 + mp.mpf(10) ** -9) > exact
    assert margin > Fraction(2, 100)


def test_depth_three_the_square_code_beats_the_etf_too():
    code = [[1, 0], [0, 1], [-1, 0], [0, -1]]
    factors = [code, [[1, 0], [0, 1]], [list(column) for column in zip(*code, strict=True)]]
    certificate = accepted(ufm.certify_counterexample({"name": "deep_linear", "budgets": [4, 2, 4]}, 4, factors))
    assert oracle.counterexample_margin(certificate.claim, certificate.witness) >= oracle.big(
        certificate.claim["statement"]["margin"]
    )


def test_what_is_no_counterexample_is_not_certified():
    code = [[1, 0], [0, 1], [-1, 0], [0, -1]]
    columns = [list(column) for column in zip(*code, strict=True)]
    deq = {"name": "linear_deq", "E_W": 1, "E_H": 1, "rho": "9/10", "E_A": "1/2"}
    factors = {"W": code, "A": [["1/2", 0], [0, "1/2"]], "H": columns}
    with pytest.raises(CertificationError, match="do not beat"):
        ufm.certify_counterexample(deq, 4, factors | {"A": [["1/10", 0], [0, "1/10"]]})
    with pytest.raises(CertificationError, match="do not beat"):  # two factors: the ETF is optimal
        ufm.certify_counterexample({"name": "deep_linear", "budgets": [4, 4]}, 4, [code, columns])
    with pytest.raises(CertificationError, match="budget"):
        ufm.certify_counterexample(deq, 4, factors | {"A": [["3/4", 0], [0, "3/4"]]})
    with pytest.raises(CertificationError, match="rho"):
        ufm.certify_counterexample(deq | {"rho": "49/100"}, 4, factors)
    with pytest.raises(ValueError, match="architecture"):
        ufm.certify_counterexample({"name": "layer_peeled", "E_W": 1, "E_H": 1}, 4, factors)
    with pytest.raises(ValueError, match="num_classes"):
        ufm.certify_counterexample(deq, 17, factors)


# Bad input, files, dependencies -------------------------------------------------------------------------------------


def test_bad_input_is_named():
    lpm, prior = ufm.LayerPeeled(1, 5), ufm.ClassPrior.step(3, 7, 10)
    with pytest.raises(TypeError, match="solution"):
        ufm.certify(3)
    with pytest.raises(TypeError, match="architecture"):
        ufm.certify_threshold("lpm", 3, 7)
    with pytest.raises(ValueError, match="num_minority"):
        ufm.certify_threshold(lpm, 3, 1)
    with pytest.raises(ValueError, match="num_samples"):
        ufm.certify_threshold(lpm, 3, 7, num_samples=100)
    with pytest.raises(ValueError, match="exactly one"):
        ufm.certify_threshold(ufm.UnconstrainedFeatures(0.01, 0.01), 3, 7)
    with pytest.raises(ValueError, match="minority_count"):
        ufm.certify_threshold(ufm.UnconstrainedFeatures(0.01, 0.01), 3, 7, minority_count=-1)
    with pytest.raises(ValueError, match="two groups"):
        ufm.certify_phase(lpm, ufm.ClassPrior.balanced(10))
    with pytest.raises(ValueError, match="two groups"):
        ufm.certify_phase(lpm, ufm.ClassPrior.step(3, 1, 10))
    with pytest.raises(TypeError, match="prior"):
        ufm.certify_phase(lpm, [1, 2])
    with pytest.raises(ValueError, match="loss"):
        ufm.certify_phase(lpm, prior, "hinge")


def test_a_solution_with_numbers_missing_gives_no_certificate():
    good = ufm.solve(ufm.LayerPeeled(1, 5), ufm.ClassPrior.step(3, 7, 10))
    broken = ufm.Solution(good.problem, "nuclear", 0.0, 0.0, 0.0, 0.0, None, 0, np.full((10, 10), np.nan))
    with pytest.raises(CertificationError, match="finite"):
        ufm.certify(broken)


def test_certificates_survive_a_file(tmp_path):
    certificate = ufm.certify_threshold(ufm.LayerPeeled(1, 5), 3, 7)
    path = certificate.save(tmp_path / "threshold.json")
    assert ufm.Certificate.load(path) == certificate
    assert checker.check_file(path).accepted
    assert [p.name for p in tmp_path.iterdir()] == ["threshold.json"]
    with pytest.raises(FileNotFoundError):
        certificate.save(tmp_path / "missing" / "threshold.json")
    for text in ("[]", '{"claim": {}}', '{"claim": [], "witness": {}}'):
        with pytest.raises(ValueError, match="must be"):
            ufm.Certificate.from_json(text)


def test_floats_of_the_ends_are_rounded_outwards():
    certificate = ufm.Certificate({"kind": "value", "statement": {"lower": "1/3", "upper": "1/3"}}, {})
    assert Fraction(certificate.lower) < Fraction(1, 3) < Fraction(certificate.upper)


def test_a_claim_that_is_false_gets_no_certificate():
    certificate = ufm.certify(ufm.solve(ufm.LayerPeeled(1, 5), ufm.ClassPrior.step(3, 7, 10)))
    low, _ = certificate.bounds
    false = certificate.claim | {"statement": {"lower": "0", "upper": str(low)}}
    with pytest.raises(CertificationError, match="upper bound"):
        ufm.Certificate.proving(false, certificate.witness)


@pytest.mark.parametrize("module", ["proofs_check.checker", "proofs_check.coq"])
def test_the_checker_imports_nothing_from_the_package(module):
    heavy = "('ufm', 'numpy', 'scipy', 'sympy')"
    script = f"import {module}, sys; print([m for m in sys.modules if m.split('.')[0] in {heavy}])"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_importing_the_package_does_not_import_flint():
    script = "import ufm, sys; print('flint' in sys.modules, 'proofs_check' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("budget", [1e20, 1e150])
def test_values_beyond_the_format_are_an_error_and_not_an_endless_rational(budget):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the risk underflows
        solution = ufm.solve(ufm.LayerPeeled(budget, 1.0), ufm.ClassPrior.step(2, 2, 3.0))
    with pytest.raises(CertificationError, match="beyond the certificate format"):
        ufm.certify(solution)


@pytest.mark.parametrize(
    ("architecture", "loss"),
    [(ufm.LayerPeeled(1.0, 5.0), "ce"), (ufm.UnconstrainedFeatures(0.01, 0.01), "mse")],
)
def test_optima_and_certificates_cross_process_pools(architecture, loss):
    """What ``executor.map(ufm.certify, solutions)`` sends and brings back, without the processes."""
    solution = ufm.solve(architecture, ufm.ClassPrior.step(3, 4, 5.0), loss)
    sent = pickle.loads(pickle.dumps(solution))
    assert sent.problem == solution.problem
    assert (sent.logits == solution.logits).all()
    certificate = ufm.certify(sent)
    back = pickle.loads(pickle.dumps(certificate))
    assert (back.lower, back.upper) == (certificate.lower, certificate.upper)
    assert back.lower <= solution.value <= back.upper + 1e-12


def test_a_threshold_next_to_balance_is_certified_or_said_to_be_too_close() -> None:
    """R* tends to 1 as the budgets vanish: to 17 digits it is told from 1, and with 30 more it is not."""
    near = ufm.certify_threshold(ufm.LayerPeeled(1e-18, 1e-18), 2, 2)
    assert near.check()
    assert 1 < Fraction(near.claim["statement"]["lower"]) < 1 + Fraction(1, 10**17)
    with pytest.raises(CertificationError, match="too close to 1 to tell from it"):
        ufm.certify_threshold(ufm.LayerPeeled(1e-30, 1e-30), 2, 2)


#: Architectures whose numbers, all different, are those that a certificate has to state.
STATED = (
    ufm.LayerPeeled(0.75, 0.875),
    ufm.LayerPeeled(0.75, 0.875, features="nonnegative"),
    ufm.LinearDEQ(0.75, 0.875, 0.25),
    ufm.UnconstrainedFeatures(0.03125, 0.0625),
    ufm.PenalisedDEQ(0.03125, 0.0625, 0.25),
    ufm.DeepLinear((1.5, 2.5)),
    ufm.Gain(0.75, 0.875, rho=0.25, kind="residual", depth=3),
    ufm.NormBounded(0.75, 0.875),
)


def stated(parameters: dict) -> dict:
    """The numbers of an architecture as certificates spell them."""
    found = {}
    for name, value in parameters.items():
        if isinstance(value, tuple):
            found[name] = [str(Fraction(x)) for x in value]
        elif isinstance(value, float):
            found[name] = str(Fraction(value))
        elif value is not None and not (name == "features" and value == "real"):
            found[name] = value
    return found


@pytest.mark.parametrize("model", STATED, ids=repr)
def test_a_certificate_states_the_problem_that_it_was_asked_of(model) -> None:
    """The checker proves what a file says; that the file says what was asked, its maker alone can tell wrongly."""
    counts = (5, 3, 3)
    claim = ufm.certify(ufm.solve(model, ufm.ClassPrior(counts))).claim
    said = dict(claim["architecture"])
    said.pop("name")
    assert said == stated(model.parameters)
    if "prior" in claim:
        assert claim["prior"] == [{"classes": 1, "count": "5"}, {"classes": 2, "count": "3"}]
    else:
        assert claim["labels"]["counts"] == [str(n) for n in counts]
    if claim["kind"] == "value" and isinstance(model, ufm.LayerPeeled | ufm.LinearDEQ):
        for made in (ufm.certify_threshold(model, 1, 2), ufm.certify_phase(model, ufm.ClassPrior(counts))):
            assert {**made.claim["architecture"], "name": claim["architecture"]["name"]} == claim["architecture"]


def test_a_certificate_states_the_loss_that_it_was_asked_of() -> None:
    loss = ufm.CrossEntropy(0.125, [1.0, 1.5, 1.5], [1.0, 0.75, 0.75], [0.5, 0.0, 0.0])
    solution = ufm.solve(ufm.UnconstrainedFeatures(0.03125, 0.0625), ufm.ClassPrior([5, 3, 3]), loss)
    assert ufm.certify(solution).claim["loss"] == {
        "name": "ce",
        "smoothing": "1/8",
        "weights": ["1", "3/2", "3/2"],
        "scales": ["1", "3/4", "3/4"],
        "shifts": ["1/2", "0", "0"],
    }
