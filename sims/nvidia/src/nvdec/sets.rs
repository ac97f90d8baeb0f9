//! H.264 parameter sets from the parameters of a picture, for clients that bring no parser of the driver's along: NVDEC
//! gets what the sets say in `CUVIDH264PICPARAMS`, and the software decoder behind the simulation wants it as sets.

use super::abi::{CUVIDH264PICPARAMS, CUVIDPICPARAMS};

/// Writes bits, most significant first.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    used: u32,
}

impl Writer {
    fn bits(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> bit & 1) as u8) << (7 - self.used % 8);
            }
            self.used += 1;
        }
    }

    fn flag(&mut self, value: bool) {
        self.bits(value.into(), 1);
    }

    /// Unsigned Exp-Golomb code.
    fn ue(&mut self, value: u32) {
        let value = value.min(u32::MAX - 1) + 1;
        let length = 32 - value.leading_zeros();
        self.bits(0, length - 1);
        self.bits(value, length);
    }

    /// Signed Exp-Golomb code.
    fn se(&mut self, value: i32) {
        let magnitude = value.unsigned_abs().min(1 << 30);
        self.ue(if value > 0 { 2 * magnitude - 1 } else { 2 * magnitude });
    }

    /// The NAL unit with its start code, stop bit and emulation prevention.
    fn unit(mut self, header: u8) -> Vec<u8> {
        self.flag(true);
        let mut unit = vec![0, 0, 1, header];
        let mut zeros = 0;
        for byte in self.bytes {
            if zeros >= 2 && byte <= 3 {
                unit.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            unit.push(byte);
        }
        unit
    }
}

/// Zigzag order of a block of `side` by `side`: the raster places in the order of the scan.
fn zigzag(side: usize) -> Vec<usize> {
    let mut places: Vec<(usize, usize)> = (0..side).flat_map(|y| (0..side).map(move |x| (x, y))).collect();
    // Diagonal by diagonal; upwards on the even ones, downwards on the odd.
    places.sort_by_key(|(x, y)| (x + y, if (x + y) % 2 == 0 { *x } else { *y }));
    places.into_iter().map(|(x, y)| y * side + x).collect()
}

/// A scaling list given in raster order.
fn scaling_list(out: &mut Writer, raster: &[u8], side: usize) {
    out.flag(true);
    let mut last = 8i32;
    for place in zigzag(side) {
        // 0 is not a scale; as a first value it would mean "the default list".
        let next = i32::from(raster[place].max(1));
        out.se((next - last + 128).rem_euclid(256) - 128);
        last = next;
    }
}

/// An unsigned Exp-Golomb code of a slice header.
fn read_ue(bits: &mut impl Iterator<Item = bool>) -> Option<u32> {
    let mut zeros = 0;
    while !bits.next()? {
        zeros += 1;
        (zeros <= 16).then_some(())?;
    }
    let rest = (0..zeros).try_fold(0, |value, _| Some(value << 1 | u32::from(bits.next()?)))?;
    Some((1 << zeros) - 1 + rest)
}

/// `pic_parameter_set_id` of the first slice: slices refer to their set by number.
fn set_number(data: &[u8]) -> Option<u32> {
    let start =
        data.windows(4).position(|bytes| bytes[..3] == [0, 0, 1] && matches!(bytes[3] & 0x1f, 1 | 2 | 5))?;
    let header = data.get(start + 4..)?;
    // Three short codes: no emulation prevention can come before their end but after `00 00`, which is no header.
    let mut bits = header.iter().take(16).flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1));
    read_ue(&mut bits)?;
    read_ue(&mut bits)?;
    read_ue(&mut bits).filter(|number| *number < 256)
}

/// A sequence and a picture parameter set as the picture's parameters describe them. None where they cannot: picture
/// order count type 1 has a list of offsets that is not among them, nor are slice groups.
pub(super) fn h264(
    picture: &CUVIDH264PICPARAMS,
    params: &CUVIDPICPARAMS,
    data: &[u8],
    chroma: u32,
    size: (u32, u32),
) -> Option<Vec<u8>> {
    let number = set_number(data)?;
    let frames_only = picture.frame_mbs_only_flag != 0;
    let order_type = u32::try_from(picture.pic_order_cnt_type).ok().filter(|kind| matches!(kind, 0 | 2))?;
    if picture.num_slice_groups_minus1 != 0
        || picture.bit_depth_luma_minus8 > 6
        || picture.bit_depth_chroma_minus8 > 6
    {
        return None;
    }
    let small = |value: i32, limit: u32| u32::try_from(value).ok().filter(|value| *value <= limit);
    let (columns, rows) = match (params.PicWidthInMbs, params.FrameHeightInMbs) {
        (columns, rows) if columns > 0 && rows > 0 => (columns as u32, rows as u32),
        _ => (size.0.div_ceil(16), size.1.div_ceil(16)),
    };
    let rows = if frames_only { rows } else { rows.div_ceil(2) };
    let mut sps = Writer::default();
    let profile = if chroma == 444 {
        244
    } else if chroma == 422 {
        122
    } else {
        110
    };
    sps.bits(profile, 8);
    sps.bits(0, 8);
    sps.bits(52, 8);
    sps.ue(0);
    let chroma_format = match chroma {
        400 => 0,
        422 => 2,
        444 => 3,
        _ => 1,
    };
    sps.ue(chroma_format);
    if chroma_format == 3 {
        sps.flag(picture.residual_colour_transform_flag != 0);
    }
    sps.ue(picture.bit_depth_luma_minus8.into());
    sps.ue(picture.bit_depth_chroma_minus8.into());
    sps.flag(picture.qpprime_y_zero_transform_bypass_flag != 0);
    sps.flag(false);
    sps.ue(small(picture.log2_max_frame_num_minus4, 12)?);
    sps.ue(order_type);
    if order_type == 0 {
        sps.ue(small(picture.log2_max_pic_order_cnt_lsb_minus4, 12)?);
    }
    sps.ue(small(picture.num_ref_frames, 16)?);
    // Gaps in frame_num are allowed: whether they are is not told, and a stream with gaps must be decoded.
    sps.flag(true);
    sps.ue(columns - 1);
    sps.ue(rows - 1);
    sps.flag(frames_only);
    if !frames_only {
        // Of a field picture it is not told; streams that mix fields and plain frames are rare.
        sps.flag(picture.MbaffFrameFlag != 0 || params.field_pic_flag != 0);
    }
    sps.flag(picture.direct_8x8_inference_flag != 0);
    // No cropping (the client crops), no usability information.
    sps.bits(0, 2);

    let mut pps = Writer::default();
    pps.ue(number);
    pps.ue(0);
    pps.flag(picture.entropy_coding_mode_flag != 0);
    pps.flag(picture.pic_order_present_flag != 0);
    pps.ue(0);
    pps.ue(small(picture.num_ref_idx_l0_active_minus1, 31)?);
    pps.ue(small(picture.num_ref_idx_l1_active_minus1, 31)?);
    pps.flag(picture.weighted_pred_flag != 0);
    pps.bits(small(picture.weighted_bipred_idc, 2)?, 2);
    pps.se(picture.pic_init_qp_minus26);
    pps.se(picture.pic_init_qs_minus26.into());
    pps.se(picture.chroma_qp_index_offset);
    pps.flag(picture.deblocking_filter_control_present_flag != 0);
    pps.flag(picture.constrained_intra_pred_flag != 0);
    pps.flag(picture.redundant_pic_cnt_present_flag != 0);
    pps.flag(picture.transform_8x8_mode_flag != 0);
    pps.flag(true);
    picture.WeightScale4x4.iter().for_each(|list| scaling_list(&mut pps, list, 4));
    if picture.transform_8x8_mode_flag != 0 {
        // Two lists are told: luma of intra and of inter blocks. With 4:4:4 chroma falls back to them.
        picture.WeightScale8x8.iter().for_each(|list| scaling_list(&mut pps, list, 8));
        if chroma_format == 3 {
            pps.bits(0, 4);
        }
    }
    pps.se(picture.second_chroma_qp_index_offset);
    let mut sets = sps.unit(0x67);
    sets.extend(pps.unit(0x68));
    Some(sets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nvdec::abi::Zeroed;

    #[test]
    fn the_scan_is_the_standards() {
        assert_eq!(zigzag(4), [0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15]);
        assert_eq!(zigzag(8)[..10], [0, 1, 8, 16, 9, 2, 3, 10, 17, 24]);
    }

    #[test]
    fn codes_are_those_of_the_standard() {
        let mut writer = Writer::default();
        [0, 1, 2, 3].iter().for_each(|value| writer.ue(*value));
        [1, -1].iter().for_each(|value| writer.se(*value));
        // 1 010 011 00100 010 011, stop bit.
        assert_eq!(writer.unit(9)[4..], [0b1010_0110, 0b0100_0100, 0b1110_0000]);
        let mut bits =
            [0b0010_0010u8].iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1));
        assert_eq!((read_ue(&mut bits), read_ue(&mut bits)), (Some(3), Some(1)));
    }

    #[test]
    fn hostile_parameters_are_refused() {
        let mut picture = CUVIDH264PICPARAMS::zeroed();
        let params = CUVIDPICPARAMS::zeroed();
        let slice = [0, 0, 1, 0x65, 0b1011_0100, 0, 0];
        assert!(h264(&picture, &params, &slice, 420, (320, 192)).is_some());
        assert!(h264(&picture, &params, &slice[..4], 420, (320, 192)).is_none());
        picture.pic_order_cnt_type = 1;
        assert!(h264(&picture, &params, &slice, 420, (320, 192)).is_none());
        picture.pic_order_cnt_type = 0;
        picture.log2_max_frame_num_minus4 = i32::MIN;
        assert!(h264(&picture, &params, &slice, 420, (320, 192)).is_none());
        picture.log2_max_frame_num_minus4 = 0;
        picture.pic_init_qp_minus26 = i32::MIN;
        picture.chroma_qp_index_offset = i32::MAX;
        assert!(h264(&picture, &params, &slice, 420, (320, 192)).is_some());
    }
}
