"""Builds the native ops, if there is a C++ compiler; all metadata is in pyproject.toml.

The library needs no TensorFlow to be built: snn_toolbox_tf/ops/tensorflow_c_api.h declares the few functions of TensorFlow's
C API that it uses, and it is linked against an empty stand-in for TensorFlow's own library (on macOS they are looked up
when it is loaded). The same file therefore serves every Python and every TensorFlow.
"""

import concurrent.futures
import os
import pathlib
import platform
import shlex
import shutil
import subprocess
import sys

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

OPS = pathlib.Path("snn_toolbox_tf/ops")
TENSORFLOW_LIBRARY = "libtensorflow_framework.so.2"
# No contraction: a fused multiply-add rounds once where the reference rounds twice.
FLAGS = ["-std=c++17", "-O3", "-fPIC", "-pthread", "-ffp-contract=off", "-fvisibility=hidden", "-Wno-psabi"]
INSTRUCTION_SETS = {"avx2": ["-mavx2"], "avx512": ["-mavx512f"]}


class BuildNative(build_ext):
    """Compiles the ops with the machine's C++ compiler ($CXX, or c++, g++, clang++)."""

    def get_ext_filename(self, fullname: str) -> str:
        """It is no Python module, and has the same name everywhere."""
        return os.path.join(*fullname.split(".")) + ".so"

    def build_extension(self, ext: Extension) -> None:
        """Compiles all sources side by side and links them.

        Raises:
            CompileError: Without a compiler, or if it fails; setuptools then warns and goes on without the library.
        """
        target = pathlib.Path(self.get_ext_fullpath(ext.name))
        # What an earlier build has left must not pass for this one.
        target.unlink(missing_ok=True)
        compiler = find_compiler()
        folder = pathlib.Path(self.build_temp)
        folder.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(lambda source: compile_source(compiler, source, folder), ext.sources))
        run([*compiler, "-shared", "-pthread", *objects, *tensorflow_flags(compiler, folder), "-o", str(target)])


class PlatformWheel(bdist_wheel):
    """A wheel for one platform and any Python."""

    def get_tag(self) -> tuple[str, str, str]:
        """Returns the wheel's Python, ABI and platform tags."""
        return "py3", "none", super().get_tag()[2]


def find_compiler() -> list[str]:
    """Returns the command of the C++ compiler."""
    chosen = shlex.split(os.environ.get("CXX", ""))
    for command in [chosen] if chosen else [["c++"], ["g++"], ["clang++"]]:
        if shutil.which(command[0]):
            return command
    tried = f"CXX={chosen[0]}" if chosen else "c++, g++, clang++"
    raise CompileError(f"no C++ compiler was found (tried: {tried}); simulation will be slower")


def compile_source(compiler: list[str], source: str, folder: pathlib.Path) -> str:
    """Compiles one file and returns the object file's name."""
    path = pathlib.Path(source)
    flags = list(FLAGS)
    if platform.machine() in ("x86_64", "AMD64"):
        flags += INSTRUCTION_SETS.get(path.stem.rpartition("_")[2], [])
    target = folder / f"{path.stem}.o"
    run([*compiler, *flags, "-c", source, "-o", str(target)])
    return str(target)


def tensorflow_flags(compiler: list[str], folder: pathlib.Path) -> list[str]:
    """Returns what makes the linker leave TensorFlow's functions to be found when the library is loaded."""
    if sys.platform == "darwin":
        return ["-undefined", "dynamic_lookup"]
    # Only its name counts: it makes the loader look the functions up in the TensorFlow that is loaded already.
    empty, stand_in = folder / "stand_in.cc", folder / TENSORFLOW_LIBRARY
    empty.write_text("")
    run([*compiler, "-shared", f"-Wl,-soname,{TENSORFLOW_LIBRARY}", str(empty), "-o", str(stand_in)])
    return ["-Wl,--no-as-needed", str(stand_in)]


def run(command: list[str]) -> None:
    """Runs a command; its output is the error's text if it fails."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise CompileError(f"`{shlex.join(command)}` failed:\n{result.stderr}")


sources = sorted(str(path) for path in [*OPS.glob("*.cc"), *OPS.glob("core/*.cc")])
native = Extension("snn_toolbox_tf.ops.libsnn_toolbox_tf", sources, optional=True)
setup(
    # Windows uses the reference.
    ext_modules=[] if sys.platform == "win32" else [native],
    cmdclass={"build_ext": BuildNative, "bdist_wheel": PlatformWheel},
)
