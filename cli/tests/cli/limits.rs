//! `--limits`: every command refuses an input by the limit's name, and says how to go on.

use crate::common::{Scratch, clip, run};

/// What the refusal says to give, as `--limits` takes it.
fn advice(stderr: &str) -> String {
    let (_, advice) = stderr.split_once("give --limits ").unwrap_or_else(|| panic!("no advice: {stderr}"));
    advice.trim().to_owned()
}

#[test]
fn the_advice_is_enough() {
    let scratch = Scratch::new();
    let (film, other) = (clip("small.h264"), clip("bars.mp4"));
    let out = scratch.path("out.mp4");
    let jobs: [&[&str]; 3] = [
        &["decode", &film, "--null", "--backend", "software", "-q"],
        &["transcode", &film, &out, "--backend", "software", "-q", "-y"],
        &["compare", &other, &other, "--backend", "software", "-q"],
    ];
    for job in jobs {
        for (limit, least) in [("picture-memory", "1M"), ("picture-pixels", "100")] {
            let given = format!("{limit}={least}");
            let refused = run(&[job, &["--limits", given.as_str()]].concat());
            refused.refused(1, &[&format!("limit {limit} exceeded"), "wanted", "allowed"]);
            assert!(scratch.names().is_empty(), "{job:?}: {:?}", scratch.names());
            run(&[job, &["--limits", advice(&refused.stderr).as_str()]].concat()).ok();
            let _ = std::fs::remove_file(&out);
        }
        run(&[job, &["--limits", "none"]].concat()).ok();
        let _ = std::fs::remove_file(&out);
    }
}

#[test]
fn uncompressed_pictures_have_a_limit_too() {
    let scratch = Scratch::new();
    let (film, raw, out) = (clip("small.h264"), scratch.path("in.y4m"), scratch.path("out.mp4"));
    run(&["decode", &film, &raw, "--frames", "3", "-q"]).ok();
    let job = ["encode", &raw, &out, "--backend", "software", "-q"];
    let refused = run(&[&job[..], &["--limits", "picture-pixels=1000"]].concat());
    refused.refused(1, &["limit picture-pixels exceeded", "in.y4m"]);
    run(&[&job[..], &["--limits", advice(&refused.stderr).as_str()]].concat()).ok();
}

#[test]
fn probe_tells_of_a_limit() {
    let film = clip("bars.mp4");
    let probed = run(&["probe", &film, "--limits", "picture-memory=1M"]);
    let said = probed.out() + &probed.stderr;
    assert!(said.contains("limit picture-memory exceeded"), "{said}");
}

#[test]
fn limits_that_there_are_none_of() {
    let film = clip("small.h264");
    for wrong in
        ["", "memory=1G", "picture-memory", "picture-memory=", "picture-memory=-1", "tracks=1G", "tracks=1,"]
    {
        let refused = run(&["decode", &film, "--null", "-q", "--limits", wrong]);
        assert_eq!(refused.code, Some(2), "{wrong:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("--limits"), "{wrong:?}: {}", refused.stderr);
    }
    let refused = run(&["decode", &film, "--null", "-q", "--limits", "memory=1G"]);
    assert!(refused.stderr.contains("picture-memory, index-memory, tracks"), "{}", refused.stderr);
}
