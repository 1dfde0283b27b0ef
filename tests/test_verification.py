"""Running checks: order, crashes, interruption, and no false claim among those as claimed."""

from __future__ import annotations

import json
import math
import shutil
import signal
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import pytest
from claim_samples import CRASHING, GOOD, INTERRUPTED, LAST, REFUTED, claim, found

import ufm
import ufm.report
from ufm import claims as claims_package
from ufm._verdicts import checked
from ufm.claims import Context, Enclosure, Evidence, Status, judge_equal, judge_order
from ufm.verification import Verification, prepare_directory


@pytest.fixture
def registry(monkeypatch):
    known = {c.id: c for c in (*GOOD, claim("long", found("supported"), effort="full"))}
    monkeypatch.setattr(claims_package, "_collect", lambda: known)
    return known


class TestSelection:
    def test_all_in_order(self, registry):
        assert [v.claim.id for v in ufm.verify()] == ["good-proved", "good-certified", "good-supported"]
        assert [v.claim.id for v in ufm.verify(effort="full")][-1] == "long"

    def test_named_ones_in_the_order_given_and_once(self, registry):
        wanted = ["long", "good-proved", "long"]
        assert [v.claim.id for v in ufm.verify(wanted)] == ["long", "good-proved"]
        assert [v.claim.id for v in ufm.verify("good-proved")] == ["good-proved"]

    def test_unknown_claims_are_refused_at_the_call_with_a_suggestion(self, registry):
        with pytest.raises(ValueError, match=r"'good-prooved'.*'good-proved'"):
            ufm.verify(["good-prooved"])
        with pytest.raises(ValueError, match="ufm claims"):
            ufm.verify(["zzz"])

    @pytest.mark.parametrize("ids", [[], (), [[]], [3], 3])
    def test_nothing_to_verify_is_no_success(self, registry, ids):
        with pytest.raises((ValueError, TypeError), match="ids"):
            ufm.verify(ids)

    def test_an_empty_registry_is_no_success(self, monkeypatch):
        monkeypatch.setattr(claims_package, "_collect", dict)
        with pytest.raises(ValueError, match="nothing to verify"):
            ufm.verify()

    def test_two_claims_of_one_id(self):
        with pytest.raises(ValueError, match="'x'"):
            ufm.verify([claim("x", found("proved")), claim("x", found("proved"))])

    @pytest.mark.parametrize(
        ("options", "name"), [({"effort": "huge"}, "effort"), ({"seed": -1}, "seed"), ({"seed": 1.5}, "seed")]
    )
    def test_bad_options(self, registry, options, name):
        with pytest.raises(ValueError, match=name):
            ufm.verify(**options)


class TestRunning:
    def test_checks_run_lazily_and_share_the_context(self):
        calls = []

        def check(context: Context) -> Evidence:
            calls.append(context.once("sweep", lambda: len(calls)))
            return found("supported")(context)

        run = ufm.verify([claim("a", check), claim("b", check)], seed=3, effort="full")
        assert calls == []
        assert next(run).claim.id == "a"
        assert calls == [0]
        list(run)
        assert calls == [0, 0]
        assert (run.context.seed, run.context.full) == (3, True)

    @pytest.mark.parametrize("raised", [RuntimeError("x"), MemoryError(), RecursionError("deep"), SystemExit(0)])
    def test_whatever_a_check_raises_is_inconclusive_and_the_rest_goes_on(self, raised):
        def check(context: Context) -> Evidence:
            raise raised

        run = ufm.verify([claim("bad", check), LAST])
        bad, last = list(run)
        assert bad.status is Status.inconclusive
        assert type(raised).__name__ in bad.error
        assert last.status is Status.proved
        assert not run.all_as_claimed

    @pytest.mark.parametrize("returned", [None, True, "proved", Status.proved])
    def test_a_check_must_return_evidence(self, returned):
        (verdict,) = ufm.verify([claim("bad", lambda context: returned)])
        assert verdict.status is Status.inconclusive
        assert "must return Evidence" in verdict.error

    def test_nan_in_evidence_is_inconclusive(self):
        (verdict,) = ufm.verify([claim("nan", found("proved", details={"x": math.nan}))])
        assert verdict.status is Status.inconclusive

    def test_counts(self):
        run = ufm.verify([*GOOD, REFUTED, CRASHING])
        list(run)
        assert {s.value: n for s, n in run.counts.items()} == dict.fromkeys(Status.__members__, 1)
        assert not run.all_as_claimed

    def test_unfinished_is_not_as_claimed(self):
        run = ufm.verify(GOOD)
        next(run)
        assert not run.all_as_claimed
        list(run)
        assert run.all_as_claimed


class TestInterruption:
    def test_finished_verdicts_and_pieces_of_work_are_kept(self, tmp_path):
        run = ufm.verify([GOOD[0], INTERRUPTED, LAST], out=tmp_path)
        next(run)
        with pytest.raises(KeyboardInterrupt):
            next(run)
        assert [v.status for v in run.verdicts] == [Status.proved, Status.inconclusive]
        assert run.verdicts[1].evidence.details["finished"]["points"][1] == {"n_B": 14, "s_B": 0.5}
        assert "2 finished pieces" in run.verdicts[1].evidence.summary
        assert list(run) == []
        report = json.loads((tmp_path / "report.json").read_text())
        assert report["partial"]
        assert not report["all_as_claimed"]
        assert [c["id"] for c in report["not_run"]] == ["last"]
        assert "Partial report" in (tmp_path / "report.html").read_text()

    def test_an_interrupt_in_the_last_check_is_partial_too(self):
        run = ufm.verify([GOOD[0], INTERRUPTED])
        next(run)
        with pytest.raises(KeyboardInterrupt):
            next(run)
        assert run.interrupted
        assert not run.all_as_claimed

    def test_pieces_belong_to_their_own_claim(self):
        def check(context: Context) -> Evidence:
            context.record("points", 1)
            return found("supported")(context)

        run = ufm.verify([claim("a", check), claim("b", lambda context: 1 / 0)])
        assert list(run)[1].evidence.details == {}

    @pytest.mark.usefixtures("ctrl_c")
    def test_an_interrupt_while_the_report_is_written_waits_for_it(self, tmp_path, monkeypatch):
        real = ufm.report.write_report

        def write(run, out):
            signal.raise_signal(signal.SIGINT)
            real(run, out)

        monkeypatch.setattr(ufm.report, "write_report", write)
        with pytest.raises(KeyboardInterrupt):
            list(ufm.verify(GOOD, out=tmp_path))
        report = json.loads((tmp_path / "report.json").read_text())
        assert len(report["verdicts"]) == len(GOOD)
        assert not report["partial"]

    def test_stop_between_checks(self, tmp_path):
        run = ufm.verify(GOOD, out=tmp_path)
        next(run)
        run.stop()
        run.stop()
        assert json.loads((tmp_path / "report.json").read_text())["partial"]

    def test_stop_after_the_end_changes_nothing(self, tmp_path):
        run = ufm.verify(GOOD, out=tmp_path)
        list(run)
        run.stop()
        assert not run.interrupted
        assert not json.loads((tmp_path / "report.json").read_text())["partial"]


class TestShown:
    def test_a_run_shows_itself(self):
        run = ufm.verify([*GOOD, REFUTED])
        assert repr(run) == "<Verification: 0 of 4 claims checked>"
        assert "<code>list(...)</code>" in run._repr_html_()
        next(run)
        assert "list(...)" not in run._repr_html_()
        assert repr(run) == "<Verification: 1 of 4 claims checked, 1 proved>"
        list(run)
        shown = run._repr_html_()
        assert shown.count("<tr>") == 5
        for claim_ in (*GOOD, REFUTED):
            assert f"<code>{claim_.id}</code>" in shown

    def test_what_a_check_says_is_escaped(self):
        run = ufm.verify(claim("a", lambda context: Evidence("inconclusive", "<script>x</script>")))
        list(run)
        assert "<script>" not in run._repr_html_()

    def test_the_writer_is_passed_in(self, tmp_path):
        written = []
        run = Verification(GOOD, Context(out=tmp_path), write=lambda *args: written.append(args))
        list(run)
        assert written == [(run, tmp_path)]


class TestOut:
    def test_a_directory_that_cannot_be_written_is_refused_before_any_work(self, tmp_path):
        file = tmp_path / "file"
        file.write_text("")
        ran = []
        for out in (file, file / "below", "/proc/nowhere"):
            with pytest.raises(ValueError, match="out must be a directory"):
                ufm.verify([claim("a", lambda context: ran.append(1))], out=out)
        assert ran == []
        assert file.read_text() == ""

    def test_a_missing_directory_is_made(self, tmp_path):
        assert prepare_directory(tmp_path / "a" / "b").is_dir()
        assert list((tmp_path / "a" / "b").iterdir()) == []

    def test_checks_get_the_directory(self, tmp_path):
        seen = []
        list(ufm.verify([claim("a", lambda context: seen.append(context.out))], out=tmp_path))
        assert seen == [tmp_path]


def _true_value() -> Enclosure:
    return Enclosure(math.log(2) - 1e-12, math.log(2) + 1e-12)


RIGOROUS = Enclosure(0.6931471805, 0.6931471806, rigorous=True)

#: Checks of false statements about log 2, written as honest checks are: the judgement must not be fooled.
FALSE = {
    "wrong-number": lambda: judge_equal(0.6932, _true_value(), tolerance=1e-9),
    "wrong-number-rigorous": lambda: judge_equal(0.6932, RIGOROUS, tolerance=1e-9),
    "wrong-sign": lambda: judge_equal(-math.log(2), RIGOROUS, tolerance=1e-9),
    "wrong-order": lambda: judge_order(RIGOROUS, Enclosure(0.69, 0.691, rigorous=True), strict=True),
    "wrong-order-float": lambda: judge_order(_true_value(), Enclosure.around(0.69, 1e-6), strict=False),
    "strict-for-equal": lambda: judge_order(_true_value(), _true_value(), strict=True),
    "no-error-bound": lambda: judge_equal(0.7, Enclosure.around(0.7, math.inf), tolerance=1e-9),
    "nan-for-value": lambda: judge_equal(math.nan, _true_value(), tolerance=1e9),
    "tolerance-below-error": lambda: judge_equal(0.6931, Enclosure(0.69, 0.70), tolerance=1e-5),
}


@pytest.mark.parametrize("name", FALSE)
def test_false_claims_are_never_as_claimed(name):
    def check(context: Context) -> Evidence:
        return Evidence(FALSE[name](), "a false statement", established_by=("a test",))

    run: Verification = ufm.verify([claim(name, check)])
    (verdict,) = run
    assert verdict.status in (Status.refuted, Status.inconclusive)
    assert not run.all_as_claimed


def test_the_true_statement_passes_the_same_way():
    assert judge_equal(math.log(2), _true_value(), tolerance=1e-9) is Status.supported
    assert judge_equal(math.log(2), RIGOROUS, tolerance=1e-9) is Status.certified


#: Quick claims of three headings.
FEW = ["deq-is-rescaled-lpm", "mse-closed-form", "uncapped-deq-minimiser", "deep-collapse-stable"]


def told(run):
    return [(v.claim.id, v.status, v.evidence.summary, v.evidence.details, v.error) for v in run]


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A run in this process, with its directory."""
    out = tmp_path_factory.mktemp("here")
    return told(ufm.verify(FEW, out=out)), out


class TestElsewhere:
    def test_two_processes_find_what_one_finds(self, here, tmp_path):
        run = ufm.verify(FEW, out=tmp_path, workers=2)
        assert told(run) == here[0]
        assert run.all_as_claimed
        assert sorted(p.stem for p in (tmp_path / "verdicts").iterdir()) == sorted(FEW)
        assert json.loads((tmp_path / "report.json").read_text())["counts"]["proved"] == 4

    def test_any_executor_and_no_directory(self, here):
        with ThreadPoolExecutor(2) as executor:
            assert [row[:3] for row in told(ufm.verify(FEW[1:3], executor=executor))] == [
                row[:3] for row in here[0][1:3]
            ]

    def test_a_claim_of_ones_own_beside_them(self, here):
        own = claim("mine", found("supported"))
        with ThreadPoolExecutor(1) as executor:
            statuses = [v.status for v in ufm.verify([own, FEW[1]], executor=executor)]
        assert statuses == [Status.supported, Status.proved]

    def test_a_worker_that_does_not_know_a_claim_leaves_it_to_its_parent(self, registry, monkeypatch):
        with ThreadPoolExecutor(1) as executor:
            run = ufm.verify(executor=executor)
            monkeypatch.setattr("ufm._verdicts.all_claims", lambda: {c.id: c for c in GOOD[:2]})
            assert [v.status for v in run] == [Status.proved, Status.certified, Status.supported]

    def test_a_worker_that_dies_is_no_verdict(self, here, tmp_path):
        class Dying(Executor):
            def submit(self, *args, **kwargs):
                future = Future()
                future.set_exception(RuntimeError("out of memory"))
                return future

        verdicts = list(ufm.verify(FEW[1:3], executor=Dying()))
        assert [v.status for v in verdicts] == [Status.inconclusive] * 2
        assert "out of memory" in str(verdicts[0].evidence)

        # nor are the verdicts of an earlier run in the same directory
        out = shutil.copytree(here[1], tmp_path / "out")
        assert [v.status for v in ufm.verify(FEW[1:3], out=out, executor=Dying())] == [Status.inconclusive] * 2

    @pytest.mark.parametrize(
        ("options", "name"),
        [
            ({"workers": 0}, "workers"),
            ({"executor": 3}, "executor"),
            ({"resume": 1}, "resume"),
            ({"resume": True}, "resume"),
        ],
    )
    def test_bad_options(self, options, name):
        with pytest.raises((TypeError, ValueError), match=name):
            ufm.verify(FEW[:1], **options)


class TestResumed:
    @pytest.fixture
    def out(self, here, tmp_path):
        shutil.copytree(here[1], tmp_path / "out")
        return tmp_path / "out"

    @pytest.fixture
    def asked(self, monkeypatch):
        """Ids of the claims whose checks run."""
        names = []

        def counted(claim, context):
            names.append(claim.id)
            return checked(claim, context)

        monkeypatch.setattr("ufm.verification.checked", counted)
        return names

    def test_nothing_is_checked_twice(self, here, out, asked):
        assert told(ufm.verify(FEW, out=out, resume=True)) == here[0]
        assert asked == []

    def test_only_when_asked_to(self, out, asked):
        list(ufm.verify(FEW[1:2], out=out))
        assert asked == FEW[1:2]

    def test_what_is_missing_or_damaged_is_checked_anew(self, here, out, asked):
        (out / "verdicts" / f"{FEW[1]}.json").unlink()
        damaged = out / "verdicts" / f"{FEW[2]}.json"
        damaged.write_text(damaged.read_text().replace('"proved"', '"certified"'))
        assert told(ufm.verify(FEW, out=out, resume=True)) == here[0]
        assert asked == FEW[1:3]

    @pytest.mark.parametrize("change", ["seed", "code"])
    def test_of_another_seed_or_code_nothing_is_taken(self, out, asked, monkeypatch, change):
        if change == "code":
            monkeypatch.setattr("ufm.verification.run_key", lambda *_: "other code")
        list(ufm.verify(FEW[1:2], out=out, resume=True, seed=int(change == "seed")))
        assert asked == FEW[1:2]

    def test_a_certificate_that_is_gone_is_made_again(self, tmp_path, asked):
        name = "within-class-collapse-slack"
        list(ufm.verify(name, out=tmp_path))
        for file in (tmp_path / "certificates").iterdir():
            file.unlink()
        (again,) = ufm.verify(name, out=tmp_path, resume=True)
        assert again.status is Status.certified
        assert asked == [name, name]
        assert list((tmp_path / "certificates").iterdir())

    def test_an_interrupted_run_keeps_what_others_had_found(self, here, tmp_path, monkeypatch):
        """The verdicts whose turn had not come are in the report too, with a directory or without."""

        class Half(Executor):
            def submit(self, function, names, *args):
                future = Future()
                if FEW[0] not in names:
                    future.set_result(function(names, *args))
                return future

        def interrupted(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr("ufm.verification.wait", interrupted)
        for out in (tmp_path, None):
            run = ufm.verify(FEW, out=out, executor=Half())
            with pytest.raises(KeyboardInterrupt):
                list(run)
            assert run.interrupted
            found_by_others = [v.claim.id for v in run.verdicts if v.status is Status.proved]
            assert len(found_by_others) >= 2
            assert run.verdicts[0].error == "KeyboardInterrupt"
        report = json.loads((tmp_path / "report.json").read_text())
        assert report["partial"]
        monkeypatch.undo()
        assert told(ufm.verify(FEW, out=tmp_path, resume=True)) == here[0]
