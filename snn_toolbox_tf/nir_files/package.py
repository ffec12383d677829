"""The package `nir`, which is installed only where it is wanted."""

import types


def nir_package() -> types.ModuleType:
    """Returns the package `nir`.

    Raises:
        ImportError: If it is not installed; the message names what installs it.
    """
    try:
        import nir
    except ImportError as error:
        raise ImportError(
            'NIR files need the package `nir`. Install it with `pip install "snn_toolbox_tf[nir]"`.'
        ) from error
    return nir
