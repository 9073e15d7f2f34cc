"""Small nets of detectors other than SSD."""

from definitions import Builder

RPN = """layer { name: "proposal" type: "Python" bottom: "rpn_prob" bottom: "rpn_box"
  bottom: "im_info" top: "rois" python_param { module: "rpn.proposal_layer"
  layer: "ProposalLayer" param_str: "'feat_stride': 4\\n'scales': [1, 2]" } }"""


def yolo(version):
    b = Builder("yolo", (1, 3, 32, 32))
    x = b.conv_relu("conv2", b.pool("pool", b.conv_relu("conv1", "data", 8, 3, pad=1), 2, 2), 8,
                    3, stride=2, pad=1)
    if version == 2:
        b.layer("YoloDetectionOutput", "boxes", b.conv("out", x, 2 * 8, 1), params="""
            yolo_detection_output_param { num_classes: 3 biases: 1 biases: 2 biases: 3 biases: 1
            num_box: 2 confidence_threshold: 0.1 nms_threshold: 0.45 }""")
        return b.text()
    y = b.conv_relu("conv3", x, 8, 3, stride=2, pad=1)
    b.layer("Yolov3DetectionOutput", "boxes", [b.conv("far", y, 16, 1), b.conv("near", x, 16, 1)],
            params="""yolov3_detection_output_param { num_classes: 3 confidence_threshold: 0.1
            nms_threshold: 0.45 biases: 4 biases: 5 biases: 6 biases: 3 biases: 12 biases: 10
            biases: 14 biases: 16 anchors_scale: 8 anchors_scale: 4 mask_group_num: 2
            mask: 2 mask: 3 mask: 0 mask: 1 }""")
    return b.text()


def faster_rcnn():
    b = Builder("faster", (1, 3, 40, 48))
    b.lines += ['input: "im_info" input_shape { dim: 1 dim: 3 }']
    x = b.conv_relu("conv2", b.conv_relu("conv1", "data", 8, 3, stride=2, pad=1), 8, 3, stride=2,
                    pad=1)
    scores = b.layer("Reshape", "rpn_shaped", b.conv("rpn_score", x, 12, 1), params="""
        reshape_param { shape { dim: 0 dim: 2 dim: -1 dim: 0 } }""")
    b.layer("Reshape", "rpn_prob", b.softmax(scores, "rpn_soft"), params="""
        reshape_param { shape { dim: 0 dim: 12 dim: -1 dim: 0 } }""")
    b.conv("rpn_box", x, 24, 1)
    b.lines.append(RPN)
    pooled = b.layer("ROIPooling", "pool5", [x, "rois"], params="""roi_pooling_param {
        pooled_h: 2 pooled_w: 2 spatial_scale: 0.25 }""")
    hidden = b.relu(b.fc("fc6", pooled, 12))
    b.softmax(b.fc("cls_score", hidden, 4), "cls_prob")
    b.fc("bbox_pred", hidden, 16)
    return b.text()


def rfcn():
    text = faster_rcnn()
    head = text[:text.index('layer {\n  name: "pool5"')]
    b = Builder("rfcn", (1, 3, 40, 48))
    b.lines = [head]
    for name, outputs in (("cls", 4), ("bbox", 8)):
        maps = b.conv(f"rfcn_{name}", "conv2", outputs * 9, 1)
        pooled = b.layer("PSROIPooling", f"psroi_{name}", [maps, "rois"], params=f"""
            psroi_pooling_param {{ spatial_scale: 0.25 output_dim: {outputs} group_size: 3 }}""")
        b.global_average({"cls": "cls_score", "bbox": "bbox_pred"}[name], pooled)
    b.softmax("cls_score", "cls_prob")
    return b.text()
