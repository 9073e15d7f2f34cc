"""Captions, word by word: which words a net writes of an image, and where it looks for each.

The image net runs once; each word takes one backward pass through the language net, to the features
of the image, and from there one through the image net, to the layer.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.asking.asker import Asking
from caffe_gradcam.engines.opening import open_engine
from caffe_gradcam.engines.running import Running
from caffe_gradcam.explaining import chain as chains
from caffe_gradcam.explaining import single_pass
from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.explaining.fitting import named_size
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.model.preprocess import Prepared, prepare
from prototxt_tools.errors import ModelError, QuestionError

END = 0
# How long a sentence may be where the net does not tell; LRCN's stop there.
LONGEST = 20
_EXPLAINING, _RUNNING = Explaining(), Running()


@dataclass(frozen=True, eq=False)
class Word:
    """A word of a caption.

    Attributes
    ----------
    text : str
    number : int
        In the net's vocabulary.
    step : int
        Its position in the sentence, from 0.
    score, probability : float
        Of this word after the words before it.
    explanations : list of Explanation
        By method, within a method by layer.
    """

    text: str
    number: int
    step: int
    score: float
    probability: float
    explanations: List[Explanation]


@dataclass(frozen=True, eq=False)
class Caption:
    """A sentence about an image, explained.

    Attributes
    ----------
    text : str
    words : list of Word
        Without the end of the sentence.
    is_complete : bool
        Whether the probability includes that of the sentence ending there.
    log_probability : float
        The sum of the logarithms of the words' probabilities, and of the end's.
    explanations : list of Explanation
        Of the whole sentence: the gradient is that of ``log_probability``.
    """

    text: str
    words: List[Word]
    is_complete: bool
    log_probability: float
    explanations: List[Explanation]

    @property
    def probability(self) -> float:
        """Of the whole sentence."""
        return float(np.exp(self.log_probability))

    def with_image(self, image: np.ndarray) -> "Caption":
        """The same with its image, on which its maps can be drawn."""
        words = [dataclasses.replace(word, explanations=_with_image(word.explanations, image))
                 for word in self.words]
        return dataclasses.replace(
            self, words=words, explanations=_with_image(self.explanations, image))


class Captioner:
    """A chain of an image net and a language net, on an engine each.

    Parameters
    ----------
    model : LoadedModel
        Whose folder holds both, or whose one net is both.
    explaining : Explaining
        Its methods may need activations and gradients only.
    running : Running

    Raises
    ------
    ModelError, WeightsError, EngineError
        The model has no language net, its nets do not fit each other, or one cannot run.
    QuestionError
        A method needs more than gradients, or a layer is unknown or lies behind the features.
    """

    def __init__(self, model: LoadedModel, explaining: Explaining = _EXPLAINING,
                 running: Running = _RUNNING) -> None:
        single_pass.check_methods(explaining.methods, "captions")
        if explaining.layers:
            model = model.with_layers(explaining.layers)
        self.model, self.explaining = model, explaining
        self.chain = chains.of_model(model)
        self._placements = (model.placements(model.layers) if explaining.placement == "centres"
                            else dict.fromkeys(model.layers))
        features = tuple(dict.fromkeys(self.chain.links.values()))
        self._image = open_engine(
            self.chain.image.net(features, model.layers, explaining.engine_gradient), running)
        try:
            self._language = open_engine(
                self.chain.language.net((self.chain.score,), tuple(self.chain.links)), running)
        except BaseException:
            self._image.close()
            raise
        self._feature_shapes: Dict[str, Tuple[int, ...]] = {}
        self.engine, self.description = self._image, self._image.description

    def __enter__(self) -> "Captioner":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def close(self) -> None:
        """Close both engines."""
        self._image.close()
        self._language.close()

    @property
    def longest(self) -> int:
        """The most words of a sentence, its end included."""
        return self.chain.steps if self.chain.steps > 1 else LONGEST

    def caption(self, image: Any, beam: int = 1, sentence: Optional[str] = None) -> Caption:
        """Describe an image, or explain a given sentence about it.

        Parameters
        ----------
        image : numpy.ndarray
            H x W x 3 uint8, blue first.
        beam : int
            How many sentences are followed at a time; 1 takes the likeliest word at each step.
        sentence : str, optional
            The sentence, instead of the net's own.

        Returns
        -------
        Caption

        Raises
        ------
        QuestionError
            The net does not know a word of the sentence, or the sentence is too long.
        ImageError
            The image does not fit the net.
        """
        return self.caption_prepared(prepare(image, self.model.inputs), beam, sentence)

    def caption_prepared(self, prepared: Prepared, beam: int = 1, sentence: Optional[str] = None
                         ) -> Caption:
        """As :meth:`caption`, for an image that was prepared elsewhere."""
        numbers = None if sentence is None else self._parsed(sentence)
        self._check_crops(prepared)
        features, activations = self._look(prepared)
        if numbers is None:
            numbers = self._decoded(features, beam)
        is_complete = sentence is None and numbers[-1] == END
        scores = self._scores(features, numbers)
        return self._explained(numbers, is_complete, scores, prepared, activations)

    def word_probabilities(self, picture: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
        """How likely each word of a sentence is after the words before it.

        Parameters
        ----------
        picture : numpy.ndarray
            C x h x w float32, as the image net reads it.
        numbers : sequence of int
            Of the words.

        Returns
        -------
        numpy.ndarray
            float64, one for each word.
        """
        features, _ = self._look(Prepared({self.model.input: picture[np.newaxis]}, {}))
        rows = self._scores(features, numbers).reshape(-1, len(self.chain.vocabulary.words))
        return np.exp([_log_probabilities(row)[number] for row, number in zip(rows, numbers)])

    def _parsed(self, sentence: str) -> List[int]:
        numbers = self.chain.vocabulary.parse(sentence)
        if len(numbers) > self.longest:
            raise QuestionError(f"the sentence has {len(numbers)} words, and the net writes at "
                                f"most {self.longest}", sentence)
        return numbers

    def _check_crops(self, prepared: Prepared) -> None:
        if len(prepared.geometries[self.model.input]) > 1:
            raise QuestionError("captions are written of one crop of an image, not of ten",
                                "--crops")

    def _look(self, prepared: Prepared) -> Tuple[Dict[str, np.ndarray], Dict[str, np.ndarray]]:
        """One pass through the image net: what the language net reads, and the layers."""
        keep = list(dict.fromkeys([*self.chain.links.values(), *self.model.layers]))
        with named_size(self.model, prepared.blobs):
            blobs = self._image.forward(prepared.blobs, keep)
            features = {name: self._feature(name, blobs[source][:1])
                        for name, source in self.chain.links.items()}
        self._feature_shapes = {source: (1,) + blobs[source].shape[1:]
                                for source in self.chain.links.values()}
        return features, {layer: blobs[layer] for layer in self.model.layers}

    def _feature(self, name: str, value: np.ndarray) -> np.ndarray:
        """What an input of the language net holds, given the blob that fills it."""
        shape = self.chain.feature_shapes[name]
        if value.size != int(np.prod(shape, dtype=np.int64)):
            raise ModelError(f"input {name} of the language net takes {shape} for each image, and "
                             f"blob {self.chain.links[name]} is {value.shape[1:]}", name)
        return value.reshape((1,) + shape)

    def _scores(self, features: Mapping[str, np.ndarray], numbers: Sequence[int]) -> np.ndarray:
        """What the language net answers after each word but the last: steps x K."""
        declared = self.chain.steps
        steps = declared if declared > 1 else len(numbers)
        words = np.full((steps, 1), END, np.float32)
        words[1:len(numbers), 0] = numbers[:-1]
        markers = np.ones((steps, 1), np.float32)
        markers[0] = 0
        inputs = dict(features, **{self.chain.words: words, self.chain.continuation: markers})
        blob = self._language.forward(inputs, [self.chain.score])[self.chain.score]
        if blob.shape[0] != steps or blob.size % steps or blob[0].size != blob.shape[-1]:
            raise ModelError(f"blob {self.chain.score} of the language net is {blob.shape}; it "
                             f"must hold the scores of each of {steps} steps", self.chain.score)
        return blob

    def _decoded(self, features: Mapping[str, np.ndarray], beam: int) -> List[int]:
        """The likeliest sentence that a beam of this width finds."""
        alive: List[Tuple[float, List[int]]] = [(0.0, [])]
        ended: List[Tuple[float, List[int]]] = []
        for _ in range(self.longest):
            grown: List[Tuple[float, List[int]]] = []
            for total, numbers in alive:
                step = self._scores(features, numbers + [END])[len(numbers)]
                chances = _log_probabilities(step.reshape(-1))
                best = np.argsort(-chances, kind="stable")[:beam]
                grown += [(total + float(chances[word]), numbers + [int(word)]) for word in best]
            grown.sort(key=lambda entry: -entry[0])
            ended += [entry for entry in grown[:beam] if entry[1][-1] == END]
            alive = [entry for entry in grown[:beam] if entry[1][-1] != END]
            if not alive or (ended and max(ended)[0] >= alive[0][0]):
                break
        return max(ended or alive, key=lambda entry: entry[0])[1]

    def _explained(self, numbers: List[int], is_complete: bool, scores: np.ndarray,
                   prepared: Prepared, activations: Mapping[str, np.ndarray]) -> Caption:
        vocabulary = self.chain.vocabulary
        text = vocabulary.sentence(numbers[:-1] if is_complete else numbers)
        words, whole = [], np.zeros_like(scores)
        rows = scores.reshape(len(scores), -1)
        total = 0.0
        for step, number in enumerate(numbers):
            chances = _log_probabilities(rows[step])
            total += float(chances[number])
            diff = np.zeros_like(rows)
            diff[step, number] = 1
            whole.reshape(rows.shape)[step] = diff[step] - np.exp(chances)
            if is_complete and step == len(numbers) - 1:
                break
            probability = float(np.exp(chances[number]))
            name = vocabulary.name(number)
            words.append(Word(name, number, step, float(rows[step, number]), probability, [
                self._drawn(f"word {step + 1} {name}", (method, layer, cam), prepared,
                            (number, name, float(rows[step, number]), probability),
                            sentence=text, position=(("step", step),))
                for method, layer, cam in self._maps(diff.reshape(scores.shape), activations)]))
        return Caption(text, words, is_complete, total, [
            self._drawn("the whole sentence", (method, layer, cam), prepared,
                        (None, None, total, float(np.exp(total))), sentence=text)
            for method, layer, cam in self._maps(whole, activations)])

    def _maps(self, diff: np.ndarray, activations: Mapping[str, np.ndarray]
              ) -> List[Tuple[str, str, np.ndarray]]:
        """Method, layer and map for what one gradient of the scores asks."""
        gradients = self._gradients(diff)
        return [(name, layer, single_pass.maps(
                    name, activations[layer], gradients[layer], self.explaining)[0])
                for name in self.explaining.methods for layer in self.model.layers]

    def _gradients(self, diff: np.ndarray) -> Dict[str, np.ndarray]:
        """Through the language net to the features, and from there to the layers."""
        links = self.chain.links
        at_features = self._language.backward(self.chain.score, diff, list(links))
        sums: Dict[str, np.ndarray] = {}
        for name, source in links.items():
            slope = at_features[name].reshape(self._feature_shapes[source])
            for layer, value in self._image.backward(source, slope, self.model.layers).items():
                sums[layer] = sums[layer] + value if layer in sums else value
        return sums

    def _drawn(self, question: str, of_layer: Tuple[str, str, np.ndarray], prepared: Prepared,
               answer: Tuple[Optional[int], Optional[str], float, float], **about: Any
               ) -> Explanation:
        (method, layer, cam), (number, name, score, probability) = of_layer, answer
        if not np.isfinite(cam).all():
            raise QuestionError(f"the map of {question} at {layer} by {method} holds NaN or "
                                "infinity", method)
        source = self.model.input
        return Explanation(
            question=question, class_index=number, class_name=name, score=score,
            probability=probability, method=method, layer=layer, cam=np.array(cam, np.float32),
            geometry=prepared.geometries[source][0], placement=self._placements[layer],
            input=source, **about)


def check_asking(asking: Asking) -> None:
    """Raise a QuestionError for a caption that is asked about in other ways too."""
    others = (asking.classes, asking.at, asking.mask, asking.step, asking.prior, asking.like,
              asking.counterfactual, asking.probability)
    if any(other or other == 0 and other is not False for other in others):
        raise QuestionError("a caption is explained word by word; give no classes, regions or "
                            "steps with it", "--caption")
    if asking.beam is not None and (asking.beam < 1 or asking.sentence is not None):
        raise QuestionError("--beam N needs a net that writes the sentence, and N of at least 1",
                            "--beam")


def _with_image(explanations: List[Explanation], image: np.ndarray) -> List[Explanation]:
    return [dataclasses.replace(explanation, image=image) for explanation in explanations]


def _log_probabilities(scores: np.ndarray) -> np.ndarray:
    """The logarithms of a Softmax's probabilities."""
    shifted = scores.astype(np.float64) - scores.max()
    result: np.ndarray = shifted - np.log(np.exp(shifted).sum())
    return result
