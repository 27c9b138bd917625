"""The model: ECG and text encoders in one space, and what users ask of them."""

from typing import TYPE_CHECKING

from ecgclip.lazy import attach

if TYPE_CHECKING:
    from ecgclip.model.calibration import Calibration as Calibration
    from ecgclip.model.clip import ECGCLIP as ECGCLIP
    from ecgclip.model.clip import ModelConfig as ModelConfig
    from ecgclip.model.prompts import Prompt as Prompt
    from ecgclip.model.prompts import combine as combine
    from ecgclip.model.prompts import leaf_vectors as leaf_vectors
    from ecgclip.model.results import Embedding as Embedding
    from ecgclip.model.results import Examined as Examined
    from ecgclip.model.results import Result as Result
    from ecgclip.model.results import Score as Score
    from ecgclip.model.results import ranking as ranking
    from ecgclip.model.store import load_model as load_model
    from ecgclip.model.weights import weights_hash as weights_hash

__all__ = [
    "ECGCLIP",
    "ModelConfig",
    "load_model",
    "weights_hash",
    "Embedding",
    "Examined",
    "Result",
    "Score",
    "ranking",
    "Prompt",
    "combine",
    "leaf_vectors",
    "Calibration",
]
__getattr__, __dir__ = attach(
    __name__,
    {
        "ECGCLIP": "ecgclip.model.clip",
        "ModelConfig": "ecgclip.model.clip",
        "load_model": "ecgclip.model.store",
        "weights_hash": "ecgclip.model.weights",
        "Embedding": "ecgclip.model.results",
        "Examined": "ecgclip.model.results",
        "Result": "ecgclip.model.results",
        "Score": "ecgclip.model.results",
        "ranking": "ecgclip.model.results",
        "Prompt": "ecgclip.model.prompts",
        "combine": "ecgclip.model.prompts",
        "leaf_vectors": "ecgclip.model.prompts",
        "Calibration": "ecgclip.model.calibration",
    },
)
