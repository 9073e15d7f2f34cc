"""Small nets that take clips, and frames for them."""

import numpy as np
from definitions import random_weights

from prototxt_tools import weights

C3D = '''
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 1 dim: 3 dim: 6 dim: 10 dim: 12 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
        convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 2 } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "fc" type: "InnerProduct" bottom: "conv1" top: "fc"
        inner_product_param { num_output: 3 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
'''
# Temporal segment network: the mean of the scores of three frames.
SEGMENTS = '''
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 3 dim: 3 dim: 10 dim: 12 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
        convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 2 } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "fc" type: "InnerProduct" bottom: "conv1" top: "fc"
        inner_product_param { num_output: 3 } }
layer { name: "rows" type: "Reshape" bottom: "fc" top: "rows"
        reshape_param { shape { dim: -1 dim: 1 dim: 3 dim: 3 } } }
layer { name: "mean" type: "Pooling" bottom: "rows" top: "mean"
        pooling_param { pool: AVE kernel_h: 3 kernel_w: 1 } }
layer { name: "score" type: "Reshape" bottom: "mean" top: "score"
        reshape_param { shape { dim: -1 dim: 3 } } }
layer { name: "prob" type: "Softmax" bottom: "score" top: "prob" }
'''
FRONT = "---\ngradcam:\n  inputs: {scale: 0.05, resize: none}\n---\n"
FRAMES = [np.random.RandomState(seed).randint(0, 255, (10, 12, 3)).astype(np.uint8)
          for seed in range(6)]


def write(folder, net):
    (folder / "deploy.prototxt").write_text(net)
    weights.save(str(folder / "net.caffemodel"), random_weights(net))
    (folder / "readme.md").write_text(FRONT.replace(", resize: none", ""))
    return folder
