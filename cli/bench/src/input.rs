//! What is worked on: a file that was given, or a clip that is made once, in every form that a case needs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};
use serde_json::Value;
use video_hw::codec::Codec;
use video_hw::dimensions::Dimensions;
use video_hw::time::Rational;
use video_hw_terminal::{
    cancel::Interrupts,
    parse::{self, is_headerless},
};

use super::args::{BenchArgs, RawFormat};
use super::child::{self, Limits, Program};
use super::record::Input;

/// Frames of a clip that is made, and of a given one that is made raw: raw pictures take much room.
const MADE_SECONDS: f64 = 4.0;
const MOST_RAW_FRAMES: u64 = 300;
/// Bits of a sample and picture.
const BITS: f64 = 0.1;

/// A file to work on.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) input: Input,
    pub(crate) codec: Option<Codec>,
    pub(crate) rate: Rational,
    /// The file has more frames than are asked for.
    pub(crate) cut: bool,
}

impl Source {
    /// The size as programs write it.
    pub(crate) fn size(&self) -> String {
        format!("{}x{}", self.input.width, self.input.height)
    }

    /// A bit rate that suits it.
    pub(crate) fn bit_rate(&self) -> u32 {
        let samples = f64::from(self.input.width) * f64::from(self.input.height) * self.rate.as_f64();
        // Whole steps look like somebody's choice in a command line, and all programs take them.
        ((samples * BITS / 100_000.0).round() * 100_000.0).clamp(100_000.0, 200_000_000.0) as u32
    }

    /// The number of frames to stop after, where the file has more.
    pub(crate) fn limit(&self) -> Option<String> {
        self.cut.then(|| self.input.frames.to_string())
    }
}

/// Makes inputs as they are asked for, each once. What cannot be made is a reason in words.
pub(crate) struct Inputs<'a> {
    pub(crate) args: &'a BenchArgs,
    pub(crate) given: Option<PathBuf>,
    pub(crate) own: PathBuf,
    pub(crate) ffmpeg: Option<PathBuf>,
    pub(crate) dir: PathBuf,
    pub(crate) limits: Limits<'a>,
    raw: Option<Result<Source, String>>,
    coded: BTreeMap<&'static str, Result<Source, String>>,
    probed: Option<Result<Source, String>>,
}

impl<'a> Inputs<'a> {
    pub(crate) fn new(
        args: &'a BenchArgs,
        given: Option<PathBuf>,
        own: &Path,
        ffmpeg: Option<PathBuf>,
        dir: &Path,
        limits: Limits<'a>,
    ) -> Self {
        let (own, dir) = (own.to_owned(), dir.to_owned());
        Self { args, given, own, ffmpeg, dir, limits, raw: None, coded: BTreeMap::new(), probed: None }
    }

    /// The file that was given, where it is not headerless; `None` without one.
    pub(crate) fn given(&mut self) -> Option<Result<Source, String>> {
        let path = self.given.clone()?;
        if is_headerless(&path, self.args.size.is_some()) {
            return None;
        }
        let probed = self.probed.take().unwrap_or_else(|| self.probe(&path));
        self.probed = Some(probed.clone());
        Some(probed)
    }

    /// Raw pictures.
    pub(crate) fn raw(&mut self) -> Result<Source, String> {
        let made = match self.raw.take() {
            Some(made) => made,
            None => self.make_raw(),
        };
        self.raw = Some(made.clone());
        made
    }

    /// A file of this codec.
    pub(crate) fn coded(&mut self, codec: Codec) -> Result<Source, String> {
        if let Some(given) = self.given() {
            let given = given?;
            if given.codec == Some(codec) {
                return Ok(given);
            }
        }
        let made = match self.coded.remove(codec.name()) {
            Some(made) => made,
            None => self.encode(codec),
        };
        self.coded.insert(codec.name(), made.clone());
        made
    }

    fn own(&self) -> Program {
        Program::new(&self.own, &self.args.env)
    }

    fn done(&self, program: &Program, what: &str) -> Result<Vec<u8>, String> {
        let finished = child::run(program, &self.limits).map_err(|error| format!("{what}: {error}"))?;
        if finished.success() { Ok(finished.stdout) } else { Err(format!("{what}: {}", finished.failure())) }
    }

    /// Frames to work on, of a file that has `there`.
    fn wanted(&self, rate: Rational, there: Option<u64>) -> Option<u64> {
        let seconds =
            self.args.seconds.map(|time| (time.as_secs_f64() * rate.as_f64()).round().max(1.0) as u64);
        match (self.args.frames.or(seconds), there) {
            (Some(asked), Some(there)) => Some(asked.min(there)),
            (asked, there) => asked.or(there),
        }
    }

    fn probe(&self, path: &Path) -> Result<Source, String> {
        let what = format!("{} cannot be probed", name(path));
        let said = self.done(&self.own().arg("probe").arg(path).arg("--json"), &what)?;
        let said: Value = serde_json::from_slice(&said).map_err(|error| format!("{what}: {error}"))?;
        let tracks = said["tracks"].as_array().map(Vec::as_slice).unwrap_or_default();
        // Uncompressed pictures have no track; what is known of them is that of the picture.
        let uncompressed = (said["decode"]["uncompressed"] == true).then_some(&said["picture"]);
        let video = tracks.iter().find(|track| track["kind"] == "video").or(uncompressed);
        let video = video.ok_or(format!("{what}: no video in it"))?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let size: Option<Dimensions> =
            text(&said["picture"]["size"]).or(text(&video["size"])).and_then(|size| size.parse().ok());
        let size = size.ok_or(format!("{what}: no picture size"))?;
        let codec = text(&video["codec"]).and_then(|codec| codec.parse().ok());
        let rate = text(&video["frame_rate"]).and_then(|rate| parse::frame_rate(&rate).ok());
        let rate = rate.or(self.args.fps).or(Rational::new(30, 1)).ok_or(what)?;
        // Samples need not all be shown (edit lists, hidden pictures): what a container says is its samples.
        let there = match video["samples"].as_u64() {
            Some(samples) if codec.is_none() => samples,
            _ => self.count(path)?,
        };
        let frames = self.wanted(rate, Some(there)).unwrap_or(there);
        let input = Input {
            name: name(path),
            width: size.width(),
            height: size.height(),
            frames,
            pixel_format: text(&video["pix_fmt"]),
            ..of_file(path, self.limits.interrupts)?
        };
        Ok(Source { path: path.to_owned(), input, codec, rate, cut: frames < there })
    }

    /// Frames of a file as they are shown: every one is decoded once.
    fn count(&self, path: &Path) -> Result<u64, String> {
        let what = format!("the frames of {} cannot be counted", name(path));
        let counting =
            self.own().arg("decode").arg(path).args(["--null", "--metadata-only", "--json", "--quiet"]);
        let said: Value =
            serde_json::from_slice(&self.done(&counting, &what)?).map_err(|e| format!("{what}: {e}"))?;
        said["frames_out"].as_u64().ok_or(what)
    }

    fn make_raw(&mut self) -> Result<Source, String> {
        let format = self.args.pix_fmt;
        if let Some(path) = self.given.clone().filter(|path| is_headerless(path, self.args.size.is_some())) {
            return self.headerless(&path, format);
        }
        let path = self.dir.join(format!("raw-{}.yuv", format.name()));
        let (how, size, rate, wanted) = match self.given() {
            Some(given) => {
                let given = given?;
                // What is asked for is known from the probe, and is made whatever room it takes.
                let asked = self.args.frames.is_some() || self.args.seconds.is_some();
                let wanted = given.input.frames.min(if asked { u64::MAX } else { MOST_RAW_FRAMES });
                let decoding = self.own().arg("decode").arg(&given.path).arg(&path).args([
                    "--pix-fmt",
                    format.name(),
                    "--frames",
                    &wanted.to_string(),
                    "--overwrite",
                    "--quiet",
                ]);
                self.done(&decoding, &format!("{} cannot be made raw", given.input.name))?;
                let size = (given.input.width, given.input.height);
                (format!("raw pictures of {}", given.input.name), size, given.rate, wanted)
            }
            None => self.make(&path, format)?,
        };
        let known = of_file(&path, self.limits.interrupts)?;
        let frames = known.bytes / frame_bytes(size, format).max(1);
        if frames == 0 || frames > wanted {
            return Err(format!("{how}: {frames} frames instead of {wanted}"));
        }
        let pixel_format = Some(format.name().to_owned());
        let input = Input { name: how, width: size.0, height: size.1, frames, pixel_format, ..known };
        Ok(Source { path, input, codec: None, rate, cut: false })
    }

    /// A headerless file as it is.
    fn headerless(&self, path: &Path, format: RawFormat) -> Result<Source, String> {
        let size = self
            .args
            .size
            .ok_or(format!("{} is headerless; state its --size, --pix-fmt and --fps", name(path)))?;
        let rate = self.args.fps.or(Rational::new(30, 1)).ok_or("no frame rate")?;
        let (width, height) = (size.width(), size.height());
        let known = of_file(path, self.limits.interrupts)?;
        let there = known.bytes / frame_bytes((width, height), format).max(1);
        let frames = self.wanted(rate, Some(there)).unwrap_or(there);
        if frames == 0 {
            return Err(format!("{} holds no whole frame of {size} {}", name(path), format.name()));
        }
        let pixel_format = Some(format.name().to_owned());
        let input = Input { name: name(path), width, height, frames, pixel_format, ..known };
        Ok(Source { path: path.to_owned(), input, codec: None, rate, cut: frames < there })
    }

    /// A clip from nothing.
    fn make(&self, path: &Path, format: RawFormat) -> Result<(String, (u32, u32), Rational, u64), String> {
        let size = self.args.size.map_or((1280, 720), |size| (size.width(), size.height()));
        if !size.0.is_multiple_of(2) || !size.1.is_multiple_of(2) {
            return Err(format!("a clip of {}x{} cannot be made: both must be even", size.0, size.1));
        }
        let rate = self.args.fps.or(Rational::new(30, 1)).ok_or("no frame rate")?;
        let usual = (MADE_SECONDS * rate.as_f64()).round().max(1.0) as u64;
        let frames = self.wanted(rate, None).unwrap_or(usual);
        let failed = |error: io::Error| format!("a clip cannot be made in {}: {error}", self.dir.display());
        if format == RawFormat::Yuv420p {
            write_clip(path, size, (frames, None), self.limits.interrupts).map_err(failed)?;
        } else {
            let between = self.dir.join("made.y4m");
            write_clip(&between, size, (frames, Some(rate)), self.limits.interrupts).map_err(failed)?;
            let converting = self.own().arg("decode").arg(&between).arg(path);
            let converting = converting.args(["--pix-fmt", format.name(), "--overwrite", "--quiet"]);
            self.done(&converting, "the clip cannot be converted")?;
            std::fs::remove_file(&between).map_err(failed)?;
        }
        Ok(("made: texture that pans, moving discs, noise".to_owned(), size, rate, frames))
    }

    /// The raw pictures as a file of this codec.
    fn encode(&mut self, codec: Codec) -> Result<Source, String> {
        let raw = self.raw()?;
        let bits = raw.bit_rate().to_string();
        let extension = if matches!(codec, Codec::Av1 | Codec::Vp9) { "ivf" } else { "mp4" };
        let path = self.dir.join(format!("clip-{}.{extension}", codec.name()));
        let what = format!("no {} input", codec.name());
        let (by, program) = if codec == Codec::H264 {
            let own =
                self.own().arg("encode").arg(&raw.path).arg(&path).args(["--size", &raw.size(), "--pix-fmt"]);
            let own = own.arg(self.args.pix_fmt.name()).arg("--fps").arg(raw.rate.to_string());
            let own =
                own.args(["--backend", "software", "--codec", "h264", "--gop", "60", "--bitrate", &bits]);
            ("openh264", own.option("--frames", raw.limit()).args(["--overwrite", "--quiet"]))
        } else {
            let ffmpeg = self
                .ffmpeg
                .clone()
                .ok_or(format!("{what}: only ffmpeg could make one, and there is none"))?;
            let (encoder, options): (_, &[&str]) = match codec {
                Codec::Hevc => {
                    ("libx265", &["-preset", "fast", "-x265-params", "log-level=none", "-tag:v", "hvc1"])
                }
                Codec::Av1 => ("libsvtav1", &["-preset", "8"]),
                Codec::Vp9 => ("libvpx-vp9", &["-deadline", "realtime", "-cpu-used", "5"]),
                _ => return Err(format!("{what}: give a file of it")),
            };
            let program = Program::new(&ffmpeg, &[]).args(["-v", "error", "-nostdin", "-y"]);
            let program =
                raw_input(program, &raw, self.args.pix_fmt.name()).args(["-c:v", encoder]).args(options);
            let program = program.args(["-pix_fmt", "yuv420p", "-g", "60", "-b:v", &bits]).arg(&path);
            (encoder, program)
        };
        self.done(&program, &what)?;
        let made = self.probe(&path).map_err(|why| format!("{what}: {why}"))?;
        if made.input.frames != raw.input.frames {
            return Err(format!("{what}: {by} made {} frames of {}", made.input.frames, raw.input.frames));
        }
        let input = Input { name: format!("{} by {by}, {}", codec.name(), raw.input.name), ..made.input };
        Ok(Source { input, ..made })
    }
}

/// ffmpeg's words for a raw input.
pub(crate) fn raw_input(program: Program, raw: &Source, pixels: &str) -> Program {
    let program = program.args(["-f", "rawvideo", "-pix_fmt", pixels, "-video_size", &raw.size()]);
    let program = program.arg("-framerate").arg(raw.rate.to_string()).input(&raw.path);
    program.option("-frames:v", raw.limit())
}

pub(crate) fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn frame_bytes((width, height): (u32, u32), format: RawFormat) -> u64 {
    let pixels = u64::from(width) * u64::from(height);
    match format {
        RawFormat::Bgra => pixels * 4,
        RawFormat::Yuv420p | RawFormat::Nv12 => {
            pixels + 2 * u64::from(width.div_ceil(2)) * u64::from(height.div_ceil(2))
        }
    }
}

/// Size and sum of a file.
fn of_file(path: &Path, interrupts: &Interrupts) -> Result<Input, String> {
    let failed = |error: io::Error| format!("{} cannot be read: {error}", name(path));
    let mut file = File::open(path).map_err(failed)?;
    let (mut sum, mut bytes) = (Md5::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        go_on(interrupts).map_err(failed)?;
        let n = file.read(&mut buffer).map_err(failed)?;
        if n == 0 {
            break;
        }
        sum.update(buffer.get(..n).unwrap_or_default());
        bytes += n as u64;
    }
    let md5 = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Input { bytes, md5: Some(md5), ..Input::default() })
}

/// What takes long in this process itself ends when somebody wishes so.
fn go_on(interrupts: &Interrupts) -> io::Result<()> {
    interrupts.check_abort();
    if interrupts.token.is_cancelled() { Err(io::Error::other("cancelled")) } else { Ok(()) }
}

/// Writes planar 4:2:0 pictures that cost an encoder about what a camera's do: a texture of several scales that pans,
/// discs that move against it, and noise of the last bits. The same bytes on every machine.
fn write_clip(
    path: &Path,
    (width, height): (u32, u32),
    (frames, y4m): (u64, Option<Rational>),
    interrupts: &Interrupts,
) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    if let Some(rate) = y4m {
        writeln!(out, "YUV4MPEG2 W{width} H{height} F{}:{} Ip A1:1 C420mpeg2", rate.num(), rate.den())?;
    }
    let (w, h) = (width as usize, height as usize);
    let texture = texture();
    let mut noise = 0x9e37_79b9_u32;
    let mut luma = vec![0u8; w * h];
    let mut chroma = vec![0u8; (w / 2) * (h / 2)];
    for number in 0..frames as usize {
        go_on(interrupts)?;
        if y4m.is_some() {
            out.write_all(b"FRAME\n")?;
        }
        for (y, row) in luma.chunks_exact_mut(w).enumerate() {
            let line = texture.get(((y + number) % SIDE) * SIDE..).unwrap_or_default();
            for (x, sample) in row.iter_mut().enumerate() {
                noise ^= noise << 13;
                noise ^= noise >> 17;
                noise ^= noise << 5;
                let base = line.get((x + 3 * number) % SIDE).copied().unwrap_or(128);
                *sample = base.saturating_add((noise & 3) as u8);
            }
        }
        for disc in 0..3usize {
            draw_disc(&mut luma, (w, h), disc, number);
        }
        out.write_all(&luma)?;
        for (plane, phase) in [(1usize, 0usize), (2, 97)] {
            for (y, row) in chroma.chunks_exact_mut((w / 2).max(1)).enumerate() {
                let line =
                    texture.get(((y / 2 + phase + number / plane) % SIDE) * SIDE..).unwrap_or_default();
                for (x, sample) in row.iter_mut().enumerate() {
                    let base = line.get((x / 2 + phase + number) % SIDE).copied().unwrap_or(128);
                    *sample = 96 + base / 4;
                }
            }
            out.write_all(&chroma)?;
        }
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()
}

/// Edge of the texture, which repeats.
const SIDE: usize = 512;

/// Smooth noise of four scales, 32 to 223.
fn texture() -> Vec<u8> {
    let lattice = |x: usize, y: usize, seed: u32| {
        let mut n = (x as u32).wrapping_mul(0x27d4_eb2d) ^ (y as u32).wrapping_mul(0x1656_67b1) ^ seed;
        n = (n ^ (n >> 15)).wrapping_mul(0x85eb_ca6b);
        n = (n ^ (n >> 13)).wrapping_mul(0xc2b2_ae35);
        f64::from(n >> 16) / 65_535.0
    };
    let at = |x: usize, y: usize, cell: usize, seed: u32| {
        let cells = SIDE / cell;
        let (cx, cy) = (x / cell, y / cell);
        let (fx, fy) = ((x % cell) as f64 / cell as f64, (y % cell) as f64 / cell as f64);
        let corner = |dx: usize, dy: usize| lattice((cx + dx) % cells, (cy + dy) % cells, seed);
        let top = corner(0, 0) * (1.0 - fx) + corner(1, 0) * fx;
        let bottom = corner(0, 1) * (1.0 - fx) + corner(1, 1) * fx;
        top * (1.0 - fy) + bottom * fy
    };
    let sample = |index: usize| {
        let (x, y) = (index % SIDE, index / SIDE);
        let value =
            0.5 * at(x, y, 128, 1) + 0.25 * at(x, y, 32, 2) + 0.15 * at(x, y, 8, 3) + 0.1 * at(x, y, 4, 4);
        32.0 + 191.0 * value
    };
    (0..SIDE * SIDE).map(|index| sample(index) as u8).collect()
}

/// A disc on its way over the picture.
fn draw_disc(luma: &mut [u8], (w, h): (usize, usize), disc: usize, number: usize) {
    let radius = (h / 10 + disc * h / 40).max(2) as i64;
    let (cx, cy) =
        (((disc * w / 3 + number * (2 + disc)) % w) as i64, ((disc + 1) * h / 4 + number * disc % h) as i64);
    let cy = cy % h as i64;
    for y in (cy - radius).max(0)..(cy + radius).min(h as i64) {
        let half = (radius * radius - (y - cy) * (y - cy)).max(0).isqrt();
        let (from, to) = ((cx - half).max(0) as usize, (cx + half).clamp(0, w as i64) as usize);
        if let Some(row) = luma.get_mut(y as usize * w + from.min(to)..y as usize * w + to) {
            row.fill((60 + 60 * disc) as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_is_the_same_everywhere_and_moves() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yuv");
        let interrupts = Interrupts::default();
        write_clip(&path, (64, 48), (3, None), &interrupts).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let frame = 64 * 48 * 3 / 2;
        assert_eq!(bytes.len(), 3 * frame);
        assert_ne!(bytes[..frame], bytes[frame..2 * frame]);
        let again = dir.path().join("b.yuv");
        write_clip(&again, (64, 48), (3, None), &interrupts).unwrap();
        assert_eq!(bytes, std::fs::read(&again).unwrap());
        let spread = bytes[..64 * 48].iter().max().unwrap() - bytes[..64 * 48].iter().min().unwrap();
        assert!(spread > 60, "{spread}");
    }

    #[test]
    fn making_and_reading_end_when_cancelled() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yuv");
        let interrupts = Interrupts::default();
        write_clip(&path, (64, 48), (1, None), &interrupts).unwrap();
        interrupts.token.cancel();
        assert!(write_clip(&path, (64, 48), (u64::MAX, None), &interrupts).is_err());
        assert!(of_file(&path, &interrupts).unwrap_err().contains("cancelled"));
    }

    #[test]
    fn bytes_of_a_frame() {
        assert_eq!(frame_bytes((3, 3), RawFormat::Yuv420p), 9 + 8);
        assert_eq!(frame_bytes((640, 360), RawFormat::Bgra), 640 * 360 * 4);
    }
}
