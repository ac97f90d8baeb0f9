//! Names of files: the order in which people count, and patterns with `*` and `?`.

use std::cmp::Ordering;
use std::ffi::OsStr;

/// Compares names so that numbers in them count by value: `f2.png` is before `f10.png`. Names that differ in leading
/// zeros alone are ordered by their bytes, so that the order never depends on the folder.
pub(super) fn natural(a: &OsStr, b: &OsStr) -> Ordering {
    let (whole_a, whole_b) = (a.as_encoded_bytes(), b.as_encoded_bytes());
    let (mut a, mut b) = (whole_a, whole_b);
    loop {
        let (digits_a, digits_b) = (digits(a), digits(b));
        let order = if !digits_a.is_empty() && !digits_b.is_empty() {
            let (value_a, value_b) = (without_zeros(digits_a), without_zeros(digits_b));
            (a, b) = (a.get(digits_a.len()..).unwrap_or(&[]), b.get(digits_b.len()..).unwrap_or(&[]));
            // A longer number without leading zeros is the larger one; no number is too long for that.
            value_a.len().cmp(&value_b.len()).then_with(|| value_a.cmp(value_b))
        } else {
            match (a.split_first(), b.split_first()) {
                (Some((first_a, rest_a)), Some((first_b, rest_b))) => {
                    (a, b) = (rest_a, rest_b);
                    first_a.cmp(first_b)
                }
                _ => return a.len().cmp(&b.len()).then_with(|| whole_a.cmp(whole_b)),
            }
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn digits(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end).unwrap_or(&[])
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    let start = digits.iter().position(|b| *b != b'0').unwrap_or(digits.len());
    digits.get(start..).unwrap_or(&[])
}

/// Whether `name` is what `pattern` means: `*` any characters, `?` one. Takes at most the product of both lengths.
pub(super) fn matches_glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<_>, Vec<_>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last star stood, and where in the name what follows it was tried.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(wanted) if *wanted == '?' || Some(wanted) == name.get(n) => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, tried)) => {
                    star = Some((at, tried + 1));
                    (p, n) = (at + 1, tried + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_by_value() {
        let mut names =
            ["f10.png", "f2.png", "f02.png", "f1.png", "e99", "f", "f1", "f18446744073709551617.png"];
        names.sort_by(|a, b| natural(a.as_ref(), b.as_ref()));
        let wanted =
            ["e99", "f", "f1", "f1.png", "f02.png", "f2.png", "f10.png", "f18446744073709551617.png"];
        assert_eq!(names, wanted);
    }

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name, wanted) in [
            ("*.png", "a.png", true),
            ("*.png", "a.png.txt", false),
            ("f?.png", "f1.png", true),
            ("f?.png", "f10.png", false),
            ("*a*b*", "xxaxxaxb", true),
            ("*a*b", "xxaxxaxbc", false),
            ("", "", true),
            ("**", "", true),
            ("?", "ä", true),
        ] {
            assert_eq!(matches_glob(pattern, name), wanted, "{pattern} {name}");
        }
    }
}
