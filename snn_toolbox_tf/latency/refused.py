"""What a network in latency code does not do, each with the reason and what to do instead."""

from typing import Any


class RefusedInLatencyCode:
    """Methods of `keras.Model` and of `SpikingModel` that mean nothing in latency code."""

    name: str

    def fit(self, *args: Any, **kwargs: Any) -> None:
        """Raises: a network in latency code has its source's weights.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(
            f"LatencyModel '{self.name}' is not trained: it has its source's weights, and gives its source's outputs. Train "
            "the source, and convert it again."
        )

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """Raises: the lengths of windows were found for the weights that there are.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            f"LatencyModel '{self.name}' cannot be quantized by Keras: the lengths of its windows and its thresholds were "
            "found for the weights that it has. Quantize the source model's weights before converting it."
        )

    def step(self, *args: Any, **kwargs: Any) -> None:
        """Raises: one sample takes all windows.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(
            f"LatencyModel '{self.name}' does not run timestep by timestep: a neuron's spike stands for its value by when "
            "it comes. Use `predict` or `simulate`, or convert with code='rate' for streams."
        )

    def reset_state(self) -> None:
        """Raises: nothing is kept from sample to sample.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(
            f"LatencyModel '{self.name}' keeps nothing from sample to sample: there is no state to reset."
        )

    def export(self, *args: Any, **kwargs: Any) -> None:
        """Raises: there is no form for model servers.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            f"LatencyModel '{self.name}' has no form for model servers, whose signatures are those of rate code. Save "
            "it with `save` and read it with `keras.saving.load_model`, or convert with code='rate' and use "
            "`snn.export_serving`."
        )
