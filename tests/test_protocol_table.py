"""The table of a protocol: published rows beside ours, for the nets that these are about."""

import definitions
import pytest

from caffe_gradcam.measuring.protocols import published, table
from caffe_gradcam.measuring.protocols.protocol import PROTOCOLS, fingerprint, takes_any_size
from caffe_gradcam.measuring.protocols.scores import Score
from caffe_gradcam.model.model import LoadedModel

NETS = {"VGG-16": definitions.vgg, "ResNet-50": definitions.resnet,
        "GoogLeNet": definitions.googlenet, "AlexNet": definitions.caffenet}


def model_of(folder, text):
    (folder / "deploy.prototxt").write_text(text)
    (folder / "net.caffemodel").write_bytes(b"")
    return LoadedModel.load(str(folder))


@pytest.mark.parametrize("protocol, net, ours", [
    ("torchray-voc07", "VGG-16", (86.6, 74.0)), ("torchray-voc07", "ResNet-50", (90.4, 82.3)),
    ("torchray-coco14", "VGG-16", (54.2, 49.0)), ("torchray-coco14", "ResNet-50", (57.3, 52.3)),
    ("gradcam-ilsvrc", "VGG-16", (56.51, 46.41)), ("gradcam-ilsvrc", "GoogLeNet", (60.09, 49.34)),
    ("gradcam-ilsvrc", "AlexNet", (68.3, 56.6)),
])
def test_a_net_is_compared_with_the_rows_of_its_kind(tmp_path, protocol, net, ours):
    model = model_of(tmp_path, NETS[net]())
    assert published.net_of(protocol, fingerprint(model)) == net
    row = published.counterpart(published.rows(protocol, net), "grad-cam")
    assert tuple(row.values[column] for column in PROTOCOLS[protocol].columns) == ours


def test_the_best_rows_of_torchrays_table():
    best = {(protocol, net): tuple(rows[-1].values.values())
            for protocol in ("torchray-voc07", "torchray-coco14")
            for net, rows in published.TABLES[protocol].items()}
    assert best == {("torchray-voc07", "VGG-16"): (88.0, 76.1),
                    ("torchray-voc07", "ResNet-50"): (90.7, 82.1),
                    ("torchray-coco14", "VGG-16"): (54.2, 49.0),
                    ("torchray-coco14", "ResNet-50"): (58.5, 53.6)}


@pytest.mark.parametrize("net, convolutions, channels, kernel, ours", [
    ("VGGnet-GAP", 14, 64, 3, (57.20, 45.14)), ("GoogLeNet-GAP", 46, 64, 7, (56.40, 43.00)),
    ("AlexNet*-GAP", 7, 96, 11, (63.75, 49.53)),
])
@pytest.mark.parametrize("method", ["cam", "grad-cam"])
def test_nets_with_a_mean_over_all_cells_are_compared_with_the_table_of_cam(
        net, convolutions, channels, kernel, ours, method):
    assert published.net_of("cam-ilsvrc", (convolutions + 1, channels, kernel)) == net
    row = published.counterpart(published.rows("cam-ilsvrc", net), method)
    assert tuple(row.values.values()) == ours
    assert row.source == "Zhou et al., 2016"


def test_the_net_of_cams_authors_is_known_by_its_layers(shared, tmp_path):
    path = shared / "prototxt" / (
        "zhoubolei+CAM+models__deploy_alexnetplusCAM_places205.prototxt")
    assert published.net_of("cam-ilsvrc", fingerprint(
        model_of(tmp_path, path.read_text()))) == "AlexNet*-GAP"


def test_another_net_has_no_published_row(tmp_path):
    model = model_of(tmp_path, definitions.nin())
    assert published.net_of("gradcam-ilsvrc", fingerprint(model)) is None
    assert published.rows("gradcam-ilsvrc", None) == []


def test_a_dense_layer_behind_a_window_takes_one_size_only(tmp_path):
    assert not takes_any_size(model_of(tmp_path, definitions.vgg()))
    assert takes_any_size(model_of(tmp_path, definitions.nin()))
    assert PROTOCOLS["torchray-voc07"].overrides(model_of(tmp_path, definitions.nin())) == {
        "resize": 224, "crop": "none"}
    assert PROTOCOLS["gradcam-ilsvrc"].overrides(model_of(tmp_path, definitions.caffenet())) == {
        "resize": [227, 227], "crop": "none"}
    assert PROTOCOLS["cam-ilsvrc"].overrides(model_of(tmp_path, definitions.caffenet())) == {
        "resize": [256, 256], "crop": [227, 227], "crops": 10}


def test_ours_the_published_number_and_the_difference_stand_side_by_side():
    scores = [Score("image", 0, "grad-cam", "conv", {"all": 1.0}),
              Score("image", 1, "grad-cam", "conv", {"all": 0.0}),
              Score("image", 0, "layer-cam", "conv", {"all": 1.0, "difficult": 1.0})]
    rows = table.rows(scores, ("all", "difficult"))
    lines = table.text(rows, ("all", "difficult"), published.rows("torchray-voc07", "VGG-16"))
    assert [line.split() for line in lines.split("\n")[1:3]] == [
        ["grad-cam", "conv", "50.0", "86.6", "-36.6", "-", "74", "-"],
        ["layer-cam", "conv", "100.0", "-", "-", "100.0", "-", "-"]]
    cell = table.report(rows, ("all",), published.rows("torchray-voc07", "VGG-16"))[
        "rows"][0]["cells"]["all"]
    assert cell == {"mean": 50, "low": None, "high": None, "count": 2, "published": 86.6,
                    "difference": pytest.approx(-36.6)}
