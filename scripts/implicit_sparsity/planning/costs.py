"""Seconds, tokens and FLOPs of every job of a study on one kind of GPU."""

from dataclasses import dataclass, field, replace
from functools import cached_property

from implicit_sparsity.options import load
from implicit_sparsity.workflow import measures, source

from . import measuring, memory, trained, warming, work
from .gpus import GPUS, UTILISATION

DOWNLOAD = 1.0e8  # bytes/s from the hub
MEASURING = ("measure_domain", "measure_checkpoint")  # rules of measurements
NOMINAL = 15.0  # seconds of a job without a model: Python, imports, tables of a few MB


@dataclass(frozen=True)
class Job:
    """One job of the workflow; ``after`` are the numbers of the jobs that it waits for."""

    number: int
    rule: str
    wildcards: dict
    after: tuple = ()

    @property
    def kind(self) -> str:
        """What it is: its measurement, or its rule."""
        return self.wildcards.get("measurement", self.rule)

    @property
    def run(self) -> tuple:
        """(method, stage) of its checkpoint; (None, 0) of the base model."""
        if "method" in self.wildcards:
            return self.wildcards["method"], int(self.wildcards["stage"])
        parts = self.wildcards.get("checkpoint", "base").split(".")
        return (None, 0) if len(parts) < 4 else (parts[0], int(parts[3].removeprefix("stage")))


@dataclass(frozen=True)
class Cost:
    """What one job takes; ``gpu`` is the number of GPUs it holds."""

    seconds: float
    gpu: int = 0
    tokens: float = 0.0
    flops: float = 0.0


@dataclass
class Study:
    """A config with the shapes of its models and what is known of its GPU and its data."""

    config: dict
    shapes: dict
    measured: dict = field(default_factory=dict)  # (model, "train" | "probe") -> utilisation
    lengths: dict = field(default_factory=dict)  # model -> mean tokens of a document, where it is tokenized
    fast: bool = False
    _costs: dict = field(default_factory=dict, repr=False)
    _loaded: dict = field(default_factory=dict, repr=False)

    @property
    def hardware(self) -> dict:
        return self.config.get("hardware") or {}

    @property
    def gpu(self):
        return GPUS[self.hardware["card"]] if self.hardware else None

    @cached_property
    def settings(self) -> dict:
        settings = {name: memory.setting_of(self.config, name) for name in self.shapes}
        return {name: replace(setting, fast=self.fast) for name, setting in settings.items()}

    @cached_property
    def methods(self) -> dict:
        """(model, method) -> what it trains."""
        return {
            (model, name): trained.of_method(shape, name, entry)
            for model, shape in self.shapes.items()
            for name, entry in self.config["methods"].items()
        }

    @property
    def measurements(self) -> list:
        """Names of the measurements among the config's probes."""
        known = source.available("measurements")
        return [name for name in self.config["probes"] if name in known]

    def domains(self, needs=()) -> list:
        """Names of the domains that something with these NEEDS takes."""
        return measures.domains_of(needs, self.config["domains"], self.config.get("reference"))

    def measurement(self, name: str):
        """The measurement with its options."""
        if name not in self._loaded:
            self._loaded[name] = load("measurements", name, **self.config["probes"][name])
        return self._loaded[name]

    def length(self, model: str) -> float:
        """Mean tokens of a document: counted, else as ``hardware.mean_tokens`` guesses, else the most."""
        longest = self.config["tokens"]["max_length"]
        return self.lengths.get(model, min(longest, self.hardware.get("mean_tokens", longest)))

    def utilisation(self, model: str, what: str) -> float:
        assumed = self.hardware.get("utilisation", {}).get(what, UTILISATION[what])
        return self.measured.get((model, what), assumed)

    def seconds(self, model: str, flops: float, what: str) -> float:
        """Of arithmetic at the utilisation of ``what``. A measured one has the kernels' speed in it."""
        slow = (
            1.0 if (model, what) in self.measured else work.slowdown(self.shapes[model], self.settings[model])
        )
        setting = self.settings[model]
        peak = self.gpu.flops if setting.precision == "bf16" else self.gpu.flops32
        return flops * slow / (peak * self.utilisation(model, what))

    def cost(self, job: Job) -> Cost:
        """What a job takes; without ``hardware`` its seconds on a GPU are not known, and left at nought."""
        key = job.kind, job.wildcards.get("model"), job.run
        if key not in self._costs:  # neither domain nor seed nor order change it
            self._costs[key] = self._cost(job)
        return self._costs[key]

    def _cost(self, job: Job) -> Cost:
        model = job.wildcards.get("model")
        known = {
            "train_adapter": self._train,
            "measure_control": self._control,
            "evaluate_checkpoint": self._evaluate,
            "warm_up_format": lambda name, *_: warming.cost(self, name),
        }
        measured = job.rule in MEASURING
        if (measured or job.rule in known) and model in self.shapes:
            if measured:
                tokens, flops, seconds = measuring.cost(self, model, job.kind, job.run[1])
            else:
                tokens, flops, seconds = known[job.rule](model, *job.run)
            if not self.hardware:
                return Cost(0.0, 0, tokens, flops)
            gpus = self.settings[model].gpus if job.rule == "train_adapter" else 1
            return Cost(seconds + self._opening(model, job.run), gpus, tokens, flops)
        if model in self.shapes and job.rule in ("fetch_model", "prepare_model"):
            rate = DOWNLOAD if self.config["models"][model]["source"] == "hub" else work.LOAD
            return Cost(NOMINAL + self.model_bytes(model) / rate)
        return Cost(NOMINAL if "tokens" not in job.rule else 2 * NOMINAL)

    def model_bytes(self, model: str) -> float:
        """Of the weights on disk."""
        return self.shapes[model].total * (2.0 if self.config["models"][model]["source"] == "hub" else 4.0)

    def _opening(self, model: str, run: tuple) -> float:
        method, stage = run
        adapter = self.methods[model, method].adapter_bytes(stage) if method else 0.0
        return work.START + (self.model_bytes(model) + adapter) / work.LOAD

    def _train(self, model, method, stage):
        training, shape, trained = self.config["training"], self.shapes[model], self.methods[model, method]
        steps = training["steps"] * (stage if trained.per_domain else 1)
        tokens = steps * training["batch_size"] * self.length(model)
        flops = work.train_flops(shape, trained, self.settings[model], tokens, steps, self.length(model))
        return tokens, flops, self.seconds(model, flops, "train") if self.hardware else 0.0

    def _control(self, model, method, stage):
        """The activation pass over all domains in one job."""
        once = measuring.cost(self, model, "activations", stage)
        return tuple(len(self.domains()) * each for each in once)

    def _evaluate(self, model, method, stage):
        shape, length = self.shapes[model], self.length(model)
        tokens = work.evaluation_tokens(self.config, length)
        flops = work.evaluation_flops(shape, tokens, length)
        if method:  # at worst the base model on the same documents (kept for later jobs), and both heads
            compared = work.compared_tokens(self.config, length)
            tokens += compared
            flops += work.evaluation_flops(shape, compared, length) + compared * work.head_flops(shape)
        if not self.hardware:
            return tokens, flops, 0.0
        weights = memory.weights(shape, self.settings[model])
        decoding = work.generation_seconds(shape, self.settings[model], self.config, self.gpu, weights)
        again = method and (self.methods[model, method].whole or self.methods[model, method].everything)
        load = self.model_bytes(model) / work.LOAD if again else 0.0  # the base model before the stage's
        return tokens, flops, self.seconds(model, flops, "probe") + decoding + load
