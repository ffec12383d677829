"""Batches and sweeps that others compute: to the last bit what one process gives, nothing lost, nothing counted twice."""

import ast
import contextlib
import json
import os
import pathlib
import pickle
import re
import signal
import subprocess
import sys
import time
import types

import keras
import numpy as np
import pytest
from test_architecture import FILES, PACKAGE

import snn_toolbox_tf as snn
from snn_toolbox_tf import experiment
from snn_toolbox_tf.cli import main
from snn_toolbox_tf.distributed import LocalExecutor, SentModel, batch_predictor, open_executor, ray_executor
from snn_toolbox_tf.distributed.ray_executor import RayExecutor, cpus_per_worker
from snn_toolbox_tf.experiment import evaluator as evaluator_module
from snn_toolbox_tf.experiment import options
from snn_toolbox_tf.report.record_as_json import record_as_json

L = keras.layers
pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def given(rng):
    """Model and data of a run."""
    model = keras.Sequential(
        [keras.Input((6,)), L.Dense(10, "relu", name="hidden"), L.Dense(3, "softmax", name="dense")], name="small"
    )
    return {
        "model": model,
        "x_test": rng.random((50, 6), dtype=np.float32),
        "y_test": rng.integers(0, 3, 50),
        "x_norm": rng.random((40, 6), dtype=np.float32),
    }


@pytest.fixture
def settings(tmp_path):
    """Seven batches, the last of two samples."""
    return snn.Settings().replace(
        path_wd=str(tmp_path), duration=12, batch_size=8, plot_vars=[], threshold_rule="percentile"
    )


class Elsewhere:
    """As if there were workers: what it is given is sent, and results come in an order of their own."""

    is_local = False

    def __init__(self, stop_after=None):
        self._stop_after = stop_after

    def map(self, function, batches):
        received = pickle.loads(pickle.dumps(function))
        order = np.random.default_rng(1).permutation(len(batches))
        for count, number in enumerate(order):
            if count == self._stop_after:
                raise KeyboardInterrupt
            yield received(batches[number])


@pytest.fixture
def elsewhere(monkeypatch):
    """Sets who takes the place of Ray."""

    def use(executor):
        @contextlib.contextmanager
        def opened(name, workers=None):
            yield executor if name == "ray" else LocalExecutor()

        monkeypatch.setattr(options, "open_executor", opened)
        monkeypatch.setattr("snn_toolbox_tf.experiment.preparation.import_ray", lambda: None)

    use(Elsewhere())
    return use


@pytest.fixture
def evaluations(monkeypatch):
    """The sums of every run."""
    kept, run = [], evaluator_module.Evaluator.run

    def keeping(self, *args):
        kept.append(run(self, *args))
        return kept[-1]

    monkeypatch.setattr(evaluator_module.Evaluator, "run", keeping)
    return kept


def assert_equal_evaluations(one, other):
    """Every sum to the last bit; seconds are nobody's promise."""
    assert one.done == other.done
    assert list(one.sums) == list(other.sums)
    for name in one.sums:
        if not name.startswith("seconds/"):
            np.testing.assert_array_equal(one.sums[name], other.sums[name], err_msg=name)
    for name in one.decisions:
        np.testing.assert_array_equal(one.decisions[name], other.decisions[name])


def numbers(report):
    """What a report holds, without places and seconds, and who has computed it."""
    report = {key: value for key, value in report.items() if key != "seconds"}
    kept = {key: value for key, value in report["settings"].items() if key != "paths"}
    kept["tools"] = {key: value for key, value in kept["tools"].items() if key not in ("executor", "workers")}
    return {**report, "settings": kept}


def numbers_of(run):
    return numbers(record_as_json(run.record))


# Elsewhere, without Ray


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"poisson_input": True}, {"evaluate_ann": False, "top_k": 2}])
def test_sums_are_those_of_one_process(given, settings, elsewhere, evaluations, changes):
    settings = settings.replace(**changes)
    here = snn.run(settings.replace(runlabel="here"), **given)
    there = snn.run(settings.replace(executor="ray"), **given)
    assert_equal_evaluations(*evaluations)
    assert numbers_of(there) == numbers_of(here)


@pytest.mark.long
def test_an_interrupted_run_goes_on_elsewhere(given, settings, elsewhere, evaluations):
    """What came before its turn is computed again; a checkpoint does not say who has made it."""
    snn.run(settings.replace(runlabel="here"), **given)
    elsewhere(Elsewhere(stop_after=5))
    with pytest.raises(KeyboardInterrupt):
        snn.run(settings.replace(executor="ray"), **given)

    class Counting(experiment.Progress):
        stages = {}

        def stage(self, name, total=None, done=0):
            self.stages[name] = done

    elsewhere(Elsewhere())
    snn.run(settings.replace(executor="ray", workers=2), **given, resume=True, progress=Counting())
    assert 0 < Counting.stages["simulating"] < 40
    assert Counting.stages["simulating"] % 8 == 0
    assert_equal_evaluations(*evaluations)


def contents(folder):
    """Every file of a sweep, by its place in it, without what says when and who."""
    files = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.name == "report.json":
            files[name] = numbers(json.loads(path.read_text()))
        elif path.suffix == ".csv":
            files[name] = path.read_text()
        else:
            files[name] = None
    return files


@pytest.mark.slow
def test_a_converted_network_is_sent_once_for_all_points(given, settings, elsewhere, tmp_path, monkeypatch):
    snn.convert_keras(given["model"], given["x_norm"], timesteps=12, threshold_rule="percentile").save(
        tmp_path / "net_snn.keras"
    )
    monkeypatch.setattr("snn_toolbox_tf.experiment.preparation.check_can_be_sent", lambda model: None)
    sent, getstate = [], SentModel.__getstate__
    monkeypatch.setattr(SentModel, "__getstate__", lambda self: sent.append(self.model) or getstate(self))
    loaded = snn.Settings().replace(path_wd=str(tmp_path), plot_vars=[], convert=False, filename_snn="net_snn")
    here = snn.sweep(loaded.replace(runlabel="here"), "duration", [4, 12], **given)
    there = snn.sweep(loaded.replace(executor="ray"), "duration", [4, 12], **given)
    assert there.table == here.table
    assert len(sent) == 2  # network and source


@pytest.mark.slow
def test_an_interrupted_sweep_goes_on_elsewhere(given, settings, elsewhere):
    """Begun here, gone on with elsewhere, where points are finished in another order: it is that of one process."""
    values = [0.5, 1, 2]
    whole = snn.sweep(settings.replace(runlabel="whole"), "v_thresh", values, **given)

    class InterruptingAtTheSecond(experiment.Progress):
        def stage(self, name, total=None, done=0):
            if name == "v_thresh = 1: simulating":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        snn.sweep(settings, "v_thresh", values, **given, progress=InterruptingAtTheSecond())
    elsewhere(Elsewhere(stop_after=1))
    with pytest.raises(KeyboardInterrupt):
        snn.sweep(settings.replace(executor="ray"), "v_thresh", values, **given, resume=True)
    unfinished = whole.folder.with_name(".small_snn_v_thresh.unfinished")
    assert len(json.loads((unfinished / "points.json").read_text())) == 2

    class Telling(experiment.Progress):
        told = []

        def tell(self, text):
            self.told.append(text)

    elsewhere(Elsewhere())
    resumed = snn.sweep(settings.replace(executor="ray"), "v_thresh", values, **given, resume=True, progress=Telling())
    assert len(Telling.told) == 1
    assert resumed.table == whole.table
    assert contents(resumed.folder) == contents(whole.folder)
    for label in ("v_thresh=1", "v_thresh=2"):
        point = snn.read_settings(resumed.folder / label / "config.ini")
        assert point.paths.log_dir_of_current_run == str(resumed.folder / label)
        model_snn = keras.saving.load_model(resumed.folder / label / "small_snn.keras")
        assert model_snn.conversion.threshold_scale == point.cell.v_thresh


def test_models_are_sent_without_what_they_were_compiled_with(given):
    model = given["model"]
    model.compile("adam", lambda y, p: keras.ops.mean(p))
    received = pickle.loads(pickle.dumps(SentModel(model))).model
    np.testing.assert_array_equal(received(given["x_test"]), model(given["x_test"]))
    assert [layer.name for layer in received.layers] == [layer.name for layer in model.layers]


def test_models_that_cannot_be_sent(given, settings, elsewhere, tmp_path):
    class Unknown(L.Dense):
        pass

    class Nameless(L.Layer):
        def __init__(self, helper):
            super().__init__()

        def call(self, x):
            return x

    for layer, message in [
        (
            Unknown(3),
            r"(?s)Model 'strange', which is to be sent to workers, cannot be read .* Layers of your own .*Unknown",
        ),
        (Nameless(object()), "Model 'strange' cannot be saved to be sent to workers"),
    ]:
        model = keras.Sequential([keras.Input((6,)), layer], name="strange")
        with pytest.raises(snn.ConfigurationError, match=message):
            snn.run(settings.replace(executor="ray"), **{**given, "model": model})
        assert not list(tmp_path.iterdir())


# Settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"executor": "spark"}, r"\[tools\] executor: Expected one of 'local', 'ray'. Received: 'spark'"),
        (
            {"workers": 2},
            r"\[tools\] workers = 2: only Ray has workers. Received: executor = local. Set executor = ray",
        ),
        ({"executor": "ray", "workers": 0}, r"\[tools\] workers: Expected an integer of 1 or more"),
        (
            {"executor": "ray", "log_vars": ["activations_n_b_l"]},
            r"\[output\] log_vars = activations_n_b_l: recordings .* \[tools\] executor = ray. Set executor = local",
        ),
    ],
)
def test_settings_that_do_not_go_together(changes, message):
    with pytest.raises(snn.ConfigurationError, match=message):
        snn.Settings().replace(**changes)


def test_without_ray_there_is_one_error_before_any_work(given, settings, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    settings = settings.replace(executor="ray")
    message = (
        r'executor = ray needs Ray Data, which cannot be imported: .*`pip install "snn_toolbox_tf\[ray\]"`, or set'
    )
    with pytest.raises(snn.ConfigurationError, match=message):
        snn.run(settings, **given)
    with pytest.raises(snn.ConfigurationError, match=message):
        snn.sweep(settings, "v_thresh", [1, 2], **given)
    assert not list(tmp_path.iterdir())
    snn.convert_keras(given["model"], given["x_norm"], threshold_rule="percentile").save(tmp_path / "net.keras")
    np.savez(tmp_path / "x_test.npz", given["x_test"])
    assert main(["evaluate", str(tmp_path / "net.keras"), "--executor", "ray"]) == 2
    assert "error: [tools] executor = ray needs Ray Data" in capsys.readouterr().err


def test_importing_the_package_imports_no_ray():
    """Only functions do."""
    for path in FILES:
        for node in ast.parse(path.read_text()).body:
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", "")]
            )
            assert not any((name or "").partition(".")[0] == "ray" for name in names), path


@pytest.mark.parametrize(
    ("cpus", "workers", "expected"),
    [([2], 2, 1), ([8], 2, 4), ([8], 3, 2), ([3, 3], 3, 1), ([4, 8], 3, 4), ([0, 16], 1, 16)],
)
def test_every_worker_finds_its_place(cpus, workers, expected):
    assert cpus_per_worker(cpus, workers) == expected


# With Ray


class FakeRay(types.SimpleNamespace):
    """As much of Ray as gives what one says."""

    def __init__(self, rows):
        class Dataset:
            map_batches = iter_rows = None

        data = Dataset()
        data.map_batches, data.iter_rows = (lambda *args, **kwargs: data), (lambda: iter(rows))
        context = types.SimpleNamespace(enable_progress_bars=True, print_on_execution_start=True)
        super().__init__(
            nodes=lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}, {"Alive": False, "Resources": {"CPU": 8.0}}],
            put=lambda function: function,
            exceptions=types.SimpleNamespace(RayError=ZeroDivisionError),
            data=types.SimpleNamespace(
                DataContext=types.SimpleNamespace(get_current=lambda: context),
                ActorPoolStrategy=dict,
                from_items=lambda items, **options: data,
            ),
        )


@pytest.mark.parametrize(
    ("rows", "message"), [([0, 1, 1], "Ray has given batch 1 twice"), ([2, 0], "Ray has given 2 of 3 batches")]
)
def test_batches_are_counted(monkeypatch, tmp_path, rows, message):
    np.savez(tmp_path / "empty.npz", value=1)
    file = (tmp_path / "empty.npz").read_bytes()
    fake = FakeRay([{"number": number, "result": file, "error": "", "where": ""} for number in rows])
    monkeypatch.setattr(ray_executor, "import_ray", lambda: fake)
    monkeypatch.setattr(ray_executor, "_start_attempts", lambda ray: None)
    with pytest.raises(snn.WorkerError, match=message):
        list(RayExecutor().map(dict, [{}, {}, {}]))
    assert fake.data.DataContext.get_current().enable_progress_bars
    with pytest.raises(
        snn.ConfigurationError, match=r"workers = 3: each worker needs a CPU, and the Ray cluster has 2"
    ):
        RayExecutor(3)
    assert list(RayExecutor().map(dict, [])) == []


@keras.saving.register_keras_serializable("test_workers")
class Doubled(L.Dense):
    """A layer of one's own."""

    def call(self, x):
        return super().call(2 * x)


snn.register_layer(Doubled)


def register_layers():
    """Importing this module does."""


@pytest.fixture(scope="module")
def ray():
    """A cluster of two workers on this machine, which know these tests."""
    ray = pytest.importorskip("ray")
    # By default they give way to everything else: beside other tests they would hardly ever run.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
    ray.init(
        "local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={
            "env_vars": {"PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), str(pathlib.Path(__file__).parent)])},
        },
    )
    yield ray
    ray.shutdown()


class Dying:
    """A function whose worker is killed at one of its batches, the first time; it notes who computes what."""

    def __init__(self, function, folder, at):
        self._function, self._folder, self._at = function, folder, at

    def __call__(self, batch):
        number = int(next(iter(batch.values())))
        with (self._folder / "begun.txt").open("a") as file:
            file.write(f"{number} {os.getpid()}\n")
        if number == self._at and not (self._folder / "killed").exists():
            (self._folder / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        # Otherwise one of two workers may have done all before the other one has started.
        time.sleep(0.2)
        return self._function(batch)

    @property
    def begun(self):
        """Batches and processes."""
        return [tuple(map(int, line.split())) for line in (self._folder / "begun.txt").read_text().splitlines()]


@pytest.fixture
def dying(monkeypatch, tmp_path_factory):
    """Has a worker killed at a batch, whoever sends a function to Ray."""
    made, map_ = [], RayExecutor.map

    def kill_at(number):
        def map_dying(self, function, batches):
            made.append(Dying(function, tmp_path_factory.mktemp("dying"), number))
            return map_(self, made[-1], batches)

        monkeypatch.setattr(RayExecutor, "map", map_dying)
        return made

    return kill_at


def assert_one_was_killed(dying, expected):
    """Each batch was begun once, apart from the one whose worker died, which another process has begun again."""
    started = [number for number, _ in dying.begun]
    killed = dying._at
    assert sorted(started) == sorted([*expected, killed])
    (first, second) = [process for number, process in dying.begun if number == killed]
    assert first != second
    assert all(process != first for _, process in dying.begun[dying.begun.index((killed, first)) + 1 :])


@pytest.mark.long
def test_a_worker_that_is_killed_loses_nothing_and_nothing_counts_twice(ray, given, settings, evaluations, dying):
    here = snn.run(settings.replace(runlabel="here"), **given)
    made = dying(24)
    there = snn.run(settings.replace(executor="ray", workers=2), **given)
    assert_one_was_killed(made[0], range(0, 50, 8))
    assert there.record.samples == 50
    assert_equal_evaluations(*evaluations)
    assert numbers_of(there) == numbers_of(here)


@pytest.mark.slow
@pytest.mark.long
def test_a_sweep_whose_worker_is_killed(ray, given, settings, dying):
    values = [0.5, 1, 2]
    here = snn.sweep(settings.replace(runlabel="here"), "v_thresh", values, **given)
    made = dying(1)
    there = snn.sweep(settings.replace(executor="ray"), "v_thresh", values, **given)
    assert_one_was_killed(made[0], range(3))
    assert there.table == here.table
    assert contents(there.folder) == contents(here.folder)


@pytest.mark.slow
@pytest.mark.long
def test_evaluate_on_the_command_line(ray, given, tmp_path, capsys):
    model_snn = snn.convert_keras(
        given["model"], given["x_norm"], timesteps=12, threshold_rule="percentile", input="poisson"
    )
    model_snn.save(tmp_path / "net.keras")
    for name in ("x_test", "y_test"):
        np.savez(tmp_path / f"{name}.npz", given[name])
    outputs = []
    for flags in ([], ["--executor", "ray"]):
        assert main(["evaluate", str(tmp_path / "net.keras"), "--batch-size", "8", "--json", *flags]) == 0
        outputs.append(numbers(json.loads(capsys.readouterr().out)))
    assert outputs[0] == outputs[1]


class Counting:
    """A predictor that says who computes what, and how often that process has loaded a network."""

    def __init__(self, predictor):
        self._predictor = predictor

    def __call__(self, batch):
        got = self._predictor(batch)
        loads, count = batch_predictor._loaded.cache_info().misses, len(batch["sample_index"])
        place = {"loads": loads, "process": os.getpid(), "batch": int(batch["sample_index"][0])}
        return {**got, **{name: np.full(count, value) for name, value in place.items()}}


@pytest.mark.slow
@pytest.mark.long
def test_the_predictor_on_ray_data(ray, given, tmp_path):
    """As the documentation has it: rows in any order, one network a process."""
    model_snn = snn.convert_keras(
        given["model"], given["x_norm"], timesteps=12, threshold_rule="percentile", input="poisson"
    )
    model_snn.save(tmp_path / "net.keras")
    predictor = snn.BatchPredictor(tmp_path / "net.keras", operations=True)
    rows = [{"image": image, "sample_index": index} for index, image in enumerate(given["x_test"])]
    data = ray.data.from_items(rows, override_num_blocks=5).random_shuffle(seed=1)
    got = {row["sample_index"]: row for row in data.map_batches(Counting(predictor), batch_size=7).take_all()}
    # A process has loaded the network once, whatever it has done.
    assert {row["loads"] for row in got.values()} == {1}
    assert len({(row["process"], row["batch"]) for row in got.values()}) > 2
    result = model_snn.simulate(given["x_test"], outputs="last")
    (name,) = model_snn.output_names
    assert sorted(got) == list(range(50))
    for index, row in got.items():
        np.testing.assert_array_equal(row[name], result.outputs[0][index])
        assert row["synaptic_operations/dense"] == result.synaptic_operations["dense"][index]


#: Such a layer runs here and in workers, which register it first.
OWN_LAYERS = """
import sys
import keras, numpy as np, ray
import snn_toolbox_tf as snn
from test_workers import Doubled, register_layers

ray.init("local", num_cpus=2, include_dashboard=False, runtime_env={"worker_process_setup_hook": register_layers})
model = keras.Sequential([keras.Input((6,)), Doubled(10), keras.layers.ReLU(), keras.layers.Dense(3)], name="small")
x = np.random.default_rng(0).random((20, 6), dtype=np.float32)
settings = snn.Settings().replace(
    path_wd=sys.argv[1], duration=4, batch_size=8, plot_vars=[], threshold_rule="percentile"
)
errors = [
    snn.run(settings.replace(runlabel=name, executor=name), model=model, x_test=x, x_norm=x).record.outputs[0].relative_error
    for name in ("local", "ray")
]
print((errors[0] == errors[1]).all(), errors[0][-1] < 0.5)
"""


def run_with_tests(script, *arguments):
    """The last line of a script that may import these tests."""
    path = os.pathsep.join([str(PACKAGE.parent), str(pathlib.Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.long
def test_layers_of_your_own_in_workers(tmp_path):
    """As the documentation has it: a function that every worker calls registers them."""
    pytest.importorskip("ray")
    assert run_with_tests(OWN_LAYERS, str(tmp_path)) == "True True"


@pytest.mark.slow
@pytest.mark.long
def test_the_page_runs(ray, tmp_path, monkeypatch, capsys):
    """All but Spark's part, which needs Spark; on few samples."""
    docs = PACKAGE.parent / "docs"
    pages = [(docs / f"{name}.md").read_text() for name in ("converting", "many-machines")]
    blocks = [re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE) for page in pages]
    script = "\n".join([blocks[0][0], *(block for block in blocks[1] if "pyspark" not in block)])
    monkeypatch.chdir(tmp_path)
    exec(script.replace("x[1200:]", "x[1200:1300]").replace("y[1200:]", "y[1200:1300]"), {})
    right = capsys.readouterr().out.splitlines()[-3:]
    assert all(float(line) > 0.7 for line in right), right
    assert (tmp_path / "spread" / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.long
def test_a_real_network_has_the_same_bits(ray, data_dir, evaluations, tmp_path):
    model = snn.load_model(data_dir / "models" / "resnet8_cifar10.keras")
    with np.load(data_dir / "cifar10_test.npz") as arrays:
        x, y = arrays["x"][:200], arrays["y"][:200]
    settings = snn.Settings().replace(
        path_wd=str(tmp_path), duration=8, batch_size=32, plot_vars=[], threshold_rule="percentile"
    )
    for executor in ("local", "ray"):
        snn.run(settings.replace(executor=executor, runlabel=executor), model=model, x_test=x, y_test=y, x_norm=x)
    assert_equal_evaluations(*evaluations)


class Failing:
    """A function that fails in a worker."""

    def __call__(self, batch):
        if batch["number"] == 1:
            raise ValueError("what a worker says")
        return {"number": np.asarray(batch["number"])}


class Killing:
    """A function that kills every worker."""

    def __call__(self, batch):
        if batch["number"] == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"number": np.asarray(batch["number"])}


class Unreadable:
    """A function that no worker can read."""

    def __getstate__(self):
        return {"sent": True}

    def __setstate__(self, state):
        raise ValueError("this cannot be read here")

    def __call__(self, batch):
        return {}


class Threads:
    """Says how many threads TensorFlow and the native ops have."""

    def __call__(self, batch):
        import tensorflow as tf

        tf.constant(1)
        threads = tf.config.threading.get_intra_op_parallelism_threads()
        return {"threads": np.array([threads, snn.ops.implementation().threads])}


@pytest.mark.slow
@pytest.mark.long
def test_what_a_worker_says_is_told(ray):
    batches = [{"number": number} for number in range(4)]
    with open_executor("ray") as executor:
        with pytest.raises(snn.WorkerError, match=r"A worker has failed. ValueError: what a worker says") as raised:
            list(executor.map(Failing(), batches))
        assert "in __call__" in str(raised.value.__cause__)
        with pytest.raises(snn.WorkerError, match=r"RaySystemError: System error: this cannot be read here.$"):
            list(executor.map(Unreadable(), batches))
        with pytest.raises(
            snn.WorkerError, match=r"batch 1 has killed 4 workers.* Expected fewer workers, or a smaller"
        ):
            list(executor.map(Killing(), batches))
        assert all(got["threads"].max() <= 1 for got in executor.map(Threads(), batches))
    assert ray.is_initialized()
    with pytest.raises(snn.ConfigurationError, match="workers = 3: each worker needs a CPU"), open_executor("ray", 3):
        pass


class Waiting:
    """A function that takes a while, and says who computes."""

    def __call__(self, batch):
        time.sleep(0.5)
        return {"number": np.asarray(batch["number"]), "process": np.asarray(os.getpid())}


#: Two machines of one CPU each, as Ray sees it; one is taken away once both have computed something.
LOSING_A_MACHINE = """
import ray
from ray.cluster_utils import Cluster
from test_workers import Waiting
from snn_toolbox_tf.distributed import open_executor

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
other = cluster.add_node(num_cpus=1)
ray.init(address=cluster.address, log_to_driver=False)
numbers, processes = [], set()
with open_executor("ray", 2) as executor:
    for got in executor.map(Waiting(), [{"number": number} for number in range(30)]):
        numbers.append(int(got["number"]))
        processes.add(int(got["process"]))
        if other is not None and len(processes) == 2 and len(numbers) >= 4:
            cluster.remove_node(other, allow_graceful=False)
            other = None
print(other is None, sorted(numbers) == list(range(30)))
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.slow
@pytest.mark.long
def test_a_machine_that_is_lost_loses_nothing():
    """What it was computing is computed by the one that is left, although there is no room for a second worker."""
    pytest.importorskip("ray")
    assert run_with_tests(LOSING_A_MACHINE) == "True True"


@pytest.mark.slow
@pytest.mark.long
def test_ray_is_started_and_stopped_where_nobody_has(monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda address, **options: called.append((address, options)))
    monkeypatch.setattr(ray, "shutdown", lambda: called.append("shutdown"))
    monkeypatch.setattr(ray_executor, "RayExecutor", lambda workers: workers)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    called = []
    with open_executor("ray", 5) as executor:
        assert executor == 5
    assert called[0][0] == "local"
    assert called[0][1]["num_cpus"] == 5
    assert called[1:] == ["shutdown"]
    monkeypatch.setenv("RAY_ADDRESS", "machine:6379")
    with open_executor("ray", 5):
        pass
    assert called[2][0] == "machine:6379"
    assert "num_cpus" not in called[2][1]

    def unreachable(address, **options):
        raise ConnectionError("nobody is there")

    monkeypatch.setattr(ray, "init", unreachable)
    message = (
        r"no Ray cluster at .* RAY_ADDRESS names, 'machine:6379': nobody is there. Start one \(`ray start --head`\)"
    )
    with pytest.raises(snn.ConfigurationError, match=message), open_executor("ray"):
        pass
