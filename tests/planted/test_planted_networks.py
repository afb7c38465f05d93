"""Networks in which something was planted: that it is there, and that the atlas says so and nothing of one without."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.calibrating.planted import Planted
from workbench.calibrating.planted.readers import AT, BLOCKS, KINDS, network, opened, texts
from workbench.report.touring import claims_of, count, kinds


def layers(kind: str, seed: int = 0) -> wb.Activations:
    return wb.capture(network(kind, seed), texts(seed))


def accuracy(acts: wb.Activations, site: str, label: str = "kind") -> float:
    return wb.linear_probe(acts.at(site), label=label, n_null=0, n_boot=0).evidence[0].value


def test_a_planted_label_is_read_off_from_its_layer_on_and_a_coin_never() -> None:
    acts = layers("label")
    before, after = (accuracy(acts, f"blocks.{i}") for i in (AT - 1, AT))
    assert before < 0.9 < 0.97 < after
    assert accuracy(acts, f"blocks.{BLOCKS - 1}") > 0.97
    assert accuracy(acts, f"blocks.{AT}", "coin") < 0.7


def test_a_label_along_a_direction_that_nothing_reads_is_there_and_of_no_use() -> None:
    net, ids = network("unused", 0), torch.randint(0, 60, (4, 12), generator=torch.manual_seed(0))
    attention = net.module.blocks[AT].attention
    axis = torch.linalg.svd(attention.value.weight)[0][:, 0]

    def without(module: object, given: object, out: torch.Tensor) -> torch.Tensor:
        return out - (out @ axis)[..., None] * axis

    with torch.no_grad():
        before = net.module(ids)
        hook = attention.register_forward_hook(without)
        torch.testing.assert_close(net.module(ids), before, atol=1e-5, rtol=1e-5)
        hook.remove()
        used = network("label", 0).module
        before = used(ids)
        axis = torch.linalg.svd(used.blocks[AT].attention.value.weight)[0][:, 0]
        used.blocks[AT].attention.register_forward_hook(without)
        assert (used(ids) - before).abs().max() > 0.1  # of the other kind it is of use
    assert accuracy(layers("unused"), f"blocks.{BLOCKS - 1}") > 0.97  # and it is there all the same


def test_an_induction_head_gives_what_followed_a_word_when_it_was_last_there() -> None:
    module = network("induction", 0).module
    ids = torch.randint(0, 60, (400, 12), generator=torch.manual_seed(0))
    seen: list[torch.Tensor] = []
    module.blocks[1].register_forward_hook(lambda m, given, out: seen.append(out))
    with torch.no_grad():
        module(ids)
        said = (seen[0] @ module.head.weight.T).argmax(-1)
    asked = [
        (said[i, at], ids[i, before[0] + 1])
        for i in range(len(ids))
        for at in range(1, 12)
        if len(before := np.flatnonzero(ids[i, :at] == ids[i, at])) == 1 and before[0] > 0
        # of the first word nothing stands before, so that the head notes the word itself
    ]
    assert len(asked) > 200 and all(given == followed for given, followed in asked)


@pytest.mark.parametrize("kind", ["copies", "turns"])
def test_a_layer_that_copies_or_turns_is_the_same_picture(kind: str) -> None:
    acts = layers(kind)
    step = acts.at(f"blocks.{AT - 1}", f"blocks.{AT}")
    assert wb.cka(step, n_null=0).evidence[0].value == pytest.approx(1, abs=1e-4)
    recall = wb.neighbourhood_preservation(step, n_null=0).evidence_of("recall").value
    assert recall == pytest.approx(1, abs=0.01)
    moved = np.abs(acts.array(f"blocks.{AT}") - acts.array(f"blocks.{AT - 1}")).max()
    assert (moved < 1e-5) == (kind == "copies")


def test_a_flat_network_has_three_dimensions() -> None:
    for site in ("blocks.0", f"blocks.{BLOCKS - 1}"):
        values = layers("flat").at(site).values
        spread = np.linalg.svd(values - values.mean(0), compute_uv=False)
        assert spread[3] < 1e-4 * spread[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [k for k in KINDS if KINDS[k].claims])
def test_the_atlas_claims_what_was_planted(kind: str) -> None:
    answers = claims_of("atlas", kind, seed=1)["answers"]
    claimed = {n: answers[n]["claimed"] for n in KINDS[kind].claims}
    assert any(claimed.values())
    assert all(way in ("", KINDS[kind].claims[n]) for n, way in claimed.items())


@pytest.mark.slow
def test_the_atlas_claims_nothing_of_networks_that_learned_nothing() -> None:
    claimed = [
        n
        for seed in range(2, 6)
        for n, a in claims_of("atlas", "untrained", seed)["answers"].items()
        if a["claimed"]
    ]
    assert len(claimed) <= 1  # of 28, in four tours


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["label", "groups"])
def test_a_report_of_an_own_network_claims_what_was_planted(kind: str) -> None:
    counted = count(kinds("explore")[kind], [claims_of("explore", kind, seed=1)])
    assert any(f["times"] for f in counted["found"].values())


@pytest.mark.slow
def test_reports_of_networks_that_learned_nothing_claim_nothing() -> None:
    counted = count(kinds("explore")["untrained"], [claims_of("explore", "untrained", s) for s in range(3)])
    assert counted["false"] <= 1 and len(counted["claims"]) == 5


def test_tours_that_claim_something_are_counted_by_question_and_way() -> None:
    records = [
        {"answers": {"recall": {"claimed": "more"}, "cka": {"claimed": ""}}},
        {"answers": {"recall": {"claimed": "less"}, "cka": {"claimed": "less"}}},
        {"answers": {"recall": {"claimed": ""}}},
    ]
    counted = count(KINDS["copies"], records)
    assert (counted["networks"], counted["claimed"], counted["false"]) == (3, 2, None)
    assert counted["claims"] == {"recall": {"more": 1, "less": 1}, "cka": {"less": 1}}
    assert counted["found"] == {
        "recall": {"way": "more", "times": 1},
        "cka": {"way": "more", "times": 0},
    }
    some = Planted("something", opened, {"rec*": "less"}, never=("c*",))
    counted = count(some, records)
    assert counted["false"] == 1 and counted["found"]["rec*"]["times"] == 1
    assert count(KINDS["untrained"], records)["false"] == 2


def test_first_runs_are_alike_by_name_and_to_one_part_in_ten_thousand() -> None:
    from workbench.report.touring import _alike

    before = [{"a": {"p": 0.02, "claimed": "more"}, "b": {"p": None, "claimed": ""}}]
    assert _alike([dict(reversed(before[0].items()))], before)
    assert _alike([before[0] | {"a": {"p": 0.020001, "claimed": "more"}}], before)
    for p, claimed in ((0.0201, "more"), (0.02, ""), (None, "more")):
        assert not _alike([before[0] | {"a": {"p": p, "claimed": claimed}}], before)
    assert not _alike([{"a": before[0]["a"]}], before) and not _alike(before, [])
