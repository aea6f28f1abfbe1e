"""A small fake classifier and a tiny random language model: everything but their size is real."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn

from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.modules import classifier as make_classifier
from wordsight.language.causal import CausalLM
from wordsight.language.cross_attention import CrossAttentionLM
from wordsight.language.model import LanguageModel
from wordsight.runtime import declare_torchvision_operators
from wordsight.tensors import weights_fingerprint
from wordsight.translator.checkpoint import TranslatorCard, save_translator
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
    from transformers import LlamaConfig, LlamaForCausalLM

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
    tokenizer = tiny_tokenizer(words)
    return CausalLM("tiny-lm", lambda: (model, tokenizer), weights_fingerprint(model.state_dict()))


def tiny_tokenizer(words: tuple[str, ...] = WORDS):
    """A tokenizer of ``words``, the first of which ends a text."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token=words[1]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if any(word.startswith("Ġ") for word in words):  # pieces of words, as byte-level tokenizers write them
        tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=words[0], clean_up_tokenization_spaces=False)


#: Small sizes of every family, by the names that its configuration has for them.
_COMMON = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "eos_token_id": 0,
    "pad_token_id": 0,
    "bos_token_id": 0,
}
_GROUPED = {**_COMMON, "intermediate_size": 24, "num_key_value_heads": 2, "head_dim": 4, "max_position_embeddings": 64}
FAMILIES: dict[str, dict] = {
    "llama": _GROUPED,
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 64, "eos_token_id": 0, "bos_token_id": 0},
    "qwen2": _GROUPED,
    "qwen3": _GROUPED,
    "gemma": _GROUPED,
    "gemma2": {**_GROUPED, "query_pre_attn_scalar": 4, "sliding_window": 32, "final_logit_softcapping": 5.0},
    "gemma3_text": {**_GROUPED, "query_pre_attn_scalar": 4, "sliding_window": 32},
    "opt": {**_COMMON, "ffn_dim": 24, "word_embed_proj_dim": 12, "max_position_embeddings": 64},
    "t5": {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 1, "num_decoder_layers": 2, "num_heads": 4,
           "decoder_start_token_id": 0, "eos_token_id": 0, "pad_token_id": 0},
    "bart": {"d_model": 16, "encoder_layers": 1, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 4,
             "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "max_position_embeddings": 64, "decoder_start_token_id": 0,
             "eos_token_id": 0, "bos_token_id": 0, "pad_token_id": 0, "forced_bos_token_id": 1},
    "bert": {**_COMMON, "intermediate_size": 24, "max_position_embeddings": 64, "is_decoder": True, "add_cross_attention": True},
}  # fmt: skip


def tiny_family(family: str, *, seed: int = 0, words: tuple[str, ...] = WORDS) -> LanguageModel:
    """A random model of any family, whose next tokens are neither all alike nor certain."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    torch.manual_seed(seed)
    config = AutoConfig.for_model(family, vocab_size=len(words), tie_word_embeddings=False, **FAMILIES[family])
    crossed = family in ("t5", "bart", "bert")
    build = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model = build.from_config(config, attn_implementation="eager").eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        if weight.ndim == 2:
            weight.normal_(0, 0.15 if "embed" not in name else 0.5)
        elif name.endswith("bias"):
            weight.normal_(0, 0.1)
    model.get_output_embeddings().weight.mul_({"t5": 0.5, "qwen2": 1.5}.get(family, 3.0))
    kind = CrossAttentionLM if crossed else CausalLM
    tokenizer = tiny_tokenizer(words)
    return kind(f"tiny-{family}", lambda: (model, tokenizer), weights_fingerprint(model.state_dict()))


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


#: The options that name the models of ``save_tiny_models``, for a command that runs in their folder.
MODELS = ("--classifier", "doubles:tiny_classifier", "--lm", "lm", "--translator", "t.safetensors")


def save_tiny_lm(folder: Path) -> LanguageModel:
    """A tiny language model, written into a folder as transformers does."""
    lm = tiny_lm()
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    return lm


def save_tiny_models(folder: Path) -> None:
    """A tiny language model on disk, and a translator for it and for ``tiny_classifier``."""
    lm = save_tiny_lm(folder / "lm")
    save_translator(folder / "t.safetensors", *tiny_translator(tiny_classifier(), lm))
