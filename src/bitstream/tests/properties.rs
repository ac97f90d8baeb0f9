//! Properties of the bitstream parsers on arbitrary and on nearly valid bytes.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::bitstream::annexb::{add_emulation_prevention, nal_units, remove_emulation_prevention};
use crate::bitstream::convert::{Keep, annexb_to_length_prefixed, length_prefixed_to_annexb};
use crate::bitstream::h264::{AvcConfig, AvcHighFields, SliceHeader};
use crate::bitstream::hevc::{HevcArray, HevcConfig, ProfileTierLevel};
use crate::bitstream::{
    AccessUnit, AccessUnitAssembler, StreamInfo, av1, h264, read_frame_headers, read_nal_headers,
};
use crate::codec::Codec;
use crate::packet::BitstreamLayout;
use crate::pixel::Chroma;

/// Bytes in which start codes, NAL headers and small codes are frequent.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(vec![0, 0, 1]),
        1 => Just(vec![0, 0, 0, 1]),
        1 => vec(Just(0_u8), 0..4),
        2 => prop_oneof![Just(0x67_u8), Just(0x68), Just(0x65), Just(0x41), Just(0x09), Just(0x06), Just(0x6e)]
            .prop_map(|b| vec![b]),
        2 => prop_oneof![Just(0x40_u8), Just(0x42), Just(0x44), Just(0x26), Just(0x02), Just(0x4e)]
            .prop_map(|b| vec![b, 1]),
        3 => vec(any::<u8>(), 0..12),
        1 => vec(1_u8.., 120..300),
        // The parameter sets and a slice of a 64x64 stream with fields, so that slices can be read.
        1 => Just(field_parameter_sets()),
        2 => (0_u8..4, any::<[u8; 3]>()).prop_map(|(n, tail)| field_slice(n, tail)),
    ];
    vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// SPS (Main, 2x1 map units, fields allowed, order count type 0 with 4 bits) and PPS.
fn field_parameter_sets() -> Vec<u8> {
    // profile 77, level 30, ue(0) id; ue(0) frame_num 4 bits; ue(0) poc type; ue(0) lsb 4 bits; ue(1) refs;
    // 0 gaps; ue(1) width; ue(0) height; 0 frame_mbs_only; 0 mbaff; 1 direct; 0 crop; 0 vui; stop.
    let sps = [0_u8, 0, 1, 0x67, 77, 0, 30, 0b1111_0100, 0b1010_0010, 0b1000_0000];
    // ue(0) id; ue(0) sps; 0; 0; ue(0) groups; ue(0) ue(0) refs; 0; 00; se(0) x3; 0 0 0; stop.
    let pps = [0_u8, 0, 1, 0x68, 0b1100_1110, 0b0011_1000, 0b1000_0000];
    [&sps[..], &pps[..]].concat()
}

/// A field slice: parity by bit 0 of `n`, frame_num by bit 1.
fn field_slice(n: u8, tail: [u8; 3]) -> Vec<u8> {
    // ue(0) first_mb, ue(2) type I, ue(0) pps, u(4) frame_num, 1 field, u(1) bottom, u(4) lsb, the rest.
    let frame = (n >> 1 & 1) << 7;
    let parity = (n & 1) << 5;
    let (first, second) = (0b1011_1000, frame | 0x40 | parity | (tail[0] & 0x1f));
    vec![0, 0, 1, 0x41, first, second, tail[1] | 1, tail[2] | 1]
}

fn assemble(codec: Codec, data: &[u8], chunks: &[usize]) -> Vec<AccessUnit> {
    let mut assembler = AccessUnitAssembler::new(codec).unwrap();
    let mut units = Vec::new();
    let mut rest = data;
    let mut sizes = chunks.iter().copied().cycle();
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(sizes.next().unwrap_or(1).clamp(1, rest.len()));
        assembler.push(piece).unwrap();
        units.extend(std::iter::from_fn(|| assembler.next_unit()));
        rest = behind;
    }
    assembler.finish();
    units.extend(std::iter::from_fn(|| assembler.next_unit()));
    units
}

fn read_everything(data: &[u8]) {
    read_nal_headers(data);
    for codec in Codec::ALL {
        let _ = StreamInfo::from_config(codec, data);
        for length_size in 0..=5 {
            let _ = StreamInfo::from_unit(codec, BitstreamLayout::Avcc { length_size }, data);
            let _ = StreamInfo::from_unit(codec, BitstreamLayout::Hvcc { length_size }, data);
        }
        let _ = StreamInfo::from_unit(codec, BitstreamLayout::elementary(codec), data);
    }
    read_frame_headers(data);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_on_arbitrary_bytes(data in vec(any::<u8>(), 0..300)) {
        read_everything(&data);
        for header in [[0x67, 100], [0x68, 0xff], [0x42, 1], [0x44, 1], [0x40, 1], [0x0a, 20]] {
            read_everything(&[&[0, 0, 1][..], &header, &data].concat());
        }
    }

    #[test]
    fn nothing_panics_on_streams(data in stream()) {
        read_everything(&data);
    }

    #[test]
    fn units_do_not_depend_on_chunking(data in stream(), chunks in vec(1_usize..200, 1..8)) {
        for codec in [Codec::H264, Codec::Hevc] {
            let whole = assemble(codec, &data, &[usize::MAX]);
            prop_assert_eq!(&assemble(codec, &data, &[1]), &whole);
            prop_assert_eq!(&assemble(codec, &data, &chunks), &whole);
        }
    }

    #[test]
    fn units_hold_every_nal_unit_in_order(data in stream()) {
        for codec in [Codec::H264, Codec::Hevc] {
            let units = assemble(codec, &data, &[64]);
            let inside: Vec<_> = units.iter().flat_map(|u| nal_units(&u.data)).collect();
            prop_assert_eq!(inside, nal_units(&data).collect::<Vec<_>>());
            for unit in &units {
                prop_assert!(data[unit.offset as usize..].starts_with(&unit.data));
            }
        }
    }

    #[test]
    fn framings_convert_into_each_other(nals in vec(vec(1_u8.., 1..80), 0..20), length_size in 1_u8..=4) {
        let mut annexb = Vec::new();
        for nal in &nals {
            annexb.extend([0, 0, 0, 1]);
            annexb.extend(nal);
        }
        let (mut prefixed, mut back) = (Vec::new(), Vec::new());
        annexb_to_length_prefixed(Codec::H264, &annexb, length_size, Keep::All, &mut prefixed).unwrap();
        length_prefixed_to_annexb(&prefixed, length_size, &mut back).unwrap();
        prop_assert_eq!(&back, &annexb);
        let cut = prefixed.len().saturating_sub(1);
        prop_assert_eq!(length_prefixed_to_annexb(&prefixed[..cut], length_size, &mut back).is_err(), cut > 0);
    }

    #[test]
    fn emulation_prevention_round_trips(rbsp in vec(prop_oneof![3 => 0_u8..4, 1 => any::<u8>()], 0..200)) {
        let (mut nal, mut back) = (Vec::new(), Vec::new());
        add_emulation_prevention(&rbsp, &mut nal);
        prop_assert!(!nal.windows(3).any(|w| w[0] == 0 && w[1] == 0 && w[2] < 3));
        prop_assert_ne!(nal.last(), Some(&0));
        // What ends in a zero byte is closed by a 03 that stays; real payloads end in a stop bit.
        if rbsp.last() != Some(&0) {
            remove_emulation_prevention(&nal, &mut back);
            prop_assert_eq!(back, rbsp);
        }
    }

    #[test]
    fn avcc_round_trips(
        head in any::<[u8; 3]>(),
        length_size in prop_oneof![Just(1_u8), Just(2), Just(4)],
        sps in vec(vec(any::<u8>(), 0..40), 0..4),
        pps in vec(vec(any::<u8>(), 0..20), 0..4),
        depths in (8_u8..=15, 8_u8..=15),
        has_high in any::<bool>(),
    ) {
        let profile_idc = if has_high { 100 } else { 77 };
        let high = has_high.then(|| AvcHighFields {
            chroma: Chroma::Yuv422,
            bit_depth_luma: depths.0,
            bit_depth_chroma: depths.1,
            sps_extensions: vec![vec![head[2]]],
        });
        let config = AvcConfig {
            profile_idc, constraint_flags: head[0], level_idc: head[1], length_size, sps, pps, high,
        };
        let data = config.build();
        prop_assert_eq!(AvcConfig::parse(&data).unwrap(), config);
        for cut in 0..data.len().saturating_sub(if has_high { 7 } else { 0 }) {
            prop_assert!(AvcConfig::parse(&data[..cut]).is_err(), "cut at {}", cut);
        }
    }

    #[test]
    fn hvcc_round_trips(
        bits in any::<(u32, u8, bool, u16)>(),
        constraints in 0_u64..1 << 48,
        small in (0_u8..4, 0_u8..32, 0_u8..4, 0_u8..4, 0_u8..8, 0_u16..4096),
        depths in (8_u8..=15, 8_u8..=15),
        arrays in vec((any::<bool>(), 0_u8..64, vec(vec(any::<u8>(), 0..30), 0..3)), 0..4),
    ) {
        let config = HevcConfig {
            profile: ProfileTierLevel {
                profile_space: small.0,
                high_tier: bits.2,
                profile_idc: small.1,
                compatibility: bits.0,
                constraints,
                level_idc: bits.1,
            },
            min_spatial_segmentation: small.5,
            parallelism: small.2,
            chroma: Chroma::Yuv444,
            bit_depth_luma: depths.0,
            bit_depth_chroma: depths.1,
            avg_frame_rate: bits.3,
            constant_frame_rate: small.3,
            temporal_layers: small.4,
            temporal_id_nested: !bits.2,
            length_size: 4,
            arrays: arrays
                .into_iter()
                .map(|(complete, nal_type, units)| HevcArray { complete, nal_type, units })
                .collect(),
        };
        let data = config.build();
        prop_assert_eq!(HevcConfig::parse(&data).unwrap(), config);
        for cut in 0..data.len() {
            prop_assert!(HevcConfig::parse(&data[..cut]).is_err(), "cut at {}", cut);
        }
    }

    #[test]
    fn av1c_round_trips(bytes in any::<[u8; 2]>(), depth in prop_oneof![Just(8_u8), Just(10), Just(12)],
        obus in vec(any::<u8>(), 0..40), delay in proptest::option::of(1_u8..=16)) {
        let config = av1::Av1Config {
            profile: bytes[0] >> 5,
            level_idx: bytes[0] & 31,
            high_tier: bytes[1] & 1 == 1,
            bit_depth: depth,
            chroma: Chroma::Yuv420,
            chroma_sample_position: bytes[1] >> 6,
            initial_presentation_delay: delay,
            obus,
        };
        prop_assert_eq!(av1::Av1Config::parse(&config.build()).unwrap(), config);
    }
}

/// The hand-made field stream is what its generator says: readable, two fields to a unit.
#[test]
fn fields_of_a_frame_share_a_unit() {
    let mut sets = h264::ParameterSets::new();
    let parameter_sets = field_parameter_sets();
    for nal in nal_units(&parameter_sets) {
        assert!(sets.insert(nal).unwrap());
    }
    assert!(!sets.sps(0).unwrap().frame_mbs_only);
    let slice = |n| field_slice(n, [0; 3]);
    let header = SliceHeader::parse(&slice(3)[3..], &sets).unwrap().identity;
    assert!(header.field && header.bottom_field && header.frame_num == 1);
    let delimiter = vec![0, 0, 1, 0x09, 0x10];
    let parts =
        [&parameter_sets, &slice(0), &delimiter, &slice(1), &delimiter, &slice(2), &slice(3), &slice(1)];
    let stream = parts.map(Clone::clone).concat();
    let sizes: Vec<_> =
        assemble(Codec::H264, &stream, &[7]).iter().map(|u| nal_units(&u.data).count()).collect();
    // SPS, PPS, two fields with a delimiter between; delimiter and two fields; a lone field.
    assert_eq!(sizes, [5, 3, 1]);
}

/// A unit over the limit is one error, is dropped, and leaves its neighbours alone, however it is cut.
#[test]
fn oversize_units_are_errors_and_do_not_grow() {
    let slice = [0, 0, 1, 0x65, 0x88, 0x80];
    let mut stream = slice.to_vec();
    stream.extend(slice);
    stream.resize(stream.len() + AccessUnitAssembler::MAX_UNIT_BYTES as usize, 0xff);
    stream.extend(slice);
    stream.extend(slice);
    for chunk in [4096, 1 << 20, stream.len()] {
        let mut assembler = AccessUnitAssembler::new(Codec::H264).unwrap();
        let errors = stream.chunks(chunk).filter(|c| assembler.push(c).is_err()).count();
        assembler.finish();
        let units: Vec<_> = std::iter::from_fn(|| assembler.next_unit()).collect();
        assert_eq!(errors, 1, "chunks of {chunk}");
        assert_eq!(units.iter().map(|u| u.data.len()).collect::<Vec<_>>(), [6, 6, 6], "chunks of {chunk}");
    }
}
