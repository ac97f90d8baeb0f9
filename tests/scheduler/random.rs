//! Streams of all kinds beside each other, used in all ways: every unit has one outcome, and nobody waits for ever.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::mpsc;
use std::time::Duration;

use video_hw::backend::mock::{MockDecoder, MockEncoder, Script};
use video_hw::codec::Codec;
use video_hw::config::{ColorRequest, CommonDecodeConfig, CommonEncodeConfig};
use video_hw::pipeline::scheduler::{
    DecodeStage, Delivery, DropPolicy, EncodeStage, IdrAfterDrop, LiveRules, PipelineScheduler,
    ScheduledSummary, SchedulerOptions, StreamControl, StreamInput, StreamOutput, StreamSpec, TransformStage,
    Unit,
};
use video_hw::pixel::PixelFormat;
use video_hw::session::{DecodeSession, EncodeSession, Submit};
use video_hw::time::Rational;
use video_hw::transform::{TransformDispatcher, TransformOptions, TransformRequest};

use crate::support::{Puppet, frame, number, packet};

/// Numbers that are the same in every run.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % end
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    fn some(&mut self, most: u64, end: u64) -> BTreeSet<u64> {
        (0..self.below(most + 1)).map(|_| self.below(end)).collect()
    }
}

/// How a stream's producer leaves it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Leave {
    Closes,
    Cancels,
}

/// One stream and its users.
#[derive(Clone, Debug)]
struct Use {
    units: u64,
    packets: bool,
    transforms: bool,
    encodes: bool,
    b_frames: usize,
    reorder: usize,
    script: Script,
    credits: usize,
    weight: u32,
    policy: DropPolicy,
    /// Units after which a generation begins, by number alone or at a word.
    generations: Option<(u64, bool)>,
    flushes: Option<u64>,
    leave: Leave,
    /// The consumer goes after so many results.
    patience: Option<u64>,
    pause: u64,
    source: bool,
    sink: bool,
}

impl Use {
    fn choose(random: &mut Random) -> Self {
        let units = 1 + random.below(80);
        let rules = LiveRules::default()
            .max_queue(1 + random.below(4) as usize)
            .max_age(random.one_in(2).then(|| Duration::from_micros(random.below(3000))))
            .idr(if random.one_in(2) { IdrAfterDrop::Never } else { IdrAfterDrop::default() });
        let script = Script {
            fail: random.some(3, units),
            die: if random.one_in(8) { random.some(1, units) } else { BTreeSet::new() },
            panic: if random.one_in(8) { random.some(1, units) } else { BTreeSet::new() },
            swallow: random.some(3, units),
        };
        Self {
            units,
            packets: random.one_in(2),
            transforms: random.one_in(2),
            encodes: !random.one_in(4),
            b_frames: random.below(4) as usize,
            reorder: random.below(3) as usize,
            script: if random.one_in(2) { script } else { Script::default() },
            credits: 8 + random.below(20) as usize,
            weight: 1 + random.below(3) as u32,
            policy: if random.one_in(2) { DropPolicy::Offline } else { DropPolicy::Live(rules) },
            generations: random.one_in(3).then(|| (1 + random.below(20), random.one_in(2))),
            flushes: random.one_in(4).then(|| 1 + random.below(20)),
            leave: if random.one_in(5) { Leave::Cancels } else { Leave::Closes },
            patience: random.one_in(6).then(|| random.below(units)),
            pause: if random.one_in(4) { random.below(2000) } else { 0 },
            source: random.one_in(4),
            sink: random.one_in(3),
        }
    }

    fn spec(&self, name: String) -> StreamSpec {
        let mut spec = StreamSpec::new(name)
            .credits(self.credits)
            .weight(NonZeroU32::new(self.weight).unwrap())
            .policy(self.policy);
        if self.packets {
            let mock = MockDecoder {
                reorder_depth: self.reorder,
                script: self.script.clone(),
                ..MockDecoder::default()
            };
            let config = CommonDecodeConfig::new(Codec::H264);
            let session = DecodeSession::with_backend(config, |sink| Ok(mock.open(sink))).unwrap();
            spec = spec.stage_in("decoder", DecodeStage::new(session));
        }
        let mut format = PixelFormat::I420;
        if self.transforms {
            format = PixelFormat::Rgb24;
            let dispatcher = TransformDispatcher::new(TransformOptions::default());
            spec = spec.stage(TransformStage::new(
                dispatcher,
                TransformRequest::default().convert(ColorRequest::Rgb8),
            ));
        }
        if self.encodes {
            let mock = MockEncoder {
                b_frames: self.b_frames,
                script: if self.packets { Script::default() } else { self.script.clone() },
            };
            let config =
                CommonEncodeConfig::new(Codec::H264, frame(0).dimensions, Rational::ONE).format(format);
            let session = EncodeSession::with_backend(config, |sink| Ok(mock.open(sink))).unwrap();
            spec = spec.stage_in("encoder", EncodeStage::new(session).holding(self.b_frames));
        }
        if !(self.packets || self.transforms || self.encodes) {
            spec = spec.stage(Puppet::eager());
        }
        spec
    }

    fn unit(&self, number: u64) -> Unit {
        if self.packets { packet(number, number.is_multiple_of(7)).into() } else { frame(number).into() }
    }

    fn produce(&self, mut input: StreamInput, control: &StreamControl) {
        if self.source {
            let this = self.clone();
            return input.feed((0..self.units).map(move |number| Ok(this.unit(number))));
        }
        let mut generation = 0;
        for number in 0..self.units {
            if let Some((every, word)) = self.generations
                && number % every == every - 1
            {
                generation += 1;
                if word {
                    control.set_generation(generation);
                }
            }
            if self.flushes.is_some_and(|every| number % every == every - 1) && input.flush().is_err() {
                return;
            }
            let mut unit = self.unit(number);
            loop {
                match input.submit_with_generation(generation, unit) {
                    Ok(Submit::Accepted) => break,
                    Ok(Submit::Full(back)) => unit = back,
                    // It has ended; its output tells why.
                    Err(_) => return,
                }
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        if self.leave == Leave::Cancels {
            control.cancel();
        }
    }

    fn consume(&self, mut output: StreamOutput) -> Vec<Delivery> {
        let mut got = Vec::new();
        while !output.is_finished() {
            if let Ok(Some(delivery)) = output.reap_timeout(Duration::from_millis(20)) {
                got.push(delivery);
            }
            if self.pause > 0 {
                std::thread::sleep(Duration::from_micros(self.pause));
            }
            if self.patience.is_some_and(|patience| got.len() as u64 > patience) {
                break;
            }
        }
        got
    }

    fn check(&self, summary: &ScheduledSummary, got: &[Delivery]) {
        let ledger = &summary.ledger;
        assert!(summary.balances() && ledger.pending == 0, "{self:?}\n{summary:?}");
        assert_eq!(summary.inside.depth, 0, "{self:?}: all credits are back");
        assert_eq!(ledger.delivered, got.len() as u64, "{self:?}\n{summary:?}");
        let quiet = self.script.fail.is_empty()
            && self.script.die.is_empty()
            && self.script.panic.is_empty()
            && self.script.swallow.is_empty();
        if quiet {
            assert_eq!((ledger.failed, &summary.error), (0, &None), "{self:?}");
        }
        let undisturbed = self.leave == Leave::Closes && self.patience.is_none() && quiet;
        let by_word = self.generations.is_some_and(|(_, word)| word) && !self.source;
        if undisturbed && self.policy == DropPolicy::Offline && !by_word {
            assert_eq!(ledger.delivered, self.units, "{self:?}: offline drops nothing");
        }
        assert!(got.is_sorted_by_key(|delivery| delivery.generation), "{self:?}");
        // A decoder that is not flushed in between, nor an encoder, keeps the order of what is shown.
        if !self.encodes || self.b_frames == 0 {
            let shown: Vec<_> = got.iter().map(|delivery| number(&delivery.unit)).collect();
            assert!(shown.is_sorted(), "{self:?}: {shown:?}");
        }
    }
}

fn round(uses: &[Use], slots: (usize, usize)) {
    let options = SchedulerOptions::default().class("decoder", slots.0).class("encoder", slots.1);
    let scheduler = PipelineScheduler::new(options).unwrap();
    std::thread::scope(|scope| {
        for (name, wanted) in uses.iter().enumerate() {
            let (input, output) = scheduler.open(wanted.spec(name.to_string())).unwrap();
            let control = output.control().unwrap();
            let producer = control.clone();
            scope.spawn(move || wanted.produce(input, &producer));
            scope.spawn(move || {
                let got = if wanted.sink {
                    let (tell, told) = mpsc::channel();
                    output.deliver(move |result| {
                        if let Ok(delivery) = result {
                            let _ = tell.send(delivery);
                        }
                        Ok(())
                    });
                    assert!(control.wait(Duration::from_secs(50)), "{wanted:?}\n{:?}", control.summary());
                    told.try_iter().collect()
                } else {
                    wanted.consume(output)
                };
                let over = (0..5000).any(|_| {
                    std::thread::sleep(Duration::from_millis(u64::from(!control.is_over())));
                    control.is_over() && control.summary().inside.depth == 0
                });
                assert!(over, "{wanted:?}\n{:?}", control.summary());
                wanted.check(&control.summary(), &got);
            });
        }
    });
    assert!(scheduler.summary().balances());
}

#[test]
fn whatever_its_users_do_every_unit_has_one_outcome() {
    // Far more than any of them takes.
    const PATIENCE: Duration = Duration::from_secs(60);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..60 {
        let uses: Vec<_> = (0..=random.below(6)).map(|_| Use::choose(&mut random)).collect();
        let slots = (1 + random.below(5) as usize, 1 + random.below(5) as usize);
        let words = format!("{slots:?} {uses:#?}");
        let (done, wait) = mpsc::channel();
        let run = std::thread::spawn(move || {
            round(&uses, slots);
            let _ = done.send(());
        });
        match wait.recv_timeout(PATIENCE) {
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => run.join().unwrap(),
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("somebody waits for ever: {words}"),
        }
    }
}
