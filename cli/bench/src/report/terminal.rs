//! The report as a table for the terminal.

use std::fmt::Write;

use super::baseline::Comparison;
use super::page::{self, Source};
use super::pairs;
use super::words::{machine, range, single_line};

/// The figures for a terminal.
pub(crate) fn text(sources: &[Source], comparison: Option<&Comparison>) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail, here and below.
    for source in sources {
        let record = &source.record;
        let name = source.name.as_ref().map_or(String::new(), |name| format!("{name}: "));
        let simulated = if record.machine.simulated { ", simulated NVIDIA driver" } else { "" };
        let head = format!("{name}video-hw {} on {}{simulated}", record.version, machine(record));
        let _ = writeln!(out, "{}", single_line(&head));
        // Behind the ratio its interval, whose column has no name.
        let header = "case codec backend n mean p95 CV peer mean p95 CV ratio  aim verify";
        let mut rows = vec![header.split(' ').map(str::to_owned).collect()];
        for pair in pairs::pairs(record) {
            let figures = page::figures(&pair);
            let mut row = vec![pair.title()];
            row.extend([0, 1, 2, 3, 4, 6, 7, 8, 9, 11, 12].map(|i| figures[i].text.clone()));
            row.push(pair.ratio.map_or(String::new(), |ratio| range(&ratio)));
            row.push(pair.aim.map_or(String::new(), |_| figures[13].plain()));
            row.push(pair.verified().map_or(String::new(), |(_, message)| message));
            rows.push(row);
        }
        columns(&mut out, &rows, "  ");
        for warning in pairs::warnings(record) {
            let _ = writeln!(out, "  note: {}", single_line(&warning));
        }
    }
    if let Some(comparison) = comparison {
        let head =
            format!("baseline: {} (old {}, new {})", comparison.summary(), comparison.old, comparison.new);
        let _ = writeln!(out, "{}", single_line(&head));
        let table = page::compared(comparison);
        let message = |row: &Vec<page::Cell>| row.iter().map(page::Cell::plain).collect();
        let mut rows = vec![table.columns];
        rows.extend(table.rows.iter().map(message));
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
    use super::*;
    use crate::record::Record;
    use crate::report::samples;

    fn of(record: Record) -> String {
        text(&[Source { name: None, record }], None)
    }

    #[test]
    fn hostile_words_stay_in_their_lines() {
        let mut record = samples::record();
        record.rows[0].codec = "x|<b>|`y`\n| new row |".to_owned();
        record.machine.cpu = "[link](http://example.com) \u{1b}[31m".to_owned();
        assert!(of(record).chars().all(|c| c == '\n' || !c.is_control()));
    }

    #[test]
    fn the_terminal_gets_columns() {
        let text = of(samples::record());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1].find("codec"), lines[2].find("h264"));
        assert!(lines[3].contains("MISSED") && lines[3].contains("FAILED: frames"), "{text}");
    }
}
