use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use super::*;
use crate::backend_kind::BackendKind;

const LIMIT: Duration = Duration::from_millis(600);

/// Hangs at the second unit, on its own thread or on one that it has started, until the sender is dropped.
struct Hanging {
    outlet: Outlet<u32>,
    release: Option<Receiver<()>>,
    on_another: bool,
    /// Told when the call begins.
    began: Sender<()>,
    dropped: Sender<()>,
}

fn hang(release: &Receiver<()>, began: &Sender<()>) {
    hang::during(BackendKind::Nvidia, "cuHangs", LIMIT, || {
        began.send(()).unwrap();
        let _ = release.recv();
    });
}

impl Work for Hanging {
    type Input = u32;

    fn unit(&mut self, input: u32) -> Result<()> {
        if input == 1
            && let Some(release) = self.release.take()
        {
            let began = self.began.clone();
            if self.on_another {
                let helper = hang::spawn("helper", move || hang(&release, &began)).unwrap();
                helper.join().unwrap();
            } else {
                hang(&release, &began);
            }
        }
        self.outlet.send(Outcome::Item(input));
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    fn end(&mut self, _error: &Error) {}
}

impl Drop for Hanging {
    fn drop(&mut self) {
        let _ = self.dropped.send(());
    }
}

/// The ends of a session, what holds its call, and who is told of the call's begin and of the work's end.
fn start(on_another: bool) -> (Input<u32>, Output<u32>, Sender<()>, [Receiver<()>; 2]) {
    let (hold, release) = mpsc::channel();
    let (began, begun) = mpsc::channel();
    let (dropped, gone) = mpsc::channel();
    let (input, output, ()) = spawn("hanging", 4, 4, |outlet| {
        Ok((Hanging { outlet, release: Some(release), on_another, began, dropped }, ()))
    })
    .unwrap();
    (input, output, hold, [begun, gone])
}

#[test]
fn a_session_whose_call_hangs_is_given_up_and_left_behind() {
    for on_another in [false, true] {
        let (mut input, mut output, hold, [_begun, gone]) = start(on_another);
        for unit in 0..3 {
            assert!(matches!(input.submit(unit), Ok(Submit::Accepted)));
        }
        input.flush().unwrap();
        assert_eq!(output.reap().unwrap(), Some(0));
        let error = output.reap().unwrap_err();
        assert!(matches!(error, Error::Backend { call: "cuHangs", .. }), "{error}");
        assert!(output.has_ended() && !error.is_recoverable());
        assert!(matches!(input.submit(3), Err(Error::Backend { call: "cuHangs", .. })));
        // Neither end waits for the worker, which ends when its call returns at last.
        drop((input, output));
        assert!(gone.try_recv().is_err());
        drop(hold);
        gone.recv().unwrap();
    }
}

#[test]
fn a_session_that_is_dropped_does_not_wait_for_a_call_that_hangs() {
    let (mut input, output, hold, [begun, gone]) = start(false);
    for unit in 0..3 {
        assert!(matches!(input.submit(unit), Ok(Submit::Accepted)));
    }
    begun.recv().unwrap();
    drop((output, input));
    assert!(gone.try_recv().is_err());
    drop(hold);
    gone.recv().unwrap();
}

/// However long a consumer takes, that is no call.
#[test]
fn a_worker_that_waits_for_its_consumer_does_not_hang() {
    let (mut input, mut output, hold, _ends) = start(false);
    drop(hold);
    for unit in 0..7 {
        while !matches!(input.submit(unit), Ok(Submit::Accepted)) {
            std::thread::yield_now();
        }
    }
    let mut patience = Patience::new(&output.joiner.calls);
    for _ in 0..8 {
        assert!(patience.look().is_none());
        std::thread::sleep(hang::LOOK);
    }
    for unit in 0..7 {
        assert_eq!(output.reap().unwrap(), Some(unit));
    }
}
