//! Probing in the calling process, on simulated machines: what it finds, that it keeps to the driver's rules and leaves nothing
//! behind, and that the chain of dataset encoders says the same.

use crate::support::nvidia::simulated_on;
use video_hw::backend::Job;
use video_hw::codec::Codec;
use video_hw::dataset::{EncoderType, detect_available_encoders, probe_encoders};
use video_hw::error::Remedy;
use video_hw::probing::{
    Candidate, Failure, ProbeStep as Step, ProbeVerdict as Verdict, Question, in_process,
};

fn verdict(job: Job, codec: Codec) -> Verdict {
    Question { candidate: Candidate::Nvidia, job, codec }.ask().verdict
}

/// Decoding and encoding of every codec that a card has, side by side, without a breach of the driver's rules.
#[test]
fn a_card_that_has_everything_passes_every_probe() {
    let name = "a_card_that_has_everything_passes_every_probe";
    let run = simulated_on("ada", name, "", || {
        let questions: Vec<_> = Question::all(&Question::DECODED)
            .into_iter()
            .filter(|question| question.candidate == Candidate::Nvidia)
            .collect();
        assert_eq!(questions.len(), 11);
        let found = in_process(&questions);
        for probe in &found.probes {
            assert!(probe.verdict.works(), "{:?}: {}", probe.question, probe.verdict);
        }
        assert_eq!(found.fact(Candidate::Nvidia, "nvenc-api"), Some("13.0"));
        assert_eq!(found.fact(Candidate::Nvidia, "encode-engines"), Some("2"));
        assert!(found.fact(Candidate::Nvidia, "device 0").unwrap().contains("RTX 4090"));
    });
    let Some(run) = run else { return };
    run.assert_clean();
    assert!(run.calls("nvEncEncodePicture") >= 3 && run.calls("cuvidDecodePicture") >= 8);
}

#[test]
fn a_card_without_encoder_decodes() {
    let run = simulated_on("h200", "a_card_without_encoder_decodes", "", || {
        assert!(verdict(Job::Decode, Codec::Hevc).works());
        let av1 = verdict(Job::Decode, Codec::Av1);
        let expected = (Step::Capability, Failure::Unsupported);
        assert!(matches!(av1, Verdict::Fails { step, failure, .. } if (step, failure) == expected), "{av1}");
        let encode = verdict(Job::Encode, Codec::H264);
        let expected = (Step::Device, Failure::Unavailable);
        assert!(
            matches!(encode, Verdict::Fails { step, failure, .. } if (step, failure) == expected),
            "{encode}"
        );
        assert!(encode.is_lasting());
    });
    if let Some(run) = run {
        run.assert_clean();
    }
}

/// What goes wrong in each step is told as such, and what may be otherwise the next time is not for keeping.
#[test]
fn failures_name_the_step() {
    let name = "failures_name_the_step";
    let cases = [
        ("cuInit", 100, Step::Device, Failure::Unavailable),
        ("cuvidCreateDecoder", 801, Step::Frame, Failure::Failed),
        ("cuvidDecodePicture", 719, Step::Frame, Failure::DeviceLost),
    ];
    for (function, code, _, _) in cases {
        let settings = format!("fault=[{{function='{function}',call=1,count=0,code={code}}}]");
        let run = crate::support::nvidia::simulated_case_on("ada", name, &settings, function, |case| {
            let found = verdict(Job::Decode, Codec::H264);
            let (_, _, want_step, want_failure) =
                cases.into_iter().find(|(function, ..)| *function == case).unwrap();
            let Verdict::Fails { step, failure, remedy, .. } = &found else { panic!("{found}") };
            assert_eq!((*step, *failure), (want_step, want_failure), "{found}");
            assert!(*remedy != Remedy::None);
            assert_eq!(found.is_lasting(), case == "cuInit");
        });
        if run.is_none() {
            return;
        }
    }
}

#[test]
fn dataset_encoders_are_tried_the_same_way() {
    let run = simulated_on("ada", "dataset_encoders_are_tried_the_same_way", "", || {
        let works = detect_available_encoders();
        assert_eq!(works.first(), Some(&EncoderType::Nvenc));
        assert_eq!(works.last(), Some(&EncoderType::Embedded));
        let probes = probe_encoders(Codec::H264);
        let order: Vec<_> = probes.iter().map(|probe| probe.encoder).collect();
        assert_eq!(order, EncoderType::ORDER);
        for probe in &probes {
            assert_eq!(
                probe.verdict.works(),
                works.contains(&probe.encoder),
                "{}: {}",
                probe.encoder,
                probe.verdict
            );
        }
    });
    if let Some(run) = run {
        run.assert_clean();
    }
}
