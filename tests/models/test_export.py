"""An exported checkpoint is a plain model folder: transformers alone gets the checkpoint's logits from it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import networks
import pytest
import studies
import torch
from export_model import export_model
from safetensors.torch import load_file

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import forward, loading
from implicit_sparsity.models.export import TOKENS, logits, write
from implicit_sparsity.options import load
from implicit_sparsity.storage import files
from implicit_sparsity.training import fit
from implicit_sparsity.training.stage import Stage

IDS = torch.randint(3, 300, (2, 12), generator=torch.Generator().manual_seed(0))
CASES = {  # (kind, name): the method, its options
    ("dense", "lora"): ("lora", {}),
    ("mixture", "lora"): ("lora", {"router": True}),
    ("dense", "rows"): ("activation_mask", {"fraction": 0.1}),
    ("mixture", "rows"): ("activation_mask", {"fraction": 0.1}),
    ("dense", "branch"): ("side_branch", {"fraction": 0.1}),
    ("mixture", "branch"): ("side_branch", {"fraction": 0.1}),
    ("dense", "structured_sparsity"): ("structured_sparsity", {"learning_rate": 2e-3}),
    ("mixture", "structured_sparsity"): ("structured_sparsity", {"learning_rate": 2e-3}),
    ("dense", "osf"): ("osf", {"learning_rate": 3e-3}),
    ("mixture", "expert_mask"): ("expert_mask", {"p": 0.4}),
}
FRESH = """
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
given = json.load(open(sys.argv[1]))
for folder, wanted in given["wanted"].items():
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    assert AutoTokenizer.from_pretrained(folder)("def return").input_ids
    with torch.no_grad():
        got = model(input_ids=torch.tensor(given["ids"])).logits.float()
    assert torch.allclose(got, torch.tensor(wanted), atol=1e-3, rtol=1e-3), folder
assert not [m for m in sys.modules if m.startswith(("implicit_sparsity", "peft"))]
print(len(given["wanted"]))
"""


def stage(nano, kind, method, options, folder, precision="fp32"):
    """One trained stage as a folder, and the logits of training."""
    model, tokens = nano(kind)
    settings = networks.TRAINING | {"steps": 3, "precision": precision}
    here = Stage(str(model), ["code"], [tokens["code"]], 0, settings)
    chosen = load("methods", method, **options)
    result = fit.run_stage(here, chosen, folder.parent / f"{folder.name}.scratch")
    with torch.no_grad(), chosen.running(here.model), forward.arithmetic(here.model):
        seen = forward.base_network(here.model)(input_ids=IDS).logits.float()
    with files.new_folder(folder) as new:
        here.save(chosen, new, result["state"])
        study = {"method": method, "trained_domains": ["code"]}
        files.write_json(new / "stage.json", {"study": study, "options": options})
    return seen


@pytest.fixture(scope="module")
def exported(nano, tmp_path_factory):
    """{(kind, name): (export, logits of training)} of all cases."""
    place, made = tmp_path_factory.mktemp("exports"), {}
    for (kind, name), (method, options) in CASES.items():
        adapter, export = place / f"{kind}.{name}", place / f"{kind}.{name}.export"
        seen = stage(nano, kind, method, options, adapter)
        export_model(str(export), str(nano(kind)[0]), {}, name, str(adapter), name=kind)
        made[kind, name] = (export, seen)
    return made


def test_transformers_alone_gets_the_checkpoints_logits(exported, nano, tmp_path):
    wanted = {str(export): seen.tolist() for export, seen in exported.values()}
    base = tmp_path / "base"
    export_model(str(base), str(nano("dense")[0]), {}, "base", name="dense")
    with torch.no_grad():
        wanted[str(base)] = loading.load(nano("dense")[0])(input_ids=IDS).logits.tolist()
    (tmp_path / "wanted.json").write_text(json.dumps({"ids": IDS.tolist(), "wanted": wanted}))
    command = [sys.executable, "-c", FRESH, str(tmp_path / "wanted.json")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) == len(CASES) + 1


@pytest.mark.parametrize("case", CASES)
def test_the_folder_says_what_it_is(exported, nano, case):
    folder, _ = exported[case]
    manifest, base = json.loads((folder / "manifest.json").read_text()), nano(case[0])[0]
    whole = not load("methods", CASES[case][0], **CASES[case][1]).adapter
    assert manifest["form"] == ("copied" if whole else "merged")
    assert whole or manifest["logits_largest_difference"] <= 1e-3 * manifest["logits_largest"]
    assert manifest["study"]["trained_domains"] == ["code"] and manifest["base"]["name"] == case[0]
    listed = {name: files.sha256(folder / name) for name in manifest["files"]}
    assert listed == manifest["files"]
    names = {path.name for path in folder.iterdir()}
    assert names == {*listed, "manifest.json", "README.md"}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= names
    assert not names & {"state.safetensors", "adapter_model.safetensors", "stage.json"}
    ours, theirs = (load_file(place / "model.safetensors") for place in (folder, base))
    assert ours.keys() == theirs.keys(), "parameters have the names of the base model's"
    assert "AutoModelForCausalLM" in (folder / "README.md").read_text()


def test_an_update_too_small_for_bfloat16_survives(nano, tmp_path):
    """Merged into bfloat16 weights it would be rounded away; the export is in float32."""
    adapter, export = tmp_path / "adapter", tmp_path / "export"
    stage(nano, "dense", "lora", {"learning_rate": 1e-6}, adapter, precision="bf16")
    export_model(str(export), str(nano("dense")[0]), {"precision": "bf16"}, "lora", str(adapter))
    base, result = loading.load(nano("dense")[0], precision="bf16").float(), loading.load(export)
    name = "model.layers.0.mlp.up_proj.weight"
    weights = [dict(network.named_parameters())[name] for network in (base, result)]
    moved = (weights[0] != weights[1]).float().mean()
    lost = (weights[0].bfloat16() == weights[1].bfloat16()).float().mean()
    assert moved > 0.9 and lost > 0.9, (moved, lost)


def test_quantized_and_damaged_checkpoints_are_refused(nano, tmp_path, monkeypatch):
    model = str(nano("dense")[0])
    with pytest.raises(InputError, match=r"models\.mine\.quantization.*cannot be merged") as refused:
        export_model(str(tmp_path / "a"), model, {"quantization": "nf4"}, "lora", name="mine")
    assert "\n" not in str(refused.value) and not (tmp_path / "a").exists()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "stage.json").write_text("{}")
    with pytest.raises(InputError, match=r"no adapter_config\.json"):
        export_model(str(tmp_path / "b"), model, {}, "lora", str(tmp_path / "empty"))
    assert not (tmp_path / "b").exists()

    adapter = tmp_path / "adapter"
    stage(nano, "dense", "lora", {}, adapter)
    monkeypatch.setattr(loading, "save", lambda network, folder, precision: spoiled(network, folder))
    with pytest.raises(RuntimeError, match="merged logits differ"):
        export_model(str(tmp_path / "c"), model, {}, "lora", str(adapter))
    assert not (tmp_path / "c").exists(), "what does not compute as the checkpoint does is not left behind"


def spoiled(network, folder):
    with torch.no_grad():
        network.model.layers[1].mlp.up_proj.weight.mul_(1.1)
    network.save_pretrained(str(folder))


def test_an_export_is_a_base_model_of_another_study(exported, tmp_path):
    from prepare_model import prepare_model

    folder, seen = exported["dense", "rows"]
    base = {"source": "path", "path": str(folder), "layers": 4, "width": 64}
    prepare_model(str(tmp_path / "again"), "again", base)
    with torch.no_grad():
        assert torch.allclose(loading.load(tmp_path / "again")(input_ids=IDS).logits, seen, atol=1e-3)


def test_the_rule_asks_for_the_stages_before_and_refuses_what_the_study_has_not(tmp_path):
    studies.trimmed_study(tmp_path)
    wanted = "results/exports/nano_dense/lora.forward.seed0.stage2"
    reported = studies.run(tmp_path, "-n", wanted)
    counts = studies.planned_jobs(reported)
    assert (counts["export_model"], counts["train_adapter"], counts["prepare_model"]) == (1, 2, 1)
    assert "evaluate_checkpoint" not in counts
    reported = studies.run(tmp_path, "-n", wanted.replace("stage2", "stage3"), check=False)
    assert (
        "found 'lora.forward.seed0.stage3', which is no checkpoint of nano_dense, allowed: base" in reported
    )
    assert "Traceback" not in reported


def test_the_check_reads_the_network_and_not_its_shape(nano):
    first, second = (logits(loading.load(nano(kind)[0])) for kind in ("dense", "mixture"))
    assert first.shape == second.shape == (*TOKENS, 320) and Path(nano("dense")[0]).is_dir()
    assert not torch.allclose(first, second, atol=0.1)


def test_generation_settings_are_no_part_of_a_study_and_leave_with_the_export(nano, tmp_path):
    """Of settings that transformers would refuse to save: a temperature without sampling, as Llama 2 has."""
    model, shipped = tmp_path / "model", {"temperature": 0.6, "repetition_penalty": 1.3}
    shutil.copytree(nano("llama")[0], model)
    (model / loading.GENERATION).write_text(json.dumps(shipped))
    network = loading.load(model)
    assert network.generation_config.repetition_penalty is None
    networks.make_adapter(network, tmp_path / "adapter", lambda _, a, b: (a.fill_(0.01), b.fill_(0.01)))
    (tmp_path / "whole").mkdir()
    loading.save(network, tmp_path / "whole", "fp32")
    assert not (tmp_path / "whole" / loading.GENERATION).exists()
    (
        (tmp_path / "adapter" / "stage.json").write_text("{}"),
        (tmp_path / "whole" / "stage.json").write_text("{}"),
    )
    for name, trained in (("a", None), ("b", tmp_path / "whole"), ("c", tmp_path / "adapter")):
        (tmp_path / name).mkdir()
        write(tmp_path / name, model, {}, "m", trained)
        assert json.loads((tmp_path / name / loading.GENERATION).read_text()) == shipped
