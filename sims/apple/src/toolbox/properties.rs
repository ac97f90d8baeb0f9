//! Properties of sessions: which there are, of which type, and what may be done with them.

use std::collections::BTreeMap;

use super::machine::Encoder;
use super::status;
use crate::core::{breach, rules};
use crate::foundation::collection::{Array, Dictionary};
use crate::foundation::constants::truth;
use crate::foundation::object::{Held, Kind};
use crate::foundation::value::{self, Number, Text};
use crate::media::format::{H264, fourcc};
use crate::{OK, Status};

/// What a property takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    /// `CFBoolean`
    Boolean,
    /// `CFNumber` between these.
    Number(f64, f64),
    /// `CFString`, one of these where there are any.
    Text(Vec<&'static str>),
    /// Another kind of object.
    Object(Kind),
}

/// One property.
#[derive(Debug, Clone)]
pub struct Property {
    kind: Type,
    writable: bool,
    /// Shapes the stream, and so cannot change any more after the first frame.
    early: bool,
}

/// The properties of a session.
#[derive(Debug, Default)]
pub struct Properties {
    known: BTreeMap<&'static str, Property>,
    values: BTreeMap<&'static str, Held>,
}

const ANY: Type = Type::Number(0.0, f64::MAX);

/// Profile levels of H.264, as the constants are called.
const H264_LEVELS: &[&str] = &[
    "H264_Baseline_1_3",
    "H264_Baseline_3_0",
    "H264_Baseline_3_1",
    "H264_Baseline_3_2",
    "H264_Baseline_4_0",
    "H264_Baseline_4_1",
    "H264_Baseline_4_2",
    "H264_Baseline_5_0",
    "H264_Baseline_5_1",
    "H264_Baseline_5_2",
    "H264_Baseline_AutoLevel",
    "H264_ConstrainedBaseline_AutoLevel",
    "H264_Main_3_0",
    "H264_Main_3_1",
    "H264_Main_3_2",
    "H264_Main_4_0",
    "H264_Main_4_1",
    "H264_Main_4_2",
    "H264_Main_5_0",
    "H264_Main_5_1",
    "H264_Main_5_2",
    "H264_Main_AutoLevel",
    "H264_High_3_0",
    "H264_High_3_1",
    "H264_High_3_2",
    "H264_High_4_0",
    "H264_High_4_1",
    "H264_High_4_2",
    "H264_High_5_0",
    "H264_High_5_1",
    "H264_High_5_2",
    "H264_High_AutoLevel",
    "H264_ConstrainedHigh_AutoLevel",
];

impl Properties {
    fn add(&mut self, key: &'static str, kind: Type, writable: bool, early: bool) {
        self.known.insert(key, Property { kind, writable, early });
    }

    /// Those of a decoder session.
    pub fn of_decoder(hardware: bool) -> Self {
        let mut all = Self::default();
        for key in ["RealTime", "MaximizePowerEfficiency", "PropagatePerFrameHDRDisplayMetadata"] {
            all.add(key, Type::Boolean, true, false);
        }
        all.add("ThreadCount", ANY, true, false);
        for key in [
            "UsingHardwareAcceleratedVideoDecoder",
            "PixelBufferPoolIsShared",
            "ContentHasInterframeDependencies",
        ] {
            all.add(key, Type::Boolean, false, false);
        }
        all.add("NumberOfFramesBeingDecoded", ANY, false, false);
        all.add("PixelBufferPool", Type::Object(Kind::CVPixelBufferPool), false, false);
        all.put("UsingHardwareAcceleratedVideoDecoder", truth(hardware));
        all.put("PixelBufferPoolIsShared", truth(false));
        all.put("ContentHasInterframeDependencies", truth(true));
        all
    }

    /// Those of an encoder session.
    pub fn of_encoder(encoder: &Encoder, low_latency: bool) -> Self {
        let mut all = Self::default();
        let h264 = encoder.codec == H264;
        for key in ["RealTime", "MaximizePowerEfficiency"] {
            all.add(key, Type::Boolean, true, false);
        }
        for key in ["AllowTemporalCompression", "AllowOpenGOP"] {
            all.add(key, Type::Boolean, true, true);
            all.put(key, truth(true));
        }
        if encoder.reorders {
            all.add("AllowFrameReordering", Type::Boolean, true, true);
            all.put("AllowFrameReordering", truth(true));
        }
        for key in [
            "AverageBitRate",
            "ExpectedFrameRate",
            "ExpectedDuration",
            "MaxKeyFrameInterval",
            "MaxKeyFrameIntervalDuration",
            "SourceFrameCount",
        ] {
            all.add(key, ANY, true, false);
        }
        for key in ["AverageBitRate", "MaxKeyFrameInterval", "MaxKeyFrameIntervalDuration"] {
            all.put(key, value::int(0));
        }
        all.add("MaxFrameDelayCount", Type::Number(-1.0, f64::MAX), true, true);
        all.add("Quality", Type::Number(0.0, 1.0), true, false);
        for key in ["MinAllowedFrameQP", "MaxAllowedFrameQP"] {
            all.add(key, Type::Number(0.0, 51.0), true, true);
        }
        all.add("DataRateLimits", Type::Object(Kind::CFArray), true, false);
        if encoder.hardware {
            all.add("PrioritizeEncodingSpeedOverQuality", Type::Boolean, true, true);
        }
        if encoder.id.contains(".ave.") && !low_latency {
            all.add("ConstantBitRate", ANY, true, false);
        }
        let levels = match (h264, encoder.depth) {
            // Rate control for low latency is had with the high profiles alone.
            (true, _) if low_latency => {
                H264_LEVELS.iter().copied().filter(|level| level.contains("High")).collect()
            }
            (true, _) => H264_LEVELS.to_vec(),
            (_, 8) => vec!["HEVC_Main_AutoLevel"],
            _ => vec!["HEVC_Main_AutoLevel", "HEVC_Main10_AutoLevel"],
        };
        all.add("ProfileLevel", Type::Text(levels), true, true);
        if h264 {
            all.add("H264EntropyMode", Type::Text(vec!["CAVLC", "CABAC"]), true, true);
            all.add("MaxH264SliceBytes", ANY, true, true);
        } else {
            all.add("HDRMetadataInsertionMode", Type::Text(vec!["None", "Auto"]), true, true);
            for key in ["MasteringDisplayColorVolume", "ContentLightLevelInfo"] {
                all.add(key, Type::Object(Kind::CFData), true, true);
            }
        }
        for key in ["ColorPrimaries", "TransferFunction", "YCbCrMatrix"] {
            all.add(key, Type::Text(Vec::new()), true, true);
        }
        for key in ["PixelAspectRatio", "CleanAperture"] {
            all.add(key, Type::Object(Kind::CFDictionary), true, true);
        }
        for key in ["UsingHardwareAcceleratedVideoEncoder", "PixelBufferPoolIsShared"] {
            all.add(key, Type::Boolean, false, false);
        }
        all.add("NumberOfPendingFrames", ANY, false, false);
        all.add("EncoderID", Type::Text(Vec::new()), false, false);
        all.add("VideoEncoderPixelBufferAttributes", Type::Object(Kind::CFDictionary), false, false);
        all.put("UsingHardwareAcceleratedVideoEncoder", truth(encoder.hardware));
        all.put("PixelBufferPoolIsShared", truth(false));
        all.put("EncoderID", value::text(encoder.id));
        all
    }

    /// Those of a session that only converts.
    pub fn of_transfer() -> Self {
        let mut all = Self::default();
        all.add("RealTime", Type::Boolean, true, false);
        all.add("ScalingMode", Type::Text(vec!["Normal"]), true, false);
        all
    }

    /// Sets a value of the simulation's own.
    pub fn put(&mut self, key: &'static str, value: Held) {
        self.values.insert(key, value);
    }

    /// Sets a value for the client; none takes it away. `begun`: there was a frame.
    pub fn set(&mut self, key: &str, value: Option<Held>, begun: bool) -> Status {
        let Some((key, property)) = self.known.get_key_value(key) else {
            return status::PROPERTY_NOT_SUPPORTED;
        };
        if !property.writable {
            return status::PROPERTY_READ_ONLY;
        }
        if begun && property.early {
            breach(&rules::PROPERTY_LATE, *key);
            return status::PARAMETER;
        }
        let Some(value) = value else {
            self.values.remove(key);
            return OK;
        };
        if let Err(text) = property.check(&value) {
            if let Some(text) = text {
                breach(&rules::WRONG_TYPE, format!("{key}: {text}"));
            }
            return status::PARAMETER;
        }
        self.values.insert(key, value);
        OK
    }

    /// The value, if there is one; an error where there is no such property.
    pub fn copy(&self, key: &str) -> Result<Option<Held>, Status> {
        if self.known.contains_key(key) {
            Ok(self.values.get(key).cloned())
        } else {
            Err(status::PROPERTY_NOT_SUPPORTED)
        }
    }

    /// A value that is a number.
    pub fn number(&self, key: &str) -> Option<Number> {
        self.values.get(key)?.get::<Number>().map(|number| *number)
    }

    /// A value that is a boolean.
    pub fn truth(&self, key: &str) -> Option<bool> {
        self.values.get(key)?.get::<value::Truth>().map(|truth| truth.0)
    }

    /// A value that is a string.
    pub fn text(&self, key: &str) -> Option<String> {
        self.values.get(key)?.get::<Text>().map(|text| text.0.clone())
    }

    /// A value.
    pub fn value(&self, key: &str) -> Option<Held> {
        self.values.get(key).cloned()
    }

    /// The values of properties that clients can set, as text.
    pub fn told(&self) -> serde_json::Map<String, serde_json::Value> {
        let writable = |key: &str| self.known.get(key).is_some_and(|property| property.writable);
        let values = self.values.iter().filter(|(key, _)| writable(key));
        values.map(|(key, value)| ((*key).to_owned(), words(value).into())).collect()
    }

    /// The dictionary of all properties with what they take.
    pub fn describe(&self) -> Held {
        Dictionary::holding(self.known.iter().map(|(key, property)| (*key, property.describe())))
    }
}

impl Property {
    /// Whether a value is one that it takes; the text says where it is of another type.
    fn check(&self, value: &Held) -> Result<(), Option<String>> {
        let wrong =
            |wanted: Kind| Err(Some(format!("a {} where a {} belongs", value.kind().name(), wanted.name())));
        match &self.kind {
            Type::Boolean if value.kind() != Kind::CFBoolean => wrong(Kind::CFBoolean),
            Type::Boolean => Ok(()),
            Type::Number(low, high) => match value.get::<Number>() {
                None => wrong(Kind::CFNumber),
                Some(number) if (*low..=*high).contains(&number.float()) => Ok(()),
                Some(_) => Err(None),
            },
            Type::Text(list) => match value.get::<Text>() {
                None => wrong(Kind::CFString),
                Some(text) if list.is_empty() || list.contains(&text.0.as_str()) => Ok(()),
                Some(_) => Err(None),
            },
            Type::Object(kind) if value.kind() != *kind => wrong(*kind),
            Type::Object(_) => Ok(()),
        }
    }

    fn describe(&self) -> Held {
        let mut all = vec![
            ("ReadWriteStatus", value::text(if self.writable { "ReadWrite" } else { "ReadOnly" })),
            ("ShouldBeSerialized", truth(self.writable)),
        ];
        match &self.kind {
            Type::Boolean => all.push(("PropertyType", value::text("Boolean"))),
            Type::Number(low, high) => {
                all.push(("PropertyType", value::text("Number")));
                if *high < f64::MAX {
                    all.push(("SupportedValueMinimum", Held::new(Number::Float(*low))));
                    all.push(("SupportedValueMaximum", Held::new(Number::Float(*high))));
                }
            }
            Type::Text(list) if !list.is_empty() => {
                all.push(("PropertyType", value::text("Enumeration")));
                all.push(("SupportedValueList", Array::holding(list.iter().map(|name| value::text(name)))));
            }
            _ => {}
        }
        Dictionary::holding(all)
    }
}

fn words(value: &Held) -> String {
    if let Some(number) = value.get::<Number>() {
        return match *number {
            Number::Int(value) => value.to_string(),
            Number::Float(value) => value.to_string(),
        };
    }
    if let Some(list) = value.get::<Array>() {
        return list.objects().iter().map(words).collect::<Vec<_>>().join(" ");
    }
    if let Some(data) = value.get::<value::Data>() {
        return data.0.iter().map(|byte| format!("{byte:02x}")).collect();
    }
    let truth = value.get::<value::Truth>().map(|truth| truth.0.to_string());
    let text = value.get::<Text>().map(|text| text.0.clone());
    truth.or(text).unwrap_or_else(|| value.kind().name().to_owned())
}

/// What the report says of any session.
pub fn figures(kind: &str, codec: u32, hardware: bool) -> serde_json::Map<String, serde_json::Value> {
    let mut all = serde_json::Map::new();
    all.insert("kind".into(), kind.into());
    all.insert("codec".into(), fourcc(codec).into());
    all.insert("hardware".into(), hardware.into());
    all
}
