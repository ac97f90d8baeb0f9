//! A foreign client as the judge: Debian's `ffmpeg`, unmodified, encodes and decodes on the simulated driver.
//!
//! The short form runs a choice of the matrix. `NVSIM_MATRIX=full` runs all of it, and `NVSIM_TABLE=FILE` writes the
//! result as a table (`scripts/foreign-clients.sh` does both).

use crate::foreign::{Judge, Table, full};

/// Encoder runs: name, encoder and options. Those marked `true` are in the short form.
fn encode_matrix() -> Vec<(bool, crate::foreign::EncodeRun)> {
    let mut runs = Vec::new();
    for codec in ["h264", "hevc"] {
        let mut add = |short: bool, options: &str, frames: u32| {
            runs.push((short, crate::foreign::EncodeRun::new(codec, options, frames)));
        };
        // HEVC takes four times as long, and goes the same way through the driver: of what both have, H.264 has it all in the
        // short form, and HEVC its B pictures, forced key pictures and formats.
        let h264 = codec == "h264";
        for preset in 1..=7 {
            for tune in ["hq", "ll", "ull"] {
                let short = h264 && matches!((preset, tune), (1, "ll") | (4, "hq") | (7, "ull"));
                add(short, &format!("-preset p{preset} -tune {tune} -b:v 4M"), 60);
            }
        }
        for bframes in 0..=3 {
            for rate in ["-rc cbr -b:v 4M", "-rc vbr -b:v 4M -maxrate 6M", "-rc constqp -qp 24"] {
                let short = h264 && bframes == 2 || bframes == 3 && rate.contains("vbr");
                add(short, &format!("-preset p4 -bf {bframes} {rate}"), 60);
            }
        }
        add(h264, "-preset p4 -g 12 -bf 2 -b:v 4M", 60);
        add(false, "-preset p4 -g 1 -bf 0 -b:v 8M", 30);
        add(h264, "-preset p4 -bf 0 -forced-idr 1 -force_key_frames expr:gte(t,n_forced*0.5) -b:v 4M", 60);
        add(true, "-preset p4 -bf 3 -forced-idr 1 -force_key_frames expr:gte(t,n_forced*0.7) -b:v 4M", 60);
        add(false, "-preset p4 -bf 2 -rc-lookahead 8 -rc vbr -b:v 4M", 60);
        add(h264, "-preset p5 -bf 3 -rc-lookahead 20 -rc vbr -b:v 4M", 60);
        add(false, "-preset p4 -bf 0 -rc-lookahead 16 -rc vbr -b:v 4M", 60);
        add(false, "-preset p4 -rc vbr -cq 24 -b:v 0", 60);
        add(false, "-preset p4 -tune lossless", 20);
        add(false, "-preset p4 -pix_fmt yuv420p -b:v 4M", 30);
        add(h264, "-preset p4 -pix_fmt bgr0 -b:v 4M", 30);
        add(false, "-preset p4 -pix_fmt rgb0 -b:v 4M", 30);
        add(false, "-preset p4 -pix_fmt yuv444p -b:v 6M", 30);
        add(false, "-preset p4 -spatial-aq 1 -temporal-aq 1 -b:v 4M", 30);
        add(false, "-preset p4 -aud 1 -surfaces 16 -b:v 4M", 30);
        add(false, "-preset p4 -zerolatency 1 -delay 0 -bf 0 -b:v 4M", 30);
        add(false, "-preset slow -b:v 4M", 30);
        add(false, "-preset llhq -b:v 4M", 30);
        if codec == "hevc" {
            add(true, "-preset p4 -pix_fmt p010le -profile:v main10 -b:v 4M", 30);
            add(false, "-preset p6 -pix_fmt p010le -bf 2 -b:v 4M", 30);
        } else {
            add(false, "-preset p4 -profile:v baseline -bf 0 -b:v 4M", 30);
            add(false, "-preset p4 -coder cavlc -b:v 4M", 30);
        }
    }
    runs
}

#[test]
fn ffmpeg_encodes() {
    let Some(judge) = Judge::new() else { return };
    let mut table =
        Table::new("Encoding by ffmpeg on the simulated driver", crate::foreign::EncodeRun::COLUMNS);
    for (short, mut run) in encode_matrix() {
        if !full() {
            // Longer than every lookahead and GOP of these.
            run.frames = run.frames.min(32);
        }
        if short || full() {
            table.add(run.judge(&judge));
        }
    }
    table.finish("encode");
}

#[test]
fn ffmpeg_decodes() {
    let Some(judge) = Judge::new() else { return };
    let mut table =
        Table::new("Decoding by ffmpeg on the simulated driver", crate::foreign::DecodeRun::COLUMNS);
    for (short, run) in crate::foreign::decode_matrix() {
        if short || full() {
            table.add(run.judge(&judge));
        }
    }
    table.finish("decode");
}

#[test]
fn ten_seconds_keep_the_bit_rate() {
    let Some(judge) = Judge::new() else { return };
    let mut table = Table::new("Bit rate over ten seconds", crate::foreign::RateRun::COLUMNS);
    for codec in ["h264", "hevc"] {
        for (rate, bits) in [("cbr", 2_000_000), ("vbr", 1_500_000)] {
            for bframes in [0, 2] {
                if full() || (codec, bframes) == ("h264", 2) {
                    table.add(crate::foreign::RateRun { codec, rate, bits, bframes }.judge(&judge));
                }
            }
        }
    }
    table.finish("rate");
}
