//! The embedded CPU codecs: compiled from cargo alone, always there.
