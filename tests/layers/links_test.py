"""Holds what each program links, and what it can call, against the layer picture.

The agent outlives LibTorch's crashes because it does not have it; the trainer starts fast and
speaks to nobody but its agent because it has no gRPC. A checkpoint is never pickle, so nothing
that reads pickle may be called. Each check proves itself on a program with the mistake.
"""

import os
import re
import subprocess
import tempfile
import unittest

BIN = os.environ.get("CVTRAIN_BIN_DIR", "")
HAS_TRAINER = os.environ.get("CVTRAIN_HAS_TRAINER") == "1"

# Program -> libraries that it must not load, directly or through others.
FORBIDDEN_LIBRARIES = {
    "cvtrain-coordinator": r"lib(torch|c10)",
    "cvtrain-worker": r"lib(torch|c10|rocksdb)",
    "cvctl": r"lib(torch|c10|rocksdb)",
    "cvtrain-trainer": r"lib(grpc|rocksdb|prometheus-cpp|torch\.so|torch_cuda|torch_python)",
}
# What reads pickle or an archive of LibTorch's, as the linker names it.
FORBIDDEN_SYMBOLS = re.compile(
    r"^(torch::jit::load|torch::load|torch::pickle_load|torch::jit::pickle_load"
    r"|torch::jit::unpickle|torch::jit::_load|torch::jit::import_ir_module"
    r"|torch::jit::Unpickler::|torch::serialize::InputArchive::"
    r"|caffe2::serialize::PyTorchStreamReader::)")


def run(*command, **keywords):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, **keywords).stdout


def loaded_libraries(program):
    """The names of all libraries that `program` loads when it starts."""
    lines = run("ldd", program).splitlines()
    return [line.split()[0].rsplit("/", 1)[-1] for line in lines if line.strip()]


def undefined_symbols(program):
    """What `program` takes from its libraries, demangled."""
    lines = run("nm", "--dynamic", "--undefined-only", "--demangle", program).splitlines()
    return [line.split(None, 1)[1] for line in lines if line.strip()]


def ours_undefined(library):
    """What of this project and of Abseil, which are both linked statically, `library` does not have."""
    return {name for name in undefined_symbols(library) if re.search(r"\b(cvtrain|absl)::", name)}


def defined_symbols(program):
    """What a library that `program` loads can take from it, demangled."""
    lines = run("nm", "--dynamic", "--defined-only", "--demangle", program).splitlines()
    return {line.split(None, 2)[2] for line in lines if line.strip()}


def forbidden_libraries(program, pattern):
    return [name for name in loaded_libraries(program) if re.match(pattern, name)]


def forbidden_symbols(program):
    return [name for name in undefined_symbols(program) if FORBIDDEN_SYMBOLS.match(name)]


class LinksTest(unittest.TestCase):
    def compile(self, source, *flags):
        """Returns a shared library made of `source`, which may leave symbols undefined."""
        folder = tempfile.TemporaryDirectory(prefix="cvtrain-links-")
        self.addCleanup(folder.cleanup)
        output = os.path.join(folder.name, "planted.so")
        run("g++", "-x", "c++", "-shared", "-fPIC", "-", "-o", output, "-Wl,--no-as-needed", *flags,
            input=source)
        return output

    def program(self, name):
        path = os.path.join(BIN, name)
        if name == "cvtrain-trainer" and not HAS_TRAINER:
            self.skipTest("this build has no trainer")
        self.assertTrue(os.access(path, os.X_OK), f"{path} is not built")
        return path

    def test_a_planted_library_is_found(self):
        planted = self.compile("", "-lrocksdb", "-lgrpc++")
        self.assertTrue(forbidden_libraries(planted, FORBIDDEN_LIBRARIES["cvtrain-trainer"]))
        self.assertTrue(forbidden_libraries(planted, FORBIDDEN_LIBRARIES["cvtrain-worker"]))
        self.assertFalse(forbidden_libraries(planted, FORBIDDEN_LIBRARIES["cvtrain-coordinator"]))

    def test_a_planted_call_of_a_pickle_reader_is_found(self):
        planted = self.compile(
            "namespace torch { namespace jit { int load(const char*); } }"
            "int F() { return torch::jit::load(nullptr); }")
        self.assertEqual(forbidden_symbols(planted), ["torch::jit::load(char const*)"])
        self.assertEqual(forbidden_symbols(self.compile("int G(); int F() { return G(); }")), [])

    def test_the_coordinator_links_no_libtorch(self):
        self.check_libraries("cvtrain-coordinator")

    def test_the_agent_links_neither_libtorch_nor_rocksdb(self):
        self.check_libraries("cvtrain-worker")

    def test_the_client_links_neither_libtorch_nor_rocksdb(self):
        self.check_libraries("cvctl")

    def test_the_trainer_links_neither_grpc_nor_rocksdb_nor_cuda(self):
        self.check_libraries("cvtrain-trainer")

    def test_the_module_for_gpus_finds_in_the_trainer_what_is_ours(self):
        module = os.path.join(BIN, "libcvtrain_cuda.so")
        trainer = self.program("cvtrain-trainer")
        needed = ours_undefined(module)
        self.assertTrue(needed, "the module takes its base classes from the trainer")
        self.assertEqual(sorted(needed - defined_symbols(trainer)), [])

    def test_a_symbol_that_the_trainer_does_not_have_is_found(self):
        planted = self.compile(
            "namespace cvtrain { namespace trainer { void Lost(); } } void F() { cvtrain::trainer::Lost(); }")
        self.assertEqual(ours_undefined(planted) - defined_symbols(self.program("cvtrain-trainer")),
                         {"cvtrain::trainer::Lost()"})

    def check_libraries(self, name):
        found = forbidden_libraries(self.program(name), FORBIDDEN_LIBRARIES[name])
        self.assertEqual(found, [], f"{name} must not load these")

    def test_the_trainer_finds_its_libraries(self):
        self.assertNotIn("not found", run("ldd", self.program("cvtrain-trainer")))

    def test_the_trainer_calls_nothing_that_reads_pickle(self):
        self.assertEqual(forbidden_symbols(self.program("cvtrain-trainer")), [])


if __name__ == "__main__":
    unittest.main()
