"""A batch whose samples leave it when they have their answer: what is left of it goes on, and takes less time."""

import keras
import numpy as np
import tensorflow as tf

from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.simulation.block import State
from snn_toolbox_tf.simulation.early_exit import EarlyExit, Watch, holds_logits
from snn_toolbox_tf.simulation.request import Request
from snn_toolbox_tf.tasks.classes import decisions


class AnsweredBatch:
    """What is known of a batch's samples, and which of them still run.

    Args:
        graph: The network.
        request: The request, with a rule of early exit.
        inputs: Their data, `[samples, ...]` by name.
        indices: Their global indices.
        state: The network's initial state for them.

    Attributes:
        running: Places of the samples that still run, int64.
        exit_timesteps: The timestep at which each sample answered, T for those that have not, int64 `[samples]`.
        counts: Spikes of the samples that answered, until then: float32 `[samples, ...]` by node.
        inputs: The data of the samples that still run, `[samples, ...]` by name.
        state: The network's state for them.
    """

    def __init__(
        self, graph: Graph, request: Request, inputs: dict[str, tf.Tensor], indices: np.ndarray, state: State
    ) -> None:
        samples = len(indices)
        self._rule, self._duration = request.early_exit or EarlyExit(), request.duration
        self._from_logits = bool(holds_logits(graph))
        self._structure = graph.output_structure
        self._answers = np.zeros((samples, *graph.output_shape(graph.readouts[0])), np.float32)
        self._indices = indices
        self._watch = Watch(self._rule, samples)
        self.running = np.arange(samples)
        self.exit_timesteps = np.full(samples, self._duration)
        counted = [name for name, node in state.nodes.items() if "spike_count" in node]
        self.counts = {name: np.zeros((samples, *graph[name].shape), np.float32) for name in counted}
        self.inputs, self.state = inputs, state

    @property
    def sample_index(self) -> tf.Tensor:
        """Global indices of the samples that still run."""
        return tf.constant(self._indices[self.running], tf.int64)

    def look(self, timestep: int, output: np.ndarray) -> None:
        """Takes over the outputs of the samples that run, and lets go those that have an answer.

        Args:
            timestep: The number of timesteps so far.
            output: Their decoded outputs.
        """
        self._answers[self.running] = output
        answered = np.full(len(output), timestep == self._duration)
        if self._rule.looks_at(timestep):
            sure = self._rule.confidences(output, from_logits=self._from_logits)
            answered |= self._watch.look(sure, decisions(output))[0]
        if answered.any():
            self._let_go(answered, timestep)

    def _let_go(self, answered: np.ndarray, timestep: int) -> None:
        places, kept = self.running[answered], np.flatnonzero(~answered)
        self.exit_timesteps[places] = timestep
        for name, counts in self.counts.items():
            counts[places] = self.state.nodes[name]["spike_count"].numpy()[answered]
        self.running = self.running[kept]
        self.inputs = {name: tf.gather(tensor, kept) for name, tensor in self.inputs.items()}
        self._watch.keep(kept)
        nodes = {
            name: {key: tf.gather(tensor, kept) for key, tensor in node.items()}
            for name, node in self.state.nodes.items()
        }
        self.state = State(self.state.timestep, nodes)

    def outputs(self) -> object:
        """Returns the outputs so far, `[1, samples, ...]` in the network's structure: answers, of samples that have one."""
        return keras.tree.pack_sequence_as(self._structure, [self._answers[np.newaxis].copy()])
