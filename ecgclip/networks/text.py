"""The text encoder: token ids become one unit vector."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ecgclip.networks.tokenizer import PAD, TextConfig, _transformers

EPS = 1e-12  # BERT's: fresh embeddings vary little


class Bert(nn.Module):
    """BERT (Devlin et al. 2019) of torch's own layers, as `transformers` takes seconds to import: ids, mask (b, n) → (b, n, width)."""

    def __init__(self, config: TextConfig):
        super().__init__()
        width = config.width
        self.words = nn.Embedding(config.vocabulary, width, padding_idx=PAD)
        self.position = nn.Parameter(torch.empty(config.max_tokens, width))
        self.norm = nn.LayerNorm(width, EPS)
        self.dropout = nn.Dropout(config.dropout)
        layer = nn.TransformerEncoderLayer(
            width, config.heads, 3 * width, config.dropout, "gelu", layer_norm_eps=EPS, batch_first=True
        )
        self.layers = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        x = self.dropout(self.norm(self.words(ids) + self.position[: ids.shape[1]]))
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernel's backward pass is the slower one on a CPU
            return self.layers(x, src_key_padding_mask=~mask)


class HuggingFaceEncoder(nn.Module):
    """Any encoder of the hub, or one built from the configuration that a trained model keeps. Raises EcgclipError without transformers."""

    def __init__(self, config: TextConfig):
        super().__init__()
        transformers = _transformers()
        if config.hf_config:
            hf = dict(config.hf_config)
            built = transformers.AutoConfig.for_model(hf.pop("model_type"), **hf)
            self.model = transformers.AutoModel.from_config(built)
        else:  # safetensors only: a pickled checkpoint could run code
            self.model = transformers.AutoModel.from_pretrained(config.hf_model, use_safetensors=True)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.model(input_ids=ids, attention_mask=mask.long()).last_hidden_state


class TextEncoder(nn.Module):
    """ids (b, n), mask (b, n) → text vectors (b, dim) of unit length."""

    def __init__(self, config: TextConfig):
        super().__init__()
        self.config = config
        foreign = HuggingFaceEncoder(config) if config.hf_model else None
        self.transformer: nn.Module = foreign or Bert(config)
        self.width = foreign.model.config.hidden_size if foreign else config.width  # of a token
        self.out = nn.Linear(self.width, config.dim)

    def hidden(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The last layer, (b, n, width): what masked-language-model pretraining predicts the words from."""
        return self.transformer(ids, mask)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return F.normalize(self.projected(ids, mask).float(), dim=-1)

    def projected(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The text vectors before they are made unit."""
        hidden = self.hidden(ids, mask)
        mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return self.out(mean)

    @torch.no_grad()
    def whiten(self, projected: Tensor, power: float) -> None:
        """Turn `out` so that vectors such as `projected` (n, dim) lie around 0, their variance in any direction to the power 1 - `power`.

        What texts of a field share crowds their vectors together; an ECG's one unit vector tells apart what lies apart (Su et al.,
        "Whitening sentence representations", 2021).
        """
        projected, weight, bias = (x.cpu().double() for x in (projected, self.out.weight, self.out.bias))
        middle = projected.mean(0)
        variance, axes = torch.linalg.eigh((projected - middle).T.cov())
        scale = (variance / variance.max()).clamp(min=1e-3) ** (-power / 2)
        turn = (axes * scale) @ axes.T
        self.out.weight.copy_(turn @ weight)
        self.out.bias.copy_(turn @ (bias - middle))
