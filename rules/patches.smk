"""Six changes to Snakemake's own classes, for which 9.27 offers no other way. It makes no files.

tests/workflow/test_patches.py fails where one of them is not needed any more.
"""

import sys
from contextlib import contextmanager

import snakemake
from snakemake.dag import DAG
from snakemake.persistence import PersistenceBase
from snakemake.settings.types import RerunTrigger
from snakemake_interface_executor_plugins.settings import ExecMode
from snakemake.workflow import Workflow

TESTED = "9.27"
if not snakemake.__version__.startswith(f"{TESTED}."):
    FOUND = f"rules/patches.smk: found Snakemake {snakemake.__version__}"
    raise SystemExit(f"{FOUND}, allowed: {TESTED}.*, which its changes were tested with")


class WithoutAncient:
    """Edges of the graph of jobs, less those that are ancient() alone."""

    def __init__(self, edges):
        self.edges = edges

    def __getitem__(self, job):
        later = self.edges[job].items()
        return {job: files for job, files in later if not all(file.is_ancient for file in files)}


def look_behind_ancient(search):
    """Snakemake's search through the graph, which does not take what lies behind ancient() for certain to run.

    Where a job has to run, DAG.update_needrun masks all later ones and does not look whether they have a reason
    of their own, as they will run anyway. Behind ancient() they will not, since Snakemake's pull request 668: a
    price and a seed changed together would check the plan and forget the seed, until the next run. Snakemake's
    issue 4166. `masked.update(self.bfs(self.depending, job))` has to leave out edges of ancient() alone.
    """

    def bfs(self, direction, *jobs, **options):
        later = direction is self.depending
        return search(self, WithoutAncient(direction) if later else direction, *jobs, **options)

    bfs.original = search
    return bfs


def group_is_ready(self, job):
    """DAG._ready, by which members of a group a job waits for, not by which of the jobs it waits for are members.

    The same answer; half the time of a dry run of the thesis. What Snakemake's pull request 710 (linear DAG._ready)
    left: for each job of a group, at every call, all dependencies of all members are gone through. Perhaps
    its issue 2354, of a large workflow that is slow, is about this.
    """
    group = self._group.get(job)
    if group is None:
        return self._n_until_ready[job] == 0
    return all(
        self._n_until_ready[member] < len(group)
        and self._n_until_ready[member] == sum(other in self._dependencies[member] for other in group)
        for member in group
    )


def triggers_but_code(self):
    """Workflow.rerun_triggers, but for code unless --rerun-triggers chooses.

    Snakemake's own goes by the mtime of a script and knows no imported module (its issue 2192): it reruns for a
    fresh clone, and not for a change of the library. Every job has the fingerprint of its code as a param. A
    profile can say the same, for which Snakemake prints a line of its own above every error.
    """
    chosen = self.dag_settings.rerun_triggers
    return chosen - {RerunTrigger.CODE} if chosen == RerunTrigger.all() else chosen


@contextmanager
def lock(self):
    """Snakemake's lock of the folder; one that a dead run left is taken away, instead of `LockException` and no way out.

    Between a dry run and an execution a Snakefile cannot tell, so it cannot do this when it is read.
    """
    from implicit_sparsity.workflow import interrupted

    if self.locked:
        print(interrupted.going_on(), file=sys.stderr)
        self.cleanup_locks()
        (self.path / "locks").mkdir(exist_ok=True)
    with lock.original(self):
        interrupted.note(self.dag.workflow.executor_plugin.common_settings.local_exec)
        yield


async def rerun_incomplete(self):
    """DAG.check_incomplete, as with --rerun-incomplete, which no profile says here (see above): a job that a kill cut
    short runs again. What it was writing has another name until it is whole."""
    if not self.ignore_incomplete:
        self.forcefiles.update(await self.incomplete_files())


def take_settings(self, settings):
    """What Snakemake does once it has read the Snakefile, and before it says or plans anything: targets are checked.

    An error of an input function comes among lines of its own; a target that no rule makes ends in a traceback.
    """
    self.__dict__["dag_settings"] = settings
    if settings is not None and self.exec_mode == ExecMode.DEFAULT and hasattr(self, "check_targets"):
        self.check_targets(settings)


Workflow.rerun_triggers = property(triggers_but_code)
Workflow.dag_settings = property(lambda self: self.__dict__.get("dag_settings"), take_settings)
DAG.check_incomplete = rerun_incomplete
if not hasattr(DAG.bfs, "original"):  # one process may read this file twice
    DAG.bfs = look_behind_ancient(DAG.bfs)
    group_is_ready.original, DAG._ready = DAG._ready, group_is_ready
    lock.original, PersistenceBase.lock = PersistenceBase.lock, lock
