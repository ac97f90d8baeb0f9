//! Extension buffers that hang on parameters.

use crate::abi::{
    self, EXTBUFF_AV1_BITSTREAM_PARAM, EXTBUFF_CODING_OPTION, EXTBUFF_CODING_OPTION_SPSPPS,
    EXTBUFF_CODING_OPTION_VPS, EXTBUFF_CODING_OPTION2, EXTBUFF_ENCODER_RESET_OPTION,
    EXTBUFF_VIDEO_SIGNAL_INFO, EXTBUFF_VP9_PARAM, Status, mfxExtAV1BitstreamParam, mfxExtBuffer,
    mfxExtCodingOption, mfxExtCodingOption2, mfxExtCodingOptionSPSPPS, mfxExtCodingOptionVPS,
    mfxExtEncoderResetOption, mfxExtVP9Param, mfxExtVideoSignalInfo,
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

/// Ids of what Intel's encoders of a codec know, beyond those that most have.
const OF_ENCODERS: [(u32, &[&[u8; 4]]); 5] = [
    (
        abi::CODEC_AVC,
        &[
            b"CDOP", b"COSP", b"VSIN", b"MVCD", b"PTSE", b"ATML", b"ENCP", b"EROI", b"CLIN", b"EPWT",
            b"DROI", b"MROI", b"RNDO", b"MFRP", b"MFRC",
        ],
    ),
    (
        abi::CODEC_HEVC,
        &[
            b"CDOP", b"COSP", b"COVP", b"VSIN", b"265P", b"265T", b"265R", b"RLTS", b"RLST", b"ATML",
            b"MBQP", b"DCVS", b"LLIS", b"EROI", b"DROI", b"EPWT", b"ENCP", b"UTMP",
        ],
    ),
    (abi::CODEC_VP9, &[b"9PAR", b"9SEG", b"9TML"]),
    (
        abi::CODEC_AV1,
        &[
            b"CDOP", b"9PAR", b"VSIN", b"A1BS", b"A1RS", b"A1TL", b"1SEG", b"ATML", b"UTMP", b"ENCP",
            b"RLST", b"DCVS", b"LLIS",
        ],
    ),
    (abi::CODEC_JPEG, &[b"JPGQ", b"JPGH"]),
];
const OF_MOST: [&[u8; 4]; 4] = [b"CDO2", b"CDO3", b"ENRO", b"ALCH"];

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
            // SAFETY: the client provides `count` pointers.
            let buffer = unsafe { *self.first.add(at) };
            // SAFETY: every buffer begins with its header.
            (!buffer.is_null()).then(|| unsafe { (*buffer).BufferId })
        });
        each.collect()
    }

    /// The ids, and all bytes of each buffer.
    pub fn contents(self) -> Vec<(u32, Vec<u8>)> {
        let each = (0..usize::from(self.count)).filter_map(|at| {
            // SAFETY: the client provides `count` pointers.
            let buffer = unsafe { *self.first.add(at) };
            // SAFETY: every buffer begins with its header.
            let header = (!buffer.is_null()).then(|| unsafe { *buffer })?;
            // SAFETY: the buffer has the `BufferSz` bytes that its header states.
            let bytes = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), header.BufferSz as usize) };
            Some((header.BufferId, bytes.to_vec()))
        });
        each.collect()
    }

    /// Refuses what the encoder of a codec does not know, and what is there twice.
    pub fn check(self, codec: u32) -> Result<(), Status> {
        let ids = self.ids();
        if (1..ids.len()).any(|at| ids[..at].contains(&ids[at])) {
            return Err(abi::ERR_UNDEFINED_BEHAVIOR);
        }
        let own = OF_ENCODERS.iter().find(|(known, _)| *known == codec).map_or(&[][..], |(_, own)| *own);
        let most = if codec == abi::CODEC_JPEG { &[][..] } else { &OF_MOST[..] };
        let known = |id: &u32| own.iter().chain(most).any(|letters| u32::from_le_bytes(**letters) == *id);
        if ids.iter().all(known) { Ok(()) } else { Err(abi::ERR_UNSUPPORTED) }
    }

    /// Where a structure is; none where it is not there, or of the wrong size.
    pub fn place<T: Extension>(self) -> Option<*mut T> {
        for at in 0..usize::from(self.count) {
            // SAFETY: the client provides `count` pointers.
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
