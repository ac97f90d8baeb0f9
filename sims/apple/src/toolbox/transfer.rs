//! `VTPixelTransferSession`: from one buffer to another of any format and size, sampled nearest.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::properties::Properties;
use super::status;
use crate::core::pointer::Ref;
use crate::core::report::locked;
use crate::core::{Out, breach, exports, fault, rules};
use crate::foundation::object::{Held, Kind, Typed, find};
use crate::video::convert::Picture;
use crate::video::pixels::Pixels;
use crate::{OK, Status};

/// The session.
pub struct Transfer {
    properties: Mutex<Properties>,
    invalidated: AtomicBool,
}

impl Typed for Transfer {
    const KIND: Kind = Kind::VTPixelTransferSession;
}

impl Transfer {
    /// Whether the session can be used.
    pub fn check(&self) -> Result<(), Status> {
        if self.invalidated.load(Ordering::SeqCst) {
            breach(&rules::INVALIDATED, "a pixel transfer session");
            return Err(status::INVALID_SESSION);
        }
        Ok(())
    }

    /// Sets a property.
    pub fn set(&self, key: &str, value: Option<Held>) -> Status {
        locked(&self.properties).set(key, value, false)
    }

    /// A property's value.
    pub fn copy(&self, key: &str) -> Result<Option<Held>, Status> {
        locked(&self.properties).copy(key)
    }

    /// All properties.
    pub fn describe(&self) -> Held {
        locked(&self.properties).describe()
    }
}

exports! {
    /// A session.
    fn VTPixelTransferSessionCreate(allocator: Ref, out: Out<Ref>) -> Status = status::ALLOCATION_FAILED; {
        if out.is_null() {
            return status::PARAMETER;
        }
        let session = Transfer { properties: Mutex::new(Properties::of_transfer()), invalidated: AtomicBool::new(false) };
        out.put(Held::new(session).give());
        OK
    }

    /// Copies the picture, with its attachments.
    fn VTPixelTransferSessionTransferImage(session: Ref, from: Ref, to: Ref) -> Status = status::PARAMETER; {
        let Some(session) = find::<Transfer>(session) else { return status::INVALID_SESSION };
        if let Err(status) = session.check() {
            return status;
        }
        let (Some(from), Some(to)) = (find::<Pixels>(from), find::<Pixels>(to)) else { return status::PARAMETER };
        if let Some(fault::Effect::Refuse(status)) = fault::next(fault::Direction::Transfer) {
            return status;
        }
        Picture::load(&from).store(&to);
        for (key, value) in from.propagated() {
            to.attach(&key, value, 1);
        }
        OK
    }

    /// Ends the session.
    fn VTPixelTransferSessionInvalidate(session: Ref); {
        if let Some(session) = find::<Transfer>(session) {
            session.invalidated.store(true, Ordering::SeqCst);
        }
    }
}
