//! The report as one HTML page that needs nothing else.
//!
//! The page asks for nothing from anywhere: its policy forbids everything but the style and the script that are in it, told by their
//! sums, so that whatever a hostile record might smuggle in is not run. The script only adds comfort; all numbers are there without it.

use std::fmt::Write;
use std::ops::Range;

use video_hw_terminal::text::{self, markup as escaped};

use super::baseline::Comparison;
use super::chart;
use super::page::{self, Cell, Source, Table, Tone};
use super::pairs::{self, Pair, SPREAD};
use super::words::{command_line, digits, machine, seconds, times};
use crate::record::{Record, Row};

const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/script.js");

/// SHA-256 of the two, as the page's policy names them; a test computes them again.
const STYLE_SUM: &str = "qDAKhOk/azwCZPgNbyoNRhfN6EYr5/1bIe5FbV3PPFQ=";
const SCRIPT_SUM: &str = "/MuaGCzhEBq8AUSRXKxtXC5CXzoA3Cxq+xL510ufM6g=";

/// The whole page.
pub(crate) fn page(sources: &[Source], comparison: Option<&Comparison>) -> String {
    let simulated = sources.iter().any(|source| source.record.machine.simulated);
    let title = if simulated { "video-hw benchmark (simulated)" } else { "video-hw benchmark" };
    let mut out = String::with_capacity(64 << 10);
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{STYLE_SUM}'; script-src 'sha256-{SCRIPT_SUM}'; base-uri 'none'; form-action 'none'\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#results\">To the results</a>"
    );
    header(&mut out, sources);
    out.push_str("<main id=\"results\">\n");
    if let Some(comparison) = comparison {
        compared(&mut out, comparison);
    }
    if let Some(beside) = page::beside(sources) {
        out.push_str("<section><h2>Side by side</h2>\n");
        table(&mut out, MAIN, &beside);
        out.push_str("</section>\n");
    }
    for (n, source) in sources.iter().enumerate() {
        record(&mut out, source, n);
    }
    let _ = writeln!(out, "</main>\n<footer><p>{}</p></footer>", page::LEGEND);
    let _ = writeln!(out, "<script>{SCRIPT}</script>\n</body>\n</html>");
    out
}

fn header(out: &mut String, sources: &[Source]) {
    out.push_str("<header><div class=\"brand\"><strong>video-hw</strong> benchmark</div><button id=\"theme\" type=\"button\" hidden>Dark</button></header>\n<div class=\"hero\">\n");
    match sources {
        [source] => {
            let record = &source.record;
            let peers: std::collections::BTreeSet<_> = pairs::pairs(record)
                .iter()
                .filter_map(|pair| pair.peer.map(|peer| peer.program.clone()))
                .collect();
            let beside = peers.into_iter().collect::<Vec<_>>().join(", ");
            let beside =
                if beside.is_empty() { String::new() } else { format!(" beside {}", escaped(&beside)) };
            let _ = writeln!(out, "<h1>video-hw {}{beside}</h1>", escaped(&record.version));
        }
        several => {
            let _ = writeln!(out, "<h1>{} records side by side</h1>", several.len());
        }
    }
    if let [source] = sources {
        place(out, &source.record);
    }
    out.push_str("</div>\n");
}

/// Where and when.
fn place(out: &mut String, record: &Record) {
    let _ = writeln!(
        out,
        "<p class=\"place\">{}<br><time>{}</time>, {}</p>",
        escaped(&machine(record)),
        escaped(&record.started),
        escaped(&page::circumstances(record)),
    );
    if record.machine.simulated {
        let _ = writeln!(out, "<p class=\"simulated\"><strong>Simulated.</strong> {}</p>", page::SIMULATED);
    }
}

fn record(out: &mut String, source: &Source, n: usize) {
    let record = &source.record;
    let pairs = pairs::pairs(record);
    let _ = writeln!(out, "<section class=\"record\" aria-label=\"Record {}\">", n + 1);
    if let Some(name) = &source.name {
        let _ = writeln!(out, "<h2 class=\"name\">{}</h2>", escaped(name));
        place(out, record);
    }
    cards(out, record, &pairs);
    warned(out, record);
    overview(out, record, &pairs);
    figures(out, record, &pairs);
    out.push_str("<h2>Row by row</h2>\n");
    for pair in &pairs {
        article(out, record, pair);
    }
    surroundings(out, record);
    out.push_str("</section>\n");
}

/// What a glance should tell.
fn cards(out: &mut String, record: &Record, pairs: &[Pair<'_>]) {
    let beside: Vec<_> = pairs.iter().filter_map(|pair| pair.ratio).collect();
    let faster = beside.iter().filter(|ratio| ratio.value < 1.0).count();
    let aims = pairs.iter().filter(|pair| pair.row.aim.is_some()).count();
    let met = pairs.iter().filter(|pair| pair.aim.is_some_and(|aim| aim.met)).count();
    let verified: Vec<_> = pairs.iter().filter_map(Pair::verified).collect();
    let right = verified.iter().filter(|(passed, _)| *passed).count();
    let failed = record.rows.iter().filter(|row| row.failed.is_some()).count();
    let warnings = pairs::warnings(record).len();
    let all = [
        (!pairs.is_empty(), "", pairs.len().to_string(), "rows measured"),
        (!beside.is_empty(), "", format!("{faster} of {}", beside.len()), "faster than the peer"),
        (aims > 0, good(met == aims), format!("{met} of {aims}"), "aims met"),
        (
            !verified.is_empty(),
            good(right == verified.len()),
            format!("{right} of {}", verified.len()),
            "outputs verified",
        ),
        (failed > 0, "bad", failed.to_string(), "rows failed"),
        (true, if warnings > 0 { "warn" } else { "good" }, warnings.to_string(), "warnings"),
    ];
    out.push_str("<ul class=\"cards\">");
    for (_, class, figure, message) in all.into_iter().filter(|card| card.0) {
        let _ = write!(out, "<li class=\"card {class}\"><b>{figure}</b> <span>{message}</span></li>");
    }
    out.push_str("</ul>\n");
}

fn good(is: bool) -> &'static str {
    if is { "good" } else { "bad" }
}

fn warned(out: &mut String, record: &Record) {
    let all = pairs::warnings(record);
    if all.is_empty() {
        return;
    }
    let open = if all.len() <= 8 { " open" } else { "" };
    let _ = write!(out, "<details class=\"warnings\"{open}><summary>Warnings ({})</summary><ul>", all.len());
    for warning in all {
        let _ = write!(out, "<li>{}</li>", escaped(&warning));
    }
    out.push_str("</ul></details>\n");
}

/// Bars of all pairs.
fn overview(out: &mut String, record: &Record, pairs: &[Pair<'_>]) {
    let shown: Vec<_> = pairs.iter().filter(|pair| chart::has_runs(pair)).collect();
    if shown.is_empty() {
        return;
    }
    out.push_str("<h2>At a glance</h2>\n<p class=\"legend\"><span class=\"key a\"></span>video-hw <span class=\"key b\"></span>peer; bars are means, dots are runs, shorter is faster.</p>\n<div class=\"overview\">\n");
    for pair in shown {
        let _ = write!(
            out,
            "<div class=\"glance\"><div class=\"what\"><b>{}</b>{}</div><div class=\"plot\">{}</div><div class=\"figures\">",
            escaped(&pair.heading()),
            chips(record, pair),
            chart::bars(pair)
        );
        let _ = write!(out, "<span class=\"ours\">{}</span>", seconds(pair.ours.mean));
        if let Some(theirs) = pair.theirs {
            let _ = write!(out, "<span class=\"theirs\">{}</span>", seconds(theirs.mean));
        }
        if let Some(ratio) = pair.ratio {
            let _ = write!(
                out,
                "<strong class=\"times\">{}<small>of the peer's</small></strong>",
                times(ratio.value)
            );
        }
        out.push_str("</div></div>\n");
    }
    out.push_str("</div>\n");
}

/// The backend, and what else must not be overlooked.
fn chips(record: &Record, pair: &Pair<'_>) -> String {
    let mut out = String::new();
    let mut chip = |class: &str, text: &str| {
        if !text.is_empty() {
            let _ = write!(out, " <span class=\"chip {class}\">{}</span>", escaped(text));
        }
    };
    chip("", &pair.row.backend);
    if record.machine.simulated {
        chip("sim", "simulated");
    }
    if let Some(aim) = pair.aim {
        chip(good(aim.met), &format!("aim {} {}", times(aim.limit), aim.message()));
    }
    if let Some((passed, _)) = pair.verified() {
        chip(good(passed), if passed { "verified" } else { "wrong output" });
    }
    if pair.row.failed.is_some() {
        chip("bad", "failed");
    }
    if pair.ours.cv > SPREAD || pair.theirs.is_some_and(|s| s.cv > SPREAD) {
        chip("warn", "spread above 10 %");
    }
    out
}

/// A table with what browsers have to be told of it, and whose rows are cards on narrow screens, by the style alone.
const MAIN: &str = "main";
const SMALL: &str = "small";

/// The role of a part of a table. The style of [`MAIN`] ones takes away what such elements are by themselves.
fn role(class: &str, name: &str) -> String {
    if class == MAIN { format!(" role=\"{name}\"") } else { String::new() }
}

/// The beginning of a table, up to its rows; `above` is a row over the names of the columns.
fn open(out: &mut String, class: &str, above: &str, table: &Table) {
    let [whole, group, row, head] =
        ["table", "rowgroup", "row", "columnheader"].map(|name| role(class, name));
    let _ = write!(out, "<div class=\"scroll\"><table class=\"{class}\"{whole}>");
    if !table.caption.is_empty() {
        let _ = write!(out, "<caption>{}</caption>", table.caption);
    }
    let _ = write!(out, "<thead{group}>{above}<tr{row}>");
    for (i, name) in table.columns.iter().enumerate() {
        let number = if table.numbers.contains(&i) { " class=\"num\"" } else { "" };
        let _ = write!(out, "<th{head} scope=\"col\"{number}>{}</th>", escaped(name));
    }
    let _ = writeln!(out, "</tr></thead><tbody{group}>");
}

fn table(out: &mut String, class: &str, table: &Table) {
    open(out, class, "", table);
    for cells in &table.rows {
        let _ = write!(out, "<tr{}>", role(class, "row"));
        for (i, (one, name)) in cells.iter().zip(&table.columns).enumerate() {
            if i == 0 {
                let _ = write!(out, "<th{} scope=\"row\">{}</th>", role(class, "rowheader"), message(one));
            } else {
                cell(out, class, one, name, table.numbers.contains(&i));
            }
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

fn cell(out: &mut String, class: &str, cell: &Cell, label: &str, number: bool) {
    let _ = write!(out, "<td{}", role(class, "cell"));
    if class == MAIN {
        let _ = write!(out, " data-label=\"{}\"", escaped(label));
    }
    let classes = [if number { "num" } else { "" }, tone(cell.tone)].join(" ");
    if !classes.trim().is_empty() {
        let _ = write!(out, " class=\"{}\"", classes.trim());
    }
    if let Some(value) = cell.value.filter(|value| value.is_finite()) {
        let _ = write!(out, " data-v=\"{value:e}\"");
    }
    let _ = write!(out, ">{}</td>", message(cell));
}

fn message(cell: &Cell) -> String {
    let text = escaped(&cell.plain());
    let text = if cell.strong { format!("<strong>{text}</strong>") } else { text };
    if cell.after.is_empty() {
        return text;
    }
    format!("<span>{text} <small>{}</small></span>", escaped(&cell.after))
}

fn tone(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "",
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Warn => "warn",
    }
}

/// The table of all figures.
fn figures(out: &mut String, record: &Record, pairs: &[Pair<'_>]) {
    // The peer stands above its columns.
    const PEER: usize = 7;
    let names = page::FIGURES.into_iter().enumerate().filter(|(i, _)| *i != PEER).map(|(_, name)| name);
    let columns: Vec<_> = std::iter::once("case").chain(names).collect();
    out.push_str("<h2>All figures</h2>\n");
    open(out, MAIN, ABOVE, &Table::new("Times of both sides, ratio and aim", &columns, 3..13, Vec::new()));
    let sim = if record.machine.simulated { " <span class=\"chip sim\">simulated</span>" } else { "" };
    for pair in pairs {
        let title = escaped(&pair.title());
        let _ = write!(out, "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">{title}{sim}</th>");
        let theirs = pair.peer.map_or("peer", |peer| peer.program.as_str());
        for (i, (mut one, name)) in page::figures(pair).into_iter().zip(page::FIGURES).enumerate() {
            if one.text.is_empty() {
                one.text = "–".to_owned();
            }
            match i {
                PEER => {}
                3..PEER => cell(out, MAIN, &one, &format!("{} {name}", pair.row.program), true),
                8..12 => cell(out, MAIN, &one, &format!("{theirs} {name}"), true),
                _ => cell(out, MAIN, &one, name, matches!(i, 2 | 12)),
            }
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

const ABOVE: &str = "<tr role=\"row\"><td role=\"cell\" colspan=\"4\"></td><th role=\"columnheader\" scope=\"colgroup\" colspan=\"4\" class=\"a\">video-hw</th><th role=\"columnheader\" scope=\"colgroup\" colspan=\"4\" class=\"b\">peer</th><td role=\"cell\" colspan=\"2\"></td></tr>";

/// One pair with its charts and all there is about it.
fn article(out: &mut String, record: &Record, pair: &Pair<'_>) {
    let row = pair.row;
    let _ = writeln!(out, "<article><h3>{}{}</h3>", escaped(&pair.heading()), chips(record, pair));
    if let Some(why) = &row.failed {
        let _ = writeln!(out, "<p class=\"failed\"><strong>Failed:</strong> {}</p>", escaped(why));
    }
    let _ = writeln!(out, "<p class=\"input\">{}</p>", escaped(&input(row)));
    out.push_str("<div class=\"charts\">\n");
    let charts = [
        (format!("{}, run by run", chart::caption(pair.measure)), chart::distribution(pair)),
        ("In the order in which they ran".to_owned(), chart::timeline(pair)),
        ("Latency of a frame".to_owned(), chart::latency(pair)),
        ("Time / the peer's".to_owned(), chart::ratio(pair)),
    ];
    for (caption, svg) in charts {
        if let Some(svg) = svg {
            let _ = writeln!(out, "<figure><figcaption>{}</figcaption>{svg}</figure>", escaped(&caption));
        }
    }
    out.push_str("</div>\n");
    let columns = ["check", "of", "found", "verdict"];
    let checks = Table { caption: "Checks", ..of_rows(pair, columns, 0..0, page::checks) };
    if !checks.rows.is_empty() {
        table(out, SMALL, &checks);
    }
    let columns = ["figure", "of", "mean", "p50", "largest"];
    folded(
        out,
        "CPU, memory and what the program says of itself",
        &of_rows(pair, columns, 2..5, page::details),
    );
    let runs = runs(pair);
    folded(out, &format!("All {} runs", runs.rows.len()), &runs);
    out.push_str("<details><summary>Command lines and settings</summary>");
    for row in pair.rows() {
        let _ = write!(
            out,
            "<p>{}</p><pre><code>{}</code></pre>",
            escaped(&row.program),
            escaped(&command_line(&row.command))
        );
        let settings: Vec<_> = row.settings.iter().map(|(k, v)| format!("{k} = {v}")).collect();
        if !settings.is_empty() {
            let _ = write!(out, "<p class=\"input\">{}</p>", escaped(&settings.join(", ")));
        }
    }
    out.push_str("</details></article>\n");
}

/// `in.mp4, 1920x1080, 303 frames; 426 fps beside 344 fps`.
fn input(row: &Row) -> String {
    let input = &row.input;
    let mut all = vec![input.name.clone()];
    if input.width > 0 {
        all.push(format!("{}x{}", input.width, input.height));
    }
    all.extend(input.pixel_format.clone());
    all.push(format!("{} frames", input.frames));
    all.extend(input.streams.map(|n| format!("{n} streams")));
    all.extend(Pair::rate(row).map(|rate| format!("{} frames a second", digits(rate))));
    all.join(", ")
}

/// A small table of what there is about each of the two rows.
fn of_rows<const N: usize>(
    pair: &Pair<'_>,
    columns: [&str; N],
    numbers: Range<usize>,
    about: fn(&Row) -> Vec<Vec<Cell>>,
) -> Table {
    let mut rows = Vec::new();
    for row in pair.rows() {
        for mut cells in about(row) {
            cells.insert(1, row.program.as_str().into());
            rows.push(cells);
        }
    }
    Table::new("", &columns, numbers, rows)
}

/// A small table that is opened by its title; nothing without rows.
fn folded(out: &mut String, title: &str, all: &Table) {
    if !all.rows.is_empty() {
        let _ = write!(out, "<details><summary>{title}</summary>");
        table(out, SMALL, all);
        out.push_str("</details>\n");
    }
}

/// Every run, as it was.
fn runs(pair: &Pair<'_>) -> Table {
    let mut all: Vec<_> = pair.rows().flat_map(|row| row.runs.iter().map(move |run| (row, run))).collect();
    all.sort_by_key(|(_, run)| run.order);
    let row = |(row, run): (&Row, &crate::record::Run)| {
        vec![
            (u64::from(run.order) + 1).to_string().into(),
            (u64::from(run.round) + 1).to_string().into(),
            row.program.as_str().into(),
            pair.measure.of(run).map_or("–".to_owned(), seconds).into(),
            run.frames.to_string().into(),
            run.load.map_or("–".to_owned(), digits).into(),
        ]
    };
    let columns = ["order", "round", "program", "time", "frames", "load"];
    Table::new("", &columns, 3..6, all.into_iter().map(row).collect())
}

fn surroundings(out: &mut String, record: &Record) {
    let machine = &record.machine;
    let mut rows = String::new();
    let mut add = |name: &str, value: &str| {
        let _ = write!(rows, "<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escaped(name), escaped(value));
    };
    add("processor", &format!("{}, {} cores", machine.cpu, machine.cores));
    if let Some(bytes) = machine.memory_bytes {
        add("memory", &text::bytes(bytes));
    }
    add("system", &machine.system);
    add("devices", &if machine.devices.is_empty() { "none".to_owned() } else { machine.devices.join(", ") });
    for (name, version) in &machine.versions {
        add(name, version);
    }
    let load: Vec<_> = machine.load.iter().map(|load| digits(*load)).collect();
    if !load.is_empty() {
        add("load", &load.join(", "));
    }
    add("command", &command_line(&record.command));
    let _ = writeln!(
        out,
        "<details class=\"machine\"><summary>The machine, versions, and the command</summary><div class=\"scroll\"><table class=\"small\"><tbody>{rows}</tbody></table></div></details>"
    );
}

fn compared(out: &mut String, comparison: &Comparison) {
    let _ = writeln!(
        out,
        "<section class=\"compared\"><h2>Against the baseline</h2>\n<p class=\"verdict {}\"><strong>{}</strong></p><p class=\"place\">Old: {}<br>New: {}</p>",
        good(!comparison.regressed()),
        escaped(&comparison.summary()),
        escaped(&comparison.old),
        escaped(&comparison.new)
    );
    for note in &comparison.notes {
        let _ = writeln!(out, "<p class=\"failed\">{}</p>", escaped(note));
    }
    table(out, MAIN, &page::compared(comparison));
    out.push_str("</section>\n");
}

#[cfg(test)]
mod tests;
