"""Tiny models that between them use every layer that can be converted, with random but sensible weights."""

import keras
import numpy as np

from snn_toolbox_tf.layers import ThresholdReLU

L = keras.layers


def randomize_batch_norm(layer, generator, signs=(1,), variance=(0.5, 2.0)):
    """Gives a batch norm statistics as if trained."""
    shape = layer.moving_mean.shape
    if layer.scale:
        gamma = generator.uniform(0.5, 1.5, shape)
        layer.gamma.assign(gamma * generator.choice(signs, shape) if len(signs) > 1 else gamma)
    if layer.center:
        layer.beta.assign(generator.normal(0, 0.3, shape))
    layer.moving_mean.assign(generator.normal(0, 0.3, shape))
    layer.moving_variance.assign(generator.uniform(*variance, shape))


def _randomize(model):
    """Gives batch norms statistics as if trained, and biases something to do."""
    generator = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _randomize(layer)
        elif isinstance(layer, L.BatchNormalization):
            randomize_batch_norm(layer, generator)
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign(generator.normal(0, 0.1, layer.bias.shape))
    return model


def cnn():
    """Convolution, batch norm, max pooling, dropout, softmax."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            L.Conv2D(8, 3, padding="same", use_bias=False, name="conv1"),
            L.BatchNormalization(),
            L.ReLU(name="relu1"),
            L.MaxPooling2D(2),
            L.Dropout(0.5),
            L.Conv2D(6, 3, activation="relu", name="conv2"),
            L.Flatten(),
            L.Dense(4, activation="softmax", name="classes"),
        ]
    )


def channels_first():
    """The same in channels first, with padding between ReLU and pooling, and a depthwise convolution."""
    kwargs = {"data_format": "channels_first"}
    return keras.Sequential(
        [
            keras.Input((3, 9, 9)),
            L.Conv2D(6, 3, padding="same", use_bias=False, **kwargs),
            L.BatchNormalization(axis=1),
            L.ReLU(),
            L.ZeroPadding2D(1, **kwargs),
            L.MaxPooling2D(3, 2, **kwargs),
            L.DepthwiseConv2D(3, depth_multiplier=2, **kwargs),
            L.BatchNormalization(axis=1),
            L.ReLU(),
            L.Conv2D(4, 1, activation="relu", **kwargs),
            L.Flatten(**kwargs),
            L.Dense(4),
        ]
    )


def residual():
    """Identity and projection shortcuts, global average pooling."""
    inputs = keras.Input((8, 8, 3))
    x = L.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    y = L.ReLU()(L.BatchNormalization()(L.Conv2D(8, 3, padding="same")(x)))
    y = L.BatchNormalization()(L.Conv2D(8, 3, padding="same")(y))
    x = L.ReLU()(L.Add()([x, y]))
    y = L.Conv2D(12, 3, strides=2, padding="same", activation="relu")(x)
    x = L.ReLU()(L.Add()([L.Conv2D(12, 1, strides=2)(x), L.Conv2D(12, 3, padding="same")(y)]))
    return keras.Model(inputs, L.Dense(4)(L.GlobalAveragePooling2D()(x)))


def separable():
    """Separable convolutions, batch norm behind a ReLU, averages over nine, upsampling, cropping."""
    inputs = keras.Input((8, 8, 3))
    x = L.SeparableConv2D(8, 3, padding="same", activation="relu")(inputs)
    x = L.BatchNormalization()(x)
    x = L.ReLU()(L.add([x, L.Conv2D(8, 3, padding="same")(x)]))
    x = L.SeparableConv2D(6, 3, activation="relu")(x)
    x = L.Cropping2D(1)(L.UpSampling2D(2)(L.AveragePooling2D(3)(x)))
    return keras.Model(inputs, L.Dense(4, activation="softmax")(L.Flatten()(x)))


def branches():
    """Concatenated branches into max pooling, ReLU6, two outputs of which one is an inner node."""
    inputs = keras.Input((8, 8, 3))
    x = L.Conv2D(8, 3, activation="relu", padding="same")(inputs)
    x = L.Concatenate()([L.Conv2D(4, 1, activation="relu")(x), L.Conv2D(4, 3, padding="same", activation="relu")(x)])
    x = L.ReLU(6.0)(L.Conv2D(5, 2)(L.MaxPooling2D(2)(x)))
    pooled = L.GlobalAveragePooling2D(name="pooled")(x)
    return keras.Model(inputs, [L.Dense(3, name="logits")(pooled), pooled])


def operators():
    """Operators on tensors, a current that two populations read, transposed and grouped convolutions."""
    inputs = keras.Input((8, 8, 3))
    x = L.Conv2D(8, 3, padding="same")(inputs)
    first, second = L.ReLU()(x), L.ReLU()(x * 2.0 - 0.1)
    x = L.Conv2D(8, 1)(inputs) + L.Conv2D(8, 1)(first)
    x = keras.ops.relu(L.Conv2D(4, 3)(L.Subtract()([x, second / 2.0])))
    x = L.Conv2DTranspose(4, 3, strides=2, activation="relu")(x)
    x = L.Average()([x, 1.0 - (-x)])
    x = L.Conv2D(4, 3, groups=2, activation="relu")(L.Cropping2D(1)(x))
    return keras.Model(inputs, L.Dense(2, activation="sigmoid")(L.Flatten()(x)))


def multi_input():
    """Two inputs by name, a shared layer, a nested model, outputs by name, a ReLU that is output and inner node."""
    a, b = keras.Input((5,), name="a"), keras.Input((6,), name="b")
    shared = L.Dense(7, activation="relu", name="shared")
    nested = keras.Sequential([keras.Input((7,)), L.Dense(7, activation="relu", name="inside")], name="nested")
    x = L.Concatenate()([nested(shared(a)), nested(shared(L.Dense(5)(b)))])
    features = L.Dense(8, activation="relu", name="features")(L.BatchNormalization()(x))
    classes = L.Dense(3, activation="softmax", name="classes")(features)
    return keras.Model({"a": a, "b": b}, {"classes": classes, "features": features})


def sequence():
    """One spatial dimension: causal and dilated convolutions, pooling, Permute, RepeatVector."""
    inputs = keras.Input((12, 4))
    x = L.MaxPooling1D(2)(L.Conv1D(6, 3, activation="relu", padding="causal")(inputs))
    x = L.Conv1D(6, 3, activation="relu", dilation_rate=2)(x)
    x = L.Dense(5, activation="relu")(L.Permute((2, 1))(L.AveragePooling1D(2)(L.ZeroPadding1D(1)(x))))
    x = L.RepeatVector(2)(L.GlobalMaxPooling1D()(x))
    return keras.Model(inputs, L.Dense(4)(L.Reshape((10,))(x)))


def preprocessing():
    """Rescaling and batch norm in front, batch norm between two ReLUs, unequal averages at the borders."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            L.Rescaling(1 / 2.0, offset=-0.1),
            L.BatchNormalization(),
            L.Conv2D(4, 3, padding="same"),
            L.ReLU(),
            L.BatchNormalization(),
            L.ReLU(),
            L.AveragePooling2D(3, padding="same", strides=1),
            L.Flatten(),
            L.Dense(3, activation="relu"),
            L.Dense(3),
        ]
    )


def volume():
    """Three spatial dimensions."""
    inputs = keras.Input((4, 4, 4, 2))
    x = L.Conv3D(4, 3, padding="same", activation="relu")(inputs)
    x = L.ReLU()(L.BatchNormalization()(L.Conv3D(4, 2, strides=2)(x)))
    return keras.Model(inputs, L.Dense(3)(L.GlobalAveragePooling3D()(x)))


def volume_pooling():
    """Max and average pooling in three dimensions, overlapping and padded; global max pooling."""
    inputs = keras.Input((6, 7, 8, 2))
    x = L.Conv3D(4, 2, padding="same", activation="relu")(inputs)
    x = L.MaxPooling3D((2, 3, 3), (1, 2, 2), padding="same")(x)
    x = L.Conv3D(5, 2, activation="relu")(x)
    x = L.AveragePooling3D((2, 2, 1), (1, 1, 1), padding="same")(x)
    x = L.BatchNormalization()(L.Conv3D(4, 1)(x))
    return keras.Model(inputs, L.Dense(3)(L.GlobalMaxPooling3D()(L.ReLU()(x))))


def volume_channels_first():
    """The same in channels first."""
    kwargs = {"data_format": "channels_first"}
    inputs = keras.Input((2, 6, 6, 6))
    x = L.ReLU()(L.BatchNormalization(axis=1)(L.Conv3D(4, 3, padding="same", **kwargs)(inputs)))
    x = L.AveragePooling3D(2, **kwargs)(L.MaxPooling3D(2, 1, **kwargs)(x))
    return keras.Model(inputs, L.Dense(3)(L.Flatten()(L.Conv3D(3, 2, activation="relu", **kwargs)(x))))


def resampled():
    """Interpolation both ways, slices, a clip, a PReLU."""
    slopes = keras.initializers.RandomUniform(0.05, 0.4, seed=1)
    inputs = keras.Input((6, 5, 2))
    x = L.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    x = L.Conv2D(4, 3)(L.UpSampling2D(2, interpolation="bilinear")(x))
    x = L.PReLU(alpha_initializer=slopes, shared_axes=[1, 2])(x)
    x = L.Resizing(5, 4, interpolation="bilinear")(x)[:, 1:, ::2]
    x = keras.ops.clip(L.Conv2D(5, 2)(x), -0.2, 0.6)
    x = L.Dense(6, activation="relu")(L.Flatten()(x)[:, ::-2])
    return keras.Model(inputs, L.Dense(3)(x))


def trained_thresholds():
    """ReLUs with thresholds that were trained, one for all and one per channel, in front of max pooling and of a sum."""
    inputs = keras.Input((8, 8, 3))
    x = ThresholdReLU(0.8)(L.BatchNormalization()(L.Conv2D(6, 3, padding="same")(inputs)))
    x = L.MaxPooling2D(2)(x)
    y = ThresholdReLU([0.2, 0.4, 0.6, 0.8, 1.0])(L.Conv2D(5, 1)(x))
    x = L.Add()([L.MaxPooling2D(2, 1, padding="same")(y), L.Conv2D(5, 3, padding="same", activation="relu")(x)])
    return keras.Model(inputs, L.Dense(4, activation="softmax")(L.Flatten()(x)))


BUILDERS = [
    cnn, channels_first, residual, separable, branches, operators, multi_input, sequence, preprocessing, volume,
    volume_pooling, volume_channels_first, resampled, trained_thresholds,
]  # fmt: skip


def build(builder):
    return _randomize(builder())


def data_for(model, samples, seed=0):
    """Random input in the structure of the model's inputs."""
    generator = np.random.default_rng(seed)
    return keras.tree.map_structure(
        lambda tensor: generator.normal(size=(samples, *tensor.shape[1:])).astype(np.float32),
        model.input if not isinstance(model, keras.Sequential) else model.inputs[0],
    )
