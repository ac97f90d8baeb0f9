//! Which headers a picture was coded under.

use super::output::StreamFacts;

/// Facts by the serial from which they hold. Pictures come out after the headers of the next sequence have
/// already been read, so the newest facts are not always the right ones.
#[derive(Debug, Default)]
pub(super) struct FactsTimeline {
    /// In rising order of serials.
    changes: Vec<(u64, StreamFacts)>,
}

impl FactsTimeline {
    /// `facts` hold from the unit `serial` on.
    pub(super) fn set(&mut self, serial: u64, facts: StreamFacts) {
        if self.changes.last().is_none_or(|(_, last)| *last != facts) {
            self.changes.push((serial, facts));
        }
    }

    /// The facts for the unit `serial`.
    pub(super) fn at(&self, serial: u64) -> StreamFacts {
        let known = self.changes.iter().rev().find(|(from, _)| *from <= serial);
        known.map_or(StreamFacts::NONE, |(_, facts)| *facts)
    }

    /// Forgets what only units before `serial` could ask for.
    pub(super) fn prune(&mut self, serial: u64) {
        let needed = self.changes.iter().rposition(|(from, _)| *from <= serial).unwrap_or(0);
        self.changes.drain(..needed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Rational;

    #[test]
    fn facts_hold_until_the_next_change() {
        let at = |n| StreamFacts { frame_rate: Rational::new(n, 1), ..StreamFacts::NONE };
        let mut line = FactsTimeline::default();
        assert_eq!(line.at(3), StreamFacts::NONE);
        line.set(2, at(25));
        line.set(5, at(25));
        line.set(9, at(50));
        assert_eq!((line.at(1), line.at(8), line.at(9)), (StreamFacts::NONE, at(25), at(50)));
        line.prune(8);
        assert_eq!((line.at(8), line.changes.len()), (at(25), 2));
        line.prune(20);
        assert_eq!((line.at(20), line.changes.len()), (at(50), 1));
    }
}
