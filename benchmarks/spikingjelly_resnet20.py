"""ResNet-20 in SpikingJelly (PyTorch), with the same weights, for the comparison of speed."""

import os
import pathlib

import numpy as np


def available() -> bool:
    """Whether SpikingJelly is installed."""
    try:
        import spikingjelly.activation_based.ann2snn  # noqa: F401
    except ImportError:
        return False
    return True


def version() -> str:
    """Returns the versions of SpikingJelly and PyTorch."""
    import importlib.metadata

    return f"SpikingJelly {importlib.metadata.version('spikingjelly')}, PyTorch {importlib.metadata.version('torch')}"


#: Images times timesteps that a multi-step run, which holds all timesteps of a layer, may have.
MOST_AT_ONCE = 2048


def build(weights: pathlib.Path, calibration: np.ndarray):
    """Returns a function (images NHWC, timesteps, step mode) -> outputs that simulates the converted network.

    Args:
        weights: resnet20_cifar10.npz, PyTorch names and layouts.
        calibration: Images as the network expects them, NHWC.
    """
    import torch
    from spikingjelly.activation_based import ann2snn, functional

    torch.set_num_threads(os.cpu_count() or 1)
    with np.load(weights, allow_pickle=False) as file:
        arrays = {name.removeprefix("module."): torch.from_numpy(file[name]) for name in file.files}
    model = _resnet20()
    # The shortcuts' fixed 0 and 1 are not in the file.
    report = model.load_state_dict(arrays, strict=False)
    if report.unexpected_keys or any(
        ".shortcut." not in key and "num_batches" not in key for key in report.missing_keys
    ):
        raise RuntimeError(f"'{weights}' does not hold this network's weights: {report}")
    model.eval()
    batches = [(_images(calibration[i : i + 64]), None) for i in range(0, len(calibration), 64)]
    recipe = ann2snn.RateCodingRecipe(batches, mode="99.9%", channel_wise=True, half_threshold=True)
    network = ann2snn.Converter(recipe).convert(model).eval()

    def simulate(images: np.ndarray, timesteps: int, step_mode: str) -> np.ndarray:
        x = _images(images)
        functional.set_step_mode(network, step_mode)
        functional.reset_net(network)
        with torch.inference_mode():
            if step_mode == "s":
                return (sum(network(x) for _ in range(timesteps)) / timesteps).numpy()
            part = max(1, MOST_AT_ONCE // timesteps)
            outputs = []
            for batch in x.split(part):
                functional.reset_net(network)
                outputs.append(network(batch.unsqueeze(0).repeat(timesteps, 1, 1, 1, 1)).mean(0))
            return torch.cat(outputs).numpy()

    return simulate


def _images(images: np.ndarray):
    import torch

    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def _resnet20():
    import torch
    from torch import nn

    def option_a(inputs: int, planes: int) -> nn.Module:
        """Option A of He et al. 2015, every second pixel, channels padded with zeros, as a convolution with 0 and 1."""
        shortcut = nn.Conv2d(inputs, planes, 1, 2, bias=False)
        with torch.no_grad():
            shortcut.weight.zero_()
            shortcut.weight[planes // 4 : planes // 4 + inputs, :, 0, 0] = torch.eye(inputs)
        return shortcut

    class Block(nn.Module):
        def __init__(self, inputs: int, planes: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, planes, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(planes)
            self.relu1 = nn.ReLU()
            self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(planes)
            self.relu2 = nn.ReLU()
            self.shortcut = option_a(inputs, planes) if stride == 2 else nn.Identity()

        def forward(self, x):
            y = self.relu1(self.bn1(self.conv1(x)))
            return self.relu2(self.bn2(self.conv2(y)) + self.shortcut(x))

    class ResNet20(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(16)
            self.relu = nn.ReLU()
            planes = [16, 16, 32, 64]
            for stage in (1, 2, 3):
                first = Block(planes[stage - 1], planes[stage], 1 if stage == 1 else 2)
                rest = [Block(planes[stage], planes[stage], 1) for _ in range(2)]
                setattr(self, f"layer{stage}", nn.Sequential(first, *rest))
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.linear = nn.Linear(64, 10)

        def forward(self, x):
            x = self.relu(self.bn1(self.conv1(x)))
            x = self.layer3(self.layer2(self.layer1(x)))
            return self.linear(torch.flatten(self.pool(x), 1))

    return ResNet20()
