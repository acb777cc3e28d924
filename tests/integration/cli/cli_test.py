"""cvctl through the real programs: what it prints while it follows, exit codes, what a shell gets."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "cluster")]

import pytest  # noqa: E402
from cluster import BIN, Cluster, wait_until  # noqa: E402

FAILED, USAGE, INVALID, NOT_FOUND, UNREACHABLE, TIMEOUT, DETACHED = 1, 2, 3, 4, 6, 8, 130

SHORT = """
api: cvtrain/v1
kind: Experiment
name: short
recipe:
  task: synthetic
  synthetic: {steps: 20, step_time_ms: 2}
"""
LONG = SHORT.replace("short", "long").replace("steps: 20", "steps: 100000")


@pytest.fixture(scope="module", name="cluster")
def start_cluster():
    with Cluster(slots=1) as cluster:
        yield cluster


@pytest.fixture(scope="module", name="done")
def finish_one(cluster):
    """An experiment of one trial that has ended."""
    experiment = cluster.submit(SHORT)
    cluster.cvctl("wait", experiment)
    return experiment


@pytest.fixture(name="running")
def start_one(cluster):
    """An experiment that runs as long as the test."""
    experiment = cluster.submit(LONG, "--name", f"long-{os.urandom(4).hex()}")
    cluster.cvctl("wait", experiment, "--for", "running")
    yield experiment
    cluster.cvctl("cancel", experiment, "--now")
    cluster.cvctl("wait", experiment, code=FAILED)


def trial_of(experiment):
    return experiment.replace("exp", "trial") + ".1"


def interrupted(cluster, arguments, ready):
    """Starts cvctl, sends Ctrl-C once `ready(output so far)`; returns (exit code, stdout, stderr)."""
    with subprocess.Popen([str(BIN / "cvctl"), *arguments], env=cluster.environment, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        lines = []
        while not ready("".join(lines)):
            line = process.stdout.readline()
            assert line, process.stderr.read()
            lines.append(line)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=20)
        return process.returncode, "".join(lines) + out, error


def test_submit_and_follow_prints_plain_lines_and_the_ranking(cluster):
    out, _ = cluster.cvctl("submit", cluster.write("short.yaml", SHORT), "--name", "followed", "-f")
    first, *rest = out.splitlines()
    assert first.startswith("experiment/") and first.endswith(" created")
    assert any("RUNNING" in line or "SUCCEEDED" in line for line in rest), out
    assert any(line.startswith("RANK") for line in rest), out
    assert rest[-1].endswith(" SUCCEEDED")
    assert "loss 0 " not in out and " 0 img/s" not in out
    assert "\x1b" not in out


def test_watch_of_an_ended_experiment_ends_at_once_with_its_ranking(cluster, done):
    out, _ = cluster.cvctl("watch", done)
    assert "RANK" in out and f"{done} SUCCEEDED" in out


def test_ctrl_c_detaches_from_a_watch_and_the_job_goes_on(cluster, running):
    code, _, error = interrupted(cluster, ["watch", running], lambda out: "RUNNING" in out)
    assert code == DETACHED
    assert f"cvctl watch {running}" in error
    assert cluster.json("describe", running)["state"] == "STATE_ACTIVE"


def test_ctrl_c_detaches_from_followed_logs(cluster, running):
    with subprocess.Popen([str(BIN / "cvctl"), "logs", "-f", trial_of(running)], env=cluster.environment,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        # The signal is caught from the start; its thread is what tells that the verb runs.
        wait_until(lambda: "interrupts" in threads_of(process.pid), "cvctl logs")
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=20)
    assert process.returncode == DETACHED
    assert "comes back" in error or "interrupted" in error


def threads_of(pid):
    try:
        return [(task / "comm").read_text().strip() for task in pathlib.Path(f"/proc/{pid}/task").iterdir()]
    except FileNotFoundError:
        return []


def test_ctrl_c_ends_a_submit_that_reads_standard_input(cluster):
    with subprocess.Popen([str(BIN / "cvctl"), "submit", "-"], env=cluster.environment, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: "interrupts" in threads_of(process.pid), "cvctl submit")
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20)  # its input stays open
        out, error = process.communicate(timeout=20)
    assert process.returncode == DETACHED
    assert out == "" and "interrupted" in error


def test_wait_gives_up_after_its_timeout(cluster, running):
    _, error = cluster.cvctl("wait", running, "--timeout", "3s", code=TIMEOUT)
    assert f"{running} ACTIVE" in error


def test_wait_says_at_once_that_nobody_answers(cluster):
    cluster.cvctl("wait", "exp/1", "--server", f"unix:{cluster.directory}/nobody.sock", "--timeout", "500ms",
                  code=UNREACHABLE)


def test_submit_and_wait_prints_the_id_only_when_quiet(cluster):
    out, _ = cluster.cvctl("submit", cluster.write("short.yaml", SHORT), "--name", "waited", "--wait", "-q")
    assert out.startswith("exp/") and out.count("\n") == 1


def test_dry_run_prints_recipe_and_trials_and_stores_nothing(cluster):
    before = cluster.cvctl("get", "exp", "-o", "name")[0]
    out, _ = cluster.cvctl("submit", cluster.write("short.yaml", SHORT), "--name", "dry", "--dry-run")
    assert "name: dry" in out and "Trials (1)" in out and "Nothing was submitted." in out
    assert cluster.cvctl("get", "exp", "-o", "name")[0] == before


def test_describe_traces_a_trial_to_what_made_it(cluster, done):
    out, _ = cluster.cvctl("describe", trial_of(done))
    page = dict(line.split(":", 1) for line in out.splitlines() if ":" in line and line[0] != " ")
    assert int(page["Seed"]) >= 0
    assert len(page["Recipe digest"].strip()) == 64
    assert page["Program version"].strip() in cluster.cvctl("version")[0]
    assert int(page["Plan version"]) >= 1


def test_logs_prints_what_a_trial_wrote(cluster, done):
    # What a synthetic trial writes is its own business; the form of the lines is ours.
    out, _ = cluster.cvctl("logs", trial_of(done), "--timestamps")
    for line in out.splitlines():
        assert "#1 rank 0  " in line, out
    assert cluster.cvctl("logs", trial_of(done), "--head", "1")[0].count("\n") <= 1


def test_metrics_are_plotted_and_unknown_ones_refused(cluster, done):
    names = {line.split()[1] for line in cluster.cvctl("metrics", done, "--no-headers")[0].splitlines()}
    name = sorted(names - {"epoch", "samples", "flops", "wall_time"})[0]
    out, _ = cluster.cvctl("metrics", done, "--name", name, "--plot")
    assert out.startswith(name + "\n") and "+----" in out and trial_of(done) in out
    _, error = cluster.cvctl("metrics", done, "--name", name + "x", code=NOT_FOUND)
    assert name in error
    trials = cluster.json("metrics", done)["trials"]
    assert [trial["trial"] for trial in trials] == [f"experiments/{done[4:]}/trials/1"]
    assert name in {series["metric"] for series in trials[0]["series"]}


def test_get_has_the_documented_columns(cluster, done):
    for kind, columns in (
        ("exp", "ID NAME STATE STAGE STEP EPOCH METRIC BEST PROGRESS ETA AGE"),
        ("sweep", "ID NAME METHOD STATE TRIALS(run/done/stop/fail/left) BEST BUDGET(used/total) ETA"),
        ("trial", "ID STATE RUNG STAGE STEP METRIC BEST FLOPS WORKERS RESTARTS AGE HPARAMS"),
        ("worker", "NAME STATE SLOTS(free/all) GPU MEM HEALTH JOBS LABELS HEARTBEAT VERSION"),
        ("ckpt", "UUID TRIAL STEP METRIC SIZE STATE DIGEST AGE LABEL"),
    ):
        narrow = cluster.cvctl("get", kind)[0].splitlines()[0].split()
        wide = cluster.cvctl("get", kind, "-o", "wide")[0].splitlines()[0].split()
        assert narrow == columns.split()
        assert set(narrow) < set(wide)
    assert cluster.cvctl("get", done)[0].splitlines()[1].split()[0] == done


def test_get_refuses_what_is_not_there(cluster):
    for arguments in (["worker", "nobody"], ["dataset/nothing"], ["ckpt/9f3c"], ["trial/99.1"], ["exp/99"]):
        cluster.cvctl("get", *arguments, code=NOT_FOUND)


def test_errors_are_json_where_json_is_asked_for(cluster):
    _, error = cluster.cvctl("get", "exp/99", "-o", "json", code=NOT_FOUND)
    assert json.loads(error)["reason"] == "EXPERIMENT_NOT_FOUND"
    bad = cluster.write("bad.yaml", SHORT.replace("steps: 20", "steps: -1"))
    _, error = cluster.cvctl("submit", bad, "-o", "json", code=INVALID)
    assert json.loads(error)["violations"][0]["field"] == "recipe.synthetic.steps"
    _, error = cluster.cvctl("get", "trails", "-o", "json", code=USAGE)
    assert json.loads(error)["reason"] == "USAGE"


def test_yaml_has_times_as_people_write_them(cluster, done):
    out, _ = cluster.cvctl("get", done, "-o", "yaml")
    assert 'create_time: "20' in out and "seconds:" not in out


def test_a_disk_that_is_full_is_an_error(cluster, done):
    with open("/dev/full", "w", encoding="utf-8") as full:
        ended = subprocess.run([str(BIN / "cvctl"), "metrics", done, "-o", "csv"], env=cluster.environment, stdout=full,
                               stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    assert ended.returncode == FAILED
    assert "standard output" in ended.stderr


def test_a_request_id_that_is_no_uuid_touches_no_file(cluster):
    precious = cluster.directory / "precious"
    precious.mkdir()
    (precious / "work").write_text("years")
    work = cluster.directory / "work"
    (work / "cvctl-dataset-x").mkdir(parents=True)
    cluster.cvctl("dataset", "create", "d", "--from", str(precious), "--work-dir", str(work),
                  "--request-id", "x/../../precious", code=USAGE)
    assert (precious / "work").read_text() == "years"
    assert (work / "cvctl-dataset-x").is_dir()


def completions(cluster, *words):
    """What bash offers for the last of `words`."""
    script = ('source <(cvctl completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _cvctl; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    environment = {**cluster.environment, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script, "bash", "cvctl", *words], env=environment, cwd=cluster.directory,
                          capture_output=True, text=True, timeout=30, check=True)
    return done.stdout.split()


def test_bash_completes_verbs_kinds_and_flags(cluster):
    assert completions(cluster, "desc") == ["describe"]
    assert completions(cluster, "get", "tr") == ["trial"]
    assert completions(cluster, "submit", "--dr") == ["--dry-run"]
    assert completions(cluster, "ckpt", "export", "--fo") == ["--format"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh here")
def test_zsh_takes_its_completion_and_completes(cluster):
    script = ('functions[compdef]=:; compadd() { print -l -- ${(P)2}; }; _files() { print files; }; '
              'source <(cvctl completion zsh); words=(cvctl "$@"); CURRENT=$#words; _cvctl')
    environment = {**cluster.environment, "PATH": f"{BIN}:{os.environ['PATH']}"}

    def offered(*words):
        return subprocess.run(["zsh", "-fc", script, "zsh", *words], env=environment, capture_output=True, text=True,
                              timeout=30, check=True).stdout.split()

    assert "describe" in offered("")
    assert offered("local", "") == ["up", "down", "status"]
    assert "--dry-run" in offered("submit", "--")
    assert "--format" in offered("ckpt", "export", "--")


def test_local_up_finds_a_worker_whose_pid_file_was_lost(cluster):
    pid = cluster.pid("worker")
    (cluster.local / "worker.pid").unlink()
    out, _ = cluster.cvctl("local", "up")
    assert f"worker runs already, process {pid}" in out
    assert cluster.pid("worker") == pid


def test_two_that_start_a_cluster_at_once_start_one():
    with Cluster(slots=1) as cluster:
        cluster.cvctl("local", "down")
        starts = [subprocess.Popen([str(BIN / "cvctl"), "local", "up", "--slots", "1"], env=cluster.environment,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
        outputs = [process.communicate(timeout=90)[0] for process in starts]
        assert [process.returncode for process in starts] == [0, 0], outputs
        started = [line for out in outputs for line in out.splitlines() if " started, process " in line]
        assert sorted(line.split()[0] for line in started) == ["coordinator", "worker"], outputs
        for name in ("coordinator", "worker"):
            assert str(cluster.pid(name)) in "".join(started)
        # A killed worker leaves a lease behind that says READY: not of the one that is started now.
        old = cluster.pid("worker")
        cluster.kill("worker")
        out, _ = cluster.cvctl("local", "up")
        assert f"worker started, process {cluster.pid('worker')}" in out
        assert cluster.pid("worker") != old
        assert cluster.cvctl("local", "status")[0].count(" UP ") == 2


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", *sys.argv[1:]]))
