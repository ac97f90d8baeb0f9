//! Metal: one kernel, what it reads (planes of pixel buffers), and what it writes (buffers that the CPU sees too).
//!
//! Objects of Objective-C are called by the addresses of their methods, with the types that Apple's documents give them. What
//! a method with `new` in its name returns is the caller's; all else belongs to an autorelease pool, which is opened around it.

use std::ffi::{CStr, c_char, c_void};
use std::fmt;
use std::mem::transmute;
use std::ptr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::abi::{COMMANDS_COMPLETED, Ref, STORAGE_SHARED, Size, texture_format};
use super::calling;
use super::foundation::{Cf, string};
use super::library::api;
use super::metal_library::{Metal, Method, metal};
use super::pixels::PixelBuffer;
use super::pool::Pool;
use super::status::Status;
use crate::backend::BackendKind;
use crate::error::{Error, Result};
use crate::sync::lock;

/// Planes that a kernel reads, one of single samples and one of pairs.
const PLANES: usize = 2;

/// `MTLPixelFormat`, by bytes of a sample and plane.
const PIXEL_FORMATS: [[usize; PLANES]; 2] =
    [[texture_format::R8, texture_format::RG8], [texture_format::R16, texture_format::RG16]];

/// Owns a reference to an object.
struct Object {
    metal: &'static Metal,
    object: Ref,
}

// SAFETY: references are counted atomically, and of those that are shared between threads (devices, queues, pipelines, buffers)
// Apple says that any thread may use them.
unsafe impl Send for Object {}
// SAFETY: as above.
unsafe impl Sync for Object {}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({:p})", self.object)
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: the reference is owned, and this is its only release.
        unsafe { (self.metal.objc_release)(self.object) };
    }
}

/// Calls a method: object, name, types of arguments and result, arguments.
macro_rules! send {
    ($metal:expr, $object:expr, $name:literal, ($($type:ty),*) -> $out:ty $(, $argument:expr)*) => {{
        let object: Ref = $object;
        let (selector, method) = $metal.method(object, $name)?;
        let method = transmute::<Method, unsafe extern "C" fn(Ref, Ref $(, $type)*) -> $out>(method);
        method(object, selector $(, $argument)*)
    }};
}

fn failed(call: &'static str, detail: impl Into<String>) -> Error {
    Error::Backend { backend: BackendKind::VideoToolbox, call, code: 0, detail: detail.into() }
}

/// The words of an `NSError`.
///
/// # Safety
/// `error` is null or such an object, alive; a pool is open.
unsafe fn words(metal: &'static Metal, error: Ref) -> Result<String> {
    if error.is_null() {
        return Ok("it does not say why".to_owned());
    }
    // SAFETY: the types are those of NSError and NSString; the text lives as long as the pool.
    let text = unsafe {
        let said = send!(metal, error, c"localizedDescription", () -> Ref);
        if said.is_null() { ptr::null() } else { send!(metal, said, c"UTF8String", () -> *const c_char) }
    };
    if text.is_null() {
        return Ok("it does not say why".to_owned());
    }
    // SAFETY: a text that ends with a NUL.
    Ok(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// Takes over what a method has made.
///
/// # Safety
/// `object` is null or an object of which a reference passes to the caller; `error` as for [`words`].
unsafe fn made(metal: &'static Metal, object: Ref, error: Ref, call: &'static str) -> Result<Object> {
    if object.is_null() {
        // SAFETY: as the caller says.
        return Err(failed(call, unsafe { words(metal, error) }?));
    }
    Ok(Object { metal, object })
}

/// A kernel that is ready to run. The order of the fields is that of their end.
pub(crate) struct Kernel {
    /// `CVMetalTextureCache`: one thread at a time.
    cache: Mutex<Cf>,
    pipeline: Object,
    queue: Object,
    device: Object,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel").field("device", &self.device).finish_non_exhaustive()
    }
}

impl Kernel {
    /// Has the kernel of this name compiled for the system's GPU.
    ///
    /// # Errors
    /// No Metal, no GPU, a text that its compiler does not take.
    pub(crate) fn new(text: &str, name: &str) -> Result<Self> {
        let metal = metal()?;
        let (text, name) = (string(text)?, string(name)?);
        let _pool = Pool::push();
        let mut error: Ref = ptr::null();
        // SAFETY: the types are those of Apple's documents; strings of CoreFoundation are NSStrings; everything lives during the
        // calls, and what they make passes to us.
        unsafe {
            let device = calling("MTLCreateSystemDefaultDevice", || (metal.MTLCreateSystemDefaultDevice)());
            if device.is_null() {
                return Err(failed("MTLCreateSystemDefaultDevice", "there is no GPU"));
            }
            let device = Object { metal, object: device };
            let library = {
                let (object, method) = (device.object, c"newLibraryWithSource:options:error:");
                let (selector, method) = metal.method(object, method)?;
                let method =
                    transmute::<Method, unsafe extern "C" fn(Ref, Ref, Ref, Ref, *mut Ref) -> Ref>(method);
                calling("newLibraryWithSource", || {
                    method(object, selector, text.object(), ptr::null(), &raw mut error)
                })
            };
            let library = made(metal, library, error, "newLibraryWithSource")?;
            let function = send!(metal, library.object, c"newFunctionWithName:", (Ref) -> Ref, name.object());
            let function = made(metal, function, ptr::null(), "newFunctionWithName")?;
            error = ptr::null();
            let pipeline = send!(
                metal, device.object, c"newComputePipelineStateWithFunction:error:", (Ref, *mut Ref) -> Ref,
                function.object, &raw mut error
            );
            let pipeline = made(metal, pipeline, error, "newComputePipelineStateWithFunction")?;
            let queue = send!(metal, device.object, c"newCommandQueue", () -> Ref);
            let queue = made(metal, queue, ptr::null(), "newCommandQueue")?;
            let mut cache: Ref = ptr::null();
            let status = (metal.CVMetalTextureCacheCreate)(
                ptr::null(),
                ptr::null(),
                device.object,
                ptr::null(),
                &raw mut cache,
            );
            let cache = Cf::created(api()?, cache);
            Status(status).ok("CVMetalTextureCacheCreate")?;
            let cache = cache.ok_or_else(|| failed("CVMetalTextureCacheCreate", "it gives nothing"))?;
            Ok(Self { cache: Mutex::new(cache), pipeline, queue, device })
        }
    }

    /// Memory that both the GPU and the CPU see.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn memory(&self, bytes: usize) -> Result<Memory> {
        let metal = self.device.metal;
        let _pool = Pool::push();
        // SAFETY: the types are those of Apple's documents; the buffer passes to us.
        unsafe {
            let buffer = send!(
                metal, self.device.object, c"newBufferWithLength:options:", (usize, usize) -> Ref, bytes, STORAGE_SHARED
            );
            let buffer = made(metal, buffer, ptr::null(), "newBufferWithLength")?;
            let at = send!(metal, buffer.object, c"contents", () -> *mut c_void);
            if at.is_null() {
                return Err(failed("contents", "a buffer without memory"));
            }
            Ok(Memory { buffer, at: at.cast(), bytes })
        }
    }

    /// Runs the kernel in so many groups of so many threads, and waits until it is done. It gets both planes of a pixel buffer
    /// as textures 0 and 1, `arguments` as buffer 0 and `result` as buffer 1.
    ///
    /// # Errors
    /// A pixel buffer that Metal does not take; a GPU that fails.
    pub(crate) fn run(
        &self,
        picture: &PixelBuffer,
        sample_bytes: usize,
        arguments: &[u32],
        result: &mut Memory,
        groups: Size,
        threads: Size,
    ) -> Result<()> {
        let metal = self.device.metal;
        let _pool = Pool::push();
        let formats = PIXEL_FORMATS[usize::from(sample_bytes > 1)];
        let (width, height) = picture.size();
        let sizes = [(width, height), (width.div_ceil(2), height.div_ceil(2))];
        let textures = [
            self.texture(picture, formats[0], sizes[0], 0)?,
            self.texture(picture, formats[1], sizes[1], 1)?,
        ];
        // SAFETY: the types are those of Apple's documents. Buffers and textures live until the work is done, which is waited for;
        // the arguments are copied. That the kernel stays inside them is what `transform` sees to.
        unsafe {
            let commands = send!(metal, self.queue.object, c"commandBuffer", () -> Ref);
            if commands.is_null() {
                return Err(failed("commandBuffer", "it gives nothing"));
            }
            // Known before anything is under way.
            let (selector, wait) = metal.method(commands, c"waitUntilCompleted")?;
            let wait = transmute::<Method, unsafe extern "C" fn(Ref, Ref)>(wait);
            let encoder = send!(metal, commands, c"computeCommandEncoder", () -> Ref);
            if encoder.is_null() {
                return Err(failed("computeCommandEncoder", "it gives nothing"));
            }
            let encoded = self.encode(encoder, &textures, arguments, result, (groups, threads));
            // Metal ends the process for an encoder that is let go without this.
            send!(metal, encoder, c"endEncoding", () -> ());
            encoded?;
            send!(metal, commands, c"commit", () -> ());
            calling("waitUntilCompleted", || wait(commands, selector));
            let status = send!(metal, commands, c"status", () -> usize);
            if status != COMMANDS_COMPLETED {
                let error = send!(metal, commands, c"error", () -> Ref);
                return Err(failed("waitUntilCompleted", words(metal, error)?));
            }
        }
        Ok(())
    }

    /// Says what runs on what.
    ///
    /// # Safety
    /// `encoder` is such an object, alive, and `result` is there until the work is done.
    unsafe fn encode(
        &self,
        encoder: Ref,
        textures: &[Cf; PLANES],
        arguments: &[u32],
        result: &Memory,
        (groups, threads): (Size, Size),
    ) -> Result<()> {
        let metal = self.device.metal;
        // SAFETY: the types are those of Apple's documents, and everything is alive; the arguments are copied.
        unsafe {
            send!(metal, encoder, c"setComputePipelineState:", (Ref) -> (), self.pipeline.object);
            for (index, texture) in textures.iter().enumerate() {
                let texture = (metal.CVMetalTextureGetTexture)(texture.object());
                if texture.is_null() {
                    return Err(failed("CVMetalTextureGetTexture", "it gives nothing"));
                }
                send!(metal, encoder, c"setTexture:atIndex:", (Ref, usize) -> (), texture, index);
            }
            send!(
                metal, encoder, c"setBytes:length:atIndex:", (*const c_void, usize, usize) -> (),
                arguments.as_ptr().cast(), size_of_val(arguments), 0
            );
            send!(
                metal, encoder, c"setBuffer:offset:atIndex:", (Ref, usize, usize) -> (),
                result.buffer.object, 0, 1
            );
            send!(
                metal, encoder, c"dispatchThreadgroups:threadsPerThreadgroup:", (Size, Size) -> (),
                groups, threads
            );
        }
        Ok(())
    }

    /// A plane of a pixel buffer, kept alive.
    fn texture(
        &self,
        picture: &PixelBuffer,
        format: usize,
        (width, height): (usize, usize),
        plane: usize,
    ) -> Result<Cf> {
        const CALL: &str = "CVMetalTextureCacheCreateTextureFromImage";
        let metal = self.device.metal;
        let cache = lock(&self.cache);
        let mut out: Ref = ptr::null();
        // SAFETY: cache and buffer are alive, and the cache is locked; the texture passes to us, and keeps the buffer.
        unsafe {
            let status = (metal.CVMetalTextureCacheCreateTextureFromImage)(
                ptr::null(),
                cache.object(),
                picture.object(),
                ptr::null(),
                format,
                width,
                height,
                plane,
                &raw mut out,
            );
            let texture = Cf::created(cache.api(), out);
            // Textures that nobody uses any more go.
            (metal.CVMetalTextureCacheFlush)(cache.object(), 0);
            Status(status).ok(CALL)?;
            texture.ok_or_else(|| failed(CALL, "it gives nothing"))
        }
    }
}

/// Memory that both the GPU and the CPU see.
#[derive(Debug)]
pub(crate) struct Memory {
    buffer: Object,
    at: *mut u8,
    bytes: usize,
}

// SAFETY: the memory is the buffer's, which is owned, and stays where it is; it is written only by a kernel that has it for itself.
unsafe impl Send for Memory {}
// SAFETY: as above; shared, it is only read.
unsafe impl Sync for Memory {}

impl Memory {
    /// To read, kept alive.
    pub(crate) fn bytes(memory: Arc<Self>) -> Bytes {
        Bytes::from_owner(View(memory))
    }
}

struct View(Arc<Memory>);

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        let memory = &self.0;
        // SAFETY: the buffer is alive and as large, and nothing writes to it while it is shared.
        unsafe { std::slice::from_raw_parts(memory.at, memory.bytes) }
    }
}
