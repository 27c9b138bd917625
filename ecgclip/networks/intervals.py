"""R-R intervals as numbers for the ECG encoder: those beside each beat, and the statistics of a window."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

RR_MIN_S, RR_MAX_S = 0.2, 3.0  # intervals are clipped to this range
RR_JUMP_S = 0.1  # two intervals that differ by more are irregular
BEAT_FEATURES, STATISTICS = 5, 8  # columns of `rr_features` and `rr_statistics`


def rr_intervals(r_peaks: Tensor) -> Tensor:
    """Return the R-R interval before each beat and after the last one.

    Parameters
    ----------
    r_peaks : (b, n)
        In seconds from the window's start, NaN = padding.

    Returns
    -------
    Tensor
        (b, n + 1), seconds, NaN = unknown.
    """
    return F.pad(r_peaks, (1, 1), value=torch.nan).diff(dim=1).clamp(RR_MIN_S, RR_MAX_S)


def rr_features(r_peaks: Tensor) -> Tensor:
    """Return what the intervals beside each beat say of it: whether it is early, late or followed by a pause.

    Parameters
    ----------
    r_peaks : (b, n)
        In seconds from the window's start, NaN = padding.

    Returns
    -------
    Tensor
        (b, n, 5): the interval before and after in seconds, each relative to the window's median (0 = equal), and the
        logarithm of their ratio; 0 = unknown.
    """
    rr = rr_intervals(r_peaks)
    median = rr.nanmedian(1, keepdim=True).values.nan_to_num(1.0)
    before, after = rr[:, :-1], rr[:, 1:]
    columns = [before, after, before / median - 1, after / median - 1, (before / after).log()]
    return torch.stack([c.nan_to_num(0.0) for c in columns], -1)


def rr_statistics(r_peaks: Tensor) -> Tensor:
    """Return the rate, spread and irregularity of a window's R-R intervals.

    Parameters
    ----------
    r_peaks : (b, n)
        In seconds from the window's start, NaN = padding.

    Returns
    -------
    Tensor
        (b, 8): the median interval in seconds and its inverse; SD and RMSSD relative to the mean; the share of
        successive differences above RR_JUMP_S; shortest and longest interval relative to the mean; a tenth of the
        number of intervals. All 0 with fewer than two intervals, too few for a rhythm.
    """
    rr = rr_intervals(r_peaks)
    is_known = ~rr.isnan()
    count = is_known.sum(1)
    rr_or_zero = torch.where(is_known, rr, torch.zeros_like(rr))
    mean = rr_or_zero.sum(1) / count.clamp(min=1)
    sd = (torch.where(is_known, (rr - mean[:, None]) ** 2, rr_or_zero).sum(1) / count.clamp(min=1)).sqrt()
    difference = rr.diff(dim=1)
    differences = (~difference.isnan()).sum(1).clamp(min=1)
    jump = difference.abs().nan_to_num(0.0)
    scale = mean.clamp(min=RR_MIN_S)
    median = rr.nanmedian(1).values.nan_to_num(0.0)
    shortest = torch.where(is_known, rr, torch.full_like(rr, RR_MAX_S)).amin(1)
    columns = [
        median,
        1 / median.clamp(min=RR_MIN_S),
        sd / scale,
        (jump**2).sum(1).div(differences).sqrt() / scale,
        (jump > RR_JUMP_S).sum(1) / differences,
        shortest / scale,
        rr_or_zero.amax(1) / scale,
        count / 10,
    ]
    has_rhythm = (count >= 2)[:, None]
    return torch.where(has_rhythm, torch.stack(columns, 1), torch.zeros(1, device=rr.device))
