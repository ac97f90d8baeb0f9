//! Whose turn it is at engines that streams share: deficit round robin.
//!
//! Each time a stream is come by it may spend its weight's worth more; what it does not spend it keeps, unless it has
//! nothing to spend it on. So over time streams that always want get cost in proportion to their weights, however
//! different their units are, and no stream waits for longer than one unit of each other.

use std::num::NonZeroU32;

/// Cost that a weight of one is given in each round: small, so that turns are finely mixed. Rounds in which nobody could
/// begin are skipped by arithmetic.
const QUANTUM: u64 = 256;

/// What a member could do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// It has nothing to do.
    Nothing,
    /// It has, but there is no engine for it.
    Blocked,
    /// It would begin a unit of this cost.
    Unit(u64),
}

#[derive(Debug)]
struct Member<K> {
    key: K,
    weight: u64,
    deficit: u64,
}

/// The members in their round.
#[derive(Debug)]
pub(super) struct FairQueue<K> {
    members: Vec<Member<K>>,
    at: usize,
    /// The member at `at` was given its quantum in this visit.
    given: bool,
}

impl<K: Copy + PartialEq> FairQueue<K> {
    pub(super) const fn new() -> Self {
        Self { members: Vec::new(), at: 0, given: false }
    }

    pub(super) fn join(&mut self, key: K, weight: NonZeroU32) {
        self.members.push(Member { key, weight: u64::from(weight.get()), deficit: 0 });
    }

    pub(super) fn leave(&mut self, mut gone: impl FnMut(K) -> bool) {
        let here = self.members.get(self.at).map(|member| member.key);
        self.members.retain(|member| !gone(member.key));
        let found = self.members.iter().position(|member| Some(member.key) == here);
        self.given &= found.is_some();
        self.at = found.unwrap_or(0);
    }

    /// Who begins a unit next; its cost is charged.
    pub(super) fn next(&mut self, request: impl Fn(K) -> Request) -> Option<K> {
        let wishes: Vec<Request> = self.members.iter().map(|member| request(member.key)).collect();
        for (member, request) in self.members.iter_mut().zip(&wishes) {
            if *request == Request::Nothing {
                member.deficit = 0;
            }
        }
        if let Some(key) = self.visit(&wishes) {
            return Some(key);
        }
        // One round has given everybody a quantum; as many more as the first to be able needs, but one.
        let rounds = self.members.iter().zip(&wishes).filter_map(|(member, request)| match request {
            Request::Unit(cost) => {
                Some(cost.saturating_sub(member.deficit).div_ceil(member.weight.saturating_mul(QUANTUM)))
            }
            Request::Nothing | Request::Blocked => None,
        });
        let skipped = rounds.min()?.saturating_sub(1);
        for (member, request) in self.members.iter_mut().zip(&wishes) {
            if matches!(request, Request::Unit(_)) {
                let gift = skipped.saturating_mul(member.weight).saturating_mul(QUANTUM);
                member.deficit = member.deficit.saturating_add(gift);
            }
        }
        self.visit(&wishes)
    }

    /// What `next` has charged for a unit that was not begun.
    pub(super) fn refund(&mut self, key: K, cost: u64) {
        if let Some(member) = self.members.iter_mut().find(|member| member.key == key) {
            member.deficit = member.deficit.saturating_add(cost);
        }
    }

    /// Once round: everybody who wants is given one quantum. The place in the round stays while nobody can have anything.
    fn visit(&mut self, wishes: &[Request]) -> Option<K> {
        if !wishes.iter().any(|request| matches!(request, Request::Unit(_))) {
            return None;
        }
        for _ in 0..self.members.len() + usize::from(self.given) {
            let member = self.members.get_mut(self.at)?;
            if let Request::Unit(cost) = wishes[self.at] {
                if !self.given {
                    member.deficit = member.deficit.saturating_add(member.weight.saturating_mul(QUANTUM));
                    self.given = true;
                }
                if member.deficit >= cost {
                    member.deficit -= cost;
                    return Some(member.key);
                }
            }
            self.at = (self.at + 1) % self.members.len();
            self.given = false;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(weight: u32) -> NonZeroU32 {
        NonZeroU32::new(weight).unwrap()
    }

    /// Cost that each member got in so many turns, and after each of them.
    fn shares(members: &[(u32, u64)], turns: usize) -> Vec<u64> {
        let mut queue = FairQueue::new();
        for (key, (member, _)) in members.iter().enumerate() {
            queue.join(key, weight(*member));
        }
        let mut got = vec![0; members.len()];
        for _ in 0..turns {
            let key = queue.next(|key| Request::Unit(members[key].1)).unwrap();
            got[key] += members[key].1;
        }
        got
    }

    #[test]
    fn equal_streams_take_turns() {
        for turns in [8, 80, 81] {
            let got = shares(&[(1, 57_600); 8], turns);
            let (least, most) = (got.iter().min().unwrap(), got.iter().max().unwrap());
            assert!(most - least <= 57_600, "{got:?}");
        }
    }

    #[test]
    fn cost_counts_and_not_the_number_of_units() {
        // A stream of large pictures beside three of small ones.
        let got = shares(&[(1, 8_294_400), (1, 57_600), (1, 57_600), (1, 230_400)], 20_000);
        let most = *got.iter().max().unwrap();
        assert!(got.iter().all(|got| most - got <= 8_294_400), "{got:?}");
    }

    #[test]
    fn weights_are_shares() {
        let got = shares(&[(1, 1000), (2, 1000), (5, 1000)], 8000);
        for (got, weight) in got.iter().zip([1_u64, 2, 5]) {
            assert!(got.abs_diff(weight * 1_000_000) < 20_000, "{got} of {weight}");
        }
    }

    #[test]
    fn looking_for_a_turn_in_vain_changes_nothing() {
        let costs = [57_600, 14_400, 57_600, 4096];
        let weights = [1, 1, 2, 4];
        let mut queue = FairQueue::new();
        (0..4).for_each(|key| queue.join(key, weight(weights[key])));
        let mut got = [0_u64; 4];
        for turn in 0..20_000 {
            // As when all slots are taken: asked again and again.
            for _ in 0..turn % 3 {
                assert_eq!(queue.next(|_| Request::Blocked), None);
            }
            let key = queue.next(|key| Request::Unit(costs[key])).unwrap();
            got[key] += costs[key];
        }
        let shares: Vec<u64> = got.iter().zip(weights).map(|(got, weight)| got / u64::from(weight)).collect();
        let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
        assert!(most - least <= 57_600, "{shares:?}");
    }

    #[test]
    fn an_idle_stream_saves_nothing_up_and_a_blocked_one_loses_nothing() {
        let mut queue = FairQueue::new();
        queue.join('a', weight(1));
        queue.join('b', weight(1));
        for _ in 0..100 {
            assert_eq!(
                queue.next(|key| if key == 'a' { Request::Unit(300) } else { Request::Nothing }),
                Some('a')
            );
        }
        let next: String = (0..8).map(|_| queue.next(|_| Request::Unit(300)).unwrap()).collect();
        assert!(next.matches('b').count() <= 5, "{next}");
        assert_eq!(queue.next(|_| Request::Blocked), None);
        queue.leave(|key| key == 'a');
        assert_eq!(queue.next(|_| Request::Unit(u64::MAX)), Some('b'));
        queue.leave(|_| true);
        assert_eq!(queue.next(|_| Request::Unit(1)), None);
    }
}
