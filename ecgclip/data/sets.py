"""The data sets by name."""

from __future__ import annotations

from collections.abc import Callable

from ecgclip.data.cases import Case
from ecgclip.data.challenges import challenge_2011, challenge_2017, challenge_2020, chapman, cpsc_2018
from ecgclip.data.folder import folder, labelled
from ecgclip.data.ludb import ludb
from ecgclip.data.mimic import mimic_iv_ecg
from ecgclip.data.mitdb import mitdb
from ecgclip.data.ptb_xl import ptb_xl

LOADERS: dict[str, Callable[..., list[Case]]] = {
    "ptb-xl": ptb_xl,
    "mimic-iv-ecg": mimic_iv_ecg,
    "challenge-2017": challenge_2017,
    "challenge-2011": challenge_2011,
    "mitdb": mitdb,
    "folder": folder,
    "challenge-2020": challenge_2020,
    "cpsc2018": cpsc_2018,
    "chapman": chapman,
    "ludb": ludb,
    "csv": labelled,
}
MAIN = ("ptb-xl", "mimic-iv-ecg", "folder")  # sources with a full list of statements; a recipe needs one
REPORTED_BY = ("ptb-xl", "mimic-iv-ecg")  # sources with reports
