//! Rules for clients of the parser.

use crate::core::rules::rule_table;

rule_table! {
    PARSER_DEAD "D-1a" "parser-dead-handle" false "A parser is not used after cuvidDestroyVideoParser, and a handle is one that cuvidCreateVideoParser gave.";
    PARSER_DOUBLE_DESTROY "D-1b" "parser-double-destroy" false "A parser is destroyed once.";
    PARSER_CALLBACKS "D-1c" "parser-missing-callback" true "A parser is created with sequence, decode and display callbacks.";
    PARSER_PARAMETERS "D-1d" "parser-bad-parameters" false "A parser is created with its parameters, for a codec that exists, with at least one decode surface.";
    PARSER_REENTRANCE "D-2a" "parser-reentrance" true "Callbacks run inside cuvidParseVideoData; they do not call it or destroy the parser.";
    PARSER_TWO_THREADS "D-2b" "parser-two-threads" true "One thread at a time gives data to a parser.";
    PARSER_FEW_SURFACES "D-2c" "parser-few-surfaces" false "The sequence callback answers with at least min_num_decode_surfaces, or 1 where the parser has as many.";
    PARSER_PACKET "D-4a" "parser-bad-packet" false "A packet is given, and a packet with a size has a payload.";
}
