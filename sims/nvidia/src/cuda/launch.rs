//! Kernel launches: their limits, their parameters, and the way to the software reference.

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::sync::{Arc, Mutex};

use super::abi::{CuResult, Done, Handle, put};
use super::context::{self, Context};
use super::kernels::{self, Kernel, Launch, Touch};
use super::memory::{self, Block, Place};
use super::module::{self, Function};
use super::{engines, rules, stream_calls};
use crate::core::{Call, config};
use crate::policy;

const MOST_THREADS: u64 = 1024;
const LARGEST_BLOCK: [u32; 3] = [1024, 1024, 64];
const LARGEST_GRID: [u32; 3] = [i32::MAX as u32, 65535, 65535];
/// Shared memory that a launch may ask for.
const SHARED_MEMORY: u32 = 101_376;

/// Names of kernels that were launched and have no reference.
static UNKNOWN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// For the report; nothing when the list is held.
pub(super) fn peek_unknown() -> Vec<String> {
    UNKNOWN.try_lock().map(|names| names.iter().cloned().collect()).unwrap_or_default()
}

fn check_limits(call: &Call, grid: [u32; 3], block: [u32; 3], shared: u32) -> Done {
    let inside = |size: [u32; 3], largest: [u32; 3]| {
        size.iter().zip(largest).all(|(&size, largest)| (1..=largest).contains(&size))
    };
    let threads: u64 = block.iter().map(|&size| u64::from(size)).product();
    if inside(grid, LARGEST_GRID)
        && inside(block, LARGEST_BLOCK)
        && threads <= MOST_THREADS
        && shared <= SHARED_MEMORY
    {
        return Ok(());
    }
    let detail = format!("grid {grid:?}, block {block:?}, {shared} bytes of shared memory");
    call.breach(&rules::LAUNCH_LIMITS, detail);
    Err(CuResult::ERROR_INVALID_VALUE)
}

/// Sizes and offsets of the parameters in the packed buffer.
fn layout(function: &Function, kernel: &Kernel) -> Option<Vec<(usize, usize)>> {
    let declared = match &function.entry.parameters {
        Some(declared) => declared.clone(),
        None => kernel.parameters.iter().map(|&size| (size, size.max(1))).collect(),
    };
    let same = declared.len() == kernel.parameters.len()
        && declared.iter().zip(kernel.parameters).all(|(declared, size)| declared.0 == *size);
    let mut at = 0_u32;
    same.then(|| {
        declared
            .iter()
            .map(|&(size, align)| {
                let offset = at.next_multiple_of(align);
                at = offset + size;
                (offset as usize, size as usize)
            })
            .collect()
    })
}

/// The parameters from a list of pointers to them.
unsafe fn from_list(
    call: &Call,
    list: *mut *mut c_void,
    layout: &[(usize, usize)],
) -> Result<Vec<Vec<u8>>, CuResult> {
    let mut parameters = Vec::with_capacity(layout.len());
    for (index, &(_, size)) in layout.iter().enumerate() {
        // SAFETY: the client promises one pointer for each parameter of the kernel.
        let pointer = if list.is_null() { std::ptr::null_mut() } else { unsafe { list.add(index).read() } };
        if pointer.is_null() {
            call.breach(
                &rules::KERNEL_PARAMETERS,
                format!("parameter {index} of {} is missing", layout.len()),
            );
            return Err(CuResult::ERROR_INVALID_VALUE);
        }
        // SAFETY: the client promises a value of the size that the kernel declares.
        parameters.push(unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), size) }.to_vec());
    }
    Ok(parameters)
}

/// The parameters from one packed buffer (`CU_LAUNCH_PARAM_BUFFER_POINTER` and `_SIZE`).
unsafe fn from_buffer(
    call: &Call,
    extra: *mut *mut c_void,
    layout: &[(usize, usize)],
) -> Result<Vec<Vec<u8>>, CuResult> {
    const END: usize = 0;
    const POINTER: usize = 1;
    const SIZE: usize = 2;
    const MOST_PAIRS: usize = 4;
    let (mut buffer, mut size) = (std::ptr::null::<u8>(), 0_usize);
    for pair in 0..=MOST_PAIRS {
        // SAFETY: the client promises a list that ends in CU_LAUNCH_PARAM_END.
        let key = unsafe { extra.add(2 * pair).read() } as usize;
        if key == END {
            break;
        }
        if pair == MOST_PAIRS {
            return Err(CuResult::ERROR_INVALID_VALUE);
        }
        // SAFETY: every other key is followed by a pointer.
        let pointer = unsafe { extra.add(2 * pair + 1).read() };
        match key {
            POINTER => buffer = pointer.cast(),
            // SAFETY: this key is followed by a pointer to the size.
            SIZE if !pointer.is_null() => size = unsafe { pointer.cast::<usize>().read() },
            _ => return Err(CuResult::ERROR_INVALID_VALUE),
        }
    }
    let needed = layout.last().map_or(0, |&(offset, size)| offset + size);
    if size < needed || (buffer.is_null() && needed > 0) {
        call.breach(
            &rules::KERNEL_PARAMETERS,
            format!("{size} bytes of parameters where {needed} are declared"),
        );
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    // SAFETY: the client promises `size` bytes, and no parameter ends behind `needed`.
    let part =
        |&(offset, size): &(usize, usize)| unsafe { std::slice::from_raw_parts(buffer.add(offset), size) };
    Ok(layout.iter().map(|place| part(place).to_vec()).collect())
}

/// The blocks that a launch touches; or none, and the breach, when it would fault.
fn hold(call: &Call, touches: &[Touch]) -> Option<Vec<Arc<Block>>> {
    let mut held = Vec::with_capacity(touches.len());
    for touch in touches {
        let Place::Inside(block) = memory::locate(touch.address, touch.length) else {
            let what = if touch.writes { "written" } else { "read" };
            let detail = format!("{} bytes at {:#x} would be {what}", touch.length, touch.address);
            call.breach(&rules::KERNEL_ACCESS, detail);
            return None;
        };
        held.push(block);
    }
    Some(held)
}

fn start(
    call: &Call,
    context: &Arc<Context>,
    stream: Handle,
    kernel: &'static Kernel,
    launch: Launch,
) -> Done {
    let stream = stream_calls::for_work(call, context, stream)?;
    let touches = (kernel.touches)(&launch);
    let Some(held) = hold(call, &touches) else {
        // A launch succeeds; the fault comes out when its turn has come, and spoils the context.
        let context = context.clone();
        return stream
            .issue(Vec::new(), &[], Box::new(move || context.fail(CuResult::ERROR_ILLEGAL_ADDRESS)))
            .map(|_| ());
    };
    let writes: Vec<_> =
        touches.iter().filter(|touch| touch.writes).map(|touch| (touch.address, touch.length)).collect();
    let work = move || {
        engines::launch();
        (kernel.run)(&launch);
        drop(held);
    };
    stream.issue(Vec::new(), &writes, Box::new(work)).map(|_| ())
}

pub(super) unsafe fn launch(
    call: &Call,
    function: Handle,
    grid_x: u32,
    grid_y: u32,
    grid_z: u32,
    block_x: u32,
    block_y: u32,
    block_z: u32,
    shared: u32,
    stream: Handle,
    list: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Done {
    let context = context::current(call)?;
    let function = module::function(call, function)?;
    if function.context != context.id {
        call.breach(&rules::OTHER_CONTEXT, "the function is not of the current context");
        return Err(CuResult::ERROR_INVALID_HANDLE);
    }
    let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
    check_limits(call, grid, block, shared)?;
    if !list.is_null() && !extra.is_null() {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    let known =
        kernels::find(&function.entry.name).and_then(|kernel| Some((kernel, layout(&function, kernel)?)));
    let Some((kernel, layout)) = known else {
        UNKNOWN.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(function.entry.name.clone());
        return Err(CuResult(policy::CUDA_KERNEL_WITHOUT_REFERENCE));
    };
    let parameters = if extra.is_null() {
        // SAFETY: the client's promise is passed on.
        unsafe { from_list(call, list, &layout)? }
    } else {
        // SAFETY: the client's promise is passed on.
        unsafe { from_buffer(call, extra, &layout)? }
    };
    start(call, &context, stream, kernel, Launch { grid, block, parameters })
}

pub(super) unsafe fn get_attribute(call: &Call, out: *mut i32, attribute: i32, of: Handle) -> Done {
    context::current(call)?;
    module::function(call, of)?;
    let value = match attribute {
        0 => MOST_THREADS as i32,
        // Static shared, constant and local memory, registers: nothing is compiled.
        1..=4 => 0,
        // Versions of the code.
        5 | 6 => 75,
        7..=15 => 0,
        _ => return Err(CuResult::ERROR_INVALID_VALUE),
    };
    // SAFETY: the client's promise.
    unsafe { put(out, value) }
}

pub(super) fn set_attribute(call: &Call, of: Handle, attribute: i32, _value: i32) -> Done {
    context::current(call)?;
    module::function(call, of)?;
    // Only the size and the share of dynamic shared memory can be set.
    if matches!(attribute, 8 | 9) { Ok(()) } else { Err(CuResult::ERROR_INVALID_VALUE) }
}

pub(super) fn set_cache_config(call: &Call, of: Handle, _config: u32) -> Done {
    context::current(call)?;
    module::function(call, of).map(|_| ())
}

pub(super) unsafe fn max_potential_block_size(
    call: &Call,
    least_grid: *mut i32,
    block: *mut i32,
    of: Handle,
    _shared_of_block: *mut c_void,
    _shared: usize,
    limit: i32,
) -> Done {
    let context = context::current(call)?;
    module::function(call, of)?;
    let size = if limit > 0 { limit.min(MOST_THREADS as i32) } else { MOST_THREADS as i32 };
    let multiprocessors = config().device.get(context.device).map_or(1, |device| device.multiprocessors);
    // SAFETY: the client's promise.
    unsafe {
        put(least_grid, multiprocessors)?;
        put(block, size)
    }
}

pub(super) unsafe fn max_active_blocks(
    call: &Call,
    out: *mut i32,
    of: Handle,
    block: i32,
    _shared: usize,
) -> Done {
    const THREADS_OF_MULTIPROCESSOR: i32 = 1536;
    context::current(call)?;
    module::function(call, of)?;
    if block <= 0 {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    // SAFETY: the client's promise.
    unsafe { put(out, if block > MOST_THREADS as i32 { 0 } else { THREADS_OF_MULTIPROCESSOR / block }) }
}
