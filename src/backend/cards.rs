//! How much of each card's memory is taken by pictures that wait for older ones, and how much may be.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::sync::lock;

/// Asked by decoders where a picture shall wait, and told by the window what does. See the module's documentation.
#[derive(Debug)]
pub(crate) struct CardRoom(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Of any card.
    limit: u64,
    /// By the card's number.
    cards: BTreeMap<u32, Card>,
}

#[derive(Clone, Copy, Debug)]
struct Card {
    limit: u64,
    taken: u64,
}

impl CardRoom {
    /// As much as there is, until a limit is set.
    pub(in crate::backend) const fn new() -> Self {
        Self(Mutex::new(State { limit: u64::MAX, cards: BTreeMap::new() }))
    }

    /// Most bytes on any card.
    pub(in crate::backend) fn limit(&self, bytes: u64) {
        lock(&self.0).limit = bytes;
    }

    /// Most bytes on this card, where that is less.
    pub(in crate::backend) fn limit_card(&self, card: u32, bytes: u64) {
        let mut state = lock(&self.0);
        let card = state.card(card);
        card.limit = card.limit.min(bytes);
    }

    /// Whether one more picture may wait on the card.
    pub(in crate::backend) fn has(&self, card: u32) -> bool {
        let mut state = lock(&self.0);
        let limit = state.limit;
        let card = state.card(card);
        card.taken < card.limit.min(limit)
    }

    /// The card had no memory for one more picture: no more than now shall wait there. A quarter less, so that not each of the
    /// next pictures has to find out again.
    pub(in crate::backend) fn refused(&self, card: u32) {
        let mut state = lock(&self.0);
        let card = state.card(card);
        card.limit = card.limit.min(card.taken / 4 * 3);
    }

    pub(in crate::backend) fn add(&self, card: u32, bytes: u64) {
        let mut state = lock(&self.0);
        let card = state.card(card);
        card.taken = card.taken.saturating_add(bytes);
    }

    pub(in crate::backend) fn remove(&self, card: u32, bytes: u64) {
        let mut state = lock(&self.0);
        let card = state.card(card);
        card.taken = card.taken.saturating_sub(bytes);
    }
}

impl State {
    fn card(&mut self, card: u32) -> &mut Card {
        self.cards.entry(card).or_insert(Card { limit: u64::MAX, taken: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_card_has_its_own_room() {
        let room = CardRoom::new();
        room.limit(1000);
        room.limit_card(1, 300);
        room.limit_card(1, 400);
        for card in 0..2 {
            room.add(card, 350);
        }
        assert!(room.has(0) && !room.has(1) && room.has(2));
        room.remove(1, 100);
        assert!(room.has(1));
        room.add(0, 700);
        assert!(!room.has(0));
    }

    #[test]
    fn a_card_that_refused_is_asked_again_when_less_waits() {
        let room = CardRoom::new();
        room.add(0, 800);
        room.refused(0);
        assert!(!room.has(0));
        room.remove(0, 150);
        assert!(!room.has(0));
        room.remove(0, 60);
        assert!(room.has(0));
        // Nothing of ours was there: it has none at all.
        room.refused(1);
        assert!(!room.has(1));
    }
}
