//! Memory of a ring's frames: one user at a time, and it comes back.

use crate::order::{every_order, start};
use crate::shelf::Shelf;

#[test]
fn memory_has_one_user_at_a_time() {
    every_order(|| {
        let shelf = Shelf::new(2);
        let other = std::sync::Arc::clone(&shelf);
        let user = |shelf: &std::sync::Arc<Shelf>, mark: u8| {
            for _ in 0..2 {
                let mut memory = shelf.take(4);
                memory.as_mut().fill(mark);
                assert_eq!(memory.as_ref(), [mark; 4]);
            }
        };
        let thread = start(move || user(&other, 1));
        user(&shelf, 2);
        thread.join().unwrap();
        assert!((1..=2).contains(&shelf.made()), "{}", shelf.made());
    });
}

#[test]
fn memory_comes_back_from_another_thread() {
    every_order(|| {
        let shelf = Shelf::new(1);
        let kept = [shelf.take(4), shelf.take(4)];
        let thread = start(move || drop(kept));
        let third = shelf.take(4);
        thread.join().unwrap();
        drop(third);
        let made = shelf.made();
        drop(shelf.take(4));
        assert_eq!(shelf.made(), made, "one is kept");
        let _other = (shelf.take(4), shelf.take(4));
        assert_eq!(shelf.made(), made + 1, "and no more");
    });
}
