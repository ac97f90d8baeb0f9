//! Streams written bit by bit for what encoders at hand do not produce: field pictures, gaps in `frame_num`, memory
//! management operations. The parser reads no further than the slice header, so there is no picture data.

use std::ffi::{c_int, c_void};

use crate::nvdec::abi::{
    CUVIDEOFORMAT, CUVIDH264DPBENTRY, CUVIDPARSERDISPINFO, CUVIDPARSERPARAMS, CUVIDPICPARAMS, Zeroed, codec,
    packet_flags,
};
use crate::nvdec::parser::machine::Machine;

/// Writes bits.
#[derive(Default)]
struct Writer(Vec<bool>);

impl Writer {
    fn u(mut self, count: u32, value: u32) -> Self {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    fn ue(self, value: u32) -> Self {
        let length = 31 - (value + 1).leading_zeros();
        self.u(length, 0).u(length + 1, value + 1)
    }

    fn se(self, value: i32) -> Self {
        self.ue(if value > 0 { 2 * value as u32 - 1 } else { 2 * value.unsigned_abs() })
    }

    /// A NAL unit with start code, trailing bits and emulation prevention.
    fn nal(self, header: u8) -> Vec<u8> {
        let mut bits = self.u(1, 1).0;
        bits.resize(bits.len().next_multiple_of(8), false);
        let mut nal = vec![0, 0, 1, header];
        let mut zeros = 0;
        for byte in bits.chunks(8).map(|bits| bits.iter().fold(0u8, |byte, &bit| byte << 1 | u8::from(bit))) {
            if zeros >= 2 && byte <= 3 {
                nal.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            nal.push(byte);
        }
        nal
    }
}

/// Sets for 64x64, `frame_num` of 4 bits, order counts of 6 bits.
fn sets(refs: u32, gaps: bool, fields: bool) -> Vec<u8> {
    let sps = Writer::default().u(8, 77).u(8, 0).u(8, 10).ue(0).ue(0).ue(0).ue(2).ue(refs).u(1, gaps.into());
    let sps = sps.ue(3).ue(if fields { 1 } else { 3 }).u(1, u32::from(!fields));
    let sps = if fields { sps.u(1, 0) } else { sps };
    // Direct inference, no cropping, VUI with nothing but reordering: two frames, and as many as there are references.
    let sps = sps
        .u(1, 1)
        .u(1, 0)
        .u(1, 1)
        .u(8, 0)
        .u(1, 1)
        .u(1, 1)
        .ue(0)
        .ue(0)
        .ue(9)
        .ue(9)
        .ue(2.min(refs))
        .ue(refs.max(2));
    let pps = Writer::default().ue(0).ue(0).u(2, 0).ue(0).ue(0).ue(0).u(3, 0).se(0).se(0).se(0).u(3, 0);
    [sps.nal(0x67), pps.nal(0x68)].concat()
}

/// One slice.
#[derive(Clone, Copy, Default)]
struct Picture<'a> {
    idr: bool,
    frame_num: u32,
    poc: u32,
    /// Top or bottom field.
    field: Option<bool>,
    interlaced: bool,
    reference: bool,
    no_output: bool,
    /// Operations with their operands.
    operations: &'a [&'a [u32]],
}

impl Picture<'_> {
    fn nal(self) -> Vec<u8> {
        let slice = Writer::default().ue(0).ue(if self.idr { 7 } else { 5 }).ue(0).u(4, self.frame_num);
        let slice = match self.field {
            _ if !self.interlaced => slice,
            None => slice.u(1, 0),
            Some(bottom) => slice.u(1, 1).u(1, bottom.into()),
        };
        let slice = if self.idr { slice.ue(0) } else { slice };
        let mut slice = slice.u(6, self.poc);
        if !self.idr {
            slice = slice.u(1, 0).u(1, 0);
        }
        if self.reference && self.idr {
            slice = slice.u(1, self.no_output.into()).u(1, 0);
        } else if self.reference {
            slice = slice.u(1, u32::from(!self.operations.is_empty()));
            if !self.operations.is_empty() {
                slice = self
                    .operations
                    .iter()
                    .flat_map(|operation| operation.iter())
                    .fold(slice, |slice, &v| slice.ue(v));
                slice = slice.ue(0);
            }
        }
        let header = if self.idr { 5 } else { 1 } | if self.reference { 0x60 } else { 0 };
        slice.u(16, 0x5a5a).nal(header)
    }
}

#[derive(Default)]
struct Seen {
    /// Surface, second field, references, own counts.
    decodes: Vec<(i32, bool, Vec<CUVIDH264DPBENTRY>, [i32; 2])>,
    displays: Vec<CUVIDPARSERDISPINFO>,
    /// Of each picture shown: which decode it was. Timestamps do not tell, the parser sorts them.
    order: Vec<i64>,
    surfaces: i32,
}

unsafe extern "C" fn sequence(user: *mut c_void, format: *mut CUVIDEOFORMAT) -> c_int {
    // SAFETY: the user pointer is the test's `Seen`, and the format lives through the call.
    let (seen, format) = unsafe { (&mut *user.cast::<Seen>(), &*format) };
    seen.surfaces = format.min_num_decode_surfaces.into();
    seen.surfaces
}

unsafe extern "C" fn decode(user: *mut c_void, params: *mut CUVIDPICPARAMS) -> c_int {
    // SAFETY: as above; the parser of H.264 fills this member of the union.
    let (seen, params, h264) =
        unsafe { (&mut *user.cast::<Seen>(), &*params, &(*params).CodecSpecific.h264) };
    let references = h264.dpb.iter().filter(|entry| entry.used_for_reference != 0).copied().collect();
    seen.decodes.push((params.CurrPicIdx, params.second_field != 0, references, h264.CurrFieldOrderCnt));
    1
}

unsafe extern "C" fn display(user: *mut c_void, info: *mut CUVIDPARSERDISPINFO) -> c_int {
    // SAFETY: as above.
    let (seen, info) = unsafe { (&mut *user.cast::<Seen>(), &*info) };
    let decoded = seen.decodes.iter().rposition(|decode| decode.0 == info.picture_index && !decode.1);
    seen.order.push(decoded.unwrap() as i64);
    seen.displays.push(*info);
    1
}

/// Plays pictures, each a packet with its index as timestamp.
fn play(sets: &[u8], pictures: &[Picture]) -> Seen {
    let mut seen = Seen::default();
    let mut parameters = CUVIDPARSERPARAMS::zeroed();
    parameters.CodecType = codec::H264;
    parameters.ulMaxNumDecodeSurfaces = 1;
    parameters.pUserData = (&raw mut seen).cast();
    parameters.pfnSequenceCallback = Some(sequence);
    parameters.pfnDecodePicture = Some(decode);
    parameters.pfnDisplayPicture = Some(display);
    let mut machine = Machine::new(&parameters, sets).unwrap();
    for (index, picture) in pictures.iter().enumerate() {
        machine
            .packet(packet_flags::TIMESTAMP | packet_flags::ENDOFPICTURE, &picture.nal(), index as i64)
            .unwrap();
    }
    machine.packet(packet_flags::ENDOFSTREAM, &[], 0).unwrap();
    seen
}

fn order(seen: &Seen) -> Vec<i64> {
    seen.order.clone()
}

/// `frame_num` (or long-term index) of the references of a picture.
fn references(seen: &Seen, picture: usize) -> Vec<i32> {
    seen.decodes[picture].2.iter().map(|entry| entry.FrameIdx).collect()
}

const IDR: Picture = Picture {
    idr: true,
    frame_num: 0,
    poc: 0,
    field: None,
    interlaced: false,
    reference: true,
    no_output: false,
    operations: &[],
};

fn frame(frame_num: u32, poc: u32) -> Picture<'static> {
    Picture { frame_num, poc, reference: true, ..Picture::default() }
}

fn field(frame_num: u32, poc: u32, bottom: bool) -> Picture<'static> {
    Picture { field: Some(bottom), interlaced: true, ..frame(frame_num, poc) }
}

#[test]
fn two_fields_are_two_decodes_and_one_display() {
    let first = Picture { field: Some(false), interlaced: true, ..IDR };
    let pictures = [first, field(0, 1, true), field(1, 3, true), field(1, 2, false)];
    let seen = play(&sets(2, false, true), &pictures);
    let decodes: Vec<_> = seen.decodes.iter().map(|decode| (decode.0, decode.1)).collect();
    assert_eq!(decodes, [(0, false), (0, true), (1, false), (1, true)]);
    // The second field refers to the first one of its own frame.
    assert_eq!((seen.decodes[1].2[0].PicIdx, seen.decodes[1].2[0].used_for_reference), (0, 1));
    assert_eq!(seen.decodes[2].2[0].used_for_reference, 3);
    assert_eq!(seen.decodes[3].3, [2, 3]);
    let shown: Vec<_> = seen
        .displays
        .iter()
        .map(|info| (info.picture_index, info.progressive_frame, info.top_field_first))
        .collect();
    assert_eq!(shown, [(0, 0, 1), (1, 0, 1)]);
    assert_eq!(order(&seen), [0, 2]);
}

#[test]
fn a_field_alone_is_shown_as_such() {
    let first = Picture { field: Some(false), interlaced: true, ..IDR };
    let seen = play(&sets(2, false, true), &[first, field(1, 2, false), field(1, 3, true)]);
    let repeats: Vec<_> = seen.displays.iter().map(|info| info.repeat_first_field).collect();
    assert_eq!(repeats, [-1, 0]);
    assert_eq!(seen.decodes.iter().map(|decode| decode.1).collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn the_sliding_window_forgets_the_oldest() {
    let pictures = [IDR, frame(1, 2), frame(2, 4), frame(3, 6), frame(4, 8)];
    let seen = play(&sets(2, false, false), &pictures);
    assert_eq!(references(&seen, 2), [0, 1]);
    assert_eq!(references(&seen, 4), [2, 3]);
    assert_eq!(order(&seen), [0, 1, 2, 3, 4]);
}

#[test]
fn a_gap_stands_for_frames_that_do_not_exist() {
    let seen = play(&sets(3, true, false), &[IDR, frame(1, 2), frame(4, 4)]);
    let list: Vec<_> =
        seen.decodes[2].2.iter().map(|entry| (entry.FrameIdx, entry.PicIdx, entry.not_existing)).collect();
    assert_eq!(list, [(1, 1, 0), (2, -1, 1), (3, -1, 1)]);
    assert_eq!(order(&seen), [0, 1, 2], "frames that do not exist are not shown");
    // Where gaps are not allowed nothing is inferred.
    let seen = play(&sets(3, false, false), &[IDR, frame(1, 2), frame(4, 4)]);
    assert_eq!(references(&seen, 2), [0, 1]);
}

#[test]
fn memory_management() {
    // Picture 2 forgets picture 1, picture 3 makes picture 0 long-term 0, picture 4 forgets that.
    let forget: &[&[u32]] = &[&[1, 0]];
    let long: &[&[u32]] = &[&[4, 2], &[3, 2, 1]];
    let forget_long: &[&[u32]] = &[&[2, 1]];
    let pictures = [
        IDR,
        frame(1, 2),
        Picture { operations: forget, ..frame(2, 4) },
        Picture { operations: long, ..frame(3, 6) },
        Picture { operations: forget_long, ..frame(4, 8) },
        frame(5, 10),
    ];
    let seen = play(&sets(4, false, false), &pictures);
    assert_eq!(references(&seen, 2), [0, 1]);
    assert_eq!(references(&seen, 3), [0, 2]);
    let list: Vec<_> = seen.decodes[4].2.iter().map(|entry| (entry.FrameIdx, entry.is_long_term)).collect();
    assert_eq!(list, [(1, 1), (2, 0), (3, 0)]);
    assert_eq!(references(&seen, 5), [2, 3, 4]);
}

#[test]
fn forgetting_all_starts_the_order_anew() {
    let all: &[&[u32]] = &[&[5]];
    let pictures = [
        IDR,
        frame(1, 20),
        Picture { frame_num: 2, poc: 10, ..Picture::default() },
        Picture { operations: all, ..frame(2, 30) },
        frame(1, 8),
        Picture { frame_num: 2, poc: 4, ..Picture::default() },
    ];
    let seen = play(&sets(2, false, false), &pictures);
    assert_eq!(order(&seen), [0, 2, 1, 3, 5, 4]);
    assert_eq!(references(&seen, 4), [0], "only the picture that forgot all, as number 0");
}

#[test]
fn an_idr_picture_may_throw_away_what_waits() {
    // Two frames wait for their turn when the second IDR picture comes.
    let again = Picture { no_output: true, ..IDR };
    let kept = play(&sets(2, false, false), &[IDR, frame(1, 8), IDR]);
    assert_eq!(order(&kept), [0, 1, 2]);
    let dropped = play(&sets(2, false, false), &[IDR, frame(1, 8), again]);
    assert_eq!(order(&dropped), [2]);
}
