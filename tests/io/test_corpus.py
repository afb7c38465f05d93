"""Texts with labels: the default corpus, a user's files, and what is refused."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import workbench as wb
from workbench.core.errors import DataError, FormatError, MissingError, ParameterError
from workbench.subjects.corpus import Corpus


def test_the_default_is_real_text_with_labels() -> None:
    texts = wb.corpus()
    assert isinstance(texts, Corpus)
    assert len(texts) == 2400
    assert texts.labels == ["topic", "kind", "word", "depth"]
    assert texts.table["topic"].value_counts().to_dict() == dict.fromkeys(
        ["animal", "artifact", "body", "event", "food", "location", "person", "plant"], 300
    )
    assert not texts.table["text"].duplicated().any()
    assert texts.table["text"].str.split().str.len().between(12, 60).all()
    diet = texts.table[texts.table["word"] == "soft diet"].iloc[0]
    assert diet["text"].startswith("a diet that does not require chewing")
    assert (diet["topic"], diet["kind"]) == ("food", "diet")


def test_the_default_goes_with_its_licence_and_is_small() -> None:
    data = resources.files("workbench.io") / "data"
    assert "Permission to use, copy, modify and distribute" in (data / "LICENSE-WordNet.txt").read_text()
    assert "WordNet 3.0" in (data / "ORIGIN.md").read_text()
    assert "WordNet 3.0" in wb.corpus().origin
    assert (
        sum(len((data / n).read_bytes()) for n in ("definitions.parquet", "imagenet_classes.txt")) < 500_000
    )


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "jsonl"])
def test_a_table_gives_the_chosen_column_and_the_others_as_labels(tmp_path, ending: str) -> None:
    table = pd.DataFrame(
        {
            "mood": ["calm", "cross"],
            "body": ["The sea is still.", "Who ate my, er, <b>cake</b>?"],
            "year": [1990, 2001],
        }
    )
    path = tmp_path / f"notes.{ending}"
    if ending == "parquet":
        table.to_parquet(path)
    elif ending == "jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    texts = wb.corpus(path, column="body")
    assert texts.name == "notes"
    assert texts.table["text"].tolist() == table["body"].tolist()
    assert texts.labels == ["mood", "year"]
    assert texts.table["year"].tolist() == [1990, 2001]
    assert wb.corpus(path, column="body", labels="year").labels == ["year"]
    assert wb.corpus(path, column="body", labels=["year", "mood"]).labels == ["year", "mood"]


def test_plain_text_gives_a_text_a_paragraph(tmp_path) -> None:
    path = tmp_path / "poem.txt"
    path.write_text("\ufeffOne line\n  goes on.\n\n \t \nA second, with ünïcode 日本.\n\n", encoding="utf-8")
    texts = wb.corpus(path)
    assert texts.table["text"].tolist() == ["One line goes on.", "A second, with ünïcode 日本."]
    assert texts.labels == []


def test_lines_without_text_are_left_out_and_the_others_keep_their_numbers(tmp_path) -> None:
    path = tmp_path / "gaps.csv"
    path.write_text('text,label\nfirst,a\n,b\n"  ",c\nlast,\n')
    texts = wb.corpus(path)
    assert texts.ids.tolist() == [0, 3]
    assert texts.table["label"].tolist() == ["a", ""]


def test_texts_and_labels_of_any_kind_can_be_kept(tmp_path) -> None:
    path = tmp_path / "odd.jsonl"
    odd = [
        {"text": "nul \x00 <script>", "tag": {"a": [1]}},
        {"text": 12.5, "tag": None},
        {"text": "😀", "tag": "b"},
    ]
    path.write_text("".join(json.dumps(o) + "\n" for o in odd))
    texts = wb.corpus(path)
    assert texts.table["text"].tolist() == ["nul \x00 <script>", "12.5", "😀"]
    assert texts.table["tag"].tolist() == ["{'a': [1]}", "", "b"]
    texts.table.to_parquet(tmp_path / "again.parquet")


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_words_that_programs_write_for_a_gap_are_texts_and_so_are_digits(tmp_path, ending: str) -> None:
    words = ["NA", "null", "None", "nan", "n/a", "ok"]
    table = pd.DataFrame({"text": words, "code": ["NA"] * 6, "size": [1.5, None] * 3})
    numbers = pd.DataFrame({"text": ["007", "1.50", "2"]})
    write = {
        "csv": lambda t, path: t.to_csv(path, index=False),
        "jsonl": lambda t, path: t.to_json(path, orient="records", lines=True),
        "parquet": lambda t, path: t.to_parquet(path),
    }[ending]
    write(table, tmp_path / f"w.{ending}")
    write(numbers, tmp_path / f"n.{ending}")
    texts = wb.corpus(tmp_path / f"w.{ending}")
    assert texts.table["text"].tolist() == words
    assert texts.table["code"].tolist() == ["NA"] * 6
    assert texts.table["size"].isna().tolist() == [False, True] * 3
    assert wb.corpus(tmp_path / f"n.{ending}").table["text"].tolist() == ["007", "1.50", "2"]


def test_a_list_of_texts_with_half_a_character_is_refused_in_words() -> None:
    with pytest.raises(DataError, match=r"'text' has half a character .* in row 1"):
        Corpus.from_texts(["whole \U0001f600", "half \ud83d"])


def test_a_draw_is_balanced_over_the_first_label_and_repeats(tmp_path) -> None:
    path = tmp_path / "uneven.csv"
    label = ["rare"] * 4 + ["common"] * 90 + ["some"] * 30
    pd.DataFrame({"text": [f"text {i}" for i in range(124)], "label": label}).to_csv(path, index=False)
    drawn = wb.corpus(path, max_texts=40)
    assert drawn.table["label"].value_counts().to_dict() == {"common": 18, "some": 18, "rare": 4}
    assert (np.diff(drawn.ids) > 0).all()
    assert drawn.table["text"].tolist() == [f"text {i}" for i in drawn.ids]
    assert wb.corpus(path, max_texts=40).ids.tolist() == drawn.ids.tolist()
    assert wb.corpus(path, max_texts=40, random_state=1).ids.tolist() != drawn.ids.tolist()
    assert len(wb.corpus(path, max_texts=1000)) == 124
    assert drawn.space == wb.corpus(path).space  # ids mean the same texts


def test_a_draw_without_labels_is_a_plain_sample(tmp_path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("\n\n".join(f"line {i}" for i in range(50)))
    assert len(set(wb.corpus(path, max_texts=20).ids)) == 20


def refusals(tmp_path):
    def made(name: str, content: bytes):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return [
        (made("empty.txt", b"\n \n\n\t\n"), {}, DataError, "is empty"),
        (made("nothing.csv", b""), {}, FormatError, "empty"),
        (made("header.csv", b"text,label\n"), {}, FormatError, "no row"),
        (made("blank.csv", b"text,label\n,a\n,b\n"), {}, DataError, "none of its 2 lines has a text"),
        (made("other.csv", b"body,label\nhello,a\n"), {}, MissingError, "body, label"),
        (
            made("label.csv", b"text,label\nhello,a\n"),
            {"labels": ["labl"]},
            MissingError,
            "Did you mean 'label'",
        ),
        (made("latin.csv", "text\ncafé\n".encode("latin1")), {}, FormatError, "iconv"),
        (made("latin.txt", "café".encode("latin1")), {}, FormatError, "0xe9 at 3 is not UTF-8"),
        (made("broken.jsonl", b'{"text": "a"}\n{"text": '), {}, FormatError, "broken.jsonl"),
        (
            made("half.jsonl", rb'{"text": "half a character: \udc3d"}' + b"\n"),
            {},
            DataError,
            "half a character .* in row 0",
        ),
        (made("cut.parquet", b"PAR1 and then nothing PAR1"), {}, FormatError, "cut.parquet"),
        (made("numbers.npy", b"\x93NUMPY\x01\x00"), {}, FormatError, "holds no texts"),
        (tmp_path / "absent.csv", {}, MissingError, "does not exist"),
        ("defualt", {}, MissingError, "A corpus is 'default' or a file"),
    ]


@pytest.mark.parametrize("case", range(14))
def test_refusals_say_what_to_do(tmp_path, case: int) -> None:
    what, keywords, error, said = refusals(tmp_path)[case]
    with pytest.raises(error, match=said):
        wb.corpus(what, **keywords)


@pytest.mark.parametrize("max_texts", [0, -1, 2.5, "10", True])
def test_an_illegal_number_of_texts_is_refused(max_texts) -> None:
    with pytest.raises(ParameterError, match="at least 1"):
        wb.corpus(max_texts=max_texts)


def test_an_illegal_seed_is_refused() -> None:
    with pytest.raises(ParameterError, match="random_state=-1 is not legal"):
        wb.corpus(max_texts=10, random_state=-1)


def test_lines_or_paragraphs_are_texts_and_the_corpus_says_which(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("one cat\ntwo dogs\nthree birds\n\n")  # a line a text; the empty line parts nothing
    assert wb.corpus(path).table["text"].tolist() == ["one cat", "two dogs", "three birds"]
    assert "a line a text" in wb.corpus(path).origin
    path.write_text("one\ncat\n\ntwo dogs\nthree birds\n")
    assert wb.corpus(path).table["text"].tolist() == ["one cat", "two dogs three birds"]
    assert "a paragraph a text (split='lines' would take each of its 4 lines" in wb.corpus(path).origin
    assert len(wb.corpus(path, split="lines")) == 4
    with pytest.raises(ParameterError, match="'auto', 'lines', 'paragraphs'"):
        wb.corpus(path, split="words")  # type: ignore[arg-type]


def test_texts_in_memory_are_a_corpus() -> None:
    table = pd.DataFrame({"said": ["a b", "c"], "by": ["x", "y"]})
    for texts in (table["said"].tolist(), table["said"]):
        assert wb.corpus(texts).table["text"].tolist() == ["a b", "c"]
    assert wb.corpus(table, column="said").labels == ["by"]
    with pytest.raises(ParameterError, match="a list of other things"):
        wb.corpus([1, 2])


def test_a_draw_says_of_how_many() -> None:
    assert wb.corpus(max_texts=40).holds.startswith("40 of 2,400 texts")
