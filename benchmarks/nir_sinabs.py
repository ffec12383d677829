"""Runs a NIR file in sinabs; called by nir_simulators.py, in an environment that has sinabs and nirtorch.

python nir_sinabs.py NET.nir IMAGES.npz RESULT.npz {imported,neurons,corrected}
"""

import graphlib
import importlib.metadata
import sys

import nir
import nirtorch
import numpy as np
import sinabs.layers as sl
import sinabs.nir
import torch
from sinabs.activation import MultiSpike, SingleSpike
from torch import nn

ONLY_NEURONS, CORRECTED = "neurons", "corrected"


class InFloat64(nn.Module):
    """Neurons whose input is rounded (None: it is not), and whose spikes are float64 again."""

    def __init__(self, neurons, bits):
        super().__init__()
        self.neurons, self.bits = neurons, bits

    def forward(self, inputs):
        """Rounds, integrates and fires."""
        if self.bits is not None:
            inputs = torch.round(inputs * 2.0**self.bits) / 2.0**self.bits
        return self.neurons(inputs).double()


def neurons_of(node, notes, timesteps, batch, way):
    """Returns the layer for a population: as `sinabs.nir.from_nir` makes it, or as the file's metadata says."""
    corrected = way == CORRECTED
    threshold = torch.tensor(node.v_threshold)
    layer = sl.IAFSqueeze(
        spike_threshold=threshold.double() if corrected else threshold.float(),
        spike_fn=SingleSpike if corrected else MultiSpike,
        min_v_mem=None if corrected else -threshold.float(),
        num_timesteps=timesteps,
    )
    if not corrected:
        return layer
    layer.init_state_with_shape((batch, *node.v_threshold.shape))
    layer.v_mem = torch.tensor(np.broadcast_to(notes["v0"], layer.v_mem.shape).copy()).double()
    bits = {int(bits) for bits in notes.get("rounding", {}).values()}
    return InFloat64(layer, bits.pop() if bits else None)


def average(node):
    """Returns average pooling, which sinabs does not import."""
    return nn.AvgPool2d(
        *(tuple(int(size) for size in value) for value in (node.kernel_size, node.stride, node.padding))
    )


def convolution(node):
    """Returns a convolution with the file's own precision."""
    sizes = {key: tuple(int(size) for size in getattr(node, key)) for key in ("stride", "padding", "dilation")}
    layer = nn.Conv2d(node.weight.shape[1], node.weight.shape[0], node.weight.shape[2:], **sizes)
    layer.weight.data, layer.bias.data = torch.tensor(node.weight), torch.tensor(node.bias)
    return layer


def linear(node):
    """Returns a linear layer with the file's own precision."""
    bias = getattr(node, "bias", None)
    layer = nn.Linear(node.weight.shape[1], node.weight.shape[0], bias=bias is not None)
    layer.weight.data = torch.tensor(node.weight)
    if bias is not None:
        layer.bias.data = torch.tensor(bias)
    return layer


def wired(graph, timesteps, batch, way):
    """Returns sinabs layers, wired by nirtorch."""
    notes = {id(graph.nodes[name]): known for name, known in graph.metadata["nodes"].items()}
    kinds = {
        nir.IF: lambda node: neurons_of(node, notes[id(node)], timesteps, batch, way),
        nir.AvgPool2d: average,
        nir.Conv2d: convolution,
        nir.Affine: linear,
        nir.Linear: linear,
        nir.Flatten: lambda node: nn.Flatten(int(node.start_dim) + 1),
        nir.Input: lambda node: nn.Identity(),
        nir.Output: lambda node: nn.Identity(),
    }
    network = nirtorch.load(graph, lambda node: kinds[type(node)](node))
    # nirtorch 2.0.2 goes down one branch first, and adds up what it has where branches meet.
    sources = {name: {start for start, end in graph.edges if end == name} for name in graph.nodes}
    place = {name: number for number, name in enumerate(graphlib.TopologicalSorter(sources).static_order())}
    network.execution_order.sort(key=lambda node: place[node.name])
    return network.double() if way == CORRECTED else network.float()


def main(net, data, result, way):
    """Simulates, and writes spike counts and the mean output."""
    with np.load(data) as file:
        images, timesteps = torch.from_numpy(file["images"]), int(file["timesteps"])
    batch = len(images)
    images = images.double() if way == CORRECTED else images
    graph = nir.read(net)
    names = [name for name, node in graph.nodes.items() if isinstance(node, nir.IF)]
    if way in (ONLY_NEURONS, CORRECTED):
        network = wired(graph, timesteps, batch, way)
    else:
        network = sinabs.nir.from_nir(graph, num_timesteps=timesteps)
    counts = {}
    for name in names:

        def count(module, inputs, outputs, name=name):
            counts[name] = outputs.reshape(batch, timesteps, *outputs.shape[1:]).sum(1)

        getattr(network, name).register_forward_hook(count)
    with torch.inference_mode():
        outputs, *_ = network(images.repeat_interleave(timesteps, dim=0))
    mean = outputs.reshape(batch, timesteps, -1).mean(1)
    version = f"sinabs {importlib.metadata.version('sinabs')}, PyTorch {torch.__version__}"
    np.savez(result, output=mean.numpy(), version=version, **{f"count/{name}": counts[name].numpy() for name in names})


if __name__ == "__main__":
    torch.set_num_threads(2)
    main(*sys.argv[1:])
