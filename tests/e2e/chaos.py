"""`make chaos`: kills and faults over git, DVC, Label Studio, MLflow and Prefect, drawn by a seed; what is left must be
what an undisturbed loop leaves.

A play is one workspace. Fault after fault strikes its loop, which is run again each time, as a user would; reviewers
answer what they see meanwhile. In the end an undisturbed run finishes the round, and all that the systems hold is
written down as facts (tests/e2e/facts.py) and compared with those of a play that nobody disturbed.

Each run of the loop is a fork of this process, which has imported all that it needs and has no threads: the real
command in a real process, without seven seconds of imports. The servers are reached through tests/e2e/faults.py.
"""

import argparse
import hashlib
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx

from tests.e2e.plays import RUN, Play, Stage, Undisturbed, import_all, import_as, make_source
from tests.e2e.processes import inside
from tests.e2e.strikes import BOUNDARIES, KINDS, Plan, Struck, draw, strike


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of the first play; the next ones count on from it")
    parser.add_argument("--faults", type=int, default=200, help="that strike; others are not counted")
    parser.add_argument("--of", type=int, default=12, help="faults a play")
    parser.add_argument("--minutes", type=float, default=60.0, help="no play begins after that")
    parser.add_argument("--only", default="", help="only kinds that contain this")
    parser.add_argument("--boundaries", choices=BOUNDARIES, help="one play, with the boundaries of a round in order")
    asked = parser.parse_args()
    two_rounds = asked.boundaries in ("round", "gold")
    if asked.boundaries:
        asked.faults = asked.of = len(BOUNDARIES[asked.boundaries])
    tell = partial(print, flush=True)
    begun = time.monotonic()
    home = os.environ.get("LABELWISE_TEST_HOME") or tempfile.mkdtemp(prefix="labelwise-chaos-")
    folder = Path(tempfile.mkdtemp(prefix="labelwise-chaos-plays-"))
    tell(
        f"chaos: {asked.faults} faults, {asked.of} a play, seeds from {asked.seed}, at most {asked.minutes:.0f} minutes"
    )
    stage = Stage(folder, home)
    if asked.boundaries == "round":
        stage.commands = (RUN,)
    plays: list[Played] = []
    try:
        import_all()
        make_source(folder / "source")
        calm = Undisturbed(stage, tell)
        for number in (0, 1):
            calm.facts(number)
            import_as(calm.play.log)
        if not two_rounds:
            calm.facts(2)
        # servers that somebody else has started are his to stop
        deck = Deck([kind for kind in KINDS if asked.only in kind and (stage.mine or kind != "server killed")])
        seed = asked.seed
        while (done := sum(fault.struck for play in plays for fault in play.faults)) < asked.faults:
            if time.monotonic() - begun > 60 * asked.minutes:
                tell(f"chaos: {asked.minutes:.0f} minutes are over")
                break
            dealt = deck.deal(random.Random(f"kinds {seed}"), asked.of)
            kinds: Sequence[str | Plan] = BOUNDARIES[asked.boundaries] if asked.boundaries else dealt
            took = time.monotonic() - begun
            tell(f"play {len(plays) + 1} · seed {seed} · {done} of {asked.faults} faults · {took:.0f} s")
            played = disturbed(calm, seed, kinds, tell, further=0 if two_rounds else 1)
            plays.append(played)
            tell(f"  {verdict(played)}")
            if asked.boundaries:
                break
            seed += 1
    finally:
        stage.close()
    tell(table(plays))
    bad = [play.seed for play in plays if not play.equal]
    for number in bad:
        tell(f"play it again: make chaos ARGS='--seed {number} --faults 1 --of {asked.of}'")
    if bad:
        tell(f"the workspaces are in {folder}")
    else:
        shutil.rmtree(folder)
    tell(f"chaos: took {time.monotonic() - begun:.0f} s")
    return 1 if bad or not plays else 0


class Deck:
    """The kinds of faults. What a play is dealt follows from its seed alone, so that it can be played again alone."""

    def __init__(self, kinds: list[str]) -> None:
        self.common = [kind for kind in kinds if kind != "server killed"] or kinds
        self.rare = [kind for kind in kinds if kind == "server killed"]

    def deal(self, chance: random.Random, count: int) -> list[str]:
        dealt = [
            kind for _ in range(count // len(self.common) + 1) for kind in chance.sample(self.common, len(self.common))
        ]
        dealt = dealt[:count]
        if self.rare and chance.random() < 0.15:  # a restart of all three servers takes half a minute
            dealt[chance.randrange(count)] = self.rare[0]
        return dealt


@dataclass
class Played:
    """A play and what came of it. lost, doubled: facts that an undisturbed play has more, or fewer, of."""

    seed: int
    faults: list[Struck] = field(default_factory=list)
    rounds: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    hash: str = ""
    broke: str = ""

    @property
    def equal(self) -> bool:
        return not (self.lost or self.doubled or self.broke)


def disturbed(
    calm: Undisturbed, seed: int, kinds: Sequence[str | Plan], tell: Callable[[str], None], further: int
) -> Played:
    """A play with a fault of each of these kinds, or just these, in this order; then what it leaves, `further` rounds
    later."""
    chance, played = random.Random(seed), Played(seed)
    try:
        play = Play(calm.play.stage, f"play-{seed}")
        for wanted in kinds:
            if isinstance(wanted, str):
                plan = draw(chance, wanted, calm.does(*play.next))
            else:
                plan = wanted
                reach(play, plan)
            kind, what = plan.kind, plan.what
            begun = time.monotonic()
            struck = strike(play, plan)
            played.faults.append(struck)
            ended_as = f"killed by {-struck.code}" if struck.code < 0 else f"exit {struck.code}"
            missed = "" if struck.struck else " (not reached)"
            tell(
                f"  seed {seed} · round {play.next[0]} · {' '.join(play.next[1])} · "
                f"{kind}: {what}{missed} · {ended_as}, "
                f"{time.monotonic() - begun:.1f} s" + (f": {struck.said[:150]}" if struck.code > 0 else "")
            )
            if struck.code == 1:
                played.broke = played.broke or f"a traceback: {play.log.read_text()[-1500:]}"
            if struck.code == 0:
                play.people(chance)
            elif play.next[1] == RUN and chance.random() < 0.3:
                play.answer(2, chance)
        finish(play, played, calm, further)
    except (RuntimeError, TimeoutError, httpx.HTTPError) as error:
        played.broke = f"{type(error).__name__}: {error}"
    return played


def reach(play: Play, plan: Plan) -> None:
    """Play undisturbed up to the command that the fault is for."""
    while play.next[1] != plan.of:
        end(play)
        play.people()


def end(play: Play) -> None:
    """Play the command that is next to its end. RuntimeError when it fails undisturbed."""
    if code := play.run():
        said = play.log.read_text()[-1500:]
        raise RuntimeError(f"the undisturbed {' '.join(play.next[1])} ended with {code}: {said}")


def finish(play: Play, played: Played, calm: Undisturbed, further: int) -> None:
    """Let all come to rest, undisturbed, at the end of the present round or `further` ones, and compare. The next round
    removes what went through late."""
    stage = play.stage
    stage.calm()
    last = play.next[0] + further
    while play.next != (last, stage.commands[-1]):
        end(play)
        play.people()
    end(play)
    number = inside(partial(rounds_played, play.root), play.log.with_suffix(".rounds"))
    played.rounds = number
    facts = play.facts()
    expected = calm.facts(number)
    played.lost = sorted((expected - facts).elements())
    played.doubled = sorted((facts - expected).elements())
    played.hash = hashlib.sha256("\n".join(sorted(facts.elements())).encode()).hexdigest()[:16]


def rounds_played(root: Path) -> int:
    from labelwise.tasks.labels import ledger

    return ledger.current_round(root / "data" / "labels")


# What came of it


def verdict(played: Played) -> str:
    if played.equal:
        return f"equal after {played.rounds} rounds: {played.hash}"
    lines = [f"NOT EQUAL: {played.broke}" if played.broke else f"NOT EQUAL after {played.rounds} rounds"]
    lines += [f"    lost     {fact}" for fact in played.lost[:12]]
    lines += [f"    surplus  {fact}" for fact in played.doubled[:12]]
    return "\n".join(lines)


def table(plays: list[Played]) -> str:
    """By kind of fault: how many, and what the plays that had one came to."""
    head = f"{'fault':<24}{'struck':>8}{'missed':>8}{'lost':>7}{'doubled':>9}{'state equal':>16}"
    lines = ["", head]
    for kind in KINDS:
        mine = [(play, fault) for play in plays for fault in play.faults if fault.kind == kind]
        hit = [play for play, fault in mine if fault.struck]
        if not mine:
            continue
        lost, doubled = sum(len(play.lost) for play in hit), sum(len(play.doubled) for play in hit)
        equal = sum(play.equal for play in hit)
        lines.append(
            f"{kind:<24}{len(hit):>8}{len(mine) - len(hit):>8}{lost:>7}{doubled:>9}{f'{equal} of {len(hit)}':>16}"
        )
    hit_all = sum(fault.struck for play in plays for fault in play.faults)
    lines.append(
        f"{'all':<24}{hit_all:>8}{sum(len(play.faults) for play in plays) - hit_all:>8}"
        f"{sum(len(play.lost) for play in plays):>7}{sum(len(play.doubled) for play in plays):>9}"
        f"{f'{sum(play.equal for play in plays)} of {len(plays)} plays':>16}"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
