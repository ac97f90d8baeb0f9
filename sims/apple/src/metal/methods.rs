//! Methods, by class and name.

use std::ffi::{CString, c_char, c_void};
use std::sync::{Arc, Mutex};

use super::compile::compile;
use super::runtime::autorelease;
use super::work::{
    Bindings, Bound, Buffer, COMMITTED, Commands, Device, Encoder, Failure, Function, Library, Pipeline,
    Queue, Texture,
};
use crate::core::pointer::{In, NULL, Ref};
use crate::core::report::locked;
use crate::core::{Out, breach, config, enter, exports, rules};
use crate::foundation::object::{Held, Kind, Typed, held};
use crate::foundation::value::{Text, text};

/// A method, before it has its type.
pub(super) type Method = unsafe extern "C" fn();

/// `MTLSize`
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Size([usize; 3]);

macro_rules! methods {
    ($($kind:ident $selector:literal = fn $name:ident($this:ident $(, $argument:ident: $type:ty)*) $(-> $result:ty = $failed:expr)?; $body:block)*) => {
        $(
            #[allow(unused_variables, reason = "arguments that make no difference here keep their names")]
            unsafe extern "C" fn $name($this: Ref, selector: Ref $(, $argument: $type)*) $(-> $result)? {
                #[allow(clippy::let_unit_value, reason = "methods that answer nothing")]
                let failed = ();
                $(let failed: $result = $failed;)?
                enter($selector, failed, move || $body)
            }
        )*

        /// The method of a class by its name.
        pub(super) fn find(class: usize, name: &str) -> Option<Method> {
            $(
                if (class, name) == (Kind::$kind as usize, $selector) {
                    let method = $name as unsafe extern "C" fn(Ref, Ref $(, $type)*) $(-> $result)?;
                    // SAFETY: a pointer to a function, which the client calls by its own type.
                    return Some(unsafe { std::mem::transmute::<unsafe extern "C" fn(Ref, Ref $(, $type)*) $(-> $result)?, Method>(method) });
                }
            )*
            None
        }
    };
}

fn fail(error: Out<Ref>, words: String) -> Ref {
    if !error.is_null() {
        error.put(autorelease(Held::new(Failure(words))));
    }
    NULL
}

exports! {
    /// The device, to be released; none with `metal=none`.
    fn MTLCreateSystemDefaultDevice() -> Ref = NULL; {
        if config().settings.metal_missing { NULL } else { Held::new(Device).give() }
    }
}

methods! {
    MTLDevice "newLibraryWithSource:options:error:" = fn new_library(this, source: Ref, options: Ref, error: Out<Ref>) -> Ref = NULL; {
        let (Some(_), Some(source)) = (object::<Device>(this), object::<Text>(source)) else { return NULL };
        match compile(&source.0) {
            Ok(code) => Held::new(Library(code)).give(),
            Err(words) => fail(error, words),
        }
    }

    MTLLibrary "newFunctionWithName:" = fn new_function(this, name: Ref) -> Ref = NULL; {
        let (Some(library), Some(name)) = (object::<Library>(this), object::<Text>(name)) else { return NULL };
        let kernel = library.0.kernels.iter().find(|kernel| kernel.name == name.0);
        kernel.map_or(NULL, |kernel| Held::new(Function(kernel.clone())).give())
    }

    MTLDevice "newComputePipelineStateWithFunction:error:" = fn new_pipeline(this, function: Ref, error: Out<Ref>) -> Ref = NULL; {
        let (Some(_), Some(function)) = (object::<Device>(this), object::<Function>(function)) else { return NULL };
        Held::new(Pipeline(function.0.clone())).give()
    }

    MTLDevice "newCommandQueue" = fn new_queue(this) -> Ref = NULL; {
        object::<Device>(this).map_or(NULL, |_| Held::new(Queue).give())
    }

    MTLDevice "newBufferWithLength:options:" = fn new_buffer(this, length: usize, options: usize) -> Ref = NULL; {
        let Some(_) = object::<Device>(this) else { return NULL };
        Buffer::new(length).filter(|_| length > 0).map_or(NULL, |buffer| Held::new(buffer).give())
    }

    MTLBuffer "contents" = fn contents(this) -> *mut c_void = std::ptr::null_mut(); {
        object::<Buffer>(this).map_or(std::ptr::null_mut(), |buffer| buffer.address())
    }

    MTLCommandQueue "commandBuffer" = fn command_buffer(this) -> Ref = NULL; {
        object::<Queue>(this).map_or(NULL, |_| autorelease(Held::new(Commands::default())))
    }

    MTLCommandBuffer "computeCommandEncoder" = fn encoder(this) -> Ref = NULL; {
        let Some((held, commands)) = held::<Commands>(this) else { return NULL };
        locked(&commands.state).encoding = true;
        autorelease(Held::new(Encoder { bindings: Mutex::new(Bindings::default()), commands, _held: held }))
    }

    MTLComputeCommandEncoder "setComputePipelineState:" = fn set_pipeline(this, pipeline: Ref); {
        let (Some(encoder), Some(pipeline)) = (object::<Encoder>(this), object::<Pipeline>(pipeline)) else { return };
        locked(&encoder.bindings).kernel = Some(pipeline.0.clone());
    }

    MTLComputeCommandEncoder "setTexture:atIndex:" = fn set_texture(this, texture: Ref, at: usize); {
        let (Some(encoder), Some(texture)) = (object::<Encoder>(this), object::<Texture>(texture)) else { return };
        match locked(&encoder.bindings).textures.get_mut(at) {
            Some(place) => *place = Some(texture),
            None => breach(&rules::INDEX, format!("texture {at}")),
        }
    }

    MTLComputeCommandEncoder "setBytes:length:atIndex:" = fn set_bytes(this, bytes: In<u8>, length: usize, at: usize); {
        let (Some(encoder), Some(bytes)) = (object::<Encoder>(this), bytes.bytes(length)) else { return };
        let words = bytes.chunks(16).map(|chunk| {
            let mut word = [0; 16];
            word[..chunk.len()].copy_from_slice(chunk);
            u128::from_ne_bytes(word)
        });
        bind(&encoder, at, Bound::Bytes(words.collect()));
    }

    MTLComputeCommandEncoder "setBuffer:offset:atIndex:" = fn set_buffer(this, buffer: Ref, offset: usize, at: usize); {
        let (Some(encoder), Some(buffer)) = (object::<Encoder>(this), object::<Buffer>(buffer)) else { return };
        bind(&encoder, at, Bound::Buffer(buffer, offset));
    }

    MTLComputeCommandEncoder "dispatchThreadgroups:threadsPerThreadgroup:" = fn dispatch(this, groups: Size, threads: Size); {
        let Some(encoder) = object::<Encoder>(this) else { return };
        let bindings = locked(&encoder.bindings).clone();
        let all = std::array::from_fn(|axis| (groups.0[axis] * threads.0[axis]) as u32);
        locked(&encoder.commands.state).work.push((bindings, all));
    }

    MTLComputeCommandEncoder "endEncoding" = fn end_encoding(this); {
        if let Some(encoder) = object::<Encoder>(this) {
            locked(&encoder.commands.state).encoding = false;
        }
    }

    MTLCommandBuffer "commit" = fn commit(this); {
        let Some(commands) = object::<Commands>(this) else { return };
        let mut state = locked(&commands.state);
        if state.encoding {
            breach(&rules::ENCODING, "committed before endEncoding");
        }
        state.status = state.status.max(COMMITTED);
    }

    MTLCommandBuffer "waitUntilCompleted" = fn wait(this); {
        if let Some(commands) = object::<Commands>(this) {
            commands.finish();
        }
    }

    MTLCommandBuffer "status" = fn status(this) -> usize = 0; {
        object::<Commands>(this).map_or(0, |commands| locked(&commands.state).status)
    }

    MTLCommandBuffer "error" = fn error(this) -> Ref = NULL; {
        let Some(commands) = object::<Commands>(this) else { return NULL };
        let error = locked(&commands.state).error.clone();
        error.map_or(NULL, autorelease)
    }

    NSError "localizedDescription" = fn description(this) -> Ref = NULL; {
        object::<Failure>(this).map_or(NULL, |failure| autorelease(text(&failure.0)))
    }

    CFString "UTF8String" = fn utf8(this) -> *const c_char = std::ptr::null(); {
        // They stay: a test has few of them.
        static KEPT: Mutex<Vec<CString>> = Mutex::new(Vec::new());
        let Some(made) = object::<Text>(this).and_then(|text| CString::new(text.0.as_str()).ok()) else {
            return std::ptr::null();
        };
        let at = made.as_ptr();
        locked(&KEPT).push(made);
        at
    }
}

fn object<T: Typed>(reference: Ref) -> Option<Arc<T>> {
    crate::foundation::object::find(reference)
}

fn bind(encoder: &Encoder, at: usize, bound: Bound) {
    match locked(&encoder.bindings).buffers.get_mut(at) {
        Some(place) => *place = Some(bound),
        None => breach(&rules::INDEX, format!("buffer {at}")),
    }
}
