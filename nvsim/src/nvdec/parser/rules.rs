//! Rules for clients of the parser.

use crate::core::Rule;

/// Handle given back.
pub const PARSER_DEAD: Rule = Rule {
    id: "D-1a",
    name: "parser-dead-handle",
    text: "A parser is not used after cuvidDestroyVideoParser, and a handle is one that cuvidCreateVideoParser gave.",
    assumed: false,
};
/// Destroyed twice.
pub const PARSER_DOUBLE_DESTROY: Rule =
    Rule { id: "D-1b", name: "parser-double-destroy", text: "A parser is destroyed once.", assumed: false };
/// No callback.
pub const PARSER_CALLBACKS: Rule = Rule {
    id: "D-1c",
    name: "parser-missing-callback",
    text: "A parser is created with sequence, decode and display callbacks.",
    assumed: true,
};
/// Bad creation parameters.
pub const PARSER_PARAMETERS: Rule = Rule {
    id: "D-1d",
    name: "parser-bad-parameters",
    text: "A parser is created with its parameters, for a codec that exists, with at least one decode surface.",
    assumed: false,
};
/// Parse or destroy inside a callback.
pub const PARSER_REENTRANCE: Rule = Rule {
    id: "D-2a",
    name: "parser-reentrance",
    text: "Callbacks run inside cuvidParseVideoData; they do not call it or destroy the parser.",
    assumed: true,
};
/// Two threads.
pub const PARSER_TWO_THREADS: Rule = Rule {
    id: "D-2b",
    name: "parser-two-threads",
    text: "One thread at a time gives data to a parser.",
    assumed: true,
};
/// Fewer surfaces than needed.
pub const PARSER_FEW_SURFACES: Rule = Rule {
    id: "D-2c",
    name: "parser-few-surfaces",
    text: "The sequence callback answers with at least min_num_decode_surfaces, or 1 where the parser has as many.",
    assumed: false,
};
/// No packet, or a packet that contradicts itself.
pub const PARSER_PACKET: Rule = Rule {
    id: "D-4a",
    name: "parser-bad-packet",
    text: "A packet is given, and a packet with a size has a payload.",
    assumed: false,
};

/// All of them.
pub const ALL: &[Rule] = &[
    PARSER_DEAD,
    PARSER_DOUBLE_DESTROY,
    PARSER_CALLBACKS,
    PARSER_PARAMETERS,
    PARSER_REENTRANCE,
    PARSER_TWO_THREADS,
    PARSER_FEW_SURFACES,
    PARSER_PACKET,
];
