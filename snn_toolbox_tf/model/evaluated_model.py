"""`EvaluatedModel`: what networks of all codes are as Keras models: checked data, and metrics without a loss."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.network.input_data import as_arrays, is_stream


class EvaluatedModel(keras.Model):
    """A `keras.Model` that checks its data before any work, and can be evaluated with metrics alone."""

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Configures loss and metrics for `evaluate`, see `keras.Model.compile`; a loss is not needed."""
        # Keras keeps the old loss if none is given; here a new `compile` replaces everything.
        self.loss = None
        super().compile(*args, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles the model as it was compiled when it was saved."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Returns the compiled loss, or 0 if the model is compiled with metrics only."""
        if not self.loss:
            return tf.zeros(())
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Returns the decoded outputs at the end of a run, see `keras.Model.predict`.

        Raises:
            ValueError: If arrays hold NaN or infinite values, or have another structure or shape than the inputs. Batches of
                a stream are checked as they come, with a `tf.errors.InvalidArgumentError`.
        """
        return super().predict(self._prepared(x), *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Returns loss and metrics at the end of a run, see `keras.Model.evaluate`.

        Raises:
            ValueError: As `predict`.
        """
        return super().evaluate(self._prepared(x), *args, **kwargs)

    def _prepared(self, x: Any) -> Any:
        """Returns checked data as Keras takes it; see `prepared`."""
        raise NotImplementedError


def prepared(x: Any, graph: Graph, *, frames: bool = False) -> Any:
    """Returns checked data as Keras takes it: float32 arrays in the structure of the inputs; streams as they are."""
    if is_stream(x):
        return x
    arrays = as_arrays(x, graph, argument="x", frames=frames)
    return keras.tree.map_structure(lambda name: np.asarray(arrays[name], np.float32), graph.input_structure)
