"""Generates the Python messages and stubs of the public protos.

    python client/python/generate.py OUT

Needs grpcio-tools. OUT then is a directory to put on PYTHONPATH beside client/python.
"""

import pathlib
import sys

from grpc_tools import protoc
import grpc_tools


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    protos = pathlib.Path(__file__).resolve().parents[2] / "proto"
    well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    files = sorted(str(path.relative_to(protos)) for path in (protos / "cvtrain/v1").glob("*.proto"))
    return protoc.main(
        ["protoc", f"-I{protos}", f"-I{well_known}", f"--python_out={out}", f"--grpc_python_out={out}", *files]
    )


if __name__ == "__main__":
    sys.exit(main())
