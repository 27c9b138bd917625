"""The text encoder: token ids become one unit vector."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ecgclip.networks.config import TextConfig
from ecgclip.networks.tokenizer import PAD, import_transformers

LAYER_NORM_EPS = 1e-12  # BERT's: fresh embeddings vary little
MIN_RELATIVE_VARIANCE = 1e-3  # directions of less variance are whitened no further


class TextEncoder(nn.Module):
    """A transformer over token ids, ecgclip's own or one of the Hugging Face hub, and a projection of its mean."""

    def __init__(self, config: TextConfig):
        super().__init__()
        self.config = config
        pretrained = HuggingFaceEncoder(config) if config.hf_model else None
        self.transformer: nn.Module = pretrained or BertEncoder(config)
        self.width = pretrained.model.config.hidden_size if pretrained else config.width  # of a token
        self.out = nn.Linear(self.width, config.dim)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids int64 (b, n), mask bool (b, n), True = a token → text vectors float32 (b, dim) of unit length."""
        return F.normalize(self.projected(ids, mask).float(), dim=-1)

    def hidden(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the last layer, (b, n, width): what masked-language-model pretraining predicts the words from."""
        return self.transformer(ids, mask)

    def projected(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the text vectors before they are normalised, (b, dim)."""
        hidden = self.hidden(ids, mask)
        mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return self.out(mean)

    @torch.no_grad()
    def whiten(self, projected: Tensor, power: float) -> None:
        """Change `out` so that text vectors spread around 0 in all directions.

        What the texts of a field share crowds their vectors together, and unit vectors that lie close together are hard
        to tell apart (Su et al., "Whitening sentence representations", 2021).

        Parameters
        ----------
        projected : (n, dim)
            The output of `projected` for texts of the field.
        power
            0 leaves the variances as they are, 1 makes them equal: each goes to the power 1 − `power`.
        """
        projected, weight, bias = (x.cpu().double() for x in (projected, self.out.weight, self.out.bias))
        mean = projected.mean(0)
        variance, axes = torch.linalg.eigh((projected - mean).T.cov())
        scale = (variance / variance.max()).clamp(min=MIN_RELATIVE_VARIANCE) ** (-power / 2)
        whitening = (axes * scale) @ axes.T
        self.out.weight.copy_(whitening @ weight)
        self.out.bias.copy_(whitening @ (bias - mean))


class BertEncoder(nn.Module):
    """BERT (Devlin et al., 2019), of torch's own layers, as `transformers` takes seconds to import."""

    def __init__(self, config: TextConfig):
        super().__init__()
        width = config.width
        self.words = nn.Embedding(config.vocabulary, width, padding_idx=PAD)
        self.position = nn.Parameter(torch.empty(config.max_tokens, width))
        self.norm = nn.LayerNorm(width, LAYER_NORM_EPS)
        self.dropout = nn.Dropout(config.dropout)
        layer = nn.TransformerEncoderLayer(
            width, config.heads, 3 * width, config.dropout, "gelu", layer_norm_eps=LAYER_NORM_EPS, batch_first=True
        )
        self.layers = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids int64 (b, n), mask bool (b, n), True = a token → (b, n, width)."""
        x = self.dropout(self.norm(self.words(ids) + self.position[: ids.shape[1]]))
        with sdpa_kernel(SDPBackend.MATH):  # on a CPU the fused kernel's backward pass is slower
            return self.layers(x, src_key_padding_mask=~mask)


class HuggingFaceEncoder(nn.Module):
    """Any encoder of the hub, or one built from the configuration that a trained model keeps.

    Raises
    ------
    EcgclipError
        If `transformers` is not installed.
    """

    def __init__(self, config: TextConfig):
        super().__init__()
        transformers = import_transformers()
        if config.hf_config:
            options = dict(config.hf_config)
            hf_config = transformers.AutoConfig.for_model(options.pop("model_type"), **options)
            self.model = transformers.AutoModel.from_config(hf_config)
        else:  # safetensors only: a pickled checkpoint could run code
            self.model = transformers.AutoModel.from_pretrained(config.hf_model, use_safetensors=True)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids int64 (b, n), mask bool (b, n), True = a token → (b, n, width)."""
        return self.model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
