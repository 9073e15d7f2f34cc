"""Small detectors in the style of public ones; `definitions.random_weights` fills them."""

from definitions import Builder

PERMUTED = "permute_param { order: 0 order: 2 order: 3 order: 1 }"


def head(b, source, priors, classes, prior_box, kernel=3):
    """The convolutions of a source layer, and its priors; the three blobs to be joined."""
    blobs = []
    for name, numbers in (("loc", 4), ("conf", classes)):
        conv = b.conv(f"{source}_{name}", source, priors * numbers, kernel, pad=kernel // 2)
        moved = b.layer("Permute", f"{conv}_perm", conv, params=PERMUTED)
        blobs.append(b.layer("Flatten", f"{conv}_flat", moved))
    blobs.append(b.layer("PriorBox", f"{source}_priors", [source, "data"],
                         params=f"prior_box_param {{ {prior_box} }}"))
    return blobs


def output(b, heads, classes, parameters):
    """Join the heads, and list the boxes."""
    location, confidence, priors = (
        b.layer("Concat", name, list(blobs), params=axis) for name, blobs, axis in zip(
            ("mbox_loc", "mbox_conf", "mbox_priorbox"), zip(*heads),
            ("", "", "concat_param { axis: 2 }")))
    shaped = b.layer("Reshape", "mbox_conf_reshape", confidence, params=(
        "reshape_param { shape { dim: 0 dim: -1 dim: %d } }" % classes))
    b.layer("Softmax", "mbox_conf_softmax", shaped, params="softmax_param { axis: 2 }")
    flat = b.layer("Flatten", "mbox_conf_flatten", "mbox_conf_softmax")
    b.layer("DetectionOutput", "detection_out", [location, flat, priors], params=(
        f"detection_output_param {{ num_classes: {classes} {parameters} }}"))


def mobilenet_ssd(classes=5):
    """Depthwise convolutions, two sources, boxes in the code CENTER_SIZE."""
    b = Builder("mobilenet-ssd", (1, 3, 48, 64))
    x = b.conv_relu("conv0", "data", 8, 3, stride=2, pad=1)
    x = b.conv_relu("conv1/dw", x, 8, 3, stride=2, pad=1, group=8, bias=False)
    x = b.conv_relu("conv1", x, 16, 1)
    y = b.conv_relu("conv2/dw", x, 16, 3, stride=2, pad=1, group=16)
    y = b.conv_relu("conv2", y, 16, 1)
    heads = [
        head(b, x, 3, classes, "min_size: 12 aspect_ratio: 2 flip: true "
             "clip: true variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 offset: 0.5"),
        head(b, y, 6, classes, "min_size: 20 max_size: 32 aspect_ratio: 2 aspect_ratio: 3 "
             "flip: true clip: true variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2"),
    ]
    output(b, heads, classes, "share_location: true background_label_id: 0 code_type: CENTER_SIZE "
           "nms_param { nms_threshold: 0.45 top_k: 60 } keep_top_k: 100 confidence_threshold: 0.2")
    return b.text()


def vgg_ssd(classes=4, code="CENTER_SIZE", encoded=False, shared=True):
    """A source that is normalised by its channels, a dilated convolution, steps and keep_top_k."""
    b = Builder("vgg-ssd", (1, 3, 40, 40))
    x = b.conv_relu("conv4_3", b.pool("pool", b.conv_relu("conv1", "data", 8, 3, pad=1), 2, 2),
                    12, 3, pad=1)
    x = b.pool("pool4", x, 2, 2)
    normal = b.layer("Normalize", "conv4_3_norm", x, params=(
        "norm_param { across_spatial: false channel_shared: false }"))
    fc6 = b.layer("Convolution", "fc6", x, params=(
        "convolution_param { num_output: 12 kernel_size: 3 pad: 2 dilation: 2 stride: 2 }"))
    b.relu(fc6)
    locations = 1 if shared else classes
    variance = "clip: false variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2"
    heads = []
    for source, priors, sizes in (
            (normal, 4, "min_size: 9 max_size: 15 aspect_ratio: 2 flip: true step: 4 offset: 0.5"),
            (fc6, 2, "min_size: 18 aspect_ratio: 1.5 flip: false")):
        blobs = head(b, source, priors, classes, f"{sizes} {variance}")
        heads.append(_unshared(blobs, locations, b, source, priors))
    output(b, heads, classes, f"share_location: {str(shared).lower()} background_label_id: 0 "
           f"code_type: {code} variance_encoded_in_target: {str(encoded).lower()} keep_top_k: 12 "
           "nms_param { nms_threshold: 0.4 top_k: 50 } confidence_threshold: 0.1")
    return b.text()


def _unshared(blobs, locations, b, source, priors):
    """The same blobs; with a location for each class where they are not shared."""
    if locations == 1:
        return blobs
    conv = b.conv(f"{source}_loc_by_class", source, priors * 4 * locations, 3, pad=1)
    moved = b.layer("Permute", f"{conv}_perm", conv, params=PERMUTED)
    return [b.layer("Flatten", f"{conv}_flat", moved)] + blobs[1:]
