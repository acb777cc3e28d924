"""A coordinator whose disk fills up: new work is refused with the way out, reads and what makes room go
on, and when the disk is free again nothing was lost.

The disk is a small tmpfs in a mount namespace of the coordinator's own, so nothing is left behind.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent)]

import pytest  # noqa: E402
from cluster import BIN, Cluster, wait_until  # noqa: E402

FAILED = 1
DISK_MIB, RESERVE_MIB = 192, 32
REQUEST_ID = "8c7f1a52-6f0e-4b6b-9d0e-0f5a4f6f3c11"

SYNTHETIC = """
api: cvtrain/v1
kind: Experiment
name: NAME
recipe: {task: synthetic, synthetic: {steps: 10, step_time_ms: 1}}
"""


class SmallDisk(Cluster):
    """A coordinator alone, with its state on a disk of DISK_MIB."""

    def up(self):
        (self.directory / "state").mkdir(exist_ok=True)
        self.environment["CVCTL_SERVER"] = self.address
        unshare = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
        if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
            pytest.skip("mount namespaces are not permitted here")
        mount = f'mount -t tmpfs -o size={DISK_MIB}m none "$0" && exec "$@"'
        self.process = subprocess.Popen(
            [*unshare, "sh", "-c", mount, str(self.directory / "state"), str(BIN / "cvtrain-coordinator"),
             "--listen", self.address, "--state-dir", str(self.directory / "state"),
             "--disk-reserve", f"{RESERVE_MIB} MiB"],
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: self.exit_of("get", "exp") == 0, "the coordinator", 60)

    def exit_of(self, *arguments):
        return subprocess.run([str(BIN / "cvctl"), *arguments, "--timeout", "1s"], env=self.environment,
                              capture_output=True, check=False).returncode

    @property
    def address(self):
        return f"unix:{self.directory}/c.sock"

    def __exit__(self, *_exception):
        if getattr(self, "process", None) is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def disk(self):
        """The state directory as the coordinator sees it."""
        return pathlib.Path(f"/proc/{self.process.pid}/root{self.directory}/state")

    def fill(self, leave_mib):
        free = os.statvfs(self.disk)
        count = free.f_bavail * free.f_frsize - leave_mib * 2**20
        with open(self.disk / "filler", "wb", buffering=0) as file:
            for _ in range(count // 2**20):
                file.write(bytes(2**20))

    def submit_named(self, name, *arguments, code=0):
        return self.cvctl("submit", self.write("recipe.yaml", SYNTHETIC.replace("NAME", name)), "-q", *arguments,
                          code=code)

    def experiments(self):
        return {e["spec"]["name"]: e["state"] for e in self.json("get", "exp")["experiments"]}


def test_a_full_disk_refuses_new_work_and_loses_nothing():
    with SmallDisk() as cluster:
        first = cluster.submit(SYNTHETIC.replace("NAME", "first"))
        cluster.fill(leave_mib=RESERVE_MIB // 2)

        # The coordinator looks at the disk once a second.
        tries = iter(range(1000))
        wait_until(lambda: cluster.submit_named(f"try-{next(tries)}", code=None)[0] == "", "a refusal", 30)
        before = cluster.experiments()
        out, error = cluster.submit_named("second", "--request-id", REQUEST_ID, code=FAILED)
        assert out == ""
        for words in (str(cluster.directory / "state"), "reserved", "free some"):
            assert words in error, error
        assert cluster.experiments() == before, "what was refused left something"
        cluster.cvctl("cancel", first)  # it makes room, so it may use the reserve
        assert "CANCELLED" in cluster.experiments()["first"]

        (cluster.disk / "filler").unlink()
        wait_until(lambda: cluster.submit_named("second", "--request-id", REQUEST_ID, code=None)[0] != "",
                   "room on the disk", 30)
        assert set(cluster.experiments()) == {*before, "second"}


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q"]))
