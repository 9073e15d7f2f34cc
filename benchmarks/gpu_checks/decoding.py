"""JPEGs that the device decodes, beside OpenCV's."""

import time
from typing import List

import cv2
import numpy as np

from gpu_checks import product
from gpu_checks.report import Clock, Failed, Report
from gpu_checks.setting import Setting

TITLE = "JPEGs of 500 x 375: the device's decoder beside OpenCV's"
COLUMNS = ["colours", "mean difference, of 255", "99th percentile", "greatest",
           "rank correlation of maps: mean", "minimum", "JPEGs per second"]
# Mean difference; a picture that is turned, or whose colours are exchanged, is far beyond.
LIMIT = 4.0
COUNT, SECONDS = 64, 1.5


def decoding(setting: Setting, report: Report, name: str) -> None:
    """Decode JPEGs whose colours are stored in full, at half size and not at all."""
    import torch

    from caffe_gradcam.engines.torch import pictures

    device, model = torch.device(setting.device), product.load(setting, name)
    clock, worst = Clock(setting.seconds), 0.0
    for colours in ("4:4:4", "4:2:0", "grey"):
        files = [_jpeg(seed, colours) for seed in range(4 if setting.is_dry else COUNT)]
        sent = [torch.from_numpy(file) for file in files]
        decoded = [np.ascontiguousarray(picture.permute(1, 2, 0).cpu().numpy()[..., ::-1])
                   for picture in pictures.decoded(sent, device)]
        expected = [cv2.imdecode(file, cv2.IMREAD_COLOR) for file in files]
        differences = np.abs(np.float32(decoded) - np.float32(expected))
        ranks = _ranks(setting, model, decoded, expected)
        count, started = 0, time.perf_counter()
        while time.perf_counter() - started < min(0.1 if setting.is_dry else SECONDS,
                                                  clock.left / 6):
            pictures.decoded(sent, device)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            count += len(sent)
        rate = count / (time.perf_counter() - started)
        report.row(TITLE, COLUMNS, [
            colours, float(differences.mean()), float(np.percentile(differences, 99)),
            float(differences.max()), float(np.mean(ranks)), float(np.min(ranks)), rate])
        worst = max(worst, float(differences.mean()))
    if worst > LIMIT:
        raise Failed(f"pictures differ from OpenCV's by {worst:.1f} levels on average, more than "
                     f"{LIMIT:g}")


def _jpeg(seed: int, colours: str) -> np.ndarray:
    picture = product.noise(seed)
    flags = [cv2.IMWRITE_JPEG_QUALITY, 90]
    if colours == "grey":
        picture = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    elif colours == "4:4:4":
        flags += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", picture, flags)[1].reshape(-1)


def _ranks(setting: Setting, model: product.LoadedModel, decoded: List[np.ndarray],
           expected: List[np.ndarray]) -> List[float]:
    """How alike the maps of both kinds of pictures are, of the first few."""
    from caffe_gradcam.model.preprocess import prepare
    from prototxt_tools.errors import Outcome

    with product.explainer(model, setting.device) as explainer:
        maps = [product.cams(explainer.explain_prepared(
            [Outcome.of(prepare, picture, model.inputs) for picture in images[:8]]))
            for images in (decoded, expected)]
    return [product.rank_correlation(first, second) for first, second in zip(*maps)]
