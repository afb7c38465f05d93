"""Write story.csv and story.npy from the lines below: what each sentence says, where, of whom, and where minilm puts it.

``python workbench/sources/data/make_story.py`` needs the bundled network minilm.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

# place | character | event | sentence
STORY = """
mill | Tilda | wakes | Tilda the water vole woke in the cellar of the old mill before anyone else.
mill | Tilda | hears | The great wheel above her was not humming as it did every morning.
mill | Tilda | looks | She put her nose out of the door and saw that the stream was gone.
stream | Tilda | finds | Where water had run there was only mud, and a blue bottle stuck in it.
stream | Tilda | reads | In the bottle lay a note with four words: the lake is sleeping.
stream | Tilda | decides | Somebody has to wake it, said Tilda, and packed two acorns.
stream | Oskar | arrives | Oskar the heron came stalking along the mud on his long thin legs.
stream | Oskar | complains | No water, no fish, he grumbled, and no fish, no breakfast.
stream | Tilda | asks | Will you carry me to the lake, Oskar, asked Tilda.
stream | Oskar | refuses | Herons do not carry anybody, said Oskar, but he walked beside her all the same.
bridge | Tilda | crosses | They came to the stone bridge where the road turned towards the hills.
bridge | Bram | blocks | Bram the badger sat in the middle of it and would not move.
bridge | Bram | demands | Nobody crosses without a riddle, said Bram, for that is my trade.
bridge | Bram | riddles | What runs all day and never grows tired?
bridge | Tilda | answers | A stream does, said Tilda, but today it is very tired indeed.
bridge | Bram | laughs | Bram laughed so hard that the bridge shook, and he let them through.
bridge | Bram | joins | Then he shut his little toll box and came along too.
wood | Bram | leads | Bram led them into the dark wood, for he knew every root of it.
wood | Oskar | stumbles | Oskar caught his feet in the brambles and fell over twice.
wood | Mirre | whispers | Something whispered in the leaves above them, now left, now right.
wood | Mirre | appears | It was Mirre the owl, who had not slept for three nights.
wood | Mirre | warns | Do not go on, she warned, the lake is under a spell of snow.
wood | Tilda | asks | Who would do that in the middle of May, asked Tilda.
wood | Mirre | tells | A lonely wind, said Mirre, who wanted somewhere quiet to stay.
wood | Mirre | gives | She gave them a feather that glows when the cold is near.
hill | Tilda | climbs | They climbed the hill, and with every step the feather shone brighter.
hill | Bram | tires | Halfway up Bram sat down and said that badgers are made for tunnels.
hill | Oskar | carries | So Oskar, who never carried anybody, carried the badger's toll box.
hill | Tilda | shares | Tilda broke an acorn into three, and they ate it in silence.
hill | Oskar | sees | From the top Oskar saw the lake, white and still as a plate.
hill | Wind | blows | Then the wind noticed them and blew so hard that the grass lay flat.
hill | Bram | digs | Bram dug a burrow faster than you can count to ten.
hill | Tilda | hides | They hid in it, all three, and listened to the wind going round.
hill | Wind | cries | It did not howl, it cried, and Tilda could hear it quite clearly.
lake | Tilda | walks | She took the feather and walked out onto the ice alone.
lake | Wind | shouts | Go away, shouted the wind, this is my quiet place.
lake | Tilda | sits | Tilda did not go away, she sat down and gave it her last acorn.
lake | Wind | wonders | Nobody had ever given the wind anything before.
lake | Wind | asks | What am I to do with an acorn, it asked in a smaller voice.
lake | Tilda | explains | You plant it, said Tilda, and then you have a tree to talk to.
lake | Tilda | invites | Until it has grown you can come and turn our mill with us.
lake | Wind | softens | The wind thought about it, and while it thought it grew warm.
lake | Lake | cracks | A crack ran through the ice with a sound like a large bell.
lake | Oskar | flies | Oskar flew out over the water and picked Tilda up by her coat.
lake | Oskar | admits | Herons do carry somebody now and then, he admitted.
lake | Lake | wakes | The lake woke, stretched itself, and poured over its edge.
hill | Bram | rides | Bram came down the hill on the first wave, sitting in his toll box.
wood | Mirre | sleeps | In the wood Mirre heard the water go by and fell asleep at last.
wood | Wind | plants | The wind set the acorn into the earth beside her tree.
bridge | Bram | opens | At the stone bridge Bram took down his sign, and nobody pays there any more.
bridge | Bram | riddles | He still asks riddles, but only of people who like them.
stream | Oskar | fishes | The stream ran again, and Oskar had breakfast and lunch in one.
stream | Tilda | answers | Tilda put a new note into the blue bottle and let it float away.
mill | Wind | turns | That evening the great wheel turned by water and by wind together.
mill | Tilda | listens | Tilda lay in the cellar and listened to it humming.
mill | Tilda | sleeps | Then the water vole, who had been up since morning, fell asleep as well.
"""


def main() -> None:
    import workbench as wb

    rows = [[part.strip() for part in line.split("|")] for line in STORY.strip().split("\n")]
    table = pd.DataFrame(rows, columns=["place", "character", "event", "text"])
    here = Path(__file__).parent
    table.to_csv(here / "story.csv", index=False)
    minilm: Any = wb.open("minilm")
    acts = wb.capture(minilm, list(table["text"]), rows="sample", batch_size=1)
    last = acts.at(acts.sites[-1]).values
    np.save(here / "story.npy", np.asarray(last / np.linalg.norm(last, axis=1, keepdims=True), np.float16))


if __name__ == "__main__":
    main()
