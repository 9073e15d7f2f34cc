"""Nets that read an image and the words of a question."""

import json

import cv2
import numpy as np
import pytest
from definitions import random_weights
from model_folders import refusal

from caffe_gradcam.commands.cli import main
from caffe_gradcam.engines import Running
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools import weights
from prototxt_tools.errors import QuestionError

NET = '''
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 1 dim: 3 dim: 10 dim: 10 } } }
layer { name: "question" type: "Input" top: "question" input_param { shape { dim: 1 dim: 5 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
        convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "seen" type: "InnerProduct" bottom: "conv1" top: "seen"
        inner_product_param { num_output: 6 } }
layer { name: "embedding" type: "Embed" bottom: "question" top: "embedded"
        embed_param { bias_term: false input_dim: 7 num_output: 3 } }
layer { name: "asked" type: "InnerProduct" bottom: "embedded" top: "asked"
        inner_product_param { num_output: 6 } }
layer { name: "both" type: "Eltwise" bottom: "seen" bottom: "asked" top: "both"
        eltwise_param { operation: PROD } }
layer { name: "answer" type: "InnerProduct" bottom: "both" top: "answer"
        inner_product_param { num_output: 3 } }
layer { name: "prob" type: "Softmax" bottom: "answer" top: "prob" }
'''
VOCABULARY = "<pad>\nwhat\nis\nleft\nof\nfive\n?\n"
README = """---
caffemodel: net.caffemodel
gradcam:
  inputs:
    data: {scale: 0.02}
    question: {words: words.txt}
---
"""
PIXELS = np.random.RandomState(3).randint(0, 255, (10, 10, 3)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    weights.save(str(tmp_path / "net.caffemodel"), random_weights(NET))
    (tmp_path / "deploy.prototxt").write_text(NET)
    (tmp_path / "words.txt").write_text(VOCABULARY)
    (tmp_path / "readme.md").write_text(README)
    return tmp_path


def explained(folder, question, engine="torch"):
    model = LoadedModel.load(str(folder))
    with Explainer.open(model, Explaining(), Running(engine)) as explainer:
        outcome, = explainer.explain([{"data": PIXELS, "question": question}])
        return outcome


def test_a_question_in_words_is_the_row_of_their_numbers(torch, folder):
    words, numbers = (explained(folder, question).unwrap().scores
                      for question in ("what is five?", [1, 2, 5, 6, 0]))
    np.testing.assert_array_equal(words, numbers)


def test_the_relevance_of_a_word_is_the_product_of_its_embedding_and_the_gradient(torch, folder):
    result = explained(folder, "what is five?").unwrap()
    explanation = result.explanations[0]
    assert [word.text for word in explanation.words] == ["what", "is", "five", "?"]
    # The net is linear in the embeddings, so they and the bias make up the score.
    model = LoadedModel.load(str(folder))
    blobs = weights.load(model.weights)
    blobs["embedding"][0] = np.array(blobs["embedding"][0])
    blobs["embedding"][0][0] = 0
    weights.save(str(folder / "net.caffemodel"), blobs)
    whole = explained(folder, "what is five?").unwrap()
    index = whole.explanations[0].class_index
    bias = explained(folder, [0, 0, 0, 0, 0]).unwrap().scores[index]
    total = sum(word.relevance for word in whole.explanations[0].words)
    assert total == pytest.approx(whole.scores[index] - bias, rel=1e-3)


def test_real_caffe_gives_the_same_relevance(caffe, torch, folder):
    real, ours = (explained(folder, "what is five?", engine).unwrap().explanations[0].words
                  for engine in ("caffe", "torch"))
    for first, second in zip(real, ours):
        assert first.relevance == pytest.approx(second.relevance, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("question, message", [
    ("what is fiv", "does not know the word 'fiv'; near: five"),
    ("what is left of five ?", "input question takes 5 words, and .* has 6"),
    ([1, 2, 7, 0, 0], "7 at position 2 of input question is no word; .* the words 0 to 6"),
    ([1, 2, 0.5, 0, 0], "0.5 at position 2"),
    ([1, 2, 3], "input question takes 1 x 5 numbers .*, not 3 numbers"),
])
def test_a_question_that_the_net_cannot_read_fails_alone_in_a_sentence(
        torch, folder, question, message):
    model = LoadedModel.load(str(folder))
    with Explainer.open(model, Explaining(), Running("torch")) as explainer:
        bad, good = explainer.explain([{"data": PIXELS, "question": question},
                                       {"data": PIXELS, "question": "what?"}])
    assert good.ok
    with pytest.raises(type(bad.error), match=message):
        bad.unwrap()


def test_words_for_an_input_that_no_embed_layer_reads_are_refused(folder):
    text = README.replace("data: {scale: 0.02}", "data: {words: words.txt}")
    (folder / "readme.md").write_text(text)
    assert "unknown key gradcam.inputs.data.words" in refusal(str(folder))


def test_a_list_of_too_few_words_is_refused(folder):
    (folder / "words.txt").write_text("a\nb\n")
    assert "2 words for a net that knows 7" in refusal(str(folder))


def test_the_command_asks_in_words_and_tells_how_much_each_word_mattered(
        torch, folder, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "im.png"), PIXELS)
    arguments = ["explain", str(folder), str(tmp_path / "im.png"), "-o", str(tmp_path / "out"),
                 "--engine", "torch", "--json"]
    assert main(arguments + ["--ask-text", "what is five?"]) == 0
    asked = json.loads(capsys.readouterr().out)["images"][0]
    words = asked["explanations"][0]["words"]
    assert [word["word"] for word in words] == ["what", "is", "five", "?"]
    assert main(arguments + ["--ask-text", "what is fiv?"]) == 2
    assert "does not know the word 'fiv'; near: five" in capsys.readouterr().err
    # Without a question the net's needs are told.
    assert main(arguments) == 2
    assert "question" in capsys.readouterr().err


def test_figures_of_different_questions_have_different_names(torch, folder, tmp_path):
    cv2.imwrite(str(tmp_path / "im.png"), PIXELS)
    for question in ("what is five?", "what is left?"):
        assert main(["explain", str(folder), str(tmp_path / "im.png"), "-o",
                     str(tmp_path / "out"), "--engine", "torch", "--class", "1", "-q",
                     "--ask-text", question]) == 0
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_a_question_in_words_needs_an_input_of_words(folder):
    (folder / "readme.md").write_text(README.replace("    question: {words: words.txt}\n", ""))
    with pytest.raises(QuestionError, match="name the words of input question in readme.md"):
        LoadedModel.load(str(folder), text="what is five?")


def test_a_batch_asks_the_same_of_all_images_or_each_row_its_own_question(
        torch, folder, tmp_path):
    pytest.importorskip("pyarrow", reason="batches need pyarrow")
    import pyarrow.parquet as pq

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    cv2.imwrite(str(pictures / "im.png"), PIXELS)
    table = tmp_path / "table.csv"
    table.write_text(f"data,question\n{pictures / 'im.png'},what is five?\n"
                     f"{pictures / 'im.png'},\"1 2 5 6 0\"\n")
    scores = []
    for source, options in ((pictures, ["--ask-text", "what is five?"]), (table, [])):
        out = tmp_path / source.name.replace(".", "_")
        out = tmp_path / ("out_" + out.name)
        assert main(["batch", str(folder), str(source), "-o", str(out), "--engine", "torch", "-q",
                     "--class", "1"] + options) in (0, 1)
        rows = [row for path in sorted(out.rglob("*.parquet"))
                for row in pq.read_table(str(path)).to_pylist()]
        scores.append([row["score"] for row in rows if row.get("score") is not None])
    assert scores[0][0] == pytest.approx(scores[1][0])
