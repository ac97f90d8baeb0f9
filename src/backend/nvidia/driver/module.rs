//! Code on the device: modules and the launch of their kernels.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::{Arc, OnceLock};

use super::cuda::{self, Context, Stream};
use super::library::{self, Missing, Name, Once, functions};
use super::result::CuResult;
use crate::error::{Error, Result};

type Handle = *mut c_void;

functions! {
    /// The functions of libcuda that load and launch code.
    Functions of Name::Cuda => {
        module_load: "cuModuleLoadDataEx" fn(*mut Handle, *const c_void, c_uint, *mut c_int, *mut *mut c_void);
        module_unload: "cuModuleUnload" fn(Handle);
        module_function: "cuModuleGetFunction" fn(*mut Handle, Handle, *const c_char);
        launch: "cuLaunchKernel" fn(
            Handle, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Handle, *mut *mut c_void, *mut *mut c_void
        );
    }
}

/// A table of its own: a driver that lacks one of these still decodes.
fn functions() -> Result<&'static Functions> {
    static FUNCTIONS: Once<Functions> = OnceLock::new();
    cuda::cuda()?;
    let load = || {
        let library = library::open(Name::Cuda)?;
        let functions = Functions::load(&library);
        // As the rest of the driver, it stays loaded.
        std::mem::forget(library);
        functions
    };
    FUNCTIONS.get_or_init(load).as_ref().map_err(Missing::error)
}

/// Blocks of a launch, and threads of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) grid: [u32; 3],
    pub(crate) block: [u32; 3],
}

/// A loaded module with the kernels that were asked for.
#[derive(Debug)]
pub(crate) struct Module {
    context: Arc<Context>,
    functions: &'static Functions,
    handle: Handle,
    kernels: Vec<Handle>,
}

// SAFETY: module and function handles may be used from any thread; the driver locks inside.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

impl Module {
    /// Loads PTX, which the driver translates for its device, and looks up its kernels.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when this driver cannot translate it.
    pub(crate) fn load(context: &Arc<Context>, ptx: &CStr, kernels: &[&CStr]) -> Result<Self> {
        let functions = functions()?;
        let _current = context.enter()?;
        let mut handle = std::ptr::null_mut();
        let none = std::ptr::null_mut();
        // SAFETY: writes one handle; the text ends in NUL; there are no options.
        let code =
            unsafe { (functions.module_load)(&raw mut handle, ptx.as_ptr().cast(), 0, none, none.cast()) };
        loaded(code)?;
        let mut module = Self {
            context: Arc::clone(context),
            functions,
            handle,
            kernels: Vec::with_capacity(kernels.len()),
        };
        for name in kernels {
            let mut kernel = std::ptr::null_mut();
            // SAFETY: writes one handle; the module is loaded and the name ends in NUL.
            unsafe { (functions.module_function)(&raw mut kernel, handle, name.as_ptr()) }
                .ok("cuModuleGetFunction")?;
            module.kernels.push(kernel);
        }
        Ok(module)
    }

    pub(crate) const fn context(&self) -> &Arc<Context> {
        &self.context
    }
}

/// A launch that is described, but not enqueued.
pub(crate) struct Launch<'a, T> {
    pub(crate) module: &'a Module,
    /// As counted when the module was loaded.
    pub(crate) kernel: usize,
    pub(crate) shape: Shape,
    /// The kernel's one parameter.
    pub(crate) parameter: T,
}

impl<T: Copy> Launch<'_, T> {
    /// Enqueues it. Allocates nothing and waits for nothing.
    ///
    /// # Safety
    /// The kernel takes one parameter, which has the layout of `T`; the memory that it names is valid, in the stream's
    /// context, until the work is done, nothing else touches what is written nor writes what is read, and the module is
    /// not dropped before.
    pub(crate) unsafe fn enqueue(&self, stream: &Stream) -> Result<()> {
        let Module { context, functions, kernels, .. } = self.module;
        let kernel = *kernels.get(self.kernel).ok_or_else(|| Error::invalid("no such kernel"))?;
        if !Arc::ptr_eq(stream.context(), context) {
            return Err(Error::invalid("the stream belongs to another device than the kernel"));
        }
        let _current = context.enter()?;
        let mut parameters = [std::ptr::from_ref(&self.parameter).cast_mut().cast::<c_void>()];
        let ([gx, gy, gz], [bx, by, bz]) = (self.shape.grid, self.shape.block);
        // SAFETY: the function is of this loaded module and the stream of the same context. The driver copies the
        // parameter before it returns, and only reads it. The rest is the caller's promise.
        unsafe {
            (functions.launch)(
                kernel,
                gx,
                gy,
                gz,
                bx,
                by,
                bz,
                0,
                stream.handle(),
                parameters.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        }
        .ok("cuLaunchKernel")
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if cuda::is_left_to_exit() {
            return;
        }
        if let Ok(_current) = self.context.enter() {
            // SAFETY: loaded by `load`, unloaded once; no launch is under way, as those promised who launched.
            unsafe { (self.functions.module_unload)(self.handle) };
        }
    }
}

/// The result of loading a module: what the driver's translator cannot do is not an accident.
fn loaded(code: CuResult) -> Result<()> {
    let remedy = match code.0 {
        // Newer PTX than the driver knows; an image or a chip it cannot translate for.
        200 | 209 | 218 | 222 | 223 => "Update the NVIDIA driver; or convert pictures on the CPU",
        221 => {
            "Install libnvidia-ptxjitcompiler, which belongs to the driver (in a container: \
             NVIDIA_DRIVER_CAPABILITIES=compute,video,utility); or convert pictures on the CPU"
        }
        _ => return code.ok("cuModuleLoadDataEx"),
    };
    let message = if code.0 == 221 { "the PTX compiler is missing" } else { code.message() };
    Err(Error::Unsupported {
        feature: format!("code on the GPU: cuModuleLoadDataEx answered {message} ({})", code.0),
        remedy: remedy.into(),
    })
}
