"""The whole way: JPEGs in a tar to rows in Parquet."""

import io
import json
import os
import subprocess
import tarfile
import time
from typing import Any, Dict, List

from gpu_checks import product
from gpu_checks.report import Failed, Report
from gpu_checks.setting import Setting

TITLE = "JPEGs of 500 x 375 in a tar to Parquet by `batch`"
COLUMNS = ["net", "precision", "batch", "images", "images per second", "net busy, %",
           "decoders busy, %", "writer busy, %", "seconds with start"]
# Different pictures; the tar holds them over and over.
PICTURES = 64
QUALITY = 90


def pipeline(setting: Setting, report: Report, runs: List[List[Any]]) -> None:
    """Explain a tar of photographs by the command; each run is net, precision, batch, images."""
    pictures = [_jpeg(seed) for seed in range(4 if setting.is_dry else PICTURES)]
    report.number("bytes of a JPEG", sum(map(len, pictures)) // len(pictures))
    for name, precision, batch, count in runs:
        model = product.load(setting, name)
        source = os.path.join(setting.folder, "photographs.tar")
        _write_tar(source, pictures, count)
        output = os.path.join(setting.folder, "out-{}-{}".format(name, precision))
        shard = count // 8
        words = product.command(
            "batch", os.path.dirname(model.path), source, "-o", output, "--engine", "torch",
            "--devices", "0" if setting.device == "cuda" else "cpu", "--precision", precision,
            "--score", model.score, "--layer", model.targets[0], "--batch", batch,
            "--shard-size", shard, "--log-json")
        started = time.time()
        process = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, universal_newlines=True)
        seconds = time.time() - started
        events = [json.loads(line) for line in process.stderr.splitlines()
                  if line.startswith("{")]
        ended = [event for event in events if event["event"] == "progress"]
        if process.returncode != 0 or not ended or ended[-1]["counts"].get("ok", 0) != count:
            raise Failed("the batch ended with status {}: {}".format(
                process.returncode, process.stderr.strip().splitlines()[-1:]))
        report.row(TITLE, COLUMNS, [name, precision, batch, count] + _rates(
            output, count, shard, events[0], ended[-1]) + [seconds])


def _rates(output: str, count: int, shard: int, start: Dict[str, Any],
           end: Dict[str, Any]) -> List[float]:
    """Images per second and busy stages from the first part on: loading is not counted.

    The run says how busy a stage was since its beginning; of its work, as much is taken as there
    were images after the first part.
    """
    folder = os.path.join(output, "parts")
    written = sorted(os.stat(os.path.join(folder, name)).st_mtime for name in os.listdir(folder))
    window, share = max(1e-6, written[-1] - written[0]), (count - shard) / count
    whole = end["time"] - start["time"]
    return [(count - shard) / window] + [
        min(100.0, 100 * end["busy"].get(stage, 0.0) * whole * share / window)
        for stage in ("net", "decode", "write")]


def _jpeg(seed: int) -> bytes:
    import cv2

    _, data = cv2.imencode(".jpg", product.noise(seed), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return bytes(data.tobytes())


def _write_tar(path: str, pictures: List[bytes], count: int) -> None:
    with tarfile.open(path, "w") as tar:
        for index in range(count):
            data = pictures[index % len(pictures)]
            member = tarfile.TarInfo("{:06d}.jpg".format(index))
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
