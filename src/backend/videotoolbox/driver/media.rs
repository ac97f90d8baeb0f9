//! CoreMedia: what a stream is (format descriptions), and coded pictures on their way (sample buffers).

use std::ffi::c_int;
use std::ptr;

use super::abi::{ASSURE_MEMORY, Ref};
use super::foundation::{Cf, Dictionary, data, known, string};
use super::library::{Api, api};
use super::status::Status;
use crate::backend::BackendKind;
use crate::bitstream::annexb::START_CODE_LONG;
use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::memory;

/// Bytes in front of each NAL unit that say how long it is.
pub(crate) const LENGTH_SIZE: u8 = 4;

/// More parameter sets than any encoder writes.
const MOST_SETS: usize = 64;

/// The object that a function has made.
///
/// # Safety
/// `object` is what the function wrote of an object whose reference passes to the caller, or null.
unsafe fn made(api: &'static Api, status: i32, object: Ref, call: &'static str) -> Result<Cf> {
    // Taken over first, so that it is given back whatever the status says.
    // SAFETY: as the caller says.
    let made = unsafe { Cf::created(api, object) };
    Status(status).ok(call)?;
    made.ok_or_else(|| nothing(call))
}

fn nothing(call: &'static str) -> Error {
    Error::Backend {
        backend: BackendKind::VideoToolbox,
        call,
        code: 0,
        detail: "it gives nothing".to_owned(),
    }
}

/// `CMVideoFormatDescription`.
#[derive(Clone, Debug)]
pub(crate) struct FormatDescription(Cf);

impl FormatDescription {
    /// Of H.264 or HEVC, by its parameter sets; samples have four-byte lengths.
    ///
    /// # Errors
    /// Sets that the framework cannot read.
    pub(crate) fn of_parameter_sets(codec: Codec, sets: &[&[u8]]) -> Result<Self> {
        let api = api()?;
        let pointers: Vec<*const u8> = sets.iter().map(|set| set.as_ptr()).collect();
        let sizes: Vec<usize> = sets.iter().map(|set| set.len()).collect();
        let (count, length) = (sets.len(), c_int::from(LENGTH_SIZE));
        let mut out: Ref = ptr::null();
        // SAFETY: `count` pointers with their sizes, all valid during the call; the sets are copied.
        unsafe {
            if codec == Codec::H264 {
                let status = (api.CMVideoFormatDescriptionCreateFromH264ParameterSets)(
                    ptr::null(),
                    count,
                    pointers.as_ptr(),
                    sizes.as_ptr(),
                    length,
                    &raw mut out,
                );
                made(api, status, out, "CMVideoFormatDescriptionCreateFromH264ParameterSets")
            } else {
                let status = (api.CMVideoFormatDescriptionCreateFromHEVCParameterSets)(
                    ptr::null(),
                    count,
                    pointers.as_ptr(),
                    sizes.as_ptr(),
                    length,
                    ptr::null(),
                    &raw mut out,
                );
                made(api, status, out, "CMVideoFormatDescriptionCreateFromHEVCParameterSets")
            }
        }
        .map(Self)
    }

    /// Of another codec, by the configuration record that MP4 has under a name (`av1C`, `vpcC`, `esds`), if it has one.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn of_record(
        codec_type: u32,
        (width, height): (u32, u32),
        record: Option<(&str, &[u8])>,
    ) -> Result<Self> {
        let api = api()?;
        let mut extensions = Dictionary::new()?;
        if let Some((name, record)) = record {
            let mut atoms = Dictionary::new()?;
            atoms.set(&string(name)?, &data(record)?);
            let key = "kCMFormatDescriptionExtension_SampleDescriptionExtensionAtoms";
            extensions = extensions.with(key, atoms.value())?;
        }
        let mut out: Ref = ptr::null();
        // SAFETY: the dictionary lives during the call.
        unsafe {
            let status = (api.CMVideoFormatDescriptionCreate)(
                ptr::null(),
                codec_type,
                width as i32,
                height as i32,
                extensions.value().object(),
                &raw mut out,
            );
            made(api, status, out, "CMVideoFormatDescriptionCreate")
        }
        .map(Self)
    }

    pub(super) const fn object(&self) -> Ref {
        self.0.object()
    }

    /// The parameter sets after start codes, and the bytes of the lengths in samples.
    ///
    /// # Errors
    /// No description of this codec, no memory.
    pub(crate) fn parameter_sets(&self, codec: Codec) -> Result<(Vec<u8>, u8)> {
        let mut out = Vec::new();
        let (mut index, mut count, mut length) = (0, 1, 0);
        while index < count {
            let (set, sets, size) = self.parameter_set(codec, index)?;
            memory::grow(&mut out, START_CODE_LONG.len() + set.len())?;
            out.extend_from_slice(&START_CODE_LONG);
            out.extend_from_slice(set);
            (count, length) = (sets.min(MOST_SETS), size);
            index += 1;
        }
        let length = u8::try_from(length).ok().filter(|length| (1..=4).contains(length));
        Ok((out, length.ok_or_else(|| nothing("CMVideoFormatDescriptionGetParameterSetAtIndex"))?))
    }

    /// A parameter set, how many there are, and the bytes of lengths.
    fn parameter_set(&self, codec: Codec, index: usize) -> Result<(&[u8], usize, c_int)> {
        let api = self.0.api();
        let (ask, call) = if codec == Codec::H264 {
            (
                api.CMVideoFormatDescriptionGetH264ParameterSetAtIndex,
                "CMVideoFormatDescriptionGetH264ParameterSetAtIndex",
            )
        } else {
            (
                api.CMVideoFormatDescriptionGetHEVCParameterSetAtIndex,
                "CMVideoFormatDescriptionGetHEVCParameterSetAtIndex",
            )
        };
        let (mut set, mut size, mut count, mut length) = (ptr::null(), 0, 0, 0);
        // SAFETY: the description is alive; room for each answer is given.
        let status = unsafe {
            ask(self.object(), index, &raw mut set, &raw mut size, &raw mut count, &raw mut length)
        };
        Status(status).ok(call)?;
        if set.is_null() || size > isize::MAX as usize {
            return Err(nothing(call));
        }
        // SAFETY: the set belongs to the description, which this borrow keeps alive, and is not changed.
        Ok((unsafe { std::slice::from_raw_parts(set, size) }, count, length))
    }
}

/// `CMSampleBuffer`: one coded picture.
#[derive(Debug)]
pub(crate) struct SampleBuffer(Cf);

impl SampleBuffer {
    /// A sample of these bytes, which are copied.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn new(bytes: &[u8], format: &FormatDescription) -> Result<Self> {
        let api = api()?;
        let mut out: Ref = ptr::null();
        // SAFETY: no memory is given, so that the framework takes some of its own at once.
        let block = unsafe {
            let status = (api.CMBlockBufferCreateWithMemoryBlock)(
                ptr::null(),
                ptr::null_mut(),
                bytes.len(),
                ptr::null(),
                ptr::null(),
                0,
                bytes.len(),
                ASSURE_MEMORY,
                &raw mut out,
            );
            made(api, status, out, "CMBlockBufferCreateWithMemoryBlock")?
        };
        // SAFETY: as many bytes are read as there are, and the block was made that large.
        let status = unsafe {
            (api.CMBlockBufferReplaceDataBytes)(bytes.as_ptr().cast(), block.object(), 0, bytes.len())
        };
        Status(status).ok("CMBlockBufferReplaceDataBytes")?;
        let size = bytes.len();
        let mut out: Ref = ptr::null();
        // Without times: they do not cross the seam, and pictures are told apart by their numbers.
        // SAFETY: one size, valid during the call; the buffer keeps references to block and format.
        unsafe {
            let status = (api.CMSampleBufferCreateReady)(
                ptr::null(),
                block.object(),
                format.object(),
                1,
                0,
                ptr::null(),
                1,
                &raw const size,
                &raw mut out,
            );
            made(api, status, out, "CMSampleBufferCreateReady")
        }
        .map(Self)
    }

    pub(super) const fn of(object: Cf) -> Self {
        Self(object)
    }

    pub(super) const fn object(&self) -> Ref {
        self.0.object()
    }

    /// The coded bytes.
    ///
    /// # Errors
    /// A sample without any, no memory.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        let api = self.0.api();
        // SAFETY: the sample is alive, and so is its block as long as it is.
        let block = unsafe { Cf::borrowed(api, (api.CMSampleBufferGetDataBuffer)(self.object())) };
        let block = block.ok_or_else(|| nothing("CMSampleBufferGetDataBuffer"))?;
        // SAFETY: the block is alive.
        let length = unsafe { (api.CMBlockBufferGetDataLength)(block.object()) };
        let mut out = memory::filled(0_u8, length)?;
        // SAFETY: there is room for as many bytes as are asked for.
        let status =
            unsafe { (api.CMBlockBufferCopyDataBytes)(block.object(), 0, length, out.as_mut_ptr().cast()) };
        Status(status).ok("CMBlockBufferCopyDataBytes")?;
        Ok(out)
    }

    /// What the stream is.
    ///
    /// # Errors
    /// A sample without a description.
    pub(crate) fn format(&self) -> Result<FormatDescription> {
        let api = self.0.api();
        // SAFETY: the sample is alive, and so is its description as long as it is.
        let format = unsafe { Cf::borrowed(api, (api.CMSampleBufferGetFormatDescription)(self.object())) };
        format.map(FormatDescription).ok_or_else(|| nothing("CMSampleBufferGetFormatDescription"))
    }

    /// Whether decoding can start here: a sample that is not marked as something else.
    ///
    /// # Errors
    /// Frameworks without the mark's name.
    pub(crate) fn is_sync(&self) -> Result<bool> {
        let api = self.0.api();
        let not_sync = known("kCMSampleAttachmentKey_NotSync")?;
        // SAFETY: the sample is alive; the array is its own, asked for its first value only where it has one.
        let first = unsafe {
            let array = (api.CMSampleBufferGetSampleAttachmentsArray)(self.object(), 0);
            if array.is_null() || (api.CFArrayGetCount)(array) < 1 {
                None
            } else {
                Cf::borrowed(api, (api.CFArrayGetValueAtIndex)(array, 0))
            }
        };
        let marked = first.and_then(|first| Dictionary::of(first).get(&not_sync));
        Ok(!marked.and_then(|value| value.as_bool()).unwrap_or(false))
    }
}
