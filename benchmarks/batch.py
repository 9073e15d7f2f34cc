"""A batch of many small JPEGs: throughput against the engine's own, memory, and who did the work.

    python benchmarks/batch.py MODEL --images 10000 --engine torch

The engine alone explains the same photographs, decoded and prepared before, in this process;
before and after the batch, since machines have moods. Memory is the resident one of the run's
processes, sampled twice a second; of its first tenth, from the first part on, and of its last
tenth the middle value is taken. With --kills N the run is killed with
kill -9 at N random moments, each time another of its processes, and gone on with.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import cv2
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "batch")]

from processes import family, kill  # noqa: E402

from caffe_gradcam.batch.output.plan import Plan  # noqa: E402
from caffe_gradcam.batch.output.status import problems  # noqa: E402
from caffe_gradcam.batch.storage import open_folder  # noqa: E402
from caffe_gradcam.engines import Running  # noqa: E402
from caffe_gradcam.explaining.explainer import Explainer  # noqa: E402
from caffe_gradcam.model.model import LoadedModel  # noqa: E402
from caffe_gradcam.model.preprocess import prepare  # noqa: E402

ENVIRONMENT = dict(os.environ, PYTHONPATH=str(ROOT))
ROLES = {"batch.pipeline.decoders:serve": "decoders", "batch.pipeline.net:serve": "net"}
_HERTZ = os.sysconf("SC_CLK_TCK")


def main():
    options = parse()
    options.model = os.path.abspath(options.model)
    folder = pathlib.Path(tempfile.mkdtemp(dir=options.scratch))
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


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--engine", default="torch")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--side", type=int, default=128, help="of each JPEG, in pixels")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--shard-size", type=int, default=500)
    parser.add_argument("--alone", type=int, default=400, help="images of the engine alone")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--scratch", help="where files go")
    return parser.parse_args()


def write_images(folder, count, side):
    """JPEGs of soft noise, all different."""
    folder.mkdir()
    rng = np.random.RandomState(0)
    for index in range(count):
        coarse = rng.randint(0, 256, (side // 8, side // 8, 3)).astype(np.uint8)
        picture = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{index:06d}.jpg"), picture)


def alone(options, source):
    """The engine in batches of the same size: images per second, processor seconds per 1000."""
    model = LoadedModel.load(options.model)
    paths = sorted(source.iterdir())[:options.alone]
    ready = [prepare(cv2.imread(str(path)), model.inputs) for path in paths]
    running = Running(engine=options.engine, device=options.device, isolated=False)
    with Explainer.open(model, running=running) as explainer:
        explainer.explain_prepared(ready[:options.batch])
        started, worked = time.perf_counter(), time.process_time()
        for start in range(0, len(ready), options.batch):
            explainer.explain_prepared(ready[start:start + options.batch])
        return (len(ready) / (time.perf_counter() - started),
                1000 * (time.process_time() - worked) / len(ready))


def command(options, source, output):
    return [sys.executable, "-m", "caffe_gradcam", "batch", options.model, str(source),
            "-o", str(output), "--engine", options.engine, "--devices", options.device,
            "--batch", str(options.batch), "--workers", str(options.workers),
            "--shard-size", str(options.shard_size), "--log-json"]


def batch(options, source, output):
    """Run the command; a dict of what it took."""
    process = subprocess.Popen(command(options, source, output), env=ENVIRONMENT,
                               stderr=subprocess.PIPE, universal_newlines=True)
    samples = []
    over = threading.Event()
    thread = threading.Thread(target=sample, args=(process.pid, samples, over))
    thread.start()
    events = [json.loads(line) for line in process.stderr if line.startswith("{")]
    process.wait()
    over.set()
    thread.join()
    progress = [one for one in events if one["event"] == "progress"]
    # From the first part on, when all libraries have been loaded.
    written = sorted(one.stat().st_mtime for one in (output / "parts").iterdir())
    memory = [one["memory"] for one in samples if one["time"] >= written[0]]
    tenth = max(1, len(memory) // 10)
    begin, end = ({role: statistics.median(one[role] for one in some) for role in some[0]}
                  for some in (memory[:tenth], memory[-tenth:]))
    plan = Plan.open(open_folder(str(output)))
    most = {role: max(one["cpu"][role] for one in samples) for role in samples[0]["cpu"]}
    return {
        "images": options.images, "code": process.returncode, "problems": problems(plan),
        "counts": plan.manifest["counts"],
        "rate": (options.images - options.shard_size) / (written[-1] - written[0]),
        "busy": busy(events[0]["time"], [one for one in progress if one["parts"]]),
        "memory_mib": [{role: round(one / 2.0 ** 20, 1) for role, one in some.items()}
                       for some in (begin, end)],
        "memory_growth": round(sum(end.values()) / sum(begin.values()) - 1, 4),
        "cpu_seconds_per_1000": {role: round(1000 * seconds / options.images, 2)
                                 for role, seconds in most.items()},
        "bytes_per_image": round(sum(one.stat().st_size for one in (output / "parts").iterdir())
                                 / float(options.images), 1),
        "bytes_of_list_per_image": round(sum(
            one.stat().st_size for one in (output / "items").iterdir()) / float(options.images), 1),
    }


def busy(start, progress):
    """How busy each stage was from the first part on; lines of progress tell it since the start."""
    first, last = progress[0], progress[-2 if len(progress) > 2 else -1]
    begin, end = first["time"] - start, last["time"] - start
    if begin == end:
        return last["busy"]
    return {name: round((part * end - first["busy"].get(name, 0) * begin) / (end - begin), 3)
            for name, part in last["busy"].items()}


def sample(pid, samples, over):
    """Note the memory and the processor time of a run's processes until it is over."""
    while not over.wait(0.5):
        members = family(pid)
        cpu = dict.fromkeys(("main", "decoders", "net"), 0.0)
        memory = dict.fromkeys(cpu, 0)
        for one in members:
            role = "main" if one == pid else role_of(one)
            cpu[role] += seconds_of(one)
            memory[role] += resident(one)
        if cpu["net"]:
            samples.append({"time": time.time(), "cpu": cpu, "memory": memory})


def role_of(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return "main"
    return next((role for mark, role in ROLES.items() if mark in text), "main")


def seconds_of(pid):
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / float(_HERTZ)
    except OSError:
        return 0.0


def resident(pid):
    """Bytes of memory, shared ones too."""
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        return 1024 * next(int(line.split()[1]) for line in text.splitlines()
                           if line.startswith("Rss:"))
    except (OSError, StopIteration):
        return 0


def kills(options, source, folder):
    """Kill a run again and again; says whether its table is that of the undisturbed one."""
    output, rng = folder / "killed", random.Random(1)
    killed = {}
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
    parts = sorted(one.name for one in (folder / "out" / "parts").iterdir())
    same = [(output / "parts" / name).read_bytes() == (folder / "out" / "parts" / name).read_bytes()
            for name in parts]
    return {"killed": killed, "parts": len(parts), "equal_parts": sum(same)}


if __name__ == "__main__":
    main()
