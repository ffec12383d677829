"""The report: figures, page, tables and files, for usual and for awkward runs."""

import csv
import html.parser
import io
import json
import os
import re
import shutil
import subprocess

import matplotlib
import numpy as np
import pytest

from snn_toolbox_tf.foundation.versions import versions
from snn_toolbox_tf.neurons import IntegrateAndFire
from snn_toolbox_tf.report.figures import FIGURES, figures
from snn_toolbox_tf.report.html import render
from snn_toolbox_tf.report.key_numbers import mean_firing_rate, operations, timesteps_until_close
from snn_toolbox_tf.report.neuron_record import neuron_records
from snn_toolbox_tf.report.record import OutputRecord, PopulationRecord, RunRecord, SynapseRecord, TraceRecord
from snn_toolbox_tf.report.summary import summarize
from snn_toolbox_tf.report.tables import tables
from snn_toolbox_tf.report.text import shorten
from snn_toolbox_tf.report.write import write_report


def by_hand(confusion):
    """Precision, recall and F1 from a confusion matrix, by their definitions."""
    right, samples, decided = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    with np.errstate(invalid="ignore"):
        return {"precision": right / decided, "recall": right / samples, "f1": 2 * right / (samples + decided)}


def an_output(rng, timesteps, *, name="predictions", kind="labels", classes=10, samples=1000):
    time = np.arange(1, timesteps + 1)
    error = 0.9 / time**0.8 + 0.01 * rng.random(timesteps)
    if kind == "regression":
        return OutputRecord(name, error)
    agreement = np.clip(0.995 - 0.8 * np.exp(-time / 6) + rng.normal(0, 0.004, timesteps), 0, 1)
    if kind == "classes":
        return OutputRecord(name, error, agreement)
    accuracy = np.clip(0.978 - 0.85 * np.exp(-time / 5) + rng.normal(0, 0.003, timesteps), 0, 1)
    confusion = None
    if classes <= 100:
        weights = np.full((classes, classes), 0.03 / classes) + np.eye(classes)
        truth = rng.integers(classes, size=samples)
        confusion = np.zeros((classes, classes), np.int64)
        for true in truth:
            confusion[true, rng.choice(classes, p=weights[true] / weights[true].sum())] += 1
    scores = {} if confusion is None else by_hand(confusion)
    curve = {"confidence": np.linspace(0, 1, 20), "mean_timesteps": np.linspace(1, timesteps, 20)}
    curve["accuracy"] = 0.978 - 0.85 * np.exp(-curve["mean_timesteps"] / 2)
    return OutputRecord(name, error, agreement, accuracy, 0.9815, 1, confusion, scores, curve)


def a_population(rng, name, shape, *, points=1200):
    neurons = int(np.prod(shape))
    rates = np.clip(rng.exponential(0.12, neurons) * (rng.random(neurons) > 0.15), 0, 1)
    activation = np.maximum(rng.normal(0.1, 0.8, points), 0).astype(np.float32) * 3
    decoded = np.maximum(activation + rng.normal(0, 0.15, points), 0).astype(np.float32)
    varied = points > 1 and np.ptp(activation) > 0
    return PopulationRecord(
        name,
        shape,
        tuple(np.sort(rng.uniform(1, 9, 3)).tolist()),
        float(rates.mean()),
        float((rates == 0).mean()),
        float((rates == 1).mean()),
        np.histogram(rates, bins=50, range=(0, 1))[0],
        float(np.corrcoef(activation, decoded)[0, 1]) if varied else float("nan"),
        0.12,
        activation,
        decoded,
    )


def a_trace(rng, populations, timesteps, image=(28, 28)):
    rasters, membranes = {}, []
    for population in populations:
        neurons = min(int(np.prod(population.shape)), 24)
        rates = np.clip(rng.exponential(0.15, neurons), 0, 1)
        rasters[population.name] = (
            np.arange(neurons) * 3,
            (rng.random((timesteps, neurons)) < rates).astype(np.uint8),
        )
    for population in populations[:5]:
        potential, spikes, total = np.zeros(timesteps, np.float32), np.zeros(timesteps, np.uint8), 0.5
        for step in range(timesteps):
            total += rng.normal(0.15, 0.25)
            spikes[step] = total >= 1
            total -= spikes[step]
            potential[step] = total
        membranes.append((population.name, "3, 5, 0", potential, spikes))
    y, x = np.mgrid[-1 : 1 : complex(image[0]), -1 : 1 : complex(image[1])]
    picture = np.exp(-((np.hypot(x, y * 0.8) - 0.55) ** 2) / 0.02)
    return TraceRecord(7, rasters, membranes, picture if len(image) == 2 else np.repeat(picture[..., None], 3, -1))


def a_record(populations=5, timesteps=64, *, outputs=None, samples=10_000, trace=True, long_names=False, **changes):
    rng = np.random.default_rng(populations)
    prefix = "backbone/stage_2/residual_block_with_a_long_descriptive_name_" if long_names else ""
    made = []
    for index in range(populations):
        shape = (28 >> min(index // 4, 3), 28 >> min(index // 4, 3), 16) if index < populations - 1 else (100,)
        made.append(a_population(rng, f"{prefix}conv2d_{index}_relu", shape))
    synapses = [
        SynapseRecord(f"{prefix}conv2d_0", "constant", 112_896.0, 144.0, 0.0, 112_896.0),
        *[
            SynapseRecord(
                f"{prefix}conv2d_{index}", "spikes", size := float(rng.integers(2e5, 2e6)), 123.4, size * 0.7, 0.0
            )
            for index in range(1, populations)
        ],
        SynapseRecord("predictions", "spikes", 1000.0, 10.0, 812.25, 0.0, "event", "reads spikes"),
    ]
    values = {
        "title": "lenet5",
        "samples": samples,
        "timesteps": np.arange(1, timesteps + 1),
        "outputs": outputs or [an_output(rng, timesteps)],
        "populations": made,
        "synapses": synapses,
        "compared_samples": 256,
        "trace": a_trace(rng, made, timesteps) if trace else None,
        "settings": {
            "conversion": {"percentile": 99.9, "per_channel": True, "v0": 0.5, "reset": "subtract"},
            "simulation": {
                "timesteps": timesteps,
                "input": "analog",
                "seed": 0,
                "batch_size": 256,
                "block_length": None,
            },
            "data": {"path": "data/mnist.npz", "normalize": [0.1307, 0.3081]},
        },
        "conversion": {
            "calibration_samples": 512,
            "pass_error": [1.2e-7, 3.4e-7],
            "grid_error": 2.5e-4,
            "thresholds": {population.name: list(population.threshold) * 4 for population in made},
        },
        "versions": {"snn_toolbox_tf": "1.0", "tensorflow": "2.21.0", "keras": "3.15.1", "machine": "x86_64"},
        "seconds": {"ann": 1.25, "convert": 3.5, "simulate": 42.125, "compare": 0.75},
        "notes": [],
    }
    return RunRecord(**{**values, **changes})


WILD = "<conv & \"x\"> $a$ 'b' {{ c }}"


def awkward_record():
    """One timestep and one sample; outputs of every kind; names and numbers that break careless code."""
    rng = np.random.default_rng(1)
    constant = np.zeros(3, np.float32)
    populations = [
        PopulationRecord(
            WILD, (), (1, 1, 1), 0.0, 1.0, 0.0, np.eye(1, 50, dtype=np.int64)[0], np.nan, np.nan, constant, constant
        ),
        PopulationRecord(
            "empty", (4,), (1, 2, 3), 1.0, 0.0, 1.0, np.zeros(50, np.int64), np.nan, np.inf, constant[:0], constant[:0]
        ),
    ]
    outputs = [
        OutputRecord(WILD, np.zeros(1)),
        an_output(rng, 1, name="classes", kind="classes"),
        an_output(rng, 1, name="many", classes=100, samples=300),
        an_output(rng, 1, name="two", classes=2, samples=1),
    ]
    trace = TraceRecord(
        0,
        {WILD: (np.zeros(1, np.int64), np.ones((1, 1), np.uint8)), "empty": (np.arange(4), np.zeros((1, 4), np.uint8))},
        [(WILD, "", np.full(1, -2.5, np.float32), np.ones(1, np.uint8))],
        np.zeros((2, 9, 3), np.uint8),
    )
    return RunRecord(
        title=f"{WILD} model",
        samples=1,
        timesteps=np.array([1]),
        outputs=outputs,
        populations=populations,
        synapses=[SynapseRecord(WILD, "spikes", 12.0, 3.0, 0.0, 0.0)],
        compared_samples=1,
        trace=trace,
        settings={WILD: {"seed": 7, WILD: [WILD, None, {"deep": np.float32("nan")}], "none": []}},
        conversion={"error": float("nan"), "values": np.arange(20.0), "nested": {WILD: [1.5]}},
        versions={"python": WILD},
        seconds={},
        notes=[WILD],
    )


def empty_record():
    """A run that has an output and nothing else."""
    output = OutputRecord("y", np.array([0.5, np.nan, 0.0]))
    return RunRecord("m", 3, np.array([2, 4, 6]), [output], [], [], 0, None, {}, {}, {}, {}, [])


def test_the_page_lists_neurons():
    page = render(a_record(neurons=neuron_records({"a": IntegrateAndFire(tau_s=2.0)})), {})
    assert "all populations" in page
    assert "exponential synaptic filter, time constant 2 ms" in page


RECORDS = {
    "usual": lambda: a_record(notes=["A threshold is arbitrary."]),
    "sixty populations": lambda: a_record(60, 300, trace=False, long_names=True),
    "regression": lambda: a_record(2, 30, outputs=[an_output(np.random.default_rng(0), 30, kind="regression")]),
    "awkward": awkward_record,
    "empty": empty_record,
}


class Page(html.parser.HTMLParser):
    """Reads a page; fails where tags are not closed in order, and collects texts and addresses."""

    VOID = {"meta", "img", "br", "wbr", "link", "input", "hr"}

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts, self.addresses, self.ids = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        self.ids += [value for name, value in attrs if name == "id"]
        assert len({name for name, _ in attrs}) == len(attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in self.VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The usual report on disk, written once."""
    record = a_record(notes=["A threshold is arbitrary."])
    return record, write_report(tmp_path_factory.mktemp("reports") / "usual", record)


@pytest.mark.few(2)
@pytest.mark.parametrize("name", RECORDS)
def test_page_is_well_formed_self_contained_and_escaped(name):
    record = RECORDS[name]()
    drawn = figures(record)
    text = render(record, drawn)
    page = Page(text)
    assert page.tags.count("img") == len(drawn)
    assert "script" not in page.tags
    assert "link" not in page.tags
    for address in page.addresses:
        assert re.match(r"data:image/(svg\+xml|png);base64,[A-Za-z0-9+/=]+$|#", address), address[:80]
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    assert not re.search(r"https?://|@import|url\(", text)
    assert not re.search(r"\b(nan|inf|None|array)\b", " ".join(page.texts))
    for population in record.populations:
        assert population.name in "".join(page.texts)


def test_figures_of_a_usual_record_are_complete_and_in_order():
    record = a_record()
    before = dict.copy(matplotlib.rcParams)
    drawn = figures(record)
    # Classes have a confusion matrix in place of pictures of outputs.
    assert list(drawn) == [name for name in FIGURES if name != "outputs"]
    assert dict.copy(matplotlib.rcParams) == before
    assert list(figures(record, {"raster", "accuracy"})) == ["accuracy", "raster"]
    assert figures(record, []) == {}
    with pytest.raises(ValueError, match="Received: acuracy"):
        figures(record, ["acuracy"])


def test_figures_without_data_are_left_out():
    assert set(figures(empty_record())) == {"accuracy"}
    assert set(figures(empty_record(), ["error", "raster"])) == {"error"}
    assert "input" not in figures(a_record(2, 4, trace=False))
    titles = [axes.get_title(loc="left") for axes in figures(awkward_record())["accuracy"].axes]
    assert [title.split(":")[0] for title in titles] == [
        "Relative error of the output",
        "Agreement with the ANN",
        "Accuracy",
        "Accuracy",
    ]


def test_early_exit_is_drawn_beside_the_accuracy_at_fixed_timesteps():
    record = a_record(2, 30)
    (axes,) = figures(record, ["early_exit"])["early_exit"].axes
    curve = axes.get_lines()[-1]
    np.testing.assert_array_equal(curve.get_xdata(), record.outputs[0].early_exit["mean_timesteps"])
    np.testing.assert_array_equal(curve.get_ydata(), 100 * record.outputs[0].early_exit["accuracy"])
    assert len(axes.get_lines()) == 3
    assert "early_exit" not in figures(a_record(2, 30, outputs=[OutputRecord("y", np.ones(30))]))


def test_many_populations_are_thinned_and_said_so():
    drawn = figures(a_record(60, 8, long_names=True), ["rate_histograms", "correlation", "raster", "firing_rates"])
    for name in ("rate_histograms", "correlation", "raster"):
        assert "24 of 60 populations" in drawn[name].get_suptitle()
    assert len(drawn["correlation"].axes) == 24
    assert drawn["firing_rates"].get_size_inches()[1] > 10
    labels = [tick.get_text() for tick in drawn["firing_rates"].axes[0].get_yticklabels()]
    assert len(labels) == 60
    assert len(set(labels)) == 60


def test_names_are_shortened_in_the_middle():
    assert shorten("short") == "short"
    name = shorten("block_1/" + "x" * 60 + "/conv_2", 20)
    assert (len(name), name[:8], name[-7:]) == (20, "block_1/", "/conv_2")


def test_page_shows_the_exact_numbers():
    record = a_record()
    texts = " ".join("".join(Page(render(record, {})).texts).split())
    output, total = record.outputs[0], operations(record)
    close = timesteps_until_close(output, record.timesteps)
    for expected in (
        f"ANN accuracy {100 * output.ann_accuracy:.2f} %",
        f"SNN accuracy {100 * output.accuracy[-1]:.2f} %",
        f"At most 1 point below the ANN {close} timesteps, and to the end",
        f"Mean firing rate {mean_firing_rate(record):.4f}",
        f"Total {total.ann_multiply_accumulates:,.0f} {total.synaptic_operations:,.0f} 112,896",
        f"SNN operations per ANN MAC {total.operations_per_ann_mac:.3f} {total.additions_per_ann_mac:.3f} additions + "
        f"{112_896 / total.ann_multiply_accumulates:.4f} MACs",
        "Samples 10,000",
        "predictions spikes event: reads spikes 1,000 10 812.2 0 0.812",
        "simulation: seed 0",
        "seconds: simulate 42.12",
        "percentile 99.9",
    ):
        assert expected in texts
    assert "Confusion matrix" not in texts
    assert "Notes" not in texts


def test_key_numbers():
    output = OutputRecord("y", np.ones(5), None, np.array([0.1, 0.98, 0.9, 0.97, 0.99]), 0.98)
    assert timesteps_until_close(output, np.array([1, 2, 4, 8, 16])) == 8
    assert timesteps_until_close(OutputRecord("y", np.ones(1), None, np.array([0.5]), 0.98), np.array([1])) is None
    record = a_record(3, 4)
    neurons = [np.prod(population.shape) for population in record.populations]
    rates = [population.firing_rate for population in record.populations]
    assert mean_firing_rate(record) == pytest.approx(np.average(rates, weights=neurons))
    assert np.isnan(mean_firing_rate(empty_record()))


def test_tables_hold_the_records_numbers(written):
    record, path = written
    texts = {file.name: file.read_text() for file in (path.parent / "tables").iterdir()}
    assert texts == tables(record)
    read = {name: list(csv.DictReader(io.StringIO(text))) for name, text in texts.items()}
    names = ("timesteps", "populations", "synapses", "operations", "early_exit", "confusion", "classes")
    assert set(read) == {f"{name}.csv" for name in names}
    output = record.outputs[0]
    for column in ("accuracy", "agreement", "relative_error"):
        values = [float(row[f"predictions:{column}"]) for row in read["timesteps.csv"]]
        np.testing.assert_array_equal(values, getattr(output, column))
    assert [int(row["timesteps"]) for row in read["timesteps.csv"]] == record.timesteps.tolist()
    for row, population in zip(read["populations.csv"], record.populations, strict=True):
        for column in ("firing_rate", "dead", "saturated", "correlation", "relative_error"):
            assert float(row[column]) == getattr(population, column)
        assert (row["population"], float(row["threshold_max"])) == (population.name, population.threshold[2])
    for row, synapse in zip(read["synapses.csv"], record.synapses, strict=True):
        for column in ("connections", "mean_fan_out", "synaptic_operations", "multiply_accumulates"):
            assert float(row[column]) == getattr(synapse, column)
    total = {row["quantity"]: float(row["per_sample"]) for row in read["operations.csv"]}
    assert total == operations(record).as_dict()
    for column, values in output.early_exit.items():
        np.testing.assert_array_equal([float(row[column]) for row in read["early_exit.csv"]], values)
    matrix = np.array(
        [[int(value) for key, value in row.items() if key != "true_class"] for row in read["confusion.csv"]]
    )
    np.testing.assert_array_equal(matrix, output.confusion)
    assert [int(row["samples"]) for row in read["classes.csv"]] == output.confusion.sum(1).tolist()
    for column, scores in output.class_scores.items():
        np.testing.assert_array_equal([float(row[column]) for row in read["classes.csv"]], scores)


def test_tables_of_several_outputs_and_missing_numbers():
    texts = tables(awkward_record())
    assert {"confusion_many.csv", "confusion_two.csv", "classes_many.csv", "classes_two.csv"} <= set(texts)
    rows = list(csv.DictReader(io.StringIO(texts["populations.csv"])))
    assert (rows[0]["population"], rows[0]["correlation"], rows[1]["relative_error"]) == (WILD, "", "")
    assert f"{WILD}:relative_error" in next(csv.reader(io.StringIO(texts["timesteps.csv"])))


def test_files_of_a_report(written):
    record, path = written
    assert path.is_absolute()
    assert path.name == "report.html"
    folder = path.parent
    assert {file.stem for file in (folder / "plots").iterdir()} == set(FIGURES) - {"outputs"}
    assert all(file.read_bytes()[:4] == b"\x89PNG" for file in (folder / "plots").iterdir())
    data = json.loads((folder / "report.json").read_text())
    assert data["outputs"][0]["accuracy"] == record.outputs[0].accuracy.tolist()
    assert data["populations"][0]["rate_histogram"] == record.populations[0].rate_histogram.tolist()
    assert "activation" not in data["populations"][0]
    assert data["operations"] == operations(record).as_dict()
    assert data["settings"] == record.settings
    with np.load(folder / "trace.npz") as trace:
        for name, key in data["trace"]["rasters"].items():
            np.testing.assert_array_equal(trace[f"{key}_spikes"], record.trace.rasters[name][1])
        first = data["trace"]["membranes"][0]
        np.testing.assert_array_equal(trace[f"{first['arrays']}_potential"], record.trace.membranes[0][2])
        assert first["index"] == "3, 5, 0"
    assert (folder / "summary.txt").read_text() == summarize(record) + "\n"


def test_files_of_an_awkward_run(tmp_path):
    path = write_report(tmp_path / "new" / "folder", awkward_record(), ["membrane"])
    assert [file.name for file in (path.parent / "plots").iterdir()] == ["membrane.png"]

    def refuse(constant):
        raise AssertionError(constant)

    data = json.loads((path.parent / "report.json").read_text(), parse_constant=refuse)
    assert data["populations"][0]["correlation"] is None
    assert data["populations"][1]["relative_error"] is None
    assert data["conversion"] == {"error": None, "values": list(range(20)), "nested": {WILD: [1.5]}}
    assert data["settings"][WILD][WILD] == [WILD, None, {"deep": None}]


def test_summary():
    record = a_record()
    lines = summarize(record).splitlines()
    accuracy = record.outputs[0].accuracy
    shown = [line.split()[:2] for line in lines if line.strip().split(" ")[0].isdigit()]
    assert shown == [[f"{2**power}", f"{100 * accuracy[2**power - 1]:.2f}"] for power in range(7)]
    assert any(line.split()[:2] == ["ANN", "98.15"] for line in lines)
    total = operations(record)
    assert lines[-6].split()[-1] == f"{total.synaptic_operations:,.0f}"
    assert lines[-3].split() == [
        *("SNN", "operations", "(additions", "+", "MACs)", "per", "ANN", "MAC"),
        f"{total.operations_per_ann_mac:.3f}",
    ]
    assert all(population.name in summarize(record) for population in record.populations)
    assert "Note: " + WILD in summarize(awkward_record())
    assert summarize(empty_record())


def test_versions_are_texts():
    assert {"snn_toolbox_tf", "tensorflow", "keras", "numpy", "python"} <= set(versions())
    assert all(isinstance(value, str) for value in versions().values())


PROBE = """
<script>
window.addEventListener("load", () => {
  const root = document.documentElement;
  const visible = (element) => {
    const box = element.getBoundingClientRect();
    return element.checkVisibility() && box.height > 0 && box.left >= 0 && box.right <= root.clientWidth;
  };
  const headings = Array.from(document.querySelectorAll("h1, section h2"));
  root.dataset.probe = JSON.stringify({
    images: Array.from(document.images, (image) => image.complete && image.naturalWidth > 0 && image.width > 0),
    headings: headings.filter(visible).map((heading) => heading.textContent.trim()),
    sections: document.querySelectorAll("section").length,
    overflow: root.scrollWidth - root.clientWidth,
    width: root.clientWidth,
  });
});
</script>
"""


def browser():
    names = [os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
    found = next((path for path in map(shutil.which, filter(None, names)) if path), None)
    if found is None:
        pytest.skip("no Chromium: neither $CHROMIUM nor chromium, chromium-browser or google-chrome was found")
    return found


@pytest.mark.parametrize("width", [1280, 500])
@pytest.mark.parametrize("name", ["usual", "awkward"])
def test_page_in_a_browser(tmp_path, written, name, width):
    chromium = browser()
    text = written[1].read_text() if name == "usual" else render(awkward_record(), figures(awkward_record()))
    copy = tmp_path / "report.html"
    copy.write_text(text.replace("</body>", f"{PROBE}</body>"))
    command = [
        chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={width},900",
        "--virtual-time-budget=5000",
        "--dump-dom",
        copy.as_uri(),
    ]
    dom = subprocess.run(command, capture_output=True, check=True, timeout=120, text=True).stdout
    found = json.loads(html.unescape(re.search(r'data-probe="([^"]*)"', dom).group(1)))
    assert found["width"] == width
    assert found["overflow"] <= 0
    assert len(found["images"]) == text.count("<img ")
    assert all(found["images"])
    assert len(found["headings"]) == found["sections"] + 1
    if name == "usual":
        assert found["headings"] == [
            "lenet5",
            "Notes",
            "Accuracy over time",
            "Firing rates",
            "ANN activation against θ × rate",  # noqa: RUF001
            "Operations",
            "One sample neuron by neuron",
            "Confusion matrix",
            "How it was made",
        ]
