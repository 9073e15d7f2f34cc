"""Prints what FiftyOne reads of a dataset, as JSON: ``PYTHON read_by_fiftyone.py FOLDER``.

It reads with FiftyOne's own importer and samples, which need no database. It runs in an environment
of its own, with neither the tests nor the package.
"""

import json
import sys

from fiftyone.utils.data.importers import LegacyFiftyOneDatasetImporter

samples = []
importer = LegacyFiftyOneDatasetImporter(sys.argv[1])
with importer:
    for sample in importer:
        heatmap = sample["heatmap"].get_map()
        samples.append({
            "filepath": sample.filepath, "tags": list(sample.tags),
            "prediction": [sample["prediction"].label, sample["prediction"].confidence],
            "truth": sample["ground_truth"].label,
            "heat": [[part.label, list(part.bounding_box)] for part in sample["heat"].detections],
            "heatmap": list(heatmap.shape), "hottest": int(heatmap.max())})
json.dump(samples, sys.stdout)
