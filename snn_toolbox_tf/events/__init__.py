"""Events of event cameras: read from files, cut into windows, made into frames, streamed through a network."""

from snn_toolbox_tf.events.aedat import read_aedat
from snn_toolbox_tf.events.event_array import EVENT_DTYPE, EventError, as_events, check_events
from snn_toolbox_tf.events.frame_layout import FRAME_METHODS, FrameLayout
from snn_toolbox_tf.events.frames import scale_frames, to_frames
from snn_toolbox_tf.events.nmnist import read_nmnist
from snn_toolbox_tf.events.reading import read_events, read_recordings
from snn_toolbox_tf.events.recordings import Recording, from_tonic
from snn_toolbox_tf.events.stream import EventStream
from snn_toolbox_tf.events.timesteps import to_timesteps
from snn_toolbox_tf.events.windows import packets

__all__ = [
    "EVENT_DTYPE",
    "FRAME_METHODS",
    "EventError",
    "EventStream",
    "FrameLayout",
    "Recording",
    "as_events",
    "check_events",
    "from_tonic",
    "packets",
    "read_aedat",
    "read_events",
    "read_nmnist",
    "read_recordings",
    "scale_frames",
    "to_frames",
    "to_timesteps",
]
