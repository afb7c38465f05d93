"""Adapters that PEFT trains and writes: opened, merged as PEFT merges, taken out to the last bit, where PEFT isn't."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import workbench as wb
from workbench.core.errors import DataError, FormatError, MissingError, ViewError
from workbench.edits.taking_out import certify
from workbench.numerics.rounded_sums import added, candidates, codes_of, from_order, in_order

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
KINDS: dict[str, dict[str, Any]] = {"lora": {}, "rslora": {"use_rslora": True}, "dora": {"use_dora": True}}


def trained(dtype: torch.dtype, kind: dict[str, Any], folder: Path) -> SimpleNamespace:
    """A small network, and an adapter that learned another task in a few steps; PEFT's merge of it and its way back."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(24, 48), nn.Tanh(), nn.Linear(48, 16))
    x = torch.randn(768, 24)
    y = torch.sin(x @ torch.randn(24, 16) / 24**0.5)
    held = slice(256, None)  # rows that nothing is trained on
    net.to(dtype)
    save_file(net.state_dict(), folder / "base.safetensors")
    base = {n: t.clone() for n, t in net.state_dict().items()}
    peft = get_peft_model(
        net, LoraConfig(r=4, lora_alpha=8, target_modules=["0", "2"], **kind), autocast_adapter_dtype=False
    )
    optimizer = torch.optim.Adam([p for p in peft.parameters() if p.requires_grad], lr=0.01, eps=1e-4)
    losses = []
    for _ in range(80):
        loss = (peft(x[:256].to(dtype)).float() - y[:256]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0], "it learned"
    peft.save_pretrained(folder / "adapter")

    def state() -> dict[str, torch.Tensor]:
        held = {
            n.removeprefix("base_model.model.").replace(".base_layer", ""): t
            for n, t in peft.state_dict().items()
        }
        return {n: t.clone() for n, t in held.items() if n in base}

    peft.merge_adapter()
    merged = state()
    peft.unmerge_adapter()
    save_file(merged, folder / "peft.safetensors")
    return SimpleNamespace(folder=folder, base=base, merged=merged, back=state(), x=x[held], y=y[held])


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[tuple[str, str], SimpleNamespace]:
    out = {}
    for kind, given in KINDS.items():
        for name, dtype in DTYPES.items():
            out[kind, name] = trained(dtype, given, tmp_path_factory.mktemp(f"{kind}{name}"))
    return out


def raw(path: Path) -> dict[str, bytes]:
    return {n: t.contiguous().view(torch.uint8).numpy().tobytes() for n, t in load_file(path).items()}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_peer_merges_as_peft_and_unmerges_to_the_last_bit(
    made, kind: str, dtype: str, tmp_path: Path
) -> None:
    one = made[kind, dtype]
    base = wb.open(one.folder / "base.safetensors")
    adapter = wb.read_adapter(one.folder / "adapter", base)
    merged = base + adapter
    step = {"F32": 2**-23, "F16": 2**-10, "BF16": 2**-7}[dtype]
    for name in adapter.tensors:
        theirs = one.merged[name].float().numpy()
        assert np.abs(merged[name] - theirs).max() <= 4 * step * np.abs(theirs).max()
        assert np.abs(merged[name] - base[name]).max() > 20 * step * np.abs(theirs).max()  # it isn't the base
    undo = wb.Unmerge.of(base, adapter)
    merged.save(tmp_path / "merged.safetensors")
    undo.save(tmp_path / "undo")
    (wb.open(tmp_path / "merged.safetensors") + wb.load(tmp_path / "undo")).save(
        tmp_path / "again.safetensors"
    )
    assert raw(tmp_path / "again.safetensors") == raw(one.folder / "base.safetensors")
    # what PEFT itself merged comes out as well, and PEFT's own way back doesn't
    undo = wb.Unmerge.of(base, adapter, wb.open(one.folder / "peft.safetensors"))
    (wb.open(one.folder / "peft.safetensors") + undo).save(tmp_path / "theirs.safetensors")
    assert raw(tmp_path / "theirs.safetensors") == raw(one.folder / "base.safetensors")
    same = np.mean([(one.back[n] == one.base[n]).float().mean().item() for n in adapter.tensors])
    assert same < 0.95


def test_attach_detach_and_several_at_once(made) -> None:
    base = wb.open(made["lora", "F32"].folder / "base.safetensors")
    one = wb.read_adapter(made["lora", "F32"].folder / "adapter", base)
    other = wb.read_adapter(made["dora", "F32"].folder / "adapter", base)
    both = base + one + other
    for name in one.tensors:
        assert np.array_equal((both - one)[name], (base + other)[name])
        assert np.array_equal((both - other - one)[name], base[name])
        half = (base + one * 0.5)[name]
        assert half == pytest.approx((base[name] + (base + one)[name]) / 2, abs=1e-6)
        mid = (base + other * 0.5)[name]
        assert mid == pytest.approx((base[name] + (base + other)[name]) / 2, abs=1e-6)
    with pytest.raises(ViewError, match="has no negative"):
        _ = -other


def test_strength_has_its_best_near_one_on_rows_held_out(made) -> None:
    """The loss along the strength falls from that of the base, and 80 % of the way changes little; on rows not trained on."""
    one = made["lora", "F32"]
    base = wb.open(one.folder / "base.safetensors")
    adapter = wb.read_adapter(one.folder / "adapter", base)

    def loss(strength: float) -> float:
        w = base + adapter * strength
        hidden = np.tanh(one.x.numpy() @ w["0.weight"].T + w["0.bias"])
        return float(np.square(hidden @ w["2.weight"].T + w["2.bias"] - one.y.numpy()).mean())

    along = [loss(s) for s in (0, 0.5, 0.8, 1, 1.5)]
    assert along[0] > along[1] > along[2]
    assert along[3] < along[4]
    assert abs(along[2] - along[3]) < 0.3 * (along[0] - along[3])


def test_the_wrong_base_is_named_before_anything_is_written(made, tmp_path: Path) -> None:
    folder = made["lora", "F32"].folder
    torch.manual_seed(1)
    save_file(
        nn.Sequential(nn.Linear(24, 40), nn.Tanh(), nn.Linear(40, 16)).state_dict(),
        tmp_path / "narrow.safetensors",
    )
    save_file({"first.weight": torch.ones(48, 24)}, tmp_path / "named.safetensors")
    with pytest.raises(DataError, match=r"0\.weight has the shape \(40, 24\).*another base"):
        wb.read_adapter(folder / "adapter", wb.open(tmp_path / "narrow.safetensors"))
    with pytest.raises(MissingError, match="wrong base"):
        wb.read_adapter(folder / "adapter", wb.open(tmp_path / "named.safetensors"))
    base = wb.open(folder / "base.safetensors")
    undo = wb.Unmerge.of(base, wb.read_adapter(folder / "adapter", base))
    with pytest.raises(DataError, match="already what this edit gives"):
        (base + undo).save(tmp_path / "out.safetensors")
    other = {n: t + 1 for n, t in load_file(folder / "base.safetensors").items()}
    save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match=r"0\.weight isn't the tensor .*wrong base"):
        (wb.open(tmp_path / "other.safetensors") + undo).save(tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


REFUSED = [
    ({"peft_type": "LOHA"}, "LOHA"),
    ({"bias": "all"}, "trained biases"),
    ({"use_qalora": True}, "QA-LoRA"),
    ({"modules_to_save": ["head"]}, "modules_to_save"),
    ({"init_lora_weights": "pissa"}, "pissa"),
    ({"lora_alpha": None}, "lora_alpha"),
    ({"r": 5}, "rank 4"),
    ({"use_dora": True}, "use_dora"),
]


@pytest.mark.parametrize(("change", "words"), REFUSED)
def test_others_are_refused_by_name(made, change: dict[str, Any], words: str, tmp_path: Path) -> None:
    shutil.copytree(made["lora", "F32"].folder / "adapter", tmp_path / "adapter")
    config = tmp_path / "adapter" / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **change}))
    with pytest.raises(FormatError, match=words):
        wb.read_adapter(tmp_path / "adapter")


def test_nothing_is_unpickled(made, tmp_path: Path) -> None:
    shutil.copytree(made["lora", "F32"].folder / "adapter", tmp_path / "adapter")
    weights = tmp_path / "adapter" / "adapter_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(FormatError, match="nothing is unpickled"):
        wb.read_adapter(tmp_path / "adapter")


@pytest.mark.parametrize("arithmetic", ["workbench", "peft"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_certified_entries_are_never_wrong(dtype: str, arithmetic: Any) -> None:
    """The shares at three sizes of the change; and the truth is among the candidates of every entry."""
    rng = np.random.default_rng(0)
    shares = []
    for size in (0.01, 0.1, 1):
        w = codes_of((0.05 * rng.standard_normal(40_000)).astype(np.float32), dtype)
        d = (0.05 * size * rng.standard_normal(40_000)).astype(np.float32)
        first, count = candidates(added(dtype, d, arithmetic)(w), d, dtype, arithmetic)
        truth = in_order(w, dtype)
        assert (from_order(truth, dtype) == w).all()
        certain = count == 1
        assert (first[certain] == truth[certain]).all()
        assert ((first <= truth) & (truth < first + count)).all()
        shares.append(certain.mean())
    expected = (0.975, 0.86, 0.50) if arithmetic == "workbench" and dtype != "F32" else (0.956, 0.80, 0.505)
    assert shares == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [0.01, 0.1, 1])
def test_what_is_certified_of_pefts_merge_holds_in_whatever_order_its_product_was_summed(
    dtype: str, size: float
) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((8, 160), (120, 8)))
    lora = wb.LoRA(a={"w": a}, b={"w": 0.05 * size / 8**0.5 * b}, scales={"w": 1.3})
    w = codes_of((0.05 * rng.standard_normal((120, 160))).astype(np.float32), dtype)
    left, scale = np.asarray(lora.b["w"], np.float32), np.float32(1.3)
    forwards, backwards = np.zeros((2, 120, 160), np.float32)
    for k in range(8):
        forwards += left[:, k, None] * a[k]
        backwards += left[:, 7 - k, None] * a[7 - k]
    products = [
        forwards * scale,
        backwards * scale,
        left @ (a * scale),
        (left @ a) * scale,
        lora.difference("w"),
    ]
    assert (products[0] != products[1]).mean() > 0.1  # the order matters to the last bit
    truth, slack = in_order(w, dtype), lora.rounding("w")
    for product in products:
        assert (np.abs(product.astype(np.float64) - lora.difference("w")) <= slack).all()
        merged = added(dtype, product, "peft")(w)
        first, count = candidates(merged, lora.difference("w"), dtype, "peft", slack)
        assert ((first <= truth) & (truth < first + count)).all()
        if dtype != "F32":  # a coarser format is seldom moved by a float32's last bit
            assert (count == 1).mean() > 0.45


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_a_certificate_of_a_trained_adapter_and_of_another_one(made, dtype: str) -> None:
    one = made["lora", dtype]
    base = wb.open(one.folder / "base.safetensors")
    adapter = wb.read_adapter(one.folder / "adapter", base)
    (base + adapter).save(one.folder / "ours.safetensors")
    merged = wb.open(one.folder / "ours.safetensors")
    result = certify(merged, adapter)
    assert result.counts[:, 0].sum() == 0 and 0.3 < result.certified < 1
    assert result.counts.sum() == sum(np.prod(base.tensors[n].shape) for n in adapter.tensors)
    with pytest.raises(MissingError, match="nothing of this is known"):
        certify(merged)
    dora = wb.read_adapter(made["dora", dtype].folder / "adapter", base)
    with pytest.raises(ViewError, match="DoRA"):
        certify(merged, dora)


# -- convolutions and embeddings ----------------------------------------------------------------------


class Reads(nn.Module):
    """Tokens by an embedding, a convolution over their places as pictures of one row, and a 1 x 1 one."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.wide = nn.Embedding(30, 8), nn.Conv2d(8, 12, (1, 3))
        self.narrow, self.line = nn.Conv2d(12, 6, 1), nn.Conv1d(6, 4, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.words(tokens).transpose(1, 2)[:, :, None]
        return self.line(torch.tanh(self.narrow(torch.tanh(self.wide(x))))[:, :, 0]).mean(dim=-1)


CONVOLUTIONS = ["wide", "narrow", "line"]


def read_with(targets: list[str], dtype: torch.dtype, folder: Path, **given: Any) -> SimpleNamespace:
    """The network with an adapter that learned something in a few steps, and PEFT's merge of it."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    net = Reads().to(dtype)
    base = {n: t.clone() for n, t in net.state_dict().items()}
    save_file(base, folder / "base.safetensors")
    peft = get_peft_model(
        net, LoraConfig(r=2, lora_alpha=6, target_modules=targets, **given), autocast_adapter_dtype=False
    )
    tokens = torch.randint(30, (64, 10), generator=torch.Generator().manual_seed(1))
    wanted = torch.sin(tokens.float()[:, :4])
    optimizer = torch.optim.Adam([p for p in peft.parameters() if p.requires_grad], lr=0.02, eps=1e-4)
    losses = []
    for _ in range(40):
        loss = (peft(tokens).float() - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.98 * losses[0], "it learned"
    peft.save_pretrained(folder / "adapter")
    with torch.no_grad():
        along = peft(tokens).float()
    merged = peft.merge_and_unload()
    save_file(merged.state_dict(), folder / "peft.safetensors")
    return SimpleNamespace(base=base, merged=merged.state_dict(), tokens=tokens, along=along)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("targets", "given"),
    [
        (["words", *CONVOLUTIONS], {}),
        (["words", *CONVOLUTIONS], {"use_rslora": True}),
        (CONVOLUTIONS, {"use_dora": True}),
    ],
    ids=["lora", "rslora", "dora of convolutions"],
)
def test_peer_convolutions_and_embeddings_merge_as_peft_and_come_out_to_the_last_bit(
    targets: list[str], given: dict[str, Any], dtype: str, tmp_path: Path
) -> None:
    one = read_with(targets, DTYPES[dtype], tmp_path, **given)
    base = wb.open(tmp_path / "base.safetensors")
    adapter = wb.read_adapter(tmp_path / "adapter", base)
    assert set(adapter.tensors) == {f"{t}.weight" for t in targets}
    merged = base + adapter
    step = {"F32": 2**-23, "F16": 2**-10, "BF16": 2**-7}[dtype]
    for name in adapter.tensors:
        theirs = one.merged[name].float().numpy()
        assert np.abs(merged[name] - theirs).max() <= 6 * step * np.abs(theirs).max(), name
        assert np.abs(merged[name] - base[name]).max() > 20 * step * np.abs(theirs).max(), name
    for undo, seen in (
        (wb.Unmerge.of(base, adapter), merged),
        (
            wb.Unmerge.of(base, adapter, wb.open(tmp_path / "peft.safetensors")),
            wb.open(tmp_path / "peft.safetensors"),
        ),
    ):
        made = tmp_path / f"{seen.digest[:8]}.safetensors"
        seen.save(made)
        (wb.open(made) + undo).save(tmp_path / f"back-{made.name}")
        assert raw(tmp_path / f"back-{made.name}") == raw(tmp_path / "base.safetensors")
    if dtype == "F32":
        network = wb.open(Reads().eval())
        network.module.load_state_dict(one.base)
        with torch.no_grad():
            torch.testing.assert_close(
                (network + adapter).module(one.tokens), one.along, rtol=1e-4, atol=1e-5
            )
    if "use_dora" not in given:
        merged.save(tmp_path / "merged.safetensors")
        assert certify(wb.open(tmp_path / "merged.safetensors"), adapter).counts[:, 0].sum() == 0


def test_what_has_no_difference_of_weights_is_refused_by_name(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    def written(module: nn.Module, name: str, **given: Any) -> Path:
        config = LoraConfig(r=2, lora_alpha=6, init_lora_weights=False, **given)
        get_peft_model(module, config).save_pretrained(tmp_path / name)
        return tmp_path / name

    grouped = nn.Sequential(nn.Conv2d(4, 8, 3, groups=2))
    save_file(grouped.state_dict(), tmp_path / "grouped.safetensors")
    with pytest.warns(UserWarning, match="Merging is not supported"):
        folder = written(grouped, "grouped", target_modules=["0"])
    with pytest.raises((FormatError, DataError), match=r"0\.weight.*(groups|another base)"):
        wb.read_adapter(folder, wb.open(tmp_path / "grouped.safetensors"))
    with pytest.raises(FormatError, match=r"words\.weight is an embedding under DoRA"):
        wb.read_adapter(written(Reads(), "dora", target_modules=["words"], use_dora=True))
    with pytest.raises(FormatError, match="modules_to_save"):
        wb.read_adapter(written(Reads(), "whole", target_modules=["wide"], modules_to_save=["line"]))


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")
def test_an_embedding_that_is_written_beside_its_factors_must_be_the_bases(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
    made = LlamaModel(LlamaConfig(**sizes, vocab_size=20))
    made.save_pretrained(tmp_path / "base")
    config = LoraConfig(r=2, target_modules=["embed_tokens"], init_lora_weights=False)
    get_peft_model(made, config).save_pretrained(tmp_path / "adapter", save_embedding_layers=True)
    held = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert any("base_layer" in key for key in held)
    base = wb.open(tmp_path / "base")
    adapter = wb.read_adapter(tmp_path / "adapter", base)
    (name,) = adapter.tensors
    assert np.abs((base + adapter)[name] - base[name]).max() > 0.01
    with pytest.raises(FormatError, match="give the base too"):
        wb.read_adapter(tmp_path / "adapter")
    key = next(k for k in held if "base_layer" in k)
    held[key][0, 0] += 1
    save_file(held, tmp_path / "adapter" / "adapter_model.safetensors")
    with pytest.raises(FormatError, match="brings another embed_tokens"):
        wb.read_adapter(tmp_path / "adapter", base)
