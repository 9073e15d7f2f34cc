"""The layer types of stock Caffe and of the forks whose nets are common."""

from typing import Any, Tuple

from prototxt_tools.layers import (
    axes,
    clips,
    detection,
    ends,
    products,
    receptive,
    weighted,
    windows,
)
from prototxt_tools.layers.ends import same_shape
from prototxt_tools.layers.layer_type import LayerType, register
from prototxt_tools.layers.receptive import pointwise

_WEIGHT, _BIAS = ("weight_filler", 0.0), ("bias_filler", 0.0)


def _stock(*names: str, **fields: Any) -> None:
    for name in names:
        register(LayerType(name, is_stock=True, **fields))


def _fork(*names: str, **fields: Any) -> None:
    for name in names:
        register(LayerType(name, **fields))


def _pooling_arity(message: Any) -> Tuple[str, str]:
    """Max pooling may also give the positions of the maxima."""
    return "1", "1-2" if message.pooling_param.pool == 0 else "1"


def _recurrent_arity(message: Any) -> Tuple[str, str]:
    states = weighted.exposed_states(message)
    return f"{2 + states}-{3 + states}", str(1 + states)


# Layers that fill blobs.
_stock("Input", role="constant", bottoms="0", tops="1+")
_stock("Parameter", role="constant", bottoms="0", tops="1", shape=weighted.parameter,
       blobs=weighted.parameter_blobs, parameters="parameter_param", fillers=(None,))
_stock("DummyData", role="constant", bottoms="0", tops="1+", shape=ends.dummy_data)
_stock("Data", role="images", bottoms="0", tops="1-2", shape=ends.images, access="database")
_stock("ImageData", "WindowData", role="images", bottoms="0", tops="2", shape=ends.images,
       access="files")
_stock("HDF5Data", role="data", bottoms="0", tops="1+", access="files")
_stock("MemoryData", role="data", bottoms="0", tops="2", shape=ends.memory_data)
_fork("AnnotatedData", role="images", access="database")

# Layers with weights.
_stock("Convolution", role="convolution", bottoms="1+", tops="1+", shape=windows.convolution,
       blobs=windows.convolution_blobs, receptive=receptive.convolution,
       multiply_adds=products.convolution, parameters="convolution_param",
       fillers=(_WEIGHT, _BIAS))
_stock("Deconvolution", role="convolution", bottoms="1+", tops="1+", shape=windows.convolution,
       blobs=windows.convolution_blobs, receptive=receptive.convolution,
       multiply_adds=products.deconvolution, parameters="convolution_param",
       fillers=(_WEIGHT, _BIAS))
_fork("DepthwiseConvolution", "ConvolutionDepthwise", role="convolution",
      shape=windows.convolution, blobs=windows.convolution_blobs,
      receptive=receptive.convolution, multiply_adds=products.convolution,
      parameters="convolution_param", fillers=(_WEIGHT, _BIAS))
_fork("Convolution3D", role="convolution", bottoms="1", tops="1", shape=clips.convolution,
      blobs=clips.convolution_blobs, receptive=clips.convolution_receptive,
      multiply_adds=products.convolution)
_fork("NdConvolution", role="convolution", bottoms="1+", tops="1+", shape=clips.convolution,
      blobs=clips.convolution_blobs, receptive=clips.convolution_receptive,
      multiply_adds=products.convolution, parameters="convolution_param",
      fillers=(_WEIGHT, _BIAS))
_stock("InnerProduct", role="linear", bottoms="1", tops="1", shape=weighted.inner_product,
       blobs=weighted.inner_product_blobs, receptive=receptive.whole,
       multiply_adds=products.inner_product, parameters="inner_product_param",
       fillers=(_WEIGHT, _BIAS))
_stock("Embed", bottoms="1", tops="1", shape=weighted.embed, blobs=weighted.embed_blobs,
       parameters="embed_param", fillers=(_WEIGHT, _BIAS))
_stock("LSTM", "RNN", shape=weighted.recurrent, blobs=weighted.recurrent_blobs,
       multiply_adds=products.recurrent, arity=_recurrent_arity)
_stock("LSTMUnit", bottoms="3", tops="2", shape=weighted.lstm_unit)

# Layers that work on each channel, or each number, by itself.
_stock("BatchNorm", role="channelwise", bottoms="1", tops="1", shape=weighted.batch_norm,
       blobs=weighted.batch_norm_blobs, receptive=pointwise, parameters="batch_norm_param",
       fillers=(None, None, None))
_stock("Scale", role="channelwise", bottoms="1-2", tops="1", shape=weighted.scale,
       blobs=weighted.scale_blobs, receptive=pointwise, parameters="scale_param",
       fillers=(("filler", 1.0), _BIAS))
_stock("Bias", role="channelwise", bottoms="1-2", tops="1", shape=weighted.scale,
       blobs=weighted.scale_blobs, receptive=pointwise, parameters="bias_param",
       fillers=(("filler", 0.0),))
_fork("BN", role="channelwise", shape=same_shape, blobs=weighted.bn_blobs, receptive=pointwise)
_stock("PReLU", role="activation", bottoms="1", tops="1", shape=weighted.prelu,
       blobs=weighted.prelu_blobs, receptive=pointwise, parameters="prelu_param",
       fillers=(("filler", 0.25),))
_stock("AbsVal", "BNLL", "ELU", "Exp", "Log", "Power", "Swish", "TanH", "Threshold",
       role="activation", bottoms="1", tops="1", shape=same_shape, receptive=pointwise)
_stock("ReLU", role="rectifier", bottoms="1", tops="1", shape=same_shape, receptive=pointwise)
_stock("Clip", role="rectifier", bottoms="1", tops="1", shape=same_shape, receptive=pointwise,
       rectifies_if=lambda message: message.clip_param.min == 0)
_fork("ReLU6", role="rectifier", shape=same_shape, receptive=pointwise)

# Layers that divide by statistics of cells or channels.
_stock("LRN", role="normalization", bottoms="1", tops="1", shape=ends.lrn,
       receptive=receptive.lrn)
_stock("MVN", role="normalization", bottoms="1", tops="1", shape=ends.mvn,
       receptive=receptive.everywhere)
_fork("Normalize", role="normalization", shape=same_shape, blobs=weighted.normalize_blobs,
      receptive=pointwise)

# Layers that pass numbers on.
_stock("Dropout", role="identity", bottoms="1", tops="1", shape=same_shape, receptive=pointwise)
_stock("Split", role="identity", bottoms="1", tops="1+", shape=axes.split, receptive=pointwise)
_stock("Flatten", role="identity", bottoms="1", tops="1", shape=axes.flatten,
       receptive=receptive.whole)
_stock("Reshape", role="identity", bottoms="1", tops="1", shape=axes.reshape,
       receptive=receptive.reshape)
_stock("Slice", role="carrier", bottoms="1", tops="1+", shape=axes.slice_axis,
       receptive=pointwise)
_stock("Crop", role="carrier", bottoms="2", tops="1", value_bottoms=1, shape=axes.crop,
       receptive=receptive.crop)
_stock("BatchReindex", role="carrier", bottoms="2", tops="1", value_bottoms=1,
       shape=axes.batch_reindex, receptive=receptive.selected)
_stock("Filter", role="carrier", bottoms="2+", tops="1+", shape=axes.filter_items,
       receptive=receptive.selected)
_stock("Im2col", role="carrier", bottoms="1", tops="1", shape=windows.im2col,
       receptive=receptive.convolution)
_fork("Permute", role="carrier", shape=axes.permute)
_fork("Pooling3D", "NdPooling", role="pooling", bottoms="1", tops="1", shape=clips.pooling,
      receptive=clips.pooling_receptive)
_stock("Pooling", role="pooling", bottoms="1", tops="1-2", arity=_pooling_arity,
       shape=windows.pooling, receptive=receptive.pooling)
_fork("ROIPooling", role="pooling", value_bottoms=1, shape=windows.roi_pooling)
_fork("PSROIPooling", role="pooling", value_bottoms=1, shape=windows.psroi_pooling)
_fork("Upsample", role="resize", shape=windows.upsample)
_fork("Interp", role="resize", shape=windows.interp)

# Layers that join blobs or rearrange them.
_stock("Concat", role="join", bottoms="1+", tops="1", shape=axes.concat, receptive=pointwise)
_stock("Eltwise", role="sum", bottoms="2+", tops="1", shape=axes.eltwise, receptive=pointwise)
_stock("SPP", bottoms="1", tops="1", shape=windows.spp, receptive=receptive.whole)
_stock("Reduction", bottoms="1", tops="1", shape=axes.reduction, receptive=receptive.whole)
_stock("Tile", bottoms="1", tops="1", shape=axes.tile)
_stock("Python", access="code")
_fork("Axpy", shape=axes.axpy, receptive=pointwise)
_fork("BroadcastMul", role="sum", value_bottoms=2, shape=same_shape, receptive=pointwise)
_fork("GRN", role="normalization", shape=same_shape, receptive=pointwise)
_fork("PriorBox", bottoms="2", tops="1", shape=detection.prior_box)
_fork("PriorBoxClustered", bottoms="2", tops="1", shape=detection.prior_box_clustered)
_fork("Proposal", arity=detection.proposal_arity, shape=detection.proposal)
_fork("DetectionOutput", bottoms="3", tops="1", shape=detection.detection_output)
_fork("YoloDetectionOutput", "Yolov3DetectionOutput", tops="1", shape=detection.detection_output)
_fork("Reorg", shape=windows.reorg)
_fork("ShuffleChannel", shape=axes.shuffle_channel, receptive=pointwise)

# Layers behind the scores.
_stock("Softmax", role="link", link="softmax", bottoms="1", tops="1", shape=ends.softmax,
       receptive=pointwise)
_stock("Sigmoid", role="link", link="sigmoid", bottoms="1", tops="1", shape=same_shape,
       receptive=pointwise)
# Caffe gives a loss without a top one of its own.
_stock("SoftmaxWithLoss", role="loss", link="softmax", inner_link="Softmax", bottoms="2",
       tops="0-2", shape=ends.softmax_loss)
_stock("InfogainLoss", role="loss", link="softmax", bottoms="2-3", tops="0-2",
       shape=ends.softmax_loss)
_stock("MultinomialLogisticLoss", role="loss", link="softmax", bottoms="2", tops="0-1",
       shape=ends.label_loss)
_stock("SigmoidCrossEntropyLoss", role="loss", link="sigmoid", inner_link="Sigmoid", bottoms="2",
       tops="0-2", shape=ends.pairwise_loss)
_stock("HingeLoss", role="loss", link="none", bottoms="2", tops="0-1", shape=ends.label_loss)
_stock("EuclideanLoss", role="loss", link="none", bottoms="2", tops="0-1",
       shape=ends.pairwise_loss)
_stock("ContrastiveLoss", role="loss", bottoms="3", tops="0-1", shape=ends.contrastive_loss)
# MobileNet-YOLO: its losses have no name that tells.
_fork("Yolov3", "YoloSeg", role="loss")
_stock("Accuracy", role="judge", link="none", bottoms="2", tops="1-2", shape=ends.accuracy)
_stock("Silence", role="judge", link="none", bottoms="1+", tops="0", shape=axes.silence)
_stock("ArgMax", role="decision", link="none", bottoms="1", tops="1", shape=axes.argmax)
_stock("HDF5Output", bottoms="2", tops="0", access="output")
