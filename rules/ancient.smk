"""Two changes to Snakemake itself: it looks for reasons to run behind ancient(), and asks less of groups.

Needs: Snakemake 9.27. Makes: no files.
"""

from snakemake.dag import DAG


class WithoutAncient:
    """Edges of the graph of jobs, less those that are ancient() alone."""

    def __init__(self, edges):
        self.edges = edges

    def __getitem__(self, job):
        later = self.edges[job].items()
        return {job: files for job, files in later if not all(file.is_ancient for file in files)}


def look_behind_ancient(search):
    """Snakemake's search through the graph, which does not take what lies behind ancient() for certain to run.

    Where a job has to run, Snakemake 9.27 (DAG.update_needrun) does not look whether later ones have a reason of their
    own, as they will run anyway. Behind ancient() they will not: a price and a seed changed together would check the
    plan and forget the seed, until the next run.
    """

    def bfs(self, direction, *jobs, **options):
        later = direction is self.depending
        return search(self, WithoutAncient(direction) if later else direction, *jobs, **options)

    bfs.looks_behind = True
    return bfs


if not hasattr(DAG.bfs, "looks_behind"):
    DAG.bfs = look_behind_ancient(DAG.bfs)


def group_is_ready(self, job):
    """DAG._ready, by which members of a group a job waits for, not by which of the jobs it waits for are members.

    The same answer. A table reads thousands of stores, and a dry run of the thesis spent half its time here.
    """
    group = self._group.get(job)
    if group is None:
        return self._n_until_ready[job] == 0
    return all(
        self._n_until_ready[member] < len(group)
        and self._n_until_ready[member] == sum(other in self._dependencies[member] for other in group)
        for member in group
    )


DAG._ready = group_is_ready
