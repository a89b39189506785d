"""Verdicts as pages: Markdown to read, HTML for the report, and the results chapter that opens it.

``verdicts`` is the content of results/verdicts.json, see ``judge``. A page is a list of blocks, each rendered
by both writers: ("heading", level, text), ("text", text), ("table", head, rows). Text is plain: writers
escape. In HTML alone there is ("raw", element).
"""

import base64
import html
import io
from dataclasses import asdict
from pathlib import Path

from implicit_sparsity.metrics import verdict

COLOURS = {
    "SUPPORTED": "#00664B",
    "NOT SUPPORTED": "#A33F00",
    "INCONCLUSIVE": "#555555",
    "NOT RUN": "#888888",
}
HEAD = [
    "model",
    "of",
    "effect",
    "95 % interval",
    "threshold",
    "noise floor",
    "detectable",
    "n",
    "groups",
    "verdict",
]
RULE = (
    "SUPPORTED: the whole 95 % interval is on the claim's side of the threshold, and the effect exceeds the "
    "noise floor. NOT SUPPORTED: the whole interval is on the other side. INCONCLUSIVE: anything else, and "
    "whatever fewer than 10 independent groups of documents make. NOT RUN: what the claim asks for is not "
    "there. A claim has a verdict other than INCONCLUSIVE where all its models, orders and methods agree; "
    "rows of one model, order and method are all needed."
)


def judge(claims: dict, tables: dict, study, figures) -> dict:
    """The content of verdicts.json: ``rule`` and, by claim, what was asked, what was found and the verdict.

    claims: id -> Claim; tables: name -> DataFrame; figures: names of the figures that the study draws.
    """
    from . import published

    result = {}
    for name, claim in claims.items():
        evidence = claim.judge(tables, study)
        word, why = verdict.conclude(evidence)
        metadata = {"statement": claim.STATEMENT, "question": claim.QUESTION, "refuted_by": claim.REFUTED}
        metadata |= {"verdict": word, "why": why, "threshold": claim.threshold, "side": claim.SIDE}
        metadata |= {"effect": claim.EFFECT, "noise_floor": claim.NOISE, "averaged": claim.MEAN}
        metadata |= {"figure": f"results/figures/{claim.FIGURE}.pdf" if claim.FIGURE in figures else None}
        metadata |= {"options": asdict(claim), "evidence": [piece.row() for piece in evidence.evidence]}
        metadata |= {"missing": evidence.missing, "passed_over": evidence.skipped}
        result[name.capitalize()] = metadata | {"published": published.beside(name, tables, study.orders)}
    return {"rule": RULE, "claims": result}


def number(value) -> str:
    return "not known" if value is None else f"{value:.3g}"


def span(row) -> str:
    return "not known" if row["low"] is None else f"{row['low']:.3g} to {row['high']:.3g}"


def sign(row) -> str:
    return f"{'>' if row['side'] == 'above' else '<'} {row['threshold']:g}"


def counted(row) -> str:
    return f"{row['n']}" + (f", {row['seeds']} seed{'s' * (row['seeds'] != 1)}" if row["seeds"] else "")


def grouped(row) -> str:
    return "--" if row["groups"] is None else str(row["groups"])


def of(row) -> str:
    order = f"order {row['order']}" if row["order"] else ""
    return ", ".join(filter(None, (row["subject"], order, row["what"])))


def evidence_rows(claim) -> list:
    return [
        [row["model"], of(row), number(row["effect"]), span(row), sign(row), number(row["noise"])]
        + [number(row["detectable"]), counted(row), grouped(row), row["verdict"]]
        for row in claim["evidence"]
    ]


def summary(verdicts) -> tuple:
    rows = [
        [name, claim["statement"], claim["verdict"], claim["why"]]
        for name, claim in verdicts["claims"].items()
    ]
    return ("table", ["claim", "statement", "verdict", "why"], rows)


def blocks(verdicts) -> list:
    """The page of verdicts."""
    result = [("heading", 1, "Verdicts"), ("text", verdicts["rule"]), summary(verdicts)]
    for name, claim in verdicts["claims"].items():
        result.append(("heading", 2, f"{name}: {claim['verdict']}"))
        result.append(("text", f"{claim['statement']} It would be refuted by: {claim['refuted_by']}."))
        unit = next((row["unit"] for row in claim["evidence"] if row["unit"] != "1"), "")
        effect = f"Effect: {claim['effect']}{f' ({unit})' if unit else ''}."
        basis = f"Noise floor: {claim['noise_floor']}. Averages: {claim['averaged']}."
        result.append(("text", f"{effect} {basis}"))
        if claim["evidence"]:
            result.append(("table", HEAD, evidence_rows(claim)))
        details = (
            ": ".join((", ".join(filter(None, (row["model"], of(row)))), row["detail"]))
            for row in claim["evidence"]
        )
        result += [("text", line) for line in details]
        result += [("text", f"Missing: {text}.") for text in claim["missing"]]
        result += [("text", f"Passed over: {text}.") for text in claim["passed_over"]]
        result += published_blocks(claim)
        result.append(("text", f"Figure: {claim['figure'] or 'not drawn in this study'}"))
    return result


def published_blocks(claim) -> list:
    result = []
    for entry in claim["published"]:
        if not entry["comparable"]:
            result.append(("text", f"Not comparable with {entry['source']}: {entry['why']}."))
            continue
        rows = [
            [label, number(value), *(number(ours.get(label)) for ours in entry["ours"])]
            for label, value in entry["published"].items()
        ]
        result.append(("text", f"Beside {entry['source']} ({entry['setting']}): {entry['why']}."))
        result.append(("table", ["", entry["source"], *(ours["model"] for ours in entry["ours"])], rows))
    return result


def markdown(page) -> str:
    """Blocks as Markdown."""
    lines = []
    for kind, *rest in page:
        if kind == "heading":
            lines += [f"{'#' * rest[0]} {_plain(rest[1])}", ""]
        elif kind == "text":
            lines += [_plain(rest[0]), ""]
        else:
            head, rows = rest
            cells = [head, ["---"] * len(head), *rows]
            lines += ["| " + " | ".join(map(_plain, row)) + " |" for row in cells] + [""]
    return "\n".join(lines)


def _plain(text) -> str:
    for mark in ("\\", "|", "<", "*", "_"):
        text = str(text).replace(mark, "\\" + mark)
    return text.replace("\n", " ")


def web(page) -> str:
    """Blocks as a piece of HTML."""
    lines = []
    for kind, *rest in page:
        if kind == "heading":
            lines.append(f"<h{rest[0]} {HEADING}>{html.escape(rest[1])}</h{rest[0]}>")
        elif kind == "text":
            lines.append(f'<p style="margin: .5em 0; max-width: 60em">{html.escape(rest[0])}</p>')
        elif kind == "raw":
            lines.append(rest[0])
        else:
            head, rows = rest
            body = _row(head, "th") + "".join(_row(row, "td") for row in rows)
            lines.append(f'<table style="{TABLE}">{body}</table>')
    return "\n".join(lines) + "\n"


HEADING = 'style="font-weight: bold; margin: 1.2em 0 .3em 0"'
TABLE = "border-collapse: collapse; margin: .6em 0; font-size: 90%"
# The report gives its first page half a screen and centres it, which puts the top of a long page and the left
# edge of a wide one out of reach.
WIDE = ".prose.max-w-lg { max-width: 62rem } #app .h-screen.items-center { align-items: start; "
WIDE += "justify-content: safe center }"
CELL = "border-bottom: 1px solid #ccc; padding: .2em .6em; text-align: left; vertical-align: top"


def _row(cells, tag) -> str:
    result = []
    for cell in cells:
        style = CELL + (f"; font-weight: bold; color: {COLOURS[cell]}" if cell in COLOURS else "")
        result.append(f'<{tag} style="{style}">{html.escape(str(cell))}</{tag}>')
    return f"<tr>{''.join(result)}</tr>"


def standalone(body: str, title: str) -> str:
    """A whole HTML document that loads nothing."""
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title>'
    body = f'<body style="font-family: sans-serif; margin: 1em">\n{body}</body>'
    return f'<!doctype html>\n<html lang="en">\n<head>{head}</head>\n{body}\n</html>\n'


def chapter(verdicts, pictures: dict) -> list:
    """The results chapter: question, figure, verdict. pictures: figure -> path of its PNG."""
    result = [
        ("raw", f"<style>{WIDE}</style>"),
        ("heading", 2, "Results"),
        ("text", verdicts["rule"]),
        summary(verdicts),
    ]
    for name, claim in verdicts["claims"].items():
        result.append(("heading", 3, f"{name}. {claim['question']}"))
        figure = Path(claim["figure"]).stem if claim["figure"] else ""
        if figure in pictures:
            result.append(("raw", picture(pictures[figure], f"{name}: figure {figure}")))
        result.append(("text", f"{claim['statement']} {claim['verdict']}: {claim['why']}."))
        result.append(("text", f"Effect: {claim['effect']}; the claim says {sign(claim)}."))
        if claim["evidence"]:
            result.append(("table", HEAD, evidence_rows(claim)))
    return result


def picture(path, alternative: str, width: int = 1100, colours: int = 128) -> str:
    """An image element with the PNG itself in it, small; a click opens the figure's page of the report."""
    from PIL import Image

    with Image.open(path) as image:
        image = image.convert("RGB")
        if image.width > width:
            image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
        data = io.BytesIO()
        image.quantize(colours).save(data, format="PNG", optimize=True)
    encoded = base64.b64encode(data.getvalue()).decode()
    place = html.escape(str(path), quote=True)
    attributes = f'alt="{html.escape(alternative, quote=True)}" style="max-width: 100%; width: 46em"'
    element = f'<img {attributes} src="data:image/png;base64,{encoded}">'
    return f"<a href=\"javascript:app.showResultInfo('{place}')\">{element}</a>"
