"""Ratios of speed between ways to explain a batch, as a table.

One worker process for each engine holds the same net with the same random weights. In each round
every way is run once, in turn, while the others rest; a ratio is the median over rounds of the
ratios within a round. The first run of each way is not counted. After that come profiles by type
of layer, and what it takes to start, to load and to hold VGG-16.

All of it takes about ten minutes of two cores. Torch runs here, Caffe in the test image
(scripts/build-image --target test) or elsewhere:

    python benchmarks/explain.py --caffe image --write docs/performance.md
    python benchmarks/explain.py --caffe 'PREFIX OF A COMMAND THAT RUNS IN A PLACE WITH PYCAFFE'
"""

import argparse
import importlib.util
import json
import pathlib
import shlex
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / name) for name in (".", "tests", "benchmarks", "scripts")]

import page_tables  # noqa: E402
from nets import NETS, operations  # noqa: E402

IMAGE = """source {root}/scripts/lib.sh; find_engine
run_in_image test --volume {root}:{root} --workdir {root} -- "$@" """
WORKER = "benchmarks/explain_worker.py"
WORKERS = ["torch", "library", "accelerated", "onnx", "graphs", "caffe"]
# In other precisions, which are measured only where they are asked for.
PRECISIONS = ["bf16", "bf16-graphs", "exported", "int8"]
COSTS = "benchmarks/explain_costs.py"
# OpenBLAS's, OpenMP's and OpenVINO's threads wait busily for a while, on the cores of the next way.
SETTLE = 0.15
MAKER = "benchmarks/explain.py"
ONE_THREAD = ["OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1"]
# (worker, action) by name.
WAYS = {
    "caffe forward": ("caffe", "forward"), "caffe": ("caffe", "explain"),
    "caffe five": ("caffe", "five"), "caffe isolated": ("caffe", "isolated"),
    "caffe folded": ("caffe", "folded"), "blog": ("caffe", "blog"),
    "torch forward": ("torch", "forward"), "torch": ("torch", "explain"),
    "torch five": ("torch", "five"), "torch folded": ("torch", "folded"),
    "library": ("library", "library"),
    "openvino forward": ("accelerated", "forward"), "openvino": ("accelerated", "explain"),
    "openvino five": ("accelerated", "five"),
    "onnx forward": ("onnx", "forward"), "onnx": ("onnx", "explain"),
    "graphs forward": ("graphs", "forward"), "graphs": ("graphs", "explain"),
    "bf16": ("bf16", "explain"), "bf16 graphs": ("bf16-graphs", "explain"),
    "exported": ("exported", "explain"), "int8": ("int8", "explain"),
}
# (title, way, other way): how many times longer the first takes.
RATIOS = [
    ("caffe: explain / forward", "caffe", "caffe forward"),
    ("caffe: five classes / one", "caffe five", "caffe"),
    ("caffe: in a process of its own / here", "caffe isolated", "caffe"),
    ("caffe: forward / folded", "caffe forward", "caffe folded"),
    ("blog script / caffe", "blog", "caffe"),
    ("torch: explain / forward", "torch", "torch forward"),
    ("torch: five classes / one", "torch five", "torch"),
    ("torch: forward / folded", "torch forward", "torch folded"),
    ("pytorch-grad-cam / torch", "library", "torch"),
    ("caffe / torch", "caffe", "torch"),
    ("openvino: explain / forward", "openvino", "openvino forward"),
    ("openvino: five classes / one", "openvino five", "openvino"),
    ("caffe / openvino", "caffe", "openvino"),
    ("blog script / openvino", "blog", "openvino"),
    ("--engine onnx: explain / forward", "onnx", "onnx forward"),
    ("--engine openvino: explain / forward", "graphs", "graphs forward"),
    ("caffe / --engine onnx", "caffe", "onnx"),
    ("caffe / --engine openvino", "caffe", "graphs"),
    ("caffe: forward / --engine openvino: explain", "caffe forward", "graphs"),
    ("openvino: fp32 / bf16", "openvino", "bf16"),
    ("caffe: forward / bf16: explain", "caffe forward", "bf16"),
    ("--engine openvino: fp32 / bf16", "graphs", "bf16 graphs"),
    ("caffe: forward / --engine openvino in bf16", "caffe forward", "bf16 graphs"),
    ("exported graph: fp32 / int8", "exported", "int8"),
    ("caffe: forward / exported graph in fp32", "caffe forward", "exported"),
    ("caffe: forward / exported graph in int8", "caffe forward", "int8"),
]


class Worker:
    """A process that runs ``explain_worker.py``."""

    def __init__(self, kind, prefix, busy):
        self._process = subprocess.Popen(
            prefix + [WORKER, kind] + ["--busy"] * busy, cwd=str(ROOT), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, universal_newlines=True)

    def ask(self, *message):
        print(json.dumps(message), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            sys.exit(f"explain.py: a worker ended while it did {message}")
        return json.loads(answer)

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def main():
    options = parse()
    started = {kind: command for kind, command in commands(options).items()
               if kind in options.workers}
    workers = {kind: Worker(kind, command, options.busy) for kind, command in started.items()}
    columns, profiles, peak = {}, {}, workers["torch"].ask("peak")
    for name in options.nets:
        for batch in options.batches:
            ways = chosen(workers, name, batch, options)
            seconds = measure(workers, ways, name, batch, options.rounds)
            columns[name, batch] = column(name, batch, seconds, peak)
            print("{}, {}: {}".format(name, batch, {
                way: round(1000 * statistics.median(times), 1)
                for way, times in seconds.items()}), file=sys.stderr, flush=True)
        for kind in ("caffe", "torch"):
            if kind in workers and not options.brief:
                profiles[f"{name}, {kind}"] = workers[kind].ask("profile")
    for worker in workers.values():
        worker.close()
    parts = [f"A 2048 x 2048 matrix product reaches {peak / 1e9:.0f} GFLOP/s here."]
    parts += [f"Batch of {batch}:\n\n" + table(
        {name: cells for (name, one), cells in columns.items() if one == batch})
        for batch in options.batches]
    if not options.brief:
        parts += [f"Forward pass by type of layer, batch of {options.batches[-1]}:\n\n" + table(
            {title: shares(taken) for title, taken in profiles.items()}),
            "Start-up, loading and memory:\n\n" + table(costs(options, started))]
    report = "\n\n".join(parts)
    print(report)
    if options.write:
        page_tables.put(options.write, MAKER, f"\n{report}\n")


def commands(options):
    """Kind of worker -> the command that runs Python for it."""
    threads = ["env", "GLOG_minloglevel=2"] + ONE_THREAD * options.busy
    started = {"torch": threads + [sys.executable]}
    for kind, module in (("library", "pytorch_grad_cam"), ("accelerated", "openvino"),
                         ("onnx", "onnxruntime"), ("graphs", "openvino"), ("bf16", "openvino"),
                         ("bf16-graphs", "openvino"),
                         ("exported", "openvino"), ("int8", "nncf")):
        if importlib.util.find_spec(module):
            started[kind] = started["torch"]
    if options.caffe == "image":
        prefix = ["bash", "-c", IMAGE.format(root=shlex.quote(str(ROOT))), "image"]
        started["caffe"] = prefix + threads + ["python3"]
    elif options.caffe:
        started["caffe"] = shlex.split(options.caffe) + threads + ["python3"]
    return started


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--caffe", metavar="image|PREFIX", help="where pycaffe is (default: none)")
    parser.add_argument("--nets", nargs="+", choices=list(NETS), default=list(NETS))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--workers", nargs="+", choices=WORKERS + PRECISIONS,
                        default=WORKERS, help="leave the others out; without torch there is no "
                        "product to compare with")
    parser.add_argument("--brief", action="store_true", help="forward passes and explanations of "
                        "one class alone; no profiles, and no start-up")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", metavar="FILE", type=pathlib.Path, help="put the tables between "
                        "the two comments in this file that name this program")
    parser.add_argument("--busy", action="store_true", help="one thread each, and its processor "
                        "time instead of the clock's: for a machine with other work to do")
    options = parser.parse_args()
    if options.write:
        try:
            page_tables.split(options.write, MAKER)
        except ValueError as error:
            parser.error(str(error))
    return options


def chosen(workers, name, batch, options):
    """The ways that can be measured, and those that mean something for this net and batch."""
    ways = {way: place for way, place in WAYS.items() if place[0] in workers}
    for way, (_, action) in list(ways.items()):
        if (way.endswith("five") and batch > 1
                or way.endswith("folded") and name != "ResNet-50"
                # Another process's time is not counted.
                or way.endswith("isolated") and options.busy
                or options.brief and action not in ("forward", "explain")):
            del ways[way]
    return ways


def measure(workers, ways, name, batch, rounds):
    """Way -> the seconds of each round."""
    for worker in workers.values():
        worker.ask("open", name, batch)
    seconds = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, (worker, action) in ways.items():
            time.sleep(SETTLE)
            taken = workers[worker].ask("run", action)
            if number:
                seconds[way].append(taken)
    return seconds


def column(name, batch, seconds, peak):
    """Title -> text of a cell."""
    cells = {}
    for title, way, other in RATIOS:
        if way in seconds and other in seconds:
            ratio = statistics.median(a / b for a, b in zip(seconds[way], seconds[other]))
            cells[title] = f"{ratio:.2f}"
    for way in ("caffe", "torch", "openvino"):
        if way in seconds:
            rate = operations(NETS[name][0]) * batch / statistics.median(seconds[way + " forward"])
            cells[way + ": images per second"] = f"{batch / statistics.median(seconds[way]):.1f}"
            cells[way + ": share of matrix product"] = f"{rate / peak:.0%}"
    return cells


def shares(taken):
    """Type of layer -> its share of the time, where that is worth a line."""
    total = sum(taken.values())
    found = sorted(taken.items(), key=lambda item: -item[1])
    return {name: f"{time / total:.0%}" for name, time in found if time > 0.02 * total}


def costs(options, started):
    """Columns for what ``explain_costs.py`` measures, and the start of the command."""
    columns = {}
    for kind in ("torch", "caffe"):
        for batch in options.batches if kind in started else ():
            output = subprocess.check_output(
                started[kind] + [COSTS, kind, "VGG-16", str(batch)], cwd=str(ROOT))
            columns[f"VGG-16, {batch}, {kind}"] = json.loads(output.decode())
    taken = []
    for _ in range(5):
        begin = time.perf_counter()
        subprocess.check_call([sys.executable, "-m", "caffe_gradcam", "--help"], cwd=str(ROOT),
                              stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - begin)
    columns["caffe-gradcam --help"] = {"seconds": f"{statistics.median(taken):.2f}"}
    return columns


def table(columns):
    titles = list(dict.fromkeys(title for cells in columns.values() for title in cells))
    rows = [[title] + [cells.get(title, "") for cells in columns.values()] for title in titles]
    lines = ["| |" + "|".join(columns) + "|", "|---|" + "---:|" * len(columns)]
    return "\n".join(lines + ["|" + "|".join(row) + "|" for row in rows])


if __name__ == "__main__":
    main()
