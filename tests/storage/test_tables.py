"""From evaluations and stage folders to the long tables: every cell accounted for, nothing invented."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from collect_scores import collect_scores
from collect_stages import collect_stages
from continual_metrics import continual_metrics
from planted import BASE, DOMAINS, write_eval, write_evals, write_stage, write_stages

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics.continual import metrics
from implicit_sparsity.storage.tables import read_table

ORDERS = {"main": list(DOMAINS)}


@pytest.fixture
def arranged(tmp_path):
    """(scores, r_matrices, metrics) tables of two models, three methods and two seeds."""
    rng = np.random.default_rng(0)
    files = [
        f for model in ("nano", "wide") for f in write_evals(tmp_path / "e", rng, seeds=(0, 1), model=model)
    ]
    return arrange(tmp_path, files)


def arrange(folder, files, orders=ORDERS):
    paths = [str(folder / f"{name}.csv") for name in ("scores", "r_matrices", "metrics")]
    collect_scores(paths[0], files)
    continual_metrics(paths[1], paths[2], paths[0], orders)
    return [pd.read_csv(path, keep_default_na=False, na_values=["nan", ""]) for path in paths]


def test_scores_hold_every_evaluation(arranged):
    scores = arranged[0]
    columns = "model method order seed stage domain metric value stderr n groups trusted higher_is_better"
    assert " ".join(scores.columns) == columns
    # models, metrics, domains, base + methods x seeds x stages
    assert len(scores) == 2 * 2 * 4 * (1 + 3 * 2 * 4)
    base = scores[(scores["method"] == "base") & (scores["metric"] == "loss_content")]
    assert base["seed"].isna().all() and set(base["value"]) == set(BASE.values())


def test_r_matrices_are_the_scores_with_the_base_as_row_zero(arranged):
    scores, cells, _ = arranged
    one = cells[(cells["model"] == "wide") & (cells["method"] == "lora") & (cells["seed"] == 1)]
    one = one[one["metric"] == "loss_content"]
    assert len(one) == 5 * 4 and set(one["position"]) == {1, 2, 3, 4}
    assert one.loc[one["stage"] == 0, "trained_domain"].isna().all()
    assert set(one.loc[one["stage"] == 2, "trained_domain"]) == {"math"}
    assert one.loc[one["stage"] == 0].set_index("domain")["value"].to_dict() == BASE
    source = scores.query("model == 'wide' and method == 'lora' and seed == 1 and metric == 'loss_content'")
    for row in source.itertuples():
        cell = one[(one["stage"] == row.stage) & (one["domain"] == row.domain)]
        assert cell["value"].item() == row.value


def test_metrics_table_is_what_the_library_computes(arranged):
    _, cells, table = arranged
    for better, score in ((False, "loss_content"), (True, "acc")):
        one = cells.query(f"model == 'nano' and method == 'orthogonal' and seed == 0 and metric == '{score}'")
        r = one.pivot_table(index="stage", columns="position", values="value").to_numpy()
        expected = metrics(r[1:], r[0], higher_is_better=better)
        result = table.query(
            f"model == 'nano' and method == 'orthogonal' and seed == 0 and score == '{score}'"
        )
        for row in result.itertuples():
            assert row.value == pytest.approx(expected[row.metric], nan_ok=True)
            assert row.formula
        assert dict(zip(result["metric"], result["higher_is_better"]))["final_mean"] == better
    assert set(table["order"]) == {"main"} and set(table["seed"]) == {0, 1}


def chain(folder, values, better=True, metric="acc"):
    """values: stage -> domain -> value."""
    files = []
    for stage, row in values.items():
        for domain, value in row.items():
            who = {"method": "lora", "order": "o", "seed": 0, "stage": stage} if stage else {}
            path = folder / "c" / f"{stage}.{domain}.json"
            files.append(write_eval(path, domain, {metric: (value, better)}, **who))
    return files


def test_a_missing_stage_is_empty_and_never_a_number(tmp_path):
    files = chain(tmp_path, {0: {"x": 0.1, "y": 0.1}, 2: {"x": 0.5, "y": 0.8}})
    _, cells, table = arrange(tmp_path, files, {"o": ["x", "y"]})
    assert set(cells["stage"]) == {0, 2}
    result = dict(zip(table["metric"], table["value"]))
    assert result["final_mean"] == pytest.approx(0.65) and result["final_gain"] == pytest.approx(0.55)
    assert np.isnan(result["bwt"]) and np.isnan(result["forgetting"]) and np.isnan(result["learned"])


def test_domains_outside_the_order_measure_general_ability(tmp_path):
    stages = {0: {"x": 0.1, "g": 0.6}, 1: {"x": 0.5, "g": 0.4}}
    _, cells, table = arrange(tmp_path, chain(tmp_path, stages), {"o": ["x"]})
    assert set(cells.loc[cells["domain"] == "g", "position"]) == {0}
    assert dict(zip(table["metric"], table["value"]))["general_delta"] == pytest.approx(-0.2)


def test_a_score_of_one_domain_alone_has_cells_but_no_metrics(tmp_path):
    files = chain(tmp_path, {0: {"x": 0.1, "y": 0.1}, 1: {"x": 0.5, "y": 0.1}, 2: {"x": 0.5, "y": 0.8}})
    extra = {"exact_match": (0.3, True), "acc": (0.5, True)}
    who = {"method": "lora", "order": "o", "seed": 0, "stage": 1}
    files[2] = write_eval(tmp_path / "c" / "1.x.json", "x", extra, **who)
    _, cells, table = arrange(tmp_path, files, {"o": ["x", "y"]})
    assert len(cells[cells["metric"] == "exact_match"]) == 1
    assert set(table["score"]) == {"acc"}


def test_base_alone_gives_empty_tables_with_headers(tmp_path):
    _, cells, table = arrange(tmp_path, chain(tmp_path, {0: {"x": 0.1}}), {"o": ["x"]})
    assert cells.empty and table.empty and "value" in cells.columns and "formula" in table.columns


def test_wrong_evaluations_are_one_line(tmp_path):
    good = write_eval(tmp_path / "a.json", "x", {"acc": (1, True)})
    for name, text in {
        "cut.json": '{"study": {"model": ',
        "other.json": '{"results": {}}',
        "half.json": json.dumps({"study": {"model": "m", "metrics": {}}}),
        "list.json": "[]",
        "binary.json": "\udcff",
    }.items():
        bad = tmp_path / name
        bad.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(InputError, match=name) as error:
            collect_scores(str(tmp_path / "s.csv"), [good, str(bad)])
        assert "\n" not in str(error.value)
    twin = write_eval(tmp_path / "b.json", "x", {"acc": (1, True)})
    with pytest.raises(InputError, match="same evaluation"):
        collect_scores(str(tmp_path / "s.csv"), [good, twin])
    with pytest.raises(InputError, match="without metrics"):
        collect_scores(str(tmp_path / "s.csv"), [write_eval(tmp_path / "d.json", "x", {})])


def test_an_order_that_left_the_config_is_named(tmp_path):
    with pytest.raises(InputError, match="'o'"):
        arrange(tmp_path, chain(tmp_path, {1: {"x": 0.1}}), {"other": ["x"]})


def test_stages_and_curves(tmp_path):
    folders = write_stages(tmp_path / "s", np.random.default_rng(0), seeds=(0, 1), steps=6)
    curves, stages = str(tmp_path / "curves.csv"), str(tmp_path / "stages.csv")
    collect_stages(curves, stages, folders)
    curve, stage = read_table(curves), read_table(stages)
    assert len(stage) == 3 * 2 * 4 and len(curve) == len(stage) * 6
    assert list(stage.columns[:6]) == ["model", "method", "order", "seed", "stage", "domain"]
    last = curve[curve["step"] == 6].reset_index(drop=True)["loss"]
    assert last.tolist() == stage["training.loss_at_end"].tolist()


def test_damaged_stage_folders_are_one_line(tmp_path):
    study = {"model": "m", "method": "lora", "order": "o", "seed": 0, "stage": 1, "domain": "x"}
    out = str(tmp_path / "c.csv"), str(tmp_path / "t.csv")
    good = write_stage(tmp_path / "good", study, [1.0])
    with pytest.raises(InputError, match="same stage"):
        collect_stages(*out, [good, write_stage(tmp_path / "twin", study, [1.0])])
    (tmp_path / "good" / "learning_curve.csv").write_text("step,speed\n1,2\n")
    with pytest.raises(InputError, match="no column loss, loss_content"):
        collect_stages(*out, [good])
    (tmp_path / "good" / "learning_curve.csv").write_text("")
    with pytest.raises(InputError, match="not a CSV"):
        collect_stages(*out, [good])
    (tmp_path / "good" / "stage.json").write_text("{}")
    with pytest.raises(InputError, match=r"stage\.json"):
        collect_stages(*out, [good])


def run(folder, method, r, seed=0, metric="acc", better=True, domains=("x", "y")):
    """Evaluation files of one run; r: [T + 1, T], the base model first, written of the method base alone."""
    files = []
    for stage, row in enumerate(r):
        for domain, value in zip(domains, row):
            who = {"method": method, "order": "o", "seed": seed, "stage": stage} if stage else {}
            if stage or method == "base":
                path = folder / "r" / f"{method}.{seed}.{stage}.{domain}.json"
                files.append(write_eval(path, domain, {metric: (value, better)}, **who))
    return files


BASE_R = [[0.1, 0.1]]


def test_intransigence_is_against_the_best_joint_run_of_the_seed(tmp_path):
    files = run(tmp_path, "base", BASE_R) + run(tmp_path, "lora", [*BASE_R, [0.5, 0.2], [0.3, 0.7]])
    files += run(tmp_path, "joint_slow", [*BASE_R, [0.5, 0.2], [0.6, 0.6]])
    files += run(tmp_path, "joint_fast", [*BASE_R, [0.5, 0.2], [0.6, 0.9]])
    files += run(tmp_path, "lora", [*BASE_R, [0.5, 0.2], [0.3, 0.7]], seed=1)
    paths = [str(tmp_path / f"{name}.csv") for name in ("scores", "r_matrices", "metrics")]
    collect_scores(paths[0], files)
    continual_metrics(paths[1], paths[2], paths[0], {"o": ["x", "y"]}, ["joint_slow", "joint_fast", "gone"])
    result = read_table(paths[2]).query("metric == 'intransigence'").set_index(["method", "seed"])["value"]
    assert result["lora", 0] == pytest.approx(((0.6 - 0.5) + (0.9 - 0.7)) / 2)
    assert np.isnan(result["lora", 1]), "no joint run in this seed"
    assert result["joint_fast", 0] == pytest.approx((0.6 - 0.5) / 2)


def test_cells_have_their_own_groups_and_metrics_those_of_the_fewest(tmp_path):
    files = run(tmp_path, "base", BASE_R) + run(tmp_path, "lora", [*BASE_R, [0.5, 0.2], [0.3, 0.7]])
    last = json.loads(Path(files[-1]).read_text())
    last["study"]["metrics"]["acc"] |= {"n": 5, "groups": 4}
    Path(files[-1]).write_text(json.dumps(last))
    paths = [str(tmp_path / f"{name}.csv") for name in ("scores", "r_matrices", "metrics")]
    collect_scores(paths[0], files)
    continual_metrics(paths[1], paths[2], paths[0], {"o": ["x", "y"]})
    cells, metrics = (read_table(path) for path in paths[1:])
    counts = {
        domain: part[["n", "groups", "trusted"]].values.tolist() for domain, part in cells.groupby("domain")
    }
    assert counts == {"x": [[24, 12, True]] * 3, "y": [*[[24, 12, True]] * 2, [5, 4, False]]}
    assert metrics[["n", "groups", "trusted"]].drop_duplicates().values.tolist() == [[5, 4, False]]


def test_general_delta_is_of_the_reference_set_alone(tmp_path):
    """z is trained by no stage of the order either: without a reference set both count."""
    domains = ("x", "y", "z", "apart")
    rows = [[0.1, 0.1, 0.4, 0.5], [0.5, 0.2, 0.3, 0.6], [0.3, 0.7, 0.2, 0.9]]
    files = run(tmp_path, "base", rows[:1], domains=domains) + run(tmp_path, "lora", rows, domains=domains)
    paths = [str(tmp_path / f"{name}.csv") for name in ("scores", "r_matrices", "metrics")]
    collect_scores(paths[0], files)
    for reference, expected in (("apart", 0.4), ("", (0.4 - 0.2) / 2), ("gone", np.nan)):
        continual_metrics(paths[1], paths[2], paths[0], {"o": ["x", "y"]}, reference=reference)
        values = read_table(paths[2]).query("metric == 'general_delta'")["value"]
        assert values.item() == pytest.approx(expected, nan_ok=True)


def test_divergence_stands_beside_every_metric_and_has_none_of_its_own(tmp_path):
    kl = [[0.0, 0.0], [0.2, 0.1], [0.5, 0.4]]
    loss = [[3.0, 3.0], [2.0, 3.0], [2.5, 2.0]]
    files = []
    for stage, (moved, losses) in enumerate(zip(kl, loss)):
        for domain, a, b in zip("xy", moved, losses):
            who = {"method": "lora", "order": "o", "seed": 0, "stage": stage} if stage else {}
            both = {"kl_content": (a, False), "kl_completion": (2 * a, False), "loss_content": (b, False)}
            files.append(write_eval(tmp_path / "k" / f"{stage}.{domain}.json", domain, both, **who))
    _, cells, table = arrange(tmp_path, files, {"o": ["x", "y"]})
    assert table["kl_newest"].tolist() == pytest.approx([0.3] * len(table))
    for score, times in (("kl_content", 1), ("kl_completion", 2)):
        own = table[table["score"] == score].set_index("metric")
        expected = {"kl_newest": 0.3, "kl_newest_1": 0.2, "kl_newest_2": 0.4, "kl_final": 0.45}
        assert own["value"].to_dict() == pytest.approx({name: times * v for name, v in expected.items()})
        assert own["formula"].notna().all() and not own["higher_is_better"].any()
    assert set(cells["metric"]) == {"kl_content", "kl_completion", "loss_content"}
    assert table.query("score == 'loss_content' and metric == 'forgetting'")["value"].item() == pytest.approx(
        0.5
    )
