"""`TrainableModel`: how a spiking model is compiled, traced, and trained on its grid."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.model.conversion_record import ConversionRecord
from snn_toolbox_tf.network.input_data import as_arrays, is_stream
from snn_toolbox_tf.simulation.runner import Runner
from snn_toolbox_tf.simulation.schedules import neurons_of
from snn_toolbox_tf.training import FineTuning, clear_non_finite, train_step

_MARKER = "snn_toolbox_tf"


class TrainableModel(keras.Model):
    """A `keras.Model` whose weights live on a grid, and which can be evaluated with metrics alone.

    Attributes:
        conversion: The record of the conversion; says `fine_tuned` once weights were trained.
    """

    _runner: Runner
    _fine_tuning: FineTuning
    conversion: ConversionRecord

    def prepare(self, runner: Runner, conversion: ConversionRecord) -> None:
        """Takes over what runs the network, and the record of its conversion."""
        self._runner, self.conversion = runner, conversion
        self._fine_tuning = FineTuning(runner)
        self._trace_anew()

    def _trace_anew(self) -> None:
        """Drops all traced functions: they hold settings of layers, and the weights' place."""
        self._forward = tf.function(self._runner.run_all, autograph=False)
        self._runner.forget_traces()
        self._forget_keras_functions()

    def _forget_keras_functions(self) -> None:
        """Keras keeps traced functions that hold the number of timesteps, and how `call` was when they were traced."""
        self.predict_function = None
        self.test_function = None
        self.train_function = None

    def _settle(self) -> None:
        """Puts weights that were changed in a layer, behind the model's back, on a grid computed for them."""
        if self._fine_tuning.settle():
            self.conversion = dataclasses.replace(self.conversion, fine_tuned=True)
            self._trace_anew()

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Configures loss and metrics for `evaluate`, see `keras.Model.compile`; a loss is not needed."""
        # Keras keeps the old loss if none is given; here a new `compile` replaces everything.
        self.loss = None
        super().compile(*args, **kwargs)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Returns the compiled loss, or 0 if the model is compiled with metrics only."""
        if not self.loss:
            return tf.zeros(())
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles the model as it was compiled when it was saved."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.conversion.fine_tuned and getattr(self, "optimizer", None) is not None:
            # So that it can take up what was saved of it.
            self.optimizer.build(self.trainable_variables)

    def fit(self, x: Any = None, *args: Any, surrogate_gradient: str = "arctan", **kwargs: Any) -> Any:
        """Fine-tunes the network at its number of timesteps, by backpropagation through time; see `keras.Model.fit`.

        The layers hold float weights meanwhile, which every forward pass (and what callbacks save) rounds to the grid; at
        the end, also after an error or Ctrl-C, the grid is recomputed and holds the weights again. Thresholds stay what
        they are; all timesteps of a batch are kept in memory. The optimizer is the source's, unless `compile` gives another.

        Args:
            x: As in `keras.Model.fit`.
            *args: Likewise.
            surrogate_gradient: What stands in for the derivative of a spike: "arctan", "triangle", "rectangle", "sigmoid" or
                "fast_sigmoid", see `snn_toolbox_tf.ops.surrogate`.
            **kwargs: As in `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: If the model is not compiled with a loss, for an unknown surrogate gradient, and as `predict`.
            FloatingPointError: If training diverged; the weights from before are put back.

        Example:
            >>> import keras, numpy as np, snn_toolbox_tf as snn
            >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
            >>> x = np.random.default_rng(0).random((32, 4), "float32")
            >>> model_snn = snn.convert_keras(model, x, timesteps=4)
            >>> model_snn.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            >>> history = model_snn.fit(x, np.arange(32) % 3, epochs=2, verbose=0)
            >>> len(history.history["loss"])
            2
        """
        if not self.compiled or not self.loss:
            raise ValueError(
                f"SpikingModel '{self.name}' is not compiled with a loss. "
                "Call `model_snn.compile(optimizer=..., loss=...)` before `fit`."
            )
        x = self._prepared(x)
        with self.fine_tuning(surrogate_gradient):
            return super().fit(x, *args, **kwargs)

    def load_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Loads weights that `save_weights` of such a network wrote, and computes the grid for them.

        Raises:
            ValueError: For weights of another model, the source's above all: those of a spiking network are in units of its
                thresholds. The weights from before are kept.
        """
        if not str(filepath).endswith((".weights.h5", ".keras")):
            raise ValueError(
                "A SpikingModel loads weights from a '.weights.h5' file that its `save_weights` wrote. "
                f"Received: '{filepath}'"
            )
        with contextlib.nullcontext() if self._fine_tuning.active else self.fine_tuning(), self._kept_weights():
            super().load_weights(filepath, *args, **kwargs)

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
        # `in` alone fails with Keras 3.6.
        if _MARKER not in set(store.keys()) or not np.array_equal(np.asarray(store[_MARKER]), self._fingerprint()):
            raise ValueError(
                f"The file's weights are not those of SpikingModel '{self.name}'. Expected weights that its `save_weights` "
                "wrote, in units of its thresholds; to take over new weights of the source, convert it again."
            )
        self._fine_tuning.trust()

    def _fingerprint(self) -> np.ndarray:
        """Sizes of all weights, in order."""
        return np.array([int(np.prod(weight.shape)) for weight in self.weights], np.int64)

    def set_weights(self, weights: Any) -> None:
        """Sets all weights, see `keras.Model.set_weights`, and puts them on a grid computed for them."""
        with contextlib.nullcontext() if self._fine_tuning.active else self.fine_tuning():
            super().set_weights(weights)

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """Raises: the weights are on a grid already.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            f"SpikingModel '{self.name}' cannot be quantized by Keras: its weights lie on grids on which spikes are "
            "reproducible. Quantize the source model's weights before converting it."
        )

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Returns the decoded outputs after `timesteps` timesteps, see `keras.Model.predict`.

        Raises:
            ValueError: If arrays hold NaN or infinite values. Batches of a stream are checked as they come, with a
                `tf.errors.InvalidArgumentError`.
        """
        return super().predict(self._prepared(x), *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Returns loss and metrics after `timesteps` timesteps, see `keras.Model.evaluate`.

        Raises:
            ValueError: As `predict`.
        """
        return super().evaluate(self._prepared(x), *args, **kwargs)

    def _prepared(self, x: Any) -> Any:
        """Returns checked data as Keras takes it: float32 arrays in the structure of the inputs; streams as they are."""
        self._settle()
        if is_stream(x):
            return x
        graph = self._runner.network.graph
        arrays = as_arrays(x, graph, argument="x", frames=self._runner.input_options.mode == "frames")
        return keras.tree.map_structure(lambda name: np.asarray(arrays[name], np.float32), graph.input_structure)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Does one step of training; see `keras.Model.train_step`."""
        return train_step(self, data)

    @contextlib.contextmanager
    def fine_tuning(self, surrogate_gradient: str = "arctan") -> Iterator[None]:
        """Lets a training loop of your own, or of a model around this one, change the weights in a `with` block.

        Inside it `model_snn(x, training=True)` has gradients, and every use of the model rounds its weights to the grid. At
        its end the grid is recomputed.

        Args:
            surrogate_gradient: As in `fit`.

        Raises:
            ValueError: For an unknown surrogate gradient, or a layer-synchronous network.
            RuntimeError: Inside another `fine_tuning` or `fit` of the same model.
            FloatingPointError: At the end, if training diverged; the weights from before are put back.
        """
        if self._runner.schedule != "step":
            raise ValueError(
                f"SpikingModel '{self.name}' has schedule='{self._runner.schedule}', which has no surrogate gradient. Train "
                "its source with `snn.with_trainable_thresholds`, which is exact layer-synchronously, or convert with "
                "schedule='step'."
            )
        signed = [name for name, neuron in neurons_of(self._runner.network.graph).items() if neuron.signed_spikes]
        if signed:
            raise ValueError(
                f"SpikingModel '{self.name}' has signed spikes, which have no surrogate gradient. Convert with "
                f"signed_spikes=False. Received signed spikes in: {signed}"
            )
        self._fine_tuning.start(surrogate_gradient)
        self._trace_anew()
        # Said already now, for what callbacks save.
        before = self.conversion.fine_tuned
        self.conversion = dataclasses.replace(self.conversion, fine_tuned=True)
        try:
            yield
        finally:
            try:
                changed = self._fine_tuning.finish()
                self.conversion = dataclasses.replace(self.conversion, fine_tuned=changed or before)
            except FloatingPointError:
                if getattr(self, "optimizer", None) is not None:
                    clear_non_finite(self.optimizer)
                raise
            finally:
                self._trace_anew()

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Raises: only `fit` returns the weights to the grid.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(
            f"SpikingModel '{self.name}' is trained by `fit`, which returns its weights to the grid at the end. "
            "For a batch call `fit(x, y, batch_size=len(x), epochs=1)`; for a loop of your own see `fine_tuning`."
        )
