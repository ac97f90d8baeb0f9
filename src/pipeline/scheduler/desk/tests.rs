//! What is said of a stream at the very moment of its end.

use super::*;
use crate::backend::mock::mock_packet;

/// A stream with one result that waits, abandoned so, at its end by itself.
fn ended(stop: Stop) -> Books {
    let bell = Arc::new(Bell::new());
    let desk = Desk::new(1, "s".to_owned(), 4, DropPolicy::Offline, Vec::new(), bell);
    assert!(matches!(desk.submit(mock_packet(0).into(), None), Ok(Submit::Accepted)));
    let held = desk.with_line(|line| line.pop(Instant::now(), &mut Vec::new())).unwrap();
    desk.push_result(held);
    desk.abandon(stop);
    desk.end(None, Vec::new());
    desk.books()
}

#[test]
fn a_stream_that_ends_while_it_is_abandoned_knows_why() {
    let books = ended(Stop::Cancelled);
    assert_eq!((books.ledger.dropped.get(reason::CANCELLED), books.ledger.failed), (Some(&1), 0));
    assert!(books.cancelled && books.error.is_none() && books.ledger.balances());
    let books = ended(Stop::Failed(Error::invalid("disk full")));
    assert_eq!((books.ledger.dropped_total(), books.ledger.failed), (0, 1));
    assert!(!books.cancelled && books.error.is_some_and(|error| error.contains("disk full")));
}
