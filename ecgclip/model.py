"""The model: ECG and text encoders in one space, the knowledge base's vectors, and what users ask of them.

record ─prepare─▶ windows ─ECG encoder─▶ vectors ─┐
label ─knowledge base─▶ prompts ─text encoder─▶ vector ─┴▶ similarity ─calibration─▶ probability
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np
import torch
from torch import Tensor, nn

from ecgclip.assets import asset_path
from ecgclip.beats import r_peaks
from ecgclip.ecg import ECG, EcgclipError, read_ecg
from ecgclip.encoder import ECGConfig, ECGEncoder, ECGFeatures
from ecgclip.files import write_atomic
from ecgclip.knowledge import Concept, KnowledgeBase, Passage, load_label_set
from ecgclip.measure import Measurement, measure_windows
from ecgclip.measure import features as measurement_features
from ecgclip.prepare import SAMPLING_RATE, Prepared, prepare
from ecgclip.text import TextConfig, TextEncoder, Tokenizer, load_tokenizer

DEFAULT_WEIGHTS = "weights"
JOINED = re.compile(r"\s*[,;+&]\s*|\s+(?:with|and|plus|mit|und)\s+", re.IGNORECASE)  # between conditions of a search
DENIAL = re.compile(r"no (?!.*, or )", re.IGNORECASE)  # a criterion that begins so, and offers nothing else, denies
MAX_LABEL = 500  # characters; a longer text is no label
FILES = ("config.json", "model.safetensors", "vectors.safetensors")

Record: TypeAlias = str | os.PathLike | ECG  # a WFDB header by its path, or what was read from one


@dataclass(frozen=True)
class Calibration:
    """similarity → probability for any label: a logistic curve of the similarity and of how unusual it is in the bank.

    Fitted on the validation split over all labels at once, so that it also holds for a label never seen.
    """

    weights: tuple[float, ...] = (0.0, 1.0, 0.0, 0.0)
    bias: float = -2.0

    def features(self, similarity: np.ndarray, bank: np.ndarray) -> np.ndarray:
        """similarity (n, labels), bank (m, labels) similarities of the reference ECGs → (n, labels, 4)."""
        mean, sd = bank.mean(0), bank.std(0) + 1e-6
        below = [np.searchsorted(b, s) for b, s in zip(np.sort(bank, 0).T, similarity.T, strict=True)]
        rank = np.stack(below, 1) / max(len(bank), 1)  # share of the bank that is less similar
        columns = [similarity, (similarity - mean) / sd, rank, np.broadcast_to(mean, similarity.shape)]
        return np.stack(columns, -1)

    def __call__(self, similarity: np.ndarray, bank: np.ndarray) -> np.ndarray:
        return self.curve(self.features(similarity, bank))

    def curve(self, features: np.ndarray) -> np.ndarray:
        """features (…, 4) → probability (…)."""
        return 1 / (1 + np.exp(-(features @ np.array(self.weights) + self.bias)))


@dataclass(frozen=True)
class Prompt:
    """What a label became: the text vector asked with, and where it came from."""

    label: str
    vector: np.ndarray  # float32 (dim,)
    concept: Concept | None
    passages: tuple[Passage, ...]
    note: str = ""


@dataclass(frozen=True)
class Score:
    """One label's answer for one record."""

    label: str
    concept: str | None  # id in the knowledge base
    probability: float
    similarity: float
    passages: tuple[Passage, ...] = ()
    window_similarity: tuple[float, ...] = ()
    beat_similarity: tuple[tuple[float, ...], ...] = ()  # for each window, for each R peak
    note: str = ""


@dataclass(frozen=True)
class Result:
    """The scores of one record, in the order asked for; `result["AF"]` finds one by its label."""

    record: str
    leads: tuple[str, ...]
    windows: tuple[float, ...]  # start of each, s
    scores: tuple[Score, ...]
    notes: tuple[str, ...] = ()

    def __getitem__(self, label: str) -> Score:
        for score in self.scores:
            if score.label == label:
                return score
        raise KeyError(label)

    def to_dict(self) -> dict[str, Any]:
        """The JSON contract of `ecgclip classify --format json`."""
        keys = ("label", "concept", "probability", "similarity")
        return {
            "record": self.record,
            "leads": list(self.leads),
            "windows": list(self.windows),
            "scores": [{k: getattr(s, k) for k in keys} for s in self.scores],
        }


@dataclass(frozen=True)
class Embedding:
    """One record's vectors. rhythm float32 (windows, dim); beats: for each window (beats, dim)."""

    prepared: Prepared
    leads: tuple[str, ...]
    record: str
    rhythm: np.ndarray
    beats: tuple[np.ndarray, ...]
    r_peaks: tuple[np.ndarray, ...]  # samples at 100 Hz
    measurements: tuple[Measurement, ...]  # of each window
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Statements:
    """What like ECGs are told by: n conditions that a model was trained on."""

    vectors: np.ndarray  # float32 (n, dim), the enriched prompts
    bank: np.ndarray  # (reference ECGs, n), similarities
    usual: np.ndarray  # (n,), mean probability of the reference ECGs
    classes: np.ndarray  # bool (n,): a diagnostic class of PTB-XL's five


@dataclass(frozen=True)
class ModelConfig:
    """Everything needed to rebuild the network, saved as config.json beside the weights."""

    ecg: ECGConfig = ECGConfig()
    text: TextConfig = TextConfig()
    calibration: Calibration = Calibration()
    untrained: Calibration | None = None  # of conditions that training never had; None: the same curve
    floor: float = 0.88  # nearest passages below this cosine do not make a label known
    threshold: float = 0.5  # a description says what is at least so probable; chosen on the validation split
    training: dict[str, Any] = field(default_factory=dict)  # recipe, seed, data and code version

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> ModelConfig:
        ecg = dict(stored["ecg"])
        ecg["channels"] = tuple(ecg["channels"])
        known, untrained = (
            stored["calibration"],
            stored.get("untrained"),
        )  # models of version 0.1.0 lack the second curve …
        return cls(
            ecg=ECGConfig(**ecg),
            text=TextConfig.from_dict(stored["text"]),
            calibration=Calibration(tuple(known["weights"]), known["bias"]),
            untrained=Calibration(tuple(untrained["weights"]), untrained["bias"]) if untrained else None,
            floor=stored["floor"],
            threshold=stored.get("threshold", cls.threshold),  # … and the threshold
            training=stored["training"],
        )


class ECGCLIP(nn.Module):
    """Both encoders. `load_model` gives a ready one; training builds its own."""

    def __init__(self, config: ModelConfig, tokenizer: Tokenizer, kb: KnowledgeBase):
        super().__init__()
        self.config, self.tokenizer, self.kb = config, tokenizer, kb
        self.ecg = ECGEncoder(config.ecg)
        self.text: TextEncoder | None = None  # made when text is first encoded
        self._text_state: dict[str, Tensor] = {}
        self.folder: Path | None = None  # where it was loaded from
        self.reference = np.zeros((0, config.ecg.dim), np.float32)  # ECG vectors of the training data
        self.passages: list[Passage] = []
        self.passage_vectors = np.zeros((0, config.text.dim), np.float32)

    # --- saving and loading -------------------------------------------------------------------------------------------

    def build_text(self) -> TextEncoder:
        """Raises EcgclipError where the stored weights are not those of such an encoder."""
        if self.text is None:
            text = TextEncoder(self.config.text).eval()
            if self._text_state:
                try:
                    text.load_state_dict(self._text_state)
                except RuntimeError as error:
                    problem = " ".join(str(error).split())[:120]
                    raise EcgclipError(
                        f"{self.folder}: damaged or foreign text weights ({problem}); train it again"
                    ) from None
                self._text_state = {}
            self.text = text
        return self.text

    def save(self, folder: str | Path) -> None:
        """Write config.json, model.safetensors, the tokenizer and the knowledge base's vectors into `folder`."""
        from safetensors.numpy import save as array_bytes
        from safetensors.torch import save as tensor_bytes

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        state = {k: v.detach().contiguous().clone() for k, v in self.state_dict().items()}
        state.update({f"text.{k}": v for k, v in self._text_state.items()})
        write_atomic(folder / "model.safetensors", tensor_bytes(state))
        write_atomic(folder / "config.json", json.dumps(asdict(self.config), indent=1))
        self.tokenizer.save(folder)
        if self.passages:
            vectors = {
                "passages": self.passage_vectors.astype(np.float16),
                "reference": self.reference.astype(np.float16),
            }
            write_atomic(folder / "vectors.safetensors", array_bytes(vectors))
            write_atomic(folder / "knowledge_base.json", json.dumps(self.kb.to_dict(), ensure_ascii=False))

    # --- embedding ----------------------------------------------------------------------------------------------------

    @cached_property
    def weights_sha256(self) -> str:
        """As tables of results and indexes name the weights; only of a model that was loaded."""
        return weights_hash(self.folder)

    def embed(self, record: Record) -> Embedding:
        """All vectors of one record (a path or an ECG). Raises EcgclipError if it cannot be read."""
        return self.embed_many([record if isinstance(record, ECG) else read_ecg(record)])[0]

    def embed_many(self, ecgs: Sequence[ECG]) -> list[Embedding]:
        """The same of several at once, in a third of the time each. Raises EcgclipError if one has no usable signal."""
        prepared = [prepare(ecg, self.config.ecg.sampling_rate) for ecg in ecgs]
        peaks = [[r_peaks(s[:, :n], m) for s, m, n in zip(p.signal, p.mask, p.length, strict=True)] for p in prepared]
        measured = [measure_windows(p, at) for p, at in zip(prepared, peaks, strict=True)]
        arrays: dict[str, Any] = {
            name: np.concatenate([getattr(p, name) for p in prepared]) for name in ("encoder_signal", "mask", "length")
        }
        features = self.embed_prepared(replace(prepared[0], **arrays), sum(peaks, []), sum(measured, []))
        ends = np.cumsum([len(at) for at in peaks])
        return [
            Embedding(
                prepared[i],
                ecg.leads,
                ecg.source or "",
                features.rhythm[end - len(peaks[i]) : end].numpy(),
                tuple(features.beats[end - len(peaks[i]) + row, : len(at)].numpy() for row, at in enumerate(peaks[i])),
                tuple(peaks[i]),
                tuple(measured[i]),
                tuple(ecg.notes) + tuple(prepared[i].notes),
            )
            for i, (ecg, end) in enumerate(zip(ecgs, ends.tolist(), strict=True))
        ]

    @torch.inference_mode()
    def embed_prepared(
        self, prepared: Prepared, peaks: Sequence[np.ndarray], measured: Sequence[Measurement], batch: int = 64
    ) -> ECGFeatures:
        """The encoder's features of prepared windows; for each, peaks: R peaks, samples at 100 Hz, and the measurement."""
        most = max(map(len, peaks), default=0)
        seconds = np.full((len(peaks), max(most, 1)), np.nan, np.float32)
        for row, p in zip(seconds, peaks, strict=True):
            row[: len(p)] = p / SAMPLING_RATE
        length = np.rint(np.asarray(prepared.length) * (self.config.ecg.sampling_rate / SAMPLING_RATE)).astype(np.int64)
        parts = [
            self.ecg(
                torch.from_numpy(prepared.encoder_signal[i : i + batch]),
                torch.from_numpy(prepared.mask[i : i + batch]),
                torch.from_numpy(seconds[i : i + batch]),
                torch.from_numpy(length[i : i + batch]),
                torch.from_numpy(np.stack([measurement_features(m) for m in measured[i : i + batch]])),
            )
            for i in range(0, len(peaks), batch)
        ]
        return ECGFeatures.cat(parts)

    def embed_ecg(self, records: Record | Iterable[Record]) -> np.ndarray:
        """One record or many → float32 (n, dim) of unit length; a longer record is the mean of its windows."""
        many = [records] if isinstance(records, Record) else list(records)
        if not many:
            return np.zeros((0, self.config.ecg.dim), np.float32)
        vectors = np.stack([self.embed(r).rhythm.mean(0) for r in many])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    @torch.inference_mode()
    def embed_text(self, texts: str | Iterable[str], batch: int = 128) -> np.ndarray:
        """One text or many, English or German → float32 (n, dim) of unit length, in the space of the ECGs."""
        many = [texts] if isinstance(texts, str) else list(texts)
        encoder = self.build_text()
        device = next(encoder.parameters()).device
        tokens = (self.tokenizer(many[i : i + batch]) for i in range(0, len(many), batch))
        parts = [encoder(ids.to(device), mask.to(device)).cpu().numpy() for ids, mask in tokens]
        return np.concatenate(parts) if parts else np.zeros((0, self.config.text.dim), np.float32)

    # --- labels -------------------------------------------------------------------------------------------------------

    def set_knowledge(self, kb: KnowledgeBase) -> None:
        """Embed every passage of `kb`; names and aliases in the plain templates, the rest as they stand."""
        self.kb, self.passages = kb, kb.passages
        plain = [p for p in kb.passages if p.kind in ("name", "alias")]
        vectors = dict(
            zip(map(id, plain), self.plain_vectors([p.text for p in plain], [p.language for p in plain]), strict=True)
        )
        rest = [p for p in kb.passages if id(p) not in vectors]
        vectors.update(zip(map(id, rest), self.embed_text([p.text for p in rest]), strict=True))
        self.passage_vectors = np.stack([vectors[id(p)] for p in kb.passages])
        for name in ("_by_concept", "_plain", "_index", "_statements"):
            self.__dict__.pop(name, None)

    def plain_vectors(self, labels: list[str], languages: list[str] | None = None) -> np.ndarray:
        """Labels as they stand, in the plain templates → (n, dim), the mean of the templates' unit vectors made unit again."""
        languages = languages or ["en"] * len(labels)
        texts = [
            [t.format(label) for t in prompt_settings()["plain"][lang]]
            for label, lang in zip(labels, languages, strict=True)
        ]
        vectors = self.embed_text([t for row in texts for t in row])
        ends = np.cumsum([len(row) for row in texts])
        return np.stack([_unit(v.mean(0)) for v in np.split(vectors, ends[:-1])]) if labels else vectors

    @cached_property
    def _by_concept(self) -> dict[str, list[int]]:
        rows: dict[str, list[int]] = {}
        for i, passage in enumerate(self.passages):
            rows.setdefault(passage.concept, []).append(i)
        return rows

    @cached_property
    def _plain(self) -> dict[str, int]:
        return {p.text: i for i, p in reversed(list(enumerate(self.passages))) if p.kind in ("name", "alias")}

    @cached_property
    def _index(self) -> Any:
        import faiss

        index = faiss.IndexFlatIP(self.passage_vectors.shape[1])
        index.add(np.ascontiguousarray(self.passage_vectors, np.float32))
        return index

    def nearest_passages(self, vector: np.ndarray, k: int = 5) -> list[tuple[Passage, float]]:
        """The k passages of the knowledge base closest to a text vector, by FAISS, with their cosine."""
        cosines, rows = self._index.search(vector[None].astype(np.float32), k)
        return [(self.passages[i], float(c)) for i, c in zip(rows[0], cosines[0], strict=True) if i >= 0]

    def concept_vector(self, concept: str, shares: dict[str, float] | None = None) -> np.ndarray:
        """The enriched prompt of a concept: its kinds of passages, each averaged, then weighted by `shares` (None: as in
        prompts/templates.yaml).

        A criterion that denies ("no P waves …") counts against: a text encoder hears what is denied, not that it is.
        """
        groups: dict[str, list[np.ndarray]] = {}
        for i in self._by_concept[concept]:
            passage = self.passages[i]
            kind = {"alias": "name"}.get(passage.kind, passage.kind)
            denies = kind == "criterion" and DENIAL.match(passage.text)
            groups.setdefault(kind, []).append(-self.passage_vectors[i] if denies else self.passage_vectors[i])
        if shares is None:
            trained = self.config.training.get("concepts")
            shares = prompt_settings()["enrich" if trained is None or concept in trained else "enrich_untrained"]
        parts = [share * _unit(np.mean(groups[kind], 0)) for kind, share in shares.items() if kind in groups]
        return _unit(np.sum(parts, 0))

    def prompt(self, label: str, enrich: bool = True, concept: str | None = None) -> Prompt:
        """A label → the vector to ask with. `concept` (an id) overrules the lookup, as label sets do.

        Raises EcgclipError for a label that is empty or too long.
        """
        if not label.strip():
            raise EcgclipError("an empty label: give a condition in words, or one of `ecgclip kb list`")
        if len(label) > MAX_LABEL:
            raise EcgclipError(
                f"a label of {len(label):,} characters ({label[:30]}…): at most {MAX_LABEL}; search for parts of it"
            )
        if concept and concept not in self.kb.concepts:
            raise EcgclipError(f"label {label!r} stands for {concept!r}, which is not in the knowledge base")
        found = self.kb.concepts[concept] if concept else self.kb.find(label)
        note = ""
        if not enrich:
            row = self._plain.get(label)
            vector = self.passage_vectors[row] if row is not None else self.plain_vectors([label])[0]
            return Prompt(label, vector, None, (), "plain prompt")
        if found is None:
            vector = self.plain_vectors([label])[0]
            near = [(p, c) for p, c in self.nearest_passages(vector) if c >= self.config.floor and p.kind != "negation"]
            if not near:
                return Prompt(label, vector, None, (), "not in the knowledge base: plain prompt")
            found = self.kb.concepts[near[0][0].concept]
            note = f"nearest in the knowledge base: {found.name} (cosine {near[0][1]:.2f})"
            # the user's own words keep half the say, as they may be narrower than the concept
            return Prompt(label, _unit(vector + self.concept_vector(found.id)), found, tuple(p for p, _ in near), note)
        shown = tuple(p for p in found.passages if p.kind in ("definition", "criterion") and p.language == "en")
        return Prompt(label, self.concept_vector(found.id), found, shown, note)

    def query(self, text: str) -> list[Prompt]:
        """A search in words → its conditions as prompts: "inferior infarct with AV block" asks for two things at once.

        Raises EcgclipError for a text that is empty or too long.
        """
        parts = [part.strip() for part in JOINED.split(text) if part.strip()]
        if len(parts) < 2 or self.kb.find(text):  # a condition known as it stands, whatever words are in it
            parts = [text.strip()]
        return [self.prompt(part) for part in parts]

    @overload
    def classify(
        self,
        record: Record,
        labels: Sequence[str] | None = None,
        *,
        top: int | None = None,
        enrich: bool = True,
        softmax: bool = False,
        concepts: dict[str, str] | None = None,
    ) -> Result: ...

    @overload
    def classify(
        self,
        record: list[Any],  # of Record; no Sequence, as a path is one too
        labels: Sequence[str] | None = None,
        *,
        top: int | None = None,
        enrich: bool = True,
        softmax: bool = False,
        concepts: dict[str, str] | None = None,
    ) -> list[Result]: ...

    def classify(
        self,
        record: Record | Sequence[Record],
        labels: Sequence[str] | None = None,
        *,
        top: int | None = None,
        enrich: bool = True,
        softmax: bool = False,
        concepts: dict[str, str] | None = None,
    ) -> Result | list[Result]:
        """Score a record (or several) for labels in words.

        labels None: every concept of the knowledge base, best first. top: keep the n most probable. softmax: probabilities
        over the labels sum to one, for those who ask for exactly one. concepts: label → concept id, as label sets fix it.
        Raises EcgclipError on a bad record, or an empty or duplicate label.
        """
        prompts = self.prompts(labels, enrich=enrich, concepts=concepts)
        many = [record] if isinstance(record, Record) else record
        ranked = labels is None or top is not None
        results = [self.score(self.embed(r), prompts, softmax=softmax) for r in many]
        if ranked:
            results = [
                replace(r, scores=tuple(sorted(r.scores, key=lambda s: -s.probability)[: top or len(r.scores)]))
                for r in results
            ]
        return results[0] if isinstance(record, Record) else results

    def prompts(
        self, labels: Sequence[str] | None, *, enrich: bool = True, concepts: dict[str, str] | None = None
    ) -> list[Prompt]:
        """Labels → prompts; None: one for each concept. Raises EcgclipError on no label, an empty one or one given twice."""
        if isinstance(labels, str):
            labels = [labels]
        if labels is not None and not labels:
            raise EcgclipError("no labels: give at least one, or leave them out for the whole knowledge base")
        if labels is None:
            return [self.prompt(c.name, enrich) for c in self.kb.concepts.values() if c.category != "beat"]
        seen: set[str] = set()
        for label in labels:
            if label.strip().casefold() in seen:
                raise EcgclipError(f"label {label!r} is given twice")
            seen.add(label.strip().casefold())
        return [self.prompt(label.strip(), enrich, (concepts or {}).get(label)) for label in labels]

    @cached_property
    def _statements(self) -> Statements | None:
        """Those of the concepts trained on; None of a model that does not say which they were."""
        concepts = [c for c in self.config.training.get("concepts", ()) if c in self.kb.concepts]
        if not concepts:
            return None
        vectors = np.stack([self.concept_vector(c) for c in concepts])
        bank = self.reference @ vectors.T
        classes = np.isin(concepts, list(load_label_set("ptb-xl-super")["labels"].values()))
        return Statements(vectors, bank, self.config.calibration(bank, bank).mean(0), classes)

    def like(self, rhythm: np.ndarray) -> np.ndarray:
        """An ECG's vector (dim,) → the unit vector to search its like with: its statements, by how much more probable they are than usual.

        Vectors lie close by rate and shape, too; who asks for similar cases means the diagnoses. Of a model that does not say which
        concepts it was trained on, the vector itself.
        """
        if (known := self._statements) is None:
            return rhythm
        probability = self.config.calibration(rhythm[None] @ known.vectors.T, known.bank)[0]
        return _unit((probability - known.usual) @ known.vectors)

    def likeness(self, ecgs: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Vectors of ECGs (m, dim) and of others (n, dim) → how much each two should have in common, (m, n) from 0 to 1.

        The mean of two expectations: that both show a condition of one diagnostic class (of PTB-XL's five, normal among them), and the
        share of all their statements that they share (Jaccard). Cosines, of a model that does not say which concepts it was trained on.
        """
        if (known := self._statements) is None:
            return ecgs @ others.T
        probability = self.config.calibration(np.vstack([ecgs, others]) @ known.vectors.T, known.bank)
        mine, theirs = probability[: len(ecgs)], probability[len(ecgs) :]
        both = mine @ theirs.T  # statements that both are expected to have
        apart = np.ones_like(both)  # the chance that they share no class
        for c in np.flatnonzero(known.classes):
            apart *= 1 - np.outer(mine[:, c], theirs[:, c])
        return ((1 - apart) + both / (mine.sum(1)[:, None] + theirs.sum(1) - both)) / 2

    def score(self, embedding: Embedding, prompts: Sequence[Prompt], softmax: bool = False) -> Result:
        """Compare one record's vectors with prompts. Windows are pooled by their mean similarity and stay visible."""
        vectors = np.stack([p.vector for p in prompts])
        by_window = embedding.rhythm @ vectors.T  # (windows, labels)
        similarity = by_window.mean(0)
        probability = self.config.calibration(similarity[None], self.reference @ vectors.T)[0]
        if softmax:
            odds = probability / (1 - probability).clip(1e-9)
            probability = odds / odds.sum()
        beats = [b @ vectors.T for b in embedding.beats]
        scores = [
            Score(
                p.label,
                p.concept.id if p.concept else None,
                float(probability[j]),
                float(similarity[j]),
                p.passages,
                tuple(by_window[:, j].tolist()),
                tuple(tuple(b[:, j].tolist()) for b in beats),
                p.note,
            )
            for j, p in enumerate(prompts)
        ]
        windows = tuple(float(s) for s in embedding.prepared.start_s)
        return Result(embedding.record, embedding.leads, windows, tuple(scores), embedding.notes)

    def lead_evidence(self, embedding: Embedding, prompts: Sequence[Prompt]) -> np.ndarray:
        """What each lead adds to the similarity: it less what it is with that lead masked, float32 (labels, 12).

        The mean over the windows; NaN for a lead that is masked anyway, or is the only one.
        """
        vectors = np.stack([p.vector for p in prompts])
        prepared = embedding.prepared
        evidence = np.full((len(prompts), prepared.mask.shape[1]), np.nan, np.float32)
        for lead in range(evidence.shape[1]):
            rest = prepared.mask & (np.arange(evidence.shape[1]) != lead)
            rows = np.flatnonzero(prepared.mask[:, lead] & rest.any(1))
            if len(rows):
                part = {k: getattr(prepared, k)[rows] for k in ("signal", "encoder_signal", "length")}
                fewer = replace(prepared, mask=rest[rows], **part)
                peaks = [embedding.r_peaks[i] for i in rows]
                without = self.embed_prepared(fewer, peaks, measure_windows(fewer, peaks)).rhythm.numpy()
                evidence[:, lead] = ((embedding.rhythm[rows] - without) @ vectors.T).mean(0)
        return evidence


def prompt_settings() -> dict[str, Any]:
    """prompts/templates.yaml."""
    import yaml

    if not _SETTINGS:
        _SETTINGS.update(yaml.safe_load(asset_path("prompts/templates.yaml").read_text(encoding="utf-8")))
    return _SETTINGS


_SETTINGS: dict[str, Any] = {}


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def load_model(name: str | Path | None = None, knowledge_base: str | Path | None = None) -> ECGCLIP:
    """The shipped weights; or those of a folder, or of a Hugging Face repo id ("owner/name").

    knowledge_base: a folder of one's own instead of the shipped one; its passages are then embedded anew.
    Raises EcgclipError where files are missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file as load_arrays
    from safetensors.torch import load_file

    folder = _weights_folder(name)
    try:
        config = ModelConfig.from_dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        state = load_file(folder / "model.safetensors")
        text = {k.removeprefix("text."): state.pop(k) for k in list(state) if k.startswith("text.")}
        kb = KnowledgeBase.load(knowledge_base, compiled=folder / "knowledge_base.json")
        model = ECGCLIP(config, load_tokenizer(folder, config.text), kb)
        # models of version 0.1.0 also had a caption decoder
        model.load_state_dict({k: v for k, v in state.items() if not k.startswith("caption.")})
        model._text_state, model.folder = text, folder
        vectors = load_arrays(folder / "vectors.safetensors")
        model.reference = vectors["reference"].astype(np.float32)
    except EcgclipError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        problem = str(error).splitlines()[0][:120]
        raise EcgclipError(
            f"{folder}: damaged or foreign weights ({problem}); reinstall ecgclip or give another --model"
        ) from None
    model.eval()
    stored = folder / "knowledge_base.json"
    same = stored.exists() and json.loads(stored.read_text(encoding="utf-8"))["digest"] == kb.digest
    if same and len(vectors.get("passages", ())) == len(kb.passages):
        model.passages = kb.passages
        model.passage_vectors = vectors["passages"].astype(np.float32)
    else:
        model.set_knowledge(kb)
    return model


def _weights_folder(name: str | Path | None) -> Path:
    if name is None:
        return asset_path(DEFAULT_WEIGHTS)
    folder = Path(name)
    if folder.is_dir():
        if missing := [f for f in FILES if not (folder / f).exists()]:
            raise EcgclipError(f"{folder}: no model here ({', '.join(missing)} missing)")
        return folder
    if str(name).count("/") != 1 or folder.exists():
        raise EcgclipError(f"{name}: neither a folder with a model nor a Hugging Face repo id (owner/name)")
    from huggingface_hub import snapshot_download

    try:
        # never *.bin or *.pt: those are pickles
        patterns = ["*.json", "*.safetensors", "*.model", "*.txt", "tokenizer/*"]
        return Path(snapshot_download(str(name), allow_patterns=patterns))
    except Exception as error:  # whatever the hub's client raises, the user needs one line
        raise EcgclipError(
            f"{name}: not to be had from the Hugging Face hub ({str(error).splitlines()[0][:100]})"
        ) from None


def weights_hash(folder: str | Path | None = None) -> str:
    """SHA-256 of model.safetensors, as tables of results name it."""
    return hashlib.sha256((_weights_folder(folder) / "model.safetensors").read_bytes()).hexdigest()
