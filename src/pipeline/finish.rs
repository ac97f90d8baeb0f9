//! What is done to frames behind the decoder.

use std::path::Path;

use super::fit::{Fit, Stated};
use super::shape::Shape;
use super::source::{SourceInfo, SourceOptions};
use crate::codec::Codec;
use crate::container::{ContainerFormat, Demuxer, Track, VideoTrack};
use crate::error::Result;
use crate::frame::{FieldOrder, Frame};

/// Whether files of this format say what shape their samples have.
pub(super) fn states_shape(format: ContainerFormat) -> bool {
    matches!(format, ContainerFormat::Mp4 | ContainerFormat::Matroska | ContainerFormat::WebM)
}

/// What is done to frames behind the decoder: the container's word on them, and the shape that they are wanted in.
pub(crate) struct Finish {
    /// What the container says of the shape of samples.
    shape: Option<Shape>,
    fit: Fit,
    /// The container's word on fields, for codecs whose pictures do not say it.
    fields: Option<FieldOrder>,
}

impl Finish {
    /// `contained`: [`states_shape`].
    pub(super) fn new(info: &SourceInfo, options: &SourceOptions, contained: bool, fit: Fit) -> Self {
        let fields = match info.codec {
            Some(Codec::Mjpeg | Codec::Mpeg4 | Codec::Vc1) => info.video().and_then(|video| video.fields),
            _ => None,
        };
        Self { shape: Shape::stated(info, options).filter(|_| contained), fit, fields }
    }

    /// For a track, and puts the size that follows from it into `options`.
    pub(crate) fn of_track(
        path: &Path,
        demuxer: &dyn Demuxer,
        (track, video): (&Track, &VideoTrack),
        options: &mut SourceOptions,
    ) -> Result<(Self, SourceInfo)> {
        Fit::check(options)?;
        let fit = Fit::resolve(options, &Stated::of_track(video), path)?;
        let info = SourceInfo::of_track(path, demuxer, (track, video), options);
        Ok((Self::new(&info, options, states_shape(demuxer.format()), fit), info))
    }

    /// The frame as it is wanted.
    pub(crate) fn of(&self, frame: Frame) -> Result<Frame> {
        let sample_aspect_ratio = self.shape.map_or(frame.sample_aspect_ratio, |shape| shape.of(&frame));
        let fields = frame.fields.or(self.fields);
        self.fit.of(Frame { sample_aspect_ratio, fields, ..frame })
    }
}
