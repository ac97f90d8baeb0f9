//! What the ends of decode and encode sessions have in common.

use std::task::{Context, Poll};

use crate::error::Result;
use crate::frame::Frame;
use crate::packet::Packet;
use crate::session::{DecodeInput, DecodeOutput, EncodeInput, EncodeOutput, Submit};

/// An end that takes.
pub trait Takes: Unpin {
    /// What.
    type Unit;

    /// Whether there is room, or an end.
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()>;

    /// Takes one.
    ///
    /// # Errors
    /// It is not of this session, or the session has ended.
    fn submit(&mut self, unit: Self::Unit) -> Result<Submit<Self::Unit>>;

    /// Makes everything come out.
    ///
    /// # Errors
    /// The session has ended.
    fn flush(&mut self) -> Result<()>;

    /// Flushes that were asked for.
    fn flushes_asked(&self) -> u64;
}

/// An end that gives.
pub trait Gives: Unpin {
    /// What.
    type Item;

    /// The next; `None` after a flush, and at the end.
    ///
    /// # Errors
    /// The loss of one item, or of the session.
    fn poll_reap(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Self::Item>>>;

    /// Flushes that have come through.
    fn flushes(&self) -> u64;

    /// Whether nothing will ever come again.
    fn is_finished(&self) -> bool;
}

macro_rules! ends {
    ($input:ty, $unit:ty, $output:ty, $item:ty) => {
        impl Takes for $input {
            type Unit = $unit;

            fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
                <$input>::poll_ready(self, cx)
            }

            fn submit(&mut self, unit: $unit) -> Result<Submit<$unit>> {
                <$input>::submit(self, unit)
            }

            fn flush(&mut self) -> Result<()> {
                <$input>::flush(self)
            }

            fn flushes_asked(&self) -> u64 {
                <$input>::flushes_asked(self)
            }
        }

        impl Gives for $output {
            type Item = $item;

            fn poll_reap(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<$item>>> {
                <$output>::poll_reap(self, cx)
            }

            fn flushes(&self) -> u64 {
                <$output>::flushes(self)
            }

            fn is_finished(&self) -> bool {
                <$output>::is_finished(self)
            }
        }
    };
}

ends!(DecodeInput, Packet, DecodeOutput, Frame);
ends!(EncodeInput, Frame, EncodeOutput, Packet);
