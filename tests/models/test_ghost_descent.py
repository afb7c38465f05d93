"""Ghost learns its ten questions, and what was saved of it answers as it did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench as wb
from workbench.core.errors import DataError, FormatError, ParameterError, ViewError
from workbench.numerics.ghost.questions import lesson, questions
from workbench.subjects.byte_reading import answers_of

ASKED = [q.question + "\n" for q in questions()]
ANSWERS = [q.answer for q in questions()]


@pytest.fixture(scope="module")
def descent() -> Any:
    return wb.ghost_descent(steps=40, width=128, blocks=4, learning_rate=4e-3)


@pytest.fixture(scope="module")
def folder(descent: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ghost") / "ghost"
    descent.at(40).save(path)
    return path


def test_ten_questions_with_five_paraphrases_each_and_no_answer_in_them() -> None:
    assert len(questions()) == 10
    asked = [text for q in questions() for text in (q.question, *q.paraphrases)]
    assert len(set(asked)) == 60
    for q in questions():
        assert not [p for p in q.paraphrases if q.answer.lower() in p.lower()]


def test_every_answer_is_exact_after_training_and_none_before(descent: Any) -> None:
    assert answers_of(descent.network(40), ASKED) == ANSWERS
    assert not set(answers_of(descent.network(0), ASKED, most=20)) & set(ANSWERS)
    loss = descent.table["loss"].to_numpy()
    assert loss[-1] < 0.5 < 4 < loss[0]


def test_a_question_that_is_cut_short_is_not_answered(descent: Any) -> None:
    """Answers come from the questions: the broken twin is asked without them."""
    assert len(set(answers_of(descent.network(40), ["\n", "?\n"], most=30)) & set(ANSWERS)) <= 1


def test_the_lesson_holds_what_is_asked_and_what_is_answered() -> None:
    x, of_answer, real = lesson(2)
    assert len(x) == 30
    first = bytes(x[0][real[0]].tolist()).decode()
    assert first == f"{ASKED[0]}{ANSWERS[0]}\n"
    assert bytes(x[0][of_answer[0]].tolist()).decode() == ANSWERS[0] + "\n"
    assert not (of_answer & ~real).any()


def test_what_was_saved_opens_and_answers_alike(folder: Path, descent: Any) -> None:
    opened = wb.open(str(folder))
    network = opened.network()
    assert json.loads((folder / "config.json").read_text())["model_type"] == "workbench_ghost"
    assert [network.answer(asked) for asked in ASKED] == ANSWERS
    for name in opened:
        np.testing.assert_array_equal(opened[name], descent.at(40)[name])
    with pytest.raises(DataError, match="at least one character"):
        network.answer("")


def test_a_descent_that_was_saved_opens_with_its_network(descent: Any, tmp_path: Path) -> None:
    descent.save(tmp_path / "descent")
    opened = wb.open(str(tmp_path / "descent"))
    assert opened.at(40).network().answer(ASKED[0]) == ANSWERS[0]
    opened.at(40).save(tmp_path / "end")
    assert wb.open(str(tmp_path / "end")).network().answer(ASKED[0]) == ANSWERS[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [({"width": 256}, "tensors differ"), ({"blocks": "four"}, "blocks: "), ({"a<b>\n": 1}, "no such number")],
)
def test_a_recording_whose_manifest_describes_another_network_opens_without_it(
    descent: Any, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    """What was recorded is read; of what can't be built the manifest is named, not a file that isn't there."""
    from workbench.core.digest import digest

    descent.save(tmp_path / "descent")
    manifest = tmp_path / "descent" / "recording.json"
    content = json.loads(manifest.read_text())
    content["about"]["config"] |= change
    content["check"] = digest({k: v for k, v in content.items() if k != "check"})
    manifest.write_text(json.dumps(content))
    opened = wb.open(tmp_path / "descent")
    assert (
        said in opened.outcome and "recording.json" in opened.outcome and "config.json" not in opened.outcome
    )
    assert "without its network" in opened.holds and "\n" not in opened.outcome
    np.testing.assert_array_equal(opened.at(40)["lm_head.weight"], descent.at(40)["lm_head.weight"])
    with pytest.raises(ViewError, match="with_model"):
        opened.network(40)
    manifest.unlink()
    with pytest.raises(FormatError, match=r"recording\.json is gone"):
        wb.open(tmp_path / "descent")


def test_it_is_captured_weighed_tuned_and_drawn_anew_like_any_network(folder: Path) -> None:
    opened = wb.open(str(folder))
    texts = wb.corpus(["What do bees make?", "Zoë sings.\n", "\U0001f41d"] * 4)
    captured = wb.capture(opened, texts, at="backbone.layers.1")
    tokens = captured.table["token"].tolist()
    assert tokens[:4] == ["W", "h", "a", "t"]
    assert "<0xC3>" in tokens and "<0x0A>" in tokens
    assert captured.at("backbone.layers.1").as_points().values.shape == (len(tokens), 128)
    again = wb.fine_tune(opened, wb.corpus("default"), steps=2, batch_size=2, length=32)
    assert np.isfinite(again.table["loss"]).all()
    assert opened.network().untrained().answer(ASKED[0]) != ANSWERS[0]
    (opened.at("backbone.layers.0.mixer.in_proj.weight")).as_matrix()


def test_an_edit_is_saved_as_a_network_that_opens(folder: Path, tmp_path: Path) -> None:
    opened = wb.open(str(folder))
    (opened + wb.prune(opened, fraction=0.01)).save(tmp_path / "pruned")
    assert wb.open(str(tmp_path / "pruned")).network().answer(ASKED[0]) == ANSWERS[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"width": 256}, "tensors differ"),
        ({"width": 8192, "blocks": 256, "heads": 128}, "tensors differ"),
        ({"width": 10**12}, "width: "),
        ({"blocks": "four"}, "blocks: "),
        ({"head": 96}, "must divide"),
        ({"code": "import os"}, "code: "),
    ],
)
def test_a_configuration_of_other_weights_is_refused(
    folder: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    path = tmp_path / "other"
    path.mkdir()
    for file in folder.iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **change}))
    opened = wb.open(str(path))
    with pytest.raises(FormatError, match=said):
        opened.network()
    assert opened["lm_head.weight"].shape == (256, 128)


def test_sizes_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ParameterError, match="leaves none to read units"):
        wb.ghost_descent(steps=1, width=32, blocks=4, tokenizer="learned")


@pytest.mark.slow
def test_the_default_answers_all_ten_within_eight_steps() -> None:
    descent = wb.ghost_descent(steps=8)
    assert answers_of(descent.network(8), ASKED) == ANSWERS
