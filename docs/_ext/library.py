"""Writes the pages that are generated: a page a claim with its indexes, the kept results, the notebooks.

They are made before Sphinx reads its sources: the claims themselves, the verdicts of the last ``make verify`` (in
``out/``), the folders of ``results/`` and ``notebooks/``. None is committed.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
VERIFICATION = ROOT / "out"
STATUSES = ("proved", "certified", "supported", "refuted", "inconclusive", "not run")
MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\|*_`[]$"})


def escaped(text: str) -> str:
    """Return plain text as Markdown that shows it as it is, on one line, its subscripts and powers set."""
    from ufm.report import to_html

    return str(to_html(" ".join(text.split()))).translate(MARKDOWN)


def write(path: Path, text: str) -> None:
    """Write a page where it differs, so that Sphinx builds again only what changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def remove_others(folder: Path, kept: Iterable[Path]) -> None:
    """Remove pages of an earlier build that nothing writes any more."""
    for path in set(folder.glob("*.md")) - set(kept):
        path.unlink()


# The library of theorems --------------------------------------------------------------------------------------------


def verdicts() -> dict[str, dict[str, Any]]:
    """Return the verdicts of the last run by the claims' ids; of claims it left out, those of the committed table."""
    found = kept_verdicts((DOCS / "claims.md").read_text(encoding="utf-8"))
    file = VERIFICATION / "report.json"
    if file.exists():
        report = json.loads(file.read_text(encoding="utf-8"))
        found |= {verdict["claim"]["id"]: verdict for verdict in report["verdicts"]}
    return found


#: What the page of a verdict says that is of the committed table.
KEPT = (
    "As kept in [the table of claims](../claims.md). A run of `ufm verify` before the site is built adds figures, what "
    "the verdict rests on, and certificates to download."
)


def kept_verdicts(table: str) -> dict[str, dict[str, Any]]:
    """Return status and evidence of the claims in the table of ``docs/claims.md``, by their ids.

    >>> kept_verdicts("| **proved** | A title (`some-claim`) | two ways agree |")["some-claim"]["shown"]
    'two ways agree'
    """
    rows = re.findall(r"^\| \*\*(\w+)\*\* \| .*\(`([\w-]+)`\) \| (.*) \|$", table, re.M)
    return {ident: {"status": status, "shown": shown, "details": {}} for status, ident, shown in rows}


def metadata(claim: Any) -> Mapping[str, tuple[str, ...]]:
    """Return what a claim is found by: its topic, and where it says so, paper, losses and architectures."""
    from proofs_check.scope import LOSSES, MODELS, OTHER_LOSSES
    from ufm.claims import PAPERS, TOPICS

    words = {**LOSSES, **OTHER_LOSSES}
    return {
        "topic": (TOPICS.get(claim.topic, claim.group),),
        "paper": tuple(str(PAPERS.get(key, key)) for key in claim.papers),
        "losses": tuple(words[key] for key in claim.losses if key != "none"),
        "architectures": tuple(MODELS[key].text for key in claim.architectures),
        "standing": (claim.standing,),
    }


def claim_page(claim: Any, verdict: Mapping[str, Any] | None) -> str:
    """Return the page of a claim: statement, verdict with its evidence, what it rests on, code that reproduces it."""
    status = verdict["status"] if verdict else "not run"
    lines = [f"# {escaped(claim.title)}", "", f"**{status}** · `{claim.id}` · {escaped(claim.group)}", ""]
    lines += corrected(claim.id)
    lines += ["## Statement", "", escaped(claim.statement), ""]
    if claim.hypotheses:
        lines += ["Hypotheses:", "", *(f"- {escaped(h)}" for h in claim.hypotheses), ""]
    if claim.region:
        lines += [f"Where: {escaped(claim.region)}", ""]
    lines += [f"Source: {escaped(claim.source)}", ""]
    if verdict and "shown" in verdict:
        lines += ["## Evidence", "", verdict["shown"], "", KEPT, ""]
    elif verdict:
        lines += ["## Evidence", "", escaped(verdict["summary"]), ""]
        lines += [*(f"- {escaped(text)}" for text in verdict["established_by"]), ""]
        lines += figures(verdict)
        lines += ["## What it rests on", "", *rests(verdict), ""]
        lines += list(certificates(verdict))
    lines += example(claim.id)
    lines += ["## Check it", "", "```python", "import ufm", ""]
    lines += [f'(verdict,) = ufm.verify(["{claim.id}"])', "print(verdict.status, verdict.evidence.summary)", "```", ""]
    lines += [f"or `ufm verify {claim.id}` in a shell.", ""]
    return "\n".join(lines)


def corrected(ident: str) -> list[str]:
    """Return what is claimed elsewhere and what is true, for a claim that puts a statement of the literature right."""
    from ufm.claims import correction_of

    found = correction_of(ident)
    if found is None:
        return []
    others = ", ".join(f"[`{name}`]({name}.md)" for name in found.claims if name != ident)
    lines = ["## What is claimed", "", escaped(found.claimed), "", "## What is true", "", escaped(found.true), ""]
    lines += [f"With {others}. All of these: [What turned out false](false.md)." if others else ALL, ""]
    return lines


ALL = "All of these: [What turned out false](false.md)."


def turned_out_false(claims: Iterable[Any], found: Mapping[str, Any]) -> str:
    """Return the page of what the literature says and what is true, with what establishes it; then the other claims
    that correct or refute their source."""
    from ufm.claims import CORRECTIONS

    known = {claim.id: claim for claim in claims}
    lines = ["# What turned out false", ""]
    lines += [
        f"{len(CORRECTIONS)} statements of the literature, as we read them, and what is true instead; the page of "
    ]
    lines[-1] += "each claim has its hypotheses, evidence, theorem files and certificates."
    for number, entry in enumerate(CORRECTIONS, 1):
        lines += ["", f"## {number}. {escaped(entry.name)}", "", f"*Claimed:* {escaped(entry.claimed)}", ""]
        lines += [f"*True:* {escaped(entry.true)}", "", "*By:*", ""]
        lines += [f"- [{escaped(known[name].title)}]({name}.md), {backing(found.get(name))}" for name in entry.claims]
    listed = {name for entry in CORRECTIONS for name in entry.claims}
    others = [c for c in known.values() if c.standing in ("corrected", "refuted") and c.id not in listed]
    lines += ["", "## Other statements put right", "", *rows(others, found), ""]
    return "\n".join(lines)


def backing(verdict: Mapping[str, Any] | None) -> str:
    """Return what a claim's verdict is and what anybody can check again, with links."""
    if verdict is None:
        return "not run"
    texts = [f"theorem {theorem_file(p['theorem'])} (Coq {p['coq']})" for p in verdict["details"].get("proofs", ())]
    texts += list(certificates(verdict, "certificates"))[:1]
    return ", ".join([verdict["status"], *texts])


def theorem_file(name: str) -> str:
    """Return a link to the file of a theorem."""
    return f"{{download}}`{name} <../../proofs_check/theorems/{name.replace('-', '_')}.py>`"


def example(ident: str) -> list[str]:
    """Return the lines that show a claim at an instance, with what they print: ``docs/examples``, run by the tests."""
    page = DOCS / "examples" / f"{ident}.md"
    if not page.exists():
        return []
    _, _, text = page.read_text(encoding="utf-8").partition("\n")
    return ["## An instance", "", text.strip(), ""]


def figures(verdict: Mapping[str, Any]) -> list[str]:
    """Return the figures of a verdict, drawn as in the report."""
    if not verdict["figures"]:
        return []
    from ufm.report.figures import draw

    lines = []
    for number, figure in enumerate(verdict["figures"], 1):
        lines += ["```{raw} html", f"<figure>{draw(figure, number)}", "</figure>", "```", ""]
        lines += [escaped(figure["caption"]), ""]
    return lines


def rests(verdict: Mapping[str, Any]) -> list[str]:
    """Return a list of the theorems that a verdict cites, with those that they use, and of what nobody checked."""
    lines = []
    for proof in verdict["details"].get("proofs", ()):
        used = ", ".join(f"`{name}`" for name in proof["uses"])
        steps = f"{proof['steps']} exact steps, in Coq {proof['coq'].removesuffix(' steps')} with those that say 0 = 0"
        lines.append(f"- theorem {theorem_file(proof['theorem'])} ({steps}){f', by {used}' if used else ''}")
    lines += [f"- unchecked: {escaped(text)}" for text in verdict["assumptions"]]
    return lines or ["- nothing but the evidence above"]


#: Links that a page shows at most; the folder of the run holds the others.
MOST_LINKS = 12


def certificates(verdict: Mapping[str, Any], lead: str = "Certificates, for `ufm certify FILE`") -> Iterator[str]:
    """Yield links to the certificates that a check left."""
    files = [name for name in verdict["details"].get("certificates", ()) if (VERIFICATION / name).is_file()]
    if files:
        links = (f"{{download}}`{Path(name).name} <../../out/{name}>`" for name in files[:MOST_LINKS])
        more = f", and {len(files) - MOST_LINKS} more" if len(files) > MOST_LINKS else ""
        yield f"{lead}: {', '.join(links)}{more}."
        yield ""


def index(title: str, groups: Mapping[str, list[Any]], found: Mapping[str, Any]) -> str:
    """Return a page that lists claims under headings, a row each, after the headings with their numbers."""
    lines = [f"# {title}", ""]
    lines.append(" · ".join(f"{escaped(heading)} ({len(claims)})" for heading, claims in groups.items()))
    for heading, claims in groups.items():
        lines += ["", f"## {escaped(heading)}", "", *rows(claims, found)]
    return "\n".join([*lines, ""])


def rows(claims: Iterable[Any], found: Mapping[str, Any]) -> list[str]:
    """Return a table of claims: verdict, title with its page, how it stands to its source."""
    lines = ["| verdict | claim | to its source |", "|---|---|---|"]
    for claim in claims:
        status = found[claim.id]["status"] if claim.id in found else "not run"
        lines.append(f"| **{status}** | [{escaped(claim.title)}]({claim.id}.md) | {claim.standing} |")
    return lines


def by_topic(claims: Iterable[Any]) -> dict[str, list[Any]]:
    """Return the claims under their topics, in the order of the library."""
    groups: dict[str, list[Any]] = {}
    for claim in claims:
        groups.setdefault(metadata(claim)["topic"][0], []).append(claim)
    return groups


def library() -> None:
    """Write the library of theorems."""
    from ufm.claims import all_claims

    claims, found, folder = list(all_claims().values()), verdicts(), DOCS / "library"
    pages = {folder / f"{claim.id}.md": claim_page(claim, found.get(claim.id)) for claim in claims}
    keys = {"by paper": "paper", "by loss": "losses", "by architecture": "architectures"}
    keys["by what they say of their source"] = "standing"
    indexes = {}
    for title, key in keys.items():
        groups: dict[str, list[Any]] = {}
        for claim in claims:
            for value in metadata(claim).get(key, ()):
                groups.setdefault(str(value), []).append(claim)
        if groups:
            indexes[folder / f"{key}.md"] = index(f"Claims {title}", dict(sorted(groups.items())), found)
    status = {
        name: [c for c in claims if (found[c.id]["status"] if c.id in found else "not run") == name]
        for name in STATUSES
    }
    indexes[folder / "verdict.md"] = index("Claims by verdict", {k: v for k, v in status.items() if v}, found)
    indexes[folder / "false.md"] = turned_out_false(claims, found)
    counts = ", ".join(f"{len(v)} {k}" for k, v in status.items() if v)
    ways = ", ".join(f"[{title}]({key}.md)" for title, key in (*keys.items(), ("by verdict", "verdict")))
    listing = "\n".join(path.stem for path in [*indexes, *pages])
    front = (
        f"# Library of theorems\n\n{len(claims)} statements: {counts}. A page each: the precise statement, its "
        "hypotheses and source, the evidence with its figures, what it rests on, certificates to download, and code "
        "that checks it. *Proved*: symbolically, for all parameters. *Certified*: in rigorous arithmetic. *Supported*: "
        f"numerics agree, to a stated resolution. *Refuted*, *inconclusive*: as the words say.\n\nListed "
        f"{ways}. What the literature says otherwise: [What turned out false](false.md).\n\n"
    )
    for topic, members in by_topic(claims).items():
        front += f"## {escaped(topic)}\n\n" + "\n".join(rows(members, found)) + "\n\n"
    front += f"```{{toctree}}\n:hidden:\n:maxdepth: 1\n\n{listing}\n```\n"
    pages |= indexes | {folder / "index.md": front}
    for path, text in pages.items():
        write(path, text)
    remove_others(folder, pages)


# Kept results and notebooks -----------------------------------------------------------------------------------------


def result_page(folder: Path) -> str:
    """Return the page of a kept result: what it shows, how it was made, its tables and figures."""
    provenance = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    machine = provenance["machine"]
    lines = [f"# {folder.name}", "", escaped(provenance["what"]), ""]
    lines += [
        f"`{provenance['command']}`, {provenance['date']}, commit `{str(provenance['commit'])[:12]}`, "
        f"on {escaped(machine['device'])}.",
        "",
    ]
    if provenance["notes"]:
        lines += [escaped(provenance["notes"]), ""]
    for figure in sorted([*folder.glob("*.svg"), *folder.glob("*.png")]):
        lines += [f"![{figure.stem}](../../results/{folder.name}/{figure.name})", ""]
    for table in sorted(folder.glob("*.md")):
        lines += [re.sub(r"^#+", "##", table.read_text(encoding="utf-8"), flags=re.M), ""]
    return "\n".join(lines)


def shown(folder: Path) -> str:
    """Return the entry of a kept result in the gallery: its name, what it shows and its first figure, if any."""
    what = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))["what"]
    lines = [f"## [{folder.name}]({folder.name}.md)", "", escaped(what), ""]
    for figure in sorted([*folder.glob("*.svg"), *folder.glob("*.png")])[:1]:
        lines += [f"```{{image}} ../../results/{folder.name}/{figure.name}", f":alt: {figure.stem}"]
        lines += [":width: 420px", f":target: {folder.name}.html", "```", ""]
    return "\n".join(lines)


def results() -> None:
    """Write a page for every kept result, and their index."""
    folders = sorted(path.parent for path in (ROOT / "results").glob("*/provenance.json"))
    pages = {DOCS / "results" / f"{folder.name}.md": result_page(folder) for folder in folders}
    listing = "\n".join(path.stem for path in pages)
    pages[DOCS / "results" / "index.md"] = (
        "# Kept results\n\nEach is written by a script of its own, `results/NAME/run.py`, and states the commit, "
        "machine, versions and seeds.\n\n"
        + "\n".join(map(shown, folders))
        + f"\n```{{toctree}}\n:hidden:\n:maxdepth: 1\n\n{listing}\n```\n"
    )
    for path, text in pages.items():
        write(path, text)
    remove_others(DOCS / "results", pages)


def notebooks() -> None:
    """Copy the notebooks with their outputs."""
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        target = DOCS / "notebooks" / notebook.name
        target.parent.mkdir(exist_ok=True)
        if not target.exists() or target.read_bytes() != notebook.read_bytes():
            shutil.copyfile(notebook, target)


def generate(*_: Any) -> None:
    """Write every generated page."""
    library()
    results()
    notebooks()


def to_the_site(app: Any, docname: str, source: list[str]) -> None:
    """Turn links into the repository, which a reader of the sources follows, into links to the generated pages."""
    source[0] = re.sub(r"\]\((\.\./)+results/README\.md\)", "](/results/index.md)", source[0])
    source[0] = re.sub(r"\]\((?:\.\./)+results/([\w-]+)/[\w-]+\.(?:md|json|py)\)", r"](/results/\1.md)", source[0])


def setup(app: Any) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("builder-inited", generate)
    app.connect("source-read", to_the_site)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
