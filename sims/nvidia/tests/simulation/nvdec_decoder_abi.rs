//! Our declarations of the decoder library against the C headers: sizes of structures and places of their members.
//! Members behind bit fields are listed on purpose: a bit field of the wrong width would move them.

use std::collections::BTreeMap;
use std::mem::offset_of;
use std::process::Command;

use nvsim::nvdec::abi::*;

/// `struct.member` -> place, and `struct` -> size, for the structures listed; and the C text that prints the same.
macro_rules! layout {
    ($ours:ident, $c:ident, $($name:ident { $($member:ident $(= $other:literal)?),* $(,)? })*) => { $(
        $ours.insert(stringify!($name).to_owned(), size_of::<$name>());
        $c.push_str(&format!("printf(\"{0} %zu\\n\", sizeof({0}));\n", stringify!($name)));
        $(
            let theirs = c_name(stringify!($member), &[$($other)?]);
            let key = format!("{}.{theirs}", stringify!($name));
            $c.push_str(&format!("printf(\"{key} %zu\\n\", offsetof({}, {theirs}));\n", stringify!($name)));
            $ours.insert(key, offset_of!($name, $member));
        )*
    )* };
}

fn c_name<'a>(ours: &'a str, other: &[&'a str]) -> &'a str {
    other.first().copied().unwrap_or(ours)
}

#[test]
fn layouts_are_those_of_the_c_headers() {
    if !std::path::Path::new("/usr/include/ffnvcodec/dynlink_cuviddec.h").exists() {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: the C headers (Debian: libffmpeg-nvenc-dev) are not installed\n"),
        );
        return;
    }
    let mut ours = BTreeMap::new();
    let mut prints = String::new();
    layout!(ours, prints,
        CUVIDDECODECAPS {
            eCodecType, eChromaFormat, nBitDepthMinus8, bIsSupported, nNumNVDECs, nOutputFormatMask, nMaxWidth,
            nMaxHeight, nMaxMBCount, nMinWidth, nMinHeight, bIsHistogramSupported, nCounterBitDepth, nMaxHistogramBins,
        }
        CUVIDDECODECREATEINFO {
            ulWidth, ulHeight, ulNumDecodeSurfaces, CodecType, ChromaFormat, ulCreationFlags, bitDepthMinus8,
            ulIntraDecodeOnly, ulMaxWidth, ulMaxHeight, display_area, OutputFormat, DeinterlaceMode, ulTargetWidth,
            ulTargetHeight, ulNumOutputSurfaces, vidLock, target_rect, enableHistogram,
        }
        CUVIDPROCPARAMS {
            progressive_frame, second_field, top_field_first, unpaired_field, raw_input_dptr, raw_output_dptr,
            output_stream, histogram_dptr,
        }
        CUVIDGETDECODESTATUS { decodeStatus, pReserved }
        CUVIDRECONFIGUREDECODERINFO {
            ulWidth, ulHeight, ulTargetWidth, ulTargetHeight, ulNumDecodeSurfaces, display_area, target_rect,
        }
        CUVIDEOFORMAT {
            codec, frame_rate, progressive_sequence, bit_depth_luma_minus8, bit_depth_chroma_minus8,
            min_num_decode_surfaces, coded_width, coded_height, display_area, chroma_format, bitrate,
            display_aspect_ratio, video_signal_description, seqhdr_data_length,
        }
        CUVIDEOFORMATEX { format, data = "raw_seqhdr_data" }
        CUVIDOPERATINGPOINTINFO { codec, data = "CodecReserved" }
        CUVIDSOURCEDATAPACKET { flags, payload_size, payload, timestamp }
        CUVIDPARSERDISPINFO { picture_index, progressive_frame, top_field_first, repeat_first_field, timestamp }
        CUVIDPARSERPARAMS {
            CodecType, ulMaxNumDecodeSurfaces, ulClockRate, ulErrorThreshold, ulMaxDisplayDelay, uReserved1, pUserData,
            pfnSequenceCallback, pfnDecodePicture, pfnDisplayPicture, pfnGetOperatingPoint,
            pfnGetSEIMsg = "pvReserved2[0]", pExtVideoInfo,
        }
        CUVIDPICPARAMS {
            PicWidthInMbs, FrameHeightInMbs, CurrPicIdx, field_pic_flag, bottom_field_flag, second_field,
            nBitstreamDataLen, pBitstreamData, nNumSlices, pSliceDataOffsets, ref_pic_flag, intra_pic_flag,
            CodecSpecific,
        }
        CUVIDH264DPBENTRY { PicIdx, FrameIdx, is_long_term, not_existing, used_for_reference, FieldOrderCnt }
        CUVIDH264PICPARAMS {
            num_ref_frames, residual_colour_transform_flag, qpprime_y_zero_transform_bypass_flag,
            entropy_coding_mode_flag, chroma_qp_index_offset, second_chroma_qp_index_offset, ref_pic_flag, frame_num,
            CurrFieldOrderCnt, dpb, WeightScale4x4, WeightScale8x8, fmo_aso_enable, pic_init_qs_minus26,
            slice_group_change_rate_minus1, fmo, extension = "mvcext",
        }
        CUVIDMPEG2PICPARAMS { picture_coding_type, f_code, top_field_first, QuantMatrixIntra, QuantMatrixInter }
        CUVIDMPEG4PICPARAMS {
            video_object_layer_width, divx_flags, vop_coding_type, trd, trb, QuantMatrixIntra, gmc_enabled,
        }
        CUVIDVC1PICPARAMS { FrameWidth, profile, maxbframes, panscan_flag, range_mapy_flag, rangeredfrm }
        CUVIDHEVCPICPARAMS {
            pic_width_in_luma_samples, log2_min_luma_coding_block_size_minus3, IdrPicFlag, bit_depth_luma_minus8,
            dependent_slice_segments_enabled_flag, init_qp_minus26, constrained_intra_pred_flag,
            loop_filter_across_tiles_enabled_flag, deblocking_filter_override_enabled_flag, tiles_enabled_flag,
            column_width_minus1, row_height_minus1, sps_range_extension_flag, cb_qp_offset_list,
            NumBitsForShortTermRPSInSlice, CurrPicOrderCntVal, RefPicIdx, PicOrderCntVal, IsLongTerm,
            RefPicSetStCurrBefore, ScalingList4x4, ScalingList32x32, ScalingListDCCoeff32x32,
        }
        CUVIDVP8PICPARAMS { first_partition_size, LastRefIdx, wFrameTagFlags, Reserved1 }
        CUVIDVP9PICPARAMS {
            colorSpace, reserved16Bits, refFrameSignBias, log2_tile_rows, segmentFeatureEnable, segmentFeatureData,
            mb_segment_tree_probs, qpYAc, activeRefIdx, mbRefLfDelta, frameTagSize, offsetToDctParts,
        }
        CUVIDAV1PICPARAMS {
            frame_offset, decodePicIdx, tile_widths, tile_heights, cdef_y_strength, base_qindex, qm_v,
            segmentation_feature_data, segmentation_feature_mask, loop_filter_level, loop_filter_mode_deltas,
            lr_unit_size, lr_type, primary_ref_frame, ref_frame_map, reserved5_32bits, ref_frame, global_motion,
            num_y_points, scaling_points_cr, random_seed, ar_coeffs_y, ar_coeffs_cr, cb_mult, cr_offset,
        }
    );
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("layout.c");
    let program = directory.path().join("layout");
    let text = format!(
        "#include <stdio.h>\n#include <stddef.h>\n#include <ffnvcodec/dynlink_cuda.h>\n\
         #include <ffnvcodec/dynlink_cuviddec.h>\n#include <ffnvcodec/dynlink_nvcuvid.h>\nint main(void) {{\n{prints}return 0;\n}}\n"
    );
    std::fs::write(&source, text).unwrap();
    let built = Command::new("cc").arg("-o").arg(&program).arg(&source).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let output = Command::new(&program).output().unwrap();
    let theirs: BTreeMap<String, usize> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect();
    assert!(theirs.len() > 150, "{}", theirs.len());
    let differing: Vec<_> = ours
        .iter()
        .filter(|(name, value)| theirs.get(*name) != Some(value))
        .map(|(n, v)| (n, v, theirs.get(n)))
        .collect();
    assert!(differing.is_empty(), "name, ours, C: {differing:#?}");
    assert_eq!(ours.len(), theirs.len());
}
