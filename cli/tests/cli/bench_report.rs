//! Reports of measurements: what the command line answers, and what a browser makes of the page.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{Run, Scratch, have, run, tool};
use serde_json::{Value, json};

/// A record of real measurements, kept beside the figures that it was made of.
fn kept(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bench").join(name);
    assert!(path.is_file(), "{} is part of the repository", path.display());
    path.to_str().expect("the path is UTF-8").to_owned()
}

fn card() -> String {
    kept("h200/whole-process.json")
}

fn simulated() -> String {
    kept("nvenc-simulated/processes.json")
}

fn loaded() -> String {
    kept("nvenc-simulated/processes-shared.json")
}

fn read(path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The record with a change, in a file of its own.
fn changed(scratch: &Scratch, of: &str, change: impl Fn(&mut Value)) -> String {
    let mut record = read(of);
    change(&mut record);
    scratch.file("changed.json", record.to_string().as_bytes())
}

fn each_own_run(record: &mut Value, change: impl Fn(&mut Value)) {
    for row in record["rows"].as_array_mut().unwrap() {
        if row["program"] == "video-hw" {
            row["runs"].as_array_mut().unwrap().iter_mut().for_each(&change);
        }
    }
}

#[test]
fn tables_of_a_record() {
    let scratch = Scratch::new();
    let (html, markdown) = (scratch.path("r.html"), scratch.path("r.md"));
    let done = run(&["bench", "report", &card(), "--html", &html, "--markdown", &markdown]).ok();
    assert!(done.out().contains("MISSED") && done.out().contains("NVIDIA H200"), "{}", done.out());
    let text = std::fs::read_to_string(&markdown).unwrap();
    assert!(text.contains("| decode | hevc | nvidia |") && text.contains("**MISSED"), "{text}");
    assert!(std::fs::read_to_string(&html).unwrap().ends_with("</html>\n"));
    // What is there is not replaced by itself, and nothing is left behind.
    run(&["bench", "report", &card(), "--html", &html]).refused(2, &["exists already", "--overwrite"]);
    run(&["bench", "report", &card(), "--html", &html, "-y", "-q"]).ok();
    assert_eq!(scratch.names(), ["r.html", "r.md"]);
}

#[test]
fn figures_for_programs() {
    let report = run(&["bench", "report", &card(), &simulated(), "--json"]).ok().json();
    let rows = report["records"][0]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    let own = &rows[0];
    assert!(own["ratio"].as_f64().unwrap() < 1.0 && own["aim_met"] == false, "{own:#}");
    assert!(own["p95_s"].as_f64().unwrap() >= own["p50_s"].as_f64().unwrap());
    assert_eq!(report["records"][1]["simulated"], true);
    assert_eq!(report["comparison"], Value::Null);
}

#[test]
fn records_stand_side_by_side() {
    let scratch = Scratch::new();
    let (html, markdown) = (scratch.path("both.html"), scratch.path("both.md"));
    run(&["bench", "report", &simulated(), &loaded(), "--html", &html, "--markdown", &markdown, "-q"]).ok();
    let text = std::fs::read_to_string(&markdown).unwrap();
    let row = text
        .lines()
        .find(|l| l.starts_with("| encode/h264/nvidia/video-hw/1920x1080/bgra/engine=1 ms |"))
        .unwrap();
    assert!(row.ends_with("| 1.250 s | 2.512 s (2.01x) |"), "{row}");
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.contains("Side by side") && page.contains("processes-shared.json"), "{page:.300}");
}

#[test]
fn a_slower_program_fails_with_1() {
    let scratch = Scratch::new();
    let same = run(&["bench", "report", &simulated(), "--baseline", &simulated()]).ok();
    assert!(same.out().contains("baseline: 16 same"), "{}", same.out());
    // The same machine with other work on it: every time is longer, which proves nothing.
    let busy = run(&["bench", "report", &loaded(), "--baseline", &simulated()]).ok();
    assert!(busy.out().contains("the machine had changed too much"), "{}", busy.out());
    // So much for each frame that three runs a side are enough even where they vary by a quarter.
    let slow = changed(&scratch, &simulated(), |record| {
        each_own_run(record, |run| {
            let frames = run["frames"].as_f64().unwrap();
            run["wall_s"] = json!(run["wall_s"].as_f64().unwrap() + frames / 10.0);
        });
    });
    let html = scratch.path("slow.html");
    let found = run(&["bench", "report", &slow, "--baseline", &simulated(), "--html", &html]);
    assert_eq!(found.code, Some(1), "{}", found.stderr);
    assert!(found.out().contains("16 SLOWER"), "{}", found.out());
    assert!(std::fs::read_to_string(&html).unwrap().contains("Against the baseline"));
    let found = run(&["bench", "report", &slow, "--baseline", &simulated(), "--json"]);
    assert_eq!((found.code, &found.json()["comparison"]["rows"][0]["verdict"]), (Some(1), &json!("slower")));
    // A card and a simulation have nothing in common.
    let other = run(&["bench", "report", &card(), "--baseline", &simulated(), "--json"]).ok().json();
    let notes = other["comparison"]["notes"].to_string();
    assert!(notes.contains("different machines"), "{notes}");
}

#[test]
fn what_is_no_record_is_refused_by_name() {
    let scratch = Scratch::new();
    let refused = |name: &str, text: &[u8], code: i32, words: &[&str]| {
        let file = scratch.file(name, text);
        run(&["bench", "report", &file]).refused(code, words);
    };
    refused("text.json", b"hello", 1, &["text.json is no record of bench"]);
    refused("empty.json", b"", 1, &["empty.json is no record of bench"]);
    refused("other.json", b"{\"format\": 1}", 1, &["other.json is no record of bench", "missing field"]);
    refused("later.json", b"{\"format\": 9, \"new\": 1}", 1, &["format 9", "reads up to 1"]);
    refused("deep.json", "[".repeat(100_000).as_bytes(), 1, &["deep.json is no record of bench"]);
    let mut record = read(&card());
    record["rows"][0]["runs"] =
        json!(vec![json!({"order": 0, "round": 0, "wall_s": 1.0, "frames": 1}); 1001]);
    refused("many.json", record.to_string().as_bytes(), 1, &["more than 1000"]);
    run(&["bench", "report", &scratch.path("none.json")]).refused(1, &["none.json"]);
    run(&["bench", "report", &card(), &card(), "--baseline", &card()]).refused(2, &["one record"]);
    run(&["bench", "report", &card(), "--html", "-", "--markdown", "-"]).refused(2, &["standard output"]);
}

#[test]
fn a_page_goes_to_standard_output_alone() {
    let page = run(&["bench", "report", &card(), "--html", "-"]).ok().out();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(!page.contains("http://") && !page.contains("https://"), "nothing to fetch is named");
}

// What a browser makes of it.

/// The browser's name; said loudly where there is none.
fn browser() -> Option<&'static str> {
    let there = |name: &&str| {
        Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| there(name));
    if found.is_none() {
        let words = format_args!("SKIPPED: no chromium is installed: how the page looks is not checked\n");
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), words);
    }
    found
}

/// What the browser says of a page, with a profile of its own.
fn browse(browser: &str, scratch: &Scratch, options: &[&str], page: &str) -> Run {
    let mut command = Command::new(browser);
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--virtual-time-budget=2000"])
        // The browser's own questions to its maker stay here.
        .arg("--host-resolver-rules=MAP * ~NOTFOUND")
        .arg(format!("--user-data-dir={}", scratch.path("profile")))
        .args(options)
        .arg(format!("file://{page}"))
        .stdin(Stdio::null());
    Run::of(command.output().expect("the browser starts"))
}

/// A page that shows the report in a frame of this size (a browser's own window has a least width), with a script in the
/// report that writes what it measures into the page around it. The script is let in by a policy of its own;
/// everything else of the report's policy stays.
fn measured(page: &str, width: u32, height: u32) -> String {
    const MEASURE: &str = "<script>window.addEventListener('load', function () {
        var self = document.documentElement, root = parent.document.documentElement, wide = [];
        document.querySelectorAll('body *').forEach(function (e) {
            var scrolled = e.closest('.scroll, pre');
            if (!scrolled && e.getBoundingClientRect().right > innerWidth + 1) wide.push(e.tagName + '.' + e.getAttribute('class'));
        });
        root.dataset.width = self.scrollWidth;
        root.dataset.inner = self.clientWidth;
        root.dataset.asked = performance.getEntriesByType('resource').length;
        root.dataset.wide = wide.slice(0, 5).join(' ');
        root.dataset.dark = getComputedStyle(document.body).backgroundColor;
        root.dataset.rows = document.querySelectorAll('article').length;
        var sort = document.querySelectorAll('.record table.main thead tr:last-child button')[4];
        sort.click();
        var means = Array.from(document.querySelectorAll('.record table.main tbody tr')).map(function (r) { return Number(r.cells[4].dataset.v); });
        root.dataset.sorted = means.every(function (m, i) { return !i || means[i - 1] <= m; });
        document.getElementById('theme').click();
        root.dataset.toggled = getComputedStyle(document.body).backgroundColor;
    });</script>";
    let errors = "<script>window.addEventListener('error', function (e) { parent.document.documentElement.dataset.error = e.message; });
        document.addEventListener('securitypolicyviolation', function (e) { parent.document.documentElement.dataset.refused = e.violatedDirective; });</script>";
    let (before, after) = page.split_once("script-src 'sha256-").expect("the page has a policy");
    let (_, after) = after.split_once('\'').expect("the sum ends");
    let page = format!("{before}script-src 'unsafe-inline'{after}");
    let page = page.replacen("<style>", &format!("{errors}<style>"), 1);
    let page = page.replacen("</body>", &format!("{MEASURE}</body>"), 1);
    let page = page.replace('&', "&amp;").replace('"', "&quot;");
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>t</title></head><body>\
         <iframe width=\"{width}\" height=\"{height}\" frameborder=\"0\" srcdoc=\"{page}\"></iframe></body></html>"
    )
}

/// A value that the script left.
fn told<'a>(dom: &'a str, name: &str) -> Option<&'a str> {
    let html = dom.split_once("<html ")?.1.split_once('>')?.0;
    Some(html.split_once(&format!("data-{name}=\""))?.1.split_once('"')?.0)
}

#[test]
fn a_browser_shows_everything_on_any_screen() {
    let Some(browser) = browser() else { return };
    let scratch = Scratch::new();
    // Long words, many rows, a failed one without its peer and a baseline: what can get too wide is there.
    let hostile = changed(&scratch, &simulated(), |record| {
        record["machine"]["cpu"] = json!("W".repeat(300));
        record["notes"] =
            json!(["<img src=x onerror=\"parent.document.documentElement.dataset.error='run'\">"]);
        record["rows"][0]["failed"] =
            json!("</script><script>parent.document.documentElement.dataset.error = 'run'</script>");
        record["rows"][0]["settings"]["name"] = json!("long-".repeat(100));
        record["rows"][0]["id"] =
            json!(format!("{}/{}", record["rows"][0]["id"].as_str().unwrap(), "x".repeat(120)));
    });
    let page = scratch.path("page.html");
    run(&["bench", "report", &hostile, "--baseline", &simulated(), "--html", &page, "-q"]).ok();
    let page = std::fs::read_to_string(&page).unwrap();
    let mut colours = Vec::new();
    for (width, height) in [(375, 812), (1280, 900)] {
        let harness = scratch.file("harness.html", measured(&page, width, height).as_bytes());
        for dark in [false, true] {
            let mut options = vec!["--dump-dom", "--window-size=1400,1000"];
            if dark {
                options.push("--blink-settings=preferredColorScheme=0");
            }
            let dom = browse(browser, &scratch, &options, &harness).ok().out();
            let number = |name| {
                told(&dom, name)
                    .and_then(|n| n.parse::<u32>().ok())
                    .unwrap_or_else(|| panic!("no {name}: {dom:.400}"))
            };
            assert_eq!(number("inner"), width);
            assert!(
                number("width") <= width,
                "{width}: {} wide by {:?}",
                number("width"),
                told(&dom, "wide")
            );
            assert_eq!(told(&dom, "wide"), Some(""), "{width}");
            assert_eq!((told(&dom, "error"), told(&dom, "refused")), (None, None), "{width}");
            // Nothing was fetched, and nothing was tried in vain.
            assert_eq!(told(&dom, "asked"), Some("0"));
            assert_eq!((told(&dom, "rows"), told(&dom, "sorted")), (Some("17"), Some("true")));
            let (shown, toggled) = (told(&dom, "dark").unwrap(), told(&dom, "toggled").unwrap());
            assert_ne!(shown, toggled, "the button changes the colours");
            colours.push(shown.to_owned());
        }
    }
    assert!(colours[0] == colours[2] && colours[1] == colours[3] && colours[0] != colours[1], "{colours:?}");
}

#[test]
fn the_page_as_it_is_runs_its_script() {
    let Some(browser) = browser() else { return };
    let scratch = Scratch::new();
    let page = scratch.path("page.html");
    run(&["bench", "report", &card(), "--html", &page, "-q"]).ok();
    let dom = browse(browser, &scratch, &["--dump-dom", "--enable-logging=stderr"], &page).ok();
    // The script is the one that the policy names: it made the button visible. A wrong sum would leave it hidden.
    assert!(dom.out().contains("aria-label=\"Show in dark colours\""), "the script ran");
    for word in ["Refused to", "Content Security Policy", "Uncaught"] {
        assert!(!dom.stderr.contains(word), "{}", dom.stderr);
    }
}

#[test]
fn without_a_script_all_numbers_are_there() {
    let Some(browser) = browser() else { return };
    let scratch = Scratch::new();
    let page = scratch.path("page.html");
    run(&["bench", "report", &card(), "--html", &page, "-q"]).ok();
    // Not the switch of the browser, whose effect `--dump-dom` depends on: a page without its script.
    let text = std::fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once("<script>").unwrap();
    let bare = format!("{before}{}", rest.split_once("</script>").unwrap().1);
    let bare = scratch.file("bare.html", bare.as_bytes());
    let dom = browse(browser, &scratch, &["--dump-dom"], &bare).ok().out();
    for words in ["0.58x: MISSED", "719.9 ms", "0.81x", "ffmpeg", "All 8 runs"] {
        assert!(dom.contains(words), "no {words}");
    }
    assert!(dom.contains("hidden=\"\">Dark"), "the button is not shown without the script behind it");
}

/// Aims are the program's, whatever a record says, and the documents have the same.
#[test]
fn the_documents_judge_by_the_aims_of_the_program() {
    let scratch = Scratch::new();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bench");
    let aims = |name: &str| {
        let record = docs.join("h200/bench").join(name).display().to_string();
        assert_eq!(read(&record)["rows"][0]["aim"], 0.62, "it was made with another aim");
        // No record hides another one's aims.
        let lax = changed(&scratch, &record, |record| record["rows"][0]["aim"] = json!(9));
        let report = run(&["bench", "report", &lax, "--json"]).ok().json();
        let row = &report["records"][0]["rows"][0];
        assert!(
            row["aim_met"] == false && row["aim_found"].as_str().unwrap().starts_with("MISSED"),
            "{row:#}"
        );
        format!("{} and {}", row["aim"], row["aim_best"])
    };
    let (others, hevc) = (aims("h264-303.json"), aims("hevc-303.json"));
    let page = std::fs::read_to_string(docs.join("README.md")).unwrap();
    let told = format!("{others} (H.264 and others), {hevc} (HEVC)");
    assert!(page.replace('\n', " ").contains(&told), "docs/bench/README.md does not say {told}");

    if !have("python3") {
        return;
    }
    let script = docs.join("../../scripts/bench-table.py").display().to_string();
    tool("python3", &[&script, env!("CARGO_BIN_EXE_video-hw"), "--check"]);
}
