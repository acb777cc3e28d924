"""Several processes of one side: the ranks of a benchmark, which take their turns together."""

import os
import pathlib

import harness

# Passive waiting, one thread for each rank, as workers set it.
ENVIRONMENT = os.environ | {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "1"}


class Ranks:
    """`command(rank)` is that of one rank. A pass is run by all of them; the slowest counts."""

    def __init__(self, world, command):
        self.sides = harness.start_together(
            [[str(part) for part in command(rank)] for rank in range(world)], ENVIRONMENT
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for side in self.sides:
            side.process.stdin.close()
        for side in self.sides:
            side.process.wait(timeout=60)

    def run(self, argument):
        for side in self.sides:
            side.ask(argument)
        answers = [side.answer() for side in self.sides]
        slowest = max(answers, key=lambda one: one["seconds"])
        return slowest | {"images": sum(one["images"] for one in answers), "all": answers}


def ours(world, kind, folder, **flags):
    """Of our program; `folder` is where its ranks meet, new for each group."""
    store = pathlib.Path(folder)
    store.mkdir(parents=True)
    binary = harness.BINARY / "cvtrain-bench-train"
    return Ranks(
        world, lambda rank: [binary, kind, *harness.flag_list(flags | {"rank": rank, "world": world, "store": store})]
    )
