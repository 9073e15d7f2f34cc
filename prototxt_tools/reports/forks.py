"""Which fork of Caffe knows what stock Caffe does not: layer types, fields and enum values.

The name decides; a name that several forks share counts for the one that most files mean by it.
"""

from typing import Optional

_NAMES = {
    "SSD (weiliu89/caffe)": """
        AnnotatedData DetectionEvaluate DetectionOutput MultiBoxLoss Normalize Permute PriorBox
        SmoothL1Loss
        annotated_data_param detection_evaluate_param detection_output_param multibox_loss_param
        norm_param permute_param prior_box_param resize_param distort_param expand_param
        emit_constraint noise_param""",
    "NVIDIA Caffe": """
        DetectNetTransformation L1Loss
        default_forward_type default_backward_type default_forward_math default_backward_math
        forward_type backward_type forward_math backward_math global_grad_scale trt_param
        detectnet_augmentation_param detectnet_groundtruth_param torch_pooling scale_bias
        scale_filler lambda shuffle
        cache img_rand_resize_lower img_rand_resize_upper horizontal_stretch_lower
        horizontal_stretch_upper vertical_stretch_lower vertical_stretch_upper""",
    "Intel Caffe": """
        EvalDetection RegionLoss MKLBatchNorm MnActivation SpatialDropout
        MKL2017 MKLDNN engine eval_detection_param region_loss_param quantization_param
        bn_stats_batch_size random_resize_param random_aspect_ratio_param mem_group_size
        relu""",
    "SegNet (alexgkendall/caffe-segnet)": """
        DenseImageData Upsample dense_image_data_param upsample_param weight_by_label_freqs
        class_weighting""",
    "DeepLab and PSPNet": """
        Interp DenseCRF DomainTransform SegAccuracy MatRead MatWrite ImageSegData BiasChannel
        hole hole_h hole_w interp_param seg_accuracy_param mat_write_param densecrf_param
        domain_transform_param mat_read_param label_type""",
    "SegNet, DeepLab or yjxiong's": "BN bn_param SyncBN",
    "Fast R-CNN (rbgirshick/caffe-fast-rcnn)": """
        ROIPooling ROI_POOLING roi_pooling_param smooth_l1_loss_param scale_train""",
    "R-FCN": """
        PSROIPooling SmoothL1LossOHEM SoftmaxWithLossOHEM BoxAnnotatorOHEM psroi_pooling_param
        box_annotator_ohem_param PRE_FIXED pre_fixed_normalizer""",
    "PVANet": "Proposal proposal_param",
    "yjxiong/caffe": """
        VideoData Gather BatchReduction video_data_param multi_scale multiscale scale_ratios
        fix_crop more_fix_crop max_distort is_flow SegData""",
    "C3D (facebookarchive/C3D)": """
        CONVOLUTION3D POOLING3D VIDEO_DATA Convolution3D Pooling3D kernel_depth temporal_pad
        temporal_stride filter_group convolution3d_param pooling3d_param""",
    "video-caffe (chuckcho)": "NdConvolution NdPooling kernel_shape stride_shape pad_shape",
    "Ristretto (pmgysel/caffe)": "ConvolutionRistretto FcRistretto",
    "CRF-RNN (torrvision/crfasrnn)": """
        CROP MULTI_STAGE_MEANFIELD MultiStageMeanfield multi_stage_meanfield_param""",
    "SENet (hujie-frank/SENet)": "Axpy",
    "MobileNet-YOLO (eric612)": """
        DepthwiseConvolution Yolov3 Yolov3DetectionOutput YoloDetectionOutput YoloSeg
        SegmentationEvaluate AssistedExcitation LaneData yolov3_param yolo_seg_param
        yolo_detection_output_param yolov3_detection_output_param segmentation_evaluate_param""",
    "ShuffleNet (farmingyard)": "ConvolutionDepthwise ShuffleChannel shuffle_channel_param",
    "YOLO": "Reorg reorg_param",
    "MobileNet-SSD (chuanqi305)": "ReLU6",
    "OpenVINO's training toolbox": """
        PriorBoxClustered CTCGreedyDecoder ctc_decoder_param prior_box_clustered_param""",
    "OpenPose": "ImResize Nms imresize_param nms_param",
    "CTPN (tianzhi0549)": """
        Lstm Reverse Transpose lstm_param reverse_param transpose_param""",
    "DeepDetect's": """
        BroadcastMul ContinuationIndicator LabelsequenceAccuracy CtcLoss ctc_loss_param
        continuation_indicator_param labelsequence_accuracy_param""",
    "a fork with Torch's pooling": "ceil_mode",
    "caffe-face (ydwen)": "CenterLoss center_loss_param",
    "SphereFace (wy1iu)": "MarginInnerProduct margin_inner_product_param",
}
_FORKS = {name: fork for fork, names in _NAMES.items() for name in names.split()}
_FORKS["list for kernel_size"] = "yjxiong/caffe"


def fork_of(name: str) -> Optional[str]:
    """The fork that knows a name, or None."""
    return _FORKS.get(name)
