"""NIR, the neuromorphic intermediate representation: spiking networks written to its files, and read from them."""

from snn_toolbox_tf.nir_files.export_file import export_nir
from snn_toolbox_tf.nir_files.import_file import import_nir

__all__ = ["export_nir", "import_nir"]
