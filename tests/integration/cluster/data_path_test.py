"""How shards reach a trainer: by sections, ahead of the stage that reads them, from places that the operator
named; and what happens to a cache directory that somebody deletes, fills or makes read-only.

The worker of each test is started here, with flags of its own; the data are noise, which no codec makes small.
"""

import functools
import http.server
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
import zlib

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent)]

import numpy  # noqa: E402
import pytest  # noqa: E402
from cluster import BIN, Cluster, command_line, wait_until  # noqa: E402

# `epochs` at 32 pixels, then as many at 224, which the smallest rung and the largest picture feed.
RECIPE = """
api: cvtrain/v1
kind: Experiment
name: stages
recipe:
  task: classification
  dataset: {name: noise}
  model: {small_resnet: {widths: [8], blocks: [1]}}
  epochs: EPOCHS
  sampler:
    multi_scale:
      base: {height: 32, width: 32, batch_size: 16}
      scales: {min: 32, max: 32, count: 1, divisible_by: 8}
      curriculum: {stages: {list: [STAGES]}}
  augmentation: {random_resized_crop: {scale_min: 0.8, scale_max: 1}}
  evaluation: {sizes: [{crop: 32}], every_epochs: EPOCHS}
  learning_rate: {constant: {value: 0.01}}
  checkpoint: {every: {epochs: 100}}
  seed: 3
"""


def png(pixels):
    """A PNG of height x width x 3 bytes."""
    height, width, _ = pixels.shape

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


class Shards(Cluster):
    """A coordinator with the data set `noise`, and one worker after the other: start_worker() begins with an empty
    cache, in a state directory of its own."""

    def __init__(self):
        super().__init__(slots=1)
        self.process = None
        self.workers = 0
        self.trials = 0

    def up(self):
        super().up()
        os.kill(self.pid("worker"), signal.SIGTERM)
        pid = self.pid("worker")
        wait_until(lambda: not command_line(pid), "the end of the worker", 60)
        self.create_noise()

    def create_noise(self):
        source = self.directory / "noise"
        rng = numpy.random.default_rng(7)
        for split, count in (("train", 64), ("test", 8)):
            for klass in ("a", "b"):
                folder = source / split / klass
                folder.mkdir(parents=True)
                for i in range(count // 2):
                    pixels = rng.integers(0, 256, (360, 480, 3), dtype=numpy.uint8)
                    (folder / f"{i}.png").write_bytes(png(pixels))
        self.cvctl("dataset", "create", "noise", "--from", str(source), "-q")

    def start_worker(self, *flags, inside=()):
        """`inside` is a command that the worker is run by."""
        with open(self.directory / "worker.log", "ab") as log:
            self.process = subprocess.Popen(
                [*inside, str(BIN / "cvtrain-worker"), "--coordinator", self.address, "--state-dir",
                 str(self.local / self.worker), "--name", self.worker, "--slots", "1", *flags], stderr=log)

    @property
    def worker(self):
        return f"worker-{self.workers}"

    def stop_worker(self):
        self.cvctl("worker", "drain", self.worker, code=None)
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        self.process = None
        self.workers += 1

    def __exit__(self, *exception):
        self.stop_worker()
        super().__exit__(*exception)

    def submit_stages(self, epochs, stages):
        listed = ", ".join(
            f"{{from_epoch: {i * epochs // len(stages)}, "
            f"scales: {{min: {size}, max: {size}, count: 1, divisible_by: 8}}, include_base: false}}"
            for i, size in enumerate(stages))
        self.trials += 1
        return self.submit(RECIPE.replace("EPOCHS", str(epochs)).replace("STAGES", listed),
                           "--name", f"stages-{self.trials}")

    def trial_of(self, experiment):
        return self.trial(f"trial/{experiment.split('/')[1]}.1")

    def fetched(self):
        try:
            return self.metric(self.worker, "cvtrain_worker_fetched_bytes_total")
        except (KeyError, OSError):
            return 0

    @property
    def size(self):
        return sum(shard.stat().st_size for shard in self.shards.iterdir())

    @property
    def cache(self):
        return self.local / self.worker / "cache"

    @property
    def shards(self):
        """Where the coordinator keeps them."""
        return self.local / "coordinator" / "shards"


@pytest.fixture(scope="module", name="coordinator")
def a_coordinator():
    with Shards() as cluster:
        yield cluster


@pytest.fixture(name="cluster")
def an_empty_cache(coordinator):
    yield coordinator
    coordinator.stop_worker()


def test_a_stage_fetches_the_rungs_that_it_reads(cluster):
    cluster.start_worker()
    cluster.cvctl("wait", cluster.submit_stages(2, [32]))
    assert 0 < cluster.fetched() < cluster.size / 3
    assert [path.suffix for path in cluster.cache.iterdir()].count(".parts") >= 1


def test_the_next_stage_is_fetched_before_it_begins(cluster):
    cluster.start_worker()
    experiment = cluster.submit_stages(400, [32, 224])
    # Most of the bytes are sources, which the first stage does not read.
    wait_until(lambda: cluster.fetched() > 0.8 * cluster.size, "the sources")
    progress = cluster.trial_of(experiment)["progress"]
    assert int(progress.get("stage", 0)) == 0, "it had to wait for the stage"
    cluster.cvctl("cancel", experiment)
    cluster.cvctl("wait", experiment, code=None)


def test_shards_come_from_a_directory_that_the_operator_named(cluster):
    cluster.start_worker("--shards-from", str(cluster.directory / "nowhere"), "--shards-from", str(cluster.shards))
    cluster.cvctl("wait", cluster.submit_stages(2, [32, 224]))
    assert cluster.metric(cluster.worker, "cvtrain_worker_origin_bytes_total") == cluster.fetched() > 0


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Serves files with byte ranges, which the standard library's does not."""

    def do_GET(self):
        path = pathlib.Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups())
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        self.wfile.write(data[first : last + 1])

    def log_message(self, *_arguments):
        pass


@pytest.fixture(name="web")
def a_web_server(cluster):
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Ranges, directory=str(cluster.shards)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_shards_come_over_http_and_from_the_coordinator_when_the_server_is_gone(cluster, web):
    url = f"http://127.0.0.1:{web.server_address[1]}"
    cluster.start_worker("--shards-from", url)
    cluster.cvctl("wait", cluster.submit_stages(2, [32]))
    assert cluster.metric(cluster.worker, "cvtrain_worker_origin_bytes_total") == cluster.fetched() > 0
    web.shutdown()
    web.server_close()
    before = cluster.fetched()
    cluster.cvctl("wait", cluster.submit_stages(2, [224]))
    assert cluster.fetched() > before
    assert cluster.metric(cluster.worker, "cvtrain_worker_origin_bytes_total") == before
    assert cluster.metric(cluster.worker, "cvtrain_worker_origin_failures_total") >= 1


def test_a_place_with_wrong_bytes_costs_time_and_nothing_else(cluster):
    wrong = cluster.directory / "wrong"
    wrong.mkdir()
    for shard in cluster.shards.iterdir():
        data = bytearray(shard.read_bytes())
        data[len(data) // 2] ^= 1
        (wrong / shard.name).write_bytes(data)
    cluster.start_worker("--shards-from", str(wrong))
    experiment = cluster.submit_stages(2, [32, 224])
    cluster.cvctl("wait", experiment)
    trial = cluster.trial_of(experiment)
    assert trial["state"] == "STATE_SUCCEEDED" and len(trial["attempts"]) == 1


def test_a_cache_that_is_deleted_while_it_is_read_comes_again(cluster):
    cluster.start_worker()
    experiment = cluster.submit_stages(120, [32, 224])
    wait_until(lambda: int(cluster.trial_of(experiment).get("progress", {}).get("step", 0)) > 0, "a step")
    shutil.rmtree(cluster.cache)
    cluster.cvctl("wait", experiment)
    assert len(cluster.trial_of(experiment)["attempts"]) == 1, "the files that it had open were not enough"
    cluster.cvctl("wait", cluster.submit_stages(2, [32, 224]))
    assert list(cluster.cache.iterdir())


def test_a_disk_of_the_cache_that_is_full_or_read_only_fails_attempts_until_it_is_not(cluster):
    unshare = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("mount namespaces are not permitted here")
    cluster.cache.mkdir(parents=True, exist_ok=True)
    mount = f'mount -t tmpfs -o size={2 * cluster.size // 2**20}m none "$0" && exec "$@"'
    cluster.start_worker(inside=[*unshare, "sh", "-c", mount, str(cluster.cache)])
    disk = pathlib.Path(f"/proc/{cluster.process.pid}/root{cluster.cache}")

    def remount(mode):
        subprocess.run(["nsenter", "-t", str(cluster.process.pid), "--mount",
                        "mount", "-o", f"remount,{mode}", str(cluster.cache)], check=True)

    def attempts(experiment):
        return cluster.trial_of(experiment).get("attempts", [])

    wait_until((cluster.cache.parent / "metrics_port").exists, "the worker, which starts when the disk is mounted")
    with open(disk / "filler", "wb", buffering=0) as filler:
        free = os.statvfs(disk)
        filler.write(bytes(free.f_bavail * free.f_frsize - 2**19))
    experiment = cluster.submit_stages(2, [32, 224])
    wait_until(lambda: len(attempts(experiment)) > 1, "an attempt that failed")
    assert "the disk of the cache is full" in attempts(experiment)[0]["message"]
    os.remove(disk / "filler")
    cluster.cvctl("wait", experiment)

    for file in disk.iterdir():
        file.unlink()
    remount("ro")
    experiment = cluster.submit_stages(2, [32, 224])
    wait_until(lambda: len(attempts(experiment)) > 1, "an attempt that failed")
    assert "cannot be written" in attempts(experiment)[0]["message"]
    remount("rw")
    cluster.cvctl("wait", experiment)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-v", "-p", "no:cacheprovider", *sys.argv[1:]]))
