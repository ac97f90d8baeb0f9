//! Objective-C's runtime: classes, names of methods, autorelease pools.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_void};
use std::sync::Mutex;

use super::methods::{self, Method};
use crate::core::pointer::{NULL, Ref};
use crate::core::report::locked;
use crate::core::{breach, exports, rules};
use crate::foundation::object::{Held, Kind, release};

/// Classes and names of methods are numbers, like references.
const CLASSES: usize = 0x3000_0000_0000;
const NAMES: usize = 0x4000_0000_0000;
const STEP: usize = 16;

static KNOWN: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn class_of(kind: Kind) -> Ref {
    std::ptr::without_provenance(CLASSES + STEP * kind as usize)
}

fn name_of(selector: Ref) -> Option<String> {
    let index = selector.addr().checked_sub(NAMES)? / STEP;
    locked(&KNOWN).get(index).cloned()
}

/// The method of a class; none, and a breach where `must`, where it has none.
fn method(class: Ref, selector: Ref, must: bool) -> Option<Method> {
    let number = class.addr().wrapping_sub(CLASSES) / STEP;
    let name = name_of(selector);
    let found = name.as_deref().and_then(|name| methods::find(number, name));
    if found.is_none() && must {
        breach(&rules::METHOD, format!("{:?} of class {number}", name.unwrap_or_default()));
    }
    found
}

thread_local! {
    static POOLS: RefCell<Vec<Vec<Held>>> = const { RefCell::new(Vec::new()) };
}

/// Hands an object to the innermost pool of this thread, which lends it to the client.
pub(super) fn autorelease(object: Held) -> Ref {
    let reference = object.lend();
    let left = POOLS.with_borrow_mut(|pools| match pools.last_mut() {
        Some(pool) => {
            pool.push(object);
            None
        }
        None => Some(object),
    });
    if let Some(object) = left {
        breach(&rules::AUTORELEASE, format!("a {} without an autorelease pool", object.kind().name()));
        std::mem::forget(object);
    }
    reference
}

exports! {
    /// The class of an object.
    fn object_getClass(object: Ref) -> Ref = NULL; { Held::of(object).map_or(NULL, |held| class_of(held.kind())) }

    /// The number of a method's name.
    fn sel_registerName(name: *const c_char) -> Ref = NULL; {
        if name.is_null() {
            return NULL;
        }
        // SAFETY: not null; that a text with an end is there, the client vouches for.
        let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
        let mut known = locked(&KNOWN);
        let at = known.iter().position(|at| *at == name).unwrap_or_else(|| {
            known.push(name.into_owned());
            known.len() - 1
        });
        std::ptr::without_provenance(NAMES + STEP * at)
    }

    /// Whether a class has a method.
    fn class_respondsToSelector(class: Ref, selector: Ref) -> u8 = 0; { u8::from(method(class, selector, false).is_some()) }

    /// The function of a method. (The real one gives one that ends the process, where there is none.)
    fn class_getMethodImplementation(class: Ref, selector: Ref) -> Option<Method> = None; { method(class, selector, true) }

    /// Takes a reference away.
    fn objc_release(object: Ref); { if !object.is_null() { release(object); } }

    /// Opens a pool.
    fn objc_autoreleasePoolPush() -> *mut c_void = std::ptr::null_mut(); {
        POOLS.with_borrow_mut(|pools| {
            pools.push(Vec::new());
            std::ptr::without_provenance_mut(pools.len())
        })
    }

    /// Lets go what is in it, and in those that were opened later.
    fn objc_autoreleasePoolPop(pool: *mut c_void); {
        let gone = POOLS.with_borrow_mut(|pools| {
            let number = pool.addr();
            if number == 0 || number > pools.len() { Vec::new() } else { pools.split_off(number - 1) }
        });
        if gone.is_empty() {
            breach(&rules::AUTORELEASE, "a pool that is not open on this thread");
        }
        drop(gone);
    }
}
