"""Lints the protos, and compares them with the baseline of the last release.

Public messages (cvtrain.v1) must stay compatible in source; messages on disk (cvtrain.storage.v1)
in their bytes. Each check proves itself on a copy with a planted mistake.
"""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUF = os.path.join(ROOT, ".venv", "bin", "buf")
BASELINE = os.path.join(ROOT, "tests", "protos", "baseline")
FINDING = 100  # what buf exits with when it ran and found something
# In place of buf.yaml: bytes on disk must stay readable, names in the source may change.
ON_DISK = """
version: v2
modules:
  - path: proto
breaking:
  use: [WIRE]
  ignore: [proto/cvtrain/session, proto/cvtrain/trainer]
"""


def run_buf(folder, *arguments):
    """Returns buf's exit status and what it printed, run in `folder`."""
    done = subprocess.run(
        [BUF, *arguments],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "BUF_CACHE_DIR": os.path.join(tempfile.gettempdir(), "buf-cache")},
        check=False,
    )
    return done.returncode, done.stdout


class ProtosTest(unittest.TestCase):
    def setUp(self):
        self._copy = tempfile.TemporaryDirectory(prefix="cvtrain-protos-")
        self.addCleanup(self._copy.cleanup)
        self.folder = self._copy.name
        shutil.copy(os.path.join(ROOT, "buf.yaml"), self.folder)
        shutil.copytree(os.path.join(ROOT, "proto"), os.path.join(self.folder, "proto"))

    def plant(self, path, pattern, replacement):
        path = os.path.join(self.folder, "proto", path)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        changed, count = re.subn(pattern, replacement, text, count=1, flags=re.MULTILINE)
        self.assertEqual(count, 1, f"nothing in {path} matches {pattern}")
        with open(path, "w", encoding="utf-8") as file:
            file.write(changed)

    def assert_clean(self, *arguments):
        status, output = run_buf(self.folder, *arguments)
        self.assertEqual(status, 0, output)

    def assert_found(self, wanted, *arguments):
        status, output = run_buf(self.folder, *arguments)
        self.assertEqual(status, FINDING, output)
        self.assertIn(wanted, output)

    def use_rules(self, text):
        with open(os.path.join(self.folder, "buf.yaml"), "w", encoding="utf-8") as file:
            file.write(text)

    def test_protos_are_lint_clean(self):
        self.assert_clean("lint")

    def test_lint_finds_a_planted_mistake(self):
        self.plant("cvtrain/v1/trial.proto", r"^service TrialService", "service Trials")
        self.assert_found("Trials", "lint")

    def test_public_protos_are_compatible_with_the_baseline(self):
        self.assert_clean("breaking", "--against", BASELINE)

    def test_a_removed_public_field_is_found(self):
        self.plant("cvtrain/v1/trial.proto", r"^  string name = 1;.*$", "")
        self.assert_found("trial.proto", "breaking", "--against", BASELINE)

    def test_messages_on_disk_are_compatible_with_the_baseline(self):
        self.use_rules(ON_DISK)
        self.assert_clean("breaking", "--against", BASELINE)

    def test_a_changed_type_on_disk_is_found(self):
        self.use_rules(ON_DISK)
        self.plant("cvtrain/storage/v1/event.proto", r"^  int64 (\w+) = 1;", r"  string \1 = 1;")
        self.assert_found("event.proto", "breaking", "--against", BASELINE)

    def test_every_proto_is_built(self):
        with open(os.path.join(ROOT, "proto", "CMakeLists.txt"), encoding="utf-8") as file:
            listed = set(re.findall(r"cvtrain/\S+\.proto", file.read()))
        found = set()
        for folder, _, names in os.walk(os.path.join(ROOT, "proto")):
            relative = os.path.relpath(folder, os.path.join(ROOT, "proto"))
            found.update(f"{relative}/{name}" for name in names if name.endswith(".proto"))
        self.assertEqual(found, listed, "proto/CMakeLists.txt lists every proto, and no other")


if __name__ == "__main__":
    unittest.main()
