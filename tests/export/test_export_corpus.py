"""A sample of real deploy nets with random weights; ``benchmarks/export_corpus.py`` does all."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

# V0, V1 and V2; grouped convolutions, LRN, an autoencoder, sigmoids, several outputs.
SAMPLE = [
    "BVLC+caffe+examples__cifar10__cifar10_full.prototxt",
    "BVLC+caffe+examples__cifar10__cifar10_quick@6161caa1.prototxt",
    "BVLC+caffe+examples__cifar10__cifar10_quick@ec8c5b2b.prototxt",
    "BVLC+caffe+examples__elm__elm_classification_ts@22c9df23.prototxt",
    "BVLC+caffe+examples__lenet__lenet@d4506a1a.prototxt",
    "BVLC+caffe+examples__mnist__mnist_autoencoder_deploy@5288dc0e.prototxt",
]


@pytest.mark.parametrize("name", SAMPLE)
def test_a_real_net_agrees_in_every_blob(name, shared):
    import export_corpus

    verdict, details = export_corpus.judge(shared / "prototxt" / name)
    assert verdict == "agrees", details


def test_the_deploy_nets_of_the_folder_are_found(shared):
    import export_corpus

    assert len(export_corpus.deploy_nets(shared / "prototxt")) > 200
