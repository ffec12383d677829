"""The native library: built, loaded, switched off, missing, and clean under sanitizers."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import warnings

import pytest
import tensorflow as tf
from conftest import needs_native
from native import run_fuzz

import snn_toolbox_tf as snn
from snn_toolbox_tf import ops
from snn_toolbox_tf.ops import native, selection

ROOT = pathlib.Path(__file__).parents[1]
COMPILER = run_fuzz.find_compiler()
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler")


@pytest.mark.skipif(COMPILER is None or sys.platform == "win32", reason="there is no C++ compiler")
def test_where_there_is_a_compiler_the_op_is_there():
    """Fails, and does not skip, if the op did not load: everything else would silently test the reference."""
    native.library()
    if not tf.config.get_visible_devices("GPU"):
        assert selection._default()[0] == "native", selection._default()


@needs_native
def test_implementation_says_what_is_active_and_why():
    with ops.use("reference"):
        active = ops.implementation()
    assert (active.name, active.reason, active.variant) == ("reference", "chosen by `ops.use`", None)
    with ops.use("native"):
        active = ops.implementation()
    assert active.variant == native.library().variants[-1]
    assert active.threads >= 1
    with pytest.raises(ValueError, match=r"Unknown `implementation`.*'native', 'reference'.*'cuda'"), ops.use("cuda"):
        pass


@pytest.fixture
def forgotten():
    """Forgets what was decided, before and after."""
    for cached in (native.library, selection._default):
        cached.cache_clear()
    yield
    for cached in (native.library, selection._default):
        cached.cache_clear()


def test_the_environment_variable_turns_it_off(forgotten, monkeypatch):
    monkeypatch.setenv("SNN_TOOLBOX_TF_NATIVE", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        active = ops.implementation()
    assert (active.name, active.reason) == ("reference", "SNN_TOOLBOX_TF_NATIVE=0")
    selection._default.cache_clear()
    monkeypatch.setenv("SNN_TOOLBOX_TF_NATIVE", "maybe")
    message = r"Expected the environment variable SNN_TOOLBOX_TF_NATIVE to be 0 \(off\) or 1 \(on\). Received: 'maybe'"
    with pytest.raises(ValueError, match=message):
        ops.implementation()


@needs_native
def test_threads_follow_tensorflows_setting(monkeypatch):
    library = native.library()
    with monkeypatch.context() as patch:
        # It cannot be set any more in a process that has computed something.
        patch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 3)
        library.adopt_threads()
        assert library.threads == 3
    with monkeypatch.context() as patch:
        patch.setenv("TF_NUM_INTRAOP_THREADS", "5")
        library.adopt_threads()
        assert library.threads == 5
    library.adopt_threads()
    assert library.threads != 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"it was not built when this package was installed: no C\+\+ compiler was found"),
        (b"no library", r"could not be loaded"),
    ],
)
def test_without_the_library_there_is_one_warning_and_the_reference(
    forgotten, monkeypatch, tmp_path, mlp, x_mlp, content, message
):
    library = tmp_path / "lib.so"
    if content:
        library.write_bytes(content)
    failure = tmp_path / "not_built.txt"
    failure.write_text("no C++ compiler was found\n")
    monkeypatch.setattr(native, "LIBRARY", library)
    monkeypatch.setattr(native, "BUILD_FAILURE", failure)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model_snn = snn.convert_keras(mlp, x_mlp, threshold_rule="percentile")
        model_snn.simulate(x_mlp[:4], timesteps=4)
        model_snn.predict(x_mlp[:4], verbose=0)
    (warning,) = [str(warning.message) for warning in caught if "native op" in str(warning.message)]
    assert re.search(message, warning)
    assert ops.implementation().name == "reference"
    with pytest.raises(ops.NotAvailableError, match=message), ops.use("native"):
        pass


@needs_native
def test_a_library_of_other_sources_is_not_used(forgotten, monkeypatch):
    monkeypatch.setattr(native, "source_digest", lambda folder: "0123456789abcdef")
    with pytest.raises(ops.NotAvailableError, match="was built from sources other than those beside it"):
        native.library()


def build(folder, **environment):
    """Builds the extension from a copy of the sources, as `pip install` does."""
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "config_templates", folder / "config_templates")
    shutil.copytree(ROOT / "snn_toolbox_tf", folder / "snn_toolbox_tf", ignore=shutil.ignore_patterns("*.so", "*.pyc"))
    return subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--inplace"],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_compiler_the_build_succeeds_and_says_so(tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    result = build(tmp_path, CXX="", PATH=str(tmp_path / "empty"))
    assert result.returncode == 0, result.stderr
    assert "no C++ compiler was found" in result.stdout + result.stderr
    assert not list(tmp_path.rglob("*.so"))
    assert "no C++ compiler was found" in (tmp_path / "snn_toolbox_tf" / "ops" / "not_built.txt").read_text()


def test_a_build_that_fails_is_an_error_and_can_be_left_out(tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    for compiler, message in (
        ("no-such-compiler", "CXX=no-such-compiler was not found"),
        ("false", "`false .* failed"),
    ):
        (tmp_path / compiler).mkdir()
        result = build(tmp_path / compiler, CXX=compiler)
        assert result.returncode == 1
        assert re.search(message, result.stderr)
    assert "set SNN_TOOLBOX_TF_NATIVE=0" in result.stderr
    (tmp_path / "off").mkdir()
    assert build(tmp_path / "off", CXX="false", SNN_TOOLBOX_TF_NATIVE="0").returncode == 0
    assert not list(tmp_path.rglob("*.so"))


@pytest.mark.slow
@pytest.mark.long
@needs_compiler
def test_the_build_needs_no_tensorflow_and_its_library_needs_tensorflows_by_name(tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    result = build(tmp_path, CXX=COMPILER)
    assert result.returncode == 0, result.stderr
    library = tmp_path / "snn_toolbox_tf" / "ops" / "libsnn_toolbox_tf.so"
    assert library.exists()
    if shutil.which("nm"):
        # What is compiled for an instruction set and visible to the linker must be that variant alone.
        for path in tmp_path.rglob("variant_avx*.o"):
            symbols = subprocess.run(
                ["nm", "-C", "--defined-only", path], capture_output=True, text=True, check=True
            ).stdout
            shared = [line for line in symbols.splitlines() if line.split()[1] in "TWVRDB"]
            assert shared
            assert all("::kAvx" in line for line in shared), shared
    if sys.platform == "linux" and shutil.which("readelf"):
        needed = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
        assert "libtensorflow_framework.so.2" in needed


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("sanitizers", ["address,undefined", "thread"])
def test_kernels_are_clean_under_sanitizers_on_arbitrary_problems(tmp_path, sanitizers):
    if not run_fuzz.has_sanitizer(COMPILER, sanitizers, tmp_path):
        pytest.skip(f"the compiler has no {sanitizers} sanitizer")
    result = run_fuzz.run_fuzzer(3, sanitizers, tmp_path)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout.split()[0]) > 10


def test_an_export_holds_no_op_of_ours(tmp_path, mlp, x_mlp):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model_snn = snn.convert_keras(mlp, x_mlp, threshold_rule="percentile")
    expected = model_snn.predict(x_mlp, verbose=0)
    model_snn.export(str(tmp_path / "served"))
    signature = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    graph = signature.graph.as_graph_def()
    kinds = {node.op for node in graph.node} | {node.op for f in graph.library.function for node in f.node_def}
    assert "While" in kinds or "StatelessWhile" in kinds
    assert not [kind for kind in kinds if kind.startswith("SnnToolbox")]
    (served,) = signature(tf.constant(x_mlp)).values()
    tf.debugging.assert_equal(served, expected)
