//! What the client made and did not give back.

use std::sync::{Arc, Mutex};

use super::memory::{self, Block, Use};
use super::stream::{Role, STREAMS, Stream};
use super::{array, context, event, module, pool};
use crate::core::report::Leak;

/// Things that a dying context took along.
static BURIED: Mutex<Vec<Leak>> = Mutex::new(Vec::new());
/// More are not kept: a client that makes a context per picture must not fill memory.
const KEPT: usize = 1000;

fn of_block(block: &Block) -> Leak {
    Leak { kind: block.purpose.name(), detail: format!("{} bytes at {:#x}", block.size, block.address) }
}

fn of_stream(stream: &Stream) -> Leak {
    Leak { kind: "stream", detail: format!("{:#x}", stream.id) }
}

/// Takes everything out of the tables that belongs to a dying context.
pub(super) fn bury(context: u64, how: &'static str, streams: Vec<Arc<Stream>>) {
    let mut found: Vec<Leak> = streams.iter().map(|stream| of_stream(stream)).collect();
    found.extend(memory::forget_context(context).iter().map(|block| of_block(block)));
    found.extend(event::forget_context(context));
    found.extend(module::forget_context(context));
    found.extend(array::forget_context(context));
    let mut buried = BURIED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for mut leak in found {
        if buried.len() < KEPT {
            leak.detail.push_str(&format!(", freed by {how}"));
            buried.push(leak);
        }
    }
}

/// All leaks as they stand.
pub(super) fn list() -> Vec<Leak> {
    let mut leaks: Vec<Leak> = BURIED.try_lock().map(|buried| buried.clone()).unwrap_or_default();
    for context in context::CONTEXTS.peek().iter().filter(|context| !context.primary) {
        leaks.push(Leak {
            kind: "context",
            detail: format!("{:#x} on device {}", context.id, context.device),
        });
    }
    for (device, count) in context::peek_primaries() {
        leaks.push(Leak {
            kind: "primary context",
            detail: format!("device {device}, retained {count} times"),
        });
    }
    let client = |block: &&Arc<Block>| !matches!(block.purpose, Use::Internal(_) | Use::Array);
    leaks.extend(memory::peek().iter().filter(client).map(|block| of_block(block)));
    let made = |stream: &&Arc<Stream>| matches!(stream.role, Role::Blocking | Role::NonBlocking);
    leaks.extend(STREAMS.peek().iter().filter(made).map(|stream| of_stream(stream)));
    leaks.extend(event::peek());
    leaks.extend(module::peek());
    leaks.extend(array::peek());
    leaks.extend(pool::peek());
    leaks
}
