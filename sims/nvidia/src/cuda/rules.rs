//! Rules of the driver API that a client can break and that are recorded. What a client may well ask to find
//! something out (an attribute that is not there, more memory than is left) is answered and not recorded.

use crate::core::rules::rule_table;

rule_table! {
    NOT_INITIALIZED "C-1" "not-initialized" false "cuInit comes before every other call.";
    NO_CONTEXT "C-2" "no-current-context" false "The calling thread needs a current context.";
    CONTEXT_DESTROYED "C-3" "context-destroyed" false "A destroyed context is not used again.";
    FOREIGN_HANDLE "C-4" "foreign-handle" false "Handles come from this driver and are of the kind that the function takes.";
    USE_AFTER_FREE "C-5" "use-after-free" false "Freed memory is not used.";
    DOUBLE_FREE "C-6" "double-free" false "Memory is freed once.";
    OUT_OF_RANGE "C-7" "out-of-range" false "Every access stays inside one allocation.";
    HOST_POINTER "C-8" "host-pointer-as-device-pointer" false "Host memory is used as device memory only when it is pinned.";
    DEVICE_POINTER "C-9" "device-pointer-as-host-pointer" false "Device memory is not given where host memory is asked for.";
    BAD_FREE "C-10" "free-of-foreign-pointer" false "Memory is freed by the address and the kind of function that allocated it.";
    DEAD_HANDLE "C-11" "dead-handle" false "A stream, event, array or module is not used after it was destroyed.";
    EMPTY_STACK "C-12" "pop-of-empty-stack" false "A context is popped only where one was pushed.";
    MODULE_UNLOADED "C-13" "module-unloaded" false "A function is not used after its module was unloaded.";
    OTHER_CONTEXT "C-14" "object-of-other-context" false "Streams, events and functions are used in the context that made them.";
    KERNEL_PARAMETERS "C-15" "kernel-parameters" false "A launch gives every parameter that the kernel declares.";
    LAUNCH_LIMITS "C-16" "launch-limits" false "Grid and block sizes are within the limits of the device and not zero.";
    KERNEL_ACCESS "C-17" "kernel-illegal-address" false "A kernel touches only allocated memory.";
    PRIMARY_RELEASE "C-18" "primary-release" false "A primary context is released as often as it was retained, and never destroyed with cuCtxDestroy.";
    PITCH "C-19" "bad-pitch" false "The pitch of a pitched copy or fill is no smaller than a row and no larger than the device allows.";
    REGISTRATION "C-20" "host-registration" false "Host memory is registered once and unregistered once.";
    IN_CALLBACK "C-21" "call-in-callback" false "A stream callback makes no CUDA calls.";
    EVENT_TIMING "C-22" "event-timing" false "Elapsed time is asked of two recorded events that were made with timing.";
}
