//! What happens to events between the window and the session.

use crate::backend::{DecodeEvent, DecodeSink};

/// Takes events in order and hands them on in order, at once or a little later.
pub(in crate::backend) trait DownloadStage: Send {
    /// Takes the next event. `false`: nobody wants events any more.
    fn take(&mut self, event: DecodeEvent) -> bool;

    /// Whether some were taken and not yet handed on.
    fn holds(&self) -> bool;

    /// Hands on the oldest that it holds, waiting for what has to be done with it. `false`: nobody wants events any more.
    fn hand_on(&mut self) -> bool;
}

/// Hands everything on at once.
pub(in crate::backend) struct Direct(pub(in crate::backend) DecodeSink);

impl DownloadStage for Direct {
    fn take(&mut self, event: DecodeEvent) -> bool {
        (self.0)(event)
    }

    fn holds(&self) -> bool {
        false
    }

    fn hand_on(&mut self) -> bool {
        true
    }
}
