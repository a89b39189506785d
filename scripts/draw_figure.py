"""Draw one figure from tables: PDF, PNG, and the CSV of exactly what is drawn."""

from pathlib import Path

from implicit_sparsity.workflow import job


def draw_figure(
    pdf: str, png: str, csv: str, tables: list[str], figure: str, options: dict | None = None
) -> None:
    """Write the figure as ``pdf`` and ``png`` and its frame as ``csv``; equal tables give equal bytes.

    tables: paths of the CSV tables that the figure's TABLES name, in any order; options: of the figure's
    class. Of a table without rows the picture says why it is empty, and the CSV has the columns alone.
    Raises InputError for a table that is missing or none, and where the options leave nothing to draw.
    """
    from implicit_sparsity.figures import base
    from implicit_sparsity.options import load
    from implicit_sparsity.storage.tables import read_table, write_table

    drawing = load("figures", figure, **(options or {}))
    paths = {Path(path).stem: path for path in job.listed(tables)}
    wanted = (*drawing.TABLES, *drawing.OPTIONAL)
    frames = {name: read_table(path, empty=True) for name, path in paths.items() if name in wanted}
    frame = drawing.frame(frames)
    base.refuse_empty(frame, drawing, frames, paths.values())
    write_table(csv, frame)
    base.save(drawing.picture(frame), pdf, png)


if __name__ == "__main__":
    job.run(draw_figure, snakemake)
