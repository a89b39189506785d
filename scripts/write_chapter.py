"""The results chapter that opens the report: question, figure, verdict."""

from pathlib import Path

from implicit_sparsity.workflow import job


def write_chapter(chapter: str, verdicts: str, pictures: list[str] | None = None) -> None:
    """Write ``chapter``, a piece of HTML with its figures in it; equal inputs give equal bytes.

    verdicts: of judge_claims; pictures: paths of figures as PNG.
    """
    from implicit_sparsity.report import verdict_pages
    from implicit_sparsity.storage import files

    paths = {Path(path).stem: path for path in job.listed(pictures)}
    blocks = verdict_pages.chapter(files.read_json(verdicts), paths)
    with files.new_file(chapter) as partial:
        partial.write_text(verdict_pages.web(blocks), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    job.run(write_chapter, snakemake)
