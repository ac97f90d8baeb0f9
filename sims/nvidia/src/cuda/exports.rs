//! Every exported function of the library: name for reports and `cuGetProcAddress`, version of CUDA that brought this
//! form, exported symbols, body and parameters.

use std::ffi::{c_char, c_void};

use super::abi::{
    Array3DDescriptor, ArrayDescriptor, CuResult, Device, DevicePtr, Done, Handle, HostFn, Memcpy2D,
    PoolProperties, StreamCallback, Uuid,
};
use super::device::Properties;
use super::proc_address::Row;
use super::{
    allocate, array, context, copy, device, errors, event, fill, launch, link, module, pointer, pool,
    proc_address, stream_calls,
};
use crate::core::{Call, enter};

macro_rules! export {
    ($symbol:ident, $name:ident, $body:path, ($($arg:ident: $kind:ty),*)) => {
        #[doc = concat!("`", stringify!($symbol), "` of the driver API.")]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol($($arg: $kind),*) -> CuResult {
            enter(stringify!($name), |call| {
                // Some bodies are safe functions: they take no pointers that they look into.
                #[allow(unused_unsafe)]
                // SAFETY: the client promises what the driver API asks of it.
                let done: Done = unsafe { $body(call, $($arg),*) };
                done.err().unwrap_or(CuResult::SUCCESS)
            })
        }
    };
}

macro_rules! exports {
    ($($name:ident $since:literal [$($symbol:ident)*] $body:path: $args:tt;)*) => {
        $($(export!($symbol, $name, $body, $args);)*)*

        /// What `cuGetProcAddress` finds.
        pub(super) fn rows() -> Vec<Row> {
            let mut rows = vec![
                $($(Row { name: stringify!($name), since: $since, address: $symbol as *const c_void }),*),*
            ];
            rows.extend(refused_rows());
            rows
        }
    };
}

/// Functions that are there because clients look them up, and that this card does not support. They take no
/// parameters: the C calling conventions of the platforms this runs on let the caller pass any.
macro_rules! refused {
    ($($symbol:ident)*) => {
        $(export!($symbol, $symbol, refuse, ());)*

        fn refused_rows() -> Vec<Row> {
            vec![$(Row { name: stringify!($symbol), since: 2000, address: $symbol as *const c_void }),*]
        }
    };
}

fn refuse(call: &Call) -> Done {
    device::initialized(call)?;
    Err(CuResult::ERROR_NOT_SUPPORTED)
}

/// Profilers that are not there cannot fail to start.
fn accept(call: &Call) -> Done {
    context::current(call).map(|_| ())
}

exports! {
    cuInit 2000 [cuInit] device::init: (flags: u32);
    cuDriverGetVersion 2020 [cuDriverGetVersion] device::driver_version: (out: *mut i32);
    cuGetProcAddress 11030 [cuGetProcAddress] proc_address::get:
        (name: *const c_char, out: *mut *const c_void, version: i32, flags: u64);
    cuGetProcAddress 12000 [cuGetProcAddress_v2] proc_address::get_v2:
        (name: *const c_char, out: *mut *const c_void, version: i32, flags: u64, status: *mut i32);
    cuGetErrorName 6000 [cuGetErrorName] errors::name: (code: u32, out: *mut *const c_char);
    cuGetErrorString 6000 [cuGetErrorString] errors::text: (code: u32, out: *mut *const c_char);

    cuDeviceGet 2000 [cuDeviceGet] device::get: (out: *mut Device, ordinal: i32);
    cuDeviceGetCount 2000 [cuDeviceGetCount] device::count: (out: *mut i32);
    cuDeviceGetName 2000 [cuDeviceGetName] device::name: (out: *mut c_char, room: i32, dev: Device);
    cuDeviceGetUuid 9020 [cuDeviceGetUuid] device::get_uuid: (out: *mut Uuid, dev: Device);
    cuDeviceGetUuid 11040 [cuDeviceGetUuid_v2] device::get_uuid: (out: *mut Uuid, dev: Device);
    cuDeviceGetLuid 10000 [cuDeviceGetLuid] device::luid: (out: *mut c_char, mask: *mut u32, dev: Device);
    cuDeviceTotalMem 3020 [cuDeviceTotalMem cuDeviceTotalMem_v2] device::total_mem: (out: *mut usize, dev: Device);
    cuDeviceGetAttribute 2000 [cuDeviceGetAttribute] device::attribute:
        (out: *mut i32, attribute: i32, dev: Device);
    cuDeviceGetProperties 2000 [cuDeviceGetProperties] device::properties: (out: *mut Properties, dev: Device);
    cuDeviceComputeCapability 2000 [cuDeviceComputeCapability] device::compute_capability:
        (major: *mut i32, minor: *mut i32, dev: Device);
    cuDeviceGetPCIBusId 4010 [cuDeviceGetPCIBusId] device::pci_bus_id: (out: *mut c_char, room: i32, dev: Device);
    cuDeviceGetByPCIBusId 4010 [cuDeviceGetByPCIBusId] device::by_pci_bus_id:
        (out: *mut Device, text: *const c_char);
    cuDeviceCanAccessPeer 4000 [cuDeviceCanAccessPeer] device::can_access_peer:
        (out: *mut i32, dev: Device, peer: Device);

    cuDevicePrimaryCtxRetain 7000 [cuDevicePrimaryCtxRetain] context::primary_retain:
        (out: *mut Handle, dev: Device);
    cuDevicePrimaryCtxRelease 11000 [cuDevicePrimaryCtxRelease cuDevicePrimaryCtxRelease_v2]
        context::primary_release: (dev: Device);
    cuDevicePrimaryCtxReset 11000 [cuDevicePrimaryCtxReset cuDevicePrimaryCtxReset_v2]
        context::primary_reset: (dev: Device);
    cuDevicePrimaryCtxSetFlags 11000 [cuDevicePrimaryCtxSetFlags cuDevicePrimaryCtxSetFlags_v2]
        context::primary_flags: (dev: Device, flags: u32);
    cuDevicePrimaryCtxGetState 7000 [cuDevicePrimaryCtxGetState] context::primary_state:
        (dev: Device, flags: *mut u32, active: *mut i32);

    cuCtxCreate 3020 [cuCtxCreate cuCtxCreate_v2] context::create: (out: *mut Handle, flags: u32, dev: Device);
    cuCtxCreate 11040 [cuCtxCreate_v3] context::create_v3:
        (out: *mut Handle, affinities: *mut c_void, count: i32, flags: u32, dev: Device);
    cuCtxCreate 12050 [cuCtxCreate_v4] context::create_v4:
        (out: *mut Handle, parameters: *const c_void, flags: u32, dev: Device);
    cuCtxDestroy 4000 [cuCtxDestroy cuCtxDestroy_v2] context::destroy: (ctx: Handle);
    cuCtxPushCurrent 4000 [cuCtxPushCurrent cuCtxPushCurrent_v2] context::push: (ctx: Handle);
    cuCtxPopCurrent 4000 [cuCtxPopCurrent cuCtxPopCurrent_v2] context::pop: (out: *mut Handle);
    cuCtxSetCurrent 4000 [cuCtxSetCurrent] context::set_current: (ctx: Handle);
    cuCtxGetCurrent 4000 [cuCtxGetCurrent] context::get_current: (out: *mut Handle);
    cuCtxGetDevice 2000 [cuCtxGetDevice] context::get_device: (out: *mut Device);
    cuCtxGetId 12000 [cuCtxGetId] context::get_id: (ctx: Handle, out: *mut u64);
    cuCtxSynchronize 2000 [cuCtxSynchronize] context::synchronize: ();
    cuCtxGetApiVersion 3020 [cuCtxGetApiVersion] context::get_api_version: (ctx: Handle, out: *mut u32);
    cuCtxGetFlags 7000 [cuCtxGetFlags] context::get_flags: (out: *mut u32);
    cuCtxSetFlags 12010 [cuCtxSetFlags] context::set_flags: (flags: u32);
    cuCtxSetLimit 3010 [cuCtxSetLimit] context::set_limit: (limit: u32, value: usize);
    cuCtxGetLimit 3010 [cuCtxGetLimit] context::get_limit: (out: *mut usize, limit: u32);
    cuCtxGetCacheConfig 3020 [cuCtxGetCacheConfig] context::get_cache_config: (out: *mut u32);
    cuCtxSetCacheConfig 3020 [cuCtxSetCacheConfig] context::set_cache_config: (config: u32);
    cuCtxGetSharedMemConfig 4020 [cuCtxGetSharedMemConfig] context::get_shared_config: (out: *mut u32);
    cuCtxSetSharedMemConfig 4020 [cuCtxSetSharedMemConfig] context::set_shared_config: (config: u32);
    cuCtxGetStreamPriorityRange 5050 [cuCtxGetStreamPriorityRange] context::stream_priority_range:
        (least: *mut i32, greatest: *mut i32);
    cuCtxEnablePeerAccess 4000 [cuCtxEnablePeerAccess] context::enable_peer: (peer: Handle, flags: u32);
    cuCtxDisablePeerAccess 4000 [cuCtxDisablePeerAccess] context::disable_peer: (peer: Handle);

    cuMemAlloc 3020 [cuMemAlloc cuMemAlloc_v2] allocate::alloc: (out: *mut DevicePtr, bytes: usize);
    cuMemAllocPitch 3020 [cuMemAllocPitch cuMemAllocPitch_v2] allocate::alloc_pitch:
        (out: *mut DevicePtr, pitch: *mut usize, width: usize, height: usize, element: u32);
    cuMemAllocManaged 6000 [cuMemAllocManaged] allocate::alloc_managed:
        (out: *mut DevicePtr, bytes: usize, flags: u32);
    cuMemAllocAsync 11020 [cuMemAllocAsync] pool::alloc_async:
        (out: *mut DevicePtr, bytes: usize, stream: Handle);
    cuMemAllocFromPoolAsync 11020 [cuMemAllocFromPoolAsync] pool::alloc_from:
        (out: *mut DevicePtr, bytes: usize, pool: Handle, stream: Handle);
    cuDeviceGetDefaultMemPool 11020 [cuDeviceGetDefaultMemPool] pool::default: (out: *mut Handle, dev: Device);
    cuDeviceGetMemPool 11020 [cuDeviceGetMemPool] pool::current: (out: *mut Handle, dev: Device);
    cuDeviceSetMemPool 11020 [cuDeviceSetMemPool] pool::choose: (dev: Device, pool: Handle);
    cuMemPoolCreate 11020 [cuMemPoolCreate] pool::create:
        (out: *mut Handle, properties: *const PoolProperties);
    cuMemPoolDestroy 11020 [cuMemPoolDestroy] pool::destroy: (pool: Handle);
    cuMemPoolTrimTo 11020 [cuMemPoolTrimTo] pool::trim_to: (pool: Handle, bytes_to_keep: usize);
    cuMemPoolGetAttribute 11020 [cuMemPoolGetAttribute] pool::get_attribute:
        (pool: Handle, attribute: u32, out: *mut c_void);
    cuMemPoolSetAttribute 11020 [cuMemPoolSetAttribute] pool::set_attribute:
        (pool: Handle, attribute: u32, from: *const c_void);
    cuMemFree 3020 [cuMemFree cuMemFree_v2] allocate::free: (address: DevicePtr);
    cuMemFreeAsync 11020 [cuMemFreeAsync] allocate::free_async: (address: DevicePtr, stream: Handle);
    cuMemGetInfo 3020 [cuMemGetInfo cuMemGetInfo_v2] allocate::get_info: (free: *mut usize, total: *mut usize);
    cuMemGetAddressRange 3020 [cuMemGetAddressRange cuMemGetAddressRange_v2] allocate::get_address_range:
        (base: *mut DevicePtr, size: *mut usize, address: DevicePtr);
    cuMemAllocHost 3020 [cuMemAllocHost cuMemAllocHost_v2] allocate::alloc_host:
        (out: *mut *mut c_void, bytes: usize);
    cuMemHostAlloc 2020 [cuMemHostAlloc] allocate::host_alloc: (out: *mut *mut c_void, bytes: usize, flags: u32);
    cuMemFreeHost 2000 [cuMemFreeHost] allocate::free_host: (address: *mut c_void);
    cuMemHostRegister 6050 [cuMemHostRegister cuMemHostRegister_v2] allocate::host_register:
        (address: *mut c_void, bytes: usize, flags: u32);
    cuMemHostUnregister 4000 [cuMemHostUnregister] allocate::host_unregister: (address: *mut c_void);
    cuMemHostGetDevicePointer 3020 [cuMemHostGetDevicePointer cuMemHostGetDevicePointer_v2]
        allocate::host_device_pointer: (out: *mut DevicePtr, address: *mut c_void, flags: u32);
    cuMemHostGetFlags 2030 [cuMemHostGetFlags] allocate::host_flags: (out: *mut u32, address: *mut c_void);

    cuMemcpy 4000 [cuMemcpy] copy::unified: (to: DevicePtr, from: DevicePtr, bytes: usize);
    cuMemcpyAsync 4000 [cuMemcpyAsync] copy::unified_async:
        (to: DevicePtr, from: DevicePtr, bytes: usize, stream: Handle);
    cuMemcpyHtoD 3020 [cuMemcpyHtoD cuMemcpyHtoD_v2] copy::to_device:
        (to: DevicePtr, from: *const c_void, bytes: usize);
    cuMemcpyHtoDAsync 3020 [cuMemcpyHtoDAsync cuMemcpyHtoDAsync_v2] copy::to_device_async:
        (to: DevicePtr, from: *const c_void, bytes: usize, stream: Handle);
    cuMemcpyDtoH 3020 [cuMemcpyDtoH cuMemcpyDtoH_v2] copy::to_host:
        (to: *mut c_void, from: DevicePtr, bytes: usize);
    cuMemcpyDtoHAsync 3020 [cuMemcpyDtoHAsync cuMemcpyDtoHAsync_v2] copy::to_host_async:
        (to: *mut c_void, from: DevicePtr, bytes: usize, stream: Handle);
    cuMemcpyDtoD 3020 [cuMemcpyDtoD cuMemcpyDtoD_v2] copy::inside: (to: DevicePtr, from: DevicePtr, bytes: usize);
    cuMemcpyDtoDAsync 3020 [cuMemcpyDtoDAsync cuMemcpyDtoDAsync_v2] copy::inside_async:
        (to: DevicePtr, from: DevicePtr, bytes: usize, stream: Handle);
    cuMemcpy2D 3020 [cuMemcpy2D cuMemcpy2D_v2] copy::plane: (copy: *const Memcpy2D);
    cuMemcpy2DUnaligned 3020 [cuMemcpy2DUnaligned cuMemcpy2DUnaligned_v2] copy::plane: (copy: *const Memcpy2D);
    cuMemcpy2DAsync 3020 [cuMemcpy2DAsync cuMemcpy2DAsync_v2] copy::plane_async:
        (copy: *const Memcpy2D, stream: Handle);

    cuMemsetD8 3020 [cuMemsetD8 cuMemsetD8_v2] fill::d8: (to: DevicePtr, value: u8, count: usize);
    cuMemsetD16 3020 [cuMemsetD16 cuMemsetD16_v2] fill::d16: (to: DevicePtr, value: u16, count: usize);
    cuMemsetD32 3020 [cuMemsetD32 cuMemsetD32_v2] fill::d32: (to: DevicePtr, value: u32, count: usize);
    cuMemsetD8Async 3020 [cuMemsetD8Async] fill::d8_async:
        (to: DevicePtr, value: u8, count: usize, stream: Handle);
    cuMemsetD16Async 3020 [cuMemsetD16Async] fill::d16_async:
        (to: DevicePtr, value: u16, count: usize, stream: Handle);
    cuMemsetD32Async 3020 [cuMemsetD32Async] fill::d32_async:
        (to: DevicePtr, value: u32, count: usize, stream: Handle);
    cuMemsetD2D8 3020 [cuMemsetD2D8 cuMemsetD2D8_v2] fill::d2d8:
        (to: DevicePtr, pitch: usize, value: u8, width: usize, height: usize);
    cuMemsetD2D16 3020 [cuMemsetD2D16 cuMemsetD2D16_v2] fill::d2d16:
        (to: DevicePtr, pitch: usize, value: u16, width: usize, height: usize);
    cuMemsetD2D32 3020 [cuMemsetD2D32 cuMemsetD2D32_v2] fill::d2d32:
        (to: DevicePtr, pitch: usize, value: u32, width: usize, height: usize);
    cuMemsetD2D8Async 3020 [cuMemsetD2D8Async] fill::d2d8_async:
        (to: DevicePtr, pitch: usize, value: u8, width: usize, height: usize, stream: Handle);
    cuMemsetD2D16Async 3020 [cuMemsetD2D16Async] fill::d2d16_async:
        (to: DevicePtr, pitch: usize, value: u16, width: usize, height: usize, stream: Handle);
    cuMemsetD2D32Async 3020 [cuMemsetD2D32Async] fill::d2d32_async:
        (to: DevicePtr, pitch: usize, value: u32, width: usize, height: usize, stream: Handle);

    cuPointerGetAttribute 4000 [cuPointerGetAttribute] pointer::attribute:
        (out: *mut c_void, attribute: i32, address: DevicePtr);
    cuPointerGetAttributes 7000 [cuPointerGetAttributes] pointer::attributes:
        (count: u32, attributes: *const i32, out: *const *mut c_void, address: DevicePtr);
    cuPointerSetAttribute 6000 [cuPointerSetAttribute] pointer::set_attribute:
        (value: *const c_void, attribute: i32, address: DevicePtr);

    cuArrayCreate 3020 [cuArrayCreate cuArrayCreate_v2] array::create:
        (out: *mut Handle, descriptor: *const ArrayDescriptor);
    cuArrayGetDescriptor 3020 [cuArrayGetDescriptor cuArrayGetDescriptor_v2] array::describe:
        (out: *mut ArrayDescriptor, array: Handle);
    cuArray3DCreate 3020 [cuArray3DCreate cuArray3DCreate_v2] array::create_3d:
        (out: *mut Handle, descriptor: *const Array3DDescriptor);
    cuArray3DGetDescriptor 3020 [cuArray3DGetDescriptor cuArray3DGetDescriptor_v2] array::describe_3d:
        (out: *mut Array3DDescriptor, array: Handle);
    cuArrayDestroy 2000 [cuArrayDestroy] array::destroy: (array: Handle);

    cuStreamCreate 2000 [cuStreamCreate] stream_calls::create: (out: *mut Handle, flags: u32);
    cuStreamCreateWithPriority 5050 [cuStreamCreateWithPriority] stream_calls::create_with_priority:
        (out: *mut Handle, flags: u32, priority: i32);
    cuStreamDestroy 4000 [cuStreamDestroy cuStreamDestroy_v2] stream_calls::destroy: (stream: Handle);
    cuStreamSynchronize 2000 [cuStreamSynchronize] stream_calls::synchronize: (stream: Handle);
    cuStreamQuery 2000 [cuStreamQuery] stream_calls::query: (stream: Handle);
    cuStreamWaitEvent 3020 [cuStreamWaitEvent] stream_calls::wait_event:
        (stream: Handle, event: Handle, flags: u32);
    cuStreamAddCallback 5000 [cuStreamAddCallback] stream_calls::add_callback:
        (stream: Handle, callback: Option<StreamCallback>, user: *mut c_void, flags: u32);
    cuLaunchHostFunc 10000 [cuLaunchHostFunc] stream_calls::launch_host_func:
        (stream: Handle, function: Option<HostFn>, user: *mut c_void);
    cuStreamGetCtx 9020 [cuStreamGetCtx] stream_calls::get_ctx: (stream: Handle, out: *mut Handle);
    cuStreamGetCtx 12050 [cuStreamGetCtx_v2] stream_calls::get_ctx_v2:
        (stream: Handle, out: *mut Handle, green: *mut Handle);
    cuStreamGetFlags 5050 [cuStreamGetFlags] stream_calls::get_flags: (stream: Handle, out: *mut u32);
    cuStreamGetPriority 5050 [cuStreamGetPriority] stream_calls::get_priority: (stream: Handle, out: *mut i32);
    cuStreamGetId 12000 [cuStreamGetId] stream_calls::get_id: (stream: Handle, out: *mut u64);
    cuStreamIsCapturing 10000 [cuStreamIsCapturing] stream_calls::is_capturing: (stream: Handle, out: *mut u32);

    cuEventCreate 2000 [cuEventCreate] event::create: (out: *mut Handle, flags: u32);
    cuEventRecord 2000 [cuEventRecord] event::record: (event: Handle, stream: Handle);
    cuEventRecordWithFlags 11010 [cuEventRecordWithFlags] event::record_with_flags:
        (event: Handle, stream: Handle, flags: u32);
    cuEventQuery 2000 [cuEventQuery] event::query: (event: Handle);
    cuEventSynchronize 2000 [cuEventSynchronize] event::synchronize: (event: Handle);
    cuEventDestroy 4000 [cuEventDestroy cuEventDestroy_v2] event::destroy: (event: Handle);
    cuEventElapsedTime 2000 [cuEventElapsedTime cuEventElapsedTime_v2] event::elapsed:
        (out: *mut f32, start: Handle, end: Handle);

    cuModuleLoad 2000 [cuModuleLoad] module::load_file: (out: *mut Handle, path: *const c_char);
    cuModuleLoadData 2000 [cuModuleLoadData] module::load_data: (out: *mut Handle, image: *const c_void);
    cuModuleLoadDataEx 2010 [cuModuleLoadDataEx] module::load_data_ex:
        (out: *mut Handle, image: *const c_void, count: u32, options: *mut i32, values: *mut *mut c_void);
    cuModuleLoadFatBinary 2000 [cuModuleLoadFatBinary] module::load_data: (out: *mut Handle, image: *const c_void);
    cuModuleUnload 2000 [cuModuleUnload] module::unload: (module: Handle);
    cuModuleGetFunction 2000 [cuModuleGetFunction] module::get_function:
        (out: *mut Handle, module: Handle, name: *const c_char);
    cuModuleGetGlobal 3020 [cuModuleGetGlobal cuModuleGetGlobal_v2] module::get_global:
        (out: *mut DevicePtr, size: *mut usize, module: Handle, name: *const c_char);
    cuFuncGetModule 11000 [cuFuncGetModule] module::function_module: (out: *mut Handle, function: Handle);
    cuFuncGetAttribute 2020 [cuFuncGetAttribute] launch::get_attribute:
        (out: *mut i32, attribute: i32, function: Handle);
    cuFuncSetAttribute 9000 [cuFuncSetAttribute] launch::set_attribute:
        (function: Handle, attribute: i32, value: i32);
    cuFuncSetCacheConfig 3000 [cuFuncSetCacheConfig] launch::set_cache_config: (function: Handle, config: u32);
    cuOccupancyMaxPotentialBlockSize 6050 [cuOccupancyMaxPotentialBlockSize] launch::max_potential_block_size:
        (least: *mut i32, block: *mut i32, function: Handle, callback: *mut c_void, shared: usize, limit: i32);
    cuOccupancyMaxActiveBlocksPerMultiprocessor 6050 [cuOccupancyMaxActiveBlocksPerMultiprocessor]
        launch::max_active_blocks: (out: *mut i32, function: Handle, block: i32, shared: usize);
    cuLaunchKernel 4000 [cuLaunchKernel] launch::launch:
        (function: Handle, grid_x: u32, grid_y: u32, grid_z: u32, block_x: u32, block_y: u32, block_z: u32,
         shared: u32, stream: Handle, parameters: *mut *mut c_void, extra: *mut *mut c_void);
    cuLinkCreate 6050 [cuLinkCreate cuLinkCreate_v2] link::create:
        (count: u32, options: *mut i32, values: *mut *mut c_void, out: *mut Handle);
    cuLinkAddData 6050 [cuLinkAddData cuLinkAddData_v2] link::add_data:
        (state: Handle, kind: i32, data: *mut c_void, size: usize, name: *const c_char, count: u32,
         options: *mut i32, values: *mut *mut c_void);
    cuLinkComplete 5050 [cuLinkComplete] link::complete:
        (state: Handle, out: *mut *mut c_void, size: *mut usize);
    cuLinkDestroy 5050 [cuLinkDestroy] link::destroy: (state: Handle);

    cuProfilerStart 4000 [cuProfilerStart] accept: ();
    cuProfilerStop 4000 [cuProfilerStop] accept: ();
}

refused! {
    cuGetExportTable
    cuLinkAddFile cuLinkAddFile_v2
    cuTexObjectCreate cuTexObjectDestroy
    cuGLGetDevices cuGLGetDevices_v2 cuGraphicsGLRegisterImage cuGraphicsGLRegisterBuffer
    cuGraphicsUnregisterResource cuGraphicsMapResources cuGraphicsUnmapResources
    cuGraphicsSubResourceGetMappedArray cuGraphicsResourceGetMappedPointer
    cuGraphicsResourceGetMappedPointer_v2
    cuImportExternalMemory cuDestroyExternalMemory cuExternalMemoryGetMappedBuffer
    cuExternalMemoryGetMappedMipmappedArray cuMipmappedArrayCreate cuMipmappedArrayGetLevel cuMipmappedArrayDestroy
    cuImportExternalSemaphore cuDestroyExternalSemaphore cuSignalExternalSemaphoresAsync
    cuWaitExternalSemaphoresAsync
    cuEGLStreamProducerConnect cuEGLStreamProducerDisconnect cuEGLStreamConsumerDisconnect
    cuEGLStreamProducerPresentFrame cuEGLStreamProducerReturnFrame
    cuIpcGetMemHandle cuIpcOpenMemHandle cuIpcOpenMemHandle_v2 cuIpcCloseMemHandle cuIpcGetEventHandle
    cuIpcOpenEventHandle
    cuMemcpy3D cuMemcpy3D_v2 cuMemcpy3DAsync cuMemcpy3DAsync_v2 cuMemcpyPeer cuMemcpyPeerAsync
    cuMemcpyDtoA cuMemcpyDtoA_v2 cuMemcpyAtoD cuMemcpyAtoD_v2 cuMemcpyHtoA cuMemcpyHtoA_v2 cuMemcpyAtoH
    cuMemcpyAtoH_v2 cuMemcpyAtoA cuMemcpyAtoA_v2
    cuMemPoolSetAccess cuMemPoolGetAccess cuMemPoolExportToShareableHandle cuMemPoolImportFromShareableHandle
    cuMemCreate cuMemRelease cuMemMap cuMemUnmap cuMemSetAccess cuMemAddressReserve cuMemAddressFree
    cuMemExportToShareableHandle cuMemImportFromShareableHandle cuMemGetAllocationGranularity
    cuLaunchCooperativeKernel cuLaunchKernelEx
    cuStreamBeginCapture cuStreamBeginCapture_v2 cuStreamEndCapture cuGraphCreate cuGraphDestroy cuGraphLaunch
    cuLibraryLoadData cuLibraryUnload cuLibraryGetKernel cuKernelGetFunction
}
