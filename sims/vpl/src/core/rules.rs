//! Rules a client has to keep.

use super::declare_rules;

declare_rules! {
    NULL_POINTER "null-pointer" false "A pointer that a function needs is not null.";
    UNKNOWN_SESSION "unknown-session" false "Sessions come from the runtime and are not used after MFXClose.";
    CHILDREN_JOINED "closed-with-children" false "All child sessions are disjoined before their parent is closed.";
    UNKNOWN_SURFACE "unknown-surface" false "The functions of a surface are called with a surface of the runtime.";
    DEAD_SURFACE "dead-surface" false "A surface is not used after its last Release.";
    OVER_RELEASE "over-release" false "A surface is released as often as it was received and AddRef was called, and no more.";
    UNMAP_WITHOUT_MAP "unmap-without-map" false "Unmap follows Map.";
    RELEASED_MAPPED "released-while-mapped" false "A surface is unmapped before its last Release.";
    MAP_FLAGS "map-flags" false "Map is told to read, to write, or both.";
    WRITTEN_IN_USE "written-while-in-use" false "A surface that an encoder or a filter reads is not written to until the operation is done.";
    USED_MAPPED "used-while-mapped" false "A surface is unmapped before it is handed to an encoder or a filter.";
    SURFACE_LOCKED "locked-surface" false "A working surface whose Locked is not zero is not handed over.";
    UNKNOWN_SYNC "unknown-sync-point" false "A sync point comes from an operation of this session, or of one joined with it.";
    SYNC_TWICE "sync-point-used-twice" false "A sync point is waited for once; after success it is gone.";
    NOT_INITIALIZED "not-initialized" false "A component is initialised before it is used.";
    INIT_TWICE "init-twice" false "A component that is initialised is closed or reset before it is initialised again.";
    ALIGNMENT "surface-alignment" false "Width is a multiple of 16, height of 16 for progressive frames and of 32 for others.";
    SURFACE_FORMAT "surface-format" false "A surface has the format and at least the size that the component was initialised with.";
    NO_MEMORY "surface-without-memory" false "A surface of system memory has pointers and a pitch; any other comes from the runtime or the client's allocator.";
    BITSTREAM_BOUNDS "bitstream-bounds" false "Offset and length of a bitstream lie inside of its buffer.";
    BITSTREAM_TOUCHED "bitstream-touched" false "A bitstream is left alone between an encoder's call and its sync point.";
    DATA_AFTER_DRAIN "data-after-drain" true "After a component was told that no more comes, it is drained to the end before it gets more.";
    RESET_UNDRAINED "reset-undrained" true "A component is drained before it is reset to another format.";
    DISPLAY_LATE "display-after-init" false "The display is handed over before the first component is initialised.";
    HANDLE_TWICE "handle-set-twice" false "A handle of a kind is set once in a session.";
    PAYLOAD "payload-size" false "A payload has data, and no more bits than its buffer.";
    EXT_BUFFER "ext-buffer-size" false "BufferSz of an extension buffer is the size of its structure.";
}
