"""LaTeX tables: every cell is in its place, no name of a study breaks them, equal frames are equal bytes."""

import json
import math
import re
import shutil
import subprocess

import pandas as pd
import pytest
from write_latex import write_latex

from implicit_sparsity.report import latex
from implicit_sparsity.storage.tables import write_table

NASTY = r"a_b %50 & {c} $x$ #1 ~ ^ \ <tag> |"
ENGINE = next((name for name in ("pdflatex", "lualatex", "xelatex") if shutil.which(name)), None)
DOMAINS = ("code", "general")
METHODS = ("lora", "activation_mask", "orthogonal", "replay", "full", "my_own_method")


def r_matrices(seeds=(0, 1), methods=METHODS):
    """R[i, j] = 10 i + j + seed; a domain that is never trained comes last."""
    rows = []
    for method in methods:
        for seed in seeds:
            for stage in (0, 1, 2):
                for j, domain in enumerate(("code", "general", "medical")):
                    at = {
                        "model": "nano",
                        "method": method,
                        "order": "main",
                        "seed": seed,
                        "metric": "loss_content",
                    }
                    at |= {"stage": stage, "trained_domain": DOMAINS[stage - 1] if stage else ""}
                    at |= {
                        "domain": domain,
                        "position": DOMAINS.index(domain) + 1 if domain in DOMAINS else 0,
                    }
                    at |= {"n": 12 - j, "groups": 9 + stage}
                    rows.append(at | {"value": 10 * stage + j + seed, "higher_is_better": False})
    return pd.DataFrame(rows)


def metrics(methods=METHODS):
    rows = [
        {
            "model": "nano",
            "method": m,
            "order": "main",
            "seed": s,
            "score": "loss_content",
            "metric": name,
            "value": v + s,
            "n": 12,
            "groups": 9 + s,
        }
        for i, m in enumerate(methods)
        for s in (0, 1)
        for name, v in (("final_mean", i), ("forgetting", 2 * i), ("intransigence", math.nan))
    ]
    return pd.DataFrame(rows)


def verdicts(statement="It is so."):
    row = {"model": "nano", "order": "main", "subject": "lora", "what": "against x_y", "effect": -0.25}
    row |= {
        "low": -0.5,
        "high": None,
        "threshold": 0.1,
        "side": "below",
        "noise": None,
        "detectable": 12345.6,
    }
    row |= {"n": 12, "groups": 9, "verdict": "INCONCLUSIVE"}
    whole = row | {"high": 0.0, "noise": 0.01}
    claims = {"H1a": {"statement": statement, "verdict": "NOT RUN", "evidence": []}}
    claims["H2a"] = {
        "statement": "And so.",
        "verdict": "INCONCLUSIVE",
        "evidence": [row | {"low": None}, whole],
    }
    return {"rule": "", "claims": claims}


def files(folder, statement="It is so.", matrices=True):
    folder.mkdir(exist_ok=True)
    (folder / "v.json").write_text(json.dumps(verdicts(statement)))
    write_table(folder / "r.csv", r_matrices())
    write_table(folder / "m.csv", metrics())
    made = [str(folder / name) for name in ("metrics.tex", "verdicts.tex")]
    paths = [str(folder / "r_matrices.nano.main.tex"), str(folder / "r_matrices.nano.never.tex")]
    write_latex(*made, str(folder / "v.json"), paths, str(folder / "r.csv"), str(folder / "m.csv"))
    return [*made, *paths]


def rows_of(text):
    """Cells of each row between the rules of every tabular."""
    bodies = re.findall(r"\\midrule\n(.*?)\\bottomrule", text, re.S)
    return [
        [line.removesuffix(r" \\").split(" & ") for line in b.splitlines() if "&" in line] for b in bodies
    ]


def test_equal_inputs_are_equal_bytes(tmp_path):
    first, second = files(tmp_path / "a"), files(tmp_path / "b")
    for a, b in zip(first, second):
        with open(a, "rb") as x, open(b, "rb") as y:
            assert x.read() == y.read()


def test_r_matrices_hold_the_cells():
    text = latex.r_matrices(r_matrices())
    assert text.count(r"\begin{tabular}{@{}lrrr@{}}") == len(METHODS)
    assert "after stage & code & general & medical" in text
    first = rows_of(text)[0]
    assert [row[0] for row in first] == ["0 base", "1 code", "2 general", "$n$, $G$"]
    assert first[3][1:] == ["12, 9", "11, 9", "10, 9"], "the fewest of the stages"
    assert first[1][1:] == [f"${10 + j + 0.5:.3f} \\pm {math.sqrt(0.5):.3f}$" for j in range(3)]
    names = re.findall(r"^% loss_content of (\w+), lower is better, 2 seeds$", text, re.M)
    assert names == ["lora", "activation_mask", "orthogonal", "replay", "full", "my_own_method"]
    single = rows_of(latex.r_matrices(r_matrices(seeds=(0,), methods=("lora",))))[0]
    assert single[2] == ["2 general", "$20.000$", "$21.000$", "$22.000$"]


def test_metrics_are_five_methods_across():
    text = latex.metrics(metrics())
    assert [len(rows[0]) for rows in rows_of(text)] == [6, 2]
    assert "intransigence" not in text, "what is known of none is no row"
    assert rows_of(text)[0][-1] == ["$n$, $G$", *5 * ["12, 9"]]
    assert rows_of(text)[0][1][2] == "$2.500 \\pm 0.707$"  # forgetting of activation_mask


def test_verdicts_say_what_is_not_known():
    rows = rows_of(latex.verdicts(verdicts()))[0]
    assert rows[0][0] == r"\textbf{H1a}" and rows[0][-1] == r"\textbf{not run}"
    cells = dict(
        zip(("effect", "interval", "threshold", "noise", "detectable", "n", "G", "word"), rows[2][1:])
    )
    assert cells["effect"] == "$-0.250$" and cells["interval"] == "--" and cells["noise"] == "--"
    assert cells["threshold"] == "$<$ $0.100$" and cells["word"] == "inconclusive"
    assert cells["n"] == "12" and cells["G"] == "9"
    assert cells["detectable"] == r"$1.23 \times 10^{4}$" and latex.number(-0.0001) == "$0.000$"
    assert rows[3][2] == "$-0.500$ to $0.000$"


def test_nothing_to_show_is_a_comment(tmp_path):
    made = files(tmp_path)
    with open(made[-1]) as file:
        assert re.fullmatch(r"(%.*\n)+", file.read())
    (tmp_path / "none.json").write_text('{"rule": "", "claims": {}}')
    write_latex(*(str(tmp_path / name) for name in ("m.tex", "v.tex", "none.json")))
    for name in ("m.tex", "v.tex"):
        assert (tmp_path / name).read_text().startswith("% no ")


def test_special_signs_are_escaped():
    text = latex.escape(NASTY)
    bare = re.sub(
        r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar)\{\}", "", text
    )
    assert not re.search(r"(?<!\\)[_%&{}$#~^|<>]", bare)
    for part in (r"a\_b", r"\%50", r"\&", r"\{c\}", r"\$x\$", r"\#1", r"\textbackslash{}"):
        assert part in text
    for body in rows_of(latex.verdicts(verdicts(NASTY))):
        for row in body:
            assert "&".join(row).count("{") == "&".join(row).count("}")


DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs}
\usepackage[paperwidth=8in,textwidth=6.3in]{geometry}
\begin{document}\footnotesize
%s
\end{document}
"""


@pytest.mark.skipif(ENGINE is None, reason="no LaTeX engine here (apt-get install texlive-latex-recommended)")
def test_tables_compile_and_fit_the_page(tmp_path):
    made = files(tmp_path, NASTY)
    body = "\n\n".join(rf"\noindent\input{{{path}}}" for path in made)
    (tmp_path / "thesis.tex").write_text(DOCUMENT % body)
    command = [ENGINE, "-interaction=nonstopmode", "-halt-on-error", "thesis.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout, done.stdout[-3000:]
    assert (tmp_path / "thesis.pdf").stat().st_size > 5000
