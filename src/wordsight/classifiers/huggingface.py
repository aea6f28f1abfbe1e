"""Classifiers from Hugging Face."""

from typing import Any

from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.modules import classifier
from wordsight.classifiers.weights import first_line
from wordsight.errors import ModelError
from wordsight.runtime import declare_torchvision_operators


def huggingface_classifier(name: str, *, device: str = "cpu") -> Classifier:
    """Any ``AutoModelForImageClassification`` by its hub name or folder, with its own image processor and ``id2label``.

    Weights load from safetensors only. Raises ModelError if it cannot be loaded.
    """
    declare_torchvision_operators()
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    try:
        processor: Any = AutoImageProcessor.from_pretrained(name)
        net: Any = AutoModelForImageClassification.from_pretrained(name, use_safetensors=True)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise ModelError(
            f"Cannot load 'hf:{name}': {first_line(error)} Wanted a folder with config.json, preprocessor_config.json and "
            "model.safetensors, or the name of an image classification model on the Hugging Face hub."
        ) from error
    labels = [str(net.config.id2label[i]) for i in range(net.config.num_labels)]
    return classifier(
        net,
        transform=lambda image: processor(images=image, return_tensors="pt")["pixel_values"],
        labels=labels,
        name=f"hf:{name}",
        spec=f"hf:{name}",
        device=device,
    )
