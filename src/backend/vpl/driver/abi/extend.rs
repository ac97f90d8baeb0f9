//! Extension buffers: parameters beyond those that every codec has.

/// A structure that may stand in a list of extension buffers: `mfxExtBuffer` is its first field.
///
/// # Safety
/// The structure is `repr(C)` and starts with an [`ExtBuffer`] that has the structure's own number and size.
pub(crate) unsafe trait Extension: Default {
    /// `MFX_EXTBUFF_*`.
    const ID: u32;
}

/// Declares extension buffers: their default has the header filled in, and nothing else.
macro_rules! extensions {
    ($($name:ident = $c:literal $id_name:literal $id:literal {
        $($field:ident $($theirs:literal)*: $type:ty,)*
    })*) => {
        structures! {
            ExtBuffer = "mfxExtBuffer" { id "BufferId": u32, size "BufferSz": u32, }
            ProcessingIn = "struct mfxIn" {
                crop_x "CropX": u16, crop_y "CropY": u16, crop_w "CropW": u16, crop_h "CropH": u16, reserved: [u16; 12],
            }
            ProcessingOut = "struct mfxOut" {
                fourcc "FourCC": u32, chroma_format "ChromaFormat": u16, reserved1: u16, width "Width": u16,
                height "Height": u16, crop_x "CropX": u16, crop_y "CropY": u16, crop_w "CropW": u16,
                crop_h "CropH": u16, reserved: [u16; 22],
            }
        }
        #[cfg(test)]
        pub(super) const EXTENSION_LAYOUTS: &[super::Layout] = &[$(super::Layout {
            name: $c,
            size: size_of::<$name>(),
            fields: &[("Header", std::mem::offset_of!($name, header)),
                $($(($theirs, std::mem::offset_of!($name, $field)),)*)*],
        }),*];
        #[cfg(test)]
        pub(super) const IDS: &[(&str, u32)] = &[$(($id_name, $name::ID)),*];
        $(
            #[doc = concat!("`", $c, "`")]
            #[repr(C)]
            #[derive(Clone, Copy)]
            pub(crate) struct $name { pub(crate) header: ExtBuffer, $(pub(crate) $field: $type,)* }

            impl Default for $name {
                fn default() -> Self {
                    // SAFETY: integers, raw pointers, and arrays and structures of them: zero is a value of each.
                    let zero: Self = unsafe { std::mem::zeroed() };
                    #[expect(clippy::cast_possible_truncation, reason = "structures of a few hundred bytes")]
                    let size = size_of::<Self>() as u32;
                    Self { header: ExtBuffer { id: Self::ID, size }, ..zero }
                }
            }

            // SAFETY: declared so above.
            unsafe impl Extension for $name {
                const ID: u32 = u32::from_le_bytes(*$id);
            }
        )*
    };
}

extensions! {
    CodingOption = "mfxExtCodingOption" "MFX_EXTBUFF_CODING_OPTION" b"CDOP" {
        reserved1: u16,
        rd_opt "RateDistortionOpt": u16,
        me_cost "MECostType": u16,
        me_search "MESearchType": u16,
        mv_window "MVSearchWindow": [i16; 2],
        end_of_sequence "EndOfSequence": u16,
        frame_picture "FramePicture": u16,
        cavlc "CAVLC": u16,
        reserved2: [u16; 2],
        recovery_point_sei "RecoveryPointSEI": u16,
        view_output "ViewOutput": u16,
        nal_hrd_conformance "NalHrdConformance": u16,
        single_sei_nal_unit "SingleSeiNalUnit": u16,
        vui_vcl_hrd "VuiVclHrdParameters": u16,
        ref_list_reordering "RefPicListReordering": u16,
        reset_ref_list "ResetRefList": u16,
        ref_mark_repetition "RefPicMarkRep": u16,
        field_output "FieldOutput": u16,
        intra_block "IntraPredBlockSize": u16,
        inter_block "InterPredBlockSize": u16,
        mv_precision "MVPrecision": u16,
        max_dec_frame_buffering "MaxDecFrameBuffering": u16,
        aud "AUDelimiter": u16,
        end_of_stream "EndOfStream": u16,
        pic_timing_sei "PicTimingSEI": u16,
        vui_nal_hrd "VuiNalHrdParameters": u16,
    }
    CodingOption2 = "mfxExtCodingOption2" "MFX_EXTBUFF_CODING_OPTION2" b"CDO2" {
        intra_refresh "IntRefType": u16,
        intra_refresh_cycle "IntRefCycleSize": u16,
        intra_refresh_qp_delta "IntRefQPDelta": i16,
        max_frame_size "MaxFrameSize": u32,
        max_slice_size "MaxSliceSize": u32,
        bit_rate_limit "BitrateLimit": u16,
        macroblock_rate_control "MBBRC": u16,
        ext_brc "ExtBRC": u16,
        lookahead_depth "LookAheadDepth": u16,
        trellis "Trellis": u16,
        repeat_pps "RepeatPPS": u16,
        b_ref_type "BRefType": u16,
        adaptive_i "AdaptiveI": u16,
        adaptive_b "AdaptiveB": u16,
        lookahead_downscale "LookAheadDS": u16,
        macroblocks_per_slice "NumMbPerSlice": u16,
        skip_frame "SkipFrame": u16,
        min_qp_i "MinQPI": u8,
        max_qp_i "MaxQPI": u8,
        min_qp_p "MinQPP": u8,
        max_qp_p "MaxQPP": u8,
        min_qp_b "MinQPB": u8,
        max_qp_b "MaxQPB": u8,
        fixed_frame_rate "FixedFrameRate": u16,
        disable_deblocking "DisableDeblockingIdc": u16,
        disable_vui "DisableVUI": u16,
        buffering_period_sei "BufferingPeriodSEI": u16,
        enable_mad "EnableMAD": u16,
        use_raw_ref "UseRawRef": u16,
    }
    CodingOption3 = "mfxExtCodingOption3" "MFX_EXTBUFF_CODING_OPTION3" b"CDO3" {
        num_slice_i "NumSliceI": u16,
        num_slice_p "NumSliceP": u16,
        num_slice_b "NumSliceB": u16,
        window_max_kbps "WinBRCMaxAvgKbps": u16,
        window_size "WinBRCSize": u16,
        qvbr_quality "QVBRQuality": u16,
        macroblock_qp "EnableMBQP": u16,
        intra_refresh_distance "IntRefCycleDist": u16,
        direct_bias "DirectBiasAdjustment": u16,
        global_motion_bias "GlobalMotionBiasAdjustment": u16,
        mv_cost "MVCostScalingFactor": u16,
        disable_skip_map "MBDisableSkipMap": u16,
        weighted_pred "WeightedPred": u16,
        weighted_bipred "WeightedBiPred": u16,
        aspect_present "AspectRatioInfoPresent": u16,
        overscan_present "OverscanInfoPresent": u16,
        overscan_appropriate "OverscanAppropriate": u16,
        timing_present "TimingInfoPresent": u16,
        bitstream_restriction "BitstreamRestriction": u16,
        low_delay_hrd "LowDelayHrd": u16,
        mv_over_boundaries "MotionVectorsOverPicBoundaries": u16,
        reserved1: [u16; 2],
        scenario "ScenarioInfo": u16,
        content "ContentInfo": u16,
        p_ref_type "PRefType": u16,
        fade_detection "FadeDetection": u16,
        reserved2: [u16; 2],
        generalized_pb "GPB": u16,
        max_frame_size_i "MaxFrameSizeI": u32,
        max_frame_size_p "MaxFrameSizeP": u32,
        reserved3: [u32; 3],
        enable_qp_offset "EnableQPOffset": u16,
        qp_offset "QPOffset": [i16; 8],
        refs_p "NumRefActiveP": [u16; 8],
        refs_b0 "NumRefActiveBL0": [u16; 8],
        refs_b1 "NumRefActiveBL1": [u16; 8],
        reserved6: u16,
        transform_skip "TransformSkip": u16,
        target_chroma_plus1 "TargetChromaFormatPlus1": u16,
        target_depth_luma "TargetBitDepthLuma": u16,
        target_depth_chroma "TargetBitDepthChroma": u16,
        panic_mode "BRCPanicMode": u16,
        low_delay_brc "LowDelayBRC": u16,
        macroblock_force_intra "EnableMBForceIntra": u16,
        adaptive_max_frame_size "AdaptiveMaxFrameSize": u16,
        repartition_check "RepartitionCheckEnable": u16,
        reserved5: [u16; 3],
        encoded_units_info "EncodedUnitsInfo": u16,
        enable_nal_unit_type "EnableNalUnitType": u16,
        adaptive_ltr "AdaptiveLTR" "ExtBrcAdaptiveLTR": u16,
        adaptive_cqm "AdaptiveCQM": u16,
        adaptive_ref "AdaptiveRef": u16,
        reserved: [u16; 161],
    }
    HevcParam = "mfxExtHEVCParam" "MFX_EXTBUFF_HEVC_PARAM" b"265P" {
        width "PicWidthInLumaSamples": u16,
        height "PicHeightInLumaSamples": u16,
        // A 64-bit number at a multiple of 4.
        constraint_flags "GeneralConstraintFlags": [u32; 2],
        sao "SampleAdaptiveOffset": u16,
        ctu_size "LCUSize": u16,
        reserved: [u16; 116],
    }
    HevcTiles = "mfxExtHEVCTiles" "MFX_EXTBUFF_HEVC_TILES" b"265T" {
        rows "NumTileRows": u16,
        columns "NumTileColumns": u16,
        reserved: [u16; 74],
    }
    Vp9Param = "mfxExtVP9Param" "MFX_EXTBUFF_VP9_PARAM" b"9PAR" {
        width "FrameWidth": u16,
        height "FrameHeight": u16,
        write_ivf "WriteIVFHeaders": u16,
        reserved1: [i16; 6],
        luma_dc_delta "QIndexDeltaLumaDC": i16,
        chroma_ac_delta "QIndexDeltaChromaAC": i16,
        chroma_dc_delta "QIndexDeltaChromaDC": i16,
        tile_rows "NumTileRows": u16,
        tile_columns "NumTileColumns": u16,
        reserved: [u16; 110],
    }
    Av1BitstreamParam = "mfxExtAV1BitstreamParam" "MFX_EXTBUFF_AV1_BITSTREAM_PARAM" b"A1BS" {
        write_ivf "WriteIVFHeaders": u16,
        reserved: [u16; 31],
    }
    Av1TileParam = "mfxExtAV1TileParam" "MFX_EXTBUFF_AV1_TILE_PARAM" b"A1TL" {
        rows "NumTileRows": u16,
        columns "NumTileColumns": u16,
        groups "NumTileGroups": u16,
        reserved: [u16; 5],
    }
    VideoSignalInfo = "mfxExtVideoSignalInfo" "MFX_EXTBUFF_VIDEO_SIGNAL_INFO" b"VSIN" {
        format "VideoFormat": u16,
        full_range "VideoFullRange": u16,
        colour_present "ColourDescriptionPresent": u16,
        primaries "ColourPrimaries": u16,
        transfer "TransferCharacteristics": u16,
        matrix "MatrixCoefficients": u16,
    }
    MasteringDisplay = "mfxExtMasteringDisplayColourVolume" "MFX_EXTBUFF_MASTERING_DISPLAY_COLOUR_VOLUME" b"DCVS" {
        reserved: [u16; 15],
        toggle "InsertPayloadToggle": u16,
        primaries_x "DisplayPrimariesX": [u16; 3],
        primaries_y "DisplayPrimariesY": [u16; 3],
        white_x "WhitePointX": u16,
        white_y "WhitePointY": u16,
        max_luminance "MaxDisplayMasteringLuminance": u32,
        min_luminance "MinDisplayMasteringLuminance": u32,
    }
    ContentLight = "mfxExtContentLightLevelInfo" "MFX_EXTBUFF_CONTENT_LIGHT_LEVEL_INFO" b"LLIS" {
        reserved: [u16; 9],
        toggle "InsertPayloadToggle": u16,
        max_content "MaxContentLightLevel": u16,
        max_average "MaxPicAverageLightLevel": u16,
    }
    ParameterSets = "mfxExtCodingOptionSPSPPS" "MFX_EXTBUFF_CODING_OPTION_SPSPPS" b"COSP" {
        sps "SPSBuffer": *mut u8,
        pps "PPSBuffer": *mut u8,
        sps_size "SPSBufSize": u16,
        pps_size "PPSBufSize": u16,
        sps_id "SPSId": u16,
        pps_id "PPSId": u16,
    }
    VideoParameterSet = "mfxExtCodingOptionVPS" "MFX_EXTBUFF_CODING_OPTION_VPS" b"COVP" {
        vps "VPSBuffer": *mut u8,
        vps_size "VPSBufSize": u16,
        vps_id "VPSId": u16,
        reserved: [u16; 6],
    }
    EncoderReset = "mfxExtEncoderResetOption" "MFX_EXTBUFF_ENCODER_RESET_OPTION" b"ENRO" {
        new_sequence "StartNewSequence": u16,
        reserved: [u16; 11],
    }
    DecVideoProcessing = "mfxExtDecVideoProcessing" "MFX_EXTBUFF_DEC_VIDEO_PROCESSING" b"DECV" {
        input "In": ProcessingIn,
        output "Out": ProcessingOut,
        reserved: [u16; 13],
    }
    VppScaling = "mfxExtVPPScaling" "MFX_EXTBUFF_VPP_SCALING" b"VSCL" {
        mode "ScalingMode": u16,
        interpolation "InterpolationMethod": u16,
        reserved: [u16; 10],
    }
    VppSignalInfo = "mfxExtVPPVideoSignalInfo" "MFX_EXTBUFF_VPP_VIDEO_SIGNAL_INFO" b"VVSI" {
        reserved1: [u16; 4],
        in_matrix "In.TransferMatrix": u16,
        in_range "In.NominalRange": u16,
        reserved2: [u16; 6],
        out_matrix "Out.TransferMatrix": u16,
        out_range "Out.NominalRange": u16,
        reserved3: [u16; 6],
    }
}
