"""The command line: exit status, machine output, messages instead of tracebacks, interruption."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import claim_samples
import numpy as np
import pytest
from claim_samples import CRASHING, GOOD, INTERRUPTED, LAST, REFUTED
from deq_samples import write_fashion
from json_schemas import check_file, check_output
from typer.testing import CliRunner

import ufm
from ufm import architectures
from ufm import claims as claims_package
from ufm.certificates import CertificationError
from ufm.claims import all_claims
from ufm.cli import ARCHITECTURES, app
from ufm.cli.architectures import ARCHITECTURE_OPTIONS
from ufm.measures import measure_regression

LPM = ["--E-W", "1", "--E-H", "5"]
TWO_GROUPS = ["--majority", "5", "--minority", "5"]


def name_of(arguments):
    """Command whose schema the output of these arguments has."""
    words = arguments[:2] if arguments[0] == "deq" else arguments[:1]
    return " ".join((*words, "--run") if "--run" in arguments else words)


def ufm_cli(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if "--json" in arguments and result.exit_code < 2:
        check_output(name_of(arguments), result.stdout)
    return result


@pytest.fixture
def registry(monkeypatch):
    def use(*claims):
        monkeypatch.setattr(claims_package, "_collect", lambda: {c.id: c for c in claims})

    return use


class TestVerify:
    def test_all_as_claimed(self, registry, tmp_path):
        registry(*GOOD)
        result = ufm_cli("verify", "--out", tmp_path / "r")
        assert result.exit_code == 0
        for word in ("proved", "certified", "supported", "good-proved", "3 of 3 claims came out as claimed"):
            assert word in result.stdout
        assert (tmp_path / "r" / "report.html").is_file()
        check_file("report", tmp_path / "r" / "report.json")

    @pytest.mark.parametrize("bad", [REFUTED, CRASHING])
    def test_a_claim_that_came_out_otherwise(self, registry, tmp_path, bad):
        registry(*GOOD, bad)
        result = ufm_cli("verify", "--out", tmp_path)
        assert result.exit_code == 1
        assert "3 of 4 claims came out as claimed" in result.stdout
        assert (tmp_path / "report.html").is_file()

    def test_named_claims(self, registry, tmp_path):
        registry(*GOOD, REFUTED)
        assert ufm_cli("verify", "good-proved", "--out", tmp_path).exit_code == 0
        assert ufm_cli("verify", "refuted", "--out", tmp_path).exit_code == 1

    def test_interrupted_in_a_check(self, registry, tmp_path):
        registry(GOOD[0], INTERRUPTED, LAST)
        result = ufm_cli("verify", "--out", tmp_path)
        assert result.exit_code == 130
        assert "partial" in result.stdout
        report = json.loads((tmp_path / "report.json").read_text())
        assert report["partial"]
        assert [v["status"] for v in report["verdicts"]] == ["proved", "inconclusive"]

    def test_json_is_the_report_and_nothing_else(self, registry, tmp_path):
        registry(*GOOD, REFUTED)
        result = ufm_cli("verify", "--json", "--seed", "3", "--out", tmp_path)
        assert result.exit_code == 1
        printed = json.loads(result.stdout)
        assert printed == json.loads((tmp_path / "report.json").read_text())
        assert printed["provenance"]["seed"] == 3

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["good-prooved"], "did you mean 'good-proved'"),
            (["--effort", "huge"], "effort"),
            (["--seed", "-1"], "seed"),
            (["--out", "/proc/nowhere"], "out must be a directory that can be written"),
            (["--no-such-option"], "No such option"),
        ],
    )
    def test_wrong_usage(self, registry, tmp_path, monkeypatch, arguments, message):
        monkeypatch.chdir(tmp_path)
        registry(*GOOD)
        result = ufm_cli("verify", *arguments)
        assert result.exit_code == 2
        assert message in result.stderr
        assert "Traceback" not in result.output
        assert list(tmp_path.iterdir()) == []

    def test_a_real_ctrl_c_keeps_what_was_found(self, tmp_path):
        """SIGINT to a process in the middle of a check that works in steps."""
        program = textwrap.dedent("""
            import signal, sys, time
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may have it ignored
            sys.path.insert(0, sys.argv.pop(1))
            from claim_samples import GOOD, LAST, claim
            from ufm import claims, cli

            def slow(context):
                for i in range(600):
                    context.record("points", {"i": i})
                    if i == 2:
                        print("READY", file=sys.stderr, flush=True)
                    time.sleep(0.1)

            claims._collect = lambda: {c.id: c for c in (GOOD[0], claim("slow", slow), LAST)}
            cli.main()
        """)
        command = [
            sys.executable,
            "-c",
            program,
            str(Path(claim_samples.__file__).parent),
            "verify",
            "--out",
            str(tmp_path),
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert any("READY" in line for line in process.stderr)
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 130
        assert "Traceback" not in stderr
        assert "1 not run" in stdout
        report = json.loads((tmp_path / "report.json").read_text())
        assert report["partial"]
        assert [v["claim"]["id"] for v in report["verdicts"]] == ["good-proved", "slow"]
        assert len(report["verdicts"][1]["details"]["finished"]["points"]) >= 3
        assert (tmp_path / "report.html").is_file()


class TestClaims:
    def test_list(self, registry):
        registry(*GOOD)
        result = ufm_cli("claims")
        assert result.exit_code == 0
        assert all(c.id in result.stdout for c in GOOD)
        listed = json.loads(ufm_cli("claims", "--json").stdout)
        assert [c["id"] for c in listed] == [c.id for c in GOOD]
        assert listed[0]["statement"] == GOOD[0].statement

    @pytest.mark.parametrize("width", [60, 80, 200])
    def test_a_line_a_claim(self, monkeypatch, width):
        monkeypatch.setenv("COLUMNS", str(width))
        known = all_claims()
        lines = ufm_cli("claims").stdout.splitlines()
        assert [line.split()[0] for line in lines] == list(known)
        longest = max(map(len, known)) + 9 + 12
        assert max(map(len, lines)) <= max(width, longest)

    @pytest.mark.parametrize("width", [20, 40])
    def test_two_short_lines_a_claim_on_a_narrow_screen(self, monkeypatch, width):
        monkeypatch.setenv("COLUMNS", str(width))
        lines = ufm_cli("claims").stdout.splitlines()
        assert max(map(len, lines)) <= width
        assert [line.rstrip("…") for line in lines[::2]] == [
            name[: width - (len(name) > width)] for name in all_claims()
        ]
        assert all(line.startswith("  ") for line in lines[1::2])

    def test_named_claims_are_shown_in_full(self, monkeypatch):
        monkeypatch.setenv("COLUMNS", "500")
        shown = ufm_cli("claims", "lpm-balanced-etf", "fang-thresholds").stdout
        known = all_claims()
        assert shown.index(known["lpm-balanced-etf"].statement) < shown.index(known["fang-thresholds"].statement)
        assert known["deq-balanced-etf"].title not in shown
        assert [c["id"] for c in json.loads(ufm_cli("claims", "fang-thresholds", "--json").stdout)] == [
            "fang-thresholds"
        ]

    def test_unknown_claims_and_reports_are_named(self):
        result = ufm_cli("claims", "fang-treshold")
        assert result.exit_code == 2
        assert "unknown claim 'fang-treshold'; did you mean 'fang-thresholds'" in result.output
        result = ufm_cli("claims", "--report", "nowhere.json")
        assert result.exit_code == 2
        assert "--report plays no role without --verdict, got 'nowhere.json'" in result.output
        result = ufm_cli("claims", "--report", "nowhere.json", "--verdict", "proved")
        assert result.exit_code == 2
        assert "--report must be a report.json that exists, got 'nowhere.json'" in result.output

    def test_a_terminal_without_greek_is_served(self):
        environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
        for more in ((), ("--json",)):
            command = [sys.executable, "-m", "ufm", "claims", "lpm-balanced-etf", *more]
            done = subprocess.run(command, capture_output=True, env=environment, check=True)
            text = done.stdout.decode("ascii")
            assert "Balanced layer-peeled" in text
        assert json.loads(text)[0]["statement"] == all_claims()["lpm-balanced-etf"].statement

    def test_verbose_has_the_statements(self, registry, monkeypatch):
        monkeypatch.setenv("COLUMNS", "500")
        registry(*GOOD)
        shown = ufm_cli("claims", "--verbose").stdout
        assert all(c.statement in shown and c.source in shown for c in GOOD)


OWN = """
import ufm
from ufm.claims import Evidence

def made(id, status):
    @ufm.claim(id=id, title="Sum", statement="2 + 2 = 4.", source="Euclid")
    def check(context):
        return Evidence(status, "found", established_by=("arithmetic",))
    return check

first = made("mine-good", "certified")
MORE = [made("mine-bad", "refuted")]
"""


class TestClaimsOfOnesOwn:
    @pytest.fixture
    def file(self, tmp_path):
        path = tmp_path / "own_claims_of_a_test.py"
        path.write_text(OWN)
        return path

    def test_listed_and_verified(self, file, tmp_path, monkeypatch):
        assert [c["id"] for c in json.loads(ufm_cli("claims", "--claims", file, "--json").stdout)] == [
            "mine-good",
            "mine-bad",
        ]
        out = ["--out", tmp_path / "r"]
        assert ufm_cli("verify", "--claims", file, *out).exit_code == 1
        result = ufm_cli("verify", "mine-good", "lpm-balanced-etf", "--claims", file, *out, "--json")
        assert result.exit_code == 0, result.output
        assert [v["claim"]["id"] for v in json.loads(result.stdout)["verdicts"]] == ["mine-good", "lpm-balanced-etf"]
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))
        assert ufm_cli("verify", "mine-good", "--claims", file.stem, *out).exit_code == 0

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("missing.py", None, "--claims must name a .py file that exists"),
            ("no_such_module", None, "--claims must name a .py file or a module"),
            ("empty.py", "", "with none"),
            ("twice.py", OWN + "again = made('mine-good', 'certified')", "'mine-good' twice"),
        ],
    )
    def test_wrong_usage(self, tmp_path, name, text, message):
        path = tmp_path / name
        if text is not None:
            path.write_text(text)
        for command in ("claims", "verify"):
            result = ufm_cli(command, "--claims", path if name.endswith(".py") else name)
            assert result.exit_code == 2
            assert message in result.stderr


class TestSolve:
    def test_layer_peeled(self):
        result = ufm_cli("solve", *LPM, *TWO_GROUPS, "--ratio", "13", "--json")
        assert result.exit_code == 0
        found = json.loads(result.stdout)
        assert found["lower"] <= found["value"] <= found["upper"]
        assert found["geometry"]["phase"] == "partial"
        assert np.shape(found["logits"]) == (10, 10)
        assert found["is_global"] is True
        assert "phase" in ufm_cli("solve", *LPM, *TWO_GROUPS, "--ratio", "13").stdout

    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("layer-peeled", LPM),
            ("linear-deq", [*LPM, "--rho", "0.5"]),
            ("deep-linear", ["--budgets", "2,3"]),
            ("unconstrained-features", ["--lambda-W", "0.01", "--lambda-H", "0.01"]),
            ("penalised-deq", ["--lambda-W", "0.01", "--lambda-H", "0.01", "--rho", "0.5"]),
        ],
    )
    def test_every_architecture(self, name, options):
        result = ufm_cli("solve", "-a", name, *options, "--counts", "4,4,2,2", "--json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["architecture"].startswith(ARCHITECTURES[name][0])

    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("linear-deq", [*LPM, "--rho", "0.5", "--E-A", "0.4"]),
            ("deep-linear", ["--budgets", "2,3,4"]),
            ("penalised-deq", ["--lambda-W", "0.01", "--lambda-H", "0.01", "--rho", "0.5", "--lambda-A", "0.3"]),
        ],
    )
    def test_problems_that_are_not_convex_list_their_local_minima(self, name, options):
        result = ufm_cli("solve", "-a", name, *options, "--counts", "4,2,1", "--starts", "6", "--json")
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert (found["method"], found["is_global"]) == ("search", None)
        best = found["local_minima"][0]
        assert best["value"] == found["value"]
        assert best["structure"] == found["geometry"]["structure"]
        assert sum(m["share"] for m in found["local_minima"]) == pytest.approx(1)
        shown = ufm_cli("solve", "-a", name, *options, "--counts", "4,2,1", "--starts", "6").stdout
        assert f"{len(found['local_minima'])} local minima from 6 starts" in shown

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([*LPM, "--counts", "3,3", "--starts", "5"], "--starts plays no role for --method auto"),
            ([*LPM, "--E-A", "0.4", "--counts", "3,3"], "--E-A plays no role"),
            (["-a", "linear-deq", *LPM, "--rho", "0.5", "--E-A", "-1", "--counts", "3,3"], "E_A must be >= 0"),
            (
                ["-a", "linear-deq", *LPM, "--rho", "0.5", "--E-A", "0.3", "--counts", "3,2,1", "--method", "sdp"],
                "convex",
            ),
            ([*LPM, *TWO_GROUPS], "--ratio"),
            ([*LPM, "--ratio", "3"], "--majority"),
            ([*LPM, "--counts", "3,x"], "--counts must be numbers"),
            ([*LPM, "--counts", "3,nan"], "counts[1] must be finite"),
            ([*LPM, "--counts", "3,0"], "counts[1] must be > 0"),
            ([*LPM, "--counts", "3"], "at least 2 classes"),
            ([*LPM, "--counts", "3,3", "--ratio", "2"], "--counts must stand alone"),
            (["--E-W", "1", "--counts", "3,3"], "--E-H must be given"),
            (["--E-W", "-1", "--E-H", "1", "--counts", "3,3"], "E_W must be > 0"),
            ([*LPM, "--rho", "0.5", "--counts", "3,3"], "--rho plays no role"),
            (["-a", "linear-deq", *LPM, "--rho", "1", "--counts", "3,3"], "rho must lie in [0, 1)"),
            (["-a", "nonsense", "--counts", "3,3"], "'layer-peeled'"),
            ([*LPM, "--counts", "3,3", "--loss", "hinge"], "ufm solve FILE takes the others"),
            (["--lambda-W", "1", "--lambda-H", "1", "--counts", "3,3"], "suit --architecture unconstrained-features"),
            ([*LPM, "--counts", "3,3", "--method", "magic"], "method"),
            ([*LPM, "--counts", "3,3", "--seed", "-1"], "seed"),
            (["-a", "deep-linear", "--budgets", "1,2,x", "--counts", "3,3"], "--budgets must be numbers"),
        ],
    )
    def test_wrong_values(self, arguments, message):
        result = ufm_cli("solve", *arguments)
        assert result.exit_code == 2
        assert message in result.stderr
        assert "Traceback" not in result.output


class TestThresholdAndPhase:
    def test_fang(self):
        found = json.loads(ufm_cli("threshold", *LPM, *TWO_GROUPS, "--json").stdout)
        assert found["ratio"] == pytest.approx(12.192447080325935, rel=1e-10)
        assert "12.192447080" in ufm_cli("threshold", *LPM, *TWO_GROUPS).stdout

    def test_no_finite_threshold(self):
        found = json.loads(ufm_cli("threshold", *LPM, *TWO_GROUPS, "--loss", "mse", "--json").stdout)
        assert found["ratio"] == "Infinity"

    def test_any_loss_and_bias(self):
        small = ["--E-W", "0.6", "--E-H", "0.6", "--majority", "2", "--minority", "2", "--loss", "bce", "--bias", "0.3"]
        found = json.loads(ufm_cli("threshold", *small, "--json").stdout)
        expected = ufm.collapse_threshold(ufm.LayerPeeled(0.6, 0.6), 2, 2, loss="bce", bias=0.3).ratio
        assert found["ratio"] == pytest.approx(expected, rel=1e-12)
        result = ufm_cli("threshold", *small[:-1], "-1")
        assert result.exit_code == 2
        assert "bias" in result.stderr

    def test_one_minority_class(self):
        result = ufm_cli("threshold", *LPM, "--majority", "5", "--minority", "1")
        assert result.exit_code == 2
        assert "single minority class" in result.stderr

    def test_phase_changes_at_the_threshold(self):
        result = ufm_cli("phase", *LPM, *TWO_GROUPS, "--ratios", "1,12.19,12.2", "--json")
        points = json.loads(result.stdout)["points"]
        assert [p["phase"] for p in points] == ["none", "none", "partial"]
        assert points[0]["s_B"] > points[1]["s_B"] > points[2]["s_B"] == 0
        assert "partial" in ufm_cli("phase", *LPM, *TWO_GROUPS, "--ratios", "13").stdout

    def test_ratios_must_be_numbers(self):
        result = ufm_cli("phase", *LPM, *TWO_GROUPS, "--ratios", "1;2")
        assert result.exit_code == 2
        assert "--ratios" in result.stderr


class TestMeasure:
    @pytest.fixture
    def file(self, tmp_path):
        features = np.repeat(np.eye(3) - 1 / 3, 4, axis=0)
        path = tmp_path / "features.npz"
        np.savez(path, features=features, labels=np.repeat(np.arange(3), 4), classifier=np.eye(3) - 1 / 3)
        return path

    def test_an_etf(self, file):
        result = ufm_cli("measure", file, "--json")
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert found["etf_error"] == pytest.approx(0, abs=1e-12)
        assert found["nc1"] == pytest.approx(0, abs=1e-12)
        shown = ufm_cli("measure", file).stdout
        assert "in the ETF" in shown
        assert re.search(r"coherence +0\.5 +0\.5 +-", shown)
        assert re.search(r"etf error +\S+ +\S+ +0\s", shown)

    def test_references(self, tmp_path, file):
        found = json.loads(ufm_cli("measure", file, "--json", "--references").stdout)
        assert found["references"]["coherence"]["etf"] == pytest.approx(0.5)
        targets, tags = tmp_path / "targets.npz", tmp_path / "tags.npz"
        np.savez(targets, features=np.eye(4), targets=np.diag([1.0, 2.0, 4.0, 8.0]), classifier=np.eye(4))
        marks = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]])
        np.savez(tags, features=marks * 1.0, labels=marks, classifier=np.eye(3))
        for path, name in ((targets, "nrc3"), (tags, "tag_scales")):
            found = check_output("measure", ufm_cli("measure", path, "--json", "--references").stdout)
            assert name in found["references"]
            shown = ufm_cli("measure", path).stdout
            assert "at collapse" in shown
            assert re.search(rf"{name.replace('_', ' ')} +\S+ +(0|-|0\.\d+) ", shown), shown

    def test_targets_and_several_labels(self, tmp_path):
        path = tmp_path / "targets.npz"
        np.savez(path, features=np.eye(4), targets=np.array([1.0, 2.0, 4.0, 8.0]), classifier=np.ones((1, 4)))
        found = json.loads(ufm_cli("measure", path, "--json").stdout)
        assert found == measure_regression(np.eye(4), [1.0, 2.0, 4.0, 8.0], classifier=np.ones((1, 4))).to_dict()
        tags = np.array([[1, 0], [0, 1], [1, 1]])
        np.savez(path, features=np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]), labels=tags)
        found = json.loads(ufm_cli("measure", path, "--json").stdout)
        assert found["label_sets"] == [[0], [1], [0, 1]]
        assert "singles: nc1" in ufm_cli("measure", path).stdout
        np.savez(path, features=np.eye(2), labels=np.arange(2), targets=np.arange(2.0))
        assert "holds both labels and targets" in ufm_cli("measure", path).output.replace("\n", " ")

    def test_wrong_files(self, tmp_path, file):
        text, single, lacking, pickled, unequal = (tmp_path / n for n in ("t.npz", "s.npz", "l.npz", "p.npz", "u.npz"))
        text.write_text("no archive")
        with open(single, "wb") as stream:
            np.save(stream, np.eye(2))
        np.savez(lacking, features=np.eye(3))
        np.savez(pickled, features=np.array([{}], dtype=object), labels=np.zeros(1, int))
        np.savez(unequal, features=np.eye(3), labels=np.arange(2))
        truncated = tmp_path / "x.npz"
        truncated.write_bytes(file.read_bytes()[:200])
        for path in (tmp_path / "missing.npz", tmp_path, text, single, lacking, pickled, unequal, truncated):
            result = ufm_cli("measure", path)
            assert result.exit_code == 2, path
            assert result.stderr.startswith("ufm: ")
            assert "Traceback" not in result.output
        assert "it is no archive of arrays" in ufm_cli("measure", text).output.replace("\n", " ")


SMALL = ["--majority", "2", "--minority", "2", "--majority-count", "6", "--rho", "0.3"]
SMALL += ["--lambda-W", "0.07", "--lambda-H", "0.07"]


class TestDeq:
    """On 18 images, so that a training takes a second; the network itself is tested elsewhere."""

    def test_train_and_measure_the_saved_network(self, tmp_path):
        file = tmp_path / "new" / "network.npz"
        arguments = ["deq", "train", "-a", "explicit", *SMALL, "--minority-count", "3", "--save", file, "--json"]
        result = ufm_cli(*arguments)
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert found["config"]["num_majority"] == 2
        assert found["measured"]["group_scales"] == pytest.approx(found["predicted"]["group_scales"], rel=1e-2)
        measured = json.loads(ufm_cli("measure", file, "--json").stdout)
        assert measured["group_scales"] == pytest.approx(found["measured"]["group_scales"], rel=1e-6)

    def test_a_training_cut_short_is_no_success(self):
        result = ufm_cli("deq", "train", *SMALL, "--minority-count", "3", "--max-iterations", "2", "--json")
        assert result.exit_code == 1
        found = json.loads(result.stdout)
        assert found["spectral_norm"] <= 0.3 + 1e-12
        assert not found["fit"]["converged"]

    def test_the_prediction_beside_a_nonlinear_network_is_named(self):
        result = ufm_cli("deq", "train", *SMALL, "--minority-count", "3", "--gamma", "1")
        assert result.exit_code == 0, result.output
        assert "predicted, linear theory" in " ".join(result.stdout.split())
        linear = ufm_cli("deq", "train", *SMALL, "--minority-count", "3")
        assert "linear theory" not in linear.stdout
        for line in ("Gram error, class means", "Gram error, classifier", "from own budgets: Gram error, classifier"):
            assert line in linear.stdout

    def test_a_sweep_of_nonlinear_networks_is_measured_and_not_judged(self):
        arguments = ["deq", "sweep", *SMALL, "--gamma", "1", "--identity", "3"]
        result = ufm_cli(*arguments)
        assert result.exit_code == 0, result.output
        assert "nonlinear: measured, not judged" in result.stdout
        assert "s_B predicted" not in " ".join(result.stdout.split())
        cut = ufm_cli(*arguments, "--max-iterations", "2")
        assert cut.exit_code == 1
        assert "not converged: 1 of 1 points" in cut.stdout

    def test_a_measured_threshold_says_what_its_error_is_of(self):
        result = ufm_cli("deq", "sweep", *SMALL, "--explicit", "2,3,4,5")
        assert "unknown with one); no collapsed training, uncollapsed from 2 on" in " ".join(result.stdout.split())

    @pytest.mark.filterwarnings("ignore::ufm.data.DatasetWarning")
    @pytest.mark.parametrize(
        "command", [("train", "--minority-count", "2"), ("sweep", "--explicit", "2"), ("hysteresis", "--leg", "2")]
    )
    def test_root_is_the_folder_of_the_files(self, tmp_path, monkeypatch, command):
        monkeypatch.delenv("UFM_DATA", raising=False)
        arguments = ["deq", *command, *SMALL, "--dataset", "fashion-mnist", "--root"]
        missing = ufm_cli(*arguments, tmp_path / "nowhere")
        assert missing.exit_code == 2
        assert str(tmp_path / "nowhere") in missing.stderr
        write_fashion(tmp_path)
        result = ufm_cli(*arguments, tmp_path, "--json")
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        config = found.get("config", found)
        assert config.get("training", config)["dataset"] == "fashion-mnist"

    def test_sweep_keeps_its_points_and_goes_on(self, tmp_path):
        out, figure = tmp_path / "sweep.jsonl", tmp_path / "sweep.svg"
        arguments = ["deq", "sweep", *SMALL, "--explicit", "2,3", "--out", out]
        result = ufm_cli(*arguments, "--figure", figure, "--json")
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert [p["minority_count"] for p in found["points"]] == [2, 3]
        assert not found["partial"]
        assert "<svg" in figure.read_text()
        kept = out.read_text()
        again = ufm_cli(*arguments)
        assert again.exit_code == 0
        assert "agrees" in again.stdout
        assert out.read_text() == kept

    def test_interrupted_sweep_prints_what_is_finished(self, tmp_path, monkeypatch):
        import ufm.trainings.sweep as module

        trained, real = [], module.train

        def train(config, **options):
            if trained:
                raise KeyboardInterrupt
            trained.append(config)
            return real(config, **options)

        monkeypatch.setattr(module, "train", train)
        result = ufm_cli("deq", "sweep", *SMALL, "--explicit", "2,3", "--out", tmp_path / "sweep.jsonl")
        assert result.exit_code == 130
        assert "interrupted after 1 of 2 points" in result.stdout
        assert len((tmp_path / "sweep.jsonl").read_text().splitlines()) == 2

    def test_hysteresis_keeps_its_points_and_goes_on(self, tmp_path, monkeypatch):
        import ufm.trainings.hysteresis as module

        out, figure, real, trained = tmp_path / "loop.json", tmp_path / "loop.svg", module.train, []

        def train(config, **options):
            trained.append(config.minority_count)
            if trained == [3, 2]:
                raise KeyboardInterrupt
            return real(config, **options)

        monkeypatch.setattr(module, "train", train)
        arguments = ["deq", "hysteresis", *SMALL, "--leg", "3,2", "--leg", "3", "--start", "zero", "--out", out]
        result = ufm_cli(*arguments)
        assert result.exit_code == 130, result.output
        assert "interrupted after 1 of 3 points" in result.stdout
        result = ufm_cli(*arguments, "--figure", figure, "--json")
        assert result.exit_code == 0, result.output
        assert trained == [3, 2, 2, 3]
        found = json.loads(result.stdout)
        assert [(p["leg"], p["minority_count"]) for p in found["points"]] == [(0, 3), (0, 2), (1, 3)]
        assert not found["partial"]
        assert found["training"]["start"] == "zero"
        assert found["training"]["width"] == 64
        assert "<svg" in figure.read_text()
        again = ufm_cli(*arguments)
        assert again.exit_code == 0
        assert len(trained) == 4
        assert "its branch" in again.stdout

    def test_a_loop_cut_short_is_no_success(self):
        assert ufm_cli("deq", "hysteresis", *SMALL, "--leg", "3", "--max-iterations", "2").exit_code == 1

    def test_a_point_that_disagrees_is_no_success(self):
        result = ufm_cli("deq", "sweep", *SMALL, "--identity", "3", "--max-iterations", "2")
        assert result.exit_code == 1

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["train", "--rho", "1"], "rho must lie in [0, 1)"),
            (["train", "--minority-count", "0"], "minority_count"),
            (["train", "-a", "resnet"], "architecture"),
            (["train", "--save", "/proc/nowhere/x.npz"], "--save's folder must be"),
            (["sweep", "--explicit", "8.5"], "explicit[0] must be an integer"),
            (["sweep", "--explicit", "x"], "--explicit must be numbers"),
            (["sweep", "--effort", "huge"], "effort"),
            (["hysteresis", "--leg", "x"], "--leg must be numbers"),
            (["hysteresis", "--leg", "3,0"], "legs[0][1] must be an integer >= 1"),
            (["hysteresis", "--leg", "3", "--leg", "2.5"], "legs[1][0] must be an integer"),
            (["hysteresis", "--leg", "inf"], "minority_count"),
            (["hysteresis", "--leg", "3", "--figure", "x.gif"], "figure must"),
            (["sweep", "--zero", "4", "--seeds", "-1"], "seeds[0]"),
        ],
    )
    def test_wrong_values(self, arguments, message):
        result = ufm_cli("deq", *arguments)
        assert result.exit_code == 2
        assert message in result.stderr
        assert "Traceback" not in result.output


class TestCertify:
    def test_rejected_and_missing(self, tmp_path):
        file = tmp_path / "c.json"
        file.write_text("{}")
        result = ufm_cli("certify", file)
        assert result.exit_code == 1
        assert "REJECTED" in result.stdout
        assert json.loads(ufm_cli("certify", file, "--json").stdout)[0]["accepted"] is False
        missing = ufm_cli("certify", tmp_path / "missing.json")
        assert missing.exit_code == 2
        assert "missing.json" in missing.stderr


class TestHelp:
    def commands(self):
        import typer.main

        def walk(command, path):
            subcommands = getattr(command, "commands", None)
            if subcommands is None:
                yield path
            else:
                for name, inner in subcommands.items():
                    yield from walk(inner, [*path, name])

        return list(walk(typer.main.get_command(app), []))

    def test_every_command_has_help_with_an_example_and_json(self):
        commands = self.commands()
        assert ["verify"] in commands
        for path in commands:
            result = ufm_cli(*path, "--help")
            assert result.exit_code == 0
            assert f"Example: ufm {' '.join(path)}" in " ".join(result.stdout.split())
            assert "--json" in result.stdout

    def test_examples_parse(self):
        """Options named in an example exist: the example runs, or fails for its file alone."""
        for path in self.commands():
            shown = " ".join(ufm_cli(*path, "--help").stdout.split())
            example = shown.split("Example: ufm ")[1].split()
            if path in (["verify"], ["explore"], ["deq", "train"], ["deq", "sweep"], ["deq", "hysteresis"]):
                continue  # too long to run here, or served until it is ended
            result = ufm_cli(*example)
            assert "No such option" not in result.output
            assert result.exit_code in (0, 2)


def test_python_m_ufm_and_a_light_start():
    """The help of the command line loads none of the heavy packages."""
    program = (
        "import sys, ufm.cli; heavy = {'torch', 'cvxpy', 'matplotlib', 'sympy', 'flint', 'scipy', 'jinja2'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    start = time.perf_counter()
    result = subprocess.run([sys.executable, "-m", "ufm", "--help"], capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert "verify" in result.stdout
    assert time.perf_counter() - start < 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("solve", "--E-W", "one", "--E-H", 1), "must be a number, got 'one'"),
        (("threshold", "--majority", "2.5", "--minority", 3), "must be an integer, got '2.5'"),
    ],
)
def test_a_value_that_is_no_number_is_named(arguments, message):
    result = ufm_cli(*arguments)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize("group", [(), ("deq",)])
def test_help_of_groups_has_an_example(group):
    assert "Example: ufm" in ufm_cli(*group, "--help").output


def test_version():
    result = ufm_cli("--version")
    assert result.exit_code == 0
    assert result.stdout.strip() == f"ufm {ufm.__version__}"


def test_shells_can_complete():
    asked = {"_UFM_COMPLETE": "complete_bash", "COMP_WORDS": "ufm thr", "COMP_CWORD": "1"}
    command = [sys.executable, "-m", "ufm"]
    done = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["threshold"], done.stderr
    assert "--install-completion" in ufm_cli("--help").stdout


@pytest.mark.parametrize("command", ["solve", "threshold", "phase", "verify", "claims", "measure", "certify"])
def test_an_unknown_option_is_named(command):
    result = ufm_cli(command, "--tol", "x")
    assert result.exit_code == 2
    assert "--tol" in result.stderr
    assert "Traceback" not in result.output


def test_every_parameter_of_an_architecture_is_an_option():
    for name, cls in architectures.ARCHITECTURES.items():
        word = architectures.command_word(cls)
        assert ARCHITECTURES[word][0] == name
        fields = {f.name for f in dataclasses.fields(cls)}
        assert {*ARCHITECTURES[word][1], *ARCHITECTURES[word][2]} == fields <= ARCHITECTURE_OPTIONS.keys()
        assert all(ARCHITECTURE_OPTIONS[f][2] for f in fields)


def test_a_computation_that_is_given_up_ends_in_its_message(monkeypatch):
    def give_up(*args, **options):
        raise CertificationError("no certificate at this precision")

    monkeypatch.setattr(ufm, "solve", give_up)
    result = ufm_cli("solve", *LPM, "--counts", "3,3")
    assert result.exit_code == 1
    assert result.stderr == "ufm: no certificate at this precision\n"
