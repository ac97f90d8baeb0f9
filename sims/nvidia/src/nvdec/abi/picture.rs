//! `CUVIDPICPARAMS` and its codec specific parts. Bit fields are whole words here; the comment of a word lists its
//! fields from the lowest bit up, as the compilers of x86-64 lay them out.

use std::ffi::c_int;

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CUVIDH264DPBENTRY {
    pub PicIdx: c_int,
    pub FrameIdx: c_int,
    pub is_long_term: c_int,
    pub not_existing: c_int,
    pub used_for_reference: c_int,
    pub FieldOrderCnt: [c_int; 2],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CUVIDH264PICPARAMS {
    pub log2_max_frame_num_minus4: c_int,
    pub pic_order_cnt_type: c_int,
    pub log2_max_pic_order_cnt_lsb_minus4: c_int,
    pub delta_pic_order_always_zero_flag: c_int,
    pub frame_mbs_only_flag: c_int,
    pub direct_8x8_inference_flag: c_int,
    pub num_ref_frames: c_int,
    pub residual_colour_transform_flag: u8,
    pub bit_depth_luma_minus8: u8,
    pub bit_depth_chroma_minus8: u8,
    pub qpprime_y_zero_transform_bypass_flag: u8,
    pub entropy_coding_mode_flag: c_int,
    pub pic_order_present_flag: c_int,
    pub num_ref_idx_l0_active_minus1: c_int,
    pub num_ref_idx_l1_active_minus1: c_int,
    pub weighted_pred_flag: c_int,
    pub weighted_bipred_idc: c_int,
    pub pic_init_qp_minus26: c_int,
    pub deblocking_filter_control_present_flag: c_int,
    pub redundant_pic_cnt_present_flag: c_int,
    pub transform_8x8_mode_flag: c_int,
    pub MbaffFrameFlag: c_int,
    pub constrained_intra_pred_flag: c_int,
    pub chroma_qp_index_offset: c_int,
    pub second_chroma_qp_index_offset: c_int,
    pub ref_pic_flag: c_int,
    pub frame_num: c_int,
    pub CurrFieldOrderCnt: [c_int; 2],
    pub dpb: [CUVIDH264DPBENTRY; 16],
    pub WeightScale4x4: [[u8; 16]; 6],
    pub WeightScale8x8: [[u8; 64]; 2],
    pub fmo_aso_enable: u8,
    pub num_slice_groups_minus1: u8,
    pub slice_group_map_type: u8,
    pub pic_init_qs_minus26: i8,
    pub slice_group_change_rate_minus1: u32,
    /// `slice_group_map_addr` or `pMb2SliceGroupMap`.
    pub fmo: u64,
    pub Reserved: [u32; 12],
    /// `mvcext` or `svcext`: neither is decoded here.
    pub extension: [u64; 18],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CUVIDMPEG2PICPARAMS {
    pub ForwardRefIdx: c_int,
    pub BackwardRefIdx: c_int,
    pub picture_coding_type: c_int,
    pub full_pel_forward_vector: c_int,
    pub full_pel_backward_vector: c_int,
    pub f_code: [[c_int; 2]; 2],
    pub intra_dc_precision: c_int,
    pub frame_pred_frame_dct: c_int,
    pub concealment_motion_vectors: c_int,
    pub q_scale_type: c_int,
    pub intra_vlc_format: c_int,
    pub alternate_scan: c_int,
    pub top_field_first: c_int,
    pub QuantMatrixIntra: [u8; 64],
    pub QuantMatrixInter: [u8; 64],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CUVIDMPEG4PICPARAMS {
    pub ForwardRefIdx: c_int,
    pub BackwardRefIdx: c_int,
    pub video_object_layer_width: c_int,
    pub video_object_layer_height: c_int,
    pub vop_time_increment_bitcount: c_int,
    pub top_field_first: c_int,
    pub resync_marker_disable: c_int,
    pub quant_type: c_int,
    pub quarter_sample: c_int,
    pub short_video_header: c_int,
    pub divx_flags: c_int,
    pub vop_coding_type: c_int,
    pub vop_coded: c_int,
    pub vop_rounding_type: c_int,
    pub alternate_vertical_scan_flag: c_int,
    pub interlaced: c_int,
    pub vop_fcode_forward: c_int,
    pub vop_fcode_backward: c_int,
    pub trd: [c_int; 2],
    pub trb: [c_int; 2],
    pub QuantMatrixIntra: [u8; 64],
    pub QuantMatrixInter: [u8; 64],
    pub gmc_enabled: c_int,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CUVIDVC1PICPARAMS {
    pub ForwardRefIdx: c_int,
    pub BackwardRefIdx: c_int,
    pub FrameWidth: c_int,
    pub FrameHeight: c_int,
    pub intra_pic_flag: c_int,
    pub ref_pic_flag: c_int,
    pub progressive_fcm: c_int,
    pub profile: c_int,
    pub postprocflag: c_int,
    pub pulldown: c_int,
    pub interlace: c_int,
    pub tfcntrflag: c_int,
    pub finterpflag: c_int,
    pub psf: c_int,
    pub multires: c_int,
    pub syncmarker: c_int,
    pub rangered: c_int,
    pub maxbframes: c_int,
    pub panscan_flag: c_int,
    pub refdist_flag: c_int,
    pub extended_mv: c_int,
    pub dquant: c_int,
    pub vstransform: c_int,
    pub loopfilter: c_int,
    pub fastuvmc: c_int,
    pub overlap: c_int,
    pub quantizer: c_int,
    pub extended_dmv: c_int,
    pub range_mapy_flag: c_int,
    pub range_mapy: c_int,
    pub range_mapuv_flag: c_int,
    pub range_mapuv: c_int,
    pub rangeredfrm: c_int,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CUVIDHEVCPICPARAMS {
    pub pic_width_in_luma_samples: c_int,
    pub pic_height_in_luma_samples: c_int,
    pub log2_min_luma_coding_block_size_minus3: u8,
    pub log2_diff_max_min_luma_coding_block_size: u8,
    pub log2_min_transform_block_size_minus2: u8,
    pub log2_diff_max_min_transform_block_size: u8,
    pub pcm_enabled_flag: u8,
    pub log2_min_pcm_luma_coding_block_size_minus3: u8,
    pub log2_diff_max_min_pcm_luma_coding_block_size: u8,
    pub pcm_sample_bit_depth_luma_minus1: u8,
    pub pcm_sample_bit_depth_chroma_minus1: u8,
    pub pcm_loop_filter_disabled_flag: u8,
    pub strong_intra_smoothing_enabled_flag: u8,
    pub max_transform_hierarchy_depth_intra: u8,
    pub max_transform_hierarchy_depth_inter: u8,
    pub amp_enabled_flag: u8,
    pub separate_colour_plane_flag: u8,
    pub log2_max_pic_order_cnt_lsb_minus4: u8,
    pub num_short_term_ref_pic_sets: u8,
    pub long_term_ref_pics_present_flag: u8,
    pub num_long_term_ref_pics_sps: u8,
    pub sps_temporal_mvp_enabled_flag: u8,
    pub sample_adaptive_offset_enabled_flag: u8,
    pub scaling_list_enable_flag: u8,
    pub IrapPicFlag: u8,
    pub IdrPicFlag: u8,
    pub bit_depth_luma_minus8: u8,
    pub bit_depth_chroma_minus8: u8,
    pub log2_max_transform_skip_block_size_minus2: u8,
    pub log2_sao_offset_scale_luma: u8,
    pub log2_sao_offset_scale_chroma: u8,
    pub high_precision_offsets_enabled_flag: u8,
    pub reserved1: [u8; 10],
    pub dependent_slice_segments_enabled_flag: u8,
    pub slice_segment_header_extension_present_flag: u8,
    pub sign_data_hiding_enabled_flag: u8,
    pub cu_qp_delta_enabled_flag: u8,
    pub diff_cu_qp_delta_depth: u8,
    pub init_qp_minus26: i8,
    pub pps_cb_qp_offset: i8,
    pub pps_cr_qp_offset: i8,
    pub constrained_intra_pred_flag: u8,
    pub weighted_pred_flag: u8,
    pub weighted_bipred_flag: u8,
    pub transform_skip_enabled_flag: u8,
    pub transquant_bypass_enabled_flag: u8,
    pub entropy_coding_sync_enabled_flag: u8,
    pub log2_parallel_merge_level_minus2: u8,
    pub num_extra_slice_header_bits: u8,
    pub loop_filter_across_tiles_enabled_flag: u8,
    pub loop_filter_across_slices_enabled_flag: u8,
    pub output_flag_present_flag: u8,
    pub num_ref_idx_l0_default_active_minus1: u8,
    pub num_ref_idx_l1_default_active_minus1: u8,
    pub lists_modification_present_flag: u8,
    pub cabac_init_present_flag: u8,
    pub pps_slice_chroma_qp_offsets_present_flag: u8,
    pub deblocking_filter_override_enabled_flag: u8,
    pub pps_deblocking_filter_disabled_flag: u8,
    pub pps_beta_offset_div2: i8,
    pub pps_tc_offset_div2: i8,
    pub tiles_enabled_flag: u8,
    pub uniform_spacing_flag: u8,
    pub num_tile_columns_minus1: u8,
    pub num_tile_rows_minus1: u8,
    pub column_width_minus1: [u16; 21],
    pub row_height_minus1: [u16; 21],
    pub sps_range_extension_flag: u8,
    pub transform_skip_rotation_enabled_flag: u8,
    pub transform_skip_context_enabled_flag: u8,
    pub implicit_rdpcm_enabled_flag: u8,
    pub explicit_rdpcm_enabled_flag: u8,
    pub extended_precision_processing_flag: u8,
    pub intra_smoothing_disabled_flag: u8,
    pub persistent_rice_adaptation_enabled_flag: u8,
    pub cabac_bypass_alignment_enabled_flag: u8,
    pub pps_range_extension_flag: u8,
    pub cross_component_prediction_enabled_flag: u8,
    pub chroma_qp_offset_list_enabled_flag: u8,
    pub diff_cu_chroma_qp_offset_depth: u8,
    pub chroma_qp_offset_list_len_minus1: u8,
    pub cb_qp_offset_list: [i8; 6],
    pub cr_qp_offset_list: [i8; 6],
    pub reserved2: [u8; 2],
    pub reserved3: [u32; 8],
    pub NumBitsForShortTermRPSInSlice: c_int,
    pub NumDeltaPocsOfRefRpsIdx: c_int,
    pub NumPocTotalCurr: c_int,
    pub NumPocStCurrBefore: c_int,
    pub NumPocStCurrAfter: c_int,
    pub NumPocLtCurr: c_int,
    pub CurrPicOrderCntVal: c_int,
    pub RefPicIdx: [c_int; 16],
    pub PicOrderCntVal: [c_int; 16],
    pub IsLongTerm: [u8; 16],
    pub RefPicSetStCurrBefore: [u8; 8],
    pub RefPicSetStCurrAfter: [u8; 8],
    pub RefPicSetLtCurr: [u8; 8],
    pub RefPicSetInterLayer0: [u8; 8],
    pub RefPicSetInterLayer1: [u8; 8],
    pub reserved4: [u32; 12],
    pub ScalingList4x4: [[u8; 16]; 6],
    pub ScalingList8x8: [[u8; 64]; 6],
    pub ScalingList16x16: [[u8; 64]; 6],
    pub ScalingList32x32: [[u8; 64]; 2],
    pub ScalingListDCCoeff16x16: [u8; 6],
    pub ScalingListDCCoeff32x32: [u8; 2],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CUVIDVP8PICPARAMS {
    pub width: c_int,
    pub height: c_int,
    pub first_partition_size: u32,
    pub LastRefIdx: u8,
    pub GoldenRefIdx: u8,
    pub AltRefIdx: u8,
    /// `frame_type:1 version:3 show_frame:1 update_mb_segmentation_data:1 Reserved2Bits:2`.
    pub wFrameTagFlags: u8,
    pub Reserved1: [u8; 4],
    pub Reserved2: [u32; 3],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CUVIDVP9PICPARAMS {
    pub width: u32,
    pub height: u32,
    pub LastRefIdx: u8,
    pub GoldenRefIdx: u8,
    pub AltRefIdx: u8,
    pub colorSpace: u8,
    /// `profile:3 frameContextIdx:2 frameType:1 showFrame:1 errorResilient:1 frameParallelDecoding:1 subSamplingX:1
    /// subSamplingY:1 intraOnly:1 allow_high_precision_mv:1 refreshEntropyProbs:1 reserved2Bits:2`.
    pub flags: u16,
    pub reserved16Bits: u16,
    pub refFrameSignBias: [u8; 4],
    pub bitDepthMinus8Luma: u8,
    pub bitDepthMinus8Chroma: u8,
    pub loopFilterLevel: u8,
    pub loopFilterSharpness: u8,
    pub modeRefLfEnabled: u8,
    pub log2_tile_columns: u8,
    pub log2_tile_rows: u8,
    /// `segmentEnabled:1 segmentMapUpdate:1 segmentMapTemporalUpdate:1 segmentFeatureMode:1 reserved4Bits:4`.
    pub segment_flags: u8,
    pub segmentFeatureEnable: [[u8; 4]; 8],
    pub segmentFeatureData: [[i16; 4]; 8],
    pub mb_segment_tree_probs: [u8; 7],
    pub segment_pred_probs: [u8; 3],
    pub reservedSegment16Bits: [u8; 2],
    pub qpYAc: c_int,
    pub qpYDc: c_int,
    pub qpChDc: c_int,
    pub qpChAc: c_int,
    pub activeRefIdx: [u32; 3],
    pub resetFrameContext: u32,
    pub mcomp_filter_type: u32,
    pub mbRefLfDelta: [u32; 4],
    pub mbModeLfDelta: [u32; 2],
    pub frameTagSize: u32,
    pub offsetToDctParts: u32,
    pub reserved128Bits: [u32; 4],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Av1RefFrame {
    pub width: u32,
    pub height: u32,
    pub index: u8,
    pub reserved24Bits: [u8; 3],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Av1GlobalMotion {
    /// `invalid:1 wmtype:2 reserved5Bits:5`.
    pub flags: u8,
    pub reserved24Bits: [i8; 3],
    pub wmmat: [c_int; 6],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CUVIDAV1PICPARAMS {
    pub width: u32,
    pub height: u32,
    pub frame_offset: u32,
    pub decodePicIdx: c_int,
    /// `profile:3 use_128x128_superblock:1 subsampling_x:1 subsampling_y:1 mono_chrome:1 bit_depth_minus8:4
    /// enable_filter_intra:1 enable_intra_edge_filter:1 enable_interintra_compound:1 enable_masked_compound:1
    /// enable_dual_filter:1 enable_order_hint:1 order_hint_bits_minus1:3 enable_jnt_comp:1 enable_superres:1
    /// enable_cdef:1 enable_restoration:1 enable_fgs:1 reserved0_7bits:7`.
    pub sequence_bits: u32,
    /// `frame_type:2 show_frame:1 disable_cdf_update:1 allow_screen_content_tools:1 force_integer_mv:1 coded_denom:3
    /// allow_intrabc:1 allow_high_precision_mv:1 interp_filter:3 switchable_motion_mode:1 use_ref_frame_mvs:1
    /// disable_frame_end_update_cdf:1 delta_q_present:1 delta_q_res:2 using_qmatrix:1 coded_lossless:1
    /// use_superres:1 tx_mode:2 reference_mode:1 allow_warped_motion:1 reduced_tx_set:1 skip_mode:1
    /// reserved1_3bits:3`.
    pub frame_bits: u32,
    /// `num_tile_cols:8 num_tile_rows:8 context_update_tile_id:16`.
    pub tile_bits: u32,
    pub tile_widths: [u16; 64],
    pub tile_heights: [u16; 64],
    /// `cdef_damping_minus_3:2 cdef_bits:2 reserved2_4bits:4`.
    pub cdef_flags: u8,
    pub cdef_y_strength: [u8; 8],
    pub cdef_uv_strength: [u8; 8],
    /// `SkipModeFrame0:4 SkipModeFrame1:4`.
    pub skip_mode_frames: u8,
    pub base_qindex: u8,
    pub qp_y_dc_delta_q: i8,
    pub qp_u_dc_delta_q: i8,
    pub qp_v_dc_delta_q: i8,
    pub qp_u_ac_delta_q: i8,
    pub qp_v_ac_delta_q: i8,
    pub qm_y: u8,
    pub qm_u: u8,
    pub qm_v: u8,
    /// `segmentation_enabled:1 segmentation_update_map:1 segmentation_update_data:1
    /// segmentation_temporal_update:1 reserved3_4bits:4`.
    pub segmentation_flags: u8,
    pub segmentation_feature_data: [[i16; 8]; 8],
    pub segmentation_feature_mask: [u8; 8],
    pub loop_filter_level: [u8; 2],
    pub loop_filter_level_u: u8,
    pub loop_filter_level_v: u8,
    pub loop_filter_sharpness: u8,
    pub loop_filter_ref_deltas: [i8; 8],
    pub loop_filter_mode_deltas: [i8; 2],
    /// `loop_filter_delta_enabled:1 loop_filter_delta_update:1 delta_lf_present:1 delta_lf_res:2 delta_lf_multi:1
    /// reserved4_2bits:2`.
    pub loop_filter_flags: u8,
    pub lr_unit_size: [u8; 3],
    pub lr_type: [u8; 3],
    pub primary_ref_frame: u8,
    pub ref_frame_map: [u8; 8],
    /// `temporal_layer_id:4 spatial_layer_id:4`.
    pub layer_ids: u8,
    pub reserved5_32bits: [u8; 4],
    pub ref_frame: [Av1RefFrame; 7],
    pub global_motion: [Av1GlobalMotion; 7],
    /// `apply_grain:1 overlap_flag:1 scaling_shift_minus8:2 chroma_scaling_from_luma:1 ar_coeff_lag:2
    /// ar_coeff_shift_minus6:2 grain_scale_shift:2 clip_to_restricted_range:1 reserved6_4bits:4`.
    pub grain_flags: u16,
    pub num_y_points: u8,
    pub scaling_points_y: [[u8; 2]; 14],
    pub num_cb_points: u8,
    pub scaling_points_cb: [[u8; 2]; 10],
    pub num_cr_points: u8,
    pub scaling_points_cr: [[u8; 2]; 10],
    pub reserved7_8bits: u8,
    pub random_seed: u16,
    pub ar_coeffs_y: [i16; 24],
    pub ar_coeffs_cb: [i16; 25],
    pub ar_coeffs_cr: [i16; 25],
    pub cb_mult: u8,
    pub cb_luma_mult: u8,
    pub cb_offset: i16,
    pub cr_mult: u8,
    pub cr_luma_mult: u8,
    pub cr_offset: i16,
    pub reserved: [c_int; 7],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub union CodecSpecific {
    pub mpeg2: CUVIDMPEG2PICPARAMS,
    pub h264: CUVIDH264PICPARAMS,
    pub vc1: CUVIDVC1PICPARAMS,
    pub mpeg4: CUVIDMPEG4PICPARAMS,
    pub hevc: CUVIDHEVCPICPARAMS,
    pub vp8: CUVIDVP8PICPARAMS,
    pub vp9: CUVIDVP9PICPARAMS,
    pub av1: CUVIDAV1PICPARAMS,
    pub CodecReserved: [u32; 1024],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct CUVIDPICPARAMS {
    pub PicWidthInMbs: c_int,
    pub FrameHeightInMbs: c_int,
    pub CurrPicIdx: c_int,
    pub field_pic_flag: c_int,
    pub bottom_field_flag: c_int,
    pub second_field: c_int,
    pub nBitstreamDataLen: u32,
    pub pBitstreamData: *const u8,
    pub nNumSlices: u32,
    pub pSliceDataOffsets: *const u32,
    pub ref_pic_flag: c_int,
    pub intra_pic_flag: c_int,
    pub Reserved: [u32; 30],
    pub CodecSpecific: CodecSpecific,
}
