"""pytorch-grad-cam on the layers of the torch engine."""

import sys
from unittest import mock

import torch

# What it imports at once and uses for other things than Grad-CAM.
for absent in ("ttach", "torchvision", "torchvision.transforms", "PIL", "tqdm",
               "torchvision.transforms.functional", "matplotlib", "matplotlib.lines"):
    try:
        __import__(absent)
    except ImportError:
        sys.modules[absent] = mock.MagicMock()

from pytorch_grad_cam import GradCAM  # noqa: E402
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget  # noqa: E402

from caffe_gradcam.engines.torch.trunk import Layers  # noqa: E402


class Net(torch.nn.Module):
    """All layers, with a module at the target for the library's hooks to hang on."""

    def __init__(self, session):
        super().__init__()
        engine = session.engine
        layers, cut = engine._subnet.net.layers, min(engine._leaves) + 1
        weights = dict(engine._weights)
        for layer in layers:
            if layer.type != "BatchNorm":  # Its statistics are no parameters in torch.
                weights[layer.name] = [torch.nn.Parameter(array) for array in weights[layer.name]]
        self.learned = torch.nn.ParameterList(
            array for arrays in weights.values() for array in arrays if array.requires_grad)
        self.trunk = Layers(layers[:cut], weights, ["data"], [session.target])
        self.target = torch.nn.Identity()
        self.head = Layers(layers[cut:], weights, [session.target], [session.score])

    def forward(self, data):
        return self.head(self.target(self.trunk(data)[0]))[0].flatten(1)


def make(session):
    """A function that explains the session's batch."""
    net = Net(session)
    cam = GradCAM(model=net, target_layers=[net.target])
    data = torch.from_numpy(session.data)
    targets = [ClassifierOutputTarget(0)] * len(data)
    return lambda: cam(input_tensor=data, targets=targets)
