"""The three files that a run leaves: gpu.json, gpu.md and log."""

import dataclasses
import json
import os
from typing import Any, Dict, List, Optional

from gpu_checks.setting import Result

FILES = ("gpu.json", "gpu.md", "log")
NO_CARD = "none (dry run on the CPU)"
DRY_RUN = ("This was a dry run on the CPU with tiny sizes: no GPU was used, and no number here "
           "describes a GPU.")
# Fact -> how gpu.md names it.
FACTS = {
    "date": "date", "driver": "driver", "torch": "torch", "cuda": "CUDA", "cudnn": "cuDNN",
    "memory_mib": "memory, MiB", "clocks": "clocks (SM, memory; maximum), MHz",
    "processor": "processor", "cores": "cores", "python": "Python", "version": "caffe-gradcam",
}


class Record:
    """Results, and the files that hold them; written after each.

    Parameters
    ----------
    folder : str
    facts : dict
        Facts about the machine; see ``facts``.
    names : list of str
        Of the checks that are to run, in their order.
    """

    def __init__(self, folder: str, facts: Dict[str, Any], names: List[str]) -> None:
        self._folder, self._facts, self._names = folder, facts, names
        self._results: Dict[str, Result] = {}
        self._seconds: Optional[float] = None
        with open(os.path.join(folder, "log"), "w"):
            pass
        self._write()

    @property
    def results(self) -> List[Result]:
        """The results so far, in the order of the checks."""
        return [self._results[name] for name in self._names if name in self._results]

    def add(self, result: Result) -> None:
        """Keep a result, and write the files."""
        self._results[result.name] = result
        self._write()
        line = f"{result.status:<9} {result.name:<22} {result.seconds:>6.1f} s  {result.reason}"
        print(line.rstrip(), flush=True)

    def log(self, name: str, text: str) -> None:
        """Keep what a check wrote to its standard output and error."""
        if text.strip():
            with open(os.path.join(self._folder, "log"), "a", encoding="utf-8") as file:
                end = "" if text.endswith("\n") else "\n"
                file.write(f"== {name} ==\n{text}{end}")

    def finish(self, seconds: float) -> None:
        """End the run, complete or not."""
        self._seconds = round(seconds, 1)
        self._write()

    def _write(self) -> None:
        missing = [name for name in self._names if name not in self._results]
        content = dict(self._facts, seconds=self._seconds,
                       complete=self._seconds is not None and not missing, not_run=missing,
                       checks=[dataclasses.asdict(result) for result in self.results])
        _replace(os.path.join(self._folder, "gpu.json"), json.dumps(content, indent=1) + "\n")
        _replace(os.path.join(self._folder, "gpu.md"), markdown(content))


def _replace(path: str, text: str) -> None:
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)


def markdown(content: Dict[str, Any]) -> str:
    """The tables of a run, ready for docs/gpu.md.

    Parameters
    ----------
    content : dict
        Of gpu.json.
    """
    parts = [f"## {content['card']}"]
    if content["dry_run"]:
        parts.append(DRY_RUN)
    parts.append(_table(["", ""], [[title, content[name]] for name, title in FACTS.items()
                                   if content.get(name) not in (None, "")]))
    if not content["complete"]:
        not_run = ", ".join(content["not_run"])
        parts.append(f"Not run: {not_run}." if not_run else "The run was cut short.")
    parts.append(_table(["check", "result", "seconds", "reason, or numbers"], [
        [check["name"], check["status"], check["seconds"],
         "; ".join([check["reason"]] * bool(check["reason"]) + [
             f"{name} {_cell(value)}" for name, value in check["numbers"].items()])]
        for check in content["checks"]]))
    tables: Dict[str, Dict[str, Any]] = {}
    for check in content["checks"]:
        for table in check["tables"]:
            joined = tables.setdefault(table["title"], dict(table, rows=[]))
            joined["rows"] = joined["rows"] + table["rows"]
    for title, table in tables.items():
        parts.append(f"### {title}")
        parts.append(_table(table["columns"], table["rows"]))
    return "\n\n".join(parts) + "\n"


def _table(columns: List[str], rows: List[List[Any]]) -> str:
    cells = [columns] + [[_cell(cell) for cell in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * len(columns), *lines[1:]])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        if value and not 0.01 <= abs(value) < 1e5:
            return f"{value:.1e}"
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    return str("" if value is None else value).replace("|", "\\|").replace("\n", " ")
