//! The layouts of API 11.1 against the C header of that version.

use std::fmt::Write as _;
use std::mem::{offset_of, size_of};
use std::path::Path;
use std::process::Command;

use nvsim::nvenc::abi::*;
use nvsim::nvenc::versions::{Api, Struct};

const HEADER: &str = "/usr/include/ffnvcodec/nvEncodeAPI.h";

/// Structure of the header, field of the header, where this implementation has it.
macro_rules! fields {
    ($($c:literal $rust:ident { $($c_field:literal $field:ident),* $(,)? })*) => {
        vec![$($(($c, $c_field, offset_of!($rust, $field))),*),*]
    };
}

#[test]
fn api_11_1_is_laid_out_as_its_header_says() {
    if !Path::new(HEADER).exists() {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: {HEADER} is not installed (Debian package libffmpeg-nvenc-dev)\n"),
        );
        return;
    }
    let fields = fields! {
        "NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS" OpenSession {
            "deviceType" device_type, "device" device, "apiVersion" api_version }
        "NV_ENC_CAPS_PARAM" CapsParam { "capsToQuery" cap }
        "NV_ENC_RC_PARAMS" RcParams {
            "rateControlMode" mode, "constQP" const_qp, "averageBitRate" average_bit_rate,
            "maxBitRate" max_bit_rate, "vbvBufferSize" vbv_buffer_size, "vbvInitialDelay" vbv_initial_delay,
            "minQP" min_qp, "maxQP" max_qp, "initialRCQP" initial_qp, "targetQuality" target_quality,
            "lookaheadDepth" lookahead_depth, "lowDelayKeyFrameScale" low_delay_key_frame_scale,
            "qpMapMode" qp_map_mode, "multiPass" multi_pass }
        "NV_ENC_QP" Qp { "qpInterP" p, "qpInterB" b, "qpIntra" i }
        "NV_ENC_CONFIG_H264_VUI_PARAMETERS" Vui {
            "videoSignalTypePresentFlag" signal_type_present, "videoFullRangeFlag" full_range,
            "colourDescriptionPresentFlag" colour_present, "colourPrimaries" primaries,
            "transferCharacteristics" transfer, "colourMatrix" matrix }
        "NV_ENC_CONFIG_H264" ConfigH264 {
            "level" level, "idrPeriod" idr_period, "entropyCodingMode" entropy, "sliceMode" slice_mode,
            "sliceModeData" slice_mode_data, "h264VUIParameters" vui, "chromaFormatIDC" chroma_format_idc,
            "useBFramesAsRef" b_ref_mode, "numRefL1" ref_l1 }
        "NV_ENC_CONFIG_HEVC" ConfigHevc {
            "level" level, "maxCUSize" max_cu, "idrPeriod" idr_period, "sliceMode" slice_mode,
            "sliceModeData" slice_mode_data, "hevcVUIParameters" vui, "numRefL1" ref_l1 }
        "NV_ENC_CONFIG" Config {
            "profileGUID" profile, "gopLength" gop_length, "frameIntervalP" frame_interval_p,
            "frameFieldMode" frame_field_mode, "rcParams" rc, "encodeCodecConfig" codec }
        "NV_ENC_PRESET_CONFIG" PresetConfig { "presetCfg" config }
        "NV_ENC_INITIALIZE_PARAMS" InitParams {
            "encodeGUID" encode_guid, "presetGUID" preset_guid, "encodeWidth" width, "encodeHeight" height,
            "darWidth" dar_width, "darHeight" dar_height, "frameRateNum" fps_num, "frameRateDen" fps_den,
            "enableEncodeAsync" enable_async, "enablePTD" enable_ptd, "encodeConfig" config,
            "maxEncodeWidth" max_width, "maxEncodeHeight" max_height, "tuningInfo" tuning }
        "NV_ENC_RECONFIGURE_PARAMS" ReconfigureLong { "reInitEncodeParams" init }
        "NV_ENC_CREATE_INPUT_BUFFER" CreateInput {
            "width" width, "height" height, "bufferFmt" format, "inputBuffer" buffer }
        "NV_ENC_CREATE_BITSTREAM_BUFFER" CreateBitstream { "bitstreamBuffer" buffer }
        "NV_ENC_LOCK_INPUT_BUFFER" LockInput {
            "inputBuffer" buffer, "bufferDataPtr" data, "pitch" pitch }
        "NV_ENC_REGISTER_RESOURCE" Register {
            "resourceType" kind, "width" width, "height" height, "pitch" pitch, "resourceToRegister" resource,
            "registeredResource" registered, "bufferFormat" format, "bufferUsage" usage }
        "NV_ENC_MAP_INPUT_RESOURCE" Map {
            "registeredResource" registered, "mappedResource" mapped, "mappedBufferFmt" format }
        "NV_ENC_SEI_PAYLOAD" SeiPayload { "payloadSize" size, "payloadType" kind, "payload" payload }
        "NV_ENC_PIC_PARAMS" PicParams {
            "inputWidth" width, "inputHeight" height, "inputPitch" pitch, "encodePicFlags" flags,
            "frameIdx" frame_idx, "inputTimeStamp" timestamp, "inputDuration" duration, "inputBuffer" input,
            "outputBitstream" output, "bufferFmt" format, "pictureStruct" pic_struct, "pictureType" pic_type,
            "codecPicParams" codec }
        "NV_ENC_LOCK_BITSTREAM" LockBitstream {
            "outputBitstream" output, "frameIdx" frame_idx, "numSlices" slices, "bitstreamSizeInBytes" size,
            "outputTimeStamp" timestamp, "outputDuration" duration, "bitstreamBufferPtr" data,
            "pictureType" pic_type, "pictureStruct" pic_struct, "frameAvgQP" average_qp, "frameSatd" satd,
            "temporalId" temporal_id }
        "NV_ENC_SEQUENCE_PARAM_PAYLOAD" SequencePayload {
            "inBufferSize" capacity, "spsppsBuffer" buffer, "outSPSPPSPayloadSize" written }
    };
    let api = Api::V11_1;
    let structs = [
        ("NV_ENCODE_API_FUNCTION_LIST", Struct::FunctionList),
        ("NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS", Struct::OpenSession),
        ("NV_ENC_CAPS_PARAM", Struct::CapsParam),
        ("NV_ENC_PRESET_CONFIG", Struct::PresetConfig),
        ("NV_ENC_CONFIG", Struct::Config),
        ("NV_ENC_RC_PARAMS", Struct::RcParams),
        ("NV_ENC_INITIALIZE_PARAMS", Struct::InitParams),
        ("NV_ENC_RECONFIGURE_PARAMS", Struct::Reconfigure),
        ("NV_ENC_CREATE_INPUT_BUFFER", Struct::CreateInput),
        ("NV_ENC_CREATE_BITSTREAM_BUFFER", Struct::CreateBitstream),
        ("NV_ENC_REGISTER_RESOURCE", Struct::Register),
        ("NV_ENC_MAP_INPUT_RESOURCE", Struct::Map),
        ("NV_ENC_LOCK_INPUT_BUFFER", Struct::LockInput),
        ("NV_ENC_PIC_PARAMS", Struct::PicParams),
        ("NV_ENC_LOCK_BITSTREAM", Struct::LockBitstream),
        ("NV_ENC_SEQUENCE_PARAM_PAYLOAD", Struct::SequencePayload),
        ("NV_ENC_EVENT_PARAMS", Struct::EventParams),
        ("NV_ENC_STAT", Struct::Stat),
    ];
    let mut expected = String::new();
    let mut program =
        format!("#include <stdio.h>\n#include <stddef.h>\n#include \"{HEADER}\"\nint main(void) {{\n");
    let mut ask = |expression: &str, answer: usize| {
        writeln!(program, "printf(\"%s %zu\\n\", \"{expression}\", (size_t)({expression}));").unwrap();
        writeln!(expected, "{expression} {answer}").unwrap();
    };
    for (name, kind) in structs {
        ask(&format!("sizeof({name})"), api.size(kind));
        let word = if kind == Struct::OpenSession {
            "NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER".into()
        } else {
            format!("{name}_VER")
        };
        ask(&word, api.struct_word(kind) as usize);
    }
    for (name, field, offset) in fields {
        ask(&format!("offsetof({name},{field})"), offset);
    }
    ask("offsetof(NV_ENC_LOCK_BITSTREAM,intraMBCount)", api.mb_counts_offset());
    ask("sizeof(NV_ENC_SEI_PAYLOAD)", size_of::<SeiPayload>());
    ask("offsetof(NV_ENC_PIC_PARAMS_H264,seiPayloadArrayCnt)", 36);
    ask("offsetof(NV_ENC_PIC_PARAMS_H264,seiPayloadArray)", 40);
    ask("offsetof(NV_ENC_PIC_PARAMS_HEVC,seiPayloadArrayCnt)", 56);
    ask("offsetof(NV_ENC_PIC_PARAMS_HEVC,seiPayloadArray)", 64);
    ask("NV_ENC_CAPS_EXPOSED_COUNT", api.caps_count() as usize);
    ask("NV_ENC_CAPS_WIDTH_MIN", nvsim::nvenc::caps::Cap::WidthMin as usize);
    ask("NV_ENC_CAPS_SINGLE_SLICE_INTRA_REFRESH", nvsim::nvenc::caps::Cap::SingleSliceIntraRefresh as usize);
    ask("sizeof(uint64_t[2]) == sizeof(GUID)", 1);
    program.push_str("return 0; }\n");

    let directory = tempfile::tempdir().unwrap();
    let (source, binary) = (directory.path().join("layout.c"), directory.path().join("layout"));
    std::fs::write(&source, program).unwrap();
    let compiler = Command::new("cc").arg("-w").arg("-o").arg(&binary).arg(&source).output();
    let Ok(compiled) = compiler else {
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("SKIPPED: no C compiler\n"));
        return;
    };
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let output = Command::new(&binary).output().unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.lines().count(), expected.lines().count());
}
