//! The embedded encoder, and those of an installed ffmpeg on the CPU.

use video_hw::backend::BackendKind;

use super::judge::column;
use super::page::check;
use super::run::{ENCODERS, Encoder, Job};
use crate::support::streams::have;

#[test]
fn the_embedded_encoder() {
    if have(&["ffprobe"]) {
        for encoder in Encoder::of(BackendKind::Software) {
            check(encoder, &column(encoder));
        }
    }
}

fn child(name: &str) {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let encoder = ENCODERS.iter().find(|encoder| encoder.child == Some(name)).unwrap();
    if let Err(refusal) = Job::new(encoder).open() {
        assert!(refusal.to_string().contains("was built without it"), "{refusal}");
        eprintln!("SKIPPED: {refusal}");
        return;
    }
    check(encoder, &column(encoder));
}

#[test]
fn libx264_in_a_child() {
    child("libx264");
}

#[test]
fn libx265_in_a_child() {
    child("libx265");
}

#[test]
fn libsvtav1_in_a_child() {
    child("libsvtav1");
}
