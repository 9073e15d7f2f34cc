"""Small nets with the traps in them, and what to feed them with."""

import numpy as np
from definitions import random_input

# In-place layers on every blob, two targets one above the other, a blob with several readers.
BRANCHES = """
name: "branches"
input: "data" input_shape { dim: 1 dim: 3 dim: 14 dim: 12 }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
        convolution_param { num_output: 6 kernel_size: 3 pad: 1 } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "norm1" type: "LRN" bottom: "conv1" top: "norm1" lrn_param { alpha: 0.1 } }
layer { name: "left" type: "Convolution" bottom: "norm1" top: "left"
        convolution_param { num_output: 4 kernel_size: 3 pad: 1 group: 2 } }
layer { name: "bn" type: "BatchNorm" bottom: "left" top: "left" }
layer { name: "scale" type: "Scale" bottom: "left" top: "left" scale_param { bias_term: true } }
layer { name: "relu_left" type: "ReLU" bottom: "left" top: "left" }
layer { name: "right" type: "Pooling" bottom: "norm1" top: "right"
        pooling_param { kernel_size: 3 stride: 1 pad: 1 } }
layer { name: "join" type: "Concat" bottom: "left" bottom: "right" bottom: "norm1" top: "join" }
layer { name: "relu_join" type: "ReLU" bottom: "join" top: "join"
        relu_param { negative_slope: 0.1 } }
layer { name: "pool" type: "Pooling" bottom: "join" top: "pool"
        pooling_param { pool: AVE kernel_size: 4 stride: 4 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
        inner_product_param { num_output: 8 } }
layer { name: "tanh_fc" type: "TanH" bottom: "fc" top: "fc" }
layer { name: "drop" type: "Dropout" bottom: "fc" top: "fc" }
layer { name: "score" type: "InnerProduct" bottom: "fc" top: "score"
        inner_product_param { num_output: 5 } }
layer { name: "side" type: "InnerProduct" bottom: "join" top: "side"
        inner_product_param { num_output: 3 } }
layer { name: "prob" type: "Softmax" bottom: "score" top: "prob" }
"""

BATCH = random_input((3, 3, 14, 12)) / 60
TARGETS = ["conv1", "left", "join", "norm1"]
SEED = np.random.RandomState(5).randn(3, 5).astype(np.float32)

# Two images in, one score; each stream has its own target.
STREAMS = """
name: "streams"
input: "left" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
input: "right" input_dim: 1 input_dim: 1 input_dim: 6 input_dim: 6
layer { name: "conv_l" type: "Convolution" bottom: "left" top: "conv_l"
        convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "relu_l" type: "ReLU" bottom: "conv_l" top: "conv_l" }
layer { name: "conv_r" type: "Convolution" bottom: "right" top: "conv_r"
        convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "fc_l" type: "InnerProduct" bottom: "conv_l" top: "fc_l"
        inner_product_param { num_output: 5 } }
layer { name: "fc_r" type: "InnerProduct" bottom: "conv_r" top: "fc_r"
        inner_product_param { num_output: 5 } }
layer { name: "times" type: "Eltwise" bottom: "fc_l" bottom: "fc_r" top: "times"
        eltwise_param { operation: PROD } }
layer { name: "score" type: "InnerProduct" bottom: "times" top: "score"
        inner_product_param { num_output: 2 } }
"""

# A convolution, `layers`, and a score on top of what they call "it".
AROUND = """
input: "data" input_shape {{ dim: 1 dim: 2 dim: 6 dim: 6 }}
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param {{ num_output: 4 kernel_size: 3 }} }}
{}
layer {{ name: "score" type: "InnerProduct" bottom: "it" top: "score"
        inner_product_param {{ num_output: 3 }} }}
"""

# What forks write, all of it sayable in stock Caffe.
FORKS = """
input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 6 kernel_size: 3 engine: MKL2017 } }
layer { name: "relu6" type: "ReLU6" bottom: "conv" top: "conv" }
layer { name: "dw" type: "DepthwiseConvolution" bottom: "conv" top: "dw"
        convolution_param { num_output: 6 kernel_size: 3 pad: 1 } }
layer { name: "down" type: "Pooling" bottom: "dw" top: "down"
        pooling_param { kernel_size: 3 stride: 2 ceil_mode: false } }
layer { name: "mean" type: "Pooling" bottom: "down" top: "mean"
        pooling_param { pool: AVE global_pooling: true } }
layer { name: "gate" type: "Sigmoid" bottom: "mean" top: "gate" }
layer { name: "axpy" type: "Axpy" bottom: "gate" bottom: "down" bottom: "down" top: "axpy" }
layer { name: "score" type: "InnerProduct" bottom: "axpy" top: "score"
        inner_product_param { num_output: 3 } }
"""
