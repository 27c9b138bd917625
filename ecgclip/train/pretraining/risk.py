"""Contrast of views whose negatives weigh more, the more two patients' risk scores differ.

    ECG ──▶ two views ──backbone──▶ mean token ──projection──▶ z, z′ ──▶ contrast: z meets z′ among all other ECGs
    age, sex, measurements ──▶ risk score of each ECG ──▶ gap and confidence of each pair ──▶ weight of each negative
                                                     └──▶ alignment: similarity of z and z′ follows the gap

The method is CLEF, of Shu, Charlton, Kawsar, Hernesniemi and Malekzadeh, "CLEF: Clinically-guided contrastive learning
for electrocardiogram foundation models" (arXiv 2512.02180, 2025); its contrast is that of SimCLR (Chen et al., ICML
2020). CLEF takes the score from SCORE2, which needs blood pressure, cholesterol and smoking; archives of ECGs have age
and sex. Here SCORE2's part of age and sex is added to what the ECG itself shows, `TERMS`.

THE SCORE IS A TRAINING SIGNAL AND NO CLINICAL RISK. It adds logarithms of ratios from studies of different patients,
end points and adjustments, it is not calibrated, and nothing of it leaves the training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.measure.vector import feature_names
from ecgclip.networks.config import ECGConfig
from ecgclip.networks.transformer import MASKED_SCORE
from ecgclip.train.pretraining.base import Batch, Task
from ecgclip.train.pretraining.views import add_noise, lose_leads, mean_token, shown, uniform

# SCORE2 (SCORE2 working group, European Heart Journal 2021, supplement): of men and women, the logarithm of the hazard
# ratio of 5 years of age, and the ten-year survival without an event at 60 years with all else at its reference. Its
# patients were 40 to 69 years old; here it is drawn out to any age.
SCORE2_PER_5_YEARS = (0.3742, 0.4648)
SCORE2_SURVIVAL = (0.9605, 0.9776)

# Atrial fibrillation: odds ratio of death in men and women (Benjamin et al., Circulation 1998, Framingham)
FIBRILLATION = (1.5, 1.9)

# Hazard ratio of sudden death, all in one model with age and sex (Holkeri et al., Heart 2020, Mini-Finland, table 1).
# The confidence intervals of QTc and ST include 1. Hypertrophy, ST and T are the findings of `measure`, whose limits
# may differ from the study's.
RATE, PR, QRS, QTC = 2.19, 2.10, 2.05, 1.27  # above 80/min, 220 ms, 110 ms, 450 ms (men) or 460 ms (women)
HYPERTROPHY, T_INVERSION, ST_DEPRESSION = 1.73, 2.29, 1.45

TERMS = ("age and sex", "rate", "PR", "QRS", "QTc", "hypertrophy", "T inversion", "ST depression", "fibrillation")

VOLTAGES = ("high_voltage_chest", "cornell_voltage", "r_avl_above_1_1")
PLACES = ("inferior", "v3v4", "lateral", "high_lateral")  # T may be inverted in V1 and V2 of the healthy
UNDECIDED = 0.5  # between absent and present, so that the least and the greatest are "and" and "or" of three values


def risk_terms(age: Tensor, male: Tensor, measured: Tensor) -> Tensor:
    """Return the terms of the risk score, as logarithms of hazard ratios.

    Parameters
    ----------
    age : float (b,), years
    male : float (b,)
        1 male, 0 female.
    measured : float (b, measurements)
        In the order of `measure.vector.feature_names`. NaN is unknown in all three.

    Returns
    -------
    Tensor
        float32 (b, terms), in the order of `TERMS`, 0 where nothing raises the risk; NaN where it cannot be known.
    """
    column = {name: i for i, name in enumerate(feature_names())}
    of = lambda *names: measured[:, [column[name] for name in names]]
    finding = lambda *keys: of(*(f"finding:{key}" for key in keys)).nan_to_num(nan=UNDECIDED)
    any_of, all_of = (lambda *keys: _known(finding(*keys).amax(1))), (lambda *keys: _known(finding(*keys).amin(1)))
    by_sex = lambda men, women: women + (men - women) * male
    above = lambda name, limit: _above(of(name)[:, 0], limit)
    terms = [
        by_sex(*(math.log(-math.log(s)) for s in SCORE2_SURVIVAL)) + by_sex(*SCORE2_PER_5_YEARS) * (age - 60) / 5,
        math.log(RATE) * above("heart_rate", 80),
        math.log(PR) * above("pr_ms", 220),
        math.log(QRS) * above("qrs_ms", 110),
        math.log(QTC) * above("qtc_ms", by_sex(450, 460)),
        math.log(HYPERTROPHY) * any_of(*VOLTAGES),
        math.log(T_INVERSION) * any_of(*(f"t_inversion:{place}" for place in PLACES)),
        math.log(ST_DEPRESSION) * any_of(*(f"st_depression:{place}" for place in PLACES)),
        by_sex(*(math.log(ratio) for ratio in FIBRILLATION)) * all_of("irregularly_irregular", "no_p_waves"),
    ]
    return torch.stack(terms, 1).float()


def _above(value: Tensor, limit: float | Tensor) -> Tensor:
    """Whether a value is above a limit, 1 or 0; NaN where either is."""
    excess = value - limit
    return torch.where(excess.isnan(), math.nan, (excess > 0).float())


def _known(degree: Tensor) -> Tensor:
    """Make NaN of what an "or" or an "and" leaves undecided."""
    return degree.masked_fill(degree == UNDECIDED, math.nan)


def compare(terms: Tensor) -> tuple[Tensor, Tensor]:
    """Compare the risk of each pair by the terms that are known of both.

    Parameters
    ----------
    terms : float (b, terms)
        As of `risk_terms`.

    Returns
    -------
    gap : float (b, b)
        Difference of the scores, a logarithm of a hazard ratio, 0 or more.
    confidence : float (b, b)
        Share of the terms that are known of both; 0 where age or sex of either is unknown, as there is no SCORE2 then.
    """
    known = (~terms.isnan()).float()
    signed = terms.nan_to_num() @ known.T  # of the first, as far as it is known of the second
    return (signed - signed.T).abs(), known @ known.T / terms.shape[1] * known[:, :1] * known[:, 0]


@dataclass(frozen=True)
class RiskSizes:
    """Sizes of the task.

    Parameters
    ----------
    dim
        Dimension of the projection, in which views are compared.
    temperature
        Divides the cosines of the contrast.
    least
        Weight of a negative of the same risk, below 1; it is 2 - `least` for one whose risk differs without end.
    gap
        Difference of two scores that gives a negative the weight 1, a logarithm of a hazard ratio; 1.5 is that of 16
        years of age in women, of 20 in men.
    lose
        Chance that a view loses leads.
    snr_db
        Range of a view's signal-to-noise ratio, in dB.
    """

    dim: int = 128
    temperature: float = 0.1
    least: float = 0.2
    gap: float = 1.5
    lose: float = 0.5
    snr_db: tuple[float, float] = (6.0, 24.0)


class Risk(Task):
    """Two views of an ECG are alike, and two ECGs the less so, the more their risk differs."""

    columns = ("signal", "mask", "length", "measured", "age", "male")

    def __init__(self, backbone: nn.Module, config: ECGConfig, sizes: RiskSizes = RiskSizes()):
        super().__init__(backbone, config, sizes)
        width = config.width
        # without the norm the mean tokens of all ECGs begin as almost the same
        norm = nn.BatchNorm1d(width, affine=False)
        self.projection = nn.Sequential(norm, nn.Linear(width, width), nn.GELU(), nn.Linear(width, sizes.dim))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """batch: the columns; losses contrast and alignment."""
        batch = shown({name: batch[name] for name in self.columns})
        if len(batch["mask"]) < 2:  # nothing to compare
            nothing = next(self.projection.parameters()).sum() * 0
            return {"contrast": nothing, "alignment": nothing}
        z = self.projection(self._views(batch))
        with torch.autocast(z.device.type, enabled=False):
            z = F.normalize(z.float(), dim=-1)
            nearness, confidence = self._nearness(batch)
            weight = 1 + confidence * (1 - self.sizes.least) * (1 - 2 * nearness)
            contrast = weighted_contrast(z, weight, self.sizes.temperature)
            return {"contrast": contrast, "alignment": alignment(z, nearness, confidence)}

    def _views(self, batch: Batch) -> Tensor:
        """Mean tokens of two views of each ECG, first all first ones: float32 (2 b, width)."""
        signal, mask, length = (torch.cat([batch[name]] * 2) for name in ("signal", "mask", "length"))
        loses = torch.rand(len(mask), 1, device=mask.device) < self.sizes.lose
        mask = torch.where(loses, lose_leads(mask, 1.0), mask)
        snr_db = uniform(len(mask), self.sizes.snr_db, mask.device)
        signal = add_noise(signal, mask, length, snr_db, self.config.sampling_rate)
        return mean_token(self.backbone, signal, mask, length, self.config.sampling_rate)

    def _nearness(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """1 for pairs of the same risk, 0.5 at a difference of `sizes.gap`, towards 0 beyond; and the confidence."""
        gap, confidence = compare(risk_terms(batch["age"], batch["male"], batch["measured"]))
        return self.sizes.gap / (self.sizes.gap + gap), confidence


def weighted_contrast(z: Tensor, weight: Tensor, temperature: float) -> Tensor:
    """InfoNCE over two views, whose negatives count `weight` times; it is InfoNCE itself where all weights are 1.

    Parameters
    ----------
    z : float (2 b, dim)
        Unit vectors; those of the second views follow those of the first.
    weight : float (b, b)
        Of each pair of ECGs, above 0.
    temperature
        Divides the cosines.

    Returns
    -------
    Tensor
        Scalar, the mean over both views of all ECGs.
    """
    b = len(weight)
    positive = torch.eye(b, dtype=torch.bool, device=z.device)
    logits = z @ z.T / temperature + weight.log().masked_fill(positive, 0.0).repeat(2, 2)
    logits = logits.fill_diagonal_(MASKED_SCORE)  # a view is not compared with itself
    return F.cross_entropy(logits, torch.arange(2 * b, device=z.device).roll(b))


def alignment(z: Tensor, nearness: Tensor, confidence: Tensor) -> Tensor:
    """Mean squared difference of how near two ECGs are by their views and by their risk, as far as that is known.

    z: as of `weighted_contrast`; nearness (b, b), 0 to 1; confidence (b, b) → scalar
    """
    first, second = z.chunk(2)
    error = confidence * ((1 + first @ second.T) / 2 - nearness).square()
    pairs = ~torch.eye(len(error), dtype=torch.bool, device=z.device)  # the two views of an ECG are for the contrast
    return error[pairs].mean()
