"""Fit the word head of a translator on the captions that the starter is trained on. One minute on two cores, features stored.

    python benchmarks/fit_word_head.py SHARED IN.safetensors OUT.safetensors

SHARED holds flickr8k/, coco_small/, ade_interiors/ and dtd_textures/ (images/, captions.csv, train.txt). Only the images of
train.txt are looked at. The translator itself stays as it is.
"""

import sys
from dataclasses import replace
from pathlib import Path

from starter_data import SETS, lines
from wordsight.classifiers.registry import load_classifier
from wordsight.features.extraction import extract_stored
from wordsight.runtime import tune_memory
from wordsight.storage import cache_folder
from wordsight.translator.captions import read_captions
from wordsight.translator.checkpoint import load_translator, save_translator
from wordsight.translator.word_head import fit_word_head


def main(shared: Path, source: Path, target: Path) -> None:
    tune_memory()  # as the commands do
    translator, card = load_translator(source)
    paths, captions = [], []
    for name in SETS:
        of_image = read_captions(shared / name / "captions.csv")
        for image in lines(shared / name / "train.txt"):
            paths.append(shared / name / "images" / image)
            captions.append(of_image[image])
    extracted = extract_stored(load_classifier("starter"), paths, cache_folder() / "features", mirrored=True)
    assert not extracted.failures, extracted.failures
    translator.words = fit_word_head(translator.standardise(extracted.views), captions)
    save_translator(target, translator, replace(card, data=card.data | {"word_head_images": len(paths)}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
