"""Texts for the statements and findings of an ECG, drawn afresh for each batch.

A `Wording` holds all texts for one statement or finding. A `Bank` holds the wordings of all statements or all findings,
tokenised. A `Composer` writes a whole text for an ECG: its report, or sentences from its statements and measurements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ecgclip.data.cases import Case
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.networks.tokenizer import Tokenizer, clean, pad_tokens

MAX_FINDINGS = 3  # sentences about findings in a composed text


@dataclass(frozen=True)
class Wording:
    """All ways to affirm one thing and to deny it, by language ("en", "de")."""

    affirm: dict[str, list[str]]
    deny: dict[str, list[str]]

    def draw(self, rng: np.random.Generator, present: bool = True, language: str | None = None) -> str:
        """A text that affirms or denies; in English where there is none in the language."""
        by_language = self.affirm if present else self.deny
        texts = by_language.get(language or str(rng.choice(["en", "de"]))) or by_language["en"]
        return texts[rng.integers(len(texts))]


def concept_wording(kb: KnowledgeBase, concept: str, templates: dict[str, list[str]]) -> Wording:
    """Names and aliases in templates, report sentences, definition, all criteria together, and negations of a concept.

    templates : language → templates, as `prompt_settings()["plain"]`
    """
    affirm: dict[str, list[str]] = {"en": [], "de": []}
    deny: dict[str, list[str]] = {"en": [], "de": []}
    for passage in kb.concepts[concept].passages:
        if passage.kind in ("name", "alias"):
            # the bare word as often as all templates together: that is what users type
            affirm[passage.language] += [t.format(passage.text) for t in templates[passage.language]]
        elif passage.kind == "negation":
            deny[passage.language].append(passage.text)
        elif passage.kind != "criterion":  # a single criterion does not make the diagnosis; all of them together do
            affirm[passage.language] += [passage.text] * 2
    return Wording(affirm, deny)


def finding_wordings(words: dict[str, dict[str, list[str]]]) -> dict[str, Wording]:
    """The wording of each finding, from entries such as those of `finding_texts`."""
    return {
        key: Wording(
            {"en": entry["en"], "de": entry["de"]},
            {"en": entry.get("negative_en", []), "de": entry.get("negative_de", [])},
        )
        for key, entry in words.items()
    }


class Bank:
    """A row for each thing that can be asked, with all its texts, tokenised once."""

    def __init__(self, wordings: dict[str, Wording], tokenizer: Tokenizer):
        self.keys, self.max_tokens, self.pad = tuple(wordings), tokenizer.max_tokens, tokenizer.pad
        self.texts: list[list[int]] = []  # token ids
        # of each row the indices of the texts that affirm and of those that deny
        self.rows = [(self._add(w.affirm, tokenizer), self._add(w.deny, tokenizer)) for w in wordings.values()]

    def _add(self, texts: dict[str, list[str]], tokenizer: Tokenizer) -> range:
        first = len(self.texts)
        flat = [text for texts_of_language in texts.values() for text in texts_of_language]
        if flat:
            ids, mask = tokenizer(flat)
            self.texts += [row[real].tolist() for row, real in zip(ids, mask, strict=True)]
        return range(first, len(self.texts))

    def draw(self, rng: np.random.Generator, rows: np.ndarray, deny: float = 0.1) -> tuple[np.ndarray, Tensor]:
        """A text for each row, which denies with the chance `deny` where the row has such texts.

        Returns the texts' indices (rows,) and bool (rows,), True where the text denies.
        """
        drawn, denied = [], []
        for affirming, denying in (self.rows[i] for i in rows):
            denies = len(denying) > 0 and rng.random() < deny
            drawn.append(rng.choice(denying if denies else affirming))
            denied.append(denies)
        return np.array(drawn), torch.tensor(denied)

    def tokens(self, texts: np.ndarray) -> tuple[Tensor, Tensor]:
        """Indices of texts (n,) → ids (n, length), mask (n, length)."""
        drawn = [self.texts[i] for i in texts]
        ids = pad_tokens(drawn, self.pad, self.max_tokens)
        return ids, torch.arange(ids.shape[1]) < torch.tensor([len(tokens) for tokens in drawn])[:, None]

    @torch.inference_mode()
    def vectors(self, encode: Callable[[Tensor, Tensor], Tensor], device: torch.device, batch: int = 256) -> Tensor:
        """The vectors (texts, dim) of all texts, on the CPU; encode: ids, mask → vectors."""
        # texts of a length together, so that few are padded
        order = np.argsort([len(tokens) for tokens in self.texts], kind="stable")
        parts = np.array_split(order, max(1, len(order) // batch))
        vectors = torch.cat([encode(*(x.to(device) for x in self.tokens(part))).cpu() for part in parts])
        return vectors[torch.from_numpy(np.argsort(order))]


class Composer:
    """Writes the text of a window: the report of its record, or sentences from its statements and measurements."""

    def __init__(self, kb: KnowledgeBase, finding_words: dict[str, dict[str, list[str]]], concepts: tuple[str, ...]):
        self.reports = {c: Wording({"en": kb.concepts[c].report, "de": kb.concepts[c].report_de}, {}) for c in concepts}
        self.findings = finding_wordings(finding_words)

    def write(
        self, case: Case, statements: list[str], findings: list[str], rng: np.random.Generator, real: float = 0.5
    ) -> tuple[str, str]:
        """A text, and a key that texts of the same meaning share.

        Parameters
        ----------
        case : Case
        statements, findings : list of str
            What is present: ids of concepts and keys of findings.
        rng : np.random.Generator
        real : float
            The chance that the report is taken, where there is one.
        """
        if case.report and rng.random() < real:
            return case.report, clean(case.report)
        language = str(rng.choice(["en", "de"]))
        sentences = [self.reports[s].draw(rng, language=language) for s in rng.permutation(statements)]
        measured = rng.permutation(findings)[: rng.integers(0, MAX_FINDINGS + 1)]
        sentences += [self.findings[f].draw(rng, language=language) + "." for f in measured]
        return " ".join(sentences) or "ecg.", "|".join(sorted(statements)) + "+" + "|".join(sorted(measured))
