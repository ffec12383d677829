"""What `compare` says of outputs, by what they stand for."""

import keras
import numpy as np
import pytest
from sklearn import metrics

import snn_toolbox_tf as snn
from snn_toolbox_tf.analysis.output_agreement import OutputAgreement
from snn_toolbox_tf.tasks.boxes import box_overlap

L = keras.layers


def test_compare_speaks_of_each_outputs_task(rng):
    image = keras.Input((4, 4, 1))
    features = L.Conv2D(3, 3, padding="same", activation="relu", name="features")(image)
    flat = L.Flatten()(features)
    outputs = [
        L.Conv2D(3, 1, activation="softmax", name="mask")(features),
        L.Dense(3, "softmax", name="label")(flat),
        L.Dense(2, name="size")(flat),
        L.Dense(4, name="box")(flat),
    ]
    model = keras.Model(image, outputs)
    x = rng.random((20, 4, 4, 1), dtype=np.float32)
    stated = {"size": "regression", "box": "boxes"}
    model_snn = snn.convert_keras(model, x, timesteps=6, task=stated, threshold_rule="percentile")
    fidelity = snn.compare(model, model_snn, x, batch_size=8)
    mask, label, size, box = (np.asarray(output) for output in model.predict(x, verbose=0))
    snn_mask, snn_label, snn_size, snn_box = (output[-1] for output in model_snn.simulate(x).outputs)
    assert fidelity.tasks == {"mask": "segmentation", "label": "classes", "size": "regression", "box": "boxes"}
    found = fidelity.agreement
    assert found["mask"] == {"pixel_agreement": (mask.argmax(-1) == snn_mask.argmax(-1)).mean()}
    assert found["label"] == {"agreement": (label.argmax(-1) == snn_label.argmax(-1)).mean()}
    for name, theirs, ours in (("size", size, snn_size), ("box", box, snn_box)):
        assert found[name]["r2_to_ann"] == pytest.approx(metrics.r2_score(theirs, ours), rel=1e-4)
        error = np.sqrt(metrics.mean_squared_error(theirs, ours))
        assert found[name]["root_mean_square_error"] == pytest.approx(error, rel=1e-4)
    assert found["box"]["mean_box_iou"] == pytest.approx(box_overlap(snn_box, box).mean(), rel=1e-4)
    text = str(fidelity)
    assert "output 'mask' (segmentation): " in text
    assert "% of the pixels are decided as by the ANN" in text
    assert "output 'size' (regression): R² against the ANN " in text
    assert "accuracy" not in text


def test_numbers_that_are_equal_agree_completely(rng):
    values = rng.random((5, 3))
    agreement = OutputAgreement("regression")
    assert agreement.summary() == {}
    agreement.add(values, values)
    assert agreement.summary() == {"r2_to_ann": 1.0, "root_mean_square_error": 0.0}
