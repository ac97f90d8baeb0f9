//! The scheduler's ready set and credits.
//!
//! What must hold in every order of threads: a ring is never lost, whoever waits for a credit is woken when one goes back
//! or when the stream ends (else loom finds that it waits for ever), and all credits are back at the end.

use std::collections::BTreeSet;

use crate::credits::Credits;
use crate::order::every_order;
use crate::ready_set::ReadySet;
use crate::sync::{Arc, spawn};

#[test]
fn no_ring_is_lost() {
    every_order(|| {
        let ready = Arc::new(ReadySet::new());
        let markers: Vec<_> = (1..3)
            .map(|key| {
                let ready = Arc::clone(&ready);
                spawn("marker", move || ready.mark(key)).unwrap()
            })
            .collect();
        let mut heard = BTreeSet::new();
        while heard.len() < 2 {
            heard.append(&mut ready.wait(None));
        }
        markers.into_iter().for_each(|marker| marker.join().unwrap());
        assert_eq!(heard, BTreeSet::from([1, 2]));
    });
}

#[test]
fn whoever_waits_for_a_credit_gets_one() {
    every_order(|| {
        let ready = Arc::new(ReadySet::new());
        let credits = Arc::new(Credits::new(1, Arc::clone(&ready), 7));
        let held = Credits::try_take(&credits);
        assert!(held.is_some());
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let credits = Arc::clone(&credits);
                let wait = move || {
                    while Credits::try_take(&credits).is_none() {
                        assert!(credits.wait());
                    }
                };
                spawn("source", wait).unwrap()
            })
            .collect();
        drop(held);
        waiting.into_iter().for_each(|source| source.join().unwrap());
        let standing = credits.standing();
        assert_eq!((standing.used, standing.peak, standing.limit), (0, 1, 1));
        assert_eq!(ready.wait(None), BTreeSet::from([7]));
    });
}

#[test]
fn the_end_of_a_stream_frees_who_waits() {
    every_order(|| {
        let credits = Arc::new(Credits::new(1, Arc::new(ReadySet::new()), 7));
        let held = Credits::try_take(&credits);
        let waiting = {
            let credits = Arc::clone(&credits);
            let wait = move || assert!(!credits.wait(), "there is no credit, and never will be");
            spawn("source", wait).unwrap()
        };
        credits.end();
        waiting.join().unwrap();
        assert!(Credits::try_take(&credits).is_none());
        drop(held);
        assert_eq!(credits.standing().used, 0);
    });
}

#[test]
fn a_credit_that_is_lent_wakes_too() {
    every_order(|| {
        let credits = Arc::new(Credits::new(1, Arc::new(ReadySet::new()), 7));
        let held = Credits::try_take(&credits);
        let waiting = {
            let credits = Arc::clone(&credits);
            spawn("source", move || assert!(credits.wait())).unwrap()
        };
        credits.lend();
        waiting.join().unwrap();
        assert!(Credits::try_take(&credits).is_some());
        drop(held);
    });
}
