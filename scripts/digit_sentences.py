"""Sentences and questions about where the digits of a scene are, for the nets that learn them."""

import itertools

import digit_scenes
import numpy as np

END = "<EOS>"  # both before the first word and after the last one
WORDS = (END, "a", "left", "right", "of") + digit_scenes.LABELS
LONGEST = 11  # "a one left of a two left of a three", and the end
QUESTION_WORDS = ("<pad>", "what", "is", "left", "right", "of", "the", "?") + digit_scenes.LABELS
QUESTION_LENGTH = 7  # "what is left of the five ?"

# Pixels between the middles of two digits from which it is clear which is on the left.
CLEARLY = 12


def draw(digits, rng, fewest=2, most=3):
    """Yield scenes of digits of different classes that a sentence can describe, for ever.

    Parameters
    ----------
    digits : (ndarray, ndarray)
        One part of `digit_scenes.load_digits`.
    rng : numpy.random.RandomState
    fewest, most : int
        How many digits.

    Yields
    ------
    digit_scenes.Scene
    """
    images, labels = digits
    while True:
        classes = rng.permutation(len(digit_scenes.LABELS))[:rng.randint(fewest, most + 1)]
        chosen = []
        for label in classes:
            rows = np.flatnonzero(labels == label)
            chosen.append((label, images[rows[rng.randint(len(rows))]]))
        scene = digit_scenes.draw(rng, images, chosen)
        if sentences(scene):
            yield scene


def relation(box, other):
    """Where a box is, seen from another one: "left" or "right", or None where that is unclear."""
    across = box[0] + box[2] / 2.0 - other[0] - other[2] / 2.0
    if abs(across) < CLEARLY:
        return None
    return "left" if across < 0 else "right"


def sentences(scene):
    """All true sentences that name every digit once: "a three left of a five right of a nine".

    Each relation is that between the digits before and after it.

    Returns
    -------
    list of list of str
    """
    found = []
    for order in itertools.permutations(scene.digits):
        words = ["a", digit_scenes.LABELS[order[0][0]]]
        for (_, box), (label, other) in zip(order, order[1:]):
            where = relation(box, other)
            if where is None:
                break
            words += [where, "of", "a", digit_scenes.LABELS[label]]
        else:
            found.append(words)
    return found


def questions(scene):
    """All questions about a scene that exactly one of its digits answers.

    Returns
    -------
    list of (list of str, int, int)
        The words, the class of the digit that is the answer, and that of the digit named.
    """
    asked = []
    for (label, box), where in itertools.product(scene.digits, ("left", "right")):
        answers = [other for other, other_box in scene.digits
                   if other != label and relation(other_box, box) == where]
        if len(answers) == 1:
            words = ["what", "is", where, "of", "the", digit_scenes.LABELS[label], "?"]
            asked.append((words, answers[0], label))
    return asked

