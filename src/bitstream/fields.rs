//! Whether a picture is interlaced, as its headers say, and which of its fields comes first.

use super::annexb::nal_units;
use super::bits::BitResult;
use super::convert::length_prefixed_units;
use super::{h264, hevc, sei};
use crate::codec::Codec;
use crate::frame::FieldOrder;
use crate::packet::BitstreamLayout;

/// What stands in front of the first slice is in as many bytes of an access unit; looking for start codes in the whole of
/// it would cost as much as reading it.
const HEAD: usize = 16 * 1024;

/// SEI message "picture timing" of H.264 and H.265.
const PICTURE_TIMING: u32 = 1;

/// Follows the parameter sets of a stream, and tells of each access unit how its picture was taken.
#[derive(Debug)]
pub(crate) struct FieldDetector(Codecs);

#[derive(Debug)]
enum Codecs {
    H264(h264::ParameterSets),
    Hevc(hevc::ParameterSets),
    Mpeg2,
    /// Nothing is said about fields.
    Other,
}

impl FieldDetector {
    /// At the start of a stream; `config` is the container's configuration record.
    pub(crate) fn new(codec: Codec, config: Option<&[u8]>) -> Self {
        Self(match codec {
            Codec::H264 => {
                let mut sets = h264::ParameterSets::new();
                if let Some(Ok(config)) = config.map(h264::AvcConfig::parse) {
                    for nal in config.sps.iter().chain(&config.pps) {
                        // What is broken is for the decoder to complain about, here and below.
                        let _unreadable = sets.insert(nal);
                    }
                }
                Codecs::H264(sets)
            }
            Codec::Hevc => {
                let mut sets = hevc::ParameterSets::new();
                if let Some(Ok(config)) = config.map(hevc::HevcConfig::parse) {
                    for nal in config.units() {
                        let _unreadable = sets.insert(nal);
                    }
                }
                Codecs::Hevc(sets)
            }
            Codec::Mpeg2 => Codecs::Mpeg2,
            _ => Codecs::Other,
        })
    }

    /// The field order of the picture in this unit; `None` where it is progressive, or nothing says otherwise.
    pub(crate) fn of_unit(&mut self, layout: BitstreamLayout, data: &[u8]) -> Option<FieldOrder> {
        let head = data.get(..HEAD).unwrap_or(data);
        match (&mut self.0, layout) {
            (Codecs::H264(sets), BitstreamLayout::AnnexB) => of_h264(sets, nal_units(head)),
            (Codecs::H264(sets), BitstreamLayout::Avcc { length_size }) => {
                of_h264(sets, length_prefixed_units(data, length_size).map_while(Result::ok))
            }
            (Codecs::Hevc(sets), BitstreamLayout::AnnexB) => of_hevc(sets, nal_units(head)),
            (Codecs::Hevc(sets), BitstreamLayout::Hvcc { length_size }) => {
                of_hevc(sets, length_prefixed_units(data, length_size).map_while(Result::ok))
            }
            (Codecs::Mpeg2, _) => of_mpeg2(head),
            _ => None,
        }
    }
}

fn first(top: bool) -> FieldOrder {
    if top { FieldOrder::TopFirst } else { FieldOrder::BottomFirst }
}

/// The SEI NAL unit behind its header, if picture timing is in it.
fn timing_unit(nal: &[u8], header: usize) -> Option<&[u8]> {
    nal.get(header..).filter(|unit| sei::find(unit, PICTURE_TIMING).is_some())
}

/// What a picture timing message says: `pic_struct`, and whether the source was interlaced where that is stated.
type Timing = (u32, Option<bool>);

fn of_h264<'a>(sets: &mut h264::ParameterSets, nals: impl Iterator<Item = &'a [u8]>) -> Option<FieldOrder> {
    let mut message = None;
    for nal in nals {
        match h264::nal_type(nal)? {
            h264::NAL_SPS | h264::NAL_PPS => {
                let _unreadable = sets.insert(nal);
            }
            h264::NAL_SEI => message = message.or(timing_unit(nal, 1)),
            h264::NAL_SLICE | h264::NAL_PARTITION_A | h264::NAL_IDR => {
                let slice = h264::SliceIdentity::parse(nal.get(..128).unwrap_or(nal), sets).ok()?;
                let (sps, _) = sets.active(slice.pps_id)?;
                let timing = message.and_then(|unit| h264_timing(unit, sps));
                let coded = slice.field || sps.mb_adaptive_frame_field;
                let interlaced = match timing {
                    Some((_, Some(stated))) => stated,
                    // Fields one by one, and pairs of them; what repeats a field comes from film.
                    Some((1 | 2, None)) => true,
                    Some((3 | 4, None)) => !sps.frame_mbs_only,
                    Some(_) => false,
                    None => coded,
                };
                // The field with the smaller count is the first; where both are the same the message tells.
                let top = match slice.delta_poc_bottom.signum() + slice.delta_poc[1].signum() {
                    _ if slice.field => !slice.bottom_field,
                    1.. => true,
                    0 => !matches!(timing, Some((2 | 4 | 6, _))),
                    _ => false,
                };
                return interlaced.then(|| first(top));
            }
            _ => {}
        }
    }
    None
}

/// D.1.2 of H.264.
fn h264_timing(unit: &[u8], sps: &h264::Sps) -> Option<Timing> {
    let vui = sps.vui.as_ref().filter(|vui| vui.pic_struct_present)?;
    let (mut r, _) = sei::find(unit, PICTURE_TIMING)?;
    let mut read = || -> BitResult<Timing> {
        if let Some((removal, output)) = vui.delay_bits {
            r.skip(u32::from(removal) + u32::from(output))?;
        }
        let pic_struct = r.u(4)?;
        let clocks = match pic_struct {
            0..=2 => 1,
            3 | 4 | 7 => 2,
            _ => 3,
        };
        for _ in 0..clocks {
            // ct_type: progressive, interlaced, unknown.
            if r.flag()? {
                let interlaced = match r.u(2)? {
                    0 => Some(false),
                    1 => Some(true),
                    _ => None,
                };
                return Ok((pic_struct, interlaced.filter(|_| pic_struct <= 4)));
            }
        }
        Ok((pic_struct, None))
    };
    read().ok()
}

fn of_hevc<'a>(sets: &mut hevc::ParameterSets, nals: impl Iterator<Item = &'a [u8]>) -> Option<FieldOrder> {
    let mut message = None;
    for nal in nals {
        let Some(header) = hevc::NalHeader::parse(nal).filter(|header| header.layer_id == 0) else {
            continue;
        };
        match header.nal_type {
            hevc::NAL_VPS | hevc::NAL_SPS | hevc::NAL_PPS => {
                let _unreadable = sets.insert(nal);
            }
            hevc::NAL_SEI_PREFIX => message = message.or(timing_unit(nal, 2)),
            0..=31 => {
                let slice = hevc::SliceSegment::parse(nal.get(..128).unwrap_or(nal), sets).ok()?;
                let sps = sets.sps(sets.pps(slice.pps_id)?.sps_id)?;
                let profile = &sps.profile;
                let (from_fields, from_frames) = (profile.interlaced_source(), profile.progressive_source());
                let vui = sps.vui.as_ref();
                let reported = vui.is_some_and(|vui| vui.frame_field_info) || (from_fields && from_frames);
                let timing = message.filter(|_| reported).and_then(hevc_timing);
                if vui.is_some_and(|vui| vui.field_seq) || matches!(timing, Some((1 | 2 | 9..=12, _))) {
                    return Some(FieldOrder::Single);
                }
                let interlaced = match timing {
                    Some((_, Some(stated))) => stated,
                    Some((pic_struct, None)) => matches!(pic_struct, 3 | 4),
                    None => from_fields && !from_frames,
                };
                let top = !matches!(timing, Some((4 | 6, _)));
                return interlaced.then(|| first(top));
            }
            _ => {}
        }
    }
    None
}

/// D.2.3 of H.265.
fn hevc_timing(unit: &[u8]) -> Option<Timing> {
    let (mut r, _) = sei::find(unit, PICTURE_TIMING)?;
    let pic_struct = r.u(4).ok()?;
    let interlaced = match r.u(2).ok()? {
        0 => Some(true),
        1 => Some(false),
        _ => None,
    };
    Some((pic_struct, interlaced))
}

/// The picture coding extension (6.2.3.1 of H.262).
fn of_mpeg2(head: &[u8]) -> Option<FieldOrder> {
    let unit = nal_units(head).find(|unit| matches!(unit, &[0xb5, id, ..] if id >> 4 == 8))?;
    // Zero bytes at the end of a unit are taken for padding.
    let byte = |at: usize| unit.get(at).copied().unwrap_or(0);
    match (byte(5) >> 7, byte(3) & 3) {
        (1, _) => None,
        (_, 1) => Some(FieldOrder::TopFirst),
        (_, 2) => Some(FieldOrder::BottomFirst),
        _ => Some(first(byte(4) >> 7 == 1)),
    }
}
