#pragma once
#include <CoreVideo/CoreVideo.h>
