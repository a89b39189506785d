"""Between a rule and a function: names become arguments, failures become one line.

``job.run(function, snakemake)`` is the last line of every script of a rule. It gives the function the
rule's outputs, inputs, params and wildcards by name, keeps the traceback in the rule's log and leaves with
status 1 for wrong input (errors.InputError), 2 for a defect, 128 + n for signal n. The library never sees
``snakemake``.
"""

import faulthandler
import gc
import inspect
import logging
import os
import signal
import sys
import time
import warnings
from pathlib import Path

from implicit_sparsity.errors import InputError
from implicit_sparsity.provenance import identity, record

from . import environment, output_cache

log = logging.getLogger(__name__)

# Remarks of libraries that no user of this workflow can act upon: they are in no log, all other warnings are.
IDLE_WARNINGS = (  # (message, category, module)
    # peft 0.21 asks transformers 5 by the old name
    (r"`is_gradient_checkpointing` is deprecated", FutureWarning, r"transformers\.modeling_utils"),
)
IDLE_RECORDS = (  # (logger, beginning of the message)
    # restart points of fast steps are less than a second apart; their numbers order them as well
    ("transformers.trainer_utils", "mtime may not be reliable on this filesystem"),
)
KERNELS = ("transformers.integrations.hub_kernels", "is falling back to its reference PyTorch implementation")


def run(function, snakemake):
    """Call ``function`` with the rule's values; return on success, raise SystemExit otherwise."""
    gc.set_threshold(50_000, 20, 20)  # imports make millions of objects: a seventh of their time was this
    # before torch or transformers are imported by the function
    environment.of_job(os.environ, snakemake.threads, online=snakemake.params.get("online", False))
    logfile = _log_to(snakemake)
    signal.signal(signal.SIGTERM, _leave)
    started = time.monotonic()
    try:
        log.info("%s(%s)", function.__name__, ", ".join(sorted(map(str, snakemake.wildcards))))
        earlier = _earlier(snakemake)
        if not earlier.restore():
            record.begin(function, snakemake)
            function(**arguments(function, snakemake))
            record.finish(record.flat(snakemake.output))
            earlier.keep()
    except InputError as error:
        _fail(snakemake, error, logfile, status=1)
    except (KeyboardInterrupt, SystemExit) as stop:
        log.error("stopped: %s %s", type(stop).__name__, stop)
        raise
    except BaseException as error:
        _fail(snakemake, error, logfile, status=2)
    log.info("done in %.1f s", time.monotonic() - started)
    gc.freeze()  # all is closed, and Python would look through all objects once more as it leaves: a second


def listed(paths) -> list:
    """The files of a named input that may be one, several or none: one alone is a string, none is None."""
    return [paths] if isinstance(paths, str) else list(paths or ())


def _earlier(snakemake):
    """What an earlier attempt of this job finished; nothing where the resource ``output_cache`` names
    no folder."""
    place = getattr(snakemake, "resources", {}).get("output_cache")
    depends = {"rule": snakemake.rule, "versions": identity.versions() if place else {}}
    depends |= {"wildcards": dict(snakemake.wildcards.items()), "params": dict(snakemake.params.items())}
    return output_cache.OutputCache(
        place, depends, record.flat(snakemake.input), record.flat(snakemake.output)
    )


def arguments(function, snakemake) -> dict:
    """The arguments of ``function`` among the rule's values; output wins over input, params, wildcards and
    resources.

    A named list of files is a list of str, a single file a str. An empty list counts as not given, so that
    an optional input (``previous=[]`` at the first stage) leaves the function's default in place.
    """
    given = {"threads": snakemake.threads}
    resources = getattr(snakemake, "resources", {})  # where a job runs; what it is stands in the others
    for values in (resources, snakemake.wildcards, snakemake.params, snakemake.input, snakemake.output):
        for name, value in values.items():
            is_files = values is snakemake.input or values is snakemake.output
            if is_files:
                value = str(value) if isinstance(value, str | os.PathLike) else [str(v) for v in value]
            if is_files and value == []:
                given.pop(name, None)
            else:
                given[name] = value
    parameters = inspect.signature(function).parameters.values()
    missing = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    missing = [name for name in missing if name not in given]
    if missing:
        raise TypeError(
            f"rule {snakemake.rule} has no value named {', '.join(missing)} for {function.__name__}()"
        )
    result = {p.name: given[p.name] for p in parameters if p.name in given}
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        rest = [name for name, _ in snakemake.input.items() if name in given and name not in result]
        result |= {name: [given[name]] if isinstance(given[name], str) else given[name] for name in rest}
    return result


def _log_to(snakemake) -> str | None:
    """Send log records and warnings to the rule's log; crashes of native code leave their stack there too."""
    if not snakemake.log:
        return None
    path = Path(str(snakemake.log[0]))
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = path.open("w", encoding="utf-8")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
    logging.captureWarnings(True)
    _leave_out_idle_warnings()
    faulthandler.enable(stream)
    return str(path)


def _leave_out_idle_warnings():
    for message, category, module in IDLE_WARNINGS:
        warnings.filterwarnings("ignore", message=message, category=category, module=module)
    for name, beginning in IDLE_RECORDS:
        logging.getLogger(name).addFilter(lambda r, start=beginning: not r.getMessage().startswith(start))
    name, text = KERNELS  # of use on a GPU alone, and there preflight asks for them
    logging.getLogger(name).addFilter(lambda r: text not in r.getMessage() or _has_gpu())


def _has_gpu() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and torch.cuda.is_available()


def _leave(number, _frame):
    raise SystemExit(128 + number)  # unwinds, so that `finally` runs; never 0: an unfinished job is not done


def _fail(snakemake, error, logfile, status):
    log.error("%s: %s", type(error).__name__, error, exc_info=error)
    what = str(error) if status == 1 else f"{type(error).__name__}: {error}"
    lines = what.splitlines() or [type(error).__name__]
    where = f" (log: {logfile})" if logfile else ""
    print(f"error: {snakemake.rule}: {lines[0]}{where}", file=sys.stderr, flush=True)
    raise SystemExit(status) from None
