"""Typed, checked settings, and the INI files that hold them."""

from snn_toolbox_tf.config.ini import documented_defaults, read_settings, resolve_paths, write_settings
from snn_toolbox_tf.config.section import ConfigurationError
from snn_toolbox_tf.config.sections import SECTIONS, fields_of
from snn_toolbox_tf.config.settings import Settings, read_value, read_values

__all__ = [
    "SECTIONS",
    "ConfigurationError",
    "Settings",
    "documented_defaults",
    "fields_of",
    "read_settings",
    "read_value",
    "read_values",
    "resolve_paths",
    "write_settings",
]
