"""Engines against one another: what runs a layer must not show."""

import keras
import numpy as np


def assert_engines_agree(model_snn, x, record=("spikes", "membrane_potential"), **options):
    """Whatever is recorded, and all outputs, are bit-equal; the same synapses are counted."""
    found = {}
    for engine in ("dense", "event", "auto"):
        model_snn.engine = engine
        found[engine] = model_snn.simulate(x, record=list(record), **options)
    for engine in ("event", "auto"):
        for kind in record:
            for name, expected in getattr(found["dense"], kind).items():
                np.testing.assert_array_equal(getattr(found[engine], kind)[name], expected, err_msg=f"{kind} of {name}")
        for ours, theirs in zip(
            keras.tree.flatten(found[engine].outputs), keras.tree.flatten(found["dense"].outputs), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
        assert found[engine].synaptic_operations.keys() == found["dense"].synaptic_operations.keys()
