//! What stages are found to hold back.

use super::super::policy::DropPolicy;
use super::super::unit::Unit;
use super::*;

struct Idle;

impl Stage for Idle {
    fn submit(&mut self, unit: Unit) -> Result<Submit<Unit>> {
        Ok(Submit::Full(unit))
    }
    fn try_reap(&mut self) -> Result<Option<StageEvent>> {
        Ok(None)
    }
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
    fn is_drained(&self) -> bool {
        true
    }
    fn name(&self) -> &'static str {
        "idle"
    }
}

#[test]
fn what_a_slow_stage_seemed_to_hold_back_is_forgotten_when_it_gives_results_with_less() {
    let meter = Arc::new(StageMeter::new("idle", None, 0));
    let mut slot = StageSlot::new(Box::new(Idle), None, StageQueue::new(DropPolicy::Offline), meter);
    let now = Instant::now();
    slot.inside = (0..6).map(|_| Tag { generation: 0, credit: None, entered: now, since: now }).collect();
    slot.learn();
    assert_eq!((slot.holds, slot.occupied), (6, 0));
    // Three B frames: the last of a group comes out while little is inside, and three are held back all the same.
    for inside in [4, 3, 2, 1].into_iter().cycle().take(2 * (WINDOW + 6)) {
        slot.unlearn(inside);
    }
    assert_eq!(slot.holds, 3);
    (0..2 * (WINDOW + 3)).for_each(|_| slot.unlearn(1));
    assert_eq!(slot.holds, 0);
}
