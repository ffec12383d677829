"""The studies that one command runs: what each varies, and what it needs."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.config import ConfigurationError, Settings
from snn_toolbox_tf.config.sections import affects
from snn_toolbox_tf.config.study_section import Study as StudySettings
from snn_toolbox_tf.conversion.neuron_options import ALL_POPULATIONS
from snn_toolbox_tf.experiment.conversion_stage import convert_prepared
from snn_toolbox_tf.experiment.options import conversion_options
from snn_toolbox_tf.experiment.preparation import Prepared
from snn_toolbox_tf.experiment.progress import Progress
from snn_toolbox_tf.foundation.journal import Journal
from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.model import SpikingModel, check_spiking_model
from snn_toolbox_tf.network.input_data import in_structure
from snn_toolbox_tf.neurons.description import depends_on_timestep, in_words
from snn_toolbox_tf.studies import bias_and_variance, energy_curve, robustness, time_resolution, weight_precision


@dataclasses.dataclass(frozen=True)
class Subject:
    """What a study looks at.

    Attributes:
        prepared: Model, data and settings, checked.
        journal: Keeps finished points.
        progress: Is told how it proceeds.
        notes: What the reader of the result should know.
    """

    prepared: Prepared
    journal: Journal
    progress: Progress
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def source(self) -> Any:
        """The source model."""
        return self.prepared.source

    @property
    def varied(self) -> StudySettings:
        """What the settings say is varied."""
        return self.prepared.settings.study

    @property
    def x(self) -> Any:
        """Test data in the structure of the source's inputs."""
        samples, graph = self.prepared.samples, self.prepared.network
        return in_structure(samples.x, graph) if samples is not None and isinstance(graph, Graph) else None

    @property
    def labels(self) -> np.ndarray:
        """Labels of the only output."""
        labels = {} if self.prepared.samples is None else self.prepared.samples.labels
        if len(labels) != 1:
            raise ConfigurationError(
                "This study needs labels of classes, y_test.npz beside x_test.npz, for a model with one output. "
                + (f"Received labels of: {list(labels)}" if labels else "There are none.")
            )
        return next(iter(labels.values()))

    def converted(self, **changes: Any) -> SpikingModel:
        """Returns the network for settings with some changes."""
        prepared = dataclasses.replace(self.prepared, settings=self.prepared.settings.replace(**changes))
        converted = convert_prepared(prepared, self.progress)
        self.notes.extend(converted.notes)
        return check_spiking_model(converted.model_snn)

    def given(self, **values: Any) -> dict[str, Any]:
        """Returns the arguments that settings give a value, for all others are the study's own defaults."""
        return {name: value for name, value in values.items() if value not in (None, ())}


def _energy(subject: Subject) -> Any:
    output = subject.prepared.settings.output
    hardware = output.energy[0] if output.energy else "45nm"
    return energy_curve(
        lambda steps: subject.converted(timesteps=steps),
        subject.x,
        subject.labels,
        hardware=hardware,
        memory=output.energy_memory and hardware.startswith("45nm"),
        model=subject.source,
        journal=subject.journal,
        **subject.given(timesteps=subject.varied.study_timesteps),
    )


def _weight_precision(subject: Subject) -> Any:
    options = conversion_options(subject.prepared.settings)
    arguments: dict[str, Any] = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    del arguments["weight_bits"]
    arguments["timesteps"] = options.used_timesteps
    if subject.varied.study_bits:
        arguments["bits"] = (None, *subject.varied.study_bits)
    return weight_precision(
        subject.source,
        subject.x,
        subject.labels,
        subject.prepared.calibration_data,
        journal=subject.journal,
        **arguments,
    )


def _robustness(subject: Subject) -> Any:
    varied = subject.varied
    return robustness(
        subject.source,
        lambda steps: subject.converted(timesteps=steps),
        subject.x,
        subject.labels,
        norm=varied.study_norm,
        bounds=_bounds(subject),
        seed=subject.prepared.settings.simulation.seed,
        journal=subject.journal,
        timesteps=varied.study_timesteps or (conversion_options(subject.prepared.settings).used_timesteps,),
        **subject.given(epsilons=varied.study_epsilons),
    )


def _bounds(subject: Subject) -> tuple[float, float]:
    """Returns the smallest and largest valid value of the input, as they are given or as the data let expect."""
    varied, arrays = subject.varied, keras.tree.flatten(subject.x)
    low, high = min(float(array.min()) for array in arrays), max(float(array.max()) for array in arrays)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    smallest, largest = varied.study_smallest_input, varied.study_largest_input
    return low if smallest is None else smallest, high if largest is None else largest


def _bias_variance(subject: Subject) -> Any:
    model_snn = subject.converted(poisson_input=True)
    made_for = model_snn.conversion.calibrated_timesteps
    if made_for is not None:
        subject.notes.append(
            f"Thresholds and corrections of the network were made for {made_for} timesteps: with other numbers of "
            "timesteps, the bias has a part that is due to them. threshold_rule = maximum makes none that depend on it."
        )
    return bias_and_variance(
        subject.source,
        model_snn,
        subject.x,
        seeds=subject.varied.study_seeds,
        journal=subject.journal,
        **subject.given(timesteps=subject.varied.study_timesteps),
    )


def _time_resolution(subject: Subject) -> Any:
    options = conversion_options(subject.prepared.settings)
    neuron = options.neurons[ALL_POPULATIONS]
    if not depends_on_timestep(neuron):
        subject.notes.append(
            f"To {in_words(neuron)} the length of a timestep means nothing: what is left are uneven spikes. Ask with "
            "neurons that have a time constant, for example neuron = leaky_integrate_and_fire and tau_m = 20."
        )
    return time_resolution(
        subject.source,
        subject.prepared.calibration_data,
        subject.x,
        neuron,
        duration=options.used_timesteps * neuron.dt,
        percentile=100.0 if options.percentile is None else options.used_percentile,
        journal=subject.journal,
        **subject.given(dt=subject.varied.study_dt, timesteps=subject.varied.study_timesteps),
    )


def _any(settings: Settings) -> None:
    """All settings have a meaning."""


def _one_hardware(settings: Settings) -> None:
    if len(settings.output.energy) > 1:
        raise ConfigurationError(
            "An energy study is for one hardware. Expected one name in [output] energy. Received: "
            f"{', '.join(settings.output.energy)}"
        )


def _bits_of_the_study(settings: Settings) -> None:
    if settings.conversion.weight_bits is not None:
        raise ConfigurationError(
            "[study] study_bits says which bits are compared. Leave [conversion] weight_bits out. Received: "
            f"weight_bits = {settings.conversion.weight_bits}"
        )


def _percentile_alone(settings: Settings) -> None:
    """The study of timesteps makes its networks itself: thresholds from a percentile, and no corrections."""
    defaults = Settings().as_dict()
    ignored = [
        f"[{section}] {key} = {value}"
        for section in ("normalization", "gradient_calibration", "conversion", "input")
        for key, value in settings.items(section)
        if affects(key) in ("conversion", "calibration") and value != defaults[section][key]
        if key != "percentile" and (key, value) != ("threshold_rule", "percentile")
    ]
    if ignored:
        raise ConfigurationError(
            "A study of timesteps makes the same network for each of them, with thresholds from [normalization] percentile, "
            f"neurons of [cell], and nothing else. Leave out what it would not do: {', '.join(ignored)}"
        )


@dataclasses.dataclass(frozen=True)
class StudyKind:
    """A study that the command runs.

    Attributes:
        run: Returns its result.
        check: Raises a `ConfigurationError` for settings that it would not follow, before any work.
    """

    run: Callable[[Subject], Any]
    check: Callable[[Settings], None] = _any


#: The studies by their names on the command line.
STUDY_KINDS: dict[str, StudyKind] = {
    "energy": StudyKind(_energy, _one_hardware),
    "weight-precision": StudyKind(_weight_precision, _bits_of_the_study),
    "robustness": StudyKind(_robustness),
    "bias-variance": StudyKind(_bias_variance),
    "time-resolution": StudyKind(_time_resolution, _percentile_alone),
}
