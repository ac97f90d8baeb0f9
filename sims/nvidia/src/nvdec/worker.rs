//! The engine side of a decoder: a thread that takes pictures from its queue, decodes them in software (or shows a
//! test pattern) and is done when the model of time says so.

use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::abi::decode_status;
use super::decoder::{Decoder, FIGURES, Figures};
use super::recorded::Recorded;
use super::side::END_OF_SEQUENCE;
use crate::codec::decoder::{DecoderCodec, Picture, plane_size};
use crate::core::clock::{self, EngineBank};
use crate::core::{config, fault, guarded};
use crate::cuda::abi::CuResult;

/// A picture on its way.
pub(super) struct Job {
    /// Decode surface.
    pub(super) index: usize,
    pub(super) data: Vec<u8>,
    /// Parameter sets that came with it.
    pub(super) sets: Option<Arc<Vec<u8>>>,
    /// A fault script damaged it.
    pub(super) corrupt: bool,
    /// What a fault script has to be said of it.
    pub(super) status: Option<u32>,
    pub(super) submitted: Instant,
}

/// The decode engines of every device.
pub(super) fn engines() -> &'static [EngineBank] {
    static BANKS: OnceLock<Vec<EngineBank>> = OnceLock::new();
    BANKS.get_or_init(|| config().device.iter().map(|device| EngineBank::new(device.nvdec_engines)).collect())
}

/// Starts the thread of a decoder.
pub(super) fn start(decoder: Arc<Decoder>) -> Result<JoinHandle<()>, CuResult> {
    std::thread::Builder::new()
        .name("nvsim decoder".into())
        .spawn(move || serve(&decoder))
        .map_err(|_| CuResult::ERROR_OPERATING_SYSTEM)
}

fn serve(decoder: &Decoder) {
    let bank = engines().get(decoder.device);
    let mut source = Source::new(decoder);
    let mut previous = Instant::now();
    let mut random = 1u32;
    loop {
        let (job, size) = {
            let mut state = decoder.state();
            loop {
                if state.closing {
                    return;
                }
                if let Some(job) = state.queue.pop_front() {
                    state.busy = true;
                    break (job, state.size);
                }
                state = decoder.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
            }
        };
        decoder.changed.notify_all();
        if hold(decoder) {
            previous = Instant::now();
        }
        let due = bank.filter(|_| config().time.enabled).map(|bank| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            bank.book(job.submitted.max(previous), work(size, f64::from(random) / f64::from(u32::MAX)))
        });
        // After a panic the surface must not stay in progress for ever.
        let decoded = guarded("software decoder", || source.decode(&job, size));
        let (picture, damaged) = decoded.unwrap_or((None, true));
        if let Some(due) = due {
            wait_until(decoder, due);
            previous = due;
        }
        let status = match (&picture, damaged || job.corrupt) {
            (Some(_), false) => decode_status::SUCCESS,
            (Some(_), true) => decode_status::ERROR_CONCEALED,
            (None, _) => decode_status::ERROR,
        };
        let status = job.status.unwrap_or(status);
        Figures::count(&FIGURES.decoded);
        match status {
            decode_status::ERROR_CONCEALED => Figures::count(&FIGURES.damaged),
            decode_status::ERROR => Figures::count(&FIGURES.undecodable),
            _ => {}
        }
        let mut state = decoder.state();
        state.busy = false;
        if let Some(slot) = state.slots.get_mut(job.index) {
            // What cannot be decoded leaves the surface as it was.
            slot.picture = picture.or_else(|| slot.picture.take());
            slot.pending = slot.pending.saturating_sub(1);
            slot.status = if slot.pending > 0 { decode_status::IN_PROGRESS } else { status };
        }
        drop(state);
        decoder.changed.notify_all();
    }
}

/// Waits while a test holds the engines; whether it did.
fn hold(decoder: &Decoder) -> bool {
    let Some(file) = config().time.decode_held_by.as_ref().filter(|_| config().time.enabled) else {
        return false;
    };
    // An absolute path stays as it is.
    let file = std::env::temp_dir().join(file);
    let mut held = false;
    while file.exists() && !decoder.state().closing && !fault::device_lost() {
        held = true;
        std::thread::sleep(Duration::from_millis(1));
    }
    held
}

/// The last part of a wait for an engine is left to the clock, which is more exact than a condition.
const CLOSE: Duration = Duration::from_millis(10);

/// Waits until the engine would be done. The end of the decoder or the loss of the device ends the wait.
fn wait_until(decoder: &Decoder, due: Instant) {
    let mut state = decoder.state();
    while !state.closing && !fault::device_lost() {
        let left = due.saturating_duration_since(Instant::now());
        if left < CLOSE {
            break;
        }
        let waited = decoder.changed.wait_timeout(state, left - CLOSE / 2);
        state = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
    }
    let over = state.closing || fault::device_lost();
    drop(state);
    if !over {
        clock::wait_until(due);
    }
}

/// How long an engine is busy with a picture of this size. `random` is between 0 and 1.
fn work((width, height): (u32, u32), random: f64) -> Duration {
    let time = &config().time;
    let pixels = f64::from(width) * f64::from(height);
    let nanoseconds = time.decode_ns_per_frame as f64 + time.decode_ns_per_pixel.max(0.0) * pixels;
    let jitter = 1.0 + time.jitter.clamp(0.0, 1.0) * (2.0 * random - 1.0);
    Duration::from_nanos((nanoseconds * jitter).max(0.0) as u64)
}

/// Where pictures come from.
enum Source {
    Software { codec: DecoderCodec, max_pixels: u64, open: Option<Recorded>, sets: Option<Arc<Vec<u8>>> },
    Canned { chroma: u32, depth: u32, size: (u32, u32), patterns: Vec<Arc<Picture>>, next: usize },
}

/// Test pictures that a canned decoder shows in turn.
const PATTERNS: usize = 8;

impl Source {
    fn new(decoder: &Decoder) -> Self {
        if config().canned.decode {
            let (chroma, depth) = (decoder.chroma, decoder.depth);
            return Self::Canned { chroma, depth, size: (0, 0), patterns: Vec::new(), next: 0 };
        }
        // The library rounds sizes up to its own blocks.
        let round = |samples: u32| u64::from(samples).next_multiple_of(128);
        let max_pixels = round(decoder.max.0) * round(decoder.max.1);
        Self::Software { codec: decoder.codec, max_pixels, open: None, sets: None }
    }

    /// Decodes a picture; true: it is damaged.
    fn decode(&mut self, job: &Job, current: (u32, u32)) -> (Option<Arc<Picture>>, bool) {
        match self {
            Self::Canned { chroma, depth, size, patterns, next } => {
                if *size != current {
                    *size = current;
                    *patterns =
                        (0..PATTERNS).map(|step| Arc::new(pattern(current, *chroma, *depth, step))).collect();
                }
                *next += 1;
                (patterns.get(*next % PATTERNS).cloned(), false)
            }
            Self::Software { codec, max_pixels, open, sets } => {
                // VC-1 takes its headers when it is opened, the others in front of a picture; either once.
                let begins =
                    |sets: &Vec<u8>| *codec == DecoderCodec::Hevc && sets.starts_with(&END_OF_SEQUENCE);
                let fresh = job.sets.as_ref().filter(|fresh| sets.as_ref() != Some(fresh) || begins(fresh));
                let outside = *codec == DecoderCodec::Vc1;
                if outside && fresh.is_some() {
                    *open = None;
                }
                if open.is_none() {
                    let headers = fresh.filter(|_| outside).map_or(&[][..], |headers| headers.as_slice());
                    match Recorded::open(*codec, headers, *max_pixels) {
                        Ok(decoder) => *open = Some(decoder),
                        Err(error) => {
                            if config().verbose {
                                eprintln!("nvsim: {error}");
                            }
                            return (None, true);
                        }
                    }
                }
                let Some(decoder) = open else { return (None, true) };
                let headers = fresh.filter(|_| !outside).map_or(&[][..], |headers| headers.as_slice());
                let stuffed =
                    matches!(codec, DecoderCodec::Mpeg1 | DecoderCodec::Mpeg2).then(|| stuffed(&job.data));
                let data = stuffed.as_deref().unwrap_or(&job.data);
                let decoded = if headers.is_empty() {
                    decoder.decode(data)
                } else {
                    decoder.decode(&[headers, data].concat())
                };
                if fresh.is_some() {
                    sets.clone_from(&job.sets);
                }
                decoded.unwrap_or((None, true))
            }
        }
    }
}

/// The data with zero bytes before each start code and at the end. Slices of MPEG-1 and MPEG-2 may end in zero bits;
/// who cuts at start codes may have cut those off together with the zero bytes that may follow any slice. The hardware
/// does not miss them, the software decoder does.
fn stuffed(data: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(data.len() + data.len() / 64 + 8);
    for (place, byte) in data.iter().enumerate() {
        if *byte == 0 && data[place..].starts_with(&[0, 0, 1]) {
            result.extend_from_slice(&[0; 2]);
        }
        result.push(*byte);
    }
    result.extend_from_slice(&[0; 4]);
    result
}

/// A picture of diagonal stripes, a little further for each step.
fn pattern((width, height): (u32, u32), chroma: u32, depth: u32, step: usize) -> Picture {
    let plane = |number: usize| {
        let (columns, rows) = plane_size(chroma, width as usize, height as usize, number);
        let value = |x: usize, y: usize| match number {
            0 => 16 + (x + y + 16 * step) % 220,
            1 => 64 + x * 128 / columns.max(1),
            _ => 64 + y * 128 / rows.max(1),
        };
        let mut samples = Vec::new();
        for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
            let value = value(x, y) << (depth.clamp(8, 16) - 8);
            samples.extend_from_slice(&(value as u16).to_le_bytes()[..if depth > 8 { 2 } else { 1 }]);
        }
        samples
    };
    let planes = [plane(0), plane(1), plane(2)];
    Picture {
        width,
        height,
        display: (width, height),
        chroma,
        depth: depth as u8,
        planes,
        ..Picture::default()
    }
}
