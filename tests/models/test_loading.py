"""Checkpoints in the published vision-language layout: fetched from a hub, the text model alone is loaded."""

import json
import subprocess
import sys

import layouts
import multimodal
import networks
import pytest
import studies
import torch
from corpora.hub_server import REVISION, Hub

from implicit_sparsity import errors
from implicit_sparsity.models import adapters, loading

PREPARE = """
import json, sys, prepare_model
for target, base in json.loads(sys.argv[1]):
    prepare_model.prepare_model(target, "m", base)
"""
SHAPES = {"dense": {"layers": 4, "width": 64}, "mixture": {"layers": 4, "width": 8 * 16 + 24}}
LAYOUTS = ("dense", "mixture", "mixture unfused")


@pytest.fixture(scope="module")
def fetched(tmp_path_factory):
    """{layout: the multimodal network that was published}, and where rule fetch_model put each from a hub."""
    place, networks_of, jobs = tmp_path_factory.mktemp("vl"), {}, []
    with Hub() as hub:
        for layout in LAYOUTS:
            kind, name = layout.split()[0], layout.replace(" ", "_")
            published, networks_of[layout] = multimodal.make(
                place / f"{name}.published", kind, "unfused" in layout
            )
            hub.put(f"owner/{name}", published)
            base = {"source": "hub", "repo": f"owner/{name}", "revision": REVISION} | SHAPES[kind]
            jobs.append((str(place / name), base))
        command = [sys.executable, "-c", PREPARE, json.dumps(jobs)]
        done = subprocess.run(command, env=hub.environment(place / "home"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return place, networks_of


@pytest.fixture(params=LAYOUTS)
def prepared(request, fetched):
    """(kind, folder of the prepared model, the network that was published)."""
    place, networks_of = fetched
    layout = request.param
    return layout.split()[0], place / layout.replace(" ", "_"), networks_of[layout]


def logits(model, **more):
    ids = torch.randint(3, 290, (2, 12), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model(input_ids=ids, **more).logits


def test_text_model_computes_what_the_whole_one_does(prepared):
    """To the bit: the weights as loaded, and the logits once they lie in memory alike. In a mapped file they
    start at any byte, and kernels may add up in another order there."""
    kind, folder, whole = prepared
    model, published = loading.load(folder), dict(whole.named_parameters())
    for name, p in model.named_parameters():
        assert torch.equal(p, published[name.replace("model.", "model.language_model.", 1)]), name
        p.data = p.data.clone()
    assert torch.equal(logits(model), logits(whole)) and logits(model).std() > 0.1
    assert loading.shape(folder) == SHAPES[kind] | {"experts": {"dense": 0, "mixture": 8}[kind]}


def test_tower_and_prediction_head_are_not_in_memory(prepared):
    _, folder, whole = prepared
    names = [name for name, _ in loading.load(folder).named_parameters()]
    stored = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    for part in ("visual", "mtp"):
        assert any(part in name for name in stored) and not any(part in name for name in names)
    text = [name for name, _ in whole.named_parameters() if "visual" not in name]
    assert len(names) == len(text) and not any("language_model" in name for name in names)


def test_adapter_trained_on_it_loads(prepared, tmp_path):
    """Through the rule's own function, then by PEFT's names on a fresh network: the answers have changed."""
    import train_adapter

    _, folder, _ = prepared
    tokens = networks.make_tokens(tmp_path / "code", folder, "code")
    recipe = studies.recipe("lora", {"rank": 2}, networks.TRAINING)
    train_adapter.train_adapter(str(tmp_path / "a"), str(folder), [str(tokens)], recipe)
    adapted = adapters.load_checkpoint(folder, tmp_path / "a")
    assert (logits(adapted) - logits(loading.load(folder))).abs().max() > 1e-3


def test_missing_weights_are_refused(tmp_path):
    """transformers would fill them with random values and say so in a warning."""
    from safetensors.torch import load_file, save_file

    folder, _ = multimodal.make(tmp_path / "vl", "dense", shards=1)
    (file,) = folder.glob("*.safetensors")
    tensors = load_file(file)
    lost = "model.language_model.layers.2.mlp.up_proj.weight"
    save_file({name: t for name, t in tensors.items() if name != lost}, file, metadata={"format": "pt"})
    with pytest.raises(errors.InputError, match=r"no weights for model\.layers\.2\.mlp\.up_proj\.weight"):
        loading.load(folder)


@pytest.mark.parametrize("name", layouts.LAYOUTS)
def test_the_width_of_a_folder_is_that_of_its_widest_layer(name, tmp_path):
    """Counted by hand, of the configuration alone: there are no weights in the folder."""
    layouts.make(name).config.save_pretrained(tmp_path)
    sizes, (_, layers) = layouts.SIZES[name], layouts.LAYOUTS[name]
    experts = max(0 if isinstance(layer, int) else layer[0] for layer in layers)
    assert loading.shape(tmp_path) == {"layers": 3, "width": max(sizes), "experts": experts}
