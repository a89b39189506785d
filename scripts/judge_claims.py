"""Judge every claim of the config by the tables of the study: results/verdicts.json, and pages of it."""

from pathlib import Path

from implicit_sparsity.workflow import job


def judge_claims(
    verdicts: str,
    page: str,
    web: str,
    tables: list[str] | None = None,
    claims: dict | None = None,
    families: dict | None = None,
    orders: dict | None = None,
    figures: list | None = None,
) -> None:
    """Write ``verdicts`` (JSON), ``page`` (Markdown) and ``web`` (HTML); equal tables give equal bytes.

    tables: paths of the tables that are made, of those that claims read; claims: name -> options, the
    config's ``claims``; families: method -> {family, role, of, point}; orders: name -> domains; figures:
    names of those that are drawn. A claim whose tables are not made is NOT RUN.
    """
    from implicit_sparsity.claims.base import Study
    from implicit_sparsity.options import load
    from implicit_sparsity.report import verdict_pages
    from implicit_sparsity.storage import files
    from implicit_sparsity.storage.tables import read_table

    chosen = {name: load("claims", name, **options) for name, options in sorted((claims or {}).items())}
    result = {Path(path).stem: read_table(path, empty=True) for path in job.listed(tables)}
    judged = verdict_pages.judge(chosen, result, Study(families or {}, orders or {}), figures or [])
    blocks = verdict_pages.blocks(judged)
    files.write_json(verdicts, judged)
    for path, text in (
        (page, verdict_pages.markdown(blocks)),
        (web, verdict_pages.standalone(verdict_pages.web(blocks), "Verdicts")),
    ):
        with files.new_file(path) as partial:
            partial.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    job.run(judge_claims, snakemake)
