//! Two-dimensional arrays. On a card their layout is a secret; here they are rows.

use std::sync::Arc;

use super::abi::{Array3DDescriptor, ArrayDescriptor, CuResult, Done, Handle, put};
use super::handles::{Kind, Missing, Table, handle, value};
use super::memory::{self, Block, PITCH, Use};
use super::{context, device, rules, stream};
use crate::core::Call;
use crate::core::report::Leak;
use crate::policy;

/// One array.
pub(super) struct Array {
    id: u64,
    context: u64,
    descriptor: Array3DDescriptor,
    pub(super) block: Arc<Block>,
    pub(super) pitch: u64,
    pub(super) row: u64,
    pub(super) rows: u64,
}

static ARRAYS: Table<Array> = Table::new(Kind::Array);
/// Largest side, as the attributes say.
const LARGEST: usize = 131_072;

/// Bytes of one sample, by `CUarray_format`.
fn sample_bytes(format: u32) -> Option<u64> {
    Some(match format {
        0x01 | 0x08 => 1,
        0x02 | 0x09 | 0x10 => 2,
        0x03 | 0x0a | 0x20 => 4,
        _ => return None,
    })
}

pub(super) unsafe fn create(call: &Call, out: *mut Handle, descriptor: *const ArrayDescriptor) -> Done {
    if descriptor.is_null() {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the client promises the rest.
    let ArrayDescriptor { width, height, format, channels } = unsafe { descriptor.read() };
    let descriptor = Array3DDescriptor { width, height, depth: 0, format, channels, flags: 0 };
    // SAFETY: ours; and the client's promise for `out`.
    unsafe { create_3d(call, out, &raw const descriptor) }
}

pub(super) unsafe fn create_3d(call: &Call, out: *mut Handle, descriptor: *const Array3DDescriptor) -> Done {
    let context = context::current(call)?;
    if out.is_null() || descriptor.is_null() {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    // SAFETY: not null; the client promises the rest.
    let descriptor = unsafe { descriptor.read() };
    if descriptor.depth > 1 {
        // Volumes, layers and cube maps have no use in video.
        return Err(CuResult::ERROR_NOT_SUPPORTED);
    }
    let sample = sample_bytes(descriptor.format).ok_or(CuResult::ERROR_INVALID_VALUE)?;
    let sides = 1..=LARGEST;
    if !sides.contains(&descriptor.width)
        || !sides.contains(&descriptor.height.max(1))
        || !matches!(descriptor.channels, 1 | 2 | 4)
    {
        return Err(CuResult::ERROR_INVALID_VALUE);
    }
    let row = descriptor.width as u64 * sample * u64::from(descriptor.channels);
    let rows = descriptor.height.max(1) as u64;
    let pitch = row.next_multiple_of(PITCH);
    let block = context::allocate(&context, pitch * rows, Use::Array, 0)?;
    let id = ARRAYS.reserve();
    ARRAYS.insert(id, Arc::new(Array { id, context: context.id, descriptor, block, pitch, row, rows }));
    // SAFETY: not null; the client promises the rest.
    unsafe { put(out, handle(id)) }
}

fn refuse(call: &Call, array: Handle, missing: Missing) -> CuResult {
    match missing {
        Missing::Dead => {
            call.breach(&rules::DEAD_HANDLE, format!("array {array:?} or its context was destroyed"))
        }
        Missing::Foreign => call.breach(&rules::FOREIGN_HANDLE, format!("{array:?} is not an array")),
    }
    CuResult(policy::CUDA_BAD_HANDLE)
}

pub(super) fn find(call: &Call, array: Handle) -> Result<Arc<Array>, CuResult> {
    device::initialized(call)?;
    ARRAYS.get(value(array)).map_err(|missing| refuse(call, array, missing))
}

pub(super) fn destroy(call: &Call, array: Handle) -> Done {
    let found = find(call, array)?;
    stream::wait_context(found.context);
    ARRAYS.remove(found.id).map_err(|missing| refuse(call, array, missing))?;
    memory::forget(found.block.address);
    Ok(())
}

pub(super) unsafe fn describe_3d(call: &Call, out: *mut Array3DDescriptor, array: Handle) -> Done {
    let array = find(call, array)?;
    // SAFETY: the client's promise.
    unsafe { put(out, array.descriptor) }
}

pub(super) unsafe fn describe(call: &Call, out: *mut ArrayDescriptor, array: Handle) -> Done {
    let Array3DDescriptor { width, height, format, channels, .. } = find(call, array)?.descriptor;
    // SAFETY: the client's promise.
    unsafe { put(out, ArrayDescriptor { width, height, format, channels }) }
}

fn leak(array: &Array) -> Leak {
    let Array3DDescriptor { width, height, .. } = array.descriptor;
    Leak { kind: "array", detail: format!("{:#x}, {width}x{height}", array.id) }
}

/// Takes the arrays of a dying context out.
pub(super) fn forget_context(context: u64) -> Vec<Leak> {
    ARRAYS.drain(|array| array.context == context).iter().map(|array| leak(array)).collect()
}

/// Arrays that are still there.
pub(super) fn peek() -> Vec<Leak> {
    ARRAYS.peek().iter().map(|array| leak(array)).collect()
}
