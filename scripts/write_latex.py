"""LaTeX tables for \\input: R matrices by model and order, metrics, verdicts."""

from pathlib import Path

from implicit_sparsity.workflow import job


def write_latex(
    metrics_table: str,
    verdicts_table: str,
    verdicts: str,
    matrices: list[str] | None = None,
    r_matrices: str | None = None,
    metrics: str | None = None,
) -> None:
    """Write ``matrices`` (``<name>.<model>.<order>.tex`` each), ``metrics_table`` and ``verdicts_table``.

    r_matrices, metrics: tables of continual_metrics, where methods are trained; verdicts: of judge_claims.
    What there is nothing of is a comment and no table. Equal inputs give equal bytes.
    """
    from implicit_sparsity.report import latex
    from implicit_sparsity.storage import files, tables

    measured = tables.read_table(metrics, empty=True) if metrics else None
    texts = {
        metrics_table: latex.metrics(measured),
        verdicts_table: latex.verdicts(files.read_json(verdicts)),
    }
    if matrices:
        cells = tables.read_table(r_matrices, empty=True)
    for path in job.listed(matrices):
        _, model, order = Path(path).stem.split(".")
        texts[path] = latex.r_matrices(cells[(cells["model"] == model) & (cells["order"] == order)])
    for path, text in texts.items():
        with files.new_file(path) as partial:
            partial.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    job.run(write_latex, snakemake)
