// What is declared here is there: the question which system has it is always answered with yes. (No MAC_OS_X_VERSION_*: what clients
// ask of certain versions alone, as professional decoders, is not simulated.)
#pragma once
#define __builtin_available(...) 1
