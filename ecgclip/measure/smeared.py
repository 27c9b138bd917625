"""Pacing spikes that are smeared over a few samples, as at 100 Hz: they are recognised in beats, by their spectrum."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ecgclip.measure.arrays import NAN, cut_beats, median, median_of_groups, usable
from ecgclip.measure.batch import BEFORE, Batch, once
from ecgclip.measure.median import typical_beats
from ecgclip.spikes import (
    FOLLOWED_SMEARED,
    SMEARED,
    SMEARED_AFTER,
    SMEARED_HALF,
    band_powers,
    course_of,
    spectral_share,
)

FAST = 4  # times the usual: the fourth difference, summed over the leads, at a smeared spike
EARLIEST, LATEST = 42, 5  # samples before and after R between which a smeared spike is looked for
NEIGHBOURS = 4  # samples on either side of a smeared spike that are slower
SEARCHED = BEFORE + LATEST + NEIGHBOURS  # samples of the beats that are looked at
FEW = 3  # beats: among fewer, an artefact looks like a spike
AT_R = 5  # samples before R: from here on, what may be a spike may be a very narrow R wave, which nothing follows
REACH = 20  # samples on either side of R in which the spike of QRS is looked for
END = 0.6  # of the fastest: the last sample above is the end of the spike


class Smeared(NamedTuple):
    """Where spikes may be, of all windows one after the other.

    Attributes
    ----------
    window : int (spikes,)
    at : int (spikes,)
        Samples; R is at `BEFORE`.
    share : float (spikes,)
        What each has at 32 to 43 Hz, of what it has at 12 to 22 Hz; a spike more than `SMEARED`.
    fast : float (n, SEARCHED)
        As of `fourth_differences`.
    """

    window: np.ndarray
    at: np.ndarray
    share: np.ndarray
    fast: np.ndarray


def find_spikes(smeared: Smeared) -> np.ndarray:
    """The end of the smeared spike of QRS in the beats of each window, samples, float (n,); NaN without one."""
    window, at, share, fast = smeared
    spikes = np.full(len(fast), NAN)
    near = (share > SMEARED) & (at >= BEFORE - REACH)
    for i in set(window[near].tolist()):
        of_window = at[near & (window == i)]
        spike = of_window[np.argmax(fast[i, of_window])]
        # it moves a little from beat to beat
        spikes[i] = spike + np.flatnonzero(fast[i, spike : spike + 3] > END * fast[i, spike])[-1]
    return spikes


@once
def spikes_of_typical(batch: Batch) -> Smeared:
    """Where in the typical beats of each window, which has a beat at least, a spike may be."""
    beats, counts = typical_beats(batch)
    return smeared_spikes(usable(beats, batch.mask), counts)


def smeared_spikes(beats: np.ndarray, counts: np.ndarray) -> Smeared:
    """Where in the beats of each window, (beats of all, leads, BEFORE + AFTER) at 100 Hz, a spike may be."""
    fast = fourth_differences(beats, counts)
    usual = median(fast[:, 2 : BEFORE - 2 * SMEARED_HALF])[:, None]  # before QRS
    low, high = BEFORE - min(EARLIEST, BEFORE - SMEARED_HALF), BEFORE + LATEST
    around = np.lib.stride_tricks.sliding_window_view(fast, 2 * NEIGHBOURS + 1, axis=1).max(axis=2)
    here = fast[:, low:high]
    found = (here == around[:, low - NEIGHBOURS : high - NEIGHBOURS]) & (here > FAST**2 * usual)
    window, at = np.nonzero(found & (counts >= FEW)[:, None])
    at += low
    of_spike, first = counts[window], (np.cumsum(counts) - counts)[window]
    rows = np.arange(of_spike.sum()) + np.repeat(first - (np.cumsum(of_spike) - of_spike), of_spike)
    parts = cut_beats(beats, rows, np.repeat(at, of_spike), SMEARED_HALF, SMEARED_AFTER[1])
    height, after = course_of(median_of_groups(parts, of_spike), SMEARED_HALF)
    keep = (at < BEFORE - AT_R) | (after > FOLLOWED_SMEARED * height)  # QRS comes after a spike
    share = spectral_share(median_of_groups(band_powers(parts[:, :, : 2 * SMEARED_HALF]), of_spike))
    return Smeared(window[keep], at[keep], share[keep], fast)


def fourth_differences(beats: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The squared fourth difference of (beats of all, leads, samples): over leads its sum, over beats its median.

    Returns
    -------
    float (n, SEARCHED)
        0 at the first two samples.
    """
    fourth = beats.reshape(-1, beats.shape[2])[:, : SEARCHED + 2] @ _fourth_difference()
    fourth = fourth.reshape(*beats.shape[:2], SEARCHED - 2)
    size = np.zeros((len(beats), SEARCHED))
    np.einsum("bls,bls->bs", fourth, fourth, out=size[:, 2:])
    return median_of_groups(size, counts)


@lru_cache(maxsize=1)
def _fourth_difference() -> np.ndarray:
    return np.diff(np.eye(SEARCHED + 2), 4, axis=0).T
