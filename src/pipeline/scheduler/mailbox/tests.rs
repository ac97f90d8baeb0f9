//! What is said of a stream at the very moment of its end.

use super::*;
use crate::backend::mock::mock_packet;

/// A stream with one result that waits, abandoned so, at its end by itself.
fn ended(stop: Stop) -> StreamStatus {
    let ready = Arc::new(ReadySet::new());
    let mailbox = Mailbox::new(1, "s".to_owned(), 4, DropPolicy::Offline, Vec::new(), ready);
    assert!(matches!(mailbox.submit(mock_packet(0).into(), None), Ok(Submit::Accepted)));
    let held = mailbox.with_queue(|queue| queue.pop(Instant::now(), &mut Vec::new())).unwrap();
    mailbox.push_result(held);
    mailbox.abandon(stop);
    mailbox.end(None, Vec::new());
    mailbox.status()
}

#[test]
fn a_stream_that_ends_while_it_is_abandoned_knows_why() {
    let status = ended(Stop::Cancelled);
    assert_eq!((status.ledger.dropped.get(reason::CANCELLED), status.ledger.failed), (Some(&1), 0));
    assert!(status.cancelled && status.error.is_none() && status.ledger.balances());
    let status = ended(Stop::Failed(Error::invalid("disk full")));
    assert_eq!((status.ledger.dropped_total(), status.ledger.failed), (0, 1));
    assert!(!status.cancelled && status.error.is_some_and(|error| error.contains("disk full")));
}
