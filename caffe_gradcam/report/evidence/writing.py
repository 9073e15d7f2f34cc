"""Writes an archive of evidence."""

import hashlib
import json
import os
import tempfile
import time
import zipfile
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Sequence, Tuple

from caffe_gradcam import __version__
from caffe_gradcam.batch.versions import versions
from caffe_gradcam.report import page, tables
from caffe_gradcam.report.evidence import results, software
from caffe_gradcam.report.evidence.layout import (
    ATTACHED,
    CONTENTS,
    FORMAT,
    OUTPUT,
    PARITY,
    PICTURES,
    SUMS,
)
from caffe_gradcam.report.evidence.parity import MAP_TOLERANCE, SCORE_TOLERANCE, Parity
from caffe_gradcam.report.evidence.results import Results
from caffe_gradcam.report.summary import Summary
from prototxt_tools.errors import InputError, Outcome

if TYPE_CHECKING:
    from caffe_gradcam.report.output import Output


def write(output: "Output", path: str, attached: Sequence[str] = (),
          parity: "Optional[Outcome[Parity]]" = None) -> List[str]:
    """Write an archive of evidence.

    Surveys, evaluations and protocols whose results lie beside the batch are part of it.

    Parameters
    ----------
    output : Output
    path : str
        The ``.zip`` file.
    attached : sequence of str
        Further files, such as those of tests of one's own.
    parity : Outcome of Parity, optional
        How the batch compares with another engine, or why that is not known.

    Returns
    -------
    list of str
        What the archive lacks, one sentence each.

    Raises
    ------
    InputError
        A file cannot be read or written, or two attached ones have one name.
    """
    names = [os.path.basename(name) for name in attached]
    if len(set(names)) < len(names):
        raise InputError("two attached files have the same name; rename one", path)
    parity = parity or Outcome(error=InputError(
        "the engine of the batch was not compared with another one"))
    problems: List[str] = []
    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    temporary = tempfile.NamedTemporaryFile(dir=folder, prefix=".evidence-", delete=False)
    try:
        with temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            sums = []
            for name, data in _files(output, attached, parity, problems):
                archive.writestr(name, data)
                sums.append(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
            archive.writestr(SUMS, "".join(sums))
        os.chmod(temporary.name, 0o644)
        os.replace(temporary.name, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}", path) from None
    finally:
        if os.path.exists(temporary.name):
            os.remove(temporary.name)
    return problems


def _files(output: "Output", attached: Sequence[str], parity: "Outcome[Parity]",
           problems: List[str]) -> Iterator[Tuple[str, bytes]]:
    """The name and the bytes of each file of the archive but the sums; adds what it lacks to
    ``problems``."""
    summary = Summary.of(output.entries())
    pictures = {str(row["id"]): row["sha256"] for row in tables.rows(output)}
    yield from _report(output)
    problems += output.problems
    yield "scores.csv", tables.to_csv(output)
    yield "recipe.json", _json(output.manifest.get("recipe"))
    yield PICTURES, _json(pictures)
    yield "environment.json", _json({"made_with": versions(), "runs": [
        run.get("versions") for run in output.manifest.get("runs") or ()
        if isinstance(run, dict)]})
    yield "sbom.json", _json(software.bill_of_materials())
    if parity.value is not None:
        yield PARITY, _json(parity.value.to_dict())
    for name, data in output.files():
        yield f"{OUTPUT}/{name}", data
    beside = results.find(output)
    for name in beside.names():
        yield name, output.read(name)
    for name in attached:
        yield f"{ATTACHED}/{os.path.basename(name)}", _read(name)
    problems += beside.problems + ([] if parity.error is None else [str(parity.error)])
    contents = {
        "format": FORMAT, "version": __version__,
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "images": summary.images,
        "statuses": dict(summary.statuses), "right": summary.accuracy.count,
        "labelled": summary.accuracy.total, "results": list(beside.names()),
        "problems": problems}
    yield CONTENTS, _json(contents)
    yield "README.txt", _text(contents, attached, beside, parity.value)


def _report(output: "Output") -> Iterator[Tuple[str, bytes]]:
    """The report and its pages."""
    with tempfile.TemporaryDirectory(prefix="caffe-gradcam-") as folder:
        side = page.side_for(min(output.size(), page.MOST_ON_PAGE))
        written = page.write(os.path.join(folder, "report.html"), output.report,
                             output.entries(side))
        for file_path in written:
            yield os.path.relpath(file_path, folder).replace(os.sep, "/"), _read(file_path)


def _text(contents: Dict[str, Any], attached: Sequence[str], beside: Results,
          parity: Optional[Parity]) -> bytes:
    """What each file shows, and what it does not."""
    environment = page.environment().overlay(autoescape=False, trim_blocks=True)
    reference = "" if parity is None else ", ".join(
        f"{name} {value}" for name, value in parity.reference.items())
    values = {
        **contents, "parity": parity, "reference": reference, "score_tolerance": SCORE_TOLERANCE,
        "map_tolerance": MAP_TOLERANCE, "survey": beside.files.get(results.SURVEY),
        "evaluation": beside.files.get(results.EVALUATION),
        "protocol": beside.files.get(results.PROTOCOL),
        "attached": [os.path.basename(name) for name in attached]}
    text: str = environment.get_template("evidence.txt").render(values) + "\n"
    return text.encode("utf-8", "replace")


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode("ascii")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", path) from None
