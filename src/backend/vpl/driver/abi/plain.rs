//! Parameters, surfaces, bitstreams, and what a session is opened with.

use super::{ExtBuffer, Handle};

/// A function of a surface that takes nothing else.
type SurfaceCall = Option<unsafe extern "C" fn(*mut FrameSurface) -> i32>;
/// `GetNativeHandle`, `GetDeviceHandle`: the handle and its kind.
type HandleCall = Option<unsafe extern "C" fn(*mut FrameSurface, *mut Handle, *mut i32) -> i32>;

structures! {
    Version = "mfxVersion" {
        minor "Minor": u16,
        major "Major": u16,
    }
    Variant = "mfxVariant" {
        version "Version": u16,
        kind "Type": i32,
        data "Data": u64,
    }
    InitializationParam = "mfxInitializationParam" {
        acceleration "AccelerationMode": i32,
        reserved: [u16; 3],
        num_ext_param "NumExtParam": u16,
        ext_param "ExtParam": *mut *mut ExtBuffer,
        vendor_impl_id "VendorImplID": u32,
        reserved2: [u32; 3],
    }
    Platform = "mfxPlatform" {
        code_name "CodeName": u16,
        device_id "DeviceId": u16,
        adapter_type "MediaAdapterType": u16,
        reserved: [u16; 13],
    }
    FrameInfo = "mfxFrameInfo" {
        reserved: [u32; 4],
        channel_id "ChannelId": u16,
        bit_depth_luma "BitDepthLuma": u16,
        bit_depth_chroma "BitDepthChroma": u16,
        shift "Shift": u16,
        frame_id "FrameId": [u16; 4],
        fourcc "FourCC": u32,
        width "Width": u16,
        height "Height": u16,
        crop_x "CropX": u16,
        crop_y "CropY": u16,
        crop_w "CropW": u16,
        crop_h "CropH": u16,
        rate_num "FrameRateExtN": u32,
        rate_den "FrameRateExtD": u32,
        reserved3: u16,
        aspect_w "AspectRatioW": u16,
        aspect_h "AspectRatioH": u16,
        pic_struct "PicStruct": u16,
        chroma_format "ChromaFormat": u16,
        reserved2: u16,
    }
    FrameData = "mfxFrameData" {
        ext_param "ExtParam": *mut *mut ExtBuffer,
        num_ext_param "NumExtParam": u16,
        reserved: [u16; 9],
        mem_type "MemType": u16,
        pitch_high "PitchHigh": u16,
        timestamp "TimeStamp": u64,
        frame_order "FrameOrder": u32,
        locked "Locked": u16,
        pitch_low "PitchLow" "Pitch": u16,
        y "Y" "Y16" "R": *mut u8,
        uv "UV" "U" "G" "Y410" "Y416": *mut u8,
        v "V" "V16" "B" "A2RGB10": *mut u8,
        a "A": *mut u8,
        mem_id "MemId": Handle,
        corrupted "Corrupted": u16,
        data_flag "DataFlag": u16,
    }
    FrameSurface = "mfxFrameSurface1" {
        interface "FrameInterface": *mut SurfaceInterface,
        version "Version": u16,
        reserved: [u16; 3],
        info "Info": FrameInfo,
        data "Data": FrameData,
    }
    SurfaceInterface = "mfxFrameSurfaceInterface" {
        context "Context": Handle,
        version "Version": u16,
        reserved: [u16; 3],
        add_ref "AddRef": SurfaceCall,
        release "Release": SurfaceCall,
        ref_counter "GetRefCounter": Option<unsafe extern "C" fn(*mut FrameSurface, *mut u32) -> i32>,
        map "Map": Option<unsafe extern "C" fn(*mut FrameSurface, u32) -> i32>,
        unmap "Unmap": SurfaceCall,
        native_handle "GetNativeHandle": HandleCall,
        device_handle "GetDeviceHandle": HandleCall,
        synchronize "Synchronize": Option<unsafe extern "C" fn(*mut FrameSurface, u32) -> i32>,
        on_complete "OnComplete": Option<unsafe extern "C" fn(i32)>,
        query_interface "QueryInterface": Handle,
        reserved2: [Handle; 2],
    }
    InfoMfx = "mfxInfoMFX" {
        reserved: [u32; 7],
        low_power "LowPower": u16,
        multiplier "BRCParamMultiplier": u16,
        frame_info "FrameInfo": FrameInfo,
        codec_id "CodecId": u32,
        profile "CodecProfile": u16,
        level "CodecLevel": u16,
        num_thread "NumThread": u16,
        target_usage "TargetUsage" "DecodedOrder" "JPEGChromaFormat" "Interleaved": u16,
        gop_size "GopPicSize" "ExtendedPicStruct" "Rotation" "Quality": u16,
        gop_ref_dist "GopRefDist" "TimeStampCalc" "JPEGColorFormat" "RestartInterval": u16,
        gop_flags "GopOptFlag" "SliceGroupsPresent" "InterleavedDec": u16,
        idr_interval "IdrInterval" "MaxDecFrameBuffering": u16,
        rate_control "RateControlMethod" "EnableReallocRequest": u16,
        initial_delay "InitialDelayInKB" "QPI" "Accuracy" "FilmGrain": u16,
        buffer_size "BufferSizeInKB" "IgnoreLevelConstrain": u16,
        target_kbps "TargetKbps" "QPP" "ICQQuality" "SkipOutput": u16,
        max_kbps "MaxKbps" "QPB" "Convergence": u16,
        num_slice "NumSlice": u16,
        num_ref_frame "NumRefFrame": u16,
        encoded_order "EncodedOrder": u16,
    }
    InfoVpp = "mfxInfoVPP" {
        reserved: [u32; 8],
        input "In": FrameInfo,
        output "Out": FrameInfo,
    }
    VideoParam = "mfxVideoParam" {
        alloc_id "AllocId": u32,
        reserved: [u32; 2],
        reserved3: u16,
        async_depth "AsyncDepth": u16,
        content "mfx" "vpp": Content,
        protected "Protected": u16,
        io_pattern "IOPattern": u16,
        ext_param "ExtParam": *mut *mut ExtBuffer,
        num_ext_param "NumExtParam": u16,
        reserved2: u16,
    }
    Bitstream = "mfxBitstream" {
        encrypted "EncryptedData": Handle,
        ext_param "ExtParam": *mut *mut ExtBuffer,
        num_ext_param "NumExtParam": u16,
        codec_id "CodecId": u32,
        decode_timestamp "DecodeTimeStamp": i64,
        timestamp "TimeStamp": u64,
        data "Data": *mut u8,
        data_offset "DataOffset": u32,
        data_length "DataLength": u32,
        max_length "MaxLength": u32,
        pic_struct "PicStruct": u16,
        frame_type "FrameType": u16,
        data_flag "DataFlag": u16,
        reserved: u16,
    }
    Payload = "mfxPayload" {
        flags "CtrlFlags": u32,
        reserved: [u32; 3],
        data "Data": *mut u8,
        bits "NumBit": u32,
        kind "Type": u16,
        size "BufSize": u16,
    }
    EncodeCtrl = "mfxEncodeCtrl" {
        header "Header": ExtBuffer,
        reserved: [u32; 4],
        reserved1: u16,
        nal_unit_type "MfxNalUnitType": u16,
        skip_frame "SkipFrame": u16,
        qp "QP": u16,
        frame_type "FrameType": u16,
        num_ext_param "NumExtParam": u16,
        num_payload "NumPayload": u16,
        reserved2: u16,
        ext_param "ExtParam": *mut *mut ExtBuffer,
        payload "Payload": *mut *mut Payload,
    }
    FrameAllocRequest = "mfxFrameAllocRequest" {
        alloc_id "AllocId": u32,
        reserved3: [u32; 3],
        info "Info": FrameInfo,
        kind "Type": u16,
        minimum "NumFrameMin": u16,
        suggested "NumFrameSuggested": u16,
        reserved2: u16,
    }
}

/// The union inside of `mfxVideoParam`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) union Content {
    coding: InfoMfx,
    processing: InfoVpp,
}

impl VideoParam {
    /// As a decoder or an encoder sees it.
    pub(crate) const fn coding(&self) -> &InfoMfx {
        // SAFETY: both members are integers, for which every pattern of bits is a value.
        unsafe { &self.content.coding }
    }

    /// The same, to be changed.
    pub(crate) const fn coding_mut(&mut self) -> &mut InfoMfx {
        // SAFETY: as above.
        unsafe { &mut self.content.coding }
    }

    /// As video processing sees it.
    pub(crate) const fn processing(&self) -> &InfoVpp {
        // SAFETY: as above.
        unsafe { &self.content.processing }
    }

    /// The same, to be changed.
    pub(crate) const fn processing_mut(&mut self) -> &mut InfoVpp {
        // SAFETY: as above.
        unsafe { &mut self.content.processing }
    }
}
