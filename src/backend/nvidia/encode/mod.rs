//! Encoding by NVENC.
//!
//! The session's thread brings each picture to where the driver reads it ([`input`]) and hands it over, which does not wait
//! for the hardware; a second thread waits for coded pictures and hands them on as they come ([`flow`]). Settings are held
//! against the chip's capabilities before the driver sees them ([`settings`]).

mod capability;
mod configure;
mod flow;
mod input;
mod memory_estimate;
mod messages;
mod reconfigure;
mod session_limit;
mod settings;
mod upload;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use capability::{encode_capability, engine_count};
pub(crate) use session_limit::{request, sessions};
pub(super) use upload::reads_as_it_lies;

use self::capability::{Caps, IMPLEMENTATION};
use self::configure::{Structure, initialize};
use self::flow::{Flow, Output, Reaper};
use self::input::Inputs;
use self::messages::Messages;
use self::settings::Settings;
use super::driver::cuda::Context;
use super::driver::nvenc::Encoder;
use super::driver::nvenc_buffers::{OutputBuffer, Submitted};
use super::driver::nvenc_names::{INFINITE_GOP, picture};
use crate::backend::admission::SessionRequest;
use crate::backend::{
    BackendKind, CopyBytes, EncodeEvent, EncodeSink, EncodeUnit, EncoderBackend, FrameCheck, InPlace,
};
use crate::config::{BackendEncodeConfig, CommonEncodeConfig};
use crate::error::{Error, Remedy, Result};
use crate::packet::BitstreamLayout;
use crate::stages::EncodeMeter;

/// An NVENC session. The order of the fields is that of their end: the thread that takes outputs goes first.
struct NvencEncoder {
    reaper: Option<Reaper>,
    flow: Arc<Flow>,
    /// Outputs that were handed over and may not be locked yet, in order.
    held: VecDeque<Output>,
    inputs: Inputs,
    encoder: Arc<Encoder>,
    structure: Structure,
    settings: Settings,
    caps: Caps,
    meter: Arc<EncodeMeter>,
    messages: Messages,
    layout: BitstreamLayout,
    /// The next picture begins anew.
    idr_next: bool,
    /// Of the opening.
    note: Option<String>,
}

/// Opens an encode session on a device.
///
/// # Errors
/// No driver, no encoder library, a chip without encoder, the session limit, or a setting that cannot be honoured.
pub(crate) fn open_encoder(
    device: i32,
    config: &CommonEncodeConfig,
    special: &BackendEncodeConfig,
    sink: EncodeSink,
) -> Result<Box<dyn EncoderBackend>> {
    let codec = config.codec;
    let own = settings::own(special, codec)?;
    let context = Context::of(device)?;
    let asked = SessionRequest {
        admission: config.admission,
        cancel: config.cancel_waiting.as_deref(),
        ..SessionRequest::default()
    };
    let memory_estimate = || memory_estimate::check(config, &own, &context);
    let (session, note) = session_limit::open(&context, &request(asked, special), memory_estimate)?;
    let Some(caps) = Caps::ask(&session, codec)? else {
        return Err(Error::Unsupported {
            feature: format!("encoding {codec} on this GPU"),
            remedy: Remedy::OtherBackend,
        });
    };
    let settings = settings::negotiate(config, &own, &caps)?;
    let (encoder, structure) = initialize(session, &settings)?;
    // What the encoder itself holds back, and as many on their way as were asked for.
    let buffers = settings.max_in_flight + structure.b_frames + structure.lookahead;
    let outputs: Result<Vec<_>> = (0..buffers).map(|_| OutputBuffer::new(&encoder)).collect();
    let meter = Arc::new(EncodeMeter::default());
    let format = settings.samples.format;
    let inputs = Inputs::new(&encoder, &context, format, config.format, config.dimensions, &meter);
    let (flow, reaper) = flow::start(outputs?, sink, &meter)?;
    Ok(Box::new(NvencEncoder {
        reaper: Some(reaper),
        flow,
        held: VecDeque::new(),
        inputs,
        encoder,
        structure,
        meter,
        messages: Messages::new(&settings, structure.gop),
        settings,
        caps,
        layout: BitstreamLayout::elementary(codec),
        idr_next: true,
        note,
    }))
}

impl NvencEncoder {
    /// Brings the picture in and hands it over. With an error it was not taken, and the buffers are free again.
    fn enter(&mut self, unit: &EncodeUnit, output: Output) -> Result<()> {
        let serial = unit.serial;
        let force = self.messages.idr(unit.frame.force_keyframe || self.idr_next);
        let flags = if force { picture::FORCE_IDR | picture::OUTPUT_HEADERS } else { 0 };
        let placed = self.meter.upload.time(|| self.inputs.place(&unit.frame, || self.flow.spare()));
        let input = match placed {
            Ok(input) => input,
            Err((error, spare)) => {
                self.flow.put_back(spare, output);
                return Err(*error);
            }
        };
        self.flow.entering(serial);
        let entered = self.messages.of(&unit.frame, force).and_then(|messages| {
            let encode = || output.buffer.encode(input.picture(), serial, flags, &messages);
            self.meter.submit.time(|| while_busy(encode))
        });
        match entered {
            Ok(submitted) => {
                self.meter.inside(self.flow.entered(serial, input));
                self.idr_next = false;
                self.messages.entered(force);
                self.held.push_back(output);
                if submitted == Submitted::Due {
                    self.release(self.structure.lookahead);
                }
                Ok(())
            }
            Err(error) => {
                self.flow.put_back(input.into_spare(), output);
                Err(error)
            }
        }
    }

    /// Lets outputs be locked, all but the last `keep`. With lookahead an output is filled so many pictures after it
    /// was handed over, and waiting for it earlier would keep the driver from the other thread for that long.
    fn release(&mut self, keep: usize) {
        while self.held.len() > keep
            && let Some(output) = self.held.pop_front()
        {
            self.flow.due(output);
        }
    }

    /// Makes everything inside come out.
    fn end_stream(&mut self) -> Result<()> {
        while_busy(|| self.encoder.end_stream())?;
        self.idr_next = true;
        self.release(0);
        Ok(())
    }
}

/// Makes a call that hands something over, again and again while the hardware's queue is full.
fn while_busy(call: impl Fn() -> Result<Submitted>) -> Result<Submitted> {
    /// The documents say milliseconds.
    const PAUSE: Duration = Duration::from_millis(1);
    /// Far beyond any picture: something hangs.
    const PATIENCE: Duration = Duration::from_secs(10);
    let start = Instant::now();
    loop {
        match call()? {
            Submitted::Busy if start.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            Submitted::Busy => {
                return Err(Error::Backend {
                    backend: BackendKind::Nvidia,
                    call: "nvEncEncodePicture",
                    code: 18,
                    detail: format!("the encoder was busy for {} seconds", PATIENCE.as_secs()),
                });
            }
            submitted => return Ok(submitted),
        }
    }
}

impl EncoderBackend for NvencEncoder {
    fn output_layout(&self) -> BitstreamLayout {
        self.layout
    }

    fn submit(&mut self, unit: EncodeUnit) -> Result<()> {
        let Some(output) = self.meter.wait.time(|| self.flow.take())? else { return Ok(()) };
        match self.enter(&unit, output) {
            Ok(()) => Ok(()),
            // This frame is lost, and nothing else.
            Err(error) if error.is_recoverable() => {
                self.flow.tell(EncodeEvent::Failed { serial: unit.serial, error });
                Ok(())
            }
            Err(error) => {
                // What is inside comes out before the session ends, where the device still works.
                if self.end_stream().is_ok() {
                    let _ = self.flow.drain();
                }
                Err(error)
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.end_stream()?;
        self.flow.drain()
    }

    fn admission(&self) -> FrameCheck {
        let (codec, readable) = (self.settings.codec, self.inputs.admission());
        Arc::new(move |frame| {
            messages::check(codec, frame)?;
            readable(frame)
        })
    }

    fn copies(&self) -> CopyBytes {
        let (input, output, device) = self.meter.copied();
        CopyBytes { input, output, device }
    }

    fn reorder_delay(&self) -> usize {
        self.structure.reorder
    }

    fn in_place(&self) -> InPlace {
        self.can_change()
    }

    fn reconfigure(&mut self, config: &CommonEncodeConfig, special: &BackendEncodeConfig) -> Result<()> {
        self.change(config, special)
    }

    fn idr_interval(&self) -> Option<u32> {
        Some(self.structure.gop).filter(|gop| !matches!(*gop, 0 | INFINITE_GOP))
    }

    fn implementation(&self) -> &'static str {
        IMPLEMENTATION
    }

    fn meter(&self) -> Option<Arc<EncodeMeter>> {
        Some(Arc::clone(&self.meter))
    }

    fn notes(&self) -> Vec<String> {
        self.note.iter().cloned().collect()
    }
}

impl Drop for NvencEncoder {
    fn drop(&mut self) {
        // Buffers may be destroyed when the driver has given all of them back. On a lost device it never does, and
        // outputs that are held stay so: waiting for them could take for ever.
        let _ = self.end_stream();
        self.reaper = None;
    }
}
