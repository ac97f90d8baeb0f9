//! What comes out of a child, as this library speaks of it: parameter sets in front of every key picture, the type of
//! each picture, and whether the stream is what was asked for.

use bytes::{Bytes, BytesMut};

use crate::bitstream::{AccessUnitAssembler, ActiveParameterSets, StreamInfo, UnitRole};
use crate::codec::Codec;
use crate::color::{ColorPrimaries, ColorRange, MatrixCoefficients, TransferCharacteristics};
use crate::config::CommonEncodeConfig;
use crate::packet::{BitstreamLayout, PictureType};

/// A packet, looked at.
pub(super) struct Unit {
    pub(super) data: Bytes,
    pub(super) keyframe: bool,
    pub(super) picture_type: Option<PictureType>,
}

/// Looks at packets in coding order.
pub(super) struct UnitReader {
    codec: Codec,
    sets: ActiveParameterSets,
    /// Reads the types of pictures; none for codecs without NAL units.
    assembler: Option<AccessUnitAssembler>,
}

impl UnitReader {
    /// `configuration`: what the encoder gave apart from its packets.
    pub(super) fn new(codec: Codec, configuration: &[u8]) -> Self {
        let mut sets = ActiveParameterSets::new(codec);
        sets.observe(configuration);
        Self { codec, sets, assembler: AccessUnitAssembler::new(codec).ok() }
    }

    /// `key`: what the encoder says.
    pub(super) fn read(&mut self, data: Bytes, key: bool) -> Unit {
        let Some(assembler) = &mut self.assembler else {
            let picture_type = key.then_some(PictureType::Idr);
            return Unit { data, keyframe: key, picture_type };
        };
        let role = UnitRole::of(self.codec, &data);
        let keyframe = role == UnitRole::Closed || role == UnitRole::Open && key;
        let missing = if keyframe { self.sets.missing_from(&data) } else { Vec::new() };
        self.sets.observe(&data);
        let data = if missing.is_empty() {
            data
        } else {
            let mut whole = BytesMut::from(missing.as_slice());
            whole.extend_from_slice(&data);
            whole.freeze()
        };
        // A unit that is too large for it has no type.
        let _ = assembler.push(&data);
        assembler.finish();
        let mut picture_type = None;
        while let Some(unit) = assembler.next_unit() {
            picture_type = picture_type.or(unit.picture_type);
        }
        Unit { data, keyframe, picture_type }
    }

    /// Holds the first unit against what was asked for: encoders have been seen to ignore what they cannot signal.
    ///
    /// # Errors
    /// What differs.
    pub(super) fn check(&self, data: &[u8], config: &CommonEncodeConfig) -> Result<(), String> {
        let layout = BitstreamLayout::elementary(self.codec);
        let info = match StreamInfo::from_unit(self.codec, layout, data) {
            Ok(Some(info)) => info,
            Ok(None) => return Err("the stream begins without its headers".to_owned()),
            Err(error) => return Err(format!("the stream's headers cannot be read: {error}")),
        };
        let differs = |what: &str, asked: String, got: String| {
            Err(format!("the stream's {what} is {got}, not {asked} as asked for"))
        };
        if info.dimensions != config.dimensions {
            return differs("size", config.dimensions.to_string(), info.dimensions.to_string());
        }
        let depth = config.format.bit_depth();
        if info.bit_depth() != depth || Some(info.chroma) != config.format.chroma() {
            let got = format!("{} with {} bit", info.chroma, info.bit_depth());
            return differs("format", config.format.to_string(), got);
        }
        let (asked, got) = (config.color, info.color);
        if asked.matrix != MatrixCoefficients::Unspecified && asked.matrix != got.matrix {
            return differs("colour matrix", asked.matrix.to_string(), got.matrix.to_string());
        }
        if asked.primaries != ColorPrimaries::Unspecified && asked.primaries != got.primaries {
            return differs("colour primaries", asked.primaries.to_string(), got.primaries.to_string());
        }
        if asked.transfer != TransferCharacteristics::Unspecified && asked.transfer != got.transfer {
            return differs("transfer", asked.transfer.to_string(), got.transfer.to_string());
        }
        // What is not stated is limited.
        let range = got.range.unwrap_or(ColorRange::Limited);
        if asked.range.is_some_and(|asked| asked != range) {
            return differs("range", format!("{:?}", asked.range), format!("{range:?}"));
        }
        if let Some(asked) = config.sample_aspect_ratio {
            let got = info.sample_aspect_ratio;
            let square = got.is_none() && asked.num() == asked.den();
            if !square && got != Some(asked) {
                let got = got.map_or_else(|| "not stated".to_owned(), |got| got.to_string());
                return differs("sample aspect ratio", asked.to_string(), got);
            }
        }
        Ok(())
    }
}
