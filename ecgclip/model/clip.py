"""The model: both encoders, a knowledge base and a calibration.

record ─examine─▶ windows ─ECG encoder─▶ vectors ─┐
label ─knowledge base─▶ prompt ─text encoder─▶ vector ─┴▶ similarity ─calibration─▶ probability
       └─criteria, by what was measured ───────────────────────────────────────────────┘

Its parts: `embed` (encoders), `passages` (the knowledge base's vectors), `prompting` (label → prompt),
`scoring` (similarity → score) and `likeness` (which ECGs are alike).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np

from ecgclip.blas import one_blas_thread
from ecgclip.ecg import EcgclipError
from ecgclip.files import write_atomic
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.concepts import Passage
from ecgclip.knowledge.criteria import Judge, Readings
from ecgclip.measure.examined import Examined
from ecgclip.measure.measurement import measure_windows
from ecgclip.model.calibration import Bank
from ecgclip.model.config import ModelConfig
from ecgclip.model.embed import BATCH, Encoders, R
from ecgclip.model.likeness import Statements
from ecgclip.model.passages import EmbeddedPassages
from ecgclip.model.pipeline import together
from ecgclip.model.prompting import Prompter
from ecgclip.model.prompts import Prompt, combine, leaf_vectors, prompt_settings
from ecgclip.model.results import Embedding, Record, Result, ranking
from ecgclip.model.scoring import Probabilities, Scorer
from ecgclip.model.weights import weights_hash
from ecgclip.networks.tokenizer import Tokenizer

SPREAD = 12  # windows by which leads are compared


class ECGCLIP(Encoders):
    """Both encoders, a knowledge base and a calibration: scores ECGs for labels in words.

    `load_model` gives one that is trained; training builds its own.

    Attributes
    ----------
    config
        Sizes, calibration, and what training had.
    knowledge
        The knowledge base and the vectors of its passages.
    reference : float32 (ECGs, dim)
        Vectors of training ECGs, which tell how unusual a similarity is.
    folder
        Where the weights were loaded from, if they were.
    """

    def __init__(self, config: ModelConfig, tokenizer: Tokenizer, kb: KnowledgeBase):
        super().__init__(config, tokenizer)
        self.knowledge = EmbeddedPassages(kb, np.zeros((0, config.text.dim), np.float32))
        self.reference = np.zeros((0, config.ecg.dim), np.float32)
        self._bank = Bank(self.reference)

    # --- files --------------------------------------------------------------------------------------------------------

    @cached_property
    def weights_sha256(self) -> str:
        """The hash by which results and indexes name these weights; only for a model that was loaded from files."""
        return weights_hash(self.folder)

    def save(self, folder: str | Path) -> None:
        """Write config.json, model.safetensors, the tokenizer and the knowledge base's vectors into a folder."""
        from safetensors.numpy import save as array_bytes
        from safetensors.torch import save as tensor_bytes

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / "model.safetensors", tensor_bytes(self.stored_state()))
        write_atomic(folder / "config.json", json.dumps(asdict(self.config), indent=1))
        self.tokenizer.save(folder)
        if self.passages:
            vectors = {
                "passages": self.passage_vectors.astype(np.float16),
                "reference": self.reference.astype(np.float16),
            }
            write_atomic(folder / "vectors.safetensors", array_bytes(vectors))
            write_atomic(folder / "knowledge_base.json", json.dumps(self.kb.to_dict(), ensure_ascii=False))

    # --- knowledge ----------------------------------------------------------------------------------------------------

    @property
    def kb(self) -> KnowledgeBase:
        """The knowledge base."""
        return self.knowledge.kb

    @property
    def passages(self) -> list[Passage]:
        """The passages of the knowledge base; none before they are embedded."""
        return self.knowledge.passages

    @property
    def passage_vectors(self) -> np.ndarray:
        """The vectors of `passages`, float32 (passages, dim)."""
        return self.knowledge.vectors

    def set_knowledge(self, kb: KnowledgeBase) -> None:
        """Embed all passages of a knowledge base: names and aliases in the plain templates, others as they stand."""
        names = [row for row, p in enumerate(kb.passages) if p.kind in ("name", "alias")]
        others = [row for row, p in enumerate(kb.passages) if p.kind not in ("name", "alias")]
        text, language = [p.text for p in kb.passages], [p.language for p in kb.passages]
        vectors = np.zeros((len(kb.passages), self.config.text.dim), np.float32)
        vectors[names] = self.plain_vectors([text[row] for row in names], [language[row] for row in names])
        vectors[others] = self.embed_text([text[row] for row in others])
        self.knowledge = EmbeddedPassages(kb, vectors)
        self.__dict__.pop("statements", None)  # made of the old vectors

    def nearest_passages(self, vector: np.ndarray, k: int = 5, conditions: bool = False) -> list[tuple[Passage, float]]:
        """Find the passages of the knowledge base that are closest to a text.

        Parameters
        ----------
        vector : (dim,)
            Vector of the text.
        k
            How many passages.
        conditions
            Only passages that explain a label: of conditions, not of single beats or of an absence.

        Returns
        -------
        list of tuple
            Passages with their cosines, closest first.
        """
        return self.knowledge.nearest(vector, k, conditions)

    def concept_vector(self, concept: str, shares: dict[str, float] | None = None) -> np.ndarray:
        """Return the enriched prompt of a concept: its passages, averaged by kind, then over the kinds.

        A criterion that denies ("no P waves …") is subtracted, as a text encoder represents what is denied, but not
        the denial.

        Parameters
        ----------
        concept
            Id in the knowledge base.
        shares
            Weight of each kind of passage; None for those of prompts/templates.yaml.

        Returns
        -------
        float32 (dim,)
            Of unit length.
        """
        if shares is None:
            shares = prompt_settings()["enrich_untrained" if self.trained(concept) is False else "enrich"]
        return self.knowledge.concept_vector(concept, shares)

    def trained(self, asked: str | Prompt) -> bool | None:
        """Return whether training had ECGs of a concept (an id), or of all conditions of a prompt.

        None if that is unknown: for labels without a concept, and for a model that does not say what it was trained on.
        """
        concepts = self.config.trained_concepts
        if isinstance(asked, Prompt):
            return asked.trained(concepts)
        return None if concepts is None else asked in concepts

    # --- prompts ------------------------------------------------------------------------------------------------------

    @property
    def _prompter(self) -> Prompter:
        simulated = self.config.training.get("simulated", ())
        return Prompter(
            self.knowledge, self.config.floor, self.trained, simulated, self.concept_vector, self.plain_vectors
        )

    def prompt(self, label: str, enrich: bool = True, concept: str | None = None) -> Prompt:
        """Make the prompt of one label.

        Parameters
        ----------
        label
            In words; "AF without LBBB" becomes two conditions, one of them denied (see `ecgclip.knowledge.grammar`).
        enrich
            Ask with what the knowledge base says of the condition, not with the bare label.
        concept
            Id of the concept that the label stands for, whatever it says; label sets give it.

        Raises
        ------
        EcgclipError
            The label is empty or too long, or denies what the knowledge base does not know.
        """
        return self._prompter.prompt(label, enrich, concept)

    def prompts(
        self, labels: Sequence[str] | None, *, enrich: bool = True, concepts: dict[str, str] | None = None
    ) -> list[Prompt]:
        """Make the prompts of several labels.

        Parameters
        ----------
        labels
            See `prompt`; None for all conditions that training had ECGs of, or that a recording decides by itself.
        enrich
            See `prompt`.
        concepts
            Label → id of its concept, for labels that a label set defines.

        Raises
        ------
        EcgclipError
            There is no label, one is given twice, or `prompt` refuses one.
        """
        return self._prompter.prompts(labels, enrich, concepts or {})

    # --- scores -------------------------------------------------------------------------------------------------------

    # fmt: off
    @overload
    def classify(self, record: Record, labels: Sequence[str] | None = ..., *, top: int | None = ..., enrich: bool = ...,
                 softmax: bool = ..., concepts: dict[str, str] | None = ...) -> Result: ...

    @overload  # several are a list, as a path is a sequence as well
    def classify(self, record: list[Any], labels: Sequence[str] | None = ..., *, top: int | None = ...,
                 enrich: bool = ..., softmax: bool = ..., concepts: dict[str, str] | None = ...) -> list[Result]: ...
    # fmt: on

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
        """Score a record, or several, for labels in words.

        Parameters
        ----------
        record
            A path or an ECG, or a list of them.
        labels
            See `prompt`; None for all conditions that training had ECGs of, best first.
        top
            Only so many of the most probable labels, best first.
        enrich, concepts
            See `prompts`.
        softmax
            Exactly one label is true: probabilities over the labels sum to one.

        Returns
        -------
        Result, or list of Result
            One for each record of a list.

        Raises
        ------
        EcgclipError
            A record cannot be read, `prompts` refuses the labels, or `top` is below 1.
        """
        if top is not None and top < 1:
            raise EcgclipError(f"top={top}: give 1 or more")
        prompts = self.prompts(labels, enrich=enrich, concepts=concepts)
        results = []
        for _, scored in self.score_each([record] if isinstance(record, Record) else record, prompts, softmax):
            if isinstance(scored, Exception):
                raise scored
            result = scored[1]
            if labels is None or top is not None:
                best = ranking(result.scores, top, labels is None, self.kb.excluded, self.config.threshold)
                result = replace(result, scores=tuple(result.scores[i] for i in best))
            results.append(result)
        return results[0] if isinstance(record, Record) else results

    def score_each(
        self,
        records: Iterable[R],
        prompts: Sequence[Prompt],
        softmax: bool = False,
        read: Callable[[Any], Record] = lambda record: record,
        workers: int = 1,
    ) -> Iterator[tuple[R, tuple[Embedding, Result] | Exception]]:
        """Embed and score records in batches; one that fails does not stop the others.

        Parameters
        ----------
        records, read, workers
            As of `embed_each`.
        prompts, softmax
            As of `score`.

        Yields
        ------
        tuple
            Each of `records`, in order, with its embedding and its scores, or with the exception that it raised.
        """
        embedded = self.embed_each(records, read, workers)
        while batch := list(islice(embedded, BATCH)):
            usable = [embedding for _, embedding in batch if not isinstance(embedding, Exception)]
            scored = iter(together(lambda some: self.score(some, prompts, softmax), usable))
            for record, embedding in batch:
                if isinstance(embedding, Exception):
                    yield record, embedding
                    continue
                result = next(scored)
                yield record, result if isinstance(result, Exception) else (embedding, result)

    @property
    def _scorer(self) -> Scorer:
        if self._bank.reference is not self.reference:
            self._bank = Bank(self.reference)
        return Scorer(self.config, self._bank, self.kb, self.concept_vector)

    # fmt: off
    @overload
    def score(self, embedding: Embedding, prompts: Sequence[Prompt], softmax: bool = ...) -> Result: ...

    @overload
    def score(self, embedding: Sequence[Embedding], prompts: Sequence[Prompt], softmax: bool = ...) -> list[Result]: ...
    # fmt: on

    @one_blas_thread()
    def score(
        self, embedding: Embedding | Sequence[Embedding], prompts: Sequence[Prompt], softmax: bool = False
    ) -> Result | list[Result]:
        """Score embedded records for prompts, one or several at once.

        The vector of the record is the mean of its windows, each of which has its similarity, too. The criteria of a
        condition are heard beside it, as far as they could be measured. What the recording itself
        decides, such as asystole, is not left to the similarity.

        Parameters
        ----------
        embedding
            Vectors of a record, or of several.
        prompts
            Prompts of the labels, in the order of the scores.
        softmax
            Exactly one label is true: probabilities sum to one.

        Returns
        -------
        Result, or list of Result
            One for each record of a list.
        """
        if isinstance(embedding, Embedding):
            return self.score([embedding], prompts, softmax)[0]
        if not embedding:
            return []
        return self._scorer.score(embedding, prompts, self.judge(*embedding), softmax)

    def judge(self, *examined: Examined) -> Judge:
        """Return the judge of criteria in records: a row for each, followed by one for each of its windows."""
        return Judge(Readings.of_records_and_windows(examined), self.kb.concepts)

    def probabilities(
        self, vectors: np.ndarray, prompts: Sequence[Prompt], judge: Judge | None = None
    ) -> Probabilities:
        """Return how probable labels are in ECGs, by their vectors and by their criteria.

        Parameters
        ----------
        vectors : (n, dim)
            Of unit length.
        prompts
            Prompts of the labels.
        judge
            Has the readings of the n ECGs; None: the criteria are not heard.

        Returns
        -------
        Probabilities
            (n, labels) each: by both witnesses, by the vector and by the criteria alone.
        """
        leaves = [leaf for prompt in prompts for leaf in prompt.leaves]
        by = self._scorer.probabilities(vectors, leaves, judge)
        return Probabilities(*(combine(prompts, p, whole=1) for p in (by.both, by.vector, by.criteria)))

    def likely(self, prompt: Prompt, vectors: np.ndarray) -> np.ndarray:
        """Return which ECGs to leave out of a search that excludes a label.

        A condition is likely if it is more probable than in the reference ECGs on average, or reaches the threshold
        of a description: a search that excludes it should rather leave out too much.

        Parameters
        ----------
        prompt
            Prompt of the label.
        vectors : (n, dim)
            Vectors of ECGs.

        Returns
        -------
        bool (n,)
            True if the ECG probably shows it.
        """
        return self._scorer.likely(prompt, vectors)

    def lead_evidence(self, embedding: Embedding, prompts: Sequence[Prompt]) -> np.ndarray:
        """Return what each lead adds to the similarity: the similarity less that without the lead.

        Parameters
        ----------
        embedding
            Vectors of the record.
        prompts
            Prompts of n labels.

        Returns
        -------
        float32 (n, 12)
            The mean over the windows, of many over `SPREAD` that are spread evenly; NaN for a lead that is masked
            anyway, or is the only one.
        """
        prepared = embedding.prepared
        mask = prepared.measured
        evidence = np.full((len(prompts), mask.shape[1]), np.nan, np.float32)
        windows = np.unique(np.linspace(0, len(mask) - 1, SPREAD).round().astype(int))
        windows = np.arange(len(mask)) if prepared.columns else windows
        asked: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # by lead: windows, and their masks without it
        for lead in range(mask.shape[1]):
            others = mask & (np.arange(mask.shape[1]) != lead)
            seen = (others & prepared.mask).any(1)
            rows = windows[mask[windows, lead] & (seen.all() if prepared.columns else seen[windows])]
            if len(rows):
                asked[lead] = rows, others[rows]
        if not asked:
            return evidence
        rows, masks = (np.concatenate(parts) for parts in zip(*asked.values(), strict=True))
        labels = leaf_vectors(prompts)
        together = asked.values() if prepared.columns else [(rows, masks)]  # columns are measured with one another
        without = np.concatenate([self._rhythm_with(embedding, *some) for some in together])
        with_lead, without = (combine(prompts, x @ labels.T, whole=0) for x in (embedding.rhythm[rows], without))
        ends = np.cumsum([len(rows) for rows, _ in asked.values()])
        for lead, lost in zip(asked, np.split(with_lead - without, ends[:-1]), strict=True):
            evidence[:, lead] = lost.mean(0)
        return evidence

    def _rhythm_with(self, embedding: Embedding, rows: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Embed windows (rows) once more, with the leads of another mask alone, bool (rows, 12)."""
        prepared, beats = embedding.prepared, embedding.heartbeats.of(rows)
        parts = prepared.parts
        if parts is not None:
            parts = np.where(mask[..., None], parts[rows], np.float32(np.nan))
        columns: dict[str, Any] = {
            name: getattr(prepared, name)[rows] for name in ("signal", "encoder_signal", "length", "start_s")
        }
        masked = replace(prepared, mask=mask & prepared.mask[rows], parts=parts, **columns)
        metadata = [embedding.metadata] * len(rows)
        return self.embed_prepared(masked, beats.windows, measure_windows(masked, beats), metadata)[0]

    # --- likeness -----------------------------------------------------------------------------------------------------

    @cached_property
    def statements(self) -> Statements | None:
        """The concepts that training had ECGs of, by which ECGs are compared; None if the model does not say."""
        concepts = [c for c in self.config.trained_concepts or () if c in self.kb.concepts]
        if not concepts:
            return None
        vectors = np.stack([self.concept_vector(c) for c in concepts])
        return Statements.of(concepts, vectors, self.reference, self.config.calibration)

    def like(self, rhythm: np.ndarray) -> np.ndarray:
        """Return the vector to search similar cases with: the statements, weighted by how unusually probable they are.

        Vectors of ECGs are also close if rate and shape are alike, but similar cases are those of the same diagnoses.

        Parameters
        ----------
        rhythm : (dim,)
            Vector of an ECG.

        Returns
        -------
        (dim,)
            Of unit length; `rhythm` itself if the model does not say what it was trained on.
        """
        return rhythm if self.statements is None else self.statements.like(rhythm)

    def likeness(self, ecgs: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return how much each two ECGs should have in common.

        This is the mean of two expectations: that both show a condition of one of PTB-XL's five diagnostic classes,
        normal among them; and the share of all their statements that they have in common (Jaccard).

        Parameters
        ----------
        ecgs : (m, dim)
            Vectors of ECGs.
        others : (n, dim)
            Vectors of the ECGs that they are compared with.

        Returns
        -------
        (m, n)
            From 0 to 1; cosines if the model does not say what it was trained on.
        """
        return ecgs @ others.T if self.statements is None else self.statements.likeness(ecgs, others)
