"""Images of every kind are made here, read back, and compared pixel by pixel."""

import concurrent.futures
import io
import os
import re
import struct
import sys
import types
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from wordsight.errors import ImageError
from wordsight.images import files
from wordsight.images.files import find_images, read_image, to_rgb

ORIENTATION = 0x0112


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def touched(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def pixels(path: Path) -> list[list[int]]:
    """Of an image one pixel high."""
    image = read_image(path)
    assert image.mode == "RGB"
    return np.asarray(image)[0].tolist()


def noise(width: int = 64, height: int = 64) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def png(width: int, height: int, depth: int, kind: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file written by hand, for kinds that Pillow reads but does not write."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)), *chunks, (b"IDAT", zlib.compress(rows))]
    parts.append((b"IEND", b""))
    body = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


# finding


def test_a_folder_gives_its_images_sorted_and_recursive(tmp_path: Path) -> None:
    extensions = ["jpg", "JPEG", "png", "webp", "bmp", "gif", "tif", "tiff", "Ppm", "avif"]
    wanted = [tmp_path / f"{i:02}.{extension}" for i, extension in enumerate(extensions)] + [tmp_path / "inner" / "a.jpg"]
    touched(*reversed(wanted), tmp_path / "notes.txt", tmp_path / ".hidden.jpg", tmp_path / ".cache" / "a.jpg")
    assert find_images([tmp_path]) == wanted


def test_a_named_file_is_taken_whatever_its_extension(tmp_path: Path) -> None:
    touched(tmp_path / "scan.jp2", tmp_path / ".hidden", tmp_path / "a[1].jpg")
    named = [tmp_path / "scan.jp2", tmp_path / ".hidden", tmp_path / "a[1].jpg"]
    assert find_images(named) == named


def test_patterns(tmp_path: Path) -> None:
    touched(tmp_path / "b.jpg", tmp_path / "a.jpg", tmp_path / "x.txt", tmp_path / "in" / "c.png", tmp_path / "in" / "d.jp2")
    assert find_images([f"{tmp_path}/*"]) == [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    assert find_images([f"{tmp_path}/**"]) == [tmp_path / "a.jpg", tmp_path / "b.jpg", tmp_path / "in" / "c.png"]
    assert find_images([tmp_path / "**" / "*.jp2"]) == [tmp_path / "in" / "d.jp2"]


def test_duplicates_go_and_the_order_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touched(tmp_path / "a.jpg", tmp_path / "b.jpg")
    monkeypatch.chdir(tmp_path)
    assert find_images(["b.jpg", "./b.jpg", tmp_path, "*.jpg"]) == [Path("b.jpg"), tmp_path / "a.jpg"]


def test_one_place_may_come_without_a_list(tmp_path: Path) -> None:
    touched(tmp_path / "a.jpg")
    assert find_images(str(tmp_path)) == [tmp_path / "a.jpg"]
    assert find_images([]) == []


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_linked_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    touched(tmp_path / "store" / "a.jpg")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cats").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "back").symlink_to(tmp_path / "data")
    assert find_images([tmp_path / "data"]) == [tmp_path / "data" / "cats" / "a.jpg"]


def test_places_that_match_nothing(tmp_path: Path) -> None:
    touched(tmp_path / "kitten.jpg", tmp_path / "texts" / "a.txt")
    with pytest.raises(
        ImageError, match=r"kittne.jpg' does not exist.*file, a folder or a glob.*spelling.*mean '.*kitten.jpg'\?"
    ):
        find_images([tmp_path / "kittne.jpg"])
    with pytest.raises(ImageError, match=r"'nowhere/at/all' does not exist.*searched from '.*'\)\.$"):
        find_images(["nowhere/at/all"])
    with pytest.raises(ImageError, match=r"The folder '.*texts' has no images. Files ending in .avif .*name another folder"):
        find_images([tmp_path / "texts"])
    with pytest.raises(
        ImageError, match=r"The pattern '.*\*\.png' matches no images. An image file, a folder or a glob pattern"
    ):
        find_images([tmp_path / "kitten.jpg", f"{tmp_path}/*.png"])


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(
        ImageError, match=r"cannot be read \(PermissionError.*readable folder was wanted: change its permissions"
    ):
        find_images([tmp_path])


# modes


@pytest.mark.parametrize("suffix", ["png", "bmp", "ppm", "tif", "webp"])
def test_rgb_is_unchanged(tmp_path: Path, suffix: str) -> None:
    image = noise()
    path = saved(tmp_path / f"a.{suffix}", image, **({"lossless": True} if suffix == "webp" else {}))
    assert np.array_equal(np.asarray(read_image(path)), np.asarray(image))


@pytest.mark.parametrize("suffix", ["jpg", "avif"])
def test_lossy_formats(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"a.{suffix}", Image.new("RGB", (16, 16), (200, 100, 50)), quality=95)
    assert np.abs(np.asarray(read_image(path)).astype(int) - (200, 100, 50)).max() <= 4


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_one_pixel(tmp_path: Path, mode: str) -> None:
    assert read_image(saved(tmp_path / "a.png", Image.new(mode, (1, 1)))).size == (1, 1)


@pytest.mark.parametrize("mode", [*"1 L LA La PA P RGB RGBA RGBa RGBX CMYK YCbCr LAB HSV I F I;16 I;16L I;16B I;16N".split()])
def test_every_mode_is_converted(mode: str) -> None:
    image = Image.new(mode, (3, 2))
    rgb = to_rgb(image)
    assert (rgb.mode, rgb.size, image.mode) == ("RGB", (3, 2), mode)


def test_one_bit_and_grey(tmp_path: Path) -> None:
    bits = Image.fromarray(np.array([[0, 255]], dtype=np.uint8)).convert("1")
    assert pixels(saved(tmp_path / "a.png", bits)) == [[0, 0, 0], [255, 255, 255]]
    assert pixels(saved(tmp_path / "b.png", Image.new("L", (1, 1), 77))) == [[77, 77, 77]]


@pytest.mark.parametrize("suffix", ["png", "tif", "ppm"])
def test_16_bit_grey_is_scaled(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 128, 129, 257, 25700, 32768, 65535]], dtype=np.uint16)
    wanted = [0, 0, 1, 1, 100, 128, 255]
    assert pixels(saved(tmp_path / f"a.{suffix}", Image.fromarray(values))) == [[v] * 3 for v in wanted]


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
def test_16_bit_grey_of_either_byte_order(mode: str) -> None:
    values = np.array([[0, 25700, 65535]], dtype=">u2" if mode == "I;16B" else "<u2")
    image = Image.frombytes(mode, (3, 1), values.tobytes())
    assert np.asarray(to_rgb(image))[0, :, 0].tolist() == [0, 100, 255]


def test_a_dark_16_bit_ppm_stays_dark(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.ppm", Image.fromarray(np.array([[0, 257]], dtype=np.uint16)))
    assert pixels(path) == [[0, 0, 0], [1, 1, 1]]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0, 100, 255], [0, 100, 255]),
        ([0, 25700, 65535], [0, 100, 255]),
        ([0, 100_000, 1_000_000], [0, 26, 255]),
        ([-100, 0, 300], [0, 64, 255]),
        ([-7, -7, -7], [0, 0, 0]),
    ],
)
def test_32_bit_integers(values: list[int], wanted: list[int]) -> None:
    assert np.asarray(to_rgb(Image.fromarray(np.array([values], dtype=np.int32))))[0, :, 1].tolist() == wanted


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0, 0.5, 1], [0, 128, 255]),
        ([0, 100.4, 255], [0, 100, 255]),
        ([0, 25700, 65535], [0, 100, 255]),
        ([-1, 0, 3], [0, 64, 255]),
        ([float("nan"), float("inf"), 1], [0, 0, 255]),
    ],
)
def test_floats(tmp_path: Path, values: list[float], wanted: list[int]) -> None:
    path = saved(tmp_path / "a.tif", Image.fromarray(np.array([values], dtype=np.float32)))
    assert pixels(path) == [[v] * 3 for v in wanted]


@pytest.mark.parametrize("options", [{}, {"compression": "raw"}])
def test_cmyk_tiff(tmp_path: Path, options: dict[str, str]) -> None:
    assert pixels(saved(tmp_path / "a.tif", Image.new("CMYK", (1, 1), (0, 255, 255, 0)), **options)) == [[255, 0, 0]]


def test_cmyk_jpeg_as_adobe_writes_it(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)), quality=95)
    assert b"Adobe" in path.read_bytes()
    assert read_image(path).getpixel((4, 4)) == (255, 0, 0)


def test_ycck_jpeg(tmp_path: Path) -> None:
    # Pillow writes CMYK only. YCCK differs by a byte in the Adobe marker and by the meaning of the planes: inverted red is
    # (0, 255, 255), in YCbCr (179, 171, 0), and Pillow inverts once more when it writes.
    path = saved(tmp_path / "a.jpg", Image.new("CMYK", (8, 8), (255 - 179, 255 - 171, 255, 0)), quality=100)
    data = bytearray(path.read_bytes())
    transform = data.index(b"Adobe") + 11
    assert data[transform] == 0
    data[transform] = 2
    path.write_bytes(data)
    assert np.abs(np.asarray(read_image(path)).astype(int) - (255, 0, 0)).max() <= 3


# transparency: half transparent black on white is grey 127


@pytest.mark.parametrize(("mode", "colour"), [("RGBA", (0, 0, 0, 128)), ("LA", (0, 128))])
def test_alpha_is_composed_over_white(tmp_path: Path, mode: str, colour: tuple[int, ...]) -> None:
    assert pixels(saved(tmp_path / "a.png", Image.new(mode, (1, 1), colour))) == [[127, 127, 127]]


@pytest.mark.parametrize("mode", ["RGBa", "La", "PA"])
def test_alpha_in_memory(mode: str) -> None:
    image = Image.new("LA" if mode == "La" else "RGBA", (1, 1), (0, 128) if mode == "La" else (0, 0, 0, 128)).convert(mode)
    assert to_rgb(image).getpixel((0, 0)) == (127, 127, 127)


def palette(*colours: tuple[int, ...]) -> Image.Image:
    image = Image.new("P", (len(colours), 1))
    image.putpalette([value for colour in colours for value in colour])
    image.putdata(list(range(len(colours))))
    return image


def test_palette_with_one_transparent_colour(tmp_path: Path) -> None:
    image = palette((255, 0, 0), (0, 255, 0))
    assert pixels(saved(tmp_path / "a.png", image)) == [[255, 0, 0], [0, 255, 0]]
    assert pixels(saved(tmp_path / "b.png", image, transparency=0)) == [[255, 255, 255], [0, 255, 0]]
    assert pixels(saved(tmp_path / "c.gif", image, transparency=1)) == [[255, 0, 0], [255, 255, 255]]


def test_palette_with_an_alpha_value_a_colour(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", palette((0, 0, 0), (0, 255, 0)), transparency=bytes([128, 255]))
    assert pixels(path) == [[127, 127, 127], [0, 255, 0]]


def test_palette_of_rgba_colours() -> None:
    image = Image.new("P", (1, 1))
    image.putpalette([0, 0, 0, 128], "RGBA")
    assert to_rgb(image).getpixel((0, 0)) == (127, 127, 127)


def test_colour_keys(tmp_path: Path) -> None:
    rgb = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8))
    assert pixels(saved(tmp_path / "a.png", rgb, transparency=(1, 2, 3))) == [[255, 255, 255], [4, 5, 6]]
    grey = Image.fromarray(np.array([[7, 8]], dtype=np.uint8))
    assert pixels(saved(tmp_path / "b.png", grey, transparency=7)) == [[255, 255, 255], [8, 8, 8]]
    deep = Image.fromarray(np.array([[257, 514]], dtype=np.uint16))
    assert pixels(saved(tmp_path / "c.png", deep, transparency=257)) == [[255, 255, 255], [2, 2, 2]]


def test_colour_key_of_a_16_bit_colour_png(tmp_path: Path) -> None:
    rows = b"\0" + struct.pack(">6H", 0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000)
    (tmp_path / "a.png").write_bytes(png(2, 1, 16, 2, rows, (b"tRNS", struct.pack(">3H", 0x1000, 0x2000, 0x3000))))
    assert pixels(tmp_path / "a.png") == [[255, 255, 255], [0x40, 0x50, 0x60]]


# EXIF and animation


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize(
    ("orientation", "wanted"),
    [
        (1, "abc/def"),
        (2, "cba/fed"),
        (3, "fed/cba"),
        (4, "def/abc"),
        (5, "ad/be/cf"),
        (6, "da/eb/fc"),
        (7, "fc/eb/da"),
        (8, "cf/be/ad"),
    ],
)
def test_exif_orientation_is_applied(tmp_path: Path, suffix: str, orientation: int, wanted: str) -> None:
    letters = np.array([list(b"abc"), list(b"def")], dtype=np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(letters).convert("RGB"), exif=exif, **options)
    rgb = read_image(path)
    assert "/".join(bytes(row).decode() for row in np.asarray(rgb)[:, :, 0]) == wanted
    assert to_rgb(rgb).size == rgb.size  # nothing is left that would turn it again


def test_exif_orientation_of_a_jpeg_and_of_16_bits(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    assert read_image(saved(tmp_path / "a.jpg", noise(20, 10), exif=exif)).size == (10, 20)
    assert read_image(saved(tmp_path / "b.png", Image.new("I;16", (20, 10)), exif=exif)).size == (10, 20)
    assert to_rgb(Image.open(io.BytesIO((tmp_path / "a.jpg").read_bytes()))).size == (10, 20)


def test_broken_exif_is_ignored(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", noise(20, 10), exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01")
    assert read_image(path).size == (20, 10)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_of_an_animation_the_first_frame(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue", "lime")]
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    path = saved(tmp_path / f"a.{suffix}", frames[0], save_all=True, append_images=frames[1:], duration=50, **options)
    with Image.open(path) as image:
        assert getattr(image, "n_frames", 1) == 3
    assert read_image(path).getpixel((0, 0)) == (255, 0, 0)


# errors


def test_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touched(tmp_path / "kitten.jpg")
    with pytest.raises(
        ImageError, match=r"kitte.jpg' does not exist\. An image file was wanted: check the.*mean '.*kitten.jpg'"
    ):
        read_image(tmp_path / "kitte.jpg")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImageError, match=re.escape(f"'zebra.jpg' does not exist (it is searched from {str(Path.cwd())!r}).")):
        read_image("zebra.jpg")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=re.escape(f"{str(tmp_path)!r} is a folder. An image file was wanted: find_images")):
        read_image(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match=r"a.jpg' is a pipe or device. An image file was wanted: save the image"):
        read_image(tmp_path / "a.jpg")


def test_zero_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(ImageError, match=r"a.jpg' is empty \(0 bytes\). An image was wanted: copy or download it again"):
        read_image(tmp_path / "a.jpg")


def test_text_named_jpg(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("<html>404 not found</html>")
    with pytest.raises(ImageError, match=r"a.jpg' is not an image.*begins with b'<html>404 not fo'. Convert it to JPEG or PNG"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp", "bmp", "tif", "ppm", "avif"])
@pytest.mark.parametrize("kept", [0.6, 0.99])
def test_truncated(tmp_path: Path, suffix: str, kept: float) -> None:
    path = saved(tmp_path / f"a.{suffix}", noise())
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ImageError, match=rf"a.{suffix}' (cannot be decoded \(.*cut off|is not an image that Pillow can read)"):
        read_image(path)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_truncated_jpeg_and_png_say_so(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"a.{suffix}", noise())
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ImageError, match=rf"a.{suffix}' cannot be decoded \(OSError: .*Copy or download it again") as caught:
        read_image(path)
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp", "bmp", "tif", "ppm"])
def test_damaged_files_give_a_picture_or_an_image_error(tmp_path: Path, suffix: str) -> None:
    whole = saved(tmp_path / f"a.{suffix}", noise(16, 16)).read_bytes()
    random = np.random.default_rng(1)
    messages = []
    for _ in range(60):
        data = bytearray(whole)
        for place in random.integers(0, min(len(data), 200), 6):
            data[place] = random.integers(0, 256)
        (tmp_path / "b").write_bytes(data)
        try:
            assert read_image(tmp_path / "b").mode == "RGB"
        except ImageError as error:
            messages.append(str(error))
    assert all("/b' " in message or "\\b' " in message for message in messages)


def test_bomb_is_refused_before_decoding(tmp_path: Path) -> None:
    # The header is all there is: decoding would fail with another message.
    (tmp_path / "a.png").write_bytes(png(10_001, 10_000, 8, 2, b""))
    with pytest.raises(ImageError, match=r"a.png' claims to have 10001 x 10000 pixels. At most 100,000,000 were wanted.*scale"):
        read_image(tmp_path / "a.png")


def test_bomb_that_pillow_refuses(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(60_000, 60_000, 8, 2, b""))
    with pytest.raises(ImageError, match=r"a.png' claims to have more pixels than Pillow opens.*At most 100,000,000") as caught:
        read_image(tmp_path / "a.png")
    assert isinstance(caught.value.__cause__, Image.DecompressionBombError)


def test_the_limit_is_ours_not_pillows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.png", noise(10, 10))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60)  # Pillow would warn, and warnings are errors here
    assert read_image(path).size == (10, 10)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    monkeypatch.setattr(files, "MAX_PIXELS", 99)
    with pytest.raises(ImageError, match=r"claims to have 10 x 10 pixels. At most 99 were wanted"):
        read_image(path)


def test_eps_is_refused_without_running_it(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.eps", noise(8, 8))
    with pytest.raises(ImageError, match=r"a.eps' is an EPS drawing. An image made of pixels was wanted: convert it to PNG"):
        read_image(path)


def test_pictures_in_memory_that_cannot_be_converted(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"An image of 0 x 5 pixels came. At least 1 x 1 was wanted"):
        to_rgb(Image.new("RGB", (0, 5)))
    data = io.BytesIO()
    noise().save(data, "PNG")
    with pytest.raises(ImageError, match=r"in memory \(mode RGB, 64 x 64 pixels\) cannot be converted to RGB \(OSError"):
        to_rgb(Image.open(io.BytesIO(data.getvalue()[:2000])))


# warnings


def test_pillows_warnings_do_not_leak(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add(b"acTL", struct.pack(">II", 0, 0))  # an animation of no frames: Pillow warns and reads on
    path = saved(tmp_path / "a.png", noise(4, 4), pnginfo=info)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        Image.open(path).close()
        assert "Invalid APNG" in str(seen[0].message)
        seen.clear()
        read_image(path)
        assert not seen


def test_reading_in_threads_leaves_the_warning_filters_as_they_were(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", noise())
    before = list(warnings.filters)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert {image.size for image in pool.map(read_image, [path] * 200)} == {(64, 64)}
    assert list(warnings.filters) == before


def test_jfif_counts_as_an_image_and_heic_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (5, 5), "red").save(tmp_path / "a.jfif", format="JPEG")
    (tmp_path / "b.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert [path.name for path in find_images([tmp_path])] == ["a.jfif", "b.HEIC"]
    assert read_image(tmp_path / "a.jfif").size == (5, 5)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(
        ImageError, match=r"b.HEIC' is a HEIC image, which needs the package pillow-heif .*Install it: pip install"
    ):
        read_image(tmp_path / "b.HEIC")


def test_heic_is_read_by_pillow_heif_if_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    registered = Image.new("RGB", (5, 5), "red")

    def register() -> None:
        monkeypatch.setattr(Image, "open", lambda _stream: registered.copy())

    package = types.ModuleType("pillow_heif")
    package.register_heif_opener = register
    monkeypatch.setitem(sys.modules, "pillow_heif", package)
    assert read_image(tmp_path / "b.heic").getpixel((0, 0)) == (255, 0, 0)
