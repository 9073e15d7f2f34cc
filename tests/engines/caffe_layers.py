"""A layer of the torch engine beside real Caffe's, forward and backward."""

import numpy as np
from layer_cases import NO_BACKWARD, fill, net_text

LOOSE = {"LRN": 1e-4, "LSTM": 1e-4, "RNN": 1e-4}


def relative_error(ours, theirs):
    """Of the numbers that Caffe has: where it gives NaN or infinity, nothing is expected."""
    assert ours.shape == theirs.shape
    ours, theirs = (np.where(np.isfinite(theirs), values, 0) for values in (ours, theirs))
    return np.linalg.norm(ours - theirs) / max(np.linalg.norm(theirs), 1e-20)


def run_caffe(caffe, path, bottoms, tops, top_diffs, rng, wanted):
    """Tops, bottom gradients and weights of a one-layer net with random weights."""
    net = caffe.Net(str(path), caffe.TEST)
    for blob in net.params.get("it", ()):
        blob.data[...] = rng.randn(*blob.data.shape) * 0.5
    if net.layers[-1].type == "BatchNorm":
        net.params["it"][1].data[...] = abs(net.params["it"][1].data) + 0.3
        net.params["it"][2].data[...] = 1.7
    for name, value in bottoms.items():
        net.blobs[name + ("_input" if name in wanted else "")].data[...] = value
    net.forward()
    values = [net.blobs[name].data.copy() for name in tops]
    weights = [blob.data.copy() for blob in net.params.get("it", ())]
    if not wanted:
        return values, [], weights
    for name in tops:
        net.blobs[name].diff[...] = top_diffs(values[tops.index(name)].shape)
    net._backward(len(net.layers) - 1, len(net.layers) - 1)
    return values, [net.blobs[name].diff.copy() for name in wanted], weights


def compare(case, caffe, path, seed):
    """Assert that a layer gives what Caffe's gives, and the same gradients.

    Parameters
    ----------
    case : (str, str, list, int)
        As in ``layer_cases``.
    caffe : module
    path : pathlib.Path
        Where the net's definition may be written.
    seed : int
    """
    import torch

    from caffe_gradcam.engines.torch import LAYERS, families  # noqa: F401
    from prototxt_tools.net.net import Net

    kind, parameters, given, count = case
    rng = np.random.RandomState(seed)
    bottoms = {f"b{i}": fill(bottom, rng) for i, bottom in enumerate(given)}
    tops = [f"t{i}" for i in range(count)]
    wanted = [name for name, bottom in zip(bottoms, given)
              if not isinstance(bottom, np.ndarray) and kind not in NO_BACKWARD]
    path.write_text(net_text(kind, parameters, bottoms, tops, wanted))
    diffs = []

    def top_diffs(shape):
        diffs.append(np.asarray(rng.randn(*shape), np.float32))
        return diffs[-1]

    values, gradients, weights = run_caffe(caffe, path, bottoms, tops, top_diffs, rng, wanted)
    message = Net.parse(path.read_text()).layers[-1].message
    leaves = {name: torch.from_numpy(value.copy()) for name, value in bottoms.items()}
    for name in wanted:
        leaves[name].requires_grad_()
    ours = LAYERS[kind](message, list(leaves.values()), [torch.from_numpy(w) for w in weights])

    limit = LOOSE.get(kind, 1e-5)
    assert len(ours) == count
    for our, their in zip(ours, values):
        assert relative_error(our.detach().numpy(), their) < limit
    if wanted:
        outputs = [(top, torch.from_numpy(diff)) for top, diff in zip(ours, diffs)
                   if top.requires_grad]
        got = torch.autograd.grad(
            [top for top, _ in outputs], [leaves[name] for name in wanted],
            [diff for _, diff in outputs], allow_unused=True)
        for our, their in zip(got, gradients):
            our = np.zeros_like(their) if our is None else our.numpy()
            assert relative_error(our, their) < limit
