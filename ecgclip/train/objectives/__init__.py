"""The losses of alignment, one small module each.

To add one, write a module with an `Objective` and name it in the table.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Name in a recipe and column of log.csv → module and class
OBJECTIVES = {
    "clip": "clip:Clip",
    "statements": "banks:Statements",
    "ranking": "ranking:Ranking",
    "findings": "banks:Findings",
    "beats": "beats:Beats",
    "synonyms": "synonyms:Synonyms",
    "views": "views:Views",
    "criteria": "criteria:Criteria",
}


def objective(name: str) -> type[Any]:
    """The class of an objective (a subclass of `base.Objective`), imported on first use."""
    module, cls = OBJECTIVES[name].split(":")
    return getattr(import_module(f"{__name__}.{module}"), cls)


def columns_of(weights: dict[str, float]) -> set[str]:
    """The columns of a batch that the losses with a weight above 0 read."""
    return {column for name, weight in weights.items() if weight > 0 for column in objective(name).columns}
