"""Writer of docs/catalogue.md, from benchmarks/catalogue.csv.

python -m benchmarks.catalogue_page
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from benchmarks.catalogue import FILE, YES, Row, candidates, read_rows

PAGE = Path(__file__).parent.parent / "docs" / "catalogue.md"
_VERDICTS = ("trains", "prunes_25", "prunes_50", "prunes_75", "exports", "quantizes")


def main() -> None:
    rows = read_rows(FILE)
    PAGE.write_text(page(rows, lacking=len(candidates()) - len(rows)))


def page(rows: Sequence[Row], *, lacking: int) -> str:
    """Return the page, which depends only on the rows.

    Args:
        rows: the catalogue's rows.
        lacking: the number of models that have not been tried yet.
    """
    pretrained = [row for row in rows if row.pretrained == YES]
    return "\n".join(
        [
            "# timm's small models in retort",
            "",
            "`benchmarks/catalogue.py` tried every timm model with fewer than 12 million",
            f"parameters (timm {rows[0].timm}). It checked whether retort can train the model,",
            "prune it (`magnitude`, at 25, 50 and 75% of the channels), export it to ONNX and",
            "quantize it to static int8. The images had 64 pixels, or the model's own size if the",
            "model can't take 64. The weights were random, because only shapes and operators",
            "decide whether these steps succeed. [catalogue.csv](../benchmarks/catalogue.csv) has",
            "a row for each model, with its parameters, MACs, bytes and latency. Other programs",
            "ran at the same time, so use the latencies only for comparison. After a fix of",
            "pruning or export, the benchmark tried the failed models again, but not the others.",
            "",
            *_lacking(len(rows), lacking),
            f"- All four steps succeed for {_share(rows)} of the models.",
            f"- They succeed for {_share(pretrained)} of the models with pretrained weights.",
            f"- They succeed for at least one model in {_families(pretrained)} of the families",
            "  with pretrained weights.",
            "",
            "A search refuses a student that fails before it trains the student: admission builds,",
            "prunes, exports and quantizes each student untrained, and records the reason.",
            "`retort plan` shows the reasons.",
            "",
            "## By family",
            "",
            "The last column is the share of parameters that pruning at 50% leaves, in the median.",
            "",
            *_by_family(rows),
            "",
            "## Refused models and reasons",
            "",
            *_refusals(rows),
            "",
        ]
    )


def _lacking(done: int, lacking: int) -> list[str]:
    if not lacking:
        return []
    return [f"**{lacking} of {done + lacking} models have not been tried yet.**", ""]


def _share(rows: Sequence[Row]) -> str:
    works = sum(row.works for row in rows)
    return f"{works} of {len(rows)} ({works / max(1, len(rows)):.0%})"


def _families(rows: Sequence[Row]) -> str:
    works = {row.family for row in rows if row.works}
    families = {row.family for row in rows}
    return f"{len(works)} of {len(families)} ({len(works) / max(1, len(families)):.0%})"


def _by_family(rows: Sequence[Row]) -> Iterable[str]:
    yield "| family | models | trains | prunes | exports | quantizes | all | left at 50% |"
    yield "|---|---|---|---|---|---|---|---|"
    families: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        families[row.family].append(row)
    for family, own in sorted(families.items()):
        counts = [
            sum(row.trains == YES for row in own),
            sum(row.prunes_25 == row.prunes_50 == row.prunes_75 == YES for row in own),
            sum(row.exports == YES for row in own),
            sum(row.quantizes == YES for row in own),
            sum(row.works for row in own),
        ]
        left = [row.left_50 for row in own if row.left_50]
        shown = f"{median(left):.0%}" if left else "–"
        yield f"| {family} | {len(own)} | {' | '.join(map(str, counts))} | {shown} |"


def _refusals(rows: Sequence[Row]) -> Iterable[str]:
    reasons: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        verdicts = row.verdicts()
        failed = next((name for name in _VERDICTS if verdicts[name] != YES), None)
        if failed:
            reasons[row.family, failed.replace("_", " at "), verdicts[failed]] += 1
    yield "| family | models | first fails | reason |"
    yield "|---|---|---|---|"
    for (family, stage, reason), count in sorted(reasons.items()):
        yield f"| {family} | {count} | {stage} | {_escaped(reason) or 'not tried'} |"


def _escaped(reason: str) -> str:
    return reason.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    main()
