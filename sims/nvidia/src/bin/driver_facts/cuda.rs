//! Facts of libcuda.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;

use crate::facts_support::{Cuda, say};

pub fn before_init(cuda: &Cuda) {
    let mut count: c_int = -1;
    say("cuDeviceGetCount before cuInit", cuda.device_get_count(&mut count));
    let mut context = null_mut();
    say("cuCtxGetCurrent before cuInit", cuda.ctx_get_current(&mut context));
    say("cuInit(1)", cuda.init(1));
    say("cuInit(0)", cuda.init(0));
    say("cuInit(0) again", cuda.init(0));
}

pub fn device(cuda: &Cuda) {
    let mut device: c_int = -1;
    say("cuDeviceGet(-1)", cuda.device_get(&mut device, -1));
    say("cuDeviceGet(1000)", cuda.device_get(&mut device, 1000));
    let mut value = 0;
    say("cuDeviceGetAttribute(0)", cuda.device_get_attribute(&mut value, 0, 0));
    say("cuDeviceGetAttribute(100000)", cuda.device_get_attribute(&mut value, 100_000, 0));
    say("cuDeviceGetAttribute null", cuda.device_get_attribute(null_mut(), 1, 0));
    for (attribute, name) in [
        (1, "max threads per block"),
        (2, "max block x"),
        (5, "max grid x"),
        (8, "shared memory per block"),
        (10, "warp size"),
        (11, "max pitch"),
        (14, "texture alignment"),
        (18, "integrated"),
        (19, "can map host memory"),
        (20, "compute mode"),
        (31, "concurrent kernels"),
        (40, "async engines"),
        (41, "unified addressing"),
        (51, "texture pitch alignment"),
        (75, "compute major"),
        (76, "compute minor"),
        (78, "stream priorities"),
        (83, "managed memory"),
        (115, "memory pools"),
    ] {
        let code = cuda.device_get_attribute(&mut value, attribute, 0);
        say(&format!("attribute {attribute} ({name})"), format!("{code} {value}"));
    }
}

pub fn contexts(cuda: &Cuda) {
    let mut context: *mut c_void = std::ptr::dangling_mut();
    say(
        "cuCtxGetCurrent with none",
        format!("{} null {}", cuda.ctx_get_current(&mut context), context.is_null()),
    );
    say("cuCtxPopCurrent with none", cuda.ctx_pop(&mut context));
    say("cuCtxPopCurrent(null) with none", cuda.ctx_pop(null_mut()));
    say("cuCtxSynchronize with none", cuda.ctx_synchronize());
    let mut device = -1;
    say("cuCtxGetDevice with none", cuda.ctx_get_device(&mut device));
    say("cuCtxPushCurrent(null)", cuda.ctx_push(null_mut()));
    say("cuCtxSetCurrent(null)", cuda.ctx_set_current(null_mut()));
    let mut address = 0;
    say("cuMemAlloc with no context", cuda.mem_alloc(&mut address, 16));
    let (mut flags, mut active) = (7, 7);
    let code = cuda.primary_get_state(0, &mut flags, &mut active);
    say("primary state at first", format!("{code} flags {flags} active {active}"));
    say("cuDevicePrimaryCtxRelease at first", cuda.primary_release(0));
    let (mut first, mut second) = (null_mut(), null_mut());
    cuda.primary_retain(&mut first, 0);
    cuda.primary_retain(&mut second, 0);
    say("primary context is one", first == second);
    say("cuCtxGetCurrent after retain", {
        cuda.ctx_get_current(&mut context);
        context.is_null()
    });
    say("cuDevicePrimaryCtxRelease", cuda.primary_release(0));
    say("cuDevicePrimaryCtxRelease the last", cuda.primary_release(0));
    say("cuDevicePrimaryCtxRelease once too often", cuda.primary_release(0));
    cuda.primary_retain(&mut first, 0);
    say("cuCtxPushCurrent", cuda.ctx_push(first));
    say("cuCtxDestroy of the primary context", cuda.ctx_destroy(first));
    say("cuCtxPopCurrent", format!("{} same {}", cuda.ctx_pop(&mut context), context == first));
    cuda.primary_release(0);
}

pub fn memory(cuda: &Cuda) {
    cuda.context();
    let mut address = 0;
    say("cuMemAlloc(0)", cuda.mem_alloc(&mut address, 0));
    say("cuMemAlloc(null)", cuda.mem_alloc(null_mut(), 16));
    say("cuMemAlloc(1 PiB)", cuda.mem_alloc(&mut address, 1 << 50));
    say(
        "cuMemAlloc(1000)",
        format!("{} aligned 256: {}", cuda.mem_alloc(&mut address, 1000), address % 256 == 0),
    );
    let mut host = [0u8; 4096];
    say("cuMemcpyDtoH of all", cuda.dtoh(host.as_mut_ptr().cast(), address, 1000));
    say("cuMemcpyDtoH 64 MiB beyond", cuda.dtoh(host.as_mut_ptr().cast(), address + (64 << 20), 16));
    say("cuMemcpyDtoH of 0 bytes", cuda.dtoh(host.as_mut_ptr().cast(), address, 0));
    say("cuMemcpyDtoH from address 0", cuda.dtoh(host.as_mut_ptr().cast(), 0, 16));
    say("cuMemcpyDtoH from address 4096", cuda.dtoh(host.as_mut_ptr().cast(), 4096, 16));
    say("cuMemFree(0)", cuda.mem_free(0));
    say("cuMemFree inside an allocation", cuda.mem_free(address + 16));
    say("cuMemFree of a foreign address", cuda.mem_free(4096));
    say("cuMemFree", cuda.mem_free(address));
    say("cuMemFree again", cuda.mem_free(address));
    for (width, height, element) in [(1920, 1080, 16), (100, 10, 4), (64, 1, 16), (100, 10, 3), (0, 10, 16)] {
        let mut pitch = 0;
        let code = cuda.mem_alloc_pitch(&mut address, &mut pitch, width, height, element);
        say(&format!("cuMemAllocPitch({width}, {height}, {element})"), format!("{code} pitch {pitch}"));
        if code == 0 {
            cuda.mem_free(address);
        }
    }
    let mut pinned = null_mut();
    say("cuMemAllocHost(0)", cuda.mem_alloc_host(&mut pinned, 0));
    say("cuMemAllocHost", cuda.mem_alloc_host(&mut pinned, 4096));
    say("cuMemFreeHost", cuda.mem_free_host(pinned));
    say("cuMemFreeHost again", cuda.mem_free_host(pinned));
    cuda.leave();
}

/// Null and foreign handles.
pub fn foreign(cuda: &Cuda) {
    cuda.context();
    let mut host = [0u8; 16];
    say("cuMemFreeHost of a foreign pointer", cuda.mem_free_host(host.as_mut_ptr().cast()));
    say("cuStreamDestroy(null)", cuda.stream_destroy(null_mut()));
    say("cuStreamSynchronize(null)", cuda.stream_synchronize(null_mut()));
    say("cuStreamQuery(null)", cuda.stream_query(null_mut()));
    say("cuEventDestroy(null)", cuda.event_destroy(null_mut()));
    let mut module = null_mut();
    say(
        "cuModuleLoadData of text that is no PTX",
        cuda.module_load_data(&mut module, c"hello".as_ptr().cast()),
    );
    let mut function: *mut c_void = null_mut();
    say("cuModuleGetFunction of null", cuda.module_get_function(&mut function, null_mut(), c"f".as_ptr()));
    let mut name: *const c_char = std::ptr::null();
    say(
        "cuGetErrorName(12345)",
        format!("{} null {}", cuda.get_error_name(12345, &mut name), name.is_null()),
    );
    cuda.leave();
}
