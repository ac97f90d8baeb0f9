#pragma once
#include <VideoToolbox/VideoToolbox.h>
