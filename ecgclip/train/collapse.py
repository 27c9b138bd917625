"""Whether a backbone collapses while it is pretrained: the rank and the spread of its mean tokens.

A pretraining without labels may end with the same tokens for all ECGs (both figures fall), or with tokens that vary in
few directions (the rank falls). The losses do not tell.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgclip.data.windows import Windows
from ecgclip.networks.tokens import token_mask

BATCH = 64  # windows encoded at once


@torch.no_grad()
def mean_tokens(backbone: nn.Module, windows: Windows, rows: np.ndarray, sampling_rate: int) -> Tensor:
    """Return the mean token of each window, float32 (rows, width), over its tokens that stand for signal.

    Parameters
    ----------
    backbone : nn.Module
        Left in the mode of evaluation.
    windows : Windows
    rows : int (rows,)
        Which of them.
    sampling_rate
        Of the signals, in Hz.
    """
    backbone.eval()
    device, means = next(backbone.parameters()).device, []
    for part in np.array_split(rows, math.ceil(len(rows) / BATCH)):
        arrays = (windows.signal[part].astype(np.float32), windows.mask[part], windows.length[part])
        signal, mask, length = (torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in arrays)
        tokens = backbone(signal, mask, length).float()
        is_signal = token_mask(tokens, length, sampling_rate)[..., None]
        means.append((tokens * is_signal).sum(1) / is_signal.sum(1).clamp(min=1))
    return torch.cat(means).cpu()


def rank(vectors: Tensor) -> float:
    """Return the effective rank, 1 to min(n, width): the exponential of the entropy of the singular values.

    RankMe (Garrido et al., ICML 2023). The vectors are not centred, so that equal ones have rank 1.

    vectors : float32 (n, width)
    """
    share = F.normalize(torch.linalg.svdvals(vectors.double()), p=1, dim=0)
    return float(torch.special.entr(share).sum().exp())


def spread(vectors: Tensor) -> float:
    """Return how far apart the directions of the vectors are: 0 where they are all the same, 1 where all are alike.

    The mean standard deviation of the elements of the vectors at unit length, times √width (Chen & He, "Exploring
    simple siamese representation learning", CVPR 2021).

    vectors : float32 (n, width)
    """
    return float(F.normalize(vectors, dim=-1).std(0, correction=0).mean() * math.sqrt(vectors.shape[1]))
