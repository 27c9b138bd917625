"""The networks: the ECG encoder, the text encoder and its tokenizers, with their sizes."""

from typing import TYPE_CHECKING

from ecgclip.lazy import attach

if TYPE_CHECKING:
    from ecgclip.networks.config import ECGConfig as ECGConfig
    from ecgclip.networks.config import ECGFeatures as ECGFeatures
    from ecgclip.networks.config import TextConfig as TextConfig
    from ecgclip.networks.encoder import ECGEncoder as ECGEncoder
    from ecgclip.networks.text import TextEncoder as TextEncoder
    from ecgclip.networks.tokenizer import load_tokenizer as load_tokenizer

__all__ = ["ECGConfig", "ECGFeatures", "ECGEncoder", "TextEncoder", "TextConfig", "load_tokenizer"]
__getattr__, __dir__ = attach(
    __name__,
    {
        "ECGConfig": "ecgclip.networks.config",
        "ECGFeatures": "ecgclip.networks.config",
        "ECGEncoder": "ecgclip.networks.encoder",
        "TextEncoder": "ecgclip.networks.text",
        "TextConfig": "ecgclip.networks.config",
        "load_tokenizer": "ecgclip.networks.tokenizer",
    },
)
