"""`PersistentModel`: how the weights of a spiking model are saved, loaded, set, and known again."""

import contextlib
import pathlib
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from snn_toolbox_tf.foundation.atomic_files import replacing_path
from snn_toolbox_tf.model.conversion_record import ConversionRecord
from snn_toolbox_tf.model.file_seal import FileSeal, check_seal, holds, write_seal
from snn_toolbox_tf.model.trainable_model import TrainableModel
from snn_toolbox_tf.simulation.runner import Runner

_MARKER = "snn_toolbox_tf"


class PersistentModel(TrainableModel):
    """A `TrainableModel` whose files are told from others: a spiking network's weights are in units of its thresholds."""

    #: Digest of the configuration that the model was made of, until it is used: a file's, if it comes from one.
    _described_by: np.ndarray | None = None

    def prepare(self, runner: Runner, conversion: ConversionRecord) -> None:
        """Takes over what runs the network, and the record of its conversion."""
        super().prepare(runner, conversion)
        # Past Keras, which would count it among the layers.
        object.__setattr__(self, "_file_seal", FileSeal(self._write_seal, self._check_seal))

    def _settle(self) -> None:
        self._described_by = None
        super()._settle()

    def save_weights(self, filepath: Any, overwrite: bool = True, max_shard_size: Any = None) -> None:
        """Saves the weights alone as a `.weights.h5` file; an existing one is replaced once the new one is whole.

        Raises:
            ValueError: For another file type, and for several files (`max_shard_size`), which `load_weights` does not read.
            FileExistsError: If the file exists and `overwrite` is False.
        """
        if not str(filepath).endswith(".weights.h5") or max_shard_size is not None:
            raise ValueError(
                "A SpikingModel saves its weights as one '.weights.h5' file. "
                f"Received: '{filepath}', max_shard_size={max_shard_size}"
            )
        if not overwrite and pathlib.Path(filepath).exists():
            raise FileExistsError(f"'{filepath}' exists. Pass `overwrite=True` or another path.")
        with replacing_path(filepath) as written:
            super().save_weights(written)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
        """Loads weights that `save_weights` of such a network wrote, and computes the grid for them.

        Raises:
            ValueError: For weights of another model, the source's above all: those of a spiking network are in units of its
                thresholds; for a damaged file; and for `skip_mismatch`, as half of the weights are no network. The weights
                from before are kept.
            FileNotFoundError: If there is no such file.
        """
        if not str(filepath).endswith((".weights.h5", ".keras")):
            raise ValueError(
                "A SpikingModel loads weights from a '.weights.h5' file that its `save_weights` wrote. "
                f"Received: '{filepath}'"
            )
        if skip_mismatch:
            raise ValueError(
                f"SpikingModel '{self.name}' loads all of its weights or none, as they depend on its thresholds. "
                "Received: skip_mismatch=True"
            )
        if not pathlib.Path(filepath).is_file():
            raise FileNotFoundError(f"There is no file '{filepath}'. Expected one that `save_weights` wrote.")
        self._described_by = None
        with contextlib.nullcontext() if self._fine_tuning.active else self.fine_tuning(), self._kept_weights():
            try:
                super().load_weights(filepath, **kwargs)
            except (OSError, KeyError, zipfile.BadZipFile) as error:
                raise ValueError(
                    f"Cannot read '{filepath}': it is damaged, or holds no weights ({error}). Expected a file that "
                    "`save_weights` wrote."
                ) from error

    @contextlib.contextmanager
    def _kept_weights(self) -> Iterator[None]:
        """Puts the weights back after an error: Keras tells of one only when it has loaded all that it can."""
        before = [weight.numpy() for weight in self.weights]
        try:
            yield
        except BaseException:
            for weight, value in zip(self.weights, before, strict=True):
                weight.assign(value)
            raise

    def save_own_variables(self, store: Any) -> None:
        """Marks a file's weights as those of a spiking network."""
        super().save_own_variables(store)
        store[_MARKER] = self._fingerprint()

    def load_own_variables(self, store: Any) -> None:
        """Refuses weights that are no spiking network's, or another one's.

        Raises:
            ValueError: If they are.
        """
        if not holds(store, _MARKER, self._fingerprint(), missing=False):
            raise ValueError(
                f"The file's weights are not those of SpikingModel '{self.name}'. Expected weights that its `save_weights` "
                "wrote, in units of its thresholds; to take over new weights of the source, convert it again."
            )
        if self._described_by is not None:
            # The description brought their grid along.
            self._fine_tuning.trust()

    def _write_seal(self, store: Any) -> None:
        write_seal(store, self)

    def _check_seal(self, store: Any) -> None:
        described_by, self._described_by = self._described_by, None
        check_seal(store, self, described_by, missing=True)

    def _fingerprint(self) -> np.ndarray:
        """Sizes of all weights, in order."""
        return np.array([int(np.prod(weight.shape)) for weight in self.weights], np.int64)

    def set_weights(self, weights: Any) -> None:
        """Sets all weights, see `keras.Model.set_weights`, and puts them on a grid computed for them."""
        with contextlib.nullcontext() if self._fine_tuning.active else self.fine_tuning():
            super().set_weights(weights)

    def add_weight(self, *args: Any, **kwargs: Any) -> None:
        """Raises: a weight that belongs to no layer of the network would be lost when it is loaded.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            f"SpikingModel '{self.name}' takes no further weights: no layer would use them. Add layers to the source, and "
            "convert it again; or build a `keras.Model` around the spiking network."
        )

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """Raises: the weights are on a grid already.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            f"SpikingModel '{self.name}' cannot be quantized by Keras: its weights lie on grids on which spikes are "
            "reproducible. Quantize the source model's weights before converting it."
        )
