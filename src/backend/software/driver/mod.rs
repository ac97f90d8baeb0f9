//! Foreign code behind the embedded codecs; the only place of this backend with `unsafe`.

pub(super) mod openh264;
