"""What every benchmark shares: the figures, where they go, and what fails.

A figure compares ours with a peer's in one run, alternating (ABBA), and is printed as a row of a table
and as one JSON line:

  {"bench", "case", "unit", "ours", "peer", "theirs", "ratio", "spread": [low, high], "floor", "aim"}

`ratio` > 1 is better for us, always. `spread` is that of the ratio over the repetitions.
"""

import dataclasses
import datetime
import json
import os
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


def higher_is_better(bench, case, unit, ours, peer, theirs, floor, aim):
    """A figure of rates: `ours` and `theirs` are samples, taken in alternation."""
    ratios = [a / b for a, b in zip(ours, theirs)]
    return Figure(
        bench,
        case,
        unit,
        statistics.median(ours),
        peer,
        statistics.median(theirs),
        statistics.median(ratios),
        [min(ratios), max(ratios)],
        floor,
        aim,
    )


class Side:
    """One side of a comparison: a process that is set up once and makes a pass for each line that it reads.

    It says `ready`, then answers `run ARGUMENT` with a line of JSON that has at least `images`, `seconds` and
    `cpu_seconds` (bench/input/main.cc, bench/peers/).
    """

    def __init__(self, *command, env=None, wait=True):
        self.command = [str(part) for part in command]
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env
        )
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self):
        self._read("ready")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        if self.process.wait(timeout=60) != 0:
            raise RuntimeError(f"ended with {self.process.returncode}: {' '.join(self.command)}")

    def _read(self, wanted=None):
        for line in self.process.stdout:
            if wanted is None and line.startswith("{"):
                return json.loads(line)
            if wanted is not None and line.strip() == wanted:
                return None
        raise RuntimeError(f"gave no answer: {' '.join(self.command)}")

    def memory_bytes(self):
        """Of the process, resident now."""
        pages = pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def ask(self, argument):
        self.process.stdin.write(f"run {argument}\n")
        self.process.stdin.flush()

    def answer(self):
        return self._read()

    def run(self, argument):
        self.ask(argument)
        return self.answer()


def start_together(commands, env):
    """Sides that are ready only when all of them run."""
    sides = [Side(*command, env=env, wait=False) for command in commands]
    for side in sides:
        side.wait_until_ready()
    return sides


def alternate(ours, theirs, arguments):
    """Passes of both sides in the order ABBA: two lists of results, one for each argument."""
    results = [[], []]
    for i, argument in enumerate(arguments):
        for side in (0, 1) if i % 2 == 0 else (1, 0):
            results[side].append((ours, theirs)[side].run(argument))
    return results


def rates(results, clock="cpu_seconds"):
    """Images a second: of a core's time, or with clock="seconds" of the wall's."""
    return [one["images"] / one[clock] for one in results]


def psnr(ours, theirs):
    """Of two files with the same pictures as bytes, dB."""
    import numpy as np

    a = np.fromfile(ours, dtype=np.uint8).astype(np.float32)
    b = np.fromfile(theirs, dtype=np.uint8).astype(np.float32)
    assert a.size == b.size, (a.size, b.size)
    return float(10 * np.log10(255**2 / max(float(np.mean((a - b) ** 2)), 1e-12)))


BINARY = pathlib.Path(os.environ.get("CVTRAIN_BIN_DIR", ROOT / "build/release/bin"))
SYSTEM_PYTHON = "/usr/bin/python3"  # for peers that Debian packages
BENCH_PYTHON = ROOT / ".bench-venv/bin/python"


def ours(kind, **flags):
    return Side(BINARY / "cvtrain-bench-input", kind, *flag_list(flags))


def peer(script, kind, python=SYSTEM_PYTHON, scratch=None, **flags):
    """`scratch` takes what the peer leaves behind in what it thinks is the folder for temporary files."""
    env = dict(os.environ, TMPDIR=str(scratch)) if scratch else None
    return Side(python, ROOT / "bench/peers" / script, kind, *flag_list(flags), env=env)


def flag_list(flags):
    return [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]


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


def debian_versions():
    """Of what the peers and we are linked with."""
    packages = ["libjpeg62-turbo", "python3-ffcv", "python3-numba", "python3-opencv", "python3-torch", "python3-pil"]
    shown = _run("dpkg-query", "-W", "-f", "${Package} ${Version}\\n", *packages, "python3-torchvision")
    return dict(line.split(" ", 1) for line in shown.splitlines())


def python_versions(*packages):
    """Of the benchmarks' own Python packages."""
    code = "import importlib.metadata, sys; print(*[importlib.metadata.version(one) for one in sys.argv[1:]])"
    return dict(zip(packages, _run(BENCH_PYTHON, "-c", code, *packages).split()))


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
