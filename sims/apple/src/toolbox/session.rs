//! What sessions of all kinds have in common: properties by name.

use std::sync::Arc;

use super::decode::Decode;
use super::encode::Encode;
use super::status;
use super::transfer::Transfer;
use crate::core::pointer::{NULL, Ref};
use crate::core::{Out, breach, exports, rules};
use crate::foundation::collection::Dictionary;
use crate::foundation::object::{Held, Kind, find};
use crate::foundation::value::Text;
use crate::{OK, Status};

/// A session of any kind.
enum Session {
    Decode(Arc<Decode>),
    Encode(Arc<Encode>),
    Transfer(Arc<Transfer>),
}

impl Session {
    fn of(reference: Ref) -> Result<Self, Status> {
        let held = Held::of(reference).ok_or(status::INVALID_SESSION)?;
        let session = match held.kind() {
            Kind::VTDecompressionSession => held.get().map(Self::Decode),
            Kind::VTCompressionSession => held.get().map(Self::Encode),
            Kind::VTPixelTransferSession => held.get().map(Self::Transfer),
            _ => None,
        };
        let Some(session) = session else {
            breach(&rules::WRONG_TYPE, format!("a {} where a session belongs", held.kind().name()));
            return Err(status::INVALID_SESSION);
        };
        match &session {
            Self::Decode(session) => session.check(),
            Self::Encode(session) => session.check(),
            Self::Transfer(session) => session.check(),
        }?;
        Ok(session)
    }

    fn set(&self, key: &str, value: Option<Held>) -> Status {
        match self {
            Self::Decode(session) => session.set(key, value),
            Self::Encode(session) => session.set(key, value),
            Self::Transfer(session) => session.set(key, value),
        }
    }

    fn copy(&self, key: &str) -> Result<Option<Held>, Status> {
        match self {
            Self::Decode(session) => session.copy(key),
            Self::Encode(session) => session.copy(key),
            Self::Transfer(session) => session.copy(key),
        }
    }

    fn describe(&self) -> Held {
        match self {
            Self::Decode(session) => session.describe(),
            Self::Encode(session) => session.describe(),
            Self::Transfer(session) => session.describe(),
        }
    }
}

exports! {
    /// Sets a property; null takes it away.
    fn VTSessionSetProperty(session: Ref, key: Ref, value: Ref) -> Status = status::PARAMETER; {
        let session = match Session::of(session) {
            Ok(session) => session,
            Err(status) => return status,
        };
        let Some(key) = find::<Text>(key) else { return status::PARAMETER };
        let given = Held::optional(value);
        if given.is_none() && !value.is_null() {
            return status::PARAMETER;
        }
        session.set(&key.0, given)
    }

    /// Sets all properties of a dictionary; the first that fails is answered, and the others are set all the same.
    fn VTSessionSetProperties(session: Ref, properties: Ref) -> Status = status::PARAMETER; {
        let session = match Session::of(session) {
            Ok(session) => session,
            Err(status) => return status,
        };
        let Some(properties) = find::<Dictionary>(properties) else { return status::PARAMETER };
        let answers = properties.entries().into_iter().map(|(key, value)| session.set(&key, Some(value)));
        answers.fold(OK, |first, status| if first == OK { status } else { first })
    }

    /// The value of a property, to be released; null where there is none.
    fn VTSessionCopyProperty(session: Ref, key: Ref, allocator: Ref, out: Out<Ref>) -> Status = status::PARAMETER; {
        let session = match Session::of(session) {
            Ok(session) => session,
            Err(status) => return status,
        };
        let Some(key) = find::<Text>(key) else { return status::PARAMETER };
        if out.is_null() {
            return status::PARAMETER;
        }
        match session.copy(&key.0) {
            Ok(value) => {
                out.put(value.map_or(NULL, Held::give));
                OK
            }
            Err(status) => status,
        }
    }

    /// All properties with what they take, to be released.
    fn VTSessionCopySupportedPropertyDictionary(session: Ref, out: Out<Ref>) -> Status = status::PARAMETER; {
        let session = match Session::of(session) {
            Ok(session) => session,
            Err(status) => return status,
        };
        if out.is_null() {
            return status::PARAMETER;
        }
        out.put(session.describe().give());
        OK
    }
}
