"""What every convertible model must do, as one assertion."""

import keras
import numpy as np

import snn_toolbox_tf as snn


def assert_converges(model, x, timesteps=512, tolerance=0.02, **conversion):
    """The passes keep the function, spikes are reproducible, and the output comes close to the source's."""
    model_snn = snn.convert_keras(model, x, percentile=100, **conversion)
    assert model_snn.conversion.pass_error < 1e-5
    assert model_snn.reproducibility_exceptions == []
    expected = keras.tree.flatten(model.predict(x, verbose=0))
    outputs = keras.tree.flatten(model_snn.simulate(x, timesteps=timesteps, outputs="last").outputs)
    for ours, theirs in zip(outputs, expected, strict=True):
        assert np.linalg.norm(ours[-1] - theirs) < tolerance * np.linalg.norm(theirs)
    return model_snn
