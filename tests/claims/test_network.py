"""The claims of the trained network: one sweep trains it for all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from claim_samples import NETWORK
from deq_samples import SMALL
from effort import count

import ufm
from ufm.claims import Context, Status
from ufm.deq import SweepConfig


@pytest.mark.slow
def test_claims_of_the_trained_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a minority on either side of every threshold; a full run trains all that a quick verification does.

    The small network's thresholds are at n_B = 8 (explicit), 1.4 (DEQ) and 5.6 (started at A = 0).
    """
    sweep = count(SweepConfig((4, 12), (1, 3), (3,), training=SMALL), SweepConfig.quick())
    monkeypatch.setattr(SweepConfig, "quick", lambda **_: sweep)
    verdicts = list(ufm.verify(NETWORK))
    assert [v.status for v in verdicts] == [Status.supported] * len(NETWORK), [str(v.evidence) for v in verdicts]
    points = [p for v in verdicts for p in v.evidence.details.get("points", [])]
    assert {p["branch"] for p in points} == {"explicit", "identity", "zero"}
    measured = ("scale", "minority_cosine", "etf_error", "nc1", "self_duality_error", "trace_quotient")
    assert all(p[name] is not None for p in points for name in measured if p["phase"] == "none")
    optimal = [p for p in points if p["branch"] != "zero" and p["predicted_phase"] == "none"]
    assert len(optimal) >= 2
    assert all(p["status"] == "agrees" and abs(p["scale_error"]) < 1e-3 for p in optimal)


def test_points_of_an_earlier_run_are_no_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A complete sweep that lies in the output directory is trained anew, an interrupted one goes on."""
    import ufm.deq
    from ufm.claims.network import digits_sweep

    config = ufm.deq.SweepConfig.quick(seed=0)
    stored = ufm.deq.Sweep.load(Path(__file__).parents[2] / "results" / "digits-sweep" / "sweep.jsonl").points[0]
    path = tmp_path / "digits-sweep-quick-seed0.jsonl"
    calls: list[bool] = []
    monkeypatch.setattr(ufm.deq, "run_sweep", lambda config, *, path, **_: calls.append(path.exists()))
    for points, resumed in ((3, True), (len(config.trainings()), False)):
        ufm.deq.Sweep(config, (stored,) * points).save(path)
        digits_sweep(Context(out=tmp_path))
        assert calls.pop() is resumed
