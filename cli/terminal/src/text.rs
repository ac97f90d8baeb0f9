//! Numbers for people, and words onto standard output and standard error.
//!
//! Names of files, and text that files hold, are other people's words. What is printed passes through [`printable`], so that
//! they cannot drive a terminal.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use video_hw::{Error, Result};

/// `7,200`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `88.1 MB` (powers of ten, as disks and networks count).
pub fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", n as f64 / 1e6),
        _ => format!("{:.2} GB", n as f64 / 1e9),
    }
}

/// `5.9 Mb/s`.
pub fn bit_rate(bits_per_second: f64) -> String {
    if bits_per_second >= 1e9 {
        format!("{:.2} Gb/s", bits_per_second / 1e9)
    } else if bits_per_second >= 1e6 {
        format!("{:.1} Mb/s", bits_per_second / 1e6)
    } else {
        format!("{:.0} kb/s", bits_per_second / 1e3)
    }
}

/// `912`, `29.5`, `0.42`: as many places as mean something.
pub fn rate(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 1.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// `0:12`, `1:02:03`.
pub fn clock(time: Duration) -> String {
    let s = time.as_secs();
    if s >= 3600 {
        format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    } else {
        format!("{}:{:02}", s / 60, s % 60)
    }
}

/// Bits per second of `bytes` in `time`; `None` for no time.
pub fn bits_per_second(bytes: u64, time: Duration) -> Option<f64> {
    (!time.is_zero()).then(|| bytes as f64 * 8.0 / time.as_secs_f64())
}

/// `per`, where that is a number.
pub fn per_second(count: f64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count / time.as_secs_f64() }
}

/// Whether a character acts on a terminal instead of being shown: control characters (C0, DEL, C1), `Bidi_Control`, and the
/// separators of lines and paragraphs.
fn acts(c: char) -> bool {
    c.is_control() || turns_direction(c) || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Unicode's property `Bidi_Control`, whole: twelve characters, as of Unicode 17.
const fn turns_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str, acts: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) {
            // All of them have four digits. JSON reads this as the character that it was.
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// `text` with every character that acts on a terminal written out, but for line ends and tabs, by which this program lays
/// its own words out. JSON stays the same document: it holds such characters in strings alone.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |c| acts(c) && c != '\n' && c != '\t')
}

/// Other people's words inside a line: line ends and tabs are written out, too.
pub fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, acts)
}

/// Text that is nothing but text, in elements and attributes of HTML and SVG.
pub fn markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // What turns the direction of text makes it say something else than it does.
            c if turns_direction(c) => out.push('\u{fffd}'),
            // XML 1.0 cannot carry control characters, not even escaped.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A file for people.
pub fn name(path: &Path) -> String {
    if path == Path::new("-") {
        return "standard input".to_owned();
    }
    one_line(&path.to_string_lossy()).into_owned()
}

/// Puts `text` and a line end on standard error. It may be closed: what the program does matters more than its words.
pub fn to_stderr(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", printable(text));
}

/// Puts `text` and a line end on standard output.
///
/// # Errors
/// [`Error::Io`] with path `-`; a reader that has gone away is one of them.
pub fn to_stdout(text: &str) -> Result<()> {
    let text = printable(text);
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") })
        .and_then(|()| out.flush())
        .map_err(|e| Error::io_writing("write", "-", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_bidi_control_is_written_out() {
        let all = ['\u{61c}', '\u{200e}', '\u{200f}'].into_iter();
        let all = all.chain('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}');
        let all: Vec<char> = all.collect();
        assert_eq!(all.len(), 12);
        for c in all {
            let (text, escape) = (format!("a{c}b"), format!("a\\u{:04x}b", u32::from(c)));
            assert_eq!((printable(&text), one_line(&text)), (escape.as_str().into(), escape.as_str().into()));
            assert_eq!(markup(&text), "a\u{fffd}b");
        }
    }

    #[test]
    fn what_acts_on_a_terminal_is_written_out() {
        assert_eq!(
            printable("a\tb\n\u{1b}[2J\r\u{9b}1m\u{7f}\u{202e}"),
            "a\tb\n\\u001b[2J\\u000d\\u009b1m\\u007f\\u202e"
        );
        assert_eq!(one_line("a\tb\nc"), "a\\u0009b\\u000ac");
        assert_eq!(name(Path::new("\u{7}x\n.mp4")), "\\u0007x\\u000a.mp4");
        // Words of all languages stay as they are, and nothing is copied for them.
        assert!(matches!(printable("Fünf 猫 é 👩\u{200d}💻 עברית"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_stays_the_same_document() {
        let told = serde_json::json!({ "name": "\u{1b}]0;x\u{7}\u{9b}\u{7f}\u{202e}\n\t\\u0041" });
        let text = format!("{told:#}");
        let out = printable(&text);
        assert!(!out.contains(|c: char| acts(c) && c != '\n'), "{out:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap(), told);
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(7_200), "7,200");
        assert_eq!(thousands(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(88_100_000), "88.1 MB");
        assert_eq!(bit_rate(5_900_000.0), "5.9 Mb/s");
        assert_eq!(bit_rate(640_000.0), "640 kb/s");
        assert_eq!(rate(912.4), "912");
        assert_eq!(rate(0.416), "0.42");
        assert_eq!(clock(Duration::from_secs(12)), "0:12");
        assert_eq!(clock(Duration::from_secs(3_723)), "1:02:03");
        assert_eq!(bits_per_second(10, Duration::ZERO), None);
    }
}
