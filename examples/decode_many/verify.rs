//! Checks of the frames that come out of one session.

use std::collections::VecDeque;

use video_hw::Result;
use video_hw::frame::{Frame, HostSurface, Surface};
use video_hw::time::Timestamp;

use crate::args::Options;

/// Counts frames and notes what is wrong with them.
#[derive(Default)]
pub(crate) struct Checks {
    pub(crate) frames: u64,
    pub(crate) concealed: u64,
    /// Frames that are not later than the one before them.
    pub(crate) disordered: u64,
    /// Frames that are not in the memory asked for.
    pub(crate) misplaced: u64,
    /// Frames that differ from the one a period ago.
    pub(crate) different: u64,
    /// Where the frames are, their format and size: of the first one.
    pub(crate) first: Option<(&'static str, String)>,
    last: Option<Timestamp>,
    period: VecDeque<u64>,
}

impl Checks {
    pub(crate) fn take(&mut self, frame: &Frame, options: &Options) -> Result<()> {
        let place = place(frame);
        if self.first.is_none() {
            self.first = Some((place, format!("{} {}", frame.format.name(), frame.dimensions)));
        }
        self.frames += 1;
        self.concealed += u64::from(frame.concealed);
        self.misplaced += u64::from(options.surface.as_deref().is_some_and(|wanted| wanted != place));
        self.disordered += u64::from(self.last.is_some_and(|last| frame.pts <= last));
        self.last = Some(frame.pts);
        if let Some(period) = options.verify {
            let sum = checksum(frame)?;
            if self.period.len() == period.get() && self.period.pop_front() != Some(sum) {
                self.different += 1;
            }
            self.period.push_back(sum);
        }
        Ok(())
    }

    /// Whether the frames are what was asked for.
    pub(crate) fn passed(&self, options: &Options) -> bool {
        self.disordered == 0
            && self.misplaced == 0
            && self.different == 0
            && options.expect.is_none_or(|wanted| wanted == self.frames)
    }
}

pub(crate) fn place(frame: &Frame) -> &'static str {
    match &frame.surface {
        Surface::None => "none",
        Surface::Host(_) => "host",
        Surface::Device(_) => "device",
        _ => "elsewhere",
    }
}

/// A sum of every sample, sensitive to their order; a word at a time, because it must keep up with the decoder.
fn checksum(frame: &Frame) -> Result<u64> {
    match &frame.surface {
        Surface::Host(host) => Ok(sum(host)),
        Surface::Device(device) => Ok(sum(&device.download()?)),
        _ => Err(video_hw::Error::invalid("--verify needs samples; choose another --output")),
    }
}

fn sum(surface: &HostSurface) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut sum = 0_u64;
    for index in 0..surface.format().plane_count() {
        let Some(plane) = surface.plane(index) else { continue };
        for row in 0..plane.rows() {
            let (words, rest) = plane.row(row).as_chunks::<8>();
            for word in words {
                sum = (sum.rotate_left(23) ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR);
            }
            for byte in rest {
                sum = (sum.rotate_left(23) ^ u64::from(*byte)).wrapping_mul(FACTOR);
            }
        }
    }
    sum
}
