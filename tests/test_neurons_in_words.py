"""Neurons as people read them: in `check`, in reports and in the terminal."""

import csv
import io
import math
import re

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf.cli.main import main
from snn_toolbox_tf.neurons import IntegrateAndFire, LeakyIntegrateAndFire
from snn_toolbox_tf.neurons.description import depends_on_timestep, in_words
from snn_toolbox_tf.report.neuron_record import neuron_records
from snn_toolbox_tf.report.record import OutputRecord, RunRecord
from snn_toolbox_tf.report.record_as_json import record_as_json
from snn_toolbox_tf.report.summary import summarize
from snn_toolbox_tf.report.tables import tables

WORDS = [
    (IntegrateAndFire(v0=0.25, dt=0.5), ""),
    (IntegrateAndFire(reset="zero"), " (reset to zero)"),
    (IntegrateAndFire(reset="zero", v_reset=-0.5), " (reset to -0.5 thresholds)"),
    (IntegrateAndFire(signed_spikes=True), " (spikes of -1, too)"),
    (IntegrateAndFire(tau_ref=1.2, dt=0.5), " (refractory for 1.5 ms, of which input is kept)"),
    (IntegrateAndFire(tau_ref=2.0, refractory_input="lost"), " (refractory for 2 ms, of which input is lost)"),
    (IntegrateAndFire(tau_s=5.0, synapse="alpha"), " (alpha synaptic filter, time constant 5 ms)"),
    (IntegrateAndFire(adaptation=0.25), " (each spike raises the threshold by 25 %, time constant infinite)"),
    (LeakyIntegrateAndFire(tau_m=math.inf), " (membrane time constant infinite)"),
    (
        LeakyIntegrateAndFire(tau_m=20.0, v_rest=0.125, tau_s=5.0),
        " (membrane time constant 20 ms; resting potential 0.125 thresholds; exponential synaptic filter, time constant "
        "5 ms)",
    ),
]


@pytest.mark.parametrize(("neuron", "traits"), WORDS)
def test_what_neurons_are_in_words(neuron, traits):
    kind = "leaky integrate-and-fire" if isinstance(neuron, LeakyIntegrateAndFire) else "integrate-and-fire"
    assert in_words(neuron) == f"{kind} neurons{traits}"


@pytest.mark.parametrize(
    ("neuron", "expected"),
    [
        (IntegrateAndFire(), False),
        (LeakyIntegrateAndFire(tau_m=math.inf), False),
        (LeakyIntegrateAndFire(tau_m=9.0), True),
        (IntegrateAndFire(tau_ref=1.0), True),
        (IntegrateAndFire(tau_s=1.0), True),
    ],
)
def test_whether_the_length_of_a_timestep_matters(neuron, expected):
    assert depends_on_timestep(neuron) == expected


@pytest.fixture
def model():
    dense = keras.layers.Dense
    return keras.Sequential([keras.Input((4,)), dense(8, "relu", name="a"), dense(6, "relu", name="b"), dense(3)])


def reasons(report):
    return [row.reason for row in report.rows if row.becomes == "population"]


def test_check_says_what_neurons_are(model):
    leaky = LeakyIntegrateAndFire(tau_m=20.0)
    assert reasons(snn.check(model)) == ["8 integrate-and-fire neurons", "6 integrate-and-fire neurons"]
    told = "leaky integrate-and-fire neurons (membrane time constant 20 ms)"
    assert reasons(snn.check(model, neuron=leaky)) == [f"8 {told}", f"6 {told}"]
    assert reasons(snn.check(model, neuron={"b_relu": leaky})) == ["8 integrate-and-fire neurons", f"6 {told}"]
    assert reasons(snn.check(model, code="latency"))[0].startswith("8 neurons that spike once at most")


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"neuron": "LIF"}, TypeError, "Expected `neuron` to be a value of `snn_toolbox_tf.neurons`"),
        (
            {"neuron": {"c": IntegrateAndFire()}},
            ValueError,
            r"Expected one of \('a_relu', 'b_relu'\). Received: neuron='c'",
        ),
        ({"code": "bursts"}, ValueError, r"Unknown `code`. Expected one of \('rate', 'latency'\)"),
    ],
)
def test_check_refuses_neurons_that_there_are_not(model, arguments, kind, message):
    with pytest.raises(kind, match=message):
        snn.check(model, **arguments)


def test_the_command_line_says_what_neurons_are(model, tmp_path, capsys):
    model.save(tmp_path / "net.keras")
    assert main(["check", str(tmp_path / "net.keras"), "--tau-ref", "1", "--reset", "zero"]) == 0
    out = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "8 integrate-and-fire neurons (reset to zero; refractory for 1 ms, of which input is kept)" in out
    assert main(["check", str(tmp_path / "net.keras"), "--spike-code", "latency"]) == 0
    assert "8 neurons that spike once at most" in re.sub(r"\s+", " ", capsys.readouterr().out)


def a_record(neurons):
    output = OutputRecord("y", np.array([0.5, 0.25]))
    records = neuron_records(neurons)
    return RunRecord("m", 3, np.array([1, 2]), [output], [], [], 0, None, {}, {}, {}, {}, [], neurons=records)


def test_reports_list_neurons_and_their_constants():
    leaky = LeakyIntegrateAndFire(tau_m=20.0, tau_ref=2.0, dt=0.5)
    record = a_record({"a": leaky, "b": IntegrateAndFire(), "c": LeakyIntegrateAndFire(**{**vars(leaky), "v0": 0.0})})
    assert [kind.populations for kind in record.neurons] == [("a", "c"), ("b",)]
    assert f"a, c: {in_words(leaky)}\nb: integrate-and-fire neurons" in summarize(record)
    first, second = record_as_json(record)["neurons"]
    assert first["model"] == "leaky_integrate_and_fire"
    assert (first["parameters"]["tau_m"], first["parameters"]["tau_a"], first["parameters"]["dt"]) == (20.0, None, 0.5)
    assert first["per_timestep"]["retention"] == pytest.approx(math.exp(-0.5 / 20))
    assert first["per_timestep"]["refractory_timesteps"] == 4
    assert "dt" not in second["parameters"]
    rows = list(csv.DictReader(io.StringIO(tables(record)["neurons.csv"])))
    assert [(row["population"], row["tau_m"], row["tau_ref"]) for row in rows] == [
        ("a", "20.0", "2.0"),
        ("c", "20.0", "2.0"),
        ("b", "", "0.0"),
    ]


def test_plain_neurons_are_not_worth_a_line_in_the_terminal():
    record = a_record({"a": IntegrateAndFire(v0=0.3), "b": IntegrateAndFire()})
    assert "neurons" not in summarize(record)
    assert "neurons.csv" in tables(record)
    assert (
        summarize(a_record({"a": IntegrateAndFire(tau_s=2.0)}))
        .splitlines()[2]
        .startswith("integrate-and-fire neurons (exp")
    )
