"""What each method costs, as a table: its time over that of one forward pass.

Random weights on the torch engine, one image, one thread if OMP_NUM_THREADS says so. Each method
is opened alone and run once before it is measured, unless it takes long. Times are of the
process's processor and of the clock; where other programs run, the first is the one to read.

Ablation-CAM is measured against running the whole net once for every channel, as implementations
without heads do. Methods that run the net on many pictures are measured against so many forward
passes in batches of the same size: what they take above that is their own.

    python benchmarks/methods.py
    python benchmarks/methods.py --net ResNet-50 --method score-cam --method ablation-cam
"""

import argparse
import pathlib
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import numpy as np  # noqa: E402
from definitions import write_model  # noqa: E402
from nets import NETS  # noqa: E402

from caffe_gradcam.engines import Running  # noqa: E402
from caffe_gradcam.engines.torch.trunk import PATIENCE  # noqa: E402
from caffe_gradcam.explaining.explainer import Explainer  # noqa: E402
from caffe_gradcam.explaining.methods import METHODS  # noqa: E402
from caffe_gradcam.explaining.settings import Explaining  # noqa: E402
from caffe_gradcam.model.model import LoadedModel  # noqa: E402
from caffe_gradcam.model.preprocess import prepare  # noqa: E402

# What takes longer, in seconds, is not warmed up, nor measured again.
LONG = 60
# Images in a batch, as many as methods run together.
TOGETHER = 16
TORCH = Running(engine="torch")
DEFAULT = ("SqueezeNet v1.1", "GoogLeNet", "ResNet-50")


class Counted:
    """An engine that counts the rows it runs."""

    def __init__(self, engine):
        self._engine, self.rows, self.head_rows = engine, 0, 0

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def forward(self, inputs, keep):
        self.rows += len(next(iter(inputs.values())))
        return self._engine.forward(inputs, keep)

    def forward_from(self, blob, value, keep, rows=None):
        self.head_rows += len(value)
        return self._engine.forward_from(blob, value, keep, rows)


def timed(function, repeats=1):
    """Processor's and clock's seconds of one call, the least of some."""
    times = []
    for _ in range(repeats):
        busy, clock = time.process_time(), time.perf_counter()
        function()
        times.append((time.process_time() - busy, time.perf_counter() - clock))
    return tuple(min(column) for column in zip(*times))


def measure(model, name, photograph, samples, repeats):
    """Seconds of one method, and how many rows it runs through the net and the head."""
    explaining = Explaining(methods=(name,), samples=samples)
    with Explainer.open(model, explaining, TORCH) as explainer:
        explainer.engine = counted = Counted(explainer.engine)
        seconds = timed(lambda: explainer.explain([photograph], [0]))
        rows, head_rows = counted.rows, counted.head_rows
        if seconds[0] < LONG:
            # As for the forward pass: only what comes again and again is compiled.
            for _ in range(PATIENCE):
                explainer.explain([photograph], [0])
            seconds = timed(lambda: explainer.explain([photograph], [0]), repeats)
    return seconds, rows, head_rows


def forwards(model, photograph, repeats):
    """Seconds of a forward pass: of one image alone, and of one image among TOGETHER."""
    data = prepare(photograph, model.inputs).blobs
    many = {name: np.repeat(blob, TOGETHER, axis=0) for name, blob in data.items()}
    with Explainer.open(model, running=TORCH) as explainer:
        engine, score = explainer.engine, [model.score]
        for inputs in (data, many) * (PATIENCE + 1):
            engine.forward(inputs, score)
        alone = timed(lambda: engine.forward(data, score), repeats * 3)
        among = timed(lambda: engine.forward(many, score), repeats)
    return alone, tuple(seconds / TOGETHER for seconds in among)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--net", action="append", choices=sorted(NETS))
    parser.add_argument("--method", action="append", choices=sorted(METHODS))
    parser.add_argument("--samples", type=int, help="instead of each method's own number")
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    photograph = np.random.RandomState(0).randint(0, 256, (256, 320, 3)).astype(np.uint8)
    print("| net | method | rows | head rows | time / forward | clock / forward "
          "| time / (rows x batched forward) |")
    print("|---|---|---|---|---|---|---|")
    for net in options.net or DEFAULT:
        text, score, target = NETS[net]
        with tempfile.TemporaryDirectory() as folder:
            path, _ = write_model(pathlib.Path(folder), text)
            model = LoadedModel.load(path, score=score, layers=target)
            alone, among = forwards(model, photograph, options.repeats)
            print(f"| {net} | one forward pass: {alone[0] * 1e3:.0f} ms; of {TOGETHER} together "
                  f"{among[0] * 1e3:.0f} ms each | | | 1 | 1 | |")
            for name in options.method or METHODS:
                report(net, model, name, photograph, options, (alone, among))


def report(net, model, name, photograph, options, costs):
    """Print one line of the table."""
    (alone, among), channels = costs, model.shapes[model.layers[0]][1]
    try:
        seconds, rows, head_rows = measure(
            model, name, photograph, options.samples, options.repeats)
    except ValueError as error:
        print(f"| {net} | {name} | | | | | {error} |")
        return
    ratio = ""
    if head_rows:
        ratio = f"{seconds[0] / (channels * among[0]):.3f} of {channels} full runs"
    elif rows > TOGETHER:
        ratio = f"{seconds[0] / (rows * among[0]):.2f}"
    print(f"| {net} | {name} | {rows} | {head_rows} | {seconds[0] / alone[0]:.1f} "
          f"| {seconds[1] / alone[1]:.1f} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
