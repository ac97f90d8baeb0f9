//! The CUDA driver API: devices, one shared primary context each, streams, events and memory.
//!
//! Contexts: CUDA users of one process (this library, PyTorch, wgpu's interop) meet in a device's *primary* context;
//! it is retained here and never created anew. Every wrapper makes it current for the length of a call and puts
//! back what was current before, so that the caller's thread keeps its own context.
//!
//! Drop order: memory, events and streams hold their context, so that it is released after all of them.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use super::calling;
use super::library::{self, Missing, Name, Once, functions};
use super::result::CuResult;
use crate::capability::{DeviceInfo, DeviceMemory};
use crate::error::{Error, Remedy, Result};
use crate::frame::DevicePlane;
use crate::hang;
use crate::sync::lock;

type Handle = *mut c_void;

functions! {
    /// Functions of libcuda.
    Functions of Name::Cuda => {
        init: "cuInit" fn(c_uint);
        driver_version: "cuDriverGetVersion" fn(*mut c_int);
        device_count: "cuDeviceGetCount" fn(*mut c_int);
        device_name: "cuDeviceGetName" fn(*mut c_char, c_int, c_int);
        device_uuid: "cuDeviceGetUuid" fn(*mut [u8; 16], c_int);
        device_memory: "cuDeviceTotalMem_v2" fn(*mut usize, c_int);
        primary_retain: "cuDevicePrimaryCtxRetain" fn(*mut Handle, c_int);
        primary_release: "cuDevicePrimaryCtxRelease_v2" fn(c_int);
        ctx_push: "cuCtxPushCurrent_v2" fn(Handle);
        ctx_pop: "cuCtxPopCurrent_v2" fn(*mut Handle);
        memory_info: "cuMemGetInfo_v2" fn(*mut usize, *mut usize);
        device_alloc: "cuMemAlloc_v2" fn(*mut u64, usize);
        device_free: "cuMemFree_v2" fn(u64);
        host_alloc: "cuMemHostAlloc" fn(*mut Handle, usize, c_uint);
        host_free: "cuMemFreeHost" fn(Handle);
        copy_2d: "cuMemcpy2DAsync_v2" fn(*const Copy2D, Handle);
        stream_create: "cuStreamCreate" fn(*mut Handle, c_uint);
        stream_destroy: "cuStreamDestroy_v2" fn(Handle);
        stream_synchronize: "cuStreamSynchronize" fn(Handle);
        event_create: "cuEventCreate" fn(*mut Handle, c_uint);
        event_destroy: "cuEventDestroy_v2" fn(Handle);
        event_record: "cuEventRecord" fn(Handle, Handle);
        event_query: "cuEventQuery" fn(Handle);
        event_synchronize: "cuEventSynchronize" fn(Handle);
        event_elapsed: "cuEventElapsedTime" fn(*mut f32, Handle, Handle);
    }
}

/// `CUDA_MEMCPY2D`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copy2D {
    src_x: usize,
    src_y: usize,
    src_kind: c_uint,
    src_host: *const c_void,
    src_device: u64,
    src_array: Handle,
    src_pitch: usize,
    dst_x: usize,
    dst_y: usize,
    dst_kind: c_uint,
    dst_host: *mut c_void,
    dst_device: u64,
    dst_array: Handle,
    dst_pitch: usize,
    width: usize,
    height: usize,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Copy2D>() == 128);

impl Copy2D {
    const EMPTY: Self = Self {
        src_x: 0,
        src_y: 0,
        src_kind: KIND_DEVICE,
        src_host: std::ptr::null(),
        src_device: 0,
        src_array: std::ptr::null_mut(),
        src_pitch: 0,
        dst_x: 0,
        dst_y: 0,
        dst_kind: KIND_DEVICE,
        dst_host: std::ptr::null_mut(),
        dst_device: 0,
        dst_array: std::ptr::null_mut(),
        dst_pitch: 0,
        width: 0,
        height: 0,
    };

    /// The rows are packed in host memory.
    pub(super) const fn device_to_host(from: &DevicePlane, to: *mut c_void) -> Self {
        Self {
            src_device: from.address,
            src_pitch: from.pitch,
            dst_kind: KIND_HOST,
            dst_host: to,
            dst_pitch: from.row_bytes,
            width: from.row_bytes,
            height: from.rows,
            ..Self::EMPTY
        }
    }

    /// The samples of `from` go to the rows of `to`.
    pub(super) const fn device_to_device(from: &DevicePlane, to: &DevicePlane) -> Self {
        Self {
            src_device: from.address,
            src_pitch: from.pitch,
            dst_device: to.address,
            dst_pitch: to.pitch,
            width: from.row_bytes,
            height: from.rows,
            ..Self::EMPTY
        }
    }
}

const KIND_HOST: c_uint = 1;
const KIND_DEVICE: c_uint = 2;
const STREAM_NON_BLOCKING: c_uint = 1;
const EVENT_BLOCKING_SYNC: c_uint = 1;
/// Oldest driver that is tried: CUDA 11.4 (470), the oldest with all functions of the table and still maintained.
const OLDEST_DRIVER: c_int = 11040;

/// The loaded and initialised driver.
#[derive(Debug)]
pub(crate) struct Cuda {
    pub(super) functions: Functions,
    devices: i32,
    /// `cuDriverGetVersion`
    pub(crate) version: i32,
}

/// The driver, loaded and initialised at the first call.
///
/// # Errors
/// [`Error::Unavailable`] with what is missing and what to do.
pub(crate) fn cuda() -> Result<&'static Cuda> {
    static CUDA: Once<Cuda> = OnceLock::new();
    /// It has not started within the time that a call has. Asked again, it is not waited for again.
    static HANGS: OnceLock<Error> = OnceLock::new();
    let cuda = match (CUDA.get(), HANGS.get()) {
        (Some(cuda), _) => cuda,
        (None, Some(error)) => return Err(error.clone()),
        // All threads that ask wait for the one that starts the driver, and none of them for longer than for any call.
        (None, None) => hang::watched("vhw-driver", || Ok(calling("cuInit", || CUDA.get_or_init(load))))
            .inspect_err(|error| {
                if matches!(error, Error::Backend { .. }) {
                    let _ = HANGS.set(error.clone());
                }
            })?,
    };
    cuda.as_ref().map_err(Missing::error)
}

fn load() -> Result<Cuda, Missing> {
    let library = library::open(Name::Cuda)?;
    let functions = Functions::load(&library);
    // The driver has threads of its own: it stays loaded, whatever it answered.
    std::mem::forget(library);
    let functions = functions?;
    let missing = |code: CuResult, call: &str| {
        let remedy = match code {
            CuResult::STUB_LIBRARY => {
                "Remove the toolkit's stubs folder from LD_LIBRARY_PATH, so that the driver's libcuda is found"
            }
            CuResult::NO_DEVICE => {
                "Check that nvidia-smi lists a GPU and that CUDA_VISIBLE_DEVICES does not hide it"
            }
            CuResult(802) => "Start nvidia-fabricmanager, then try again",
            CuResult(803) => "Reboot, so that the kernel driver matches the installed libraries",
            _ => "Check that nvidia-smi works in this environment",
        };
        Missing::new(
            format!("{call} answered {} ({})", code.message(), code.0),
            Remedy::CheckDevice(remedy.into()),
        )
    };
    // SAFETY: cuInit takes no pointer.
    match unsafe { (functions.init)(0) } {
        CuResult::SUCCESS => {}
        code => return Err(missing(code, "cuInit")),
    }
    let (mut version, mut devices) = (0, 0);
    // SAFETY: both write one int.
    unsafe {
        match (functions.driver_version)(&raw mut version) {
            CuResult::SUCCESS => {}
            code => return Err(missing(code, "cuDriverGetVersion")),
        }
        match (functions.device_count)(&raw mut devices) {
            CuResult::SUCCESS if devices > 0 => {}
            CuResult::SUCCESS => return Err(missing(CuResult::NO_DEVICE, "cuDeviceGetCount")),
            code => return Err(missing(code, "cuDeviceGetCount")),
        }
    }
    if version < OLDEST_DRIVER {
        return Err(Missing::new(
            format!("the NVIDIA driver speaks CUDA {}.{} only", version / 1000, version % 1000 / 10),
            library::UPDATE_DRIVER,
        ));
    }
    Ok(Cuda { functions, devices, version })
}

impl Cuda {
    /// Number of devices that the process may see.
    pub(crate) const fn device_count(&self) -> i32 {
        self.devices
    }

    /// What a device is.
    pub(crate) fn device(&self, ordinal: i32) -> Result<DeviceInfo> {
        self.check(ordinal)?;
        let mut name = [0 as c_char; 256];
        let mut uuid = [0; 16];
        let mut memory = 0;
        // SAFETY: each call writes into the variable it is given, of the size it is told. Ordinals below the count
        // are the driver's device handles.
        unsafe {
            (self.functions.device_name)(name.as_mut_ptr(), 255, ordinal).ok("cuDeviceGetName")?;
            (self.functions.device_uuid)(&raw mut uuid, ordinal).ok("cuDeviceGetUuid")?;
            (self.functions.device_memory)(&raw mut memory, ordinal).ok("cuDeviceTotalMem")?;
        }
        let name: Vec<u8> = name.iter().take_while(|byte| **byte != 0).map(|byte| *byte as u8).collect();
        let hex: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
        let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        Ok(DeviceInfo {
            ordinal: ordinal as u32,
            name: String::from_utf8_lossy(&name).into_owned(),
            id: format!("GPU-{a}-{b}-{c}-{d}-{e}"),
            memory: memory as u64,
        })
    }

    /// Refuses ordinals that are not there.
    pub(crate) fn check(&self, ordinal: i32) -> Result<()> {
        if (0..self.devices).contains(&ordinal) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "no CUDA device {ordinal}; there are {} (0 to {})",
            self.devices,
            self.devices - 1
        )))
    }
}

/// A device's primary context, retained.
#[derive(Debug)]
pub(crate) struct Context {
    cuda: &'static Cuda,
    handle: Handle,
    device: i32,
}

// SAFETY: a context handle may be made current on any thread, on several at once; the driver locks inside.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    /// The context of a device: one retained handle for the whole process, released when the last user drops it.
    ///
    /// # Errors
    /// No driver, no such device, or the driver's refusal.
    pub(crate) fn of(device: i32) -> Result<Arc<Self>> {
        static CONTEXTS: Mutex<Vec<(i32, Weak<Context>)>> = Mutex::new(Vec::new());
        let cuda = cuda()?;
        cuda.check(device)?;
        let mut contexts = lock(&CONTEXTS);
        contexts.retain(|(_, context)| context.strong_count() > 0);
        if let Some(context) =
            contexts.iter().find_map(|(d, context)| (*d == device).then(|| context.upgrade()).flatten())
        {
            return Ok(context);
        }
        let mut handle = std::ptr::null_mut();
        calling("cuDevicePrimaryCtxRetain", || {
            // SAFETY: writes one handle; the device exists.
            unsafe { (cuda.functions.primary_retain)(&raw mut handle, device) }
        })
        .ok("cuDevicePrimaryCtxRetain")?;
        let context = Arc::new(Self { cuda, handle, device });
        contexts.push((device, Arc::downgrade(&context)));
        Ok(context)
    }

    /// Makes the context current until the guard is dropped.
    ///
    /// # Errors
    /// A lost device.
    pub(crate) fn enter(&self) -> Result<Entered<'_>> {
        // SAFETY: the handle is retained as long as `self` lives.
        unsafe { (self.cuda.functions.ctx_push)(self.handle) }.ok("cuCtxPushCurrent")?;
        Ok(Entered { context: self, not_send: PhantomData })
    }

    /// What is free of the device's memory.
    ///
    /// # Errors
    /// A lost device.
    pub(crate) fn memory(&self) -> Result<DeviceMemory> {
        let (mut free, mut total) = (0, 0);
        let _current = self.enter()?;
        // SAFETY: writes two numbers; the context is current.
        unsafe { (self.cuda.functions.memory_info)(&raw mut free, &raw mut total) }.ok("cuMemGetInfo")?;
        Ok(DeviceMemory { free: free as u64, total: total as u64 })
    }

    /// The device's number.
    pub(crate) const fn ordinal(&self) -> i32 {
        self.device
    }

    pub(super) const fn functions(&self) -> &'static Functions {
        &self.cuda.functions
    }

    /// For the libraries that work in the context.
    pub(super) const fn handle(&self) -> Handle {
        self.handle
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if is_left_to_exit() {
            return;
        }
        // SAFETY: undoes the one retain of this object; everything made in the context holds an `Arc` of it and so
        // is gone.
        unsafe { (self.cuda.functions.primary_release)(self.device) };
    }
}

/// Set once the process is about to end.
static LEFT_TO_EXIT: AtomicBool = AtomicBool::new(false);

/// From now on decoders, contexts and what was made in them are left to the system, which takes them back when the
/// process ends. Pictures are unmapped all the same: decoders that still work have few.
///
/// The driver takes its time with it (580.159, H200): destroying the last decoder waits for a thread that looks up every
/// quarter of a second, each other takes 18 ms and the context 55 ms. The system needs 0.13 to 0.18 s for all.
pub(crate) fn leave_to_exit() {
    LEFT_TO_EXIT.store(true, Ordering::Relaxed);
}

/// Whether the process is about to end.
pub(super) fn is_left_to_exit() -> bool {
    LEFT_TO_EXIT.load(Ordering::Relaxed)
}

/// A context made current on this thread.
pub(crate) struct Entered<'a> {
    context: &'a Context,
    /// Pops on the thread that pushed.
    not_send: PhantomData<*mut ()>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut popped = std::ptr::null_mut();
        // SAFETY: pops what `enter` pushed on this thread: guards are not `Send` and drop in reverse order.
        unsafe { (self.context.cuda.functions.ctx_pop)(&raw mut popped) };
    }
}

/// A stream of its own, independent of the default stream.
#[derive(Debug)]
pub(crate) struct Stream {
    context: Arc<Context>,
    handle: Handle,
}

// SAFETY: streams may be used from any thread; the driver locks inside.
unsafe impl Send for Stream {}
// SAFETY: as above.
unsafe impl Sync for Stream {}

impl Stream {
    pub(crate) fn new(context: &Arc<Context>) -> Result<Self> {
        let _current = context.enter()?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: writes one handle.
        unsafe { (context.functions().stream_create)(&raw mut handle, STREAM_NON_BLOCKING) }
            .ok("cuStreamCreate")?;
        Ok(Self { context: Arc::clone(context), handle })
    }

    pub(crate) const fn context(&self) -> &Arc<Context> {
        &self.context
    }

    pub(super) const fn handle(&self) -> Handle {
        self.handle
    }

    /// Waits until everything enqueued so far is done.
    pub(crate) fn synchronize(&self) -> Result<()> {
        let _current = self.context.enter()?;
        let status = calling("cuStreamSynchronize", || {
            // SAFETY: the stream lives as long as `self`.
            unsafe { (self.context.functions().stream_synchronize)(self.handle) }
        });
        status.ok("cuStreamSynchronize")
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if is_left_to_exit() {
            return;
        }
        if let Ok(_current) = self.context.enter() {
            // SAFETY: made by `new`, destroyed once; the driver finishes the stream's work on its own.
            unsafe { (self.context.functions().stream_destroy)(self.handle) };
        }
    }
}

/// A point in a stream's work.
#[derive(Debug)]
pub(crate) struct Event {
    context: Arc<Context>,
    handle: Handle,
}

// SAFETY: events may be used from any thread; the driver locks inside.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

/// How a thread waits for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// As the context says: by default the driver looks again and again, which is the fastest and takes a core.
    Default,
    /// Asleep, until the device's interrupt comes.
    Asleep,
}

impl Event {
    pub(crate) fn new(context: &Arc<Context>, waiting: Waiting) -> Result<Self> {
        let flags = match waiting {
            Waiting::Default => 0,
            Waiting::Asleep => EVENT_BLOCKING_SYNC,
        };
        let _current = context.enter()?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: writes one handle.
        unsafe { (context.functions().event_create)(&raw mut handle, flags) }.ok("cuEventCreate")?;
        Ok(Self { context: Arc::clone(context), handle })
    }

    /// Moves the event behind everything enqueued in `stream` so far.
    pub(crate) fn record(&self, stream: &Stream) -> Result<()> {
        let _current = self.context.enter()?;
        // SAFETY: both live, of one context.
        unsafe { (self.context.functions().event_record)(self.handle, stream.handle) }.ok("cuEventRecord")
    }

    /// Whether the work before the event is done, without waiting for it.
    pub(crate) fn is_done(&self) -> Result<bool> {
        let _current = self.context.enter()?;
        // SAFETY: the event lives as long as `self`.
        match unsafe { (self.context.functions().event_query)(self.handle) } {
            CuResult::NOT_READY => Ok(false),
            code => code.ok("cuEventQuery").map(|()| true),
        }
    }

    /// Waits for the work before the event.
    pub(crate) fn synchronize(&self) -> Result<()> {
        let _current = self.context.enter()?;
        let status = calling("cuEventSynchronize", || {
            // SAFETY: the event lives as long as `self`.
            unsafe { (self.context.functions().event_synchronize)(self.handle) }
        });
        status.ok("cuEventSynchronize")
    }

    /// How long the device took from an earlier event of the same stream to this one; `None` where the driver does not
    /// tell, or one of them has not come.
    pub(crate) fn since(&self, earlier: &Self) -> Option<Duration> {
        let _current = self.context.enter().ok()?;
        let mut milliseconds = 0.0;
        // SAFETY: writes one number; both events live, of one context, and were made with timing.
        let reported = unsafe {
            (self.context.functions().event_elapsed)(&raw mut milliseconds, earlier.handle, self.handle)
        };
        reported.ok("cuEventElapsedTime").ok()?;
        Duration::try_from_secs_f32(milliseconds / 1e3).ok()
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if is_left_to_exit() {
            return;
        }
        if let Ok(_current) = self.context.enter() {
            // SAFETY: made by `new`, destroyed once.
            unsafe { (self.context.functions().event_destroy)(self.handle) };
        }
    }
}
