"""`SynapseFamily`: what passes, grid, calibration and counters ask about a kind of affine layer.

Each family answers in one place. Everything else asks `family_of(node)` and knows no class of Keras.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import LayerNode, LayerSpec, Node
from snn_toolbox_tf.synapses.build import apply_spec, build_layer
from snn_toolbox_tf.synapses.scale import Scale, per_channel

#: Mean and variance per channel.
Moments = tuple[np.ndarray, np.ndarray]
#: One number per element of a node's last axis, or one for all.
PerChannel = np.ndarray


class SynapseFamily:
    """A kind of affine layer. Its answers hold for a layer with one input that treats each channel alike and alone.

    Families of other layers override what is different for them. To have a layer of your own converted, register it with
    the family that it is like, or with one of your own: see `snn_toolbox_tf.register_layer`.
    """

    #: Classes of `keras.layers` (or `snn_toolbox_tf.layers`) that belong to the family.
    class_names: tuple[str, ...] = ()
    #: How such a layer runs in a spiking network, in words.
    how = "runs on spikes as it is, channel by channel"
    #: Whether it multiplies by weights, so that it can take up a factor per input and output channel.
    weighted = False
    #: Whether it adds up several values of its input, which costs operations.
    sums = True
    #: Whether f(relu(x)) = relu(f(x)), for every rectifier f with f(0) = 0.
    commutes_with_relu = False
    #: Whether it puts out zeros besides values of its input.
    adds_zeros = False
    #: Whether it may be applied to a decoded output as well.
    decodable = True
    #: What the population behind it may do in its place: add up its inputs ("sum"), or multiply by its factors ("gain").
    absorbed_as: str | None = None

    def keeps_spikes(self, node: LayerNode) -> bool:
        """Whether it puts out nothing but values of its inputs, and zeros."""
        return not self.sums

    # Scales

    def push(self, node: LayerNode, sources: list[Node], scales: list[Scale]) -> Scale | None:
        """Returns the scale of its output for those of its inputs, or None if it has none. Not asked of weighted layers."""
        return self._carry(node, scales[0], sources[0], node, backwards=False)

    def pull(self, node: LayerNode, sources: list[Node], index: int, scale: Scale) -> Scale | None:
        """Returns the scale that input number `index` must have for the output to have this one, or None."""
        return self._carry(node, scale, node, sources[index], backwards=True)

    def _carry(self, node: LayerNode, scale: Scale, start: Node, end: Node, *, backwards: bool) -> Scale | None:
        """Moves a scale from a tensor to another one, of which one is the layer's input and one its output."""
        if scale.size == 1:
            return scale.reshape((1,) * len(end.shape))
        # All layers run channels last.
        vector = per_channel(scale, start.shape)
        return None if vector is None else vector.reshape((1,) * (len(end.shape) - 1) + (-1,))

    # Grid

    def summed_weight(self, node: LayerNode, source: Node) -> float:
        """Returns how much larger than its largest input a sum inside it can be, before any division."""
        if not self.sums:
            return 1.0
        return float(self.largest_magnitude(node, [np.ones(source.shape)]).max())

    def added_bits(self, node: LayerNode, source: Node) -> int | None:
        """Returns how many fractional bits its output has more than its input; None if it leaves the dyadic grid."""
        return None if self.sums else 0

    def limit_of_input(self, node: LayerNode, sources: list[Node], index: int, limit: PerChannel) -> PerChannel | None:
        """Returns how many fractional bits an input may have if the output may have so many; None: any number."""
        added = self.added_bits(node, sources[index])
        return None if added is None else limit - added

    def bits_of_output(self, node: LayerNode, sources: list[Node], inputs: list[PerChannel]) -> PerChannel | None:
        """Returns the fractional bits of its output for those of its inputs; None if it leaves the dyadic grid."""
        added = self.added_bits(node, sources[0])
        return None if added is None else inputs[0] + added

    def round_weights(self, node: LayerNode, bits: int) -> None:
        """Puts what weights an unweighted layer has on a grid of so many fractional bits."""
        unit = 2.0**bits
        floats = {name: array for name, array in node.layer.weights.items() if array.dtype.kind == "f"}
        node.layer.weights.update({name: np.round(array * unit) / unit for name, array in floats.items()})

    # Bounds, moments, operations

    def largest_magnitude(self, node: LayerNode, inputs: list[np.ndarray]) -> np.ndarray:
        """Returns the largest absolute value of each output, and of each partial sum in it.

        Args:
            node: The node.
            inputs: Largest absolute values of its inputs, without the batch axis.
        """
        return apply_spec(with_weights(node.layer, np.abs), node.name, inputs)

    def largest_value(self, node: LayerNode, inputs: list[np.ndarray]) -> np.ndarray:
        """Returns the largest value of each output if inputs lie between 0 and these values: the rest may be silent."""
        return apply_spec(node.layer, node.name, inputs)

    def moments(self, node: LayerNode, inputs: list[Moments | None]) -> Moments | None:
        """Returns mean and variance per channel of its output for those of its inputs, or None if they are not known."""
        return None

    def fan_out(self, node: LayerNode, input_shape: tuple[int, ...]) -> np.ndarray:
        """Returns how many connections leave each element of its input, exact at borders and with strides.

        It is the gradient of the summed output with all weights set to 1.

        Args:
            node: The node.
            input_shape: Shape of its input without the batch axis.

        Returns:
            float64 array of `input_shape`.
        """
        return connections(self.counting_spec(node.layer), node.name, input_shape)

    def counting_spec(self, spec: LayerSpec) -> LayerSpec:
        """Returns a layer with the same connections, whose weights count them: all of them are 1."""
        return with_weights(spec, np.ones_like)

    # One more axis in front, as TimeDistributed asks for

    def with_leading_axis(
        self, spec: LayerSpec, shape: tuple[int, ...], before: tuple[int, ...], steps: int
    ) -> LayerSpec | None:
        """Returns the layer that does the same at every position of a new first axis, or None if Keras has none.

        Args:
            spec: The layer.
            shape: Shape of its output at one position.
            before: Shape of its input at one position.
            steps: Size of the new axis.
        """
        return None

    def with_more_channels(self, spec: LayerSpec, times: int) -> LayerSpec | None:
        """Returns the layer for so many sets of channels side by side, each treated alike; None if there is none."""
        return spec


class WeightedFamily(SynapseFamily):
    """Layers that multiply by a kernel `[..., inputs, outputs]` and may add a bias `[outputs]`."""

    how = "runs on spikes as it is"
    weighted = True
    decodable = False
    #: Names of what multiplies and what is added.
    kernel, bias = "kernel", "bias"
    #: The entry of the configuration that says whether there is a bias.
    uses_bias = "use_bias"

    def weight_names(self, spec: LayerSpec) -> list[str]:
        """Returns the names of a layer's weights, also where the spec does not hold them."""
        return [self.kernel, self.bias] if spec.config.get(self.uses_bias) else [self.kernel]

    def weight_axis(self, node: LayerNode) -> int:
        """Returns the axis of its output along which it has weights of its own: all layers run channels last."""
        return len(node.shape) - 1

    def scale_output(self, spec: LayerSpec, factor: np.ndarray) -> None:
        """Multiplies its output by one factor for all, or one per output channel; the bias too."""
        factor = np.asarray(factor, dtype=np.float64).reshape(-1)
        spec.weights[self.kernel] = spec.weights[self.kernel] * self.along_outputs(spec, self.kernel, factor)
        if self.bias in spec.weights:
            spec.weights[self.bias] = spec.weights[self.bias] * factor

    def scale_input(self, spec: LayerSpec, factor: np.ndarray) -> None:
        """Multiplies its input by one factor for all, or one per input channel; the bias stays."""
        factor = np.asarray(factor, dtype=np.float64).reshape(-1)
        kernel = spec.weights[self.kernel]
        spec.weights[self.kernel] = kernel * (factor if factor.size == 1 else self.along_inputs(spec, factor))

    def add_bias(self, spec: LayerSpec, offset: np.ndarray, channels: int) -> None:
        """Adds an offset (one for all, or one per output channel) to its output."""
        spec.weights[self.bias] = spec.weights.get(self.bias, 0.0) + np.broadcast_to(offset, (channels,)).astype(float)
        spec.config[self.uses_bias] = True

    def along_outputs(self, spec: LayerSpec, name: str, values: np.ndarray) -> np.ndarray:
        """Returns one value for all, or one per output channel, in a shape that broadcasts against the weight `name`."""
        return values

    def along_inputs(self, spec: LayerSpec, values: np.ndarray) -> np.ndarray:
        """Returns one value per input channel in a shape that broadcasts against the kernel."""
        return values[:, np.newaxis]

    def columns(self, spec: LayerSpec, inputs: tf.Tensor) -> tf.Tensor | None:
        """Returns what the weights of one output are multiplied by, `[places, weights]`, in the kernel's order.

        None if outputs do not all read the same, or the family does not say.

        Args:
            spec: The layer.
            inputs: What it reads, `[batch, ...]`.
        """
        return None

    def limit_of_input(self, node: LayerNode, sources: list[Node], index: int, limit: PerChannel) -> PerChannel | None:
        """Any: what is too fine is summed in float64."""
        return None

    def largest_value(self, node: LayerNode, inputs: list[np.ndarray]) -> np.ndarray:
        """The input behind an inhibitory weight may be silent, so that only positive weights count."""
        return apply_spec(with_weights(node.layer, lambda array: np.maximum(array, 0.0)), node.name, inputs)

    def counting_spec(self, spec: LayerSpec) -> LayerSpec:
        """Biases are no connections."""
        layer = with_weights(spec, np.ones_like)
        weights = {name: array for name, array in layer.weights.items() if name != self.bias}
        return dataclasses.replace(layer, config={**spec.config, self.uses_bias: False}, weights=weights)

    def with_more_channels(self, spec: LayerSpec, times: int) -> LayerSpec | None:
        """Most weighted layers mix channels."""
        return None


def with_weights(spec: LayerSpec, function: Callable[[np.ndarray], np.ndarray]) -> LayerSpec:
    """Returns a layer with a function applied to each of its weights that are real numbers."""
    weights = {key: function(array) if array.dtype.kind == "f" else array for key, array in spec.weights.items()}
    return LayerSpec(spec.class_name, spec.config, weights)


def connections(spec: LayerSpec, name: str, input_shape: tuple[int, ...]) -> np.ndarray:
    """Returns the gradient of a layer's summed output, per element of its input."""
    layer = build_layer(spec, name, "float64", [(None, *input_shape)])
    probe = tf.zeros((1, *input_shape), tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(probe)
        total = tf.reduce_sum(layer(probe))
    return tape.gradient(total, probe).numpy()[0]


def shifted_axis(config: dict) -> dict:
    """Returns a configuration whose `axis` is counted with one more axis in front."""

    def shifted(axis: int | list | tuple | None) -> int | list | None:
        if isinstance(axis, (list, tuple)):
            return [shifted(one) for one in axis]
        return axis + 1 if axis is not None and axis > 0 else axis

    return {**config, "axis": shifted(config["axis"])} if "axis" in config else config
