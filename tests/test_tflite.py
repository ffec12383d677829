"""TFLite files: the stock interpreter gives what `predict` gives, up to float32 in the first layers."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import snn_toolbox_tf as snn

PLAIN = {"timesteps": 8, "threshold_rule": "percentile"}


def interpreted(path, inputs):
    """Runs a file in the interpreter that comes with TensorFlow."""
    with warnings.catch_warnings():
        # It moves to a package of its own, which reads the same files.
        warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated", UserWarning)
        interpreter = tf.lite.Interpreter(model_path=str(path))
    run = interpreter.get_signature_runner()
    names = list(run.get_input_details())
    (output,) = run.get_output_details()
    found = []
    for sample in zip(*inputs, strict=True):
        given = {name: value[np.newaxis] for name, value in zip(names, sample, strict=True)}
        found.append(run(**given)[output][0])
    return np.array(found)


@pytest.mark.few(1)
@pytest.mark.long
@pytest.mark.parametrize("make", [zoo.cnn, zoo.residual, zoo.channels_first], ids=lambda make: make.__name__)
def test_the_interpreter_gives_what_predict_does(make, tmp_path):
    model = zoo.build(make)
    x = zoo.data_for(model, 20)
    model_snn = snn.convert_keras(model, x, **PLAIN)
    actual = interpreted(snn.export_tflite(model_snn, tmp_path / "net.tflite"), [x])
    np.testing.assert_allclose(actual, model_snn.predict(x, verbose=0), atol=1e-3)


def test_frames(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
    x = np.random.default_rng(0).random((6, 8, 4), "float32")
    model_snn = snn.convert_keras(model, x, input="frames", **PLAIN)
    actual = interpreted(snn.export_tflite(model_snn, tmp_path / "net.tflite"), [x])
    np.testing.assert_allclose(actual, model_snn.predict(x, verbose=0), atol=1e-3)


def test_what_tflite_cannot_do(tmp_path):
    model = zoo.build(zoo.cnn)
    x = zoo.data_for(model, 8)
    target = tmp_path / "net.tflite"
    for options, message in (
        ({"input": "poisson"}, "draws its input at random; convert with input='analog'"),
        ({"schedule": "layer_synchronous"}, "sums in float64; convert with schedule='step'"),
        (
            {"max_pooling": "winner_take_all"},
            r"by winners .* has no operation there; convert with max_pooling='accumulated'",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            snn.export_tflite(snn.convert_keras(model, x, **PLAIN, **options), target)
    volume = zoo.build(zoo.volume)
    with pytest.raises(ValueError, match=r"volumes .* have more axes than its operations take"):
        snn.export_tflite(snn.convert_keras(volume, zoo.data_for(volume, 8), **PLAIN), target)
    model_snn = snn.convert_keras(model, x, **PLAIN)
    with pytest.raises(ValueError, match=r"ends in '.tflite'. Received: '.*net.lite'"):
        snn.export_tflite(model_snn, tmp_path / "net.lite")
    with pytest.raises(ValueError, match="batch_size"):
        snn.export_tflite(model_snn, target, batch_size=0)
    target.mkdir()
    with pytest.raises(IsADirectoryError, match=r"is a folder\. Expected a file name"):
        snn.export_tflite(model_snn, target)
    assert not list(target.iterdir())
