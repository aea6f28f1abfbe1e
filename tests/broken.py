"""Files that are broken in every way that was thought of, made anew each time and always alike: images, captions, labels."""

import io
import json
import os
import random
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from PIL import Image

#: How Pillow calls the formats, by extension.
FORMATS = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP", "tif": "TIFF", "bmp": "BMP", "ppm": "PPM", "avif": "AVIF"}


def noise(mode: str = "RGB", *, seed: int = 0) -> Image.Image:
    """24 x 24 pixels."""
    return Image.frombytes("RGB", (24, 24), random.Random(seed).randbytes(24 * 24 * 3)).convert(mode)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    made = io.BytesIO()
    image.save(made, format=FORMATS[kind], **options)
    return made.getvalue()


def damaged(content: bytes, *, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """The same bytes with one kind of damage each, and the name of the damage."""
    chance = random.Random(seed)
    for share in (0.02, 0.3, 0.6, 0.9, 0.99):
        yield f"cut-{share}", content[: int(len(content) * share)]
    for number in range(6):
        changed = bytearray(content)
        for _ in range(1 + 2 * number):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        yield f"flipped-{number}", bytes(changed)
    middle = len(content) // 2
    yield "hole", content[: middle - 20] + bytes(40) + content[middle + 20 :]
    yield "missing-part", content[: middle - 10] + content[middle + 10 :]
    yield "noise-behind-header", content[:12] + chance.randbytes(400)
    yield "nuls", bytes(len(content))
    yield "twice", content * 2
    yield "backwards", content[::-1]
    yield "as-text", content.decode("latin1").encode("utf-8")
    yield "newlines", content.replace(b"\n", b"\r\n")


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bombs() -> Iterator[tuple[str, bytes]]:
    """Small files whose headers claim to be huge, or whose parts become huge."""
    sides = (60_000, 60_000)
    head = struct.pack(">IIBBBBB", *sides, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    yield "bomb.png", png + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    small = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80 << 20)))
    yield (
        "bomb-text.png",
        b"\x89PNG\r\n\x1a\n" + small + text + chunk(b"IDAT", zlib.compress(bytes(8 * 25))) + chunk(b"IEND", b""),
    )
    gif = bytearray(encoded(noise("P"), "gif"))
    gif[6:10] = struct.pack("<HH", 65_535, 65_535)
    yield "bomb.gif", bytes(gif)
    bmp = bytearray(encoded(noise(), "bmp"))
    bmp[18:26] = struct.pack("<ii", *sides)
    yield "bomb.bmp", bytes(bmp)
    yield "bomb.ppm", b"P6 60000 60000 255\n" + bytes(100)
    yield "bomb.tif", _tiff((256, 60_000), (257, 60_000), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 60_000))
    jpeg = encoded(noise(), "jpg")
    size = jpeg.index(b"\xff\xc0") + 5
    yield "bomb.jpg", jpeg[:size] + struct.pack(">HH", 65_500, 65_500) + jpeg[size + 4 :]
    extended = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (16_382).to_bytes(3, "little") * 2
    yield "bomb.webp", b"RIFF" + struct.pack("<I", 4 + len(extended)) + b"WEBP" + extended


def _tiff(*entries: tuple[int, int]) -> bytes:
    """A TIFF with these tags, all of them 32-bit numbers, and no pixels."""
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + body + struct.pack("<I", 0)


def images(folder: Path) -> list[Path]:
    """About three hundred image files, most of them broken, in a folder of their own."""
    folder.mkdir(parents=True)

    def write(name: str, content: bytes) -> None:
        (folder / name).write_bytes(content)

    for number, kind in enumerate(FORMATS):
        content = encoded(noise(seed=number), kind)
        for damage, broken in damaged(content, seed=number):
            write(f"{kind}-{damage}.{kind}", broken)
        for other in list(FORMATS)[number + 1 :: 3]:
            write(f"{kind}-named-{other}.{other}", content)
        write(f"{kind}-empty.{kind}", b"")
    for name, content in bombs():
        write(name, content)
    for mode in ("1", "L", "LA", "P", "PA", "RGBA", "CMYK", "I;16", "I", "F", "YCbCr", "LAB"):
        for kind in ("png", "tif", "jpg", "gif"):
            try:
                write(
                    f"mode-{mode.replace(';', '-')}.{kind}", encoded(noise("L" if mode == "I;16" else mode).convert(mode), kind)
                )
            except (OSError, ValueError):  # the format has no such mode
                continue
    frames = [noise(seed=seed) for seed in range(4)]
    for kind in ("gif", "png", "webp", "tif"):
        moving = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        write(f"animated.{kind}", moving)
        write(f"animated-cut.{kind}", moving[: len(moving) * 2 // 3])
        write(f"animated-cut-early.{kind}", moving[: len(moving) // 5])
    exif = Image.Exif()
    exif[0x0112] = 6
    for number in range(12):
        broken = bytearray(exif.tobytes())
        chance = random.Random(number)
        for _ in range(1 + number):
            broken[chance.randrange(6, len(broken))] = chance.randrange(256)
        for kind in ("jpg", "png", "webp"):
            write(f"exif-{number}.{kind}", encoded(noise(), kind, exif=bytes(broken)))
    for name, content in {
        "page.jpg": b"<!doctype html><title>404</title>",
        "text.png": "kein Bild: äöü".encode(),
        "drawing.png": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "print.jpg": b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
        "print.tif": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "archive.png": b"PK\x03\x04" + bytes(40),
        "phone.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        "phone.jpg": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        "newline\nin name.png": b"x",
        "\x1b[31mred.png": b"x",
        "-dash.png": b"x",
        "x" * 250 + ".png": b"x",
        os.fsdecode(b"caf\xe9.png"): b"x",
        os.fsdecode(b"fine \xff\xfe.png"): encoded(noise(), "png"),
    }.items():
        write(name, content)
    (folder / "nowhere.png").symlink_to("nothing")
    (folder / "circle.png").symlink_to("circle.png")
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    return sorted(folder.iterdir())


_ROWS = [("a.png", "cat", "a cat sleeps ."), ("b.png", "dog", "a dog runs ."), ("c.png", "dog", "the red ball")]


def _table(separator: str, *, names: tuple[str, ...] = ("image", "label", "caption")) -> bytes:
    return "\n".join(separator.join(row) for row in (names, *_ROWS)).encode()


def _coco() -> bytes:
    images = [{"id": number, "file_name": row[0]} for number, row in enumerate(_ROWS)]
    return json.dumps(
        {"images": images, "annotations": [{"image_id": i, "caption": row[2]} for i, row in enumerate(_ROWS)]}
    ).encode()


def _lines() -> bytes:
    return "\n".join(json.dumps({"file_name": image, "label": label, "caption": text}) for image, label, text in _ROWS).encode()


def _parquet(**columns: list[object]) -> bytes:
    made = io.BytesIO()
    pd.DataFrame(columns).to_parquet(made)
    return made.getvalue()


def _shard(samples: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in samples.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


def _bases() -> dict[str, bytes]:
    """Files that are right, by name."""
    picture = encoded(noise(), "png")
    return {
        "table.csv": _table(","),
        "table.tsv": _table("\t"),
        "tokens.txt": "\n".join(f"{image}#0\t{text}" for image, _, text in _ROWS).encode(),
        "coco.json": _coco(),
        "lines.jsonl": _lines(),
        "paths.parquet": _parquet(image=[row[0] for row in _ROWS], label=[row[1] for row in _ROWS]),
        "images.parquet": _parquet(image=[{"bytes": picture, "path": None}] * 3, label=[0, 1, 1]),
        "shard.tar": _shard(
            {"a.png": picture, "a.cls": b"1", "a.json": b'{"label": "cat", "caption": "a cat"}', "b.png": picture}
        ),
    }


#: Text in one of the formats, changed as people and programs change it.
_CHANGES: dict[str, Callable[[str], bytes]] = {
    "bom": lambda text: text.encode("utf-8-sig"),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-16-be": lambda text: text.encode("utf-16-be"),
    "utf-16-odd": lambda text: text.encode("utf-16") + b"\0",
    "utf-32": lambda text: text.encode("utf-32"),
    "latin1": lambda text: text.replace("cat", "chât").encode("latin1"),
    "nul": lambda text: text.replace("dog", "d\0g").encode(),
    "nul-in-name": lambda text: text.replace("a.png", "a\0.png").encode(),
    "carriage-returns": lambda text: text.replace("\n", "\r").encode(),
    "ragged": lambda text: text.replace("runs .", "runs,\tfast, in the park\t,").encode(),
    "short-row": lambda text: text.replace(",dog", "").replace("\tdog", "").encode(),
    "open-quote": lambda text: text.replace("a cat", '"a cat').encode(),
    "long-field": lambda text: text.replace("sleeps", "sleeps " * 60_000).encode(),
    "long-name": lambda text: text.replace("b.png", "b" * 5_000 + ".png").encode(),
    "backslashes": lambda text: text.replace("b.png", "b" * 5_000 + "\\\\x.png").encode(),
    "line-separator": lambda text: text.replace("sleeps", "sleeps\u2028soundly").encode(),
    "control": lambda text: text.replace("sleeps", "sleeps\x0b\x0c\x1c\x85").encode(),
    "surrogate": lambda text: text.replace("a.png", r"a\ud800.png").replace("cat", r"c\udce9t").encode(),
    "home": lambda text: text.replace("a.png", "~nobody-here/a.png").encode(),
    "address": lambda text: text.replace("a.png", "nowhere://host/a.png").encode(),
    "no-header": lambda text: text.partition("\n")[2].encode(),
    "header-only": lambda text: text.partition("\n")[0].encode(),
    "same-columns": lambda text: text.replace("caption", "image").encode(),
    "blank": lambda _text: b" \n\t\n ",
    "empty": lambda _text: b"",
    "deep": lambda _text: b"[" * 100_000,
    "deep-objects": lambda _text: b'{"a":' * 100_000,
    "long-number": lambda text: text.replace('"a.png"', "1" * 5_000).encode(),
    "not-a-number": lambda text: text.replace('"a.png"', "NaN").encode(),
    "null": lambda text: text.replace('"a.png"', "null").encode(),
    "list": lambda text: text.replace('"a.png"', '["a.png"]').replace('"cat"', "[1, [2]]").encode(),
    "object": lambda text: text.replace('"a.png"', '{"bytes": null, "path": 3}').replace('"cat"', '{"a": {}}').encode(),
    "mixed-rows": lambda text: text.replace("\n", "\n7\n[1]\nnull\n", 1).encode(),
    "compressed": lambda text: zlib.compress(text.encode()),
}


def tables(folder: Path) -> list[Path]:
    """About four hundred files of captions and labels, most of them broken, each in a folder of its own."""
    made: list[Path] = []

    def write(damage: str, name: str, content: bytes) -> None:
        file = folder / f"{name}-{damage}" / name
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
        made.append(file)

    for number, (name, content) in enumerate(_bases().items()):
        write("right", name, content)
        for damage, broken in damaged(content, seed=number):
            write(damage, name, broken)
        if not name.endswith((".parquet", ".tar")):
            for damage, change in _CHANGES.items():
                write(damage, name, change(content.decode()))
    for damage, columns in {
        "class-map-of-text": {"image": ["a.png"], "label": ["x"]},
        "numbers": {"image": [1.5, 2.5], "label": [None, 1.0]},
        "lists": {"image": [["a.png"], ["b.png"]], "label": [[1], [2]]},
        "no-rows": {"image": [], "label": []},
        "struct-without-bytes": {"image": [{"x": 1}], "label": ["a"]},
        "null-bytes": {"image": [{"bytes": None, "path": None}], "label": ["a"]},
        "path-outside": {"image": [{"bytes": None, "path": "../../etc/hosts"}], "label": ["a"]},
        "dates": {"image": ["a.png"], "label": [pd.Timestamp("2020-01-01")]},
    }.items():
        write(damage, "made.parquet", _parquet(**columns))
    for damage, about in {
        "json-of-a-list": b"[1]",
        "json-of-text": b'"x"',
        "no-json": b"{",
        "deep": b"[" * 100_000,
        "latin1": b"\xe9",
    }.items():
        picture = encoded(noise(), "png")
        write(
            damage,
            "mixed.tar",
            _shard({"a.png": picture, "a.json": about, "b.png": picture, "b.cls": b"dog", "b.txt": b"a dog"}),
        )
    for about in (
        "5",
        "[]",
        '{"info": 3}',
        '{"info": {"features": [1]}}',
        '{"info": {"features": {"label": {"names": 3}}}}',
        "{",
    ):
        write(str(len(made)), "named.parquet", _parquet_about(about))
    return made


def _parquet_about(about: str) -> bytes:
    """A Parquet file whose Hugging Face metadata is this text."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"image": [{"bytes": encoded(noise(), "png"), "path": None}], "label": [1]})
    made = io.BytesIO()
    pyarrow.parquet.write_table(table.replace_schema_metadata({"huggingface": about}), made)
    return made.getvalue()
