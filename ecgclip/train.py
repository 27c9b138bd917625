"""Training: `train_text` (masked words), then `train_clip` (alignment), each from a YAML recipe.

Both write `last/` (weights, optimiser and step, replaced after each epoch) and `log.csv` into their output folder,
go on from there when started again, and give the same result as an uninterrupted run: everything random is drawn from the
seed and the step.
"""

from __future__ import annotations

import copy
import csv
import hashlib
import json
import math
import os
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.data import MAIN, MEASURED_CONCEPTS, REPORTED_BY, UNKNOWN, Case
from ecgclip.ecg import EcgclipError
from ecgclip.embedding import cores
from ecgclip.encoder import ECGConfig, ECGFeatures
from ecgclip.evaluate import random_encoder
from ecgclip.files import replacing, write_atomic
from ecgclip.knowledge import KnowledgeBase
from ecgclip.losses import (
    SigmoidBank,
    attended_similarity,
    clinical_similarity,
    clip_loss,
    ranking_loss,
    synonym_loss,
    view_loss,
)
from ecgclip.measure import feature_names, finding_texts
from ecgclip.model import ECGCLIP, ModelConfig, prompt_settings
from ecgclip.pairs import Bank, Composer, concept_wording, finding_wordings, targets
from ecgclip.prepare import SAMPLING_RATE
from ecgclip.splits import Parts, check, divide, learnt, load, patient_folds
from ecgclip.teacher import opinions
from ecgclip.text import (
    MASK,
    HuggingFaceTokenizer,
    SentencePieceTokenizer,
    TextConfig,
    TextEncoder,
    load_tokenizer,
)
from ecgclip.windows import VARIANTS, Windows, load_windows

# Text costs more than the ECGs do, so that only a part of a batch meets each kind of it.
REPORTED = 32  # ECGs of a batch that get a text of their own
LOGGED = ("clip", "statements", "ranking", "findings", "beats", "synonyms", "views", "validation_auroc")
SYNONYMS = 24  # concepts of which two wordings meet
STATE = "state.safetensors"  # of last/
BANK_PART = 0.5  # of the concepts and findings are asked of a batch


@dataclass(frozen=True)
class Recipe:
    """An experiment; the fields of a YAML file in recipes/."""

    name: str
    seed: int
    data: dict[str, dict[str, Any]]
    validation_part: int
    pretraining: dict[str, Any]
    epochs: int
    locked: dict[str, Any]
    teacher: dict[str, Any]
    wording: float  # with the text encoder locked, the share of prompts other than those that inference asks with
    measured: dict[str, Any]
    lr: float
    text_lr: float
    weight_decay: float
    warmup: float
    average: float
    losses: dict[str, float]
    augment: dict[str, float]
    test_part: dict[str, int] = field(
        default_factory=dict
    )  # source → one patient in so many, beside those of splits.py
    ecg: dict[str, Any] = field(default_factory=dict)
    text: dict[str, Any] = field(default_factory=dict)
    reports: float = 0.5  # part of the texts that are the real report, where there is one
    unseen: list[str] = field(default_factory=list)  # concepts that no text and no label of the training may name

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        import yaml

        try:
            recipe = cls(**yaml.safe_load(Path(path).read_text(encoding="utf-8")))
            recipe.ecg_config, recipe.text_config  # noqa: B018 - their fields are checked, too
            if recipe.ecg_config.measured and not recipe.measured["epochs"]:
                raise TypeError("ecg.measured without measured.epochs: that branch would stay untrained")
            if lacking := {"epochs", "lr", "statements", "findings", "ranking"} - recipe.measured.keys():
                raise TypeError(f"measured lacks {', '.join(sorted(lacking))}")
            named = recipe.losses.keys() | recipe.locked["losses"].keys()
            if strange := named - set(LOGGED):
                raise TypeError(f"no loss {sorted(strange)[0]!r}; there are {', '.join(LOGGED[:-1])}")
            if not isinstance(recipe.unseen, list):
                raise TypeError(f"unseen {recipe.unseen!r} is no list of concepts")
            if recipe.unseen:
                KnowledgeBase.load().without(recipe.unseen)  # which knows them, or says so
            check(recipe.data, recipe.test_part)
        except (OSError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
            raise EcgclipError(
                f"{path}: not a recipe ({str(error).splitlines()[0]}); see recipes/default.yaml"
            ) from None
        except EcgclipError as error:
            raise EcgclipError(f"{path}: {error}") from None
        if not recipe.data.keys() & set(MAIN):
            raise EcgclipError(
                f"{path}: data needs one of {', '.join(MAIN)}, the sources with a full list of statements"
            )
        return recipe

    @property
    def main(self) -> str:
        """The source with a full list of statements, whose windows count the epochs and whose patients validate."""
        return next(source for source in MAIN if source in self.data)

    @property
    def ecg_config(self) -> ECGConfig:
        return ECGConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in self.ecg.items()})

    @property
    def text_config(self) -> TextConfig:
        return TextConfig(**self.text)


@dataclass(frozen=True)
class Split:
    """Cases and their windows, a source at a time."""

    cases: list[Case]
    windows: Windows


def load_split(recipe: Recipe, data: Path, kb: KnowledgeBase, validation: bool, log=print) -> dict[str, Split]:
    """The training cases of each source, or the validation cases of the main one."""
    splits, rest = {}, kb.without(recipe.unseen)
    for source in [recipe.main] if validation else recipe.data:
        parts = source_parts(recipe, source, data, kb)
        chosen = [forget(c, rest) for c in (parts.validation if validation else parts.training)]
        variants = VARIANTS if recipe.augment["drop_leads"] else 1
        rate, workers = recipe.ecg_config.sampling_rate, cores()
        splits[source] = Split(chosen, load_windows(chosen, windows_cache(), workers, log, rate, variants))
    return splits


def source_parts(recipe: Recipe, source: str, data: Path, kb: KnowledgeBase, signals: bool = True) -> Parts:
    """What a recipe does with each case of a source. signals=False: rows without a signal too, for their reports."""
    options: dict[str, Any] = {} if signals else {"signals": False}
    if source == "ptb-xl":
        options["fine"] = recipe.ecg_config.sampling_rate > SAMPLING_RATE
    cases = load(source, data / recipe.data[source]["path"], kb, **options)
    validation_part = recipe.validation_part if source == recipe.main else 0
    return divide(source, cases, recipe.data[source].get("folds"), validation_part, recipe.test_part.get(source, 0))


def learnt_from(recipe: Recipe, *parts: dict[str, Split]) -> dict[str, dict[str, Any]]:
    """What a model's config keeps of each source, by which `eval` knows what it was trained on."""
    cases = {source: [c for part in parts if source in part for c in part[source].cases] for source in recipe.data}
    return {source: learnt(source, known, recipe.test_part.get(source, 0)) for source, known in cases.items()}


def forget(case: Case, kb: KnowledgeBase) -> Case:
    """The case without its statements and beats that `kb` does not have, and without a report that tells of them."""
    if kb.unsaid is None:
        return case
    present = {c for c, there in case.statements.items() if there} | case.annotated
    silent = not present <= kb.concepts.keys() or kb.unsaid.search(case.report)
    return replace(
        case,
        statements={c: there for c, there in case.statements.items() if c in kb.concepts},
        annotated=case.annotated & kb.concepts.keys(),
        beats=tuple(beat for beat in case.beats if beat[1] in kb.concepts),
        report="" if silent else case.report,
    )


def spoken_findings(kb: KnowledgeBase) -> dict[str, dict[str, list[str]]]:
    """The words for every finding, but those with a name that `kb` is without; no finding of which no words are left."""
    spoken = {
        key: {
            kind: [t for t in entry.get(kind, []) if not (kb.unsaid and kb.unsaid.search(t))]
            for kind in ("en", "de", "negative_en", "negative_de")
        }
        for key, entry in finding_texts().items()
    }
    return {key: entry for key, entry in spoken.items() if entry["en"]}


def windows_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ecgclip"


def corpus(recipe: Recipe, data: Path, kb: KnowledgeBase) -> list[str]:
    """All text there is: reports of training patients (those without a signal too), the knowledge base, findings."""
    rest = kb.without(recipe.unseen)
    texts = [p.text for p in rest.passages]
    texts += [t for entry in spoken_findings(rest).values() for said in entry.values() for t in said]
    for source in (s for s in recipe.data if s in REPORTED_BY):
        parts = source_parts(recipe, source, data, kb)  # of a small folder, who validates depends on who has a signal
        apart = {c.person for c in [*parts.validation, *parts.test]}
        cases = source_parts(recipe, source, data, kb, signals=False).training
        texts += [report for c in cases if c.person not in apart and (report := forget(c, rest).report)]
    return texts


# --- the text encoder alone -------------------------------------------------------------------------------------------


def train_text(recipe: Recipe, data: Path, out: Path, threads: int | None = None) -> Path:
    """Train the tokenizer and pretrain the text encoder by masked words (Devlin et al. 2019); → the folder `out`."""
    from rich.progress import track
    from safetensors.torch import save_file

    _needs_extra()
    from accelerate import PartialState

    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise EcgclipError("the text encoder is small: train it by one process, and `train clip` by many")
    _threads(threads)
    torch.manual_seed(recipe.seed)
    kb = KnowledgeBase.load()
    config = recipe.text_config
    # one of the hub's is pretrained already: no text is read, only its tokenizer and sizes are fixed
    texts = corpus(recipe, data, kb) if not config.hf_model else [""]
    out.mkdir(parents=True, exist_ok=True)
    if config.hf_model:
        tokenizer = HuggingFaceTokenizer(config.hf_model, config.max_tokens)
        encoder = TextEncoder(config)
        hf = encoder.transformer.model.config
        config = replace(
            config, vocabulary=len(tokenizer), hf_config={**hf.to_diff_dict(), "model_type": hf.model_type}
        )
        recipe = replace(recipe, pretraining={**recipe.pretraining, "epochs": 0})
    else:
        tokenizer = SentencePieceTokenizer.train(texts, config)
        config = replace(config, vocabulary=len(tokenizer))
        encoder = TextEncoder(config)
    tokenizer.save(out)
    head = nn.Linear(encoder.width, config.vocabulary)
    device = PartialState().device
    encoder.to(device)
    head.to(device)
    params = [*encoder.parameters(), *head.parameters()]
    options = recipe.pretraining
    optimiser = torch.optim.AdamW(params, options["lr"], weight_decay=recipe.weight_decay, fused=True)
    modules = {"model": nn.ModuleList([encoder, head])}
    ids, mask = tokenizer(texts)
    step = _resume(out / "last", recipe, modules, optimiser)
    per_epoch = math.ceil(len(texts) / options["batch"])
    steps, started = options["epochs"] * per_epoch, time.time()
    for epoch in track(range(step // per_epoch, options["epochs"]), "words"):
        generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + epoch)
        torch.manual_seed(recipe.seed * 1_000_003 + epoch)
        order = torch.randperm(len(texts), generator=generator)
        total = 0.0
        # batches of like length save the padding; they are shuffled again afterwards
        blocks = [block[mask[block].sum(1).argsort()] for block in order.split(40 * options["batch"])]
        parts = [part for block in blocks for part in block.split(options["batch"])]
        for i in torch.randperm(len(parts), generator=generator):
            rows = parts[i]
            n = int(mask[rows].sum(1).max())
            x, real = ids[rows, :n], mask[rows, :n]
            hidden = (torch.rand(x.shape, generator=generator) < 0.2) & real & (x > MASK)
            x, real, hidden = (t.to(device) for t in (x, real, hidden))
            for group in optimiser.param_groups:
                group["lr"] = options["lr"] * _cosine(step, steps, recipe.warmup)
            with _autocast(device.type):
                states = encoder.hidden(x.masked_fill(hidden, MASK), real)[hidden]
                logits = head(states)
            loss = F.cross_entropy(logits.float(), x[hidden])
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(params, 1.0)
            optimiser.step()
            total += loss.item() * len(rows)
            step += 1
        _log(out / "log.csv", epoch + 1, {"masked_word": total / len(texts)}, time.time() - started, ("masked_word",))
        _save(out / "last", recipe, modules, optimiser, step)
    with replacing(out / "text.safetensors") as partial:
        save_file({k: v.contiguous() for k, v in encoder.state_dict().items()}, partial)
    write_atomic(out / "text.json", json.dumps(asdict(config), indent=1))
    return out


# --- both encoders ----------------------------------------------------------------------------------------------------


class Aligner(nn.Module):
    """The model and its losses: one forward pass of a batch gives every loss by name."""

    def __init__(self, model: ECGCLIP, taught: float):
        super().__init__()
        model.build_text()
        self.model, self.taught = model, taught  # the teacher's share of the say
        self.statements, self.findings, self.beats = SigmoidBank(), SigmoidBank(), SigmoidBank()
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, batch: dict[str, Tensor], weights: dict[str, float]) -> dict[str, Tensor]:
        """→ each loss whose weight is above 0."""
        from open_clip.loss import gather_features

        on = {k for k, w in weights.items() if w > 0}
        rank, world = _world()
        given = (batch.get(name) for name in ("signal", "mask", "r_peaks", "length", "measured"))
        features, views = self.model.ecg.with_views(*given, views=2 if "views" in on else 0)
        losses = {}
        if on & {"statements", "ranking", "findings", "beats"}:
            concept, finding = self._bank(batch, "statement"), self._bank(batch, "finding")
            with torch.autocast(concept.device.type, enabled=False):  # bfloat16 ties what a scale of 60 tells apart
                similarity, found = (features.rhythm.float() @ bank.float().T for bank in (concept, finding))
            if "statements" in on:
                losses["statements"] = self.statements(
                    similarity, batch["statement_truth"], batch["statement_soft"], self.taught
                )
            if "ranking" in on:
                losses["ranking"] = ranking_loss(similarity, batch["statement_truth"])
            if "findings" in on:
                losses["findings"] = self.findings(found, batch["finding_truth"])
            if "beats" in on:
                bank = torch.cat([concept, finding])
                truth = torch.cat([batch["statement_truth"], batch["finding_truth"]], 1)
                local = self.beats(attended_similarity(features.beats, features.beat_mask, bank), truth)
                n = batch["r_peaks"].shape[1]
                annotated = batch["beat_truth"].amax(-1) >= 0  # (b, n)
                if annotated.any():
                    beats = features.beats[:, :n][annotated] @ concept[batch["beat_columns"]].T
                    local = local + self.beats(beats, batch["beat_truth"][annotated])
                losses["beats"] = local
        if "clip" in on:
            reported = batch["reported"]  # rows of the batch that have a text of their own
            with torch.set_grad_enabled("statement_vectors" not in batch):
                text = self.model.text(batch["text_ids"], batch["text_mask"])
            ecg, meaning = features.rhythm[reported], batch["meaning"]
            if world > 1:
                # gathering needs as many rows of each process, but not all processes have as many reports
                spare = len(features.rhythm) - len(reported)
                ecg, text = gather_features(
                    F.pad(ecg, (0, 0, 0, spare)),
                    F.pad(text, (0, 0, 0, spare)),
                    local_loss=False,
                    gather_with_grad=True,
                    rank=rank,
                    world_size=world,
                )
                meaning = _gather(F.pad(meaning, (0, spare), value=-1), world)
                ecg, text, meaning = (x[meaning >= 0] for x in (ecg, text, meaning))
            losses["clip"] = clip_loss(
                ecg, text, meaning[:, None] == meaning[None], self.log_scale.exp().clamp(max=100)
            )
        if "synonyms" in on and "synonym_ids" in batch:
            losses["synonyms"] = synonym_loss(
                self.model.text(batch["synonym_ids"], batch["synonym_mask"]).unflatten(0, (2, -1))
            )
        if "views" in on:
            alike = clinical_similarity(batch["present"], batch["rarity"])
            losses["views"] = view_loss(views[0].float(), views[1].float(), alike)
        return losses

    def _bank(self, batch: dict[str, Tensor], name: str) -> Tensor:
        if f"{name}_vectors" in batch:
            return batch[f"{name}_vectors"]
        return self.model.text(batch[f"{name}_ids"], batch[f"{name}_mask"])


class Batches:
    """Draws the batch of a step: the same one for the same seed, step and rank.

    After `lock`, banks come as vectors of a text encoder that no longer changes, and whole, as they then cost nothing.
    """

    def __init__(self, recipe: Recipe, splits: dict[str, Split], model: ECGCLIP, rank: int = 0, world: int = 1):
        self.recipe, self.splits, self.rank, self.world = recipe, splits, rank, world
        self.tokenizer, kb = model.tokenizer, model.kb
        templates = prompt_settings()["plain"]
        known = {c for split in splits.values() for case in split.cases for c in case.statements}
        beat_concepts = next(iter(splits.values())).windows.beat_concepts
        self.beats = np.array([i for i, c in enumerate(beat_concepts) if c in kb.concepts])  # kinds that are asked for
        self.concepts = tuple(sorted((known | set(MEASURED_CONCEPTS) | set(beat_concepts)) & kb.concepts.keys()))
        self.always = {"statement": [self.concepts.index(beat_concepts[i]) for i in self.beats], "finding": []}
        spoken = spoken_findings(kb)
        keys = next(iter(splits.values())).windows.finding_keys
        self.findings = np.array([i for i, key in enumerate(keys) if key in spoken])
        self.banks = {
            "statement": Bank({c: concept_wording(kb, c, templates) for c in self.concepts}, self.tokenizer),
            "finding": Bank(finding_wordings(spoken), self.tokenizer),
        }
        wordings = {c: concept_wording(kb, c, templates) for c in kb.concepts}
        self.synonyms = Bank(wordings, self.tokenizer)
        self.vectors: dict[str, Tensor] = {}
        self.truth = {k: targets(s.cases, s.windows, self.concepts) for k, s in splits.items()}
        self.main = recipe.main
        self.soft = {k: np.full(t.shape, np.nan, np.float32) for k, t in self.truth.items()}
        if recipe.teacher["share"]:
            self.soft[self.main] = opinions(
                splits[self.main].windows.features[:, 0], self.truth[self.main], recipe.teacher["trees"], recipe.seed
            )
        # what most ECGs have says little of how alike two are
        counts = np.sum([(t == 1).sum(0) for t in self.truth.values()], 0)
        self.rarity = torch.from_numpy(
            np.log(sum(map(len, self.truth.values())) / np.maximum(counts, 1)).astype(np.float32)
        )
        self.composer = Composer(kb, spoken, self.concepts)

    @property
    def steps_per_epoch(self) -> int:
        return max(1, len(self.splits[self.main].windows) // (self.recipe.data[self.main]["per_step"] * self.world))

    def whiten(self, model: ECGCLIP, power: float) -> None:
        """Spread the vectors of `model`'s text encoder by how those of the knowledge base and the findings lie."""
        model.eval()
        text, banks = model.build_text(), (self.synonyms, self.banks["finding"])
        text.whiten(torch.cat([bank.vectors(text.projected, _device(model)) for bank in banks]), power)

    def lock(self, model: ECGCLIP) -> None:
        """From now on, draw from the vectors that `model`'s text encoder gives, the enriched prompts among them."""
        model.eval()
        text = model.build_text()
        self.vectors = {name: bank.vectors(text, _device(model)) for name, bank in self.banks.items()}
        model.set_knowledge(model.kb)
        enriched = np.stack([model.concept_vector(c) for c in self.concepts])
        self.vectors["enriched"] = torch.from_numpy(enriched.astype(np.float32))

    def rows(self, source: str, step: int) -> np.ndarray:
        """Indices of this rank's windows: consecutive slices of an endless sequence of permutations."""
        n, take = len(self.splits[source].windows), self.recipe.data[source]["per_step"]
        first = (step * self.world + self.rank) * take
        seed = [self.recipe.seed, *source.encode()]
        cycles = range(first // n, (first + take - 1) // n + 1)
        order = np.concatenate([np.random.default_rng([*seed, c]).permutation(n) for c in cycles])
        return order[first - cycles[0] * n :][:take]

    def __call__(self, step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.recipe.seed, 1, step, self.rank])
        parts, texts, meanings, reported, start = [], [], [], [], 0
        # once the text encoder is locked, whole texts are for CLIP alone
        texted = not self.vectors or bool(self.recipe.locked["losses"].get("clip"))
        for source, split in self.splits.items():
            rows = self.rows(source, step)
            windows, truth = split.windows, self.truth[source][rows]
            for i, row in enumerate(rows):
                case = split.cases[windows.case[row]]
                if texted and case.complete and i < REPORTED:
                    present = [
                        self.concepts[j] for j in np.flatnonzero(truth[i] == 1) if self.concepts[j] in case.statements
                    ]
                    found = [windows.finding_keys[j] for j in self.findings if windows.findings[row, j] == 1]
                    text, meaning = self.composer.write(case, present, found, rng, self.recipe.reports)
                    texts.append(text)
                    meanings.append(int.from_bytes(hashlib.blake2b(meaning.encode(), digest_size=7).digest(), "big"))
                    reported.append(start + i)
            beats = windows.beats[rows]
            marks = (beats[..., None] == self.beats).astype(np.int8)
            marks[beats == UNKNOWN] = UNKNOWN
            parts.append(
                {
                    "signal": windows.signal[rows].astype(np.float32),
                    "leads": windows.leads[rows],
                    "features": windows.features[rows],
                    "r_peaks": windows.r_peaks[rows],
                    "length": windows.length[rows],
                    "statement_truth": truth,
                    "statement_soft": self.soft[source][rows],
                    "finding_truth": windows.findings[rows][:, self.findings],
                    "beat_truth": marks,
                }
            )
            start += len(rows)
        batch = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
        batch = augment(batch, self.recipe.augment, rng)
        if self.vectors:  # from here on, the signal learns alone
            del batch["measured"]
        out = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in batch.items()}
        out["present"], out["rarity"] = out["statement_truth"] == 1, self.rarity
        self._ask(out, rng)
        if not self.vectors:
            few = rng.choice(len(self.synonyms.keys), min(SYNONYMS, len(self.synonyms.keys)), replace=False)
            which, _ = self.synonyms.draw(rng, np.tile(few, 2), deny=0)
            out["synonym_ids"], out["synonym_mask"] = self.synonyms.tokens(which)
        if texted:
            out["text_ids"], out["text_mask"] = self.tokenizer(texts)
            out["meaning"], out["reported"] = torch.tensor(meanings), torch.tensor(reported)
        return out

    def measurements(self, step: int) -> dict[str, Tensor]:
        """What is measured in a step's windows and asked of it, without the signals; of a locked text encoder."""
        rng = np.random.default_rng([self.recipe.seed, 2, step, self.rank])
        parts = []
        for source, split in self.splits.items():
            rows, windows = self.rows(source, step), split.windows
            measured = windows.features[rows][_variant(windows.leads[rows], self.recipe.augment["drop_leads"], rng)]
            measured[:, IN_MV] *= np.exp(rng.normal(0, self.recipe.augment["gain"], (len(rows), 1)))
            soft, truth = self.soft[source][rows], self.truth[source][rows]
            parts.append((measured, truth, soft, windows.findings[rows][:, self.findings]))
        names = ("measured", "statement_truth", "statement_soft", "finding_truth")
        out = {k: torch.from_numpy(np.concatenate(v)) for k, v in zip(names, zip(*parts, strict=True), strict=True)}
        self._ask(out, rng)
        return out

    def _ask(self, out: dict[str, Tensor], rng: np.random.Generator) -> None:
        """Add to a batch the texts of both banks, or their vectors, and what is true of them.

        Once the text encoder is locked, a statement is mostly asked for by the very prompt that inference asks with.
        """
        for name, bank in self.banks.items():
            rows = np.arange(len(bank.keys))
            if not self.vectors:
                rows = np.flatnonzero((rng.random(len(rows)) < BANK_PART) | np.isin(rows, self.always[name]))
            which, denied = bank.draw(rng, rows)
            if self.vectors:
                vectors = self.vectors[name][which]
                if name == "statement":
                    whole = torch.from_numpy(rng.random(len(rows)) >= self.recipe.wording)
                    vectors, denied = torch.where(whole[:, None], self.vectors["enriched"], vectors), denied & ~whole
                out[f"{name}_vectors"] = vectors
            else:
                out[f"{name}_ids"], out[f"{name}_mask"] = bank.tokens(which)
            out[f"{name}_truth"] = _deny(out[f"{name}_truth"][:, rows], denied)
            if name == "statement":  # the teacher's opinion and a beat's own truth follow the wording too
                soft = out["statement_soft"][:, rows]
                out["statement_soft"] = torch.where(denied, 1 - soft, soft)
                if "beat_truth" not in out:
                    continue
                out["beat_columns"] = torch.from_numpy(np.searchsorted(rows, self.always[name]))
                out["beat_truth"] = _deny(out["beat_truth"], denied[out["beat_columns"]])


def _deny(truth: Tensor, denied: Tensor) -> Tensor:
    """Where a text denies, those who have it are its negatives; what is unknown stays so."""
    return torch.where(denied & (truth >= 0), 1 - truth, truth)


IN_MV = np.array(
    [name.split(":")[0].endswith("_mv") for name in feature_names()]
)  # of the measurements, those that a gain changes


def _variant(leads: np.ndarray, drop: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """leads (b, variants, 12) → indices that take one variant of each, with the chance `drop` not the first."""
    n = len(leads)
    return np.arange(n), np.where(rng.random(n) < drop, rng.integers(1, max(leads.shape[1], 2), n), 0)


def augment(
    batch: dict[str, np.ndarray], strength: dict[str, float], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Leads dropped (down to one), gain, baseline wander, muscle and mains noise, shorter windows; nothing in place.

    signal float32 (b, 12, 10 s) mV, r_peaks (b, n) s, length (b,) samples, leads bool (b, variants, 12) and features
    (b, variants, …), of which one is drawn: mask (b, 12) and measured (b, …).
    """
    signal, peaks = batch["signal"].copy(), batch["r_peaks"].copy()
    length = np.array(batch["length"])
    n, rate = len(signal), signal.shape[-1] // 10  # a window has 10 s
    time_s = np.arange(signal.shape[-1], dtype=np.float32) / rate

    def level(name: str) -> np.ndarray:  # most records get a little, few get much
        return (rng.exponential(strength[name] / 2, (n, 12, 1))).astype(np.float32)

    drawn = _variant(batch["leads"], strength["drop_leads"], rng)
    mask, measured = batch["leads"][drawn], batch["features"][drawn]
    gain = np.exp(rng.normal(0, strength["gain"], (n, 1, 1))).astype(np.float32)
    signal *= gain
    measured[:, IN_MV] *= gain[:, 0]
    signal += level("noise") * rng.standard_normal(signal.shape, np.float32)
    phase = rng.uniform(0, 2 * np.pi, (n, 12, 1)).astype(np.float32)
    signal += level("wander") * np.sin(2 * np.pi * rng.uniform(0.2, 0.6, (n, 1, 1)).astype(np.float32) * time_s + phase)
    left = [40.0, 48.0] if rate == SAMPLING_RATE else [50.0, 60.0]  # Hz; what preparing leaves of 50 or 60
    signal += level("mains") * np.sin(2 * np.pi * rng.choice(left, (n, 1, 1)).astype(np.float32) * time_s + phase)
    beat_truth = batch["beat_truth"].copy()
    for i in np.flatnonzero(rng.random(n) < strength["crop"]):
        keep = int(rng.integers(min(4 * rate, length[i]), length[i] + 1))
        first = int(rng.integers(0, length[i] - keep + 1))
        signal[i, :, :keep] = signal[i, :, first : first + keep].copy()
        length[i] = keep
        moved = np.round(peaks[i] * rate) - first  # whole samples: 5.17 s is 516.99999 of them otherwise
        inside = (moved >= 0) & (moved < keep)
        count = int(inside.sum())
        peaks[i], marks = np.nan, beat_truth[i][inside]
        peaks[i, :count] = moved[inside] / rate
        beat_truth[i] = UNKNOWN
        beat_truth[i, :count] = marks
    signal *= mask[..., None]
    signal *= np.arange(signal.shape[-1]) < length[:, None, None]
    rest = {k: v for k, v in batch.items() if k not in ("leads", "features")}
    changed = {"signal": signal, "mask": mask, "measured": measured, "r_peaks": peaks, "length": length}
    return rest | changed | {"beat_truth": beat_truth}


def train_clip(recipe: Recipe, data: Path, text: Path, out: Path, threads: int | None = None) -> Path:
    """Align both encoders from `text` (a folder that train_text wrote); → `out`/model, ready for load_model.

    Starts again from `out`/last where that exists. Raises EcgclipError if it was made by another recipe.
    """
    _needs_extra()
    from accelerate import Accelerator, DistributedDataParallelKwargs
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn
    from safetensors.torch import load_file

    if not (text / "text.json").exists():
        raise EcgclipError(f"{text}: no text encoder here; make one with `ecgclip train text`")
    _threads(threads)
    started, version = time.time(), code_version()
    accelerator = Accelerator(kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)])
    rank, world = accelerator.process_index, accelerator.num_processes
    out.mkdir(parents=True, exist_ok=True)
    kb = KnowledgeBase.load()
    # one process prepares, the others wait and find it: no collective, which would time out on a large archive
    splits = load_split(recipe, data, kb, validation=False)
    held_out = load_split(recipe, data, kb, validation=True)
    text_config = TextConfig.from_dict(json.loads((text / "text.json").read_text()))
    torch.manual_seed(recipe.seed)
    rest = kb.without(recipe.unseen)
    model = ECGCLIP(ModelConfig(recipe.ecg_config, text_config), load_tokenizer(text, text_config), rest)
    model.build_text().load_state_dict(load_file(text / "text.safetensors"))
    if model.ecg.measured is not None:
        model.ecg.measured.fit(torch.from_numpy(np.concatenate([s.windows.features[:, 0] for s in splits.values()])))
    aligner = Aligner(model, recipe.teacher["share"])
    averaged = copy.deepcopy(aligner.model)
    batches = Batches(recipe, splits, model, rank, world)
    joint = recipe.epochs * batches.steps_per_epoch
    steps = joint + recipe.locked["epochs"] * batches.steps_per_epoch
    slow = {id(p) for p in model.text.transformer.parameters()}
    groups = [
        {
            "params": [p for p in aligner.parameters() if (id(p) in slow) == text and (p.ndim > 1) == matrix],
            "lr": recipe.text_lr if text else recipe.lr,
            "weight_decay": recipe.weight_decay if matrix else 0.0,  # of scales and biases it would take the meaning
        }
        for text in (False, True)
        for matrix in (False, True)
    ]
    optimiser = torch.optim.AdamW(groups, fused=True)
    rates = [g["lr"] for g in optimiser.param_groups]
    wrapped = accelerator.prepare(aligner)
    averaged.to(accelerator.device)
    modules = {"model": aligner, "average": averaged}
    step = _resume(out / "last", recipe, modules, optimiser)
    bar = Progress(*Progress.get_default_columns(), TimeElapsedColumn(), MofNCompleteColumn())
    sums: dict[str, float] = {}
    with bar:
        task = bar.add_task("align", total=steps, completed=step, visible=accelerator.is_main_process)
        while step < steps:
            torch.manual_seed(recipe.seed * 1_000_003 + step * world + rank)  # dropout is part of what resumes
            if step >= joint and not batches.vectors:
                # LiT (Zhai et al. 2022): the averaged texts stand still, the ECGs come to meet them
                if step == joint:
                    if recipe.locked["whiten"]:  # 0: the texts stay as they are
                        batches.whiten(averaged, recipe.locked["whiten"])
                    # what overfits few ECGs is the ECG encoder: it begins anew, its branches apart
                    averaged.ecg.load_state_dict(random_encoder(averaged, recipe.seed).ecg.state_dict())
                    aligner.model.load_state_dict(averaged.state_dict())
                    for bank in (aligner.statements, aligner.findings):
                        bank.sharpen(recipe.locked["scale"])
                batches.lock(averaged)
                rates = [recipe.locked["lr"]] * len(rates)
            within = (step, joint) if step < joint else (step - joint, steps - joint)
            weights = recipe.losses if step < joint else recipe.locked["losses"]
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * _cosine(*within, recipe.warmup)
            batch = {k: v.to(accelerator.device) for k, v in batches(step).items()}
            wrapped.train()
            with _autocast(accelerator.device.type):
                losses = wrapped(batch, weights)
            loss = sum(weights[k] * v for k, v in losses.items())
            if not torch.isfinite(loss):
                raise EcgclipError(
                    f"the loss is no longer a number at step {step}; lower lr in the recipe and start again"
                )
            optimiser.zero_grad()
            accelerator.backward(loss)
            nn.utils.clip_grad_norm_(aligner.parameters(), 1.0)
            optimiser.step()
            _average(averaged, aligner.model, min(recipe.average, (within[0] + 1) / (within[0] + 20)))
            for k, v in losses.items():
                sums[k] = sums.get(k, 0.0) + v.item() / batches.steps_per_epoch
            step += 1
            bar.update(task, completed=step)
            if step % batches.steps_per_epoch == 0:
                epoch = step // batches.steps_per_epoch
                if accelerator.is_main_process:
                    if epoch % 5 == 0 or step == steps:
                        sums["validation_auroc"] = validation_auroc(averaged, held_out, measured=step <= joint)
                    _log(out / "log.csv", epoch, sums, time.time() - started, LOGGED)
                    _save(out / "last", recipe, modules, optimiser, step)
                accelerator.wait_for_everyone()
                sums = {}
    if accelerator.is_main_process:
        batches.rank, batches.world = 0, 1  # what is left is the work of one process
        train_measured(averaged, batches, recipe)
        finish(averaged, recipe, splits, held_out, data, out, time.time() - started, version)
    return out / "model"


SIGNAL_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)  # tried


def train_measured(model: ECGCLIP, batches: Batches, recipe: Recipe) -> None:
    """Teach the measurements' branch, alone, on the prompts that inference asks with.

    Taught together with the signal it would learn half of what it can, beside a network that knows its training ECGs by heart.
    """
    from rich.progress import track

    branch, options = model.ecg.measured, recipe.measured
    if branch is None:
        return
    torch.manual_seed(recipe.seed)
    if not batches.vectors:
        batches.lock(model)
    device = _device(model)
    banks = nn.ModuleDict({name: SigmoidBank(recipe.locked["scale"]) for name in ("statement", "finding")}).to(device)
    trained = nn.ModuleList([branch, banks])
    averaged = copy.deepcopy(trained)
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for p in trained.parameters() if p.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in trained.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ],
        options["lr"],
        fused=True,
    )
    steps = options["epochs"] * batches.steps_per_epoch
    model.train()
    for step in track(range(steps), "measured"):
        for group in optimiser.param_groups:
            group["lr"] = options["lr"] * _cosine(step, steps, recipe.warmup)
        batch = {k: v.to(device) for k, v in batches.measurements(step).items()}
        members = branch.members(batch["measured"])  # each is taught by itself
        loss = torch.zeros((), device=device)
        for name, bank in banks.items():
            similarity = (members @ batch[f"{name}_vectors"].T).flatten(1)
            truth = batch[f"{name}_truth"].repeat(1, members.shape[1])
            taught = (batch["statement_soft"].repeat(1, members.shape[1]), recipe.teacher["share"])
            loss = loss + options[f"{name}s"] * bank(similarity, truth, *(taught if name == "statement" else ()))
            if name == "statement":
                loss = loss + options["ranking"] * ranking_loss(similarity, truth)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimiser.step()
        _average(averaged, trained, min(recipe.average, (step + 1) / (step + 20)))
    trained.load_state_dict(averaged.state_dict())


def weigh_signal(model: ECGCLIP, held_out: dict[str, Split]) -> dict[str, Any]:
    """Weigh the signal beside the measurements, by the validation split → what to keep of it.

    auroc: cross-fitted, each fold of patients by the weight (signal_weights) that the others choose.
    """
    if model.ecg.measured is None:
        return {"auroc": validation_auroc(model, held_out)}
    split = next(iter(held_out.values()))
    folds = patient_folds([split.cases[i] for i in split.windows.case])
    similarity, truth = weighted_similarity(model, held_out)
    scores = weight_scores(similarity, truth)
    model.ecg.signal_weight.fill_(SIGNAL_WEIGHTS[int(np.argmax(scores))])
    print("validation by the signal's weight:", dict(zip(SIGNAL_WEIGHTS, scores.round(4).tolist(), strict=True)))
    apart, chosen = similarity[0, 0].copy(), []
    for k in range(folds.max() + 1):
        best = int(np.argmax(weight_scores(similarity[:, :, folds != k], truth[folds != k])))
        apart[folds == k] = similarity[best, 0, folds == k]
        chosen.append(SIGNAL_WEIGHTS[best])
    return {"auroc": macro_auroc(apart, truth), "signal_weights": chosen}


def signal_weights(model: ECGCLIP, held_out: dict[str, Split]) -> dict[float, float]:
    """Weight of the signal beside the measurements → validation AUROC, half of it from all leads, half from subsets of them."""
    return dict(zip(SIGNAL_WEIGHTS, weight_scores(*weighted_similarity(model, held_out)).tolist(), strict=True))


def weight_scores(similarity: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """similarity (weights, variants, windows, concepts), truth (windows, concepts) → AUROC of each weight; 0 where there is none."""
    scores = np.array([[macro_auroc(s, truth) for s in variants] for variants in similarity])
    return np.nan_to_num((scores[:, 0] + scores[:, min(1, scores.shape[1] - 1) :].mean(1)) / 2)


@torch.no_grad()
def weighted_similarity(model: ECGCLIP, held_out: dict[str, Split]) -> tuple[np.ndarray, np.ndarray]:
    """→ (SIGNAL_WEIGHTS, lead subsets, windows, concepts) of the validation windows, and their truth."""
    windows, (truth, prompts) = next(iter(held_out.values())).windows, validation_prompts(model, held_out)
    similarity = np.zeros((len(SIGNAL_WEIGHTS), windows.leads.shape[1], *truth.shape), np.float32)
    model.eval()
    for variant in range(windows.leads.shape[1]):
        some = replace(windows, mask=windows.leads[:, variant])
        signal = encode_windows(model, some, measured=False).rhythm
        measured = model.ecg.measured(torch.tensor(windows.features[:, variant], device=_device(model))).cpu()
        for i, weight in enumerate(SIGNAL_WEIGHTS):
            similarity[i, variant] = F.normalize(measured + weight * signal, dim=-1).numpy() @ prompts.T
    return similarity, truth


def finish(
    model: ECGCLIP,
    recipe: Recipe,
    splits: dict[str, Split],
    held_out: dict[str, Split],
    data: Path,
    out: Path,
    seconds: float,
    version: str,
) -> None:
    """Weigh the signal, embed the knowledge base, draw the reference bank, choose the floor, calibrate by the validation split, save."""
    from ecgclip.calibrate import calibrate, choose_floor, choose_threshold, cross_fit, cross_fitted_f1

    model.eval()
    model.round_matrices()  # before anything is fitted: these are the weights that will be loaded
    figures = weigh_signal(model, held_out)
    model.set_knowledge(model.kb)
    main = splits[recipe.main]
    rows = np.random.default_rng(recipe.seed).permutation(len(main.windows))[:512]
    model.reference = embed_windows(model, main.windows, rows)
    facts = {
        "recipe": asdict(recipe),
        "code_version": version,
        "seconds": round(seconds),
        "data_sha256": data_hash(recipe, data),
        "split": learnt_from(recipe, splits, held_out),
        "concepts": sorted(trained_concepts(splits) & model.kb.concepts.keys()),
    }
    model.config = replace(model.config, training=facts)  # prompts depend on it, and calibration on prompts
    model.config = replace(model.config, floor=choose_floor(model), calibration=calibrate(model, held_out))
    curves, figures["ece"] = cross_fit(model, held_out)
    figures["f1"] = cross_fitted_f1(model, held_out, curves)
    facts["cross_fitted"] = {k: v if isinstance(v, list) else _rounded(v) for k, v in figures.items()}
    print("cross-fitted on validation:", facts["cross_fitted"])
    threshold = choose_threshold(model, held_out, curves)
    model.config = replace(model.config, threshold=threshold, training=facts)
    model.save(out / "model")


def trained_concepts(splits: dict[str, Split], least: int = 5) -> set[str]:
    """Concepts that at least so many training cases have: the others are asked by their criteria first."""
    counts: dict[str, int] = {}
    for split in splits.values():
        for case in split.cases:
            for concept, present in case.statements.items():
                counts[concept] = counts.get(concept, 0) + present
    return {c for c, n in counts.items() if n >= least} | set(MEASURED_CONCEPTS)


def embed_windows(model: ECGCLIP, windows: Windows, rows: np.ndarray | None = None) -> np.ndarray:
    """Rhythm vectors float32 (n, dim) of the given windows."""
    return encode_windows(model, windows, rows).rhythm.numpy()


@torch.no_grad()
def encode_windows(
    model: ECGCLIP, windows: Windows, rows: np.ndarray | None = None, measured: bool = True
) -> ECGFeatures:
    """All that the encoder gives for the given windows (all of them by default); not measured: from the signal alone."""
    rows = np.arange(len(windows)) if rows is None else rows
    model.eval()
    device = _device(model)
    parts = []
    for part in np.array_split(rows, max(1, len(rows) // 64)):
        arrays = (
            windows.signal[part].astype(np.float32),
            windows.mask[part],
            windows.r_peaks[part],
            windows.length[part],
            *([windows.features[part, 0]] if measured else []),
        )
        parts.append(model.ecg(*(torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in arrays)))
    return ECGFeatures.cat(parts)


def validation_prompts(model: ECGCLIP, held_out: dict[str, Split], least: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Truth (windows, concepts), 1, 0 or -1, of what enough held-out patients have and lack, and the enriched prompts' vectors."""
    split = next(iter(held_out.values()))
    concepts = tuple(sorted({c for case in split.cases for c in case.statements}))
    truth = targets(split.cases, split.windows, concepts)
    keep = ((truth == 1).sum(0) >= least) & ((truth == 0).sum(0) >= least)
    chosen = [c for c, enough in zip(concepts, keep, strict=True) if enough]
    if not chosen:  # a small folder
        return truth[:, keep], np.zeros((0, model.config.ecg.dim), np.float32)
    asking = copy.copy(model)  # the same weights, of which only these passages are embedded
    asking.set_knowledge(KnowledgeBase({c: model.kb.concepts[c] for c in chosen}, model.kb.sources, ""))
    return truth[:, keep], np.stack([asking.concept_vector(c) for c in chosen])


def macro_auroc(similarity: np.ndarray, truth: np.ndarray) -> float:
    """Mean over the concepts that some have and some lack; NaN without any."""
    from sklearn.metrics import roc_auc_score

    both = (truth == 1).any(0) & (truth == 0).any(0)
    columns = [(s[t >= 0], t[t >= 0]) for s, t in zip(similarity.T[both], truth.T[both], strict=True)]
    return float(np.mean([roc_auc_score(t, s) for s, t in columns])) if columns else math.nan


def validation_auroc(model: ECGCLIP, held_out: dict[str, Split], measured: bool = True) -> float:
    """Macro AUROC of the enriched prompts over the concepts with enough positives among the held-out patients."""
    model.eval()
    truth, prompts = validation_prompts(model, held_out)
    ecgs = encode_windows(model, next(iter(held_out.values())).windows, measured=measured).rhythm.numpy()
    return macro_auroc(ecgs @ prompts.T, truth)


# --- small parts ------------------------------------------------------------------------------------------------------


def _needs_extra() -> None:
    try:
        import accelerate  # noqa: F401
        import open_clip  # noqa: F401
        import sklearn  # noqa: F401
    except ModuleNotFoundError as error:
        raise EcgclipError(f'training needs {error.name}: pip install "ecgclip[train]"') from None


def _threads(threads: int | None) -> None:
    if threads:
        torch.set_num_threads(threads)


def _rounded(figure: float) -> float | None:
    return None if math.isnan(figure) else round(figure, 4)


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _autocast(device: str) -> torch.autocast:
    # bfloat16 halves the time on processors that have it; others would emulate it, in more time than float32 takes
    has_it = device != "cpu" or (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.autocast(device, torch.bfloat16, enabled=has_it)


def _cosine(step: int, steps: int, warmup: float) -> float:
    rise = max(1.0, warmup * steps)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1.0, steps - rise)))


def _world() -> tuple[int, int]:
    import torch.distributed as dist

    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


def _gather(x: Tensor, world: int) -> Tensor:
    import torch.distributed as dist

    parts = [torch.zeros_like(x) for _ in range(world)]
    dist.all_gather(parts, x)
    return torch.cat(parts)


@torch.no_grad()
def _average(averaged: nn.Module, model: nn.Module, keep: float) -> None:
    for old, new in zip(averaged.state_dict().values(), model.state_dict().values(), strict=True):
        if old.dtype.is_floating_point:
            old.lerp_(new, 1 - keep)
        else:
            old.copy_(new)


def _save(
    folder: Path, recipe: Recipe, modules: dict[str, nn.Module], optimiser: torch.optim.Optimizer, step: int
) -> None:
    """Into one file, so that however a run ends there is the checkpoint before or this one, whole."""
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True)
    for left in folder.glob(f"{STATE}.*.partial"):  # of a run that was killed while it wrote
        left.unlink()
    tensors = {f"{name}.{k}": v for name, module in modules.items() for k, v in module.state_dict().items()}
    for i, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{i}.{k}": v for k, v in state.items()}
    facts = {"step": str(step), "recipe": json.dumps(asdict(recipe))}
    with replacing(folder / STATE) as partial:
        save_file({k: v.contiguous().clone() for k, v in tensors.items()}, partial, facts)


def _resume(folder: Path, recipe: Recipe, modules: dict[str, nn.Module], optimiser: torch.optim.Optimizer) -> int:
    """Load what `_save` wrote → its step; 0 where there is none."""
    from safetensors import safe_open

    if not (folder / STATE).exists():
        return 0
    with safe_open(folder / STATE, "pt") as stored:
        facts = stored.metadata() or {}
        if facts.get("recipe") != json.dumps(asdict(recipe)):
            raise EcgclipError(f"{folder}: was made by another recipe; give another -o or remove it")
        tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 - no dict
    for name, module in modules.items():
        own = f"{name}."
        module.load_state_dict({k.removeprefix(own): v for k, v in tensors.items() if k.startswith(own)})
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, i, name = key.split(".", 2)
            state.setdefault(int(i), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return int(facts["step"])


def _log(path: Path, epoch: int, sums: dict[str, float], seconds: float, columns: tuple[str, ...]) -> None:
    """One row an epoch; rows that an interruption left behind the last checkpoint are written anew."""
    rows: list[list[str]] = []
    if path.exists():
        with path.open(newline="") as file:
            rows = [row for row in list(csv.reader(file))[1:] if int(row[0]) < epoch]
    rows.append([str(epoch), str(round(seconds)), *(f"{sums[c]:.4f}" if c in sums else "" for c in columns)])
    with replacing(path) as partial, partial.open("w", newline="") as file:
        csv.writer(file).writerows([["epoch", "seconds", *columns], *rows])


def code_version() -> str:
    """The package's version and, in a checkout, the commit; "-dirty" where a tracked file outside results/ is changed."""
    import subprocess
    from importlib.metadata import PackageNotFoundError, version

    try:
        package = version("ecgclip")
    except PackageNotFoundError:
        package = "unknown"
    own = Path(__file__)

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(own.parent), *arguments]
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=5).stdout.strip()
        except (OSError, subprocess.TimeoutExpired):
            return ""

    # an installation may lie in a folder of another repository, which knows nothing of this file
    commit = git("describe", "--always") if git("ls-files", own.name) else ""
    # results/ is what a measurement rewrites: no reason to call the code that measured it changed
    changed = commit and git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)results")
    return f"{package}+{commit}{'-dirty' if changed else ''}" if commit else package


def data_hash(recipe: Recipe, data: Path) -> str:
    """SHA-256 over the label tables and the names and sizes of the records that a recipe reads."""
    digest = hashlib.sha256()
    for options in recipe.data.values():
        for file in sorted((data / options["path"]).rglob("*")):
            if file.suffix == ".csv":
                digest.update(file.read_bytes())
            elif file.is_file():
                digest.update(f"{file.relative_to(data)} {file.stat().st_size}\n".encode())
    return digest.hexdigest()
