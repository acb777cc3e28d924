"""Bad input through the real programs: a message that names the thing, the rule and the way out, the
documented exit code, and nothing changed."""

import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "cluster")]

import pytest  # noqa: E402
from cluster import BIN, DATA, SMALL_RECIPE, Cluster  # noqa: E402

USAGE, INVALID, NOT_FOUND, UNREACHABLE, CONFLICT = 2, 3, 4, 6, 7

SYNTHETIC = """
api: cvtrain/v1
kind: Experiment
name: plain
recipe: {task: synthetic, synthetic: {steps: 10, step_time_ms: 1}}
"""


@pytest.fixture(scope="module", name="cluster")
def start_cluster():
    with Cluster(slots=1) as cluster:
        cluster.create_photos()
        yield cluster


def revision(cluster):
    """The journal's revision; it moves with the worker's coming only, once the cluster is up."""
    return cluster.cvctl("local", "status")[0].rsplit("revision ", 1)[1].strip()


def refused(cluster, text, *wanted, code=INVALID):
    """Submitting `text` fails with `code` and says all of `wanted`; nothing is stored."""
    before = revision(cluster)
    path = cluster.write("bad.yaml", text)
    out, error = cluster.cvctl("submit", path, code=code)
    assert out == ""
    for words in wanted:
        assert words in error, error
    assert revision(cluster) == before


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("epochs: 4", "epochs: 4\n  epoch: 5", ["line", "recipe.epoch", "unknown field", "epochs"]),
        ("epochs: 4", "epochs: many", ["recipe.epochs", "many"]),
        ("epochs: 4", "epochs: 0", ["recipe.epochs", "0"]),
        ("max: 0.05", "max: .nan", ["recipe.learning_rate.cosine.max"]),
        ("max: 0.05", "max: 11", ["recipe.learning_rate.cosine.max", "10", "11"]),
        ("start_max: 32", "start_max: 640", ["start_max"]),
        ("grow_until_epoch: 2", "grow_until_epoch: 9", ["grow_until_epoch"]),
        ("curriculum: {linear: {grow_until_epoch: 2, start_max: 32}}",
         "curriculum: {stages: {list: [{from_epoch: 0}, {from_epoch: 3}, {from_epoch: 2}]}}", ["from_epoch"]),
        ("{small_resnet: {widths: [8, 16], blocks: [1]}}", "{resnet: {depth: 19}}", ["depth", "19", "18"]),
        ("{small_resnet: {widths: [8, 16], blocks: [1]}}", "{small_resnett: {}}", ["small_resnett", "small_resnet"]),
        ("{name: photos}", "{name: ../../etc/passwd}", ["recipe.dataset.name"]),
        ("name: small", "name: a%2eb", ["name"]),
        ("seed: 3", "seed: 3\n  seed: 4", ["seed"]),
        ("seed: 3", "seed: &anchor 3", ["anchor"]),
    ],
)
def test_a_bad_recipe_is_refused_with_its_field(cluster, old, new, wanted):
    assert old in SMALL_RECIPE
    refused(cluster, SMALL_RECIPE.replace(old, new, 1), *wanted)


def test_all_problems_are_told_at_once(cluster):
    text = SMALL_RECIPE.replace("epochs: 4", "epochs: 0").replace("max: 0.05", "max: -1").replace("momentum: 0.9", "momentum: 2")
    refused(cluster, text, "recipe.epochs", "recipe.learning_rate.cosine.max", "recipe.optimizer.sgd.momentum")


def test_a_recipe_of_257_kib_is_refused(cluster):
    refused(cluster, SYNTHETIC + "#" * (257 << 10), "256")


def test_an_unknown_dataset_is_not_found_with_near_names(cluster):
    refused(cluster, SMALL_RECIPE.replace("{name: photos}", "{name: photo}"), "photo", "photos", code=NOT_FOUND)


def test_a_name_that_is_taken_is_a_conflict(cluster):
    cluster.submit(SYNTHETIC, "--name", "taken")
    cluster.cvctl("submit", cluster.write("again.yaml", SYNTHETIC), "--name", "taken", code=CONFLICT)


def test_what_does_not_exist_is_not_found(cluster):
    for arguments in (["describe", "exp/999"], ["logs", "trial/999.1"], ["metrics", "trial/999.1"],
                      ["cancel", "exp/999"], ["ckpt", "verify", "ckpt/00000000-0000-4000-8000-000000000000"],
                      ["dataset", "describe", "nothing"], ["worker", "describe", "nobody"]):
        _, error = cluster.cvctl(*arguments, code=NOT_FOUND)
        assert error.startswith("cvctl: "), error


def test_bad_command_lines_are_usage_errors(cluster):
    for arguments, wanted in (
        (["submitt"], "submit"),
        (["submit"], "FILE"),
        (["submit", "--prio", "7", "x.yaml"], "--priority"),
        (["get", "trails"], "trial"),
        (["describe", "../../x"], "exp/12"),
        (["get", "exp", "-o", "xml"], "json"),
    ):
        _, error = cluster.cvctl(*arguments, code=USAGE)
        assert wanted in error, error


def test_a_file_that_is_not_there_is_named(cluster):
    _, error = cluster.cvctl("submit", "/no/such/recipe.yaml", code=NOT_FOUND)
    assert "/no/such/recipe.yaml" in error


def test_an_empty_folder_makes_no_dataset(cluster):
    before = revision(cluster)
    empty = cluster.directory / "empty"
    empty.mkdir()
    _, error = cluster.cvctl("dataset", "create", "empty", "--from", str(empty), code=INVALID)
    assert str(empty) in error
    assert revision(cluster) == before


def test_files_that_are_no_images_are_skipped_counted_and_bounded(cluster):
    folder = cluster.directory / "mixed"
    photos = sorted((DATA / "train").rglob("*.jpg"))
    for split in ("train", "test"):
        for klass in ("a", "b"):
            (folder / split / klass).mkdir(parents=True)
            for photo in photos[:10]:
                (folder / split / klass / photo.name).write_bytes(photo.read_bytes())
    (folder / "train/a/truncated.jpg").write_bytes(photos[0].read_bytes()[:700])
    (folder / "train/b/text.jpg").write_text("this is no image")

    out, _ = cluster.cvctl("dataset", "create", "mixed", "--from", str(folder))
    assert "Skipped" in out and "truncated.jpg" in out and "text.jpg" in out

    _, error = cluster.cvctl("dataset", "create", "mixed", "--from", str(folder), "--max-bad", "0",
                             "--work-dir", str(cluster.directory), code=INVALID)
    assert "2" in error


def test_a_second_coordinator_on_the_same_state_is_refused(cluster):
    done = subprocess.run(
        [str(BIN / "cvtrain-coordinator"), "--listen", f"unix:{cluster.directory}/other.sock",
         "--state-dir", str(cluster.local / "coordinator")],
        capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 69
    assert str(cluster.pid("coordinator")) in done.stderr, done.stderr
    assert cluster.cvctl("local", "status")[0].count(" UP ") == 2


def test_a_busy_socket_is_refused(cluster):
    done = subprocess.run(
        [str(BIN / "cvtrain-coordinator"), "--listen", cluster.address, "--state-dir", str(cluster.directory / "fresh")],
        capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 69
    assert "coordinator.sock" in done.stderr, done.stderr
    assert cluster.cvctl("local", "status")[0].count(" UP ") == 2


def test_plaintext_over_a_network_is_refused(cluster):
    done = subprocess.run(
        [str(BIN / "cvtrain-coordinator"), "--listen", "127.0.0.1:0", "--state-dir", str(cluster.directory / "fresh")],
        capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 64
    assert "--tls-ca" in done.stderr


def test_an_unreachable_coordinator_is_said_with_the_way_out(cluster):
    _, error = cluster.cvctl("get", "exp", "--server", f"unix:{cluster.directory}/nobody.sock",
                             "--timeout", "1s", code=UNREACHABLE)
    assert "nobody.sock" in error and "cvctl local up" in error


def damage(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x10
    path.write_bytes(bytes(data))


def test_a_corrupted_shard_is_found_and_ends_the_trial_with_cause_data():
    with Cluster(slots=1) as cluster:
        cluster.create_photos()
        # In the coordinator's store, before any worker has it: the digest no longer fits.
        shards = sorted((cluster.local / "coordinator/shards").iterdir(), key=lambda path: path.stat().st_size)
        damage(shards[-1], shards[-1].stat().st_size // 2)

        cluster.submit(SMALL_RECIPE)
        cluster.cvctl("wait", "exp/1", "--timeout", "120s", code=1)

        attempt = cluster.trial()["attempts"][-1]
        assert attempt["cause"] == "CAUSE_DATA"
        assert "shard" in attempt["message"]
        assert cluster.cvctl("local", "status")[0].count(" UP ") == 2


def test_a_damaged_database_is_refused_and_never_repaired():
    with Cluster(slots=1) as cluster:
        cluster.submit(SYNTHETIC)
        cluster.cvctl("wait", "exp/1")
        cluster.kill("worker")
        cluster.kill("coordinator")
        logs = sorted((cluster.local / "coordinator/db").glob("*.log"), key=lambda path: path.stat().st_size)
        damage(logs[-1], logs[-1].stat().st_size // 3)

        done = subprocess.run(
            [str(BIN / "cvtrain-coordinator"), "--listen", cluster.address, "--state-dir", str(cluster.local / "coordinator")],
            capture_output=True, text=True, timeout=60, check=False)

        assert done.returncode == 65
        assert logs[-1].name in done.stderr, done.stderr


def test_a_corrupted_checkpoint_is_named_by_verify():
    with Cluster(slots=1) as cluster:
        cluster.submit(SYNTHETIC, "--set", "recipe.synthetic.checkpoint_bytes=300000")
        cluster.cvctl("wait", "exp/1")
        name = cluster.json("ckpt", "ls")["checkpoints"][-1]["name"]
        cluster.cvctl("ckpt", "verify", name)
        cluster.cvctl("local", "down")
        tables = [path for path in (cluster.local / "coordinator/db").glob("*.sst") if path.stat().st_size > 250_000]
        assert tables
        for table in tables:
            damage(table, 150_000)

        # RocksDB may find it when it opens the table, and then the coordinator does not start.
        started = subprocess.run([str(BIN / "cvctl"), "local", "up", "--slots", "1"], env=cluster.environment,
                                 capture_output=True, text=True, timeout=120, check=False)
        if started.returncode == 0:
            _, error = cluster.cvctl("ckpt", "verify", name, code=1)
            assert "checkpoint" in error and "offset" in error, error
        else:
            assert ".sst" in started.stdout + started.stderr


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", *sys.argv[1:]]))
