"""Training a model: a recipe, a text encoder, alignment with ECGs, and what is fitted afterwards.

    Recipe ─┬▶ train_text ─▶ tokenizer and text encoder ─┬▶ train_clip ─▶ a folder for `load_model`
            └▶ train_ecg ─▶ pretrained backbone ─────────┘

`loop` trains every stage, `objectives/` are the losses, `batches` what they see, `calibrate` and `finish` what follows.
`pretraining/` are the tasks without labels.
"""

from typing import TYPE_CHECKING

from ecgclip.lazy import attach

if TYPE_CHECKING:
    from ecgclip.train.clip import train_clip as train_clip
    from ecgclip.train.ecg import train_ecg as train_ecg
    from ecgclip.train.recipe import Recipe as Recipe
    from ecgclip.train.text import train_text as train_text

__all__ = ["Recipe", "train_text", "train_ecg", "train_clip"]
__getattr__, __dir__ = attach(
    __name__,
    {
        "Recipe": "ecgclip.train.recipe",
        "train_text": "ecgclip.train.text",
        "train_ecg": "ecgclip.train.ecg",
        "train_clip": "ecgclip.train.clip",
    },
)
