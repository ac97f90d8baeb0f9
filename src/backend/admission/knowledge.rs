//! What refusals teach of a limit, and for how long that is believed.
//!
//! A refusal with n sessions open says that n is all there is *now*: other programs may hold some of the driver's sessions,
//! and nobody tells when they let go. So knowledge is believed for a while only; then one open goes beyond it and shows
//! whether it still holds.

use std::time::Duration;

/// How long a limit is believed that is the highest ever seen: probably the card's.
const SETTLED: Duration = Duration::from_secs(10);
/// How long one is believed that is lower: probably somebody else holds the rest, for whatever time.
const PASSING: Duration = Duration::from_secs(1);
/// More than any driver takes: a file that says so is not ours.
const MOST: usize = 4096;

/// What is known of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Knowledge {
    /// So many were open when one more was refused last.
    pub(super) limit: usize,
    /// The highest `limit` seen.
    usual: usize,
    /// When, in milliseconds since 1970.
    at: u64,
}

impl Knowledge {
    /// The driver refused one more while `open` were open.
    pub(super) fn refused(before: Option<Self>, open: usize, now: u64) -> Self {
        Self { limit: open, usual: before.map_or(open, |before| before.usual.max(open)), at: now }
    }

    /// The driver took a session, with which `open` are open. `None`: nothing is known any more.
    pub(super) fn opened(self, open: usize, now: u64) -> Option<Self> {
        match open {
            _ if open > self.usual => None,
            _ if open > self.limit => Some(Self { limit: self.usual, at: now, ..self }),
            _ => Some(self),
        }
    }

    /// Whether to refuse by it. In doubt (`doubt`) it has to be as good as new.
    pub(super) fn is_believed(&self, doubt: bool, now: u64) -> bool {
        // No limit is zero: then other programs hold everything.
        let passing = doubt || self.limit < self.usual || self.limit == 0;
        let trust = if passing { PASSING } else { SETTLED };
        // Of the future: the clock was set back, or somebody plays tricks.
        now.checked_sub(self.at).is_some_and(|age| u128::from(age) < trust.as_millis())
    }

    /// As it is written down.
    pub(super) fn text(&self, driver: &str) -> String {
        let Self { limit, usual, at } = self;
        format!("video-hw sessions 1\ndriver {driver}\nlimit {limit}\nusual {usual}\nlearned {at}\nend\n")
    }

    /// Reads what was written; `None`: of another driver, of another form, or cut off.
    pub(super) fn parse(text: &str, driver: &str) -> Option<Self> {
        let rest = text.strip_prefix("video-hw sessions 1\n")?;
        let mut lines = rest.lines();
        if lines.next()?.strip_prefix("driver ")? != driver {
            return None;
        }
        let limit = lines.next()?.strip_prefix("limit ")?.parse().ok().filter(|limit| *limit <= MOST)?;
        let usual = lines
            .next()?
            .strip_prefix("usual ")?
            .parse()
            .ok()
            .filter(|usual| (limit..=MOST).contains(usual))?;
        let at = lines.next()?.strip_prefix("learned ")?.parse().ok()?;
        (lines.next()? == "end").then_some(Self { limit, usual, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let known = Knowledge { limit: 3, usual: 8, at: NOW };
        let text = known.text("13000 580.1");
        assert_eq!(Knowledge::parse(&text, "13000 580.1"), Some(known));
        assert_eq!(Knowledge::parse(&text, "13000 580.2"), None, "another driver");
        for end in 0..text.len() - 1 {
            assert_eq!(Knowledge::parse(&text[..end], "13000 580.1"), None, "cut off at {end}");
        }
        let forms = ["limit 99999", "limit -1", "limit 9", "limit three"];
        for form in forms {
            let other = text.replace("limit 3", form);
            assert_eq!(Knowledge::parse(&other, "13000 580.1"), None, "{form}");
        }
    }

    #[test]
    fn a_limit_is_believed_for_a_while() {
        let known = Knowledge::refused(None, 3, NOW);
        assert!(known.is_believed(false, NOW) && known.is_believed(false, NOW + 9_999));
        assert!(!known.is_believed(false, NOW + 10_000));
        assert!(known.is_believed(true, NOW + 999) && !known.is_believed(true, NOW + 1_000));
        assert!(!known.is_believed(false, NOW - 1), "learned in the future");
    }

    #[test]
    fn a_limit_below_the_usual_is_believed_for_a_moment() {
        let usual = Knowledge::refused(None, 8, NOW);
        let now = Knowledge::refused(Some(usual), 5, NOW);
        assert!(now.is_believed(false, NOW + 999) && !now.is_believed(false, NOW + 1_000));
        let nothing = Knowledge::refused(None, 0, NOW);
        assert!(!nothing.is_believed(false, NOW + 1_000), "others hold all");
    }

    #[test]
    fn an_open_beyond_it_changes_it() {
        let known = Knowledge::refused(Some(Knowledge::refused(None, 8, NOW)), 5, NOW);
        assert_eq!(known.opened(5, NOW), Some(known));
        assert_eq!(known.opened(6, NOW).map(|known| known.limit), Some(8));
        assert_eq!(known.opened(9, NOW), None);
    }
}
