"""Networks that learned nothing: what is drawn anew, what stays, and what is said where it can't be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import workbench as wb
from workbench.core.errors import ParameterError, ViewError
from workbench.core.lineage import code
from workbench.subjects.network import Network


class Scaled(nn.Module):
    """A layer with a number that only its own maker knows how to draw."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.scale = nn.Linear(4, 4), nn.Parameter(torch.full((4,), 7.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) * self.scale


def trained(module: nn.Module) -> Network:
    """A network whose weights are nothing that an initializer draws: all far from 0."""
    with torch.no_grad():
        for i, p in enumerate(module.parameters()):
            p.copy_(100 + i + torch.rand(p.shape))
    return Network("net", "digest", module.eval())


def test_every_weight_is_drawn_as_its_layer_draws_it_and_the_network_is_left_alone() -> None:
    net = trained(nn.Sequential(nn.Linear(200, 300), nn.BatchNorm1d(300), nn.MultiheadAttention(300, 2)))
    net.module[1].running_mean.fill_(5)
    before = {n: t.clone() for n, t in net.module.state_dict().items()}
    made = net.untrained(random_state=3, how="drawn")
    assert (
        max(float(p.detach().abs().max()) for p in made.module.parameters()) <= 1
    )  # norms have ones, the others less
    weight = made.module[0].weight.detach().numpy()
    # nn.Linear draws evenly from ±1 / sqrt(fan in), whose variance is a third of the square
    np.testing.assert_allclose(weight.var(), 1 / 600, rtol=0.02)
    assert np.abs(weight).max() <= 200**-0.5
    assert not made.module[1].running_mean.any() and not made.module.training
    assert all((before[n] == t).all() for n, t in net.module.state_dict().items())
    assert "drawn anew" in made.name and made.digest != net.digest


def test_a_seed_gives_the_same_network_again_and_another_seed_another() -> None:
    net = Network.example()
    again = [net.untrained(random_state=seed) for seed in (1, 1, 2)]
    assert again[0].digest == again[1].digest != again[2].digest
    state = torch.random.get_rng_state()
    net.untrained(random_state=1)
    assert (torch.random.get_rng_state() == state).all()  # nobody else's numbers are drawn


def test_shuffled_weights_keep_their_sizes_within_each_matrix_and_all_else() -> None:
    net = trained(nn.Sequential(nn.Linear(20, 30), nn.LayerNorm(30)))
    made = net.untrained(how="shuffled")
    a, b = (n.module[0].weight.detach().numpy() for n in (net, made))
    np.testing.assert_array_equal(np.sort(a, axis=None), np.sort(b, axis=None))
    assert (a != b).mean() > 0.9
    assert (made.module[0].bias == net.module[0].bias).all()
    assert (made.module[1].weight == net.module[1].weight).all()


def test_what_nothing_draws_is_named_and_shuffled_instead() -> None:
    net = trained(Scaled())
    with pytest.raises(ViewError, match=r"nothing draws scale.*how='shuffled'"):
        net.untrained(how="drawn")
    made = net.untrained()
    assert "shuffled" in made.name and "nothing draws scale" in made.note
    np.testing.assert_array_equal(
        np.sort(made.module.linear.weight.detach(), axis=None),
        np.sort(net.module.linear.weight.detach(), axis=None),
    )


@pytest.mark.parametrize("given", [{"how": "zeros"}, {"random_state": -1}, {"random_state": 0.5}])
def test_what_is_not_legal_is_refused(given) -> None:
    with pytest.raises(ParameterError, match=next(iter(given))):
        Network.example().untrained(**given)


@pytest.mark.parametrize("name", ["minilm", "glassllm-en"])
def test_a_hugging_face_model_is_built_again_from_its_configuration(name: str) -> None:
    net = wb.open(name)
    made = net.untrained(random_state=1, how="drawn")
    own, drawn = net.network().module, made.module
    assert own.state_dict().keys() == drawn.state_dict().keys()
    same = [n for n, p in own.named_parameters() if p.ndim >= 2 and (p == drawn.get_parameter(n)).all()]
    assert same == []
    wide = [p for n, p in drawn.named_parameters() if (p.ndim == 2 and "proj" in n) or "dense.weight" in n]
    assert np.allclose(
        [float(p.detach().std()) for p in wide if p.ndim == 2], own.config.initializer_range, rtol=0.1
    )
    words = wb.Corpus.from_texts(["a cat sat on a mat", "the queen spoke"])
    rows, others = (wb.capture(n, words) for n in (net, made))
    assert rows.sites == others.sites and (rows.table["token"] == others.table["token"]).all()


def test_the_lineage_says_how_to_make_it_again() -> None:
    net = wb.open("glassllm-en")
    acts = wb.capture(net.untrained(random_state=2), wb.Corpus.example())
    assert acts.run is not None
    assert ".untrained(random_state=2, how='auto')" in code(acts.run)


def test_a_checkpoints_untrained_network_is_made_only_where_it_is_run() -> None:
    words, seed = wb.Corpus.from_texts(["a cat sat on a mat", "the queen spoke"]), {"random_state": 7}
    first = wb.open("glassllm-en").untrained(**seed)
    assert first.pending
    rows = wb.capture(first, words)
    assert not first.pending  # nothing was stored of it
    eager = wb.open("glassllm-en").network().untrained(**seed)
    np.testing.assert_array_equal(rows.array(rows.sites[0]), wb.capture(eager, words).array(rows.sites[0]))

    again = wb.open("glassllm-en").untrained(**seed)
    kept = wb.capture(again, words)
    assert again.pending and again.digest == first.digest and kept.digest == rows.digest
    np.testing.assert_array_equal(kept.array(kept.sites[-1]), rows.array(rows.sites[-1]))

    block = again.module.model.layers[0]
    block.forward = lambda x, *args, **kwargs: x  # whoever has the module may change it
    changed = wb.capture(again, words)
    assert (changed.array(changed.sites[0]) != rows.array(rows.sites[0])).any()


def test_a_patched_architecture_is_another_untrained_network(monkeypatch: pytest.MonkeyPatch) -> None:
    words = wb.Corpus.from_texts(["a cat sat on a mat"])
    plain = wb.open("glassllm-en").untrained(random_state=8)
    rows = wb.capture(plain, words)
    kind = type(plain.module.model.layers[0])
    monkeypatch.setattr(kind, "forward", lambda self, x, *args, **kwargs: x)
    patched = wb.open("glassllm-en").untrained(random_state=8)
    assert patched.identity != wb.open("glassllm-en").untrained(random_state=9).identity
    other = wb.capture(patched, words)
    assert (other.array(other.sites[0]) != rows.array(rows.sites[0])).any()
