//! Clients that break a rule of the CUDA driver API: each rule is provoked and seen in the report, with the answer
//! that the real driver gives.

// The helpers of a test file are not tests to the lint.

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::ptr::null_mut;

use crate::common::scenario;
use crate::cuda_support::{BUFFER_POINTER, BUFFER_SIZE, Cuda, FILL_PTX, Handle, launch_fill, out};
use nvsim::cuda::abi::Memcpy2D;

/// One test per rule: the body breaks it, and the report must name it and nothing else.
macro_rules! provoke {
    ($($test:ident breaks $rule:literal: $body:expr;)*) => {
        $(
            #[test]
            fn $test() {
                let outcome = scenario(stringify!($test), &[], $body).breach($rule);
                let names: BTreeSet<_> = outcome.violations().into_iter().collect();
                assert_eq!(names, BTreeSet::from([$rule.to_owned()]));
            }
        )*

        /// No rule is without its test.
        #[test]
        fn every_rule_is_provoked() {
            let provoked = BTreeSet::from([$($rule),*]);
            let all: BTreeSet<_> = nvsim::cuda::rules::ALL.iter().map(|rule| rule.name).collect();
            assert_eq!(provoked, all);
        }
    };
}

unsafe extern "C" fn calls_the_driver(user: *mut c_void) {
    // SAFETY: the test passes its driver, which outlives the stream's work.
    let cuda = unsafe { &*user.cast::<Cuda>() };
    assert_eq!(out(0, |out| cuda.cuMemAlloc_v2(out, 16)).0, 800);
}

provoke! {
    calls_before_init breaks "not-initialized": || {
        let cuda = Cuda::open();
        assert_eq!(out(0, |out| cuda.cuDeviceGetCount(out)).0, 3);
        assert_eq!(out(null_mut(), |out| cuda.cuCtxCreate_v2(out, 0, 0)).0, 3);
        assert_eq!(out(0, |out| cuda.cuMemAlloc_v2(out, 16)).0, 3);
    };
    memory_without_a_context breaks "no-current-context": || {
        let cuda = Cuda::open();
        assert_eq!(cuda.cuInit(0), 0);
        assert_eq!(out(0, |out| cuda.cuMemAlloc_v2(out, 16)).0, 201);
        assert_eq!(cuda.cuCtxSynchronize(), 201);
    };
    a_destroyed_context breaks "context-destroyed": || {
        let (cuda, other) = Cuda::ready();
        let address = other as usize;
        std::thread::scope(|scope| {
            scope.spawn(|| assert_eq!(cuda.cuCtxDestroy_v2(address as Handle), 0));
        });
        assert_eq!(out(0, |out| cuda.cuMemAlloc_v2(out, 16)).0, 709);
        assert_eq!(cuda.cuCtxPushCurrent_v2(other), 709);
        assert_eq!(cuda.cuCtxDestroy_v2(other), 709);
    };
    handles_of_the_wrong_kind breaks "foreign-handle": || {
        let (cuda, context) = Cuda::ready();
        let stream = cuda.stream(0);
        let local = 0_u64;
        assert_eq!(cuda.cuCtxPushCurrent_v2(stream), 201);
        assert_eq!(cuda.cuCtxPushCurrent_v2(null_mut()), 1);
        assert_eq!(cuda.cuStreamSynchronize(context), 400);
        assert_eq!(cuda.cuEventRecord((&raw const local).cast_mut().cast(), stream), 400);
        assert_eq!(cuda.cuModuleUnload(stream), 400);
        assert_eq!(cuda.cuArrayDestroy(stream), 400);
        assert_eq!(cuda.cuLinkDestroy(stream), 400);
    };
    reading_freed_memory breaks "use-after-free": || {
        let (cuda, _) = Cuda::ready();
        let address = cuda.alloc(4096);
        assert_eq!(cuda.cuMemFree_v2(address), 0);
        let mut host = [0_u8; 16];
        assert_eq!(cuda.cuMemcpyDtoH_v2(host.as_mut_ptr().cast(), address + 100, 16), 1);
        assert_eq!(cuda.cuMemsetD8_v2(address, 0, 16), 1);
        assert_eq!(host, [0; 16]);
    };
    freeing_twice breaks "double-free": || {
        let (cuda, _) = Cuda::ready();
        let address = cuda.alloc(4096);
        assert_eq!(cuda.cuMemFree_v2(address), 0);
        assert_eq!(cuda.cuMemFree_v2(address), 1);
    };
    one_byte_too_many breaks "out-of-range": || {
        let (cuda, _) = Cuda::ready();
        let address = cuda.alloc(100);
        let host = [0_u8; 128];
        assert_eq!(cuda.cuMemcpyHtoD_v2(address + 1, host.as_ptr().cast(), 100), 1);
        assert_eq!(cuda.cuMemcpyHtoD_v2(0x10, host.as_ptr().cast(), 1), 1);
        assert_eq!(cuda.cuMemsetD8_v2(address, 0, 101), 1);
        assert_eq!(cuda.cuMemcpyHtoD_v2(address, host.as_ptr().cast(), usize::MAX), 1);
    };
    host_memory_as_device_memory breaks "host-pointer-as-device-pointer": || {
        let (cuda, _) = Cuda::ready();
        let (from, to) = ([1_u8; 64], [0_u8; 64]);
        let address = to.as_ptr() as usize as u64;
        assert_eq!(cuda.cuMemcpyHtoD_v2(address, from.as_ptr().cast(), 64), 1);
        assert_eq!(cuda.cuMemsetD8_v2(address, 5, 64), 1);
        assert_eq!(std::hint::black_box(to), [0; 64]);
    };
    device_memory_as_host_memory breaks "device-pointer-as-host-pointer": || {
        let (cuda, _) = Cuda::ready();
        let (to, from) = (cuda.alloc(64), cuda.alloc(64));
        assert_eq!(cuda.cuMemcpyHtoD_v2(to, from as usize as *const c_void, 64), 1);
        assert_eq!(cuda.cuMemcpyDtoH_v2(to as usize as *mut c_void, from, 64), 1);
    };
    freeing_what_is_not_a_block breaks "free-of-foreign-pointer": || {
        let (cuda, _) = Cuda::ready();
        let address = cuda.alloc(4096);
        let (_, host) = out(null_mut(), |out| cuda.cuMemAllocHost_v2(out, 64));
        assert_eq!(cuda.cuMemFree_v2(address + 512), 1);
        assert_eq!(cuda.cuMemFree_v2(host as usize as u64), 1);
        assert_eq!(cuda.cuMemFreeHost(address as usize as *mut c_void), 1);
        let local = 0_u8;
        assert_eq!(cuda.cuMemFree_v2(&raw const local as usize as u64), 1);
    };
    destroyed_objects breaks "dead-handle": || {
        let (cuda, context) = Cuda::ready();
        let stream = cuda.stream(0);
        assert_eq!(cuda.cuStreamDestroy_v2(stream), 0);
        assert_eq!(cuda.cuStreamDestroy_v2(stream), 400);
        assert_eq!(cuda.cuMemsetD8Async(cuda.alloc(16), 0, 16, stream), 400);
        let module = cuda.module(FILL_PTX);
        assert_eq!(cuda.cuModuleUnload(module), 0);
        assert_eq!(cuda.cuModuleUnload(module), 400);
        // An event goes with its context.
        let event = cuda.event(0);
        assert_eq!(cuda.cuCtxDestroy_v2(context), 0);
        cuda.context(0);
        assert_eq!(cuda.cuEventQuery(event), 400);
        assert_eq!(cuda.cuEventDestroy_v2(event), 400);
    };
    popping_nothing breaks "pop-of-empty-stack": || {
        let (cuda, context) = Cuda::ready();
        assert_eq!(out(null_mut(), |out| cuda.cuCtxPopCurrent_v2(out)), (0, context));
        assert_eq!(cuda.cuCtxPopCurrent_v2(null_mut()), 201);
    };
    a_function_without_its_module breaks "module-unloaded": || {
        let (cuda, _) = Cuda::ready();
        let module = cuda.module(FILL_PTX);
        let fill = cuda.function(module, c"nvsim_fill_u8");
        assert_eq!(cuda.cuModuleUnload(module), 0);
        let address = cuda.alloc(64);
        assert_eq!(launch_fill(&cuda, fill, (1, 1), null_mut(), (address, 8, 8, 8), 1), 400);
    };
    objects_of_another_context breaks "object-of-other-context": || {
        let (cuda, _) = Cuda::ready();
        let (stream, event) = (cuda.stream(0), cuda.event(0));
        let module = cuda.module(FILL_PTX);
        let fill = cuda.function(module, c"nvsim_fill_u8");
        cuda.context(0);
        let address = cuda.alloc(64);
        assert_eq!(cuda.cuMemsetD8Async(address, 0, 16, stream), 400);
        assert_eq!(cuda.cuEventRecord(event, cuda.stream(0)), 400);
        assert_eq!(launch_fill(&cuda, fill, (1, 1), null_mut(), (address, 8, 8, 8), 1), 400);
    };
    a_missing_parameter breaks "kernel-parameters": || {
        let (cuda, _) = Cuda::ready();
        let fill = cuda.function(cuda.module(FILL_PTX), c"nvsim_fill_u8");
        let null: *mut *mut c_void = null_mut();
        assert_eq!(cuda.cuLaunchKernel(fill, 1, 1, 1, 1, 1, 1, 0, null_mut(), null, null), 1);
        let mut list: [*mut c_void; 5] = [null_mut(); 5];
        assert_eq!(cuda.cuLaunchKernel(fill, 1, 1, 1, 1, 1, 1, 0, null_mut(), list.as_mut_ptr(), null), 1);
        // A buffer that is one byte short of 25.
        let (mut buffer, mut length) = ([0_u8; 24], 24_usize);
        let mut extra: [*mut c_void; 5] = [
            BUFFER_POINTER,
            buffer.as_mut_ptr().cast(),
            BUFFER_SIZE,
            (&raw mut length).cast(),
            null_mut(),
        ];
        assert_eq!(cuda.cuLaunchKernel(fill, 1, 1, 1, 1, 1, 1, 0, null_mut(), null, extra.as_mut_ptr()), 1);
    };
    too_many_threads breaks "launch-limits": || {
        let (cuda, _) = Cuda::ready();
        let fill = cuda.function(cuda.module(FILL_PTX), c"nvsim_fill_u8");
        let launch = |grid: u32, x: u32, y: u32| {
            cuda.cuLaunchKernel(fill, grid, 1, 1, x, y, 1, 0, null_mut(), null_mut(), null_mut())
        };
        assert_eq!((launch(0, 1, 1), launch(1, 1025, 1), launch(1, 64, 17), launch(1, 0, 1)), (1, 1, 1, 1));
    };
    a_kernel_out_of_bounds breaks "kernel-illegal-address": || {
        let (cuda, context) = Cuda::ready();
        let fill = cuda.function(cuda.module(FILL_PTX), c"nvsim_fill_u8");
        let address = cuda.alloc(64);
        // The launch is taken; the fault comes later and the context is of no use any more.
        assert_eq!(launch_fill(&cuda, fill, (1, 1), null_mut(), (address, 8, 8, 9), 1), 0);
        assert_eq!(cuda.cuCtxSynchronize(), 700);
        assert_eq!(out(0, |out| cuda.cuMemAlloc_v2(out, 16)).0, 700);
        assert_eq!(cuda.cuCtxDestroy_v2(context), 0);
        cuda.context(0);
        cuda.alloc(16);
    };
    a_primary_context_released_too_often breaks "primary-release": || {
        let cuda = Cuda::open();
        assert_eq!(cuda.cuInit(0), 0);
        assert_eq!(cuda.cuDevicePrimaryCtxRelease_v2(0), 201);
        let (_, context) = out(null_mut(), |out| cuda.cuDevicePrimaryCtxRetain(out, 0));
        assert_eq!(cuda.cuCtxDestroy_v2(context), 201);
        assert_eq!(cuda.cuDevicePrimaryCtxRelease_v2(0), 0);
    };
    a_pitch_smaller_than_a_row breaks "bad-pitch": || {
        let (cuda, _) = Cuda::ready();
        let address = cuda.alloc(4096);
        assert_eq!(cuda.cuMemsetD2D32_v2(address, 12, 0, 4, 2), 1);
        let host = [0_u8; 64];
        let copy = Memcpy2D {
            src_x_in_bytes: 0,
            src_y: 0,
            src_memory_type: 1,
            src_host: host.as_ptr().cast(),
            src_device: 0,
            src_array: null_mut(),
            src_pitch: 15,
            dst_x_in_bytes: 0,
            dst_y: 0,
            dst_memory_type: 2,
            dst_host: null_mut(),
            dst_device: address,
            dst_array: null_mut(),
            dst_pitch: 512,
            width_in_bytes: 16,
            height: 2,
        };
        assert_eq!(cuda.cuMemcpy2D_v2(&raw const copy), 1);
    };
    pinning_twice breaks "host-registration": || {
        let (cuda, _) = Cuda::ready();
        let mut host = vec![0_u8; 8192];
        let start = host.as_mut_ptr();
        assert_eq!(cuda.cuMemHostRegister_v2(start.cast(), 8192, 0), 0);
        assert_eq!(cuda.cuMemHostRegister_v2(start.wrapping_add(4096).cast(), 4096, 0), 712);
        assert_eq!(cuda.cuMemHostUnregister(start.cast()), 0);
        assert_eq!(cuda.cuMemHostUnregister(start.cast()), 713);
    };
    cuda_calls_in_a_callback breaks "call-in-callback": || {
        let (cuda, _) = Cuda::ready();
        let stream = cuda.stream(0);
        let user = (&raw const cuda).cast_mut().cast();
        assert_eq!(cuda.cuLaunchHostFunc(stream, calls_the_driver, user), 0);
        assert_eq!(cuda.cuStreamSynchronize(stream), 0);
    };
    time_between_events_without_timing breaks "event-timing": || {
        let (cuda, _) = Cuda::ready();
        let (timed, untimed) = (cuda.event(0), cuda.event(2));
        assert_eq!(out(0.0, |out| cuda.cuEventElapsedTime(out, timed, timed)).0, 400);
        assert_eq!((cuda.cuEventRecord(timed, null_mut()), cuda.cuEventRecord(untimed, null_mut())), (0, 0));
        assert_eq!(out(0.0, |out| cuda.cuEventElapsedTime(out, timed, untimed)).0, 400);
    };
}

#[test]
fn what_is_not_given_back_is_listed() {
    let outcome = scenario("what_is_not_given_back_is_listed", &[], || {
        let (cuda, context) = Cuda::ready();
        cuda.alloc(1000);
        cuda.stream(0);
        assert_eq!(cuda.cuCtxDestroy_v2(context), 0);
        cuda.context(0);
        cuda.alloc(2000);
        cuda.event(0);
        cuda.module(FILL_PTX);
        assert_eq!(out(null_mut(), |out| cuda.cuMemAllocHost_v2(out, 3000)).0, 0);
        assert_eq!(out(null_mut(), |out| cuda.cuDevicePrimaryCtxRetain(out, 0)).0, 0);
    });
    let outcome = outcome.ok();
    let text = |leak: &serde_json::Value, key: &str| leak[key].as_str().unwrap().to_owned();
    let leaks: Vec<_> = outcome.report["leaks"].as_array().unwrap().to_vec();
    let has = |kind: &str, detail: &str| {
        leaks.iter().any(|leak| text(leak, "kind") == kind && text(leak, "detail").contains(detail))
    };
    assert!(has("device memory", "1000 bytes") && has("stream", "freed by cuCtxDestroy"), "{leaks:?}");
    assert!(has("device memory", "2000 bytes") && has("pinned host memory", "3000 bytes"), "{leaks:?}");
    assert!(has("event", "") && has("module", "") && has("context", ""), "{leaks:?}");
    assert!(has("primary context", "retained 1"), "{leaks:?}");
    assert_eq!(leaks.len(), 8, "{leaks:?}");
    assert!(outcome.violations().is_empty());
}
