"""A batch of many small JPEGs: throughput against the engine's own, memory, and who did the work.

    python benchmarks/batch.py MODEL --images 10000 --engine torch

The engine alone explains the same images, decoded and prepared before, in this process;
before and after the batch, since the speed of a machine varies. Memory is the resident memory of
the run's processes, sampled twice a second; reported are the medians of the first tenth of the
run, from the first part on, and of its last tenth. With --kills N the run is killed with kill -9 at
N random moments, a random one of its processes each time, and continued.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, Tuple

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "batch")]

from processes import family, kill  # noqa: E402

from caffe_gradcam.batch.output.plan import Plan  # noqa: E402
from caffe_gradcam.batch.output.status import problems  # noqa: E402
from caffe_gradcam.batch.storage import open_folder  # noqa: E402
from caffe_gradcam.engines import Running  # noqa: E402
from caffe_gradcam.explaining.explainer import Explainer  # noqa: E402
from caffe_gradcam.model.model import LoadedModel  # noqa: E402
from caffe_gradcam.model.preprocess import prepare  # noqa: E402
from prototxt_tools.errors import Outcome  # noqa: E402

ENVIRONMENT = dict(os.environ, PYTHONPATH=os.pathsep.join(
    [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))
ROLES = {"batch.pipeline.decoder:serve": "decoders", "batch.pipeline.net_process:serve": "net"}
Event = Dict[str, Any]
_HERTZ = os.sysconf("SC_CLK_TCK")


def main() -> None:
    options = parse()
    options.model = os.path.abspath(options.model)
    folder = Path(tempfile.mkdtemp(dir=options.scratch))
    try:
        source = folder / "in"
        write_images(source, options.images, options.side)
        before = alone(options, source)
        report = batch(options, source, folder / "out")
        after = alone(options, source)
        report["alone"] = {"rate": (before[0], after[0]),
                           "cpu_seconds_per_1000": (before[1], after[1])}
        report["ratio"] = report["rate"] / statistics.mean((before[0], after[0]))
        if options.kills:
            report["kills"] = kills(options, source, folder)
        print(json.dumps(report, indent=1))
    finally:
        shutil.rmtree(str(folder))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--engine", default="torch")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--side", type=int, default=128, help="of each JPEG, in pixels")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--decoders", type=int, default=1)
    parser.add_argument("--part-size", type=int, default=500)
    parser.add_argument("--alone", type=int, default=400, help="images of the engine alone")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--scratch", help="a folder for the files")
    return parser.parse_args()


def write_images(folder: Path, count: int, side: int) -> None:
    """JPEGs of soft noise, all different."""
    folder.mkdir()
    rng = np.random.RandomState(0)
    for index in range(count):
        coarse = rng.randint(0, 256, (side // 8, side // 8, 3)).astype(np.uint8)
        picture = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{index:06d}.jpg"), picture)


def alone(options: argparse.Namespace, source: Path) -> Tuple[float, float]:
    """The engine in batches of the same size: images per second, processor seconds per 1000."""
    model = LoadedModel.load(options.model)
    paths = sorted(source.iterdir())[:options.alone]
    ready = [Outcome.of(prepare, cv2.imread(str(path)), model.inputs) for path in paths]
    running = Running(engine=options.engine, device=options.device, isolated=False,
                      precision=options.precision)
    with Explainer.open(model, running=running) as explainer:
        explainer.explain_prepared(ready[:options.batch])
        started, worked = time.perf_counter(), time.process_time()
        for start in range(0, len(ready), options.batch):
            explainer.explain_prepared(ready[start:start + options.batch])
        return (len(ready) / (time.perf_counter() - started),
                1000 * (time.process_time() - worked) / len(ready))


def command(options: argparse.Namespace, source: Path, output: Path) -> List[str]:
    return [sys.executable, "-m", "caffe_gradcam", "batch", options.model, str(source),
            "-o", str(output), "--engine", options.engine, "--device", options.device,
            "--precision", options.precision, "--batch", str(options.batch),
            "--decoders", str(options.decoders), "--part-size", str(options.part_size),
            "--log-json"]


def batch(options: argparse.Namespace, source: Path, output: Path) -> Dict[str, Any]:
    """Run the command; a dict of what it took."""
    return measured(command(options, source, output), options.images, output)


def measured(words: List[str], images: int, output: Path) -> Dict[str, Any]:
    """Run a command that explains so many images into an output; a dict of what it took."""
    process = subprocess.Popen(words, env=ENVIRONMENT, stderr=subprocess.PIPE,
                               universal_newlines=True)
    samples: List[Event] = []
    over = threading.Event()
    thread = threading.Thread(target=sample, args=(process.pid, samples, over))
    thread.start()
    assert process.stderr is not None
    lines = list(process.stderr)
    process.wait()
    over.set()
    thread.join()
    if process.returncode not in (0, 1):
        sys.exit("".join(lines))
    events = [json.loads(line) for line in lines if line.startswith("{")]
    progress = [event for event in events if event["event"] == "progress"]
    # From the first part on, when all libraries have been loaded.
    plan = Plan.open(open_folder(str(output)))
    written = sorted((path.stat().st_mtime, int(path.stem.split("-")[1]))
                     for path in (output / "parts").glob("*.[pn]*"))
    window = written[-1][0] - written[0][0]
    memory = [entry["memory"] for entry in samples if entry["time"] >= written[0][0]]
    tenth = max(1, len(memory) // 10)
    begin, end = ({role: statistics.median(entry[role] for entry in group) for role in group[0]}
                  for group in (memory[:tenth], memory[-tenth:]))
    return {
        "images": images, "code": process.returncode, "problems": problems(plan),
        "counts": plan.manifest["counts"],
        "rate": sum(plan.size(number) for _, number in written[1:]) / window,
        "busy": busy(events[0]["time"], [event for event in progress if event["parts"]]),
        "memory_mib": [{role: round(size / 2.0 ** 20, 1) for role, size in group.items()}
                       for group in (begin, end)],
        "memory_growth": round(sum(end.values()) / sum(begin.values()) - 1, 4),
        "cpu_seconds_per_1000": spent(samples, written[0][0], images - plan.size(written[0][1])),
        "bytes_per_image": _bytes_per_image(output / "parts", images),
        "bytes_of_list_per_image": _bytes_per_image(output / "items", images),
    }


def spent(samples: List[Event], start: float, images: int) -> Dict[str, float]:
    """Processor seconds of each kind of process per 1000 images, from a moment on."""
    first = next((entry for entry in samples if entry["time"] >= start), samples[0])["cpu"]
    return {role: round(1000 * (max(entry["cpu"][role] for entry in samples) - first[role])
                        / images, 3) for role in first}


def _bytes_per_image(folder: Path, images: int) -> float:
    return round(sum(path.stat().st_size for path in folder.iterdir()) / float(images), 1)


def busy(start: float, progress: List[Event]) -> Dict[str, float]:
    """How busy each stage was from the first part on; lines of progress tell it since the start."""
    first, last = progress[0], progress[-2 if len(progress) > 2 else -1]
    begin, end = first["time"] - start, last["time"] - start
    if begin == end:
        return last["busy"]
    return {name: round((part * end - first["busy"].get(name, 0) * begin) / (end - begin), 3)
            for name, part in last["busy"].items()}


def sample(pid: int, samples: List[Event], over: threading.Event) -> None:
    """Note the memory and the processor time of a run's processes until it is over."""
    while not over.wait(0.5):
        members = family(pid)
        cpu = dict.fromkeys(("main", "decoders", "net"), 0.0)
        memory = dict.fromkeys(cpu, 0)
        for member in members:
            role = "main" if member == pid else role_of(member)
            cpu[role] += seconds_of(member)
            memory[role] += resident(member)
        # At the end processes go one by one, while rows are still counted.
        if cpu["net"] and all(memory.values()):
            samples.append({"time": time.time(), "cpu": cpu, "memory": memory})


def role_of(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return "main"
    return next((role for mark, role in ROLES.items() if mark in text), "main")


def seconds_of(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / float(_HERTZ)
    except OSError:
        return 0.0


def resident(pid: int) -> int:
    """Bytes of memory, shared ones too."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return 1024 * next(int(line.split()[1]) for line in text.splitlines()
                           if line.startswith("Rss:"))
    except (OSError, StopIteration):
        return 0


def kills(options: argparse.Namespace, source: Path, folder: Path) -> Dict[str, Any]:
    """Kill a run again and again; says whether its table is that of the undisturbed one."""
    output, rng = folder / "killed", random.Random(1)
    killed: Dict[str, int] = {}
    seconds = options.images / 200.0
    for _ in range(options.kills):
        process = subprocess.Popen(command(options, source, output), env=ENVIRONMENT,
                                   stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0, seconds))
        members = family(process.pid)
        victim = rng.choice(members)
        role = "main" if victim == process.pid else role_of(victim)
        killed[role] = killed.get(role, 0) + 1
        kill(victim)
        if victim != process.pid:
            time.sleep(rng.uniform(0, seconds))
            kill(process.pid)
        process.wait()
    subprocess.call(command(options, source, output), env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    parts = sorted(path.name for path in (folder / "out" / "parts").iterdir())
    same = [(output / "parts" / name).read_bytes() == (folder / "out" / "parts" / name).read_bytes()
            for name in parts]
    return {"killed": killed, "parts": len(parts), "equal_parts": sum(same)}


if __name__ == "__main__":
    main()
