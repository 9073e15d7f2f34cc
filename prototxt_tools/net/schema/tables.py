"""Caffe's messages and enums as tables: BVLC master's, and the fields that public forks add.

A field is written ``name:number:type``, then ``*`` when repeated, ``+`` when repeated and packed,
``!`` when required, then ``=default``. A type that is no scalar type names an enum of the same
message, an enum of the file, or a message, in that order. Source: src/caffe/proto/caffe.proto.
"""

import re

MESSAGES = {
    "BlobShape": "dim:1:int64+",
    "BlobProto": (
        "shape:7:BlobShape data:5:float+ diff:6:float+ double_data:8:double+ double_diff:9:double+ "
        "num:1:int32=0 channels:2:int32=0 height:3:int32=0 width:4:int32=0"),
    "Datum": (
        "channels:1:int32 height:2:int32 width:3:int32 data:4:bytes label:5:int32 "
        "float_data:6:float* encoded:7:bool=false"),
    "FillerParameter": (
        "type:1:string=constant value:2:float=0 min:3:float=0 max:4:float=1 mean:5:float=0 "
        "std:6:float=1 sparse:7:int32=-1 variance_norm:8:VarianceNorm=FAN_IN"),
    "NetParameter": (
        "name:1:string input:3:string* input_shape:8:BlobShape* input_dim:4:int32* "
        "force_backward:5:bool=false state:6:NetState debug_info:7:bool=false "
        "layer:100:LayerParameter* layers:2:V1LayerParameter*"),
    "NetState": "phase:1:Phase=TEST level:2:int32=0 stage:3:string*",
    "NetStateRule": (
        "phase:1:Phase min_level:2:int32 max_level:3:int32 stage:4:string* not_stage:5:string*"),
    "ParamSpec": "name:1:string share_mode:2:DimCheckMode lr_mult:3:float=1 decay_mult:4:float=1",
    "LayerParameter": (
        "name:1:string type:2:string bottom:3:string* top:4:string* phase:10:Phase "
        "loss_weight:5:float* param:6:ParamSpec* blobs:7:BlobProto* propagate_down:11:bool* "
        "include:8:NetStateRule* exclude:9:NetStateRule* "
        "transform_param:100:TransformationParameter loss_param:101:LossParameter "
        "accuracy_param:102:AccuracyParameter argmax_param:103:ArgMaxParameter "
        "batch_norm_param:139:BatchNormParameter bias_param:141:BiasParameter "
        "clip_param:148:ClipParameter concat_param:104:ConcatParameter "
        "contrastive_loss_param:105:ContrastiveLossParameter "
        "convolution_param:106:ConvolutionParameter crop_param:144:CropParameter "
        "data_param:107:DataParameter dropout_param:108:DropoutParameter "
        "dummy_data_param:109:DummyDataParameter eltwise_param:110:EltwiseParameter "
        "elu_param:140:ELUParameter embed_param:137:EmbedParameter exp_param:111:ExpParameter "
        "flatten_param:135:FlattenParameter hdf5_data_param:112:HDF5DataParameter "
        "hdf5_output_param:113:HDF5OutputParameter hinge_loss_param:114:HingeLossParameter "
        "image_data_param:115:ImageDataParameter infogain_loss_param:116:InfogainLossParameter "
        "inner_product_param:117:InnerProductParameter input_param:143:InputParameter "
        "log_param:134:LogParameter lrn_param:118:LRNParameter "
        "memory_data_param:119:MemoryDataParameter mvn_param:120:MVNParameter "
        "parameter_param:145:ParameterParameter pooling_param:121:PoolingParameter "
        "power_param:122:PowerParameter prelu_param:131:PReLUParameter "
        "python_param:130:PythonParameter recurrent_param:146:RecurrentParameter "
        "reduction_param:136:ReductionParameter relu_param:123:ReLUParameter "
        "reshape_param:133:ReshapeParameter scale_param:142:ScaleParameter "
        "sigmoid_param:124:SigmoidParameter softmax_param:125:SoftmaxParameter "
        "spp_param:132:SPPParameter slice_param:126:SliceParameter swish_param:147:SwishParameter "
        "tanh_param:127:TanHParameter threshold_param:128:ThresholdParameter "
        "tile_param:138:TileParameter window_data_param:129:WindowDataParameter"),
    "TransformationParameter": (
        "scale:1:float=1 mirror:2:bool=false crop_size:3:uint32=0 mean_file:4:string "
        "mean_value:5:float* force_color:6:bool=false force_gray:7:bool=false"),
    "LossParameter": (
        "ignore_label:1:int32 normalization:3:NormalizationMode=VALID normalize:2:bool"),
    "AccuracyParameter": "top_k:1:uint32=1 axis:2:int32=1 ignore_label:3:int32",
    "ArgMaxParameter": "out_max_val:1:bool=false top_k:2:uint32=1 axis:3:int32",
    "ClipParameter": "min:1:float! max:2:float!",
    "ConcatParameter": "axis:2:int32=1 concat_dim:1:uint32=1",
    "BatchNormParameter": (
        "use_global_stats:1:bool moving_average_fraction:2:float=0.999 eps:3:float=1e-05"),
    "BiasParameter": "axis:1:int32=1 num_axes:2:int32=1 filler:3:FillerParameter",
    "ContrastiveLossParameter": "margin:1:float=1 legacy_version:2:bool=false",
    "ConvolutionParameter": (
        "num_output:1:uint32 bias_term:2:bool=true pad:3:uint32* kernel_size:4:uint32* "
        "stride:6:uint32* dilation:18:uint32* pad_h:9:uint32=0 pad_w:10:uint32=0 "
        "kernel_h:11:uint32 kernel_w:12:uint32 stride_h:13:uint32 stride_w:14:uint32 "
        "group:5:uint32=1 weight_filler:7:FillerParameter bias_filler:8:FillerParameter "
        "engine:15:Engine=DEFAULT axis:16:int32=1 force_nd_im2col:17:bool=false"),
    "CropParameter": "axis:1:int32=2 offset:2:uint32*",
    "DataParameter": (
        "source:1:string batch_size:4:uint32 rand_skip:7:uint32=0 backend:8:DB=LEVELDB "
        "scale:2:float=1 mean_file:3:string crop_size:5:uint32=0 mirror:6:bool=false "
        "force_encoded_color:9:bool=false prefetch:10:uint32=4"),
    "DropoutParameter": "dropout_ratio:1:float=0.5",
    "DummyDataParameter": (
        "data_filler:1:FillerParameter* shape:6:BlobShape* num:2:uint32* channels:3:uint32* "
        "height:4:uint32* width:5:uint32*"),
    "EltwiseParameter": "operation:1:EltwiseOp=SUM coeff:2:float* stable_prod_grad:3:bool=true",
    "ELUParameter": "alpha:1:float=1",
    "EmbedParameter": (
        "num_output:1:uint32 input_dim:2:uint32 bias_term:3:bool=true "
        "weight_filler:4:FillerParameter bias_filler:5:FillerParameter"),
    "ExpParameter": "base:1:float=-1 scale:2:float=1 shift:3:float=0",
    "FlattenParameter": "axis:1:int32=1 end_axis:2:int32=-1",
    "HDF5DataParameter": "source:1:string batch_size:2:uint32 shuffle:3:bool=false",
    "HDF5OutputParameter": "file_name:1:string",
    "HingeLossParameter": "norm:1:Norm=L1",
    "ImageDataParameter": (
        "source:1:string batch_size:4:uint32=1 rand_skip:7:uint32=0 shuffle:8:bool=false "
        "new_height:9:uint32=0 new_width:10:uint32=0 is_color:11:bool=true scale:2:float=1 "
        "mean_file:3:string crop_size:5:uint32=0 mirror:6:bool=false root_folder:12:string"),
    "InfogainLossParameter": "source:1:string axis:2:int32=1",
    "InnerProductParameter": (
        "num_output:1:uint32 bias_term:2:bool=true weight_filler:3:FillerParameter "
        "bias_filler:4:FillerParameter axis:5:int32=1 transpose:6:bool=false"),
    "InputParameter": "shape:1:BlobShape*",
    "LogParameter": "base:1:float=-1 scale:2:float=1 shift:3:float=0",
    "LRNParameter": (
        "local_size:1:uint32=5 alpha:2:float=1 beta:3:float=0.75 "
        "norm_region:4:NormRegion=ACROSS_CHANNELS k:5:float=1 engine:6:Engine=DEFAULT"),
    "MemoryDataParameter": "batch_size:1:uint32 channels:2:uint32 height:3:uint32 width:4:uint32",
    "MVNParameter": "normalize_variance:1:bool=true across_channels:2:bool=false eps:3:float=1e-09",
    "ParameterParameter": "shape:1:BlobShape",
    "PoolingParameter": (
        "pool:1:PoolMethod=MAX pad:4:uint32=0 pad_h:9:uint32=0 pad_w:10:uint32=0 "
        "kernel_size:2:uint32 kernel_h:5:uint32 kernel_w:6:uint32 stride:3:uint32=1 "
        "stride_h:7:uint32 stride_w:8:uint32 engine:11:Engine=DEFAULT global_pooling:12:bool=false "
        "round_mode:13:RoundMode=CEIL"),
    "PowerParameter": "power:1:float=1 scale:2:float=1 shift:3:float=0",
    "PythonParameter": (
        "module:1:string layer:2:string param_str:3:string share_in_parallel:4:bool=false"),
    "RecurrentParameter": (
        "num_output:1:uint32=0 weight_filler:2:FillerParameter bias_filler:3:FillerParameter "
        "debug_info:4:bool=false expose_hidden:5:bool=false"),
    "ReductionParameter": "operation:1:ReductionOp=SUM axis:2:int32=0 coeff:3:float=1",
    "ReLUParameter": "negative_slope:1:float=0 engine:2:Engine=DEFAULT",
    "ReshapeParameter": "shape:1:BlobShape axis:2:int32=0 num_axes:3:int32=-1",
    "ScaleParameter": (
        "axis:1:int32=1 num_axes:2:int32=1 filler:3:FillerParameter bias_term:4:bool=false "
        "bias_filler:5:FillerParameter"),
    "SigmoidParameter": "engine:1:Engine=DEFAULT",
    "SliceParameter": "axis:3:int32=1 slice_point:2:uint32* slice_dim:1:uint32=1",
    "SoftmaxParameter": "engine:1:Engine=DEFAULT axis:2:int32=1",
    "SwishParameter": "beta:1:float=1",
    "TanHParameter": "engine:1:Engine=DEFAULT",
    "TileParameter": "axis:1:int32=1 tiles:2:int32",
    "ThresholdParameter": "threshold:1:float=0",
    "WindowDataParameter": (
        "source:1:string scale:2:float=1 mean_file:3:string batch_size:4:uint32 "
        "crop_size:5:uint32=0 mirror:6:bool=false fg_threshold:7:float=0.5 "
        "bg_threshold:8:float=0.5 fg_fraction:9:float=0.25 context_pad:10:uint32=0 "
        "crop_mode:11:string=warp cache_images:12:bool=false root_folder:13:string"),
    "SPPParameter": "pyramid_height:1:uint32 pool:2:PoolMethod=MAX engine:6:Engine=DEFAULT",
    "V1LayerParameter": (
        "bottom:2:string* top:3:string* name:4:string include:32:NetStateRule* "
        "exclude:33:NetStateRule* type:5:LayerType blobs:6:BlobProto* param:1001:string* "
        "blob_share_mode:1002:DimCheckMode* blobs_lr:7:float* weight_decay:8:float* "
        "loss_weight:35:float* accuracy_param:27:AccuracyParameter argmax_param:23:ArgMaxParameter "
        "concat_param:9:ConcatParameter contrastive_loss_param:40:ContrastiveLossParameter "
        "convolution_param:10:ConvolutionParameter data_param:11:DataParameter "
        "dropout_param:12:DropoutParameter dummy_data_param:26:DummyDataParameter "
        "eltwise_param:24:EltwiseParameter exp_param:41:ExpParameter "
        "hdf5_data_param:13:HDF5DataParameter hdf5_output_param:14:HDF5OutputParameter "
        "hinge_loss_param:29:HingeLossParameter image_data_param:15:ImageDataParameter "
        "infogain_loss_param:16:InfogainLossParameter inner_product_param:17:InnerProductParameter "
        "lrn_param:18:LRNParameter memory_data_param:22:MemoryDataParameter "
        "mvn_param:34:MVNParameter pooling_param:19:PoolingParameter power_param:21:PowerParameter "
        "relu_param:30:ReLUParameter sigmoid_param:38:SigmoidParameter "
        "softmax_param:39:SoftmaxParameter slice_param:31:SliceParameter "
        "tanh_param:37:TanHParameter threshold_param:25:ThresholdParameter "
        "window_data_param:20:WindowDataParameter transform_param:36:TransformationParameter "
        "loss_param:42:LossParameter layer:1:V0LayerParameter"),
    "V0LayerParameter": (
        "name:1:string type:2:string num_output:3:uint32 biasterm:4:bool=true "
        "weight_filler:5:FillerParameter bias_filler:6:FillerParameter pad:7:uint32=0 "
        "kernelsize:8:uint32 group:9:uint32=1 stride:10:uint32=1 pool:11:PoolMethod=MAX "
        "dropout_ratio:12:float=0.5 local_size:13:uint32=5 alpha:14:float=1 beta:15:float=0.75 "
        "k:22:float=1 source:16:string scale:17:float=1 meanfile:18:string batchsize:19:uint32 "
        "cropsize:20:uint32=0 mirror:21:bool=false blobs:50:BlobProto* blobs_lr:51:float* "
        "weight_decay:52:float* rand_skip:53:uint32=0 det_fg_threshold:54:float=0.5 "
        "det_bg_threshold:55:float=0.5 det_fg_fraction:56:float=0.25 det_context_pad:58:uint32=0 "
        "det_crop_mode:59:string=warp new_num:60:int32=0 new_channels:61:int32=0 "
        "new_height:62:int32=0 new_width:63:int32=0 shuffle_images:64:bool=false "
        "concat_dim:65:uint32=1 hdf5_output_param:1001:HDF5OutputParameter"),
    "PReLUParameter": "filler:1:FillerParameter channel_shared:2:bool=false",
}

# The values are numbered from 0 where no number is given.
ENUMS = {
    "Phase": "TRAIN TEST",
    "FillerParameter.VarianceNorm": "FAN_IN FAN_OUT AVERAGE",
    "ParamSpec.DimCheckMode": "STRICT PERMISSIVE",
    "LossParameter.NormalizationMode": "FULL VALID BATCH_SIZE NONE",
    "DataParameter.DB": "LEVELDB LMDB",
    "EltwiseParameter.EltwiseOp": "PROD SUM MAX",
    "HingeLossParameter.Norm": "L1=1 L2=2",
    "LRNParameter.NormRegion": "ACROSS_CHANNELS WITHIN_CHANNEL",
    "PoolingParameter.PoolMethod": "MAX AVE STOCHASTIC",
    "PoolingParameter.RoundMode": "CEIL FLOOR",
    "ReductionParameter.ReductionOp": "SUM=1 ASUM=2 SUMSQ=3 MEAN=4",
    "SPPParameter.PoolMethod": "MAX AVE STOCHASTIC",
    "V1LayerParameter.LayerType": (
        "NONE=0 ABSVAL=35 ACCURACY=1 ARGMAX=30 BNLL=2 CONCAT=3 CONTRASTIVE_LOSS=37 CONVOLUTION=4 "
        "DATA=5 DECONVOLUTION=39 DROPOUT=6 DUMMY_DATA=32 EUCLIDEAN_LOSS=7 ELTWISE=25 EXP=38 "
        "FLATTEN=8 HDF5_DATA=9 HDF5_OUTPUT=10 HINGE_LOSS=28 IM2COL=11 IMAGE_DATA=12 "
        "INFOGAIN_LOSS=13 INNER_PRODUCT=14 LRN=15 MEMORY_DATA=29 MULTINOMIAL_LOGISTIC_LOSS=16 "
        "MVN=34 POOLING=17 POWER=26 RELU=18 SIGMOID=19 SIGMOID_CROSS_ENTROPY_LOSS=27 SILENCE=36 "
        "SOFTMAX=20 SOFTMAX_LOSS=21 SPLIT=22 SLICE=33 TANH=23 WINDOW_DATA=24 THRESHOLD=31"),
    "V1LayerParameter.DimCheckMode": "STRICT PERMISSIVE",
    "V0LayerParameter.PoolMethod": "MAX AVE STOCHASTIC",
}

ENUMS.update({message + ".Engine": "DEFAULT CAFFE CUDNN" for message in (
    "ConvolutionParameter", "LRNParameter", "PoolingParameter", "ReLUParameter", "SPPParameter",
    "SigmoidParameter", "SoftmaxParameter", "TanHParameter")})

# Stock Caffe refuses these. They have no number here: forks disagree about it, and text needs none.
FORK_MESSAGES = {
    "BNParameter": (
        "scale_filler:FillerParameter shift_filler:FillerParameter bn_mode:Mode=LEARN "
        "slope_filler:FillerParameter bias_filler:FillerParameter momentum:float=0.9 "
        "eps:float=1e-05 frozen:bool=false engine:Engine=DEFAULT"),
    "Convolution3DParameter": (
        "num_output:uint32 bias_term:bool=true pad:uint32=0 kernel_size:uint32 group:uint32=1 "
        "kernel_depth:uint32 stride:uint32=1 temporal_stride:uint32=1 "
        "weight_filler:FillerParameter bias_filler:FillerParameter filter_group:uint32=1 "
        "temporal_pad:uint32=0"),
    "GRNParameter": "bias:float",
    "InterpParameter": (
        "height:int32=0 width:int32=0 zoom_factor:int32=1 shrink_factor:int32=1 pad_beg:int32=0 "
        "pad_end:int32=0"),
    "NormalizeParameter": (
        "across_spatial:bool=true scale_filler:FillerParameter channel_shared:bool=true "
        "eps:float=1e-10"),
    "PermuteParameter": "order:uint32*",
    "DetectionOutputParameter": (
        "num_classes:uint32 share_location:bool=true background_label_id:int32=0 "
        "nms_param:NonMaximumSuppressionParameter save_output_param:SaveOutputParameter "
        "code_type:PriorBoxParameter.CodeType=CORNER variance_encoded_in_target:bool=false "
        "keep_top_k:int32=-1 confidence_threshold:float visualize:bool=false "
        "visualize_threshold:float save_file:string"),
    "NonMaximumSuppressionParameter": "nms_threshold:float=0.3 top_k:int32 eta:float=1",
    "SaveOutputParameter": (
        "output_directory:string output_name_prefix:string output_format:string "
        "label_map_file:string name_size_file:string num_test_image:uint32 "
        "resize_param:ResizeParameter"),
    "ResizeParameter": (
        "prob:float=1 resize_mode:Resize_mode=WARP height:uint32=0 width:uint32=0 "
        "height_scale:uint32=0 width_scale:uint32=0 pad_mode:Pad_mode=CONSTANT pad_value:float* "
        "interp_mode:Interp_mode*"),
    "ProposalParameter": (
        "ratio:float* scale:float* base_size:uint32=16 feat_stride:uint32=16 "
        "pre_nms_topn:uint32=6000 post_nms_topn:uint32=300 nms_thresh:float=0.7 "
        "min_size:uint32=16"),
    "YoloDetectionOutputParameter": (
        "side:uint32=13 num_classes:uint32=20 num_box:uint32=5 coords:uint32=4 "
        "confidence_threshold:float=0.01 nms_threshold:float=0.45 biases:float* "
        "label_map_file:string"),
    "Yolov3DetectionOutputParameter": (
        "num_classes:uint32=20 num_box:uint32=3 confidence_threshold:float=0.01 "
        "nms_threshold:float=0.45 biases:float* anchors_scale:uint32* mask_group_num:uint32=2 "
        "mask:uint32*"),
    "PriorBoxParameter": (
        "min_size:float* max_size:float* aspect_ratio:float* flip:bool=true clip:bool=false "
        "variance:float* img_size:uint32 img_h:uint32 img_w:uint32 step:float step_h:float "
        "step_w:float offset:float=0.5 width:float* height:float*"),
    "Pooling3DParameter": (
        "pool:PoolMethod=MAX kernel_size:uint32 stride:uint32=1 pad:uint32=0 kernel_depth:uint32 "
        "temporal_stride:uint32=1"),
    "PSROIPoolingParameter": "spatial_scale:float output_dim:int32 group_size:int32",
    "ReorgParameter": "stride:uint32=2 reverse:bool=false",
    "ROIPoolingParameter": "pooled_h:uint32=0 pooled_w:uint32=0 spatial_scale:float=1",
    "ShuffleChannelParameter": "group:uint32=1",
    "UpsampleParameter": (
        "scale:float scale_h:uint32 scale_w:uint32 pad_out_h:bool=false pad_out_w:bool=false "
        "upsample_h:uint32 upsample_w:uint32"),
    # Fields added to messages of stock Caffe.
    "BatchNormParameter": (
        "engine:Engine=DEFAULT scale_bias:bool=false scale_filler:FillerParameter "
        "bias_filler:FillerParameter relu:bool=false negative_slope:float=0"),
    "ConvolutionParameter": (
        "hole:uint32 hole_h:uint32 hole_w:uint32 relu:bool=false negative_slope:float=0 "
        "kernel_depth:uint32 temporal_stride:uint32=1 temporal_pad:uint32=0 filter_group:uint32=1 "
        "kernel_shape:BlobShape stride_shape:BlobShape pad_shape:BlobShape"),
    "DropoutParameter": "scale_train:bool=true sample_weights_test:bool=false",
    "ELUParameter": "lambda:float=1",
    "EltwiseParameter": "relu:bool=false negative_slope:float=0",
    "InnerProductParameter": "relu:bool=false negative_slope:float=0",
    "LayerParameter": (
        "engine:string bn_param:BNParameter convolution3d_param:Convolution3DParameter "
        "detection_output_param:DetectionOutputParameter "
        "grn_param:GRNParameter interp_param:InterpParameter norm_param:NormalizeParameter "
        "permute_param:PermuteParameter pooling3d_param:Pooling3DParameter "
        "prior_box_param:PriorBoxParameter "
        "proposal_param:ProposalParameter psroi_pooling_param:PSROIPoolingParameter "
        "reorg_param:ReorgParameter roi_pooling_param:ROIPoolingParameter "
        "shuffle_channel_param:ShuffleChannelParameter upsample_param:UpsampleParameter "
        "yolo_detection_output_param:YoloDetectionOutputParameter "
        "yolov3_detection_output_param:Yolov3DetectionOutputParameter"),
    "PoolingParameter": (
        "ceil_mode:bool=true torch_pooling:bool=false round_below:bool=false kernel_depth:uint32 "
        "temporal_stride:uint32=1 kernel_shape:BlobShape stride_shape:BlobShape "
        "pad_shape:BlobShape"),
    "V1LayerParameter": (
        "bn_param:BNParameter interp_param:InterpParameter roi_pooling_param:ROIPoolingParameter "
        "upsample_param:UpsampleParameter"),
}

FORK_ENUMS = {
    "BNParameter.Mode": "LEARN INFERENCE",
    "Pooling3DParameter.PoolMethod": "MAX AVE STOCHASTIC",
    "PriorBoxParameter.CodeType": "CORNER=1 CENTER_SIZE=2 CORNER_SIZE=3",
    "ResizeParameter.Resize_mode": "WARP=1 FIT_SMALL_SIZE=2 FIT_LARGE_SIZE_AND_PAD=3",
    "ResizeParameter.Pad_mode": "CONSTANT=1 MIRRORED=2 REPEAT_NEAREST=3",
    "ResizeParameter.Interp_mode": "LINEAR=1 AREA=2 NEAREST=3 CUBIC=4 LANCZOS4=5",
    "BNParameter.Engine": "DEFAULT CAFFE CUDNN",
    "BatchNormParameter.Engine": "DEFAULT CAFFE CUDNN",
}
# Fields of stock Caffe that take one value there, and a list in a fork: C3D's pooling.
FORK_LISTS = {("PoolingParameter", name) for name in ("kernel_size", "pad", "stride")}
# Values that forks add to an enum, whatever message it stands in.
FORK_VALUES = {"Engine": "MKL2017=3 MKLDNN=4", "NormalizationMode": "PRE_FIXED=4"}

# V1 enum names whose V2 name is not their CamelCase. Source: src/caffe/util/upgrade_proto.cpp.
_V1_SPECIAL = {
    "ABSVAL": "AbsVal", "ARGMAX": "ArgMax", "BNLL": "BNLL", "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output", "IM2COL": "Im2col", "LRN": "LRN", "MVN": "MVN", "NONE": "",
    "RELU": "ReLU", "SOFTMAX_LOSS": "SoftmaxWithLoss", "TANH": "TanH"}
V1_TYPES = {name: _V1_SPECIAL.get(name, name.title().replace("_", ""))
            for name in re.findall(r"[A-Z]\w+", ENUMS["V1LayerParameter.LayerType"])}

# Those of forks whose layers are known. The CROP of the first fully convolutional nets is not
# among them: see ``prototxt_tools.net.crops``.
V1_FORK_TYPES = {
    "BATCH_NORM": "BatchNorm", "CONVOLUTION3D": "Convolution3D", "GRN": "GRN",
    "INTERP": "Interp", "POOLING3D": "Pooling3D", "PRELU": "PReLU",
    "ROI_POOLING": "ROIPooling", "UPSAMPLE": "Upsample"}

# V0 says what V1 says, in lower case, but for four. A "padding" becomes the pad of the next layer.
V0_TYPES = {name.lower(): V1_TYPES[name] for name in """
    ACCURACY BNLL CONCAT DATA DROPOUT EUCLIDEAN_LOSS FLATTEN HDF5_DATA HDF5_OUTPUT IM2COL
    INFOGAIN_LOSS LRN MULTINOMIAL_LOGISTIC_LOSS RELU SIGMOID SOFTMAX SOFTMAX_LOSS SPLIT TANH
    WINDOW_DATA""".split()}
V0_TYPES.update(conv="Convolution", images="ImageData", innerproduct="InnerProduct", pool="Pooling")

# Fields of SolverParameter at the top of a file: it is a solver, no net.
SOLVER_FIELDS = frozenset("""
    net net_param train_net test_net train_net_param test_net_param train_state test_state test_iter
    test_interval test_compute_loss test_initialization base_lr display average_loss max_iter
    iter_size lr_policy gamma power momentum weight_decay regularization_type stepsize stepvalue
    clip_gradients snapshot snapshot_prefix snapshot_diff snapshot_format solver_mode device_id
    random_seed type delta momentum2 rms_decay snapshot_after_train solver_type layer_wise_reduce
    weights""".split())
