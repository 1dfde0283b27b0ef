"""The page: sliders move what is shown, in Python and in a real browser, and the address bar keeps where they stand."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import interruption_trial
import pytest
from browsers import PATIENCE, chromium
from typer.testing import CliRunner

from ufm.cli import app as command_line
from ufm.explorer import app


def run(*arguments: str) -> Any:
    return CliRunner().invoke(command_line, ["explore", *arguments])


def test_json_is_what_the_page_shows_at_the_start():
    found = json.loads(run("--at", "R=13", "--json").stdout)
    assert found["state"]["R"] == 13
    assert found["phase"] == "partial"
    assert len(found["features"]) == 10


def test_a_place_that_is_none_is_wrong_usage():
    result = run("--at", "R=0.5", "--json")
    assert result.exit_code == 2
    assert "R must be between 1 and 10000, got 0.5" in result.stderr


class TestWidgets:
    @pytest.fixture
    def layout(self) -> Any:
        pytest.importorskip("panel")
        return app(R=10.0)

    @staticmethod
    def widget(layout: Any, kind: str, name: str) -> Any:
        import panel as pn

        return next(w for w in layout.select(getattr(pn.widgets, kind)) if w.label.startswith(name))

    @staticmethod
    def words(layout: Any) -> str:
        import panel as pn

        return next(p.object for p in layout.select(pn.pane.Markdown) if "optimum" in p.object and "|" in p.object)

    def test_a_slider_moves_what_is_shown(self, layout):
        assert "| **none** |" in self.words(layout)
        self.widget(layout, "FloatSlider", "R,").value = 2.0  # its logarithm
        assert "| **partial** |" in self.words(layout)

    def test_sliders_that_play_no_role_are_hidden(self, layout):
        assert not self.widget(layout, "FloatSlider", "rho").visible
        self.widget(layout, "Select", "architecture").value = "penalised-deq"
        assert self.widget(layout, "FloatSlider", "rho").visible
        assert not self.widget(layout, "FloatSlider", "E_W").visible

    def test_a_single_minority_class_has_no_threshold(self, layout):
        self.widget(layout, "IntSlider", "K_B").value = 1
        assert "none: a single minority class" in self.words(layout)


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """Address of a served page; Ctrl-C must end the server with its status."""
    pytest.importorskip("panel")
    command = [sys.executable, "-m", "ufm", "explore", "--no-browser", "--at", "R=20"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, **pipes, text=True, preexec_fn=interruption_trial.heard)
    try:
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130, errors
        assert "Traceback" not in errors
    finally:
        process.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as launched:
        yield launched


@pytest.mark.slow
def test_in_a_browser_the_address_follows_the_sliders_and_nothing_is_fetched_elsewhere(served, browser):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.set_default_timeout(PATIENCE)
    asked: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(served)
    page.get_by_text("partial", exact=True).first.wait_for()
    assert page.locator("canvas").count() >= 5
    assert page.evaluate("document.documentElement.scrollWidth") <= 390  # nothing sticks out of a telephone
    page.get_by_label("architecture").select_option("linear-deq")
    page.wait_for_url("**/*architecture=linear-deq*")
    page.get_by_role("slider").nth(2).press("ArrowLeft")  # R
    page.wait_for_url("**/*R=19.*")
    other = browser.new_page()
    other.set_default_timeout(PATIENCE)
    other.goto(page.url)
    other.get_by_text("1290.54").first.wait_for()  # R* of the linear DEQ at rho = 0.5
    assert other.get_by_label("architecture").input_value() == "linear-deq"
    other.goto(served.partition("?")[0] + "?R=0.5")
    other.get_by_text("R must be between 1 and 10000").wait_for()
    host = served.partition("?")[0]
    assert [url for url in asked if not url.startswith((host, "data:", "blob:"))] == []
    assert faults == []
