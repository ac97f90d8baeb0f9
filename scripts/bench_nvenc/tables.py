"""Tables in Markdown, from finished groups."""

from bench_nvdec import stats

STAGES = ("wait_ms", "upload_ms", "encode_ms", "lock_ms", "copy_ms")


def _at(results, *names):
    """The summary of one figure, nested or not."""
    values = []
    for result in results:
        for name in names:
            result = result.get(name) if isinstance(result, dict) else None
        values.append(result)
    return stats.summary(values)


def _median(results, *names, digits=3):
    found = _at(results, *names)
    return f"{found.median:,.{digits}f}" if found else "?"


def grid(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]) + "\n"


def faults(groups):
    """A loud line for each row that did not always work."""
    lines = []
    for group in groups:
        for row in group.rows:
            for words in sorted(set(row.faults)):
                what = group.facts.get("what", group.case)
                lines.append(f"- **FAILED** {what}, {row.name} ({row.faults.count(words)}x): {words}")
            if not row.results and not row.faults:
                lines.append(f"- **NOT RUN** {group.case} {row.name}")
    return "\n".join(lines) + "\n" if lines else ""


def throughput(groups):
    rows = []
    for row in groups[0].rows:
        ideal = row.facts["ideal_s"]
        found = _at(row.results, "wall_s")
        if found:
            rows.append([row.name, found.count, f"{found.median:.3f}", f"{found.least:.3f}", f"{found.most:.3f}",
                         f"{found.cv:.2f}", f"{ideal:.3f}", f"{found.median / ideal:.4f}",
                         _median(row.results, "queue_peak", digits=0)])
    head = ["session", "n", "wall s (median)", "min", "max", "CV %", "engine s", "wall / engine", "queue peak"]
    return grid(head, rows)


def paired(ours, theirs):
    """Ratios of runs that were neighbours."""
    return stats.summary([a / b for a, b in zip(ours, theirs) if b])


def processes(groups):
    rows = []
    for group in groups:
        ours, theirs = ([result["process_s"] for result in row.results] for row in group.rows)
        a, b, pairs = stats.summary(ours), stats.summary(theirs), paired(ours, theirs)
        if a and b:
            engine = f"{group.facts['engine_ms']:g} ms" if group.facts["engine_ms"] else "no time"
            cpu = [_median(row.results, "cpu_s") for row in group.rows]
            rows.append([group.facts["what"], engine, a.count, f"{a.median:.3f}", f"{a.cv:.1f}", f"{b.median:.3f}",
                         f"{b.cv:.1f}", f"**{a.median / b.median:.2f}x**", f"{pairs.least:.2f} to {pairs.most:.2f}",
                         " / ".join(cpu)])
    head = ["input", "engine", "n", "video-hw s", "CV %", "ffmpeg s", "CV %", "ratio of medians", "pairs",
            "CPU s, ours / ffmpeg"]
    return grid(head, rows)


def sweep(groups):
    parts = []
    for group in groups:
        rows = []
        for row in group.rows:
            found = _at(row.results, "wall_s")
            if not found:
                continue
            lock = [_median(row.results, "lock_ms", name) for name in ("mean", "p95", "p99")]
            wait = [_median(row.results, "wait_ms", name) for name in ("mean", "p99")]
            latency = [_median(row.results, "latency_ms", name, digits=1) for name in ("p50", "p99")]
            rows.append([row.name, found.count, f"{found.median:.3f}", f"{found.cv:.2f}", *lock, *wait, *latency,
                         _median(row.results, "queue_peak", digits=0)])
        head = ["in-flight", "n", "wall s", "CV %", "lock mean ms", "p95", "p99", "wait mean ms", "p99",
                "latency p50 ms", "p99", "queue peak"]
        facts = group.facts
        parts.append(f"{facts['b_frames']} B frames, engine {facts['engine_ms']:g} ms, {facts['jitter']:.0%} more or "
                     f"less:\n\n{grid(head, rows)}")
    return "\n".join(parts)


def latency(groups):
    rows = []
    for row in groups[0].rows:
        engine = row.facts["engine_ms"]
        p95 = _at(row.results, "p95_ms")
        if p95:
            rows.append([row.name, p95.count, _median(row.results, "p50_ms"), f"{p95.median:.3f}", f"{p95.least:.3f}",
                         _median(row.results, "p99_ms"), _median(row.results, "max_ms"), f"{p95.median - engine:+.3f}",
                         _median(row.results, "upload_ms", "p50"), _median(row.results, "encode_ms", "p50")])
    head = ["picture", "n", "p50 ms", "p95 (median)", "p95 (best run)", "p99", "max", "p95 - engine", "of it: upload",
            "submit call"]
    return grid(head, rows)


def overhead(groups):
    row = groups[0].rows[0]
    found = _at(row.results, "ns")
    if not found:
        return ""
    return (f"Timing one stage, the clock asked twice, costs {found.median:.0f} ns ({found.least:.0f} to "
            f"{found.most:.0f}, {found.count} runs of a million): {len(STAGES)} stages of a picture "
            f"{found.median * len(STAGES) / 1e3:.2f} µs.\n")
