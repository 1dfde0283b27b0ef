"""The report: schema, self-containedness, escaping, figures, and the table for the README."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import jsonschema
import pytest
from browsers import PATIENCE, chromium
from claim_samples import CRASHING, EVIL, FIGURED, FIGURES, GOOD, INTERRUPTED, LAST, REFUTED, claim, found
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.claims import Figure
from ufm.claims._figures import gram_figure, order_parameter_figure
from ufm.report import build_report, claims_table_markdown, load_report, render_html, schema
from ufm.report._formula import to_html, to_mathtext
from ufm.report._html import number
from ufm.report.figures import KINDS, draw
from ufm.report.readme import BEGIN, END, main, replace_table

SAMPLES = (*GOOD, REFUTED, CRASHING, EVIL, FIGURED)


def report_of(*claims, **options):
    run = ufm.verify(claims, **options)
    with contextlib.suppress(KeyboardInterrupt):
        list(run)
    return build_report(run)


@pytest.fixture(scope="module")
def report():
    return report_of(*SAMPLES, command="ufm verify --out report")


@pytest.fixture(scope="module")
def page(report):
    return render_html(report)


class Page(HTMLParser):
    """Tags with their attributes, ids, links and visible text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def attributes(self, name):
        return [a[name] for _, a in self.tags if name in a]


class TestJson:
    def test_follows_its_schema(self, report):
        jsonschema.Draft202012Validator.check_schema(schema())
        jsonschema.validate(report, schema())

    def test_partial_report_follows_it_too(self):
        partial = report_of(GOOD[0], INTERRUPTED, LAST)
        jsonschema.validate(partial, schema())
        assert partial["partial"]
        assert not partial["all_as_claimed"]
        assert [c["id"] for c in partial["not_run"]] == ["last"]

    def test_is_strict_json(self):
        odd = report_of(claim("odd", found("supported", details={"R": math.inf, "row": [-math.inf, 1.0]})))
        text = json.dumps(odd, allow_nan=False)
        assert json.loads(text) == odd
        assert odd["verdicts"][0]["details"] == {"R": "Infinity", "row": ["-Infinity", 1.0]}

    @pytest.mark.parametrize("status", ["refuted", "inconclusive"])
    def test_the_schema_refuses_a_failed_claim_that_says_as_claimed(self, report, status):
        forged = copy.deepcopy(report)
        forged["verdicts"][0]["status"] = status
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(forged, schema())

    @pytest.mark.parametrize(
        "path", [("partial",), ("counts", "proved"), ("provenance", "seed"), ("verdicts", 0, "error")]
    )
    def test_the_schema_requires_every_field(self, report, path):
        broken = copy.deepcopy(report)
        inner = broken
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema())

    def test_every_field_of_the_schema_is_filled(self, report):
        definitions = schema()["$defs"]
        assert set(report) == set(schema()["properties"])
        assert set(report["verdicts"][0]) == set(definitions["verdict"]["properties"])
        assert set(report["verdicts"][0]["claim"]) == set(definitions["claim"]["properties"])

    def test_counts_add_up(self, report):
        assert sum(report["counts"].values()) == len(SAMPLES)
        assert report["counts"]["supported"] == 3

    def test_load_refuses_what_is_no_report(self, tmp_path):
        file = tmp_path / "report.json"
        for text in ("[1]", "{}", "nonsense", '{"schema_version": 99}'):
            file.write_text(text)
            with pytest.raises(ValueError, match=r"report\.json"):
                load_report(file)


BY_PAPER = [
    claim(
        f"of-{paper}-{status}",
        found(status),
        papers=(paper,),
        group=f"Heading of {paper}",
        standing="refuted" if status == "certified" else "new",
    )
    for paper in ("dang2024", "fang2021")
    for status in ("proved", "certified", "supported")
]


@pytest.fixture(scope="module")
def narrowed():
    return render_html(report_of(*BY_PAPER))


class TestManyClaims:
    def test_contents_lead_to_every_heading(self, narrowed):
        for i, paper in enumerate(("dang2024", "fang2021"), 1):
            assert f'<a href="#group-{i}">Heading of {paper}</a> <span class="tally">3</span>' in narrowed

    def test_choices_name_what_there_is(self, narrowed):
        for words in ("Dang et al. 2024 (3)", "Fang, He, Long, Su 2021 (3)", "proved (2)", "Heading of fang2021 (3)"):
            assert f">{words}</option>" in narrowed

    def test_one_claim_has_nothing_to_choose(self):
        assert "<form" not in render_html(report_of(GOOD[0]))

    @pytest.mark.slow
    def test_in_a_browser_choices_leave_what_was_chosen(self, narrowed, tmp_path):
        file = tmp_path / "report.html"
        file.write_text(narrowed, encoding="utf-8")
        with chromium() as browser:
            page = browser.new_page(viewport={"width": 390, "height": 800}, java_script_enabled=False)
            page.set_default_timeout(PATIENCE)
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            page.goto(file.as_uri())

            def shown(selector: str) -> list[str]:
                return [x.get_attribute("id") or "" for x in page.locator(selector).all() if x.is_visible()]

            assert len(shown("article")) == 6
            verdict, heading, paper, standing = page.locator("select").all()
            paper.select_option(label="Dang et al. 2024 (3)")
            assert shown("article") == [f"of-dang2024-{s}" for s in ("proved", "certified", "supported")]
            assert len(shown("tr.claim")) == 3
            assert len(shown("section.group")) == 1
            verdict.select_option(label="certified (2)")
            assert shown("article") == ["of-dang2024-certified"]
            standing.select_option(label="new (4)")
            assert shown("article") == []
            page.get_by_role("button", name="show all").click()
            assert len(shown("article")) == 6
            heading.select_option(label="Heading of fang2021 (3)")
            assert len(shown("article")) == 3
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            assert asked == [file.as_uri()]


class TestPage:
    def test_is_deterministic(self, report, page):
        assert render_html(copy.deepcopy(report)) == page

    def test_needs_nothing_but_itself(self, page):
        parsed = Page(page)
        tags = {tag for tag, _ in parsed.tags}
        assert not tags & {"script", "link", "img", "iframe", "object", "embed", "base", "input"}
        assert not any("action" in attributes for tag, attributes in parsed.tags if tag == "form")
        assert {attributes.get("type") for tag, attributes in parsed.tags if tag == "button"} <= {"reset"}
        links = [*parsed.attributes("href"), *parsed.attributes("xlink:href"), *parsed.attributes("src")]
        assert links
        assert all(link.startswith("#") for link in links)
        assert not re.search(r"@import|url\((?!#)|@font-face", page)
        named = set(re.findall(r"https?://[^\"'<> ]+", page))
        assert named <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}

    def test_ids_are_unique_and_links_lead_somewhere(self, page):
        parsed = Page(page)
        ids = parsed.attributes("id")
        assert len(ids) == len(set(ids))
        for reference in (*parsed.attributes("href"), *parsed.attributes("xlink:href")):
            assert reference[1:] in ids
        for reference in re.findall(r"url\(#([^)]+)\)", page):
            assert reference in ids

    def test_evidence_is_escaped(self, page):
        assert "<script>" not in page
        assert "<em>Evil" not in page
        assert "<b>" not in page
        assert "&lt;script&gt;alert(&#39;s<sub>B</sub>&#39;)&lt;/script&gt; &amp; |A|<sub>2</sub> &lt; 1" in page
        assert "a &lt; b &amp; c" in page

    def test_says_how_each_claim_came_out(self, page):
        parsed = Page(page)
        text = " ".join(parsed.text.split())
        assert "5 of 7 claims came out as claimed" in text
        for status in ("proved", "certified", "supported", "refuted", "inconclusive"):
            assert f'class="badge {status}"' in page
        assert "RuntimeError: solver diverged" in text
        assert "a test" in text
        assert "Partial report" not in text
        assert "ufm verify --out report" in text

    def test_partial_page_says_so(self):
        text = " ".join(Page(render_html(report_of(GOOD[0], INTERRUPTED, LAST))).text.split())
        assert "Partial report" in text
        assert "1 of 3 claims came out as claimed" in text
        assert "not run" in text

    def test_figures_have_accessible_names(self, page):
        parsed = Page(page)
        drawings = [a for tag, a in parsed.tags if tag == "svg"]
        assert [a["aria-label"] for a in drawings] == [f.title for f in FIGURES]
        assert all(a["role"] == "img" for a in drawings)

    def test_a_figure_that_cannot_be_drawn_does_not_take_the_report_along(self):
        broken = (Figure("no-such-kind", "Broken", "Caption.", {}), Figure("matrices", "Empty", "Caption.", {}))
        page = render_html(report_of(claim("broken", found("supported", figures=broken))))
        assert page.count("This figure could not be drawn") == 2

    def test_long_tables_are_cut_with_a_word(self):
        rows = [{"n": i} for i in range(45)]
        page = render_html(
            report_of(claim("long", found("supported", details={"rows": rows, "list": list(range(20))})))
        )
        assert "5 more rows in report.json" in page
        assert "8 more in report.json" in page

    def test_records_become_tables(self):
        details = {
            "by_K": {"K_A = 3": {"slope": 0.5}, "K_A = 5": {"slope": math.inf}},
            "rows": [{"name": "x", "n": None}],
        }
        page = " ".join(render_html(report_of(claim("c", found("supported", details=details)))).split())
        assert '<td class="words">K<sub>A</sub> = 5</td><td>∞</td>' in page
        assert '<th scope="col" class="words">name</th><th scope="col">n</th>' in page
        assert '<td class="words">x</td><td>–</td>' in page

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (3, "3"),
            (-4.6e-07, "−4.6·10⁻⁷"),
            (0.5, "0.5"),
            (-1.5, "−1.5"),
            (1.5e-13, "1.5·10⁻¹³"),
            (245.49693059826199, "245.4969306"),
        ],
    )
    def test_numbers(self, value, text):
        assert number(value) == text


class TestFormulas:
    @pytest.mark.parametrize(
        ("text", "html", "mathtext"),
        [
            ("s_B, K_A = 3", "s<sub>B</sub>, K<sub>A</sub> = 3", "$s_{B}$, $K_{A}$ = 3"),
            ("|Z|_* ≤ R*_DEQ", "|Z|<sub>*</sub> ≤ R*<sub>DEQ</sub>", "|Z|$_{*}$ ≤ R*$_{DEQ}$"),
            ("|A|_F² <", "|A|<sub>F</sub>² &lt;", "|A|$_{F}$² <"),
            ("N²λ_Wλ_H", "N²λ<sub>W</sub>λ<sub>H</sub>", "N²$λ_{W}$$λ_{H}$"),
            ("solve_reduced a_b_c", "solve_reduced a_b_c", "solve_reduced a_b_c"),
            (r"$x_1$ y_1", "$x<sub>1</sub>$ y<sub>1</sub>", "$x_1$ y_1"),
        ],
    )
    def test_subscripts(self, text, html, mathtext):
        assert to_html(text) == html
        assert to_mathtext(text) == mathtext

    @pytest.mark.parametrize(
        ("text", "html"),
        [
            ("(1-ρ)^2 e^{-s_A}", "(1-ρ)<sup>2</sup> e<sup>-s<sub>A</sub></sup>"),
            ("∫_0^∞ t dt", "∫<sub>0</sub><sup>∞</sup> t dt"),
            (
                "R_total², Σ_{j ≠ k} z_j, min_k 1_S",
                "R<sub>total</sub>², Σ<sub>j ≠ k</sub> z<sub>j</sub>, min<sub>k</sub> 1<sub>S</sub>",
            ),
            ("1/(e^α + K − 1)", "1/(e<sup>α</sup> + K − 1)"),
            ("gap 1.2e-13, 3e5", "gap 1.2·10<sup>−13</sup>, 3·10<sup>5</sup>"),
            ("commit 1a2e13 and v1.2e3", "commit 1a2e13 and v1.2e3"),
        ],
    )
    def test_superscripts_and_powers_of_ten(self, text, html):
        assert to_html(text) == html

    @settings(derandomize=True, deadline=None, max_examples=examples(150))
    @given(st.text("ab<>&\"'_^{}|*$e-1", max_size=20))
    def test_nothing_escapes_escaping(self, text):
        tags = set(re.findall(r"<[^>]*>", to_html(text)))
        assert tags <= {"<sub>", "</sub>", "<sup>", "</sup>"}


class TestFigures:
    @pytest.mark.parametrize("figure", FIGURES, ids=lambda f: f.kind)
    def test_drawings_are_well_formed_and_repeatable(self, figure):
        entry = {"kind": figure.kind, "title": figure.title, "caption": figure.caption, "data": figure.data}
        svg = draw(entry, 1)
        root = ElementTree.fromstring(svg)
        names = [child.text for child in root if child.tag.endswith(("title", "desc"))]
        assert names == [figure.title, figure.caption]
        assert draw(entry, 1) == svg
        assert draw(entry, 2) != svg

    def test_every_kind_has_a_sample(self):
        assert {f.kind for f in FIGURES} == set(KINDS)

    def test_the_numbers_are_what_is_drawn(self):
        entry = {"kind": "order-parameter", "title": "t", "caption": "c", "data": copy.deepcopy(FIGURES[2].data)}
        before = draw(entry, 1)
        entry["data"]["series"][0]["points"]["y"] = [0.2]
        assert draw(entry, 1) != before

    def test_gram_figure_states_the_largest_difference(self):
        figure = gram_figure("Gram", [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.25], [0.0, 1.0]], [1, 1])
        assert "0.25" in figure.caption
        with pytest.raises(ValueError, match="one shape"):
            gram_figure("Gram", [[1.0]], [[1.0, 0.0]], [1])

    def test_order_parameter_figure(self):
        series = [{"label": "DEQ", "line": {"x": [1, 2], "y": [0, 1]}, "points": None}]
        figure = order_parameter_figure("s", "c", series, {"threshold": 1.5})
        assert "<svg" in draw({"kind": figure.kind, "title": "t", "caption": "c", "data": figure.data}, 1)


class TestMarkdown:
    def test_table(self, report):
        lines = claims_table_markdown(report).splitlines()
        groups = [line for line in lines if line.startswith("## ")]
        table = [line for line in lines if line.startswith("|")]
        assert len(groups) == len({verdict["claim"]["group"] for verdict in report["verdicts"]})
        assert len(table) == 2 * len(groups) + len(SAMPLES)
        assert all(len(re.findall(r"(?<!\\)\|", line)) == 4 for line in table)
        assert lines[0].startswith(f"{len(SAMPLES)} claims: ")
        assert "**refuted**" in claims_table_markdown(report)
        assert "<script>" not in claims_table_markdown(report)

    def test_readme_is_rewritten_between_its_markers(self, report, tmp_path):
        readme, file = tmp_path / "README.md", tmp_path / "report.json"
        readme.write_text(f"before\n{BEGIN}\nold table\n{END}\nafter\n")
        file.write_text(json.dumps(report))
        assert main([str(file), str(readme)]) == 0
        once = readme.read_text()
        assert "old table" not in once
        assert once.startswith("before\n")
        assert once.endswith("after\n")
        assert claims_table_markdown(report) in once
        assert main([str(file), str(readme)]) == 0
        assert readme.read_text() == once

    def test_a_partial_report_does_not_reach_the_readme(self, tmp_path, capsys):
        readme, file = tmp_path / "README.md", tmp_path / "report.json"
        readme.write_text(f"{BEGIN}\nold\n{END}\n")
        file.write_text(json.dumps(report_of(GOOD[0], INTERRUPTED)))
        assert main([str(file), str(readme)]) == 2
        assert "partial" in capsys.readouterr().err
        assert "old" in readme.read_text()

    @pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
    def test_markers_must_be_there(self, text):
        with pytest.raises(ValueError, match="claims:begin"):
            replace_table(text, "table")
