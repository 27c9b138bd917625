"""Text for the ECGs: what is known of a record, said in words drawn afresh each epoch.

Three kinds (design: Pairs): the real report; sentences made from the coded statements through the knowledge base; and
measured sentences, in the words that the knowledge base's criteria use. Statements and findings also stand in two *banks*:
one text for each concept and each finding, with every ECG of the batch known to have it, known to lack it, or unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ecgclip.data.cases import DOUBTED_CONCEPTS, MEASURED_CONCEPTS, UNKNOWN, Case
from ecgclip.data.windows import Windows
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.networks.tokenizer import Tokenizer, clean

MEASURED = 3  # measured sentences in a composed text, at most


@dataclass(frozen=True)
class Wording:
    """All ways to say one thing, by language, and ways to deny it."""

    said: dict[str, list[str]]
    denied: dict[str, list[str]]

    def draw(self, rng: np.random.Generator, present: bool = True, language: str | None = None) -> str:
        by_language = self.said if present else self.denied
        choices = by_language.get(language or str(rng.choice(["en", "de"]))) or by_language["en"]
        return choices[rng.integers(len(choices))]


def concept_wording(kb: KnowledgeBase, concept: str, templates: dict[str, list[str]]) -> Wording:
    """Names, aliases in templates, report sentences, definition and criteria of one concept."""
    said: dict[str, list[str]] = {"en": [], "de": []}
    denied: dict[str, list[str]] = {"en": [], "de": []}
    for passage in kb.concepts[concept].passages:
        if passage.kind in ("name", "alias"):
            # the bare word as often as all templates together: that is what users type
            said[passage.language] += [t.format(passage.text) for t in templates[passage.language]]
        elif passage.kind == "negation":
            denied[passage.language].append(passage.text)
        elif passage.kind != "criterion":  # a single criterion does not make the diagnosis; all of them together do
            said[passage.language] += [passage.text] * 2
    return Wording(said, denied)


def finding_wordings(texts: dict[str, dict[str, list[str]]]) -> dict[str, Wording]:
    return {
        key: Wording(
            {"en": entry["en"], "de": entry["de"]},
            {"en": entry.get("negative_en", []), "de": entry.get("negative_de", [])},
        )
        for key, entry in texts.items()
    }


class Bank:
    """Things that are known of an ECG or not, a row each, and every way to say or deny them, tokenised once."""

    def __init__(self, wordings: dict[str, Wording], tokenizer: Tokenizer):
        self.keys, self.most, self.pad = tuple(wordings), tokenizer.max_tokens, tokenizer.pad
        self.texts: list[list[int]] = []
        self.rows = [(self._add(w.said, tokenizer), self._add(w.denied, tokenizer)) for w in wordings.values()]

    def _add(self, texts: dict[str, list[str]], tokenizer: Tokenizer) -> range:
        first = len(self.texts)
        flat = [t for v in texts.values() for t in v]
        if flat:
            ids, mask = tokenizer(flat)
            self.texts += [row[keep].tolist() for row, keep in zip(ids, mask, strict=True)]
        return range(first, len(self.texts))

    def draw(self, rng: np.random.Generator, rows: np.ndarray, deny: float = 0.1) -> tuple[np.ndarray, Tensor]:
        """→ index of a text for each row, denied bool (rows,): for these rows the ECGs that have it are the negatives."""
        drawn, denied = [], []
        for said, against in (self.rows[i] for i in rows):
            no = len(against) > 0 and rng.random() < deny
            drawn.append(rng.choice(against if no else said))
            denied.append(no)
        return np.array(drawn), torch.tensor(denied)

    def tokens(self, which: np.ndarray) -> tuple[Tensor, Tensor]:
        """Indices of texts → ids (n, length), mask."""
        drawn = [self.texts[i] for i in which]
        # a multiple of 16 tokens: new shapes cost more than padding, as each is compiled for on its first use
        length = min(-(-max(map(len, drawn)) // 16) * 16, self.most)
        ids = torch.full((len(drawn), length), self.pad)
        for row, tokens in zip(ids, drawn, strict=True):
            row[: len(tokens)] = torch.tensor(tokens)
        return ids, torch.arange(length) < torch.tensor([len(tokens) for tokens in drawn])[:, None]

    @torch.inference_mode()
    def vectors(self, encode: Callable[[Tensor, Tensor], Tensor], device: torch.device, batch: int = 256) -> Tensor:
        """Every text's vector, (texts, dim); encode: ids, mask → vectors."""
        parts = np.array_split(np.arange(len(self.texts)), max(1, len(self.texts) // batch))
        return torch.cat([encode(*(x.to(device) for x in self.tokens(part))).cpu() for part in parts])


def targets(cases: list[Case], windows: Windows, concepts: tuple[str, ...]) -> np.ndarray:
    """int8 (windows, concepts): 1 present, 0 absent, -1 unknown, from statements and measurement."""
    table = np.full((len(windows), len(concepts)), UNKNOWN, np.int8)
    column = {c: j for j, c in enumerate(concepts)}
    for i, case in enumerate(windows.case):
        for concept, present in cases[case].statements.items():
            if concept in column:
                table[i, column[concept]] = present
    for concept, keys in (MEASURED_CONCEPTS | DOUBTED_CONCEPTS).items():
        if concept in column:
            j = column[concept]
            chosen = [k for k, name in enumerate(windows.finding_keys) if name.startswith(keys)]
            found = windows.findings[:, chosen]
            if concept in MEASURED_CONCEPTS:  # a coded statement stands; where none is coded, the measurement decides
                measured = np.where((found == 1).any(1), 1, np.where((found == 0).all(1), 0, UNKNOWN))
                table[:, j] = np.where(table[:, j] == 1, 1, measured)
            else:
                table[(table[:, j] == 0) & (found == 1).any(1), j] = UNKNOWN
    return table


class Composer:
    """Writes a report for a window: the real one, or sentences from its statements and measurements."""

    def __init__(self, kb: KnowledgeBase, finding_texts: dict, concepts: tuple[str, ...]):
        self.reports = {c: Wording({"en": kb.concepts[c].report, "de": kb.concepts[c].report_de}, {}) for c in concepts}
        self.findings = finding_wordings(finding_texts)

    def write(
        self, case: Case, statements: list[str], findings: list[str], rng: np.random.Generator, real: float = 0.5
    ) -> tuple[str, str]:
        """→ the text, and a key that texts of the same meaning share."""
        if case.report and rng.random() < real:
            return case.report, clean(case.report)
        language = str(rng.choice(["en", "de"]))
        said = [self.reports[s].draw(rng, language=language) for s in rng.permutation(statements)]
        some = rng.permutation(findings)[: rng.integers(0, MEASURED + 1)]
        measured = [self.findings[f].draw(rng, language=language) + "." for f in some]
        return " ".join(said + measured) or "ecg.", "|".join(sorted(statements)) + "+" + "|".join(sorted(some))
