"""Runs a NIR file in NumPy, read with h5py alone: independent of the package and of `nir`. Float64, loops, no tricks."""

import graphlib

import h5py
import numpy as np


def _value(dataset):
    value = dataset[()]
    return value.decode() if isinstance(value, bytes) else value


def _group(group):
    return {key: _group(item) if isinstance(item, h5py.Group) else _value(item) for key, item in group.items()}


class Interpreter:
    """A NIR file.

    Args:
        path: The file.
        use_metadata: Whether neurons start, compare, are reset, and their input is rounded as the metadata says; if not, as
            NIR does: from 0, above the threshold, to `v_reset`.
    """

    def __init__(self, path, use_metadata=True):
        with h5py.File(path, "r") as file:
            graph = _group(file["node"])
        self.nodes, self.metadata = graph["nodes"], graph.get("metadata", {})
        edges = [(start.decode(), end.decode()) for start, end in graph["edges"]]
        self.sources = {name: [start for start, end in edges if end == name] for name in self.nodes}
        self.order = list(graphlib.TopologicalSorter(self.sources).static_order())
        notes = self.metadata.get("nodes", {})
        self.notes = {name: notes.get(name, {}) if use_metadata else {} for name in self.nodes}
        self.dt = float(self.metadata.get("dt", 1.0))

    def run(self, inputs, timesteps):
        """Feeds the same arrays `[samples, channels, ...]` at every timestep; returns spike counts and mean outputs."""
        state, counts, sums = {}, {}, {}
        for step in range(timesteps):
            values = {}
            for name in self.order:
                node, kind = self.nodes[name], self.nodes[name]["type"]
                if kind == "Input":
                    values[name] = np.asarray(inputs[name], np.float64)
                    continue
                x = sum(self._rounded(name, source, values[source]) for source in self.sources[name])
                if kind in ("IF", "LIF", "CubaLIF"):
                    values[name] = self._fire(name, node, x, state, step)
                    counts[name] = counts.get(name, 0) + values[name]
                elif kind in ("LI", "CubaLI"):
                    values[name] = self._integrate(name, node, x, state)
                else:
                    values[name] = getattr(self, f"_{kind.lower()}")(node, x)
                if kind == "Output":
                    sums[name] = sums.get(name, 0) + values[name]
        return counts, {name: total / timesteps for name, total in sums.items()}

    def _rounded(self, name, source, x):
        bits = self.notes[name].get("rounding", {}).get(source)
        return x if bits is None else np.round(x * 2.0**bits) / 2.0**bits

    def _towards(self, key, state, tau, goal):
        """What goes to a goal, from 0, with a time constant; exactly, if the goal is constant within a timestep."""
        kept = np.exp(-self.dt / tau)
        state[key] = kept * state.get(key, np.zeros_like(goal)) + (1 - kept) * goal
        return state[key]

    def _integrate(self, name, node, current, state):
        if node["type"] == "CubaLI":
            current = self._towards((name, "current"), state, node["tau_syn"], node["w_in"] * current)
        tau = node["tau"] if "tau" in node else node["tau_mem"]
        return self._towards((name, "v"), state, tau, node["v_leak"] + node["r"] * current)

    def _fire(self, name, node, current, state, step):
        notes, threshold = self.notes[name], node["v_threshold"].astype(np.float64)
        v = state.get(name, np.zeros_like(current) + notes.get("v0", 0.0))
        if node["type"] == "IF":
            v = v + self.dt * node["r"] * current
        else:
            if node["type"] == "CubaLIF":
                current = self._towards((name, "current"), state, node["tau_syn"], node["w_in"] * current)
            retention = np.exp(-self.dt / (node["tau"] if "tau" in node else node["tau_mem"]))
            v = retention * v + (1 - retention) * (node["v_leak"] + node["r"] * current)
        fired = v >= threshold if notes.get("comparison") == ">=" else v > threshold
        after = v - threshold if notes.get("reset") == "subtract" else node.get("v_reset", np.zeros(())) + 0 * v
        state[name] = np.where(fired, after, v)
        return fired.astype(np.float64)

    def _output(self, node, x):
        return x

    def _affine(self, node, x):
        return x @ node["weight"].T.astype(np.float64) + node["bias"]

    def _linear(self, node, x):
        return x @ node["weight"].T.astype(np.float64)

    def _scale(self, node, x):
        return x * node["scale"]

    def _flatten(self, node, x):
        return x.reshape(len(x), -1)

    def _avgpool2d(self, node, x):
        kernel = np.ones((1, 1, *node["kernel_size"])) / np.prod(node["kernel_size"])
        each = [
            slide(x[:, [channel]], kernel, node["stride"], node["padding"], [1, 1]) for channel in range(x.shape[1])
        ]
        return np.concatenate(each, axis=1)

    def _conv1d(self, node, x):
        numbers = [np.atleast_1d(node[key]) for key in ("stride", "padding", "dilation")]
        return slide(x, node["weight"], *numbers) + node["bias"][:, None]

    def _conv2d(self, node, x):
        return slide(x, node["weight"], node["stride"], node["padding"], node["dilation"]) + node["bias"][:, None, None]


def slide(x, weight, strides, padding, dilation):
    """Cross-correlation of `[samples, channels, *spatial]` with `[outputs, channels, *window]`, tap by tap."""
    x = np.pad(x, [(0, 0), (0, 0), *((int(zeros), int(zeros)) for zeros in padding)])
    window = weight.shape[2:]
    sizes = [
        (size - gap * (taps - 1) - 1) // stride + 1
        for size, taps, stride, gap in zip(x.shape[2:], window, strides, dilation, strict=True)
    ]
    total = np.zeros((len(x), len(weight), *sizes))
    for tap in np.ndindex(*window):
        places = tuple(
            slice(index * gap, index * gap + stride * (size - 1) + 1, stride)
            for index, gap, stride, size in zip(tap, dilation, strides, sizes, strict=True)
        )
        total += np.einsum(
            "oc,nc...->no...", weight[(..., *tap)].astype(np.float64), x[(slice(None), slice(None), *places)]
        )
    return total
