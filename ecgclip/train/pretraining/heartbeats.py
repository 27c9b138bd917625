"""HeartLang: heartbeats are words, an ECG is a sentence, and hidden words are guessed from the rest of it.

    signal ─┬─ QRS tokeniser ─▶ single-lead beats ─▶ vocabulary ─▶ words                             loss: vocabulary
            │                                                        │
            └─ some beats hidden ─▶ backbone ─▶ tokens around R ─────┴─▶ words of the hidden beats    loss: masked_beats

Jin et al., "Reading your heart: Learning ECG words and sentences via pre-training ECG language model" (ICLR 2025).

In the paper a vocabulary of 8,192 words is trained first, by transformers that read whole sentences, and then another
transformer guesses half of the words. Here one training does both: the vocabulary is frozen after a part of the steps.
It reads a beat alone, so that a word is a shape that can be drawn. Beats are hidden in the signal, before any backbone,
some of them in all leads. R peaks are those of the ECG, not of each lead, and beats do not part half-way between two of
them but later, as T is longer than P.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.networks.config import BEAT_AFTER_S, BEAT_BEFORE_S, BEAT_OFFSETS_S, ECGConfig
from ecgclip.networks.heads import tokens_around
from ecgclip.networks.tokens import recorded
from ecgclip.train.pretraining.base import Batch, Task
from ecgclip.train.pretraining.vocabulary import Vocabulary

PARTED = BEAT_AFTER_S / (BEAT_BEFORE_S + BEAT_AFTER_S)  # of an R-R interval: from here on it is the next beat's


@dataclass(frozen=True)
class HeartbeatsSizes:
    """Sizes of the vocabulary of heartbeats, and how many beats are hidden.

    Parameters
    ----------
    codes
        Number of words.
    code_width
        Dimension of a code.
    hidden
        Width between the two layers of the vocabulary's encoder, and of its decoder.
    beats
        Share of the beats that are hidden in all leads.
    leads
        Share of the other single-lead beats that are hidden.
    learning
        First part of the steps, in which the vocabulary is learnt; then it is frozen.
    """

    codes: int = 512
    code_width: int = 32
    hidden: int = 256
    beats: float = 0.3
    leads: float = 0.3
    learning: float = 0.4


class Heartbeats(Task):
    """Guesses the words of hidden heartbeats, and learns the words themselves."""

    columns: ClassVar[tuple[str, ...]] = ("signal", "mask", "length", "r_peaks")

    def __init__(self, backbone: nn.Module, config: ECGConfig, sizes: HeartbeatsSizes = HeartbeatsSizes()):
        super().__init__(backbone, config, sizes)
        width, samples = config.width, _samples(BEAT_BEFORE_S, config) + _samples(BEAT_AFTER_S, config)
        self.vocabulary = Vocabulary(samples, sizes.codes, sizes.code_width, sizes.hidden)
        self.near = nn.Linear(len(BEAT_OFFSETS_S) * width, width)
        self.lead = nn.Parameter(torch.randn(12, width))  # the lead that is asked for
        self.masked = nn.Linear(12, width, bias=False)  # a mask token for each lead in which the beat is hidden
        self.guess = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, sizes.codes)
        )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """batch: the columns that it reads; `masked_beats`, and while words are learnt `vocabulary`: see there."""
        signal, at = self.placed(batch)
        beats, inside = cut_beats(signal, at)
        with torch.autocast(signal.device.type, enabled=False):  # which code is nearest is a matter of small angles
            words, losses = self.vocabulary(beats[at.there], inside[at.there])
        hidden = self.choose(at.there)
        score = self.guesses(batch, hide(signal, at, hidden), hidden).float()
        wanted = torch.zeros_like(at.there, dtype=torch.long).masked_scatter(at.there, words)[hidden]
        wrong = F.cross_entropy(score, wanted, reduction="sum") / max(1, len(score))
        return {"masked_beats": wrong, **losses}

    def placed(self, batch: Batch) -> tuple[Tensor, Places]:
        """Return a batch's signal, float32 (b, 12, samples), mV, zero where nothing is recorded, and its beats."""
        signal = recorded(batch["signal"], batch["mask"], batch["length"]).float()
        return signal, places(batch["r_peaks"], batch["mask"], batch["length"], self.config)

    def choose(self, there: Tensor) -> Tensor:
        """there bool (b, n, 12), the single-lead beats; bool (b, n, 12), those of them that are hidden."""
        in_all = torch.rand(there.shape[:2], device=there.device) < self.sizes.beats
        alone = torch.rand(there.shape, device=there.device) < self.sizes.leads
        return there & (in_all[..., None] | alone)

    def guesses(self, batch: Batch, signal: Tensor, hidden: Tensor) -> Tensor:
        """Guess the hidden beats, bool (b, n, 12), of a batch.

        signal: float32 (b, 12, samples), mV, without them; returns the score of each word, (hidden beats, codes)
        """
        tokens = self.backbone(signal, batch["mask"], batch["length"])
        beats = self.near(tokens_around(tokens, batch["r_peaks"])) + self.masked(hidden.to(tokens.dtype))
        asked = beats[:, :, None] + self.lead.to(beats.dtype)  # (b, n, 12, width)
        return self.guess(asked[hidden])

    @torch.no_grad()
    def words(self, batch: Batch) -> Tensor:
        """batch: the columns that it reads; int (b, n, 12), the code of each single-lead beat, -1 = no whole beat."""
        signal, at = self.placed(batch)
        words = self.vocabulary.words(cut_beats(signal, at)[0][at.there])
        return torch.full_like(at.there, -1, dtype=torch.long).masked_scatter(at.there, words)

    def after_step(self, step: int, steps: int) -> None:
        """Freeze the vocabulary when its part of the steps is done."""
        self.vocabulary.frozen.fill_(step + 1 >= self.sizes.learning * steps)

    def watched(self) -> dict[str, float]:
        """Return `perplexity`: how many words are in use, as if they were used alike."""
        return {"perplexity": self.vocabulary.perplexity()}

    def extras(self) -> dict[str, Tensor]:
        """Return the state of the vocabulary (`vocabulary.…`), and each word as a beat (see `vocabulary_beats`)."""
        beats, rate = vocabulary_beats(self)
        state = {f"vocabulary.{name}": part for name, part in self.vocabulary.state_dict().items()}
        return {"beats": beats, "sampling_rate": torch.tensor(rate), **state}


def vocabulary_beats(task: Heartbeats) -> tuple[Tensor, int]:
    """Return each word as a beat, float32 (codes, samples), mV, R at BEAT_BEFORE_S, and its sampling rate, Hz."""
    return task.vocabulary.beats(), task.config.sampling_rate


# ---------------------------------------------------------------------------------------------------------------------
# The QRS tokeniser


@dataclass(frozen=True)
class Places:
    """Where the beats of a batch are, in samples.

    Attributes
    ----------
    first, start, stop : float32 (b, n)
        Of BEAT_BEFORE_S + BEAT_AFTER_S around R; of the beat itself, which a neighbour may shorten. NaN = no beat.
    there : bool (b, n, 12)
        Whole beats of leads that are there.
    samples : int
        From `first` on.
    """

    first: Tensor
    start: Tensor
    stop: Tensor
    there: Tensor
    samples: int


def _samples(seconds: float, config: ECGConfig) -> int:
    return round(seconds * config.sampling_rate)


def places(r_peaks: Tensor, mask: Tensor, length: Tensor, config: ECGConfig) -> Places:
    """Find the beats; the arguments are columns of a batch."""
    before, after = (_samples(seconds, config) for seconds in (BEAT_BEFORE_S, BEAT_AFTER_S))
    peaks = (r_peaks.float() * config.sampling_rate).round()
    apart = F.pad(peaks, (1, 1), value=torch.nan).diff().nan_to_num(torch.inf)  # (b, n + 1)
    start = peaks - ((1 - PARTED) * apart[:, :-1]).clamp(max=before).floor()
    stop = peaks + (PARTED * apart[:, 1:]).clamp(max=after).floor()
    whole = (start >= 0) & (stop <= length[:, None])  # never of NaN
    return Places(peaks - before, start, stop, whole[..., None] & mask[:, None], before + after)


def cut_beats(signal: Tensor, at: Places) -> tuple[Tensor, Tensor]:
    """Cut the beats out of a batch.

    Parameters
    ----------
    signal : float32 (b, 12, samples), mV
    at : Places

    Returns
    -------
    beats : float32 (b, n, 12, samples of a beat), mV
        Zero where a neighbour begins.
    inside : bool (b, n, 12, samples of a beat)
        False there.
    """
    index = at.first[..., None] + torch.arange(at.samples, device=signal.device)  # (b, n, samples of a beat)
    inside = (index >= at.start[..., None]) & (index < at.stop[..., None])
    index = index.nan_to_num().long().clamp(0, signal.shape[-1] - 1)
    rows = torch.arange(len(signal), device=signal.device)[:, None, None]
    beats = (signal.transpose(1, 2)[rows, index] * inside[..., None]).transpose(2, 3)
    return beats, inside[:, :, None].expand_as(beats)


def hide(signal: Tensor, at: Places, hidden: Tensor) -> Tensor:
    """Return a signal (b, 12, samples) with zeros for the hidden beats, bool (b, n, 12)."""
    time = torch.arange(signal.shape[-1], device=signal.device)
    covered = (time >= at.start[..., None]) & (time < at.stop[..., None])  # (b, n, samples)
    gone = hidden.transpose(1, 2).float() @ covered.float() > 0
    return signal.masked_fill(gone, 0.0)
