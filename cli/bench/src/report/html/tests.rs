//! What the page holds; how it looks is judged by a browser in `cli/tests/cli/bench_report.rs`.

use super::*;
use crate::report::{baseline, samples};

fn of(record: Record) -> String {
    page(&[Source { name: None, record }], None)
}

#[test]
fn all_rows_and_figures_are_there_without_the_script() {
    let page = of(samples::record());
    let body = page.split("<script>").next().unwrap();
    for message in [
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
        assert!(body.contains(message), "no {message}");
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
        let checks =
            vec![crate::record::Check { name: hostile.to_owned(), passed: false, found: hostile.to_owned() }];
        row.verify = Some(crate::record::Verify { checks, psnr_db: None });
        row.judged = vec![crate::record::Judged {
            name: hostile.to_owned(),
            unit: hostile.to_owned(),
            ..Default::default()
        }];
    }
    record.rows[3].program = hostile.to_owned();
    let sources = [Source { name: Some(hostile.to_owned()), record }];
    let page = page(&sources, Some(&baseline::judge(&sources[0].record, &sources[0].record)));
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
                run.latency = Some(crate::record::Latency { p50_s: value, ..Default::default() });
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

/// SHA-256 by its definition (FIPS 180-4), in base 64: what a browser computes of an element's text.
fn sum(text: &str) -> String {
    // The first bits of the fractions of cube and square roots of the first primes.
    let primes: Vec<u32> = (2u32..).filter(|n| (2..*n).all(|d| n % d != 0)).take(64).collect();
    let root = |n: u32, cube: bool| {
        // The largest x with x^k <= n * 2^(32 k), of which the lower half is the fraction.
        let (mut low, mut high) = (0u128, 1u128 << 40);
        while high - low > 1 {
            let x = u128::midpoint(low, high);
            let fits = if cube {
                x.checked_mul(x).and_then(|y| y.checked_mul(x)).is_some_and(|y| y <= u128::from(n) << 96)
            } else {
                x * x <= u128::from(n) << 64
            };
            if fits { low = x } else { high = x }
        }
        low as u32
    };
    let constants: Vec<u32> = primes.iter().map(|n| root(*n, true)).collect();
    let mut state: Vec<u32> = primes[..8].iter().map(|n| root(*n, false)).collect();
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0x80);
    while bytes.len() % 64 != 56 {
        bytes.push(0);
    }
    bytes.extend((text.len() as u64 * 8).to_be_bytes());
    for block in bytes.chunks(64) {
        let word = |c: &[u8]| u32::from_be_bytes(c.try_into().unwrap());
        let mut message: Vec<u32> = block.chunks(4).map(word).collect();
        for i in 16..64 {
            let (a, b) = (message[i - 15], message[i - 2]);
            let a = a.rotate_right(7) ^ a.rotate_right(18) ^ (a >> 3);
            let b = b.rotate_right(17) ^ b.rotate_right(19) ^ (b >> 10);
            message.push(message[i - 16].wrapping_add(a).wrapping_add(message[i - 7]).wrapping_add(b));
        }
        let mut s = state.clone();
        for (word, constant) in message.iter().zip(&constants) {
            let mix = s[4].rotate_right(6) ^ s[4].rotate_right(11) ^ s[4].rotate_right(25);
            let choice = (s[4] & s[5]) ^ (!s[4] & s[6]);
            let first = [s[7], mix, choice, *constant, *word].iter().fold(0u32, |a, b| a.wrapping_add(*b));
            let mix = s[0].rotate_right(2) ^ s[0].rotate_right(13) ^ s[0].rotate_right(22);
            let second = mix.wrapping_add((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
            s.rotate_right(1);
            s[4] = s[4].wrapping_add(first);
            s[0] = first.wrapping_add(second);
        }
        state.iter_mut().zip(s).for_each(|(a, b)| *a = a.wrapping_add(b));
    }
    let bytes: Vec<u8> = state.iter().flat_map(|word| word.to_be_bytes()).collect();
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let four = |three: &[u8]| -> String {
        let bits = three.iter().fold(0u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - three.len()));
        let letter = |i: usize| {
            if i > three.len() { '=' } else { char::from(letters[(bits >> (18 - 6 * i) & 63) as usize]) }
        };
        (0..4).map(letter).collect()
    };
    bytes.chunks(3).map(four).collect()
}

#[test]
fn the_policy_names_the_style_and_the_script_that_are_there() {
    assert_eq!(sum("abc"), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    assert_eq!(sum(STYLE), STYLE_SUM, "write this into STYLE_SUM: the style has changed");
    assert_eq!(sum(SCRIPT), SCRIPT_SUM, "write this into SCRIPT_SUM: the script has changed");
}

/// The luminance of `#rgb` or `#rrggbb`, as WCAG 2 defines it.
fn luminance(colour: &str) -> f64 {
    let hex = colour.trim_start_matches('#');
    let step = hex.len() / 3;
    let part = |i: usize| {
        let digits = &hex[i * step..(i + 1) * step];
        let value = u8::from_str_radix(&digits.repeat(2 / step), 16).unwrap();
        let value = f64::from(value) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * part(0) + 0.7152 * part(1) + 0.0722 * part(2)
}

#[test]
fn words_stand_out_from_what_is_behind_them() {
    let themes: Vec<_> = STYLE.lines().filter(|line| line.contains("--ink:")).collect();
    assert_eq!(themes.len(), 4, "light, dark by itself, dark by the button, print");
    for theme in themes {
        let colour = |name: &str| {
            let rest = theme.split(&format!("--{name}:")).nth(1).unwrap();
            luminance(rest.split([';', '}']).next().unwrap())
        };
        let on = |backs: &[&str], message: &str| {
            for back in backs {
                let (a, b) = (colour(message), colour(back));
                let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                assert!(contrast >= 4.5, "{message} on {back}: {contrast:.2}");
            }
        };
        on(&["bg", "card", "track"], "ink");
        on(&["bg", "card", "track"], "soft");
        for message in ["a", "b", "good", "bad", "warn"] {
            on(&["card"], message);
        }
        for message in ["good", "bad", "warn", "sim"] {
            on(&[&format!("{message}-bg")], message);
        }
    }
}
