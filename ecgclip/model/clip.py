"""The model: ECG and text encoders in one space, the knowledge base's vectors, and what users ask of them.

record ─prepare─▶ windows ─ECG encoder─▶ vectors ─┐
label ─knowledge base─▶ prompts ─text encoder─▶ vector ─┴▶ similarity ─calibration─▶ probability
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
import torch
from torch import Tensor, nn

from ecgclip.ecg import ECG, EcgclipError
from ecgclip.files import write_atomic
from ecgclip.io.wfdb import read_ecg
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.concepts import Passage
from ecgclip.knowledge.grammar import Condition, parse
from ecgclip.knowledge.label_sets import load_label_set
from ecgclip.measure.beats import find_beats
from ecgclip.measure.measurement import Measurement, measure_windows
from ecgclip.measure.recording import DECIDES, observe
from ecgclip.measure.vector import features as measurement_features
from ecgclip.model.calibration import Calibration
from ecgclip.model.prompts import (
    ABNORMAL,
    DENIAL,
    MAX_LABEL,
    NORMAL,
    OTHER_RHYTHMS,
    UNKNOWN,
    UNTRAINED,
    Prompt,
    _shown,
    _together,
    combine,
    leaf_vectors,
    prompt_settings,
)
from ecgclip.model.results import Embedding, Examined, Record, Result, Score, _unit, ranking
from ecgclip.model.weights import weights_hash
from ecgclip.networks.config import ECGConfig
from ecgclip.networks.encoder import ECGEncoder
from ecgclip.networks.text import TextEncoder
from ecgclip.networks.tokenizer import TextConfig, Tokenizer
from ecgclip.prepare import SAMPLING_RATE, Prepared, prepare

BATCH = 64  # windows through the encoder at once
R = TypeVar("R")
_BUILDING = threading.Lock()  # one for all models, as a lock of a model's own could not be copied with it


@dataclass(frozen=True, eq=False)
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
        """The text encoder, made on its first use by one thread while others wait; on the device of the ECG encoder.

        Raises EcgclipError where the stored weights are not those of such an encoder.
        """
        with _BUILDING:
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
                # published when it is whole: others use what they find here
                self.text = text.to(self._kind.device, self._kind.dtype)
                self._text_state = {}
        return self.text

    @property
    def _kind(self) -> Tensor:
        """A parameter that tells device and precision."""
        return next(self.ecg.parameters())

    def save(self, folder: str | Path) -> None:
        """Write config.json, model.safetensors, the tokenizer and the knowledge base's vectors into `folder`."""
        from safetensors.numpy import save as array_bytes
        from safetensors.torch import save as tensor_bytes

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        state = {k: v.detach() for k, v in self.state_dict().items()}
        state.update({f"text.{k}": v for k, v in self._text_state.items()})
        # in half precision where that loses nothing: see `round_matrices`
        halves = {k: v.half() for k, v in state.items() if v.ndim > 1 and v.dtype == torch.float32}
        state |= {k: half for k, half in halves.items() if torch.equal(half.float(), state[k])}
        state = {k: v.contiguous().clone() for k, v in state.items()}
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

    @torch.no_grad()
    def round_matrices(self) -> None:
        """Round the weights of all layers to half precision, in place, so that they are stored in half the space.

        Not the scales of the measurements, nor what has one dimension: there the digits count.
        """
        self.build_text()
        for parameter in self.parameters():
            if parameter.ndim > 1:
                parameter.copy_(parameter.half())

    # --- embedding ----------------------------------------------------------------------------------------------------

    @cached_property
    def weights_sha256(self) -> str:
        """As tables of results and indexes name the weights; only of a model that was loaded."""
        return weights_hash(self.folder)

    def embed(self, record: Record) -> Embedding:
        """All vectors of one record (a path or an ECG). Raises EcgclipError if it cannot be read."""
        return self.embed_many([record])[0]

    def embed_many(self, records: Iterable[Record]) -> list[Embedding]:
        """The same of several, many windows at once. Raises EcgclipError for the first one that cannot be read."""
        embeddings = []
        for _, embedding in self.embed_each(records):
            if isinstance(embedding, Exception):
                raise embedding
            embeddings.append(embedding)
        return embeddings

    def embed_each(
        self, records: Iterable[R], read: Callable[[Any], Record] = lambda record: record
    ) -> Iterator[tuple[R, Embedding | Exception]]:
        """Each record with its embedding, in order; where it cannot be read, with the exception: the others go on.

        read: what gives a path or an ECG for each of `records`, where they are something else.
        """
        waiting: list[tuple[R, Examined | Exception]] = []
        windows = 0
        for record in records:
            found: Examined | Exception
            try:
                found = self.examine(read(record))
                windows += len(found.measurements)
            except Exception as error:
                found = error
            waiting.append((record, found))
            if windows >= BATCH:
                yield from self._encoded(waiting)
                waiting, windows = [], 0
        yield from self._encoded(waiting)

    def _encoded(self, waiting: Sequence[tuple[R, Examined | Exception]]) -> Iterator[tuple[R, Embedding | Exception]]:
        encoded = iter(self.encode([found for _, found in waiting if isinstance(found, Examined)]))
        for record, found in waiting:
            yield record, next(encoded) if isinstance(found, Examined) else found

    def examine(self, record: Record) -> Examined:
        """Read, prepare and measure one record. Raises EcgclipError if it cannot be read or has no usable signal."""
        ecg = record if isinstance(record, ECG) else read_ecg(record)
        prepared = prepare(ecg, self.config.ecg.sampling_rate)
        beats = find_beats(prepared)
        measurements = measure_windows(prepared, beats)
        recording = observe(ecg, prepared, beats, measurements)
        notes = (*ecg.notes, *prepared.notes, *[recording.exchange] * bool(recording.exchange))
        known = (prepared, beats, tuple(measurements), recording, ecg.metadata)
        return Examined(ecg.source or "", ecg.leads, *known, notes)

    def encode(self, examined: Sequence[Examined]) -> list[Embedding]:
        """The vectors of examined records; of embeddings of another model, those that this one gives them."""
        if not examined:
            return []
        arrays: dict[str, Any] = {
            name: np.concatenate([getattr(e.prepared, name) for e in examined])
            for name in ("encoder_signal", "mask", "length")
        }
        peaks = [p for e in examined for p in e.r_peaks]
        measured = [m for e in examined for m in e.measurements]
        rhythm, beats = self.embed_prepared(replace(examined[0].prepared, **arrays), peaks, measured)
        embeddings, end = [], 0
        for e in examined:
            start, end = end, end + len(e.measurements)
            known = {f.name: getattr(e, f.name) for f in fields(Examined)}
            embeddings.append(Embedding(**known, rhythm=rhythm[start:end], beats=tuple(beats[start:end])))
        return embeddings

    @torch.inference_mode()
    def embed_prepared(
        self, prepared: Prepared, peaks: Sequence[np.ndarray], measured: Sequence[Measurement]
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Prepared windows, their R peaks (samples at 100 Hz) and measurements → rhythm float32 (windows, dim), and for each window its
        beats (R peaks, dim), all of unit length."""
        most = max(map(len, peaks), default=0)
        seconds = np.full((len(peaks), max(most, 1)), np.nan, np.float32)
        for row, p in zip(seconds, peaks, strict=True):
            row[: len(p)] = p / SAMPLING_RATE
        length = np.rint(np.asarray(prepared.length) * (self.config.ecg.sampling_rate / SAMPLING_RATE)).astype(np.int64)
        rhythm, beats = [], []
        for i in range(0, len(peaks), BATCH):
            some = slice(i, i + BATCH)
            given = (
                prepared.encoder_signal[some],
                prepared.mask[some],
                seconds[some],
                length[some],
                np.stack([measurement_features(m) for m in measured[some]]),
            )
            features = self.ecg(*(self._placed(array) for array in given))
            rhythm.append(features.rhythm.float().cpu().numpy())
            found = features.beats.float().cpu().numpy()
            beats += [vectors[: len(p)].copy() for vectors, p in zip(found, peaks[some], strict=True)]
        return np.concatenate(rhythm), beats

    def _placed(self, array: np.ndarray) -> Tensor:
        """An array on the model's device; numbers that are not counts in its precision."""
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        return tensor.to(self._kind.device, self._kind.dtype if tensor.is_floating_point() else None)

    def embed_ecg(self, records: Record | Iterable[Record]) -> np.ndarray:
        """One record or many → float32 (n, dim) of unit length; a longer record is the mean of its windows."""
        many = [records] if isinstance(records, Record) else records
        vectors = []
        for _, embedding in self.embed_each(many):
            if isinstance(embedding, Exception):
                raise embedding
            vectors.append(embedding.vector)
        return np.stack(vectors) if vectors else np.zeros((0, self.config.ecg.dim), np.float32)

    @torch.inference_mode()
    def embed_text(self, texts: str | Iterable[str], batch: int = 128) -> np.ndarray:
        """One text or many, English or German → float32 (n, dim) of unit length, in the space of the ECGs."""
        many = [texts] if isinstance(texts, str) else list(texts)
        encoder = self.build_text()
        device = next(encoder.parameters()).device
        tokens = (self.tokenizer(many[i : i + batch]) for i in range(0, len(many), batch))
        parts = [encoder(ids.to(device), mask.to(device)).float().cpu().numpy() for ids, mask in tokens]
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
        for name in ("_by_concept", "_plain", "_index", "_conditions", "_statements"):
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

    @cached_property
    def _conditions(self) -> Any:
        """FAISS' choice of the passages that can say what a label means: of conditions, not of single beats, and not of their absence."""
        import faiss

        kb = self.kb
        states = [p.kind != "negation" and kb.concepts[p.concept].category != "beat" for p in self.passages]
        return faiss.SearchParameters(sel=faiss.IDSelectorBatch(np.flatnonzero(states)))  # type: ignore[call-arg]

    def nearest_passages(self, vector: np.ndarray, k: int = 5, conditions: bool = False) -> list[tuple[Passage, float]]:
        """The k passages of the knowledge base closest to a text vector, by FAISS, with their cosine.

        conditions: only those that can say what a label means.
        """
        among = self._conditions if conditions else None
        cosines, rows = self._index.search(vector[None].astype(np.float32), k, params=among)
        return [(self.passages[i], float(c)) for i, c in zip(rows[0], cosines[0], strict=True) if i >= 0]

    def trained(self, asked: str | Prompt) -> bool | None:
        """Whether training had ECGs of a concept (by its id), or of all that a prompt asks for.

        None where nobody knows: of bare labels, and of a model that does not say what it was trained on.
        """
        known = self.config.training.get("concepts")
        if isinstance(asked, str):
            return None if known is None else asked in known
        parts = [
            self.trained(leaf.concept.id) if leaf.concept else False if known and UNKNOWN in leaf.note else None
            for leaf in asked.leaves
        ]
        return False if False in parts else None if None in parts else True

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
            shares = prompt_settings()["enrich_untrained" if self.trained(concept) is False else "enrich"]
        parts = [share * _unit(np.mean(groups[kind], 0)) for kind, share in shares.items() if kind in groups]
        return _unit(np.sum(parts, 0))

    def prompt(self, label: str, enrich: bool = True, concept: str | None = None) -> Prompt:
        """A label → what to ask with; "AF without LBBB" becomes two conditions, one of them denied (see ecgclip.knowledge.grammar).

        concept (an id) overrules what the label says, as label sets do. Raises EcgclipError for a label that is empty or too long.
        """
        if not label.strip():
            raise EcgclipError("an empty label: give a condition in words, or one of `ecgclip kb list`")
        if len(label) > MAX_LABEL:
            raise EcgclipError(
                f"a label of {len(label):,} characters ({label[:30]}…): at most {MAX_LABEL}; search for parts of it"
            )
        if concept and concept not in self.kb.concepts:
            raise EcgclipError(f"label {label!r} stands for {concept!r}, which is not in the knowledge base")
        condition = Condition(label.strip()) if concept else parse(label, self.kb)
        prompt = self._prompt(condition, enrich, concept)
        said = [(leaf, self._noted(leaf)) for leaf in prompt.leaves]
        notes = [f"{leaf.label}: {note}" if prompt.parts else note for leaf, note in said if note]
        if prompt.parts:
            notes.insert(0, self.said(prompt))
        elif prompt.denied:
            notes.insert(0, f"denied: 1 − p of {self.said(prompt).removeprefix('not ')}")
        return replace(prompt, label=label, note="; ".join(notes))

    def _prompt(self, condition: Condition, enrich: bool, concept: str | None = None) -> Prompt:
        if not condition.parts:
            leaf = replace(self._leaf(condition.text, enrich, concept), denied=condition.denied)
            if condition.denied and not (leaf.concept or self.kb.find(condition.text)):
                raise EcgclipError(
                    f"{condition.text!r} is no condition of the knowledge base, so that its absence cannot be told; "
                    "name one of `ecgclip kb list`"
                )
            if condition.hedged and leaf.concept and not leaf.note:
                leaf = replace(leaf, note=f"read as {leaf.concept.name}")
            abnormal = leaf.concept is not None and leaf.concept.id == ABNORMAL and NORMAL in self.kb.concepts
            return self._abnormal(leaf, enrich) if abnormal else leaf
        parts = tuple(self._prompt(part, enrich) for part in condition.parts)
        label = (" or " if condition.any_of else " and ").join(part.label for part in parts)
        return Prompt(label, _together(parts), None, (), parts=parts, any_of=condition.any_of)

    def _abnormal(self, leaf: Prompt, enrich: bool) -> Prompt:
        """The prompt of an abnormal ECG (or, denied, of one that is not) made of what it may be."""
        known = [c for c in (NORMAL, *OTHER_RHYTHMS) if c in self.kb.concepts]
        asked = [self._leaf(self.kb.concepts[c].name, enrich, c) for c in known]
        parts = tuple(replace(p, denied=(c == NORMAL) != leaf.denied) for c, p in zip(known, asked, strict=True))
        own = None if leaf.denied else leaf.concept
        return replace(leaf, vector=_together(parts), concept=own, parts=parts, any_of=not leaf.denied, denied=False)

    def _leaf(self, label: str, enrich: bool, concept: str | None) -> Prompt:
        found = self.kb.concepts[concept] if concept else self.kb.find(label)
        if not enrich:
            row = self._plain.get(label)
            vector = self.passage_vectors[row] if row is not None else self.plain_vectors([label])[0]
            return Prompt(label, vector, None, ())
        if found is None and (found := self.kb.find_misspelt(label)):
            return replace(self._leaf(found.name, enrich, found.id), label=label, note=f"read as {found.name}")
        if found is None:
            vector = self.plain_vectors([label])[0]
            # the user's own words keep half the say, as they may be narrower than the concept
            if found := self.kb.find_within(label):
                own = _unit(vector + self.concept_vector(found.id))
                return Prompt(label, own, found, _shown(found), f"read as {found.name}")
            near = self.nearest_passages(vector, conditions=True) if self.kb.shares_words(label) else []
            near = [(p, c) for p, c in near if c >= self.config.floor]
            if not near:
                return Prompt(label, vector, None, (), UNKNOWN)
            found = self.kb.concepts[near[0][0].concept]
            note = f"nearest in the knowledge base: {found.name} (cosine {near[0][1]:.2f})"
            return Prompt(label, _unit(vector + self.concept_vector(found.id)), found, tuple(p for p, _ in near), note)
        return Prompt(label, self.concept_vector(found.id), found, _shown(found))

    def _noted(self, leaf: Prompt) -> str:
        untrained = leaf.concept is not None and self.trained(leaf.concept.id) is False
        return "; ".join(filter(None, [leaf.note, UNTRAINED * untrained]))

    def said(self, prompt: Prompt) -> str:
        """What was understood: "not left bundle branch block", "and: atrial fibrillation; not left bundle branch block"."""
        if prompt.parts:
            parts = [f"({self.said(part)})" if part.parts else self.said(part) for part in prompt.parts]
            return f"{'or' if prompt.any_of else 'and'}: {'; '.join(parts)}"
        name = prompt.concept.name if prompt.concept else prompt.label
        return f"not {name}" if prompt.denied else name

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

        labels None: every condition that training had ECGs of, best first. top: keep the n most probable. softmax: probabilities
        over the labels sum to one, for those who ask for exactly one. concepts: label → concept id, as label sets fix it.
        Raises EcgclipError on a bad record, an empty or duplicate label, or a `top` below 1.
        """
        if top is not None and top < 1:
            raise EcgclipError(f"top={top}: give 1 or more")
        prompts = self.prompts(labels, enrich=enrich, concepts=concepts)
        results = []
        for _, embedding in self.embed_each([record] if isinstance(record, Record) else record):
            if isinstance(embedding, Exception):
                raise embedding
            result = self.score(embedding, prompts, softmax=softmax)
            if labels is None or top is not None:
                best = ranking(result.scores, top, labels is None)
                result = replace(result, scores=tuple(result.scores[i] for i in best))
            results.append(result)
        return results[0] if isinstance(record, Record) else results

    def prompts(
        self, labels: Sequence[str] | None, *, enrich: bool = True, concepts: dict[str, str] | None = None
    ) -> list[Prompt]:
        """Labels → prompts; None: one for each condition that training had ECGs of, or that a recording may decide.

        Raises EcgclipError on no label, an empty one or one given twice.
        """
        if isinstance(labels, str):
            labels = [labels]
        if labels is not None and not labels:
            raise EcgclipError("no labels: give at least one, or leave them out for all that training had")
        if labels is None:
            conditions = [c for c in self.kb.concepts.values() if c.category != "beat"]
            asked = [c for c in conditions if self.trained(c.id) is not False or c.id in DECIDES]
            return [self.prompt(c.name, enrich, c.id) for c in asked]
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

    def probability(self, similarity: np.ndarray, leaves: Sequence[Prompt]) -> np.ndarray:
        """similarity (n, leaves) to prompts without parts → their probability, (n, leaves)."""
        bank = self.reference @ leaf_vectors(leaves).T
        probability = self.config.calibration(similarity, bank)
        strange = [j for j, leaf in enumerate(leaves) if self.trained(leaf) is False]
        if strange and self.config.untrained is not None:
            probability[:, strange] = self.config.untrained(similarity[:, strange], bank[:, strange])
        return probability

    def likely(self, prompt: Prompt, vectors: np.ndarray) -> np.ndarray:
        """Vectors of ECGs (n, dim) → whether to leave them out for one who wants no such ECG, bool (n,).

        A condition is likely where it is more probable than in the reference ECGs on average, or passes the threshold of a description: on
        the validation split that catches 0.86 of those that have it, and 0.18 of those that do not (the threshold alone 0.53 and 0.04).
        """
        leaves = prompt.leaves
        similar = leaf_vectors([prompt]).T
        usual = self.probability(self.reference @ similar, leaves).mean(0) if len(self.reference) else np.inf
        probability = self.probability(vectors @ similar, leaves)
        return (
            combine([prompt], (probability >= np.minimum(usual, self.config.threshold)).astype(int), whole=1)[:, 0] > 0
        )

    def score(self, embedding: Embedding, prompts: Sequence[Prompt], softmax: bool = False) -> Result:
        """Compare one record's vectors with prompts.

        The record is the mean of its windows, which stay visible. What the recording itself decides, such as asystole, is not left to
        the similarity.
        """
        leaves = [leaf for p in prompts for leaf in p.leaves]
        rows = np.vstack([embedding.vector, embedding.rhythm])  # the record, then its windows
        similarity = rows @ leaf_vectors(prompts).T
        probability = self.probability(similarity, leaves)
        decided = embedding.recording.decides()
        starts = embedding.prepared.start_s
        stops = starts + embedding.prepared.length / SAMPLING_RATE
        for j, leaf in enumerate(leaves):
            if leaf.concept and (found := decided.get(leaf.concept.id)):
                within = (starts < found.stop_s) & (stops > found.start_s)
                probability[np.append(True, within), j] = found.probability
        similarity, probability = combine(prompts, similarity, whole=0), combine(prompts, probability, whole=1)
        whole = probability[0]
        if softmax:
            odds = whole / (1 - whole).clip(1e-9)
            whole = odds / odds.sum()
        scores = []
        for j, prompt in enumerate(prompts):
            measured = [decided[x.concept.id].words for x in prompt.leaves if x.concept and x.concept.id in decided]
            note = prompt.note if not measured else prompt.note.replace(UNTRAINED, "").strip("; ")
            scores.append(
                Score(
                    prompt.label,
                    prompt.concept.id if prompt.concept and not prompt.denied else None,
                    float(whole[j]),
                    float(similarity[0, j]),
                    float(probability[:, j].max()),
                    float((probability[1:, j] >= self.config.threshold).mean()),
                    None if measured else self.trained(prompt),
                    prompt.passages,
                    tuple(similarity[1:, j].tolist()),
                    "; ".join(filter(None, [note, *measured])),
                )
            )
        windows = tuple(float(s) for s in embedding.prepared.start_s)
        length = embedding.prepared.seconds, embedding.prepared.used_s
        return Result(embedding.record, embedding.leads, windows, tuple(scores), embedding.notes, *length)

    def lead_evidence(self, embedding: Embedding, prompts: Sequence[Prompt]) -> np.ndarray:
        """What each lead adds to the similarity: it less what it is with that lead masked, float32 (labels, 12).

        The mean over the windows; NaN for a lead that is masked anyway, or is the only one.
        """
        vectors, prepared = leaf_vectors(prompts), embedding.prepared
        evidence = np.full((len(prompts), prepared.mask.shape[1]), np.nan, np.float32)
        for lead in range(evidence.shape[1]):
            rest = prepared.mask & (np.arange(evidence.shape[1]) != lead)
            rows = np.flatnonzero(prepared.mask[:, lead] & rest.any(1))
            if len(rows):
                part = {k: getattr(prepared, k)[rows] for k in ("signal", "encoder_signal", "length", "start_s")}
                fewer = replace(prepared, mask=rest[rows], **part)
                beats = embedding.heartbeats.of(rows)
                without, _ = self.embed_prepared(fewer, beats.windows, measure_windows(fewer, beats))
                similarity = [
                    combine(prompts, rhythm @ vectors.T, whole=0) for rhythm in (embedding.rhythm[rows], without)
                ]
                evidence[:, lead] = (similarity[0] - similarity[1]).mean(0)
        return evidence
