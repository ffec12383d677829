"""What of a network runs on spikes, and why: plans, and the report about them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo
from conftest import needs_native
from engines import assert_engines_agree

import snn_toolbox_tf as snn
from snn_toolbox_tf import ops
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.simulation.event_plan import plan_events

pytestmark = needs_native


def convert(model, x, **options):
    return snn.convert_keras(model, x, timesteps=8, threshold_rule="percentile", **options)


def converted(build, seed, samples, **options):
    """Returns a network of random weights, converted, and its data."""
    keras.utils.set_random_seed(seed)
    model = build()
    x = np.random.default_rng(seed).random((samples, *model.input_shape[1:])).astype(np.float32)
    return convert(model, x, **options), x


def moving():
    """Spikes are padded, transposed and flattened before a layer reads them; others are picked for a shortcut."""
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="first")(inputs)
    y = keras.layers.ZeroPadding2D(((1, 0), (0, 2)), name="pad")(x)
    y = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="padded")(y)
    z = keras.layers.Permute((2, 3, 1), name="turn")(x)
    z = keras.layers.Flatten(name="flat")(z)
    z = keras.layers.Dense(12, activation="relu", name="turned")(z)
    outputs = keras.layers.Dense(3, name="out")(keras.layers.Concatenate(name="join")([keras.layers.Flatten()(y), z]))
    return keras.Model(inputs, outputs)


def test_layers_that_move_spikes_become_places():
    model_snn, x = converted(moving, 0, 6)
    plan = plan_events(model_snn.network, "event")
    assert plan.synapses["padded"].source == plan.synapses["turned"].source == "first_relu"
    # Zeros around a window are part of the window.
    assert plan.synapses["padded"].moved is None
    assert plan.synapses["padded"].layer.window.padding == ((1, 0), (0, 2))
    places = np.arange(4 * 4 * 4).reshape(4, 4, 4).transpose(1, 2, 0).ravel()
    np.testing.assert_array_equal(plan.synapses["turned"].moved, places)
    assert {"pad", "turn", "flat"} <= plan.unread
    assert "join" not in plan.unread
    report = model_snn.engine_report()
    assert report["first"].why == "reads the input, not spikes"
    assert report["padded"].why == "reads spikes; the population behind it finds its current"
    assert report["turn"].why == "only moves spikes: what reads them looks them up where they were"
    assert report["join"].why == "moves spikes of several populations, as numbers"
    assert report["out"] == next(place for place in report if place.name == "out")
    assert report["out"].runs == "event"
    assert str(report).splitlines()[0] == "engine: auto"
    assert [line.split()[0] for line in str(report).splitlines()[2:]] == [place.name for place in report]
    with pytest.raises(KeyError, match=r"There is no layer 'none'. The layers are: first, "):
        report["none"]
    assert_engines_agree(model_snn, x)


def shortcut():
    """A residual block whose shortcut halves the image and pads channels, as in He et al. (2015), option A."""
    inputs = keras.Input((8, 8, 4))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(inputs)
    y = keras.layers.Conv2D(16, 3, strides=2, padding="same", name="main")(x)
    z = keras.layers.AveragePooling2D(1, strides=2, name="half")(x)
    z = keras.layers.Reshape((16, 1, 8), name="row")(z)
    z = keras.layers.ZeroPadding2D(((0, 0), (0, 1)), name="more")(z)
    z = keras.layers.Reshape((4, 4, 16), name="back")(z)
    x = keras.layers.ReLU(name="second")(keras.layers.Add(name="sum")([y, z]))
    return keras.Model(inputs, keras.layers.Dense(3, name="out")(keras.layers.GlobalAveragePooling2D(name="mean")(x)))


def test_spikes_of_a_shortcut_are_looked_up():
    model_snn, x = converted(shortcut, 1, 5)
    plan = plan_events(model_snn.network, "event")
    assert plan.synapses["back"].layer is None
    places = plan.synapses["back"].moved.reshape(4, 4, 16)
    source = np.arange(8 * 8 * 8).reshape(8, 8, 8)[::2, ::2]
    np.testing.assert_array_equal(places[..., :8], source)
    assert (places[..., 8:] == -1).all()
    assert plan.deferred == {"main", "back"}
    assert {"half", "row", "more"} <= plan.unread
    report = model_snn.engine_report()
    assert report["back"].why == "only moves spikes: the population behind it looks them up where they were"
    assert report["sum"].runs == "population"
    assert report["mean"].why == "reads spikes; its current is held in memory"
    assert report["out"].why == "reads currents, not spikes"
    assert_engines_agree(model_snn, x)


def busy():
    """A wide layer whose inputs are active most of the time, and one whose inputs are not."""
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(8, 3, activation="relu", bias_initializer=keras.initializers.Constant(3.0), name="a")(
        inputs
    )
    x = keras.layers.Conv2D(80, 3, activation="relu", bias_initializer=keras.initializers.Constant(-0.5), name="b")(x)
    x = keras.layers.Conv2D(80, 1, activation="relu", name="c")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="out")(keras.layers.Flatten()(x)))


def test_a_wide_layer_of_busy_inputs_is_multiplied(tmp_path):
    model_snn, x = converted(busy, 2, 16)
    rates = model_snn.simulate(x, timesteps=64).firing_rates
    expected = {node.name: node.expected_rate for node in model_snn.network.graph.of_type(Population)}
    for name, rate in rates.items():
        assert abs(expected[name] - rate) < 0.05, name
    assert expected["a_relu"] > 0.5
    assert expected["b_relu"] < 0.3
    assert set(plan_events(model_snn.network, "event").synapses) == {"b", "c", "out"}
    assert set(plan_events(model_snn.network, "auto").synapses) == {"c", "out"}
    why = f"{expected['a_relu']:.0%} of its inputs are expected to be active: multiplying takes less"
    assert model_snn.engine_report()["b"].why == why
    assert_engines_agree(model_snn, x)
    model_snn.engine = "auto"
    model_snn.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    assert str(loaded.engine_report()) == str(model_snn.engine_report())


@pytest.mark.few(2)
@pytest.mark.parametrize("build", [shortcut, busy, zoo.cnn, zoo.residual], ids=lambda build: build.__name__)
def test_spikes_with_a_sign(build):
    model_snn, x = converted(build, 5, 4, signed_spikes=True)
    plan = plan_events(model_snn.network, "event")
    assert plan.synapses
    assert all(synapse.layer is not None for synapse in plan.synapses.values())
    assert not plan.packed
    result = model_snn.simulate(x, record=["spikes"])
    assert min(spikes.min() for spikes in result.spikes.values()) == -1
    assert_engines_agree(model_snn, x)


def test_why_nothing_runs_on_spikes(mlp, x_mlp):
    model_snn = convert(mlp, x_mlp)
    assert model_snn.engine_report()["logits"].runs == "event"
    model_snn.engine = "dense"
    assert model_snn.engine_report()["logits"].why == "engine is 'dense'"
    assert convert(mlp, x_mlp, schedule="layer_synchronous").engine_report()["logits"].why == (
        "schedule is 'layer_synchronous': each layer runs once, on all timesteps"
    )
    model_snn.engine = "event"
    with ops.use("reference"):
        assert model_snn.engine_report()["logits"].why == "there are no native kernels: chosen by `ops.use`"
    raw = convert(mlp, x_mlp, form="unnormalized").engine_report()["logits"]
    assert raw.why == "spikes have a height: the network is not normalised"
    volume = convert(zoo.build(zoo.volume_pooling), zoo.data_for(zoo.build(zoo.volume_pooling), 4))
    whys = {place.why for place in volume.engine_report()}
    assert "there is no kernel for this Conv3D" in whys


def rates_of_groups():
    inputs = keras.Input((9, 8, 6))
    x = keras.layers.Conv2D(12, 1, activation="relu", name="first")(inputs)
    x = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(x)
    x = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu", name="multiplied")(x)
    x = keras.layers.Conv2D(24, 3, groups=3, activation="relu", name="grouped")(x)
    x = keras.layers.AveragePooling2D(2, name="average")(x)
    x = keras.layers.Conv2D(5, 1, activation="relu", name="mixed")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="out")(keras.layers.Flatten()(x)))


def line():
    inputs = keras.Input((20, 3))
    x = keras.layers.Conv1D(8, 3, padding="same", activation="relu", name="first")(inputs)
    x = keras.layers.Conv1D(8, 3, padding="causal", dilation_rate=2, activation="relu", name="causal")(x)
    x = keras.layers.DepthwiseConv1D(3, strides=2, padding="same", activation="relu", name="depthwise")(x)
    x = keras.layers.ZeroPadding1D((2, 1))(x)
    x = keras.layers.Conv1D(6, 4, activation="relu", name="padded")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="out")(keras.layers.GlobalAveragePooling1D()(x)))


def transposed():
    inputs = keras.Input((5, 4, 3))
    x = keras.layers.Conv2D(6, 1, activation="relu", name="first")(inputs)
    x = keras.layers.Conv2DTranspose(7, 3, strides=2, padding="same", activation="relu", name="same")(x)
    x = keras.layers.Conv2DTranspose(4, (4, 2), strides=(2, 3), activation="relu", name="valid")(x)
    x = keras.layers.Conv2DTranspose(5, 1, strides=2, padding="same", activation="relu", name="holes")(x)
    x = keras.layers.Reshape((-1, 5), name="line")(x)
    x = keras.layers.Conv1DTranspose(3, 3, padding="same", activation="relu", name="of_a_line")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="out")(keras.layers.Flatten()(x)))


def dense_block():
    """Populations whose spikes are joined along channels, as in a DenseNet, and one whose channels are no whole bytes."""
    inputs = keras.Input((6, 6, 3))
    first = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(inputs)
    x = keras.layers.Conv2D(16, 3, padding="same", activation="relu", name="second")(first)
    joined = keras.layers.Concatenate(name="joined")([first, x])
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="third")(joined)
    joined = keras.layers.Concatenate(name="again")([joined, x])
    x = keras.layers.Conv2D(6, 3, activation="relu", name="fourth")(joined)
    y = keras.layers.Conv2D(6, 3, activation="relu", name="fifth")(joined)
    x = keras.layers.Concatenate(name="of_six")([x, y])
    x = keras.layers.Conv2D(6, 3, activation="relu", name="sixth")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="out")(keras.layers.Flatten()(x)))


def test_whole_bytes_are_joined():
    model_snn, x = converted(dense_block, 4, 3)
    plan = plan_events(model_snn.network, "event")
    assert {"joined", "again"} <= plan.packed
    assert "of_six" not in plan.packed
    assert plan.synapses["fourth"].source == "again"
    report = model_snn.engine_report()
    assert report["joined"].why == "joins spikes of several populations, byte by byte"
    assert report["of_six"].why == "moves spikes of several populations, as numbers"
    assert_engines_agree(model_snn, x)


@pytest.mark.few(2)
@pytest.mark.parametrize("build", [rates_of_groups, line, transposed], ids=lambda build: build.__name__)
def test_layers_of_all_kinds_run_on_spikes(build):
    keras.utils.set_random_seed(3)
    model = build()
    x = np.random.default_rng(3).random((4, *model.input_shape[1:])).astype(np.float32)
    model_snn = convert(model, x)
    kinds = {layer.name for layer in model.layers if hasattr(layer, "kernel")}
    # One reads the input, the others averages, which are no spikes.
    kinds -= {"first", "mixed", "out"}
    assert kinds <= set(plan_events(model_snn.network, "event").synapses)
    assert_engines_agree(model_snn, x)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_population_that_finds_its_currents_is_one_that_is_given_them(rng, batch_size):
    timesteps, size = 5, (6, 5, 7)
    spikes = (rng.random((timesteps * batch_size, 6, 5, 4)) < 0.3).astype(np.float32)
    kernel = tf.constant(np.round(rng.normal(size=(3, 3, 4, 7)) * 16) / 64, tf.float32)
    bias = tf.constant(np.round(rng.normal(size=7) * 16) / 64, tf.float32)
    window = ops.ConvolutionWindow(padding="same")
    passed = (rng.random((timesteps, batch_size, *size)) < 0.2).astype(np.float32)
    moved = rng.permutation(6 * 5 * 7).astype(np.int32)
    moved[::5] = -1
    gain = tf.constant(2.0 ** rng.integers(-3, 1, 7), tf.float32)
    shared = tf.constant(np.round(rng.normal(size=(timesteps, 1, *size)) * 8) / 64, tf.float32)
    v = tf.fill([batch_size, *size], 0.5)
    flat = tf.reshape(ops.pack_bits(passed), [timesteps * batch_size, -1])
    packed = tf.reshape(ops.pack_bits(spikes[np.newaxis]), [timesteps * batch_size, -1])
    synapse = ops.SpikeSynapse((6, 5, 4), kernel, bias, window)
    currents = [
        ops.Current(tf.constant(spikes), None, synapse),
        ops.Current(packed, gain, synapse),
        ops.Current(flat, gain, ops.SpikeSynapse((1, 1, 6 * 5 * 7), moved=moved)),
        ops.Current(shared),
    ]
    found = {}
    for name in ("native", "reference"):
        with ops.use(name):
            for form in ("float", "bits", "counts"):
                found[name, form] = ops.integrate_fire(
                    currents, v, tf.constant(1.0), timesteps=timesteps, spike_form=form, counts=v * 0, return_trace=True
                )
    for form in ("float", "bits", "counts"):
        for ours, theirs in zip(found["native", form], found["reference", form], strict=True):
            np.testing.assert_array_equal(ours, theirs)
    picked = np.where(moved < 0, 0.0, passed.reshape(timesteps, batch_size, -1)[..., moved])
    convolved = tf.reshape(tf.nn.conv2d(spikes, kernel, 1, "SAME") + bias, [timesteps, batch_size, *size])
    total = convolved + convolved * gain + picked.reshape(passed.shape) * gain + shared
    expected = ops.integrate_fire(total, v, tf.constant(1.0), timesteps=timesteps)
    np.testing.assert_array_equal(found["native", "float"].spikes, expected.spikes)
    unpacked = ops.unpack_bits(found["native", "bits"].spikes)[..., : 6 * 5 * 7]
    np.testing.assert_array_equal(tf.reshape(unpacked, expected.spikes.shape), expected.spikes)


def test_a_synapse_that_does_not_fit_is_refused():
    spikes, kernel = tf.zeros([4, 3, 3, 2]), tf.zeros([1, 1, 2, 5])
    current = ops.Current(spikes, None, ops.SpikeSynapse((3, 3, 2), kernel))
    with pytest.raises(ValueError, match=r"a current of 7 neurons, \(2, 7\). Received: one that gives \(3, 3, 5\)"):
        ops.integrate_fire([current], tf.zeros([2, 7]), tf.constant(1.0), timesteps=2)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"that give currents \[3 \* 2, ...\] of 45 neurons"):
        ops.integrate_fire([current], tf.zeros([2, 45]), tf.constant(1.0), timesteps=3)
    with pytest.raises(ValueError, match=r"or their bits and `input_shape=\(rows, columns, inputs\)`"):
        ops.spike_convolution(tf.zeros([4, 3], tf.uint8), kernel)
    wrong = ops.SpikeSynapse((3, 3, 2), kernel, moved=np.full(18, 18, np.int32))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"places among 18 spikes, or -1. .*with places elsewhere"):
        ops.spike_convolution_of(spikes, wrong)
    empty = ops.SpikeSynapse((3, 3, 2), tf.zeros([1, 1, 2, 0]))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"shapes \[4,3,3,2\], \[1,1,2,0\]"):
        ops.spike_convolution_of(spikes, empty)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"a window that is not empty. Received: geometry 3, 1, 1, 0, 4"
    ):
        ops.spike_convolution_of(spikes, ops.SpikeSynapse((3, 3, 2), tf.zeros([0, 1, 2, 1])))
    for wrong in ({"padding": "Same"}, {"padding": ((0, -1), (0, 0))}, {"strides": (0, 1)}, {"groups": 0}):
        with pytest.raises(
            ValueError, match=r"and `padding` 'valid', 'same' or numbers of zeros .*Received: Convolution"
        ):
            ops.ConvolutionWindow(**wrong)
    with pytest.raises(ValueError, match="of which only the batch may be unknown"):
        tf.function(ops.spike_convolution, autograph=False).get_concrete_function(
            tf.TensorSpec([1, None, 3, 2]), kernel
        )


def test_what_is_held_in_memory():
    """A population whose spikes are read as bits and as numbers takes the room of numbers."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(inputs)
    y = keras.layers.Conv2D(8, 3, activation="relu", name="second")(x)
    z = keras.layers.AveragePooling2D(3, name="of_nine")(x)
    outputs = [keras.layers.Dense(2)(keras.layers.Flatten()(value)) for value in (y, z)]
    network = convert(keras.Model(inputs, outputs), np.random.default_rng(6).random((4, 8, 8, 3), "float32")).network
    plan = plan_events(network, "event")
    held = {node.name: plan.bytes_held(node) for node in network.graph}
    assert held["first_relu"] == 4 * 8 * 8 * 8
    assert held["second_relu"] == 6 * 6 * 8 / 8
    assert held["second"] == 0
    network.graph["second_relu"].start = 2
    assert plan_events(network, "event").bytes_held(network.graph["second"]) == 4 * 6 * 6 * 8
