//! Objects of Metal: what was put into command buffers, and its execution.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::compile::{Code, Kernel, Place, Plane};
use crate::core::report::locked;
use crate::core::{breach, fault, rules};
use crate::foundation::object::{Held, Kind, Typed};
use crate::video::memory::Memory;
use crate::video::pixels::Pixels;

/// Behind each buffer, to see what is written there.
const GUARD: [u8; 64] = [0xa5; 64];

macro_rules! typed {
    ($($type:ident $kind:ident;)*) => {
        $(impl Typed for $type {
            const KIND: Kind = Kind::$kind;
        })*
    };
}
typed! {
    Device MTLDevice;
    Library MTLLibrary;
    Function MTLFunction;
    Pipeline MTLComputePipelineState;
    Queue MTLCommandQueue;
    Commands MTLCommandBuffer;
    Encoder MTLComputeCommandEncoder;
    Buffer MTLBuffer;
    Texture MTLTexture;
    Failure NSError;
}

/// `MTLDevice`
#[derive(Debug)]
pub struct Device;

/// `MTLLibrary`
#[derive(Debug)]
pub struct Library(pub Code);

/// `MTLFunction`
#[derive(Debug)]
pub struct Function(pub Kernel);

/// `MTLComputePipelineState`
#[derive(Debug)]
pub struct Pipeline(pub Kernel);

/// `MTLCommandQueue`
#[derive(Debug)]
pub struct Queue;

/// `NSError`: its description.
#[derive(Debug)]
pub struct Failure(pub String);

/// `MTLTexture`: a plane of a pixel buffer.
#[derive(Debug)]
pub struct Texture {
    /// Keeps the buffer.
    pub _image: Held,
    /// The buffer.
    pub pixels: Arc<Pixels>,
    /// Which plane.
    pub plane: usize,
    /// Width and height.
    pub size: (usize, usize),
    /// Of a sample.
    pub bytes: u32,
    /// Of a pixel.
    pub channels: u32,
    /// The texture of the cache has gone.
    pub ended: Arc<AtomicBool>,
}

/// `MTLBuffer`
#[derive(Debug)]
pub struct Buffer {
    memory: Memory,
    length: usize,
}

impl Buffer {
    /// So many bytes; none where there is no memory.
    pub fn new(length: usize) -> Option<Self> {
        let memory = Memory::new(length.checked_add(GUARD.len())?, None)?;
        memory.write(length, &GUARD);
        Some(Self { memory, length })
    }

    /// Where they are.
    pub fn address(&self) -> *mut c_void {
        self.memory.address().cast()
    }

    fn is_whole(&self) -> bool {
        let mut guard = [0; GUARD.len()];
        self.memory.read(self.length, &mut guard);
        guard == GUARD
    }
}

/// What a buffer of a kernel is.
#[derive(Debug, Clone)]
pub enum Bound {
    /// Memory, from this byte on.
    Buffer(Arc<Buffer>, usize),
    /// Copied bytes, aligned like vectors of four words.
    Bytes(Vec<u128>),
}

/// What is set in an encoder.
#[derive(Debug, Clone, Default)]
pub struct Bindings {
    /// The kernel.
    pub kernel: Option<Kernel>,
    /// By number.
    pub textures: [Option<Arc<Texture>>; 8],
    /// By number.
    pub buffers: [Option<Bound>; 8],
}

/// `MTLComputeCommandEncoder`
#[derive(Debug)]
pub struct Encoder {
    /// What is set.
    pub bindings: Mutex<Bindings>,
    /// Where it goes.
    pub commands: Arc<Commands>,
    /// Keeps that.
    pub _held: Held,
}

/// `MTLCommandBuffer`
#[derive(Debug, Default)]
pub struct Commands {
    /// All that is known of it.
    pub state: Mutex<State>,
}

/// Of a command buffer.
#[derive(Debug, Default)]
pub struct State {
    /// An encoder is not ended yet.
    pub encoding: bool,
    /// `MTLCommandBufferStatus`.
    pub status: usize,
    /// Work, with its grid of threads.
    pub work: Vec<(Bindings, [u32; 3])>,
    /// Why it failed.
    pub error: Option<Held>,
}

/// `MTLCommandBufferStatusCommitted`
pub const COMMITTED: usize = 2;
const COMPLETED: usize = 4;
const ERROR: usize = 5;

impl Commands {
    /// Does what was committed.
    pub fn finish(&self) {
        let mut state = locked(&self.state);
        if state.status != COMMITTED {
            return;
        }
        let work = std::mem::take(&mut state.work);
        let fault = fault::next(fault::Direction::Metal);
        if let Some(fault::Effect::Fail(code)) = fault {
            state.status = ERROR;
            state.error = Some(Held::new(Failure(format!("the simulated GPU fails as ordered ({code})"))));
            return;
        }
        for (bindings, threads) in work {
            run(bindings, threads);
        }
        state.status = COMPLETED;
    }
}

fn run(mut bindings: Bindings, threads: [u32; 3]) {
    if bindings.textures.iter().flatten().any(|texture| texture.ended.load(Ordering::SeqCst)) {
        breach(&rules::TEXTURE_GONE, "a texture of a cache was released before the commands were completed");
        return;
    }
    let Some(kernel) = bindings.kernel.take() else {
        breach(&rules::BINDINGS, "a dispatch without a kernel");
        return;
    };
    for place in &kernel.places {
        let missing = match *place {
            Place::Thread => false,
            Place::Texture(at) => bindings.textures[at].is_none(),
            Place::Buffer(at) => bindings.buffers[at].is_none(),
        };
        if missing {
            breach(&rules::BINDINGS, format!("{} has nothing for {place:?}", kernel.name));
            return;
        }
    }
    let mut planes = bindings.textures.each_ref().map(|texture| plane(texture.as_deref()));
    let buffers = bindings.buffers.each_mut().map(|buffer| match buffer {
        Some(Bound::Buffer(buffer, offset)) => buffer.address().wrapping_byte_add(*offset),
        Some(Bound::Bytes(bytes)) => bytes.as_mut_ptr().cast(),
        None => std::ptr::null_mut(),
    });
    kernel.run(&mut planes, &buffers, threads);
    if planes.iter().any(|plane| plane.outside != 0) {
        breach(&rules::BINDINGS, format!("{} reads outside of a texture", kernel.name));
    }
    let whole = |bound: &Bound| match bound {
        Bound::Buffer(buffer, _) => buffer.is_whole(),
        Bound::Bytes(_) => true,
    };
    if !bindings.buffers.iter().flatten().all(whole) {
        breach(&rules::BINDINGS, format!("{} writes behind a buffer", kernel.name));
    }
}

fn plane(texture: Option<&Texture>) -> Plane {
    let nothing =
        Plane { base: std::ptr::null(), pitch: 0, width: 0, height: 0, bytes: 1, channels: 1, outside: 0 };
    texture.map_or(nothing, |texture| {
        let plane = &texture.pixels.planes[texture.plane];
        Plane {
            base: texture.pixels.memory(plane),
            pitch: plane.pitch,
            width: texture.size.0 as u32,
            height: texture.size.1 as u32,
            bytes: texture.bytes,
            channels: texture.channels,
            outside: 0,
        }
    })
}
