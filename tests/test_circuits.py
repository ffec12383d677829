"""Circuits in place of what has no neurons: the bias neuron, lateral inhibition, the spiking softmax."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import snn_toolbox_tf as snn
from snn_toolbox_tf.analysis.closed_form import closed_form
from snn_toolbox_tf.simulation.encoding import uniform

RULE = {"threshold_rule": "percentile", "timesteps": 16}


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).random((20, 8, 8, 2), "float32")


@pytest.fixture(scope="module")
def model():
    # Layers get the names that they have in a fresh process.
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(6, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(8, 3),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(10, "relu"),
            layers.Dense(5, "softmax"),
        ]
    )
    generator = np.random.default_rng(1)
    for weight in model.weights:
        if weight.name in ("bias", "beta", "moving_mean"):
            weight.assign(generator.normal(0, 0.2, weight.shape))
    return model


@pytest.mark.parametrize("mode", ["analog", "poisson"])
def test_bias_neuron_at_every_timestep_gives_the_spikes_of_bias_currents(model, x, mode):
    current = snn.convert_keras(model, x, input=mode, **RULE).simulate(x)
    neuron = snn.convert_keras(model, x, input=mode, bias="neuron", **RULE).simulate(x)
    for name, counts in current.spike_counts.items():
        np.testing.assert_array_equal(neuron.spike_counts[name], counts)
    np.testing.assert_array_equal(neuron.outputs, current.outputs)
    assert neuron.spike_counts["bias_neuron"].tolist() == [16.0 * len(x)]


@pytest.mark.parametrize("period", [2, 3, 6])
def test_bias_neuron_fires_once_in_a_period(model, x, period):
    model_snn = snn.convert_keras(model, x, bias="neuron", bias_rate=1 / period, **RULE)
    train = model_snn.simulate(x[:1], timesteps=40, record="spikes").spikes["bias_neuron"].ravel()
    expected = [t for t in range(1, 41) if (t - -(-period // 2)) % period == 0]
    assert (np.flatnonzero(train) + 1).tolist() == expected


def test_layers_of_real_valued_input_keep_their_biases(model, x):
    analog = snn.convert_keras(model, x, bias="neuron", **RULE)
    poisson = snn.convert_keras(model, x, bias="neuron", input="poisson", **RULE)
    assert "conv2d_bias" not in analog.network.graph
    assert "conv2d_bias" in poisson.network.graph
    for model_snn in (analog, poisson):
        layer = model_snn.network.layers["dense"]
        assert layer.bias is None


def test_error_of_a_slow_bias_neuron_falls_with_time(model, x):
    expected = model.predict(x, verbose=0)
    model_snn = snn.convert_keras(model, x, bias="neuron", bias_rate=0.25, **RULE)
    few, many = (np.abs(model_snn.simulate(x, timesteps=t).outputs[-1] - expected).mean() for t in (16, 256))
    assert many < few / 4


def test_operations_of_a_bias_neuron(model, x):
    model_snn = snn.convert_keras(model, x, bias="neuron", bias_rate=0.5, **RULE)
    operations = model_snn.simulate(x, timesteps=10).synaptic_operations
    assert operations["dense_bias"].tolist() == [5.0 * 10] * len(x)
    assert operations["dense_1_bias"].tolist() == [5.0 * 5] * len(x)


def test_bias_neuron_in_closed_form(x):
    """T is no multiple of the period."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8, 8, 2)), keras.layers.Flatten()])
    for units in (12, 7):
        model.add(keras.layers.Dense(units, "relu", bias_initializer=keras.initializers.RandomNormal(stddev=0.3)))
    model.add(keras.layers.Dense(3, bias_initializer="ones"))
    synchronous = {**RULE, "schedule": "layer_synchronous", "bias": "neuron", "bias_rate": 0.25}
    model_snn = snn.convert_keras(model, x, **synchronous)
    result = model_snn.simulate(x, timesteps=18)
    counts, outputs = closed_form(model_snn, x, 18)
    for name, expected in counts.items():
        np.testing.assert_array_equal(result.spike_counts[name], expected.sum(axis=0))
    np.testing.assert_array_equal(result.outputs[-1], outputs)


@pytest.mark.few(1)
@pytest.mark.long
@pytest.mark.parametrize("options", [{"bias": "neuron", "bias_rate": 0.5}, {"softmax": "spiking"}])
def test_circuits_survive_saving_training_and_blocks(model, x, tmp_path, options):
    model_snn = snn.convert_keras(model, x, input="poisson", **options, **RULE)
    model_snn.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    model_snn.fit(x, np.zeros(len(x)), verbose=0)
    outputs = model_snn.simulate(x).outputs
    np.testing.assert_array_equal(model_snn.simulate(x, block_length=5, batch_size=7).outputs, outputs)
    model_snn.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(loaded.simulate(x).outputs, outputs)
    assert loaded.conversion.bias == options.get("bias", "current")
    assert loaded.conversion.softmax == options.get("softmax", "decoded")


def _first_to_fire(spikes, rows, columns, pool, stride):
    """In plain Python, window by window."""
    passed = np.zeros((len(spikes), rows, columns))
    for row in range(rows):
        for column in range(columns):
            window = spikes[:, row * stride : row * stride + pool, column * stride : column * stride + pool]
            window = window.reshape(len(spikes), -1)
            fired = window.any(axis=1)
            if fired.any():
                passed[:, row, column] = window[:, np.argmax(window[np.argmax(fired)])]
    return passed


@pytest.mark.parametrize(("pool", "stride"), [(2, 2), (3, 1), (6, 6)])
def test_lateral_inhibition_passes_the_first_to_fire(pool, stride):
    spikes = (np.random.default_rng(0).random((12, 1, 6, 6, 1)) < 0.15).astype("float32")
    window = snn.ops.Window((pool, pool), (stride, stride))
    size = window.output_size((6, 6))
    winners, parts = tf.zeros([1, *size, 1], tf.int32), []
    for start, end in ((0, 1), (1, 8), (8, 12)):
        passed, winners = snn.ops.lateral_inhibition(tf.constant(spikes[start:end]), winners, window)
        parts.append(passed.numpy())
    expected = _first_to_fire(spikes[:, 0, :, :, 0], *size, pool, stride)
    np.testing.assert_array_equal(np.concatenate(parts)[:, 0, :, :, 0], expected)


def test_lateral_inhibition_in_a_network(model, x):
    model_snn = snn.convert_keras(model, x, max_pooling="lateral_inhibition", **RULE)
    outputs = model_snn.simulate(x).outputs
    np.testing.assert_array_equal(model_snn.simulate(x, block_length=3, batch_size=7).outputs, outputs)
    for _ in range(16):
        streamed = model_snn.step(x)
    np.testing.assert_array_equal(streamed, outputs[-1])


def test_spiking_softmax_draws_by_the_softmax(model, x):
    """What is decoded after each timestep are the probabilities by which the neuron of that timestep is drawn."""
    timesteps = 400
    exact = snn.convert_keras(model, x, **RULE).simulate(x, timesteps=timesteps).outputs.astype(np.float64)
    outputs = snn.convert_keras(model, x, softmax="spiking", seed=3, **RULE).simulate(x, timesteps=timesteps).outputs
    numbers = uniform(
        1,
        seed=3,
        salt=2**32,
        sample_index=tf.range(len(x), dtype=tf.int64),
        places=tf.range(timesteps)[:, tf.newaxis],
        dtype=tf.float64,
    ).numpy()
    chosen = (np.cumsum(exact, axis=-1)[..., :-1] <= numbers).sum(axis=-1)
    shares = np.stack([(chosen == i).mean(axis=0) for i in range(5)], axis=-1)
    np.testing.assert_allclose(outputs[-1], shares, atol=1.01 / timesteps)
    p = exact.mean(axis=0)
    z = (outputs[-1] - p) / np.sqrt(p * (1 - p) / timesteps)
    assert 0.7 < np.sqrt((z**2).mean()) < 1.3
    np.testing.assert_allclose(outputs.sum(axis=-1), 1.0, rtol=1e-6)
    assert set(np.unique(outputs[0])) == {0.0, 1.0}


def test_seed_and_stream_of_a_spiking_softmax(model, x):
    model_snn = snn.convert_keras(model, x, softmax="spiking", seed=5, **RULE)
    outputs = model_snn.simulate(x).outputs
    assert not np.array_equal(model_snn.simulate(x, seed=6).outputs, outputs)
    for _ in range(16):
        streamed = model_snn.step(x)
    np.testing.assert_array_equal(streamed, outputs[-1])
    with pytest.raises(ValueError, match="drawn at random; convert with softmax='decoded'"):
        snn.export_tflite(model_snn, "net.tflite")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bias": "cell"}, "Unknown `bias`"),
        ({"softmax": "hard"}, "Unknown `softmax`"),
        ({"bias": "neuron", "bias_rate": 0.4}, "1 / k with an integer k"),
        ({"bias_rate": 0.5}, "Expected bias='neuron' with it"),
        ({"bias": "neuron", "corrections": ["timed_biases"]}, "corrections without 'timed_biases'"),
        ({"max_pooling": "lateral_inhibition", "schedule": "layer_synchronous"}, "no first one to inhibit"),
    ],
)
def test_errors_of_options(model, x, options, message):
    with pytest.raises(ValueError, match=message):
        snn.convert_keras(model, x, **options)


def test_errors_of_models(x):
    layers = [keras.Input((8, 8, 2)), keras.layers.Conv2D(2, 3), keras.layers.MaxPooling2D(2), keras.layers.ReLU()]
    model = keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=r"No output of model .* is a softmax"):
        snn.convert_keras(model, x, softmax="spiking")
    with pytest.raises(ValueError, match="reads currents, which inhibit nothing"):
        snn.convert_keras(model, x, max_pooling="lateral_inhibition")


def with_biases(shape, *layers):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input(shape), *layers])
    for layer in model.layers:
        if layer.weights and layer.get_weights()[-1].ndim == 1:
            layer.bias.assign(np.random.default_rng(1).uniform(-0.3, 0.3, layer.bias.shape))
    return model


@pytest.mark.parametrize("rate", [1.0, 0.25])
@pytest.mark.parametrize("kind", ["dense", "images"])
def test_a_bias_neuron_in_nir_files(tmp_path, kind, rate):
    pytest.importorskip("nir")
    from nir_interpreter import Interpreter

    if kind == "dense":
        model = with_biases((6,), keras.layers.Dense(5, "relu"), keras.layers.Dense(3))
    else:
        model = with_biases(
            (6, 6, 2),
            keras.layers.Conv2D(4, 3, activation="relu", padding="same"),
            keras.layers.AveragePooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(5, "relu"),
            keras.layers.Dense(3),
        )
    x = np.random.default_rng(0).random((10, *model.input_shape[1:]), "float32")
    model_snn = snn.convert_keras(
        model, x, timesteps=12, threshold_rule="percentile", bias="neuron", bias_rate=rate, form="normalized"
    )
    snn.export_nir(model_snn, tmp_path / "net.nir")
    ours = model_snn.simulate(x, record=["spike_counts"]).sample_spike_counts
    again = snn.import_nir(tmp_path / "net.nir").simulate(x, record=["spike_counts"]).sample_spike_counts
    file = Interpreter(tmp_path / "net.nir")
    (name,) = [name for name, node in file.nodes.items() if node["type"] == "Input"]
    counts, _ = file.run({name: np.moveaxis(x, -1, 1)}, 12)
    assert ours["bias_neuron"].sum() == 10 * 12 * rate
    for found in (again, counts):
        assert set(found) == set(ours)
        for population, expected in ours.items():
            np.testing.assert_array_equal(
                np.sort(found[population].reshape(10, -1)), np.sort(expected.reshape(10, -1)), err_msg=population
            )
