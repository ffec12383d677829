"""Prints what an installed package is and does, as JSON; release/try_wheel.py runs it in an environment of its own.

python -I probe.py NETWORK FOLDER_OF_DATA
"""

import hashlib
import json
import pathlib
import sys

import keras
import numpy as np

import snn_toolbox_tf as snn
from snn_toolbox_tf.foundation.versions import versions


def main() -> None:
    """Prints versions, implementation of the ops, and the spikes of a network for test data."""
    network, folder = map(pathlib.Path, sys.argv[1:])
    with np.load(folder / "x_test.npz") as file:
        x = file["arr_0"]
    result = keras.saving.load_model(network).simulate(x, record=["spikes"], outputs="last")
    digest, count = hashlib.sha256(), 0
    for name in sorted(result.spikes):
        spikes = np.asarray(result.spikes[name]) != 0
        digest.update(f"{name} {spikes.shape}".encode() + np.packbits(spikes).tobytes())
        count += int(spikes.sum())
    active = snn.ops.implementation()
    facts = {
        "location": str(pathlib.Path(snn.__file__)),
        **versions(),
        "ops": active.name,
        "reason": active.reason,
        "variant": active.variant,
        "spikes": count,
        "digest of spikes": digest.hexdigest()[:16],
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
