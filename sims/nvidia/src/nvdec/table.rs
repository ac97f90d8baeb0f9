//! Handles of the decoder library: numbers that are looked up and never dereferenced, so that a dead or foreign one is
//! noticed and harms nothing.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard};

/// Why a handle leads to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// It was given back.
    Dead,
    /// It never was one.
    Foreign,
}

/// The living objects of one kind. Handles are `base`, `base + STEP` ..., and never given twice.
pub(super) struct Table<T> {
    base: usize,
    objects: Mutex<Objects<T>>,
}

struct Objects<T> {
    given: usize,
    living: BTreeMap<usize, Arc<T>>,
}

/// Handles look like pointers to aligned objects.
const STEP: usize = 64;

impl<T> Table<T> {
    /// An empty table. `base` keeps the handles of one kind apart from those of others.
    pub(super) const fn new(base: usize) -> Self {
        Self { base, objects: Mutex::new(Objects { given: 0, living: BTreeMap::new() }) }
    }

    fn lock(&self) -> MutexGuard<'_, Objects<T>> {
        self.objects.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Adds an object; answers its handle.
    pub(super) fn insert(&self, object: Arc<T>) -> *mut c_void {
        let mut objects = self.lock();
        let handle = self.base + objects.given * STEP;
        objects.given += 1;
        objects.living.insert(handle, object);
        handle as *mut c_void
    }

    fn why(&self, objects: &Objects<T>, handle: usize) -> Missing {
        let was_given = handle >= self.base
            && (handle - self.base).is_multiple_of(STEP)
            && (handle - self.base) / STEP < objects.given;
        if was_given { Missing::Dead } else { Missing::Foreign }
    }

    /// The object of a handle.
    pub(super) fn get(&self, handle: *mut c_void) -> Result<Arc<T>, Missing> {
        let objects = self.lock();
        let handle = handle as usize;
        objects.living.get(&handle).cloned().ok_or_else(|| self.why(&objects, handle))
    }

    /// Takes an object out.
    pub(super) fn remove(&self, handle: *mut c_void) -> Result<Arc<T>, Missing> {
        let mut objects = self.lock();
        let handle = handle as usize;
        match objects.living.remove(&handle) {
            Some(object) => Ok(object),
            None => Err(self.why(&objects, handle)),
        }
    }

    /// What is alive, for the report at exit: none when the table is locked.
    pub(super) fn try_list(&self) -> Vec<Arc<T>> {
        self.objects.try_lock().map(|objects| objects.living.values().cloned().collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_and_foreign_handles_are_told_apart() {
        let table = Table::new(0x1000);
        let handle = table.insert(Arc::new(7));
        assert_eq!(*table.get(handle).unwrap(), 7);
        assert_eq!(table.get(std::ptr::null_mut()).unwrap_err(), Missing::Foreign);
        assert_eq!(table.get((handle as usize + 1) as *mut c_void).unwrap_err(), Missing::Foreign);
        table.remove(handle).unwrap();
        assert_eq!(table.get(handle).unwrap_err(), Missing::Dead);
        assert_ne!(table.insert(Arc::new(8)), handle);
    }
}
