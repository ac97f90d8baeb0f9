//! The report as one HTML page that needs nothing else.
//!
//! The page asks for nothing from anywhere: its policy forbids everything but the style and the script that are in it, told by their
//! sums, so that whatever a hostile record might smuggle in is not run. The script only adds comfort; all numbers are there without it.

use std::fmt::Write;

use super::baseline::{Comparison, Verdict};
use super::record::{Record, Row};
use super::report::{self, Pair, Source};
use super::stats::Stats;
use super::{chart, markdown};
use crate::text::{self, markup as escaped};

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
    side_by_side(&mut out, sources);
    for (n, source) in sources.iter().enumerate() {
        record(&mut out, source, n);
    }
    out.push_str("</main>\n<footer><p>Percentiles by nearest rank; CV is standard deviation / mean. The ratio is our time / the peer's: the Hodges-Lehmann estimate over runs that took turns, with its interval of 95 % where the number of runs allows one.</p></footer>\n");
    let _ = writeln!(out, "<script>{SCRIPT}</script>\n</body>\n</html>");
    out
}

fn header(out: &mut String, sources: &[Source]) {
    out.push_str("<header><div class=\"brand\"><strong>video-hw</strong> benchmark</div><button id=\"theme\" type=\"button\" hidden>Dark</button></header>\n<div class=\"hero\">\n");
    match sources {
        [source] => {
            let record = &source.record;
            let peers: std::collections::BTreeSet<_> = report::pairs(record)
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

/// Medians of the rows that several records have.
fn side_by_side(out: &mut String, sources: &[Source]) {
    let rows = report::side_by_side(sources);
    if rows.is_empty() {
        return;
    }
    out.push_str("<section><h2>Side by side</h2>\n<div class=\"scroll\"><table class=\"main\" role=\"table\"><caption>Medians, and how many times the first record's</caption><thead role=\"rowgroup\"><tr role=\"row\"><th role=\"columnheader\" scope=\"col\">row</th>");
    let names: Vec<_> = sources.iter().map(|s| escaped(s.name.as_deref().unwrap_or("record"))).collect();
    for name in &names {
        let _ = write!(out, "<th role=\"columnheader\" scope=\"col\" class=\"num\">{name}</th>");
    }
    out.push_str("</tr></thead><tbody role=\"rowgroup\">\n");
    for (id, records) in &rows {
        let _ = write!(out, "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">{}</th>", escaped(id));
        for (name, cell) in names.iter().zip(report::beside_first(records)) {
            let _ = write!(out, "<td role=\"cell\" data-label=\"{name}\" class=\"num\">{cell}</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div></section>\n");
}

/// Where and when.
fn place(out: &mut String, record: &Record) {
    let _ = writeln!(
        out,
        "<p class=\"place\">{}<br><time>{}</time>, {} runs of each row after {} to warm up{}, in {}</p>",
        escaped(&report::machine(record)),
        escaped(&record.started),
        record.repeat,
        record.warmup,
        record.protocol.as_ref().map_or(String::new(), |p| format!(", protocol {}", escaped(p))),
        report::seconds(record.took_s),
    );
    if record.machine.simulated {
        out.push_str("<p class=\"simulated\"><strong>Simulated.</strong> The NVIDIA driver is a simulation that takes as long as it is told: figures say what the program around it costs, and nothing of a card.</p>\n");
    }
}

fn record(out: &mut String, source: &Source, n: usize) {
    let record = &source.record;
    let pairs = report::pairs(record);
    let _ = writeln!(out, "<section class=\"record\" aria-label=\"Record {}\">", n + 1);
    if let Some(name) = &source.name {
        let _ = writeln!(out, "<h2 class=\"name\">{}</h2>", escaped(name));
        place(out, record);
    }
    cards(out, record, &pairs);
    warned(out, record);
    overview(out, record, &pairs);
    table(out, record, &pairs);
    out.push_str("<h2>Row by row</h2>\n");
    for pair in &pairs {
        article(out, record, pair);
    }
    machine(out, record);
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
    let warnings = report::warnings(record).len();
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
    for (_, class, figure, words) in all.into_iter().filter(|card| card.0) {
        let _ = write!(out, "<li class=\"card {class}\"><b>{figure}</b> <span>{words}</span></li>");
    }
    out.push_str("</ul>\n");
}

fn good(is: bool) -> &'static str {
    if is { "good" } else { "bad" }
}

fn warned(out: &mut String, record: &Record) {
    let all = report::warnings(record);
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
        let _ = write!(out, "<span class=\"ours\">{}</span>", report::seconds(pair.ours.mean));
        if let Some(theirs) = pair.theirs {
            let _ = write!(out, "<span class=\"theirs\">{}</span>", report::seconds(theirs.mean));
        }
        if let Some(ratio) = pair.ratio {
            let _ = write!(
                out,
                "<strong class=\"times\">{}<small>of the peer's</small></strong>",
                report::times(ratio.value)
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
        chip(good(aim.met), &format!("aim {} {}", report::times(aim.limit), aim.words()));
    }
    if let Some((passed, _)) = pair.verified() {
        chip(good(passed), if passed { "verified" } else { "wrong output" });
    }
    if pair.row.failed.is_some() {
        chip("bad", "failed");
    }
    if pair.ours.cv > report::SPREAD || pair.theirs.is_some_and(|s| s.cv > report::SPREAD) {
        chip("warn", "spread above 10 %");
    }
    out
}

const HEADER: [&str; 14] = [
    "Case", "Codec", "Backend", "Runs", "mean", "p95", "p99", "CV", "mean", "p95", "p99", "CV", "Ratio",
    "Aim",
];

/// The table of all figures; on narrow screens each row is a card, by the style alone.
fn table(out: &mut String, record: &Record, pairs: &[Pair<'_>]) {
    out.push_str("<h2>All figures</h2>\n<div class=\"scroll\"><table class=\"main\" role=\"table\"><caption>Times of both sides, ratio and aim</caption><thead role=\"rowgroup\"><tr role=\"row\"><td role=\"cell\" colspan=\"4\"></td><th role=\"columnheader\" scope=\"colgroup\" colspan=\"4\" class=\"a\">video-hw</th><th role=\"columnheader\" scope=\"colgroup\" colspan=\"4\" class=\"b\">peer</th><td role=\"cell\" colspan=\"2\"></td></tr><tr role=\"row\">");
    for (i, name) in HEADER.iter().enumerate() {
        let side = match i {
            4..8 => " class=\"num a\"",
            8..12 => " class=\"num b\"",
            3 | 12 => " class=\"num\"",
            _ => "",
        };
        let _ = write!(out, "<th role=\"columnheader\" scope=\"col\"{side}>{name}</th>");
    }
    out.push_str("</tr></thead><tbody role=\"rowgroup\">\n");
    for pair in pairs {
        let sim = if record.machine.simulated { " <span class=\"chip sim\">simulated</span>" } else { "" };
        let _ = write!(
            out,
            "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">{}{sim}</th>",
            escaped(&pair.title())
        );
        let mut cell = |label: &str, class: &str, sort: f64, text: &str| {
            let sort = if sort.is_finite() { format!(" data-v=\"{sort:e}\"") } else { String::new() };
            let _ =
                write!(out, "<td role=\"cell\" data-label=\"{label}\" class=\"{class}\"{sort}>{text}</td>");
        };
        cell("codec", "", f64::NAN, &escaped(&pair.row.codec));
        cell("backend", "", f64::NAN, &escaped(&pair.row.backend));
        cell("runs", "num", pair.ours.n as f64, &pair.ours.n.to_string());
        let peer = pair.peer.map_or("peer", |peer| peer.program.as_str());
        let sides = [(pair.row.program.as_str(), Some(pair.ours)), (peer, pair.theirs)];
        for (name, stats) in sides {
            let name = escaped(name);
            let spread = stats.is_some_and(|s| s.cv > report::SPREAD);
            let value = |f: fn(&Stats) -> f64| stats.as_ref().map_or(f64::NAN, f);
            for (label, v) in
                [("mean", value(|s| s.mean)), ("p95", value(|s| s.p95)), ("p99", value(|s| s.p99))]
            {
                cell(&format!("{name} {label}"), "num", v, &report::seconds(v));
            }
            let cv = value(|s| s.cv);
            cell(&format!("{name} CV"), if spread { "num warn" } else { "num" }, cv, &report::share(cv));
        }
        let ratio = pair.ratio.map_or("–".to_owned(), |r| {
            format!(
                "<span><strong>{}</strong> <small>{}</small></span>",
                report::times(r.value),
                report::range(&r)
            )
        });
        cell("ratio", "num", pair.ratio.map_or(f64::NAN, |r| r.value), &ratio);
        let (class, aim) = aim(pair);
        cell("aim", class, f64::NAN, &aim);
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

fn aim(pair: &Pair<'_>) -> (&'static str, String) {
    match (pair.row.aim, pair.aim) {
        (Some(limit), Some(aim)) => (good(aim.met), format!("{}: {}", report::times(limit), aim.words())),
        (Some(limit), None) => ("bad", format!("{}: not measured", report::times(limit))),
        (None, _) => ("", "–".to_owned()),
    }
}

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
    checks(out, pair);
    inside(out, pair);
    runs(out, pair);
    out.push_str("<details><summary>Command lines and settings</summary>");
    for row in std::iter::once(row).chain(pair.peer) {
        let _ = write!(
            out,
            "<p>{}</p><pre><code>{}</code></pre>",
            escaped(&row.program),
            escaped(&markdown::command_line(&row.command))
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
    all.extend(Pair::rate(row).map(|rate| format!("{} frames a second", report::digits(rate))));
    all.join(", ")
}

fn checks(out: &mut String, pair: &Pair<'_>) {
    let mut rows = String::new();
    for row in std::iter::once(pair.row).chain(pair.peer) {
        let mut add = |name: &str, found: &str, passed: Option<bool>| {
            let (class, word) = match passed {
                Some(true) => ("good", "ok"),
                Some(false) => ("bad", "FAILED"),
                None => ("", ""),
            };
            let _ = write!(
                rows,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td class=\"{class}\">{word}</td></tr>",
                escaped(name),
                escaped(&row.program),
                escaped(found)
            );
        };
        for check in row.verify.iter().flat_map(|verify| &verify.checks) {
            add(&check.name, &check.found, Some(check.passed));
        }
        if let Some(psnr) = row.verify.as_ref().and_then(|verify| verify.psnr_db) {
            add("PSNR", &format!("{} dB", report::digits(psnr)), None);
        }
        for judged in &row.judged {
            let (value, limit) = (report::digits(judged.value), report::digits(judged.limit));
            add(&judged.name, &format!("{value} {} (limit {limit})", judged.unit), Some(judged.passed));
        }
    }
    if !rows.is_empty() {
        let _ = writeln!(
            out,
            "<div class=\"scroll\"><table class=\"small\"><caption>Checks</caption><thead><tr><th scope=\"col\">check</th><th scope=\"col\">of</th><th scope=\"col\">found</th><th scope=\"col\">verdict</th></tr></thead><tbody>{rows}</tbody></table></div>"
        );
    }
}

/// Figures besides the time.
fn inside(out: &mut String, pair: &Pair<'_>) {
    let mut rows = String::new();
    for row in std::iter::once(pair.row).chain(pair.peer) {
        for (name, stats, is_time) in markdown::details(row) {
            let shown = |value: f64| if is_time { report::seconds(value) } else { report::digits(value) };
            let _ = write!(
                rows,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td></tr>",
                escaped(&name),
                escaped(&row.program),
                shown(stats.mean),
                shown(stats.p50),
                shown(stats.max)
            );
        }
    }
    if !rows.is_empty() {
        let _ = writeln!(
            out,
            "<details><summary>CPU, memory and what the program says of itself</summary><div class=\"scroll\"><table class=\"small\"><thead><tr><th scope=\"col\">figure</th><th scope=\"col\">of</th><th scope=\"col\">mean</th><th scope=\"col\">p50</th><th scope=\"col\">largest</th></tr></thead><tbody>{rows}</tbody></table></div></details>"
        );
    }
}

/// Every run, as it was.
fn runs(out: &mut String, pair: &Pair<'_>) {
    let rows = std::iter::once(pair.row).chain(pair.peer);
    let mut all: Vec<_> = rows.flat_map(|row| row.runs.iter().map(move |run| (row, run))).collect();
    if all.is_empty() {
        return;
    }
    all.sort_by_key(|(_, run)| run.order);
    let _ = write!(
        out,
        "<details><summary>All {} runs</summary><div class=\"scroll\"><table class=\"small\"><thead><tr><th scope=\"col\">order</th><th scope=\"col\">round</th><th scope=\"col\">program</th><th scope=\"col\">time</th><th scope=\"col\">frames</th><th scope=\"col\">load</th></tr></thead><tbody>",
        all.len()
    );
    for (row, run) in all {
        let time = pair.measure.of(run).map_or("–".to_owned(), report::seconds);
        let load = run.load.map_or("–".to_owned(), report::digits);
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"num\">{}</td><td>{}</td><td class=\"num\">{time}</td><td class=\"num\">{}</td><td class=\"num\">{load}</td></tr>",
            u64::from(run.order) + 1,
            u64::from(run.round) + 1,
            escaped(&row.program),
            run.frames
        );
    }
    out.push_str("</tbody></table></div></details>\n");
}

fn machine(out: &mut String, record: &Record) {
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
    let load: Vec<_> = machine.load.iter().map(|load| report::digits(*load)).collect();
    if !load.is_empty() {
        add("load", &load.join(", "));
    }
    add("command", &markdown::command_line(&record.command));
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
    out.push_str("<div class=\"scroll\"><table class=\"main\" role=\"table\"><caption>Medians, and how many per cent the new time is above the old</caption><thead role=\"rowgroup\"><tr role=\"row\">");
    for name in markdown::COMPARISON {
        let _ = write!(out, "<th role=\"columnheader\" scope=\"col\">{name}</th>");
    }
    out.push_str("</tr></thead><tbody role=\"rowgroup\">\n");
    for (line, words) in comparison.rows.iter().zip(markdown::comparison_rows(comparison)) {
        let class = match line.verdict {
            Verdict::Slower | Verdict::Broken => "bad",
            Verdict::Faster => "good",
            Verdict::Unclear | Verdict::NotComparable => "warn",
            _ => "",
        };
        out.push_str("<tr role=\"row\">");
        for (i, (word, label)) in words.iter().zip(markdown::COMPARISON).enumerate() {
            let word = escaped(word);
            let _ = match i {
                0 => write!(out, "<th role=\"rowheader\" scope=\"row\">{word}</th>"),
                6 => write!(
                    out,
                    "<td role=\"cell\" data-label=\"{label}\" class=\"{class}\"><strong>{word}</strong></td>"
                ),
                7 => write!(out, "<td role=\"cell\" data-label=\"{label}\">{word}</td>"),
                _ => write!(out, "<td role=\"cell\" data-label=\"{label}\" class=\"num\">{word}</td>"),
            };
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div></section>\n");
}

#[cfg(test)]
mod tests;
