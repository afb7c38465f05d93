"""Networks under edits: what they compute, what they share with their base, and that captures are made anew."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from nets_for_tests import PROMPT
from torch import nn

import workbench as wb
from workbench.capturing import capture
from workbench.core.edit import stacked
from workbench.core.errors import DataError, FormatError, MissingError, ViewError
from workbench.numerics.hooks import hooked
from workbench.subjects.checkpoint import Checkpoint
from workbench.subjects.network import Network

LAYER = "model.layers.1"


@pytest.fixture(scope="module")
def decoder() -> Checkpoint:
    return wb.open("glassllm-en")


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)).eval()
    return Network("net", "digest", module)


X = torch.linspace(-1, 1, 24).reshape(6, 4)


def rng(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def test_weights_are_changed_in_a_module_that_shares_the_others(network) -> None:
    edit = wb.LowRank({"0.weight": rng(5, 1)}, {"0.weight": rng(1, 4, seed=1)})
    before = network.module(X)
    edited = network + edit
    peer = torch.nn.functional.linear(
        X, network.module[0].weight + torch.tensor(rng(5, 1) @ rng(1, 4, seed=1)), network.module[0].bias
    )
    torch.testing.assert_close(edited.module[0](X), peer)
    assert (edited.module(X) != before).any()
    assert edited.module[3].weight is network.module[3].weight
    assert edited.module[0].weight is not network.module[0].weight
    assert (
        edited.module[1].running_mean is not network.module[1].running_mean
    )  # a pass in training mode writes to it
    assert (network.module(X) == before).all()
    assert edited.digest != network.digest
    assert edited.base is network and edited - edit is network and edited.undo() is network


def test_tied_weights_stay_tied() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(7, 4)
            self.head = nn.Linear(4, 7, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, ids):
            return self.head(self.embed(ids))

    base = Network("tied", "d", Tied().eval())
    edited = base + wb.Replacement({"embed.weight": rng(7, 4)})
    assert edited.module.head.weight is edited.module.embed.weight
    np.testing.assert_array_equal(edited.module.head.weight.detach().numpy(), rng(7, 4))
    assert base.module.head.weight is base.module.embed.weight is not edited.module.embed.weight


def test_a_recurrent_layer_computes_with_its_new_weights() -> None:
    lstm = nn.LSTM(3, 4).eval()
    x = torch.randn(5, 2, 3)
    edited = Network("lstm", "d", lstm) + wb.Dense({"weight_hh_l0": rng(16, 4)})
    peer = nn.LSTM(3, 4).eval()
    peer.load_state_dict(lstm.state_dict())
    with torch.no_grad():
        peer.weight_hh_l0 += torch.tensor(rng(16, 4))
    torch.testing.assert_close(edited.module(x)[0], peer(x)[0])


def test_a_buffer_can_be_replaced_and_half_precision_stays(network) -> None:
    edited = network + wb.Replacement({"1.running_mean": np.full(5, 2.0)})
    assert (edited.module[1].running_mean == 2).all() and (network.module[1].running_mean == 0).all()
    half = Network("half", "d", nn.Linear(4, 3).bfloat16()) + wb.Dense({"weight": rng(3, 4)})
    assert half.module.weight.dtype == torch.bfloat16


def test_a_parameter_or_module_that_is_not_there_is_suggested(network) -> None:
    with pytest.raises(MissingError, match=r"no parameter '0\.wieght'.*Did you mean '0\.weight'"):
        network + wb.Dense({"0.wieght": rng(5, 4)})
    with pytest.raises(MissingError, match="no module 'O'"):
        network + wb.Affine.adding("O", rng(5))
    with pytest.raises(DataError, match="has the shape"):
        network + wb.Dense({"0.weight": rng(4, 5)})


def test_a_checkpoint_and_its_network_give_the_same_edited_network(decoder) -> None:
    edit = stacked(wb.prune(decoder, fraction=0.4), wb.shuffle_weights(decoder, at=f"{LAYER}.**"))
    from_weights, from_network = (decoder + edit).network(), decoder.network() + edit
    assert from_weights.digest == from_network.digest == (decoder + edit).digest
    state = from_network.module.state_dict()
    for name in decoder:
        np.testing.assert_array_equal((decoder + edit)[name], state[name].numpy())
    assert from_weights.answer(PROMPT) == from_network.answer(PROMPT) != decoder.network().answer(PROMPT)


# -- at a site ----------------------------------------------------------------------------------------


def outputs(network: Network, site: str, x: torch.Tensor = X) -> np.ndarray:
    with hooked(network.module, [site]) as caught, torch.no_grad():
        network.module(x)
    return caught[site].numpy()


def test_known_answer_a_projection_leaves_nothing_along_the_directions(network) -> None:
    directions = rng(2, 5, seed=3) * [[100], [0.01]]
    edited = network + wb.Affine.projecting_out("0", directions)
    before, after = outputs(network, "0"), outputs(edited, "0")
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    assert np.abs(before @ unit.T).max() > 0.1
    assert np.abs(after @ unit.T).max() < 1e-6
    across = np.linalg.svd(unit)[2][2:]
    np.testing.assert_allclose(after @ across.T, before @ across.T, atol=1e-6)
    np.testing.assert_allclose(outputs(edited, "1").shape, (6, 5))
    assert edited.undo() is network
    assert outputs(network, "0").tobytes() == before.tobytes()


def test_a_projection_to_the_mean_gives_every_row_the_means_component(network) -> None:
    before = outputs(network, "0")
    direction = rng(5, seed=4)
    after = outputs(network + wb.Affine.projecting_out("0", direction, mean=before.mean(0)), "0")
    np.testing.assert_allclose(after @ direction, np.full(6, before.mean(0) @ direction), atol=1e-5)


def test_peer_leace_is_an_affine_edit(network) -> None:
    """The map of Belrose et al., written from its formula: afterwards no class differs in its mean."""
    before = outputs(network, "0", torch.randn(400, 4, generator=torch.Generator().manual_seed(1)))
    label = before @ rng(5, seed=7) > 0
    mean, cov = before.mean(0), np.cov(before.T)
    spread, axes = np.linalg.eigh(cov)
    keep = spread > 1e-9 * spread.max()
    whiten = (axes[:, keep] / np.sqrt(spread[keep])) @ axes[:, keep].T
    unwhiten = (axes[:, keep] * np.sqrt(spread[keep])) @ axes[:, keep].T
    direction = whiten @ (before[label].mean(0) - before[~label].mean(0))
    direction /= np.linalg.norm(direction)
    left, right = unwhiten @ direction[:, None], direction[None] @ whiten
    eraser = wb.Affine("0", (left @ (right @ mean)).astype(np.float32), -left, right)
    with torch.no_grad():
        after = eraser.at_site("0")(torch.tensor(before)).numpy()
    assert np.linalg.norm(before[label].mean(0) - before[~label].mean(0)) > 0.1
    assert np.linalg.norm(after[label].mean(0) - after[~label].mean(0)) < 1e-5
    np.testing.assert_allclose(after.mean(0), mean, atol=1e-5)


def test_a_steering_vector_is_added_and_its_negative_takes_it_off(network) -> None:
    v = rng(5, seed=2)
    edit = wb.Affine.adding("0", v)
    np.testing.assert_allclose(
        outputs(network + 2 * edit, "0") - outputs(network, "0"), [2 * v] * 6, atol=1e-6
    )
    np.testing.assert_allclose(outputs(network + edit + -edit, "0"), outputs(network, "0"), atol=1e-6)
    with pytest.raises(ViewError, match="no negative"):
        _ = -wb.Affine.projecting_out("0", v)


def test_directions_that_depend_on_each_other_are_refused() -> None:
    v = rng(5)
    for directions in ([v, 2 * v], [v, 0 * v], rng(6, 5), np.zeros(5)):
        with pytest.raises(DataError, match="depend on each other"):
            wb.Affine.projecting_out("0", directions)
    with pytest.raises(DataError, match=r"left is \(d, k\)"):
        wb.Affine("0", np.zeros(5), np.zeros((5, 2)), np.zeros((3, 5)))
    with pytest.raises(DataError, match=r"left is \(d, k\)"):
        wb.Affine("0", np.zeros(5), np.zeros((5, 2)))


def test_an_affine_edit_survives_save_and_load(network, tmp_path) -> None:
    edit = wb.Affine.adding("3", rng(3)) + wb.Affine.projecting_out("0", rng(5, seed=3))
    again = wb.load(edit.save(tmp_path / "edit"))
    assert again.digest == edit.digest
    assert outputs(network + again, "3").tobytes() == outputs(network + edit, "3").tobytes()


def test_a_function_acts_in_the_process_and_is_not_saved(network, tmp_path) -> None:
    edit = wb.SiteFunction("2", lambda x: x.clamp(max=0.1))
    assert outputs(network + edit, "2").max() == np.float32(0.1) < outputs(network, "2").max()
    with pytest.raises(ViewError, match=r"function of Python.*Save an Affine"):
        edit.save(tmp_path / "edit")
    assert not (tmp_path / "edit").exists()
    assert wb.SiteFunction("2", edit.function).digest != edit.digest == edit.digest
    assert network + edit - edit is network
    with pytest.raises(DataError, match=r"keeps the shape \(6, 5\); this gave the shape \(6, 1\)"):
        outputs(network + wb.SiteFunction("2", lambda x: x[:, :1]), "2")
    with pytest.raises(DataError, match="this gave NoneType"):
        outputs(network + wb.SiteFunction("2", lambda x: None), "2")


def test_a_site_of_another_width_is_refused_in_the_pass(network) -> None:
    with pytest.raises(DataError, match=r"the shape \(6, 5\).*acts on 3 numbers"):
        outputs(network + wb.Affine.adding("0", rng(3)), "0")


@pytest.mark.parametrize(
    "wrap", [tuple, list, lambda parts: dict(zip("abc", parts, strict=True))], ids=["tuple", "list", "dict"]
)
def test_the_first_tensor_of_whatever_a_module_puts_out_is_changed(wrap) -> None:
    class Several(nn.Module):
        def forward(self, x):
            self.gave = wrap([None, x, x])
            return self.gave

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Several()

        def forward(self, x):
            found = self.inner(x)
            first, second = list(found.values() if isinstance(found, dict) else found)[1:]
            return first - second

    edited = Network("several", "d", Outer()) + wb.Affine.adding("inner", np.ones(4))
    torch.testing.assert_close(edited.module(X), torch.ones_like(X))
    kept = edited.module.inner.gave
    assert all(part is None or part is X for part in (kept.values() if isinstance(kept, dict) else kept))


def test_a_pattern_names_several_sites(network) -> None:
    network = Network("net", "d", nn.Sequential(nn.Identity(), nn.Identity(), nn.Identity()))
    edited = network + wb.SiteFunction("?", lambda x: x + 1)
    torch.testing.assert_close(edited.module(X), X + 3)


def test_the_base_has_no_hook_and_the_copy_goes_with_its_hooks(network) -> None:
    edited = network + wb.Affine.adding("0", rng(5)) + wb.SiteFunction("2", torch.relu)
    assert not any(part._forward_hooks for part in network.module.modules())
    assert sum(len(part._forward_hooks) for part in edited.module.modules()) == 2
    import weakref

    gone = weakref.ref(edited.module)
    del edited
    gc.collect()
    assert gone() is None


def test_the_decoder_answers_otherwise_under_an_edit_of_its_residual_stream(decoder) -> None:
    width = decoder.config["hidden_size"]
    edit = wb.Affine.projecting_out(LAYER, rng(8, width))
    network = decoder.network()
    before = network.answer(PROMPT)
    assert (network + edit).answer(PROMPT) != before
    assert (decoder + edit).network().answer(PROMPT) == (network + edit).answer(PROMPT)
    assert network.answer(PROMPT) == before
    with pytest.raises(ViewError, match="acts at a site and isn't in the weights"):
        (decoder + edit).save("nowhere.safetensors")


def test_captures_are_made_anew_for_every_edit(decoder) -> None:
    texts = ["Alice was beginning", "to get very tired"]
    width = decoder.config["hidden_size"]
    site, weight = wb.Affine.projecting_out(LAYER, rng(2, width)), wb.prune(decoder, at=f"{LAYER}.mlp.**")
    takes = {
        "base": decoder,
        "pruned": decoder + weight,
        "projected": decoder + site,
        "both": decoder + weight + site,
        "network": decoder.network() + site,
    }
    found = {name: capture(net, texts, at=LAYER) for name, net in takes.items()}
    values = {name: acts.values for name, acts in found.items()}
    assert len({acts.digest for name, acts in found.items() if name != "network"}) == 4
    np.testing.assert_array_equal(values["projected"], values["network"])
    for name in ("pruned", "projected", "both"):
        assert not np.array_equal(values[name], values["base"])
    np.testing.assert_array_equal(capture(decoder + weight - weight, texts, at=LAYER).values, values["base"])
    again = capture(decoder + wb.Affine.projecting_out(LAYER, rng(2, width)), texts, at=LAYER)
    assert again.digest == found["projected"].digest


def test_a_network_without_a_short_answer_says_so(network) -> None:
    with pytest.raises(ViewError, match="no short answer"):
        network.answer("?")


def test_format_errors_are_about_folders(tmp_path) -> None:
    with pytest.raises(FormatError):
        wb.load(tmp_path)
