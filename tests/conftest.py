"""Shared fixtures: seeds, the data folder, tiny models."""

import gc
import os
import pathlib
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from snn_toolbox_tf.ops import native
from snn_toolbox_tf.report import style

# Keras and TensorFlow spend a fifth of the time of small networks on preparing to shorten tracebacks.
keras.config.disable_traceback_filtering()
tf.debugging.disable_traceback_filtering()

#: Where the op could have been built, test_native_build.py fails if it was not; only without a compiler may tests skip.
needs_native = pytest.mark.skipif(not native.LIBRARY.exists(), reason="the native op was not built")
IMPLEMENTATIONS = [pytest.param("native", marks=needs_native), "reference"]


def mostly_slow(cases, kept):
    """Returns cases for a parametrised test: those that are kept run in `make test`, the others in `make test-slow`."""
    cases, kept = list(cases), list(kept)
    assert all(case in cases for case in kept), [case for case in kept if case not in cases]
    return [case if case in kept else pytest.param(case, marks=pytest.mark.slow) for case in cases]


def pytest_addoption(parser):
    parser.addoption("--quick", action="store_true", help="of every test its first case only, and no test that is long")


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config, items):
    """Marks as slow what others of its kind stand for, lets -m choose, and leaves out what --quick leaves out of that."""
    alike = {}
    for item in items:
        if item.get_closest_marker("few") and not item.get_closest_marker("slow"):
            alike.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for cases in alike.values():
        (wanted,) = cases[0].get_closest_marker("few").args
        kept = {len(cases) * place // wanted for place in range(wanted)}
        for place, item in enumerate(cases):
            if place not in kept:
                item.add_marker("slow")
    result = yield
    if config.getoption("--quick"):
        first_cases = {}
        for item in items:
            if item.get_closest_marker("long") is None:
                first_cases.setdefault(item.nodeid.partition("[")[0], item)
        kept = list(first_cases.values())
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept
    return result


def pytest_collection_finish():
    """Has less garbage collected: without what was imported, and not at every turn of the graphs that are traced."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def data_dir():
    """The folder of real data and models; tests that need it skip where it is unset."""
    folder = os.environ.get("SNN_TOOLBOX_TF_DATA")
    if not folder:
        pytest.skip("SNN_TOOLBOX_TF_DATA is not set: no real data")
    return pathlib.Path(folder)


def run_in_threads(work, count):
    """Runs a function in so many threads at once, and waits for all of them."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture
def undrawn(monkeypatch):
    """Leaves figures empty: most of a small run would be their time, and what they look like is tested in test_report.py."""
    monkeypatch.setattr(style, "image", lambda figure, form, dpi: b"")


@pytest.fixture
def mlp():
    """A small ReLU network with known, seeded weights."""
    return keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(10, "relu", name="hidden"), keras.layers.Dense(3, name="logits")],
        name="mlp",
    )


@pytest.fixture
def x_mlp(rng):
    return rng.random((40, 6), dtype=np.float32)
