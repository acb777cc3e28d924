"""The layer picture, and what each folder may use, as data; and a checker of source files.

A folder may include rows below its own in its own column, and the shared rows. Folders of one row
stand in an order: each may include those before it. Nothing else, nothing upward.

The checker reads text and knows nothing of compilers: check_source() takes a path and its content
and returns what is wrong, one line each.
"""

import re

# Columns, each a list of rows from the lowest; a row is a list of folders in their order.
# A folder includes its subfolders, unless those are named by themselves.
SHARED = [
    ["proto"],
    ["common"],
    ["plan/rules", "plan/network", "plan/curriculum", "plan/augment", "plan/recipe"],
    ["formats/image", "formats/picture", "formats/corruption", "formats/audio", "formats/shard",
     "formats/ladder", "formats/checkpoint", "formats/safetensors"],
]
COLUMNS = {
    "coordinator": {
        1: ["coordinator/search", "coordinator/scheduler", "coordinator/state",
            "coordinator/engine"],
        2: ["coordinator/storage"],
        3: ["coordinator/engine/loop"],
        4: ["coordinator/service"],
        5: ["coordinator"],
    },
    "agent": {
        1: ["worker/agent/lease", "worker/agent/session"],
        2: ["worker/agent/cache", "worker/agent/gpus", "worker/agent/origin", "worker/agent/spool"],
        3: ["worker/agent/supervise"],
        4: ["worker/agent/session/grpc"],
        5: ["worker/agent"],
    },
    "trainer": {
        2: ["worker/trainer/data", "worker/trainer/device", "worker/trainer/model", "worker/trainer/augment",
            "worker/trainer/optimizer", "worker/trainer/collective", "worker/trainer/snapshot"],
        3: ["worker/trainer/train"],
        4: ["worker/trainer/link"],
        5: ["worker/trainer"],
    },
    "client": {
        2: ["client/files", "client/dataset", "client/simulate"],
        3: ["client/view"],
        4: ["client/call"],
        5: ["client"],
    },
}
# Shared folders that only some may include: gRPC and Prometheus stay out of everything else.
RPC = "common/rpc"
PROMETHEUS = "common/prometheus"
MAINS = ["coordinator", "worker/agent", "client"]  # the files of these folders, not their subfolders
USES_GRPC = ["coordinator/service", "worker/agent/session/grpc", "client/call", RPC, *MAINS]

# The exceptions: (folder, what it may include though the picture says no).
EXCEPTIONS = [
    ("client/simulate", "coordinator/state"),
    ("client/simulate", "coordinator/search"),
    ("client/simulate", "coordinator/scheduler"),
    ("client/simulate", "coordinator/engine"),
]

# Libraries: what their includes look like, and the only folders that may have them.
LIBRARIES = [
    ("gRPC", r"grpc(pp)?/|.*\.grpc\.pb\.h$", USES_GRPC),
    ("RocksDB", r"rocksdb/", ["coordinator/storage"]),
    ("LibTorch", r"(torch|c10|ATen|caffe2)/", ["worker/trainer"]),
    ("prometheus-cpp", r"prometheus/", [PROMETHEUS]),
    ("yaml-cpp", r"yaml-cpp/", ["plan/recipe", "client/files"]),
    ("libjpeg", r"(jpeglib|jerror|turbojpeg)\.h$", ["formats/image"]),
    ("libpng", r"png\.h$", ["formats/image"]),
    ("libtiff", r"tiff(io|vers|conf)?\.h$", ["formats/image"]),
    ("libwebp", r"webp/", ["formats/image"]),
    ("libsndfile", r"sndfile\.h$", ["formats/audio"]),
    ("libmpg123", r"mpg123\.h$", ["formats/audio"]),
    ("libcurl", r"curl/", ["worker/agent/origin"]),
    ("RapidJSON", r"rapidjson/", ["client/dataset"]),
    ("Expat", r"expat\.h$", ["client/dataset"]),
    ("threads", r"(thread|pthread\.h|future)$", ["common"]),
    ("files", r"(fstream|filesystem)$", ["common"]),
    ("time", r"(sys/time\.h|ctime|time\.h)$", ["common"]),
    ("chance", r"random$", ["common"]),
]
# Headers of seconds of compile time, which no header may include, and those that no file may: all
# of LibTorch costs three times what tensors and autograd do (cmake/CvtrainPch.cmake).
NOT_IN_HEADERS = r"torch/(types|utils|autograd)\.h$|ATen/ATen\.h$"
NOT_ANYWHERE = r"torch/(torch|all|extension|nn|optim|data)\.h$"

# Calls that only common/ may make: the rest receives a Clock, a FileSystem, a Random.
CALLS = [
    ("the clock", r"\babsl::Now\b|\b(system|steady|high_resolution)_clock::now\b"
                  r"|(?<![\w.>])(::)?(gettimeofday|clock_gettime)\s*\(|\bstd::time\s*\("),
    ("sleeping", r"\babsl::SleepFor\b|\bsleep_(for|until)\b"
                 r"|(?<![\w.>:])(::)?(sleep|usleep|nanosleep)\s*\("),
    ("files", r"(?<![\w.>:])::(open|openat|creat|fsync|fdatasync|rename|unlink|mkdir|truncate"
              r"|ftruncate|pwrite|pread)\s*\(|(?<![\w.>:])(openat|creat|fopen|fsync|fdatasync)\s*\("
              r"|\bstd::(fopen|ofstream|ifstream|fstream|filesystem)\b"),
    ("chance", r"(?<![\w.>:])(std::|::)?(rand|srand|random|drand48|getentropy)\s*\("
               r"|\bstd::(random_device|mt19937(_64)?|default_random_engine)\b|\babsl::BitGen\b"),
    ("the environment", r"(?<![\w.>:])(std::|::)?(getenv|secure_getenv|setenv|putenv)\s*\("),
    ("threads", r"\bstd::(thread|jthread|async)\b|\bpthread_create\b|thread\w*\.detach\(\)"),
]

OURS = ("cvtrain/", "common/", "plan/", "formats/", "coordinator/", "worker/", "client/")
SHIPPED = ("common/", "plan/", "formats/", "coordinator/", "worker/", "client/")


def strip_comments_and_strings(text):
    """Returns `text` without comments and without the insides of string literals; lines stay."""
    token = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)"'
        r"|\"(?:\\.|[^\"\\\n])*\"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])*'",
        re.DOTALL,
    )

    def blank(match):
        piece = match.group(0)
        lines = "\n" * piece.count("\n")
        return lines if piece.startswith("/") else f'""{lines}'

    return token.sub(blank, text)


def is_in(path, folder):
    return path == folder or path.startswith(folder + "/")


def known_folders():
    """Every folder of the picture: name -> (column, row, position in its row)."""
    folders = {}
    for row, names in enumerate(SHARED):
        for position, name in enumerate(names):
            folders[name] = ("shared", row, position)
    for column, rows in COLUMNS.items():
        for row, names in rows.items():
            for position, name in enumerate(names):
                folders[name] = (column, row, position)
    return folders


FOLDERS = known_folders()


def folder_of(path):
    """The folder of the picture that holds `path`, or None: the longest that fits."""
    if path.startswith("cvtrain/") and path.endswith(".pb.h"):
        return "proto"
    found = [name for name in FOLDERS if path.startswith(name + "/")]
    return max(found, key=len) if found else None


def may_use(path, allowed):
    """Whether `path` lies in one of `allowed`; a main's folder counts without its subfolders."""
    folder = path.rsplit("/", 1)[0]
    for name in allowed:
        if folder == name or (name not in MAINS and is_in(folder, name)):
            return True
    return False


def may_include(path, target):
    """Returns None if `path` may include the project's file `target`, else the reason."""
    here, there = folder_of(path), folder_of(target)
    folder = path.rsplit("/", 1)[0]
    if here is None:
        return "its folder has no place in the layer picture (tests/layers/layers.py)"
    if there is None:
        return "that folder has no place in the layer picture (tests/layers/layers.py)"
    if any(is_in(folder, a) and is_in(target.rsplit("/", 1)[0], b) for a, b in EXCEPTIONS):
        return None
    if is_in(target, RPC) and not may_use(path, USES_GRPC):
        return "only what talks gRPC may"
    if is_in(target, PROMETHEUS) and not may_use(path, [PROMETHEUS, *MAINS]):
        return "only the mains may"
    if here == there:
        return None
    column, row, position = FOLDERS[here]
    there_column, there_row, there_position = FOLDERS[there]
    if there_column == "shared" and column != "shared":
        return None
    if there_column != column:
        return f"it is in the column `{there_column}`, this is in `{column}`"
    if there_row > row:
        return f"it is in row {there_row}, above this one's {row}"
    if there_row == row and there_position > position:
        return "it comes later in the order of their row"
    return None


def check_source(path, text):
    """Returns what is wrong with the file `path` (relative to the root): lines `path:line: ...`."""
    findings = []
    if not path.startswith(SHIPPED):
        return findings
    is_header = path.endswith(".h")
    row = FOLDERS.get(folder_of(path), ("", 9, 0))
    # Comments go first, but what an include names is a string, so that is kept.
    kept = re.sub(r'#\s*include\s*"([^"\n]+)"', r"#include <\1>!", text)
    for number, line in enumerate(strip_comments_and_strings(kept).split("\n"), start=1):

        def report(what, number=number):
            findings.append(f"{path}:{number}: {what}")

        include = re.match(r"\s*#\s*include\s*<([^>]+)>(!?)", line)
        if not include:
            if row[1] <= 1 and not is_in(path, "common") and re.search(r"\bThread\b", line):
                report("uses a Thread: row 1 and below own none")
            if not is_in(path, "common"):
                for what, pattern in CALLS:
                    if re.search(pattern, line):
                        report(f"uses {what} ({line.strip()[:60]}): only common/ may; "
                               "take it through the constructor")
            continue
        target, ours = include.group(1), include.group(2) == "!"
        for library, pattern, allowed in LIBRARIES:
            if re.match(pattern, target) and not may_use(path, allowed):
                report(f"includes {target}: {library} belongs to {', '.join(allowed)}")
        if is_header and re.match(NOT_IN_HEADERS, target):
            report(f"includes {target}: it costs seconds in every file; include a part of it, or "
                   "declare what is needed")
        if re.match(NOT_ANYWHERE, target):
            report(f"includes {target}: take <torch/types.h> and <torch/utils.h>, which are "
                   "precompiled")
        if target.startswith(("tests/", "bench/")):
            report(f"includes {target}: what ships does not use tests")
        elif target.startswith(OURS):
            reason = may_include(path, target)
            if reason:
                report(f"includes {target}: {reason}")
        elif ours and "/" not in target:
            report(f'includes "{target}": includes start at the root of the repository')
    for match in re.finditer(r"\b(TODO|FIXME|XXX)\b(?!\(#\d+\):)", text):
        number = text.count("\n", 0, match.start()) + 1
        findings.append(f"{path}:{number}: {match.group(0)} names no issue: TODO(#123): ...")
    return findings
