"""`BatchPredictor`: a spiking network as a function from batch to batch, for whatever spreads batches over machines."""

import dataclasses
import functools
import importlib
import os
import threading
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from snn_toolbox_tf.distributed.executors import Arrays
from snn_toolbox_tf.foundation.argument_checks import check_positive_integer, check_timesteps
from snn_toolbox_tf.model import SpikingModel
from snn_toolbox_tf.model_files import load_model
from snn_toolbox_tf.network import inputs_of
from snn_toolbox_tf.simulation.early_exit import EarlyExit
from snn_toolbox_tf.simulation.result import SimulationResult

_LOADING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class BatchPredictor:
    """A spiking network in a file, as a function that takes a batch of columns and gives a batch of columns.

    It holds no network, only where it is, and can be sent to any process: to actors of Ray Data, to a `predict_batch_udf` of
    Spark, or to a pool of processes. There it loads the network at its first batch, once a process, however many predictors
    name the file. What it gives for a sample depends neither on the other samples of the batch nor on who computes it.

    Args:
        path: A file that `model_snn.save` wrote; every worker has to be able to read it.
        timesteps: Number of timesteps; the network's own if None.
        batch_size: Samples that run at once; a longer batch is divided. Speed and memory only.
        columns: Column of each input, by the input's name. An input that is not named is in the column of its own name; the
            only input of a network may be in any column, if there is no other.
        keep: Columns that are passed on as they are.
        index_column: The column of each sample's position in the whole data, int64. Poisson input needs it: spikes are drawn
            by it. It is passed on if it is there.
        operations: Whether to count operations.
        spike_counts: Whether to count spikes.
        early_exit: When a sample has its answer, and runs no longer.
        modules: Modules to import before the network is loaded: those that register layers of your own.

    Returns:
        Called with a batch, arrays `[samples, ...]` by column, a new dict of arrays `[samples, ...]`:

        - each decoded output after the last timestep, float32, by its name (`model_snn.output_names`);
        - with `operations`, "synaptic_operations/<synapse>" and "multiply_accumulates/<synapse>", float64 `[samples]`, as in
          `SimulationResult`;
        - with `spike_counts`, "spike_counts/<population>": the spikes of all its neurons, float64 `[samples]`;
        - with `early_exit`, "exit_timesteps", int64 `[samples]`;
        - the columns of `keep`, and the index column.

    Raises:
        FileNotFoundError: If there is no such file; at once, and in a worker that cannot read it.
        ModelFileError: If no model can be read from it.
        TypeError: If it holds another model, or a column is not numeric.
        ValueError: If an argument is out of its range, a column is missing, or has the wrong shape.

    Example:
        >>> import keras, numpy as np, os, tempfile, snn_toolbox_tf as snn
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3, name="y")])
        >>> x = np.random.default_rng(0).random((20, 4), "float32")
        >>> path = os.path.join(tempfile.mkdtemp(), "net_snn.keras")
        >>> snn.convert_keras(model, x, timesteps=16).save(path)
        >>> predictor = snn.BatchPredictor(path, columns={model.inputs[0].name: "x"}, keep=("id",))
        >>> batch = predictor({"x": x, "id": np.arange(20)})
        >>> sorted(batch), batch["y"].shape
        (['id', 'y'], (20, 3))
    """

    path: str | os.PathLike[str]
    _: dataclasses.KW_ONLY
    timesteps: int | None = None
    batch_size: int = 32
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    keep: tuple[str, ...] = ()
    index_column: str = "sample_index"
    operations: bool = False
    spike_counts: bool = False
    early_exit: EarlyExit | None = None
    modules: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # A worker has another working directory.
        object.__setattr__(self, "path", os.path.abspath(self.path))
        for name in ("keep", "modules"):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        object.__setattr__(self, "columns", dict(self.columns))
        check_positive_integer(self.batch_size, "batch_size")
        if self.timesteps is not None:
            check_timesteps(self.timesteps)
        if self.early_exit is not None and not isinstance(self.early_exit, EarlyExit):
            raise ValueError(f"Expected `early_exit` to be an EarlyExit, or None. Received: {self.early_exit!r}")
        _check_file(str(self.path))

    def __call__(self, batch: Mapping[str, Any]) -> Arrays:
        """Returns outputs, and what else was asked for, of a batch."""
        model_snn = self._network()
        _check_present(batch, [*self.keep, *self._needed(model_snn)], "`keep` and `index_column` name columns")
        indices = batch.get(self.index_column)
        result = model_snn.simulate(
            keras.tree.map_structure(
                lambda name: batch[self._column(name, model_snn, batch)], model_snn.network.graph.input_structure
            ),
            timesteps=self.timesteps,
            batch_size=self.batch_size,
            outputs="last",
            record=["spike_counts"] if self.spike_counts else [],
            sample_indices=None if indices is None else np.asarray(indices),
            early_exit=self.early_exit,
        )
        kept = {name: np.asarray(batch[name]) for name in (*self.keep, self.index_column) if name in batch}
        computed = self._computed(model_snn, result)
        if both := sorted(set(kept) & set(computed)):
            raise ValueError(f"Columns {both} cannot be kept: outputs have these names. Rename them before.")
        return {**kept, **computed}

    def _network(self) -> SpikingModel:
        path = str(self.path)
        stamp = _check_file(path)
        # Threads that come together wait for the one that loads.
        with _LOADING:
            return _loaded(path, stamp, self.modules)

    def _needed(self, model_snn: SpikingModel) -> list[str]:
        """Returns the index column, if this network draws its spikes by it."""
        return [self.index_column] if model_snn.draws_spikes else []

    def _column(self, name: str, model_snn: SpikingModel, batch: Mapping[str, Any]) -> str:
        """Returns the column of an input."""
        names = [node.name for node in inputs_of(model_snn.network.graph)]
        if unknown := sorted(set(self.columns) - set(names)):
            raise ValueError(
                f"`columns` names inputs that the network has not. Expected some of {names}. Received: {unknown}"
            )
        column = self.columns.get(name, name)
        others = [other for other in batch if other not in (*self.keep, self.index_column)]
        if column not in batch and name not in self.columns and len(names) == len(others) == 1:
            return others[0]
        _check_present(batch, [column], f"`columns={{'{name}': ...}}` names the column of input '{name}'")
        return column

    def _computed(self, model_snn: SpikingModel, result: SimulationResult) -> Arrays:
        """Returns the new columns."""
        outputs = keras.tree.flatten(result.outputs)
        columns = {name: output[-1] for name, output in zip(model_snn.output_names, outputs, strict=True)}
        if self.operations:
            for kind in ("synaptic_operations", "multiply_accumulates"):
                columns |= {f"{kind}/{name}": counts for name, counts in getattr(result, kind).items()}
        if self.spike_counts:
            for name, counts in result.sample_spike_counts.items():
                columns[f"spike_counts/{name}"] = counts.reshape(len(counts), -1).sum(axis=1)
        if self.early_exit is not None:
            columns["exit_timesteps"] = result.exit_timesteps
        return columns


def _check_file(path: str) -> tuple[int, int]:
    """Returns what changes when a file does; raises if there is none."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise FileNotFoundError(
            f"There is no network '{path}' on this machine. Expected a .keras file that `model_snn.save` wrote, in a folder "
            "that every worker can read."
        ) from error
    return status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=4)
def _loaded(path: str, stamp: tuple[int, int], modules: tuple[str, ...]) -> SpikingModel:
    """Returns the network in a file, loaded once a process; again if the file has changed."""
    for module in modules:
        importlib.import_module(module)
    model = load_model(path)
    if not isinstance(model, SpikingModel):
        raise TypeError(
            f"'{path}' holds a {type(model).__name__}, and no spiking network in rate code. Expected a file that "
            "`model_snn.save` wrote, where `model_snn = convert_keras(model, ...)`; other networks have `predict`."
        )
    return model


def _check_present(batch: Mapping[str, Any], wanted: list[str], why: str) -> None:
    missing = [name for name in wanted if name not in batch]
    if missing:
        raise ValueError(f"The batch lacks the columns {missing}; {why}. Received columns: {sorted(batch)}")
