"""What the manifest of a batch tells of the model, the question, the engine and the runs."""

from typing import Any, Iterator, List, Mapping

from caffe_gradcam.report import lenient
from caffe_gradcam.report.entries import Fact, Section, facts_of


def sections(manifest: Mapping[str, Any]) -> List[Section]:
    """Tables of what a manifest, of any version, tells; those that would be empty are left out."""
    depends = lenient.mapping(manifest, "rows_depend_on")
    return [section for section in [*_model_sections(manifest, depends),
                                    *_run_sections(manifest, depends)] if section.facts]


def _model_sections(manifest: Mapping[str, Any], depends: Mapping[str, Any]
                    ) -> Iterator[Section]:
    about = lenient.mapping(manifest, "model")
    origins = {name: str(origin) for name, origin in lenient.mapping(about, "origins").items()}
    model = {name: depends.get(name) for name in (
        "model", "prototxt_sha256", "weights_sha256", "class_names_sha256", "score", "layers")}
    path = lenient.mapping(lenient.mapping(manifest, "recipe"), "model").get("path")
    yield Section("Model", facts_of({"path": path, **model}, origins))
    for name, values in lenient.mapping(depends, "inputs").items():
        by_field = {**origins, **{field: origins[f"{name}.{field}"] for field in values
                                  if f"{name}.{field}" in origins}}
        yield Section(f"Preprocessing of {name}", facts_of(values, by_field))
    yield Section("Question and method", facts_of(
        {**lenient.mapping(depends, "asking"), **lenient.mapping(depends, "explaining")}))
    yield Section("Output", facts_of({name: manifest.get(name) for name in (
        "source", "created", "items", "part_format", "format", "sha256")}))


def _run_sections(manifest: Mapping[str, Any], depends: Mapping[str, Any]) -> Iterator[Section]:
    runs: Any = manifest.get("runs")
    runs = [run for run in runs if isinstance(run, dict)] if isinstance(runs, list) else []
    yield Section("Engine", facts_of({name: depends.get(name) for name in (
        "engine", "precision", "batch", "openvino")}))
    if runs:
        yield Section("Versions in the last run", facts_of(lenient.mapping(runs[-1], "versions")))
    yield Section("Runs", [Fact(str(run.get("started", "")), " ".join(
        map(str, run.get("command") or ())), f"{run.get('seconds', '?')} s on "
        + ", ".join(map(str, run.get("devices") or ["?"]))) for run in runs])
