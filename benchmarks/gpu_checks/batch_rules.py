"""Batches that do not fit, cards that are not there, runs that are killed."""

import json
import os
import subprocess
import time
import warnings
from typing import Any, Dict, List

import numpy as np

from gpu_checks import product
from gpu_checks.parity import BACKWARD, judge
from gpu_checks.report import Clock, Failed, Report, Skipped
from gpu_checks.setting import Setting


def out_of_memory(setting: Setting, report: Report) -> None:
    """The card is filled until a batch does not fit; then it is halved, with a warning."""
    count = 8 if setting.is_dry else 64
    model = product.load(setting, "resnet50")
    ready = product.prepared(model, 1) * count
    with product.explainer(model, setting.device) as explainer:
        expected = explainer.explain_prepared(ready)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", product.SmallerBatch)
            filler = _fill(setting, explainer, ready, report)
            results = explainer.explain_prepared(ready)
            del filler
        messages = [str(warning.message) for warning in caught
                    if issubclass(warning.category, product.SmallerBatch)]
        again = explainer.explain_prepared(ready[:count // 4])
    if not messages:
        raise Failed("a batch of {} fitted into the memory that was left".format(count))
    report.number("batch", count)
    report.number("halved", len(messages))
    report.number("first warning", messages[0])
    for what, outcome in (("the maps of the halved batch", results), ("maps afterwards", again)):
        error = product.relative_error(_maps(outcome), _maps(expected[:len(outcome)]))
        report.number(what + ", relative L2", error)
        judge("resnet50", {what: error}, BACKWARD)
    if setting.is_dry:
        raise Skipped("the shortage was simulated, since a dry run has no card to fill")


def _maps(results: List[Any]) -> np.ndarray:
    return np.stack([result.explanations[0].cam for result in results])


def _fill(setting: Setting, explainer: Any, ready: List[Any], report: Report) -> Any:
    """Take the card's memory but for half of what a batch needs; on a CPU, pretend it."""
    if setting.device == "cpu":
        explainer.engine = _Small(explainer.engine, len(ready) // 2)
        return None
    import torch

    torch.cuda.reset_peak_memory_stats()
    explainer.explain_prepared(ready)
    torch.cuda.synchronize()
    # What the last batch left behind lives until the next one begins.
    needed = torch.cuda.max_memory_allocated() - torch.cuda.memory_allocated()
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    report.number("memory of the card, MiB", total >> 20)
    report.number("needed for the batch, MiB", needed >> 20)
    report.number("left for it, MiB", needed >> 21)
    return torch.empty(max(0, free - needed // 2), dtype=torch.uint8, device=setting.device)


class _Small:
    """An engine whose memory holds so many rows."""

    def __init__(self, engine: Any, most: int) -> None:
        self._engine, self._most = engine, most

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def forward(self, inputs: Dict[str, np.ndarray], keep: List[str]) -> Dict[str, np.ndarray]:
        if len(next(iter(inputs.values()))) > self._most:
            raise product.OutOfMemory("the memory does not hold this batch")
        return self._engine.forward(inputs, keep)


def wrong_device(setting: Setting, report: Report) -> None:
    """A card that is not there is one sentence and exit code 2."""
    scene = sorted((product.DIGITS / "scenes").glob("*.png"))[0]
    result = subprocess.run(
        product.command("explain", product.DIGITS, scene, "-o", os.path.join(
            setting.folder, "out"), "--engine", "torch", "--device", "cuda:7"),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        universal_newlines=True)
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    report.number("exit code", result.returncode)
    report.number("message", lines[-1] if lines else "")
    said = [line for line in lines if line.startswith("caffe-gradcam: ")]
    if result.returncode != 2 or len(said) != 1 or "Traceback" in result.stderr:
        raise Failed("--device cuda:7 ends with status {} and {} lines on standard error".format(
            result.returncode, len(lines)))
    if "cuda:7" not in said[0]:
        raise Failed("the message does not name cuda:7")


def killed(setting: Setting, report: Report) -> None:
    """A run that is killed with -9 and gone on with comes to the table of an undisturbed one."""
    copies = 10 if setting.is_dry else 100
    source = os.path.join(setting.folder, "list.txt")
    scenes = sorted((product.DIGITS / "scenes").glob("*.png"))
    with open(source, "w", encoding="utf-8") as file:
        file.write("".join("{}\n".format(path) for path in scenes * copies))
    whole, cut = (os.path.join(setting.folder, name) for name in ("whole", "cut"))
    undisturbed, process = _batch(setting, source, whole), _batch(setting, source, cut)
    clock = Clock(setting.seconds)
    while process.poll() is None and not _parts(cut) and clock.left > 0:
        time.sleep(0.005)
    process.kill()
    process.wait()
    undisturbed.wait()
    done, total = len(_parts(cut)), len(_parts(whole))
    report.number("parts", total)
    report.number("parts before it was killed", done)
    if not 0 < done < total:
        raise Failed("the run was killed after {} of {} parts, not between them".format(
            done, total))
    code = _batch(setting, source, cut).wait()
    if code != 0:
        raise Failed("the resumed run ended with status {}".format(code))
    _compare_tables(report, rows(whole), rows(cut))


def _batch(setting: Setting, source: str, output: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        product.command("batch", product.DIGITS, source, "-o", output, "--engine", "torch",
                        "--devices", "0" if setting.device == "cuda" else "cpu",
                        "--shard-size", 6, "--workers", 1, "-q"), stdin=subprocess.DEVNULL)


def _parts(output: str) -> List[str]:
    try:
        names = os.listdir(os.path.join(output, "parts"))
    except OSError:
        return []
    return [name for name in names if not name.startswith(".")]


def rows(output: str) -> List[Dict[str, Any]]:
    """All rows of a batch's parts, in order."""
    import pyarrow.parquet

    folder = os.path.join(output, "parts")
    return [row for name in sorted(_parts(output))
            for row in pyarrow.parquet.read_table(os.path.join(folder, name)).to_pylist()]


def _compare_tables(report: Report, whole: List[Dict[str, Any]],
                    resumed: List[Dict[str, Any]]) -> None:
    report.number("rows", len(whole))
    report.number("rows that are equal to the last bit", sum(
        first == second for first, second in zip(whole, resumed)))
    keys = ("item", "path", "status", "class", "predicted", "cam_shape", "method")
    told = [json.dumps([[row[key] for key in keys] for row in table]) for table in
            (whole, resumed)]
    if not whole or told[0] != told[1]:
        raise Failed("the resumed table has other items, classes or shapes")
    maps, others = (np.concatenate([_cam(row) for row in table]) for table in (whole, resumed))
    error = product.relative_error(others, maps)
    report.number("maps, relative L2", error)
    # The table holds float16, one step of which is 1e-3 of a value.
    judge("the resumed table", {"its maps": error}, 1e-3)


def _cam(row: Dict[str, Any]) -> np.ndarray:
    return np.frombuffer(row["cam"], "<f2").astype(np.float32) * np.float32(row["cam_scale"])
