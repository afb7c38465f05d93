"""A world: the same call gives the same bytes, what drives it shows, and it tells of the story that it grew from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import workbench as wb
from workbench.core.errors import DataError, ParameterError

DATA = Path(wb.__file__).parent / "sources" / "data"
FLOWER = {"ground": "flower", "generations": 3}


def test_the_same_call_gives_the_same_bytes() -> None:
    asked = {"steps": 100, "heads": 2, "adapting": 0.5}
    one, again = wb.medusa(**asked), wb.medusa(**asked)
    assert one.seen.values.tobytes() == again.seen.values.tobytes()
    assert one.digest == again.digest != wb.medusa(**asked, random_state=1).digest
    assert (
        one.seen.values.shape == (101, 3) and one.truth["outcome"] == "finished" and one.truth["step"] == 100
    )
    longer = wb.medusa(**{**asked, "steps": 150})
    assert np.array_equal(longer.seen.values[:101], one.seen.values)


@pytest.mark.parametrize("h", [0.5, 0.2])
def test_known_answer_of_rates_that_are_not_coupled(h: float) -> None:
    """Without weights the rates are Ornstein-Uhlenbeck processes: what is seen correlates by 1 - h from step to step."""
    asked = {
        **FLOWER,
        "gain": 0.0,
        "speed": 0.0,
        "damping": 20.0,
        "h": h,
        "channels": 32,
        "steps": round(200 / h),
    }
    values = wb.medusa(**asked, strength=0.1, random_state=3).seen.values
    found = np.mean([np.corrcoef(c[1:], c[:-1])[0, 1] for c in values[20:].T])
    assert found == pytest.approx(1 - h, abs=0.06)
    assert (wb.medusa(**asked, strength=0.0).seen.values == 0).all()


def test_a_fractional_noise_remembers() -> None:
    """Lag-one correlation of the steps rises with Hurst's exponent."""
    found = []
    for hurst in (0.2, 0.5, 0.8):
        world = wb.medusa(
            **FLOWER,
            noise="fractional",
            hurst=hurst,
            gain=0,
            speed=0,
            damping=20,
            steps=600,
            h=0.05,
            channels=8,
        )
        d = np.diff(world.seen.values, axis=0)
        found.append(np.mean([np.corrcoef(c[1:], c[:-1])[0, 1] for c in d.T]))
    assert found[0] < -0.2 and abs(found[1]) < 0.1 and found[2] > 0.2
    assert found[0] < found[1] < found[2]


def test_noise_of_what_is_seen_is_not_felt() -> None:
    clean, seen = (wb.medusa(**FLOWER, steps=400, seen_noise=s).seen.values for s in (0.0, 0.5))
    assert np.std(seen - clean) == pytest.approx(0.5, rel=0.1)
    d = seen - clean
    assert abs(np.corrcoef(d[1:, 0], d[:-1, 0])[0, 1]) < 0.2


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"h": 0.9}, "the wave is stable with a step above 0 and below"),
        ({"steps": 49}, "steps=49"),
        ({"steps": 20_000, "generations": 2}, "22,9"),
        ({"generations": 5}, "make 111,616; at most 100,000"),
        ({"noise": "correlated", "generations": 3}, "covariance"),
        ({"strength": -1.0}, "strength=-1.0"),
        ({"hurst": 1.0}, "hurst=1.0"),
        ({"noise": "coloured", "scheme": "srk"}, "scheme='srk' with noise='coloured'.*integrals"),
        ({"noise": "fractional", "growing": True}, "growing=True with noise='fractional'.*semimartingale"),
        (
            {"noise": "correlated", "growing": True, "scheme": "milstein"},
            "scheme='milstein' with noise='correlated'.*Lévy",
        ),
        (
            {"noise": "coloured", "growing": True, "scheme": "milstein"},
            "scheme='milstein' with noise='coloured'",
        ),
    ],
)
def test_what_can_not_be_is_refused(asked: dict, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        wb.medusa(**{"steps": 60, **asked})


def test_a_world_grows_from_its_story() -> None:
    """Every sentence is a node, joined to the next and to the earlier one that is most like it; z is its place in the story."""
    world = wb.medusa(steps=60, generations=0)
    told = np.load(DATA / "story.npy").astype(float)
    unit = told / np.linalg.norm(told, axis=1, keepdims=True)
    k = len(told)
    expected = {(i, i + 1) for i in range(k - 1)}
    expected |= {(int(np.argmax(unit[: i - 1] @ unit[i])), i) for i in range(2, k)}
    assert {tuple(sorted(e)) for e in world.graph.edges.tolist()} == expected
    nodes = world.graph.table
    assert np.allclose(nodes["z"], np.arange(k) / (k - 1))
    assert np.abs(nodes[["x", "y"]]).to_numpy().max() == 1
    assert nodes["text"].tolist() == pd.read_csv(DATA / "story.csv")["text"].tolist()


@pytest.mark.parametrize("rule", ["flower", "hierarchical"])
def test_what_grows_lies_between_its_ends_in_time(rule: str) -> None:
    world = wb.medusa(steps=60, generations=2, rule=rule)
    nodes, edges = world.graph.table, world.graph.edges
    grown = nodes[nodes["generation"] > 0]
    assert len(grown) > 0 and grown["z"].between(0, 1).all()
    assert np.isfinite(nodes[["x", "y", "z"]]).all(axis=None)
    near = nodes["sentence"].to_numpy()
    assert (near[:56] == np.arange(56)).all()
    per = 4**2 if rule == "flower" else 5**2
    assert len(edges) == 109 * per


def test_events_are_told_of_the_story_and_are_rows_of_the_series() -> None:
    world = wb.medusa()
    events, story = world.at("events"), pd.read_csv(DATA / "story.csv")
    assert len(events) > 5 and events.space == world.at("series").space == world.at("heads").space
    assert set(events.ids.tolist()) <= set(world.at("series").ids.tolist())
    heads = world.at("heads").values
    for step, line in events.table.iterrows():
        head, of = int(line["heads"].split()[0]), int(line["sentences"].split()[0])
        told = story.iloc[of]
        assert line["text"].startswith(
            f"Step {step}: {told['character']} {told['event']} at the {told['place']}, and it"
        )
        away = (heads[step, head] - heads[50:, head].mean()) / heads[50:, head].std()
        assert abs(away) > 1.5 and ("rises" in line["text"] if away > 0 else "sinks" in line["text"])
        assert of * 6 // 56 == head  # the stretch of the story that it looks at
    assert "events" not in wb.medusa(steps=60, heads=0).parts()


def test_heads_that_only_look_leave_the_world_as_it_is() -> None:
    alone, watched = wb.medusa(steps=80, heads=0), wb.medusa(steps=80, heads=4)
    assert alone.seen.values.tobytes() == watched.seen.values.tobytes()
    assert alone.states["r"].tobytes() != wb.medusa(steps=80, heads=4, reaching=1.0).states["r"].tobytes()


def test_a_told_story_takes_the_place_of_the_shipped_one() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"text": [f"<b>Sentence</b> {i}." for i in range(9)]})
    told = wb.PointCloud(rng.standard_normal((9, 5)), table=table)
    world = wb.medusa(told, steps=400, generations=0)
    assert len(world.graph) == 9 and world.at("sentences").table["text"].tolist() == table["text"].tolist()
    assert all("\u201c<b>Sentence</b>" in text for text in world.at("events").table["text"])
    turned = wb.PointCloud(-told.values, table=table)  # cosines and the plane's spread are those of the other
    assert (wb.medusa(turned, steps=60, generations=0).graph.edges == world.graph.edges).all()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.ones((1, 4)), "1 sentence;"),
        (np.ones((3, 4)), "point the same way"),
        (np.eye(4) * [1, 1, 0, 1], "vector of sentence 2 is 0"),
        (np.array([[1.0, np.nan], [0, 1]]), "NaN"),
    ],
)
def test_a_story_that_is_none_is_refused(values: np.ndarray, said: str) -> None:
    with pytest.raises(DataError, match=said):
        wb.medusa(wb.PointCloud(values), steps=60)
    with pytest.raises(ParameterError, match="takes no sentences"):
        wb.medusa(wb.PointCloud(np.eye(3)), ground="flower")


def test_a_noise_that_grows_with_the_rate() -> None:
    """Known answer of one uncoupled rate: d(r²) has the drift -2r² + σ²(1 + r²), so that its mean is σ² / (2 - σ²)."""
    asked = {
        **FLOWER,
        "generations": 3,
        "gain": 0.0,
        "speed": 0.0,
        "damping": 20.0,
        "h": 0.05,
        "steps": 2000,
        "strength": 0.8,
    }
    for scheme in ("euler", "milstein"):
        r = wb.medusa(**asked, growing=True, scheme=scheme).states["r"][200:]
        assert np.mean(r**2) == pytest.approx(0.64 / (2 - 0.64), rel=0.12), scheme
    plain = wb.medusa(**asked).states["r"][200:]
    assert np.mean(plain**2) == pytest.approx(0.32, rel=0.1)


def test_a_noise_that_neighbours_share() -> None:
    asked = {
        **FLOWER,
        "generations": 2,
        "gain": 0.0,
        "speed": 0.0,
        "damping": 20.0,
        "steps": 4000,
        "noise": "correlated",
    }
    world = wb.medusa(**asked)
    together = np.corrcoef(world.states["r"][200:].T)
    degree = np.bincount(world.graph.edges.reshape(-1))
    shared = [(together[i, j], 0.5 / max(degree[i], degree[j])) for i, j in world.graph.edges]
    assert np.mean([a for a, _ in shared]) == pytest.approx(np.mean([b for _, b in shared]), abs=0.05)


def test_a_world_that_diverges_ends_there() -> None:
    world = wb.medusa(
        ground="flower", steps=400, strength=100.0, growing=True, h=1.0, speed=0.0, generations=2
    )
    assert world.truth["outcome"] == "diverged" and 0 < world.truth["step"] < 400
    assert len(world.seen) == world.truth["step"] and "diverged at step" in world.holds
