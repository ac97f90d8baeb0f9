//! References of the older codecs: two anchors (I and P pictures), and B pictures between them that nothing refers
//! to. An anchor is shown when the next anchor comes.

use crate::nvdec::abi::CUVIDEOFORMAT;

use super::stage::{Flow, Shown, Stage, Surface};

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Pair {
    older: Option<Surface>,
    newer: Option<Surface>,
    held: Option<Shown>,
}

/// Frames that such a stream keeps.
pub(super) const FRAMES: usize = 2;

impl Pair {
    /// Tells the client of the format; before a new one the picture that is held back is shown, and nothing refers
    /// across it.
    pub(super) fn sequence(&mut self, format: &CUVIDEOFORMAT, header: &[u8], stage: &mut Stage) -> Flow {
        if stage.is_new(format) {
            self.flush(stage);
            self.reset();
        }
        stage.sequence(format, header)
    }

    /// Indices of the forward and backward references of a picture, -1 where there is none.
    pub(super) fn references(&self, bidirectional: bool) -> [i32; 2] {
        let index = |surface: &Option<Surface>| surface.as_deref().copied().unwrap_or(-1);
        if bidirectional { [index(&self.older), index(&self.newer)] } else { [index(&self.newer), -1] }
    }

    /// True when a B picture has both its references.
    pub(super) fn is_full(&self) -> bool {
        self.older.is_some() && self.newer.is_some()
    }

    /// Takes a decoded picture in. With `low_delay` there are no B pictures and nothing is held back.
    pub(super) fn take(&mut self, shown: Shown, bidirectional: bool, low_delay: bool, stage: &mut Stage) {
        if bidirectional {
            stage.show(shown);
            return;
        }
        self.older = self.newer.replace(shown.surface.clone());
        if let Some(held) = self.held.take() {
            stage.show(held);
        }
        if low_delay {
            stage.show(shown);
        } else {
            self.held = Some(shown);
        }
    }

    /// Shows the anchor that is held back.
    pub(super) fn flush(&mut self, stage: &mut Stage) {
        if let Some(held) = self.held.take() {
            stage.show(held);
        }
    }

    /// Forgets everything.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}
