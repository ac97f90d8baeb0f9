//! `CMSampleBuffer`: coded frames with their format and times.

use std::ffi::c_void;
use std::sync::{Arc, Mutex};

use super::block::Block;
use super::format::Format;
use super::time::{Time, Timing};
use crate::core::pointer::{In, NULL, Ref};
use crate::core::report::locked;
use crate::core::{Out, exports};
use crate::foundation::collection::{Array, Dictionary};
use crate::foundation::object::{Held, Kind, Typed, find, held};
use crate::{OK, Status};

const PARAMETER_MISSING: Status = -12731;
const INVALID_COUNT: Status = -12738;

/// `CMSampleBuffer`
#[derive(Debug)]
pub struct Sample {
    /// The coded bytes.
    pub data: Option<(Held, Arc<Block>)>,
    /// What they are.
    pub format: Option<(Held, Arc<Format>)>,
    /// How many samples there are.
    pub count: usize,
    /// One for each, or one for all, or none.
    pub timing: Vec<Timing>,
    /// The same.
    pub sizes: Vec<usize>,
    attachments: Mutex<Option<Held>>,
}

impl Typed for Sample {
    const KIND: Kind = Kind::CMSampleBuffer;
}

impl Sample {
    /// One sample with its attachments.
    pub fn new(data: Block, format: (Held, Arc<Format>), timing: Timing, attachments: Held) -> Option<Self> {
        let size = data.length();
        let data = Held::new(data);
        let block = data.get::<Block>()?;
        Some(Self {
            data: Some((data, block)),
            format: Some(format),
            count: 1,
            timing: vec![timing],
            sizes: vec![size],
            attachments: Mutex::new(Some(Array::holding([attachments]))),
        })
    }

    /// Whether decoding can begin with it.
    pub fn is_sync(&self) -> bool {
        let attachments = locked(&self.attachments).as_ref().and_then(Held::get::<Array>);
        let first = attachments
            .and_then(|list| list.objects().into_iter().next())
            .and_then(|first| first.get::<Dictionary>());
        first.is_none_or(|first| first.truth("NotSync") != Some(true))
    }

    /// Times of the first sample.
    pub fn time(&self) -> Timing {
        let none = Timing { duration: Time::INVALID, pts: Time::INVALID, dts: Time::INVALID };
        self.timing.first().copied().unwrap_or(none)
    }
}

fn optional<T: Typed>(reference: Ref) -> Option<Option<(Held, Arc<T>)>> {
    if reference.is_null() { Some(None) } else { held::<T>(reference).map(Some) }
}

fn create(
    data: Ref,
    format: Ref,
    count: isize,
    timings: (isize, In<Timing>),
    sizes: (isize, In<usize>),
    out: Out<Ref>,
) -> Status {
    let (Some(data), Some(format)) = (optional::<Block>(data), optional::<Format>(format)) else {
        return PARAMETER_MISSING;
    };
    let Ok(count) = usize::try_from(count) else { return INVALID_COUNT };
    let entries =
        |entries: isize| usize::try_from(entries).ok().filter(|&entries| entries <= 1 || entries == count);
    let (Some(timing_count), Some(size_count)) = (entries(timings.0), entries(sizes.0)) else {
        return INVALID_COUNT;
    };
    let (Some(timing), Some(sizes)) = (timings.1.list(timing_count), sizes.1.list(size_count)) else {
        return PARAMETER_MISSING;
    };
    if out.is_null() {
        return PARAMETER_MISSING;
    }
    out.put(Held::new(Sample { data, format, count, timing, sizes, attachments: Mutex::default() }).give());
    OK
}

exports! {
    /// A buffer of samples whose data are there.
    fn CMSampleBufferCreateReady(allocator: Ref, data: Ref, format: Ref, count: isize, timings: isize, timing: In<Timing>,
                                 sizes: isize, size: In<usize>, out: Out<Ref>) -> Status = PARAMETER_MISSING; {
        create(data, format, count, (timings, timing), (sizes, size), out)
    }

    /// The same; data that are made ready later are not simulated.
    fn CMSampleBufferCreate(allocator: Ref, data: Ref, ready: u8, make_ready: *const c_void, refcon: *mut c_void, format: Ref, count: isize,
                            timings: isize, timing: In<Timing>, sizes: isize, size: In<usize>, out: Out<Ref>) -> Status = PARAMETER_MISSING; {
        create(data, format, count, (timings, timing), (sizes, size), out)
    }

    /// The coded bytes, not to be released.
    fn CMSampleBufferGetDataBuffer(of: Ref) -> Ref = NULL; {
        find::<Sample>(of).and_then(|of| of.data.as_ref().map(|(data, _)| data.lend())).unwrap_or(NULL)
    }

    /// Coded samples hold no image.
    fn CMSampleBufferGetImageBuffer(of: Ref) -> Ref = NULL; {
        find::<Sample>(of);
        NULL
    }

    /// What the bytes are, not to be released.
    fn CMSampleBufferGetFormatDescription(of: Ref) -> Ref = NULL; {
        find::<Sample>(of).and_then(|of| of.format.as_ref().map(|(format, _)| format.lend())).unwrap_or(NULL)
    }

    /// When the first sample is shown.
    fn CMSampleBufferGetPresentationTimeStamp(of: Ref) -> Time = Time::INVALID; { find::<Sample>(of).map_or(Time::INVALID, |of| of.time().pts) }

    /// When it is decoded; invalid where that is the order of display.
    fn CMSampleBufferGetDecodeTimeStamp(of: Ref) -> Time = Time::INVALID; { find::<Sample>(of).map_or(Time::INVALID, |of| of.time().dts) }

    /// How long it is shown.
    fn CMSampleBufferGetDuration(of: Ref) -> Time = Time::INVALID; { find::<Sample>(of).map_or(Time::INVALID, |of| of.time().duration) }

    /// How many samples there are.
    fn CMSampleBufferGetNumSamples(of: Ref) -> isize = 0; { find::<Sample>(of).map_or(0, |of| of.count as isize) }

    /// Bytes of one sample.
    fn CMSampleBufferGetSampleSize(of: Ref, index: isize) -> usize = 0; {
        let Some(of) = find::<Sample>(of) else { return 0 };
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        let size = of.sizes.get(at).or_else(|| of.sizes.first().filter(|_| of.sizes.len() == 1 && at < of.count));
        size.copied().unwrap_or(0)
    }

    /// Bytes of all samples.
    fn CMSampleBufferGetTotalSampleSize(of: Ref) -> usize = 0; {
        let Some(of) = find::<Sample>(of) else { return 0 };
        if of.sizes.len() == 1 { of.sizes[0] * of.count } else { of.sizes.iter().sum() }
    }

    /// Always.
    fn CMSampleBufferDataIsReady(of: Ref) -> u8 = 0; { u8::from(find::<Sample>(of).is_some()) }

    /// Nothing has died.
    fn CMSampleBufferIsValid(of: Ref) -> u8 = 0; { u8::from(find::<Sample>(of).is_some()) }

    /// One dictionary for each sample, not to be released; null where there are none and none are to be made.
    fn CMSampleBufferGetSampleAttachmentsArray(of: Ref, create: u8) -> Ref = NULL; {
        let Some(of) = find::<Sample>(of) else { return NULL };
        let mut attachments = locked(&of.attachments);
        if attachments.is_none() && create != 0 {
            *attachments = Some(Array::holding((0..of.count).map(|_| Dictionary::holding([]))));
        }
        attachments.as_ref().map_or(NULL, Held::lend)
    }
}
