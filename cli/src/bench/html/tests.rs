//! What the page holds; how it looks is judged by a browser in `cli/tests/bench_report.rs`.

use super::super::report::samples;
use super::*;

fn of(record: Record) -> String {
    page(&[Source { name: None, record }], None)
}

#[test]
fn all_rows_and_figures_are_there_without_the_script() {
    let page = of(samples::record());
    let body = page.split("<script>").next().unwrap();
    for words in [
        "504.0 ms",
        "1.008 s",
        "0.50x",
        "0.60x: met",
        "1.20x: MISSED",
        "FAILED",
        "41.50 dB",
        "lock_ms",
        "Some CPU",
    ] {
        assert!(body.contains(words), "no {words}");
    }
    assert_eq!(body.matches("<article>").count(), 3);
    assert_eq!(body.matches("class=\"glance\"").count(), 3);
    // Nine runs of each side, each in its row of a table.
    assert_eq!(body.matches("<td>video-hw</td><td class=\"num\">").count() - detail_rows(body), 27);
}

/// Rows of the tables of other figures.
fn detail_rows(body: &str) -> usize {
    body.matches("</th><td>video-hw</td><td class=\"num\">").count()
}

#[test]
fn every_tag_is_closed_and_no_style_or_handler_is_inline() {
    let mut record = samples::record();
    record.rows[0].failed = Some("partly".to_owned());
    let page = of(record);
    for tag in [
        "section", "article", "table", "tbody", "thead", "tr", "td", "th", "svg", "g", "text", "figure",
        "details", "summary", "div", "span", "ul", "li", "p", "main", "title",
    ] {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    assert!(
        !page.contains(" style=")
            && !page.contains(" onclick")
            && !page.contains("http://")
            && !page.contains("https://")
    );
    assert_eq!(page.matches("<script>").count(), 1);
}

#[test]
fn hostile_words_stay_words() {
    let hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u{202e}\u{0}&amp;";
    let mut record = samples::record();
    record.version = hostile.to_owned();
    record.started = hostile.to_owned();
    record.command = vec![hostile.to_owned()];
    record.protocol = Some(hostile.to_owned());
    record.notes = vec![hostile.to_owned()];
    record.machine.cpu = hostile.to_owned();
    record.machine.system = hostile.to_owned();
    record.machine.devices = vec![hostile.to_owned()];
    record.machine.versions = [(hostile.to_owned(), hostile.to_owned())].into();
    for row in &mut record.rows {
        row.command = vec![hostile.to_owned()];
        row.settings = [(hostile.to_owned(), hostile.to_owned())].into();
        row.codec = hostile.to_owned();
        row.backend = hostile.to_owned();
        row.failed = Some(hostile.to_owned());
        row.input.name = hostile.to_owned();
        row.input.pixel_format = Some(hostile.to_owned());
        row.runs.iter_mut().for_each(|run| run.internal = [(hostile.to_owned(), 1.0)].into());
        let checks = vec![super::super::record::Check {
            name: hostile.to_owned(),
            passed: false,
            found: hostile.to_owned(),
        }];
        row.verify = Some(super::super::record::Verify { checks, psnr_db: None });
        row.judged = vec![super::super::record::Judged {
            name: hostile.to_owned(),
            unit: hostile.to_owned(),
            ..Default::default()
        }];
    }
    record.rows[3].program = hostile.to_owned();
    let sources = [Source { name: Some(hostile.to_owned()), record }];
    let page = page(&sources, Some(&super::super::baseline::judge(&sources[0].record, &sources[0].record)));
    assert_eq!((page.matches("<script>").count(), page.matches("<img").count()), (1, 0));
    assert!(!page.contains('\u{202e}') && !page.contains('\u{0}') && page.contains("&lt;script&gt;alert(1)"));
    assert!(!page.contains("\"'>"));
}

#[test]
fn hostile_numbers_make_no_broken_page() {
    for value in [0.0, -1.0, f64::MAX, f64::MIN_POSITIVE, f64::NAN, f64::INFINITY] {
        let mut record = samples::record();
        record.took_s = value;
        record.machine.load = vec![value];
        for row in &mut record.rows {
            row.aim = Some(value);
            for run in &mut row.runs {
                run.wall_s = value;
                run.cpu_s = Some(value);
                run.latency = Some(super::super::record::Latency { p50_s: value, ..Default::default() });
                run.order = u32::MAX;
            }
        }
        record.rows[1].runs.truncate(1);
        let page = of(record);
        for word in ["NaN", "inf%", "\"inf", "-inf"] {
            assert!(!page.contains(word), "{value}: {word}");
        }
        assert!(page.ends_with("</html>\n"));
    }
}

#[test]
fn records_without_anything_are_pages_too() {
    let mut record = samples::record();
    record.rows.clear();
    assert!(of(record.clone()).contains("0</b> <span>warnings"));
    let mut empty = samples::record();
    empty.rows.iter_mut().for_each(|row| row.runs.clear());
    assert!(of(empty).contains("0 of 9 runs"));
    assert!(page(&[], None).ends_with("</html>\n"));
}

#[test]
fn simulated_rows_are_marked() {
    let mut record = samples::record();
    record.machine.simulated = true;
    let page = of(record);
    assert!(
        page.contains("<title>video-hw benchmark (simulated)</title>")
            && page.contains("<strong>Simulated.</strong>")
    );
    // In the overview, in the table and at each row.
    assert_eq!(page.matches(">simulated</span>").count(), 9);
}
