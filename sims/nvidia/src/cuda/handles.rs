//! Handles given to the client: never reused and never an address, so that a dead handle can be told from a
//! foreign one, and a client that dereferences one crashes at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::abi::Handle;

/// What a handle stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Context = 1,
    Stream,
    Event,
    Module,
    Function,
    Array,
    Link,
    Pool,
}

/// A non-canonical address on the machines there are.
const MARK: u64 = 0x4e56 << 48;
const KIND_SHIFT: u32 = 40;
const SERIAL_SHIFT: u32 = 4;

static SERIAL: AtomicU64 = AtomicU64::new(1);

/// Why a handle is not in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// It was there once.
    Dead,
    /// It never was of this kind.
    Foreign,
}

/// The live objects of one kind.
#[derive(Debug)]
pub(super) struct Table<T> {
    kind: Kind,
    live: Mutex<BTreeMap<u64, Arc<T>>>,
}

impl<T> Table<T> {
    pub(super) const fn new(kind: Kind) -> Self {
        Self { kind, live: Mutex::new(BTreeMap::new()) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<T>>> {
        self.live.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A handle that nothing has yet.
    pub(super) fn reserve(&self) -> u64 {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        MARK | (self.kind as u64) << KIND_SHIFT | serial << SERIAL_SHIFT
    }

    pub(super) fn insert(&self, handle: u64, object: Arc<T>) {
        self.lock().insert(handle, object);
    }

    pub(super) fn get(&self, handle: u64) -> Result<Arc<T>, Missing> {
        self.lock().get(&handle).cloned().ok_or_else(|| self.missing(handle))
    }

    pub(super) fn remove(&self, handle: u64) -> Result<Arc<T>, Missing> {
        self.lock().remove(&handle).ok_or_else(|| self.missing(handle))
    }

    fn missing(&self, handle: u64) -> Missing {
        let kind = MARK | (self.kind as u64) << KIND_SHIFT;
        let serial = (handle & ((1 << KIND_SHIFT) - 1)) >> SERIAL_SHIFT;
        let ours = handle >> KIND_SHIFT == kind >> KIND_SHIFT && handle.trailing_zeros() >= SERIAL_SHIFT;
        if ours && (1..SERIAL.load(Ordering::Relaxed)).contains(&serial) {
            Missing::Dead
        } else {
            Missing::Foreign
        }
    }

    /// All that `wanted` picks.
    pub(super) fn select(&self, wanted: impl Fn(&T) -> bool) -> Vec<Arc<T>> {
        self.lock().values().filter(|object| wanted(object)).cloned().collect()
    }

    /// Takes out all that `wanted` picks.
    pub(super) fn drain(&self, wanted: impl Fn(&T) -> bool) -> Vec<Arc<T>> {
        let mut live = self.lock();
        let picked: Vec<u64> =
            live.iter().filter(|(_, object)| wanted(object)).map(|(key, _)| *key).collect();
        picked.iter().filter_map(|key| live.remove(key)).collect()
    }

    /// All of them, or nothing when another thread holds the table: for the report at exit.
    pub(super) fn peek(&self) -> Vec<Arc<T>> {
        self.live.try_lock().map(|live| live.values().cloned().collect()).unwrap_or_default()
    }
}

/// The value of a handle for the tables.
pub(super) fn value(handle: Handle) -> u64 {
    handle as usize as u64
}

/// The handle for a value.
pub(super) fn handle(value: u64) -> Handle {
    value as usize as Handle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_and_foreign_are_told_apart() {
        let table: Table<u8> = Table::new(Kind::Event);
        let other: Table<u8> = Table::new(Kind::Stream);
        let first = table.reserve();
        table.insert(first, Arc::new(7));
        assert_eq!(*table.get(first).unwrap(), 7);
        assert_eq!(other.get(first), Err(Missing::Foreign));
        table.remove(first).unwrap();
        assert_eq!(table.get(first), Err(Missing::Dead));
        assert_eq!(table.get(first + 1), Err(Missing::Foreign));
        assert_eq!(table.get(0x1000), Err(Missing::Foreign));
        assert_ne!(table.reserve(), first);
    }
}
