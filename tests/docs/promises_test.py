"""The documentation names what exists: tests of promises, files, and the targets of links."""

import glob
import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = ("proto/", "common/", "plan/", "formats/", "coordinator/", "worker/", "client/",
           "recipes/", "deploy/", "tests/", "scripts/", "cmake/", "docs/")
# A file of tests, and the names of tests in it: `tests/a_test.cc` (`One`, `Two`)
TESTS = re.compile(r"`(tests/[^`]+\.(?:cc|py))`(?: \(((?:`\w+`(?:, )?)+)\))?")
PROMISE = re.compile(r"^\| ([A-Z]\d+) \|.*\|$", re.MULTILINE)


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def documents():
    return ["README.md"] + sorted(
        os.path.relpath(path, ROOT)
        for path in glob.glob(os.path.join(ROOT, "docs", "**", "*.md"), recursive=True))


def missing_tests(text):
    """What `text` names as a test and is none."""
    findings = []
    for path, names in TESTS.findall(text):
        if not os.path.exists(os.path.join(ROOT, path)):
            findings.append(f"there is no {path}")
            continue
        source = read(path)
        findings += [f"{path} has no test {name}" for name in re.findall(r"\w+", names)
                     if not re.search(rf"\b{name}\b", source)]
    return findings


def promises_without_test(text):
    """Promises that a row claims and for which it names no test."""
    claimed = text.split("\n## In part")[0]
    return [match.group(1) for match in PROMISE.finditer(claimed) if not TESTS.search(match.group(0))]


def missing_files(text):
    """Paths in backquotes that do not exist; NAMES in capitals stand for any."""
    findings = []
    for path in re.findall(r"`([\w./*+-]+)`", text):
        is_ours = path.startswith(FOLDERS) and not re.search(r"\b[A-Z]{2,}\b", path)
        if is_ours and not glob.glob(os.path.join(ROOT, path)):
            findings.append(path)
    return findings


def broken_links(document, text):
    """Relative links whose target does not exist."""
    folder = os.path.join(ROOT, os.path.dirname(document))
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    return [target for target in targets if not os.path.exists(os.path.join(folder, target))]


class PromisesTest(unittest.TestCase):
    def test_every_test_that_a_promise_names_exists(self):
        text = read("docs", "promises.md")
        self.assertGreater(len(TESTS.findall(text)), 40)
        self.assertEqual(missing_tests(text), [])

    def test_every_promise_that_is_held_names_a_test(self):
        text = read("docs", "promises.md")
        self.assertGreater(len(PROMISE.findall(text)), 20)
        self.assertEqual(promises_without_test(text), [])

    def test_a_test_that_does_not_exist_is_found(self):
        self.assertEqual(len(missing_tests("`tests/no_such_test.cc`")), 1)
        self.assertEqual(
            len(missing_tests("`tests/docs/promises_test.py` (`PromisesTest`, `NoSuch" "Test`)")), 1)

    def test_a_promise_without_a_test_is_found(self):
        for row in ("D9", "D10"):
            self.assertEqual(promises_without_test(f"| {row} | It holds. | `a.cc` | nothing |\n"), [row])


class DocumentsTest(unittest.TestCase):
    def test_every_file_that_is_named_exists(self):
        for document in documents():
            with self.subTest(document):
                self.assertEqual(missing_files(read(document)), [])

    def test_every_link_has_a_target(self):
        for document in documents():
            with self.subTest(document):
                self.assertEqual(broken_links(document, read(document)), [])

    def test_a_file_and_a_link_that_do_not_exist_are_found(self):
        self.assertEqual(missing_files("`common/no_such.h` `common/clock.h` `docs/NAME.md`"),
                         ["common/no_such.h"])
        self.assertEqual(broken_links("docs/a.md", "[a](no_such.md) [b](errors.md#x) [c](https://d)"),
                         ["no_such.md"])


if __name__ == "__main__":
    unittest.main()
