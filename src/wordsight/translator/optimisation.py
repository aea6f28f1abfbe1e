"""Training: minimise -log p(caption | T(z)) with everything frozen but T.

Features are extracted once; see ``language.packing`` for how the captions of an image share its prefix.

Several processes share the images of each step: all draw the same random numbers for all of them and translate them (a small
part of the work), each runs the language model on its own, and the gradients are added up. So the numbers are those of one
process up to rounding, and a checkpoint goes on with any number of processes.
"""

import hashlib
import io
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from wordsight.errors import FeatureError, TranslatorError
from wordsight.language.model import LanguageModel
from wordsight.storage import replacing
from wordsight.tensors import Views
from wordsight.translator.mlp import Translator
from wordsight.translator.processes import Processes, launched
from wordsight.translator.word_head import mix_views

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to train a translator.

    - ``epochs``, ``batch`` (images a step, each with all its captions), ``learning_rate`` (``trunk_rate`` scales that of the
      trunk), ``weight_decay``, ``warm_up`` (share of the steps).
    - ``noise``: added to the features, in units of their spread.
    - ``averaging``: the result is an average of the weights (EMA) over about ``1 / (1 - averaging)`` steps, fewer at first; it
      generalises better than the last weights do (0: the last weights).
    - ``patience``: stop after so many evaluations without a lower dev loss; ``evaluations`` an epoch.
    - ``hidden``, ``prefix_tokens``, ``dropout`` (of the hidden layer): size of a fresh translator. One to go on from keeps its
      size.
    - ``class_draws``: how many times features are composed for each class of a 1,000-class ImageNet head, for what the images
      do not show (see ``composed.with_composed``).

    Raises ValueError for a learning rate that is negative or not finite.
    """

    epochs: int = 4
    batch: int = 16
    learning_rate: float = 1e-3
    trunk_rate: float = 0.3
    weight_decay: float = 0.02
    noise: float = 0.3
    averaging: float = 0.995
    warm_up: float = 0.05
    evaluations: int = 2
    patience: int = 3
    seed: int = 0
    hidden: int = 1024
    prefix_tokens: int = 8
    dropout: float = 0.3
    class_draws: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.learning_rate < math.inf:
            raise ValueError(f"learning_rate is {self.learning_rate}, wanted a number that is not negative, such as 0.001.")


@dataclass(frozen=True)
class Captioned:
    """Images to train or evaluate on: features of their views, and the token ids of their captions."""

    views: Views
    captions: Sequence[Sequence[Sequence[int]]]

    def __post_init__(self) -> None:
        if len(self.views) != len(self.captions):
            raise FeatureError(
                f"{len(self.views)} images have features but {len(self.captions)} have captions; give one list of captions "
                "an image, in the same order."
            )
        parts = self.views.split(4096) if self.views.ndim == 3 and len(self.views) else ()  # they may be on disk
        finite = torch.cat([torch.ones(0, dtype=torch.bool), *(part.isfinite().all(dim=(1, 2)) for part in parts)])
        if not bool(finite.all()):
            bad = int((~finite).sum())
            raise FeatureError(
                f"The features of {bad} of {len(self.views)} images are not finite (first: row {int(finite.int().argmin())}). "
                "Extract them again; if they stay so, look for overflow in the classifier."
            )

    def fingerprint(self) -> str:
        """SHA-256 of features and captions."""
        digest = hashlib.sha256(self.views.contiguous().numpy().data)
        digest.update(json.dumps(self.captions).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Progress:
    """One report of a running training: steps done of all, loss in nats a token, seconds left."""

    step: int
    steps: int
    loss: float
    dev_loss: float | None
    seconds_left: float

    @property
    def stage(self) -> str:
        """What to show beside a progress bar."""
        dev = "" if self.dev_loss is None else f", dev {self.dev_loss:.3f}"
        return f"training (loss {self.loss:.3f}{dev})"


#: Seconds between two checkpoints.
SAVE_EVERY = 180.0


def train(
    translator: Translator,
    lm: LanguageModel,
    data: Captioned,
    dev: Captioned,
    *,
    settings: Settings,
    origin: str = "",
    checkpoint: Path | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> list[float]:
    """Train ``translator`` in place and leave it with the weights of the lowest dev loss. Returns the dev losses.

    Every random choice of a step follows from the seed and the step's number, so a training that goes on from its checkpoint
    reaches the same result as one that was never interrupted. Losses are in nats a token; the first is that before training.
    ``origin``: where the translator comes from: a checkpoint of another origin is refused.

    Processes that a launcher started share the work (see the top of the file); the first alone writes the checkpoint.
    """
    processes = launched(lm.device)
    if processes.count > 1:  # what differs in the last digit between machines begins equal
        translator.load_state_dict(processes.from_first(lambda: {k: v.cpu() for k, v in translator.state_dict().items()}))
    trunk = [*translator.trunk.parameters()]
    rest = [*translator.residual.parameters(), *translator.to_prefix.parameters()]
    rate = settings.learning_rate
    optimiser = torch.optim.AdamW(
        [{"params": trunk, "rate": rate * settings.trunk_rate}, {"params": rest, "rate": rate}],
        lr=rate,
        weight_decay=settings.weight_decay,
    )
    mean = AveragedModel(translator, avg_fn=_running_average(settings.averaging))
    averaged = cast("Translator", mean.module)
    per_epoch = math.ceil(len(data.views) / settings.batch)
    steps = settings.epochs * per_epoch
    evaluate_every = max(1, per_epoch // settings.evaluations)
    step, history, best = 0, [], {k: v.clone() for k, v in translator.state_dict().items()}
    identity = {
        "settings": asdict(settings),
        "data": data.fingerprint(),
        "dev": dev.fingerprint(),
        "lm": lm.fingerprint,
        "origin": origin,
        "shapes": {name: list(value.shape) for name, value in translator.state_dict().items()},
    }
    state = processes.from_first(lambda: _read(checkpoint, identity))
    if state is not None:
        step, history, best = _resume(state, translator, mean, optimiser)
        logger.info("going on from step %d of %d", step, steps)
    else:
        history.append(dev_loss(translator, lm, dev, batch=settings.batch, processes=processes))
    saved = started = time.monotonic()
    first, running = step, float("nan")
    with torch.random.fork_rng():
        while step < steps and not _should_stop(history, settings.patience):
            for rows in _batches(data, settings, epoch=step // per_epoch, skip=step % per_epoch):
                torch.manual_seed(settings.seed * 1_000_003 + step)
                _set_rates(optimiser, step, steps, settings.warm_up)
                loss = _step(translator, lm, data, rows, settings.noise, optimiser, processes)
                mean.update_parameters(translator)
                running = loss if math.isnan(running) else 0.95 * running + 0.05 * loss
                step += 1
                if step % evaluate_every == 0 or step == steps:
                    history.append(dev_loss(averaged, lm, dev, batch=settings.batch, processes=processes))
                    if history[-1] == min(history):
                        best = {k: v.clone() for k, v in averaged.state_dict().items()}
                left = (time.monotonic() - started) / (step - first) * (steps - step)
                on_progress(Progress(step, steps, running, history[-1] if history else None, left))
                if checkpoint is not None and processes.first and time.monotonic() - saved > SAVE_EVERY:
                    _save(checkpoint, translator, mean, optimiser, identity, step, history, best)
                    saved = time.monotonic()
                if _should_stop(history, settings.patience):
                    break
    if checkpoint is not None and processes.first:
        _save(checkpoint, translator, mean, optimiser, identity, step, history, best)
    translator.load_state_dict(best)
    translator.eval()
    return history


def _running_average(averaging: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """The average after one more update: ``averaging`` of that so far, but at most (1 + n) / (10 + n) after n updates."""

    def update(mean: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
        n = int(updates)
        return mean.lerp(current, 1 - min(averaging, (1 + n) / (10 + n)))

    return update


@torch.inference_mode()
def dev_loss(
    translator: Translator,
    lm: LanguageModel,
    dev: Captioned,
    *,
    batch: int,
    processes: Processes = Processes(),  # noqa: B008 (frozen)
) -> float:
    """Mean -log p a caption token, in nats, on the mean of each image's views; the ``processes`` share the batches."""
    translator.eval()
    total = count = 0.0
    for start in range(processes.number * batch, len(dev.views), processes.count * batch):
        captions = dev.captions[start : start + batch]
        z = dev.views[start : start + batch].mean(1).to(lm.device)
        total += lm.loss(translator(z), captions)
        count += sum(len(caption) for image in captions for caption in image)
    if processes.count > 1:
        sums = torch.tensor([total, count], dtype=torch.float64, device=lm.device)
        processes.add_up([sums])
        total, count = sums.tolist()
    return total / max(1, count)


def _step(translator, lm, data, rows, noise, optimiser, processes=Processes()) -> float:  # noqa: B008 (frozen)
    translator.train()
    captions = [data.captions[r] for r in rows.tolist()]
    tokens = sum(len(caption) for image in captions for caption in image)
    z = mix_views(data.views[rows]).to(lm.device)
    z = z + noise * translator.spread * torch.randn_like(z)
    optimiser.zero_grad()
    prefix, own = translator(z), slice(processes.number, None, processes.count)
    loss = 0.0
    if captions[own]:
        loss = lm.loss(prefix[own], captions[own], backward_scale=1 / tokens)
    if processes.count > 1:
        loss = _add_up(translator, loss, processes)
    torch.nn.utils.clip_grad_norm_(translator.parameters(), 1.0)
    optimiser.step()
    return loss / tokens


def _add_up(translator: Translator, loss: float, processes: Processes) -> float:
    """The gradients of all processes together, in place, and their loss."""
    parameters = [parameter for parameter in translator.parameters() if parameter.requires_grad]
    for parameter in parameters:
        if parameter.grad is None:  # no image of the batch was this process's
            parameter.grad = torch.zeros_like(parameter)
    total = parameters[0].new_tensor([loss])
    processes.add_up([total, *(parameter.grad for parameter in parameters if parameter.grad is not None)])
    return float(total)


def _batches(data: Captioned, settings: Settings, *, epoch: int, skip: int) -> Iterator[Tensor]:
    """Shuffled rows in batches of similar length, the same for the same seed and epoch."""
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + epoch)
    lengths = torch.tensor([sum(len(c) for c in image) for image in data.captions])
    order = torch.randperm(len(lengths), generator=generator)
    pools = [pool[lengths[pool].argsort(stable=True)] for pool in order.split(settings.batch * 16)]
    batches = [batch for pool in pools for batch in pool.split(settings.batch)]
    for i in torch.randperm(len(batches), generator=generator).tolist()[skip:]:
        yield batches[i]


def _set_rates(optimiser: torch.optim.Optimizer, step: int, steps: int, warm_up: float) -> None:
    """Linear warm-up, then cosine decay to zero."""
    ramp = min(1.0, (step + 1) / max(1.0, warm_up * steps))
    scale = ramp * 0.5 * (1 + math.cos(math.pi * step / steps))
    for group in optimiser.param_groups:
        group["lr"] = group["rate"] * scale


def _should_stop(history: list[float], patience: int) -> bool:
    return len(history) > patience and min(history[-patience:]) >= min(history[:-patience])


def _save(path: Path, translator, mean, optimiser, identity: dict, step: int, history: list[float], best: dict) -> None:
    state = {"identity": identity, "step": step, "history": history, "best": best}
    state |= {"translator": translator.state_dict(), "mean": mean.state_dict(), "optimiser": optimiser.state_dict()}
    content = io.BytesIO()  # on a full disk torch.save itself raises what does not say so
    torch.save(state, content)
    try:
        with replacing(path) as partial:
            partial.write_bytes(content.getbuffer())
    except OSError as error:  # costs what an interruption would, not the training
        logger.warning(
            "the checkpoint %s cannot be written (%s): an interrupted training would lose what it did since", path, error
        )


def _read(path: Path | None, identity: dict) -> dict | None:
    """The checkpoint's state, None without one. Raises TranslatorError for that of another training."""
    if path is None or not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = state["identity"]
    except Exception as error:  # whatever a damaged file makes the unpickler stumble over
        raise TranslatorError(
            f"The checkpoint {path} cannot be read ({type(error).__name__}: {error}). Remove it to start anew."
        ) from error
    if found != identity:
        other = ", ".join(key for key in identity if found.get(key) != identity[key])
        raise TranslatorError(
            f"The checkpoint {path} belongs to another training (it differs in: {other}). Remove it or choose another output "
            "to start anew."
        )
    return state


def _resume(state: dict, translator, mean, optimiser) -> tuple[int, list[float], dict]:
    translator.load_state_dict(state["translator"])
    mean.load_state_dict(state["mean"])
    optimiser.load_state_dict(state["optimiser"])
    return state["step"], state["history"], state["best"]
