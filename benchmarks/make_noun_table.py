"""Write src/wordsight/audit/nouns.tsv.gz from WordNet 3.0 (Debian: wordnet-base).

    python benchmarks/make_noun_table.py /usr/share/wordnet

One line a noun synset, in WordNet's order: the words that have it as their first sense, "|" between; its other one-word
lemmas, likewise; the line numbers (from 0) of its parents, likewise. Words are lower-case; lemmas of several words are joined
by "_" and kept only as first senses, because class names are looked up by them.
"""

import gzip
import sys
from pathlib import Path

from make_class_table import read_wordnet


def main(folder: str) -> None:
    synsets = read_wordnet(Path(folder))
    line_of = {offset: line for line, offset in enumerate(synsets)}
    first: dict[str, set[str]] = {offset: set() for offset in synsets}
    for line in (Path(folder) / "index.noun").read_text().splitlines():
        if not line.startswith("  "):
            parts = line.split()
            first[parts[-int(parts[2])]].add(parts[0].lower())
    lines = []
    for offset, (lemmas, parents) in synsets.items():
        others = sorted({lemma.lower() for lemma in lemmas if "_" not in lemma} - first[offset])
        lines.append("\t".join(["|".join(sorted(first[offset])), "|".join(others), "|".join(str(line_of[p]) for p in parents)]))
    target = Path(__file__).parent.parent / "src/wordsight/audit/nouns.tsv.gz"
    target.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))


if __name__ == "__main__":
    main(sys.argv[1])
