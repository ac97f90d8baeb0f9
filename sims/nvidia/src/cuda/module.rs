//! Modules and their functions.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_void};
use std::sync::{Arc, Mutex};

use super::abi::{CuResult, DevicePtr, Done, Handle, put, put_optional};
use super::handles::{Kind, Missing, Table, handle, value};
use super::ptx::{self, Entry, Image};
use super::{context, device, rules};
use crate::core::Call;
use crate::core::report::Leak;
use crate::policy;

/// One loaded module.
struct Module {
    id: u64,
    context: u64,
    image: Image,
    /// Handles of the functions asked for: the same name has the same handle.
    functions: Mutex<BTreeMap<String, u64>>,
}

/// A function of a module.
pub(super) struct Function {
    pub(super) context: u64,
    module: u64,
    pub(super) entry: Entry,
}

static MODULES: Table<Module> = Table::new(Kind::Module);
static FUNCTIONS: Table<Function> = Table::new(Kind::Function);

fn load_image(call: &Call, out: *mut Handle, image: Result<Image, CuResult>) -> Done {
    let context = context::current(call)?;
    if out.is_null() {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    let image = image?;
    let id = MODULES.reserve();
    MODULES.insert(id, Arc::new(Module { id, context: context.id, image, functions: Mutex::default() }));
    // SAFETY: not null; the client promises the rest.
    unsafe { put(out, handle(id)) }
}

pub(super) unsafe fn load_data(call: &Call, out: *mut Handle, image: *const c_void) -> Done {
    context::current(call)?;
    if image.is_null() {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the client promises a whole image.
    let image = unsafe { ptx::read(image) };
    load_image(call, out, image)
}

pub(super) unsafe fn load_data_ex(
    call: &Call,
    out: *mut Handle,
    image: *const c_void,
    _count: u32,
    _options: *mut i32,
    _values: *mut *mut c_void,
) -> Done {
    // Options steer a compiler that is not here.
    // SAFETY: the client's promise is passed on.
    unsafe { load_data(call, out, image) }
}

pub(super) unsafe fn load_file(call: &Call, out: *mut Handle, path: *const c_char) -> Done {
    context::current(call)?;
    if path.is_null() {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    // SAFETY: the client promises a text that ends in NUL.
    let path = unsafe { CStr::from_ptr(path) }.to_str().map_err(|_| CuResult::ERROR_FILE_NOT_FOUND)?;
    let mut bytes = std::fs::read(path).map_err(|_| CuResult::ERROR_FILE_NOT_FOUND)?;
    if bytes.starts_with(b"\x7fELF") {
        // A file may be cut short, and its own offsets then point behind its end.
        return load_image(call, out, Ok(Image::Opaque));
    }
    bytes.push(0);
    // SAFETY: a text with its NUL, or a fat binary, of which only the first bytes are read.
    let image = unsafe { ptx::read(bytes.as_ptr().cast()) };
    load_image(call, out, image)
}

fn refuse(call: &Call, module: Handle, missing: Missing) -> CuResult {
    match missing {
        Missing::Dead => {
            call.breach(
                &rules::DEAD_HANDLE,
                format!("module {module:?} was unloaded or its context destroyed"),
            );
        }
        Missing::Foreign => call.breach(&rules::FOREIGN_HANDLE, format!("{module:?} is not a module")),
    }
    CuResult(policy::CUDA_BAD_HANDLE)
}

fn find(call: &Call, module: Handle) -> Result<Arc<Module>, CuResult> {
    device::initialized(call)?;
    MODULES.get(value(module)).map_err(|missing| refuse(call, module, missing))
}

pub(super) fn unload(call: &Call, module: Handle) -> Done {
    context::current(call)?;
    let module = MODULES.remove(value(module)).map_err(|missing| refuse(call, module, missing))?;
    FUNCTIONS.drain(|function| function.module == module.id);
    Ok(())
}

/// A name of the client.
unsafe fn name<'a>(text: *const c_char) -> Result<&'a str, CuResult> {
    if text.is_null() {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    // SAFETY: the client promises a text that ends in NUL.
    unsafe { CStr::from_ptr(text) }.to_str().map_err(|_| CuResult::ERROR_NOT_FOUND)
}

pub(super) unsafe fn get_function(
    call: &Call,
    out: *mut Handle,
    module: Handle,
    text: *const c_char,
) -> Done {
    context::current(call)?;
    let module = find(call, module)?;
    // SAFETY: the client's promise is passed on.
    let name = unsafe { name(text) }?;
    let entry = match &module.image {
        Image::Named(entries) => entries.iter().find(|entry| entry.name == name).cloned(),
        Image::Opaque => Some(Entry { name: name.to_owned(), parameters: None }),
    };
    let entry = entry.ok_or(CuResult::ERROR_NOT_FOUND)?;
    let mut functions = module.functions.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let id = *functions.entry(entry.name.clone()).or_insert_with(|| {
        let id = FUNCTIONS.reserve();
        FUNCTIONS.insert(id, Arc::new(Function { context: module.context, module: module.id, entry }));
        id
    });
    // SAFETY: the client's promise.
    unsafe { put(out, handle(id)) }
}

pub(super) unsafe fn get_global(
    call: &Call,
    out: *mut DevicePtr,
    size: *mut usize,
    module: Handle,
    text: *const c_char,
) -> Done {
    context::current(call)?;
    find(call, module)?;
    // SAFETY: the client's promise is passed on.
    unsafe { name(text) }?;
    // Variables of modules are not modelled: no kernel here reads any.
    // SAFETY: the client's promise.
    unsafe {
        put_optional(out, 0);
        put_optional(size, 0);
    }
    Err(CuResult::ERROR_NOT_FOUND)
}

/// The function of a handle, or the breach that it is none.
pub(super) fn function(call: &Call, function: Handle) -> Result<Arc<Function>, CuResult> {
    FUNCTIONS.get(value(function)).map_err(|missing| {
        match missing {
            Missing::Dead => {
                call.breach(&rules::MODULE_UNLOADED, format!("the module of function {function:?} is gone"));
            }
            Missing::Foreign => {
                call.breach(&rules::FOREIGN_HANDLE, format!("{function:?} is not a function"))
            }
        }
        CuResult(policy::CUDA_BAD_HANDLE)
    })
}

pub(super) unsafe fn function_module(call: &Call, out: *mut Handle, of: Handle) -> Done {
    context::current(call)?;
    let function = function(call, of)?;
    // SAFETY: the client's promise.
    unsafe { put(out, handle(function.module)) }
}

fn leak(module: &Module) -> Leak {
    Leak { kind: "module", detail: format!("{:#x}", module.id) }
}

/// Takes the modules of a dying context out.
pub(super) fn forget_context(context: u64) -> Vec<Leak> {
    FUNCTIONS.drain(|function| function.context == context);
    MODULES.drain(|module| module.context == context).iter().map(|module| leak(module)).collect()
}

/// Modules that are still loaded.
pub(super) fn peek() -> Vec<Leak> {
    MODULES.peek().iter().map(|module| leak(module)).collect()
}
