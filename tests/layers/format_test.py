"""Holds every C++ file against .clang-format, and every shell script against bash's parser."""

import concurrent.futures
import os
import subprocess
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = ["common", "plan", "formats", "coordinator", "worker", "client", "bench", "tests"]
# The version decides the result, so it is named; Debian 12's.
CLANG_FORMAT = "clang-format-14"


def is_formatted(path, text=None):
    """Whether the file `path`, or `text` as if it were that file, is what clang-format makes."""
    command = [CLANG_FORMAT, "--dry-run", "-Werror", "--style=file"]
    command += [f"--assume-filename={path}"] if text else [path]
    done = subprocess.run(command, cwd=ROOT, input=text, text=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return done.returncode == 0


def cpp_files():
    for folder in FOLDERS:
        for place, _, names in os.walk(os.path.join(ROOT, folder)):
            for name in names:
                if name.endswith((".h", ".cc")):
                    yield os.path.join(place, name)


class FormatTest(unittest.TestCase):
    def test_a_badly_formatted_file_is_found(self):
        path = os.path.join(ROOT, "common", "planted.cc")
        self.assertFalse(is_formatted(path, "int  F( ) {return 1 ;}\n"))
        self.assertTrue(is_formatted(path, "int F() { return 1; }\n"))

    def test_every_file_is_formatted(self):
        paths = sorted(cpp_files())
        with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            wrong = [os.path.relpath(path, ROOT)
                     for path, good in zip(paths, pool.map(is_formatted, paths)) if not good]
        self.assertEqual(wrong, [], f"run {CLANG_FORMAT} -i on these")
        self.assertGreater(len(paths), 50)

    def test_every_script_parses(self):
        folder = os.path.join(ROOT, "scripts")
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                with open(path, encoding="utf-8", errors="replace") as file:
                    if "bash" in file.readline():
                        subprocess.run(["bash", "-n", path], check=True)


if __name__ == "__main__":
    unittest.main()
