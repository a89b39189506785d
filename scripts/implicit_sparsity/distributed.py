"""A stage on several processes: what each holds of the weights, and restart points that any number of them
can read.

FSDP2 (torch's ``fully_shard``, placed by accelerate) gives each of W processes ("ranks") a part of every
parameter: of n rows (first dimension), rank r holds rows r * c to (r + 1) * c, c = ceil(n / W). The rest is
gathered layer by layer while it computes. In one process every function here is the identity.

A restart point holds files of each rank, written side by side without gathering anything: its parts of what
is trained, and of AdamW's moments. Whoever resumes reads its own rows of the parts laid end to end.
"""

from contextlib import ExitStack, contextmanager
from pathlib import Path

FILE_BYTES = 2**32  # of one file of a restart point


def world() -> int:
    """The number of processes that train this stage together."""
    import torch.distributed as dist

    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this one is, from 0."""
    import torch.distributed as dist

    return dist.get_rank() if world() > 1 else 0


def is_handed_weights() -> bool:
    """Whether this process gets all weights from the first one, which alone reads them: a model of 27 billion
    would not fit into a node's memory eight times."""
    return world() > 1 and rank() > 0


def barrier() -> None:
    if world() > 1:
        import torch.distributed as dist

        dist.barrier()


def local(tensor):
    """What this rank holds of a tensor, as a plain tensor that shares its memory."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def rows(count: int) -> slice:
    """The rows of ``count`` that this rank holds of a sharded tensor."""
    part = -(-count // world())
    return slice(min(count, rank() * part), min(count, (rank() + 1) * part))


def summed(numbers: list[int]) -> list[int]:
    """The numbers of all ranks added up, one by one."""
    return _reduced(numbers, "SUM")


def largest(numbers: list[int]) -> list[int]:
    """The largest of each number over all ranks."""
    return _reduced(numbers, "MAX")


def _reduced(numbers, how):
    if world() == 1:
        return list(numbers)
    import torch
    import torch.distributed as dist

    device = torch.device("cuda", torch.cuda.current_device()) if "nccl" in dist.get_backend() else "cpu"
    tensor = torch.tensor(numbers, dtype=torch.int64, device=device)
    dist.all_reduce(tensor, op=getattr(dist.ReduceOp, how))
    return tensor.tolist()


def flags(marked: dict) -> dict:
    """Boolean vectors by name, true where any rank's is."""
    import torch

    if world() == 1 or not marked:
        return marked
    names = sorted(marked)
    joined = largest(torch.cat([marked[name].long().cpu() for name in names]).tolist())
    parts = torch.tensor(joined, dtype=torch.bool).split([len(marked[name]) for name in names])
    return {name: part.to(marked[name].device) for name, part in zip(names, parts, strict=True)}


def shard_with(accelerator, model, bf16: bool) -> None:
    """Have accelerate shard the model with FSDP2, layer by layer, when it prepares it.

    accelerate reads its FSDP settings from its launcher, but on CPU it would fall back to replicas: there the
    same code is switched on by hand, so that the tests run what runs on cards. The layers' class comes from
    the network itself: transformers' list also names the vision tower's, which is left out.
    """
    import torch
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
    from torch.distributed.fsdp import MixedPrecisionPolicy

    from . import models

    state = accelerator.state
    if state.distributed_type != DistributedType.FSDP:
        state.distributed_type = DistributedType.FSDP
        state.fsdp_plugin = FullyShardedDataParallelPlugin()
    plugin = state.fsdp_plugin
    plugin.transformer_cls_names_to_wrap = [type(models.base_network(model).model.layers[0]).__name__]
    if bf16:  # accelerate's own choice adds gradients up and gives the loss in bfloat16, too
        plugin.mixed_precision_policy = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16, reduce_dtype=torch.float32
        )


@contextmanager
def through_the_root(model, function):
    """``model(...)`` runs ``function``: a sharded network gathers its weights in the call of its root module,
    which a loss that calls parts of the network would pass by. Nothing changes in one process."""
    if world() == 1:
        yield
        return
    model.forward = function
    try:
        yield
    finally:
        del model.forward


def save_parts(folder, model, optimizer=None) -> None:
    """Write this rank's part of what is trained and, where there is one, of the optimizer's moments; in files
    of 4 GB, so that host memory holds no more than one at a time."""
    from safetensors.torch import save_file

    def write():
        number = len(list(Path(folder).glob(f"part-{rank():05}-*")))
        save_file(held, str(Path(folder) / f"part-{rank():05}-{number:05}.safetensors"))
        held.clear()

    held = {}
    for name, parameter in _trained(model):
        held[f"weight.{name}"] = _stored(parameter)
        for moment, value in optimizer.state.get(parameter, {}).items() if optimizer else ():
            held[f"{moment}.{name}"] = _stored(value)
        if sum(tensor.nbytes for tensor in held.values()) > FILE_BYTES:
            write()
    write()


def _stored(tensor):
    mine = local(tensor.detach())
    return (mine.reshape(1) if mine.dim() == 0 else mine).cpu().contiguous()


def load_weights(folder, model) -> None:
    """Set what is trained to a restart point's weights, whatever number of ranks wrote it."""
    import torch

    with _parts(folder) as read, torch.no_grad():
        for name, parameter in _trained(model):
            _fill(parameter, read, f"weight.{name}")


def load_moments(folder, model, optimizer) -> None:
    """Set the optimizer's moments likewise; ``step`` is a number that all ranks share."""
    import torch

    with _parts(folder) as read, torch.no_grad():
        for name, parameter in _trained(model):
            moments = {"step": read(f"step.{name}", slice(0, 1)).reshape(())}
            for moment in ("exp_avg", "exp_avg_sq"):
                moments[moment] = torch.zeros_like(parameter)
                _fill(moments[moment], read, f"{moment}.{name}")
            optimizer.state[parameter] = moments


def _trained(model):
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]


def _fill(tensor, read, name) -> None:
    mine = local(tensor)
    mine.copy_(read(name, slice(0, len(mine)) if mine is tensor else rows(len(tensor))).reshape(mine.shape))


@contextmanager
def _parts(folder):
    """A function of a name and a slice of rows that reads them from a restart point, whose ranks' parts lie
    end to end."""
    import torch
    from safetensors import safe_open

    with ExitStack() as stack:
        places = {}  # name -> the files that hold it, rank after rank
        for path in sorted(Path(folder).glob("part-*.safetensors")):
            file = stack.enter_context(safe_open(str(path), "pt"))
            for name in file.keys():  # noqa: SIM118 (not a dict)
                places.setdefault(name, []).append(file)

        def read(name, wanted):
            found, first = [], 0
            for file in places[name]:
                part = file.get_slice(name)
                count = part.get_shape()[0]
                low, high = max(wanted.start - first, 0), min(wanted.stop - first, count)
                if low < high:
                    found.append(part[low:high])
                first += count
            return torch.cat(found) if found else file.get_tensor(name)[:0]

        yield read
