"""Write src/wordsight/translator/imagenet_classes.csv from WordNet 3.0 (Debian: wordnet-base, wordnet-sense-index).

    python benchmarks/make_class_table.py /usr/share/wordnet

Columns: index, synset, name, nouns, kind, nine.
- name: the class name as a person writes it (WordNet's first lemma).
- nouns: what a person may call the thing, "|" between: the head noun (last word) of every lemma of the synset, then every
  ancestor in WordNet's hypernym tree that is in EVERYDAY below. This is the written rule by which
  benchmarks/quality.py accepts a word; it was fixed before the first measurement.
- kind: the nearest such ancestor, or nothing; captions for training say "a tench , a fish".
- nine: the class of ImageNet-9 (Xiao et al. 2021) that is the synset or an ancestor of it, or nothing; dogs are no carnivores.
"""

import csv
import sys
from pathlib import Path

from wordsight.runtime import declare_torchvision_operators

# A WordNet lemma of an ancestor, and the everyday word for it. Too general on purpose left out: animal, mammal, object,
# artifact, device, equipment, container, structure, covering, implement, creature.
EVERYDAY = {
    lemma: lemma.split("_")[-1]
    for lemma in """dog wolf fox cat big_cat wildcat bear monkey ape bird duck goose owl parrot eagle hawk chicken fish shark
    ray snake lizard turtle frog salamander crocodile spider scorpion crab lobster insect butterfly beetle fly bee ant
    grasshopper snail jellyfish coral worm rabbit squirrel mouse horse sheep goat cow cattle ox pig deer antelope camel
    elephant whale dolphin seal weasel kangaroo lemur mongoose dinosaur car truck bus train boat ship aircraft airplane
    bicycle motorcycle wagon cart vehicle building house church shop store bridge fence wall roof door gate tower monument
    furniture chair seat sofa table desk bed cabinet lamp clock watch telephone computer keyboard machine camera guitar drum
    piano horn musical_instrument ball bat racket bag bottle box cup mug glass bowl pan pot basket spoon knife tool weapon gun
    hat cap helmet shirt sweater dress skirt coat jacket shoe boot sock glove clothing scarf necktie mask curtain towel
    blanket rug food fruit vegetable bread sandwich cake flower tree mushroom mountain shore beach ridge
    stick pen pencil paper book sign rope bandage wheel""".split()
}
EVERYDAY |= {
    "domestic_fowl": "chicken", "rodent": "rodent", "feline": "cat", "canine": "dog", "bovine": "cow", "swine": "pig",
    "watercraft": "boat", "motor_vehicle": "vehicle", "self-propelled_vehicle": "vehicle", "wheeled_vehicle": "vehicle",
    "garment": "clothing", "headdress": "hat", "footwear": "shoe", "mercantile_establishment": "shop", "foodstuff": "food",
    "timepiece": "clock", "dish": "dish", "edible_fruit": "fruit", "firearm": "gun", "kitchen_appliance": "appliance",
    "home_appliance": "appliance", "sweet": "dessert", "dessert": "dessert", "beverage": "drink", "fungus": "mushroom",
}  # fmt: skip

#: ImageNet-9's classes and their synsets, in its order; the first that fits counts.
NINE = {
    "dog": "02084071", "bird": "01503061", "wheeled vehicle": "04576211", "reptile": "01661091", "carnivore": "02075296",
    "insect": "02159955", "musical instrument": "03800933", "primate": "02469914", "fish": "02512053",
}  # fmt: skip


def read_wordnet(folder: Path) -> dict[str, tuple[list[str], list[str]]]:
    """WordNet's nouns: offset -> (lemmas, offsets of hypernyms)."""
    synsets = {}
    for line in (folder / "data.noun").read_text().splitlines():
        if line.startswith("  "):
            continue
        part = line.split(" | ")[0].split()
        lemma_count = int(part[3], 16)
        after = 4 + 2 * lemma_count
        pointers = [part[after + 1 + 4 * i : after + 3 + 4 * i] for i in range(int(part[after]))]
        synsets[part[0]] = (part[4:after:2], [to for kind, to in pointers if kind in ("@", "@i")])
    return synsets


def ancestors(synsets: dict[str, tuple[list[str], list[str]]], offset: str) -> list[str]:
    """The hypernyms of a synset, nearest first, without itself."""
    found, queue = [], list(synsets[offset][1])
    while queue:
        offset = queue.pop(0)
        if offset not in found:
            found.append(offset)
            queue += synsets[offset][1]
    return found


def main(folder: str) -> None:
    declare_torchvision_operators()
    from timm.data import ImageNetInfo

    synsets = read_wordnet(Path(folder))
    rows = []
    for index, synset in enumerate(ImageNetInfo().label_names()):
        lemmas = synsets[synset[1:]][0]
        # 'hot_dog' has no head noun of its own: a sandwich is no dog.
        nouns = [lemma.split("_")[-1].lower() for lemma in lemmas if lemma != "hot_dog"]
        above = ancestors(synsets, synset[1:])
        kinds = [EVERYDAY[lemma] for a in above for lemma in synsets[a][0] if lemma in EVERYDAY]
        nine = next((name for name, offset in NINE.items() if offset in (synset[1:], *above)), "")
        rows.append(
            [
                index,
                synset,
                lemmas[0].replace("_", " "),
                "|".join(dict.fromkeys(nouns + kinds)),
                kinds[0] if kinds else "",
                nine,
            ]
        )
    target = Path(__file__).parent.parent / "src/wordsight/translator/imagenet_classes.csv"
    with target.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["index", "synset", "name", "nouns", "kind", "nine"], *rows])


if __name__ == "__main__":
    main(sys.argv[1])
