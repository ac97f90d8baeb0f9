//! The report as Markdown, and as a table for the terminal.

use std::fmt::Write;

use super::baseline::Comparison;
use super::record::{Record, Row};
use super::report::{self, Pair, Source};
use super::stats::Stats;

/// The whole page.
pub(crate) fn page(sources: &[Source], comparison: Option<&Comparison>) -> String {
    let mut out = String::from("# Benchmark\n");
    side_by_side(&mut out, sources);
    for source in sources {
        record(&mut out, source);
    }
    if let Some(comparison) = comparison {
        compared(&mut out, comparison);
    }
    out
}

/// Medians of the rows that several records have.
fn side_by_side(out: &mut String, sources: &[Source]) {
    let rows: Vec<Vec<String>> = report::side_by_side(sources)
        .iter()
        .map(|(id, records)| std::iter::once(escaped(id)).chain(report::beside_first(records)).collect())
        .collect();
    if !rows.is_empty() {
        let names: Vec<_> = sources.iter().map(|s| escaped(s.name.as_deref().unwrap_or("record"))).collect();
        let header: Vec<&str> = std::iter::once("median").chain(names.iter().map(String::as_str)).collect();
        out.push_str("\n## Side by side\n\n");
        table(out, &header, &rows);
    }
}

fn record(out: &mut String, source: &Source) {
    let record = &source.record;
    // Writing to a string cannot fail, here and below.
    if let Some(name) = &source.name {
        let _ = writeln!(out, "\n## {}", escaped(name));
    }
    let protocol = record.protocol.as_ref().map_or(String::new(), |p| format!(", protocol {}", escaped(p)));
    let _ = writeln!(
        out,
        "\nvideo-hw {} on {}{}; {}{protocol}: {} runs of each row after {} to warm up, {}.",
        escaped(&record.version),
        escaped(&report::machine(record)),
        if record.machine.simulated { " (**simulated NVIDIA driver**)" } else { "" },
        escaped(&record.started),
        record.repeat,
        record.warmup,
        report::seconds(record.took_s),
    );
    if record.machine.simulated {
        out.push_str(
            "\nFigures of a simulated driver say what the program around it costs, and nothing of a card.\n",
        );
    }
    let versions: Vec<_> = record.machine.versions.iter().map(|(k, v)| format!("{k} {v}")).collect();
    if !versions.is_empty() {
        let _ = writeln!(out, "\nVersions: {}.", escaped(&versions.join("; ")));
    }
    let pairs = report::pairs(record);
    out.push_str("\n### Times\n\n");
    table(out, &HEADER, &pairs.iter().map(|pair| figures(record, pair)).collect::<Vec<_>>());
    out.push_str(LEGEND);
    verdicts(out, &pairs);
    stages(out, &pairs);
    list(out, "Warnings", &report::warnings(record));
    commands(out, record);
}

const HEADER: [&str; 15] = [
    "case",
    "codec",
    "backend",
    "n",
    "video-hw mean",
    "p95",
    "p99",
    "CV",
    "peer",
    "mean",
    "p95",
    "p99",
    "CV",
    "ratio (95 %)",
    "aim",
];

const LEGEND: &str = "\nSeconds of the whole process unless the case says otherwise; percentiles by nearest rank; CV is standard deviation / mean. \
The ratio is our time / the peer's: the Hodges-Lehmann estimate over runs that took turns, with its interval.\n";

fn figures(record: &Record, pair: &Pair<'_>) -> Vec<String> {
    let mut case = pair.title();
    if pair.measure != report::Measure::Wall {
        let _ = write!(case, " ({})", pair.measure.words());
    }
    if record.machine.simulated {
        case.push_str(" (simulated)");
    }
    if pair.row.program != report::OURS {
        let _ = write!(case, " by {}", pair.row.program);
    }
    let side = |stats: Option<Stats>| {
        let shown =
            |value: fn(&Stats) -> f64| stats.as_ref().map_or(String::new(), |s| report::seconds(value(s)));
        let cv = stats.map_or(String::new(), |s| report::share(s.cv));
        [shown(|s| s.mean), shown(|s| s.p95), shown(|s| s.p99), cv]
    };
    let mut all = vec![case, pair.row.codec.clone(), pair.row.backend.clone(), pair.ours.n.to_string()];
    all.extend(side(Some(pair.ours)));
    all.push(pair.peer.map_or(String::new(), |peer| format!("{} ({})", peer.program, peer.backend)));
    all.extend(side(pair.theirs));
    let mut all: Vec<String> = all.iter().map(|word| escaped(word)).collect();
    all.push(pair.ratio.map_or(String::new(), |r| {
        let sure =
            if r.confidence < 0.949 { format!(" at {}", report::share(r.confidence)) } else { String::new() };
        format!("**{}** ({}{sure})", report::times(r.value), report::range(&r))
    }));
    all.push(match (pair.row.aim, pair.aim) {
        (Some(limit), Some(aim)) => {
            let words = if aim.met { aim.words() } else { format!("**{}**", aim.words()) };
            format!("{}: {words}", report::times(limit))
        }
        (Some(limit), None) => format!("{}: **not measured**", report::times(limit)),
        (None, _) => String::new(),
    });
    all
}

/// What `--verify` found, and the limits of cases that have their own.
fn verdicts(out: &mut String, pairs: &[Pair<'_>]) {
    let mut rows = Vec::new();
    for row in pairs.iter().flat_map(|pair| std::iter::once(pair.row).chain(pair.peer)) {
        let verdict = |passed| if passed { "ok" } else { "**FAILED**" }.to_owned();
        let id = escaped(&row.id);
        for check in row.verify.iter().flat_map(|verify| &verify.checks) {
            rows.push(vec![id.clone(), escaped(&check.name), escaped(&check.found), verdict(check.passed)]);
        }
        if let Some(psnr) = row.verify.as_ref().and_then(|verify| verify.psnr_db) {
            rows.push(vec![
                id.clone(),
                "PSNR".to_owned(),
                format!("{} dB", report::digits(psnr)),
                String::new(),
            ]);
        }
        for judged in &row.judged {
            let unit = escaped(&judged.unit);
            let found = format!(
                "{} {unit} (limit {} {unit})",
                report::digits(judged.value),
                report::digits(judged.limit)
            );
            rows.push(vec![id.clone(), escaped(&judged.name), found, verdict(judged.passed)]);
        }
    }
    if !rows.is_empty() {
        out.push_str("\n### Verdicts\n\n");
        table(out, &["row", "check", "found", "verdict"], &rows);
    }
}

/// Latency, start and steady state, and the programs' own figures.
fn stages(out: &mut String, pairs: &[Pair<'_>]) {
    let mut rows = Vec::new();
    for row in pairs.iter().flat_map(|pair| std::iter::once(pair.row).chain(pair.peer)) {
        for (name, stats, is_time) in details(row) {
            let shown = |value: f64| if is_time { report::seconds(value) } else { report::digits(value) };
            let name = escaped(&name);
            rows.push(vec![escaped(&row.id), name, shown(stats.mean), shown(stats.p50), shown(stats.max)]);
        }
    }
    if !rows.is_empty() {
        out.push_str("\n### Inside\n\n");
        table(out, &["row", "figure", "mean of the runs", "p50", "largest"], &rows);
    }
}

/// Figures of a row besides its time: name, values of the runs, whether they are seconds.
pub(crate) fn details(row: &Row) -> Vec<(String, Stats, bool)> {
    let mut all = Vec::new();
    let mut add = |name: &str, values: Vec<f64>, is_time| {
        if !values.is_empty() {
            all.push((name.to_owned(), super::stats::of(&values), is_time));
        }
    };
    let each =
        |f: &dyn Fn(&super::record::Run) -> Option<f64>| row.runs.iter().filter_map(f).collect::<Vec<_>>();
    add("CPU time", each(&|run| run.cpu_s), true);
    add("until the first frame", each(&|run| run.startup_s), true);
    add("first frame to last", each(&|run| run.steady_s), true);
    add("latency p50", each(&|run| run.latency.map(|l| l.p50_s)), true);
    add("latency p95", each(&|run| run.latency.map(|l| l.p95_s)), true);
    add("latency p99", each(&|run| run.latency.map(|l| l.p99_s)), true);
    add("latency, largest", each(&|run| run.latency.map(|l| l.max_s)), true);
    add("peak memory, MB", each(&|run| run.peak_rss_bytes.map(|n| n as f64 / 1e6)), false);
    add("bytes out", each(&|run| run.bytes_out.map(|n| n as f64)), false);
    all.extend(report::internals(row).into_iter().map(|(name, stats)| (name.to_owned(), stats, false)));
    all
}

fn compared(out: &mut String, comparison: &Comparison) {
    let _ = writeln!(
        out,
        "\n## Against the baseline: {}\n\nOld: {}. New: {}.\n",
        escaped(&comparison.summary()),
        escaped(&comparison.old),
        escaped(&comparison.new)
    );
    let bold = |row: &Vec<String>| {
        let mut row: Vec<String> = row.iter().map(|word| escaped(word)).collect();
        if let Some(verdict) = row.get_mut(6).filter(|v| v.as_str() == "SLOWER" || v.as_str() == "BROKEN") {
            *verdict = format!("**{verdict}**");
        }
        row
    };
    let rows: Vec<_> = comparison_rows(comparison).iter().map(bold).collect();
    table(out, &COMPARISON, &rows);
    list(out, "About the comparison", &comparison.notes);
}

pub(crate) const COMPARISON: [&str; 8] =
    ["row", "old", "new", "time", "peer's time", "ratio to the peer", "verdict", "why"];

/// The rows of a comparison as words.
pub(crate) fn comparison_rows(comparison: &Comparison) -> Vec<Vec<String>> {
    let line = |line: &super::baseline::Line| {
        let time = |value: Option<f64>| value.map_or("–".to_owned(), report::seconds);
        let change =
            |change: Option<super::baseline::Change>| change.map_or("–".to_owned(), |c| c.percent());
        let by = line.judged_by.words();
        let why = match (&line.why, by) {
            (Some(why), _) => why.clone(),
            (None, "") => String::new(),
            (None, by) => format!("by {by}"),
        };
        vec![
            line.id.clone(),
            time(line.old_s),
            time(line.new_s),
            change(line.time),
            change(line.peer),
            change(line.ratio),
            line.verdict.word().to_owned(),
            why,
        ]
    };
    comparison.rows.iter().map(line).collect()
}

fn list(out: &mut String, title: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n### {title}\n");
    for item in items {
        let _ = writeln!(out, "- {}", escaped(item));
    }
}

fn commands(out: &mut String, record: &Record) {
    out.push_str("\n<details><summary>Commands</summary>\n\n");
    let mut all = command_line(&record.command);
    for row in &record.rows {
        let _ = write!(all, "\n{}: {}", single_line(&row.id), command_line(&row.command));
    }
    // A fence ends at a line of as many marks: it gets more than the text has anywhere.
    let longest = all.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let _ = writeln!(out, "{fence}text\n{all}\n{fence}\n\n</details>");
}

/// A command as a shell takes it.
pub(crate) fn command_line(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+%@".contains(c);
    let quoted = |word: &String| {
        let word = single_line(word);
        if !word.is_empty() && word.chars().all(plain) {
            word
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// Control characters could end a line, or move a terminal's cursor.
pub(crate) fn single_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn table(out: &mut String, header: &[&str], rows: &[Vec<String>]) {
    let _ = writeln!(out, "| {} |", header.join(" | "));
    let _ = writeln!(out, "|{}", " --- |".repeat(header.len()));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
}

/// Text that is nothing but text in a Markdown table.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in single_line(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '|' | '*' | '_' | '`' | '[' | ']' | '~' | '#' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// The figures for a terminal.
pub(crate) fn text(sources: &[Source], comparison: Option<&Comparison>) -> String {
    let mut out = String::new();
    for source in sources {
        let record = &source.record;
        let name = source.name.as_ref().map_or(String::new(), |name| format!("{name}: "));
        let simulated = if record.machine.simulated { ", simulated NVIDIA driver" } else { "" };
        let head = format!("{name}video-hw {} on {}{simulated}", record.version, report::machine(record));
        let _ = writeln!(out, "{}", single_line(&head));
        let mut rows = vec![
            [
                "case", "codec", "backend", "n", "mean", "p95", "CV", "peer", "mean", "p95", "CV", "ratio",
                "", "aim", "verify",
            ]
            .map(str::to_owned)
            .to_vec(),
        ];
        for pair in report::pairs(record) {
            let side = |stats: Option<Stats>| {
                stats.map_or([String::new(), String::new(), String::new()], |s| {
                    [report::seconds(s.mean), report::seconds(s.p95), report::share(s.cv)]
                })
            };
            let mut row =
                vec![pair.title(), pair.row.codec.clone(), pair.row.backend.clone(), pair.ours.n.to_string()];
            row.extend(side(Some(pair.ours)));
            row.push(pair.peer.map_or(String::new(), |peer| peer.program.clone()));
            row.extend(side(pair.theirs));
            row.push(pair.ratio.map_or(String::new(), |r| report::times(r.value)));
            row.push(pair.ratio.map_or(String::new(), |r| report::range(&r)));
            let aim = pair.row.aim.zip(pair.aim);
            row.push(
                aim.map_or(String::new(), |(limit, aim)| {
                    format!("{}: {}", report::times(limit), aim.words())
                }),
            );
            row.push(pair.verified().map_or(String::new(), |(_, words)| words));
            rows.push(row);
        }
        columns(&mut out, &rows, "  ");
        for warning in report::warnings(record) {
            let _ = writeln!(out, "  note: {}", single_line(&warning));
        }
    }
    if let Some(comparison) = comparison {
        let head =
            format!("baseline: {} (old {}, new {})", comparison.summary(), comparison.old, comparison.new);
        let _ = writeln!(out, "{}", single_line(&head));
        let mut rows = vec![COMPARISON.map(str::to_owned).to_vec()];
        rows.extend(comparison_rows(comparison));
        columns(&mut out, &rows, "  ");
        for note in &comparison.notes {
            let _ = writeln!(out, "  note: {}", single_line(note));
        }
    }
    out
}

/// Rows with their columns below each other.
fn columns(out: &mut String, rows: &[Vec<String>], indent: &str) {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|c| single_line(c)).collect()).collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |i: usize| rows.iter().filter_map(|row| row.get(i)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..count).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).filter(|(_, width)| **width > 0);
        let line: Vec<_> = cells.map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(out, "{indent}{}", line.join("  ").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::samples;
    use super::*;

    fn sources(record: Record) -> Vec<Source> {
        vec![Source { name: None, record }]
    }

    #[test]
    fn every_row_with_all_figures_of_both_sides() {
        let text = page(&sources(samples::record()), None);
        let decode = text.lines().find(|l| l.starts_with("| decode |")).unwrap();
        assert_eq!(
            decode,
            "| decode | h264 | nvidia | 9 | 504.0 ms | 510.0 ms | 510.0 ms | 0.7 % | ffmpeg (nvidia) | 1.008 s | 1.020 s | 1.020 s | 0.7 % | **0.50x** (0.50 to 0.50) | 0.60x: met |"
        );
        let encode = text.lines().find(|l| l.starts_with("| encode, in-flight 4 |")).unwrap();
        assert!(encode.ends_with("1.20x: **MISSED** |"), "{encode}");
        assert!(text.contains("| latency (one frame, median) | av1 |"), "{text}");
        assert!(text.contains("| frames | 300 | **FAILED** |") && text.contains("| PSNR | 41.50 dB |"));
        assert!(text.contains("| lock\\_ms | 1.500 |") && !text.contains("simulated"));
    }

    #[test]
    fn simulated_figures_are_called_so() {
        let mut record = samples::record();
        record.machine.simulated = true;
        let text = page(&sources(record), None);
        assert!(text.contains("**simulated NVIDIA driver**") && text.contains("| decode (simulated) |"));
    }

    #[test]
    fn hostile_words_stay_words() {
        let mut record = samples::record();
        record.rows[0].command = vec!["a | b".into(), "```\n# x".into(), "<script>".into(), "it's".into()];
        record.rows[0].codec = "x|<b>|`y`\n| new row |".to_owned();
        record.machine.cpu = "[link](http://example.com) \u{1b}[31m".to_owned();
        let text = page(&sources(record.clone()), None);
        assert!(text.contains("x\\|&lt;b&gt;\\|\\`y\\` \\| new row \\| |") && text.contains("\\[link\\]"));
        let fence = text.lines().find(|l| l.starts_with("```")).unwrap();
        assert_eq!(fence, "````text");
        assert!(text.contains("'a | b' '``` # x' '<script>' 'it'\\''s'"), "{text}");
        let terminal = super::text(&sources(record), None);
        assert!(terminal.chars().all(|c| c == '\n' || !c.is_control()));
    }

    #[test]
    fn the_terminal_gets_columns() {
        let text = text(&sources(samples::record()), None);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1].find("codec"), lines[2].find("h264"));
        assert!(lines[3].contains("MISSED") && lines[3].contains("FAILED: frames"), "{text}");
    }
}
