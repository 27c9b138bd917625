"""kb."""

from __future__ import annotations

from typing import Annotated

import typer

from ecgclip.cli.app import kb
from ecgclip.cli.options import Knowledge, Model, Out
from ecgclip.cli.output import _row
from ecgclip.ecg import EcgclipError


@kb.command("list")
def kb_list(
    category: Annotated[str | None, typer.Option(metavar="C", help="Only this category, such as rhythm.")] = None,
    knowledge_base: Knowledge = None,
) -> None:
    """All concepts: id, category, name.

    \b
    Example:
      ecgclip kb list --category rhythm
    """
    from ecgclip.knowledge.base import KnowledgeBase
    from ecgclip.knowledge.concepts import CATEGORIES

    if category is not None and category not in CATEGORIES:
        raise EcgclipError(f"no category {category!r}; there are {', '.join(CATEGORIES)}")
    concepts = [c for c in KnowledgeBase.load(knowledge_base).concepts.values() if category in (None, c.category)]
    wide = max((len(c.id) for c in concepts), default=0)
    for c in concepts:
        typer.echo(f"{c.id:<{wide}}  {c.category:<16}  {c.name}")


@kb.command("show")
def kb_show(
    concept: Annotated[str, typer.Argument(metavar="CONCEPT", help="Id, name, abbreviation or code.")],
    knowledge_base: Knowledge = None,
) -> None:
    """Everything known of one concept, with the sources.

    \b
    Example:
      ecgclip kb show AF
    """
    from ecgclip.knowledge.base import KnowledgeBase

    base = KnowledgeBase.load(knowledge_base)
    c = base.find(concept)
    if c is None:
        from difflib import get_close_matches

        near = get_close_matches(concept, [*base.concepts, *(x.name for x in base.concepts.values())], n=3)
        raise EcgclipError(
            f"{concept!r} is not in the knowledge base" + (f"; did you mean {' or '.join(near)}?" if near else "")
        )
    typer.echo(f"{c.id}: {c.name} ({c.category})")
    codes = [
        f"{system} {' '.join(code) if isinstance(code, list) else code}" for system, code in c.codes.items() if code
    ]
    rows = [("definition", [c.definition, c.definition_de]), ("codes", codes)]
    rows += [(f"also ({language})", [", ".join(names)]) for language, names in c.aliases.items() if names]
    rows += [
        ("broader", c.broader),
        ("look-alike", c.lookalikes),
        ("report", [*c.report, *c.report_de]),
        ("negation", [*c.negation, *c.negation_de]),
    ]
    rows += [("criterion", [f"{x.text} ({', '.join(x.leads)}) [{x.source}]" for x in c.criteria])]
    rows += [
        (
            "source",
            [f"[{key}] {base.sources[key]}" for key in dict.fromkeys([*c.sources, *(x.source for x in c.criteria)])],
        )
    ]
    for name, texts in rows:
        for text in texts:
            typer.echo(next(_row(name, text)))


@kb.command("embed")
def kb_embed(output: Out, model: Model = None, knowledge_base: Knowledge = None) -> None:
    """Store a model with a knowledge base of one's own embedded, so that it loads at once.

    DIR is new, empty, or holds these weights with another knowledge base.

    \b
    Example:
      ecgclip kb embed --knowledge-base my_conditions -o my_model
      ecgclip classify record.hea --labels AF --model my_model --knowledge-base my_conditions
    """
    from ecgclip.knowledge.base import KnowledgeBase
    from ecgclip.model.store import load_model
    from ecgclip.model.weights import weights_hash

    loaded, base = load_model(model), KnowledgeBase.load(knowledge_base)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        stored = weights_hash(output) if (output / "model.safetensors").is_file() else ""
        if stored != loaded.weights_sha256:
            raise EcgclipError(f"{output}: is not empty and holds other things than these weights; give a new folder")
    loaded.set_knowledge(base)
    loaded.save(output)
    typer.echo(f"{len(loaded.passages)} passages of {len(loaded.kb.concepts)} concepts embedded: {output}")


@kb.command("search")
def kb_search(
    text: Annotated[str, typer.Argument(metavar="TEXT")],
    k: Annotated[int, typer.Option("-k", metavar="K", min=1, help="How many passages.")] = 5,
    model: Model = None,
    knowledge_base: Knowledge = None,
) -> None:
    """The passages nearest in meaning, with their cosine.

    \b
    Example:
      ecgclip kb search "irregular rhythm without P waves"
    """
    if not text.strip():
        raise EcgclipError("nothing to search for")
    from ecgclip.model.store import load_model

    network = load_model(model, knowledge_base)
    for passage, cosine in network.nearest_passages(network.embed_text(text)[0], k):
        typer.echo(f"{cosine:.3f}  {passage.concept}  {passage.kind}: {passage.text}")
