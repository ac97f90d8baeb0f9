//! Memory of a ring's frames: one user at a time, and it comes back.

use crate::buffer_pool::BufferPool;
use crate::order::{every_order, start};

#[test]
fn memory_has_one_user_at_a_time() {
    every_order(|| {
        let pool = BufferPool::new(2);
        let other = std::sync::Arc::clone(&pool);
        let user = |pool: &std::sync::Arc<BufferPool>, mark: u8| {
            for _ in 0..2 {
                let mut memory = pool.take(4);
                memory.as_mut().fill(mark);
                assert_eq!(memory.as_ref(), [mark; 4]);
            }
        };
        let thread = start(move || user(&other, 1));
        user(&pool, 2);
        thread.join().unwrap();
        assert!((1..=2).contains(&pool.made()), "{}", pool.made());
    });
}

#[test]
fn memory_comes_back_from_another_thread() {
    every_order(|| {
        let pool = BufferPool::new(1);
        let kept = [pool.take(4), pool.take(4)];
        let thread = start(move || drop(kept));
        let third = pool.take(4);
        thread.join().unwrap();
        drop(third);
        let made = pool.made();
        drop(pool.take(4));
        assert_eq!(pool.made(), made, "one is kept");
        let _other = (pool.take(4), pool.take(4));
        assert_eq!(pool.made(), made + 1, "and no more");
    });
}
