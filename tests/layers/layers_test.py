"""Reads every source file that ships, and holds it against the layer picture of layers.py.

Each rule proves itself on a planted violation first: a check that finds nothing may be blind.
"""

import os
import unittest

import layers

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def sources():
    """Yields (path, text) of every C++ file in the folders that ship."""
    for folder in layers.SHIPPED:
        for place, _, names in os.walk(os.path.join(ROOT, folder)):
            for name in names:
                if name.endswith((".h", ".cc")):
                    path = os.path.join(place, name)
                    with open(path, encoding="utf-8") as file:
                        yield os.path.relpath(path, ROOT), file.read()


class RulesTest(unittest.TestCase):
    def assert_finds(self, path, text, wanted):
        findings = layers.check_source(path, text)
        self.assertEqual(len(findings), 1, findings)
        self.assertIn(wanted, findings[0])

    def assert_clean(self, path, text):
        self.assertEqual(layers.check_source(path, text), [])

    def assert_include_found(self, path, target, wanted):
        self.assert_finds(path, f'#include "{target}"\n', wanted)

    def assert_include_clean(self, path, target):
        self.assert_clean(path, f'#include "{target}"\n')

    def test_an_include_of_a_row_above_is_found(self):
        self.assert_include_found(
            "coordinator/state/a.cc", "coordinator/storage/database.h", "above")
        self.assert_include_found(
            "coordinator/engine/a.cc", "coordinator/engine/loop/loop.h", "above")
        self.assert_include_found("common/a.cc", "plan/network/cost.h", "above")

    def test_an_include_of_a_row_below_is_clean(self):
        self.assert_include_clean("coordinator/service/a.cc", "coordinator/engine/engine.h")
        self.assert_include_clean("worker/trainer/train/a.cc", "worker/trainer/data/loader.h")
        self.assert_include_clean("coordinator/main.cc", "coordinator/service/server.h")

    def test_an_include_of_the_shared_rows_is_clean(self):
        self.assert_include_clean("worker/agent/lease/a.h", "common/clock.h")
        self.assert_include_clean("coordinator/state/a.h", "cvtrain/v1/trial.pb.h")
        self.assert_include_clean("plan/recipe/a.cc", "plan/network/cost.h")

    def test_an_include_of_another_column_is_found(self):
        self.assert_include_found(
            "worker/agent/cache/a.cc", "coordinator/state/lease.h", "column `coordinator`")
        self.assert_include_found("plan/recipe/a.cc", "client/view/table.h", "column `client`")
        self.assert_include_found(
            "worker/trainer/link/a.cc", "worker/agent/session/a.h", "column `agent`")

    def test_an_include_against_the_order_of_a_row_is_found(self):
        self.assert_include_found(
            "coordinator/scheduler/a.cc", "coordinator/state/decide.h", "order")

    def test_the_simulator_may_include_what_the_coordinator_decides_with_and_no_more(self):
        self.assert_include_clean("client/simulate/a.cc", "coordinator/engine/engine.h")
        self.assert_include_found(
            "client/simulate/a.cc", "coordinator/storage/database.h", "column `coordinator`")

    def test_a_folder_without_a_place_is_found(self):
        self.assert_include_found(
            "coordinator/service/a.cc", "coordinator/magic/a.h", "row 5")
        self.assert_include_found("worker/other/a.cc", "common/clock.h", "no place")

    def test_an_include_that_does_not_start_at_the_root_is_found(self):
        self.assert_include_found("common/a.cc", "clock.h", "root")

    def test_an_include_of_tests_is_found(self):
        self.assert_include_found("common/a.cc", "tests/support/fake_clock.h", "tests")

    def test_a_library_outside_its_place_is_found(self):
        for path, target, wanted in [
            ("coordinator/engine/a.cc", "rocksdb/db.h", "RocksDB"),
            ("coordinator/storage/a.cc", "grpcpp/support/status.h", "gRPC"),
            ("worker/agent/session/a.cc", "grpcpp/channel.h", "gRPC"),
            ("worker/agent/cache/a.cc", "torch/types.h", "LibTorch"),
            ("formats/checkpoint/a.cc", "ATen/ATen.h", "LibTorch"),
            ("common/telemetry.cc", "prometheus/registry.h", "prometheus-cpp"),
            ("client/view/a.cc", "yaml-cpp/yaml.h", "yaml-cpp"),
            ("formats/shard/a.cc", "jpeglib.h", "libjpeg"),
            ("worker/agent/spool/a.cc", "thread", "threads"),
            ("plan/recipe/a.cc", "fstream", "files"),
        ]:
            self.assert_finds(path, f"#include <{target}>\n", wanted)
        self.assert_finds("worker/trainer/link/a.cc",
                          '#include "cvtrain/v1/trial.grpc.pb.h"\n', "gRPC")

    def test_a_library_in_its_place_is_clean(self):
        for path, target in [
            ("coordinator/storage/journal/a.h", "rocksdb/slice.h"),
            ("coordinator/service/a.h", "grpcpp/server_context.h"),
            ("coordinator/main.cc", "grpcpp/server_builder.h"),
            ("common/rpc/a.h", "grpcpp/channel.h"),
            ("worker/trainer/train/a.cc", "torch/types.h"),
            ("common/thread.cc", "thread"),
        ]:
            self.assert_clean(path, f"#include <{target}>\n")

    def test_grpc_helpers_outside_what_talks_are_found(self):
        self.assert_include_found("coordinator/engine/a.cc", "common/rpc/status.h", "gRPC")
        self.assert_include_clean("coordinator/service/a.cc", "common/rpc/status.h")

    def test_a_costly_header_in_a_header_is_found(self):
        self.assert_finds("worker/trainer/train/a.h", "#include <torch/types.h>\n", "seconds")
        self.assert_finds("worker/trainer/train/a.cc", "#include <torch/torch.h>\n", "precompiled")

    def test_a_thread_in_what_decides_is_found(self):
        self.assert_finds("coordinator/engine/a.h", "std::unique_ptr<Thread> thread_;\n", "own none")
        self.assert_clean("coordinator/engine/loop/a.h", "std::unique_ptr<Thread> thread_;\n")
        self.assert_clean("worker/agent/session/a.h", "void Wait(StopToken stop);\n")

    def test_calls_that_belong_to_common_are_found(self):
        for call in [
            "auto t = absl::Now();",
            "auto t = std::chrono::steady_clock::now();",
            "clock_gettime(CLOCK_MONOTONIC, &t);",
            "absl::SleepFor(d);",
            "int fd = ::open(path, 0);",
            "if (fsync(fd) != 0) return;",
            "std::ofstream out(path);",
            "int n = rand();",
            "std::mt19937 engine;",
            'const char* home = std::getenv("HOME");',
            "std::thread t([] {});",
            "thread.detach();",
        ]:
            self.assert_finds("coordinator/service/a.cc", call + "\n", "only common/ may")
            self.assert_clean("common/a.cc", call + "\n")

    def test_what_only_looks_like_such_a_call_is_clean(self):
        for line in [
            "// absl::Now() is forbidden here",
            '/* std::thread */ Log("absl::Now()");',
            "file->Open(path); file.open(path); Reopen(path); system.rand();",
            "random.Uniform(); operand(3); const Random& random;",
            "grand(); brand(); my::rand_like(x); torch::rand({2}); t.detach();",
            "const int n = 1'000'000; absl::Time now = clock.WallNow();",
            'R"(absl::Now())";',
        ]:
            self.assert_clean("coordinator/service/a.cc", line + "\n")

    def test_a_todo_names_an_issue(self):
        self.assert_finds("common/a.cc", "// TODO" + ": later\n", "issue")
        self.assert_clean("common/a.cc", "// TODO(#12): later\n")


class TreeTest(unittest.TestCase):
    def test_the_source_keeps_to_the_layer_picture(self):
        count = 0
        findings = []
        for path, text in sources():
            count += 1
            findings += layers.check_source(path, text)
        self.assertEqual(findings, [], "\n" + "\n".join(findings))
        self.assertGreater(count, 50, "the folders that ship were not found")


if __name__ == "__main__":
    unittest.main()
