"""`Settings`: all settings of a run, typed, checked and frozen."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from snn_toolbox_tf.config import values
from snn_toolbox_tf.config.neuron_checks import check_neurons
from snn_toolbox_tf.config.section import ConfigurationError
from snn_toolbox_tf.config.sections import (
    ALIASES,
    AUTO,
    SECTION_OF,
    SECTIONS,
    Cell,
    Conversion,
    Export,
    GradientCalibration,
    Input,
    Normalization,
    Output,
    ParameterSweep,
    Paths,
    Simulation,
    Study,
    Tools,
    fields_of,
)
from snn_toolbox_tf.config.values import InvalidValue, Kind
from snn_toolbox_tf.foundation.argument_checks import MOST_TIMESTEPS, did_you_mean


@dataclasses.dataclass(frozen=True)
class Settings:
    """All settings of a run, see config_templates/default.ini for what they mean.

    Attributes:
        notes: What the reader of the settings should know: settings of snn_toolbox that have no effect here.

    Raises:
        ConfigurationError: If a value is not usable, alone or together with another.

    Example:
        >>> settings = Settings().replace(percentile=99.5, duration=64)
        >>> settings.timesteps, settings.normalization.percentile
        (64, 99.5)
    """

    paths: Paths = dataclasses.field(default_factory=Paths)
    input: Input = dataclasses.field(default_factory=Input)
    tools: Tools = dataclasses.field(default_factory=Tools)
    normalization: Normalization = dataclasses.field(default_factory=Normalization)
    gradient_calibration: GradientCalibration = dataclasses.field(default_factory=GradientCalibration)
    conversion: Conversion = dataclasses.field(default_factory=Conversion)
    simulation: Simulation = dataclasses.field(default_factory=Simulation)
    cell: Cell = dataclasses.field(default_factory=Cell)
    parameter_sweep: ParameterSweep = dataclasses.field(default_factory=ParameterSweep)
    output: Output = dataclasses.field(default_factory=Output)
    export: Export = dataclasses.field(default_factory=Export)
    study: Study = dataclasses.field(default_factory=Study)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.input.poisson_input and self.input.frame_input:
            raise ConfigurationError("[input] poisson_input and frame_input exclude each other. Received: both True.")
        if self.input.accumulate_events and self.input.frame_input:
            raise ConfigurationError(
                "[input] accumulate_events and frame_input exclude each other: the events of a sample are summed, or shown "
                "frame by frame. Received: both True."
            )
        self._check_duration()
        self._check_calibration()
        self._check_export()
        self._check_workers()
        check_neurons(self)
        if self.simulation.schedule == "layer_synchronous" and (
            self.output.neurons_to_plot or "mem_n_b_l_t" in self.output.log_vars
        ):
            raise ConfigurationError(
                "[simulation] schedule = layer_synchronous has no membrane potential per timestep: leave [output] "
                "neurons_to_plot empty and mem_n_b_l_t out of log_vars."
            )
        listed, count = self.simulation.sample_idxs_to_test, self.simulation.num_to_test
        if listed and count not in (None, len(listed)):
            raise ConfigurationError(
                f"[simulation] num_to_test = {count} contradicts the {len(listed)} samples of sample_idxs_to_test. "
                "Leave one of them empty."
            )

    def _check_duration(self) -> None:
        duration, dt, tolerance = self.simulation.duration, self.simulation.dt, self.simulation.tolerance
        if isinstance(duration, str):
            self._check_timesteps_can_be_found()
            return
        if tolerance is not None:
            raise ConfigurationError(
                f"[simulation] tolerance = {tolerance:g} says which number of timesteps suffices, where that is to be "
                f"found. Received: duration = {duration:g}. Set duration = {AUTO}, or leave tolerance out."
            )
        steps = duration / dt
        if steps > MOST_TIMESTEPS:
            raise ConfigurationError(
                f"[simulation] duration / dt is the number of timesteps. Expected at most 2**24 = {MOST_TIMESTEPS:,}, up to "
                f"which spike counts are exact. Received: duration={duration:g}, dt={dt:g}."
            )
        if round(steps) < 1 or abs(steps - round(steps)) > 1e-9 * steps:
            raise ConfigurationError(
                "[simulation] duration must be a whole number of timesteps dt, at least one. "
                f"Received: duration={duration:g}, dt={dt:g}."
            )

    def _check_timesteps_can_be_found(self) -> None:
        found = f"[simulation] duration = {AUTO} finds the number of timesteps"
        if not self.tools.convert:
            raise ConfigurationError(
                f"{found} while a network is converted. Received: [tools] convert = False. Give a duration, or set "
                "convert = True."
            )
        if not self.tools.normalize:
            raise ConfigurationError(
                f"{found} by comparing decisions on x_norm.npz. Received: [tools] normalize = False. Give a duration, or "
                "set normalize = True."
            )
        if self.input_mode == "frames":
            given = "frame_input = True" if self.input.frame_input else "dataset_format = aedat"
            raise ConfigurationError(
                f"{found} for constant or Poisson input. Received: [input] {given}. Give a duration: the number "
                "of frames per sample."
            )

    def _check_calibration(self) -> None:
        given = [f"{key} = {value}" for key, value in self.items("gradient_calibration") if value is not None]
        if self.normalization.calibration != "gradient" and given:
            raise ConfigurationError(
                f"[gradient_calibration] {', '.join(given)}: this says how a network learns by gradient. Received: "
                f"[normalization] calibration = {self.normalization.calibration}. Set calibration = gradient, or leave it "
                "out."
            )

    def _check_export(self) -> None:
        export = self.export
        for_serving = ("export_version", "exit_confidence", "closed_form", "warmup_samples")
        defaults = Export()
        given = [
            f"{key} = {getattr(export, key)}" for key in for_serving if getattr(export, key) != getattr(defaults, key)
        ]
        if export.export_format is None and export != defaults:
            changed = [f"{key} = {value}" for key, value in self.items("export") if value != getattr(defaults, key)]
            raise ConfigurationError(
                f"[export] {', '.join(changed)}: this says how a network is exported, and nothing says that it is. Set "
                "export_format (--format), or leave it out."
            )
        if export.export_format is not None and self.parameter_sweep.param_values:
            raise ConfigurationError(
                f"[export] export_format = {export.export_format}: one network is exported, and a parameter sweep makes "
                "several. Leave param_values empty, or export the network of one of its runs with `snn-toolbox-tf export`."
            )
        if given and export.export_format not in ("serving", None):
            raise ConfigurationError(
                f"[export] {', '.join(given)}: this says what a model server gets. Received: export_format = "
                f"{export.export_format}. Set export_format = serving, or leave it out."
            )
        if export.export_timesteps and export.export_format not in ("serving", "tflite", None):
            raise ConfigurationError(
                f"[export] export_timesteps: a {export.export_format} file has no number of timesteps of its own. Leave it "
                "empty."
            )
        if len(export.export_timesteps) > 1 and export.export_format == "tflite":
            raise ConfigurationError(
                "[export] export_timesteps: a tflite file runs one number of timesteps. "
                f"Received: {', '.join(map(str, export.export_timesteps))}."
            )

    def _check_workers(self) -> None:
        executor, workers = self.tools.executor, self.tools.workers
        if executor == "local" and workers is not None:
            raise ConfigurationError(
                f"[tools] workers = {workers}: only Ray has workers. Received: executor = local. Set executor = ray, or "
                "leave workers empty."
            )
        if executor == "ray" and self.output.log_vars:
            raise ConfigurationError(
                f"[output] log_vars = {', '.join(self.output.log_vars)}: recordings are kept by the process that simulates. "
                "Received: [tools] executor = ray. Set executor = local, or leave log_vars empty."
            )

    @property
    def timesteps(self) -> int | str:
        """T, the number of timesteps; "auto" where it is to be found."""
        duration = self.simulation.duration
        return duration if isinstance(duration, str) else round(duration / self.simulation.dt)

    @property
    def task(self) -> str | dict[str, str]:
        """What outputs stand for: one word for all of them, or one by name of an output."""
        task = self.simulation.task
        return task if isinstance(task, str) else dict(task)

    @property
    def input_mode(self) -> str:
        """How input is encoded: "analog", "poisson" or "frames"."""
        given = self.input
        if given.poisson_input:
            return "poisson"
        thin_frames = given.dataset_format == "aedat" and not given.accumulate_events
        return "frames" if given.frame_input or thin_frames else "analog"

    def replace(self, **changes: Any) -> "Settings":
        """Returns settings with other values of some keys.

        Args:
            **changes: Values by key (keys are unique over all sections), or by the name that a key has in Python.

        Raises:
            ConfigurationError: For an unknown key or an unusable value.
        """
        by_section: dict[str, dict[str, Any]] = {}
        for key, value in self._by_key(changes).items():
            by_section.setdefault(section_of(key), {})[key] = value
        problems, sections = [], {}
        for name, changed in by_section.items():
            try:
                sections[name] = dataclasses.replace(getattr(self, name), **changed)
            except ConfigurationError as error:
                problems.append(str(error))
        if problems:
            raise ConfigurationError("\n".join(problems))
        return dataclasses.replace(self, **sections)

    def _by_key(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Returns changes by key, where they may have names of Python."""
        found: dict[str, Any] = {}
        for name, value in changes.items():
            key = key_of(name)
            if key in found:
                raise ConfigurationError(f"[{section_of(key)}] {key} and {_alias(key)} are the same. Give one of them.")
            found[key] = value
        if "timesteps" in changes:
            dt = changes.get("dt", self.simulation.dt)
            timesteps = _value("timesteps", lambda kind: kind.check(changes["timesteps"]))
            # What is wrong with dt is said where it is checked.
            dt = dt if isinstance(dt, (int, float)) and dt > 0 else 1.0
            found["duration"] = timesteps if isinstance(timesteps, str) else timesteps * dt
        return found

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Returns all values by section and key."""
        return {name: dict(self.items(name)) for name in SECTIONS}

    def items(self, section: str) -> Iterator[tuple[str, Any]]:
        """Yields keys and values of a section."""
        for key in fields_of(section):
            yield key, getattr(getattr(self, section), key)


def section_of(key: str) -> str:
    """Returns the section of a key, or raises an error with the nearest known key."""
    if key_of(key) not in SECTION_OF:
        raise ConfigurationError(f"Unknown setting '{key}'.{did_you_mean(key, [*SECTION_OF, *ALIASES])}")
    return SECTION_OF[key_of(key)]


def key_of(name: str) -> str:
    """Returns the key that a name stands for: Python's names are understood as well."""
    return ALIASES.get(name, name)


def _alias(key: str) -> str:
    return next(alias for alias, known in ALIASES.items() if known == key)


def _kind_of(name: str) -> Kind:
    # The number of timesteps is the one name that is not just another word for its key.
    if name == "timesteps":
        return values.or_word(values.integer(1), AUTO)
    return fields_of(section_of(name))[key_of(name)].metadata["kind"]


def _value(name: str, convert: Callable[[Kind], Any]) -> Any:
    """Returns what `convert` makes of the kind of a setting; its errors name section and key."""
    kind = _kind_of(name)
    try:
        return convert(kind)
    except InvalidValue as error:
        raise ConfigurationError(f"[{section_of(name)}] {name}: {error}") from None


def read_value(key: str, text: str) -> Any:
    """Returns the value that a text stands for.

    Raises:
        ConfigurationError: If the key is unknown or the text is not what is expected; it names section and key.
    """
    return _value(key, lambda kind: kind.check(kind.read(text)))


def write_value(key: str, value: Any) -> str:
    """Returns the text of a value, which `read_value` understands."""
    return fields_of(section_of(key))[key].metadata["kind"].write(value)


def read_values(texts: Mapping[str, str]) -> dict[str, Any]:
    """Returns the values of several texts by key; all problems are in one error."""
    read, problems = {}, []
    for key, text in texts.items():
        try:
            read[key] = read_value(key, text)
        except ConfigurationError as error:
            problems.append(str(error))
    if problems:
        raise ConfigurationError("\n".join(problems))
    return read
