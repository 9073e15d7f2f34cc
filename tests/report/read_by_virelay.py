"""Prints what ViRelAy reads of a project, as JSON: ``PYTHON read_by_virelay.py project.yaml``.

ViRelAy may need versions of libraries that the tests cannot have, so this runs in an environment of
its own, with neither the tests nor the package.
"""

import json
import sys

from virelay.model import Workspace

workspace = Workspace()
workspace.add_project(sys.argv[1])
name, = workspace.get_project_names()
project = workspace.get_project(name)
method, = project.get_analysis_methods()
clustering, = project.get_analysis_clustering_names(method)
embedding, = project.get_analysis_embedding_names(method)
analyses = {category.human_readable_name: project.get_analysis(
    method, category.name, clustering, embedding)
    for category in project.get_analysis_categories(method)}
sample, attribution = project.get_sample(3), project.get_attribution(3)
json.dump({
    "project": name,
    "clusters": {name: [int(number) for number in analysis.clustering]
                 for name, analysis in analyses.items()},
    "embeddings": {name: list(analysis.embedding.shape) for name, analysis in analyses.items()},
    "image": list(sample.data.shape), "labels": [label.name for label in sample.labels],
    "map": list(attribution.data.shape), "hottest": float(attribution.data.max()),
    "prediction": float(attribution.prediction.max()),
}, sys.stdout)
