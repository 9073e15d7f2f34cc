"""Sentences become rows of word numbers."""

import pytest

from caffe_gradcam.model.words import Vocabulary, check_numbers
from prototxt_tools.errors import ImageError, ModelError, QuestionError

VOCABULARY = Vocabulary(("<EOS>", "a", "three", "left", "of", "five", "?"))


def test_a_sentence_is_the_numbers_of_its_words():
    assert VOCABULARY.parse("A three left of a five") == [1, 2, 3, 4, 1, 5]


def test_punctuation_is_a_word_where_the_vocabulary_has_it_and_nothing_where_not():
    assert VOCABULARY.parse("three? five.") == [2, 6, 5]


def test_an_unknown_word_is_refused_with_near_ones():
    with pytest.raises(QuestionError, match="does not know the word 'thre'; near: three"):
        VOCABULARY.parse("a thre")


def test_a_sentence_without_words_is_refused():
    with pytest.raises(QuestionError, match="holds no word"):
        VOCABULARY.parse("...")


def test_words_become_text_with_punctuation_behind_the_word_before():
    assert VOCABULARY.sentence([1, 2, 6]) == "a three?"


def test_a_file_that_leaves_out_the_end_of_the_sentence_gets_it_as_word_0(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("a\ndog\n")
    assert Vocabulary.read(path, 3).words == ("<EOS>", "a", "dog")


def test_a_file_of_another_length_is_refused(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("a\ndog\n")
    with pytest.raises(ModelError, match="2 words for a net that knows 5"):
        Vocabulary.read(path, 5)


@pytest.mark.parametrize("numbers", [[1, 7], [1, -1], [0.5]])
def test_numbers_beyond_the_vocabulary_are_refused(numbers):
    with pytest.raises(ImageError, match="of input question is no word; .* the words 0 to 6"):
        check_numbers(numbers, 7, "question")
