// A Mac with a processor of Apple's, as far as a client asks.
#pragma once
#define TARGET_OS_MAC 1
#define TARGET_OS_OSX 1
#define TARGET_OS_IPHONE 0
#define TARGET_CPU_ARM64 1
