"""The vectors of a data set's records and heartbeats, by a model and by the random encoder beside it."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from ecgclip.data.beats import match_beats
from ecgclip.data.cases import Case
from ecgclip.ecg import ECG, EcgclipError
from ecgclip.io.read import read_ecg
from ecgclip.knowledge.criteria import Readings
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.results import Embedding
from ecgclip.networks.encoder import ECGEncoder
from ecgclip.prepare import SAMPLING_RATE

BATCH = 64  # ECGs embedded at once


def mean_vectors(
    models: Sequence[ECGCLIP], cases: Sequence[Case], leads: Sequence[str] | None = None
) -> tuple[list[np.ndarray], Readings, list[Case]]:
    """The rhythm vector of each record by each model, and what was measured in it.

    Parameters
    ----------
    models
        Models that differ in weights alone: a record is read, prepared and measured once for all of them.
    leads
        Only these are shown to the models; None: all.

    Returns
    -------
    vectors : list of arrays
        For each model float32 (records, dim), the mean over the windows of a record, of unit length.
    readings : Readings
        Of the same records, for the criteria.
    cases : list of Case
        The records that could be read.
    """
    vectors: list[list[np.ndarray]] = [[] for _ in models]
    measured: list[Readings] = []
    read: list[Case] = []
    for batch, by_model in embed_batches(models, cases, leads):
        read += batch
        measured += [Readings.of_examined(e) for e in by_model[0]]
        for rows, embeddings in zip(vectors, by_model, strict=True):
            rows += [e.vector for e in embeddings]
    return [np.stack(rows) for rows in vectors], Readings.stack(measured), read


def beat_vectors(
    models: Sequence[ECGCLIP], cases: Sequence[Case], leads: Sequence[str] | None = None
) -> tuple[list[np.ndarray], list[Case]]:
    """The vector of each annotated heartbeat that has an R peak within 150 ms, by each model.

    Parameters
    ----------
    models, leads
        As of `mean_vectors`.
    cases
        Records with annotated beats, or stretches of them, none longer than one window.

    Returns
    -------
    vectors : list of arrays
        For each model float32 (beats, dim), of unit length.
    beats : list of Case
        A case for each beat, annotated with its kind alone.

    Raises
    ------
    EcgclipError
        Where no annotated beat has an R peak.
    """
    vectors: list[list[np.ndarray]] = [[] for _ in models]
    beats: list[Case] = []
    for batch, by_model in embed_batches(models, cases, leads):
        matches = [_matched(c, e) for c, e in zip(batch, by_model[0], strict=True)]
        for case, matched in zip(batch, matches, strict=True):
            for _, (at_s, kind) in matched:
                beats.append(replace(case, annotated=frozenset({kind}), start_s=case.start_s + at_s, beats=()))
        for rows, embeddings in zip(vectors, by_model, strict=True):
            rows += [e.beats[0][i] for e, matched in zip(embeddings, matches, strict=True) for i, _ in matched]
    if not beats:
        raise EcgclipError("no R peak was found at an annotated beat")
    return [np.stack(rows) for rows in vectors], beats


def _matched(case: Case, embedding: Embedding) -> list[tuple[int, tuple[float, str]]]:
    """Each annotated beat of a case that has an R peak, with the index of the nearest one (`match_beats`)."""
    nearest = match_beats(np.array([at_s for at_s, _ in case.beats]), embedding.r_peaks[0] / SAMPLING_RATE)
    return [(int(peak), beat) for peak, beat in zip(nearest, case.beats, strict=True) if peak >= 0]


def embed_cases(model: ECGCLIP, cases: Sequence[Case]) -> tuple[list[Embedding], list[Case]]:
    """The embeddings of all cases that can be read, and these cases; the others are named on stderr."""
    batches = list(embed_batches([model], cases))
    return [e for _, (embeddings,) in batches for e in embeddings], [c for read, _ in batches for c in read]


def embed_batches(
    models: Sequence[ECGCLIP], cases: Sequence[Case], leads: Sequence[str] | None = None
) -> Iterator[tuple[list[Case], list[list[Embedding]]]]:
    """Embed the cases in batches, with a progress bar on stderr.

    Parameters
    ----------
    models, leads
        As of `mean_vectors`.

    Yields
    ------
    list of Case, list of list of Embedding
        The cases of a batch that could be read, and for each model their embeddings. Those that cannot be read are
        named on stderr.

    Raises
    ------
    EcgclipError
        At the end, where no case could be read.
    """
    from rich.console import Console
    from rich.progress import track

    read, any_read = _Reader(leads), False
    for first in track(range(0, len(cases), BATCH), "embedding", console=Console(stderr=True)):
        batch: list[Case] = []
        embeddings: list[Embedding] = []
        for case, embedding in models[0].embed_each(cases[first : first + BATCH], read):
            if isinstance(embedding, EcgclipError):
                print(f"left out: {embedding}", file=sys.stderr)
            elif isinstance(embedding, Exception):
                raise embedding
            else:
                batch.append(case)
                embeddings.append(embedding)
        any_read = any_read or bool(batch)
        yield batch, [embeddings, *(model.encode(embeddings) for model in models[1:])]
    if not any_read:
        raise EcgclipError("no record of the data set could be read")


class _Reader:
    """Reads the ECG of a case; a file is read once for stretches of it that follow each other."""

    def __init__(self, leads: Sequence[str] | None) -> None:
        self.leads = leads
        self.last: dict[str, ECG] = {}

    def __call__(self, case: Case) -> ECG:
        last = self.last  # another thread may put another file in its place
        if case.path not in last:
            last = self.last = {case.path: read_ecg(case.path)}
        ecg = last[case.path].between(case.start_s, case.stop_s)
        return select_leads(ecg, self.leads) if self.leads else ecg


def select_leads(ecg: ECG, leads: Sequence[str]) -> ECG:
    """The same ECG with only these of its leads. Raises EcgclipError where it has none of them."""
    rows = [i for i, lead in enumerate(ecg.leads) if lead in leads]
    if not rows:
        raise EcgclipError(f"{ecg.source}: has none of the leads {', '.join(leads)}")
    return ECG(ecg.signal[rows], ecg.sampling_rate, tuple(ecg.leads[i] for i in rows), ecg.metadata, ecg.source)


def random_encoder(model: ECGCLIP, seed: int) -> ECGCLIP:
    """The same model with an ECG encoder of random weights: what the architecture and the text encoder can do alone."""
    torch.manual_seed(seed)
    other = copy.copy(model)
    encoder = ECGEncoder(model.config.ecg).eval().to(model.device)
    if encoder.measured is not None and model.ecg.measured is not None:
        # the scale of the measurements is not a weight: without it, all of them would be zeros and ones
        for name, scale in model.ecg.measured.named_buffers():
            setattr(encoder.measured, name, scale)
    encoder.signal_weight = model.ecg.signal_weight
    other._modules = {**model._modules, "ecg": encoder}
    return other
