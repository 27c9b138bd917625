"""Self-distillation from clean to corrupted ECGs, and alignment of both with a description of what they show.

    clean ECG ────────backbone's moving average──▶ teacher ──centred, sharpened──▶ prototypes ┐
        │ leads lost, or noise                                                                 ├─▶ distilled
        ├──▶ corrupted ──backbone──▶ mean token ──head──▶ prototypes ──────────────────────────┘
        │                                └──projection──▶ z ┐
        └──▶ clean ──────backbone──▶ mean token ──▶ ··· ──▶ z ┼─▶ described: symmetric contrast
    findings, and those of the nearest ECGs ──projection──▶ description ┘

The method is TolerantECG, of Nguyen, Pham, Le and Nguyen, "TolerantECG: A foundation model for imperfect
electrocardiogram" (arXiv 2507.09887, 2025); its self-distillation is DINO (Caron et al., "Emerging properties in
self-supervised vision transformers", ICCV 2021). There reports, to which the features of each diagnosis are retrieved
from a textbook, go through a text encoder. This stage has none: the findings that are measured stand for the report,
what the batch's most similar ECGs show is retrieved where they are unknown, and a linear layer is the encoder. There
lead-missing and noisy views alternate, with a teacher for each; here each ECG of a batch draws one of both.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.measure.guideline import finding_texts
from ecgclip.networks.config import ECGConfig
from ecgclip.train.loop import MovingAverage
from ecgclip.train.objectives.clip import clip_loss
from ecgclip.train.pretraining.base import Batch, Task
from ecgclip.train.pretraining.views import add_noise, lose_leads, mean_token, shown, uniform

LARGEST_SCALE = 100.0  # of cosines, as in CLIP


@dataclass(frozen=True)
class TolerantSizes:
    """Sizes of the task.

    Parameters
    ----------
    dim
        Dimension of the projections.
    prototypes
        Number of directions that teacher and student sort an ECG into.
    student_temperature
        Divides the student's cosines with the prototypes.
    teacher_temperature
        Divides the teacher's; lower than the student's, it sharpens.
    teacher_keep
        How much of the teacher stays at each step.
    centre_keep
        How much of the centre stays at each step; 1 leaves out centring.
    neighbours
        Number of ECGs whose findings are retrieved.
    leads
        Largest share of its leads that a lead-missing view keeps.
    snr_db
        Range of a noisy view's signal-to-noise ratio, in dB.
    """

    dim: int = 128
    prototypes: int = 256
    student_temperature: float = 0.1
    teacher_temperature: float = 0.05
    teacher_keep: float = 0.996
    centre_keep: float = 0.9
    neighbours: int = 4
    leads: float = 0.5
    snr_db: tuple[float, float] = (0.0, 18.0)


class PrototypeHead(nn.Module):
    """Cosines of a projection with learnt directions, the prototypes."""

    def __init__(self, width: int, dim: int, prototypes: int):
        super().__init__()
        # without the norm the mean tokens of all ECGs begin as almost the same
        norm = nn.BatchNorm1d(width, affine=False)
        self.projection = nn.Sequential(norm, nn.Linear(width, width), nn.GELU(), nn.Linear(width, dim))
        self.prototypes = nn.Parameter(torch.randn(prototypes, dim))

    def forward(self, x: Tensor) -> Tensor:
        """x (b, width) → float32 (b, prototypes)."""
        x = F.normalize(self.projection(x).float(), dim=-1)
        with torch.autocast(x.device.type, enabled=False):  # the temperatures magnify what bfloat16 rounds
            return x @ F.normalize(self.prototypes, dim=-1).T


class Tolerant(Task):
    """A corrupted ECG is sorted as its clean original is by a teacher, and both agree with their description."""

    columns = ("signal", "mask", "length", "findings")
    centre: Tensor

    def __init__(self, backbone: nn.Module, config: ECGConfig, sizes: TolerantSizes = TolerantSizes()):
        super().__init__(backbone, config, sizes)
        self.head = PrototypeHead(config.width, sizes.dim, sizes.prototypes)
        self.projection = nn.Linear(config.width, sizes.dim)
        self.description = nn.Linear(2 * len(finding_texts()), sizes.dim)
        self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))  # its logarithm, which starts as CLIP's
        student = nn.ModuleDict({"backbone": backbone, "head": self.head})
        self.teacher = copy.deepcopy(student).requires_grad_(False).eval()
        self.register_buffer("centre", torch.zeros(sizes.prototypes))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """batch: the columns; losses distilled and described."""
        signal, mask, length, findings = shown({name: batch[name] for name in self.columns}).values()
        if len(mask) < 2:  # nothing to tell apart
            return {"distilled": self.head.prototypes.sum() * 0, "described": self.projection.weight.sum() * 0}
        rate = self.config.sampling_rate
        other_signal, other_mask = self._corrupted(signal, mask, length)
        both = torch.cat([signal, other_signal]), torch.cat([mask, other_mask]), torch.cat([length] * 2)
        student = mean_token(self.backbone, *both, rate)
        with torch.no_grad():
            target = self.teacher["head"](mean_token(self.teacher["backbone"], signal, mask, length, rate))
        distilled = self._distilled(self.head(student.chunk(2)[1]), target)
        return {"distilled": distilled, "described": self._described(student, findings)}

    def after_step(self, step: int, steps: int) -> None:
        """Move the teacher towards the student."""
        for name, source in (("backbone", self.backbone), ("head", self.head)):
            MovingAverage(self.teacher[name], source, self.sizes.teacher_keep).update(step)

    def train(self, mode: bool = True) -> Tolerant:
        """Set the mode of all but the teacher, which has no dropout."""
        super().train(mode)
        self.teacher.eval()
        return self

    def _corrupted(self, signal: Tensor, mask: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """signal and mask of a view of each ECG that has fewer leads, or the same ones with noise."""
        noisy = torch.rand(len(mask), device=mask.device) < 0.5
        mask = torch.where(noisy[:, None], mask, lose_leads(mask, self.sizes.leads))
        snr_db = uniform(len(mask), self.sizes.snr_db, mask.device).masked_fill(~noisy, math.inf)
        return add_noise(signal, mask, length, snr_db, self.config.sampling_rate), mask

    def _distilled(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Cross-entropy of what the student says of corrupted and the teacher of clean ECGs, (b, prototypes) both."""
        target = ((teacher - self.centre) / self.sizes.teacher_temperature).softmax(-1)
        loss = -(target * (student / self.sizes.student_temperature).log_softmax(-1)).sum(-1)
        if self.training:
            self.centre.lerp_(teacher.mean(0), 1 - self.sizes.centre_keep)
        return loss.mean()

    def _described(self, student: Tensor, findings: Tensor) -> Tensor:
        """Symmetric contrast of clean and corrupted ECGs, student (2 b, width), with the descriptions of the clean."""
        told = (findings >= 0).any(1)
        if told.sum() < 2:
            return student.sum() * 0
        findings = findings[told]
        with torch.autocast(student.device.type, enabled=False):
            text = F.normalize(self.description(retrieve(findings, self.sizes.neighbours)), dim=-1)
            ecg = F.normalize(self.projection(student[told.repeat(2)].float()), dim=-1)
            same = (findings[:, None] == findings).all(-1)
            scale = self.scale.exp().clamp(max=LARGEST_SCALE)
            return clip_loss(ecg, text.repeat(2, 1), same.repeat(2, 2), scale)


def retrieve(findings: Tensor, neighbours: int) -> Tensor:
    """Describe each ECG by its findings, and by those of the most similar ECGs where its own are unknown.

    Parameters
    ----------
    findings : int8 (b, keys)
        1 present, 0 absent, -1 unknown.
    neighbours
        Number of the most similar ECGs, by the cosine of their findings: 1 present, -1 absent, 0 unknown.

    Returns
    -------
    Tensor
        float32 (b, 2 keys), how present each finding is, then how absent; an ECG's own are 0 or 1, those retrieved are
        means.
    """
    known = (findings >= 0).float()
    value = (2 * findings.float() - 1) * known
    unit = F.normalize(value, dim=-1)
    likeness = (unit @ unit.T).fill_diagonal_(-math.inf)
    nearest = likeness.topk(min(neighbours, len(findings) - 1), dim=1).indices
    chosen = torch.zeros_like(likeness).scatter_(1, nearest, 1.0)
    retrieved = (chosen @ value) / (chosen @ known).clamp(min=1)
    value = torch.where(known > 0, value, retrieved)
    return torch.cat([value.clamp(min=0), (-value).clamp(min=0)], 1)
