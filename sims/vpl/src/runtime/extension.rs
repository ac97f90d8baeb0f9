//! Extension buffers that hang on parameters.

use crate::abi::{
    EXTBUFF_AV1_BITSTREAM_PARAM, EXTBUFF_CODING_OPTION, EXTBUFF_CODING_OPTION_SPSPPS,
    EXTBUFF_CODING_OPTION_VPS, EXTBUFF_CODING_OPTION2, EXTBUFF_ENCODER_RESET_OPTION,
    EXTBUFF_VIDEO_SIGNAL_INFO, EXTBUFF_VP9_PARAM, mfxExtAV1BitstreamParam, mfxExtBuffer, mfxExtCodingOption,
    mfxExtCodingOption2, mfxExtCodingOptionSPSPPS, mfxExtCodingOptionVPS, mfxExtEncoderResetOption,
    mfxExtVP9Param, mfxExtVideoSignalInfo,
};
use crate::core::{breach, rules};

/// A structure with its id.
pub trait Extension: Copy {
    /// `BufferId`
    const ID: u32;
}

macro_rules! extensions {
    ($($type:ty = $id:expr),* $(,)?) => {$(
        impl Extension for $type {
            const ID: u32 = $id;
        }
    )*};
}

extensions! {
    mfxExtCodingOption = EXTBUFF_CODING_OPTION,
    mfxExtCodingOption2 = EXTBUFF_CODING_OPTION2,
    mfxExtCodingOptionSPSPPS = EXTBUFF_CODING_OPTION_SPSPPS,
    mfxExtCodingOptionVPS = EXTBUFF_CODING_OPTION_VPS,
    mfxExtVideoSignalInfo = EXTBUFF_VIDEO_SIGNAL_INFO,
    mfxExtVP9Param = EXTBUFF_VP9_PARAM,
    mfxExtAV1BitstreamParam = EXTBUFF_AV1_BITSTREAM_PARAM,
    mfxExtEncoderResetOption = EXTBUFF_ENCODER_RESET_OPTION,
}

/// The list that the client hangs on parameters.
#[derive(Debug, Clone, Copy)]
pub struct List {
    first: *mut *mut mfxExtBuffer,
    count: u16,
}

impl List {
    /// A pointer and a count.
    pub fn new(first: *mut *mut mfxExtBuffer, count: u16) -> Self {
        Self { first, count: if first.is_null() { 0 } else { count } }
    }

    /// The ids in it.
    pub fn ids(self) -> Vec<u32> {
        let each = (0..usize::from(self.count)).filter_map(|at| {
            // SAFETY: so many pointers are there, as the client says.
            let buffer = unsafe { *self.first.add(at) };
            // SAFETY: every buffer begins with its header.
            (!buffer.is_null()).then(|| unsafe { (*buffer).BufferId })
        });
        each.collect()
    }

    /// Where a structure is; none where it is not there, or of the wrong size.
    pub fn place<T: Extension>(self) -> Option<*mut T> {
        for at in 0..usize::from(self.count) {
            // SAFETY: so many pointers are there, as the client says.
            let buffer = unsafe { *self.first.add(at) };
            if buffer.is_null() {
                breach(&rules::NULL_POINTER, "extension buffer");
                continue;
            }
            // SAFETY: every buffer begins with its header.
            let header = unsafe { *buffer };
            if header.BufferId != T::ID {
                continue;
            }
            if header.BufferSz as usize != size_of::<T>() {
                let letters = header.BufferId.to_le_bytes();
                let name = String::from_utf8_lossy(&letters).into_owned();
                breach(&rules::EXT_BUFFER, format!("{name}: {} and not {}", header.BufferSz, size_of::<T>()));
                return None;
            }
            return Some(buffer.cast());
        }
        None
    }

    /// A copy of it.
    pub fn get<T: Extension>(self) -> Option<T> {
        // SAFETY: `place` looked at its size.
        self.place::<T>().map(|place| unsafe { place.read_unaligned() })
    }
}
