//! Rules a client has to keep.

use super::declare_rules;

declare_rules! {
    NULL_REFERENCE "null-reference" false "A function that needs an object gets one.";
    UNKNOWN_REFERENCE "unknown-reference" false "References come from the frameworks.";
    DEAD_REFERENCE "dead-reference" false "An object is not used after its last release; a callback's buffer lives as long as the callback unless it is retained.";
    WRONG_TYPE "wrong-type" false "A function gets the kind of object that it is declared for.";
    OVER_RELEASE "over-release" false "A client releases what it created, copied or retained, and nothing else.";
    IMMUTABLE "immutable-changed" false "Only mutable collections are changed.";
    RAW_CALLBACKS "collection-callbacks" true "Collections are made with the callbacks for CF types; others are not simulated.";
    INDEX "index-out-of-range" false "An index is below the count.";
    UNLOCK_WITHOUT_LOCK "unlock-without-lock" false "Unlocks follow locks.";
    UNLOCK_FLAGS "unlock-flags" false "A buffer is unlocked with the flags it was locked with.";
    BASE_UNLOCKED "base-address-unlocked" false "Base addresses are asked for, and used, between lock and unlock.";
    RELEASED_LOCKED "released-while-locked" false "A buffer is unlocked before its last release.";
    INPUT_CHANGED "input-locked-for-writing" false "Pixel data are not modified after they were handed to an encoder.";
    INVALIDATED "call-after-invalidate" false "A session is not used after it was invalidated.";
    CALLBACK_DEADLOCK "wait-in-callback" true "A session's output callback does not wait for the session.";
    PROPERTY_LATE "property-after-first-frame" true "Properties that shape the stream are set before the first frame.";
    PTS_ORDER "pts-not-increasing" false "Each presentation time given to an encoder is greater than the one before.";
    PTS_INVALID "pts-invalid" false "A frame given to an encoder has a numeric presentation time.";
    FORMAT_CHANGE "unacceptable-format" false "A decoder session gets a new format only when it accepts it.";
    SAMPLE_LAYOUT "sample-layout" true "A decoder gets sample buffers of one sample with data and format.";
    COLOURS "colours-differ" true "A frame given to an encoder says of its colours what the session's properties say; what a conversion would make of it is not simulated.";
    METHOD "unknown-method" false "Objects are sent methods that they have.";
    AUTORELEASE "autorelease-pool" false "Methods that return what the caller does not own are called inside an autorelease pool, and pools are closed in order.";
    ENCODING "encoder-not-ended" false "An encoder is ended before its command buffer is committed.";
    TEXTURE_GONE "texture-released-early" false "A texture of a cache is kept until the commands that use it are completed.";
    BINDINGS "kernel-bindings" false "A kernel is dispatched with all that its parameters name, and stays inside of it.";
}
