"""The model: ECG and text encoders in one space, prompts, scores and calibration."""

from typing import TYPE_CHECKING

from ecgclip.lazy import attach

if TYPE_CHECKING:
    from ecgclip.model.calibration import Calibration as Calibration
    from ecgclip.model.clip import ECGCLIP as ECGCLIP
    from ecgclip.model.config import ModelConfig as ModelConfig
    from ecgclip.model.onnx import export_onnx as export_onnx
    from ecgclip.model.prompts import Prompt as Prompt
    from ecgclip.model.results import Embedding as Embedding
    from ecgclip.model.results import Result as Result
    from ecgclip.model.results import Score as Score
    from ecgclip.model.results import ranking as ranking
    from ecgclip.model.store import load_model as load_model
    from ecgclip.model.weights import weights_hash as weights_hash

__all__ = [
    "ECGCLIP",
    "Calibration",
    "Embedding",
    "ModelConfig",
    "Prompt",
    "Result",
    "Score",
    "export_onnx",
    "load_model",
    "ranking",
    "weights_hash",
]
__getattr__, __dir__ = attach(
    __name__,
    {
        "ECGCLIP": "ecgclip.model.clip",
        "Calibration": "ecgclip.model.calibration",
        "Embedding": "ecgclip.model.results",
        "ModelConfig": "ecgclip.model.config",
        "Prompt": "ecgclip.model.prompts",
        "Result": "ecgclip.model.results",
        "Score": "ecgclip.model.results",
        "export_onnx": "ecgclip.model.onnx",
        "load_model": "ecgclip.model.store",
        "ranking": "ecgclip.model.results",
        "weights_hash": "ecgclip.model.weights",
    },
)
