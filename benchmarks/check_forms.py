"""List what src/wordsight/language/forms.py has to decide, from the captions without photographs.

    pip install lemminflect
    python benchmarks/check_forms.py SHARED

Three lists, most frequent first: forms whose lemma as a noun (lemminflect) is another one than ours, with the share of their
uses that follow an article, adjective or number; forms in -s that are used six times as often as their lemma, or whose lemma
is an adjective; pairs of words that stand together far more often than by chance. The lists in forms.py are what a reader of
these chose.
"""

import itertools
import sys
from collections import Counter
from math import log
from pathlib import Path

from lemminflect import getAllLemmas, getLemma  # pyright: ignore[reportMissingImports] (installed for this only)

from starter_data import read_text_captions
from wordsight.language import content

#: A form that captions use less often is not looked at.
LEAST = 20
BEFORE_NOUNS = frozenset(
    """a an the his her their its two three four five six several many some these those this that white black red blue green
    brown yellow pink orange purple gray small large big little wooden old young of in on with and""".split()
)


def main(shared: Path) -> None:
    uses, after, pairs = Counter(), Counter(), Counter()
    for name in ("flickr30k", "coco"):
        for caption in read_text_captions(shared, name):
            words = content._WORD.findall(content.plain(caption))
            uses.update(words)
            pairs.update(itertools.pairwise(words))
            after.update(word for before, word in itertools.pairwise(words) if before in BEFORE_NOUNS)
    frequent = [(word, count) for word, count in uses.most_common() if count >= LEAST and word not in content.STOP_WORDS]
    print("# nouns")
    for word, count in frequent:
        noun = getLemma(word, "NOUN") if "NOUN" in getAllLemmas(word) else ()
        if noun and noun[0] != content.lemma(word):
            print(word, count, content.lemma(word), noun[0], round(after[word] / count, 2))
    print("# plurals")
    for word, count in frequent:
        lemma = content.lemma(word)
        if word.endswith("s") and lemma != word and (count > 6 * uses[lemma] or "ADJ" in getAllLemmas(lemma)):
            print(word, count, lemma, uses[lemma])
    print("# pairs")
    total = sum(uses.values())
    for (first, second), count in pairs.most_common():
        if count >= LEAST and content.content_words(first) and content.content_words(second):
            information = log(count * total / uses[first] / uses[second])
            if information > 4:
                print(first, second, count, round(information, 1), round(count / uses[second], 2))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
