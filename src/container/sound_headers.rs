//! Headers of sound codecs, read as far as descriptions of tracks need them.

use crate::bitstream::bits::{BitReader, BitResult};

/// What an `AudioSpecificConfig` (ISO/IEC 14496-3 1.6.2.1) says of the output.
pub(crate) struct AudioSpecificConfig {
    /// The object type of the core, not of an extension to it.
    pub(crate) object_type: u32,
    /// Samples per second of the core.
    pub(crate) core_rate: u32,
    /// Samples per second of the output.
    pub(crate) output_rate: u32,
    /// Channels of the output; `None` where they are listed one by one.
    pub(crate) channels: Option<u16>,
}

/// Sampling frequencies by their index (table 1.18).
pub(crate) const AAC_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350];

/// Object types of the extensions: spectral band replication, and parametric stereo on top of it.
const SBR: u32 = 5;
const PARAMETRIC_STEREO: u32 = 29;

impl AudioSpecificConfig {
    /// `None` for what is cut off or has a reserved rate.
    pub(crate) fn parse(config: &[u8]) -> Option<Self> {
        let mut bits = BitReader::new(config);
        let object_type = audio_object_type(&mut bits).ok()?;
        let core_rate = sampling_frequency(&mut bits)?;
        let channels = match bits.u(4).ok()? {
            0 => None,
            7 | 12 | 14 => Some(8),
            11 => Some(7),
            stated @ 1..=6 => Some(stated as u16),
            _ => None,
        };
        if object_type != SBR && object_type != PARAMETRIC_STEREO {
            return Some(Self { object_type, core_rate, output_rate: core_rate, channels });
        }
        let output_rate = sampling_frequency(&mut bits)?;
        let core = audio_object_type(&mut bits).ok()?;
        let channels = if object_type == PARAMETRIC_STEREO { Some(2) } else { channels };
        Some(Self { object_type: core, core_rate, output_rate, channels })
    }
}

fn audio_object_type(bits: &mut BitReader<'_>) -> BitResult<u32> {
    Ok(match bits.u(5)? {
        31 => 32 + bits.u(6)?,
        short => short,
    })
}

fn sampling_frequency(bits: &mut BitReader<'_>) -> Option<u32> {
    match bits.u(4).ok()? {
        15 => bits.u(24).ok(),
        index => AAC_RATES.get(index as usize).copied(),
    }
}

/// Samples per second by `fscod` of AC-3 and E-AC-3.
const AC3_RATES: [u32; 3] = [48_000, 44_100, 32_000];
/// Channels by `acmod`, without the one for low frequencies.
const AC3_CHANNELS: [u16; 8] = [2, 1, 2, 3, 3, 4, 4, 5];

/// The payload of `dac3` for an AC-3 frame (ETSI TS 102 366 4.3 and F.4), its channels and its rate.
pub(crate) fn ac3_config(frame: &[u8]) -> Option<(Vec<u8>, u16, u32)> {
    let read = || -> BitResult<Option<_>> {
        let mut bits = BitReader::new(frame);
        if bits.u(16)? != 0x0b77 {
            return Ok(None);
        }
        bits.skip(16)?;
        let (fscod, frame_size) = (bits.u(2)?, bits.u(6)?);
        let (bsid, bsmod, acmod) = (bits.u(5)?, bits.u(3)?, bits.u(3)?);
        // Mix levels of the channels that there are.
        if acmod & 1 != 0 && acmod != 1 {
            bits.skip(2)?;
        }
        if acmod & 4 != 0 {
            bits.skip(2)?;
        }
        if acmod == 2 {
            bits.skip(2)?;
        }
        let lfe = bits.u(1)?;
        if bsid > 10 {
            return Ok(None);
        }
        let word = fscod << 22 | bsid << 17 | bsmod << 14 | acmod << 11 | lfe << 10 | (frame_size >> 1) << 5;
        let config = word.to_be_bytes()[1..].to_vec();
        let channels = AC3_CHANNELS.get(acmod as usize).map(|channels| channels + lfe as u16);
        // Streams of half and quarter rate have higher numbers.
        let rate = AC3_RATES.get(fscod as usize).map(|rate| rate >> bsid.saturating_sub(8));
        Ok(channels.zip(rate).map(|(channels, rate)| (config, channels, rate)))
    };
    read().ok().flatten()
}

/// One syncframe of E-AC-3 (ETSI TS 102 366 E.1.2).
struct Eac3Frame {
    dependent: bool,
    substream: u32,
    /// Of the whole frame in bytes.
    len: usize,
    fscod: u32,
    rate: u32,
    blocks: u32,
    acmod: u32,
    lfe: u32,
    bsid: u32,
    /// Of a dependent substream that says which channels it brings.
    channel_map: u32,
}

fn eac3_frame(frame: &[u8]) -> BitResult<Option<Eac3Frame>> {
    let mut bits = BitReader::new(frame);
    if bits.u(16)? != 0x0b77 {
        return Ok(None);
    }
    let (kind, substream, size, fscod) = (bits.u(2)?, bits.u(3)?, bits.u(11)?, bits.u(2)?);
    let code = bits.u(2)?;
    let full = |code: u32| AC3_RATES.get(code as usize).copied();
    let (rate, blocks) = if fscod == 3 { (full(code).map(|rate| rate / 2), 3) } else { (full(fscod), code) };
    let (acmod, lfe, bsid) = (bits.u(3)?, bits.u(1)?, bits.u(5)?);
    let Some(rate) = rate.filter(|_| (11..=16).contains(&bsid)) else { return Ok(None) };
    let dependent = kind == 1;
    let mut channel_map = 0;
    if dependent {
        // Dialogue level and compression, twice where there are two programmes.
        for _ in 0..=u32::from(acmod == 0) {
            bits.skip(5)?;
            if bits.flag()? {
                bits.skip(8)?;
            }
        }
        if bits.flag()? {
            channel_map = bits.u(16)?;
        }
    }
    let blocks = [1, 2, 3, 6].get(blocks as usize).copied().unwrap_or(6);
    let len = (size as usize + 1) * 2;
    Ok(Some(Eac3Frame { dependent, substream, len, fscod, rate, blocks, acmod, lfe, bsid, channel_map }))
}

/// The payload of `dec3` for an access unit of E-AC-3 (ETSI TS 102 366 F.6), its channels and its rate. Further independent
/// substreams, which are programmes of their own, are not described.
pub(crate) fn eac3_config(unit: &[u8]) -> Option<(Vec<u8>, u16, u32)> {
    let first = eac3_frame(unit).ok()??;
    if first.dependent {
        return None;
    }
    let (mut bytes, mut dependents, mut places) = (first.len, 0, 0);
    while let Some(next) = unit.get(bytes..).and_then(|rest| eac3_frame(rest).ok()?) {
        if !next.dependent || next.substream != dependents || dependents == 8 {
            break;
        }
        dependents += 1;
        bytes += next.len;
        // Channels from the sixth of the map on (E.1.3.1.8) are those that only a dependent substream has.
        places |=
            (0..8).filter(|at| next.channel_map >> (10 - at) & 1 != 0).fold(0, |all, at| all | 1_u32 << at);
    }
    let kbps =
        (bytes as u64 * 8 * u64::from(first.rate) / (u64::from(first.blocks) * 256 * 1000)).min(0x1fff);
    let substream =
        first.fscod << 22 | first.bsid << 17 | first.acmod << 9 | first.lfe << 8 | dependents << 1;
    let mut config = ((kbps as u16) << 3).to_be_bytes().to_vec();
    if dependents > 0 {
        // Nine bits of places stand where the reserved one did.
        config.extend((substream << 8 | places).to_be_bytes());
    } else {
        config.extend(&substream.to_be_bytes()[1..]);
    }
    // Pairs of channels, but for the centres and the one for low frequencies.
    let more: u16 = (0..9)
        .filter(|at| places >> at & 1 != 0)
        .map(|at| if [2, 3, 7, 8].contains(&at) { 1 } else { 2 })
        .sum();
    let channels =
        AC3_CHANNELS.get(first.acmod as usize).map(|channels| channels + first.lfe as u16 + more)?;
    Some((config, channels, first.rate))
}
