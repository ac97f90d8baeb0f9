//! Rules of the decoder half that a client can break and that are recorded. Numbers are those of the semantics list,
//! with a letter where one number holds several rules.

use crate::core::rules::rule_table;

rule_table! {
    CONTEXT "D-8a" "decoder-context-not-current" false "Capabilities, creation and mapping are asked for with the decoder's CUDA context current, or with a context lock.";
    CONTEXT_GONE "D-8b" "decoder-outlives-context" false "A decoder is destroyed before the context it was made in.";
    NULL_POINTER "D-8c" "decoder-null-pointer" false "Structures and results are passed by pointers that are not null.";
    BEYOND_CAPS "D-8d" "beyond-caps" false "Codec, chroma format, bit depth and size are within what cuvidGetDecoderCaps answers.";
    DECODE_SURFACES "D-9a" "decode-surface-count" false "A decoder has 1 to 32 decode surfaces.";
    OUTPUT_SURFACES "D-9b" "output-surface-count" false "A decoder has 1 to 64 output surfaces.";
    OUTPUT_FORMAT "D-9c" "output-format" false "The output format is one of the mask that cuvidGetDecoderCaps answers.";
    DEINTERLACE "D-9d" "deinterlace-mode" false "The deinterlace mode is Weave, Bob or Adaptive.";
    TARGET_SIZE "D-9e" "target-size" false "The target size is even and not zero.";
    TARGET_TOO_LARGE "D-9l" "target-too-large" true "The target is no larger than the largest picture of the codec.";
    HISTOGRAM "D-9m" "histogram-not-offered" false "A histogram is asked for only where cuvidGetDecoderCaps offers one.";
    RECTANGLE "D-9f" "rectangle-outside" false "The display area lies inside the coded picture and the target rectangle inside the target.";
    MAX_SIZE "D-9g" "max-size-below-size" false "The maximal size is zero or no smaller than the coded size.";
    DEAD_DECODER "D-9h" "decoder-used-after-destroy" false "A destroyed decoder is not used again.";
    FOREIGN_DECODER "D-9i" "foreign-decoder" false "A decoder handle comes from cuvidCreateDecoder.";
    DOUBLE_DESTROY "D-9j" "decoder-destroyed-twice" false "A decoder is destroyed once.";
    DESTROY_MAPPED "D-9k" "decoder-destroyed-with-mapped-frames" false "Every mapped frame is unmapped before its decoder is destroyed.";
    PICTURE_INDEX "D-12a" "picture-index" false "CurrPicIdx is below ulNumDecodeSurfaces.";
    DECODE_INTO_MAPPED "D-12b" "decode-into-mapped" false "A decode surface is not decoded into while it is mapped.";
    NO_BITSTREAM "D-12c" "empty-bitstream" false "A picture to decode has bit stream data.";
    SLICE_OFFSETS "D-12d" "slice-offsets" false "Slice offsets lie inside the bit stream data.";
    PICTURE_SIZE "D-12e" "picture-size" false "A picture is no larger than its decoder.";
    MAP_INDEX "D-13a" "map-index" false "The picture index of a map is below ulNumDecodeSurfaces.";
    MAP_NEVER_DECODED "D-13b" "map-never-decoded" false "Only a surface that was decoded into is mapped.";
    MAP_TWICE "D-13e" "map-twice" false "A surface is mapped again only when it was unmapped.";
    MAP_TOO_MANY "D-13c" "map-too-many" false "No more frames are mapped at once than ulNumOutputSurfaces.";
    UNMAP_NOT_MAPPED "D-13d" "unmap-not-mapped" false "Only a mapped frame is unmapped, and only once.";
    RAW_FIELDS "D-14a" "raw-fields" false "The raw video fields of CUVIDPROCPARAMS are zero.";
    MAP_STREAM "D-14b" "map-stream" false "The output stream of a map is a living stream.";
    STATUS_INDEX "D-15a" "status-index" false "The picture index of a status query is below ulNumDecodeSurfaces.";
    RECONFIGURE_MAX "D-16a" "reconfigure-beyond-max" false "A reconfigured size is within ulMaxWidth and ulMaxHeight.";
    RECONFIGURE_MAPPED "D-16b" "reconfigure-while-mapped" true "No frame is mapped while the decoder is reconfigured.";
    RECONFIGURE_TARGET "D-16c" "reconfigure-larger-target" false "The target of a reconfiguration is no larger than the one at creation: the surfaces it is mapped to stay as they are (580.159).";
    LOCK_HANDLE "D-17a" "context-lock-handle" false "A context lock comes from cuvidCtxLockCreate and is not used after it was destroyed.";
    LOCK_NOT_HELD "D-17b" "unlock-not-held" false "A context lock is unlocked by the thread that holds it.";
    LOCK_DESTROYED_HELD "D-17c" "context-lock-destroyed-held" false "A context lock is not destroyed while a thread holds it.";
    LOCK_CONTEXT "D-17d" "context-lock-context" false "A context lock is made for a living context.";
}
