"""What others published, by the net and the protocol, in percent."""

from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Tuple

from caffe_gradcam.measuring.protocols.scores import ALL, DIFFICULT, TOP_1, TOP_5


@dataclass(frozen=True)
class Reported:
    """A row of a published table.

    Attributes
    ----------
    method : str
        As the source calls it.
    values : mapping
        Column -> percent.
    source : str
    ours : tuple of str
        Our names of the method; empty where we do not have it.
    """

    method: str
    values: Mapping[str, float]
    source: str
    ours: Tuple[str, ...] = ()


_TORCHRAY = "TorchRay's table (Fong et al., 2019)"
_GRADCAM = "Selvaraju et al., 2017"
_REPLICATION = "a replication"
_CAM = "Zhou et al., 2016"  # Table 2.


def _pointing(method: str, percent: Tuple[float, float], *ours: str) -> Reported:
    return Reported(method, {ALL: percent[0], DIFFICULT: percent[1]}, _TORCHRAY, ours)


def _errors(method: str, percent: Tuple[float, float], source: str, *ours: str) -> Reported:
    return Reported(method, {TOP_1: percent[0], TOP_5: percent[1]}, source, ours)


# Protocol -> net -> rows; the first row of a method is what ours is compared with.
TABLES: Dict[str, Dict[str, List[Reported]]] = {
    "torchray-voc07": {
        "VGG-16": [_pointing("Grad-CAM", (86.6, 74.0), "grad-cam"),
                   _pointing("extremal perturbation, the best", (88.0, 76.1))],
        "ResNet-50": [_pointing("Grad-CAM", (90.4, 82.3), "grad-cam"),
                      _pointing("contrastive excitation backprop, the best", (90.7, 82.1))],
    },
    "torchray-coco14": {
        "VGG-16": [_pointing("Grad-CAM, the best", (54.2, 49.0), "grad-cam")],
        "ResNet-50": [_pointing("Grad-CAM", (57.3, 52.3), "grad-cam"),
                      _pointing("contrastive excitation backprop, the best", (58.5, 53.6))],
    },
    "gradcam-ilsvrc": {
        "VGG-16": [_errors("Grad-CAM", (56.51, 46.41), _GRADCAM, "grad-cam"),
                   _errors("Grad-CAM", (55.82, 44.82), _REPLICATION, "grad-cam")],
        "GoogLeNet": [_errors("Grad-CAM", (60.09, 49.34), _GRADCAM, "grad-cam"),
                      _errors("Grad-CAM", (56.89, 45.44), _REPLICATION, "grad-cam")],
        "AlexNet": [_errors("Grad-CAM", (68.3, 56.6), _GRADCAM, "grad-cam"),
                    _errors("Grad-CAM", (68.04, 56.18), _REPLICATION, "grad-cam")],
    },
    # Behind a mean over all cells, CAM and Grad-CAM are the same map.
    "cam-ilsvrc": {
        "VGGnet-GAP": [_errors("CAM", (57.20, 45.14), _CAM, "cam", "grad-cam")],
        "GoogLeNet-GAP": [_errors("CAM", (56.40, 43.00), _CAM, "cam", "grad-cam")],
        "AlexNet*-GAP": [_errors("CAM", (63.75, 49.53), _CAM, "cam", "grad-cam")],
    },
}
# Net -> convolutions and dense layers, and the channels and the kernel of the first one.
_FINGERPRINTS = {"VGG-16": (16, 64, 3), "ResNet-50": (54, 64, 7), "GoogLeNet": (58, 64, 7),
                 "AlexNet": (8, 96, 11), "VGGnet-GAP": (15, 64, 3), "GoogLeNet-GAP": (47, 64, 7),
                 "AlexNet*-GAP": (8, 96, 11)}


def net_of(protocol: str, fingerprint: Tuple[int, int, int]) -> Optional[str]:
    """The net of a protocol's table that has so many layers with weights, the first of which has
    so many channels and such a kernel; None where none has."""
    return next((name for name in TABLES[protocol] if _FINGERPRINTS[name] == fingerprint), None)


def rows(protocol: str, net: Optional[str]) -> List[Reported]:
    """The published rows of a net; none for a net without."""
    return TABLES[protocol].get(net, []) if net else []


def counterpart(reported: List[Reported], method: str) -> Optional[Reported]:
    """The published row that a method of ours is compared with."""
    return next((row for row in reported if method in row.ours), None)
