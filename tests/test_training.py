"""Surrogate gradients, and fine-tuning on the grid."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo
from conftest import IMPLEMENTATIONS, needs_native
from sklearn.datasets import load_digits

import snn_toolbox_tf as snn
from snn_toolbox_tf import ops
from snn_toolbox_tf.graph import Synapse
from snn_toolbox_tf.layers import RoundToGrid


@pytest.mark.parametrize(
    ("name", "area"), [(name, 2.0 if name == "fast_sigmoid" else 1.0) for name in ops.SURROGATE_GRADIENTS]
)
def test_surrogates_are_bumps_at_the_threshold_of_known_area(name, area):
    x = np.linspace(-2000, 2000, 4_000_001)
    y = ops.SURROGATE_GRADIENTS[name](tf.constant(x)).numpy()
    assert y[np.argmin(np.abs(x))] == y.max() == 1.0
    np.testing.assert_allclose(y, y[::-1])
    assert np.sum(y) * (x[1] - x[0]) == pytest.approx(area, rel=2e-3)


def backpropagated(current, v, theta, reset, g_spikes, g_v):
    """Backpropagation through time by hand, one neuron, with the triangle."""
    u, s = [], []
    for value in current:
        v = v + value
        u.append(v)
        s.append(float(v >= theta))
        v = v - theta * s[-1] if reset == "subtract" else v * (1 - s[-1])
    g = []
    for t in reversed(range(len(current))):
        through_reset = 1.0 if reset == "subtract" else 1.0 - s[t]
        g_v = g_spikes[t] * max(1 - abs(u[t] - theta) / theta, 0) / theta + g_v * through_reset
        g.insert(0, g_v)
    return g, g_v


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_the_gradient_equals_backpropagation_by_hand(implementation, reset):
    current, theta, g_spikes, g_v = [0.5, 1.25, -0.25, 0.75], 1.5, [1.0, -2.0, 0.5, 3.0], 0.25
    neuron = snn.neurons.IntegrateAndFire(reset=reset)
    with ops.use(implementation), tf.GradientTape() as tape:
        inputs = tf.reshape(tf.constant(current), [4, 1, 1]), tf.constant([[0.5]])
        tape.watch(inputs)
        block = ops.integrate_fire(
            *inputs, tf.constant(theta), timesteps=4, neuron=neuron, surrogate_gradient="triangle"
        )
        loss = tf.reduce_sum(block.spikes[:, 0, 0] * g_spikes) + tf.reduce_sum(block.membrane_potential) * g_v
    actual = tape.gradient(loss, inputs)
    expected = backpropagated(current, 0.5, theta, reset, g_spikes, g_v)
    np.testing.assert_allclose(actual[0].numpy().ravel(), expected[0], rtol=1e-6)
    np.testing.assert_allclose(actual[1].numpy().ravel(), expected[1], rtol=1e-6)


def test_a_constant_current_gets_the_sum_of_the_gradients_of_all_timesteps(rng):
    current, v = tf.constant(rng.random((2, 5)), tf.float32), tf.zeros([2, 5])
    gradients = []
    for given in (current, tf.repeat(current[tf.newaxis], 6, axis=0)):
        with tf.GradientTape() as tape:
            tape.watch(given)
            block = ops.integrate_fire(given, v, tf.ones([]), timesteps=6, surrogate_gradient="sigmoid")
        gradients.append(tape.gradient(block.spikes, given).numpy())
    np.testing.assert_allclose(gradients[0], gradients[1].sum(axis=0), rtol=1e-5)


@needs_native
@pytest.mark.parametrize("form", ["integrate", "pool"])
def test_the_native_op_alone_has_no_gradient_and_says_what_has(form):
    @tf.function(autograph=False)
    def gradient(x):
        with ops.use("native"), tf.GradientTape() as tape:
            tape.watch(x)
            if form == "integrate":
                y = ops.integrate_fire(x, tf.zeros([1, 2]), tf.ones([]), timesteps=2).spikes
            else:
                shape = [2, 1, 1, 2, 1]
                y, _ = ops.accumulate_max_pool(
                    tf.reshape(x, shape), tf.zeros(shape[1:], tf.float64), ops.Window((1, 2), (1, 2))
                )
        return tape.gradient(y, x)

    message = "To train a SpikingModel use its `fit`" if form == "integrate" else "`differentiable=True`"
    with pytest.raises(LookupError, match=message):
        gradient(tf.ones([2, 1, 2]))


def test_rounding_passes_gradients_straight_through():
    x = tf.constant([0.3, 1.7], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = RoundToGrid(bits=1)(x)
    assert y.numpy().tolist() == [0.5, 1.5]
    assert tape.gradient(y, x).numpy().tolist() == [1.0, 1.0]


def test_integrate_and_fire_trains_alone_in_a_keras_model(rng):
    x = rng.random((200, 12, 5), dtype=np.float32)
    y = (x.sum(axis=1) @ [1, -1, 1, -1, 0] > 0).astype(int)
    model = keras.Sequential(
        [
            keras.Input((12, 5)),
            keras.layers.TimeDistributed(keras.layers.Dense(20)),
            keras.layers.RNN(snn.SpikingNeurons(threshold=1.0), return_sequences=True),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(2),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = model.layers[0].get_weights()[0]
    history = model.fit(x, y, epochs=15, verbose=0).history["loss"]
    assert history[-1] < 0.75 * history[0]
    assert not np.array_equal(before, model.layers[0].get_weights()[0])


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    x = (data.images / 16).astype("float32")[..., np.newaxis]
    return x[:1200], data.target[:1200], x[1200:], data.target[1200:]


@pytest.fixture(scope="module")
def trained(digits):
    """A small CNN, briefly trained."""
    x, y, _, _ = digits
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=8, verbose=0)
    return model


@pytest.fixture
def converted(trained, digits):
    """That CNN, converted for 8 timesteps with thresholds that cost accuracy."""
    model_snn = snn.convert_keras(trained, digits[0], timesteps=8, threshold_scale=1 / 0.3)
    model_snn.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model_snn


def on_grid(model_snn):
    """Whether every weight with a grid lies on it."""
    network = model_snn.network
    checked = []
    for node in network.graph:
        for name, bits in getattr(getattr(node, "layer", None), "fractional_bits", {}).items():
            values = getattr(network.layers[node.name], name).numpy().astype(np.float64) * np.exp2(
                np.asarray(bits, np.float64)
            )
            checked.append(np.array_equal(values, np.round(values)))
    return bool(checked) and all(checked)


@pytest.mark.long
def test_fit_gains_accuracy_at_8_timesteps_and_spikes_stay_reproducible(converted, digits, tmp_path):
    x, y, x_test, y_test = digits
    assert on_grid(converted)
    before = converted.evaluate(x_test, y_test, verbose=0)[1]
    history = converted.fit(x, y, epochs=6, verbose=0, validation_data=(x_test, y_test)).history
    after = converted.evaluate(x_test, y_test, verbose=0)[1]
    assert after > before + 0.05
    # What was validated during training is what the network does afterwards, but for the last step of the grid.
    assert after == pytest.approx(history["val_accuracy"][-1], abs=0.01)
    assert on_grid(converted)
    runs = [
        converted.simulate(x_test[:60], batch_size=size, block_length=length, record="spikes")
        for size, length in ((1, 1), (7, 4), (60, 8))
    ]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.outputs, runs[0].outputs)
        for name, spikes in runs[0].spikes.items():
            assert (run.spikes[name] != spikes).sum() == 0
    # And it is the same network after saving, in evaluation, and for the reference.
    converted.save(tmp_path / "tuned.keras")
    loaded = keras.saving.load_model(tmp_path / "tuned.keras")
    np.testing.assert_array_equal(loaded.predict(x_test, verbose=0), converted.predict(x_test, verbose=0))
    with ops.use("reference"):
        np.testing.assert_array_equal(loaded.run(x_test[:64]), converted.predict(x_test[:64], verbose=0))


def test_the_training_pass_computes_what_inference_computes(converted, digits):
    x = digits[2][:50]
    np.testing.assert_array_equal(converted(x, training=True), converted.predict(x, verbose=0))


@pytest.mark.parametrize("build", [zoo.cnn, zoo.channels_first], ids=lambda build: build.__name__)
def test_every_weight_gets_a_gradient(build):
    model = zoo.build(build)
    x = zoo.data_for(model, 16)
    model_snn = snn.convert_keras(model, x, timesteps=6, threshold_rule="percentile")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.math.log(model_snn(x, training=True)[:, 0]))
    weights = model_snn.trainable_variables
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    assert weights
    for weight, gradient in zip(weights, gradients, strict=True):
        assert gradient is not None, weight.path
        assert np.isfinite(tf.convert_to_tensor(gradient)).all()
        assert np.any(tf.convert_to_tensor(gradient)), weight.path


@pytest.mark.few(1)
@pytest.mark.parametrize("build", [zoo.resampled, zoo.residual], ids=lambda build: build.__name__)
def test_training_goes_the_same_way_after_loading(build, tmp_path):
    """Grids are computed anew from what the file holds: those of layers without weights of their own as well."""
    model = zoo.build(build)
    x = zoo.data_for(model, 32)
    y = np.random.default_rng(3).normal(size=(32, model.output_shape[-1])).astype(np.float32)
    model.compile(keras.optimizers.SGD(0.01), "mse")
    model_snn = snn.convert_keras(model, x, timesteps=5, threshold_rule="percentile")
    model_snn.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    before = model_snn.simulate(x[:6], record="spikes")
    for network in (model_snn, loaded):
        network.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    after, again = (network.simulate(x[:6], record="spikes") for network in (model_snn, loaded))
    assert any((before.spikes[name] != after.spikes[name]).any() for name in before.spikes)
    for node in model_snn.network.graph.of_type(Synapse):
        layer, other = node.layer, loaded.network.graph[node.name].layer
        assert layer.config.get("bits") == other.config.get("bits"), node.name
        assert layer.fractional_bits.keys() == other.fractional_bits.keys(), node.name
        for name, bits in layer.fractional_bits.items():
            np.testing.assert_array_equal(other.fractional_bits[name], bits, err_msg=f"{node.name}, {name}")
    for name, spikes in after.spikes.items():
        np.testing.assert_array_equal(again.spikes[name], spikes, err_msg=name)
    np.testing.assert_array_equal(again.outputs, after.outputs)


@pytest.mark.long
def test_an_interrupted_fit_leaves_the_weights_on_the_grid(converted, digits):
    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        converted.fit(digits[0], digits[1], verbose=0, callbacks=[Interrupt()])
    assert on_grid(converted)
    assert converted.predict(digits[2][:8], verbose=0).shape == (8, 10)


@pytest.mark.long
def test_training_that_diverges_is_an_error_and_puts_the_weights_back(mlp, x_mlp):
    model_snn = snn.convert_keras(mlp, x_mlp, timesteps=4)
    before = model_snn.predict(x_mlp, verbose=0)
    model_snn.compile("adam", "mse")
    message = r"the weights of 'hidden', the weights of 'logits'. The weights from before it were put back"
    with pytest.raises(FloatingPointError, match=message):
        model_snn.fit(x_mlp, np.full((40, 3), np.nan), verbose=0)
    np.testing.assert_array_equal(model_snn.predict(x_mlp, verbose=0), before)
    infinite = (np.full((40, 6), np.inf, np.float32), np.zeros((40, 3)))
    with pytest.raises(FloatingPointError, match=r"input 'keras_tensor.*'. The weights"):
        model_snn.fit(tf.data.Dataset.from_tensors(infinite), verbose=0)
    # Nothing of it is left, neither in the optimizer nor in the bounds of the inputs.
    losses = model_snn.fit(x_mlp, np.zeros((40, 3)), epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert on_grid(model_snn)


@pytest.mark.long
def test_what_callbacks_see_is_on_the_grid(converted, digits, tmp_path):
    x, y, x_test, _ = digits
    seen = {}

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen["masters"] = on_grid(self.model)
            self.model.save(tmp_path / "checkpoint.keras")
            seen["outputs"] = self.model.simulate(x_test[:50], outputs="last").outputs[-1]
            seen["predicted"] = self.model.predict(x_test[:50], verbose=0)
            with pytest.raises(RuntimeError, match=r"is being trained at 8 timesteps. Set `timesteps` before or after"):
                self.model.timesteps = 4
            with pytest.raises(RuntimeError, match=r"is being fine-tuned already"):
                self.model.fit(x, y)

    converted.fit(x[:200], y[:200], epochs=1, verbose=0, callbacks=[Look()])
    loaded = keras.saving.load_model(tmp_path / "checkpoint.keras")
    assert not seen["masters"]
    assert on_grid(loaded)
    # Weights have grown past the bounds that the grid was made for, so that sums depend on their order until `fit` ends.
    np.testing.assert_allclose(seen["outputs"], seen["predicted"], rtol=1e-4)
    np.testing.assert_allclose(loaded.predict(x_test[:50], verbose=0), seen["predicted"], rtol=1e-4)


@pytest.mark.long
def test_weights_saved_while_training_are_put_on_the_grid_when_loaded(converted, digits, tmp_path):
    x, y, x_test, _ = digits
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "masters.weights.h5", save_weights_only=True)
    whole = keras.callbacks.ModelCheckpoint(tmp_path / "whole.keras")
    fresh = keras.models.clone_model(converted)
    fresh.set_weights(converted.get_weights())
    converted.fit(x[:200], y[:200], epochs=1, verbose=0, callbacks=[checkpoint, whole])
    fresh.load_weights(tmp_path / "masters.weights.h5")
    assert on_grid(fresh)
    np.testing.assert_array_equal(fresh.predict(x_test, verbose=0), converted.predict(x_test, verbose=0))
    # A checkpoint has the optimizer's state as well.
    loaded = keras.saving.load_model(tmp_path / "whole.keras")
    assert len(loaded.optimizer.variables) == len(converted.optimizer.variables)


@pytest.mark.long
def test_a_fit_that_trains_nothing_changes_nothing(converted, digits):
    x, y, x_test, _ = digits
    before = converted.predict(x_test, verbose=0)
    with pytest.raises(ValueError, match=r"(?i)data cardinality|sizes"):
        converted.fit(x, y[:100], verbose=0)
    np.testing.assert_array_equal(converted.predict(x_test, verbose=0), before)


def test_the_optimizer_is_the_sources_and_its_state_is_saved(mlp, x_mlp, tmp_path):
    mlp.compile(keras.optimizers.Adam(0.0123, global_clipnorm=1.0), "mse")
    model_snn = snn.convert_keras(mlp, x_mlp, timesteps=4, threshold_rule="percentile")
    assert isinstance(model_snn.optimizer, keras.optimizers.Adam)
    assert float(model_snn.optimizer.learning_rate) == pytest.approx(0.0123)
    # Clipping by the global norm needs gradients of one dtype; the first layer's weights are float64.
    model_snn.fit(x_mlp, np.zeros((40, 3)), epochs=2, verbose=0)
    model_snn.save(tmp_path / "tuned.keras")
    loaded = keras.saving.load_model(tmp_path / "tuned.keras")
    for ours, theirs in zip(loaded.optimizer.variables, model_snn.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_the_loss_that_fit_reports_is_that_of_its_batches(mlp, x_mlp):
    model_snn = snn.convert_keras(mlp, x_mlp, timesteps=4, threshold_rule="percentile")
    model_snn.compile(keras.optimizers.SGD(0.0), "mse", metrics=["mae"])
    y = np.ones((40, 3))
    history = model_snn.fit(x_mlp, y, batch_size=16, verbose=0).history
    assert history["loss"][0] == pytest.approx(model_snn.evaluate(x_mlp, y, verbose=0)[0], rel=1e-5)
    assert history["mae"][0] == pytest.approx(np.abs(model_snn.predict(x_mlp, verbose=0) - y).mean(), rel=1e-5)


def test_a_model_around_it_is_trained_inside_fine_tuning(mlp, x_mlp):
    model_snn = snn.convert_keras(mlp, x_mlp, timesteps=4, threshold_rule="percentile")
    inputs = keras.Input((6,))
    outer = keras.Model(inputs, keras.layers.Dense(1)(model_snn(inputs)))
    outer.compile("adam", "mse")
    with model_snn.fine_tuning("triangle"):
        outer.fit(x_mlp, np.ones((40, 1)), epochs=2, verbose=0)
        assert not on_grid(model_snn)
    assert on_grid(model_snn)


def test_a_training_step_of_ones_own_has_gradients(mlp, x_mlp):
    model_snn = snn.convert_keras(mlp, x_mlp, timesteps=4, threshold_rule="percentile")

    @tf.function
    def gradient_norm(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model_snn(x, training=True))
        gradients = tape.gradient(loss, [weight.value for weight in model_snn.trainable_variables])
        return tf.linalg.global_norm([tf.cast(gradient, tf.float32) for gradient in gradients])

    assert gradient_norm(tf.constant(x_mlp)) > 0


@pytest.mark.long
def test_the_unnormalized_form_is_trained_without_a_grid(mlp, x_mlp):
    model_snn = snn.convert_keras(mlp, x_mlp, form="unnormalized", timesteps=4, threshold_rule="percentile")
    model_snn.compile("adam", "mse")
    for name in ops.SURROGATE_GRADIENTS:
        losses = model_snn.fit(x_mlp, np.zeros((40, 3)), epochs=10, verbose=0, surrogate_gradient=name).history["loss"]
        assert losses[-1] < losses[0]


def test_frames_are_trained_through(mlp, x_mlp):
    frames = np.repeat(x_mlp[:, np.newaxis], 5, axis=1)
    model_snn = snn.convert_keras(mlp, x_mlp, input="frames")
    model_snn.compile("adam", "mse")
    losses = model_snn.fit(frames, np.zeros((40, 3)), epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    data = tf.data.Dataset.from_generator(
        lambda: [(frames[:8], np.zeros((8, 3)))],
        output_signature=(tf.TensorSpec((None, None, 6)), tf.TensorSpec((None, 3))),
    )
    with pytest.raises(ValueError, match=r"Training needs a fixed number of frames"):
        model_snn.fit(data, verbose=0)


def test_fit_needs_a_loss_and_single_batches_are_refused(mlp, x_mlp):
    model_snn = snn.convert_keras(mlp, x_mlp)
    with pytest.raises(ValueError, match=r"is not compiled with a loss"):
        model_snn.fit(x_mlp, np.zeros((40, 3)))
    model_snn.compile("adam", "mse")
    with pytest.raises(
        ValueError, match=r"Unknown `surrogate_gradient`. Expected one of .*surrogate_gradient='boxcar'"
    ):
        model_snn.fit(x_mlp, np.zeros((40, 3)), surrogate_gradient="boxcar")
    model_snn.compile("adam", metrics=["mse"])
    with pytest.raises(ValueError, match=r"is not compiled with a loss"):
        model_snn.fit(x_mlp, np.zeros((40, 3)))
    with pytest.raises(RuntimeError, match=r"is trained by `fit`, which returns"):
        model_snn.train_on_batch(x_mlp, np.zeros((40, 3)))
