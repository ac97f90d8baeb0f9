//! Who may go on for a decoder or an encoder that has died, in which order they are asked, and when it is enough.

use std::collections::VecDeque;

use crate::backend::{
    self, Backend, BackendKind, CANDIDATES, Candidate, EncodeSink, EncoderBackend, Job, Refusals,
};
use crate::codec::Codec;
use crate::config::{BackendEncodeConfig, CommonEncodeConfig, FailurePolicy};
use crate::error::{Error, Result};

/// Opens the encoders of a stream. [`Backend`] is one: the encoders of this library.
pub trait EncoderSource: Send + Sync + 'static {
    /// Who may encode the stream, best first.
    fn candidates(&self) -> Vec<Candidate>;

    /// Opens an encoder of one of them.
    ///
    /// # Errors
    /// [`Error::SessionLimit`] and [`Error::OutOfMemory`] mean that it could be opened if another were closed.
    fn open(
        &self,
        candidate: Candidate,
        config: &CommonEncodeConfig,
        special: &BackendEncodeConfig,
        sink: EncodeSink,
    ) -> Result<Box<dyn EncoderBackend>>;
}

impl EncoderSource for Backend {
    fn candidates(&self) -> Vec<Candidate> {
        match self {
            Self::Auto => Candidate::ORDER.to_vec(),
            Self::Only(kind) => match Candidate::of_backend(*kind).collect::<Vec<_>>() {
                none if none.is_empty() => vec![Candidate::of(*kind)],
                several => several,
            },
        }
    }

    fn open(
        &self,
        candidate: Candidate,
        config: &CommonEncodeConfig,
        special: &BackendEncodeConfig,
        sink: EncodeSink,
    ) -> Result<Box<dyn EncoderBackend>> {
        backend::open_engine(candidate, config, special, sink)
    }
}

/// Who may go on for one that has died, best first: those behind it in the order, those before it, and last itself.
pub(crate) fn behind<C: PartialEq>(dead: &C, mut order: Vec<C>) -> Vec<C> {
    if let Some(at) = order.iter().position(|candidate| candidate == dead) {
        order.rotate_left(at + 1);
    }
    order
}

/// The encoders that may go on. Of a backend that was named, those that it has.
pub(super) fn encoders_behind(
    dead: Candidate,
    wanted: Backend,
    policy: FailurePolicy,
    special: &BackendEncodeConfig,
) -> Vec<Candidate> {
    let same = is_replaced_by_the_same(wanted, policy);
    let mut candidates = behind(&dead, Candidate::ORDER.to_vec());
    candidates.retain(|candidate| match wanted {
        _ if !same => true,
        Backend::Only(kind) if policy != FailurePolicy::Reopen => {
            candidate.backend() == kind && candidate.is_meant_by(special)
        }
        _ => *candidate == dead,
    });
    if candidates.is_empty() { vec![dead] } else { candidates }
}

/// The backends whose decoders may go on.
pub(super) fn decoders_behind(
    dead: BackendKind,
    wanted: Backend,
    policy: FailurePolicy,
) -> VecDeque<BackendKind> {
    if is_replaced_by_the_same(wanted, policy) {
        return [dead].into();
    }
    behind(&dead, CANDIDATES.to_vec()).into()
}

/// Whether another of the same kind takes the place of one that has died.
fn is_replaced_by_the_same(wanted: Backend, policy: FailurePolicy) -> bool {
    match policy {
        FailurePolicy::Auto => wanted != Backend::Auto,
        FailurePolicy::Reopen => true,
        FailurePolicy::Next | FailurePolicy::Stop => false,
    }
}

/// A candidate that opened, and who was asked before it and could not.
pub(crate) struct Opened<C, T> {
    pub(crate) candidate: C,
    pub(crate) value: T,
    pub(crate) refused: Vec<(C, Error)>,
}

/// Asks candidates in their turns until one opens. Who has a reason beside it is passed over for that.
///
/// # Errors
/// The refusals, in order. An error that ends the search (a cancellation, and those that are `last`) is returned alone.
pub(crate) fn first_that_opens<C: Copy, T>(
    turns: impl IntoIterator<Item = (C, Option<Error>)>,
    last: impl Fn(&Error) -> bool,
    mut open: impl FnMut(C) -> Result<T>,
) -> Result<Opened<C, T>, Vec<(C, Error)>> {
    let mut refused: Vec<(C, Error)> = Vec::new();
    for (candidate, put_off) in turns {
        match put_off.map_or_else(|| open(candidate), Err) {
            Ok(value) => return Ok(Opened { candidate, value, refused }),
            Err(error) if matches!(error, Error::Cancelled) || last(&error) => {
                return Err(vec![(candidate, error)]);
            }
            Err(error) => refused.push((candidate, error)),
        }
    }
    Err(refused)
}

/// Reduces the refusals of encoders of a codec to one error; `None`: no candidate was asked.
pub(crate) fn told(codec: Codec, refused: Vec<(Candidate, Error)>) -> Option<Error> {
    let mut refusals = Refusals::new(Job::Encode, codec);
    for (candidate, error) in refused {
        refusals.add(candidate, false, error);
    }
    refusals.told()
}

/// Deaths in a row without much work between them: a frame that kills everybody must not go on for ever.
#[derive(Debug, Default)]
pub(crate) struct Deaths(pub(crate) u32);

impl Deaths {
    /// So many may follow each other.
    pub(crate) const MOST: u32 = 3;

    pub(crate) const fn too_many(&self) -> bool {
        self.0 > Self::MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_asked_in_turn_and_all_refusals_are_told() {
        let turns = || [(1, None), (2, Some(Error::unsupported("its turn"))), (3, None), (4, None)];
        let refuse = |candidate: i32| Err::<(), _>(Error::unsupported(candidate.to_string()));
        let opened = first_that_opens(turns(), |_| false, |n| if n == 3 { Ok(()) } else { refuse(n) });
        let Ok(Opened { candidate: 3, refused, .. }) = opened else { panic!("another opened, or none") };
        let words = |refused: Vec<(i32, Error)>| -> Vec<_> {
            refused.iter().map(|(n, why)| format!("{n} {why}")).collect()
        };
        let all = ["1 unsupported: 1", "2 unsupported: its turn", "3 unsupported: 3", "4 unsupported: 4"];
        assert_eq!(words(refused), all[..2]);
        let none = |last: fn(&Error) -> bool| words(first_that_opens(turns(), last, refuse).err().unwrap());
        assert_eq!(none(|_| false), all);
        assert_eq!(none(|error| error.to_string().contains("turn")), all[1..2]);
        let mut asked = 0;
        let cancel = |_| Err::<(), _>(Error::Cancelled).inspect_err(|_| asked += 1);
        let cancelled = first_that_opens(turns(), |_| false, cancel).err().unwrap();
        assert!(matches!(cancelled[..], [(1, Error::Cancelled)]));
        assert_eq!(asked, 1);
        assert!(first_that_opens([], |_| false, refuse).err().unwrap().is_empty());
    }
}
