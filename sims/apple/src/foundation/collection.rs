//! Arrays and dictionaries. Those made with the callbacks for CF types hold references; those made without hold plain words.

use std::ffi::c_void;
use std::sync::{Arc, Mutex};

use super::constants::{
    self, TypeCallbacks, kCFCopyStringDictionaryKeyCallBacks, kCFTypeArrayCallBacks,
    kCFTypeDictionaryKeyCallBacks, kCFTypeDictionaryValueCallBacks,
};
use super::object::{Held, Kind, Typed, find};
use super::value::{self, Number, Text, Truth};
use crate::core::pointer::{In, NULL, Ref};
use crate::core::report::locked;
use crate::core::{Out, breach, exports, rules};

/// A member of a collection.
#[derive(Debug, Clone)]
pub enum Member {
    /// Of one with the callbacks for CF types.
    Object(Held),
    /// Of one without callbacks.
    Word(usize),
}

impl Member {
    fn of(reference: Ref, typed: bool) -> Option<Self> {
        if typed { Held::of(reference).map(Self::Object) } else { Some(Self::Word(reference.addr())) }
    }

    fn lend(&self) -> Ref {
        match self {
            Self::Object(held) => held.lend(),
            Self::Word(word) => std::ptr::without_provenance(*word),
        }
    }

    fn equal(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Object(one), Self::Object(other)) => value::equal(one, other),
            (Self::Word(one), Self::Word(other)) => one == other,
            _ => false,
        }
    }

    /// The object that it is. A word may be a constant, which the frameworks find by its address as clients do.
    fn object(&self) -> Option<Held> {
        match self {
            Self::Object(held) => Some(held.clone()),
            Self::Word(word) => constants::constant(*word).map(|_| Held::constant(*word)),
        }
    }

    fn is(&self, text: &str) -> bool {
        self.object().and_then(|held| held.get::<Text>()).is_some_and(|key| key.0 == text)
    }
}

/// `CFArray`.
#[derive(Debug)]
pub struct Array {
    typed: bool,
    mutable: bool,
    members: Mutex<Vec<Member>>,
}

impl Typed for Array {
    const KIND: Kind = Kind::CFArray;
}

impl Array {
    /// A new array of objects.
    pub fn holding(members: impl IntoIterator<Item = Held>) -> Held {
        let members = members.into_iter().map(Member::Object).collect();
        Held::new(Self { typed: true, mutable: false, members: Mutex::new(members) })
    }

    /// The objects in it.
    pub fn objects(&self) -> Vec<Held> {
        let objects = locked(&self.members);
        objects
            .iter()
            .filter_map(|member| if let Member::Object(held) = member { Some(held.clone()) } else { None })
            .collect()
    }

    pub(super) fn equal(&self, other: &Self) -> bool {
        let (one, other) = (locked(&self.members).clone(), locked(&other.members).clone());
        one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| one.equal(other))
    }
}

/// `CFDictionary`.
#[derive(Debug)]
pub struct Dictionary {
    typed_keys: bool,
    typed_values: bool,
    mutable: bool,
    members: Mutex<Vec<(Member, Member)>>,
}

impl Typed for Dictionary {
    const KIND: Kind = Kind::CFDictionary;
}

impl Dictionary {
    /// A new dictionary of objects under texts, which the client may change.
    pub fn holding<'a>(members: impl IntoIterator<Item = (&'a str, Held)>) -> Held {
        let members =
            members.into_iter().map(|(key, value)| (Member::Object(value::text(key)), Member::Object(value)));
        let members = Mutex::new(members.collect());
        Held::new(Self { typed_keys: true, typed_values: true, mutable: true, members })
    }

    /// The object under a text.
    pub fn get(&self, key: &str) -> Option<Held> {
        let members = locked(&self.members);
        members.iter().find(|(at, _)| at.is(key)).and_then(|(_, value)| value.object())
    }

    /// The boolean under a text: one, or a number that is not zero.
    pub fn truth(&self, key: &str) -> Option<bool> {
        let value = self.get(key)?;
        value.get::<Truth>().map(|truth| truth.0).or_else(|| Some(value.get::<Number>()?.int() != 0))
    }

    /// The number under a text.
    pub fn number(&self, key: &str) -> Option<Number> {
        self.get(key)?.get::<Number>().map(|number| *number)
    }

    /// The string under a text.
    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key)?.get::<Text>().map(|text| text.0.clone())
    }

    /// The dictionary under a text.
    pub fn dictionary(&self, key: &str) -> Option<Arc<Dictionary>> {
        self.get(key)?.get::<Dictionary>()
    }

    /// All keys that are strings, with their objects.
    pub fn entries(&self) -> Vec<(String, Held)> {
        let members = locked(&self.members);
        let pair = |(key, value): &(Member, Member)| match (key, value) {
            (Member::Object(key), Member::Object(value)) => {
                Some((key.get::<Text>()?.0.clone(), value.clone()))
            }
            _ => None,
        };
        members.iter().filter_map(pair).collect()
    }

    /// Puts an object under a text.
    pub fn set(&self, key: &str, value: Held) {
        self.put(Member::Object(value::text(key)), Member::Object(value));
    }

    /// Replaces the value, or adds the pair. What goes is let go of after the lock.
    fn put(&self, key: Member, value: Member) {
        let mut members = locked(&self.members);
        let found = members.iter_mut().find(|(at, _)| at.equal(&key));
        let old = match found {
            Some((_, old)) => Some(std::mem::replace(old, value)),
            None => {
                members.push((key, value));
                None
            }
        };
        drop(members);
        drop(old);
    }

    fn find(&self, key: Ref) -> Option<Member> {
        let key = Member::of(key, self.typed_keys)?;
        locked(&self.members).iter().find(|(at, _)| at.equal(&key)).map(|(_, value)| value.clone())
    }

    pub(super) fn equal(&self, other: &Self) -> bool {
        let (one, other) = (locked(&self.members).clone(), locked(&other.members).clone());
        one.len() == other.len()
            && one
                .iter()
                .all(|(key, value)| other.iter().any(|(at, found)| at.equal(key) && found.equal(value)))
    }
}

/// Whether callbacks are those of CF types. Null means none; others are not simulated.
fn typed(callbacks: *const c_void, known: &[&TypeCallbacks]) -> bool {
    if callbacks.is_null() {
        return false;
    }
    if !known.iter().any(|known| std::ptr::eq(callbacks, std::ptr::from_ref(*known).cast())) {
        breach(&rules::RAW_CALLBACKS, "callbacks of the client's own, taken as those for CF types");
    }
    true
}

fn dictionary(mutable: bool, keys: *const c_void, values: *const c_void) -> Dictionary {
    Dictionary {
        typed_keys: typed(keys, &[&kCFTypeDictionaryKeyCallBacks, &kCFCopyStringDictionaryKeyCallBacks]),
        typed_values: typed(values, &[&kCFTypeDictionaryValueCallBacks]),
        mutable,
        members: Mutex::default(),
    }
}

/// The dictionary when it may be changed.
fn changeable(reference: Ref) -> Option<Arc<Dictionary>> {
    let found = find::<Dictionary>(reference)?;
    if !found.mutable {
        breach(&rules::IMMUTABLE, "a dictionary that was made to stay as it is");
        return None;
    }
    Some(found)
}

exports! {
    /// A dictionary of these pairs.
    fn CFDictionaryCreate(allocator: Ref, keys: In<Ref>, values: In<Ref>, count: isize,
                          key_callbacks: *const c_void, value_callbacks: *const c_void) -> Ref = NULL; {
        let count = usize::try_from(count).unwrap_or(0);
        let (Some(keys), Some(values)) = (keys.list(count), values.list(count)) else { return NULL };
        let made = dictionary(false, key_callbacks, value_callbacks);
        for (key, value) in keys.into_iter().zip(values) {
            let (Some(key), Some(value)) = (Member::of(key, made.typed_keys), Member::of(value, made.typed_values)) else {
                return NULL;
            };
            made.put(key, value);
        }
        Held::new(made).give()
    }

    /// An empty dictionary.
    fn CFDictionaryCreateMutable(allocator: Ref, capacity: isize, key_callbacks: *const c_void,
                                 value_callbacks: *const c_void) -> Ref = NULL; {
        Held::new(dictionary(true, key_callbacks, value_callbacks)).give()
    }

    /// Adds or replaces.
    fn CFDictionarySetValue(to: Ref, key: Ref, value: Ref); {
        let Some(to) = changeable(to) else { return };
        if let (Some(key), Some(value)) = (Member::of(key, to.typed_keys), Member::of(value, to.typed_values)) {
            to.put(key, value);
        }
    }

    /// Takes a pair out.
    fn CFDictionaryRemoveValue(from: Ref, key: Ref); {
        let Some(from) = changeable(from) else { return };
        let Some(key) = Member::of(key, from.typed_keys) else { return };
        let mut members = locked(&from.members);
        let gone = members.iter().position(|(at, _)| at.equal(&key)).map(|at| members.remove(at));
        drop(members);
        drop(gone);
    }

    /// The value under a key, not to be released.
    fn CFDictionaryGetValue(from: Ref, key: Ref) -> Ref = NULL; {
        find::<Dictionary>(from).and_then(|from| from.find(key)).map_or(NULL, |value| value.lend())
    }

    /// The same, and whether there is one.
    fn CFDictionaryGetValueIfPresent(from: Ref, key: Ref, value: Out<Ref>) -> u8 = 0; {
        match find::<Dictionary>(from).and_then(|from| from.find(key)) {
            Some(found) => {
                value.put(found.lend());
                1
            }
            None => 0,
        }
    }

    /// Whether there is a value under a key.
    fn CFDictionaryContainsKey(from: Ref, key: Ref) -> u8 = 0; {
        u8::from(find::<Dictionary>(from).and_then(|from| from.find(key)).is_some())
    }

    /// How many pairs there are.
    fn CFDictionaryGetCount(of: Ref) -> isize = 0; {
        find::<Dictionary>(of).map_or(0, |of| locked(&of.members).len() as isize)
    }

    /// All of them, not to be released.
    fn CFDictionaryGetKeysAndValues(of: Ref, keys: Out<Ref>, values: Out<Ref>); {
        let Some(of) = find::<Dictionary>(of) else { return };
        for (at, (key, value)) in locked(&of.members).iter().enumerate() {
            if !keys.is_null() {
                keys.at(at).put(key.lend());
            }
            if !values.is_null() {
                values.at(at).put(value.lend());
            }
        }
    }

    /// An array of these values.
    fn CFArrayCreate(allocator: Ref, values: In<Ref>, count: isize, callbacks: *const c_void) -> Ref = NULL; {
        let typed = typed(callbacks, &[&kCFTypeArrayCallBacks]);
        let values = usize::try_from(count).ok().and_then(|count| values.list(count)).unwrap_or_default();
        let members: Option<Vec<_>> = values.into_iter().map(|value| Member::of(value, typed)).collect();
        match members {
            Some(members) => Held::new(Array { typed, mutable: false, members: Mutex::new(members) }).give(),
            None => NULL,
        }
    }

    /// An empty array.
    fn CFArrayCreateMutable(allocator: Ref, capacity: isize, callbacks: *const c_void) -> Ref = NULL; {
        let typed = typed(callbacks, &[&kCFTypeArrayCallBacks]);
        Held::new(Array { typed, mutable: true, members: Mutex::default() }).give()
    }

    /// Adds a value at the end.
    fn CFArrayAppendValue(to: Ref, value: Ref); {
        let Some(to) = find::<Array>(to) else { return };
        if !to.mutable {
            breach(&rules::IMMUTABLE, "an array that was made to stay as it is");
        } else if let Some(value) = Member::of(value, to.typed) {
            locked(&to.members).push(value);
        }
    }

    /// How many values there are.
    fn CFArrayGetCount(of: Ref) -> isize = 0; { find::<Array>(of).map_or(0, |of| locked(&of.members).len() as isize) }

    /// One of them, not to be released.
    fn CFArrayGetValueAtIndex(of: Ref, index: isize) -> Ref = NULL; {
        let Some(of) = find::<Array>(of) else { return NULL };
        let members = locked(&of.members);
        let found = usize::try_from(index).ok().and_then(|at| members.get(at)).map(Member::lend);
        let count = members.len();
        drop(members);
        found.unwrap_or_else(|| {
            breach(&rules::INDEX, format!("value {index} of {count}"));
            NULL
        })
    }
}
