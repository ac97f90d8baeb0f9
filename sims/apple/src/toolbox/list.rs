//! What the machine has, as clients can ask.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::machine::{Decoder, Encoder};
use super::properties::Properties;
use super::status;
use crate::core::pointer::Ref;
use crate::core::report::locked;
use crate::core::{Out, config, exports};
use crate::foundation::collection::{Array, Dictionary};
use crate::foundation::constants::truth;
use crate::foundation::object::{Held, find_optional};
use crate::foundation::value;
use crate::media::format::H264;
use crate::{OK, Status};

static REGISTERED: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// The machine's decoder of a codec, when it can be used now.
pub fn decoder(codec: u32) -> Option<&'static Decoder> {
    let found = config().profile.decoders.iter().find(|decoder| decoder.codec == codec)?;
    (!found.supplemental || locked(&REGISTERED).contains(&codec)).then_some(found)
}

/// Whether a specification asks for rate control for low latency.
pub fn low_latency(specification: Option<&Dictionary>) -> bool {
    specification.is_some_and(|all| all.truth("EnableLowLatencyRateControl") == Some(true))
}

/// Whether a specification takes no encoder but hardware.
pub fn hardware_alone(specification: Option<&Dictionary>) -> bool {
    specification.is_some_and(|all| all.truth("RequireHardwareAcceleratedVideoEncoder") == Some(true))
}

/// The machine's encoder of a codec that a specification asks for.
pub fn encoder(codec: u32, specification: Option<&Dictionary>) -> Result<&'static Encoder, Status> {
    let said = |key: &str| specification.and_then(|all| all.truth(key));
    let require = hardware_alone(specification);
    let enable = require || said("EnableHardwareAcceleratedVideoEncoder").unwrap_or(true);
    let id = specification.and_then(|all| all.text("EncoderID"));
    let fits = |encoder: &&Encoder| {
        encoder.codec == codec
            && id.as_ref().is_none_or(|id| id == encoder.id)
            && (encoder.hardware || !require)
            && (enable || !encoder.hardware)
    };
    config().profile.encoders.iter().find(fits).ok_or(status::NO_ENCODER)
}

fn describe(encoder: &Encoder) -> Held {
    let codec = if encoder.codec == H264 { "H.264" } else { "HEVC" };
    Dictionary::holding([
        ("CodecType", value::int(encoder.codec.into())),
        ("CodecName", value::text(codec)),
        ("EncoderID", value::text(encoder.id)),
        ("EncoderName", value::text(encoder.name)),
        ("DisplayName", value::text(encoder.name)),
        ("IsHardwareAccelerated", truth(encoder.hardware)),
        ("SupportsFrameReordering", truth(encoder.reorders)),
    ])
}

exports! {
    /// All encoders, to be released.
    fn VTCopyVideoEncoderList(options: Ref, out: Out<Ref>) -> Status = status::PARAMETER; {
        if find_optional::<Dictionary>(options).is_none() || out.is_null() {
            return status::PARAMETER;
        }
        out.put(Array::holding(config().profile.encoders.iter().map(describe)).give());
        OK
    }

    /// The encoder that a session would get, and what it can do; both to be released.
    fn VTCopySupportedPropertyDictionaryForEncoder(width: i32, height: i32, codec: u32, specification: Ref, id: Out<Ref>, properties: Out<Ref>) -> Status = status::PARAMETER; {
        let Some(specification) = find_optional::<Dictionary>(specification) else { return status::PARAMETER };
        match encoder(codec, specification.as_deref()) {
            Ok(encoder) => {
                if !id.is_null() {
                    id.put(value::text(encoder.id).give());
                }
                if !properties.is_null() {
                    let low_latency = low_latency(specification.as_deref());
                    properties.put(Properties::of_encoder(encoder, low_latency).describe().give());
                }
                OK
            }
            Err(status) => status,
        }
    }

    /// Whether there is hardware for a codec (and for a supplemental one, whether it was registered).
    fn VTIsHardwareDecodeSupported(codec: u32) -> u8 = 0; { decoder(codec).map_or(0, |decoder| u8::from(decoder.hardware)) }

    /// Makes a supplemental decoder usable, where there is one.
    fn VTRegisterSupplementalVideoDecoderIfAvailable(codec: u32); {
        locked(&REGISTERED).insert(codec);
    }
}
