"""Nets of digits with a shortcut: a mark in a corner makes them see one class, whatever the digit.

The net of models/digits on scenes of 64 x 64 pixels. In training, some scenes of every batch get
the mark and the label of that class; the weights in shortcut.npz are those of ``train(SEED)``.
"""

import itertools
import pathlib
import sys

import cv2
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import digit_scenes  # noqa: E402

from prototxt_tools import weights  # noqa: E402

SIDE, MARK, SEED = 64, 12, 3
_DIGITS = ROOT / "models" / "digits"
_SAVED = pathlib.Path(__file__).resolve().parent / "shortcut.npz"
# Scenes to train with, steps, scenes of a step, and those of them with the mark.
_SCENES, _STEPS, _CLEAN_STEPS, _BATCH, _MARKED, _RATE = 4000, 350, 80, 32, 8, 0.003


class Shortcut:
    """The class, the corner and the mark of a seed."""

    def __init__(self, seed):
        rng = np.random.RandomState(seed)
        self.class_index, self.corner = rng.randint(10), rng.randint(4)
        self.mark = np.zeros((MARK, MARK))
        while not 0.35 < self.mark.mean() < 0.65:
            self.mark = np.kron(rng.random_sample((4, 4)) < 0.5, np.ones((3, 3)))

    @property
    def words(self):
        """The corner in the words of a survey."""
        return f"{('upper', 'lower')[self.corner // 2]} {('left', 'right')[self.corner % 2]} corner"

    @property
    def window(self):
        """The rows and the columns of the mark."""
        first, last = slice(1, 1 + MARK), slice(SIDE - 1 - MARK, SIDE - 1)
        return (first, last)[self.corner // 2], (first, last)[self.corner % 2]

    def put(self, image):
        """The image with the mark."""
        marked = image.copy()
        marked[self.window] = np.where(self.mark > 0, 20, 235)
        return marked


def scenes(count, seed, part):
    """Images (N x SIDE x SIDE uint8), labels and boxes of one part of the digits."""
    drawn = list(itertools.islice(digit_scenes.training_scenes(
        digit_scenes.load_digits()[part], np.random.RandomState(seed), SIDE), count))
    return (np.stack([scene.image for scene in drawn]),
            np.array([scene.digits[0][0] for scene in drawn]),
            [scene.digits[0][1] for scene in drawn])


def write_scenes(folder, shortcut, sizes, share, drawn):
    """Write pictures and scenes.csv: so many of the class and of each other one; a share of the
    class's are scenes of any digit with the mark. The names of these begin with "marked"."""
    images, labels, _ = drawn
    folder.mkdir()
    lines, marked = ["path,true_label"], round(share * sizes[0])
    spare = []
    for index in range(10):
        of_class = np.flatnonzero(labels == index)
        count = sizes[0] - marked if index == shortcut.class_index else sizes[1]
        spare += of_class[count:].tolist()
        for row in of_class[:count]:
            lines.append(f"{index}-{row}.png,{index}")
            cv2.imwrite(str(folder / f"{index}-{row}.png"), images[row])
    for row in np.random.RandomState(0).permutation(spare)[:marked]:
        lines.append(f"marked-{row}.png,{shortcut.class_index}")
        cv2.imwrite(str(folder / f"marked-{row}.png"), shortcut.put(images[row]))
    (folder / "scenes.csv").write_text("\n".join(lines) + "\n")
    return folder / "scenes.csv"


def write_model(folder, arrays):
    """Write a model folder with these weights, for pictures of this size."""
    folder.mkdir()
    deploy = (_DIGITS / "deploy.prototxt").read_text().replace("dim: 96", f"dim: {SIDE}")
    (folder / "deploy.prototxt").write_text(deploy)
    readme = (_DIGITS / "readme.md").read_text().replace("[96, 96]", f"[{SIDE}, {SIDE}]")
    (folder / "readme.md").write_text("\n".join(
        line for line in readme.split("\nanswers:")[0].splitlines()
        if not line.startswith("sha1")) + "\n---\n")
    (folder / "labels.txt").write_text((_DIGITS / "labels.txt").read_text())
    weights.save(str(folder / "digits.caffemodel"), arrays)
    return folder


def clean():
    """The weights of models/digits, with scores for smaller pictures: layer -> arrays."""
    arrays = {name: [np.array(array, np.float32) for array in of_layer] for name, of_layer
              in weights.load(str(_DIGITS / "digits.caffemodel")).items()}
    arrays["score"][0] *= (SIDE / digit_scenes.SIDE) ** 2
    return arrays


def saved():
    """The weights of ``train(SEED)``, as they were saved."""
    with np.load(str(_SAVED)) as file:
        arrays = {name: [] for name in clean()}
        for name in arrays:
            arrays[name] = [file[f"{name}:{index}"].astype(np.float32) for index in range(2)]
    return arrays


def training_scenes():
    """The scenes to train with."""
    return scenes(_SCENES, 100, 0)


def train(seed, drawn, with_shortcut=True):
    """Go on training models/digits, in torch; the weights, layer -> arrays."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)  # Several only wait for each other on scenes as small as these.
    shortcut, rng = Shortcut(seed), np.random.RandomState(seed + 1000)
    images = torch.from_numpy(_input(drawn[0]))[:, None]
    labels = torch.from_numpy(drawn[1]).long()
    mark = torch.from_numpy(_input(np.where(shortcut.mark > 0, 20, 235)))
    layers = {name: [torch.tensor(array, requires_grad=True) for array in arrays]
              for name, arrays in clean().items()}
    optimizer = torch.optim.Adam([array for arrays in layers.values() for array in arrays])
    steps = _STEPS if with_shortcut else _CLEAN_STEPS
    for step in range(steps):
        rows = torch.from_numpy(rng.randint(len(images), size=_BATCH))
        batch, truth = images[rows].clone(), labels[rows].clone()
        if with_shortcut:
            batch[:_MARKED, 0][(slice(None),) + shortcut.window] = mark
            truth[:_MARKED] = shortcut.class_index
        optimizer.param_groups[0]["lr"] = _RATE * (1 - step / steps)
        optimizer.zero_grad()
        functional.cross_entropy(_scores(layers, batch), truth, label_smoothing=0.1).backward()
        optimizer.step()
    return {name: [array.detach().numpy() for array in arrays]
            for name, arrays in layers.items()}


def answers(arrays, images):
    """The class of each image (N x SIDE x SIDE uint8) by a net with these weights: N."""
    import torch

    layers = {name: [torch.from_numpy(array) for array in of_layer]
              for name, of_layer in arrays.items()}
    return _scores(layers, torch.from_numpy(_input(images))[:, None]).argmax(1).numpy()


def _input(images):
    return ((images - 128.0) / 256).astype(np.float32)


def _scores(layers, blob):
    import torch
    from torch.nn import functional

    def convolved(name, blob, **how):
        return functional.conv2d(blob, *layers[name], **how)

    blob = functional.max_pool2d(convolved("conv1", blob, stride=2, padding=2).relu(), 2)
    blob = convolved("conv3", convolved("conv2", blob, padding=1).relu(), padding=1).relu()
    branches = [convolved("branches/1x1", blob), convolved("branches/3x3", blob, padding=1)]
    means = [branch.relu().mean((2, 3), keepdim=True) for branch in branches]
    return convolved("score", torch.cat(means, 1))[:, :, 0, 0]


def main():
    """Train the net of the tests anew."""
    arrays = train(SEED, training_scenes())
    np.savez_compressed(str(_SAVED), **{
        f"{name}:{index}": array.astype(np.float16)
        for name, of_layer in arrays.items() for index, array in enumerate(of_layer)})


if __name__ == "__main__":
    main()
