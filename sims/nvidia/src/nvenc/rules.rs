//! The rules a client of the encoder library has to keep.

use crate::core::rules::rule_table;

rule_table! {
    API_VERSION "N-2" "api-version" false
        "the API version of a client must be one that the driver speaks";
    STRUCT_VERSION "N-4" "struct-version" false
        "every structure, nested ones too, carries the version word of the session's API";
    OLD_OPEN "N-7" "old-open-call" false
        "sessions are opened with nvEncOpenEncodeSessionEx";
    CONTEXT_DEAD "N-8" "session-outlives-context" false
        "a session is destroyed before the CUDA context it was opened on";
    CONTEXT_FOREIGN "N-8b" "foreign-context-current" true
        "resources are registered with the session's context current, or none";
    DESTROY_WITHOUT_EOS "N-12" "destroy-without-eos" false
        "an end of stream is sent before the session is destroyed";
    DESTROY_LIVE "N-12b" "destroy-with-live-resources" false
        "buffers, registrations and pictures are given back before the session is destroyed";
    DESTROY_IN_USE "N-12c" "destroy-buffer-in-use" false
        "a buffer is neither locked nor used by a pending picture when it is destroyed";
    DEAD_SESSION "N-12d" "dead-session-handle" false
        "no call is made on a session that was destroyed or never opened";
    DEAD_BUFFER "N-12e" "dead-buffer-handle" false
        "buffer handles are those that this session gave out and has not taken back";
    FORCE_IDR_PTD "N-18" "force-idr-without-ptd" false
        "FORCEIDR is for sessions whose picture types the driver decides";
    B_INFINITE_GOP "N-19" "b-frames-infinite-gop" false
        "an infinite GOP is coded without B pictures";
    B_WEIGHTED "N-16" "b-frames-weighted-prediction" false
        "weighted prediction and B pictures exclude each other";
    B_LTR "N-16b" "b-frames-ltr" false
        "long term references and B pictures exclude each other";
    ASYNC "N-21" "async-on-linux" false
        "asynchronous mode exists on Windows only";
    INIT_TWICE "N-23" "initialize-twice" true
        "a session is initialised once";
    BEFORE_INIT "N-23b" "before-initialize" false
        "buffers and pictures come after initialisation";
    INPUT_LOCKED "N-25" "encode-locked-input" false
        "an input buffer is unlocked before it is encoded";
    LOCK_BUSY_INPUT "N-25b" "lock-busy-input" false
        "an input buffer is not locked again while a picture in it waits for its turn";
    INPUT_LOCK_STATE "N-25c" "input-lock-state" true
        "an input buffer is locked once and unlocked once";
    BAD_PITCH "N-26" "resource-pitch" false
        "the pitch of a device pointer is a multiple of four and no less than a row";
    BAD_RANGE "N-26b" "resource-range" false
        "a registered device pointer lies inside one allocation with all its rows";
    NOT_REGISTERED "N-27" "not-registered" false
        "only registered resources are mapped and unregistered";
    DOUBLE_MAP "N-27b" "double-map" true
        "a resource is mapped once at a time";
    INPUT_NOT_MAPPED "N-27c" "input-not-mapped" false
        "a picture's input is an input buffer or a mapped resource of this session";
    WRONG_FORMAT "N-27d" "wrong-buffer-format" false
        "a picture is submitted in the format of its buffer";
    PENDING_WRITE "N-27e" "input-not-ready" false
        "work that writes the input has ended or runs on the default stream or the session's input stream";
    INPUT_SIZE "N-27f" "input-size" false
        "a picture has the size of the session";
    UNMAP_EARLY "N-28" "unmap-before-lock" false
        "a resource is unmapped after the output that was submitted with it, or that of its picture, was locked";
    UNREGISTER_MAPPED "N-28b" "unregister-mapped" false
        "a resource is unmapped before it is unregistered";
    NOT_MAPPED "N-28c" "not-mapped" false
        "only mapped resources are unmapped";
    FREED_INPUT "N-28d" "input-freed-while-used" false
        "device memory is freed after the resource was unregistered";
    LOCK_BEFORE_SUCCESS "N-31" "lock-before-success" false
        "an output is locked after EncodePicture answered SUCCESS for it";
    OUTPUT_PENDING "N-31b" "output-in-use" false
        "an output buffer is not given to a second picture before it was locked and unlocked";
    INPUT_WRITTEN "N-33" "input-written-while-encoding" false
        "the input stays untouched from submission until its picture is coded";
    DUPLICATE_TIME "N-34" "duplicate-timestamp" false
        "every picture has a timestamp of its own";
    EOS_BUFFERS "N-36" "eos-with-buffers" false
        "an end of stream comes without buffers";
    LOCK_ORDER "N-37" "lock-out-of-order" false
        "outputs are locked in the order of submission";
    LOCK_NOT_SUBMITTED "N-37b" "lock-not-submitted" false
        "only outputs of submitted pictures are locked";
    DO_NOT_WAIT "N-37c" "do-not-wait-on-linux" false
        "in synchronous mode LockBitstream waits";
    OUTPUT_LOCKED "N-39" "encode-locked-output" false
        "an output buffer is unlocked before it is used again";
    DOUBLE_LOCK "N-39b" "double-lock" true
        "an output is locked once";
    UNLOCK_NOT_LOCKED "N-39c" "unlock-not-locked" true
        "only locked outputs are unlocked";
    SEQUENCE_THREAD "N-40" "sequence-params-thread" false
        "GetSequenceParams is called on the thread that encodes";
    RECONFIGURE_FORBIDDEN "N-41" "reconfigure-forbidden" false
        "GOP structure, maximum size, picture type decision, depth, chroma and mode stay as they are";
    RESET_WITHOUT_IDR "N-43" "reset-without-idr" false
        "a reset goes with an IDR picture";
    TWO_THREADS "N-45" "encode-on-two-threads" false
        "EncodePicture runs on one thread at a time";
}
