"""Compiles the kernels with sanitizers and lets arbitrary problems loose on them.

    python tests/native/run_fuzz.py [seconds] [sanitizers]

Every variant of the kernels must equal the plain reference, and no sanitizer may complain.
"""

import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[2]
CORE = ROOT / "snn_toolbox_tf" / "ops" / "core"
FLAGS = ["-std=c++17", "-O1", "-g1", "-Wno-psabi", "-ffp-contract=off", "-pthread", "-DSTANDALONE", f"-I{CORE}"]
INSTRUCTION_SETS = {"variant_avx2": ["-mavx2"], "variant_avx512": ["-mavx512f"]}


def find_compiler() -> str | None:
    """Returns a C++ compiler, or None."""
    return next((command for command in ("c++", "g++", "clang++") if shutil.which(command)), None)


def has_sanitizer(compiler: str, sanitizers: str, folder: pathlib.Path) -> bool:
    """Whether the compiler can link programs with these sanitizers."""
    probe = folder / "probe.cc"
    probe.write_text("int main() { return 0; }")
    command = [compiler, f"-fsanitize={sanitizers}", str(probe), "-o", str(folder / "probe")]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def compile_fuzzer(compiler: str, sanitizers: str, folder: pathlib.Path) -> str:
    """Returns the name of the program."""
    flags = [*FLAGS, f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all"]
    running, objects = [], []
    for source in [*CORE.glob("*.cc"), pathlib.Path(__file__).with_name("fuzz_kernels.cc")]:
        extra = INSTRUCTION_SETS.get(source.stem, []) if platform.machine() == "x86_64" else []
        objects.append(str(folder / f"{source.stem}.o"))
        running.append(subprocess.Popen([compiler, *flags, *extra, "-c", str(source), "-o", objects[-1]]))
    if any(process.wait() for process in running):
        raise RuntimeError("the kernels could not be compiled")
    program = str(folder / "fuzz")
    subprocess.run([compiler, *flags, *objects, "-o", program], check=True)
    return program


def run_fuzzer(seconds: float, sanitizers: str, folder: pathlib.Path) -> subprocess.CompletedProcess:
    """Compiles and runs it; its output says how many problems it solved."""
    program = compile_fuzzer(find_compiler() or "c++", sanitizers, folder)
    return subprocess.run([program, str(seconds)], capture_output=True, text=True, check=False)


def main() -> None:
    """Runs it, and ends with its exit status."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    sanitizers = sys.argv[2] if len(sys.argv) > 2 else "address,undefined"
    os.environ.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    with tempfile.TemporaryDirectory() as folder:
        result = run_fuzzer(seconds, sanitizers, pathlib.Path(folder))
    print(result.stdout, result.stderr, sep="", end="")
    sys.exit(result.returncode)


if __name__ == "__main__":
    main()
