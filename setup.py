"""Builds the native ops, if there is a C++ compiler; all metadata but the long description is in pyproject.toml.

The library needs no TensorFlow to be built: snn_toolbox_tf/ops/tensorflow_c_api.h declares the few functions of TensorFlow's
C API that it uses, and it is linked against an empty stand-in for TensorFlow's own library (on macOS they are looked up
when it is loaded). The same file therefore serves every Python and every TensorFlow.

Without a C++ compiler the package is installed without the ops, and says so when it is used. A compiler that fails ends the
installation; SNN_TOOLBOX_TF_NATIVE=0 in the environment installs without the ops.
"""

import concurrent.futures
import os
import pathlib
import platform
import re
import runpy
import shlex
import shutil
import subprocess
import sys

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

OPS = pathlib.Path("snn_toolbox_tf/ops")
TENSORFLOW_LIBRARY = "libtensorflow_framework.so.2"
# No contraction: a fused multiply-add rounds once where the reference rounds twice.
FLAGS = ["-std=c++17", "-O3", "-fPIC", "-pthread", "-ffp-contract=off", "-fvisibility=hidden", "-Wno-psabi"]
SWITCHED_OFF = os.environ.get("SNN_TOOLBOX_TF_NATIVE", "1").strip() == "0"
NOT_BUILT = "not_built.txt"
DIGEST = runpy.run_path(str(OPS / "source_digest.py"))["source_digest"](OPS)
INSTRUCTION_SETS = {"avx2": ["-mavx2"], "avx512": ["-mavx512f"]}


class BuildNative(build_ext):
    """Compiles the ops with the machine's C++ compiler ($CXX, or c++, g++, clang++)."""

    def get_ext_filename(self, fullname: str) -> str:
        """It is no Python module, and has the same name everywhere."""
        return os.path.join(*fullname.split(".")) + ".so"

    def build_extension(self, ext: Extension) -> None:
        """Compiles all sources side by side and links them; without a compiler, leaves word of it in a file."""
        target = pathlib.Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        # What an earlier build has left must not pass for this one.
        for name in (target.name, NOT_BUILT):
            (target.parent / name).unlink(missing_ok=True)
        compiler = find_compiler()
        reason = "SNN_TOOLBOX_TF_NATIVE was 0" if SWITCHED_OFF else "no C++ compiler was found (c++, g++, clang++)"
        if SWITCHED_OFF or not compiler:
            (target.parent / NOT_BUILT).write_text(f"{reason}\n")
            self.warn(f"the native ops are not built: {reason}; simulation will be slower")
            return
        folder = pathlib.Path(self.build_temp)
        folder.mkdir(parents=True, exist_ok=True)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(lambda source: compile_source(compiler, source, folder), ext.sources))
        run([*compiler, "-shared", "-pthread", *objects, *tensorflow_flags(compiler, folder), "-o", str(target)])

    def copy_extensions_to_source(self) -> None:
        """Puts what was built, or why not, beside the sources."""
        for ext in self.extensions:
            built = pathlib.Path(self.build_lib, self.get_ext_filename(ext.name))
            for name in (built.name, NOT_BUILT):
                (OPS / name).unlink(missing_ok=True)
                if (built.parent / name).exists():
                    shutil.copy(built.parent / name, OPS / name)


class PlatformWheel(bdist_wheel):
    """A wheel for one platform and any Python."""

    def get_tag(self) -> tuple[str, str, str]:
        """Returns the wheel's Python, ABI and platform tags."""
        return "py3", "none", super().get_tag()[2]


class TemplatesInPackage(build_py):
    """Puts config_templates/ into the package, so that an installed one can print them."""

    def run(self) -> None:
        """Copies the package, and the templates."""
        super().run()
        if not self.editable_mode:
            target = pathlib.Path(self.build_lib, "snn_toolbox_tf", "config_templates")
            shutil.copytree("config_templates", target, dirs_exist_ok=True)


def find_compiler() -> list[str]:
    """Returns the command of the C++ compiler; nothing if there is none."""
    chosen = shlex.split(os.environ.get("CXX", ""))
    if chosen and not shutil.which(chosen[0]):
        sys.exit(f"The C++ compiler CXX={chosen[0]} was not found. Install it, or leave CXX empty.")
    return chosen or next(([name] for name in ("c++", "g++", "clang++") if shutil.which(name)), [])


def compile_source(compiler: list[str], source: str, folder: pathlib.Path) -> str:
    """Compiles one file and returns the object file's name."""
    path = pathlib.Path(source)
    flags = [*FLAGS, f'-DSNN_TOOLBOX_SOURCE_DIGEST="{DIGEST}"']
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
    """Runs a command, or ends the build with what it said."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        # No error that setuptools takes for an optional extension's: a failure is to be seen.
        sys.exit(
            f"`{shlex.join(command)}` failed:\n{result.stderr}\nTo install without the native ops, set "
            "SNN_TOOLBOX_TF_NATIVE=0."
        )


def description() -> str:
    """Returns the README as an index shows it: there, links and images of this repository would lead nowhere."""
    text = pathlib.Path("README.md").read_text(encoding="utf-8")
    text = re.sub(r"^!\[[^\]]*\]\((?!https?:)[^)]*\)\n+", "", text, flags=re.MULTILINE)
    return re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", text)


sources = sorted(str(path) for path in [*OPS.glob("*.cc"), *OPS.glob("core/*.cc")])
native = Extension("snn_toolbox_tf.ops.libsnn_toolbox_tf", sources, optional=True)
setup(
    long_description=description(),
    long_description_content_type="text/markdown",
    # Windows uses the reference.
    ext_modules=[] if sys.platform == "win32" else [native],
    cmdclass={"build_ext": BuildNative, "build_py": TemplatesInPackage, "bdist_wheel": PlatformWheel},
)
