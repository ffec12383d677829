"""Settings as the arguments of what they set."""

from contextlib import AbstractContextManager
from typing import Any

from snn_toolbox_tf.config import ConfigurationError, Settings
from snn_toolbox_tf.config.calibration_sections import THRESHOLD_RULES
from snn_toolbox_tf.config.output_sections import PLOTS
from snn_toolbox_tf.conversion import ConversionOptions
from snn_toolbox_tf.distillation import GradientCalibration
from snn_toolbox_tf.distributed import Executor, open_executor
from snn_toolbox_tf.experiment.neuron_settings import neuron_arguments, settings_of_neurons
from snn_toolbox_tf.latency import LatencyModel
from snn_toolbox_tf.model import SpikingModel


def conversion_options(settings: Settings) -> ConversionOptions:
    """Returns the settings that a converted network depends on, and its number of timesteps.

    Raises:
        ConfigurationError: If they do not go together.
    """
    try:
        return ConversionOptions(
            timesteps=settings.timesteps,
            tolerance=settings.simulation.tolerance,
            corrections=settings.normalization.corrections or None,
            calibration=_calibration(settings),
            percentile=settings.normalization.percentile,
            per_channel=settings.normalization.per_channel,
            threshold_scale=settings.cell.v_thresh,
            population_starts=dict(settings.cell.population_starts) or None,
            schedule=settings.simulation.schedule,
            input=settings.input_mode,
            max_pooling=settings.conversion.maxpool_type,
            softmax=settings.conversion.softmax,
            bias=settings.conversion.bias,
            bias_rate=settings.conversion.bias_rate,
            weight_bits=settings.conversion.weight_bits,
            seed=settings.simulation.seed,
            task=settings.task,
            **{"threshold_rule": settings.normalization.threshold_rule, **neuron_arguments(settings)},
        )
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


#: Keys that have another name than the argument of `GradientCalibration` that they are for.
_LEARNING = {"learning_samples": "samples", "learning_batch_size": "batch_size"}


def _calibration(settings: Settings) -> str | GradientCalibration:
    if settings.normalization.calibration != "gradient":
        return settings.normalization.calibration
    given = {key: value for key, value in settings.items("gradient_calibration") if value is not None}
    # Without any, errors show what was written.
    return (
        GradientCalibration(**{_LEARNING.get(key, key): value for key, value in given.items()}) if given else "gradient"
    )


def with_timesteps_of(settings: Settings, model_snn: SpikingModel) -> Settings:
    """Returns settings with the number of timesteps of a network, where that was to be found."""
    if isinstance(settings.timesteps, int):
        return settings
    return settings.replace(timesteps=model_snn.timesteps, tolerance=None)


def set_up(model_snn: SpikingModel | LatencyModel, settings: Settings) -> None:
    """Gives a network engine and number of timesteps of the settings; what was found for it stays.

    In latency code, timesteps are those of the conversion, and there is one engine.
    """
    if isinstance(model_snn, LatencyModel):
        return
    if isinstance(settings.timesteps, int):
        model_snn.timesteps = settings.timesteps
    if model_snn.engine != settings.simulation.engine:
        model_snn.engine = settings.simulation.engine


def settings_of_conversion(settings: Settings, model_snn: SpikingModel) -> Settings:
    """Returns settings as a network was really converted, which may have been another time."""
    made = model_snn.conversion
    known: dict[str, Any] = {
        "calibration": made.calibration,
        "population_starts": made.population_starts,
        "reset": made.reset,
        "signed_spikes": made.signed_spikes,
        "schedule": made.schedule,
        "maxpool_type": made.max_pooling,
        "softmax": made.softmax,
        "bias": made.bias,
        "bias_rate": made.bias_rate,
        "weight_bits": made.weight_bits,
    }
    if not made.automatic:
        known |= {
            "threshold_rule": made.threshold_rule if made.threshold_rule in THRESHOLD_RULES else None,
            "corrections": made.corrections,
            "percentile": made.percentile,
            "per_channel": made.per_channel,
            "v_thresh": made.threshold_scale,
            "v0": made.v0,
        }
    known = {key: value for key, value in known.items() if value is not None}
    return settings.replace(**known | settings_of_neurons(model_snn.network.graph))


def simulation_arguments(settings: Settings) -> dict[str, Any]:
    """Returns the settings of a simulation, as arguments of `SpikingModel.simulate`."""
    return {
        "timesteps": settings.timesteps,
        "input": settings.input_mode,
        "seed": settings.simulation.seed,
        "schedule": settings.simulation.schedule,
        "block_length": settings.simulation.block_length,
    }


def open_executor_of(settings: Settings) -> AbstractContextManager[Executor]:
    """Opens what simulates, as the settings say; see `open_executor`."""
    tools = settings.tools
    return open_executor(tools.executor if tools.simulate else "local", tools.workers)


def wanted_figures(settings: Settings) -> list[str] | None:
    """Returns the report's plots, None for all."""
    wanted = settings.output.plot_vars
    return None if "all" in wanted else [figure for variable in wanted for figure in PLOTS[variable]]
