//! HDR10: what a stream states once of the display it was graded on (SMPTE ST 2086) and of its brightest light
//! (CTA-861.3), in the numbers that H.264 and HEVC carry.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// 1.0, in the steps of [`Chromaticity`].
const ONE: u16 = 50_000;

/// A chromaticity (CIE 1931 x and y) in steps of 0.00002: 0 to 50000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Chromaticity {
    /// x.
    pub x: u16,
    /// y.
    pub y: u16,
}

/// The display that the content was graded on.
///
/// As text it is written the way x265 takes it, green first: `G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MasteringDisplay {
    /// Red primary.
    pub red: Chromaticity,
    /// Green primary.
    pub green: Chromaticity,
    /// Blue primary.
    pub blue: Chromaticity,
    /// White point.
    pub white: Chromaticity,
    /// Brightest, in steps of 0.0001 candela per square metre.
    pub max_luminance: u32,
    /// Darkest, in the same steps; below the brightest.
    pub min_luminance: u32,
}

/// The light of the content, in candela per square metre; 0: not known. As text `maxcll,maxfall`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ContentLight {
    /// Of the brightest pixel of all.
    pub max_cll: u16,
    /// Of the brightest frame, on average over its pixels.
    pub max_fall: u16,
}

/// What a stream states once of its light.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HdrMetadata {
    /// The display that the content was graded on.
    pub mastering_display: Option<MasteringDisplay>,
    /// The light of the content.
    pub content_light: Option<ContentLight>,
}

impl HdrMetadata {
    /// Whether nothing is stated.
    pub const fn is_empty(&self) -> bool {
        self.mastering_display.is_none() && self.content_light.is_none()
    }

    /// Whether everything is stated.
    pub const fn is_whole(&self) -> bool {
        self.mastering_display.is_some() && self.content_light.is_some()
    }

    /// What is stated here, the rest as stated there.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            mastering_display: self.mastering_display.or(other.mastering_display),
            content_light: self.content_light.or(other.content_light),
        }
    }
}

impl MasteringDisplay {
    /// Payload type of the message in H.264 and HEVC: mastering display colour volume.
    pub const SEI: u32 = 137;

    /// Whether the numbers can be: chromaticities up to 1, and the darkest below the brightest.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with what cannot be.
    pub fn check(&self) -> Result<()> {
        for (name, point) in [("G", self.green), ("B", self.blue), ("R", self.red), ("WP", self.white)] {
            if point.x > ONE || point.y > ONE {
                return Err(Error::invalid(format!(
                    "mastering display: {name}({},{}) is beyond {ONE}, which is 1.0",
                    point.x, point.y
                )));
            }
        }
        if self.min_luminance >= self.max_luminance {
            return Err(Error::invalid(format!(
                "mastering display: L({},{}) must have the brightest first, above the darkest",
                self.max_luminance, self.min_luminance
            )));
        }
        Ok(())
    }

    /// The message of H.264 and HEVC (D.2.29 and D.2.28 there): green, blue, red, white, brightest, darkest.
    pub fn sei_payload(&self) -> Vec<u8> {
        let points = [self.green, self.blue, self.red, self.white];
        let mut out: Vec<u8> = points.iter().flat_map(|p| [p.x, p.y]).flat_map(u16::to_be_bytes).collect();
        out.extend(self.max_luminance.to_be_bytes());
        out.extend(self.min_luminance.to_be_bytes());
        out
    }

    /// Reads the message of H.264 and HEVC, which is also the payload of the `mdcv` box of MP4; `None` for numbers that cannot
    /// be.
    pub fn from_sei_payload(payload: &[u8; 24]) -> Option<Self> {
        let ([green, blue, red, white], max_luminance, min_luminance) = numbers(payload);
        let display = Self { red, green, blue, white, max_luminance, min_luminance };
        display.check().is_ok().then_some(display)
    }

    /// Reads the body of AV1's `metadata_hdr_mdcv`; `None` for numbers that cannot be.
    pub fn from_av1_payload(payload: &[u8; 24]) -> Option<Self> {
        let scaled = |value: u32, from: u64, to: u64| {
            u32::try_from((u64::from(value) * to + from / 2) / from).unwrap_or(u32::MAX)
        };
        let step =
            |value| u16::try_from(scaled(u32::from(value), 1 << 16, u64::from(ONE))).unwrap_or(u16::MAX);
        let (points, max, min) = numbers(payload);
        let [red, green, blue, white] = points.map(|p| Chromaticity { x: step(p.x), y: step(p.y) });
        let (max_luminance, min_luminance) = (scaled(max, 1 << 8, 10_000), scaled(min, 1 << 14, 10_000));
        let display = Self { red, green, blue, white, max_luminance, min_luminance };
        display.check().is_ok().then_some(display)
    }

    /// The body of AV1's `metadata_hdr_mdcv`: red, green, blue, white as fractions of 65536, the brightest in steps of
    /// 1/256, the darkest in steps of 1/16384.
    pub fn av1_payload(&self) -> Vec<u8> {
        let scaled = |value: u32, from: u64, to: u64| {
            let rounded = (u64::from(value) * to + from / 2) / from;
            u32::try_from(rounded).unwrap_or(u32::MAX)
        };
        let fraction = |value: u16| {
            let scaled = scaled(u32::from(value), u64::from(ONE), 1 << 16);
            u16::try_from(scaled).unwrap_or(u16::MAX)
        };
        let points = [self.red, self.green, self.blue, self.white];
        let coordinates = points.iter().flat_map(|p| [p.x, p.y]).map(fraction);
        let mut out: Vec<u8> = coordinates.flat_map(u16::to_be_bytes).collect();
        out.extend(scaled(self.max_luminance, 10_000, 1 << 8).to_be_bytes());
        out.extend(scaled(self.min_luminance, 10_000, 1 << 14).to_be_bytes());
        out
    }
}

impl ContentLight {
    /// Payload type of the message in H.264 and HEVC: content light level information.
    pub const SEI: u32 = 144;

    /// The message of H.264 and HEVC; the body of AV1's `metadata_hdr_cll` is the same.
    pub fn sei_payload(&self) -> Vec<u8> {
        [self.max_cll, self.max_fall].into_iter().flat_map(u16::to_be_bytes).collect()
    }

    /// Reads that message, which is also the payload of the `clli` box of MP4.
    pub const fn from_sei_payload(&[a, b, c, d]: &[u8; 4]) -> Self {
        Self { max_cll: u16::from_be_bytes([a, b]), max_fall: u16::from_be_bytes([c, d]) }
    }
}

/// The four chromaticities and two luminances of a message, in the order in which they stand.
fn numbers(payload: &[u8; 24]) -> ([Chromaticity; 4], u32, u32) {
    let (pairs, _) = payload.as_chunks::<2>();
    let mut halves = pairs.iter().map(|pair| u16::from_be_bytes(*pair));
    let mut half = || halves.next().unwrap_or_default();
    let points = std::array::from_fn(|_| Chromaticity { x: half(), y: half() });
    let mut word = || u32::from(half()) << 16 | u32::from(half());
    (points, word(), word())
}

impl fmt::Display for MasteringDisplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, point) in [("G", self.green), ("B", self.blue), ("R", self.red), ("WP", self.white)] {
            write!(f, "{name}({},{})", point.x, point.y)?;
        }
        write!(f, "L({},{})", self.max_luminance, self.min_luminance)
    }
}

impl fmt::Display for ContentLight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.max_cll, self.max_fall)
    }
}

/// Takes `NAME(a,b)` off the front of a text.
fn pair<T: FromStr>(text: &mut &str, name: &str) -> Option<(T, T)> {
    let (inside, rest) = text.strip_prefix(name)?.strip_prefix('(')?.split_once(')')?;
    let (a, b) = inside.split_once(',')?;
    *text = rest;
    number(a).zip(number(b))
}

/// A number of digits alone: a sign or a space is a mistake.
fn number<T: FromStr>(text: &str) -> Option<T> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

impl FromStr for MasteringDisplay {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut rest = text;
        let mut point = |name| pair(&mut rest, name).map(|(x, y)| Chromaticity { x, y });
        let points = (point("G"), point("B"), point("R"), point("WP"));
        let light = pair(&mut rest, "L");
        if let (Some(green), Some(blue), Some(red), Some(white)) = points
            && let Some((max_luminance, min_luminance)) = light
            && rest.is_empty()
        {
            let display = Self { red, green, blue, white, max_luminance, min_luminance };
            display.check()?;
            return Ok(display);
        }
        let shown: String = text.chars().take(80).collect();
        Err(Error::invalid(format!(
            "{shown:?} is not a mastering display; write G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min), chromaticities in steps of 0.00002 (0 to {ONE}), light in steps of 0.0001 cd/m2"
        )))
    }
}

impl FromStr for ContentLight {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once(',').and_then(|(cll, fall)| number(cll).zip(number(fall)));
        if let Some((max_cll, max_fall)) = numbers {
            return Ok(Self { max_cll, max_fall });
        }
        let shown: String = text.chars().take(80).collect();
        Err(Error::invalid(format!(
            "{shown:?} is not a content light level; write maxcll,maxfall in cd/m2, each 0 to 65535"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P3: &str = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)";

    #[test]
    fn the_usual_notation_goes_there_and_back() {
        let display: MasteringDisplay = P3.parse().unwrap();
        assert_eq!(display.green, Chromaticity { x: 13_250, y: 34_500 });
        assert_eq!((display.max_luminance, display.min_luminance), (10_000_000, 50));
        assert_eq!(display.to_string(), P3);
        let light: ContentLight = "1000,400".parse().unwrap();
        assert_eq!((light.max_cll, light.max_fall, light.to_string()), (1000, 400, "1000,400".to_owned()));
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        for (text, word) in [
            ("", "G(x,y)"),
            ("G(1,2)", "WP(x,y)"),
            ("G(1,2)B(3,4)R(5,6)WP(7,8)L(9,1) ", "L(max,min)"),
            ("R(1,2)B(3,4)G(5,6)WP(7,8)L(9,1)", "G(x,y)"),
            ("G(+1,2)B(3,4)R(5,6)WP(7,8)L(9,1)", "G(x,y)"),
            ("G(65536,2)B(3,4)R(5,6)WP(7,8)L(9,1)", "G(x,y)"),
            ("G(1,2)B(3,4)R(50001,6)WP(7,8)L(9,1)", "R(50001,6)"),
            ("G(1,2)B(3,4)R(5,6)WP(7,8)L(1,1)", "brightest first"),
        ] {
            let error = text.parse::<MasteringDisplay>().unwrap_err().to_string();
            assert!(error.contains(word), "{text:?}: {error}");
        }
        for text in ["", "1000", "1000,", "1000,400,", "65536,1", "-1,2", "1, 2"] {
            assert!(text.parse::<ContentLight>().unwrap_err().to_string().contains("maxcll"), "{text:?}");
        }
    }

    #[test]
    fn payloads_are_those_of_the_standards() {
        let display: MasteringDisplay = P3.parse().unwrap();
        let sei = display.sei_payload();
        assert_eq!(sei.len(), 24);
        assert_eq!(sei[..4], [0x33, 0xc2, 0x86, 0xc4], "green first");
        assert_eq!(sei[16..], [0x00, 0x98, 0x96, 0x80, 0, 0, 0, 50]);
        let av1 = display.av1_payload();
        assert_eq!(av1[..4], [0xae, 0x14, 0x51, 0xec], "red first: 0.68 and 0.32 of 65536");
        assert_eq!(av1[16..], [0x00, 0x03, 0xe8, 0x00, 0, 0, 0, 82], "1000 and 0.005");
        assert_eq!(ContentLight { max_cll: 1000, max_fall: 400 }.sei_payload(), [3, 0xe8, 1, 0x90]);
    }

    #[test]
    fn payloads_are_read_as_they_are_written() {
        let display: MasteringDisplay = P3.parse().unwrap();
        let sei = display.sei_payload().try_into().unwrap();
        assert_eq!(MasteringDisplay::from_sei_payload(&sei), Some(display));
        // AV1's steps are others; the numbers come back all the same.
        let av1 = display.av1_payload().try_into().unwrap();
        assert_eq!(MasteringDisplay::from_av1_payload(&av1), Some(display));
        let light = ContentLight { max_cll: 1000, max_fall: 400 };
        assert_eq!(ContentLight::from_sei_payload(&light.sei_payload().try_into().unwrap()), light);
        // No light at all, and chromaticities above 1, which AV1 cannot write.
        assert_eq!(MasteringDisplay::from_sei_payload(&[0; 24]), None);
        assert_eq!(MasteringDisplay::from_sei_payload(&[0xff; 24]), None);
        assert_eq!(MasteringDisplay::from_av1_payload(&[0; 24]), None);
        let most = MasteringDisplay::from_av1_payload(&[0xff; 24]).unwrap();
        assert_eq!((most.red.x, most.max_luminance), (49_999, u32::MAX), "as near as our steps come");
    }
}
