"""Vectors of a data set's records and heartbeats."""

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
from ecgclip.io.wfdb import read_ecg
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.results import Embedding
from ecgclip.networks.encoder import ECGEncoder
from ecgclip.prepare import SAMPLING_RATE

BATCH = 32  # ECGs embedded at once


def mean_vectors(
    models: Sequence[ECGCLIP], cases: Sequence[Case], leads: Sequence[str] | None = None
) -> tuple[list[np.ndarray], list[Case]]:
    """For each model the records' rhythm vectors, the mean of the windows, float32 (records, dim); and the cases read.

    A record is read, prepared and measured once for all of the models, which differ in weights alone.
    """
    rows: list[list[np.ndarray]] = [[] for _ in models]
    kept: list[Case] = []
    for batch, embeddings in embedded(models[0], cases, leads):
        kept += batch
        for row, model in zip(rows, models, strict=True):
            again = embeddings if model is models[0] else model.encode(embeddings)
            row += [e.vector for e in again]
    return [np.stack(row) for row in rows], kept


def beat_vectors(
    models: Sequence[ECGCLIP], cases: Sequence[Case], leads: Sequence[str] | None = None
) -> tuple[list[np.ndarray], list[Case]]:
    """As `mean_vectors`, of the heartbeats in stretches of at most one window: float32 (beats, dim), and a case for each.

    Scored are the annotated beats for which an R peak was found within 150 ms, the tolerance of ANSI/AAMI EC57.
    """
    rows: list[list[np.ndarray]] = [[] for _ in models]
    kept: list[Case] = []
    for batch, embeddings in embedded(models[0], cases, leads):
        matches = [_matched(c, e) for c, e in zip(batch, embeddings, strict=True)]
        for case, matched in zip(batch, matches, strict=True):
            for _, (at, kind) in matched:
                kept.append(replace(case, annotated=frozenset({kind}), start_s=case.start_s + at, beats=()))
        for row, model in zip(rows, models, strict=True):
            again = embeddings if model is models[0] else model.encode(embeddings)
            row += [e.beats[0][i] for e, matched in zip(again, matches, strict=True) for i, _ in matched]
    if not kept:
        raise EcgclipError("no R peak was found at an annotated beat")
    return [np.stack(row) for row in rows], kept


def _matched(case: Case, embedding: Embedding) -> list[tuple[int, tuple[float, str]]]:
    """Each annotated beat of a case near which there is an R peak, with the index of that."""
    nearest = match_beats(np.array([at for at, _ in case.beats]), embedding.r_peaks[0] / SAMPLING_RATE)
    return [(int(peak), beat) for peak, beat in zip(nearest, case.beats, strict=True) if peak >= 0]


def embed_cases(
    model: ECGCLIP, cases: list[Case], leads: Sequence[str] | None = None
) -> tuple[list[Embedding], list[Case]]:
    """Read and embed every case; those that cannot be read are left out, with a line on stderr."""
    batches = list(embedded(model, cases, leads))
    return [e for _, embeddings in batches for e in embeddings], [c for kept, _ in batches for c in kept]


def embedded(
    model: ECGCLIP, cases: Sequence[Case], leads: Sequence[str] | None = None
) -> Iterator[tuple[list[Case], list[Embedding]]]:
    """Batches of cases with their embeddings; a record that cannot be read is left out, with a line on stderr."""
    from rich.console import Console
    from rich.progress import track

    last: dict[str, ECG] = {}  # of which the next case may be another stretch
    some = False

    def read(case: Case) -> ECG:
        nonlocal last
        if case.path not in last:
            last = {case.path: read_ecg(case.path)}
        ecg = last[case.path].between(case.start_s, case.stop_s)
        return select_leads(ecg, leads) if leads else ecg

    for first in track(range(0, len(cases), BATCH), "embedding", console=Console(stderr=True)):
        kept, embeddings = [], []
        for case, found in model.embed_each(cases[first : first + BATCH], read):
            if isinstance(found, EcgclipError):
                print(f"left out: {found}", file=sys.stderr)
            elif isinstance(found, Exception):
                raise found
            else:
                kept.append(case)
                embeddings.append(found)
        some = some or bool(kept)
        yield kept, embeddings
    if not some:
        raise EcgclipError("no record of the data set could be read")


def select_leads(ecg: ECG, leads: Sequence[str]) -> ECG:
    """The same ECG with only these of its leads."""
    rows = [i for i, lead in enumerate(ecg.leads) if lead in leads]
    if not rows:
        raise EcgclipError(f"{ecg.source}: has none of the leads {', '.join(leads)}")
    return ECG(ecg.signal[rows], ecg.sampling_rate, tuple(ecg.leads[i] for i in rows), ecg.metadata, ecg.source)


def random_encoder(model: ECGCLIP, seed: int) -> ECGCLIP:
    """The same network with freshly drawn ECG weights: what the architecture and the text alone can do."""
    torch.manual_seed(seed)
    other = copy.copy(model)
    encoder = ECGEncoder(model.config.ecg).eval()
    if encoder.measured is not None and model.ecg.measured is not None:
        # the scale of the measurements is no weight: nothing but ones and zeros without it
        for name, scale in model.ecg.measured.named_buffers():
            setattr(encoder.measured, name, scale)
    encoder.signal_weight = model.ecg.signal_weight
    other._modules = {**model._modules, "ecg": encoder}
    return other
