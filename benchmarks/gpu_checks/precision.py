"""How far each precision is from fp32 on the same device."""

from typing import Any, Dict, List

import numpy as np

from gpu_checks import parity, product
from gpu_checks.report import Failed, Report, Skipped
from gpu_checks.setting import Setting

TITLE = "Precisions against fp32 on the same device"
COLUMNS = ["net", "precision", "scores, relative L2", "raw map, relative L2",
           "rank correlation of the maps: mean", "minimum", "same best class"]


def precision(setting: Setting, report: Report, name: str, nets: List[str]) -> None:
    """Scores and maps of each net in a precision, beside those in fp32."""
    if not product.has_arithmetic(setting.device, name):
        raise Skipped(f"this device has no arithmetic in {name}")
    differs = False
    for net in nets:
        if net == "learned" and not setting.learned:
            continue
        model = product.load(setting, net)
        inputs = product.inputs(model, 2 if setting.is_dry else 8)
        with product.engine(model, setting.device) as engine:
            exact = parity.answer(model, engine, [model.score, *model.layers], inputs)
        with product.engine(model, setting.device, name) as engine:
            short = parity.answer(model, engine, [model.score, *model.layers], inputs,
                                  exact.classes)
        row = compare(exact, short, model.score)
        report.row(TITLE, COLUMNS, [net, name] + row)
        if not np.isfinite(row[:3]).all():
            raise Failed(f"{net} in {name} gives infinity or NaN")
        differs = differs or row[0] > 0
    if not differs:
        raise Failed(f"every number in {name} equals that in fp32, so it had no effect")


def compare(exact: parity.Answer, short: parity.Answer, score: str) -> List[Any]:
    """The cells of a row that show how far two answers are apart."""
    ranks = [product.rank_correlation(first, second)
             for first, second in zip(short.cams, exact.cams)]
    best: Dict[str, List[int]] = {
        name: product.best_classes(answer.values[score])
        for name, answer in (("exact", exact), ("short", short))}
    same = sum(first == second for first, second in zip(best["exact"], best["short"]))
    return [product.relative_error(short.values[score], exact.values[score]),
            product.relative_error(short.cams, exact.cams), float(np.mean(ranks)),
            float(np.min(ranks)), f"{same} of {len(ranks)}"]
