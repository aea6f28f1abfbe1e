"""Benchmarks as their releases lay them out: the Backgrounds Challenge (ImageNet-9), Waterbirds."""

from pathlib import Path

from wordsight.errors import LabelError
from wordsight.images.folders import folders
from wordsight.images.sets import LabelledImages
from wordsight.images.tables import read_table

#: The Backgrounds Challenge's variations of each photograph.
_VARIATIONS = ("original", "mixed_same", "mixed_rand", "mixed_next", "only_bg_b", "only_bg_t", "no_fg", "only_fg")


def variations(path: Path) -> list[str]:
    return [name for name in _VARIATIONS if (path / name / "val").is_dir()]


def backgrounds(path: Path) -> LabelledImages:
    """Folders like mixed_rand/val/02_wheeled vehicle; a class's number is not part of its name."""
    class_map = path / "in_to_in9.json"
    parts = [(name, folders(path / name / "val")) for name in variations(path)]
    return LabelledImages(
        [image for _, part in parts for image in part.paths],
        [label.partition("_")[2] or label for _, part in parts for label in part.labels],
        splits=[name for name, part in parts for _ in part.paths],
        class_map=class_map if class_map.is_file() else None,
    )


def waterbirds(path: Path) -> LabelledImages:
    table = read_table(path / "metadata.csv")
    wanted = ["img_filename", "y", "place", "split"]
    if missing := [column for column in wanted if column not in table.columns]:
        raise LabelError(
            f"{path / 'metadata.csv'} lacks {', '.join(missing)}, so this is not the Waterbirds release (columns "
            f"{', '.join(wanted)}). For other data, give a table with the columns image and label."
        )
    names = {"y": ("landbird", "waterbird"), "place": ("land", "water"), "split": ("train", "val", "test")}
    columns = {}
    for column, values in names.items():
        known = {str(i): value for i, value in enumerate(values)}
        unknown = sorted(set(table[column]) - known.keys())
        if unknown:
            raise LabelError(f"{path / 'metadata.csv'} has {column} {unknown[0]!r}, wanted one of {', '.join(known)}.")
        columns[column] = [known[value] for value in table[column]]
    return LabelledImages([path / name for name in table["img_filename"]], columns["y"], columns["place"], columns["split"])
