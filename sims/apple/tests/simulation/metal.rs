//! Metal by a client of its own: kernels run from their text, and what is wrong with them or with their use is told.

use std::ffi::{CStr, c_void};

use crate::client::{Frameworks, Method, NULL, Ref};
use crate::common::scenario;

/// Sums a sample of luma and of both chroma samples of its place.
const TEXT: &str = "
#include <metal_stdlib>
using metal::uint;
struct Numbers { uint times; uint width; };
kernel void add(
  metal::uint3 id [[thread_position_in_grid]]
, metal::texture2d<uint, metal::access::sample> luma [[texture(0)]]
, metal::texture2d<uint, metal::access::sample> chroma [[texture(1)]]
, constant Numbers& numbers [[buffer(0)]]
, device uint& result [[buffer(1)]]
) {
    if (id.x >= numbers.width) { return; }
    metal::uint4 pair = chroma.read(metal::uint2(id.x / 2u, id.y / 2u), 0);
    device uint* out = &result;
    out[id.y * numbers.width + id.x] = numbers.times * (luma.read(metal::uint2(id.x, id.y), 0).x + pair.x + pair.y);
}
";

/// Calls a method: object, name, types of arguments and result, arguments.
macro_rules! send {
    ($f:expr, $object:expr, $name:literal, ($($type:ty),*) -> $out:ty $(, $argument:expr)*) => {{
        let (object, (selector, method)) = ($object, method($f, $object, $name));
        let method = unsafe {
            std::mem::transmute::<Method, unsafe extern "C" fn(Ref, Ref $(, $type)*) -> $out>(method.unwrap())
        };
        unsafe { method(object, selector $(, $argument)*) }
    }};
}

fn method(f: &'static Frameworks, object: Ref, name: &CStr) -> (Ref, Option<Method>) {
    unsafe {
        let selector = (f.sel_registerName)(name.as_ptr());
        (selector, (f.class_getMethodImplementation)((f.object_getClass)(object), selector))
    }
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Size([usize; 3]);

/// A device with a queue, inside a pool.
struct Gpu {
    f: &'static Frameworks,
    device: Ref,
    queue: Ref,
    pool: *mut c_void,
}

impl Gpu {
    fn new(f: &'static Frameworks) -> Self {
        let pool = unsafe { (f.objc_autoreleasePoolPush)() };
        let device = unsafe { (f.MTLCreateSystemDefaultDevice)() };
        let queue = send!(f, device, c"newCommandQueue", () -> Ref);
        Self { f, device, queue, pool }
    }

    fn commands(&self) -> Ref {
        send!(self.f, self.queue, c"commandBuffer", () -> Ref)
    }

    fn encoder(&self, commands: Ref) -> Ref {
        send!(self.f, commands, c"computeCommandEncoder", () -> Ref)
    }

    fn library(&self, text: &str) -> Result<Ref, String> {
        let (source, mut error) = (self.f.string(text), NULL);
        let made = send!(
            self.f, self.device, c"newLibraryWithSource:options:error:", (Ref, Ref, *mut Ref) -> Ref,
            source, NULL, &mut error
        );
        self.f.release(source);
        if made.is_null() { Err(self.words(error)) } else { Ok(made) }
    }

    fn words(&self, error: Ref) -> String {
        let said = send!(self.f, error, c"localizedDescription", () -> Ref);
        let text = send!(self.f, said, c"UTF8String", () -> *const std::ffi::c_char);
        unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned()
    }

    fn end(self) {
        unsafe {
            (self.f.objc_release)(self.queue);
            (self.f.objc_release)(self.device);
            (self.f.objc_autoreleasePoolPop)(self.pool);
        }
    }
}

/// A buffer of 6 x 4 pixels that Metal can read, with samples that are numbered from 1 and 100 on.
fn picture(f: &'static Frameworks) -> Ref {
    let surface = f.dictionary(&[]);
    let attributes = f.dictionary(&[
        (f.constant("kCVPixelBufferIOSurfacePropertiesKey"), surface),
        (f.constant("kCVPixelBufferMetalCompatibilityKey"), f.truth(true)),
    ]);
    let mut buffer = NULL;
    unsafe {
        let format = u32::from_be_bytes(*b"420v");
        assert_eq!((f.CVPixelBufferCreate)(NULL, 6, 4, format, attributes, &mut buffer), 0);
        (f.CVPixelBufferLockBaseAddress)(buffer, 0);
        for (plane, rows, first) in [(0, 4, 1), (1, 2, 100)] {
            let base = (f.CVPixelBufferGetBaseAddressOfPlane)(buffer, plane);
            let pitch = (f.CVPixelBufferGetBytesPerRowOfPlane)(buffer, plane);
            for y in 0..rows {
                for x in 0..6 {
                    *base.add(y * pitch + x) = (first + y * 6 + x) as u8;
                }
            }
        }
        (f.CVPixelBufferUnlockBaseAddress)(buffer, 0);
    }
    f.release(attributes);
    buffer
}

fn texture(gpu: &Gpu, cache: Ref, buffer: Ref, plane: usize) -> Result<Ref, i32> {
    let (format, width, height) = [(13, 6, 4), (33, 3, 2)][plane];
    let mut out = NULL;
    let status = unsafe {
        (gpu.f.CVMetalTextureCacheCreateTextureFromImage)(
            NULL, cache, buffer, NULL, format, width, height, plane, &mut out,
        )
    };
    if status == 0 { Ok(out) } else { Err(status) }
}

fn cache(gpu: &Gpu) -> Ref {
    let mut cache = NULL;
    assert_eq!(unsafe { (gpu.f.CVMetalTextureCacheCreate)(NULL, NULL, gpu.device, NULL, &mut cache) }, 0);
    cache
}

/// What the kernel makes of the picture, or the words of the error.
fn sums(f: &'static Frameworks) -> Result<Vec<u32>, String> {
    let gpu = Gpu::new(f);
    let library = gpu.library(TEXT).unwrap();
    let name = f.string("add");
    let function = send!(f, library, c"newFunctionWithName:", (Ref) -> Ref, name);
    let pipeline = send!(
        f, gpu.device, c"newComputePipelineStateWithFunction:error:", (Ref, *mut Ref) -> Ref,
        function, std::ptr::null_mut()
    );
    let result = send!(f, gpu.device, c"newBufferWithLength:options:", (usize, usize) -> Ref, 6 * 4 * 4, 0);
    let (buffer, cache) = (picture(f), cache(&gpu));
    let textures = [0, 1].map(|plane| texture(&gpu, cache, buffer, plane).unwrap());
    let commands = gpu.commands();
    let encoder = gpu.encoder(commands);
    send!(f, encoder, c"setComputePipelineState:", (Ref) -> (), pipeline);
    for (at, texture) in textures.into_iter().enumerate() {
        let texture = unsafe { (f.CVMetalTextureGetTexture)(texture) };
        send!(f, encoder, c"setTexture:atIndex:", (Ref, usize) -> (), texture, at);
    }
    let numbers = [2_u32, 6];
    send!(
        f, encoder, c"setBytes:length:atIndex:", (*const u32, usize, usize) -> (), numbers.as_ptr(), 8, 0
    );
    send!(f, encoder, c"setBuffer:offset:atIndex:", (Ref, usize, usize) -> (), result, 0, 1);
    let (groups, threads) = (Size([2, 2, 1]), Size([4, 2, 1]));
    send!(
        f, encoder, c"dispatchThreadgroups:threadsPerThreadgroup:", (Size, Size) -> (), groups, threads
    );
    send!(f, encoder, c"endEncoding", () -> ());
    send!(f, commands, c"commit", () -> ());
    send!(f, commands, c"waitUntilCompleted", () -> ());
    let answer = if send!(f, commands, c"status", () -> usize) == 4 {
        let at = send!(f, result, c"contents", () -> *const u32);
        Ok(unsafe { std::slice::from_raw_parts(at, 24) }.to_vec())
    } else {
        Err(gpu.words(send!(f, commands, c"error", () -> Ref)))
    };
    for object in [name, buffer, cache, textures[0], textures[1]] {
        f.release(object);
    }
    for object in [library, function, pipeline, result] {
        unsafe { (f.objc_release)(object) };
    }
    gpu.end();
    answer
}

#[test]
fn a_kernel_runs_from_its_text() {
    scenario("a_kernel_runs_from_its_text", &[], || {
        let expected = |at: u32| {
            let (x, y) = (at % 6, at / 6);
            let pair = 100 + y / 2 * 6 + x / 2 * 2;
            2 * (1 + at + pair + pair + 1)
        };
        let sums = sums(Frameworks::open()).unwrap();
        assert_eq!(sums, (0..24).map(expected).collect::<Vec<_>>());
    })
    .clean();
}

#[test]
fn what_fails_says_so() {
    scenario("what_fails_says_so", &[("VTSIM_SET", "fail.metal.at=1:7")], || {
        let f = Frameworks::open();
        let error = sums(f).unwrap_err();
        assert!(error.contains("as ordered (7)"), "{error}");
        let gpu = Gpu::new(f);
        let error =
            gpu.library("#include <metal_stdlib>\nkernel void broken(\n) {\n unknown();\n}").unwrap_err();
        assert!(error.contains("unknown"), "{error}");
        assert!(gpu.library("no kernel at all").is_err());
        // A buffer that is not made for Metal.
        let (mut plain, cache) = (NULL, cache(&gpu));
        let format = u32::from_be_bytes(*b"420v");
        assert_eq!(unsafe { (f.CVPixelBufferCreate)(NULL, 6, 4, format, NULL, &mut plain) }, 0);
        assert_eq!(texture(&gpu, cache, plain, 0), Err(-6684));
        f.release(plain);
        f.release(cache);
        gpu.end();
    })
    .clean();
}

pub fn unknown_method(f: &'static Frameworks) {
    let gpu = Gpu::new(f);
    assert!(method(f, gpu.device, c"newTea").1.is_none());
    gpu.end();
}

pub fn no_pool(f: &'static Frameworks) {
    let gpu = Gpu::new(f);
    unsafe { (f.objc_autoreleasePoolPop)(gpu.pool) };
    gpu.commands();
    let pool = unsafe { (f.objc_autoreleasePoolPush)() };
    Gpu { pool, ..gpu }.end();
}

pub fn open_encoder(f: &'static Frameworks) {
    let gpu = Gpu::new(f);
    let commands = gpu.commands();
    gpu.encoder(commands);
    send!(f, commands, c"commit", () -> ());
    gpu.end();
}

/// Binds a texture and dispatches without a kernel; with `early` the texture is let go before the work is done.
fn dispatch(f: &'static Frameworks, early: bool) {
    let gpu = Gpu::new(f);
    let commands = gpu.commands();
    let encoder = gpu.encoder(commands);
    let (buffer, cache) = (picture(f), cache(&gpu));
    let plane = texture(&gpu, cache, buffer, 0).unwrap();
    let bound = unsafe { (f.CVMetalTextureGetTexture)(plane) };
    send!(f, encoder, c"setTexture:atIndex:", (Ref, usize) -> (), bound, 0);
    let one = Size([1; 3]);
    send!(f, encoder, c"dispatchThreadgroups:threadsPerThreadgroup:", (Size, Size) -> (), one, one);
    send!(f, encoder, c"endEncoding", () -> ());
    send!(f, commands, c"commit", () -> ());
    if early {
        f.release(plane);
    }
    send!(f, commands, c"waitUntilCompleted", () -> ());
    if !early {
        f.release(plane);
    }
    f.release(cache);
    f.release(buffer);
    gpu.end();
}

pub fn texture_released(f: &'static Frameworks) {
    dispatch(f, true);
}

pub fn no_kernel(f: &'static Frameworks) {
    dispatch(f, false);
}
