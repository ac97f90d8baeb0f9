//! Switches and failures of streams: every kind of change, in every mode, with everything that can go wrong on the way. ffmpeg judges
//! the streams, the simulation what was done to the runtime.

use crate::support::failover::long;
use crate::support::switching::{Fate, VPL, cases};
use crate::support::vpl::{Machine, clean_case};

/// All changes in all modes with one fate, each in a process of its own; in the short form each change in one mode.
fn matrix(test: &str, fate: Fate) {
    for (what, mode, case) in cases(long()) {
        let settings: &str = VPL.faults(fate, what, mode).leak();
        let machine = Machine { settings, ..Machine::USUAL };
        clean_case(machine, test, &case, |case| VPL.run(case, fate));
    }
}

#[test]
fn every_switch_in_every_mode_succeeds() {
    matrix("every_switch_in_every_mode_succeeds", Fate::Ok);
}

#[test]
fn a_session_that_cannot_be_opened_leaves_the_old_one_running() {
    matrix("a_session_that_cannot_be_opened_leaves_the_old_one_running", Fate::CreationFails);
}

#[test]
fn a_session_that_fails_with_its_first_picture_is_taken_back() {
    matrix("a_session_that_fails_with_its_first_picture_is_taken_back", Fate::ActivationFails);
}

#[test]
fn a_session_that_is_lost_in_a_switch_is_followed_by_another() {
    matrix("a_session_that_is_lost_in_a_switch_is_followed_by_another", Fate::DeviceLost);
}
