"""Counts operations with SpikingJelly's code; called by energy_other_tools.py, in an environment that has SpikingJelly.

python energy_spikingjelly.py SPIKES.npz
"""

import collections
import importlib.metadata
import json
import sys

import numpy as np
import torch
from spikingjelly.activation_based import functional, neuron, op_counter
from torch import nn


class Replay(nn.Module):
    """A network whose layers read given spikes, one sample at a time.

    Its neurons receive one threshold of current wherever there is to be a spike, so that they fire just these.
    """

    def __init__(self, layers):
        super().__init__()
        self.names = [layer["name"] for layer in layers]
        self.synapses = nn.ModuleList(map(_synapse, layers))
        self.neurons = nn.ModuleList(neuron.IFNode(v_threshold=1.0, v_reset=None) for _ in layers[1:])

    def forward(self, image, *trains):
        """Runs one sample: an image, and the spikes that each further layer reads, `[timesteps, 1, ...]`."""
        # The current of a constant input is computed once, as it is counted there.
        self.synapses[0](image)
        for timestep in zip(*trains, strict=True):
            for synapse, neurons, spikes in zip(self.synapses[1:], self.neurons, timestep, strict=True):
                neurons(spikes)
                synapse(spikes.flatten(1) if isinstance(synapse, nn.Linear) else spikes)


def _synapse(layer):
    kernel, _ = layer["weights"]
    if layer["kind"] == "dense":
        return nn.Linear(*kernel)
    height, width, channels, filters = kernel
    return nn.Conv2d(channels, filters, (height, width), padding=layer["padding"])


def main(file):
    """Prints means over samples as JSON."""
    with np.load(file) as held:
        layers = [layer for layer in json.loads(str(held["layers"])) if layer["kind"] != "pool"]
        images = torch.from_numpy(held["images"])
        trains = [torch.from_numpy(held[f"spikes/{layer['name']}"]).float() for layer in layers[1:]]
    network = Replay(layers).eval()
    sums = collections.defaultdict(collections.Counter)
    for sample in range(len(images)):
        inputs = (images[sample : sample + 1], *(train[:, sample : sample + 1] for train in trains))
        functional.reset_net(network)
        simple = op_counter.estimate_simple_energy(network, inputs)
        functional.reset_net(network)
        # What flattens or is a container has no energy; anything else that is not supported would warn.
        lemaire = op_counter.estimate_lemaire_energy(
            network, inputs, config=op_counter.LemaireEnergyConfig(strict=False)
        )
        sums["counts"].update(simple.counts)
        sums["simple"].update({name: value for name, value in vars(simple).items() if name.startswith("energy")})
        sums["lemaire"].update({"total_pj": lemaire.total_pj, **lemaire.breakdown_pj})
        for name, synapse, train in zip(network.names[1:], network.synapses[1:], inputs[1:], strict=True):
            counter = op_counter.SynOpCounter()
            with op_counter.DispatchCounterMode([counter]), torch.no_grad():
                for spikes in train:
                    synapse(spikes.flatten(1) if isinstance(synapse, nn.Linear) else spikes)
            sums["synops"][name] += counter.get_total()
    means = {key: {name: value / len(images) for name, value in sums[key].items()} for key in sums}
    version = f"SpikingJelly {importlib.metadata.version('spikingjelly')}, PyTorch {torch.__version__}"
    simple = {**means.pop("simple"), "counts": means.pop("counts")}
    print(json.dumps({"version": version, "images": len(images), "simple": simple, **means}))


if __name__ == "__main__":
    main(sys.argv[1])
