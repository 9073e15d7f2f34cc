"""Batches that do not fit the memory, missing cards, killed runs."""

import os
import subprocess
import time
import warnings
from typing import Any, Dict, List

import numpy as np

from caffe_gradcam.batch.output.rows import unpack
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
            outcomes = explainer.explain_prepared(ready)
            del filler
        messages = [str(warning.message) for warning in caught
                    if issubclass(warning.category, product.SmallerBatch)]
        again = explainer.explain_prepared(ready[:count // 4])
    if not messages:
        raise Failed(f"a batch of {count} still fitted into the memory")
    report.number("batch", count)
    report.number("halved", len(messages))
    report.number("first warning", messages[0])
    for name, maps in (("the maps of the halved batch", outcomes), ("maps afterwards", again)):
        error = product.relative_error(product.cams(maps), product.cams(expected[:len(maps)]))
        report.number(name + ", relative L2", error)
        judge("resnet50", {name: error}, BACKWARD)
    if setting.is_dry:
        raise Skipped("the shortage was simulated, since a dry run has no card to fill")


def _fill(setting: Setting, explainer: product.Explainer,
          ready: List["product.Outcome[product.Prepared]"], report: Report) -> Any:
    """Fill the card's memory up to half of what a batch needs; on a CPU, simulate that."""
    if setting.device == "cpu":
        small: Any = _Small(explainer.engine, len(ready) // 2)
        explainer.engine = small
        return None
    import torch

    torch.cuda.reset_peak_memory_stats()
    explainer.explain_prepared(ready)
    torch.cuda.synchronize()
    # What the last batch left behind stays until the next one begins.
    needed = torch.cuda.max_memory_allocated() - torch.cuda.memory_allocated()
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    report.number("memory of the card, MiB", total >> 20)
    report.number("needed for the batch, MiB", needed >> 20)
    report.number("left for it, MiB", needed >> 21)
    return torch.empty(max(0, free - needed // 2), dtype=torch.uint8, device=setting.device)


class _Small:
    """An engine whose memory holds at most so many rows."""

    def __init__(self, engine: Any, most: int) -> None:
        self._engine, self._most = engine, most

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def forward(self, inputs: Dict[str, np.ndarray], keep: List[str]) -> Dict[str, np.ndarray]:
        if len(next(iter(inputs.values()))) > self._most:
            raise product.OutOfMemory("the memory does not hold this batch")
        return self._engine.forward(inputs, keep)


def wrong_device(setting: Setting, report: Report) -> None:
    """A card that does not exist is refused in one sentence, with exit code 2."""
    scene = sorted((product.DIGITS / "scenes").glob("*.png"))[0]
    result = subprocess.run(
        product.command("explain", product.DIGITS, scene, "-o", os.path.join(
            setting.folder, "out"), "--engine", "torch", "--device", "cuda:7"),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        universal_newlines=True)
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    report.number("exit code", result.returncode)
    report.number("message", lines[-1] if lines else "")
    messages = [line for line in lines if line.startswith("caffe-gradcam: ")]
    if result.returncode != 2 or len(messages) != 1 or "Traceback" in result.stderr:
        raise Failed(f"--device cuda:7 ends with status {result.returncode} and {len(lines)} lines "
                     "on standard error")
    if "cuda:7" not in messages[0]:
        raise Failed("the message does not name cuda:7")


def killed(setting: Setting, report: Report) -> None:
    """A run that is killed with -9 and resumed makes the same table as an undisturbed run."""
    copies = 10 if setting.is_dry else 100
    source = os.path.join(setting.folder, "list.txt")
    scenes = sorted((product.DIGITS / "scenes").glob("*.png"))
    with open(source, "w", encoding="utf-8") as file:
        file.write("".join(f"{path}\n" for path in scenes * copies))
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
        raise Failed(f"the run was killed after {done} of {total} parts, not between them")
    code = _batch(setting, source, cut).wait()
    if code != 0:
        raise Failed(f"the resumed run ended with status {code}")
    _compare_tables(report, rows(whole), rows(cut))


def _batch(setting: Setting, source: str, output: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        product.command("batch", product.DIGITS, source, "-o", output, "--engine", "torch",
                        "--device", setting.device, "--part-size", 6, "--decoders", 1, "-q"),
        stdin=subprocess.DEVNULL)


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
    report.number("rows that are bitwise equal", sum(
        first == second for first, second in zip(whole, resumed)))
    keys = ("item", "path", "status", "true_label", "predicted", "class", "class_name", "method",
            "layer", "cam_shape")
    first, second = ([[row[key] for key in keys] for row in table] for table in (whole, resumed))
    if not whole or first != second:
        raise Failed("the resumed table has other items, classes or shapes")
    maps, others = (np.concatenate([unpack(row).ravel() for row in table])
                    for table in (whole, resumed))
    error = product.relative_error(others, maps)
    report.number("maps, relative L2", error)
    # The table holds float16, one step of which is 1e-3 of a value.
    judge("the resumed table", {"its maps": error}, 1e-3)
