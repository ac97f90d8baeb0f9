//! Clean clients of the CUDA driver API: devices, contexts, memory, streams, events, modules.

// The helpers of a test file are not tests to the lint.

use std::ffi::{CStr, c_void};
use std::ptr::null_mut;

use crate::common::scenario;
use crate::cuda_support::{BUFFER_POINTER, BUFFER_SIZE, Cuda, FILL_PTX, Gate, launch_fill, out};
use nvsim::cuda::abi::{Array3DDescriptor, Memcpy2D, PoolProperties, memory_type};

const TWO_DEVICES: &str = "[[device]]\nname = 'First'\nmemory_mib = 64\ncompute = [7, 5]\nmultiprocessors = 40\n\
    [[device]]\nname = 'Second'\nmemory_mib = 128\ncompute = [9, 0]\n\
    uuid = '00112233-4455-6677-8899-aabbccddeeff'\n";

/// The environment for a machine of two cards. The file lives as long as the directory.
fn two_devices(directory: &tempfile::TempDir) -> String {
    let path = directory.path().join("two.toml");
    std::fs::write(&path, TWO_DEVICES).unwrap();
    path.to_str().unwrap().to_owned()
}

fn name_of(cuda: &Cuda, device: i32) -> String {
    let mut text = [0; 64];
    assert_eq!(cuda.cuDeviceGetName(text.as_mut_ptr(), 64, device), 0);
    // SAFETY: the driver ends the text with NUL.
    unsafe { CStr::from_ptr(text.as_ptr()) }.to_str().unwrap().to_owned()
}

#[test]
fn devices_are_those_of_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let config = two_devices(&directory);
    let outcome = scenario("devices_are_those_of_the_configuration", &[("NVSIM_CONFIG", &config)], || {
        let cuda = Cuda::open();
        assert_eq!(cuda.cuInit(0), 0);
        assert_eq!(out(0, |out| cuda.cuDeviceGetCount(out)), (0, 2));
        assert_eq!((name_of(&cuda, 0), name_of(&cuda, 1)), ("First".into(), "Second".into()));
        assert_eq!(out(0, |out| cuda.cuDeviceTotalMem_v2(out, 1)), (0, 128 << 20));
        assert_eq!(out(0, |out| cuda.cuDeviceGetAttribute(out, 75, 1)), (0, 9));
        assert_eq!(out(0, |out| cuda.cuDeviceGetAttribute(out, 16, 0)), (0, 40));
        assert_eq!(out(0, |out| cuda.cuDeviceGetAttribute(out, 18, 0)), (0, 0));
        assert_eq!(out(0, |out| cuda.cuDeviceGetAttribute(out, 41, 0)), (0, 1));
        assert_eq!(out(0, |out| cuda.cuDeviceGetAttribute(out, 9999, 0)).0, 1);
        let (_, uuid) = out([0; 16], |out| cuda.cuDeviceGetUuid_v2(out, 1));
        assert_eq!((uuid[0], uuid[1], uuid[15]), (0x00, 0x11, 0xff));
        let mut bus = [0; 16];
        assert_eq!(cuda.cuDeviceGetPCIBusId(bus.as_mut_ptr(), 16, 1), 0);
        assert_eq!(out(0, |out| cuda.cuDeviceGetByPCIBusId(out, bus.as_ptr())), (0, 1));
        assert_eq!(out(0, |out| cuda.cuDeviceGet(out, 2)).0, 101);
        let context = cuda.context(1);
        assert_eq!(out(0, |out| cuda.cuCtxGetDevice(out)), (0, 1));
        assert_eq!(cuda.cuCtxDestroy_v2(context), 0);
    });
    outcome.clean();
}

#[test]
fn visible_devices_hide_and_reorder() {
    let directory = tempfile::tempdir().unwrap();
    let config = two_devices(&directory);
    let environment = [("NVSIM_CONFIG", config.as_str()), ("CUDA_VISIBLE_DEVICES", "1")];
    let outcome = scenario("visible_devices_hide_and_reorder", &environment, || {
        let (cuda, context) = Cuda::ready();
        assert_eq!(out(0, |out| cuda.cuDeviceGetCount(out)), (0, 1));
        assert_eq!(name_of(&cuda, 0), "Second");
        assert_eq!(out(9, |out| cuda.cuCtxGetDevice(out)), (0, 0));
        let (_, (free, total)) = out((0, 0), |out| {
            let (mut free, mut total) = (0, 0);
            let code = cuda.cuMemGetInfo_v2(&raw mut free, &raw mut total);
            // SAFETY: `out` is the pair of the helper.
            unsafe { out.write((free, total)) };
            code
        });
        assert_eq!((free, total), (128 << 20, 128 << 20));
        assert_eq!(cuda.cuCtxDestroy_v2(context), 0);
    });
    outcome.clean();
}

#[test]
fn contexts_are_a_stack_per_thread() {
    let outcome = scenario("contexts_are_a_stack_per_thread", &[], || {
        let (cuda, first) = Cuda::ready();
        let second = cuda.context(0);
        let current = || out(null_mut(), |out| cuda.cuCtxGetCurrent(out)).1;
        assert_eq!(current(), second);
        assert_eq!(out(null_mut(), |out| cuda.cuCtxPopCurrent_v2(out)), (0, second));
        assert_eq!(current(), first);
        // Floating: current on another thread at the same time.
        let address = second as usize;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(out(null_mut(), |out| cuda.cuCtxGetCurrent(out)), (0, null_mut()));
                assert_eq!(cuda.cuCtxSetCurrent(address as *mut c_void), 0);
                assert_eq!(cuda.cuMemFree_v2(cuda.alloc(16)), 0);
                assert_eq!(cuda.cuCtxSetCurrent(null_mut()), 0);
            });
        });
        assert_eq!(cuda.cuCtxDestroy_v2(second), 0);
        assert_eq!(current(), first);
        assert_eq!(cuda.cuCtxDestroy_v2(first), 0);
        assert_eq!(current(), null_mut());
    });
    outcome.clean();
}

#[test]
fn a_primary_context_is_counted() {
    let outcome = scenario("a_primary_context_is_counted", &[], || {
        let cuda = Cuda::open();
        assert_eq!(cuda.cuInit(0), 0);
        let active = || {
            let (mut flags, mut active) = (0, 0);
            assert_eq!(cuda.cuDevicePrimaryCtxGetState(0, &raw mut flags, &raw mut active), 0);
            active
        };
        assert_eq!(active(), 0);
        let (_, first) = out(null_mut(), |out| cuda.cuDevicePrimaryCtxRetain(out, 0));
        let (_, again) = out(null_mut(), |out| cuda.cuDevicePrimaryCtxRetain(out, 0));
        assert_eq!(first, again);
        assert_eq!(cuda.cuDevicePrimaryCtxRelease_v2(0), 0);
        assert_eq!(active(), 1);
        assert_eq!(cuda.cuDevicePrimaryCtxRelease_v2(0), 0);
        assert_eq!(active(), 0);
    });
    outcome.clean();
}

#[test]
fn pitched_copies_move_rectangles() {
    let outcome = scenario("pitched_copies_move_rectangles", &[], || {
        let (cuda, context) = Cuda::ready();
        let (mut address, mut pitch) = (0, 0);
        assert_eq!(cuda.cuMemAllocPitch_v2(&raw mut address, &raw mut pitch, 100, 8, 4), 0);
        assert_eq!((address % 512, pitch), (0, 512));
        assert_eq!(cuda.cuMemsetD8_v2(address, 7, pitch * 8), 0);
        let source: Vec<u8> = (0..40).collect();
        let mut copy = Memcpy2D {
            src_x_in_bytes: 2,
            src_y: 1,
            src_memory_type: memory_type::HOST,
            src_host: source.as_ptr().cast(),
            src_device: 0,
            src_array: null_mut(),
            src_pitch: 10,
            dst_x_in_bytes: 3,
            dst_y: 2,
            dst_memory_type: memory_type::DEVICE,
            dst_host: null_mut(),
            dst_device: address,
            dst_array: null_mut(),
            dst_pitch: pitch,
            width_in_bytes: 4,
            height: 3,
        };
        assert_eq!(cuda.cuMemcpy2D_v2(&raw const copy), 0);
        let rows = cuda.read(address, pitch * 8);
        assert_eq!(rows[2 * pitch..2 * pitch + 9], [7, 7, 7, 12, 13, 14, 15, 7, 7]);
        assert_eq!(rows[4 * pitch + 3..4 * pitch + 7], [32, 33, 34, 35]);
        assert_eq!(rows[5 * pitch + 3], 7);
        // The same through an array and back.
        let descriptor =
            Array3DDescriptor { width: 16, height: 8, depth: 0, format: 1, channels: 1, flags: 0 };
        let (code, array) = out(null_mut(), |out| cuda.cuArray3DCreate_v2(out, &raw const descriptor));
        assert_eq!(code, 0);
        (copy.dst_memory_type, copy.dst_array) = (memory_type::ARRAY, array);
        assert_eq!(cuda.cuMemcpy2D_v2(&raw const copy), 0);
        let mut back = [0_u8; 4];
        let (x, y) = (copy.dst_x_in_bytes, copy.dst_y + 2);
        (copy.src_memory_type, copy.src_array, copy.src_x_in_bytes, copy.src_y) =
            (memory_type::ARRAY, array, x, y);
        (copy.dst_memory_type, copy.dst_host, copy.dst_x_in_bytes, copy.dst_y) =
            (memory_type::HOST, back.as_mut_ptr().cast(), 0, 0);
        (copy.height, copy.dst_pitch) = (1, 0);
        assert_eq!(cuda.cuMemcpy2D_v2(&raw const copy), 0);
        assert_eq!(back, [32, 33, 34, 35]);
        assert_eq!(cuda.cuMemsetD2D16_v2(address + 2, pitch, 0x0201, 3, 2), 0);
        assert_eq!(cuda.read(address + pitch as u64, 9), [7, 7, 1, 2, 1, 2, 1, 2, 7]);
        assert_eq!(cuda.cuArrayDestroy(array), 0);
        assert_eq!(cuda.cuMemFree_v2(address), 0);
        assert_eq!(cuda.cuCtxDestroy_v2(context), 0);
    });
    outcome.clean();
}

#[test]
fn copies_inside_the_device_wait_for_their_stream() {
    let outcome = scenario("copies_inside_the_device_wait_for_their_stream", &[], || {
        let (cuda, context) = Cuda::ready();
        let (first, second) = (cuda.stream(1), cuda.stream(1));
        let (_, event) = out(null_mut(), |out| cuda.cuEventCreate(out, 2));
        let (mut from, mut pitch) = (0, 0);
        assert_eq!(cuda.cuMemAllocPitch_v2(&raw mut from, &raw mut pitch, 64, 4, 16), 0);
        let (linear, packed) = (cuda.alloc(64), cuda.alloc(64));
        for address in [linear, packed] {
            assert_eq!(cuda.cuMemsetD8_v2(address, 9, 64), 0);
        }
        // Those calls come back before the memory is written, and these streams do not wait for the default one.
        assert_eq!(cuda.cuCtxSynchronize(), 0);
        // What the first stream writes late is copied by the second one, which waits for the event between them.
        let gate = Gate::on(&cuda, first);
        assert_eq!(cuda.cuMemsetD8Async(from, 1, pitch * 4, first), 0);
        assert_eq!(cuda.cuMemsetD8Async(from + pitch as u64, 2, 64, first), 0);
        assert_eq!(cuda.cuEventRecord(event, first), 0);
        assert_eq!(cuda.cuStreamWaitEvent(second, event, 0), 0);
        assert_eq!(cuda.cuMemcpyDtoDAsync_v2(linear, from, 64, second), 0);
        let copy = Memcpy2D {
            src_x_in_bytes: 8,
            src_y: 0,
            src_memory_type: memory_type::DEVICE,
            src_host: null_mut(),
            src_device: from,
            src_array: null_mut(),
            src_pitch: pitch,
            dst_x_in_bytes: 0,
            dst_y: 1,
            dst_memory_type: memory_type::DEVICE,
            dst_host: null_mut(),
            dst_device: packed,
            dst_array: null_mut(),
            dst_pitch: 16,
            width_in_bytes: 16,
            height: 2,
        };
        assert_eq!(cuda.cuMemcpy2DAsync_v2(&raw const copy, second), 0);
        assert_eq!((cuda.cuEventQuery(event), cuda.cuStreamQuery(second)), (600, 600));
        gate.open();
        assert_eq!(cuda.cuStreamSynchronize(second), 0);
        assert_eq!((cuda.cuEventQuery(event), cuda.cuStreamQuery(second)), (0, 0));
        assert_eq!(cuda.read(linear, 64), [1; 64]);
        assert_eq!(cuda.read(packed, 64), [[9; 16], [1; 16], [2; 16], [9; 16]].concat());
        // A row too many.
        let beyond = Memcpy2D { dst_y: 3, ..copy };
        assert_ne!(cuda.cuMemcpy2DAsync_v2(&raw const beyond, second), 0);
        for address in [from, linear, packed] {
            assert_eq!(cuda.cuMemFree_v2(address), 0);
        }
        assert_eq!(cuda.cuEventDestroy_v2(event), 0);
        for stream in [first, second] {
            assert_eq!(cuda.cuStreamDestroy_v2(stream), 0);
        }
        assert_eq!(cuda.cuCtxDestroy_v2(context), 0);
    })
    .ok();
    assert_eq!(outcome.violations(), ["out-of-range"], "the copy beyond the end, and nothing else");
    assert_eq!(outcome.report["leaks"], serde_json::json!([]));
}

#[test]
fn memory_is_counted_and_pointers_are_known() {
    let environment = [("NVSIM_SET", "device.0.memory_mib=8")];
    let outcome = scenario("memory_is_counted_and_pointers_are_known", &environment, || {
        let (cuda, context) = Cuda::ready();
        let address = cuda.alloc(6 << 20);
        assert_eq!(out(0, |out| cuda.cuMemAlloc_v2(out, 3 << 20)), (2, 0));
        let (mut free, mut total) = (0, 0);
        assert_eq!(cuda.cuMemGetInfo_v2(&raw mut free, &raw mut total), 0);
        assert_eq!((free, total), (2 << 20, 8 << 20));
        let (mut base, mut size) = (0, 0);
        assert_eq!(cuda.cuMemGetAddressRange_v2(&raw mut base, &raw mut size, address + 77), 0);
        assert_eq!((base, size), (address, 6 << 20));
        let kind = |address| out(0_u32, |out| cuda.cuPointerGetAttribute(out.cast(), 2, address));
        assert_eq!(kind(address), (0, memory_type::DEVICE));
        let (_, host) = out(null_mut(), |out| cuda.cuMemAllocHost_v2(out, 100));
        assert_eq!(kind(host as usize as u64), (0, memory_type::HOST));
        let local = 0_u8;
        assert_eq!(kind(&raw const local as usize as u64).0, 1);
        assert_eq!(cuda.cuMemFreeHost(host), 0);
        assert_eq!(cuda.cuMemFree_v2(address), 0);
        assert_eq!(cuda.cuMemFree_v2(0), 0);
        assert_eq!(out(context, |out| cuda.cuMemAllocHost_v2(out, 0)), (0, null_mut()));
        assert_eq!(cuda.cuMemFreeHost(null_mut()), 0);
        let address = cuda.alloc(8 << 20);
        assert_eq!(cuda.cuMemFreeAsync(address, null_mut()), 0);
        assert_eq!(cuda.cuCtxSynchronize(), 0);
        assert_eq!(cuda.cuMemGetInfo_v2(&raw mut free, &raw mut total), 0);
        assert_eq!(free, total);
        assert_eq!(cuda.cuCtxDestroy_v2(context), 0);
    });
    outcome.clean();
}

#[test]
fn pools_keep_account_of_what_is_taken_from_them() {
    let outcome = scenario("pools_keep_account_of_what_is_taken_from_them", &[], || {
        const THRESHOLD: u32 = 4;
        const USED: u32 = 7;
        const HIGH: u32 = 8;
        let (cuda, context) = Cuda::ready();
        let stream = cuda.stream(1);
        let (code, default) = out(null_mut(), |out| cuda.cuDeviceGetDefaultMemPool(out, 0));
        assert_eq!((code, out(null_mut(), |out| cuda.cuDeviceGetMemPool(out, 0))), (0, (0, default)));
        let ask = |pool, attribute| out(9_u64, |out| cuda.cuMemPoolGetAttribute(pool, attribute, out.cast()));
        let set =
            |attribute, bytes: u64| cuda.cuMemPoolSetAttribute(default, attribute, (&raw const bytes).cast());
        assert_eq!(ask(default, THRESHOLD), (0, 0));
        assert_eq!(set(THRESHOLD, u64::MAX), 0);
        assert_eq!(ask(default, THRESHOLD), (0, u64::MAX));
        assert_eq!(out(7_i32, |out| cuda.cuMemPoolGetAttribute(default, 1, out.cast())), (0, 1));
        let (code, first) = out(0, |out| cuda.cuMemAllocAsync(out, 1000, stream));
        assert_eq!((code, ask(default, USED)), (0, (0, 1000)));
        // A pool of one's own, and allocations that go to it.
        let properties = PoolProperties {
            allocation_type: 1,
            handle_types: 0,
            location_type: 1,
            location_id: 0,
            security_attributes: std::ptr::null(),
            max_size: 0,
            usage: 0,
            reserved: [0; 54],
        };
        let (code, own) = out(null_mut(), |out| cuda.cuMemPoolCreate(out, &raw const properties));
        assert_eq!(code, 0);
        let elsewhere = PoolProperties { location_id: 5, ..properties };
        assert_eq!(out(null_mut(), |out| cuda.cuMemPoolCreate(out, &raw const elsewhere)).0, 101);
        let (code, second) = out(0, |out| cuda.cuMemAllocFromPoolAsync(out, 500, own, stream));
        assert_eq!((code, ask(own, USED), ask(default, USED)), (0, (0, 500), (0, 1000)));
        assert_eq!(cuda.cuDeviceSetMemPool(0, own), 0);
        let (code, third) = out(0, |out| cuda.cuMemAllocAsync(out, 300, stream));
        assert_eq!((code, ask(own, USED)), (0, (0, 800)));
        // What is freed on a stream is used until the stream gets there.
        let gate = Gate::on(&cuda, stream);
        assert_eq!(cuda.cuMemFreeAsync(second, stream), 0);
        assert_eq!(ask(own, USED), (0, 800));
        gate.open();
        assert_eq!(cuda.cuStreamSynchronize(stream), 0);
        assert_eq!((ask(own, USED), ask(own, HIGH)), ((0, 300), (0, 800)));
        assert_eq!(cuda.cuMemPoolTrimTo(own, 0), 0);
        // The memory outlives its pool, and the device is back at its default.
        assert_eq!(cuda.cuMemPoolDestroy(own), 0);
        assert_eq!(out(null_mut(), |out| cuda.cuDeviceGetMemPool(out, 0)), (0, default));
        assert_eq!(cuda.cuMemsetD8_v2(third, 1, 300), 0);
        assert_eq!((cuda.cuMemFree_v2(third), cuda.cuMemFree_v2(first)), (0, 0));
        assert_eq!((ask(default, USED), ask(default, HIGH)), ((0, 0), (0, 1000)));
        assert_eq!((set(HIGH, 5), set(USED, 0), set(HIGH, 0)), (1, 1, 0));
        assert_eq!(ask(default, HIGH), (0, 0));
        assert_eq!(cuda.cuMemPoolDestroy(default), 1);
        assert_eq!(cuda.cuStreamDestroy_v2(stream), 0);
        assert_eq!(cuda.cuCtxDestroy_v2(context), 0);
    });
    outcome.clean();
}

#[test]
fn streams_run_later_and_in_order() {
    let outcome = scenario("streams_run_later_and_in_order", &[], || {
        let (cuda, context) = Cuda::ready();
        let address = cuda.alloc(64);
        assert_eq!(cuda.cuMemsetD8_v2(address, 1, 64), 0);
        let (_, host) = out(null_mut(), |out| cuda.cuMemAllocHost_v2(out, 64));
        let seen = || {
            // SAFETY: 64 pinned bytes; a racing write is what the test is about, one byte wide.
            unsafe { host.cast::<u8>().read_volatile() }
        };
        assert_eq!(cuda.cuMemcpyDtoH_v2(host, address, 64), 0);
        assert_eq!(seen(), 1);
        // A non-blocking stream: nothing else waits for it, and who does not wait sees old bytes.
        let stream = cuda.stream(1);
        let gate = Gate::on(&cuda, stream);
        assert_eq!(cuda.cuMemsetD8Async(address, 2, 64, stream), 0);
        assert_eq!(cuda.cuMemcpyDtoHAsync_v2(host, address, 64, stream), 0);
        assert_eq!(cuda.cuStreamQuery(stream), 600);
        assert_eq!(seen(), 1);
        assert_eq!(cuda.read(address, 1), [1]);
        gate.open();
        assert_eq!(cuda.cuStreamSynchronize(stream), 0);
        assert_eq!((cuda.cuStreamQuery(stream), seen()), (0, 2));
        // A blocking one: the default stream comes after it.
        let blocking = cuda.stream(0);
        let gate = Gate::on(&cuda, blocking);
        assert_eq!(cuda.cuMemsetD8Async(address, 3, 64, blocking), 0);
        assert_eq!(cuda.cuMemsetD8Async(address, 4, 1, null_mut()), 0);
        // Time for a default stream that does not wait to give itself away.
        std::thread::sleep(std::time::Duration::from_millis(30));
        assert_eq!(cuda.cuStreamQuery(null_mut()), 600);
        gate.open();
        assert_eq!(cuda.read(address, 2), [4, 3]);
        // Ordinary memory is taken over at once: the client may change it before the copy runs.
        let gate = Gate::on(&cuda, stream);
        let mut source = [5_u8; 64];
        assert_eq!(cuda.cuMemcpyHtoDAsync_v2(address, source.as_ptr().cast(), 64, stream), 0);
        source.fill(6);
        gate.open();
        // Destroying a stream finishes it.
        assert_eq!(cuda.cuStreamDestroy_v2(stream), 0);
        assert_eq!(cuda.read(address, 1), [5]);
        assert_eq!(cuda.cuStreamDestroy_v2(blocking), 0);
        assert_eq!(cuda.cuMemFree_v2(address), 0);
        assert_eq!(cuda.cuMemFreeHost(host), 0);
        assert_eq!(cuda.cuCtxDestroy_v2(context), 0);
    });
    outcome.clean();
}

#[test]
fn events_order_streams_and_measure() {
    let environment = [("NVSIM_SET", "time.enabled=true;time.device_copy_bytes_per_s=1000000000")];
    let outcome = scenario("events_order_streams_and_measure", &environment, || {
        let (cuda, context) = Cuda::ready();
        let (first, second) = (cuda.stream(1), cuda.stream(1));
        let address = cuda.alloc(4 << 20);
        let (start, end) = (cuda.event(0), cuda.event(0));
        assert_eq!(cuda.cuEventQuery(end), 0);
        let gate = Gate::on(&cuda, first);
        assert_eq!(cuda.cuEventRecord(start, first), 0);
        assert_eq!(cuda.cuMemsetD8Async(address, 1, 4 << 20, first), 0);
        assert_eq!(cuda.cuEventRecord(end, first), 0);
        assert_eq!(cuda.cuStreamWaitEvent(second, end, 0), 0);
        assert_eq!(cuda.cuMemsetD8Async(address, 2, 1, second), 0);
        assert_eq!(cuda.cuEventQuery(end), 600);
        assert_eq!(out(0.0, |out| cuda.cuEventElapsedTime(out, start, end)).0, 600);
        gate.open();
        assert_eq!(cuda.cuStreamSynchronize(second), 0);
        assert_eq!(cuda.read(address, 2), [2, 1]);
        assert_eq!(cuda.cuEventSynchronize(end), 0);
        // 4 MiB at 1 GB/s: the model says 4.19 ms, and work never takes less than the model says.
        let (code, ms) = out(0.0, |out| cuda.cuEventElapsedTime(out, start, end));
        assert!(code == 0 && ms >= 4.19, "{code} {ms}");
        for event in [start, end] {
            assert_eq!(cuda.cuEventDestroy_v2(event), 0);
        }
        // Freeing waits for the work, and so does the end of the streams.
        assert_eq!(cuda.cuMemsetD8Async(address, 3, 4 << 20, first), 0);
        assert_eq!(cuda.cuMemFree_v2(address), 0);
        assert_eq!(cuda.cuStreamQuery(first), 0);
        assert_eq!(cuda.cuStreamDestroy_v2(first), 0);
        assert_eq!(cuda.cuStreamDestroy_v2(second), 0);
        assert_eq!(cuda.cuCtxDestroy_v2(context), 0);
    });
    outcome.clean();
}

#[test]
fn a_kernel_runs_its_reference() {
    let outcome = scenario("a_kernel_runs_its_reference", &[], || {
        let (cuda, context) = Cuda::ready();
        // Through the linker first: its output loads as a module.
        let (_, link) = out(null_mut(), |out| cuda.cuLinkCreate_v2(0, null_mut(), null_mut(), out));
        let text = FILL_PTX.to_bytes_with_nul();
        let data = text.as_ptr().cast_mut().cast();
        let null = std::ptr::null();
        assert_eq!(cuda.cuLinkAddData_v2(link, 1, data, text.len(), null, 0, null_mut(), null_mut()), 0);
        let mut size = 0;
        let (code, image) = out(null_mut(), |out| cuda.cuLinkComplete(link, out, &raw mut size));
        assert!(code == 0 && size >= text.len());
        let (code, module) = out(null_mut(), |out| cuda.cuModuleLoadData(out, image));
        assert_eq!(code, 0);
        assert_eq!(cuda.cuLinkDestroy(link), 0);
        let fill = cuda.function(module, c"nvsim_fill_u8");
        assert_eq!(out(null_mut(), |out| cuda.cuModuleGetFunction(out, module, c"missing".as_ptr())).0, 500);
        let address = cuda.alloc(64 * 40);
        assert_eq!(cuda.cuMemsetD8_v2(address, 0, 64 * 40), 0);
        // A grid of 2 x 1 blocks of 16 x 16 threads covers 32 x 16 of the 40 x 40 asked for.
        assert_eq!(launch_fill(&cuda, fill, (2, 1), null_mut(), (address, 64, 40, 40), 9), 0);
        let bytes = cuda.read(address, 64 * 40);
        let filled = bytes.iter().filter(|byte| **byte == 9).count();
        assert_eq!((filled, bytes[31], bytes[32], bytes[15 * 64], bytes[16 * 64]), (32 * 16, 9, 0, 9, 0));
        // The same parameters in one buffer.
        let mut buffer = [0_u8; 25];
        buffer[..8].copy_from_slice(&address.to_le_bytes());
        buffer[8..16].copy_from_slice(&64_u64.to_le_bytes());
        buffer[16..20].copy_from_slice(&3_u32.to_le_bytes());
        buffer[20..24].copy_from_slice(&1_u32.to_le_bytes());
        buffer[24] = 8;
        let mut length = buffer.len();
        let mut extra: [*mut c_void; 5] =
            [BUFFER_POINTER, buffer.as_mut_ptr().cast(), BUFFER_SIZE, (&raw mut length).cast(), null_mut()];
        let code =
            cuda.cuLaunchKernel(fill, 1, 1, 1, 16, 1, 1, 0, null_mut(), null_mut(), extra.as_mut_ptr());
        assert_eq!(code, 0);
        assert_eq!(cuda.read(address, 5), [8, 8, 8, 9, 9]);
        let other = cuda.function(module, c"no_reference");
        let mut parameter = address;
        let mut list = [(&raw mut parameter).cast::<c_void>()];
        let code = cuda.cuLaunchKernel(other, 1, 1, 1, 1, 1, 1, 0, null_mut(), list.as_mut_ptr(), null_mut());
        assert_eq!(code, 801);
        assert_eq!(cuda.cuModuleUnload(module), 0);
        assert_eq!(cuda.cuMemFree_v2(address), 0);
        assert_eq!(cuda.cuCtxDestroy_v2(context), 0);
    });
    let outcome = outcome.clean();
    assert_eq!(
        outcome.report["sections"]["cuda"]["kernels_without_reference"],
        serde_json::json!(["no_reference"])
    );
}

#[test]
fn functions_are_found_by_name_and_version() {
    let outcome = scenario("functions_are_found_by_name_and_version", &[], || {
        let (cuda, context) = Cuda::ready();
        let find = |name: &CStr, version| {
            let mut status = -1;
            let found = out(std::ptr::null(), |out| {
                cuda.cuGetProcAddress_v2(name.as_ptr(), out, version, 0, &raw mut status)
            });
            (found.0, found.1, status)
        };
        let (code, old, status) = find(c"cuCtxCreate", 11000);
        assert!(code == 0 && !old.is_null() && status == 0);
        let new = find(c"cuCtxCreate", 13000).1;
        assert!(!new.is_null() && new != old);
        assert_eq!(find(c"cuNoSuchThing", 13000), (0, std::ptr::null(), 1));
        assert_eq!(find(c"cuMemAllocAsync", 8000), (0, std::ptr::null(), 2));
        let (_, name) = out(std::ptr::null(), |out| cuda.cuGetErrorName(709, out));
        // SAFETY: a text of the driver, which ends in NUL.
        assert_eq!(unsafe { CStr::from_ptr(name) }, c"CUDA_ERROR_CONTEXT_IS_DESTROYED");
        assert_eq!(out(std::ptr::null(), |out| cuda.cuGetErrorName(12345, out)), (1, std::ptr::null()));
        assert_eq!(cuda.cuCtxDestroy_v2(context), 0);
    });
    outcome.clean();
}

/// What FFmpeg's loader looks up must be there: read from its header, when it is installed.
#[test]
fn every_symbol_of_ffmpegs_loader_is_there() {
    const HEADER: &str = "/usr/include/ffnvcodec/dynlink_loader.h";
    let Ok(header) = std::fs::read_to_string(HEADER) else {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: {HEADER} is not installed (libffmpeg-nvenc-dev)\n"),
        );
        return;
    };
    let outcome = scenario("every_symbol_of_ffmpegs_loader_is_there", &[], || {
        let cuda = Cuda::open();
        assert_eq!(cuda.cuInit(0), 0);
        let symbols = header.split('"').filter(|text| text.starts_with("cu") && !text.starts_with("cuvid"));
        let wanted: Vec<_> = symbols.filter(|symbol| !symbol.contains("D3D11")).collect();
        assert!(wanted.len() > 60, "{}", wanted.len());
        let missing: Vec<_> = wanted.iter().filter(|symbol| !cuda.has(symbol)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    });
    outcome.clean();
}
