"""Whatever changes a network's answers makes another capture; nothing else does, in this process or the next."""

from __future__ import annotations

import copy
import enum
import functools
import os
import random
import subprocess
import sys
import threading
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from workbench.capturing import capture
from workbench.capturing.running import Work
from workbench.core.errors import Cancelled, StorageError, ViewError
from workbench.core.progress import listening
from workbench.numerics.identity import tensors
from workbench.numerics.identity.walking import Undigestable, network_digest
from workbench.recording import record

ROOT = Path(__file__).parents[2]
X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


def scaled(x: torch.Tensor) -> torch.Tensor:
    return x * FACTOR


FACTOR = 2.0
TABLE = {"scale": torch.tensor(2.0)}


class Shape(enum.Enum):
    ROUND = 1
    FLAT = 2


@dataclass
class Settings:
    scale: float = 2.0
    inner: Any = None


class Slotted:
    __slots__ = ("by",)

    def __init__(self, by: float):
        self.by = by

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.by


class Weighted(Slotted):
    @property
    def weight(self) -> float:
        return self.by

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight


class Net(torch.nn.Module):
    """Calls whatever ``do`` is between two layers."""

    by = 2.0

    def __init__(self, do: Callable[..., torch.Tensor], **state: Any):
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Linear(4, 3)
        self.do = do
        for name, value in state.items():
            setattr(self, name, value)
        self.last = torch.nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.do(self, self.first(x)))


def linear(by: float) -> torch.nn.Linear:
    made = torch.nn.Linear(3, 3, bias=False)
    made.weight.data = torch.eye(3) * by
    return made


def closed(by: float) -> Callable[..., torch.Tensor]:
    def do(net: Net, x: torch.Tensor) -> torch.Tensor:
        return x * by

    return do


def with_default(net: Net, x: torch.Tensor, by: float = 2.0) -> torch.Tensor:
    return x * by


def times(by: float, net: Net, x: torch.Tensor) -> torch.Tensor:
    return x * by


class Owner:
    def __init__(self, by: float):
        self.by = by

    def do(self, net: Net, x: torch.Tensor) -> torch.Tensor:
        return x * self.by


class Multiplied(torch.nn.Module):
    by = 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.by * x


class Named(dict[str, float]):
    """A dictionary of the user's own class."""


class KeepsMode(torch.nn.Module):
    """Stays in training mode, as a module does that overrides `train`."""

    def train(self, mode: bool = True) -> KeepsMode:
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 5 if self.training else x


def helpers(by: float) -> None:
    """A module of the user's own, as a file beside a notebook is."""
    made = types.ModuleType("helpers_beside")
    exec(f"def scale(x):\n    return x * {by}\n", vars(made))
    sys.modules["helpers_beside"] = made


def with_helpers(net: Net, x: torch.Tensor) -> torch.Tensor:
    import helpers_beside

    return helpers_beside.scale(x)


def with_one_helper(net: Net, x: torch.Tensor) -> torch.Tensor:
    from helpers_beside import scale

    return scale(x)


def plain() -> Net:
    return Net(lambda net, x: x)


def wrapped(forward: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    @functools.wraps(forward)
    def skip(*args: Any, **keywords: Any) -> torch.Tensor:
        return forward(*args, **keywords) * 3

    return skip


def state(value: Callable[[], Any], do: Callable[..., torch.Tensor], change: Callable[[Any], Any]) -> Any:
    """A network with a ``value``, that uses it, and a change of it (which gives a new value, or changes the old one)."""

    def work(net: Net, _: pytest.MonkeyPatch) -> None:
        changed = change(net.value)
        net.value = net.value if changed is None else changed

    return lambda: Net(do, value=value()), work


def in_place(_: Any) -> None:
    """Hide what an operation in place returns."""


def quantized() -> torch.nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(plain(), {torch.nn.Linear})


def repack(net: torch.nn.Module) -> None:
    weight, bias = net.first._packed_params._weight_bias()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = torch.quantize_per_tensor(weight.dequantize() * 2, weight.q_scale() * 2, 0, torch.qint8)
    net.first._packed_params.set_weight_bias(other, bias)


def tied() -> Net:
    net = Net(lambda net, x: x * net.value.sum())
    net.value = net.first.weight
    return net


def retie(net: Net) -> None:
    net.first.weight = torch.nn.Parameter(net.first.weight.detach() * 2)


def parametrized() -> Net:
    net = Net(lambda net, x: x)
    torch.nn.utils.parametrize.register_parametrization(net.first, "weight", Multiplied())
    return net


def scripted() -> torch.nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.nn.Sequential(torch.jit.script(plain().first), torch.nn.Identity())


def buffered(persistent: bool) -> Net:
    net = Net(lambda net, x: x * net.scale)
    net.register_buffer("scale", torch.tensor(2.0), persistent=persistent)
    return net


def doubles_layers(module: torch.nn.Module, args: Any, out: torch.Tensor) -> torch.Tensor:
    return out * 2 if isinstance(module, torch.nn.Linear) else out


def here(name: str, value: Any) -> Callable[[Net, pytest.MonkeyPatch], None]:
    return lambda net, patch: patch.setattr(sys.modules[__name__], name, value)


def of(owner: Any, name: str, value: Any) -> Callable[[Net, pytest.MonkeyPatch], None]:
    return lambda net, patch: patch.setattr(owner, name, value)


# What a network is made as, and what is then changed of it: each changes what it answers.
F = torch.nn.functional
GLOBAL_HOOKS = torch.nn.modules.module._global_forward_hooks
CHANGES: dict[str, tuple[Callable[[], torch.nn.Module], Callable[[Any, pytest.MonkeyPatch], Any]]] = {
    "weight data": (plain, lambda net, _: net.first.weight.data.mul_(2)),
    "a forward on an instance": (plain, lambda net, _: setattr(net.first, "forward", lambda x: x[:, :3])),
    "a wrapped forward": (plain, lambda net, _: setattr(net.first, "forward", wrapped(net.first.forward))),
    "a partial": (
        lambda: Net(functools.partial(times, 2.0)),
        lambda net, _: setattr(net, "do", functools.partial(times, 3.0)),
    ),
    "the owner of a method": (lambda: Net(Owner(2.0).do), lambda net, _: setattr(net.do.__self__, "by", 3.0)),
    "a closure": (
        lambda: Net(closed(2.0)),
        lambda net, _: setattr(net.do.__closure__[0], "cell_contents", 3.0),
    ),
    "a default": (lambda: Net(with_default), of(with_default, "__defaults__", (3.0,))),
    "code": (lambda: Net(with_default), of(with_default, "__code__", (lambda net, x, by: x + by).__code__)),
    "a global of a function that is called": (lambda: Net(lambda net, x: scaled(x)), here("FACTOR", 3.0)),
    "a tensor in a global table": (
        lambda: Net(lambda net, x: x * TABLE["scale"]),
        here("TABLE", {"scale": torch.tensor(3.0)}),
    ),
    "the user's own module": (lambda: (helpers(2.0), Net(with_helpers))[1], lambda net, _: helpers(3.0)),
    "a name of the user's own module": (
        lambda: (helpers(2.0), Net(with_one_helper))[1],
        lambda net, _: helpers(3.0),
    ),
    "a package's function": (lambda: Net(lambda net, x: F.relu(x)), of(F, "relu", lambda x: x * 3)),
    "a package's function that its own code calls": (plain, of(F, "linear", lambda x, w, b: x @ w.T)),
    "a package's function replaced by its own": (
        lambda: torch.nn.Sequential(torch.nn.SELU()),
        of(F, "selu", F.relu6),
    ),
    "a package's method": (plain, of(torch.nn.Linear, "forward", lambda layer, x: x[:, :2])),
    "a class attribute": (lambda: Net(lambda net, x: x * net.by), of(Net, "by", 3.0)),
    "a property": (
        lambda: Net(lambda net, x: net.value(x), value=Weighted(2.0)),
        of(Weighted, "weight", property(lambda s: 7.0)),
    ),
    "a method of a class": (
        lambda: Net(lambda net, x: net.value(x), value=Slotted(2.0)),
        of(Slotted, "__call__", lambda s, x: x + s.by),
    ),
    "a slot": state(lambda: Slotted(2.0), lambda net, x: net.value(x), lambda s: setattr(s, "by", 3.0)),
    "a tensor in an attribute": state(
        lambda: torch.tensor(2.0), lambda net, x: x * net.value, lambda s: s.mul_(2)
    ),
    "a tensor in a list": state(
        lambda: [torch.tensor(2.0)], lambda net, x: x * net.value[0], lambda s: in_place(s[0].mul_(2))
    ),
    "a number": state(lambda: 2.0, lambda net, x: x * net.value, lambda s: 3.0),
    "the sign of zero": state(lambda: 0.0, lambda net, x: x * np.copysign(1, net.value), lambda s: -0.0),
    "a numpy array": state(
        lambda: np.ones(3), lambda net, x: x * torch.tensor(net.value).float(), lambda s: in_place(s.fill(3))
    ),
    "an array of objects": state(
        lambda: np.array([2.0, "x"], object), lambda net, x: x * net.value[0], lambda s: s.put(0, 3.0)
    ),
    "a module in a list": state(
        lambda: [linear(2.0)], lambda net, x: net.value[0](x), lambda s: in_place(s[0].weight.data.mul_(2))
    ),
    "a module in a dictionary": state(
        lambda: {"a": linear(2.0)}, lambda net, x: net.value["a"](x), lambda s: s.update(a=linear(3.0))
    ),
    "the order of modules": state(
        lambda: torch.nn.ModuleDict({"a": linear(2.0), "b": linear(3.0)}),
        lambda net, x: next(iter(net.value.values()))(x),
        lambda s: s._modules.update(a=s._modules.pop("a")),
    ),
    "a mode that a module keeps": state(
        KeepsMode, lambda net, x: net.value(x), lambda s: setattr(s, "training", False)
    ),
    "a mode that eval doesn't reach": state(
        lambda: [KeepsMode()], lambda net, x: net.value[0](x), lambda s: setattr(s[0], "training", False)
    ),
    "a dataclass": state(Settings, lambda net, x: x * net.value.scale, lambda s: setattr(s, "scale", 3.0)),
    "an object in an object": state(
        lambda: Settings(inner=Settings()),
        lambda net, x: x * net.value.inner.scale,
        lambda s: setattr(s.inner, "scale", 3.0),
    ),
    "an enum": state(lambda: Shape.ROUND, lambda net, x: x * net.value.value, lambda s: Shape.FLAT),
    "a set": state(lambda: {"a", "b"}, lambda net, x: x * len(net.value), lambda s: s.add("c")),
    "a dictionary of the user's own": state(
        lambda: Named(a=2.0), lambda net, x: x * net.value["a"], lambda s: s.update(a=3.0)
    ),
    "torch's generator": state(
        torch.Generator,
        lambda net, x: x * (net.value.initial_seed() % 7),
        lambda s: in_place(s.manual_seed(4)),
    ),
    "Python's generator": state(
        lambda: random.Random(0), lambda net, x: x * (net.value.getstate()[1][5] % 1001), lambda s: s.seed(1)
    ),
    "a buffer": (lambda: buffered(True), lambda net, _: net.scale.mul_(2)),
    "a buffer that isn't persistent": (lambda: buffered(False), lambda net, _: net.scale.mul_(2)),
    "a packed weight": (quantized, lambda net, _: repack(net)),
    "a parametrization": (
        parametrized,
        lambda net, _: setattr(net.first.parametrizations.weight[0], "by", 3),
    ),
    "a weight that was tied": (tied, lambda net, _: retie(net)),
    "a script": (scripted, lambda net, _: net[0].weight.data.mul_(2)),
    "a hook": (plain, lambda net, _: net.first.register_forward_hook(lambda module, args, out: out * 2)),
    "a hook before": (
        plain,
        lambda net, _: net.first.register_forward_pre_hook(lambda module, args: args[0] * 2),
    ),
    "a hook of all modules": (plain, lambda net, patch: patch.setitem(GLOBAL_HOOKS, 10**9, doubles_layers)),
    "a sparse tensor": state(
        lambda: torch.eye(3).to_sparse(), lambda net, x: (net.value @ x.T).T, lambda s: s * 3
    ),
    "a bfloat16 tensor": state(
        lambda: torch.ones(3).bfloat16(), lambda net, x: x * net.value, lambda s: s * 3
    ),
}


def seen(net: torch.nn.Module, source: Any = X, **keywords: Any) -> tuple[np.ndarray, str]:
    """What the last part gives by `capture`, and what was told last."""
    told: list[str] = []
    with listening(lambda what, done, total: told.append(what)):
        acts = capture(net, source, at=[name for name, _ in net.named_children()][-1:], **keywords)
    return np.array(acts.values), told[-1]


def answers(net: torch.nn.Module) -> np.ndarray:
    with torch.no_grad():
        return net.eval()(torch.tensor(X)).numpy()


def is_stored(told: str) -> bool:
    return told.endswith("(from the cache)")


@pytest.mark.filterwarnings("ignore:.*holds for these batches alone")
@pytest.mark.parametrize("what", CHANGES)
def test_what_changes_an_answer_makes_another_capture_and_nothing_else_does(what, monkeypatch) -> None:
    make, change = CHANGES[what]
    net = make()
    x = [X]  # in one pass: some of these look at the whole batch
    before, told = seen(net, x)
    assert not is_stored(told)
    np.testing.assert_allclose(before, answers(net), atol=1e-5)
    for same in (net, make()):
        again, told = seen(same, x)
        assert is_stored(told)
        np.testing.assert_array_equal(again, before)
    change(net, monkeypatch)
    after, told = seen(net, x)
    assert not is_stored(told)
    np.testing.assert_allclose(after, answers(net), atol=1e-5)
    assert after.shape != before.shape or not np.allclose(after, before)
    again, told = seen(net, x)
    assert is_stored(told)
    np.testing.assert_array_equal(again, after)


FIRST = """
import importlib, sys
import workbench as wb
tests = importlib.import_module(sys.argv[1])
for make, _ in tests.CHANGES.values():
    tests.seen(make(), [tests.X])  # in one pass: some of these look at the whole batch
for name in ("minilm", "glassllm-en"):
    print(name, tests.network_digest(wb.open(name).network().module), sep="|")
"""
SECOND = """
import importlib, sys
import torch, workbench as wb
tests = importlib.import_module(sys.argv[1])
before = tests.network_digest(tests.plain())
assert "transformers" not in sys.modules
for what, (make, _) in tests.CHANGES.items():
    print(what, tests.is_stored(tests.seen(make(), [tests.X])[1]), sep="|")
for name in ("minilm", "glassllm-en"):
    print(name, tests.network_digest(wb.open(name).network().module), sep="|")
wb.capture(wb.open("glassllm-en").network(), ["a text", "another"], attention=True)
print("packages loaded since", tests.network_digest(tests.plain()) == before, sep="|")
"""


def lines_of(code: str, seed: str) -> dict[str, str]:
    """What a process of its own prints; this one has loaded whatever other tests needed."""
    there = {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "PYTHONHASHSEED": seed}
    command = [sys.executable, "-c", code, __name__]
    done = subprocess.run(command, env={**os.environ, **there}, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    return dict(line.split("|") for line in done.stdout.splitlines())


@pytest.mark.slow
def test_another_process_finds_what_one_stored(cache) -> None:
    networks = lines_of(FIRST, "1")
    assert len(networks) == 2
    expected = dict.fromkeys(CHANGES, "True") | networks
    expected["packages loaded since"] = "True"  # some of which put something of theirs into torch
    assert lines_of(SECOND, "7") == expected


CELL = """
import torch
class Cell(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.out = torch.nn.Identity()
    def forward(self, x):
        return self.out(self.helped(x))
    def helped(self, x):
        return helper(x)
def helper(x):
    return x * 2
"""


@pytest.mark.parametrize("name", ["__main__", "written_beside"])
def test_code_that_is_run_again_is_the_same_and_code_that_was_changed_is_not(name) -> None:
    """As a notebook's cell is, and a file that is imported in the next process."""
    found = []
    for code in (CELL, "\n\n" + CELL, CELL.replace("x * 2", "x * 3"), CELL):
        names: dict[str, Any] = {"__name__": name}
        exec(code, names)
        found.append(seen(names["Cell"]()))
    assert [is_stored(told) for _, told in found] == [False, True, False, True]
    for (values, _), by in zip(found, (2, 2, 3, 2), strict=True):
        np.testing.assert_array_equal(values, X * by)


def test_precision_is_part_of_what_is_captured() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(4, 3))
    first, _ = seen(net)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded, told = seen(net)
    assert not is_stored(told)
    assert not np.array_equal(first, rounded)
    assert is_stored(seen(net)[1])


# -- what can't be digested, or isn't seen ------------------------------------------------------------


def numbers():
    while True:
        yield 2.0


UNDIGESTABLE: dict[str, tuple[Callable[[], Any], Callable[..., Any], str]] = {
    "a generator": (numbers, lambda net, x: x * next(net.value), r"network\.value: a builtins\.generator"),
    "a lock": (
        lambda: {"guard": threading.Lock()},
        lambda net, x: x * 2.0,
        r"network\.value\['guard'\]: a _thread\.lock",
    ),
    "a file": (Path(__file__).open, lambda net, x: x * 2.0, r"network\.value: a _io\.TextIOWrapper"),
    "eval": (lambda: "x * 2.0", lambda net, x: eval(net.value), r"network\.do: it calls eval"),
    "a long chain": (
        lambda: functools.reduce(lambda a, _: [a], range(400), 2.0),
        lambda net, x: x * 2,
        "nested",
    ),
}


@pytest.mark.parametrize("what", UNDIGESTABLE)
def test_what_cannot_be_digested_is_captured_anew_and_said(what, cache, tmp_path) -> None:
    make, do, said = UNDIGESTABLE[what]
    net = Net(do, value=make())
    with pytest.raises(Undigestable, match=said):
        network_digest(net)
    digests = set()
    for stores in (1, 2):
        told: list[str] = []
        with listening(lambda found, done, total, told=told: told.append(found)):
            acts = capture(net, X)
        assert any("computed anew" in t and "network" in t for t in told)
        np.testing.assert_allclose(acts.array("last"), answers(net), atol=1e-5)
        digests.add(acts.digest)
        assert len(list((cache / "captures").iterdir())) == stores
    assert len(digests) == 2
    capture(net, X, store=tmp_path / "store")
    with pytest.raises(StorageError, match="can't be told"):
        capture(net, X, store=tmp_path / "store")
    if what == "a file":
        net.value.close()


def test_an_unfinished_store_of_what_cannot_be_digested_is_never_gone_on_with(tmp_path) -> None:
    net = Net(lambda net, x: x * 2, value=threading.Lock())
    with pytest.raises(Cancelled), listening(stop_at(3)):
        capture(net, X, batch_size=1, store=tmp_path / "store")
    with pytest.raises(StorageError, match=r"store\.partial is there.*can't be told"):
        capture(net, X, batch_size=1, store=tmp_path / "store")


def stop_at(step: int) -> Callable[[str, int, int | None], None]:
    def listener(what: str, done: int, total: int | None) -> None:
        if what.startswith("capture: ") and total == len(X) and done == step:
            raise Cancelled("enough")

    return listener


def test_what_counts_its_calls_is_another_network_after_each() -> None:
    class Counting(torch.nn.Module):
        calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return x * self.calls

    net = torch.nn.Sequential(Counting())
    first, _ = seen(net)
    second, told = seen(net)
    assert not is_stored(told)
    assert not np.array_equal(first, second)


class Noisy(torch.nn.Module):
    """Draws from torch's own random numbers, which no digest of a network holds."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.randn(x.shape)


def test_a_stored_capture_is_checked_against_rows_computed_anew(tmp_path, cache) -> None:
    net = torch.nn.Sequential(Noisy())
    torch.manual_seed(0)
    first = capture(net, X)
    told: list[str] = []
    with listening(lambda what, done, total: told.append(what)):
        second = capture(net, X)
    assert any("computed anew" in t and "0 gives other numbers" in t for t in told)
    assert first.digest != second.digest
    assert not np.array_equal(first.array("0"), second.array("0"))
    capture(net, X, store=tmp_path / "store")
    with pytest.raises(StorageError, match=r"0 gives other numbers.*Give store= another folder"):
        capture(net, X, store=tmp_path / "store")


@pytest.mark.parametrize("row", [0, 1, 5])
def test_a_store_whose_rows_were_changed_does_not_answer(tmp_path, row) -> None:
    net = plain()
    before = np.array(capture(net, X, store=tmp_path / "store").array("last"))
    spoil(tmp_path / "store" / "site001.bin", row)
    with pytest.raises(StorageError, match=r"left alone: .*site001\.bin was changed"):
        capture(net, X, store=tmp_path / "store")
    np.testing.assert_array_equal(seen(net)[0], before)


def spoil(file: Path, row: int) -> None:
    held = np.fromfile(file, np.float32).reshape(-1, 2)
    held[row] += 1
    held.tofile(file)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_an_unfinished_store_is_checked_before_it_is_gone_on_with(tmp_path, cache, batch_size) -> None:
    net = torch.nn.Sequential(Noisy())
    steps = len(X) // batch_size

    def stop(what: str, done: int, total: int | None) -> None:
        if what.startswith("capture: ") and total == steps and done == 2:
            raise Cancelled("enough")

    for store in (tmp_path / "store", None):
        with pytest.raises(Cancelled), listening(stop):
            capture(net, X, batch_size=batch_size, store=store)
    with pytest.raises(StorageError, match="0 gives other numbers"):
        capture(net, X, batch_size=batch_size, store=tmp_path / "store")
    told: list[str] = []
    with listening(lambda what, done, total: told.append(what)):
        acts = capture(net, X, batch_size=batch_size)
    assert any("computed anew" in line and "0 gives other numbers" in line for line in told)
    assert len(acts) == len(X)
    assert len(list((cache / "captures").glob("*.partial"))) == 1  # what was there is left alone


@pytest.mark.filterwarnings("ignore:.*holds for these batches alone")
def test_other_rows_in_a_batch_are_no_change(monkeypatch) -> None:
    """A network that looks at its whole batch gives two samples alone other numbers; the whole batch decides."""
    net = torch.nn.Sequential(Centred())
    first, _ = seen(net, [X])
    ran: list[int] = []
    run = Work.run
    monkeypatch.setattr(Work, "run", lambda work, fed: (ran.append(len(fed.samples)), run(work, fed))[1])
    again, told = seen(net, [X])
    assert is_stored(told)
    assert ran == [2, 2, 6]
    np.testing.assert_array_equal(first, again)


class Centred(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0)


@pytest.mark.parametrize(
    "make", [lambda: torch.nn.LazyLinear(3), lambda: torch.nn.Linear(4, 3, device="meta")]
)
def test_parameters_without_numbers_are_refused_by_name(make) -> None:
    module = torch.nn.Sequential(make())
    with pytest.raises(ViewError, match=r"0\.weight is .*(lazy|meta)"):
        record(module, torch.optim.SGD(module.parameters(), lr=0.1))
    with pytest.raises(ViewError, match=r"0\.weight is .*(lazy|meta).* Give it numbers first"):
        capture(torch.nn.Sequential(make()), X)


def test_a_network_with_other_tokens_is_another_source(decoder, texts) -> None:
    """Two encodings that spell alike and number otherwise."""
    network = decoder.network()
    before = capture(network, texts, at="model.layers.0").array("model.layers.0").copy()
    encode = network.encode

    def shifted(lines: Any, max_length: int) -> Any:
        batch = encode(lines, max_length)
        return type(batch)(
            {**batch.inputs, "input_ids": (batch.inputs["input_ids"] + 1) % 1000}, batch.keep, batch.rows
        )

    network.encode = shifted
    after = capture(network, texts, at="model.layers.0").array("model.layers.0")
    assert not np.allclose(before, after)


def test_shared_memory_is_read_once() -> None:
    net = tied()
    found = tensors.strided_digests([net.first.weight, net.value, net.first.weight.detach(), net.last.weight])
    assert len(found) == 2


def test_a_network_that_was_copied_is_the_one_that_it_was() -> None:
    class Scale:  # copying an object leaves a note on its class
        value = 2.0

    network = plain()
    network.scale = Scale()
    before = network_digest(network)
    assert network_digest(copy.deepcopy(network)) == before == network_digest(network)
