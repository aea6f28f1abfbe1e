"""Which columns of a table are the images, labels, groups and splits."""

from collections.abc import Sequence

from wordsight.errors import LabelError

#: What the columns are called elsewhere: taken if only one of them is there, and none of the proper name.
_OTHER_NAMES = {
    "image": ("file_name", "filename", "file", "filepath", "file_path", "path", "image_path", "image_file", "img", "img_path"),
    "label": ("labels", "class", "class_name", "label_name", "category"),
    "group": (),
    "split": (),
}


def columns_of(names: Sequence[object], source: str) -> dict[str, str]:
    """The column of each of image, label and, if there are, group and split, whatever its case and the blanks around it.

    Raises LabelError, which names the columns, if image or label is missing or not clear.
    """
    plain = {str(name).strip().lower(): str(name) for name in reversed(names)}
    found: dict[str, str] = {}
    for wanted, others in _OTHER_NAMES.items():
        there = [plain[name] for name in ((wanted,) if wanted in plain else others) if name in plain]
        if len(there) > 1:
            raise LabelError(
                f"{source} has no column {wanted}, and {len(there)} that may be it: {', '.join(there)}. Name the right one {wanted}."
            )
        if there:
            found[wanted] = there[0]
    missing = [wanted for wanted in ("image", "label") if wanted not in found]
    if missing:
        shown = ", ".join(map(str, names)) or "none"
        raise LabelError(
            f"{source} lacks the column{'s' if len(missing) > 1 else ''} {' and '.join(missing)}; it has: {shown}. Wanted image "
            "and label, and if you like group and split: name them so in the first row."
        )
    return found
