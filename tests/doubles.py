"""A small fake classifier and a tiny random language model: everything but their size is real."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn

from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.modules import classifier as make_classifier
from wordsight.language.model import LanguageModel
from wordsight.runtime import declare_torchvision_operators
from wordsight.tensors import weights_fingerprint
from wordsight.translator.checkpoint import TranslatorCard
from wordsight.translator.mlp import Translator

declare_torchvision_operators()

WORDS = ("<end>", "a", "dog", "cat", "runs", "sleeps", "red", "ball", ".")


class TinyNet(nn.Module):
    """Pools colours, one linear layer to features, one to logits."""

    def __init__(self, features: int = 6, classes: int = 3) -> None:
        super().__init__()
        self.body = nn.Linear(3, features)
        self.head = nn.Linear(features, classes)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(pixels.mean((2, 3))).relu())


def prepare(image: Image.Image) -> torch.Tensor:
    """One view of 8 x 8 pixels in [0, 1]."""
    small = np.asarray(image.resize((8, 8)), dtype=np.float32) / 255
    return torch.from_numpy(small).permute(2, 0, 1)[None]


def tiny_classifier(*, seed: int = 0, features: int = 6, labels: Sequence[str] = ("red", "green", "blue")) -> Classifier:
    torch.manual_seed(seed)
    net = TinyNet(features)
    if len(labels) != 3:
        net.head = torch.nn.Linear(features, len(labels))
    return make_classifier(net, head=net.head, transform=prepare, labels=list(labels), name="tiny")


def tiny_lm(*, seed: int = 0, words: tuple[str, ...] = WORDS, sharpness: float = 8.0) -> LanguageModel:
    """A Llama of two layers over ``words``; ``sharpness`` scales its weights, so that its next tokens are not all alike."""
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        eos_token_id=0,
        bos_token_id=0,
        pad_token_id=0,
        max_position_embeddings=64,
        attn_implementation="eager",
    )
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    model.lm_head.weight.mul_(sharpness * 4)
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token=words[1]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if any(word.startswith("Ġ") for word in words):  # pieces of words, as byte-level tokenizers write them
        tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=words[0], clean_up_tokenization_spaces=False)
    return LanguageModel("tiny-lm", model, fast, weights_fingerprint(model.state_dict()))


def tiny_translator(classifier: Classifier, lm: LanguageModel, *, seed: int = 0) -> tuple[Translator, TranslatorCard]:
    torch.manual_seed(seed)
    translator = Translator(classifier.features, lm.hidden, hidden=8, prefix_tokens=2).eval()
    card = TranslatorCard(
        classifier=classifier.name,
        classifier_fingerprint=classifier.fingerprint,
        features=classifier.features,
        language_model=lm.name,
        language_model_fingerprint=lm.fingerprint,
        lm_hidden=lm.hidden,
        prefix_tokens=2,
        hidden=8,
        seed=seed,
        data={"about": "made in a test"},
    )
    return translator, card
