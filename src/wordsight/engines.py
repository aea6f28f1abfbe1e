"""Where the parts of a large piece of work are done: in this process, or by Ray's workers on one machine or many.

Every engine does the same work on the same parts, so that the results do not depend on it.
"""

import logging
import os
import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from wordsight.errors import WordsightError

#: How many blocks Ray is given at most: what a killed worker has to do again is one block.
_BLOCKS = 4096


class Engine(ABC):
    """Does work in parts. ``here``: whether in this process, where a callback may report on a part that is under way."""

    here: bool

    @abstractmethod
    def run(self, work: Callable[[Any], Any], parts: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """What ``work`` makes of each part, with the part's number, as they come. Each part comes once."""


class Local(Engine):
    """This process, one part after the other."""

    here = True

    def run(self, work: Callable[[Any], Any], parts: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """See ``Engine``."""
        yield from enumerate(map(work, parts))


LOCAL = Local()


class RayEngine(Engine):
    """Ray Data: a pool of actors, each with the models, that takes the parts as they come.

    ``actors``: how many; default as many as the cluster has GPUs for a model on a GPU, else processors. ``cpus`` and ``gpus``:
    what each takes. The cluster is the one that ``RAY_ADDRESS`` names, or this machine. A part whose worker was killed is done
    again, as often as it takes. Raises WordsightError if Ray is not installed.
    """

    here = False

    def __init__(self, *, actors: int | None = None, cpus: float = 1, gpus: float = 0) -> None:
        try:
            import ray.data  # noqa: F401
        except ImportError as error:
            raise WordsightError(
                f"The engine 'ray' needs the package ray, which cannot be imported ({error}). Install it: "
                "pip install 'wordsight[ray]', or leave the engine out."
            ) from error
        self.actors, self.cpus, self.gpus = actors, cpus, gpus

    def run(self, work: Callable[[Any], Any], parts: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """See ``Engine``. ``work`` and the parts are pickled; errors of ``work`` are raised here."""
        if not parts:
            return
        import ray
        from ray import cloudpickle

        _start()
        held = ray.put(cloudpickle.dumps(work))
        rows = [{"number": number, "part": cloudpickle.dumps(part)} for number, part in enumerate(parts)]
        data = ray.data.from_items(rows, override_num_blocks=min(len(rows), _BLOCKS)).map_batches(
            _Worker,
            fn_constructor_args=(held, self.cpus),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(self.actors or self._room(), len(rows))),
            num_cpus=self.cpus,
            num_gpus=self.gpus or None,
        )
        left = set(range(len(parts)))
        for row in data.iter_rows():
            left.remove(row["number"])  # a part that came twice would count twice
            result = pickle.loads(row["result"])
            if isinstance(result, Exception):
                raise result
            yield row["number"], result
        assert not left, f"Ray lost the parts {sorted(left)[:5]}"

    def _room(self) -> int:
        import ray

        have = ray.cluster_resources()
        return max(1, int(have.get("GPU", 0) // self.gpus if self.gpus else have.get("CPU", 1) // self.cpus))


def _start() -> None:
    """Join or start a cluster, quietly, and without Ray's report of usage to its makers unless the user wants it."""
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


class _Worker:
    """An actor: holds the work with its models, does one part at a time."""

    def __init__(self, held: Any, cpus: float) -> None:
        import ray
        import torch

        from wordsight.runtime import declare_torchvision_operators, tune_memory

        tune_memory()
        declare_torchvision_operators()
        torch.set_num_threads(max(1, int(cpus)))
        self._work = pickle.loads(ray.get(held))

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        from ray import cloudpickle

        try:
            result = self._work(pickle.loads(batch["part"][0]))
        except Exception as error:  # Ray would try it again, and wrap it
            result = error
        return {"number": batch["number"], "result": [cloudpickle.dumps(result)]}


def engine_named(engine: str | Engine, *, device: str = "cpu") -> Engine:
    """The engine of a name, "local" or "ray", or the engine itself. Raises WordsightError for another name."""
    if not isinstance(engine, str):
        return engine
    if engine == "local":
        return LOCAL
    if engine == "ray":
        return RayEngine(gpus=1 if device.startswith("cuda") else 0)
    raise WordsightError(f"The engine '{engine}' came, wanted 'local' (this process) or 'ray' (one machine or many).")
