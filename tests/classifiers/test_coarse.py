"""A classifier seen through coarser classes."""

import json

import pytest
import torch

from doubles import tiny_classifier
from wordsight.classifiers.coarse import NINE, OTHER, coarse, read_class_map
from wordsight.errors import LabelError


def test_the_decision_is_that_of_the_classifier_itself():
    classifier = tiny_classifier()
    seen = coarse(classifier, {0: "warm", 2: "cold"}, ("cold", "warm"))
    assert seen.labels == ("cold", "warm", OTHER)
    z = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    fine, broad = classifier.logits(z), seen.logits(z)
    torch.testing.assert_close(broad, fine[:, [2, 0, 1]])
    assert seen.fingerprint == classifier.fingerprint


def test_several_classes_make_one_by_their_largest_logit():
    classifier = tiny_classifier()
    seen = coarse(classifier, {0: "colour", 1: "colour", 2: "colour"}, ("colour", "nothing"))
    assert seen.labels == ("colour",)
    z = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(seen.logits(z)[:, 0], classifier.logits(z).amax(1))


def test_class_maps_are_read(tmp_path):
    file = tmp_path / "in_to_in9.json"
    file.write_text(json.dumps({"0": 8, "1": -1, "151": 0}))
    assert read_class_map(file) == {0: "fish", 151: "dog"}
    assert len(NINE) == 9
    for text in ("[1]", '{"a": 1}', '{"1": 99}', "no"):
        file.write_text(text)
        with pytest.raises(LabelError, match=r"in_to_in9.json cannot be read as a class map .* Wanted a JSON object from"):
            read_class_map(file)
