"""What every converted model must do, as one assertion: converge to its source, as fast as it must."""

import keras
import numpy as np
from quantization_bound import bounded

import snn_toolbox_tf as snn
from snn_toolbox_tf.analysis.closed_form import ClosedForm

#: For the closed form, which costs the same at any T.
LONG = 2**18
#: What conversion promises of its grid, in parts of the largest output.
GRID_TOLERANCE = 1e-2


def assert_converges(model, x, timesteps=512, **conversion):
    """The passes keep the function, spikes are reproducible, and the outputs are within the derived bound."""
    model_snn = snn.convert_keras(model, x, percentile=100, **conversion)
    assert model_snn.conversion.pass_error < 1e-5
    assert model_snn.reproducibility_exceptions == []
    outputs = model_snn.simulate(x, timesteps=timesteps, outputs="last").outputs
    assert_within_bounds(model, model_snn, x, keras.tree.map_structure(lambda array: array[-1], outputs), timesteps)
    return model_snn


def assert_within_bounds(model, model_snn, x, outputs, timesteps, network=""):
    """The run and the closed form are within the derived bound of what the network converges to, and that is the source.

    Args:
        model: The source.
        model_snn: The spiking network, whose thresholds do not clip these samples.
        x: Samples.
        outputs: What they gave after T timesteps.
        timesteps: T.
        network: What else a failure tells.
    """
    bound = bounded(model_snn, x)
    runs = {("the simulation", timesteps): outputs}
    closed_form = ClosedForm(model_snn)
    for duration in (timesteps, LONG):
        runs["the closed form", duration] = closed_form(x, duration)[1]
    for (what, duration), given in runs.items():
        flat = keras.tree.flatten(given)
        for index, (limit, most, actual) in enumerate(zip(bound.outputs, bound.at(duration), flat, strict=True)):
            error = np.abs(np.asarray(actual, np.float64) - limit).max()
            assert error <= most, (
                f"output {index} of {what} at T = {duration} is {error:.3g} from its limit; the bound is {most:.3g}"
                + described(model, model_snn, x, network)
            )
    sources = [np.asarray(source) for source in keras.tree.flatten(model(x, training=False))]
    for index, (limit, source) in enumerate(zip(bound.outputs, sources, strict=True)):
        error, largest = np.abs(limit - source).max(), np.abs(source).max()
        assert error <= GRID_TOLERANCE * largest, (
            f"output {index} converges to what is {error:.3g} from the source, whose largest is {largest:.3g}"
            + described(model, model_snn, x, network)
        )


def assert_close(model, model_snn, x, timesteps, tolerance):
    """The outputs are close to the source's: for what has no bound that falls with T."""
    expected = keras.tree.flatten(model.predict(x, verbose=0))
    outputs = keras.tree.flatten(model_snn.simulate(x, timesteps=timesteps, outputs="last").outputs)
    for index, (ours, theirs) in enumerate(zip(outputs, expected, strict=True)):
        error = np.linalg.norm(ours[-1] - theirs) / np.linalg.norm(theirs)
        assert error < tolerance, f"output {index} at T = {timesteps} has the relative error {error:.3g}" + described(
            model, model_snn, x
        )


def described(model, model_snn, x, network="", timesteps=512):
    """What a failure tells: the errors of all populations, those that add most, and the network."""
    return f"\nat T = {timesteps}:\n{snn.compare(model, model_snn, x, timesteps)}\n{network}"
