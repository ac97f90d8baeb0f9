//! The report as Markdown.

use std::fmt::Write;

use super::baseline::Comparison;
use super::page::{self, Cell, Source, Tone};
use super::pairs::{self, Measure, OURS, Pair};
use super::words::{command_line, machine, single_line};
use crate::record::{Record, Row};

/// The whole page.
pub(crate) fn page(sources: &[Source], comparison: Option<&Comparison>) -> String {
    let mut out = String::from("# Benchmark\n");
    if let Some(beside) = page::beside(sources) {
        let names: Vec<_> = beside.columns.iter().map(|name| escaped(name)).collect();
        out.push_str("\n## Side by side\n\n");
        table(&mut out, &names.join(" | "), &beside.rows);
    }
    for source in sources {
        record(&mut out, source);
    }
    if let Some(comparison) = comparison {
        compared(&mut out, comparison);
    }
    out
}

fn record(out: &mut String, source: &Source) {
    let record = &source.record;
    // Writing to a string cannot fail, here and below.
    if let Some(name) = &source.name {
        let _ = writeln!(out, "\n## {}", escaped(name));
    }
    let _ = writeln!(
        out,
        "\nvideo-hw {} on {}{}; {}: {}.",
        escaped(&record.version),
        escaped(&machine(record)),
        if record.machine.simulated { " (**simulated NVIDIA driver**)" } else { "" },
        escaped(&record.started),
        escaped(&page::circumstances(record)),
    );
    if record.machine.simulated {
        let _ = writeln!(out, "\n{}", page::SIMULATED);
    }
    let versions: Vec<_> = record.machine.versions.iter().map(|(k, v)| format!("{k} {v}")).collect();
    if !versions.is_empty() {
        let _ = writeln!(out, "\nVersions: {}.", escaped(&versions.join("; ")));
    }
    let pairs = pairs::pairs(record);
    out.push_str("\n### Times\n\n");
    let rows: Vec<_> = pairs.iter().map(|pair| figures(record, pair)).collect();
    table(out, HEADER, &rows);
    let _ =
        writeln!(out, "\nTimes are of the whole process unless the case says otherwise. {}", page::LEGEND);
    of_rows(out, "Verdicts", "row | check | found | verdict", &pairs, page::checks);
    of_rows(out, "Inside", "row | figure | mean of the runs | p50 | largest", &pairs, page::details);
    list(out, "Warnings", &pairs::warnings(record));
    commands(out, record);
}

const HEADER: &str = "case | codec | backend | n | video-hw mean | p95 | p99 | CV | peer | mean | p95 | p99 | CV | \
                      ratio (95 %) | aim";

fn figures(record: &Record, pair: &Pair<'_>) -> Vec<Cell> {
    let mut case = pair.title();
    if pair.measure != Measure::Wall {
        let _ = write!(case, " ({})", pair.measure.message());
    }
    if record.machine.simulated {
        case.push_str(" (simulated)");
    }
    if pair.row.program != OURS {
        let _ = write!(case, " by {}", pair.row.program);
    }
    std::iter::once(case.into()).chain(page::figures(pair)).collect()
}

/// A table of what there is about each row.
fn of_rows(
    out: &mut String,
    title: &str,
    header: &str,
    pairs: &[Pair<'_>],
    about: fn(&Row) -> Vec<Vec<Cell>>,
) {
    let mut rows = Vec::new();
    for row in pairs.iter().flat_map(Pair::rows) {
        let named = |cells: Vec<Cell>| std::iter::once(row.id.as_str().into()).chain(cells).collect();
        rows.extend(about(row).into_iter().map(named));
    }
    if !rows.is_empty() {
        let _ = writeln!(out, "\n### {title}\n");
        table(out, header, &rows);
    }
}

fn compared(out: &mut String, comparison: &Comparison) {
    let _ = writeln!(
        out,
        "\n## Against the baseline: {}\n\nOld: {}. New: {}.\n",
        escaped(&comparison.summary()),
        escaped(&comparison.old),
        escaped(&comparison.new)
    );
    let all = page::compared(comparison);
    table(out, &all.columns.join(" | "), &all.rows);
    list(out, "About the comparison", &comparison.notes);
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

/// The names of the columns are as they stand in the page.
fn table(out: &mut String, header: &str, rows: &[Vec<Cell>]) {
    let _ = writeln!(out, "| {header} |\n|{}", " --- |".repeat(header.matches(" | ").count() + 1));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
}

fn cell(cell: &Cell) -> String {
    let marks = if cell.strong || cell.tone == Tone::Bad { "**" } else { "" };
    let after = if cell.after.is_empty() { String::new() } else { format!(" ({})", escaped(&cell.after)) };
    format!("{}{marks}{}{marks}{after}", escaped(&cell.before), escaped(&cell.text))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

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
        let text = page(&sources(record), None);
        assert!(text.contains("x\\|&lt;b&gt;\\|\\`y\\` \\| new row \\| |") && text.contains("\\[link\\]"));
        let fence = text.lines().find(|l| l.starts_with("```")).unwrap();
        assert_eq!(fence, "````text");
        assert!(text.contains("'a | b' '``` # x' '<script>' 'it'\\''s'"), "{text}");
    }
}
