//! Encoding by NVENC.
//!
//! The session's thread copies each picture into memory of the driver and hands it over, which does not wait for the
//! hardware; a second thread waits for coded pictures and hands them on as they come ([`flow`]). Settings are held
//! against the chip's capabilities before the driver sees them ([`settings`]).

mod capability;
mod configure;
mod flow;
mod reconfigure;
mod settings;
mod upload;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use capability::encode_capability;

use self::capability::{Caps, IMPLEMENTATION};
use self::configure::{Structure, initialize};
use self::flow::{Flow, Reaper};
use self::settings::Settings;
use super::driver::cuda::Context;
use super::driver::nvenc::{Encoder, Session};
use super::driver::nvenc_buffers::{InputBuffer, OutputBuffer, Submitted};
use super::driver::nvenc_names::picture;
use crate::backend::{BackendKind, EncodeEvent, EncodeSink, EncodeUnit, EncoderBackend, InPlace};
use crate::config::{BackendEncodeConfig, CommonEncodeConfig};
use crate::dimensions::Dimensions;
use crate::error::{Error, Result};
use crate::frame::{Frame, HostSurface};
use crate::packet::BitstreamLayout;
use crate::pixel::PixelFormat;

/// An NVENC session. The order of the fields is that of their end: the thread that takes outputs goes first.
struct NvencEncoder {
    reaper: Option<Reaper>,
    flow: Arc<Flow>,
    /// Outputs that were handed over and may not be locked yet, in order.
    held: VecDeque<OutputBuffer>,
    encoder: Arc<Encoder>,
    structure: Structure,
    settings: Settings,
    caps: Caps,
    format: PixelFormat,
    size: Dimensions,
    layout: BitstreamLayout,
    /// The next picture begins anew.
    idr_next: bool,
    /// A change of size was made by half.
    broken: Option<Error>,
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
    let session = Session::open(&Context::of(device)?)?;
    let Some(caps) = Caps::ask(&session, codec)? else {
        return Err(Error::Unsupported {
            feature: format!("encoding {codec} on this GPU"),
            remedy: "NVENC is used for h264 and hevc, where the GPU has them; others need another backend"
                .to_owned(),
        });
    };
    let settings = settings::negotiate(config, &own, &caps)?;
    let (encoder, structure) = initialize(session, &settings)?;
    // What the encoder itself holds back, and as many on their way as were asked for.
    let buffers = settings.max_in_flight + structure.b_frames + structure.lookahead;
    let (rows, row_bytes) = upload::layout(config.format, config.dimensions);
    let inputs: Result<Vec<_>> =
        (0..buffers).map(|_| InputBuffer::new(&encoder, settings.format, rows, row_bytes)).collect();
    let outputs: Result<Vec<_>> = (0..buffers).map(|_| OutputBuffer::new(&encoder)).collect();
    let flow = Flow::new(inputs?, outputs?, sink);
    let reaper = Reaper::start(&flow)?;
    Ok(Box::new(NvencEncoder {
        reaper: Some(reaper),
        flow,
        held: VecDeque::new(),
        encoder,
        structure,
        settings,
        caps,
        format: config.format,
        size: config.dimensions,
        layout: BitstreamLayout::elementary(codec),
        idr_next: true,
        broken: None,
    }))
}

impl NvencEncoder {
    fn host<'a>(&self, frame: &'a Frame) -> Result<&'a HostSurface> {
        let Some(host) = frame.as_host() else {
            return Err(Error::invalid(
                "the frame has no picture in host memory; download it before encoding",
            ));
        };
        if host.dimensions() != self.size || host.format() != self.format {
            return Err(Error::invalid(format!(
                "the frame is {} {}, the encoder was opened for {} {}",
                host.dimensions(),
                host.format(),
                self.size,
                self.format
            )));
        }
        Ok(host)
    }

    /// Fills the input and hands it over. With an error the picture was not taken, and the buffers are free again.
    fn enter(&mut self, unit: &EncodeUnit, mut input: InputBuffer, output: OutputBuffer) -> Result<()> {
        let serial = unit.serial;
        let force = unit.frame.force_keyframe || self.idr_next;
        let flags = if force { picture::FORCE_IDR | picture::OUTPUT_HEADERS } else { 0 };
        self.flow.entering(serial);
        let entered =
            self.fill(&unit.frame, &mut input).and_then(|()| submit(&output, &input, serial, flags));
        match entered {
            Ok(submitted) => {
                self.flow.entered(serial, input);
                self.idr_next = false;
                self.held.push_back(output);
                if submitted == Submitted::Due {
                    self.release(self.structure.lookahead);
                }
                Ok(())
            }
            Err(error) => {
                self.flow.put_back(input, output);
                Err(error)
            }
        }
    }

    fn fill(&self, frame: &Frame, input: &mut InputBuffer) -> Result<()> {
        let host = self.host(frame)?;
        let mut memory = input.lock()?;
        upload::upload(host, &mut memory)
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
        self.encoder.end_stream()?;
        self.idr_next = true;
        self.release(0);
        Ok(())
    }
}

/// Hands a picture to the driver, waiting while the hardware's queue is full.
fn submit(output: &OutputBuffer, input: &InputBuffer, serial: u64, flags: u32) -> Result<Submitted> {
    /// The documents say milliseconds.
    const PAUSE: Duration = Duration::from_millis(1);
    /// Far beyond any picture: something hangs.
    const PATIENCE: Duration = Duration::from_secs(10);
    let start = Instant::now();
    loop {
        match output.encode(input, serial, flags)? {
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
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let Some((input, output)) = self.flow.take()? else { return Ok(()) };
        match self.enter(&unit, input, output) {
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
        self.structure.gop
    }

    fn implementation(&self) -> &'static str {
        IMPLEMENTATION
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
