"""How close a batch without any option comes to the best setting found by hand.

    python benchmarks/defaults.py models/digits --engine torch --images 4000
    python benchmarks/defaults.py ResNet-50 --engine caffe --images 64 --side 448 --part-size 8

Every setting explains the same JPEGs, one run after the other, in each of several rounds; the order
changes from round to round. A ratio compares the run without options with that of a setting in the
same round, from the first part to the last, so that starting does not count. Reported are medians
and quartiles, of the rates and of the processor time per image, which other work on the machine
disturbs less.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Tuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "batch"),
                str(ROOT / "benchmarks")]

import definitions  # noqa: E402
from batch import measured, write_images  # noqa: E402

# Cores that the run believes it has, and options.
Setting = Tuple[int, List[str]]
DEFAULT = "default"
# What a user of two cores may try by hand.
SETTINGS: Dict[str, Setting] = {
    DEFAULT: (0, []),
    "1 net, 1 thread, 1 decoder": (1, ["--threads", "1"]),
    "1 net, 2 threads, 1 decoder": (0, ["--threads", "2"]),
    "1 net, 2 threads, 2 decoders": (0, ["--threads", "2", "--decoders", "2"]),
    "2 nets, 1 thread, 2 decoders": (0, ["--threads", "1", "--decoders", "2"]),
    "2 nets, 2 threads, 1 decoder": (0, ["--device", "cpu,cpu", "--threads", "2"]),
}
PROGRAM = """import os, sys
sys.path.insert(0, {root!r})
if {cores}:
    os.sched_getaffinity = lambda pid: set(range({cores}))
from caffe_gradcam.commands.cli import main
sys.exit(main())
"""


def main() -> None:
    options = parse()
    folder = Path(tempfile.mkdtemp(dir=options.scratch))
    try:
        model = located(options.model, folder)
        write_images(folder / "in", options.images, options.side)
        names = [DEFAULT] + [name for name in SETTINGS
                             if name != DEFAULT and (options.only or name) in name]
        rounds: List[Dict[str, Dict[str, float]]] = []
        for number in range(options.rounds):
            random.Random(number).shuffle(names)
            rounds.append({name: explained(options, model, folder, name) for name in names})
            print(json.dumps(rounds[-1]), file=sys.stderr, flush=True)
        for name, values in summary(rounds).items():
            print(json.dumps({name: values}))
    finally:
        shutil.rmtree(str(folder))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model folder, or ResNet-50 with random weights")
    parser.add_argument("--engine", default="torch")
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--side", type=int, default=128, help="of each JPEG, in pixels")
    parser.add_argument("--part-size", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="settings with these words in their name")
    parser.add_argument("--scratch", help="a folder for the files")
    return parser.parse_args()


def located(model: str, folder: Path) -> str:
    """The path of a model; ResNet-50 is written with random weights."""
    if model != "ResNet-50":
        return os.path.abspath(model)
    (folder / "resnet50").mkdir()
    definitions.write_model(folder / "resnet50", definitions.resnet(50))
    return str(folder / "resnet50")


def explained(options: argparse.Namespace, model: str, folder: Path, name: str
              ) -> Dict[str, float]:
    """Run with a setting; images per second, and processor milliseconds per image."""
    cores, words = SETTINGS[name]
    output = folder / "out"
    command = [sys.executable, "-c", PROGRAM.format(root=str(ROOT), cores=cores), "batch", model,
               str(folder / "in"), "-o", str(output), "--engine", options.engine,
               "--part-size", str(options.part_size), "--log-json", *words]
    report = measured(command, options.images, output)
    shutil.rmtree(str(output))
    assert report["code"] == 0 and report["counts"]["ok"] == options.images, report
    spent = report["cpu_seconds_per_1000"]
    return dict(spent, rate=report["rate"], ms=sum(spent.values()))


def summary(rounds: List[Dict[str, Dict[str, float]]]) -> Dict[str, Any]:
    """For each setting its rate and time, and what the default comes to beside it."""
    table: Dict[str, Any] = {}
    for name in rounds[0]:
        table[name] = {
            "images per second": spread([entry[name]["rate"] for entry in rounds]),
            "processor ms per image": spread([entry[name]["ms"] for entry in rounds]),
            "rate of the default / this": spread(
                [entry[DEFAULT]["rate"] / entry[name]["rate"] for entry in rounds]),
            "processor time of this / of the default": spread(
                [entry[name]["ms"] / entry[DEFAULT]["ms"] for entry in rounds])}
    return table


def spread(values: List[float]) -> List[float]:
    """Median, lower and upper quartile."""
    ordered = sorted(values)
    count = len(ordered)
    return [round(value, 3) for value in (
        statistics.median(ordered), ordered[(count - 1) // 4], ordered[-1 - (count - 1) // 4])]


if __name__ == "__main__":
    main()
