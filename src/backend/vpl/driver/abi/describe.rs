//! What an implementation says of itself.

use super::{Handle, Version};

structures! {
    Range = "mfxRange32U" {
        min "Min": u32,
        max "Max": u32,
        step "Step": u32,
    }
    // `struct encmemdesc` is the same.
    CodecMemory = "struct decmemdesc" {
        handle_type "MemHandleType": i32,
        width "Width": Range,
        height "Height": Range,
        reserved: [u16; 7],
        num_formats "NumColorFormats": u16,
        formats "ColorFormats": *const u32,
    }
    // `struct encprofile` is the same.
    Profile = "struct decprofile" {
        profile "Profile": u32,
        reserved: [u16; 7],
        num_memory "NumMemTypes": u16,
        memory "MemDesc": *const CodecMemory,
    }
    DecoderCodec = "struct decoder" {
        codec_id "CodecID": u32,
        reserved: [u16; 8],
        max_level "MaxcodecLevel": u16,
        num_profiles "NumProfiles": u16,
        profiles "Profiles": *const Profile,
    }
    DecoderDescription = "mfxDecoderDescription" {
        version "Version": u16,
        reserved: [u16; 7],
        num_codecs "NumCodecs": u16,
        codecs "Codecs": *const DecoderCodec,
    }
    EncoderCodec = "struct encoder" {
        codec_id "CodecID": u32,
        max_level "MaxcodecLevel": u16,
        b_frames "BiDirectionalPrediction": u16,
        reserved: [u16; 7],
        num_profiles "NumProfiles": u16,
        profiles "Profiles": *const Profile,
    }
    EncoderDescription = "mfxEncoderDescription" {
        version "Version": u16,
        reserved: [u16; 7],
        num_codecs "NumCodecs": u16,
        codecs "Codecs": *const EncoderCodec,
    }
    FilterFormat = "struct format" {
        input "InFormat": u32,
        reserved: [u16; 5],
        num_outputs "NumOutFormat": u16,
        outputs "OutFormats": *const u32,
    }
    FilterMemory = "struct memdesc" {
        handle_type "MemHandleType": i32,
        width "Width": Range,
        height "Height": Range,
        reserved: [u16; 7],
        num_formats "NumInFormats": u16,
        formats "Formats": *const FilterFormat,
    }
    Filter = "struct filter" {
        id "FilterFourCC": u32,
        max_delay "MaxDelayInFrames": u16,
        reserved: [u16; 7],
        num_memory "NumMemTypes": u16,
        memory "MemDesc": *const FilterMemory,
    }
    VppDescription = "mfxVPPDescription" {
        version "Version": u16,
        reserved: [u16; 7],
        num_filters "NumFilters": u16,
        filters "Filters": *const Filter,
    }
    DeviceDescription = "mfxDeviceDescription" {
        version "Version": u16,
        reserved: [u16; 6],
        adapter_type "MediaAdapterType": u16,
        device_id "DeviceID": [u8; 128],
        num_sub_devices "NumSubDevices": u16,
        sub_devices "SubDevices": Handle,
    }
    AccelerationModes = "mfxAccelerationModeDescription" {
        version "Version": u16,
        reserved: [u16; 2],
        count "NumAccelerationModes": u16,
        modes "Mode": *const i32,
    }
    PoolPolicies = "mfxPoolPolicyDescription" {
        version "Version": u16,
        reserved: [u16; 2],
        count "NumPoolPolicies": u16,
        policies "Policy": *const i32,
    }
    ImplDescription = "mfxImplDescription" {
        version "Version": u16,
        kind "Impl": i32,
        acceleration "AccelerationMode": i32,
        api_version "ApiVersion": Version,
        name "ImplName": [u8; 32],
        license "License": [u8; 128],
        keywords "Keywords": [u8; 128],
        vendor_id "VendorID": u32,
        vendor_impl_id "VendorImplID": u32,
        device "Dev": DeviceDescription,
        decoders "Dec": DecoderDescription,
        encoders "Enc": EncoderDescription,
        filters "VPP": VppDescription,
        acceleration_modes "AccelerationModeDescription": AccelerationModes,
        pool_policies "PoolPolicies": PoolPolicies,
        reserved: [u32; 8],
        num_ext_param "NumExtParam": u32,
        ext_params "ExtParams": Handle,
    }
    DeviceId = "mfxExtendedDeviceId" {
        version "Version": u16,
        vendor_id "VendorID": u16,
        device_id "DeviceID": u16,
        pci_domain "PCIDomain": u32,
        pci_bus "PCIBus": u32,
        pci_device "PCIDevice": u32,
        pci_function "PCIFunction": u32,
        luid "DeviceLUID": [u8; 8],
        luid_node_mask "LUIDDeviceNodeMask": u32,
        luid_valid "LUIDValid": u32,
        render_node "DRMRenderNodeNum": u32,
        primary_node "DRMPrimaryNodeNum": u32,
        reserved: [u8; 20],
        name "DeviceName": [u8; 128],
    }
}
