//! Faults on order: a script in the configuration says which call fails, hangs, loses the device or damages its
//! picture.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One line of the script.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FaultConfig {
    /// Exported name without version suffix: `cuMemAlloc`, `nvEncEncodePicture`, `cuvidMapVideoFrame64`.
    pub function: String,
    /// The first call of that function to be hit, from 1.
    #[serde(default = "one")]
    pub call: u64,
    /// How many calls in a row are hit; 0 means all that follow.
    #[serde(default = "one")]
    pub count: u64,
    /// The call does nothing and answers this code.
    pub code: Option<u32>,
    /// The call sleeps this long first.
    pub hang_ms: Option<u64>,
    /// The process dies of a segmentation fault in this call, as in a driver with a defect.
    #[serde(default)]
    pub crash: bool,
    /// The device is lost: this call and every later one of all three libraries answers so (releasing still works).
    #[serde(default)]
    pub device_lost: bool,
    /// The picture of this call is damaged.
    #[serde(default)]
    pub corrupt: bool,
    /// `cuvidDecodePicture`: what `cuvidGetDecodeStatus` says of the picture of this call (8: error, 9: error
    /// concealed), whatever its bits are. Unlike `corrupt` it leaves the picture and those that refer to it as they are,
    /// so that a test knows what comes out.
    pub decode_status: Option<u32>,
}

fn one() -> u64 {
    1
}

/// What happens to the picture of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PictureFault {
    /// Its bits are damaged.
    pub corrupt: bool,
    /// What its decode status is, whatever the decoder found.
    pub decode_status: Option<u32>,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    None,
    Picture(PictureFault),
    Hang(Duration),
    Crash,
    Fail(u32),
    DeviceLost,
}

static COUNTS: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());
static LOST: AtomicBool = AtomicBool::new(false);
static FIRED: Mutex<Vec<Fired>> = Mutex::new(Vec::new());

/// A fault that took effect, for the report.
#[derive(Debug, Clone, Serialize)]
pub struct Fired {
    /// Function hit.
    pub function: &'static str,
    /// Which call of it, from 1.
    pub call: u64,
    /// What was done.
    pub effect: String,
}

/// Counts a call of `function` and decides its fate.
pub(super) fn next(function: &'static str) -> Effect {
    let number = {
        let mut counts = COUNTS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let count = counts.entry(function).or_insert(0);
        *count += 1;
        *count
    };
    let effect = decide(function, number, &super::config().fault);
    if effect == Effect::DeviceLost {
        LOST.store(true, Ordering::SeqCst);
        wake_all();
    }
    if effect != Effect::None {
        let mut fired = FIRED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if fired.len() < 1000 {
            fired.push(Fired { function, call: number, effect: format!("{effect:?}") });
        }
        return effect;
    }
    if device_lost() && !survives_loss(function) { Effect::DeviceLost } else { Effect::None }
}

fn decide(function: &str, number: u64, script: &[FaultConfig]) -> Effect {
    let Some(fault) = script.iter().find(|fault| {
        fault.function == function
            && number >= fault.call
            && (fault.count == 0 || number - fault.call < fault.count)
    }) else {
        return Effect::None;
    };
    if fault.crash {
        Effect::Crash
    } else if fault.device_lost {
        Effect::DeviceLost
    } else if let Some(code) = fault.code {
        Effect::Fail(code)
    } else if let Some(ms) = fault.hang_ms {
        Effect::Hang(Duration::from_millis(ms))
    } else if fault.corrupt || fault.decode_status.is_some() {
        Effect::Picture(PictureFault { corrupt: fault.corrupt, decode_status: fault.decode_status })
    } else {
        Effect::None
    }
}

/// Something that threads wait on, and whose waits the loss of the device ends.
pub trait Waiting: Send + Sync {
    /// Wakes all who wait. Has to take the lock that they check [`device_lost`] under, or one that is about to wait
    /// misses it. No call of the client's holds such a lock when this is called.
    fn wake(&self);
}

static WAITING: Mutex<Vec<Weak<dyn Waiting>>> = Mutex::new(Vec::new());

/// Has `waiting` woken when the device is lost. To be called before the first wait.
pub fn wake_on_loss(waiting: Weak<dyn Waiting>) {
    let mut list = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    // Those that are gone are thrown out when the list would have to grow.
    if list.len() == list.capacity() {
        list.retain(|waiting| waiting.strong_count() > 0);
    }
    list.push(waiting);
}

fn wake_all() {
    let list: Vec<_> =
        WAITING.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
    list.iter().for_each(|waiting| waiting.wake());
}

/// True once a fault has taken the device away.
pub fn device_lost() -> bool {
    LOST.load(Ordering::SeqCst)
}

/// After the loss of the device a client can still ask questions that need no device and give back what it
/// holds; everything else fails.
fn survives_loss(function: &str) -> bool {
    ["Destroy", "Free", "Release", "Unregister", "Unmap", "Unlock", "Pop", "Push", "SetCurrent", "GetError"]
        .iter()
        .any(|word| function.contains(word))
        || matches!(
            function,
            "cuInit"
                | "cuDriverGetVersion"
                | "cuDeviceGetCount"
                | "cuDeviceGet"
                | "cuGetProcAddress"
                | "cuCtxGetCurrent"
                | "NvEncodeAPICreateInstance"
                | "NvEncodeAPIGetMaxSupportedVersion"
                | "nvEncGetLastErrorString"
        )
}

/// Calls of every function so far, and the faults that took effect.
pub fn summary() -> (BTreeMap<&'static str, u64>, Vec<Fired>) {
    let counts = COUNTS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let fired = FIRED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    (counts.clone(), fired.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> Vec<FaultConfig> {
        #[derive(Deserialize)]
        struct Script {
            fault: Vec<FaultConfig>,
        }
        toml::from_str::<Script>(text).unwrap().fault
    }

    #[test]
    fn the_kth_call_is_hit_and_only_that_one() {
        let script = script("[[fault]]\nfunction = 'f'\ncall = 3\ncode = 20\n");
        let fates: Vec<_> = (1..=5).map(|n| decide("f", n, &script)).collect();
        assert_eq!(fates, [Effect::None, Effect::None, Effect::Fail(20), Effect::None, Effect::None]);
        assert_eq!(decide("g", 3, &script), Effect::None);
    }

    #[test]
    fn a_status_is_given_to_chosen_pictures() {
        let script = script("[[fault]]\nfunction = 'f'\ncall = 2\ncount = 2\ndecode_status = 9\n");
        let concealed = Effect::Picture(PictureFault { corrupt: false, decode_status: Some(9) });
        let fates: Vec<_> = (1..=4).map(|n| decide("f", n, &script)).collect();
        assert_eq!(fates, [Effect::None, concealed, concealed, Effect::None]);
    }

    #[test]
    fn a_count_of_zero_never_ends() {
        let script = script("[[fault]]\nfunction = 'f'\ncall = 2\ncount = 0\nhang_ms = 5\n");
        assert_eq!(decide("f", 1, &script), Effect::None);
        assert_eq!(decide("f", 1_000_000, &script), Effect::Hang(Duration::from_millis(5)));
    }
}
