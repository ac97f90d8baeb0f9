//! Our declarations against NVIDIA's C headers, as another compiler reads them: the test writes assertions in C, and that
//! compiler says which do not hold. For Windows it is mingw, which cannot run beside the tests: `scripts/windows.sh` starts it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fmt::Write as _;
use std::mem::offset_of;

use super::cuvid_abi::{
    CreateInfo, DecodeCaps, DecodeStatus, DisplayInfo, ParserParams, PictureParams, ProcessParams,
    ReconfigureInfo, SourcePacket, VideoFormat, VideoFormatEx,
};
use super::nvenc_abi::{
    Av1Config, CapsParam, CodecConfig, Config, CreateBitstream, CreateInput, FunctionList, H264Config,
    HevcConfig, InitParams, LockBitstream, LockInput, MapResource, OpenSession, PicAv1, PicH264, PicHevc,
    PicParams, PresetConfig, RcParams, Reconfigure, RegisterResource, SeiPayload, Vui,
};

/// Assertions on sizes, and on the places of fields; `rule`: how a size of the header (left) compares with ours.
macro_rules! assertions {
    ($c:ident, $rule:literal: $($ours:ident = $theirs:literal { $($field:ident = $name:literal),* $(,)? })*) => { $(
        writeln!($c, "_Static_assert(sizeof({0}) {1} {2}, \"size of {0}\");", $theirs, $rule, size_of::<$ours>()).unwrap();
        $(
            let at = offset_of!($ours, $field);
            writeln!($c, "_Static_assert(offsetof({0}, {1}) == {at}, \"place of {0}.{1}\");", $theirs, $name).unwrap();
        )*
    )* };
}

/// The whole C file.
fn source() -> String {
    let mut c =
        "#include <stddef.h>\n#include <ffnvcodec/dynlink_cuda.h>\n#include <ffnvcodec/dynlink_cuviddec.h>\n\
                 #include <ffnvcodec/dynlink_nvcuvid.h>\n#include <ffnvcodec/nvEncodeAPI.h>\n"
            .to_owned();
    assertions!(c, "==":
        DecodeCaps = "CUVIDDECODECAPS" {
            depth_minus8 = "nBitDepthMinus8", supported = "bIsSupported", engines = "nNumNVDECs",
            output_mask = "nOutputFormatMask", max_width = "nMaxWidth", max_macroblocks = "nMaxMBCount",
            min_width = "nMinWidth", min_height = "nMinHeight",
        }
        CreateInfo = "CUVIDDECODECREATEINFO" {
            width = "ulWidth", height = "ulHeight", decode_surfaces = "ulNumDecodeSurfaces", codec = "CodecType",
            chroma = "ChromaFormat", flags = "ulCreationFlags", depth_minus8 = "bitDepthMinus8",
            max_width = "ulMaxWidth", max_height = "ulMaxHeight", display_area = "display_area",
            output_format = "OutputFormat", deinterlace = "DeinterlaceMode", target_width = "ulTargetWidth",
            output_surfaces = "ulNumOutputSurfaces", lock = "vidLock", target_rect = "target_rect",
            histogram = "enableHistogram",
        }
        ReconfigureInfo = "CUVIDRECONFIGUREDECODERINFO" {
            target_width = "ulTargetWidth", decode_surfaces = "ulNumDecodeSurfaces", display_area = "display_area",
            target_rect = "target_rect",
        }
        PictureParams = "CUVIDPICPARAMS" {
            index = "CurrPicIdx", data_bytes = "nBitstreamDataLen", data = "pBitstreamData", slices = "nNumSlices",
            slice_offsets = "pSliceDataOffsets", reference = "ref_pic_flag", intra = "intra_pic_flag",
            codec = "CodecSpecific",
        }
        ProcessParams = "CUVIDPROCPARAMS" {
            progressive = "progressive_frame", unpaired_field = "unpaired_field", raw_input = "raw_input_dptr",
            raw_output = "raw_output_dptr", stream = "output_stream", histogram = "histogram_dptr",
        }
        DecodeStatus = "CUVIDGETDECODESTATUS" { status = "decodeStatus", pointers = "pReserved" }
        VideoFormat = "CUVIDEOFORMAT" {
            rate_num = "frame_rate", progressive = "progressive_sequence", luma_depth_minus8 = "bit_depth_luma_minus8",
            min_surfaces = "min_num_decode_surfaces", coded_width = "coded_width", display_area = "display_area",
            chroma = "chroma_format", bitrate = "bitrate", aspect = "display_aspect_ratio",
            signal = "video_signal_description", header_bytes = "seqhdr_data_length",
        }
        VideoFormatEx = "CUVIDEOFORMATEX" { header = "raw_seqhdr_data" }
        SourcePacket = "CUVIDSOURCEDATAPACKET" {
            flags = "flags", bytes = "payload_size", data = "payload", timestamp = "timestamp",
        }
        DisplayInfo = "CUVIDPARSERDISPINFO" {
            index = "picture_index", progressive = "progressive_frame", timestamp = "timestamp",
        }
        ParserParams = "CUVIDPARSERPARAMS" {
            surfaces = "ulMaxNumDecodeSurfaces", clock_rate = "ulClockRate", display_delay = "ulMaxDisplayDelay",
            user = "pUserData", on_sequence = "pfnSequenceCallback", on_decode = "pfnDecodePicture",
            on_display = "pfnDisplayPicture", operating_point = "pfnGetOperatingPoint", extended = "pExtVideoInfo",
        }
    );
    // Ours are those of the newest API, and some are declared only as far as they are used.
    assertions!(c, "<=":
        OpenSession = "NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS" {
            device_type = "deviceType", device = "device", api_version = "apiVersion",
        }
        CapsParam = "NV_ENC_CAPS_PARAM" { cap = "capsToQuery" }
        RcParams = "NV_ENC_RC_PARAMS" {
            mode = "rateControlMode", const_qp = "constQP", average_bit_rate = "averageBitRate",
            max_bit_rate = "maxBitRate", vbv_buffer_size = "vbvBufferSize", vbv_initial_delay = "vbvInitialDelay",
            min_qp = "minQP", max_qp = "maxQP", initial_qp = "initialRCQP", target_quality = "targetQuality",
            lookahead_depth = "lookaheadDepth", qp_map_mode = "qpMapMode", multi_pass = "multiPass",
        }
        Vui = "NV_ENC_CONFIG_H264_VUI_PARAMETERS" {
            signal_type_present = "videoSignalTypePresentFlag", full_range = "videoFullRangeFlag",
            colour_present = "colourDescriptionPresentFlag", primaries = "colourPrimaries",
            transfer = "transferCharacteristics", matrix = "colourMatrix",
        }
        CodecConfig = "NV_ENC_CODEC_CONFIG" {}
        Config = "NV_ENC_CONFIG" {
            profile = "profileGUID", gop_length = "gopLength", frame_interval_p = "frameIntervalP",
            field_mode = "frameFieldMode", rc = "rcParams", codec = "encodeCodecConfig",
        }
        PresetConfig = "NV_ENC_PRESET_CONFIG" { config = "presetCfg" }
        InitParams = "NV_ENC_INITIALIZE_PARAMS" {
            codec = "encodeGUID", preset = "presetGUID", width = "encodeWidth", display_width = "darWidth",
            rate_num = "frameRateNum", asynchronous = "enableEncodeAsync", decide_types = "enablePTD",
            config = "encodeConfig", max_width = "maxEncodeWidth", tuning = "tuningInfo",
        }
        Reconfigure = "NV_ENC_RECONFIGURE_PARAMS" { init = "reInitEncodeParams" }
        CreateInput = "NV_ENC_CREATE_INPUT_BUFFER" { width = "width", format = "bufferFmt", buffer = "inputBuffer" }
        CreateBitstream = "NV_ENC_CREATE_BITSTREAM_BUFFER" { buffer = "bitstreamBuffer" }
        LockInput = "NV_ENC_LOCK_INPUT_BUFFER" { buffer = "inputBuffer", data = "bufferDataPtr", pitch = "pitch" }
        RegisterResource = "NV_ENC_REGISTER_RESOURCE" {
            kind = "resourceType", pitch = "pitch", resource = "resourceToRegister", registered = "registeredResource",
            format = "bufferFormat", usage = "bufferUsage",
        }
        MapResource = "NV_ENC_MAP_INPUT_RESOURCE" {
            registered = "registeredResource", mapped = "mappedResource", format = "mappedBufferFmt",
        }
        PicParams = "NV_ENC_PIC_PARAMS" {
            width = "inputWidth", flags = "encodePicFlags", index = "frameIdx", timestamp = "inputTimeStamp",
            duration = "inputDuration", input = "inputBuffer", output = "outputBitstream", event = "completionEvent",
            format = "bufferFmt", structure = "pictureStruct", kind = "pictureType", codec = "codecPicParams",
        }
        SeiPayload = "NV_ENC_SEI_PAYLOAD" { bytes = "payloadSize", kind = "payloadType", data = "payload" }
        LockBitstream = "NV_ENC_LOCK_BITSTREAM" {
            output = "outputBitstream", index = "frameIdx", slices = "numSlices", bytes = "bitstreamSizeInBytes",
            timestamp = "outputTimeStamp", data = "bitstreamBufferPtr", kind = "pictureType", average_qp = "frameAvgQP",
        }
        FunctionList = "NV_ENCODE_API_FUNCTION_LIST" {
            codecs = "nvEncGetEncodeGUIDs", caps = "nvEncGetEncodeCaps", initialize = "nvEncInitializeEncoder",
            create_input = "nvEncCreateInputBuffer", encode = "nvEncEncodePicture", lock_bitstream = "nvEncLockBitstream",
            map_resource = "nvEncMapInputResource", destroy = "nvEncDestroyEncoder", open = "nvEncOpenEncodeSessionEx",
            register_resource = "nvEncRegisterResource", reconfigure = "nvEncReconfigureEncoder",
            last_error = "nvEncGetLastErrorString", preset_config = "nvEncGetEncodePresetConfigEx",
        }
    );
    assertions!(c, ">=":
        H264Config = "NV_ENC_CONFIG_H264" {
            level = "level", idr_period = "idrPeriod", vui = "h264VUIParameters", chroma_format = "chromaFormatIDC",
            b_reference_mode = "useBFramesAsRef",
        }
        HevcConfig = "NV_ENC_CONFIG_HEVC" {
            level = "level", tier = "tier", idr_period = "idrPeriod", vui = "hevcVUIParameters",
            b_reference_mode = "useBFramesAsRef",
        }
        PicH264 = "NV_ENC_PIC_PARAMS_H264" { messages = "seiPayloadArrayCnt", message_list = "seiPayloadArray" }
        PicHevc = "NV_ENC_PIC_PARAMS_HEVC" { messages = "seiPayloadArrayCnt", message_list = "seiPayloadArray" }
    );
    c.push_str("#if NVENCAPI_MAJOR_VERSION >= 12\n");
    assertions!(c, ">=":
        Av1Config = "NV_ENC_CONFIG_AV1" {
            level = "level", idr_period = "idrPeriod", primaries = "colorPrimaries", full_range = "colorRange",
            b_reference_mode = "useBFramesAsRef",
        }
        PicAv1 = "NV_ENC_PIC_PARAMS_AV1" { messages = "obuPayloadArrayCnt", message_list = "obuPayloadArray" }
    );
    c.push_str("#endif\n");
    c
}

#[test]
fn declarations_are_laid_out_as_in_the_c_headers() {
    // A wrong assertion has to be refused, or the right ones prove nothing.
    let wrong = format!("{}_Static_assert(sizeof(CUVIDPARSERPARAMS) == 1, \"planted\");\n", source());
    // Where the compiler is another system's.
    if let Some(folder) = std::env::var_os("VIDEO_HW_LAYOUTS") {
        let folder = std::path::Path::new(&folder);
        std::fs::write(folder.join("right.c"), source()).unwrap();
        std::fs::write(folder.join("wrong.c"), wrong).unwrap();
        return;
    }
    if !std::path::Path::new("/usr/include/ffnvcodec/nvEncodeAPI.h").exists() {
        let words = b"SKIPPED: there is no /usr/include/ffnvcodec/nvEncodeAPI.h, NVIDIA's interface in C\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), words);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("layouts.c");
    for (text, holds) in [(source(), true), (wrong, false)] {
        std::fs::write(&file, text).unwrap();
        let compiler =
            std::process::Command::new("cc").args(["-w", "-fsyntax-only"]).arg(&file).output().unwrap();
        assert_eq!(compiler.status.success(), holds, "{}", String::from_utf8_lossy(&compiler.stderr));
    }
}
