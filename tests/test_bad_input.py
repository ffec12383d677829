"""Bad input: one clear error each, before long work."""

import importlib

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import snn_toolbox_tf as snn

NAN = np.full((4, 6), 0.5, np.float32)
NAN[2, 1] = np.nan
INFINITE = np.full((4, 6), np.inf)

BAD_DATA = {
    "nan": (NAN, ValueError, r"NaN or infinite values for input '.*', first in sample 2"),
    "infinite": (INFINITE, ValueError, r"NaN or infinite values"),
    "wrong shape": (np.zeros((4, 5)), ValueError, r"wrong shape.*Expected an array \[samples, 6\].*\(4, 5\)"),
    "no batch axis": (np.zeros(6), ValueError, r"wrong shape.*batch axis missing"),
    "time axis": (np.zeros((4, 3, 6)), ValueError, r"time axis needs `input='frames'`"),
    "empty": (np.zeros((0, 6)), ValueError, r"is empty: it has 0 samples"),
    "empty dataset": (tf.data.Dataset.from_tensor_slices(np.zeros((0, 6))).batch(2), ValueError, r"yielded no batch"),
    "unbatched dataset": (tf.data.Dataset.from_tensor_slices(np.zeros((3, 6))), ValueError, r"`\.batch\(n\)`"),
    "strings": (np.array([["a"] * 6]), TypeError, r"must hold real numbers.*<U1"),
    "objects": (np.array([[None] * 6]), TypeError, r"must hold real numbers.*object"),
    "complex": (np.zeros((2, 6), complex), TypeError, r"must hold real numbers.*complex"),
    "ragged": ([[0.0] * 6, [0.0] * 5], ValueError, r"is not a rectangular array"),
    "dict with unknown key": ({"y": np.zeros((2, 6))}, ValueError, r"Expected the keys \['.*'\]. Received: \['y'\]"),
}


@pytest.mark.parametrize("kind", BAD_DATA)
def test_bad_calibration_data(mlp, kind):
    data, error, message = BAD_DATA[kind]
    with pytest.raises(error, match=f"`calibration_data`.*{message}"):
        snn.convert_keras(mlp, data)


@pytest.mark.parametrize("kind", BAD_DATA)
def test_bad_simulation_data(mlp, x_mlp, kind):
    data, error, message = BAD_DATA[kind]
    with pytest.raises(error, match=f"`x`.*{message}"):
        snn.convert_keras(mlp, x_mlp, threshold_rule="percentile").simulate(data)


def test_no_data_at_all(mlp, x_mlp):
    with pytest.raises(ValueError, match=r"`x` is None; expected an array"):
        snn.convert_keras(mlp, x_mlp, threshold_rule="percentile").simulate(None)


def test_missing_channel_axis_is_recognised():
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3, activation="relu")])
    model.add(keras.layers.Conv2D(2, 3))
    with pytest.raises(ValueError, match=r"channel axis missing\? Use `x\[\.\.\., None\]`"):
        snn.convert_keras(model, np.zeros((4, 8, 8)))


def test_several_inputs_need_their_structure():
    model = zoo.build(zoo.multi_input)
    x = zoo.data_for(model, 4)
    with pytest.raises(ValueError, match=r"one array per input.*Received: ndarray"):
        snn.convert_keras(model, x["a"])
    with pytest.raises(ValueError, match=r"another number of samples in each input.*'a': 4.*'b': 3"):
        snn.convert_keras(model, {"a": x["a"], "b": x["b"][:3]})
    with pytest.raises(ValueError, match=r"Expected the keys \['a', 'b'\]. Received: \['a'\]"):
        snn.convert_keras(model, {"a": x["a"]})


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"percentile": 0}, r"`percentile` to be in \(0, 100\].*percentile=0"),
        ({"percentile": 100.1}, r"`percentile` to be in"),
        ({"percentile": float("nan")}, r"`percentile` to be in"),
        ({"percentile": "99.9"}, r"`percentile` to be in"),
        ({"per_channel": "no"}, r"`per_channel` to be True or False.*'no'"),
        ({"threshold_scale": 0}, r"`threshold_scale` to be a positive number.*threshold_scale=0"),
        ({"threshold_rule": "percentiles"}, r"Unknown `threshold_rule`.*Did you mean 'percentile'\?"),
        ({"timesteps": 2**31}, r"`timesteps` to be a positive integer of at most 2\*\*24.*timesteps=2147483648"),
        ({"v0": 7}, r"`v0` to be in \[-1, 1\]"),
        ({"reset": "substract"}, r"Unknown `reset`.*Did you mean 'subtract'\?"),
        ({"input": "analogue"}, r"Unknown `input`.*Did you mean 'analog'\?"),
        ({"form": "normalised"}, r"Unknown `form`.*Did you mean 'normalized'\?"),
        ({"timesteps": 0}, r"`timesteps` to be a positive integer.*timesteps=0"),
        ({"timesteps": 2.5}, r"`timesteps` to be a positive integer"),
        ({"block_length": True}, r"`block_length` to be a positive integer"),
    ],
)
def test_bad_conversion_arguments_come_before_any_work(mlp, monkeypatch, kwargs, message):
    def too_late(*args):
        raise RuntimeError("the model was read before the arguments were checked")

    monkeypatch.setattr("snn_toolbox_tf.conversion.convert.parse", too_late)
    with pytest.raises(ValueError, match=message):
        snn.convert_keras(mlp, np.zeros((4, 6)), **kwargs)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"timesteps": 0}, ValueError, r"`timesteps` to be a positive integer"),
        ({"batch_size": -1}, ValueError, r"`batch_size` to be a positive integer"),
        ({"block_length": 0}, ValueError, r"`block_length` to be a positive integer"),
        ({"outputs": "first"}, ValueError, r"Unknown `outputs`.*'all', 'last'"),
        ({"outputs": []}, ValueError, r"increasing positive numbers of timesteps"),
        ({"outputs": [4, 2]}, ValueError, r"increasing positive numbers of timesteps"),
        ({"outputs": [0, 2]}, ValueError, r"increasing positive numbers.*\[0, 2\]"),
        ({"outputs": [8], "timesteps": 4}, ValueError, r"asks for timestep 8, but only 4"),
        ({"record": ["spike"]}, ValueError, r"Unknown `record`.*Did you mean 'spikes'\?"),
        ({"record": {"spikes": ["hidden"]}}, ValueError, r"Unknown `record\['spikes'\]`.*Did you mean 'hidden_relu'\?"),
        ({"input": "poison"}, ValueError, r"Did you mean 'poisson'\?"),
        ({"schedule": "layers"}, ValueError, r"Unknown `schedule`"),
        (
            {"schedule": "layer_synchronous", "record": "membrane_potential"},
            ValueError,
            r"no membrane potential per timestep",
        ),
        ({"time_steps": 4}, TypeError, r"time_steps"),
    ],
)
def test_bad_simulation_arguments(mlp, x_mlp, kwargs, error, message):
    with pytest.raises(error, match=message):
        snn.convert_keras(mlp, x_mlp, threshold_rule="percentile").simulate(x_mlp, **kwargs)


def test_layer_synchronous_needs_soft_reset(mlp, x_mlp):
    with pytest.raises(ValueError, match=r"needs neurons that lose nothing, with reset='subtract'.*hidden_relu"):
        snn.convert_keras(mlp, x_mlp, reset="zero").simulate(x_mlp, schedule="layer_synchronous")


def test_closed_form_needs_the_normalised_form(mlp, x_mlp):
    from snn_toolbox_tf.analysis.closed_form import closed_form

    for kwargs in ({"form": "unnormalized"}, {"reset": "zero"}):
        model_snn = snn.convert_keras(mlp, x_mlp, **kwargs)
        with pytest.raises(ValueError, match="closed form holds for the normalised form"):
            closed_form(model_snn, x_mlp, 4)


def test_frames_that_are_too_few(mlp, x_mlp):
    model_snn = snn.convert_keras(mlp, x_mlp, threshold_rule="percentile")
    with pytest.raises(ValueError, match=r"has 3 frames per sample, fewer than the 5 timesteps"):
        model_snn.simulate(np.repeat(x_mlp[:, None], 3, axis=1), input="frames", timesteps=5)
    with pytest.raises(ValueError, match=r"\[samples, timesteps, 6\]"):
        model_snn.simulate(x_mlp, input="frames")


def test_changing_timesteps_is_checked(mlp, x_mlp):
    model_snn = snn.convert_keras(mlp, x_mlp, threshold_rule="percentile")
    with pytest.raises(ValueError, match="`timesteps` to be a positive integer"):
        model_snn.timesteps = -3


def test_a_graph_that_differs_from_its_source_is_an_error(mlp, x_mlp, monkeypatch):
    from snn_toolbox_tf.conversion import verification

    monkeypatch.setattr(verification, "TOLERANCE", -1.0)
    monkeypatch.setattr(verification, "LARGEST_TOLERANCE", -1.0)
    with pytest.raises(snn.ConversionError, match=r"graph of model 'mlp' differs from its source by"):
        snn.convert_keras(mlp, x_mlp)


def test_a_spiking_model_is_not_converted_again(mlp, x_mlp):
    with pytest.raises(ValueError, match=r"'mlp_snn' is a spiking network already"):
        snn.convert_keras(snn.convert_keras(mlp, x_mlp), x_mlp)


def test_a_percentile_given_as_a_fraction_is_questioned(mlp, x_mlp):
    with pytest.warns(UserWarning, match=r"percentile=0.999 is in percent.*Did you mean 99.9\?"):
        snn.convert_keras(mlp, x_mlp, percentile=0.999)


def test_calibration_data_that_drives_no_neuron_is_questioned():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu", name="hidden"), keras.layers.Dense(2)])
    with pytest.warns(UserWarning, match=r"drives no neuron of hidden_relu.*scaled") as warned:
        snn.convert_keras(model, np.zeros((5, 4)))
    # The user's line, not ours.
    assert {warning.filename for warning in warned if "calibration data" in str(warning.message)} == {__file__}


def test_calibration_data_of_zeros_is_questioned(mlp, x_mlp):
    mlp.layers[0].bias.assign(np.ones(10))
    with pytest.warns(UserWarning, match=r"calibration data for '.*' is all zeros"):
        snn.convert_keras(mlp, 0 * x_mlp)


def test_predict_checks_shapes_too(mlp, x_mlp):
    model_snn = snn.convert_keras(mlp, x_mlp, threshold_rule="percentile")
    with pytest.raises(ValueError, match=r"wrong shape.*Expected an array \[samples, 6\]. Received shape: \(40, 5\)"):
        model_snn.predict(x_mlp[:, :5], verbose=0)
    frames = snn.convert_keras(mlp, x_mlp, input="frames")
    with pytest.raises(ValueError, match=r"Expected an array \[samples, timesteps, 6\]"):
        frames.predict(x_mlp, verbose=0)


def test_only_keras_files_can_hold_a_network(mlp, x_mlp, tmp_path):
    with pytest.raises(ValueError, match=r"saved as a '.keras' file.*net.h5"):
        snn.convert_keras(mlp, x_mlp, threshold_rule="percentile").save(tmp_path / "net.h5")


def test_a_network_without_its_input(mlp, x_mlp):
    with pytest.raises(ValueError, match=r"No value was given for input '.*' of network 'mlp'"):
        snn.convert_keras(mlp, x_mlp, threshold_rule="percentile").network.run(
            {}, population=lambda node, current: current
        )


def test_another_keras_backend_is_refused(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(ImportError, match=r"Received Keras backend: 'jax'.*KERAS_BACKEND=tensorflow"):
        importlib.reload(snn)
