"""A real cluster for tests: the three programs, in a directory of their own, over a Unix socket."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
BIN = pathlib.Path(os.environ["CVTRAIN_BIN_DIR"])
DATA = ROOT / "recipes/data/trashnet-mini"

# Small enough for seconds, real in every part: photos, curriculum, RangeAugment, checkpoints.
SMALL_RECIPE = """
api: cvtrain/v1
kind: Experiment
name: small
recipe:
  task: classification
  dataset: {name: photos}
  model: {small_resnet: {widths: [8, 16], blocks: [1]}}
  epochs: 4
  sampler:
    multi_scale:
      base: {height: 32, width: 32, batch_size: 16}
      scales: {min: 24, max: 40, count: 3, divisible_by: 8}
      curriculum: {linear: {grow_until_epoch: 2, start_max: 32}}
  augmentation:
    range_augment: {target_psnr: {start: 40, end: 20}}
  loss: {label_smoothing: 0.1}
  optimizer: {sgd: {momentum: 0.9, weight_decay: 5.0e-4, nesterov: true}}
  learning_rate: {cosine: {max: 0.05, warmup_steps: 5}}
  checkpoint: {every: {steps: 10}, keep_best: 1, keep_last: 2}
  seed: 3
"""


class Failed(Exception):
    """A cvctl that did not exit as expected."""


def wait_until(condition, what, timeout=120.0):
    """Polls `condition` until it is true; the value is returned."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise TimeoutError(f"waited {timeout} s for {what}")


def kill_process(pid):
    """SIGKILL; harmless if it has ended."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def command_line(pid):
    """Of a process; empty once it has ended, reaped or not."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


class Cluster:
    """`with Cluster() as c:` has a running coordinator and worker; the end stops both."""

    def __init__(self, slots=2):
        # A socket's path has at most 107 bytes.
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="cvt-"))
        self.slots = slots
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("CVCTL_")}
        self.environment["CVTRAIN_LOCAL_DIR"] = str(self.directory / "local")

    def __enter__(self):
        try:
            self.up()
        except Exception:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception):
        try:
            self.cvctl("local", "down", code=None, timeout=60)
        finally:
            for name in ("worker", "coordinator"):
                self.kill(name, missing_ok=True)
            shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def local(self):
        return self.directory / "local"

    @property
    def address(self):
        return f"unix:{self.local}/coordinator.sock"

    def up(self):
        self.cvctl("local", "up", "--slots", str(self.slots), timeout=90)

    def cvctl(self, *arguments, code=0, timeout=120, stdin=None):
        """Runs cvctl; returns (stdout, stderr). `code` None accepts any exit code."""
        done = subprocess.run(
            [str(BIN / "cvctl"), *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if code is not None and done.returncode != code:
            raise Failed(f"cvctl {' '.join(arguments)}: exit {done.returncode}, not {code}\n{done.stdout}{done.stderr}")
        return done.stdout, done.stderr

    def json(self, *arguments):
        return json.loads(self.cvctl(*arguments, "-o", "json")[0])

    def write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return str(path)

    def create_photos(self):
        """The data set `photos`: a part of trashnet-mini."""
        source = self.directory / "photos"
        for split, count in (("train", 24), ("test", 8)):
            for klass in sorted((DATA / split).iterdir()):
                target = source / split / klass.name
                target.mkdir(parents=True)
                for photo in sorted(klass.iterdir())[:count]:
                    shutil.copy(photo, target)
        return self.cvctl("dataset", "create", "photos", "--from", str(source))[0]

    def submit(self, text, *arguments):
        """Submits a recipe; returns the id, such as exp/1."""
        return self.cvctl("submit", self.write("recipe.yaml", text), "-q", *arguments)[0].strip()

    def trial(self, name="trial/1.1"):
        return self.json("describe", name)

    def pid(self, name):
        return int((self.local / f"{name}.pid").read_text())

    def kill(self, name, missing_ok=False):
        """SIGKILL for the coordinator or the worker; returns when it has ended."""
        try:
            pid = self.pid(name)
            os.kill(pid, signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            if not missing_ok:
                raise
            return
        wait_until(lambda: not command_line(pid), f"the end of the {name}", 30)

    def trainers(self):
        """Process ids of the trainers of the worker, warm ones too."""
        parent = self.pid("worker")
        pids = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                stat = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                if int(stat[1]) == parent:
                    pids.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
        return pids

    def metric(self, process, series):
        """A number of /metrics of `coordinator` or `worker`, such as cvtrain_worker_steps_total."""
        port = (self.local / process / "metrics_port").read_text().strip()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
            for line in page.read().decode().splitlines():
                name, _, value = line.rpartition(" ")
                if name == series:
                    return float(value)
        raise KeyError(series)

    def last_weights(self, trial="trial/1.1"):
        """Bytes of the weights of a trial's last checkpoint, without metadata."""
        checkpoints = self.json("ckpt", "ls", trial)["checkpoints"]
        newest = max(checkpoints, key=lambda checkpoint: int(checkpoint["step"]))
        path = self.directory / "weights.safetensors"
        self.cvctl("ckpt", "export", newest["name"], "--to", str(path))
        return tensors_of(path.read_bytes())


def tensors_of(file):
    """{name: (dtype, shape, bytes)} of a safetensors file."""
    length = int.from_bytes(file[:8], "little")
    header = json.loads(file[8 : 8 + length])
    data = file[8 + length :]
    return {
        name: (entry["dtype"], tuple(entry["shape"]), data[slice(*entry["data_offsets"])])
        for name, entry in header.items()
        if name != "__metadata__"
    }
