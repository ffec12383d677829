"""`check`: what becomes of every part of a model, before any work."""

import keras
import pytest

import snn_toolbox_tf as snn

L = keras.layers


def becomes(report):
    return {row.name: row.becomes for row in report.rows}


def test_every_part_of_a_network_is_accounted_for():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3), name="image"),
            L.Conv2D(8, 3, use_bias=False, name="conv"),
            L.BatchNormalization(name="bn"),
            L.ReLU(name="relu"),
            L.MaxPooling2D(2, name="pool"),
            L.Dropout(0.5, name="dropout"),
            L.Flatten(name="flatten"),
            L.Dense(4, activation="softmax", name="classes"),
        ]
    )
    report = snn.check(model)
    assert report.ok
    assert becomes(report) == {
        "image": "input",
        "conv": "synapse",
        "bn": "removed",
        "relu": "population",
        "pool": "synapse",
        "dropout": "removed",
        "flatten": "synapse",
        "classes": "synapse",
        "classes_softmax": "readout",
    }
    reasons = {row.name: row.reason for row in report.rows}
    assert reasons["bn"] == "folded into 'conv'"
    assert reasons["relu"] == "3 x 3 x 8 integrate-and-fire neurons (behind the max pooling that reads it)"
    assert "can be converted: 1 input, 4 synapses, 1 population" in report.summary


def refusing_model():
    inputs = keras.Input((8, 8, 3), name="image")
    x = L.Conv2D(4, 3, name="conv")(inputs)
    x = L.Activation("gelu", name="gelu")(x)
    x = L.Multiply(name="gate")([x, x])
    L.Dense(2, name="unused")(x)
    x = L.LayerNormalization(name="norm")(x)
    outputs = L.Dense(3, "softmax", name="classes")(L.GlobalAveragePooling2D(name="mean")(x))
    return keras.Model(inputs, outputs, name="refusing")


def test_everything_that_is_refused_has_a_reason_and_a_remedy():
    report = snn.check(refusing_model())
    assert not report.ok
    assert [row.name for row in report.refused] == ["gelu", "gate", "norm"]
    assert all(row.reason and row.remedy for row in report.refused)
    with pytest.raises(snn.UnsupportedModelError) as error:
        snn.convert_keras(refusing_model())
    for row in report.refused:
        assert f"'{row.name}' ({row.class_name}): {row.reason}; remedy: {row.remedy}." in str(error.value)
    text = str(report)
    assert "remedy: retrain with BatchNormalization" in text
    assert text.endswith(
        "'refusing' cannot be converted: 1 input, 3 synapses, 1 readout, 3 refused. Remedies are in the table."
    )


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: keras.Sequential([L.Dense(3)], name="unbuilt"), "is not built"),
        (lambda: keras.Sequential([keras.Input((None, 3)), L.Dense(3, "relu")], name="free"), "must have a fixed size"),
        (lambda: keras.Sequential([keras.Input((3,)), L.Dense(3)], name="affine"), "has no inner nonlinearity"),
    ],
)
def test_a_model_that_is_refused_as_a_whole(make, reason):
    report = snn.check(make())
    assert not report.ok
    assert reason in report.refused[-1].reason


def test_only_models_are_checked():
    with pytest.raises(TypeError, match=r"Expected `model` to be a keras\.Model"):
        snn.check("model.keras")


def test_checking_changes_nothing(mlp):
    before = [weight.copy() for weight in mlp.get_weights()]
    nodes = [len(layer._inbound_nodes) for layer in mlp.layers]
    report = snn.check(mlp)
    assert report.as_dict()["convertible"]
    assert [row["becomes"] for row in report.as_dict()["nodes"]] == ["input", "synapse", "population", "readout"]
    assert all((a == b).all() for a, b in zip(before, mlp.get_weights(), strict=True))
    assert nodes == [len(layer._inbound_nodes) for layer in mlp.layers]
