"""What each of several processes holds, and what they learn of each other; and one alone."""

import os

import multimodal
import pytest
import torch
import workers
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from workers import forked  # noqa: F401 (a fixture)

from implicit_sparsity.models import loading, processes
from implicit_sparsity.storage.files import write_json


def asked(rank=0):
    """What a process says of itself and of what it shares; number 7 is the first one's alone."""
    marks = {"b": torch.tensor([rank == 1, False]), "a": torch.tensor([rank == 2, rank == 0, False])}
    return {
        "who": [processes.world(), processes.rank(), processes.is_handed_weights()],
        "rows": [[processes.rows(n).start, processes.rows(n).stop] for n in (7, 4, 1, 0)],
        "summed": processes.summed([7 * (rank == 0), 1, -rank]),
        "largest": processes.largest([7 * (rank == 0), rank == 1, -rank]),
        "flags": {name: flags.int().tolist() for name, flags in processes.flags(marks).items()},
        "none": processes.flags({}),
    }


def test_one_process_holds_all_and_asks_nobody():
    assert asked() == {
        "who": [1, 0, False],
        "rows": [[0, 7], [0, 4], [0, 1], [0, 0]],
        "summed": [7, 1, 0],
        "largest": [7, 0, 0],
        "flags": {"b": [0, 0], "a": [0, 1, 0]},
        "none": {},
    }
    tensor = torch.ones(3)
    assert processes.local(tensor) is tensor


def test_three_processes_share_rows_sums_and_flags(tmp_path):
    answers = workers.together(3, asked, tmp_path / "three")
    assert [one.pop("who") for one in answers] == [[3, 0, False], [3, 1, True], [3, 2, True]]
    rows = [one.pop("rows") for one in answers]
    assert rows == [
        [[0, 3], [0, 2], [0, 1], [0, 0]],
        [[3, 6], [2, 4], [1, 1], [0, 0]],
        [[6, 7], [4, 4], [1, 1], [0, 0]],
    ]
    everywhere = {"summed": [7, 3, -3], "largest": [7, 1, 0], "flags": {"b": [1, 0], "a": [1, 1, 0]}}
    assert answers == [everywhere | {"none": {}}] * 3, "each has heard the same"


def test_rows_are_those_that_torch_lays_out(tmp_path):
    def held(rank):
        mesh, result = init_device_mesh("cpu", (3,)), []
        for count in range(1, 8):
            whole = torch.arange(2 * count).reshape(count, 2)
            mine = processes.local(distribute_tensor(whole, mesh, [Shard(0)]))
            result.append([mine.tolist(), whole[processes.rows(count)].tolist()])
        return result

    for one in workers.together(3, held, tmp_path / "three"):
        assert all(torchs == ours for torchs, ours in one) and any(ours for _, ours in one)


@pytest.mark.usefixtures("forked")
def test_one_process_alone_reads_the_weights(nano, tmp_path, monkeypatch):
    """The others have room for them, and get them from it: eight copies of a large model fit no node."""
    seen = tmp_path / "seen"
    load = loading._empty_init

    def empty_init(*given):
        seen.write_text(os.environ["RANK"])
        return load(*given)

    monkeypatch.setattr(loading, "_empty_init", empty_init)
    # as published: a vision-language checkpoint, of which the text model is trained and saved
    place, whole = multimodal.make(tmp_path / "vl", "mixture")
    write_json(place / "manifest.json", {"revision": "random", "files": {}})
    published = lambda kind: (place, nano(kind)[1])  # noqa: E731
    monkeypatch.setitem(workers.OPTIONS, "full", {"learning_rate": 1e-9})
    trained = workers.train(published, "mixture", "full", 2, tmp_path / "two", steps=1)
    assert seen.read_text() == "1"
    with torch.no_grad():
        expected = whole(input_ids=workers.IDS).logits
    torch.testing.assert_close(workers.logits(trained, place), expected, atol=1e-4, rtol=1e-4)
