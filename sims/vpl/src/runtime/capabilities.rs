//! What the dispatcher asks before there is a session: descriptions of the implementation, which stay where they are for ever.

use std::ffi::CStr;
use std::sync::OnceLock;

use super::machine::{Codec, Machine};
use crate::abi::{
    self, FOURCC_NV12, FOURCC_P010, FOURCC_RGB4, Handle, Status, decmemdesc, decoder, decprofile, encmemdesc,
    encoder, encprofile, filter, format, memdesc, mfxAccelerationModeDescription, mfxDecoderDescription,
    mfxDeviceDescription, mfxEncoderDescription, mfxExtendedDeviceId, mfxImplDescription,
    mfxImplementedFunctions, mfxPoolPolicyDescription, mfxRange32U, mfxVPPDescription,
};
use crate::core::{Out, config, exports};

/// The version of the interface.
pub const VERSION: (u16, u16) = (2, 8);

/// Every exported function but the two of this file.
pub const FUNCTIONS: [&CStr; 53] = [
    c"MFXInitialize",
    c"MFXInit",
    c"MFXInitEx",
    c"MFXClose",
    c"MFXQueryIMPL",
    c"MFXQueryVersion",
    c"MFXJoinSession",
    c"MFXDisjoinSession",
    c"MFXCloneSession",
    c"MFXSetPriority",
    c"MFXGetPriority",
    c"MFXVideoCORE_SetFrameAllocator",
    c"MFXVideoCORE_SetHandle",
    c"MFXVideoCORE_GetHandle",
    c"MFXVideoCORE_QueryPlatform",
    c"MFXVideoCORE_SyncOperation",
    c"MFXMemory_GetSurfaceForVPP",
    c"MFXMemory_GetSurfaceForVPPOut",
    c"MFXMemory_GetSurfaceForEncode",
    c"MFXMemory_GetSurfaceForDecode",
    c"MFXVideoENCODE_Query",
    c"MFXVideoENCODE_QueryIOSurf",
    c"MFXVideoENCODE_Init",
    c"MFXVideoENCODE_Reset",
    c"MFXVideoENCODE_Close",
    c"MFXVideoENCODE_GetVideoParam",
    c"MFXVideoENCODE_GetEncodeStat",
    c"MFXVideoENCODE_EncodeFrameAsync",
    c"MFXVideoDECODE_Query",
    c"MFXVideoDECODE_DecodeHeader",
    c"MFXVideoDECODE_QueryIOSurf",
    c"MFXVideoDECODE_Init",
    c"MFXVideoDECODE_Reset",
    c"MFXVideoDECODE_Close",
    c"MFXVideoDECODE_GetVideoParam",
    c"MFXVideoDECODE_GetDecodeStat",
    c"MFXVideoDECODE_SetSkipMode",
    c"MFXVideoDECODE_GetPayload",
    c"MFXVideoDECODE_DecodeFrameAsync",
    c"MFXVideoVPP_Query",
    c"MFXVideoVPP_QueryIOSurf",
    c"MFXVideoVPP_Init",
    c"MFXVideoVPP_Reset",
    c"MFXVideoVPP_Close",
    c"MFXVideoVPP_GetVideoParam",
    c"MFXVideoVPP_GetVPPStat",
    c"MFXVideoVPP_RunFrameVPPAsync",
    c"MFXVideoVPP_ProcessFrameAsync",
    c"MFXVideoDECODE_VPP_Init",
    c"MFXVideoDECODE_VPP_DecodeFrameAsync",
    c"MFXVideoDECODE_VPP_Reset",
    c"MFXVideoDECODE_VPP_GetChannelParam",
    c"MFXVideoDECODE_VPP_Close",
];

/// A list that is never freed.
fn list<T>(items: Vec<T>) -> (u16, *mut T) {
    let items = Vec::leak(items);
    (items.len() as u16, items.as_mut_ptr())
}

fn text<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}

fn sizes(most: u16) -> mfxRange32U {
    mfxRange32U { Min: 16, Max: most.into(), Step: 16 }
}

const MEMORY: [i32; 2] = [abi::RESOURCE_SYSTEM_SURFACE, abi::RESOURCE_VA_SURFACE];

/// Each profile once, with its formats.
fn profiles(codec: &Codec) -> Vec<(u16, Vec<u32>)> {
    let mut all: Vec<(u16, Vec<u32>)> = Vec::new();
    for &(profile, format) in codec.profiles {
        match all.iter_mut().find(|(known, _)| *known == profile) {
            Some((_, formats)) => formats.push(format),
            None => all.push((profile, vec![format])),
        }
    }
    all
}

fn decoders(machine: &Machine) -> mfxDecoderDescription {
    let codec = |codec: &Codec| {
        let profile = |(profile, formats): (u16, Vec<u32>)| {
            let memory = |&kind: &i32| {
                let mut memory = decmemdesc::zeroed();
                (memory.MemHandleType, memory.Width, memory.Height) =
                    (kind, sizes(codec.most), sizes(codec.most));
                (memory.NumColorFormats, memory.ColorFormats) = list(formats.clone());
                memory
            };
            let mut answer = decprofile { Profile: profile.into(), ..decprofile::zeroed() };
            (answer.NumMemTypes, answer.MemDesc) = list(MEMORY.iter().map(memory).collect());
            answer
        };
        let mut answer = decoder { CodecID: codec.id, MaxcodecLevel: codec.level, ..decoder::zeroed() };
        (answer.NumProfiles, answer.Profiles) = list(profiles(codec).into_iter().map(profile).collect());
        answer
    };
    let mut answer = mfxDecoderDescription { Version: 0x100, ..mfxDecoderDescription::zeroed() };
    (answer.NumCodecs, answer.Codecs) = list(machine.decodes.iter().map(codec).collect());
    answer
}

fn encoders(machine: &Machine) -> mfxEncoderDescription {
    let codec = |codec: &Codec| {
        let profile = |(profile, formats): (u16, Vec<u32>)| {
            let memory = |&kind: &i32| {
                let mut memory = encmemdesc::zeroed();
                (memory.MemHandleType, memory.Width, memory.Height) =
                    (kind, sizes(codec.most), sizes(codec.most));
                (memory.NumColorFormats, memory.ColorFormats) = list(formats.clone());
                memory
            };
            let mut answer = encprofile { Profile: profile.into(), ..encprofile::zeroed() };
            (answer.NumMemTypes, answer.MemDesc) = list(MEMORY.iter().map(memory).collect());
            answer
        };
        let mut answer = encoder { CodecID: codec.id, MaxcodecLevel: codec.level, ..encoder::zeroed() };
        answer.BiDirectionalPrediction = codec.reorders.into();
        (answer.NumProfiles, answer.Profiles) = list(profiles(codec).into_iter().map(profile).collect());
        answer
    };
    let mut answer = mfxEncoderDescription { Version: 0x100, ..mfxEncoderDescription::zeroed() };
    (answer.NumCodecs, answer.Codecs) = list(machine.encodes.iter().map(codec).collect());
    answer
}

fn filters() -> mfxVPPDescription {
    let all = [FOURCC_NV12, FOURCC_P010, FOURCC_RGB4];
    let conversion = |&from: &u32| {
        let mut answer = format { InFormat: from, ..format::zeroed() };
        (answer.NumOutFormat, answer.OutFormats) = list(all.to_vec());
        answer
    };
    let memory = |&kind: &i32| {
        let mut memory = memdesc::zeroed();
        (memory.MemHandleType, memory.Width, memory.Height) = (kind, sizes(16384), sizes(16384));
        (memory.NumInFormats, memory.Formats) = list(all.iter().map(conversion).collect());
        memory
    };
    let one = |id: u32| {
        let mut answer = filter { FilterFourCC: id, ..filter::zeroed() };
        (answer.NumMemTypes, answer.MemDesc) = list(MEMORY.iter().map(memory).collect());
        answer
    };
    let mut answer = mfxVPPDescription { Version: 0x100, ..mfxVPPDescription::zeroed() };
    let ids = [abi::EXTBUFF_VPP_SCALING, abi::EXTBUFF_VPP_COLOR_CONVERSION];
    (answer.NumFilters, answer.Filters) = list(ids.into_iter().map(one).collect());
    answer
}

fn description(number: usize, machine: &Machine) -> mfxImplDescription {
    let mut answer = mfxImplDescription { Version: 0x102, ..mfxImplDescription::zeroed() };
    let software = config().settings.software;
    (answer.Impl, answer.AccelerationMode) = match software {
        true => (abi::IMPL_TYPE_SOFTWARE, 0),
        false if cfg!(windows) => (abi::IMPL_TYPE_HARDWARE, abi::ACCEL_MODE_VIA_D3D11),
        false => (abi::IMPL_TYPE_HARDWARE, abi::ACCEL_MODE_VIA_VAAPI),
    };
    answer.ApiVersion = super::session::version();
    answer.ImplName = text("mfx-gen");
    answer.License = text("simulated: MIT or Apache-2.0");
    answer.Keywords = text("MSDK,x64,simulated");
    (answer.VendorID, answer.VendorImplID) = (0x8086, number as u32);
    let mut device = mfxDeviceDescription {
        Version: 0x101,
        MediaAdapterType: machine.adapter,
        ..mfxDeviceDescription::zeroed()
    };
    device.DeviceID = text(&format!("{:04x}/{number}", machine.device));
    answer.Dev = device;
    (answer.Dec, answer.Enc, answer.VPP) = (decoders(machine), encoders(machine), filters());
    let mut modes =
        mfxAccelerationModeDescription { Version: 0x100, ..mfxAccelerationModeDescription::zeroed() };
    (modes.NumAccelerationModes, modes.Mode) = list(vec![answer.AccelerationMode]);
    answer.AccelerationModeDescription = modes;
    let mut policies = mfxPoolPolicyDescription { Version: 0x100, ..mfxPoolPolicyDescription::zeroed() };
    let known = [abi::ALLOCATION_OPTIMAL, abi::ALLOCATION_UNLIMITED, abi::ALLOCATION_LIMITED];
    (policies.NumPoolPolicies, policies.Policy) = list(known.to_vec());
    answer.PoolPolicies = policies;
    answer
}

fn functions() -> mfxImplementedFunctions {
    let names = FUNCTIONS.iter().map(|name| name.as_ptr().cast::<u8>());
    let (count, names) = list(names.collect::<Vec<_>>());
    mfxImplementedFunctions { NumFunctions: count, FunctionsName: names }
}

fn device(number: usize, machine: &Machine) -> mfxExtendedDeviceId {
    mfxExtendedDeviceId {
        Version: 0x100,
        VendorID: 0x8086,
        DeviceID: machine.device,
        PCIBus: if number == 0 { 0 } else { 3 },
        PCIDevice: if number == 0 { 2 } else { 0 },
        DRMRenderNodeNum: 128 + number as u32,
        DRMPrimaryNodeNum: number as u32,
        DeviceName: text(machine.title),
        ..mfxExtendedDeviceId::zeroed()
    }
}

/// Addresses of an array with one pointer for each format.
fn described(form: i32) -> Option<usize> {
    static ARRAYS: OnceLock<[usize; 3]> = OnceLock::new();
    fn array<T>(make: impl Fn((usize, &'static Machine)) -> T) -> usize {
        let each = config().gpus().into_iter().enumerate().map(make);
        let inside: Vec<Handle> =
            each.map(|one| std::ptr::from_mut(Box::leak(Box::new(one))).cast()).collect();
        Vec::leak(inside).as_mut_ptr().expose_provenance()
    }
    let at = match form {
        abi::IMPLCAPS_IMPLDESCSTRUCTURE => 0,
        abi::IMPLCAPS_IMPLEMENTEDFUNCTIONS => 1,
        abi::IMPLCAPS_DEVICE_ID_EXTENDED => 2,
        _ => return None,
    };
    let arrays = ARRAYS.get_or_init(|| {
        [
            array(|(number, machine)| description(number, machine)),
            array(|_| functions()),
            array(|(number, machine)| device(number, machine)),
        ]
    });
    config().has_gpu().then(|| arrays[at])
}

exports! {
    /// Describes the implementations: one for each GPU.
    fn MFXQueryImplsDescription(form: i32, count: Out<u32>) -> *mut Handle = std::ptr::null_mut(); {
        match described(form) {
            Some(array) if !count.is_null() => {
                count.put(config().gpus().len() as u32);
                std::ptr::with_exposed_provenance_mut(array)
            }
            _ => {
                count.put(0);
                std::ptr::null_mut()
            }
        }
    }

    /// Nothing is to be done.
    fn MFXReleaseImplDescription(description: Handle) -> Status = abi::ERR_UNKNOWN; {
        abi::ERR_NONE
    }
}
