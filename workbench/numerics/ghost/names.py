"""Names of Ghost's switches, for those who offer them without loading torch."""

from typing import Literal

Step = Literal["euler", "trapezoid"]
Tokenizer = Literal["none", "learned", "fourth", "spaces"]
Mixing = Literal["mamba2", "s6"]
Query = Literal["position", "mean"]
Places = Literal["index", "content"]
