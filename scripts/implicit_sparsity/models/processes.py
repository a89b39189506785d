"""The processes that train a stage together: how many, which one this is, what each holds.

Of a parameter of n rows (first dimension), rank r of W holds rows r * c to (r + 1) * c, c = ceil(n / W)
(FSDP2's layout, see ``training.sharding``). In one process every function here is the identity.
"""

import resource

import torch
import torch.distributed as dist


def world() -> int:
    """The number of processes that train this stage together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this one is, from 0."""
    return dist.get_rank() if world() > 1 else 0


def is_handed_weights() -> bool:
    """Whether this process gets all weights from the first one, which alone reads them: a model of 27 billion
    would not fit into a node's memory eight times."""
    return world() > 1 and rank() > 0


def barrier() -> None:
    if world() > 1:
        dist.barrier()


def local(tensor):
    """What this rank holds of a tensor, as a plain tensor that shares its memory."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def rows(count: int) -> slice:
    """The rows of ``count`` that this rank holds of a sharded tensor."""
    part = -(-count // world())
    return slice(min(count, rank() * part), min(count, (rank() + 1) * part))


def summed(numbers: list) -> list:
    """The numbers, all of one type, of all ranks added up, one by one."""
    return _reduced(numbers, "SUM")


def largest(numbers: list) -> list[int]:
    """The largest of each number over all ranks."""
    return _reduced(numbers, "MAX")


def _reduced(numbers, how):
    if world() == 1:
        return list(numbers)
    device = torch.device("cuda", torch.cuda.current_device()) if "nccl" in dist.get_backend() else "cpu"
    kind = torch.float64 if any(isinstance(number, float) for number in numbers) else torch.int64
    tensor = torch.tensor(numbers, dtype=kind, device=device)
    dist.all_reduce(tensor, op=getattr(dist.ReduceOp, how))
    return tensor.tolist()


def flags(marked: dict) -> dict:
    """Boolean vectors by name, true where any rank's is."""
    if world() == 1 or not marked:
        return marked
    names = sorted(marked)
    joined = largest(torch.cat([marked[name].long().cpu() for name in names]).tolist())
    parts = torch.tensor(joined, dtype=torch.bool).split([len(marked[name]) for name in names])
    return {name: part.to(marked[name].device) for name, part in zip(names, parts, strict=True)}


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, and on a GPU its largest allocation, in MiB."""
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else host
