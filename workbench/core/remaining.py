"""What is being done and how long it will still take, in words, from what the work tells of itself (`workbench.core.progress`)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

LOOKS_BACK = 0.3  # share of a stage's time by which its speed is judged: the start may have compiled, the end may be slower
LEAST, FEWEST = 2.0, 10  # seconds, and steps, that are looked back at least
TRUSTED = 0.2  # by how much a new estimate may differ from the old one before it is taken over at once
FORGOTTEN = 4  # times its longest step, after which a stage that says nothing was left before its end
FIRST = 1.5  # seconds before anything is said


@dataclass
class Stage:
    """One loop of the work.

    Attributes
    ----------
    name : as it is shown; a loop that begins a second time says so. number : of those that began.
    done, total : steps. began, told : when, and when last.
    within : what the present step is doing, where that was told.
    """

    name: str
    number: int
    began: float
    told: float
    done: int = 0
    total: int = 0
    longest: float = 0.0
    holds_others: bool = False
    within: str = ""
    _seen: list[tuple[float, int]] = field(default_factory=list)
    _end: float = math.nan
    _end_of: float = math.nan

    def tell(self, done: int, total: int, now: float) -> None:
        """Note so many steps as done."""
        if done > self.done:
            self.longest = max(self.longest, now - self.told)
            self.within = ""
        self.done, self.total, self.told = done, total, now
        self._seen.append((now, done))
        since = now - max(LEAST, LOOKS_BACK * (now - self.began))
        while len(self._seen) > FEWEST and self._seen[1][0] < since:
            self._seen.pop(0)

    def line(self, now: float) -> str:
        """What is being done, how far it is, and how long it will take on."""
        left = in_words(self.left(now))
        return f"{self.name}: {self.done:,} of {self.total:,}{left and ', '}{left}{self.within and '; now '}{self.within}"

    def left(self, now: float) -> float:
        """Seconds that it will take on, NaN where nothing can be said yet.

        What is said counts down with the clock; an estimate that differs little moves it slowly, and one that differs much
        replaces it, so that it neither flickers nor stays wrong.
        """
        (then, before), (last, done) = self._seen[0], self._seen[-1]
        if now - self.began < FIRST or done <= before or last <= then:
            return math.nan
        step = (last - then) / (done - before)
        waited = now - last
        present = max(
            step - waited, waited / 2
        )  # a step that takes longer than the others goes on for a while
        new = now + present + max(0, self.total - done - 1) * step
        if math.isnan(self._end) or abs(new - self._end) > TRUSTED * max(self._end - now, LEAST):
            self._end = new
        else:
            self._end += (new - self._end) * (1 - math.exp(-(now - self._end_of) / LEAST))
        self._end_of = now
        return max(0.0, self._end - now)


class Stages:
    """The loops that are under way, and the one that speaks for the work: the outermost, once it is known to hold others."""

    def __init__(self) -> None:
        self._stages: dict[str, Stage] = {}
        self._passes: dict[str, int] = {}
        self._latest = ""
        self._newest = 0

    def tell(self, what: str, done: int, total: int | None, now: float) -> Stage | None:
        """Note a step, and return the stage to show; None where ``what`` is all that there is to say."""
        if total is None or total < 2:  # what is done within a step, or what needs no bar
            stage = self._speaker(now)
            if stage is not None:
                stage.within = what
            return stage
        stage = self._stages.get(what)
        if stage is None or done < stage.done:
            passes = self._passes[what] = self._passes.get(what, 0) + 1
            self._stages.pop(what, None)  # so that the last to begin stands last
            self._newest += 1
            name = what if passes == 1 else f"{what}, pass {passes}"
            stage = self._stages[what] = Stage(name, self._newest, now, now)
        if done > stage.done and self._newest > stage.number:  # others began within a step of it
            stage.holds_others = True
        stage.tell(done, total, now)
        self._latest = what
        speaker = self._speaker(now) or stage
        if speaker is not stage:
            speaker.within = stage.name
        if done >= total:
            del self._stages[what]
        return speaker

    def _speaker(self, now: float) -> Stage | None:
        """The stage that began first of those that hold others and go on, else the latest that was heard of."""
        for stage in self._stages.values():
            if stage.holds_others and now - stage.told <= FORGOTTEN * max(stage.longest, LEAST):
                return stage
        return self._stages.get(self._latest)


def in_words(seconds: float) -> str:
    """A time that is left, no finer than it is known: ``"about 2 min left"``; nothing for NaN."""
    if math.isnan(seconds):
        return ""
    if seconds >= 90:
        return f"about {seconds / 60:.0f} min left"
    if seconds >= 20:
        return f"about {round(seconds / 10) * 10} s left"
    return f"about {max(seconds, 1):.0f} s left"
