"""Tables in Markdown."""

from . import stats

MISSING = "**MISSING**"


def number(value, digits):
    if value is None:
        return "?"
    return f"{value:,.{digits}f}"


def table(case, repeat):
    """The table of one case, with a loud line for each row that could not be run."""
    best, best_row = case.best_peer()
    heading = next(heading for figure, heading, _ in case.columns if figure == case.main)
    others = [column for column in case.columns if column[0] != case.main]
    digits = next(digits for figure, _, digits in case.columns if figure == case.main)
    head = ["", "n", f"{heading} (median)", "min", "max", "CV %", "to best peer"] + [h for _, h, _ in others]
    lines = [f"## {case.key}: {case.title}", "", "| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in case.rows:
        summary = row.summary(case.main)
        cells = [row.name, str(len(row.results))]
        if summary:
            share = stats.ratio(summary, best) if row.ours else None
            cells += [number(summary.median, digits), number(summary.least, digits), number(summary.most, digits)]
            cells += [number(summary.cv, 1), f"{share:.2f}x" if share else ("best" if row is best_row else "")]
            for figure, _, places in others:
                other = row.summary(figure)
                cells.append(number(other.median if other else None, places))
        else:
            why = MISSING if row.missing else "**FAILED**" if row.faults else "**NOT RUN**"
            cells += [why] + [""] * (4 + len(others))
        lines.append("| " + " | ".join(cells) + " |")
    lines += [""] + [f"- {words}" for words in remarks(case, best_row, repeat)]
    return "\n".join(lines) + "\n"


def remarks(case, best_row, repeat):
    """What a reader must know about the table."""
    for row in case.rows:
        if row.missing:
            yield f"{MISSING} {row.name}: {row.missing}"
        for fault in sorted(set(row.faults)):
            yield f"**FAILED** {row.name} ({row.faults.count(fault)}x): {fault}"
        if row.skipped:
            yield f"**NOT RUN** {row.name}: {row.skipped} of {repeat} runs, no time left"
        for count in row.wrong_counts():
            yield f"**FRAMES** {row.name}: {count} came, {row.frames} were expected"
        wanted = min(repeat, row.most or repeat)
        if row.results and len(row.results) < wanted and not row.skipped and not row.faults:
            yield f"**FEWER RUNS** {row.name}: {len(row.results)} of {wanted}"
    if any(not row.ours for row in case.rows):
        if best_row is None:
            yield "**NO PEER**: no peer could be run here, so nothing is compared"
    else:
        yield "no peer belongs to this table"
    yield from case.notes


def plain(title, head, rows, notes=()):
    """A table of texts."""
    lines = [f"## {title}", "", "| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines + [""] + [f"- {note}" for note in notes]) + "\n"


def facts(machine):
    """The machine, as a list."""
    lines = ["## The machine", ""]
    for name, value in machine.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        lines.append(f"- {name}: {value}")
    return "\n".join(lines) + "\n"
