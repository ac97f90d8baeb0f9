//! Objects of CoreFoundation: who owns them, and the few kinds that are made and read here.

use std::ffi::c_void;
use std::fmt;
use std::ptr;

use super::abi::{NUMBER_F64, NUMBER_I64, Ref, UTF8};
use super::library::{Api, api};
use crate::backend::BackendKind;
use crate::error::{Error, Result};

/// Owns one reference to an object. Apple's rules: what a function with `Create` or `Copy` in its name returns is the
/// caller's ([`Self::created`]); of what any other function returns the caller takes a reference of his own
/// ([`Self::borrowed`]).
pub(crate) struct Cf {
    api: &'static Api,
    object: Ref,
}

// SAFETY: references are counted atomically. What is shared between threads is not changed after it was made, but for
// sessions and pixel buffers, whose owners see to it that one thread at a time uses them.
unsafe impl Send for Cf {}
// SAFETY: as above.
unsafe impl Sync for Cf {}

impl Cf {
    /// Takes over the reference that comes with an object; `None` for no object.
    ///
    /// # Safety
    /// `object` is null, or an object of which a reference passes to the caller.
    pub(super) unsafe fn created(api: &'static Api, object: Ref) -> Option<Self> {
        (!object.is_null()).then(|| Self { api, object })
    }

    /// Takes a reference to an object that is somebody else's; `None` for no object.
    ///
    /// # Safety
    /// `object` is null, or an object that is alive during this call.
    pub(super) unsafe fn borrowed(api: &'static Api, object: Ref) -> Option<Self> {
        if object.is_null() {
            return None;
        }
        // SAFETY: the object is alive, as the caller says.
        unsafe { (api.CFRetain)(object) };
        Some(Self { api, object })
    }

    /// The object, which lives at least as long as this.
    pub(super) const fn object(&self) -> Ref {
        self.object
    }

    pub(super) const fn api(&self) -> &'static Api {
        self.api
    }

    fn is(&self, kind: usize) -> bool {
        // SAFETY: the object is alive.
        unsafe { (self.api.CFGetTypeID)(self.object) == kind }
    }

    /// The value, if this is a boolean.
    pub(crate) fn as_bool(&self) -> Option<bool> {
        // SAFETY: a question without arguments; the value is asked of a boolean.
        unsafe {
            self.is((self.api.CFBooleanGetTypeID)()).then(|| (self.api.CFBooleanGetValue)(self.object) != 0)
        }
    }
}

impl Clone for Cf {
    fn clone(&self) -> Self {
        // SAFETY: the object is alive; the new reference is given back when the clone is dropped.
        unsafe { (self.api.CFRetain)(self.object) };
        Self { api: self.api, object: self.object }
    }
}

impl Drop for Cf {
    fn drop(&mut self) {
        // SAFETY: the reference is owned, and this is its only release.
        unsafe { (self.api.CFRelease)(self.object) };
    }
}

impl PartialEq for Cf {
    fn eq(&self, other: &Self) -> bool {
        // SAFETY: both objects are alive.
        unsafe { (self.api.CFEqual)(self.object, other.object) != 0 }
    }
}

impl fmt::Debug for Cf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cf({:p})", self.object)
    }
}

fn no_memory(what: &str) -> Error {
    Error::OutOfMemory {
        backend: BackendKind::VideoToolbox,
        what: format!("CoreFoundation makes no {what}"),
        remedy: "end other programs, or use a machine with more memory".into(),
    }
}

/// A constant of the frameworks by its name (`kVT...`); `None`: this system does not know it.
///
/// # Errors
/// No frameworks.
pub(crate) fn constant(name: &str) -> Result<Option<Cf>> {
    let api = api()?;
    let Some(variable) = api.variable(name) else { return Ok(None) };
    // SAFETY: the constants that are asked for are variables that hold a pointer to an object which lives for ever.
    unsafe { Ok(Cf::borrowed(api, *variable.cast::<Ref>())) }
}

/// As [`constant`], of one that every system has.
///
/// # Errors
/// No frameworks, or ones without it.
pub(crate) fn known(name: &'static str) -> Result<Cf> {
    constant(name)?.ok_or_else(|| Error::Unavailable {
        backend: BackendKind::VideoToolbox,
        reason: format!("the frameworks have no {name}"),
        remedy: "Update macOS".into(),
    })
}

/// A string.
///
/// # Errors
/// No frameworks, no memory.
pub(crate) fn string(text: &str) -> Result<Cf> {
    let api = api()?;
    // SAFETY: as many bytes are read as the text has, which is UTF-8.
    let made = unsafe {
        let made = (api.CFStringCreateWithBytes)(ptr::null(), text.as_ptr(), text.len() as isize, UTF8, 0);
        Cf::created(api, made)
    };
    made.ok_or_else(|| no_memory("string"))
}

/// A whole number.
///
/// # Errors
/// As [`string`].
pub(crate) fn integer(value: i64) -> Result<Cf> {
    number(NUMBER_I64, (&raw const value).cast())
}

/// A number.
///
/// # Errors
/// As [`string`].
pub(crate) fn real(value: f64) -> Result<Cf> {
    number(NUMBER_F64, (&raw const value).cast())
}

fn number(kind: isize, value: *const c_void) -> Result<Cf> {
    let api = api()?;
    // SAFETY: both callers point at a value of the kind that they name.
    unsafe { Cf::created(api, (api.CFNumberCreate)(ptr::null(), kind, value)) }
        .ok_or_else(|| no_memory("number"))
}

/// A truth value.
///
/// # Errors
/// As [`known`].
pub(crate) fn boolean(value: bool) -> Result<Cf> {
    known(if value { "kCFBooleanTrue" } else { "kCFBooleanFalse" })
}

/// Bytes.
///
/// # Errors
/// As [`string`].
pub(crate) fn data(bytes: &[u8]) -> Result<Cf> {
    let api = api()?;
    // SAFETY: as many bytes are copied as there are.
    unsafe { Cf::created(api, (api.CFDataCreate)(ptr::null(), bytes.as_ptr(), bytes.len() as isize)) }
        .ok_or_else(|| no_memory("data"))
}

/// An array, which keeps references to its values.
///
/// # Errors
/// As [`string`].
pub(crate) fn array(values: &[Cf]) -> Result<Cf> {
    let api = api()?;
    let callbacks = variable(api, "kCFTypeArrayCallBacks")?;
    let objects: Vec<Ref> = values.iter().map(Cf::object).collect();
    // SAFETY: as many values are read as there are, and the callbacks are those of objects.
    unsafe {
        let made = (api.CFArrayCreate)(ptr::null(), objects.as_ptr(), objects.len() as isize, callbacks);
        Cf::created(api, made)
    }
    .ok_or_else(|| no_memory("array"))
}

/// The values of an array.
pub(crate) fn values(array: &Cf) -> Vec<Cf> {
    let api = array.api();
    // SAFETY: a question about an array that is alive, and its values while it is.
    let at = |index| unsafe { Cf::borrowed(api, (api.CFArrayGetValueAtIndex)(array.object(), index)) };
    // SAFETY: as above.
    let count = unsafe { (api.CFArrayGetCount)(array.object()) };
    (0..count).filter_map(at).collect()
}

fn variable(api: &Api, name: &'static str) -> Result<Ref> {
    api.variable(name).ok_or_else(|| Error::Unavailable {
        backend: BackendKind::VideoToolbox,
        reason: format!("CoreFoundation has no {name}"),
        remedy: "Update macOS".into(),
    })
}

/// A dictionary that keeps references to its keys and values.
#[derive(Clone, Debug)]
pub(crate) struct Dictionary(Cf);

impl Dictionary {
    /// An empty one.
    ///
    /// # Errors
    /// As [`string`].
    pub(crate) fn new() -> Result<Self> {
        let api = api()?;
        let keys = variable(api, "kCFTypeDictionaryKeyCallBacks")?;
        let values = variable(api, "kCFTypeDictionaryValueCallBacks")?;
        // SAFETY: the callbacks are those of objects, which keys and values always are here.
        let made = unsafe { Cf::created(api, (api.CFDictionaryCreateMutable)(ptr::null(), 0, keys, values)) };
        made.map(Self).ok_or_else(|| no_memory("dictionary"))
    }

    /// One that the frameworks made.
    pub(super) const fn of(object: Cf) -> Self {
        Self(object)
    }

    /// Sets a value.
    pub(crate) fn set(&mut self, key: &Cf, value: &Cf) {
        // SAFETY: the dictionary was made here and can be changed; it takes references of its own.
        unsafe { (self.0.api().CFDictionarySetValue)(self.0.object(), key.object(), value.object()) };
    }

    /// Sets a value under a constant of that name.
    ///
    /// # Errors
    /// As [`known`].
    pub(crate) fn with(mut self, key: &'static str, value: &Cf) -> Result<Self> {
        self.set(&known(key)?, value);
        Ok(self)
    }

    /// Attributes of pixel buffers that engines and Metal see without a copy.
    ///
    /// # Errors
    /// As [`known`].
    pub(super) fn for_devices(self) -> Result<Self> {
        self.with("kCVPixelBufferIOSurfacePropertiesKey", Self::new()?.value())?
            .with("kCVPixelBufferMetalCompatibilityKey", &boolean(true)?)
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &Cf) -> Option<Cf> {
        let api = self.0.api();
        // SAFETY: both are alive; the value is the dictionary's, which holds it during the call.
        unsafe { Cf::borrowed(api, (api.CFDictionaryGetValue)(self.0.object(), key.object())) }
    }

    pub(crate) const fn value(&self) -> &Cf {
        &self.0
    }
}
