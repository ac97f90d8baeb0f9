//! What a transcode asks of its output stream besides size, rate and structure.

use super::tracks::TrackChoice;
use super::transcode::Transcode;
use crate::codec::Codec;
use crate::config::{CommonEncodeConfig, Crop, FailurePolicy, Profile};
use crate::container::TrackId;
use crate::dimensions::Dimensions;
use crate::hdr::{ContentLight, MasteringDisplay};
use crate::limits::Limits;
use crate::rawvideo::PictureTimes;
use crate::session::Takeover;
use crate::time::Rational;

/// Settings of [`CommonEncodeConfig`] that are passed on as they are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StreamTarget {
    vbv: (Option<u32>, Option<u32>),
    profile: Option<Profile>,
    mastering_display: Option<MasteringDisplay>,
    content_light: Option<ContentLight>,
    low_latency: bool,
}

impl StreamTarget {
    /// A configuration with these settings, everything else by default.
    pub(super) fn config(&self, codec: Codec, size: Dimensions, rate: Rational) -> CommonEncodeConfig {
        CommonEncodeConfig {
            vbv_bits: self.vbv.0,
            vbv_initial_bits: self.vbv.1,
            profile: self.profile,
            mastering_display: self.mastering_display,
            content_light: self.content_light,
            low_latency: self.low_latency,
            ..CommonEncodeConfig::new(codec, size, rate)
        }
    }

    pub(super) const fn is_low_latency(&self) -> bool {
        self.low_latency
    }
}

impl<'a> Transcode<'a> {
    /// Size of the decoder's buffer that rate control keeps to, and how full it is when decoding begins, in bits.
    pub fn vbv(mut self, bits: u32, initial_bits: Option<u32>) -> Self {
        self.target.vbv = (Some(bits), initial_bits);
        self
    }

    /// When pictures that carry no times are shown; see [`PictureTimes`].
    pub fn times(mut self, times: PictureTimes) -> Self {
        self.source.times = times;
        self
    }

    /// What the input may cost; beyond it, it is refused with [`crate::Error::LimitExceeded`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.source.limits = limits;
        self
    }

    /// See [`OpenOptions::spool`](crate::container::OpenOptions::spool).
    pub fn spool(mut self, most_bytes: u64) -> Self {
        self.source.spool = Some(most_bytes);
        self
    }

    /// The part of the picture, as it is stored, that is encoded. It is cut out first: before fields are made progressive, and
    /// before the size is changed. A turn that the input states is not made, and the output states it too. With
    /// [`Self::deinterlace`] the part begins at a multiple of 4 rows, where a field has its chroma.
    ///
    /// ```no_run
    /// # fn main() -> video_hw::Result<()> {
    /// use video_hw::config::Crop;
    /// use video_hw::dimensions::Dimensions;
    ///
    /// let (Some(size), Some(half)) = (Dimensions::new(1920, 800), Dimensions::new(960, 400)) else { return Ok(()) };
    /// let crop = Crop { left: 0, top: 140, size };
    /// video_hw::transcode("in.mp4", "out.mp4").crop(crop).size(half).run()?;
    /// # Ok(()) }
    /// ```
    pub fn crop(mut self, crop: Crop) -> Self {
        self.source.crop = Some(crop);
        self
    }

    /// The video track; by default [`crate::container::main_video`].
    pub fn track(mut self, track: TrackId) -> Self {
        self.source.track = Some(track);
        self
    }

    /// The sound tracks that are copied; by default all that the output can hold.
    pub fn audio(mut self, choice: TrackChoice) -> Self {
        self.selection.audio = choice;
        self
    }

    /// The tracks of text that are copied; by default all that the output can hold.
    pub fn subtitles(mut self, choice: TrackChoice) -> Self {
        self.selection.subtitles = choice;
        self
    }

    /// Neither decoder nor encoder holds frames back: no B frames, no lookahead, one decoder.
    pub fn low_latency(mut self) -> Self {
        self.target.low_latency = true;
        self.source.low_latency = true;
        self
    }

    /// Profile to keep to.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.target.profile = Some(profile);
        self
    }

    /// HDR10: the display that the content was graded on. An encoder that cannot state it refuses the job. What the input's
    /// container or first headers state of its light is carried over by itself while the transfer stays PQ or HLG, unless this
    /// or [`Self::content_light`] is given: then nothing of it is, and the report's notes tell what is left out.
    pub fn mastering_display(mut self, display: MasteringDisplay) -> Self {
        self.target.mastering_display = Some(display);
        self
    }

    /// HDR10: the light of the content; as [`Self::mastering_display`].
    pub fn content_light(mut self, light: ContentLight) -> Self {
        self.target.content_light = Some(light);
        self
    }

    /// What becomes of the job when its encoder or its decoder dies on the way. By default another takes over: the next
    /// that can do the job where the backend was chosen by itself, the same one opened again where it was named. The output
    /// stays one stream, and [`EncodeSummary::takeovers`](crate::session::EncodeSummary::takeovers) tells of it.
    pub fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.on_failure = policy;
        self
    }

    /// Calls `tell` on the calling thread when a backend has died, with what takes over.
    pub fn on_takeover(mut self, tell: impl FnMut(&Takeover) + 'a) -> Self {
        self.on_takeover = Some(Box::new(tell));
        self
    }
}
