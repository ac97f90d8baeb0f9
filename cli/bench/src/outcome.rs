//! How a run ends.

/// What comes of a run, or of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is wrong.
    Done,
    /// A row is slower than in the older record, or broken.
    Slower,
    /// A row has no figures, an output is wrong, or a limit is broken.
    Wrong,
    /// There are fewer runs than asked for.
    Cancelled,
}
