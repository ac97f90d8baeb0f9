//! The queue between threads, and between tasks.
//!
//! What must hold in every order: each item that was taken in comes out once and in its sender's order, what was not is
//! handed back, and nobody sleeps on once there is an item, room or an end (loom finds whoever does).

use crate::order::{block_on, every_order, start};
use crate::queue::{Received, TrySend, bounded};

#[test]
fn items_pass_in_order_through_a_queue_of_one() {
    every_order(|| {
        let (tx, rx) = bounded(1);
        let sender = start(move || (0..3).all(|item| tx.send(item).is_ok()));
        for item in 0..3 {
            assert_eq!(rx.recv(), Some(item));
        }
        assert_eq!(rx.recv(), None);
        assert!(sender.join().unwrap());
        assert_eq!(rx.stats().peak, 1);
    });
}

#[test]
fn two_senders_share_the_room() {
    every_order(|| {
        let (tx, rx) = bounded(1);
        let senders = [(tx.clone(), 1), (tx, 2)].map(|(tx, item)| start(move || tx.send(item)));
        let mut got = [rx.recv(), rx.recv()];
        got.sort_unstable();
        assert_eq!(got, [Some(1), Some(2)]);
        assert_eq!(rx.recv(), None);
        for sender in senders {
            assert_eq!(sender.join().unwrap(), Ok(()));
        }
    });
}

/// A flush passes the capacity, and must not swallow a wake-up that a sender waits for.
#[test]
fn a_marker_passes_a_full_queue() {
    every_order(|| {
        let (tx, rx) = bounded(1);
        tx.send(1).unwrap();
        let other = tx.clone();
        let sender = start(move || other.send(2));
        tx.send_marker(9).unwrap();
        drop(tx);
        let mut got: Vec<_> = (0..3).map(|_| rx.recv().unwrap()).collect();
        assert_eq!(got.remove(0), 1);
        got.sort_unstable();
        assert_eq!(got, [2, 9]);
        assert_eq!(sender.join().unwrap(), Ok(()));
        assert_eq!(rx.recv(), None);
    });
}

#[test]
fn a_receiver_that_goes_frees_the_sender() {
    every_order(|| {
        let (tx, rx) = bounded(1);
        let sender = start(move || {
            let sent: Vec<_> = (0..3).map(|item| tx.send(item)).collect();
            (sent, tx.is_closed())
        });
        let first = rx.try_recv();
        drop(rx);
        let (sent, closed) = sender.join().unwrap();
        assert!(closed || sent.iter().all(Result::is_ok));
        assert!(sent.is_sorted_by_key(Result::is_err), "nothing goes in after the end: {sent:?}");
        assert!((0..3).zip(&sent).all(|(item, sent)| sent.is_ok() || *sent == Err(item)));
        if let Received::Item(item) = first {
            assert_eq!((item, sent[0]), (0, Ok(())));
        }
    });
}

#[test]
fn a_sender_that_goes_frees_the_receiver() {
    every_order(|| {
        let (tx, rx) = bounded(2);
        let sender = start(move || tx.try_send(7));
        assert_eq!((rx.recv(), rx.recv()), (Some(7), None));
        assert_eq!(sender.join().unwrap(), Ok(()));
    });
}

/// Cancelling from outside frees both ends at once.
#[test]
fn a_queue_that_is_ended_frees_both_ends() {
    every_order(|| {
        let (tx, rx) = bounded(1);
        let monitor = tx.monitor();
        let sender = start(move || (tx.send(0), tx.send(1), tx));
        let canceller = start(move || monitor.end());
        let got: Vec<_> = std::iter::from_fn(|| rx.recv()).collect();
        assert!([0, 1].starts_with(&got), "{got:?}");
        canceller.join().unwrap();
        let (first, second, tx) = sender.join().unwrap();
        assert!(first.is_ok() || second.is_err());
        assert_eq!(tx.try_send(5), Err(TrySend::Closed(5)));
        assert_eq!(rx.try_recv(), Received::Closed);
    });
}

#[test]
fn a_task_is_woken_by_items_and_by_the_end() {
    every_order(|| {
        let (tx, rx) = bounded(1);
        let sender = start(move || tx.send(1).and_then(|()| tx.send(2)));
        assert_eq!(block_on(|cx| rx.poll_recv(cx)), Some(1));
        assert_eq!(block_on(|cx| rx.poll_recv(cx)), Some(2));
        assert_eq!(block_on(|cx| rx.poll_recv(cx)), None);
        assert_eq!(sender.join().unwrap(), Ok(()));
    });
}

#[test]
fn a_task_is_woken_by_room() {
    every_order(|| {
        let (tx, rx) = bounded(1);
        let sender = start(move || {
            for item in 0..2 {
                block_on(|cx| tx.poll_ready(cx));
                assert_eq!(tx.try_send(item), Ok(()), "one sender: nobody else takes the room");
            }
        });
        assert_eq!((rx.recv(), rx.recv(), rx.recv()), (Some(0), Some(1), None));
        sender.join().unwrap();
    });
}

/// A thread and a task that wait for the same room: neither takes the other's wake-up.
#[test]
fn tasks_and_threads_share_the_room() {
    every_order(|| {
        let (tx, rx) = bounded(1);
        let other = tx.clone();
        let thread = start(move || other.send(1));
        let task = start(move || {
            loop {
                block_on(|cx| tx.poll_ready(cx));
                match tx.try_send(2) {
                    Err(TrySend::Full(_)) => {}
                    sent => return sent,
                }
            }
        });
        let mut got = [rx.recv(), rx.recv()];
        got.sort_unstable();
        assert_eq!(got, [Some(1), Some(2)]);
        assert_eq!(thread.join().unwrap(), Ok(()));
        assert_eq!(task.join().unwrap(), Ok(()));
    });
}

#[test]
fn a_task_that_waits_for_room_is_woken_by_the_end() {
    every_order(|| {
        let (tx, rx) = bounded(1);
        tx.try_send(0).unwrap();
        let canceller = start(move || drop(rx));
        block_on(|cx| tx.poll_ready(cx));
        assert_eq!(tx.try_send(1), Err(TrySend::Closed(1)));
        canceller.join().unwrap();
    });
}

/// Both ends are tasks, as in the asynchronous sessions.
#[test]
fn two_tasks_pass_items() {
    every_order(|| {
        let (tx, rx) = bounded(1);
        let sender = start(move || {
            block_on(|cx| tx.poll_ready(cx));
            tx.try_send(1).unwrap();
            tx.send_marker(2).unwrap();
        });
        for item in [Some(1), Some(2), None] {
            assert_eq!(block_on(|cx| rx.poll_recv(cx)), item);
        }
        sender.join().unwrap();
    });
}
