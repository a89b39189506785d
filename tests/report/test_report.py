"""The report of a planted study in headless Chromium: no error, figures and verdicts, search, no request out.

Tables are planted; figures, verdicts and LaTeX are made of them by the workflow itself.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import networks
import numpy as np
import planted_fronts
import pytest
import studies
import yaml
from collect_documents import collect_documents
from collect_scores import collect_scores
from collect_stages import collect_stages
from continual_metrics import continual_metrics
from planted import DOMAINS, noisy_scores, write_evals, write_scores, write_stages
from playwright.sync_api import sync_playwright
from probe_table import probe_table

from implicit_sparsity.storage.files import write_json

FIGURES = ("overlap_by_layer", "method_comparison")
METHODS = ("lora", "activation_mask", "orthogonal")
PICTURE = "document.querySelector('.p-3 > img')"
FLAGS = "--no-sandbox --no-first-run --disable-background-networking --disable-component-update"
FLAGS += " --disable-sync --disable-quic"
NOWHERE = "--host-resolver-rules=MAP * ~NOTFOUND"  # with FLAGS alone it asks for updates and accounts
RULES = ("all", "judge_claims", "write_latex", "write_chapter", "draw_figure")


def overlay() -> dict:
    """config.yaml with the planted tables' order and no probe and figure but those that are looked at."""
    config = yaml.safe_load((studies.ROOT / "config.yaml").read_text())
    keep = ("activations", "activation_overlap", *FIGURES)
    result = {
        room: {name: False for name in config[room] if name not in keep} for room in ("probes", "figures")
    }
    return result | {"orders": {"forward": False, "main": list(DOMAINS)}}


def plant(folder):
    rng, out = np.random.default_rng(0), folder / "results" / "tables"
    aside = folder / "aside"
    stores = [
        str(write_scores(aside / f"{d}.zarr", s, d, model="smollm2", groups=6))
        for d, s in noisy_scores(rng, 4, 200).items()
    ]
    probe_table(
        str(out / "activation_overlap.csv"),
        probe="activation_overlap",
        options={"draws": 8},
        activations=stores,
    )
    evals = write_evals(aside / "evals", rng, METHODS, [0], "smollm2")
    collect_scores(str(out / "scores.csv"), evals)
    arranged = str(out / "r_matrices.csv"), str(out / "metrics.csv")
    continual_metrics(*arranged, str(out / "scores.csv"), {"main": list(DOMAINS)})
    stages = write_stages(aside / "adapters", rng, METHODS, [0], "smollm2", steps=5)
    collect_stages(str(out / "learning_curves.csv"), str(out / "stages.csv"), stages)
    planted_fronts.write_tables(out, aside, ["smollm2"], METHODS, [0])
    plant_documents(str(out / "documents.csv"), aside)


def plant_documents(table, aside):
    """The table of splits from which nothing was dropped, in tokens of a small tokenizer."""
    splits, tokens = [], []
    model = aside / "tokens" / "smollm2"
    model.mkdir(parents=True)
    networks.make_tokenizer(model)
    for domain in networks.WORDS:
        splits.append(str(aside / "corpora" / domain / "splits"))
        tokens.append(str(networks.make_tokens(model / domain, model, domain)))
        Path(splits[-1]).mkdir(parents=True)
        write_json(Path(splits[-1]) / "manifest.json", {"dropped_by_source": {}})
    collect_documents(table, splits, tokens)


def snakemake(folder, *arguments):
    command = [sys.executable, "-m", "snakemake", "--configfile", "planted.yaml", *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=dict(os.environ), timeout=200
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = studies.copy_repository(tmp_path_factory.mktemp("report") / "repository")
    (folder / "planted.yaml").write_text(yaml.safe_dump(overlay()))
    plant(folder)
    snakemake(folder, "-c2", "--allowed-rules", *RULES, "--", "all")
    snakemake(folder, "--report", "results/report.html")
    return folder


@pytest.fixture(scope="module")
def browser():
    """The system's Chromium, without a network. Where CI runs it has to be there."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        stop = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        stop("no Chromium here (apt-get install chromium)")
    with sync_playwright() as driver:  # --headless is its default
        result = driver.chromium.launch(executable_path=program, args=[*FLAGS.split(), NOWHERE])
        yield result
        result.close()


@pytest.fixture(scope="module")
def noted():
    """What the page does meanwhile: the URLs it asks for, its exceptions, the console's errors."""
    return {"requests": [], "errors": []}


@pytest.fixture(scope="module")
def page(study, browser, noted):
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    context.set_default_timeout(20_000)
    context.on("request", lambda request: noted["requests"].append(request.url))
    context.on("weberror", lambda failure: noted["errors"].append(str(failure.error)))
    context.on(
        "console",
        lambda message: message.type in ("error", "assert") and noted["errors"].append(message.text),
    )
    result = context.new_page()
    result.goto((study / "results/report.html").as_uri())
    result.wait_for_function("typeof app != 'undefined' && app !== undefined")
    return result


def test_the_report_opens_with_the_results_chapter(page):
    """Question, figure, verdict of every claim, the figures as large as they are to be read."""
    text = page.inner_text("body")
    for question in ("Do different domains use different neurons?", "end ahead?"):
        assert question in text
    for word in ("NOT RUN", "threshold", "95 % interval"):
        assert word in text
    pictures = "[...document.querySelectorAll('.prose img')]"
    page.wait_for_function(
        f"{pictures}.length > 0 && {pictures}.every(i => i.complete && i.naturalWidth > 400)"
    )
    heading = "document.querySelector('.prose h2')"
    assert page.evaluate(f"{heading}.getBoundingClientRect().top") >= 0, "out of reach"
    assert page.evaluate(f"{pictures}.length") == 3  # overlap once, the comparison for each of two claims
    assert page.evaluate(f"Math.min(...{pictures}.map(i => i.getBoundingClientRect().width))") > 400


def test_a_click_on_a_figure_opens_it_and_it_is_to_be_seen(page):
    page.locator(".prose a[href^=javascript] img").first.click()
    page.wait_for_function("document.body.innerText.includes('Overlap (intersection over union)')")
    for name in FIGURES:
        page.evaluate(
            f"app.setView({{content: 'img', contentPath: results['results/figures/{name}.png'].data_uri}})"
        )
        page.wait_for_function(f"(i => i && i.complete && i.naturalWidth > 400)({PICTURE})")
        assert page.evaluate(f"{PICTURE}.getBoundingClientRect().width") > 400


def test_the_details_of_a_figure_do_not_cover_the_chapter(page):
    page.evaluate("app.setView({content: 'rulegraph', navbarMode: 'menu'})")
    page.locator(".prose a[href^=javascript] img").first.click()
    page.wait_for_function("app.state.navbarMode == 'resultinfo'")
    page.evaluate("app.setView({content: 'rulegraph'})")
    page.wait_for_function("document.querySelector('.prose h2') !== null")
    page.wait_for_timeout(400)  # the sidebar grows
    edges = "[document.querySelector('nav').getBoundingClientRect().right, "
    edges += "document.querySelector('.prose.max-w-lg').getBoundingClientRect().left]"
    sidebar, chapter = page.evaluate(edges)
    assert chapter >= sidebar


def test_everything_has_a_caption_a_category_and_labels(page):
    entries = page.evaluate("results")
    names = [f"results/figures/{name}.png" for name in FIGURES]
    names += [
        "results/verdicts.html",
        "results/latex/r_matrices.smollm2.main.tex",
        "results/latex/verdicts.tex",
    ]
    names += [
        f"results/tables/{name}.csv" for name in ("scores", "metrics", "comparisons", "activation_overlap")
    ]
    assert set(names) <= set(entries)
    for name, entry in entries.items():
        words = re.sub("<[^>]+>", "", entry["caption"])
        assert len(words) > 40, (name, words)
        assert entry["labels"], name
        assert "System Message" not in entry["caption"] and "Table of the probe" not in words, (name, words)
    assert entries["results/latex/r_matrices.smollm2.main.tex"]["labels"] == {
        "table": "R matrices", "model": "smollm2", "order": "main",
    }  # fmt: skip
    assert set(page.evaluate("categories")) == {"Figures", "Tables", "Verdicts", "LaTeX tables"}


def test_search_finds_what_is_there_and_nothing_else(page):
    """Typed into the report's own field, as a reader does."""
    page.evaluate("app.setView({navbarMode: 'menu', content: 'rulegraph'})")
    page.wait_for_function("document.querySelector('input') !== null")
    for term, hits in (("method_comparison", 1), ("no such thing", 0)):
        page.locator("input").first.fill(term)
        page.locator("input").first.press("Enter")
        page.wait_for_function("app.state.navbarMode == 'searchresults'")
        page.wait_for_function(f"app.state.searchTerm == '{term}'")
        rows = "[...document.querySelectorAll('#app tbody tr')].filter(r => !r.closest('.prose')).length"
        page.wait_for_function(f"{rows} == {hits}")
        page.evaluate("app.setView({navbarMode: 'menu'})")
        page.wait_for_function("document.querySelector('input') !== null")


def test_graph_and_runtimes_are_drawn(page):
    page.evaluate("app.setView({content: 'rulegraph', navbarMode: 'menu'})")
    page.wait_for_function("document.querySelector('canvas, svg.marks') !== null")
    page.evaluate("app.setView({content: 'stats'})")
    page.wait_for_function("document.querySelectorAll('canvas, svg.marks').length >= 2")


def test_no_error_and_no_request_leaves_the_machine(page, noted):
    """Last: of all that was opened before."""
    page.wait_for_timeout(200)  # takes what has come meanwhile
    assert noted["errors"] == []
    schemes = {url.partition(":")[0] for url in noted["requests"]}
    assert "file" in schemes and schemes <= {"file", "data", "blob", "about"}, noted["requests"]


def test_the_report_names_no_host_that_it_would_load_from(study):
    """Without a browser: nothing in the page's own elements points outside."""
    text = (study / "results/chapter.html").read_text() + (study / "results/verdicts.html").read_text()
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", text)
    assert "<script" not in text
