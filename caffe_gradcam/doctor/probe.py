"""What runs in a child process of the doctor: it may crash, hang or be killed there.

``python -m caffe_gradcam.doctor.probe packages NAME...`` and ``... engine KIND DEVICE`` print one
line of JSON.
"""

import importlib
import json
import os
import sys
import tempfile

# A net whose numbers anybody can work out: 2 x the pixel, cut at 0, summed with weights 1 and -1.
NET = """
input: "data" input_shape { dim: 1 dim: 1 dim: 2 dim: 2 }
layer { name: "twice" type: "Convolution" bottom: "data" top: "twice"
        convolution_param { num_output: 1 kernel_size: 1 } }
layer { name: "relu" type: "ReLU" bottom: "twice" top: "twice" }
layer { name: "score" type: "InnerProduct" bottom: "twice" top: "score"
        inner_product_param { num_output: 2 } }
"""
PIXELS = [[1.0, -1.0], [3.0, 0.5]]
SCORES = [9.0, -9.0]


def main(words):
    print(json.dumps(packages(words[1:]) if words[0] == "packages" else engine(*words[1:])))


def packages(names):
    """Import name -> {"version": ...} or {"error": ...}."""
    found = {}
    for name in names:
        try:
            module = importlib.import_module(name)
            found[name] = {"version": str(getattr(module, "__version__", ""))}
        except Exception as error:  # noqa: B902 - broken packages raise all kinds
            found[name] = {"error": f"{type(error).__name__}: {error}"}
    return found


def engine(kind, device):
    """Run the net above: {"description": ..., "build": ..., "off": greatest deviation}."""
    import numpy as np

    from caffe_gradcam.engines.contract import open_here
    from prototxt_tools import weights

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.caffemodel")
        weights.save(path, {
            "twice": [np.full((1, 1, 1, 1), 2, np.float32), np.zeros(1, np.float32)],
            "score": [np.float32([[1] * 4, [-1] * 4]), np.zeros(2, np.float32)]})
        running = open_here(kind, prototxt=NET, weights=path, scores=["score"], targets=["twice"],
                            gradient="post", device=device, allow_missing=False, trust=False,
                            precision="fp32")
        kept = running.forward({"data": np.float32([[PIXELS]])}, ["score", "twice"])
        slopes = running.backward("score", np.float32([[1, 0]]), ["twice"])["twice"]
    off = max(np.abs(kept["score"].reshape(2) - SCORES).max(), np.abs(slopes - 1).max())
    return {"description": running.description, "build": build(kind), "off": float(off)}


def build(kind):
    """What a library was built for."""
    if kind == "torch":
        import torch

        said = {"cuda": torch.version.cuda, "cards": []}
        if torch.cuda.is_available():
            said["archs"] = list(getattr(torch.cuda, "get_arch_list", list)())
            said["cards"] = [list(torch.cuda.get_device_capability(index))
                             for index in range(torch.cuda.device_count())]
        return said
    import caffe

    return {"python": caffe.__file__, "layers": len(caffe.layer_type_list())}


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stdout.flush()
    # Some builds of torch and Caffe crash when the interpreter takes itself down.
    os._exit(0)
