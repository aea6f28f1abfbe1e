"""The images of an audit as a Parquet file, for what reads tables: a row an image, its words as a map."""

from collections.abc import Sequence
from pathlib import Path

from wordsight.audits.result import AuditedImage
from wordsight.errors import WordsightError
from wordsight.storage import replacing

#: Images in a row group.
_ROWS = 10_000


def write_parquet(images: Sequence[AuditedImage], file: Path) -> Path:
    """Write the images, atomically; returns the file. Raises WordsightError without pyarrow.

    Columns: image, path, label, predicted, probability, words (word -> rate, in [0, 1]), sentence, group, split.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise WordsightError(
            f"{file} needs the package pyarrow ({error}). Install it: pip install 'wordsight[ray]'."
        ) from error
    texts = ("image", "path", "label", "predicted", "sentence", "group", "split")
    columns = {name: pyarrow.string() for name in texts}
    columns |= {"probability": pyarrow.float64(), "words": pyarrow.map_(pyarrow.string(), pyarrow.float64())}
    schema = pyarrow.schema(list(columns.items()))
    with replacing(file) as partial, pyarrow.parquet.ParquetWriter(partial, schema) as writer:
        for start in range(0, len(images), _ROWS):
            rows = [
                {name: getattr(image, name) for name in columns}
                | {"image": _utf_8(image.image), "path": _utf_8(str(image.path)), "words": list(image.words.items())}
                for image in images[start : start + _ROWS]
            ]
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))
    return file


def _utf_8(name: str) -> str:
    """A file's name with escapes for the bytes that are no UTF-8, which Parquet does not hold."""
    return name.encode(errors="backslashreplace").decode()
