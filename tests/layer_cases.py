"""A net of one layer for every layer type of the torch engine, in many forms."""

import itertools

import numpy as np

# name of the case: (type, parameters, bottoms, number of tops); a bottom is a shape, filled at
# random, or the array itself where the numbers mean something
X = (2, 6, 7, 9)
CLIP = (2, 3, 5, 7, 8)
ROWS = np.array([2, 0, 0, 1, 2], np.float32)
WORDS = np.array([[3, 0, 6], [1, 1, 5]], np.float32)
CONTINUED = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 1], [1, 1, 1]], np.float32)
CASES = {
    "AbsVal": ("AbsVal", "", [X], 1),
    "ArgMax": ("ArgMax", "", [X], 1),
    "ArgMax top 3 with values": ("ArgMax", "argmax_param { top_k: 3 out_max_val: true }", [X], 1),
    "ArgMax of an axis": ("ArgMax", "argmax_param { axis: 1 top_k: 2 }", [X], 1),
    "ArgMax of a vector": ("ArgMax", "argmax_param { out_max_val: true }", [(3, 8)], 1),
    "BatchNorm": ("BatchNorm", "", [X], 1),
    "BatchNorm of vectors": ("BatchNorm", "batch_norm_param { eps: 0.1 }", [(4, 5)], 1),
    "BatchNorm of this batch": (
        "BatchNorm", "batch_norm_param { use_global_stats: false eps: 0.01 }", [X], 1),
    "BatchReindex": ("BatchReindex", "", [(3, 2, 4, 5), ROWS], 1),
    "Bias": ("Bias", "bias_param { axis: 1 num_axes: 2 }", [X], 1),
    "Bias of two blobs": ("Bias", "bias_param { axis: 2 }", [X, (7, 9)], 1),
    "BNLL": ("BNLL", "", [X], 1),
    "Clip": ("Clip", "clip_param { min: -0.5 max: 0.7 }", [X], 1),
    "Clip with crossed limits": ("Clip", "clip_param { min: 0.5 max: -0.7 }", [X], 1),
    "Concat": ("Concat", "", [(2, 3, 4, 5), (2, 1, 4, 5), (2, 2, 4, 5)], 1),
    "Concat of width": ("Concat", "concat_param { axis: -1 }", [(2, 3, 4, 5), (2, 3, 4, 2)], 1),
    "Concat of images": ("Concat", "concat_param { concat_dim: 0 }", [(2, 3), (4, 3)], 1),
    "Convolution of a vector": (
        "Convolution", "convolution_param { num_output: 6 axis: -1 group: 3 }", [(2, 7, 6)], 1),
    "Deconvolution of a row": (
        "Deconvolution", "convolution_param { num_output: 6 axis: 1 group: 3 }", [(4, 9)], 1),
    "Crop": ("Crop", "crop_param { axis: 2 offset: 1 offset: 2 }", [X, (2, 6, 4, 5)], 1),
    "Crop of channels": ("Crop", "crop_param { axis: -3 offset: 1 }", [X, (2, 4, 5, 6)], 1),
    "Crop at the corner": ("Crop", "", [X, (2, 6, 4, 5)], 1),
    "Dropout": ("Dropout", "dropout_param { dropout_ratio: 0.9 }", [X], 1),
    "ELU": ("ELU", "elu_param { alpha: 0.7 }", [X], 1),
    "Eltwise sum": ("Eltwise", "", [X, X, X], 1),
    "Eltwise weighted": ("Eltwise", "eltwise_param { coeff: 2 coeff: -0.5 }", [X, X], 1),
    "Eltwise product": ("Eltwise", "eltwise_param { operation: PROD }", [X, X, X], 1),
    "Eltwise maximum": ("Eltwise", "eltwise_param { operation: MAX }", [X, X, X], 1),
    "Embed": ("Embed", "embed_param { num_output: 4 input_dim: 7 }", [WORDS], 1),
    "Exp": ("Exp", "", [X], 1),
    "Exp of base 2": ("Exp", "exp_param { base: 2 scale: 0.5 shift: -1 }", [X], 1),
    "Flatten": ("Flatten", "", [X], 1),
    "Flatten the middle": ("Flatten", "flatten_param { axis: 1 end_axis: -2 }", [X], 1),
    "Flatten nothing": ("Flatten", "flatten_param { axis: 2 end_axis: 1 }", [X], 1),
    "Im2col of an image": (
        "Im2col", "convolution_param { kernel_size: 2 stride: 2 axis: 0 }", [(3, 5, 6)], 1),
    "Im2col of rows": (
        "Im2col", "convolution_param { kernel_size: 3 pad: 1 axis: -2 }", [X], 1),
    "Im2col of volumes": (
        "Im2col", "convolution_param { kernel_size: 2 dilation: [1, 2, 1] axis: 0 }", [X], 1),
    "InnerProduct": ("InnerProduct", "inner_product_param { num_output: 5 }", [X], 1),
    "InnerProduct transposed": (
        "InnerProduct", "inner_product_param { num_output: 5 transpose: true }", [X], 1),
    "InnerProduct of an axis": (
        "InnerProduct", "inner_product_param { num_output: 5 axis: -1 bias_term: false }", [X], 1),
    "InnerProduct of everything": (
        "InnerProduct", "inner_product_param { num_output: 9 axis: 0 }", [X], 1),
    "Log": ("Log", "log_param { base: 10 scale: 0.1 shift: 3 }", [X], 1),
    "Log of base e": ("Log", "log_param { shift: 5 }", [X], 1),
    "LRN": ("LRN", "lrn_param { local_size: 5 alpha: 0.7 beta: 0.75 k: 2 }", [X], 1),
    "LRN wider than the channels": ("LRN", "lrn_param { local_size: 9 }", [(1, 3, 4, 4)], 1),
    "LRN within channels": (
        "LRN", "lrn_param { local_size: 3 alpha: 0.7 norm_region: WITHIN_CHANNEL }", [X], 1),
    "LSTM": ("LSTM", "recurrent_param { num_output: 5 }", [(4, 3, 6), CONTINUED], 1),
    "LSTM of images": (
        "LSTM", "recurrent_param { num_output: 5 }", [(4, 3, 2, 3), CONTINUED, (3, 7)], 1),
    "LSTM with its state": (
        "LSTM", "recurrent_param { num_output: 5 expose_hidden: true }",
        [(4, 3, 6), CONTINUED * 0 + 1, (1, 3, 5), (1, 3, 5)], 3),
    "MVN": ("MVN", "", [X], 1),
    "MVN across channels": ("MVN", "mvn_param { across_channels: true eps: 0.1 }", [X], 1),
    "MVN of the mean": ("MVN", "mvn_param { normalize_variance: false }", [X], 1),
    "Parameter": ("Parameter", "parameter_param { shape { dim: 2 dim: 3 } }", [], 1),
    "Power": ("Power", "power_param { power: 2 scale: 0.5 shift: 4 }", [X], 1),
    "Power 1": ("Power", "power_param { scale: -0.5 shift: 1 }", [X], 1),
    "Power 0": ("Power", "power_param { power: 0 }", [X], 1),
    "Power 1.5": ("Power", "power_param { power: 1.5 scale: 0.2 shift: 3 }", [X], 1),
    "PReLU": ("PReLU", "", [X], 1),
    "PReLU shared": ("PReLU", "prelu_param { channel_shared: true }", [X], 1),
    "PReLU of vectors": ("PReLU", "", [(3, 5)], 1),
    "Reduction": ("Reduction", "reduction_param { axis: 1 coeff: 0.5 }", [X], 1),
    "Reduction of sizes": ("Reduction", "reduction_param { operation: ASUM axis: -2 }", [X], 1),
    "Reduction of squares": ("Reduction", "reduction_param { operation: SUMSQ axis: 2 }", [X], 1),
    "Reduction to the mean": ("Reduction", "reduction_param { operation: MEAN }", [X], 1),
    "ReLU": ("ReLU", "", [X], 1),
    "ReLU leaky": ("ReLU", "relu_param { negative_slope: 0.2 }", [X], 1),
    "Reshape": ("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 3 } }", [X], 1),
    "Reshape of two axes": (
        "Reshape", "reshape_param { axis: 1 num_axes: 2 shape { dim: 21 dim: 2 } }", [X], 1),
    "Reshape at the end": (
        "Reshape", "reshape_param { axis: -1 num_axes: 0 shape { dim: 1 } }", [X], 1),
    "RNN": ("RNN", "recurrent_param { num_output: 5 }", [(4, 3, 6), CONTINUED], 1),
    "RNN with its state": (
        "RNN", "recurrent_param { num_output: 5 expose_hidden: true }",
        [(4, 3, 6), CONTINUED * 0 + 1, (3, 7), (1, 3, 5)], 2),
    "Scale": ("Scale", "scale_param { bias_term: true }", [X], 1),
    "Scale of two axes": ("Scale", "scale_param { axis: 2 num_axes: 2 }", [X], 1),
    "Scale by one number": ("Scale", "scale_param { num_axes: 0 bias_term: true }", [X], 1),
    "Scale to the end": ("Scale", "scale_param { axis: 1 num_axes: -1 }", [X], 1),
    "Scale of two blobs": ("Scale", "scale_param { axis: 0 }", [X, (2, 6)], 1),
    "Scale of two blobs and a bias": (
        "Scale", "scale_param { axis: 1 bias_term: true }", [X, (6,)], 1),
    "Sigmoid": ("Sigmoid", "", [X], 1),
    "Silence": ("Silence", "", [X], 0),
    "Slice": ("Slice", "slice_param { slice_point: 1 slice_point: 4 }", [X], 3),
    "Slice into equals": ("Slice", "slice_param { axis: -3 }", [X], 2),
    "Slice of images": ("Slice", "slice_param { slice_dim: 0 }", [X], 2),
    "Softmax": ("Softmax", "", [X], 1),
    "Softmax of an axis": ("Softmax", "softmax_param { axis: -1 }", [X], 1),
    "Split": ("Split", "", [X], 3),
    "SPP": ("SPP", "spp_param { pyramid_height: 3 }", [(2, 3, 8, 11)], 1),
    "SPP of averages": ("SPP", "spp_param { pyramid_height: 2 pool: AVE }", [X], 1),
    "SPP of one level": ("SPP", "spp_param { pyramid_height: 1 }", [X], 1),
    "Swish": ("Swish", "swish_param { beta: 1.5 }", [X], 1),
    "TanH": ("TanH", "", [X], 1),
    "Threshold": ("Threshold", "threshold_param { threshold: 0.3 }", [X], 1),
    "Tile": ("Tile", "tile_param { axis: 1 tiles: 3 }", [X], 1),
}


def convolutions():
    windows = ("kernel_size: 3", "kernel_size: 3 pad: 2 stride: 2", "kernel_h: 2 kernel_w: 4",
               "kernel_size: 1", "kernel_size: 2 kernel_size: 3 stride_h: 2 stride_w: 1",
               "kernel_size: 3 dilation: 2 pad_h: 0 pad_w: 3",
               "kernel_size: 2 dilation: 1 dilation: 3")
    for kind, window, group in itertools.product(
            ("Convolution", "Deconvolution"), windows, ("", "group: 3 bias_term: false")):
        yield kind, f"convolution_param {{ num_output: 6 {window} {group} }}", [X], 1
    for axes in (1, 3):
        shape = (2, 3, 6, 7, 5)[:2 + axes]
        yield "Convolution", "convolution_param { num_output: 4 kernel_size: 3 pad: 1 }", [shape], 1
    for window in windows:
        yield "Im2col", f"convolution_param {{ {window} }}", [X], 1
    yield "Convolution", "convolution_param { num_output: 4 kernel_size: 3 }", [X, X], 2
    yield ("Convolution", "convolution_param { num_output: 4 kernel_size: 3 axis: 2 }",
           [(2, 3, 4, 7, 9)], 1)


def poolings():
    windows = ("kernel_size: 3 stride: 2", "kernel_size: 2 stride: 2", "kernel_size: 3 pad: 1",
               "kernel_size: 3 stride: 2 pad: 1", "kernel_size: 3 stride: 2 pad: 2",
               "kernel_size: 5 stride: 3 pad: 4", "kernel_h: 2 kernel_w: 3 stride_h: 1 stride_w: 2",
               "kernel_size: 4 stride: 3 pad_h: 1 pad_w: 0", "global_pooling: true",
               "kernel_size: 3 stride: 2 round_mode: FLOOR",
               "kernel_size: 3 stride: 2 pad: 1 round_mode: FLOOR")
    for pool, window, size in itertools.product(("MAX", "AVE"), windows, ((7, 9), (8, 6), (5, 10))):
        yield "Pooling", f"pooling_param {{ pool: {pool} {window} }}", [(2, 3) + size], 1
    for window in windows[:6]:
        yield "Pooling", f"pooling_param {{ {window} }}", [X], 2
    # The last windows begin outside the image. (With MAX Caffe's backward writes out of bounds.)
    yield "Pooling", "pooling_param { pool: AVE kernel_size: 1 stride: 4 }", [(2, 3, 6, 10)], 1


CASES.update(("{} {} {}".format(case[0], case[1].split(" ", 2)[-1].strip(" }"), case[2][0]), case)
             for case in itertools.chain(convolutions(), poolings()))
NO_BACKWARD = {"ArgMax", "Threshold", "Silence"}

REGIONS = np.array([[1, 0, 0, 6, 5], [0, 2, 1, 8, 6], [0, 3, 3, 3, 3]], np.float32)
MASK = np.array([[[[0, 3], [10, 14]], [[5, 2], [9, 15]]]], np.float32)
# Layers of forks, which no Caffe here has; and one that only fills its top.
OTHER_CASES = {
    "Axpy": ("Axpy", "", [(2, 6, 1, 1), X, X], 1),
    "BN of statistics": ("BN", "bn_param { frozen: true }", [X], 1),
    "BN for inference": ("BN", "bn_param { bn_mode: INFERENCE }", [X], 1),
    "BroadcastMul": ("BroadcastMul", "", [X, (2, 6)], 1),
    "ConvolutionDepthwise": (
        "ConvolutionDepthwise", "convolution_param { num_output: 6 kernel_size: 3 }", [X], 1),
    "Convolution3D": (
        "Convolution3D", "convolution3d_param { num_output: 4 kernel_size: 3 kernel_depth: 2 "
        "stride: 2 pad: 1 temporal_pad: 1 }", [CLIP], 1),
    "NdConvolution": (
        "NdConvolution", "convolution_param { num_output: 4 kernel_shape { dim: 5 dim: 3 dim: 3 } "
        "}", [CLIP], 1),
    "Pooling3D": (
        "Pooling3D", "pooling3d_param { kernel_size: 3 kernel_depth: 2 stride: 2 "
        "temporal_stride: 2 }", [CLIP], 1),
    "Pooling3D of means": (
        "Pooling3D", "pooling3d_param { pool: AVE kernel_size: 3 kernel_depth: 2 stride: 2 "
        "temporal_stride: 2 }", [CLIP], 1),
    "NdPooling": (
        "NdPooling", "pooling_param { pool: AVE kernel_shape { dim: 5 dim: 2 dim: 2 } }",
        [CLIP], 1),
    "DepthwiseConvolution": (
        "DepthwiseConvolution", "convolution_param { num_output: 6 kernel_size: 3 pad: 1 }", [X],
        1),
    "DummyData": (
        "DummyData", "dummy_data_param { shape { dim: 2 dim: 3 } data_filler { value: 3 } }", [],
        1),
    "GRN": ("GRN", "grn_param { bias: 0.5 }", [X], 1),
    "Interp": ("Interp", "interp_param { height: 9 width: 5 }", [X], 1),
    "Interp to a blob": ("Interp", "", [X, (2, 1, 12, 5)], 1),
    "Normalize": ("Normalize", "norm_param { across_spatial: false }", [X], 1),
    "Normalize across places": ("Normalize", "norm_param { channel_shared: true }", [X], 1),
    "Permute": ("Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }", [X], 1),
    "ReLU6": ("ReLU6", "", [X], 1),
    "ROIPooling": ("ROIPooling", "roi_pooling_param { pooled_h: 2 pooled_w: 3 }", [X, REGIONS], 1),
    "ShuffleChannel": ("ShuffleChannel", "shuffle_channel_param { group: 2 }", [X], 1),
    "Upsample": ("Upsample", "upsample_param { scale: 2 }", [(1, 2, 2, 2), MASK], 1),
    "Upsample of one blob": ("Upsample", "upsample_param { scale: 2 }", [X], 1),
    "PSROIPooling": (
        "PSROIPooling", "psroi_pooling_param { spatial_scale: 1 output_dim: 2 group_size: 2 }",
        [(2, 8, 7, 9), REGIONS], 1),
}


def fill(bottom, rng):
    if isinstance(bottom, np.ndarray):
        return bottom
    return rng.randn(*bottom).clip(-2.5, 2.5).astype(np.float32)


def net_text(kind, parameters, bottoms, tops, wanted):
    """A one-layer net that propagates to the wanted bottoms: a learned factor stands below them."""
    text = ""
    for name, bottom in bottoms.items():
        dims = " ".join(f"dim: {size}" for size in bottom.shape)
        source = name + ("_input" if name in wanted else "")
        text += f'layer {{ name: "{source}" type: "Input" top: "{source}" '
        text += f"input_param {{ shape {{ {dims} }} }} }}\n"
        if name in wanted:
            text += 'layer {{ name: "{0}" type: "Scale" bottom: "{1}" top: "{0}" {2} }}\n'.format(
                name, source, "scale_param { axis: 0 num_axes: 0 }")
    blobs = [f'bottom: "{name}"' for name in bottoms]
    blobs += [f'top: "{name}"' for name in tops]
    blobs += ["loss_weight: 1"] * len(tops) if wanted else []
    return text + 'layer {{ name: "it" type: "{}" {} {} }}\n'.format(
        kind, " ".join(blobs), parameters)
