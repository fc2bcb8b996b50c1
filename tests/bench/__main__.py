"""`make bench`: run the benches and print what they measure. When all ran, docs/benchmarks.md holds the same.

python -m tests.bench [rounds] [kinds] [pushing] [pulling] [photos] [years] [history]
"""

import sys
import tempfile
import time
from pathlib import Path

from tests.bench import history, kinds, photos, pulling, pushing, rounds, years
from tests.bench.figures import load, machine, servers

BENCHES = {
    "rounds": rounds.bench,
    "kinds": kinds.bench,
    "pushing": pushing.bench,
    "pulling": pulling.bench,
    "photos": photos.bench,
    "years": years.bench,
    "history": history.bench,
}
WRITTEN = Path(__file__).parents[2] / "docs" / "benchmarks.md"
HEAD = f"""# Benchmarks

Written by `make bench`. Seconds depend on the machine and on what else it does, so each figure is a ratio against a
limit, or against a rival measured in the same run and in turn with ours. In brackets: 95 % intervals.

What large pools and encoding cost is measured by `make bench-speed` and told in [scale](scale.md), labels needed by
`make bench-labels` in [labels](labels.md).

{machine()}
"""


def main(names: list[str]) -> None:
    """Run the named benches, or all."""
    strangers = [name for name in names if name not in BENCHES]
    if strangers:
        sys.exit(f"bench: no such bench: {', '.join(strangers)}; there are {', '.join(BENCHES)}")
    print(HEAD)
    sections = []
    with servers(), tempfile.TemporaryDirectory(prefix="labelwise-bench-") as scratch:
        for name in names or BENCHES:
            folder = Path(scratch) / name
            folder.mkdir()
            before, started = load(), time.perf_counter()
            section = BENCHES[name](folder)
            took = time.perf_counter() - started
            section += (
                f"\nTook {took:.0f} s. Load, our servers and all other work on the machine included: "
                + f"before {before}, after {load()}.\n"
            )
            print(section, flush=True)
            sections.append(section)
    if len(sections) == len(BENCHES):
        WRITTEN.parent.mkdir(exist_ok=True)
        WRITTEN.write_text("\n".join([HEAD, *sections]), encoding="utf-8")
    else:
        print("docs/benchmarks.md is left as it is: it is written when all benches run")


if __name__ == "__main__":
    main(sys.argv[1:])
