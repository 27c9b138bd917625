"""The backbones of the ECG encoder: each turns a signal and its lead mask into tokens, one for each TOKEN_S (80 ms).

    backbone = build_backbone(config)          # config.backbone names it, config.sizes overrules its sizes
    tokens = backbone(signal, mask, length)    # (b, 12, samples) mV, bool (b, 12), int (b,) or None → (b, t, width)

To add one, write a module with an nn.Module `Name`, made of the configuration and of its sizes, a frozen dataclass
`NameSizes`, and name it in the table.
"""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ecgclip.ecg import EcgclipError
from ecgclip.networks.config import ECGConfig

if TYPE_CHECKING:
    from torch import nn

# Name in a recipe and in config.json → module and class
BACKBONES = {
    "conv-transformer": "conv_transformer:ConvTransformer",
    "resnet": "resnet:ResNet",
    "vit": "vit:ViT",
    "scalogram": "scalogram:Scalogram",
    "spacetime": "spacetime:SpaceTime",
    "mamba": "mamba:Mamba",
    "chimera": "chimera:Chimera",
}


def build_backbone(config: ECGConfig) -> nn.Module:
    """Make the backbone that `config` names, of its sizes.

    Raises
    ------
    EcgclipError
        There is no such backbone, or it has no such size.
    """
    return _class(config, "")(config, backbone_sizes(config))


def backbone_sizes(config: ECGConfig) -> Any:
    """Return the sizes of the backbone that `config` names, a dataclass: its defaults, overruled by `config.sizes`.

    Raises
    ------
    EcgclipError
        There is no such backbone, or it has no such size.
    """
    return sizes_of(_class(config, "Sizes"), config.sizes, "ecg.sizes", config.backbone)


def sizes_of(sizes: type[Any], chosen: dict[str, Any], field: str, owner: str) -> Any:
    """Make a dataclass of sizes: its defaults, overruled by what is chosen.

    field: of the recipe, and owner: of the sizes, for the message

    Raises
    ------
    EcgclipError
        There is no such size, or its value is of another kind than the default.
    """
    defaults = {size.name: size.default for size in fields(sizes)}
    for name, value in chosen.items():
        if name not in defaults:
            raise EcgclipError(f"{field}.{name}: {owner} has none; there are {', '.join(defaults)}")
        if not _is_like(value, defaults[name]):
            raise EcgclipError(f"{field}.{name} {value!r}: give such a value as {defaults[name]!r}")
    return sizes(**chosen)


def _class(config: ECGConfig, ending: str) -> type[Any]:
    if config.backbone not in BACKBONES:
        raise EcgclipError(f"no ecg.backbone {config.backbone!r}; there are {', '.join(BACKBONES)}")
    module, name = BACKBONES[config.backbone].split(":")
    return getattr(import_module(f"{__name__}.{module}"), name + ending)


def _is_like(value: Any, default: Any) -> bool:
    """Whether a size is of the type of its default, and no number is below that of a nothing: 1, or 0.0."""
    if isinstance(default, tuple):
        return isinstance(value, tuple) and len(value) == len(default) and all(map(_is_like, value, default))
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    return type(value) is type(default) and (type(value) is not int or value >= 1)
