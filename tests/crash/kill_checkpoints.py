"""Kills whoever handles checkpoints, at any moment: what was committed stays, whole, and a trial never goes back behind it.

One trial after another writes a checkpoint of a few MiB after every step. At a random moment its trainer, the agent or the
coordinator gets SIGKILL, and is started again. After each kill:

- the newest checkpoint that had been listed before is listed still, or a newer one of the trial is;
- the newest one is verified, every byte of it;
- the trial goes on, or has ended well.

    CVTRAIN_BIN_DIR=build/release/bin tests/crash/kill_checkpoints.py [--kills=N] [--seed=N]
"""

import argparse
import pathlib
import random
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "integration/cluster")]

import cluster as clusters  # noqa: E402

STEPS = 400
RECIPE = f"""
api: cvtrain/v1
kind: Experiment
name: NAME
recipe:
  task: synthetic
  synthetic: {{steps: {STEPS}, step_time_ms: 5, checkpoint_bytes: BYTES}}
  checkpoint: {{every: {{steps: 1}}, keep_best: 0, keep_last: 2}}
retry: {{infrastructure_max: 1000}}
"""
VICTIMS = ["trainer"] * 6 + ["worker"] * 2 + ["coordinator"] * 2
DEADLINE = 60.0  # seconds for the first new checkpoint after a kill


class Broken(Exception):
    """A promise."""


class Driver:
    def __init__(self, cluster, chance):
        self.cluster, self.chance = cluster, chance
        self.trials, self.trial = 0, ""
        self.kills = dict.fromkeys(VICTIMS, 0)
        self.verified = 0

    def submit(self):
        self.trials += 1
        size = self.chance.randrange(1 << 10, 24 << 20)
        name = self.cluster.submit(RECIPE.replace("NAME", f"kill-{self.trials}").replace("BYTES", str(size)))
        self.trial = f"trial/{name.split('/')[1]}.1"

    def checkpoints(self):
        """{step: name} of the trial."""
        listed = self.cluster.json("ckpt", "ls", self.trial).get("checkpoints", [])
        return {int(one["step"]): one["name"] for one in listed}

    def wait_for_newer(self, step):
        """The newest checkpoint, when it is of a later step than `step`; of an ended trial, its last."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            known = self.checkpoints()
            newest = max(known, default=-1)
            if step >= 0 and newest < step:
                raise Broken(f"{self.trial} had a checkpoint of step {step}; its newest is of step {newest}")
            state = self.cluster.trial(self.trial)["state"]
            if state == "STATE_FAILED":
                raise Broken(f"{self.trial} failed: {self.cluster.trial(self.trial).get('reason')}")
            if newest > step or state == "STATE_SUCCEEDED":
                return newest, known.get(newest)
            time.sleep(0.02)
        raise Broken(f"{self.trial} has no checkpoint after step {step} within {DEADLINE:.0f} s")

    def kill_one(self):
        victim = self.chance.choice(VICTIMS)
        if victim == "trainer":
            trainers = self.cluster.trainers()
            if not trainers:
                return
            clusters.kill_process(self.chance.choice(trainers))
        else:
            self.cluster.kill(victim)
        self.kills[victim] += 1

    def tell_all(self):
        """What a person needs who looks for the reason."""
        print(self.cluster.cvctl("describe", self.trial, code=None)[0])
        print(self.cluster.cvctl("ckpt", "ls", self.trial, "-o", "json", code=None)[0])
        for name in ("coordinator", "worker"):
            for log in sorted(self.cluster.local.glob(f"{name}*.log")):
                print(f"== {log.name}")
                print("\n".join(log.read_text(errors="replace").splitlines()[-60:]))

    def round(self):
        if not self.trial or self.cluster.trial(self.trial)["state"] == "STATE_SUCCEEDED":
            self.submit()
        step, _ = self.wait_for_newer(-1)
        time.sleep(self.chance.random() * 0.1)
        known = max(self.checkpoints(), default=step)
        self.kill_one()
        self.cluster.up()
        newest, name = self.wait_for_newer(known)
        while True:
            out, err = self.cluster.cvctl("ckpt", "verify", name, code=None)
            if " ok " in out:
                self.verified += 1
                return
            # Newer ones may have taken its place meanwhile.
            listed = self.checkpoints()
            if listed.get(newest) == name:
                raise Broken(f"{name} of {self.trial}, step {newest}: {out}{err}")
            newest = max(listed)
            name = listed[newest]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    begin = time.monotonic()
    with clusters.Cluster(slots=1) as cluster:
        driver = Driver(cluster, random.Random(options.seed))
        while sum(driver.kills.values()) < options.kills:
            try:
                driver.round()
            except Broken:
                driver.tell_all()
                raise
            done = sum(driver.kills.values())
            if done % 50 == 0:
                print(f"{done} kills, {driver.verified} checkpoints verified, {driver.trials} trials", flush=True)
    kills = ", ".join(f"{count} of a {victim}" for victim, count in driver.kills.items())
    print(f"{kills}: {driver.verified} checkpoints verified, 0 torn, 0 lost, in {time.monotonic() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Broken as broken:
        print(f"broken: {broken}")
        sys.exit(1)
