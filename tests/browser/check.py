#!/usr/bin/env python3
"""Opens the HTML report in headless Chromium and checks what only a browser can tell.

usage: check.py HEADROOM [PICTURES]     the program, and a folder that keeps the screenshots

Needs chromium and Python 3, nothing else; ends with 1 and says so loudly if either is missing.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from chrome import Chrome  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EVIL = "<script>window.hacked=1</script><img src=x onerror=window.hacked=2>"
SIZE_MAX = 400_000
passed, failed = [], []


def check(name, holds, said=""):
    (passed if holds else failed).append(name)
    print(f"{'ok  ' if holds else 'FAIL'} {name}{'' if holds else f': {said}'}")


def reports(program, folder):
    """The built-in scenario's report, and one whose names try to be markup."""
    made = subprocess.run([program, "run", "--format", "json", "--quiet"], capture_output=True, check=True).stdout
    result = json.loads(made)
    ledger = {"cases": [{"id": EVIL, "kind": "theory", "within": True, "metrics": [
        {"name": EVIL, "predicted": 1.25, "observed": 1.2, "range": [1.1, 1.3], "tolerance": 0.1, "within": True}]}],
        "summary": {"metrics": 1, "metrics_within": 1, "cases": 1, "cases_within": 1}}
    evil = json.loads(made)
    evil["scenario"]["name"] = evil["scenario"]["about"] = EVIL
    for design in evil["designs"]:
        design["name"] = EVIL + design["name"]
        for row in design["failures"] + design["limits"]:
            row["node"] = EVIL
        for row in design["nodes"] + design["series"]["gauges"]:
            row["name" if "kind" in row else "node"] = EVIL
    for row in evil["thresholds"] + evil["differences"]:
        row["design"] = EVIL
    for row in evil["assumptions"]:
        row["why"] = row["path"] = EVIL
    paths = {}
    for name, value in (("report", result), ("evil", evil), ("ledger", ledger)):
        paths[name] = os.path.join(folder, f"{name}.json")
        with open(paths[name], "w") as file:
            json.dump(value, file)
    pages = {}
    for name in ("report", "evil"):
        pages[name] = os.path.join(folder, f"{name}.html")
        more = ["--verify", paths["ledger"]] if name == "evil" else []
        subprocess.run([program, "report", paths[name], "--out", pages[name], *more], check=True)
    return result, pages


def troubles(browser):
    """Console errors, exceptions, refused scripts."""
    found = []
    for event in browser.events:
        method, params = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            found.append(params["exceptionDetails"].get("exception", {}).get("description", "exception"))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            found.append(str(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            found.append(params["entry"]["text"])
    return found


def requests(browser):
    """Everything asked for that is not the page itself."""
    urls = [e["params"]["request"]["url"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
    return [url for url in urls if not (url.startswith("file://") and url.endswith(".html")) and url != "about:blank"]


def looks(browser, url, pictures):
    """Light, dark, narrow and printed."""
    for name, width, dark in (("light", 1280, False), ("dark", 1280, True), ("narrow", 400, False)):
        browser.open(url, width, 900, dark)
        if pictures:
            browser.picture(os.path.join(pictures, f"{name}.png"))
        wide = browser.value("document.documentElement.scrollWidth")
        check(f"{name}: no sideways scrolling of the page", wide <= width, f"{wide} px wide in {width}")
        side = browser.value("(frame => [frame.scrollWidth, frame.clientWidth])(document.querySelector('table.side').parentElement)")
        check(f"{name}: the designs' table fits", width < 1280 or side[0] <= side[1], f"{side[0]} px wide in {side[1]}")
        blank = browser.value("""[...document.querySelectorAll('figure canvas')].filter(c => {
            const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
            return !d.some((v, i) => i % 4 === 3 && v > 0); }).length""")
        charts = browser.value("document.querySelectorAll('figure canvas').length")
        check(f"{name}: {charts} charts are drawn", charts > 10 and blank == 0, f"{blank} of {charts} blank")
        check(f"{name}: text and ground differ enough", contrast(browser) >= 4.5, contrast(browser))
    if pictures:
        browser.pdf(os.path.join(pictures, "print.pdf"))


def contrast(browser):
    """Smallest contrast of the page's texts with their ground, by WCAG 2.2's formula."""
    return browser.value("""(() => {
        const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
        const light = (c) => [0, 1, 2].map((i) => c[i] / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        const ground = (node) => { for (; node; node = node.parentElement) { const c = parse(getComputedStyle(node).backgroundColor);
            if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
        let worst = 99;
        for (const node of document.querySelectorAll('h1, h2, h3, p, th, td, dt, dd, a, button, caption, figcaption, summary, code')) {
            const a = light(parse(getComputedStyle(node).color)), b = light(ground(node));
            worst = Math.min(worst, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
        }
        return Math.round(worst * 100) / 100; })()""")


def keyboard(browser, url):
    """Everything is reached and worked without a mouse."""
    browser.open(url, 1280, 900)
    browser.press("Tab")
    check("the first stop is the skip link", browser.value("document.activeElement.className") == "skip")
    browser.press("Enter")
    check("it leads to the verdicts", browser.value("document.activeElement.id") == "main")
    browser.value("document.querySelector('figure[data-design] .plot').focus()")
    ring = browser.value("getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).outlineWidth")
    browser.press("ArrowRight")
    browser.press("ArrowRight")
    said = browser.value("document.activeElement.parentElement.querySelector('output').textContent")
    check("arrows read a chart aloud", said.startswith("At ") and "ok" in said, said)
    check("focus is seen", ring.startswith("solid") or browser.value(
        "document.activeElement.matches(':focus-visible') && getComputedStyle(document.activeElement).outlineStyle") == "solid", ring)
    before = browser.value("document.activeElement.querySelector('canvas').toDataURL().length")
    first = browser.value("document.activeElement.querySelector('canvas').toDataURL()")
    browser.press("+")
    browser.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")
    zoomed = browser.value("document.activeElement.querySelector('canvas').toDataURL()")
    check("plus zooms", zoomed != first, before)
    browser.press("0")
    browser.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")
    check("zero shows all again", browser.value("document.activeElement.querySelector('canvas').toDataURL()") == first)
    browser.value("document.querySelector('figure .data summary').focus()")
    browser.press("Enter")
    browser.value("new Promise(done => setTimeout(() => done(1), 100))")
    rows = browser.value("document.querySelectorAll('figure .data tbody tr').length")
    check("the data of a chart opens as a table", rows > 50, rows)
    browser.value("document.getElementById('theme').click()")
    browser.value("document.getElementById('theme').click()")
    check("the theme can be chosen", browser.value("document.documentElement.dataset.theme") == "dark")


def structure(browser, url, result):
    """What a screen reader is told."""
    browser.open(url, 1280, 900)
    levels = browser.value("[...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1])")
    steps = all(b - a <= 1 for a, b in zip(levels, levels[1:]))
    check("headings go down one level at a time", levels[0] == 1 and levels.count(1) == 1 and steps)
    check("every table has a caption and column heads", browser.value(
        "[...document.querySelectorAll('table')].every(t => t.caption && t.tHead && t.querySelector('th[scope=col]'))"))
    check("ids are unique", browser.value(
        "(ids => ids.length === new Set(ids).size)([...document.querySelectorAll('[id]')].map(e => e.id))"))
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    stops = {"button", "link", "region", "group", "DisclosureTriangle"}
    nameless = [n for n in nodes if not n.get("ignored") and n.get("role", {}).get("value") in stops
                and not n.get("name", {}).get("value")]
    check("every control and region has a name", not nameless, [n.get("role") for n in nameless[:3]])
    inside = browser.value("document.getElementById('result').textContent")
    check("the result inside is the result", json.loads(inside) == result)
    saved = browser.value("""new Promise(done => { const make = URL.createObjectURL;
        URL.createObjectURL = (blob) => { blob.text().then(done); return make.call(URL, blob); };
        document.getElementById('download').click(); })""")
    check("the button saves the result", saved == inside)
    first = browser.value("document.querySelector('main section').id")
    check("verdicts come first", first == "verdicts", first)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    program = os.path.abspath(sys.argv[1])
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("FAILED: no Chromium on this machine, so the HTML report was NOT tested; install Debian's package chromium")
    pictures = sys.argv[2] if len(sys.argv) > 2 else None
    if pictures:
        os.makedirs(pictures, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="headroom-report-")
    os.chdir(ROOT)
    result, pages = reports(program, folder)
    size = os.path.getsize(pages["report"])
    check(f"the file has {size:,} bytes, below {SIZE_MAX:,}", size < SIZE_MAX)
    browser = Chrome(chromium)
    try:
        looks(browser, "file://" + pages["report"], pictures)
        keyboard(browser, "file://" + pages["report"])
        structure(browser, "file://" + pages["report"], result)
        browser.open("file://" + pages["evil"], 400, 900)
        check("names stay text", browser.value("window.hacked === undefined && document.images.length === 0 && document.scripts.length === 2"))
        wide = browser.value("document.documentElement.scrollWidth")
        check("long names do not widen the page", wide <= 400, wide)
        browser.value("new Promise(done => setTimeout(() => done(1), 300))")
        refused = browser.value("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')")
        policy = [e for e in browser.events if "Content Security Policy" in json.dumps(e)]
        check("the policy refuses the network", refused == "refused" and policy)
        # That refusal was asked for; it is no trouble of the page.
        browser.events = [e for e in browser.events if e not in policy and "127.0.0.1:9" not in json.dumps(e)]
        check("no console error", not troubles(browser), troubles(browser)[:3])
        check("no request leaves the file", not requests(browser), requests(browser)[:3])
    finally:
        browser.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(passed)} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


main()
