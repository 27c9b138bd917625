"""A model as ONNX files, with which others score ECGs: without torch, or in another language.

    export_onnx(load_model(), "onnx")

ecg.onnx, text.onnx    the encoders; ECG_ARRAYS and TEXT_ARRAYS name what enters and leaves
labels.npz             vectors of all conditions, and of the reference ECGs
ecgclip.json           what the inputs mean, the preparation's constants, calibration, ids of the conditions
knowledge_base.json    their names, codes and criteria
tokenizer.model        SentencePiece's; the folder tokenizer/ for an encoder of the Hugging Face hub

docs/onnx.md says how to use them, and examples/onnx_score.py scores a record with them.
"""

from __future__ import annotations

import io
import json
import warnings
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ecgclip import prepare
from ecgclip.ecg import LEADS, EcgclipError
from ecgclip.files import code_version, write_atomic, write_json
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.prompts import prompt_settings
from ecgclip.networks.config import ECGConfig
from ecgclip.networks.encoder import ECGEncoder
from ecgclip.networks.measurements import input_names
from ecgclip.networks.tokenizer import BEGIN, END

OPSET = 18
NOTICE = "Research software, not a medical device. Licence: Apache-2.0."
# what enters and leaves the encoders: name → axes and meaning
ECG_ARRAYS = {
    "signal": "float32 (batch, 12, samples): mV, leads and samples as in `preparation`; zero where masked or padded",
    "mask": "bool (batch, 12): true where a lead is usable",
    "r_peaks": "float32 (batch, beats): s from the window's start, NaN is padding; at least one column",
    "length": "int64 (batch): samples before the padding",
    "measured": "float32 (batch, features): in the order of `features` (age: years; male: 1, female 0); NaN is unknown",
    "rhythm": "float32 (batch, dim): one vector of unit length for each window",
    "beats": "float32 (batch, beats, dim): one for each R peak, of unit length; to be ignored where r_peaks is NaN",
}
TEXT_ARRAYS = {
    "ids": "int64 (batch, tokens): of the tokenizer, filled up with `pad`",
    "mask": "bool (batch, tokens): true for a token",
    "vector": "float32 (batch, dim): of unit length, in the space of `rhythm`",
}


def export_onnx(model: ECGCLIP, folder: str | Path) -> None:
    """Write a model as ONNX files into a folder, with all that is needed to score an ECG with them.

    Parameters
    ----------
    model
        Its encoders are written in float32, whatever it computes in.
    folder
        Made where there is none; files of an earlier export are replaced.

    Raises
    ------
    EcgclipError
        `onnx` or `onnxscript` is not installed, or the folder cannot be made.
    """
    _check_installed()
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EcgclipError(f"{folder}: is no folder and none can be made here ({error.strerror})") from None
    write_atomic(folder / "ecg.onnx", _ecg_bytes(model))
    write_atomic(folder / "text.onnx", _text_bytes(model))
    concepts = list(model.kb.concepts)
    arrays = io.BytesIO()
    vectors = np.stack([model.concept_vector(concept) for concept in concepts])
    np.savez(arrays, vectors=vectors.astype(np.float32), reference=model.reference)
    write_atomic(folder / "labels.npz", arrays.getvalue())
    model.tokenizer.save(folder)
    write_atomic(folder / "knowledge_base.json", json.dumps(model.kb.to_dict(), ensure_ascii=False))
    write_json(folder / "ecgclip.json", _constants(model, concepts))


def _check_installed() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise EcgclipError(f'to write ONNX files, {error.name} is needed: pip install "ecgclip[onnx]"') from None


def _constants(model: ECGCLIP, concepts: list[str]) -> dict[str, Any]:
    """The contents of ecgclip.json."""
    ecg, kb = model.config.ecg, model.kb
    tokenizer: dict[str, Any] = {"pad": model.tokenizer.pad, "max_tokens": model.tokenizer.max_tokens}
    if not model.config.text.hf_model:
        tokenizer |= {"begin": BEGIN, "end": END, "case": "lower (Unicode's case folding)"}
    return {
        "notice": NOTICE,
        "ecgclip": code_version(),
        "weights_sha256": model.weights_sha256 if model.folder else None,
        "opset": OPSET,
        "ecg.onnx": ECG_ARRAYS,
        "text.onnx": TEXT_ARRAYS,
        "preparation": _preparation(ecg),
        "tokenizer": tokenizer,
        "templates": prompt_settings()["plain"],
        "config": asdict(model.config),
        "labels": [{"id": c, "name": kb.concepts[c].name, "known": model.config.known(c)} for c in concepts],
        "features": input_names(ecg),
    }


def _preparation(config: ECGConfig) -> dict[str, Any]:
    """The constants of `prepare`; docs/input.md says what is done with them."""
    rate = config.sampling_rate
    lowpass = [min(f * rate / prepare.SAMPLING_RATE, m) for f, m in zip(prepare.LOWPASS, prepare.WIDEST, strict=True)]
    return {
        "leads": LEADS,
        "unit": "mV",
        "sampling_rate_hz": rate,
        "samples": prepare.WINDOW * rate // prepare.SAMPLING_RATE,
        "measured_at_hz": prepare.SAMPLING_RATE,
        "shortest_window_s": prepare.SHORTEST / prepare.SAMPLING_RATE,
        "highpass_half_gain_hz": prepare.HIGHPASS,
        "highpass_gain": f"1 / (1 + ({prepare.HIGHPASS} / f) ** {prepare.HIGHPASS_STEEPNESS})",
        "lowpass_hz": lowpass,
        "lowpass_gain": f"1 up to {lowpass[0]:g} Hz, 0 from {lowpass[1]:g} Hz on, half a cosine between",
        "flat_below_mv_sd": prepare.FLAT_STD,
        "usable_share": prepare.USABLE,
    }


# --- networks ---------------------------------------------------------------------------------------------------------


class _WindowEncoder(nn.Module):
    """The ECG encoder with arrays as output, and without the learned queries, which are no heartbeats."""

    def __init__(self, encoder: ECGEncoder):
        super().__init__()
        self.encoder = encoder

    def forward(
        self, signal: Tensor, mask: Tensor, r_peaks: Tensor, length: Tensor, measured: Tensor
    ) -> tuple[Tensor, Tensor]:
        features = self.encoder(signal, mask, r_peaks, length, measured)
        return features.rhythm, features.beats[:, : r_peaks.shape[1]]


def _ecg_bytes(model: ECGCLIP) -> bytes:
    rate, windows, beats = model.config.ecg.sampling_rate, 2, 3
    samples = prepare.WINDOW * rate // prepare.SAMPLING_RATE
    example = (
        torch.zeros(windows, len(LEADS), samples),
        torch.ones(windows, len(LEADS), dtype=torch.bool),
        torch.arange(1.0, 1 + beats).repeat(windows, 1),
        torch.full((windows,), samples),
        torch.zeros(windows, len(input_names(model.config.ecg))),
    )
    batch, beat = torch.export.Dim("batch", min=1), torch.export.Dim("beats", min=1)
    axes = ({0: batch}, {0: batch}, {0: batch, 1: beat}, {0: batch}, {0: batch})
    return _onnx_bytes(_WindowEncoder(model.ecg), example, axes, list(ECG_ARRAYS)[:5], list(ECG_ARRAYS)[5:])


def _text_bytes(model: ECGCLIP) -> bytes:
    ids = torch.full((2, 3), BEGIN)
    batch, tokens = (
        torch.export.Dim("batch", min=1),
        torch.export.Dim("tokens", min=2, max=model.tokenizer.max_tokens),
    )
    axes = ({0: batch, 1: tokens}, {0: batch, 1: tokens})
    return _onnx_bytes(model.build_text(), (ids, ids >= 0), axes, list(TEXT_ARRAYS)[:2], list(TEXT_ARRAYS)[2:])


def _onnx_bytes(
    network: nn.Module, example: tuple[Tensor, ...], axes: Any, inputs: list[str], outputs: list[str]
) -> bytes:
    """A network, an example of its inputs, and which of their axes vary → the bytes of its ONNX file, checked."""
    import onnx

    network = deepcopy(network).cpu().float().eval()
    # with gradients, as torch else puts in fused kernels, which ONNX lacks
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="# The axis name")
        program = torch.onnx.export(
            network, example, dynamo=True, opset_version=OPSET, input_names=inputs, output_names=outputs,
            dynamic_shapes=axes, custom_translation_table={torch.ops.aten.nanmedian.dim: _nanmedian}, verbose=False,
        )  # fmt: skip
    assert program is not None
    written = program.model_proto
    for part in (*written.graph.node, *written.graph.value_info, *written.graph.initializer, written.graph):
        part.ClearField("metadata_props")  # where in the code it comes from, with paths of this machine
    onnx.helper.set_model_props(written, {"notice": NOTICE})
    onnx.checker.check_model(written, full_check=True)
    return written.SerializeToString()


def _nanmedian(x: Any, dim: int, keepdim: bool = False) -> tuple[Any, Any]:
    """torch's nanmedian, which the exporter cannot translate, in the words of ONNX: the median and its place."""
    import onnxscript

    op: Any = onnxscript.opset18

    axis, zero, one, two = (op.Constant(value_ints=[number]) for number in (dim, 0, 1, 2))
    unknown = op.IsNaN(x)
    known = op.ReduceSum(op.Cast(op.Not(unknown), to=7), axis, keepdims=1)
    last = op.Where(unknown, op.Constant(value_float=float("inf")), x)
    half = op.Div(op.Add(op.Gather(op.Shape(x), axis), one), two)  # no median stands in the upper half
    values, places = op.TopK(last, half, axis=dim, largest=0)
    middle = op.Div(op.Max(op.Sub(known, one), zero), two)  # the lower one of two
    median, place = (op.GatherElements(sorted_, middle, axis=dim) for sorted_ in (values, places))
    median = op.Where(op.Equal(known, zero), op.Constant(value_float=float("nan")), median)
    return (median, place) if keepdim else (op.Squeeze(median, axis), op.Squeeze(place, axis))
