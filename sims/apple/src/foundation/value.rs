//! Strings, numbers, booleans and data.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::sync::Mutex;

use super::collection::{Array, Dictionary};
use super::object::{Held, Kind, Typed, find};
use crate::core::pointer::{In, NULL, Ref};
use crate::core::report::locked;
use crate::core::{Out, breach, exports, rules};

/// `CFString`.
#[derive(Debug)]
pub struct Text(pub String);

/// `CFNumber`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// Of an integer type.
    Int(i64),
    /// Of a floating type.
    Float(f64),
}

/// `CFBoolean`.
#[derive(Debug)]
pub struct Truth(pub bool);

/// `CFData`.
#[derive(Debug)]
pub struct Data(pub Box<[u8]>);

/// `CFRange`
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Range {
    /// The first.
    pub location: isize,
    /// How many.
    pub length: isize,
}

/// `kCFNull`.
#[derive(Debug)]
pub struct Nothing;

/// `CFAllocator`: only which one it is counts.
#[derive(Debug)]
pub struct Allocator;

macro_rules! typed {
    ($($type:ident $kind:ident)*) => {
        $(impl Typed for $type {
            const KIND: Kind = Kind::$kind;
        })*
    };
}
typed!(Text CFString Number CFNumber Truth CFBoolean Data CFData Nothing CFNull Allocator CFAllocator);

impl Number {
    /// As an integer, cut off towards zero.
    pub fn int(self) -> i64 {
        match self {
            Self::Int(value) => value,
            Self::Float(value) => value as i64,
        }
    }

    /// As a floating number.
    pub fn float(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

/// A new string.
pub fn text(text: &str) -> Held {
    Held::new(Text(text.into()))
}

/// A new integer.
pub fn int(value: i64) -> Held {
    Held::new(Number::Int(value))
}

/// Whether two objects are equal: values by value, all others by identity.
pub fn equal(one: &Held, other: &Held) -> bool {
    if one.is(other) {
        return true;
    }
    fn both<T: Typed>(one: &Held, other: &Held, same: impl FnOnce(&T, &T) -> bool) -> bool {
        one.get::<T>().zip(other.get::<T>()).is_some_and(|(one, other)| same(&one, &other))
    }
    match one.kind() {
        Kind::CFString => both::<Text>(one, other, |one, other| one.0 == other.0),
        Kind::CFNumber => both::<Number>(one, other, |one, other| match (one, other) {
            (Number::Int(one), Number::Int(other)) => one == other,
            _ => one.float() == other.float(),
        }),
        Kind::CFData => both::<Data>(one, other, |one, other| one.0 == other.0),
        Kind::CFArray => both::<Array>(one, other, Array::equal),
        Kind::CFDictionary => both::<Dictionary>(one, other, Dictionary::equal),
        _ => false,
    }
}

const UTF8: u32 = 0x0800_0100;
const ASCII: u32 = 0x0600;

/// Bytes of the number types, and whether they are floating.
fn layout(kind: isize) -> Option<(usize, bool)> {
    Some(match kind {
        1 | 7 => (1, false),
        2 | 8 => (2, false),
        3 | 9 => (4, false),
        4 | 10 | 11 | 14 | 15 => (8, false),
        5 | 12 => (4, true),
        6 | 13 | 16 => (8, true),
        _ => return None,
    })
}

exports! {
    /// A string of bytes. UTF-8 and ASCII are known.
    fn CFStringCreateWithBytes(allocator: Ref, bytes: In<u8>, count: isize, encoding: u32, external: u8) -> Ref = NULL; {
        let bytes = usize::try_from(count).ok().and_then(|count| bytes.bytes(count));
        let known = encoding == UTF8 || (encoding == ASCII && bytes.as_ref().is_some_and(|bytes| bytes.is_ascii()));
        match bytes.and_then(|bytes| String::from_utf8(bytes).ok()).filter(|_| known) {
            Some(string) => Held::new(Text(string)).give(),
            None => NULL,
        }
    }

    /// Copies a string with a zero behind it; 0 where the room is too small.
    fn CFStringGetCString(string: Ref, buffer: Out<u8>, size: isize, encoding: u32) -> u8 = 0; {
        let Some(string) = find::<Text>(string) else { return 0 };
        let fits = (encoding == UTF8 || (encoding == ASCII && string.0.is_ascii()))
            && usize::try_from(size).is_ok_and(|size| string.0.len() < size);
        if !fits || buffer.is_null() {
            return 0;
        }
        for (at, byte) in string.0.bytes().chain([0]).enumerate() {
            buffer.at(at).put(byte);
        }
        1
    }

    /// UTF-16 units.
    fn CFStringGetLength(string: Ref) -> isize = 0; {
        find::<Text>(string).map_or(0, |string| string.0.encode_utf16().count() as isize)
    }

    /// The most bytes that so many UTF-16 units take.
    fn CFStringGetMaximumSizeForEncoding(length: isize, encoding: u32) -> isize = -1; {
        if encoding == UTF8 { length.saturating_mul(3) } else { length }
    }

    /// A number of one of the types.
    fn CFNumberCreate(allocator: Ref, kind: isize, value: In<u8>) -> Ref = NULL; {
        let Some((size, floating)) = layout(kind) else { return NULL };
        let Some(bytes) = value.bytes(size) else { return NULL };
        let mut wide = [0; 8];
        wide[..size].copy_from_slice(&bytes);
        let number = match (size, floating) {
            (4, true) => Number::Float(f32::from_bits(u32::from_le_bytes([wide[0], wide[1], wide[2], wide[3]])).into()),
            (_, true) => Number::Float(f64::from_le_bytes(wide)),
            // Sign extension: up to the top and back.
            (_, false) => Number::Int(i64::from_le_bytes(wide) << (64 - 8 * size) >> (64 - 8 * size)),
        };
        Held::new(number).give()
    }

    /// The number as one of the types; 0 where it does not fit.
    fn CFNumberGetValue(number: Ref, kind: isize, value: Out<u8>) -> u8 = 0; {
        let Some(number) = find::<Number>(number) else { return 0 };
        let Some((size, floating)) = layout(kind) else { return 0 };
        let (bytes, exact) = match (size, floating) {
            (4, true) => {
                let single = number.float() as f32;
                let mut bytes = [0; 8];
                bytes[..4].copy_from_slice(&single.to_le_bytes());
                (bytes, f64::from(single) == number.float())
            }
            (_, true) => (number.float().to_le_bytes(), true),
            (_, false) => {
                let whole = number.int();
                let cut = whole << (64 - 8 * size) >> (64 - 8 * size);
                (whole.to_le_bytes(), cut == whole && whole as f64 == number.float())
            }
        };
        if value.is_null() {
            return 0;
        }
        for (at, byte) in bytes.into_iter().take(size).enumerate() {
            value.at(at).put(byte);
        }
        u8::from(exact)
    }

    /// Whether the number is of a floating type.
    fn CFNumberIsFloatType(number: Ref) -> u8 = 0; {
        find::<Number>(number).map_or(0, |number| u8::from(matches!(*number, Number::Float(_))))
    }

    /// The value of a boolean.
    fn CFBooleanGetValue(boolean: Ref) -> u8 = 0; { find::<Truth>(boolean).map_or(0, |truth| u8::from(truth.0)) }

    /// A copy of bytes.
    fn CFDataCreate(allocator: Ref, bytes: In<u8>, count: isize) -> Ref = NULL; {
        match usize::try_from(count).ok().and_then(|count| bytes.bytes(count)) {
            Some(bytes) => Held::new(Data(bytes.into())).give(),
            None => NULL,
        }
    }

    /// The bytes: good as long as the object lives.
    fn CFDataGetBytePtr(data: Ref) -> *const u8 = std::ptr::null(); {
        find::<Data>(data).map_or(std::ptr::null(), |data| data.0.as_ptr())
    }

    /// How many there are.
    fn CFDataGetLength(data: Ref) -> isize = 0; { find::<Data>(data).map_or(0, |data| data.0.len() as isize) }

    /// A copy of some of them.
    fn CFDataGetBytes(data: Ref, range: Range, buffer: Out<u8>); {
        let Some(data) = find::<Data>(data) else { return };
        let range = usize::try_from(range.location).ok().zip(usize::try_from(range.length).ok());
        let bytes = range.and_then(|(start, count)| data.0.get(start..start.checked_add(count)?));
        match bytes {
            Some(bytes) if !buffer.is_null() => {
                for (at, byte) in bytes.iter().enumerate() {
                    buffer.at(at).put(*byte);
                }
            }
            Some(_) => {}
            None => breach(&rules::INDEX, format!("bytes beyond the {} that there are", data.0.len())),
        }
    }

    /// What compilers make of literal strings: one object for each text, for ever. It has no owner, and need not be released.
    fn __CFStringMakeConstantString(text: *const c_char) -> Ref = NULL; {
        static LITERALS: Mutex<BTreeMap<String, Held>> = Mutex::new(BTreeMap::new());
        if text.is_null() {
            return NULL;
        }
        // SAFETY: a literal of the client, with a zero behind it.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
        locked(&LITERALS).entry(text.clone()).or_insert_with(|| Held::new(Text(text))).lend()
    }
}
