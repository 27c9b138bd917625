"""The commands kb: look at the knowledge base and its criteria, search it, check and embed your own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgclip.cli.app import kb_app
from ecgclip.cli.lines import row
from ecgclip.cli.options import Knowledge, Model, OutputFolder
from ecgclip.ecg import EcgclipError

if TYPE_CHECKING:
    from ecgclip.knowledge import Concept, KnowledgeBase
    from ecgclip.model import ECGCLIP


@kb_app.command("list")
def kb_list(
    category: Annotated[str | None, typer.Option(metavar="C", help="Only this category, such as rhythm.")] = None,
    knowledge_base: Knowledge = None,
) -> None:
    """All concepts: id, category, name.

    \b
    Example:
      ecgclip kb list --category rhythm
    """
    from ecgclip.knowledge import CATEGORIES, KnowledgeBase

    if category is not None and category not in CATEGORIES:
        raise EcgclipError(f"no category {category!r}; there are {', '.join(CATEGORIES)}")
    concepts = [c for c in KnowledgeBase.load(knowledge_base).concepts.values() if category in (None, c.category)]
    id_width = max((len(c.id) for c in concepts), default=0)
    for c in concepts:
        typer.echo(f"{c.id:<{id_width}}  {c.category:<16}  {c.name}")


@kb_app.command("show")
def kb_show(
    concept: Annotated[str, typer.Argument(metavar="CONCEPT", help="Id, name, abbreviation or code.")],
    knowledge_base: Knowledge = None,
) -> None:
    """Everything known of one concept, with the sources.

    \b
    Example:
      ecgclip kb show AF
    """
    from ecgclip.knowledge import KnowledgeBase

    base = KnowledgeBase.load(knowledge_base)
    for line in _concept_lines(_find_concept(base, concept), base):
        typer.echo(line)


def _find_concept(base: KnowledgeBase, name: str) -> Concept:
    concept = base.find(name)
    if concept is None:
        from difflib import get_close_matches

        near = get_close_matches(name, [*base.concepts, *(c.name for c in base.concepts.values())], n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise EcgclipError(f"{name!r} is not in the knowledge base{hint}")
    return concept


def _concept_lines(concept: Concept, base: KnowledgeBase) -> Iterator[str]:
    yield f"{concept.id}: {concept.name} ({concept.category})"
    source_keys = dict.fromkeys([*concept.sources, *(criterion.source for criterion in concept.criteria)])
    fields = [
        ("definition", [concept.definition, concept.definition_de]),
        ("codes", _codes(concept)),
        *((f"also ({language})", [", ".join(names)]) for language, names in concept.aliases.items() if names),
        ("broader", concept.broader),
        ("look-alike", concept.lookalikes),
        ("report", [*concept.report, *concept.report_de]),
        ("negation", [*concept.negation, *concept.negation_de]),
        ("criterion", [f"{c.text} ({', '.join(c.leads) or 'other leads'}) [{c.source}]" for c in concept.criteria]),
        ("source", [f"[{key}] {base.sources[key]}" for key in source_keys]),
    ]
    for name, texts in fields:
        for text in texts:
            yield row(name, text)


def _codes(concept: Concept) -> list[str]:
    codes = [(system, code) for system, code in concept.codes.items() if code]
    return [f"{system} {' '.join(code) if isinstance(code, list) else code}" for system, code in codes]


@kb_app.command("criteria")
def kb_criteria(
    concept: Annotated[str, typer.Argument(metavar="CONCEPT", help="Id, name, abbreviation or code.")],
    knowledge_base: Knowledge = None,
) -> None:
    """The criteria of one concept, each with its role and the test that computes it.

    \b
    Example:
      ecgclip kb criteria "inferior STEMI"
    """
    from ecgclip.knowledge import KnowledgeBase

    for line in _criteria_lines(_find_concept(KnowledgeBase.load(knowledge_base), concept)):
        typer.echo(line)


def _criteria_lines(concept: Concept) -> Iterator[str]:
    from ecgclip.knowledge.criteria import describe_test

    yield f"{concept.id}: {concept.name}"
    for criterion in concept.criteria:
        yield row("criterion", f"{criterion.text} [{criterion.source}]")
        yield row("  role", criterion.role or "supporting")
        if criterion.test is None:
            yield row("  test", "none: this is not computed")
            continue
        yield row("  test", criterion.test)
        described = describe_test(criterion.test)
        yield from (row("  meaning", f"{name}: {test}") for name, test in described.named.items())
        if described.unmeasured:
            yield row("  not yet", f"{', '.join(described.unmeasured)}: not measured")
    for other, test in concept.explained_by.items():
        yield row("explained", f"by {other}: {test}")


@kb_app.command("check")
def kb_check(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A knowledge base of your own.")],
) -> None:
    """Check a knowledge base: each mistake in one line, with file and line; exit code 2 if there is one.

    \b
    Example:
      ecgclip kb check my_conditions
    """
    from ecgclip.knowledge import KnowledgeBase
    from ecgclip.knowledge.entries import find_mistakes

    mistakes = find_mistakes(folder)
    for mistake in mistakes:
        typer.echo(mistake)
    if mistakes:
        raise typer.Exit(2)
    concepts = KnowledgeBase.load(folder).concepts.values()
    criteria = [criterion for concept in concepts for criterion in concept.criteria]
    tests = sum(criterion.test is not None for criterion in criteria)
    typer.echo(f"no mistake (concepts: {len(concepts)}, criteria: {len(criteria)}, tests: {tests})")


@kb_app.command("embed")
def kb_embed(output: OutputFolder, model: Model = None, knowledge_base: Knowledge = None) -> None:
    """Store a model together with your own knowledge base, embedded once, so that it loads at once.

    DIR is new, empty, or holds these weights with another knowledge base.

    \b
    Example:
      ecgclip kb embed --knowledge-base my_conditions -o my_model
      ecgclip classify record.hea --labels AF --model my_model --knowledge-base my_conditions
    """
    from ecgclip.knowledge import KnowledgeBase
    from ecgclip.model import load_model

    network, base = load_model(model), KnowledgeBase.load(knowledge_base)
    _check_target(output, network)
    network.set_knowledge(base)
    network.save(output)
    typer.echo(f"{len(network.passages)} passages of {len(network.kb.concepts)} concepts embedded: {output}")


def _check_target(folder: Path, network: ECGCLIP) -> None:
    """Refuse a folder that holds anything but the weights of `network`."""
    from ecgclip.model import weights_hash

    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    stored = weights_hash(folder) if (folder / "model.safetensors").is_file() else ""
    if stored != network.weights_sha256:
        raise EcgclipError(f"{folder}: is not empty and holds other things than these weights; give a new folder")


@kb_app.command("search")
def kb_search(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Words in English or German.")],
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
    from ecgclip.model import load_model

    network = load_model(model, knowledge_base)
    for passage, cosine in network.nearest_passages(network.embed_text(text)[0], k):
        typer.echo(f"{cosine:.3f}  {passage.concept}  {passage.kind}: {passage.text}")
