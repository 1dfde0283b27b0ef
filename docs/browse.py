"""Open pages of the built site in headless Chromium, at the widths of a desktop and of a phone.

    python docs/browse.py SITE

Exit status 1, with what is wrong, where a page throws an error, asks a network for anything, is wider than the screen,
shows no formulas where it has some, or a search finds nothing. Without playwright or a browser it says so, status 0.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WIDTHS = (1280, 390)
#: Pages opened of every folder; all those at the top are.
SAMPLE = 3
#: How the addresses begin that ask no network.
LOCAL = ("file:", "data:", "blob:")
#: Milliseconds: a busy machine starts a browser in tens of seconds.
PATIENCE = 120_000


def pages(site: Path) -> Iterator[Path]:
    """Yield the pages to be opened: those at the top, the first and last of every folder, and its index."""
    yield from sorted(site.glob("*.html"))
    for folder in sorted(path for path in site.iterdir() if path.is_dir() and not path.name.startswith("_")):
        found = sorted(folder.glob("*.html"))
        yield from {*found[:SAMPLE], *found[-1:], *folder.glob("index.html")}


def faults(context: Any, address: str, width: int, query: str = "") -> list[str]:
    """Return what is wrong with a page."""
    page, found = context.new_page(), []
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: found.append(f"error {error}"))
    page.on("request", lambda request: request.url.startswith(LOCAL) or found.append(f"asks {request.url}"))
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(address + query)
    extent = page.evaluate("document.documentElement.scrollWidth")
    if extent > width:
        found.append(f"is {extent} pixels wide")
    if page.locator(".math").count():
        page.wait_for_selector("mjx-container", state="attached")
    if query:
        page.wait_for_selector("#search-results li a")
    page.close()
    return [f"{address.rpartition('/')[2]} at {width}: {fault}" for fault in found]


def main(arguments: list[str]) -> int:
    """Open the pages and return the exit status."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if importlib.util.find_spec("playwright") is None or browser is None:
        print("docs/browse.py: no playwright or no Chromium, no page was opened")
        return 0
    from playwright.sync_api import sync_playwright

    site, found, opened = Path(arguments[0]).resolve(), [], 0
    with sync_playwright() as running:
        launched = running.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        context = launched.new_context()
        for path in pages(site):
            query = "?q=collapse" if path.name == "search.html" else ""
            for width in WIDTHS:
                found += faults(context, path.as_uri(), width, query)
                opened += 1
        launched.close()
    print("\n".join(found) or f"{opened} pages opened without a fault")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
