//! Memory whose size an input decides. Where there is none, that input has failed, and not the process.

use crate::backend_kind::BackendKind;
use crate::error::{Error, Result};

/// An empty vector with room for so many.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub(crate) fn room<T>(len: usize) -> Result<Vec<T>> {
    let mut vec = Vec::new();
    vec.try_reserve_exact(len).map_err(|_| out_of_memory::<T>(len))?;
    Ok(vec)
}

/// So many of the same value.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub(crate) fn filled<T: Clone>(value: T, len: usize) -> Result<Vec<T>> {
    let mut vec = room(len)?;
    vec.resize(len, value);
    Ok(vec)
}

/// Room for more.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub(crate) fn grow<T>(vec: &mut Vec<T>, more: usize) -> Result<()> {
    vec.try_reserve(more).map_err(|_| out_of_memory::<T>(more))
}

/// All that `values` gives, which is `len` or less.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub(crate) fn collected<T>(len: usize, values: impl Iterator<Item = T>) -> Result<Vec<T>> {
    let mut vec = room(len)?;
    vec.extend(values);
    Ok(vec)
}

fn out_of_memory<T>(len: usize) -> Error {
    Error::OutOfMemory {
        backend: BackendKind::EMBEDDED,
        what: format!("{} bytes", len.saturating_mul(size_of::<T>())),
        remedy: "end other programs, or use a machine with more memory".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_machine_has_is_an_error() {
        assert!(matches!(room::<u64>(usize::MAX / 8), Err(Error::OutOfMemory { .. })));
        assert!(matches!(room::<u64>(usize::MAX), Err(Error::OutOfMemory { .. })));
        let mut some = filled(7_u16, 3).unwrap();
        assert!(grow(&mut some, usize::MAX).is_err());
        assert_eq!(some, [7, 7, 7]);
    }
}
