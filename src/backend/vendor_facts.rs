//! What is true of a backend before anything of it is opened, from its row of the table. The rooms below ask these questions
//! instead of knowing who the vendors are.

#[cfg(feature = "metrics")]
use super::Job;
use super::vendors::{self, Candidate, vendor};
use super::{Backend, BackendKind, CANDIDATES};
use crate::codec::Codec;
use crate::config::{CommonEncodeConfig, SessionAdmission};

impl BackendKind {
    /// Whether its decoders can leave pictures in the memory of a device, with which they can be lost.
    pub(crate) fn keeps_frames_on_device(self) -> bool {
        vendors::cards().any(|(kind, _)| kind == self)
    }

    /// Whether its encoders read pictures where its decoders leave them.
    pub(crate) fn reads_own_frames(self) -> bool {
        vendors::readers().any(|(kind, _)| kind == self)
    }

    /// Whether one of its decoders of this codec works on all cores by itself.
    pub(crate) fn decodes_on_threads(self, codec: Codec) -> bool {
        (vendor(self).decodes_on_threads)(codec)
    }

    /// What its receipt says where a device was named and it has none.
    pub(crate) fn device_note(self, device: Option<&str>) -> Option<String> {
        let device = device.filter(|_| vendor(self).on_cpu)?;
        Some(format!("device {device} does not apply: {self} runs on the CPU"))
    }

    /// Whether its encoder may code pictures in another order than they are shown in.
    pub(crate) fn may_reorder(self) -> bool {
        !self.encodes_plainly()
    }

    /// Whether its encoder lacks what others have: B frames, constant quality, a ceiling of the bit rate, all formats but 8-bit
    /// 4:2:0.
    pub(crate) fn encodes_plainly(self) -> bool {
        vendor(self).encodes_plainly
    }

    /// Whether its encoder states HDR10 metadata.
    pub(crate) fn states_hdr(self) -> bool {
        vendor(self).states_hdr
    }

    /// Whether its encoder opens without the HDR10 metadata in these settings, instead of refusing them.
    pub(crate) fn leaves_out_hdr(self, config: &CommonEncodeConfig) -> bool {
        let stated = config.mastering_display.is_some() || config.content_light.is_some();
        config.hdr_optional && stated && !self.states_hdr()
    }

    /// What its encoder's receipt says where it left HDR10 metadata out.
    pub(crate) fn hdr_note(self, config: &CommonEncodeConfig, implementation: &str) -> Option<String> {
        let note =
            || format!("HDR10 metadata is not in the stream: {self} ({implementation}) does not state it");
        self.leaves_out_hdr(config).then(note)
    }

    /// Whether it runs on devices that tell how busy they are ([`super::busy_device`]).
    #[cfg(feature = "metrics")]
    pub(crate) fn tells_utilization(self) -> bool {
        self.keeps_frames_on_device()
    }

    /// The variable that asks for lines of figures of its sessions, and the beginning of those lines.
    pub(crate) fn figures_variable(self) -> Option<(&'static str, &'static str)> {
        vendor(self).figures
    }

    /// An implementation of it by the name that people know it by.
    #[cfg(feature = "metrics")]
    pub(crate) fn known_as(self, job: Job, codec: Codec, implementation: &str) -> String {
        (vendor(self).known_as)(job, codec, implementation)
    }
}

impl Candidate {
    /// Notes for the receipt of its encoder: the settings that have no effect on it.
    pub(crate) fn setting_notes(self, config: &CommonEncodeConfig) -> Vec<String> {
        let threads = config.threads.filter(|_| !self.engine().on_cpu);
        let threads = threads
            .map(|threads| format!("threads {threads} does not apply: {} is no CPU encoder", self.label()));
        let counted = vendors::cards().any(|(kind, _)| kind == self.backend());
        let waits = config.admission != SessionAdmission::Refuse && !counted;
        let admission = waits.then(|| {
            let label = self.label();
            format!("admission and cancel_waiting do not apply: no limit of sessions is known for {label}")
        });
        [self.device_note(config.device.as_deref()), threads, admission].into_iter().flatten().collect()
    }

    /// What a receipt says of its encoder where a device was named that has no effect on it. To a backend that is a program a
    /// device's name may be the path of that program.
    fn device_note(self, device: Option<&str>) -> Option<String> {
        let (kind, given) = (self.backend(), device?);
        if !self.is_child() || given.contains(std::path::is_separator) {
            return kind.device_note(device);
        }
        Some(format!("device {given} does not apply: {} does not take its cards by that name", self.label()))
    }
}

impl Backend {
    /// Whether what it will choose may leave pictures where an encoder of its own reads them.
    pub(crate) fn may_read_own_frames(self) -> bool {
        match self {
            Self::Auto => true,
            Self::Only(kind) => kind.reads_own_frames(),
        }
    }

    /// Whether what it will choose may code pictures in another order than they are shown in.
    pub(crate) fn may_reorder(self) -> bool {
        match self {
            Self::Auto => true,
            Self::Only(kind) => kind.may_reorder(),
        }
    }
}

/// Who decodes frames again that went with the device they were on, best first: a backend that keeps frames on devices may be
/// the one whose device is gone, and is asked last.
pub(crate) fn for_frames_lost_with_device() -> [BackendKind; CANDIDATES.len()] {
    let mut kinds = CANDIDATES;
    kinds.sort_by_key(|kind| kind.keeps_frames_on_device());
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "metrics")]
    #[test]
    fn implementations_are_called_as_people_call_them() {
        let encoder =
            |kind: BackendKind, implementation| kind.known_as(Job::Encode, Codec::H264, implementation);
        assert_eq!(encoder(BackendKind::Nvidia, "NVENC"), "h264_nvenc");
        assert_eq!(BackendKind::Nvidia.known_as(Job::Decode, Codec::H264, "NVDEC"), "h264_nvdec");
        assert_eq!(encoder(BackendKind::Ffmpeg, "ffmpeg, libx264"), "libx264");
        assert_eq!(BackendKind::Ffmpeg.known_as(Job::Decode, Codec::H264, "ffmpeg"), "h264_ffmpeg");
        assert_eq!(encoder(BackendKind::Software, "openh264 2.7"), "openh264");
        assert_eq!(encoder(BackendKind::Custom, "mock encoder"), "mock encoder");
    }

    #[test]
    fn who_may_have_lost_a_device_decodes_again_last() {
        let kinds = for_frames_lost_with_device();
        let first_on_device = kinds.iter().position(|kind| kind.keeps_frames_on_device());
        assert_eq!(first_on_device, Some(kinds.len() - 1), "{kinds:?}");
        let mut rest: Vec<_> = CANDIDATES.to_vec();
        rest.retain(|kind| !kind.keeps_frames_on_device());
        assert_eq!(kinds[..rest.len()], rest, "else the order of preference");
    }
}
