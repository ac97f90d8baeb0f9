//! Numbers and words of a report, as people read them.

use crate::record::{Record, Row};
use crate::stats::Ratio;

/// `1.234 s`, `56.7 ms`: four digits at most.
pub(crate) fn seconds(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let (scaled, unit) = match value.abs() {
        v if v >= 0.9995 || v == 0.0 => (value, "s"),
        v if v >= 0.000_999_5 => (value * 1e3, "ms"),
        _ => (value * 1e6, "µs"),
    };
    format!("{} {unit}", digits(scaled))
}

/// As many places as make three or four digits.
pub(crate) fn digits(value: f64) -> String {
    match value.abs() {
        v if !v.is_finite() => "–".to_owned(),
        v if v >= 1e9 => format!("{value:.2e}"),
        v if v >= 999.5 || value == 0.0 => format!("{value:.0}"),
        v if v >= 99.95 => format!("{value:.1}"),
        v if v >= 9.995 => format!("{value:.2}"),
        v if v >= 0.001 => format!("{value:.3}"),
        v if v < 1e-99 => "0".to_owned(),
        _ => format!("{value:.2e}"),
    }
}

/// `12.3 %`.
pub(crate) fn share(value: f64) -> String {
    if value.is_finite() { format!("{:.1} %", (value * 100.0).min(99_999.0)) } else { "–".to_owned() }
}

/// `+12.3 %`.
pub(crate) fn percent(change: f64) -> String {
    if change.is_finite() { format!("{:+.1} %", (change * 100.0).min(99_999.0)) } else { "–".to_owned() }
}

/// `0.58x`.
pub(crate) fn times(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}x") } else { "–".to_owned() }
}

/// `0.57 to 0.59`.
pub(crate) fn range(ratio: &Ratio) -> String {
    format!("{:.2} to {:.2}", ratio.low, ratio.high)
}

/// `Xeon, 2 cores, 8.0 GB; Linux`.
pub(crate) fn machine(record: &Record) -> String {
    let machine = &record.machine;
    let mut all = vec![machine.cpu.clone(), format!("{} cores", machine.cores)];
    all.extend(machine.memory_bytes.map(|n| format!("{:.1} GiB", n as f64 / (1u64 << 30) as f64)));
    all.extend(machine.devices.iter().cloned());
    all.push(machine.system.clone());
    all.retain(|word| !word.is_empty());
    all.join(", ")
}

/// `rusty_h264`, `rusty_h264 -> libx265`: the decoder and the encoder of a row, where it is known.
pub(crate) fn implementations(row: &Row) -> String {
    let all: Vec<_> = [&row.decoder, &row.encoder].into_iter().flatten().map(String::as_str).collect();
    all.join(" -> ")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_few_digits() {
        assert_eq!(
            [0.0, 1.2345, 12.345, 0.0567, 0.000_4, 123.45].map(seconds),
            ["0 s", "1.234 s", "12.35 s", "56.70 ms", "400.0 µs", "123.5 s"]
        );
        assert_eq!(seconds(f64::NAN), "–");
        assert_eq!([percent(0.123), percent(-0.5), share(0.1)], ["+12.3 %", "-50.0 %", "10.0 %"]);
        assert!(digits(1e300).len() < 12 && seconds(1e-300).len() < 12);
    }
}
