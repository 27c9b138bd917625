"""The arguments and options that several commands share, with their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FORMATS = ("table", "json", "csv")

# what is read
Records = Annotated[
    list[str],
    typer.Argument(
        metavar="RECORD", help="File of any format that is read (docs/formats.md), WFDB header, folder, glob, or -."
    ),
]
RecordFiles = Annotated[
    list[str],
    typer.Argument(
        metavar="RECORD", help="File of any format that is read (docs/formats.md), WFDB header, folder or glob."
    ),
]
OneRecord = Annotated[str, typer.Argument(metavar="RECORD", help="File of any format that is read, or -.")]
SamplingRate = Annotated[
    float | None, typer.Option("--sampling-rate", metavar="HZ", help="Of the recordings; overrules the files.")
]
Unit = Annotated[str | None, typer.Option(metavar="U", help="Of the samples: mV, uV, V or nV; overrules the files.")]
Leads = Annotated[str | None, typer.Option(metavar="A,B", help="Names of the channels, in order; overrules the files.")]
KeepIds = Annotated[bool, typer.Option("--keep-ids", help="Keep patient ids, of which else a salted hash is kept.")]
Model = Annotated[
    str | None, typer.Option(metavar="M", help="Folder or Hugging Face repo id; default: the shipped weights.")
]
Device = Annotated[str, typer.Option(metavar="cpu|cuda|mps|auto", help="Where the encoders run.")]
Workers = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Processes that measure; default: one per core for hundreds of records."),
]
Knowledge = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of your own knowledge base.")]

# what is asked
LabelsFile = Annotated[Path | None, typer.Option(metavar="F", help="One label a line; lines with # are comments.")]
LabelSetFile = Annotated[
    str | None, typer.Option(metavar="NAME", help="A shipped set such as ptb-xl-super, or a YAML file.")
]

# what is written
Format = Annotated[str, typer.Option(metavar="|".join(FORMATS), help="What to print.")]
OutputFile = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write to a file instead, which appears when all is written."),
]
OutputFolder = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder to write to.")]

# search
IndexFolder = Annotated[Path, typer.Option("--index", metavar="DIR", help="Folder that `ecgclip index build` wrote.")]
Count = Annotated[int, typer.Option("-k", metavar="K", min=1, help="How many to find.")]
Where = Annotated[
    str | None,
    typer.Option(metavar="SQL", help="Only records such as \"age > 60 and sex = 'F'\"; checked before the ranking."),
]
Plot = Annotated[Path | None, typer.Option(metavar="FILE", help="Also draw the ECGs found: .png, .svg or .pdf.")]

# training
RecipeName = Annotated[
    str,
    typer.Argument(metavar="RECIPE", help="A YAML file, or the name of a shipped one: default, melp or merl."),
]
DataFolder = Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder that holds the recipe's data sets.")]
Threads = Annotated[int | None, typer.Option(metavar="N", min=1, help="CPU threads; default: torch's choice.")]

# evaluation
DataPath = Annotated[Path, typer.Argument(metavar="PATH", help="Folder of the data set.")]
DataSet = Annotated[str, typer.Option(metavar="NAME", help="ptb-xl, challenge-2020, challenge-2017 …")]
LabelSet = Annotated[
    str, typer.Option(metavar="NAME", help="Such as ptb-xl-super; annotated: all conditions that the data set names.")
]
Fold = Annotated[
    str | None,
    typer.Option(metavar="N[,N]", help="Of PTB-XL, by default the published 10; of mitdb 1 or 2 (DS1, DS2)."),
]
MinPositives = Annotated[
    int, typer.Option("--least", metavar="N", min=1, help="Positives that a label needs for the macro average.")
]
LabelledOnly = Annotated[
    bool,
    typer.Option("--labelled-only", help="Leave out records that have no label of the set, as PTB-XL's benchmarks do."),
]
