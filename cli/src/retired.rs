//! Environment variables of earlier versions that have no meaning any more: whoever still sets one is told what took its place.

use video_hw_terminal::text;

use crate::args::Command;

const SIDE_BY_SIDE: &str = "decoding, conversion and encoding always run side by side";

/// Each with what took its place.
const RETIRED: [(&str, &str); 5] = [
    ("VIDEO_HW_NV_PIPELINE", SIDE_BY_SIDE),
    ("VIDEO_HW_NV_SAFE_LIFETIME", "a buffer always outlives the driver's use of it"),
    ("VIDEO_HW_VT_PIPELINE", SIDE_BY_SIDE),
    ("VIDEO_HW_VT_PIPELINE_QUEUE", "queues between stages have fixed lengths"),
    ("VIDEO_HW_VT_GPU_TRANSFORM", "a GPU that decodes also converts what it can"),
];

/// Says on standard error which of them are set, in one line; nothing with `--quiet` or in a child of the program.
pub(crate) fn warn(command: &Command) {
    if command.quiet() {
        return;
    }
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if let Some(line) = line(is_set) {
        text::to_stderr(&line);
    }
}

fn line(is_set: impl Fn(&str) -> bool) -> Option<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for (name, instead) in RETIRED.into_iter().filter(|(name, _)| is_set(name)) {
        match reasons.iter_mut().find(|(reason, _)| *reason == instead) {
            Some((_, names)) => names.push(name),
            None => reasons.push((instead, vec![name])),
        }
    }
    let parts = reasons.iter().map(|(instead, names)| {
        let verb = if names.len() == 1 { "has" } else { "have" };
        format!("{} {verb} no effect: {instead}", names.join(" and "))
    });
    let parts: Vec<_> = parts.collect();
    (!parts.is_empty()).then(|| format!("video-hw: warning: {}", parts.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_them_make_one_line_and_none_makes_none() {
        assert_eq!(line(|_| false), None);
        let all = line(|_| true).unwrap();
        assert!(RETIRED.iter().all(|(name, instead)| all.contains(name) && all.contains(instead)), "{all}");
        assert_eq!(all.lines().count(), 1);
        assert_eq!(all.matches(SIDE_BY_SIDE).count(), 1, "{all}");
    }
}
