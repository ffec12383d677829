"""`EventStream`: packets of events through a network that keeps its state."""

import dataclasses
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from snn_toolbox_tf.events.frame_layout import FrameLayout
from snn_toolbox_tf.events.frames import to_frames
from snn_toolbox_tf.events.windows import packets

#: Which stream a network's state belongs to.
_OWNERS: "weakref.WeakKeyDictionary[Any, weakref.ref[EventStream]]" = weakref.WeakKeyDictionary()


class EventStream:
    """A recording, or a camera, that goes through a spiking network packet by packet: one timestep for each.

    A network keeps one state. A stream that begins takes it over, and one that was interrupted by another says so instead of
    going on with the wrong state.

    Args:
        model_snn: The network, converted with `input="frames"`.
        sensor_size: Width and height of the sensor in pixels.
        largest: Events of a pixel in one packet that count at most; all if None.
        scale: Events are multiplied by this.
        **layout: Fields of `FrameLayout`: `method`, `frame_size`, `flip_x`, `flip_y`, `x_first`, `maxpool_subsampling` and
            `clip_three_sigma`.

    Example:
        >>> import keras, numpy as np, snn_toolbox_tf as snn
        >>> layers = [keras.layers.Flatten(), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)]
        >>> model = keras.Sequential([keras.Input((4, 4, 2)), *layers])
        >>> x = np.random.default_rng(0).integers(0, 2, (20, 4, 4, 2)).astype("float32")
        >>> options = {"input": "frames", "threshold_rule": "percentile"}
        >>> model_snn = snn.convert_keras(model, x, timesteps=3, **options)
        >>> found = snn.events.as_events(x=[0, 1, 2], y=[0, 0, 3], t=[3, 8, 25], p=[1, 1, 0])
        >>> stream = snn.events.EventStream(model_snn, (4, 4))
        >>> [output.shape for output in stream.run(found, time_window=10, start=0)]
        [(3,), (3,), (3,)]
    """

    def __init__(
        self,
        model_snn: Any,
        sensor_size: tuple[int, int],
        *,
        largest: float | None = None,
        scale: float = 1.0,
        **layout: Any,
    ) -> None:
        self._model_snn, self._largest, self._scale = model_snn, largest, scale
        # What is wrong with it is said here, and not with the first packet.
        self._layout = FrameLayout(sensor_size, **layout)
        self._has_begun = False

    def frame(self, packet: np.ndarray) -> np.ndarray:
        """Returns the frame of a packet, float32 `[rows, columns, channels]`."""
        layout = dataclasses.asdict(self._layout)
        found = to_frames(packet, event_count=max(1, len(packet)), frames=1, **layout)[0]
        if self._largest is not None:
            found = np.clip(found, -self._largest, self._largest)
        return found * np.float32(self._scale)

    def reset(self) -> None:
        """Forgets what the network has seen, as another recording begins."""
        self._model_snn.reset_state()
        _OWNERS[self._model_snn] = weakref.ref(self)
        self._has_begun = True

    def step(self, packet: np.ndarray) -> np.ndarray:
        """Runs one timestep.

        Args:
            packet: Its events, an array of `EVENT_DTYPE`; none are fine.

        Returns:
            The decoded output so far, float32, of one sample.

        Raises:
            RuntimeError: If another stream has used the network meanwhile.
        """
        if not self._has_begun:
            self.reset()
        owner = _OWNERS.get(self._model_snn)
        if owner is None or owner() is not self:
            raise RuntimeError(
                "Another stream has used this network, and its state is that one's. Call `reset()` to begin anew, or give "
                "each stream a network of its own (`keras.models.load_model` of the same file)."
            )
        return np.asarray(self._model_snn.step(self.frame(packet)[np.newaxis]))[0]

    def run(self, events: Any, **window: Any) -> Iterator[np.ndarray]:
        """Yields the output after each packet of one recording, which begins anew.

        Args:
            events: The events, or arrays of them as they come, see `packets`.
            **window: `time_window` or `event_count`, and other arguments of `packets`.
        """
        cut = packets(events, **window)
        self.reset()
        return (self.step(packet) for packet in cut)
