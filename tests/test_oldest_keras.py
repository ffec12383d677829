"""What Keras 3.6 does otherwise than later ones, imitated: `make try-wheel` runs the real one."""

import h5py
import keras
import numpy as np
import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf.synapses.build import variables_of


def test_weights_are_found_whose_class_is_not_the_public_one(monkeypatch, mlp, x_mlp):
    """There, `keras.Variable` is made from the class of a layer's weights."""
    expected = snn.convert_keras(mlp, x_mlp, threshold_rule="percentile").simulate(x_mlp, timesteps=4)
    monkeypatch.setattr(keras, "Variable", type("Variable", (keras.Variable,), {}))
    assert set(variables_of(mlp.layers[0])) == {"kernel", "bias"}
    result = snn.convert_keras(mlp, x_mlp, threshold_rule="percentile").simulate(x_mlp, timesteps=4)
    operations, before = ({**r.synaptic_operations, **r.multiply_accumulates} for r in (result, expected))
    assert set(operations) == {"hidden", "logits"}
    for name, counted in operations.items():
        assert counted.sum() > 0
        np.testing.assert_array_equal(counted, before[name])


class Store:
    """A file's weights as that Keras hands them out: without `in`."""

    def __init__(self, group):
        self._group = group

    def keys(self):
        return self._group.keys()

    def __getitem__(self, name):
        return self._group[name]

    def __setitem__(self, name, value):
        self._group[name] = value


def test_weights_are_read_from_a_store_that_only_has_keys(tmp_path, mlp, x_mlp):
    model_snn = snn.convert_keras(mlp, x_mlp, threshold_rule="percentile")
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        own, foreign = Store(file.create_group("own")), Store(file.create_group("foreign"))
        with pytest.raises(TypeError):
            assert "0" in own
        model_snn.save_own_variables(own)
        model_snn.load_own_variables(own)
        with pytest.raises(ValueError, match="not those of SpikingModel"):
            model_snn.load_own_variables(foreign)
