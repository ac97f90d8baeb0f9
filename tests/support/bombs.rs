//! Streams that claim much and hold little, written bit by bit.

#![allow(dead_code, reason = "each test binary uses a part")]

/// Bits from the highest of each byte on.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: usize,
}

impl Bits {
    fn u(mut self, count: u32, value: u64) -> Self {
        for at in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = (value >> at & 1) as u8;
            *self.bytes.last_mut().unwrap() |= bit << (7 - self.used % 8);
            self.used += 1;
        }
        self
    }

    fn ue(self, value: u64) -> Self {
        let length = (value + 1).ilog2();
        self.u(length, 0).u(length + 1, value + 1)
    }

    fn zeros(self, count: u32) -> Self {
        self.u(count, 0)
    }

    /// A stop bit, and zeros to the end of the byte.
    fn stop(self) -> Vec<u8> {
        self.u(1, 1).bytes
    }
}

/// A NAL unit behind a start code, with emulation prevention.
fn nal(header: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 0, 0, 1];
    out.extend_from_slice(header);
    let mut zeros = 0;
    for &byte in payload {
        if zeros >= 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        out.push(byte);
        zeros = if byte == 0 { zeros + 1 } else { 0 };
    }
    out
}

/// H.264 of level 6.2: a grey IDR picture of one byte a macroblock, and pictures that repeat it, a few bytes each.
pub(crate) fn h264(width_in_mbs: u64, height_in_mbs: u64, references: u64, repeats: u64) -> Vec<Vec<u8>> {
    let sps = Bits::default()
        .u(8, 77)
        .zeros(8)
        .u(8, 62)
        .ue(0) // seq_parameter_set_id
        .ue(4) // log2_max_frame_num_minus4: 8 bits
        .ue(2) // pic_order_cnt_type: the order of decoding
        .ue(references)
        .u(1, 0)
        .ue(width_in_mbs - 1)
        .ue(height_in_mbs - 1)
        .u(1, 1) // frame_mbs_only_flag
        .u(1, 1) // direct_8x8_inference_flag
        .u(1, 0) // frame_cropping_flag
        .u(1, 0) // vui_parameters_present_flag
        .stop();
    let pps = Bits::default()
        .ue(0)
        .ue(0)
        .u(2, 0) // CAVLC
        .ue(0) // one slice group
        .ue(0)
        .ue(0)
        .u(3, 0) // no weighted prediction
        .ue(0) // pic_init_qp_minus26
        .ue(0)
        .ue(0)
        .u(1, 1) // deblocking_filter_control_present_flag
        .u(2, 0)
        .stop();
    let macroblocks = width_in_mbs * height_in_mbs;
    let mut idr = Bits::default()
        .ue(0)
        .ue(7) // I
        .ue(0)
        .u(8, 0) // frame_num
        .ue(0) // idr_pic_id
        .u(2, 0) // dec_ref_pic_marking
        .ue(0) // slice_qp_delta
        .ue(1); // no loop filter
    for _ in 0..macroblocks {
        // Intra 16x16 from the mean of the neighbours, chroma likewise, the same quantiser, no coefficients.
        idr = idr.ue(3).ue(0).ue(0).u(1, 1);
    }
    let mut first = nal(&[0x67], &sps);
    first.extend(nal(&[0x68], &pps));
    first.extend(nal(&[0x65], &idr.stop()));
    let mut units = vec![first];
    for number in 1..=repeats {
        let skipped = Bits::default()
            .ue(0)
            .ue(5) // P
            .ue(0)
            .u(8, number % 256)
            .u(1, 0) // num_ref_idx_active_override_flag
            .u(1, 0) // ref_pic_list_modification_flag_l0
            .u(1, 0) // adaptive_ref_pic_marking_mode_flag
            .ue(0)
            .ue(1)
            .ue(macroblocks); // mb_skip_run
        units.push(nal(&[0x41], &skipped.stop()));
    }
    units
}

/// The parameter sets of HEVC without a level, for pictures of which so many are kept.
pub(crate) fn hevc(width: u64, height: u64, pictures: u64) -> Vec<Vec<u8>> {
    // Main profile, level 8.5: no limit.
    let profile = |bits: Bits| bits.u(8, 1).u(32, 0x6000_0000).u(4, 0b1001).zeros(43).u(1, 0).u(8, 255);
    let vps = profile(Bits::default().u(4, 0).u(2, 3).u(6, 0).u(3, 0).u(1, 1).u(16, 0xffff))
        .u(1, 1)
        .ue(pictures - 1)
        .ue(0)
        .ue(0)
        .u(6, 0)
        .ue(0)
        .u(2, 0)
        .stop();
    let sps = profile(Bits::default().u(4, 0).u(3, 0).u(1, 1))
        .ue(0)
        .ue(1) // 4:2:0
        .ue(width)
        .ue(height)
        .u(1, 0) // conformance_window_flag
        .ue(0)
        .ue(0)
        .ue(4)
        .u(1, 1) // sps_sub_layer_ordering_info_present_flag
        .ue(pictures - 1)
        .ue(0)
        .ue(0)
        .ue(0) // coding blocks of 8
        .ue(3) // to 64
        .ue(0) // transform blocks of 4
        .ue(3) // to 32
        .ue(0)
        .ue(0)
        .u(4, 0) // no scaling lists, asymmetric partitions, offsets, raw blocks
        .ue(0) // num_short_term_ref_pic_sets
        .u(5, 0)
        .stop();
    let mut unit = nal(&[0x40, 1], &vps);
    unit.extend(nal(&[0x42, 1], &sps));
    vec![unit]
}

/// A key frame of VP9, and frames that show it again; of data there is none.
pub(crate) fn vp9(width: u64, height: u64) -> Vec<Vec<u8>> {
    let key = Bits::default()
        .u(2, 2) // frame_marker
        .u(2, 0) // profile 0
        .u(1, 0) // show_existing_frame
        .u(1, 0) // key frame
        .u(1, 1) // show_frame
        .u(1, 0)
        .u(24, 0x49_8342)
        .u(3, 1) // color_space
        .u(1, 0)
        .u(16, width - 1)
        .u(16, height - 1)
        .u(1, 0)
        .u(2, 0b01)
        .u(2, 0)
        .u(9, 0) // no loop filter
        .u(1, 0)
        .u(8, 60) // base_q_idx
        .u(3, 0)
        .u(1, 0) // no segments
        .u(8, 0b0100_0000) // tiles
        .u(16, 1) // first_partition_size
        .zeros(64);
    vec![key.bytes]
}

/// A key frame of VP8.
pub(crate) fn vp8(width: u16, height: u16) -> Vec<Vec<u8>> {
    let mut frame = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a];
    frame.extend(width.to_le_bytes());
    frame.extend(height.to_le_bytes());
    frame.resize(64, 0);
    vec![frame]
}

/// The sequence header of AV1 4:4:4 with 10 bits, in a temporal unit.
pub(crate) fn av1(width: u64, height: u64) -> Vec<Vec<u8>> {
    let sequence = Bits::default()
        .u(3, 1) // High
        .u(2, 0)
        .u(1, 0) // timing_info_present_flag
        .u(1, 0)
        .u(5, 0)
        .u(12, 0)
        .u(5, 31) // no level
        .u(1, 0)
        .u(4, 15)
        .u(4, 15)
        .u(16, width - 1)
        .u(16, height - 1)
        .u(1, 0)
        .u(3, 0)
        .u(5, 0) // tools, and no order hints
        .u(1, 1) // seq_choose_screen_content_tools
        .u(1, 1)
        .u(3, 0)
        .u(1, 1) // high_bitdepth
        .u(1, 0)
        .u(1, 0)
        .u(1, 0)
        .u(1, 0)
        .stop();
    let mut unit = vec![0x12, 0, 0x0a, sequence.len() as u8];
    unit.extend(sequence);
    vec![unit]
}
