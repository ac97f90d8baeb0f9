//! The GPUs that Intel's runtime finds. Implementations in software are passed over: better ones decode on the CPU.

use std::fmt::Write as _;
use std::ptr;
use std::sync::Mutex;

use super::abi::names::{
    ACCEL_MODE_VIA_D3D11, ACCEL_MODE_VIA_VAAPI, IMPL_TYPE_HARDWARE, IMPLCAPS_DEVICE_ID_EXTENDED,
    IMPLCAPS_IMPLDESCSTRUCTURE,
};
use super::abi::{DeviceId, Handle, ImplDescription, InitializationParam, Version};
use super::calling;
use super::library::{Api, Missing, api};
use super::nodes;
use super::status::Status;
use crate::backend::BackendKind;
use crate::error::{Error, Remedy, Result};
use crate::sync::lock;

/// The first version whose surfaces the runtime makes itself.
const OLDEST: (u16, u16) = (2, 0);

/// More than any machine has: a longer list is not believed.
const MOST: u32 = 64;

/// A GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Adapter {
    /// Its place among those that are counted here.
    pub(crate) ordinal: u32,
    pub(crate) name: String,
    /// PCI address, or what else tells it apart.
    pub(crate) id: String,
    /// The number of its render node.
    pub(crate) render_node: u32,
    pub(crate) version: (u16, u16),
    /// The runtime's number of it.
    index: u32,
}

impl Adapter {
    fn is_same_gpu(&self, other: &Self) -> bool {
        self.id == other.id && self.render_node == other.render_node
    }
}

/// What was found: the GPUs, or why there is none.
type Found = Result<Vec<Adapter>, Missing>;

static FOUND: Mutex<Option<Found>> = Mutex::new(None);

/// Looks once, and gives one thread after the other what was found.
fn with<T>(api: &Api, work: impl FnOnce(&Found) -> T) -> T {
    // A thread that waits for one whose call does not return is watched as that one is.
    let mut found = calling("MFXInitialize", || lock(&FOUND));
    work(found.get_or_insert_with(|| look(api)))
}

/// The GPUs of this machine.
///
/// # Errors
/// There is none, with the reason.
pub(crate) fn adapters() -> Result<Vec<Adapter>> {
    with(api()?, Clone::clone).map_err(|missing| missing.error())
}

/// The GPU of this number, identifier or render node; the first if none is named.
///
/// # Errors
/// As [`adapters`], or there is no such one.
pub(crate) fn choose(device: Option<&str>) -> Result<Adapter> {
    let adapters = adapters()?;
    let Some(device) = device else {
        return adapters.into_iter().next().ok_or_else(|| none(&[]).error());
    };
    let node = device.strip_prefix("/dev/dri/renderD").and_then(|number| number.parse().ok());
    let is = |adapter: &&Adapter| {
        device.parse() == Ok(adapter.ordinal) || adapter.id == device || node == Some(adapter.render_node)
    };
    adapters.iter().find(is).cloned().ok_or_else(|| {
        let known = adapters.iter().map(|adapter| format!("{} ({})", adapter.ordinal, adapter.id));
        Error::invalid(format!("there is no GPU of Intel's {device:?}"))
            .with_remedy(Remedy::Allowed(known.collect::<Vec<_>>().join(", ")))
    })
}

/// A session on a GPU.
///
/// # Errors
/// The runtime refuses.
pub(super) fn create(adapter: &Adapter) -> Result<Handle> {
    let api = api()?;
    let mut session = ptr::null_mut();
    let call = "MFXInitialize";
    // One session is opened at a time.
    let status = with(api, |_| {
        let acceleration = if cfg!(windows) { ACCEL_MODE_VIA_D3D11 } else { ACCEL_MODE_VIA_VAAPI };
        let parameters = InitializationParam {
            acceleration,
            vendor_impl_id: adapter.index,
            ..InitializationParam::default()
        };
        // SAFETY: parameters without extensions, and room for a session.
        calling(call, || unsafe { (api.runtime.MFXInitialize)(parameters, &raw mut session) })
    });
    match status {
        // What a runtime says that cannot open its device.
        _ if status.is_lost() || matches!(status, Status::UNSUPPORTED | Status::NOT_FOUND) => {
            let tried = format!("{call} answered {} ({})", status.message(), status.0);
            Err(nodes::why_none(&[tried]).error())
        }
        _ => status.ok(call).and_then(|()| {
            let nothing = || Error::Backend {
                backend: BackendKind::Qsv,
                call,
                code: 0,
                detail: "there is no session in its answer".to_owned(),
            };
            if session.is_null() { Err(nothing()) } else { Ok(session) }
        }),
    }
}

/// What is to be said where there is no GPU.
fn none(passed_over: &[String]) -> Missing {
    let mut tried = vec!["oneVPL finds no GPU".to_owned()];
    tried.extend_from_slice(passed_over);
    nodes::why_none(&tried)
}

fn look(api: &Api) -> Found {
    let mut adapters = Vec::new();
    let mut passed_over = Vec::new();
    let nodes = nodes::numbers();
    let mut take = |description: &ImplDescription, device: Option<&DeviceId>| {
        match adapter(adapters.len() as u32, description.vendor_impl_id, description, device, &nodes) {
            // A runtime may list a GPU more than once.
            Ok(adapter) if adapters.iter().any(|known: &Adapter| known.is_same_gpu(&adapter)) => {}
            Ok(adapter) => adapters.push(adapter),
            Err(reason) => passed_over.extend(reason),
        }
    };
    let describe = |form| {
        let mut count = 0;
        // SAFETY: room for a number.
        let list = calling("MFXQueryImplsDescription", || unsafe {
            (api.runtime.MFXQueryImplsDescription)(form, &raw mut count)
        });
        (list, if list.is_null() { 0 } else { count.min(MOST) })
    };
    let (list, count) = describe(IMPLCAPS_IMPLDESCSTRUCTURE);
    let (devices, known) = describe(IMPLCAPS_DEVICE_ID_EXTENDED);
    for index in 0..count {
        // SAFETY: as many pointers to structures of the forms that were asked for as the runtime says.
        unsafe {
            let description = (*list.add(index as usize)).cast::<ImplDescription>();
            let device = if index < known { *devices.add(index as usize) } else { ptr::null_mut() };
            if let Some(description) = description.as_ref() {
                take(description, device.cast::<DeviceId>().as_ref());
            }
        }
    }
    for (list, count) in [(list, count), (devices, known)] {
        if count > 0 {
            // SAFETY: the list came from this runtime, and no reference to it remains.
            unsafe { (api.runtime.MFXReleaseImplDescription)(list.cast()) };
        }
    }
    if adapters.is_empty() { Err(none(&passed_over)) } else { Ok(adapters) }
}

/// What an implementation says of its GPU, where the kernel has these render nodes of Intel's; an error is why it is passed over,
/// if that is worth a word.
fn adapter(
    ordinal: u32,
    index: u32,
    description: &ImplDescription,
    device: Option<&DeviceId>,
    nodes: &[u32],
) -> Result<Adapter, Option<String>> {
    if description.kind != IMPL_TYPE_HARDWARE {
        return Err(None);
    }
    let Version { major, minor } = description.api_version;
    if (major, minor) < OLDEST {
        return Err(Some(format!(
            "{} has version {major}.{minor} of the interface, and {}.{} is needed",
            text(&description.name),
            OLDEST.0,
            OLDEST.1
        )));
    }
    let told = text(&description.device.device_id);
    // `56a0/0`: the device and its number.
    let number = told.rsplit('/').next().and_then(|number| number.parse::<u32>().ok()).unwrap_or(ordinal);
    let mut id = told;
    let mut name = String::new();
    // Older runtimes do not tell the node; others' GPUs may have those before it.
    let mut render_node =
        nodes.get(number as usize).copied().unwrap_or_else(|| 128_u32.saturating_add(number));
    if let Some(device) = device {
        id.clear();
        let _ = write!(
            id,
            "{:04x}:{:02x}:{:02x}.{:x}",
            device.pci_domain, device.pci_bus, device.pci_device, device.pci_function
        );
        name = text(&device.name);
        if device.render_node != 0 {
            render_node = device.render_node;
        }
    }
    if name.is_empty() {
        name = format!("Intel GPU {id}");
    }
    Ok(Adapter { ordinal, name, id, render_node, version: (major, minor), index })
}

/// A text that ends with a zero, or with its room.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(kind: i32, version: (u16, u16)) -> ImplDescription {
        let mut description = ImplDescription {
            kind,
            api_version: Version { major: version.0, minor: version.1 },
            ..ImplDescription::default()
        };
        description.device.device_id[..6].copy_from_slice(b"56a0/1");
        description.name[..3].copy_from_slice(b"old");
        description
    }

    #[test]
    fn only_hardware_of_the_new_interface_is_taken() {
        let hardware = description(IMPL_TYPE_HARDWARE, (2, 8));
        let plain = adapter(0, 3, &hardware, None, &[]).unwrap();
        assert_eq!((plain.id.as_str(), plain.render_node, plain.index), ("56a0/1", 129, 3));
        assert!(plain.name.contains("56a0/1"));
        // NVIDIA's card has 128 here.
        let behind = adapter(0, 3, &hardware, None, &[129, 130]).unwrap();
        assert_eq!(behind.render_node, 130);
        assert!(plain.is_same_gpu(&plain) && !plain.is_same_gpu(&behind));
        let mut device = DeviceId { pci_bus: 3, render_node: 130, ..DeviceId::default() };
        device.name[..3].copy_from_slice(b"Arc");
        let told = adapter(1, 0, &hardware, Some(&device), &[]).unwrap();
        assert_eq!((told.id.as_str(), told.name.as_str(), told.render_node), ("0000:03:00.0", "Arc", 130));
        assert_eq!(adapter(0, 0, &description(1, (2, 8)), None, &[]), Err(None), "software");
        let old = adapter(0, 0, &description(IMPL_TYPE_HARDWARE, (1, 35)), None, &[]).unwrap_err().unwrap();
        assert!(old.contains("old has version 1.35"), "{old}");
    }
}
