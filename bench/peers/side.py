"""What the peers' sides share: the loop in which the harness takes turns with them, and the list of pictures."""

import json
import sys
import time


def serve(run):
    """Says `ready`, then answers each line `run ARGUMENT` with a line of JSON (bench/input/main.cc).

    `run` takes the argument and returns what it did, with its times if only it knows what counts.
    """
    print("ready", flush=True)
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        result = run(line.rstrip("\n").removeprefix("run "))
        result.setdefault("seconds", time.perf_counter() - wall)
        result.setdefault("cpu_seconds", time.process_time() - cpu)
        print(json.dumps(result), flush=True)


def rows(path):
    """(path, label) of each line of a list."""
    for line in open(path).read().splitlines():
        name, label = line.rsplit(" ", 1)
        yield name, int(label)
