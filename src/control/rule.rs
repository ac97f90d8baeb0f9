//! What a change of settings needs: nothing, a word to the running encoder, or a new session.
//!
//! The decision is made from the settings and from what the encoder says of itself, before anything is tried. An encoder
//! that is asked for a change it cannot make may refuse late, half, or not at all; and a refusal costs the time in which
//! a new session could have been opened.

use crate::backend::InPlace;
use crate::config::{BackendEncodeConfig, CommonEncodeConfig, RateControl};

/// What a change of settings needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The settings are the same.
    Nothing,
    /// The running encoder can make it.
    InPlace {
        /// The stream has to begin anew with it.
        idr: bool,
    },
    /// Another session has to take over.
    NewSession {
        /// The first setting found that cannot change while an encoder runs.
        because: &'static str,
    },
}

/// Decides what the step from one pair of settings to another needs, given what the running encoder can change.
pub(super) fn decide(
    old: (&CommonEncodeConfig, &BackendEncodeConfig),
    new: (&CommonEncodeConfig, &BackendEncodeConfig),
    can: &InPlace,
) -> Change {
    if let Some(because) = fixed(old, new) {
        return Change::NewSession { because };
    }
    let (old, new) = (old.0, new.0);
    let (mut changed, mut idr) = (false, false);
    if new.dimensions != old.dimensions {
        let fits = can.max_dimensions.is_some_and(|max| {
            new.dimensions.width() <= max.width() && new.dimensions.height() <= max.height()
        });
        if !fits {
            return Change::NewSession { because: "dimensions" };
        }
        (changed, idr) = (true, true);
    }
    if new.rate_control != old.rate_control {
        let same_mode = same_mode(old.rate_control, new.rate_control);
        if !(if same_mode { can.bitrate } else { can.rate_mode }) {
            return Change::NewSession { because: "rate_control" };
        }
        changed = true;
        idr |= !same_mode;
    }
    if new.frame_rate != old.frame_rate {
        if !can.frame_rate {
            return Change::NewSession { because: "frame_rate" };
        }
        changed = true;
    }
    if changed { Change::InPlace { idr } } else { Change::Nothing }
}

/// The first setting that differs and that no encoder changes while it runs.
fn fixed(
    old: (&CommonEncodeConfig, &BackendEncodeConfig),
    new: (&CommonEncodeConfig, &BackendEncodeConfig),
) -> Option<&'static str> {
    let (a, b) = (old.0, new.0);
    let named = [
        ("codec", a.codec == b.codec),
        ("format", a.format == b.format),
        ("gop_length", a.gop_length == b.gop_length),
        ("b_frames", a.requested_b_frames() == b.requested_b_frames()),
        ("low_latency", a.low_latency == b.low_latency),
        ("force_idr", a.force_idr == b.force_idr),
        ("color", a.color == b.color),
        ("sample_aspect_ratio", a.sample_aspect_ratio == b.sample_aspect_ratio),
        ("threads", a.threads == b.threads),
        ("device", a.device == b.device),
        ("backend settings", old.1 == new.1),
    ];
    let found = named.into_iter().find(|(_, same)| !same).map(|(name, _)| name);
    found.or_else(|| (!alike(a, b)).then_some("a setting without a rule"))
}

/// Whether all settings but those that may change in place are the same. Settings are compared by what they print, so
/// that one which this rule does not know by name is not passed over.
fn alike(a: &CommonEncodeConfig, b: &CommonEncodeConfig) -> bool {
    let b = CommonEncodeConfig {
        dimensions: a.dimensions,
        rate_control: a.rate_control,
        frame_rate: a.frame_rate,
        b_frames: a.b_frames,
        frame_interval_p: a.frame_interval_p,
        ..b.clone()
    };
    format!("{a:?}") == format!("{b:?}")
}

/// Whether only numbers differ. Constant quantisers count as another mode: the stream begins anew with them.
fn same_mode(a: Option<RateControl>, b: Option<RateControl>) -> bool {
    matches!(
        (a, b),
        (Some(RateControl::Cbr { .. }), Some(RateControl::Cbr { .. }))
            | (Some(RateControl::Vbr { .. }), Some(RateControl::Vbr { .. }))
    )
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::codec::Codec;
    use crate::color::ColorInfo;
    use crate::config::{NvidiaEncodeConfig, SoftwareEncodeConfig};
    use crate::dimensions::Dimensions;
    use crate::pixel::PixelFormat;
    use crate::time::Rational;

    const CBR: RateControl = RateControl::Cbr { bitrate_bps: 4_000_000 };
    const VBR: RateControl = RateControl::Vbr { avg_bps: 4_000_000, max_bps: None };

    fn size(width: u32, height: u32) -> Dimensions {
        Dimensions::new(width, height).unwrap()
    }

    fn base() -> CommonEncodeConfig {
        CommonEncodeConfig::new(Codec::H264, size(1280, 720), Rational::new(25, 1).unwrap()).rate_control(CBR)
    }

    fn all() -> InPlace {
        InPlace { bitrate: true, rate_mode: true, frame_rate: true, max_dimensions: Some(size(1280, 720)) }
    }

    fn step(change: impl FnOnce(&mut CommonEncodeConfig), can: InPlace) -> Change {
        let mut new = base();
        change(&mut new);
        let none = BackendEncodeConfig::None;
        decide((&base(), &none), (&new, &none), &can)
    }

    #[test]
    fn what_an_encoder_can_change_it_changes() {
        let in_place = |idr| Change::InPlace { idr };
        assert_eq!(step(|_| {}, all()), Change::Nothing);
        assert_eq!(step(|_| {}, InPlace::default()), Change::Nothing);
        let rate = |rate| move |c: &mut CommonEncodeConfig| c.rate_control = rate;
        assert_eq!(step(rate(Some(RateControl::Cbr { bitrate_bps: 1 })), all()), in_place(false));
        assert_eq!(step(rate(Some(VBR)), all()), in_place(true));
        assert_eq!(step(rate(None), all()), in_place(true));
        assert_eq!(step(|c| c.frame_rate = Rational::new(50, 1).unwrap(), all()), in_place(false));
        // The same rate in other numbers is no change.
        assert_eq!(step(|c| c.frame_rate = Rational::new(50, 2).unwrap(), all()), Change::Nothing);
        for smaller in [size(640, 360), size(1280, 360), size(640, 720)] {
            assert_eq!(step(|c| c.dimensions = smaller, all()), in_place(true));
        }
        let both = |c: &mut CommonEncodeConfig| {
            c.dimensions = size(640, 360);
            c.rate_control = Some(RateControl::Cbr { bitrate_bps: 1 });
        };
        assert_eq!(step(both, all()), in_place(true));
    }

    #[test]
    fn what_it_cannot_needs_a_new_session() {
        let anew = |because| Change::NewSession { because };
        let rate = |rate| move |c: &mut CommonEncodeConfig| c.rate_control = rate;
        let fewer = [
            ("rate_control", InPlace { bitrate: false, ..all() }, Some(RateControl::Cbr { bitrate_bps: 1 })),
            ("rate_control", InPlace { rate_mode: false, ..all() }, Some(VBR)),
        ];
        for (because, can, wanted) in fewer {
            assert_eq!(step(rate(wanted), can), anew(because));
        }
        let no_rate = InPlace { frame_rate: false, ..all() };
        assert_eq!(step(|c| c.frame_rate = Rational::new(50, 1).unwrap(), no_rate), anew("frame_rate"));
        let fixed_size = InPlace { max_dimensions: None, ..all() };
        assert_eq!(step(|c| c.dimensions = size(640, 360), fixed_size), anew("dimensions"));
        for larger in [size(1282, 720), size(640, 722)] {
            assert_eq!(step(|c| c.dimensions = larger, all()), anew("dimensions"));
        }
    }

    #[test]
    fn what_no_encoder_changes_needs_a_new_session_whatever_it_can() {
        type Edit = fn(&mut CommonEncodeConfig);
        let edits: [(&str, Edit); 11] = [
            ("codec", |c| c.codec = Codec::Hevc),
            ("format", |c| c.format = PixelFormat::P010),
            ("gop_length", |c| c.gop_length = Some(50)),
            ("b_frames", |c| c.b_frames = Some(2)),
            ("b_frames", |c| c.frame_interval_p = Some(3)),
            ("low_latency", |c| c.low_latency = true),
            ("force_idr", |c| c.force_idr = true),
            ("color", |c| c.color = ColorInfo::BT709),
            ("sample_aspect_ratio", |c| c.sample_aspect_ratio = Some(Rational::ONE)),
            ("threads", |c| c.threads = NonZeroUsize::new(2)),
            ("device", |c| c.device = Some("1".to_owned())),
        ];
        for (because, edit) in edits {
            assert_eq!(step(edit, all()), Change::NewSession { because });
        }
    }

    #[test]
    fn two_spellings_of_one_number_of_b_frames_are_the_same() {
        let spelled = CommonEncodeConfig { b_frames: Some(2), ..base() };
        let other = CommonEncodeConfig { frame_interval_p: Some(3), ..base() };
        let none = BackendEncodeConfig::None;
        assert_eq!(decide((&spelled, &none), (&other, &none), &all()), Change::Nothing);
    }

    #[test]
    fn settings_of_one_backend_need_a_new_session() {
        let nvidia = BackendEncodeConfig::Nvidia(NvidiaEncodeConfig::default());
        let software = BackendEncodeConfig::Software(SoftwareEncodeConfig::default());
        let config = base();
        for (a, b) in [(&nvidia, &software), (&BackendEncodeConfig::None, &nvidia)] {
            let anew = Change::NewSession { because: "backend settings" };
            assert_eq!(decide((&config, a), (&config, b), &all()), anew);
        }
    }
}
