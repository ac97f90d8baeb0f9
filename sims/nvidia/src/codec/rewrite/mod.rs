//! Rewriting of headers in what the encoder libraries made.
//!
//! The libraries code every picture at once, in the order in which they get them, and therefore believe that this is
//! the display order too. The headers are put right afterwards: order counts in the slices, reordering and buffer
//! sizes in the parameter sets. Coded macroblocks and tree blocks are never touched.

mod bits;
pub(super) mod h264;
pub(super) mod hevc;
pub(super) mod nal;
pub(super) mod obu;

use super::CodecError;
use bits::Copier;

/// What the parameter sets shall say, whatever the library wrote.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wishes {
    /// `profile_idc` to name instead of the library's; 0: leave it.
    pub(super) profile: u32,
    /// `level_idc`.
    pub(super) level: u32,
    /// Pictures that may precede another in coding order and follow it in display order; 0: none.
    pub(super) reorder: u32,
    /// Frames per second as a fraction.
    pub(super) fps: (u32, u32),
}

/// Copies what the usability information of both standards begins with: sample shape, overscan, colour, chroma place.
fn signal(c: &mut Copier<'_>) -> Result<(), CodecError> {
    // 255: the shape is spelt out.
    if c.flag()? && c.u(8)? == 255 {
        c.u(32)?;
    }
    if c.flag()? {
        c.u(1)?;
    }
    if c.flag()? {
        c.u(4)?;
        if c.flag()? {
            c.u(24)?;
        }
    }
    if c.flag()? {
        c.ue()?;
        c.ue()?;
    }
    Ok(())
}
