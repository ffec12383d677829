"""Runs a NIR file in SpikingJelly; called by nir_simulators.py, in an environment that has SpikingJelly and nirtorch.

python nir_spikingjelly.py NET.nir IMAGES.npz RESULT.npz {imported,corrected}
"""

import importlib.metadata
import sys

import nir
import numpy as np
import torch
from spikingjelly.activation_based.nir_exchange import import_from_nir


def correct(network, graph, images):
    """Gives neurons what NIR has no field for: reset by subtraction, their initial potential, rounded input."""
    for name, notes in graph.metadata["nodes"].items():
        node = graph.nodes[name]
        if isinstance(node, nir.IF):
            neurons = getattr(network, name).module
            neurons.v_reset = None
            v0 = np.broadcast_to(notes["v0"], (len(images), *node.v_threshold.shape))
            neurons.v = torch.tensor(v0, dtype=images.dtype)
        for source, bits in notes.get("rounding", {}).items():
            getattr(network, source).register_forward_hook(
                lambda module, inputs, output, unit=2.0 ** int(bits): torch.round(output * unit) / unit
            )


def main(net, data, result, way):
    """Simulates, and writes spike counts and the mean output."""
    with np.load(data) as file:
        images, timesteps = torch.from_numpy(file["images"]), int(file["timesteps"])
    graph = nir.read(net)
    corrected = way == "corrected"
    # Real-valued input is summed up in float64 here, and so it is by this package.
    images = images.double() if corrected else images
    network = import_from_nir(net, dt=float(graph.metadata["dt"]), dtype=images.dtype)
    if corrected:
        correct(network, graph, images)
    counts = {}
    for name in [name for name, node in graph.nodes.items() if isinstance(node, nir.IF)]:
        counts[name] = 0.0

        def count(module, inputs, outputs, name=name):
            counts[name] = counts[name] + outputs[0]

        getattr(network, name).register_forward_hook(count)
    state, total = None, 0.0
    with torch.inference_mode():
        for _ in range(timesteps):
            outputs, state = network(images, state)
            total = total + outputs
    version = f"SpikingJelly {importlib.metadata.version('spikingjelly')}, PyTorch {torch.__version__}"
    arrays = {f"count/{name}": array.numpy() for name, array in counts.items()}
    np.savez(result, output=(total / timesteps).numpy(), version=version, **arrays)


if __name__ == "__main__":
    torch.set_num_threads(2)
    main(*sys.argv[1:])
