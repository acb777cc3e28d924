"""Data sets of every format through the real programs; one that is killed, and one that runs twice.

Real ones, bccd.tar.gz and fsdd.tar.gz, are read too where they are at hand: in shared/data beside the repository, or in the
folder that CVTRAIN_TEST_DATA names.
"""

import csv
import io
import json
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import wave

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "cluster")]

import pytest  # noqa: E402
from cluster import BIN, DATA, Cluster, wait_until  # noqa: E402

INVALID, CONFLICT = 3, 7


@pytest.fixture(scope="module", name="cluster")
def start_cluster():
    with Cluster(slots=1) as cluster:
        yield cluster


@pytest.fixture(scope="module", name="photos")
def find_photos():
    return sorted((DATA / "train").rglob("*.jpg"))


def describe(cluster, name):
    return cluster.json("dataset", "describe", name)


def counts(version):
    return {split["name"]: [int(n) for n in split["class_images"]] for split in version["splits"]}


def write_wav(path, samples):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, samples, "NONE", ""))
        file.writeframes(struct.pack(f"<{samples}h", *range(samples)))


def test_a_webdataset_with_hostile_names(cluster, photos):
    path = cluster.directory / "shards" / "birds-train-0.tar"
    path.parent.mkdir()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:

        def add(name, data, **fields):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in fields.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(data))

        for i in range(6):
            add(f"{'long' * 40}/{i}.jpg", photos[i].read_bytes())
            add(f"{'long' * 40}/{i}.cls", b"%d" % (i % 2))
        add("../../outside.jpg", b"x")
        add("/etc/passwd", b"x")
        add("link.jpg", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    shutil.copy(path, path.with_name("birds-test-0.tar"))
    report = cluster.directory / "report.csv"
    out, error = cluster.cvctl("dataset", "create", "birds", "--from", str(path.parent), "--report", str(report))
    assert "looks like webdataset" in error
    assert "dataset/birds@1 created" in out
    version = describe(cluster, "birds")
    assert counts(version) == {"test": [3, 3], "train": [3, 3]}
    assert version["format"] == "webdataset" and version["media"] == "MEDIA_IMAGES"
    rows = list(csv.DictReader(report.open()))
    assert sorted(row["cause"] for row in rows if row["split"] == "train") == ["bad_name", "bad_name", "link"]
    assert not (cluster.directory.parent / "outside.jpg").exists()


def test_boxes_of_coco_and_voc(cluster, photos):
    coco = cluster.directory / "coco"
    voc = cluster.directory / "voc"
    for folder in (coco / "annotations", coco / "images", voc / "JPEGImages", voc / "Annotations"):
        folder.mkdir(parents=True)
    images, annotations = [], []
    for i, photo in enumerate(photos[:10]):
        shutil.copy(photo, coco / "images" / f"{i}.jpg")
        shutil.copy(photo, voc / "JPEGImages" / f"{i}.jpg")
        images.append({"id": i, "file_name": f"{i}.jpg"})
        annotations.append({"id": i, "image_id": i, "category_id": 5 + i % 2, "bbox": [-3, 2, 30, 20],
                            "segmentation": [[1, 1, 20, 1, 20, 20]], "iscrowd": 0})
        (voc / "Annotations" / f"{i}.xml").write_text(
            "<annotation><object><name>glass</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>30</xmax>"
            "<ymax>20</ymax></bndbox></object></annotation>")
    (coco / "annotations" / "instances_train2017.json").write_text(json.dumps({
        "images": images, "annotations": annotations,
        "categories": [{"id": 6, "name": "can"}, {"id": 5, "name": "cup"}]}))
    out, _ = cluster.cvctl("dataset", "create", "coco", "--from", str(coco))
    assert "boxes_cut 10" in out
    version = describe(cluster, "coco")
    assert version["classes"] == ["cup", "can"]
    assert (int(version["boxes"]), int(version["masks"])) == (10, 10)
    cluster.cvctl("dataset", "create", "voc", "--from", str(voc))
    assert int(describe(cluster, "voc")["boxes"]) == 10
    assert "Boxes:" in cluster.cvctl("dataset", "describe", "voc")[0]


def test_sounds_in_folders_and_in_a_csv_file(cluster):
    folder = cluster.directory / "sounds"
    rows = ["path,label,split"]
    for i in range(12):
        name = f"{'yes' if i % 2 else 'no'}/{i}.wav"
        write_wav(folder / name, 80 + i)
        rows.append(f"{name},{i % 2},{'train' if i < 8 else 'test'}")
    write_wav(folder / "no/silent.wav", 0)
    rows += ["no/silent.wav,0,train", "../../secret.wav,0,train"]
    (folder / "set.csv").write_text("\n".join(rows))
    cluster.cvctl("dataset", "create", "sounds", "--from", str(folder), "--max-bad", "0.2")
    version = describe(cluster, "sounds")
    assert version["media"] == "MEDIA_AUDIO" and version["skipped"]["no_samples"] == "1"
    cluster.cvctl("dataset", "create", "listed", "--from", str(folder / "set.csv"), "--max-bad", "0.2")
    version = describe(cluster, "listed")
    assert version["media"] == "MEDIA_AUDIO" and counts(version) == {"test": [2, 2], "train": [4, 4]}
    assert version["skipped"] == {"bad_name": "1", "no_samples": "1"}


def test_cifar_idx_and_bytes(cluster):
    cifar = cluster.directory / "cifar"
    mnist = cluster.directory / "mnist"
    files = cluster.directory / "files"
    for folder in (cifar, mnist, files):
        folder.mkdir()
    for name in ("data_batch_1.bin", "test_batch.bin"):
        (cifar / name).write_bytes(b"".join(bytes([i]) + bytes([i]) * 3072 for i in range(11)))
    for name in ("train", "t10k"):
        (mnist / f"{name}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, 4, 28, 28) + bytes(4 * 784))
        (mnist / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, 4) + bytes([0, 1, 2, 1]))
    for i in range(4):
        (files / f"{i}.bin").write_bytes(b"bytes %d" % i)
    (files / "manifest.csv").write_text("path,label\n" + "".join(f"{i}.bin,{i % 2}\n" for i in range(4)))
    cluster.cvctl("dataset", "create", "cifar", "--from", str(cifar), "--max-bad", "0.2")
    version = describe(cluster, "cifar")
    assert counts(version)["train"] == [1] * 10 and version["skipped"] == {"label_out_of_range": "2"}
    cluster.cvctl("dataset", "create", "mnist", "--from", str(mnist))
    assert counts(describe(cluster, "mnist")) == {"test": [1, 2, 1], "train": [1, 2, 1]}
    cluster.cvctl("dataset", "create", "files", "--from", str(files))
    assert describe(cluster, "files")["media"] == "MEDIA_BYTES"


def slow_source(folder, count):
    """Pictures that take a while, and fill a MiB soon: a PPM's worth of noise in each."""
    stream = random.Random(7)
    for i in range(count):
        path = folder / ("train" if i % 5 else "test") / "noise" / f"{i}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stream.randbytes(150_000))
    rows = "".join(f"{p.relative_to(folder)},noise,{p.relative_to(folder).parts[0]}\n"
                   for p in sorted(folder.rglob("*.bin")))
    (folder / "manifest.csv").write_text("path,label,split\n" + rows)


def test_one_that_is_killed_goes_on_where_it_was(cluster):
    folder = cluster.directory / "noise"
    slow_source(folder, 300)
    work = cluster.directory / "work"
    work.mkdir()
    arguments = ["dataset", "create", "noise", "--from", str(folder), "--shard-size", "1MiB", "--work-dir", str(work),
                 "--threads", "1"]
    cluster.cvctl(*arguments[:2], "whole", *arguments[3:])
    whole = describe(cluster, "whole")
    assert list(work.iterdir()) == [], "a finished one leaves nothing"

    killed = subprocess.Popen([str(BIN / "cvctl"), *arguments], env=cluster.environment,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: len(list(work.glob("*/*.shard"))) >= 5 or killed.poll() is not None, "five shards", 60)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL, "it was done before it could be killed"
    kept = sorted(work.glob("*/t*.shard"))
    assert len(kept) >= 4
    out, _ = cluster.cvctl("dataset", "verify", *map(str, kept))
    assert out.count(" ok ") == len(kept)

    out, error = cluster.cvctl(*arguments)
    assert "going on with an earlier run" in error and "of an earlier run" in out
    version = describe(cluster, "noise")
    assert version["digest"] == whole["digest"]
    assert [shard["digest"] for shard in version["shards"]] == [shard["digest"] for shard in whole["shards"]]
    assert list(work.iterdir()) == []
    assert cluster.cvctl("dataset", "verify", "noise")[0].startswith("dataset/noise@1 ok ")


def test_two_at_once_of_one_name_and_source(cluster):
    folder = cluster.directory / "twice"
    slow_source(folder, 300)
    work = cluster.directory / "work-twice"
    work.mkdir()
    arguments = ["dataset", "create", "twice", "--from", str(folder), "--shard-size", "1MiB", "--work-dir", str(work)]
    first = subprocess.Popen([str(BIN / "cvctl"), *arguments], env=cluster.environment, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    wait_until(lambda: list(work.glob("*/*.shard")) or first.poll() is not None, "a shard", 60)
    first.send_signal(signal.SIGSTOP)
    try:
        assert first.poll() is None, "it was done before it could be stopped"
        _, error = cluster.cvctl(*arguments, code=CONFLICT)
        assert "another `cvctl dataset create twice`" in error and str(first.pid) in error
    finally:
        first.send_signal(signal.SIGCONT)
    assert first.wait(timeout=60) == 0
    assert "dataset/twice@1" in cluster.cvctl("dataset", "ls")[0]


def test_what_fits_no_format_or_several(cluster, photos):
    folder = cluster.directory / "both"
    for i in range(3):
        write_wav(folder / "a" / f"{i}.wav", 9)
        shutil.copy(photos[i], folder / "a")
    _, error = cluster.cvctl("dataset", "create", "both", "--from", str(folder), code=INVALID)
    assert "--format" in error and "image_folder" in error and "audio_folder" in error
    (cluster.directory / "a.tar.gz").write_bytes(b"\x1f\x8b\x08")
    _, error = cluster.cvctl("dataset", "create", "both", "--from", str(cluster.directory / "a.tar.gz"), code=INVALID)
    assert "gzip" in error


def real(name, folder):
    beside = pathlib.Path(__file__).resolve().parents[4] / "shared/data"
    path = pathlib.Path(os.environ.get("CVTRAIN_TEST_DATA", beside)) / name
    if not path.exists():
        pytest.skip(f"{name} is not at hand; CVTRAIN_TEST_DATA may name the folder that holds it")
    with tarfile.open(path) as tar:
        tar.extractall(folder)


def test_blood_cells(cluster):
    folder = cluster.directory / "real"
    real("bccd.tar.gz", folder)
    cluster.cvctl("dataset", "create", "bccd", "--from", str(folder / "BCCD"))
    version = describe(cluster, "bccd")
    assert version["classes"] == ["Platelets", "RBC", "WBC"]
    assert sum(map(sum, counts(version).values())) == 364
    assert int(version["boxes"]) > 4800


def test_spoken_digits(cluster):
    folder = cluster.directory / "real"
    real("fsdd.tar.gz", folder)
    names = sorted(path.name for path in (folder / "recordings").iterdir())
    (folder / "manifest.csv").write_text("path,label\n" + "".join(f"recordings/{n},{n[0]}\n" for n in names))
    cluster.cvctl("dataset", "create", "digits", "--from", str(folder / "manifest.csv"))
    version = describe(cluster, "digits")
    assert version["media"] == "MEDIA_AUDIO" and version["classes"] == [str(i) for i in range(10)]
    assert sum(map(sum, counts(version).values())) == 3000


if __name__ == "__main__":
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", __file__, *sys.argv[1:]]))
