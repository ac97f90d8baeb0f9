//! Device memory that an encoder reads pictures from, without a copy: registered once, mapped while a picture in it is
//! inside the encoder.
//!
//! Frames come from pools, so that the same few allocations come again and again, and registrations are kept. Each owns
//! a share of its memory: what the driver knows cannot be freed. When the owner of the memory frees it, every encoder
//! lets go of it at once ([`forget`]), so that memory is given back when it is asked for and not when some encoder next
//! has work.
//!
//! The order that the driver wants (end of stream, outputs taken, unmapped, unregistered, memory freed, session
//! destroyed) is that of ownership: a mapping holds its registration, and that holds the memory and the encoder.

use std::sync::{Arc, Mutex, Weak};

use super::memory::{Allocation, DeviceBlock};
use super::nvenc::Encoder;
use super::nvenc_abi::{Handle, MapResource, RegisterResource};
use super::nvenc_buffers::Picture;
use super::nvenc_names::RESOURCE_CUDA;
use super::nvenc_version::Shape;
use crate::backend::BackendKind;
use crate::error::{Error, Result};
use crate::sync::lock;

/// Registrations kept for each encoder. Pools use what came back last first, so that there are about as many as
/// pictures between the decoder and this encoder; a decoder that works far ahead has more, and its pictures are
/// registered anew.
const KEPT: usize = 128;

/// How a picture lies in its memory: the planes one below the other with one pitch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    /// Where the first plane begins.
    pub(crate) address: u64,
    /// Bytes from one row to the next, a multiple of four.
    pub(crate) pitch: usize,
    /// Rows of all planes together.
    pub(crate) rows: usize,
}

/// Memory that an encoder knows.
#[derive(Debug)]
struct Registration {
    placement: Placement,
    handle: Handle,
    /// Width and height of the picture.
    size: (u32, u32),
    /// The one mapping that there may be, and how many pictures use it.
    mapping: Mutex<Option<Mapping>>,
    // Let go of in this order, when the driver has let go of them.
    memory: Arc<Allocation>,
    encoder: Arc<Encoder>,
}

#[derive(Debug)]
struct Mapping {
    handle: Handle,
    /// As the driver wants it to be called when a picture is handed over.
    format: u32,
    users: usize,
}

// SAFETY: handles are not bound to a thread; the library locks inside.
unsafe impl Send for Registration {}
// SAFETY: as above; what changes is behind the mutex.
unsafe impl Sync for Registration {}

impl Registration {
    fn new(
        encoder: &Arc<Encoder>,
        memory: &Arc<Allocation>,
        placement: Placement,
        (size, format): ((u32, u32), u32),
    ) -> Result<Self> {
        let session = &encoder.session;
        let pitch = u32::try_from(placement.pitch).map_err(|_| Error::invalid("a pitch beyond 32 bits"))?;
        let mut params = RegisterResource {
            version: session.nvenc.api.of(Shape::RegisterResource),
            kind: RESOURCE_CUDA,
            width: size.0,
            height: size.1,
            pitch,
            resource: placement.address,
            format,
            ..RegisterResource::default()
        };
        let _current = session.context.enter()?;
        // SAFETY: a whole structure of the asserted size; the memory was found to hold the picture, and is held until
        // the registration is gone.
        let status = unsafe { (session.nvenc.functions.register_resource)(session.handle, &raw mut params) };
        status.ok("nvEncRegisterResource")?;
        Ok(Self {
            placement,
            handle: params.registered,
            size,
            mapping: Mutex::new(None),
            memory: Arc::clone(memory),
            encoder: Arc::clone(encoder),
        })
    }

    /// Maps the memory, or joins the mapping that another picture uses: a frame may be encoded several times over.
    fn map(self: &Arc<Self>) -> Result<MappedInput> {
        let session = &self.encoder.session;
        let mut mapping = lock(&self.mapping);
        let (handle, format) = if let Some(mapping) = mapping.as_mut() {
            mapping.users += 1;
            (mapping.handle, mapping.format)
        } else {
            let mut params = MapResource {
                version: session.nvenc.api.of(Shape::MapResource),
                registered: self.handle,
                ..MapResource::default()
            };
            let _current = session.context.enter()?;
            // SAFETY: a whole structure of the asserted size; the memory is registered and not mapped.
            let status = unsafe { (session.nvenc.functions.map_resource)(session.handle, &raw mut params) };
            status.ok("nvEncMapInputResource")?;
            *mapping = Some(Mapping { handle: params.mapped, format: params.format, users: 1 });
            (params.mapped, params.format)
        };
        Ok(MappedInput { registration: Arc::clone(self), handle, format })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let session = &self.encoder.session;
        let _current = session.context.enter().ok();
        // SAFETY: registered by `new`, unregistered once; mappings hold their registration, so there is none.
        unsafe { (session.nvenc.functions.unregister_resource)(session.handle, self.handle) };
    }
}

/// A picture in device memory that the encoder may read. To be dropped when the output of the picture was taken: the
/// driver reads it until then. It does not keep a pool from writing the memory; whoever has it holds the frame, too.
#[derive(Debug)]
pub(crate) struct MappedInput {
    registration: Arc<Registration>,
    handle: Handle,
    format: u32,
}

// SAFETY: as for registrations.
unsafe impl Send for MappedInput {}

impl MappedInput {
    /// For handing the picture over.
    pub(crate) fn picture(&self) -> Picture<'_> {
        let Registration { encoder, size, .. } = &*self.registration;
        Picture { encoder, handle: self.handle, format: self.format, size: *size }
    }
}

impl Drop for MappedInput {
    fn drop(&mut self) {
        let session = &self.registration.encoder.session;
        let mut mapping = lock(&self.registration.mapping);
        let Some(users) = mapping.as_mut().map(|mapping| &mut mapping.users) else { return };
        *users -= 1;
        if *users > 0 {
            return;
        }
        *mapping = None;
        let _current = session.context.enter().ok();
        // SAFETY: mapped by `map`, unmapped once, by the last picture that uses it. Under the lock, so that nobody maps
        // the memory before the driver knows that it is unmapped.
        unsafe { (session.nvenc.functions.unmap_resource)(session.handle, self.handle) };
    }
}

/// The memory that one encoder knows.
#[derive(Debug)]
pub(crate) struct Registrations {
    encoder: Arc<Encoder>,
    /// `NV_ENC_BUFFER_FORMAT` of the pictures.
    format: u32,
    /// Their width and height.
    size: (u32, u32),
    /// The one used last comes last.
    kept: Mutex<Vec<Arc<Registration>>>,
}

/// Those of all encoders.
static ALL: Mutex<Vec<Weak<Registrations>>> = Mutex::new(Vec::new());

impl Registrations {
    pub(crate) fn new(encoder: &Arc<Encoder>, format: u32, size: (u32, u32)) -> Arc<Self> {
        let own = Arc::new(Self { encoder: Arc::clone(encoder), format, size, kept: Mutex::default() });
        let mut all = lock(&ALL);
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(&own));
        own
    }

    /// Makes a picture of the encoder's size and format readable for it.
    ///
    /// # Errors
    /// Memory of another context, or too little of it; [`Error::OutOfMemory`]; a failing driver.
    pub(crate) fn map(&self, block: &DeviceBlock, placement: Placement) -> Result<MappedInput> {
        let memory = block.allocation();
        check(memory, &self.encoder, placement)?;
        self.find(memory, placement)?.map()
    }

    fn find(&self, memory: &Arc<Allocation>, placement: Placement) -> Result<Arc<Registration>> {
        let same =
            |kept: &Arc<Registration>| Arc::ptr_eq(&kept.memory, memory) && kept.placement == placement;
        let mut kept = lock(&self.kept);
        // From the end: what was used last is what comes next.
        let found = kept.iter().rposition(same).map(|at| kept.remove(at));
        // Calls of the driver are not made under the lock: memory may be freed meanwhile.
        let oldest = if found.is_none() && kept.len() >= KEPT { Some(kept.remove(0)) } else { None };
        drop(kept);
        drop(oldest);
        let registration = match found {
            Some(found) => found,
            None => Arc::new(Registration::new(&self.encoder, memory, placement, (self.size, self.format))?),
        };
        lock(&self.kept).push(Arc::clone(&registration));
        Ok(registration)
    }
}

/// The owner of this memory frees it: no encoder has use for it any more. Frames hold their memory, so that no picture in
/// it is inside an encoder.
pub(super) fn forget(memory: &Arc<Allocation>) {
    let all: Vec<_> = lock(&ALL).iter().filter_map(Weak::upgrade).collect();
    for registrations in all {
        let mut kept = lock(&registrations.kept);
        let gone: Vec<_> = kept.extract_if(.., |kept| Arc::ptr_eq(&kept.memory, memory)).collect();
        drop(kept);
        drop(gone);
    }
}

/// The driver takes an address on trust: what lies there is looked at before.
fn check(memory: &Arc<Allocation>, encoder: &Encoder, placement: Placement) -> Result<()> {
    let Placement { address, pitch, rows } = placement;
    let offset = address.checked_sub(memory.address()).and_then(|offset| usize::try_from(offset).ok());
    let end = pitch.checked_mul(rows).zip(offset).and_then(|(bytes, offset)| bytes.checked_add(offset));
    let inside = end.is_some_and(|end| end <= memory.bytes()) && pitch.is_multiple_of(4);
    if inside && Arc::ptr_eq(memory.context(), &encoder.session.context) {
        return Ok(());
    }
    Err(Error::Backend {
        backend: BackendKind::Nvidia,
        call: "nvEncRegisterResource",
        code: 0,
        detail: format!(
            "{placement:?} is not inside {} bytes at {:#x} of device {}",
            memory.bytes(),
            memory.address(),
            encoder.session.context.ordinal()
        ),
    })
}
