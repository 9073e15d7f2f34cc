"""From JPEGs in a tar to rows in Parquet."""

import io
import json
import os
import subprocess
import tarfile
import time
from typing import Any, Dict, List, Tuple

from gpu_checks import product
from gpu_checks.report import Failed, Report
from gpu_checks.setting import Setting

TITLE = "JPEGs of 500 x 375 in a tar to Parquet by `batch`"
COLUMNS = ["net", "precision", "batch", "images", "decoded by", "images per second", "net busy, %",
           "decoders busy, %", "writer busy, %", "seconds with start"]
# Different images; the tar repeats them.
IMAGES = 64
QUALITY = 90


def pipeline(setting: Setting, report: Report, runs: List[Tuple[str, str, int, int]]) -> None:
    """Explain a tar of images with the command; each run is (net, precision, batch, images)."""
    images = [_jpeg(seed) for seed in range(4 if setting.is_dry else IMAGES)]
    report.number("bytes of a JPEG", sum(map(len, images)) // len(images))
    precisions = product.usable(setting, report, [run[1] for run in runs])
    for name, precision, batch, count in runs:
        if precision not in precisions:
            continue
        model = product.load(setting, name)
        source = os.path.join(setting.folder, "images.tar")
        _write_tar(source, images, count)
        output = os.path.join(setting.folder, f"out-{name}-{precision}")
        part_size = count // 8
        words = product.command(
            "batch", os.path.dirname(model.path), source, "-o", output, "--engine", "torch",
            "--device", setting.device, "--precision", precision, "--mean", "none",
            "--score", model.score, "--layer", model.layers[0], "--batch", batch,
            "--part-size", part_size, "--log-json")
        started = time.time()
        process = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, universal_newlines=True)
        seconds = time.time() - started
        events = [json.loads(line) for line in process.stderr.splitlines()
                  if line.startswith("{")]
        ended = [event for event in events if event["event"] == "progress"]
        if process.returncode != 0 or not ended or ended[-1]["counts"].get("ok", 0) != count:
            raise Failed(f"the batch ended with status {process.returncode}: "
                         f"{process.stderr.strip().splitlines()[-1:]}")
        with open(os.path.join(output, "manifest.json"), encoding="utf-8") as file:
            decode = json.load(file)["rows_depend_on"]["decode"]
        report.row(TITLE, COLUMNS, [name, precision, batch, count, decode] + _rates(
            output, count, part_size, events[0], ended[-1]) + [seconds])


def _rates(output: str, count: int, part_size: int, start: Dict[str, Any],
           end: Dict[str, Any]) -> List[float]:
    """Images per second and busy stages after the first part, so that loading does not count.

    The run reports how busy a stage was since its start; the same share of this work is counted
    as of the images.
    """
    folder = os.path.join(output, "parts")
    written = sorted(os.stat(os.path.join(folder, name)).st_mtime for name in os.listdir(folder))
    window, counted = max(1e-6, written[-1] - written[0]), (count - part_size) / count
    whole = end["time"] - start["time"]
    return [(count - part_size) / window] + [
        min(100.0, 100 * end["busy"].get(stage, 0.0) * whole * counted / window)
        for stage in ("net", "decode", "write")]


def _jpeg(seed: int) -> bytes:
    import cv2

    _, data = cv2.imencode(".jpg", product.noise(seed), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return bytes(data.tobytes())


def _write_tar(path: str, images: List[bytes], count: int) -> None:
    with tarfile.open(path, "w") as tar:
        for index in range(count):
            data = images[index % len(images)]
            member = tarfile.TarInfo(f"{index:06d}.jpg")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
