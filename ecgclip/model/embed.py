"""The two encoders: ECGs and texts become vectors in one space.

record ─pipeline: read, examine─▶ windows ─ECG encoder─▶ vectors
text ─tokenizer─▶ tokens ─text encoder─▶ vector
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ecgclip.ecg import ECG, EcgclipError
from ecgclip.io.read import read_ecg
from ecgclip.measure.examined import Examined, examine
from ecgclip.measure.measurement import Measurement
from ecgclip.model.config import ModelConfig
from ecgclip.model.inputs import encoder_inputs
from ecgclip.model.pipeline import examined_batches
from ecgclip.model.prompts import prompt_settings
from ecgclip.model.results import Embedding, Record, unit
from ecgclip.networks.config import ECGFeatures
from ecgclip.networks.encoder import ECGEncoder
from ecgclip.networks.text import TextEncoder
from ecgclip.networks.tokenizer import Tokenizer
from ecgclip.prepare import Prepared

BATCH = 64  # windows that the ECG encoder gets at once
TEXT = "text."  # prefix of the text encoder's weights
OBSOLETE = "caption."  # prefix of the caption decoder's weights in models of version 0.1.0; they are skipped
R = TypeVar("R")
_BUILDING = threading.Lock()  # one for all models: a model with a lock of its own could not be copied


class Encoders(nn.Module):
    """An ECG encoder and a text encoder, and what they need: reading, measuring, tokens, batches."""

    def __init__(self, config: ModelConfig, tokenizer: Tokenizer):
        super().__init__()
        self.config, self.tokenizer = config, tokenizer
        self.ecg = ECGEncoder(config.ecg)
        self.text: TextEncoder | None = None  # built when the first text is encoded
        self._text_state: dict[str, Tensor] = {}  # its weights until then
        self.folder: Path | None = None  # where the weights were loaded from
        self.dtype = torch.float32  # what the ECG encoder computes in, float32 or float16; all else is in float32

    # --- weights ------------------------------------------------------------------------------------------------------

    def build_text(self) -> TextEncoder:
        """Return the text encoder; the first thread that asks builds it while others wait.

        Raises
        ------
        EcgclipError
            The stored weights are not those of such an encoder.
        """
        with _BUILDING:
            if self.text is None:
                encoder = TextEncoder(self.config.text).eval()
                if self._text_state:
                    self._fill(encoder)
                # assigned last: other threads use the encoder as soon as it is here
                self.text = encoder.to(self.device, self._example.dtype)
                self._text_state = {}
        return self.text

    def _fill(self, encoder: TextEncoder) -> None:
        try:
            encoder.load_state_dict(self._text_state)
        except RuntimeError as error:
            problem = " ".join(str(error).split())[:120]
            raise EcgclipError(f"{self.folder}: damaged or foreign text weights ({problem}); train it again") from None

    @property
    def device(self) -> torch.device:
        """Where the encoders are; `.to("cuda")` moves them."""
        return self._example.device

    @property
    def _example(self) -> Tensor:
        """A parameter, to read the device and the precision from."""
        return next(self.ecg.parameters())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Encoders:
        """What `.to()`, `.half()` and their kin do. R peaks in half precision would be a sample or more off."""
        if fn(torch.zeros(1)).dtype in (torch.float16, torch.bfloat16):
            raise EcgclipError('the weights stay in float32: load_model(dtype="float16") computes in half precision')
        return super()._apply(fn, recurse)

    def stored_state(self) -> dict[str, Tensor]:
        """Return the weights as they are stored: in half precision where that loses nothing, see `round_matrices`."""
        state = {name: tensor.detach() for name, tensor in self.state_dict().items()}
        state.update({f"{TEXT}{name}": tensor for name, tensor in self._text_state.items()})
        return {name: _halved(tensor).contiguous().clone() for name, tensor in state.items()}

    def load_stored_state(self, state: dict[str, Tensor]) -> None:
        """Load what `stored_state` gave; the text encoder's part waits for `build_text`."""
        self._text_state = {name.removeprefix(TEXT): t for name, t in state.items() if name.startswith(TEXT)}
        self.load_state_dict({name: t for name, t in state.items() if not name.startswith((TEXT, OBSOLETE))})

    @torch.no_grad()
    def round_matrices(self) -> None:
        """Round the layers' weights to half precision, in place, so that they are stored in half the space.

        Parameters with one dimension keep all their digits, and so do the scales of the measurements.
        """
        self.build_text()
        for parameter in self.parameters():
            if parameter.ndim > 1:
                parameter.copy_(parameter.half())

    # --- ECGs ---------------------------------------------------------------------------------------------------------

    def embed(self, record: Record) -> Embedding:
        """Return all vectors of one record, a path or an ECG. Raises EcgclipError if it cannot be read."""
        return self.encode([self.examine(record)])[0]

    def embed_many(self, records: Iterable[Record], workers: int = 1) -> list[Embedding]:
        """Return all vectors of several records; `workers` as of `embed_each`.

        Raises EcgclipError for the first one that cannot be read.
        """
        return list(self.embeddings(records, workers))

    def embed_ecg(self, records: Record | Iterable[Record]) -> np.ndarray:
        """Embed one record or several.

        Parameters
        ----------
        records
            Paths or ECGs.

        Returns
        -------
        float32 (records, dim)
            Of unit length; a longer record is the mean of its windows.

        Raises
        ------
        EcgclipError
            A record cannot be read, or has no usable signal.
        """
        vectors = [e.vector for e in self.embeddings([records] if isinstance(records, Record) else records)]
        return np.stack(vectors) if vectors else np.zeros((0, self.config.ecg.dim), np.float32)

    def embeddings(self, records: Iterable[Record], workers: int = 1) -> Iterator[Embedding]:
        """Yield what `embed_many` returns, one after the other, so that they need not all be kept."""
        for _, embedding in self.embed_each(records, workers=workers):
            if isinstance(embedding, Exception):
                raise embedding
            yield embedding

    def embed_each(
        self, records: Iterable[R], read: Callable[[Any], Record] = lambda record: record, workers: int = 1
    ) -> Iterator[tuple[R, Embedding | Exception]]:
        """Embed records in batches; one that cannot be read does not stop the others.

        The next are read in threads meanwhile; memory does not grow with their number.

        Parameters
        ----------
        records
            Paths, ECGs, or whatever `read` takes.
        read
            Gives a path or an ECG for each of `records`; called in threads.
        workers
            Processes that measure, while this one encodes on the cores that are left; worth their start from some
            hundred records on. A script needs `if __name__ == "__main__":` for more than one.

        Yields
        ------
        tuple
            Each of `records`, in order, with its embedding or with the exception that it raised.

        Raises
        ------
        EcgclipError
            A worker process died.
        """
        rate = self.config.ecg.sampling_rate
        with _threads_beside(workers):
            for batch in examined_batches(records, lambda record: _read(read(record)), rate, workers):
                yield from self._encoded(batch)

    def _encoded(self, waiting: Sequence[tuple[R, Examined | Exception]]) -> Iterator[tuple[R, Embedding | Exception]]:
        embeddings = iter(self.encode([examined for _, examined in waiting if isinstance(examined, Examined)]))
        for record, examined in waiting:
            yield record, next(embeddings) if isinstance(examined, Examined) else examined

    def examine(self, record: Record) -> Examined:
        """Read, prepare and measure one record. Raises EcgclipError if it cannot be read or has no usable signal."""
        return examine(_read(record), self.config.ecg.sampling_rate)

    def encode(self, examined: Sequence[Examined]) -> list[Embedding]:
        """Return the vectors of examined records.

        Embeddings of another model are accepted, too: their vectors are computed anew with this one.
        """
        if not examined:
            return []
        arrays: dict[str, Any] = {
            name: np.concatenate([getattr(e.prepared, name) for e in examined])
            for name in ("encoder_signal", "mask", "length")
        }
        arrays |= {"parts": None, "columns": False}  # what is measured has them
        peaks = [p for e in examined for p in e.r_peaks]
        measurements = [m for e in examined for m in e.measurements]
        metadata = [e.metadata for e in examined for _ in e.measurements]
        rhythm, beats = self.embed_prepared(replace(examined[0].prepared, **arrays), peaks, measurements, metadata)
        embeddings, end = [], 0
        for e in examined:
            start, end = end, end + len(e.measurements)
            values = {f.name: getattr(e, f.name) for f in fields(Examined)}
            embeddings.append(Embedding(**values, rhythm=rhythm[start:end], beats=tuple(beats[start:end])))
        return embeddings

    def embed_prepared(
        self,
        prepared: Prepared,
        peaks: Sequence[np.ndarray],
        measurements: Sequence[Measurement],
        metadata: Sequence[Mapping[str, Any]],
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Embed prepared windows.

        Parameters
        ----------
        prepared
            At least one window.
        peaks
            R peaks of each window, samples at 100 Hz.
        measurements
            Measurements of each window.
        metadata
            Metadata of each window's ECG; only a model that reads age and sex looks at them.

        Returns
        -------
        rhythm : float32 (windows, dim)
            Of unit length.
        beats
            For each window float32 (its R peaks, dim), of unit length.
        """
        batches = [slice(i, i + BATCH) for i in range(0, len(peaks), BATCH)]
        rhythm, beats = [], []
        known = metadata if self.config.ecg.demographics else None
        inputs = tuple(encoder_inputs(prepared, peaks, measurements, known).values())
        for rows, features in zip(batches, self.encode_windows(inputs, batches), strict=True):
            rhythm.append(features.rhythm.float().cpu().numpy())
            padded = features.beats.float().cpu().numpy()
            beats += [vectors[: len(p)].copy() for vectors, p in zip(padded, peaks[rows], strict=True)]
        return np.concatenate(rhythm), beats

    @torch.inference_mode()
    def encode_windows(
        self, inputs: Sequence[np.ndarray], batches: Iterable[slice | np.ndarray]
    ) -> Iterator[ECGFeatures]:
        """Run the ECG encoder over windows, batch by batch.

        Parameters
        ----------
        inputs
            Arrays with a row for each window: signal (n, 12, samples), mV at the encoder's rate; lead mask bool
            (n, 12); R peaks (n, beats), s, padded with NaN; length int (n,), samples; and, if they are to be used,
            measurements (n, values) as of `ecgclip.networks.measurements.input_names`.
        batches
            Rows of each batch.

        Yields
        ------
        ECGFeatures
            All that the encoder gives for a batch, on the model's device.
        """
        for rows in batches:
            placed = [self._placed(array[rows]) for array in inputs]
            half = self.dtype == torch.float16
            with torch.autocast(self.device.type, torch.float16) if half else nullcontext():
                features = self.ecg(*placed)
            if half and not features.rhythm.isfinite().all():  # volts, by a wrong unit, overflow
                features = self.ecg(*placed)
            yield features

    def _placed(self, array: np.ndarray) -> Tensor:
        """Return an array as a tensor on the model's device; floating point numbers in its precision."""
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        return tensor.to(self.device, self._example.dtype if tensor.is_floating_point() else None)

    # --- texts --------------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def embed_text(self, texts: str | Iterable[str], batch: int = 128) -> np.ndarray:
        """Embed one text or several, English or German.

        Parameters
        ----------
        texts
            In any wording.
        batch
            How many the text encoder gets at once.

        Returns
        -------
        float32 (texts, dim)
            Of unit length, in the space of the ECGs.
        """
        many = [texts] if isinstance(texts, str) else list(texts)
        encoder = self.build_text()
        tokens = (self.tokenizer(many[i : i + batch]) for i in range(0, len(many), batch))
        parts = [encoder(ids.to(self.device), mask.to(self.device)).float().cpu().numpy() for ids, mask in tokens]
        return np.concatenate(parts) if parts else np.zeros((0, self.config.text.dim), np.float32)

    def plain_vectors(self, labels: list[str], languages: list[str] | None = None) -> np.ndarray:
        """Embed labels in the plain templates of prompts/templates.yaml, without the knowledge base.

        Parameters
        ----------
        labels
            As they are put into the templates.
        languages
            "en" or "de" for each label; None: English.

        Returns
        -------
        float32 (labels, dim)
            The mean over the templates, of unit length.
        """
        languages = languages or ["en"] * len(labels)
        texts = [
            [template.format(label) for template in prompt_settings()["plain"][language]]
            for label, language in zip(labels, languages, strict=True)
        ]
        vectors = self.embed_text([text for row in texts for text in row])
        ends = np.cumsum([len(row) for row in texts])
        return np.stack([unit(v.mean(0)) for v in np.split(vectors, ends[:-1])]) if labels else vectors


@contextmanager
def _threads_beside(workers: int) -> Iterator[None]:
    """Leave cores to the processes that measure: threads of torch wait for each other, and so for the slowest core."""
    threads = torch.get_num_threads()
    if workers > 1:
        torch.set_num_threads(max(1, threads - workers))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _read(record: Record) -> ECG:
    return record if isinstance(record, ECG) else read_ecg(record)


def _halved(tensor: Tensor) -> Tensor:
    """Return a matrix in half precision if that loses nothing; anything else as it is."""
    if tensor.ndim < 2 or tensor.dtype != torch.float32:
        return tensor
    half = tensor.half()
    return half if torch.equal(half.float(), tensor) else tensor
