"""A stage whose weights lie in parts on several processes; restart points that any number of them can read.

FSDP2 (torch's ``fully_shard``, placed by accelerate) gives each of W processes ("ranks") a part of every
parameter (``models.processes.rows``). The rest is gathered layer by layer while it computes. In one process
every function here is the identity.

A restart point holds files of each rank, written side by side without gathering anything: its parts of what
is trained, and of AdamW's moments. Whoever resumes reads its own rows of the parts laid end to end.
"""

from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from safetensors import safe_open
from safetensors.torch import save_file

from implicit_sparsity.models.forward import decoder
from implicit_sparsity.models.processes import local, rank, rows, world

FILE_BYTES = 2**32  # of one file of a restart point


def shard_with(accelerator, model) -> None:
    """Have accelerate shard the model with FSDP2, layer by layer, when it prepares it.

    accelerate reads its FSDP settings from its launcher, but on CPU it would fall back to replicas: there the
    same code is switched on by hand, so that the tests run what runs on GPUs. The layers' class comes from
    the network itself: transformers' list also names the vision tower's, which is left out.
    """
    state = accelerator.state
    if state.distributed_type != DistributedType.FSDP:
        state.distributed_type = DistributedType.FSDP
        state.fsdp_plugin = FullyShardedDataParallelPlugin()
    plugin = state.fsdp_plugin
    plugin.transformer_cls_names_to_wrap = [type(decoder(model).layers[0]).__name__]


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
    with _parts(folder) as (_, read), torch.no_grad():
        for name, parameter in _trained(model):
            _fill(parameter, read, f"weight.{name}")


def load_moments(folder, model, optimizer) -> None:
    """Set the optimizer's moments likewise; ``step`` is a number that all ranks share. A parameter that had
    no gradient yet has none."""
    with _parts(folder) as (names, read), torch.no_grad():
        for name, parameter in _trained(model):
            if f"step.{name}" not in names:
                continue
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
    """The names in a restart point, and a function of a name and a slice of rows that reads them; the ranks'
    parts lie end to end."""
    with ExitStack() as stack:
        places = {}  # name -> the files that hold it, rank after rank
        for path in sorted(Path(folder).glob("part-*.safetensors")):
            file = stack.enter_context(safe_open(str(path), "pt"))
            for name in file.keys():  # noqa: SIM118 (not a dict)
                places.setdefault(name, []).append(file)

        def read(name, wanted):
            result, first = [], 0
            for file in places[name]:
                part = file.get_slice(name)
                count = part.get_shape()[0]
                low, high = max(wanted.start - first, 0), min(wanted.stop - first, count)
                if low < high:
                    result.append(part[low:high])
                first += count
            return torch.cat(result) if result else file.get_tensor(name)[:0]

        yield places.keys(), read
