"""What every benchmark shares: the figures, where they go, and what fails.

A figure compares ours with a peer's in one run, alternating (ABBA), and is printed as a row of a table
and as one JSON line:

  {"bench", "case", "unit", "ours", "peer", "theirs", "ratio", "spread": [low, high], "floor", "aim"}

`ratio` > 1 is better for us, always. `spread` is that of the ratio over the repetitions.
"""

import dataclasses
import datetime
import json
import pathlib
import platform
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench/results"


@dataclasses.dataclass
class Figure:
    bench: str
    case: str
    unit: str
    ours: float
    peer: str
    theirs: float
    ratio: float
    spread: list[float]
    floor: float
    aim: float


def lower_is_better(bench, case, unit, ours, peer, theirs, floor, aim):
    """A figure of times: `ours` and `theirs` are samples, taken in alternation."""
    ratios = [b / a for a, b in zip(ours, theirs)]
    low, high = min(ratios), max(ratios)
    ratio = statistics.median(theirs) / statistics.median(ours)
    return Figure(
        bench, case, unit, statistics.median(ours), peer, statistics.median(theirs), ratio, [low, high], floor, aim
    )


def _run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    return done.stdout.strip()


def cpu_pressure():
    """Seconds for which something waited for a core since boot; how disturbed a run was."""
    try:
        line = pathlib.Path("/proc/pressure/cpu").read_text().splitlines()[0]
        return int(line.rsplit("total=", 1)[1]) / 1e6
    except (FileNotFoundError, IndexError, ValueError):
        return 0.0


def machine():
    model = next(
        (line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown"
    )
    return {
        "cpu": model,
        "cores": len([1 for line in open("/proc/cpuinfo") if line.startswith("processor")]),
        "kernel": platform.release(),
        "system": _run("sh", "-c", ". /etc/os-release; echo $PRETTY_NAME"),
    }


def finish(figures, versions, command, notes=""):
    """Prints table and JSON lines, keeps both with machine and versions; the exit code."""
    header = f"{'case':34} {'unit':6} {'ours':>10} {'theirs':>10} {'ratio':>7} {'spread':>15} {'floor':>6} {'aim':>6}  peer"
    rows = [header]
    for one in figures:
        spread = f"{one.spread[0]:.2f}..{one.spread[1]:.2f}"
        missed = "" if one.ratio >= one.floor else "  BELOW FLOOR"
        rows.append(
            f"{one.case:34} {one.unit:6} {one.ours:10.4g} {one.theirs:10.4g} {one.ratio:7.2f} {spread:>15}"
            f" {one.floor:6.2f} {one.aim:6.2f}  {one.peer}{missed}"
        )
    print("\n".join(rows))
    if notes:
        print(notes)
    lines = [json.dumps(dataclasses.asdict(one)) for one in figures]
    result = {
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": command,
        "revision": _run("git", "describe", "--always", "--dirty"),
        "machine": machine(),
        "versions": versions,
        "notes": notes,
        "figures": [dataclasses.asdict(one) for one in figures],
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{figures[0].bench}.json").write_text(json.dumps(result, indent=2) + "\n")
    print("\n".join(lines), flush=True)
    return 0 if all(one.ratio >= one.floor for one in figures) else 1


if __name__ == "__main__":
    sys.exit("this is a library; run scripts/bench NAME")
