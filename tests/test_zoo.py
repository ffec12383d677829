"""Every kind of layer through the whole way: function kept, oracle met, spikes reproducible, forms equal."""

import functools

import keras
import numpy as np
import pytest
import zoo
from conftest import mostly_slow
from convergence import assert_within_bounds

import snn_toolbox_tf as snn
from snn_toolbox_tf.analysis.closed_form import closed_form, inexact_nodes
from snn_toolbox_tf.corrections.automatic import FEW_SAMPLES
from snn_toolbox_tf.grid import absolute_bounds
from snn_toolbox_tf.simulation.operations import synapse_costs

TIMESTEPS = 12
#: So many samples that no rule is for fewer.
CALIBRATION = FEW_SAMPLES


#: Their layers are in others as well, of one dimension less or in other places.
ALIKE = (zoo.separable, zoo.volume)
FIRST = [builder for builder in zoo.BUILDERS if builder not in ALIKE]


@pytest.fixture(scope="module", params=mostly_slow(zoo.BUILDERS, FIRST), ids=lambda builder: builder.__name__)
def converted(request):
    keras.utils.set_random_seed(0)
    model = zoo.build(request.param)
    x = zoo.data_for(model, 10, seed=2)
    # What is chosen for most networks; comparing it with other ways is not the subject here.
    chosen = {"threshold_rule": "mean_square_error", "corrections": ["initial_potentials", "thresholds", "biases"]}
    model_snn = snn.convert_keras(model, zoo.data_for(model, CALIBRATION), timesteps=TIMESTEPS, **chosen)
    return model, model_snn, x, model_snn.simulate(x, timesteps=TIMESTEPS, record=["spikes"], batch_size=10)


def differing_spikes(first, second):
    return sum(int((first.spikes[name] != second.spikes[name]).sum()) for name in first.spikes)


@pytest.mark.few(2)
def test_a_model_that_converts_is_said_to_convert(converted):
    model, model_snn, _, _ = converted
    report = snn.check(model)
    assert report.ok, str(report)
    populations = [row.name for row in report.rows if row.becomes == "population"]
    assert set(populations) <= set(model_snn.thresholds())
    assert "readout" in [row.becomes for row in report.rows]


@pytest.mark.few(5)
def test_passes_keep_the_function_and_the_grid_is_fine(converted):
    _, model_snn, _, _ = converted
    assert model_snn.conversion.pass_error < 1e-5
    assert model_snn.conversion.grid_error < 1e-3


@pytest.mark.few(3)
def test_spikes_do_not_depend_on_batch_size_or_block_length(converted):
    """Another division of both is in the test of loaded models."""
    _, model_snn, x, reference = converted
    result = model_snn.simulate(x, timesteps=TIMESTEPS, record=["spikes"], batch_size=1, block_length=5)
    assert differing_spikes(reference, result) == 0
    keras.tree.map_structure(np.testing.assert_array_equal, reference.outputs, result.outputs)


@pytest.mark.few(6)
def test_layer_synchronous_run_is_the_closed_form(converted):
    _, model_snn, x, _ = converted
    result = model_snn.simulate(x, timesteps=TIMESTEPS, schedule="layer_synchronous", record=["spikes"])
    counts, outputs = closed_form(model_snn, x, TIMESTEPS)
    for name, expected in counts.items():
        difference = np.abs(result.spikes[name].sum(axis=0) - expected)
        if inexact_nodes(model_snn):
            # A value that is rounded at every timestep may tip a neuron that sits at its threshold.
            assert difference.max() <= 1
            assert difference.mean() < 0.01
        else:
            assert difference.max() == 0
    if not inexact_nodes(model_snn):
        last = keras.tree.map_structure(lambda array: array[-1], result.outputs)
        keras.tree.map_structure(lambda a, b: np.testing.assert_array_equal(a, np.asarray(b)), last, outputs)


def some_of(*builders):
    return pytest.mark.parametrize("builder", mostly_slow(zoo.BUILDERS, builders), ids=lambda builder: builder.__name__)


@pytest.mark.few(1)
@some_of(zoo.channels_first, zoo.branches, zoo.operators, zoo.multi_input, zoo.resampled)
def test_both_forms_spike_alike(builder):
    model = zoo.build(builder)
    x, calibration_data = zoo.data_for(model, 10, seed=2), zoo.data_for(model, CALIBRATION)
    reference, result = (
        snn.convert_keras(model, calibration_data, form=form, threshold_rule="percentile").simulate(
            x, timesteps=TIMESTEPS, record=["spikes"]
        )
        for form in ("normalized", "unnormalized")
    )
    total = sum(int(spikes.sum()) for spikes in reference.spikes.values())
    counts = [
        np.abs(result.spikes[name].sum(axis=0, dtype=int) - reference.spikes[name].sum(axis=0, dtype=int)).sum()
        for name in reference.spikes
    ]
    assert sum(counts) <= 0.001 * total


@pytest.mark.few(2)
@some_of(
    zoo.cnn, zoo.channels_first, zoo.residual, zoo.separable, zoo.multi_input, zoo.preprocessing, zoo.volume_pooling,
    zoo.resampled, zoo.trained_thresholds,
)  # fmt: skip
def test_outputs_approach_the_source(builder):
    """The limit proof: the error of the decoded outputs falls with the number of timesteps."""
    model = zoo.build(builder)
    x = zoo.data_for(model, 10, seed=2)
    # The largest activation of these very samples as threshold: nothing saturates, only quantisation is left.
    model_snn = snn.convert_keras(model, x, percentile=100, per_channel=False)
    result = model_snn.simulate(x, outputs=[16, 512])
    for place, timesteps in enumerate(result.timesteps):
        outputs = keras.tree.map_structure(lambda array, place=place: array[place], result.outputs)
        assert_within_bounds(model, model_snn, x, outputs, int(timesteps))


@pytest.mark.few(3)
def test_a_loaded_model_gives_the_same_spikes_and_outputs_and_counts_the_same_operations(converted, tmp_path):
    _, model_snn, x, reference = converted
    model_snn.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    predicted = loaded.predict(x, verbose=0, batch_size=5)
    keras.tree.map_structure(lambda a, b: np.testing.assert_array_equal(a[-1], b), reference.outputs, predicted)
    again = loaded.simulate(x, record=["spikes"], batch_size=7, block_length=1)
    assert differing_spikes(reference, again) == 0
    assert reference.synaptic_operations.keys() == again.synaptic_operations.keys()
    for kind in ("synaptic_operations", "multiply_accumulates"):
        for name, operations in getattr(reference, kind).items():
            np.testing.assert_array_equal(getattr(again, kind)[name], operations, err_msg=name)


def of_channel(class_name, kernel, channel):
    """The weights that an output channel (the last axis of the output) is summed with."""
    if class_name == "Scale":
        return kernel if kernel.size == 1 else kernel[channel]
    if "Depthwise" in class_name:
        return kernel.reshape(-1, kernel.shape[-2] * kernel.shape[-1])[:, channel]
    return kernel[..., channel, :] if class_name.endswith("Transpose") else kernel[..., channel]


@pytest.mark.few(5)
def test_the_grid_bounds_hold(converted):
    """No partial sum of a float32 synapse can leave the 24 bits in which sums are exact."""
    _, model_snn, _, _ = converted
    network = model_snn.network
    graph = network.graph_with_weights()
    spiking = graph.spiking_ancestry()
    given = {node.name: 0.0 for node in graph if node.name not in spiking}
    bounds = absolute_bounds(graph, given)
    checked = 0
    for cost in synapse_costs(network, "analog"):
        node = graph[cost.name]
        if cost.reads == "spikes" and node.dtype == "float32" and node.layer.weights:
            kernel = node.layer.weights.get("kernel", node.layer.weights.get("factor"))
            if node.layer.class_name == "Resample":
                # The same for all channels.
                matrix = functools.reduce(np.kron, node.layer.weights.values())
                kernel = matrix[..., np.newaxis].repeat(node.shape[-1], axis=-1)
            for channel in range(node.shape[-1]):
                weights = of_channel(node.layer.class_name, kernel, channel)
                bits = 0
                while not np.array_equal(np.round(weights * 2.0**bits), weights * 2.0**bits):
                    bits += 1
                assert bounds[node.name][..., channel].max() * 2.0**bits <= 2**24
            checked += 1
    assert checked > 0
