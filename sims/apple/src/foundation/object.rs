//! Objects and their references. A reference is a number that is never given twice and never an address: one that is dead, made up
//! or of another kind is told from a good one, and following it as a pointer faults at once.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use super::{constants, value};
use crate::core::pointer::{NULL, Ref};
use crate::core::report::{Leak, locked};
use crate::core::{breach, call, exports, rules};

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "names of types")]
#[repr(u8)]
pub enum Kind {
    CFAllocator = 1,
    CFNull,
    CFString,
    CFBoolean,
    CFNumber,
    CFData,
    CFArray,
    CFDictionary,
    CMFormatDescription,
    CMBlockBuffer,
    CMSampleBuffer,
    CVPixelBuffer,
    CVPixelBufferPool,
    IOSurface,
    VTDecompressionSession,
    VTCompressionSession,
    VTPixelTransferSession,
    CVMetalTexture,
    CVMetalTextureCache,
    MTLDevice,
    MTLLibrary,
    MTLFunction,
    MTLComputePipelineState,
    MTLCommandQueue,
    MTLCommandBuffer,
    MTLComputeCommandEncoder,
    MTLBuffer,
    MTLTexture,
    NSError,
}

impl Kind {
    /// Apple's name of the type.
    pub fn name(self) -> &'static str {
        match self {
            Self::CFAllocator => "CFAllocator",
            Self::CFNull => "CFNull",
            Self::CFString => "CFString",
            Self::CFBoolean => "CFBoolean",
            Self::CFNumber => "CFNumber",
            Self::CFData => "CFData",
            Self::CFArray => "CFArray",
            Self::CFDictionary => "CFDictionary",
            Self::CMFormatDescription => "CMFormatDescription",
            Self::CMBlockBuffer => "CMBlockBuffer",
            Self::CMSampleBuffer => "CMSampleBuffer",
            Self::CVPixelBuffer => "CVPixelBuffer",
            Self::CVPixelBufferPool => "CVPixelBufferPool",
            Self::IOSurface => "IOSurface",
            Self::VTDecompressionSession => "VTDecompressionSession",
            Self::VTCompressionSession => "VTCompressionSession",
            Self::VTPixelTransferSession => "VTPixelTransferSession",
            Self::CVMetalTexture => "CVMetalTexture",
            Self::CVMetalTextureCache => "CVMetalTextureCache",
            Self::MTLDevice => "MTLDevice",
            Self::MTLLibrary => "MTLLibrary",
            Self::MTLFunction => "MTLFunction",
            Self::MTLComputePipelineState => "MTLComputePipelineState",
            Self::MTLCommandQueue => "MTLCommandQueue",
            Self::MTLCommandBuffer => "MTLCommandBuffer",
            Self::MTLComputeCommandEncoder => "MTLComputeCommandEncoder",
            Self::MTLBuffer => "MTLBuffer",
            Self::MTLTexture => "MTLTexture",
            Self::NSError => "NSError",
        }
    }
}

/// A type that objects can be of.
pub trait Typed: Any + Send + Sync {
    /// Its kind.
    const KIND: Kind;
    /// Called at the last release, before the object goes.
    fn released(&self) {}
}

type Any_ = Arc<dyn Any + Send + Sync>;

#[derive(Clone)]
struct Entry {
    kind: Kind,
    object: Any_,
    released: fn(&Any_),
    /// References that the client has to release.
    client: i64,
    /// References that other objects, and the simulation's own threads, hold.
    held: i64,
    made_in: (u64, &'static str),
}

#[derive(Default)]
struct Table {
    live: HashMap<usize, Entry>,
    /// The kind of each object ever made, by the number in its reference.
    kinds: Vec<Kind>,
}

/// Where references begin: no memory is ever mapped there.
const FIRST: usize = 0x1000_0000_0000;
const STEP: usize = 16;

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);

fn release_hook<T: Typed>(object: &Any_) {
    if let Some(object) = object.downcast_ref::<T>() {
        object.released();
    }
}

/// A reference that the simulation holds: retained when made, released when dropped.
pub struct Held {
    id: usize,
    kind: Kind,
    object: Any_,
}

impl Held {
    /// A new object.
    pub fn new<T: Typed>(object: T) -> Self {
        let object: Any_ = Arc::new(object);
        let mut table = locked(&TABLE);
        let id = FIRST + STEP * table.kinds.len();
        table.kinds.push(T::KIND);
        let (client, held) = (0, 1);
        let entry = Entry {
            kind: T::KIND,
            object: object.clone(),
            released: release_hook::<T>,
            client,
            held,
            made_in: call::current(),
        };
        table.live.insert(id, entry);
        Self { id, kind: T::KIND, object }
    }

    /// The object behind a reference of the client's. None, and a breach, where there is none.
    pub fn of(reference: Ref) -> Option<Self> {
        let id = reference.addr();
        if let Some((kind, object)) = constants::constant(id) {
            return Some(Self { id, kind, object });
        }
        let mut table = locked(&TABLE);
        if let Some(entry) = table.live.get_mut(&id) {
            entry.held += 1;
            return Some(Self { id, kind: entry.kind, object: entry.object.clone() });
        }
        let dead = (id >= FIRST && id.is_multiple_of(STEP))
            .then(|| table.kinds.get((id - FIRST) / STEP).copied())
            .flatten();
        drop(table);
        match dead {
            _ if id == 0 => breach(&rules::NULL_REFERENCE, "a null reference"),
            Some(kind) => breach(&rules::DEAD_REFERENCE, format!("a {} that was released", kind.name())),
            None => breach(&rules::UNKNOWN_REFERENCE, format!("{id:#x} is no reference")),
        }
        None
    }

    /// A constant of the frameworks.
    pub(super) fn constant(id: usize) -> Self {
        let (kind, object) = constants::constant(id).unwrap_or((Kind::CFNull, Arc::new(value::Nothing)));
        Self { id, kind, object }
    }

    /// As [`of`](Self::of), where null means none.
    pub fn optional(reference: Ref) -> Option<Self> {
        (!reference.is_null()).then(|| Self::of(reference)).flatten()
    }

    /// What kind of object it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The object, when it is of this type.
    pub fn get<T: Typed>(&self) -> Option<Arc<T>> {
        self.object.clone().downcast::<T>().ok()
    }

    /// The reference as a `Get` function answers it: the client does not release it.
    pub fn lend(&self) -> Ref {
        std::ptr::without_provenance(self.id)
    }

    /// Hands the reference to the client, who has to release it (`Create`, `Copy`).
    pub fn give(self) -> Ref {
        count(self.id, 1, 0);
        self.lend()
    }

    /// Both are the same object.
    pub fn is(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Clone for Held {
    fn clone(&self) -> Self {
        count(self.id, 0, 1);
        Self { id: self.id, kind: self.kind, object: self.object.clone() }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        count(self.id, 0, -1);
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:#x}", self.kind.name(), self.id)
    }
}

/// Adds to the counts of an object, and lets it go at zero; the object's own references go after the table is free again.
fn count(id: usize, client: i64, held: i64) {
    let mut table = locked(&TABLE);
    let Some(entry) = table.live.get_mut(&id) else { return };
    entry.client += client;
    entry.held += held;
    let gone = (entry.client <= 0 && entry.held <= 0).then(|| table.live.remove(&id)).flatten();
    drop(table);
    if let Some(entry) = gone {
        (entry.released)(&entry.object);
    }
}

/// The object of this type behind a reference of the client's. None, and a breach, where there is none.
pub fn find<T: Typed>(reference: Ref) -> Option<Arc<T>> {
    held::<T>(reference).map(|(_, object)| object)
}

/// As [`find`], with a reference that keeps it alive.
pub fn held<T: Typed>(reference: Ref) -> Option<(Held, Arc<T>)> {
    let held = Held::of(reference)?;
    let object = held.get::<T>();
    if object.is_none() {
        let (wanted, found) = (T::KIND.name(), held.kind.name());
        breach(&rules::WRONG_TYPE, format!("a {found} where a {wanted} belongs"));
    }
    object.map(|object| (held, object))
}

/// As [`find`], where null means none. The outer answer is none where the reference is bad.
pub fn find_optional<T: Typed>(reference: Ref) -> Option<Option<Arc<T>>> {
    if reference.is_null() { Some(None) } else { find(reference).map(Some) }
}

/// What the client still has to release.
pub fn leaks() -> Vec<Leak> {
    let table = locked(&TABLE);
    let mut live: Vec<_> = table.live.iter().filter(|(_, entry)| entry.client > 0).collect();
    live.sort_by_key(|(id, _)| **id);
    live.into_iter()
        .map(|(_, entry)| {
            let (call, function) = entry.made_in;
            let times =
                if entry.client > 1 { format!(", {} references", entry.client) } else { String::new() };
            Leak { kind: entry.kind.name(), detail: format!("made in {function} (call {call}){times}") }
        })
        .collect()
}

fn retain(reference: Ref) -> Ref {
    match Held::of(reference) {
        Some(held) => held.give(),
        None => NULL,
    }
}

/// Takes a reference of the client's away.
pub(crate) fn release(reference: Ref) {
    let Some(held) = Held::of(reference) else { return };
    let table = locked(&TABLE);
    let owned = table.live.get(&held.id).is_none_or(|entry| entry.client > 0);
    drop(table);
    if owned {
        count(held.id, -1, 0);
    } else {
        breach(&rules::OVER_RELEASE, format!("a {} that the client holds no reference to", held.kind.name()));
    }
}

exports! {
    /// Adds a reference.
    fn CFRetain(object: Ref) -> Ref = NULL; { retain(object) }

    /// Takes a reference away.
    fn CFRelease(object: Ref); { release(object) }

    /// All references.
    fn CFGetRetainCount(object: Ref) -> isize = 0; {
        let Some(held) = Held::of(object) else { return 0 };
        // Without the one of this call; constants live for ever.
        locked(&TABLE).live.get(&held.id).map_or(isize::MAX, |entry| (entry.client + entry.held - 1) as isize)
    }

    /// What kind of object it is.
    fn CFGetTypeID(object: Ref) -> usize = 0; { Held::of(object).map_or(0, |held| held.kind as usize) }

    /// Whether two objects are equal.
    fn CFEqual(one: Ref, other: Ref) -> u8 = 0; {
        match (Held::of(one), Held::of(other)) {
            (Some(one), Some(other)) => u8::from(value::equal(&one, &other)),
            _ => 0,
        }
    }

    /// Adds a reference; null is no mistake.
    fn CVPixelBufferRetain(buffer: Ref) -> Ref = NULL; { if buffer.is_null() { NULL } else { retain(buffer) } }

    /// Takes a reference away; null is no mistake.
    fn CVPixelBufferRelease(buffer: Ref); { if !buffer.is_null() { release(buffer); } }

    /// Adds a reference; null is no mistake.
    fn CVPixelBufferPoolRetain(pool: Ref) -> Ref = NULL; { if pool.is_null() { NULL } else { retain(pool) } }

    /// Takes a reference away; null is no mistake.
    fn CVPixelBufferPoolRelease(pool: Ref); { if !pool.is_null() { release(pool); } }

    /// Type of strings.
    fn CFStringGetTypeID() -> usize = 0; { Kind::CFString as usize }
    /// Type of numbers.
    fn CFNumberGetTypeID() -> usize = 0; { Kind::CFNumber as usize }
    /// Type of booleans.
    fn CFBooleanGetTypeID() -> usize = 0; { Kind::CFBoolean as usize }
    /// Type of data.
    fn CFDataGetTypeID() -> usize = 0; { Kind::CFData as usize }
    /// Type of arrays.
    fn CFArrayGetTypeID() -> usize = 0; { Kind::CFArray as usize }
    /// Type of dictionaries.
    fn CFDictionaryGetTypeID() -> usize = 0; { Kind::CFDictionary as usize }
    /// Type of `kCFNull`.
    fn CFNullGetTypeID() -> usize = 0; { Kind::CFNull as usize }
    /// Type of pixel buffers.
    fn CVPixelBufferGetTypeID() -> usize = 0; { Kind::CVPixelBuffer as usize }
    /// Type of pools.
    fn CVPixelBufferPoolGetTypeID() -> usize = 0; { Kind::CVPixelBufferPool as usize }
    /// Type of format descriptions.
    fn CMFormatDescriptionGetTypeID() -> usize = 0; { Kind::CMFormatDescription as usize }
    /// Type of block buffers.
    fn CMBlockBufferGetTypeID() -> usize = 0; { Kind::CMBlockBuffer as usize }
    /// Type of sample buffers.
    fn CMSampleBufferGetTypeID() -> usize = 0; { Kind::CMSampleBuffer as usize }
    /// Type of decoder sessions.
    fn VTDecompressionSessionGetTypeID() -> usize = 0; { Kind::VTDecompressionSession as usize }
    /// Type of encoder sessions.
    fn VTCompressionSessionGetTypeID() -> usize = 0; { Kind::VTCompressionSession as usize }
}
