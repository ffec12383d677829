"""Settings as INI files: read, written, documented. The only module that knows the format."""

import configparser
import dataclasses
import os
import pathlib
import textwrap
from typing import Any

from snn_toolbox_tf.config.foreign import (
    FOREIGN_KEYS,
    FOREIGN_SECTIONS,
    foreign_key,
    foreign_section,
    foreign_value,
)
from snn_toolbox_tf.config.foreign_neurons import neurons_as_in_snn_toolbox
from snn_toolbox_tf.config.section import ConfigurationError
from snn_toolbox_tf.config.sections import ALIASES, SECTION_OF, SECTIONS, fields_of
from snn_toolbox_tf.config.settings import Settings, key_of, read_value, write_value
from snn_toolbox_tf.foundation.argument_checks import did_you_mean

#: Settings that are places: folders, or files.
PATH_KEYS = ("path_wd", "dataset_path", "log_dir_of_current_run", "export_path")


def read_settings(path: str | os.PathLike[str]) -> Settings:
    """Reads a configuration file.

    Sections and keys are those of config_templates/default.ini and of snn_toolbox. Relative paths start at the file's
    folder.

    Args:
        path: An INI file.

    Returns:
        The settings.

    Raises:
        FileNotFoundError: If there is no such file.
        ConfigurationError: One error that lists everything that is wrong with the file: its format, unknown sections and
            keys with the nearest known name, values, and options of other simulators with what to use instead.
    """
    source = pathlib.Path(path)
    if not source.is_file():
        what = "is a folder, no configuration file" if source.is_dir() else "is not there: no configuration file"
        raise FileNotFoundError(f"'{source}' {what} and no model (.keras, .h5).")
    parser = _parsed(source)
    problems, notes = [], []
    found: dict[str, Any] = {}
    for section in parser.sections():
        if section in FOREIGN_SECTIONS:
            problems.append(foreign_section(section))
            continue
        if section not in SECTIONS and section not in FOREIGN_KEYS:
            problems.append(f"Unknown section [{section}].{did_you_mean(section, [*SECTIONS, *FOREIGN_KEYS])}")
            continue
        for key, text in parser.items(section):
            try:
                value, note = _read_key(section, key, text)
            except ConfigurationError as error:
                problems.append(str(error))
                continue
            notes += [note] if note else []
            if value is not None:
                found[key] = value[0]
    try:
        tau_refrac = parser.get("cell", "tau_refrac", fallback=None)
        found, said = neurons_as_in_snn_toolbox(found, tau_refrac, found.get("dt", Settings().simulation.dt))
        notes += said
        settings = Settings().replace(**found)
    except ConfigurationError as error:
        problems.append(str(error))
    if problems:
        raise ConfigurationError(f"'{source}' cannot be used:\n" + "\n".join(f"  - {line}" for line in problems))
    return dataclasses.replace(resolve_paths(settings, source.parent), notes=tuple(notes))


def _parsed(source: pathlib.Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    # Keys are case-sensitive in snn_toolbox: tau_syn_E.
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    try:
        parser.read_string(source.read_text(encoding="utf-8-sig"), source=str(source))
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"'{source}' is no text file in UTF-8, so no configuration file.") from error
    except configparser.Error as error:
        # The parser's messages name the line, some of them over several lines.
        raise ConfigurationError(f"'{source}' is no valid INI file: {' '.join(str(error).split())}") from error
    if parser.defaults():
        raise ConfigurationError(f"'{source}': a section [DEFAULT] is not supported. Put its keys where they belong.")
    if not parser.sections():
        raise ConfigurationError(f"'{source}' is empty. Expected sections such as [paths] with filename_ann.")
    return parser


def _read_key(section: str, key: str, text: str) -> tuple[tuple[Any] | None, str | None]:
    """Returns a key's value (in a tuple, as None is one) and a note, either of them only if there is one."""
    if key in FOREIGN_KEYS.get(section, {}):
        message, refused = foreign_key(section, key, text)
        if message and refused:
            raise ConfigurationError(message)
        return None, message
    if section in SECTIONS and key_of(key) in fields_of(section):
        answer = foreign_value(section, key_of(key), text)
        if answer:
            raise ConfigurationError(answer)
        return (read_value(key, text),), None
    aliases = {alias: SECTION_OF[known] for alias, known in ALIASES.items()}
    known = {name: where for where in FOREIGN_KEYS for name in FOREIGN_KEYS[where]} | SECTION_OF | aliases
    if key in known:
        raise ConfigurationError(f"[{section}] {key}: this key belongs into section [{known[key]}].")
    here = [*(fields_of(section) if section in SECTIONS else ()), *FOREIGN_KEYS.get(section, {})]
    hint = did_you_mean(key, here) or did_you_mean(key, known)
    raise ConfigurationError(f"[{section}] {key}: unknown key.{hint}")


def resolve_paths(settings: Settings, folder: str | os.PathLike[str]) -> Settings:
    """Returns settings whose folders are absolute; relative ones start at `folder`."""
    start = pathlib.Path(folder).resolve()

    def resolved(path: Any) -> str:
        return os.path.normpath(start / str(path))

    swept = settings.parameter_sweep
    given = {
        key: value for section in ("paths", "export") for key, value in settings.items(section) if key in PATH_KEYS
    }
    changes = {key: resolved(value) for key, value in given.items() if value}
    if swept.param_name in PATH_KEYS:
        swept = dataclasses.replace(swept, param_values=tuple(map(resolved, swept.param_values)))
    absolute = settings.replace(**{"path_wd": str(start), **changes})
    return dataclasses.replace(absolute, parameter_sweep=swept)


def write_settings(settings: Settings) -> str:
    """Returns settings as the text of a configuration file, every key of them."""
    lines = []
    for section in SECTIONS:
        lines += [f"[{section}]", *(f"{key} = {write_value(key, value)}" for key, value in settings.items(section)), ""]
    return "\n".join(line.rstrip() for line in lines)


def documented_defaults() -> str:
    """Returns the text of config_templates/default.ini: every key with its meaning and default."""
    lines = [
        "# Every key of a configuration file with its default. A file needs [paths] filename_ann only;",
        "# keys that are left out have these values. See the documentation for the keys of snn_toolbox",
        "# that are read but have no counterpart here.",
        "",
    ]
    defaults = Settings()
    for section, kind in SECTIONS.items():
        lines += [*_comment(kind.__doc__ or ""), f"[{section}]"]
        for key, value in defaults.items(section):
            metadata = fields_of(section)[key].metadata
            lines += [
                *_comment(f"{metadata['doc']} ({metadata['kind'].expected})"),
                f"{key} = {write_value(key, value)}",
            ]
        lines.append("")
    return "\n".join(line.rstrip() for line in lines)


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 110, initial_indent="# ", subsequent_indent="# ")
