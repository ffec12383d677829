"""`TrainableModel`: how a spiking model is compiled, traced, and trained on its grid."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from snn_toolbox_tf.model.conversion_record import ConversionRecord
from snn_toolbox_tf.model.evaluated_model import EvaluatedModel, prepared
from snn_toolbox_tf.simulation.runner import Runner
from snn_toolbox_tf.simulation.schedules import neurons_of
from snn_toolbox_tf.training import FineTuning, clear_non_finite, train_step


class TrainableModel(EvaluatedModel):
    """A `keras.Model` whose weights live on a grid.

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
        self._forward = tf.function(self._runner.run_all, autograph=False, reduce_retracing=True)
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

    @contextlib.contextmanager
    def settled(self) -> Iterator[None]:
        """Holds the weights on their grid in a `with` block, whether they were changed before or are being trained."""
        self._settle()
        with self._fine_tuning.held_on_grid():
            yield

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles the model as it was compiled when it was saved."""
        super().compile_from_config(config)
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

    def _prepared(self, x: Any) -> Any:
        self._settle()
        return prepared(x, self._runner.network.graph, frames=self._runner.input_options.mode == "frames")

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
            ValueError: For an unknown surrogate gradient, a layer-synchronous network, or weights of few bits.
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
        if self.conversion.weight_bits is not None:
            raise ValueError(
                f"The weights of SpikingModel '{self.name}' have {self.conversion.weight_bits} bits; training would take "
                "them off their levels. Train the source, and convert it anew with `weight_bits`."
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
