"""How the files of this folder were made, from WordNet 3.0's ``data.noun``; see ORIGIN.md.

    python make_data.py data.noun [imagenet_synsets.txt]

``imagenet_synsets.txt`` has the identifiers of ImageNet's 1,000 classes (``n01440764``), one a line, in the
order of a classifier's outputs; without it only the corpus is made.
"""

from __future__ import annotations

import random
import re
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
# WordNet's lexicographer files of nouns that name eight clearly different kinds of thing.
TOPICS = {
    5: "animal",
    6: "artifact",
    8: "body",
    11: "event",
    13: "food",
    15: "location",
    18: "person",
    20: "plant",
}
A_TOPIC, WORDS, SEED = 300, range(12, 61), 0
UNFIT = re.compile(
    r"offensive|disparag|derogat|vulgar|obscen|slang|ethnic slur|rape[ds]?\b|prostitut|quadroon"
)


@dataclass(frozen=True)
class Synset:
    """One meaning: its lexicographer file, its words, the meanings above it, and how it is explained."""

    file: int
    words: list[str]
    above: list[str]
    gloss: str


def read(path: Path) -> dict[str, Synset]:
    """Read WordNet's noun file, described in its manual page wndb(5)."""
    found = {}
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith("  "):  # the licence
            continue
        fields, gloss = line.split(" | ", 1)
        offset, file, _, count, *rest = fields.split()
        n = int(count, 16)
        words = [w.replace("_", " ") for w in rest[: 2 * n : 2]]
        pointers = rest[2 * n + 1 :]
        above = [
            target for kind, target in zip(pointers[::4], pointers[1::4], strict=False) if kind in ("@", "@i")
        ]
        found[offset] = Synset(int(file), words, above, gloss.strip())
    return found


def chain(synsets: dict[str, Synset], offset: str) -> list[str]:
    """First words of the meanings above one, the nearest first."""
    names = []
    while synsets[offset].above:
        offset = synsets[offset].above[0]
        names.append(synsets[offset].words[0])
    return names


def main(nouns: Path, classes: Path | None) -> None:
    """Write the corpus and the names of the classes."""
    import pandas as pd

    synsets = read(nouns)
    rows = []
    for file, topic in TOPICS.items():
        by_gloss = {
            s.gloss: o for o, s in synsets.items() if s.file == file and len(s.gloss.split()) in WORDS
        }
        fit = [o for gloss, o in by_gloss.items() if not UNFIT.search(gloss)]
        for offset in sorted(random.Random(f"{SEED} {topic}").sample(fit, A_TOPIC)):
            s, names = synsets[offset], chain(synsets, offset)
            rows.append((s.gloss, topic, names[0] if names else "", s.words[0], len(names)))
    table = pd.DataFrame(rows, columns=["text", "topic", "kind", "word", "depth"])
    table["depth"] = table["depth"].astype("int8")
    table.to_parquet(HERE / "definitions.parquet", index=False, compression="zstd", compression_level=19)
    if classes is not None:
        names = [", ".join(synsets[c.removeprefix("n")].words) for c in classes.read_text().split()]
        (HERE / "imagenet_classes.txt").write_text("\n".join(names) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
