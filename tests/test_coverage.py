"""A walk over all of keras.layers: every public class has an explicit answer, and does what the answer says."""

import inspect

import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf.graph import Graph, InputNode, Readout
from snn_toolbox_tf.parse.layers import INACTIVE, SPECIAL
from snn_toolbox_tf.parse.place import Place
from snn_toolbox_tf.parse.refusals import REFUSALS
from snn_toolbox_tf.parse.supported_layers import supported_layers
from snn_toolbox_tf.passes.refuse import refuse_unsupported
from snn_toolbox_tf.synapses import FAMILIES, MAX_POOLING

L = keras.layers
IMAGE = np.random.default_rng(0).random((2, 12, 12, 3)).astype(np.float32)

#: What constructors need.
ARGUMENTS = {
    "Dropout": (0.5,), "SpatialDropout1D": (0.5,), "SpatialDropout2D": (0.5,), "SpatialDropout3D": (0.5,),
    "AlphaDropout": (0.5,), "GaussianDropout": (0.5,), "GaussianNoise": (0.5,), "RandomBrightness": (0.2,),
    "RandomContrast": (0.2,), "RandomRotation": (0.2,), "RandomTranslation": (0.1, 0.1), "RandomZoom": (0.1,),
    "RandomColorDegeneration": (0.5,), "RandomHue": (0.2,), "RandomSaturation": (0.2,), "RandomSharpness": (0.5,),
    "RandomShear": (0.2, 0.2), "RandomPosterization": (4,),
}  # fmt: skip


def test_every_layer_has_an_answer():
    answers = supported_layers()
    assert len(answers) > 100
    assert [answer.class_name for answer in answers if answer.becomes == "unknown"] == []
    for answer in answers:
        assert answer.how, answer
        assert bool(answer.remedy) == (answer.becomes == "refused"), answer


def test_nothing_is_answered_that_keras_does_not_have():
    """Names of newer Keras versions aside, which older ones lack."""
    own = {"Scale", "RoundToGrid", "Resample", "Select", "BiasWeights", "ConstantCurrent"}
    named = {
        *FAMILIES,
        *SPECIAL,
        *INACTIVE,
        *MAX_POOLING.class_names,
        *REFUSALS,
    }
    # Layers that other tests have registered have a package in front of their names.
    named = {name for name in named if ">" not in name}
    missing = {name for name in named - own if not hasattr(L, name)}
    if tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 15):
        assert missing == set()
    assert all(inspect.isclass(getattr(L, name)) for name in named - own - missing)


def existing(names):
    return sorted(name for name in names if hasattr(L, name))


@pytest.mark.parametrize("name", existing(INACTIVE))
def test_what_is_removed_does_nothing_at_inference(name):
    layer = getattr(L, name)(*ARGUMENTS.get(name, ()))
    x = {"SpatialDropout1D": IMAGE[:, 0], "SpatialDropout3D": IMAGE[..., None]}.get(name, IMAGE)
    arguments = {"training": False} if "training" in inspect.signature(layer.call).parameters else {}
    np.testing.assert_array_equal(np.asarray(layer(x, **arguments)), x)


REFUSED = {
    "LSTM": (lambda x: L.LSTM(3)(L.Reshape((36, 3))(x)), "it is recurrent"),
    "ConvLSTM1D": (lambda x: L.ConvLSTM1D(2, 3)(L.Reshape((6, 6, 3))(x)), "it is recurrent"),
    "Multiply": (lambda x: L.Multiply()([x, x]), "multiplies or compares two tensors"),
    "MultiHeadAttention": (lambda x: L.MultiHeadAttention(1, 2)(x, x), "multiplies or compares two tensors"),
    "LayerNormalization": (lambda x: L.LayerNormalization()(x), "normalises each sample by its own statistics"),
    "EinsumDense": (lambda x: L.EinsumDense("abcd,ce->aed", (4, 3))(x), "sums up axes without weights"),
    "Resizing": (lambda x: L.Resizing(3, 9, pad_to_aspect_ratio=True)(x), "no part of an interpolation"),
    "CenterCrop": (lambda x: L.CenterCrop(9, 9)(x), "its input is smaller than its output"),
    "RandomCrop": (lambda x: L.RandomCrop(3, 3)(x), "drawn at random"),
    "Rescaling": (lambda x: L.Rescaling(np.ones((2, 6, 6, 3)).tolist())(x), "change the shape of the tensor"),
    "Masking": (lambda x: L.Masking()(L.Reshape((36, 3))(x)), "would skip the steps"),
    "SpectralNormalization": (lambda x: L.SpectralNormalization(L.Dense(2))(x), "changes the weights of the layer"),
    "Lambda": (lambda x: L.Lambda(lambda value: value * 2)(x), "cannot be read from the layer"),
    "Discretization": (lambda x: L.Discretization([0.0, 1.0])(x), "looks up symbols or categories"),
    "AutoContrast": (lambda x: L.AutoContrast()(x), "features of a signal or an image"),
    "AdaptiveMaxPooling2D": (lambda x: L.AdaptiveMaxPooling2D(4)(x), "differ in size from place to place"),
}


@pytest.mark.parametrize("name", existing(REFUSED))
def test_a_refusal_says_why(name):
    make, reason = REFUSED[name]
    inputs = keras.Input((6, 6, 3))
    x = make(L.ReLU()(L.Conv2D(3, 1)(inputs)))
    model = keras.Model(inputs, x)
    rows = [row for row in snn.check(model).rows if row.becomes == "refused"]
    assert [row.class_name for row in rows] == [name]
    assert reason in rows[0].reason
    assert rows[0].remedy == REFUSALS[name].remedy
    with pytest.raises(snn.UnsupportedModelError, match=f"{reason}.*remedy"):
        snn.convert_keras(model)


@pytest.mark.parametrize("name", existing(REFUSALS))
def test_every_refusal_is_told_with_its_remedy(name):
    """Whatever the layer: some of them do not run on every machine."""
    graph = Graph("model", [InputNode("x", [], (4,))], [Readout("odd", "odd")], "x", "odd")
    refusal = REFUSALS[name]
    Place(graph, "odd", ["x"], (4,)).refuse(name, refusal)
    with pytest.raises(snn.UnsupportedModelError) as caught:
        refuse_unsupported(graph)
    assert f"'odd' ({name}): {refusal.reason}; remedy: {refusal.remedy}." in str(caught.value)


def test_a_model_of_another_framework_is_refused(tmp_path):
    source = keras.Sequential([keras.Input((4,)), L.Dense(3, "relu")])
    source.export(tmp_path / "saved", verbose=False)
    inputs = keras.Input((4,))
    foreign = L.TFSMLayer(str(tmp_path / "saved"), call_endpoint="serve")(L.Dense(4, "relu")(inputs))
    with pytest.raises(
        snn.UnsupportedModelError, match=r"\(TFSMLayer\): it runs a model of another framework.*rebuild"
    ):
        snn.convert_keras(keras.Model(inputs, L.Dense(2)(foreign)))
