//! A parser client that writes down every callback.

use std::ffi::{c_int, c_ulong, c_void};
use std::ptr::null_mut;

use super::Cuvid;
use crate::abi::*;

/// What a parser did, one line an event.
#[derive(Default)]
pub struct Trace {
    pub lines: Vec<String>,
    displayed: Vec<c_int>,
    failing: Option<&'static str>,
    /// Where decode calls go, when they go anywhere.
    decoding: Option<(*const Cuvid, CUVIDDECODECREATEINFO, *mut c_void)>,
    /// Index given to the decoder in place of the parser's.
    index: Option<c_int>,
    /// A decoder that cannot be made is a fact, not an accident.
    trying: bool,
}

/// A parser and its trace.
pub struct Tracer<'a> {
    cuvid: &'a Cuvid,
    parser: *mut c_void,
    trace: Box<Trace>,
    clock: i64,
}

impl Trace {
    /// For each packet, its picture's place in display order. Only for traces of one packet a picture.
    pub fn ranks(&self) -> Vec<i64> {
        let mut packet_of_surface = [usize::MAX; 64];
        let (mut packet, mut ranks, mut shown) = (usize::MAX, Vec::new(), 0);
        for line in &self.lines {
            let word =
                |number: usize| line.split(' ').nth(number).and_then(|word| word.parse::<usize>().ok());
            if line.starts_with("packet") {
                packet = word(1).unwrap_or(packet);
                ranks.push(0);
            } else if line.starts_with("decode") {
                packet_of_surface[word(1).unwrap_or(63)] = packet;
            } else if let (true, Some(index)) = (line.starts_with("display"), word(1)) {
                if let Some(rank) = ranks.get_mut(packet_of_surface[index]) {
                    *rank = shown;
                }
                shown += 1;
            }
        }
        ranks
    }
}

impl<'a> Tracer<'a> {
    pub fn new(cuvid: &'a Cuvid, codec: u32, delay: u32, surfaces: u32) -> Self {
        let mut trace = Box::<Trace>::default();
        let mut parser = null_mut();
        let mut parameters = CUVIDPARSERPARAMS {
            CodecType: codec,
            ulMaxNumDecodeSurfaces: surfaces,
            ulClockRate: 1000,
            ulMaxDisplayDelay: delay,
            pUserData: (&raw mut *trace).cast(),
            pfnSequenceCallback: Some(on_sequence),
            pfnDecodePicture: Some(on_decode),
            pfnDisplayPicture: Some(on_display),
            ..CUVIDPARSERPARAMS::zeroed()
        };
        assert_eq!(cuvid.create_parser(&mut parser, &mut parameters), 0);
        Self { cuvid, parser, trace, clock: 0 }
    }

    /// Lets a callback fail.
    pub fn failing(mut self, callback: &'static str) -> Self {
        self.trace.failing = Some(callback);
        self
    }

    /// Sends the decode calls to a decoder made from `info` in the sequence callback.
    pub fn decoding(mut self, info: CUVIDDECODECREATEINFO) -> Self {
        self.trace.decoding = Some((self.cuvid, info, null_mut()));
        self
    }

    /// As [`Self::decoding`]; where the driver makes no decoder, the trace says so.
    pub fn trying(mut self, info: CUVIDDECODECREATEINFO) -> Self {
        self.trace.trying = true;
        self.decoding(info)
    }

    /// Gives the decoder this index in place of the parser's from now on.
    pub fn forge_index(&mut self, index: Option<c_int>) {
        self.trace.index = index;
    }

    pub fn decoder(&self) -> *mut c_void {
        self.trace.decoding.as_ref().map_or(null_mut(), |(_, _, decoder)| *decoder)
    }

    /// The driver has made no decoder.
    pub fn refused(&self) -> bool {
        self.trace.lines.iter().any(|line| line.starts_with("create answers"))
    }

    pub fn displayed(&self) -> Vec<c_int> {
        self.trace.displayed.clone()
    }

    /// Feeds one packet; its time is its number times 40, so that times tell packets.
    pub fn feed(&mut self, data: &[u8], flags: c_ulong) {
        let time = if data.is_empty() { None } else { Some(self.clock * 40) };
        self.feed_at(data, flags, time);
    }

    /// Feeds one packet with a time of its own, or none.
    pub fn feed_at(&mut self, data: &[u8], flags: c_ulong, time: Option<i64>) {
        let mut packet = CUVIDSOURCEDATAPACKET {
            flags: flags | if time.is_some() { packet_flags::TIMESTAMP } else { 0 },
            payload_size: data.len() as c_ulong,
            payload: if data.is_empty() { std::ptr::null() } else { data.as_ptr() },
            timestamp: time.unwrap_or(0),
        };
        self.trace.lines.push(format!("packet {} flags {flags:#x} bytes {}", self.clock, data.len()));
        self.clock += 1;
        let code = self.cuvid.parse(self.parser, &mut packet);
        if code != 0 {
            self.trace.lines.push(format!("parse answers {code}"));
        }
    }

    pub fn close(self) -> Trace {
        let code = self.cuvid.destroy_parser(self.parser);
        let mut trace = *self.trace;
        if code != 0 {
            trace.lines.push(format!("destroy answers {code}"));
        }
        trace
    }
}

/// The trace behind a callback's user data.
fn trace<'a>(user: *mut c_void) -> &'a mut Trace {
    // SAFETY: the user data is the boxed trace of the `Tracer` whose parser is running, and nothing else
    // touches it while the parser runs.
    unsafe { &mut *user.cast::<Trace>() }
}

unsafe extern "C" fn on_sequence(user: *mut c_void, format: *mut CUVIDEOFORMAT) -> c_int {
    let trace = trace(user);
    // SAFETY: the parser passes a valid structure.
    let format = unsafe { &*format };
    trace.lines.push(format!(
        "sequence codec {} coded {}x{} area {},{},{},{} chroma {} depth {}/{} progressive {} surfaces {} rate {}/{} bitrate {} aspect {}:{} signal {:#x} {} {} {} header {}",
        format.codec,
        format.coded_width,
        format.coded_height,
        format.display_area.left,
        format.display_area.top,
        format.display_area.right,
        format.display_area.bottom,
        format.chroma_format,
        format.bit_depth_luma_minus8,
        format.bit_depth_chroma_minus8,
        format.progressive_sequence,
        format.min_num_decode_surfaces,
        format.frame_rate.numerator,
        format.frame_rate.denominator,
        format.bitrate,
        format.display_aspect_ratio.x,
        format.display_aspect_ratio.y,
        format.video_signal_description.format_and_range,
        format.video_signal_description.color_primaries,
        format.video_signal_description.transfer_characteristics,
        format.video_signal_description.matrix_coefficients,
        format.seqhdr_data_length
    ));
    if trace.failing == Some("sequence") {
        return 0;
    }
    if let Some((cuvid, info, decoder)) = &mut trace.decoding
        && decoder.is_null()
    {
        info.ulNumDecodeSurfaces = c_ulong::from(format.min_num_decode_surfaces);
        // SAFETY: the `Cuvid` outlives the tracer that holds a reference to it.
        let code = unsafe { &**cuvid }.create(decoder, info);
        assert!(code == 0 || trace.trying, "create answers {code}");
        if code != 0 {
            trace.lines.push(format!("create answers {code}"));
            trace.decoding = None;
            return 0;
        }
    }
    c_int::from(format.min_num_decode_surfaces)
}

unsafe extern "C" fn on_decode(user: *mut c_void, picture: *mut CUVIDPICPARAMS) -> c_int {
    let trace = trace(user);
    // SAFETY: the parser passes a valid structure.
    let params = unsafe { &*picture };
    trace.lines.push(format!(
        "decode {} mbs {}x{} field {} bottom {} second {} bytes {} slices {} ref {} intra {}",
        params.CurrPicIdx,
        params.PicWidthInMbs,
        params.FrameHeightInMbs,
        params.field_pic_flag,
        params.bottom_field_flag,
        params.second_field,
        params.nBitstreamDataLen,
        params.nNumSlices,
        params.ref_pic_flag,
        params.intra_pic_flag
    ));
    if trace.failing == Some("decode") {
        return 0;
    }
    if let Some((cuvid, _, decoder)) = &trace.decoding {
        // SAFETY: the `Cuvid` outlives the tracer; the parser's structure may be changed while the callback runs.
        let code = unsafe {
            if let Some(index) = trace.index {
                (*picture).CurrPicIdx = index;
            }
            (**cuvid).decode(*decoder, picture)
        };
        if code != 0 {
            trace.lines.push(format!("decoder answers {code}"));
        }
    }
    1
}

unsafe extern "C" fn on_display(user: *mut c_void, info: *mut CUVIDPARSERDISPINFO) -> c_int {
    let trace = trace(user);
    if info.is_null() {
        trace.lines.push("display end".into());
        return 1;
    }
    // SAFETY: not null, so a valid structure.
    let info = unsafe { &*info };
    trace.displayed.push(info.picture_index);
    trace.lines.push(format!(
        "display {} time {} progressive {} top first {} repeat {}",
        info.picture_index,
        info.timestamp,
        info.progressive_frame,
        info.top_field_first,
        info.repeat_first_field
    ));
    c_int::from(trace.failing != Some("display"))
}

/// Cuts a small clip of the project's into access units: good for these clips (every picture begins with a slice
/// whose first macroblock is 0), not for all streams.
pub fn access_units(data: &[u8], codec: u32) -> Vec<&[u8]> {
    if codec == codec::VP9 || codec == codec::VP8 {
        return ivf_frames(data);
    }
    // Starts of NAL units, at their start codes.
    let mut starts: Vec<usize> = Vec::new();
    let mut at = 0;
    while at + 3 < data.len() {
        if data[at..at + 3] == [0, 0, 1] {
            starts.push(if at > 0 && data[at - 1] == 0 { at - 1 } else { at });
            at += 3;
        } else {
            at += 1;
        }
    }
    starts.push(data.len());
    let mut units = Vec::new();
    let (mut begin, mut has_slice) = (0, false);
    for pair in starts.windows(2) {
        let nal = &data[pair[0]..pair[1]];
        let header = nal.iter().position(|byte| *byte == 1).map_or(0, |one| one + 1);
        let (slice, first) = if codec == codec::H264 {
            let kind = nal[header] & 31;
            (kind == 1 || kind == 5, nal.get(header + 1).is_some_and(|byte| byte & 0x80 != 0))
        } else {
            let kind = nal[header] >> 1 & 63;
            (kind < 32, nal.get(header + 2).is_some_and(|byte| byte & 0x80 != 0))
        };
        if has_slice && (!slice || first) {
            units.push(&data[begin..pair[0]]);
            (begin, has_slice) = (pair[0], false);
        }
        has_slice |= slice;
    }
    units.push(&data[begin..]);
    units
}

fn ivf_frames(data: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    let mut rest = &data[32..];
    while rest.len() > 12 {
        let size = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        frames.push(&rest[12..12 + size]);
        rest = &rest[12 + size..];
    }
    frames
}
