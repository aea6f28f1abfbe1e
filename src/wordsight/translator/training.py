"""Training: minimise -log p(caption | T(z)) with everything frozen but T.

The captions of one image are packed behind its prefix in one row; an attention mask keeps them from seeing each other, so the
prefix is computed once an image. The language model's head runs on caption positions only.
"""

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from wordsight.errors import FeatureError, TranslatorError
from wordsight.files import replacing
from wordsight.machine import keep_freed_memory
from wordsight.tensors import Prefix, Views
from wordsight.translator.language_model import LanguageModel
from wordsight.translator.mlp import Translator
from wordsight.translator.warm_start import mix_views

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """How to train. ``noise`` is in units of the features' spread; ``trunk_rate`` scales the learning rate of the trunk.

    ``memory`` makes the result a running mean of the weights over about ``1 / (1 - memory)`` steps (fewer at first, so that the
    start is forgotten), which generalises better than the last weights do (0: the last weights).
    """

    epochs: int = 4
    batch: int = 16
    learning_rate: float = 1e-3
    trunk_rate: float = 0.3
    weight_decay: float = 0.02
    noise: float = 0.3
    memory: float = 0.995
    warm_up: float = 0.05
    evaluations_an_epoch: int = 2
    patience: int = 3
    seed: int = 0


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
        finite = self.views.isfinite().all(dim=(1, 2)) if self.views.ndim == 3 else torch.ones(0, dtype=torch.bool)
        if not bool(finite.all()):
            bad = int((~finite).sum())
            raise FeatureError(
                f"The features of {bad} of {len(self.views)} images are not finite (first: row {int(finite.int().argmin())}). "
                "Extract them again; if they stay so, look for overflow in the classifier."
            )

    def fingerprint(self) -> str:
        """SHA-256 of features and captions."""
        digest = hashlib.sha256(self.views.contiguous().numpy().tobytes())
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


@dataclass(frozen=True)
class Packed:
    """A batch of rows ``prefix, caption 1, caption 2, ...``; predicted tokens are named by row and position."""

    tokens: Tensor  # (rows, width) caption inputs, without the prefix
    mask: Tensor  # (rows, 1, prefix + width, prefix + width), True where attention is allowed
    positions: Tensor  # (rows, prefix + width)
    target_row: Tensor  # (targets,)
    target_position: Tensor  # (targets,) counted from the last prefix position
    target: Tensor  # (targets,)


def pack(captions: Sequence[Sequence[Sequence[int]]], *, prefix: int) -> Packed:
    """Pack the captions of each image into one row behind its prefix. Captions end with the end-of-text token."""
    width = max(sum(len(c) - 1 for c in image) for image in captions)
    rows = len(captions)
    tokens = torch.zeros(rows, width, dtype=torch.long)
    owner = torch.full((rows, prefix + width), -1)
    owner[:, :prefix] = 0
    positions = torch.zeros(rows, prefix + width, dtype=torch.long)
    positions[:, :prefix] = torch.arange(prefix)
    row_of, position_of, target = [], [], []
    for row, image in enumerate(captions):
        start = 0
        for number, caption in enumerate(image, start=1):
            length = len(caption) - 1
            tokens[row, start : start + length] = torch.tensor(caption[:-1], dtype=torch.long)
            here = slice(prefix + start, prefix + start + length)
            owner[row, here] = number
            positions[row, here] = torch.arange(prefix, prefix + length)
            row_of += [row] * len(caption)
            position_of += [0, *range(start + 1, start + length + 1)]
            target += caption
            start += length
    same = owner[:, :, None] == owner[:, None, :]
    to_prefix = (owner == 0)[:, None, :]
    causal = torch.ones(prefix + width, prefix + width, dtype=torch.bool).tril()
    mask = causal & (same | to_prefix)  # padding sees the prefix, so that no row of the softmax is empty
    return Packed(tokens, mask[:, None], positions, *(torch.tensor(t) for t in (row_of, position_of, target)))


def caption_loss(lm: LanguageModel, prefix: Prefix, packed: Packed, *, backward_scale: float | None = None) -> float:
    """Summed -log p of every caption token (end included) given its image's prefix, in nats.

    With ``backward_scale`` the gradient of that many times the loss is added to whatever made ``prefix``.
    """
    target = packed.target.to(lm.device)

    def loss(logits: Tensor, part: slice) -> Tensor:
        return torch.nn.functional.cross_entropy(logits, target[part], reduction="sum")

    return summed_loss(lm, prefix, packed, loss, backward_scale=backward_scale)


def summed_loss(
    lm: LanguageModel,
    prefix: Prefix,
    packed: Packed,
    loss: Callable[[Float[Tensor, "targets vocabulary"], slice], Tensor],
    *,
    backward_scale: float | None = None,
) -> float:
    """Sum of ``loss(logits, part)`` over the logits that predict ``packed.target[part]``, part by part.

    With ``backward_scale`` the gradient of that many times the sum is added to whatever made ``prefix``. The head runs over
    a few hundred positions at a time and its gradient is taken at once: logits of a whole batch would take gigabytes.
    """
    device, length = lm.device, prefix.shape[1]
    inputs = torch.cat([prefix.to(lm.dtype), lm.model.get_input_embeddings()(packed.tokens.to(device))], dim=1)
    allowed = packed.mask.to(device)
    mask = torch.zeros(allowed.shape, dtype=lm.dtype, device=device).masked_fill_(~allowed, torch.finfo(lm.dtype).min)
    hidden = lm.hidden_states(inputs_embeds=inputs, attention_mask=mask, position_ids=packed.positions.to(device))
    picked = hidden[packed.target_row.to(device), packed.target_position.to(device) + length - 1]
    leaf = picked.detach().requires_grad_(backward_scale is not None)
    total = 0.0
    for start in range(0, len(leaf), _HEAD_ROWS):
        part = slice(start, start + _HEAD_ROWS)
        one = loss(lm.logits(leaf[part]).float(), part)
        total += one.item()
        if backward_scale is not None:
            (one * backward_scale).backward()
    if backward_scale is not None:
        picked.backward(leaf.grad)
    return total


_HEAD_ROWS = 256


def train(
    translator: Translator,
    lm: LanguageModel,
    data: Captioned,
    dev: Captioned,
    *,
    settings: Settings,
    beside: Callable[[Translator], float] | None = None,
    origin: str = "",
    checkpoint: Path | None = None,
    save_every: float = 180,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> list[float]:
    """Train ``translator`` in place and leave it with the weights of the lowest dev loss. Returns the dev losses.

    ``beside`` adds the gradient of another objective at every step, drawing only on torch's own random numbers. The dev loss
    is then no judge of the whole, so the training runs to its end and keeps the last weights.

    Every random choice of a step follows from the seed and the step's number, so a training that goes on from its checkpoint
    reaches the same result as one that was never interrupted. Losses are in nats a token; the first is that before training.
    ``origin`` says where the translator comes from: a checkpoint of another origin is refused.
    """
    keep_freed_memory()
    trunk = [*translator.trunk.parameters()]
    rest = [*translator.residual.parameters(), *translator.to_prefix.parameters()]
    rate = settings.learning_rate
    optimiser = torch.optim.AdamW(
        [{"params": trunk, "rate": rate * settings.trunk_rate}, {"params": rest, "rate": rate}],
        lr=rate,
        weight_decay=settings.weight_decay,
    )
    mean = AveragedModel(translator, avg_fn=_running_mean(settings.memory))
    averaged = cast("Translator", mean.module)
    per_epoch = math.ceil(len(data.views) / settings.batch)
    steps = settings.epochs * per_epoch
    evaluate_every = max(1, per_epoch // settings.evaluations_an_epoch)
    step, history, best = 0, [], {k: v.clone() for k, v in translator.state_dict().items()}
    identity = {
        "settings": asdict(settings),
        "data": data.fingerprint(),
        "dev": dev.fingerprint(),
        "lm": lm.fingerprint,
        "origin": origin,
        "shapes": {name: list(value.shape) for name, value in translator.state_dict().items()},
    }
    if checkpoint is not None and checkpoint.exists():
        step, history, best = _resume(checkpoint, translator, mean, optimiser, identity)
        logger.info("going on from step %d of %d", step, steps)
    else:
        history.append(dev_loss(translator, lm, dev, batch=settings.batch))

    def stops(losses: list[float]) -> bool:
        return beside is None and _should_stop(losses, settings.patience)

    saved = started = time.monotonic()
    first, running = step, float("nan")
    with torch.random.fork_rng():
        while step < steps and not stops(history):
            for rows in _batches(data, settings, epoch=step // per_epoch, skip=step % per_epoch):
                torch.manual_seed(settings.seed * 1_000_003 + step)
                _set_rates(optimiser, step, steps, settings.warm_up)
                loss = _step(translator, lm, data, rows, settings.noise, optimiser, beside)
                mean.update_parameters(translator)
                running = loss if math.isnan(running) else 0.95 * running + 0.05 * loss
                step += 1
                if step % evaluate_every == 0 or step == steps:
                    history.append(dev_loss(averaged, lm, dev, batch=settings.batch))
                    if beside is not None or history[-1] == min(history):
                        best = {k: v.clone() for k, v in averaged.state_dict().items()}
                left = (time.monotonic() - started) / (step - first) * (steps - step)
                on_progress(Progress(step, steps, running, history[-1] if history else None, left))
                if checkpoint is not None and time.monotonic() - saved > save_every:
                    _save(checkpoint, translator, mean, optimiser, identity, step, history, best)
                    saved = time.monotonic()
                if stops(history):
                    break
    if checkpoint is not None:
        _save(checkpoint, translator, mean, optimiser, identity, step, history, best)
    translator.load_state_dict(best)
    translator.eval()
    return history


def _running_mean(memory: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """The mean after one update more: ``memory`` of the mean so far, but at most (1 + n) / (10 + n) after n updates."""

    def update(mean: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
        n = int(updates)
        return mean.lerp(current, 1 - min(memory, (1 + n) / (10 + n)))

    return update


@torch.inference_mode()
def dev_loss(translator: Translator, lm: LanguageModel, dev: Captioned, *, batch: int) -> float:
    """Mean -log p a caption token, in nats, on the mean of each image's views."""
    translator.eval()
    total = count = 0.0
    for start in range(0, len(dev.views), batch):
        captions = dev.captions[start : start + batch]
        packed = pack(captions, prefix=translator.prefix_tokens)
        z = dev.views[start : start + batch].mean(1).to(lm.device)
        total += caption_loss(lm, translator(z), packed)
        count += len(packed.target)
    return total / max(1, count)


def _step(translator, lm, data, rows, noise, optimiser, beside) -> float:
    translator.train()
    packed = pack([data.captions[r] for r in rows.tolist()], prefix=translator.prefix_tokens)
    prefix = noisy_prefix(translator, data.views[rows], noise)
    optimiser.zero_grad()
    loss = caption_loss(lm, prefix, packed, backward_scale=1 / len(packed.target))
    if beside is not None:
        beside(translator)
    torch.nn.utils.clip_grad_norm_(translator.parameters(), 1.0)
    optimiser.step()
    return loss / len(packed.target)


def noisy_prefix(translator: Translator, views: Views, noise: float) -> Prefix:
    """Prefixes as training sees them: of a random mix of each image's views, with noise in units of the features' spread."""
    z = mix_views(views).to(translator.spread.device)
    return translator(z + noise * translator.spread * torch.randn_like(z))


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
    with replacing(path) as partial:
        torch.save(state, partial)


def _resume(path: Path, translator, mean, optimiser, identity: dict) -> tuple[int, list[float], dict]:
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
    translator.load_state_dict(state["translator"])
    mean.load_state_dict(state["mean"])
    optimiser.load_state_dict(state["optimiser"])
    return state["step"], state["history"], state["best"]
